"""Attributions: closed forms, finite differences, completeness, golden values, and what users get wrong."""

import warnings

import h5py
import numpy as np
import pytest

from ripe_lib.attribution.compute import gradient_x_input, input_gradients, integrated_gradients, ism, saliency
from ripe_lib.attribution.gradients import path_points
from ripe_lib.attribution.maps import CompletenessWarning, is_gap_large, known_bases, letter_scores
from ripe_lib.errors import InputError, ShapeMismatchError, UnknownNameError
from ripe_lib.network.predict import predict
from tests.support.explaining import linear_model, naive_ism, random_sites
from tests.support.numpy_network import numpy_logits, sigmoid

TASK, OTHER, THIRD = "QKI_PARCLIP", "PUM2_PARCLIP", "ELAVL1_PARCLIP"

pytestmark = pytest.mark.filterwarnings("ignore::ripe_lib.attribution.maps.CompletenessWarning")


@pytest.fixture
def sites(rng):
    return random_sites(rng, 6, unknown=0.05)


# --- closed forms and oracles --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["midpoint", "left", "trapezoid"])
@pytest.mark.parametrize("baseline", ["paper", "zeros"])
def test_linear_model_gives_weight_times_difference(rng, rule, baseline):
    model, seq_weights, region_weights = linear_model(rng)
    sites = random_sites(rng, 3, sequence_length=20, region_length=30, unknown=0.1)
    # 64 steps: weights 1/64 sum to exactly one.
    maps = integrated_gradients(model, sites, task="b", n_steps=64, rule=rule, baseline=baseline, output="logit")
    np.testing.assert_array_equal(maps.seq, seq_weights[..., 1] * sites["seq"])
    start = 0.25 if baseline == "paper" else 0
    np.testing.assert_array_equal(maps.region, region_weights[..., 1] * (sites["region"] - start))
    assert np.abs(maps.gap).max() < 1e-5


def test_gradients_equal_finite_differences(tiny_model, rng):
    # Off the corners: in one-hot windows, runs of one letter tie in the max-pooling, where no gradient is defined.
    sites = {k: (v + rng.normal(0, 0.05, v.shape)).astype(np.float32) for k, v in random_sites(rng, 1).items()}
    step = 1e-6
    for output in ("logit", "probability"):
        maps = input_gradients(tiny_model, sites, task=OTHER, output=output)

        def value(seq, region, output=output):
            logit = numpy_logits(tiny_model, seq, region)[:, 1]
            return logit if output == "logit" else sigmoid(logit)

        for name, found in (("seq", maps.seq[0]), ("region", maps.region[0])):
            for position, channel in zip(rng.integers(0, len(found), 25), rng.integers(0, 4, 25), strict=True):
                shifted = {key: [array.astype(np.float64)] * 2 for key, array in sites.items()}
                for side, sign in enumerate((1, -1)):
                    copy = shifted[name][side].copy()
                    copy[0, position, channel] += sign * step
                    shifted[name] = [copy if i == side else a for i, a in enumerate(shifted[name])]
                up, down = (value(shifted["seq"][i], shifted["region"][i])[0] for i in range(2))
                expected = (up - down) / (2 * step)
                assert found[position, channel] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_integral_equals_a_slow_sum_over_the_path(tiny_model, rng):
    sites = random_sites(rng, 2)
    n = 7
    maps = integrated_gradients(tiny_model, sites, task=TASK, n_steps=n, rule="midpoint")
    seq, region = np.zeros_like(sites["seq"]), np.zeros_like(sites["region"])
    for s in range(n):
        t = (s + 0.5) / n
        point = {"seq": t * sites["seq"], "region": 0.25 + t * (sites["region"] - 0.25)}
        gradients = input_gradients(tiny_model, point, task=TASK)
        seq += gradients.seq / n
        region += gradients.region / n
    np.testing.assert_allclose(maps.seq, seq * sites["seq"], atol=1e-6)
    np.testing.assert_allclose(maps.region, region * (sites["region"] - 0.25), atol=1e-6)


def test_saliency_and_gradient_x_input_come_from_the_gradient(tiny_model, sites):
    gradient = input_gradients(tiny_model, sites, task=[TASK, OTHER], output="logit")
    absolute = saliency(tiny_model, sites, task=[TASK, OTHER], output="logit")
    product = gradient_x_input(tiny_model, sites, task=[TASK, OTHER], output="logit")
    np.testing.assert_array_equal(absolute.seq, np.abs(gradient.seq))
    np.testing.assert_array_equal(absolute.region, np.abs(gradient.region))
    np.testing.assert_array_equal(product.seq, gradient.seq * sites["seq"][:, None])
    np.testing.assert_array_equal(product.region, gradient.region * sites["region"][:, None])
    assert np.isnan(product.gap).all()
    one = gradient_x_input(tiny_model, sites, task=OTHER, output="logit")
    np.testing.assert_allclose(one.seq, product.seq[:, 1], atol=1e-6)


def test_legacy_golden_values(shared_data):
    """``left`` + zeros + probability is what the published software computes (shared/data/legacy/README.md)."""
    from ripe_lib.network.architecture import build_model
    from ripe_lib.network.load import Model
    from ripe_lib.network.spec import ModelSpec

    folder = shared_data / "legacy"
    spec = ModelSpec("legacy", [f"task{i}" for i in range(21)], inputs="sequence")
    network = build_model(spec)
    with h5py.File(folder / "parclip_seq.h5", "r") as handle:
        for layer in network.layers:
            if layer.weights:
                group = handle["model_weights"][layer.name]
                layer.set_weights([group[name][()] for name in group.attrs["weight_names"]])
    model = Model(spec, network)
    with np.load(folder / "parclip_seq_golden.npz") as golden:
        seq = golden["seq"][golden["ig_case_index"]]
        tasks = [f"task{i}" for i in golden["ig_task"]]
        expected, few = golden["ig_zero_seq"], golden["ig_zero_steps10_seq"]
        total, change = golden["ig_zero_sum"], golden["ig_zero_delta_f"]
    options = {"task": tasks, "baseline": "zeros", "rule": "left", "output": "probability"}
    maps = integrated_gradients(model, seq, n_steps=50, **options)
    assert maps.region is None
    np.testing.assert_allclose(maps.seq, expected, atol=1e-6, rtol=0)
    np.testing.assert_allclose(maps.gap, total - change, atol=1e-6, rtol=0)
    np.testing.assert_allclose(integrated_gradients(model, seq[:2], n_steps=10, **options).seq, few, atol=1e-6, rtol=0)


# --- identities ----------------------------------------------------------------------------------------------------


def assert_same_maps(found, expected):
    """Equal to 1e-6, but for places where a near tie in a max pooling falls otherwise (sums in another order)."""
    difference = np.abs(found - expected)
    assert np.mean(difference > 1e-6) < 0.05
    assert difference.max() < 1e-3


def test_order_and_size_of_batches_change_nothing(tiny_model, rng):
    sites = random_sites(rng, 9, unknown=0.1)
    options = {"task": [TASK, THIRD], "n_steps": 20}
    whole = integrated_gradients(tiny_model, sites, **options)
    order = rng.permutation(9)
    mixed = integrated_gradients(tiny_model, {k: v[order] for k, v in sites.items()}, **options)
    for batch_size in (1, 7, 33, 512):
        parts = integrated_gradients(tiny_model, sites, batch_size=batch_size, **options)
        for name in ("seq", "region", "gap"):
            assert_same_maps(getattr(parts, name), getattr(whole, name))
    for name in ("seq", "region", "gap"):
        assert_same_maps(getattr(mixed, name), getattr(whole, name)[order])


def test_a_task_does_not_depend_on_the_other_tasks(tiny_model, sites):
    alone = integrated_gradients(tiny_model, sites, task=OTHER, n_steps=10)
    for tasks in ([TASK, OTHER, THIRD], [THIRD, OTHER], [OTHER]):
        found = integrated_gradients(tiny_model, sites, task=tasks, n_steps=10)
        assert found.seq.shape == (6, len(tasks), 150, 4)
        one = found.for_task(tasks.index(OTHER))
        np.testing.assert_allclose(one.seq, alone.seq, atol=1e-6, rtol=0)
        np.testing.assert_allclose(one.region, alone.region, atol=1e-6, rtol=0)
        np.testing.assert_allclose(one.gap, alone.gap, atol=1e-6, rtol=0)


def test_more_tasks_than_share_a_call(rng):
    from tests.support.toy_models import random_model

    tasks = [f"t{i}" for i in range(10)]
    model = random_model(tasks, sizes={"filters": 6, "merged_filters": 6, "hidden": 8})
    sites = random_sites(rng, 2)
    found = integrated_gradients(model, sites, task=tasks, n_steps=5)
    last = integrated_gradients(model, sites, task="t9", n_steps=5)
    np.testing.assert_allclose(found.seq[:, 9], last.seq, atol=1e-6, rtol=0)


def test_gap_is_the_sum_minus_the_change_of_the_output(tiny_model, sites):
    zero = {"seq": np.zeros((1, 150, 4)), "region": np.full((1, 250, 4), 0.25)}
    change = (predict(tiny_model, sites) - predict(tiny_model, zero))[:, 0]
    gaps = []
    for n_steps in (5, 50, 500):
        maps = integrated_gradients(tiny_model, sites, task=TASK, n_steps=n_steps)
        total = maps.seq.sum(axis=(1, 2)) + maps.region.sum(axis=(1, 2))
        np.testing.assert_allclose(maps.gap, total - change, atol=1e-5)
        gaps.append(np.abs(maps.gap).mean())
    assert gaps[0] > gaps[1] > gaps[2]


def test_missing_region_is_unknown_and_gets_exactly_nothing(tiny_model, sites):
    maps = integrated_gradients(tiny_model, {"seq": sites["seq"]}, task=TASK, n_steps=10)
    assert maps.region.shape == (6, 250, 4)
    assert not maps.region.any()
    zeros = integrated_gradients(tiny_model, {"seq": sites["seq"]}, task=TASK, n_steps=10, baseline="zeros")
    assert zeros.region.any()


def test_baselines_as_numbers_and_arrays(tiny_model, sites):
    paper = integrated_gradients(tiny_model, sites, task=TASK, n_steps=10)
    spelled = [
        {"seq": 0},
        {"seq": np.zeros((150, 4)), "region": 0.25},
        {"seq": np.zeros((6, 150, 4)), "region": np.full((250, 4), 0.25)},
    ]
    for baseline in spelled:
        same = integrated_gradients(tiny_model, sites, task=TASK, n_steps=10, baseline=baseline)
        np.testing.assert_allclose(same.seq, paper.seq, atol=1e-6, rtol=0)
        np.testing.assert_allclose(same.region, paper.region, atol=1e-6, rtol=0)
    mean = {"seq": 0.25}
    other = integrated_gradients(tiny_model, sites, task=TASK, n_steps=10, baseline=mean)
    assert np.abs(other.seq - paper.seq).max() > 1e-4
    own = integrated_gradients(tiny_model, sites, task=TASK, n_steps=10, baseline={"seq": sites["seq"]})
    assert not own.seq.any()


def test_rules():
    for rule in ("midpoint", "left", "trapezoid"):
        points, weights = path_points(rule, 4)
        assert weights.sum() == pytest.approx(1)
        assert points.dtype == weights.dtype == np.float32
    np.testing.assert_array_equal(path_points("left", 4)[0], [0, 0.25, 0.5, 0.75])
    np.testing.assert_array_equal(path_points("midpoint", 2)[0], [0.25, 0.75])
    np.testing.assert_array_equal(path_points("trapezoid", 2)[0], [0, 0.5, 1])
    np.testing.assert_array_equal(path_points("trapezoid", 2)[1], [0.25, 0.5, 0.25])


def test_unknown_bases_carry_no_letter_but_stay_in_the_array(tiny_model, rng):
    sites = random_sites(rng, 2)
    sites["seq"][:, :30] = 0.25
    maps = integrated_gradients(tiny_model, sites, task=TASK, n_steps=10)
    scores = letter_scores(maps.seq, sites["seq"])
    assert not known_bases(sites["seq"])[:, :30].any()
    assert known_bases(sites["seq"])[:, 30:].all()
    assert maps.seq[:, :30].any()
    assert not scores[:, :30].any()
    np.testing.assert_allclose(scores[:, 30:], maps.seq[:, 30:].sum(axis=-1), atol=1e-7)
    gradient = input_gradients(tiny_model, sites, task=TASK)
    at_letter = (gradient.seq * sites["seq"]).sum(axis=-1)
    np.testing.assert_allclose(letter_scores(gradient.seq, sites["seq"])[:, 30:], at_letter[:, 30:], atol=1e-7)


def test_no_sites(tiny_model):
    maps = integrated_gradients(tiny_model, {"seq": np.zeros((0, 150, 4))}, task=[TASK, OTHER])
    assert maps.seq.shape == (0, 2, 150, 4)
    assert maps.gap.shape == (0, 2)


def test_sites_of_unknown_bases_only(tiny_model):
    maps = integrated_gradients(tiny_model, {"seq": np.full((1, 150, 4), 0.25)}, task=TASK)
    assert not letter_scores(maps.seq, np.full((1, 150, 4), 0.25)).any()


# --- warnings and errors -------------------------------------------------------------------------------------------


def test_large_gaps_are_told_once_with_counts(tiny_model, sites):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        integrated_gradients(tiny_model, sites, task=[TASK, OTHER], n_steps=1, output="logit")
    (one,) = [w for w in caught if w.category is CompletenessWarning]
    assert " of 12 attribution maps miss the change of the output by more than 5% of it and 0.01" in str(one.message)
    assert "Raise n_steps (now 1)." in str(one.message)


def test_bound_of_the_gap():
    gap, change = np.array([0.02, 0.02, 0.009, -0.2]), np.array([0.9, 0.1, 0.0, 1.0])
    np.testing.assert_array_equal(is_gap_large(gap, change), [False, True, False, True])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"task": "QKI"}, UnknownNameError, "unknown task 'QKI'. Did you mean 'QKI_PARCLIP'"),
        ({"task": []}, InputError, "expected at least one task"),
        ({"task": TASK, "rule": "simpson"}, UnknownNameError, "unknown integration rule 'simpson'"),
        ({"task": TASK, "output": "logits"}, UnknownNameError, "unknown output 'logits'. Did you mean 'logit'"),
        ({"task": TASK, "baseline": "papper"}, UnknownNameError, "unknown baseline 'papper'. Did you mean 'paper'"),
        ({"task": TASK, "baseline": {"sequence": 0}}, UnknownNameError, "unknown baseline input 'sequence'"),
        ({"task": TASK, "baseline": 3}, InputError, 'expected "paper", "zeros" or a dict, got int'),
        ({"task": TASK, "baseline": {"seq": np.zeros((5, 4))}}, ShapeMismatchError, r"shape \(150, 4\).*got \(5, 4\)"),
        ({"task": TASK, "n_steps": 0}, InputError, "n_steps: expected a whole number from 1 to 1,000,000, got 0"),
        ({"task": TASK, "n_steps": 2.5}, InputError, "n_steps: expected a whole number from 1 to 1,000,000, got 2.5"),
        ({"task": TASK, "n_steps": 10**9}, InputError, "n_steps: expected a whole number from 1 to 1,000,000, got"),
        ({"task": TASK, "batch_size": 0}, InputError, "batch size: expected at least 1"),
    ],
)
def test_wrong_options(tiny_model, sites, options, error, message):
    with pytest.raises(error, match=message):
        integrated_gradients(tiny_model, sites, **options)


def test_wrong_windows(tiny_model, sites):
    with pytest.raises(ShapeMismatchError, match=r"expected shape \(B, 150, 4\), got \(6, 149, 4\)"):
        integrated_gradients(tiny_model, {"seq": sites["seq"][:, 1:]}, task=TASK)


# --- in-silico mutagenesis -----------------------------------------------------------------------------------------


def test_ism_equals_mutating_and_predicting(tiny_model, rng):
    sites = random_sites(rng, 2, unknown=0.05)
    maps = ism(tiny_model, sites, task=[OTHER, TASK])
    assert maps.region is None
    assert np.isnan(maps.gap).all()

    def value(seq):
        return predict(tiny_model, {"seq": seq.astype(np.float32), "region": sites["region"]})[:, 1]

    np.testing.assert_allclose(maps.seq[:, 0], naive_ism(value, sites["seq"]), atol=1e-6, rtol=0)
    np.testing.assert_allclose(maps.seq[:, 1], ism(tiny_model, sites, task=TASK).seq, atol=1e-7)
    assert not maps.seq[:, 0][sites["seq"] > 0.99].any()
    logits = ism(tiny_model, sites, task=OTHER, output="logit")
    assert np.abs(logits.seq).max() > np.abs(maps.seq[:, 0]).max()


def test_ism_needs_bases(tiny_model, sites):
    with pytest.raises(InputError, match=r"expected one-hot windows .* got other numbers in 'seq' of 6 of 6 windows"):
        ism(tiny_model, {"seq": sites["seq"] * 0.5}, task=TASK)
