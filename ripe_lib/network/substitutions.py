"""Exact scores of many windows and their substitutions, a batch of windows at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ripe_lib.errors import InputError, check_known
from ripe_lib.genome.encoding import UNKNOWN, Codes
from ripe_lib.network.inputs import Distances, checked_codes
from ripe_lib.network.load import Model
from ripe_lib.network.network import Floats

OUTPUTS = ("probability", "logit")


class SubstitutionScores(NamedTuple):
    """Logits of references (B, T) and of alternatives (M, T), float32."""

    reference_logits: Floats
    alternative_logits: Floats

    @property
    def reference(self) -> Floats:
        """Probabilities of the references (B, T)."""
        return expit(self.reference_logits)

    @property
    def alternative(self) -> Floats:
        """Probabilities of the alternatives (M, T)."""
        return expit(self.alternative_logits)


def substitution_scores(
    model: Model,
    seq_codes: Codes,
    region_codes: Codes | None,
    site_index: NDArray[np.integer],
    position: NDArray[np.integer],
    alt_code: NDArray[np.integer],
    *,
    landmarks: Distances | None = None,
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
    codes = checked_codes(model.spec, seq_codes, region_codes, landmarks)
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
        state = model.network.reference(*codes.take(part))
        references[part] = state.logits
        rows = order[borders[number] : borders[number + 1]]
        if rows.size:
            changes = site_index[rows] - start, position[rows], alt_code[rows]
            alternatives[rows] = model.network.substitutions(state, *changes)
    return SubstitutionScores(references, alternatives)


def in_silico_mutagenesis(
    model: Model,
    seq_codes: Codes,
    region_codes: Codes | None = None,
    tasks: list[str] | None = None,
    landmarks: Distances | None = None,
    *,
    output: str = "probability",
    batch_size: int = 64,
) -> Floats:
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
    check_known("output", output, OUTPUTS)
    columns = [model.spec.task_index(task) for task in (model.tasks if tasks is None else tasks)]
    codes = checked_codes(model.spec, seq_codes, region_codes, landmarks)
    deltas = np.zeros((*codes[0].shape, 4, len(columns)), dtype=np.float32)
    for start in range(0, len(deltas), batch_size):
        state = model.network.reference(*codes.take(slice(start, start + batch_size)))
        here = state.seq_codes
        alt: NDArray[np.integer]
        if (here == UNKNOWN).any():
            alt = np.broadcast_to(np.arange(4, dtype=np.uint8), (*here.shape, 4))
        else:
            alt = (here[..., None] + np.arange(1, 4, dtype=np.uint8)) % 4
        site, position, _ = np.indices(alt.shape)
        logits = model.network.substitutions(state, site.ravel(), position.ravel(), alt.ravel())
        logits = logits.reshape(*alt.shape, -1)[..., columns]
        reference = state.logits[:, None, None, columns]
        change = logits - reference if output == "logit" else expit(logits) - expit(reference)
        np.put_along_axis(deltas[start : start + batch_size], alt[..., None].astype(np.int64), change, axis=2)
    return deltas
