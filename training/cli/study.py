"""``ripe-train study CONFIG``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ripe_lib.output.console import note, positive_int, whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("config", metavar="CONFIG", help="YAML file with a section 'study'; see training/configs/study")
    parser.add_argument(
        "--quick", action="store_true", help="a slice of the data, small networks: the same tables in small"
    )
    parser.add_argument("-o", "--directory", metavar="DIR", help="directory of the study (default: the config's)")
    parser.add_argument("--data", metavar="H5", help="data set (default: the config's, or prepare's output)")
    parser.add_argument(
        "--only",
        action="append",
        metavar="COMPARISON",
        help="train for this comparison only (repeatable); tables hold all that is trained",
    )
    parser.add_argument("--seed", type=whole_number, help="seed (default: that of the config)")
    parser.add_argument("--threads", type=positive_int, metavar="N", help="CPU threads (default: all)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars and no notes on stderr")


def run(args: argparse.Namespace) -> None:
    """Run a study; what was done before is kept."""
    from training.study.run import run_study

    changes = {
        "directory": None if args.directory is None else Path(args.directory),
        "data": None if args.data is None else Path(args.data),
        "seed": args.seed,
    }
    directory = run_study(
        args.config,
        quick=args.quick,
        only=args.only or (),
        changes={name: value for name, value in changes.items() if value is not None},
        quiet=args.quiet,
        note=note,
    )
    sys.stdout.write(f"{directory}\n")
