"""A genome and an annotation in memory, the slow obvious way, and windows of mutated contigs."""

import numpy as np
import pandas as pd

from ripe_lib.errors import UnknownNameError
from ripe_lib.genome.encoding import encode_region, encode_sequence
from ripe_lib.genome.vcf import VcfRecords

COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def rc(sequence):
    return sequence.upper().translate(COMPLEMENT)[::-1]


def cut(text, start, length, fill="N"):
    """A stretch of a contig; what lies off it is ``fill``."""
    return "".join(text[p] if 0 <= p < len(text) else fill for p in range(start, start + length))


class ToyGenome:
    """Contigs as strings."""

    path = "toy.fa"

    def __init__(self, **contigs):
        self.sequences = contigs
        self.contigs = {name: len(s) for name, s in contigs.items()}

    def resolve(self, name):
        if name not in self.contigs:
            raise UnknownNameError(name)
        return name

    def fetch(self, chroms, starts, length, minus=False):
        rows = []
        for chrom, start, reverse in zip(chroms, starts, np.broadcast_to(minus, len(starts)), strict=True):
            letters = cut(self.sequences[chrom], start, length)
            rows.append(encode_sequence(rc(letters) if reverse else letters))
        return np.array(rows, dtype=np.uint8).reshape(len(rows), length)


class ToyAnnotation:
    """Region letters (``ic35N``) per (contig, strand), genomic order; genes are (chrom, start, end, strand, name)."""

    def __init__(self, tracks, genes=()):
        self.tracks = tracks
        table = pd.DataFrame(genes, columns=["chrom", "start", "end", "strand", "gene_name"])
        self.transcripts = table.assign(gene_id="")

    def region_codes(self, chroms, starts, length, minus):
        rows = []
        for chrom, start, reverse in zip(chroms, starts, minus, strict=True):
            letters = cut(self.tracks[chrom, "-" if reverse else "+"], start, length)
            rows.append(encode_region(letters[::-1] if reverse else letters))
        return np.array(rows, dtype=np.uint8).reshape(len(rows), length)

    def overlapping(self, chroms, starts, ends):
        pairs = [
            (i, j)
            for i, (chrom, start, end) in enumerate(zip(chroms, starts, ends, strict=True))
            for j, gene in enumerate(self.transcripts.itertuples())
            if gene.chrom == chrom and gene.start < end and start < gene.end
        ]
        pairs = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]


def records(*rows):
    """VcfRecords of (chrom, pos, ref, alt)."""
    chrom, pos, ref, alt = zip(*rows, strict=True)
    lines = [f"{c}\t{p}\t.\t{r}\t{a}" for c, p, r, a in rows]
    return VcfRecords(list(chrom), np.array(pos, dtype=np.int64), ["."] * len(rows), list(ref), list(alt), lines)
