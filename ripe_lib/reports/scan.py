"""Pictures and the page of a scan: one RNA or stretch with a track per RBP, and logos of its best sites."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ripe_lib.attribution import CompletenessWarning, integrated_gradients
from ripe_lib.genome.encoding import one_hot
from ripe_lib.genome.landmarks import encode_landmarks
from ripe_lib.network.load import Model
from ripe_lib.output.atomic import check_filled_folder
from ripe_lib.output.tracks import safe_name
from ripe_lib.reports.drawing import REGION_COLORS, plot_logo
from ripe_lib.reports.figures import new_figure, save_figure, style
from ripe_lib.reports.page import Report
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
LOGO_LETTERS = 50
TRACK_COLOR = "#3d5a80"
_STRIP = [REGION_COLORS[name] for name in ("intron", "CDS", "3UTR", "5UTR", "none")]


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
    source : Source
    sites : DataFrame
        ``ScanResult.best_sites``, best first, coordinates of the source's contigs.
    max_views : int
    """
    chosen: list[View] = []
    left = sites.reset_index(drop=True)
    while len(left) and len(chosen) < max_views:
        best = left.iloc[0]
        length = source.contigs[best["chrom"]]
        start, end = 0, length
        if length > LONGEST:
            start = max(0, int(best["peak_start"]) - AROUND)
            end = min(length, int(best["peak_end"]) + AROUND)
        same = (left["chrom"] == best["chrom"]) & (left["strand"] == best["strand"])
        inside = same & (left["peak_start"] >= start) & (left["peak_end"] <= end)
        chosen.append(View(best["chrom"], best["strand"], start, end, left[inside].reset_index(drop=True)))
        left = left[~inside]
    return chosen


def view_figure(
    model: Model, source: Source, view: View, *, step: int = 1, logos: int = MAX_LOGOS, order: Sequence[str] = ()
) -> Figure:
    """Draw one view: tracks of the tasks with the best sites, region types, and attribution logos of the best sites.

    Parameters
    ----------
    model : Model
    source : Source
    view : View
    step : int
        Bin size of the scan that called the sites; the tracks themselves are drawn base by base.
    logos : int
        How many sites get a logo.
    order : sequence of str
        Tasks in the order of their tracks; the default is that of their best sites.
    """
    there = list(dict.fromkeys(view.sites["task"]))
    chosen = [task for task in order if task in there] or there  # as asked for, else those with the best sites first
    tasks = chosen[:MAX_TRACKS]
    shown = view.sites[view.sites["task"].isin(tasks)]
    best = shown.head(logos)
    scanner = Scanner(model, tasks=tasks)
    scores = scores_of_runs(scanner, source, [Run(view.contig, view.strand, view.start, view.end - view.start)])
    codes = source.codes(view.contig, view.start, view.end - view.start, False)[1]
    minus = view.strand == "-"
    if minus:  # region types belong to the strand; the picture runs along the plus strand
        codes = source.codes(view.contig, view.start, view.end - view.start, True)[1]
        codes = None if codes is None else codes[::-1]
    heights = [2.0] * len(tasks) + ([0.35] if codes is not None else []) + [1.9] * len(best)
    with style():
        figure = new_figure(height_mm=14 + 9.5 * sum(heights))
        axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        for row, task in enumerate(tasks):
            _draw_track(axes[row], view, task, scores[:, row], shown[shown["task"] == task])
            axes[row].tick_params(labelbottom=row == len(tasks) - 1 and codes is None)
        axes[0].set_title(view.title + (", 5' end on the right" if minus else ""), loc="left")
        bottom = axes[len(tasks) - 1]
        if codes is not None:
            bottom = axes[len(tasks)]
            _draw_regions(bottom, codes, view)
        on = "in the transcript" if source.kind == "transcript" else f"on {view.contig}"
        bottom.set_xlabel(f"position {on} (nt)" + ("" if source.kind != "genome" else f", {view.strand} strand"))
        for ax, (_, site) in zip(axes[len(heights) - len(best) :], best.iterrows(), strict=True):
            _draw_logo(ax, model, source, site, step)
    return figure


def _draw_track(ax: Axes, view: View, task: str, scores: Any, sites: pd.DataFrame) -> None:
    for _, site in sites.iterrows():
        ax.axvspan(site["start"], site["end"], color="#f6d55c", alpha=0.45, linewidth=0)
    ax.stairs(scores, np.arange(view.start, view.end + 1), fill=True, color=TRACK_COLOR, alpha=0.85)
    ax.axhline(float(sites["threshold"].iloc[0]), color="#444444", linewidth=0.5, linestyle=(0, (4, 3)))
    ax.set_xlim(view.start, view.end)
    ax.set_ylim(0, 1)
    ax.set_yticks([0, 0.5, 1])
    ax.set_ylabel(task.replace("_", "\n", 1), rotation=0, ha="right", va="center")


def _draw_regions(ax: Axes, codes: Any, view: View) -> None:
    from matplotlib.colors import ListedColormap

    ax.imshow(
        codes[None],
        aspect="auto",
        cmap=ListedColormap(_STRIP),
        vmin=0,
        vmax=4,
        extent=(view.start, view.end, 0, 1),
        interpolation="nearest",
    )
    ax.set_yticks([])
    ax.set_ylabel("region", rotation=0, ha="right", va="center")
    names = [("intron", "intron"), ("CDS", "CDS"), ("3'UTR", "3UTR"), ("5'UTR", "5UTR")]
    present = set(np.unique(codes).tolist())
    handles = [_patch(REGION_COLORS[key], text) for number, (text, key) in enumerate(names) if number in present]
    if handles:
        ax.legend(handles=handles, frameon=False, ncols=4, loc="upper right", bbox_to_anchor=(1, -2.3), borderpad=0)


def _patch(color: str, label: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=color, label=label)


def _draw_logo(ax: Axes, model: Model, source: Source, site: pd.Series, step: int) -> None:
    seq_codes, region_codes, landmarks, start = peak_windows(
        source, model.spec, str(site["chrom"]), str(site["strand"]), [int(site["peak_start"]) // step], step
    )
    inputs = {"seq": one_hot(seq_codes)}
    if region_codes is not None:
        inputs["region"] = one_hot(region_codes)
    if landmarks is not None:
        inputs["landmarks"] = encode_landmarks(landmarks, model.spec.landmark_bases)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompletenessWarning)  # a picture, not a measurement
        maps = integrated_gradients(model, inputs, task=str(site["task"]))
    length = seq_codes.shape[1]
    middle = length // 2
    if site["kmer_start"] >= 0:
        kmer_middle = (int(site["kmer_start"]) + int(site["kmer_end"])) // 2 - int(start[0])
        middle = length - kmer_middle if site["strand"] == "-" else kmer_middle
    first = int(np.clip(middle - LOGO_LETTERS // 2, 0, max(0, length - LOGO_LETTERS)))
    part = slice(first, first + LOGO_LETTERS)
    plot_logo(ax, maps.seq[0, part], inputs["seq"][0, part], first=first - length // 2 + 1)
    kmer = f", {site['kmer']}" if site["kmer"] else ""
    ax.set_title(
        f"{site['task']} {int(site['start']):,}-{int(site['end']):,}, score {site['score']:.2f}{kmer}", loc="left"
    )
    ax.set_ylabel("attribution")
    ax.set_xlabel("nt from the peak, 5' to 3'")


def write_pictures(
    model: Model,
    source: Source,
    result: ScanResult,
    folder: str | Path,
    *,
    formats: Sequence[str] = ("png",),
    max_pictures: int = 12,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> list[Path]:
    """Draw the best sites of a scan into a folder (created if need be); return the files.

    Parameters
    ----------
    model, source, result, max_pictures
        As :func:`scan_report`.
    folder : path
    formats : sequence of str
        ``png``, ``svg``, ``pdf``.
    progress : callable
        Wraps the pictures.
    """
    folder = _made(folder)
    written: list[Path] = []
    for number, view in enumerate(progress(views(source, result.best_sites, max_pictures)), start=1):
        stem = folder / f"{number:02d}-{safe_name(view.contig)}-{view.start}"
        written += save_figure(view_figure(model, source, view, step=result.step, order=result.tasks), stem, formats)
    return written


def scan_report(
    model: Model,
    source: Source,
    result: ScanResult,
    *,
    title: str = "Binding sites",
    max_pictures: int = 12,
    max_rows: int = 5_000,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Report:
    """Return a self-contained page: what was done, the sites, and pictures of the best.

    Parameters
    ----------
    model : Model
    source : Source
        What was scanned.
    result : ScanResult
    title : str
    max_pictures, max_rows : int
        Pictures of the best sites and rows of the table at most.
    progress : callable
        Wraps the pictures.
    """
    report = Report(title, f"{model.name}, {result.n_bins:,} bins of {result.step} nt, {result.n_sites:,} sites")
    report.add_heading("Sites")
    report.add_text(
        "A site is a stretch of bins at or above the threshold of its task; `peak` is its highest bin, `kmer` the "
        "k-mer without which the peak's score falls most (`kmer_effect`, in logits), `fpr` the share of the background "
        "that scores as high. Coordinates are 0-based, half-open."
    )
    sites = result.best_sites.head(max_rows)
    shown = views(source, sites, max_pictures)
    anchor_of = {
        (view.contig, site.strand, site.start, site.task): f"view-{number}"
        for number, view in enumerate(shown, start=1)
        for site in view.sites.itertuples()
    }
    links = [anchor_of.get((site.chrom, site.strand, site.start, site.task)) for site in sites.itertuples()]
    if len(sites) < result.n_sites:
        report.add_text(f"The {len(sites):,} best of {result.n_sites:,} sites are listed.")
    first = ["chrom", "start", "end", "strand", "task", "score", "fpr", "kmer", "kmer_effect"]  # seen without scrolling
    if "place" in sites:  # of transcripts
        first = ["gene", "place", "task", "score", "fpr", "kmer", "kmer_effect", "chrom", "start", "end", "isoforms"]
    shown_sites = sites[[*first, *(column for column in sites.columns if column not in first)]]
    report.add_table(shown_sites, caption="Sites, best first; tasks link to pictures.", links={"task": links})
    if len(result.thresholds):
        report.add_heading("Thresholds")
        report.add_text(f"{result.threshold_note[:1].upper()}{result.threshold_note[1:]}.")
        table = result.thresholds.rename(columns={"of": "input"})
        report.add_table(table, caption="Probability from which a bin belongs to a site, and for what.")
    if shown:
        report.add_heading("Pictures")
        report.add_text(
            "Probability along the sequence for the tasks with the best sites (yellow: sites, dashed: threshold), and "
            "integrated gradients of the best sites: taller letters made the prediction."
        )
    for number, view in enumerate(progress(shown), start=1):
        figure = view_figure(model, source, view, step=result.step, order=result.tasks)
        report.add_figure(figure, view.title, anchor=f"view-{number}")
    return report


def _made(folder: str | Path) -> Path:
    check_filled_folder(folder)
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return path
