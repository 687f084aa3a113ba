"""What is asked of the shipped network beyond its accuracy, measured on the untouched test split.

``python -m training.publishing.shipped`` writes it to ``docs/results/shipped_checks.csv``:

* without region types the same weights should be as good as a network that never had any (the twin);
* real flanks should take nothing away from what 101 known bases give;
* each source's own windows by themselves.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.evaluation.dataset import NEGATIVE, POSITIVE, Dataset
from ripe_lib.evaluation.metrics import auroc, average_precision
from ripe_lib.genome.encoding import UNKNOWN
from ripe_lib.network.load import Model
from ripe_lib.network.predict import predict_codes
from ripe_lib.output.atomic import atomic_file
from training.fitting.batches import has_flanks, mask_flanks

CHECKS_FILE = Path(__file__).resolve().parents[2] / "docs" / "results" / "shipped_checks.csv"


def shipped_checks(model: Model, twin: Model, dataset: Dataset, *, split: str = "test") -> pd.DataFrame:
    """Measure one model in several views.

    Parameters
    ----------
    model : Model
        With region types.
    twin : Model
        Sequence only, trained on the same data with the same settings; has at least the model's tasks.
    dataset : Dataset
    split : str

    Returns
    -------
    DataFrame
        One row per ``sites``, ``network`` and ``input``: ``tasks`` (how many are defined) and their mean ``auroc`` and
        ``ap``, each task's positives against its own negatives.
    """
    rows = dataset.indices(split)
    seq, region = dataset.centred_codes(rows)
    labels = dataset.labels[rows][:, [dataset.task_index(task) for task in model.tasks]]
    columns = [twin.tasks.index(task) for task in model.tasks]
    withheld = np.full_like(region, UNKNOWN)
    flanked = has_flanks(seq)
    every = np.ones(len(rows), dtype=bool)
    cut = mask_flanks(seq, every), mask_flanks(region, every)
    given = predict_codes(model, seq, region)
    views = [
        ("all", "shipped", "sequence and region types", given, every),
        *(
            (f"of {name}", "shipped", "sequence and region types", given, dataset.source_index[rows] == source)
            for source, name in enumerate(dataset.sources)
        ),
        ("all", "shipped", "sequence", predict_codes(model, seq, withheld), every),
        ("all", "twin without region input", "sequence", predict_codes(twin, seq)[:, columns], every),
        ("with real flanks", "shipped", "150 known bases", given, flanked),
        ("with real flanks", "shipped", "101 known bases", predict_codes(model, *cut), flanked),
    ]
    return pd.DataFrame(
        [
            {"sites": sites, "network": network, "input": view, **mean_accuracy(labels[kept], scores[kept])}
            for sites, network, view, scores, kept in views
        ]
    )


def mean_accuracy(labels: NDArray[np.int8], scores: NDArray[np.float32]) -> dict[str, float]:
    """Return ``tasks``, ``auroc`` and ``ap`` over the columns of labels (n, T) that have both classes."""
    found = []
    for column, score in zip(labels.T, scores.T, strict=True):
        known = (column == POSITIVE) | (column == NEGATIVE)
        bound = (column[known] == POSITIVE).astype(int)
        if 0 < bound.sum() < len(bound):
            found.append((auroc(bound, score[known]), average_precision(bound, score[known])))
    means = np.mean(found, axis=0) if found else (np.nan, np.nan)
    return {"tasks": len(found), "auroc": float(means[0]), "ap": float(means[1])}


def write_checks(table: pd.DataFrame, path: Path = CHECKS_FILE) -> None:
    """Write the table as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f")
