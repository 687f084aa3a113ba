"""The training loss against NumPy, Keras and the authors' stack."""

import numpy as np
import pytest

from ripe_lib.errors import InputError, UnknownNameError
from training.fitting.losses import (
    MASKED,
    LossOptions,
    class_weights,
    element_weights,
    label_codes,
    make_loss,
    numpy_loss,
    weights_of,
)


def slow_loss(probabilities, codes, weights):
    total = 0.0
    for p_row, code_row in zip(probabilities, codes, strict=True):
        scale = 1.0
        if weights.first_positive is not None:
            positives = [t for t, code in enumerate(code_row) if code == 1]
            scale = float(weights.first_positive[positives[0] if positives else 0])
        for task, (p, code) in enumerate(zip(p_row, code_row, strict=True)):
            weight = float(weights.table[code, task]) * scale
            p = min(max(float(p), 1e-7), 1 - 1e-7)
            total += weight * -(np.log(p) if code == 1 else np.log(1 - p))
    return total / len(codes) / weights.row_mean


def some_codes(rng, n=60, tasks=5):
    return rng.choice([0, 1, 2, 3], (n, tasks), p=[0.3, 0.2, 0.2, 0.3]).astype(np.uint8)


OPTIONS = [
    LossOptions(),
    LossOptions(unknown_weight=0.1),
    LossOptions(weighting="per_task", unknown_weight=0.2, negative_weight=0.5),
    LossOptions(weighting="legacy_first_positive", unknown_weight=1.0),
    LossOptions(negative_weight="balanced"),
]


@pytest.mark.parametrize("options", OPTIONS, ids=range(len(OPTIONS)))
def test_graph_loss_and_numpy_loss_equal_the_loop(rng, options):
    codes = some_codes(rng)
    codes[0] = [1, 3, 3, 3, 1]
    probabilities = rng.random(codes.shape).astype(np.float32)
    weights = element_weights(codes, options)
    expected = slow_loss(probabilities, codes, weights)
    assert numpy_loss(probabilities, codes, weights) == pytest.approx(expected, rel=1e-6)
    got = np.asarray(make_loss(weights)(codes, probabilities))
    assert got.shape == (len(codes),)
    assert got.mean() == pytest.approx(expected, rel=1e-5)


def test_without_masks_and_weights_it_is_keras_mean_binary_crossentropy(rng):
    import keras

    codes = rng.integers(0, 2, (40, 7)).astype(np.uint8)
    probabilities = rng.random(codes.shape).astype(np.float32)
    weights = element_weights(codes, LossOptions())
    expected = keras.losses.BinaryCrossentropy()(codes.astype(np.float32), probabilities)
    assert numpy_loss(probabilities, codes, weights) == pytest.approx(float(expected), rel=1e-5)


def test_masked_elements_have_no_gradient(rng):
    import tensorflow as tf

    codes = some_codes(rng)
    weights = element_weights(codes, LossOptions(weighting="per_task"))
    probabilities = tf.Variable(rng.uniform(0.1, 0.9, codes.shape).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(make_loss(weights)(codes, probabilities))
    gradient = tape.gradient(loss, probabilities).numpy()
    silent = (codes == MASKED) | (codes == 2)
    assert (gradient[silent] == 0).all()
    assert (gradient[~silent] != 0).all()


def test_unknown_counts_only_where_the_source_has_a_table_of_the_task():
    labels = np.array([[1, -1], [-1, 0], [-1, -1]], dtype=np.int8)
    source = np.array([0, 1, 1], dtype=np.uint8)
    has_task = np.array([[True, False], [True, True]])
    assert label_codes(labels, source, has_task, soft_unknown=True).tolist() == [[1, 3], [2, 0], [2, 2]]
    assert label_codes(labels, source, has_task, soft_unknown=False).tolist() == [[1, 3], [3, 0], [3, 3]]
    only_last = np.array([False, False, True])
    assert label_codes(labels, source, has_task, soft_unknown=only_last).tolist() == [[1, 3], [3, 0], [2, 2]]


def test_legacy_weights_are_those_of_the_authors_stack(shared_data):
    """class_weight and per-sample weights that Keras 2.2.4 derived from it, from the golden file."""
    golden = np.load(shared_data / "legacy" / "parclip_seq_golden.npz")
    n, count = int(golden["train_n"]), golden["train_label_count"]
    expected = golden["class_weight"]
    np.testing.assert_allclose(class_weights(np.full(len(count), n), count), expected, rtol=1e-6)
    codes = golden["batch_y"].astype(np.uint8)
    weights = element_weights(codes, LossOptions(weighting="legacy_first_positive"))
    weights = type(weights)(weights.table, expected.astype(np.float32), 1.0)
    np.testing.assert_allclose(weights_of(codes, weights)[:, 0], golden["batch_sample_weight"], rtol=1e-6)


def test_per_task_weights_are_on_positives_and_known_rows_only():
    codes = np.full((1000, 2), 0, dtype=np.uint8)
    codes[:10, 0], codes[:600, 1], codes[900:, 0] = 1, 1, MASKED
    weights = element_weights(codes, LossOptions(weighting="per_task"))
    assert weights.table[1].tolist() == pytest.approx([np.log(0.5 * 900 / 10), 1.0])
    assert weights.table[0].tolist() == [1, 1]
    assert weights.table[MASKED].tolist() == [0, 0]


def test_balanced_negatives_weigh_as_much_as_positives(rng):
    codes = some_codes(rng, 500)
    weights = weights_of(codes, element_weights(codes, LossOptions(negative_weight="balanced")))
    positive, negative = (np.where(codes == c, weights, 0).sum(axis=0) for c in (1, 0))
    np.testing.assert_allclose(positive, negative, rtol=1e-4)


def test_wrong_options_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'per_task'"):
        LossOptions(weighting="pertask")
    with pytest.raises(InputError, match="number or 'balanced'"):
        LossOptions(negative_weight="even")
    with pytest.raises(InputError, match="at least 0"):
        LossOptions(unknown_weight=-1)
