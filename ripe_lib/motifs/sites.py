"""Motifs of many tasks at once: true sites from a prepared data set or a BED file, a search for each task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from ripe_lib.attribution.methods import IntervalSites, SiteCounts
from ripe_lib.errors import ShapeMismatchError, check_known
from ripe_lib.evaluation.dataset import SPLITS, Dataset
from ripe_lib.genome.encoding import Codes, codes_from_one_hot
from ripe_lib.genome.kmers import Extremes, enriched_kmers
from ripe_lib.genome.windows import Windows
from ripe_lib.motifs.databases import MotifDatabase
from ripe_lib.motifs.filters import FilterMotif, filter_motifs
from ripe_lib.motifs.find import MotifOptions, MotifSearch, search_motifs
from ripe_lib.network.catalogue import tasks_of
from ripe_lib.network.load import Model
from ripe_lib.network.predict import predict
from ripe_lib.output.console import note, steps

_FILTER_SITES = 2000
_SITES_AT_A_TIME = 4096


class TaskSites(NamedTuple):
    """True sites of a task: their windows, how many there are in all, and those with extreme scores."""

    task: str
    windows: Windows
    n_true: int
    extremes: Extremes


@dataclass
class FoundMotifs:
    """Motifs of several tasks: a search and a table of enriched k-mers each, and the first layer's filters."""

    searches: list[MotifSearch] = field(default_factory=list)
    enriched: dict[str, pd.DataFrame] = field(default_factory=dict)
    filters: list[FilterMotif] = field(default_factory=list)


def checked_splits(names: Sequence[str]) -> list[str]:
    """Return the splits of a data set that are meant; ``all`` stands for each."""
    for name in names or [""]:
        check_known("split", name, (*SPLITS, "all"))
    return list(SPLITS) if "all" in names else list(names)


def dataset_sites(
    model: Model, dataset: Dataset, tasks: Sequence[str], splits: Sequence[str], *, batch_size: int
) -> Iterator[TaskSites]:
    """Yield the positives of each task in some splits of a data set.

    Parameters
    ----------
    model, dataset, tasks, splits, batch_size
    """
    lengths = (dataset.sequence_length, dataset.region_length if model.spec.has_region else 0)
    expected = (model.spec.sequence_length, model.spec.region_length)
    if lengths != expected:
        raise ShapeMismatchError(
            f"{dataset.path}: expected windows of {expected} nt (sequence, region) as {model.name}, got {lengths}."
        )
    columns = [dataset.task_index(task) for task in tasks]
    chosen = np.flatnonzero(np.isin(dataset.split, [SPLITS.index(name) for name in splits]))
    for task, column in zip(tasks, columns, strict=True):
        rows = chosen[dataset.labels[chosen, column] == 1]
        windows, extremes = dataset.windows(rows), Extremes()
        if len(rows):
            values = predict(model, windows, batch_size=batch_size)[:, model.spec.task_index(task)]
            extremes.add(values, codes_from_one_hot(windows.seq))
        yield TaskSites(task, windows, len(rows), extremes)


def interval_sites(
    model: Model, source: IntervalSites, tasks: Sequence[str], min_score: float, *, batch_size: int
) -> Iterator[TaskSites]:
    """Yield, for each task, the sites of a BED file with a prediction above ``min_score``.

    Parameters
    ----------
    model, source, tasks, min_score, batch_size
    """
    counts, kept, scores = SiteCounts(), [], []
    columns = [model.spec.task_index(task) for task in tasks]
    extremes_of = [Extremes() for _ in tasks]
    for windows in steps(source.chunks(model.spec, _SITES_AT_A_TIME), "predicting"):
        counts.add(windows)
        values = predict(model, windows, batch_size=batch_size)[:, columns]
        codes = codes_from_one_hot(windows.seq)
        for column, extremes in enumerate(extremes_of):
            extremes.add(values[:, column], codes)
        rows = np.flatnonzero((values > min_score).any(axis=1))
        kept.append(windows[rows])
        scores.append(values[rows])
    counts.check(source.where)
    if remark := counts.remark():
        note(f"note: {remark}")
    joined = Windows.joined(kept)
    values = np.concatenate(scores)
    for column, task in enumerate(tasks):
        above = np.flatnonzero(values[:, column] > min_score)
        yield TaskSites(task, joined[above], counts.n_sites, extremes_of[column])


def motifs_of_tasks(
    model: Model,
    sites: Iterable[TaskSites],
    options: MotifOptions,
    *,
    database: MotifDatabase | None = None,
    n_filter_tasks: int = 0,
) -> FoundMotifs:
    """Search the motifs of every task.

    Parameters
    ----------
    model, sites, options, database
    n_filter_tasks : int
        Where not 0, the first layer's filters become motifs too, from the same number of sites of so many tasks.
    """
    proteins = dict(zip(model.tasks, tasks_of(model)["rbp"], strict=True))
    found = FoundMotifs()
    parts: list[Codes] = []
    for task, windows, n_true, extremes in sites:
        rbp = str(proteins.get(task) or "") or None
        found.searches.append(search_motifs(model, windows, task, options, database=database, rbp=rbp, n_true=n_true))
        found.enriched[task] = enriched_kmers(extremes)
        if n_filter_tasks:  # spread over all of them
            n = min(len(windows), max(1, _FILTER_SITES // n_filter_tasks))
            parts.append(codes_from_one_hot(windows.seq[np.linspace(0, len(windows) - 1, n).astype(int)]))
    if n_filter_tasks:
        found.filters = filter_motifs(model, np.concatenate(parts), database)
    return found
