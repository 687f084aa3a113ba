"""From attribution maps to the motifs of an RBP, matched to known ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ripe_lib.attribution.compute import integrated_gradients
from ripe_lib.attribution.inputs import network_inputs
from ripe_lib.attribution.maps import gaps_ignored, letter_scores
from ripe_lib.errors import InputError, ShapeMismatchError, check_known
from ripe_lib.genome.encoding import Codes, codes_from_one_hot, decode_sequence
from ripe_lib.motifs import clusters
from ripe_lib.motifs.databases import MotifDatabase, load_database
from ripe_lib.motifs.match import CountedMotif, matches_of
from ripe_lib.motifs.meme import MotifMatrix, iupac_consensus
from ripe_lib.motifs.seqlets import Seqlets, cut, top_windows
from ripe_lib.network.load import Model
from ripe_lib.network.predict import predict
from ripe_lib.output.console import steps

DEFAULT_SITES = 1000
FEWEST_SITES = 5
FLANK = 2
_SITES_PER_CALL = 256


@dataclass(frozen=True)
class MotifOptions:
    """How maps become motifs; all of them as for :func:`find_motifs`."""

    length: int = 6
    min_score: float = 0.5
    method: str = "umap-dbscan"
    n_windows: int = 1
    flank: int = FLANK
    max_sites: int | None = DEFAULT_SITES
    n_steps: int = 50
    batch_size: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        check_known("method", self.method, ("umap-dbscan", "single"))
        if not 0 <= self.min_score < 1:
            raise InputError(f"min_score: expected a probability from 0 to below 1, got {self.min_score}.")


@dataclass(frozen=True, kw_only=True)
class Motif(CountedMotif):
    """A motif that a model has learned for one task: ``<task>.1``, ``<task>.2``, ... by falling number of sites.

    ``fraction`` is ``n_sites`` divided by all true sites that were given. ``weighted`` (W', 4) are frequencies in which
    every base counts by its attribution; this is what is compared with known motifs. It holds all flanks: position 0 of
    ``pfm`` is position ``first`` of it. ``kmers`` counts site k-mers at the motif's place, most frequent first.
    """

    fraction: float
    weighted: NDArray[np.float64] = field(repr=False)
    first: int = field(repr=False)
    kmers: dict[str, int] = field(repr=False)


@dataclass(frozen=True)
class MotifSearch:
    """The motifs of a task and the sites they come from."""

    task: str
    rbp: str
    n_true: int  # true sites that were given
    n_used: int  # those with a prediction above the bound, at most ``max_sites``: their maps were made
    motifs: list[Motif]


def find_motifs(
    model: Model,
    windows: Any,
    *,
    task: str,
    length: int = 6,
    min_score: float = 0.5,
    method: str = "umap-dbscan",
    labels: ArrayLike | None = None,
    database: MotifDatabase | str | Path | None = "consensus",
    rbp: str | None = None,
    n_windows: int = 1,
    flank: int = FLANK,
    max_sites: int | None = DEFAULT_SITES,
    n_steps: int = 50,
    batch_size: int = 1024,
    seed: int = 0,
) -> list[Motif]:
    """Collect the attribution maps of an RBP's sites into its motifs and match them to known ones.

    Parameters
    ----------
    model : Model
    windows : Windows, dict or array
        Sites, as for :func:`ripe_lib.predict`.
    task : str
        Output to explain.
    length : int
        Of the windows that are searched in the maps, in nt.
    min_score : float
        Sites with a prediction above this are used.
    method : str
        ``"umap-dbscan"`` as the paper, or ``"single"``: all windows are aligned to one consensus (also what happens
        to fewer than 30 windows).
    labels : (B,) bool, optional
        Which windows are true sites; others are not used. Default: all.
    database : MotifDatabase, ``"consensus"``, ``"attract"``, path of a MEME file, or None
        Known motifs, see :func:`ripe_lib.motifs.databases.load_database`.
    rbp : str, optional
        Protein of the task, to mark its known motifs. Default: what stands before the first ``_`` of the task.
    n_windows : int
        Windows taken per map at most.
    flank : int
        The motif may grow by so many positions on each side where the bases there are not random.
    max_sites : int or None
        Only so many sites, those with the highest predictions, are explained.
    n_steps : int
        Of integrated gradients.
    batch_size : int
        Windows per network call; changes nothing but speed.
    seed : int
        Of the embedding.

    Returns
    -------
    list of Motif
        By falling number of sites; empty if no site has a prediction above ``min_score``. The order of the sites
        changes nothing.

    Raises
    ------
    UnknownNameError
        For an unknown task or method.
    InputError, ShapeMismatchError
        If length, score or labels make no sense.

    Notes
    -----
    Source: paper, Methods, "consensus motifs". Left open there: how many windows per map, all parameters of UMAP and
    DBSCAN, and how clusters are joined; see docs/motifs.md for what is done here.
    """
    options = MotifOptions(length, min_score, method, n_windows, flank, max_sites, n_steps, batch_size, seed)
    known = load_database(database) if isinstance(database, str | Path) else database
    return search_motifs(model, windows, task, options, labels=labels, database=known, rbp=rbp).motifs


def search_motifs(
    model: Model,
    windows: Any,
    task: str,
    options: MotifOptions,
    *,
    labels: ArrayLike | None = None,
    database: MotifDatabase | None = None,
    rbp: str | None = None,
    n_true: int | None = None,
) -> MotifSearch:
    """Find motifs, and say how many sites there were; parameters as :func:`find_motifs`.

    ``n_true`` is the number of true sites, when those with low predictions were left out before.
    """
    index = model.spec.task_index(task)
    longest = min(30, model.spec.sequence_length)
    if not 3 <= options.length <= longest:
        raise InputError(f"motif length: expected 3 to {longest} nt, got {options.length}.")
    inputs = network_inputs(model, windows)
    scores = np.zeros(len(inputs.seq))
    is_site = np.ones(len(scores), dtype=bool) if labels is None else np.asarray(labels) == 1
    if is_site.shape != scores.shape:
        raise ShapeMismatchError(f"labels: expected shape {scores.shape}, got {is_site.shape}.")
    rows = np.flatnonzero(is_site)
    if len(rows):
        scores[rows] = predict(model, _take(inputs, rows), batch_size=options.batch_size)[:, index]
    codes = codes_from_one_hot(inputs.seq)
    used = _chosen(rows[scores[rows] > options.min_score], scores, codes, inputs.region, options.max_sites)
    protein = task.split("_")[0] if rbp is None else rbp
    n_true = int(is_site.sum()) if n_true is None else n_true
    if not len(used):
        return MotifSearch(task, protein, n_true, 0, [])
    letters = []
    with gaps_ignored():  # a motif is an average of hundreds of maps: a gap of a hundredth in one does not matter
        for first in steps(range(0, len(used), _SITES_PER_CALL), f"explaining {task}", leave=False):
            some = _take(inputs, used[first : first + _SITES_PER_CALL])
            maps = integrated_gradients(model, some, task=task, n_steps=options.n_steps)
            letters.append(letter_scores(maps.seq, some["seq"]))
    motifs = motifs_from_maps(np.concatenate(letters), codes[used], options, name=task, n_true=n_true)
    if database is not None:
        motifs = with_matches(motifs, database, protein)
    return MotifSearch(task, protein, n_true, len(used), motifs)


def motifs_from_maps(
    scores: NDArray[np.floating], codes: Codes, options: MotifOptions, *, name: str, n_true: int
) -> list[Motif]:
    """Collect ready maps, attributions (B, L) of the letters of sites (B, L), into motifs.

    Parameters
    ----------
    scores, codes, options
    name : str
        First part of the motifs' names.
    n_true : int
        Number of all true sites, for ``fraction``.
    """
    length, flank = options.length, options.flank
    seqlets = top_windows(scores, codes, length, n_windows=options.n_windows)
    groups = _groups(scores, codes, seqlets, options)
    fewest = min(FEWEST_SITES, len(codes))
    groups = [group for group in groups if len(np.unique(group.site)) >= fewest]
    motifs = []
    for number, group in enumerate(groups, start=1):
        pfm = clusters.counts(codes, group, length, flank)
        first, last = clusters.informative(pfm, flank)
        n_sites = len(np.unique(group.site))
        motifs.append(
            Motif(
                name=f"{name}.{number}",
                pfm=pfm[first:last],
                consensus=iupac_consensus(pfm[first:last]),
                n_sites=n_sites,
                fraction=n_sites / max(n_true, 1),
                weighted=clusters.weighted_frequencies(scores, codes, group, length, flank),
                first=first,
                kmers=_kmers(codes, group, length),
            )
        )
    return motifs


def with_matches(motifs: Sequence[Motif], database: MotifDatabase, rbp: str) -> list[Motif]:
    """Return the motifs of a protein with their matches; parameters as :func:`ripe_lib.motifs.match.matches_of`."""
    queries = [MotifMatrix(motif.name, motif.consensus, motif.weighted) for motif in motifs]
    found = matches_of(queries, database, rbp=rbp).values()
    # From here on positions are those of the motif that is shown.
    return [
        replace(motif, matches=matches.assign(offset=matches["offset"] - motif.first))
        for motif, matches in zip(motifs, found, strict=True)
    ]


def _groups(scores: NDArray[np.floating], codes: Codes, seqlets: Seqlets, options: MotifOptions) -> list[Seqlets]:
    length = options.length
    if not len(seqlets):
        return []
    if options.method == "single" or len(seqlets) < clusters.FEWEST_TO_EMBED:
        return [clusters.align(scores, codes, seqlets, length)]
    vectors = clusters.seqlet_vectors(scores, codes, seqlets, length)
    if len(np.unique(np.round(vectors, 3), axis=0)) < clusters.FEWEST_TO_EMBED:
        parts = clusters.cluster(vectors, clusters.EPS_VECTORS)
    else:
        parts = clusters.cluster(clusters.embed(vectors, options.seed), clusters.EPS_EMBEDDED)
    found = [clusters.align(scores, codes, seqlets.take(rows), length) for rows in parts]
    return clusters.merge_copies(codes, found, length)


def _kmers(codes: Codes, group: Seqlets, length: int) -> dict[str, int]:
    words, times = np.unique(cut(codes, group, length, fill=4), axis=0, return_counts=True)
    order = np.argsort(-times, kind="stable")
    return {decode_sequence(words[i], rna=True): int(times[i]) for i in order}


def _chosen(
    rows: NDArray[np.int64],
    scores: NDArray[np.float64],
    codes: Codes,
    region: NDArray[np.float32] | None,
    max_sites: int | None,
) -> NDArray[np.int64]:
    """Return the rows to explain in an order that depends on what they hold only."""
    keys = [codes[row].tobytes() + (b"" if region is None else region[row].tobytes()) for row in rows]
    rows = rows[np.array(sorted(range(len(rows)), key=keys.__getitem__), dtype=np.int64)]
    if max_sites is not None and len(rows) > max_sites:
        # Rounded: a batch of another size moves the last digits of a prediction.
        rows = rows[np.sort(np.argsort(-np.round(scores[rows], 5), kind="stable")[:max_sites])]
    return rows


def _take(inputs: Any, rows: NDArray[np.int64]) -> dict[str, Any]:
    return {name: array[rows] for name, array in inputs._asdict().items() if array is not None}
