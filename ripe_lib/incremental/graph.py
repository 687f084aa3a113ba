"""The TensorFlow functions of substitutions: what a few changed bases change.

Everything is arranged as *reference plus difference*: an alternative's values are its reference's plus what the
changed columns contribute. Two consequences: only changed columns are computed, and an alternative equal to its
reference differs by exactly 0.

Shapes: G groups of loci at one position, n loci per group, A alternatives per locus, F1/F2 filters, H hidden units,
T tasks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from ripe_lib.incremental.geometry import first_pool1, first_pool2, pool1_exists, touched
from ripe_lib.incremental.kernels import full_convolution_bands, substitution_tables
from ripe_lib.incremental.reference import MAX_SPAN, ReferenceGraph, compiled, floats
from ripe_lib.incremental.wiring import Wiring


class Graph(ReferenceGraph):
    """Compiled functions of one network for reference windows and their alternatives."""

    max_span = MAX_SPAN

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring)
        self._padded_hidden, self._hidden_padding = self._pad_hidden()
        self._changes: dict[tuple[int, int], Callable[..., Any]] = {}
        self.everywhere = compiled(
            self._everywhere,
            self.flat1,
            self.flat2,
            self.dense_spec,
            tf.TensorSpec((None, wiring.seq.n_in), tf.uint8),
            tf.TensorSpec((None, wiring.seq.n_in, None), tf.uint8),
        )

    def _pad_hidden(self) -> tuple[tf.Tensor, int]:
        """Return the first dense kernel as (columns, F2 * H) with rows of 0 for columns that do not exist."""
        filters = self.wiring.merged.kernel.shape[2]
        before = int(max(0, -first_pool2(self.sizes, np.arange(self.sizes.period)).min()))
        most = max(touched(self.sizes, c, MAX_SPAN).n_pool2 for c in range(self.sizes.period))
        kernel = self.wiring.dense[0].kernel[: self.n_pool2 * filters].reshape(self.n_pool2, filters * self.n_hidden)
        return tf.constant(np.pad(kernel, ((before, most), (0, 0)))), before

    def change(self, position_class: int, span: int) -> Callable[..., tf.Tensor]:
        """Return the compiled function for stretches of ``span`` bases at positions of a class.

        Its arguments: ``conv1`` (x, F1) and ``conv2`` (y, F2) rows of the reference; ``dense`` of the reference;
        ``conv1_rows`` (G, n, a) and ``conv2_rows`` (G, n, b) the rows around each locus; ``site`` (G, n); ``exists``
        (G, n_pool1); ``first_pool2`` (G,); ``ref`` (G, n, span) and ``alt`` (G, n, A, span) codes. It returns logits
        (G, n, A, T).
        """
        key = (position_class, span)
        if key not in self._changes:
            t = touched(self.sizes, position_class, span)
            self._changes[key] = compiled(
                functools.partial(self._change, position_class, span),
                self.flat1,
                self.flat2,
                self.dense_spec,
                tf.TensorSpec((None, None, t.conv1_length), tf.int32),
                tf.TensorSpec((None, None, t.conv2_length), tf.int32),
                tf.TensorSpec((None, None), tf.int32),
                floats(None, t.n_pool1),
                tf.TensorSpec((None,), tf.int32),
                tf.TensorSpec((None, None, span), tf.uint8),
                tf.TensorSpec((None, None, None, span), tf.uint8),
            )
        return self._changes[key]

    def _change(
        self,
        position_class: int,
        span: int,
        conv1: tf.Tensor,
        conv2: tf.Tensor,
        dense: tuple[tf.Tensor, ...],
        conv1_rows: tf.Tensor,
        conv2_rows: tf.Tensor,
        site: tf.Tensor,
        exists: tf.Tensor,
        first_pool2: tf.Tensor,
        ref: tf.Tensor,
        alt: tf.Tensor,
    ) -> tf.Tensor:
        delta = self._pooled_change(position_class, span, conv1, conv2, conv1_rows, conv2_rows, exists, ref, alt)
        groups, n, n_alt = tf.shape(alt)[0], tf.shape(alt)[1], tf.shape(alt)[2]
        n_pool2, filters2 = delta.shape[3:]
        window = first_pool2[:, None] + self._hidden_padding + tf.range(n_pool2)
        kernel = tf.reshape(tf.gather(self._padded_hidden, window), (groups, n_pool2 * filters2, self.n_hidden))
        delta = tf.matmul(tf.reshape(delta, (groups, n * n_alt, n_pool2 * filters2)), kernel)
        return self._dense_difference(dense, site, tf.reshape(delta, (groups, n, n_alt, self.n_hidden)))

    def _pooled_change(
        self,
        position_class: int,
        span: int,
        conv1: tf.Tensor,
        conv2: tf.Tensor,
        conv1_rows: tf.Tensor,
        conv2_rows: tf.Tensor,
        exists: tf.Tensor,
        ref: tf.Tensor,
        alt: tf.Tensor,
    ) -> tf.Tensor:
        """Return the change of the touched columns after the second pooling: (G, n, A, n_pool2, F2)."""
        t = touched(self.sizes, position_class, span)
        seq, merged = self.wiring.seq, self.wiring.merged
        filters1, filters2 = seq.kernel.shape[2], merged.kernel.shape[2]
        groups, n, n_alt = tf.shape(alt)[0], tf.shape(alt)[1], tf.shape(alt)[2]

        # First convolution: a substitution replaces one row of the kernel by another, no products.
        around1 = tf.gather(conv1, conv1_rows)  # (G, n, a, F1)
        pair = tf.cast(ref, tf.int32)[:, :, None, :] * 5 + tf.cast(alt, tf.int32)
        tables = substitution_tables(seq.kernel, t, span)
        difference = tf.gather(tf.constant(tables[0]), pair[..., 0])
        for offset in range(1, span):
            difference += tf.gather(tf.constant(tables[offset]), pair[..., offset])
        changed1 = around1[:, :, None] + difference

        pooled_ref = self._pool(seq, tf.reshape(around1, (groups * n, t.conv1_length, filters1)))
        pooled_alt = self._pool(seq, tf.reshape(changed1, (groups * n * n_alt, t.conv1_length, filters1)))
        delta1 = tf.reshape(pooled_alt, (groups, n, n_alt, t.n_pool1, filters1)) - tf.reshape(
            pooled_ref, (groups, n, 1, t.n_pool1, filters1)
        )
        delta1 *= exists[:, None, None, :, None]

        # Merged convolution of the few changed columns, then the pools that see them.
        delta2 = self._spread(tf.reshape(delta1, (groups * n * n_alt, t.n_pool1, filters1)))
        around2 = tf.reshape(tf.gather(conv2, conv2_rows), (groups * n, t.conv2_length, filters2))
        delta3 = self._pool_difference(
            t.conv2_offset, t.n_pool2, around2, tf.reshape(delta2, (groups * n, n_alt, t.n_conv2, filters2))
        )
        return tf.reshape(delta3, (groups, n, n_alt, t.n_pool2, filters2))

    def _everywhere(
        self,
        conv1: tf.Tensor,
        conv2: tf.Tensor,
        dense: tuple[tf.Tensor, ...],
        codes: tf.Tensor,
        alt: tf.Tensor,
    ) -> tf.Tensor:
        """Return logits (B, L, A, T) of single substitutions ``alt`` (B, L, A) at every position.

        Loci are brought together by the pooled column their change begins at, over all classes: each block of the
        first dense kernel is then used once, for many loci.
        """
        sizes, length = self.sizes, self.wiring.seq.n_in
        n, n_alt, filters2 = tf.shape(alt)[0], tf.shape(alt)[2], self.wiring.merged.kernel.shape[2]
        begins = first_pool2(sizes, np.arange(length))
        lowest, n_begins = int(begins.min()), int(np.ptp(begins)) + 1
        classes = range(min(sizes.period, length))
        most = max(touched(sizes, c, 1).n_pool2 for c in classes)
        deltas = []
        for c in classes:
            chosen = np.arange(c, length, sizes.period)
            around1, around2 = self.columns_around(chosen, 1)
            window = tf.range(n)[None, :, None]
            delta = self._pooled_change(
                c,
                1,
                conv1,
                conv2,
                window * self.wiring.seq.n_conv + tf.constant(around1, tf.int32)[:, None],
                window * self.n_conv2_readable + tf.constant(around2, tf.int32)[:, None],
                tf.constant(pool1_exists(sizes, chosen, touched(sizes, c, 1).n_pool1)),
                tf.transpose(codes[:, c :: sizes.period])[..., None],
                tf.transpose(alt[:, c :: sizes.period], (1, 0, 2))[..., None],
            )
            before = int(begins[c]) - lowest
            after = n_begins - before - len(chosen)
            deltas.append(tf.pad(delta, ((before, after), (0, 0), (0, 0), (0, most - delta.shape[3]), (0, 0))))
        stacked = tf.stack(deltas, axis=1)  # (begins, classes, B, A, most, F2)
        window = lowest + np.arange(n_begins)[:, None] + self._hidden_padding + np.arange(most)
        kernel = self._padded_hidden.numpy()[window].reshape(n_begins, most * filters2, self.n_hidden)
        hidden = tf.matmul(tf.reshape(stacked, (n_begins, len(classes) * n * n_alt, most * filters2)), kernel)
        hidden = tf.reshape(hidden, (n_begins * len(classes), n, n_alt, self.n_hidden))
        order = (begins - lowest) * len(classes) + np.arange(length) % sizes.period
        site = tf.broadcast_to(tf.range(n)[None], (length, n))
        logits = self._dense_difference(dense, site, tf.gather(hidden, order))
        return tf.transpose(logits, (1, 0, 2, 3))

    def columns_around(self, position: np.ndarray, span: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns (n, a) of the first and (n, b) of the merged convolution around positions of a class.

        Those that do not exist are replaced by the nearest one; what they contribute is masked later.
        """
        t = touched(self.sizes, int(position[0]) % self.sizes.period, span)
        around1 = self.sizes.stride1 * first_pool1(self.sizes, position)[:, None] + np.arange(t.conv1_length)
        around2 = self.sizes.stride2 * first_pool2(self.sizes, position)[:, None] + np.arange(t.conv2_length)
        return around1.clip(0, self.wiring.seq.n_conv - 1), around2.clip(0, self.n_conv2_readable - 1)

    def _spread(self, delta: tf.Tensor) -> tf.Tensor:
        """Convolve (m, n, F1) changed columns, zeros around them: (m, n + K2 - 1, F2)."""
        kernel = self.wiring.merged.kernel
        n_in, rows = int(delta.shape[1]), tf.shape(delta)[0]
        pieces = [
            tf.matmul(tf.reshape(delta[:, band.low : band.high], (rows, len(band.matrix))), band.matrix)
            for band in full_convolution_bands(kernel, n_in)
        ]
        return tf.reshape(tf.concat(pieces, axis=1), (rows, n_in + len(kernel) - 1, kernel.shape[2]))

    def _pool_difference(self, offset: int, n_pool2: int, around: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
        """Return (m, A, n_pool2, F2): activated pools with the changed columns minus those without.

        ``around`` (m, b, F2) reference columns, ``delta`` (m, A, n, F2) change of ``n`` columns from ``offset`` on.
        What the unchanged columns of a pool contribute to its maximum is found once for all alternatives.
        """
        merged = self.wiring.merged
        n = int(delta.shape[2])
        reference = around[:, offset : offset + n]
        changed = reference[:, None] + delta
        references, alternatives = [], []
        for index in range(n_pool2):
            start = index * merged.stride
            end = start + merged.size
            first, last = max(start, offset), min(end, offset + n)
            ref_max = tf.reduce_max(reference[:, first - offset : last - offset], axis=1)
            alt_max = tf.reduce_max(changed[:, :, first - offset : last - offset], axis=2)
            for low, high in ((start, first), (last, end)):
                if low < high:
                    others = tf.reduce_max(around[:, low:high], axis=1)
                    ref_max = tf.maximum(ref_max, others)
                    alt_max = tf.maximum(alt_max, others[:, None])
            references.append(ref_max)
            alternatives.append(alt_max)
        stacked = merged.activation(tf.stack(alternatives, axis=2))
        return stacked - merged.activation(tf.stack(references, axis=1))[:, None]

    def _dense_difference(self, dense: tuple[tf.Tensor, ...], site: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
        """Carry (G, n, A, H) through the dense layers: logits (G, n, A, T)."""
        for index in range(1, len(self._dense_kernels)):
            reference = tf.gather(dense[index - 1], site)[:, :, None]
            activation = self.wiring.dense[index - 1].activation
            step = activation(reference + delta) - activation(reference)
            shape = tf.shape(delta)
            kernel = self._dense_kernels[index]
            product = tf.matmul(tf.reshape(step, (-1, kernel.shape[0])), kernel)
            delta = tf.reshape(product, (shape[0], shape[1], shape[2], kernel.shape[1]))
        return tf.gather(dense[-1], site)[:, :, None] + delta
