"""How many columns each stage of a network has, and which of them belong to the sequence."""

from __future__ import annotations

import numpy as np

from ripe_lib.network.fast.geometry import MAX_SPAN, Sizes, last_conv2_needed
from ripe_lib.network.fast.wiring import Wiring


class Columns:
    """Numbers of columns of one network; the base of its compiled forms.

    Attributes
    ----------
    sizes : Sizes
    n_conv2, n_pure, n_seq_columns : int
        Merged columns: all, those that see the sequence alone, those to which it contributes (where branches meet at a
        seam, the last ``width2 - 1`` straddle it).
    n_pool2, n_pool2_seq, n_pool2_touching : int
        Columns after the second pooling: all, those of sequence columns alone, those with at least one.
    n_head, n_conv2_readable : int
        Region columns that scoring a changed stretch may read, and they and the sequence's together.
    """

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        seq, region, merged = wiring.seq, wiring.region, wiring.merged
        size, stride = merged.size, merged.stride
        self.sizes = Sizes(seq.width, seq.size, seq.stride, merged.width, size, stride, n_pooled1=seq.n_pooled)
        n_branches = seq.n_pooled + (region.n_pooled if region and wiring.seam else 0)
        self.n_conv2 = n_branches - merged.width + 1
        self.n_pure = seq.n_pooled - merged.width + 1
        self.n_seq_columns = seq.n_pooled if wiring.seam else self.n_pure
        self.n_pool2 = (self.n_conv2 - size) // stride + 1
        self.n_pool2_seq = max(0, min(self.n_pool2, (self.n_seq_columns - size) // stride + 1))
        self.n_pool2_touching = min(self.n_pool2, -(-self.n_seq_columns // stride))
        positions = np.arange(seq.n_in)
        needed = max(int(last_conv2_needed(self.sizes, positions, span).max()) for span in range(1, MAX_SPAN + 1))
        self.n_head = max(0, min(needed + 1, self.n_conv2) - self.n_seq_columns)
        self.n_conv2_readable = self.n_seq_columns + self.n_head
