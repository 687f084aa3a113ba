"""Kernels as the loops want them: tables of words of bases, and convolutions by Toom-Cook."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.network.fast.loops import POINTS
from ripe_lib.network.fast.wiring import ConvPool

Array = NDArray[np.float32]


class First(NamedTuple):
    """A convolution of base codes with ReLU, and the pooling after it.

    The sum over a one-hot window is a sum of kernel rows; ``tables`` (words, F1) holds it for words of bases,
    ``groups`` (3, 3) the first tap, the taps and the first row in ``tables`` of three such words.
    """

    tables: NDArray[np.float32]
    groups: NDArray[np.int64]
    width: int
    size: int
    stride: int


class Second(NamedTuple):
    """The merged convolution with ReLU, and its pooling.

    A tile of outputs is ``from_points @ ((to_points @ columns) * at_points)``: (outputs, 8), (8, 8), (8, F1, F2), see
    :func:`toom_cook`. ``taps`` (F1, K F2): the kernel itself, all taps side by side.
    """

    to_points: NDArray[np.float32]
    at_points: NDArray[np.float32]
    from_points: NDArray[np.float32]
    taps: NDArray[np.float32]
    width: int
    size: int
    stride: int


def first_kernels(part: ConvPool) -> First:
    """Return a first convolution as tables of the sums of three words."""
    kernel = np.concatenate([part.kernel, part.kernel.mean(axis=1, keepdims=True)], axis=1)  # unknown = 0.25 each
    tables: list[Array] = []
    groups: list[tuple[int, int, int]] = []
    row = 0
    for run in np.array_split(np.arange(part.width), 3):
        tap, taps = int(run[0]) if len(run) else 0, len(run)
        table = np.zeros((1, kernel.shape[2]), dtype=np.float32)
        for one in kernel[tap : tap + taps]:
            table = (table[:, None] + one).reshape(-1, table.shape[1])
        tables.append(table if groups else table + part.bias)
        groups.append((tap, taps, row))
        row += len(table)
    return First(np.concatenate(tables), np.array(groups, dtype=np.int64), part.width, part.size, part.stride)


def toom_cook(n_outputs: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrices (n, n), (n, width) and (n_outputs, n) of a convolution through values at n points.

    ``outputs = from @ ((of_kernel @ kernel) * (to @ inputs))`` with ``n = n_outputs + width - 1`` inputs: polynomials
    whose product is known from its values (in machine learning: Winograd). The points are 0, 1, -1, 2, -2, 1/2, -1/2
    and infinity: small enough that sums in single precision stay good. One output is a plain sum of products.
    """
    n = n_outputs + width - 1
    if n_outputs == 1:
        return np.eye(n), np.eye(n), np.ones((1, n))
    points = np.array([0, 1, -1, 2, -2, 0.5, -0.5])[: n - 1]

    def powers(degree: int) -> NDArray[np.float64]:
        table = points[:, None] ** np.arange(degree)
        return np.vstack([table, np.arange(degree) == degree - 1])

    # Multiplying polynomials is: values at the points, products, interpolation. A convolution is that transposed.
    to_points, of_kernel = np.linalg.inv(powers(n)).T, powers(width)
    sizes = np.abs(to_points)
    least = np.where(sizes > 1e-9, sizes, np.inf).min(axis=1)
    scale = 2.0 ** np.round(np.log2(np.sqrt(sizes.max(axis=1) * least)))  # powers of 2: both sides near 1
    return to_points / scale[:, None], of_kernel * scale[:, None], powers(n_outputs).T


def second_kernels(part: ConvPool) -> Second:
    """Return a merged convolution at the points of its tiles."""
    width, channels, filters = part.kernel.shape
    n_outputs = min(4, POINTS + 1 - width) if width < 6 else 1
    to_points, of_kernel, from_points = toom_cook(n_outputs, width)
    missing = POINTS - len(to_points)
    at_points = np.tensordot(of_kernel, part.kernel.astype(np.float64), axes=1)
    return Second(
        np.pad(to_points, ((0, missing), (0, missing))).astype(np.float32),
        np.pad(at_points, ((0, missing), (0, 0), (0, 0))).astype(np.float32),
        np.pad(from_points, ((0, 0), (0, missing))).astype(np.float32),
        np.ascontiguousarray(part.kernel.transpose(1, 0, 2)).reshape(channels, width * filters),
        width,
        part.size,
        part.stride,
    )
