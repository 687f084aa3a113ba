"""Spans of a genome, (contig, strand, start, end), 0-based, half-open, from what the user names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from ripe_lib.errors import UnknownNameError, unknown_name
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.fasta import Genome


def spans_of_intervals(intervals: pd.DataFrame, strand: str) -> list[tuple[str, str, int, int]]:
    """Return the spans of prepared intervals (strands settled) for a strand choice."""
    rows = intervals[["chrom", "strand", "start", "end"]].itertuples(index=False, name=None)
    return [(chrom, chosen, start, end) for chrom, own, start, end in rows for chosen in _strands(strand, own)]


def spans_of_contigs(genome: Genome, names: Iterable[str], strand: str) -> list[tuple[str, str, int, int]]:
    """Return the spans of whole contigs, named as in the FASTA or by an alias.

    Parameters
    ----------
    genome : Genome
    names : iterable of str
    strand : str
        ``+``, ``-``, ``both`` or ``auto``, which is both.
    """
    chosen = _strands("both" if strand == "auto" else strand, ".")
    return [(contig, one, 0, genome.contigs[contig]) for contig in map(genome.resolve, names) for one in chosen]


def genes_of(annotation: Annotation, names: Sequence[str]) -> pd.DataFrame:
    """Return the transcripts of genes given by gene name, gene id or transcript id, versions optional.

    ``["all"]`` stands for every gene. Of a gene, the transcripts of the annotation's own biotypes are taken (protein
    coding); if it has none of these, all.
    """
    table = annotation.transcripts
    table = table[table["strand"].isin(["+", "-"])]
    typed = table["transcript_type"].isin(annotation.transcript_types)
    if list(names) == ["all"]:
        with_type = table.loc[typed, "gene_id"].unique()
        return table[typed | ~table["gene_id"].isin(with_type)]
    keys = {
        column: (table[column].to_numpy(), table[column].str.partition(".")[0].to_numpy())
        for column in ("gene_name", "gene_id", "transcript_id")
    }
    keep = np.zeros(len(table), dtype=bool)
    for name in names:
        for column, (whole, bare) in keys.items():
            hit = (whole == name) | ((bare == name) if column != "gene_name" else False)
            if hit.any():
                wanted = hit & typed.to_numpy() if column != "transcript_id" else hit
                keep |= wanted if wanted.any() else hit
                break
        else:
            raise unknown_name(f"gene in {annotation.path}", name, table["gene_name"].unique())
    return table[keep]


def spans_of_genes(transcripts: pd.DataFrame, genome: Genome, strand: str) -> list[tuple[str, str, int, int]]:
    """Return the spans of transcripts (introns included).

    Parameters
    ----------
    transcripts : DataFrame
        Rows of :attr:`ripe_lib.genome.annotation.Annotation.transcripts`.
    genome, strand
        As :func:`spans_of_contigs`; ``auto`` is the transcript's.
    """
    spans = []
    for chrom, group in transcripts.groupby("chrom", sort=False):
        try:
            contig = genome.resolve(str(chrom))
        except UnknownNameError as error:
            raise UnknownNameError(f"gene {group['gene_name'].iloc[0]!r}: {error}") from None
        for own, start, end in zip(group["strand"], group["start"], group["end"], strict=True):
            spans += [(contig, one, int(start), min(int(end), genome.contigs[contig])) for one in _strands(strand, own)]
    return spans


def _strands(choice: str, own: str) -> tuple[str, ...]:
    """Return the strands of a choice: ``auto`` (its own), ``+``, ``-`` or ``both``."""
    return ("+", "-") if choice == "both" else (own,) if choice == "auto" else (choice,)
