"""Which changes lie in peaks of a BED file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import UnknownNameError
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.intervals import merged, read_intervals
from ripe_lib.variants.rows import Rows

Peaks = dict[tuple[str, bool], tuple[NDArray[np.int64], NDArray[np.int64]]]  # (contig, is minus) -> merged starts, ends


def read_peaks(peaks_file: str | Path, genome: Genome) -> Peaks:
    """Read BED3 or BED6; peaks without a strand count for both. Contigs that the genome does not have are left out."""
    found: Peaks = {}
    for chrom, group in read_intervals(peaks_file).groupby("chrom", sort=False):
        try:
            contig = genome.resolve(str(chrom))
        except UnknownNameError:
            continue
        for minus, sign in ((False, "+"), (True, "-")):
            here = group[group["strand"].isin([sign, "."])]
            if len(here):
                found[contig, minus] = merged(here["start"].to_numpy(), here["end"].to_numpy())
    return found


def in_peaks(peaks: Peaks, rows: Rows) -> NDArray[np.bool_]:
    """Return whether removed bases, or the base before which new ones come, share one with a peak of their strand."""
    found = np.zeros(len(rows.start), dtype=bool)
    end = rows.start + np.maximum(1, rows.n_removed)
    for (contig, minus), (starts, ends) in peaks.items():
        here = np.flatnonzero((rows.contig == contig) & (rows.minus == minus))
        # The last peak that starts before the change's end; merged peaks end in the same order.
        last = np.searchsorted(starts, end[here], side="left") - 1
        found[here] = (last >= 0) & (ends[np.maximum(last, 0)] > rows.start[here])
    return found
