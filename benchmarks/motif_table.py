"""The motifs of models' tasks on sites they were not trained on, and where their own protein's known motif stands.

    python -m benchmarks.motif_table parclip_low=DATASET 'eclip_k562_*=DATASET' [--protein QKI ...] [--max-sites 300]

DATASET comes from ``ripe-train prepare`` with the configuration the model was trained with, so that its valid and
test splits were not trained on. Replaces what ``benchmarks/results/motif_table.json`` says of these models and writes
the tables of ``docs/motifs.md`` from it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common import RESULTS, machine, write_results
from ripe_lib.cli.common import model_names
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.motifs import MotifOptions, search_motifs
from ripe_lib.motifs.databases import MotifDatabase, join_databases, load_database
from ripe_lib.network.catalogue import tasks_of
from ripe_lib.network.load import Model, load_model
from ripe_lib.reports.motifs import motif_table

DOCS = Path(__file__).parents[1] / "docs" / "motifs.md"
NAME = "motif_table"
# Proteins with a well-known motif; as the tasks of the shipped models call them.
PROTEINS = (
    *("QKI", "PUM2", "MBNL1", "TARDBP", "ELAVL1", "ELAVL2", "ELAVL3", "ELAVL4", "ORF1", "RBFOX2", "HNRNPC", "PTBP1"),
    *("TIA1", "TIAL1", "U2AF2", "HNRNPL", "SRSF1"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL=DATASET")
    parser.add_argument("--protein", nargs="+", default=PROTEINS)
    parser.add_argument("--database", nargs="+", default=["attract"])
    parser.add_argument("--max-sites", type=int, default=1000)
    args = parser.parse_args()
    database = join_databases([load_database(name) for name in args.database])
    path = RESULTS / f"{NAME}.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    models = known.get("models", {})
    for pair in args.models:
        pattern, _, file = pair.partition("=")
        dataset = Dataset(file)
        for name in model_names([pattern]):
            rows = motifs_of(load_model(name), dataset, database, args.protein, args.max_sites)
            if rows:
                models[name] = {"max_sites": args.max_sites, **machine(), "motifs": rows}
                about = {"sites": "valid and test splits", "database": f"{database.name} ({len(database)} motifs)"}
                write_results(NAME, {**about, "models": models})
                write_docs()


def motifs_of(model: Model, dataset: Dataset, database: MotifDatabase, wanted: list[str], max_sites: int) -> list[dict]:
    """Return one row per motif of the tasks of some proteins."""
    rbps = dict(zip(model.tasks, tasks_of(model)["rbp"], strict=True))
    proteins = {task: str(rbps[task] or task.split("_")[0]) for task in model.tasks}
    tasks = [task for protein in wanted for task in model.tasks if protein in (proteins[task], task)]
    held_out = np.flatnonzero(dataset.split > 0)
    rows: list[dict] = []
    for task in tasks:
        sites = held_out[dataset.labels[held_out, dataset.task_index(task)] == 1]
        options = MotifOptions(max_sites=max_sites)
        search = search_motifs(model, dataset.windows(sites), task, options, rbp=proteins[task], database=database)
        about = {"own_known": database.of_protein(proteins[task]), "n_true": search.n_true}
        for row, motif in zip(motif_table([search]).to_dict("records"), search.motifs, strict=True):
            best = motif.matches.head(3)[["match", "protein", "consensus", "q_value"]].to_dict("records")
            rows.append({key: plain(value) for key, value in {**row, **about, "best_three": best}.items()})
        if not search.motifs:
            rows.append({"task": task, "motif": None, **about})
        print(f"{model.name} {task}: {', '.join(m.consensus for m in search.motifs[:3]) or '-'}", flush=True)
    return rows


def write_docs() -> None:
    """Write the tables of the documentation from the result file."""
    lines = []
    for name, result in json.loads((RESULTS / f"{NAME}.json").read_text(encoding="utf-8"))["models"].items():
        lines += [f"### {name.removeprefix('DeepRiPe/')}", ""]
        lines.append(
            "| task | consensus | sites | best known match | q | own protein's best | own rank | q | any motif |"
        )
        lines.append("|---|---|---|---|---|---|---|---|---|")
        lines += [f"| {' | '.join(cells(row, result['motifs']))} |" for row in result["motifs"] if is_first(row)]
        lines.append("")
    text = DOCS.read_text(encoding="utf-8")
    before, rest = text.split("<!-- begin: motifs -->")
    after = rest.split("<!-- end: motifs -->")[1]
    table = "\n".join(lines)
    DOCS.write_text(f"{before}<!-- begin: motifs -->\n{table}<!-- end: motifs -->{after}", encoding="utf-8")


def is_first(row: dict) -> bool:
    return row["motif"] is None or row["motif"].endswith(".1")


def cells(row: dict, rows: list[dict]) -> list[str]:
    """Return the cells of a task's line; ``row`` is its first motif."""
    if row["motif"] is None:
        return [row["task"], "none", f"0 of {row['n_true']}", *["-"] * 6]
    own = ["-"] * 3
    if row["own_match"] is not None:
        own = [row["own_match"], str(row["own_rank"]), f"{row['own_q']:.1e}"]
    best = f"{row['best_protein']} {row['best_match']}"
    sites = f"{row['n_sites']} ({row['fraction']:.0%})"
    anywhere = best_own([other for other in rows if other["task"] == row["task"]])
    return [row["task"], row["consensus"], sites, best, f"{row['best_q']:.1e}", *own, anywhere]


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
