"""``ripe-train publish RUN``."""

import argparse
import sys

from ripe_lib.output.console import note, options, positive_int, whole_number

READS = ("run_directory", "data")
REPLACES = ("out",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = options(parser)
    add("run_directory RUN", "run directory of ripe-train fit")
    add("--data H5", "the run's data set, if it was moved")
    add("--out DIR", "model directory to make (default: in your model folder)")
    add("--name NAME", "another name than the run's, e.g. DeepRiPe/mine")
    add("--tasks TASK", "outputs to keep, in this order (default: all)", nargs="+")
    add("--calibrate", "fit probabilities on the validation split")
    add("--bootstrap N", "draws (default %(default)s)", positive_int, 1000)
    add("--seed", "seed of the bootstrap (default 0)", whole_number, 0)
    add("--overwrite", "replace an existing model directory")
    add("--quiet", "no notes on stderr")


def run(args: argparse.Namespace) -> None:
    """Turn a finished run into a Kipoi model directory."""
    from ripe_lib.evaluation.evaluate import Options
    from training.publishing.publish import publish

    given = {name: getattr(args, name) for name in ("data", "out", "name", "tasks", "calibrate", "overwrite")}
    measuring = Options(n_bootstrap=args.bootstrap, seed=args.seed)
    sys.stdout.write(f"{publish(args.run_directory, **given, options=measuring, note=note)}\n")
