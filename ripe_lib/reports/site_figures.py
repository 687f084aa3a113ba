"""Ready-made pictures of attribution maps: a site for one or several tasks, wild type against mutants."""

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

_NAME_ROOM = 0.14
_PANEL_MM = {"logo": 26.0, "heat": 15.0, "region": 17.0, "landmarks": 27.0}
_ROOM_MM = 13.0


@dataclass(frozen=True)
class SiteMap:
    """One window and its map for one task; region types and landmarks are drawn where any is known."""

    label: str  # shown above it, e.g. the task
    seq: NDArray[Any]  # (L, 4), one-hot
    seq_map: NDArray[Any]  # (L, 4); the changes by in-silico mutagenesis are shown as a heat map too
    region: Any = None  # (R, 4), one-hot
    region_map: Any = None  # (R, 4)
    score: float | None = None  # the model's probability, shown with the label
    method: str = "ig"  # as in ``ripe attribute --method``
    landmark_map: Any = None  # (8,), summed over their basis
    distances: Any = None  # (8,) in nt, NaN = unknown

    @classmethod
    def of(cls, task: str, windows: Windows, maps: Attributions, row: int, score: float, method: str) -> SiteMap:
        """Take one of many windows and its map, of one task.

        Parameters
        ----------
        task, windows, maps, row, score, method
            ``task`` is the label.
        """
        region, region_map, landmarks, landmark_map = (
            None if one is None else one[row]
            for one in (windows.region, maps.region, windows.landmarks, maps.landmarks)
        )
        distances = None if landmarks is None else decode_landmarks(landmarks)
        along = None if landmark_map is None else landmark_map.sum(axis=-1)
        return cls(task, windows.seq[row], maps.seq[row], region, region_map, score, method, along, distances)

    @property
    def panels(self) -> list[str]:
        """What is drawn of it, from above: keys of ``_PANEL_MM``."""
        has_regions = self.region_map is not None and self.region is not None
        has_landmarks = self.landmark_map is not None and self.distances is not None
        there = {
            "heat": self.method == "ism",
            "region": has_regions and (self.region > 0.99).any(),
            "landmarks": has_landmarks and not np.isnan(self.distances).all(),
        }
        return ["logo", *(kind for kind, is_there in there.items() if is_there)]

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
    width_mm = COLUMN_WIDTHS["double"] * float(np.clip((high - low) / bases, 1, 4 / 3))
    rows = [(one, kind) for one in maps for kind in one.panels]
    region_limits = drawing.value_limits([np.sum(one.region_map, axis=1) for one, kind in rows if kind == "region"])
    landmark_limits = drawing.value_limits([one.landmark_map for one, kind in rows if kind == "landmarks"], air=0)
    # Room for the motif's name is a share of the axis, so of what all panels together span.
    limits = drawing.value_limits([one.letters for one in maps], headroom=_NAME_ROOM if motif else 0.0)
    heights_mm = [_PANEL_MM[kind] for _, kind in rows]
    with style():
        figure = new_figure(width_mm, sum(heights_mm) + _ROOM_MM + 3.5 * len(maps))
        axes = figure.subplots(len(rows), 1, squeeze=False, height_ratios=heights_mm)[:, 0]
        if title:
            put_title(figure, title)
        for ax, (one, kind) in zip(axes, rows, strict=True):
            if kind == "landmarks":
                drawing.plot_landmarks(ax, one.landmark_map, one.distances, xlim=landmark_limits)
                ax.set_xlabel(f"{unit} of the distance to a landmark")
                continue
            if kind == "logo":
                drawing.plot_logo(ax, one.letters, first=first, ylabel=unit, ylim=limits)
                ax.set_title(one.title, loc="left", fontweight="bold")
                for left, right in ((low, first), (first + length, high)):
                    if right > left:  # the network sees no sequence here
                        ax.axvspan(left - 0.5, right - 0.5, color="#f5f5f5", lw=0, zorder=-2)
            elif kind == "heat":
                _heat_row(figure, ax, one, first)
            else:
                drawing.plot_region_map(ax, one.region_map, one.region, ylim=region_limits)
            ax.set_xlim(low - 0.5, high - 0.5)
            if peak is not None and kind != "heat":
                drawing.mark_span(ax, first + peak[0], first + peak[1], peak_label if kind == "logo" else "")
            if motif and kind == "logo":
                drawing.mark_motif(ax, one.seq, motif, first=first)
            drawing.position_axis(ax, "")
            ax.tick_params(labelbottom=False)
        lowest = next(ax for ax, (_, kind) in zip(axes[::-1], rows[::-1], strict=True) if kind != "landmarks")
        drawing.position_axis(lowest, place=place)
        lowest.tick_params(labelbottom=True)
        figure.align_ylabels()
    return figure


def _shown(maps: Sequence[SiteMap]) -> tuple[int, int]:
    """Return the positions that all panels of a picture show, half-open: what is known of bases and region types."""
    spans = []
    for one in maps:
        spans.append(np.subtract(drawing.known_span(one.seq, margin=2), len(one.seq) // 2))
        if "region" in one.panels:
            spans.append(np.subtract(drawing.known_span(one.region), len(one.region) // 2))
    return int(np.min(spans)), int(np.max(spans))


def _heat_row(figure: Figure, ax: Axes, one: SiteMap, first: int) -> None:
    image = drawing.plot_mutation_map(ax, one.seq_map, one.seq, first=first)
    ax.set_ylabel("changed to")
    look: dict[str, Any] = {"frameon": False, "bbox_to_anchor": (1.0, 0.96), "fontsize": 5.5}
    ax.legend(ax.lines[:1], ["base of the site"], loc="lower right", **look)
    # Inside, so that the bases stay below their letters.
    bar = figure.colorbar(image, cax=ax.inset_axes((1.01, 0.0, 0.012, 1.0)))
    bar.ax.tick_params(labelsize=5)
    bar.set_label("change", fontsize=6)
    bar.ax.spines["outline"].set_linewidth(0.4)


def peak_span(start: int, end: int, strand: str, length: int) -> tuple[int, int]:
    """Return where an interval lies in its own window: indices (start, stop) in RNA sense, beyond it if longer.

    Parameters
    ----------
    start, end, strand
        The interval, 0-based, half-open.
    length : int
        Of the window.
    """
    offset = int(start - window_start(start, end, length))
    stop = offset + int(end - start)
    return (length - stop, length - offset) if strand == "-" else (offset, stop)


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
    limits = drawing.value_limits([one.letters for one in maps])
    first = -(len(wild) // 2)
    with style():
        figure = new_figure(height_mm=(_PANEL_MM["logo"] + 3.5) * len(maps) + _ROOM_MM)
        axes = figure.subplots(len(maps), 1, squeeze=False, sharex=True)[:, 0]
        if title:
            put_title(figure, title)
        for ax, one in zip(axes, maps, strict=True):
            drawing.plot_logo(ax, one.letters, first=first, ylabel="attribution", ylim=limits)
            changed = np.flatnonzero((np.asarray(one.seq) != wild).any(axis=1))
            drawing.mark_positions(ax, (first + changed).tolist(), color=drawing.CHANGE_COLOR)
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
