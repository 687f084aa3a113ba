"""``ripe motifs``: the motifs a model has learned, matched to known ones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ripe_lib.cli.common import (
    FORCE_HINT,
    add_genome_arguments,
    add_model_argument,
    add_plot_format,
    add_run_arguments,
    add_task_argument,
    check_files,
    check_min_score,
    chosen_tasks,
    model_spec,
)
from ripe_lib.output.console import apply_threads, bars, note, positive_int, progress, warnings_as_notes

_FILTER_SITES = 2000
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
    add_model_argument(parser)
    parser.add_argument("sites", metavar="DATASET|INTERVALS", help="prepared data set (.h5), or BED file of true sites")
    add_genome_arguments(parser, required=False)
    add_task_argument(parser, "tasks to explain; 'all' for all", required=True)
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--force", action="store_true", help="replace the folder if it is there")
    which = parser.add_argument_group("sites")
    which.add_argument(
        "--split", default="valid,test", metavar="S,S", help="of a data set (default valid,test: not trained on)"
    )
    which.add_argument(
        "--min-score", type=float, default=0.5, metavar="P", help="only sites with a prediction above P (default 0.5)"
    )
    which.add_argument(
        "--max-sites", type=positive_int, default=1000, metavar="N", help="per task, the best ones (default 1000)"
    )
    how = parser.add_argument_group("motifs")
    how.add_argument("--length", type=positive_int, default=6, metavar="N", help="of the windows in nt (default 6)")
    how.add_argument("--method", choices=("umap-dbscan", "single"), default="umap-dbscan", help="default umap-dbscan")
    how.add_argument("--windows", type=positive_int, metavar="N", help="windows taken per map (default 1)")
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
    add_plot_format(known, "png,svg")
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    apply_threads(args.threads)
    from ripe_lib.errors import InputError

    if not _is_dataset(args.sites) and args.fasta is None:
        raise InputError("expected --fasta F with INTERVALS, got none (a data set of ripe-train prepare needs none).")
    check_files(args.fasta, args.gtf)
    tasks = chosen_tasks(args.task, model_spec(args.model))
    from ripe_lib.genome.kmers import enriched_kmers
    from ripe_lib.motifs.find import search_motifs
    from ripe_lib.network.catalogue import tasks_of
    from ripe_lib.network.load import load_model
    from ripe_lib.output.atomic import check_new_folder
    from ripe_lib.reports.figures import checked_formats
    from ripe_lib.reports.motifs import motif_table, write_motifs

    output = Path(args.output)
    check_new_folder(output, overwrite=args.force, hint=FORCE_HINT)
    check_min_score(args.min_score)
    _splits(args)
    formats = checked_formats(args.plot_format)
    database = _database(args)
    model = load_model(args.model)
    proteins = dict(zip(model.tasks, tasks_of(model)["rbp"], strict=True))
    options = {} if args.windows is None else {"n_windows": args.windows}
    searches, enriched = [], {}
    sources = _sites(args, model, tasks)
    for task, windows, n_true, extremes in progress(
        sources, quiet=args.quiet, desc="motifs", unit="task", total=len(tasks)
    ):
        with warnings_as_notes(quiet=args.quiet):
            searches.append(
                search_motifs(
                    model,
                    windows,
                    task=task,
                    length=args.length,
                    min_score=args.min_score,
                    method=args.method,
                    database=database,
                    rbp=str(proteins.get(task) or "") or None,
                    max_sites=args.max_sites,
                    n_steps=args.steps,
                    batch_size=args.batch_size,
                    seed=args.seed,
                    n_true=n_true,
                    **options,
                )
            )
        enriched[task] = enriched_kmers(extremes)
        if not searches[-1].n_used:
            note(f"note: {task}: none of {n_true} sites has a prediction above {args.min_score:g}", quiet=args.quiet)
    filters = _filters(args, model, tasks, database) if args.filters else []
    write_motifs(
        searches,
        output,
        database=database,
        filters=filters,
        enriched=enriched,
        formats=formats,
        subtitle=f"{model.name} on {args.sites}",
        remarks=[
            f"Windows of {args.length} nt in maps of integrated gradients of sites with a prediction above "
            f"{args.min_score:g}, grouped by {args.method}, seed {args.seed}."
        ],
        overwrite=args.force,
        bar=bars(quiet=args.quiet),
    )
    table = motif_table(searches)
    if not len(table):
        note("note: no motif; tables and MEME file are valid and empty", quiet=args.quiet)
    shown = table[["motif", "consensus", "n_sites", "best_protein", "best_match", "best_q", "own_rank"]]
    sys.stdout.write(shown.to_csv(sep="\t", index=False, float_format="%.3g"))
    note(f"page: {output / 'motifs.html'}", quiet=args.quiet)


def _database(args: argparse.Namespace) -> Any:
    from ripe_lib.errors import InputError
    from ripe_lib.motifs.databases import join_databases, load_database

    names = args.database or ["consensus"]
    if names == ["none"]:
        return None
    if "none" in names:
        raise InputError("--database none: expected no other --database with it.")
    return join_databases([load_database(name, dna_as_rna=args.dna_as_rna) for name in names])


def _is_dataset(path: str) -> bool:
    from ripe_lib.errors import MissingFileError

    file = Path(path)
    if not file.is_file():
        raise MissingFileError(f"{path}: no such file. Expected a data set of ripe-train prepare, or a BED file.")
    with file.open("rb") as handle:
        return handle.read(8) == b"\x89HDF\r\n\x1a\n"


def _sites(args: argparse.Namespace, model: Any, tasks: list[str]) -> Iterator[tuple[str, Any, int, Any]]:
    """Yield task, windows of its true sites, how many true sites there are, and those with extreme scores."""
    import numpy as np

    from ripe_lib.attribution.methods import IntervalSites, SiteCounts
    from ripe_lib.genome.encoding import codes_from_one_hot
    from ripe_lib.genome.kmers import Extremes
    from ripe_lib.genome.windows import Windows
    from ripe_lib.network.predict import predict

    if _is_dataset(args.sites):
        dataset, chosen = _dataset_rows(args, model, tasks)
        for task in tasks:
            rows = chosen[dataset.labels[chosen, dataset.task_index(task)] == 1]
            windows, extremes = dataset.windows(rows), Extremes()
            if len(rows):
                values = predict(model, windows, batch_size=args.batch_size)[:, model.spec.task_index(task)]
                extremes.add(values, codes_from_one_hot(windows.seq))
            yield task, windows, len(rows), extremes
        return
    source, counts, kept, scores = IntervalSites(args.sites, args.fasta, args.gtf), SiteCounts(), [], []
    columns = [model.spec.task_index(task) for task in tasks]
    extremes_of = [Extremes() for _ in tasks]
    for windows in source.chunks(model.spec, 4096):
        counts.add(windows)
        values = predict(model, windows, batch_size=args.batch_size)[:, columns]
        codes = codes_from_one_hot(windows.seq)
        for column, extremes in enumerate(extremes_of):
            extremes.add(values[:, column], codes)
        rows = np.flatnonzero((values > args.min_score).any(axis=1))
        kept.append(windows[rows])
        scores.append(values[rows])
    counts.check(source.where)
    if remark := counts.remark():
        note(f"note: {remark}", quiet=args.quiet)
    joined = Windows.joined(kept)
    values = np.concatenate(scores)
    for column, task in enumerate(tasks):
        yield task, joined[np.flatnonzero(values[:, column] > args.min_score)], counts.n_sites, extremes_of[column]


def _splits(args: argparse.Namespace) -> list[str]:
    from ripe_lib.errors import unknown_name
    from ripe_lib.evaluation.dataset import SPLITS

    names = [name.strip() for name in args.split.split(",") if name.strip()]
    for name in names or [""]:
        if name not in (*SPLITS, "all"):
            raise unknown_name("split", name, (*SPLITS, "all"))
    return names


def _dataset_rows(args: argparse.Namespace, model: Any, tasks: list[str]) -> tuple[Any, Any]:
    import numpy as np

    from ripe_lib.errors import ShapeMismatchError
    from ripe_lib.evaluation.dataset import SPLITS, Dataset

    dataset = Dataset(args.sites)
    lengths = (dataset.sequence_length, dataset.region_length if model.spec.has_region else 0)
    expected = (model.spec.sequence_length, model.spec.region_length)
    if lengths != expected:
        raise ShapeMismatchError(
            f"{args.sites}: expected windows of {expected} nt (sequence, region) as {model.name}, got {lengths}."
        )
    for task in tasks:
        dataset.task_index(task)
    names = _splits(args)
    wanted = [number for number, name in enumerate(SPLITS) if name in names or "all" in names]
    return dataset, np.flatnonzero(np.isin(dataset.split, wanted))


def _filters(args: argparse.Namespace, model: Any, tasks: list[str], database: Any) -> list[Any]:
    import numpy as np

    from ripe_lib.motifs.filters import filter_motifs

    parts = []
    sites = _sites(args, model, tasks)
    for _, windows, *_ in progress(sites, quiet=args.quiet, desc="filters", unit="task", total=len(tasks)):
        # The same number of sites of every task, spread over all of them.
        n = max(1, _FILTER_SITES // len(tasks))
        parts.append(
            windows[np.unique(np.linspace(0, max(len(windows) - 1, 0), n).astype(int))] if len(windows) else windows
        )
    inputs = {"seq": np.concatenate([w.seq for w in parts])}
    return filter_motifs(model, inputs, database=database)
