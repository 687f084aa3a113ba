"""The door to variant effects from Python: a VCF in, tables out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from ripe_lib.errors import InputError
from ripe_lib.genome.alleles import check_assembly
from ripe_lib.genome.annotation import open_genome
from ripe_lib.genome.vcf import VcfFile
from ripe_lib.network.load import Model, load_model
from ripe_lib.variants.options import VariantOptions
from ripe_lib.variants.scorer import VariantScorer
from ripe_lib.variants.tables import wide_frame

DEFAULT_CHUNK_SIZE = 8192


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
    gtf_file : path, optional
        Gives strands, gene names, region types. Without it region types are unknown (0.25), as in the
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
    options = VariantOptions(
        strand=strand, region=region, intergenic=intergenic, shifts=shifts, scores=tuple(scores), batch_size=batch_size
    )
    if chunk_size is not None and chunk_size < 1:
        raise InputError(f"chunk_size: expected at least 1, got {chunk_size}.")
    if gtf_file is None and strand == "auto":
        warnings.warn("no GTF: all variants are scored on the plus strand; choose with strand=", stacklevel=2)
    given = [models] if isinstance(models, Model | str | Path) else list(models)
    loaded = [m if isinstance(m, Model) else load_model(m) for m in given]
    genome, annotation = open_genome(fasta_file, gtf_file)
    vcf = VcfFile(vcf_file)
    check_assembly(vcf, genome, force=force, small_files=False)  # here the caller sees every status
    scorer = VariantScorer(loaded, genome, annotation, options)

    def tables() -> Iterator[pd.DataFrame]:
        with vcf:
            for records in vcf.records(chunk_size or DEFAULT_CHUNK_SIZE):
                yield wide_frame(scorer.score(records))

    return tables()
