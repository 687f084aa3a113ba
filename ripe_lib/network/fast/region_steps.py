"""What a tower of region types adds to the hidden layer, where types change now and then.

The region tower ends in the hidden layer, so its part of a hidden unit is a sum over the pooled rows of a window,
each times the weights of its column. Most rows see a single region type, and there are only five of these. So the sum
is written as

- the part of a track that is all of one type, the type of the window's first letter (a table);
- for every place where the type of the rows changes, the difference of two types from that column on (a table);
- for the few rows whose letters are of several types, what they differ from the first of these types by (a product).

The last two are added to all windows that see the place, at the column where they see it. A change of type costs
about 20 rows, a window nothing; multiplying every window out costs as much as twice the sequence tower. It is the same
sum in another order.

Axes: N rows of the pooled track, K columns of a window, C filters, H hidden units.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.genome.encoding import Codes

Array = NDArray[np.float32]
COST_OF_EVENT = 3  # an event costs about as much as multiplying out so many windows (measured)


class Events(NamedTuple):
    """Where a block's rows are not what the first letter of their window says.

    ``types`` (N,): region type of every row's first letter; ``mixed``: rows whose letters are of several types;
    ``steps``: rows whose type is not that of the column before.
    """

    types: Codes
    mixed: NDArray[np.intp]
    steps: NDArray[np.intp]

    def pays(self, n: int) -> bool:
        """Whether adding the events is less work than multiplying ``n`` windows out."""
        return COST_OF_EVENT * (len(self.mixed) + len(self.steps)) < n


class RegionSteps:
    """Add the part of a region tower to the hidden layer of consecutive windows.

    Parameters
    ----------
    weights : float32 array (K * C, H)
        Rows of the first dense layer that the tower feeds.
    constants : float32 array (5, C)
        Pooled row of each region type.
    n_letters : int
        Letters that one row sees.
    """

    def __init__(self, weights: Array, constants: Array, n_letters: int) -> None:
        n_filters, n_hidden = constants.shape[1], weights.shape[1]
        by_column = weights.reshape(-1, n_filters, n_hidden)
        self.n_columns = len(by_column)
        self._constants, self._n_letters, self._shape = constants, n_letters, (self.n_columns, n_hidden)
        # Columns from the last to the first: windows that see a row at a later column start earlier.
        backwards = by_column[::-1].transpose(1, 0, 2).reshape(n_filters, self.n_columns * n_hidden)
        self._backwards = np.ascontiguousarray(backwards)
        parts = np.einsum("tc,kch->tkh", constants.astype(np.float64), by_column.astype(np.float64))
        from_column = parts[:, ::-1].cumsum(axis=1)  # [t, K - 1 - k]: columns k and later
        self._whole = from_column[:, -1].astype(np.float32)
        later = from_column[:, :-1]  # without column 0, which has no column before
        self._differences = (later - later[:, np.newaxis]).astype(np.float32)  # [type before, type after]

    def events(self, codes: Codes, n_rows: int, phase: int, dilation: int) -> Events:
        """Return the events of a track; row ``j`` sees the letters from ``j * phase`` on.

        Parameters
        ----------
        codes : uint8 array (n,)
            Region-type codes of the track.
        n_rows, phase, dilation : int
            Rows, letters from one row to the next, and rows from one column of a window to the next.
        """
        changes = np.concatenate([[0], np.cumsum(codes[1:] != codes[:-1])])  # changes up to each letter
        first = np.arange(n_rows) * phase
        types = codes[first]
        mixed = np.flatnonzero(changes[first + self._n_letters - 1] != changes[first])
        steps = np.flatnonzero(types[dilation:] != types[:-dilation]) + dilation
        return Events(types, mixed, steps)

    def hidden(self, events: Events, mixed: Array, n: int, dilation: int) -> Array:
        """Return the tower's part of ``n`` windows, one row apart, (n, H).

        Parameters
        ----------
        events : Events
        mixed : float32 array (M, C)
            The rows ``events.mixed`` themselves.
        n, dilation : int
            As for :meth:`events`.
        """
        hidden = self._whole[events.types[:n]]
        if len(events.mixed):
            deviations = mixed - self._constants[events.types[events.mixed]]
            for row, parts in zip(events.mixed.tolist(), deviations @ self._backwards, strict=True):
                _add(hidden, parts.reshape(self._shape), row, self.n_columns - 1, dilation)
        for row in events.steps.tolist():
            difference = self._differences[events.types[row - dilation], events.types[row]]
            _add(hidden, difference, row, self.n_columns - 1, dilation)
        return hidden


def _add(hidden: Array, parts: Array, row: int, last: int, dilation: int) -> None:
    """Add ``parts[0], parts[1], ...`` to the windows that see ``row`` at column ``last, last - 1, ...``."""
    first = row - last * dilation  # the window that sees it at the last column
    skip = max(0, -(first // dilation)) if first < 0 else 0
    start = first + skip * dilation
    count = min(len(parts) - skip, -(-(len(hidden) - start) // dilation))
    if count > 0:
        hidden[start : start + (count - 1) * dilation + 1 : dilation] += parts[skip : skip + count]
