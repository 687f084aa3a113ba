"""``ripe-train prepare CONFIG``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ripe_lib.output.console import whole_number

READS = ("config",)
WRITES = ("out",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("config", metavar="CONFIG", help="YAML file with a section 'prepare'; see training/configs")
    parser.add_argument("-o", "--out", metavar="H5", help="output data set (default: 'output' of the config)")
    parser.add_argument("--seed", type=whole_number, help="seed (default: that of the config)")
    parser.add_argument("--report", action="store_true", help="write an HTML report beside the data set")
    parser.add_argument("--quiet", action="store_true", help="no notes on stderr")


def run(args: argparse.Namespace) -> None:
    """Make a data set from a config."""
    from dataclasses import replace

    from ripe_lib.evaluation.dataset import Dataset
    from ripe_lib.output.console import note
    from training.data.config import read_config
    from training.data.prepare import prepare_all

    config = read_config(args.config)
    if args.seed is not None:
        config = replace(config, seed=args.seed)
    if args.report:
        config = replace(config, report=True)
    if args.out is not None:
        config = replace(config, output=Path(args.out))
    for path in prepare_all(config, note=note):
        dataset = Dataset(path)
        sizes = ", ".join(f"{name} {count}" for name, count in dataset.manifest["counts"]["splits"].items())
        sys.stdout.write(f"{path}: {len(dataset)} sites, {len(dataset.tasks)} tasks ({sizes})\n")
