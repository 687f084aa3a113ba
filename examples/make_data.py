"""Write ``examples/data``: the small made-up files that every command of the README runs on.

    python -m examples.make_data [FOLDER]

One seed, byte for byte (a test holds that). Genes on both strands whose 3'UTRs are as rich in A and U as real ones and
hold QKI's sites, three copies of a published word each. Nothing here is from a real genome.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pysam

from tests.support.example_genome import STOPS, Gene, gtf_text, reverse_complement

FOLDER = Path(__file__).parent / "data"
SEED = 1
GAP = 400  # between genes
UTR3, SITES, SPACING = 3600, 12, 300
WORDS = ("TACTAAC", "AACTAAC", "TACTAAT")
BASES, CODONS = "ACGT", [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT" if a + b + c not in STOPS]
AU_RICH = (0.32, 0.14, 0.16, 0.38)


def bases(rng: np.random.Generator, length: int, shares: tuple[float, ...] = (0.25,) * 4) -> str:
    """Return random bases; ``shares`` are those of A, C, G and T."""
    return "".join(rng.choice(list(BASES), size=length, p=shares))


def genes() -> list[Gene]:
    """Twelve genes of three exons, on the two strands in turn."""
    found, at = [], GAP
    for number in range(12):
        exons, introns = (180, 210, 300 + UTR3), (350, 420)
        found.append(Gene(f"EXAMPLE{number + 1}", "chr1", at, "-+"[number % 2], exons, introns, utr5=90, utr3=UTR3))
        at = found[-1].end + GAP
    return found


def write_rna(rng: np.random.Generator, gene: Gene) -> list[int]:
    """Set the gene's RNA, introns included; returns the middles of its sites, counted from its start."""
    coding = sum(gene.exons) - gene.utr5 - gene.utr3
    utr3 = list(bases(rng, gene.utr3, AU_RICH))
    middles = [SPACING // 2 + SPACING * site for site in range(SITES)]
    for middle in middles:
        for offset in (-20, 0, 20):
            word = str(rng.choice(WORDS))
            first = middle + offset + int(rng.integers(-4, 5))
            utr3[first : first + len(word)] = word
    codons = "".join(rng.choice(CODONS, size=coding // 3 - 2))
    spliced = bases(rng, gene.utr5) + "ATG" + codons + "TAA" + "".join(utr3)
    pieces, at = [], 0
    for exon, intron in zip(gene.exons, (*gene.introns, 0), strict=True):
        pieces.append(spliced[at : at + exon])
        pieces.append("GT" + bases(rng, intron - 4, AU_RICH) + "AG" if intron else "")
        at += exon
    gene.rna = "".join(pieces)
    return [gene.length - gene.utr3 + middle for middle in middles]


def fasta(records: dict[str, str]) -> str:
    """Return records as FASTA, 60 bases a line."""
    return "".join(
        f">{name}\n" + "".join(f"{text[at : at + 60]}\n" for at in range(0, len(text), 60))
        for name, text in records.items()
    )


def write(folder: Path) -> None:
    """Write all files into an existing folder."""
    rng = np.random.default_rng(SEED)
    all_genes = genes()
    letters = list(bases(rng, all_genes[-1].end + GAP))
    peaks, changes, rnas = [], [], {}
    for gene in all_genes:
        middles = write_rna(rng, gene)
        letters[gene.start : gene.end] = gene.rna if gene.strand == "+" else reverse_complement(gene.rna)
        for number, middle in enumerate(middles, start=1):
            start, end = gene.genomic(middle - 25, middle + 25)
            peaks.append(f"chr1\t{start}\t{end}\t{gene.name}_{number}\t0\t{gene.strand}\n")
            changes.append(gene.genomic(middle + 2, middle + 3)[0])  # within the middle word
        changes.append(gene.genomic(gene.exons[0] + 100, gene.exons[0] + 101)[0])  # in the first intron
    for gene in all_genes[:3]:
        rnas[gene.name] = "".join(gene.rna[first:last] for first, last in gene.exon_stretches()).replace("T", "U")
    genome = "".join(letters)
    header = f"##fileformat=VCFv4.2\n##contig=<ID=chr1,length={len(genome)}>\n"
    header += "\t".join(("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")) + "\n"
    records = []
    for number, at in enumerate(sorted(changes), start=1):
        alt = str(rng.choice([base for base in BASES if base != genome[at]]))
        records.append(f"chr1\t{at + 1}\tv{number}\t{genome[at]}\t{alt}\t.\tPASS\t.\n")
    (folder / "genome.fa").write_text(fasta({"chr1": genome}))
    (folder / "genes.gtf").write_text(gtf_text(all_genes))
    (folder / "peaks.bed").write_text("".join(sorted(peaks, key=lambda line: int(line.split("\t")[1]))))
    (folder / "rnas.fa").write_text(fasta(rnas))
    with pysam.BGZFile(str(folder / "variants.vcf.gz"), "w") as handle:
        handle.write((header + "".join(records)).encode())


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
