"""Paired differences between two arms: the same windows, the same resamples, task by task."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from ripe_lib.evaluation.evaluate import Evaluation
from ripe_lib.evaluation.metrics import NEGATIVES, bootstrap, interval, mean_metrics, task_metrics

MEASURES = ("auroc", "ap")


class Comparison(NamedTuple):
    """``first`` against ``second``; positive differences mean that ``first`` is better."""

    comparison: str
    first: str
    second: str


def paired_differences(first: Evaluation, second: Evaluation, negatives: str) -> pd.DataFrame:
    """Compare two arms on the tasks both have.

    A row per task: ``task n n_pos``, and for each measure m of AUROC and AP ``m_first m_second m_difference
    m_difference_low m_difference_high``; ``reason`` says why a row is NaN.

    Parameters
    ----------
    first, second : Evaluation
        Of the same windows. The options of ``first`` give seed and number of paired draws; 0 leaves the intervals out.
    negatives : str
        ``"own"`` or ``"other"``.
    """
    options = first.options
    tasks = [task for task in first.tasks if task in second.tasks]
    labels = first.labels_with(negatives)[:, [first.tasks.index(task) for task in tasks]]
    scores = [arm.scores[:, [arm.tasks.index(task) for task in tasks]] for arm in (first, second)]
    tables = [task_metrics(labels, one, tasks=tasks) for one in scores]
    rng = np.random.default_rng([options.seed, NEGATIVES.index(negatives), 0xD1F])
    rows = []
    for index, generator in enumerate(rng.spawn(len(tasks))):
        ours, theirs = (table.iloc[index] for table in tables)
        row = {name: ours[name] for name in ("task", "n", "n_pos")}
        asked = labels[:, index], [one[:, index] for one in scores]
        drawn = bootstrap(*asked, n_bootstrap=options.n_bootstrap, rng=generator, groups=first.cluster)
        for measure, draws in zip(MEASURES, drawn, strict=True):
            row[f"{measure}_first"], row[f"{measure}_second"] = ours[measure], theirs[measure]
            row[f"{measure}_difference"] = ours[measure] - theirs[measure]
            bounds = (np.nan, np.nan)
            if options.n_bootstrap and not ours["reason"]:
                bounds = interval(draws[:, 0] - draws[:, 1])
            row[f"{measure}_difference_low"], row[f"{measure}_difference_high"] = bounds
        rows.append({**row, "reason": ours["reason"]})
    return pd.DataFrame(rows)


def paired_test(differences: pd.DataFrame, measure: str) -> dict[str, float]:
    """Test over tasks whether the differences are centred on zero.

    ``wilcoxon_p``: signed ranks, two-sided, zeros by Pratt's rule; NaN below two tasks or if all differences are zero.
    """
    from scipy.stats import wilcoxon

    defined = differences[differences["reason"] == ""]
    values = defined[f"{measure}_difference"].to_numpy(dtype=float)
    result = {
        "n_tasks": len(values),
        **{f"mean_{what}": defined[f"{measure}_{what}"].mean() for what in ("first", "second", "difference")},
        "median_difference": defined[f"{measure}_difference"].median(),
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


def compare_all(comparisons: list[Comparison], arms: dict[str, Evaluation]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return differences (rows per task) and tests (rows per comparison and measure) of one comparison or more."""
    differences, tests = [], []
    for comparison, negatives in product(comparisons, NEGATIVES):
        table = paired_differences(arms[comparison.first], arms[comparison.second], negatives)
        names = {**comparison._asdict(), "negatives": negatives}
        differences.append(pd.DataFrame(names, index=table.index).join(table))
        tests += [{**names, "measure": measure, **paired_test(table, measure)} for measure in MEASURES]
    return pd.concat(differences, ignore_index=True), pd.DataFrame(tests)


def arm_tables(arms: dict[str, Evaluation]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return metrics of every arm and task, and means of every arm."""
    tasks, means = [], []
    for (arm, evaluation), negatives in product(arms.items(), NEGATIVES):
        table, draws = evaluation.table_and_draws(negatives)
        names = {"arm": arm, "negatives": negatives}
        tasks.append(pd.DataFrame(names, index=table.index).join(table))
        means.append({**names, **mean_metrics(table, draws)})
    return pd.concat(tasks, ignore_index=True), pd.DataFrame(means)
