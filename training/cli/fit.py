"""``ripe-train fit CONFIG``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ripe_lib.output.console import positive_int, whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("config", metavar="CONFIG", help="YAML file with a section 'fit'; see training/configs")
    parser.add_argument("--data", metavar="H5", help="data set (default: 'data' of the config, or prepare's output)")
    parser.add_argument("--run", metavar="DIR", dest="run_directory", help="run directory (default: the config's)")
    parser.add_argument(
        "--from", dest="start", metavar="MODEL", help="start from this model's or run's weights ('start' of the config)"
    )
    parser.add_argument("--members", type=positive_int, default=1, metavar="N", help="train N networks, seeds apart")
    parser.add_argument("--seed", type=whole_number, help="seed (default: that of the config)")
    parser.add_argument("--epochs", type=positive_int, metavar="N", help="epochs (default: those of the config)")
    parser.add_argument("--batch-size", type=positive_int, metavar="N", help="rows per step (default: the config's)")
    parser.add_argument("--threads", type=positive_int, metavar="N", help="CPU threads (default: all)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no notes on stderr")


def run(args: argparse.Namespace) -> None:
    """Train on a data set; an unfinished run is taken up where it stopped."""
    from dataclasses import replace

    from ripe_lib.output.console import note
    from training.fitting.config import read_config
    from training.fitting.fit import fit_members

    config = read_config(args.config)
    given = {name: getattr(args, name) for name in ("seed", "epochs", "batch_size", "start")}
    changes = {name: value for name, value in given.items() if value is not None}
    if args.data is not None:
        changes["data"] = Path(args.data)
    if args.run_directory is not None:
        changes["run"] = Path(args.run_directory)
    runs = fit_members(replace(config, **changes), args.members, quiet=args.quiet, note=note)
    for path in runs:
        sys.stdout.write(f"{path}\n")
