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
    """Bins that follow each other on one strand of a contig or RNA.

    Attributes
    ----------
    seq, region : uint8 codes, RNA sense
        Everything the windows need, flanks included; ``region`` is None for "no information" everywhere.
    seq_first, region_first : int
        Index of the first base of the stretch's first window (in RNA sense) in ``seq`` and ``region``.
    n : int
        Number of windows.
    landmarks : float64 array (n, 8) or None
        Distances of every window's site, NaN = unknown; None: all unknown.
    """

    seq: Codes
    region: Codes | None
    seq_first: int
    region_first: int
    n: int
    landmarks: NDArray[np.float64] | None = None


class Scanner:
    """Predict windows that follow each other at a fixed step.

    Parameters
    ----------
    model : Model
    step : int
        Distance of the windows in nt, at least 1.
    tasks : sequence of str, optional
        Output columns, in this order; default all of the model.
    threads : int, optional
        Default: all cores this process may use.
    batch_size : int
        Windows per network call where whole windows are predicted.

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
        self._threads = (threads or len(os.sched_getaffinity(0))) if self.is_shared else 1
        spec = model.spec
        self.lengths = (spec.sequence_length, spec.region_length)

    @property
    def is_shared(self) -> bool:
        """Whether neighbouring windows share their work; False for networks of another wiring."""
        return self.model.network.fast is not None

    def at_step(self, step: int) -> Scanner:
        """Return a scanner of the same model and tasks with another distance of windows."""
        if step == self.step:
            return self
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

        from threadpoolctl import threadpool_limits

        # One block per thread: the products are too small to be worth spreading each over several.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(self._threads) as pool:
            list(pool.map(run, jobs))
        return output

    def _segments(self, stretch: Stretch) -> list[tuple[int, int]]:
        """Cut a stretch so that many windows in a row with one region type all along are blocks of their own.

        Their region branch is a constant (:mod:`ripe_lib.network.fast.passes`).
        """
        if stretch.region is None or not self.lengths[1]:
            return [(0, stretch.n)]
        codes = self._cut(stretch.region, stretch.region_first, self.lengths[1], stretch.n)
        changes = np.flatnonzero(codes[1:] != codes[:-1]) + 1
        edges = np.concatenate([[0], changes, [len(codes)]])
        # Windows that lie wholly between two changes.
        first = -(-edges[:-1] // self.step)
        last = (edges[1:] - self.lengths[1]) // self.step + 1
        long = last - first >= SEGMENT_WINDOWS
        borders = [0, *np.stack([first, last], axis=1)[long].ravel().tolist(), stretch.n]
        return [(start, end) for start, end in pairwise(borders) if end > start]

    def _block(self, stretch: Stretch, first: int, n: int) -> Floats:
        region = None
        if stretch.region is not None and self.lengths[1]:
            region = self._cut(stretch.region, stretch.region_first + first * self.step, self.lengths[1], n)
        seq = self._cut(stretch.seq, stretch.seq_first + first * self.step, self.lengths[0], n)
        landmarks = None if stretch.landmarks is None else stretch.landmarks[first : first + n]
        options = {"n": n, "step": self.step, "batch_size": self.batch_size}
        return self.model.network.along(seq, region, landmarks, **options)[:, self.columns]

    def _cut(self, codes: Codes, first: int, length: int, n: int) -> Codes:
        return codes[first : first + length + (n - 1) * self.step]
