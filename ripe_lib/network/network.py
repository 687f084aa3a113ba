"""The only place that runs a network: full passes, gradients, exact substitutions, windows along a sequence.

Full passes and gradients are TensorFlow's, compiled once per purpose. What neighbouring windows share and what a
substitution leaves as it is are computed by :mod:`ripe_lib.network.fast`, on the CPU, for the wirings it knows; other
networks answer the same questions by full passes. The weights are read once.

Methods take arrays that fit the network (:mod:`ripe_lib.network.inputs` checks them). Shapes: B windows, L and R
letters, T tasks, K landmark bases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.special import expit

from ripe_lib.errors import InputError, ShapeMismatchError
from ripe_lib.genome.encoding import ONE_HOT_ROWS, UNKNOWN, Codes
from ripe_lib.genome.landmarks import encode_landmarks, unknown_landmarks
from ripe_lib.network.fast.passes import MAX_SPAN, FastNetwork, Passed
from ripe_lib.network.fast.wiring import read_wiring
from ripe_lib.network.spec import ModelSpec

if TYPE_CHECKING:
    import keras

DEFAULT_BATCH_SIZE = 1024

Floats = NDArray[np.float32]
Distances = NDArray[np.floating]
Ints = NDArray[np.integer]


class ReferenceState(NamedTuple):
    """Reference windows with what their alternatives need.

    ``logits`` (B, T); the windows as given, whose region types and landmarks their alternatives share; kept
    intermediates, about 30 kB per window with the paper's sizes, or None for networks run by full passes.
    """

    logits: Floats
    seq_codes: Codes
    region_codes: Codes | None
    landmarks: Distances | None
    passed: Passed | None


class Network:
    """One network, ready to be asked.

    Parameters
    ----------
    spec : ModelSpec
    keras_model : keras.Model
        Inputs in the order of ``spec.input_shapes``, output (B, T) probabilities.
    """

    def __init__(self, spec: ModelSpec, keras_model: keras.Model) -> None:
        self.spec, self.keras_model = spec, keras_model
        self._call = cache(self._compiled)
        self._path_gradients = cache(self._compiled_gradients)

    @cached_property
    def fast(self) -> FastNetwork | None:
        """The network as compiled loops, None if it has another wiring than they know."""
        wiring = read_wiring(self.keras_model)
        return None if wiring is None else FastNetwork(wiring)

    @cached_property
    def logit_model(self) -> keras.Model:
        """The network without the final sigmoid, with a copy of the weights; its sigmoid is the probability.

        Raises
        ------
        InputError
            If the network does not end in a dense layer with sigmoid activation.
        """
        import keras

        network = self.keras_model
        output = network.layers[-1]
        if not isinstance(output, keras.layers.Dense) or output.activation is not keras.activations.sigmoid:
            raise InputError(
                f"model {self.spec.name}: expected a network that ends in a dense layer with sigmoid activation, "
                f"got {type(output).__name__} {output.name!r}. Its logits are not defined."
            )
        linear = keras.layers.Dense(output.units, name=output.name)
        logits = linear(output.input)
        linear.set_weights(output.get_weights())
        return keras.Model(network.inputs, logits, name=f"{network.name}_logits")

    # --- full passes -----------------------------------------------------------------------------------------------

    def probabilities(
        self,
        seq: NDArray[Any],
        region: NDArray[Any] | None = None,
        landmarks: NDArray[Any] | None = None,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        output: str = "probability",
    ) -> Floats:
        """Return probabilities of windows.

        Parameters
        ----------
        seq : float32 array (B, L, 4) or uint8 array (B, L)
            One-hot, or codes; this decides for the others.
        region : float32 array (B, R, 4), uint8 array (B, R), or None
            RNA sense like ``seq``; None is "no information" everywhere.
        landmarks : float32 array (B, 8, K) beside one-hot windows, distances (B, 8) in nt beside codes, or None
            NaN and None are unknown.
        batch_size : int
            Windows per call of the network, at least 1.
        output : str
            ``"probability"``, or ``"logit"`` for what :meth:`logits` gives.

        Returns
        -------
        float32 array (B, T)
        """
        if batch_size < 1:
            raise InputError(f"batch size: expected at least 1, got {batch_size}.")
        call = self._call(output, seq.dtype == np.uint8)
        scores = np.empty((len(seq), len(self.spec.tasks)), dtype=np.float32)
        for start in range(0, len(seq), batch_size):
            part = slice(start, start + batch_size)
            arrays = (None if array is None else array[part] for array in (seq, region, landmarks))
            scores[part] = call(*arrays)
        return scores

    def logits(self, seq: NDArray[Any], *context: NDArray[Any] | None, batch_size: int = DEFAULT_BATCH_SIZE) -> Floats:
        """Return logits (B, T); parameters and errors as :meth:`probabilities`."""
        return self.probabilities(seq, *context, batch_size=batch_size, output="logit")

    def _compiled(self, output: str, from_codes: bool) -> Callable[..., Floats]:
        import tensorflow as tf

        network = self.keras_model if output == "probability" else self.logit_model
        table, spec = tf.constant(ONE_HOT_ROWS), self.spec
        signature = [
            tf.TensorSpec((None, shape[0]), tf.uint8)
            if from_codes and name != "landmarks"
            else tf.TensorSpec((None, *shape), tf.float32)
            for name, shape in spec.input_shapes.items()
        ]

        def forward(*arrays: Any) -> Any:
            tensors = [tf.gather(table, tf.cast(a, tf.int32)) if a.dtype == tf.uint8 else a for a in arrays]
            return network(tensors, training=False)

        compiled = tf.function(forward, input_signature=signature)

        def call(seq: NDArray[Any], region: NDArray[Any] | None, landmarks: NDArray[Any] | None) -> Floats:
            arrays = [seq]
            if spec.has_region:
                if region is None:
                    shape = (len(seq), spec.region_length)
                    region = np.full(shape, UNKNOWN, np.uint8) if from_codes else np.full((*shape, 4), 0.25, np.float32)
                arrays.append(region)
            if spec.has_landmarks:
                if landmarks is None:
                    landmarks = unknown_landmarks(len(seq), spec.landmark_bases)
                elif from_codes:
                    landmarks = encode_landmarks(landmarks, spec.landmark_bases)
                arrays.append(landmarks)
            return compiled(*(tf.constant(a) for a in arrays)).numpy()

        return call

    # --- gradients -------------------------------------------------------------------------------------------------

    def gradients(
        self,
        ends: Sequence[Floats],
        starts: Sequence[Floats],
        points: Floats,
        weights: Floats,
        task_indices: NDArray[np.int32],
        *,
        output: str = "probability",
    ) -> list[Floats]:
        """Return weighted sums of gradients along straight paths (B, N, ...), per input, in one call of the network.

        Parameters
        ----------
        ends, starts : float32 arrays (B or 1, ...)
            One per input of the network: where the paths end and start.
        points, weights : float32 arrays (P,)
            Positions on the path, 1 at its end, and their weights.
        task_indices : int32 array (N,)
        output : str
            ``"probability"`` or ``"logit"``.
        """
        import tensorflow as tf

        arrays = [tf.constant(array) for pair in zip(ends, starts, strict=True) for array in pair]
        call = self._path_gradients(len(task_indices), output)
        return [found.numpy() for found in call(*arrays, tf.constant(points), tf.constant(weights), task_indices)]

    def _compiled_gradients(self, n_tasks: int, output: str) -> Callable[..., Any]:
        import tensorflow as tf

        network = self.logit_model
        shapes = list(self.spec.input_shapes.values())
        windows = [tf.TensorSpec((None, *shape), tf.float32) for shape in shapes for _ in range(2)]
        vectors = [tf.TensorSpec((None,), tf.float32)] * 2

        def averaged(*arguments: Any) -> list[Any]:
            *arrays, points, weights, task_indices = arguments
            n_points = tf.shape(points)[0]
            along = tf.reshape(points, (1, -1, 1, 1))
            on_path = []
            for end, start, shape in zip(arrays[::2], arrays[1::2], shapes, strict=True):
                here = start[:, tf.newaxis] + along * (end - start)[:, tf.newaxis]
                on_path.append(tf.reshape(here, (-1, *shape)))
            # Only the inputs are watched: no gradient of the weights is computed.
            with tf.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
                tape.watch(on_path)
                value = tf.gather(network(on_path, training=False), task_indices, axis=1)
                if output == "probability":
                    value = tf.sigmoid(value)
                columns = tf.unstack(value, num=n_tasks, axis=1)
            maps = []
            for column in columns:
                gradients = tape.gradient(column, on_path, unconnected_gradients=tf.UnconnectedGradients.ZERO)
                by_point = [
                    tf.reshape(one, (-1, n_points, *shape)) for one, shape in zip(gradients, shapes, strict=True)
                ]
                maps.append([tf.einsum("bpld,p->bld", one, weights) for one in by_point])
            return [tf.stack(per_input, axis=1) for per_input in zip(*maps, strict=True)]

        signature = [*windows, *vectors, tf.TensorSpec((n_tasks,), tf.int32)]
        return tf.function(averaged, input_signature=signature)

    # --- windows and their alternatives ----------------------------------------------------------------------------

    def reference(
        self, seq_codes: Codes, region_codes: Codes | None = None, landmarks: Distances | None = None
    ) -> ReferenceState:
        """Pass reference windows through the network once, for :meth:`substitutions`; choose B by the state's size.

        Parameters
        ----------
        seq_codes : uint8 array (B, L)
        region_codes : uint8 array (B, R) or None
            None is "no information" everywhere; equal rows are computed once.
        landmarks : float array (B, 8) or None
            Distances in nt; NaN, or None for all, is unknown.
        """
        given = seq_codes, region_codes, landmarks
        if self.fast is None or not len(seq_codes):
            return ReferenceState(self.logits(*given), *given, None)
        starts = np.arange(len(seq_codes)) * self.spec.sequence_length
        passed = self.fast.windows(seq_codes.ravel(), starts, region_codes, landmarks, near=False)
        return ReferenceState(passed.logits, *given, passed)

    def neighbours(
        self,
        codes: Codes,
        starts: Ints,
        region_codes: Codes | None = None,
        landmarks: Distances | None = None,
    ) -> ReferenceState:
        """Return :meth:`reference` of windows of one stretch, sharing what neighbours have in common.

        Parameters
        ----------
        codes : uint8 array (N,)
            The stretch, RNA sense.
        starts : int array (B,)
            0-based index of each window's first base, within ``0 .. N - L``.
        region_codes, landmarks
            Of every window, as for :meth:`reference`.
        """
        length, begins = self.spec.sequence_length, np.asarray(starts).astype(np.int64)
        if begins.size and (begins.min() < 0 or begins.max() + length > len(codes)):
            raise InputError(f"windows: expected starts within 0..{len(codes) - length}, got others.")
        windows = codes[begins[:, None] + np.arange(length)]
        if self.fast is None or not len(begins):
            return self.reference(windows, region_codes, landmarks)
        passed = self.fast.windows(codes, begins, region_codes, landmarks, near=True)
        return ReferenceState(passed.logits, windows, region_codes, landmarks, passed)

    def substitutions(self, state: ReferenceState, site_index: Ints, position: Ints, alt_code: Ints) -> Floats:
        """Return the logits (M, T) of windows in which a few bases are replaced.

        Those of full passes up to the order of floating-point sums (about 1e-7 in probability); an alternative equal
        to its reference has exactly its reference's logits.

        Parameters
        ----------
        state : ReferenceState
        site_index, position : int arrays (M,)
            Which reference window, and the 0-based index in it, RNA sense, of the first changed base.
        alt_code : int array (M,) or (M, S)
            The code of the new base, or of the S new bases from ``position`` on (some may equal the reference).
        """
        site, position, alt = self._checked_alternatives(state, site_index, position, alt_code)
        if self.fast is not None and state.passed is not None and alt.shape[1] <= MAX_SPAN:
            return self.fast.alternatives(state.passed, state.seq_codes, site, position, alt)
        windows, columns = state.seq_codes[site], position[:, None] + np.arange(alt.shape[1])
        changed = (np.take_along_axis(windows, columns, axis=1) != alt).any(axis=1)
        np.put_along_axis(windows, columns, alt, axis=1)
        scores, rows = state.logits[site], site[changed]
        context = (None if one is None else one[rows] for one in (state.region_codes, state.landmarks))
        scores[changed] = self.logits(windows[changed], *context)
        return scores

    def _checked_alternatives(
        self, state: ReferenceState, site_index: Ints, position: Ints, alt_code: Ints
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Codes]:
        site, position, alt = np.asarray(site_index), np.asarray(position), np.asarray(alt_code)
        alt = alt[:, None] if alt.ndim == 1 else alt
        if site.ndim != 1 or position.shape != site.shape or alt.ndim != 2 or len(alt) != len(site):
            raise ShapeMismatchError(
                f"alternatives: expected site_index (M,), position (M,) and alt_code (M,) or (M, S), "
                f"got {site.shape}, {position.shape} and {np.shape(alt_code)}."
            )
        n, length = len(state.seq_codes), self.spec.sequence_length
        for expected, values, last in (
            (f"site_index within 0..{n - 1}", site, n - 1),
            (f"changed bases within the window of {length}", position, length - alt.shape[1]),
            ("base codes 0 to 4", alt, UNKNOWN),
        ):
            if values.size and (values.min() < 0 or values.max() > last):
                raise InputError(f"alternatives: expected {expected}, got others.")
        return site.astype(np.int64), position.astype(np.int64), alt.astype(np.uint8)

    # --- windows along a sequence ----------------------------------------------------------------------------------

    def along(
        self,
        seq: Codes,
        region: Codes | None = None,
        landmarks: Distances | None = None,
        *,
        n: int,
        step: int = 1,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Floats:
        """Return probabilities (n, T) of windows that follow each other at a fixed step.

        Parameters
        ----------
        seq : uint8 array (L + (n - 1) step,)
            Codes, RNA sense; window ``b`` begins at letter ``b * step``.
        region : uint8 array (R + (n - 1) step,) or None
            The track of region types in the same way; None is "no information" everywhere.
        landmarks : float array (n, 8) or None
            Distances of every window in nt, NaN = unknown.
        n, step : int
            Windows, and the distance of their starts in nt.
        batch_size : int
            Windows per call where whole windows are passed.
        """
        if self.fast is not None:
            return expit(self.fast.along(seq, region, landmarks, n, step))
        windows = sliding_window_view(seq, self.spec.sequence_length)[::step]
        tracks = None if region is None else sliding_window_view(region, self.spec.region_length)[::step]
        return self.probabilities(windows, tracks, landmarks, batch_size=batch_size)
