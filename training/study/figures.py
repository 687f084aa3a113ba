"""Pictures of a study."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ripe_lib.reports.evaluation_figures import BLUE, GREY, ORANGE, RED, small_multiples
from ripe_lib.reports.figures import COLUMN_WIDTHS, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMES = {"auroc": "AUROC", "ap": "average precision"}
_DOT = {"marker": "o", "markersize": 3, "linestyle": "none"}
_COLOURS = [BLUE, ORANGE, "#4d9221", "#7b3294", RED, GREY]


def _own(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["negatives"] == "own"]


def _rows(panels: Sequence[Any], names: Iterable[str], *, top: float = -0.6, **text: Any) -> None:
    """Name the rows of panels that share them, the first row on top."""
    names = list(names)
    panels[0].set_yticks(range(len(names)), names, **text)
    panels[0].set_ylim(len(names) - 0.4, top)
    for axes in panels:
        axes.grid(axis="x", linewidth=0.3, color="#dddddd")
        axes.set_axisbelow(True)


def _bars(axes: Any, table: pd.DataFrame, name: str, at: np.ndarray, **look: Any) -> None:
    """Draw a measure with its interval as dots with bars at heights ``at``."""
    value = table[name].to_numpy(dtype=float)
    spread = np.abs(np.stack([value - table[f"{name}_low"], table[f"{name}_high"] - value]))
    axes.errorbar(value, at, xerr=np.nan_to_num(spread), fmt="o", **look)


def _colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for every name, in the order of their first appearance."""
    return dict(zip(dict.fromkeys(names), cycle(_COLOURS)))


def _handles(colours: dict[str, str], **look: Any) -> list[Any]:
    from matplotlib.lines import Line2D

    return [Line2D([], [], color=colour, label=text, **look) for text, colour in colours.items()]


def plot_arms(means: pd.DataFrame, tasks: pd.DataFrame) -> Figure:
    """Draw every arm's distribution over tasks: a dot per task, the mean as a bar, own negatives."""
    means, tasks = _own(means).set_index("arm"), _own(tasks)
    colours = _colours(means.index)
    with style():
        figure = new_figure(COLUMN_WIDTHS["double"], 18 + 8 * len(means))
        panels = figure.subplots(1, 2, sharey=True)
        for axes, measure in zip(panels, _NAMES, strict=True):
            for place, (arm, colour) in enumerate(colours.items()):
                values = tasks.loc[tasks["arm"] == arm, measure].dropna().sort_values().to_numpy()
                spread = np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else np.zeros(len(values))
                axes.scatter(values, place + spread, s=5, color=colour, alpha=0.6, linewidths=0)
                mean = means[measure][arm]
                axes.plot([mean, mean], [place - 0.38, place + 0.38], color="black", linewidth=1.2)
                axes.text(mean, place - 0.42, f"{mean:.3f}", ha="center", va="bottom", fontsize=5.5)
            axes.set_xlabel(_NAMES[measure])
        _rows(panels, means.index, top=-0.75)
    return figure


def plot_pairs(differences: pd.DataFrame, test: pd.DataFrame) -> Figure:
    """Draw one comparison: second arm against first, and differences per task with their intervals; own negatives."""
    rows, test = _own(differences), _own(test).set_index("measure")
    first, second = rows["first"].iloc[0], rows["second"].iloc[0]
    rows = rows.sort_values(["auroc_difference", "task"], ascending=[False, True], na_position="last")
    place = np.arange(len(rows))
    with style():
        figure = new_figure(COLUMN_WIDTHS["double"], 22 + 3.4 * max(len(rows), 12))
        grid = figure.subplots(2, 2, gridspec_kw={"height_ratios": [1, 0.06 * max(len(rows), 12)]})
        for column, (measure, name) in enumerate(_NAMES.items()):
            axes = grid[0, column]
            x, y = rows[f"{measure}_second"], rows[f"{measure}_first"]
            low = np.nanmin([x.min(), y.min(), 0.95]) - 0.03
            axes.plot([low, 1], [low, 1], color=GREY, linewidth=0.5, linestyle=":")
            axes.scatter(x, y, s=8, color=BLUE, linewidths=0)
            axes.set(xlim=(low, 1.005), ylim=(low, 1.005), aspect="equal", xlabel=second, ylabel=first, title=name)
            axes = grid[1, column]
            axes.axvline(0, color="black", linewidth=0.6)
            _bars(axes, rows, f"{measure}_difference", place, color=BLUE, markersize=2.5, elinewidth=0.7)
            found = test.loc[measure]
            axes.axvline(found["mean_difference"], color=ORANGE, linewidth=0.8)
            told = "mean {mean_difference:+.4f}, better in {n_better} of {n_tasks}".format(**found)
            chance = "" if pd.isna(found["wilcoxon_p"]) else f", Wilcoxon p = {found['wilcoxon_p']:.2g}"
            axes.set_title(told + chance, fontsize=6)
            axes.set_xlabel(f"{name}: {first} - {second}")
            _rows([axes], rows["task"] if column == 0 else [""] * len(rows), fontsize=5.5)
    return figure


def plot_protocols(table: pd.DataFrame) -> Figure:
    """Draw AUROC and AP of every protocol pair: at home, crossed, and the sites' own model; own negatives."""
    rows = _own(table)
    pairs = list(dict.fromkeys(rows["pair"]))
    colours = {"home": BLUE, "crossed": ORANGE, "native": GREY}
    told = ("on its own experiment", "on the other protocol's sites", "the other protocol's own model on these sites")
    with style():
        figure = new_figure(COLUMN_WIDTHS["double"], 22 + 9 * len(pairs))
        panels = figure.subplots(1, 2, sharey=True)
        for axes, measure in zip(panels, _NAMES, strict=True):
            for number, (kind, colour) in enumerate(colours.items()):
                these = rows[rows["test"] == kind].set_index("pair").reindex(pairs)
                at = np.arange(len(pairs)) + (number - 1) * 0.22
                _bars(axes, these, measure, at, color=colour, markersize=3, elinewidth=0.8)
            axes.set_xlabel(_NAMES[measure])
        _rows(panels, [p.replace(" on ", "\non ") for p in pairs], fontsize=5.5)
        handles = _handles(dict(zip(told, colours.values(), strict=True)), **_DOT)
        figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    return figure


def plot_matrix(matrix: pd.DataFrame) -> Figure:
    """Draw the AUROC of every output (columns) on every experiment's sites (rows) against other proteins' sites."""
    with style():
        size = 60 + 4 * max(matrix.shape)
        figure = new_figure(min(size, COLUMN_WIDTHS["double"]), size)
        axes = figure.subplots()
        image = axes.imshow(matrix.to_numpy(), vmin=0.3, vmax=1, cmap="RdBu_r", aspect="auto")
        axes.set_xticks(range(matrix.shape[1]), list(matrix.columns), rotation=90, fontsize=5)
        axes.set_yticks(range(matrix.shape[0]), list(matrix.index), fontsize=5)
        axes.set(xlabel="output", ylabel="sites")
        figure.colorbar(image, ax=axes, label="AUROC against other proteins' sites", shrink=0.6)
    return figure


def plot_lean(borders: pd.DataFrame) -> Figure:
    """Draw, for every arm and task, the AUROC owed to the borders and the logit a G at the site's end is worth."""
    colours, tasks = _colours(borders["arm"]), list(dict.fromkeys(borders["task"]))
    columns = {
        "auroc_lean": "AUROC lost with the borders' bases\nbeyond that lost with other bases",
        "auroc_g_lean": "AUROC lost when every\nsite ends with G",
        "g_effect": "logit of G at the last base\n(open: at a control place)",
    }
    with style():
        figure = new_figure(COLUMN_WIDTHS["double"], 22 + (2.2 + 2.4 * len(colours)) * len(tasks))
        panels = figure.subplots(1, 3, sharey=True)
        for axes, (column, text) in zip(panels, columns.items(), strict=True):
            axes.axvline(0, color="black", linewidth=0.6)
            for number, (arm, colour) in enumerate(colours.items()):
                these = borders[borders["arm"] == arm].set_index("task").reindex(tasks)
                at = np.arange(len(tasks)) + (number - (len(colours) - 1) / 2) * 0.8 / len(colours)
                axes.scatter(these[column], at, s=9, color=colour, linewidths=0)
                if column == "g_effect":
                    open_dots: dict[str, Any] = {"facecolors": "none", "edgecolors": colour, "linewidths": 0.6}
                    axes.scatter(these["g_effect_control"], at, s=9, **open_dots)
            axes.locator_params(axis="x", nbins=5)
            axes.set_xlabel(text)
        _rows(panels, tasks)
        handles = _handles(colours, **_DOT)
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    return figure


def plot_profiles(profiles: pd.DataFrame) -> Figure:
    """Draw mean attributions around the last base of sites (offset 0), one panel per task; G's share in grey."""
    rows = profiles[profiles["end"] == "last"]
    colours = _colours(rows["arm"])

    def draw(axes: Any, task: str) -> None:
        here = rows[rows["task"] == task]
        for arm, line in here.groupby("arm", sort=False):
            axes.plot(line["offset"], line["attribution"], color=colours[arm], linewidth=0.9)
        share = here.drop_duplicates("offset")
        twin = axes.twinx()
        twin.bar(share["offset"], share["g_share"], width=1, color="#e3e3e3", zorder=0)
        twin.set(ylim=(0, 1), yticks=[])
        axes.set_zorder(twin.get_zorder() + 1)
        axes.patch.set_visible(False)
        axes.axvline(0, color="black", linewidth=0.4, linestyle=":")
        axes.axhline(0, color="black", linewidth=0.4)

    return small_multiples(
        list(dict.fromkeys(rows["task"])),
        draw,
        x_label="position from the last base of the site (nt); grey: share of G, 0 to 1",
        y_label="mean attribution (logit)",
        columns=4,
        panel_height_mm=32,
        handles=_handles(colours),
    )
