"""Labelled bins -> data sets, one per tier."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from training.config import Note
from training.data.config import PrepareConfig
from training.data.peak_sites import Bins, CodeMaker, PeakInput, label_bins, sequence_keys
from training.data.prepared import manifest_of, warn_about_splits
from training.data.splits import assign_splits, locus_clusters
from training.data.store import SiteColumns, write_dataset

BIG_CLUSTER = 0.05


def prepare_peaks(config: PrepareConfig, peaks: PeakInput, note: Note) -> list[Path]:
    """Make the data sets of a config with ``peaks``, one per tier; return their files.

    Parameters as :func:`training.data.prepare.prepare_all`, and the peaks.
    """
    if config.tasks is not None:
        raise InputError("prepare: 'tasks' is for tables; with peaks, the table of peak files names the tasks.")
    labelled = label_bins(peaks, config.seed, note)
    cluster, split = _splits(config, peaks, labelled, note)
    outputs = []
    for name, columns in _tiers(peaks, labelled, note).items():
        output = config.output.with_name(f"{config.output.stem}_{name}.h5") if name else config.output
        outputs.append(output)
        # Bins where only other tiers' RBPs have sites are dropped, background stays.
        kept = ~labelled.labels.any(axis=1) | labelled.labels[:, columns].any(axis=1)
        bins, labels, own_split = labelled.bins[kept], labelled.labels[kept][:, columns], split[kept]
        table = labelled.peaks.iloc[columns].reset_index(drop=True)
        tasks = table["task"].tolist()
        warn_about_splits(labels, own_split, tasks, config.split, note)
        chrom, start, end, strand = labelled.axis.intervals(bins)
        landmarks = labelled.annotation.landmark_distances(chrom, (start + end - 1) // 2, strand == "-")
        source = np.zeros(len(bins), dtype=np.uint8)
        info = table.set_index("task")[["rbp", "protocol", "cell_line"]].to_dict("index")
        write_dataset(
            output,
            SiteColumns(chrom, start, end, strand, labels, own_split, source, cluster[kept], landmarks),
            CodeMaker(labelled, bins, config.window),
            tasks=tasks,
            sources=["peaks"],
            source_has_task=np.ones((1, len(tasks)), dtype=bool),
            **vars(config.window),
            manifest={**manifest_of(config, labelled.inputs, info), "peaks": table.to_dict("records")},
        )
        if config.report:
            from training.data.report import write_report

            write_report(output, peaks=table)
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
        if not known.any():
            raise InputError(
                f"peaks: expected a bin in known sequence, got {len(known)} {what}. Is the FASTA the right one?"
            )
        note(f"{int((~known).sum())} of {len(known)} bins {what} were left out")
        labelled.bins, labelled.labels, keys = labelled.bins[known], labelled.labels[known], keys[known]
    _drop_small_tasks(peaks.min_bins, labelled, note)
    chrom, start, _, _ = labelled.axis.intervals(labelled.bins)
    same = np.unique(keys, return_inverse=True)[1] if peaks.join_equal_sequences else None
    cluster = locus_clusters(labelled.axis.group(labelled.bins), start, config.split.distance, same)
    largest = np.bincount(cluster).max() / len(cluster)
    if largest > BIG_CLUSTER and config.split.method == "locus":
        note(
            f"warning: {100 * largest:.0f} % of the bins are one locus (joined by distance or equal sequences) and "
            "go to one split; a smaller split distance or join_equal_sequences: false loosens that"
        )
    return cluster, assign_splits(chrom.astype(str), start, cluster, config.split, config.seed)


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
    if not borders:
        return {"": list(range(len(labelled.tasks)))}
    tiers: dict[str, list[int]] = {name: [] for name in borders}
    for column, (task, here) in enumerate(zip(labelled.tasks, labelled.peaks["peaks"], strict=True)):
        n = here if task.peaks_in_source is None else task.peaks_in_source
        fitting = [name for name, (least, too_many) in borders.items() if least <= n < too_many]
        if fitting:
            tiers[fitting[0]].append(column)
        else:
            note(f"warning: {task.task} with {n} peaks is in no tier and left out")
    filled = {name: columns for name, columns in tiers.items() if columns}
    if not filled:
        raise InputError("peaks: expected an RBP in at least one tier, got none. Change 'tiers'.")
    return filled
