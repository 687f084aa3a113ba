"""Which columns of each layer a substitution touches: integers only, no network.

Names: ``first`` stage = the sequence branch's convolution (width K1) and pooling (size P1, stride S1); ``second``
stage = the merged convolution (K2) and pooling (P2, S2). Counts and offsets depend on the position only through
``position % (S1 * S2)``, its *class*; a step of one period moves every touched column by a whole pooled column.

A position near an end of the window touches columns that do not exist; they keep their places here and change nothing.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

MAX_SPAN = 6  # longest changed stretch that is scored by difference


class Sizes(NamedTuple):
    """Widths, pools and lengths of the two stages."""

    width1: int
    size1: int
    stride1: int
    width2: int
    size2: int
    stride2: int
    n_pooled1: int  # sequence columns after the first pooling

    @property
    def period(self) -> int:
        """Positions after which everything repeats one pooled column further on."""
        return self.stride1 * self.stride2


class Touched(NamedTuple):
    """How many columns a changed stretch of bases touches, for one class of positions.

    After the first pooling, after the merged convolution, and after the second pooling.
    """

    n_pool1: int
    n_conv2: int
    n_pool2: int


def first_pool1(sizes: Sizes, position: np.ndarray) -> np.ndarray:
    """Return the first touched column after the first pooling (may be negative)."""
    return -((sizes.size1 + sizes.width1 - 2 - position) // sizes.stride1)


def first_pool2(sizes: Sizes, position: np.ndarray) -> np.ndarray:
    """Return the first touched column after the second pooling (may be negative)."""
    first_conv2 = first_pool1(sizes, position) - (sizes.width2 - 1)
    return -((sizes.size2 - 1 - first_conv2) // sizes.stride2)


@functools.lru_cache(maxsize=256)
def touched(sizes: Sizes, position_class: int, span: int) -> Touched:
    """Return what a stretch of ``span`` changed bases touches that starts at positions of a class.

    Parameters
    ----------
    sizes : Sizes
    position_class : int
        0-based position of the first changed base in the window, modulo ``sizes.period``.
    span : int
        Changed bases, in nt.
    """
    position = np.array(position_class)
    pool1 = int(first_pool1(sizes, position))
    n_pool1 = (position_class + span - 1) // sizes.stride1 - pool1 + 1
    n_conv2 = n_pool1 + sizes.width2 - 1
    last_conv2 = pool1 - (sizes.width2 - 1) + n_conv2 - 1
    return Touched(n_pool1, n_conv2, last_conv2 // sizes.stride2 - int(first_pool2(sizes, position)) + 1)
