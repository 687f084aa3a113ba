"""Peak files + genome + annotation -> labelled bins."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError, check_known
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import UNKNOWN, Codes
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.windows import window_start
from ripe_lib.network.weights import sha256_of
from training.config import Note
from training.data.backgrounds import BackgroundOptions, background_bins
from training.data.peak_table import PeakTask, read_peak_table
from training.data.peaks import (
    LONG_PEAKS,
    REPLICATES,
    RULES,
    Axis,
    Ints,
    PeakSet,
    Transcriptome,
    bins_of_peaks,
    combine,
    read_peaks,
)
from training.data.sites import WindowOptions

CHUNK = 65_536
SAMPLE = 5000  # peaks whose borders are looked at
# Number of peaks of an RBP: at least the first, below the second.
TIERS: dict[str, dict[str, tuple[float, float]]] = {
    "parclip": {"high": (100_001, np.inf), "mid": (15_000, 100_001), "low": (0, 15_000)},
    "eclip": {
        "high1": (10_001, np.inf),
        "high2": (7_000, 10_001),
        "mid1": (4_000, 7_000),
        "mid2": (2_000, 4_000),
        "low": (1_000, 2_000),
    },
}


@dataclass(frozen=True)
class PeakInput:
    """Peaks and how they become labels; see :mod:`training.data.peaks` for the rules."""

    fasta_file: Path
    gtf_file: Path
    table: Path  # of peak files, see training.data.peak_table
    bin: int = 50  # bin length, nt: the paper's 50 for PAR-CLIP, 100 for eCLIP
    rule: str = "majority"
    long_peaks: str = "centre"
    min_overlap: int = 1
    replicates: str = "merge"  # or "intersect": several files of one task
    transcript_types: tuple[str, ...] | None = None  # biotypes whose transcripts are the transcriptome; default: all
    # Biotypes that do not count, by a part of their name: [pseudogene] (the paper).
    excluded_types: tuple[str, ...] = ()
    either_strand: bool = False  # a bin counts as transcribed if a transcript of either strand overlaps it (the paper)
    # Bins whose sequence window has more unknown bases are left out. Default: only those without a known base.
    max_unknown: int | None = None
    min_bins: int = 0  # a task with fewer bins is left out, and named
    tasks: tuple[str, ...] | None = None  # tasks of the table to use, in this order; default: all
    # "none", "parclip" or "eclip" (the paper's borders, TIERS), or name -> [least, most] peaks (those in the source,
    # where the table says so). Every tier becomes a data set of its own, named after the output.
    tiers: str | dict[str, Any] = "none"
    background: BackgroundOptions = field(default_factory=BackgroundOptions)
    join_equal_sequences: bool = True  # keep bins whose windows have the same sequence in one split

    def __post_init__(self) -> None:
        check_known("label rule", self.rule, RULES)
        check_known("long_peaks", self.long_peaks, LONG_PEAKS)
        check_known("replicates", self.replicates, REPLICATES)
        if self.bin < 2 or self.bin % 2 or self.min_overlap < 1:
            raise InputError(f"peaks: expected an even bin length and min_overlap >= 1, got {self.bin}.")
        if isinstance(self.tiers, str):
            check_known("tiers", self.tiers, ("none", *TIERS))

    def tier_borders(self) -> dict[str, tuple[float, float]]:
        """Return tier -> (least, too many) peaks; empty for no tiers."""
        if isinstance(self.tiers, str):
            return TIERS.get(self.tiers, {})
        borders = {}
        for name, pair in self.tiers.items():
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise InputError(f"peaks: tier {name!r}: expected [least, most] numbers of peaks, got {pair!r}.")
            borders[str(name)] = (float(pair[0]), np.inf if pair[1] is None else float(pair[1]) + 1)
        return borders


@dataclass
class Bins:
    """Labelled bins of all tasks."""

    axis: Axis
    genome: Genome
    annotation: Annotation
    tasks: list[PeakTask]
    bins: Ints  # (N,), sorted numbers on the axis
    labels: NDArray[np.int8]  # (N, T), 1 or 0
    # One row per task: task, rbp, protocol, cell_line, files, peaks, outside, bins, and the share of G at and around
    # the borders of its peaks.
    peaks: pd.DataFrame
    inputs: dict[str, str]  # file -> sha256


def label_bins(config: PeakInput, seed: int, note: Note) -> Bins:
    """Read all peak files and label the bins of the transcriptome.

    Parameters
    ----------
    config : PeakInput
    seed : int
        Of the bins drawn as background, and of the peaks whose ends are looked at.
    note : callable
        Takes remarks for the user.

    Raises
    ------
    RipeError
        For wrong files (file and line), or an RBP none of whose peaks lies on a transcript.
    """
    genome = Genome(config.fasta_file)
    annotation = Annotation.load(config.gtf_file).for_genome(genome)
    axis = Axis(genome.contigs, config.bin)
    transcriptome = Transcriptome(
        axis,
        annotation,
        genome,
        config.transcript_types,
        excluded_types=config.excluded_types,
        either_strand=config.either_strand,
    )
    listed = {task.task: task for task in read_peak_table(config.table)}
    for name in config.tasks or ():
        check_known(f"task of {config.table}", name, listed)
    tasks = [listed[name] for name in config.tasks or listed]
    inputs = {path.name: sha256_of(path) for path in (config.fasta_file, config.gtf_file, config.table)}
    positive: list[Ints] = []
    records: list[dict[str, Any]] = []
    for number, task in enumerate(tasks):
        read = [read_peaks(path, axis, genome, annotation) for path in task.files]
        inputs.update({f"{task.task}/{path.name}": sha256_of(path) for path in task.files})
        peaks = combine([one for one, _ in read], config.replicates)
        bins = bins_of_peaks(
            peaks, config.bin, rule=config.rule, long_peaks=config.long_peaks, min_overlap=config.min_overlap
        )
        inside = axis.is_complete(bins) & transcriptome.overlaps(bins)
        if not inside.any():
            raise InputError(
                f"{task.files[0]}: expected peaks of {task.task} on transcripts of {config.gtf_file}, got none of "
                f"{len(peaks)}. Are peaks and annotation of the same assembly, and the strands right?"
            )
        n = len(bins) + sum(left_out for _, left_out in read)
        outside = n - int(inside.sum())
        if outside > 0.5 * n:
            note(f"warning: {outside} of {n} sites of {task.task} lie outside all transcripts")
        positive.append(np.unique(bins[inside]))
        records.append(
            {
                **{name: getattr(task, name) for name in ("task", "rbp", "protocol", "cell_line")},
                **{"files": len(task.files), "peaks": len(peaks), "outside": outside, "bins": len(positive[-1])},
                **_share_of_g(peaks, axis, genome, np.random.default_rng([seed, number])),
            }
        )
        note(f"{task.task}: {len(peaks)} peaks, {len(positive[-1])} bins, {outside} outside all transcripts")
    bound = np.unique(np.concatenate(positive))
    background = background_bins(transcriptome, bound, config.background, np.random.default_rng([seed, 0xBAC6]))
    if config.background.strategy != "none":
        note(f"{len(background)} background bins ({config.background.strategy})")
    bins = np.union1d(bound, background)
    labels = np.zeros((len(bins), len(tasks)), dtype=np.int8)
    for column, part in enumerate(positive):
        labels[np.searchsorted(bins, part), column] = 1
    return Bins(axis, genome, annotation, tasks, bins, labels, pd.DataFrame(records), inputs)


def _share_of_g(peaks: PeakSet, axis: Axis, genome: Genome, rng: np.random.Generator) -> dict[str, float]:
    """Return the share of G before, at the first, middle and last base of a sample of peaks (RNA sense).

    RNase T1 cuts after G: then the last base, and the base before the first, are G far more often than the middle.
    """
    rows = np.sort(rng.choice(len(peaks), min(SAMPLE, len(peaks)), replace=False))
    chrom, first, _, strand = axis.intervals(peaks.start[rows] // axis.bin_length)
    start = first + peaks.start[rows] % axis.bin_length
    end = start + (peaks.end - peaks.start)[rows]
    minus = strand == "-"
    places = {
        "g_before": np.where(minus, end, start - 1),
        "g_first": np.where(minus, end - 1, start),
        "g_middle": (start + end - 1) // 2,
        "g_last": np.where(minus, start, end - 1),
    }
    return {name: round(float((genome.fetch(chrom, at, 1, minus) == 2).mean()), 4) for name, at in places.items()}


class CodeMaker:
    """Base and region codes of bins, with margins, slice by slice."""

    def __init__(self, labelled: Bins, bins: Ints, window: WindowOptions) -> None:
        self.genome, self.annotation, self.window = labelled.genome, labelled.annotation, window
        self.chrom, start, end, strand = labelled.axis.intervals(bins)
        self.minus = strand == "-"
        self.sequence_start = window_start(start, end, window.sequence_length) - window.margin
        self.region_start = window_start(start, end, window.region_length) - window.margin

    def seq(self, part: slice) -> Codes:
        """Return base codes (n, L + 2 margin)."""
        return self.genome.fetch(self.chrom[part], self.sequence_start[part], self.window.seq_width, self.minus[part])

    def __call__(self, part: slice) -> tuple[Codes, Codes]:
        """Return base codes (n, L + 2 margin) and region-type codes (n, R + 2 margin)."""
        chrom, start, minus = self.chrom[part], self.region_start[part], self.minus[part]
        return self.seq(part), self.annotation.region_codes(chrom, start, self.window.region_width, minus)


def sequence_keys(maker: CodeMaker) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return a 64-bit key of every window's sequence (equal sequences, equal keys) and its number of unknown bases."""
    n, length, margin = len(maker.chrom), maker.window.sequence_length, maker.window.margin
    factors = np.random.default_rng(0x5E9).integers(1, 2**63, size=length, dtype=np.uint64) | np.uint64(1)
    keys, n_unknown = np.empty(n, dtype=np.uint64), np.empty(n, dtype=np.int64)
    for first in range(0, n, CHUNK):
        part = slice(first, first + CHUNK)
        codes = maker.seq(part)[:, margin : margin + length]
        keys[part] = np.einsum("ij,j->i", codes, factors)  # a linear hash modulo 2**64
        n_unknown[part] = (codes == UNKNOWN).sum(axis=1)
    return keys, n_unknown
