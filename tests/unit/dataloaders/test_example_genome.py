"""The example files are what their module writes, and hold what they promise."""

import re

import numpy as np
import pytest

from tests.support import example_genome
from tests.support.example_genome import CONSTRUCTS, FOLDER, GENES, MOTIFS, reverse_complement


def read_fasta(path):
    records = path.read_text().split(">")[1:]
    return {text.split("\n")[0]: "".join(text.split("\n")[1:]) for text in records}


def test_files_are_what_the_module_writes(tmp_path):
    example_genome.write_example_files(tmp_path)
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"genome.fa", "genes.gtf", "intervals.bed", "variants.vcf", "constructs.bed", "constructs.vcf"}
    for name in written:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), name


def test_genes_are_readable():
    genome = read_fasta(FOLDER / "genome.fa")
    assert {gene.strand for gene in GENES} == {"+", "-"}
    for gene in GENES:
        if gene.biotype != "protein_coding":
            continue
        sequence = genome[gene.chrom][gene.start : gene.end].upper()
        sequence = sequence if gene.strand == "+" else reverse_complement(sequence)
        coding = "".join(sequence[a:b] for a, b in gene.spliced(gene.utr5, sum(gene.exons) - gene.utr3))
        codons = re.findall("...", coding)
        assert len(coding) % 3 == 0
        assert codons[0] == "ATG"
        assert codons[-1] == "TAA"
        assert not {"TAA", "TAG", "TGA"} & set(codons[:-1])
        for (_, end), (start, _) in zip(gene.exon_stretches(), gene.exon_stretches()[1:], strict=False):
            assert sequence[end : end + 2] == "GT"
            assert sequence[start - 2 : start] == "AG"


def test_motifs_lie_in_the_sites_named_after_them():
    genome = read_fasta(FOLDER / "genome.fa")
    found = 0
    for line in (FOLDER / "intervals.bed").read_text().splitlines():
        chrom, start, end, name, _, strand = line.split("\t")
        site = genome[chrom][int(start) : int(end)].upper()
        site = site if strand == "+" else reverse_complement(site)
        for motif in MOTIFS:
            if name.endswith(motif[:6].replace("T", "U")):
                assert motif in site, name
                found += 1
    assert found >= 4 * len(MOTIFS)


def test_annotation_agrees_with_the_genes_both_ways():
    from ripe_lib.genome.annotation import Annotation
    from ripe_lib.genome.encoding import REGION_LETTERS

    annotation = Annotation.load(FOLDER / "genes.gtf")
    for gene in GENES:
        length = gene.length
        codes = annotation.region_codes(
            np.array([gene.chrom]), np.array([gene.start]), length, np.array([gene.strand == "-"])
        )[0]
        expected = np.full(length, 4 if gene.biotype != "protein_coding" else REGION_LETTERS.index("i"))
        if gene.biotype == "protein_coding":
            spliced = sum(gene.exons)
            for letter, first, last in (
                ("5", 0, gene.utr5),
                ("c", gene.utr5, spliced - gene.utr3),  # with the stop codon
                ("3", spliced - gene.utr3, spliced),
            ):
                for a, b in gene.spliced(first, last):
                    expected[a:b] = REGION_LETTERS.index(letter)
        np.testing.assert_array_equal(codes, expected, err_msg=gene.name)


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_constructs_sit_in_their_windows_as_published(name):
    from ripe_lib.genome.encoding import decode_sequence
    from ripe_lib.genome.windows import WindowMaker
    from ripe_lib.network.spec import ModelSpec

    rows = [line.split("\t") for line in (FOLDER / "constructs.bed").read_text().splitlines()]
    row = next(row for row in rows if row[3] == name)
    maker = WindowMaker(ModelSpec(name="any", tasks=("a",)), FOLDER / "genome.fa")
    codes, *_ = maker.codes([(row[0], int(row[1]), int(row[2]), row[3], 0, "+")])
    text = decode_sequence(codes[0])
    sequence = CONSTRUCTS[name].upper()
    assert text == (sequence.rjust(150, "N") if name.startswith("ELAVL1") else sequence.center(150, "N"))


def test_variants_cover_every_kind_and_match_the_genome():
    genome = read_fasta(FOLDER / "genome.fa")
    kinds = set()
    for file in ("variants.vcf", "constructs.vcf"):
        for line in (FOLDER / file).read_text().splitlines():
            if line.startswith("#"):
                continue
            chrom, position, _, reference, _, _, _, info = line.split("\t")
            kinds.add(info.removeprefix("KIND=").split("_")[0])
            if info.removeprefix("KIND=") in {"reference_mismatch", "off_the_contig", "unknown_contig"}:
                continue
            start = int(position) - 1
            assert genome[chrom][start : start + len(reference)].upper() == reference, line
    wanted = "snv mnv insertion deletion delins multiallelic star symbolic breakend no reference off unknown both"
    assert set(wanted.split()) <= kinds


def test_constructs_as_variants_give_the_mutants():
    for line in (FOLDER / "constructs.vcf").read_text().splitlines():
        if line.startswith("#"):
            continue
        wild, position, mutant, reference, alternative = line.split("\t")[:5]
        sequence, start = CONSTRUCTS[wild].upper(), int(position) - 1
        changed = sequence[:start] + alternative + sequence[start + len(reference) :]
        assert changed == CONSTRUCTS[mutant].upper()
