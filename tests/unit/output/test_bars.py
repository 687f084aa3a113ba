"""Every step of a command that can take long has a bar that moves, on a terminal, and none with --quiet."""

import io
import sys

import pytest
import tqdm

from ripe_lib.cli.main import main
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.fasta import Genome
from tests.support.variant_files import FASTA, GTF, VCF, write_model

BED = FASTA.parent / "intervals.bed"
TASK = "--task QKI_PARCLIP"
STEPS = {
    f"predict MODEL {BED} -o o.tsv": {"reading intervals.bed", "predicting"},
    f"scan MODEL --chrom chr2 --step 25 --threshold 0.3 -o o.tsv --sites s.tsv --kmer-length 6 --max-plots 2 {TASK} "
    "--plots p --report r": {"scan", "k-mers of sites", "drawing"},
    f"motifs MODEL {BED} {TASK} --min-score 0 --filters --steps 4 -o m": {
        "predicting",
        "motifs",
        "explaining QKI_PARCLIP",
        "activations of filters",
        "motifs of filters",
        "drawing",
        "making the page",
    },
    f"attribute MODEL {BED} {TASK} --min-score 0 --steps 4 --gallery g": {
        "predicting",
        "explaining and drawing",
        "making the page",
    },
    f"attribute MODEL {BED} {TASK} --steps 4 --top 2 -o a.h5 --plots p --report r": {"explaining", "drawing"},
    f"score-variants MODEL {VCF} {TASK} --report r --report-changes 2 -o v.vcf.gz": {"scoring", "drawing"},
    f"precompute MODEL chr1:600-640 {TASK} -o p.tsv.gz": {"scoring"},
    f"mutate MODEL chr1:600-640 {TASK} -o m.tsv --plots p": {"scoring", "drawing"},
    f"asb MODEL {VCF} {TASK} --steps 4 -o a.tsv --report r": {"scoring", "drawing"},
    f"compare-strand MODEL {VCF} {TASK} -o c.tsv": {"scoring"},
    f"enrich MODEL {BED} {TASK} -o e.tsv": {"scoring"},
    f"evaluate MODEL --positives {BED} --negatives {BED} {TASK} --bootstrap 5 -o e": {
        "predicting",
        "measuring",
        "drawing",
    },
}


@pytest.fixture(scope="module")
def model(tiny_model, tmp_path_factory):
    return str(write_model(tiny_model, tmp_path_factory.mktemp("bars") / "model"))


@pytest.fixture
def seen(monkeypatch):
    """The names of the bars that moved."""
    names = set()

    class Bar(tqdm.tqdm):
        def update(self, n=1):
            if not self.disable and n:
                names.add(self.desc)
            return super().update(n)

        def __iter__(self):
            for item in super().__iter__():
                if not self.disable:
                    names.add(self.desc)
                yield item

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    return names


class Terminal(io.StringIO):
    def isatty(self):
        return True


def on_a_terminal(monkeypatch):
    """In the test itself: pytest puts its own stderr back between fixture and test."""
    monkeypatch.setattr(sys, "stderr", Terminal())


@pytest.mark.parametrize("line", STEPS, ids=lambda line: line.split()[0])
def test_every_step_moves_a_bar(line, model, tiny_model, seen, tmp_path, monkeypatch):
    on_a_terminal(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ripe_lib.network.load.load_model", lambda _: tiny_model)
    words = [*line.replace("MODEL", model).split(), "--fasta", str(FASTA), "--gtf", str(GTF)]
    assert main(words) == 0, sys.stderr.getvalue()
    assert seen >= STEPS[line]
    assert "Traceback" not in sys.stderr.getvalue()


def test_files_read_for_the_first_time_move_a_bar(seen, tmp_path, monkeypatch):
    """A whole GENCODE takes 20 s, the index of a genome as long; the library alone and --quiet show nothing."""
    on_a_terminal(monkeypatch)
    for source in (FASTA, GTF):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    for shown in (False, True):
        monkeypatch.setattr("ripe_lib.output.console._speaks", shown)
        Genome(tmp_path / FASTA.name)
        (tmp_path / f"{FASTA.name}.fai").unlink()
        Annotation.load(tmp_path / GTF.name)
        names = {f"indexing {FASTA.name}", f"reading {GTF.name}"} if shown else set()
        assert seen == names


def test_quiet_shows_no_bar(model, tiny_model, seen, tmp_path, monkeypatch):
    on_a_terminal(monkeypatch)
    monkeypatch.setattr("ripe_lib.network.load.load_model", lambda _: tiny_model)
    words = ["predict", model, str(BED), "--fasta", str(FASTA), "-o", str(tmp_path / "o.tsv"), "--quiet"]
    assert main(words) == 0
    assert not seen
    assert sys.stderr.getvalue() == ""
