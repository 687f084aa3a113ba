"""Reports: one self-contained HTML page with text, sortable and filterable tables, and pictures.

The page needs no server and no network: style, script and pictures are inside, and a content security policy forbids
everything else. Without JavaScript all rows are shown and only sorting and filtering are missing. The same content
gives the same bytes.
"""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ripe_lib.errors import InputError
from ripe_lib.output.atomic import atomic_file
from ripe_lib.reports.figures import figure_bytes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ripe_lib.reports.zoom import Zoom

_MIME = {"png": "image/png", "svg": "image/svg+xml"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


class Report:
    """A page that grows from top to bottom.

    Parameters
    ----------
    title : str
        Title of the page.
    subtitle : str
        One line below it.

    Examples
    --------
    >>> import pandas as pd
    >>> report = Report("Sites of QKI")
    >>> report.add_text("Ten sites with the highest scores.")
    >>> report.add_table(pd.DataFrame({"site": ["a", "b"], "score": [0.9, 0.8]}))
    >>> report.write("sites.html")  # doctest: +SKIP
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = title
        self.subtitle = subtitle
        self._blocks: list[str] = []
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

    def add_heading(self, text: str) -> str:
        """Start a section (it appears in the contents); returns its anchor."""
        anchor = self._anchor(text)
        self._headings.append((anchor, text))
        self._blocks.append(f'<h2 id="{anchor}">{html.escape(text)}</h2>')
        return anchor

    def add_text(self, text: str) -> None:
        """Add paragraphs; a blank line starts a new one, ``backquoted`` words are set as code. No HTML."""
        for paragraph in re.split(r"\n\s*\n", text.strip()):
            escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(paragraph))
            self._blocks.append(f"<p>{escaped}</p>")

    def add_table(
        self,
        table: pd.DataFrame,
        *,
        caption: str = "",
        sortable: bool = True,
        filterable: bool = True,
        links: Mapping[str, Sequence[str | None]] | None = None,
        digits: int = 4,
        page_rows: int = 50,
        max_rows: int = 20_000,
    ) -> None:
        """Add a table.

        Parameters
        ----------
        table : DataFrame
            The index is not shown.
        caption : str
            Text above it.
        sortable, filterable : bool
            Click on a column's name to sort; one filter field per column (text, or ``>0.5``, ``<=3``, ``=QKI``).
        links : dict, optional
            Column -> one anchor per row (from :meth:`add_figure` or :meth:`add_heading`) or ``None``; the cell
            links there.
        digits : int
            Significant digits shown of floats; sorting uses the full values.
        page_rows : int
            Rows shown at a time.
        max_rows : int
            More rows than these are left out, and the page says so.

        Raises
        ------
        InputError
            If ``links`` names no column or has not one entry per row.
        """
        self._n_tables += 1
        links = dict(links or {})
        for column, anchors in links.items():
            if column not in table.columns or len(anchors) != len(table):
                raise InputError(
                    f"report table: links for column {column!r} must be one per row of an existing column."
                )
        shown = table.iloc[:max_rows]
        columns = [shown.iloc[:, number] for number in range(shown.shape[1])]
        numeric = [column.dtype.kind in "iuf" for column in columns]
        head = "".join(
            f'<th scope="col" class="{"num" if is_number else "text"}">'
            + (f'<button type="button">{html.escape(str(c))}</button>' if sortable else html.escape(str(c)))
            + "</th>"
            for c, is_number in zip(shown.columns, numeric, strict=True)
        )
        if filterable:
            fields = "".join(
                f'<td><input type="search" placeholder="{"e.g. &gt;0.5" if is_number else "filter"}" '
                f'aria-label="filter {html.escape(str(c), quote=True)}"></td>'
                for c, is_number in zip(shown.columns, numeric, strict=True)
            )
            head += f'</tr><tr class="filters">{fields}'
        # Whole numbers that may be missing are pandas' own NA, which is no float.
        values_by_column = [column.astype(object).where(column.notna(), None).tolist() for column in columns]
        link_columns = [links.get(c) for c in shown.columns]
        rows = []
        for number in range(len(shown)):
            cells = [
                _cell(values[number], is_number, digits, anchors[number] if anchors else None)
                for values, is_number, anchors in zip(values_by_column, numeric, link_columns, strict=True)
            ]
            rows.append(f"<tr>{''.join(cells)}</tr>")
        notes = [f"{len(table):,} row{'' if len(table) == 1 else 's'}"]
        if len(shown) < len(table):
            notes.append(f"the first {len(shown):,} are shown")
        name = f"Table {self._n_tables}. " if caption else ""
        self._blocks.append(
            f'<figure class="table"><figcaption>{f"<b>{name}</b>" if name else ""}{html.escape(caption)} '
            f'<span class="count">{"; ".join(notes)}</span></figcaption>'
            f'<div class="scroll"><table data-page="{page_rows}"><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div></figure>"
        )

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
            Resolution of a PNG.
        anchor : str, optional
            Wished anchor.
        zoom : Zoom, optional
            The same to zoom in; the picture is then for readers without JavaScript and for paper, folded away.
        """
        if format not in _MIME:
            raise InputError(f"report figure: expected format 'svg' or 'png', got {format!r}.")
        self._n_figures += 1
        anchor = self._anchor(anchor or f"figure-{self._n_figures}")
        data = base64.b64encode(figure_bytes(figure, format, dpi=dpi)).decode("ascii")
        width = round(figure.get_figwidth() * 144)  # print size times 1.5: 7-point letters are small on a screen
        picture = (
            f'<img style="width:{width}px" alt="{html.escape(caption, quote=True)}" '
            f'src="data:{_MIME[format]};base64,{data}">'
        )
        if zoom is not None:
            self._zooms = True
            panels = f'<div class="zoom"><script type="application/json">{zoom.to_json()}</script></div>'
            picture = f"{panels}<details open><summary>as a picture</summary>{picture}</details>"
        self._blocks.append(
            f'<figure id="{anchor}">{picture}'
            f"<figcaption><b>Figure {self._n_figures}.</b> {html.escape(caption)}</figcaption></figure>"
        )
        return anchor

    def to_html(self) -> str:
        """Return the page."""
        assets = resources.files("ripe_lib.reports") / "assets"
        zooming = ("uplot.min", "zoom") if self._zooms else ()
        css, script = (
            "".join((assets / f"{name}.{kind}").read_text(encoding="utf-8") for name in names)
            for kind, names in (("css", (*zooming[:1], "report")), ("js", ("report", *zooming)))
        )
        contents = "".join(f'<li><a href="#{a}">{html.escape(t)}</a></li>' for a, t in self._headings)
        subtitle = f'<p class="subtitle">{html.escape(self.subtitle)}</p>' if self.subtitle else ""
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(self.title)}</title>\n<style>\n{css}</style></head>\n<body><main>\n"
            f"<h1>{html.escape(self.title)}</h1>{subtitle}\n"
            + (f'<nav aria-label="contents"><ul>{contents}</ul></nav>\n' if len(self._headings) > 1 else "")
            + "\n".join(self._blocks)
            + f"\n</main><script>\n{script}</script></body></html>\n"
        )

    def write(self, path: str | Path) -> Path:
        """Write the page (complete or not at all) and return its path.

        Raises
        ------
        OutputError
            If the folder is missing or not writable.
        """
        path = Path(path)
        with atomic_file(path) as temporary:
            temporary.write_bytes(self.to_html().encode("utf-8", "surrogateescape"))  # names arrive as they came
        return path


def _cell(value: Any, is_number: bool, digits: int, anchor: str | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return '<td class="num" data-v=""></td>' if is_number else "<td></td>"
    text = f"{value:.{digits}g}" if isinstance(value, float | np.floating) else str(value)
    inner = html.escape(text)
    if anchor:
        inner = f'<a href="#{html.escape(anchor, quote=True)}">{inner}</a>'
    if is_number:
        return f'<td class="num" data-v="{float(value)!r}">{inner}</td>'
    return f"<td>{inner}</td>"
