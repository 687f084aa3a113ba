"""Ready-made pictures of attribution maps: a site for one or several tasks, wild type against mutants, profiles.

Every function returns a new :class:`matplotlib.figure.Figure` of a printed size (mm); save it with
:func:`ripe_lib.reports.figures.save_figure` or put it into a :class:`ripe_lib.reports.page.Report`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.attribution import letter_scores
from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import REGION_TYPES
from ripe_lib.reports.drawing import (
    REGION_COLORS,
    REGION_LABELS,
    Place,
    known_span,
    mark_motif,
    mark_positions,
    mark_span,
    plot_landmarks,
    plot_logo,
    plot_mutation_map,
    plot_region_map,
    position_axis,
    value_limits,
)
from ripe_lib.reports.figures import COLUMN_WIDTHS, new_figure, put_title, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOUBLE = COLUMN_WIDTHS["double"]
_NAME_ROOM = 0.14
_LOGO_MM, _REGION_MM, _HEAT_MM, _ROOM_MM, _LANDMARKS_MM = 26.0, 17.0, 15.0, 13.0, 27.0


@dataclass(frozen=True)
class SiteMap:
    """One window and its map for one task.

    Attributes
    ----------
    label : str
        Shown above it, e.g. the task.
    seq, seq_map : array (L, 4)
        The one-hot window and its attributions. For in-silico mutagenesis ``seq_map`` holds the changes.
    region, region_map : array (R, 4) or None
        Without any known region type they are not drawn.
    score : float or None
        The model's probability, shown with the label.
    landmark_map, distances : array (8,) or None
        Attributions of the landmarks, summed over their basis, and distances in nt, NaN = unknown. Drawn if any is
        known.
    method : str
        Name of the method as in ``ripe attribute --method``; for ``"ism"`` letters are
        :func:`ripe_lib.attribution.ism_letters` and the changes are shown as a heat map too.
    """

    label: str
    seq: NDArray[Any]
    seq_map: NDArray[Any]
    region: NDArray[Any] | None = None
    region_map: NDArray[Any] | None = None
    score: float | None = None
    method: str = "ig"
    landmark_map: NDArray[Any] | None = None
    distances: NDArray[np.float64] | None = None

    @property
    def has_regions(self) -> bool:
        """Whether there is a region map and the type of any position is known."""
        return self.region_map is not None and self.region is not None and bool((self.region > 0.99).any())

    @property
    def has_landmarks(self) -> bool:
        """Whether there is a map of landmarks and the distance to any is known."""
        return self.landmark_map is not None and self.distances is not None and not np.isnan(self.distances).all()

    @property
    def letters(self) -> NDArray[np.float32]:
        """Heights (L, 4): one letter per known base."""
        from ripe_lib.attribution import ism_letters

        heights = ism_letters(self.seq_map, self.seq) if self.method == "ism" else letter_scores(self.seq_map, self.seq)
        return heights[:, np.newaxis] * (np.asarray(self.seq) > 0.99)

    @property
    def title(self) -> str:
        """Label and score."""
        return self.label if self.score is None else f"{self.label}   score {self.score:.3f}"


def site_figure(
    maps: Sequence[SiteMap],
    *,
    title: str = "",
    peak: tuple[int, int] | None = None,
    peak_label: str = "CLIP peak",
    motif: str | None = None,
    unit: str = "attribution",
    zoom: tuple[int, int] | None = None,
    place: Place | None = None,
    same_scale: bool = True,
    width_mm: float | None = None,
) -> Figure:
    """Draw the maps of one site for one or several tasks, one below the other on a common position axis.

    Parameters
    ----------
    maps : sequence of SiteMap
        One per task; all of the same window.
    title : str
    peak : (start, stop), optional
        The CLIP peak as indices of the sequence window, half-open (:func:`peak_span`).
    peak_label : str
        Its name in the picture.
    motif : str, optional
        A known motif in IUPAC letters; its occurrences are shaded.
    unit : str
        Label of the value axes.
    zoom : (start, stop), optional
        Indices of the sequence window to show. Default: the known bases and two more on each side, and with region
        types what is known of theirs.
    place : Place, optional
        Of position 0 in the genome; its coordinates are shown too.
    same_scale : bool
        One value scale for the sequences of all tasks, one for the region types, and one for the landmarks.
    width_mm : float, optional
        Default: two columns of print; up to a third more where region types are known beyond the bases, because all
        panels have one position axis and letters are to stay legible.

    Raises
    ------
    InputError
        If there is no map.
    """
    if not maps:
        raise InputError("site picture: expected at least one map, got none.")
    first_map = maps[0]
    length = len(first_map.seq)
    low, high = _shown(maps) if zoom is None else (zoom[0] - length // 2, zoom[1] - length // 2)
    if width_mm is None:
        bases = np.diff(known_span(first_map.seq, margin=2))[0]
        width_mm = DOUBLE * float(np.clip((high - low) / bases, 1, 4 / 3))
    heights = [m.letters for m in maps]
    regions = [m.region_map for m in maps if m.region_map is not None and m.has_regions]
    region_limits = value_limits([m.sum(axis=1) for m in regions]) if regions and same_scale else None
    # Room for the motif's name is a share of the axis, so of what all panels together span.
    headroom = _NAME_ROOM if motif else 0.0
    if same_scale:
        limits = [value_limits(heights, headroom=headroom)] * len(heights)
    else:
        limits = [value_limits([height], headroom=headroom) for height in heights]
    landmarks = [m.landmark_map for m in maps if m.landmark_map is not None and m.has_landmarks]
    landmark_limits = value_limits(landmarks, air=0) if same_scale else None
    rows: list[tuple[str, int, float]] = []
    for number, one in enumerate(maps):
        rows.append(("logo", number, _LOGO_MM))
        if one.method == "ism":
            rows.append(("heat", number, _HEAT_MM))
        if one.has_regions:
            rows.append(("region", number, _REGION_MM))
        if one.has_landmarks:
            rows.append(("landmarks", number, _LANDMARKS_MM))
    with style():
        figure = new_figure(width_mm, sum(row[2] for row in rows) + _ROOM_MM + 3.5 * len(maps))
        axes = figure.subplots(len(rows), 1, squeeze=False, height_ratios=[row[2] for row in rows])[:, 0]
        if title:
            put_title(figure, title)
        for ax, (kind, number, _) in zip(axes, rows, strict=True):
            one = maps[number]
            if kind == "logo":
                first = -(length // 2)
                plot_logo(ax, heights[number], first=first, ylabel=unit, ylim=limits[number])
                ax.set_xlim(low - 0.5, high - 0.5)
                for side in ((low, first), (first + length, high)):
                    if side[1] > side[0]:  # the network sees no sequence here
                        ax.axvspan(side[0] - 0.5, side[1] - 0.5, color="#f5f5f5", lw=0, zorder=-2)
                if peak is not None:
                    mark_span(ax, first + peak[0], first + peak[1], peak_label)
                if motif:
                    mark_motif(ax, one.seq, motif, first=first)
                ax.set_title(one.title, loc="left", fontweight="bold")
                position_axis(ax, None)
            elif kind == "heat":
                _heat_row(figure, ax, one, (low, high))
            elif kind == "region":
                _region_row(ax, one, region_limits, peak, (low, high))
            elif one.landmark_map is not None and one.distances is not None:
                label = f"{unit} of the distance to a landmark"
                plot_landmarks(ax, one.landmark_map, one.distances, xlabel=label, xlim=landmark_limits)
        lowest = next(ax for ax, row in zip(axes[::-1], rows[::-1], strict=True) if row[0] != "landmarks")
        position_axis(lowest, place=place)
        for ax, row in zip(axes, rows, strict=True):
            if row[0] != "landmarks" and ax is not lowest:
                ax.tick_params(labelbottom=False)
        figure.align_ylabels()
    return figure


def _shown(maps: Sequence[SiteMap]) -> tuple[int, int]:
    """Return the positions that all panels of a picture show, half-open: what is known of bases and region types."""
    spans = []
    for one in maps:
        first, stop = known_span(one.seq, margin=2)
        spans.append((first - len(one.seq) // 2, stop - len(one.seq) // 2))
        if one.has_regions and one.region is not None:
            first, stop = known_span(one.region)
            spans.append((first - len(one.region) // 2, stop - len(one.region) // 2))
    return min(low for low, _ in spans), max(high for _, high in spans)


def _heat_row(figure: Figure, ax: Axes, one: SiteMap, zoom: tuple[int, int]) -> None:
    first = -(len(one.seq) // 2)
    image = plot_mutation_map(ax, one.seq_map, one.seq, first=first)
    ax.set_xlim(zoom[0] - 0.5, zoom[1] - 0.5)
    ax.set_ylabel("changed to")
    ax.legend(
        ax.lines[:1], ["base of the site"], frameon=False, loc="lower right", bbox_to_anchor=(1.0, 0.96), fontsize=5.5
    )
    # Inside, so that the bases stay below their letters.
    bar = figure.colorbar(image, cax=ax.inset_axes((1.01, 0.0, 0.012, 1.0)))
    bar.ax.tick_params(labelsize=5)
    bar.set_label("change", fontsize=6)
    bar.ax.spines["outline"].set_linewidth(0.4)
    position_axis(ax, None)


def _region_row(
    ax: Axes,
    one: SiteMap,
    limits: tuple[float, float] | None,
    peak: tuple[int, int] | None,
    shown: tuple[int, int],
) -> None:
    region, region_map = np.asarray(one.region), np.asarray(one.region_map)
    first = -(len(region) // 2)
    plot_region_map(ax, region_map, region, first=first, ylabel="region\ntypes", ylim=limits)
    ax.set_xlim(shown[0] - 0.5, shown[1] - 0.5)
    if peak is not None:
        shift = -(len(one.seq) // 2)
        mark_span(ax, shift + peak[0], shift + peak[1])
    position_axis(ax, None)


def peak_span(start: int, end: int, strand: str, length: int) -> tuple[int, int]:
    """Return where an interval lies in its own window: indices (start, stop) in RNA sense, beyond it if longer.

    Parameters
    ----------
    start, end : int
        The interval, 0-based, half-open.
    strand : str
        ``"+"`` or ``"-"``.
    length : int
        Window length.
    """
    from ripe_lib.genome.windows import window_start

    offset = int(start - window_start(start, end, length))
    stop = offset + int(end - start)
    if strand == "-":
        offset, stop = length - stop, length - offset
    return offset, stop


def middle_of(contig: str, start: int, end: int, strand: str) -> Place:
    """Return where the middle of an interval's window lies: index L // 2 in RNA sense, for every even length L.

    Parameters
    ----------
    contig : str
    start, end : int
        The interval, 0-based, half-open.
    strand : str
        ``"+"`` or ``"-"``.
    """
    from ripe_lib.genome.windows import window_start

    first_of_two = int(window_start(start, end, 2))
    return Place(contig, first_of_two + (1 if strand == "-" else 2), strand)


def mutant_figure(
    maps: Sequence[SiteMap],
    *,
    title: str = "",
    motif: str | None = None,
    unit: str = "attribution",
    zoom: tuple[int, int] | None = None,
    width_mm: float = DOUBLE,
) -> Figure:
    """Draw wild type and mutants one below the other on one scale, the changed bases shaded (paper, Fig. 6).

    Parameters
    ----------
    maps : sequence of SiteMap
        The first is the wild type; windows of equal length, aligned.
    title, motif, unit, zoom, width_mm
        As :func:`site_figure`.

    Raises
    ------
    InputError
        If there are fewer than two maps or their windows differ in length.
    """
    if len(maps) < 2 or any(len(m.seq) != len(maps[0].seq) for m in maps):
        raise InputError("mutant picture: expected a wild type and at least one mutant in windows of equal length.")
    wild = np.asarray(maps[0].seq)
    start, stop = zoom or known_span(wild, margin=1)
    heights = [m.letters for m in maps]
    limits = value_limits(heights, headroom=_NAME_ROOM if motif else 0.0)
    first = -(len(wild) // 2)
    with style():
        figure = new_figure(width_mm, (_LOGO_MM + 3.5) * len(maps) + _ROOM_MM)
        axes = figure.subplots(len(maps), 1, squeeze=False, sharex=True)[:, 0]
        if title:
            put_title(figure, title)
        for ax, one, height in zip(axes, maps, heights, strict=True):
            plot_logo(ax, height, first=first, ylabel=unit, ylim=limits)
            changed = np.flatnonzero((np.asarray(one.seq) != wild).any(axis=1))
            mark_positions(ax, (first + changed).tolist(), color="#b9a2e8")
            _name_changes(ax, one, wild, changed, first)
            if motif:
                mark_motif(ax, one.seq, motif, first=first)
            ax.set_title(one.title, loc="left", fontweight="bold", pad=13 if len(changed) else None)
            ax.set_xlim(first + start - 0.5, first + stop - 0.5)
        position_axis(axes[-1])
    return figure


def _name_changes(ax: Axes, one: SiteMap, wild: NDArray[Any], changed: NDArray[np.int64], first: int) -> None:
    """Write the wild type's base, an arrow's head below it, over each changed base."""
    letters = "ACGU"
    for position in changed.tolist():
        before = letters[int(wild[position].argmax())] if wild[position].max() > 0.99 else "N"
        ax.annotate(
            f"{before}\n▾",
            (first + position, 1.0),
            xycoords=ax.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=5,
            linespacing=0.85,
            color="#5b3fa0",
            annotation_clip=True,
        )


def region_profile_figure(
    profiles: Mapping[str, NDArray[Any]],
    *,
    counts: Mapping[str, int] | None = None,
    title: str = "",
    columns: int = 4,
    smooth: int = 11,
    width_mm: float = DOUBLE,
) -> Figure:
    """Draw the mean region-type attribution of several tasks along the window (paper, Fig. 4B), one panel each.

    Parameters
    ----------
    profiles : dict
        Task -> array (R, 4): mean over its sites of ``Attributions.region`` masked by :func:`present_types`.
    counts : dict, optional
        Task -> number of sites, shown with the name.
    title : str
    columns : int
        Panels per row.
    smooth : int
        Width in nt of a moving average (max-pooling makes single positions of the region map arbitrary); 1 for none.
    width_mm : float
    """
    if not profiles:
        raise InputError("region profile: expected at least one task, got none.")
    columns = min(columns, len(profiles))
    n_rows = -(-len(profiles) // columns)
    occurs = np.any([np.any(profile, axis=0) for profile in profiles.values()], axis=0)
    shown = [(channel, name) for channel, name in enumerate(REGION_TYPES) if occurs[channel]]
    with style():
        figure = new_figure(width_mm, 27.0 * n_rows + 16)
        axes = figure.subplots(n_rows, columns, squeeze=False, sharex=True).ravel()
        if title:
            put_title(figure, title)
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


def region_summary_figure(
    means: NDArray[Any], tasks: Sequence[str], *, title: str = "", width_mm: float = COLUMN_WIDTHS["middle"]
) -> Figure:
    """Draw a heat map of tasks against region types: mean summed attribution per site.

    Parameters
    ----------
    means : array (K, 4)
        NaN where a task has no site.
    tasks : sequence of str
        K names.
    title : str
    width_mm : float
    """
    matrix = np.ma.masked_invalid(np.asarray(means, dtype=float))
    limit = float(np.abs(matrix).max()) if matrix.count() else 1.0
    with style():
        figure = new_figure(width_mm, 4.2 * len(tasks) + 22)
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
        if title:
            ax.set_title(title, loc="left")
    return figure


def present_types(region_map: NDArray[Any], region: NDArray[Any]) -> NDArray[np.float32]:
    """Return (..., R, 4): each position's summed attribution in the channel of the type that is there, 0 elsewhere.

    Positions without region information get 0 everywhere.
    """
    return (region_map.sum(axis=-1, keepdims=True) * (region > 0.99)).astype(np.float32)
