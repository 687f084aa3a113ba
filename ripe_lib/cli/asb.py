"""``ripe asb``: scores of SNVs at sites of allele-specific binding."""

import argparse

from ripe_lib.cli import common
from ripe_lib.output.console import note, options, positive_int, steps, whole_number

EXAMPLES = """
examples:
  ripe asb eclip_k562_high1 snvs.vcf --fasta hg19.fa --gtf gencode.gtf.gz --task TARDBP -o asb.tsv --report page
"""
OLD_SPELLINGS = {"--model": "MODEL"}
READS = ("vcf", "model", "fasta", "gtf", "motifs")
WRITES = ("output", "report")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = options(parser)
    common.add_model_argument(add)
    add("vcf VCF", "VCF (plain, gzip, bgzip), BCF, or - for standard input")
    common.add_genome_arguments(add)
    common.add_task_argument(add, "tasks to score; 'all' for all", required=True)
    add("-o --output OUT", "table: .tsv, .tsv.gz, .parquet", required=True)
    add("--motifs MEME", "MEME file with motifs of the proteins, for the motif score")
    add("--motif ID", "motifs to use for every task (default: those with the task's protein)", nargs="+")
    add("--strand", None, ("auto", "+", "-", "both"), "auto")
    add("--region", "region types (default none)", ("gtf", "none"), "none")
    add("--context N", "nt seen around the SNV (30; 0: window)", whole_number, 30)
    add("--af KEY", "INFO key of the frequency of ALT (default AF)", default="AF")
    add("--effect KEY", "INFO key of a measured effect, for correlations")
    add("--steps N", "of integrated gradients (default 50)", positive_int, 50)
    add("--report DIR", "also a page with plots and correlations")
    add("--force", "go on if the FASTA seems to be of another assembly")
    common.add_run_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Score and write."""
    common.check_table(args.output)
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
    how = AsbOptions(args.strand, args.region, args.context, args.af, args.effect, args.steps)
    scorer = AsbScorer(model, genome, annotation, args.task, pwms, how)
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
        note(f"report: {write_asb_report(pd.concat(kept, ignore_index=True), args.task, args.report)}")
