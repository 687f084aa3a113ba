"""``ripe evaluate``: tables, pictures and a page about a model on a data set, or on bound and other sites."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from ripe_lib.cli import common
from ripe_lib.errors import InputError
from ripe_lib.output.console import positive_int

if TYPE_CHECKING:
    from ripe_lib.evaluation.evaluate import Evaluation

EXAMPLES = """
examples:
  ripe evaluate clip31 clip31.h5 -o evaluation
  ripe evaluate parclip_mid mine.h5 --task CAPRIN1=my_caprin -o evaluation
  ripe evaluate clip31 --positives bound.bed --negatives other.bed --fasta hg38.fa --gtf gencode.gtf.gz \\
      --task QKI_PARCLIP -o evaluation
"""

READS = ("model", "dataset", "positives", "negatives", "fasta", "gtf")
REPLACES = ("output",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    common.add_model_argument(parser)
    parser.add_argument("dataset", metavar="DATASET", nargs="?", help="data set made by: ripe-train prepare")
    sites = parser.add_argument_group("instead of a data set")
    sites.add_argument("--positives", metavar="BED", help="bound intervals")
    sites.add_argument("--negatives", metavar="BED", help="intervals that are not bound")
    common.add_genome_arguments(sites, required=False)
    common.add_output_argument(parser, "folder to write", metavar="DIR")
    parser.add_argument("--split", default="test", metavar="S", help="train, valid, test (default) or all")
    common.add_task_argument(
        parser, "outputs to measure (default all); OUTPUT=TASK tests one on a data set's other task"
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
    common.add_run_arguments(parser)


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
    from ripe_lib.output.atomic import check_new_folder

    if (args.dataset is None) == (args.positives is None) or (args.positives is None) != (args.negatives is None):
        raise InputError("expected either DATASET, or --positives BED --negatives BED --fasta F.")
    if args.positives is not None and args.fasta is None:
        raise InputError("expected --fasta F with --positives and --negatives, got none.")
    check_new_folder(args.output, overwrite=args.force, hint=common.FORCE_HINT)
    common.check_files(args.dataset, kind="data set", hint="Make one with: ripe-train prepare CONFIG")
    common.check_files(args.positives, args.negatives, args.fasta, args.gtf)
    pairs = {output: name or output for output, _, name in (text.partition("=") for text in args.task or ["all"])}
    outputs = common.chosen_tasks(list(pairs), common.model_spec(args.model))
    tasks = None if list(pairs) == ["all"] else {output: pairs.get(output, output) for output in outputs}
    from ripe_lib.reports.evaluation import write_evaluation

    evaluation = _measured(args, tasks)
    folder = write_evaluation(evaluation, args.output, with_predictions=args.predictions, overwrite=args.force)
    sys.stdout.write((folder / "summary.csv").read_text(encoding="utf-8"))


def _measured(args: argparse.Namespace, tasks: dict[str, str] | None) -> Evaluation:
    from ripe_lib.evaluation.evaluate import Options, score_dataset
    from ripe_lib.evaluation.intervals import score_intervals
    from ripe_lib.network.load import load_model

    measuring = Options(n_bootstrap=args.bootstrap, prevalence=args.prevalence, seed=args.seed)
    options: dict[str, Any] = {"options": measuring, "batch_size": args.batch_size}
    model = load_model(args.model)
    if args.dataset is not None:
        return score_dataset(model, args.dataset, split=args.split, tasks=tasks, region=args.region, **options)
    options["gtf_file"] = args.gtf if args.region == "data" else None
    outputs = None if tasks is None else list(tasks)
    return score_intervals(model, args.positives, args.negatives, fasta_file=args.fasta, tasks=outputs, **options)
