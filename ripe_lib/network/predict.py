"""Windows or intervals in, probabilities out.

The windows of intervals lie on their middle, on their summit, or side by side along a long one (:class:`PeakWindows`).

Whatever the batch size, results agree to 1e-6 (floating-point sums are ordered differently for different shapes,
nothing else differs).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError, check_known
from ripe_lib.genome.encoding import Codes
from ripe_lib.genome.intervals import NO_SUMMIT, read_intervals
from ripe_lib.genome.windows import WindowMaker
from ripe_lib.network.inputs import Distances, checked_codes, checked_windows
from ripe_lib.network.load import Model
from ripe_lib.network.network import DEFAULT_BATCH_SIZE, Floats

if TYPE_CHECKING:
    from ripe_lib.genome.annotation import Annotation
    from ripe_lib.genome.fasta import Genome
    from ripe_lib.genome.intervals import IntervalSource, PathLike

T = TypeVar("T")

INTERVALS_PER_CHUNK = 8192
CENTRES = ("middle", "summit")
TILES_PER_WINDOW = 3


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
        Columns in ``model.tasks`` order.

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
    """Predict binding probabilities (B, T) for windows given as codes; errors and batches as :func:`predict`.

    Parameters
    ----------
    model : Model
    seq_codes, region_codes : uint8 array (B, L), (B, R) or None
        0 to 4; None is "no information" everywhere.
    landmarks : float array (B, 8) or None
        Signed distances in nt (:meth:`ripe_lib.genome.annotation.Annotation.landmark_distances`), NaN = unknown.
    batch_size : int
    """
    codes = checked_codes(model.spec, seq_codes, region_codes, landmarks)
    return model.network.probabilities(*codes, batch_size=batch_size)


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
    batch_size, chunk_size : int
        Windows per network call, and intervals per chunk.
    placing : PeakWindows, optional
        Where the windows lie; the default is one on the middle of each interval. Where there are several, an
        interval's score is the best of them, for each task by itself.

    Yields
    ------
    DataFrame
        ``chrom start end``, ``name`` if the first chunk has names, ``strand`` (the one used), and one float32 column
        per task; rows in the order of the input.
    """
    maker = WindowMaker(model.spec, fasta_file, gtf_file)
    chunks = read_intervals(intervals, chunk_size=chunk_size, summits=placing is not None)

    def arrays() -> Iterator[tuple[Any, ...]]:
        for chunk in chunks:
            frame, contigs = maker.settled(chunk)
            placed, first = frame, None
            if placing is not None:
                placed, first = placing.split(frame)
            if first is not None:
                contigs = np.repeat(contigs, np.diff(first, append=len(placed)))
            yield (frame, first, *maker.codes_of(placed, contigs))

    columns: list[str] = []
    for frame, first, *codes in in_background(arrays()):
        if not columns:
            has_names = bool((frame["name"] != ".").any())
            columns = ["chrom", "start", "end", *(["name"] if has_names else []), "strand"]
        probabilities = model.network.probabilities(*codes, batch_size=batch_size)  # our own: nothing to check
        if first is not None:
            probabilities = np.maximum.reduceat(probabilities, first, axis=0)
        yield pd.concat([frame[columns], pd.DataFrame(probabilities, columns=model.tasks, index=frame.index)], axis=1)


@dataclass
class PeakWindows:
    """How intervals become windows; counts what it meets on the way.

    Attributes
    ----------
    length : int
        Window length in nt.
    centre : str
        ``"middle"`` of the interval, or its ``"summit"`` (column 10 of narrowPeak; the middle where there is none).
    tile : bool
        An interval longer than the window gets windows along all of it, a third of a window apart.
    n_intervals, n_long, n_summits : int
        Intervals seen so far, those longer than the window, those with a summit.
    """

    length: int
    centre: str = "middle"
    tile: bool = False
    n_intervals: int = field(default=0, init=False)
    n_long: int = field(default=0, init=False)
    n_summits: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        check_known("centre", self.centre, CENTRES)
        if self.tile and self.centre == "summit":
            raise InputError("expected either windows along the whole peak (tile) or on its summit, got both.")

    def split(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.int64] | None]:
        """Return the intervals whose windows are to be scored, and the first of each given one; None: one of each.

        A column ``summit`` is in nt from the start, -1 for none; an :class:`~ripe_lib.errors.InputError` if summits are
        wanted and there is none, or one lies outside its interval.
        """
        start, end = frame["start"].to_numpy(), frame["end"].to_numpy()
        summits = frame["summit"].to_numpy() if "summit" in frame else np.full(len(frame), NO_SUMMIT)
        self.n_intervals += len(frame)
        self.n_long += int((end - start > self.length).sum())
        self.n_summits += int((summits != NO_SUMMIT).sum())
        if self.centre == "summit":
            return self._on_summits(frame, summits), None
        if not self.tile or not (end - start > self.length).any():
            return frame, None
        step = max(1, self.length // TILES_PER_WINDOW)
        n_tiles = np.where(end - start > self.length, 1 + -(-(end - start - self.length) // step), 1)
        first = np.cumsum(n_tiles) - n_tiles
        tiles = frame.iloc[np.repeat(np.arange(len(frame)), n_tiles)].reset_index(drop=True)
        long = np.repeat(n_tiles > 1, n_tiles)
        at = np.repeat(start, n_tiles) + step * (np.arange(len(tiles)) - np.repeat(first, n_tiles))
        at = np.minimum(at, np.repeat(end, n_tiles) - self.length)  # the last one ends with the peak
        tiles.loc[long, "start"] = at[long]
        tiles.loc[long, "end"] = at[long] + self.length
        return tiles, first

    def _on_summits(self, frame: pd.DataFrame, summits: NDArray[np.int64]) -> pd.DataFrame:
        if not self.n_summits:
            raise InputError(
                "--centre summit: expected summits (column 10 of narrowPeak), got none. Use --centre middle, or --tile."
            )
        start, end, has_summit = frame["start"].to_numpy(), frame["end"].to_numpy(), summits != NO_SUMMIT
        beyond = has_summit & (summits >= end - start)
        if beyond.any():
            row = int(np.argmax(beyond))
            place = f"{frame['chrom'].iloc[row]}:{start[row]}-{end[row]}"
            raise InputError(f"interval {place}: expected a summit within it, got {summits[row]}. Check column 10.")
        at = start + summits
        return frame.assign(start=np.where(has_summit, at, start), end=np.where(has_summit, at + 1, end))

    def remark(self) -> str:
        """Return what a user should know about where the windows lie, or nothing."""
        parts = []
        if self.n_long and self.centre == "middle":
            seen = f"{self.n_long:,} of {self.n_intervals:,} intervals are longer than the window of {self.length} nt"
            if self.tile:
                parts.append(f"{seen}: the scores are those of the best window, for each task by itself")
            else:
                parts.append(f"{seen}: only their central {self.length} nt are seen. Best window of each: --tile")
        if self.centre == "middle" and not self.tile and self.n_summits:
            parts.append(f"windows are centred on the middle; for the {self.n_summits:,} summits: --centre summit")
        if self.centre == "summit" and self.n_summits < self.n_intervals:
            parts.append(f"{self.n_intervals - self.n_summits:,} intervals have no summit: centred on the middle")
        return "; ".join(parts)


def in_background(items: Iterable[T]) -> Iterator[T]:
    """Iterate in another thread, one item ahead; its exception is raised here."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1, thread_name_prefix="ripe-windows") as thread:
        ahead = thread.submit(next, iterator, end)
        while (item := ahead.result()) is not end:
            ahead = thread.submit(next, iterator, end)
            yield item  # type: ignore[misc]
