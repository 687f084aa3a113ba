"""``ripe-train prepare``: a YAML config -> one data set file with its manifest."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripe_lib._version import __version__
from ripe_lib.dataset import SPLITS
from ripe_lib.errors import InputError, unknown_name
from ripe_lib.weights import sha256_of
from training.config import build, plain, section
from training.labels import CROSS_SOURCE, label_vectors
from training.sites import KNOWN_BASES, SourceRows, WindowShape, experiments_in, read_source
from training.splits import SplitOptions, assign_splits, check_disjoint, locus_clusters
from training.store import SiteColumns, write_dataset

Note = Callable[[str], None]


@dataclass(frozen=True)
class WindowOptions:
    """Window lengths and the margin stored for shifts, nt."""

    sequence_length: int = 150
    region_length: int = 250
    margin: int = 40

    def __post_init__(self) -> None:
        if self.sequence_length < KNOWN_BASES or self.sequence_length % 2 or self.region_length % 2 or self.margin < 0:
            raise InputError(
                f"window: expected even lengths of at least {KNOWN_BASES} and a margin >= 0, got {plain(self)}."
            )


@dataclass(frozen=True)
class TableInput:
    """One folder of ready tables."""

    format: str
    directory: Path
    source: str = ""
    experiments: tuple[str, ...] | None = None
    background: bool = False


@dataclass(frozen=True)
class LabelOptions:
    """How label vectors are made from tables; see :mod:`training.labels`."""

    cross_source: str = "shared"
    keep_unlabelled: bool = False

    def __post_init__(self) -> None:
        if self.cross_source not in CROSS_SOURCE:
            raise unknown_name("labels cross_source", self.cross_source, CROSS_SOURCE)


@dataclass(frozen=True)
class PrepareConfig:
    """Everything ``prepare`` does.

    Attributes
    ----------
    output : Path
        Data set file.
    tables : tuple of TableInput
        Ready tables.
    tasks : tuple of str, optional
        Label columns, in order. Default: all experiments that are read.
    """

    output: Path
    seed: int = 0
    tasks: tuple[str, ...] | None = None
    tables: tuple[TableInput, ...] = ()
    window: WindowOptions = field(default_factory=WindowOptions)
    labels: LabelOptions = field(default_factory=LabelOptions)
    split: SplitOptions = field(default_factory=SplitOptions)


def read_config(path: str | Path) -> PrepareConfig:
    """Read the section ``prepare`` of a config file; relative paths in it are relative to the working folder."""
    return build(PrepareConfig, section(path, "prepare"), str(path))


def prepare(config: PrepareConfig, *, note: Note = lambda _: None) -> Path:
    """Make a data set.

    Parameters
    ----------
    config : PrepareConfig
    note : callable
        Is given remarks and warnings, one line each.

    Returns
    -------
    Path
        The file written.
    """
    if not config.tables:
        raise InputError("prepare: expected 'tables', got none. Name at least one folder of tables.")
    return _prepare_tables(config, note)


def _chosen(config: PrepareConfig) -> tuple[list[list[str]], list[str]]:
    chosen = []
    for table in config.tables:
        known = experiments_in(table.directory)
        names = known if table.experiments is None else list(table.experiments)
        for name in names:
            if name not in known:
                raise unknown_name("experiment", name, known, f"Tables are looked for in {table.directory}.")
        if len(set(names)) != len(names):
            raise InputError(f"tables {table.directory}: an experiment is named twice in {names}.")
        chosen.append(names)
    available = list(dict.fromkeys(name for names in chosen for name in names))
    tasks = available if config.tasks is None else list(config.tasks)
    for task in tasks:
        if task not in available:
            raise unknown_name("task", task, available, "Tasks are experiments of the tables that are read.")
    if len(set(tasks)) != len(tasks):
        raise InputError(f"tasks: expected different names, got one twice in {tasks}.")
    return chosen, tasks


def _prepare_tables(config: PrepareConfig, note: Note) -> Path:
    chosen, tasks = _chosen(config)
    shape = WindowShape(**vars(config.window))
    sources = [table.source or table.format for table in config.tables]
    if len(set(sources)) != len(sources):
        raise InputError(f"tables: expected different source names, got {sources}. Give each a 'source'.")
    parts: list[SourceRows] = []
    for table, names in zip(config.tables, chosen, strict=True):
        directory = table.directory
        parts.append(read_source(table.format, directory, names, tasks, shape, background=table.background))
        note(f"{table.source or table.format}: {len(parts[-1])} distinct windows of {len(names)} experiments")
    rows, source = _stack(parts)
    source_has_task = np.array([part.has_task for part in parts])
    strands = np.char.add(np.char.add(rows.chrom.astype(str), ":"), rows.strand.astype(str))
    group = np.unique(strands, return_inverse=True)[1].astype(np.int64)
    labels = label_vectors(
        group,
        rows.window_start,
        source,
        rows.positive,
        rows.negative,
        source_has_task,
        cross_source=config.labels.cross_source,
    )
    dropped = int((rows.negative & (labels != 0)).sum())
    note(f"{dropped} negative labels beside a positive of their own experiment were made unknown")
    if not config.labels.keep_unlabelled:
        known = (labels >= 0).any(axis=1)
        rows, labels, source, group = rows.take(known), labels[known], source[known], group[known]
    if not len(rows):
        raise InputError("prepare: expected at least one labelled site, got none. Check tables and tasks.")
    middle = shape.seq_width // 2 - KNOWN_BASES // 2 - 1
    core = rows.seq[:, middle : middle + KNOWN_BASES]
    cluster = locus_clusters(group, rows.window_start, config.split.distance, core)
    split = assign_splits(rows.chrom, rows.window_start, cluster, config.split, config.seed)
    if config.split.method != "random":
        check_disjoint(group, rows.window_start, split, config.split.distance)
    warn_about_splits(labels, split, tasks, config.split, note)
    columns = SiteColumns(
        chrom=rows.chrom,
        start=rows.start,
        end=rows.end,
        strand=rows.strand,
        labels=labels,
        split=split,
        source=source,
        cluster=cluster,
    )
    inputs = {}
    for table, names in zip(config.tables, chosen, strict=True):
        for path in [table.directory / f"{name}.train.tsv.gz" for name in names]:
            inputs[f"{table.source or table.format}/{path.name}"] = sha256_of(path)
    output = config.output
    write_dataset(
        output,
        columns,
        lambda part: (rows.seq[part], rows.region[part]),
        tasks=tasks,
        sources=sources,
        source_has_task=source_has_task,
        **vars(config.window),
        manifest=manifest_of(config, inputs, task_info(config, tasks)),
    )
    return output


def _stack(parts: list[SourceRows]) -> tuple[SourceRows, np.ndarray]:
    names = [name for name in vars(parts[0]) if name != "has_task"]
    merged = {name: np.concatenate([vars(part)[name] for part in parts]) for name in names}
    source = np.repeat(np.arange(len(parts), dtype=np.uint8), [len(part) for part in parts])
    return SourceRows(**merged, has_task=parts[0].has_task), source


def warn_about_splits(
    labels: np.ndarray, split: np.ndarray, tasks: list[str], options: SplitOptions, note: Note
) -> None:
    """Refuse a task without positives in the training set; warn about one without in a wanted other split."""
    wanted = [
        True,
        options.valid > 0 or bool(options.valid_chromosomes),
        options.test > 0 or bool(options.test_chromosomes),
    ]
    for index, task in enumerate(tasks):
        for code, name in enumerate(SPLITS):
            if not wanted[code] or ((labels[:, index] == 1) & (split == code)).any():
                continue
            if code == 0:
                raise InputError(
                    f"task {task}: expected positives in split 'train', got none. Leave it out of 'tasks', or change "
                    "the split's method, fractions or seed."
                )
            note(f"warning: task {task} has no positive in split {name!r}; it cannot be measured there")


def _without_places(options: dict[str, Any]) -> dict[str, Any]:
    # Where files lie is not part of what a data set is; their digests are.
    tables = [{**table, "directory": Path(table["directory"]).name} for table in options["tables"]]
    return {**options, "tables": tables}


def task_info(config: PrepareConfig, tasks: list[str]) -> dict[str, dict[str, str]]:
    """Return RBP, protocol and cell line of tasks, from the ``experiments.tsv`` beside their tables."""
    info: dict[str, dict[str, str]] = {}
    for table in config.tables:
        path = table.directory / "experiments.tsv"
        if not path.is_file():
            continue
        listing = pd.read_csv(path, sep="\t", dtype=str, na_filter=False)
        if not {"id", "protein"} <= set(listing.columns):
            continue
        for row in listing.to_dict("records"):
            if row["id"] in tasks and row["id"] not in info:
                cell_line = row.get("cell_line", "")
                info[row["id"]] = {
                    "rbp": row["protein"],
                    "protocol": row.get("protocol", ""),
                    "cell_line": "" if cell_line == "NA" else cell_line,
                }
    return info


def manifest_of(config: PrepareConfig, inputs: dict[str, Any], info: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Return the manifest of a data set before its counts are known. It holds no dates and no absolute paths."""
    return {
        "made_by": f"deepripe {__version__}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "options": _without_places({k: v for k, v in plain(config).items() if k != "output"}),
        "inputs_sha256": inputs,
        "task_info": info,
        "seed": config.seed,
    }
