"""The checks of the shipped network measure what they say, against sklearn and models that cannot tell views apart."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.metrics import task_metrics
from ripe_lib.genome.encoding import UNKNOWN
from ripe_lib.network.predict import predict_codes
from tests.support.toy_datasets import write_toy_dataset
from tests.support.toy_models import random_model
from tests.support.variant_files import write_model
from training.fitting.baseline import kmer_features
from training.publishing import checks as module
from training.publishing.checks import BASELINE, checks, main, summary

SIZES = {"filters": 4, "merged_filters": 4, "hidden": 4}


@pytest.fixture
def dataset(tmp_path, rng):
    return Dataset(write_toy_dataset(tmp_path / "toy.h5", rng, n=300))


def test_summary_counts_the_tasks_above_the_baseline():
    views = {"everything": (0.9, 0.7, np.nan), BASELINE: (0.8, 0.75, np.nan)}
    rows = [
        (name, task, value, value / 2)
        for name, values in views.items()
        for task, value in zip("ABC", values, strict=True)
    ]
    found = summary(pd.DataFrame(rows, columns=["input", "task", "auroc", "ap"])).set_index("input")
    assert found.loc["everything"].tolist() == [2, pytest.approx(0.8), pytest.approx(0.4), 1, 1]
    assert found.loc[BASELINE].tolist() == [2, pytest.approx(0.775), pytest.approx(0.3875), 0, 0]


def test_views_are_what_their_names_say(dataset):
    """Against sklearn, on codes made here."""
    model = random_model(tasks=tuple(dataset.tasks), sizes=SIZES)
    table = checks(model, dataset).set_index(["input", "task"])
    rows = dataset.indices("test")
    seq, region = dataset.centred_codes(rows)
    bare = np.full_like(region, UNKNOWN)
    for view, codes in (("everything", region), ("sequence alone", bare)):
        scores = predict_codes(model, seq, codes)
        for column, task in enumerate(dataset.tasks):
            known = dataset.labels[rows, column] >= 0
            bound, score = dataset.labels[rows, column][known], scores[known, column]
            assert table.loc[(view, task), "auroc"] == pytest.approx(roc_auc_score(bound, score))
            assert table.loc[(view, task), "ap"] == pytest.approx(average_precision_score(bound, score))
    auroc = table["auroc"].unstack("input")
    assert (auroc["everything"] != auroc["101 known bases"]).any()
    assert "no landmarks" not in auroc


def test_the_baseline_finds_planted_words(dataset):
    """The toy tasks are one word each: a regression on k-mers is far above chance."""
    table = summary(checks(random_model(tasks=tuple(dataset.tasks), sizes=SIZES), dataset)).set_index("input")
    assert table.loc[BASELINE, "auroc"] > 0.75
    assert table.loc[BASELINE, "tasks"] == 2


def test_kmers_are_counted_as_by_hand():
    seq = np.array([[0, 1, 0, 4, 0, 1]], dtype=np.uint8)  # A C A N A C
    features = kmer_features(seq, np.array([[0, 0, 4, 1]], dtype=np.uint8))[0]
    assert features[:4].tolist() == [3, 2, 0, 0]
    assert {divmod(int(w), 4): int(n) for w, n in enumerate(features[4:20]) if n} == {(0, 1): 2, (1, 0): 1}
    assert np.flatnonzero(features[20:-5]).tolist() == [4]  # ACA
    assert features[-5:].tolist() == [0.5, 0.25, 0, 0, 0.25]


def test_sources_and_bound_rows_are_chosen(tmp_path, rng):
    dataset = Dataset(write_toy_dataset(tmp_path / "two.h5", rng, n=300, margin=30, sources=("clip31", "rbp24")))
    model = random_model(tasks=tuple(dataset.tasks), sizes=SIZES)
    rows = dataset.indices("test")
    rows = rows[dataset.source_index[rows] == 1]
    rows = rows[(dataset.labels[rows] == 1).any(axis=1)]
    expected = task_metrics(dataset.labels[rows], predict_codes(model, *dataset.centred_codes(rows)))
    table = checks(model, dataset, sources=["rbp24"], bound_only=True)
    assert table.loc[table["input"] == "everything", "auroc"].tolist() == pytest.approx(expected["auroc"].tolist())


def test_the_command_writes_the_file_of_the_model(dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    model = random_model(tasks=tuple(dataset.tasks), sizes=SIZES)
    assert main([str(write_model(model, tmp_path / "toy")), str(dataset.path)]) == 0
    path = tmp_path / "results" / f"checks_{model.name.removeprefix('DeepRiPe/')}.csv"
    assert capsys.readouterr().out == f"written: {path}\n"
    pd.testing.assert_frame_equal(pd.read_csv(path), checks(model, dataset), atol=1e-6)
    assert main([str(tmp_path / "toy"), str(tmp_path / "none.h5")]) == 2
    assert re.fullmatch(r"checks: error: .*none\.h5: [^\n]+\n", capsys.readouterr().err)
