"""Drawing of attribution maps, motifs and region types onto axes that the caller gives, and only there.

Positions on x axes are relative to the middle of a window: position 0 is index L // 2 of the sequence window and
R // 2 of the region window, which is the same base. RNA sense, 5' on the left.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ripe_lib.attribution.maps import known_bases
from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import REGION_TYPES, RNA_BASES, codes_from_one_hot, encode_sequence
from ripe_lib.genome.landmarks import LANDMARKS
from ripe_lib.motifs.meme import IUPAC

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LETTER_COLORS = {"A": "#2a9d3f", "C": "#2f6db5", "G": "#e8a01f", "U": "#cf3434"}
# Okabe-Ito: told apart by colour-blind readers and in grey.
REGION_COLORS = {"intron": "#8c8c8c", "CDS": "#0072b2", "3UTR": "#d55e00", "5UTR": "#009e73", "none": "#e3e3e3"}
REGION_LABELS = {"intron": "intron", "CDS": "CDS", "3UTR": "3′UTR", "5UTR": "5′UTR", "none": "no information"}
MARK_COLOR = "#f6d55c"
CHANGE_COLOR = "#b9a2e8"  # of bases that differ between alleles
_SPAN_COLOR = "#444444"
_IUPAC = {letter: bases for bases, letter in IUPAC.items()}


def plot_logo(
    ax: Axes, heights: ArrayLike, *, first: int = 0, ylabel: str = "", ylim: tuple[float, float] | None = None
) -> None:
    """Draw every channel of heights (L, 4), A C G U, as letters; negative ones hang below the line, upside down.

    Parameters
    ----------
    ax, heights
    first : int
        Position of the first base on the x axis.
    ylabel : str
    ylim : (low, high), optional
        Default: the values with some air.
    """
    heights = _matrix(heights, "attributions")
    _draw_letters(ax, heights.astype(float), first)
    ax.axhline(0, color="black", linewidth=0.5, zorder=1)
    ax.set_xlim(first - 0.5, first + len(heights) - 0.5)
    ax.set_ylim(*(ylim or value_limits([heights.clip(min=0).sum(axis=1), heights.clip(max=0).sum(axis=1)])))
    ax.set_ylabel(ylabel)


@cache
def _glyph(letter: str) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return the outline of a letter: points in a box of width 0.92 around x = 0 and height 1, and path codes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    path = TextPath((0, 0), letter, size=100, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    box = path.get_extents()
    points = (path.vertices - (box.x0, box.y0)) / (box.width, box.height)
    return (points - (0.5, 0)) * (0.92, 1), path.codes


def _draw_letters(ax: Axes, heights: NDArray[np.float64], first: int) -> None:
    """Draw the letters of every column, the larger the farther from the line: one path per base."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    sizes = np.abs(heights)
    # Letters thinner than a fifth of a pixel show nothing.
    visible = sizes > sizes.max(initial=0) * 1e-3
    foot = np.zeros_like(heights)
    for side in (heights > 0, heights < 0):
        stacked = np.where(side & visible, sizes, 0)
        order = np.argsort(stacked, axis=1, kind="stable")
        ranked = np.take_along_axis(stacked, order, axis=1)
        below = np.empty_like(stacked)
        np.put_along_axis(below, order, np.cumsum(ranked, axis=1) - ranked, axis=1)
        foot = np.where(side, below, foot)
    for channel, base in enumerate(RNA_BASES):
        at = np.flatnonzero(visible[:, channel])
        if not len(at):
            continue
        outline, codes = _glyph(base)
        points = np.empty((len(at), *outline.shape))
        points[..., 0] = first + at[:, None] + outline[:, 0]
        rise = foot[at, channel, None] + sizes[at, channel, None] * outline[:, 1]
        points[..., 1] = np.sign(heights[at, channel, None]) * rise
        path = Path(points.reshape(-1, 2), np.tile(codes, len(at)))
        letters = PathPatch(path, facecolor=LETTER_COLORS[base], linewidth=0, label=f"_{base}")
        letters.set_in_layout(False)
        # Not add_patch, which solves for the extent of every curve: the limits are given.
        ax.add_artist(letters)


def plot_region_map(
    ax: Axes, region_map: ArrayLike, region: ArrayLike, *, ylim: tuple[float, float] | None = None
) -> None:
    """Draw the attribution of each position's region type as bars in the colour of the type; name those that occur.

    Parameters
    ----------
    ax : Axes
    region_map : array (R, 4)
        ``Attributions.region``; a position's bar is the sum over its channels (with the baseline 0.25 the types that
        are not there contribute too).
    region : array (R, 4)
        The one-hot window; it decides the colours. Also drawn as a strip below the bars.
    ylim : (low, high), optional
        As :func:`plot_logo`.
    """
    codes = codes_from_one_hot(np.asarray(_matrix(region, "region"), dtype=np.float32))
    values = _matrix(region_map, "region map").sum(axis=1)
    if len(values) != len(codes):
        raise InputError(f"region map: expected {len(codes)} positions as the region window, got {len(values)}.")
    names = [*REGION_TYPES, "none"]
    first = -(len(codes) // 2)
    edges = first - 0.5 + np.arange(len(values) + 1)
    for code, name in enumerate(names):
        here = codes == code
        if here.any():
            bars = np.where(here, values, np.nan)
            ax.stairs(bars, edges, fill=True, color=REGION_COLORS[name], linewidth=0, label=REGION_LABELS[name])
    low, high = ylim or value_limits([values])
    strip = 0.09 * (high - low)
    for start, stop, code in runs(codes):
        height = strip / (high - low + strip)
        ax.axvspan(first + start - 0.5, first + stop - 0.5, 0, height, color=REGION_COLORS[names[code]], lw=0)
    ax.axhline(0, color="black", linewidth=0.5)
    ax.set_xlim(first - 0.5, first + len(values) - 0.5)
    ax.set_ylim(low - strip, high)
    ax.set_ylabel("region\ntypes")
    sizes = {"handlelength": 0.8, "handleheight": 0.8, "columnspacing": 1.2, "borderpad": 0}
    ax.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=5, **sizes)


def plot_landmarks(ax: Axes, values: ArrayLike, distances: ArrayLike, *, xlim: tuple[float, float]) -> None:
    """Draw the attribution of the distance to each landmark as a bar, with the distance in words.

    Parameters
    ----------
    ax : Axes
    values : array (8,)
        ``Attributions.landmarks`` of a site, summed over the basis.
    distances : array (8,)
        In nt, positive where the landmark lies downstream; NaN = unknown.
    xlim : (float, float)
        Ends of the axis of values.
    """
    from matplotlib.ticker import MaxNLocator

    values, distances = np.asarray(values, dtype=float), np.asarray(distances, dtype=float)
    if values.shape != (len(LANDMARKS),) or distances.shape != values.shape:
        got = f"got shapes {values.shape} and {distances.shape}"
        raise InputError(f"landmarks: expected {len(LANDMARKS)} values and distances, {got}.")
    ax.barh(range(len(values)), values, color=["#4c78a8" if value >= 0 else "#c0504d" for value in values], height=0.75)
    # The words stand inside, left of the bars: beside the axes they would narrow the letters above.
    for row, (name, distance, value) in enumerate(zip(LANDMARKS, distances, values, strict=True)):
        label = f"{name}, {_distance_text(distance)}: {value:+.2g}"
        ax.text(0, row, label, transform=ax.get_yaxis_transform(), va="center", fontsize=5.5)
    low, high = xlim
    span = (high - low) or 1.0
    ax.set_xlim(low - 0.5 * span, high + 0.03 * span)
    ticks = np.asarray(MaxNLocator(nbins=5).tick_values(low, high))
    ax.set_xticks(ticks[(ticks >= low) & (ticks <= high)])
    ax.spines["bottom"].set_bounds(low, high)
    ax.spines["left"].set_visible(False)
    ax.set_yticks([])
    ax.set_ylim(len(values) - 0.5, -0.5)
    ax.axvline(0, color="black", linewidth=0.5)


def _distance_text(distance: float) -> str:
    if np.isnan(distance):
        return "unknown"
    if distance == 0:
        return "here"
    return f"{abs(int(distance)):,} nt {'downstream' if distance > 0 else 'upstream'}"


def plot_mutation_map(
    ax: Axes,
    changes: ArrayLike,
    seq: ArrayLike,
    *,
    first: int = 0,
    limit: float | None = None,
    deletions: ArrayLike | None = None,
) -> Any:
    """Draw the change by every substitution as a heat map (rows A C G U); return the image, for a colour bar.

    Parameters
    ----------
    ax : Axes
    changes : array (L, 4)
        Red where a base raises the score, blue where it lowers it; NaN is left blank.
    seq : array (L, 4)
        The one-hot window; dots mark its bases.
    first : int
        As :func:`plot_logo`.
    limit : float, optional
        Change of full colour; default: the largest.
    deletions : array (L,), optional
        The change by deleting each base, a fifth row.
    """
    matrix, window = _matrix(changes, "changes"), _matrix(seq, "seq")
    drawn = matrix if deletions is None else np.column_stack([matrix, deletions])
    limit = limit or float(np.abs(np.nan_to_num(drawn)).max(initial=0)) or 1.0
    left, right, bottom = first - 0.5, first + len(matrix) - 0.5, drawn.shape[1] - 0.5
    extent = (left, right, bottom, -0.5)
    colors: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    image = ax.imshow(np.ma.masked_invalid(drawn.T), aspect="auto", interpolation="nearest", extent=extent, **colors)
    position, base = np.nonzero(window > 0.99)
    ax.plot(position + first, base, "o", color="#404040", markersize=1.3, markeredgewidth=0)
    ax.set_yticks(range(drawn.shape[1]), [*RNA_BASES, *(["del"] if deletions is not None else [])])
    ax.tick_params(left=False)
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, -0.5)
    ax.spines[:].set_visible(False)
    return image


def mark_span(ax: Axes, start: float, stop: float, label: str = "") -> None:
    """Mark positions ``[start, stop)`` by a bar along the top, e.g. the CLIP peak; arrows where it goes on.

    Parameters
    ----------
    ax : Axes
    start, stop : float
        Positions on the x axis.
    label : str
        Above the bar.
    """
    transform = ax.get_xaxis_transform()
    low, high = ax.get_xlim()
    left, right = max(start - 0.5, low), min(stop - 0.5, high)
    if right <= left:
        return
    style: dict[str, Any] = {"transform": transform, "color": _SPAN_COLOR, "clip_on": False}
    ax.plot([left, right], [1.0, 1.0], lw=2.2, solid_capstyle="butt", **style)
    for end, goes_on, marker in ((left, start - 0.5 < low, "<"), (right, stop - 0.5 > high, ">")):
        if goes_on:
            ax.plot([end], [1.0], marker, markersize=4, **style)
    if label:
        words: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 6, "color": _SPAN_COLOR}
        above: dict[str, Any] = {"xycoords": transform, "xytext": (0, 2.5), "textcoords": "offset points"}
        ax.annotate(label, ((left + right) / 2, 1.0), annotation_clip=False, **above, **words)


def mark_positions(ax: Axes, positions: Iterable[float], *, width: float = 1, color: str = MARK_COLOR) -> None:
    """Shade ``width`` nt from every position of the x axis on, behind the letters.

    Parameters
    ----------
    ax, positions, width, color
    """
    for position in positions:
        ax.axvspan(position - 0.5, position + width - 0.5, color=color, alpha=0.45, lw=0, zorder=-1)


def mark_motif(ax: Axes, seq: ArrayLike, motif: str, *, first: int = 0) -> list[int]:
    """Shade and name every occurrence of an IUPAC motif such as ``ACUAAY``; returns the indices where it starts.

    Parameters
    ----------
    ax : Axes
    seq : str or array (L, 4)
        The window, as letters or one-hot.
    motif : str
    first : int
        Position of the first base on the x axis.
    """
    starts = find_motif(seq, motif)
    mark_positions(ax, [first + start for start in starts], width=len(motif))
    transform = ax.get_xaxis_transform()
    low, high = ax.get_xlim()
    style: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 5.5, "color": "#7a5c00"}
    last_end = -np.inf
    for start in starts:
        middle = first + start + (len(motif) - 1) / 2
        if low <= middle <= high and first + start >= last_end:
            ax.text(middle, 0.985, _rna(motif), transform=transform, **style)
            last_end = first + start + len(motif) * 1.2
    return starts


def _rna(text: str) -> str:
    return text.upper().replace("T", "U")


def find_motif(seq: ArrayLike, motif: str) -> list[int]:
    """Return the indices where an IUPAC motif starts in a one-hot window (L, 4) or in a text; N matches nothing."""
    pattern = _rna(motif)
    if not pattern or any(letter not in _IUPAC for letter in pattern):
        raise InputError(f"motif {motif!r}: expected IUPAC letters (A C G U R Y S W K M B D H V N).")
    codes = encode_sequence(seq) if isinstance(seq, str) else codes_from_one_hot(np.asarray(seq, dtype=np.float32))
    hits = np.ones(max(0, len(codes) - len(pattern) + 1), dtype=bool)
    for place, letter in enumerate(pattern):
        allowed = [RNA_BASES.index(base) for base in _IUPAC[letter]]
        hits &= np.isin(codes[place : place + len(hits)], allowed)
    return np.flatnonzero(hits).tolist()


def runs(codes: NDArray[np.uint8]) -> list[tuple[int, int, int]]:
    """Return ``(start, stop, code)`` of the stretches of equal codes."""
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    return [(start, stop, int(codes[start])) for start, stop in pairwise(edges) if stop > start]


def known_span(seq: ArrayLike, margin: int = 0) -> tuple[int, int]:
    """Return the first and one past the last known base of a window, widened by ``margin``; all of it if none is."""
    window = _matrix(seq, "seq")
    known = np.flatnonzero(known_bases(window))
    if not len(known):
        return 0, len(window)
    return max(0, int(known[0]) - margin), min(len(window), int(known[-1]) + 1 + margin)


def value_limits(values: Iterable[Any], *, air: float = 0.08, headroom: float = 0.0) -> tuple[float, float]:
    """Return axis limits that hold all values and 0, the same for panels that are to be compared.

    Parameters
    ----------
    values : iterable of arrays
    air, headroom : float
        Room beyond the values on each side, and more above, as shares of the span.
    """
    flat = np.concatenate([np.ravel(v) for v in values] + [np.zeros(1)])
    low, high = float(flat.min()), float(flat.max())
    span = (high - low) or 1.0
    return low - (air * span if low < 0 else 0), high + (air + headroom) * span


def _matrix(array: ArrayLike, name: str) -> NDArray[Any]:
    matrix = np.asarray(array)
    if matrix.ndim != 2 or matrix.shape[1] != 4:
        raise InputError(f"{name}: expected an array of shape (L, 4), got {matrix.shape}.")
    return matrix


class Place(NamedTuple):
    """Where position 0 of a picture lies: contig, position, strand (``.`` along an RNA)."""

    contig: str
    position: int
    strand: str

    def at(self, x: float) -> int:
        """Return the genomic position of a position of the picture."""
        return self.position + (-int(x) if self.strand == "-" else int(x))


def position_axis(
    ax: Axes, label: str = "position from the middle of the window (nt)", *, place: Place | None = None
) -> None:
    """Put ticks at round positions of the x axis.

    Parameters
    ----------
    ax, label
    place : Place, optional
        Where position 0 lies in the genome: its positions stand below the others.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(nbins=13, integer=True, steps=[1, 2, 2.5, 5, 10]))
    if place is not None:
        label += f", and on {place.contig}" + {"+": ", plus strand", "-": ", minus strand"}.get(place.strand, "")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}\n{place.at(x):,}"))
    ax.set_xlabel(label)
