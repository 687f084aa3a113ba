"""``ripe evaluate``: tables, pictures and a page about a model on a data set, or on bound and other sites."""

import argparse
import sys
from contextlib import suppress
from typing import Any

from ripe_lib.cli import common
from ripe_lib.errors import InputError
from ripe_lib.output.console import options, positive_int

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
    add = options(parser)
    common.add_model_argument(add)
    add("dataset DATASET", "data set made by: ripe-train prepare", nargs="?")
    sites = options(parser, "instead of a data set")
    sites("--positives BED", "bound intervals")
    sites("--negatives BED", "intervals that are not bound")
    common.add_genome_arguments(sites, required=False)
    add("-o --output DIR", "folder to write", required=True)
    add("--split S", "train, valid, test (default) or all", default="test")
    common.add_task_argument(add, "outputs to measure (default all); OUTPUT=TASK tests one on a data set's other task")
    add("--region", "none: withhold region types, as for callers without a GTF", ("data", "none"), "data")
    add("--bootstrap N", "draws (default 1000)", positive_int, 1000)
    add("--prevalence P", "share of positives at which calibration is measured (default 0.2)", _share, 0.2)
    add("--predictions", "also write labels and scores of every window")
    add("--force", "replace the folder if it is there")
    common.add_run_arguments(parser)


def _share(text: str) -> float:
    with suppress(ValueError):
        if 0 < float(text) < 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text!r}")


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
    from ripe_lib.evaluation.evaluate import Options, score_dataset
    from ripe_lib.evaluation.intervals import score_intervals
    from ripe_lib.network.load import load_model
    from ripe_lib.reports.evaluation import write_evaluation

    measuring = Options(n_bootstrap=args.bootstrap, prevalence=args.prevalence, seed=args.seed)
    how: dict[str, Any] = {"options": measuring, "batch_size": args.batch_size}
    model = load_model(args.model)
    if args.dataset is not None:
        found = score_dataset(model, args.dataset, split=args.split, tasks=tasks, region=args.region, **how)
    else:
        how |= {"fasta_file": args.fasta, "gtf_file": args.gtf if args.region == "data" else None}
        how["tasks"] = None if tasks is None else list(tasks)
        found = score_intervals(model, args.positives, args.negatives, **how)
    folder = write_evaluation(found, args.output, with_predictions=args.predictions, overwrite=args.force)
    sys.stdout.write((folder / "summary.csv").read_text(encoding="utf-8"))
