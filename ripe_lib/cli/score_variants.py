"""``ripe score-variants``: a VCF in, effects on RNA-binding proteins out."""

from __future__ import annotations

import argparse
from typing import Any

from ripe_lib.cli import common
from ripe_lib.output.console import counter, note, number, positive_int

STRANDS = ("auto", "+", "-", "both")
EXAMPLES = """
examples:
  ripe score-variants clip31 variants.vcf.gz --fasta hg38.fa --gtf gencode.gtf.gz -o scored.vcf.gz
  ripe score-variants clip31,parclip_mid variants.vcf.gz --fasta hg38.fa --gtf gencode.gtf.gz --task QKI QKI_PARCLIP \\
      --min-delta 0.1 --scores delta class -o scored.tsv --report page
"""
OLD_SPELLINGS = {"--model": "MODEL", "--tasks": "--task"}

READS = ("vcf", "models", "fasta", "gtf", "peaks")
WRITES = ("output", "report")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    common.add_model_argument(parser, several=True)
    parser.add_argument("vcf", metavar="VCF", help="VCF (plain, gzip, bgzip), BCF, or - for standard input")
    common.add_genome_arguments(parser)
    common.add_output_argument(
        parser,
        "the suffix decides the kind of file: .tsv, .csv (both also .gz), .parquet, .vcf, .vcf.gz and .bcf (with "
        "index). "
        "bcftools reads a VCF's fields DRP_<model>_MAXDELTA, _TASK, _CLASS (view -i 'INFO/DRP_clip31_MAXDELTA<-0.3') "
        "and DeepRiPe_<model> (+split-vep -a DeepRiPe_clip31)",
    )
    add_scoring_arguments(parser)
    rows = parser.add_argument_group("what is written (with a filter only scored rows that pass it)")
    rows.add_argument(
        "--format",
        choices=("wide", "long", "biobank"),
        help="layout of tables (default wide); biobank: .csv[.gz], 4 shifts",
    )
    common.add_task_argument(rows)
    rows.add_argument("--top", type=positive_int, metavar="K", help="only the K largest |delta| (long format, VCF)")
    rows.add_argument("--min-delta", type=number, default=0.0, metavar="D", help="rows with a |delta| of at least D")
    rows.add_argument("--region-types", nargs="+", metavar="R", help="variants in these: intron CDS 3UTR 5UTR none")
    rows.add_argument("--peaks", metavar="BED", help="variants that overlap a peak, on its strand if it has one")
    rows.add_argument("--report", metavar="DIR", help="also a page of the strongest changes, with attributions")
    rows.add_argument(
        "--report-changes", type=positive_int, default=20, metavar="N", help="changes on that page (default 20)"
    )
    parser.add_argument("--chunk-size", type=positive_int, metavar="N", help="lines of the VCF scored at a time")
    parser.add_argument(
        "--dask", metavar="SCHEDULER", help="address of a dask scheduler, or processes:N for N processes here"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="go on if the FASTA seems to be of another assembly, and write OUT even if nothing could be scored",
    )
    common.add_run_arguments(parser)


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that decide the scores themselves."""
    group = parser.add_argument_group("scoring")
    group.add_argument(
        "--strand", choices=STRANDS, default="auto", help="auto: strands with a transcript of the GTF (default)"
    )
    group.add_argument(
        "--intergenic",
        choices=("skip", "+", "-", "both"),
        default="skip",
        help="with --strand auto, what to do where no transcript is (default skip, with a reason code)",
    )
    group.add_argument(
        "--region",
        choices=("gtf", "none", "both"),
        default="gtf",
        help="region types of the GTF (default), none as in the paper, or both",
    )
    group.add_argument(
        "--shifts", type=positive_int, metavar="K", help="average over K windows (default 1; biobank format 4)"
    )
    group.add_argument(
        "--scores",
        nargs="+",
        default=["delta"],
        choices=("delta", "class", "percentile"),
        help="more than ref, alt, delta, delta_logit: class of the change, percentile of |delta|",
    )
    group.add_argument(
        "--delta-threshold", type=number, default=0.1, metavar="X", help="class: |delta| above X is a change (0.1)"
    )
    group.add_argument(
        "--site-threshold", type=number, default=0.5, metavar="P", help="class: probability above P is a site (0.5)"
    )


def scoring_options(args: argparse.Namespace, *, default_shifts: int = 1) -> Any:
    """Return the :class:`VariantOptions` of parsed arguments."""
    from ripe_lib.variants.options import VariantOptions

    return VariantOptions(
        strand=args.strand,
        region=args.region,
        intergenic=args.intergenic,
        shifts=args.shifts or default_shifts,
        scores=tuple(args.scores),
        delta_threshold=args.delta_threshold,
        site_threshold=args.site_threshold,
        batch_size=args.batch_size,
    )


def run(args: argparse.Namespace) -> None:
    """Score a VCF into a file."""
    from ripe_lib.output.atomic import check_output_file

    check_output_file(args.output)
    common.check_files(args.vcf, args.fasta, args.gtf, args.peaks)
    args.models = common.model_names(args.models)
    tasks = common.wanted_tasks(args.task, *map(common.model_spec, args.models))
    from ripe_lib.genome.alleles import OK, REASONS
    from ripe_lib.variants.format import OutputFormat
    from ripe_lib.variants.options import RowFilter
    from ripe_lib.variants.output import VariantJob, write_scores

    out = OutputFormat.of(args.output, args.format, args.top or 0)
    common.note_strand(args)
    job = VariantJob(
        vcf_file=args.vcf,
        fasta_file=args.fasta,
        gtf_file=args.gtf,
        models=tuple(args.models),
        options=scoring_options(args, default_shifts=4 if out.layout == "biobank" else 1),
        out=out,
        rows=RowFilter(
            tasks=None if tasks is None else tuple(tasks),
            min_delta=args.min_delta,
            region_types=None if args.region_types is None else tuple(args.region_types),
            peaks_file=args.peaks,
        ),
        n_strongest=args.report_changes if args.report else 0,
    )
    with counter("scoring", "chunk") as show:
        summary = write_scores(
            job, args.output, chunk_size=args.chunk_size, force=args.force, scheduler=args.dask, progress=show
        )
    unscored = ", ".join(
        f"{n} {status} ({REASONS[status]})" for status, n in summary.status.most_common() if status != OK
    )
    note(
        f"{summary.n_records} records: {summary.status[OK]} rows scored, {summary.n_rows} written to {args.output}"
        + (f"; not scored: {unscored}" if unscored else "")
    )
    if args.output.lower().endswith((".gz", ".bgz", ".bcf")) and out.kind == "vcf" and summary.index is None:
        note("note: the records are not sorted, so there is no index; sort with: bcftools sort")
    if args.report:
        from ripe_lib.reports.variants import write_report

        path = write_report(job, summary, args.report)
        note(f"report: {path}")
