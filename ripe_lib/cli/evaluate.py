"""``ripe evaluate``: tables, pictures and one page about a model on a prepared data set."""

from __future__ import annotations

import argparse
import sys

from ripe_lib.cli.common import FORCE_HINT, add_run_arguments
from ripe_lib.output.console import apply_threads, note, positive_int, progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="MODEL", help="name (DeepRiPe/clip31) or directory of a model")
    parser.add_argument("dataset", metavar="DATASET", help="data set made by: ripe-train prepare")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--split", default="test", metavar="S", help="train, valid, test (default) or all")
    parser.add_argument(
        "--task",
        action="append",
        metavar="OUTPUT[=TASK]",
        help="only this output (repeatable); with =TASK it is tested on that task of the data set",
    )
    parser.add_argument(
        "--region",
        choices=("data", "none"),
        default="data",
        help="none: withhold region types, as for callers without a GTF",
    )
    parser.add_argument("--bootstrap", type=positive_int, default=1000, metavar="N", help="draws (default 1000)")
    parser.add_argument(
        "--prevalence",
        type=_share,
        default=0.2,
        metavar="P",
        help="share of positives at which calibration is measured (default 0.2)",
    )
    parser.add_argument("--predictions", action="store_true", help="also write labels and scores of every window")
    parser.add_argument("--force", action="store_true", help="replace the folder if it is there")
    add_run_arguments(parser)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text!r}")
    return value


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    apply_threads(args.threads)
    from ripe_lib.evaluation.evaluate import Options, score_dataset
    from ripe_lib.output.atomic import check_new_folder
    from ripe_lib.reports.evaluation import write_evaluation

    check_new_folder(args.output, overwrite=args.force, hint=FORCE_HINT)
    tasks = None
    if args.task:
        tasks = {output: name or output for output, _, name in (text.partition("=") for text in args.task)}
    evaluation = score_dataset(
        args.model,
        args.dataset,
        split=args.split,
        tasks=tasks,
        region=args.region,
        options=Options(n_bootstrap=args.bootstrap, prevalence=args.prevalence, seed=args.seed),
        batch_size=args.batch_size,
        progress=lambda blocks: progress(blocks, quiet=args.quiet, desc="predicting"),
    )
    folder = write_evaluation(
        evaluation,
        args.output,
        with_predictions=args.predictions,
        overwrite=args.force,
        step=lambda name: note(f"writing {name}", quiet=args.quiet),
    )
    sys.stdout.write((folder / "summary.csv").read_text(encoding="utf-8"))
