"""Pictures of what region types and distances to landmarks do, averaged over sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.attribution.landmark_profiles import BIN_EDGES, LandmarkProfiles
from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import REGION_TYPES
from ripe_lib.genome.landmarks import LANDMARKS
from ripe_lib.reports.drawing import REGION_COLORS, REGION_LABELS
from ripe_lib.reports.figures import COLUMN_WIDTHS, new_figure, put_title, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def landmark_profile_figure(profiles: LandmarkProfiles, task: str) -> Figure:
    """Draw one task's mean score against the distance to each landmark, with the distances of the sites in grey.

    Parameters
    ----------
    profiles : LandmarkProfiles
    task : str
    """
    column = profiles.tasks.index(task)
    x = np.sign(profiles.distances) * np.log10(1 + np.abs(profiles.distances))
    edges = np.sign(BIN_EDGES) * np.log10(1 + np.abs(BIN_EDGES))
    ticks = np.array([-100_000, -1000, -10, 10, 1000, 100_000])
    with style():
        figure = new_figure(height_mm=84)
        put_title(figure, task)
        axes = figure.subplots(2, 4, sharex=True, sharey=True).ravel()
        for number, (ax, landmark) in enumerate(zip(axes, LANDMARKS, strict=True)):
            known = profiles.observed[:, number]
            counts, _ = np.histogram(known[~np.isnan(known)], BIN_EDGES)
            behind = ax.twinx()
            sites = behind.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color="#dddddd")
            behind.set_yticks([])
            behind.set_ylim(0, max(counts.max(initial=1), 1) * 1.6)
            ax.set_zorder(behind.get_zorder() + 1)
            ax.patch.set_visible(False)
            (line,) = ax.plot(x, profiles.scores[number, :, column], color="#5b3fa0", lw=1.1)
            ax.axvline(0, color="#999999", lw=0.4, ls=":")
            ax.set_title(landmark, loc="left", fontsize=6.5)
            ax.set_xticks(np.sign(ticks) * np.log10(1 + np.abs(ticks)), ["-100k", "-1k", "-10", "10", "1k", "100k"])
            ax.tick_params(labelsize=5.5)
        names = ["score if the landmark lay there", "where it lies for these sites"]
        figure.legend([line, sites], names, loc="outside upper right", ncols=2, frameon=False)
        figure.supxlabel("distance to the landmark (nt; positive: it lies downstream)", fontsize=7)
        figure.supylabel("mean score", fontsize=7)
    return figure


def region_profile_figure(
    profiles: Mapping[str, NDArray[Any]], *, counts: Mapping[str, int] | None = None, smooth: int = 11
) -> Figure:
    """Draw the mean region-type attribution of several tasks along the window (paper, Fig. 4B), one panel each.

    Parameters
    ----------
    profiles : dict
        Task -> array (R, 4): mean over its sites of ``Attributions.region`` masked by :func:`present_types`.
    counts : dict, optional
        Task -> number of sites, shown with the name.
    smooth : int
        Width in nt of a moving average (max-pooling makes single positions of the region map arbitrary); 1 for none.
    """
    if not profiles:
        raise InputError("region profile: expected at least one task, got none.")
    columns = min(4, len(profiles))
    n_rows = -(-len(profiles) // columns)
    occurs = np.any([np.any(profile, axis=0) for profile in profiles.values()], axis=0)
    shown = [(channel, name) for channel, name in enumerate(REGION_TYPES) if occurs[channel]]
    with style():
        figure = new_figure(height_mm=27.0 * n_rows + 16)
        axes = figure.subplots(n_rows, columns, squeeze=False, sharex=True).ravel()
        for ax, (task, profile) in zip(axes, profiles.items(), strict=False):
            x = np.arange(len(profile)) - len(profile) // 2
            for channel, name in shown:
                line = np.convolve(profile[:, channel], np.full(smooth, 1 / smooth), mode="same")
                ax.plot(x, line, color=REGION_COLORS[name], label=REGION_LABELS[name], lw=1)
            ax.axhline(0, color="black", lw=0.4)
            ax.axvline(0, color="#999999", lw=0.4, ls=":")
            ax.set_xlim(x[0], x[-1])
            number = "" if counts is None else f" ({counts[task]:,})"
            ax.set_title(f"{task}{number}", loc="left", fontsize=6.5)
            ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
            ax.yaxis.get_offset_text().set_fontsize(5)
            ax.tick_params(labelsize=5.5)
        for place, ax in enumerate(axes):
            if place >= len(profiles):
                ax.set_axis_off()
            elif place + columns >= len(profiles):
                # The lowest panel of its column carries the positions, also where the last row is not full.
                ax.tick_params(labelbottom=True)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=max(1, len(labels)), frameon=False)
        figure.supxlabel("position from the middle of the window (nt)", fontsize=7)
        figure.supylabel("mean attribution" + (f" ({smooth}-nt average)" if smooth > 1 else ""), fontsize=7)
    return figure


def region_summary_figure(means: NDArray[Any], tasks: Sequence[str]) -> Figure:
    """Draw a heat map of tasks against region types: mean summed attribution per site.

    Parameters
    ----------
    means : array (K, 4)
        NaN where a task has no site.
    tasks : sequence of str
        K names.
    """
    matrix = np.ma.masked_invalid(np.asarray(means, dtype=float))
    limit = float(np.abs(matrix).max()) if matrix.count() else 1.0
    with style():
        figure = new_figure(COLUMN_WIDTHS["middle"], 4.2 * len(tasks) + 22)
        ax = figure.subplots()
        ax.set_facecolor("#f3f3f3")
        image = ax.imshow(matrix, cmap="PuOr_r", vmin=-(limit or 1), vmax=limit or 1, aspect="auto")
        ax.set_xticks(range(4), [REGION_LABELS[name] for name in REGION_TYPES])
        ax.set_yticks(range(len(tasks)), list(tasks))
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        for (row, column), value in np.ndenumerate(matrix.filled(0)):
            if value:
                color = "white" if abs(value) > 0.6 * limit else "black"
                ax.text(column, row, f"{value:+.3f}", ha="center", va="center", fontsize=5.5, color=color)
        figure.colorbar(image, ax=ax, label="mean summed\nattribution", aspect=25)
    return figure


def present_types(region_map: NDArray[Any], region: NDArray[Any]) -> NDArray[np.float32]:
    """Return (..., R, 4): each position's summed attribution in the channel of the type that is there, 0 elsewhere.

    Positions without region information get 0 everywhere.
    """
    return (region_map.sum(axis=-1, keepdims=True) * (region > 0.99)).astype(np.float32)
