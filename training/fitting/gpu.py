"""What a GPU makes faster (``fit: fast_gpu``): lower precision inside the network; XLA is switched on elsewhere."""

from __future__ import annotations

from typing import Any


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def lower_precision(network: Any) -> None:
    """Let all layers of a Keras model but the output compute in bfloat16; variables and the output stay float32.

    bfloat16 has the range of float32, so the loss need not be scaled.
    """
    import keras

    for layer in network.layers:
        if layer.weights and layer.name != "output":
            layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
