"""Windows or intervals in, probabilities out.

Whatever the batch size, results agree to 1e-6 (floating-point sums are ordered differently for different shapes,
nothing else differs).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ripe_lib.genome.encoding import Codes
from ripe_lib.network.inputs import Distances, checked_codes, checked_windows
from ripe_lib.network.load import Model
from ripe_lib.network.network import DEFAULT_BATCH_SIZE, Floats

if TYPE_CHECKING:
    import pandas as pd

    from ripe_lib.genome.annotation import Annotation
    from ripe_lib.genome.fasta import Genome
    from ripe_lib.genome.intervals import IntervalSource, PathLike
    from ripe_lib.genome.peaks import PeakWindows

T = TypeVar("T")

INTERVALS_PER_CHUNK = 8192


def predict(model: Model, windows: Any, *, batch_size: int = DEFAULT_BATCH_SIZE) -> Floats:
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
        Floats, columns in ``model.tasks`` order.

    Raises
    ------
    ShapeMismatchError
        If an array does not fit the model; the message gives both shapes.
    InputError
        If an array holds NaN or infinite values, or is not numeric.
    """
    return model.network.probabilities(*checked_windows(model.spec, windows), batch_size=batch_size)


def predict_codes(
    model: Model,
    seq_codes: Codes,
    region_codes: Codes | None = None,
    landmarks: Distances | None = None,
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> Floats:
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
    codes = checked_codes(model.spec, seq_codes, region_codes, landmarks)
    return model.network.probabilities(*codes, batch_size=batch_size)


def full_logits(
    model: Model,
    seq_codes: Codes,
    region_codes: Codes | None = None,
    landmarks: Distances | None = None,
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> Floats:
    """Return logits (B, T), by full passes; parameters and errors as :func:`predict_codes`."""
    codes = checked_codes(model.spec, seq_codes, region_codes, landmarks)
    return model.network.logits(*codes, batch_size=batch_size)


def predict_intervals(
    model: Model,
    intervals: IntervalSource,
    *,
    fasta_file: PathLike | Genome,
    gtf_file: PathLike | Annotation | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    chunk_size: int = INTERVALS_PER_CHUNK,
    placing: PeakWindows | None = None,
) -> Iterator[pd.DataFrame]:
    """Predict binding for intervals of a genome, chunk by chunk with flat memory.

    The windows of the next chunks are made in a background thread while the network runs.

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
        Intervals per chunk.
    placing : PeakWindows, optional
        Where the windows lie; the default is one on the middle of each interval. Where there are several, an
        interval's score is the best of them, for each task by itself.

    Yields
    ------
    DataFrame
        ``chrom start end``, ``name`` if the first chunk has names, ``strand`` (the one used), and one float32 column
        per task; rows in the order of the input.

    Raises
    ------
    RipeError
        For anything wrong with the input; the message names file and line.
    """
    from ripe_lib.genome.intervals import read_intervals
    from ripe_lib.genome.windows import WindowMaker

    maker = WindowMaker(model.spec, fasta_file, gtf_file)
    chunks = read_intervals(intervals, chunk_size=chunk_size, summits=placing is not None)

    def arrays() -> Iterator[tuple[Any, ...]]:
        for chunk in chunks:
            frame = maker.prepare(chunk)
            placed, first = (frame, None) if placing is None else placing.split(frame, _summits_of(chunk))
            yield (frame, first, *maker.codes(placed))

    columns: list[str] = []
    for frame, first, *codes in in_background(arrays()):
        if not columns:
            has_names = bool((frame["name"] != ".").any())
            columns = ["chrom", "start", "end", *(["name"] if has_names else []), "strand"]
        probabilities = predict_codes(model, *codes, batch_size=batch_size)
        if first is not None:
            probabilities = np.maximum.reduceat(probabilities, first, axis=0)
        yield _labelled(frame[columns], model.tasks, probabilities)


def _summits_of(chunk: pd.DataFrame) -> NDArray[np.int64] | None:
    return chunk["summit"].to_numpy() if "summit" in chunk else None


def _labelled(frame: pd.DataFrame, tasks: list[str], probabilities: Floats) -> pd.DataFrame:
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
