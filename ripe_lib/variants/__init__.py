"""Variant effects on RNA-binding proteins.

==============  =====================================================================
module          what it does
==============  =====================================================================
``score``       :func:`score_variants`: the door
``rows``        strands, genes and region type of each allele, and the windows of both alleles
``scorer``      :class:`VariantScorer`: scores of both alleles, with as little computing as is exact
``summary``     class of a change, percentile against a background
``format``      scored variants as VCF, TSV, biobank CSV
``tables``      the same as data frames, long table, Parquet
``output``      file to file, resumable, on one machine or many
``saturation``  every substitution and deletion of a region
``precompute``  every substitution of many regions, as an indexed file
==============  =====================================================================
"""
