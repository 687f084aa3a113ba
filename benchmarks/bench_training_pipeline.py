"""Training from a prepared data set against training on ready arrays in memory, paper's CNN, batch 128.

Run: ``python -m benchmarks.bench_training_pipeline``. Both sides train the same network with the same loss on the same
rows for the same number of batches, in turns. "Ready" is Keras on float32 one-hot arrays that are in memory already,
not shuffled and not augmented; "pipeline" is what ``ripe-train fit`` does: bytes from disk, shuffled, jitter, flank
mask, flank fill and region dropout, one-hot in the graph. Both keep all cores busy, so the ratio of CPU seconds is the
ratio of throughputs that does not depend on what else the machine does. The project's limit is 90 %.

Then the networks of ``training/configs`` train an epoch each on windows of 200 nt with 100 tasks, as the steps of
``ripe-train tiers`` do (``--epochs-only``: nothing else); minutes are their CPU time over all cores, augmentation
included.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.common import machine, write_results
from ripe_lib.genome.landmarks import LANDMARKS

NETWORKS = {  # as in training/configs: the paper's CNN, the tiers' towers, and what a tier tunes of them
    "cnn": {"batch_size": 128},
    "towers": {"architecture": "towers", "inputs": "sequence+region+landmarks", "batch_size": 256},
    "towers, tuned": {
        "architecture": "towers",
        "inputs": "sequence+region+landmarks",
        "batch_size": 256,
        "trainable": ["hidden1", "output"],
    },
}
COMPENDIUM = {"sequence_length": 200, "region_length": 250, "margin": 20}


def toy_data(path: Path, n: int, tasks: int, *, sequence_length=150, region_length=250, margin=40):
    from ripe_lib.evaluation.dataset import Dataset
    from training.data.store import SiteColumns, write_dataset

    rng = np.random.default_rng(0)
    columns = SiteColumns(
        chrom=np.full(n, "chr1"),
        start=np.arange(n) * 1000,
        end=np.arange(n) * 1000 + 101,
        strand=np.full(n, "+"),
        labels=rng.choice([-1, 0, 1], (n, tasks), p=[0.8, 0.15, 0.05]).astype(np.int8),
        split=np.zeros(n, dtype=np.uint8),
        source=np.zeros(n, dtype=np.uint8),
        cluster=np.arange(n),
        landmarks=rng.normal(0, 2000, (n, len(LANDMARKS))).astype(np.float32),
    )
    widths = sequence_length + 2 * margin, region_length + 2 * margin

    def codes(part):
        size = part.stop - part.start
        return tuple(rng.integers(0, 5, (size, width), dtype=np.uint8) for width in widths)

    write_dataset(
        path,
        columns,
        codes,
        tasks=[f"t{i}" for i in range(tasks)],
        sources=["toy"],
        source_has_task=np.ones((1, tasks), dtype=bool),
        sequence_length=sequence_length,
        region_length=region_length,
        margin=margin,
        manifest={},
    )
    return Dataset(path)


def epoch_minutes(folder: Path, rows: int, tasks: int) -> dict[str, float]:
    """CPU minutes, over all cores, of an epoch of a million windows of every network."""
    from training.config import build
    from training.fitting.config import FitConfig
    from training.fitting.fit import fit

    toy_data(folder / "wide.h5", rows, tasks, **COMPENDIUM)
    minutes = {}
    for name, options in NETWORKS.items():
        started = time.process_time()
        ends: list[float] = []
        start = {"start": str(folder / "towers" / "weights.h5")} if "trainable" in options else {}
        run = {"name": "DeepRiPe/bench", "data": folder / "wide.h5", "run": folder / name, "epochs": 3}
        augment = {"jitter": 10, "region_dropout": 0.15}
        config = build(FitConfig, {**run, "augment": augment, **options, **start}, "benchmark")
        fit(config, after_epoch=lambda _, ends=ends: ends.append(time.process_time()))
        # The first epoch compiles.
        seconds = min(after - before for before, after in pairwise(ends))
        minutes[name] = round(seconds / len(os.sched_getaffinity(0)) / 60 * 1e6 / rows, 1)
        print(f"{name}: {ends[0] - started:.0f} CPU s, then {seconds:.0f}", flush=True)
    return minutes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tasks", type=int, default=31)
    parser.add_argument("--epochs-only", action="store_true", help="only the networks' epochs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = 128 * options.batches
        minutes = epoch_minutes(Path(folder), rows, 100)
    write_results("training_epochs", {**machine(), "rows": rows, "minutes_per_million_windows": minutes})
    if options.epochs_only:
        return
    from ripe_lib.network.load import quiet_tensorflow

    quiet_tensorflow()
    import keras
    import tensorflow as tf

    from ripe_lib.genome.encoding import one_hot
    from ripe_lib.network.architecture import build_model
    from ripe_lib.network.spec import ModelSpec
    from training.fitting.batches import AugmentOptions, EpochBatches
    from training.fitting.loop import as_tf_dataset, training_model
    from training.fitting.losses import LossOptions, element_weights, label_codes, make_loss

    with tempfile.TemporaryDirectory() as folder:
        dataset = toy_data(Path(folder) / "d.h5", 128 * options.batches, options.tasks)
        spec = ModelSpec(name="bench", tasks=tuple(dataset.tasks))
        codes = label_codes(dataset.labels, dataset.source_index, dataset.source_has_task, soft_unknown=True)
        weights = element_weights(codes, LossOptions(unknown_weight=0.1))
        augment = AugmentOptions(jitter=20, flank_mask=0.5, region_dropout=0.3)
        batches = EpochBatches(dataset, np.arange(len(dataset)), codes, 128, augment, seed=0)
        network = build_model(spec)
        pipeline_model = training_model(network, spec)
        ready_model = keras.Model(network.inputs, network.outputs)
        for model in (pipeline_model, ready_model):
            model.compile(optimizer=keras.optimizers.Adam(), loss=make_loss(weights), jit_compile=False)
        seq, region = dataset.centred_codes(slice(None))
        arrays = [one_hot(seq), one_hot(region)]

        def ready(_round):
            ready_model.fit(arrays, codes, batch_size=128, shuffle=False, verbose=0)

        def pipeline(number):
            pipeline_model.fit(as_tf_dataset(batches, number, spec), verbose=0)

        seconds: dict[str, list[float]] = {"ready": [], "pipeline": []}
        cpu: dict[str, list[float]] = {"ready": [], "pipeline": []}
        for number in range(options.rounds + 1):
            for name, run in (("ready", ready), ("pipeline", pipeline)):
                began, began_cpu = time.perf_counter(), time.process_time()
                run(number)
                if number:  # the first round compiles
                    seconds[name].append(time.perf_counter() - began)
                    cpu[name].append(time.process_time() - began_cpu)
        only = []
        for number in range(3):
            began = time.perf_counter()
            for _ in batches.epoch(number):
                pass
            only.append(time.perf_counter() - began)
    rows = 128 * options.batches
    ratios = [r / p for r, p in zip(seconds["ready"], seconds["pipeline"], strict=True)]
    cpu_ratios = [r / p for r, p in zip(cpu["ready"], cpu["pipeline"], strict=True)]
    results = {
        **machine(),
        "tensorflow": tf.__version__,
        "rows": rows,
        "rows_per_second": {name: round(rows / float(np.median(values)), 1) for name, values in seconds.items()},
        "batches_alone_rows_per_second": round(rows / min(only), 1),
        "throughput_ratio_median": round(float(np.median(ratios)), 3),
        "cpu_seconds": {name: round(float(np.median(values)), 2) for name, values in cpu.items()},
        "throughput_ratio_cpu_median": round(float(np.median(cpu_ratios)), 3),
        "throughput_ratio_cpu_rounds": [round(r, 3) for r in cpu_ratios],
        "throughput_ratio_rounds": [round(r, 3) for r in ratios],
    }
    for key, value in results.items():
        print(f"{key:32s} {value}")
    write_results("training_pipeline", results)


if __name__ == "__main__":
    main()
