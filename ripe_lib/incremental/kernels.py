"""Kernels rearranged for substitutions: NumPy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ripe_lib.incremental.geometry import Touched

_OUTPUTS_PER_PRODUCT = 3  # fewer means fewer products with zero, but more and smaller matrix products


def substitution_tables(kernel: np.ndarray, t: Touched, span: int) -> list[np.ndarray]:
    """Return what replacing one base adds to the first convolution around a locus.

    Parameters
    ----------
    kernel : float32 array (K1, 4, F1)
    t : Touched
    span : int

    Returns
    -------
    list of float32 arrays (25, t.conv1_length, F1)
        One per base of the stretch; row ``5 r + s`` is for base code ``r`` becoming ``s``. Rows with ``r == s`` are
        exactly 0.
    """
    rows = np.concatenate([kernel, kernel.mean(axis=1, keepdims=True)], axis=1)  # unknown = 0.25 of each base
    steps = (rows[:, None, :, :] - rows[:, :, None, :]).reshape(len(kernel), 25, -1)
    tables = []
    for offset in range(span):
        table = np.zeros((25, t.conv1_length, kernel.shape[2]), dtype=np.float32)
        first = t.conv1_offset + offset
        # Column j sees the base at kernel index (base - j): the later the column, the earlier the kernel row.
        table[:, first : first + len(kernel)] = steps[::-1].transpose(1, 0, 2)
        tables.append(table)
    return tables


class Band(NamedTuple):
    """One matrix product of a convolution: columns ``low:high`` times ``matrix`` ((high-low) F1, n F2)."""

    low: int
    high: int
    matrix: np.ndarray


def full_convolution_bands(kernel: np.ndarray, n_in: int) -> list[Band]:
    """Return the convolution of ``n_in`` columns with zeros around them as a few dense matrix products.

    Parameters
    ----------
    kernel : float32 array (K2, F1, F2)
    n_in : int

    Returns
    -------
    list of Band
        Their outputs side by side are the ``n_in + K2 - 1`` output columns. Leaving out the blocks of zeros at both
        ends saves about a quarter of one big product.
    """
    width, filters1, filters2 = kernel.shape
    n_out = n_in + width - 1
    bands = []
    for first in range(0, n_out, _OUTPUTS_PER_PRODUCT):
        last = min(first + _OUTPUTS_PER_PRODUCT, n_out)
        low, high = max(0, first - width + 1), min(n_in, last)
        matrix = np.zeros((high - low, filters1, last - first, filters2), dtype=np.float32)
        for i in range(low, high):
            for o in range(first, last):
                if 0 <= i - o + width - 1 < width:
                    matrix[i - low, :, o - first] = kernel[i - o + width - 1]
        bands.append(Band(low, high, matrix.reshape((high - low) * filters1, (last - first) * filters2)))
    return bands
