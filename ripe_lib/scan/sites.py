"""Calling sites: local maxima of a track above a threshold.

Bins at or above the threshold with less than ``distance`` between them belong to one *run*. Its highest bin is a peak
(of a plateau the middle bin); further peaks are the next highest local maxima above the threshold that are at least
``distance`` from every peak before (ties: the first along the contig). Between two peaks of a run the border is
the lowest bin. A site reaches from the first to the last bin above the threshold between its borders. So sites never
overlap, each has one peak, and what is called does not depend on how the track was cut into pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.network.network import Floats

DECIMALS = 6  # of scores that are compared with each other


class Site(NamedTuple):
    """One site of one task, in bins of its contig and strand, half-open; ``score``: of the peak, to six decimals."""

    task: int
    first: int
    end: int
    peak: int
    score: float


@dataclass
class _Run:
    """Bins of one task from the first above the threshold on; ``end`` is after the last one above it."""

    first: int
    end: int
    pieces: list[Floats]


class SiteCaller:
    """Call the sites of one strand of one contig while its track arrives in pieces.

    ``thresholds`` (T,): NaN calls nothing for a task; ``distance``: least one of two peaks, and of two runs, in bins.
    """

    def __init__(self, thresholds: NDArray[np.float64], distance: int) -> None:
        self._thresholds = np.asarray(thresholds, dtype=np.float64)
        self._distance = max(1, distance)
        self._open: dict[int, _Run] = {}  # by task
        self._next: int | None = None

    def push(self, first: int, scores: Floats) -> Iterator[Site]:
        """Take the bins ``first ...`` with their scores (n, T); yield the sites that are finished.

        Bins must come in ascending order; a gap in the bins ends all runs.
        """
        if self._next is not None and first != self._next:
            if first < self._next:
                raise ValueError(f"expected bin {self._next} or a later one, got {first}")
            yield from self.finish()
        self._next = first + len(scores)
        above = scores >= self._thresholds  # NaN: never
        active = above.any(axis=0)
        active[list(self._open)] = True
        for task in np.flatnonzero(active).tolist():
            yield from self._push_task(task, first, scores[:, task], above[:, task])

    def finish(self) -> Iterator[Site]:
        """End all runs; yield their sites."""
        for task in sorted(self._open):
            yield from self._sites_of_run(task, self._open.pop(task))
        self._next = None

    def _push_task(self, task: int, first: int, scores: Floats, above: NDArray[np.bool_]) -> Iterator[Site]:
        run, copied = self._open.pop(task, None), 0  # scores[:copied] are in the run
        for start, end in np.flatnonzero(np.diff(above, prepend=False, append=False)).reshape(-1, 2).tolist():
            if run is not None and first + start - run.end >= self._distance:
                yield from self._sites_of_run(task, run)
                run = None
            if run is None:
                run, copied = _Run(first + start, first + start, []), start
            run.pieces.append(scores[copied:end].copy())
            run.end, copied = first + end, end
        if run is None:
            return
        if first + len(scores) - run.end >= self._distance:
            yield from self._sites_of_run(task, run)
        else:
            run.pieces.append(scores[copied:].copy())
            self._open[task] = run

    def _sites_of_run(self, task: int, run: _Run) -> Iterator[Site]:
        scores = np.concatenate(run.pieces)[: run.end - run.first]
        above = scores >= self._thresholds[task]
        # The piece a bin was computed in may move its last digits; which bin is the highest must not hang on that.
        scores = np.round(scores, DECIMALS)
        peaks = sorted(_peaks(np.where(above, scores, -np.inf), self._distance))
        borders = [a + 1 + int(np.argmin(scores[a + 1 : b + 1])) for a, b in pairwise(peaks)]
        for peak, (start, end) in zip(peaks, pairwise([0, *borders, len(scores)]), strict=True):
            inside = np.flatnonzero(above[start:end]) + start + run.first
            yield Site(task, int(inside[0]), int(inside[-1]) + 1, run.first + peak, float(scores[peak]))


def _peaks(scores: Floats, distance: int) -> list[int]:
    # Equal neighbours form one plateau; it is a maximum if both sides are lower, and its middle bin stands for it.
    firsts = np.flatnonzero(np.append(True, scores[1:] != scores[:-1]))
    lasts = np.append(firsts[1:], len(scores)) - 1
    heights = scores[firsts]
    before, after = np.append(-np.inf, heights[:-1]), np.append(heights[1:], -np.inf)
    is_maximum = (heights > before) & (heights > after)
    middles, heights = ((firsts + lasts) // 2)[is_maximum], heights[is_maximum]
    peaks: list[int] = []
    free = np.ones(len(scores), dtype=bool)
    for place in middles[np.lexsort((middles, -heights))].tolist():
        if free[place]:
            peaks.append(place)
            free[max(0, place - distance + 1) : place + distance] = False
    return peaks
