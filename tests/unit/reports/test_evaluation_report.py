"""The folder of `ripe evaluate`: everything there, the numbers agree with each other, errors are one line."""

import re

import numpy as np
import pandas as pd
import pytest

from ripe_lib.cli.main import main
from ripe_lib.errors import OutputError
from ripe_lib.evaluation.evaluate import Evaluation, Options, score_dataset
from ripe_lib.network.weights import arrays_of, sha256_of, write_weights
from ripe_lib.reports.evaluation import write_evaluation
from tests.support.planted_datasets import PLANTED, write_planted_dataset
from tests.support.toy_models import random_model


@pytest.fixture(scope="module")
def toy_path(tmp_path_factory):
    return write_planted_dataset(tmp_path_factory.mktemp("data") / "toy.h5")


def write_model(folder, model):
    """Write a model directory as `load_model` wants it."""
    folder.mkdir()
    write_weights(folder / "weights.h5", model.spec, arrays_of(model.keras_model))
    digest = sha256_of(folder / "weights.h5")
    (folder / "model.yaml").write_text(f"args:\n  weights: weights.h5\n  sha256: {digest}\n")
    return folder


@pytest.fixture(scope="module")
def model_directory(tmp_path_factory, tiny_model):
    return write_model(tmp_path_factory.mktemp("models") / "toy", tiny_model)


def test_command_writes_tables_pictures_and_page(toy_path, model_directory, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["evaluate", str(model_directory), str(toy_path), "-o", str(out), "--bootstrap", "20", "--predictions"]
    assert main([*arguments, "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert printed == (out / "summary.csv").read_text()
    metrics = pd.read_csv(out / "metrics.csv", keep_default_na=False, na_values=[""])
    assert list(metrics["task"]) == [*PLANTED, *PLANTED]
    assert list(metrics["negatives"].unique()) == ["own", "other"]
    summary = pd.read_csv(out / "summary.csv").set_index("negatives")
    for negatives, rows in metrics.groupby("negatives"):
        assert summary.loc[negatives, "auroc"] == pytest.approx(rows["auroc"].mean())
    predictions = pd.read_csv(out / "predictions.csv.gz")
    known = predictions["QKI_PARCLIP.label"] >= 0
    assert known.sum() == metrics["n"][0]
    assert list(predictions.columns[:4]) == ["chrom", "start", "end", "strand"]
    for name in ("overview", "roc", "pr", "scores", "reliability", "kmers"):
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (out / "figures" / f"{name}.svg").read_text()
    page = (out / "report.html").read_text()
    assert not re.search(r'(?:src|href)="https?:', page)
    assert all(task in page for task in PLANTED)
    kmers = pd.read_csv(out / "kmers.csv")
    assert set(kmers["task"]) == set(PLANTED)
    assert kmers["kmer"].str.fullmatch("[ACGU]{6}").all()
    # A second run does not overwrite unasked; with --force the same numbers come out.
    assert main([*arguments, "--quiet"]) == 2
    assert "exists already and is not empty" in capsys.readouterr().err
    assert main([*arguments, "--quiet", "--force", "--seed", "0"]) == 0
    assert capsys.readouterr().out == printed


def test_options_of_the_command_change_what_they_should(toy_path, model_directory, tmp_path, monkeypatch):
    kept = []

    def keep(evaluation, directory, **_):
        kept.append(evaluation)
        (tmp_path / "summary.csv").write_text("")
        return tmp_path

    monkeypatch.setattr("ripe_lib.reports.evaluation.write_evaluation", keep)

    def table(*options):
        out = str(tmp_path / "out")
        base = ["evaluate", str(model_directory), str(toy_path), "-o", out, "--bootstrap", "10", "--quiet"]
        assert main([*base, *options]) == 0
        return kept[-1].table()

    plain = table()
    assert (table("--split", "valid")["n"] != plain["n"]).any()
    assert (table("--region", "none")["auroc"] != plain["auroc"]).all()
    assert (table("--prevalence", "0.5")["ece"] != plain["ece"]).all()
    assert (table("--seed", "4")["auroc_low"] != plain["auroc_low"]).any()
    pd.testing.assert_frame_equal(table("--batch-size", "7"), plain, atol=1e-5)
    crossed = table("--task", "QKI_PARCLIP=PUM2_PARCLIP", "--task", "ELAVL1_PARCLIP")
    assert list(crossed["label_task"]) == ["PUM2_PARCLIP", "ELAVL1_PARCLIP"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "tset"], "unknown split 'tset'"),
        (["--task", "QKI"], "unknown task 'QKI'. Did you mean 'QKI_PARCLIP'"),
        (["--prevalence", "2"], "expected a number between 0 and 1"),
        (["-o", "/no/such/folder/out"], "expected an existing folder /no/such/folder"),
    ],
)
def test_command_errors_are_one_line(toy_path, model_directory, tmp_path, capsys, options, message):
    arguments = ["evaluate", str(model_directory), str(toy_path), "-o", str(tmp_path / "out"), *options]
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_mismatched_tasks_and_missing_data_set(toy_path, tmp_path, capsys):
    stranger = write_model(tmp_path / "stranger", random_model(("A_PARCLIP", "B_PARCLIP")))
    assert main(["evaluate", str(stranger), str(toy_path), "-o", str(tmp_path / "out")]) == 2
    assert "expected labels for every output of DeepRiPe/toy, got none for 2 of 2" in capsys.readouterr().err
    assert main(["evaluate", str(stranger), "none.h5", "-o", str(tmp_path / "out")]) == 2
    assert "none.h5: no such data set" in capsys.readouterr().err


def test_undefined_tasks_are_shown_not_dropped(tmp_path, toy_path, tiny_model):
    scored = score_dataset(tiny_model, toy_path, options=Options(n_bootstrap=10))
    labels = scored.labels.copy()
    labels[labels[:, 0] == 1, 0] = 0
    labels[:, 1] = -1
    broken = Evaluation(**{**vars(scored), "labels": labels})
    write_evaluation(broken, tmp_path / "out")
    metrics = pd.read_csv(tmp_path / "out" / "metrics.csv")
    own = metrics[metrics["negatives"] == "own"].set_index("task")
    assert own.loc["QKI_PARCLIP", "reason"] == "no positive"
    assert own.loc["PUM2_PARCLIP", "reason"] == "no labelled window"
    assert own["auroc"].isna().tolist() == [True, True, False]
    assert "2 tasks are not defined here" in (tmp_path / "out" / "report.html").read_text()
    with pytest.raises(OutputError, match="exists already"):
        write_evaluation(broken, tmp_path / "out")


@pytest.mark.slow
def test_the_same_evaluation_gives_the_same_bytes(tmp_path, toy_path, tiny_model):
    scored = score_dataset(tiny_model, toy_path, options=Options(n_bootstrap=10))
    for name in ("a", "b"):
        write_evaluation(scored, tmp_path / name, with_predictions=True)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) == 7 + 2 * 6 + 1
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes(), path
    assert np.isfinite(scored.scores).all()
