"""Intervals + genome + annotation -> the arrays a network takes. The one path everybody uses.

Window rule (genomic coordinates, both strands): for an interval ``[s, e)`` a window of even length ``L`` starts at
``(s + e - 1) // 2 - (L // 2 - 1)``. A 50-nt bin gets 50 nt on each side of its 150; a single base, or the middle
base of an odd interval, is at index 74 of 150 on plus and 75 on minus. Windows that overhang a contig are filled
with unknowns; an interval that itself leaves the contig is an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError, UnknownNameError
from ripe_lib.genome.encoding import UNKNOWN, Codes, OneHot, encode_sequence, one_hot, place_ragged
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.intervals import IntervalSource, PathLike, read_intervals, where
from ripe_lib.genome.landmarks import LANDMARKS, encode_landmarks

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

    @property
    def landmark_bases(self) -> int:
        """Functions of the spline basis of landmark distances, 0 if the model has none."""


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
        regions = [part.region for part in parts if part.region is not None]
        landmarks = [part.landmarks for part in parts if part.landmarks is not None]
        return cls(
            np.concatenate([part.seq for part in parts]),
            np.concatenate(regions) if regions else None,
            np.concatenate(landmarks) if landmarks else None,
            pd.concat([part.intervals for part in parts], ignore_index=True),
        )

    def inputs(self) -> dict[str, OneHot]:
        """Return the arrays by input name: ``seq`` and, where there are any, ``region`` and ``landmarks``."""
        arrays = {"seq": self.seq, "region": self.region, "landmarks": self.landmarks}
        return {name: array for name, array in arrays.items() if array is not None}


class CodeWindows(NamedTuple):
    """Windows as they travel: one byte per position, distances in nt.

    Attributes
    ----------
    seq : uint8 array (B, L)
        Base codes, RNA sense.
    region : uint8 array (B, R), optional
        Region-type codes, RNA sense; R is 0 for models without them. None: unknown.
    landmarks : float64 array (B, 8), optional
        Signed distances from the site's centre to landmarks, NaN = unknown; None for models without them.
    """

    seq: Codes
    region: Codes | None = None
    landmarks: NDArray[np.floating] | None = None

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
    """Return the FASTA's names of the contigs of intervals.

    Parameters
    ----------
    frame : DataFrame
        As :func:`ripe_lib.genome.intervals.read_intervals` gives it.
    genome : Genome
    what : str
        What a row is, for messages.

    Raises
    ------
    UnknownNameError, InputError
        Naming file and line: an unknown contig, or an interval that leaves its contig.
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

    Attributes
    ----------
    genome : Genome or None
    annotation : Annotation or None
    """

    def __init__(
        self,
        spec: WindowLengths,
        fasta_file: PathLike | Genome | None = None,
        gtf_file: PathLike | Annotation | None = None,
    ):
        self.sequence_length = int(spec.sequence_length)
        self.region_length = int(spec.region_length)
        self.landmark_bases = int(spec.landmark_bases)
        self._genome = fasta_file if fasta_file is None or isinstance(fasta_file, Genome) else Genome(fasta_file)
        self._gtf_file = gtf_file
        self._warned = False
        if gtf_file is not None:
            _ = self.annotation  # complain now, not in the first batch

    @property
    def genome(self) -> Genome:
        """The genome.

        Raises
        ------
        InputError
            If the maker has none.
        """
        if self._genome is None:
            raise InputError("windows: expected a genome (fasta_file) or 'sequences', got neither.")
        return self._genome

    @cached_property
    def annotation(self) -> Annotation | None:
        """The gene annotation, with contig names matched to the genome; None without a GTF."""
        if self._gtf_file is None:
            return None
        from ripe_lib.genome.annotation import Annotation

        given = self._gtf_file
        annotation = given if isinstance(given, Annotation) else Annotation.load(given)
        return annotation if self._genome is None else annotation.for_genome(self._genome)

    def prepare(self, intervals: IntervalSource) -> pd.DataFrame:
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

    def codes(self, intervals: IntervalSource, sequences: Sequence[str] | None = None) -> CodeWindows:
        """Return codes of the windows of intervals; see :func:`make_windows`."""
        return self.codes_of(*self._prepare(intervals), sequences)

    def windows(self, intervals: IntervalSource, sequences: Sequence[str] | None = None) -> Windows:
        """Return the network's inputs for intervals; see :func:`make_windows`."""
        frame, contigs = self._prepare(intervals)
        arrays = self.codes_of(frame, contigs, sequences).inputs(self.landmark_bases)
        return Windows(arrays["seq"], arrays.get("region"), arrays.get("landmarks"), frame)

    def _landmarks(
        self, contigs: NDArray[np.object_], centres: NDArray[np.int64], minus: NDArray[np.bool_]
    ) -> NDArray[np.float64] | None:
        """Return distances (B, 8) from centres to landmarks, NaN without a GTF; None for a model without them."""
        if not self.landmark_bases:
            return None
        if self.annotation is None:
            return np.full((len(centres), len(LANDMARKS)), np.nan)
        return self.annotation.landmark_distances(contigs, centres, minus)

    def _regions(self, contigs: str | Iterable[str], starts: NDArray[np.int64], minus: NDArray[np.bool_]) -> Codes:
        if self.annotation is None or not self.region_length:
            return np.full((len(starts), self.region_length), UNKNOWN, dtype=np.uint8)
        return self.annotation.region_codes(contigs, starts, self.region_length, minus)

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
        landmarks = self._landmarks(contigs, window_start(start, end, 2), minus)
        if sequences is None:
            seq = self.genome.fetch(contigs, first, self.sequence_length, minus)
        else:
            # The middle base of an odd sequence is at the same index on both strands.
            shift = (minus & ((end - start) % 2 == 1)).astype(np.int64)
            first, region_first = first - shift, region_first - shift
            seq = _placed(frame, sequences, np.where(minus, first + self.sequence_length - end, start - first), self)
        return CodeWindows(seq, self._regions(contigs, region_first, minus), landmarks)

    def _prepare(self, intervals: IntervalSource) -> tuple[pd.DataFrame, NDArray[np.object_]]:
        return self.settled(read_intervals(intervals))

    def settled(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.object_]]:
        """Return what :func:`~ripe_lib.genome.intervals.read_intervals` read with its strands, and the FASTA's contigs.

        Errors as :meth:`prepare`.
        """
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

    def _contigs_of(self, frame: pd.DataFrame) -> NDArray[np.object_]:
        """Return the FASTA's names of the contigs, refusing intervals that are not on it; without one, their own."""
        if self._genome is None:
            return frame["chrom"].to_numpy(dtype=object)
        return contigs_of(frame, self._genome)

    def _warn(self, n: int) -> None:
        if self._warned:
            return
        self._warned = True
        reason = "no GTF was given" if self.annotation is None else "they overlap no transcript"
        message = (
            f"{n} interval(s) without strand taken as plus: {reason}. Give a BED with strands (column 6) to choose."
        )
        warnings.warn(message, StrandWarning, stacklevel=4)


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
    spec: WindowLengths,
) -> Windows:
    """Make the input windows of a model for intervals.

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

    Returns
    -------
    Windows
        ``seq`` (B, L, 4), ``region`` (B, R, 4) or None, ``landmarks`` (B, 8, K) or None, and ``intervals``.

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
    if (fasta_file is None) == (sequences is None):
        given = "neither" if fasta_file is None else "both"
        raise InputError(f"make_windows: expected either fasta_file or sequences, got {given}.")
    return WindowMaker(spec, fasta_file, gtf_file).windows(intervals, sequences)
