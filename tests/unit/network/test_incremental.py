"""The exact scorer against full passes, for several wirings and sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from ripe_lib.attribution.compute import ism
from ripe_lib.errors import InputError, ShapeMismatchError, UnknownNameError
from ripe_lib.genome.encoding import UNKNOWN, one_hot
from ripe_lib.network.fast.kernels import First, toom_cook
from ripe_lib.network.fast.loops import first_seen, n_seen
from ripe_lib.network.fast.wiring import read_wiring
from ripe_lib.network.load import load_model
from ripe_lib.network.predict import predict_codes
from tests.support.toy_models import random_model

# Logits of these toy networks are of the order of 5; float32 sums in another order differ by a few 1e-7 of that
# (Keras itself is 6e-6 from float64 there, the compiled loops 4e-6).
LOGIT_TOLERANCE = 2e-5
PROBABILITY_TOLERANCE = 2e-6

SMALL = {
    "filters": 6,
    "kernel": 5,
    "left_pool": (3, 2),
    "right_pool": (4, 3),
    "merged_filters": 7,
    "merged_kernel": 3,
    "merged_pool": (5, 3),
    "hidden": 9,
}
SMALL_TOWERS = {
    "filters": 8,
    "left_pool": (4, 2),
    "left_filters2": 9,
    "left_kernel2": 3,
    "left_pool2": (5, 3),
    "right_filters": 5,
    "hidden": 12,
}
WIRINGS = {
    "paper": {"sequence_length": 60, "region_length": 80},
    "sequence_only": {"sequence_length": 60, "inputs": "sequence", "sizes": SMALL},
    "small": {"sequence_length": 44, "region_length": 50, "sizes": SMALL},
    "even_pools": {
        "sequence_length": 40,
        "region_length": 40,
        "sizes": {**SMALL, "kernel": 4, "left_pool": (2, 2), "merged_pool": (3, 3), "merged_kernel": 4},
    },
    "no_first_pooling": {
        "sequence_length": 30,
        "region_length": 36,
        "sizes": {**SMALL, "left_pool": (1, 1), "merged_pool": (5, 3)},
    },
    "wide_merged": {"sequence_length": 60, "region_length": 60, "sizes": {**SMALL, "merged_kernel": 8}},
    "towers": {"sequence_length": 60, "region_length": 80, "architecture": "towers", "sizes": SMALL_TOWERS},
    "towers_sequence": {
        "sequence_length": 50,
        "inputs": "sequence",
        "architecture": "towers",
        "sizes": SMALL_TOWERS,
    },
}
_MODELS = {}


def model_of(name):
    if name not in _MODELS:
        _MODELS[name] = random_model(**WIRINGS[name])
    return _MODELS[name]


def random_windows(model, rng, n, unknown=0.1):
    spec = model.spec
    seq = rng.integers(0, 4, (n, spec.sequence_length)).astype(np.uint8)
    seq[rng.random(seq.shape) < unknown] = UNKNOWN
    region = rng.integers(0, 5, (n, spec.region_length)).astype(np.uint8) if spec.has_region else None
    return seq, region


def mutated(seq, site, position, alt):
    """The obvious way: a copy of each window with the new bases in it."""
    windows = seq[site].copy()
    for row, (start, bases) in enumerate(zip(position, np.atleast_2d(alt.T).T, strict=True)):
        windows[row, start : start + len(bases)] = bases
    return windows


# --- geometry against sets of columns ------------------------------------------------------------------------------


@given(
    width=st.integers(1, 9),
    stride=st.integers(1, 6),
    extra=st.integers(0, 6),
    column=st.integers(-20, 60),
    n=st.integers(1, 12),
)
@settings(max_examples=80)
def test_touched_columns_are_those_that_see_the_stretch(width, stride, extra, column, n):
    tables, groups = np.zeros((1, 1), np.float32), np.zeros((3, 3), np.int64)
    stage = First(tables, groups, width, stride + extra, stride)

    def seen(first):
        convolved = set(range(first - width + 1, first + n))
        return [p for p in range(-80, 160) if convolved & set(range(stride * p, stride * p + stage.size))]

    assert first_seen(stage, column) == seen(column)[0]
    assert first_seen(stage, np.array([column]))[0] == seen(column)[0]
    assert n_seen(stage, n) == max(len(seen(first)) for first in range(column, column + stride))


# --- scores against full passes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_region", [True, False], ids=["region", "no_region"])
@pytest.mark.parametrize("wiring", WIRINGS)
def test_every_position_equals_full_passes(wiring, with_region, rng):
    model = model_of(wiring)
    seq, region = random_windows(model, rng, 4)
    region = region if with_region else None
    network = model.network
    assert network.fast is not None
    state = network.reference(seq, region)
    np.testing.assert_allclose(state.logits, model.network.logits(seq, region), atol=LOGIT_TOLERANCE)
    np.testing.assert_allclose(expit(state.logits), predict_codes(model, seq, region), atol=PROBABILITY_TOLERANCE)

    position = np.tile(np.arange(model.spec.sequence_length), 2)
    site = rng.integers(0, len(seq), len(position))
    alt = rng.integers(0, 5, len(position)).astype(np.uint8)
    got = network.substitutions(state, site, position, alt)
    regions = None if region is None else region[site]
    windows = mutated(seq, site, position, alt)
    np.testing.assert_allclose(got, model.network.logits(windows, regions), atol=LOGIT_TOLERANCE)
    np.testing.assert_allclose(expit(got), predict_codes(model, windows, regions), atol=PROBABILITY_TOLERANCE)


@pytest.mark.parametrize(
    ("wiring", "span"), [("small", 2), ("small", 6), ("small", 8), ("towers", 2), ("sequence_only", 3)]
)
def test_changed_stretches_equal_full_passes(wiring, span, rng):
    model = model_of(wiring)
    seq, region = random_windows(model, rng, 3)
    network = model.network
    state = network.reference(seq, region)
    position = np.arange(0, model.spec.sequence_length - span + 1, 3)
    position = np.append(position, model.spec.sequence_length - span)
    site = rng.integers(0, len(seq), len(position))
    alt = rng.integers(0, 5, (len(position), span)).astype(np.uint8)
    got = network.substitutions(state, site, position, alt)
    regions = None if region is None else region[site]
    want = model.network.logits(mutated(seq, site, position, alt), regions)
    np.testing.assert_allclose(got, want, atol=LOGIT_TOLERANCE)


@pytest.mark.parametrize("wiring", [*WIRINGS, "gru"])
def test_an_equal_alternative_differs_by_exactly_nothing(wiring, rng):
    if wiring == "gru":
        model = random_model(architecture="gru", sequence_length=40, region_length=40, sizes={"hidden": 8})
        assert model.network.fast is None
    else:
        model = model_of(wiring)
    seq, region = random_windows(model, rng, 3)
    network = model.network
    state = network.reference(seq, region)
    position = np.arange(model.spec.sequence_length)
    site = position % 3
    same = network.substitutions(state, site, position, seq[site, position])
    assert (same == state.logits[site]).all()


@pytest.mark.parametrize("name", ["DeepRiPe/clip31", "DeepRiPe/clip31_paper"])
def test_shipped_models_equal_full_passes(name, rng):
    model = load_model(name)
    seq, region = random_windows(model, rng, 40, unknown=0.02)
    position, alt = rng.integers(0, 150, 40), rng.integers(0, 4, 40).astype(np.uint8)
    state = model.network.reference(seq, region)
    got = expit(model.network.substitutions(state, np.arange(40), position, alt))
    want = predict_codes(model, mutated(seq, np.arange(40), position, alt), region)
    np.testing.assert_allclose(expit(state.logits), predict_codes(model, seq, region), rtol=0, atol=1e-6)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


def test_many_windows_are_spread_over_threads_and_stay_the_same(rng):
    model = model_of("towers")
    seq, region = random_windows(model, rng, 200)
    network = model.network
    site, position = np.arange(200), rng.integers(0, 60, 200)
    alt = rng.integers(0, 4, 200).astype(np.uint8)
    state = network.reference(seq, region)
    whole = network.substitutions(state, site, position, alt)
    for row in range(0, 200, 17):
        alone = network.reference(seq[row : row + 1], region[row : row + 1])
        np.testing.assert_allclose(alone.logits[0], state.logits[row], atol=LOGIT_TOLERANCE)
        one = network.substitutions(alone, np.zeros(1, dtype=int), position[row : row + 1], alt[row : row + 1])
        np.testing.assert_allclose(one[0], whole[row], atol=LOGIT_TOLERANCE)


def test_loops_know_relu_and_narrow_kernels_only():
    for sizes in ({"kernel": 13}, {"merged_kernel": 9}):
        assert random_model(sequence_length=80, region_length=90, sizes={**SMALL, **sizes}).network.fast is None


@pytest.mark.parametrize(("width", "n_outputs"), [(1, 4), (2, 4), (3, 4), (4, 4), (5, 4), (6, 3), (6, 1), (8, 1)])
def test_toom_cook_is_a_convolution(width, n_outputs, rng):
    kernel, inputs = rng.standard_normal(width), rng.standard_normal(n_outputs + width - 1)
    to_points, of_kernel, from_points = toom_cook(n_outputs, width)
    got = from_points @ ((of_kernel @ kernel) * (to_points @ inputs))
    np.testing.assert_allclose(got, np.correlate(inputs, kernel, "valid"), atol=1e-12)


def test_another_wiring_is_scored_by_full_passes(rng):
    model = random_model(architecture="gru", sequence_length=40, region_length=40, sizes={"hidden": 8})
    assert read_wiring(model.keras_model) is None
    seq, region = random_windows(model, rng, 3)
    site, position = np.array([0, 1, 2, 2]), np.array([0, 20, 39, 5])
    alt = np.array([1, 2, 3, 0], dtype=np.uint8)
    state = model.network.reference(seq, region)
    got = model.network.substitutions(state, site, position, alt)
    want = model.network.logits(mutated(seq, site, position, alt), region[site])
    np.testing.assert_allclose(got, want, atol=LOGIT_TOLERANCE)
    np.testing.assert_allclose(expit(state.logits), predict_codes(model, seq, region), atol=PROBABILITY_TOLERANCE)


def mutagenesis(model, seq, region, **options):
    """Changes (B, L, 4, T) of every substitution."""
    windows = {"seq": one_hot(seq), "region": None if region is None else one_hot(region)}
    return np.moveaxis(ism(model, windows, **options).seq, 1, -1)


@pytest.mark.parametrize("wiring", ["paper", "sequence_only", "small", "towers"])
def test_mutagenesis_equals_mutating_and_predicting(wiring, rng):
    model = model_of(wiring)
    seq, region = random_windows(model, rng, 2)
    seq[1] %= 4  # one window with unknown bases, one without
    length = model.spec.sequence_length
    deltas = mutagenesis(model, seq, region, task=model.tasks)
    assert deltas.shape == (2, length, 4, len(model.tasks))
    for site in range(2):
        windows = np.repeat(seq[site : site + 1], 4 * length, axis=0)
        windows[np.arange(4 * length), np.repeat(np.arange(length), 4)] = np.tile(np.arange(4), length)
        regions = None if region is None else np.repeat(region[site : site + 1], len(windows), axis=0)
        naive = predict_codes(model, windows, regions)
        naive -= predict_codes(model, seq[site : site + 1], None if region is None else region[site : site + 1])
        np.testing.assert_allclose(deltas[site].reshape(naive.shape), naive, rtol=0, atol=2 * PROBABILITY_TOLERANCE)
        known = np.flatnonzero(seq[site] < UNKNOWN)
        assert (deltas[site][known, seq[site][known]] == 0).all()


def test_mutagenesis_of_some_tasks_as_logits(rng):
    model = model_of("small")
    seq, region = random_windows(model, rng, 2)
    everything = mutagenesis(model, seq, region, task=model.tasks, output="logit")
    some = mutagenesis(model, seq, region, task=[model.tasks[2], model.tasks[0]], output="logit")
    np.testing.assert_allclose(some, everything[..., [2, 0]], atol=LOGIT_TOLERANCE)
    with pytest.raises(UnknownNameError, match=r"unknown output 'logits'. Did you mean 'logit'"):
        mutagenesis(model, seq, region, task=model.tasks, output="logits")
    with pytest.raises(UnknownNameError, match="unknown task 'QKI'"):
        mutagenesis(model, seq, region, task=["QKI"])


@pytest.mark.parametrize("wiring", ["paper", "sequence_only", "small", "wide_merged", "towers"])
def test_neighbouring_windows_equal_separate_ones(wiring, rng):
    model = model_of(wiring)
    length = model.spec.sequence_length
    stretch = rng.integers(0, 5, length + 25).astype(np.uint8)
    starts = np.concatenate([np.arange(26), [3, 0, 25]])
    windows = stretch[starts[:, None] + np.arange(length)]
    region = None
    if model.spec.has_region:
        region = rng.integers(0, 5, (len(starts), model.spec.region_length)).astype(np.uint8)
    network = model.network
    state = network.neighbours(stretch, starts, region)
    assert (state.seq_codes == windows).all()
    np.testing.assert_allclose(state.logits, model.network.logits(windows, region), atol=LOGIT_TOLERANCE)

    position = rng.integers(0, length, len(starts))
    site, alt = np.arange(len(starts)), rng.integers(0, 5, len(starts)).astype(np.uint8)
    got = network.substitutions(state, site, position, alt)
    want = model.network.logits(mutated(windows, site, position, alt), region)
    np.testing.assert_allclose(got, want, atol=LOGIT_TOLERANCE)


def test_reverse_change_gives_the_opposite_difference(rng):
    model = model_of("paper")
    seq, region = random_windows(model, rng, 5, unknown=0)
    site, position = np.arange(5), np.array([0, 13, 29, 30, 59])
    alt = (seq[site, position] + 1) % 4
    network = model.network
    there, back = (network.reference(windows, region) for windows in (seq, mutated(seq, site, position, alt)))
    change = network.substitutions(there, site, position, alt) - there.logits
    opposite = network.substitutions(back, site, position, seq[site, position]) - back.logits
    np.testing.assert_allclose(change, -opposite, atol=LOGIT_TOLERANCE)
    assert np.abs(change).max() > 0.01  # the test would see a scorer that returns the reference


def test_no_windows_and_no_alternatives(rng):
    model = model_of("small")
    seq, region = random_windows(model, rng, 2)
    nothing = np.zeros(0, dtype=np.int64)
    state = model.network.reference(seq, region)
    assert model.network.substitutions(state, nothing, nothing, nothing).shape == (0, len(model.tasks))
    assert model.network.reference(seq[:0], region[:0]).logits.shape == (0, len(model.tasks))


@pytest.mark.parametrize(
    ("site", "position", "alt", "error", "message"),
    [
        ([2], [0], [1], InputError, r"expected site_index within 0\.\.1"),
        ([0], [44], [1], InputError, "expected changed bases within the window of 44"),
        ([0], [43], [[1, 2]], InputError, "expected changed bases within the window of 44"),
        ([0], [-1], [1], InputError, "expected changed bases within the window"),
        ([0], [0], [5], InputError, "expected base codes 0 to 4"),
        ([0, 1], [0], [1], ShapeMismatchError, r"got \(2,\), \(1,\) and \(1,\)"),
    ],
)
def test_wrong_alternatives(site, position, alt, error, message, rng):
    model = model_of("small")
    state = model.network.reference(*random_windows(model, rng, 2))
    with pytest.raises(error, match=message):
        model.network.substitutions(state, site, position, alt)


def test_stretch_outside(rng):
    model = model_of("small")
    stretch = rng.integers(0, 4, 50).astype(np.uint8)
    with pytest.raises(InputError, match=r"expected starts within 0\.\.6"):
        model.network.neighbours(stretch, np.array([0, 7]))
