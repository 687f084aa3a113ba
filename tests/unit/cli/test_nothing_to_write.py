"""Inputs without a record give valid empty outputs: every command, every format."""

import gzip

import h5py
import pandas as pd
import pytest

from ripe_lib.cli.main import main
from tests.support.variant_files import FASTA, GTF, VCF, write_model

TASK = "QKI_PARCLIP"
GENOME = ["--fasta", str(FASTA), "--gtf", str(GTF)]
TABLES = ("o.tsv", "o.csv.gz", "o.parquet")


@pytest.fixture(scope="module")
def model(tiny_model, tmp_path_factory):
    return str(write_model(tiny_model, tmp_path_factory.mktemp("nothing") / "model"))


@pytest.fixture
def here(tmp_path, monkeypatch, tiny_model):
    """A folder with inputs of no records; the model is loaded once for all."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ripe_lib.network.load.load_model", lambda _: tiny_model)
    header = "".join(line for line in VCF.read_text().splitlines(keepends=True) if line.startswith("#"))
    (tmp_path / "header.vcf").write_text(header)
    (tmp_path / "header.vcf.gz").write_bytes(gzip.compress(header.encode()))
    (tmp_path / "blank.vcf").write_text(header + "\n\n")
    (tmp_path / "comment.bed").write_text("track name=x\n# nothing\n\n")
    (tmp_path / "empty.bed").write_text("")
    (tmp_path / "packed.bed.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "empty.fa").write_text("")
    (tmp_path / "blank.fa").write_text("\n\n")
    return tmp_path


def n_rows(path):
    """Rows of a file, which must be valid."""
    name = path.name
    if name.endswith(".parquet"):
        return len(pd.read_parquet(path))
    if name.endswith((".h5", ".hdf5")):
        with h5py.File(path) as handle:
            return max((len(item) for item in handle.values() if isinstance(item, h5py.Dataset)), default=0)
    if name.endswith(".bw"):
        import pyBigWig

        with pyBigWig.open(str(path)) as track:
            return track.header()["nBasesCovered"]
    if name.endswith((".vcf", ".vcf.gz", ".bcf")):
        import cyvcf2

        return sum(1 for _ in cyvcf2.VCF(str(path)))
    if name.endswith((".bed", ".bedgraph")):
        return sum(not line.startswith(("#", "track")) for line in path.read_text().splitlines())
    return len(pd.read_csv(path, sep="," if ".csv" in name else "\t"))


def run(words, capsys):
    code = main(words)
    assert code == 0, capsys.readouterr().err


@pytest.mark.parametrize("bed", ["comment.bed", "empty.bed", "packed.bed.gz"])
@pytest.mark.parametrize("output", [*TABLES, "o.h5"])
def test_predict(model, here, bed, output, capsys):
    run(["predict", model, bed, *GENOME, "-o", output], capsys)
    assert n_rows(here / output) == 0
    if output == "o.tsv":
        assert (here / output).read_text().split("\t")[:3] == ["chrom", "start", "end"]


@pytest.mark.parametrize("source", [["--intervals", "empty.bed", *GENOME], ["empty.fa"], ["blank.fa"]])
@pytest.mark.parametrize("output", [*TABLES, "o.bedgraph", "o.bw", "o.h5"])
def test_scan(model, here, source, output, capsys):
    words = ["scan", model, *source, "--task", TASK, "-o", output]
    if output == "o.bw" and source[0] != "--intervals":
        assert main(words) == 2
        assert "o.bw: expected at least one contig, which a bigWig needs" in capsys.readouterr().err
        assert not (here / output).exists()
        return
    run(words, capsys)
    assert n_rows(here / output) == 0
    if output == "o.parquet":
        assert list(pd.read_parquet(here / output)) == ["chrom", "start", "end", "strand", TASK]


@pytest.mark.parametrize("long", [[], ["--long"]])
@pytest.mark.parametrize("output", TABLES)
def test_no_bin_above_the_least_score(model, here, long, output, capsys):
    (here / "r.fa").write_text(">r\nACGUACGUACGU\n")
    run(["scan", model, "r.fa", "--task", TASK, "--min-score", "0.999999", *long, "-o", output], capsys)
    assert n_rows(here / output) == 0


@pytest.mark.parametrize("source", [["--intervals", "comment.bed", *GENOME], ["blank.fa"]])
@pytest.mark.parametrize("output", ["o.bed", "o.tsv", "o.parquet"])
@pytest.mark.parametrize("threshold", [[], ["--threshold", "0.5"], ["--fpr", "0.1", "--background", "input"]])
def test_sites(model, here, source, output, threshold, capsys):
    run(["scan", model, *source, "--sites", output, *threshold, "--report", "r", "--plots", "p"], capsys)
    assert n_rows(here / output) == 0
    assert "<html" in (here / "r" / "report.html").read_text()


@pytest.mark.parametrize("source", [["empty.bed", *GENOME], ["--sequences", "empty.fa"]])
def test_attribute(model, here, source, capsys):
    run(["attribute", model, *source, "--task", TASK, "-o", "o.h5", "--plots", "p", "--report", "r"], capsys)
    assert n_rows(here / "o.h5") == 0
    assert "<html" in (here / "r" / "report.html").read_text()


def test_gallery_and_motifs(model, here, capsys):
    run(["attribute", model, "empty.bed", *GENOME, "--gallery", "g"], capsys)
    assert "<html" in (here / "g" / "index.html").read_text()
    run(["motifs", model, "empty.bed", *GENOME, "--task", TASK, "--database", "none", "-o", "m"], capsys)
    assert (here / "m" / "motifs.meme").read_text().startswith("MEME version 4")


@pytest.mark.parametrize("vcf", ["header.vcf", "header.vcf.gz", "blank.vcf"])
@pytest.mark.parametrize("output", [*TABLES, "o.vcf", "o.vcf.gz", "o.bcf"])
def test_score_variants(model, here, vcf, output, capsys):
    run(["score-variants", model, vcf, *GENOME, "-o", output], capsys)
    assert n_rows(here / output) == 0


@pytest.mark.parametrize("output", TABLES)
def test_other_variant_commands(model, here, output, capsys):
    run(["asb", model, "header.vcf", *GENOME, "--task", TASK, "-o", output, "--report", "r"], capsys)
    assert n_rows(here / output) == 0
    run(["compare-strand", model, "header.vcf", *GENOME, "-o", output], capsys)
    assert n_rows(here / output) == 0


def test_what_asks_for_statistics_is_refused(model, here, capsys):
    assert main(["enrich", model, "empty.bed", *GENOME, "-o", "o.tsv"]) == 2
    assert "intervals: expected at least one, got none" in capsys.readouterr().err
