"""Train, validation and test sets that share no locus.

A locus is a cluster of windows: same chromosome and strand, each within ``distance`` nt of the next; windows with
the same sequence anywhere (repeats, paralogues, duplicated loci) are joined too. A cluster goes to one split as a
whole, chosen by a hash of the seed and of the genomic block its first window lies in. So loci near each other, also on
opposite strands, mostly go together, and another data set with the same seed puts nearly all loci into the same
splits.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ripe_lib.errors import InputError, check_known
from ripe_lib.evaluation.dataset import SPLITS
from ripe_lib.genome.encoding import UNKNOWN, Codes

METHODS = ("locus", "chromosome", "random")
TRAIN, VALID, TEST = range(3)


@dataclass(frozen=True)
class SplitOptions:
    """How rows are divided.

    Attributes
    ----------
    method : str
        ``"locus"`` (default), ``"chromosome"`` or ``"random"`` (as the paper; overlapping windows do cross splits).
    valid, test : float
        Fractions; the paper's are 0.2 and 0.1.
    distance : int
        Windows closer than this (nt between window starts) are one locus.
    block : int
        Genomic block that decides a locus' split, nt.
    valid_chromosomes, test_chromosomes : tuple of str
        For ``"chromosome"``; when both are empty chromosomes are drawn by hash.
    """

    method: str = "locus"
    valid: float = 0.2
    test: float = 0.1
    distance: int = 1000
    block: int = 100_000
    valid_chromosomes: tuple[str, ...] = field(default=())
    test_chromosomes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        check_known("split method", self.method, METHODS)
        if min(self.valid, self.test) < 0 or self.valid + self.test >= 1:
            raise InputError(f"split: expected fractions with valid + test < 1, got {self.valid} and {self.test}.")
        if self.distance < 0 or self.block < 1:
            raise InputError(f"split: expected distance >= 0 and block >= 1, got {self.distance} and {self.block}.")


def equal_sequences(codes: Codes) -> NDArray[np.int64]:
    """Return a number per row of base codes (N, W): equal for equal sequences, -1 for rows without a known base."""
    rows = np.ascontiguousarray(codes)
    if not len(rows):
        return np.zeros(0, dtype=np.int64)
    _, number = np.unique(rows.view(f"V{rows.shape[1]}").ravel(), return_inverse=True)
    return np.where((rows != UNKNOWN).any(axis=1), number.ravel(), -1).astype(np.int64)


def locus_clusters(
    group: NDArray[np.int64], position: NDArray[np.int64], distance: int, same: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return the cluster (N,) int64 of every window.

    Parameters
    ----------
    group : int64 (N,)
        Number of the chromosome and strand.
    position : int64 (N,)
        Genomic start.
    distance : int
        Windows of one group whose starts differ by at most this are joined, and so on along the chain.
    same : int64 (N,), optional
        Windows with equal numbers are joined too; -1 joins nothing (:func:`equal_sequences`).
    """
    n = len(position)
    order = np.lexsort((position, group))
    breaks = (np.diff(group[order]) != 0) | (np.diff(position[order]) > distance)
    chain = np.empty(n, dtype=np.int64)
    chain[order] = np.concatenate([[0], np.cumsum(breaks)]) if n else []
    if same is None or not n:
        return chain
    known = same >= 0
    # Chains and sequences are the two sides of a graph; a window is an edge.
    n_chains = int(chain.max()) + 1
    size = n_chains + int(same.max(initial=-1)) + 1
    graph = sparse.coo_matrix(
        (np.ones(known.sum(), dtype=np.int8), (chain[known], n_chains + same[known])), shape=(size, size)
    )
    _, component = connected_components(graph, directed=False)
    return component[chain].astype(np.int64)


def _uniform(seed: int, key: str) -> float:
    digest = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


def _by_fraction(value: float, options: SplitOptions) -> int:
    if value < options.test:
        return TEST
    return VALID if value < options.test + options.valid else TRAIN


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
    seed : int
        Equal seeds give equal splits.

    Raises
    ------
    InputError
        If a chromosome named for a split is not in the data.
    """
    n = len(cluster)
    if options.method == "random":
        drawn = (np.random.default_rng(seed).permutation(n) + 0.5) / max(n, 1)
        return np.select([drawn < options.test, drawn < options.test + options.valid], [TEST, VALID], TRAIN).astype(
            np.uint8
        )
    if options.method == "chromosome":
        return _by_chromosome(chrom, options, seed)
    order = np.lexsort((position, chrom, cluster))
    numbers, first = np.unique(cluster[order], return_index=True)
    representative = order[first]
    split_of = np.array(
        [
            _by_fraction(_uniform(seed, f"{chrom[row]}:{int(position[row]) // options.block}"), options)
            for row in representative
        ],
        dtype=np.uint8,
    )
    return split_of[np.searchsorted(numbers, cluster)]


def _by_chromosome(chrom: NDArray[Any], options: SplitOptions, seed: int) -> NDArray[np.uint8]:
    names = [str(c) for c in np.unique(chrom)]
    named = {c: VALID for c in options.valid_chromosomes} | {c: TEST for c in options.test_chromosomes}
    for name in named:
        check_known("chromosome", name, names, "It is named in the split but not in the data.")
    split = np.zeros(len(chrom), dtype=np.uint8)
    for name in names:
        code = named.get(name, TRAIN) if named else _by_fraction(_uniform(seed, name), options)
        split[chrom == name] = code
    return split


def check_disjoint(
    group: NDArray[np.int64], position: NDArray[np.int64], split: NDArray[np.uint8], distance: int
) -> None:
    """Refuse splits (N,) that tear a chain of windows apart; other parameters as :func:`locus_clusters`."""
    order = np.lexsort((position, group))
    close = (np.diff(group[order]) == 0) & (np.diff(position[order]) <= distance)
    torn = close & (np.diff(split[order].astype(np.int8)) != 0)
    if torn.any():
        row = int(np.flatnonzero(torn)[0])
        raise InputError(
            f"splits {SPLITS[split[order[row]]]} and {SPLITS[split[order[row + 1]]]} share a locus near position "
            f"{int(position[order[row]])}. Use split method 'locus' or a smaller distance."
        )
