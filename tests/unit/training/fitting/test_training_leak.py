"""The leak measurement finds a planted leak and none where there is none; the shipped models pass."""

import numpy as np
import pytest

from ripe_lib.errors import InputError
from ripe_lib.evaluation.dataset import Dataset
from tests.support.toy_datasets import write_toy_dataset
from tests.support.toy_models import random_model
from training.data.config import read_config
from training.data.prepare import prepare
from training.fitting.leak import source_leak


@pytest.fixture
def dataset(tmp_path, rng):
    path = write_toy_dataset(tmp_path / "toy.h5", rng, n=200, sources=("clip31", "rbp24"))
    dataset = Dataset(path)
    dataset.source_has_task = np.array([[True, False], [True, True]])
    return dataset


def flank_reader(dataset, *, bias):
    """Task 1 falls by ``bias`` logits where the window's first bases are known; task 0 is constant."""
    sizes = {"filters": 4, "kernel": 3, "left_pool": (2, 2), "merged_filters": 4, "merged_kernel": 2}
    model = random_model(tasks=tuple(dataset.tasks), sizes={**sizes, "merged_pool": (2, 2), "hidden": 4})
    network = model.keras_model
    for layer in network.layers:
        if layer.weights:
            layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])

    def put(name, place, value):
        kernel, bias_of_layer = network.get_layer(name).get_weights()
        kernel[place] = value
        network.get_layer(name).set_weights([kernel, bias_of_layer])

    # Only a known base gives A - C + G - T, or its negative, more than 0.
    put("left_conv1", (0, slice(None), 0), [1, -1, 1, -1])
    put("left_conv1", (0, slice(None), 1), [-1, 1, -1, 1])
    put("conv_merged", (0, slice(2), 0), 1)
    put("hidden1", (0, 0), 1)  # the first position
    put("output", (0, 1), -bias)
    return model


def test_a_planted_leak_is_found(dataset, rng):
    table = source_leak(flank_reader(dataset, bias=3.0), dataset, split="train", rng=rng)
    assert set(table["source"]) == {"clip31"}
    assert set(table["task"]) == {dataset.tasks[1]}
    assert table["delta"].item() > 0.4
    honest = source_leak(flank_reader(dataset, bias=0.0), dataset, split="train", rng=rng)
    assert honest["delta"].abs().max() < 1e-6


def test_nothing_to_measure_is_said(dataset, rng):
    dataset.source_has_task[:] = True
    with pytest.raises(InputError, match="every source has every task"):
        source_leak(flank_reader(dataset, bias=0.0), dataset, rng=rng)


@pytest.mark.slow
def test_the_shipped_model_does_not_take_a_source_for_a_protein(shared_data, tmp_path, monkeypatch, rng):
    """Taking the flanks of rbp24's sites away does not raise the tasks that only clip31 has."""
    from dataclasses import replace
    from pathlib import Path

    import ripe_lib

    monkeypatch.setenv("RIPE_DATA", str(shared_data))
    config = read_config(Path(__file__).resolve().parents[4] / "training" / "configs" / "paper" / "clip31.yaml")
    dataset = Dataset(prepare(replace(config, output=tmp_path / "d.h5")))
    table = source_leak(ripe_lib.load_model("DeepRiPe/clip31"), dataset, rng=rng)
    assert len(table) == 25
    assert table["delta"].mean() < 0.02, table.to_string()
