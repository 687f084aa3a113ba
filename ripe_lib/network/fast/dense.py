"""The network along a sequence: exact sharing of work between neighbouring windows.

Predicting every window of a sequence anew repeats almost everything: two windows one base apart look at the same
first-layer values, only at other places. Here each intermediate value is computed once per *position* and the windows
pick what they need:

====================  =====================================  ==================================================
value                 computed for                           a window that starts at ``i`` uses
====================  =====================================  ==================================================
first convolution     every position                         (only through the pool)
first pool ``M``      every position (all parity phases)     ``M[i + j * stride]`` for its column ``j``
merged convolution    every position, one partial sum per    column ``k`` inside one branch: the full sum at
                      kernel tap and branch                  ``i + k * stride``; the few columns that straddle
                                                             the junction of the branches: the partial sums of
                                                             both, added per window
merged pool           every position                         pools inside one branch: one value; pools that
                                                             straddle the junction: a maximum over both
hidden layers         every window (nothing to share)
====================  =====================================  ==================================================

So that the multiplications of a window fall from 6.6 million (paper sizes) to 0.6 million, 0.5 of them in the hidden
layer. No approximation is made; sums are taken in another order than TensorFlow does, which shows in the
seventh digit. With a step above 1 only the phases that windows use are computed. A region track that does not change
along the block (0.25 everywhere, or deep inside an intron) costs nothing: its branch is one constant.

Networks with two separate towers (the region branch meets the sequence in the hidden layer) have no junction and no
second convolution of the region branch; the rest is the same. Where their region types change now and then, only the
changes are computed (:mod:`ripe_lib.network.fast.region_steps`).

All sizes are read from the layers. For a network of another wiring (GRU, extra layers, other activations)
:func:`dense_scanner` gives None, and :mod:`ripe_lib.scan.engine` predicts whole windows.

The matrix products are TensorFlow's, on the CPU (NumPy's OpenBLAS does not know the wide vectors of new processors: 107
against 170 GFLOP/s and core, copies included, on an AMD EPYC with AVX-512); everything else is NumPy in threads.

Axes: N positions, B windows, C first-layer filters, F merged filters, T tasks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ripe_lib.genome.encoding import ONE_HOT_ROWS, UNKNOWN, Codes
from ripe_lib.network.fast.region_steps import RegionSteps
from ripe_lib.network.fast.wiring import ConvPool, Wiring, read_wiring
from ripe_lib.network.load import Model

Array = NDArray[np.float32]


class _Product:
    """Multiply float32 arrays (n, k) with one matrix (k, m) on the CPU; results are read-only."""

    def __init__(self, matrix: Array) -> None:
        import tensorflow as tf

        self.n_rows = len(matrix)
        self._tf = tf
        with tf.device("/CPU:0"):  # on a GPU the product would be rounded to TF32
            self._matrix = tf.constant(np.ascontiguousarray(matrix))

    def __call__(self, array: Array) -> Array:
        with self._tf.device("/CPU:0"):
            # The buffer of the result itself: `.numpy()` would copy it.
            return np.asarray(memoryview(self._tf.linalg.matmul(self._tf.constant(array), self._matrix)))


class Workspace:
    """Named float32 buffers that are kept between blocks; one per thread."""

    def __init__(self) -> None:
        self._flat: dict[str, Array] = {}

    def take(self, name: str, *shape: int) -> Array:
        """Return an uninitialised array; the next call with the same name gives the same memory."""
        size = int(np.prod(shape))
        if name not in self._flat or self._flat[name].size < size:
            self._flat[name] = np.empty(size, dtype=np.float32)
        return self._flat[name][:size].reshape(shape)


@dataclass
class _Track:
    """One branch along a block, or its constant.

    Attributes
    ----------
    dilation : int
        Rows between neighbouring columns of one window.
    hop : int
        Rows between neighbouring windows.
    partial : float32 array (rows, width, F)
        Pooled letters times each tap of the merged kernel.
    merged : float32 array (rows, F)
        Sum over the taps (no bias): the merged convolution inside this branch.
    pooled : float32 array (rows, F)
        Maximum over the merged pool, with bias and ReLU; no rows if no pool lies wholly inside this branch.
    """

    dilation: int
    hop: int
    partial: Array
    merged: Array
    pooled: Array

    def rows(self, array: Array, column: int, n: int) -> Array:
        """Return the rows that the windows' column ``column`` (counted in this branch) needs, for ``n`` windows."""
        first = column * self.dilation
        return array[first : first + (n - 1) * self.hop + 1 : self.hop]


@dataclass
class DenseScanner:
    """Predict consecutive windows of one sequence, sharing what neighbours have in common.

    Parameters
    ----------
    wiring : Wiring
        From :func:`ripe_lib.network.fast.wiring.read_wiring`, with ReLU everywhere.
    columns : sequence of int, optional
        Output columns to compute; default all.
    """

    wiring: Wiring
    columns: NDArray[np.intp] | None = None
    _tables: list[tuple[Array, Array | None, int]] = field(init=False, repr=False)
    _constants: dict[int, tuple[_Track, Array]] = field(init=False, default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        w = self.wiring
        self._branches = [w.seq] if w.region is None else [w.seq, w.region]
        width, n_channels, n_filters = w.merged.kernel.shape
        # (C, width * F): all taps of the merged kernel in one matrix product.
        taps = w.merged.kernel.transpose(1, 0, 2).reshape(n_channels, width * n_filters)
        self._taps = _Product(taps)
        self._tables = [_lookup_tables(branch) for branch in self._branches]
        self._is_tower = w.region is not None and not w.seam
        self._dense = [(layer.kernel, layer.bias) for layer in w.dense]
        if self.columns is not None:
            weights, bias = self._dense[-1]
            self._dense[-1] = (np.ascontiguousarray(weights[:, self.columns]), bias[self.columns])
        # Columns of the merged convolution before the junction of the branches, and those over it.
        first, n_conv = w.seq.n_pooled, w.merged.n_conv
        self._n_left = min(n_conv, first - width + 1)
        self._n_junction = min(n_conv, first) if w.seam else n_conv
        # Pools wholly before the junction columns, and the first one wholly after them.
        n_pools, size, stride = w.merged.n_pooled, w.merged.size, w.merged.stride
        self._last_left_pool = min(n_pools, max(0, (self._n_left - size) // stride + 1))
        self._first_right_pool = min(n_pools, -(-first // stride)) if w.seam else n_pools

        # Rows of the first dense layer that a constant region track leaves variable.
        self._n_variable = self._first_right_pool * n_filters
        weights = self._dense[0][0]
        self._first_dense = (_Product(weights), _Product(weights[: self._n_variable]))
        self._region_steps: RegionSteps | None = None
        if self._is_tower and w.region is not None:
            branch = w.region
            rows = [self._first_pool(1, np.full(branch.n_in, code, np.uint8), 1, Workspace())[0] for code in range(5)]
            n_letters = len(branch.kernel) + branch.size - 1
            self._region_steps = RegionSteps(weights[self._n_variable :], np.stack(rows), n_letters, _Product)

    def block_lengths(self, n: int, step: int) -> list[int]:
        """Return how many letters of each branch ``n`` windows at ``step`` span."""
        return [branch.n_in + (n - 1) * step for branch in self._branches]

    def logits(
        self,
        seq_codes: Codes,
        region_codes: Codes | None,
        n: int,
        step: int,
        space: Workspace | None = None,
        landmarks: NDArray[np.float64] | None = None,
    ) -> Array:
        """Return logits of ``n`` windows; window ``b`` starts at letter ``b * step`` of each branch.

        Parameters
        ----------
        seq_codes : uint8 array (L + (n - 1) * step,)
        region_codes : uint8 array (R + (n - 1) * step,) or None
            None is "no information" everywhere.
        n, step : int
            Windows and the distance of their starts.
        space : Workspace, optional
            Memory to reuse.
        landmarks : float64 array (n, 8), optional
            Distances in nt, NaN = unknown.

        Returns
        -------
        float32 array (n, T)
        """
        space = space or Workspace()
        tracks = [self._track(0, seq_codes, step, space)]
        constant = None
        if len(self._branches) == 2:
            if region_codes is None:
                constant = UNKNOWN
            elif (region_codes == region_codes[0]).all():
                constant = int(region_codes[0])
            if region_codes is None or constant is not None:
                tracks.append(self._constant(constant or 0)[0])
            else:
                tracks.append(self._track(1, region_codes, step, space))
        known: Array | None = None  # bias, and the region branch where it need not be multiplied out
        if constant is not None:
            known = self._constant(constant)[1]
        elif region_codes is not None:
            known = self._stepwise(region_codes, tracks[-1], n, step)
        product = self._first_dense[known is not None]
        flat = space.take("flat", n, product.n_rows)
        self._fill_pools(flat, tracks, n, space, only_variable=known is not None)
        hidden = product(flat) + (self._dense[0][1] if known is None else known)
        if self.wiring.landmarks is not None:
            hidden += self.wiring.landmarks.hidden(landmarks, n)
        for weights, bias in self._dense[1:]:
            np.maximum(hidden, 0, out=hidden)
            hidden = hidden @ weights + bias
        return hidden

    def _stepwise(self, region_codes: Codes, track: _Track, n: int, step: int) -> Array | None:
        """Return bias and the region tower's part of the hidden layer (n, H); None if multiplying out is less work."""
        steps = self._region_steps
        if steps is None or track.hop != 1:  # windows further apart share few rows
            return None
        events = steps.events(region_codes, len(track.pooled), step, track.dilation)
        if not events.pays(n):
            return None
        return steps.hidden(events, track.pooled, self._dense[0][1], n, track.dilation)

    def _fill_pools(self, flat: Array, tracks: list[_Track], n: int, space: Workspace, *, only_variable: bool) -> None:
        """Fill what the first dense layer takes, (n, features); of a constant region branch nothing is needed."""
        merged = self.wiring.merged
        n_filters = merged.kernel.shape[2]
        n_pools = self._first_right_pool if only_variable else merged.n_pooled
        pools = flat[:, : n_pools * n_filters].reshape(n, n_pools, n_filters)
        for pool in range(self._last_left_pool):
            pools[:, pool] = tracks[0].rows(tracks[0].pooled, pool * merged.stride, n)
        junction = {
            column: self._junction_column(column, tracks, n, space) for column in range(self._n_left, self._n_junction)
        }
        for pool in range(self._last_left_pool, self._first_right_pool):
            self._straddling_pool(pools[:, pool], pool, tracks, junction, space)
        for pool in range(self._first_right_pool, n_pools):
            pools[:, pool] = tracks[1].rows(tracks[1].pooled, pool * merged.stride - self._n_junction, n)
        if self._is_tower and not only_variable:
            columns = flat[:, n_pools * n_filters :].reshape(n, self._branches[1].n_pooled, -1)
            for column in range(columns.shape[1]):
                columns[:, column] = tracks[1].rows(tracks[1].pooled, column, n)

    def probabilities(self, *arguments: Any, **options: Any) -> Array:
        """Return the sigmoid of :meth:`logits`, with its parameters."""
        return expit(self.logits(*arguments, **options))

    def _track(self, which: int, codes: Codes, step: int, space: Workspace) -> _Track:
        """Run one branch along a block."""
        branch = self._branches[which]
        phase = gcd(step, branch.stride)  # windows only ever use every phase-th row of the pool
        pooled = self._first_pool(which, codes, phase, space)
        dilation = branch.stride // phase
        if which == 1 and self._is_tower:  # no second convolution here
            return _Track(dilation, step // phase, pooled[:0, :, None], pooled[:0], pooled)
        width, _, n_filters = self.wiring.merged.kernel.shape
        partial = self._taps(pooled).reshape(-1, width, n_filters)
        rows = len(pooled) - (width - 1) * dilation
        merged = space.take(f"merged{which}", rows, n_filters)
        merged[:] = partial[:rows, 0]
        for tap in range(1, width):
            merged += partial[tap * dilation : tap * dilation + rows, tap]
        return _Track(dilation, step // phase, partial, merged, self._second_pool(merged, dilation, space, which))

    def _first_pool(self, which: int, codes: Codes, phase: int, space: Workspace) -> Array:
        """Return ReLU(max-pooled first convolution) at every ``phase``-th position, (rows, C)."""
        branch = self._branches[which]
        head, tail, split = self._tables[which]
        rows = len(codes) - len(branch.kernel) + 1
        n_filters = head.shape[1]
        conv = space.take(f"conv{which}", rows, n_filters)
        np.take(head, _words(codes, 0, split, rows), axis=0, out=conv, mode="clip")
        if tail is not None:
            other = space.take(f"conv_tail{which}", rows, n_filters)
            np.take(tail, _words(codes, split, len(branch.kernel) - split, rows), axis=0, out=other, mode="clip")
            conv += other
        return _sliding_maximum(conv, branch.size, 1, phase, space, f"pool{which}")

    def _second_pool(self, merged: Array, dilation: int, space: Workspace, which: int) -> Array:
        w = self.wiring.merged
        if len(merged) <= (w.size - 1) * dilation:
            return merged[:0]
        pooled = _sliding_maximum(merged, w.size, dilation, 1, space, f"pooled{which}", floor=None)
        pooled += w.bias
        return np.maximum(pooled, 0, out=pooled)

    def _straddling_pool(
        self, out: Array, pool: int, tracks: list[_Track], junction: dict[int, Array], space: Workspace
    ) -> None:
        """Fill one pool that holds junction columns, or columns of both branches."""
        w = self.wiring.merged
        best = space.take("straddle", *out.shape)
        best.fill(-np.inf)
        for column in range(pool * w.stride, pool * w.stride + w.size):
            if column in junction:
                values = junction[column]
            elif column < self._n_left:
                values = tracks[0].rows(tracks[0].merged, column, len(out))
            else:
                values = tracks[1].rows(tracks[1].merged, column - self._n_junction, len(out))
            np.maximum(best, values, out=best)
        best += w.bias
        np.maximum(best, 0, out=out)

    def _junction_column(self, column: int, tracks: list[_Track], n: int, space: Workspace) -> Array:
        """Return a column (n, F) of the merged convolution over the end of one branch and the start of the next."""
        first = self.wiring.seq.n_pooled
        total = space.take(f"junction{column}", n, self.wiring.merged.kernel.shape[2])
        total.fill(0)
        for tap in range(self.wiring.merged.width):
            which, place = (0, column + tap) if column + tap < first else (1, column + tap - first)
            total += tracks[which].rows(tracks[which].partial, place, n)[:, tap]
        return total

    def _constant(self, code: int) -> tuple[_Track, Array]:
        """Return the region branch of a track that is ``code`` everywhere, and what it adds to the hidden layer."""
        if code not in self._constants:
            branch = self._branches[1]
            track = self._track(1, np.full(branch.n_in, code, np.uint8), branch.stride, Workspace())
            weights, bias = self._dense[0]
            # Every row is the same: no hop between windows, no dilation between columns.
            same = _Constant(0, 0, track.partial[:1], track.merged[:1], track.pooled[:1])
            rest = weights[self._n_variable :]
            n_columns = len(rest) // track.pooled.shape[1]
            if n_columns:
                bias = bias + np.tile(track.pooled[0], n_columns) @ rest
            self._constants[code] = (same, bias)
        return self._constants[code]


def dense_scanner(model: Model, columns: NDArray[np.intp] | None = None) -> DenseScanner | None:
    """Return the scanner of a model, or None if its network is not of the paper's wiring with ReLU everywhere."""
    wiring = read_wiring(model)
    if wiring is None:
        return None
    stages: list[Any] = [wiring.seq, wiring.region or wiring.seq, wiring.merged, *wiring.dense[:-1]]
    if any(getattr(stage.activation, "__name__", "") != "relu" for stage in stages):
        return None
    return DenseScanner(wiring, columns)


class _Constant(_Track):
    def rows(self, array: Array, column: int, n: int) -> Array:
        return array[:1]


def _lookup_tables(branch: ConvPool) -> tuple[Array, Array | None, int]:
    """Return the convolution of every word of up to four letters: the first letters' (5^k, C), the rest's, and k."""
    width, _, n_filters = branch.kernel.shape
    rows = np.einsum("cb,wbf->wcf", ONE_HOT_ROWS, branch.kernel)  # (width, 5 codes, C)

    def table(letters: Array) -> Array:
        total = letters[0]
        for other in letters[1:]:
            total = (total[:, None, :] + other[None]).reshape(-1, n_filters)
        return np.ascontiguousarray(total)

    split = min(width, 4)
    head = table(rows[:split]) + branch.bias
    return head, (table(rows[split:]) if width > split else None), split


def _words(codes: Codes, first: int, length: int, n: int) -> NDArray[np.intp]:
    """Return the base-5 number of the word of ``length`` letters at every position ``first + 0 ... first + n - 1``."""
    word = codes[first : first + n].astype(np.intp)
    for k in range(1, length):
        word *= 5
        word += codes[first + k : first + k + n]
    return word


def _sliding_maximum(
    values: Array, size: int, dilation: int, phase: int, space: Workspace, name: str, floor: float | None = 0.0
) -> Array:
    """Return ``max(values[i], values[i + dilation], ...)`` over ``size`` rows, for i = 0, phase, 2 phase, ...

    Overlapping maxima are built by doubling, so that ``size`` rows cost about log2(size) passes.
    """
    rows = len(values) - (size - 1) * dilation
    current, span, turn = values, 1, 0
    while span < size:
        gain = min(span, size - span)
        n = len(current) - gain * dilation
        out = space.take(f"{name}-{turn}", n, values.shape[1])
        np.maximum(current[:n], current[gain * dilation : gain * dilation + n], out=out)
        current, span, turn = out, span + gain, 1 - turn
    wanted = current[:rows:phase]
    result = space.take(f"{name}-result", *wanted.shape)
    if floor is None:
        result[:] = wanted
    else:
        np.maximum(wanted, floor, out=result)
    return result
