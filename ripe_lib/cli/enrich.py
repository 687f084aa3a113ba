"""``ripe enrich``: which RBPs bind given intervals, such as peaks."""

import argparse

from ripe_lib.cli import common
from ripe_lib.output.console import counter, note, options, positive_int

EXAMPLES = """
examples:
  ripe enrich all peaks.bed --fasta hg38.fa --gtf gencode.gtf.gz -o rbps.tsv --plot rbps.png
  ripe enrich 'parclip_low,eclip_k562_*' peaks.bed --fasta hg38.fa --gtf gencode.gtf.gz
"""
READS = ("models", "intervals", "fasta", "gtf")
WRITES = ("output", "plot", "background")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``ripe enrich``."""
    add = options(parser)
    common.add_model_argument(add, several=True)
    add("intervals BED", "intervals, e.g. peaks (BED or narrowPeak, plain or gz)")
    common.add_genome_arguments(add)
    add("-o --output OUT", "table of all tasks: .tsv .csv (also .gz) .parquet .h5")
    common.add_task_argument(add, "only these, also for the q-value (default all), see: ripe tasks MODEL")
    add("--plot FILE", "picture of the first tasks: .png .svg .pdf")
    add("--background BED", "write the background windows that were compared with")
    add("--per-interval N", "background windows of each (default 4)", positive_int, 4)
    add("--max-intervals N", "of more, draw so many (default 10000)", positive_int, 10_000)
    add("--top N", "tasks to print (default 20)", positive_int, 20)
    common.add_run_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run ``ripe enrich``."""
    common.check_files(args.intervals, args.fasta, args.gtf)
    names = common.model_names(args.models)
    tasks = common.wanted_tasks(args.task, *map(common.model_spec, names))
    from pathlib import Path

    from ripe_lib.errors import InputError
    from ripe_lib.network.load import load_model
    from ripe_lib.output.atomic import atomic_file, check_output_file
    from ripe_lib.output.tables import open_table
    from ripe_lib.reports.enrichment import enrichment_figure
    from ripe_lib.reports.figures import checked_formats, save_figure
    from ripe_lib.scan.enrichment import enrichment

    if args.gtf is None:
        raise InputError("expected a gene annotation for the matched background, got none. Give it with --gtf.")
    if args.output:
        common.check_table(args.output)
    if args.plot:
        checked_formats(Path(args.plot).suffix)
    for path in filter(None, (args.plot, args.background)):
        check_output_file(path)
    models = [load_model(name) for name in names]
    how = {name: getattr(args, name) for name in ("per_interval", "max_intervals", "seed", "batch_size")}
    how |= {"fasta_file": args.fasta, "gtf_file": args.gtf, "tasks": tasks}
    with counter("scoring", "window") as show:
        table, windows = enrichment(models, args.intervals, progress=show, **how)
    left_out = ", ".join(f"{n} {reason}" for reason, n in windows.left_out.items() if n)
    note(
        f"{len(windows.intervals)} intervals against {len(windows.background)} windows of the same genes and region "
        "types" + (f"; left out: {left_out}" if left_out else "")
    )
    if args.output:
        with open_table(args.output) as out:
            out.write(table)
    if args.background:
        with atomic_file(args.background) as temporary:
            columns = ["chrom", "start", "end", "region_type", "score", "strand"]
            windows.background[columns].assign(score=0).to_csv(
                temporary, sep="\t", header=False, index=False, errors="surrogateescape"
            )
    if args.plot:
        plot = Path(args.plot)
        title = f"{Path(args.intervals).name}: {len(windows.intervals)} intervals"
        save_figure(enrichment_figure(table, title=title), plot.with_suffix(""), plot.suffix)
    shown = table.drop(columns="rbp" if len(models) > 1 else ["model", "rbp"]).head(args.top)
    for column in ("p_value", "q_value"):
        shown[column] = [f"{value:.1e}" for value in shown[column]]
    common.write_table(shown)
