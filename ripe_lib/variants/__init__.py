"""Variant effects on RNA-binding proteins.

==============  =====================================================================
module          what it does
==============  =====================================================================
``score``       :func:`score_variants`, :class:`VariantScorer`: records -> scores
``assembly``    is the FASTA that of the VCF?
``rows``        strands, genes and region type of each allele
``windows``     reference and alternative windows as codes
``scorer``      logits of both alleles, with as little computing as is exact
``summary``     class of a change, percentile against a background
``format``      scored variants as VCF, TSV, Parquet, biobank CSV
``output``      file to file, resumable, on one machine or many
``saturation``  every substitution and deletion of a region
``precompute``  every substitution of many regions, as an indexed file
==============  =====================================================================
"""

from ripe_lib.variants.score import (
    META_COLUMNS,
    ScoredVariants,
    VariantOptions,
    VariantScorer,
    score_variants,
)

__all__ = [
    "META_COLUMNS",
    "ScoredVariants",
    "VariantOptions",
    "VariantScorer",
    "score_variants",
]
