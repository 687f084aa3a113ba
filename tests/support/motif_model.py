"""A paper CNN whose weights are set by hand to recognise one k-mer in the middle of the window."""

import numpy as np

from ripe_lib.genome.encoding import encode_sequence
from ripe_lib.network.architecture import build_model
from ripe_lib.network.load import Model
from ripe_lib.network.spec import ModelSpec

TASKS = ("MOTIF", "NOTHING")


def motif_model(kmer="ACUAAC", directory=None):
    """``MOTIF`` is 0.95 where the k-mer is in the middle, less beside it, 0.007 without; ``NOTHING`` is 0.007.

    The first filter answers 1 to the k-mer and at most 0.25 to one with an unknown base; the merged convolution hands
    it through; the hidden layer weighs its pools by their distance from the window's middle.
    """
    spec = ModelSpec(name="DeepRiPe/motif", tasks=TASKS)
    network = build_model(spec)
    arrays = {layer.name: [np.zeros_like(w) for w in layer.get_weights()] for layer in network.layers if layer.weights}
    for place, base in enumerate(encode_sequence(kmer)):
        arrays["left_conv1"][0][place, base, 0] = 1
    arrays["left_conv1"][1][0] = 1 - len(kmer)
    arrays["conv_merged"][0][1, 0, 0] = 1
    for pool in range(12):
        arrays["hidden1"][0][pool * 100, 0] = max(0, 4 - abs(pool - 6))
    arrays["output"][0][0, 0] = 0.8
    arrays["output"][1][:] = -5
    for layer in network.layers:
        if layer.name in arrays:
            layer.set_weights(arrays[layer.name])
    return Model(spec=spec, keras_model=network, directory=directory)
