"""Making and saving matplotlib figures without ``pyplot``: drawn in threads and notebooks alike, nothing to close.

Saving is deterministic: the same figure gives the same bytes (no dates, seeded SVG ids).
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ripe_lib.errors import check_known
from ripe_lib.output.atomic import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a file of each format would say about its making: left out.
_METADATA = {"png": ["Software"], "svg": ["Date", "Creator"], "pdf": ["CreationDate", "Creator", "Producer"]}
FORMATS = tuple(_METADATA)
MM_PER_INCH = 25.4
# Widths that journals print (one column, one and a half, two columns), in mm.
COLUMN_WIDTHS = {"single": 85.0, "middle": 114.0, "double": 174.0}

_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same picture everywhere
    "axes.titlesize": 7.5,
    **dict.fromkeys(["font.size", "axes.labelsize"], 7),
    **dict.fromkeys(["xtick.labelsize", "ytick.labelsize", "legend.fontsize"], 6),
    **dict.fromkeys(["axes.linewidth", "xtick.major.width", "ytick.major.width"], 0.6),
    **dict.fromkeys(["xtick.major.size", "ytick.major.size"], 2.5),
    "lines.linewidth": 1.0,
    "patch.linewidth": 0.5,
    **dict.fromkeys(["axes.spines.top", "axes.spines.right"], False),
    "svg.hashsalt": "deepripe",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "text.parse_math": False,  # names may hold dollar signs
}


def style() -> Any:
    """Return a context manager that holds the project's drawing style while axes are made and drawn."""
    import matplotlib as mpl

    return mpl.rc_context(_STYLE)


def new_figure(width_mm: float = COLUMN_WIDTHS["double"], height_mm: float = 60.0) -> Figure:
    """Return an empty figure of a printed size; elements lay themselves out (constrained layout)."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH), layout="constrained")


def wrapped(text: str, width_mm: float, size: float) -> str:
    """Return a text broken into lines that fit; long names are broken too.

    Parameters
    ----------
    text : str
    width_mm, size : float
        ``size`` of the font in points.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=size)

    def fits(line: str) -> bool:
        return text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] <= width_mm / MM_PER_INCH * 72

    text = " ".join(text.split("\n"))
    lines, n = [text], len(text)
    while n > 8 and not all(map(fits, lines)):
        n = int(n * 0.95)
        lines = textwrap.wrap(text, n, replace_whitespace=False)
    return "\n".join(lines)


def put_title(figure: Figure, text: str) -> None:
    """Write a title at the top left of a figure, in as many lines as it needs."""
    width = float(figure.get_figwidth()) * MM_PER_INCH * 0.98
    figure.suptitle(wrapped(text, width, 8.5), fontsize=8.5, x=0.01, ha="left")


def checked_formats(formats: str | Iterable[str]) -> tuple[str, ...]:
    """Return picture formats, from a list or a text such as ``"png,svg"``."""
    parts = formats.split(",") if isinstance(formats, str) else list(formats)
    names = [part.strip().lower().lstrip(".") for part in parts if part.strip()]
    for name in names:
        check_known("picture format", name, FORMATS)
    return tuple(dict.fromkeys(names)) or ("png",)


def figure_bytes(figure: Figure, format: str = "png", *, dpi: int = 300) -> bytes:
    """Return a figure as the bytes of a file; the same figure gives the same bytes.

    Parameters
    ----------
    figure : Figure
    format : str
        One of :data:`FORMATS`.
    dpi : int
        Dots per inch of PNG.
    """
    from matplotlib.text import Text

    buffer = io.BytesIO()
    with style():
        for text in figure.findobj(Text):  # made outside the style
            text.set_parse_math(False)
        if figure.get_layout_engine() is not None:
            # Laying out twice moves elements a little; once and for all makes every saved copy the same.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
        figure.savefig(buffer, format=format, dpi=dpi, metadata=dict.fromkeys(_METADATA[format]))
    return buffer.getvalue()


def save_figure(figure: Figure, stem: str | Path, formats: str | Sequence[str] = ("png",)) -> list[Path]:
    """Write ``stem.png``, ``stem.svg``, ... and return the paths.

    Parameters
    ----------
    figure : Figure
    stem : path
        Without suffix.
    formats : str or sequence of str
        As :func:`checked_formats`.
    """
    stem = Path(stem)
    written = []
    for format in checked_formats(formats):
        path = stem.with_name(f"{stem.name}.{format}")
        with atomic_file(path) as temporary:
            temporary.write_bytes(figure_bytes(figure, format))
        written.append(path)
    return written
