"""CLIP peaks on the transcriptome's axis: files, replicates, bins, labels.

Axis. Every (contig, strand) has a stretch of one long axis, beginning at a multiple of the bin length, so that the
number of a bin is ``position // bin``. Everything below works on int64 positions of that axis, half-open.

Bins. The genome is cut into bins of ``bin`` nt from position 0 of every contig, on each strand; a last, incomplete bin
of a contig is none. Which bin a peak ``[s, e)`` of length ``n`` makes positive:

=============  ======================================================================================================
``majority``   the bin that holds more than half of the peak (the paper). A peak without such a bin (longer than two
               bins, or halved exactly by a border) is treated as ``long_peaks`` says: ``centre`` (the bin of base
               ``(s + e - 1) // 2``, default), ``cover`` (every bin of which the peak covers more than half), ``drop``
``centre``     the bin of base ``(s + e - 1) // 2``
``crosslink``  the bin of the cross-link: the summit of narrowPeak (column 10) where there is one, else the peak's
               5' end on its strand
``overlap``    every bin that shares at least ``min_overlap`` nt with the peak (all of a peak that is shorter)
=============  ======================================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.intervals import merged, read_intervals
from ripe_lib.genome.windows import contigs_of

RULES = ("majority", "centre", "crosslink", "overlap")
LONG_PEAKS = ("centre", "cover", "drop")
REPLICATES = ("merge", "intersect")

Ints = NDArray[np.int64]


class Axis:
    """The (contig, strand) axis of a genome (contig -> length in nt), cut into bins of ``bin_length`` nt."""

    def __init__(self, contigs: dict[str, int], bin_length: int) -> None:
        self.contigs = pd.Index(list(contigs), dtype=object)
        self.lengths = np.array(list(contigs.values()), dtype=np.int64)
        self.bin_length = bin_length
        # One slot more than there are bins: nothing at the end of a contig reaches the next one.
        slots = np.repeat(-(-self.lengths // bin_length) + 1, 2)
        self.first_bin = np.concatenate([[0], np.cumsum(slots)])

    def at(self, contig_rows: Ints, minus: NDArray[np.bool_], positions: Ints) -> Ints:
        """Return places on the axis, int64 (N,).

        Parameters
        ----------
        contig_rows, minus, positions : array (N,)
            Number of the contig, whether on its minus strand, 0-based place on its plus strand.
        """
        return self.first_bin[2 * contig_rows + minus] * self.bin_length + positions

    def group(self, bins: Ints) -> Ints:
        """Return 2 x contig row + (1 on the minus strand) of bins."""
        return np.searchsorted(self.first_bin, bins, side="right") - 1

    def is_complete(self, bins: Ints) -> NDArray[np.bool_]:
        """Return which bins lie wholly on their contig."""
        group = self.group(bins)
        return (bins - self.first_bin[group] + 1) * self.bin_length <= self.lengths[group // 2]

    def intervals(self, bins: Ints) -> tuple[NDArray[Any], Ints, Ints, NDArray[Any]]:
        """Return chrom, start, end and strand of bins."""
        group = self.group(bins)
        start = (bins - self.first_bin[group]) * self.bin_length
        return self.contigs.to_numpy()[group // 2], start, start + self.bin_length, np.where(group % 2, "-", "+")


@dataclass(frozen=True)
class PeakSet:
    """Peaks of one task on the axis, sorted by start: start, end and the base that stands for the cross-link (N,)."""

    start: Ints
    end: Ints
    crosslink: Ints

    def __len__(self) -> int:
        return len(self.start)


class Transcriptome:
    """Where transcripts are, as merged stretches of the axis ("loci").

    Parameters
    ----------
    axis, genome : Axis, Genome
    annotation : Annotation
        Matched to the genome (``for_genome``).
    transcript_types, excluded_types, either_strand
        As in :class:`training.data.peak_sites.PeakInput`.
    """

    def __init__(
        self,
        axis: Axis,
        annotation: Annotation,
        genome: Genome,
        transcript_types: tuple[str, ...] | None = None,
        *,
        excluded_types: tuple[str, ...] = (),
        either_strand: bool = False,
    ) -> None:
        table = annotation.transcripts
        if transcript_types is not None:
            table = table[table["transcript_type"].isin(transcript_types)]
        for part in excluded_types:
            table = table[~table["transcript_type"].str.contains(part, regex=False)]
        table = table[table["strand"] != "."]
        which, levels = pd.factorize(table["chrom"])
        rows = axis.contigs.get_indexer([genome.names.find(name) or "" for name in levels])[which]
        table, rows = table[rows >= 0], rows[rows >= 0]
        if not len(rows):
            raise InputError(f"{annotation.path}: expected transcripts on contigs of {genome.path}, got none.")
        minus = (table["strand"] == "-").to_numpy()
        strands = [minus, ~minus] if either_strand else [minus]
        ends = [np.minimum(table[name].to_numpy(), axis.lengths[rows]) for name in ("start", "end")]
        self.axis = axis
        self.start, self.end = merged(
            *(np.concatenate([axis.at(rows, strand, edge) for strand in strands]) for edge in ends)
        )

    def overlaps(self, bins: Ints) -> NDArray[np.bool_]:
        """Return which bins share a base with a transcript on their strand."""
        low = bins * self.axis.bin_length
        at = np.searchsorted(self.end, low, side="right")
        return (at < len(self.start)) & (self.start[np.minimum(at, len(self.start) - 1)] < low + self.axis.bin_length)


def intersect_all(sets: list[tuple[Ints, Ints]]) -> tuple[Ints, Ints]:
    """Return the stretches that every set of intervals covers."""
    ends = [part for one in sets for part in merged(*one)]
    position = np.concatenate(ends)
    step = np.concatenate([np.full(len(part), (1, -1)[number % 2]) for number, part in enumerate(ends)])
    order = np.lexsort((step, position))  # ends before starts: touching is not overlapping
    full = np.flatnonzero(np.cumsum(step[order]) == len(sets))
    return position[order][full], position[order][full + 1]


def read_peaks(path: Path, axis: Axis, genome: Genome, annotation: Annotation) -> tuple[PeakSet, int]:
    """Return the peaks of a file, sorted, and how many without strand overlap no transcript (left out).

    Peaks without a strand take that of the transcripts they overlap (``Annotation.strand_of``). Errors name file and
    line: malformed lines, unknown contigs, peaks beyond their contig.

    Parameters
    ----------
    path : Path
        BED3 to BED6 or narrowPeak.
    axis, genome, annotation
        Of one assembly; names of contigs may be aliases.
    """
    frame = read_intervals(path, summits=True)
    if not len(frame):
        raise InputError(f"{path}: expected at least one peak to learn from, got none.")
    contigs = contigs_of(frame, genome, "a peak")
    start, end, summit = (frame[name].to_numpy(dtype=np.int64) for name in ("start", "end", "summit"))
    strand = frame["strand"].to_numpy(dtype=object, copy=True)
    bare = strand == "."
    if bare.any():
        strand[bare] = annotation.strand_of(contigs[bare], start[bare], end[bare])
    minus, kept = strand == "-", strand != "."
    crosslink = np.clip(np.where(summit >= 0, start + summit, np.where(minus, end - 1, start)), start, end - 1)
    rows = axis.contigs.get_indexer(contigs)
    start, end, crosslink = (axis.at(rows, minus, values)[kept] for values in (start, end, crosslink))
    order = np.argsort(start, kind="stable")
    return PeakSet(start[order], end[order], crosslink[order]), int((~kept).sum())


def combine(replicates: list[PeakSet], how: str) -> PeakSet:
    """Return one peak set: the only replicate as it is, or the union or intersection of several."""
    if len(replicates) == 1:
        return replicates[0]
    pairs = [(one.start, one.end) for one in replicates]
    if how == "merge":
        start, end = merged(*(np.concatenate(part) for part in zip(*pairs, strict=True)))
    else:
        start, end = intersect_all(pairs)
    return PeakSet(start, end, (start + end - 1) // 2)  # several cross-links: the middle stands for them


def bins_of_peaks(
    peaks: PeakSet, bin_length: int, *, rule: str = "majority", long_peaks: str = "centre", min_overlap: int = 1
) -> Ints:
    """Return the numbers of the bins that peaks make positive, one for each peak that does, by this module's rules.

    Parameters
    ----------
    peaks : PeakSet
    bin_length, min_overlap : int
        In nt.
    rule, long_peaks : str
        One of :data:`RULES`, one of :data:`LONG_PEAKS`.
    """
    start, end = peaks.start, peaks.end
    if rule == "crosslink":
        return peaks.crosslink // bin_length
    if rule == "centre" or (rule == "majority" and long_peaks == "centre"):
        return (start + end - 1) // 2 // bin_length  # more than half of a peak always holds its middle base
    # Every pair of a peak and a bin that share a base.
    first = start // bin_length
    count = (end - 1) // bin_length - first + 1
    peak = np.repeat(np.arange(len(start)), count)
    bins = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[peak]
    shared = np.minimum(end[peak], (bins + 1) * bin_length) - np.maximum(start[peak], bins * bin_length)
    length = (end - start)[peak]
    if rule == "overlap":
        return bins[shared >= np.minimum(min_overlap, length)]
    major = 2 * shared > length
    if long_peaks == "drop":
        return bins[major]
    has_major = np.isin(peak, peak[major])
    return bins[major | (~has_major & (2 * shared > bin_length))]
