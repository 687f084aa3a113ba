"""Variant effects: reference and alternative windows of every allele -> scores, one row per ALT and strand.

:func:`score_variants` is the door; :class:`VariantScorer` scores one chunk of records and is what commands and workers
use. ``delta`` is always alt - ref.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, unknown_name
from ripe_lib.genome.alleles import IDENTICAL, OK, SNV, Alleles, canonical_alleles
from ripe_lib.genome.vcf import VcfFile, VcfRecords
from ripe_lib.network.load import Model, load_model
from ripe_lib.variants.assembly import check_assembly
from ripe_lib.variants.rows import Genes, Rows, place_rows
from ripe_lib.variants.scorer import AlleleScorer
from ripe_lib.variants.summary import FIELDS, class_codes, class_names, load_background, percentiles

if TYPE_CHECKING:
    import pandas as pd

    from ripe_lib.genome.annotation import Annotation
    from ripe_lib.genome.fasta import Genome

REGIONS = ("gtf", "none", "both")
DEFAULT_CHUNK_SIZE = 8192
MAX_SHIFTS = 32
META_COLUMNS = ("chrom", "pos", "id", "ref", "alt", "strand", "genes", "region_type", "status")


@dataclass(frozen=True)
class VariantOptions:
    """How variants are scored.

    Attributes
    ----------
    strand : str
        ``auto`` (strands with a transcript of the GTF), ``+``, ``-`` or ``both``.
    region : str
        ``gtf``: region types of each allele; ``none``: no information, as in the paper; ``both``: the first, and
        ``delta_noregion`` of the second.
    intergenic : str
        Under ``auto``, where there is no transcript: ``skip``, ``+``, ``-`` or ``both``.
    shifts : int
        Average over this many windows, which start ``K // 2`` nt before the normal one to ``(K - 1) // 2`` nt after it.
    scores : tuple of str
        ``delta`` (always there: ref, alt, delta, delta_logit), ``class``, ``percentile``.
    delta_threshold, site_threshold : float
        Of ``class``: a smaller or equal |delta| is no change; a higher probability is a site.
    fast : bool
        Recompute only what a substitution changes; false runs the whole network for both alleles.
    batch_size : int
        Windows per network call.
    """

    strand: str = "auto"
    region: str = "gtf"
    intergenic: str = "skip"
    shifts: int = 1
    scores: tuple[str, ...] = ("delta",)
    delta_threshold: float = 0.1
    site_threshold: float = 0.5
    fast: bool = True
    batch_size: int = 1024

    def __post_init__(self) -> None:
        scores = (self.scores,) if isinstance(self.scores, str) else tuple(self.scores)
        object.__setattr__(self, "scores", scores)
        if self.region not in REGIONS:
            raise unknown_name("region option", self.region, REGIONS)
        for score in scores:
            if score not in ("delta", "class", "percentile"):
                raise unknown_name("score", score, ("delta", "class", "percentile"))
        if not isinstance(self.shifts, int) or not 1 <= self.shifts <= MAX_SHIFTS:
            raise InputError(f"shifts: expected a whole number from 1 to {MAX_SHIFTS}, got {self.shifts!r}.")

    @property
    def fields(self) -> list[str]:
        """Columns per task, in order."""
        wanted = {"ref", "alt", "delta", "delta_logit", *self.scores}
        if self.region == "both":
            wanted.add("delta_noregion")
        return [name for name in FIELDS if name in wanted]

    @property
    def offsets(self) -> range:
        """Starts of the windows, in nt after the normal one."""
        return range(-(self.shifts // 2), self.shifts - self.shifts // 2)


@dataclass
class ScoredVariants:
    """Scores of one chunk of records.

    Attributes
    ----------
    records, alleles, rows
        What was scored; ``rows`` are the rows of the table.
    fields : list of str
        Columns per task.
    values : list of float32 (R, T, F)
        Per model; NaN where nothing could be scored. ``class`` is an index into
        :data:`ripe_lib.variants.summary.CLASSES`.
    thresholds : (float, float)
        ``delta_threshold`` and ``site_threshold`` of the classes.
    """

    records: VcfRecords
    alleles: Alleles
    rows: Rows
    models: list[Model]
    fields: list[str]
    values: list[NDArray[np.float32]] = field(default_factory=list)
    thresholds: tuple[float, float] = (0.1, 0.5)

    def meta(self) -> dict[str, Any]:
        """Return the columns before the scores."""
        allele = self.rows.allele
        places = self.alleles.record[allele]
        record = places.tolist()
        alts = self.alleles.alt
        return {
            "chrom": [self.records.chrom[i] for i in record],
            "pos": self.records.pos[places],
            "id": [self.records.id[i] for i in record],
            "ref": [self.records.ref[i] for i in record],
            "alt": [alts[i] for i in allele.tolist()],
            "strand": self.rows.strand,
            "genes": self.rows.genes,
            "region_type": self.rows.region_type,
            "status": self.rows.status,
        }

    def meta_frame(self) -> pd.DataFrame:
        """Return the columns before the scores as a table; text stays text where there are no rows."""
        import pandas as pd

        columns = {name: np.asarray(v, dtype=None if name == "pos" else object) for name, v in self.meta().items()}
        return pd.DataFrame(columns)

    def column_names(self) -> list[list[str]]:
        """Return the names of the score columns, per model."""
        return [
            [f"{prefix}{task}.{name}" for task in model.tasks for name in self.fields]
            for model, prefix in zip(self.models, prefixes(self.models), strict=True)
        ]

    def frame(self) -> pd.DataFrame:
        """Return the table of DESIGN: metadata, then the fields of each task of each model."""
        import pandas as pd

        parts = [self.meta_frame()]
        for names, values in zip(self.column_names(), self.values, strict=True):
            table = pd.DataFrame(values.reshape(len(values), len(names)), columns=names)
            if "class" in self.fields:
                at = self.fields.index("class")
                for name in names[at :: len(self.fields)]:
                    table[name] = class_names(table[name].to_numpy())
            parts.append(table)
        return pd.concat(parts, axis=1)


def prefixes(models: Sequence[Model]) -> list[str]:
    """Return what goes before the task names: nothing for one model, else ``<model>:``."""
    return [""] if len(models) == 1 else [f"{model.name}:" for model in models]


class VariantScorer:
    """Scores chunks of records with loaded models, genome and annotation.

    Parameters
    ----------
    models : list of Model
        Names must differ.
    genome : Genome
    annotation : Annotation or None
    options : VariantOptions
    """

    def __init__(
        self, models: Sequence[Model], genome: Genome, annotation: Annotation | None, options: VariantOptions
    ) -> None:
        names = [model.name for model in models]
        if not names or len(set(names)) != len(names):
            raise InputError(f"models: expected at least one and each once, got {names}.")
        self.models = list(models)
        self.genome = genome
        self.genes = None if annotation is None else Genes(annotation)
        self.options = options
        self._longest = max(max(m.spec.sequence_length, m.spec.region_length) for m in models)
        self._scorer = AlleleScorer(self.models, genome, annotation, fast=options.fast, batch_size=options.batch_size)
        wants_background = "percentile" in options.scores
        self._backgrounds = [load_background(model) if wants_background else None for model in models]

    def rows(self, records: VcfRecords, genome: Genome | None = None) -> tuple[Alleles, Rows]:
        """Return alleles and rows of a chunk, not scored yet; another thread gives a genome of its own."""
        alleles = canonical_alleles(records, genome or self.genome, max_inserted=self._longest)
        options = self.options
        return alleles, place_rows(alleles, self.genes, strand=options.strand, intergenic=options.intergenic)

    def score(self, records: VcfRecords) -> ScoredVariants:
        """Score a chunk of records."""
        return self.score_rows(records, *self.rows(records))

    def score_rows(self, records: VcfRecords, alleles: Alleles, rows: Rows) -> ScoredVariants:
        """Score rows that were placed (and perhaps chosen) before."""
        scored = ScoredVariants(records, alleles, rows, self.models, self.options.fields)
        scored.thresholds = (self.options.delta_threshold, self.options.site_threshold)
        usable = np.flatnonzero(rows.status == OK)
        sites = rows.sites(alleles, usable)
        kind = alleles.kind[rows.allele[usable]]
        with_region = self.options.region != "none"
        main = self._scorer.logits(sites, kind == SNV, kind == IDENTICAL, self.options.offsets, with_region=with_region)
        bare = None
        if self.options.region == "both":
            bare = self._scorer.logits(sites, kind == SNV, kind == IDENTICAL, self.options.offsets, with_region=False)
        for number, model in enumerate(self.models):
            values = np.full((len(rows), len(model.tasks), len(scored.fields)), np.nan, dtype=np.float32)
            values[usable] = self._fields(number, *main[number], None if bare is None else bare[number])
            scored.values.append(values)
        return scored

    def _fields(
        self,
        number: int,
        ref_logits: NDArray[np.float32],
        alt_logits: NDArray[np.float32],
        bare: tuple[NDArray[np.float32], NDArray[np.float32]] | None,
    ) -> NDArray[np.float32]:
        """Turn logits (K, n, T) of K shifts into the fields (n, T, F)."""
        ref, alt = _sigmoid(ref_logits).mean(axis=0), _sigmoid(alt_logits).mean(axis=0)
        delta = alt - ref
        found = {"ref": ref, "alt": alt, "delta": delta, "delta_logit": (alt_logits - ref_logits).mean(axis=0)}
        if bare is not None:
            found["delta_noregion"] = _sigmoid(bare[1]).mean(axis=0) - _sigmoid(bare[0]).mean(axis=0)
        if "class" in self.options.scores:
            found["class"] = class_codes(ref, alt, self.options.delta_threshold, self.options.site_threshold)
        if "percentile" in self.options.scores:
            found["percentile"] = percentiles(delta, self._backgrounds[number])
        return np.stack([found[name] for name in self.options.fields], axis=-1)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    small = np.exp(-np.abs(logits))
    return (np.where(logits >= 0, np.float32(1), small) / (1 + small)).astype(np.float32)


def score_variants(
    models: Model | str | Path | Sequence[Model | str | Path],
    vcf_file: str | Path,
    *,
    fasta_file: str | Path,
    gtf_file: str | Path | None = None,
    strand: str = "auto",
    region: str = "gtf",
    shifts: int = 1,
    scores: Sequence[str] = ("delta",),
    chunk_size: int | None = None,
    intergenic: str = "skip",
    force: bool = False,
    batch_size: int = 1024,
) -> Iterator[pd.DataFrame]:
    """Score the variants of a VCF or BCF.

    Parameters
    ----------
    models : Model or list of Model
        From :func:`ripe_lib.load_model`; names and directories are loaded.
    vcf_file : path
        VCF (plain, gzip, bgzip), BCF, or ``-`` for standard input. Need not be sorted, indexed or normalised.
    fasta_file : path
        Genome.
    gtf_file : path, optional
        Gene annotation: strands, gene names, region types. Without it region types are unknown (0.25), as in the
        paper, and ``strand="auto"`` means the plus strand, with a warning.
    strand, region, shifts, scores, intergenic
        See :class:`VariantOptions`.
    chunk_size : int, optional
        Records per table (default 8,192).
    force : bool
        Go on even if the FASTA seems to be of another assembly.
    batch_size : int
        Windows per network call.

    Returns
    -------
    iterator of DataFrame
        One row per ALT and strand, in file order: ``chrom pos id ref alt strand genes region_type status``, then per
        task ``<task>.ref``, ``<task>.alt``, ``<task>.delta``, ``<task>.delta_logit``; with several models
        ``<model>:<task>...``. Every record appears; what could not be scored has a reason in ``status``
        (:data:`ripe_lib.genome.alleles.REASONS`), strand ``.`` and NaN.

    Raises
    ------
    InputError
        If the VCF has no header or is damaged, or the FASTA is of another assembly: at least 100 REF mismatches and
        more than 5 % of the first 10,000 records.
    """
    from ripe_lib.genome.annotation import Annotation
    from ripe_lib.genome.fasta import Genome

    options = VariantOptions(
        strand=strand, region=region, intergenic=intergenic, shifts=shifts, scores=tuple(scores), batch_size=batch_size
    )
    if chunk_size is not None and chunk_size < 1:
        raise InputError(f"chunk_size: expected at least 1, got {chunk_size}.")
    if gtf_file is None and strand == "auto":
        warnings.warn("no GTF: all variants are scored on the plus strand; choose with strand=", stacklevel=2)
    given = [models] if isinstance(models, Model | str | Path) else list(models)
    loaded = [m if isinstance(m, Model) else load_model(m) for m in given]
    genome = Genome(fasta_file)
    annotation = None if gtf_file is None else Annotation.load(gtf_file).for_genome(genome)
    vcf = VcfFile(vcf_file)
    check_assembly(vcf, genome, force=force, small_files=False)  # here the caller sees every status
    scorer = VariantScorer(loaded, genome, annotation, options)

    def tables() -> Iterator[pd.DataFrame]:
        with vcf:
            for records in vcf.records(chunk_size or DEFAULT_CHUNK_SIZE):
                yield scorer.score(records).frame()

    return tables()
