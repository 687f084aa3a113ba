"""Bins without any peak, as negatives of every task.

Besides other RBPs' sites, which are in every multitask data set anyway: ``unbound_transcripts`` (loci without a peak of
any RBP; the paper's second single-task strategy) and ``bound_transcripts`` (bins without a peak in loci that have one
elsewhere, so that expression does not give the label away; negative-1 of Horlacher et al. 2023). A locus is a stretch
of overlapping transcripts on one strand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ripe_lib.errors import InputError, check_known
from training.data.peaks import Ints, Transcriptome

STRATEGIES = ("none", "unbound_transcripts", "bound_transcripts", "any_transcripts")


@dataclass(frozen=True)
class BackgroundOptions:
    """Background bins.

    Attributes
    ----------
    strategy : str
        One of :data:`STRATEGIES`; ``"none"`` drops bins without a peak, as the paper.
    ratio : float
        Background bins per bin with a peak.
    """

    strategy: str = "none"
    ratio: float = 1.0

    def __post_init__(self) -> None:
        check_known("background strategy", self.strategy, STRATEGIES)
        if self.ratio < 0:
            raise InputError(f"background: expected a ratio of at least 0, got {self.ratio}.")


def background_bins(
    transcriptome: Transcriptome, bound: Ints, options: BackgroundOptions, rng: np.random.Generator
) -> Ints:
    """Draw bins without a peak, uniformly over the bins of the chosen loci, without repeats; return them sorted.

    They are fewer than asked for when there are not enough.

    Parameters
    ----------
    transcriptome : Transcriptome
    bound : int64 (N,)
        Sorted bins with a peak of any RBP.
    options : BackgroundOptions
    rng : Generator
    """
    if options.strategy == "none":
        return np.zeros(0, dtype=np.int64)
    bin_length = transcriptome.axis.bin_length
    first, count = transcriptome.bins_within
    low = np.searchsorted(bound, transcriptome.start // bin_length)
    high = np.searchsorted(bound, -(-transcriptome.end // bin_length))
    has_site = high > low
    if options.strategy != "any_transcripts":
        chosen = has_site if options.strategy == "bound_transcripts" else ~has_site
        first, count = first[chosen], count[chosen]
    wanted = round(options.ratio * len(bound))
    total = int(count.sum())
    before = np.cumsum(count) - count
    found = np.zeros(0, dtype=np.int64)
    if not total or not wanted:
        return found
    if total <= 4 * wanted:
        found = _numbered(np.arange(total), first, before)
        found = found[~np.isin(found, bound, assume_unique=True)]
        return np.sort(rng.permutation(found)[:wanted])
    while len(found) < wanted:
        drawn = _numbered(rng.integers(0, total, size=2 * wanted), first, before)
        drawn = drawn[~np.isin(drawn, bound)]
        # The order of drawing is kept, so that what is cut off at the end is random.
        joined = np.concatenate([found, drawn])
        _, at = np.unique(joined, return_index=True)
        found = joined[np.sort(at)]
    return np.sort(found[:wanted])


def _numbered(numbers: Ints, first: Ints, before: Ints) -> Ints:
    locus = np.searchsorted(before, numbers, side="right") - 1
    return first[locus] + numbers - before[locus]
