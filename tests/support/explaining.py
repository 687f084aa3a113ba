"""Sites, a linear network, and the obvious way of mutating, for the tests of attributions."""

import numpy as np

from ripe_lib.genome.encoding import one_hot


class Ready:
    """Windows that are there already, as the intervals of a command."""

    is_genomic, where = True, "sites"

    def __init__(self, parts):
        self.parts = parts

    def chunks(self, spec, size):
        return self.parts


def random_sites(rng, n, *, sequence_length=150, region_length=250, unknown=0.0):
    """Windows as a dict; ``unknown`` is the share of N bases and of positions without region type."""
    seq = rng.integers(0, 4, (n, sequence_length)).astype(np.uint8)
    region = np.repeat(rng.integers(0, 4, (n, 5)), region_length // 5, axis=1).astype(np.uint8)
    seq[rng.random(seq.shape) < unknown] = 4
    region[rng.random(region.shape) < unknown] = 4
    return {"seq": one_hot(seq), "region": one_hot(region)}


def linear_model(rng, tasks=("a", "b"), *, sequence_length=20, region_length=30):
    """A network whose logit is linear in both inputs; returns (model, seq weights (L, 4, T), region weights)."""
    import keras

    from ripe_lib.network.load import Model
    from ripe_lib.network.spec import ModelSpec

    spec = ModelSpec("DeepRiPe/linear", tasks, sequence_length=sequence_length, region_length=region_length)
    seq, region = keras.Input((sequence_length, 4)), keras.Input((region_length, 4))
    flat = keras.layers.Concatenate()([keras.layers.Flatten()(seq), keras.layers.Flatten()(region)])
    output = keras.layers.Dense(len(tasks), activation="sigmoid")
    network = keras.Model([seq, region], output(flat))
    # Multiples of 1/64: sums and products are exact in float32.
    kernel = (rng.integers(-64, 64, (4 * (sequence_length + region_length), len(tasks))) / 64).astype(np.float32)
    output.set_weights([kernel, np.full(len(tasks), 0.25, np.float32)])
    cut = 4 * sequence_length
    return (
        Model(spec, network),
        kernel[:cut].reshape(sequence_length, 4, -1),
        kernel[cut:].reshape(region_length, 4, -1),
    )


def naive_ism(value, seq):
    """Change of ``value(seq (B, L, 4)) -> (B,)`` for every substitution, one after another; 0 where the base stays."""
    reference = value(seq)
    changes = np.zeros(seq.shape)
    for position in range(seq.shape[1]):
        for base in range(4):
            mutant = seq.copy()
            mutant[:, position] = np.eye(4)[base]
            same = (mutant == seq).all(axis=(1, 2))
            changes[:, position, base] = np.where(same, 0.0, value(mutant) - reference)
    return changes
