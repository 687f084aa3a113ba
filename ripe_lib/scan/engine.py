"""Scores along stretches of codes: which windows there are, in blocks and threads.

What is scored are *bins*: with ``step`` s the bins ``[k s, (k + 1) s)`` of a contig or RNA, counted from its first
base; the last one ends with the contig. The window of a bin follows the window rule of
:mod:`ripe_lib.genome.windows`, so a scan says what ``ripe predict`` says for a BED of these bins. At step 1 every base
is a bin; a step of 50 is what the PAR-CLIP models were trained on.

Mirror images: the window of an interval of even length is centred on it, so for an even step that divides the length
n, the bins of a minus strand are, in reverse order, those of the reverse complement. A single base has no centre in
an even window: it is at index 74 of 150 on plus and 75 on minus, and therefore minus(g) is plus(n - 2 - g) of
the reverse complement (the mirror is the border between two bases).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import Codes
from ripe_lib.network.load import Model
from ripe_lib.network.network import Floats

# A block has at most so many letters and windows: its arrays stay in the cache.
BLOCK_LETTERS = 8192
BLOCK_WINDOWS = 2048
SEGMENT_WINDOWS = 200  # with one region type from which a block of their own pays


@dataclass(frozen=True)
class Stretch:
    """``n`` windows that follow each other on one strand of a contig or RNA, in RNA sense.

    ``seq`` and ``region`` (None: "no information" everywhere) are uint8 codes of everything they need, flanks included;
    ``seq_first`` and ``region_first`` are where the first window begins in them. ``landmarks``: distances of every
    window's site, float64 (n, 8), NaN = unknown; None: all unknown.
    """

    seq: Codes
    region: Codes | None
    seq_first: int
    region_first: int
    n: int
    landmarks: NDArray[np.float64] | None = None


class Scanner:
    """Predict windows that follow each other at a fixed step in nt.

    ``tasks``: output columns, in this order, default all; ``threads``: default all cores this process may use;
    ``batch_size``: windows per network call where whole windows are predicted.
    """

    def __init__(
        self,
        model: Model,
        *,
        step: int = 1,
        tasks: Sequence[str] | None = None,
        threads: int | None = None,
        batch_size: int = 1024,
    ) -> None:
        if step < 1:
            raise InputError(f"step: expected at least 1, got {step}.")
        self.model, self.step, self.batch_size, self.n_threads = model, step, batch_size, threads
        self.tasks = list(dict.fromkeys(model.tasks if tasks is None else tasks))
        self.columns = np.array([model.spec.task_index(task) for task in self.tasks], dtype=np.intp)
        # Networks of another wiring than the fast one's are run by full passes, which have threads of their own.
        self._threads = (threads or len(os.sched_getaffinity(0))) if model.network.fast is not None else 1
        self.lengths = (model.spec.sequence_length, model.spec.region_length)

    def at_step(self, step: int) -> Scanner:
        """Return a scanner of the same model and tasks with another distance of windows."""
        return Scanner(self.model, step=step, tasks=self.tasks, threads=self.n_threads, batch_size=self.batch_size)

    def scores(self, stretches: Sequence[Stretch]) -> list[Floats]:
        """Return probabilities, one array (n, T) per stretch."""
        output = [np.empty((stretch.n, len(self.tasks)), np.float32) for stretch in stretches]
        per_block = max(1, min(BLOCK_WINDOWS, BLOCK_LETTERS // self.step))
        jobs = [
            (number, first, min(per_block, end - first))
            for number, stretch in enumerate(stretches)
            for start, end in self._segments(stretch)
            for first in range(start, end, per_block)
        ]

        def run(job: tuple[int, int, int]) -> None:
            number, first, n = job
            output[number][first : first + n] = self._block(stretches[number], first, n)

        # One block per thread: the products are too small to be worth spreading each over several.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(self._threads) as pool:
            list(pool.map(run, jobs))
        return output

    def _segments(self, stretch: Stretch) -> list[tuple[int, int]]:
        """Cut a stretch so that many windows in a row with one region type all along are blocks of their own.

        Their region branch is a constant (:mod:`ripe_lib.network.fast.passes`).
        """
        if stretch.region is None:
            return [(0, stretch.n)]
        codes = self._cut(stretch.region, stretch.region_first, self.lengths[1], stretch.n)
        changes = np.flatnonzero(codes[1:] != codes[:-1]) + 1
        edges = np.concatenate([[0], changes, [len(codes)]])
        first = -(-edges[:-1] // self.step)
        last = (edges[1:] - self.lengths[1]) // self.step + 1  # of the windows wholly between two changes
        long = last - first >= SEGMENT_WINDOWS
        borders = [0, *np.stack([first, last], axis=1)[long].ravel().tolist(), stretch.n]
        return [(start, end) for start, end in pairwise(borders) if end > start]

    def _block(self, stretch: Stretch, first: int, n: int) -> Floats:
        skipped, region = first * self.step, None
        if stretch.region is not None:
            region = self._cut(stretch.region, stretch.region_first + skipped, self.lengths[1], n)
        seq = self._cut(stretch.seq, stretch.seq_first + skipped, self.lengths[0], n)
        landmarks = None if stretch.landmarks is None else stretch.landmarks[first : first + n]
        options = {"n": n, "step": self.step, "batch_size": self.batch_size}
        return self.model.network.along(seq, region, landmarks, **options)[:, self.columns]

    def _cut(self, codes: Codes, first: int, length: int, n: int) -> Codes:
        return codes[first : first + length + (n - 1) * self.step]
