"""Which strands an allele is scored on, and what the annotation says there: one row per ALT and strand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import unknown_name
from ripe_lib.genome.alleles import OK, Alleles
from ripe_lib.genome.encoding import REGION_TYPES
from ripe_lib.variants.windows import Sites

if TYPE_CHECKING:
    from ripe_lib.genome.annotation import Annotation

STRANDS = ("auto", "+", "-", "both")
INTERGENIC = ("skip", "+", "-", "both")
_REGION_NAMES = np.array([*REGION_TYPES, "none"], dtype=object)
_FORCED = {"+": (True, False), "-": (False, True), "both": (True, True), "skip": (False, False)}


@dataclass
class Rows:
    """Columns of length R: alleles in file order, plus strand before minus strand.

    Attributes
    ----------
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
    """

    allele: NDArray[np.int64]
    strand: NDArray[np.object_]
    genes: NDArray[np.object_]
    region_type: NDArray[np.object_]
    status: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.allele)

    def take(self, rows: NDArray) -> Rows:
        """Return some of the rows."""
        return Rows(self.allele[rows], self.strand[rows], self.genes[rows], self.region_type[rows], self.status[rows])

    def sites(self, alleles: Alleles, rows: NDArray[np.int64]) -> Sites:
        """Return the changes of some rows, for :mod:`ripe_lib.variants.windows`."""
        allele = self.allele[rows]
        return Sites(
            alleles.contig[allele],
            alleles.start[allele],
            self.strand[rows] == "-",
            alleles.n_removed[allele],
            alleles.n_inserted[allele],
            alleles.inserted[allele],
        )


def place_rows(alleles: Alleles, known: Genes | None, *, strand: str = "auto", intergenic: str = "skip") -> Rows:
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
        if value not in choices:
            raise unknown_name(name, value, choices)
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
    return Rows(
        allele=np.concatenate([allele, unplaced]).astype(np.int64)[order],
        strand=np.concatenate([strands, np.full(len(unplaced), ".", dtype=object)])[order],
        genes=np.concatenate([gene_names, nothing])[order],
        region_type=np.concatenate([region_type, nothing])[order],
        status=np.concatenate([np.full(n, OK, dtype=object), reasons])[order],
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
