"""Model directories: what is committed is what would be rendered, and says what the catalogue says."""

import ast
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from ripe_lib.errors import InputError, MissingFileError, UnknownNameError
from ripe_lib.kipoi import render as kipoi_render
from ripe_lib.network.catalogue.entries import TaskEntry, catalogue, write_task_table
from ripe_lib.network.catalogue.locate import bundled_models_directory
from ripe_lib.network.load import load_model
from ripe_lib.network.predict import predict
from ripe_lib.network.weights import arrays_of, sha256_of, write_weights
from tests.support.toy_models import random_model

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted(path.parent for path in (bundled_models_directory() / "DeepRiPe").glob("*/weights.h5"))


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A model directory that is not in the catalogue, rendered once; do not change it."""
    directory = tmp_path_factory.mktemp("models") / "toy"
    directory.mkdir()
    model = random_model()
    write_weights(directory / "weights.h5", model.spec, arrays_of(model.keras_model))
    tasks = [
        TaskEntry("DeepRiPe/toy", i, task, task.split("_")[0], "PAR-CLIP", "HEK293", 100 * i, auroc=0.8 + i / 20)
        for i, task in enumerate(model.tasks)
    ]
    write_task_table(directory / "tasks.tsv", tasks)
    kipoi_render.render_model(directory, about={"trained_on": "My peaks: of 'today'.", "authors": [{"name": "Me"}]})
    return directory


def test_every_shipped_model_of_the_catalogue_is_here():
    names = {entry.short_name for entry in catalogue().models.values() if entry.origin == "shipped"}
    assert {directory.name for directory in SHIPPED} == names


@pytest.mark.parametrize("directory", SHIPPED, ids=lambda path: path.name)
def test_committed_yaml_is_what_would_be_rendered(directory):
    assert (directory / "model.yaml").read_text(encoding="utf-8") == kipoi_render.model_yaml(directory)


@pytest.mark.parametrize("directory", SHIPPED, ids=lambda path: path.name)
def test_shipped_directory_is_complete_and_agrees_with_the_catalogue(directory):
    loaded = yaml.safe_load((directory / "model.yaml").read_text())
    entry = catalogue().models[f"DeepRiPe/{directory.name}"]
    tasks = catalogue().tasks[entry.model]
    assert loaded["args"]["sha256"] == entry.sha256 == sha256_of(directory / loaded["args"]["weights"])
    assert loaded["schema"]["targets"]["column_labels"] == [task.task for task in tasks]
    assert loaded["schema"]["targets"]["shape"] == f"({entry.n_tasks},)"
    assert loaded["schema"]["inputs"]["seq"]["shape"] == f"({entry.sequence_length}, 4)"
    assert loaded["schema"]["inputs"]["region"]["shape"] == f"({entry.region_length}, 4)"
    assert loaded["info"]["cite_as"] == "https://doi.org/10.1101/gr.247494.118"
    # The paper's authors made the method, not these weights.
    assert loaded["info"]["authors"] == loaded["info"]["contributors"] == [{"name": "DeepRiPe developers"}]
    assert loaded["info"]["license"] == "MIT"
    for field in ("authors", "contributors", "doc", "trained_on", "training_procedure", "tags", "version"):
        assert loaded["info"][field], field
    for task in tasks:
        assert task.task in loaded["info"]["trained_on"]
        assert task.n_pos is None or f"{task.n_pos} sites" in " ".join(loaded["info"]["trained_on"].split())
    assert loaded["test"] == {"expect": "test_expect.h5", "precision_decimal": 5}
    assert loaded["postprocessing"]["variant_effects"]["seq_input"] == ["seq"]
    assert (directory / "weights.h5").stat().st_size < 5e6


@pytest.mark.parametrize("directory", SHIPPED, ids=lambda path: path.name)
def test_expected_predictions_are_the_networks(directory):
    with h5py.File(directory / "test_expect.h5") as file:
        inputs = {name: array[()] for name, array in file["inputs"].items()}
        expected = file["preds"][()]
    model = load_model(directory)
    assert {name: array.shape for name, array in inputs.items()} == {
        name: (39, *shape) for name, shape in model.spec.input_shapes.items()
    }
    np.testing.assert_allclose(predict(model, inputs), expected, rtol=0, atol=1e-5)


def test_user_model_says_what_its_run_says(toy):
    loaded = yaml.safe_load((toy / "model.yaml").read_text())
    assert loaded["info"]["authors"] == [{"name": "Me"}]
    assert loaded["info"]["trained_on"].strip() == "My peaks: of 'today'."
    assert "AUROC 0.850 (0.800 to 0.900)" in " ".join(loaded["info"]["doc"].split())
    assert "(QKI, PUM2, ELAVL1)" in loaded["info"]["doc"]
    assert loaded["info"]["tags"] == ["RNA binding", "PAR-CLIP"]
    assert load_model(toy).tasks == loaded["schema"]["targets"]["column_labels"]


def test_rendering_again_gives_equal_bytes(toy):
    before = {path.name: path.read_bytes() for path in toy.iterdir()}
    kipoi_render.render_model(toy)
    assert {path.name: path.read_bytes() for path in toy.iterdir()} == before


def test_sequence_only_model_names_the_other_loader(tmp_path):
    model = random_model(tasks=("only",), inputs="sequence", sequence_length=200)
    write_weights(tmp_path / "weights.h5", model.spec, arrays_of(model.keras_model))
    loaded = yaml.safe_load(kipoi_render.model_yaml(tmp_path))
    assert loaded["default_dataloader"] == {
        "defined_as": "dataloaders.RnaSequences",
        "default_args": {"sequence_length": 200},
    }
    assert list(loaded["schema"]["inputs"]) == ["seq"]
    assert "1 CLIP experiment," in " ".join(loaded["info"]["doc"].split())


def test_a_gap_in_the_template_is_an_error(toy, tmp_path, monkeypatch):
    import jinja2

    template = tmp_path / "template.yaml"
    template.write_text("doc: {{ nobody_gives_this }}\n")
    monkeypatch.setattr(kipoi_render, "TEMPLATE", template)
    with pytest.raises(jinja2.UndefinedError, match="nobody_gives_this"):
        kipoi_render.model_yaml(toy)


@pytest.mark.parametrize(
    ("about", "error", "message"),
    [
        ({"trained_at": "x"}, UnknownNameError, "trained_on"),
        ({"authors": "Me"}, InputError, "list of mappings"),
        ({"tags": "a"}, InputError, "tags to be a list"),
        (["doc"], InputError, "expected a mapping"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_written(tmp_path, about, error, message):
    with pytest.raises(error, match=message):
        kipoi_render.render_model(tmp_path, about=about)
    assert list(tmp_path.iterdir()) == []


def test_directory_without_weights(tmp_path, capsys):
    with pytest.raises(MissingFileError, match="no such weights file"):
        kipoi_render.render_model(tmp_path)
    assert kipoi_render.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_template_in_the_package_is_the_one_at_the_root():
    assert kipoi_render.TEMPLATE.read_bytes() == (ROOT / "model-template.yaml").read_bytes()


def test_versions_are_those_of_setup_py():
    tree = ast.parse((ROOT / "setup.py").read_text())
    assigned = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    required = set(ast.literal_eval(assigned["REQUIRES"]))
    loaded = yaml.safe_load(kipoi_render.model_yaml(SHIPPED[0]))
    assert set(loaded["dependencies"]["pip"]) <= required
