"""A picture of which RBPs bind given intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ripe_lib.reports.figures import new_figure, put_title, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MOST_ROWS = 30
SIGNIFICANT_Q = 0.05
_ENRICHED, _OTHER = "#d55e00", "#8c8c8c"


def enrichment_figure(table: pd.DataFrame, *, title: str) -> Figure:
    """Return a figure of the tasks with the largest AUROC in :attr:`ripe_lib.scan.enrichment.Enrichment.table`.

    Left the AUROC of intervals against background, right the difference of their mean logits; filled where q is below
    0.05.
    """
    shown = table.head(MOST_ROWS).iloc[::-1]
    names = shown["task"]
    if shown["model"].nunique() > 1:
        names = names + " (" + shown["model"].str.rsplit("/", n=1).str[-1] + ")"
    with style():
        figure = new_figure(height_mm=22 + 4.2 * len(shown))
        left, right = figure.subplots(1, 2, sharey=True)
        at = np.arange(len(shown))
        called = (shown["q_value"] < SIGNIFICANT_Q).to_numpy()
        for ax, column, null, label in (
            (left, "auroc", 0.5, "AUROC against background"),
            (right, "difference", 0.0, "difference of mean logits"),
        ):
            values = shown[column].to_numpy()
            ax.hlines(at, null, values, color=_OTHER, linewidth=0.6)
            ax.scatter(values[called], at[called], s=14, color=_ENRICHED, label=f"q < {SIGNIFICANT_Q}", zorder=3)
            ax.scatter(values[~called], at[~called], s=14, facecolor="white", edgecolor=_OTHER, label="not", zorder=3)
            ax.axvline(null, color="black", linewidth=0.6)
            ax.set_xlabel(label)
        left.set_yticks(at, names.tolist())
        left.set_ylim(-0.7, len(shown) - 0.3)
        if called.any():
            right.legend(loc="lower right", frameon=False)
        put_title(figure, title)
    return figure
