"""The motifs of models' tasks on sites they were not trained on, and where their own protein's known motif stands.

    python -m benchmarks.motif_table parclip_low=DATASET 'eclip_k562_*=DATASET' [--protein QKI ...] [--max-sites 300]

DATASET comes from ``ripe-train prepare`` with the configuration the model was trained with, so that its valid and
test splits were not trained on. Replaces what ``benchmarks/results/motif_table.json`` says of these models and writes
the tables of ``docs/motifs.md`` from it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common import RESULTS, machine, write_between, write_results
from ripe_lib.cli.common import model_names
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.genome.encoding import RNA_BASES
from ripe_lib.motifs.databases import MotifDatabase, attract, join_databases, load_database
from ripe_lib.motifs.find import MotifOptions, search_motifs, with_matches
from ripe_lib.motifs.meme import IUPAC
from ripe_lib.network.catalogue import tasks_of
from ripe_lib.network.load import Model, load_model
from ripe_lib.reports.motifs import motif_table

DOCS = Path(__file__).parents[1] / "docs" / "motifs.md"
NAME = "motif_table"
# Proteins with a well-known motif, as the tasks of the shipped models call them, and its words.
KNOWN = {
    "QKI": ("ACUAAY",),
    "PUM2": ("UGUANAUA",),
    "MBNL1": ("YGCY",),
    "TARDBP": ("GUGUGU", "UGUGUG"),
    **dict.fromkeys(("ELAVL1", "ELAVL2", "ELAVL3", "ELAVL4"), ("UUUUU", "UUAUUU", "UUUAUU")),
    "ORF1": ("GAUC",),
    "RBFOX2": ("GCAUG",),
    **dict.fromkeys(("HNRNPC", "TIA1", "TIAL1"), ("UUUUU",)),
    "PTBP1": ("UCUU", "CUUU"),
    "U2AF2": ("UUUUUYAG", "UUUUU"),
    "HNRNPL": ("CACACA", "ACACAC"),
    "SRSF1": ("GGAGA", "GAAGAA"),
}
ENOUGH = 0.5  # share of a motif's sites that must have a word's base, at each of its positions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL=DATASET")
    parser.add_argument("--protein", nargs="+", default=list(KNOWN))
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
    words = {task: KNOWN.get(proteins[task], KNOWN.get(task, ())) for task in tasks}
    competed = attract(experiment="RNAcompete")
    held_out = np.flatnonzero(dataset.split > 0)
    rows: list[dict] = []
    for task in tasks:
        sites = held_out[dataset.labels[held_out, dataset.task_index(task)] == 1]
        options = MotifOptions(max_sites=max_sites)
        search = search_motifs(model, dataset.windows(sites), task, options, rbp=proteins[task], database=database)
        about = {"own_known": database.of_protein(proteins[task]), "n_true": search.n_true}
        in_vitro = motif_table([replace(search, motifs=with_matches(search.motifs, competed, proteins[task]))])
        for motif, *found in zip(
            search.motifs, motif_table([search]).to_dict("records"), in_vitro.to_dict("records"), strict=True
        ):
            row, vitro = found
            best = motif.matches.head(3)[["match", "protein", "consensus", "q_value"]].to_dict("records")
            row |= {**about, "best_three": best} | word_in(motif.pfm, words[task])
            row |= {f"in_vitro_{key}": vitro[f"own_{key}"] for key in ("match", "rank", "q")}
            rows.append({key: plain(value) for key, value in row.items()})
        if not search.motifs:
            rows.append({"task": task, "motif": None, **about})
        print(f"{model.name} {task}: {', '.join(m.consensus for m in search.motifs[:3]) or '-'}", flush=True)
    return rows


def word_in(pfm: np.ndarray, words: Sequence[str]) -> dict[str, object]:
    """Return the word (IUPAC) that most sites of a motif have, and how many have its base where fewest do."""
    shares = pfm / pfm.sum(axis=1, keepdims=True)
    letters = {letter: [base in bases for base in RNA_BASES] for bases, letter in IUPAC.items()}
    found = {"word": None, "word_share": 0.0}
    for word in words:
        allowed = np.array([letters[letter] for letter in word])
        for start in range(len(pfm) - len(word) + 1):
            share = float((shares[start : start + len(word)] * allowed).sum(axis=1).min())
            if share > found["word_share"]:
                found = {"word": word, "word_share": share}
    return found


def write_docs() -> None:
    """Write the tables of the documentation from the result file."""
    models = json.loads((RESULTS / f"{NAME}.json").read_text(encoding="utf-8"))["models"]
    lines, vitro = [], []
    for name, result in models.items():
        lines += [
            f"### {name.removeprefix('DeepRiPe/')}",
            "",
            f"| {' | '.join(COLUMNS)} |",
            "|---" * len(COLUMNS) + "|",
        ]
        of_task: dict[str, list[dict]] = {}
        for row in result["motifs"]:
            of_task.setdefault(row["task"], []).append(row)
        lines += [f"| {' | '.join(cells(task, rows))} |" for task, rows in of_task.items()]
        lines.append("")
        if "eclip" in name:
            best = [min(rows, key=in_vitro_rank) for rows in of_task.values()]
            vitro += [f"| {' | '.join(in_vitro_cells(row))} |" for row in best if row.get("in_vitro_match")]
    heads = ["| task | motif | own protein's RNAcompete motif | rank | q |", "|---|---|---|---:|---:|"]
    write_between(DOCS, "motifs", lines[:-1])
    write_between(DOCS, "in vitro", [*heads, *sorted(vitro)])


def in_vitro_rank(row: dict) -> float:
    return row.get("in_vitro_rank") or np.inf


def in_vitro_cells(row: dict) -> list[str]:
    number = row["motif"].rsplit(".", 1)[1]
    q = f"{row['in_vitro_q']:.1e}"
    return [row["task"], f"{number}: {row['consensus']}", row["in_vitro_match"], str(row["in_vitro_rank"]), q]


COLUMNS = (
    *("task", "sites above 0.5", "first motif", "sites", "word", "second motif", "sites", "word"),
    *("known is", "rank in ATtRACT"),
)


def cells(task: str, rows: list[dict]) -> list[str]:
    """Return the cells of a task's line from the rows of its motifs."""
    first = rows[0]
    if first["motif"] is None:
        return [task, f"0 of {first['n_true']}", *["-"] * 6, "none", "-"]
    judged = all("word_share" in row for row in rows)  # rows of older versions hold no word
    shown = [part for row in (*rows[:2], *[None] * (2 - len(rows[:2]))) for part in motif_cells(row)]
    known = [number for number, row in enumerate(rows, start=1) if row.get("word_share", 0) >= ENOUGH]
    which = {1: "first", 2: "second"}.get(known[0], f"motif {known[0]}") if known else "not found" if judged else "-"
    ranked = sorted((row for row in rows if row["own_match"] is not None), key=lambda row: row["own_q"])
    rank = f"{ranked[0]['own_rank']} (motif {ranked[0]['motif'].rsplit('.', 1)[1]})" if ranked else "-"
    return [task, f"{first['n_used']} of {first['n_true']}", *shown, which, rank]


def motif_cells(row: dict | None) -> list[str]:
    if row is None:
        return ["-"] * 3
    word = f"{row['word']} {row['word_share']:.0%}" if row.get("word") else "-"
    return [row["consensus"], f"{row['n_sites']} ({row['fraction']:.0%})", word]


def plain(value):
    """Return a value as JSON has it; missing ones are None."""
    if isinstance(value, list | str | dict):
        return value
    return None if pd.isna(value) else getattr(value, "item", lambda: value)()


if __name__ == "__main__":
    main()
