"""Paired differences between two arms: the same windows, the same resamples, task by task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ripe_lib.evaluation.evaluate import Evaluation
from ripe_lib.evaluation.metrics import NEGATIVES, bootstrap, interval, mean_metrics, task_metrics

MEASURES = ("auroc", "ap")


@dataclass(frozen=True)
class Comparison:
    """``first`` against ``second``; positive differences mean that ``first`` is better."""

    name: str
    first: str
    second: str


def paired_differences(
    first: Evaluation, second: Evaluation, negatives: str, n_bootstrap: int, seed: int
) -> pd.DataFrame:
    """Compare two arms on the tasks both have.

    Parameters
    ----------
    first, second : Evaluation
        Of the same windows.
    negatives : str
        ``"own"`` or ``"other"``.
    n_bootstrap : int
        Paired draws; 0 leaves the intervals out.
    seed : int

    Returns
    -------
    DataFrame
        One row per task: ``task n n_pos``, and for each measure m of AUROC and AP ``m_first m_second m_difference
        m_difference_low m_difference_high``; ``reason`` says why a row is NaN.
    """
    tasks = [task for task in first.tasks if task in second.tasks]
    labels = first.labels_with(negatives)[:, [first.tasks.index(task) for task in tasks]]
    scores = [arm.scores[:, [arm.tasks.index(task) for task in tasks]] for arm in (first, second)]
    tables = [task_metrics(labels, one, tasks=tasks) for one in scores]
    rng = np.random.default_rng([seed, NEGATIVES.index(negatives), 0xD1F])
    rows = []
    for index, (task, generator) in enumerate(zip(tasks, rng.spawn(len(tasks)), strict=True)):
        ours, theirs = (table.iloc[index] for table in tables)
        row = {"task": task, "n": ours["n"], "n_pos": ours["n_pos"]}
        asked = labels[:, index], [one[:, index] for one in scores]
        drawn = bootstrap(*asked, n_bootstrap=n_bootstrap, rng=generator, groups=first.cluster)
        draws = dict(zip(MEASURES, drawn, strict=True))
        for measure in MEASURES:
            row[f"{measure}_first"], row[f"{measure}_second"] = ours[measure], theirs[measure]
            row[f"{measure}_difference"] = ours[measure] - theirs[measure]
            low, high = np.nan, np.nan
            if n_bootstrap and not ours["reason"]:
                low, high = interval(draws[measure][:, 0] - draws[measure][:, 1])
            row[f"{measure}_difference_low"], row[f"{measure}_difference_high"] = low, high
        rows.append({**row, "reason": ours["reason"]})
    return pd.DataFrame(rows)


def paired_test(differences: pd.DataFrame, measure: str) -> dict[str, float]:
    """Test over tasks whether the differences are centred on zero.

    Returns
    -------
    dict
        ``n_tasks``, ``mean_first``, ``mean_second``, ``mean_difference``, ``median_difference``, ``n_better`` and
        ``n_worse`` (of ``first``), ``wilcoxon_p`` (signed ranks, two-sided, zeros by Pratt's rule; NaN below two tasks
        or when all differences are zero).
    """
    from scipy.stats import wilcoxon

    defined = differences[differences["reason"] == ""]
    values = defined[f"{measure}_difference"].to_numpy(dtype=float)
    result = {
        "n_tasks": len(values),
        "mean_first": defined[f"{measure}_first"].mean(),
        "mean_second": defined[f"{measure}_second"].mean(),
        "mean_difference": values.mean() if len(values) else np.nan,
        "median_difference": float(np.median(values)) if len(values) else np.nan,
        "n_better": int((values > 0).sum()),
        "n_worse": int((values < 0).sum()),
        "wilcoxon_p": np.nan,
    }
    if len(values) >= 2 and (values != 0).any():
        # The exact distribution knows neither zeros nor ties.
        exact = len(values) <= 50 and (values != 0).all() and len(np.unique(np.abs(values))) == len(values)
        method = "exact" if exact else "approx"
        result["wilcoxon_p"] = float(wilcoxon(values, zero_method="pratt", method=method).pvalue)
    return result


def compare_all(
    comparisons: list[Comparison], arms: dict[str, Evaluation], n_bootstrap: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return differences (rows per task) and tests (rows per comparison and measure) of all comparisons.

    Parameters as :func:`paired_differences`, with the evaluations by arm.
    """
    differences, tests = [], []
    for comparison in comparisons:
        for negatives in NEGATIVES:
            table = paired_differences(arms[comparison.first], arms[comparison.second], negatives, n_bootstrap, seed)
            names = {
                "comparison": comparison.name,
                "first": comparison.first,
                "second": comparison.second,
                "negatives": negatives,
            }
            differences.append(pd.DataFrame(names, index=table.index).join(table))
            for measure in MEASURES:
                tests.append({**names, "measure": measure, **paired_test(table, measure)})
    if not differences:
        return pd.DataFrame(), pd.DataFrame()
    return pd.concat(differences, ignore_index=True), pd.DataFrame(tests)


def arm_tables(arms: dict[str, Evaluation]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return metrics of every arm and task, and means of every arm."""
    tasks, means = [], []
    for arm, evaluation in arms.items():
        for negatives in NEGATIVES:
            table, draws = evaluation.table_and_draws(negatives)
            tasks.append(table.assign(arm=arm, negatives=negatives))
            means.append({"arm": arm, "negatives": negatives, **mean_metrics(table, draws)})
    per_task = pd.concat(tasks, ignore_index=True)
    first = ["arm", "negatives", "task"]
    return per_task[[*first, *(c for c in per_task.columns if c not in first)]], pd.DataFrame(means)
