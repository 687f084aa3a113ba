"""A page about allele-specific binding: scatter plots of the scores (paper, Fig. 10) and their correlations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ripe_lib.output.console import steps
from ripe_lib.reports.figures import new_figure, put_title, style
from ripe_lib.reports.page import Report
from ripe_lib.variants.asb import correlations

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS = 200
_KINDS = ("model_score", "ig_score", "motif_score")
_LABELS = {
    "model_score": "model score (difference in probability)",
    "ig_score": "IG-score (difference of attributions)",
    "motif_score": "motif score (difference in log-odds)",
    "effect": "measured effect",
}


def asb_figure(table: pd.DataFrame, task: str) -> Figure:
    """Draw the scores of a task against the measured effect, or against the model score where none was measured."""
    x = "effect" if "effect" in table else "model_score"
    pairs = [(x, kind) for kind in _KINDS if f"{task}.{kind}" in table and kind != x]
    with style():
        figure = new_figure(min(180.0, 62.0 * len(pairs) + 10), 62)
        axes = figure.subplots(1, len(pairs), squeeze=False)[0]
        put_title(figure, task)
        for ax, (one, other) in zip(axes, pairs, strict=True):
            name = one if one == "effect" else f"{task}.{one}"
            both = table[[name, f"{task}.{other}"]].dropna()
            ax.axhline(0, color="#bbbbbb", linewidth=0.5, zorder=0)
            ax.axvline(0, color="#bbbbbb", linewidth=0.5, zorder=0)
            ax.plot(*both.to_numpy().T, "o", color="#2f6db3", markersize=2.2, alpha=0.6, markeredgewidth=0)
            ax.set_xlabel(_LABELS[one])
            ax.set_ylabel(_LABELS[other])
            if len(both) > 2 and both.nunique().min() > 1:
                r = np.corrcoef(*both.to_numpy().T)[0, 1]
                ax.set_title(f"r = {r:.2f}, n = {len(both)}", loc="left")
    return figure


def write_asb_report(table: pd.DataFrame, tasks: Sequence[str], folder: str | Path) -> Path:
    """Write ``index.html`` with the strongest alleles into a folder, made if need be; return its path.

    Parameters
    ----------
    table, tasks, folder
        ``table`` has one row per allele and strand; the scores are ``<task>.model_score`` and the like.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    report = Report("Allele-specific binding", f"{(table['status'] == 'ok').sum():,} alleles and strands scored")
    report.add_text(
        "`model_score`: difference of the predictions of the two alleles; `ig_score`: of the largest sum of "
        "attributions in a 6-nt window that contains the variant; `motif_score`: of the best log-odds of the motif in "
        "a 10-nt window. Differences are minor - major allele where frequencies are given, else alt - ref "
        "(column `difference`)."
    )
    report.add_heading("Correlations")
    report.add_table(correlations(table, tasks), caption="Correlations of the scores")
    for task in steps(tasks, "drawing"):
        report.add_figure(asb_figure(table, task), f"{task}: scores of the variants", format="svg")
    report.add_heading("Variants")
    names = [f"{task}.model_score" for task in tasks]
    size = table[names].abs().max(axis=1)
    strongest = table[size.notna()].loc[size.dropna().sort_values(ascending=False).index[:_ROWS]]
    place = ["chrom", "pos", "ref", "alt", "strand"]
    scores = [f"{task}.{kind}" for task in tasks for kind in (*_KINDS, "ref", "alt")]
    first = [name for name in (*place, "effect", *scores) if name in strongest]  # seen without scrolling
    strongest = strongest[[*first, *(name for name in strongest if name not in first)]]
    report.add_table(strongest, caption=f"The {len(strongest)} strongest by model score")
    return report.write(folder / "index.html")
