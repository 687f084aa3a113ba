"""The networks: parameters, shapes and layer names of the paper and the published files."""

import numpy as np
import pytest

from ripe_lib.errors import InputError, UnknownNameError
from ripe_lib.network.architecture import ARCHITECTURES, build_model, keras1_hard_sigmoid, resolved_sizes
from ripe_lib.network.spec import ModelSpec


def spec(n_tasks=21, **options):
    return ModelSpec(name="DeepRiPe/test", tasks=tuple(f"t{i}" for i in range(n_tasks)), **options)


@pytest.mark.parametrize(
    ("options", "n_parameters"),
    [
        ({"n_tasks": 21}, 580_841),
        ({"n_tasks": 11}, 575_570 + 251 * 11),
        ({"n_tasks": 24, "sequence_length": 200, "region_length": 300}, 756_594),
        ({"n_tasks": 21, "inputs": "sequence"}, 353_231),
        ({"n_tasks": 24, "inputs": "sequence", "sequence_length": 200}, 478_984),
        ({"n_tasks": 21, "architecture": "gru"}, 3_605_101),
    ],
)
def test_parameter_counts_are_the_published_ones(options, n_parameters):
    assert build_model(spec(**options)).count_params() == n_parameters


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        (
            {},
            {
                "left_conv1": (144, 90),
                "left_pool1": (71, 90),
                "right_conv1": (244, 90),
                "right_pool1": (47, 90),
                "merge": (118, 90),
                "conv_merged": (114, 100),
                "max_pooling1d_1": (21, 100),
                "flatten_1": (2100,),
                "hidden1": (250,),
                "output": (21,),
            },
        ),
        (
            {"sequence_length": 200, "region_length": 300},
            {
                "left_conv1": (194, 90),
                "left_pool1": (96, 90),
                "right_conv1": (294, 90),
                "right_pool1": (57, 90),
                "merge": (153, 90),
                "conv_merged": (149, 100),
                "max_pooling1d_1": (28, 100),
                "flatten_1": (2800,),
            },
        ),
        ({"inputs": "sequence"}, {"conv_merged": (67, 100), "max_pooling1d_1": (12, 100), "flatten_1": (1200,)}),
        (
            {"inputs": "sequence", "sequence_length": 200},
            {"conv_merged": (92, 100), "max_pooling1d_1": (17, 100), "flatten_1": (1700,)},
        ),
        ({"architecture": "gru"}, {"merge": (118, 90), "gru": (118, 120), "flatten_1": (14160,)}),
    ],
)
def test_layer_shapes(options, shapes):
    network = build_model(spec(**options))
    assert {name: network.get_layer(name).output.shape[1:] for name in shapes} == shapes


def test_layers_of_the_published_files():
    names = [layer.name for layer in build_model(spec()).layers]
    assert set(names) == {
        *("left_input", "left_conv1", "left_pool1", "left_drop1"),
        *("right_input", "right_conv1", "right_pool1", "right_drop1"),
        *("merge", "conv_merged", "max_pooling1d_1", "dropout_1", "flatten_1", "hidden1", "output"),
    }


def test_gru_weights_are_laid_out_as_published():
    gru = build_model(spec(architecture="gru")).get_layer("gru")
    assert [w.shape for w in gru.get_weights()] == [(90, 180), (60, 180), (180,)] * 2


def test_hard_sigmoid_is_that_of_keras_one():
    x = np.linspace(-4, 4, 33, dtype=np.float32)
    np.testing.assert_allclose(keras1_hard_sigmoid(x), np.clip(0.2 * x + 0.5, 0, 1), atol=1e-7)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("inputs", ["sequence+region", "sequence"])
def test_every_architecture_gives_probabilities_for_both_kinds_of_input(name, inputs, rng):
    chosen = spec(n_tasks=3, architecture=name, inputs=inputs, sequence_length=60, region_length=80)
    network = build_model(chosen)
    arrays = [rng.random((2, 60, 4), dtype=np.float32)]
    if chosen.has_region:
        arrays.append(rng.random((2, 80, 4), dtype=np.float32))
    output = network.predict_on_batch(arrays)
    assert output.shape == (2, 3)
    assert ((output > 0) & (output < 1)).all()
    assert len(network.inputs) == len(arrays)


def test_sizes_come_from_the_spec_even_as_json_lists():
    sizes = resolved_sizes(spec(sizes={"left_pool": [2, 2], "hidden": 7}))
    assert (sizes["left_pool"], sizes["hidden"], sizes["filters"]) == ((2, 2), 7, 90)
    assert build_model(spec(sizes={"hidden": 7})).get_layer("hidden1").units == 7


def test_wrong_specs():
    with pytest.raises(UnknownNameError, match=r"unknown architecture 'cn'. Did you mean 'cnn'"):
        build_model(spec(architecture="cn"))
    with pytest.raises(UnknownNameError, match=r"unknown size of architecture 'cnn' 'filter'. Did you mean 'filters'"):
        build_model(spec(sizes={"filter": 3}))
    with pytest.raises(InputError, match="windows of 20 and 250 nt do not fit architecture 'cnn'"):
        build_model(spec(sequence_length=20, inputs="sequence+region", sizes={"left_pool": (40, 2)}))
