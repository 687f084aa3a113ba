"""Reference and alternative windows of alleles, as codes.

The window rule is applied to the first changed base, so both alleles share the window's left end in the genome.
After a deletion the window is filled from the genomic right, after an insertion it is cut there; a minus-strand
window is the reverse complement of the result. The region track is changed in the same way: what is to the right of
an indel moves with it, replaced bases keep their region types, and additional bases take that of the base to their
genomic left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.genome.encoding import Codes, reverse_complement
from ripe_lib.genome.windows import window_start

if TYPE_CHECKING:
    from ripe_lib.genome.annotation import Annotation
    from ripe_lib.genome.fasta import Genome

# (contigs, starts, length, minus) -> codes (B, length) in RNA sense
Fetch = Callable[[NDArray[np.object_], NDArray[np.int64], int, NDArray[np.bool_]], Codes]


class Sites(NamedTuple):
    """Places of changes and the strand they are looked at from; columns of length B.

    ``start``, ``n_removed``, ``n_inserted``, ``inserted`` as in :class:`ripe_lib.genome.alleles.Alleles`; ``minus``
    is the strand of the RNA.
    """

    contig: NDArray[np.object_]
    start: NDArray[np.int64]
    minus: NDArray[np.bool_]
    n_removed: NDArray[np.int64]
    n_inserted: NDArray[np.int64]
    inserted: Codes

    def take(self, rows: NDArray[np.intp] | NDArray[np.int64]) -> Sites:
        """Return some of the rows."""
        return Sites(*[column[rows] for column in self])  # type: ignore[arg-type]


def change_index(length: int, shift: int = 0) -> int:
    """Return the index of the first changed base in the window, counted from the genomic left."""
    return length // 2 - 1 - shift


def substituted_position(length: int, minus: NDArray[np.bool_], shift: int = 0) -> NDArray[np.int64]:
    """Return the index (B,) of a substituted base in RNA sense."""
    left = change_index(length, shift)
    return np.where(minus, length - 1 - left, left)


def window_starts(sites: Sites, length: int, shift: int = 0) -> NDArray[np.int64]:
    """Return where the windows start (0-based, plus strand)."""
    return window_start(sites.start, sites.start + 1, length) + shift


def reference_codes(fetch: Fetch, sites: Sites, length: int, shift: int = 0) -> Codes:
    """Return the reference windows (B, length), RNA sense.

    Parameters
    ----------
    fetch : callable
        ``genome.fetch`` or ``annotation.region_codes``.
    shift : int
        The window starts this many nt (genomic) after the normal place.
    """
    return fetch(sites.contig, window_starts(sites, length, shift), length, sites.minus)


def site_landmarks(annotation: Annotation, sites: Sites, shift: int = 0) -> NDArray[np.float64]:
    """Return distances (B, 8) from the windows' centres to landmarks; both alleles have those of the reference."""
    return annotation.landmark_distances(sites.contig, sites.start + shift, sites.minus)


def alternative_sequence(genome: Genome, sites: Sites, length: int, shift: int = 0) -> Codes:
    """Return the windows (B, length) of the alternative allele, RNA sense."""
    plus = np.zeros(len(sites.start), dtype=bool)
    left, right = _sides(genome.fetch, sites, length, shift, plus)
    relative = np.arange(length) - change_index(length, shift)
    window = _joined(left, right, relative, sites.n_inserted)
    new = _inserted_positions(relative, sites)
    row, column = np.nonzero(new)
    window[row, column] = sites.inserted[row, relative[column]]
    window[sites.minus] = reverse_complement(window[sites.minus])
    return window


def alternative_region(annotation: Annotation, sites: Sites, length: int, shift: int = 0) -> Codes:
    """Return the region-type windows (B, length) of the alternative allele, RNA sense."""
    left, right = _sides(annotation.region_codes, sites, length, shift, sites.minus)
    # Annotations answer in RNA sense; joining is done in genomic order.
    left[sites.minus], right[sites.minus] = left[sites.minus, ::-1], right[sites.minus, ::-1]
    at = change_index(length, shift)
    relative = np.arange(length) - at
    window = _joined(left, right, relative, sites.n_inserted)
    row, column = np.nonzero(_inserted_positions(relative, sites))
    replaced = np.minimum(sites.n_removed, sites.n_inserted)[row]
    source = at + np.minimum(relative[column], replaced - 1)
    window[row, column] = left[row, np.maximum(source, 0)]
    window[sites.minus] = window[sites.minus, ::-1]
    return window


def _sides(fetch: Fetch, sites: Sites, length: int, shift: int, minus: NDArray[np.bool_]) -> tuple[Codes, Codes]:
    """Return the reference window and the one that begins just after the removed bases."""
    left = fetch(sites.contig, window_starts(sites, length, shift), length, minus)
    right = fetch(sites.contig, sites.start + sites.n_removed, length, minus)
    return left, right


def _inserted_positions(relative: NDArray[np.int64], sites: Sites) -> NDArray[np.bool_]:
    return (relative >= 0) & (relative < sites.n_inserted[:, None])


def _joined(left: Codes, right: Codes, relative: NDArray[np.int64], n_inserted: NDArray[np.int64]) -> Codes:
    """Put ``right`` after the new bases; (B, L) with the places of the new bases still to be filled."""
    after = relative - n_inserted[:, None]
    moved = np.take_along_axis(right, np.clip(after, 0, None), axis=1)
    return np.where(after >= 0, moved, left)
