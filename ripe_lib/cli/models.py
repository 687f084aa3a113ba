"""``ripe models``: the models there are."""

import argparse
import sys

EXAMPLES = """
examples:
  ripe models
  ripe models --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="JSON instead of a table; unknown values are null")


def run(args: argparse.Namespace) -> None:
    """Run ``ripe models``."""
    from ripe_lib.cli.common import write_table
    from ripe_lib.network.catalogue import list_models

    write_table(list_models(), as_json=args.json)
    if not args.json:
        sys.stdout.write(
            "\nauroc and ap: means over tasks, held-out sites. region_length 0: sequence only. -: not known.\n"
            "available: fetch with ripe-train import-published NAME. Outputs of a model: ripe tasks MODEL\n"
        )
