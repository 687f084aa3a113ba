"""Seqlets: the windows of attribution maps where the score is concentrated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.genome.encoding import UNKNOWN, Codes


class Seqlets(NamedTuple):
    """Windows of equal length in the maps of sites.

    Attributes
    ----------
    site : int64 (S,)
        Row of the site.
    start : int64 (S,)
        Where the window starts in the site's sequence, 0-based, RNA sense.
    score : float64 (S,)
        Mean attribution per position of the window.
    """

    site: NDArray[np.int64]
    start: NDArray[np.int64]
    score: NDArray[np.float64]

    def __len__(self) -> int:  # type: ignore[override]
        return len(self.site)

    def take(self, rows: NDArray[np.int64]) -> Seqlets:
        """Return some of them."""
        return Seqlets(self.site[rows], self.start[rows], self.score[rows])


def top_windows(
    scores: NDArray[np.floating], codes: Codes, length: int, *, n_windows: int = 1, min_share: float = 0.5
) -> Seqlets:
    """Find the best windows of every map, best first, without overlaps.

    Parameters
    ----------
    scores : (B, L) float
        Attribution of the letter at each position.
    codes : (B, L) uint8
        Bases; a window with an unknown base is never taken.
    length : int
        Of a window, in nt.
    n_windows : int
        At most so many per map.
    min_share : float
        Further windows need at least this share of the score of the map's best one.

    Returns
    -------
    Seqlets
        By site, best first. Only windows with a positive score; of equal ones the first.

    Notes
    -----
    Paper, Methods: mean score in a sliding window, best window taken, neighbourhood (here: what overlaps it) removed,
    search again. The paper does not say how many windows were taken; ``min_share`` keeps the noise of sites with a
    single motif out.
    """
    n_sites, n_positions = codes.shape
    n_starts = n_positions - length + 1
    if n_starts < 1 or not n_sites:
        empty = np.zeros(0, dtype=np.int64)
        return Seqlets(empty, empty, empty.astype(float))
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
        kept = (best > 0) & (best >= min_share * best_of_all)
        found.append((rows[kept], start[kept], best[kept]))
        means[np.abs(places - start[:, np.newaxis]) < length] = -np.inf
    site, start, score = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(site, kind="stable")
    return Seqlets(site[order], start[order], score[order])


def cut(array: NDArray, seqlets: Seqlets, length: int, *, before: int = 0, fill: float = 0) -> NDArray:
    """Cut ``[start - before, start - before + length)`` of every seqlet's row; what lies outside is ``fill``.

    Parameters
    ----------
    array : (B, L)
    seqlets : Seqlets
    length, before : int

    Returns
    -------
    (S, length), of the array's type
    """
    margin = max(before, length)
    padded = np.pad(array, ((0, 0), (margin, margin)), constant_values=fill)
    columns = seqlets.start[:, np.newaxis] + (margin - before) + np.arange(length)
    return padded[seqlets.site[:, np.newaxis], columns]
