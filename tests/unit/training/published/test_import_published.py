"""Reading Keras 2 files and installing the authors' models: equal predictions, and every way it can go wrong."""

import http.server
import re
import threading
from functools import partial

import h5py
import numpy as np
import pytest

import ripe_lib
from ripe_lib.errors import InputError, MissingFileError, OutputError, UnknownNameError, WeightsError
from ripe_lib.network.catalogue.entries import catalogue
from ripe_lib.network.catalogue.locate import user_models_directory
from ripe_lib.network.predict import predict_codes
from ripe_lib.network.spec import ModelSpec
from tests.support.legacy_files import write_legacy
from tests.support.toy_models import random_model
from training.cli.main import main
from training.fetch.download import DownloadError
from training.published import models as published
from training.published.legacy_keras import read_legacy
from training.published.models import git_blob_id, import_published

SPECS = {
    "two_inputs": {},
    "eclip": {"sequence_length": 200, "region_length": 300},
    "sequence": {"inputs": "sequence"},
    "gru": {"architecture": "gru"},
    "gru_sequence": {"architecture": "gru", "inputs": "sequence"},
    "narrow": {"sizes": {"filters": 12, "left_pool": (5, 3), "hidden": 20}},
}


def windows(model, n=6):
    rng = np.random.default_rng(3)
    seq = rng.integers(0, 5, (n, model.spec.sequence_length), dtype=np.uint8)
    region = rng.integers(0, 5, (n, model.spec.region_length), dtype=np.uint8) if model.spec.has_region else None
    return seq, region


@pytest.fixture(scope="module")
def models():
    return {name: random_model(**options) for name, options in SPECS.items()}


@pytest.mark.parametrize("old", [False, True], ids=["2.2.4", "2.0"])
@pytest.mark.parametrize("name", list(SPECS))
def test_arrays_and_settings_come_back(tmp_path, models, name, old):
    model = models[name]
    path = write_legacy(tmp_path / "m.h5", model.keras_model, model.spec, old=old)
    spec, arrays = read_legacy(path, name=model.name, tasks=model.spec.tasks)
    assert spec == model.spec
    for layer in model.keras_model.layers:
        if layer.weights:
            for got, expected in zip(arrays[layer.name], layer.get_weights(), strict=True):
                np.testing.assert_array_equal(got, expected)


def test_without_weight_names_the_order_is_recognised(tmp_path, models):
    for name in ("gru", "two_inputs"):
        model = models[name]
        path = write_legacy(tmp_path / f"{name}.h5", model.keras_model, model.spec, named_weights=False)
        _, arrays = read_legacy(path, name="x", tasks=model.spec.tasks)
        for layer, values in arrays.items():
            for got, expected in zip(values, model.keras_model.get_layer(layer).get_weights(), strict=True):
                np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", ["eclip", "gru"])
def test_imported_models_predict_the_same(tmp_path, models, name):
    model = models[name]
    path = write_legacy(tmp_path / "my file.h5", model.keras_model, model.spec, old=True)
    (tmp_path / "names.txt").write_text("# outputs\nA\nB\n\nC\n")
    directory = import_published(file=path, tasks=tmp_path / "names.txt", out=tmp_path / "out")
    imported = ripe_lib.load_model(directory)
    assert imported.tasks == ["A", "B", "C"]
    assert imported.name == "DeepRiPe/imported/my_file"
    assert (imported.spec.sequence_length, imported.spec.region_length) == (
        model.spec.sequence_length,
        model.spec.region_length,
    )
    np.testing.assert_allclose(
        predict_codes(imported, *windows(model)), predict_codes(model, *windows(model)), atol=1e-6
    )
    assert {p.name for p in directory.iterdir()} >= {"model.yaml", "model_card.md", "tasks.tsv", "test_expect.h5"}


def test_the_file_of_the_authors_stack(shared_data, tmp_path):
    """Predictions and every intermediate layer as computed by Keras 2.2.4 on TensorFlow 1.12."""
    import keras

    golden = np.load(shared_data / "legacy" / "parclip_seq_golden.npz")
    directory = import_published(
        file=shared_data / "legacy" / "parclip_seq.h5", tasks="parclip_mid_seq", out=tmp_path / "m"
    )
    model = ripe_lib.load_model(directory)
    assert model.tasks == [row.task for row in catalogue().tasks["DeepRiPe/published/parclip_mid_seq"]]
    np.testing.assert_allclose(ripe_lib.predict(model, golden["seq"]), golden["pred"], atol=1e-6)
    network = model.keras_model
    names = [name for name in golden["layer_names"] if name != "left_input"]
    probe = keras.Model(network.inputs, [network.get_layer(name).output for name in names])
    for name, values in zip(names, probe([golden["seq"][golden["layer_case_index"]]]), strict=True):
        np.testing.assert_allclose(values, golden[f"layer__{name}"], atol=2e-5, rtol=1e-5, err_msg=name)


# --- the published ones, from a local server --------------------------------------------------------------------


@pytest.fixture
def mirror(tmp_path, monkeypatch, models):
    """A server with a stand-in for parclip_mid_seq, and a catalogue that expects exactly this file."""
    from dataclasses import replace

    rows = catalogue().tasks["DeepRiPe/published/parclip_mid_seq"]
    model = random_model(tasks=tuple(row.task for row in rows), inputs="sequence")
    entry = catalogue().models["DeepRiPe/published/parclip_mid_seq"]
    folder = tmp_path / "server" / entry.repository / entry.commit / entry.path
    folder.parent.mkdir(parents=True)
    write_legacy(folder, model.keras_model, model.spec, old=True)
    expected = replace(entry, git_blob_sha1=git_blob_id(folder))
    monkeypatch.setitem(catalogue().models, entry.model, expected)
    monkeypatch.setenv("RIPE_MODELS_DIR", str(tmp_path / "models"))

    class Handler(http.server.SimpleHTTPRequestHandler):
        cut = False

        def log_message(self, *_):
            pass

        def copyfile(self, source, output):
            data = source.read()
            output.write(data[: len(data) // 2] if Handler.cut else data)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "server")))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield {
        "url": f"http://127.0.0.1:{server.server_address[1]}",
        "file": folder,
        "model": model,
        "handler": Handler,
        "models": tmp_path / "models",
    }
    server.shutdown()
    server.server_close()
    thread.join()


def nothing_installed(mirror):
    return not mirror["models"].exists() or not [p for p in mirror["models"].rglob("*") if p.is_file()]


def test_a_published_model_is_fetched_and_installed(mirror, capsys):
    seen = []
    directory = import_published("parclip_mid_seq", mirror=mirror["url"], progress=lambda *a: seen.append(a))
    size = mirror["file"].stat().st_size
    assert seen[-1] == (size, size)
    assert directory == user_models_directory() / "DeepRiPe/published/parclip_mid_seq"
    model = ripe_lib.load_model("DeepRiPe/published/parclip_mid_seq")
    np.testing.assert_allclose(
        predict_codes(model, *windows(model)), predict_codes(mirror["model"], *windows(model)), atol=1e-6
    )
    assert ripe_lib.list_models().set_index("model").loc["DeepRiPe/published/parclip_mid_seq", "status"] == "installed"
    assert main(["import-published", "parclip_mid_seq", "--mirror", mirror["url"], "--quiet"]) == 2
    assert "exists already" in capsys.readouterr().err
    arguments = ["import-published", "parclip_mid_seq", "--mirror", mirror["url"], "--quiet", "--overwrite"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == str(directory)


def test_a_published_file_on_disk_is_recognised_by_its_content(mirror, tmp_path):
    copy = tmp_path / "whatever.h5"
    copy.write_bytes(mirror["file"].read_bytes())
    directory = import_published(file=copy)
    assert directory.name == "parclip_mid_seq"
    with pytest.raises(WeightsError, match=r"git blob id \w+ \(parclip_low_seq\), got \w+, which is parclip_mid_seq"):
        import_published("parclip_low_seq", file=copy)


def test_wrong_downloads_install_nothing(mirror):
    url = mirror["url"]
    whole = mirror["file"].read_bytes()
    mirror["handler"].cut = True
    with pytest.raises(DownloadError, match="the download was cut"):
        import_published("parclip_mid_seq", mirror=url)
    mirror["handler"].cut = False
    mirror["file"].write_text("<!DOCTYPE html>\n<html><body>Sign in</body></html>")
    with pytest.raises(DownloadError, match="expected the file, got an HTML page"):
        import_published("parclip_mid_seq", mirror=url)
    mirror["file"].write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(WeightsError, match="Git LFS pointer"):
        import_published("parclip_mid_seq", mirror=url)
    mirror["file"].write_bytes(whole[:-10])
    with pytest.raises(WeightsError, match="expected git blob id"):
        import_published("parclip_mid_seq", mirror=url)
    mirror["file"].unlink()
    with pytest.raises(DownloadError, match="the server answered 404"):
        import_published("parclip_mid_seq", mirror=url)
    assert nothing_installed(mirror)


def test_no_network_and_unknown_names(mirror, capsys):
    with pytest.raises(DownloadError, match=r"could not be fetched .* Is there a network\? Download it yourself"):
        import_published("parclip_mid_seq", mirror="http://127.0.0.1:9")
    with pytest.raises(UnknownNameError, match=r"unknown published model 'parclip_med'. Did you mean 'parclip_mid'"):
        import_published("parclip_med")
    with pytest.raises(InputError, match="got neither"):
        import_published()
    assert main(["import-published", "parclip_med"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert nothing_installed(mirror)


def test_wrong_files_install_nothing(tmp_path, models, mirror):
    model = models["two_inputs"]
    out = tmp_path / "out"

    def attempt(message, *, tasks=tmp_path / "names.txt", error=WeightsError, **options):
        path = write_legacy(tmp_path / "m.h5", model.keras_model, model.spec, **options)
        with pytest.raises(error, match=message):
            import_published(file=path, tasks=tasks, out=out)
        assert not out.exists()

    (tmp_path / "names.txt").write_text("A\nB\nC\n")
    (tmp_path / "two.txt").write_text("A\nB\n")
    (tmp_path / "twice.txt").write_text("A\nB\nA\n")

    def setting(name, **values):
        def change(layers):
            next(layer for layer in layers if layer["name"] == name)["config"].update(values)

        return change

    attempt("is none of the published files .* --tasks", tasks=None, error=InputError)
    attempt("expected 2 outputs .*, got 3", tasks=tmp_path / "two.txt")
    attempt("expected different names, got 'A' twice", tasks=tmp_path / "twice.txt", error=InputError)
    attempt("no such file of task names", tasks=tmp_path / "none.txt", error=MissingFileError)
    attempt("expected 21 outputs", tasks="parclip_mid")
    attempt("padding 'valid' in layer 'left_conv1', got 'same'", change=setting("left_conv1", padding="same"))
    attempt("activation 'relu' in layer 'hidden1', got 'tanh'", change=setting("hidden1", activation="tanh"))
    attempt("axis 1.*, got axis 2", change=setting("concatenate_1", axis=2))
    attempt("shape", change=setting("left_input", batch_input_shape=[None, 200, 4]))
    attempt("not that of a Keras model with named layers .KeyError: 'left_drop1'", change=lambda layers: layers.pop(3))
    attempt("expected a DeepRiPe network", change=lambda layers: layers.append(dict(layers[-1], name="extra")))


def test_missing_layers_and_damaged_files(tmp_path, models):
    model = models["two_inputs"]
    path = write_legacy(tmp_path / "m.h5", model.keras_model, model.spec)
    with h5py.File(path, "a") as handle:
        del handle["model_weights/hidden1"]
    with pytest.raises(WeightsError, match="layer 'hidden1' is missing from 'model_weights'"):
        read_legacy(path, name="x")
    path = write_legacy(tmp_path / "m.h5", model.keras_model, model.spec)
    with h5py.File(path, "a") as handle:
        del handle["model_weights/hidden1/hidden1/bias:0"]
    with pytest.raises(WeightsError, match="array 'hidden1/bias:0' is missing"):
        read_legacy(path, name="x")
    path = write_legacy(tmp_path / "m.h5", model.keras_model, model.spec)
    with h5py.File(path, "a") as handle:
        handle["model_weights/hidden1/hidden1/bias:0"][0] = np.nan
    (tmp_path / "names.txt").write_text("A\nB\nC\n")
    with pytest.raises(WeightsError, match="'hidden1' holds values that are not finite"):
        import_published(file=path, tasks=tmp_path / "names.txt", out=tmp_path / "out")
    with h5py.File(path, "a") as handle:
        del handle.attrs["model_config"]
    with pytest.raises(WeightsError, match="expected a whole Keras model"):
        read_legacy(path, name="x")
    whole = write_legacy(tmp_path / "m.h5", model.keras_model, model.spec).read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"expected a Keras model, got something unreadable .*truncated"):
        read_legacy(tmp_path / "cut.h5", name="x")
    with pytest.raises(MissingFileError, match="no such file"):
        read_legacy(tmp_path / "none.h5", name="x")


@pytest.mark.parametrize("number", ["1e400", "NaN", "-3", '"x"', "null"])
def test_sizes_that_are_no_sizes(tmp_path, models, number):
    path = write_legacy(tmp_path / "m.h5", models["two_inputs"].keras_model, models["two_inputs"].spec)
    with h5py.File(path, "a") as handle:
        config = handle.attrs["model_config"]
        config = config.decode() if isinstance(config, bytes) else config
        handle.attrs["model_config"] = re.sub(r'"filters": \d+', f'"filters": {number}', config, count=1)
    with pytest.raises(WeightsError, match=r"m\.h5: expected"):
        read_legacy(path, name="x")


def test_a_catalogue_model_of_other_shape_is_refused(tmp_path, models):
    spec = ModelSpec(name="DeepRiPe/published/parclip_mid", tasks=("A",), sequence_length=200)
    with pytest.raises(WeightsError, match="expected sequence_length 150 for DeepRiPe/published/parclip_mid, got 200"):
        published.check_catalogue_shapes(spec, tmp_path / "x.h5")


def test_out_that_exists_is_kept(tmp_path, models, shared_data):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already and is not empty"):
        import_published(file=shared_data / "legacy" / "parclip_seq.h5", tasks="parclip_mid_seq", out=tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_published_blob_ids_are_git_ones(tmp_path):
    (tmp_path / "x").write_bytes(b"hello\n")
    assert git_blob_id(tmp_path / "x") == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object
