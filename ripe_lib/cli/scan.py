"""``ripe scan``: where the RBPs bind along an RNA, a gene or a chromosome."""

from __future__ import annotations

import argparse
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ripe_lib.cli import common
from ripe_lib.errors import InputError, MissingFileError, UnknownNameError
from ripe_lib.output.console import counter, note, number, options, positive_int, steps, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ripe_lib.network.load import Model
    from ripe_lib.network.spec import ModelSpec
    from ripe_lib.scan.run import ScanOptions
    from ripe_lib.scan.sources import Source

EXAMPLES = """
examples:
  ripe scan clip31 rna.fa -o scores.tsv --sites sites.bed
  ripe scan clip31 --genes MYC --fasta hg38.fa --gtf gencode.gtf.gz --task QKI_PARCLIP -o myc.bw
  ripe scan clip31 --chrom chr22 --fasta hg38.fa --gtf gencode.gtf.gz -o chr22.h5 --sites chr22.tsv.gz
"""
OLD_SPELLINGS = {"--long": "--format long"}
READS = ("model", "rna", "intervals", "genes", "fasta", "gtf", "region_file")
WRITES = ("output", "sites", "attributions", "summary", "report")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``ripe scan``."""
    add = options(parser)
    common.add_model_argument(add)
    what = options(parser, "what to scan (one of these)")
    what("rna RNA", "FASTA of RNAs or DNA, plain or gz; - is standard input", nargs="?")
    what("--intervals BED", "stretches of the genome")
    what("--genes NAMES", "gene names or ids, with commas, a file of them, or 'all'")
    what("--chrom NAME", "whole contigs; with --genes: only genes on these", nargs="+")
    how = options(parser, "sequence")
    common.add_genome_arguments(add, required=False)
    how("--spliced", "with --genes: scan the transcripts, exons joined")
    strand = "auto: that of the interval or gene, else (BED3) of the overlapping transcript; both for --chrom"
    how("--strand", strand, ("auto", "+", "-", "both"), "auto")
    how("--region-file FILE", "FASTA-like file with region letters i c 3 5 N of the RNAs")
    how("--region-type", "one region type for all RNAs", tuple("ic35N"))
    out = options(parser, "output")
    out(
        "-o --output OUT",
        "scores of all bins, may be repeated: .tsv .csv .parquet (also .gz), .bedgraph .bw "
        "(one file per task and strand), .h5 (compact)",
        action="append",
        default=[],
    )
    out("--sites OUT", "sites: .bed .tsv .parquet", action="append", default=[])
    out("--attributions OUT.h5", "attribution map (integrated gradients) of every site")
    summary = "mean and maximum of every task in 5'UTR, CDS, 3'UTR, intron of each transcript: .tsv .csv .parquet .h5"
    out("--summary OUT", summary)
    out("--plots DIR", "pictures of the best sites: tracks per RBP, logos")
    common.add_plot_format(out)
    out("--report DIR", "write one self-contained page, DIR/report.html")
    out("--max-plots N", "pictures in --plots and --report (default 12)", positive_int, 12)
    common.add_task_argument(out)
    out("--format", "of tables; long: one row per bin (of --summary: region) and task", ("wide", "long"), "wide")
    out("--min-score P", "leave out table rows below", number, 0.0)
    bins = options(parser, "bins and sites")
    step = "width and distance of bins (default: 1; above a million nt the bin size of the model)"
    bins("--step N", step, positive_int)
    bins("--threshold P", "probability from which a bin belongs to a site", number)
    bins("--precision P", "instead, from the calibration: the weakest site is real with probability P", number)
    prevalence = "share of the places scanned that are bound (default: that of the calibration, 0.2)"
    bins("--prevalence R", f"with --precision: {prevalence}", number)
    bins(
        "--fpr R",
        "instead, and the default: share of bins of a background that may be in a site (default 0.01); of RNAs "
        "shorter than the window, share of random RNAs as short that may show a site (default 0.05)",
        number,
    )
    bins(
        "--background",
        "for --fpr; input: the input, dinucleotides shuffled; human: random sequence with the dinucleotides of "
        "human genes; auto: human for RNAs shorter than the window and below 100,000 nt",
        ("auto", "input", "human"),
        "auto",
    )
    bins("--distance N", "least nt between peaks, and between sites (default: bin size)", positive_int)
    bins("--kmer-length K", "of the best k-mer of a site, 0: none (default 6; long input: 0)", whole_number)
    common.add_run_arguments(parser)
    add("--dask SCHEDULER", "address of a dask scheduler, or processes:N")


def run(args: argparse.Namespace) -> None:
    """Run ``ripe scan``."""
    _check_arguments(args)
    common.check_files(args.rna, args.intervals, args.region_file, args.fasta, args.gtf)
    spec = common.model_spec(args.model)
    args.task = common.wanted_tasks(args.task, spec)
    from ripe_lib.network.load import load_model
    from ripe_lib.output.atomic import check_filled_folder
    from ripe_lib.reports.figures import checked_formats
    from ripe_lib.scan.output import check_outputs
    from ripe_lib.scan.run import ScanOptions
    from ripe_lib.scan.thresholds import ThresholdChoice

    if not (args.output or args.sites or args.attributions or args.summary):
        raise InputError("expected at least one output, got none. Name one with -o or --sites.")
    check_outputs(args.output, args.sites, args.attributions, args.summary)
    for folder in filter(None, (args.plots, args.report)):
        check_filled_folder(folder)
    choice = ThresholdChoice(args.threshold, args.precision, args.prevalence, args.fpr, args.background, args.seed)
    formats = checked_formats(args.plot_format)
    same = ("step", "distance", "kmer_length", "min_score", "threads", "batch_size")
    given = {name: getattr(args, name) for name in same}
    how = ScanOptions(**given, tasks=args.task, thresholds=choice, long=args.format == "long", scheduler=args.dask)
    with _source(args, spec) as source:
        _scan(args, load_model(args.model), source, how, formats)


def _scan(args: argparse.Namespace, model: Model, source: Source, how: ScanOptions, formats: tuple[str, ...]) -> None:
    from ripe_lib.reports.scan import pictures, scan_report, write_pictures
    from ripe_lib.scan.run import scan_to_files

    more = {"sites": args.sites, "attributions": args.attributions, "summary": args.summary}
    is_drawn = bool(args.plots or args.report)
    with counter("scan", "part") as show, steps(None, "k-mers of sites", unit="site") as bar:
        bars = {"progress": show, "site_progress": bar.update}
        result = scan_to_files(model, source, args.output, **more, call_sites=is_drawn, options=how, **bars)
    files = [str(path) for path in result.files]
    named = ", ".join(files[:4]) + (f" and {len(files) - 4} more" if len(files) > 4 else "")
    sites = f", {result.n_sites} sites" if len(result.thresholds) else ""
    whole = f", {result.n_transcripts} transcripts" if args.summary else ""
    note(f"{result.n_bins} bins of {result.step} nt{sites}{whole}: {named}")
    if result.threshold_note:
        note(result.threshold_note)
    drawn = pictures(model, source, result, max_pictures=args.max_plots) if is_drawn else []
    if args.plots:
        note(f"{len(write_pictures(drawn, args.plots, formats))} pictures: {args.plots}")
    if args.report:
        folder = Path(args.report)
        folder.mkdir(parents=True, exist_ok=True)
        title = f"Binding sites: {args.rna or args.intervals or args.genes or ' '.join(args.chrom)}"
        report = scan_report(model.name, result, drawn, title=title)
        note(f"report: {report.write(folder / 'report.html')}")


def _check_arguments(args: argparse.Namespace) -> None:
    on_genome = args.intervals is not None or args.genes is not None or args.chrom is not None
    if (args.rna is not None) == on_genome:
        raise InputError("expected either a FASTA of RNAs, or one of --intervals, --genes, --chrom.")
    if args.intervals is not None and (args.genes is not None or args.chrom is not None):
        raise InputError("expected --intervals alone, got it together with --genes or --chrom.")
    if on_genome and args.fasta is None:
        raise InputError("expected a genome for --intervals, --genes and --chrom, got none. Give it with --fasta.")
    if args.genes is not None and args.gtf is None:
        raise InputError("expected a gene annotation for --genes, got none. Give it with --gtf.")
    if args.spliced and args.genes is None:
        raise InputError("--spliced: expected genes or transcripts, got none. Name them with --genes.")
    if args.summary is not None and on_genome and args.gtf is None:
        raise InputError("--summary: expected a gene annotation, got none. Give it with --gtf.")
    if on_genome and (args.region_file is not None or args.region_type is not None):
        raise InputError("--region-file and --region-type are for RNAs; of a genome, region types come from --gtf.")
    if args.rna is not None and (args.fasta is not None or args.gtf is not None):
        raise InputError("--fasta and --gtf are for genomes; region types of RNAs come from --region-file.")


@contextmanager
def _source(args: argparse.Namespace, spec: ModelSpec) -> Iterator[Source]:
    if args.rna is None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            source = _genome_source(args, spec)
        yield source
        return
    from ripe_lib.genome.rna_fasta import read_rna_fasta
    from ripe_lib.scan.sources import RnaSource

    first = Path(next(filter(None, [*args.output, *args.sites, args.attributions, args.summary])))
    scratch = first.absolute().parent / f".{first.name}.rna"  # workers may run in other folders
    try:
        yield RnaSource(read_rna_fasta(args.rna, scratch, region_file=args.region_file, region_letter=args.region_type))
    finally:
        scratch.unlink(missing_ok=True)


def _genome_source(args: argparse.Namespace, spec: ModelSpec) -> Source:
    from ripe_lib.genome.windows import WindowMaker
    from ripe_lib.scan import sources
    from ripe_lib.scan.spans import genes_of, spans_of_contigs, spans_of_genes, spans_of_intervals

    fasta, gtf = str(Path(args.fasta).absolute()), None if args.gtf is None else str(Path(args.gtf).absolute())
    genome = sources.open_genome(fasta)
    if args.genes is not None:
        annotation = sources.open_annotation(str(gtf), fasta)
        transcripts = genes_of(annotation, _names(args.genes))
        if args.chrom is not None:
            wanted = {genome.resolve(name) for name in args.chrom}
            contigs = {}
            for name in transcripts["chrom"].unique():
                with suppress(UnknownNameError):
                    contigs[name] = genome.resolve(name)
            transcripts = transcripts[transcripts["chrom"].map(contigs).isin(wanted)]
            if not len(transcripts):
                raise InputError(f"--genes {args.genes}: expected genes on {', '.join(args.chrom)}, found none.")
        if args.spliced:
            return sources.TranscriptSource(fasta, str(gtf), tuple(transcripts["transcript_id"]))
        spans = spans_of_genes(transcripts, genome, args.strand)
    elif args.chrom is not None:
        spans = spans_of_contigs(genome, args.chrom, args.strand)
    else:
        from ripe_lib.genome.intervals import IntervalSource, read_intervals

        intervals: IntervalSource = args.intervals
        if args.strand != "auto":
            intervals = read_intervals(args.intervals)
            intervals["strand"] = "+"  # replaced below; no need to warn about intervals without one
        maker = WindowMaker(spec, genome, None if gtf is None else sources.open_annotation(gtf, fasta))
        frame = maker.prepare(intervals)
        frame["chrom"] = frame["chrom"].map(genome.resolve)
        spans = spans_of_intervals(frame, args.strand)
    return sources.GenomeSource(fasta, gtf, tuple(spans))


def _names(text: str) -> list[str]:
    """Return the names of ``A,B,C``, or those in a file, one per line."""
    path = Path(text)
    if "," not in text and path.is_file():
        try:
            names = [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: expected a text file with one gene name per line.") from error
    else:
        names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise MissingFileError(f"--genes {text!r}: expected at least one gene name, got none.")
    return names
