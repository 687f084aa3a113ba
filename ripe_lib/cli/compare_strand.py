"""``ripe compare-strand``: what the right strand changes for variants in minus-strand genes."""

from __future__ import annotations

import argparse
import sys

from ripe_lib.cli import common
from ripe_lib.output.console import note, number, positive_int, steps

EXAMPLES = """
examples:
  ripe compare-strand clip31 variants.vcf.gz --fasta hg38.fa --gtf gencode.gtf.gz -o minus.tsv
"""
OLD_SPELLINGS = {"--model": "MODEL", "--tasks": "--task"}

READS = ("vcf", "models", "fasta", "gtf")
WRITES = ("output",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    common.add_model_argument(parser, several=True)
    parser.add_argument("vcf", metavar="VCF", help="VCF (plain, gzip, bgzip), BCF, or - for standard input")
    common.add_genome_arguments(parser)
    common.add_output_argument(parser, "table of minus-strand variants: .tsv, .tsv.gz, .parquet")
    common.add_task_argument(parser)
    parser.add_argument("--region", choices=("gtf", "none"), default="none", help="region types (default none)")
    parser.add_argument("--shifts", type=positive_int, default=1, metavar="K", help="average over K windows")
    parser.add_argument(
        "--delta-threshold", type=number, default=0.1, metavar="X", help="|delta| that is a change (0.1)"
    )
    parser.add_argument("--force", action="store_true", help="go on if the FASTA seems to be of another assembly")
    common.add_run_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Score twice and write the table; the summary goes to standard output."""
    from ripe_lib.errors import InputError

    if args.gtf is None:
        raise InputError("expected a gene annotation, which tells the strands, got none. Give it with --gtf.")
    common.check_files(args.vcf, args.fasta, args.gtf)
    tasks = common.wanted_tasks(args.task, *map(common.model_spec, args.models))
    from ripe_lib.genome.alleles import check_assembly
    from ripe_lib.genome.annotation import Annotation
    from ripe_lib.genome.fasta import Genome
    from ripe_lib.genome.vcf import VcfFile
    from ripe_lib.network.load import load_model
    from ripe_lib.output.tables import open_table
    from ripe_lib.variants.options import VariantOptions
    from ripe_lib.variants.strand import StrandComparison

    genome = Genome(args.fasta)
    annotation = Annotation.load(args.gtf).for_genome(genome)
    models = [load_model(name) for name in args.models]
    options = VariantOptions(region=args.region, shifts=args.shifts, batch_size=args.batch_size)
    comparison = StrandComparison(models, genome, annotation, options, tasks=tasks, threshold=args.delta_threshold)
    with VcfFile(args.vcf) as vcf, open_table(args.output) as table:
        check_assembly(vcf, genome, force=args.force)
        for rows in steps(comparison.tables(vcf), "scoring", unit="chunk"):
            table.write(rows)
    summary = comparison.summary()
    sys.stdout.write(summary.to_csv(sep="\t", index=False, float_format="%.4f"))
    n = comparison.n_rows
    note(f"{n['-']} of {n['+'] + n['-']} rows are in minus-strand genes; written to {args.output}")
