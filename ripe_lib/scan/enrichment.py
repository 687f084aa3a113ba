"""Which RBPs bind given intervals? Their scores against those of a matched background, task by task.

The background (:mod:`ripe_lib.scan.background_windows`) has the genes and region types of the intervals, so what is
left to tell the two apart is where in the gene the intervals lie and what they look like.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from ripe_lib.errors import InputError
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.intervals import IntervalSource, PathLike
from ripe_lib.genome.windows import WindowMaker
from ripe_lib.motifs.match import q_values
from ripe_lib.network.catalogue import tasks_of
from ripe_lib.network.joint import joint_models
from ripe_lib.network.load import Model
from ripe_lib.scan.background_windows import MatchedWindows, matched_windows

_AT_A_TIME = 8192


class Enrichment(NamedTuple):
    """What was compared, and a table with one row per model and task, largest AUROC first.

    Its columns: ``model task rbp n n_background``; ``mean_logit`` of the intervals, ``background_logit``, their
    ``difference``; ``auroc`` (the probability that an interval scores higher than a background window); ``above_95``,
    the share of intervals above the 95th percentile of the background; ``p_value`` (rank-sum test, two-sided) and
    ``q_value`` (Benjamini and Hochberg over all rows).
    """

    table: pd.DataFrame
    windows: MatchedWindows


def enrichment(
    models: Sequence[Model],
    intervals: IntervalSource,
    *,
    fasta_file: PathLike | Genome,
    gtf_file: PathLike | Annotation,
    tasks: Sequence[str] | None = None,
    per_interval: int = 4,
    max_intervals: int | None = None,
    seed: int = 0,
    batch_size: int = 1024,
    progress: Callable[[int, int], None] | None = None,
) -> Enrichment:
    """Compare the scores of intervals with those of matched background windows.

    Parameters
    ----------
    models : sequence of Model
        Models that differ in their last two layers only are run as one network.
    intervals : BED path, DataFrame or list of tuples
        See :func:`ripe_lib.genome.intervals.read_intervals`; an interval without strand gets that of the overlapping
        transcript.
    fasta_file : path or Genome
    gtf_file : path or Annotation
    tasks : sequence of str, optional
        Default: all.
    per_interval : int
        Background windows of every interval.
    max_intervals : int, optional
        Of more intervals so many are drawn.
    seed : int
        Of the background and of that draw.
    batch_size : int
    progress : callable, optional
        Called with (windows done, windows in all).
    """
    genome = fasta_file if isinstance(fasta_file, Genome) else Genome(fasta_file)
    annotation = gtf_file if isinstance(gtf_file, Annotation) else Annotation.load(gtf_file)
    annotation = annotation.for_genome(genome)
    frame = WindowMaker(models[0].spec, genome, annotation).prepare(intervals)
    frame["chrom"] = frame["chrom"].map(genome.resolve)
    if not len(frame):
        raise InputError("intervals: expected at least one, got none.")
    if max_intervals is not None and len(frame) > max_intervals:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(frame))[:max_intervals])
        frame = frame.iloc[chosen].reset_index(drop=True)
    window = max(model.spec.sequence_length for model in models)
    windows = matched_windows(frame, genome, annotation, window=window, per_interval=per_interval, seed=seed)
    both = pd.concat([windows.intervals, windows.background], ignore_index=True)
    logits = _logits_of(models, both, genome, annotation, batch_size, progress)
    n = len(windows.intervals)
    tables = []
    for model, values in zip(models, logits, strict=True):
        names = {"model": model.name, "task": model.tasks, "rbp": tasks_of(model)["rbp"].to_numpy()}
        tables.append(pd.concat([pd.DataFrame(names), compared(values[:n], values[n:])], axis=1))
    table = pd.concat(tables, ignore_index=True)
    if tasks is not None:
        table = table[table["task"].isin(tasks)].reset_index(drop=True)
    table["q_value"] = q_values(table["p_value"].to_numpy())
    order = np.lexsort((-table["difference"], -table["auroc"]))
    return Enrichment(table.iloc[order].reset_index(drop=True), windows)


def _logits_of(
    models: Sequence[Model],
    intervals: pd.DataFrame,
    genome: Genome,
    annotation: Annotation,
    batch_size: int,
    progress: Callable[[int, int], None] | None,
) -> list[NDArray[np.float32]]:
    """Return the logits (B, T) of intervals, per model; windows are made once per length."""
    networks, n = joint_models(models), len(intervals)
    found = [np.empty((n, len(model.tasks)), dtype=np.float32) for model in models]
    specs = [network.model.spec for network in networks]
    keys = [(spec.sequence_length, spec.region_length, spec.has_landmarks) for spec in specs]
    makers = {key: WindowMaker(spec, genome, annotation) for key, spec in zip(keys, specs, strict=True)}
    for start in range(0, n, _AT_A_TIME):
        chunk = slice(start, start + _AT_A_TIME)
        part = intervals.iloc[chunk].reset_index(drop=True)
        codes = {key: maker.codes(part) for key, maker in makers.items()}
        for key, network in zip(keys, networks, strict=True):
            logits = network.model.network.logits(*codes[key], batch_size=batch_size)
            for number, columns in network.members:
                found[number][chunk] = logits[:, columns]
        if progress is not None:
            progress(min(start + _AT_A_TIME, n), n)
    return found


def compared(of_intervals: NDArray[np.float32], of_background: NDArray[np.float32]) -> pd.DataFrame:
    """Compare logits (n, T) with those of a background (m, T), task by task, as :class:`Enrichment` says."""
    first, second = np.asarray(of_intervals, dtype=np.float64), np.asarray(of_background, dtype=np.float64)
    test = mannwhitneyu(first, second, alternative="two-sided", axis=0)
    means = first.mean(axis=0), second.mean(axis=0)
    return pd.DataFrame(
        {
            "n": len(first),
            "n_background": len(second),
            "mean_logit": means[0],
            "background_logit": means[1],
            "difference": means[0] - means[1],
            "auroc": test.statistic / (len(first) * len(second)),
            "above_95": (first > np.quantile(second, 0.95, axis=0)).mean(axis=0),
            "p_value": np.where(np.isnan(test.pvalue), 1.0, test.pvalue),  # all scores equal
        }
    )
