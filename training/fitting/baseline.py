"""The baseline every figure stands beside: logistic regression on k-mers and region types, one per task.

``python -m training.fitting.baseline DATASET [--split valid] [--tasks TASK ...] [--bound-only]`` prints its table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from ripe_lib.evaluation.dataset import NEGATIVE, POSITIVE, Dataset
from ripe_lib.evaluation.metrics import task_metrics
from ripe_lib.genome.encoding import UNKNOWN, Codes

LONGEST = 5
_STRENGTH = 3e-4  # inverse penalty, the best on validation; features are scaled to unit variance


def kmer_features(seq: Codes, region: Codes) -> NDArray[np.float32]:
    """Return numbers of all k-mers (k = 1 .. 5) and shares of the 5 region types, float32, a row per window.

    They are those of base codes (N, L) and region-type codes (N, R); k-mers with an unknown base do not count.
    """
    columns = []
    n, length = seq.shape
    for k in range(1, LONGEST + 1):
        words = np.zeros((n, length - k + 1), dtype=np.int64)
        known = np.ones_like(words, dtype=bool)
        for offset in range(k):
            part = seq[:, offset : offset + words.shape[1]]
            words = words * 4 + part
            known &= part != UNKNOWN
        row = np.broadcast_to(np.arange(n)[:, None], words.shape)
        flat = (row * 4**k + words)[known]
        columns.append(np.bincount(flat, minlength=n * 4**k).reshape(n, 4**k))
    shares = np.stack([(region == code).mean(axis=1) for code in range(UNKNOWN + 1)], axis=1)
    return np.concatenate([*columns, shares], axis=1).astype(np.float32)


def kmer_scores(
    dataset: Dataset,
    tasks: Sequence[str],
    *,
    split: str = "test",
    bound_only: bool = False,
    sources: Sequence[str] | None = None,
    train_on: Sequence[str] = ("train",),
) -> pd.DataFrame:
    """Fit one regression per task on the training rows and score another split: float32, a column per task, by row.

    A task whose training rows lack a class scores 0.5 everywhere.

    Parameters
    ----------
    dataset : Dataset
    tasks : sequence of str
    split : str
        ``"valid"`` or ``"test"``.
    bound_only : bool
        Rows that one of the tasks has as a site, in training as in scoring (the paper's tiers).
    sources : sequence of str, optional
        Rows of these sources, in training as in scoring.
    train_on : sequence of str
        Splits whose rows are the training rows.
    """
    labels = dataset.labels[:, [dataset.task_index(task) for task in tasks]]
    kept = (labels == POSITIVE).any(axis=1) if bound_only else np.ones(len(labels), dtype=bool)
    if sources is not None:
        kept &= np.isin(dataset.source, list(sources))
    fitted = np.concatenate([dataset.indices(name) for name in train_on])
    rows, asked = (found[kept[found]] for found in (fitted, dataset.indices(split)))
    train, held_out = (kmer_features(*dataset.centred_codes(found)) for found in (rows, asked))
    centre, scale = train.mean(axis=0), train.std(axis=0)
    scale[scale == 0] = 1
    train, held_out = (train - centre) / scale, (held_out - centre) / scale
    scores = np.full((len(asked), len(tasks)), 0.5, dtype=np.float32)
    for column, label in enumerate(labels[rows].T):
        known = (label == POSITIVE) | (label == NEGATIVE)
        bound = (label[known] == POSITIVE).astype(int)
        if 0 < bound.sum() < len(bound):
            model = LogisticRegression(C=_STRENGTH, max_iter=60, tol=1e-3).fit(train[known], bound)
            scores[:, column] = model.predict_proba(held_out)[:, 1]
    return pd.DataFrame(scores, columns=list(tasks), index=asked)


def kmer_baseline(dataset: Dataset, tasks: Sequence[str], **rows: Any) -> pd.DataFrame:
    """Measure :func:`kmer_scores`, arguments as there: ``task n_pos n_neg auroc ap``, NaN where a class lacks."""
    scores = kmer_scores(dataset, tasks, **rows)
    labels = dataset.labels[scores.index][:, [dataset.task_index(task) for task in tasks]]
    return task_metrics(labels, scores.to_numpy(), tasks=tasks)[["task", "n_pos", "n_neg", "auroc", "ap"]]


def main(argv: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="k-mer logistic regression, one per task")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split", default="valid", choices=("valid", "test"))
    parser.add_argument("--tasks", nargs="+", help="default: all")
    parser.add_argument("--bound-only", action="store_true", help="only rows one of the tasks has as a site")
    args = parser.parse_args(argv)
    dataset = Dataset(args.dataset)
    table = kmer_baseline(dataset, args.tasks or dataset.tasks, split=args.split, bound_only=args.bound_only)
    table.to_csv(sys.stdout, sep="\t", index=False, float_format="%.4f")
    return 0


if __name__ == "__main__":
    sys.exit(main())
