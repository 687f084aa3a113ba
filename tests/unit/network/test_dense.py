import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from ripe_lib.network.fast.passes import FastNetwork
from ripe_lib.network.fast.wiring import ConvPool, DenseLayer, Wiring, read_wiring
from ripe_lib.network.load import Model
from tests.support.scan_oracles import all_windows, naive_network
from tests.support.toy_models import random_model


def codes_along(rng, length, *, runs=False):
    if runs:  # region types change rarely
        return np.repeat(rng.integers(0, 5, length // 30 + 1), 30)[:length].astype(np.uint8)
    return rng.choice(5, length, p=[0.24, 0.24, 0.24, 0.24, 0.04]).astype(np.uint8)


def block(rng, wiring, n, step):
    seq = codes_along(rng, wiring.seq.n_in + (n - 1) * step)
    return seq, wiring.region and codes_along(rng, wiring.region.n_in + (n - 1) * step, runs=True)


def windows_of(wiring, seq, region, n, step):
    seqs = all_windows(seq, wiring.seq.n_in, step, n)
    if region is None:
        return seqs, None
    return seqs, all_windows(region, wiring.region.n_in, step, n)


@pytest.fixture(scope="module")
def paper_wiring(tiny_model):
    return read_wiring(tiny_model.keras_model)


def test_paper_sizes_are_read(paper_wiring, tiny_model):
    assert (paper_wiring.seq.n_pooled, paper_wiring.region.n_pooled) == (71, 47)
    assert (paper_wiring.merged.n_in, paper_wiring.merged.n_pooled) == (118, 21)
    assert paper_wiring.hidden.kernel.shape == (2100, 250)
    assert paper_wiring.output.kernel.shape == (250, len(tiny_model.tasks))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"inputs": "sequence"},
        {"sequence_length": 200, "region_length": 300},
        {"sequence_length": 100, "region_length": 90},
        {
            "sizes": {
                "filters": 24,
                "kernel": 9,
                "left_pool": [3, 3],
                "right_pool": [8, 4],
                "merged_filters": 20,
                "merged_kernel": 4,
                "merged_pool": [6, 6],
                "hidden": 30,
            }
        },
        {"sizes": {"kernel": 3, "merged_kernel": 1, "merged_pool": [4, 2], "hidden": 16}},
        {"architecture": "towers"},
        {"architecture": "towers", "inputs": "sequence"},
    ],
    ids=["paper", "sequence only", "eclip", "short", "other sizes", "small kernels", "towers", "one tower"],
)
@pytest.mark.parametrize("step", [1, 2, 3, 5, 50])
def test_equals_keras_on_every_window(options, step, rng):
    from ripe_lib.network.predict import predict_codes

    model = random_model(**options)
    wiring = read_wiring(model.keras_model)
    n = 40
    seq, region = block(rng, wiring, n, step)
    expected = predict_codes(model, *windows_of(wiring, seq, region, n, step))
    got = model.network.along(seq, region, n=n, step=step)
    np.testing.assert_allclose(got, expected, rtol=0, atol=5e-6)
    assert expected.std() > 0.01  # the comparison says something


@pytest.mark.parametrize("code", [0, 2, 4])
@pytest.mark.parametrize("architecture", ["cnn", "towers"])
def test_constant_region_track_is_a_constant(architecture, rng, code):
    """The shortcut for a region track of one letter gives what the general path gives."""
    paper_wiring = read_wiring(random_model(architecture=architecture).keras_model)
    n, step = 12, 20
    seq, region = block(rng, paper_wiring, n, step)
    region[:] = code
    shortcut = FastNetwork(paper_wiring)
    got = shortcut.along(seq, region, None, n, step)
    assert shortcut._constants
    expected = [
        naive_network(paper_wiring, *w) for w in zip(*windows_of(paper_wiring, seq, region, n, step), strict=True)
    ]
    np.testing.assert_allclose(got, expected, atol=3e-5)
    if code == 4:
        np.testing.assert_array_equal(got, shortcut.along(seq, None, None, n, step))
    region[-100:] = (code + 1) % 5  # the last windows see a change: general path
    general = shortcut.along(seq, region, None, n, step)
    np.testing.assert_allclose(general[0], got[0], atol=3e-5)
    assert np.abs(general[-1] - got[-1]).max() > 1e-3


def small_wiring(rng, lengths, width, pools, merged, hidden, n_tasks, *, at_border):
    def normal(*shape):
        return rng.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float32)

    filters, merged_filters = 3, 4
    branches = [
        ConvPool(normal(w, 4, filters), normal(filters), *pool, length)
        for length, w, pool in zip(lengths, width, pools, strict=True)
    ]
    joined = branches if at_border else branches[:1]
    n_columns = sum(branch.n_pooled for branch in joined)
    kernel, bias = normal(merged[0], filters, merged_filters), normal(merged_filters)
    merge = ConvPool(kernel, bias, *merged[1], n_columns)
    if merge.n_pooled < 1 or any(branch.n_pooled < merge.width for branch in joined):
        return None
    if branches[-1].n_pooled < 1:
        return None
    tower = 0 if at_border else sum(branch.n_pooled * filters for branch in branches[1:])
    n_features = merge.n_pooled * merged_filters + tower
    dense = (DenseLayer(normal(a, b), normal(b)) for a, b in ((n_features, hidden), (hidden, n_tasks)))
    return Wiring(branches[0], branches[1] if len(branches) == 2 else None, merge, *dense, at_border)


pool_sizes = st.tuples(st.integers(1, 5), st.integers(1, 4))


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(20, 44), min_size=1, max_size=2),
    widths=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    pools=st.tuples(pool_sizes, pool_sizes),
    merged=st.tuples(st.integers(1, 5), st.tuples(st.integers(1, 7), st.integers(1, 6))),
    hidden=st.integers(1, 5),
    step=st.integers(1, 12),
    n=st.integers(1, 7),
    towers=st.booleans(),
    seed=st.integers(0, 1000),
)
# Every region window at a step of the pooling is one letter: no column is left to compute.
@example([20, 20], (1, 1), ((1, 1), (1, 4)), (1, (1, 1)), 1, 4, 4, True, 0)
def test_any_sizes_equal_the_slow_network(lengths, widths, pools, merged, hidden, step, n, towers, seed):
    rng = np.random.default_rng(seed)
    k = len(lengths)
    wiring = small_wiring(rng, lengths, widths[:k], pools[:k], merged, hidden, 3, at_border=k == 2 and not towers)
    assume(wiring is not None)
    seq, region = block(rng, wiring, n, step)
    seqs, regions = windows_of(wiring, seq, region, n, step)
    expected = [naive_network(wiring, seqs[i], None if regions is None else regions[i]) for i in range(n)]
    got = FastNetwork(wiring).along(seq, region, None, n, step)
    np.testing.assert_allclose(got, expected, rtol=0, atol=5e-6)


def test_other_networks_are_not_shared(tiny_model):
    from keras import Input, activations, layers
    from keras import Model as Network

    def network(layer, activation):
        model = random_model(sizes={"filters": 3, "merged_filters": 4, "hidden": 5})
        model.keras_model.get_layer(layer).activation = activations.get(activation)
        return model.network

    assert network("output", "sigmoid").fast is not None
    for layer in ("left_conv1", "right_conv1", "conv_merged", "hidden1"):
        assert network(layer, "tanh").fast is None, layer
    assert network("output", "softmax").fast is None
    inputs = Input((150, 4))
    output = layers.Dense(3, activation="sigmoid", name="output")(layers.Flatten()(inputs))
    assert Model(tiny_model.spec, Network(inputs, output)).network.fast is None
    normalised = layers.BatchNormalization()(tiny_model.keras_model.get_layer("flatten_1").output)
    output = tiny_model.keras_model.get_layer("output")(tiny_model.keras_model.get_layer("hidden1")(normalised))
    assert Model(tiny_model.spec, Network(tiny_model.keras_model.inputs, output)).network.fast is None
