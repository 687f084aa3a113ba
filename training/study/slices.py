"""A small slice of a data set with the same layout, for quick studies."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.evaluation.dataset import SPLITS, Dataset
from training.data.store import SiteColumns, write_dataset


def write_slice(dataset: Dataset, path: Path, tasks: list[str], n_rows: int, seed: int) -> None:
    """Write a slice of a data set with some of its tasks.

    Per split and task: up to ``n_rows`` positives, twice as many negatives, and as many windows without any site.
    Parameters as :func:`write_rows`.
    """
    rng = np.random.default_rng([seed, 0x51C])
    bound = (dataset.labels == 1).any(axis=1)
    kept: set[int] = set()
    for code, task in product(range(len(SPLITS)), tasks):
        here, label = dataset.split == code, dataset.labels[:, dataset.task_index(task)]
        for wanted, number in ((label == 1, n_rows), (label == 0, 2 * n_rows), (~bound & (label == 0), n_rows)):
            rows = np.flatnonzero(wanted & here)
            kept.update(rng.choice(rows, min(number, len(rows)), replace=False).tolist())
    about = {"rows_per_task": n_rows, "seed": seed}
    write_rows(dataset, path, tasks, np.array(sorted(kept), dtype=np.int64), about)


def write_rows(
    dataset: Dataset,
    path: Path,
    tasks: list[str],
    rows: NDArray[np.int64],
    about: dict[str, Any],
    split: NDArray[np.uint8] | None = None,
) -> None:
    """Write some rows of a data set.

    Parameters
    ----------
    dataset, path
        Input and output.
    tasks, rows
        Label columns and rows to keep, in this order.
    about : dict
        Goes into the manifest.
    split : uint8 (N,), optional
        Other splits than the rows have.
    """
    columns = [dataset.task_index(task) for task in tasks]
    sites = dataset.intervals.iloc[rows]
    write_dataset(
        path,
        SiteColumns(
            **{name: sites[name].to_numpy() for name in ("chrom", "start", "end", "strand")},
            labels=dataset.labels[rows][:, columns],
            split=dataset.split[rows] if split is None else split,
            source=dataset.source_index[rows],
            cluster=dataset.cluster[rows],
            landmarks=dataset.landmarks(rows) if dataset.has_landmarks else None,
        ),
        lambda part: (dataset.seq_codes(rows[part]), dataset.region_codes(rows[part])),
        tasks=tasks,
        source_has_task=dataset.source_has_task[:, columns],
        manifest={"slice_of": dataset.manifest_sha256, **about},
        **{name: getattr(dataset, name) for name in ("sources", "sequence_length", "region_length", "margin")},
    )
