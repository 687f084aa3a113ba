"""The networks the exact fast paths understand, as numbers taken from their layers.

These are two of :mod:`ripe_lib.network.architecture`, whose layers are known by their names:

- ``cnn``, branches joined by *positions*: ``conv -> pool`` per branch, concatenation along positions,
  ``conv -> pool``, flatten, two dense layers (the paper's network, and its sequence-only form);
- ``towers``, joined in the *hidden* layer: ``conv -> pool -> conv -> pool -> flatten`` for the sequence,
  ``conv -> pool -> flatten`` for region types, a layer of their own for distances to landmarks, two dense layers.

Every activation before the last, a sigmoid, is ReLU; the first convolutions are at most 12 wide and the merged one 8.
Dropout does nothing at prediction time. Any other network gives ``None`` and is run by full passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.network.fast.loops import LandmarkTower
from ripe_lib.network.spec import N_LANDMARKS

if TYPE_CHECKING:
    import keras

WIDEST_FIRST, WIDEST_MERGED = 12, 8  # what the tables and the tiles of the loops hold


class ConvPool(NamedTuple):
    """A valid, stride-1 convolution with ReLU and the max pooling after it.

    ``kernel`` (K, C, F), ``bias`` (F,), pooling ``size`` and ``stride``, ``n_in`` positions.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    size: int
    stride: int
    n_in: int

    @property
    def width(self) -> int:
        """Kernel length."""
        return len(self.kernel)

    @property
    def n_pooled(self) -> int:
        """Positions after the pooling."""
        return (self.n_in - self.width + 1 - self.size) // self.stride + 1


class DenseLayer(NamedTuple):
    """``kernel`` (C, F) and ``bias`` (F,)."""

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


class Wiring(NamedTuple):
    """The network as numbers. ``region`` is None for sequence-only models.

    ``merged`` is the second convolution. With ``at_border`` it runs over sequence columns and, past the border of the
    concatenation, region columns; without, over sequence columns only, and the region branch meets the sequence in the
    hidden layer. ``landmarks`` holds the rows of that layer which belong to landmarks; ``hidden`` has the others.
    """

    seq: ConvPool
    region: ConvPool | None
    merged: ConvPool
    hidden: DenseLayer
    output: DenseLayer
    at_border: bool
    landmarks: LandmarkTower | None = None


def read_wiring(network: keras.Model) -> Wiring | None:
    """Return the wiring of a network, or None if it is another one."""
    layers = {layer.name: layer for layer in network.layers}
    weighted = {name for name, layer in layers.items() if layer.weights}
    is_cnn, has_region = "conv_merged" in weighted, "right_conv1" in weighted
    conv2, pool2 = ("conv_merged", "max_pooling1d_1") if is_cnn else ("left_conv2", "left_pool2")
    always = {"left_conv1", conv2, "hidden1", "output"}
    if not always <= weighted <= always | {"right_conv1", "landmark_hidden"} or any(
        layers[name].activation.__name__ != ("sigmoid" if name == "output" else "relu") for name in weighted
    ):
        return None
    seq, merged = _conv_pool(layers["left_conv1"], layers["left_pool1"]), _conv_pool(layers[conv2], layers[pool2])
    region = _conv_pool(layers["right_conv1"], layers["right_pool1"]) if has_region else None
    firsts, at_border = [seq] if region is None else [seq, region], is_cnn and has_region
    if merged.width > WIDEST_MERGED or any(part.width > WIDEST_FIRST for part in firsts):
        return None
    # A gap between pooling windows is not worth a special case. The merged kernel must fit into each branch it runs
    # over, so that no column sees past both ends of one.
    if any(part.size < part.stride for part in (*firsts, merged)) or any(
        part.n_pooled < merged.width for part in (firsts if at_border else firsts[:1])
    ):
        return None
    hidden, landmarks = DenseLayer(*layers["hidden1"].get_weights()), None
    if "landmark_hidden" in weighted:
        kernel, bias = layers["landmark_hidden"].get_weights()
        others, own = np.split(hidden.kernel, [-len(bias)])
        landmarks = LandmarkTower(kernel.reshape(N_LANDMARKS, -1, len(bias)), bias, own)
        hidden = DenseLayer(others, hidden.bias)
    return Wiring(seq, region, merged, hidden, DenseLayer(*layers["output"].get_weights()), at_border, landmarks)


def _conv_pool(conv: Any, pool: Any) -> ConvPool:
    kernel, bias = conv.get_weights()
    return ConvPool(kernel, bias, pool.pool_size[0], pool.strides[0], conv.input.shape[1])
