"""Batched prediction: doors, checks, batch sizes, streaming."""

import threading
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import expit

import ripe_lib
from ripe_lib.errors import InputError, ShapeMismatchError, UnknownNameError
from ripe_lib.genome.encoding import one_hot
from ripe_lib.network.load import Model
from ripe_lib.network.predict import in_background, predict, predict_codes, predict_intervals
from tests.support.toy_models import random_model

TOLERANCE = 1e-6  # contract: whatever the batch size and the door


@dataclass
class WindowsLike:
    seq: np.ndarray
    region: np.ndarray | None


@pytest.fixture
def codes(rng):
    return rng.integers(0, 5, (23, 150)).astype(np.uint8), rng.integers(0, 5, (23, 250)).astype(np.uint8)


@pytest.fixture(scope="module")
def sequence_model():
    return random_model(inputs="sequence", sequence_length=60)


def test_is_the_network_itself(tiny_model, codes):
    seq, region = map(one_hot, codes)
    want = tiny_model.keras_model.predict_on_batch([seq, region])
    got = predict(tiny_model, {"seq": seq, "region": region})
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("batch_size", [1, 7, 1024])
def test_batch_size_changes_nothing(tiny_model, codes, batch_size):
    windows = dict(zip(("seq", "region"), map(one_hot, codes), strict=True))
    want = predict(tiny_model, windows, batch_size=10)
    got = predict(tiny_model, windows, batch_size=batch_size)
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE)


def test_every_kind_of_input_is_the_same(tiny_model, codes):
    seq, region = map(one_hot, codes)
    want = predict(tiny_model, {"seq": seq, "region": region})
    for windows in ([seq, region], (seq, region), WindowsLike(seq, region), {"seq": seq.tolist(), "region": region}):
        np.testing.assert_array_equal(predict(tiny_model, windows), want)
    np.testing.assert_allclose(predict_codes(tiny_model, *codes), want, rtol=0, atol=TOLERANCE)


def test_missing_region_is_a_quarter(tiny_model, codes):
    seq = one_hot(codes[0])
    want = predict(tiny_model, {"seq": seq, "region": np.full((len(seq), 250, 4), 0.25)})
    for windows in ({"seq": seq}, {"seq": seq, "region": None}, seq, [seq], WindowsLike(seq, None)):
        np.testing.assert_array_equal(predict(tiny_model, windows), want)
    np.testing.assert_allclose(predict_codes(tiny_model, codes[0]), want, rtol=0, atol=TOLERANCE)


def test_sequence_only_model_does_not_look_at_region(sequence_model, rng):
    seq = one_hot(rng.integers(0, 4, (3, 60)).astype(np.uint8))
    want = predict(sequence_model, seq)
    got = predict(sequence_model, {"seq": seq, "region": "anything"})
    np.testing.assert_array_equal(got, want)


def test_no_windows(tiny_model):
    assert predict(tiny_model, {"seq": np.zeros((0, 150, 4))}).shape == (0, 3)


@pytest.mark.parametrize(
    ("windows", "error", "message"),
    [
        ({"seq": np.zeros((2, 101, 4))}, ShapeMismatchError, r"'seq': expected shape \(B, 150, 4\), got \(2, 101, 4\)"),
        ({"seq": np.zeros((150, 4))}, ShapeMismatchError, r"expected shape \(B, 150, 4\), got \(150, 4\)"),
        (
            {"seq": np.zeros((2, 150, 4)), "region": np.zeros((2, 4, 250))},
            ShapeMismatchError,
            r"'region': expected shape \(B, 250, 4\), got \(2, 4, 250\)",
        ),
        (
            {"seq": np.zeros((2, 150, 4)), "region": np.zeros((3, 250, 4))},
            ShapeMismatchError,
            r"got seq \(2, 150, 4\), region \(3, 250, 4\)",
        ),
        ({"seq": [["A"]]}, InputError, "expected an array of numbers"),
        ({"region": np.zeros((2, 250, 4))}, InputError, "expected an array 'seq', got none"),
        ({"seqs": np.zeros((2, 150, 4))}, UnknownNameError, "unknown model input 'seqs'. Did you mean 'seq'"),
    ],
)
def test_wrong_windows(tiny_model, windows, error, message):
    with pytest.raises(error, match=message):
        predict(tiny_model, windows)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(tiny_model, value):
    seq = np.full((5, 150, 4), 0.25, dtype=np.float32)
    seq[3, 17, 2] = value
    with pytest.raises(InputError, match=r"NaN or infinite values in 1 of 5 windows \(first: row 3\)"):
        predict(tiny_model, seq)


def test_wrong_codes(tiny_model, codes):
    seq, region = codes
    with pytest.raises(InputError, match="expected uint8 codes, got int64"):
        predict_codes(tiny_model, seq.astype(np.int64))
    with pytest.raises(InputError, match="expected codes 0 to 4, got 9"):
        predict_codes(tiny_model, np.full_like(seq, 9))
    with pytest.raises(ShapeMismatchError, match=r"region codes: expected shape \(B, 250\), got \(23, 150\)"):
        predict_codes(tiny_model, seq, seq)
    with pytest.raises(InputError, match="batch size: expected at least 1, got 0"):
        predict_codes(tiny_model, seq, region, batch_size=0)


def test_logits_are_what_the_sigmoid_is_of(tiny_model, codes):
    seq, region = map(one_hot, codes)
    network = tiny_model.network.logit_model
    assert tiny_model.network.logit_model is network
    logits = network.predict_on_batch([seq, region])
    assert np.abs(logits).max() > 1.5  # not probabilities
    np.testing.assert_allclose(
        expit(logits), predict(tiny_model, {"seq": seq, "region": region}), rtol=0, atol=TOLERANCE
    )
    np.testing.assert_allclose(tiny_model.network.logits(*codes), logits, rtol=0, atol=1e-5)


def test_logits_of_a_network_without_sigmoid_are_refused(tiny_model):
    import keras

    inputs = keras.Input((8, 4))
    output = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(inputs))
    other = Model(spec=tiny_model.spec, keras_model=keras.Model(inputs, output))
    with pytest.raises(InputError, match="expected a network that ends in a dense layer with sigmoid"):
        _ = other.network.logit_model


def test_public_name_is_the_function_after_its_module_was_imported():
    import ripe_lib.network.predict

    assert ripe_lib.predict is predict
    assert callable(ripe_lib.evaluate)
    assert callable(ripe_lib.evaluate)


# --- intervals -----------------------------------------------------------------------------------------------------


@pytest.fixture
def genome(tmp_path, rng):
    path = tmp_path / "genome.fa"
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)[rng.integers(0, 4, 3000)].tobytes().decode()
    path.write_text(f">chr1\n{letters}\n")
    return path


@pytest.mark.parametrize("chunk_size", [3, 1000])
def test_intervals_equal_windows_made_at_once(tiny_model, genome, tmp_path, chunk_size):
    bed = tmp_path / "sites.bed"
    rows = [("chr1", 10 * i, 10 * i + 50, f"site{i}", "0", "+-"[i % 2]) for i in range(20)]
    bed.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    import pandas as pd

    pieces = list(predict_intervals(tiny_model, bed, fasta_file=genome, chunk_size=chunk_size, batch_size=4))
    table = pd.concat(pieces, ignore_index=True)
    assert list(table.columns) == ["chrom", "start", "end", "name", "strand", *tiny_model.tasks]
    assert table["name"].tolist() == [row[3] for row in rows]
    windows = ripe_lib.make_windows(bed, fasta_file=genome, spec=tiny_model.spec)
    want = predict(tiny_model, windows)
    np.testing.assert_allclose(table[tiny_model.tasks].to_numpy(), want, rtol=0, atol=TOLERANCE)
    assert table[tiny_model.tasks].dtypes.unique() == [np.dtype("float32")]


def test_no_name_column_where_there_are_no_names(tiny_model, genome):
    rows = [("chr1", 100, 150, "+"), ("chr1", 200, 250, "-")]
    (piece,) = predict_intervals(tiny_model, rows, fasta_file=genome)
    assert list(piece.columns[:4]) == ["chrom", "start", "end", "strand"]


def test_a_bad_interval_is_raised_where_it_was_asked_for(tiny_model, genome):
    with pytest.raises(InputError, match="expected an interval within chr1"):
        list(predict_intervals(tiny_model, [("chr1", 2990, 3040, "+")], fasta_file=genome))


def test_background_iteration_keeps_order_and_passes_exceptions_on():
    assert list(in_background(range(50))) == list(range(50))

    def fails():
        yield 1
        raise InputError("second item is wrong")

    items = in_background(fails())
    assert next(items) == 1
    with pytest.raises(InputError, match="second item is wrong"):
        next(items)


def test_background_iteration_stays_a_few_items_ahead_and_ends_when_left():
    made = []

    def items():
        for i in range(1000):
            made.append(i)
            yield i

    iterator = in_background(items())
    assert next(iterator) == 0
    iterator.close()
    assert len(made) < 10
    assert not any(thread.name == "ripe-windows" for thread in threading.enumerate())
