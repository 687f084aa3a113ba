"""Arguments that mean the same in every command, and tables on a terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ripe_lib.errors import InputError, MissingFileError, WeightsError, check_known, unknown_name
from ripe_lib.output.console import note, positive_int, whole_number

if TYPE_CHECKING:
    import pandas as pd

    from ripe_lib.network.spec import ModelSpec

FORCE_HINT = "Choose another name, or replace it with --force."


def check_min_score(value: float) -> None:
    """Refuse a ``--min-score`` that no score, or every score, lies above."""
    if not 0 <= value < 1:
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

    Parameters
    ----------
    names : sequence of str
    *specs : ModelSpec
        Of the models; a task has to be one of any of them.
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


def add_model_argument(parser: argparse.ArgumentParser, *, several: bool = False, optional: bool = False) -> None:
    """Add the first argument, ``MODEL`` (``args.model``), or ``MODEL[,MODEL]`` (``args.models``, a list).

    Parameters
    ----------
    parser : ArgumentParser
    several : bool
        Take a list of models (``args.models``).
    optional : bool
        The argument may be left out.
    """
    text = "name or directory of a model, see: ripe models"
    if several:
        text += "; several: commas, or all, 'eclip_*'"
        action = parser.add_argument("models", metavar="MODEL[,MODEL]", type=_names, help=text)
    else:
        action = parser.add_argument("model", metavar="MODEL", nargs="?" if optional else None, help=text)
    action.completer = _complete_models  # type: ignore[attr-defined]


def add_task_argument(
    parser: argparse._ActionsContainer,
    text: str = "tasks (default all), see: ripe tasks MODEL",
    *,
    required: bool = False,
) -> None:
    """Add ``--task``, which takes several names and may be repeated.

    Parameters
    ----------
    parser : ArgumentParser or a group of it
    text : str
        The help.
    required : bool
    """
    action = parser.add_argument("--task", nargs="+", action="extend", required=required, metavar="T", help=text)
    action.completer = _complete_tasks  # type: ignore[attr-defined]


def add_output_argument(parser: argparse.ArgumentParser, text: str, *, metavar: str = "OUT") -> None:
    """Add ``-o``, which has to be given; ``text`` says what is written.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    text, metavar : str
    """
    parser.add_argument("-o", "--output", required=True, metavar=metavar, help=text)


def add_plot_format(parser: argparse._ActionsContainer, default: str = "png") -> None:
    """Add ``--plot-format``."""
    parser.add_argument(
        "--plot-format", default=default, metavar="F,F", help=f"of pictures: png,svg,pdf (default {default})"
    )


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


def add_run_arguments(parser: argparse.ArgumentParser, *, batch_size: int | None = 1024) -> None:
    """Add ``--seed --batch-size --threads --quiet``."""
    group = parser.add_argument_group("running")
    group.add_argument("--seed", type=whole_number, default=0, help="seed of everything random (default 0)")
    group.add_argument(
        "--batch-size", type=positive_int, default=batch_size, metavar="N", help="windows per network call"
    )
    group.add_argument("--threads", type=positive_int, default=None, metavar="N", help="CPU threads (default: all)")
    group.add_argument("--quiet", action="store_true", help="no progress bar and no notes on stderr")


def note_strand(args: argparse.Namespace) -> None:
    """Say on which strand variants are scored where nothing tells."""
    if args.gtf is None and args.strand == "auto":
        note("note: no --gtf, so every variant is scored on the plus strand; choose with --strand")


def add_genome_arguments(parser: argparse._ActionsContainer, *, required: bool = True) -> None:
    """Add ``--fasta`` and ``--gtf``."""
    parser.add_argument("--fasta", required=required, metavar="F", help="genome FASTA (plain or bgzip)")
    parser.add_argument(
        "--gtf", metavar="G", help="gene annotation GTF (plain or gz); without it region types are unknown (0.25)"
    )


def write_table(table: pd.DataFrame, *, as_json: bool = False) -> None:
    """Write a small table to stdout, for people or as JSON (a list of records, unknown values null)."""
    if as_json:
        sys.stdout.write(table.to_json(orient="records", indent=1, double_precision=6) + "\n")
        return
    shown = table.astype(object).where(table.notna() & (table != ""), "-")
    for name in table.select_dtypes("float"):
        shown[name] = ["-" if value != value else f"{value:.3f}" for value in table[name]]
    text = {name: [name, *map(str, shown[name])] for name in shown}
    numeric = set(table.select_dtypes("number"))
    widths = {name: max(map(len, cells)) for name, cells in text.items()}
    for row in range(len(table) + 1):
        cells = [
            cells[row].rjust(widths[name]) if name in numeric else cells[row].ljust(widths[name])
            for name, cells in text.items()
        ]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
