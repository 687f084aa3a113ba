"""The authors' HDF5 data sets (``train_in_seq`` ...) -> this library's format.

Layout (PAPER: supplementary data): for ``train``, ``valid`` and ``test``: ``<split>_in_seq`` (n, 4, L) one-hot A C G T,
``<split>_in_region`` (n, 4, R) one-hot intron, CDS, 3'UTR, 5'UTR, ``<split>_out`` (n, T) 0/1. Arrays (n, L, 4) are
understood too. Columns that are not one-hot are unknown. Sites have no coordinates there: every row is its own locus.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.evaluation.dataset import SPLITS
from ripe_lib.genome.encoding import UNKNOWN, Codes, codes_from_one_hot
from ripe_lib.network.weights import sha256_of
from ripe_lib.output.foreign import ForeignHdf5, open_hdf5
from training.config import Note
from training.data.config import OriginalInput, PrepareConfig
from training.data.prepared import manifest_of, warn_about_splits
from training.data.store import SiteColumns, write_dataset


def prepare_original(config: PrepareConfig, original: OriginalInput, note: Note) -> Path:
    """Convert one of the authors' files, chunk by chunk, keeping its split; return the data set.

    Parameters as :func:`training.data.prepare.prepare_all`, and the file.

    Raises
    ------
    MissingFileError, InputError
        If arrays are missing or of wrong or different shapes.
    """
    from training.published.models import task_rows

    path = original.file
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file.")
    rows = task_rows(original.tasks, "DeepRiPe/original")
    tasks = [row.task for row in rows]
    with open_hdf5(path, "an HDF5 file in the authors' layout", advice="Download it again.") as opened:
        file = _OriginalFile(opened, len(tasks))
        n = file.first[-1]
        note(f"{path}: {n} sites, {len(tasks)} tasks, windows {file.sequence_length} and {file.region_length} nt")
        split = np.repeat(np.arange(len(SPLITS), dtype=np.uint8), np.diff(file.first))
        labels = np.concatenate([file.labels(name) for name in SPLITS])
        warn_about_splits(labels, split, tasks, config.split, note)
        row = np.arange(n, dtype=np.int64)
        info = {r.task: {"rbp": r.rbp, "protocol": r.protocol, "cell_line": r.cell_line} for r in rows}
        write_dataset(
            config.output,
            SiteColumns(
                chrom=np.full(n, "unknown"),
                start=row,
                end=row + 1,
                strand=np.full(n, "."),
                labels=labels,
                split=split,
                source=np.zeros(n, dtype=np.uint8),
                cluster=row,
            ),
            file.codes,
            tasks=tasks,
            sources=["original"],
            source_has_task=np.ones((1, len(tasks)), dtype=bool),
            sequence_length=file.sequence_length,
            region_length=file.region_length,
            margin=0,
            manifest=manifest_of(config, {path.name: sha256_of(path)}, info),
        )
    return config.output


class _OriginalFile:
    def __init__(self, file: ForeignHdf5, n_tasks: int) -> None:
        self.handle = handle = file.handle
        self.path = path = file.path
        sizes = []
        for split in SPLITS:
            for part in ("in_seq", "in_region", "out"):
                if f"{split}_{part}" not in handle:
                    raise InputError(f"{path}: expected an array '{split}_{part}', found {sorted(handle)[:9]}.")
                file.dataset(f"{split}_{part}")
            lengths = {len(handle[f"{split}_{part}"]) for part in ("in_seq", "in_region", "out")}
            if len(lengths) != 1:
                raise InputError(f"{path}: arrays of split {split!r} have different numbers of rows {sorted(lengths)}.")
            if handle[f"{split}_out"].shape[1:] != (n_tasks,):
                raise InputError(
                    f"{path}: expected {n_tasks} columns in '{split}_out' (as many as task names), "
                    f"got shape {handle[f'{split}_out'].shape}."
                )
            sizes.append(lengths.pop())
        self.first = np.concatenate([[0], np.cumsum(sizes)])
        self.sequence_length = self._length("in_seq")
        self.region_length = self._length("in_region")

    def _length(self, part: str) -> int:
        found = set()
        for split in SPLITS:
            shape = self.handle[f"{split}_{part}"].shape
            if len(shape) != 3 or 4 not in shape[1:]:
                raise InputError(f"{self.path}: expected '{split}_{part}' of shape (n, 4, length), got {shape}.")
            found.add(shape[2] if shape[1] == 4 else shape[1])
        if len(found) != 1:
            raise InputError(f"{self.path}: windows of '{part}' differ in length between splits: {sorted(found)}.")
        return int(found.pop())

    def labels(self, split: str) -> np.ndarray:
        values = self.handle[f"{split}_out"][()]
        if not np.isin(values, (0, 1)).all():
            raise InputError(f"{self.path}: expected 0 and 1 in '{split}_out', got other values.")
        return values.astype(np.int8)

    def _part(self, part: str, rows: slice) -> Codes:
        pieces = []
        for number, split in enumerate(SPLITS):
            low, high = self.first[number], self.first[number + 1]
            begin, end = max(rows.start, low) - low, min(rows.stop, high) - low
            if begin < end:
                array = self.handle[f"{split}_{part}"][begin:end]
                array = array.transpose(0, 2, 1) if array.shape[1] == 4 else array
                pieces.append(codes_from_one_hot(array.astype(np.float32)))
        return np.concatenate(pieces) if pieces else np.full((0, 0), UNKNOWN, dtype=np.uint8)

    def codes(self, rows: slice) -> tuple[Codes, Codes]:
        """Return base and region codes of rows, counted over all splits."""
        return self._part("in_seq", rows), self._part("in_region", rows)
