"""Alleles on the strands they are scored on: what the annotation says there, and the windows of both alleles.

One row per ALT and strand. The window rule is applied to the first changed base, so both alleles share the window's
left end in the genome. After a deletion the window is filled from the genomic right, after an insertion it is cut
there; a minus-strand window is the reverse complement of the result. The region track is changed in the same way: what
is to the right of an indel moves with it, replaced bases keep their region types, and additional bases take that of
the base to their genomic left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import check_known
from ripe_lib.genome.alleles import OK, Alleles
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import COMPLEMENT, REGION_TYPES, Codes
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.windows import CodeWindows
from ripe_lib.network.spec import ModelSpec

STRANDS = ("auto", "+", "-", "both")
INTERGENIC = ("skip", "+", "-", "both")
META_COLUMNS = ("chrom", "pos", "id", "ref", "alt", "strand", "genes", "region_type", "status")
PLACE = ("contig", "start", "n_removed", "n_inserted", "inserted")  # columns of an allele that a row repeats
_REGION_NAMES = np.array([*REGION_TYPES, "none"], dtype=object)
_SIGNS = np.array(["+", "-", "."], dtype=object)
_FORCED = {"+": (True, False), "-": (False, True), "both": (True, True), "skip": (False, False)}

# (contigs, starts, length, minus) -> codes (B, length) in RNA sense
Fetch = Callable[[NDArray[np.object_], NDArray[np.int64], int, NDArray[np.bool_]], Codes]


@dataclass
class Rows:
    """The carrier of a batch of records: columns of length R, alleles in file order, plus strand before minus strand.

    Attributes
    ----------
    alleles : Alleles
        All ALT alleles of the batch, with their records.
    allele : int64 (R,)
        Index into the alleles.
    strand : str (R,)
        ``+``, ``-``, or ``.`` where nothing is scored.
    genes : str (R,)
        Names of the genes with a transcript there on that strand, comma-separated, sorted; may be empty.
    region_type : str (R,)
        Of the first changed base on that strand: intron, CDS, 3UTR, 5UTR, ``none``; empty without an annotation.
    status : str (R,)
        ``ok`` or a reason code.
    minus : bool (R,)
    contig, start, n_removed, n_inserted, inserted
        Of the row's allele, as in :class:`ripe_lib.genome.alleles.Alleles`.
    """

    alleles: Alleles
    allele: NDArray[np.int64]
    strand: NDArray[np.object_]
    genes: NDArray[np.object_]
    region_type: NDArray[np.object_]
    status: NDArray[np.object_]
    minus: NDArray[np.bool_]
    contig: NDArray[np.object_]
    start: NDArray[np.int64]
    n_removed: NDArray[np.int64]
    n_inserted: NDArray[np.int64]
    inserted: Codes

    def __len__(self) -> int:
        return len(self.allele)

    @property
    def is_snv(self) -> NDArray[np.bool_]:
        """Where one base is substituted, (R,)."""
        return (self.n_removed == 1) & (self.n_inserted == 1)

    def take(self, rows: NDArray[np.integer]) -> Rows:
        """Return some of the rows."""
        return Rows(self.alleles, *(getattr(self, column.name)[rows] for column in fields(self)[1:]))

    def meta(self) -> dict[str, NDArray[Any]]:
        """Return the table's columns before the scores, :data:`META_COLUMNS`."""
        records, record = self.alleles.records, self.alleles.record[self.allele]
        columns = {name: np.array(getattr(records, name), dtype=object)[record] for name in ("chrom", "id", "ref")}
        columns |= {"pos": records.pos[record], "alt": np.array(self.alleles.alt, dtype=object)[self.allele]}
        return {name: columns[name] if name in columns else getattr(self, name) for name in META_COLUMNS}


def place_rows(alleles: Alleles, known: Genes | None = None, *, strand: str = "auto", intergenic: str = "skip") -> Rows:
    """Choose the strands of every allele.

    Parameters
    ----------
    alleles : Alleles
    known : Genes or None
        Gives the strands (``auto``), gene names and region types. A transcript counts if it overlaps a removed base,
        or, for an insertion, the base before which the new ones come.
    strand : str
        ``auto``: the strands with a transcript, plus without an annotation; else the strands to score.
    intergenic : str
        What to do under ``auto`` where no transcript is: ``skip``, or the strands to score.
    """
    check_known("strand", strand, STRANDS)
    check_known("intergenic strand", intergenic, INTERGENIC)
    usable = np.flatnonzero(alleles.status == OK)
    chosen = np.zeros((len(alleles), len(_SIGNS)), dtype=bool)
    genes = np.full(chosen.shape, "", dtype=object)
    if known is None:
        chosen[usable, :2] = _FORCED["+"]
    else:
        on_strand, genes[usable, :2] = known.overlapping(alleles, usable)
        on_strand[~on_strand.any(axis=1)] = _FORCED[intergenic]
        chosen[usable, :2] = on_strand
    if strand != "auto":
        chosen[usable, :2] = _FORCED[strand]
    chosen[:, 2] = ~chosen.any(axis=1)
    allele, column = np.nonzero(chosen)
    status, region_type = alleles.status[allele], np.full(len(allele), "", dtype=object)
    placed = np.flatnonzero(column < 2)
    if known is not None and len(placed):
        place = alleles.contig[allele[placed]], alleles.start[allele[placed]], 1, column[placed] == 1
        region_type[placed] = _REGION_NAMES[known.annotation.region_codes(*place)[:, 0]]
    status[(status == OK) & (column == 2)] = "intergenic"
    of_allele = (getattr(alleles, name)[allele] for name in PLACE)
    return Rows(alleles, allele, _SIGNS[column], genes[allele, column], region_type, status, column == 1, *of_allele)


class Genes:
    """Transcripts of an annotation, ready to be looked up for many chunks of alleles."""

    def __init__(self, annotation: Annotation) -> None:
        transcripts = annotation.transcripts
        names = transcripts["gene_name"].where(transcripts["gene_name"] != "", transcripts["gene_id"])
        self.annotation = annotation
        # In alphabetical order, and the place of each transcript's gene among them.
        self._gene, unique = pd.factorize(names, sort=True)
        self._names = unique.to_numpy(dtype=object)
        self._minus = transcripts["strand"].map({"+": 0, "-": 1}).fillna(-1).to_numpy(dtype=np.int64)

    def overlapping(self, alleles: Alleles, usable: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.object_]]:
        """Return which strands have a transcript, and the names of their genes, both (n, 2): plus, minus."""
        start = alleles.start[usable]
        end = start + np.maximum(alleles.n_removed[usable], 1)
        query, transcript = self.annotation.overlapping(alleles.contig[usable], start, end)
        stranded = self._minus[transcript] >= 0
        query, transcript = query[stranded], transcript[stranded]
        strand = query * 2 + self._minus[transcript]
        pairs = np.unique(strand * len(self._names) + self._gene[transcript])  # sorted by strand, then name
        strand, gene = np.divmod(pairs, max(1, len(self._names)))
        first = np.flatnonzero(np.diff(strand, prepend=-1))
        n_genes = np.diff(first, append=len(strand))
        names = np.full(2 * len(usable), "", dtype=object)
        names[strand[first]] = self._names[gene[first]]
        for at, n in zip(first[n_genes > 1].tolist(), n_genes[n_genes > 1].tolist(), strict=True):
            names[strand[at]] = ",".join(self._names[gene[at : at + n]])
        on_strand = np.zeros(2 * len(usable), dtype=bool)
        on_strand[strand] = True
        return on_strand.reshape(-1, 2), names.reshape(-1, 2)


def change_index(length: int, shift: int = 0) -> int:
    """Return the index of the first changed base in the window, counted from the genomic left."""
    return length // 2 - 1 - shift


def substituted_position(length: int, minus: NDArray[np.bool_], shift: int = 0) -> NDArray[np.int64]:
    """Return the index (B,) of a substituted base in RNA sense; parameters as :func:`reference_codes`."""
    left = change_index(length, shift)
    return np.where(minus, length - 1 - left, left)


def window_starts(rows: Rows, length: int, shift: int = 0) -> NDArray[np.int64]:
    """Return where the windows start (0-based, plus strand); parameters as :func:`reference_codes`."""
    return rows.start - change_index(length, shift)


def reference_codes(fetch: Fetch, rows: Rows, length: int, shift: int = 0) -> Codes:
    """Return the reference windows (B, length), RNA sense.

    Parameters
    ----------
    fetch : callable
        ``genome.fetch`` or ``annotation.region_codes``.
    rows : Rows
    length : int
    shift : int
        The window starts this many nt (genomic) after the normal place.
    """
    return fetch(rows.contig, window_starts(rows, length, shift), length, rows.minus)


def alternative_sequence(fetch: Fetch, rows: Rows, length: int, shift: int = 0) -> Codes:
    """Return the windows (B, length) of the alternative allele, RNA sense; parameters as :func:`reference_codes`."""
    window, row, column = _joined(fetch, rows, length, shift, np.zeros(len(rows), dtype=bool))
    window[row, column] = rows.inserted[row, column - change_index(length, shift)]
    window[rows.minus] = COMPLEMENT[window[rows.minus, ::-1]]
    return window


def alternative_region(fetch: Fetch, rows: Rows, length: int, shift: int = 0) -> Codes:
    """Return the region-type windows (B, length) of the alternative allele; parameters as :func:`reference_codes`."""
    window, row, column = _joined(fetch, rows, length, shift, rows.minus)
    last_replaced = change_index(length, shift) + np.minimum(rows.n_removed, rows.n_inserted)[row] - 1
    window[row, column] = window[row, np.minimum(column, last_replaced).clip(0)]
    window[rows.minus] = window[rows.minus, ::-1]
    return window


def allele_windows(spec: ModelSpec, genome: Genome, annotation: Annotation | None, rows: Rows) -> CodeWindows:
    """Return the windows of the reference of every row, then those of the alternative, (2 B, ...).

    Parameters
    ----------
    spec, genome, annotation, rows
        Without an annotation region types and landmarks are unknown.
    """
    region = landmarks = None
    given = genome.fetch, rows, spec.sequence_length
    seq = np.concatenate([reference_codes(*given), alternative_sequence(*given)])
    if annotation is not None and spec.has_region:
        given = annotation.region_codes, rows, spec.region_length
        region = np.concatenate([reference_codes(*given), alternative_region(*given)])
    if annotation is not None and spec.has_landmarks:  # both alleles have those of the reference
        landmarks = np.tile(annotation.landmark_distances(rows.contig, rows.start, rows.minus), (2, 1))
    return CodeWindows(seq, region, landmarks)


def _joined(
    fetch: Fetch, rows: Rows, length: int, shift: int, minus: NDArray[np.bool_]
) -> tuple[Codes, NDArray[np.intp], NDArray[np.intp]]:
    """Return windows (B, length) in genomic order, and where (row, column) the new bases go, which holds the old ones.

    ``minus``: rows that ``fetch`` answers in reverse. What follows the removed bases comes after the new ones.
    """
    starts = window_starts(rows, length, shift), rows.start + rows.n_removed
    left, right = (fetch(rows.contig, start, length, minus) for start in starts)
    left[minus], right[minus] = left[minus, ::-1], right[minus, ::-1]
    relative = np.arange(length) - change_index(length, shift)
    after = relative - rows.n_inserted[:, None]
    window = np.where(after >= 0, np.take_along_axis(right, after.clip(0), axis=1), left)
    row, column = np.nonzero((relative >= 0) & (after < 0))
    return window, row, column
