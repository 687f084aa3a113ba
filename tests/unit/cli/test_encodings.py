"""Text that is no UTF-8 arrives in every output as it came, or is refused in one line; never a traceback."""

import gzip

import h5py
import pytest

from ripe_lib.cli.main import main
from tests.support.variant_files import FASTA, GTF, VCF, write_model

TASK = "QKI_PARCLIP"
ODD = b"caf\xe9"


@pytest.fixture(scope="module")
def model(tiny_model, tmp_path_factory):
    return str(write_model(tiny_model, tmp_path_factory.mktemp("encodings") / "model"))


@pytest.fixture
def here(tmp_path, monkeypatch, tiny_model):
    """Inputs with a Latin-1 letter in every text that is free."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ripe_lib.network.load.load_model", lambda _: tiny_model)
    bed = b"".join(b"chr1\t%d\t%d\t%s\t0\t+\n" % (700 + 300 * n, 760 + 300 * n, ODD) for n in range(4))
    (tmp_path / "odd.bed").write_bytes(bed)
    (tmp_path / "contig.bed").write_bytes(bed.replace(b"chr1", b"chr\xe9"))
    genes = GTF.read_bytes().replace(b'gene_name "', b'gene_name "' + ODD)
    (tmp_path / "odd.gtf").write_bytes(genes)
    lines = VCF.read_bytes().splitlines(keepends=True)
    records = [line.split(b"\t", 3) for line in lines if line[:1] != b"#"][:6]
    (tmp_path / "odd.vcf").write_bytes(
        b"".join(line for line in lines if line[:1] == b"#")
        + b"".join(b"\t".join([chrom, pos, ODD, rest]) for chrom, pos, _, rest in records)
    )
    (tmp_path / "odd.fa").write_bytes(b">r1 " + ODD + b"\n" + b"ACGUACGUAC" * 20 + b"\n")
    (tmp_path / "name.fa").write_bytes(b">" + ODD + b"\n" + b"ACGUACGUAC" * 20 + b"\n")
    return tmp_path


def content(path):
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def arrives_or_is_refused(words, output, capsys):
    code = main([str(word) for word in words])
    told = capsys.readouterr().err
    assert code in (0, 2), told
    assert "Traceback" not in told
    if code == 2:
        assert sum(": error: " in line for line in told.splitlines()) == 1
        assert not output.exists()
        return False
    if output.suffix == ".h5":
        with h5py.File(output) as handle:
            assert any(ODD in item[()].tolist() for item in handle.values() if item.dtype == object)
    elif output.suffix not in (".bw", ".bedgraph", ".bcf"):
        assert ODD in content(output), told
    return True


def genome(gtf="odd.gtf"):
    return ["--fasta", FASTA, "--gtf", gtf]


@pytest.mark.parametrize(
    ("output", "arrives"), [("o.tsv", True), ("o.csv.gz", True), ("o.h5", True), ("o.parquet", False)]
)
def test_names_of_intervals(model, here, output, arrives, capsys):
    words = ["predict", model, "odd.bed", *genome(), "-o", output]
    assert arrives_or_is_refused(words, here / output, capsys) == arrives
    if not arrives:
        main([str(word) for word in words])
        assert "expected text in UTF-8, which Parquet holds" in capsys.readouterr().err


@pytest.mark.slow
def test_names_of_sites_that_are_explained(model, here, capsys):
    words = ["attribute", model, "odd.bed", *genome(), "--task", TASK, "--steps", "2", "-o", "o.h5"]
    assert arrives_or_is_refused([*words, "--plots", "p", "--report", "r", "--format", "svg"], here / "o.h5", capsys)
    assert main([str(w) for w in ["attribute", model, "odd.bed", *genome(), "--gallery", "g", "--steps", "2"]]) == 0


@pytest.mark.parametrize("output", ["o.tsv", "o.parquet", "o.vcf", "o.vcf.gz", "o.bcf", "o.csv"])
@pytest.mark.parametrize("layout", ["wide", "long"])
def test_names_of_variants_and_genes(model, here, output, layout, capsys):
    words = ["score-variants", model, "odd.vcf", *genome(), "-o", output]
    words += ["--format", layout] if output in ("o.tsv", "o.parquet") else []
    assert arrives_or_is_refused(words, here / output, capsys) or output in ("o.parquet", "o.bcf")


def test_reports_of_variants(model, here, capsys):
    words = ["score-variants", model, "odd.vcf", *genome(), "-o", "o.tsv", "--report", "r"]
    assert arrives_or_is_refused(words, here / "o.tsv", capsys)
    for command in ("asb", "compare-strand"):
        more = ["--task", TASK, "--report", "a", "--steps", "2"] if command == "asb" else []
        words = [command, model, "odd.vcf", *genome(), "-o", "x.tsv", *more]
        assert main([str(word) for word in words]) == 0, capsys.readouterr().err


GENES, INTERVALS, RNAS = ["--genes", "all", *genome()], ["--intervals", "odd.bed", *genome()], ["odd.fa"]


@pytest.mark.parametrize(
    ("output", "sources"),
    [
        pytest.param("o.tsv", [GENES, INTERVALS, RNAS], marks=pytest.mark.slow),
        ("o.bedgraph", [GENES]),
        ("o.bw", [RNAS]),
    ],
)
def test_scans(model, here, output, sources, capsys):
    base = ["--task", TASK, "--step", "10", "-o", output, "--threshold", "0.1", "--sites", "s.bed"]
    for words in sources:
        assert main([str(word) for word in ["scan", model, *words, *base, "--report", "r", "--max-plots", "2"]]) == 0, (
            capsys.readouterr()
        )
    (here / output).unlink(missing_ok=True)
    assert main([str(word) for word in ["scan", model, "name.fa", *base]]) == 2
    assert "expected a name in UTF-8" in capsys.readouterr().err


def test_contigs_that_no_genome_has(model, here, capsys):
    assert main(["predict", model, "contig.bed", "--fasta", str(FASTA), "-o", "o.tsv"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
