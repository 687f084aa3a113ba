"""From a source to files: scores in resumable parts, then tracks, tables and sites in one pass over them.

Parts (float32 scores) lie in a hidden folder beside the first output until everything is
written. A scan that was killed continues with the parts it finished; the outputs are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripe_lib.errors import InputError, OutputError
from ripe_lib.network.load import Model, load_model
from ripe_lib.network.network import Floats
from ripe_lib.output import chunked
from ripe_lib.output.atomic import remove_leftovers
from ripe_lib.scan.engine import Scanner
from ripe_lib.scan.output import Outputs, check_outputs
from ripe_lib.scan.site_maps import SiteMapWriter
from ripe_lib.scan.site_table import SiteWriter
from ripe_lib.scan.sources import Run, Source, bin_bounds, in_fasta_order, stretches
from ripe_lib.scan.summary import SummaryWriter
from ripe_lib.scan.thresholds import ThresholdChoice, find_thresholds

LONG_INPUT = 1_000_000  # nt; above this the default step is the bin size
PART_WINDOWS = 50_000
PART_LETTERS = 500_000


@dataclass
class ScanOptions:
    """What to compute; see :func:`scan_to_files`."""

    step: int | None = None
    tasks: Sequence[str] | None = None
    thresholds: ThresholdChoice = field(default_factory=ThresholdChoice)
    distance: int | None = None
    kmer_length: int | None = None
    long: bool = False
    min_score: float = 0.0
    threads: int | None = None
    batch_size: int = 1024
    scheduler: str | None = None


@dataclass
class ScanResult:
    """What was done.

    Attributes
    ----------
    step : int
    tasks : sequence of str
        Those asked for, in this order; none if all were scanned.
    n_bins, n_sites, n_transcripts : int
        Sites of the isoforms of a gene at one place count once; transcripts in the summary.
    thresholds : DataFrame
        ``of task threshold``: probability from which a bin belongs to a site, for which input; empty if no sites were
        called.
    threshold_note : str
        How they were found, for people.
    files : list of Path
    best_sites : DataFrame
        Up to 5,000 sites with the highest scores, best first, in coordinates of the source's contigs; of transcripts
        with ``gene``, ``isoforms`` and ``place`` in the genome.
    """

    step: int
    tasks: Sequence[str] = ()
    n_bins: int = 0
    n_sites: int = 0
    n_transcripts: int = 0
    thresholds: pd.DataFrame = field(default_factory=pd.DataFrame)
    threshold_note: str = ""
    files: list[Path] = field(default_factory=list)
    best_sites: pd.DataFrame = field(default_factory=pd.DataFrame)


def bin_size(model: Model) -> int:
    """Return the size of the bins a model was trained on: its window minus 50 nt on each side."""
    return max(1, model.spec.sequence_length - 100)


def default_step(model: Model, n_letters: int) -> int:
    """Return 1 for inputs up to :data:`LONG_INPUT`, else the bin size."""
    return 1 if n_letters <= LONG_INPUT else bin_size(model)


def scan_to_files(
    model: Model,
    source: Source,
    outputs: Sequence[str | Path] = (),
    *,
    sites: Sequence[str | Path] = (),
    attributions: str | Path | None = None,
    summary: str | Path | None = None,
    call_sites: bool = False,
    options: ScanOptions | None = None,
    progress: chunked.Progress | None = None,
    site_progress: Callable[[int], object] = lambda n: None,
) -> ScanResult:
    """Scan a source and write what the output names ask for.

    Parameters
    ----------
    model : Model
    source : Source
        From :mod:`ripe_lib.scan.sources`.
    outputs : paths
        Tracks of all bins: ``.bedgraph[.gz]``, ``.bw`` (one file per task and strand), ``.h5`` (compact), or tables
        ``.tsv[.gz]``, ``.csv[.gz]``, ``.parquet``.
    sites : paths
        Tables of sites, or ``.bed`` (BED12).
    attributions : path, optional
        HDF5 file for the attribution map of every site, see :mod:`ripe_lib.scan.site_maps`.
    summary : path, optional
        Table of means and maxima per transcript and region type, see :mod:`ripe_lib.scan.summary`.
    call_sites : bool
        Call sites even if no file asks for them, for ``ScanResult.best_sites``.
    options : ScanOptions
        ``step``: distance and width of bins, default 1 up to a million nt, else the bin size. ``tasks``: default all.
        ``distance``: least distance of two peaks in nt, default the bin size. ``kmer_length``: of the best k-mer, 0 for
        none, default 6 for short inputs. ``long``, ``min_score``: of :class:`ripe_lib.output.tracks.TableWriterOfBins`.
        ``scheduler``: of :func:`ripe_lib.output.chunked.run_chunks`.
    progress : callable
        Called with (parts done, parts in all).
    site_progress : callable
        Is told how many sites got their best k-mer now; that comes after the parts.
    """
    options = options or ScanOptions()
    named = [*outputs, *sites, *(path for path in (attributions, summary) if path is not None)]
    if not named:
        raise InputError("ripe scan: expected at least one output, got none. Name one with -o or --sites.")
    check_outputs(outputs, sites, attributions, summary)  # what is wrong there should not cost an hour of computing
    runs, step, is_long = _plan(model, source, options)
    scanner = Scanner(model, step=step, tasks=options.tasks, threads=options.threads, batch_size=options.batch_size)
    result = ScanResult(step, tasks=tuple(options.tasks or ()), n_bins=sum(run.n for run in runs))
    thresholds = None
    if sites or attributions is not None or call_sites:
        thresholds = find_thresholds(scanner, source, in_fasta_order(source, runs), options.thresholds)
        result.thresholds, result.threshold_note = thresholds.table(), thresholds.explanation
    strands = sorted({run.strand for run in runs}) or ["+"]  # of nothing: tracks of nothing
    chunks = [chunked.Chunk(number, payload) for number, payload in enumerate(pack(runs, step))]
    identity, files = source.fingerprint()
    fingerprint = chunked.fingerprint_of(
        {"scan": identity, "step": step, "tasks": scanner.tasks, "weights": weights_digest(model)}, files
    )
    parts_dir = chunked.parts_directory(named[0])
    parts = chunked.run_chunks(
        chunks, ScanWork(scanner, source), parts_dir=parts_dir, fingerprint=fingerprint,
        scheduler=options.scheduler, progress=progress,
    )  # fmt: skip
    with _kept_parts(parts_dir), ExitStack() as stack:
        opened = Outputs(source, outputs, scanner, strands, options.long, options.min_score, stack)
        writers: list[Outputs | SiteWriter | SummaryWriter] = [opened]
        if thresholds is not None:
            k = options.kmer_length if options.kmer_length is not None else (0 if is_long else 6)
            distance = max(1, (options.distance or bin_size(model)) // step)
            maps = None if attributions is None else SiteMapWriter(attributions, model, stack)
            called = SiteWriter(scanner, source, sites, thresholds, distance, k, stack, maps, site_progress)
            writers.append(called)
        if summary is not None:
            summarised = SummaryWriter(summary, source, scanner.tasks, options.long, stack)
            writers.append(summarised)
        for chunk, part in zip(chunks, parts, strict=True):
            scores_of_part = np.fromfile(part, np.float32).reshape(-1, len(scanner.tasks))
            borders = np.cumsum([run.n for run in chunk.payload])[:-1]
            for run, scores in zip(chunk.payload, np.split(scores_of_part, borders), strict=True):
                bounds = bin_bounds(run, step, source.contigs[run.contig])
                for writer in writers:
                    writer.add(run, *bounds, scores)
        for writer in writers:
            writer.finish()
        if thresholds is not None:
            result.n_sites, result.best_sites = called.n_sites, called.best_sites
        if summary is not None:
            result.n_transcripts = summarised.n_transcripts
    result.files = [*opened.files, *map(Path, named[len(outputs) :])]
    for path in result.files:
        remove_leftovers(path)  # of a run that was killed while it wrote
    chunked.remove_parts(parts_dir)
    return result


@contextmanager
def _kept_parts(parts_dir: Path) -> Iterator[None]:
    """Say of outputs that cannot be written where the scores are."""
    try:
        yield
    except OutputError as error:
        text = str(error).removesuffix(" Nothing was left behind.")
        raise OutputError(f"{text} The scores are kept in {parts_dir}; the same command goes on from there.") from error


def _plan(model: Model, source: Source, options: ScanOptions) -> tuple[list[Run], int, bool]:
    if options.step is not None and options.step < 1:
        raise InputError(f"step: expected at least 1, got {options.step}.")
    window = model.spec.sequence_length
    if options.kmer_length is not None and not 0 <= options.kmer_length <= window:
        raise InputError(f"k-mer length: expected 0 (none) to {window} (the window), got {options.kmer_length}.")
    if not 0 <= options.min_score <= 1:
        raise InputError(f"least score: expected a probability, got {options.min_score}.")
    n_letters = sum(run.n for run in source.runs(1))
    step = options.step or default_step(model, n_letters)
    return source.runs(step), step, n_letters > LONG_INPUT


def pack(runs: Sequence[Run], step: int) -> list[tuple[Run, ...]]:
    """Cut runs into chunks of about :data:`PART_WINDOWS` bins or :data:`PART_LETTERS` letters, in order."""
    cuts = chunked.cut([run.n for run in runs], max(1, min(PART_WINDOWS, PART_LETTERS // step)))
    return [tuple(runs[i]._replace(first=runs[i].first + first, n=n) for i, first, n in parts) for parts in cuts]


def weights_digest(model: Model) -> str:
    """Return a digest of a network's weights."""
    digest = hashlib.sha256()
    for array in model.keras_model.get_weights():
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _scanner_of(directory: str, step: int, tasks: tuple[str, ...], threads: int | None, batch_size: int) -> Scanner:
    return Scanner(load_model(directory), step=step, tasks=tasks, threads=threads, batch_size=batch_size)


class ScanWork:
    """Compute the scores of one chunk; picklable if the model came from a directory."""

    def __init__(self, scanner: Scanner, source: Source) -> None:
        self._scanner: Scanner | None = scanner
        self._source, self._name, directory = source, scanner.model.name, scanner.model.directory
        place = None if directory is None else str(directory.absolute())
        self._key = (place, scanner.step, tuple(scanner.tasks), scanner.n_threads, scanner.batch_size)

    def __getstate__(self) -> dict[str, Any]:
        if self._key[0] is None:
            raise InputError(f"model {self._name}: expected a model loaded from a directory to send to workers.")
        return {**self.__dict__, "_scanner": None}

    def __call__(self, chunk: chunked.Chunk, path: Path) -> None:
        """Write the scores (n, T) of the chunk's bins, ascending in each run."""
        scanner = self._scanner or chunked.load_once(_scanner_of, *self._key)
        _write_part(path, scores_of_runs(scanner, self._source, chunk.payload))


def _write_part(path: Path, scores: Floats) -> None:
    try:
        path.write_bytes(scores.tobytes())
    except OSError as error:
        raise OutputError(
            f"{path.parent}: scores could not be kept there ({error.strerror or error}). "
            "Make room; the same command goes on with what is there."
        ) from error


def scores_of_runs(scanner: Scanner, source: Source, runs: Sequence[Run]) -> Floats:
    """Return the scores of runs, one after the other, bins ascending, (n, T).

    Parameters
    ----------
    scanner : Scanner
    source : Source
    runs : sequence of Run
    """
    per_run = [stretches(source, run, scanner) for run in runs]
    scores = iter(scanner.scores([stretch for group in per_run for stretch in group]))
    found = [np.zeros((0, len(scanner.tasks)), np.float32)]
    for run, group in zip(runs, per_run, strict=True):
        joined = np.concatenate([next(scores) for _ in group])
        found.append(joined[::-1] if run.strand == "-" else joined)
    return np.concatenate(found)
