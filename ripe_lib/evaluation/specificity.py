"""Does an output know its protein? Other experiments of it, and whose output ranks a protein's sites first."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ripe_lib.evaluation.dataset import NEGATIVE, POSITIVE
from ripe_lib.evaluation.evaluate import Evaluation, proteins_of
from ripe_lib.evaluation.metrics import auroc

FEWEST = 10  # sites below which an AUROC says nothing
CHANCE = 0.6  # AUROC below which an output does not know the sites


def cross_experiment(scored: Evaluation) -> pd.DataFrame:
    """Measure all outputs of a model, scored on held-out windows, on the other experiments of their proteins.

    Returns ``output sites n_pos auroc auroc_own``: the AUROC of ``output`` on the positives and sure negatives of
    ``sites``, and that of the output which was trained on them.
    """
    proteins = [proteins_of(task) for task in scored.label_tasks]
    records = []
    for sites, theirs in enumerate(proteins):
        label = scored.labels[:, sites]
        known = (label == POSITIVE) | (label == NEGATIVE)
        bound = (label[known] == POSITIVE).astype(int)
        if not FEWEST <= bound.sum() < len(bound):
            continue
        kin = [output for output, ours in enumerate(proteins) if ours & theirs]
        values = {output: auroc(bound, scored.scores[known, output]) for output in kin}
        about = scored.label_tasks[sites], int(bound.sum())
        records += [(scored.tasks[o], *about, values[o], values[sites]) for o in kin if o != sites]
    return pd.DataFrame(records, columns=["output", "sites", "n_pos", "auroc", "auroc_own"])


def quality(scored: Evaluation) -> dict[str, str]:
    """Return a remark on every output that is no better than chance on all other experiments of its protein."""
    remarks = {}
    for output, rows in cross_experiment(scored).groupby("output"):
        if rows["auroc"].max() < CHANCE:
            low, high = rows["auroc"].min(), rows["auroc"].max()
            remarks[str(output)] = f"near chance on other experiments of its protein (AUROC {low:.2f}-{high:.2f})"
    return remarks


def sites_by_output(scored: Evaluation) -> pd.DataFrame:
    """Return the AUROC of every output (columns) on every experiment's sites (rows) against other proteins' sites."""
    rows = {}
    for column, sites in enumerate(scored.label_tasks):
        positive, elsewhere = scored.labels[:, column] == POSITIVE, scored.bound_elsewhere[:, column]
        used = positive | elsewhere
        if positive.sum() >= FEWEST and elsewhere.any():
            rows[sites] = [auroc(positive[used].astype(int), score[used]) for score in scored.scores.T]
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(scored.tasks), dtype=float)


def own_rank(matrix: pd.DataFrame) -> pd.DataFrame:
    """Say which output finds a protein's sites best among other proteins' sites, from :func:`sites_by_output`.

    Returns ``sites own_output auroc rank best_other auroc_other``: the best output of the experiment's own protein, its
    place among the outputs of other proteins (1: none ranks these sites higher), and the best of those.
    """
    proteins = {name: proteins_of(name) for name in (*matrix.columns, *matrix.index)}
    records = []
    for sites, row in matrix.iterrows():
        own = np.array([bool(proteins[output] & proteins[str(sites)]) for output in matrix.columns])
        ours, others = row[own], row[~own]
        record = {"sites": sites, "own_output": ours.idxmax(), "auroc": ours.max(), "rank": 1}
        if len(others):
            record["rank"] += int((others > ours.max()).sum())
            record |= {"best_other": others.idxmax(), "auroc_other": others.max()}
        records.append(record)
    return pd.DataFrame(records, columns=["sites", "own_output", "auroc", "rank", "best_other", "auroc_other"])
