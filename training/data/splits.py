"""Train, validation and test sets that share no locus.

A locus is a cluster of windows: same chromosome and strand, each within ``distance`` nt of the next; windows with
the same sequence anywhere (repeats, paralogues, duplicated loci) are joined too. A cluster goes to one split as a
whole, chosen by a hash of the seed and of the genomic block its first window lies in. So loci near each other, also on
opposite strands, mostly go together, and another data set with the same seed puts nearly all loci into the same
splits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ripe_lib.errors import InputError, check_known
from ripe_lib.genome.encoding import UNKNOWN, Codes

METHODS = ("locus", "chromosome", "random")
TRAIN, VALID, TEST = range(3)


@dataclass(frozen=True)
class SplitOptions:
    """How rows are divided."""

    method: str = "locus"  # or "chromosome", or "random" (as the paper; overlapping windows do cross splits)
    valid: float = 0.2  # fractions; the paper's are 0.2 and 0.1
    test: float = 0.1
    distance: int = 1000  # windows closer than this (nt between window starts) are one locus
    block: int = 100_000  # genomic block that decides a locus' split, nt
    valid_chromosomes: tuple[str, ...] = ()  # for "chromosome"; when both are empty they are drawn by hash
    test_chromosomes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_known("split method", self.method, METHODS)
        if min(self.valid, self.test) < 0 or self.valid + self.test >= 1:
            raise InputError(f"split: expected fractions with valid + test < 1, got {self.valid} and {self.test}.")
        if self.distance < 0 or self.block < 1:
            raise InputError(f"split: expected distance >= 0 and block >= 1, got {self.distance} and {self.block}.")


def equal_sequences(codes: Codes) -> NDArray[np.int64]:
    """Return a number per row of base codes (N, W): equal for equal sequences, -1 for rows without a known base."""
    rows = np.ascontiguousarray(codes)
    number = np.unique(rows.view(f"V{rows.shape[1]}").ravel(), return_inverse=True)[1]
    return np.where((rows != UNKNOWN).any(axis=1), number, -1)


def locus_clusters(
    group: NDArray[np.int64], position: NDArray[np.int64], distance: int, same: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return the cluster (N,) int64 of every window, at least one.

    Parameters
    ----------
    group, position : int64 (N,)
        Number of the chromosome and strand, genomic start.
    distance : int
        Windows of one group whose starts differ by at most this are joined, and so on along the chain.
    same : int64 (N,), optional
        Windows with equal numbers are joined too; -1 joins nothing (:func:`equal_sequences`).
    """
    order = np.lexsort((position, group))
    breaks = (np.diff(group[order]) != 0) | (np.diff(position[order]) > distance)
    chain = np.zeros(len(order), dtype=np.int64)
    chain[order[1:]] = np.cumsum(breaks)
    if same is None:
        return chain
    known = same >= 0
    # Chains and sequences are the two sides of a graph; a window is an edge.
    n_chains = int(chain.max()) + 1
    size = n_chains + int(same.max()) + 1
    edges = (chain[known], n_chains + same[known])
    graph = sparse.coo_matrix((np.ones(known.sum(), dtype=np.int8), edges), shape=(size, size))
    return connected_components(graph, directed=False)[1][chain].astype(np.int64)


def assign_splits(
    chrom: NDArray[Any],
    position: NDArray[np.int64],
    cluster: NDArray[np.int64],
    options: SplitOptions,
    seed: int,
) -> NDArray[np.uint8]:
    """Return the split (N,) uint8 of every window (0 train, 1 valid, 2 test).

    Parameters
    ----------
    chrom : str (N,)
    position : int64 (N,)
    cluster : int64 (N,)
        From :func:`locus_clusters`.
    options : SplitOptions
        A chromosome named there must be in the data.
    seed : int
        Equal seeds give equal splits.
    """
    if options.method == "random":
        n = len(cluster)
        return _by_fraction((np.random.default_rng(seed).permutation(n) + 0.5) / n, options)
    if options.method == "chromosome":
        levels, number = np.unique(chrom, return_inverse=True)
        names = levels.tolist()
        named = {c: VALID for c in options.valid_chromosomes} | {c: TEST for c in options.test_chromosomes}
        for name in named:
            check_known("chromosome", name, names, "It is named in the split but not in the data.")
        if named:
            return np.array([named.get(name, TRAIN) for name in names], dtype=np.uint8)[number]
        return _by_fraction(_uniform(seed, names), options)[number]
    order = np.lexsort((position, chrom, cluster))
    numbers, first = np.unique(cluster[order], return_index=True)
    blocks = zip(chrom[order[first]], position[order[first]] // options.block, strict=True)
    split_of = _by_fraction(_uniform(seed, [f"{name}:{block}" for name, block in blocks]), options)
    return split_of[np.searchsorted(numbers, cluster)]


def _uniform(seed: int, keys: Iterable[str]) -> NDArray[np.float64]:
    digests = [hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest() for key in keys]
    return np.array([int.from_bytes(digest, "big") / 2.0**64 for digest in digests])


def _by_fraction(values: NDArray[np.float64], options: SplitOptions) -> NDArray[np.uint8]:
    below = [values < options.test, values < options.test + options.valid]
    return np.select(below, [TEST, VALID], TRAIN).astype(np.uint8)
