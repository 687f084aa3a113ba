"""The TensorFlow functions of substitutions: what a few changed bases change.

Everything is arranged as *reference plus difference*: an alternative's values are its reference's plus what the
changed columns contribute. Two consequences: only changed columns are computed, and an alternative equal to its
reference differs by exactly 0.

Shapes: G groups of loci at one position, n loci per group, A alternatives per locus, F1/F2 filters, H hidden units,
T tasks.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from ripe_lib.network.fast.geometry import MAX_SPAN, Touched, first_pool1, first_pool2, pool1_exists, touched
from ripe_lib.network.fast.kernels import substitution_tables
from ripe_lib.network.fast.reference import ReferenceGraph, compiled, floats
from ripe_lib.network.fast.wiring import Wiring


class Graph(ReferenceGraph):
    """Compiled functions of one network for reference windows and their alternatives."""

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
        delta3 = self._pool_difference(t, around2, [tf.reshape(d, (groups * n, n_alt, filters2)) for d in delta2])
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

        Loci that touch the same pooled columns are brought together, over all classes: each block of the first dense
        kernel is then used once, for many loci.
        """
        sizes, length = self.sizes, self.wiring.seq.n_in
        n, n_alt, filters2 = tf.shape(alt)[0], tf.shape(alt)[2], self.wiring.merged.kernel.shape[2]
        together: dict[tuple[int, int], list[tuple[int, tf.Tensor]]] = {}
        for c in range(min(sizes.period, length)):
            chosen = np.arange(c, length, sizes.period)
            around1, around2 = self.columns_around(chosen, 1)
            window = tf.range(n)[None, :, None]
            t = touched(sizes, c, 1)
            delta = self._pooled_change(
                c,
                1,
                conv1,
                conv2,
                window * self.wiring.seq.n_conv + tf.constant(around1, tf.int32)[:, None],
                window * self.n_conv2_readable + tf.constant(around2, tf.int32)[:, None],
                tf.constant(pool1_exists(sizes, chosen, t.n_pool1)),
                tf.transpose(codes[:, c :: sizes.period])[..., None],
                tf.transpose(alt[:, c :: sizes.period], (1, 0, 2))[..., None],
            )
            for index, begin in enumerate(first_pool2(sizes, chosen).tolist()):
                first, last = (min(max(column, 0), self.n_pool2) for column in (begin, begin + t.n_pool2))
                inside = delta[index, :, :, first - begin : last - begin]
                together.setdefault((first, last), []).append((int(chosen[index]), inside))
        positions, hidden = [], []
        for (first, last), members in together.items():
            positions += [position for position, _ in members]
            rows = len(members) * n * n_alt
            flat = tf.reshape(tf.stack([inside for _, inside in members]), (rows, (last - first) * filters2))
            product = tf.matmul(flat, self._hidden_rows(first, last))
            hidden.append(tf.reshape(product, (len(members), n, n_alt, self.n_hidden)))
        logits = self._dense_difference(dense, tf.range(n)[None], tf.concat(hidden, axis=0))
        return tf.transpose(tf.gather(logits, np.argsort(positions)), (1, 0, 2, 3))

    def columns_around(self, position: np.ndarray, span: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns (n, a) of the first and (n, b) of the merged convolution around positions of a class.

        Those that do not exist are replaced by the nearest one; what they contribute is masked later.
        """
        t = touched(self.sizes, int(position[0]) % self.sizes.period, span)
        around1 = self.sizes.stride1 * first_pool1(self.sizes, position)[:, None] + np.arange(t.conv1_length)
        around2 = self.sizes.stride2 * first_pool2(self.sizes, position)[:, None] + np.arange(t.conv2_length)
        return around1.clip(0, self.wiring.seq.n_conv - 1), around2.clip(0, self.n_conv2_readable - 1)

    def _spread(self, delta: tf.Tensor) -> list[tf.Tensor]:
        """Convolve (m, n, F1) changed columns, zeros around them: n + K2 - 1 columns (m, F2).

        One product per column: no products with zeros, and the pools then work on whole arrays.
        """
        kernel = self.wiring.merged.kernel
        width, filters1, filters2 = kernel.shape
        n_in, rows = int(delta.shape[1]), tf.shape(delta)[0]
        columns = []
        for last in range(n_in + width - 1):
            low, high = max(0, last - width + 1), min(n_in, last + 1)
            taps = kernel[low - last + width - 1 : high - last + width - 1].reshape(-1, filters2)
            columns.append(tf.matmul(tf.reshape(delta[:, low:high], (rows, (high - low) * filters1)), taps))
        return columns

    def _pool_difference(self, t: Touched, around: tf.Tensor, delta: list[tf.Tensor]) -> tf.Tensor:
        """Return (m, A, n_pool2, F2): activated pools with the changed columns minus those without.

        ``around`` (m, b, F2) reference columns, ``delta`` the change (m, A, F2) of the touched ones. Pools overlap: the
        maximum of a run of columns that begins or ends no pool is found once; that of unchanged columns once for all
        alternatives.
        """
        merged = self.wiring.merged
        offset, end = t.conv2_offset, t.conv2_offset + t.n_conv2
        pools = [(first, first + merged.size) for first in range(0, t.n_pool2 * merged.stride, merged.stride)]
        borders = sorted({offset, end, *(border for pool in pools for border in pool)})
        runs = list(itertools.pairwise(borders))
        reference = {(low, high): tf.reduce_max(around[:, low:high], axis=1, keepdims=True) for low, high in runs}
        touched_columns = tf.split(around[:, offset:end], t.n_conv2, axis=1)
        columns = [column + change for column, change in zip(touched_columns, delta, strict=True)]
        changed = {
            (low, high): _maximum(columns[low - offset : high - offset])
            for low, high in runs
            if offset <= low and high <= end
        }
        differences = []
        for first, last in pools:
            inside = [run for run in runs if first <= run[0] and run[1] <= last]
            same = [reference[run] for run in inside if run not in changed]
            new = _maximum([*(changed[run] for run in inside if run in changed), *([_maximum(same)] if same else [])])
            old = _maximum([reference[run] for run in inside])
            differences.append(merged.activation(new) - merged.activation(old))
        return tf.stack(differences, axis=2)

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


def _maximum(tensors: list[tf.Tensor]) -> tf.Tensor:
    return functools.reduce(tf.maximum, tensors)
