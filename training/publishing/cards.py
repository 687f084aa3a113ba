"""Tables in README and docs, written from result files and never by hand.

A document marks the place of a table by comments; what is between them is replaced::

    <!-- table: tasks clip31 -->
    <!-- end table -->

The first word is a key of :data:`TABLES`, whose function says what is shown and of which file; the others are its
arguments. ``python -m training.publishing.cards README.md docs/*.md`` rewrites the documents; with ``--check`` it only
says which are out of date (exit code 1).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ripe_lib.errors import InputError, MissingFileError, RipeError, check_known
from ripe_lib.network.catalogue.entries import catalogue
from training.fitting.runs import write_text
from training.publishing.card import number
from training.publishing.checks import BASELINE, FULL, summary

ROOT = Path(__file__).resolve().parents[2]
MARKER = re.compile(r"(<!-- table: (?P<what>[^>]*?) -->\n).*?(<!-- end table -->)", re.DOTALL)
MEASURES = {"auroc": "AUROC", "ap": "AP"}
MAKE_CHECKS = "python -m training.publishing.checks"
STUDY_TABLES = ("arms", "tests", "protocols", "borders", "time", "own_rank", "cross_experiment")


def markdown(table: pd.DataFrame) -> str:
    """Return a table as GitHub Markdown: floats with three decimals, a dash for what is undefined."""
    sides = ["---:" if column.dtype.kind in "iuf" else "---" for _, column in table.items()]
    rows = [list(map(str, table.columns)), *(map(_cell, row) for row in table.itertuples(index=False))]
    head, *body = ("| " + " | ".join(row) + " |\n" for row in rows)
    return "".join([head, "|" + "|".join(sides) + "|\n", *body])


def _cell(value: object) -> str:
    if value is None or isinstance(value, float):
        return number(value)
    return str(value).replace("|", "\\|")


def _with_intervals(row: Mapping[Any, Any], before: str = "") -> dict[str, str]:
    """Return both measures of a row by title, as ``value (low to high)`` where there is an interval."""
    cells = {}
    for key, title in MEASURES.items():
        low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
        cells[before + title] = number(row[key]) + ("" if pd.isna(low) else f" ({low:.3f} to {high:.3f})")
    return cells


def _read(name: str, command: str, **options: Any) -> pd.DataFrame:
    """Read a table by its path in the repository; ``command`` makes it."""
    path = ROOT / name
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file. Make it with: {command}")
    return pd.read_csv(path, **options)


def metrics_of(model: str) -> pd.DataFrame:
    """Read ``kipoi_models/DeepRiPe/MODEL/metrics.tsv``, what was measured of a shipped model."""
    shipped = [row.short_name for row in catalogue().models.values() if row.origin == "shipped"]
    check_known("shipped model", model, shipped)
    return _read(f"kipoi_models/DeepRiPe/{model}/metrics.tsv", "ripe-train publish", sep="\t")


def models_table() -> pd.DataFrame:
    """Return the shipped models with means over their tasks; models without measurements are left out."""
    rows = []
    for name, entry in catalogue().models.items():
        if entry.origin == "shipped" and (ROOT / "kipoi_models" / name / "metrics.tsv").is_file():
            metrics = metrics_of(entry.short_name)
            means = {title: metrics[key].mean() for key, title in {**MEASURES, "ece": "ECE"}.items()}
            rows.append({"model": f"`{name}`", "tasks": len(metrics), "architecture": entry.architecture, **means})
    return pd.DataFrame(rows)


def tasks_table(model: str) -> pd.DataFrame:
    """Return every task of a shipped model with intervals."""
    names = {"task": "task", "n_pos": "positives", "n_neg": "negatives"}
    return pd.DataFrame(
        {**{title: row[key] for key, title in names.items()}, **_with_intervals(row), "ECE": float(row["ece"])}
        for row in metrics_of(model).to_dict("records")
    )


def checks_table(model: str) -> pd.DataFrame:
    """Return ``docs/results/checks_MODEL.csv``: means with some inputs withheld, and of the k-mer baseline."""
    titles = MEASURES | {f"{key}_above": f"{title} above k-mers in" for key, title in MEASURES.items()}
    return summary(_read(f"docs/results/checks_{model}.csv", MAKE_CHECKS)).rename(columns=titles)


def inputs_table(model: str, task: str) -> pd.DataFrame:
    """Return what :func:`checks_table` is the mean of, of one task."""
    table = _read(f"docs/results/checks_{model}.csv", MAKE_CHECKS)
    check_known("task", task, table["task"].unique())
    return table[table["task"] == task].drop(columns=["task", "n_pos", "n_neg"]).rename(columns=MEASURES)


def baseline_table(*prefixes: str) -> pd.DataFrame:
    """Return the models with ``checks_PREFIX*.csv`` beside the k-mer baseline, then all tasks of each prefix."""
    rows = []
    for prefix in prefixes:
        files = sorted((ROOT / "docs" / "results").glob(f"checks_{prefix}*.csv"))
        if not files:
            raise MissingFileError(f"checks_{prefix}*.csv: none. Make them with: {MAKE_CHECKS}")
        tables = {path.stem.removeprefix("checks_"): pd.read_csv(path) for path in files}
        tables[f"all {prefix}"] = pd.concat([table.assign(model=name) for name, table in tables.items()])
        for name, table in tables.items():
            means = summary(table).set_index("input")
            full, kmers = means.loc[FULL], means.loc[BASELINE]
            row: dict[str, object] = {"model": name, "tasks": int(full["tasks"])}
            for key, title in MEASURES.items():
                above = full[f"{key}_above"]
                row |= {title: full[key], f"k-mers: {title}": kmers[key]}
                row[f"{title} above k-mers in"] = f"{above:.0f} ({above / full['tasks']:.0%})"
            rows.append(row)
    return pd.DataFrame(rows)


def published_table(model: str) -> pd.DataFrame:
    """Return what others reported of a tier (``docs/results/published_accuracy.csv``) beside what is measured here.

    The tasks are those of the file; its means come last.
    """
    reported = pd.read_csv(ROOT / "docs" / "results" / "published_accuracy.csv")
    metrics = metrics_of(model).set_index("task")
    titles = {"task": "task", "deepripe_auroc": "DeepRiPe AUROC", "deepripe_ap": "DeepRiPe AP", "how": "read from"}
    titles |= {"multiresbind_auroc": "Multi-resBind AUROC", "multiresbind_ap": "Multi-resBind AP"}
    rows = []
    for row in reported[reported["model"] == model].to_dict("records"):
        known = row["task"] in metrics.index
        ours = metrics.loc[row["task"]] if known else metrics[[*MEASURES]].mean()
        sites = f"{ours['n_pos']:.0f} of {ours['n']:.0f}" if known else None
        shown = {title: row[key] for key, title in titles.items()}
        rows.append({**shown, "here: sites": sites, **_with_intervals(ours, "here: ")})
    return pd.DataFrame(rows)


def warm_start_table() -> pd.DataFrame:
    """Return means over the proteins of ``docs/results/warm_start.csv``, and in how many the warm start is best."""
    rows = _read("docs/results/warm_start.csv", "python -m training.study.warm_start")
    made = {}
    for measure, title in MEASURES.items():
        by = rows.pivot_table(index=["sites", "task"], columns="method", values=measure)
        for method, name in (("warm", "warm start"), ("nothing", "from nothing"), ("kmers", "k-mers")):
            made[f"{title}: {name}"] = by[method].groupby("sites").mean()
        best = (by["warm"] >= by.max(axis=1)).groupby("sites")
        made[f"{title}: warm start best"] = best.agg(lambda those: f"{those.sum()} of {len(those)}")
    return pd.DataFrame(made).reset_index()


def study_table(name: str, table: str) -> pd.DataFrame:
    """Return ``docs/results/study_NAME/tables/TABLE.csv`` (:data:`STUDY_TABLES`), with the columns a reader wants."""
    check_known("study table", table, STUDY_TABLES)
    rows = _read(f"docs/results/study_{name}/tables/{table}.csv", "ripe-train study")
    if table == "borders":
        wanted = ["auroc_intact", "auroc_lean", "auroc_g_lean", "g_effect", "g_effect_control"]
        return rows[["arm", "task", "n_pos", *wanted]]
    if table == "tests":
        better = rows["n_better"].astype(str) + " of " + rows["n_tasks"].astype(str)
        shown = {"measure": rows["measure"].map(MEASURES), "first mean": rows["mean_first"]}
        shown |= {"second mean": rows["mean_second"], "difference": rows["mean_difference"].map("{:+.4f}".format)}
        shown |= {"better in": better, "Wilcoxon p": rows["wilcoxon_p"].map("{:.2g}".format).replace("nan", "–")}
        return rows[["comparison", "first", "second", "negatives"]].assign(**shown)
    titles = {
        "arms": {"arm": "arm", "n_tasks": "tasks"},
        "protocols": {"pair": "pair", "test": "test", "model": "model"},
    }
    if table not in titles:
        return rows
    return pd.DataFrame(
        {**{title: row[key] for key, title in titles[table].items()}, **_with_intervals(row)}
        for row in rows[rows["negatives"] == "own"].to_dict("records")
    )


def precompute_table() -> pd.DataFrame:
    """Return size and time of every substitution of a Mb, measured by ``benchmarks/bench_precompute.py``."""
    found = json.loads((ROOT / "benchmarks" / "results" / "precompute.json").read_text(encoding="utf-8"))
    names = {"megabytes_per_mb": "MB per Mb", "cpu_minutes_per_mb": "CPU minutes per Mb"}
    return pd.DataFrame(
        {"model": f"`{found['model']}`", "file": f"`.{kind}`", "bases": f"{found['bases']:,}"}
        | {title: f"{found[kind][key]:g}" for key, title in names.items()}
        for kind in ("tsv.gz", "vcf.gz")
    )


# Marker -> how many words follow it, and what makes its table.
TABLES: dict[str, tuple[int, Callable[..., pd.DataFrame]]] = {
    "models": (0, models_table),
    "tasks": (1, tasks_table),
    "checks": (1, checks_table),
    "inputs": (2, inputs_table),
    "baseline": (1, baseline_table),  # or more
    "published": (1, published_table),
    "warm_start": (0, warm_start_table),
    "study": (2, study_table),
    "precompute": (0, precompute_table),
}


def table_for(what: str) -> str:
    """Return the Markdown of a marker's table."""
    kind, *names = what.split()
    check_known("table", kind, TABLES)
    n_words, make = TABLES[kind]
    if len(names) != n_words and not (kind == "baseline" and names):
        raise InputError(f"table marker {what!r}: expected {n_words} words after {kind!r}, got {len(names)}.")
    return markdown(make(*names))


def fill(text: str) -> str:
    """Return a document with every marked table written anew."""
    if text.count("<!-- table:") != len(MARKER.findall(text)):
        raise InputError("expected '<!-- end table -->' after every '<!-- table: ... -->', on lines of their own.")
    return MARKER.sub(lambda m: f"{m[1]}\n{table_for(m['what'])}\n{m[3]}", text)


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrite or check documents; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.publishing.cards", description="Write tables of results into documents."
    )
    parser.add_argument("documents", nargs="+", type=Path, metavar="FILE.md")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a document is out of date")
    args = parser.parse_args(argv)
    stale = []
    try:
        for path in args.documents:
            if not path.is_file():
                raise MissingFileError(f"{path}: no such document.")
            before = path.read_text(encoding="utf-8")
            try:
                after = fill(before)
            except RipeError as error:
                raise InputError(f"{path}: {error}") from error
            if after != before:
                stale.append(path)
                if not args.check:
                    write_text(path, after)
    except RipeError as error:
        sys.stderr.write(f"training.publishing.cards: error: {error}\n")
        return 2
    for path in stale:
        sys.stdout.write(f"{path}: {'out of date' if args.check else 'written'}\n")
    return 1 if stale and args.check else 0


if __name__ == "__main__":
    sys.exit(main())
