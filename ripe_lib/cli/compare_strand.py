"""``ripe compare-strand``: what the right strand changes for variants in minus-strand genes."""

import argparse
import sys

from ripe_lib.cli import common
from ripe_lib.output.console import note, number, options, positive_int, steps

EXAMPLES = """
examples:
  ripe compare-strand clip31 variants.vcf.gz --fasta hg38.fa --gtf gencode.gtf.gz -o minus.tsv
"""
OLD_SPELLINGS = {"--model": "MODEL", "--tasks": "--task"}
READS = ("vcf", "models", "fasta", "gtf")
WRITES = ("output",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = options(parser)
    common.add_model_argument(add, several=True)
    add("vcf VCF", "VCF (plain, gzip, bgzip), BCF, or - for standard input")
    common.add_genome_arguments(add)
    add("-o --output OUT", "table of minus-strand variants: .tsv, .tsv.gz, .parquet", required=True)
    common.add_task_argument(add)
    add("--region", "region types (default none)", ("gtf", "none"), "none")
    add("--shifts K", "average over K windows", positive_int, 1)
    add("--delta-threshold X", "|delta| that is a change (0.1)", number, 0.1)
    add("--force", "go on if the FASTA seems to be of another assembly")
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
    scoring = VariantOptions(region=args.region, shifts=args.shifts, batch_size=args.batch_size)
    comparison = StrandComparison(models, genome, annotation, scoring, tasks=tasks, threshold=args.delta_threshold)
    with VcfFile(args.vcf) as vcf, open_table(args.output) as table:
        check_assembly(vcf, genome, force=args.force)
        for rows in steps(comparison.tables(vcf), "scoring", unit="chunk"):
            table.write(rows)
    sys.stdout.write(comparison.summary().to_csv(sep="\t", index=False, float_format="%.4f"))
    n = comparison.n_rows
    note(f"{n['-']} of {n['+'] + n['-']} rows are in minus-strand genes; written to {args.output}")
