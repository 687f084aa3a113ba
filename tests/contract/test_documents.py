"""What the documents print works: the README's commands run as printed, every other command line is one."""

import argparse
import ast
import gzip
import importlib
import os
import re
import runpy
import shutil
import subprocess
import sys

import pandas as pd
import pytest

import ripe_lib
from ripe_lib.cli.main import COMMANDS, main
from ripe_lib.output.console import in_new_words
from tests.support.documents import PAGES, ROOT, blocks, commands
from tests.support.kipoi_home import BIN
from training.cli.main import COMMANDS as TRAIN_COMMANDS

README = commands(ROOT / "README.md")
PROGRAMS = {"ripe": COMMANDS, "ripe-train": TRAIN_COMMANDS}
LINES = [(page.name, line) for page in PAGES for line in commands(page, PROGRAMS)]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


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
        (known,) = table["motif"][:2][table["consensus"].str.contains("ACUAA")]
        matches = pd.read_csv(place / "motifs" / "matches.tsv", sep="\t")
        assert {"QKI", "SF1"} >= set(matches[matches["motif"] == known]["protein"][:2])


def test_example_files_are_those_of_their_script(tmp_path):
    runpy.run_path(str(ROOT / "examples" / "make_data.py"))["write"](tmp_path)
    for path in tmp_path.iterdir():
        kept = ROOT / "examples" / "data" / path.name
        if path.suffix == ".gz":  # compressed bytes differ between releases of zlib
            assert gzip.decompress(path.read_bytes()) == gzip.decompress(kept.read_bytes())
        else:
            assert path.read_bytes() == kept.read_bytes(), path.name


class RefusedError(Exception):
    """What a parser says instead of ending the process."""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise RefusedError(message)


@pytest.mark.parametrize(("page", "line"), LINES, ids=[" ".join((page, *line)) for page, line in LINES])
def test_every_command_line_of_the_documents_is_one(page, line):
    program, command, *_ = line
    parser = Parser(allow_abbrev=False)
    module = importlib.import_module(PROGRAMS[program][command][0])
    module.add_arguments(parser)
    words, _ = in_new_words(line[1:], getattr(module, "OLD_SPELLINGS", {}))
    parser.parse_args(words[1:])


def test_a_wrong_command_line_would_be_found():
    with pytest.raises(RefusedError, match="required: --fasta"):
        test_every_command_line_of_the_documents_is_one(
            "", ["ripe", "predict", "m", "i", "--fastq", "f", "-o", "o.tsv"]
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_of_the_documents_uses_names_that_exist(page):
    for block in blocks(page, ("python",)):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ripe_lib":
                assert node.attr in ripe_lib.__all__ or importlib.import_module(f"ripe_lib.{node.attr}")
            if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in {
                "ripe_lib",
                "training",
                "dataloaders",
            }:
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), node.module


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs_as_printed(page, tmp_path):
    if page.stem == "variants" and shutil.which("bcftools") is None:
        pytest.skip("needs the bcftools program")
    place = tmp_path / "data"
    shutil.copytree(ROOT / "examples" / "data", place)
    environment = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "RIPE_MODELS_DIR": str(tmp_path / "models"),
    }
    for line in "\n".join(blocks(page, ("sh",))).replace("\\\n", " ").splitlines():
        done = subprocess.run(["bash", "-c", line], cwd=place, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stderr[-2000:])
    for block in blocks(page, ("python",)):
        done = subprocess.run([sys.executable, "-c", block], cwd=place, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]


def test_pages_made_from_the_code_hold_every_option_and_model():
    hooks = runpy.run_path(str(ROOT / "docs" / "hooks.py"))
    for program, known in PROGRAMS.items():
        page = hooks["command_page"](program)
        for name, (module, _) in known.items():
            parser = argparse.ArgumentParser()
            importlib.import_module(module).add_arguments(parser)
            section = page.split(f"## `{program} {name}`")[1].split("\n## ")[0]
            for action in parser._actions:
                assert all(option in section for option in action.option_strings)
    page = hooks["python_page"]()
    assert all(
        re.search(rf"^::: ripe_lib\.\S+\.{name}$", page, re.MULTILINE)
        for name in ripe_lib.__all__
        if name != "__version__"
    )
    cards = dict(hooks["model_pages"]())
    for path in (ROOT / "kipoi_models" / "DeepRiPe").iterdir():
        assert f"`DeepRiPe/{path.name}`" in cards["reference/models.md"]
        assert "](" not in re.sub(r"\]\(https?:", "", cards[f"reference/models/{path.name}.md"])


def test_every_page_is_in_the_menu():
    import yaml

    found = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]

    def places(entry):
        if isinstance(entry, str):
            return [entry]
        return [place for part in (entry.values() if isinstance(entry, dict) else entry) for place in places(part)]

    here = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.name != "README.md"}
    assert here | {f"reference/{name}.md" for name in ("ripe", "ripe-train", "python", "models")} == set(places(found))


@pytest.mark.parametrize("table", sorted((ROOT / "docs" / "results").glob("checks_*.csv")), ids=lambda path: path.stem)
def test_the_pages_quote_the_shipped_weights(table):
    model = table.stem.removeprefix("checks_")
    checks = pd.read_csv(table).query("input == 'everything'").set_index("task")[["n_pos", "n_neg", "auroc", "ap"]]
    shipped = pd.read_csv(ROOT / "kipoi_models/DeepRiPe" / model / "metrics.tsv", sep="\t").set_index("task")
    pd.testing.assert_frame_equal(checks, shipped[checks.columns], atol=1e-5)
