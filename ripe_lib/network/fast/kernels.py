"""Kernels rearranged for substitutions: NumPy only."""

from __future__ import annotations

import numpy as np

from ripe_lib.network.fast.geometry import Touched


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
