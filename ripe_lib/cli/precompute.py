"""``ripe precompute``: every substitution of regions, as a file that other tools look alleles up in."""

import argparse
from pathlib import Path

from ripe_lib.cli import common
from ripe_lib.cli.score_variants import add_scoring_arguments, scoring_options
from ripe_lib.output.console import counter, note, options

EXAMPLES = """
examples:
  ripe precompute clip31 utrs.bed --fasta hg38.fa --gtf gencode.gtf.gz --task QKI_PARCLIP -o scores.tsv.gz
  ripe precompute clip31 chr9:5,126,001-5,136,000 --fasta hg38.fa --gtf gencode.gtf.gz -o scores.vcf.gz
"""
READS = ("regions", "model", "fasta", "gtf")
WRITES = ("output",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = options(parser)
    common.add_model_argument(add)
    add("regions REGIONS", "BED file, or one region such as chr1:1,001-2,000")
    common.add_genome_arguments(add)
    what = "table (.tsv.gz) or VCF without samples (.vcf.gz), one line per allele, with a tabix index"
    add("-o --output OUT", what, required=True)
    common.add_task_argument(add, "a further column with the delta of each, or of all")
    add_scoring_arguments(parser)
    common.add_run_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Score and write."""
    is_region = ":" in args.regions and not Path(args.regions).exists()
    common.check_files(None if is_region else args.regions, args.fasta, args.gtf)
    tasks = common.chosen_tasks(args.task or [], common.model_spec(args.model))
    from ripe_lib.genome.fasta import Genome
    from ripe_lib.variants.precompute import precompute
    from ripe_lib.variants.saturation import parse_region

    common.note_strand(args)
    regions = [parse_region(args.regions, Genome(args.fasta))[:3]] if is_region else args.regions
    how = {"fasta_file": args.fasta, "gtf_file": args.gtf, "tasks": tasks, "options": scoring_options(args)}
    with counter("scoring", "chunk") as show:
        found = precompute(args.model, regions, args.output, progress=show, **how)
    megabytes = Path(args.output).stat().st_size / 1e6
    note(f"{found.n_bases:,} bases of {found.n_stretches:,} regions: {args.output} ({megabytes:.1f} MB)")
