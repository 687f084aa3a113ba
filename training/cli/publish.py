"""``ripe-train publish RUN``."""

from __future__ import annotations

import argparse
import sys

from ripe_lib.output.console import positive_int, whole_number

READS = ("run_directory", "data")
REPLACES = ("out",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("run_directory", metavar="RUN", help="run directory of ripe-train fit")
    parser.add_argument("--data", metavar="H5", help="the run's data set, if it was moved")
    parser.add_argument("--out", metavar="DIR", help="model directory to make (default: in your model folder)")
    parser.add_argument("--name", help="another name than the run's, e.g. DeepRiPe/mine")
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help="outputs to keep, in this order (default: all)")
    parser.add_argument("--calibrate", action="store_true", help="fit probabilities on the validation split")
    parser.add_argument("--bootstrap", type=positive_int, default=1000, metavar="N", help="draws (default %(default)s)")
    parser.add_argument("--seed", type=whole_number, default=0, help="seed of the bootstrap (default 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing model directory")
    parser.add_argument("--quiet", action="store_true", help="no notes on stderr")


def run(args: argparse.Namespace) -> None:
    """Turn a finished run into a Kipoi model directory."""
    from ripe_lib.evaluation.evaluate import Options
    from ripe_lib.output.console import note
    from training.publishing.publish import publish

    directory = publish(
        args.run_directory,
        data=args.data,
        out=args.out,
        name=args.name,
        tasks=args.tasks,
        calibrate=args.calibrate,
        options=Options(n_bootstrap=args.bootstrap, seed=args.seed),
        overwrite=args.overwrite,
        note=note,
    )
    sys.stdout.write(f"{directory}\n")
