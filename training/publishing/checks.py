"""What a model makes of each of its inputs, beside the k-mer baseline, on the untouched test split.

``python -m training.publishing.checks MODEL DATASET`` writes ``docs/results/checks_<model>.csv``: the mean accuracy
with everything given, with real flanks hidden, without landmarks, and from sequence alone, and that of a logistic
regression on k-mers and region types (:mod:`training.fitting.baseline`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.evaluation.dataset import NEGATIVE, POSITIVE, Dataset
from ripe_lib.evaluation.metrics import auroc, average_precision
from ripe_lib.network.load import Model, load_model
from ripe_lib.network.predict import predict_codes
from ripe_lib.output.atomic import atomic_file
from training.fitting.baseline import kmer_baseline
from training.fitting.batches import mask_flanks

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
BASELINE = "k-mer logistic regression"


def checks(
    model: Model,
    dataset: Dataset,
    *,
    split: str = "test",
    sources: Sequence[str] | None = None,
    bound_only: bool = False,
    baseline: bool = True,
) -> pd.DataFrame:
    """Measure one model in several views.

    Parameters
    ----------
    model : Model
    dataset : Dataset
        With all tasks of the model.
    split : str
    sources : sequence of str, optional
        Rows of these sources only.
    bound_only : bool
        Only rows that one of the tasks has as a site.
    baseline : bool
        Also fit the k-mer baseline on the training rows of the same kind.

    Returns
    -------
    DataFrame
        One row per ``input``: ``tasks`` (how many are defined) and their mean ``auroc`` and ``ap``, each task's
        positives against its own negatives.
    """
    columns = [dataset.task_index(task) for task in model.tasks]
    rows = dataset.indices(split)
    if sources is not None:
        rows = rows[np.isin(dataset.source[rows], list(sources))]
    labels = dataset.labels[rows][:, columns]
    if bound_only:
        kept = (labels == POSITIVE).any(axis=1)
        rows, labels = rows[kept], labels[kept]
    (seq, region), landmarks = dataset.centred_codes(rows), dataset.landmarks(rows)
    cut = mask_flanks(seq, np.ones(len(rows), dtype=bool))
    views = {
        "everything": predict_codes(model, seq, region, landmarks),
        "101 known bases": predict_codes(model, cut, region, landmarks),
        "no landmarks": predict_codes(model, seq, region),
        "sequence alone": predict_codes(model, seq),
        "sequence alone, 101 known bases": predict_codes(model, cut),
    }
    if not model.spec.has_landmarks:
        del views["no landmarks"]
    table = [{"input": name, **mean_accuracy(labels, scores)} for name, scores in views.items()]
    if baseline:
        found = kmer_baseline(dataset, model.tasks, split=split, bound_only=bound_only, sources=sources)
        means = {"tasks": int(found["auroc"].notna().sum()), "auroc": found["auroc"].mean(), "ap": found["ap"].mean()}
        table.append({"input": BASELINE, **means})
    return pd.DataFrame(table)


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


def checks_file(model: str, folder: Path = RESULTS) -> Path:
    """Return where the table of a model is kept."""
    return folder / f"checks_{model.removeprefix('DeepRiPe/')}.csv"


def write_checks(table: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f")


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.publishing.checks", description=__doc__.split("\n")[0])
    parser.add_argument("model", help="name or directory of a model")
    parser.add_argument("dataset", type=Path, help="the data set it was made from")
    parser.add_argument("--sources", nargs="+", help="rows of these sources only")
    parser.add_argument("--bound-only", action="store_true", help="only rows one of the tasks has as a site")
    args = parser.parse_args(argv)
    model = load_model(args.model)
    path = checks_file(model.name)
    write_checks(checks(model, Dataset(args.dataset), sources=args.sources, bound_only=args.bound_only), path)
    sys.stdout.write(f"written: {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
