"""The Snakemake workflow and the nf-core style module of ``examples`` give what the commands give."""

import gzip
import os
import re
import shutil
import subprocess

import pytest
import yaml

from ripe_lib._version import __version__
from tests.support.documents import ROOT
from tests.support.kipoi_home import BIN

pytestmark = pytest.mark.slow
MODULE = ROOT / "examples" / "nf-core" / "deepripe" / "scorevariants"


@pytest.fixture
def place(tmp_path):
    for name in ("data", "snakemake"):
        shutil.copytree(ROOT / "examples" / name, tmp_path / name)
    return tmp_path


def run(words, folder):
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done


def annotated(path):
    """Return how many records of a VCF have our fields."""
    with gzip.open(path, "rt") as handle:
        return sum("DRP_parclip_low_MAXDELTA=" in line for line in handle if not line.startswith("#"))


def test_the_snakemake_workflow_runs(place):
    if shutil.which("snakemake") is None:
        pytest.skip("needs snakemake: pip install snakemake")
    run(["snakemake", "--cores", "1"], place / "snakemake")
    results = place / "snakemake" / "results" / "parclip_low"
    assert len((results / "scores.tsv").read_text().splitlines()) == 145
    assert annotated(results / "scored.vcf.gz") == 156
    assert "156 rows scored" in (place / "snakemake" / "logs" / "parclip_low.score_variants.log").read_text()


def script(name):
    """Return a block of the module as bash sees it, for the example files."""
    text = (MODULE / "main.nf").read_text(encoding="utf-8")
    body = re.search(
        rf'^    {name}:\n(?:    def [^\n]*\n)*    """\n(.*?)^    """', text, re.MULTILINE | re.DOTALL
    ).group(1)
    values = {
        **{
            "vcf": "variants.vcf.gz",
            "fasta": "genome.fa",
            "annotation": "--gtf genes.gtf",
            "args": "--scores delta class",
        },
        **{"model": "DeepRiPe/parclip_low", "prefix": "sample", "task.cpus": "1", "task.process": "SCORE"},
    }
    filled = re.sub(r"(?<!\\)\$\{([\w.]+)\}", lambda found: values[found[1]], body)
    return re.sub(r"^    ", "", filled, flags=re.MULTILINE).replace("\\\\\n", "\\\n").replace("\\$", "$")


def outputs_are_there(folder):
    assert (folder / "sample.scored.vcf.gz.tbi").is_file()
    assert yaml.safe_load((folder / "versions.yml").read_text()) == {"SCORE": {"deepripe": __version__}}


def test_the_script_of_the_nf_core_module_runs(place):
    run(["bash", "-euo", "pipefail", "-c", script("script")], place / "data")
    assert annotated(place / "data" / "sample.scored.vcf.gz") == 156
    outputs_are_there(place / "data")


def test_the_stub_of_the_nf_core_module_makes_the_same_files(place):
    run(["bash", "-euo", "pipefail", "-c", script("stub")], place / "data")
    outputs_are_there(place / "data")


def test_the_nf_core_module_runs_in_nextflow(place):
    if shutil.which("nextflow") is None:
        pytest.skip("needs nextflow")
    (place / "main.nf").write_text(
        f"include {{ DEEPRIPE_SCOREVARIANTS }} from '{MODULE}/main.nf'\n"
        "workflow {\n    DEEPRIPE_SCOREVARIANTS([[id: 'sample'], file('data/variants.vcf.gz')], "
        "[[id: 'g'], file('data/genome.fa')], [[id: 'a'], file('data/genes.gtf')], 'DeepRiPe/parclip_low')\n}\n"
    )
    run(["nextflow", "run", "main.nf"], place)
    (found,) = (place / "work").rglob("sample.scored.vcf.gz")
    assert annotated(found) == 156


def test_the_module_describes_its_outputs():
    described = yaml.safe_load((MODULE / "meta.yml").read_text(encoding="utf-8"))
    emitted = re.findall(r"emit: (\w+)", (MODULE / "main.nf").read_text(encoding="utf-8"))
    assert list(described["output"]) == emitted == ["vcf", "tbi", "versions"]
    environment = yaml.safe_load((MODULE / "environment.yml").read_text(encoding="utf-8"))
    assert environment["dependencies"] == [f"bioconda::deepripe={__version__}"]
    assert f'"deepripe:{__version__}"' in (MODULE / "main.nf").read_text(encoding="utf-8")
