"""Writing a prepared data set (the format is described in :mod:`ripe_lib.evaluation.dataset`)."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, OutputError
from ripe_lib.evaluation.dataset import FORMAT, SPLITS, STRANDS
from ripe_lib.genome.encoding import Codes
from ripe_lib.output.atomic import atomic_file

ROWS_PER_WRITE = 65_536

CodeMaker = Callable[[slice], tuple[Codes, Codes]]


@dataclass
class SiteColumns:
    """Everything about the rows of a data set except their bases and region types."""

    chrom: NDArray[Any]  # str (N,)
    start: NDArray[np.int64]  # (N,), and end: the site, 0-based half-open
    end: NDArray[np.int64]
    strand: NDArray[Any]  # str (N,): "+", "-" or "."
    labels: NDArray[np.int8]  # (N, T): 1, 0, or -1 for unknown
    split: NDArray[np.uint8]  # (N,)
    source: NDArray[np.uint8]  # (N,)
    cluster: NDArray[np.int64]  # (N,)
    # (N, 8), signed distances from the sites' centres to landmarks, NaN where there is none.
    landmarks: NDArray[np.floating] | None = None


def _opened(temporary: Path, path: Path, n_bytes: int) -> h5py.File:
    """Open a file for writing, or refuse one the disk has no room for, by the name it will have.

    HDF5 finds out when it closes the file, and then reports it badly. The space is claimed for real (a quota or a file
    size limit counts too) and given back at once.
    """
    with temporary.open("wb") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, n_bytes)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:  # else the file system cannot say
                raise OutputError(
                    f"{path}: could not be written, {n_bytes / 1e6:.1f} MB needed ({error.strerror}). Nothing was left "
                    "behind."
                ) from error
    return h5py.File(temporary, "w")


def write_dataset(
    path: str | Path,
    columns: SiteColumns,
    make_codes: CodeMaker,
    *,
    tasks: list[str],
    sources: list[str],
    source_has_task: NDArray[np.bool_],
    sequence_length: int,
    region_length: int,
    margin: int,
    manifest: dict[str, Any],
) -> None:
    """Write a data set; it appears under its name only when complete. Equal inputs give equal bytes.

    Parameters
    ----------
    path : path
        Output file.
    columns : SiteColumns
        N rows.
    make_codes : callable
        ``slice`` of rows -> base codes (n, L + 2 margin), region-type codes (n, R + 2 margin), uint8.
    tasks, sources : list of str
        Names of label columns and of sources.
    source_has_task : bool (S, T)
        Whether a source has a table of a task.
    sequence_length, region_length, margin : int
        In nt.
    manifest : dict
        Completed here by ``counts`` and ``content_sha256`` (digest of every array).

    Raises
    ------
    InputError, OutputError
        If there are no rows; if it cannot be written, e.g. a full disk.
    """
    path = Path(path)
    n = len(columns.labels)
    if not n:
        raise InputError(f"{path}: expected at least one labelled site, got none. Check tables, peaks and tasks.")
    chroms, chrom_index = np.unique(columns.chrom.astype(str), return_inverse=True)
    small = {
        "split": columns.split.astype(np.uint8),
        "source": columns.source.astype(np.uint8),
        "cluster": columns.cluster.astype(np.int64),
        "chrom": chrom_index.astype(np.uint16),
        "start": columns.start.astype(np.int64),
        "end": columns.end.astype(np.int64),
        "strand": np.select([columns.strand == letter for letter in STRANDS[:2]], [0, 1], 2).astype(np.uint8),
        "source_has_task": source_has_task.astype(bool),
    }
    if columns.landmarks is not None:
        small["landmarks"] = columns.landmarks.astype(np.float32)
    digest = hashlib.sha256()
    width = sequence_length + region_length + 4 * margin
    n_bytes = n * width + columns.labels.nbytes + sum(v.nbytes for v in small.values()) + 65_536
    with atomic_file(path) as temporary, _opened(temporary, path, n_bytes) as handle:
        handle.attrs["format"] = FORMAT
        for name, names in (("tasks", tasks), ("sources", sources), ("chroms", chroms.tolist())):
            handle.attrs[name] = json.dumps(names)
        handle.attrs.update(sequence_length=sequence_length, region_length=region_length, margin=margin)
        for name, values in small.items():
            handle.create_dataset(name, data=values)
            digest.update(values.tobytes())
        labels = np.ascontiguousarray(columns.labels, dtype=np.int8)
        rows = min(n, max(1, (1 << 20) // max(1, labels.shape[1])))
        handle.create_dataset("labels", data=labels, chunks=(rows, labels.shape[1]), compression="gzip", shuffle=True)
        digest.update(labels.data.cast("B"))  # a view: with 150 tasks a copy is a gigabyte
        seq = handle.create_dataset("seq", (n, sequence_length + 2 * margin), dtype=np.uint8)
        region = handle.create_dataset("region", (n, region_length + 2 * margin), dtype=np.uint8)
        for first in range(0, n, ROWS_PER_WRITE):
            part = slice(first, min(n, first + ROWS_PER_WRITE))
            seq[part], region[part] = codes = make_codes(part)
            for array in codes:
                digest.update(np.ascontiguousarray(array).tobytes())
        manifest = {**manifest, "counts": counts(columns, tasks, sources), "content_sha256": digest.hexdigest()}
        handle.attrs["manifest"] = json.dumps(manifest, sort_keys=True)


def counts(columns: SiteColumns, tasks: list[str], sources: list[str]) -> dict[str, Any]:
    """Count rows per split and source, positives and negatives per task; parameters as :func:`write_dataset`."""
    in_split = {name: columns.split == code for code, name in enumerate(SPLITS)}
    per_task: dict[str, Any] = {}
    for task, column in zip(tasks, columns.labels.T, strict=True):
        told = {"positive": column == 1, "negative": column == 0}
        per_task[task] = {
            name: {word: int((here & rows).sum()) for word, rows in told.items()} for name, here in in_split.items()
        }
    return {
        "rows": len(columns.labels),
        "splits": {name: int(here.sum()) for name, here in in_split.items()},
        "sources": {name: int((columns.source == code).sum()) for code, name in enumerate(sources)},
        "tasks": per_task,
    }
