"""``ripe motifs``: the motifs a model has learned, matched to known ones."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ripe_lib.cli import common
from ripe_lib.output.console import note, number, positive_int, steps

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
    common.add_model_argument(parser)
    parser.add_argument("sites", metavar="DATASET|INTERVALS", help="prepared data set (.h5), or BED file of true sites")
    common.add_genome_arguments(parser, required=False)
    common.add_task_argument(parser, "tasks to explain; 'all' for all", required=True)
    common.add_output_argument(parser, "folder to write", metavar="DIR")
    parser.add_argument("--force", action="store_true", help="replace the folder if it is there")
    which = parser.add_argument_group("sites")
    which.add_argument(
        "--split", default="valid,test", metavar="S,S", help="of a data set (default valid,test: not trained on)"
    )
    which.add_argument(
        "--min-score", type=number, default=0.5, metavar="P", help="only sites with a prediction above P (default 0.5)"
    )
    which.add_argument(
        "--max-sites", type=positive_int, default=1000, metavar="N", help="per task, the best ones (default 1000)"
    )
    how = parser.add_argument_group("motifs")
    how.add_argument("--length", type=positive_int, default=6, metavar="N", help="of the windows in nt (default 6)")
    how.add_argument("--method", choices=("umap-dbscan", "single"), default="umap-dbscan", help="default umap-dbscan")
    how.add_argument("--windows", type=positive_int, default=1, metavar="N", help="windows taken per map (default 1)")
    how.add_argument("--steps", type=positive_int, default=50, metavar="N", help="of integrated gradients (default 50)")
    how.add_argument("--filters", action="store_true", help="also the filters of the first layer")
    known = parser.add_argument_group("known motifs")
    known.add_argument(
        "--database",
        action="append",
        metavar="D",
        help="'consensus' (default), 'attract', a MEME file, or 'none'; repeatable: all together",
    )
    known.add_argument("--dna-as-rna", action="store_true", help="read T as U in MEME files of DNA motifs")
    common.add_plot_format(known, "png,svg")
    common.add_run_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from ripe_lib.errors import InputError

    is_dataset = _is_dataset(args.sites)
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
    options = MotifOptions(
        length=args.length,
        min_score=args.min_score,
        method=args.method,
        n_windows=args.windows,
        max_sites=args.max_sites,
        n_steps=args.steps,
        batch_size=args.batch_size,
        seed=args.seed,
    )
    if is_dataset:
        sites = dataset_sites(model, Dataset(args.sites), tasks, splits, batch_size=args.batch_size)
    else:
        source = IntervalSites(args.sites, args.fasta, args.gtf)
        sites = interval_sites(model, source, tasks, args.min_score, batch_size=args.batch_size)
    bar = steps(sites, "motifs", unit="task", total=len(tasks))
    n_filter_tasks = len(tasks) if args.filters else 0
    found = motifs_of_tasks(model, bar, options, database=database, n_filter_tasks=n_filter_tasks)
    for search in found.searches:
        if not search.n_used:
            nothing = f"none of {search.n_true} sites has a prediction above {args.min_score:g}"
            note(f"note: {search.task}: {nothing}")
    write_motifs(
        found.searches,
        output,
        database=database,
        filters=found.filters,
        enriched=found.enriched,
        formats=formats,
        subtitle=f"{model.name} on {args.sites}",
        remark=f"Windows of {args.length} nt in maps of integrated gradients of sites with a prediction above "
        f"{args.min_score:g}, grouped by {args.method}, seed {args.seed}.",
        overwrite=args.force,
    )
    table = motif_table(found.searches)
    if not len(table):
        note("note: no motif; tables and MEME file are valid and empty")
    shown = table[["motif", "consensus", "n_sites", "best_protein", "best_match", "best_q", "own_rank"]]
    sys.stdout.write(shown.to_csv(sep="\t", index=False, float_format="%.3g"))
    note(f"page: {output / 'motifs.html'}")


def _is_dataset(path: str) -> bool:
    from ripe_lib.errors import MissingFileError

    file = Path(path)
    if not file.is_file():
        raise MissingFileError(f"{path}: no such file. Expected a data set of ripe-train prepare, or a BED file.")
    with file.open("rb") as handle:
        return handle.read(8) == b"\x89HDF\r\n\x1a\n"
