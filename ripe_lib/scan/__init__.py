"""Scanning sequences for binding sites: every position of an RNA, a gene or a chromosome.

========================  =========================================================================================
module                    holds
========================  =========================================================================================
``memory``                :func:`~ripe_lib.scan.memory.scan_sequence`: one sequence in, a table out
``sources``               what is scanned: FASTA of RNAs, stretches of a genome, spliced transcripts
``run``                   :func:`~ripe_lib.scan.run.scan_to_files`: the whole way to files, resumable
``engine``, ``network``   the scores: bins, blocks, threads; exact sharing between neighbouring windows
``sites``, ``kmers``      local maxima above a threshold; the k-mer behind a peak
``tracks``, ``output``    bedGraph, bigWig, HDF5, tables
``site_table``            sites as tables and BED; ``site_maps``: their attribution maps
``plots``                 pictures and the page
``summary``               means and maxima per transcript and region type
``enrichment``            which RBPs bind given intervals, against windows of ``background_windows``
========================  =========================================================================================
"""
