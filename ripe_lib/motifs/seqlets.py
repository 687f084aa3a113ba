"""Seqlets: the windows of attribution maps where the score is concentrated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ripe_lib.genome.encoding import UNKNOWN, Codes

MIN_SHARE = 0.5  # of the score of a map's best window, for further ones: keeps the noise of a single motif out


@dataclass(frozen=True)
class Seqlets:
    """Windows of equal length in the maps of sites: rows (S,) of the sites, and starts (S,), 0-based, RNA sense."""

    site: NDArray[np.int64]
    start: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.site)

    def take(self, rows: NDArray[np.int64]) -> Seqlets:
        """Return some of them."""
        return Seqlets(self.site[rows], self.start[rows])


def top_windows(scores: NDArray[np.floating], codes: Codes, length: int, *, n_windows: int) -> Seqlets:
    """Find the best windows of every map without overlaps, by site, best first.

    Only windows with a positive score; of equal ones the first. Paper, Methods: mean score in a sliding window, best
    window taken, neighbourhood (here: what overlaps it) removed, search again. The paper does not say how many windows
    were taken.

    Parameters
    ----------
    scores, codes : (B, L)
        Attributions of the letters; a window with an unknown base is never taken.
    length : int
        Of a window, in nt.
    n_windows : int
        At most so many per map, each with at least :data:`MIN_SHARE` of the score of the first.
    """
    n_sites, n_positions = codes.shape
    n_starts = n_positions - length + 1
    if n_starts < 1 or not n_sites:
        empty = np.zeros(0, dtype=np.int64)
        return Seqlets(empty, empty)
    sums = np.zeros((n_sites, n_positions + 1))
    np.cumsum(np.asarray(scores, dtype=np.float64), axis=1, out=sums[:, 1:])
    unknown = np.zeros((n_sites, n_positions + 1), dtype=np.int64)
    np.cumsum(codes == UNKNOWN, axis=1, out=unknown[:, 1:])
    means = (sums[:, length:] - sums[:, :-length]) / length
    means[unknown[:, length:] > unknown[:, :-length]] = -np.inf
    rows = np.arange(n_sites)
    places = np.arange(n_starts)
    found = []
    best_of_all = means.max(axis=1)
    for _ in range(n_windows):
        start = means.argmax(axis=1)
        best = means[rows, start]
        kept = (best > 0) & (best >= MIN_SHARE * best_of_all)
        found.append((rows[kept], start[kept]))
        means[np.abs(places - start[:, np.newaxis]) < length] = -np.inf
    best_first = Seqlets(*(np.concatenate(part) for part in zip(*found, strict=True)))
    return best_first.take(np.argsort(best_first.site, kind="stable"))


def cut(array: NDArray, seqlets: Seqlets, length: int, *, before: int = 0, fill: float = 0) -> NDArray:
    """Return ``[start - before, start - before + length)`` of seqlets in an array (B, L): (S, length), else ``fill``.

    Parameters
    ----------
    array, seqlets, length, before, fill
    """
    margin = max(before, length)
    padded = np.pad(array, ((0, 0), (margin, margin)), constant_values=fill)
    columns = seqlets.start[:, np.newaxis] + (margin - before) + np.arange(length)
    return padded[seqlets.site[:, np.newaxis], columns]
