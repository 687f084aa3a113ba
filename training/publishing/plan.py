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

from ripe_lib.evaluation.dataset import POSITIVE, Dataset
from ripe_lib.network.spec import ModelSpec
from training.data.config import PrepareConfig
from training.data.peak_table import read_peak_table
from training.fetch.fetch import sizes
from training.fitting.config import FitConfig
from training.publishing.config import PublishConfig, own_network
from training.publishing.tiers import BACKGROUND_VARIANTS, TierOptions, is_published, record_of, training_order

FETCH_BYTES = 10e6  # per second: an assumption, not a measurement
BYTES_PER_PEAK = 20  # of gzipped narrowPeak, before the files are here
# benchmarks/results/prepare_genome.json: 8.9 million peaks of 59 sets in 304 s once genome and annotation (3.6 Gb) are
# indexed, which took 190 s, and 3.1 GB; prepare_encode.json: 3.3 million of 150 sets in 2.9 GB; annotation.json: 0.7 GB
# for the annotation alone.
INDEX_SECONDS = 190 / 3.6e9
PEAK_SECONDS = 304 / 8.9e6
PEAK_MEMORY = 2.4e9 / (8.9e6 * 59)  # and per task
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
    """What is known of the data set: rows at most, those trained on, and peaks by task; itself once it is there."""

    rows: float
    train: float
    peaks: dict[str, float]
    dataset: Dataset | None = None

    def of(self, publishing: PublishConfig, model: str) -> tuple[list[str], float] | None:
        """Return a model's tasks and the share of all rows that one of them has as a site; None: not known yet."""
        if not self.peaks:
            return None
        counts = [{"task": task, "peaks": n} for task, n in self.peaks.items()]
        tasks = publishing.tasks(model, self.peaks, counts)
        if self.dataset is None:
            return tasks, sum(self.peaks.get(task, 0) for task in tasks) / sum(self.peaks.values())
        columns = [self.dataset.task_index(task) for task in tasks]
        return tasks, float((self.dataset.labels[:, columns] == POSITIVE).any(axis=1).mean())


def make_plan(options: TierOptions) -> list[Step]:
    """Return the steps in their order.

    Raises
    ------
    RipeError
        For a wrong config, or servers that do not say what they have.
    """
    steps, bases = [], BASES
    peaks: dict[str, float] = {}
    fetching = options.fetching()
    if fetching is not None:
        files = fetching.wanted()
        listed = sizes(files, options.sources, fetching.mirror)
        missing = sum(n or 0 for _, n, here in listed if not here)
        n_here = sum(here for _, _, here in listed)
        what = f"{len(files)} files, {n_here} of them here"
        total = sum(n or 0 for _, n, _ in listed)
        steps.append(Step("fetch", what, total, 0.1e9, missing / FETCH_BYTES, n_here == len(files)))
        for file, size, _ in listed:
            if file.task:
                peaks[file.task] = peaks.get(file.task, 0) + (size or 0) / BYTES_PER_PEAK
        bases = BASES_PER_BYTE * sum(n or 0 for f, n, _ in listed if f.genome)
    prepare = options.preparing()
    if prepare.peaks is not None and prepare.peaks.table.is_file():
        peaks = {task.task: sum(map(_n_lines, task.files)) for task in read_peak_table(prepare.peaks.table)}
    step, sites = _prepare_step(options, prepare, peaks, bases)
    steps.append(step)
    configs, publishing = options.networks(), options.publishing()
    wanted = options.wanted()
    of = {model: sites.of(publishing, model) for model in wanted}
    every = max(len(sites.peaks), 1)
    shared = set().union(*training_order(options, set(wanted.values()) - set(publishing.alone)))
    speeds = {name: _measured_speed(configs[name], prepare, every) for name in shared | set(wanted.values())}
    for name in (name for name in configs if name in shared):
        config, speed = configs[name], speeds[name]
        done = (config.run / "weights.h5").is_file()
        what = (
            f"{config.epochs} epochs of {_number(sites.train)} windows, {speed.training:,.0f} windows/s measured here"
        )
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + 3 * sites.rows * every
        seconds = 0 if done else _learning(config, sites, 1.0, speed)
        steps.append(Step(f"fit {name}", what, 16 * speed.parameters, memory, seconds, done))
    own_speeds: dict[tuple[str, ...], Speed] = {}
    for model, network in wanted.items():
        tasks, share = of[model] or ([], 1.0)
        scoring, what = speeds[network], "calibrated, measured, described"
        own = own_network(publishing, configs[network], network, model, tasks)
        seconds = 0.0
        if of[model] is not None and not tasks:
            steps.append(Step(f"publish {model}", "no task has so many peaks", 0, 0, 0, True))
            continue
        if own is not configs[network]:
            # Frozen layers cost no gradient, so a tuned network is faster than the one it starts from.
            if own.trainable not in own_speeds:
                own_speeds[own.trainable] = _measured_speed(own, prepare, every)
            speed = own_speeds[own.trainable]
            rows = share if own.sampling.bound_only else 1.0
            if not (own.run / "weights.h5").is_file():
                seconds = _learning(own, sites, rows, speed)
                what = f"{own.epochs} epochs of {_number(rows * sites.train)} windows, then {what}"
        # Calibration, and the test rows with and without annotation; two alleles of every variant.
        windows = 1.5 * (sites.rows - sites.train) * (share if publishing.bound_only else 1.0)
        windows += 2 * BACKGROUND_VARIANTS if publishing.backgrounds else 0
        done = (
            sites.dataset is not None
            and (own.run / "weights.h5").is_file()
            and is_published(options, model, record_of(publishing, own.run, sites.dataset, tasks))
        )
        seconds += windows / scoring.scoring
        disk = 4 * scoring.parameters + (16 * scoring.parameters if own is not configs[network] else 0)
        steps.append(Step(f"publish {model}", what, disk, steps[-1].memory, 0 if done else seconds, done))
    return steps


def _learning(config: FitConfig, sites: _Sites, share: float, speed: Speed) -> float:
    """Return the seconds of all epochs on this share of the rows; half of those held out are looked at after each."""
    held_out = len(config.views) / 2 * (sites.rows - sites.train)
    return config.epochs * share * (sites.train / speed.training + held_out / speed.scoring)


def _prepare_step(
    options: TierOptions, prepare: PrepareConfig, by_task: dict[str, float], bases: float
) -> tuple[Step, _Sites]:
    split, window = prepare.split, prepare.window
    if options.data.is_file():
        dataset = Dataset(options.data)
        rows, n_train = len(dataset), int((dataset.split == 0).sum())
        what = f"{_number(rows)} windows, here already"
        step = Step("prepare", what, options.data.stat().st_size, BASE_MEMORY, 0, True)
        found = {row["task"]: row["peaks"] for row in dataset.manifest.get("peaks", ())}
        return step, _Sites(rows, n_train, found or dict.fromkeys(dataset.tasks, float("nan")), dataset)
    peaks = float(f"{sum(by_task.values()):.2g}") if by_task else float("nan")
    width = window.sequence_length + window.region_length + 4 * window.margin + 8 * 4
    step = Step(
        "prepare",
        f"{len(by_task)} experiments, about {_number(peaks)} peaks" if by_task else "ready tables",
        peaks * width,
        BASE_MEMORY + peaks * len(by_task) * PEAK_MEMORY,
        bases * INDEX_SECONDS + peaks * PEAK_SECONDS,
        False,
    )
    return step, _Sites(peaks, peaks * (1 - split.valid - split.test), by_task)


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
    from training.fitting.loop import build_model, fed_shapes, keras, training_model
    from training.fitting.start import freeze

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
    freeze(network, config.trainable)
    model = training_model(network, spec)
    model.compile(optimizer=keras.optimizers.Adam(), loss="binary_crossentropy", jit_compile=False)
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 5, (config.batch_size, *shape)).astype(kind) for shape, kind in fed_shapes(spec).values()]
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
