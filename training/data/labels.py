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


def neighbour_pairs(
    group: NDArray[np.int64], position: NDArray[np.int64], radius: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all pairs (i, j), both orders and i = j, of equal group with ``|position_i - position_j| <= radius``.

    Parameters
    ----------
    group, position : int64 array (N,)
        Contig and strand, and place there in nt.
    radius : int
        In nt.
    """
    order = np.lexsort((position, group))
    # One axis for all groups, wide enough apart that windows of different groups are never near.
    span = int(position.max() - position.min()) + radius + 1 if len(position) else 1
    axis = group[order].astype(np.int64) * span + (position[order] - (position.min() if len(position) else 0))
    last = np.searchsorted(axis, axis + radius, side="right")
    here = np.arange(len(axis))
    count = last - here
    first = np.repeat(here, count)
    second = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first
    one, two = order[first], order[second]
    different = one != two
    return np.concatenate([one, two[different]]), np.concatenate([two, one[different]])


def _touches(pairs: tuple[NDArray[np.int64], NDArray[np.int64]], flags: Bool, n: int) -> Bool:
    matrix = sparse.csr_matrix((np.ones(len(pairs[0]), dtype=np.int32), pairs), shape=(n, n))
    return np.asarray((matrix @ sparse.csr_matrix(flags.astype(np.int32))).toarray() > 0)


def label_vectors(
    group: NDArray[np.int64],
    position: NDArray[np.int64],
    source: NDArray[np.uint8],
    positive: Bool,
    negative: Bool,
    source_has_task: Bool,
    *,
    cross_source: str = "shared",
    trusted: Bool | None = None,
) -> NDArray[np.int8]:
    """Return labels (N, T) int8: 1, 0 or -1, by the rules of this module.

    Parameters
    ----------
    group : int64 (N,)
        Number of the chromosome and strand.
    position : int64 (N,)
        Genomic start of the window.
    source : uint8 (N,)
        Number of the source.
    positive, negative : bool (N, T)
        What the tables say of exactly this window.
    source_has_task : bool (S, T)
        Whether a source has a table of a task.
    cross_source : str
        ``"shared"``, ``"none"`` or ``"all"``: which tasks' labels are carried over between sources.
    trusted : bool (N,), optional
        Rows whose listed negatives stay negatives beside a positive.
    """
    n = len(position)
    same, near = neighbour_pairs(group, position, SAME_SITE), neighbour_pairs(group, position, NEAR)
    own = source[same[0]] == source[same[1]]
    within = (same[0][own], same[1][own])
    across = (same[0][~own], same[1][~own])
    bound, unbound = _touches(within, positive, n), _touches(within, negative, n)
    if cross_source != "none":
        carried = np.ones_like(positive) if cross_source == "all" else source_has_task[source]
        bound |= _touches(across, positive, n) & carried
        unbound |= _touches(across, negative, n) & carried
    # Near any positive of the experiment, whichever source knows it: not a negative.
    spoiled = _touches(near, positive, n)
    if trusted is not None:
        spoiled &= ~(negative & trusted[:, None])
    labels = np.full(positive.shape, -1, dtype=np.int8)
    labels[unbound & ~spoiled] = 0
    # A window its own table lists both ways, or lists as negative beside a positive, says nothing.
    labels[bound & ~negative] = 1
    return labels
