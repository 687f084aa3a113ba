"""Gene annotation: region type of every base, transcripts over an interval, the likely strand of an interval.

Region types, per strand (paper; where it is silent, as in the clip31 data):

- counted are transcripts of biotype ``protein_coding`` (an option); what only others cover has no region type;
- CDS is every exonic base from the first to the last coding base of a transcript, its stop codon included;
- other exonic bases are 5'UTR or 3'UTR by the side of the CDS they lie on; exons of a transcript without CDS are
  neither;
- introns are the gaps between the exons of the same transcripts;
- where transcripts disagree: CDS > 3'UTR > 5'UTR > intron.

The whole annotation becomes one sorted array of breakpoints on an axis on which every (contig, strand) has its own
stretch, so that a batch of windows is answered with two binary searches and one ``repeat``. That index is built once
per GTF file and option and kept as ``.npz`` beside the file or in the cache folder (files below 2 MB are simply read).
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ripe_lib.errors import InputError, MissingFileError, unknown_name
from ripe_lib.genome.annotation_index import NOTHING, REGION_OF_RUN, STRAND_CLASSES, STRIDE, Index, load_index
from ripe_lib.genome.contigs import ContigNames, mitochondria_agree
from ripe_lib.genome.encoding import UNKNOWN, Codes
from ripe_lib.genome.fasta import Genome, numbers_of
from ripe_lib.genome.gtf import PROTEIN_CODING, AnnotationWarning
from ripe_lib.genome.intervals import PathLike

STRANDS = np.array(["+", "-", "."], dtype=object)
_FAR = 1 << 38


def open_genome(fasta_file: PathLike, gtf_file: PathLike | None = None) -> tuple[Genome, Annotation | None]:
    """Return a genome, and the annotation matched to it if there is one."""
    genome = Genome(fasta_file)
    return genome, None if gtf_file is None else Annotation.load(gtf_file).for_genome(genome)


class Annotation:
    """Genes of one assembly; make it with :meth:`load`."""

    def __init__(self, index: Index, path: Path, transcript_types: tuple[str, ...]):
        self.path = path
        self.transcript_types = transcript_types
        self.contigs = index.texts("contigs")  # as in the GTF; methods also take their aliases (chr1/1, chrM/MT)
        self._index = index
        self._names = ContigNames(self.contigs, str(path))
        self._contig_rows = {name: row for row, name in enumerate(self.contigs)}

    @classmethod
    def load(cls, gtf_file: PathLike, *, transcript_types: str | Iterable[str] = (PROTEIN_CODING,)) -> Annotation:
        """Read a GTF file (Ensembl, GENCODE, RefSeq, UCSC; plain or gzip), or its index if that was built before.

        ``transcript_types`` are the biotypes whose transcripts give region types, by default ``protein_coding`` only:
        no nonsense-mediated-decay, retained-intron or non-coding transcripts. A biotype that no transcript has is
        refused; a file that has other biotypes only is told in a warning.
        """
        path = Path(gtf_file)
        kinds = (transcript_types,) if isinstance(transcript_types, str) else tuple(transcript_types)
        if not path.is_file():
            if path.exists():
                raise MissingFileError(f"{path}: expected a GTF file, got a folder or a pipe. Save it as a file.")
            raise MissingFileError(f"{path}: no such GTF file. Check the path.")
        annotation = cls(load_index(path, kinds), path, kinds)
        known = set(annotation._index.texts("transcript_type"))
        for kind in kinds:
            if kind != PROTEIN_CODING and kind not in known:
                raise unknown_name(f"transcript type in {path}", kind, sorted(known))
        if not known & {*kinds, "unknown"}:
            got = ", ".join(sorted(known)[:3])
            message = f"{path}: no transcript is {' or '.join(kinds)} (but {got}): no region type can be told."
            warnings.warn(message, AnnotationWarning, stacklevel=2)
        return annotation

    def __repr__(self) -> str:
        return f"Annotation({str(self.path)!r}, {len(self._index.start)} transcripts)"

    def for_genome(self, genome: Genome) -> Annotation:
        """Return this annotation with contigs matched by what is known of the genome; they must share one."""
        matched = copy.copy(self)
        matched._names = ContigNames(
            self.contigs, str(self.path), match_mitochondria=mitochondria_agree(genome.contigs)
        )
        shared = [(name, found) for name in genome.contigs if (found := matched._names.find(name)) is not None]
        if not shared:
            raise InputError(
                f"{self.path}: expected contigs of {genome.path} ({', '.join(list(genome.contigs)[:3])}, ...), "
                f"got {', '.join(self.contigs[:3])}, ... Use GTF and FASTA of the same assembly."
            )
        ends = np.zeros(len(self.contigs), dtype=np.int64)
        np.maximum.at(ends, self._index.contig, self._index.end)
        for name, found in shared:
            end, length = int(ends[self._contig_rows[found]]), genome.contigs[name]
            if end > length:
                message = f"{self.path}: a transcript on {found} ends at {end}, but {name} in {genome.path} has only "
                message += f"{length} bases. Are GTF and FASTA of the same assembly?"
                warnings.warn(message, AnnotationWarning, stacklevel=2)
                break
        return matched

    def region_codes(
        self, chroms: str | Iterable[str], starts: ArrayLike, length: int, minus: ArrayLike = False
    ) -> Codes:
        """Return the region types of windows of one length.

        Parameters
        ----------
        chroms : str or sequence of str (B,)
            Contig names, as in the GTF or an alias; contigs the GTF does not have are without annotation.
        starts : int array (B,)
            0-based, plus strand; windows may overhang the contig.
        length : int
            In nt.
        minus : bool or bool array (B,)
            Which are on the minus strand.

        Returns
        -------
        uint8 array (B, length)
            Codes of :mod:`ripe_lib.genome.encoding` (0 intron, 1 CDS, 2 3'UTR, 3 5'UTR, 4 none), 5' to 3' on the
            strand.
        """
        starts = np.atleast_1d(np.asarray(starts, dtype=np.int64))
        minus = np.broadcast_to(np.asarray(minus, dtype=bool), starts.shape)
        if not length or not len(starts):
            return np.full((len(starts), length), UNKNOWN, dtype=np.uint8)
        begin = self._on_axis(self._rows_of(chroms, len(starts)), starts, minus)
        end = begin + length
        breaks, runs = self._index.breaks, self._index.runs
        first = np.searchsorted(breaks, begin, side="right") - 1
        n_runs = np.searchsorted(breaks, end, side="left") - first
        window = np.repeat(np.arange(len(begin)), n_runs)
        run = np.arange(len(window)) + (first - np.cumsum(n_runs) + n_runs)[window]
        run_begin = np.maximum(breaks[run], begin[window])
        # A run ends where the next of its window begins, or with the window.
        run_end = np.append(run_begin[1:], 0)
        run_end[np.cumsum(n_runs) - 1] = end
        codes = np.repeat(REGION_OF_RUN[runs[run]], run_end - run_begin).reshape(len(begin), length)
        codes[minus] = codes[minus, ::-1]
        return codes

    def landmark_distances(
        self, chroms: str | Iterable[str], centres: ArrayLike, minus: ArrayLike = False
    ) -> NDArray[np.float64]:
        """Return the signed distances from positions to the nearest landmark of every kind on the same strand.

        Parameters as :meth:`region_codes`.

        Returns
        -------
        float64 array (B, 8)
            In nt in the direction of the RNA, positive where the landmark lies downstream, in the order of
            :data:`ripe_lib.genome.landmarks.LANDMARKS`; of two equally near ones the downstream one; NaN where the
            contig and strand have none.
        """
        centres = np.atleast_1d(np.asarray(centres, dtype=np.int64))
        minus = np.broadcast_to(np.asarray(minus, dtype=bool), centres.shape)
        at = self._on_axis(self._rows_of(chroms, len(centres)), centres, minus)
        kinds = np.split(self._index.landmark, self._index.landmark_offset[1:-1])  # sorted positions on the axis
        distances, track = np.full((len(at), len(kinds)), np.nan), at // STRIDE
        for column, positions in enumerate(kinds):
            if not len(positions):
                continue
            after = np.searchsorted(positions, at, side="left")
            right, left = positions[np.minimum(after, len(positions) - 1)], positions[np.maximum(after - 1, 0)]
            to_right = np.where((after < len(positions)) & (right // STRIDE == track), right - at, np.inf)
            to_left = np.where((after > 0) & (left // STRIDE == track), at - left, np.inf)
            downstream, upstream = np.where(minus, to_left, to_right), np.where(minus, to_right, to_left)
            nearest = np.where(downstream <= upstream, downstream, -upstream)
            distances[:, column] = np.where(np.isinf(nearest), np.nan, nearest)
        return distances

    def _rows_of(self, chroms: str | Iterable[str], n: int) -> NDArray[np.int64]:
        """Return contig numbers, -1 for contigs that are not in the GTF."""
        return numbers_of(chroms, n, lambda name: self._contig_rows.get(self._names.find(name) or "", -1))

    def _on_axis(self, rows: NDArray[np.int64], positions: ArrayLike, minus: ArrayLike) -> NDArray[np.int64]:
        """Put positions on the axis of the index; unknown contigs (-1) fall before everything on it."""
        return (rows * 2 + np.asarray(minus, dtype=np.int64)) * STRIDE + np.clip(positions, -_FAR, _FAR)

    def strand_of(self, chroms: str | Iterable[str], starts: ArrayLike, ends: ArrayLike) -> NDArray[np.object_]:
        """Guess the strand of intervals that have none.

        The strands are compared by, in this order, the number of the interval's bases (1) in CDS or UTR, (2) with
        any region type, (3) in an exon of any transcript, (4) in any transcript. The first difference decides; if
        there is none and some transcript overlaps, the answer is ``+``.

        Parameters
        ----------
        chroms : str or sequence of str (B,)
            Contig names, as in the GTF or an alias.
        starts, ends : int array (B,)
            0-based, half-open, on the plus strand.

        Returns
        -------
        object array (B,)
            ``"+"``, ``"-"``, or ``"."`` where no transcript of known strand overlaps.
        """
        starts, ends, rows = self._stretches(chroms, starts, ends)
        on_plus, on_minus = (self._bases_in_classes(rows, starts, ends, minus) for minus in (False, True))
        verdict = np.zeros(len(starts), dtype=np.int64)
        for difference in np.sign(on_plus - on_minus):
            verdict = np.where(verdict == 0, difference, verdict)
        anything = (on_plus[-1] + on_minus[-1]) > 0
        return np.where(anything, np.where(verdict < 0, "-", "+"), ".").astype(object)

    def _stretches(
        self, chroms: str | Iterable[str], starts: ArrayLike, ends: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return starts, ends and contig numbers (B,)."""
        start, end = (np.atleast_1d(np.asarray(one, dtype=np.int64)) for one in (starts, ends))
        return start, end, self._rows_of(chroms, len(start))

    @cached_property
    def _cumulated(self) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """For each class of :meth:`strand_of`: which runs are in it, and how many of its bases precede each run."""
        runs = self._index.runs
        member = np.stack([*(np.isin(runs, members) for members in STRAND_CLASSES), runs != NOTHING])
        lengths = np.append(np.diff(self._index.breaks), 0)
        before = np.zeros((len(member), len(runs)), dtype=np.int64)
        np.cumsum(np.where(member, lengths, 0)[:, :-1], axis=1, out=before[:, 1:])
        return member, before

    def _bases_in_classes(
        self, rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64], minus: bool
    ) -> NDArray[np.int64]:
        member, before = self._cumulated

        def up_to(positions: NDArray[np.int64]) -> NDArray[np.int64]:
            at = self._on_axis(rows, positions, minus)
            run = np.searchsorted(self._index.breaks, at, side="right") - 1
            return before[:, run] + np.where(member[:, run], at - self._index.breaks[run], 0)

        return up_to(ends) - up_to(starts)

    @cached_property
    def transcripts(self) -> pd.DataFrame:
        """All transcripts of any biotype, in file order, 0-based, half-open.

        Columns ``chrom start end strand transcript_id gene_id gene_name transcript_type``; chrom as in the GTF.
        """
        index = self._index
        chrom, strand = np.array(self.contigs, dtype=object)[index.contig], STRANDS[index.strand]
        names = ("transcript_id", "gene_id", "gene_name", "transcript_type")
        texts = {name: np.array(index.texts(name), dtype=object) for name in names}
        return pd.DataFrame({"chrom": chrom, "start": index.start, "end": index.end, "strand": strand, **texts})

    @cached_property
    def _row_of_transcript(self) -> dict[str, int]:
        names = self._index.texts("transcript_id")
        return {name: row for row, name in reversed(list(enumerate(names)))}  # of equal names the first counts

    def exons(self, transcript_id: str) -> NDArray[np.int64]:
        """Return the exons of a transcript, (n, 2) start and end, 0-based, half-open, in genomic order."""
        row = self._row_of_transcript.get(transcript_id)
        if row is None:
            raise unknown_name(f"transcript in {self.path}", transcript_id, self._row_of_transcript)
        which = slice(self._index.exon_offset[row], self._index.exon_offset[row + 1])
        return np.stack([self._index.exon_start[which], self._index.exon_end[which]], axis=1)

    def overlapping(
        self, chroms: str | Iterable[str], starts: ArrayLike, ends: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the transcripts (any biotype, either strand, introns included) that share a base with intervals.

        Parameters as :meth:`strand_of`.

        Returns
        -------
        query_index, transcript_index : int64 arrays
            One pair per overlap, sorted by query, then by row of :attr:`transcripts`.
        """
        starts, ends, rows = self._stretches(chroms, starts, ends)
        begin, end = self._on_axis(rows, starts, False), self._on_axis(rows, ends, False)
        queries, found = [], []
        for order, at, longest in self._length_classes:
            # Only transcripts that start less than `longest` before the interval can reach into it.
            low = np.searchsorted(at, begin - longest, side="right")
            n = np.maximum(np.searchsorted(at, end, side="left") - low, 0)
            query = np.repeat(np.arange(len(starts)), n)
            candidate = order[np.arange(len(query)) + (low - np.cumsum(n) + n)[query]]
            overlaps = (self._index.end[candidate] > starts[query]) & (rows[query] >= 0)
            queries.append(query[overlaps])
            found.append(candidate[overlaps])
        query_index, transcript_index = np.concatenate(queries), np.concatenate(found)
        sort = np.lexsort((transcript_index, query_index))
        return query_index[sort], transcript_index[sort]

    @cached_property
    def _length_classes(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64], int]]:
        """Transcripts grouped by length (factor 4), sorted by start: rows, starts on the axis, longest length."""
        index = self._index
        lengths = index.end - index.start
        group = np.floor(np.log2(np.maximum(lengths, 1)) / 2)
        starts = self._on_axis(index.contig.astype(np.int64), index.start, False)
        order = np.argsort(starts, kind="stable")
        members = [order[group[order] == number] for number in np.unique(group)]
        return [(rows, starts[rows], int(lengths[rows].max())) for rows in members]
