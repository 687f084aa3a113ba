"""Pictures and one page from a file of attribution maps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ripe_lib.attribution.maps import GapCount
from ripe_lib.attribution.store import AttributionFile
from ripe_lib.output.atomic import atomic_files
from ripe_lib.output.console import steps
from ripe_lib.reports.figures import save_figure
from ripe_lib.reports.page import Report
from ripe_lib.reports.site_figures import SiteMap, middle_of, peak_span, site_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Method -> its name, and what its values are.
METHODS = {
    "ig": ("integrated gradients", "attribution"),
    "saliency": ("saliency (absolute gradient)", "|gradient|"),
    "gradxinput": ("gradient x input", "gradient x input"),
    "deeplift": ("DeepLIFT", "contribution"),
    "ism": ("in-silico mutagenesis", "importance"),
}
MAX_ROWS = 5000  # of a page's table
_TASKS_PER_PICTURE = 4
_BLOCK = 65_536


def best_sites(file: AttributionFile, task: str, n: int) -> list[int]:
    """Return the rows of the ``n`` highest scores of a task, best first; sites of N only have no letter to show.

    Parameters as :func:`write_pictures`.
    """
    column = file.all_tasks.index(task)
    best: list[tuple[float, int]] = []
    for start in range(0, len(file), _BLOCK):
        scores = file.scores(slice(start, start + _BLOCK))[:, column]
        above = np.flatnonzero((scores > 0) & file.has_bases(slice(start, start + _BLOCK)))
        best += [(-float(scores[row]), start + int(row)) for row in above]
        best = sorted(best)[:n]
    return [row for _, row in best]


def chosen_sites(file: AttributionFile, top: int) -> list[int]:
    """Return the rows that are drawn: the ``top`` best of every explained task, best first, none twice."""
    ranked = zip_longest(*(best_sites(file, task, top) for task in file.tasks))
    return list(dict.fromkeys(row for rows in ranked for row in rows if row is not None))


def site_label(site: pd.Series, *, is_genomic: bool) -> str:
    """Return e.g. ``chr1:1,001-1,050 (-) name``, positions 1-based inclusive as in genome browsers."""
    name = str(site["name"]).encode("utf-8", "replace").decode()  # a picture can draw nothing but text
    if not is_genomic:
        return name
    label = f"{site['chrom']}:{int(site['start']) + 1:,}-{int(site['end']):,} ({site['strand']})"
    return label if name in ("", ".") else f"{label}  {name}"


def file_stem(label: str) -> str:
    """Return a label as a file name: letters, digits, ``_ . + -`` only."""
    plain = label.replace(",", "").replace("(-)", "minus").replace("(+)", "plus")
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", plain).strip("_")


def draw_site(
    maps: Sequence[SiteMap], site: pd.Series, *, is_genomic: bool, motif: str | None, peak: str | None
) -> tuple[Figure, str]:
    """Draw the maps of one site; returns its label too.

    Parameters
    ----------
    maps : sequence of SiteMap
        One or several tasks, by one method.
    site : Series
        ``chrom start end name strand``.
    is_genomic : bool
        Whether these are places in a genome.
    motif, peak
        As :func:`write_pictures`; without a label the interval is not marked.
    """
    span = place = None
    if is_genomic:
        start, end, strand = int(site["start"]), int(site["end"]), str(site["strand"])
        place = middle_of(str(site["chrom"]), start, end, strand)
        span = peak_span(start, end, strand, len(maps[0].seq)) if peak else None
    label, unit = site_label(site, is_genomic=is_genomic), METHODS[maps[0].method][1]
    figure = site_figure(maps, title=label, peak=span, peak_label=peak or "", motif=motif, place=place, unit=unit)
    return figure, label


def _drawn(file: AttributionFile, row: int, motif: str | None, peak: str | None) -> tuple[Figure, str]:
    """Draw one site of a file for the tasks with the highest scores, in the order asked for; returns its label too."""
    windows, scores = file.windows([row]), file.scores([row])[0]
    by_task = {task: float(scores[file.all_tasks.index(task)]) for task in file.tasks}
    highest = sorted(file.tasks, key=lambda task: -by_task[task])[:_TASKS_PER_PICTURE]
    tasks = [task for task in file.tasks if task in highest]
    maps = [SiteMap.of(task, windows, file.maps(task, [row]), 0, by_task[task], file.method) for task in tasks]
    return draw_site(maps, windows.intervals.iloc[0], is_genomic=file.is_genomic, motif=motif, peak=peak)


def write_pictures(
    file: AttributionFile, folder: str | Path, *, formats: Sequence[str], top: int, motif: str | None, peak: str | None
) -> list[Path]:
    """Draw the best sites of every task, ``<rank>_<site>.<format>``, into a folder, which is made if it is not there.

    Ranks are in the order of :func:`chosen_sites`. What else is in the folder stays; the pictures appear together, when
    the last one is drawn.

    Parameters
    ----------
    file, folder, formats
    top : int
        Sites per task.
    motif, peak : str or None
        A motif in IUPAC letters to shade; the label of the interval's mark.
    """
    written: list[Path] = []
    rows = chosen_sites(file, top)
    with atomic_files(folder) as temporary:
        for rank, row in enumerate(steps(rows, "drawing"), start=1):
            figure, label = _drawn(file, row, motif, peak)
            written += save_figure(figure, temporary / f"{rank:03d}_{file_stem(label)}", formats)
    return [Path(folder) / path.name for path in written]


def count_gaps(file: AttributionFile) -> GapCount:
    """Return how well the maps of a file add up."""
    count = GapCount()
    for task in file.tasks:
        for start in range(0, len(file), 1024):
            count.add(file.maps(task, slice(start, start + 1024)))
    return count


def attribution_report(file: AttributionFile, *, top: int, motif: str | None, peak: str | None) -> Report:
    """Make the page of a file of maps: a table of its sites with the scores of all tasks, and pictures of the best.

    Parameters as :func:`write_pictures`; the table holds at most :data:`MAX_ROWS` sites, the best by explained tasks.
    """
    named = ", ".join(file.tasks) if len(file.tasks) <= 4 else f"{len(file.tasks)} tasks"
    report = Report(f"Attributions: {named}", f"model {file.model_name}")
    options = ", ".join(f"{key} {value}" for key, value in sorted(file.options.items()))
    report.add_text(f"{len(file):,} sites, explained by {METHODS[file.method][0]} ({options}).")
    report.add_text(
        "Letters above the line raise the model's output, letters below lower it; unknown bases (N) carry no letter. "
        "Position 0 is the middle of the window, 5' is on the left."
    )
    gaps = count_gaps(file)
    if gaps.n_maps:
        report.add_text(f"Completeness: {gaps.sentence()}.")
    rows = chosen_sites(file, top)
    anchors: dict[int, str] = {row: f"site-{rank}" for rank, row in enumerate(rows, start=1)}
    report.add_heading("Sites")
    table, order = _site_table(file)
    if len(table) < len(file):
        report.add_text(f"The {len(table):,} sites with the highest scores of the explained tasks, of {len(file):,}.")
    report.add_table(
        table,
        caption="Probabilities for all tasks of the model; gap: completeness gap of the map. "
        "Linked sites are drawn below.",
        links={"site": [anchors.get(row) for row in order]},
        digits=3,
    )
    report.add_heading("Maps")
    if not rows:
        report.add_text("No site has a score above 0.")
    for row in steps(rows, "drawing"):
        figure, label = _drawn(file, row, motif, peak)
        # As SVG a map takes half a megabyte: hundreds of bars and letters.
        report.add_figure(figure, f"{label}.", format="png", dpi=170, anchor=anchors[row])
    return report


def _site_table(file: AttributionFile) -> tuple[pd.DataFrame, list[int]]:
    """Return the table of the best sites (all of them if they fit) and their row numbers."""
    order = list(range(len(file))) if len(file) <= MAX_ROWS else sorted(chosen_sites(file, MAX_ROWS)[:MAX_ROWS])
    sites, scores, gaps = file.intervals(order), file.scores(order), file.gaps(order)
    best = scores[:, [file.all_tasks.index(task) for task in file.tasks]].max(axis=1) if len(order) else np.zeros(0)
    ranked = np.argsort(-best, kind="stable")
    columns: dict[str, Any] = {"site": [site_label(site, is_genomic=file.is_genomic) for _, site in sites.iterrows()]}
    for index, task in enumerate(file.tasks):
        columns[task] = scores[:, file.all_tasks.index(task)].astype(float)
        if np.isfinite(gaps).any():
            columns[f"gap {task}" if len(file.tasks) > 1 else "gap"] = gaps[:, index]
    for index, task in enumerate(file.all_tasks):
        columns.setdefault(task, scores[:, index].astype(float))
    return pd.DataFrame(columns).iloc[ranked].reset_index(drop=True), [order[i] for i in ranked]
