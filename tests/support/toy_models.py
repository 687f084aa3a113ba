"""Small models with known weights."""

import numpy as np


def random_model(tasks=("QKI_PARCLIP", "PUM2_PARCLIP", "ELAVL1_PARCLIP"), seed=7, **spec_options):
    """Return a Model with seeded random weights (same numbers in every process)."""
    from ripe_lib.network.architecture import build_model
    from ripe_lib.network.load import Model
    from ripe_lib.network.spec import ModelSpec

    spec = ModelSpec(name="DeepRiPe/toy", tasks=tasks, **spec_options)
    network = build_model(spec)
    generator = np.random.default_rng(seed)
    for layer in network.layers:
        if layer.weights:
            fresh = []
            for value in layer.get_weights():
                fan_in = int(np.prod(value.shape[:-1])) or 1
                fresh.append(generator.normal(0, 1.5 / np.sqrt(fan_in), value.shape).astype(np.float32))
            layer.set_weights(fresh)
    return Model(spec=spec, keras_model=network)


def by_full_passes(model):
    """Return the same network without the ways that share work: slow, and what these are tested against."""
    other = type(model)(model.spec, model.keras_model, model.directory)
    other.network.fast = None
    return other


def detector_model(word, tasks=("PUM2_TOY",), **spec_options):
    """Return a sequence-only Model whose first task says above 0.98 if the word is there anywhere, else 0.02.

    The word has the length of the first layer's filters; a base that differs already silences the filter.
    """
    from ripe_lib.genome.encoding import encode_sequence, one_hot
    from ripe_lib.network.architecture import build_model
    from ripe_lib.network.load import Model
    from ripe_lib.network.spec import ModelSpec

    spec = ModelSpec(name="DeepRiPe/detector", tasks=tasks, inputs="sequence", **spec_options)
    network = build_model(spec)
    for layer in network.layers:
        if layer.weights:
            layer.set_weights([np.zeros_like(value) for value in layer.get_weights()])

    def put(name, kernel_index, value, bias=0.0):
        kernel, offset = network.get_layer(name).get_weights()
        kernel[kernel_index] = value
        offset[0] = bias
        network.get_layer(name).set_weights([kernel, offset])

    put("left_conv1", (slice(None), slice(None), 0), one_hot(encode_sequence(word)), bias=-(len(word) - 1.0))
    put("conv_merged", (2, 0, 0), 1.0)
    n_channels = network.get_layer("conv_merged").filters
    put("hidden1", (slice(0, None, n_channels), 0), 8.0)
    put("output", (0, 0), 1.0, bias=-4.0)
    return Model(spec=spec, keras_model=network)
