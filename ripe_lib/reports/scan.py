"""Pictures and the page of a scan: one RNA or stretch with a track per RBP, and logos of its best sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.attribution.compute import explained_codes
from ripe_lib.genome.encoding import REGION_TYPES, Codes, one_hot
from ripe_lib.network.load import Model
from ripe_lib.output.atomic import check_filled_folder
from ripe_lib.output.console import steps
from ripe_lib.output.tracks import safe_name
from ripe_lib.reports.drawing import MARK_COLOR, REGION_COLORS, Place, plot_logo, position_axis, value_limits
from ripe_lib.reports.figures import new_figure, save_figure, style
from ripe_lib.reports.page import Report
from ripe_lib.reports.zoom import TRACK_COLOR, Zoom
from ripe_lib.scan.engine import Scanner
from ripe_lib.scan.run import ScanResult, scores_of_runs
from ripe_lib.scan.sources import Run, Source, peak_windows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST = 3_000  # nt drawn; of longer RNAs and genes the surroundings of the best site
AROUND = 400
MAX_TRACKS = 6
MAX_LOGOS = 4
MAX_ROWS = 5_000
LOGO_LETTERS = 50


@dataclass(frozen=True)
class View:
    """What one picture shows: ``[start, end)`` of one strand of a contig of the source, and the sites there."""

    contig: str
    strand: str
    start: int
    end: int
    sites: pd.DataFrame

    @property
    def title(self) -> str:
        """``RNA:start-end``, 0-based, with the strand; of a transcript also its gene and where that lies."""
        title = f"{self.contig}:{self.start:,}-{self.end:,} ({self.strand})"
        if "place" not in self.sites or not len(self.sites):
            return title
        best = self.sites.iloc[0]
        contig, strand = best["place"].rpartition(":")[0], best["place"].rpartition(" ")[2]
        return f"{best['gene']}, {title.rpartition(' ')[0]}, on {contig} {strand}"


def views(source: Source, sites: pd.DataFrame, max_views: int) -> list[View]:
    """Choose what to draw: around the best sites, each part of an RNA or gene once, best first.

    Parameters
    ----------
    source, max_views
    sites : DataFrame
        ``ScanResult.best_sites``: best first, coordinates of the source's contigs.
    """
    chosen: list[View] = []
    left = sites.reset_index(drop=True)
    while len(left) and len(chosen) < max_views:
        best = left.iloc[0]
        start, end = 0, source.contigs[best["chrom"]]
        if end > LONGEST:
            start, end = max(0, int(best["peak_start"]) - AROUND), min(end, int(best["peak_end"]) + AROUND)
        same = (left["chrom"] == best["chrom"]) & (left["strand"] == best["strand"])
        inside = same & (left["peak_start"] >= start) & (left["peak_end"] <= end)
        chosen.append(View(best["chrom"], best["strand"], start, end, left[inside].reset_index(drop=True)))
        left = left[~inside]
    return chosen


@dataclass(frozen=True)
class Logo:
    """The attributions of a site's own task at its peak: heights (L, 4) and where they lie."""

    site: pd.Series
    heights: NDArray[Any]
    start: int  # of the window, on the plus strand

    def index(self, position: int) -> int:
        """Return the index in the window, RNA sense, of a position of the contig."""
        return len(self.heights) - 1 - (position - self.start) if self.site["strand"] == "-" else position - self.start

    @property
    def name(self) -> str:
        """Task, place, score and k-mer of the site."""
        site = self.site
        kmer = f", {site['kmer']}" if site["kmer"] else ""
        return f"{site['task']} {int(site['start']):,}-{int(site['end']):,}, score {site['score']:.2f}{kmer}"


@dataclass(frozen=True)
class Drawn:
    """What a picture of a view holds; scores (n, T) along the plus strand, codes in RNA sense."""

    view: View
    kind: str
    tasks: list[str]
    sites: pd.DataFrame
    scores: NDArray[Any]
    seq: Codes
    regions: Codes | None
    logos: list[Logo]

    @property
    def x_label(self) -> str:
        """What the positions count."""
        on = "in the transcript" if self.kind == "transcript" else f"on {self.view.contig}"
        return f"position {on} (nt, counted from 0)" + (f", {self.view.strand} strand" if self.kind == "genome" else "")


def computed(model: Model, source: Source, view: View, *, step: int = 1, order: Sequence[str] = ()) -> Drawn:
    """Compute what a view shows: scores of the tasks with the best sites, and attributions of the best sites.

    Parameters
    ----------
    model, source, view
    step : int
        Bin size of the scan that called the sites; the tracks themselves are drawn base by base.
    order : sequence of str
        Tasks in the order of their tracks; the default is that of their best sites.
    """
    there = list(dict.fromkeys(view.sites["task"]))
    tasks = ([task for task in order if task in there] or there)[:MAX_TRACKS]
    shown = view.sites[view.sites["task"].isin(tasks)]
    n = view.end - view.start
    scores = scores_of_runs(Scanner(model, tasks=tasks), source, [Run(view.contig, view.strand, view.start, n)])
    seq, regions = source.codes(view.contig, view.start, n, view.strand == "-")
    logos = []
    for _, site in shown.head(MAX_LOGOS).iterrows():
        bins = [int(site["peak_start"]) // step]
        windows, start = peak_windows(source, model.spec, view.contig, view.strand, bins, step)
        _, letters = explained_codes(model, windows, str(site["task"]))
        logos.append(Logo(site, letters[0][:, None] * (one_hot(windows.seq[0]) > 0.99), int(start[0])))
    return Drawn(view, source.kind, tasks, shown, scores, seq, regions, logos)


def view_figure(drawn: Drawn) -> Figure:
    """Draw one view: tracks, region types, and attribution logos of the best sites."""
    view, tasks = drawn.view, drawn.tasks
    minus = view.strand == "-"  # region types belong to the strand; the picture runs along the plus strand
    codes = drawn.regions[::-1] if drawn.regions is not None and minus else drawn.regions
    heights = [2.0] * len(tasks) + ([0.35] if codes is not None else []) + [3.0] * len(drawn.logos)
    with style():
        figure = new_figure(height_mm=14 + 9.5 * sum(heights))
        axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        for row, task in enumerate(tasks):
            _draw_track(axes[row], view, task, drawn.scores[:, row], drawn.sites[drawn.sites["task"] == task])
            axes[row].tick_params(labelbottom=row == len(tasks) - 1 and codes is None)
            axes[row].xaxis.set_major_formatter("{x:,.0f}")
        axes[0].set_title(view.title + (", 5' end on the right" if minus else ""), loc="left")
        axes[0].set_title("score; shaded: site, dashed: threshold", loc="right", fontsize=6)
        bottom = axes[len(tasks) - 1]
        if codes is not None:
            bottom = axes[len(tasks)]
            _draw_regions(bottom, codes, view)
        bottom.set_xlabel(drawn.x_label)
        for ax, logo in zip(axes[len(heights) - len(drawn.logos) :], drawn.logos, strict=True):
            _draw_logo(ax, logo, drawn.kind)
            if logo is not drawn.logos[-1]:
                ax.set_xlabel("")  # that of the lowest is enough
    return figure


def view_zoom(drawn: Drawn) -> Zoom:
    """Return the same with every base, 5' on the left: tracks, the letters of the best sites of each, region types."""
    view = drawn.view
    minus = view.strand == "-"
    first = view.end - 1 if minus else view.start

    def index(position: int) -> int:
        return first - position if minus else position - first

    zoom = Zoom(drawn.seq, first=first, minus=minus, label=drawn.x_label)
    limits = value_limits([logo.heights for logo in drawn.logos])
    for row, task in enumerate(drawn.tasks):
        sites = drawn.sites[drawn.sites["task"] == task]
        ends = [(index(a), index(b - 1)) for a, b in zip(sites["start"], sites["end"], strict=True)]
        scores = drawn.scores[::-1, row] if minus else drawn.scores[:, row]
        spans = [(min(pair), max(pair) + 1) for pair in ends]
        zoom.add_track(task, scores, threshold=float(sites["threshold"].iloc[0]), spans=spans)
        for logo in (logo for logo in drawn.logos if logo.site["task"] == task):
            begin = index(logo.start + len(logo.heights) - 1 if minus else logo.start)
            zoom.add_letters(f"attribution, {logo.name}", logo.heights.sum(axis=1), at=begin, limits=limits)
    if drawn.regions is not None:
        zoom.add_regions(drawn.regions)
    return zoom


def _draw_track(ax: Axes, view: View, task: str, scores: Any, sites: pd.DataFrame) -> None:
    for start, end in zip(sites["start"], sites["end"], strict=True):
        ax.axvspan(start, end, color=MARK_COLOR, alpha=0.45, linewidth=0)
    ax.stairs(scores, np.arange(view.start, view.end + 1), fill=True, color=TRACK_COLOR, alpha=0.85)
    ax.axhline(float(sites["threshold"].iloc[0]), color="#444444", linewidth=0.5, linestyle=(0, (4, 3)))
    ax.set_xlim(view.start, view.end)
    ax.set_ylim(0, 1)
    ax.set_yticks([0, 0.5, 1])
    ax.set_ylabel(task.replace("_", "\n", 1), rotation=0, ha="right", va="center")


def _draw_regions(ax: Axes, codes: Any, view: View) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    look: dict[str, Any] = {"cmap": ListedColormap(list(REGION_COLORS.values())), "vmin": 0, "vmax": 4}
    ax.imshow(codes[None], aspect="auto", extent=(view.start, view.end, 0, 1), interpolation="nearest", **look)
    ax.set_yticks([])
    ax.set_ylabel("region", rotation=0, ha="right", va="center")
    present = [name for code, name in enumerate(REGION_TYPES) if code in codes]
    handles = [Patch(color=REGION_COLORS[name], label=name.replace("UTR", "'UTR")) for name in present]
    if handles:
        ax.legend(handles=handles, frameon=False, ncols=4, loc="upper right", bbox_to_anchor=(1, -2.3), borderpad=0)


def _draw_logo(ax: Axes, logo: Logo, kind: str) -> None:
    site, length = logo.site, len(logo.heights)
    peak = (int(site["peak_start"]) + int(site["peak_end"]) - 1) // 2
    middle = logo.index(peak)
    if site["kmer_start"] >= 0:
        middle = logo.index((int(site["kmer_start"]) + int(site["kmer_end"])) // 2)
    first = int(np.clip(middle - LOGO_LETTERS // 2, 0, max(0, length - LOGO_LETTERS)))
    plot_logo(ax, logo.heights[first : first + LOGO_LETTERS], first=first - logo.index(peak), ylabel="attribution")
    ax.set_title(logo.name, loc="left")
    strand = str(site["strand"]) if kind == "genome" else "."
    position_axis(ax, "nt from the peak, 5' to 3'", place=Place(str(site["chrom"]), peak, strand))


def pictures(model: Model, source: Source, result: ScanResult, *, max_pictures: int = 12) -> list[tuple[Drawn, Figure]]:
    """Draw the best sites of a scan: once, for files and page.

    Parameters
    ----------
    model, source, result, max_pictures
        ``source`` is what was scanned.
    """
    shown = views(source, result.best_sites.head(MAX_ROWS), max_pictures)
    drawn = [computed(model, source, view, step=result.step, order=result.tasks) for view in steps(shown, "explaining")]
    return [(one, view_figure(one)) for one in drawn]


def write_pictures(
    drawn: Sequence[tuple[Drawn, Figure]], folder: str | Path, formats: Sequence[str] = ("png",)
) -> list[Path]:
    """Write what :func:`pictures` drew into a folder (created if need be), one file per format; return the files.

    Parameters as :func:`ripe_lib.reports.figures.save_figure`.
    """
    check_filled_folder(folder)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for number, (one, figure) in enumerate(steps(drawn, "drawing"), start=1):
        stem = folder / f"{number:02d}-{safe_name(one.view.contig)}-{one.view.start}"
        written += save_figure(figure, stem, formats)
    return written


def scan_report(
    model: str, result: ScanResult, drawn: Sequence[tuple[Drawn, Figure]], *, title: str = "Binding sites"
) -> Report:
    """Return a self-contained page: what was done, the sites, and pictures of the best.

    Parameters
    ----------
    model, title : str
    result : ScanResult
        Its :data:`MAX_ROWS` best sites are listed.
    drawn : sequence
        Of :func:`pictures`.
    """
    report = Report(title, f"{model}, {result.n_bins:,} bins of {result.step} nt, {result.n_sites:,} sites")
    report.add_heading("Sites")
    report.add_text(
        "A site is a stretch of bins at or above the threshold of its task; `peak` is its highest bin, `kmer` the "
        "k-mer without which the peak's score falls most (`kmer_effect`, in logits), `fpr` the share of the background "
        "that scores as high. Coordinates are 0-based, half-open."
    )
    sites = result.best_sites.head(MAX_ROWS)
    key = ["chrom", "strand", "start", "task"]
    anchor_of = {
        site: f"view-{number}"
        for number, (one, _) in enumerate(drawn, start=1)
        for site in one.view.sites[key].itertuples(index=False, name=None)
    }
    links = [anchor_of.get(site) for site in sites[key].itertuples(index=False, name=None)]
    if len(sites) < result.n_sites:
        report.add_text(f"The {len(sites):,} best of {result.n_sites:,} sites are listed.")
    first = ["chrom", "start", "end", "strand", "task", "score", "fpr", "kmer", "kmer_effect"]  # seen without scrolling
    if "place" in sites:  # of transcripts
        first = ["gene", "place", "task", "score", "fpr", "kmer", "kmer_effect", "chrom", "start", "end", "isoforms"]
    if not sites["fpr"].notna().any():
        first.remove("fpr")
    shown_sites = sites[[*first, *(column for column in sites.columns if column not in first)]]
    report.add_table(shown_sites, caption="Sites, best first; tasks link to pictures.", links={"task": links})
    if len(result.thresholds):
        report.add_heading("Thresholds")
        report.add_text(f"{result.threshold_note[:1].upper()}{result.threshold_note[1:]}.")
        table = result.thresholds.rename(columns={"of": "input"})
        report.add_table(table, caption="Probability from which a bin belongs to a site, and for what.")
    if drawn:
        report.add_heading("Pictures")
        report.add_text(
            "Probability along the sequence for the tasks with the best sites (yellow: sites, dashed: threshold), and "
            "integrated gradients of the best sites: taller letters made the prediction. Drag over a panel to zoom in."
        )
    for number, (one, figure) in enumerate(steps(drawn, "drawing"), start=1):
        report.add_figure(figure, one.view.title, format="png", anchor=f"view-{number}", zoom=view_zoom(one))
    return report
