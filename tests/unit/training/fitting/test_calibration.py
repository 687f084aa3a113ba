"""Platt scaling and its folding into the output layer."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from ripe_lib.evaluation import metrics
from training.fitting import calibration


def _sample(rng, n=4000, scale=2.0, offset=-1.0):
    """Logits whose calibrated form is scale * z + offset."""
    z = rng.normal(0, 1.5, n)
    return (rng.random(n) < expit(scale * z + offset)).astype(int), z


def test_platt_recovers_scale_and_offset(rng):
    labels, z = _sample(rng, 100_000)
    fit = calibration.fit_platt(labels, z, prevalence=None)
    np.testing.assert_allclose([fit.scale[0], fit.offset[0]], [2, -1], atol=0.05)
    assert fit.reason == [""]


def test_platt_equals_weighted_logistic_regression(rng):
    labels, z = _sample(rng, 20_000)
    fit = calibration.fit_platt(labels, z, prevalence=0.2)
    weight = metrics.prevalence_weights(labels, 0.2) * len(labels)
    judge = LogisticRegression(C=1e10, tol=1e-10).fit(z[:, None], labels, sample_weight=weight)
    # Platt's smoothed targets differ from 0 and 1 by 1e-4 here.
    np.testing.assert_allclose([fit.scale[0], fit.offset[0]], [judge.coef_[0, 0], judge.intercept_[0]], rtol=0.01)


def test_platt_makes_probabilities_right_at_the_stated_prevalence(rng):
    labels, z = _sample(rng, 60_000, scale=0.6, offset=1.0)
    before = metrics.calibration_error(labels, expit(z), prevalence=0.2)
    fit = calibration.fit_platt(labels, z, prevalence=0.2)
    after = metrics.calibration_error(labels, expit(fit.scale * z + fit.offset), prevalence=0.2)
    assert before > 0.15
    assert after < 0.02


def test_platt_ignores_unknown_and_survives_separable_and_hopeless_tasks(rng):
    labels, z = _sample(rng)
    masked = np.where(rng.random(len(labels)) < 0.3, -1, labels)
    junk = np.where(masked < 0, 1e3, z)
    assert calibration.fit_platt(masked, junk).scale == pytest.approx(calibration.fit_platt(masked, z).scale)
    separable = calibration.fit_platt(labels, np.where(labels == 1, 3.0, -3.0))
    assert np.isfinite([separable.scale, separable.offset]).all()
    reversed_fit = calibration.fit_platt(labels, -z)
    assert (reversed_fit.scale[0], reversed_fit.offset[0]) == (1, 0)
    assert "do not rise" in reversed_fit.reason[0]
    few = calibration.fit_platt(labels[:20], z[:20])
    assert few.scale[0] == 1
    assert "too few windows" in few.reason[0]


def test_folding_calibrates_the_network_itself(tiny_model, rng):
    from ripe_lib.network.architecture import build_model
    from ripe_lib.network.weights import arrays_of, set_arrays

    scale, offset = np.array([0.5, 2.0, 1.0]), np.array([1.0, -0.3, 0.0])
    arrays = arrays_of(tiny_model.keras_model)
    kept = [a.copy() for a in arrays["output"]]
    folded = calibration.fold_calibration(arrays, scale, offset)
    for before, after in zip(kept, arrays["output"], strict=True):
        np.testing.assert_array_equal(before, after)
    network = build_model(tiny_model.spec)
    set_arrays(network, folded, "folded")
    seq = rng.dirichlet(np.ones(4), (16, 150)).astype(np.float32)
    region = rng.dirichlet(np.ones(4), (16, 250)).astype(np.float32)
    plain = np.asarray(tiny_model.keras_model([seq, region]))
    got = np.asarray(network([seq, region]))
    expected = expit(scale * calibration.logit(plain) + offset)
    np.testing.assert_allclose(got, expected, atol=2e-6)


def test_sigmoid_and_logit_are_inverse_and_do_not_overflow():
    x = np.linspace(-12, 12, 25)
    np.testing.assert_allclose(calibration.logit(expit(x)), x, atol=1e-6)
    assert np.isfinite(calibration.logit(np.array([0.0, 1.0]))).all()
