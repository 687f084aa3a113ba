"""Whether models of data from cells read the words that the isolated protein binds in vitro (the paper's Fig. 9).

    python -m benchmarks.in_vitro 'eclip_*=ECLIP_DATASET' 'parclip_*=PARCLIP_DATASET' [--max-sites 300]

The words are those of RNA Bind-n-Seq, ``benchmarks/data/rbns_5mers.tsv``. The data sets come from ``ripe-train
prepare`` with the configurations the models were trained with. Writes ``benchmarks/results/in_vitro.json``, and from it
the tables and the picture of ``docs/in_vitro.md``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from benchmarks.common import RESULTS, machine, write_between, write_results
from ripe_lib.attribution.compute import explained_codes
from ripe_lib.cli.common import model_names
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.metrics import interval
from ripe_lib.genome.encoding import UNKNOWN
from ripe_lib.genome.kmers import kmer_names
from ripe_lib.genome.windows import CodeWindows
from ripe_lib.network.catalogue import tasks_of
from ripe_lib.network.load import Model, load_model
from ripe_lib.network.predict import predict_codes
from ripe_lib.output.console import steps
from ripe_lib.reports.figures import COLUMN_WIDTHS, new_figure, save_figure, style

TABLE = Path(__file__).parent / "data" / "rbns_5mers.tsv"
DOCS = Path(__file__).parents[1] / "docs" / "in_vitro.md"
NAME = "in_vitro"
K = 5
WORDS = kmer_names(K)
PRIOR = 5  # occurrences at the window's average that every word has besides its own: rare words are no extremes
PSEUDO = 0.5  # sites with and without a word
SAME = 5  # words that two lists share which are not told apart
STRONG = 2.0  # enrichment of the best word in vitro from which on the order of the ten says something
TOP = 5  # an own list among the first so many counts as found
FEWEST = 20  # sites of a task
DRAWS = 200
PROTEIN_DRAWS = 10_000
SITES_PER_CALL = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL=DATASET")
    parser.add_argument("--max-sites", type=int, default=300)
    args = parser.parse_args()
    lists = rbns_lists()
    rows: list[dict] = []
    for pair in args.models:
        pattern, _, file = pair.partition("=")
        data = Dataset(file)
        for name in model_names([pattern]):
            rows += rows_of(load_model(name), data, lists, args.max_sites)
    rows.sort(key=lambda row: -row["network"]["auroc"])
    write_results(NAME, {"max_sites": args.max_sites, "lists": len(lists), "tasks": rows, **machine()})
    write_docs()
    write_picture()


def rbns_lists() -> pd.DataFrame:
    """Return ``encode_file best_r words`` (a list of ten) by protein."""
    table = pd.read_csv(TABLE, sep="\t", comment="#", index_col="protein")
    return table.assign(words=table["words"].str.split())


def rows_of(model: Model, data: Dataset, lists: pd.DataFrame, max_sites: int) -> list[dict]:
    """Return one row per task of a model whose protein has a list."""
    member = np.array([np.isin(WORDS, words) for words in lists["words"]])
    columns = [data.task_index(task) for task in model.tasks]
    bound = (data.labels[:, columns] == 1).any(axis=1)
    rows = []
    for task, protein in zip(model.tasks, tasks_of(model)["rbp"], strict=True):
        protein = str(protein or task.split("_")[0])
        if protein not in lists.index:
            continue
        labels = data.labels[:, data.task_index(task)]
        sites = np.flatnonzero((labels == 1) & (data.split > 0))
        if len(sites) < FEWEST:
            continue
        rng = np.random.default_rng(0)
        own = lists.index.get_loc(protein)
        used, letters = explained(model, data, sites, task, max_sites)
        read = mean_attributions(data.centred_codes(used)[0], letters, weights(data.cluster[used], rng))
        row = {"model": model.name, "task": task, "protein": protein, "sites": len(sites), "explained": len(used)}
        row |= {"best_r": float(lists["best_r"].iloc[own]), "own": lists["words"].iloc[own]}
        row["best_r"] = None if np.isnan(row["best_r"]) else row["best_r"]
        row |= {"read": WORDS[np.argsort(-read[0], kind="stable")[:10]].tolist(), "network": judged(read, member, own)}
        for name, rows_in in (("peaks", data.split > 0), ("trained_peaks", data.split == 0)):
            here, others = (np.flatnonzero(rows_in & chosen) for chosen in (labels == 1, bound & (labels == 0)))
            drawn = [weights(data.cluster[some], rng) for some in (here, others)]
            row[name] = judged(log_odds(bins(data, here), bins(data, others), *drawn), member, own)
        rows.append(row)
        print(f"{model.name} {task}: {row['network']} {row['peaks']}", flush=True)
    return rows


def explained(
    model: Model, data: Dataset, sites: np.ndarray, task: str, max_sites: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sites that score best and the attributions of the letters of their windows (n, L)."""
    scores = predict_codes(model, *windows_of(model, data, sites))[:, model.spec.task_index(task)]
    sites = sites[np.argsort(-scores, kind="stable")[:max_sites]]
    parts = []
    for first in steps(range(0, len(sites), SITES_PER_CALL), f"explaining {task}", leave=False):
        windows = windows_of(model, data, sites[first : first + SITES_PER_CALL])
        parts.append(explained_codes(model, windows, task)[1])
    return sites, np.concatenate(parts)


def windows_of(model: Model, data: Dataset, rows: np.ndarray) -> CodeWindows:
    return CodeWindows(*data.centred_codes(rows), data.landmarks(rows) if model.spec.landmark_bases else None)


def bins(data: Dataset, rows: np.ndarray) -> np.ndarray:
    """Return the base codes of the sites themselves, without what the windows hold around them."""
    seq = data.centred_codes(rows)[0]
    sites = data.intervals.iloc[rows]
    size = int((sites["end"] - sites["start"]).iloc[0])
    first = (seq.shape[1] - size) // 2
    return seq[:, first : first + size]


# --- words ---------------------------------------------------------------------------------------------------------


def word_numbers(codes: np.ndarray) -> np.ndarray:
    """Return the word at every place (n, L - 4) as its number in :data:`WORDS`, -1 where a base is unknown."""
    places = np.lib.stride_tricks.sliding_window_view(codes, K, axis=1)
    numbers = places.astype(np.int64) @ (4 ** np.arange(K)[::-1])
    return np.where((places == UNKNOWN).any(axis=2), -1, numbers)


def per_window(numbers: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum values (n, places) by word: (n, 1024)."""
    window, place = np.nonzero(numbers >= 0)
    cells = window * len(WORDS) + numbers[window, place]
    found = np.bincount(cells, values[window, place], minlength=len(numbers) * len(WORDS))
    return found.reshape(len(numbers), -1)


def mean_attributions(codes: np.ndarray, letters: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return how much the network reads each word, (R, 1024): its mean attribution per occurrence, shrunk.

    Parameters
    ----------
    codes, letters : (n, L)
        Bases and their attributions.
    drawn : (R, n)
        How often each window counts.

    Notes
    -----
    The attribution of an occurrence is the sum over its bases less the mean over all places of its window. 0 is thus
    the average, which is what a word gets that never occurs: :data:`PRIOR` more occurrences of 0 are added to each.
    """
    numbers = word_numbers(codes)
    sums = np.lib.stride_tricks.sliding_window_view(letters, K, axis=1).sum(axis=2, dtype=np.float64)
    known = numbers >= 0
    means = (sums * known).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    totals = per_window(numbers, sums - means[:, None])
    return (drawn @ totals) / (drawn @ per_window(numbers, np.ones_like(sums)) + PRIOR)


def log_odds(codes: np.ndarray, others: np.ndarray, drawn: np.ndarray, drawn_others: np.ndarray) -> np.ndarray:
    """Return the log odds (R, 1024) that a site (n, L) holds a word, less those of other sites (m, L).

    ``drawn`` (R, n) and ``drawn_others`` (R, m) say how often each site counts.
    """
    found = []
    for some, times in ((codes, drawn), (others, drawn_others)):
        numbers = word_numbers(some)
        with_word = times @ (per_window(numbers, np.ones(numbers.shape)) > 0).astype(np.float64)
        found.append(np.log((with_word + PSEUDO) / (times.sum(axis=1, keepdims=True) - with_word + PSEUDO)))
    return found[0] - found[1]


def weights(loci: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return how often each row counts, (1 + DRAWS, n): once, then in draws of whole loci."""
    _, which = np.unique(loci, return_inverse=True)
    n = int(which.max()) + 1
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=DRAWS)
    return np.concatenate([np.ones((1, n)), drawn])[:, which]


# --- lists of words ------------------------------------------------------------------------------------------------


def aurocs(scores: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Return the AUROC (R, P) of lists of words, (P, 1024) bool, against all other words by scores (R, 1024)."""
    size = member.sum(axis=1)
    above = rankdata(scores, axis=1) @ member.T - size * (size + 1) / 2
    return above / (size * (member.shape[1] - size))


def judged(scores: np.ndarray, member: np.ndarray, own: int) -> dict:
    """Return the AUROC of the own list with its interval, and its place among the lists that are others.

    ``scores`` (R, 1024): the measured ones, then those of the draws.
    """
    found = aurocs(scores, member)
    low, high = interval(found[1:, own])
    others = found[0, member.astype(int) @ member[own] < SAME]
    place = 1 + int((others > found[0, own]).sum())
    row = {"auroc": float(found[0, own]), "auroc_low": low, "auroc_high": high}
    return row | {"place": place, "others": len(others), "share_below": float((others < found[0, own]).mean())}


# --- what is shown -------------------------------------------------------------------------------------------------

SOURCES = ("network", "peaks", "trained_peaks")


def summary(tasks: list[dict], name: str) -> str:
    """Return a line of means over proteins, of each the mean of its tasks, with intervals of draws of proteins."""
    table = pd.DataFrame([{"protein": row["protein"]} | {s: row[s]["auroc"] for s in SOURCES} for row in tasks])
    means = table.groupby("protein").mean().to_numpy()
    values = np.concatenate([means, means[:, :1] - means[:, 1:]], axis=1)
    rng = np.random.default_rng(0)
    drawn = values[rng.integers(0, len(values), (PROTEIN_DRAWS, len(values)))].mean(axis=1)
    cells = [name, f"{len(means)} ({len(tasks)})"]
    for column, sign in enumerate(("", "", "", "+", "+")):
        low, high = interval(drawn[:, column])
        cells.append(f"{values[:, column].mean():{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})")
    cells.append(" / ".join(str(sum(row[source]["place"] <= TOP for row in tasks)) for source in SOURCES))
    return f"| {' | '.join(cells)} |"


def write_docs() -> None:
    """Write the tables of the documentation from the result file."""
    tasks = json.loads((RESULTS / f"{NAME}.json").read_text(encoding="utf-8"))["tasks"]
    groups = {
        "all": tasks,
        f"enrichment in vitro {STRONG:g} or more": [row for row in tasks if is_strong(row)],
        "less, or not known": [row for row in tasks if not is_strong(row)],
        "eCLIP": [row for row in tasks if "eclip" in row["model"]],
        "PAR-CLIP": [row for row in tasks if "parclip" in row["model"]],
    }
    lines = [
        "| mean AUROC of | proteins (tasks) | network | peaks alone | training peaks alone | network less peaks "
        f"| network less training peaks | own list in the top {TOP}: network / peaks / training peaks |",
        "|---|---:|---|---|---|---|---|---:|",
        *(summary(some, name) for name, some in groups.items() if some),
        "",
        "| task | model | best words in vitro | enrichment | words the network reads most | sites | AUROC: network "
        "| peaks alone | place of the own list: network | peaks alone |",
        "|---|---|---|---:|---|---:|---|---|---:|---:|",
    ]
    for row in tasks:
        strength = "–" if row["best_r"] is None else f"{row['best_r']:.2f}"
        cells = [row["task"], row["model"].removeprefix("DeepRiPe/"), marked(row["own"], row["read"])]
        cells += [strength + ("" if is_strong(row) else " \\*"), marked(row["read"], row["own"])]
        cells += [f"{row['explained']} of {row['sites']}", with_interval(row["network"]), with_interval(row["peaks"])]
        cells += [f"{row[source]['place']} of {row[source]['others'] + 1}" for source in SOURCES[:2]]
        lines.append(f"| {' | '.join(cells)} |")
    write_between(DOCS, "tables", lines)


def is_strong(row: dict) -> bool:
    return row["best_r"] is not None and row["best_r"] >= STRONG


def marked(words: list[str], others: list[str]) -> str:
    """Return the first words of a list, bold where they are anywhere in the other."""
    return ", ".join(f"**{word}**" if word in others else word for word in words[:4])


def with_interval(found: dict) -> str:
    return f"{found['auroc']:.3f} ({found['auroc_low']:.3f} to {found['auroc_high']:.3f})"


def write_picture() -> None:
    """Draw the AUROC of every task, from the network and from the peaks alone."""
    tasks = json.loads((RESULTS / f"{NAME}.json").read_text(encoding="utf-8"))["tasks"]
    at, names = np.arange(len(tasks)), []
    with style():
        figure = new_figure(COLUMN_WIDTHS["middle"], 16 + 3.4 * len(tasks))
        axes = figure.subplots()
        for source, label, colour, fill, place in (
            ("network", "network", "#0072b2", "#0072b2", at - 0.15),
            ("peaks", "peaks alone", "#7f7f7f", "white", at + 0.15),
        ):
            auroc, low, high = ([row[source][name] for row in tasks] for name in ("auroc", "auroc_low", "auroc_high"))
            axes.hlines(place, low, high, color=colour, linewidth=0.8)
            axes.plot(auroc, place, "o", color=colour, markerfacecolor=fill, markersize=3, label=label)
        axes.axvline(0.5, color="#bbbbbb", linewidth=0.6, zorder=0)
        for row in tasks:
            protocol = "eCLIP" if "eclip" in row["model"] else "PAR-CLIP"
            names.append(f"{row['task'].replace('_', ' ')} {protocol}{'' if is_strong(row) else ' *'}")
        axes.set_yticks(at, names)
        axes.set_ylim(len(tasks) - 0.4, -0.6)
        axes.set_xlabel("AUROC of the ten best words in vitro among all 5-mers")
        axes.legend(frameon=False, loc="upper left")
        save_figure(figure, DOCS.parent / "images" / NAME)


if __name__ == "__main__":
    main()
