"""References and substitutions on the CPU: windows stay in the cache from base codes to hidden layer.

TensorFlow passes every intermediate of a batch through memory; here one window (or a block of alternatives) is carried
through all stages by compiled loops that need neither the GIL nor one-hot arrays. The results are those of
:mod:`ripe_lib.network.fast.graph` up to the order of sums.

Shapes: B windows, U distinct region windows, M alternatives, F2 merged filters, H hidden units, T tasks; ``+`` after a
size: padded to a multiple of 16.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.genome.encoding import UNKNOWN, Codes
from ripe_lib.network.fast.columns import Columns
from ripe_lib.network.fast.geometry import MAX_SPAN, first_pool2, touched
from ripe_lib.network.fast.loops import (
    POINTS,
    First,
    Second,
    change_pools,
    convolve,
    first_stage,
    hidden_change,
    pooled_windows,
    sequence_columns,
    stretch_columns,
)
from ripe_lib.network.fast.products import PADDING, product
from ripe_lib.network.fast.wiring import ConvPool, Wiring

Array = NDArray[np.float32]

_FLOORS = {"relu": 0.0, "linear": -np.inf}
_FAST_WIDTHS = range(3, 7)  # of the merged convolution, by Toom-Cook
_WIDEST = 12  # bases of a first convolution: tables of runs of a third of it stay in the cache
_ROWS_PER_CALL = 2048  # alternatives at a time: 3 MB of pooled changes
_WORTH_A_THREAD = 32  # windows


class RegionPart(NamedTuple):
    """What distinct region windows contribute: see :class:`ripe_lib.network.fast.reference.RegionPart`."""

    straddle: Array  # (U, K2-1, F2+)
    mixed: Array  # (U, n, F2+)
    hidden: Array  # (U, H+)
    head: Array  # (U, n, F2+)


class State(NamedTuple):
    """Intermediates of reference windows.

    ``columns`` (flat rows of F2+) of the merged convolution: window ``w`` has column ``q`` in row ``base[w] + q``.
    ``dense`` holds the values of each dense layer before activation, padded.
    """

    columns: Array
    base: NDArray[np.int64]
    dense: tuple[Array, ...]


class _Dense(NamedTuple):
    """Flat kernel (K, n+), bias and zeros (n+), and what values below are raised to by the activation after it."""

    kernel: Array
    n_in: int
    bias: Array
    zeros: Array
    floor: float


class NativeNetwork(Columns):
    """One network whose activations are relu, as compiled loops."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring)
        seq, region, merged = wiring.seq, wiring.region, wiring.merged
        self._first = _first(seq)
        self._region_first = None if region is None else _first(region)
        self._second = _second(merged, self.n_pool2)
        self._dense = [
            _Dense(
                _padded(layer.kernel).ravel(),
                len(layer.kernel),
                _padded(layer.bias[None]).ravel(),
                np.zeros(_up(len(layer.bias)), dtype=np.float32),
                _FLOORS.get(_name(layer.activation), 0.0),
            )
            for layer in wiring.dense
        ]
        self.n_tasks = len(wiring.dense[-1].bias)
        self._change_kernel, self._change_first_row = self._kernel_of_changes()
        self._no_region: RegionPart | None = None

    def _kernel_of_changes(self) -> tuple[Array, int]:
        """Return the first dense kernel (flat) with rows of 0 for columns that do not exist, and where it begins."""
        filters = self._second.filters
        before = int(max(0, -first_pool2(self.sizes, np.arange(self.sizes.period)).min()))
        after = max(touched(self.sizes, c, MAX_SPAN).n_pool2 for c in range(self.sizes.period))
        kernel = _padded(self.wiring.dense[0].kernel[: self.n_pool2 * filters])
        return np.pad(kernel, ((before * filters, after * filters), (0, 0))).ravel(), before

    # --- region branch ---------------------------------------------------------------------------------------------

    def region_part(self, codes: Codes) -> RegionPart:
        """Return what distinct region windows (U, R) contribute."""
        region, second, first = self.wiring.region, self._second, self._region_first
        n, hidden = len(codes), len(self._dense[0].bias)
        if region is None or first is None:
            nothing = np.zeros((1, 0, second.padded), dtype=np.float32)
            return RegionPart(nothing, nothing, np.zeros((1, hidden), dtype=np.float32), nothing)
        overlap = second.width - 1 if self.wiring.seam else 0
        gap = second.outputs * first.filters  # zeros that convolve() may read
        step = (overlap + region.n_pooled) * first.filters + gap
        pooled = np.zeros(n * step + overlap * first.filters + PADDING, dtype=np.float32)
        for window in range(n):  # each is written behind columns of 0, which the padding of the last one touched
            at = window * step + overlap * first.filters
            pooled[window * step : at] = 0
            first_stage(first, codes[window : window + 1], first.stride, pooled[at:], 0)
        if not self.wiring.seam:
            nothing = np.zeros((n, 0, second.padded), dtype=np.float32)
            begin = self.n_pool2 * second.filters
            return RegionPart(nothing, nothing, self._hidden(pooled, step, n, begin, step - gap, bias=False), nothing)
        n_columns = overlap + region.n_pooled - second.width + 1
        columns = np.empty((n, n_columns, second.padded), dtype=np.float32)
        for window in range(n):
            out = columns[window].reshape(-1)
            convolve(first, second, pooled, window * step, n_columns, second.zeros, out, 0)
        pure = columns[:, overlap:] + second.bias
        mixed = [
            pure[:, : c * second.stride + second.size - self.n_seq_columns].max(axis=1)
            for c in range(self.n_pool2_seq, self.n_pool2_touching)
        ]
        return RegionPart(
            straddle=columns[:, :overlap],
            mixed=np.stack(mixed, axis=1) if mixed else columns[:, :0],
            hidden=self._region_hidden(pure),
            head=pure[:, : self.n_head],
        )

    def _region_hidden(self, pure: Array) -> Array:
        second, first = self._second, self.n_pool2_touching
        n, n_pools = len(pure), self.n_pool2 - self.n_pool2_touching
        # The first pool of region columns alone need not start at the first region column.
        offset = first * second.stride - self.n_seq_columns
        windows = [
            pure[:, offset + p * second.stride :][:, : second.size, : second.filters].max(axis=1)
            for p in range(n_pools)
        ]
        if not windows:
            return np.zeros((n, len(self._dense[0].bias)), dtype=np.float32)
        flat = np.maximum(np.concatenate(windows, axis=1), np.float32(second.floor))
        return self._hidden(flat.reshape(-1), flat.shape[1], n, first * second.filters, flat.shape[1], bias=False)

    def _hidden(self, flat: Array, step: int, n: int, first_row: int, n_rows: int, *, bias: bool) -> Array:
        """Multiply ``n`` runs of ``flat`` with rows of the first dense kernel: (n, H+)."""
        layer = self._dense[0]
        width = len(layer.bias)
        out = np.empty((n, width), dtype=np.float32)
        kernel = layer.kernel[first_row * width :]
        _product(flat, step, kernel, layer.bias if bias else layer.zeros, out.reshape(-1), n, n_rows)
        return out

    def _region(self, codes: Codes | None, n_windows: int) -> tuple[RegionPart, NDArray[np.int64]]:
        """Return the parts of the distinct region windows and each window's row in them."""
        region = self.wiring.region
        if region is None or codes is None:
            if self._no_region is None:
                blank = np.full((1, region.n_in if region else 1), UNKNOWN, dtype=np.uint8)
                self._no_region = self.region_part(blank)
            return self._no_region, np.zeros(n_windows, dtype=np.int64)
        distinct: dict[bytes, int] = {}
        row = np.array([distinct.setdefault(window.tobytes(), len(distinct)) for window in codes], dtype=np.int64)
        return self.region_part(codes[np.unique(row, return_index=True)[1]]), row

    # --- reference windows -----------------------------------------------------------------------------------------

    def reference(self, codes: Codes, region_codes: Codes | None, extra: Array | None = None) -> State:
        """Pass windows (B, L) through the network; ``extra`` (B, H) is added to the first dense layer."""
        n, second = len(codes), self._second
        columns = np.empty((n, self.n_conv2_readable, second.padded), dtype=np.float32)
        flat_columns = columns.reshape(-1)
        step = self.n_conv2_readable * second.padded

        def sequence(part: slice) -> None:
            out = flat_columns[part.start * step :]
            sequence_columns(self._first, second, codes[part], self.n_seq_columns, out, self.n_conv2_readable)

        in_threads(sequence, n)
        return self._finished(flat_columns, np.arange(n) * self.n_conv2_readable, region_codes, extra)

    def tiled_reference(
        self, codes: Codes, starts: NDArray[np.int64], region_codes: Codes | None, extra: Array | None = None
    ) -> State:
        """Pass the windows that begin at ``starts`` of a stretch through the network; see :meth:`reference`."""
        second, seq = self._second, self.wiring.seq
        every = np.empty(len(codes) * second.padded, dtype=np.float32)
        phase_row = stretch_columns(self._first, second, codes, every)
        base = phase_row[starts % seq.stride] + starts // seq.stride
        if not self.wiring.seam:
            return self._finished(every, base, region_codes, extra)
        # At a seam the last columns of a window are its own.
        columns = np.empty((len(starts), self.n_conv2_readable, second.padded), dtype=np.float32)
        columns[:, : self.n_pure] = every.reshape(-1, second.padded)[base[:, None] + np.arange(self.n_pure)]
        n_tail = seq.n_in - (self.n_seq_columns - second.width + 1) * seq.stride
        tails = codes[(starts + seq.n_in - n_tail)[:, None] + np.arange(n_tail)]
        tail_first = self._first._replace(n_conv=n_tail - seq.width + 1, n_pooled=second.width - 1)
        tail = np.empty((len(starts), second.width - 1, second.padded), dtype=np.float32)
        sequence_columns(tail_first, second, tails, second.width - 1, tail.reshape(-1), second.width - 1)
        columns[:, self.n_pure : self.n_seq_columns] = tail
        base = np.arange(len(starts)) * self.n_conv2_readable
        return self._finished(columns.reshape(-1), base, region_codes, extra)

    def _finished(
        self, columns: Array, base: NDArray[np.int64], region_codes: Codes | None, extra: Array | None
    ) -> State:
        """Add what region windows and landmarks contribute, and pass the merged columns through the rest."""
        n, second = len(base), self._second
        region, row = self._region(region_codes, n)
        if self.wiring.seam:
            own = columns.reshape(n, self.n_conv2_readable, second.padded)
            if second.width > 1:
                own[:, self.n_pure : self.n_seq_columns] += region.straddle[row]
            own[:, self.n_seq_columns :] = region.head[row]
        n_flat = self.n_pool2_touching * second.filters
        step = n_flat + PADDING
        values = np.empty((n, len(self._dense[0].bias)), dtype=np.float32)

        def dense(part: slice) -> None:
            size = part.stop - part.start
            flat = np.empty(size * step, dtype=np.float32)
            maxima, n_mixed = region.mixed.reshape(-1), region.mixed.shape[1]
            pooled_windows(second, columns, base[part], self.n_seq_columns, maxima, n_mixed, row[part], flat, step)
            values[part] = self._hidden(flat, step, size, 0, n_flat, bias=True)

        in_threads(dense, n)
        values += region.hidden[row]
        if extra is not None:
            values[:, : extra.shape[1]] += extra
        return State(columns, base, tuple(self._dense_values(values)))

    def _dense_values(self, value: Array) -> list[Array]:
        values = [value]
        for before, layer in itertools.pairwise(self._dense):
            value = _multiplied(np.maximum(value, np.float32(before.floor)), layer, layer.bias)
            values.append(value)
        return values

    # --- alternatives ----------------------------------------------------------------------------------------------

    def alternatives(
        self,
        state: State,
        codes: Codes,
        site: NDArray[np.int64],
        position: NDArray[np.int64],
        alt: Codes,
    ) -> Array:
        """Return the logits (M, T) of alternatives ``alt`` (M, S) at ``position`` of windows ``site``."""
        output = np.empty((len(site), self.n_tasks), dtype=np.float32)
        # Alternatives that change the same pooled columns follow each other: they use the same part of the kernel.
        order = np.lexsort((position % self.sizes.period, first_pool2(self.sizes, position)))

        def part_of(part: slice) -> None:
            for start in range(part.start, part.stop, _ROWS_PER_CALL):
                rows = order[start : min(start + _ROWS_PER_CALL, part.stop)]
                output[rows] = self._changed(state, codes, site[rows], position[rows], alt[rows])

        in_threads(part_of, len(site))
        return output

    def _changed(
        self, state: State, codes: Codes, site: NDArray[np.int64], position: NDArray[np.int64], alt: Codes
    ) -> Array:
        second, span, n = self._second, alt.shape[1], len(site)
        classes = position % self.sizes.period
        shapes = {int(c): touched(self.sizes, int(c), span) for c in np.unique(classes)}
        n_pool2 = max(shape.n_pool2 for shape in shapes.values())
        step = n_pool2 * second.filters + PADDING
        pooled = np.zeros(n * step, dtype=np.float32)
        for c, shape in shapes.items():
            rows = np.flatnonzero(classes == c)
            counts = (shape.n_pool1, shape.conv1_length, shape.n_conv2, shape.n_pool2)
            change_pools(
                self._first, second, counts, codes, state.columns, state.base, site, position, alt, rows, pooled, step
            )
        first = first_pool2(self.sizes, position) + self._change_first_row
        layer, width = self._dense[0], len(self._dense[0].bias)
        delta = np.empty((n, width), dtype=np.float32)
        borders = [0, *(np.flatnonzero(np.diff(first)) + 1).tolist(), n]
        for low, high in itertools.pairwise(borders):
            kernel = self._change_kernel[int(first[low]) * second.filters * width :]
            k = n_pool2 * second.filters
            _product(pooled[low * step :], step, kernel, layer.zeros, delta[low:high].reshape(-1), high - low, k)
        for values, (before, after) in zip(state.dense, itertools.pairwise(self._dense), strict=False):
            changed = np.empty_like(delta)
            hidden_change(values, site, delta, np.float32(before.floor), changed)
            delta = _multiplied(changed, after, after.zeros)
        return (state.dense[-1][site] + delta)[:, : self.n_tasks]


def native_network(wiring: Wiring) -> NativeNetwork | None:
    """Return the network, or None if it has activations or kernels that the loops do not know."""
    parts = [wiring.seq, wiring.merged, *([wiring.region] if wiring.region else [])]
    names = {_name(part.activation) for part in parts} | {_name(layer.activation) for layer in wiring.dense[:-1]}
    narrow = all(part.width <= _WIDEST for part in (wiring.seq, wiring.region) if part)
    return NativeNetwork(wiring) if narrow and names <= _FLOORS.keys() else None


def in_threads(function: Callable[[slice], None], n: int) -> None:
    """Call ``function`` with parts of ``range(n)``, one per core where that is worth it."""
    n_parts = min(_n_threads(), n // _WORTH_A_THREAD)
    if n_parts < 2:
        function(slice(0, n))
        return
    borders = np.linspace(0, n, n_parts + 1).astype(int).tolist()
    list(_threads().map(function, [slice(low, high) for low, high in itertools.pairwise(borders)]))


@cache
def _n_threads() -> int:
    return int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0) or len(os.sched_getaffinity(0))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_n_threads(), thread_name_prefix="ripe-native")


def _product(a: Array, a_step: int, kernel: Array, bias: Array, out: Array, n_rows: int, k: int) -> None:
    width = len(bias)
    product(a, 0, a_step, kernel, 0, width, width, bias, out, 0, width, n_rows, k)


def _multiplied(values: Array, layer: _Dense, bias: Array) -> Array:
    out = np.empty((len(values), len(bias)), dtype=np.float32)
    _product(values.reshape(-1), values.shape[1], layer.kernel, bias, out.reshape(-1), len(values), layer.n_in)
    return out


def _up(n: int) -> int:
    return -(-n // PADDING) * PADDING


def _padded(matrix: NDArray[Any]) -> Array:
    return np.pad(matrix, ((0, 0), (0, _up(matrix.shape[1]) - matrix.shape[1]))).astype(np.float32)


def _name(activation: Any) -> str:
    return getattr(activation, "__name__", "")


def _first(part: ConvPool) -> First:
    kernel = np.concatenate([part.kernel, part.kernel.mean(axis=1, keepdims=True)], axis=1)  # unknown = 0.25 each
    tables: list[Array] = []
    groups: list[tuple[int, int, int]] = []
    row = 0
    for run in np.array_split(np.arange(part.width), 3):
        tap, taps = int(run[0]) if len(run) else 0, len(run)
        table = np.zeros((1, part.kernel.shape[2]), dtype=np.float32)
        for one in kernel[tap : tap + taps]:
            table = (table[:, None] + one).reshape(-1, table.shape[1])
        tables.append(_padded(table + part.bias if not groups else table))
        groups.append((tap, taps, row))
        row += len(table)
    return First(
        np.concatenate(tables).ravel(),
        np.array(groups, dtype=np.int64),
        tables[0].shape[1],
        part.width,
        part.size,
        part.stride,
        part.n_conv,
        part.n_pooled,
        part.kernel.shape[2],
        _FLOORS[_name(part.activation)],
    )


def toom_cook(n_outputs: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrices (n, n), (n, width) and (n_outputs, n) of a convolution through values at n points.

    ``outputs = from @ ((of_kernel @ kernel) * (to @ inputs))`` with ``n = n_outputs + width - 1`` inputs. The points
    are 0, 1, -1, 2, -2, 1/2, -1/2 and infinity: small enough that sums in single precision stay good.
    """
    n = n_outputs + width - 1
    points = np.array([0, 1, -1, 2, -2, 0.5, -0.5])[: n - 1]

    def powers(degree: int) -> NDArray[np.float64]:
        table = points[:, None] ** np.arange(degree)
        return np.vstack([table, np.arange(degree) == degree - 1])

    # Multiplying polynomials is: values at the points, products, interpolation. A convolution is that transposed.
    to_points, of_kernel = np.linalg.inv(powers(n)).T, powers(width)
    sizes = np.abs(to_points)
    least = np.where(sizes > 1e-9, sizes, np.inf).min(axis=1)
    scale = 2.0 ** np.round(np.log2(np.sqrt(sizes.max(axis=1) * least)))  # powers of 2: both sides near 1
    return to_points / scale[:, None], of_kernel * scale[:, None], powers(n_outputs).T


def _second(part: ConvPool, n_pooled: int) -> Second:
    width, _, filters = part.kernel.shape
    bias = _padded(part.bias[None]).ravel()
    outputs = POINTS + 1 - width if width in _FAST_WIDTHS else 0
    to_points, of_kernel, from_points = toom_cook(max(outputs, 1), width)
    at_points = np.tensordot(of_kernel, part.kernel.astype(np.float64), axes=1).reshape(-1, filters)
    return Second(
        _padded(part.kernel.reshape(-1, filters)).ravel(),
        _padded(at_points).ravel() if outputs else np.zeros(0, dtype=np.float32),
        to_points.astype(np.float32).ravel(),
        from_points.astype(np.float32).ravel(),
        outputs,
        bias,
        np.zeros_like(bias),
        width,
        part.size,
        part.stride,
        n_pooled,
        filters,
        len(bias),
        _FLOORS[_name(part.activation)],
    )
