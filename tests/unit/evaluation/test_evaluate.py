"""Measuring a model on a data set: which windows count, and what goes wrong."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from ripe_lib import evaluate as public_evaluate
from ripe_lib.errors import InputError, ShapeMismatchError, UnknownNameError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.evaluate import Options, evaluate, proteins_of, score_dataset
from ripe_lib.network.predict import predict, predict_codes
from tests.support.planted_datasets import PLANTED, write_planted_dataset
from tests.support.toy_models import random_model

FAST = Options(n_bootstrap=50)


@pytest.fixture(scope="module")
def toy_dataset(tmp_path_factory):
    return Dataset(write_planted_dataset(tmp_path_factory.mktemp("data") / "toy.h5"))


@pytest.fixture(scope="module")
def scored(toy_dataset, tiny_model):
    return score_dataset(tiny_model, toy_dataset, options=FAST)


def test_numbers_equal_predict_and_scikit_learn(toy_dataset, tiny_model):
    table = evaluate(tiny_model, toy_dataset, options=FAST)
    rows = toy_dataset.indices("test")
    probabilities = predict_codes(tiny_model, *toy_dataset.centred_codes(rows))
    for column, row in table.iterrows():
        labels = toy_dataset.labels[rows, column]
        known = labels >= 0
        assert (row["task"], row["n"]) == (toy_dataset.tasks[column], known.sum())
        assert row["auroc"] == pytest.approx(roc_auc_score(labels[known], probabilities[known, column]))
        assert row["ap"] == pytest.approx(average_precision_score(labels[known], probabilities[known, column]))
        assert row["auroc_low"] < row["auroc"] < row["auroc_high"]
        assert 0 <= row["ece"] <= 1
    assert public_evaluate is evaluate


def test_the_same_call_gives_the_same_table_and_another_seed_other_intervals(toy_dataset, tiny_model, scored):
    again = evaluate(tiny_model, toy_dataset, options=FAST, batch_size=17)
    pd.testing.assert_frame_equal(scored.table(), again, atol=1e-6)
    other = evaluate(tiny_model, toy_dataset, options=Options(n_bootstrap=50, seed=1))
    assert (other["auroc_low"] != again["auroc_low"]).all()
    np.testing.assert_allclose(other["auroc"], again["auroc"], atol=1e-6)


def test_unknown_windows_are_never_own_negatives(scored):
    own, other = scored.table("own"), scored.table("other")
    assert (own["n_neg"] == (scored.labels == 0).sum(axis=0)).all()
    assert (own["n_pos"] == other["n_pos"]).all()
    positive = scored.labels == 1
    elsewhere = positive.any(axis=1, keepdims=True) & ~positive
    assert (other["n_neg"] == elsewhere.sum(axis=0)).all()
    np.testing.assert_array_equal(scored.labels_with("other"), np.where(positive, 1, np.where(elsewhere, 0, -1)))


def test_sites_of_the_same_protein_are_not_other_proteins_sites(tmp_path):
    tasks = ("ELAVL1_PARCLIP", "ELAVL1_CLIPSEQ", "AGO1234_PARCLIP", "AGO2_CLIPSEQ", "QKI_PARCLIP")
    data = Dataset(write_planted_dataset(tmp_path / "kin.h5", tasks, n_per_task=10))
    scored = score_dataset(random_model(tasks), data, split="all", options=FAST)
    positive = scored.labels == 1
    elavl, qki = scored.bound_elsewhere[:, 0], scored.bound_elsewhere[:, 4]
    assert not elavl[positive[:, :2].any(axis=1)].any()
    assert elavl[positive[:, 4] & ~positive[:, :2].any(axis=1)].all()
    assert qki[positive[:, :4].any(axis=1) & ~positive[:, 4]].all()
    assert proteins_of("AGO1234_PARCLIP") & proteins_of("AGO2_CLIPSEQ")
    assert proteins_of("XYZ_ECLIP_K562") == {"XYZ"}


def test_region_none_withholds_the_region_track(toy_dataset, tiny_model):
    scored = score_dataset(tiny_model, toy_dataset, region="none")
    seq, _ = toy_dataset.centred_codes(toy_dataset.indices("test"))
    np.testing.assert_allclose(scored.scores, predict_codes(tiny_model, seq, None), atol=1e-6)
    assert scored.region == "none"
    with_region = score_dataset(tiny_model, toy_dataset)
    assert np.abs(with_region.scores - scored.scores).max() > 1e-3


def test_shorter_windows_of_a_model_are_the_middle_of_the_stored_ones(toy_dataset):
    short = random_model(sequence_length=120, region_length=200)
    scored = score_dataset(short, toy_dataset)
    rows = toy_dataset.indices("test")
    windows = toy_dataset.windows(rows)
    expected = predict(short, {"seq": windows.seq[:, 15:135], "region": windows.region[:, 25:225]})
    np.testing.assert_allclose(scored.scores, expected, atol=1e-6)
    longer = random_model(sequence_length=190, region_length=250)
    assert score_dataset(longer, toy_dataset).scores.shape == scored.scores.shape
    with pytest.raises(ShapeMismatchError, match="sequence windows of at least 192 nt"):
        score_dataset(random_model(sequence_length=192), toy_dataset)


def test_one_output_on_another_experiments_sites(toy_dataset, tiny_model, scored):
    crossed = score_dataset(tiny_model, toy_dataset, tasks={"QKI_PARCLIP": "PUM2_PARCLIP"}, options=FAST)
    table = crossed.table()
    assert list(table[["task", "label_task"]].iloc[0]) == ["QKI_PARCLIP", "PUM2_PARCLIP"]
    labels, scores = scored.labels[:, 1], scored.scores[:, 0]
    assert table["auroc"].iloc[0] == pytest.approx(roc_auc_score(labels[labels >= 0], scores[labels >= 0]))


def test_tables_behind_the_pictures_add_up(scored):
    histogram = scored.score_histogram()
    for column, task in enumerate(scored.tasks):
        mine = histogram[histogram["task"] == task].groupby("group")["n"].sum()
        assert mine["positive"] == (scored.labels[:, column] == 1).sum()
        assert mine["negative"] == (scored.labels[:, column] == 0).sum()
        assert mine["other"] == scored.bound_elsewhere[:, column].sum()
    curves = scored.curves("other")
    roc = curves[(curves["task"] == "QKI_PARCLIP") & (curves["curve"] == "roc")]
    assert np.trapz(roc["y"], roc["x"]) == pytest.approx(scored.table("other")["auroc"][0])  # noqa: NPY201
    reliability = scored.reliability()
    np.testing.assert_allclose(reliability.groupby("task")["weight"].sum(), 1)
    weighted = reliability["weight"] * (reliability["observed"] - reliability["predicted"]).abs()
    ece = weighted.groupby(reliability["task"]).sum()
    np.testing.assert_allclose(ece[scored.tasks], scored.table()["ece"])


def test_kmers_of_the_best_positives_show_what_the_model_likes(scored):
    from dataclasses import replace

    # A "model" that scores by the planted word of QKI, hidden in half of PUM2's sites.
    column = scored.tasks.index("PUM2_PARCLIP")
    codes, scores = scored.seq_codes.copy(), scored.scores.copy()
    positives = np.flatnonzero(scored.labels[:, column] == 1)
    liked = positives[::2]
    codes[liked, 70:76] = [0, 1, 3, 0, 0, 1]
    scores[:, column] = 0.1
    scores[liked, column] = 0.9
    changed = replace(scored, seq_codes=codes, scores=scores)
    table = changed.top_and_bottom_kmers("PUM2_PARCLIP", fraction=0.5)
    assert table["kmer"][0] == "ACUAAC"
    assert table["bottom_sites"][0] == 0
    assert table["n_top"][0] == len(positives) // 2
    assert "ACUAAC" not in set(changed.top_and_bottom_kmers("PUM2_PARCLIP", fraction=0.5, span=6)["kmer"])


def test_undefined_tasks_stay_in_the_table(tmp_path, tiny_model):
    path = write_planted_dataset(tmp_path / "toy.h5", n_per_task=12)
    data = Dataset(path)
    data.labels[data.labels[:, 1] == 1, 1] = -1
    scored = score_dataset(tiny_model, data, split="all", options=FAST)
    table = scored.table()
    assert list(table["task"]) == list(PLANTED)
    assert table["reason"].tolist() == ["", "no positive", ""]
    summary = scored.summary()
    assert (summary["n_tasks"], summary["n_undefined"]) == (2, 1)
    assert set(scored.curves()["task"]) == {"QKI_PARCLIP", "ELAVL1_PARCLIP"}
    assert scored.top_and_bottom_kmers("PUM2_PARCLIP").empty


def test_wrong_input_is_one_clear_line(tmp_path, toy_dataset, tiny_model):
    stranger = random_model(("QKI_PARCLIP", "PUM2_ECLIP"))
    with pytest.raises(InputError, match=r"got none for 1 of 2 \(PUM2_ECLIP\)"):
        evaluate(stranger, toy_dataset)
    with pytest.raises(UnknownNameError, match=r"unknown task 'PUM2'. Did you mean 'PUM2_PARCLIP'"):
        evaluate(tiny_model, toy_dataset, tasks=["PUM2"])
    with pytest.raises(UnknownNameError, match="unknown split 'tset'"):
        evaluate(tiny_model, toy_dataset, split="tset")
    with pytest.raises(UnknownNameError, match="unknown region choice"):
        evaluate(tiny_model, toy_dataset, region="gtf")
    with pytest.raises(InputError, match="at least one task"):
        evaluate(tiny_model, toy_dataset, tasks=[])
    trained_only = write_planted_dataset(tmp_path / "train.h5", n_per_task=5, splits=(1, 0, 0))
    with pytest.raises(InputError, match="expected rows in split 'test', got none"):
        evaluate(tiny_model, trained_only)
    with pytest.raises(InputError, match="expected negatives to be one of"):
        evaluate(tiny_model, toy_dataset, negatives="both")
    broken = random_model()
    weights = broken.keras_model.get_layer("output").get_weights()
    weights[1][1] = np.nan
    broken.keras_model.get_layer("output").set_weights(weights)
    with pytest.raises(InputError, match=r"expected finite predictions, got \d+ that are not"):
        evaluate(broken, toy_dataset)
