"""Calling sites: local maxima of a track above a threshold.

A *run* is a maximal stretch of consecutive bins at or above the threshold. Its highest bin is a peak (of a plateau the
middle bin); further peaks are the next highest local maxima of the run that are at least ``distance`` from every
peak before (ties: the first along the contig). Between two peaks of a run the border is the lowest bin,
which goes to the later site. So sites never overlap, each has one peak, and what is called does not depend on how the
track was cut into pieces.

Thresholds are given, or follow from a false-positive rate: the share of bins of dinucleotide-shuffled sequence
that reach the threshold (:func:`thresholds_from_null`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.scan.network import Array


class Site(NamedTuple):
    """One site of one task, in bins of its contig and strand.

    ``first`` and ``end`` delimit it (half-open), ``peak`` is its highest bin and ``score`` the probability there.
    """

    task: int
    first: int
    end: int
    peak: int
    score: float


class SiteCaller:
    """Call the sites of one strand of one contig while its track arrives in pieces.

    Parameters
    ----------
    thresholds : float array (T,)
        NaN calls nothing for that task.
    distance : int
        Least distance of two peaks of a run, in bins.
    """

    def __init__(self, thresholds: NDArray[np.float64], distance: int) -> None:
        self._thresholds = np.asarray(thresholds, dtype=np.float64)
        self._distance = max(1, distance)
        self._open: dict[int, tuple[int, list[Array]]] = {}  # task -> first bin and pieces of the unfinished run
        self._next: int | None = None

    def push(self, first: int, scores: Array) -> Iterator[Site]:
        """Take the bins ``first ...`` with their scores (n, T); yield the sites that are finished.

        Bins must come in ascending order; a gap ends all runs.
        """
        if self._next is not None and first != self._next:
            if first < self._next:
                raise ValueError(f"expected bin {self._next} or a later one, got {first}")
            yield from self.finish()
        self._next = first + len(scores)
        above = scores >= self._thresholds  # NaN: never
        for task in np.flatnonzero(above.any(axis=0) | self._is_open(scores.shape[1])):
            yield from self._push_task(int(task), first, scores[:, task], above[:, task])

    def finish(self) -> Iterator[Site]:
        """End all runs; yield their sites."""
        for task in sorted(self._open):
            first, pieces = self._open.pop(task)
            yield from self._sites_of_run(task, first, np.concatenate(pieces))
        self._next = None

    def _is_open(self, n_tasks: int) -> NDArray[np.bool_]:
        is_open = np.zeros(n_tasks, dtype=bool)
        is_open[list(self._open)] = True
        return is_open

    def _push_task(self, task: int, first: int, scores: Array, above: NDArray[np.bool_]) -> Iterator[Site]:
        edges = np.flatnonzero(np.diff(above, prepend=False, append=False))
        runs = edges.reshape(-1, 2).tolist()
        if task in self._open and not (runs and runs[0][0] == 0):
            begin, pieces = self._open.pop(task)
            yield from self._sites_of_run(task, begin, np.concatenate(pieces))
        for start, end in runs:
            if start == 0 and task in self._open:
                begin, pieces = self._open.pop(task)
                pieces.append(scores[:end].copy())
            else:
                begin, pieces = first + start, [scores[start:end].copy()]
            if end == len(scores):
                self._open[task] = (begin, pieces)
            else:
                yield from self._sites_of_run(task, begin, np.concatenate(pieces))

    def _sites_of_run(self, task: int, first: int, scores: Array) -> Iterator[Site]:
        peaks = sorted(_peaks(scores, self._distance))
        start = 0
        for number, peak in enumerate(peaks):
            end = len(scores)
            if number + 1 < len(peaks):
                following = peaks[number + 1]
                end = peak + 1 + int(np.argmin(scores[peak + 1 : following + 1]))
            yield Site(task, first + start, first + end, first + peak, float(scores[peak]))
            start = end


def _peaks(scores: Array, distance: int) -> list[int]:
    # Equal neighbours form one plateau; it is a maximum if both sides are lower, and its middle bin stands for it.
    firsts = np.flatnonzero(np.diff(scores, prepend=np.inf) != 0)
    lasts = np.append(firsts[1:], len(scores)) - 1
    heights = scores[firsts]
    is_maximum = (np.diff(heights, prepend=-np.inf) > 0) & (np.diff(heights, append=-np.inf) < 0)
    middles, heights = ((firsts + lasts) // 2)[is_maximum], heights[is_maximum]
    peaks: list[int] = []
    free = np.ones(len(scores), dtype=bool)
    for place in middles[np.lexsort((middles, -heights))].tolist():
        if free[place]:
            peaks.append(place)
            free[max(0, place - distance + 1) : place + distance] = False
    return peaks


def thresholds_from_null(scores: Array, rate: float) -> NDArray[np.float64]:
    """Return the lowest score per task that at most ``rate`` of the null scores reach.

    Parameters
    ----------
    scores : float32 array (n, T)
        Of shuffled sequence.
    rate : float
        Between 0 and 1; ``n`` must be at least ``1 / rate``.

    Returns
    -------
    float64 array (T,)
        Thresholds for ``score >= threshold``: just above the highest null score that may not pass.
    """
    if not 0 < rate < 1:
        raise InputError(f"false-positive rate: expected a number between 0 and 1, got {rate}.")
    allowed = int(rate * len(scores))
    if allowed < 1:
        raise InputError(
            f"false-positive rate {rate}: needs at least {int(np.ceil(1 / rate))} bins of shuffled sequence, "
            f"got {len(scores)}."
        )
    ordered = np.sort(scores, axis=0)[::-1]
    return np.nextafter(ordered[allowed], np.float32(2)).astype(np.float64)
