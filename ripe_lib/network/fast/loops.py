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

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.genome.landmarks import LARGEST, basis_range
from ripe_lib.output.compiled import compiled

POINTS = 8  # rows of pooled columns that a tile of the merged convolution sees
ROWS = 24  # a multiple of the rows that BLAS kernels take at once (4, 6, 8, 12)
TILES = 120  # tiles multiplied at a time
WINDOWS = 264  # windows multiplied with the first dense kernel at a time; BLAS repacks the kernel for every block
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
    """Make changes before ReLU those after it.

    Parameters
    ----------
    reference : float32 array (B, H)
        Values of the windows before ReLU.
    site, delta : int64 array (M,), float32 array (M, H)
        The window of each alternative, and its changes; overwritten.
    """
    for i in range(len(site)):
        before, change = reference[site[i]], delta[i]
        for h in range(len(change)):
            change[h] = np.maximum(before[h] + change[h], np.float32(0)) - np.maximum(before[h], np.float32(0))


@compiled
def _table_row(first, group, codes, at):
    """Return the row of the tables for a word of a window that begins at ``codes[at]``."""
    row = 0
    begin = at + first.groups[group, 0]
    for tap in range(first.groups[group, 1]):
        row = row * 5 + codes[begin + tap]
    return row + first.groups[group, 2]


@compiled
def _convolve_codes(first, codes, n, out):
    """Write the first convolution (with bias, before ReLU) at the first ``n`` starts of ``codes``."""
    for i in range(n):
        a = first.tables[_table_row(first, 0, codes, i)]
        b = first.tables[_table_row(first, 1, codes, i)]
        c = first.tables[_table_row(first, 2, codes, i)]
        row = out[i]
        for f in range(len(row)):
            row[f] = a[f] + b[f] + c[f]


@compiled
def _pool(values, at, size, out):
    """Write the maximum of 0 and of ``size`` rows from ``values[at]`` on."""
    out[:] = np.float32(0)
    for r in range(at, at + size):
        row = values[r]
        for f in range(len(out)):
            out[f] = np.maximum(row[f], out[f])  # a conditional here is not made a vector instruction


@compiled
def _first_stage(first, codes, begin, n, work, out):
    """Write ``n`` pooled columns (n, F1), the first of which begins at ``codes[begin]``; ``work`` is scratch."""
    n_columns = (n - 1) * first.stride + first.size
    _convolve_codes(first, codes[begin:], n_columns, work)
    for p in range(n):
        _pool(work, p * first.stride, first.size, out[p])


@compiled
def pooled_sequences(first, codes, begins, counts, rows, out):
    """Write the pooled columns of sequences: ``counts[s]`` from ``codes[begins[s]]`` on, to ``out[rows[s]]``.

    Parameters
    ----------
    first : First
    codes : uint8 array (n,)
    begins, counts, rows : int64 arrays (S,)
    out : float32 array (rows, F1)
    """
    work = np.empty(((counts.max() - 1) * first.stride + first.size, out.shape[1]), dtype=np.float32)
    for s in range(len(begins)):
        _first_stage(first, codes, begins[s], counts[s], work, out[rows[s] :])


@compiled
def _sum_of_eight(factors, x0, x1, x2, x3, x4, x5, x6, x7, out):
    """Write the sum of eight rows, each times its factor."""
    m0, m1, m2, m3 = factors[0], factors[1], factors[2], factors[3]
    m4, m5, m6, m7 = factors[4], factors[5], factors[6], factors[7]
    for f in range(len(out)):
        low = m0 * x0[f] + m1 * x1[f] + m2 * x2[f] + m3 * x3[f]
        out[f] = low + (m4 * x4[f] + m5 * x5[f] + m6 * x6[f] + m7 * x7[f])


@compiled
def _finish_tiles(second, inputs, products, place, n, bias, out):
    """Multiply ``n`` tiles at every point and write their output columns."""
    for point in range(POINTS):
        np.dot(inputs[point, : whole(n)], second.at_points[point], products[point, : whole(n)])
    for tile in range(n):
        a, b, c, d = products[0, tile], products[1, tile], products[2, tile], products[3, tile]
        e, f, g, h = products[4, tile], products[5, tile], products[6, tile], products[7, tile]
        for q in range(place[tile, 1]):
            row = out[place[tile, 0] + q]
            _sum_of_eight(second.from_points[q], a, b, c, d, e, f, g, h, row)
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
        _first_stage(first, codes, begins[s], counts[s], work, pooled[before:])
        pooled[before + counts[s] :] = 0
        n_columns = before + counts[s] + after - second.width + 1
        for column in range(0, n_columns, n_outputs):
            a, b, c, d = pooled[column], pooled[column + 1], pooled[column + 2], pooled[column + 3]
            e, f, g, h = pooled[column + 4], pooled[column + 5], pooled[column + 6], pooled[column + 7]
            for point in range(POINTS):
                _sum_of_eight(second.to_points[point], a, b, c, d, e, f, g, h, inputs[point, filled])
            place[filled, 0], place[filled, 1] = rows[s] + column, min(n_outputs, n_columns - column)
            filled += 1
            if filled == TILES:
                _finish_tiles(second, inputs, products, place, filled, bias, out)
                filled = 0
    _finish_tiles(second, inputs, products, place, filled, bias, out)


@compiled
def hidden_of_pools(columns, base, n_pools, size, stride, kernel, out):
    """Write pooled columns times a dense kernel (n_pools F, H), for windows whose columns begin at rows ``base``.

    Parameters
    ----------
    columns, base : float32 array (rows, F), int64 array (B,)
    n_pools, size, stride : int
        Pools of a window, columns per pool, and columns from one pool to the next.
    kernel, out : float32 arrays (n_pools F, H), (B, H)
    """
    n_filters = columns.shape[1]
    flat = np.zeros((min(WINDOWS, whole(len(base))), n_pools * n_filters), dtype=np.float32)
    for start in range(0, len(base), WINDOWS):
        n = min(WINDOWS, len(base) - start)
        for i in range(n):
            for p in range(n_pools):
                _pool(columns, base[start + i] + p * stride, size, flat[i, p * n_filters : (p + 1) * n_filters])
        out[start : start + n] = np.dot(flat[: whole(n)], kernel)[:n]


@compiled
def first_seen(stage, column):
    """Return the first pooled column of a stage that sees a column of its input (negative: there is no such one)."""
    return -((stage.size + stage.width - 2 - column) // stage.stride)


@compiled
def n_seen(stage, n):
    """Return how many pooled columns of a stage see ``n`` neighbouring columns of its input, at most."""
    return (stage.size + stage.width + n - 3) // stage.stride + 1


@compiled
def _change_first(first, codes, position, alt, n_pooled, local, work, old, out):
    """Write the change of the pooled columns that see ``alt`` come to ``position``; return the first, and how many."""
    low = max(first_seen(first, position), 0)
    n = min((position + len(alt) - 1) // first.stride + 1, n_pooled) - low
    if n <= 0:
        return low, 0
    letter, n_letters = low * first.stride, (n - 1) * first.stride + first.size + first.width - 1
    for i in range(n_letters):
        local[i] = codes[letter + i]
    _first_stage(first, local, 0, n, work, old)
    for i in range(len(alt)):
        if 0 <= position + i - letter < n_letters:
            local[position + i - letter] = alt[i]
    _first_stage(first, local, 0, n, work, out)
    for p in range(n):
        row, before = out[p], old[p]
        for f in range(len(row)):
            row[f] -= before[f]
    return low, n


@compiled
def _change_second(second, columns, base, column, delta, pool_first, n_pools, room, out):
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
        _pool(columns, base + begin, second.size, old)
        # The columns of the pool as they become, side by side.
        room[: second.size] = columns[base + begin : base + begin + second.size]
        for q in range(max(begin, column), min(begin + second.size, column + len(delta))):
            changed, change = room[q - begin], delta[q - column]
            for f in range(n_filters):
                changed[f] += change[f]
        _pool(room, 0, second.size, new)
        for f in range(n_filters):
            target[f] = new[f] - old[f]


@compiled
def change_pools(first, second, n_pooled, n_pools, codes, columns, base, site, position, alt, out):
    """Write what alternatives change after the second pooling.

    Near an end of the window some of the pooled columns that they could change do not exist; these change by 0.

    Parameters
    ----------
    first, second : First, Second
    n_pooled, n_pools : int
        Columns after the first and after the second pooling.
    codes : uint8 array (B, L)
    columns : float32 array (rows, F2)
        Merged columns of the windows, from row ``base[window]`` on.
    base, site, position : int64 arrays (B,), (M,), (M,)
    alt : uint8 array (M, S)
    out : float32 array (M, n F2)
        The change of ``n`` pooled columns from the first on that sees a change.
    """
    n_filters1, n_filters2 = second.at_points.shape[1:]
    n_pool1 = n_seen(first, alt.shape[1])  # at most
    n_columns = (n_pool1 - 1) * first.stride + first.size
    local = np.empty(n_columns + first.width, dtype=np.uint8)
    work = np.empty((n_columns, n_filters1), dtype=np.float32)
    before = np.empty((n_pool1, n_filters1), dtype=np.float32)
    room = np.empty((second.size + 2, n_filters2), dtype=np.float32)
    delta1 = np.zeros((ALTERNATIVES * n_pool1, n_filters1), dtype=np.float32)
    parts = np.empty((ALTERNATIVES * n_pool1, second.width * n_filters2), dtype=np.float32)
    delta2 = np.empty((n_pool1 + second.width - 1, n_filters2), dtype=np.float32)
    lows = np.empty(ALTERNATIVES, dtype=np.int64)  # first changed column of each alternative
    ends = np.zeros(ALTERNATIVES + 1, dtype=np.int64)  # and its rows of delta1: from ends[i] to ends[i + 1]
    for start in range(0, len(site), ALTERNATIVES):
        n = min(ALTERNATIVES, len(site) - start)
        for i in range(n):
            window, place, change = codes[site[start + i]], position[start + i], delta1[ends[i] :]
            lows[i], n_changed = _change_first(
                first, window, place, alt[start + i], n_pooled, local, work, before, change
            )
            ends[i + 1] = ends[i] + n_changed
        np.dot(delta1[: whole(ends[n])], second.taps, parts[: whole(ends[n])])
        for i in range(n):
            delta = delta2[: ends[i + 1] - ends[i] + second.width - 1]
            delta[:] = 0
            for p in range(ends[i], ends[i + 1]):
                for tap in range(second.width):  # pooled column p is seen by merged column p - tap
                    part = parts[p, tap * n_filters2 : (tap + 1) * n_filters2]
                    total = delta[p - ends[i] - tap + second.width - 1]
                    for f in range(n_filters2):
                        total[f] += part[f]
            pool = first_seen(second, first_seen(first, position[start + i]))
            begin, column = base[site[start + i]], lows[i] - (second.width - 1)
            _change_second(second, columns, begin, column, delta, pool, n_pools, room, out[start + i])


class LandmarkTower(NamedTuple):
    """Dense layer with ReLU over the basis of landmarks, and its rows of the first dense layer the towers share.

    The basis itself is not made: of a row's functions four are not 0, so a window costs 8 x 4 rows instead of 8 x K.

    ``kernel`` (8, K, F), ``bias`` (F,), ``hidden_kernel`` (F, H).
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    hidden_kernel: NDArray[np.float32]

    def hidden(self, distances: NDArray[np.floating] | None, n: int) -> NDArray[np.float32]:
        """Return the tower's part of the hidden layer (n, H), before bias and activation.

        ``distances`` (n, 8) in nt, NaN = unknown; None: all unknown.
        """
        unknown = self.kernel.mean(axis=1)
        if distances is None or np.isnan(distances).all():
            first = np.maximum(self.bias + unknown.sum(axis=0), np.float32(0))
            return np.broadcast_to(first @ self.hidden_kernel, (n, self.hidden_kernel.shape[1]))
        first = np.empty((n, len(self.bias)), dtype=np.float32)
        low, step = basis_range(self.kernel.shape[1])
        distances = np.ascontiguousarray(distances, dtype=np.float64)
        _first_layer(distances, np.ascontiguousarray(self.kernel), unknown, self.bias, low, step, LARGEST, first)
        return first @ self.hidden_kernel


@compiled
def _first_layer(distances, kernel, unknown, bias, low, step, largest, out):
    """Fill ``out`` (n, F) with the first layer's values, as the full product with the basis gives them."""
    for row in range(len(distances)):
        values = out[row]
        values[:] = bias
        for landmark in range(distances.shape[1]):
            d = distances[row, landmark]
            if d != d:
                for f in range(len(values)):
                    values[f] += unknown[landmark, f]
                continue
            x = min(np.log10(1 + abs(d)), largest)
            place = ((x if d >= 0 else -x) - low) / step
            first = int(place)
            t = place - first
            w0 = np.float32((1 - t) ** 3 / 6)
            w1 = np.float32((3 * t**3 - 6 * t**2 + 4) / 6)
            w2 = np.float32((-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6)
            w3 = np.float32(t**3 / 6)
            rows = kernel[landmark]
            for f in range(len(values)):
                values[f] += (
                    w0 * rows[first, f] + w1 * rows[first + 1, f] + w2 * rows[first + 2, f] + w3 * rows[first + 3, f]
                )
        for f in range(len(values)):
            values[f] = max(values[f], np.float32(0))
