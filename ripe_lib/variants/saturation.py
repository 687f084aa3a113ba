"""Every substitution and single-base deletion of a region: the same scores as ``ripe score-variants`` gives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.genome.alleles import SNV
from ripe_lib.genome.encoding import BASES, UNKNOWN, Codes, decode_sequence
from ripe_lib.genome.vcf import VcfRecords
from ripe_lib.variants.options import VariantOptions
from ripe_lib.variants.scorer import ScoredVariants, VariantScorer

if TYPE_CHECKING:
    from ripe_lib.genome.annotation import Annotation
    from ripe_lib.genome.fasta import Genome
    from ripe_lib.network.load import Model

MAX_LENGTH = 100_000
_REGION = re.compile(r"(?P<contig>.+?):(?P<start>[0-9,]+)(?:-(?P<end>[0-9,]+))?(?:[:(](?P<strand>[+-])\)?)?\Z")


class Region(NamedTuple):
    """A stretch of one strand, 0-based, half-open."""

    contig: str
    start: int
    end: int
    strand: str

    def __str__(self) -> str:
        return f"{self.contig}:{self.start + 1}-{self.end}:{self.strand}"


@dataclass
class Saturation:
    """Scores of every change of a region.

    Attributes
    ----------
    region : Region
    codes : uint8 (N,)
        Bases of the region, plus strand.
    scored : ScoredVariants
        All changes as rows, in genomic order.
    """

    region: Region
    codes: Codes
    scored: ScoredVariants

    def changes(self, number: int) -> NDArray[np.float32]:
        """Return (N, 4, T) of a model: substitutions by each base in RNA sense, 5' to 3'; 0 where it is that base.

        Rows of unknown bases are NaN.
        """
        rows, minus = self.scored.rows, self.region.strand == "-"
        values = self.scored.values[number][..., self.scored.fields.index("delta")]
        changes = np.zeros((len(self.codes), 4, values.shape[1]), dtype=np.float32)
        changes[self.codes == UNKNOWN] = np.nan
        single = rows.kind == SNV
        changes[rows.start[single] - self.region.start, rows.inserted[single, 0]] = values[single]
        return changes[::-1, ::-1] if minus else changes

    def deletions(self, number: int) -> NDArray[np.float32] | None:
        """Return (N, T) of a model: the deletion of each base, 5' to 3'; NaN where it was not scored, None if none was.

        Deletions in a run of one base are the same change, scored at its left end: each base of the run has that score.
        """
        rows = self.scored.rows
        values = self.scored.values[number][..., self.scored.fields.index("delta")]
        deleted = np.flatnonzero((rows.n_removed == 1) & (rows.n_inserted == 0))
        if not len(deleted):
            return None
        found = np.full((len(self.codes), values.shape[1]), np.nan, dtype=np.float32)
        for row in deleted.tolist():
            first = max(0, int(rows.start[row]) - self.region.start)
            last = first
            while last + 1 < len(self.codes) and self.codes[last + 1] == self.codes[first]:
                last += 1
            found[first : last + 1] = values[row]
        return found[::-1] if self.region.strand == "-" else found


def parse_region(text: str, genome: Genome, annotation: Annotation | None = None) -> Region:
    """Read ``chr1:1,001-2,000`` with or without ``:+``/``:-`` (1-based, both ends included, as in genome browsers).

    Parameters
    ----------
    text : str
    genome : Genome
    annotation : Annotation, optional
        Gives the strand where the text has none: that of the overlapping transcript, plus if there is none.

    Raises
    ------
    InputError
        If it is not of this form, too long, or off the contig.
    UnknownNameError
        If the FASTA has no such contig.
    """
    found = _REGION.match(text.strip())
    if found is None:
        raise InputError(f"region {text!r}: expected contig:start-end, e.g. chr1:1,001-2,000 or chr1:1001-2000:-")
    contig = genome.resolve(found["contig"])
    start = int(found["start"].replace(",", "")) - 1
    end = int((found["end"] or found["start"]).replace(",", ""))
    if not 0 <= start < end <= genome.contigs[contig]:
        raise InputError(f"region {text!r}: expected 1 <= start <= end <= {genome.contigs[contig]} ({contig}).")
    if end - start > MAX_LENGTH:
        raise InputError(f"region {text!r}: expected at most {MAX_LENGTH:,} nt, got {end - start:,}. Split it.")
    strand = found["strand"]
    if strand is None and annotation is not None:
        strand = str(annotation.strand_of([contig], [start], [end])[0])
    return Region(contig, start, end, strand if strand in ("+", "-") else "+")


def saturate(
    models: Sequence[Model],
    genome: Genome,
    annotation: Annotation | None,
    region: Region | tuple[str, int, int, str],
    *,
    deletions: bool = False,
    options: VariantOptions | None = None,
) -> Saturation:
    """Score every substitution, and every deletion of one base if wanted, of a region.

    Parameters
    ----------
    models : list of Model
    genome : Genome
    annotation : Annotation or None
        For region types.
    region : Region
    deletions : bool
        Deletions are scored where their left-aligned form lies; equal deletions in a run of one base have equal scores.
    options : VariantOptions, optional
        ``strand`` is the region's.
    """
    region = Region(*region)
    options = options or VariantOptions()
    options = VariantOptions(**{**vars(options), "strand": region.strand})
    codes = genome.fetch(region.contig, [region.start - 1], region.end - region.start + 1)[0]
    letters = decode_sequence(codes)
    positions, refs, alts = [], [], []
    for offset in range(region.start, region.end):
        here = letters[offset - region.start + 1]
        if here == "N":
            continue
        positions.append(offset + 1)
        refs.append(here)
        alts.append(",".join(base for base in BASES if base != here))
        if deletions and offset > 0:
            positions.append(offset)
            refs.append(letters[offset - region.start] + here)
            alts.append(letters[offset - region.start])
    n = len(positions)
    lines = [f"{region.contig}\t{p}\t.\t{r}\t{a}" for p, r, a in zip(positions, refs, alts, strict=True)]
    records = VcfRecords([region.contig] * n, np.array(positions, dtype=np.int64), ["."] * n, refs, alts, lines)
    scored = VariantScorer(models, genome, annotation, options).score(records)
    return Saturation(region, codes[1:], scored)
