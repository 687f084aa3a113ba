"""Variant scores of the shipped models: published constructs, a minus-strand site, real variants, the report."""

import numpy as np
import pandas as pd
import pytest

import ripe_lib
from ripe_lib.cli.main import main
from ripe_lib.genome.encoding import encode_sequence
from ripe_lib.network.predict import predict_codes
from tests.support.toy_genome import cut, rc
from tests.support.toy_models import by_full_passes
from tests.support.variant_files import EXAMPLES, FASTA, GTF, VCF

TASK = "QKI_PARCLIP"


@pytest.fixture(scope="module")
def clip31():
    return ripe_lib.load_model("DeepRiPe/clip31")


def test_published_mutations_lower_the_score(clip31):
    tables = ripe_lib.score_variants(clip31, EXAMPLES / "constructs.vcf", fasta_file=FASTA, strand="+")
    table = pd.concat(tables).set_index("id")
    qki = table[f"{TASK}.delta"]
    assert qki["QKI_NUMB_MUT1"] < 0
    assert qki["QKI_NUMB_MUT2"] < 0
    assert table.loc["ELAVL1_ERBB2_MUT", "ELAVL1_PARCLIP_A.delta"] < -0.3


def test_minus_strand_site_equals_its_reverse_complement(clip31, tmp_path):
    rng = np.random.default_rng(2)
    site = "GAATTAACTCCATTGATGTTGTCTGCTCCCGTTGTAGCTAAT"
    rna = "".join(rng.choice(list("ACGT"), 150)) + site + "".join(rng.choice(list("ACGT"), 150))
    (tmp_path / "g.fa").write_text(f">m\n{rc(rna)}\n")
    at = 150 + site.index("CTAAT")
    position = len(rna) - at  # 1-based, of the same base in the genome
    (tmp_path / "v.vcf").write_text(f"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\nm\t{position}\t.\tG\tC\n")
    table = pd.concat(
        ripe_lib.score_variants(clip31, tmp_path / "v.vcf", fasta_file=tmp_path / "g.fa", strand="-"), ignore_index=True
    )
    windows = [encode_sequence(cut(text, at - 75, 150)) for text in (rna, rna[:at] + "G" + rna[at + 1 :])]
    by_hand = predict_codes(clip31, np.array(windows))
    for column, task in enumerate(clip31.tasks):
        assert table[f"{task}.ref"][0] == pytest.approx(by_hand[0, column], abs=1e-6)
        assert table[f"{task}.alt"][0] == pytest.approx(by_hand[1, column], abs=1e-6)
    assert abs(table[f"{TASK}.delta"][0]) > 1e-3


def test_fast_and_full_passes_agree_to_1e_5(clip31):
    from ripe_lib.genome.annotation import Annotation
    from ripe_lib.genome.fasta import Genome
    from ripe_lib.genome.vcf import VcfFile
    from ripe_lib.variants.options import VariantOptions
    from ripe_lib.variants.scorer import VariantScorer
    from ripe_lib.variants.tables import wide_frame

    genome = Genome(FASTA)
    annotation = Annotation.load(GTF).for_genome(genome)
    tables = []
    for model in (clip31, by_full_passes(clip31)):
        scorer = VariantScorer([model], genome, annotation, VariantOptions(region="both"))
        with VcfFile(VCF) as vcf:
            tables.append(pd.concat([wide_frame(scorer.score(r)) for r in vcf.records(1000)]))
    fast, full = tables
    assert fast.iloc[:, :9].equals(full.iloc[:, :9])
    np.testing.assert_allclose(fast.iloc[:, 9:], full.iloc[:, 9:], atol=1e-5)


def test_dense_real_variants(clip31, shared_data):
    """1,505 records whose REF all agree with the sequence; genes from GENCODE."""
    folder = shared_data / "reference"
    tables = ripe_lib.score_variants(
        clip31,
        folder / "chr22mini.vcf.gz",
        fasta_file=folder / "chr22mini.fa",
        gtf_file=folder / "chr22mini.gencode_v25.gtf",
    )
    table = pd.concat(tables, ignore_index=True)
    assert len(table) >= 1505
    assert set(table["status"]) <= {"ok", "intergenic"}
    scored = table[table["status"] == "ok"]
    assert set(scored["strand"]) == {"-"}
    assert set(scored["genes"]) == {"ATP6V1E1"}
    changed = scored.filter(regex=r"\.delta$").abs().max(axis=1)
    assert (changed > 0).mean() > 0.99  # indels are not lost


def test_report(tmp_path, capsys):
    out = tmp_path / "x.tsv"
    arguments = ["score-variants", "clip31", str(VCF), "--fasta", str(FASTA), "--gtf", str(GTF)]
    assert main([*arguments, "-o", str(out), "--report", str(tmp_path / "r"), "--report-changes", "3"]) == 0
    page = (tmp_path / "r" / "index.html").read_text()
    table = pd.read_csv(out, sep="\t")
    deltas = table.filter(regex=r"\.delta$").abs()
    strongest = table.loc[deltas.max(axis=1).idxmax()]
    assert f"{strongest['chrom']}:{strongest['pos']}" in page
    assert page.count("<img") == 3
    assert "site lost" in page or "site gained" in page or "weakened" in page
    # Nothing passes: the page says so.
    assert main([*arguments, "-o", str(out), "--min-delta", "2", "--report", str(tmp_path / "r"), "--quiet"]) == 0
    assert "none passed the filters" in (tmp_path / "r" / "index.html").read_text()
    assert len(pd.read_csv(out, sep="\t")) == 0


def test_compare_strand(tmp_path, clip31, capsys):
    out = tmp_path / "x.tsv"
    arguments = ["compare-strand", "clip31", str(VCF), "--fasta", str(FASTA), "-o", str(out)]
    tasks = ["--task", TASK, "PUM2_PARCLIP"]
    assert main([*arguments, "--gtf", str(GTF), *tasks]) == 0
    table = pd.read_csv(out, sep="\t")
    assert set(table["strand"]) == {"-"}
    expected = {}
    for strand in ("-", "+"):
        tables = ripe_lib.score_variants(clip31, VCF, fasta_file=FASTA, gtf_file=GTF, region="none", strand=strand)
        scored = pd.concat(tables)
        expected[strand] = scored[scored["status"] == "ok"].set_index(["pos", "ref", "alt", "chrom"])[f"{TASK}.delta"]
    key = pd.MultiIndex.from_frame(table[["pos", "ref", "alt", "chrom"]])
    np.testing.assert_allclose(table[f"{TASK}.delta"], expected["-"].loc[key], atol=1e-5)
    np.testing.assert_allclose(table[f"{TASK}.delta_as_plus"], expected["+"].loc[key], atol=1e-5)
    captured = capsys.readouterr()
    lines = [line.split("\t") for line in captured.out.splitlines()]
    assert lines[0][:3] == ["task", "n_variants", "correlation"]
    r = np.corrcoef(table[f"{TASK}.delta"], table[f"{TASK}.delta_as_plus"])[0, 1]
    row = next(line for line in lines if line[0] == TASK)
    assert int(row[1]) == len(table)
    assert float(row[2]) == pytest.approx(r, abs=1e-3)
    assert main(arguments) == 2
    assert "--gtf" in capsys.readouterr().err
