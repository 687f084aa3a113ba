"""``ripe tasks``: what the outputs of a model are."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="MODEL", help="name or directory of a model, see: ripe models")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table; unknown values are null")


def run(args: argparse.Namespace) -> None:
    """Run ``ripe tasks``."""
    from ripe_lib.cli.common import write_table
    from ripe_lib.network.catalogue import tasks_of

    write_table(tasks_of(args.model), as_json=args.json)
