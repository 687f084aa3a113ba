"""``ripe-train fit CONFIG``."""

import argparse
import sys
from pathlib import Path

from ripe_lib.output.console import options, positive_int, whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = options(parser)
    add("config CONFIG", "YAML file with a section 'fit'; see training/configs")
    add("--data H5", "data set (default: 'data' of the config, or prepare's output)", Path)
    add("--run DIR", "run directory (default: the config's)", Path, dest="run_directory")
    add("--from MODEL", "start from this model's or run's weights ('start' of the config)", dest="start")
    add("--members N", "train N networks, seeds apart", positive_int, 1)
    add("--seed", "seed (default: that of the config)", whole_number)
    add("--epochs N", "epochs (default: those of the config)", positive_int)
    add("--batch-size N", "rows per step (default: the config's)", positive_int)
    add("--threads N", "CPU threads (default: all)", positive_int)
    add("--quiet", "no progress bar and no notes on stderr")


def run(args: argparse.Namespace) -> None:
    """Train on a data set; an unfinished run is taken up where it stopped."""
    from dataclasses import replace

    from ripe_lib.output.console import note
    from training.fitting.config import read_config
    from training.fitting.fit import fit_members

    config = read_config(args.config)
    given = {name: getattr(args, name) for name in ("seed", "epochs", "batch_size", "start", "data")}
    given["run"] = args.run_directory
    changes = {name: value for name, value in given.items() if value is not None}
    for path in fit_members(replace(config, **changes), args.members, quiet=args.quiet, note=note):
        sys.stdout.write(f"{path}\n")
