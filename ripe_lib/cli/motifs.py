"""``ripe motifs``: the motifs a model has learned, matched to known ones."""

import argparse
import sys
from pathlib import Path

from ripe_lib.cli import common
from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.output.console import note, number, options, positive_int, steps

EXAMPLES = """
examples:
  ripe motifs clip31 sites.bed --fasta hg38.fa --gtf gencode.gtf.gz --task QKI_PARCLIP -o motifs
  ripe motifs clip31 clip31.h5 --task all --database known.meme -o motifs
"""
OLD_SPELLINGS = {"--format": "--plot-format"}
READS = ("model", "sites", "fasta", "gtf", "database")
REPLACES = ("output",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = options(parser)
    common.add_model_argument(add)
    add("sites DATASET|INTERVALS", "prepared data set (.h5), or BED file of true sites")
    common.add_genome_arguments(add, required=False)
    common.add_task_argument(add, "tasks to explain; 'all' for all", required=True)
    add("-o --output DIR", "folder to write", required=True)
    add("--force", "replace the folder if it is there")
    which = options(parser, "sites")
    which("--split S,S", "of a data set (default valid,test: not trained on)", default="valid,test")
    which("--min-score P", "only sites with a prediction above P (default 0.5)", number, 0.5)
    which("--max-sites N", "per task, the best ones (default 1000)", positive_int, 1000)
    how = options(parser, "motifs")
    how("--length N", "of the windows in nt (default 6)", positive_int, 6)
    how("--method", "default umap-dbscan", ("umap-dbscan", "single"), "umap-dbscan")
    how("--windows N", "windows taken per map (default 1)", positive_int, 1)
    how("--steps N", "of integrated gradients (default 50)", positive_int, 50)
    how("--filters", "also the filters of the first layer")
    known = options(parser, "known motifs")
    source = "'consensus' (default), 'attract', a MEME file, or 'none'; repeatable: all together"
    known("--database D", source, action="append")
    known("--dna-as-rna", "read T as U in MEME files of DNA motifs")
    common.add_plot_format(known, "png,svg")
    common.add_run_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    if not Path(args.sites).is_file():
        raise MissingFileError(f"{args.sites}: no such file. Expected a data set of ripe-train prepare, or a BED file.")
    with Path(args.sites).open("rb") as handle:
        is_dataset = handle.read(8) == b"\x89HDF\r\n\x1a\n"
    if not is_dataset and args.fasta is None:
        raise InputError("expected --fasta F with INTERVALS, got none (a data set of ripe-train prepare needs none).")
    common.check_files(args.fasta, args.gtf)
    tasks = common.chosen_tasks(args.task, common.model_spec(args.model))
    from ripe_lib.attribution.methods import IntervalSites
    from ripe_lib.evaluation.dataset import Dataset
    from ripe_lib.motifs.databases import chosen_database
    from ripe_lib.motifs.find import MotifOptions
    from ripe_lib.motifs.sites import checked_splits, dataset_sites, interval_sites, motifs_of_tasks
    from ripe_lib.network.load import load_model
    from ripe_lib.output.atomic import check_new_folder
    from ripe_lib.reports.figures import checked_formats
    from ripe_lib.reports.motifs import motif_table, write_motifs

    output = Path(args.output)
    check_new_folder(output, overwrite=args.force, hint=common.FORCE_HINT)
    common.check_min_score(args.min_score)
    splits = checked_splits([name.strip() for name in args.split.split(",") if name.strip()])
    formats = checked_formats(args.plot_format)
    database = chosen_database(args.database or ["consensus"], dna_as_rna=args.dna_as_rna)
    model = load_model(args.model)
    same = ("length", "min_score", "method", "max_sites", "batch_size", "seed")
    given = {name: getattr(args, name) for name in same}
    how = MotifOptions(**given, n_windows=args.windows, n_steps=args.steps)
    if is_dataset:
        sites = dataset_sites(model, Dataset(args.sites), tasks, splits, batch_size=args.batch_size)
    else:
        source = IntervalSites(args.sites, args.fasta, args.gtf)
        sites = interval_sites(model, source, tasks, args.min_score, batch_size=args.batch_size)
    bar = steps(sites, "motifs", unit="task", total=len(tasks))
    n_filter_tasks = len(tasks) if args.filters else 0
    found = motifs_of_tasks(model, bar, how, database=database, n_filter_tasks=n_filter_tasks)
    above = f"a prediction above {args.min_score:g}"
    for search in found.searches:
        if not search.n_used:
            note(f"note: {search.task}: none of {search.n_true} sites has {above}")
    write_motifs(
        found,
        output,
        database=database,
        formats=formats,
        subtitle=f"{model.name} on {args.sites}",
        remark=f"Windows of {args.length} nt in maps of integrated gradients of sites with {above}, grouped by "
        f"{args.method}, seed {args.seed}.",
        overwrite=args.force,
    )
    table = motif_table(found.searches)
    if not len(table):
        note("note: no motif; tables and MEME file are valid and empty")
    shown = table[["motif", "consensus", "n_sites", "best_protein", "best_match", "best_q", "own_rank"]]
    sys.stdout.write(shown.to_csv(sep="\t", index=False, float_format="%.3g"))
    note(f"page: {output / 'motifs.html'}")
