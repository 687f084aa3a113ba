"""k-mers of sites, counted per site (a site that holds a k-mer twice counts once)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import RNA_BASES, Codes

MOST = 2000  # sites on each side (the paper's Fig. 8)


def kmer_names(k: int) -> np.ndarray:
    """Return all 4**k k-mers in RNA letters, by their numbers in base 4, first base highest."""
    digits = np.stack(np.unravel_index(np.arange(4**k), (4,) * k), axis=1)
    return np.array(["".join(row) for row in np.array(list(RNA_BASES))[digits]])


def sites_with_kmer(codes: Codes, k: int) -> np.ndarray:
    """Count the sites (N, L) that hold each k-mer (1 to 12 known bases) at least once, (4**k,) int64."""
    if not 1 <= k <= 12:
        raise InputError(f"expected a k-mer length of 1 to 12, got {k}.")
    n_places = max(0, codes.shape[1] - k + 1)
    numbers = np.zeros((len(codes), n_places), dtype=np.int64)
    known = np.ones(numbers.shape, dtype=bool)
    for step in range(k):
        column = codes[:, step : step + n_places]
        numbers = 4 * numbers + column
        known &= column < 4
    by_site = np.sort(np.where(known, numbers, -1), axis=1)
    first = np.ones(by_site.shape, dtype=bool)
    first[:, 1:] = by_site[:, 1:] != by_site[:, :-1]
    return np.bincount(by_site[first & (by_site >= 0)], minlength=4**k)


def compare_kmers(top: Codes, bottom: Codes, *, k: int = 6) -> pd.DataFrame:
    """Compare the k-mers of two sets of sites.

    Parameters
    ----------
    top, bottom : (N, L), (M, L) uint8
        Base codes, e.g. of the sites a model scores highest and lowest.
    k : int

    Returns
    -------
    DataFrame
        One row per k-mer that occurs: ``kmer top_sites bottom_sites top_fraction bottom_fraction log2_ratio p_value``,
        by falling ``top_sites`` (ties: rising ``bottom_sites``, then alphabet). The ratio adds half a site to each
        count; ``p_value`` is Fisher's exact test, two-sided, uncorrected.
    """
    from scipy.stats import fisher_exact

    in_top, in_bottom = sites_with_kmer(top, k), sites_with_kmer(bottom, k)
    n_top, n_bottom = len(top), len(bottom)
    table = pd.DataFrame(
        {
            "kmer": kmer_names(k),
            "top_sites": in_top,
            "bottom_sites": in_bottom,
            "top_fraction": in_top / max(n_top, 1),
            "bottom_fraction": in_bottom / max(n_bottom, 1),
            "log2_ratio": np.log2((in_top + 0.5) / (n_top + 1)) - np.log2((in_bottom + 0.5) / (n_bottom + 1)),
        }
    )
    table = table[(in_top > 0) | (in_bottom > 0)]
    table = table.sort_values(["top_sites", "bottom_sites", "kmer"], ascending=[False, True, True])
    pairs, which = np.unique(table[["top_sites", "bottom_sites"]].to_numpy(), axis=0, return_inverse=True)
    p = [fisher_exact([[a, n_top - a], [b, n_bottom - b]]).pvalue for a, b in pairs]
    return table.assign(p_value=np.asarray(p, dtype=float)[which.ravel()]).reset_index(drop=True)


def extremes(scores: np.ndarray, *, fraction: float = 0.1, at_most: int = MOST) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows with the highest and the lowest scores: disjoint, best first, worst first.

    Parameters
    ----------
    scores : (N,) float
    fraction : float
        Share of rows on each side, at least one row and never more than half; of fewer than two rows none.
    at_most : int
        Upper bound of rows on each side.
    """
    if not 0 < fraction <= 0.5:
        raise InputError(f"expected a fraction above 0 and up to 0.5, got {fraction!r}.")
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    size = min(max(1, round(fraction * len(order))), at_most, len(order) // 2)
    return order[:size], order[len(order) - size :][::-1]


class Extremes:
    """The sites with the highest and the lowest scores of a stream, as :func:`extremes` finds them in arrays."""

    def __init__(self) -> None:
        self.n_sites = 0
        self._kept: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def add(self, scores: np.ndarray, codes: Codes) -> None:
        """Add sites: scores (B,) and base codes (B, L)."""
        numbers = self.n_sites + np.arange(len(scores))
        self.n_sites += len(scores)
        for sign in (-1, 1):
            part = (np.asarray(scores, dtype=float), numbers, codes)
            if sign in self._kept:
                part = tuple(np.concatenate(pair) for pair in zip(self._kept[sign], part, strict=True))
            # Of equal scores the earlier site is the better one.
            order = np.lexsort((-sign * part[1], sign * part[0]))[:MOST]
            self._kept[sign] = (part[0][order], part[1][order], part[2][order])

    def groups(self) -> tuple[Codes, Codes]:
        """Return the base codes of the best and of the worst sites, best first, worst first."""
        if not self._kept:
            return np.zeros((0, 0), dtype=np.uint8), np.zeros((0, 0), dtype=np.uint8)
        size = len(extremes(np.zeros(self.n_sites), at_most=MOST)[0])
        return self._kept[-1][2][:size], self._kept[1][2][:size]


def enriched_kmers(sites: Extremes) -> pd.DataFrame:
    """Return the 6-mers that the best sites of a task hold more often than the worst.

    Columns of :func:`compare_kmers`, the 50 with the smallest p-values; empty below two sites.
    """
    table = compare_kmers(*sites.groups())
    table = table[table["log2_ratio"] > 0]
    table = table.sort_values(["p_value", "log2_ratio", "kmer"], ascending=[True, False, True])
    return table[:50].reset_index(drop=True)
