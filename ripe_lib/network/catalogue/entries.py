"""The two tables of the catalogue as typed rows: reading, checking, writing.

``models.tsv`` has one row per model, ``tasks.tsv`` one row per output column. An empty field means "not known" or
"not measured". Files are written with newline line ends, floats with four decimals, rows in the order they were read
(new ones last), so equal content gives equal bytes.
"""

from __future__ import annotations

import csv
import functools
import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.output.atomic import atomic_file

CATALOGUE_DIRECTORY = Path(__file__).parent
ORIGINS = ("shipped", "published")
MEASURED = ("auroc", "ap", "ece")
_KINDS: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "float": float}


@dataclass(frozen=True)
class ModelEntry:
    """One row of ``models.tsv``.

    Attributes
    ----------
    model : str
        Full name, ``DeepRiPe/...``.
    origin : str
        ``shipped`` (weights trained here, bundled) or ``published`` (the authors' file, fetched by the user).
    tier : str
        The authors' tier by number of peaks, or ``all``.
    protocol, cell_line : str
        Common to all tasks, or ``mixed``; empty where the source does not say.
    n_tasks, sequence_length : int
    region_length : int or None
        0 for sequence-only models; None where only the weights file says.
    architecture, inputs : str
        As in :class:`ripe_lib.network.spec.ModelSpec`.
    repository, commit, path, git_blob_sha1 : str
        Where a published file is and the git blob id (sha1 of ``blob``, size, NUL, content) of its content.
    sha256 : str
        Of the bundled weights file.
    auroc, ap, ece : float or None
        Means over tasks of the held-out measurements in ``tasks.tsv``.
    """

    model: str
    origin: str
    tier: str
    protocol: str
    cell_line: str
    n_tasks: int
    sequence_length: int
    region_length: int | None
    architecture: str
    inputs: str
    repository: str = ""
    commit: str = ""
    path: str = ""
    git_blob_sha1: str = ""
    sha256: str = ""
    auroc: float | None = None
    ap: float | None = None
    ece: float | None = None

    @property
    def short_name(self) -> str:
        """The name without ``DeepRiPe/`` (and ``published/``)."""
        return self.model.removeprefix("DeepRiPe/").removeprefix("published/")

    @property
    def download_url(self) -> str:
        """Public address of a published file; empty for shipped models."""
        if not self.repository:
            return ""
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.path}"


@dataclass(frozen=True)
class TaskEntry:
    """One row of ``tasks.tsv``: an output column and what was measured for it.

    Attributes
    ----------
    model : str
    task_index : int
        0-based output column.
    task : str
        Verbatim output name.
    rbp : str
        HGNC symbol, ``;``-separated for pooled paralogs; empty where the published name cannot be resolved.
    protocol, cell_line : str
        Empty where the source does not say.
    n_pos : int or None
        Training positives.
    auroc, ap, ece : float or None
        Held-out ranking and calibration error (expected calibration error).
    quality : str
        A remark on an output that should not be trusted, from held-out sites; empty if there is none.
    """

    model: str
    task_index: int
    task: str
    rbp: str
    protocol: str
    cell_line: str
    n_pos: int | None = None
    auroc: float | None = None
    ap: float | None = None
    ece: float | None = None
    quality: str = ""


@dataclass(frozen=True)
class Catalogue:
    """All models by full name and their tasks in output order."""

    models: dict[str, ModelEntry]
    tasks: dict[str, tuple[TaskEntry, ...]]


def _parse(kind: type, row: Mapping[str, str], where: str) -> Any:
    values: dict[str, Any] = {}
    for column in fields(kind):
        text, (wanted, *or_none) = row.get(column.name, ""), str(column.type).split(" | ")
        try:
            values[column.name] = None if or_none and not text else _KINDS[wanted](text)
        except ValueError:
            raise InputError(f"{where}: column {column.name!r}: expected a number, got {text!r}.") from None
    return kind(**values)


def _read_rows(path: Path, kind: type) -> list[Any]:
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file. Reinstall the package.")
    names = [column.name for column in fields(kind)]
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle, delimiter="\t")
        # Tables that users made before there was a remark are as good.
        if reader.fieldnames not in (names, [name for name in names if name != "quality"]):
            raise InputError(f"{path}:1: expected columns {names}, got {reader.fieldnames}.")
        rows = []
        for number, row in enumerate(reader, start=2):
            if None in row or None in row.values():
                raise InputError(f"{path}:{number}: expected {len(reader.fieldnames)} fields.")
            rows.append(_parse(kind, row, f"{path}:{number}"))
    return rows


def read_catalogue(folder: Path) -> Catalogue:
    """Read ``models.tsv`` and ``tasks.tsv`` of a folder, checked as by :func:`check_catalogue`."""
    models: dict[str, ModelEntry] = {}
    for entry in _read_rows(folder / "models.tsv", ModelEntry):
        if entry.model in models:
            raise InputError(f"{folder / 'models.tsv'}: model {entry.model} comes twice.")
        models[entry.model] = entry
    grouped: dict[str, list[TaskEntry]] = {name: [] for name in models}
    for task in _read_rows(folder / "tasks.tsv", TaskEntry):
        if task.model not in grouped:
            raise InputError(f"{folder / 'tasks.tsv'}: task {task.task} is of model {task.model}, which is not listed.")
        grouped[task.model].append(task)
    catalogue = Catalogue(models, {name: tuple(rows) for name, rows in grouped.items()})
    check_catalogue(catalogue)
    return catalogue


@functools.lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """Return the catalogue that comes with the package, read and checked once per process."""
    return read_catalogue(CATALOGUE_DIRECTORY)


def check_catalogue(catalogue: Catalogue) -> None:
    """Raise :class:`~ripe_lib.errors.InputError` at the first contradiction inside the catalogue."""
    for name, entry in catalogue.models.items():
        tasks, where = catalogue.tasks[name], f"model {name}: "
        _check_model(entry)
        indices, names = [task.task_index for task in tasks], [task.task for task in tasks]
        _expect(indices == list(range(len(tasks))), f"{where}expected task indices 0..n-1 in order.")
        _expect(entry.n_tasks == len(tasks), f"{where}expected {entry.n_tasks} tasks, got {len(tasks)}.")
        _expect(len(set(names)) == len(names), f"{where}a task name comes twice.")
        _expect(all(task and "\t" not in task for task in names), f"{where}a task has no name.")
        for task in tasks:
            _check_unit_interval(f"{name}, task {task.task}", task)


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(f"catalogue: {message}")


def _check_model(entry: ModelEntry) -> None:
    name, origin, published = entry.model, entry.origin, entry.origin == "published"
    right = re.fullmatch(r"DeepRiPe/(published/)?[A-Za-z0-9_]+", name)
    _expect(right is not None, f"expected a name like DeepRiPe/clip31, got {name!r}.")
    _expect(origin in ORIGINS, f"model {name}: expected origin to be one of {ORIGINS}, got {origin!r}.")
    fits = published == name.startswith("DeepRiPe/published/")
    _expect(fits, f"model {name}: origin {origin!r} does not fit its name.")
    fits = (entry.inputs == "sequence") == (entry.region_length == 0)
    _expect(fits, f"model {name}: region length {entry.region_length} with inputs {entry.inputs!r}.")
    for column, n in {"sha256": 64, "git_blob_sha1": 40, "commit": 40}.items():
        digest = getattr(entry, column)
        fits = not digest or re.fullmatch(rf"[0-9a-f]{{{n}}}", digest) is not None
        _expect(fits, f"model {name}: {column} is not {n} hex digits: {digest!r}.")
    known = all((entry.repository, entry.commit, entry.path, entry.git_blob_sha1))
    _expect(known or not published, f"model {name}: a published model needs repository, commit, path and blob id.")
    _check_unit_interval(name, entry)


def _check_unit_interval(where: str, entry: ModelEntry | TaskEntry) -> None:
    for column in MEASURED:
        value = getattr(entry, column)
        fits = value is None or 0.0 <= value <= 1.0
        _expect(fits, f"{where}: expected {column} between 0 and 1, got {value}.")


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _write_rows(path: Path, kind: type, rows: Iterable[Any]) -> None:
    names = [column.name for column in fields(kind)]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter="\t", lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_text(getattr(row, name)) for name in names] for row in rows)
    with atomic_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue().encode("utf-8"))


def write_catalogue(catalogue: Catalogue, folder: Path) -> None:
    """Check the catalogue and write both tables; equal content gives equal bytes."""
    check_catalogue(catalogue)
    _write_rows(folder / "models.tsv", ModelEntry, catalogue.models.values())
    _write_rows(folder / "tasks.tsv", TaskEntry, (task for rows in catalogue.tasks.values() for task in rows))


def read_task_table(path: Path) -> tuple[TaskEntry, ...]:
    """Read a ``tasks.tsv`` that lies in a model directory."""
    return tuple(_read_rows(path, TaskEntry))


def write_task_table(path: Path, tasks: Iterable[TaskEntry]) -> None:
    """Write a ``tasks.tsv`` for a model directory, e.g. of a user's own model."""
    _write_rows(path, TaskEntry, tasks)
