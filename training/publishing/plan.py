"""What ``ripe-train tiers`` will do: disk, memory and time of every step, before it begins.

Speed of networks is measured here, by a few steps of training on made-up windows. Preparing is counted by what
``benchmarks/bench_prepare_genome.py`` and ``bench_annotation.py`` measured on 2 cores; sizes come from files, or from
the servers that have them.
"""

from __future__ import annotations

import gzip
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.network.spec import ModelSpec
from training.data.config import PrepareConfig
from training.data.peak_table import read_peak_table
from training.fetch.fetch import sizes
from training.fitting.config import FitConfig
from training.publishing.tiers import BACKGROUND_VARIANTS, TierOptions, own_network, training_order

FETCH_BYTES = 10e6  # per second: an assumption, not a measurement
BYTES_PER_PEAK = 20  # of gzipped narrowPeak, before the files are here
# benchmarks/results/prepare_genome.json: 8.9 million peaks in 304 s once genome and annotation (3.6 Gb) are indexed,
# which took 190 s, and 3.1 GB; annotation.json: 0.7 GB for the annotation alone.
INDEX_SECONDS = 190 / 3.6e9
PEAK_SECONDS = 304 / 8.9e6
PEAK_MEMORY = 2.4e9 / 8.9e6
BASE_MEMORY = 0.7e9
BASES = 3.1e9
BASES_PER_BYTE = 4  # of a gzipped genome
TRIAL_STEPS = 3


@dataclass(frozen=True)
class Step:
    """One step of the plan.

    Attributes
    ----------
    name, what : str
    disk, memory : float
        Bytes; NaN: not known yet.
    seconds : float
        Time it still takes; NaN: not known yet.
    done : bool
    """

    name: str
    what: str
    disk: float
    memory: float
    seconds: float
    done: bool


@dataclass(frozen=True)
class _Sites:
    """What is known of the data set: rows at most, share of them trained on, tasks."""

    rows: float
    train: float
    n_tasks: int


def make_plan(options: TierOptions) -> list[Step]:
    """Return the steps in their order.

    Raises
    ------
    RipeError
        For a wrong config, or servers that do not say what they have.
    """
    steps, peaks, n_tasks, bases = [], float("nan"), 0, BASES
    fetching = options.fetching()
    if fetching is not None:
        files = fetching.wanted()
        listed = sizes(files, options.sources, fetching.mirror)
        missing = sum(n or 0 for _, n, here in listed if not here)
        n_here = sum(here for _, _, here in listed)
        what = f"{len(files)} files, {n_here} of them here"
        total = sum(n or 0 for _, n, _ in listed)
        steps.append(Step("fetch", what, total, 0.1e9, missing / FETCH_BYTES, n_here == len(files)))
        peaks = float(f"{sum(n or 0 for f, n, _ in listed if f.task) / BYTES_PER_PEAK:.2g}")
        n_tasks = len({f.task for f in files if f.task})
        bases = BASES_PER_BYTE * sum(n or 0 for f, n, _ in listed if f.genome)
    prepare = options.preparing()
    if prepare.peaks is not None and prepare.peaks.table.is_file():
        tasks = read_peak_table(prepare.peaks.table)
        n_tasks, peaks = len(tasks), float(sum(_n_lines(path) for task in tasks for path in task.files))
    step, sites = _prepare_step(options, prepare, peaks, n_tasks, bases)
    steps.append(step)
    speeds = {}
    configs, publishing = options.networks(), options.publishing()
    shared = set().union(*training_order(options, set(options.wanted().values()) - set(publishing.alone)))
    for name, config in configs.items():
        done = (config.run / "weights.h5").is_file()
        speeds[name] = speed = _measured_speed(config, prepare, max(sites.n_tasks, 1))
        held_out = (sites.rows - sites.train) / speed.scoring
        seconds = config.epochs * (sites.train / speed.training + len(config.views) / 2 * held_out)
        what = (
            f"{config.epochs} epochs of {_number(sites.train)} windows, {speed.training:,.0f} windows/s measured here"
        )
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + 3 * sites.rows * sites.n_tasks
        if name in shared:
            steps.append(Step(f"fit {name}", what, 16 * speed.parameters, memory, 0 if done else seconds, done))
    for model, network in options.wanted().items():
        speed = speeds[network]
        # Calibration, and the test rows with and without annotation; two alleles of every variant. A network of the
        # model's own sees at most all windows.
        windows = 1.5 * (sites.rows - sites.train) + (2 * BACKGROUND_VARIANTS if publishing.backgrounds else 0)
        own = own_network(publishing, configs[network], network, model, ())
        learning = 0 if own is configs[network] else own.epochs * sites.train / speed.training
        here = (options.models / model / "model_card.md").is_file()
        what = "calibrated, measured, described" + (", here already" if here else "")
        disk = 4 * speed.parameters
        steps.append(Step(f"publish {model}", what, disk, steps[-1].memory, learning + windows / speed.scoring, False))
    return steps


def _prepare_step(
    options: TierOptions, prepare: PrepareConfig, peaks: float, n_tasks: int, bases: float
) -> tuple[Step, _Sites]:
    split, window = prepare.split, prepare.window
    if options.data.is_file():
        dataset = Dataset(options.data)
        rows, n_train = len(dataset), int((dataset.split == 0).sum())
        step = Step(
            "prepare", f"{_number(rows)} windows, here already", options.data.stat().st_size, BASE_MEMORY, 0, True
        )
        return step, _Sites(rows, n_train, len(dataset.tasks))
    width = window.sequence_length + window.region_length + 4 * window.margin + 8 * 4
    step = Step(
        "prepare",
        f"{n_tasks} experiments, about {_number(peaks)} peaks" if not np.isnan(peaks) else "ready tables",
        peaks * width,
        BASE_MEMORY + peaks * PEAK_MEMORY,
        bases * INDEX_SECONDS + peaks * PEAK_SECONDS,
        False,
    )
    return step, _Sites(peaks, peaks * (1 - split.valid - split.test), n_tasks)


def _n_lines(path: Path) -> int:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        return sum(1 for _ in lines)


@dataclass(frozen=True)
class Speed:
    """Windows per second of training and of scoring, and the number of parameters."""

    training: float
    scoring: float
    parameters: int


def _measured_speed(config: FitConfig, prepare: PrepareConfig, n_tasks: int) -> Speed:
    """Return how fast a network is on this machine."""
    from training.fitting.loop import build_model, keras, training_model

    spec = ModelSpec(
        name=config.name,
        tasks=tuple(f"T{n}" for n in range(n_tasks)),
        sequence_length=prepare.window.sequence_length,
        region_length=prepare.window.region_length,
        architecture=config.architecture,
        inputs=config.inputs,
        sizes=config.sizes,
    )
    network = build_model(spec)
    model = training_model(network, spec)
    model.compile(optimizer=keras.optimizers.Adam(), loss="binary_crossentropy", jit_compile=False)
    rng = np.random.default_rng(0)
    shapes = spec.input_shapes.items()
    arrays = [
        rng.random((config.batch_size, *shape)).astype(np.float32)
        if name == "landmarks"
        else rng.integers(0, 5, (config.batch_size, shape[0]), dtype=np.uint8)
        for name, shape in shapes
    ]
    labels = np.zeros((config.batch_size, n_tasks), dtype=np.float32)
    return Speed(
        config.batch_size / _seconds_of(lambda: model.train_on_batch(arrays, labels)),
        config.batch_size / _seconds_of(lambda: model.predict_on_batch(arrays)),
        network.count_params(),
    )


def _seconds_of(step: Callable[[], Any]) -> float:
    step()  # the first one compiles
    began = time.perf_counter()
    for _ in range(TRIAL_STEPS):
        step()
    return (time.perf_counter() - began) / TRIAL_STEPS


def plan_table(steps: list[Step]) -> str:
    """Return the plan as text."""
    rows = [("step", "what", "disk", "memory", "time")]
    rows += [(s.name, s.what, _bytes(s.disk), _bytes(s.memory), "done" if s.done else _time(s.seconds)) for s in steps]
    known = [step for step in steps if not np.isnan(step.seconds)]
    rows.append(
        (
            "all",
            "" if len(known) == len(steps) else "as far as it is known before the data set is there",
            _bytes(float(np.nansum([step.disk for step in steps]))),
            _bytes(float(np.nanmax([step.memory for step in steps]))),
            _time(sum(step.seconds for step in known)),
        )
    )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    aligned = "<<>>>"
    lines = ("  ".join(f"{cell:{a}{w}}" for cell, a, w in zip(row, aligned, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if not np.isnan(value) else "?"


def _bytes(value: float) -> str:
    if np.isnan(value):
        return "?"
    return f"{value / 1e9:.1f} GB" if value >= 1e8 else f"{value / 1e6:.1f} MB"


def _time(seconds: float) -> str:
    if np.isnan(seconds):
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
