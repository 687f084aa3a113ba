"""Slow and obvious versions of what ``ripe_lib.scan`` does."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ripe_lib.genome.encoding import one_hot


def branches_of(wiring):
    return [wiring.seq] if wiring.region is None else [wiring.seq, wiring.region]


def naive_network(wiring, seq_codes, region_codes=None):
    """Logits (T,) of one window in float64, layer by layer as the paper draws them."""
    columns = []
    for branch, codes in zip(branches_of(wiring), (seq_codes, region_codes), strict=False):
        x = one_hot(codes).astype(np.float64)
        conv = naive_conv(x, branch.kernel, branch.bias)
        columns.append(naive_pool(conv, branch.size, branch.stride))
    towers = [] if wiring.at_border else columns[1:]
    joined = np.concatenate(columns) if wiring.at_border else columns[0]
    merged = naive_conv(joined, wiring.merged.kernel, wiring.merged.bias)
    pooled = naive_pool(merged, wiring.merged.size, wiring.merged.stride)
    hidden = np.concatenate([pooled.ravel(), *(tower.ravel() for tower in towers)])
    hidden = np.maximum(hidden @ wiring.hidden.kernel.astype(np.float64) + wiring.hidden.bias, 0)
    return hidden @ wiring.output.kernel.astype(np.float64) + wiring.output.bias


def naive_conv(x, kernel, bias):
    width = len(kernel)
    rows = [np.tensordot(x[i : i + width], kernel.astype(np.float64), 2) + bias for i in range(len(x) - width + 1)]
    return np.maximum(np.array(rows), 0)


def naive_pool(x, size, stride):
    return np.array([x[i : i + size].max(axis=0) for i in range(0, len(x) - size + 1, stride)])


def all_windows(codes, length, step, n):
    """The windows (n, length) of a block."""
    return np.ascontiguousarray(sliding_window_view(codes, length)[::step][:n])
