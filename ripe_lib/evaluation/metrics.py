"""Accuracy of scores against labels: arrays in, numbers with their uncertainty out.

Labels are 1 (positive), 0 (sure negative) and -1 (unknown: left out of that task). A value that cannot be computed is
NaN and its row says why; nothing is dropped. Everything random comes from the generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ripe_lib.errors import InputError, ShapeMismatchError
from ripe_lib.output.console import steps

NEGATIVES = ("own", "other")
METRIC_COLUMNS = ["task", "n", "n_pos", "n_neg", "auroc", "auroc_low", "auroc_high", "ap", "ap_low", "ap_high"]
METRIC_COLUMNS += ["ece", "reason"]
N_BINS = 10  # of the reliability curve
CONFIDENCE = 0.95  # coverage of all intervals
_BOOTSTRAP_CELLS = 4_000_000  # resampled counts held at a time: 32 MB


def check_labels_and_scores(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as 2-D arrays ``(N, T)``, labels int8 and scores float64, or say what is wrong with them."""
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim not in (1, 2):
        raise ShapeMismatchError(
            f"metrics: expected labels and scores of one shape (N,) or (N, T), got {labels.shape} and {scores.shape}."
        )
    if labels.ndim == 1:
        labels, scores = labels[:, None], scores[:, None]
    if len(others := labels[~np.isin(labels, (-1, 0, 1))]):
        raise InputError(f"metrics: expected labels -1 (unknown), 0 or 1, got {others[0]!r}.")
    if len(bad := np.argwhere(~np.isfinite(scores))):
        raise InputError(
            f"metrics: expected finite predictions, got {len(bad)} that are not (first: window {bad[0, 0]}, "
            f"task {bad[0, 1]}). The weights or the inputs hold NaN; check both."
        )
    return labels.astype(np.int8), scores


class _Ranked:
    """Rows of one task in falling order of score, equal scores in one group."""

    def __init__(self, scores: np.ndarray):
        self.order = np.argsort(-scores, kind="stable")
        ranked = scores[self.order]
        self.starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        self.thresholds = ranked[self.starts]

    def group_sums(self, weights: np.ndarray) -> np.ndarray:
        """(R, N) weights per row -> (R, G) per group of equal scores, best group first."""
        return np.add.reduceat(weights[:, self.order], self.starts, axis=1)

    def auroc_and_ap(self, positives: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(R, N) weights of positives and negatives -> (R,) AUROC and (R,) average precision."""
        pos, neg = self.group_sums(positives), self.group_sums(negatives)
        n_pos, n_neg = pos.sum(axis=1), neg.sum(axis=1)
        true, false = np.cumsum(pos, axis=1), np.cumsum(neg, axis=1)
        # A positive wins against all negatives ranked below its group and half of those inside it.
        auroc = (pos * (n_neg[:, None] - false + 0.5 * neg)).sum(axis=1) / (n_pos * n_neg)
        precision = true / np.maximum(true + false, np.finfo(float).tiny)
        return auroc, (pos * precision).sum(axis=1) / n_pos


def _undefined_reason(labels: np.ndarray) -> str:
    n_pos, n_neg = int((labels == 1).sum()), int((labels == 0).sum())
    if not n_pos and not n_neg:
        return "no labelled window"
    if not n_pos:
        return "no positive"
    return "" if n_neg else "no negative"


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve of one task: the share of (positive, negative) pairs in the right order, ties half.

    Labels (N,) are 1, 0, -1 (left out). Equals ``sklearn.metrics.roc_auc_score``, but for a missing class: NaN.
    """
    return _point_estimates(labels, scores)[0]


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Average precision of one task: precision at each positive's rank, averaged (no interpolation).

    Labels as :func:`auroc`. Equals ``sklearn.metrics.average_precision_score``, but for a missing class: NaN.
    """
    return _point_estimates(labels, scores)[1]


def _labelled(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and scores (n,) of one task's known windows, checked."""
    labels, scores = check_labels_and_scores(labels, scores)
    known = labels[:, 0] >= 0
    return labels[known, 0], scores[known, 0]


def _point_estimates(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    label, score = _labelled(labels, scores)
    if _undefined_reason(label):
        return float("nan"), float("nan")
    area, ap = _Ranked(score).auroc_and_ap((label == 1)[None].astype(float), (label == 0)[None].astype(float))
    return float(area[0]), float(ap[0])


def _resampled_counts(groups: np.ndarray, n_draws: int, generator: np.random.Generator) -> np.ndarray:
    """(n_draws, N): how often each row is drawn when whole groups (N,) are drawn with replacement."""
    _, group = np.unique(groups, return_inverse=True)
    n = int(group.max()) + 1
    drawn = generator.integers(0, n, size=(n_draws, n)) + n * np.arange(n_draws)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n * n_draws).reshape(n_draws, n).astype(np.float64)
    return counts[:, group.ravel()]


def bootstrap(
    labels: np.ndarray,
    scores: Sequence[np.ndarray],
    *,
    n_bootstrap: int,
    rng: np.random.Generator,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Resample one task's windows, positives and negatives apart, the same draw for every score given.

    Returns AUROC and AP (R, M), one column per score; NaN when a class is missing.

    Parameters
    ----------
    labels : (N,) int
        1, 0, -1 (left out).
    scores : sequence of (N,) float
        Scores of one or several models on the same windows; paired differences come from the same draws.
    n_bootstrap : int
        Number of draws, R.
    rng : Generator
    groups : (N,) int, optional
        Loci: windows of one are drawn together, because they are no independent evidence. Default: each its own.
    """
    labels = np.asarray(labels)
    known = labels >= 0
    label = labels[known]
    if not n_bootstrap or _undefined_reason(label):
        return np.full((n_bootstrap, len(scores)), np.nan), np.full((n_bootstrap, len(scores)), np.nan)
    ranked = [_Ranked(np.asarray(s, dtype=np.float64)[known]) for s in scores]
    group = np.arange(len(labels))[known] if groups is None else np.asarray(groups)[known]
    at_pos, at_neg = np.flatnonzero(label == 1), np.flatnonzero(label == 0)
    rng_pos, rng_neg = rng.spawn(2)
    step = max(1, _BOOTSTRAP_CELLS // len(label))
    found = []
    for first in range(0, n_bootstrap, step):
        n_draws = min(step, n_bootstrap - first)
        pos, neg = np.zeros((n_draws, len(label))), np.zeros((n_draws, len(label)))
        pos[:, at_pos] = _resampled_counts(group[at_pos], n_draws, rng_pos)
        neg[:, at_neg] = _resampled_counts(group[at_neg], n_draws, rng_neg)
        found.append(np.stack([r.auroc_and_ap(pos, neg) for r in ranked], axis=-1))
    areas, aps = np.concatenate(found, axis=1)
    return areas, aps


def task_metrics(labels: np.ndarray, scores: np.ndarray, **options: Any) -> pd.DataFrame:
    """Return the table of :func:`task_metrics_and_draws`, which has the same parameters."""
    return task_metrics_and_draws(labels, scores, **options)[0]


def task_metrics_and_draws(
    labels: np.ndarray,
    scores: np.ndarray,
    *,
    tasks: Sequence[str] | None = None,
    n_bootstrap: int = 0,
    rng: np.random.Generator | None = None,
    prevalence: float | None = None,
    groups: np.ndarray | None = None,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Measure every task on its labelled windows.

    Returns one row per task, ``task n n_pos n_neg auroc auroc_low auroc_high ap ap_low ap_high ece reason``, where
    ``reason`` is empty or says why the numbers are NaN, and the bootstrap draws of ``auroc`` and ``ap`` (R, T), NaN in
    the columns of undefined tasks.

    Parameters
    ----------
    labels : (N, T) int
        1 positive, 0 negative, -1 unknown (left out of that task only).
    scores : (N, T) float
        Predictions, any monotone scale; the calibration error is computed only if all lie in [0, 1].
    tasks : sequence of str, optional
        Names of the columns; default ``task_0``, ``task_1``, ...
    n_bootstrap : int
        Draws of the stratified bootstrap; 0 gives no intervals (NaN).
    rng : Generator, optional
        Needed with ``n_bootstrap``.
    prevalence : float, optional
        Share of positives at which calibration is measured; default: as it is in the labels.
    groups : (N,) array, optional
        As :func:`bootstrap`.
    """
    labels, scores = check_labels_and_scores(labels, scores)
    names = list(tasks) if tasks is not None else [f"task_{i}" for i in range(labels.shape[1])]
    if len(names) != labels.shape[1]:
        raise ShapeMismatchError(f"metrics: expected {labels.shape[1]} task names, got {len(names)}.")
    if n_bootstrap and rng is None:
        raise InputError("metrics: expected rng (a numpy Generator) with n_bootstrap, got none.")
    generators = rng.spawn(len(names)) if n_bootstrap and rng is not None else [None] * len(names)
    are_probabilities = bool(scores.size) and scores.min() >= 0 and scores.max() <= 1
    draws = {measure: np.full((n_bootstrap, len(names)), np.nan) for measure in ("auroc", "ap")}
    rows = []
    for column, (name, generator) in enumerate(zip(steps(names, "measuring"), generators, strict=True)):
        known = labels[:, column] >= 0
        label, score = labels[known, column], scores[known, column]
        row: dict[str, Any] = dict.fromkeys(METRIC_COLUMNS, np.nan)
        row.update(task=name, n=len(label), n_pos=int((label == 1).sum()), n_neg=int((label == 0).sum()))
        row["reason"] = _undefined_reason(label)
        row["auroc"], row["ap"] = _point_estimates(label, score)
        if generator is not None and not row["reason"]:
            group = None if groups is None else groups[known]
            drawn = bootstrap(label, [score], n_bootstrap=n_bootstrap, rng=generator, groups=group)
            for measure, values in zip(draws, drawn, strict=True):
                draws[measure][:, column] = values[:, 0]
                row[f"{measure}_low"], row[f"{measure}_high"] = interval(values[:, 0])
        if are_probabilities and not row["reason"]:
            row["ece"] = calibration_error(label, score, prevalence=prevalence)
        rows.append(row)
    return pd.DataFrame(rows, columns=METRIC_COLUMNS), draws


def mean_metrics(table: pd.DataFrame, draws: dict[str, np.ndarray]) -> dict[str, float]:
    """Average what :func:`task_metrics_and_draws` returns over the tasks that are defined.

    Returns ``n_tasks`` (defined), ``n_undefined``, ``auroc``, ``auroc_low``, ``auroc_high``, ``auroc_median``, the same
    of ``ap``, and ``ece``. The interval of the average holds the tasks fixed and resamples the windows of each on its
    own.
    """
    defined = (table["reason"] == "").to_numpy()
    mean: dict[str, float] = {"n_tasks": int(defined.sum()), "n_undefined": int((~defined).sum())}
    for name, drawn in draws.items():
        values = table[name].to_numpy(dtype=float)[defined]
        mean[name] = float(values.mean()) if len(values) else np.nan
        bounds = interval(drawn[:, defined].mean(axis=1)) if len(values) and len(drawn) else (np.nan, np.nan)
        mean[f"{name}_low"], mean[f"{name}_high"] = bounds
        mean[f"{name}_median"] = float(np.median(values)) if len(values) else np.nan
    eces = table["ece"].to_numpy(dtype=float)[defined]
    mean["ece"] = float(eces.mean()) if len(eces) else np.nan
    return mean


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the percentile interval of bootstrap values."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)


def curves(labels: np.ndarray, scores: np.ndarray) -> dict[str, pd.DataFrame]:
    """Return the ``roc`` and ``pr`` curves of one task: ``x y threshold``, one point per distinct score.

    The first goes from (0, 0) to (1, 1): false and true positive rate. The second goes by rising recall from (0,
    precision of the best group): recall and precision. A point holds for scores ``>= threshold``.
    """
    label, score = _labelled(labels, scores)
    if not len(label):
        raise InputError("metrics: expected at least one labelled window for a curve, got none.")
    ranked = _Ranked(score)
    true, false = np.cumsum(ranked.group_sums(np.stack([label == 1, label == 0]).astype(float)), axis=1)
    recall, precision = np.r_[0.0, true / max(true[-1], 1)], true / (true + false)
    points = {"roc": (np.r_[0.0, false / max(false[-1], 1)], recall), "pr": (recall, np.r_[precision[0], precision])}
    thresholds = np.r_[np.inf, ranked.thresholds]
    return {name: pd.DataFrame({"x": x, "y": y, "threshold": thresholds}) for name, (x, y) in points.items()}


def prevalence_weights(labels: np.ndarray, prevalence: float | None) -> np.ndarray:
    """Weights (sum 1) that give positives the share ``prevalence``; ``None`` weighs all rows alike."""
    labels = np.asarray(labels)
    if prevalence is None:
        return np.full(len(labels), 1 / len(labels))
    _check_prevalence(prevalence)
    positive = labels == 1
    return np.where(positive, prevalence / max(positive.sum(), 1), (1 - prevalence) / max((~positive).sum(), 1))


def reliability_curve(
    labels: np.ndarray, probabilities: np.ndarray, *, prevalence: float | None = None
) -> pd.DataFrame:
    """Observed share of positives against predicted probability, in bins of equal width.

    Returns one row per bin: ``low high n weight predicted observed``; ``weight`` sums to 1, empty bins have NaN.

    Parameters
    ----------
    labels : (N,) int
        1, 0, -1 (left out).
    probabilities : (N,) float in [0, 1]
    prevalence : float, optional
        Weigh the windows so that positives have this share; default: as they come.
    """
    label, p = _labelled(labels, probabilities)
    if len(p) and (p.min() < 0 or p.max() > 1):
        raise InputError(f"metrics: expected probabilities in [0, 1], got {p.min():.3g} to {p.max():.3g}.")
    edges = np.linspace(0, 1, N_BINS + 1)
    which = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, N_BINS - 1)
    weight = prevalence_weights(label, prevalence) if len(p) else np.zeros(0)
    share = np.bincount(which, weight, N_BINS)
    curve = {"low": edges[:-1], "high": edges[1:], "n": np.bincount(which, minlength=N_BINS), "weight": share}
    for name, values in (("predicted", p), ("observed", label == 1)):
        curve[name] = np.bincount(which, weight * values, N_BINS) / np.where(share > 0, share, np.nan)
    return pd.DataFrame(curve)


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, *, prevalence: float | None = None) -> float:
    """Return the mean of |observed - predicted| over bins; parameters as :func:`reliability_curve`."""
    curve = reliability_curve(labels, probabilities, prevalence=prevalence)
    if not curve["n"].sum():
        return float("nan")
    return float((curve["weight"] * (curve["observed"] - curve["predicted"]).abs()).sum())


def shift_prevalence(probabilities: np.ndarray, *, source: float, target: float) -> np.ndarray:
    """Translate probabilities calibrated at one share of positives to another (Bayes: odds times the prior ratio).

    Parameters
    ----------
    probabilities : float array
    source, target : float
        The share they are calibrated at, and the one wanted; above 0, below 1.
    """
    for share in (source, target):
        _check_prevalence(share)
    p = np.asarray(probabilities, dtype=np.float64)
    up, down = p * (target / source), (1 - p) * ((1 - target) / (1 - source))
    return up / (up + down)


def _check_prevalence(value: float) -> None:
    if not 0 < value < 1:
        raise InputError(f"expected a prevalence between 0 and 1, got {value!r}.")
