"""Compiled loops over windows and alternatives: what :mod:`ripe_lib.network.fast.native` puts together.

Rows of filters are padded to a multiple of 16 numbers, but lie ``filters`` apart where a convolution or a dense layer
reads them as one run: they are written in order, so that the padding of one is overwritten by the next, and each array
ends with room for the last one's.
"""

# mypy: ignore-errors

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ripe_lib.network.fast.products import combine_rows, compiled, largest_of_rows, product, sum_of_rows

POINTS = 8  # of convolve()
TILES = 18  # groups of outputs that convolve() takes at a time
BLOCK = 48  # alternatives at a time: their intermediates stay in the second-level cache


class First(NamedTuple):
    """A convolution of base codes and the pooling after it.

    The sum over a one-hot window is a sum of kernel rows; ``tables`` (flat rows of ``padded`` filters) holds it for
    runs of bases, ``groups`` (3, 3) the first tap, the taps and the first row of each run. ``floor``: values below it
    are raised to it (the activation: 0 for relu, -inf for none).
    """

    tables: np.ndarray
    groups: np.ndarray
    padded: int
    width: int
    size: int
    stride: int
    n_conv: int
    n_pooled: int
    filters: int
    floor: float


class Second(NamedTuple):
    """The merged convolution and its pooling; ``kernel`` flat (K F1, padded F2), ``bias`` and ``zeros`` (padded F2).

    ``at_points`` (n, F1, padded F2), ``to_points`` (n, n) and ``from_points`` (outputs, n), flat, belong to
    :func:`convolve`; ``outputs`` is 0 where it does not pay.
    """

    kernel: np.ndarray
    at_points: np.ndarray
    to_points: np.ndarray
    from_points: np.ndarray
    outputs: int
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
def table_row(first, group, codes, at):
    """Return where the sum of a run of bases begins in the tables, for a window that begins at ``codes[at]``."""
    row = 0
    begin = at + first.groups[group, 0]
    for tap in range(first.groups[group, 1]):
        row = row * 5 + codes[begin + tap]
    return (row + first.groups[group, 2]) * first.padded


@compiled
def first_columns(first, codes, at, n, out, out_at):
    """Write the convolution at ``n`` columns, the first of which begins at ``codes[at]``; ``out`` counts columns."""
    for column in range(n):
        one, two, three = (
            table_row(first, 0, codes, at + column),
            table_row(first, 1, codes, at + column),
            table_row(first, 2, codes, at + column),
        )
        sum_of_rows(first.tables, one, two, three, out, (out_at + column) * first.padded, first.padded)


@compiled
def first_stage(first, codes, stride, out, out_step):
    """Write the pooled columns of windows ``codes`` (B, L), ``stride`` apart, each window at ``out_step`` numbers."""
    n_conv = codes.shape[1] - first.width + 1
    columns = np.empty(n_conv * first.padded, dtype=np.float32)
    for window in range(len(codes)):
        first_columns(first, codes[window], 0, n_conv, columns, 0)
        for p in range((n_conv - first.size) // stride + 1):
            at = window * out_step + p * first.filters
            begin = p * stride * first.padded
            largest_of_rows(columns, begin, first.padded, first.size, np.float32(first.floor), out, at, first.padded)


@compiled
def convolve(first, second, pooled, at, n_columns, bias, out, out_at):
    """Write the merged convolution at ``n_columns`` columns, of pooled columns from ``pooled[at]`` on.

    A few neighbouring outputs are computed at once, by Toom-Cook (in machine learning: Winograd): as polynomials whose
    product is known from its values at some points. With five taps, 8 products give 4 outputs instead of 20. Reads up
    to ``outputs - 1`` columns past the end, which must be 0.
    """
    padded, filters, n_points = second.padded, first.filters, POINTS
    if not second.outputs:
        k = second.width * filters
        product(pooled, at, filters, second.kernel, 0, padded, padded, bias, out, out_at, padded, n_columns, k)
        return
    tiles = (n_columns + second.outputs - 1) // second.outputs
    inputs = np.empty(n_points * TILES * first.padded, dtype=np.float32)
    values = np.empty(n_points * TILES * padded, dtype=np.float32)
    step1, step2 = TILES * first.padded, TILES * padded
    nothing = np.zeros(first.padded, dtype=np.float32)
    for start in range(0, tiles, TILES):
        n = min(TILES, tiles - start)
        for i in range(n):
            begin = at + (start + i) * second.outputs * filters
            product(
                second.to_points,
                0,
                n_points,
                pooled,
                begin,
                filters,
                first.padded,
                nothing,
                inputs,
                i * first.padded,
                step1,
                n_points,
                n_points,
            )
        for point in range(n_points):
            product(
                inputs,
                point * step1,
                first.padded,
                second.at_points,
                point * filters * padded,
                padded,
                padded,
                second.zeros,
                values,
                point * step2,
                padded,
                n,
                filters,
            )
        for i in range(n):
            column = (start + i) * second.outputs
            rows = min(second.outputs, n_columns - column)
            product(
                second.from_points,
                0,
                n_points,
                values,
                i * padded,
                step2,
                padded,
                bias,
                out,
                out_at + column * padded,
                padded,
                rows,
                n_points,
            )


@compiled
def sequence_columns(first, second, codes, n_columns, out, out_rows):
    """Write the merged convolution of windows ``codes`` (B, L): ``n_columns`` of each, ``out_rows`` rows apart.

    Columns past the last pooled one see zeros: what the region branch adds there comes later.
    """
    n = first.n_pooled * first.filters
    pooled = np.zeros(n + (second.width + second.outputs) * first.filters + first.padded, dtype=np.float32)
    for window in range(len(codes)):
        first_stage(first, codes[window : window + 1], first.stride, pooled, 0)
        pooled[n:] = 0
        at = window * out_rows * second.padded
        convolve(first, second, pooled, 0, n_columns, second.bias, out, at)


@compiled
def stretch_columns(first, second, codes, out):
    """Write the merged convolution at every start of a stretch, grouped by phase of the first pooling.

    Row ``phase_row + i`` is the column that begins ``phase + stride i`` after the start of the stretch; returns the
    first row of each phase.
    """
    n_conv = len(codes) - first.width + 1
    columns = np.empty(n_conv * first.padded, dtype=np.float32)
    first_columns(first, codes, 0, n_conv, columns, 0)
    n_pooled = n_conv - first.size + 1
    phase_rows = np.zeros(first.stride, dtype=np.int64)
    row = 0
    for phase in range(first.stride):
        n = (n_pooled - phase + first.stride - 1) // first.stride
        pooled = np.zeros((max(n, 0) + second.outputs) * first.filters + first.padded, dtype=np.float32)
        for i in range(n):
            begin, at = (phase + i * first.stride) * first.padded, i * first.filters
            largest_of_rows(
                columns,
                begin,
                first.padded,
                first.size,
                np.float32(first.floor),
                pooled,
                at,
                first.padded,
            )
        phase_rows[phase] = row
        n_out = max(0, n - second.width + 1)
        convolve(first, second, pooled, 0, n_out, second.bias, out, row * second.padded)
        row += n_out
    return phase_rows


@compiled
def pooled_windows(second, columns, base, n_columns, region_maxima, n_mixed, region_row, out, out_step):
    """Write the pooled merged columns of windows as one run per window, ``out_step`` numbers apart.

    Window ``w`` has column ``q`` in row ``base[w] + q`` of ``columns`` (flat rows of padded F2), and ``n_columns`` to
    which the sequence contributes. The last ``n_mixed`` pools also see region columns: ``region_maxima`` (flat
    (U, n_mixed, padded F2)).
    """
    n_whole = min(second.n_pooled, max(0, (n_columns - second.size) // second.stride + 1))
    for window in range(len(base)):
        for p in range(n_whole + n_mixed):
            begin = p * second.stride
            n = min(second.size, n_columns - begin)
            at = window * out_step + p * second.filters
            row = (base[window] + begin) * second.padded
            largest_of_rows(columns, row, second.padded, n, np.float32(second.floor), out, at, second.padded)
            if p >= n_whole:
                other = (region_row[window] * n_mixed + p - n_whole) * second.padded
                for f in range(second.padded):
                    value = region_maxima[other + f]
                    out[at + f] = value if value > out[at + f] else out[at + f]


@compiled
def change_first(first, codes, position, alt, first_pool1, n_pool1, room, out, out_at):
    """Write the change of pooled columns ``first_pool1 ...`` when ``alt`` comes to ``position``; 0 where none is."""
    local, before, after, old, new = room
    low, high = max(first_pool1, 0), min(first_pool1 + n_pool1, first.n_pooled)
    padded = first.padded
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
    # Columns outside the changed stretch come out as before: same rows, same order of sums.
    first_columns(first, local, 0, n, after, 0)
    for p in range(low - first_pool1, high - first_pool1):
        begin = ((first_pool1 + p) * first.stride - column) * padded
        largest_of_rows(before, begin, padded, first.size, np.float32(first.floor), old, 0, padded)
        largest_of_rows(after, begin, padded, first.size, np.float32(first.floor), new, 0, padded)
        combine_rows(new, 0, old, 0, True, out, out_at + p * first.filters, padded)


@compiled
def change_second(
    second, columns, base, first_pool2, n_pool2, first_column, delta, delta_at, n_delta, room, out, out_at
):
    """Write the change of pooled merged columns ``first_pool2 ...``; 0 where there is none.

    ``delta`` is the change of ``n_delta`` merged columns from ``first_column`` on; those columns come out changed.
    """
    padded, size = second.padded, second.size
    old, new = room
    for c in range(n_pool2):
        place = out_at + c * second.filters
        pool = first_pool2 + c
        if pool < 0 or pool >= second.n_pooled:
            out[place : place + padded] = 0
            continue
        begin = pool * second.stride
        low, high = max(begin, first_column), min(begin + size, first_column + n_delta)
        row = (base + begin) * padded
        largest_of_rows(columns, row, padded, size, np.float32(second.floor), old, 0, padded)
        # The columns of the pool as they become, side by side.
        for q in range(begin, begin + size):
            inside = (q - begin) * padded
            if low <= q < high:
                source = delta_at + (q - first_column) * padded
                combine_rows(columns, (base + q) * padded, delta, source, False, new, inside, padded)
            else:
                for f in range(padded):
                    new[inside + f] = columns[(base + q) * padded + f]
        largest_of_rows(new, 0, padded, size, np.float32(second.floor), new, 0, padded)
        combine_rows(new, 0, old, 0, True, out, place, padded)


@compiled
def change_pools(first, second, shape, codes, columns, base, site, position, alt, rows, out, out_step):
    """Write what alternatives of one class of positions change after the second pooling.

    Parameters
    ----------
    shape : tuple of int
        ``n_pool1, conv1_length, n_conv2, n_pool2`` of :class:`ripe_lib.network.fast.geometry.Touched`.
    rows : int array
        The alternatives, as rows of ``site``, ``position``, ``alt`` (M, S) and of ``out``.
    """
    n_pool1, conv1_length, n_conv2, n_pool2 = shape
    overlap = second.width - 1
    step1, step2 = n_pool1 * first.filters, n_conv2 * second.padded
    padded1 = first.padded
    local = np.empty(conv1_length + first.width, dtype=np.uint8)
    before = np.empty(conv1_length * padded1, dtype=np.float32)
    after = np.empty(conv1_length * padded1, dtype=np.float32)
    room = local, before, after, np.empty(padded1, dtype=np.float32), np.empty(padded1, dtype=np.float32)
    room2 = np.empty(second.padded, dtype=np.float32), np.empty(second.size * second.padded, dtype=np.float32)
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
                room2,
                out,
                row * out_step,
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
