"""One label vector per window from many tables: what is bound, surely not bound, or unknown.

A table knows only its own experiment. Two windows are the same site when the central 50 nt of theirs overlap by more
than 25 nt on the same strand, i.e. their starts differ by at most 24 nt (README of ``clip31``). So for window ``r``
and task ``t``:

* 1 if ``r``, or a window that is the same site, is a positive of ``t``;
* else -1 if any positive of ``t`` lies within 100 nt (label noise: 486 such negatives in ``clip31``)
  (not on contigs named in ``trusted_contigs``: on a chromosome of 16 kb every negative lies near a positive);
* else 0 if ``r``, or a window that is the same site, is listed as a negative of ``t``;
* else -1, unknown: "not among the sampled sites" is not "unbound".

Across sources, labels are carried over only for tasks that have tables in both (``cross_source: shared``). Otherwise
a task known from one source would come with the other source's padding and region types for positives only, and a
network would learn the padding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

SAME_SITE = 24  # nt between window starts
NEAR = 100
CROSS_SOURCE = ("shared", "none", "all")

Bool = NDArray[np.bool_]
Ints = NDArray[np.int64]


def _neighbours(group: Ints, position: Ints, radius: int) -> sparse.csr_matrix:
    """Return a matrix (N, N): 1 where windows of the same group are at most ``radius`` nt apart, 0 elsewhere."""
    order = np.lexsort((position, group))
    # One axis for all groups, wide enough apart that windows of different groups are never near.
    axis = (group * (position.max(initial=0) - position.min(initial=0) + radius + 1) + position)[order]
    low = np.searchsorted(axis, axis - radius)
    count = np.searchsorted(axis, axis + radius, side="right") - low
    others = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count - low, count)
    pairs = (np.repeat(order, count), order[others])
    return sparse.csr_matrix((np.ones(len(others), dtype=np.int32), pairs), shape=(len(order), len(order)))


def _n_flags(neighbours: sparse.csr_matrix, flags: Bool) -> NDArray[np.int32]:
    """Count the neighbours of each window that have a flag (N, T), by column."""
    return (neighbours @ sparse.csr_matrix(flags, dtype=np.int32)).toarray()


def label_vectors(
    group: Ints,
    position: Ints,
    source: NDArray[np.uint8],
    positive: Bool,
    negative: Bool,
    source_has_task: Bool,
    *,
    cross_source: str,
    trusted: Bool,
) -> NDArray[np.int8]:
    """Return labels (N, T) int8: 1, 0 or -1, by the rules of this module.

    Parameters
    ----------
    group, position : int64 (N,)
        Number of the chromosome and strand, genomic start of the window.
    source : uint8 (N,)
        Number of the source.
    positive, negative : bool (N, T)
        What the tables say of exactly this window.
    source_has_task : bool (S, T)
        Whether a source has a table of a task.
    cross_source : str
        ``"shared"``, ``"none"`` or ``"all"``: which tasks' labels are carried over between sources.
    trusted : bool (N,)
        Rows whose listed negatives stay negatives beside a positive.
    """
    same = _neighbours(group, position, SAME_SITE)
    same_source = _neighbours(group * len(source_has_task) + source, position, SAME_SITE)

    def told(flags: Bool) -> Bool:
        """Whether this window or the same site has a flag, as far as labels are carried over."""
        within = _n_flags(same_source, flags)
        if cross_source == "none":
            return within > 0
        elsewhere = _n_flags(same, flags) > within
        return (within > 0) | (elsewhere if cross_source == "all" else elsewhere & source_has_task[source])

    # Near any positive of the experiment, whichever source knows it: not a negative.
    near_positive = _n_flags(_neighbours(group, position, NEAR), positive) > 0
    spoiled = near_positive & ~(negative & trusted[:, None])
    labels = np.full(positive.shape, -1, dtype=np.int8)
    labels[told(negative) & ~spoiled] = 0
    # A window its own table lists both ways, or lists as negative beside a positive, says nothing.
    labels[told(positive) & ~negative] = 1
    return labels
