"""A new protein from a few sites: the rows are what a lab would have, and a network of its relative helps."""

import numpy as np
import pandas as pd
import pytest
import yaml

from ripe_lib.errors import UnknownNameError
from ripe_lib.evaluation.dataset import Dataset
from tests.support.toy_datasets import TINY_SIZES, write_toy_dataset
from training.cli.main import main
from training.study.warm_start import few_sites, means, warm_start

TASKS = ("A", "B", "PUM_TOY")  # A and B: the same word at two places


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("warm") / "toy.h5"
    return write_toy_dataset(path, np.random.default_rng(2), n=1500, tasks=TASKS)


def config(folder, data, **changes):
    sizes = {k: list(v) if isinstance(v, tuple) else v for k, v in TINY_SIZES.items()}
    fit = {"name": "DeepRiPe/w", "run": "unused", "data": str(data), "sizes": sizes, "seed": 3, "batch_size": 32}
    content = {
        "fit": {**fit, "epochs": 15, "learning_rate": 0.005},
        "warm_start": {
            "directory": str(folder / "out"),
            "data": str(data),
            "sites": [60],
            "groups": [{"B": []}],
            "warm_fit": {"epochs": 10, "best_by": "val_auroc"},
            "nothing_fit": {"epochs": 10, "best_by": "val_auroc"},
            **changes,
        },
    }
    path = folder / "warm.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_rows_of_a_lab_with_few_sites(data):
    dataset = Dataset(data)
    rows, split = few_sites(dataset, "B", 40, 2.0, seed=1)
    label = dataset.labels[rows, 1]
    assert (np.diff(rows) > 0).all()
    own = split != 2
    assert ((label == 1) & own).sum() == 40
    assert ((label == 0) & own).sum() == 80
    np.testing.assert_array_equal(rows[~own], np.flatnonzero(dataset.split == 2))
    assert (dataset.split[rows[own]] != 2).all()
    assert not set(dataset.cluster[rows[split == 1]]) & set(dataset.cluster[rows[split == 0]])
    assert 0.1 < (split[own] == 1).mean() < 0.3
    again, _ = few_sites(dataset, "B", 40, 2.0, seed=1)
    np.testing.assert_array_equal(rows, again)
    everything, split = few_sites(dataset, "B", 10**6, 100.0, seed=1)
    np.testing.assert_array_equal(everything, np.arange(len(dataset)))


@pytest.mark.slow
def test_the_weights_of_a_relative_help_and_nothing_is_trained_twice(data, tmp_path):
    lines = []
    table = warm_start(config(tmp_path, data), note=lines.append)
    assert lines[0] == "group 1: 2 experiments, without B"
    assert list(table["method"]) == ["warm", "nothing", "kmers"]
    found = table.set_index("method")
    assert set(table["n_sites"]) == {60}
    test = Dataset(data).labels[Dataset(data).indices("test"), 1]
    assert set(table["n_pos"]) == {(test == 1).sum()}
    assert found.loc["warm", "auroc"] > found.loc["nothing", "auroc"] + 0.05
    assert found["ap"].between(0, 1).all()
    written = pd.read_csv(tmp_path / "out" / "warm_start.csv")
    pd.testing.assert_frame_equal(written, table, check_dtype=False, atol=1e-6)
    assert means(table).loc[60, ("auroc", "warm")] == pytest.approx(found.loc["warm", "auroc"])
    lines.clear()
    pd.testing.assert_frame_equal(warm_start(config(tmp_path, data), note=lines.append), table)
    assert sum("finished already" in line for line in lines) == 3


def test_unknown_experiments(data, tmp_path):
    with pytest.raises(UnknownNameError, match="unknown task 'C'"):
        warm_start(config(tmp_path, data, groups=[{"B": ["C"]}]))


def test_fit_from_is_the_configs_start(data, tmp_path, capsys):
    path = config(tmp_path, data)
    fit = ["fit", str(path), "--data", str(data), "--epochs", "1", "--quiet"]
    assert main([*fit, "--run", str(tmp_path / "first")]) == 0
    assert main([*fit, "--run", str(tmp_path / "second"), "--from", str(tmp_path / "first" / "weights.h5")]) == 0
    written = yaml.safe_load((tmp_path / "second" / "config.yaml").read_text())
    assert written["start"] == str(tmp_path / "first" / "weights.h5")
    assert main([*fit, "--run", str(tmp_path / "third"), "--from", str(tmp_path / "none.h5")]) == 2
    assert "none.h5: no such weights file. Train it first." in capsys.readouterr().err
