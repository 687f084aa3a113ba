"""k-mers of sites, counted per site (a site that holds a k-mer twice counts once)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import BASES, RNA_BASES, Codes


def kmer_numbers(codes: Codes, k: int) -> np.ndarray:
    """Give the k-mers of every window as numbers in base 4, first base highest.

    Parameters
    ----------
    codes : (N, L) uint8
        Base codes; a k-mer that holds an unknown base has no number.
    k : int
        1 to 12.

    Returns
    -------
    (N, L - k + 1) int64
        0 to 4**k - 1, or -1.
    """
    if not 1 <= k <= 12:
        raise InputError(f"expected a k-mer length of 1 to 12, got {k}.")
    codes = np.asarray(codes)
    n_places = max(0, codes.shape[1] - k + 1)
    numbers = np.zeros((len(codes), n_places), dtype=np.int64)
    known = np.ones((len(codes), n_places), dtype=bool)
    for step in range(k):
        column = codes[:, step : step + n_places]
        numbers = 4 * numbers + column
        known &= column < 4
    return np.where(known, numbers, -1)


def kmer_names(k: int, *, rna: bool = True) -> np.ndarray:
    """Return all 4**k k-mers in the order of :func:`kmer_numbers`."""
    letters = np.array(list(RNA_BASES if rna else BASES))
    digits = np.stack(np.unravel_index(np.arange(4**k), (4,) * k), axis=1)
    return np.array(["".join(row) for row in letters[digits]])


def sites_with_kmer(codes: Codes, k: int) -> np.ndarray:
    """Count the sites that hold each k-mer at least once, (4**k,) int64."""
    numbers = kmer_numbers(codes, k)
    by_site = np.sort(numbers, axis=1)
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


def extremes(scores: np.ndarray, *, fraction: float = 0.1, at_most: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows with the highest and the lowest scores.

    Parameters
    ----------
    scores : (N,) float
    fraction : float
        Share of rows on each side, at least one row and never more than half.
    at_most : int
        Upper bound of rows on each side (the paper's Fig. 8: 2,000).

    Returns
    -------
    top, bottom : int64
        Disjoint; empty when there are fewer than two rows. Best first, worst first.
    """
    if not 0 < fraction <= 0.5:
        raise InputError(f"expected a fraction above 0 and up to 0.5, got {fraction!r}.")
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    size = min(max(1, round(fraction * len(order))), at_most, len(order) // 2)
    return order[:size], order[len(order) - size :][::-1]


class Extremes:
    """The sites with the highest and the lowest scores of a stream, as :func:`extremes` finds them in arrays.

    Parameters
    ----------
    fraction, at_most
        As for :func:`extremes`.
    """

    def __init__(self, *, fraction: float = 0.1, at_most: int = 2000) -> None:
        self.fraction = fraction
        self.at_most = at_most
        self.n_sites = 0
        self._kept: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def add(self, scores: np.ndarray, codes: Codes) -> None:
        """Add sites: scores (B,) and base codes (B, L)."""
        numbers = self.n_sites + np.arange(len(scores))
        self.n_sites += len(scores)
        for sign in (-1, 1):
            part = (np.asarray(scores, dtype=float), numbers, np.asarray(codes))
            if sign in self._kept:
                part = tuple(np.concatenate(pair) for pair in zip(self._kept[sign], part, strict=True))
            # Of equal scores the earlier site is the better one.
            order = np.lexsort((-sign * part[1], sign * part[0]))[: self.at_most]
            self._kept[sign] = (part[0][order], part[1][order], part[2][order])

    def groups(self) -> tuple[Codes, Codes]:
        """Return the base codes of the best and of the worst sites, best first, worst first."""
        scores = np.zeros(self.n_sites)
        size = len(extremes(scores, fraction=self.fraction, at_most=self.at_most)[0])
        if not size:
            return np.zeros((0, 0), dtype=np.uint8), np.zeros((0, 0), dtype=np.uint8)
        return self._kept[-1][2][:size], self._kept[1][2][:size]


def enriched_kmers(sites: Extremes, *, k: int = 6, n: int = 50) -> pd.DataFrame:
    """Return the k-mers that the best sites hold more often than the worst.

    Parameters
    ----------
    sites : Extremes
        The best and the worst sites of one task.
    k, n : int
        Length of the k-mers and how many to return.

    Returns
    -------
    DataFrame
        Columns of :func:`compare_kmers`, the ``n`` with the smallest p-values; empty below two sites.
    """
    top, bottom = sites.groups()
    if not len(top):
        return compare_kmers(np.full((1, k), 4, np.uint8), np.full((1, k), 4, np.uint8), k=k)
    table = compare_kmers(top, bottom, k=k)
    table = table[table["log2_ratio"] > 0]
    return table.sort_values(["p_value", "log2_ratio", "kmer"], ascending=[True, False, True])[:n].reset_index(
        drop=True
    )
