"""The authors' HDF5 data sets (``train_in_seq`` ...) -> this library's format.

Layout (PAPER: supplementary data): for ``train``, ``valid`` and ``test``: ``<split>_in_seq`` (n, 4, L) one-hot A C G T,
``<split>_in_region`` (n, 4, R) one-hot intron, CDS, 3'UTR, 5'UTR, ``<split>_out`` (n, T) 0/1. Arrays (n, L, 4) are
understood too. Columns that are not one-hot are unknown. Sites have no coordinates there: every row is its own locus.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.evaluation.dataset import SPLITS
from ripe_lib.genome.encoding import Codes, codes_from_one_hot
from ripe_lib.network.weights import sha256_of
from ripe_lib.output.foreign import ForeignHdf5, open_hdf5
from training.config import Note
from training.data.config import OriginalInput, PrepareConfig
from training.data.prepared import manifest_of, warn_about_splits
from training.data.store import SiteColumns, write_dataset


def prepare_original(config: PrepareConfig, original: OriginalInput, note: Note) -> Path:
    """Convert one of the authors' files, chunk by chunk, keeping its split; return the data set.

    Parameters as :func:`training.data.prepare.prepare_all`, and the file.
    """
    from training.published.models import task_rows

    path = original.file
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file.")
    rows = task_rows(original.tasks, "DeepRiPe/original")
    tasks = [row.task for row in rows]
    with open_hdf5(path, "an HDF5 file in the authors' layout", advice="Download it again.") as file:
        first = np.cumsum([0, *_sizes(file, len(tasks))])
        sequence_length, region_length = (_length(file, part) for part in ("in_seq", "in_region"))
        n = first[-1]
        note(f"{path}: {n} sites, {len(tasks)} tasks, windows {sequence_length} and {region_length} nt")
        split = np.repeat(np.arange(len(SPLITS), dtype=np.uint8), np.diff(first))
        labels = np.concatenate([_labels(file, name) for name in SPLITS])
        warn_about_splits(labels, split, tasks, config.split, note)
        row = np.arange(n)
        info = {r.task: {"rbp": r.rbp, "protocol": r.protocol, "cell_line": r.cell_line} for r in rows}
        write_dataset(
            config.output,
            SiteColumns(
                np.full(n, "unknown"), row, row + 1, np.full(n, "."), labels, split, np.zeros_like(split), cluster=row
            ),
            lambda part: (_codes(file, "in_seq", first, part), _codes(file, "in_region", first, part)),
            tasks=tasks,
            sources=["original"],
            source_has_task=np.ones((1, len(tasks)), dtype=bool),
            sequence_length=sequence_length,
            region_length=region_length,
            margin=0,
            manifest=manifest_of(config, {path.name: sha256_of(path)}, info),
        )
    return config.output


def _sizes(file: ForeignHdf5, n_tasks: int) -> list[int]:
    """Return the number of rows of each split, after a look at all arrays."""
    path, sizes = file.path, []
    for split in SPLITS:
        arrays = []
        for name in (f"{split}_in_seq", f"{split}_in_region", f"{split}_out"):
            if name not in file.handle:
                raise InputError(f"{path}: expected an array {name!r}, found {sorted(file.handle)[:9]}.")
            arrays.append(file.dataset(name))
        lengths = {len(array) for array in arrays}
        if len(lengths) != 1:
            raise InputError(f"{path}: arrays of split {split!r} have different numbers of rows {sorted(lengths)}.")
        if (shape := arrays[-1].shape)[1:] != (n_tasks,):
            raise InputError(
                f"{path}: expected {n_tasks} columns in '{split}_out' (as many as task names), got shape {shape}."
            )
        sizes.append(lengths.pop())
    return sizes


def _length(file: ForeignHdf5, part: str) -> int:
    found = set()
    for split in SPLITS:
        shape = file.handle[f"{split}_{part}"].shape
        if len(shape) != 3 or 4 not in shape[1:]:
            raise InputError(f"{file.path}: expected '{split}_{part}' of shape (n, 4, length), got {shape}.")
        found.add(shape[2] if shape[1] == 4 else shape[1])
    if len(found) != 1:
        raise InputError(f"{file.path}: windows of '{part}' differ in length between splits: {sorted(found)}.")
    return int(found.pop())


def _labels(file: ForeignHdf5, split: str) -> NDArray[np.int8]:
    values = file.handle[f"{split}_out"][()]
    if not np.isin(values, (0, 1)).all():
        raise InputError(f"{file.path}: expected 0 and 1 in '{split}_out', got other values.")
    return values.astype(np.int8)


def _codes(file: ForeignHdf5, part: str, first: NDArray[np.int64], rows: slice) -> Codes:
    """Return codes of rows, which are counted over all splits."""
    pieces = []
    for split, low, high in zip(SPLITS, first, first[1:], strict=False):
        begin, end = max(rows.start, low) - low, min(rows.stop, high) - low
        if begin < end:
            array = file.handle[f"{split}_{part}"][begin:end]
            array = array.transpose(0, 2, 1) if array.shape[1] == 4 else array
            pieces.append(codes_from_one_hot(array.astype(np.float32)))
    return np.concatenate(pieces)
