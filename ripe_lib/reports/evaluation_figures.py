"""Pictures of an evaluation: one small panel per task, the same order in every picture.

Colours are the same everywhere: positives and own negatives blue and grey, other proteins' sites orange.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ripe_lib.reports.figures import COLUMN_WIDTHS, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ripe_lib.evaluation.evaluate import Evaluation

BLUE, GREY, ORANGE, RED = "#1b6ca8", "#8c8c8c", "#e08214", "#b2182b"
NEGATIVE_COLOURS = {"own": BLUE, "other": ORANGE}
NEGATIVE_LABELS = {"own": "own negatives", "other": "other proteins' sites"}


def small_multiples(
    tasks: Sequence[str],
    draw: Callable[[Axes, str], None],
    x_label: str,
    y_label: str,
    *,
    columns: int = 6,
    panel_height_mm: float = 27.0,
    handles: Sequence[Any] = (),
    titles: dict[str, str] | None = None,
    title_pad: float = 3.0,
) -> Figure:
    """Draw one panel per task.

    Parameters
    ----------
    tasks : sequence of str
    draw : callable
        ``draw(axes, task)`` fills a panel.
    x_label, y_label, columns, panel_height_mm, handles
        Labels are written once for the whole picture, legend entries above it.
    titles, title_pad
        Task -> title, where it is not the task's name; points between panel and title.
    """
    columns = min(columns, max(1, len(tasks)))
    n_rows = max(1, -(-len(tasks) // columns))
    with style():
        width = COLUMN_WIDTHS["double"] if columns > 2 else COLUMN_WIDTHS["single"] * columns
        figure = new_figure(width, n_rows * panel_height_mm + 14)
        grid = figure.subplots(n_rows, columns, squeeze=False)
        for axes, task in zip(grid.flat, tasks, strict=False):
            draw(axes, task)
            axes.set_title((titles or {}).get(task, task), fontsize=5.5, pad=title_pad)
        for axes in grid.flat[len(tasks) :]:
            axes.set_axis_off()
        figure.supxlabel(x_label, fontsize=7)
        figure.supylabel(y_label, fontsize=7)
        if handles:
            figure.legend(handles=list(handles), loc="outside upper center", ncols=len(handles), frameon=False)
    return figure


def _line_handles(negatives: Iterable[str]) -> list[Any]:
    from matplotlib.lines import Line2D

    return [Line2D([], [], color=NEGATIVE_COLOURS[kind], label=NEGATIVE_LABELS[kind]) for kind in negatives]


def _undefined(axes: Axes, reason: str) -> None:
    axes.text(0.5, 0.5, reason, ha="center", va="center", fontsize=5.5, color=GREY, transform=axes.transAxes)
    axes.set(xticks=[], yticks=[])


def plot_curves(points: pd.DataFrame, tables: dict[str, pd.DataFrame], curve: str) -> Figure:
    """Draw ROC (``"roc"``) or precision-recall (``"pr"``) curves of all tasks, both kinds of negatives.

    Parameters
    ----------
    points : DataFrame
        Of :meth:`Evaluation.curves`, for all kinds of negatives.
    tables, curve
        ``tables``: kind of negatives -> table of :meth:`Evaluation.table`.
    """
    is_roc = curve == "roc"
    lines = points[points["curve"] == curve].groupby(["negatives", "task"])
    rows = {n: t.set_index("task") for n, t in tables.items()}

    def draw(axes: Axes, task: str) -> None:
        numbers = []
        for negatives, by_task in rows.items():
            if (negatives, task) not in lines.groups:
                continue
            line, row, colour = lines.get_group((negatives, task)), by_task.loc[task], NEGATIVE_COLOURS[negatives]
            steps = "default" if is_roc else "steps-pre"
            axes.plot(line["x"], line["y"], color=colour, drawstyle=steps, clip_on=False)
            numbers.append((colour, row["auroc" if is_roc else "ap"]))
            if not is_roc:
                axes.axhline(row["n_pos"] / row["n"], color=colour, linewidth=0.5, linestyle=":")
        if not numbers:
            _undefined(axes, rows["own"].loc[task, "reason"])
            return
        if is_roc:
            axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.5, linestyle=":")
        for place, (colour, value) in enumerate(reversed(numbers)):
            # Precision-recall curves leave no corner free: there the numbers stand above the panel.
            x, y = (0.97, 0.05 + 0.13 * place) if is_roc else (1.0 - place, 1.03)
            side = "left" if place and not is_roc else "right"
            axes.text(x, y, f"{value:.3f}", ha=side, color=colour, fontsize=6, transform=axes.transAxes)
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 1], yticks=[0, 1])

    x_label, y_label = ("false positive rate", "true positive rate") if is_roc else ("recall", "precision")
    pad = 3.0 if is_roc else 9.0
    tasks, handles = list(rows["own"].index), _line_handles(tables)
    return small_multiples(tasks, draw, x_label, y_label, handles=handles, title_pad=pad)


def plot_scores(evaluation: Evaluation) -> Figure:
    """Draw the score distributions of positives, own negatives and other proteins' sites."""
    from matplotlib.patches import Patch

    histogram = evaluation.score_histogram().groupby(["task", "group"])
    looks: dict[str, dict[str, Any]] = {
        "negative": {"color": GREY, "alpha": 0.55, "label": NEGATIVE_LABELS["own"]},
        "positive": {"color": BLUE, "alpha": 0.6, "label": "positives"},
    }
    if "other" in evaluation.negatives:
        looks["other"] = {"color": ORANGE, "label": NEGATIVE_LABELS["other"]}

    def draw(axes: Axes, task: str) -> None:
        for group, look in looks.items():
            bars = histogram.get_group((task, group))
            if total := bars["n"].sum():
                edges = np.r_[bars["low"], bars["high"].iloc[-1]]
                axes.stairs(bars["n"] / total, edges, fill=group != "other", **look)
        axes.set(xlim=(0, 1), xticks=[0, 0.5, 1], yticks=[])

    handles = [Patch(**look) for look in looks.values()]
    return small_multiples(evaluation.tasks, draw, "predicted probability", "share of windows", handles=handles)


def plot_reliability(evaluation: Evaluation, table: pd.DataFrame) -> Figure:
    """Draw observed against predicted share of positives at the stated prevalence; dot size is the bin's weight."""
    bins = evaluation.reliability().groupby("task")
    rows = table.set_index("task")

    def draw(axes: Axes, task: str) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.5, linestyle=":")
        if task not in bins.groups:
            _undefined(axes, rows.loc[task, "reason"])
            return
        curve = bins.get_group(task).dropna()
        axes.plot(curve["predicted"], curve["observed"], color=BLUE, linewidth=0.8)
        size = 3 + 40 * curve["weight"]
        axes.scatter(curve["predicted"], curve["observed"], s=size, color=BLUE, linewidths=0, clip_on=False, zorder=3)
        label = f"ECE {rows.loc[task, 'ece']:.3f}"
        axes.text(0.97, 0.06, label, ha="right", fontsize=6, color=BLUE, transform=axes.transAxes)
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 1], yticks=[0, 1])

    x_label = f"predicted probability (windows weighted to {evaluation.options.prevalence:g} positives)"
    return small_multiples(evaluation.tasks, draw, x_label, "observed share of positives")


def plot_kmers(tables: dict[str, pd.DataFrame]) -> Figure:
    """Draw the commonest k-mers of the best-scoring positives and their frequency in the worst.

    ``tables``: task -> table of :meth:`Evaluation.top_and_bottom_kmers`; the title says how many sites a side has.
    """
    from matplotlib.patches import Patch

    def draw(axes: Axes, task: str) -> None:
        table = tables[task].head(8)
        if table.empty:
            _undefined(axes, "fewer than two positives")
            return
        place = np.arange(len(table))
        axes.barh(place - 0.2, table["top_fraction"], height=0.4, color=BLUE)
        axes.barh(place + 0.2, table["bottom_fraction"], height=0.4, color=ORANGE)
        axes.set_yticks(place, table["kmer"], fontsize=4.5, family="DejaVu Sans Mono")
        axes.tick_params(axis="y", length=0, pad=1)
        axes.invert_yaxis()

    titles = {task: f"{task} ({table['n_top'].iloc[0]})" for task, table in tables.items() if len(table)}
    handles = [Patch(color=BLUE, label="best-scoring sites"), Patch(color=ORANGE, label="worst-scoring sites")]
    size: dict[str, Any] = {"columns": 5, "panel_height_mm": 30}
    return small_multiples(
        list(tables), draw, "share of sites that hold the k-mer", "", handles=handles, titles=titles, **size
    )


def plot_overview(tables: dict[str, pd.DataFrame], summaries: dict[str, dict[str, float]]) -> Figure:
    """Draw AUROC and average precision of all tasks with their intervals, best task first; the mean is dotted."""
    own = next(iter(tables.values())).sort_values(["auroc", "task"], ascending=[False, True], na_position="last")
    order, reasons = own["task"].tolist(), own["reason"].tolist()
    place = np.arange(len(order))
    with style():
        figure = new_figure(COLUMN_WIDTHS["double"], 16 + 3.6 * len(order))
        panels = figure.subplots(1, 2, sharey=True)
        for axes, measure, name in zip(panels, ("auroc", "ap"), ("AUROC", "average precision"), strict=True):
            for number, (negatives, table) in enumerate(tables.items()):
                rows = table.set_index("task").loc[order]
                at = place + (number - (len(tables) - 1) / 2) * 0.3
                value = rows[measure].to_numpy(dtype=float)
                spread = np.abs(np.stack([value - rows[f"{measure}_low"], rows[f"{measure}_high"] - value]))
                colour = NEGATIVE_COLOURS[negatives]
                look: dict[str, Any] = {"fmt": "o", "color": colour, "markersize": 2.5, "elinewidth": 0.7}
                axes.errorbar(value, at, xerr=np.nan_to_num(spread), **look)
                axes.axvline(summaries[negatives][measure], color=colour, linewidth=0.6, linestyle=":")
            for row, reason in enumerate(reasons):
                if reason:
                    axes.text(0.5, row, reason, fontsize=5, color=GREY, va="center")
            axes.set_xlabel(name)
            axes.grid(axis="x", linewidth=0.3, color="#dddddd")
            axes.set_axisbelow(True)
        panels[0].set_yticks(place, order, fontsize=5.5)
        panels[0].set_ylim(len(order) - 0.4, -0.6)
        handles = _line_handles(tables)
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    return figure
