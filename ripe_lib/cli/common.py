"""Arguments that mean the same in every command, and tables on a terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ripe_lib.errors import InputError
from ripe_lib.output.console import positive_int

if TYPE_CHECKING:
    import pandas as pd

    from ripe_lib.network.load import Model

FORCE_HINT = "Choose another name, or replace it with --force."


def check_min_score(value: float) -> None:
    """Refuse a ``--min-score`` that no score, or every score, lies above."""
    if not 0 <= value < 1:
        raise InputError(f"--min-score: expected a probability from 0 to below 1, got {value:g}.")


def chosen_tasks(model: Model, names: Sequence[str]) -> list[str]:
    """Return the tasks that ``--task`` names, each once; ``all`` among them stands for every task of the model.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    """
    if "all" in names and "all" not in model.tasks:
        names = [name for name in names if name != "all"] + list(model.tasks)
    for name in names:
        model.spec.task_index(name)
    return list(dict.fromkeys(names))


def model_names(names: Sequence[str]) -> list[str]:
    """Return models named on the command line, each once; ``all`` and ``eclip_*`` stand for shipped models.

    Raises
    ------
    UnknownNameError
        For a pattern that no shipped model's name fits.
    """
    from fnmatch import fnmatchcase

    from ripe_lib.errors import unknown_name
    from ripe_lib.network.catalogue import catalogue

    shipped = {entry.short_name: name for name, entry in catalogue().models.items() if entry.origin == "shipped"}
    found: list[str] = []
    for name in names:
        pattern = "*" if name == "all" else name.removeprefix("DeepRiPe/")
        if "*" not in pattern:
            found.append(shipped.get(pattern, name))
            continue
        fitting = [full for short, full in shipped.items() if fnmatchcase(short, pattern)]
        if not fitting:
            raise unknown_name("group of models", name, ["all", *shipped], "List the models with: ripe models")
        found += fitting
    return list(dict.fromkeys(found))


def add_run_arguments(parser: argparse.ArgumentParser, *, batch_size: int | None = 1024) -> None:
    """Add ``--seed --batch-size --threads --quiet``."""
    group = parser.add_argument_group("running")
    group.add_argument("--seed", type=int, default=0, help="seed of everything random (default 0)")
    group.add_argument(
        "--batch-size", type=positive_int, default=batch_size, metavar="N", help="windows per network call"
    )
    group.add_argument("--threads", type=positive_int, default=None, metavar="N", help="CPU threads (default: all)")
    group.add_argument("--quiet", action="store_true", help="no progress bar and no notes on stderr")


def add_genome_arguments(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
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
