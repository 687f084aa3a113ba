"""Small models with known weights."""

import numpy as np


def random_model(tasks=("QKI_PARCLIP", "PUM2_PARCLIP", "ELAVL1_PARCLIP"), seed=7, **spec_options):
    """Return a Model with seeded random weights (same numbers in every process)."""
    from ripe_lib.architecture import build_model
    from ripe_lib.models import Model
    from ripe_lib.spec import ModelSpec

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
