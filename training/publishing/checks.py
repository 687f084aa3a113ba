"""What a model makes of each of its inputs, beside the k-mer baseline, on the untouched test split.

``python -m training.publishing.checks MODEL DATASET`` writes ``docs/results/checks_<model>.csv``: the accuracy of every
task with everything given, with real flanks hidden, without landmarks, and from sequence alone, and that of a logistic
regression on k-mers and region types (:mod:`training.fitting.baseline`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ripe_lib.errors import RipeError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.evaluate import rows_to_measure
from ripe_lib.evaluation.metrics import task_metrics
from ripe_lib.network.load import Model, load_model
from ripe_lib.network.predict import predict_codes
from training.fitting.baseline import kmer_baseline
from training.fitting.batches import mask_flanks
from training.fitting.runs import write_csv

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
FULL, BASELINE = "everything", "k-mer logistic regression"


def checks(
    model: Model, dataset: Dataset, *, sources: Sequence[str] | None = None, bound_only: bool = False
) -> pd.DataFrame:
    """Measure one model in several views, and the k-mer baseline, which is fitted on training rows of the same kind.

    A row per ``input`` and ``task``: ``n_pos n_neg auroc ap`` of its positives against its own negatives.

    Parameters
    ----------
    model : Model
    dataset : Dataset
        With all tasks of the model.
    sources, bound_only
        Rows, as :func:`ripe_lib.evaluation.evaluate.score_dataset` has them.
    """
    columns = [dataset.task_index(task) for task in model.tasks]
    rows = rows_to_measure(dataset, dataset.indices("test"), columns, sources, bound_only)
    labels = dataset.labels[rows][:, columns]
    (seq, region), landmarks = dataset.centred_codes(rows), dataset.landmarks(rows)
    cut = mask_flanks(seq, np.ones(len(rows), dtype=bool))
    views = {FULL: predict_codes(model, seq, region, landmarks)}
    views["101 known bases"] = predict_codes(model, cut, region, landmarks)
    if model.spec.has_landmarks:
        views["no landmarks"] = predict_codes(model, seq, region)
    views["sequence alone"] = predict_codes(model, seq)
    views["sequence alone, 101 known bases"] = predict_codes(model, cut)
    tables = {name: task_metrics(labels, scores, tasks=model.tasks) for name, scores in views.items()}
    tables[BASELINE] = kmer_baseline(dataset, model.tasks, sources=sources, bound_only=bound_only)
    every = pd.concat([table.assign(input=name) for name, table in tables.items()], ignore_index=True)
    return every[["input", "task", "n_pos", "n_neg", "auroc", "ap"]]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return means over tasks of a table of :func:`checks`, or of several models' (column ``model``).

    A row per ``input``: ``tasks`` (how many are defined), mean ``auroc`` and ``ap``, and in how many tasks each is
    above that of the k-mer baseline (``auroc_above``, ``ap_above``).
    """
    keys = [name for name in ("model", "task") if name in table]
    views = {name: rows.set_index(keys)[["auroc", "ap"]].dropna() for name, rows in table.groupby("input", sort=False)}
    rows = []
    for name, view in views.items():
        above = (view > views[BASELINE].reindex(view.index)).sum().add_suffix("_above")
        rows.append({"input": name, "tasks": len(view), **view.mean(), **above})
    return pd.DataFrame(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit codes as ``ripe``."""
    parser = argparse.ArgumentParser(prog="python -m training.publishing.checks", description=__doc__.split("\n")[0])
    parser.add_argument("model", help="name or directory of a model")
    parser.add_argument("dataset", type=Path, help="the data set it was made from")
    parser.add_argument("--sources", nargs="+", help="rows of these sources only")
    parser.add_argument("--bound-only", action="store_true", help="only rows one of the tasks has as a site")
    args = parser.parse_args(argv)
    try:
        model = load_model(args.model)
        table = checks(model, Dataset(args.dataset), sources=args.sources, bound_only=args.bound_only)
    except RipeError as error:
        sys.stderr.write(f"checks: error: {error}\n")
        return 2
    path = RESULTS / f"checks_{model.name.removeprefix('DeepRiPe/')}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, table, float_format="%.6f")
    sys.stdout.write(f"written: {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
