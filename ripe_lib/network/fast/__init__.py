"""Exact scores of substitutions without passing every alternative through the whole network.

A substitution touches few columns of each layer. The scorer keeps the intermediates of reference windows and computes,
for an alternative, only those columns; region types are fixed, so their branch is computed once per distinct track.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, unknown_name
from ripe_lib.genome.encoding import UNKNOWN, Codes
from ripe_lib.network.fast.scorer import Logits, ReferenceState, SubstitutionScorer, sigmoid
from ripe_lib.network.load import Model
from ripe_lib.network.predict import checked_codes

__all__ = [
    "ReferenceState",
    "SubstitutionScorer",
    "SubstitutionScores",
    "in_silico_mutagenesis",
    "sigmoid",
    "substitution_scorer",
    "substitution_scores",
]

OUTPUTS = ("probability", "logit")


class SubstitutionScores(NamedTuple):
    """Logits of references (B, T) and of alternatives (M, T), float32."""

    reference_logits: Logits
    alternative_logits: Logits

    @property
    def reference(self) -> Logits:
        """Probabilities of the references (B, T)."""
        return sigmoid(self.reference_logits)

    @property
    def alternative(self) -> Logits:
        """Probabilities of the alternatives (M, T)."""
        return sigmoid(self.alternative_logits)


def substitution_scorer(model: Model) -> SubstitutionScorer:
    """Return the scorer of a model, made once and kept in ``model.cache``."""
    if "substitution_scorer" not in model.cache:
        model.cache["substitution_scorer"] = SubstitutionScorer(model)
    return model.cache["substitution_scorer"]


def substitution_scores(
    model: Model,
    seq_codes: Codes,
    region_codes: Codes | None,
    site_index: NDArray[np.integer],
    position: NDArray[np.integer],
    alt_code: NDArray[np.integer],
    *,
    landmarks: NDArray[np.float64] | None = None,
    batch_size: int = 1024,
) -> SubstitutionScores:
    """Score many windows and their alternatives, ``batch_size`` windows at a time.

    Parameters
    ----------
    model : Model
    seq_codes : uint8 array (B, L)
    region_codes : uint8 array (B, R) or None
        None is "no information" everywhere.
    site_index, position : int arrays (M,)
        Which window, and the index in it of the first changed base.
    alt_code : uint8 array (M,) or (M, S)
        New base or bases.
    landmarks : float array (B, 8) or None
        Distances in nt, NaN = unknown.
    batch_size : int

    Returns
    -------
    SubstitutionScores
        Equal to full passes up to the order of floating-point sums.
    """
    scorer = substitution_scorer(model)
    codes = checked_codes(model, seq_codes, region_codes, landmarks)
    site_index, position, alt_code = np.asarray(site_index), np.asarray(position), np.asarray(alt_code)
    n_windows, n_tasks = len(codes[0]), len(model.tasks)
    if site_index.size and (site_index.min() < 0 or site_index.max() >= n_windows):
        raise InputError(f"alternatives: expected site_index within 0..{n_windows - 1}, got others.")
    references = np.empty((n_windows, n_tasks), dtype=np.float32)
    alternatives = np.empty((len(site_index), n_tasks), dtype=np.float32)
    order = np.argsort(site_index, kind="stable")
    borders = np.searchsorted(site_index[order], np.arange(0, n_windows + batch_size, batch_size))
    for number, start in enumerate(range(0, n_windows, batch_size)):
        part = slice(start, start + batch_size)
        state = scorer.reference(codes[0][part], *_part(codes[1:], part))
        references[part] = state.logits
        rows = order[borders[number] : borders[number + 1]]
        if rows.size:
            alternatives[rows] = scorer.alternatives(state, site_index[rows] - start, position[rows], alt_code[rows])
    return SubstitutionScores(references, alternatives)


def _part(arrays: tuple[Any, ...], part: slice) -> list[Any]:
    return [None if array is None else array[part] for array in arrays]


def in_silico_mutagenesis(
    model: Model,
    seq_codes: Codes,
    region_codes: Codes | None = None,
    tasks: list[str] | None = None,
    landmarks: NDArray[np.float64] | None = None,
    *,
    output: str = "probability",
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Return what every substitution of every window changes.

    Parameters
    ----------
    model : Model
    seq_codes : uint8 array (B, L)
    region_codes : uint8 array (B, R) or None
    tasks : list of str, optional
        Default all.
    landmarks : float array (B, 8) or None
        Distances in nt, NaN = unknown.
    output : str
        ``"probability"`` or ``"logit"``.
    batch_size : int
        Windows at a time.

    Returns
    -------
    float32 array (B, L, 4, T)
        Alternative minus reference; exactly 0 where the base is the reference's. At an unknown base all four count.

    Raises
    ------
    UnknownNameError
        For a task the model does not have.
    """
    if output not in OUTPUTS:
        raise unknown_name("output", output, OUTPUTS)
    columns = [model.spec.task_index(task) for task in (model.tasks if tasks is None else tasks)]
    scorer = substitution_scorer(model)
    seq_codes, region_codes, landmarks = checked_codes(model, seq_codes, region_codes, landmarks)
    deltas = np.zeros((*seq_codes.shape, 4, len(columns)), dtype=np.float32)
    for start in range(0, len(seq_codes), batch_size):
        part = slice(start, start + batch_size)
        codes = seq_codes[part]
        state = scorer.reference(codes, *_part((region_codes, landmarks), part))
        alt: NDArray[np.integer]
        if (codes == UNKNOWN).any():
            alt = np.broadcast_to(np.arange(4, dtype=np.uint8), (*codes.shape, 4))
        else:
            alt = (codes[..., None] + np.arange(1, 4, dtype=np.uint8)) % 4
        logits = scorer.all_substitutions(state, alt)[..., columns]
        reference = state.logits[:, None, None, columns]
        change = logits - reference if output == "logit" else sigmoid(logits) - sigmoid(reference)
        np.put_along_axis(deltas[part], alt[..., None].astype(np.int64), change, axis=2)
    return deltas
