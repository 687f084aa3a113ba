"""Bins without any peak, as negatives of every task.

Besides other RBPs' sites, which are in every multitask data set anyway: ``unbound_transcripts`` (loci without a peak of
any RBP; the paper's second single-task strategy) and ``bound_transcripts`` (bins without a peak in loci that have one
elsewhere, so that expression does not give the label away; negative-1 of Horlacher et al. 2023). A locus is a stretch
of overlapping transcripts on one strand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ripe_lib.errors import InputError, check_known
from training.data.peaks import Ints, Transcriptome

STRATEGIES = ("none", "unbound_transcripts", "bound_transcripts", "any_transcripts")


@dataclass(frozen=True)
class BackgroundOptions:
    """Background bins."""

    strategy: str = "none"  # "none" drops bins without a peak, as the paper
    ratio: float = 1.0  # background bins per bin with a peak

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
    bin_length = transcriptome.axis.bin_length
    first = -(-transcriptome.start // bin_length)  # bins that lie wholly within a locus
    count = np.maximum(transcriptome.end // bin_length - first, 0)
    if options.strategy != "any_transcripts":
        low = np.searchsorted(bound, transcriptome.start // bin_length)
        high = np.searchsorted(bound, -(-transcriptome.end // bin_length))
        chosen = (high > low) == (options.strategy == "bound_transcripts")
        first, count = first[chosen], count[chosen]
    wanted = round(options.ratio * len(bound))
    total = int(count.sum())
    found = np.zeros(0, dtype=np.int64)
    if options.strategy == "none" or not total or not wanted:
        return found
    before = np.cumsum(count) - count

    def unbound(numbers: Ints) -> Ints:
        locus = np.searchsorted(before, numbers, side="right") - 1
        bins = first[locus] + numbers - before[locus]
        return bins[~np.isin(bins, bound)]

    if total <= 4 * wanted:
        return np.sort(rng.permutation(unbound(np.arange(total)))[:wanted])
    while len(found) < wanted:
        # The order of drawing is kept, so that what is cut off at the end is random.
        found = pd.unique(np.concatenate([found, unbound(rng.integers(0, total, size=2 * wanted))]))
    return np.sort(found[:wanted])
