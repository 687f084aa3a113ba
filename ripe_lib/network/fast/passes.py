"""One network as compiled loops: windows, alone or along a stretch, and alternatives that differ in a few bases.

Three things are exact and save most of the work:

- a window's merged columns are computed by Toom-Cook, four at a time with 8 products instead of 20;
- windows that lie along one stretch share their columns: each is computed once per phase of the first pooling, and a
  window picks those that begin at its own row (step 1 or 50, with or without region types: one path);
- an alternative is *reference plus difference*: only the columns it changes are computed, and one that equals its
  reference differs by exactly 0.

Region types are a branch of their own whose part is added at the border of the concatenation, or in the hidden layer;
equal region windows are computed once. Results are those of full passes up to the order of floating-point sums.

Shapes: B windows, U distinct region windows, M alternatives, F1/F2 filters, H hidden units, T tasks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.genome.encoding import UNKNOWN, Codes
from ripe_lib.network.fast.kernels import First, first_kernels, second_kernels
from ripe_lib.network.fast.loops import (
    change_pools,
    change_relu,
    first_seen,
    hidden_of_pools,
    merged_sequences,
    n_seen,
    pooled_sequences,
    product,
)
from ripe_lib.network.fast.region_steps import RegionSteps
from ripe_lib.network.fast.wiring import Wiring
from ripe_lib.output.threads import in_threads

Array = NDArray[np.float32]
Ints = NDArray[np.int64]
Distances = NDArray[np.floating]

MAX_SPAN = 6  # longest changed stretch that is scored by difference
_ALTERNATIVES_AT_A_TIME = 2048


class RegionPart(NamedTuple):
    """What distinct region windows contribute.

    ``straddle`` (U, K2 - 1, F2) to the merged columns over the border; ``head`` (U, n, F2) first region columns, which
    pools over the border see as well; ``hidden`` (U, H) to the first dense layer.
    """

    straddle: Array
    head: Array
    hidden: Array


class Passed(NamedTuple):
    """Intermediates of reference windows.

    Window ``w`` has column ``q`` of the merged convolution in row ``base[w] + q`` of ``columns`` (rows, F2); ``hidden``
    (B, H) is before activation.
    """

    columns: Array
    base: Ints
    hidden: Array
    logits: Array


class FastNetwork:
    """One network of the wiring of :mod:`ripe_lib.network.fast.wiring`; all methods take checked arrays.

    Attributes
    ----------
    n_pure, n_seq_columns, n_readable : int
        Merged columns of a window: those that see the sequence alone, those to which it contributes, those that pools
        with at least one of them read.
    n_pool2, n_pools : int
        Columns after the second pooling: all, and those that see a sequence column.
    """

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        seq, region, merged = wiring.seq, wiring.region, wiring.merged
        self._overlap = merged.width - 1 if wiring.at_border else 0
        self.n_pure = seq.n_pooled - merged.width + 1
        self.n_seq_columns = self.n_pure + self._overlap
        self.n_pool2 = merged.n_pooled
        self.n_pools = min(self.n_pool2, -(-self.n_seq_columns // merged.stride))
        self.n_readable = max(self.n_seq_columns, (self.n_pools - 1) * merged.stride + merged.size)
        self._first, self._second = first_kernels(seq), second_kernels(merged)
        self._region_first = None if region is None else first_kernels(region)
        self._output = list(blocks(wiring.output.kernel))
        kernel, filters = wiring.hidden.kernel, merged.kernel.shape[2]
        self._seq_kernel, self._region_kernel = np.split(kernel, [self.n_pools * filters])
        # Alternatives near an end of the window change pools that do not exist: rows of 0.
        self._rows_before = max(0, -first_seen(self._second, first_seen(self._first, 0)))
        after = n_seen(self._second, n_seen(self._first, MAX_SPAN))
        self._change_kernel = np.pad(self._seq_kernel, ((self._rows_before * filters, after * filters), (0, 0)))
        self._constants: dict[int, RegionPart] = {}
        self._steps = self._region_steps()

    # --- first and merged stage ------------------------------------------------------------------------------------

    def _columns(
        self,
        first: First,
        codes: Codes,
        starts: Ints,
        n_pooled: int,
        *,
        before: int = 0,
        after: int = 0,
        bias: bool = True,
        into: tuple[Array, Ints] | None = None,
    ) -> tuple[Array, Ints]:
        """Return merged columns of windows that begin at ``starts`` of ``codes``, and where those of each begin.

        ``before`` and ``after`` columns of 0 around the ``n_pooled`` ones, and rows to write each window's columns
        ``into``, leave nothing that windows could share.
        """
        added_columns = before + after - (self._second.width - 1)
        share = into is None and not before + after
        begins, counts, sequence, offset = _sequences(starts, first.stride, n_pooled, share=share)
        rows = np.concatenate([[0], np.cumsum(counts + added_columns)])
        if into is None:
            out = np.empty((rows[-1], self._second.at_points.shape[2]), dtype=np.float32)
            base = offset + rows[sequence]
        else:
            out, base = into
            rows = base
        added = self.wiring.merged.bias if bias else np.zeros_like(self.wiring.merged.bias)

        def part(p: slice) -> None:
            merged_sequences(first, self._second, codes, begins[p], counts[p], before, after, added, rows[p], out)

        in_threads(part, len(begins), int(counts.sum()) // max(1, n_pooled))
        return out, base

    def _pooled(self, first: First, codes: Codes, starts: Ints, n_pooled: int) -> tuple[Array, Ints]:
        """Return columns of the first stage alone, and where those of each window begin."""
        begins, counts, sequence, offset = _sequences(starts, first.stride, n_pooled, share=True)
        rows = np.concatenate([[0], np.cumsum(counts)])
        out = np.empty((rows[-1], first.tables.shape[1]), dtype=np.float32)

        def part(p: slice) -> None:
            pooled_sequences(first, codes, begins[p], counts[p], rows[p], out)

        in_threads(part, len(begins), len(starts))
        return out, offset + rows[sequence]

    def _own_columns(
        self, codes: Codes, starts: Ints, region: RegionPart, row: Ints, shared: tuple[Array, Ints] | None, skip: int
    ) -> tuple[Array, Ints]:
        """Return merged columns of each window from column ``skip`` on, with those over the border and behind it.

        ``shared`` holds the windows' columns before the border, or None to compute them here.
        """
        seq, filters = self.wiring.seq, self._second.at_points.shape[2]
        n_own = self.n_readable - skip
        columns = np.empty((len(starts), n_own, filters), dtype=np.float32)
        flat, base = columns.reshape(-1, filters), np.arange(len(starts)) * n_own
        if shared is None:
            self._columns(self._first, codes, starts, seq.n_pooled, into=(flat, base))
        else:
            columns[:, : self.n_pure - skip] = shared[0][shared[1][:, None] + np.arange(skip, self.n_pure)]
        if self._overlap:
            last = starts + (seq.n_pooled - self._overlap) * seq.stride
            into = flat, base + self.n_pure - skip
            self._columns(self._first, codes, last, self._overlap, after=self._overlap, into=into)
            columns[:, self.n_pure - skip : self.n_seq_columns - skip] += region.straddle[row]
        columns[:, self.n_seq_columns - skip :] = region.head[row]
        return flat, base

    # --- region branch ---------------------------------------------------------------------------------------------

    def _region_part(self, codes: Codes, starts: Ints) -> RegionPart:
        """Return what the region windows that begin at ``starts`` of ``codes`` contribute."""
        region, first, merged = self.wiring.region, self._region_first, self.wiring.merged
        n, filters = len(starts), merged.kernel.shape[2]
        nothing = np.zeros((n, 0, filters), dtype=np.float32)
        hidden = np.zeros((n, self._seq_kernel.shape[1]), dtype=np.float32)
        if region is None or first is None:
            return RegionPart(nothing, nothing, hidden)
        if not self.wiring.at_border:
            rows, base = self._pooled(first, codes, starts, region.n_pooled)
            self._hidden(rows, base, region.n_pooled, 1, 1, self._region_kernel, hidden)
            return RegionPart(nothing, nothing, hidden)
        columns, base = self._columns(first, codes, starts, region.n_pooled)
        straddle = nothing
        if self._overlap:
            wide, _ = self._columns(first, codes, starts, self._overlap, before=self._overlap, bias=False)
            straddle = wide.reshape(n, self._overlap, filters)
        head = columns[base[:, None] + np.arange(self.n_readable - self.n_seq_columns)]
        if self.n_pools < self.n_pool2:
            # The first pool of region columns alone need not start at the first region column.
            offset = self.n_pools * merged.stride - self.n_seq_columns
            n_pools = self.n_pool2 - self.n_pools
            self._hidden(columns, base + offset, n_pools, merged.size, merged.stride, self._region_kernel, hidden)
        return RegionPart(straddle, head, hidden)

    def _constant(self, code: int) -> RegionPart:
        """Return the part of a region window that is ``code`` everywhere."""
        if code not in self._constants:
            length = self.wiring.region.n_in if self.wiring.region else 1
            self._constants[code] = self._region_part(np.full(length, code, np.uint8), np.zeros(1, np.int64))
        return self._constants[code]

    def _region(self, codes: Codes | None, n: int) -> tuple[RegionPart, Ints]:
        """Return the parts of the distinct ones of region windows (B, R), and each window's row in them."""
        if codes is None or self.wiring.region is None:
            return self._constant(UNKNOWN), np.zeros(n, dtype=np.int64)
        distinct: dict[bytes, int] = {}
        row = np.array([distinct.setdefault(window.tobytes(), len(distinct)) for window in codes], dtype=np.int64)
        chosen = codes[np.unique(row, return_index=True)[1]]
        return self._region_part(chosen.ravel(), np.arange(len(chosen)) * chosen.shape[1]), row

    def _region_steps(self) -> RegionSteps | None:
        region, first = self.wiring.region, self._region_first
        if region is None or first is None or self.wiring.at_border:
            return None
        n_letters = first.width + first.size - 1
        letters = np.repeat(np.arange(5, dtype=np.uint8), n_letters)
        rows, base = self._pooled(first, letters, np.arange(5) * n_letters, 1)
        return RegionSteps(self._region_kernel, rows[base], n_letters)

    def _region_along(self, codes: Codes | None, n: int, step: int) -> tuple[RegionPart, Ints]:
        """Return the same of ``n`` windows along a region track (R + (n - 1) step,)."""
        first, zeros = self._region_first, np.zeros(n, dtype=np.int64)
        if codes is None or first is None:
            return self._constant(UNKNOWN), zeros
        if (codes == codes[0]).all():
            return self._constant(int(codes[0])), zeros
        if self._steps is not None and first.stride % step == 0:  # windows further apart share few rows
            dilation = first.stride // step
            n_rows = n + (self._steps.n_columns - 1) * dilation
            events = self._steps.events(codes, n_rows, step, dilation)
            if events.pays(n):
                rows, base = self._pooled(first, codes, events.mixed * step, 1)
                hidden = self._steps.hidden(events, rows[base], n, dilation)
                return self._constant(UNKNOWN)._replace(hidden=hidden), np.arange(n)
        return self._region_part(codes, np.arange(n) * step), np.arange(n)

    # --- windows ---------------------------------------------------------------------------------------------------

    def windows(
        self, codes: Codes, starts: Ints, region_codes: Codes | None, landmarks: Distances | None, *, near: bool
    ) -> Passed:
        """Pass windows that begin at ``starts`` of ``codes`` (N,) through the network.

        Parameters as :meth:`Network.neighbours`; ``near``: they overlap, so that columns are worth sharing.
        """
        region, row = self._region(region_codes, len(starts))
        columns = None
        if near or not self.wiring.at_border:
            columns = self._columns(self._first, codes, starts, self.wiring.seq.n_pooled)
        if columns is None or self.wiring.at_border:
            columns = self._own_columns(codes, starts, region, row, columns, 0)
        return Passed(*columns, *self._values([(*columns, 0)], region.hidden[row], landmarks))

    def along(self, codes: Codes, region_track: Codes | None, landmarks: Distances | None, n: int, step: int) -> Array:
        """Return logits (n, T) of windows along a sequence; parameters as :meth:`Network.along`."""
        region, row = self._region_along(region_track, n, step)
        starts = np.arange(n) * step
        columns = self._columns(self._first, codes, starts, self.wiring.seq.n_pooled)
        parts = [(*columns, 0)]
        if self.wiring.at_border:  # only the last pools of a window are its own
            size, stride = self._second.size, self._second.stride
            n_shared = max(0, min(self.n_pools, (self.n_pure - size) // stride + 1, self.n_pure // stride))
            own = self._own_columns(codes, starts, region, row, columns, n_shared * stride)
            parts.append((*own, n_shared))
        return self._values(parts, region.hidden[row], landmarks)[1]

    def _values(
        self, parts: list[tuple[Array, Ints, int]], region: Array, landmarks: Distances | None
    ) -> tuple[Array, Array]:
        """Return the hidden layer before activation, and the logits.

        ``parts`` are merged columns, where those of each window begin, and the first pool that is taken from them;
        ``region`` (B, H) is what region types add.
        """
        size, stride, filters = self._second.size, self._second.stride, self._second.at_points.shape[2]
        values = region + self.wiring.hidden.bias
        ends = [first for _, _, first in parts[1:]] + [self.n_pools]
        for (columns, base, first), end in zip(parts, ends, strict=True):
            if end > first:
                here = np.empty_like(values)
                kernel = self._seq_kernel[first * filters : end * filters]
                self._hidden(columns, base, end - first, size, stride, kernel, here)
                values += here
        if self.wiring.landmarks is not None:
            values += self.wiring.landmarks.hidden(landmarks, len(values))
        return values, _product(np.maximum(values, np.float32(0)), self._output) + self.wiring.output.bias

    def _hidden(
        self, columns: Array, base: Ints, n_pools: int, size: int, stride: int, kernel: Array, out: Array
    ) -> None:
        """Write pooled columns times rows of the hidden layer's kernel; see :func:`hidden_of_pools`."""

        def part(p: slice) -> None:
            hidden_of_pools(columns, base[p], n_pools, size, stride, kernel, out[p])

        in_threads(part, len(base), len(base))

    # --- alternatives ----------------------------------------------------------------------------------------------

    def alternatives(self, passed: Passed, codes: Codes, site: Ints, position: Ints, alt: Codes) -> Array:
        """Return the logits (M, T) of alternatives ``alt`` (M, S) at ``position`` of windows ``site`` of ``codes``.

        Parameters
        ----------
        passed, codes : Passed, uint8 array (B, L)
            The windows' intermediates, and their bases.
        site, position : int64 array (M,)
            The window of each alternative, and the 0-based position of its first changed base there.
        alt : uint8 array (M, S)
            The base codes that come there.
        """
        output = np.empty((len(site), len(self.wiring.output.bias)), dtype=np.float32)
        pool = first_seen(self._second, first_seen(self._first, position)) + self._rows_before
        # Alternatives that change the same pools follow each other: they use the same part of the kernel.
        order = np.argsort(pool, kind="stable")

        def part_of(part: slice) -> None:
            for start in range(part.start, part.stop, _ALTERNATIVES_AT_A_TIME):
                rows = order[start : min(start + _ALTERNATIVES_AT_A_TIME, part.stop)]
                output[rows] = self._changed(passed, codes, site[rows], position[rows], alt[rows], pool[rows])

        in_threads(part_of, len(site), len(site))
        return output

    def _changed(self, passed: Passed, codes: Codes, site: Ints, position: Ints, alt: Codes, pool: Ints) -> Array:
        """Return the logits of alternatives in order of ``pool``, the row of the first that each changes."""
        first, second, filters = self._first, self._second, self._second.at_points.shape[2]
        width = n_seen(second, n_seen(first, alt.shape[1])) * filters
        changes = np.empty((len(site), width), dtype=np.float32)
        counts = self.wiring.seq.n_pooled, self.n_pools
        change_pools(first, second, *counts, codes, passed.columns, passed.base, site, position, alt, changes)
        delta = np.empty((len(site), self._change_kernel.shape[1]), dtype=np.float32)
        borders = [0, *(np.flatnonzero(np.diff(pool)) + 1).tolist(), len(site)]
        for low, high in itertools.pairwise(borders):
            begin = int(pool[low]) * filters
            delta[low:high] = product(changes[low:high], self._change_kernel[begin : begin + width])
        change_relu(passed.hidden, site, delta)
        return passed.logits[site] + _product(delta, self._output)


def blocks(kernel: Array) -> Iterator[tuple[slice, Array]]:
    """Yield the blocks a kernel is 0 outside of, in order of their columns: rows, and the block.

    Output layers of joined networks have one per network, others are a single block.
    """
    used = kernel != 0
    first, last = used.argmax(axis=0), len(kernel) - used[::-1].argmax(axis=0)
    borders = [0]
    for column in range(1, kernel.shape[1]):
        block = slice(borders[-1], column)
        if first[column] >= last[block].max() or last[column] <= first[block].min():
            borders.append(column)
    for low, high in itertools.pairwise([*borders, kernel.shape[1]]):
        rows = slice(first[low:high].min(), last[low:high].max())
        yield rows, np.ascontiguousarray(kernel[rows, low:high])


def _product(values: Array, parts: list[tuple[slice, Array]]) -> Array:
    """Return values (n, K) times a kernel given as its :func:`blocks`."""
    return np.concatenate([product(values[:, rows], block) for rows, block in parts], axis=1)


def _sequences(starts: Ints, stride: int, n_pooled: int, *, share: bool) -> tuple[Ints, Ints, NDArray[np.intp], Ints]:
    """Return begin and number of pooled columns of sequences that hold all windows, and each window's place in them.

    With ``share``, windows of one phase of the pooling are parts of one sequence where that is less work.
    """
    if share and len(starts) > 1:
        phases, sequence = np.unique(starts % stride, return_inverse=True)
        first = np.full(len(phases), np.iinfo(np.int64).max)
        last = np.zeros(len(phases), dtype=np.int64)
        np.minimum.at(first, sequence, starts)
        np.maximum.at(last, sequence, starts)
        counts = (last - first) // stride + n_pooled
        if counts.sum() < len(starts) * n_pooled:
            return first, counts, sequence, (starts - first[sequence]) // stride
    counts = np.full(len(starts), n_pooled, dtype=np.int64)
    return starts, counts, np.arange(len(starts)), np.zeros(len(starts), dtype=np.int64)
