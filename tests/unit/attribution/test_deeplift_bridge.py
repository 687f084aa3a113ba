"""DeepLIFT through the package: names, weights and sums, and that the rest of the process notices nothing."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("deeplift")

from ripe_lib.attribution import deeplift_bridge
from ripe_lib.attribution.compute import deeplift, integrated_gradients
from ripe_lib.attribution.deeplift_bridge import converted, functional_config
from ripe_lib.attribution.inputs import network_inputs
from ripe_lib.errors import InputError, MissingPackageError, UnknownNameError
from tests.support.explaining import random_sites
from tests.support.numpy_network import numpy_logits
from tests.support.toy_models import random_model

SMALL = {"filters": 8, "merged_filters": 8, "hidden": 12}


@pytest.fixture(scope="module")
def model():
    return random_model(sizes=SMALL)


@pytest.fixture
def sites(rng):
    return random_sites(rng, 4)


def test_names_and_weights_of_the_converted_network(model):
    deeplift(model, {"seq": np.full((1, 150, 4), 0.25)}, task="QKI_PARCLIP")
    layers = converted(model).network.get_name_to_layer()
    for layer in model.keras_model.layers:
        assert f"{layer.name}_0" in layers
        if not layer.weights:
            continue
        kernel, bias = layer.get_weights()
        layer_there = layers[f"preact_{layer.name}_0"]
        found = np.asarray(layer_there.kernel)
        np.testing.assert_array_equal(found.reshape(kernel.shape) if found.shape != kernel.shape else found, kernel)
        np.testing.assert_array_equal(np.asarray(layer_there.bias), bias)


def test_config_is_in_the_words_of_keras_2(model):
    config = functional_config(model)
    assert config["input_layers"] == [["left_input", 0, 0], ["right_input", 0, 0]]
    assert config["output_layers"] == [["output", 0, 0]]
    by_name = {layer["name"]: layer for layer in config["layers"]}
    assert by_name["merge"]["inbound_nodes"] == [[["left_drop1", 0, 0, {}], ["right_drop1", 0, 0, {}]]]
    assert by_name["left_conv1"]["inbound_nodes"] == [["left_input", 0, 0, {}]]
    assert by_name["left_input"]["config"]["batch_input_shape"] == (None, 150, 4)


def test_contributions_add_up_without_the_region_branch(rng):
    model = random_model(inputs="sequence", sizes=SMALL)
    sites = {"seq": random_sites(rng, 4)["seq"]}
    maps = deeplift(model, sites, task=["PUM2_PARCLIP", "QKI_PARCLIP"])
    change = numpy_logits(model, sites["seq"]) - numpy_logits(model, np.zeros((1, 150, 4)))
    np.testing.assert_allclose(maps.seq.sum(axis=(2, 3)), change[:, [1, 0]], atol=1e-4)
    np.testing.assert_allclose(maps.gap, 0, atol=1e-4)
    assert maps.region is None


def test_contributions_of_both_inputs_nearly_add_up(model, sites):
    maps = deeplift(model, sites, task="ELAVL1_PARCLIP")
    base = numpy_logits(model, np.zeros((1, 150, 4)), np.full((1, 250, 4), 0.25))
    change = (numpy_logits(model, sites["seq"], sites["region"]) - base)[:, 2]
    total = maps.seq.sum(axis=(1, 2)) + maps.region.sum(axis=(1, 2))
    np.testing.assert_allclose(maps.gap, total - change, atol=1e-4)
    assert np.abs(maps.gap).mean() < 0.25 * np.abs(maps.seq).sum(axis=(1, 2)).mean()
    gradients = integrated_gradients(model, sites, task="ELAVL1_PARCLIP", output="logit")
    assert np.corrcoef(gradients.seq.ravel(), maps.seq.ravel())[0, 1] > 0.6


def test_batches_and_baselines(model, sites, monkeypatch):
    whole, inputs = deeplift(model, sites, task="QKI_PARCLIP"), network_inputs(model, sites)
    monkeypatch.setattr(deeplift_bridge, "_BATCH_SIZE", 3)
    parts = deeplift(model, sites, task="QKI_PARCLIP")
    np.testing.assert_allclose(parts.seq, whole.seq, atol=1e-6)
    np.testing.assert_allclose(parts.region, whole.region, atol=1e-6)
    own = deeplift(model, sites, task="QKI_PARCLIP", baseline=inputs._asdict())
    assert not own.seq.any()
    assert not own.region.any()
    unknown = deeplift(model, {"seq": sites["seq"]}, task="QKI_PARCLIP")
    assert not unknown.region.any()


def test_errors(model, sites, monkeypatch):
    with pytest.raises(UnknownNameError, match="unknown task 'QKI'"):
        deeplift(model, sites, task="QKI")
    gru = random_model(architecture="gru", sizes={"filters": 4, "gru_units": 3, "hidden": 4})
    with pytest.raises(InputError, match=r"DeepLIFT has no rule for layer 'gru' \(Bidirectional\)"):
        deeplift(gru, sites, task="QKI_PARCLIP")
    monkeypatch.setattr(deeplift_bridge, "_PRIVATE", {})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install deeplift"):
        deeplift(random_model(sizes=SMALL), sites, task="QKI_PARCLIP")


def test_the_process_stays_as_it_was():
    """In a process of its own: module table, eager mode, default graph, stdout."""
    script = """
import sys
import numpy as np, tensorflow as tf
import deeplift.util as theirs                     # as kipoi-interpret imports it
before = {k: v for k, v in sys.modules.items() if k == "tensorflow" or k.startswith("deeplift")}
from ripe_lib.attribution.compute import deeplift
from ripe_lib.network.predict import predict
from tests.support.toy_models import random_model
model = random_model(sizes={"filters": 4, "merged_filters": 4, "hidden": 4})
seq = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, (2, 150))]
probability = predict(model, seq)
deeplift(model, seq, task="QKI_PARCLIP")
after = {k: v for k, v in sys.modules.items() if k == "tensorflow" or k.startswith("deeplift")}
assert before.keys() == after.keys() and all(before[k] is after[k] for k in before), set(after) ^ set(before)
assert tf.executing_eagerly() and theirs._SESS is None
assert np.array_equal(predict(model, seq), probability)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == ""
