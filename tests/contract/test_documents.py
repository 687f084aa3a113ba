"""What the documents print works: the README's commands run as printed, every other command line is one."""

import gzip
import runpy
import shutil

import pandas as pd
import pytest

from ripe_lib.cli.main import main
from tests.support.documents import ROOT, commands

README = commands(ROOT / "README.md")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme") / "data"
    shutil.copytree(ROOT / "examples" / "data", folder)
    return folder


def test_the_readme_has_the_commands():
    assert {line[1] for line in README} >= {"predict", "attribute", "scan", "motifs", "score-variants", "mutate"}


@pytest.mark.slow
@pytest.mark.parametrize("line", README, ids=" ".join)
def test_a_command_of_the_readme_runs_as_printed_and_gives_a_result(line, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    assert main(line[1:]) == 0, capsys.readouterr().err
    results = [place / line[at + 1] for at, word in enumerate(line) if word in {"-o", "--sites", "--plots", "--report"}]
    assert results or capsys.readouterr().out
    for result in results:
        assert any(result.iterdir()) if result.is_dir() else result.stat().st_size > 100, result
    if line[1] == "motifs":
        table = pd.read_csv(place / "motifs" / "motifs.tsv", sep="\t")
        assert table["n_sites"].sum() >= 20
        assert "UACUAA" in table["consensus"][0]
        matches = pd.read_csv(place / "motifs" / "matches.tsv", sep="\t")
        assert {"QKI", "SF1"} >= set(matches[matches["motif"] == "QKI.1"]["protein"][:2])


def test_example_files_are_those_of_their_script(tmp_path):
    runpy.run_path(str(ROOT / "examples" / "make_data.py"))["write"](tmp_path)
    for path in tmp_path.iterdir():
        kept = ROOT / "examples" / "data" / path.name
        if path.suffix == ".gz":  # compressed bytes differ between releases of zlib
            assert gzip.decompress(path.read_bytes()) == gzip.decompress(kept.read_bytes())
        else:
            assert path.read_bytes() == kept.read_bytes(), path.name
