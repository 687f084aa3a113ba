"""The training loss: multitask binary cross-entropy with one weight per label element.

Labels reach the loss as small integers, one per row and task, and become targets and weights inside the graph:

====  ============================================================  ===========================
code  meaning                                                       weight
====  ============================================================  ===========================
0     surely not bound                                              ``negative[t]``
1     bound                                                         ``positive[t]``
2     unknown, in a source that has a table of the task             ``unknown``, target 0
3     masked                                                        0: no loss and no gradient
====  ============================================================  ===========================

Weightings (``loss_weighting``):

* ``none``: positives 1.
* ``per_task`` (paper): positives of task t cost ``max(1, ln(0.5 N_t / n_t))``, N_t known labels, n_t of them positive.
* ``legacy_first_positive``: what the authors' software did. The same numbers, N all rows, went into Keras'
  ``class_weight``, which on a multi-hot label takes argmax: each ROW is weighted by its first positive task, a row
  without any by task 0.

The loss of a batch is the sum over elements divided by (rows x the mean weight of a training row), so that without
weights and masks it equals Keras' mean binary cross-entropy, whatever the masking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, check_known

WEIGHTINGS = ("none", "per_task", "legacy_first_positive")
UNKNOWN_ROWS = ("all", "background")
NEGATIVE, POSITIVE, SOFT_UNKNOWN, MASKED = range(4)
EPSILON = 1e-7  # probabilities are clipped to [EPSILON, 1 - EPSILON], as Keras does


@dataclass(frozen=True)
class LossOptions:
    """What counts how much."""

    weighting: str = "none"
    # Weight of "unknown" as a negative, where the row's source has a table of the task. 0 masks it.
    unknown_weight: float = 0.0
    # Where unknown_weight applies: "all" rows, or "background", rows without any positive. A site of one protein is a
    # likelier site of the next than a random window is, so "background" misleads less.
    unknown_rows: str = "all"
    # Weight of sure negatives; "balanced" gives each task's negatives the total weight of its positives.
    negative_weight: float | str = 1.0

    def __post_init__(self) -> None:
        check_known("loss weighting", self.weighting, WEIGHTINGS)
        check_known("loss unknown_rows", self.unknown_rows, UNKNOWN_ROWS)
        if isinstance(self.negative_weight, str) and self.negative_weight != "balanced":
            raise InputError(f"loss: expected negative_weight a number or 'balanced', got {self.negative_weight!r}.")
        numbers = [self.unknown_weight, *([] if isinstance(self.negative_weight, str) else [self.negative_weight])]
        if min(numbers) < 0:
            raise InputError(f"loss: expected weights of at least 0, got {min(numbers)}.")


class ElementWeights(NamedTuple):
    """Weights by label code and task."""

    table: NDArray[np.float32]  # (4, T), row = label code
    first_positive: NDArray[np.float32] | None  # (T,), row weights of "legacy_first_positive"
    row_mean: float = 1.0  # mean total weight of a training row; the loss is divided by it


def label_codes(
    labels: NDArray[np.int8],
    source: NDArray[np.uint8],
    source_has_task: NDArray[np.bool_],
    *,
    soft_unknown: bool | NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """Return codes (N, T) uint8 for the loss.

    Parameters
    ----------
    labels : int8 (N, T)
        1, 0, -1.
    source : uint8 (N,)
    source_has_task : bool (S, T)
        An unknown label is code 2 only where this is true: across sources it stays masked, or the network would
        learn a source's padding instead of binding.
    soft_unknown : bool or bool (N,)
        Whether unknown labels count at all, or in which rows.
    """
    soft = source_has_task[source] & np.reshape(soft_unknown, (-1, 1))
    codes = np.where(soft, np.uint8(SOFT_UNKNOWN), np.uint8(MASKED))
    codes[labels == 0] = NEGATIVE
    codes[labels == 1] = POSITIVE
    return codes


def class_weights(n_known: NDArray[Any], n_positive: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``max(1, ln(0.5 N / n))`` per task (paper's software; 1 where there is no positive)."""
    with np.errstate(divide="ignore"):
        return np.maximum(1.0, np.log(0.5 * np.asarray(n_known) / np.maximum(n_positive, 1)))


def element_weights(codes: NDArray[np.uint8], options: LossOptions) -> ElementWeights:
    """Return the weights for training rows with label codes (N, T)."""
    n_positive, n_negative = ((codes == code).sum(axis=0) for code in (POSITIVE, NEGATIVE))
    table = np.zeros((4, codes.shape[1]))
    table[POSITIVE] = 1.0
    if options.weighting == "per_task":
        table[POSITIVE] = class_weights((codes != MASKED).sum(axis=0), n_positive)
    if options.negative_weight == "balanced":
        table[NEGATIVE] = table[POSITIVE] * n_positive / np.maximum(n_negative, 1)
    else:
        table[NEGATIVE] = float(options.negative_weight)
    table[SOFT_UNKNOWN] = options.unknown_weight
    first_positive = None
    if options.weighting == "legacy_first_positive":
        first_positive = class_weights(np.full(len(n_positive), len(codes)), n_positive).astype(np.float32)
    weights = ElementWeights(table.astype(np.float32), first_positive)
    # Equal blocks, so that the mean of their means is the mean.
    blocks = [codes] if len(codes) < 2_000_000 else np.array_split(codes, len(codes) // 1_000_000)
    mean = float(np.mean([weights_of(part, weights).sum(axis=1).mean() for part in blocks]))
    return weights._replace(row_mean=mean if mean > 0 else 1.0)


def weights_of(codes: NDArray[np.uint8], weights: ElementWeights) -> NDArray[np.float32]:
    """Return the weight of every element (N, T)."""
    values = np.take_along_axis(weights.table, codes.astype(np.intp), axis=0)
    if weights.first_positive is not None:
        values = values * weights.first_positive[(codes == POSITIVE).argmax(axis=1)][:, None]
    return values


def numpy_loss(probabilities: NDArray[np.floating], codes: NDArray[np.uint8], weights: ElementWeights) -> float:
    """Return the loss of rows (n, T) in double precision: the judge of :func:`make_loss`, and the validation loss.

    Parameters as :func:`weights_of`.
    """
    p = np.clip(np.asarray(probabilities, dtype=np.float64), EPSILON, 1 - EPSILON)
    cross_entropy = -np.where(codes == POSITIVE, np.log(p), np.log1p(-p))
    return float((weights_of(codes, weights) * cross_entropy).sum() / (len(codes) * weights.row_mean))


def make_loss(weights: ElementWeights) -> Any:
    """Return the Keras loss ``f(codes (B, T), probabilities (B, T)) -> (B,)`` for these weights."""
    import keras

    ops = keras.ops
    # (T, 4) and an inner product with the one-hot code: a gather along tasks is slower and no clearer.
    table = ops.convert_to_tensor(weights.table.T, dtype="float32")
    scale = 1.0 / weights.row_mean
    first = None if weights.first_positive is None else ops.convert_to_tensor(weights.first_positive)

    def masked_binary_crossentropy(codes: Any, probabilities: Any) -> Any:
        codes = ops.cast(codes, "int32")
        positive = ops.cast(ops.equal(codes, POSITIVE), "float32")
        weight = ops.sum(ops.one_hot(codes, 4, dtype="float32") * table[None], axis=-1)
        if first is not None:
            weight = weight * ops.take(first, ops.argmax(positive, axis=-1))[:, None]
        # TensorFlow's clip can turn "not a number" into a bound and hide a broken network.
        p = ops.where(ops.isnan(probabilities), probabilities, ops.clip(probabilities, EPSILON, 1.0 - EPSILON))
        cross_entropy = -(positive * ops.log(p) + (1.0 - positive) * ops.log(1.0 - p))
        return ops.sum(weight * cross_entropy, axis=-1) * scale

    return masked_binary_crossentropy
