"""Compiled loops over windows and alternatives: what :mod:`ripe_lib.incremental.native` puts together.

Rows of filters are padded to a multiple of 16 numbers, but lie ``filters`` apart where a convolution or a dense layer
reads them as one run: they are written in order, so that the padding of one is overwritten by the next, and each array
ends with room for the last one's.
"""

# mypy: ignore-errors

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ripe_lib.incremental.products import compiled, product

BLOCK = 48  # alternatives at a time: their intermediates stay in the second-level cache


class First(NamedTuple):
    """A convolution of base codes and the pooling after it.

    The sum over a one-hot window is a sum of kernel rows; ``tables`` (rows, padded filters) holds it for runs of up to
    three bases, ``groups`` (n, 3) the first tap, the taps and the first row of each run. ``floor``: values below it
    are raised to it (the activation: 0 for relu, -inf for none).
    """

    tables: np.ndarray
    groups: np.ndarray
    width: int
    size: int
    stride: int
    n_conv: int
    n_pooled: int
    filters: int
    floor: float


class Second(NamedTuple):
    """The merged convolution and its pooling; ``kernel`` flat (K F1, padded F2), ``bias`` and ``zeros`` (padded F2)."""

    kernel: np.ndarray
    bias: np.ndarray
    zeros: np.ndarray
    width: int
    size: int
    stride: int
    n_pooled: int
    filters: int
    padded: int
    floor: float


@compiled
def first_columns(first, codes, at, n, out, out_at):
    """Write the convolution at ``n`` columns, the first of which begins at ``codes[at]``."""
    for column in range(n):
        for group in range(len(first.groups)):
            row = 0
            begin = at + column + first.groups[group, 0]
            for tap in range(first.groups[group, 1]):
                row = row * 5 + codes[begin + tap]
            row += first.groups[group, 2]
            target, source = out[out_at + column], first.tables[row]
            if group == 0:
                for f in range(len(source)):
                    target[f] = source[f]
            else:
                for f in range(len(source)):
                    target[f] += source[f]


@compiled
def pooled_column(columns, at, size, floor, out, out_at):
    """Write the maximum of ``size`` columns, at least ``floor``."""
    width = columns.shape[1]
    target = out[out_at : out_at + width]
    head = columns[at]
    for f in range(width):
        target[f] = head[f] if head[f] > floor else floor
    for j in range(1, size):
        row = columns[at + j]
        for f in range(width):
            target[f] = row[f] if row[f] > target[f] else target[f]


@compiled
def first_stage(first, codes, stride, out, out_step):
    """Write the pooled columns of windows ``codes`` (B, L), ``stride`` apart, each window at ``out_step`` numbers."""
    n_conv = codes.shape[1] - first.width + 1
    columns = np.empty((n_conv, first.tables.shape[1]), dtype=np.float32)
    for window in range(len(codes)):
        first_columns(first, codes[window], 0, n_conv, columns, 0)
        for p in range((n_conv - first.size) // stride + 1):
            at = window * out_step + p * first.filters
            pooled_column(columns, p * stride, first.size, first.floor, out, at)


@compiled
def sequence_columns(first, second, codes, n_columns, out, out_rows):
    """Write the merged convolution of windows ``codes`` (B, L): ``n_columns`` of each, ``out_rows`` rows apart.

    Columns past the last pooled one see zeros: what the region branch adds there comes later.
    """
    n = first.n_pooled * first.filters
    pooled = np.zeros(n + (second.width - 1) * first.filters + first.tables.shape[1], dtype=np.float32)
    k = second.width * first.filters
    for window in range(len(codes)):
        first_stage(first, codes[window : window + 1], first.stride, pooled, 0)
        pooled[n:] = 0
        at = window * out_rows * second.padded
        product(
            pooled, 0, first.filters, second.kernel, 0, second.padded, second.bias, out, at, second.padded, n_columns, k
        )


@compiled
def stretch_columns(first, second, codes, out):
    """Write the merged convolution at every start of a stretch, grouped by phase of the first pooling.

    Row ``phase_row + i`` is the column that begins ``phase + stride i`` after the start of the stretch; returns the
    first row of each phase.
    """
    n_conv = len(codes) - first.width + 1
    columns = np.empty((n_conv, first.tables.shape[1]), dtype=np.float32)
    first_columns(first, codes, 0, n_conv, columns, 0)
    n_pooled = n_conv - first.size + 1
    phase_rows = np.zeros(first.stride, dtype=np.int64)
    row = 0
    for phase in range(first.stride):
        n = (n_pooled - phase + first.stride - 1) // first.stride
        pooled = np.zeros(max(n, 0) * first.filters + first.tables.shape[1], dtype=np.float32)
        for i in range(n):
            pooled_column(columns, phase + i * first.stride, first.size, first.floor, pooled, i * first.filters)
        phase_rows[phase] = row
        n_out = max(0, n - second.width + 1)
        product(
            pooled,
            0,
            first.filters,
            second.kernel,
            0,
            second.padded,
            second.bias,
            out,
            row * second.padded,
            second.padded,
            n_out,
            second.width * first.filters,
        )
        row += n_out
    return phase_rows


@compiled
def pooled_windows(second, columns, base, n_columns, region_maxima, region_row, out, out_step):
    """Write the pooled merged columns of windows as one run per window, ``out_step`` numbers apart.

    Window ``w`` has column ``q`` in row ``base[w] + q`` of ``columns`` (rows, padded F2), and ``n_columns`` to which
    the sequence contributes. The last pools also see region columns: ``region_maxima`` (U, n, padded F2).
    """
    n_mixed = region_maxima.shape[1]
    n_whole = min(second.n_pooled, max(0, (n_columns - second.size) // second.stride + 1))
    for window in range(len(base)):
        for p in range(n_whole + n_mixed):
            begin = p * second.stride
            n = min(second.size, n_columns - begin)
            at = window * out_step + p * second.filters
            pooled_column(columns, base[window] + begin, n, second.floor, out, at)
            if p >= n_whole:
                other = region_maxima[region_row[window], p - n_whole]
                target = out[at : at + second.padded]
                for f in range(second.padded):
                    target[f] = other[f] if other[f] > target[f] else target[f]


@compiled
def difference(new, old, out, out_at):
    """Write ``new - old``."""
    target = out[out_at : out_at + len(new)]
    for f in range(len(new)):
        target[f] = new[f] - old[f]


@compiled
def change_first(first, codes, position, alt, first_pool1, n_pool1, room, out, out_at):
    """Write the change of pooled columns ``first_pool1 ...`` when bases at ``position`` become ``alt``; 0 where none is."""
    local, before, after, old, new = room
    low, high = max(first_pool1, 0), min(first_pool1 + n_pool1, first.n_pooled)
    padded = first.tables.shape[1]
    for p in range(n_pool1):
        if first_pool1 + p < low or first_pool1 + p >= high:
            at = out_at + p * first.filters
            out[at : at + padded] = 0
    if high <= low:
        return
    column = low * first.stride
    n = (high - 1 - low) * first.stride + first.size
    for i in range(n + first.width - 1):
        local[i] = codes[column + i]
    first_columns(first, local, 0, n, before, 0)
    for i in range(len(alt)):
        place = position + i - column
        if 0 <= place < n + first.width - 1:
            local[place] = alt[i]
    changed, end = max(0, position - first.width + 1 - column), min(n, position + len(alt) - column)
    for j in range(n):
        if j < changed or j >= end:
            source, target = before[j], after[j]
            for f in range(padded):
                target[f] = source[f]
    if end > changed:
        first_columns(first, local, changed, end - changed, after, changed)
    for p in range(low - first_pool1, high - first_pool1):
        j = (first_pool1 + p) * first.stride - column
        pooled_column(before, j, first.size, first.floor, old, 0)
        pooled_column(after, j, first.size, first.floor, new, 0)
        difference(new, old, out, out_at + p * first.filters)


@compiled
def change_second(second, columns, base, first_pool2, n_pool2, first_column, delta, delta_at, n_delta, out, out_at, old, new):
    """Write the change of pooled merged columns ``first_pool2 ...``; 0 where there is none."""
    padded = second.padded
    for c in range(n_pool2):
        at = out_at + c * second.filters
        pool = first_pool2 + c
        if pool < 0 or pool >= second.n_pooled:
            out[at : at + padded] = 0
            continue
        begin = pool * second.stride
        low = max(begin, first_column)
        high = min(begin + second.size, first_column + n_delta)
        old[:] = second.floor
        new[:] = second.floor
        for q in range(begin, begin + second.size):
            row = columns[base + q]
            if low <= q < high:
                change = delta[delta_at + (q - first_column) * padded :]
                for f in range(padded):
                    value = row[f]
                    old[f] = value if value > old[f] else old[f]
                    value += change[f]
                    new[f] = value if value > new[f] else new[f]
            else:
                for f in range(padded):
                    value = row[f]
                    old[f] = value if value > old[f] else old[f]
                    new[f] = value if value > new[f] else new[f]
        difference(new, old, out, at)


@compiled
def change_pools(first, second, shape, codes, columns, base, site, position, alt, rows, out, out_step):
    """Write what alternatives of one class of positions change after the second pooling.

    Parameters
    ----------
    shape : tuple of int
        ``n_pool1, conv1_length, n_conv2, n_pool2`` of :class:`ripe_lib.incremental.geometry.Touched`.
    rows : int array
        The alternatives, as rows of ``site``, ``position``, ``alt`` (M, S) and of ``out``.
    """
    n_pool1, conv1_length, n_conv2, n_pool2 = shape
    overlap = second.width - 1
    step1, step2 = n_pool1 * first.filters, n_conv2 * second.padded
    padded1 = first.tables.shape[1]
    local = np.empty(conv1_length + first.width, dtype=np.uint8)
    before = np.empty((conv1_length, padded1), dtype=np.float32)
    after = np.empty((conv1_length, padded1), dtype=np.float32)
    room = local, before, after, np.empty(padded1, dtype=np.float32), np.empty(padded1, dtype=np.float32)
    old = np.empty(second.padded, dtype=np.float32)
    new = np.empty(second.padded, dtype=np.float32)
    delta1 = np.empty(BLOCK * step1 + padded1, dtype=np.float32)
    delta2 = np.empty(BLOCK * step2, dtype=np.float32)
    for start in range(0, len(rows), BLOCK):
        n = min(BLOCK, len(rows) - start)
        for i in range(n):
            row = rows[start + i]
            at = -((first.size + first.width - 2 - position[row]) // first.stride)
            change_first(first, codes[site[row]], position[row], alt[row], at, n_pool1, room, delta1, i * step1)
        # One product per column for the whole block, over the changed pooled columns it sees.
        for q in range(n_conv2):
            low, high = max(0, q - overlap), min(n_pool1 - 1, q)
            tap = low + overlap - q
            product(
                delta1,
                low * first.filters,
                step1,
                second.kernel,
                tap * first.filters * second.padded,
                second.padded,
                second.zeros,
                delta2,
                q * second.padded,
                step2,
                n,
                (high - low + 1) * first.filters,
            )
        for i in range(n):
            row = rows[start + i]
            column = -((first.size + first.width - 2 - position[row]) // first.stride) - overlap
            pool = -((second.size - 1 - column) // second.stride)
            change_second(
                second,
                columns,
                base[site[row]],
                pool,
                n_pool2,
                column,
                delta2,
                i * step2,
                n_conv2,
                out,
                row * out_step,
                old,
                new,
            )


@compiled
def hidden_change(values, site, delta, floor, out):
    """Write the change of activated hidden values: (M, H) from the windows' (B, H) and the change before activation."""
    for row in range(len(site)):
        reference, change, target = values[site[row]], delta[row], out[row]
        for h in range(len(target)):
            new = reference[h] + change[h]
            old = reference[h]
            target[h] = (new if new > floor else floor) - (old if old > floor else floor)
