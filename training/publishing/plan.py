"""What ``ripe-train tiers`` will do: disk, memory and time of every step, before it begins.

Speed of networks is measured here, by a few steps of training on made-up windows. Preparing is counted by what
``benchmarks/bench_prepare_genome.py`` and ``bench_annotation.py`` measured on 2 cores; sizes come from files, or from
the servers that have them.
"""

from __future__ import annotations

import gzip
import resource
import time
from collections.abc import Callable, Sequence
from math import isnan, nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ripe_lib.evaluation.dataset import POSITIVE, Dataset
from ripe_lib.network.spec import ModelSpec
from training.data.config import PrepareConfig
from training.data.peak_table import read_peak_table
from training.fetch.fetch import sizes
from training.fitting.config import FitConfig
from training.publishing.config import PublishConfig, own_network
from training.publishing.tiers import BACKGROUND_VARIANTS, TierOptions, peaks_of, record_of, training_order

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


class Step(NamedTuple):
    """One step of the plan: bytes of disk and memory, and seconds it still takes; NaN is not known yet."""

    name: str
    what: str
    disk: float
    memory: float
    seconds: float
    done: bool


class Speed(NamedTuple):
    """Windows per second of training and of scoring, and the number of parameters."""

    training: float
    scoring: float
    parameters: int


class _Sites(NamedTuple):
    """What is known of the data set: rows at most, those trained on, and peaks by task; itself once it is there."""

    rows: float
    train: float
    peaks: dict[str, float]
    dataset: Dataset | None = None

    def of(self, publishing: PublishConfig, model: str) -> tuple[list[str], float]:
        """Return a model's tasks, none where nothing is known, and the share of all rows that one has as a site."""
        tasks = publishing.tasks(model, self.peaks) if self.peaks else []
        return tasks, self.share(tasks)

    def share(self, tasks: Sequence[str]) -> float:
        """Return the share of all rows that one of some tasks has as a site; 1 where nothing is known."""
        if not self.peaks:
            return 1.0
        if self.dataset is None:
            return sum(self.peaks[task] for task in tasks) / sum(self.peaks.values())
        columns = [self.dataset.task_index(task) for task in tasks]
        return float((self.dataset.labels[:, columns] == POSITIVE).any(axis=1).mean())

    def seconds(self, config: FitConfig, speed: Speed, share: float = 1.0) -> float:
        """Return what all epochs take on this share of the rows; half of those held out are looked at after each."""
        held_out = len(config.views) / 2 * (self.rows - self.train)
        return config.epochs * share * (self.train / speed.training + held_out / speed.scoring)


def make_plan(options: TierOptions) -> list[Step]:
    """Return the steps in their order; asks the servers what they have."""
    steps, bases = [], BASES
    peaks: dict[str, float] = {}
    if (fetching := options.fetching()) is not None:
        listed = sizes(fetching.wanted(), options.sources, fetching.mirror)
        missing = sum(n or 0 for _, n, here in listed if not here)
        total, n_here = sum(n or 0 for _, n, _ in listed), sum(here for _, _, here in listed)
        what = f"{len(listed)} files, {n_here} of them here"
        steps.append(Step("fetch", what, total, 0.1e9, missing / FETCH_BYTES, n_here == len(listed)))
        for file, size, _ in listed:
            if file.task:
                peaks[file.task] = peaks.get(file.task, 0) + (size or 0) / BYTES_PER_PEAK
        bases = BASES_PER_BYTE * sum(n or 0 for file, n, _ in listed if file.genome)
    prepare = options.preparing()
    if prepare.peaks is not None and prepare.peaks.table.is_file():
        peaks = {task.task: sum(map(_n_lines, task.files)) for task in read_peak_table(prepare.peaks.table)}
    step, sites = _prepare_step(options, prepare, peaks, bases)
    steps.append(step)
    configs, publishing, wanted = options.networks(sites.peaks), options.publishing(), options.wanted()
    of = {model: sites.of(publishing, model) for model in wanted}
    every = max(len(sites.peaks), 1)
    shared = set().union(*training_order(options, set(wanted.values()) - set(publishing.alone)))
    # Frozen layers cost no gradient, so a tuned network is faster than the one it starts from.
    speeds = {
        (name, configs[name].trainable): _measured_speed(configs[name], prepare, every)
        for name in shared | set(wanted.values())
    }
    for name, config in configs.items():
        if name in shared:
            speed = speeds[name, config.trainable]
            done = (config.run / "weights.h5").is_file()
            rows = sites.share(config.tasks) if config.sampling.bound_only and config.tasks else 1.0
            what = f"{config.epochs} epochs of {_number(rows * sites.train)} windows"
            what += f", {speed.training:,.0f} windows/s measured here"
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + 3 * sites.rows * every
            seconds = 0 if done else sites.seconds(config, speed, rows)
            steps.append(Step(f"fit {name}", what, 16 * speed.parameters, memory, seconds, done))
    for model, network in wanted.items():
        tasks, share = of[model]
        if sites.peaks and not tasks:
            steps.append(Step(f"publish {model}", "no task has so many peaks", 0, 0, 0, True))
            continue
        base = configs[network]
        own, scoring = own_network(publishing, base, network, model, tasks), speeds[network, base.trainable]
        trained = (own.run / "weights.h5").is_file()
        what, seconds, disk = "calibrated, measured, described", 0.0, 4 * scoring.parameters
        if own is not base:
            disk += 16 * scoring.parameters
            if (network, own.trainable) not in speeds:
                speeds[network, own.trainable] = _measured_speed(own, prepare, every)
            if not trained:
                rows = share if own.sampling.bound_only else 1.0
                seconds = sites.seconds(own, speeds[network, own.trainable], rows)
                what = f"{own.epochs} epochs of {_number(rows * sites.train)} windows, then {what}"
        # Calibration, and the test rows with and without annotation; two alleles of every variant.
        windows = 1.5 * (sites.rows - sites.train) * (share if publishing.bound_only else 1.0)
        windows += 2 * BACKGROUND_VARIANTS if publishing.backgrounds else 0
        seconds += windows / scoring.scoring
        done = (
            trained
            and sites.dataset is not None
            and options.is_published(model, record_of(publishing, own.run, sites.dataset, tasks))
        )
        steps.append(Step(f"publish {model}", what, disk, steps[-1].memory, 0 if done else seconds, done))
    return steps


def _prepare_step(
    options: TierOptions, prepare: PrepareConfig, by_task: dict[str, float], bases: float
) -> tuple[Step, _Sites]:
    if options.data.is_file():
        dataset = Dataset(options.data)
        rows, n_train = len(dataset), int((dataset.split == 0).sum())
        what = f"{_number(rows)} windows, here already"
        step = Step("prepare", what, options.data.stat().st_size, BASE_MEMORY, 0, True)
        return step, _Sites(rows, n_train, peaks_of(dataset), dataset)
    split, window = prepare.split, prepare.window
    peaks = float(f"{sum(by_task.values()):.2g}") if by_task else nan
    width = window.sequence_length + window.region_length + 4 * window.margin + 8 * 4
    what = f"{len(by_task)} experiments, about {_number(peaks)} peaks" if by_task else "ready tables"
    memory = BASE_MEMORY + peaks * len(by_task) * PEAK_MEMORY
    step = Step("prepare", what, peaks * width, memory, bases * INDEX_SECONDS + peaks * PEAK_SECONDS, False)
    return step, _Sites(peaks, peaks * (1 - split.valid - split.test), by_task)


def _n_lines(path: Path) -> int:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        return sum(1 for _ in lines)


def _measured_speed(config: FitConfig, prepare: PrepareConfig, n_tasks: int) -> Speed:
    """Return how fast a network is on this machine."""
    from training.fitting.loop import build_model, fed_shapes, keras, training_model
    from training.fitting.start import freeze

    spec = ModelSpec(
        tasks=tuple(f"T{n}" for n in range(n_tasks)),
        sequence_length=prepare.window.sequence_length,
        region_length=prepare.window.region_length,
        **{name: getattr(config, name) for name in ("name", "architecture", "inputs", "sizes")},
    )
    network = build_model(spec)
    freeze(network, config.trainable)
    model = training_model(network, spec)
    model.compile(optimizer=keras.optimizers.Adam(), loss="binary_crossentropy", jit_compile=False)
    rng, n = np.random.default_rng(0), config.batch_size
    arrays = [rng.integers(0, 5, (n, *shape)).astype(kind) for shape, kind in fed_shapes(spec).values()]
    labels = np.zeros((n, n_tasks), dtype=np.float32)
    training = n / _seconds_of(lambda: model.train_on_batch(arrays, labels))
    return Speed(training, n / _seconds_of(lambda: model.predict_on_batch(arrays)), network.count_params())


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
    is_known = not any(isnan(step.seconds) for step in steps)
    what = "" if is_known else "as far as it is known before the data set is there"
    disk, seconds = (float(np.nansum([getattr(step, name) for step in steps])) for name in ("disk", "seconds"))
    rows.append(("all", what, _bytes(disk), _bytes(float(np.nanmax([step.memory for step in steps]))), _time(seconds)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:{a}{w}}" for cell, a, w in zip(row, "<<>>>", widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _number(value: float) -> str:
    return "?" if isnan(value) else f"{value:,.0f}"


def _bytes(value: float) -> str:
    if isnan(value):
        return "?"
    return f"{value / 1e9:.1f} GB" if value >= 1e8 else f"{value / 1e6:.1f} MB"


def _time(seconds: float) -> str:
    if isnan(seconds):
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
