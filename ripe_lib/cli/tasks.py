"""``ripe tasks``: what the outputs of a model are, or which models have outputs for a protein."""

import argparse
import sys

from ripe_lib.cli import common
from ripe_lib.errors import InputError
from ripe_lib.output.console import options

EXAMPLES = """
examples:
  ripe tasks clip31
  ripe tasks --rbp QKI
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = options(parser)
    common.add_model_argument(add, optional=True)
    add("--rbp NAME", "the outputs with this protein, of every model or of MODEL")
    add("--json", "JSON instead of a table; unknown values are null")


def run(args: argparse.Namespace) -> None:
    """Run ``ripe tasks``."""
    from ripe_lib.network.catalogue import tasks_of, tasks_with_protein

    if args.rbp is not None:
        table = tasks_with_protein(args.rbp, args.model)
    elif args.model is not None:
        table = tasks_of(args.model)
    else:
        raise InputError("expected MODEL, or --rbp NAME, got neither. List the models with: ripe models")
    common.write_table(table, as_json=args.json)
    if args.rbp is not None and not args.json:
        sys.stdout.write("\nstatus available: fetch with ripe-train import-published NAME. -: not known.\n")
