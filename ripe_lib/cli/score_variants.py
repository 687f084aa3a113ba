"""``ripe score-variants``: a VCF in, effects on RNA-binding proteins out."""

import argparse
from typing import Any

from ripe_lib.cli import common
from ripe_lib.output.console import counter, note, number, options, positive_int

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
    add = options(parser)
    common.add_model_argument(add, several=True)
    add("vcf VCF", "VCF (plain, gzip, bgzip), BCF, or - for standard input")
    common.add_genome_arguments(add)
    add(
        "-o --output OUT",
        "the suffix decides the kind of file: .tsv, .csv (both also .gz), .parquet, .vcf, .vcf.gz and .bcf (with "
        "index). "
        "bcftools reads a VCF's fields DRP_<model>_MAXDELTA, _TASK, _CLASS (view -i 'INFO/DRP_clip31_MAXDELTA<-0.3') "
        "and DeepRiPe_<model> (+split-vep -a DeepRiPe_clip31)",
        required=True,
    )
    add_scoring_arguments(parser)
    rows = options(parser, "what is written (with a filter only scored rows that pass it)")
    layout = "layout of tables (default wide); biobank: .csv[.gz], 4 shifts"
    rows("--format", layout, ("wide", "long", "biobank"))
    common.add_task_argument(rows)
    rows("--top K", "only the K largest |delta| (long format, VCF)", positive_int)
    rows("--min-delta D", "rows with a |delta| of at least D", number, 0.0)
    rows("--region-types R", "variants in these: intron CDS 3UTR 5UTR none", nargs="+")
    rows("--peaks BED", "variants that overlap a peak, on its strand if it has one")
    rows("--report DIR", "also a page of the strongest changes, with attributions")
    rows("--report-changes N", "changes on that page (default 20)", positive_int, 20)
    add("--chunk-size N", "lines of the VCF scored at a time", positive_int)
    add("--dask SCHEDULER", "address of a dask scheduler, or processes:N for N processes here")
    force = "go on if the FASTA seems to be of another assembly, and write OUT even if nothing could be scored"
    add("--force", force)
    common.add_run_arguments(parser)


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that decide the scores themselves."""
    add = options(parser, "scoring")
    add("--strand", "auto: strands with a transcript of the GTF (default)", ("auto", "+", "-", "both"), "auto")
    intergenic = "with --strand auto, what to do where no transcript is (default skip, with a reason code)"
    add("--intergenic", intergenic, ("skip", "+", "-", "both"), "skip")
    region = "region types of the GTF (default), none as in the paper, or both"
    add("--region", region, ("gtf", "none", "both"), "gtf")
    add("--shifts K", "average over K windows (default 1; biobank format 4)", positive_int)
    scores = "more than ref, alt, delta, delta_logit: class of the change, percentile of |delta|"
    add("--scores", scores, ("delta", "class", "percentile"), ["delta"], nargs="+")
    add("--delta-threshold X", "class: |delta| above X is a change (0.1)", number, 0.1)
    add("--site-threshold P", "class: probability above P is a site (0.5)", number, 0.5)


def scoring_options(args: argparse.Namespace, *, default_shifts: int = 1) -> Any:
    """Return the :class:`VariantOptions` of parsed arguments."""
    from ripe_lib.variants.options import VariantOptions

    same = ("strand", "region", "intergenic", "delta_threshold", "site_threshold", "batch_size")
    given = {name: getattr(args, name) for name in same}
    return VariantOptions(**given, shifts=args.shifts or default_shifts, scores=tuple(args.scores))


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
            region_types=args.region_types and tuple(args.region_types),
            peaks_file=args.peaks,
        ),
        n_strongest=args.report_changes if args.report else 0,
    )
    with counter("scoring", "chunk") as show:
        summary = write_scores(
            job, args.output, chunk_size=args.chunk_size, force=args.force, scheduler=args.dask, progress=show
        )
    others = [f"{n} {status} ({REASONS[status]})" for status, n in summary.status.most_common() if status != OK]
    note(
        f"{summary.n_records} records: {summary.status[OK]} rows scored, {summary.n_rows} written to {args.output}"
        + (f"; not scored: {', '.join(others)}" if others else "")
    )
    if args.output.lower().endswith((".gz", ".bgz", ".bcf")) and out.kind == "vcf" and summary.index is None:
        note("note: the records are not sorted, so there is no index; sort with: bcftools sort")
    if args.report:
        from ripe_lib.reports.variants import write_report

        note(f"report: {write_report(job, summary, args.report)}")
