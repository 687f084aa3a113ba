"""The training loop of :mod:`training.fitting.fit`; everything that needs TensorFlow is here."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.evaluation.dataset import UNKNOWN_LABEL, Dataset
from ripe_lib.evaluation.metrics import task_metrics
from ripe_lib.genome.encoding import UNKNOWN, Codes, one_hot
from ripe_lib.genome.landmarks import encode_landmarks
from ripe_lib.network.load import quiet_tensorflow
from ripe_lib.network.spec import ModelSpec
from ripe_lib.network.weights import arrays_of, set_arrays, write_weights
from ripe_lib.output.console import progress
from training.config import Note
from training.fitting.batches import EpochBatches, mask_flanks
from training.fitting.config import FitConfig
from training.fitting.losses import POSITIVE, make_loss, numpy_loss
from training.fitting.rows import TrainingData
from training.fitting.runs import (
    TrainingFailedError,
    best_epoch,
    is_chief,
    is_over,
    plot_curves,
    read_checkpoint,
    write_checkpoint,
    write_csv,
)
from training.fitting.sampling import row_shares
from training.fitting.start import freeze, take_over, weights_file_of

quiet_tensorflow()
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from ripe_lib.network.architecture import build_model  # noqa: E402

# Many networks in one process: TensorFlow's advice about tracing each of them does not apply.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

VALID_BATCH = 1024


class OneHot(keras.layers.Layer):
    """Codes (B, W) uint8 -> one-hot (B, W, 4) float32 inside the graph; unknown is 0.25 in each channel."""

    def call(self, codes: Any) -> Any:
        """Look the codes up."""
        table = one_hot(np.arange(UNKNOWN + 1, dtype=np.uint8))
        return keras.ops.take(table, keras.ops.cast(codes, "int32"), axis=0)


class _Progress(keras.callbacks.Callback):
    """Progress bar of an epoch, and the stop at a loss that is not a number."""

    def __init__(self, epoch: int, total: int, bar: Any) -> None:
        super().__init__()
        self.epoch, self.total, self.bar = epoch, total, bar

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise TrainingFailedError(
                f"the loss became {loss} in epoch {self.epoch}, batch {batch + 1} of {self.total}. Lower "
                "'learning_rate' or the loss weights; the state of the last good epoch is kept."
            )
        self.bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        self.bar.update()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed what Keras draws initial weights from, and put Python's and NumPy's generators back afterwards."""
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - restoring global state is the point
    keras.utils.set_random_seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002


def fed_shapes(spec: ModelSpec) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return shape and type of one window of what :func:`training_model` takes: codes, and encoded distances."""
    return {
        name: (shape, "float32") if name == "landmarks" else (shape[:1], "uint8")
        for name, shape in spec.input_shapes.items()
    }


def training_model(network: keras.Model, spec: ModelSpec) -> keras.Model:
    """Return a model that takes codes (landmarks encoded) instead of one-hot arrays and shares a network's weights."""
    inputs = {
        name: keras.Input(shape, dtype=kind, name=f"{name}_in") for name, (shape, kind) in fed_shapes(spec).items()
    }
    arrays = [one if name == "landmarks" else OneHot()(one) for name, one in inputs.items()]
    return keras.Model(list(inputs.values()), network(arrays))


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def lower_precision(network: keras.Model) -> None:
    """Let all layers of a network but the output compute in bfloat16; variables and the output stay float32.

    bfloat16 has the range of float32, so the loss need not be scaled.
    """
    for layer in network.layers:
        if layer.weights and layer.name != "output":
            layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")


def _to_arrays(variables: list[Any]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(v) for v in variables]


def _assign(variables: list[Any], arrays: Iterable[np.ndarray]) -> None:
    for variable, value in zip(variables, arrays, strict=True):
        variable.assign(value)


def as_tf_dataset(batches: EpochBatches, epoch: int, spec: ModelSpec) -> tf.data.Dataset:
    """Return one epoch as a ``tf.data`` pipeline of (inputs, label codes), two batches ahead of the model.

    Parameters
    ----------
    batches, epoch, spec : EpochBatches, int, ModelSpec
        The epoch decides the order and the augmentation.
    """

    def generate() -> Iterator[Any]:
        for seq, region, landmarks, labels in batches.epoch(epoch):
            yield tuple(_network_arrays(spec, seq, region, landmarks)), labels

    signature = (
        tuple(tf.TensorSpec((None, *shape), kind) for shape, kind in fed_shapes(spec).values()),
        tf.TensorSpec((None, len(spec.tasks)), tf.uint8),
    )
    options = tf.data.Options()
    # Several hosts: each makes all batches and trains on its share of every one.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    pipeline = tf.data.Dataset.from_generator(generate, output_signature=signature)
    return pipeline.apply(tf.data.experimental.assert_cardinality(len(batches))).with_options(options).prefetch(2)


def _network_arrays(spec: ModelSpec, seq: Codes, region: Codes, landmarks: NDArray[np.float32]) -> list[Any]:
    """Return what :func:`training_model` takes, of the inputs the spec has."""
    arrays: list[Any] = [seq, region] if spec.has_region else [seq]
    if spec.has_landmarks:
        arrays.append(encode_landmarks(landmarks, spec.landmark_bases))
    return arrays


def _view_codes(dataset: Dataset, rows: NDArray[np.int64], view: str) -> tuple[Codes, Codes, NDArray[np.float32]]:
    """Return centred codes and distances of rows as a caller without GTF, or without flanks, would give them."""
    (seq, region), landmarks = dataset.centred_codes(rows), dataset.landmarks(rows)
    if "no_flanks" in view:
        seq = mask_flanks(seq, np.ones(len(rows), dtype=bool))
    if "no_region" in view:
        region = np.full_like(region, UNKNOWN)
    if "no_region" in view or "no_landmarks" in view:
        landmarks = np.full_like(landmarks, np.nan)
    return seq, region, landmarks


class Trainer:
    """One network being trained; the state between epochs is all in :meth:`save` and :meth:`restore`."""

    def __init__(self, config: FitConfig, spec: ModelSpec, data: TrainingData) -> None:
        self.config, self.spec, self.data = config, spec, data
        if config.deterministic:
            tf.config.experimental.enable_op_determinism()
        strategies = {
            "mirrored": tf.distribute.MirroredStrategy,
            "multi_worker": tf.distribute.MultiWorkerMirroredStrategy,
        }
        self.strategy: Any = strategies[config.strategy]() if config.strategy in strategies else None
        self.scope = nullcontext if self.strategy is None else self.strategy.scope
        self.batches = EpochBatches(
            data.dataset,
            data.train,
            data.codes,
            config.batch_size,
            config.augment,
            config.seed,
            row_shares(data.dataset, config.sampling),
        )
        with self.scope(), seeded(config.seed):
            self.network = build_model(spec)
            if on_gpu := config.fast_gpu and has_gpu():
                lower_precision(self.network)
            if config.start:
                take_over(self.network, spec, weights_file_of(config.start))
            freeze(self.network, config.trainable)
            self.model = training_model(self.network, spec)
            rate: Any = config.learning_rate
            if config.schedule == "cosine":  # falls over all epochs
                rate = keras.optimizers.schedules.CosineDecay(rate, config.epochs * len(self.batches), alpha=0.01)
            decay = {"weight_decay": config.weight_decay} if config.weight_decay else {}
            make = keras.optimizers.AdamW if decay else keras.optimizers.Adam
            optimizer = make(learning_rate=rate, epsilon=1e-8, **decay)
            # XLA compiles for half a minute on a CPU and is not faster there.
            self.model.compile(
                optimizer=optimizer, loss=make_loss(data.weights), jit_compile=on_gpu and not config.deterministic
            )
            optimizer.build(self.model.trainable_variables)
        self._distributed_step: Any = None
        # Not Keras' predict: that takes all hosts, but only one writes results.
        model = self.model
        self.predict = tf.function(lambda arrays: model(arrays, training=False))
        generators = [getattr(layer, "seed_generator", None) for layer in self.network._flatten_layers()]
        self.dropout = [one.state for one in generators if one is not None]
        self.history: list[dict[str, Any]] = []
        self.best: list[np.ndarray] = _to_arrays(self.network.weights)

    def restore(self, path: Path) -> None:
        """Go back to the state after the last finished epoch, if there is one."""
        found = read_checkpoint(path)
        if found is None:
            return
        self.history, groups = found
        with self.scope():
            _assign(self.network.weights, groups["network"])
            _assign(self.model.optimizer.variables, groups["optimizer"])
        self.best = groups["best"]

    def save(self, path: Path) -> None:
        """Write the state."""
        network, optimizer = (_to_arrays(part) for part in (self.network.weights, self.model.optimizer.variables))
        write_checkpoint(path, history=self.history, network=network, optimizer=optimizer, best=self.best)

    def _distributed_epoch(self, batches: tf.data.Dataset, watch: _Progress) -> float:
        """Train one epoch on all replicas; Keras' own ``fit`` cannot do several hosts. Returns the mean loss."""
        if self._distributed_step is None:
            strategy, model = self.strategy, self.model
            self._distributed_step = tf.function(lambda batch: strategy.run(model.train_step, args=(batch,)))
        self.model.reset_metrics()
        loss = math.nan
        for number, batch in enumerate(self.strategy.experimental_distribute_dataset(batches)):
            logs = self._distributed_step(batch)
            loss = float(np.mean(self.strategy.experimental_local_results(logs["loss"])))
            watch.on_train_batch_end(number, {"loss": loss})
        return loss

    def validate(self, views: tuple[str, ...]) -> tuple[float, pd.DataFrame]:
        """Return the mean loss over views of the validation rows, and AUROC and AP per task of the first view."""
        valid = self.data.valid
        codes = self.data.codes[valid]
        losses: list[float] = []
        first = np.zeros(0, dtype=np.float32)
        for view in views:
            parts = []
            for start in range(0, len(valid), VALID_BATCH):
                rows = valid[start : start + VALID_BATCH]
                arrays = _network_arrays(self.spec, *_view_codes(self.data.dataset, rows, view))
                # Padded to one shape, so that TensorFlow traces the function once.
                arrays = [np.pad(a, ((0, VALID_BATCH - len(rows)), *[(0, 0)] * (a.ndim - 1))) for a in arrays]
                parts.append(np.asarray(self.predict(arrays))[: len(rows)])
            probabilities = np.concatenate(parts)
            first = first if losses else probabilities
            losses.append(numpy_loss(probabilities, codes, self.data.weights))
        labels = np.where(codes <= POSITIVE, codes.astype(np.int8), UNKNOWN_LABEL)
        table = task_metrics(labels, first, tasks=self.spec.tasks)
        return float(np.mean(losses)), table[["task", "n_pos", "n_neg", "auroc", "ap"]]

    def run_epoch(self, epoch: int, *, quiet: bool) -> dict[str, Any]:
        """Train one epoch (from 1), validate, keep the weights if they are the best."""
        words = np.random.SeedSequence([self.config.seed, epoch, 0xD40]).generate_state(2 * len(self.dropout))
        with self.scope():
            _assign(self.dropout, words.reshape(-1, 2))
        began = time.monotonic()
        total = len(self.batches)
        with progress(total=total, quiet=quiet, desc=f"epoch {epoch}/{self.config.epochs}", unit="batch") as bar:
            batches = as_tf_dataset(self.batches, epoch, self.spec)
            watch = _Progress(epoch, total, bar)
            if self.strategy is None:
                fitted = self.model.fit(batches, verbose=0, shuffle=False, callbacks=[watch])
                loss = float(fitted.history["loss"][-1])
            else:
                loss = self._distributed_epoch(batches, watch)
        seconds = time.monotonic() - began
        # ReLU and max pooling can swallow "not a number", so the loss alone does not show it.
        if not all(np.isfinite(values).all() for values in _to_arrays(self.network.weights)):
            raise TrainingFailedError(
                f"weights became infinite or not a number in epoch {epoch}. Lower 'learning_rate' or the loss weights; "
                "the state of the last good epoch is kept."
            )
        row: dict[str, Any] = {"epoch": epoch, "loss": loss}
        if len(self.data.valid):
            row["val_loss"], table = self.validate(self.config.views)
            row["val_auroc"], row["val_ap"] = float(table["auroc"].mean()), float(table["ap"].mean())
        row["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row["rows_per_second"] = round(self.batches.n_rows / seconds, 1)
        row["seconds"] = round(time.monotonic() - began, 2)
        self.history.append(row)
        if best_epoch(self.history, self.config.best_by) == epoch:
            self.best = _to_arrays(self.network.weights)
        return row


def train(
    config: FitConfig,
    spec: ModelSpec,
    data: TrainingData,
    *,
    quiet: bool,
    note: Note,
    after_epoch: Callable[[int], None],
) -> None:
    """Train until over, from the last checkpoint if there is one, and write the run's results.

    Parameters as :func:`training.fitting.fit.fit`, and what it makes of the data set.
    """
    run, history = config.run, config.run / "history.csv"
    checkpoint = run / "checkpoint.h5"
    trainer = Trainer(config, spec, data)
    trainer.restore(checkpoint)
    if trainer.history:
        note(f"{run}: going on after epoch {len(trainer.history)}")
    writer = tf.summary.create_file_writer(str(run / "tensorboard")) if config.tensorboard else None
    while not is_over(trainer.history, config):
        epoch = len(trainer.history) + 1
        row = trainer.run_epoch(epoch, quiet=quiet)
        if is_chief():
            trainer.save(checkpoint)
            write_csv(history, pd.DataFrame(trainer.history))
        if writer is not None:
            with writer.as_default(step=epoch):
                _write_scalars(row)
            writer.flush()
        shown = ", ".join(f"{k} {row[k]:.4f}" for k in ("loss", "val_loss", "val_auroc", "val_ap") if k in row)
        note(f"epoch {epoch}/{config.epochs}: {shown} ({row['seconds']:.0f} s)")
        after_epoch(epoch)
    with trainer.scope():
        _assign(trainer.network.weights, trainer.best)
    if not is_chief():
        return
    write_csv(history, pd.DataFrame(trainer.history))
    plot_curves(trainer.history, config)
    if len(data.valid):
        write_csv(run / "metrics.tsv", trainer.validate(config.views[:1])[1], sep="\t")
    # Outside any strategy: the file must not depend on how it was trained.
    network = build_model(spec)
    set_arrays(network, arrays_of(trainer.network), str(run))
    write_weights(run / "weights.h5", spec, arrays_of(network))
    checkpoint.unlink(missing_ok=True)


def _write_scalars(row: dict[str, Any]) -> None:
    # What TensorBoard's own scalar function writes; that needs the package installed, this does not.
    metadata = tf.compat.v1.SummaryMetadata(data_class=1)
    metadata.plugin_data.plugin_name = "scalars"
    for name, value in row.items():
        tf.summary.write(name, tf.constant(value, tf.float32), metadata=metadata)
