"""YAML and HDF5 files of anybody: nothing executed, nothing followed, nothing believed that is not there."""

import ast
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from ripe_lib.errors import InputError, MissingFileError, RipeError, WeightsError
from ripe_lib.network.catalogue.locate import model_arguments
from ripe_lib.network.load import load_model
from ripe_lib.network.spec import ModelSpec
from ripe_lib.network.weights import read_weights, write_weights
from ripe_lib.output.foreign import load_yaml, open_hdf5

ROOT = Path(__file__).resolve().parents[3]
PRODUCT = ("ripe_lib", "training", "dataloaders", "kipoi_models", "benchmarks", "examples")


# --- nothing executed ----------------------------------------------------------------------------------------------

FORBIDDEN = {
    "pickle": "runs what a file says",
    "cPickle": "runs what a file says",
    "dill": "runs what a file says",
    "joblib": "runs what a file says",
    "marshal": "runs what a file says",
    "shelve": "runs what a file says",
}
FORBIDDEN_CALLS = {
    "yaml.load": "takes any loader",
    "yaml.full_load": "makes objects of Python",
    "yaml.unsafe_load": "makes objects of Python",
    "yaml.load_all": "takes any loader",
    "keras.models.load_model": "builds layers a file names, Lambda included",
    "keras.saving.load_model": "builds layers a file names, Lambda included",
    "keras.models.model_from_json": "builds layers a file names",
    "keras.saving.deserialize_keras_object": "builds what a file names",
    "keras.layers.deserialize": "builds what a file names",
    "tf.saved_model.load": "runs a graph of a file",
    "pd.read_pickle": "runs what a file says",
    "torch.load": "runs what a file says",
    "eval": "runs a text",
    "exec": "runs a text",
}


def dotted(node):
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(text):
    """Return the forbidden imports and calls of a source text."""
    found = []
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "").split(".")[0]]
            found += [f"{node.module}.{a.name}" for a in node.names if f"{node.module}.{a.name}" in FORBIDDEN_CALLS]
        elif isinstance(node, ast.Call):
            found += [name for name in [dotted(node.func)] if name in FORBIDDEN_CALLS]
            found += ["allow_pickle" for word in node.keywords if word.arg == "allow_pickle" and _true(word.value)]
        found += [name for name in names if name in FORBIDDEN]
    return found


def _true(node):
    return not (isinstance(node, ast.Constant) and node.value is False)


def test_the_search_finds_dangers():
    assert dangers("import pickle\nimport yaml\nyaml.load(x)\nnp.load(f, allow_pickle=True)") == [
        "pickle",
        "yaml.load",
        "allow_pickle",
    ]
    assert dangers("from keras.models import load_model") == ["keras.models.load_model"]
    assert dangers("yaml.safe_load(x)\nnp.load(f, allow_pickle=False)") == []


def test_product_reads_nothing_that_can_run():
    files = [path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 150
    assert {str(path): found for path in files if (found := dangers(path.read_text(encoding="utf-8")))} == {}


TAGS = (
    "!!python/object/apply:os.system ['touch escaped']",
    "!!python/object/new:subprocess.Popen [['touch', 'escaped']]",
    "!!python/name:os.system",
    "!!python/module:os",
    "!own thing",
)


@pytest.mark.parametrize("tag", TAGS)
def test_tags_of_python_are_refused_and_do_nothing(tag, tmp_path, monkeypatch):
    from training.config import read_yaml

    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.yaml"
    path.write_text(f"a: 1\nargs: {tag}\n")
    for read in (load_yaml, read_yaml):
        with pytest.raises(InputError, match=r"x\.yaml:2: not YAML of plain values \(could not determine a constr"):
            read(path)
    (tmp_path / "model.yaml").write_text(path.read_text())
    with pytest.raises(InputError, match=r"model\.yaml:2: not YAML"):
        load_model(tmp_path)
    assert not (tmp_path / "escaped").exists()


# --- YAML ----------------------------------------------------------------------------------------------------------

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "expected at most 100000 values, got more by aliases"),
        ("a: &a [*a]", "expected at most 100000 values, got more by aliases"),
        ("a: " + "[" * 5000, "x.yaml:1: not YAML of plain values .more than 50 brackets inside"),
        ("a: " + "9" * 5000, "not YAML of plain values .Exceeds the limit"),
        ("a: 2001-13-99", "not YAML of plain values .month must be in 1..12"),
        ("a: !!timestamp x", "not YAML of plain values"),
        ("a: !!int x", "not YAML of plain values"),
        ("a: [1", "x.yaml:1: not YAML of plain values .expected ',' or '\\]'"),
        ("a: \x00", "not YAML of plain values .unacceptable character"),
        ("? [1]\n: 2", "not YAML of plain values .found unhashable key"),
    ],
)
def test_odd_yaml(text, message, tmp_path):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_yaml(tmp_path / "x.yaml")


def test_yaml_of_other_encodings(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"a: caf\xe9")
    with pytest.raises(InputError, match=r"not YAML of plain values \('utf-8' codec"):
        load_yaml(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    assert load_yaml(tmp_path / "x.yaml") == {"a": 1}
    (tmp_path / "x.yaml").write_bytes(b"")
    assert load_yaml(tmp_path / "x.yaml") is None
    with pytest.raises(MissingFileError, match="no such file"):
        load_yaml(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "weights: ../../secret.h5\n  sha256: null",
            "expected the name of a file beside it as 'weights', got '../../s",
        ),
        (
            "weights: /etc/passwd\n  sha256: null",
            "expected the name of a file beside it as 'weights', got '/etc/passwd'",
        ),
        ("weights: ..\n  sha256: null", "expected the name of a file beside it"),
        ("weights: ''\n  sha256: null", "expected the name of a file beside it"),
        ("weights: [a]\n  sha256: null", "expected the name of a file beside it"),
        ("weights: weights.h5\n  sha256: 12", "expected hexadecimal digits as 'sha256', got '12'"),
        ("weights: weights.h5", "expected a DeepRiPe model.yaml with args 'weights' and 'sha256'"),
        ("weights: weights.h5\n  sha256: null\n  code: x.py", "expected a DeepRiPe model.yaml with args"),
    ],
)
def test_model_yaml_names_nothing_outside_its_folder(arguments, message, tmp_path):
    (tmp_path / "model.yaml").write_text(f"args:\n  {arguments}\n")
    with pytest.raises(InputError, match=message):
        model_arguments(tmp_path)


# --- HDF5 ----------------------------------------------------------------------------------------------------------

SPEC = ModelSpec(name="DeepRiPe/toy", tasks=("A",))


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "w.h5"
    write_weights(path, SPEC, {"left_conv1": [np.ones((7, 4, 3)), np.zeros(3)]})
    return path


def external_link(handle):
    handle["left_conv1/1"] = h5py.ExternalLink("/etc/passwd", "/a")


def soft_link(handle):
    handle["left_conv1/1"] = h5py.SoftLink("/left_conv1/1")


def stored_elsewhere(handle):
    handle.create_dataset("left_conv1/1", shape=(3,), dtype="u1", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def virtual(handle):
    layout = h5py.VirtualLayout(shape=(3,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "a", shape=(3,))
    handle.create_virtual_dataset("left_conv1/1", layout)


def references(handle):
    handle.create_dataset("left_conv1/1", shape=(3,), dtype=h5py.ref_dtype)[0] = handle.ref


def terabytes(handle):
    handle.create_dataset("left_conv1/1", shape=(1 << 40, 1 << 10), dtype="f4", chunks=(1 << 10, 1 << 10))


def compound(handle):
    handle["left_conv1/1"] = np.zeros(3, dtype=[("a", "f4")])


def texts(handle):
    handle["left_conv1/1"] = np.array([b"x", b"y"], dtype="S1")


def named_type(handle):
    handle["left_conv1/1"] = np.dtype("f4")


def empty(handle):
    handle["left_conv1/1"] = h5py.Empty("f4")


def nothing(handle):
    pass


ATTACKS = {
    external_link: "got a link to another place as 'left_conv1/1'",
    soft_link: "got a link to another place as 'left_conv1/1'",
    stored_elsewhere: "got an array 'left_conv1/1' that is kept in another file",
    virtual: "got an array 'left_conv1/1' that is kept in another file",
    references: "expected values of another type in 'left_conv1/1', got object",
    terabytes: "bytes that are declared but not in the file",
    compound: "expected values of another type in 'left_conv1/1'",
    texts: "expected values of another type in 'left_conv1/1'",
    named_type: "expected an array 'left_conv1/1', got another object",
    empty: "expected an array 'left_conv1/1', got another object",
    nothing: None,
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_attacks_on_weights(attack, weights):
    with h5py.File(weights, "r+") as handle:
        del handle["left_conv1/1"]
        attack(handle)
    if ATTACKS[attack] is None:  # one array less: of another shape than the network, which says so when it is filled
        assert len(read_weights(weights)[1]["left_conv1"]) == 1
        return
    with pytest.raises(WeightsError, match=ATTACKS[attack]):
        read_weights(weights)


def test_heaps_for_which_hdf5_never_ends(weights):
    """A free stretch of no bytes; with it HDF5 1.14 stays in ``H5HG__cache_heap_deserialize``."""
    data = weights.read_bytes()
    heap = data.index(b"GCOL")
    free = heap + 16
    while data[free] or data[free + 1]:  # objects with a number, rounded up to eight bytes
        free += 16 + -(-int.from_bytes(data[free + 8 : free + 16], "little") // 8) * 8
    weights.write_bytes(data[: free + 8] + bytes(8) + data[free + 16 :])
    with pytest.raises(WeightsError, match=r"something unreadable \(a heap without end\)"):
        read_weights(weights)


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if ATTACKS[attack]], ids=lambda one: one.__name__)
def test_the_same_attacks_on_a_data_set(attack, tmp_path, rng):
    from ripe_lib.evaluation.dataset import Dataset
    from tests.support.toy_datasets import write_toy_dataset

    path = write_toy_dataset(tmp_path / "d.h5", rng, n=6)
    with h5py.File(path, "r+") as handle:
        del handle["labels"]
        attack(handle)
        handle.move("left_conv1/1", "labels")
    with pytest.raises(InputError, match="Make it again with: ripe-train prepare"):
        Dataset(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": {"filters": 10**9}}, "expected names and lengths of a network"),
        ({"sizes": {"kernel": [[1, "x"]]}}, "expected names and lengths of a network"),
        ({"sequence_length": 10**9}, "expected names and lengths of a network"),
        ({"sequence_length": "150"}, "not supported between instances of 'str' and 'int'"),
        ({"tasks": "ABC"}, "expected names and lengths of a network"),
        ({"tasks": [1, 2]}, "expected names and lengths of a network"),
        ({"code": "import os"}, "unexpected keyword argument 'code'"),
    ],
)
def test_specs_in_weights_are_checked(change, message, weights):
    import json

    with h5py.File(weights, "r+") as handle:
        handle.attrs["spec"] = json.dumps(json.loads(SPEC.to_json()) | change)
    with pytest.raises(RipeError, match=message):
        read_weights(weights)


def test_networks_that_cannot_be_built_are_one_line(tmp_path):
    from dataclasses import replace

    path = tmp_path / "w.h5"
    write_weights(path, replace(SPEC, sizes={"left_pool": (400, 2)}), {})
    from ripe_lib.network.load import model_from_weights

    with pytest.raises(WeightsError, match="expected the sizes of a network"):
        model_from_weights(path)


def test_errors_inside_the_block_name_the_file(weights):
    with (
        pytest.raises(InputError, match=r"w\.h5: expected a thing, got something unreadable .*nowhere.* Mend it\."),
        open_hdf5(weights, "a thing", advice="Mend it.") as file,
    ):
        file.array("nowhere")
    os.truncate(weights, 700)
    with (
        pytest.raises(InputError, match=r"expected a thing, got something unreadable .*truncated"),
        open_hdf5(weights, "a thing", advice="Mend it."),
    ):
        pass
