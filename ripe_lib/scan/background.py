"""Scores of sequence without signals, and what a false-positive rate means for long and for short input.

*Long input* (stretches of a genome, transcripts and RNAs of at least one window): the rate is the share of **bins** of
the background that may belong to a site. Bins of the background are half a window apart, because neighbours
see nearly the same bases: twenty of them say as little as one.

*Short RNAs* (shorter than the window): every window sees the whole RNA, so an RNA is one question, not as many as it
has bases. The rate is the share of random **RNAs** of about the same length that show a site anywhere. Around
them there are as many unknown bases as around the RNAs of the input, and they have the same region types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import UNKNOWN, Codes
from ripe_lib.network.network import Floats
from ripe_lib.scan.engine import Scanner, Stretch
from ripe_lib.scan.memory import SequenceSource
from ripe_lib.scan.shuffle import human_like, shuffle_dinucleotides
from ripe_lib.scan.sources import Run, Source, stretches

BACKGROUNDS = ("auto", "input", "human")
BIN_RATE, RNA_RATE = 0.01, 0.05  # default false-positive rates: of bins, of short RNAs
SHORT_INPUT = 100_000  # nt; below this an input's own composition is a signal, not a background
NULL_RUN = 2_000  # letters shuffled together
NULL_HITS = 20  # units of background that should at least reach the threshold
LEAST_BINS, LEAST_RNAS = 5_000, 2_000
LENGTH_RATIO = 1.25  # longest to shortest RNA that share a background

Replace = Callable[[Codes, np.random.Generator], Codes]


class Group(NamedTuple):
    """Runs that share a threshold: all long ones, or short RNAs of about one length."""

    runs: tuple[Run, ...]
    lengths: tuple[int, int] | None  # shortest and longest RNA; None: long input

    @property
    def is_short(self) -> bool:
        """Whether RNAs count, not bins."""
        return self.lengths is not None

    @property
    def name(self) -> str:
        """For people."""
        if self.lengths is None:
            return "all bins"
        low, high = self.lengths
        return f"RNAs of {low} nt" if low == high else f"RNAs of {low} to {high} nt"


def thresholds_at(background: Floats, rate: float) -> NDArray[np.float64]:
    """Return the lowest probability per task that at most ``rate`` of a background (n, T; ascending) reaches, (T,)."""
    allowed = int(rate * len(background))
    return np.nextafter(background[len(background) - 1 - allowed], np.float32(2)).astype(np.float64)


def groups_of(source: Source, runs: Sequence[Run], window: int) -> list[Group]:
    """Put runs together that share a background: long input first, then short RNAs by length.

    Parameters
    ----------
    source : Source
    runs : sequence of Run
    window : int
        Letters of the model's sequence window; RNAs and transcripts below are short.
    """
    if source.kind == "genome":  # there are real bases around every stretch
        return [Group(tuple(runs), None)]
    lengths = source.contigs
    long = tuple(run for run in runs if lengths[run.contig] >= window)
    found = [Group(long, None)] if long else []
    short = sorted((run for run in runs if lengths[run.contig] < window), key=lambda run: lengths[run.contig])
    while short:
        shortest = lengths[short[0].contig]
        members = [run for run in short if lengths[run.contig] <= LENGTH_RATIO * shortest]
        found.append(Group(tuple(members), (shortest, lengths[members[-1].contig])))
        short = short[len(members) :]
    return found


def background_of(
    scanner: Scanner, source: Source, group: Group, rate: float, kind: str, rng: np.random.Generator
) -> Floats:
    """Score a background for a group, large enough to tell ``rate``, a number between 0 and 1.

    Returns probabilities of single bins, or the highest one of each random RNA; ascending in each column, (n, T).

    Parameters
    ----------
    scanner : Scanner
    source : Source
    group : Group
    rate : float
    kind : str
        ``"input"``: the group's own bases, dinucleotides shuffled; ``"human"``: random sequence with the dinucleotides
        of human genes; ``"auto"``: ``human`` for short RNAs and for less than :data:`SHORT_INPUT` nt, because a
        short U-rich RNA stays U-rich when shuffled.
    rng : numpy Generator
    """
    if kind not in BACKGROUNDS:
        raise InputError(f"background: expected one of {', '.join(BACKGROUNDS)}, got {kind!r}.")
    if kind == "auto":
        is_little = sum(run.n for run in group.runs) * scanner.step < SHORT_INPUT
        kind = "human" if group.is_short or is_little else "input"
    replace: Replace = _drawn if kind == "human" else _shuffled
    draw, least = (_best_of_rnas, LEAST_RNAS) if group.is_short else (_scores_of_bins, LEAST_BINS)
    n = max(least, int(np.ceil(NULL_HITS / rate)))
    return np.sort(draw(scanner, source, group.runs, n, replace, rng), axis=0)


def _best_of_rnas(
    scanner: Scanner, source: Source, runs: Sequence[Run], n: int, replace: Replace, rng: np.random.Generator
) -> Floats:
    """Return the highest score per task of ``n`` RNAs of the input whose bases are replaced, (n, T)."""
    found: list[Stretch] = []
    firsts = []  # of each RNA in ``found``: one stretch, two if the last bin is shorter
    for number in rng.integers(len(runs), size=n).tolist():
        run = runs[number]
        bases, regions = source.codes(run.contig, 0, source.contigs[run.contig], False)
        made = SequenceSource(replace(bases, rng), regions, run.contig, source.landmarks)
        firsts.append(len(found))
        found += stretches(made, run, scanner)
    best = np.stack([scores.max(axis=0) for scores in scanner.scores(found)])
    return np.maximum.reduceat(best, firsts, axis=0)


def _scores_of_bins(
    scanner: Scanner, source: Source, runs: Sequence[Run], n: int, replace: Replace, rng: np.random.Generator
) -> Floats:
    """Return at least ``n`` scores of the input's bins with other bases, about half a window apart, (n, T).

    Every bin has the same chance. Pieces of up to :data:`NULL_RUN` letters have their bases replaced together with the
    flanks; unknown bases at the ends of RNAs, region types and landmarks stay.
    """
    hop = max(1, scanner.lengths[0] // 2 // scanner.step)
    sparse = scanner.at_step(scanner.step * hop)
    found: list[Stretch] = []
    total = 0
    for run in _pieces(runs, max(1, NULL_RUN // scanner.step), rng):
        for stretch in stretches(source, run, scanner):
            phase = int(rng.integers(hop))
            kept = -(-(stretch.n - phase) // hop)
            if kept <= 0:
                continue
            skipped = phase * scanner.step
            first, region_first = stretch.seq_first + skipped, stretch.region_first + skipped
            landmarks = None if stretch.landmarks is None else stretch.landmarks[phase::hop][:kept]
            found.append(Stretch(replace(stretch.seq, rng), stretch.region, first, region_first, kept, landmarks))
            total += kept
        if total >= n:
            break
    return np.concatenate(sparse.scores(found))


def _pieces(runs: Sequence[Run], longest: int, rng: np.random.Generator) -> Iterator[Run]:
    """Cut runs into about equal pieces and draw from these for ever; so every bin has the same chance."""
    n_pieces = np.array([-(-run.n // longest) for run in runs])
    ends = np.cumsum(n_pieces)
    while True:
        piece = int(rng.integers(ends[-1]))
        number = int(np.searchsorted(ends, piece, side="right"))
        run, parts = runs[number], int(n_pieces[number])
        part = piece - int(ends[number]) + parts
        first, end = run.n * part // parts, run.n * (part + 1) // parts
        yield run._replace(first=run.first + first, n=end - first)


def _drawn(codes: Codes, rng: np.random.Generator) -> Codes:
    return np.where(codes == UNKNOWN, codes, human_like(len(codes), rng))


def _shuffled(codes: Codes, rng: np.random.Generator) -> Codes:
    known = np.flatnonzero(codes != UNKNOWN)
    if not len(known):
        return codes
    shuffled = codes.copy()
    inner = slice(known[0], known[-1] + 1)
    shuffled[inner] = shuffle_dinucleotides(codes[inner], rng)
    return shuffled
