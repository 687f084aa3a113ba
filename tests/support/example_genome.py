"""Write the example files: a small made-up genome with genes on both strands, sites in it, and variants.

``python -m tests.support.example_genome [FOLDER]`` rewrites ``dataloaders/example_files`` (or FOLDER) byte for byte; a
test holds that. Everything comes from one seed except the five published mutagenesis constructs, which are contigs of
their own (ELAVL1 on the ERBB2 3'UTR: Epis et al. 2011; QKI on NUMB: Zong et al. 2014).

=================  =================================================================================================
file               content
=================  =================================================================================================
``genome.fa``      contigs chr1, chr2 (genes, a gap of N, soft-masked and ambiguous bases) and the five constructs
``genes.gtf``      six genes in the GENCODE dialect: UTRs, CDS, introns, both strands, two of them overlapping
``intervals.bed``  50-nt sites in each region type of each gene, at contig ends and between genes (BED6)
``variants.vcf``   every kind of allele a VCF can hold, and records that cannot be scored
``constructs.bed`` the intervals whose windows hold the constructs where the publications had them
``constructs.vcf`` the constructs' mutations as variants of the wild-type contigs
=================  =================================================================================================
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SEED = 20200214
FOLDER = Path(__file__).resolve().parents[2] / "dataloaders" / "example_files"
CONTIGS = {"chr1": 9000, "chr2": 6000}
CONSTRUCTS = {
    "ELAVL1_ERBB2_WT": (
        "GGGCGAATTGGAGCTCCACCGCGGTGGCGGCCGCTCTAGAAGTGCTTTTCTGTTTAGTTTTTACTTTTTTTGTTTTGTTTTTTTAAAGATGAAATAAAGACCCAGG"
        "GGGGGCCCGGTAC"
    ),
    "ELAVL1_ERBB2_MUT": (
        "GGGCGAATTGGAGCTCCACCGCGGTGGCGGCCGCTCTAGAAGTGCTTTTCTGTTTAGTTTTTACTgTgTgTGTggTGTgTgTgTAAAGATGAAATAAAGACCCAGG"
        "GGGGGCCCGGTAC"
    ),
    "QKI_NUMB_WT": "GAATTAACTCCATTGATGTTGTCTGCTCCCGTTGTAGCTAAT",
    "QKI_NUMB_MUT1": "GAATTAACTCCATTGATGTTGTCTGCTCCCGTTGTAGCgAgT",
    "QKI_NUMB_MUT2": "GAATTgACTCCATTGATGTTGTCTGCTCCCGTTGTAGCgAgT",
}
STOPS = ("TAA", "TAG", "TGA")
# Known motifs (DNA letters) set into 3'UTRs, so that the example predictions are not all alike.
MOTIFS = ("TACTAACATGACTAAC", "TGTAAATATTTGTATATA", "TTTTTATTTTTTTATTTT", "TTTATTTATTTGTTTTT")
COMPLEMENT = str.maketrans("ACGT", "TGCA")


@dataclass
class Gene:
    """One gene and its transcript; lengths in transcript order, ``start`` is the leftmost base (0-based)."""

    name: str
    chrom: str
    start: int
    strand: str
    exons: tuple[int, ...]
    introns: tuple[int, ...]
    utr5: int = 0
    utr3: int = 0
    biotype: str = "protein_coding"
    rna: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.biotype == "protein_coding":
            # What is not a whole codon belongs to the 3'UTR.
            self.utr3 += (sum(self.exons) - self.utr5 - self.utr3) % 3

    @property
    def length(self) -> int:
        """Length of the gene with its introns."""
        return sum(self.exons) + sum(self.introns)

    @property
    def end(self) -> int:
        """Position after the rightmost base."""
        return self.start + self.length

    def genomic(self, first: int, last: int) -> tuple[int, int]:
        """Turn a stretch in RNA sense, introns included, into genomic coordinates."""
        if self.strand == "+":
            return self.start + first, self.start + last
        return self.end - last, self.end - first

    def exon_stretches(self) -> list[tuple[int, int]]:
        """Return the exons in RNA sense, introns included in the count."""
        stretches, at = [], 0
        for exon, intron in zip(self.exons, (*self.introns, 0), strict=True):
            stretches.append((at, at + exon))
            at += exon + intron
        return stretches

    def spliced(self, first: int, last: int) -> list[tuple[int, int]]:
        """Turn a stretch of the spliced transcript into stretches in RNA sense, introns included."""
        pieces, seen = [], 0
        for begin, end in self.exon_stretches():
            low, high = max(first - seen, 0), min(last - seen, end - begin)
            if low < high:
                pieces.append((begin + low, begin + high))
            seen += end - begin
        return pieces


GENES = [
    Gene("DEMO1", "chr1", 600, "+", (200, 180, 700), (400, 500), utr5=120, utr3=520),
    Gene("DEMO2", "chr1", 2550, "-", (190, 240, 620), (350, 450), utr5=100, utr3=470),  # tail to tail with DEMO1
    Gene("DEMO3", "chr1", 5200, "-", (160, 210, 150, 500), (300, 260, 420), utr5=70, utr3=380),
    Gene("DEMO4", "chr1", 7800, "+", (620,), (), utr5=80, utr3=240),
    Gene("DEMO5", "chr2", 500, "+", (150, 200, 640), (900, 350), utr5=90, utr3=450),
    Gene("DEMO6", "chr2", 3600, "-", (250, 300), (280,), biotype="lncRNA"),
]


def reverse_complement(sequence: str) -> str:
    """Return the other strand of upper-case A, C, G, T."""
    return sequence.translate(COMPLEMENT)[::-1]


def _random_bases(rng: np.random.Generator, length: int) -> str:
    return "".join(rng.choice(list("ACGT"), size=length))


def _write_motifs(rng: np.random.Generator, sequence: str) -> str:
    letters = list(sequence)
    for slot, motif in enumerate(MOTIFS):
        step = (len(letters) - 30) // len(MOTIFS)  # the end stays free: there DEMO1 and DEMO2 overlap
        at = slot * step + int(rng.integers(10, step - len(motif) - 10))
        letters[at : at + len(motif)] = motif
    return "".join(letters)


def _gene_sequence(rng: np.random.Generator, gene: Gene) -> str:
    """Return the gene in RNA sense (DNA letters) with introns: an open reading frame, GT..AG introns, 3'UTR motifs."""
    spliced = sum(gene.exons)
    transcript = _random_bases(rng, spliced)
    if gene.biotype == "protein_coding":
        coding = spliced - gene.utr5 - gene.utr3
        codons = [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT" if a + b + c not in STOPS]
        frame = "ATG" + "".join(rng.choice(codons, size=coding // 3 - 2)) + "TAA"
        transcript = transcript[: gene.utr5] + frame + transcript[gene.utr5 + len(frame) :]
        transcript = transcript[: -gene.utr3] + _write_motifs(rng, transcript[-gene.utr3 :])
    pieces, at = [], 0
    for exon, intron in zip(gene.exons, (*gene.introns, 0), strict=True):
        pieces.append(transcript[at : at + exon])
        if intron:
            pieces.append("GT" + _random_bases(rng, intron - 4) + "AG")
        at += exon
    return "".join(pieces)


def make_genome(rng: np.random.Generator) -> dict[str, str]:
    """Return the contigs; fills in ``GENES``' sequences."""
    contigs = {name: list(_random_bases(rng, length)) for name, length in CONTIGS.items()}
    # In reverse, so that DEMO1 keeps its own bases where DEMO2's tail overlaps it.
    for gene in reversed(GENES):
        gene.rna = _gene_sequence(rng, gene)
        sequence = gene.rna if gene.strand == "+" else reverse_complement(gene.rna)
        contigs[gene.chrom][gene.start : gene.end] = sequence
    chr1 = contigs["chr1"]
    chr1[4900:4960] = "N" * 60
    chr1[8600:8700] = [base.lower() for base in chr1[8600:8700]]
    chr1[8750:8753] = "RYK"
    return {**{name: "".join(letters) for name, letters in contigs.items()}, **CONSTRUCTS}


def _gtf_rows(gene: Gene) -> list[tuple[str, int, int, str]]:
    rows = [("gene", gene.start, gene.end, "."), ("transcript", gene.start, gene.end, ".")]
    rows += [("exon", *gene.genomic(*stretch), ".") for stretch in gene.exon_stretches()]
    if gene.biotype != "protein_coding":
        return rows
    spliced = sum(gene.exons)
    stop = spliced - gene.utr3 - 3
    # GENCODE: the stop codon is neither CDS nor, in its UTR lines, apart from the UTR.
    parts = [
        ("UTR", 0, gene.utr5),
        ("start_codon", gene.utr5, gene.utr5 + 3),
        ("CDS", gene.utr5, stop),
        ("stop_codon", stop, stop + 3),
        ("UTR", stop, spliced),
    ]
    for feature, first, last in parts:
        done = 0
        for stretch in gene.spliced(first, last):
            frame = str(-done % 3) if feature in {"CDS", "start_codon", "stop_codon"} else "."
            rows.append((feature, *gene.genomic(*stretch), frame))
            done += stretch[1] - stretch[0]
    return rows


def gtf_text(genes: Sequence[Gene] = GENES) -> str:
    """Return the annotation in the GENCODE dialect."""
    lines = ["##description: made-up genes of the DeepRiPe example genome", "##format: gtf"]
    for number, gene in enumerate(genes, start=1):
        ids = f'gene_id "DEMOG{number:05d}.1"; '
        tail = f'gene_type "{gene.biotype}"; gene_name "{gene.name}"; '
        of_transcript = (
            f'{ids}transcript_id "DEMOT{number:05d}.1"; {tail}transcript_type "{gene.biotype}"; '
            f'transcript_name "{gene.name}-201"; '
        )
        for feature, start, end, frame in _gtf_rows(gene):
            attributes = ids + tail if feature == "gene" else of_transcript
            columns = (gene.chrom, "deepripe", feature, start + 1, end, ".", gene.strand, frame, attributes.rstrip())
            lines.append("\t".join(map(str, columns)))
    return "\n".join(lines) + "\n"


def _sites(gene: Gene) -> list[tuple[str, int]]:
    """Return (region type, centre in RNA sense) for one site per region type and each motif of the 3'UTR."""
    spliced = sum(gene.exons)
    if gene.biotype != "protein_coding":
        return [("noncoding", spliced // 4)]
    sites = [("5UTR", gene.utr5 // 2), ("CDS", gene.utr5 + 60)]
    if gene.introns:
        sites.append(("intron", gene.exons[0] + gene.introns[0] // 2))
    tail = gene.length - gene.utr3
    for motif in MOTIFS:
        if (found := gene.rna.find(motif, tail)) >= 0:
            sites.append((f"3UTR_{motif[:6].replace('T', 'U')}", found + len(motif) // 2))
    return sites


def bed_text() -> str:
    """Return the 50-nt sites."""
    lines = []
    for gene in GENES:
        for kind, centre in _sites(gene):
            start, end = gene.genomic(centre - 25, centre + 25)
            lines.append((gene.chrom, start, end, f"{gene.name}_{kind}", 0, gene.strand))
    lines += [
        ("chr1", 0, 50, "left_end", 0, "+"),
        ("chr1", CONTIGS["chr1"] - 50, CONTIGS["chr1"], "right_end", 0, "-"),
        ("chr1", 4900, 4950, "gap", 0, "+"),
        ("chr2", 5000, 5050, "intergenic", 0, "+"),
    ]
    return _lines(lines)


def constructs_bed_text() -> str:
    """Return the intervals whose 150-nt windows hold the constructs as published.

    ELAVL1: N on the left only, the construct ends with the window. QKI: N on both sides, 54 each.
    """
    rows = []
    for name, sequence in CONSTRUCTS.items():
        length = len(sequence)
        start, end = (length - 100, length - 50) if name.startswith("ELAVL1") else (0, length)
        rows.append((name, start, end, name, 0, "+"))
    return _lines(rows)


def _lines(rows: Sequence[tuple[object, ...]]) -> str:
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


def _vcf(contigs: dict[str, str], named: list[str], records: list[tuple[str, int, str, str, str, str]]) -> str:
    order = {name: index for index, name in enumerate([*named, "chrUn"])}
    lines = [
        "##fileformat=VCFv4.2",
        "##source=deepripe-example",
        *(f"##contig=<ID={name},length={len(contigs[name])}>" for name in named),
        '##FILTER=<ID=PASS,Description="All filters passed">',
        '##INFO=<ID=KIND,Number=1,Type=String,Description="What this example record shows">',
        '##ALT=<ID=DEL,Description="Deletion">',
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
    ]
    for chrom, pos, name, ref, alt, kind in sorted(records, key=lambda r: (order[r[0]], r[1])):
        lines.append("\t".join((chrom, str(pos), name, ref, alt, ".", "PASS", f"KIND={kind}")))
    return "\n".join(lines) + "\n"


def _other_base(rng: np.random.Generator, base: str) -> str:
    return str(rng.choice([other for other in "ACGT" if other != base]))


def variants_text(rng: np.random.Generator, contigs: dict[str, str]) -> str:
    """Return variants of every kind; POS is 1-based, alleles are those of the plus strand."""
    records: list[tuple[str, int, str, str, str, str]] = []

    def add(chrom: str, start: int, n_ref: int, alt: str, kind: str) -> None:
        ref = contigs[chrom][start : start + n_ref].upper()
        records.append((chrom, start + 1, f"ex{len(records) + 1}", ref, alt, kind))

    for gene in GENES:  # two substitutions per site, one of them in the middle of the motif
        for kind, centre in _sites(gene):
            for offset in (0, int(rng.integers(5, 20))):
                start, _ = gene.genomic(centre + offset, centre + offset + 1)
                add(gene.chrom, start, 1, _other_base(rng, contigs[gene.chrom][start].upper()), f"snv_{kind}")
    at = GENES[0].end - 150  # in DEMO1's 3'UTR
    chr1 = contigs["chr1"].upper()
    first = chr1[at]
    add("chr1", at, 1, ",".join(b for b in "ACGT" if b != first), "multiallelic")
    add("chr1", at + 10, 2, reverse_complement(chr1[at + 10 : at + 12])[::-1], "mnv")
    add("chr1", at + 20, 1, chr1[at + 20] + "TTGTA", "insertion")
    add("chr1", at + 30, 5, chr1[at + 30], "deletion")
    add("chr1", at + 40, 4, "GG", "delins")
    add("chr1", at + 50, 1, f"{_other_base(rng, chr1[at + 50])},{chr1[at + 50]}AC", "snv_and_insertion")
    add("chr1", at + 60, 1, f"{_other_base(rng, chr1[at + 60])},*", "star_allele")
    add("chr1", at + 65, 1, "<DEL>", "symbolic")
    add("chr1", at + 66, 1, f"{chr1[at + 66]}[chr2:100[", "breakend")
    add("chr1", at + 67, 1, ".", "no_alternative")
    tail = GENES[0].end - 15  # where DEMO1 and DEMO2 overlap
    add("chr1", tail, 1, _other_base(rng, chr1[tail]), "both_strands")
    add("chr1", 3, 1, _other_base(rng, chr1[3]), "contig_start")
    add("chr1", 8650, 1, _other_base(rng, chr1[8650]), "soft_masked")
    add("chr2", 5500, 1, _other_base(rng, contigs["chr2"][5500]), "intergenic")
    wrong = _other_base(rng, chr1[at + 80])
    records.append(("chr1", at + 81, "ex_mismatch", wrong, chr1[at + 80], "reference_mismatch"))
    records.append(("chr2", CONTIGS["chr2"] + 50, "ex_beyond", "A", "C", "off_the_contig"))
    records.append(("chrUn", 10, "ex_unknown", "A", "C", "unknown_contig"))
    return _vcf(contigs, list(CONTIGS), records)


def constructs_vcf_text(contigs: dict[str, str]) -> str:
    """Return the published mutations as variants of the wild-type contigs, one record per mutant."""
    records = []
    for name, mutant in CONSTRUCTS.items():
        wild_name = name.rsplit("_", 1)[0] + "_WT"
        wild, changed = CONSTRUCTS[wild_name].upper(), mutant.upper()
        differing = [i for i, (a, b) in enumerate(zip(wild, changed, strict=True)) if a != b]
        if differing:
            low, high = differing[0], differing[-1] + 1
            records.append((wild_name, low + 1, name, wild[low:high], changed[low:high], "construct"))
    return _vcf(contigs, [name for name in CONSTRUCTS if name.endswith("_WT")], records)


def _fasta(contigs: dict[str, str], width: int = 60) -> str:
    lines = []
    for name, sequence in contigs.items():
        lines.append(f">{name}")
        lines += [sequence[at : at + width] for at in range(0, len(sequence), width)]
    return "\n".join(lines) + "\n"


def write_example_files(folder: Path) -> None:
    """Write all files into an existing folder."""
    rng = np.random.default_rng(SEED)
    contigs = make_genome(rng)
    texts = {
        "genome.fa": _fasta(contigs),
        "genes.gtf": gtf_text(),
        "intervals.bed": bed_text(),
        "variants.vcf": variants_text(rng, contigs),
        "constructs.bed": constructs_bed_text(),
        "constructs.vcf": constructs_vcf_text(contigs),
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())


if __name__ == "__main__":
    write_example_files(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
