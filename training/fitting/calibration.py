"""Calibration as part of the network: one scale and offset per task, folded into the output layer.

``sigmoid(scale * logit + offset)`` is what an output layer with kernel ``kernel * scale`` and bias
``bias * scale + offset`` computes, so Keras, Kipoi, integrated gradients and the fast scorers agree by construction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from ripe_lib.evaluation.metrics import check_labels_and_scores, prevalence_weights
from ripe_lib.network.weights import LayerArrays

MIN_PER_CLASS = 20


class PlattFit(NamedTuple):
    """``scale`` and ``offset`` (T,) of the logits; ``reason`` (T,) is empty or says why a task was left as it was."""

    scale: np.ndarray
    offset: np.ndarray
    reason: list[str]


def logit(probabilities: np.ndarray) -> np.ndarray:
    """Return logits of probabilities, which are kept 1e-7 away from 0 and 1 (float32 saturates there)."""
    p = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-7, 1 - 1e-7)
    return np.log(p) - np.log1p(-p)


def fit_platt(labels: np.ndarray, logits: np.ndarray, *, prevalence: float | None = 0.2) -> PlattFit:
    """Fit scale and offset per task on windows that were not trained on.

    Parameters
    ----------
    labels : (N, T) int
        1, 0, -1 (left out).
    logits : (N, T) float
    prevalence : float, optional
        Share of positives at which the probabilities shall be right; ``None``: as in the labels. The data sets here
        have one positive in five.

    Notes
    -----
    Platt (1999) with his smoothed targets, by Newton's method on the two parameters. A fit whose scale is not positive
    would turn the order of sites round; such a task, and one with few positives or negatives, is left as it is (scale
    1, offset 0) and says so.
    """
    labels, logits = check_labels_and_scores(labels, logits)
    n_tasks = labels.shape[1]
    fitted = PlattFit(np.ones(n_tasks), np.zeros(n_tasks), [""] * n_tasks)
    for task in range(n_tasks):
        known = labels[:, task] >= 0
        label, z = labels[known, task], logits[known, task]
        n_pos, n_neg = int((label == 1).sum()), int((label == 0).sum())
        if min(n_pos, n_neg) < MIN_PER_CLASS:
            fitted.reason[task] = f"too few windows to calibrate ({n_pos} positive, {n_neg} negative)"
            continue
        scale, offset = _fit_one(label, z, prevalence_weights(label, prevalence) * len(label))
        if scale > 0:
            fitted.scale[task], fitted.offset[task] = scale, offset
        else:
            fitted.reason[task] = "scores do not rise with the label; not calibrated"
    return fitted


def _fit_one(label: np.ndarray, z: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    n_pos, n_neg = (label == 1).sum(), (label == 0).sum()
    target = np.where(label == 1, (n_pos + 1) / (n_pos + 2), 1 / (n_neg + 2))
    design = np.stack([z, np.ones_like(z)], axis=1)
    parameters = np.array([1.0, 0.0])

    def loss(values: np.ndarray) -> float:
        eta = design @ values
        return float((weight * (np.logaddexp(0, eta) - target * eta)).sum())

    current = loss(parameters)
    for _ in range(100):
        p = expit(design @ parameters)
        gradient = design.T @ (weight * (p - target))
        curvature = (design * (weight * p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        # Newton can overshoot where the sigmoid is flat: halve until the loss falls.
        size = 1.0
        while (trial := loss(parameters - size * step)) > current and size > 1e-8:
            size /= 2
        if size <= 1e-8 or current - trial < 1e-12 * len(z):
            break
        parameters, current = parameters - size * step, trial
    return float(parameters[0]), float(parameters[1])


def fold_calibration(arrays: LayerArrays, scale: np.ndarray, offset: np.ndarray) -> LayerArrays:
    """Return a copy of a network's arrays whose output layer gives ``scale * logit + offset``.

    Parameters
    ----------
    arrays : dict
        Layer name -> arrays, as :func:`ripe_lib.network.weights.arrays_of` gives; the output layer holds kernel ``(H,
        T)`` and bias ``(T,)``.
    scale, offset : (T,) float
    """
    kernel, bias = (np.asarray(values, dtype=np.float64) for values in arrays["output"])
    return {**arrays, "output": [(kernel * scale).astype(np.float32), (bias * scale + offset).astype(np.float32)]}
