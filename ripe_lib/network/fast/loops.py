"""Compiled loops over sequences, windows and alternatives: what :mod:`ripe_lib.network.fast.passes` puts together.

Plain loops over rows of filters, which the compiler turns into vector instructions, and BLAS for every product: a
block of rows is made, multiplied while it is in the cache, and used up. BLAS is given whole tiles of rows only: a row's
product then depends on its place in a tile (in the seventh digit), but not on how many rows follow it. Nothing here
holds the GIL.

A *sequence* is a run of pooled columns of the first stage: one window, or every column of a phase along a stretch.
Axes: F1, F2 filters of the first and the merged convolution, H hidden units.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from ripe_lib.network.fast.kernels import POINTS
from ripe_lib.output.compiled import compiled

ROWS = 24  # a multiple of the rows that BLAS kernels take at once (4, 6, 8, 12)
TILES = 120  # tiles multiplied at a time
WINDOWS = 120  # windows multiplied with the first dense kernel at a time
ALTERNATIVES = 72  # alternatives at a time: their intermediates stay in the second-level cache


@compiled
def whole(n):
    """Return ``n`` rounded up to whole tiles of rows."""
    return (n + ROWS - 1) // ROWS * ROWS


@compiled
def product(a, kernel):
    """Return float32 ``a`` (n, K) times contiguous ``kernel`` (K, m), by whole tiles of rows."""
    n = len(a)
    rows = np.zeros((whole(n), a.shape[1]), dtype=np.float32)
    rows[:n] = a
    return np.dot(rows, kernel)[:n]


@compiled
def change_relu(reference, site, delta):
    """Make changes of ``reference[site]`` before ReLU those after it."""
    for i in range(len(site)):
        before, change = reference[site[i]], delta[i]
        for h in range(len(change)):
            change[h] = np.maximum(before[h] + change[h], np.float32(0)) - np.maximum(before[h], np.float32(0))


@compiled
def table_row(first, group, codes, at):
    """Return the row of the tables for a word of a window that begins at ``codes[at]``."""
    row = 0
    begin = at + first.groups[group, 0]
    for tap in range(first.groups[group, 1]):
        row = row * 5 + codes[begin + tap]
    return row + first.groups[group, 2]


@compiled
def convolve_codes(first, codes, n, out):
    """Write the first convolution (with bias, before ReLU) at the first ``n`` starts of ``codes``."""
    for i in range(n):
        a = first.tables[table_row(first, 0, codes, i)]
        b = first.tables[table_row(first, 1, codes, i)]
        c = first.tables[table_row(first, 2, codes, i)]
        row = out[i]
        for f in range(len(row)):
            row[f] = a[f] + b[f] + c[f]


@compiled
def pool(values, at, size, out):
    """Write the maximum of 0 and of ``size`` rows from ``values[at]`` on."""
    out[:] = np.float32(0)
    for r in range(at, at + size):
        row = values[r]
        for f in range(len(out)):
            out[f] = np.maximum(row[f], out[f])  # a conditional here is not made a vector instruction


@compiled
def first_stage(first, codes, begin, n, work, out):
    """Write ``n`` pooled columns (n, F1), the first of which begins at ``codes[begin]``; ``work`` is scratch."""
    n_columns = (n - 1) * first.stride + first.size
    convolve_codes(first, codes[begin:], n_columns, work)
    for p in range(n):
        pool(work, p * first.stride, first.size, out[p])


@compiled
def pooled_sequences(first, codes, begins, counts, rows, out):
    """Write the pooled columns of sequences: ``counts[s]`` from ``codes[begins[s]]`` on, to ``out[rows[s]]``."""
    work = np.empty(((counts.max() - 1) * first.stride + first.size, out.shape[1]), dtype=np.float32)
    for s in range(len(begins)):
        first_stage(first, codes, begins[s], counts[s], work, out[rows[s] :])


@compiled
def sum_of_eight(factors, x0, x1, x2, x3, x4, x5, x6, x7, out):
    """Write the sum of eight rows, each times its factor."""
    m0, m1, m2, m3 = factors[0], factors[1], factors[2], factors[3]
    m4, m5, m6, m7 = factors[4], factors[5], factors[6], factors[7]
    for f in range(len(out)):
        low = m0 * x0[f] + m1 * x1[f] + m2 * x2[f] + m3 * x3[f]
        out[f] = low + (m4 * x4[f] + m5 * x5[f] + m6 * x6[f] + m7 * x7[f])


@compiled
def finish_tiles(second, inputs, products, place, n, bias, out):
    """Multiply ``n`` tiles at every point and write their output columns."""
    for point in range(POINTS):
        np.dot(inputs[point, : whole(n)], second.at_points[point], products[point, : whole(n)])
    for tile in range(n):
        a, b, c, d = products[0, tile], products[1, tile], products[2, tile], products[3, tile]
        e, f, g, h = products[4, tile], products[5, tile], products[6, tile], products[7, tile]
        for q in range(place[tile, 1]):
            row = out[place[tile, 0] + q]
            sum_of_eight(second.from_points[q], a, b, c, d, e, f, g, h, row)
            for i in range(len(row)):
                row[i] += bias[i]


@compiled
def merged_sequences(first, second, codes, begins, counts, before, after, bias, rows, out):
    """Write the merged convolution of sequences, before ReLU.

    Parameters
    ----------
    begins, counts, rows : int64 arrays (S,)
        Where in ``codes`` a sequence begins, its pooled columns, and the row of ``out`` for its first output.
    before, after : int
        Columns of 0 around the pooled ones: where the branches meet, each adds its own part.
    bias : float32 array (F2,)
    out : float32 array (rows, F2)
    """
    n_filters1, n_filters2 = second.at_points.shape[1:]
    most = counts.max()
    work = np.empty(((most - 1) * first.stride + first.size, n_filters1), dtype=np.float32)
    pooled = np.zeros((before + most + after + POINTS, n_filters1), dtype=np.float32)
    inputs = np.zeros((POINTS, TILES, n_filters1), dtype=np.float32)
    products = np.empty((POINTS, TILES, n_filters2), dtype=np.float32)
    place = np.empty((TILES, 2), dtype=np.int64)
    n_outputs, filled = len(second.from_points), 0
    for s in range(len(begins)):
        first_stage(first, codes, begins[s], counts[s], work, pooled[before:])
        pooled[before + counts[s] :] = 0
        n_columns = before + counts[s] + after - second.width + 1
        for column in range(0, n_columns, n_outputs):
            a, b, c, d = pooled[column], pooled[column + 1], pooled[column + 2], pooled[column + 3]
            e, f, g, h = pooled[column + 4], pooled[column + 5], pooled[column + 6], pooled[column + 7]
            for point in range(POINTS):
                sum_of_eight(second.to_points[point], a, b, c, d, e, f, g, h, inputs[point, filled])
            place[filled, 0], place[filled, 1] = rows[s] + column, min(n_outputs, n_columns - column)
            filled += 1
            if filled == TILES:
                finish_tiles(second, inputs, products, place, filled, bias, out)
                filled = 0
    finish_tiles(second, inputs, products, place, filled, bias, out)


@compiled
def hidden_of_pools(columns, base, n_pools, size, stride, kernel, out):
    """Write pooled columns times a dense kernel (n_pools F, H), for windows whose columns begin at rows ``base``."""
    n_filters = columns.shape[1]
    flat = np.zeros((min(WINDOWS, whole(len(base))), n_pools * n_filters), dtype=np.float32)
    for start in range(0, len(base), WINDOWS):
        n = min(WINDOWS, len(base) - start)
        for i in range(n):
            for p in range(n_pools):
                pool(columns, base[start + i] + p * stride, size, flat[i, p * n_filters : (p + 1) * n_filters])
        out[start : start + n] = np.dot(flat[: whole(n)], kernel)[:n]


@compiled
def change_first(first, codes, position, alt, at, n_pooled, local, work, old, out):
    """Write the change of pooled columns ``at ...`` when ``alt`` comes to ``position``; 0 for those that are not."""
    out[:] = 0
    low, high = max(at, 0), min(at + len(out), n_pooled)
    if high <= low:
        return
    letter, n = low * first.stride, (high - 1 - low) * first.stride + first.size
    for i in range(n + first.width - 1):
        local[i] = codes[letter + i]
    first_stage(first, local, 0, high - low, work, old)
    for i in range(len(alt)):
        if 0 <= position + i - letter < n + first.width - 1:
            local[position + i - letter] = alt[i]
    # Columns outside the changed stretch come out as before: same rows, same order of sums.
    first_stage(first, local, 0, high - low, work, out[low - at :])
    for p in range(high - low):
        row, before = out[low - at + p], old[p]
        for f in range(len(row)):
            row[f] -= before[f]


@compiled
def change_second(second, columns, base, column, delta, pool_first, n_pools, room, out):
    """Write the change of pooled merged columns ``pool_first ...``; 0 for those that are not.

    ``delta`` (n, F2) is the change of the merged columns from ``column`` on.
    """
    n_filters = delta.shape[1]
    old, new = room[second.size], room[second.size + 1]
    for c in range(len(out) // n_filters):
        target = out[c * n_filters : (c + 1) * n_filters]
        begin = (pool_first + c) * second.stride
        if not 0 <= pool_first + c < n_pools:
            target[:] = 0
            continue
        pool(columns, base + begin, second.size, old)
        # The columns of the pool as they become, side by side.
        room[: second.size] = columns[base + begin : base + begin + second.size]
        for q in range(max(begin, column), min(begin + second.size, column + len(delta))):
            changed, change = room[q - begin], delta[q - column]
            for f in range(n_filters):
                changed[f] += change[f]
        pool(room, 0, second.size, new)
        for f in range(n_filters):
            target[f] = new[f] - old[f]


@compiled
def change_pools(first, second, shape, codes, columns, base, site, position, alt, rows, out):
    """Write what alternatives of one class of positions change after the second pooling.

    Parameters
    ----------
    shape : tuple of int
        Touched columns ``n_pool1, n_conv2`` (:class:`ripe_lib.network.fast.geometry.Touched`), and how many there
        are: ``n_pooled`` of the first stage, ``n_pools`` of the second.
    codes : uint8 array (B, L)
    columns : float32 array (rows, F2)
        Merged columns of the windows, from row ``base[window]`` on.
    site, position : int64 arrays (M,)
    alt : uint8 array (M, S)
    rows : int array
        The alternatives, as rows of ``site``, ``position``, ``alt`` and ``out`` (M, n_pool2 F2).
    """
    n_pool1, n_conv2, n_pooled, n_pools = shape
    n_filters1, n_filters2 = second.at_points.shape[1:]
    n_columns = (n_pool1 - 1) * first.stride + first.size
    local = np.empty(n_columns + first.width, dtype=np.uint8)
    work = np.empty((n_columns, n_filters1), dtype=np.float32)
    before = np.empty((n_pool1, n_filters1), dtype=np.float32)
    room = np.empty((second.size + 2, n_filters2), dtype=np.float32)
    delta1 = np.zeros((ALTERNATIVES * n_pool1, n_filters1), dtype=np.float32)
    parts = np.empty((ALTERNATIVES * n_pool1, second.width * n_filters2), dtype=np.float32)
    delta2 = np.empty((n_conv2, n_filters2), dtype=np.float32)
    for start in range(0, len(rows), ALTERNATIVES):
        n = min(ALTERNATIVES, len(rows) - start)
        for i in range(n):
            row = rows[start + i]
            at = -((first.size + first.width - 2 - position[row]) // first.stride)
            change = delta1[i * n_pool1 : (i + 1) * n_pool1]
            change_first(first, codes[site[row]], position[row], alt[row], at, n_pooled, local, work, before, change)
        np.dot(delta1[: whole(n * n_pool1)], second.taps, parts[: whole(n * n_pool1)])
        for i in range(n):
            row = rows[start + i]
            delta2[:] = 0
            for p in range(n_pool1):
                for tap in range(second.width):  # pooled column p is seen by merged column p - tap
                    part = parts[i * n_pool1 + p, tap * n_filters2 : (tap + 1) * n_filters2]
                    total = delta2[p - tap + second.width - 1]
                    for f in range(n_filters2):
                        total[f] += part[f]
            column = -((first.size + first.width - 2 - position[row]) // first.stride) - (second.width - 1)
            pool_first = -((second.size - 1 - column) // second.stride)
            at = base[site[row]]
            change_second(second, columns, at, column, delta2, pool_first, n_pools, room, out[row])
