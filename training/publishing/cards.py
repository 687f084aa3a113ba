"""Tables in README and docs, written from result files and never by hand.

A document marks the place of a table by comments; what is between them is replaced::

    <!-- table: tasks clip31 -->
    <!-- end table -->

===========================  ===================================================================================
marker                       table, and the files it comes from
===========================  ===================================================================================
``models``                   shipped models with their means: ``kipoi_models/DeepRiPe/*/metrics.tsv``
``tasks MODEL``              every task of one of them: ``kipoi_models/DeepRiPe/MODEL/metrics.tsv``
``checks MODEL``             ``docs/results/checks_MODEL.csv``: what each input is worth, and the k-mer baseline
``baseline PREFIX ...``      the same files: models whose names begin so beside the k-mer baseline, and their totals
``published MODEL``          ``docs/results/published_accuracy.csv``: what others reported for the same tasks, beside
                             what is measured here
``warm_start``               ``docs/results/warm_start.csv``: a new protein from a few sites, means over proteins
``study NAME TABLE``         ``docs/results/study_NAME/tables/TABLE.csv``: ``arms``, ``tests``, ``protocols``,
                             ``borders``, ``time``, ``own_rank`` or ``cross_experiment``
``precompute``               ``benchmarks/results/precompute.json``: size and time of every substitution of a Mb
===========================  ===================================================================================

``python -m training.publishing.cards README.md docs/*.md`` rewrites the documents; with ``--check`` it only says
which are out of date (exit code 1).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ripe_lib.errors import InputError, MissingFileError, RipeError, check_known
from ripe_lib.network.catalogue.entries import catalogue
from training.fitting.runs import write_text
from training.publishing.checks import BASELINE, FULL, checks_file, summary

ROOT = Path(__file__).resolve().parents[2]
MARKER = re.compile(r"(<!-- table: (?P<what>[^>]*?) -->\n).*?(<!-- end table -->)", re.DOTALL)
MEASURES = {"auroc": "AUROC", "ap": "AP"}
STUDY_TABLES = ("arms", "tests", "protocols", "borders", "time", "own_rank", "cross_experiment")


def markdown(table: pd.DataFrame) -> str:
    """Return a table as GitHub Markdown: floats with three decimals, a dash for what is undefined."""
    sides = ["---:" if column.dtype.kind in "iuf" else "---" for _, column in table.items()]
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return "".join(
        [
            "| " + " | ".join(map(str, table.columns)) + " |\n",
            "|" + "|".join(sides) + "|\n",
            *("| " + " | ".join(row) + " |\n" for row in rows),
        ]
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if pd.isna(value) else f"{value:.3f}"
    return "–" if value is None else str(value).replace("|", "\\|")


def with_interval(table: pd.DataFrame, name: str) -> pd.Series:
    """Return ``value (low to high)`` of a measure with its interval."""
    low, high = (table.get(f"{name}_{side}", table[name] * float("nan")) for side in ("low", "high"))
    cells = [
        _cell(float(v)) if pd.isna(a) else f"{v:.3f} ({a:.3f} to {b:.3f})"
        for v, a, b in zip(table[name], low, high, strict=True)
    ]
    return pd.Series(cells, index=table.index)


def _read(path: Path, command: str, **options: Any) -> pd.DataFrame:
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file. Make it with: {command}")
    return pd.read_csv(path, **options)


def metrics_of(model: str, root: Path = ROOT) -> pd.DataFrame:
    """Read the measurements of a shipped model.

    Raises
    ------
    UnknownNameError, MissingFileError
        If there is no such model or it was never measured.
    """
    names = [name.removeprefix("DeepRiPe/") for name, entry in catalogue().models.items() if entry.origin == "shipped"]
    check_known("shipped model", model, names)
    path = root / "kipoi_models" / "DeepRiPe" / model / "metrics.tsv"
    return _read(path, "ripe-train publish", sep="\t").fillna({"reason": ""})


def models_table(root: Path = ROOT) -> pd.DataFrame:
    """Return the shipped models with means over their tasks; models without measurements are left out."""
    rows = []
    for name, entry in catalogue().models.items():
        if entry.origin == "shipped" and (root / "kipoi_models" / name / "metrics.tsv").is_file():
            metrics = metrics_of(name.removeprefix("DeepRiPe/"), root)
            means = {title: float(metrics[key].mean()) for key, title in {**MEASURES, "ece": "ECE"}.items()}
            rows.append({"model": f"`{name}`", "tasks": len(metrics), "architecture": entry.architecture, **means})
    return pd.DataFrame(rows, columns=["model", "tasks", "architecture", *MEASURES.values(), "ECE"])


def tasks_table(model: str, root: Path = ROOT) -> pd.DataFrame:
    """Return every task of a shipped model with intervals."""
    metrics = metrics_of(model, root)
    return pd.DataFrame(
        {
            "task": metrics["task"],
            "positives": metrics["n_pos"],
            "negatives": metrics["n_neg"],
            **{title: with_interval(metrics, key) for key, title in MEASURES.items()},
            "ECE": metrics["ece"].astype(float),
        }
    )


def checks_table(model: str, root: Path = ROOT) -> pd.DataFrame:
    """Return what was measured of a shipped model with some of its inputs withheld, and the k-mer baseline."""
    table = _read(checks_file(model, root / "docs" / "results"), "python -m training.publishing.checks")
    titles = MEASURES | {f"{key}_above": f"{title} above k-mers in" for key, title in MEASURES.items()}
    return (summary(table) if "task" in table else table).rename(columns=titles)  # older files hold means only


def inputs_table(model: str, task: str, root: Path = ROOT) -> pd.DataFrame:
    """Return what :func:`checks_table` is the mean of, of one task.

    Parameters
    ----------
    model, task : str
    root : Path
        Of the repository.
    """
    table = _read(checks_file(model, root / "docs" / "results"), "python -m training.publishing.checks")
    check_known("task", task, table["task"].unique())
    return table[table["task"] == task].drop(columns=["task", "n_pos", "n_neg"]).rename(columns=MEASURES)


def baseline_table(prefixes: Sequence[str], root: Path = ROOT) -> pd.DataFrame:
    """Return models measured task by task beside the k-mer baseline, and all tasks of those of one prefix.

    Raises
    ------
    MissingFileError
        If nothing was measured of any model with such a name.
    """
    rows = []
    for prefix in prefixes:
        files = sorted((root / "docs" / "results").glob(f"checks_{prefix}*.csv"))
        if not files:
            raise MissingFileError(f"checks_{prefix}*.csv: none. Make them with: python -m training.publishing.checks")
        tables = {path.stem.removeprefix("checks_"): pd.read_csv(path) for path in files}
        tables = {name: table for name, table in tables.items() if "task" in table}
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


def published_table(model: str, root: Path = ROOT) -> pd.DataFrame:
    """Return the tasks of a tier that others reported figures for, beside those measured here; the means come last."""
    reported = pd.read_csv(root / "docs" / "results" / "published_accuracy.csv")
    reported = reported[reported["model"] == model].set_index("task")
    metrics = metrics_of(model, root).set_index("task")
    rows = []
    for task, row in reported.iterrows():
        ours = metrics.loc[task] if task in metrics.index else metrics[["auroc", "ap"]].mean()
        rows.append(
            {
                "task": task,
                "DeepRiPe AUROC": row["deepripe_auroc"],
                "DeepRiPe AP": row["deepripe_ap"],
                "read from": row["how"],
                "Multi-resBind AUROC": row["multiresbind_auroc"],
                "Multi-resBind AP": row["multiresbind_ap"],
                "here: sites": f"{ours['n_pos']:.0f} of {ours['n']:.0f}" if task in metrics.index else None,
                **{
                    f"here: {title}": with_interval(pd.DataFrame([ours]), key).iloc[0]
                    for key, title in MEASURES.items()
                },
            }
        )
    return pd.DataFrame(rows)


def warm_start_table(root: Path = ROOT) -> pd.DataFrame:
    """Return means over the proteins of :mod:`training.study.warm_start`, and in how many the warm start is best."""
    rows = _read(root / "docs" / "results" / "warm_start.csv", "python -m training.study.warm_start")
    made = {}
    for measure, title in MEASURES.items():
        by = rows.pivot_table(index=["sites", "task"], columns="method", values=measure)
        for method, name in (("warm", "warm start"), ("nothing", "from nothing"), ("kmers", "k-mers")):
            made[f"{title}: {name}"] = by[method].groupby("sites").mean()
        made[f"{title}: warm start best"] = (
            (by["warm"] >= by.max(axis=1)).groupby("sites").agg(lambda best: f"{best.sum()} of {len(best)}")
        )
    return pd.DataFrame(made).reset_index()


def _study_table(name: str, table: str, root: Path = ROOT) -> pd.DataFrame:
    """Return one table of a study, with the columns a reader wants."""
    check_known("study table", table, STUDY_TABLES)
    rows = _read(root / "docs" / "results" / f"study_{name}" / "tables" / f"{table}.csv", "ripe-train study")
    if table in ("time", "own_rank", "cross_experiment"):
        return rows
    if table == "borders":
        wanted = ["auroc_intact", "auroc_lean", "auroc_g_lean", "g_effect", "g_effect_control"]
        return rows[["arm", "task", "n_pos", *wanted]]
    if table == "tests":
        return rows[["comparison", "first", "second", "negatives"]].assign(
            **{
                "measure": rows["measure"].map(MEASURES),
                "first mean": rows["mean_first"],
                "second mean": rows["mean_second"],
                "difference": rows["mean_difference"].map("{:+.4f}".format),
                "better in": [f"{b} of {n}" for b, n in zip(rows["n_better"], rows["n_tasks"], strict=True)],
                "Wilcoxon p": rows["wilcoxon_p"].map(lambda p: "–" if pd.isna(p) else f"{p:.2g}"),
            }
        )
    if "negatives" in rows:
        rows = rows[rows["negatives"] == "own"].reset_index(drop=True)
    keys = {"arms": {"arm": "arm", "n_tasks": "tasks"}, "protocols": {"pair": "pair", "test": "test", "model": "model"}}
    kept = rows[list(keys[table])].rename(columns=keys[table])
    return kept.assign(**{title: with_interval(rows, key) for key, title in MEASURES.items()})


def precompute_table(root: Path = ROOT) -> pd.DataFrame:
    """Return what ``benchmarks/bench_precompute.py`` measured."""
    found = json.loads((root / "benchmarks" / "results" / "precompute.json").read_text(encoding="utf-8"))
    names = {"megabytes_per_mb": "MB per Mb", "cpu_minutes_per_mb": "CPU minutes per Mb"}
    return pd.DataFrame(
        [
            {"model": f"`{found['model']}`", "file": f"`.{kind}`", "bases": f"{found['bases']:,}"}
            | {title: f"{found[kind][key]:g}" for key, title in names.items()}
            for kind in ("tsv.gz", "vcf.gz")
        ]
    )


# Marker -> how many words follow it, and what makes its table.
TABLES: dict[str, tuple[int, Callable[..., pd.DataFrame]]] = {
    "models": (0, models_table),
    "tasks": (1, tasks_table),
    "checks": (1, checks_table),
    "inputs": (2, inputs_table),
    "baseline": (1, lambda *words: baseline_table(words[:-1], words[-1])),
    "published": (1, published_table),
    "warm_start": (0, warm_start_table),
    "study": (2, _study_table),
    "precompute": (0, precompute_table),
}


def table_for(what: str, root: Path = ROOT) -> str:
    """Return the Markdown of a marker's table.

    Raises
    ------
    InputError, UnknownNameError, MissingFileError
        If the marker or what it names does not exist.
    """
    kind, *names = what.split()
    check_known("table", kind, TABLES)
    n_words, make = TABLES[kind]
    if len(names) != n_words and not (kind == "baseline" and names):
        raise InputError(f"table marker {what!r}: expected {n_words} words after {kind!r}, got {len(names)}.")
    return markdown(make(*names, root))


def fill(text: str, root: Path = ROOT) -> str:
    """Return a document with every marked table written anew."""
    if text.count("<!-- table:") != len(MARKER.findall(text)):
        raise InputError("expected '<!-- end table -->' after every '<!-- table: ... -->', on lines of their own.")
    return MARKER.sub(lambda m: f"{m[1]}\n{table_for(m['what'], root)}\n{m[3]}", text)


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
