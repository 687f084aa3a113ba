"""Every substitution and single-base deletion of a region: the same scores as ``ripe score-variants`` gives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import BASES, UNKNOWN, Codes, decode_sequence
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.vcf import VcfRecords
from ripe_lib.network.load import Model
from ripe_lib.variants.options import VariantOptions
from ripe_lib.variants.scorer import ScoredVariants, VariantScorer

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
    """Every change of a region, scored, in genomic order; ``codes``: its bases, uint8 (N,), plus strand."""

    region: Region
    codes: Codes
    scored: ScoredVariants

    def changes(self, number: int) -> NDArray[np.float32]:
        """Return (N, 4, T) of a model: substitutions by each base in RNA sense, 5' to 3'; 0 where it is that base.

        Rows of unknown bases are NaN.
        """
        rows, values = self.scored.rows, self._deltas(number)
        changes = np.zeros((len(self.codes), 4, values.shape[1]), dtype=np.float32)
        changes[self.codes == UNKNOWN] = np.nan
        single = rows.is_snv
        changes[rows.start[single] - self.region.start, rows.inserted[single, 0]] = values[single]
        return changes[::-1, ::-1] if self.region.strand == "-" else changes

    def deletions(self, number: int) -> NDArray[np.float32] | None:
        """Return (N, T) of a model: the deletion of each base, 5' to 3'; NaN where it was not scored, None if none was.

        Deletions in a run of one base are the same change, scored at its left end: each base of the run has that score.
        """
        rows, values = self.scored.rows, self._deltas(number)
        deleted = np.flatnonzero((rows.n_removed == 1) & (rows.n_inserted == 0))
        if not len(deleted):
            return None
        run = np.cumsum(np.diff(self.codes, prepend=self.codes[:1]) != 0)  # which run each base is in
        of_run = np.full((run[-1] + 1, values.shape[1]), np.nan, dtype=np.float32)
        of_run[run[(rows.start[deleted] - self.region.start).clip(0)]] = values[deleted]
        found = of_run[run]
        return found[::-1] if self.region.strand == "-" else found

    def _deltas(self, number: int) -> NDArray[np.float32]:
        return self.scored.values[number][..., self.scored.fields.index("delta")]


def parse_region(text: str, genome: Genome, annotation: Annotation | None = None) -> Region:
    """Read ``chr1:1,001-2,000`` with or without ``:+``/``:-`` (1-based, both ends included, as in genome browsers).

    Parameters
    ----------
    text : str
        At most :data:`MAX_LENGTH` nt.
    genome : Genome
    annotation : Annotation, optional
        Gives the strand where the text has none: that of the overlapping transcript, plus if there is none.
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
    region : Region
    deletions : bool
        They are scored where their left-aligned form lies; equal deletions in a run of one base have equal scores.
    options : VariantOptions, optional
        ``strand`` is the region's.
    """
    region = Region(*region)
    codes = genome.fetch(region.contig, [region.start], region.end - region.start)[0]
    scorer = VariantScorer(models, genome, annotation, replace(options or VariantOptions(), strand=region.strand))
    return Saturation(region, codes, scorer.score(changes_of(genome, [region[:3]], deletions=deletions)))


def changes_of(genome: Genome, stretches: Iterable[tuple[str, int, int]], *, deletions: bool = False) -> VcfRecords:
    """Return every substitution of known bases as records, one per position, each followed by the base's deletion.

    Parameters
    ----------
    genome : Genome
    stretches : iterable of (contig, start, end)
        0-based, half-open.
    deletions : bool
        Whether there are deletions.
    """
    rows: list[tuple[str, int, str, str]] = []
    for contig, start, end in stretches:
        letters = decode_sequence(genome.fetch(contig, [start - 1], end - start + 1)[0])
        for at, (before, base) in enumerate(pairwise(letters), start):
            if base in BASES:
                rows.append((contig, at + 1, base, ",".join(other for other in BASES if other != base)))
                if deletions and at > 0:
                    rows.append((contig, at, before + base, before))
    positions, dots = np.array([row[1] for row in rows], dtype=np.int64), ["."] * len(rows)
    refs, alts = [row[2] for row in rows], [row[3] for row in rows]
    return VcfRecords([row[0] for row in rows], positions, dots, refs, alts, dots)
