"""The networks again, slowly, in NumPy and float64: the judge of gradients and predictions."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ripe_lib.network.architecture import resolved_sizes


def _conv_relu(x, kernel, bias):
    windows = sliding_window_view(x, len(kernel), axis=1)  # (B, L', C, k)
    return np.maximum(np.einsum("blck,kcf->blf", windows, kernel) + bias, 0)


def _max_pool(x, pool):
    size, stride = pool
    return sliding_window_view(x, size, axis=1)[:, ::stride].max(axis=-1)


def numpy_logits(model, seq, region=None):
    """Logits (B, T) float64 of a ``cnn``."""
    sizes = resolved_sizes(model.spec)
    weights = {layer.name: [w.astype(np.float64) for w in layer.get_weights()] for layer in model.keras_model.layers}
    x = _max_pool(_conv_relu(np.asarray(seq, np.float64), *weights["left_conv1"]), sizes["left_pool"])
    if model.spec.has_region:
        right = _conv_relu(np.asarray(region, np.float64), *weights["right_conv1"])
        x = np.concatenate([x, _max_pool(right, sizes["right_pool"])], axis=1)
    x = _max_pool(_conv_relu(x, *weights["conv_merged"]), sizes["merged_pool"])
    hidden = np.maximum(x.reshape(len(x), -1) @ weights["hidden1"][0] + weights["hidden1"][1], 0)
    return hidden @ weights["output"][0] + weights["output"][1]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))
