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

    Parameters
    ----------
    model : Model
    positives, negatives : BED path, DataFrame or list of tuples
        0-based, half-open; the window on the middle of each is scored.
    fasta_file, gtf_file
        As :func:`ripe_lib.make_windows`.
    tasks : sequence of str, optional
        Outputs to measure on these labels; default all.
    options : Options, optional
        Kept in the result. The bootstrap draws overlapping intervals of a strand together.
    batch_size : int
        Windows per network call.
    """
    from ripe_lib.genome.windows import WindowMaker
    from ripe_lib.network.predict import predict_codes

    maker = WindowMaker(model.spec, fasta_file, gtf_file)
    parts = [maker.prepare(read_intervals(source)) for source in (positives, negatives)]
    for source, kind, part in zip((positives, negatives), ("positives", "negatives"), parts, strict=True):
        if not len(part):
            raise InputError(f"{_name(source, kind)}: expected at least one interval to measure on, got none.")
    frame = pd.concat(parts, ignore_index=True)
    names = list(model.tasks) if tasks is None else list(tasks)
    columns = [model.spec.task_index(task) for task in names]
    scores = np.empty((len(frame), len(names)), dtype=np.float32)
    seq = np.empty((len(frame), model.spec.sequence_length), dtype=np.uint8)
    for chunk in steps([slice(first, first + _CHUNK) for first in range(0, len(frame), _CHUNK)], "predicting"):
        codes = maker.codes(frame.iloc[chunk])
        scores[chunk] = predict_codes(model, *codes, batch_size=batch_size)[:, columns]
        seq[chunk] = codes.seq
    label = np.repeat(np.array([1, 0], dtype=np.int8), [len(part) for part in parts])
    return Evaluation(
        model=model.name,
        dataset=_name(positives, "positives") + " and " + _name(negatives, "negatives"),
        split="all",
        region="none" if gtf_file is None or not model.spec.has_region else "data",
        tasks=names,
        label_tasks=names,
        labels=np.repeat(label[:, None], len(names), axis=1),
        scores=scores,
        bound_elsewhere=np.zeros(scores.shape, dtype=bool),
        seq_codes=seq,
        intervals=frame,
        cluster=loci(frame),
        options=options or Options(),
    )


def loci(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return a number (N,) for every interval, the same for those of a strand that overlap, also through others."""
    order = frame.sort_values(["chrom", "strand", "start"], kind="stable").index.to_numpy()
    ranked = frame.loc[order]
    reach = ranked.groupby(["chrom", "strand"], sort=False)["end"].cummax().to_numpy()
    is_new = np.ones(len(frame), dtype=bool)
    same = (ranked[["chrom", "strand"]].to_numpy()[1:] == ranked[["chrom", "strand"]].to_numpy()[:-1]).all(axis=1)
    is_new[1:] = ~same | (ranked["start"].to_numpy()[1:] >= reach[:-1])
    numbers = np.empty(len(frame), dtype=np.int64)
    numbers[order] = np.cumsum(is_new) - 1
    return numbers


def _name(source: IntervalSource, other: str) -> str:
    return Path(source).name if isinstance(source, str | os.PathLike) else other
