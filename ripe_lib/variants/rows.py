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
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import check_known
from ripe_lib.genome.alleles import OK, Alleles
from ripe_lib.genome.encoding import COMPLEMENT, REGION_TYPES, Codes
from ripe_lib.genome.windows import CodeWindows

if TYPE_CHECKING:
    from ripe_lib.genome.annotation import Annotation
    from ripe_lib.genome.fasta import Genome
    from ripe_lib.network.spec import ModelSpec

STRANDS = ("auto", "+", "-", "both")
INTERGENIC = ("skip", "+", "-", "both")
META_COLUMNS = ("chrom", "pos", "id", "ref", "alt", "strand", "genes", "region_type", "status")
PLACE = ("contig", "start", "n_removed", "n_inserted", "inserted", "kind")  # columns of an allele that a row repeats
_REGION_NAMES = np.array([*REGION_TYPES, "none"], dtype=object)
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
        Whether the RNA is on the minus strand.
    contig, start, n_removed, n_inserted, inserted, kind
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
    kind: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.allele)

    def take(self, rows: NDArray[np.integer]) -> Rows:
        """Return some of the rows."""
        return Rows(self.alleles, *(getattr(self, column.name)[rows] for column in fields(self)[1:]))

    def meta(self) -> dict[str, NDArray[Any]]:
        """Return the table's columns before the scores, :data:`META_COLUMNS`."""
        records, record = self.alleles.records, self.alleles.record[self.allele]
        texts = {name: np.array(getattr(records, name), dtype=object)[record] for name in ("chrom", "id", "ref")}
        texts["alt"] = np.array(self.alleles.alt, dtype=object)[self.allele]
        own = {name: getattr(self, name) for name in META_COLUMNS[5:]}
        columns: dict[str, NDArray[Any]] = {**texts, "pos": records.pos[record], **own}
        return {name: columns[name] for name in META_COLUMNS}


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
    for name, value, choices in (("strand", strand, STRANDS), ("intergenic strand", intergenic, INTERGENIC)):
        check_known(name, value, choices)
    usable = np.flatnonzero(alleles.status == OK)
    genes = np.full((len(usable), 2), "", dtype=object)
    if known is None:
        on_strand = np.tile(_FORCED["+" if strand == "auto" else strand], (len(usable), 1))
    else:
        overlapped, genes = known.overlapping(alleles, usable)
        on_strand = overlapped if strand == "auto" else np.tile(_FORCED[strand], (len(usable), 1))
        on_strand[~on_strand.any(axis=1)] = _FORCED[intergenic]
    local, minus = np.nonzero(on_strand)
    allele = usable[local]
    unplaced = np.setdiff1d(np.arange(len(alleles)), allele)
    order = np.argsort(np.concatenate([allele, unplaced]), kind="stable")
    n = len(allele)
    strands = np.array(["+", "-"], dtype=object)[minus]
    gene_names = genes[local, minus]
    region_type = np.full(n, "", dtype=object)
    if known is not None and n:
        codes = known.annotation.region_codes(alleles.contig[allele], alleles.start[allele], 1, minus.astype(bool))
        region_type = _REGION_NAMES[codes[:, 0]]
    reasons = alleles.status[unplaced]
    reasons[reasons == OK] = "intergenic"
    nothing = np.full(len(unplaced), "", dtype=object)
    allele = np.concatenate([allele, unplaced]).astype(np.int64)[order]
    on_rows = np.concatenate([strands, np.full(len(unplaced), ".", dtype=object)])[order]
    return Rows(
        alleles=alleles,
        allele=allele,
        strand=on_rows,
        genes=np.concatenate([gene_names, nothing])[order],
        region_type=np.concatenate([region_type, nothing])[order],
        status=np.concatenate([np.full(n, OK, dtype=object), reasons])[order],
        minus=on_rows == "-",
        **{name: getattr(alleles, name)[allele] for name in PLACE},
    )


class Genes:
    """Transcripts of an annotation, ready to be looked up for many chunks of alleles."""

    def __init__(self, annotation: Annotation) -> None:
        transcripts = annotation.transcripts
        names = transcripts["gene_name"].to_numpy(dtype=object)
        if "gene_id" in transcripts:
            names = np.where(names == "", transcripts["gene_id"].to_numpy(dtype=object), names)
        strand = transcripts["strand"].to_numpy(dtype=object)
        self.annotation = annotation
        # Names in alphabetical order, and the place of each transcript's gene among them.
        self._names, self._gene = np.unique(names.astype(str), return_inverse=True)
        self._names = self._names.astype(object)
        self._minus = np.where(strand == "-", 1, np.where(strand == "+", 0, -1))

    def overlapping(self, alleles: Alleles, usable: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.object_]]:
        """Return which strands have a transcript, and the names of their genes, both (n, 2): plus, minus."""
        start = alleles.start[usable]
        end = start + np.maximum(alleles.n_removed[usable], 1)
        query, transcript = self.annotation.overlapping(alleles.contig[usable], start, end)
        stranded = self._minus[transcript] >= 0
        query, transcript = query[stranded], transcript[stranded]
        strand = query * 2 + self._minus[transcript]
        pairs = np.unique(strand * len(self._names) + self._gene[transcript])  # sorted by strand, then name
        strand, gene = pairs // max(1, len(self._names)), pairs % max(1, len(self._names))
        first = np.flatnonzero(np.diff(strand, prepend=-1))
        n_genes = np.diff(first, append=len(strand))
        names = np.full(2 * len(usable), "", dtype=object)
        names[strand[first]] = self._names[gene[first]]
        for at, n in zip(first[n_genes > 1].tolist(), n_genes[n_genes > 1].tolist(), strict=True):
            names[strand[at]] = ",".join(self._names[gene[at : at + n]])
        on_strand = np.zeros(2 * len(usable), dtype=bool)
        on_strand[strand] = True
        return on_strand.reshape(-1, 2), names.reshape(-1, 2)


# --- windows of both alleles -----------------------------------------------------------------------------------------


def change_index(length: int, shift: int = 0) -> int:
    """Return the index of the first changed base in the window, counted from the genomic left."""
    return length // 2 - 1 - shift


def substituted_position(length: int, minus: NDArray[np.bool_], shift: int = 0) -> NDArray[np.int64]:
    """Return the index (B,) of a substituted base in RNA sense.

    Parameters
    ----------
    length : int
        Of the window, in nt.
    minus : bool array (B,)
    shift : int
        As in :func:`reference_codes`.
    """
    left = change_index(length, shift)
    return np.where(minus, length - 1 - left, left)


def window_starts(rows: Rows, length: int, shift: int = 0) -> NDArray[np.int64]:
    """Return where the windows start (0-based, plus strand).

    Parameters as :func:`reference_codes`.
    """
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


def site_landmarks(annotation: Annotation, rows: Rows, shift: int = 0) -> NDArray[np.float64]:
    """Return distances (B, 8) from the windows' centres to landmarks; both alleles have those of the reference.

    Parameters
    ----------
    annotation : Annotation
    rows, shift
        As :func:`reference_codes`.
    """
    return annotation.landmark_distances(rows.contig, rows.start + shift, rows.minus)


def alternative_sequence(genome: Genome, rows: Rows, length: int, shift: int = 0) -> Codes:
    """Return the windows (B, length) of the alternative allele, RNA sense.

    Parameters
    ----------
    genome : Genome
    rows, length, shift
        As :func:`reference_codes`.
    """
    plus = np.zeros(len(rows.start), dtype=bool)
    left, right = _sides(genome.fetch, rows, length, shift, plus)
    relative = np.arange(length) - change_index(length, shift)
    window = _joined(left, right, relative, rows.n_inserted)
    new = _inserted_positions(relative, rows)
    row, column = np.nonzero(new)
    window[row, column] = rows.inserted[row, relative[column]]
    window[rows.minus] = COMPLEMENT[window[rows.minus, ::-1]]
    return window


def alternative_region(annotation: Annotation, rows: Rows, length: int, shift: int = 0) -> Codes:
    """Return the region-type windows (B, length) of the alternative allele, RNA sense.

    Parameters as :func:`alternative_sequence`, with an annotation.
    """
    left, right = _sides(annotation.region_codes, rows, length, shift, rows.minus)
    # Annotations answer in RNA sense; joining is done in genomic order.
    left[rows.minus], right[rows.minus] = left[rows.minus, ::-1], right[rows.minus, ::-1]
    at = change_index(length, shift)
    relative = np.arange(length) - at
    window = _joined(left, right, relative, rows.n_inserted)
    row, column = np.nonzero(_inserted_positions(relative, rows))
    replaced = np.minimum(rows.n_removed, rows.n_inserted)[row]
    source = at + np.minimum(relative[column], replaced - 1)
    window[row, column] = left[row, np.maximum(source, 0)]
    window[rows.minus] = window[rows.minus, ::-1]
    return window


def allele_windows(spec: ModelSpec, genome: Genome, annotation: Annotation | None, rows: Rows) -> CodeWindows:
    """Return the windows of the reference of every row, then those of the alternative, (2 B, ...).

    Parameters
    ----------
    spec : ModelSpec
    genome : Genome
    annotation : Annotation or None
        None: region types and landmarks are unknown.
    rows : Rows
    """
    length, region = spec.sequence_length, None
    seq = np.concatenate([reference_codes(genome.fetch, rows, length), alternative_sequence(genome, rows, length)])
    if annotation is None:
        return CodeWindows(seq)
    if spec.has_region:
        reference = reference_codes(annotation.region_codes, rows, spec.region_length)
        region = np.concatenate([reference, alternative_region(annotation, rows, spec.region_length)])
    return CodeWindows(seq, region, np.tile(site_landmarks(annotation, rows), (2, 1)) if spec.has_landmarks else None)


def _sides(fetch: Fetch, rows: Rows, length: int, shift: int, minus: NDArray[np.bool_]) -> tuple[Codes, Codes]:
    """Return the reference window and the one that begins just after the removed bases."""
    left = fetch(rows.contig, window_starts(rows, length, shift), length, minus)
    right = fetch(rows.contig, rows.start + rows.n_removed, length, minus)
    return left, right


def _inserted_positions(relative: NDArray[np.int64], rows: Rows) -> NDArray[np.bool_]:
    return (relative >= 0) & (relative < rows.n_inserted[:, None])


def _joined(left: Codes, right: Codes, relative: NDArray[np.int64], n_inserted: NDArray[np.int64]) -> Codes:
    """Put ``right`` after the new bases; (B, L) with the places of the new bases still to be filled."""
    after = relative - n_inserted[:, None]
    moved = np.take_along_axis(right, np.clip(after, 0, None), axis=1)
    return np.where(after >= 0, moved, left)
