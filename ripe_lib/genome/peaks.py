"""Where the windows of peaks lie: on the middle, on the summit, or side by side along a long peak."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError, unknown_name
from ripe_lib.genome.intervals import NO_SUMMIT

CENTRES = ("middle", "summit")
TILES_PER_WINDOW = 3


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
        if self.centre not in CENTRES:
            raise unknown_name("centre", self.centre, CENTRES)
        if self.tile and self.centre == "summit":
            raise InputError("expected either windows along the whole peak (tile) or on its summit, got both.")

    def split(
        self, frame: pd.DataFrame, summits: NDArray[np.int64] | None
    ) -> tuple[pd.DataFrame, NDArray[np.int64] | None]:
        """Return the intervals whose windows are to be scored.

        Parameters
        ----------
        frame : DataFrame (B rows)
            0-based, half-open; strands settled.
        summits : int64 array (B,), optional
            nt from ``start``, -1 for none.

        Returns
        -------
        DataFrame, int64 array (B,) or None
            The intervals, in the order of ``frame``, and the first row of each of ``frame``'s; None if they are the
            same number.

        Raises
        ------
        InputError
            If summits are wanted and there is none, or one lies outside its interval.
        """
        start, end = frame["start"].to_numpy(), frame["end"].to_numpy()
        has_summit = np.zeros(len(frame), dtype=bool) if summits is None else summits != NO_SUMMIT
        self.n_intervals += len(frame)
        self.n_long += int((end - start > self.length).sum())
        self.n_summits += int(has_summit.sum())
        if self.centre == "summit":
            return _on_summits(frame, summits, has_summit, known=self.n_summits), None
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


def _on_summits(
    frame: pd.DataFrame, summits: NDArray[np.int64] | None, has_summit: NDArray[np.bool_], *, known: int
) -> pd.DataFrame:
    if summits is None or not known:
        raise InputError(
            "--centre summit: expected summits (column 10 of narrowPeak), got none. Use --centre middle, or --tile."
        )
    start, end = frame["start"].to_numpy(), frame["end"].to_numpy()
    beyond = has_summit & (summits >= end - start)
    if beyond.any():
        row = int(np.argmax(beyond))
        place = f"{frame['chrom'].iloc[row]}:{start[row]}-{end[row]}"
        raise InputError(f"interval {place}: expected a summit within it, got {summits[row]}. Check column 10.")
    at = start + np.where(has_summit, summits, 0)
    return frame.assign(start=np.where(has_summit, at, start), end=np.where(has_summit, at + 1, end))
