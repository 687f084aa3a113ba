"""Metrics against scikit-learn, slow obvious versions, and closed forms."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as judge

from ripe_lib.errors import InputError, ShapeMismatchError
from ripe_lib.evaluation import metrics


def _pairs_auroc(labels, scores):
    """Slow obvious version: every (positive, negative) pair."""
    wins = [1.0 if p > n else 0.5 if p == n else 0.0 for p in scores[labels == 1] for n in scores[labels == 0]]
    return np.mean(wins)


@st.composite
def labelled_scores(draw):
    n = draw(st.integers(2, 60))
    labels = np.array(draw(st.lists(st.sampled_from([0, 1]), min_size=n, max_size=n)))
    labels[0], labels[1] = 1, 0
    # Few distinct values: ties are the hard case.
    scores = np.array(draw(st.lists(st.integers(0, 6), min_size=n, max_size=n)), dtype=float) / 6
    return labels, scores


@given(labelled_scores())
@settings(max_examples=150)
def test_auroc_and_ap_equal_scikit_learn_with_ties(case):
    labels, scores = case
    assert metrics.auroc(labels, scores) == pytest.approx(judge.roc_auc_score(labels, scores), abs=1e-12)
    assert metrics.auroc(labels, scores) == pytest.approx(_pairs_auroc(labels, scores), abs=1e-12)
    assert metrics.average_precision(labels, scores) == pytest.approx(
        judge.average_precision_score(labels, scores), abs=1e-12
    )


@given(labelled_scores())
@settings(max_examples=60)
def test_curves_enclose_the_areas(case):
    labels, scores = case
    roc, pr = metrics.curves(labels, scores).values()
    assert judge.auc(roc.x, roc.y) == pytest.approx(metrics.auroc(labels, scores))
    assert (np.diff(pr.x) * pr.y[1:]).sum() == pytest.approx(metrics.average_precision(labels, scores))
    assert roc[["x", "y"]].iloc[[0, -1]].to_numpy().tolist() == [[0, 0], [1, 1]]
    for x, y, threshold in roc.itertuples(index=False):
        called = scores >= threshold
        assert x == pytest.approx(called[labels == 0].mean())
        assert y == pytest.approx(called[labels == 1].mean())


def test_table_of_many_tasks_masks_per_task(rng):
    labels = rng.integers(-1, 2, (500, 4))
    scores = rng.random((500, 4)).round(2)
    table = metrics.task_metrics(labels, scores, tasks=list("abcd"))
    assert list(table["task"]) == list("abcd")
    for column, row in table.iterrows():
        known = labels[:, column] >= 0
        assert row["n"] == known.sum()
        assert row["n_pos"] == (labels[:, column] == 1).sum()
        assert row["n_neg"] == (labels[:, column] == 0).sum()
        assert row["auroc"] == pytest.approx(judge.roc_auc_score(labels[known, column], scores[known, column]))
        assert row["ap"] == pytest.approx(judge.average_precision_score(labels[known, column], scores[known, column]))
        assert row["reason"] == ""
    # Scores of unknown windows have no influence at all.
    moved = np.where(labels < 0, rng.random(labels.shape), scores)
    pd.testing.assert_frame_equal(table, metrics.task_metrics(labels, moved, tasks=list("abcd")))


def test_undefined_tasks_are_reported_with_their_reason():
    labels = np.array([[1, 0, -1, 1], [1, 0, -1, 0], [-1, 0, -1, 0]])
    table = metrics.task_metrics(labels, np.full(labels.shape, 0.5), n_bootstrap=10, rng=np.random.default_rng(0))
    assert list(table["reason"]) == ["no negative", "no positive", "no labelled window", ""]
    assert table["auroc"].isna().tolist() == [True, True, True, False]
    assert table["ap"].isna().tolist() == [True, True, True, False]
    assert table["auroc"].iloc[3] == 0.5
    assert list(table["n"]) == [2, 3, 0, 3]


def test_bootstrap_weights_equal_resampled_rows(rng):
    """A draw scored by counts equals scikit-learn on the literally repeated rows."""
    labels = rng.integers(0, 2, 40)
    scores = (labels + rng.normal(0, 1, 40)).round(1)
    counts = rng.integers(0, 4, 40)
    ranked = metrics._Ranked(scores)
    area, ap = ranked.auroc_and_ap(
        np.where(labels == 1, counts, 0)[None].astype(float), np.where(labels == 0, counts, 0)[None].astype(float)
    )
    rows = np.repeat(np.arange(40), counts)
    assert area[0] == pytest.approx(judge.roc_auc_score(labels[rows], scores[rows]))
    assert ap[0] == pytest.approx(judge.average_precision_score(labels[rows], scores[rows]))


def test_bootstrap_is_seeded_stratified_and_independent_of_memory(rng, monkeypatch):
    labels = np.repeat([1, 0, -1], [30, 120, 10])
    scores = labels + rng.normal(0, 1, 160)
    first = metrics.bootstrap(labels, [scores], n_bootstrap=200, rng=np.random.default_rng(5))
    monkeypatch.setattr(metrics, "_BOOTSTRAP_CELLS", 1000)
    again = metrics.bootstrap(labels, [scores], n_bootstrap=200, rng=np.random.default_rng(5))
    other = metrics.bootstrap(labels, [scores], n_bootstrap=200, rng=np.random.default_rng(6))
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])
    counts = metrics._resampled_counts(np.arange(7), 50, np.random.default_rng(1))
    assert (counts.sum(axis=1) == 7).all()


def test_windows_of_a_locus_are_drawn_together(rng):
    groups = np.array([5, 5, 5, 9, 2, 2])
    counts = metrics._resampled_counts(groups, 200, np.random.default_rng(1))
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 0] == counts[:, 2]).all()
    assert (counts[:, 4] == counts[:, 5]).all()
    assert (counts[:, [0, 3, 4]].sum(axis=1) == 3).all()
    # Copies of every window are no new evidence: the interval stays as wide as with one of each.
    labels = np.repeat([1, 0], [40, 160])
    scores = labels + rng.normal(0, 1, 200)
    single = metrics.bootstrap(labels, [scores], n_bootstrap=300, rng=np.random.default_rng(3))[0]
    copies = metrics.bootstrap(
        np.repeat(labels, 5),
        [np.repeat(scores, 5)],
        n_bootstrap=300,
        rng=np.random.default_rng(3),
        groups=np.repeat(np.arange(200), 5),
    )[0]
    np.testing.assert_allclose(copies, single, atol=1e-9)


def test_bootstrap_interval_agrees_with_the_known_standard_error():
    """Hanley-McNeil by simulation: the interval's width is that of fresh samples."""
    generator = np.random.default_rng(11)

    def sample():
        labels = np.repeat([1, 0], [100, 400])
        return labels, labels * 1.2 + generator.normal(0, 1, 500)

    fresh = np.std([metrics.auroc(*sample()) for _ in range(300)])
    widths = []
    for _ in range(20):
        labels, scores = sample()
        drawn, _ = metrics.bootstrap(labels, [scores], n_bootstrap=200, rng=generator)
        widths.append(drawn[:, 0].std())
    assert np.mean(widths) == pytest.approx(fresh, rel=0.15)


def test_paired_draws_of_equal_scores_have_no_difference(rng):
    labels = rng.integers(0, 2, 100)
    scores = rng.normal(size=100)
    area, ap = metrics.bootstrap(labels, [scores, scores * 3 + 1], n_bootstrap=50, rng=rng)
    np.testing.assert_allclose(area[:, 0], area[:, 1])
    np.testing.assert_allclose(ap[:, 0], ap[:, 1])
    assert area[:, 0].std() > 0


def test_intervals_contain_the_estimate(rng):
    labels = np.repeat([1, 0], [50, 200])
    scores = 1 / (1 + np.exp(-(labels + rng.normal(0, 1, 250))))
    row = metrics.task_metrics(labels, scores, n_bootstrap=300, rng=np.random.default_rng(1)).iloc[0]
    assert row.auroc_low < row.auroc < row.auroc_high
    assert row.ap_low < row.ap < row.ap_high
    assert metrics.interval(np.arange(1001.0)) == pytest.approx((25, 975))


def test_reliability_of_perfect_and_shifted_probabilities():
    generator = np.random.default_rng(3)
    p = generator.random(200_000)
    labels = (generator.random(200_000) < p).astype(int)
    assert metrics.calibration_error(labels, p) < 0.01
    assert metrics.calibration_error(labels, np.full(p.shape, 0.5)) < 0.01
    assert metrics.calibration_error(labels, np.full(p.shape, 0.9)) == pytest.approx(0.4, abs=0.01)
    curve = metrics.reliability_curve(labels, p)
    assert curve["weight"].sum() == pytest.approx(1)
    np.testing.assert_allclose(curve["observed"], curve["low"] + 0.05, atol=0.02)


def test_reliability_at_a_stated_prevalence_equals_resampling():
    """Weighing to one positive in five equals dropping positives until that is their share."""
    generator = np.random.default_rng(4)
    labels = np.repeat([1, 0], [100_000, 100_000])
    p = 1 / (1 + np.exp(-(2 * labels - 1 + generator.normal(0, 1, 200_000))))
    thinned = np.r_[np.arange(25_000), np.arange(100_000, 200_000)]
    weighted = metrics.calibration_error(labels, p, prevalence=0.2)
    assert weighted == pytest.approx(metrics.calibration_error(labels[thinned], p[thinned]), abs=0.005)
    # Calibrated at one half; Bayes' shift makes it right at 0.2.
    exact = 1 / (1 + np.exp(-2 * (2 * labels - 1 + generator.normal(0, 1, 200_000))))
    assert metrics.calibration_error(labels, exact) < 0.01
    assert metrics.calibration_error(labels, exact, prevalence=0.2) > 0.05
    shifted = metrics.shift_prevalence(exact, source=0.5, target=0.2)
    assert metrics.calibration_error(labels, shifted, prevalence=0.2) < 0.01


def test_prevalence_shift_is_bayes_and_reversible():
    p = np.array([0.0, 0.1, 0.5, 1.0])
    there = metrics.shift_prevalence(p, source=0.5, target=0.2)
    np.testing.assert_allclose(there[2], 0.2)
    np.testing.assert_allclose(metrics.shift_prevalence(there, source=0.2, target=0.5), p)
    with pytest.raises(InputError, match="prevalence between 0 and 1"):
        metrics.shift_prevalence(p, source=0, target=0.2)


def test_wrong_input_is_named():
    with pytest.raises(InputError, match=r"got 1 that are not \(first: window 1, task 0\)"):
        metrics.task_metrics(np.array([1, 0]), np.array([0.1, np.nan]))
    with pytest.raises(ShapeMismatchError, match="of one shape"):
        metrics.task_metrics(np.array([1, 0]), np.array([0.1]))
    with pytest.raises(InputError, match="expected labels -1"):
        metrics.task_metrics(np.array([1, 2]), np.array([0.1, 0.2]))
    with pytest.raises(ShapeMismatchError, match="expected 1 task names, got 2"):
        metrics.task_metrics(np.array([1, 0]), np.array([0.1, 0.2]), tasks=["a", "b"])
    with pytest.raises(InputError, match="expected rng"):
        metrics.task_metrics(np.array([1, 0]), np.array([0.1, 0.2]), n_bootstrap=5)
    with pytest.raises(InputError, match="expected probabilities in"):
        metrics.reliability_curve(np.array([1, 0]), np.array([0.1, 1.2]))
    with pytest.raises(InputError, match="at least one labelled window"):
        metrics.curves(np.array([-1]), np.array([0.1]))


def test_mean_over_tasks_leaves_out_undefined_ones_and_says_how_many(rng):
    labels = rng.integers(0, 2, (300, 3))
    labels[:, 2] = 1
    scores = 0.3 * labels + rng.random((300, 3)) * 0.7
    table, draws = metrics.task_metrics_and_draws(labels, scores, n_bootstrap=200, rng=rng)
    mean = metrics.mean_metrics(table, draws)
    assert (mean["n_tasks"], mean["n_undefined"]) == (2, 1)
    assert mean["auroc"] == pytest.approx(table["auroc"][:2].mean())
    assert mean["ap_median"] == pytest.approx(table["ap"][:2].median())
    # Averaging over independent tasks narrows the interval.
    assert mean["auroc_low"] < mean["auroc"] < mean["auroc_high"]
    assert mean["auroc_high"] - mean["auroc_low"] < (table["auroc_high"] - table["auroc_low"])[:2].mean()
    nothing = metrics.mean_metrics(*metrics.task_metrics_and_draws(labels[:, 2:], scores[:, 2:]))
    assert nothing["n_tasks"] == 0
    assert np.isnan(nothing["auroc"])
