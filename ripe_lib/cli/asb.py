"""``ripe asb``: scores of SNVs at sites of allele-specific binding."""

from __future__ import annotations

import argparse

from ripe_lib.cli import common
from ripe_lib.output.console import note, positive_int, steps, whole_number

EXAMPLES = """
examples:
  ripe asb eclip_k562_high1 snvs.vcf --fasta hg19.fa --gtf gencode.gtf.gz --task TARDBP -o asb.tsv --report page
"""
OLD_SPELLINGS = {"--model": "MODEL"}

READS = ("vcf", "model", "fasta", "gtf", "motifs")
WRITES = ("output", "report")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    common.add_model_argument(parser)
    parser.add_argument("vcf", metavar="VCF", help="VCF (plain, gzip, bgzip), BCF, or - for standard input")
    common.add_genome_arguments(parser)
    common.add_task_argument(parser, "tasks to score; 'all' for all", required=True)
    common.add_output_argument(parser, "table: .tsv, .tsv.gz, .parquet")
    parser.add_argument("--motifs", metavar="MEME", help="MEME file with motifs of the proteins, for the motif score")
    parser.add_argument(
        "--motif", nargs="+", metavar="ID", help="motifs to use for every task (default: those with the task's protein)"
    )
    parser.add_argument("--strand", choices=("auto", "+", "-", "both"), default="auto")
    parser.add_argument("--region", choices=("gtf", "none"), default="none", help="region types (default none)")
    parser.add_argument(
        "--context", type=whole_number, default=30, metavar="N", help="nt seen around the SNV (30; 0: window)"
    )
    parser.add_argument("--af", default="AF", metavar="KEY", help="INFO key of the frequency of ALT (default AF)")
    parser.add_argument("--effect", metavar="KEY", help="INFO key of a measured effect, for correlations")
    parser.add_argument(
        "--steps", type=positive_int, default=50, metavar="N", help="of integrated gradients (default 50)"
    )
    parser.add_argument("--report", metavar="DIR", help="also a page with plots and correlations")
    parser.add_argument("--force", action="store_true", help="go on if the FASTA seems to be of another assembly")
    common.add_run_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Score and write."""
    from ripe_lib.output.atomic import check_output_file
    from ripe_lib.output.tables import table_format

    table_format(args.output)
    check_output_file(args.output)
    common.check_files(args.vcf, args.fasta, args.gtf, args.motifs)
    args.task = common.chosen_tasks(args.task, common.model_spec(args.model))
    import pandas as pd

    from ripe_lib.genome.alleles import OK, check_assembly
    from ripe_lib.genome.annotation import open_genome
    from ripe_lib.genome.vcf import VcfFile
    from ripe_lib.network.load import load_model
    from ripe_lib.output.tables import open_table
    from ripe_lib.reports.asb import write_asb_report
    from ripe_lib.variants.asb import AsbOptions, AsbScorer, motifs_of_tasks

    genome, annotation = open_genome(args.fasta, args.gtf)
    common.note_strand(args)
    model = load_model(args.model)
    pwms = None if args.motifs is None else motifs_of_tasks(args.motifs, model, args.task, args.motif or ())
    options = AsbOptions(args.strand, args.region, args.context, args.af, args.effect, args.steps)
    scorer = AsbScorer(model, genome, annotation, args.task, pwms, options)
    kept, n_scored = [], 0
    with VcfFile(args.vcf) as vcf, open_table(args.output) as table:
        check_assembly(vcf, genome, force=args.force)
        for rows in steps(scorer.tables(vcf), "scoring", unit="chunk"):
            table.write(rows)
            n_scored += int((rows["status"] == OK).sum())
            if args.report:
                kept.append(rows)
    note(f"{n_scored} rows scored, written to {args.output}")
    if scorer.gaps.n_large:
        note(f"note: {scorer.gaps.sentence()}. Raise --steps (now {args.steps})")
    if args.report and kept:
        path = write_asb_report(pd.concat(kept, ignore_index=True), args.task, args.report)
        note(f"report: {path}")
