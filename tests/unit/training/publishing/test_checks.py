"""The checks of the shipped network measure what they say, against sklearn and models that cannot tell views apart."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.genome.encoding import UNKNOWN
from ripe_lib.network.predict import predict_codes
from tests.support.toy_datasets import write_toy_dataset
from tests.support.toy_models import random_model
from training.fitting.baseline import kmer_features
from training.publishing.checks import BASELINE, checks, mean_accuracy, write_checks

SIZES = {"filters": 4, "merged_filters": 4, "hidden": 4}


@pytest.fixture
def dataset(tmp_path, rng):
    return Dataset(write_toy_dataset(tmp_path / "toy.h5", rng, n=300))


def test_mean_accuracy_is_sklearns_over_defined_tasks(rng):
    labels = rng.integers(-1, 2, (200, 3)).astype(np.int8)
    labels[:, 2] = 1  # no negative: left out
    scores = rng.random((200, 3)).astype(np.float32)
    found = mean_accuracy(labels, scores)
    known = [labels[:, i] >= 0 for i in range(2)]
    assert found["tasks"] == 2
    assert found["auroc"] == pytest.approx(
        np.mean([roc_auc_score(labels[k, i], scores[k, i]) for i, k in enumerate(known)])
    )
    assert found["ap"] == pytest.approx(
        np.mean([average_precision_score(labels[k, i], scores[k, i]) for i, k in enumerate(known)])
    )
    assert np.isnan(mean_accuracy(labels[:, 2:], scores[:, 2:])["auroc"])


def test_views_are_what_their_names_say(dataset):
    model = random_model(tasks=tuple(dataset.tasks), sizes=SIZES)
    table = checks(model, dataset, baseline=False).set_index("input")
    rows = dataset.indices("test")
    seq, region = dataset.centred_codes(rows)
    labels = dataset.labels[rows]
    assert table.loc["everything", "ap"] == pytest.approx(
        mean_accuracy(labels, predict_codes(model, seq, region))["ap"]
    )
    bare = mean_accuracy(labels, predict_codes(model, seq, np.full_like(region, UNKNOWN)))
    assert table.loc["sequence alone", "auroc"] == pytest.approx(bare["auroc"])
    assert table.loc["everything", "auroc"] != table.loc["101 known bases", "auroc"]
    assert "no landmarks" not in table.index


def test_the_baseline_finds_planted_words(dataset):
    """The toy tasks are one word each: a regression on k-mers is far above chance."""
    table = checks(random_model(tasks=tuple(dataset.tasks), sizes=SIZES), dataset).set_index("input")
    assert table.loc[BASELINE, "auroc"] > 0.75
    assert table.loc[BASELINE, "tasks"] == 2


def test_kmers_are_counted_as_by_hand():
    seq = np.array([[0, 1, 0, 4, 0, 1]], dtype=np.uint8)  # A C A N A C
    features = kmer_features(seq, np.array([[0, 0, 4, 1]], dtype=np.uint8), longest=2)[0]
    assert features[:4].tolist() == [3, 2, 0, 0]
    assert {divmod(int(w), 4): int(n) for w, n in enumerate(features[4:20]) if n} == {(0, 1): 2, (1, 0): 1}
    assert features[20:].tolist() == [0.5, 0.25, 0, 0, 0.25]


def test_sources_and_bound_rows_are_chosen(tmp_path, rng):
    dataset = Dataset(write_toy_dataset(tmp_path / "two.h5", rng, n=300, margin=30, sources=("clip31", "rbp24")))
    model = random_model(tasks=tuple(dataset.tasks), sizes=SIZES)
    rows = dataset.indices("test")
    rows = rows[dataset.source_index[rows] == 1]
    rows = rows[(dataset.labels[rows] == 1).any(axis=1)]
    expected = mean_accuracy(dataset.labels[rows], predict_codes(model, *dataset.centred_codes(rows)))
    table = checks(model, dataset, sources=["rbp24"], bound_only=True, baseline=False).set_index("input")
    assert table.loc["everything", "auroc"] == pytest.approx(expected["auroc"])


def test_the_file_is_written_whole(tmp_path):
    path = tmp_path / "results" / "checks.csv"
    write_checks(pd.DataFrame({"sites": ["all"], "auroc": [0.5]}), path)
    assert path.read_text() == "sites,auroc\nall,0.500000\n"
