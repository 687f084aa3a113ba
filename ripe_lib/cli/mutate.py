"""``ripe mutate``: every substitution and single-base deletion of a region."""

import argparse

from ripe_lib.cli import common
from ripe_lib.output.console import note, options

EXAMPLES = """
examples:
  ripe mutate clip31 chr9:5,126,000-5,126,060:+ --fasta hg38.fa --gtf gencode.gtf.gz --task QKI_PARCLIP -o out.tsv
  ripe mutate clip31 chr9:5,126,000-5,126,060 --fasta hg38.fa --gtf gencode.gtf.gz -o out.bw --plots maps
"""
OLD_SPELLINGS = {"--tasks": "--task", "--plot-formats": "--plot-format"}
READS = ("model", "fasta", "gtf")
WRITES = ("output",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = options(parser)
    common.add_model_argument(add)
    add("region REGION", "e.g. chr1:1,001-2,000 or chr1:1001-2000:- (1-based, ends included)")
    common.add_genome_arguments(add)
    what = "table (.tsv, .parquet) or tracks of the strongest change per base (.bedgraph, .bw; one file per task)"
    add("-o --output OUT", what, required=True)
    common.add_task_argument(add)
    add("--region", "region types", ("gtf", "none"), "gtf", dest="region_types")
    add("--no-deletions", "substitutions only")
    add("--plots DIR", "a heat map per task")
    common.add_plot_format(add)
    common.add_run_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Score and write."""
    common.check_files(args.fasta, args.gtf)
    tasks = common.wanted_tasks(args.task, common.model_spec(args.model))
    from ripe_lib.genome.annotation import open_genome
    from ripe_lib.network.load import load_model
    from ripe_lib.output.atomic import check_output_file
    from ripe_lib.reports.figures import checked_formats
    from ripe_lib.reports.saturation import write_heat_maps, write_saturation
    from ripe_lib.variants.options import VariantOptions
    from ripe_lib.variants.saturation import parse_region, saturate

    check_output_file(args.output)
    formats = checked_formats(args.plot_format)
    genome, annotation = open_genome(args.fasta, args.gtf)
    region = parse_region(args.region, genome, annotation)
    model = load_model(args.model)
    scoring = VariantOptions(region=args.region_types, batch_size=args.batch_size)
    found = saturate([model], genome, annotation, region, deletions=not args.no_deletions, options=scoring)
    files = write_saturation(found, args.output, genome, tasks)
    if args.plots:
        files += write_heat_maps(found, args.plots, tasks, formats)
    named = ", ".join(map(str, files[:3])) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    note(f"{region}: {len(found.scored.rows)} changes: {named}")
