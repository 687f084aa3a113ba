"""Windows in, probabilities out: the batched call of a network.

The compiled function of a model is made once and kept in ``model.cache``. Whatever the batch size, results agree to
1e-6 (floating-point sums are ordered differently for different shapes, nothing else differs).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, ShapeMismatchError, unknown_name
from ripe_lib.genome.encoding import ONE_HOT_ROWS, UNKNOWN, Codes, OneHot
from ripe_lib.genome.landmarks import encode_landmarks, unknown_landmarks
from ripe_lib.network.load import Model
from ripe_lib.network.spec import N_LANDMARKS

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from ripe_lib.genome.peaks import PeakWindows

T = TypeVar("T")

DEFAULT_BATCH_SIZE = 1024
INTERVALS_PER_CHUNK = 8192
INPUT_NAMES = ("seq", "region", "landmarks")

Probabilities = NDArray[np.float32]
Distances = NDArray[np.floating]


def predict(model: Model, windows: Any, *, batch_size: int = DEFAULT_BATCH_SIZE) -> Probabilities:
    """Predict binding probabilities for one-hot windows.

    Parameters
    ----------
    model : Model
        From :func:`ripe_lib.load_model`.
    windows : Windows, dict, sequence of up to three arrays, or array
        ``seq`` (B, L, 4), ``region`` (B, R, 4) and ``landmarks`` (B, 8, K), float, RNA sense, in this order. ``region``
        and ``landmarks`` may be missing or None: then they are unknown (0.25, or 1/K, everywhere). A bare array is
        ``seq``. What a model has no input for is not looked at.
    batch_size : int
        Windows per network call.

    Returns
    -------
    float32 array (B, T)
        Probabilities, columns in ``model.tasks`` order.

    Raises
    ------
    ShapeMismatchError
        If an array does not fit the model; the message gives both shapes.
    InputError
        If an array holds NaN or infinite values, or is not numeric.
    """
    return run_batches(model, compiled_call(model), *checked_windows(model, windows), batch_size=batch_size)


def predict_codes(
    model: Model,
    seq_codes: Codes,
    region_codes: Codes | None = None,
    landmarks: Distances | None = None,
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> Probabilities:
    """Predict binding probabilities for windows given as codes, one byte per position.

    Parameters
    ----------
    model : Model
    seq_codes : uint8 array (B, L)
    region_codes : uint8 array (B, R) or None
        None is "no information" everywhere.
    landmarks : float array (B, 8) or None
        Signed distances in nt (:meth:`ripe_lib.genome.annotation.Annotation.landmark_distances`), NaN = unknown.
    batch_size : int

    Returns
    -------
    float32 array (B, T)

    Raises
    ------
    ShapeMismatchError, InputError
        As :func:`predict`; codes must be 0 to 4.
    """
    codes = checked_codes(model, seq_codes, region_codes, landmarks)
    return run_batches(model, compiled_codes_call(model), *codes, batch_size=batch_size)


def predict_intervals(
    model: Model,
    intervals: Any,
    *,
    fasta_file: Any,
    gtf_file: Any = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    chunk_size: int = INTERVALS_PER_CHUNK,
    placing: PeakWindows | None = None,
) -> Iterator[pd.DataFrame]:
    """Predict binding for intervals of a genome, piece by piece with flat memory.

    The windows of the next pieces are made in a background thread while the network runs.

    Parameters
    ----------
    model : Model
    intervals : BED path, DataFrame or list of tuples
        See :func:`ripe_lib.genome.intervals.read_intervals`.
    fasta_file, gtf_file
        As :func:`ripe_lib.make_windows`.
    batch_size : int
        Windows per network call.
    chunk_size : int
        Intervals per piece.
    placing : PeakWindows, optional
        Where the windows lie; the default is one on the middle of each interval. Where there are several, an
        interval's score is the best of them, for each task by itself.

    Yields
    ------
    DataFrame
        ``chrom start end``, ``name`` if the first piece has names, ``strand`` (the one used), and one float32 column
        per task; rows in the order of the input.

    Raises
    ------
    RipeError
        For anything wrong with the input; the message names file and line.
    """
    from ripe_lib.genome.intervals import read_intervals
    from ripe_lib.genome.windows import WindowMaker

    maker = WindowMaker(model.spec, fasta_file, gtf_file)
    pieces = read_intervals(intervals, chunk_size=chunk_size, summits=placing is not None)

    def arrays() -> Iterator[tuple[Any, ...]]:
        for piece in pieces:
            frame = maker.prepare(piece)
            placed, first = (frame, None) if placing is None else placing.split(frame, _summits_of(piece))
            yield (frame, first, *maker.codes(placed))

    columns: list[str] = []
    for frame, first, *codes in in_background(arrays()):
        if not columns:
            has_names = bool((frame["name"] != ".").any())
            columns = ["chrom", "start", "end", *(["name"] if has_names else []), "strand"]
        probabilities = predict_codes(model, *codes, batch_size=batch_size)
        if first is not None:
            probabilities = np.maximum.reduceat(probabilities, first, axis=0)
        yield labelled(frame[columns], model.tasks, probabilities)


def _summits_of(piece: pd.DataFrame) -> NDArray[np.int64] | None:
    return piece["summit"].to_numpy() if "summit" in piece else None


def labelled(frame: pd.DataFrame, tasks: list[str], probabilities: Probabilities) -> pd.DataFrame:
    """Return a table with one column per task after the columns of ``frame``."""
    import pandas as pd

    scores = pd.DataFrame(probabilities, columns=tasks, index=frame.index)
    return pd.concat([frame, scores], axis=1)


def in_background(items: Iterable[T], *, depth: int = 2) -> Iterator[T]:
    """Iterate in another thread, at most ``depth`` items ahead; its exception is raised here."""
    ahead: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(maxsize=depth)
    abandoned = threading.Event()

    def put(item: T | None, error: BaseException | None) -> bool:
        while not abandoned.is_set():
            try:
                ahead.put((item, error), timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item, None):
                    return
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the thread that asked
            put(None, error)
        else:
            put(None, StopIteration())

    thread = threading.Thread(target=work, name="ripe-windows", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ahead.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        abandoned.set()
        thread.join()


def logit_model(model: Model) -> keras.Model:
    """Return the network without the final sigmoid: same inputs, output (B, T) logits.

    The probabilities are the sigmoid of these. The weights are copied when this is first called for a model.

    Raises
    ------
    InputError
        If the network does not end in a dense layer with sigmoid activation.
    """
    if "logit_model" not in model.cache:
        import keras

        network = model.keras_model
        output = network.layers[-1]
        if not isinstance(output, keras.layers.Dense) or output.activation is not keras.activations.sigmoid:
            raise InputError(
                f"model {model.name}: expected a network that ends in a dense layer with sigmoid activation, "
                f"got {type(output).__name__} {output.name!r}. Its logits are not defined."
            )
        linear = keras.layers.Dense(output.units, name=output.name)
        logits = linear(output.input)
        linear.set_weights(output.get_weights())
        model.cache["logit_model"] = keras.Model(network.inputs, logits, name=f"{network.name}_logits")
    return model.cache["logit_model"]


def full_logits(
    model: Model,
    seq_codes: Codes,
    region_codes: Codes | None = None,
    landmarks: Distances | None = None,
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> NDArray[np.float32]:
    """Return logits (B, T) of windows given as codes, by full passes of the compiled network.

    Parameters and errors as :func:`predict_codes`.
    """
    codes = checked_codes(model, seq_codes, region_codes, landmarks)
    if "logit_codes" not in model.cache:
        model.cache["logit_codes"] = _compile(model, logit_model(model), from_codes=True)
    return run_batches(model, model.cache["logit_codes"], *codes, batch_size=batch_size)


def run_batches(
    model: Model,
    call: Callable[..., Any],
    seq: NDArray[Any],
    region: NDArray[Any] | None,
    landmarks: NDArray[Any] | None = None,
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> Probabilities:
    """Apply a compiled call to slices of ready arrays; what is None is left to the call.

    Parameters
    ----------
    model : Model
    call : callable
        From :func:`compiled_call` or :func:`compiled_codes_call`, or one of their kind.
    seq, region, landmarks : arrays (B, ...)
        As the call takes them.
    batch_size : int
        Windows per call.

    Raises
    ------
    InputError
        For a batch size below 1.
    """
    if batch_size < 1:
        raise InputError(f"batch size: expected at least 1, got {batch_size}.")
    output = np.empty((len(seq), len(model.tasks)), dtype=np.float32)
    for part in _slices(len(seq), batch_size):
        output[part] = call(*(None if array is None else array[part] for array in (seq, region, landmarks)))
    return output


def _slices(length: int, batch_size: int) -> Iterator[slice]:
    for start in range(0, length, batch_size):
        yield slice(start, min(start + batch_size, length))


# --- compiled calls ------------------------------------------------------------------------------------------------


def compiled_call(model: Model) -> Callable[..., NDArray[np.float32]]:
    """Return ``f(seq (B, L, 4), region (B, R, 4) or None, landmarks (B, 8, K) or None) -> (B, T)``."""
    if "predict" not in model.cache:
        model.cache["predict"] = _compile(model, model.keras_model, from_codes=False)
    return model.cache["predict"]


def compiled_codes_call(model: Model) -> Callable[..., NDArray[np.float32]]:
    """Return ``f(seq_codes (B, L), region_codes (B, R) or None, distances (B, 8) or None) -> (B, T)``."""
    if "predict_codes" not in model.cache:
        model.cache["predict_codes"] = _compile(model, model.keras_model, from_codes=True)
    return model.cache["predict_codes"]


def _compile(model: Model, network: keras.Model, *, from_codes: bool) -> Callable[..., Any]:
    import tensorflow as tf

    table = tf.constant(ONE_HOT_ROWS)
    spec = model.spec
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

    def call(
        seq: NDArray[Any], region: NDArray[Any] | None, landmarks: NDArray[Any] | None = None
    ) -> NDArray[np.float32]:
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


# --- checks at the door --------------------------------------------------------------------------------------------


def checked_windows(model: Model, windows: Any) -> tuple[OneHot, OneHot | None, OneHot | None]:
    """Return ``(seq, region or None, landmarks or None)`` as float32 arrays that fit the model."""
    given = _unpack(windows)
    shapes = model.spec.input_shapes
    checked = {
        name: _checked_array(model, name, given[name], shapes[name])
        for name in shapes
        if name == "seq" or given.get(name) is not None
    }
    _check_same_number(model, checked)
    return checked["seq"], checked.get("region"), checked.get("landmarks")


def checked_codes(
    model: Model, seq_codes: Any, region_codes: Any, landmarks: Any = None
) -> tuple[Codes, Codes | None, Distances | None]:
    """Return ``(seq_codes, region_codes or None, landmark distances or None)`` as arrays that fit the model."""
    spec = model.spec
    checked: dict[str, NDArray[Any]] = {"seq": _checked_code_array(model, "seq codes", seq_codes, spec.sequence_length)}
    if region_codes is not None and spec.has_region:
        checked["region"] = _checked_code_array(model, "region codes", region_codes, spec.region_length)
    if landmarks is not None and spec.has_landmarks:
        distances = np.asarray(landmarks, dtype=np.float64)
        if distances.ndim != 2 or distances.shape[1] != N_LANDMARKS:
            raise ShapeMismatchError(
                f"model {model.name}: landmark distances: expected shape (B, {N_LANDMARKS}), got {distances.shape}."
            )
        checked["landmarks"] = distances
    _check_same_number(model, checked)
    return checked["seq"], checked.get("region"), checked.get("landmarks")


def _unpack(windows: Any) -> dict[str, Any]:
    if isinstance(windows, Mapping):
        for key in windows:
            if key not in INPUT_NAMES:
                raise unknown_name("model input", str(key), INPUT_NAMES)
        if "seq" not in windows:
            raise InputError("model inputs: expected an array 'seq', got none.")
        return dict(windows)
    if hasattr(windows, "seq"):
        return {name: getattr(windows, name, None) for name in INPUT_NAMES}
    if isinstance(windows, list | tuple) and 1 <= len(windows) <= len(INPUT_NAMES):
        return dict(zip(INPUT_NAMES, windows, strict=False))
    return {"seq": windows}


def _checked_array(model: Model, name: str, array: Any, shape: tuple[int, int]) -> OneHot:
    try:
        converted = np.asarray(array, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"model {model.name}: input {name!r}: expected an array of numbers ({error}).") from error
    if converted.shape[1:] != shape:
        raise ShapeMismatchError(
            f"model {model.name}: input {name!r}: expected shape (B, {shape[0]}, {shape[1]}), got {converted.shape}. "
            "Make windows with: ripe_lib.make_windows(..., spec=model.spec)"
        )
    # One pass without a temporary array; only a bad input pays for finding out where.
    with np.errstate(all="ignore"):
        total = converted.sum(dtype=np.float64)
    if not np.isfinite(total):
        rows = np.flatnonzero(~np.isfinite(converted).all(axis=(1, 2)))
        if rows.size:
            raise InputError(
                f"model {model.name}: input {name!r}: expected finite numbers, got NaN or infinite values in "
                f"{rows.size} of {len(converted)} windows (first: row {rows[0]}). Unknown bases are 0.25 each."
            )
    return converted


def _checked_code_array(model: Model, name: str, array: Any, length: int) -> Codes:
    converted = np.asarray(array)
    if converted.dtype != np.uint8:
        raise InputError(f"model {model.name}: {name}: expected uint8 codes, got {converted.dtype}.")
    if converted.ndim != 2 or converted.shape[1] != length:
        raise ShapeMismatchError(f"model {model.name}: {name}: expected shape (B, {length}), got {converted.shape}.")
    if converted.size and converted.max() > 4:
        raise InputError(f"model {model.name}: {name}: expected codes 0 to 4, got {converted.max()}.")
    return converted


def _check_same_number(model: Model, arrays: dict[str, NDArray[Any]]) -> None:
    if len({len(array) for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ShapeMismatchError(f"model {model.name}: expected as many windows of every input, got {shapes}.")
