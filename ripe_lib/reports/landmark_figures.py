"""Pictures of what distances to landmarks do (:mod:`ripe_lib.attribution.landmark_profiles`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ripe_lib.attribution.landmark_profiles import BIN_EDGES, LandmarkProfiles
from ripe_lib.genome.landmarks import LANDMARKS
from ripe_lib.reports.figures import COLUMN_WIDTHS, new_figure, put_title, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def landmark_profile_figure(
    profiles: LandmarkProfiles, task: str, *, width_mm: float = COLUMN_WIDTHS["double"]
) -> Figure:
    """Draw one task's mean score against the distance to each landmark, with the distances of the sites in grey.

    Parameters
    ----------
    profiles : LandmarkProfiles
    task : str
    width_mm : float
    """
    column = profiles.tasks.index(task)
    x = np.sign(profiles.distances) * np.log10(1 + np.abs(profiles.distances))
    edges = np.sign(BIN_EDGES) * np.log10(1 + np.abs(BIN_EDGES))
    ticks = np.array([-100_000, -1000, -10, 10, 1000, 100_000])
    with style():
        figure = new_figure(width_mm, 84)
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
