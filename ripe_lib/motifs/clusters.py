"""Seqlets that look alike: embedding, clustering, alignment within a cluster, merging of shifted copies."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ripe_lib.genome.encoding import UNKNOWN, Codes
from ripe_lib.motifs.meme import frequencies, information
from ripe_lib.motifs.seqlets import Seqlets, cut

# With fewer seqlets a neighbour graph means nothing: all of them are aligned to one consensus.
FEWEST_TO_EMBED = 30
# Neighbours in the embedding, and in the vectors themselves (two without a common letter are about 0.6 apart).
EPS_EMBEDDED, EPS_VECTORS = 0.5, 0.25
# Clusters whose motifs correlate at least so well at some shift are copies of one.
SAME_MOTIF = 0.75
_ROUNDS = 6
_TRIM_BITS = 0.2
_FLATTEN = 0.3


def seqlet_vectors(scores: NDArray[np.floating], codes: Codes, seqlets: Seqlets, length: int) -> NDArray[np.float32]:
    """Return (S, length * 4): the scores at their letters, negative ones 0, scaled to add up to 1.

    Parameters
    ----------
    scores, codes : array (N, L)
        Attributions of the bases that are there, and base codes, RNA sense.
    seqlets : Seqlets
    length : int
        Of the seqlets, in nt.
    """
    return _matrices(scores, codes, seqlets, length, 0)[0].reshape(len(seqlets), -1).astype(np.float32)


def _matrices(
    scores: NDArray[np.floating], codes: Codes, seqlets: Seqlets, length: int, flank: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], Codes]:
    """Return scores at the letters (S, W, 4), scores (S, W) and letters (S, W) of seqlets with their flanks.

    Negative scores are 0; those of the seqlet without its flanks add up to 1.
    """
    wide = length + 2 * flank
    letters = cut(codes, seqlets, wide, before=flank, fill=UNKNOWN)
    values = np.maximum(cut(scores, seqlets, wide, before=flank), 0).astype(np.float64)
    values /= np.maximum(values[:, flank : flank + length].sum(axis=1, keepdims=True), np.finfo(float).tiny)
    return values[..., np.newaxis] * np.eye(5)[letters][..., :4], values, letters


def embed(vectors: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """Embed seqlets in two dimensions by UMAP; the same vectors and seed give the same result."""
    with warnings.catch_warnings():
        # One thread is what makes a seeded UMAP reproducible; saying so again is no news. Equal seqlets (runs of one
        # base) fall apart from the graph: they are a cluster of their own.
        for message in ("n_jobs value", "Graph is not fully connected", "(?s).*disconnected"):
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        from umap import UMAP

        model = UMAP(
            n_neighbors=min(15, len(vectors) - 1), min_dist=0.0, init="pca", random_state=seed, n_jobs=1, n_components=2
        )
        return np.asarray(model.fit_transform(vectors), dtype=np.float64)


def cluster(points: NDArray[np.floating], eps: float) -> list[NDArray[np.int64]]:
    """Return the rows of every cluster that DBSCAN finds, largest first (ties: by the first row)."""
    from sklearn.cluster import DBSCAN

    labels = DBSCAN(eps=eps, min_samples=max(5, len(points) // 100)).fit_predict(points)
    found = [np.flatnonzero(labels == label) for label in range(labels.max(initial=-1) + 1)]
    return sorted(found, key=lambda rows: (-len(rows), int(rows[0])))


def align(scores: NDArray[np.floating], codes: Codes, seqlets: Seqlets, length: int) -> Seqlets:
    """Shift the seqlets of one cluster by up to half their length onto their common average.

    Each goes where its scores agree best with the cluster's average, which is then taken anew. The cluster as a whole
    stays where its summed score is highest. A window that would hold an unknown base or leave the sequence stays.

    Parameters as :func:`seqlet_vectors`.
    """
    reach = length // 2
    wide = length + 2 * reach
    matrices, values, letters = _matrices(scores, codes, seqlets, length, reach)
    shifts = np.arange(-reach, reach + 1)
    # Of equal agreement the smallest move, then the one to the left.
    by_size = shifts[np.lexsort((shifts, np.abs(shifts)))]
    allowed = np.stack([(letters[:, reach + s : reach + s + length] < UNKNOWN).all(axis=1) for s in by_size], axis=1)
    allowed |= by_size == 0
    moves = np.zeros(len(seqlets), dtype=np.int64)
    rows = np.arange(len(seqlets))
    for _ in range(_ROUNDS):
        average = matrices[rows[:, np.newaxis], reach + moves[:, np.newaxis] + np.arange(length)].mean(axis=0)
        agreement = np.stack([(matrices[:, reach + s : reach + s + length] * average).sum((1, 2)) for s in by_size], 1)
        better = by_size[np.where(allowed, np.round(agreement, 6), -np.inf).argmax(axis=1)]
        # All of them together go where the cluster's score is highest.
        padded = np.pad(values, ((0, 0), (wide, wide)))
        inside = wide + reach + better[:, np.newaxis] + np.arange(length)
        sums = [padded[rows[:, np.newaxis], inside + s].sum() for s in by_size]
        framed = np.clip(better + by_size[int(np.argmax(np.round(sums, 6)))], -reach, reach)
        framed = np.where(allowed[rows, np.argsort(by_size)[framed + reach]], framed, better)
        if (framed == moves).all():
            break
        moves = framed
    return _distinct(Seqlets(seqlets.site, seqlets.start + moves))


def _distinct(seqlets: Seqlets) -> Seqlets:
    """Keep one of seqlets that have moved onto each other."""
    _, rows = np.unique(np.stack([seqlets.site, seqlets.start], axis=1), axis=0, return_index=True)
    return seqlets.take(rows)


def counts(codes: Codes, seqlets: Seqlets, length: int, flank: int = 0) -> NDArray[np.int64]:
    """Return the (length + 2 flank, 4) counts of bases at the aligned positions; unknown bases count nowhere.

    Parameters as :func:`seqlet_vectors`; ``flank`` (nt) bases on either side are counted, too.
    """
    letters = cut(codes, seqlets, length + 2 * flank, before=flank, fill=UNKNOWN)
    return np.stack([(letters == base).sum(axis=0) for base in range(4)], axis=1).astype(np.int64)


def merge_copies(codes: Codes, clusters: Sequence[Seqlets], length: int) -> list[Seqlets]:
    """Join clusters that are shifted copies of a larger one; largest first. Parameters as :func:`seqlet_vectors`."""
    merged: list[Seqlets] = []
    for one in sorted(clusters, key=lambda seqlets: (-len(seqlets), seqlets.site[0], seqlets.start[0])):
        for place, larger in enumerate(merged):
            shift, likeness = best_shift(
                frequencies(counts(codes, larger, length)), frequencies(counts(codes, one, length, flank=length // 2))
            )
            if likeness >= SAME_MOTIF:
                moved = Seqlets(one.site, one.start + shift - length // 2)
                moved = moved.take(np.flatnonzero((cut(codes, moved, length, fill=UNKNOWN) < UNKNOWN).all(axis=1)))
                both = Seqlets(np.append(larger.site, moved.site), np.append(larger.start, moved.start))
                merged[place] = _distinct(both)
                break
        else:
            merged.append(one)
    return sorted(merged, key=lambda seqlets: (-len(np.unique(seqlets.site)), seqlets.site[0], seqlets.start[0]))


def best_shift(motif: NDArray[np.float64], wider: NDArray[np.float64]) -> tuple[int, float]:
    """Return where a motif lies best in a wider one, and the correlation of the base frequencies there."""
    length = len(motif)
    centred = motif - 0.25
    found = []
    for shift in range(len(wider) - length + 1):
        other = wider[shift : shift + length] - 0.25
        norm = np.sqrt((centred**2).sum() * (other**2).sum())
        found.append(float((centred * other).sum() / norm) if norm > 0 else 0.0)
    best = int(np.argmax(np.round(found, 9)))
    return best, found[best]


def informative(pfm: NDArray[np.int64], flank: int) -> tuple[int, int]:
    """Return the part of a motif that is left when flanks that say nothing are cut.

    A position of a flank goes, from outside inwards, while its information is below a fifth of a bit beyond what
    chance gives for so many sites.
    """
    n = np.maximum(pfm.sum(axis=1), 1)
    bits = information(frequencies(pfm)) - 3 / (2 * np.log(2) * n)
    first, last = 0, len(pfm)
    while first < flank and bits[first] < _TRIM_BITS:
        first += 1
    while last > len(pfm) - flank and bits[last - 1] < _TRIM_BITS:
        last -= 1
    return first, last


def weighted_frequencies(
    scores: NDArray[np.floating], codes: Codes, seqlets: Seqlets, length: int, flank: int
) -> NDArray[np.float64]:
    """Return (length + 2 flank, 4) base frequencies in which every base counts by its attribution.

    Attributions are those of :func:`seqlet_vectors` (negative ones 0, scaled per seqlet), so this is the cluster's
    average map (what the paper shows), scaled to add up to 1 at every position. Positions with little attribution
    are drawn towards 0.25 each: by their share of the highest one to the power :data:`_FLATTEN`.

    Parameters as :func:`seqlet_vectors`; ``flank`` (nt) bases on either side are in it, too.
    """
    average = _matrices(scores, codes, seqlets, length, flank)[0].mean(axis=0)
    total = average.sum(axis=1, keepdims=True)
    certainty = (total / max(float(total.max()), np.finfo(float).tiny)) ** _FLATTEN
    share = np.where(total > 0, average / np.maximum(total, np.finfo(float).tiny), 0.25)
    return certainty * share + (1 - certainty) * 0.25
