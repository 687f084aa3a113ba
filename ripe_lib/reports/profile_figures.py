"""Pictures of what region types and distances to landmarks do, averaged over sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.attribution.landmark_profiles import BIN_EDGES, LandmarkProfiles
from ripe_lib.genome.encoding import REGION_TYPES
from ripe_lib.genome.landmarks import LANDMARKS
from ripe_lib.reports.drawing import REGION_COLORS, REGION_LABELS
from ripe_lib.reports.figures import COLUMN_WIDTHS, new_figure, put_title, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SMOOTH = 11  # nt of a moving average: max-pooling makes single positions of the region map arbitrary


def landmark_profile_figure(profiles: LandmarkProfiles, task: str) -> Figure:
    """Draw one task's mean score against the distance to each landmark, with the distances of the sites in grey."""
    column = profiles.tasks.index(task)
    ticks = [-100_000, -1000, -10, 10, 1000, 100_000]
    x, edges, places = (np.sign(d) * np.log10(1 + np.abs(d)) for d in (profiles.distances, BIN_EDGES, ticks))
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
            ax.set_xticks(places, ["-100k", "-1k", "-10", "10", "1k", "100k"])
            ax.tick_params(labelsize=5.5)
        names = ["score if the landmark lay there", "where it lies for these sites"]
        figure.legend([line, sites], names, loc="outside upper right", ncols=2, frameon=False)
        figure.supxlabel("distance to the landmark (nt; positive: it lies downstream)", fontsize=7)
        figure.supylabel("mean score", fontsize=7)
    return figure


def region_profile_figure(profiles: Mapping[str, NDArray[Any]], counts: Mapping[str, int]) -> Figure:
    """Draw the mean region-type attribution of several tasks along the window (paper, Fig. 4B), one panel each.

    ``profiles``: task -> array (R, 4), the mean over its sites of ``Attributions.region`` masked by
    :func:`present_types`; ``counts``: task -> number of sites.
    """
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
                line = np.convolve(profile[:, channel], np.full(_SMOOTH, 1 / _SMOOTH), mode="same")
                ax.plot(x, line, color=REGION_COLORS[name], label=REGION_LABELS[name], lw=1)
            ax.axhline(0, color="black", lw=0.4)
            ax.axvline(0, color="#999999", lw=0.4, ls=":")
            ax.set_xlim(x[0], x[-1])
            ax.set_title(f"{task} ({counts[task]:,})", loc="left", fontsize=6.5)
            ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
            ax.yaxis.get_offset_text().set_fontsize(5)
            ax.tick_params(labelsize=5.5)
        # The lowest panel of its column carries the positions, also where the last row is not full.
        for ax in axes[max(0, len(profiles) - columns) : len(profiles)]:
            ax.tick_params(labelbottom=True)
        for ax in axes[len(profiles) :]:
            ax.set_axis_off()
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=max(1, len(labels)), frameon=False)
        figure.supxlabel("position from the middle of the window (nt)", fontsize=7)
        figure.supylabel(f"mean attribution ({_SMOOTH}-nt average)", fontsize=7)
    return figure


def region_summary_figure(means: NDArray[Any], tasks: Sequence[str]) -> Figure:
    """Draw a heat map of K tasks against region types: mean summed attribution per site (K, 4), NaN without a site."""
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
    """Return (..., R, 4): each position's summed attribution in the channel of the type that is known there, else 0."""
    return (region_map.sum(axis=-1, keepdims=True) * (region > 0.99)).astype(np.float32)
