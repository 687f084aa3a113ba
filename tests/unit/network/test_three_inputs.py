"""Networks with landmarks: every way of running them gives the numbers of a plain pass."""

import warnings

import numpy as np
import pytest

import ripe_lib
from ripe_lib.attribution.compute import integrated_gradients, ism
from ripe_lib.errors import InputError, ShapeMismatchError, UnknownNameError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.evaluate import Options, score_dataset
from ripe_lib.genome.encoding import one_hot
from ripe_lib.genome.landmarks import encode_landmarks, unknown_landmarks
from ripe_lib.genome.windows import Windows
from ripe_lib.network.fast.wiring import read_wiring
from ripe_lib.network.inputs import LandmarkWarning
from ripe_lib.network.predict import predict, predict_codes
from ripe_lib.network.spec import ModelSpec
from tests.support.toy_datasets import write_toy_dataset
from tests.support.toy_models import random_model

SIZES = {"filters": 12, "left_filters2": 16, "right_filters": 6, "hidden": 20, "landmark_hidden": 10}


@pytest.fixture(scope="module")
def model():
    return random_model(architecture="towers", inputs="sequence+region+landmarks", sizes=SIZES, landmark_bases=16)


@pytest.fixture
def codes(rng):
    seq = rng.integers(0, 5, (9, 150)).astype(np.uint8)
    region = np.repeat(rng.integers(0, 5, (9, 25)), 10, axis=1).astype(np.uint8)
    distances = np.round(rng.normal(0, 3000, (9, 8)))
    distances[0] = np.nan
    distances[1:, 2] = np.nan
    return seq, region, distances


def test_codes_and_arrays_give_one_answer(model, codes):
    seq, region, distances = codes
    arrays = {"seq": one_hot(seq), "region": one_hot(region), "landmarks": encode_landmarks(distances)}
    expected = model.keras_model.predict(list(arrays.values()), verbose=0)
    np.testing.assert_allclose(predict(model, arrays), expected, atol=1e-6)
    np.testing.assert_allclose(predict(model, list(arrays.values())), expected, atol=1e-6)
    np.testing.assert_allclose(predict_codes(model, *codes), expected, atol=1e-6)
    assert np.abs(predict_codes(model, seq, region) - expected)[1:].max() > 1e-4


def test_what_is_missing_is_unknown(model, codes):
    seq, region, _ = codes
    unknown = predict(model, {"seq": one_hot(seq), "region": one_hot(region), "landmarks": unknown_landmarks(9)})
    with pytest.warns(LandmarkWarning, match="they count as unknown"):
        bare = predict(model, [one_hot(seq), one_hot(region)])
    np.testing.assert_allclose(bare, unknown, atol=1e-7)
    np.testing.assert_allclose(predict_codes(model, seq, region, np.full((9, 8), np.nan)), unknown, atol=1e-7)


def test_wrong_landmarks_are_one_line(model, codes):
    seq, region, distances = codes
    with pytest.raises(ShapeMismatchError, match=r"input 'landmarks': expected shape \(B, 8, 16\), got \(9, 8, 15\)"):
        predict(model, [one_hot(seq), one_hot(region), encode_landmarks(distances, 15)])
    with pytest.raises(ShapeMismatchError, match=r"landmark distances: expected shape \(B, 8\), got \(9, 7\)"):
        predict_codes(model, seq, region, distances[:, :7])
    with pytest.raises(InputError, match="architecture 'cnn' has no landmark input"):
        random_model(inputs="sequence+region+landmarks")
    assert ModelSpec(name="a", tasks=("t",)).landmark_bases == 0


def test_substitutions_equal_full_passes(model, codes, rng):
    seq, region, distances = codes
    network = model.network
    assert network.fast is not None
    assert read_wiring(model.keras_model).landmarks is not None
    site, position = rng.integers(0, 9, 200), rng.integers(0, 150, 200)
    alt = rng.integers(0, 4, 200).astype(np.uint8)
    state = network.reference(*codes)
    np.testing.assert_allclose(state.logits, model.network.logits(*codes), atol=2e-5)
    mutated = seq[site].copy()
    mutated[np.arange(200), position] = alt
    expected = model.network.logits(mutated, region[site], distances[site])
    np.testing.assert_allclose(network.substitutions(state, site, position, alt), expected, atol=2e-5)


def test_neighbouring_windows_equal_full_passes(model, rng):
    stretch = rng.integers(0, 4, 220).astype(np.uint8)
    starts = np.arange(0, 70, 3)
    distances = np.round(rng.normal(0, 500, (len(starts), 8)))
    state = model.network.neighbours(stretch, starts, None, distances)
    windows = stretch[starts[:, None] + np.arange(150)]
    np.testing.assert_allclose(state.logits, model.network.logits(windows, None, distances), atol=2e-5)


@pytest.mark.parametrize("step", [1, 5])
def test_scanning_equals_predicting_every_window(model, rng, step):
    n = 60
    seq = rng.integers(0, 5, 150 + (n - 1) * step).astype(np.uint8)
    region = np.repeat(rng.integers(0, 5, 60), 10)[: 250 + (n - 1) * step].astype(np.uint8)
    distances = np.round(rng.normal(0, 500, (n, 8)))
    distances[10:20, 4] = np.nan
    windows = [
        array[(np.arange(n) * step)[:, None] + np.arange(length)] for array, length in ((seq, 150), (region, 250))
    ]
    for landmarks in (distances, None):
        got = model.network.along(seq, region, landmarks, n=n, step=step)
        np.testing.assert_allclose(got, predict_codes(model, *windows, landmarks), atol=1e-6)


def test_integrated_gradients_add_up_over_all_inputs(model, codes):
    seq, region, distances = codes
    windows = {"seq": one_hot(seq), "region": one_hot(region), "landmarks": encode_landmarks(distances)}
    task = model.tasks[1]
    maps = integrated_gradients(model, windows, task=task, n_steps=300, output="logit")
    assert maps.landmarks.shape == (9, 8, 16)
    start = {"seq": np.zeros_like(windows["seq"])}
    change = model.network.logits(*codes)[:, 1] - _logits_of(model, start)
    np.testing.assert_allclose(maps.total(), change, atol=0.02 * np.abs(change).max() + 1e-3)
    # The baseline is "unknown": what is not known adds nothing.
    np.testing.assert_array_equal(maps.landmarks[0], 0)
    np.testing.assert_array_equal(maps.landmarks[1:, 2], 0)
    assert np.abs(maps.landmarks[1:]).sum() > 0


def _logits_of(model, windows):
    from scipy.special import logit

    return logit(predict(model, windows)[:, 1].astype(np.float64))


def test_mutagenesis_keeps_the_landmarks(model, codes):
    seq, region, distances = (array[:3] for array in codes)
    seq = np.where(seq == 4, 0, seq).astype(np.uint8)
    windows = {"seq": one_hot(seq), "region": one_hot(region), "landmarks": encode_landmarks(distances)}
    found = ism(model, windows, task=model.tasks[0]).seq
    mutant = seq.copy()
    mutant[:, 70] = (seq[:, 70] + 1) % 4
    expected = (
        predict_codes(model, mutant, region, distances)[:, 0] - predict_codes(model, seq, region, distances)[:, 0]
    )
    np.testing.assert_allclose(found[np.arange(3), 70, mutant[:, 70]], expected, atol=2e-6)


def test_ready_sequences_sit_where_training_puts_them(model):
    sequence = "ACGT" * 25 + "A"
    for strand in "+-":
        windows = ripe_lib.make_windows([("chr1", 500, 601, "s", 0, strand)], sequences=[sequence], spec=model.spec)
        assert windows.seq[0, 24].tolist() == [1, 0, 0, 0]
        assert windows.seq[0, 124].tolist() == [1, 0, 0, 0]
        np.testing.assert_array_equal(windows.seq[0, 24:125], one_hot(np.array([0, 1, 2, 3] * 25 + [0], np.uint8)))
        assert (windows.seq[0, :24] == 0.25).all()
        np.testing.assert_array_equal(windows.landmarks, unknown_landmarks(1))
    with pytest.raises(InputError, match="expected either fasta_file or sequences, got neither"):
        ripe_lib.make_windows([("chr1", 0, 4)], spec=model.spec)
    with pytest.raises(InputError, match="expected a sequence as long as its interval, 4 nt, got 3"):
        ripe_lib.make_windows([("chr1", 0, 4, "s", 0, "+")], sequences=["ACG"], spec=model.spec)


def test_bare_arrays_without_landmarks_are_taken_as_unknown_and_that_is_said(model, codes):
    seq, region = (one_hot(array) for array in codes[:2])
    with pytest.warns(LandmarkWarning, match="expected distances to landmarks beside the region types, got none"):
        bare = predict(model, [seq, region])
    unknown = unknown_landmarks(9, model.spec.landmark_bases)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(bare, predict(model, {"seq": seq, "region": region, "landmarks": unknown}))
        predict(model, seq)
        predict(model, [seq, np.full_like(region, 0.25)])  # without an annotation neither is known
        predict(model, Windows(seq=seq, region=region, landmarks=None, intervals=None))


def test_one_landmark_or_all_are_withheld_from_a_data_set(rng, tmp_path):
    distances = np.round(rng.normal(0, 3000, (40, 8))).astype(np.float32)
    data = Dataset(write_toy_dataset(tmp_path / "d.h5", rng, n=40, landmarks=distances))
    spec = {"architecture": "towers", "inputs": "sequence+region+landmarks", "sizes": SIZES, "landmark_bases": 16}
    model = random_model(tasks=tuple(data.tasks), **spec)
    seq, region = data.centred_codes(np.arange(40))
    for choice, columns in (("data", []), ("polya", [1]), ("gene_end", [7]), ("none", slice(None))):
        expected = distances.copy()
        expected[:, columns] = np.nan
        scored = score_dataset(model, data, split="all", landmarks=choice, options=Options(n_bootstrap=0))
        np.testing.assert_allclose(scored.scores, predict_codes(model, seq, region, expected), atol=1e-6)
    with pytest.raises(UnknownNameError, match=r"unknown landmark choice 'poly'. Did you mean 'polya'"):
        score_dataset(model, data, landmarks="poly")
