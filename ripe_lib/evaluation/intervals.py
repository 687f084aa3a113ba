"""Measuring a model on two lists of intervals: bound and not bound."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.evaluation.evaluate import Evaluation, Options
from ripe_lib.genome.intervals import IntervalSource, PathLike, read_intervals
from ripe_lib.output.console import steps

if TYPE_CHECKING:
    from ripe_lib.genome.annotation import Annotation
    from ripe_lib.genome.fasta import Genome
    from ripe_lib.network.load import Model

_CHUNK = 8192


def score_intervals(
    model: Model,
    positives: IntervalSource,
    negatives: IntervalSource,
    *,
    fasta_file: PathLike | Genome,
    gtf_file: PathLike | Annotation | None = None,
    tasks: Sequence[str] | None = None,
    options: Options | None = None,
    batch_size: int = 1024,
) -> Evaluation:
    """Predict bound and not bound intervals and keep what is needed to judge the scores.

    The bootstrap draws overlapping intervals of a strand together.

    Parameters
    ----------
    model, options, batch_size
    positives, negatives : BED path, DataFrame or list of tuples
        0-based, half-open; the window on the middle of each is scored.
    fasta_file, gtf_file
        As :func:`ripe_lib.make_windows`.
    tasks : sequence of str, optional
        Outputs to measure on these labels; default all.
    """
    from ripe_lib.genome.windows import WindowMaker
    from ripe_lib.network.predict import predict_codes

    maker = WindowMaker(model.spec, fasta_file, gtf_file)
    parts = [maker.prepare(read_intervals(source)) for source in (positives, negatives)]
    files = [_name(positives, "positives"), _name(negatives, "negatives")]
    for file, part in zip(files, parts, strict=True):
        if not len(part):
            raise InputError(f"{file}: expected at least one interval to measure on, got none.")
    frame = pd.concat(parts, ignore_index=True)
    names = list(model.tasks) if tasks is None else list(tasks)
    columns = [model.spec.task_index(task) for task in names]
    scores = np.empty((len(frame), len(names)), dtype=np.float32)
    seq = np.empty((len(frame), model.spec.sequence_length), dtype=np.uint8)
    for chunk in steps([slice(first, first + _CHUNK) for first in range(0, len(frame), _CHUNK)], "predicting"):
        codes = maker.codes(frame.iloc[chunk])
        scores[chunk] = predict_codes(model, *codes, batch_size=batch_size)[:, columns]
        seq[chunk] = codes.seq
    labels = np.repeat(np.array([[1], [0]], dtype=np.int8), [len(part) for part in parts], axis=0)
    return Evaluation(
        model=model.name,
        dataset=" and ".join(files),
        split="all",
        region="none" if gtf_file is None or not model.spec.has_region else "data",
        tasks=names,
        label_tasks=names,
        labels=np.repeat(labels, len(names), axis=1),
        scores=scores,
        bound_elsewhere=np.zeros(scores.shape, dtype=bool),
        seq_codes=seq,
        intervals=frame,
        cluster=loci(frame),
        options=options or Options(),
    )


def loci(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return a number (N,) for every interval, the same for those of a strand that overlap, also through others."""
    ranked = frame.sort_values(["chrom", "strand", "start"], kind="stable")
    strands = [ranked["chrom"], ranked["strand"]]
    reach = ranked["end"].groupby(strands).cummax().groupby(strands).shift()  # NaN before the first of a strand
    is_new = ~(ranked["start"] < reach)
    return is_new.cumsum().loc[frame.index].to_numpy(dtype=np.int64) - 1


def _name(source: IntervalSource, other: str) -> str:
    return Path(source).name if isinstance(source, str | os.PathLike) else other
