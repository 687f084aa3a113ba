"""``ripe-train tiers CONFIG``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ripe_lib.output.console import positive_int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("config", metavar="CONFIG", help="YAML with prepare, fit, publish; see training/configs/paper")
    parser.add_argument("--work", metavar="DIR", required=True, help="folder for the data set and the runs")
    parser.add_argument("--out", metavar="DIR", help="folder that gets DeepRiPe/MODEL (default: your model folder)")
    parser.add_argument("--only", nargs="+", default=(), metavar="MODEL", help="make these models (default: all)")
    parser.add_argument("--threads", type=positive_int, default=None, metavar="N", help="CPU threads (default: all)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no notes on stderr")


def run(args: argparse.Namespace) -> None:
    """Prepare, train and publish the models of a config; goes on where it was stopped."""
    from ripe_lib.network.catalogue import user_models_directory
    from ripe_lib.output.console import apply_threads, note
    from training.publishing.tiers import make_tiers

    apply_threads(args.threads)
    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    make_tiers(
        args.config,
        work,
        models=Path(args.out) if args.out else user_models_directory(),
        only=args.only,
        note=lambda line: note(line, quiet=args.quiet),
        quiet=args.quiet,
    )
