"""Ready-made pictures of attribution maps: a site for one or several tasks, wild type against mutants.

Every function returns a new :class:`matplotlib.figure.Figure` of a printed size (mm); save it with
:func:`ripe_lib.reports.figures.save_figure` or put it into a :class:`ripe_lib.reports.page.Report`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.attribution.maps import ism_letters, letter_scores
from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import codes_from_one_hot, decode_sequence
from ripe_lib.genome.landmarks import decode_landmarks
from ripe_lib.genome.windows import window_start
from ripe_lib.reports import drawing
from ripe_lib.reports.figures import COLUMN_WIDTHS, new_figure, put_title, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ripe_lib.attribution.maps import Attributions
    from ripe_lib.genome.windows import Windows

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
        :func:`ripe_lib.attribution.maps.ism_letters` and the changes are shown as a heat map too.
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

    @classmethod
    def of(cls, task: str, windows: Windows, maps: Attributions, row: int, score: float, method: str) -> SiteMap:
        """Take one of many windows and its map.

        Parameters
        ----------
        task : str
            The label.
        windows, maps : Windows and Attributions
            Of one task.
        row : int
        score, method
            As the attributes.
        """
        region_map, landmark_map = (None if one is None else one[row] for one in (maps.region, maps.landmarks))
        region = None if windows.region is None or region_map is None else windows.region[row]
        distances = None if windows.landmarks is None else decode_landmarks(windows.landmarks[row])
        along = None if landmark_map is None else landmark_map.sum(axis=-1)
        return cls(task, windows.seq[row], maps.seq[row], region, region_map, score, method, along, distances)

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
    place: drawing.Place | None = None,
) -> Figure:
    """Draw the maps of one site for one or several tasks, one below the other on a common position axis.

    All tasks have one scale. What is known of the bases and two more on each side, and of the region types, is shown;
    the picture is two columns of print wide, up to a third more where region types are known beyond the bases: letters
    are to stay legible.

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
    place : Place, optional
        Of position 0 in the genome; its coordinates are shown too.
    """
    if not maps:
        raise InputError("site picture: expected at least one map, got none.")
    length = len(maps[0].seq)
    first = -(length // 2)
    low, high = _shown(maps)
    bases = np.diff(drawing.known_span(maps[0].seq, margin=2))[0]
    width_mm = DOUBLE * float(np.clip((high - low) / bases, 1, 4 / 3))
    heights = [m.letters for m in maps]
    regions = [m.region_map for m in maps if m.region_map is not None and m.has_regions]
    region_limits = drawing.value_limits([m.sum(axis=1) for m in regions]) if regions else None
    # Room for the motif's name is a share of the axis, so of what all panels together span.
    limits = drawing.value_limits(heights, headroom=_NAME_ROOM if motif else 0.0)
    landmarks = [m.landmark_map for m in maps if m.landmark_map is not None and m.has_landmarks]
    landmark_limits = drawing.value_limits(landmarks, air=0)
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
                drawing.plot_logo(ax, heights[number], first=first, ylabel=unit, ylim=limits)
                ax.set_xlim(low - 0.5, high - 0.5)
                for side in ((low, first), (first + length, high)):
                    if side[1] > side[0]:  # the network sees no sequence here
                        ax.axvspan(side[0] - 0.5, side[1] - 0.5, color="#f5f5f5", lw=0, zorder=-2)
                if peak is not None:
                    drawing.mark_span(ax, first + peak[0], first + peak[1], peak_label)
                if motif:
                    drawing.mark_motif(ax, one.seq, motif, first=first)
                ax.set_title(one.title, loc="left", fontweight="bold")
                drawing.position_axis(ax, None)
            elif kind == "heat":
                _heat_row(figure, ax, one, (low, high))
            elif kind == "region":
                region, region_map = np.asarray(one.region), np.asarray(one.region_map)
                options: dict[str, Any] = {"ylabel": "region\ntypes", "ylim": region_limits}
                drawing.plot_region_map(ax, region_map, region, first=-(len(region) // 2), **options)
                ax.set_xlim(low - 0.5, high - 0.5)
                if peak is not None:
                    drawing.mark_span(ax, first + peak[0], first + peak[1])
                drawing.position_axis(ax, None)
            elif one.landmark_map is not None and one.distances is not None:
                label = f"{unit} of the distance to a landmark"
                drawing.plot_landmarks(ax, one.landmark_map, one.distances, xlabel=label, xlim=landmark_limits)
        lowest = next(ax for ax, row in zip(axes[::-1], rows[::-1], strict=True) if row[0] != "landmarks")
        drawing.position_axis(lowest, place=place)
        for ax, row in zip(axes, rows, strict=True):
            if row[0] != "landmarks" and ax is not lowest:
                ax.tick_params(labelbottom=False)
        figure.align_ylabels()
    return figure


def _shown(maps: Sequence[SiteMap]) -> tuple[int, int]:
    """Return the positions that all panels of a picture show, half-open: what is known of bases and region types."""
    spans = []
    for one in maps:
        first, stop = drawing.known_span(one.seq, margin=2)
        spans.append((first - len(one.seq) // 2, stop - len(one.seq) // 2))
        if one.has_regions and one.region is not None:
            first, stop = drawing.known_span(one.region)
            spans.append((first - len(one.region) // 2, stop - len(one.region) // 2))
    return min(low for low, _ in spans), max(high for _, high in spans)


def _heat_row(figure: Figure, ax: Axes, one: SiteMap, zoom: tuple[int, int]) -> None:
    first = -(len(one.seq) // 2)
    image = drawing.plot_mutation_map(ax, one.seq_map, one.seq, first=first)
    ax.set_xlim(zoom[0] - 0.5, zoom[1] - 0.5)
    ax.set_ylabel("changed to")
    look: dict[str, Any] = {"frameon": False, "bbox_to_anchor": (1.0, 0.96), "fontsize": 5.5}
    ax.legend(ax.lines[:1], ["base of the site"], loc="lower right", **look)
    # Inside, so that the bases stay below their letters.
    bar = figure.colorbar(image, cax=ax.inset_axes((1.01, 0.0, 0.012, 1.0)))
    bar.ax.tick_params(labelsize=5)
    bar.set_label("change", fontsize=6)
    bar.ax.spines["outline"].set_linewidth(0.4)
    drawing.position_axis(ax, None)


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
    offset = int(start - window_start(start, end, length))
    stop = offset + int(end - start)
    if strand == "-":
        offset, stop = length - stop, length - offset
    return offset, stop


def middle_of(contig: str, start: int, end: int, strand: str) -> drawing.Place:
    """Return where the middle of an interval's window lies: index L // 2 in RNA sense, for every even length L.

    Parameters as :func:`peak_span`.
    """
    first_of_two = int(window_start(start, end, 2))
    return drawing.Place(contig, first_of_two + (1 if strand == "-" else 2), strand)


def mutant_figure(maps: Sequence[SiteMap], title: str = "") -> Figure:
    """Draw wild type and mutants one below the other on one scale, the changed bases shaded (paper, Fig. 6).

    Parameters
    ----------
    maps : sequence of SiteMap
        The first is the wild type; windows of equal length, aligned.
    title : str
    """
    if len(maps) < 2 or any(len(m.seq) != len(maps[0].seq) for m in maps):
        raise InputError("mutant picture: expected a wild type and at least one mutant in windows of equal length.")
    wild = np.asarray(maps[0].seq)
    start, stop = drawing.known_span(wild, margin=1)
    heights = [m.letters for m in maps]
    limits = drawing.value_limits(heights)
    first = -(len(wild) // 2)
    with style():
        figure = new_figure(DOUBLE, (_LOGO_MM + 3.5) * len(maps) + _ROOM_MM)
        axes = figure.subplots(len(maps), 1, squeeze=False, sharex=True)[:, 0]
        if title:
            put_title(figure, title)
        for ax, one, height in zip(axes, maps, heights, strict=True):
            drawing.plot_logo(ax, height, first=first, ylabel="attribution", ylim=limits)
            changed = np.flatnonzero((np.asarray(one.seq) != wild).any(axis=1))
            drawing.mark_positions(ax, (first + changed).tolist(), color="#b9a2e8")
            _name_changes(ax, wild, changed, first)
            ax.set_title(one.title, loc="left", fontweight="bold", pad=13 if len(changed) else None)
            ax.set_xlim(first + start - 0.5, first + stop - 0.5)
        drawing.position_axis(axes[-1])
    return figure


def _name_changes(ax: Axes, wild: NDArray[Any], changed: NDArray[np.int64], first: int) -> None:
    """Write the wild type's base, an arrow's head below it, over each changed base."""
    letters = decode_sequence(codes_from_one_hot(wild), rna=True)
    for position in changed.tolist():
        look: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 5, "linespacing": 0.85, "color": "#5b3fa0"}
        where = (first + position, 1.0)
        ax.annotate(f"{letters[position]}\n▾", where, xycoords=ax.get_xaxis_transform(), annotation_clip=True, **look)
