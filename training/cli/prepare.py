"""``ripe-train prepare CONFIG``."""

import argparse
import sys
from pathlib import Path

from ripe_lib.output.console import options, whole_number

READS = ("config",)
WRITES = ("out",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = options(parser)
    add("config CONFIG", "YAML file with a section 'prepare'; see training/configs")
    add("-o --out H5", "output data set (default: 'output' of the config)")
    add("--seed", "seed (default: that of the config)", whole_number)
    add("--report", "write an HTML report beside the data set")
    add("--quiet", "no notes on stderr")


def run(args: argparse.Namespace) -> None:
    """Make a data set from a config."""
    from dataclasses import replace

    from ripe_lib.evaluation.dataset import Dataset
    from ripe_lib.output.console import note
    from training.data.config import read_config
    from training.data.prepare import prepare_all

    config = read_config(args.config)
    config = replace(config, report=config.report or args.report)
    if args.seed is not None:
        config = replace(config, seed=args.seed)
    if args.out is not None:
        config = replace(config, output=Path(args.out))
    for path in prepare_all(config, note=note):
        dataset = Dataset(path)
        sizes = ", ".join(f"{name} {count}" for name, count in dataset.manifest["counts"]["splits"].items())
        sys.stdout.write(f"{path}: {len(dataset)} sites, {len(dataset.tasks)} tasks ({sizes})\n")
