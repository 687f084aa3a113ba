"""Labelled bins -> data sets, one per tier."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from training.config import Note
from training.data.config import PrepareConfig
from training.data.peak_sites import Bins, CodeMaker, PeakInput, label_bins, sequence_keys
from training.data.prepared import manifest_of, warn_about_splits
from training.data.splits import assign_splits, check_disjoint, locus_clusters
from training.data.store import SiteColumns, write_dataset

BIG_CLUSTER = 0.05


def prepare_peaks(config: PrepareConfig, peaks: PeakInput, note: Note) -> list[Path]:
    """Make the data sets of a config with ``peaks``, one per tier; return their files.

    Parameters as :func:`training.data.prepare.prepare_all`, and the peaks.

    Raises
    ------
    InputError
        If the config names ``tasks`` too, and as :func:`label_bins`.
    """
    if config.tasks is not None:
        raise InputError("prepare: 'tasks' is for tables; with peaks, the table of peak files names the tasks.")
    labelled = label_bins(peaks, seed=config.seed, note=note)
    cluster, split = _splits(config, peaks, labelled, note)
    tiers = _tiers(peaks, labelled, note)
    outputs = []
    for name, columns in tiers.items():
        output = config.output if not name else config.output.with_name(f"{config.output.stem}_{name}.h5")
        _write(config, labelled, columns, cluster, split, output, note)
        outputs.append(output)
        if config.report:
            from training.data.report import write_report

            write_report(output, peaks=labelled.peaks.iloc[columns].reset_index(drop=True))
    return outputs


def _splits(
    config: PrepareConfig, peaks: PeakInput, labelled: Bins, note: Note
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return cluster and split of every bin; bins without a known base leave ``labelled``."""
    keys, n_unknown = sequence_keys(CodeMaker(labelled, labelled.bins, config.window))
    most = config.window.sequence_length - 1 if peaks.max_unknown is None else peaks.max_unknown
    known = n_unknown <= most
    if not known.all():
        what = "without a known base" if peaks.max_unknown is None else f"with more than {most} unknown bases"
        note(f"{int((~known).sum())} of {len(known)} bins {what} were left out")
        labelled.bins, labelled.labels, keys = labelled.bins[known], labelled.labels[known], keys[known]
    _drop_small_tasks(peaks.min_bins, labelled, note)
    chrom, start, _, _ = labelled.axis.intervals(labelled.bins)
    group = labelled.axis.group(labelled.bins)
    same = np.unique(keys, return_inverse=True)[1].astype(np.int64) if peaks.join_equal_sequences else None
    cluster = locus_clusters(group, start, config.split.distance, same)
    largest = np.bincount(cluster).max() / len(cluster)
    if largest > BIG_CLUSTER and config.split.method == "locus":
        note(
            f"warning: {100 * largest:.0f} % of the bins are one locus (joined by distance or equal sequences) and "
            "go to one split; a smaller split distance or join_equal_sequences: false loosens that"
        )
    split = assign_splits(chrom.astype(str), start, cluster, config.split, config.seed)
    if config.split.method != "random":
        check_disjoint(group, start, split, config.split.distance)
    return cluster, split


def _drop_small_tasks(least: int, labelled: Bins, note: Note) -> None:
    """Take tasks with few bins out of ``labelled``; their bins stay, as sites of other proteins."""
    counts = (labelled.labels == 1).sum(axis=0)
    kept = np.flatnonzero(counts >= least)
    for column in np.flatnonzero(counts < least):
        note(f"{labelled.tasks[column].task}: {counts[column]} bins, fewer than {least}: left out")
    if not len(kept):
        raise InputError(f"peaks: expected a task with at least {least} bins, got none. Lower 'min_bins'.")
    labelled.tasks = [labelled.tasks[column] for column in kept]
    labelled.labels = labelled.labels[:, kept]
    labelled.peaks = labelled.peaks.iloc[kept].reset_index(drop=True)


def _tiers(peaks: PeakInput, labelled: Bins, note: Note) -> dict[str, list[int]]:
    borders = peaks.tier_borders()
    everything = list(range(len(labelled.tasks)))
    if not borders:
        return {"": everything}
    tiers: dict[str, list[int]] = {name: [] for name in borders}
    for column, (task, here) in enumerate(zip(labelled.tasks, labelled.peaks["peaks"], strict=True)):
        n = here if task.peaks_in_source is None else task.peaks_in_source
        fitting = [name for name, (least, too_many) in borders.items() if least <= n < too_many]
        if not fitting:
            note(f"warning: {task.task} with {n} peaks is in no tier and left out")
        for name in fitting[:1]:
            tiers[name].append(column)
    filled = {name: columns for name, columns in tiers.items() if columns}
    if not filled:
        raise InputError("peaks: expected an RBP in at least one tier, got none. Change 'tiers'.")
    return filled


def _write(
    config: PrepareConfig,
    labelled: Bins,
    columns: list[int],
    cluster: NDArray[np.int64],
    split: NDArray[np.uint8],
    output: Path,
    note: Note,
) -> None:
    # Bins where only other tiers' RBPs have sites are dropped, background stays.
    bound_elsewhere = labelled.labels.any(axis=1) & ~labelled.labels[:, columns].any(axis=1)
    rows = np.flatnonzero(~bound_elsewhere)
    bins, labels = labelled.bins[rows], labelled.labels[np.ix_(rows, np.array(columns))]
    tasks = [labelled.tasks[column] for column in columns]
    names = [task.task for task in tasks]
    warn_about_splits(labels, split[rows], names, config.split, note)
    chrom, start, end, strand = labelled.axis.intervals(bins)
    info = {t.task: {"rbp": t.rbp, "protocol": t.protocol, "cell_line": t.cell_line} for t in tasks}
    manifest = manifest_of(config, labelled.inputs, info)
    manifest["peaks"] = _plain_records(labelled.peaks.iloc[columns])
    write_dataset(
        output,
        SiteColumns(
            chrom=chrom.astype(str),
            start=start,
            end=end,
            strand=strand,
            labels=labels,
            split=split[rows],
            source=np.zeros(len(bins), dtype=np.uint8),
            cluster=cluster[rows],
            landmarks=labelled.annotation.landmark_distances(chrom, (start + end - 1) // 2, strand == "-").astype(
                np.float32
            ),
        ),
        CodeMaker(labelled, bins, config.window),
        tasks=names,
        sources=["peaks"],
        source_has_task=np.ones((1, len(names)), dtype=bool),
        **vars(config.window),
        manifest=manifest,
    )


def _plain_records(table: pd.DataFrame) -> list[dict[str, object]]:
    rows = table.to_dict("records")
    return [{str(k): v.item() if isinstance(v, np.generic) else v for k, v in row.items()} for row in rows]
