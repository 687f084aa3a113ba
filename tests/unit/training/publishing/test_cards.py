"""Numbers in cards and documents are those of the result files."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from ripe_lib.errors import InputError, MissingFileError, UnknownNameError
from ripe_lib.network.catalogue.entries import catalogue
from training.publishing import cards

DOCUMENTS = [cards.ROOT / "README.md", *sorted((cards.ROOT / "docs").glob("*.md"))]
MODELS = sorted((cards.ROOT / "kipoi_models" / "DeepRiPe").glob("*/metrics.tsv"))


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "ROOT", tmp_path)
    folder = tmp_path / "kipoi_models" / "DeepRiPe" / "parclip_low"
    folder.mkdir(parents=True)
    pd.DataFrame(
        {
            "task": ["A", "B"],
            "n": [10, 5],
            "n_pos": [4, 5],
            "n_neg": [6, 0],
            "auroc": [0.91234, np.nan],
            "auroc_low": [0.8, np.nan],
            "auroc_high": [0.95, np.nan],
            "ap": [0.7, np.nan],
            "ap_low": [0.6, np.nan],
            "ap_high": [0.8, np.nan],
            "ece": [0.0314, np.nan],
            "reason": ["", "no negative"],
        }
    ).to_csv(folder / "metrics.tsv", sep="\t", index=False)
    tables = tmp_path / "docs" / "results" / "study_toy" / "tables"
    tables.mkdir(parents=True)
    pd.DataFrame(
        {
            "comparison": ["region types"] * 2,
            "first": ["multitask"] * 2,
            "second": ["sequence_only"] * 2,
            "negatives": ["own", "other"],
            "measure": ["auroc"] * 2,
            "n_tasks": [3, 3],
            "mean_first": [0.9, 0.8],
            "mean_second": [0.85, 0.8],
            "mean_difference": [0.05, 0.0],
            "median_difference": [0.04, 0.0],
            "n_better": [3, 0],
            "n_worse": [0, 0],
            "wilcoxon_p": [0.25, np.nan],
        }
    ).to_csv(tables / "tests.csv", index=False)
    return tmp_path


def test_tables_show_the_files_numbers(results):
    text = cards.table_for("tasks parclip_low")
    assert "| A | 4 | 6 | 0.912 (0.800 to 0.950) | 0.700 (0.600 to 0.800) | 0.031 |" in text
    assert "| B | 5 | 0 | – | – | – |" in text
    assert "| `DeepRiPe/parclip_low` | 2 | towers" in cards.table_for("models")
    text = cards.table_for("study toy tests")
    assert (
        "| region types | multitask | sequence_only | own | AUROC | 0.900 | 0.850 | +0.0500 | 3 of 3 | 0.25 |" in text
    )
    assert text.count("region types") == 2  # against its own negatives, and against other sites


def test_size_and_time_of_precomputed_scores(results):
    folder = results / "benchmarks" / "results"
    folder.mkdir(parents=True)
    measured = {"seconds": 3.2, "minutes_per_mb": 2.5, "cpu_minutes_per_mb": 4.0, "megabytes_per_mb": 31.0}
    found = {
        "model": "DeepRiPe/clip31",
        "bases": 20000,
        "tsv.gz": measured,
        "vcf.gz": {**measured, "cpu_minutes_per_mb": 4.5},
    }
    (folder / "precompute.json").write_text(json.dumps(found))
    assert cards.table_for("precompute").splitlines()[2:] == [
        "| `DeepRiPe/clip31` | `.tsv.gz` | 20,000 | 31 | 4 |",
        "| `DeepRiPe/clip31` | `.vcf.gz` | 20,000 | 31 | 4.5 |",
    ]


def test_published_figures_beside_those_of_the_metrics(results):
    columns = "model,task,n_train,deepripe_auroc,deepripe_ap,how,multiresbind_auroc,multiresbind_ap\n"
    rows = (
        "parclip_low,A,5,0.9,0.5,printed,0.95,0.6\nparclip_low,mean of all,,0.8,0.4,digitised,,\nother,A,1,1,1,x,1,1\n"
    )
    (results / "docs" / "results" / "published_accuracy.csv").write_text(columns + rows)
    lines = cards.table_for("published parclip_low").splitlines()
    assert lines[2:] == [
        "| A | 0.900 | 0.500 | printed | 0.950 | 0.600 | 4 of 10 | 0.912 (0.800 to 0.950) | 0.700 (0.600 to 0.800) |",
        "| mean of all | 0.800 | 0.400 | digitised | – | – | – | 0.912 | 0.700 |",
    ]


def test_warm_start_is_the_mean_over_proteins(results):
    rows = ["task,sites,n_sites,method,n_pos,n_neg,auroc,ap"]
    for task, sites, warm, nothing, kmers in (
        ("A", 100, 0.9, 0.7, 0.8),
        ("B", 100, 0.7, 0.6, 0.8),
        ("A", 300, 1, 1, 0),
    ):
        values = {"warm": warm, "nothing": nothing, "kmers": kmers}
        rows += [f"{task},{sites},{sites},{method},5,9,{v},{v / 2}" for method, v in values.items()]
    (results / "docs" / "results" / "warm_start.csv").write_text("\n".join(rows) + "\n")
    lines = cards.table_for("warm_start").splitlines()
    assert lines[0].startswith(
        "| sites | AUROC: warm start | AUROC: from nothing | AUROC: k-mers | AUROC: warm start best |"
    )
    assert lines[2:] == [
        "| 100 | 0.800 | 0.650 | 0.800 | 1 of 2 | 0.400 | 0.325 | 0.400 | 1 of 2 |",
        "| 300 | 1.000 | 1.000 | 0.000 | 1 of 1 | 0.500 | 0.500 | 0.000 | 1 of 1 |",
    ]


def test_models_beside_the_kmer_baseline(results):
    head, kmers = "input,task,n_pos,n_neg,auroc,ap\n", "k-mer logistic regression"
    for name, better in (("toy_low", 0.9), ("toy_mid", 0.7)):
        rows = f"everything,A,4,6,{better},0.5\neverything,B,5,0,,\n{kmers},A,4,6,0.8,0.4\n{kmers},B,5,0,,\n"
        (results / "docs" / "results" / f"checks_{name}.csv").write_text(head + rows)
    assert cards.table_for("baseline toy").splitlines()[2:] == [
        "| toy_low | 1 | 0.900 | 0.800 | 1 (100%) | 0.500 | 0.400 | 1 (100%) |",
        "| toy_mid | 1 | 0.700 | 0.800 | 0 (0%) | 0.500 | 0.400 | 1 (100%) |",
        "| all toy | 2 | 0.800 | 0.800 | 1 (50%) | 0.500 | 0.400 | 2 (100%) |",
    ]
    assert "| everything | 1 | 0.900 | 0.500 | 1 | 1 |" in cards.table_for("checks toy_low")
    assert "| everything | 0.900 | 0.500 |" in cards.table_for("inputs toy_low A")
    with pytest.raises(UnknownNameError, match="unknown task 'D'"):
        cards.table_for("inputs toy_low D")
    with pytest.raises(MissingFileError, match=r"training\.publishing\.checks"):
        cards.table_for("baseline none")


def test_every_published_figure_is_of_a_task_here():
    reported = pd.read_csv(cards.ROOT / "docs" / "results" / "published_accuracy.csv")
    for model, rows in reported.groupby("model"):
        assert set(rows["task"]) - {"mean of all"} <= {task.task for task in catalogue().tasks[f"DeepRiPe/{model}"]}


def test_documents_are_filled_in_place_and_twice_changes_nothing(results):
    document = "# Title\n\n<!-- table: models -->\nold numbers 0.5\n<!-- end table -->\n\nText 0.5 stays.\n"
    filled = cards.fill(document)
    assert "old numbers" not in filled
    assert filled.startswith("# Title\n\n<!-- table: models -->\n\n| model |")
    assert filled.endswith("<!-- end table -->\n\nText 0.5 stays.\n")
    assert cards.fill(filled) == filled
    assert cards.fill("no markers\n") == "no markers\n"


def test_wrong_markers(results):
    with pytest.raises(UnknownNameError, match=r"unknown table 'model'\. Did you mean 'models'"):
        cards.table_for("model")
    with pytest.raises(UnknownNameError, match="unknown shipped model 'clip'"):
        cards.table_for("tasks clip")
    with pytest.raises(MissingFileError, match="ripe-train publish"):
        cards.table_for("tasks clip31")
    with pytest.raises(MissingFileError, match="warm_start"):
        cards.table_for("warm_start")
    with pytest.raises(MissingFileError, match="ripe-train study"):
        cards.table_for("study toy arms")
    with pytest.raises(UnknownNameError, match="unknown study table 'test'"):
        cards.table_for("study toy test")
    with pytest.raises(InputError, match="expected 1 words after 'tasks', got 0"):
        cards.table_for("tasks")
    with pytest.raises(InputError, match="expected '<!-- end table -->'"):
        cards.fill("<!-- table: models -->\n")


def test_command_says_what_is_out_of_date(results, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cards, "fill", lambda text: text.replace("old", "new"))
    document = tmp_path / "a.md"
    document.write_text("old\n")
    assert cards.main([str(document), "--check"]) == 1
    assert document.read_text() == "old\n"
    assert cards.main([str(document)]) == 0
    assert document.read_text() == "new\n"
    assert cards.main([str(document), "--check"]) == 0
    capsys.readouterr()
    assert cards.main([str(tmp_path / "none.md")]) == 2
    assert "none.md: no such document" in capsys.readouterr().err


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_the_projects_documents_are_up_to_date(path):
    text = path.read_text(encoding="utf-8")
    assert cards.fill(text) == text, f"run: python -m training.publishing.cards {path}"


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.parent.name)
def test_model_cards_and_catalogue_hold_the_measured_numbers(path):
    metrics = pd.read_csv(path, sep="\t")
    name = f"DeepRiPe/{path.parent.name}"
    card = (path.parent / "model_card.md").read_text(encoding="utf-8")
    entries = catalogue().tasks[name]
    assert [entry.task for entry in entries] == list(metrics["task"])
    for entry, row in zip(entries, metrics.to_dict("records"), strict=True):
        line = next(text for text in card.splitlines() if text.startswith(f"| {row['task']} |"))
        shown = re.findall(r"\d\.\d{3}|–", line)
        keys = ["auroc", "auroc_low", "auroc_high", "ap", "ap_low", "ap_high", "ece"]
        expected = ["–" if pd.isna(row[key]) else f"{row[key]:.3f}" for key in keys]
        assert [number for number in shown if number != "–"] == [number for number in expected if number != "–"], line
        for key in ("auroc", "ap", "ece"):
            value = getattr(entry, key)
            assert (value is None) == pd.isna(row[key])
            assert value is None or value == pytest.approx(row[key], abs=6e-5)
    means = re.search(r"Mean AUROC (\d\.\d{3}).*?mean average precision (\d\.\d{3})", card, re.DOTALL)
    assert means is not None
    for shown, key in zip(means.groups(), ("auroc", "ap"), strict=True):
        assert float(shown) == pytest.approx(metrics[key].mean(), abs=5.1e-4)
        assert getattr(catalogue().models[name], key) == pytest.approx(metrics[key].mean(), abs=6e-5)
