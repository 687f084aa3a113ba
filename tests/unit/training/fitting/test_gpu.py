"""The fast way of a GPU: bfloat16 inside, float32 outside, a step that XLA compiles; nothing of it without one."""

import numpy as np
import pytest

from tests.support.toy_datasets import TINY_SIZES, write_toy_dataset
from tests.support.toy_models import random_model
from training.fitting import loop
from training.fitting.config import FitConfig, spec_of
from training.fitting.rows import training_data


@pytest.fixture
def data(tmp_path, rng):
    return write_toy_dataset(tmp_path / "toy.h5", rng, n=120)


def trainer(data, folder, **options):
    from ripe_lib.evaluation.dataset import Dataset

    config = FitConfig(name="x", data=data, run=folder, sizes=TINY_SIZES, epochs=1, batch_size=32, **options)
    dataset = Dataset(data)
    return loop.Trainer(config, spec_of(config, dataset), training_data(config, dataset))


def test_only_the_inside_is_in_lower_precision(rng):
    network = random_model(sizes=TINY_SIZES).keras_model
    inputs = [rng.random((8, *tensor.shape[1:])).astype(np.float32) for tensor in network.inputs]
    before = np.asarray(network(inputs, training=False))
    loop.lower_precision(network)
    after = network(inputs, training=False)
    assert after.dtype == "float32"
    assert 0 < np.abs(np.asarray(after) - before).max() < 0.02
    kinds = {layer.name: layer.compute_dtype for layer in network.layers if layer.weights}
    assert kinds.pop("output") == "float32"
    assert set(kinds.values()) == {"bfloat16"}
    assert {str(variable.dtype) for variable in network.weights} == {"float32"}


@pytest.fixture
def any_kernels():
    """Other tests ask for deterministic kernels, which XLA does not have, and TensorFlow keeps that for the process."""
    from tensorflow.python.framework import config

    before = config.is_op_determinism_enabled()
    config.disable_op_determinism()
    yield
    if before:
        config.enable_op_determinism()


@pytest.mark.slow
def test_a_step_in_lower_precision_that_xla_compiles(data, tmp_path, monkeypatch, any_kernels):
    monkeypatch.setattr(loop, "has_gpu", lambda: True)
    fast = trainer(data, tmp_path / "run", fast_gpu=True, deterministic=False)
    assert fast.model.jit_compile
    assert fast.network.get_layer("hidden1").compute_dtype == "bfloat16"
    row = fast.run_epoch(1, quiet=True)
    assert 0 < row["loss"] < 2
    plain = trainer(data, tmp_path / "run")
    assert plain.run_epoch(1, quiet=True)["loss"] == pytest.approx(row["loss"], rel=0.05)


def test_without_a_gpu_nothing_changes(data, tmp_path):
    if loop.has_gpu():
        pytest.skip("there is a GPU here")
    asked = trainer(data, tmp_path / "run", fast_gpu=True)
    assert not asked.model.jit_compile
    assert {layer.compute_dtype for layer in asked.network.layers} == {"float32"}
