"""Names of variants, genes, tasks and files are text in every page, whatever is in them."""

import shutil
import subprocess
from html.parser import HTMLParser

import pytest
import yaml

from ripe_lib.cli.main import main
from tests.support.toy_datasets import TINY_SIZES, write_toy_dataset
from tests.support.toy_models import random_model
from tests.support.variant_files import FASTA, GTF, VCF, write_model

EVIL = "<script>document.title='run'</script>"
IMAGE = "\"'><img/src=x/onerror=document.title='run'>&lt;$a_$"
TASKS = (EVIL, IMAGE, "two\nlines")


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and the text between tags and in attributes for readers."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.text += " ".join(value or "" for _, value in attrs)

    def handle_data(self, data):
        self.text += data


def is_only_text(page, *names):
    """Nothing of a page comes from a name but text; the names are all there."""
    read = Tags()
    read.feed(page.read_text(encoding="utf-8", errors="surrogateescape"))
    scripts = [attributes.get("type") for tag, attributes in read.tags if tag == "script"]
    assert scripts.count(None) == 1  # the page's own
    assert set(scripts) <= {None, "application/json"}  # data of pictures that zoom
    assert "i" not in dict(read.tags)  # of file names
    for tag, attributes in read.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert tag != "img" or attributes["src"].startswith("data:image/") or attributes["src"].endswith(".png")
    for name in names:
        assert name in read.text, name


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    made = random_model(TASKS)
    made.directory = write_model(made, tmp_path_factory.mktemp("odd") / "model")
    return made


@pytest.fixture
def ripe(tmp_path, monkeypatch, model):
    """Run a command among inputs whose every name is odd."""
    monkeypatch.chdir(tmp_path)
    for module in ("network.load", "reports.variants", "scan.run", "variants.output"):
        monkeypatch.setattr(f"ripe_lib.{module}.load_model", lambda _: model)
    for name, start in ((EVIL, 700), (IMAGE, 1900)):
        with (tmp_path / "<i>&'.bed").open("a") as bed:
            bed.write(f"chr1\t{start}\t{start + 60}\t{name}\t0\t+\n")
    genes = GTF.read_text()
    (tmp_path / "odd.gtf").write_text(genes.replace('gene_name "', 'gene_name "' + EVIL))
    lines = VCF.read_text().splitlines(keepends=True)
    head = [line for line in lines if line.startswith("#")]
    rows = [line.split("\t", 3) for line in lines if not line.startswith("#")][:8]
    (tmp_path / "<i>&'.vcf").write_text("".join(head) + "".join("\t".join([c, p, EVIL, r]) for c, p, _, r in rows))
    genome = ["--fasta", str(FASTA), "--gtf", "odd.gtf"]

    def run(command, *words, genome=genome):
        assert main([command, str(model.directory), *map(str, words), *genome, "--quiet"]) == 0
        return tmp_path

    return run


@pytest.mark.slow
def test_sites(ripe):
    here = ripe("attribute", "<i>&'.bed", "--task", "all", "--steps", "2", "-o", "o.h5", "--report", "r")
    is_only_text(here / "r" / "report.html", EVIL, IMAGE)
    here = ripe("attribute", "<i>&'.bed", "--task", *TASKS, "--steps", "2", "--gallery", "g", "--min-score", "0")
    for page in (here / "g").rglob("*.html"):
        is_only_text(page)
    is_only_text(here / "g" / "index.html", EVIL)


@pytest.mark.slow
def test_scans(ripe):
    here = ripe("scan", "--genes", "all", "--step", "50", "--threshold", "0.1", "--sites", "s.tsv", "--report", "r")
    is_only_text(here / "r" / "report.html", EVIL, IMAGE)


def test_motifs(ripe):
    how = ["--steps", "2", "--min-score", "0", "--method", "single", "--database", "none", "--plot-format", "svg"]
    here = ripe("motifs", "<i>&'.bed", "--task", *TASKS, *how, "-o", "m")
    is_only_text(here / "m" / "motifs.html", EVIL)


def test_variants(ripe):
    here = ripe("score-variants", "<i>&'.vcf", "-o", "o.tsv", "--report", "r")
    (page,) = (here / "r").glob("*.html")
    is_only_text(page, EVIL)
    here = ripe("asb", "<i>&'.vcf", "--task", *TASKS, "--steps", "2", "-o", "a.tsv", "--report", "a")
    (page,) = (here / "a").glob("*.html")
    is_only_text(page, EVIL)


def test_evaluation(ripe, tmp_path, rng):
    write_toy_dataset(tmp_path / "d.h5", rng, n=60, tasks=TASKS)
    here = ripe("evaluate", "d.h5", "--split", "all", "--bootstrap", "2", "-o", "e", genome=[])
    (page,) = (here / "e").glob("*.html")
    is_only_text(page, EVIL, IMAGE)


def test_study(tmp_path, rng):
    from training.cli.main import main as train

    data = write_toy_dataset(tmp_path / "<i>&'.h5", rng, n=150, tasks=TASKS)
    fit = {"epochs": 1, "sizes": {key: list(v) if isinstance(v, tuple) else v for key, v in TINY_SIZES.items()}}
    study = {"name": EVIL, "directory": str(tmp_path / "s"), "data": str(data), "fit": fit, "n_bootstrap": 2}
    study |= {"comparisons": ["specificity"]}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"study": study}))
    assert train(["study", str(tmp_path / "c.yaml"), "--quiet"]) == 0
    is_only_text(tmp_path / "s" / "report.html", EVIL, IMAGE)


def test_prepared_data(tmp_path):
    from training.cli.main import main as train

    name, more = "<script>1</script>", "<img src=x>$a_$"  # short: both are labels of a picture
    bed = "".join(f"chr1\t{600 + 90 * n}\t{660 + 90 * n}\t{name}\t0\t+\n" for n in range(20))
    (tmp_path / "<i>&'.bed").write_text(bed)
    (tmp_path / "peaks.tsv").write_text(f"rbp\tfile\n{name}\t<i>&'.bed\n{more}\t<i>&'.bed\n")
    peaks = {"fasta_file": str(FASTA), "gtf_file": str(GTF), "table": str(tmp_path / "peaks.tsv")}
    peaks["background"] = {"strategy": "any_transcripts", "ratio": 1.0}
    content = {"output": str(tmp_path / "d.h5"), "peaks": peaks, "split": {"method": "random"}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"prepare": content}))
    assert train(["prepare", str(tmp_path / "c.yaml"), "--report", "--quiet"]) == 0
    (page,) = tmp_path.glob("*.html")
    is_only_text(page, name, more)


@pytest.mark.browser
@pytest.mark.slow
def test_a_browser_runs_nothing_of_them(ripe):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs chromium")
    here = ripe("attribute", "<i>&'.bed", "--task", "all", "--steps", "2", "-o", "o.h5", "--report", "r")
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    page = (here / "r" / "report.html").as_uri()
    done = subprocess.run([*command, page], capture_output=True, text=True, check=True, timeout=120)
    assert "<title>run</title>" not in done.stdout
    assert "&lt;script&gt;" in done.stdout
