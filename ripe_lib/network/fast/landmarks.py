"""What distances to landmarks add to the hidden layer, without making their spline basis.

Of a row's basis functions four are not 0, so a window costs 8 x 4 rows of the first kernel instead of 8 x K.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.genome.landmarks import LARGEST, basis_range
from ripe_lib.output.compiled import compiled

Array = NDArray[np.float32]


class LandmarkTower(NamedTuple):
    """Dense layer with ReLU over the basis, and its rows of the first dense layer the towers share.

    ``kernel`` (8, K, F), ``bias`` (F,), ``hidden_kernel`` (F, H).
    """

    kernel: Array
    bias: Array
    hidden_kernel: Array

    def hidden(self, distances: NDArray[np.float64] | None, n: int) -> Array:
        """Return the tower's part of the hidden layer.

        Parameters
        ----------
        distances : float64 array (n, 8) or None
            In nt, NaN = unknown; None: all unknown.
        n : int
            Windows.

        Returns
        -------
        float32 array (n, H)
            Before bias and activation; a single row to be repeated where everything is unknown.
        """
        unknown = self.kernel.mean(axis=1)
        if distances is None or np.isnan(distances).all():
            first = np.maximum(self.bias + unknown.sum(axis=0), np.float32(0))
            return np.broadcast_to(first @ self.hidden_kernel, (n, self.hidden_kernel.shape[1]))
        first = np.empty((n, len(self.bias)), dtype=np.float32)
        low, step = basis_range(self.kernel.shape[1])
        distances = np.ascontiguousarray(distances, dtype=np.float64)
        _first_layer(distances, np.ascontiguousarray(self.kernel), unknown, self.bias, low, step, LARGEST, first)
        return first @ self.hidden_kernel


@compiled
def _first_layer(distances, kernel, unknown, bias, low, step, largest, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` (n, F) with the first layer's values, as the full product with the basis gives them."""
    for row in range(len(distances)):
        values = out[row]
        values[:] = bias
        for landmark in range(distances.shape[1]):
            d = distances[row, landmark]
            if d != d:
                for f in range(len(values)):
                    values[f] += unknown[landmark, f]
                continue
            x = min(np.log10(1 + abs(d)), largest)
            place = ((x if d >= 0 else -x) - low) / step
            first = int(place)
            t = place - first
            w0 = np.float32((1 - t) ** 3 / 6)
            w1 = np.float32((3 * t**3 - 6 * t**2 + 4) / 6)
            w2 = np.float32((-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6)
            w3 = np.float32(t**3 / 6)
            rows = kernel[landmark]
            for f in range(len(values)):
                values[f] += (
                    w0 * rows[first, f] + w1 * rows[first + 1, f] + w2 * rows[first + 2, f] + w3 * rows[first + 3, f]
                )
        for f in range(len(values)):
            values[f] = max(values[f], np.float32(0))
