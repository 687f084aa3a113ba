"""The k-mer that makes a peak: hide every k-mer of the window in turn and see which one is missed most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.special import logit

from ripe_lib.genome.encoding import UNKNOWN
from ripe_lib.genome.windows import CodeWindows
from ripe_lib.network.load import Model

# Of logits: probabilities closer to 0 or 1 than 1e-6 are not told apart in float32.
_LARGEST = float(logit(1 - 1e-6))
_WINDOWS = 128  # at a time: each has a k-mer at almost every position


class BestKmer(NamedTuple):
    """Offset of the k-mer in the window (RNA sense), and by how much the logit falls without it."""

    offset: int
    effect: float


def best_kmers(
    model: Model,
    windows: CodeWindows,
    sites: Sequence[tuple[int, int]],
    *,
    length: int = 6,
    batch_size: int = 1024,
    step: Callable[[int], object] = lambda n: None,
) -> list[BestKmer]:
    """Find the k-mer whose replacement by unknown bases lowers the score most.

    Returns one per site: offset -1 and effect NaN where no k-mer is known.

    Parameters
    ----------
    model : Model
    windows : CodeWindows
        Of the peaks.
    sites : sequence of (window, task index)
        Which task is asked in which window; a window is scored once for all its tasks.
    length : int
        Of the k-mer. k-mers that hold an unknown base are not looked at.
    batch_size : int
        Windows per network call; of a window with a hidden k-mer only what the k-mer touches is computed.
    step : callable
        Is told how many sites were done now.
    """
    wanted: dict[int, list[int]] = {}
    for number, (window, _) in enumerate(sites):
        wanted.setdefault(window, []).append(number)
    asked = np.array(sorted(wanted), dtype=np.intp)
    found = [BestKmer(-1, float("nan"))] * len(sites)
    if length > windows.seq.shape[1]:
        return found
    n_windows = min(_WINDOWS, batch_size)
    for start in range(0, len(asked), n_windows):
        rows = asked[start : start + n_windows]
        some = windows.take(rows)
        row, offset = np.nonzero((sliding_window_view(some.seq, length, axis=1) != UNKNOWN).all(axis=2))
        state = model.network.reference(*some)
        unknown = np.full((len(row), length), UNKNOWN, dtype=np.uint8)
        scores = state.logits, model.network.substitutions(state, row, offset, unknown)
        whole, hidden = (np.clip(logits.astype(np.float64), -_LARGEST, _LARGEST) for logits in scores)
        for index, window in enumerate(rows.tolist()):
            here = slice(*np.searchsorted(row, [index, index + 1]))
            for number in wanted[window] if here.start < here.stop else ():
                task = sites[number][1]
                effects = whole[index, task] - hidden[here, task]
                best = _middle_of_best(effects)
                found[number] = BestKmer(int(offset[here][best]), float(effects[best]))
        step(sum(len(wanted[window]) for window in rows.tolist()))
    return found


def _middle_of_best(effects: NDArray[np.float64]) -> int:
    """Return the middle of the stretch of equal effects around the largest one.

    A motif is often lost as soon as a few of its bases are hidden: then hiding any k-mer around it does the same.
    """
    best = int(np.argmax(effects))
    is_best = effects >= effects[best] - 1e-3 * abs(effects[best])
    others = np.flatnonzero(~np.pad(is_best, 1)) - 1  # and one place before and after all
    after = int(np.searchsorted(others, best))
    return int(others[after - 1] + others[after]) // 2
