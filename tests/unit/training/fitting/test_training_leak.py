"""The leak measurement finds a planted leak and none where there is none; the shipped models pass."""

import numpy as np
import pytest

from ripe_lib.errors import InputError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.genome.encoding import UNKNOWN
from ripe_lib.network.predict import full_logits
from ripe_lib.network.weights import arrays_of, set_arrays
from tests.support.toy_datasets import write_toy_dataset
from tests.support.toy_models import random_model
from training.data.config import read_config
from training.data.prepare import prepare
from training.fitting.leak import source_leak
from training.fitting.neutral import neutral_arrays


@pytest.fixture
def dataset(tmp_path, rng):
    path = write_toy_dataset(tmp_path / "toy.h5", rng, n=200, sources=("clip31", "rbp24"))
    dataset = Dataset(path)
    dataset.source_has_task = np.array([[True, False], [True, True]])
    return dataset


def linear_model(dataset, *, region_bias):
    """Task 1 falls by ``region_bias`` logits where region types are known; task 0 is constant."""
    model = random_model(tasks=tuple(dataset.tasks), sizes={"filters": 4, "merged_filters": 4, "hidden": 4})
    network = model.keras_model
    for layer in network.layers:
        if layer.weights:
            layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    # Only an exactly known region type gives channel 0 more than 0.25 everywhere: relu(sum - 0.25) over the track.
    kernel, bias = network.get_layer("right_conv1").get_weights()
    kernel[0, :, 0] = [1, -1, 1, -1]
    kernel[0, :, 1] = [-1, 1, -1, 1]
    network.get_layer("right_conv1").set_weights([kernel, bias])
    kernel, bias = network.get_layer("conv_merged").get_weights()
    kernel[0, :2, 0] = 1
    network.get_layer("conv_merged").set_weights([kernel, bias])
    kernel, bias = network.get_layer("hidden1").get_weights()
    kernel[-4, 0] = 1  # last position, channel 0
    network.get_layer("hidden1").set_weights([kernel, bias])
    kernel, bias = network.get_layer("output").get_weights()
    kernel[0, 1] = -region_bias
    network.get_layer("output").set_weights([kernel, bias])
    return model


def test_a_planted_leak_is_found(dataset, rng):
    table = source_leak(linear_model(dataset, region_bias=3.0), dataset, split="train", rng=rng).set_index("change")
    assert set(table["source"]) == {"clip31"}
    assert set(table["task"]) == {dataset.tasks[1]}
    assert table.loc["no_region", "delta"] > 0.4
    assert table.loc["random_flanks", "delta"] == pytest.approx(0, abs=1e-6)
    honest = source_leak(linear_model(dataset, region_bias=0.0), dataset, split="train", rng=rng)
    assert honest["delta"].abs().max() < 1e-6


def test_a_planted_leak_is_taken_out(dataset, rng):
    model = linear_model(dataset, region_bias=3.0)
    before = arrays_of(model.keras_model)
    arrays, tasks = neutral_arrays(model, dataset, seed=1)
    assert tasks == [dataset.tasks[1]]
    np.testing.assert_array_equal(arrays["output"][0][:, 0], before["output"][0][:, 0])
    set_arrays(model.keras_model, arrays, "test")
    model.cache.clear()
    table = source_leak(model, dataset, split="train", rng=rng)
    assert table["delta"].abs().max() < 1e-6


def test_the_mean_logit_stays_and_no_longer_moves(dataset):
    model = random_model(tasks=tuple(dataset.tasks), sizes={"filters": 8, "merged_filters": 8, "hidden": 16})
    rows = np.flatnonzero((dataset.split == 0) & (dataset.source_index == 0))
    seq, region = dataset.centred_codes(rows)
    unknown = np.full_like(region, UNKNOWN)
    plain, moved = full_logits(model, seq, region), full_logits(model, seq, unknown)
    assert abs((moved - plain)[:, 1].mean()) > 1e-3
    set_arrays(model.keras_model, neutral_arrays(model, dataset, seed=1)[0], "test")
    model.cache.clear()
    neutral, neutral_moved = full_logits(model, seq, region), full_logits(model, seq, unknown)
    assert neutral[:, 1].mean() == pytest.approx(plain[:, 1].mean(), abs=1e-5)
    assert neutral_moved[:, 1].mean() == pytest.approx(plain[:, 1].mean(), abs=1e-5)
    np.testing.assert_allclose(neutral_moved[:, 0], moved[:, 0], atol=1e-6)


def test_every_task_known_with_region_types_is_left_alone(dataset):
    dataset.source_has_task[:] = True
    model = linear_model(dataset, region_bias=3.0)
    arrays, tasks = neutral_arrays(model, dataset, seed=1)
    assert tasks == []
    np.testing.assert_array_equal(arrays["output"][0], arrays_of(model.keras_model)["output"][0])


def test_nothing_to_measure_is_said(dataset, rng):
    dataset.source_has_task[:] = True
    with pytest.raises(InputError, match="every source has every task"):
        source_leak(linear_model(dataset, region_bias=0.0), dataset, rng=rng)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "task"), [("parclip_mid", "CAPRIN1_PARCLIP"), ("parclip_low", "RTCB_PARCLIP")])
def test_shipped_models_do_not_take_a_source_for_a_protein(name, task, shared_data, tmp_path, monkeypatch, rng):
    """Taking region types or flanks from clip31 sites, or giving them flanks, does not raise the rbp24-only tasks."""
    from dataclasses import replace
    from pathlib import Path

    import ripe_lib

    monkeypatch.setenv("RIPE_DATA", str(shared_data))
    config = read_config(Path(__file__).resolve().parents[4] / "training" / "configs" / "shipped.yaml")
    dataset = Dataset(prepare(replace(config, output=tmp_path / "d.h5")))
    table = source_leak(ripe_lib.load_model(f"DeepRiPe/{name}"), dataset, rng=rng)
    table = table[(table["source"] == "clip31") & (table["task"] == task)]
    assert len(table) == 5
    assert table["delta"].max() < 0.02, table.to_string()
