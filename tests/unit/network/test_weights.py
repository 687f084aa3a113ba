"""The weights file, and models loaded from directories."""

import json

import h5py
import numpy as np
import pytest

from ripe_lib.errors import InputError, MissingFileError, WeightsError
from ripe_lib.network.load import load_model, model_arguments, model_from_weights
from ripe_lib.network.predict import predict_codes
from ripe_lib.network.spec import ModelSpec
from ripe_lib.network.weights import FORMAT, arrays_of, read_weights, set_arrays, sha256_of, write_weights
from tests.support.toy_models import random_model


@pytest.fixture
def small():
    sizes = {"filters": 4, "merged_filters": 5, "hidden": 6}
    return random_model(tasks=("A", "B"), sequence_length=60, region_length=80, sizes=sizes)


@pytest.fixture
def weights_file(small, tmp_path):
    path = tmp_path / "weights.h5"
    write_weights(path, small.spec, arrays_of(small.keras_model))
    return path


def test_written_and_loaded_predicts_the_same(small, weights_file, rng):
    codes = rng.integers(0, 5, (4, 60)).astype(np.uint8), rng.integers(0, 5, (4, 80)).astype(np.uint8)
    loaded = model_from_weights(weights_file, sha256=sha256_of(weights_file))
    assert loaded.tasks == ["A", "B"]
    assert loaded.spec.name == small.name == "DeepRiPe/toy"
    np.testing.assert_array_equal(predict_codes(loaded, *codes), predict_codes(small, *codes))


def test_equal_weights_give_equal_bytes(small, weights_file, tmp_path):
    write_weights(tmp_path / "again.h5", small.spec, arrays_of(small.keras_model))
    assert (tmp_path / "again.h5").read_bytes() == weights_file.read_bytes()


def test_damaged_file_is_found_by_its_digest(weights_file):
    digest = sha256_of(weights_file)
    content = bytearray(weights_file.read_bytes())
    content[len(content) // 2] ^= 1
    weights_file.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights.h5: expected sha256 \w{12}..., got .* damaged or was changed"):
        read_weights(weights_file, sha256=digest)


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(MissingFileError, match="no such weights file"):
        read_weights(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(WeightsError, match="expected a complete weights file, got something unreadable"):
        read_weights(tmp_path / "text.h5")
    with h5py.File(tmp_path / "keras.h5", "w") as handle:
        handle.attrs["keras_version"] = "2.2.4"
    with pytest.raises(
        WeightsError, match=r"got None\. Published Keras files are read by: ripe-train import-published"
    ):
        read_weights(tmp_path / "keras.h5")


@pytest.mark.parametrize("damage", ["no spec", "spec is no JSON", "unknown field", "array missing"])
def test_half_a_weights_file(weights_file, damage):
    with h5py.File(weights_file, "r+") as handle:
        if damage == "no spec":
            del handle.attrs["spec"]
        elif damage == "spec is no JSON":
            handle.attrs["spec"] = "{"
        elif damage == "unknown field":
            handle.attrs["spec"] = json.dumps({"name": "x", "tasks": ["A"], "colour": "red"})
        else:
            handle["output"].move("0", "5")
        assert handle.attrs["format"] == FORMAT
    with pytest.raises(WeightsError, match=r"weights.h5: expected a complete weights file"):
        read_weights(weights_file)


def test_arrays_that_do_not_fit(small):
    arrays = arrays_of(small.keras_model)
    without = {name: values for name, values in arrays.items() if name != "hidden1"}
    with pytest.raises(WeightsError, match="layer 'hidden1' is missing"):
        set_arrays(small.keras_model, without, "file")
    with pytest.raises(WeightsError, match="unexpected layer 'extra'"):
        set_arrays(small.keras_model, {**arrays, "extra": []}, "file")
    with pytest.raises(WeightsError, match=r"file: layer 'output': expected shapes \[\(6, 2\), \(2,\)\], got"):
        set_arrays(small.keras_model, {**arrays, "output": [np.zeros((6, 3)), np.zeros(3)]}, "file")
    with pytest.raises(WeightsError, match="layer 'output' holds values that are not finite"):
        set_arrays(small.keras_model, {**arrays, "output": [np.full((6, 2), np.nan), np.zeros(2)]}, "file")


def test_load_model_from_a_directory(weights_file):
    directory = weights_file.parent
    (directory / "model.yaml").write_text(f"args:\n  weights: weights.h5\n  sha256: {sha256_of(weights_file)}\n")
    model = load_model(directory)
    assert (model.name, model.directory) == ("DeepRiPe/toy", directory)
    (directory / "model.yaml").write_text("args: {weights: weights.h5, sha256: abc}\n")
    with pytest.raises(WeightsError, match="damaged"):
        load_model(str(directory))


@pytest.mark.parametrize("text", ["", "args:\n", "args: {weights: w.h5}\n", "just text\n"])
def test_model_yaml_of_something_else(tmp_path, text):
    (tmp_path / "model.yaml").write_text(text)
    with pytest.raises(InputError, match=r"expected a DeepRiPe model.yaml with args 'weights' and 'sha256'"):
        model_arguments(tmp_path)


def test_model_yaml_that_is_no_yaml(tmp_path):
    (tmp_path / "model.yaml").write_text("args: [")
    with pytest.raises(InputError, match=r"model\.yaml:1: not YAML"):
        model_arguments(tmp_path)


def test_spec_without_model_yaml(tmp_path):
    with pytest.raises(MissingFileError, match=r"model.yaml: no such file"):
        model_arguments(tmp_path)


def test_spec_survives_json():
    spec = ModelSpec(name="x", tasks=("A", "B"), inputs="sequence", sizes={"hidden": 3})
    assert ModelSpec.from_json(spec.to_json()) == spec


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    import subprocess
    import sys

    script = (
        "import resource, sys, numpy as np\n"
        "from ripe_lib.errors import OutputError\n"
        "from ripe_lib.network.spec import ModelSpec\n"
        "from ripe_lib.network.weights import write_weights\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "try:\n"
        "    write_weights(sys.argv[1], ModelSpec('x', ('A',)), {'a': [np.zeros(9000)]})\n"
        "except OutputError as error:\n"
        "    sys.stdout.write(str(error))\n"
    )
    words = [sys.executable, "-c", script, tmp_path / "x.h5"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("x.h5: could not be written (File too large). Nothing was left behind.")
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
