"""Which known motifs a motif looks like: Tomtom on one strand, without external programs.

The alignment scores and p-values are those of Tomtom (Gupta et al. 2007, Genome Biology 8:R24; complete scores) as
implemented by ``memelite``. RNA has one strand: reverse complements are never looked at.

Databases hold the same matrix many times (ATtRACT has the sequence UUUUUUU under a dozen proteins). A matrix is one
hypothesis however many entries have it: each different one is compared once, so that copies neither pull the
background of the p-values towards them nor make each other's q-values smaller.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.motifs.databases import MotifDatabase, is_same_protein
from ripe_lib.motifs.meme import MotifMatrix, frequencies

# The dynamic programme adds up float64 probabilities: differences below this are rounding, not evidence.
SMALLEST_P = 1e-12
PSEUDOCOUNT = 0.01  # added to every base of every position of both motifs
N_BEST = 10  # matches kept of each motif, and the best one of its own protein wherever it stands
_KINDS = {
    **{"motif": object, "rank": int, "match": object, "protein": object, "same_protein": bool, "p_value": float},
    **{"q_value": float, "score": float, "offset": int, "overlap": int, "consensus": object},
}
NO_MATCHES = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _KINDS.items()})
_FEW_TARGETS = 25


@dataclass(frozen=True, kw_only=True)
class CountedMotif:
    """A motif as counts of A C G U, ``pfm`` (W, 4), its consensus in IUPAC letters of RNA, and the sites that hold it.

    ``matches`` are known motifs, best first, see :func:`matches_of`; empty without a database.
    """

    name: str
    pfm: NDArray[np.int64] = field(repr=False)
    consensus: str
    n_sites: int
    matches: pd.DataFrame = field(repr=False, default_factory=NO_MATCHES.copy)

    @property
    def ppm(self) -> NDArray[np.float64]:
        """Probabilities (W, 4)."""
        return frequencies(self.pfm)

    def matrix(self) -> MotifMatrix:
        """Return it for a MEME file."""
        return MotifMatrix(self.name, self.consensus, self.ppm, float(self.n_sites))


def matches_of(motifs: Sequence[MotifMatrix], database: MotifDatabase, *, rbp: str = "") -> dict[str, pd.DataFrame]:
    """Compare motifs with all known ones; returns a table for each identifier.

    Rows are by ``rank``, which is 1 + the number of known motifs with a smaller p-value (equal matrices share a rank);
    ``p_value`` is at least :data:`SMALLEST_P`, ``q_value`` by Benjamini and Hochberg over all different known matrices
    for this query, ``offset`` the position of the query where the known motif starts (negative: before it), ``overlap``
    in nt.

    Parameters
    ----------
    motifs : sequence of MotifMatrix
        The queries.
    database : MotifDatabase
        The targets. Below 50 or so p-values depend on which ones are in it.
    rbp : str
        Protein the queries belong to (several divided by ``;``); decides ``same_protein``.
    """
    if not motifs or not len(database):
        return {motif.identifier: NO_MATCHES.copy() for motif in motifs}
    from memelite import tomtom

    queries = [_columns(motif.ppm) for motif in motifs]
    first, copy_of = _different([motif.ppm for motif in database.motifs])
    targets = [_columns(database.motifs[i].ppm) for i in first]
    with warnings.catch_warnings():
        if len(targets) < _FEW_TARGETS:
            warnings.filterwarnings("ignore", message="tomtom was given", category=UserWarning)
        # n_target_bins=None: columns that are nearly equal are not taken for one.
        found = tomtom(queries, targets, reverse_complement=False, n_jobs=1, n_target_bins=None)
    p_different = np.clip(np.nan_to_num(found[0], nan=1.0), SMALLEST_P, 1.0)
    p, scores, offsets, overlaps = (values[:, copy_of] for values in (p_different, *found[1:4]))
    same = np.array([bool(rbp) and is_same_protein(known.name, rbp) for known in database.motifs])
    tables = {}
    for row, motif in enumerate(motifs):
        # Ties of the p-value are broken by the score, then by the order of the database.
        order = np.lexsort((np.arange(len(database)), -scores[row], p[row]))
        rank = 1 + np.searchsorted(np.sort(p[row]), p[row] * (1 - 1e-9))
        q = q_values(p_different[row])[copy_of]
        own = order[same[order]][:1]
        kept = order[:N_BEST]
        kept = np.append(kept, own[~np.isin(own, kept)])
        known = [database.motifs[i] for i in kept]
        tables[motif.identifier] = pd.DataFrame(
            {
                "motif": motif.identifier,
                "rank": rank[kept],
                "match": [one.identifier for one in known],
                "protein": [one.name for one in known],
                "same_protein": same[kept],
                "p_value": p[row, kept],
                "q_value": q[kept],
                "score": scores[row, kept],
                "offset": -offsets[row, kept].astype(int),
                "overlap": overlaps[row, kept].astype(int),
                "consensus": [one.consensus for one in known],
            }
        )
    return tables


def q_values(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the false discovery rate at which each test would be called, by Benjamini and Hochberg (1995)."""
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty_like(scaled)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q


def _different(matrices: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each different matrix stands first, and for every matrix the number of the one it equals."""
    # Rounded: published frequencies have two to six digits. Adding 0 makes -0 and 0 the same.
    keys = [(np.round(matrix, 6) + 0.0).tobytes() for matrix in matrices]
    seen: dict[bytes, int] = {}
    first, copy_of = np.unique([seen.setdefault(key, at) for at, key in enumerate(keys)], return_inverse=True)
    return first, copy_of


def _columns(ppm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (4, W) probabilities with the pseudocount, in the layout ``memelite`` was compiled for."""
    raised = ppm + PSEUDOCOUNT
    return np.ascontiguousarray((raised / raised.sum(axis=1, keepdims=True)).T)
