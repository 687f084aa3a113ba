"""A run becomes a model directory: the same predictions, measured numbers, nothing half-done."""

import numpy as np
import pandas as pd
import pytest
import yaml

import ripe_lib
from ripe_lib.errors import InputError, MissingFileError, OutputError, UnknownNameError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.evaluate import Options
from ripe_lib.network.catalogue.entries import catalogue, read_task_table
from ripe_lib.network.catalogue.locate import bundled_models_directory
from ripe_lib.network.load import model_from_weights
from ripe_lib.network.predict import predict_codes
from tests.support.toy_datasets import TINY_SIZES, write_toy_dataset
from training.cli.main import main
from training.fitting.config import FitConfig
from training.fitting.fit import fit
from training.publishing.publish import missing_text, publish

FEW = Options(n_bootstrap=20)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("publish")
    data = write_toy_dataset(folder / "toy.h5", np.random.default_rng(1), n=600)
    config = FitConfig(name="DeepRiPe/toy", data=data, run=folder / "run", sizes=TINY_SIZES, epochs=2, batch_size=64)
    return fit(config)


@pytest.fixture(scope="module")
def published(run):
    return publish(run, out=run.parent / "out", options=FEW)


def test_the_directory_is_a_model(run, published):
    model = ripe_lib.load_model(published)
    trained = model_from_weights(run / "weights.h5")
    codes = Dataset(run.parent / "toy.h5").centred_codes(np.arange(50))
    np.testing.assert_array_equal(predict_codes(model, *codes), predict_codes(trained, *codes))
    description = yaml.safe_load((published / "model.yaml").read_text())
    assert description["schema"]["targets"]["column_labels"] == model.tasks
    names = {"weights.h5", "model.yaml", "model_card.md", "test_expect.h5", "tasks.tsv", "metrics.tsv"}
    assert {p.name for p in published.iterdir()} == names


def test_numbers_are_those_of_evaluate(run, published):
    dataset = run.parent / "toy.h5"
    expected = ripe_lib.evaluate(ripe_lib.load_model(published), dataset, options=FEW)
    written = pd.read_csv(published / "metrics.tsv", sep="\t")
    np.testing.assert_allclose(written["auroc"], expected["auroc"], atol=1e-6)
    np.testing.assert_allclose(written["ap_low"], expected["ap_low"], atol=1e-6)
    card = (published / "model_card.md").read_text()
    for row in expected.to_dict("records"):
        assert f"| {row['task']} | {row['n_pos']} | {row['n_neg']} | {row['auroc']:.3f} |" in card
    counts = Dataset(dataset).manifest["counts"]
    assert f"| train | {counts['splits']['train']} |" in card
    tasks = read_task_table(published / "tasks.tsv")
    assert [t.n_pos for t in tasks] == [counts["tasks"][t.task]["train"]["positive"] for t in tasks]
    assert tasks[0].auroc == round(expected["auroc"][0], 4)


def test_calibration_is_in_the_output_layer_and_keeps_the_order(run, published):
    directory = publish(run, out=run.parent / "calibrated", calibrate=True, options=FEW)
    codes = Dataset(run.parent / "toy.h5").centred_codes(np.arange(300))
    before = predict_codes(ripe_lib.load_model(published), *codes)
    after = predict_codes(ripe_lib.load_model(directory), *codes)
    assert np.abs(before - after).max() > 1e-3
    for task in range(2):
        order = np.argsort(before[:, task], kind="stable")
        assert (np.diff(after[order, task]) >= -1e-6).all()
    assert "## Calibration" in (directory / "model_card.md").read_text()
    assert "## Calibration" not in (published / "model_card.md").read_text()


def test_default_place_and_name(run, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("RIPE_MODELS_DIR", str(tmp_path / "models"))
    arguments = ["publish", str(run), "--name", "mine", "--bootstrap", "10", "--quiet"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "models" / "DeepRiPe" / "mine")
    assert ripe_lib.load_model("DeepRiPe/mine").name == "DeepRiPe/mine"
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err


def test_wrong_input(run, published, tmp_path, rng):
    with pytest.raises(OutputError, match="exists already"):
        publish(run, out=published, options=FEW)
    with pytest.raises(MissingFileError, match="is not a run"):
        publish(tmp_path, out=tmp_path / "o")
    other = write_toy_dataset(tmp_path / "other.h5", rng, n=100)
    with pytest.raises(InputError, match="is not the data set of run"):
        publish(run, data=other, out=tmp_path / "o")
    config = yaml.safe_load((run / "config.yaml").read_text())
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(MissingFileError, match="is not finished; go on with: ripe-train fit"):
        publish(unfinished, out=tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_some_outputs_of_a_joint_network(run, published):
    second = ripe_lib.load_model(published).tasks[1]
    directory = publish(run, out=run.parent / "second", name="second", tasks=[second], options=FEW)
    codes = Dataset(run.parent / "toy.h5").centred_codes(np.arange(50))
    whole = predict_codes(ripe_lib.load_model(published), *codes)
    model = ripe_lib.load_model(directory)
    assert (model.name, model.tasks) == ("DeepRiPe/second", [second])
    np.testing.assert_allclose(predict_codes(model, *codes)[:, 0], whole[:, 1], atol=1e-6)
    assert "1 more experiment" in (directory / "model_card.md").read_text()
    with pytest.raises(UnknownNameError, match="unknown task 'nosuch'"):
        publish(run, out=run.parent / "third", tasks=["nosuch"], options=FEW)
    assert not (run.parent / "third").exists()


def test_missing_outputs_of_a_published_tier_are_named():
    tasks = [task.task for task in catalogue().tasks["DeepRiPe/published/eclip_k562_high2"]]
    kept = [f"{task}_K562" for task in tasks[2:]]
    manifest = {"inputs_sha256": {f"{tasks[0]}_K562/x.bed": ""}, "options": {"peaks": {"min_bins": 40}}}
    lines = missing_text("DeepRiPe/eclip_k562_high2_paper", kept, manifest).splitlines()
    assert lines == [
        f"Outputs of the paper's tier that are missing for want of peaks: {tasks[1]}.",
        f"Outputs of the paper's tier that are missing, with fewer than 40 bins of known sequence: {tasks[0]}.",
    ]
    assert missing_text("DeepRiPe/eclip_k562_high2", tasks, {}) == ""
    assert missing_text("DeepRiPe/mine", ["A"], {}) == ""


def test_cards_of_shipped_tiers_name_what_is_missing():
    n_missing = 0
    for name, entry in catalogue().models.items():
        published_tasks = catalogue().tasks.get(f"DeepRiPe/published/{entry.short_name}")
        if entry.origin != "shipped" or published_tasks is None:
            continue
        card = (bundled_models_directory() / name / "model_card.md").read_text(encoding="utf-8")
        said = [line for line in card.splitlines() if line.startswith("Outputs of the paper's tier that are missing")]
        named = {task for line in said for task in line.rsplit(": ", 1)[1].rstrip(".").split(", ")}
        have = {task.task for task in catalogue().tasks[name]}
        wanted = {t.task for t in published_tasks if have.isdisjoint({t.task, f"{t.task}_{t.cell_line}"})}
        assert named == wanted, name
        n_missing += len(wanted)
    assert n_missing > 0
