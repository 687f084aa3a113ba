"""Distances to transcript landmarks and their spline basis: where in a transcript a site lies.

A landmark is one base of the annotation. Of the nearest one of each kind on the site's own strand the signed distance
in the direction of the RNA is taken (positive: the landmark lies downstream). Source of the idea: Avsec et al. 2018,
doi 10.1093/bioinformatics/btx727 (``rbp_eclip`` in the Kipoi zoo); the basis is that of ``concise.preprocessing``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BSpline

from ripe_lib.genome.gtf import CDS, START_CODON, STOP_CODON, GtfTable, span_of

LANDMARKS = ("tss", "polya", "exon_intron", "intron_exon", "start_codon", "stop_codon", "gene_start", "gene_end")
N_BASES = 16
LARGEST = 6.0  # of log10(1 + nt): a megabase, farther than any intron reaches
_ORDER = 3

Ints = NDArray[np.int64]


# ------------------------------------------------------------------ positions


def landmark_positions(
    table: GtfTable, typed: NDArray[np.bool_], base: Ints, owner: Ints, start: Ints, end: Ints
) -> list[Ints]:
    """Return the sorted distinct positions of the :data:`LANDMARKS` on the axis of the annotation index.

    ``tss`` and ``polya`` are the first and last base of transcripts; ``exon_intron`` the last base of an exon that is
    not its transcript's last, ``intron_exon`` the first base of an exon that is not the first; codons their first
    (start) and last (stop) base, from the coding pieces where the file has no codon lines; gene ends those of the genes
    of these transcripts.

    Parameters
    ----------
    table : GtfTable
    typed : bool array (N,)
        Transcripts that give region types.
    base : int64 array (N,)
        What puts a position of a transcript's contig and strand on the axis.
    owner, start, end : int64 arrays (M,)
        Transcript, start and end of exons, 0-based, half-open, in genomic order within a transcript.
    """
    counted = typed & (table.strand < 2)
    minus = table.strand == 1

    def ends_of(which: NDArray[np.bool_], low: Ints, high: Ints, at_5_prime: bool) -> Ints:
        return (base + np.where(minus == at_5_prime, high - 1, low))[which]  # of the spans [low, high)

    same = counted[owner[1:]] & (owner[1:] == owner[:-1])  # exon i and i + 1 have an intron between them
    axis, backwards = base[owner[1:]], minus[owner[1:]]
    left, right = end[:-1] - 1, start[1:]
    found = [
        ends_of(counted, table.start, table.end, True),
        ends_of(counted, table.start, table.end, False),
        (axis + np.where(backwards, right, left))[same],
        (axis + np.where(backwards, left, right))[same],
    ]
    for kind, at_5_prime in ((START_CODON, True), (STOP_CODON, False)):
        low, high = table.extent((kind,) if (table.piece_kind == kind).any() else (CDS, STOP_CODON))
        found.append(ends_of(counted & (high > low), low, high, at_5_prime))
    low, high = _genes(table, base)
    found += [ends_of(counted, low, high, at_5_prime) for at_5_prime in (True, False)]
    return [np.unique(positions) for positions in found]


def _genes(table: GtfTable, base: Ints) -> tuple[Ints, Ints]:
    """Return the span of every transcript's gene: all its transcripts on that contig and strand."""
    number, _ = pd.factorize(np.array(table.gene_id, dtype=object))
    _, gene = np.unique(np.stack([number, base]), axis=1, return_inverse=True)
    gene = gene.reshape(-1)
    low, high = span_of(gene, table.start, table.end, len(gene))
    return low[gene], high[gene]


# ------------------------------------------------------------------ encoding


def basis_range(n_bases: int) -> tuple[float, float]:
    """Return where the first of the evenly spaced inner knots lies, and their distance.

    The range is a little wider than the values', so that its ends lie within (as concise does).
    """
    low, high = -LARGEST * 1.002, LARGEST * 1.002
    return low, (high - low) / (n_bases - _ORDER)


def encode_landmarks(distances: ArrayLike, n_bases: int = N_BASES) -> NDArray[np.float32]:
    """Encode distances as a cubic B-spline basis of ``sign(d) log10(1 + |d|)``, clipped to +-6.

    Parameters
    ----------
    distances : float array (B, 8)
        In nt, signed in the direction of the RNA, in the order of :data:`LANDMARKS`; NaN = unknown.
    n_bases : int
        Functions of the basis, at least 4.

    Returns
    -------
    float32 array (B, 8, n_bases)
        Every row sums to 1; unknown is ``1 / n_bases`` in each.
    """
    values = np.asarray(distances, dtype=np.float64)
    known = ~np.isnan(values)
    d = values[known]
    x = np.clip(np.sign(d) * np.log10(1 + np.abs(d)), -LARGEST, LARGEST)
    encoded = np.full((*values.shape, n_bases), 1 / n_bases, dtype=np.float32)
    if len(x):
        low, step = basis_range(n_bases)
        knots = low + step * np.arange(-_ORDER, n_bases + 1)
        encoded[known] = BSpline.design_matrix(x, knots, _ORDER).toarray()
    return encoded


def unknown_landmarks(n: int, n_bases: int = N_BASES) -> NDArray[np.float32]:
    """Return what stands for "nothing known" of ``n`` sites: ``1 / n_bases`` everywhere, (n, 8, n_bases) float32."""
    return np.full((n, len(LANDMARKS), n_bases), 1 / n_bases, dtype=np.float32)


def decode_landmarks(encoded: NDArray[np.float32]) -> NDArray[np.float64]:
    """Invert :func:`encode_landmarks`: whole distances (B, 8), NaN where unknown (beyond 0.1 Mb to about 1 in 10^5)."""
    values = np.asarray(encoded, dtype=np.float64)
    n_bases = values.shape[-1]
    low, step = basis_range(n_bases)
    # A basis of this kind reproduces straight lines from the middles of its functions.
    x = values @ (low + step * (np.arange(n_bases) - 1))
    distances = np.rint(np.sign(x) * (10.0 ** np.abs(x) - 1))
    unknown = np.abs(values - 1 / n_bases).max(axis=-1) < 1e-6
    return np.where(unknown, np.nan, distances)
