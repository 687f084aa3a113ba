"""The Kipoi model class: inputs, outputs, layers, gradients; two models in one process."""

import shutil

import numpy as np
import pytest

import ripe_lib
from ripe_lib.errors import InputError, RipeError, ShapeMismatchError, UnknownNameError, WeightsError
from ripe_lib.genome.landmarks import encode_landmarks
from ripe_lib.kipoi.render import render_model
from ripe_lib.network.catalogue.locate import user_models_directory
from ripe_lib.network.inputs import LandmarkWarning
from ripe_lib.network.weights import arrays_of, write_weights
from tests.support.kipoi_home import ROOT, example_arguments, registered_kipoi
from tests.support.toy_models import random_model

pytestmark = pytest.mark.kipoi
MID = "DeepRiPe/parclip_mid"


def published(directory, **options):
    """Write a model directory with a toy network."""
    model = random_model(**options)
    directory.mkdir(parents=True)
    write_weights(directory / "weights.h5", model.spec, arrays_of(model.keras_model))
    render_model(directory)
    return model


@pytest.fixture(scope="module")
def kipoi():
    return registered_kipoi()


@pytest.fixture(scope="module")
def model(kipoi):
    return kipoi.get_model(MID, source="deepripe")


@pytest.fixture(scope="module")
def batch(model):
    return next(model.default_dataloader(**example_arguments()).batch_iter(batch_size=12))


@pytest.fixture(scope="module")
def inputs(batch):
    return batch["inputs"]


# --- predictions ---------------------------------------------------------------------------------------------------


def test_three_doors_one_room(kipoi, model):
    from_kipoi = model.pipeline.predict(example_arguments(), batch_size=13)
    loaded = ripe_lib.load_model(MID)
    arguments = example_arguments()
    windows = ripe_lib.make_windows(
        arguments["intervals_file"],
        fasta_file=arguments["fasta_file"],
        gtf_file=arguments["gtf_file"],
        spec=loaded.spec,
    )
    np.testing.assert_allclose(from_kipoi, ripe_lib.predict(loaded, windows), rtol=0, atol=1e-6)
    assert from_kipoi.shape == (39, len(loaded.tasks))
    assert from_kipoi.dtype == np.float32


def test_every_kind_of_input(model, inputs):
    expected = model.predict_on_batch(inputs)
    as_list = [inputs[name] for name in ("seq", "region", "landmarks")]
    np.testing.assert_array_equal(model.predict_on_batch(as_list), expected)
    unknown = {"region": np.full_like(inputs["region"], 0.25), "landmarks": np.full_like(inputs["landmarks"], 1 / 16)}
    no_landmarks = model.predict_on_batch({**inputs, "landmarks": unknown["landmarks"]})
    assert not np.allclose(no_landmarks, expected)
    with pytest.warns(LandmarkWarning, match="count as unknown"):
        np.testing.assert_array_equal(model.predict_on_batch(as_list[:2]), no_landmarks)
    without = model.predict_on_batch({"seq": inputs["seq"], **unknown})
    assert not np.allclose(without, no_landmarks)
    np.testing.assert_array_equal(model.predict_on_batch(inputs["seq"]), without)
    np.testing.assert_array_equal(model.predict_on_batch({"seq": inputs["seq"]}), without)
    np.testing.assert_array_equal(model.predict_on_batch([inputs["seq"]]), without)


def test_named_outputs(model, inputs, monkeypatch):
    import dataloaders

    array = model.predict_on_batch(inputs)
    weights = str(ROOT / "kipoi_models" / MID / "weights.h5")
    named = dataloaders.DeepRipeModel(weights, named_outputs=True).predict_on_batch(inputs)
    assert list(named) == model.tasks == list(model.schema.targets.column_labels)
    for column, task in enumerate(model.tasks):
        np.testing.assert_array_equal(named[task], array[:, column])
    monkeypatch.setenv("RIPE_NAMED_OUTPUTS", "1")
    assert dataloaders.DeepRipeModel(weights).named_outputs
    assert not dataloaders.DeepRipeModel(weights, named_outputs=False).named_outputs


def test_empty_batch_and_wrong_shapes(model, inputs):
    assert model.predict_on_batch({name: array[:0] for name, array in inputs.items()}).shape == (0, len(model.tasks))
    with pytest.raises(ShapeMismatchError, match=r"expected shape \(B, 150, 4\), got \(12, 149, 4\)"):
        model.predict_on_batch(inputs["seq"][:, :-1])


def test_damaged_weights_are_one_clear_line(kipoi, tmp_path):
    published(tmp_path / "zoo" / "toy")
    weights = tmp_path / "zoo" / "toy" / "weights.h5"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged") as caught:
        kipoi.get_model(str(tmp_path / "zoo" / "toy"), source="dir")
    assert "\n" not in str(caught.value)


def test_two_models_in_one_process_stay_apart(kipoi, model, tmp_path):
    wide = published(tmp_path / "wide", tasks=("A", "B"), seed=1, sequence_length=200, region_length=300)
    bare = published(tmp_path / "bare", tasks=("C",), seed=2, inputs="sequence")
    before = model.pipeline.predict(example_arguments())
    loaded = {name: kipoi.get_model(str(tmp_path / name), source="dir") for name in ("wide", "bare")}
    for name, toy in (("wide", wide), ("bare", bare)):
        arguments = example_arguments()
        windows = ripe_lib.make_windows(
            arguments["intervals_file"],
            fasta_file=arguments["fasta_file"],
            gtf_file=arguments["gtf_file"],
            spec=toy.spec,
        )
        found = loaded[name].pipeline.predict(arguments)
        np.testing.assert_allclose(found, ripe_lib.predict(toy, windows), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(model.pipeline.predict(example_arguments()), before)
    assert loaded["wide"].default_dataloader.source_dir != model.default_dataloader.source_dir
    assert [len(one.tasks) for one in (loaded["wide"], loaded["bare"], model)] == [2, 1, 21]
    assert loaded["bare"].pipeline.predict_example().shape == (39, 1)


def test_users_own_models_have_a_source_too(kipoi):
    folder = user_models_directory() / "DeepRiPe" / "of_a_user"
    try:
        toy = published(folder)
        loaded = kipoi.get_model("DeepRiPe/of_a_user", source="deepripe-user")
        found = loaded.pipeline.predict(example_arguments(gtf=False))
        batch = next(loaded.default_dataloader(**example_arguments(gtf=False)).batch_iter(batch_size=100))
        np.testing.assert_allclose(found, ripe_lib.predict(toy, batch["inputs"]), rtol=0, atol=1e-6)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # other tests list the models


# --- layers --------------------------------------------------------------------------------------------------------


def test_activations_of_every_layer(model, inputs):
    for layer in model.model.layers:
        found = model.predict_activation_on_batch(inputs, layer=layer.name)
        assert found.shape == (12, *layer.output.shape[1:]), layer.name
    np.testing.assert_array_equal(model.predict_activation_on_batch(inputs, "left_input"), inputs["seq"])
    np.testing.assert_allclose(
        model.predict_activation_on_batch(inputs, "output"), model.predict_on_batch(inputs), rtol=0, atol=1e-6
    )
    by_index = model.predict_activation_on_batch(inputs, len(model.model.layers) - 1)
    np.testing.assert_array_equal(by_index, model.predict_activation_on_batch(inputs, "output"))


@pytest.mark.parametrize("layer", ["left_conv1", "left_conv2", "right_conv1", "hidden1"])
def test_before_the_nonlinearity(model, inputs, layer):
    before = model.predict_activation_on_batch(inputs, layer, pre_nonlinearity=True)
    assert before.min() < 0
    np.testing.assert_allclose(np.maximum(before, 0), model.predict_activation_on_batch(inputs, layer), atol=1e-5)


def test_logits_are_before_the_sigmoid(model, inputs):
    logits = model.predict_activation_on_batch(inputs, "output", pre_nonlinearity=True)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), model.predict_on_batch(inputs), atol=1e-6)


def test_unknown_layer_is_answered_with_its_neighbours(model, inputs):
    with pytest.raises(UnknownNameError, match="hidden1"):
        model.predict_activation_on_batch(inputs, "hiden1")
    with pytest.raises(InputError, match="layer: expected an index below"):
        model.predict_activation_on_batch(inputs, 99)


# --- gradients -----------------------------------------------------------------------------------------------------


def test_gradients_equal_finite_differences(model, rng):
    # Random numbers, not one-hot: equal columns tie in the max pooling, where there is no gradient to compare with.
    point = {
        "seq": rng.random((1, 150, 4), dtype=np.float32),
        "region": rng.random((1, 250, 4), dtype=np.float32),
        "landmarks": encode_landmarks(rng.integers(-3000, 3000, (1, 8))),
    }
    gradients = model.input_grad(point, filter_idx=3, pre_nonlinearity=True)
    step = 2e-3  # the logit is about -14: smaller steps drown in float32
    for name, array in point.items():
        places = np.argsort(-np.abs(gradients[name]).ravel())[:50]
        moved = np.repeat(array, 100, axis=0).reshape(100, -1)
        moved[np.arange(50), places] += step
        moved[np.arange(50, 100), places] -= step
        others = {key: np.repeat(value, 100, axis=0) for key, value in point.items() if key != name}
        logits = model.predict_activation_on_batch(
            {name: moved.reshape(100, *array.shape[1:]), **others}, "output", pre_nonlinearity=True
        )[:, 3]
        differences = (logits[:50] - logits[50:]) / (2 * step)
        expected = gradients[name].ravel()[places]
        # A step across the kink of a ReLU or past another maximum may differ.
        assert np.mean(np.abs(differences - expected) < 0.02 * np.abs(expected).max()) > 0.8, name


def test_gradient_containers_and_selections(model, inputs):
    task = model.tasks[2]
    as_dict = model.input_grad(inputs, filter_idx=2)
    assert set(as_dict) == {"seq", "region", "landmarks"}
    for filter_idx in (task, np.int64(2), [2], slice(2, 3)):
        np.testing.assert_allclose(model.input_grad(inputs, filter_idx=filter_idx)["seq"], as_dict["seq"], atol=1e-7)
    names = ("seq", "region", "landmarks")
    for found, name in zip(model.input_grad([inputs[name] for name in names], filter_idx=2), names, strict=True):
        np.testing.assert_array_equal(found, as_dict[name])
    bare = model.input_grad(inputs["seq"], filter_idx=2)
    assert bare.shape == inputs["seq"].shape
    everything = model.input_grad(inputs)
    halves = (
        model.input_grad(inputs, filter_idx=slice(0, 2))["seq"]
        + model.input_grad(inputs, filter_idx=slice(2, None))["seq"]
    )
    np.testing.assert_allclose(everything["seq"], halves, atol=1e-6)


def test_gradients_of_a_window_do_not_depend_on_the_batch(model, inputs):
    for avg_func in ("sum", "min", "absmax"):
        together = model.input_grad(inputs, avg_func=avg_func, layer="hidden1", final_layer=False)
        alone = model.input_grad(
            {k: v[4:5] for k, v in inputs.items()}, avg_func=avg_func, layer="hidden1", final_layer=False
        )
        np.testing.assert_allclose(together["seq"][4:5], alone["seq"], atol=1e-5)


def test_the_largest_output_is_the_one_whose_gradient_max_gives(model, inputs):
    largest = model.predict_on_batch(inputs).argmax(axis=1)
    found = model.input_grad(inputs, avg_func="max")["seq"]
    for row, task in enumerate(largest):
        np.testing.assert_allclose(found[row], model.input_grad(inputs, filter_idx=int(task))["seq"][row], atol=1e-6)


def test_wrong_gradient_requests(model, inputs):
    for options, message in [
        ({"filter_idx": "NOBODY"}, "unknown task"),
        ({"avg_func": "mean"}, "unknown avg_func"),
        ({"final_layer": False}, "layer name"),
        ({"selected_fwd_node": 1}, "one node"),
        ({"final_layer": False, "layer": "hidden1", "filter_idx": "QKI"}, "final layer"),
    ]:
        with pytest.raises(RipeError, match=message):
            model.input_grad(inputs, **options)


def test_pipeline_gradients(model):
    found = model.pipeline.input_grad(example_arguments(), batch_size=20, filter_idx=0)
    assert found["grads"]["seq"].shape == (39, 150, 4)
