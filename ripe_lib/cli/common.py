"""Arguments that mean the same in every command, and tables on a terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ripe_lib.errors import InputError, MissingFileError, WeightsError, check_known, unknown_name
from ripe_lib.output.atomic import check_output_file
from ripe_lib.output.console import note, options, positive_int, whole_number

if TYPE_CHECKING:
    import pandas as pd

    from ripe_lib.network.spec import ModelSpec

Add = Callable[..., argparse.Action]
FORCE_HINT = "Choose another name, or replace it with --force."


def check_min_score(value: float | None) -> None:
    """Refuse a ``--min-score`` that no score, or every score, lies above."""
    if value is not None and not 0 <= value < 1:
        raise InputError(f"--min-score: expected a probability from 0 to below 1, got {value:g}.")


def check_files(*paths: str | None, kind: str = "file", hint: str = "Check the path.") -> None:
    """Refuse input files that are not there, before anything slow is loaded; ``-`` and None are left alone."""
    for path in paths:
        if path is None or path == "-":
            continue
        if Path(path).is_dir():
            raise MissingFileError(f"{path}: expected a file, got a folder.")
        if not Path(path).exists():
            raise MissingFileError(f"{path}: no such {kind}. {hint}")


def check_table(path: str) -> None:
    """Refuse early the name of a table that cannot be written."""
    from ripe_lib.output.tables import table_format

    table_format(path)
    check_output_file(path)


def model_spec(name: str) -> ModelSpec:
    """Return what a model is, without TensorFlow; whatever is wrong with its name or files is said here."""
    from ripe_lib.network.catalogue import spec_of
    from ripe_lib.network.catalogue.locate import find_model_directory

    directory = find_model_directory(name)
    try:
        return spec_of(directory)
    except WeightsError:
        from ripe_lib.network.load import load_model

        load_model(directory)  # says whether the file was changed
        raise


def chosen_tasks(names: Sequence[str], *specs: ModelSpec) -> list[str]:
    """Return the tasks that ``--task`` names, each once; ``all`` among them stands for every task of the models.

    A task has to be one of any of the models.
    """
    known = list(dict.fromkeys(task for spec in specs for task in spec.tasks))
    if "all" in names and "all" not in known:
        names = [name for name in names if name != "all"] + known
    for name in names:
        check_known("task", name, known, f"List them with: ripe tasks {specs[0].name}")
    return list(dict.fromkeys(names))


def wanted_tasks(names: Sequence[str] | None, *specs: ModelSpec) -> list[str] | None:
    """Return as :func:`chosen_tasks`, or None for every task: where ``--task`` is not given, or is ``all`` alone."""
    return None if names is None or list(names) == ["all"] else chosen_tasks(names, *specs)


def add_model_argument(add: Add, *, several: bool = False, optional: bool = False) -> None:
    """Add the first argument: ``MODEL`` (``args.model``), or ``MODEL[,MODEL]`` (``args.models``, a list).

    Parameters
    ----------
    add : callable
        Of :func:`ripe_lib.output.console.options`, as in all functions here.
    several, optional : bool
        Take a list of models; the argument may be left out.
    """
    text = "name or directory of a model, see: ripe models"
    if several:
        action = add("models MODEL[,MODEL]", f"{text}; several: commas, or all, 'eclip_*'", _names)
    else:
        action = add("model MODEL", text, nargs="?" if optional else None)
    action.completer = _complete_models  # type: ignore[attr-defined]


def add_task_argument(add: Add, text: str = "tasks (default all), see: ripe tasks MODEL", **options: bool) -> None:
    """Add ``--task``, which takes several names and may be repeated."""
    action = add("--task T", text, nargs="+", action="extend", **options)
    action.completer = _complete_tasks  # type: ignore[attr-defined]


def add_plot_format(add: Add, default: str = "png") -> None:
    """Add ``--plot-format``."""
    add("--plot-format F,F", f"of pictures: png,svg,pdf (default {default})", default=default)


def _names(text: str) -> list[str]:
    return [text] if Path(text).is_dir() else [name for name in text.split(",") if name]


def _complete_models(**_: object) -> list[str]:
    from ripe_lib.network.catalogue.entries import catalogue
    from ripe_lib.network.catalogue.locate import installed_directories

    shipped = [entry.short_name for entry in catalogue().models.values() if entry.origin == "shipped"]
    return [*shipped, *installed_directories()]


def _complete_tasks(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    from ripe_lib.network.catalogue.entries import catalogue
    from ripe_lib.network.catalogue.locate import full_name

    named = getattr(parsed_args, "models", None) or [getattr(parsed_args, "model", "")]
    tables = catalogue().tasks
    return ["all", *(entry.task for name in named for entry in tables.get(full_name(name or ""), ()))]


def model_names(names: Sequence[str]) -> list[str]:
    """Return models named on the command line, each once; ``all`` and ``eclip_*`` stand for shipped models.

    Networks that are there for comparison (``..._paper``) are no part of a group that does not say so.
    """
    from fnmatch import fnmatchcase

    from ripe_lib.network.catalogue.entries import catalogue

    shipped = {entry.short_name: name for name, entry in catalogue().models.items() if entry.origin == "shipped"}
    found: list[str] = []
    for name in names:
        pattern = "*" if name == "all" else name.removeprefix("DeepRiPe/")
        if "*" not in pattern:
            found.append(shipped.get(pattern, name))
            continue
        fitting = [full for short, full in shipped.items() if fnmatchcase(short, pattern)]
        if not pattern.endswith("_paper"):
            fitting = [full for full in fitting if not full.endswith("_paper")]
        if not fitting:
            raise unknown_name("group of models", name, ["all", *shipped], "List the models with: ripe models")
        found += fitting
    return list(dict.fromkeys(found))


def add_run_arguments(parser: argparse.ArgumentParser, *, batch_size: int = 1024) -> None:
    """Add ``--seed --batch-size --threads --quiet``."""
    add = options(parser, "running")
    add("--seed", "seed of everything random (default 0)", whole_number, 0)
    add("--batch-size N", "windows per network call", positive_int, batch_size)
    add("--threads N", "CPU threads (default: all)", positive_int)
    add("--quiet", "no progress bar and no notes on stderr")


def note_strand(args: argparse.Namespace) -> None:
    """Say on which strand variants are scored where nothing tells."""
    if args.gtf is None and args.strand == "auto":
        note("note: no --gtf, so every variant is scored on the plus strand; choose with --strand")


def add_genome_arguments(add: Add, *, required: bool = True) -> None:
    """Add ``--fasta`` and ``--gtf``."""
    add("--fasta F", "genome FASTA (plain or bgzip)", required=required)
    add("--gtf G", "gene annotation GTF (plain or gz); without it region types are unknown (0.25)")


def write_table(table: pd.DataFrame, *, as_json: bool = False) -> None:
    """Write a small table to stdout, for people or as JSON (a list of records, unknown values null)."""
    if as_json:
        sys.stdout.write(table.to_json(orient="records", indent=1, double_precision=6) + "\n")
        return
    shown = table.astype(object).where(table.notna() & (table != ""), "-")
    for name in table.select_dtypes("float"):
        shown[name] = ["-" if value != value else f"{value:.3f}" for value in table[name]]
    numeric, padded = set(table.select_dtypes("number")), []
    for name in shown:
        cells = [name, *map(str, shown[name])]
        width = max(map(len, cells))
        padded.append([cell.rjust(width) if name in numeric else cell.ljust(width) for cell in cells])
    for row in zip(*padded, strict=True):
        sys.stdout.write("  ".join(row).rstrip() + "\n")
