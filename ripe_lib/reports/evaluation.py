"""An evaluation as a folder: tables (CSV), pictures (PNG, SVG), and one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ripe_lib.evaluation.metrics import CONFIDENCE, mean_metrics
from ripe_lib.output.atomic import atomic_directory
from ripe_lib.output.console import steps
from ripe_lib.reports.evaluation_figures import plot_curves, plot_kmers, plot_overview, plot_reliability, plot_scores
from ripe_lib.reports.figures import save_figure
from ripe_lib.reports.page import Report

if TYPE_CHECKING:
    from ripe_lib.evaluation.evaluate import Evaluation

FORMATS = ("png", "svg")
N_KMERS_WRITTEN = 50
_GZIP: Any = {"method": "gzip", "mtime": 0}  # equal tables give equal files


def write_evaluation(
    evaluation: Evaluation, directory: str | Path, *, with_predictions: bool = False, overwrite: bool = False
) -> Path:
    """Write everything an evaluation shows; the folder appears complete or not at all.

    Files: ``metrics.csv`` (one row per task and kind of negatives), ``summary.csv``, ``curves.csv.gz``,
    ``reliability.csv``, ``score_histogram.csv``, ``kmers.csv``, ``figures/*.png`` and ``.svg``, ``report.html``.

    Parameters
    ----------
    evaluation, directory
    with_predictions : bool
        Also write labels and scores of every window, ``predictions.csv.gz``.
    overwrite : bool
        Replace a folder that is there.
    """
    with atomic_directory(directory, overwrite=overwrite) as folder:
        measured = {negatives: evaluation.table_and_draws(negatives) for negatives in evaluation.negatives}
        tables = {negatives: table for negatives, (table, _) in measured.items()}
        summaries = {negatives: mean_metrics(*both) for negatives, both in measured.items()}
        metrics = pd.concat([t.assign(negatives=n) for n, t in tables.items()], ignore_index=True)
        metrics.insert(1, "negatives", metrics.pop("negatives"))
        metrics.to_csv(folder / "metrics.csv", index=False)
        summary = pd.DataFrame([{"negatives": n, **s} for n, s in summaries.items()])
        summary.to_csv(folder / "summary.csv", index=False)
        curves = [evaluation.curves(n) for n in evaluation.negatives]
        points = pd.concat([one for one in curves if len(one)] or curves[:1], ignore_index=True)
        points.to_csv(folder / "curves.csv.gz", index=False, float_format="%.6g", compression=_GZIP)
        evaluation.reliability().to_csv(folder / "reliability.csv", index=False)
        evaluation.score_histogram().to_csv(folder / "score_histogram.csv", index=False)
        kmers = {task: evaluation.top_and_bottom_kmers(task) for task in evaluation.tasks}
        words = _kmer_table(kmers)
        words.to_csv(folder / "kmers.csv", index=False)
        if with_predictions:
            columns: dict[str, Any] = {}
            for task, label, score in zip(evaluation.tasks, evaluation.labels.T, evaluation.scores.T, strict=True):
                columns |= {f"{task}.label": label, f"{task}.score": score}
            sites = evaluation.intervals[["chrom", "start", "end", "strand"]]
            pd.concat([sites, pd.DataFrame(columns)], axis=1).to_csv(
                folder / "predictions.csv.gz", index=False, compression=_GZIP
            )
        figures = {
            "overview": plot_overview(tables, summaries),
            "roc": plot_curves(points, tables, "roc"),
            "pr": plot_curves(points, tables, "pr"),
            "scores": plot_scores(evaluation),
            "reliability": plot_reliability(evaluation, tables["own"]),
            "kmers": plot_kmers(kmers),
        }
        (folder / "figures").mkdir()
        for name, figure in steps(figures.items(), "drawing"):
            save_figure(figure, folder / "figures" / name, FORMATS)
        _page(evaluation, metrics, summary, words, figures).write(folder / "report.html")
    return Path(directory)


def _kmer_table(kmers: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Commonest k-mers of the best and of the worst positives of every task."""
    parts = {}
    for task, table in kmers.items():
        worst = table.sort_values(["bottom_sites", "top_sites", "kmer"], ascending=[False, True, True])
        parts[task] = table.loc[sorted({*table.index[:N_KMERS_WRITTEN], *worst.index[:N_KMERS_WRITTEN]})]
    return pd.concat(parts, names=["task"]).reset_index("task").reset_index(drop=True)


def _page(
    evaluation: Evaluation, metrics: pd.DataFrame, summary: pd.DataFrame, kmers: pd.DataFrame, figures: dict
) -> Report:
    options = evaluation.options
    name = Path(evaluation.dataset).name
    page = Report(f"{evaluation.model} on {name}", f"split {evaluation.split}, {len(evaluation.scores):,} windows")
    page.add_heading("Summary")
    own = summary.iloc[0]
    page.add_text(
        f"Mean over {int(own['n_tasks'])} tasks, each experiment's positives against its own negatives: AUROC "
        f"{own['auroc']:.3f}, average precision {own['ap']:.3f}, calibration error {own['ece']:.3f} at "
        f"{options.prevalence:g} positives. "
        + (f"{int(own['n_undefined'])} tasks are not defined here; the table says why. " if own["n_undefined"] else "")
        + ("Region types were withheld (0.25 everywhere). " if evaluation.region == "none" else "")
        + f"Intervals: {CONFIDENCE:.0%} of {options.n_bootstrap} stratified bootstrap draws, "
        + f"seed {options.seed}."
        + "\n\n`own`: windows that the experiment itself lists as not bound; unknown windows are left out."
        + " `other`: sites of other proteins that are no site of this one, the choice of the paper's multitask models."
        * (len(summary) > 1)
    )
    page.add_table(summary, caption="Means over tasks", filterable=False)
    caption = "AUROC and average precision per task with intervals; the dotted line is the mean."
    page.add_figure(figures["overview"], caption)
    page.add_heading("Tasks")
    page.add_table(metrics, caption="Every task and kind of negatives", page_rows=100)
    page.add_heading("Curves")
    page.add_figure(figures["roc"], "ROC curves; the numbers are AUROC.")
    caption = "Precision-recall curves; the numbers are average precision, dotted: share of positives."
    page.add_figure(figures["pr"], caption)
    page.add_heading("Scores and calibration")
    page.add_figure(figures["scores"], "Distribution of predicted probabilities.")
    weighted = f"windows weighted to {options.prevalence:g} positives"
    page.add_figure(figures["reliability"], f"Reliability with {weighted}; the larger a dot, the more windows.")
    page.add_heading("k-mers")
    page.add_text(
        "Among the positives of each task: the k-mers of the tenth that scores highest against the tenth that scores "
        "lowest, in the middle 50 nt; a site counts once per k-mer. p-values are Fisher's, uncorrected."
    )
    caption = "Commonest k-mers of the best-scoring positives, and their share in the worst (sites per side)."
    page.add_figure(figures["kmers"], caption)
    page.add_table(kmers, caption="k-mers of the best- and worst-scoring positives", page_rows=20)
    return page
