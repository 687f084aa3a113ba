"""``ripe-train study CONFIG``."""

import argparse
import sys
from pathlib import Path

from ripe_lib.output.console import note, options, positive_int, whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = options(parser)
    add("config CONFIG", "YAML file with a section 'study'; see training/configs/study")
    add("--quick", "a slice of the data, small networks: the same tables in small")
    add("-o --directory DIR", "directory of the study (default: the config's)", Path)
    add("--data H5", "data set (default: the config's, or prepare's output)", Path)
    only = "train for this comparison only (repeatable); tables hold all that is trained"
    add("--only COMPARISON", only, action="append", default=[])
    add("--seed", "seed (default: that of the config)", whole_number)
    add("--threads N", "CPU threads (default: all)", positive_int)
    add("--quiet", "no progress bars and no notes on stderr")


def run(args: argparse.Namespace) -> None:
    """Run a study; what was done before is kept."""
    from training.study.run import run_study

    given = {name: getattr(args, name) for name in ("directory", "data", "seed")}
    changes = {name: value for name, value in given.items() if value is not None}
    directory = run_study(args.config, quick=args.quick, only=args.only, changes=changes, quiet=args.quiet, note=note)
    sys.stdout.write(f"{directory}\n")
