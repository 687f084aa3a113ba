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
from training.publishing.shipped_checks import mean_accuracy, shipped_checks, write_checks

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
    # The twin has the tasks in another order and one more.
    twin = random_model(
        tasks=("OTHER", *reversed(dataset.tasks)), sizes={"filters": 4, "hidden": 4}, inputs="sequence", region_length=0
    )
    table = shipped_checks(model, twin, dataset).set_index(["sites", "network", "input"])
    rows = dataset.indices("test")
    seq, region = dataset.centred_codes(rows)
    labels = dataset.labels[rows]
    withheld = mean_accuracy(labels, predict_codes(model, seq, np.full_like(region, UNKNOWN)))
    assert table.loc[("all", "shipped", "sequence"), "auroc"] == pytest.approx(withheld["auroc"])
    plain = mean_accuracy(labels, predict_codes(model, seq, region))
    assert table.loc[("all", "shipped", "sequence and region types"), "ap"] == pytest.approx(plain["ap"])
    own = mean_accuracy(labels, predict_codes(twin, seq)[:, :0:-1])
    assert table.loc[("all", "twin without region input", "sequence"), "auroc"] == pytest.approx(own["auroc"])
    known, cut = (
        table.loc[("with real flanks", "shipped", f"{bases} known bases"), "auroc"] for bases in ("150", "101")
    )
    assert known != cut  # the toy data set has bases everywhere


def test_each_source_is_measured_by_itself(tmp_path, rng):
    dataset = Dataset(write_toy_dataset(tmp_path / "two.h5", rng, n=300, margin=30, sources=("clip31", "rbp24")))
    model = random_model(tasks=tuple(dataset.tasks), sizes=SIZES)
    twin = random_model(tasks=model.tasks, sizes={"filters": 4, "hidden": 4}, inputs="sequence", region_length=0)
    table = shipped_checks(model, twin, dataset).set_index("sites")
    rows = dataset.indices("test")
    for source, name in enumerate(("clip31", "rbp24")):
        own = rows[dataset.source_index[rows] == source]
        expected = mean_accuracy(dataset.labels[own], predict_codes(model, *dataset.centred_codes(own)))
        assert table.loc[f"of {name}", "auroc"] == pytest.approx(expected["auroc"])


def test_the_file_is_written_whole(tmp_path):
    path = tmp_path / "results" / "checks.csv"
    write_checks(pd.DataFrame({"sites": ["all"], "auroc": [0.5]}), path)
    assert path.read_text() == "sites,auroc\nall,0.500000\n"
