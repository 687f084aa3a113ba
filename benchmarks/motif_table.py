"""The motifs of a model's tasks on sites it was not trained on, and where their own protein's known motif stands.

    python -m benchmarks.motif_table DATASET [--model DeepRiPe/clip31] [--task T ...] [--database attract ...]

DATASET comes from ``ripe-train prepare`` with the configuration the model was trained with, so that its valid and
test splits were not trained on. Prints the table (first motif of each task), writes
``benchmarks/results/motif_table.json`` and from it the table of ``docs/motifs.md``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common import RESULTS, machine, write_results
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.motifs import search_motifs
from ripe_lib.motifs.databases import join_databases, load_database
from ripe_lib.network.catalogue import tasks_of
from ripe_lib.network.load import load_model, model_from_weights
from ripe_lib.reports.motifs import motif_table

DOCS = Path(__file__).parents[1] / "docs" / "motifs.md"
PROTEINS = ("QKI", "TARDBP", "HNRNPC", "TIA1", "U2AF2", "ELAVL1", "SRSF1", "PUM2", "TIAL1", "HNRNPL")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--model", default="DeepRiPe/clip31", help="name, directory, or weights file")
    parser.add_argument("--task", nargs="+", help="default: those of the proteins with well-known motifs")
    parser.add_argument("--database", nargs="+", default=["attract"])
    parser.add_argument("--max-sites", type=int, default=1000)
    parser.add_argument("--name", default="motif_table", help="of the result file")
    args = parser.parse_args()
    model = model_from_weights(args.model) if args.model.endswith(".h5") else load_model(args.model)
    dataset, database = Dataset(args.dataset), join_databases([load_database(name) for name in args.database])
    rbps = dict(zip(model.tasks, tasks_of(model)["rbp"], strict=True))
    proteins = {task: str(rbps[task] or task.split("_")[0]) for task in model.tasks}
    tasks = args.task or sorted(
        (task for task in model.tasks if proteins[task] in PROTEINS), key=lambda task: PROTEINS.index(proteins[task])
    )
    rows = []
    held_out = np.flatnonzero(dataset.split > 0)
    print(f"{'task':28s} {'consensus':12s} {'sites':>11s}  own rank  best known matches")
    for task in tasks:
        sites = held_out[dataset.labels[held_out, dataset.task_index(task)] == 1]
        search = search_motifs(
            model,
            dataset.windows(sites),
            task=task,
            rbp=proteins[task],
            database=database,
            max_sites=args.max_sites,
        )
        table = motif_table([search])
        known = database.of_protein(proteins[task])
        for row, motif in zip(table.to_dict("records"), search.motifs, strict=True):
            best = motif.matches.head(3)[["match", "protein", "consensus", "q_value"]].to_dict("records")
            rows.append({**row, "own_known": known, "best_three": best})
        if not search.motifs:
            print(f"{task:28s} {'-':12s} {0:4d} of {search.n_true:4d}")
            continue
        first = rows[-len(search.motifs)]
        own = f"{first['own_rank']} ({first['own_match']}, q {first['own_q']:.1e})" if first["own_match"] else "none"
        shown = ", ".join(
            f"{m['protein']} {m['match']} {m['consensus']} q {m['q_value']:.1e}" for m in first["best_three"]
        )
        print(f"{task:28s} {first['consensus']:12s} {first['n_sites']:4d} of {search.n_true:4d}  {own}  | {shown}")
    write_results(
        args.name,
        {
            **machine(),
            "model": model.name,
            "dataset_sites": "valid and test splits",
            "database": f"{database.name} ({len(database)} motifs)",
            "motifs": [{key: plain(value) for key, value in row.items()} for row in rows],
        },
    )
    if args.name == "motif_table":
        write_docs(args.name)


def write_docs(name: str) -> None:
    """Write the table of the documentation from the result file."""
    motifs = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["motifs"]
    lines = [
        "| task | consensus | sites (share) | best known match | q | own protein's best | own rank | q | any motif |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for row in motifs:
        if not row["motif"].endswith(".1"):
            continue
        own = ["-"] * 3
        if row["own_match"] is not None:
            own = [row["own_match"], str(row["own_rank"]), f"{row['own_q']:.1e}"]
        best = f"{row['best_protein']} {row['best_match']}"
        sites = f"{row['n_sites']} ({row['fraction']:.0%})"
        anywhere = best_own([other for other in motifs if other["task"] == row["task"]])
        cells = [row["task"], row["consensus"], sites, best, f"{row['best_q']:.1e}", *own, anywhere]
        lines.append(f"| {' | '.join(cells)} |")
    text = DOCS.read_text(encoding="utf-8")
    before, rest = text.split("<!-- begin: motifs -->")
    after = rest.split("<!-- end: motifs -->")[1]
    table = "\n".join(lines)
    DOCS.write_text(f"{before}<!-- begin: motifs -->\n{table}\n<!-- end: motifs -->{after}", encoding="utf-8")


def best_own(rows: list[dict]) -> str:
    """Return a task's motif that its own protein's known motif matches best (by q, then the first), and the rank."""
    ranked = sorted((row for row in rows if row["own_match"] is not None), key=lambda row: row["own_q"])
    if not ranked:
        return "-"
    number = ranked[0]["motif"].rsplit(".", 1)[1]
    return f"{number}: {ranked[0]['consensus']}, {ranked[0]['own_rank']}"


def plain(value):
    """Return a value as JSON has it; missing ones are None."""
    if isinstance(value, list | str | dict):
        return value
    return None if pd.isna(value) else getattr(value, "item", lambda: value)()


if __name__ == "__main__":
    main()
