"""``ripe predict``: binding probabilities of intervals."""

import argparse
import time
import warnings

from ripe_lib.cli import common
from ripe_lib.output.console import note, options, steps

EXAMPLES = """
examples:
  ripe predict DeepRiPe/parclip_mid sites.bed --fasta hg38.fa --gtf gencode.gtf.gz -o scores.tsv
  ripe predict clip31 peaks.narrowPeak --fasta hg38.fa --gtf gencode.gtf.gz --centre summit \\
      --task QKI_PARCLIP -o scores.parquet
"""
READS = ("model", "intervals", "fasta", "gtf")
WRITES = ("output",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = options(parser)
    common.add_model_argument(add)
    add("intervals INTERVALS", "BED file (3 to 6 columns or more, plain or gz)")
    common.add_genome_arguments(add)
    add("-o --output OUT", "table to write: .tsv .csv (also .gz) .parquet .h5; one column per task", required=True)
    common.add_task_argument(add)
    where = options(parser, "where the windows lie")
    centre = "on the middle of each interval (default), or on the summit of narrowPeak (column 10)"
    where("--centre", centre, ("middle", "summit"), "middle")
    tile = "windows along all of an interval longer than one; the best of them counts, for each task by itself"
    where("--tile", tile)
    common.add_run_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run ``ripe predict``."""
    common.check_files(args.intervals, args.fasta, args.gtf)
    spec = common.model_spec(args.model)
    tasks = common.wanted_tasks(args.task, spec) or list(spec.tasks)
    from ripe_lib.network.load import load_model
    from ripe_lib.network.predict import PeakWindows, predict_intervals
    from ripe_lib.output.tables import open_table

    common.check_table(args.output)
    placing = PeakWindows(spec.sequence_length, args.centre, args.tile)
    started = time.perf_counter()
    warnings.simplefilter("always")
    model = load_model(args.model)
    loaded = time.perf_counter()
    pieces = predict_intervals(
        model, args.intervals, fasta_file=args.fasta, gtf_file=args.gtf, batch_size=args.batch_size, placing=placing
    )
    attributes = {"model": model.name, "tasks": tasks}
    with open_table(args.output, attributes=attributes) as table, steps(None, "predicting", unit="interval") as bar:
        for piece in pieces:
            table.write(piece[[*piece.columns.drop(list(spec.tasks)), *tasks]])
            bar.update(len(piece))
    if args.gtf is None and (spec.has_region or spec.has_landmarks):
        unknown = "region types and distances to landmarks" if spec.has_landmarks else "region types"
        note(f"note: no --gtf, so {unknown} are unknown; scores can be far from those with one")
    if remark := placing.remark():
        note(f"note: {remark}")
    finished = time.perf_counter()
    rate = placing.n_intervals / max(finished - loaded, 1e-9)
    note(
        f"{placing.n_intervals:,} intervals x {len(tasks)} tasks -> {args.output} in {finished - started:.1f} s "
        f"(model loaded in {loaded - started:.1f} s, then {rate:,.0f} intervals/s)"
    )
