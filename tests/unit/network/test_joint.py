"""Models with a common trunk as one network."""

import numpy as np
import pytest
from scipy.special import expit

from ripe_lib.network.fast.passes import blocks
from ripe_lib.network.joint import joint_models
from ripe_lib.network.load import load_model
from ripe_lib.network.predict import predict_codes
from tests.support.toy_models import random_model


def tier(name, tasks, seed, trunk_of=None, **options):
    """A model with its own output layer, and the other layers of another model if one is given."""
    model = random_model(tasks=tasks, seed=seed, **options)
    object.__setattr__(model.spec, "name", f"DeepRiPe/{name}")
    if trunk_of is not None:
        for layer in model.keras_model.layers[:-1]:
            layer.set_weights(trunk_of.keras_model.get_layer(layer.name).get_weights())
    return model


@pytest.mark.parametrize("architecture", ["cnn", "towers"])
def test_one_network_gives_the_scores_of_its_members(rng, architecture):
    first = tier("a", ("A", "B"), 1, architecture=architecture)
    other = tier("b", ("A",), 2, architecture=architecture)
    third = tier("c", ("X", "Y", "Z"), 3, first, architecture=architecture)
    fourth = tier("d", ("A", "Z"), 4, first, architecture=architecture)
    hidden = fourth.keras_model.get_layer("hidden1")
    hidden.set_weights([rng.normal(0, 0.1, array.shape) for array in hidden.get_weights()])
    networks = joint_models([first, other, third, fourth])
    members = [[(0, slice(0, 2)), (2, slice(2, 5)), (3, slice(5, 7))], [(1, slice(0, 1))]]
    assert [network.members for network in networks] == members
    assert networks[1].model is other
    assert joint_models((first, other, third, fourth))[0].model is networks[0].model  # made once
    width = [network.keras_model.get_layer("hidden1").get_weights()[1].size for network in (networks[0].model, first)]
    assert width[0] == 2 * width[1]  # first and third have theirs in common
    seq, region = (rng.integers(0, 5, (7, length)).astype(np.uint8) for length in (150, 250))
    together = predict_codes(networks[0].model, seq, region)
    state = networks[0].model.network.reference(seq, region)
    np.testing.assert_allclose(expit(state.logits), together, atol=1e-6)
    changes = np.arange(7), np.full(7, 70), np.full(7, 2, np.uint8)
    changed = networks[0].model.network.substitutions(state, *changes)
    for model, (_, columns) in zip((first, third, fourth), members[0], strict=True):
        alone = model.network.substitutions(model.network.reference(seq, region), *changes)
        np.testing.assert_allclose(changed[:, columns], alone, atol=1e-5)
    for model, (_, columns) in zip((first, third, fourth), members[0], strict=True):
        np.testing.assert_allclose(together[:, columns], predict_codes(model, seq, region), atol=1e-6)


def test_blocks_make_up_the_kernel_and_hold_no_zeros_of_others(rng):
    kernel = np.zeros((7, 6), dtype=np.float32)
    kernel[:3, :2], kernel[3:, 2:5], kernel[:3, 5:] = (rng.random(shape) + 1 for shape in ((3, 2), (4, 3), (3, 1)))
    kernel[0, 0] = kernel[6, 4] = 0  # weights of a block that happen to be 0
    found = list(blocks(kernel))
    assert [(rows, block.shape) for rows, block in found] == [
        (slice(0, 3), (3, 2)),
        (slice(3, 7), (4, 3)),
        (slice(0, 3), (3, 1)),
    ]
    values = rng.random((5, 7)).astype(np.float32)
    parts = np.concatenate([values[:, rows] @ block for rows, block in found], axis=1)
    np.testing.assert_allclose(parts, values @ kernel, rtol=1e-6)


def test_one_changed_weight_or_size_below_keeps_models_apart():
    first = tier("a", ("A",), 1)
    changed = tier("b", ("A",), 2, first)
    kernel, bias = changed.keras_model.get_layer("left_conv1").get_weights()
    changed.keras_model.get_layer("left_conv1").set_weights(
        [kernel, bias + np.eye(1, len(bias), 3, dtype=np.float32)[0]]
    )
    pooled = tier("c", ("A",), 3, first, sizes={"left_pool": (4, 2), "dropout": 0.5})
    assert len(joint_models([first, changed, pooled])) == 3


def test_shipped_tiers_of_one_protocol_are_one_network():
    """But for parclip_high, all of whose layers are its own, and the two tiers that hold RBFOX2, which are another."""
    names = ["parclip_low", "parclip_mid", "parclip_high", "eclip_k562_mid1", "eclip_hepg2_low", "clip31"]
    networks = joint_models([load_model(name) for name in [*names, "eclip_hepg2_high1", "eclip_k562_high2"]])
    assert [[number for number, _ in network.members] for network in networks] == [[0, 1], [2], [3, 6], [4, 7], [5]]
