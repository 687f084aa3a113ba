"""``ripe-train fit``: a data set and a config -> a run directory with the weights of the best epoch.

The paper: Adam, batches of 128, up to 20 epochs, early stopping and best epoch by validation loss. An epoch's order,
augmentation and dropout depend on (seed, epoch) alone, and after each epoch the whole state is written, so a run that
was killed goes on from there and ends with the same weights as an unbroken one on the same machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, unknown_name
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.genome.encoding import UNKNOWN
from ripe_lib.network.spec import INPUTS, ModelSpec
from ripe_lib.network.weights import sha256_of
from training.config import build, plain, section
from training.fitting.batches import AugmentOptions
from training.fitting.distill import DistillOptions, check_teachers, teacher_files
from training.fitting.losses import MASKED, ElementWeights, LossOptions, element_weights, label_codes
from training.fitting.runs import TrainingFailedError, is_chief, open_run
from training.fitting.sampling import SamplingOptions, chosen_rows

STRATEGIES = ("none", "mirrored", "multi_worker")
BEST_BY = ("val_loss", "val_auroc")
SCHEDULES = ("constant", "cosine")
VIEWS = ("plain", "no_region", "no_flanks", "no_region_no_flanks")

__all__ = ["FitConfig", "TrainingFailedError", "fit", "fit_members", "read_config", "spec_of", "training_data"]

Note = Callable[[str], None]


@dataclass(frozen=True)
class FitConfig:
    """Everything that decides a run.

    Attributes
    ----------
    name : str
        Model name, e.g. ``"DeepRiPe/clip31"``.
    data : Path
        Data set made by ``ripe-train prepare``.
    run : Path
        Run directory.
    tasks : tuple of str, optional
        Default: all tasks of the data set.
    views : tuple of str
        Inputs the validation loss is averaged over (:data:`VIEWS`): a model that must also work without region types
        can be chosen with ``[plain, no_region]``.
    best_by : str
        Which epoch's weights are kept: smallest ``"val_loss"`` (paper) or largest ``"val_auroc"``. The loss also holds
        the level of the probabilities, which ``ripe-train publish --calibrate`` sets afterwards.
    patience : int
        Epochs without a better one before stopping; 0 = never stop early.
    strategy : str
        ``"mirrored"`` for all GPUs of this host, ``"multi_worker"`` for several hosts (``TF_CONFIG``).
    deterministic : bool
        Use TensorFlow's deterministic kernels, which resuming with equal weights needs.
    """

    name: str
    data: Path
    run: Path
    tasks: tuple[str, ...] | None = None
    architecture: str = "cnn"
    inputs: str = "sequence+region"
    sizes: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    epochs: int = 20
    batch_size: int = 128
    best_by: str = "val_loss"
    patience: int = 5
    learning_rate: float = 1e-3
    schedule: str = "constant"
    weight_decay: float = 0.0
    loss: LossOptions = field(default_factory=LossOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    distill: DistillOptions = field(default_factory=DistillOptions)
    views: tuple[str, ...] = ("plain",)
    strategy: str = "none"
    deterministic: bool = True
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for kind, value, known in (
            ("strategy", self.strategy, STRATEGIES),
            ("schedule", self.schedule, SCHEDULES),
            ("best_by", self.best_by, BEST_BY),
            ("inputs", self.inputs, INPUTS),
            *(("validation view", view, VIEWS) for view in self.views),
        ):
            if value not in known:
                raise unknown_name(kind, value, known)
        if min(self.epochs, self.batch_size) < 1 or self.patience < 0 or not self.views:
            raise InputError("fit: expected epochs and batch_size of at least 1, patience >= 0 and at least one view.")
        if self.augment.splice and not self.distill.teachers:
            raise InputError("fit: spliced windows have no labels; 'augment: splice' needs teachers ('distill').")
        if not 0 < self.learning_rate < math.inf or self.weight_decay < 0:
            raise InputError(f"fit: expected a learning_rate > 0 and weight_decay >= 0, got {self.learning_rate}.")


def read_config(path: str | Path) -> FitConfig:
    """Read the section ``fit`` of a config file; ``data`` defaults to the output of its section ``prepare``."""
    mapping = section(path, "fit")
    if "data" not in mapping:
        mapping["data"] = section(path, "prepare").get("output", "")
    return build(FitConfig, mapping, str(path))


def spec_of(config: FitConfig, dataset: Dataset) -> ModelSpec:
    """Return the spec of the network a run trains."""
    tasks = tuple(dataset.tasks) if config.tasks is None else config.tasks
    for task in tasks:
        dataset.task_index(task)
    return ModelSpec(
        name=config.name,
        tasks=tasks,
        sequence_length=dataset.sequence_length,
        region_length=dataset.region_length if config.inputs == "sequence+region" else 0,
        architecture=config.architecture,
        inputs=config.inputs,
        sizes=config.sizes,
    )


@dataclass
class TrainingData:
    """Rows and label codes of a run."""

    dataset: Dataset
    codes: NDArray[np.uint8]  # (N, T), all rows of the data set, tasks of the run
    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    weights: ElementWeights
    region_tasks: NDArray[np.bool_]  # (T,), tasks that a source with region types has


def training_data(config: FitConfig, dataset: Dataset) -> TrainingData:
    """Choose rows and weights.

    Raises
    ------
    InputError
        If a task has no positive or no negative to train on.
    """
    spec = spec_of(config, dataset)
    columns = [dataset.task_index(task) for task in spec.tasks]
    labels, train, valid = chosen_rows(dataset, columns, config.sampling, config.seed)
    has_task = dataset.source_has_task[:, columns]
    soft: bool | NDArray[np.bool_] = config.loss.unknown_weight > 0
    if soft and config.loss.unknown_rows == "background":
        soft = ~(dataset.labels == 1).any(axis=1)
    codes = label_codes(labels, dataset.source_index, has_task, soft_unknown=soft)
    # Rows that say nothing about any task would only cost time.
    train, valid = (rows[(codes[rows] != MASKED).any(axis=1)] for rows in (train, valid))
    for index, task in enumerate(spec.tasks):
        for value, word in ((1, "positive"), (0, "negative")):
            if not (codes[train, index] == value).any() and not (value == 0 and np.any(soft)):
                raise InputError(
                    f"{dataset.path}: expected a {word} of task {task} in split 'train', got none. "
                    "Leave the task out of 'tasks' or prepare another split."
                )
    region_tasks = has_task[sources_with_regions(dataset)].any(axis=0)
    return TrainingData(dataset, codes, train, valid, element_weights(codes[train], config.loss), region_tasks)


def sources_with_regions(dataset: Dataset) -> NDArray[np.bool_]:
    """Return which sources (S,) have region types, from a sample of each one's rows."""
    found = np.zeros(len(dataset.sources), dtype=bool)
    for source in range(len(dataset.sources)):
        rows = np.flatnonzero(dataset.source_index == source)
        sample = rows[:: max(1, len(rows) // 1000)]
        found[source] = bool((dataset.region_codes(sample) != UNKNOWN).any())
    return found


def fit(
    config: FitConfig,
    *,
    quiet: bool = True,
    note: Note = lambda _: None,
    after_epoch: Callable[[int], None] = lambda _: None,
) -> Path:
    """Train one network; goes on with an unfinished run, and does nothing when the run is finished.

    Parameters
    ----------
    config : FitConfig
    quiet : bool
        No progress bar.
    note : callable
        Is given one line per epoch.
    after_epoch : callable
        Called with the epoch's number (from 1) once its checkpoint is written.

    Returns
    -------
    Path
        The run directory.

    Raises
    ------
    InputError
        For data or a run directory that do not fit the config.
    TrainingFailedError
        If the loss is not a number.
    """
    from training.fitting.loop import train

    dataset = Dataset(config.data)
    spec = spec_of(config, dataset)
    check_teachers(config.distill, spec)
    if is_chief():
        teachers = [sha256_of(path) for path in teacher_files(config.distill)]
        open_run(config.run, plain(config), dataset, teachers)
    if (config.run / "weights.h5").is_file():
        note(f"{config.run}: finished already")
        return config.run
    data = training_data(config, dataset)
    train(config, spec, data, quiet=quiet, note=note, after_epoch=after_epoch)
    return config.run


def fit_members(config: FitConfig, members: int, **options: Any) -> list[Path]:
    """Train an ensemble: ``members`` runs ``RUN/member_1`` ... that differ in their seed only."""
    if members == 1:
        return [fit(config, **options)]
    seeds = np.random.SeedSequence([config.seed, members]).generate_state(members)
    return [
        fit(replace(config, seed=int(seed), run=config.run / f"member_{number}"), **options)
        for number, seed in enumerate(seeds, start=1)
    ]
