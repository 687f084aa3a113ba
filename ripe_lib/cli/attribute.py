"""``ripe attribute``: attribution maps of sites as arrays, pictures and a page; ``--gallery`` for a whole model."""

import argparse
from pathlib import Path
from typing import Any

from ripe_lib.cli import common
from ripe_lib.output.console import note, number, options, positive_int, steps

METHODS = ("ig", "saliency", "gradxinput", "deeplift", "ism")
EXAMPLES = """
examples:
  ripe attribute clip31 sites.bed --fasta hg38.fa --gtf gencode.gtf.gz --task QKI_PARCLIP -o maps.h5 --report page
  ripe attribute clip31 sites.bed --fasta hg38.fa --gtf gencode.gtf.gz --gallery gallery
  ripe attribute clip31 --sequences rna.fa --task QKI_PARCLIP PUM2_PARCLIP -o maps.h5 --plots pictures
"""
OLD_SPELLINGS = {"--format": "--plot-format"}
READS = ("model", "intervals", "fasta", "gtf", "sequences")
WRITES = ("output", "report")
REPLACES = ("gallery",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = options(parser)
    common.add_model_argument(add)
    add("intervals INTERVALS", "BED file of sites (or use --sequences)", nargs="?")
    common.add_genome_arguments(add, required=False)
    add("--sequences FASTA", "explain these sequences instead of genomic intervals")
    add("--pad", "where shorter --sequences get N (default both)", ("both", "left", "right"), "both")
    common.add_task_argument(add, "tasks to explain; 'all' for all (--gallery: the default)")
    add("-o --output OUT.h5", "file of maps to write")
    add("--gallery DIR", "write the best sites of every task and region-type profiles instead")
    how = options(parser, "method")
    how("--method", "default ig, integrated gradients", METHODS, "ig")
    how("--explain", "what is explained", ("probability", "logit"), "probability")
    how("--steps N", "ig: points on the path (default 50)", positive_int, 50)
    how("--rule", "ig (default midpoint)", ("midpoint", "left", "trapezoid"), "midpoint")
    baseline = "ig, deeplift: sequence 0 and region types 0.25 (default), or zeros as the published software"
    how("--baseline", baseline, ("paper", "zeros"), "paper")
    shown = options(parser, "pictures")
    shown("--plots DIR", "draw the best sites into this folder")
    shown("--report DIR", "write one self-contained page, DIR/report.html")
    common.add_plot_format(shown)
    shown("--top N", "sites drawn per task (default 10)", positive_int, 10)
    shown("--min-score P", "only sites with a score above P for a task (gallery: default 0.5)", number)
    shown("--motif IUPAC", "known motif to mark, e.g. ACUAAY")
    shown("--peak-label TEXT", "name of the marked interval; '' for none", default="CLIP peak")
    shown("--force", "replace the gallery's folder if it is there")
    common.add_run_arguments(parser, batch_size=512)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    common.check_files(args.intervals, args.sequences, args.fasta, args.gtf)
    tasks = common.chosen_tasks(args.task or ["all"], common.model_spec(args.model))
    from ripe_lib.attribution.methods import ConstructSites, IntervalSites, Method
    from ripe_lib.errors import InputError
    from ripe_lib.network.load import load_model
    from ripe_lib.output.atomic import check_filled_folder, check_new_folder, check_output_file
    from ripe_lib.reports.drawing import find_motif
    from ripe_lib.reports.figures import checked_formats

    if (args.intervals is None) == (args.sequences is None):
        raise InputError("expected either INTERVALS with --fasta, or --sequences FASTA.")
    if args.intervals is not None and args.fasta is None:
        raise InputError("expected --fasta F with INTERVALS, got none.")
    if (args.output is None) == (args.gallery is None):
        raise InputError("expected either -o OUT.h5 (with --task) or --gallery DIR.")
    if args.output and not args.task:
        raise InputError(
            "expected --task T, got none. Name the tasks to explain, or 'all'; list them with: ripe tasks MODEL"
        )
    if args.output and not str(args.output).endswith((".h5", ".hdf5")):
        raise InputError(f"{args.output}: expected an output name that ends in .h5.")
    if args.gallery and (args.plots or args.report):
        raise InputError("--gallery writes its own pictures and page: expected no --plots and no --report with it.")
    common.check_min_score(args.min_score)
    formats = checked_formats(args.plot_format)
    # Everything that would fail after the work is done is refused before.
    if args.output:
        check_output_file(args.output)
    else:
        check_new_folder(args.gallery, overwrite=args.force, hint=common.FORCE_HINT)
    for folder in filter(None, (args.plots, args.report)):
        check_filled_folder(folder)
    if args.motif:
        find_motif("", args.motif)
    model = load_model(args.model)
    method = Method(args.method, args.explain, args.steps, args.rule, args.baseline, args.batch_size)
    source: Any = IntervalSites(args.intervals, args.fasta, args.gtf)
    if args.sequences is not None:
        source = ConstructSites(args.sequences, args.pad)
    (_gallery if args.gallery else _maps)(args, model, source, tasks, method, formats)


def _maps(args: argparse.Namespace, model: Any, source: Any, tasks: list[str], method: Any, formats: Any) -> None:
    from ripe_lib.attribution.methods import explain_sites
    from ripe_lib.attribution.store import AttributionFile
    from ripe_lib.output.atomic import atomic_files
    from ripe_lib.reports.attribution import attribution_report, count_gaps, write_pictures

    least, output = args.min_score, args.output
    with steps(None, "explaining", unit="site") as bar:
        counts, n = explain_sites(model, source, tasks, method, output, min_score=least, advance=bar.update)
    left_out = "" if least is None else f" ({counts.n_sites - n} with no score above {least:g} left out)"
    note(f"{n} sites x {len(tasks)} tasks: {output}{left_out}")
    if least is not None and not n:
        note(f"note: no site has a score above {least:g}; {output} is valid and empty")
    with AttributionFile(args.output) as file:
        _note_doubts(args, source, counts, count_gaps(file))
        shown = {"top": args.top, "motif": args.motif, "peak": args.peak_label or None}
        if args.plots:
            written = write_pictures(file, args.plots, formats=formats, **shown)
            note(f"{len(written)} pictures: {args.plots}")
        if args.report:
            with atomic_files(args.report) as folder:
                attribution_report(file, **shown).write(folder / "report.html")
            note(f"page: {Path(args.report) / 'report.html'}")


def _gallery(args: argparse.Namespace, model: Any, source: Any, tasks: list[str], method: Any, formats: Any) -> None:
    from ripe_lib.reports.gallery import GalleryOptions, write_gallery

    least = 0.5 if args.min_score is None else args.min_score
    options = GalleryOptions(top=args.top, min_score=least, formats=formats, motif=args.motif)
    gallery = write_gallery(
        model, source, args.gallery, tasks=tasks, method=method, options=options, overwrite=args.force
    )
    note(f"{gallery.counts.n_sites} sites searched: {gallery.folder / 'index.html'}")
    if without := [task for task, n in gallery.n_drawn.items() if not n]:
        shown = ", ".join(without[:5]) + (f" and {len(without) - 5} more" if len(without) > 5 else "")
        note(f"note: no site has a score above {least:g} for {shown}")
    _note_doubts(args, source, gallery.counts, gallery.gaps)


def _note_doubts(args: argparse.Namespace, source: Any, counts: Any, gaps: Any) -> None:
    # Constructs are filled with N: that needs no remark.
    if source.is_genomic and (remark := counts.remark()):
        note(f"note: {remark}")
    if gaps.n_large:
        advice = f" Raise --steps (now {args.steps})." if args.method == "ig" else ""
        note(f"warning: {gaps.sentence()}.{advice}")
