"""Intervals + genome + annotation -> the arrays a network takes. The one path everybody uses.

Window rule (genomic coordinates, both strands): for an interval ``[s, e)`` a window of even length ``L`` starts at
``(s + e - 1) // 2 - (L // 2 - 1)``. A 50-nt bin gets 50 nt on each side of its 150; a single base, or the middle
base of an odd interval, is at index 74 of 150 on plus and 75 on minus. Windows that overhang a contig are filled
with unknowns; an interval that itself leaves the contig is an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError, UnknownNameError
from ripe_lib.genome.encoding import UNKNOWN, Codes, OneHot, one_hot
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.intervals import read_intervals, where

if TYPE_CHECKING:
    from ripe_lib.genome.annotation import Annotation

Position = TypeVar("Position", int, NDArray[np.int64])


class WindowLengths(Protocol):
    """The part of a :class:`ripe_lib.network.spec.ModelSpec` that windows depend on."""

    @property
    def sequence_length(self) -> int:
        """Length of the sequence window in nt."""

    @property
    def region_length(self) -> int:
        """Length of the region-type window in nt, 0 if the model has none."""


class StrandWarning(UserWarning):
    """Some intervals have no strand and were taken as plus."""


def window_start(start: Position, end: Position, length: int) -> Position:
    """Return where the window of an interval starts (0-based, plus strand), the same on both strands.

    Parameters
    ----------
    start, end : int or int64 array
        The interval, 0-based, half-open.
    length : int
        Window length, even.
    """
    return (start + end - 1) // 2 - (length // 2 - 1)


@dataclass(frozen=True, eq=False)
class Windows:
    """Ready inputs for a network.

    Attributes
    ----------
    seq : float32 array (B, L, 4)
        Channels A C G T(U), RNA sense; unknown bases are 0.25 in each.
    region : float32 array (B, R, 4) or None
        Channels intron, CDS, 3'UTR, 5'UTR, RNA sense; no information is 0.25 in each. None for models without it.
    intervals : DataFrame (B rows)
        ``chrom start end name score strand`` as given, ``strand`` being the one used (``+`` or ``-``).
    """

    seq: OneHot
    region: OneHot | None
    intervals: pd.DataFrame

    def __len__(self) -> int:
        return len(self.seq)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.seq, self.region, self.intervals))

    def __getitem__(self, rows: int | slice | NDArray[Any]) -> Windows:
        """Return some of the windows (a single index keeps the batch axis)."""
        if isinstance(rows, int | np.integer):
            rows = np.array([rows])
        region = None if self.region is None else self.region[rows]
        return Windows(self.seq[rows], region, self.intervals.iloc[rows].reset_index(drop=True))

    def inputs(self) -> dict[str, OneHot]:
        """Return the arrays by input name: ``seq`` and, if there is one, ``region``."""
        return {"seq": self.seq} if self.region is None else {"seq": self.seq, "region": self.region}


class WindowMaker:
    """Make windows of one genome for one model, batch by batch.

    Parameters
    ----------
    spec : ModelSpec
        Anything with ``sequence_length`` and ``region_length``.
    fasta_file : str, Path or Genome
        The genome.
    gtf_file : str, Path or Annotation, optional
        The gene annotation; gives region types and the strand of intervals without one. Without it region types
        are unknown and such intervals are taken as plus, with one warning.

    Attributes
    ----------
    genome : Genome
    annotation : Annotation or None
    """

    def __init__(self, spec: WindowLengths, fasta_file: Any, gtf_file: Any = None):
        self.sequence_length = int(spec.sequence_length)
        self.region_length = int(spec.region_length)
        self.genome = fasta_file if isinstance(fasta_file, Genome) else Genome(fasta_file)
        self._gtf_file = gtf_file
        self._warned = False
        if gtf_file is not None:
            _ = self.annotation  # complain now, not in the first batch

    @cached_property
    def annotation(self) -> Annotation | None:
        """The gene annotation, with contig names matched to the genome; None without a GTF."""
        if self._gtf_file is None:
            return None
        from ripe_lib.genome.annotation import Annotation

        is_path = isinstance(self._gtf_file, str | Path)
        annotation: Annotation = Annotation.load(self._gtf_file) if is_path else self._gtf_file
        return annotation.for_genome(self.genome)

    def prepare(self, intervals: Any) -> pd.DataFrame:
        """Check intervals against the genome and settle their strands.

        Returns
        -------
        DataFrame
            As :func:`ripe_lib.genome.intervals.read_intervals`, ``strand`` being ``+`` or ``-`` everywhere.

        Raises
        ------
        UnknownNameError
            For a contig the FASTA does not have.
        InputError
            For an interval that leaves its contig. Both name file and line.
        """
        return self._prepare(intervals)[0]

    def codes(self, intervals: Any) -> tuple[Codes, Codes]:
        """Return base codes (B, L) and region-type codes (B, R), uint8, RNA sense."""
        frame, contigs = self._prepare(intervals)
        return self._codes_of(frame, contigs)

    def windows(self, intervals: Any) -> Windows:
        """Return the network's inputs for intervals (see :func:`ripe_lib.genome.intervals.read_intervals`)."""
        frame, contigs = self._prepare(intervals)
        sequence, region = self._codes_of(frame, contigs)
        return Windows(one_hot(sequence), one_hot(region) if self.region_length else None, frame)

    def codes_at(
        self,
        contigs: Any,
        sequence_starts: NDArray[np.int64],
        region_starts: NDArray[np.int64],
        minus: NDArray[np.bool_],
    ) -> tuple[Codes, Codes]:
        """Return codes for windows at given starts.

        Parameters
        ----------
        contigs : str or sequence of str (B,)
            Contig names.
        sequence_starts, region_starts : int64 array (B,)
            First plus-strand position of each window; windows may overhang the contig.
        minus : bool array (B,)
            Which windows are on the minus strand.
        """
        sequence = self.genome.fetch(contigs, sequence_starts, self.sequence_length, minus)
        if self.annotation is None or not self.region_length:
            region = np.full((len(sequence), self.region_length), UNKNOWN, dtype=np.uint8)
        else:
            region = self.annotation.region_codes(contigs, region_starts, self.region_length, minus)
        return sequence, region

    def _codes_of(self, frame: pd.DataFrame, contigs: NDArray[Any]) -> tuple[Codes, Codes]:
        start, end = frame["start"].to_numpy(), frame["end"].to_numpy()
        return self.codes_at(
            contigs,
            window_start(start, end, self.sequence_length),
            window_start(start, end, self.region_length),
            (frame["strand"] == "-").to_numpy(),
        )

    def _prepare(self, intervals: Any) -> tuple[pd.DataFrame, NDArray[Any]]:
        frame = read_intervals(intervals)
        contigs = self._contigs_of(frame)
        strand = frame["strand"].to_numpy(dtype=object)
        unstranded = np.flatnonzero(strand == ".")
        if len(unstranded):
            found = np.full(len(unstranded), ".", dtype=object)
            if self.annotation is not None:
                rows = frame.iloc[unstranded]
                found = self.annotation.strand_of(contigs[unstranded], rows["start"].to_numpy(), rows["end"].to_numpy())
            if (found == ".").any():
                self._warn(int((found == ".").sum()))
            strand = strand.copy()
            strand[unstranded] = np.where(found == ".", "+", found)
            frame["strand"] = strand
        return frame, contigs

    def _contigs_of(self, frame: pd.DataFrame) -> NDArray[Any]:
        """Return the FASTA's names of the contigs, refusing intervals that are not on it."""
        which, levels = pd.factorize(frame["chrom"].to_numpy())
        names = []
        for code, level in enumerate(levels):
            try:
                names.append(self.genome.resolve(level))
            except UnknownNameError as error:
                raise UnknownNameError(f"{where(frame, int(np.argmax(which == code)))}: {error}") from None
        lengths = np.array([self.genome.contigs[name] for name in names], dtype=np.int64)[which]
        beyond = frame["end"].to_numpy() > lengths
        if beyond.any():
            row = int(np.argmax(beyond))
            raise InputError(
                f"{where(frame, row)}: expected an interval within {names[which[row]]} (0-{lengths[row]} in "
                f"{self.genome.path}), got {frame['start'].iloc[row]}-{frame['end'].iloc[row]}. "
                "Use intervals and FASTA of the same assembly."
            )
        return np.array(names, dtype=object)[which]

    def _warn(self, n: int) -> None:
        if self._warned:
            return
        self._warned = True
        reason = "no GTF was given" if self.annotation is None else "they overlap no transcript"
        message = (
            f"{n} interval(s) without strand taken as plus: {reason}. Give a BED with strands (column 6) to choose."
        )
        warnings.warn(message, StrandWarning, stacklevel=4)


def make_windows(intervals: Any, *, fasta_file: Any, gtf_file: Any = None, spec: WindowLengths) -> Windows:
    """Make the input windows of a model for intervals.

    Parameters
    ----------
    intervals : BED path, DataFrame or list of tuples
        See :func:`ripe_lib.genome.intervals.read_intervals`.
    fasta_file : str or Path
        Genome, plain or bgzip FASTA.
    gtf_file : str or Path, optional
        Gene annotation (Ensembl or GENCODE, plain or gzip).
    spec : ModelSpec
        Window lengths, e.g. ``model.spec``.

    Returns
    -------
    Windows
        ``seq`` (B, L, 4), ``region`` (B, R, 4) or None, and ``intervals``.

    Raises
    ------
    RipeError
        For anything wrong with the input; the message names file and line.

    Examples
    --------
    >>> model = ripe_lib.load_model("DeepRiPe/parclip_mid")                             # doctest: +SKIP
    >>> make_windows([("chr1", 100, 150, "site", 0, "-")], fasta_file="hg38.fa",
    ...              gtf_file="gencode.gtf.gz", spec=model.spec).seq.shape              # doctest: +SKIP
    (1, 150, 4)
    """
    return WindowMaker(spec, fasta_file, gtf_file).windows(intervals)
