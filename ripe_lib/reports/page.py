"""Reports: one self-contained HTML page with text, sortable and filterable tables, and pictures.

Style, script and pictures are inside, and a content security policy forbids everything else. Without JavaScript all
rows are shown and only sorting and filtering are missing. The same content gives the same bytes.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np

from ripe_lib.errors import InputError
from ripe_lib.output.atomic import atomic_file
from ripe_lib.reports.figures import figure_bytes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ripe_lib.reports.zoom import Zoom

MOST_ROWS = 20_000  # of a table
_MIME = {"png": "image/png", "svg": "image/svg+xml"}


class Report:
    """A page that grows from top to bottom; ``subtitle`` is one line below the title."""

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = title
        self.subtitle = subtitle
        self._blocks: list[tuple[str, dict[str, Any]]] = []  # kind and content, for the template
        self._headings: list[tuple[str, str]] = []
        self._anchors: set[str] = set()
        self._n_figures = 0
        self._n_tables = 0
        self._zooms = False

    def _anchor(self, wanted: str) -> str:
        base = re.sub(r"[^A-Za-z0-9_-]+", "-", wanted).strip("-") or "part"
        anchor, number = base, 2
        while anchor in self._anchors:
            anchor, number = f"{base}-{number}", number + 1
        self._anchors.add(anchor)
        return anchor

    def add_heading(self, text: str) -> None:
        """Start a section; it appears in the contents."""
        anchor = self._anchor(text)
        self._headings.append((anchor, text))
        self._blocks.append(("heading", {"anchor": anchor, "text": text}))

    def add_text(self, text: str) -> None:
        """Add paragraphs; a blank line starts a new one, ``backquoted`` words are set as code. No HTML."""
        for paragraph in re.split(r"\n\s*\n", text.strip()):
            self._blocks.append(("text", {"parts": re.split(r"`([^`]+)`", paragraph)}))  # every other one is code

    def add_table(
        self,
        table: pd.DataFrame,
        *,
        caption: str = "",
        filterable: bool = True,
        links: Mapping[str, Sequence[str | None]] | None = None,
        digits: int = 4,
        page_rows: int = 50,
    ) -> None:
        """Add a table, sorted by a click on a column's name; rows after the first :data:`MOST_ROWS` are left out.

        Parameters
        ----------
        table : DataFrame
            The index is not shown.
        caption : str
            Text above it.
        filterable : bool
            One filter field per column (text, or ``>0.5``, ``<=3``, ``=QKI``).
        links : dict, optional
            Column -> for each row the anchor of a figure that the cell links to, or ``None``.
        digits : int
            Significant digits shown of floats; sorting uses the full values.
        page_rows : int
            Rows shown at a time.
        """
        self._n_tables += 1
        links = dict(links or {})
        for column, anchors in links.items():
            if column not in table.columns or len(anchors) != len(table):
                raise InputError(
                    f"report table: links for column {column!r} must be one per row of an existing column."
                )
        shown = table.iloc[:MOST_ROWS]
        numeric = [kind.kind in "iuf" for kind in shown.dtypes]
        cells = []
        for (name, column), is_number in zip(shown.items(), numeric, strict=True):
            # Whole numbers that may be missing are pandas' own NA, which is no float.
            values = column.astype(object).where(column.notna(), None).tolist()
            anchors = list(links.get(name, ())) or [None] * len(values)
            cells.append([_cell(value, is_number, digits, to) for value, to in zip(values, anchors, strict=False)])
        notes = [f"{len(table):,} row{'' if len(table) == 1 else 's'}"]
        if len(shown) < len(table):
            notes.append(f"the first {len(shown):,} are shown")
        block = {
            "number": self._n_tables,
            "caption": caption,
            "notes": "; ".join(notes),
            "page_rows": page_rows,
            "columns": list(zip(map(str, shown.columns), numeric, strict=True)),
            "filterable": filterable,
            "rows": list(zip(*cells, strict=True)),
        }
        self._blocks.append(("table", block))

    def add_figure(
        self,
        figure: Figure,
        caption: str = "",
        *,
        format: str = "svg",
        dpi: int = 150,
        anchor: str | None = None,
        zoom: Zoom | None = None,
    ) -> str:
        """Add a picture; returns its anchor for links.

        Parameters
        ----------
        figure : matplotlib Figure
            Drawn now; later changes do not show.
        caption : str
            Text below it, also its text for screen readers.
        format : str
            ``"svg"`` (sharp at any size) or ``"png"`` (smaller for crowded pictures).
        dpi : int
            Of a PNG.
        anchor : str, optional
            Wished anchor.
        zoom : Zoom, optional
            The same to zoom in; the picture is then for readers without JavaScript and for paper, folded away.
        """
        if format not in _MIME:
            raise InputError(f"report figure: expected format 'svg' or 'png', got {format!r}.")
        self._n_figures += 1
        anchor = self._anchor(anchor or f"figure-{self._n_figures}")
        self._zooms |= zoom is not None
        block = {
            "anchor": anchor,
            "number": self._n_figures,
            "caption": caption,
            "width": round(figure.get_figwidth() * 144),  # print size times 1.5: 7-point letters are small on a screen
            "mime": _MIME[format],
            "data": base64.b64encode(figure_bytes(figure, format, dpi=dpi)).decode("ascii"),
            "zoom": None if zoom is None else zoom.to_json(),
        }
        self._blocks.append(("figure", block))
        return anchor

    def to_html(self) -> str:
        """Return the page."""
        assets = resources.files("ripe_lib.reports") / "assets"
        zooming = ("uplot.min", "zoom") if self._zooms else ()
        css, script = (
            "".join((assets / f"{name}.{kind}").read_text(encoding="utf-8") for name in names)
            for kind, names in (("css", (*zooming[:1], "report")), ("js", ("report", *zooming)))
        )
        environment = jinja2.Environment(
            autoescape=True, trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
        )
        template = environment.from_string((assets / "report.html.jinja").read_text(encoding="utf-8"))
        page = {"title": self.title, "subtitle": self.subtitle, "headings": self._headings, "blocks": self._blocks}
        return template.render(**page, css=css, script=script)

    def write(self, path: str | Path) -> Path:
        """Write the page (complete or not at all) and return its path."""
        path = Path(path)
        with atomic_file(path) as temporary:
            temporary.write_bytes(self.to_html().encode("utf-8", "surrogateescape"))  # names arrive as they came
        return path


def _cell(value: Any, is_number: bool, digits: int, anchor: str | None) -> tuple[str, str | None, str | None]:
    """Return what a cell shows, what a number is sorted by, and where it links to."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "", "" if is_number else None, None
    text = f"{value:.{digits}g}" if isinstance(value, float | np.floating) else str(value)
    return text, repr(float(value)) if is_number else None, anchor
