"""The list of peak files: which file belongs to which RBP, protocol and cell line."""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from ripe_lib.errors import InputError, MissingFileError, nearest_names

COLUMNS = ("rbp", "file", "task", "protocol", "cell_line", "replicate", "peaks", "peaks_in_source")


@dataclass(frozen=True)
class PeakTask:
    """One output column and its peak files."""

    task: str
    rbp: str
    protocol: str
    cell_line: str
    files: tuple[Path, ...]  # replicates
    # Peaks of the whole experiment, where the file holds a part of them: what tiers are made of.
    peaks_in_source: int | None = None


def read_peak_table(path: Path) -> list[PeakTask]:
    """Read a tab-separated table with columns ``rbp file`` and optionally the others of :data:`COLUMNS`.

    Files are relative to the table. A task (default: the RBP) may be given on several lines only if they differ in
    ``replicate``.

    Raises
    ------
    MissingFileError, InputError
        Naming the line: unknown or missing columns, missing files, a task given twice.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: no such table of peak files.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, delimiter="\t")
            rows = [(reader.line_num, row) for row in reader if any(row) and not row[0].startswith("#")]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a tab-separated table with a header ({error}).") from error
    if not rows:
        raise InputError(f"{path}: expected a tab-separated table with a header, got none.")
    columns = rows[0][1]
    while not columns[-1]:
        columns.pop()
    for column in columns:
        if column not in COLUMNS:
            close = nearest_names(column, COLUMNS)
            tail = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(COLUMNS)}."
            raise InputError(f"{path}:1: unknown column {column!r}. {tail}")
    for column in ("rbp", "file"):
        if columns.count(column) != 1:
            raise InputError(f"{path}:1: expected columns 'rbp' and 'file', {column!r} is missing or there twice.")
    if len(rows) == 1:
        raise InputError(f"{path}: expected at least one peak file, got none.")
    tasks: dict[str, PeakTask] = {}
    seen: dict[str, dict[str, int]] = {}
    for line, fields in rows[1:]:
        if any(fields[len(columns) :]):
            raise InputError(f"{path}:{line}: expected {len(columns)} columns, got {len(fields)}.")
        row = dict(zip_longest(columns, fields[: len(columns)], fillvalue=""))
        name = row.get("task") or row["rbp"]
        if not name.strip():
            raise InputError(f"{path}:{line}: expected the name of an RBP, got none.")
        file = path.parent / row["file"]
        if not os.path.isfile(file):  # noqa: PTH113 (Path raises where a path is longer than any)
            raise MissingFileError(f"{path}:{line}: no such peak file {str(file)[:300]}.")
        replicate = row.get("replicate", "")
        if name in seen and (not replicate or replicate in seen[name] or "" in seen[name]):
            before = next(iter(seen[name].values()))
            raise InputError(
                f"{path}:{line}: {name} has a peak file already (line {before}). Give different names in a column "
                "'task', or number replicates in a column 'replicate'."
            )
        seen.setdefault(name, {})[replicate] = line
        about = (row["rbp"], row.get("protocol", ""), row.get("cell_line", ""))
        n_source = row.get("peaks_in_source", "")
        if n_source and not re.fullmatch("[0-9]{1,15}", n_source):
            raise InputError(f"{path}:{line}: expected a whole number in column 'peaks_in_source', got {n_source!r}.")
        known = tasks.get(name)
        if known is not None and (known.rbp, known.protocol, known.cell_line) != about:
            raise InputError(f"{path}:{line}: replicates of {name} differ in rbp, protocol or cell_line.")
        tasks[name] = PeakTask(
            name,
            *about,
            files=(*(known.files if known else ()), file),
            peaks_in_source=int(n_source) if n_source else None,
        )
    return list(tasks.values())
