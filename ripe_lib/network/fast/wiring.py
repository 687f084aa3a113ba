"""Recognise the wiring the exact fast paths understand, and take its numbers from the layers.

Two ways to join the branches are understood:

- *positions*: ``conv -> pool`` per branch, concatenation along positions, ``conv -> pool``, flatten, dense layers,
  sigmoid (the paper's network, and its sequence-only form);
- *hidden*: ``conv -> pool -> conv -> pool -> flatten`` for the sequence, ``conv -> pool -> flatten`` for region types,
  concatenation of features, dense layers, sigmoid; distances to landmarks may join there through a layer of their own.

Every activation before the last is ReLU, the first convolutions are at most 12 wide and the merged one 8. Sizes,
kernels and pools are read from the network; dropout does nothing at prediction time. Any other network gives ``None``
and is run by full passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.network.fast.loops import LandmarkTower

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
    def n_conv(self) -> int:
        """Positions after the convolution."""
        return self.n_in - self.width + 1

    @property
    def n_pooled(self) -> int:
        """Positions after the pooling."""
        return (self.n_conv - self.size) // self.stride + 1


class DenseLayer(NamedTuple):
    """``kernel`` (C, F) and ``bias`` (F,)."""

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


class Wiring(NamedTuple):
    """The network as numbers. ``region`` is None for sequence-only models.

    ``merged`` is the second convolution. With ``at_border`` it runs over sequence columns and, past the border of the
    concatenation, region columns; without, over sequence columns only, and the region branch meets the sequence in the
    first dense layer. ``landmarks`` holds
    the rows of that layer which belong to landmarks; ``dense`` has the others.
    """

    seq: ConvPool
    region: ConvPool | None
    merged: ConvPool
    dense: tuple[DenseLayer, ...]
    at_border: bool
    landmarks: LandmarkTower | None = None


class _OtherWiringError(Exception):
    """The network is not of the wiring above."""


def read_wiring(network: keras.Model) -> Wiring | None:
    """Return the wiring of a network, or None if it is another one."""
    try:
        return _Reader(network).read()
    except _OtherWiringError:
        return None


class _Reader:
    """Walks back from the output, layer by layer."""

    def __init__(self, network: keras.Model) -> None:
        import keras

        self._layers = keras.layers
        self._network = network
        self._producer = {id(tensor): layer for layer in network.layers for tensor in _listed(layer.output)}

    def read(self) -> Wiring:
        outputs, inputs = self._network.outputs, list(self._network.inputs)
        _need(len(outputs) == 1 and len(inputs) in (1, 2, 3))
        features, dense = self._dense_chain(outputs[0])
        landmarks = None
        if len(inputs) == 3:
            _need(len(features) == 3)
            landmarks, dense[0] = self._landmark_tower(features.pop(), inputs.pop(), dense[0])
        merged, tensor = self._conv_pool(features[0])
        layer = self._before_dropout(tensor)
        at_border = isinstance(layer, self._layers.Concatenate)
        if at_border:
            _need(len(features) == 1 and layer.axis in (1, -2))
            branches = _listed(layer.input)
        else:
            branches = [tensor, *features[1:]]
        _need(len(branches) == len(inputs))
        parts = []
        for branch, source in zip(branches, inputs, strict=True):
            part, tensor = self._conv_pool(branch)
            _need(tensor is source and part.kernel.shape[1] == 4)
            parts.append(part)
        region = parts[1] if len(parts) == 2 else None
        _need(merged.width <= WIDEST_MERGED and all(part.width <= WIDEST_FIRST for part in parts))
        # The merged kernel must fit into each branch it runs over, so that no column sees past both ends of one.
        _need(all(part.n_pooled >= merged.width for part in (parts if at_border else parts[:1])))
        return Wiring(
            seq=parts[0], region=region, merged=merged, dense=tuple(dense), at_border=at_border, landmarks=landmarks
        )

    def _landmark_tower(self, tensor: Any, source: Any, first: DenseLayer) -> tuple[LandmarkTower, DenseLayer]:
        """Return the tower of landmarks, and the first dense layer without its rows (the last ones)."""
        layer: Any = self._producer.get(id(tensor))
        _need(isinstance(layer, self._layers.Dense) and _activation_name(layer) == "relu")
        flat: Any = self._before_dropout(_single(layer.input))
        _need(isinstance(flat, self._layers.Flatten) and _single(flat.input) is source)
        bias = _bias(layer)
        tower = LandmarkTower(_kernel(layer).reshape(*source.shape[1:], -1), bias, first.kernel[-len(bias) :])
        return tower, first._replace(kernel=np.ascontiguousarray(first.kernel[: -len(bias)]))

    def _before_dropout(self, tensor: Any) -> Any:
        layer = self._producer.get(id(tensor))
        skipped = (self._layers.Dropout, self._layers.SpatialDropout1D, self._layers.GaussianDropout)
        while isinstance(layer, skipped):
            tensor = _single(layer.input)
            layer = self._producer.get(id(tensor))
        return layer

    def _dense_chain(self, tensor: Any) -> tuple[list[Any], list[DenseLayer]]:
        """Return the tensors that are flattened (and concatenated) into the first dense layer, and the dense layers."""
        chain: list[DenseLayer] = []
        layer = self._before_dropout(tensor)
        while isinstance(layer, self._layers.Dense):
            name = _activation_name(layer)
            _need(name == ("relu" if chain else "sigmoid"))
            chain.append(DenseLayer(_kernel(layer), _bias(layer)))
            tensor = _single(layer.input)
            layer = self._before_dropout(tensor)
        _need(len(chain) >= 1)
        flat = [tensor]
        if isinstance(layer, self._layers.Concatenate):
            _need(layer.axis in (1, -1))
            flat = _listed(layer.input)
        features = []
        for one in flat:
            layer = self._before_dropout(one)
            if isinstance(layer, self._layers.Dense):
                features.append(_single(layer.output))
                continue
            _need(isinstance(layer, self._layers.Flatten))
            features.append(_single(layer.input))
        return features, chain[::-1]

    def _conv_pool(self, tensor: Any) -> tuple[ConvPool, Any]:
        pool = self._before_dropout(tensor)
        _need(isinstance(pool, self._layers.MaxPooling1D) and pool.padding == "valid")
        conv = self._before_dropout(_single(pool.input))
        _need(isinstance(conv, self._layers.Conv1D) and _activation_name(conv) == "relu")
        _need(conv.padding == "valid" and conv.strides == (1,) and conv.dilation_rate == (1,) and conv.groups == 1)
        source = _single(conv.input)
        part = ConvPool(
            kernel=_kernel(conv),
            bias=_bias(conv),
            size=int(_single(pool.pool_size)),
            stride=int(_single(pool.strides)),
            n_in=int(source.shape[1]),
        )
        # A gap between pooling windows, or a stage of nothing, is not worth a special case.
        _need(part.size >= part.stride and part.n_pooled >= 1)
        return part, self._skip_dropout_tensor(source)

    def _skip_dropout_tensor(self, tensor: Any) -> Any:
        layer = self._before_dropout(tensor)
        return tensor if layer is None else _single(layer.output)


def _need(condition: bool) -> None:
    if not condition:
        raise _OtherWiringError


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _single(value: Any) -> Any:
    values = _listed(value)
    _need(len(values) == 1)
    return values[0]


def _activation_name(layer: Any) -> str:
    return getattr(layer.activation, "__name__", "")


def _kernel(layer: Any) -> NDArray[np.float32]:
    return np.asarray(layer.get_weights()[0], dtype=np.float32)


def _bias(layer: Any) -> NDArray[np.float32]:
    weights = layer.get_weights()
    return np.asarray(weights[1] if len(weights) > 1 else np.zeros(weights[0].shape[-1]), dtype=np.float32)
