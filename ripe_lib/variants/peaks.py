"""Which positions lie in peaks of a BED file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import UnknownNameError
from ripe_lib.genome.intervals import merged, read_intervals

if TYPE_CHECKING:
    from pathlib import Path

    from ripe_lib.genome.fasta import Genome


class Peaks:
    """Intervals that are asked for overlaps.

    Parameters
    ----------
    peaks_file : path
        BED3 or BED6; peaks without a strand count for both. Contigs that the genome does not have are left out.
    genome : Genome
    """

    def __init__(self, peaks_file: str | Path, genome: Genome) -> None:
        table = read_intervals(peaks_file)
        self._merged: dict[tuple[str, bool], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        for chrom, group in table.groupby("chrom", sort=False):
            try:
                contig = genome.resolve(str(chrom))
            except UnknownNameError:
                continue
            for minus, sign in ((False, "+"), (True, "-")):
                here = group[group["strand"].isin([sign, "."])]
                if len(here):
                    self._merged[contig, minus] = merged(here["start"].to_numpy(), here["end"].to_numpy())

    def overlap(
        self,
        contig: NDArray[np.object_],
        start: NDArray[np.int64],
        end: NDArray[np.int64],
        minus: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Return whether each interval shares a base with a peak of its strand.

        Parameters
        ----------
        contig : str array (n,)
        start, end : int64 array (n,)
            0-based, half-open, on the plus strand.
        minus : bool array (n,)
        """
        found = np.zeros(len(start), dtype=bool)
        for (name, strand), (starts, ends) in self._merged.items():
            rows = np.flatnonzero((contig == name) & (minus == strand))
            # The last peak that starts before the interval's end; merged peaks end in the same order.
            last = np.searchsorted(starts, end[rows], side="left") - 1
            found[rows] = (last >= 0) & (ends[np.maximum(last, 0)] > start[rows])
        return found
