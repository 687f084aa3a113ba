"""Intervals + genome + annotation -> the arrays a network takes. The one path everybody uses.

Window rule (genomic coordinates, both strands): for an interval ``[s, e)`` a window of even length ``L`` starts at
``(s + e - 1) // 2 - (L // 2 - 1)``. A 50-nt bin gets 50 nt on each side of its 150; a single base, or the middle
base of an odd interval, is at index 74 of 150 on plus and 75 on minus. Windows that overhang a contig are filled
with unknowns; an interval that itself leaves the contig is an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError, UnknownNameError
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import UNKNOWN, Codes, OneHot, encode_sequence, one_hot, place_ragged
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.intervals import IntervalSource, PathLike, read_intervals, where
from ripe_lib.genome.landmarks import LANDMARKS, encode_landmarks

Position = TypeVar("Position", int, NDArray[np.int64])


class _Lengths(Protocol):
    """The part of a ModelSpec that windows depend on; the last two are 0 for models without these inputs."""

    @property
    def sequence_length(self) -> int: ...

    @property
    def region_length(self) -> int: ...

    @property
    def landmark_bases(self) -> int: ...


class StrandWarning(UserWarning):
    """Some intervals have no strand and were taken as plus."""


def window_start(start: Position, end: Position, length: int) -> Position:
    """Return where the window of an interval starts (0-based, plus strand), the same on both strands.

    Parameters
    ----------
    start, end : int or int64 array
        The interval, 0-based, half-open.
    length : int
        Of the window, even.
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
    landmarks : float32 array (B, 8, K) or None
        Distances to transcript landmarks in a spline basis (:mod:`ripe_lib.genome.landmarks`); unknown is 1/K in each.
        None for models without it.
    intervals : DataFrame (B rows)
        ``chrom start end name score strand`` as given, ``strand`` being the one used (``+`` or ``-``).
    """

    seq: OneHot
    region: OneHot | None
    landmarks: NDArray[np.float32] | None
    intervals: pd.DataFrame

    def __len__(self) -> int:
        return len(self.seq)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.seq, self.region, self.landmarks, self.intervals))

    def __getitem__(self, rows: int | slice | NDArray[Any]) -> Windows:
        """Return some of the windows (a single index keeps the batch axis)."""
        if isinstance(rows, int | np.integer):
            rows = np.array([rows])
        region, landmarks = (None if one is None else one[rows] for one in (self.region, self.landmarks))
        return Windows(self.seq[rows], region, landmarks, self.intervals.iloc[rows].reset_index(drop=True))

    @classmethod
    def joined(cls, parts: Sequence[Windows]) -> Windows:
        """Return windows of one model, put one after the other; at least one part."""
        columns = zip(*((part.seq, part.region, part.landmarks) for part in parts), strict=True)
        joined: list[Any] = [None if column[0] is None else np.concatenate(column) for column in columns]
        joined.append(pd.concat([part.intervals for part in parts], ignore_index=True))
        return cls(*joined)

    def inputs(self) -> dict[str, OneHot]:
        """Return the arrays by input name: ``seq`` and, where there are any, ``region`` and ``landmarks``."""
        arrays = {"seq": self.seq, "region": self.region, "landmarks": self.landmarks}
        return {name: array for name, array in arrays.items() if array is not None}


class CodeWindows(NamedTuple):
    """Windows as they travel: one byte per position in RNA sense, distances in nt."""

    seq: Codes  # (B, L)
    region: Codes | None = None  # (B, R), R is 0 for models without them; None: unknown
    landmarks: NDArray[np.floating] | None = None  # (B, 8), NaN = unknown; None for models without them

    def take(self, rows: Any) -> CodeWindows:
        """Return some of the windows (a slice or row numbers)."""
        region, landmarks = (None if one is None else one[rows] for one in self[1:])
        return CodeWindows(self.seq[rows], region, landmarks)

    def inputs(self, landmark_bases: int) -> dict[str, OneHot]:
        """Return one-hot arrays and encoded distances by input name; what is unknown, or has no width, is left out."""
        arrays = {"seq": one_hot(self.seq)}
        if self.region is not None and self.region.shape[1]:
            arrays["region"] = one_hot(self.region)
        if self.landmarks is not None:
            arrays["landmarks"] = encode_landmarks(self.landmarks, landmark_bases)
        return arrays


def contigs_of(frame: pd.DataFrame, genome: Genome, what: str = "an interval") -> NDArray[np.object_]:
    """Return the names in the FASTA; an unknown contig, or an interval that leaves its own, is refused with its line.

    Parameters
    ----------
    frame : DataFrame
        As :func:`ripe_lib.genome.intervals.read_intervals` gives it.
    genome : Genome
    what : str
        What a row is, for messages.
    """
    which, levels = pd.factorize(frame["chrom"].to_numpy())
    names = []
    for code, level in enumerate(levels):
        try:
            names.append(genome.resolve(level))
        except UnknownNameError as error:
            raise UnknownNameError(f"{where(frame, int(np.argmax(which == code)))}: {error}") from None
    lengths = np.array([genome.contigs[name] for name in names], dtype=np.int64)[which]
    beyond = frame["end"].to_numpy() > lengths
    if beyond.any():
        row = int(np.argmax(beyond))
        raise InputError(
            f"{where(frame, row)}: expected {what} within {names[which[row]]} (0-{lengths[row]} in {genome.path}), got "
            f"{frame['start'].iloc[row]}-{frame['end'].iloc[row]}. Use {what.split()[-1]}s and FASTA of the same "
            "assembly."
        )
    return np.array(names, dtype=object)[which]


class WindowMaker:
    """Make windows of one genome, or of ready sequences, for one model, batch by batch.

    Parameters
    ----------
    spec : ModelSpec
        Anything with ``sequence_length``, ``region_length`` and ``landmark_bases``.
    fasta_file : str, Path or Genome, optional
        The genome. Without it only :meth:`windows` and :meth:`codes` with ``sequences`` work.
    gtf_file : str, Path or Annotation, optional
        The gene annotation; gives region types, landmarks and the strand of intervals without one. Without it region
        types and landmarks are unknown and such intervals are taken as plus, with one warning.
    """

    def __init__(
        self,
        spec: _Lengths,
        fasta_file: PathLike | Genome | None = None,
        gtf_file: PathLike | Annotation | None = None,
    ):
        self.sequence_length = int(spec.sequence_length)
        self.region_length = int(spec.region_length)
        self.landmark_bases = int(spec.landmark_bases)
        self._genome = fasta_file if fasta_file is None or isinstance(fasta_file, Genome) else Genome(fasta_file)
        annotation = gtf_file if gtf_file is None or isinstance(gtf_file, Annotation) else Annotation.load(gtf_file)
        if annotation is not None and self._genome is not None:
            annotation = annotation.for_genome(self._genome)
        self.annotation = annotation
        self._warned = False

    def prepare(self, intervals: IntervalSource) -> pd.DataFrame:
        """Return what :func:`~ripe_lib.genome.intervals.read_intervals` reads, checked and with strands."""
        return self.settled(read_intervals(intervals))[0]

    def codes(self, intervals: IntervalSource) -> CodeWindows:
        """Return codes of the windows of intervals."""
        return self.codes_of(*self.settled(read_intervals(intervals)))

    def windows(self, intervals: IntervalSource, sequences: Sequence[str] | None = None) -> Windows:
        """Return the network's inputs for intervals; see :func:`make_windows`."""
        frame, contigs = self.settled(read_intervals(intervals))
        arrays = self.codes_of(frame, contigs, sequences).inputs(self.landmark_bases)
        return Windows(arrays["seq"], arrays.get("region"), arrays.get("landmarks"), frame)

    def codes_of(
        self, frame: pd.DataFrame, contigs: NDArray[np.object_], sequences: Sequence[str] | None = None
    ) -> CodeWindows:
        """Return codes of the windows of settled intervals.

        Parameters
        ----------
        frame : DataFrame (B rows)
            ``start``, ``end`` and ``strand`` (``+`` or ``-``), as :meth:`settled` gives them.
        contigs : str array (B,)
            The FASTA's names.
        sequences : sequence of str, optional
            See :func:`make_windows`.
        """
        start, end = frame["start"].to_numpy(), frame["end"].to_numpy()
        minus = (frame["strand"] == "-").to_numpy()
        first = window_start(start, end, self.sequence_length)
        region_first = window_start(start, end, self.region_length)
        if sequences is None:
            if self._genome is None:
                raise InputError("windows: expected a genome (fasta_file) or 'sequences', got neither.")
            seq = self._genome.fetch(contigs, first, self.sequence_length, minus)
        else:
            # The middle base of an odd sequence is at the same index on both strands.
            shift = (minus & ((end - start) % 2 == 1)).astype(np.int64)
            first, region_first = first - shift, region_first - shift
            seq = _placed(frame, sequences, np.where(minus, first + self.sequence_length - end, start - first), self)
        landmarks = np.full((len(frame), len(LANDMARKS)), np.nan) if self.landmark_bases else None
        if self.annotation is None:
            region = np.full((len(frame), self.region_length), UNKNOWN, dtype=np.uint8)
        else:
            region = self.annotation.region_codes(contigs, region_first, self.region_length, minus)
            if self.landmark_bases:
                landmarks = self.annotation.landmark_distances(contigs, window_start(start, end, 2), minus)
        return CodeWindows(seq, region, landmarks)

    def settled(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.object_]]:
        """Return what :func:`~ripe_lib.genome.intervals.read_intervals` read with its strands, and the FASTA's contigs.

        Errors as :func:`contigs_of`; without a FASTA the contigs are their own.
        """
        contigs = frame["chrom"].to_numpy(dtype=object) if self._genome is None else contigs_of(frame, self._genome)
        strand = frame["strand"].to_numpy(dtype=object, copy=True)
        unstranded = np.flatnonzero(strand == ".")
        if len(unstranded) and self.annotation is not None:
            rows = frame.iloc[unstranded]
            start, end = rows["start"].to_numpy(), rows["end"].to_numpy()
            strand[unstranded] = self.annotation.strand_of(contigs[unstranded], start, end)
        n_unknown = int((strand == ".").sum())
        if n_unknown and not self._warned:
            self._warned = True
            reason = "no GTF was given" if self.annotation is None else "they overlap no transcript"
            message = f"{n_unknown} interval(s) without strand taken as plus: {reason}. "
            warnings.warn(message + "Give a BED with strands (column 6) to choose.", StrandWarning, stacklevel=2)
        if len(unstranded):
            frame["strand"] = np.where(strand == ".", "+", strand)
        return frame, contigs


def _placed(frame: pd.DataFrame, sequences: Sequence[str], offset: NDArray[np.int64], maker: WindowMaker) -> Codes:
    """Return base codes (B, L) of sequences that begin at ``offset`` (B,) of their windows; what lies outside is N."""
    lengths = (frame["end"] - frame["start"]).to_numpy()
    if isinstance(sequences, str) or len(sequences) != len(frame):
        raise InputError(f"sequences: expected one per interval ({len(frame)}), got {len(sequences)}.")
    given = np.fromiter((len(sequence) for sequence in sequences), dtype=np.int64, count=len(frame))
    if (given != lengths).any():
        row = int(np.argmax(given != lengths))
        raise InputError(
            f"{where(frame, row)}: expected a sequence as long as its interval, {lengths[row]} nt, got {given[row]}."
        )
    letters = encode_sequence("".join(sequences), "sequences")
    return place_ragged(letters, lengths, offset, maker.sequence_length)


def make_windows(
    intervals: IntervalSource,
    *,
    fasta_file: PathLike | Genome | None = None,
    sequences: Sequence[str] | None = None,
    gtf_file: PathLike | Annotation | None = None,
    spec: _Lengths,
) -> Windows:
    """Make the input windows of a model for intervals; whatever is wrong with these is refused with file and line.

    Parameters
    ----------
    intervals : BED path, DataFrame or list of tuples
        See :func:`ripe_lib.genome.intervals.read_intervals`.
    fasta_file : str or Path, optional
        Genome, plain or bgzip FASTA. Exactly one of ``fasta_file`` and ``sequences`` is given.
    sequences : sequence of str, optional
        One per interval and as long as it, RNA sense (5' to 3'), T or U. What lies outside is unknown (N). Sequences of
        101 nt begin at offset 24 of 150 on either strand.
    gtf_file : str or Path, optional
        Gene annotation (Ensembl or GENCODE, plain or gzip): region types and landmarks; both unknown without it.
    spec : ModelSpec
        Window lengths and inputs, e.g. ``model.spec``.

    Examples
    --------
    >>> model = ripe_lib.load_model("DeepRiPe/parclip_mid")                             # doctest: +SKIP
    >>> make_windows([("chr1", 100, 150, "site", 0, "-")], fasta_file="hg38.fa",
    ...              gtf_file="gencode.gtf.gz", spec=model.spec).seq.shape              # doctest: +SKIP
    (1, 150, 4)
    """
    if (fasta_file is None) == (sequences is None):
        given = "neither" if fasta_file is None else "both"
        raise InputError(f"make_windows: expected either fasta_file or sequences, got {given}.")
    return WindowMaker(spec, fasta_file, gtf_file).windows(intervals, sequences)
