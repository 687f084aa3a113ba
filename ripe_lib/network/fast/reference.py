"""The TensorFlow functions of reference windows: both branches, neighbouring windows, dense layers.

The merged convolution is linear before its activation, so it is split at the seam of the two branches: sequence
columns, straddling columns (a sequence part plus a region part), region columns. What depends on region types alone is
computed once per distinct region window; "no information" everywhere is one such window.

Shapes: B windows, U distinct region windows, F1/F2 filters, H hidden units, T tasks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from ripe_lib.genome.encoding import ONE_HOT_ROWS
from ripe_lib.network.fast.columns import Columns
from ripe_lib.network.fast.wiring import ConvPool, Wiring


class RegionPart(NamedTuple):
    """What distinct region windows contribute.

    ``straddle`` (U, K2-1, F2) to the straddling columns; ``mixed`` (U, n, F2) maxima of the region columns in pools
    that see both branches; ``hidden`` (U, H) to the first dense layer; ``head`` (U, n, F2) first region columns.
    """

    straddle: tf.Tensor
    mixed: tf.Tensor
    hidden: tf.Tensor
    head: tf.Tensor


class SeqPart(NamedTuple):
    """Intermediates of reference windows.

    ``conv1`` (B, n_conv1, F1) and ``conv2`` (B, n_seq_columns, F2) before activation; ``dense`` the values of each
    dense layer before activation, the last being the logits (B, T).
    """

    conv1: tf.Tensor
    conv2: tf.Tensor
    dense: tuple[tf.Tensor, ...]


class ReferenceGraph(Columns):
    """Compiled functions of one network for reference windows."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring)
        seq, region, merged = wiring.seq, wiring.region, wiring.merged
        self.n_hidden = wiring.dense[0].kernel.shape[1]

        self._one_hot = tf.constant(ONE_HOT_ROWS)
        self._dense_kernels = [tf.constant(layer.kernel) for layer in wiring.dense]
        self._dense_biases = [tf.constant(layer.bias) for layer in wiring.dense]
        codes, rows = tf.TensorSpec((None, seq.n_in), tf.uint8), tf.TensorSpec((None,), tf.int32)
        filters1, filters2 = seq.kernel.shape[2], merged.kernel.shape[2]
        self.flat1, self.flat2 = floats(None, filters1), floats(None, filters2)
        self.dense_spec = tuple(floats(None, layer.kernel.shape[1]) for layer in wiring.dense)
        part = RegionPart(
            straddle=floats(None, merged.width - 1 if wiring.seam else 0, filters2),
            mixed=floats(None, self.n_pool2_touching - self.n_pool2_seq, filters2),
            hidden=floats(None, self.n_hidden),
            head=floats(None, self.n_head, filters2),
        )
        self.no_region = RegionPart(*(tf.zeros((1, *spec.shape[1:])) for spec in part))  # of sequence-only networks
        self.reference = compiled(self._reference, codes, rows, part)
        self.append_head = compiled(self._append_head, floats(None, self.n_seq_columns, filters2), part.head, rows)
        self.tiles = compiled(self._tiles, tf.TensorSpec((None,), tf.uint8))
        self.tiled_dense = compiled(self._tiled_dense, self.flat1, self.flat2, rows, rows, part)
        if region:
            self.region_part = compiled(self._region_part, tf.TensorSpec((None, region.n_in), tf.uint8))

    # --- shared pieces ---------------------------------------------------------------------------------------------

    def _convolve(self, part: ConvPool, x: tf.Tensor, *, bias: bool = True, dilation: int = 1) -> tf.Tensor:
        out = tf.nn.conv1d(x, part.kernel, stride=1, padding="VALID", dilations=dilation)
        return tf.nn.bias_add(out, part.bias) if bias else out

    def _pool(self, part: ConvPool, x: tf.Tensor) -> tf.Tensor:
        return part.activation(tf.nn.max_pool1d(x, part.size, part.stride, "VALID"))

    def _hidden_rows(self, first: int, last: int) -> tf.Tensor:
        filters = self.wiring.merged.kernel.shape[2]
        return self._dense_kernels[0][first * filters : last * filters]

    # --- region branch ---------------------------------------------------------------------------------------------

    def _region_part(self, codes: tf.Tensor) -> RegionPart:
        region, merged = self.wiring.region, self.wiring.merged
        if region is None:
            return self.no_region
        pooled = self._pool(region, self._convolve(region, self._encode(codes)))
        if not self.wiring.seam:
            n_seq = self.n_pool2 * merged.kernel.shape[2]
            flat = tf.reshape(pooled, (tf.shape(codes)[0], region.n_pooled * region.kernel.shape[2]))
            none = tf.zeros((tf.shape(codes)[0], 0, merged.kernel.shape[2]))
            return RegionPart(none, none, tf.matmul(flat, self._dense_kernels[0][n_seq:]), none)
        overlap = merged.width - 1
        columns = self._convolve(merged, tf.pad(pooled, ((0, 0), (overlap, 0), (0, 0))), bias=False)
        pure = tf.nn.bias_add(columns[:, overlap:], merged.bias)
        return RegionPart(
            straddle=columns[:, :overlap],
            mixed=self._mixed_maxima(pure),
            hidden=self._region_hidden(pure),
            head=pure[:, : self.n_head],
        )

    def _encode(self, codes: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._one_hot, tf.cast(codes, tf.int32))

    def _mixed_maxima(self, pure: tf.Tensor) -> tf.Tensor:
        merged = self.wiring.merged
        columns = []
        for c in range(self.n_pool2_seq, self.n_pool2_touching):
            end = c * merged.stride + merged.size - self.n_seq_columns
            columns.append(tf.reduce_max(pure[:, :end], axis=1))
        if not columns:
            return tf.zeros((tf.shape(pure)[0], 0, merged.kernel.shape[2]))
        return tf.stack(columns, axis=1)

    def _region_hidden(self, pure: tf.Tensor) -> tf.Tensor:
        first = self.n_pool2_touching
        if first == self.n_pool2:
            return tf.zeros((tf.shape(pure)[0], self.n_hidden))
        # The first pool of region columns alone need not start at the first region column.
        offset = first * self.wiring.merged.stride - self.n_seq_columns
        pooled = self._pool(self.wiring.merged, pure[:, offset:])
        flat = tf.reshape(pooled, (tf.shape(pure)[0], (self.n_pool2 - first) * self.wiring.merged.kernel.shape[2]))
        return tf.matmul(flat, self._hidden_rows(first, self.n_pool2))

    # --- reference windows -----------------------------------------------------------------------------------------

    def _reference(self, codes: tf.Tensor, region_row: tf.Tensor, region: RegionPart) -> SeqPart:
        seq, merged = self.wiring.seq, self.wiring.merged
        conv1 = self._convolve(seq, self._encode(codes))
        pooled1 = self._pool(seq, conv1)
        if not self.wiring.seam:
            conv2 = self._convolve(merged, pooled1)
        else:
            columns = self._convolve(merged, tf.pad(pooled1, ((0, 0), (0, merged.width - 1), (0, 0))))
            straddle = columns[:, self.n_pure :] + tf.gather(region.straddle, region_row)
            conv2 = tf.concat([columns[:, : self.n_pure], straddle], axis=1)
        pooled2 = []
        if self.n_pool2_seq:
            pooled2.append(tf.nn.max_pool1d(conv2, merged.size, merged.stride, "VALID"))
        pooled2 += self._mixed_columns(conv2, 0, region_row, region)
        return SeqPart(conv1, conv2, self._dense(tf.concat(pooled2, axis=1), region_row, region))

    def _append_head(self, conv2: tf.Tensor, head: tf.Tensor, region_row: tf.Tensor) -> tf.Tensor:
        return tf.concat([conv2, tf.gather(head, region_row)], axis=1)

    def _mixed_columns(
        self, conv2: tf.Tensor, first_column: int, region_row: tf.Tensor, region: RegionPart
    ) -> list[tf.Tensor]:
        """Pool the windows that see both branches; ``conv2`` starts at merged column ``first_column``."""
        if not self.wiring.seam:
            return []
        stride = self.wiring.merged.stride
        region_maxima = tf.gather(region.mixed, region_row)
        columns = []
        for index, c in enumerate(range(self.n_pool2_seq, self.n_pool2_touching)):
            own = tf.reduce_max(conv2[:, c * stride - first_column :], axis=1)
            columns.append(tf.maximum(own, region_maxima[:, index])[:, None])
        return columns

    def _dense(self, pooled2: tf.Tensor, region_row: tf.Tensor, region: RegionPart) -> tuple[tf.Tensor, ...]:
        """Return every dense layer's values from the pooled columns (B, n, F2) before activation."""
        n = self.n_pool2_touching
        activated = self.wiring.merged.activation(pooled2)
        flat = tf.reshape(activated, (tf.shape(pooled2)[0], n * self.wiring.merged.kernel.shape[2]))
        value = tf.matmul(flat, self._hidden_rows(0, n)) + self._dense_biases[0]
        value += tf.gather(region.hidden, region_row)
        values = [value]
        for index in range(1, len(self._dense_kernels)):
            value = self.wiring.dense[index - 1].activation(value)
            values.append(tf.matmul(value, self._dense_kernels[index]) + self._dense_biases[index])
        return tuple(values)

    # --- neighbouring windows --------------------------------------------------------------------------------------

    def _tiles(self, codes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return first convolution (N1, F1), pooled (N2, F1) and merged columns (N3, F2) at every start of a stretch.

        Window ``w`` finds its pooled column ``p`` in row ``w + S1 p`` and its pure sequence column ``q`` of the merged
        convolution in row ``w + S1 q``.
        """
        seq, merged = self.wiring.seq, self.wiring.merged
        conv1 = self._convolve(seq, self._encode(codes)[None])
        pooled1 = seq.activation(tf.nn.max_pool1d(conv1, seq.size, 1, "VALID"))
        conv2 = self._convolve(merged, pooled1, dilation=seq.stride)
        return conv1[0], pooled1[0], conv2[0]

    def _tiled_dense(
        self,
        pooled1: tf.Tensor,
        conv2: tf.Tensor,
        starts: tf.Tensor,
        region_row: tf.Tensor,
        region: RegionPart,
    ) -> tuple[tf.Tensor, ...]:
        """Return every dense layer's values of the windows that begin at ``starts`` (W,) of a tiled stretch."""
        seq, merged = self.wiring.seq, self.wiring.merged
        n_whole = max(0, min(self.n_pool2, (self.n_pure - merged.size) // merged.stride + 1))
        first = n_whole * merged.stride
        pieces = []
        if n_whole:
            # Running maximum over the merged columns of one window, which lie S1 rows apart.
            running = conv2[: tf.shape(conv2)[0] - seq.stride * (merged.size - 1)]
            for step in range(1, merged.size):
                running = tf.maximum(running, conv2[seq.stride * step : seq.stride * step + tf.shape(running)[0]])
            rows = starts[:, None] + seq.stride * merged.stride * tf.range(n_whole)
            pieces.append(tf.gather(running, rows))
        if self.wiring.seam:
            rows = starts[:, None] + seq.stride * tf.range(first, self.n_pure)
            last = starts[:, None] + seq.stride * tf.range(self.n_pure, seq.n_pooled)
            straddle = self._convolve(merged, tf.pad(tf.gather(pooled1, last), ((0, 0), (0, merged.width - 1), (0, 0))))
            straddle += tf.gather(region.straddle, region_row)
            tail = tf.concat([tf.gather(conv2, rows), straddle], axis=1)
            for c in range(n_whole, self.n_pool2_seq):
                begin = c * merged.stride - first
                pieces.append(tf.reduce_max(tail[:, begin : begin + merged.size], axis=1)[:, None])
            pieces += self._mixed_columns(tail, first, region_row, region)
        return self._dense(tf.concat(pieces, axis=1), region_row, region)


def floats(*shape: int | None) -> tf.TensorSpec:
    """Return the signature of a float32 tensor."""
    return tf.TensorSpec(shape, tf.float32)


def compiled(function: Callable[..., Any], *signature: Any) -> Callable[..., Any]:
    """Compile on first use, for one signature: calling the concrete function skips the search for a matching trace."""

    @functools.cache
    def concrete() -> Callable[..., Any]:
        return tf.function(lambda *arguments: function(*arguments), input_signature=signature).get_concrete_function()

    return lambda *arguments: concrete()(*arguments)
