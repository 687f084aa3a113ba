"""Pictures of motifs: logos, and a motif beside its known match and its site k-mers (paper, Fig. 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.motifs.filters import FilterMotif
from ripe_lib.motifs.find import Motif
from ripe_lib.motifs.meme import MotifMatrix, information
from ripe_lib.reports.drawing import plot_logo
from ripe_lib.reports.figures import new_figure, style, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

N_KMERS = 8


def heights(ppm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return letter heights in bits: probabilities times the information of their position."""
    return ppm * information(ppm)[:, np.newaxis]


def logo_figure(motif: Motif | MotifMatrix, title: str = "") -> Figure:
    """Draw one motif as a logo in bits."""
    with style():
        figure = new_figure(12.0 + 6.0 * len(motif.ppm), 32.0)
        ax = figure.subplots()
        _logo(ax, motif.ppm, 0, (0, len(motif.ppm)))
        if title:
            ax.set_title(wrapped(title, 6.0 * len(motif.ppm), 6.5), loc="left", fontsize=6.5)
    return figure


def match_figure(motif: Motif, *known: tuple[NDArray[np.float64], int, str]) -> Figure:
    """Draw a motif, known ones below it at their alignment, and the k-mers of the sites on the right.

    Of the known ones: probabilities (W, 4), the position of ``motif`` at which they start, and what they are called.
    """
    rows = [(motif.ppm, 0, f"{motif.name}   {motif.consensus}   {motif.n_sites:,} sites"), *known]
    span = min(first for _, first, _ in rows), max(first + len(ppm) for ppm, first, _ in rows)
    with style():
        figure = new_figure(140.0, 12.0 + 20.0 * len(rows))
        logos, bars = figure.subfigures(1, 2, width_ratios=(1.75, 1))
        for ax, (ppm, first, name) in zip(logos.subplots(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
            _logo(ax, ppm, first, span)
            ax.set_title(wrapped(name, 85.0, 6.5), loc="left", fontsize=6.5)
        _kmer_bars(bars.subplots(), motif.kmers)
    return figure


def filters_figure(filters: Sequence[FilterMotif]) -> Figure:
    """Draw first-layer filters as logos with the proteins of the motifs they match (paper, Supp. Figs. S8-S13)."""
    proteins = [f.matches["protein"][f.matches["q_value"] < 0.05].head(1) for f in filters]
    panels = zip(filters, proteins, strict=True)
    return logos_figure([(f"{f.index}  {''.join(protein)}".strip(), f.ppm) for f, protein in panels], columns=8)


def logos_figure(panels: Sequence[tuple[str, NDArray[np.float64]]], columns: int) -> Figure:
    """Draw many named logos, from probabilities (W, 4), on one page."""
    full, columns = columns, max(1, min(columns, len(panels)))
    n_rows = max(1, -(-len(panels) // columns))
    with style():
        # A single logo or two keep the shape they have among many.
        figure = new_figure(max(174.0 * columns / full, 50.0), 17.0 * n_rows + 8)
        axes = figure.subplots(n_rows, columns, squeeze=False).ravel()
        for ax, (name, ppm) in zip(axes, panels, strict=False):
            plot_logo(ax, heights(ppm), ylim=(0, 2))
            ax.set_title(wrapped(name, 165.0 / full, 5.5), loc="left", fontsize=5.5, pad=2)
            ax.set_xticks([])
            ax.set_yticks([0, 2])
            ax.tick_params(labelsize=5, length=1.5)
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
    return figure


def _logo(ax: Axes, ppm: NDArray[np.float64], first: int, span: tuple[int, int]) -> None:
    plot_logo(ax, heights(ppm), first=first, ylabel="bits", ylim=(0, 2))
    ax.set_xlim(span[0] - 0.5, span[1] - 0.5)
    ax.set_xticks(range(first, first + len(ppm)), [str(i + 1) for i in range(len(ppm))])
    ax.set_yticks([0, 1, 2])


def _kmer_bars(ax: Any, kmers: Mapping[str, int]) -> None:
    shown = list(kmers)[:N_KMERS]
    values = [100 * kmers[word] / max(sum(kmers.values()), 1) for word in shown]
    ax.barh(range(len(shown)), values, color="#8fb3d9", height=0.8)
    ax.set_yticks(range(len(shown)), shown, family="monospace")
    ax.invert_yaxis()
    ax.tick_params(left=False)
    ax.set_xlabel("% of the places")
    ax.set_title("k-mers of the sites", loc="left", fontsize=6.5)
