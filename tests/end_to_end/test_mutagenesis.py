"""The paper's two mutagenesis experiments on the shipped weights (its Figure 6), through examples/mutagenesis.py."""

import importlib.util
import warnings
from pathlib import Path

import pytest

from ripe_lib.attribution.maps import CompletenessWarning

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "mutagenesis.py"


@pytest.fixture(scope="module")
def example():
    import sys

    spec = importlib.util.spec_from_file_location("mutagenesis_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def table_of(example, experiment, task=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompletenessWarning)
        return example.explain(experiment, task)[0].set_index("construct")


def test_constructs_are_those_of_the_experiments(example):
    qki, elavl1 = (list(e.constructs.values()) for e in (example.QKI, example.ELAVL1))
    assert [len(s) for s in qki] == [42] * 3
    assert [len(s) for s in elavl1] == [119] * 2
    assert example.QKI.offset == (150 - 42) // 2
    assert example.ELAVL1.offset == 150 - 119
    start, stop = example.ELAVL1.sites["U-rich element"]
    changed = [i for i, (a, b) in enumerate(zip(*elavl1, strict=True)) if a != b]
    assert all(start <= i < stop for i in changed)
    assert elavl1[0][slice(*example.ELAVL1.sites["upstream sites"])] == "UGCUUUUCUGUUUAGUUUUU"
    assert qki[0][slice(*example.QKI.sites["first site"])] == "ATTAAC"
    assert qki[0][slice(*example.QKI.sites["second site"])] == "GCTAAT"


def test_qki_on_numb(example):
    table = table_of(example, example.QKI)
    score, first, second = table["score"], table["first site"], table["second site"]
    assert score["wild type"] > score["Mut1"] > score["Mut2"]
    assert score["Mut2"] < 0.6 * score["wild type"]
    # What is mutated loses attribution, what is not keeps it.
    assert second["Mut1"] < second["wild type"] - 0.01
    assert first["Mut1"] > 0.5 * first["wild type"] > 0
    assert first["Mut2"] < 0.25 * first["wild type"]


# ELAVL1_PARCLIP_MNASE is left out: its sites are hardly enriched in U-runs (1.06 times the background).
@pytest.mark.parametrize("task", ["ELAVL1_PARCLIP", "ELAVL1_PARCLIP_A"])
def test_elavl1_on_erbb2(example, task):
    table = table_of(example, example.ELAVL1, task)
    element, upstream = table["U-rich element"], table["upstream sites"]
    assert table["score"]["wild type"] > 2 * table["score"]["mutant"]
    assert element["wild type"] > 0.1
    assert element["mutant"] < 0.25 * element["wild type"]
    assert upstream["mutant"] > max(0.02, 0.5 * upstream["wild type"])


@pytest.mark.slow
def test_the_script_writes_tables_and_pictures(example, tmp_path, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompletenessWarning)
        assert example.main([str(tmp_path)]) == 0
    suffixes = sorted(path.suffix for path in tmp_path.iterdir())
    assert suffixes == sorted([".png", ".svg", ".pdf", ".tsv"] * 2)
    assert "ELAVL1_ERBB2: DeepRiPe/clip31, ELAVL1_PARCLIP" in capsys.readouterr().out
