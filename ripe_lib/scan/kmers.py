"""The k-mer that makes a peak: hide every k-mer of the window in turn and see which one is missed most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from ripe_lib.genome.encoding import UNKNOWN, Codes
from ripe_lib.network.load import Model
from ripe_lib.network.predict import predict_codes

_CLIP = 1e-6  # probabilities this close to 0 or 1 are not told apart in float32


class BestKmer(NamedTuple):
    """Offset of the k-mer in the window (RNA sense), and by how much the logit falls without it."""

    offset: int
    effect: float


def best_kmers(
    model: Model,
    seq_codes: Codes,
    region_codes: Codes | None,
    sites: Sequence[tuple[int, int]],
    *,
    landmarks: NDArray[np.float64] | None = None,
    length: int = 6,
    batch_size: int = 1024,
) -> list[BestKmer]:
    """Find the k-mer whose replacement by unknown bases lowers the score most.

    Parameters
    ----------
    model : Model
    seq_codes, region_codes : uint8 arrays (B, L) and (B, R) or None
        Windows of the peaks.
    sites : sequence of (window, task index)
        Which task is asked in which window; tasks of one window share the network calls.
    landmarks : float array (B, 8) or None
        Distances of the windows' sites in nt.
    length : int
        Of the k-mer. k-mers that hold an unknown base are not looked at.
    batch_size : int

    Returns
    -------
    list of BestKmer
        One per site; offset -1 and effect NaN where no k-mer is known.
    """
    places = seq_codes.shape[1] - length + 1
    hidden = np.arange(seq_codes.shape[1]) - np.arange(places)[:, None]
    mask = (hidden >= 0) & (hidden < length)
    wanted: dict[int, list[int]] = {}
    for number, (window, _) in enumerate(sites):
        wanted.setdefault(window, []).append(number)
    found = [BestKmer(-1, float("nan"))] * len(sites)
    for window, numbers in wanted.items():
        codes = seq_codes[window]
        known = np.flatnonzero(~(mask & (codes == UNKNOWN)).any(axis=1))
        if not len(known):
            continue
        batch = np.vstack([codes[None], np.where(mask[known], np.uint8(UNKNOWN), codes)])
        region = None
        if region_codes is not None:
            region = np.ascontiguousarray(np.broadcast_to(region_codes[window], (len(batch), region_codes.shape[1])))
        distances = None if landmarks is None else np.broadcast_to(landmarks[window], (len(batch), landmarks.shape[1]))
        scores = predict_codes(model, batch, region, distances, batch_size=batch_size)
        logits = logit(np.clip(scores.astype(np.float64), _CLIP, 1 - _CLIP))
        for number in numbers:
            effects = logits[0, sites[number][1]] - logits[1:, sites[number][1]]
            best = _middle_of_best(effects)
            found[number] = BestKmer(int(known[best]), float(effects[best]))
    return found


def _middle_of_best(effects: NDArray[np.float64]) -> int:
    """Return the middle of the stretch of equal effects around the largest one.

    A motif is often lost as soon as a few of its bases are hidden: then hiding any k-mer around it does the same.
    """
    best = int(np.argmax(effects))
    is_best = effects >= effects[best] - 1e-3 * abs(effects[best])
    low = high = best
    while low > 0 and is_best[low - 1]:
        low -= 1
    while high + 1 < len(effects) and is_best[high + 1]:
        high += 1
    return (low + high) // 2
