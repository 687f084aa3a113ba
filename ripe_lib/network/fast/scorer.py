"""Score substitutions against their reference windows, computing only what changes.

A *state* holds the intermediates of reference windows on the device; alternatives are asked of it as often as wanted,
for any positions and bases. Networks of another wiring are scored by full passes through the same interface.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, ShapeMismatchError
from ripe_lib.genome.encoding import UNKNOWN, Codes
from ripe_lib.network.fast.geometry import MAX_SPAN, first_pool2, last_conv2_needed, pool1_exists, touched
from ripe_lib.network.fast.wiring import Wiring, read_wiring
from ripe_lib.network.load import Model
from ripe_lib.network.predict import checked_codes, full_logits

Logits = NDArray[np.float32]

_ROWS_EVERYWHERE = 8192
_ROWS_PER_CALL = 2048  # alternatives per call of the compiled function: about 60 MB of intermediates


class ReferenceState(NamedTuple):
    """Reference windows with what their alternatives need.

    Attributes
    ----------
    logits : float32 array (B, T)
    seq_codes : uint8 array (B, L)
    region_codes : uint8 array (B, R) or None
    landmarks : float64 array (B, 8) or None
        Distances; alternatives have those of their reference.
    inner : object
        Cached intermediates; None for networks scored by full passes.
    """

    logits: Logits
    seq_codes: Codes
    region_codes: Codes | None
    landmarks: NDArray[np.float64] | None
    inner: Any

    @property
    def probabilities(self) -> Logits:
        """Probabilities (B, T)."""
        return sigmoid(self.logits)

    def __len__(self) -> int:
        """Return the number of windows (a tuple would count its fields)."""
        return len(self.seq_codes)


class _Inner(NamedTuple):
    """Device arrays of a state, and where a window's columns are in them.

    Window ``w`` has column ``j`` of the first convolution in row ``base1[w] + j`` and column ``q`` of the merged one
    in row ``base2[w] + step2 * q``; ``n_conv2`` merged columns can be looked up.
    """

    conv1: Any
    conv2: Any
    dense: tuple[Any, ...]
    base1: NDArray[np.integer]
    base2: NDArray[np.integer]
    step2: int
    n_conv2: int


class SubstitutionScorer:
    """Exact scores of windows in which a few bases are replaced.

    Parameters
    ----------
    model : Model
        Any model; the fast way needs the wiring of :mod:`ripe_lib.network.fast.wiring`.
    native : bool
        Use compiled loops (:mod:`ripe_lib.network.fast.native`) where they can be had: a CPU, relu activations, and
        numba. Otherwise TensorFlow computes the same.

    Attributes
    ----------
    is_incremental : bool
        Whether the network has that wiring. If not, everything is computed by full passes.

    Notes
    -----
    Scores equal those of full passes up to the order of floating-point sums (about 1e-7 in probability). The weights
    are read once: make a new scorer after changing them.
    """

    def __init__(self, model: Model, *, native: bool = True) -> None:
        self.model = model
        wiring = read_wiring(model)
        self._landmarks = None if wiring is None else wiring.landmarks
        self._graph: Any = None
        self._no_region: Any = None
        self._native = _native(wiring) if native and wiring is not None else None
        if wiring is not None and self._native is None:
            from ripe_lib.network.fast.graph import Graph

            self._graph = Graph(wiring)

    @property
    def is_incremental(self) -> bool:
        """Whether only what changes is computed."""
        return self._graph is not None or self._native is not None

    # --- references ------------------------------------------------------------------------------------------------

    def reference(
        self, seq_codes: Codes, region_codes: Codes | None = None, landmarks: NDArray[np.float64] | None = None
    ) -> ReferenceState:
        """Pass reference windows through the network once.

        Parameters
        ----------
        seq_codes : uint8 array (B, L)
        region_codes : uint8 array (B, R) or None
            None is "no information" everywhere; then only the sequence branch is computed. Equal rows are computed
            once.
        landmarks : float array (B, 8) or None
            Distances in nt; NaN, or None for all, is unknown.

        Returns
        -------
        ReferenceState
            About 90 kB per window with the paper's sizes: choose B accordingly.
        """
        given = seq_codes, region_codes, landmarks = checked_codes(self.model, seq_codes, region_codes, landmarks)
        if self._native is not None and len(seq_codes):
            extra = self._landmark_part(landmarks, len(seq_codes))
            return self._native_state(self._native.reference(seq_codes, region_codes, extra), given)
        if self._graph is None or not len(seq_codes):
            return ReferenceState(full_logits(self.model, *given), *given, None)
        region, row = self._region(region_codes, landmarks, len(seq_codes))
        part = self._graph.reference(_tensor(seq_codes), row, region)
        conv2 = self._with_head(part.conv2, region, row)
        n1, n2 = int(part.conv1.shape[1]), int(conv2.shape[1])
        windows = np.arange(len(seq_codes))
        inner = _Inner(_rows(part.conv1), _rows(conv2), part.dense, windows * n1, windows * n2, 1, n2)
        return ReferenceState(part.dense[-1].numpy(), *given, inner)

    def tiled_reference(
        self,
        codes: Codes,
        starts: NDArray[np.integer],
        region_codes: Codes | None = None,
        landmarks: NDArray[np.float64] | None = None,
    ) -> ReferenceState:
        """Pass windows of one stretch through the network, sharing what neighbouring windows have in common.

        Parameters
        ----------
        codes : uint8 array (N,)
            The stretch.
        starts : int array (B,)
            First base of each window, within ``0 .. N - L``.
        region_codes : uint8 array (B, R) or None
        landmarks : float array (B, 8) or None

        Returns
        -------
        ReferenceState
            As :meth:`reference` of the windows.
        """
        length = self.model.spec.sequence_length
        starts = np.asarray(starts).astype(np.int64)
        if starts.size and (starts.min() < 0 or starts.max() + length > len(codes)):
            raise InputError(f"windows: expected starts within 0..{len(codes) - length}, got others.")
        windows = codes[starts[:, None] + np.arange(length)]
        if not self.is_incremental or not len(starts):
            return self.reference(windows, region_codes, landmarks)
        given = windows, region_codes, landmarks = checked_codes(self.model, windows, region_codes, landmarks)
        if self._native is not None:
            extra = self._landmark_part(landmarks, len(starts))
            return self._native_state(self._native.tiled_reference(codes, starts, region_codes, extra), given)
        region, row = self._region(region_codes, landmarks, len(starts))
        conv1, pooled1, conv2 = self._graph.tiles(_tensor(codes))
        dense = self._graph.tiled_dense(pooled1, conv2, _index(starts), row, region)
        inner = _Inner(conv1, conv2, dense, starts, starts, self._graph.sizes.stride1, self._graph.n_pure)
        return ReferenceState(dense[-1].numpy(), *given, inner)

    def _native_state(self, inner: Any, given: tuple[Any, Any, Any]) -> ReferenceState:
        return ReferenceState(inner.dense[-1][:, : len(self.model.tasks)], *given, inner)

    def _landmark_part(self, landmarks: NDArray[np.float64] | None, n_windows: int) -> Logits | None:
        """Return what landmarks add to the first dense layer, (B, H); None for networks without them."""
        return None if self._landmarks is None else self._landmarks.hidden(landmarks, n_windows)

    def _region(
        self, region_codes: Codes | None, landmarks: NDArray[np.float64] | None, n_windows: int
    ) -> tuple[Any, Any]:
        """Return what region types and landmarks add: parts and each window's row in them."""
        region, row = self._region_types(region_codes, n_windows)
        extra = self._landmark_part(landmarks, n_windows)
        if extra is None:
            return region, row
        import tensorflow as tf

        own = [tf.gather(part, row) for part in region]
        parts = type(region)(*own)
        return parts._replace(hidden=parts.hidden + extra), _index(np.arange(n_windows))

    def _region_types(self, region_codes: Codes | None, n_windows: int) -> tuple[Any, Any]:
        """Return the region part of the distinct region windows and each window's row in it."""
        if self._graph.wiring.region is None:
            return self._graph.no_region, _index(np.zeros(n_windows))
        if region_codes is None:
            if self._no_region is None:
                blank = np.full((1, self.model.spec.region_length), UNKNOWN, dtype=np.uint8)
                self._no_region = self._graph.region_part(_tensor(blank))
            return self._no_region, _index(np.zeros(n_windows))
        distinct: dict[bytes, int] = {}
        row = np.array([distinct.setdefault(window.tobytes(), len(distinct)) for window in region_codes])
        first = np.unique(row, return_index=True)[1]
        return self._graph.region_part(_tensor(region_codes[first])), _index(row)

    def _with_head(self, conv2: Any, region: Any, row: Any) -> Any:
        """Append the first region columns, which the pools of the window's last bases see as well."""
        if not self._graph.n_head:
            return conv2
        return self._graph.append_head(conv2, region.head, row)

    # --- alternatives ----------------------------------------------------------------------------------------------

    def alternatives(
        self,
        state: ReferenceState,
        site_index: NDArray[np.integer],
        position: NDArray[np.integer],
        alt_code: NDArray[np.integer],
    ) -> Logits:
        """Return the logits of alternatives.

        Parameters
        ----------
        state : ReferenceState
        site_index : int array (M,)
            Which reference window.
        position : int array (M,)
            0-based index in the window of the first changed base.
        alt_code : uint8 array (M,) or (M, S)
            The new base, or the S new bases from ``position`` on (some may equal the reference).

        Returns
        -------
        float32 array (M, T)
            An alternative equal to its reference has exactly its reference's logits.
        """
        site, position, alt = self._checked_alternatives(state, site_index, position, alt_code)
        span = alt.shape[1]
        output = np.empty((len(site), len(self.model.tasks)), dtype=np.float32)
        fast = self._can_difference(state, position, span)
        if self._native is not None and fast.any():
            rows = np.flatnonzero(fast)
            output[rows] = self._native.alternatives(
                state.inner, state.seq_codes, site[rows], position[rows], alt[rows]
            )
        for rows in _groups(position, fast) if self._native is None else ():
            for start in range(0, len(rows), _ROWS_PER_CALL):
                part = rows[start : start + _ROWS_PER_CALL]
                output[part] = self._one_position(state, site[part], int(position[part[0]]), alt[part])
        slow = np.flatnonzero(~fast)
        if slow.size:
            output[slow] = self._full_pass(state, site[slow], position[slow], alt[slow])
        return output

    def all_substitutions(self, state: ReferenceState, alt_codes: NDArray[np.integer]) -> Logits:
        """Return the logits of substitutions at every position of every window.

        Parameters
        ----------
        state : ReferenceState
        alt_codes : uint8 array (B, L, A)
            A new bases per position.

        Returns
        -------
        float32 array (B, L, A, T)
        """
        n_sites, length, n_alt = alt_codes.shape
        output = np.empty((n_sites, length, n_alt, len(self.model.tasks)), dtype=np.float32)
        inner = state.inner
        if inner is None or self._native is not None or inner.step2 != 1:
            grid = np.indices(alt_codes.shape)
            logits = self.alternatives(state, grid[0].ravel(), grid[1].ravel(), alt_codes.ravel())
            return logits.reshape(output.shape)
        per_call = max(1, _ROWS_EVERYWHERE // (length * n_alt))
        rows1, rows2 = self._graph.wiring.seq.n_conv, inner.n_conv2
        for start in range(0, n_sites, per_call):
            end = min(start + per_call, n_sites)
            part = slice(start, end)
            logits = self._graph.everywhere(
                inner.conv1[start * rows1 : end * rows1],
                inner.conv2[start * rows2 : end * rows2],
                tuple(values[part] for values in inner.dense),
                _tensor(state.seq_codes[part]),
                _tensor(alt_codes[part]),
            )
            output[part] = logits.numpy()
        return output

    def _one_position(self, state: ReferenceState, site: NDArray[Any], position: int, alt: NDArray[Any]) -> Logits:
        return self._change(state, site[None], np.array([position]), alt[None, :, None])[0, :, 0]

    def _change(self, state: ReferenceState, site: NDArray[Any], position: NDArray[Any], alt: NDArray[Any]) -> Logits:
        """Score loci ``site`` (G, n) at ``position`` (G,), all of one class; ``alt`` (G, n, A, S)."""
        sizes, inner, span = self._graph.sizes, state.inner, alt.shape[3]
        position_class = int(position[0]) % sizes.period
        t = touched(sizes, position_class, span)
        around1, around2 = self._graph.columns_around(position, span)
        around2 = np.minimum(around2, inner.n_conv2 - 1) * inner.step2
        ref = state.seq_codes[site[..., None], position[:, None, None] + np.arange(span)]
        change = self._graph.change(position_class, span)
        return change(
            inner.conv1,
            inner.conv2,
            inner.dense,
            _index(inner.base1[site][..., None] + around1[:, None]),
            _index(inner.base2[site][..., None] + around2[:, None]),
            _index(site),
            pool1_exists(sizes, position, t.n_pool1),
            _index(first_pool2(sizes, position)),
            _tensor(ref),
            _tensor(alt),
        ).numpy()

    def _can_difference(self, state: ReferenceState, position: NDArray[Any], span: int) -> NDArray[np.bool_]:
        if state.inner is None or span > MAX_SPAN:
            return np.zeros(len(position), dtype=bool)
        if self._native is not None:
            return np.ones(len(position), dtype=bool)
        needed = last_conv2_needed(self._graph.sizes, position, span)
        # Columns past the network's last are never used by a pool that exists.
        return (needed < state.inner.n_conv2) | (state.inner.n_conv2 == self._graph.n_conv2_readable)

    def _full_pass(
        self, state: ReferenceState, site: NDArray[Any], position: NDArray[Any], alt: NDArray[Any]
    ) -> Logits:
        windows = state.seq_codes[site]
        columns = position[:, None] + np.arange(alt.shape[1])
        changed = (np.take_along_axis(windows, columns, axis=1) != alt).any(axis=1)
        np.put_along_axis(windows, columns, alt, axis=1)
        output = state.logits[site]
        if changed.any():
            rows = site[changed]
            context = (None if one is None else one[rows] for one in (state.region_codes, state.landmarks))
            output[changed] = full_logits(self.model, windows[changed], *context)
        return output

    def _checked_alternatives(
        self, state: ReferenceState, site_index: Any, position: Any, alt_code: Any
    ) -> tuple[NDArray[Any], NDArray[Any], Codes]:
        site, position, alt = np.asarray(site_index), np.asarray(position), np.asarray(alt_code)
        alt = alt[:, None] if alt.ndim == 1 else alt
        if site.ndim != 1 or position.shape != site.shape or alt.ndim != 2 or len(alt) != len(site):
            raise ShapeMismatchError(
                f"alternatives: expected site_index (M,), position (M,) and alt_code (M,) or (M, S), "
                f"got {site.shape}, {position.shape} and {np.shape(alt_code)}."
            )
        length = self.model.spec.sequence_length
        if site.size and (site.min() < 0 or site.max() >= len(state)):
            raise InputError(f"alternatives: expected site_index within 0..{len(state) - 1}, got {site.max()}.")
        if site.size and (position.min() < 0 or position.max() + alt.shape[1] > length):
            raise InputError(f"alternatives: expected changed bases within the window of {length}, got others.")
        if alt.size and (alt.min() < 0 or alt.max() > UNKNOWN):
            raise InputError("alternatives: expected base codes 0 to 4, got others.")
        return site.astype(np.int64), position.astype(np.int64), alt.astype(np.uint8)


def _native(wiring: Wiring) -> Any:
    """Return the network as compiled loops, or None where they cannot be had."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return None
    try:
        from ripe_lib.network.fast.native import native_network
    except ImportError:  # no numba
        return None
    return native_network(wiring)


def sigmoid(logits: Logits) -> Logits:
    """Return probabilities of logits, float32."""
    with np.errstate(over="ignore"):
        return (1.0 / (1.0 + np.exp(-np.asarray(logits, dtype=np.float32)))).astype(np.float32)


def _groups(position: NDArray[Any], wanted: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Return the indices of wanted rows, one array per distinct position."""
    rows = np.flatnonzero(wanted)
    if not rows.size:
        return []
    order = rows[np.argsort(position[rows], kind="stable")]
    borders = np.flatnonzero(np.diff(position[order])) + 1
    return np.split(order, borders)


def _tensor(array: NDArray[Any]) -> Any:
    import tensorflow as tf

    return tf.constant(np.ascontiguousarray(array, dtype=np.uint8))


def _index(array: NDArray[Any]) -> Any:
    import tensorflow as tf

    return tf.constant(np.ascontiguousarray(array, dtype=np.int32))


def _rows(tensor: Any) -> Any:
    import tensorflow as tf

    return tf.reshape(tensor, (-1, tensor.shape[-1]))
