"""A gallery of a model: the highest-scoring sites of every task with their maps, and region-type profiles.

The sites are streamed once and only the best of every task are kept, so that memory does not grow with their number.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from ripe_lib.attribution.landmark_profiles import landmark_profiles
from ripe_lib.attribution.maps import Attributions, GapCount, gaps_ignored, known_bases
from ripe_lib.attribution.methods import ConstructSites, IntervalSites, Method, SiteCounts
from ripe_lib.genome.encoding import REGION_TYPES, codes_from_one_hot, one_hot
from ripe_lib.genome.landmarks import decode_landmarks
from ripe_lib.genome.windows import Windows
from ripe_lib.network.load import Model
from ripe_lib.network.predict import predict
from ripe_lib.output.atomic import atomic_directory
from ripe_lib.output.console import steps
from ripe_lib.reports.attribution import METHODS, draw_site, file_stem
from ripe_lib.reports.figures import save_figure
from ripe_lib.reports.page import Report
from ripe_lib.reports.profile_figures import (
    landmark_profile_figure,
    present_types,
    region_profile_figure,
    region_summary_figure,
)
from ripe_lib.reports.site_figures import SiteMap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROFILE_SITES = 200  # the best of a task, over which region-type profiles are means
LANDMARK_SITES = 100  # drawn from all, over which what landmarks do is averaged
_SITES_AT_A_TIME = 1024
SITE_COLUMNS = ("task", "rank", "score", "chrom", "start", "end", "name", "strand", "picture")


@dataclass
class _BestSites:
    """The ``size`` highest scores of one task, with their windows as codes."""

    size: int
    _heap: list[tuple[float, int, Any]] = field(default_factory=list)

    def offer(self, score: float, number: int, make: Callable[[], Any]) -> None:
        """Consider a site: of equal scores the one with the smaller number, earlier in the input, wins."""
        key = (score, -number)
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, (*key, make()))
        elif key > self._heap[0][:2]:
            heapq.heapreplace(self._heap, (*key, make()))

    def ranked(self) -> list[tuple[float, Any]]:
        """Return (score, what was kept), best first."""
        return [(score, kept) for score, _, kept in sorted(self._heap, key=lambda item: item[:2], reverse=True)]


class _Sample:
    """``size`` of all that is offered, each with the same chance (Vitter's reservoir)."""

    def __init__(self, size: int) -> None:
        self.size, self.kept = size, list[Any]()
        self._rng, self._seen = np.random.default_rng(0), 0

    def offer(self, make: Callable[[], Any]) -> None:
        self._seen += 1
        if len(self.kept) < self.size:
            self.kept.append(make())
        elif (place := int(self._rng.integers(self._seen))) < self.size:
            self.kept[place] = make()


@dataclass(frozen=True)
class GalleryOptions:
    """What a gallery holds."""

    top: int = 10  # sites drawn per task
    min_score: float = 0.5  # only sites whose score is above it
    formats: Sequence[str] = ("png",)
    motif: str | None = None  # to shade, in IUPAC letters


class Gallery(NamedTuple):
    """A gallery that was written: sites that were searched, completeness of the maps, sites drawn of each task."""

    folder: Path
    counts: SiteCounts
    gaps: GapCount
    n_drawn: dict[str, int]


def _collect_best(
    model: Model, chunks: Iterable[Windows], tasks: Sequence[str], options: GalleryOptions
) -> tuple[dict[str, _BestSites], list[Any], SiteCounts]:
    """Predict all sites; keep the best of every task, and some of all sites with known landmarks."""
    kept = {task: _BestSites(max(options.top, PROFILE_SITES)) for task in tasks}
    drawn = _Sample(LANDMARK_SITES)
    columns = {task: model.spec.task_index(task) for task in tasks}
    counts = SiteCounts()
    for windows in chunks:
        first = counts.n_sites
        counts.add(windows)
        scores = predict(model, windows)
        known = known_bases(windows.seq).any(axis=1)
        if windows.landmarks is not None:
            placed = (windows.landmarks.max(axis=2) > windows.landmarks.min(axis=2)).any(axis=1)
            for row in np.flatnonzero(known & placed).tolist():
                drawn.offer(partial(_codes, windows, row))
        for task, column in columns.items():
            for row in np.flatnonzero((scores[:, column] > options.min_score) & known).tolist():
                kept[task].offer(float(scores[row, column]), first + row, partial(_codes, windows, row))
    return kept, drawn.kept, counts


def _codes(windows: Windows, row: int) -> tuple[Any, Any, pd.Series, Any]:
    region = None if windows.region is None else codes_from_one_hot(windows.region[row])
    landmarks = None if windows.landmarks is None else windows.landmarks[row].copy()
    return codes_from_one_hot(windows.seq[row]), region, windows.intervals.iloc[row].copy(), landmarks


def write_gallery(
    model: Model,
    source: IntervalSites | ConstructSites,
    folder: str | Path,
    *,
    tasks: Sequence[str],
    method: Method,
    options: GalleryOptions,
    overwrite: bool = False,
) -> Gallery:
    """Write a folder with the best sites of every task, their pictures, region-type profiles and one page.

    The folder holds ``index.html``, ``sites.tsv`` (columns :data:`SITE_COLUMNS`), ``region_types.tsv``, ``pictures/``,
    and ``landmarks.tsv`` where distances to landmarks are known. All but the last exist, and are valid, even if no site
    is above the threshold.

    Parameters
    ----------
    model : Model
    source : IntervalSites or ConstructSites
        Genomic intervals are marked as peaks.
    folder, tasks, method, options, overwrite
    """
    with atomic_directory(folder, overwrite=overwrite) as temporary:
        chunks = steps(source.chunks(model.spec, _SITES_AT_A_TIME), "predicting")
        kept, drawn_sites, counts = _collect_best(model, chunks, tasks, options)
        counts.check(source.where)
        (temporary / "pictures").mkdir()
        report = Report(f"Gallery of {model.name}", f"{counts.n_sites:,} sites")
        report.add_text(
            f"For every task the {options.top} sites with the highest scores above {options.min_score:g}, explained by "
            f"{METHODS[method.name][0]}. Letters above the line raise the model's output, letters below lower it."
        )
        gaps = GapCount()
        site_rows: list[dict[str, Any]] = []
        profiles: dict[str, np.ndarray] = {}
        n_profile: dict[str, int] = {}
        sections: dict[str, list[tuple[Figure, str]]] = {task: [] for task in tasks}
        for task in steps(tasks, "explaining and drawing"):
            ranked = kept[task].ranked()
            if not ranked:
                continue
            windows, maps = _explained(model, method, task, [entry for _, entry in ranked])
            gaps.add(maps)
            if maps.region is not None and windows.region is not None:
                profiles[task] = present_types(maps.region, windows.region).mean(axis=0)
                n_profile[task] = len(ranked)
            for rank, (score, (_, _, site, _)) in enumerate(ranked[: options.top], start=1):
                one = SiteMap.of(task, windows, maps, rank - 1, score, method.name)
                figure, label = draw_site([one], site, is_genomic=source.is_genomic, motif=options.motif, peak="site")
                stem = temporary / "pictures" / f"{file_stem(task)}_{rank:02d}_{file_stem(label)}"
                first = save_figure(figure, stem, options.formats)[0]
                sections[task].append((figure, f"{task}, rank {rank}: {label}, score {score:.3f}."))
                picture = f"pictures/{first.name}"
                site_rows.append({**site.to_dict(), "task": task, "rank": rank, "score": score, "picture": picture})
        if gaps.n_maps:
            report.add_text(f"Completeness: {gaps.sentence()}.")
        sites = pd.DataFrame(site_rows, columns=list(SITE_COLUMNS))
        sites.to_csv(temporary / "sites.tsv", sep="\t", index=False, errors="surrogateescape")
        means = np.array([profiles[task].sum(axis=0) if task in profiles else np.full(4, np.nan) for task in tasks])
        table = pd.DataFrame(means, columns=list(REGION_TYPES))
        table.insert(0, "task", list(tasks))
        table.insert(1, "n_sites", [n_profile.get(task, 0) for task in tasks])
        table.to_csv(temporary / "region_types.tsv", sep="\t", index=False)
        if np.nansum(np.abs(means)):  # else no site, or no region type known
            _add_profiles(report, temporary / "pictures", table, profiles, options)
        if drawn_sites:  # else no landmark input, or no annotation
            _add_landmarks(report, temporary, model, drawn_sites, tasks, options)
        _add_sections(report, sites, sections, options)
        report.write(temporary / "index.html")
    return Gallery(Path(folder), counts, gaps, {task: len(drawn) for task, drawn in sections.items()})


def _explained(model: Model, method: Method, task: str, entries: list[Any]) -> tuple[Windows, Attributions]:
    seq, region, sites, landmarks = zip(*entries, strict=True)
    windows = Windows(
        one_hot(np.stack(seq)),
        None if region[0] is None else one_hot(np.stack(region)),
        None if landmarks[0] is None else np.stack(landmarks),
        pd.DataFrame(list(sites)).reset_index(drop=True),
    )
    with gaps_ignored():  # counted over all tasks, for one sentence
        return windows, method(model, windows, [task]).for_task(0)


def _add_profiles(
    report: Report, pictures: Path, table: pd.DataFrame, profiles: dict[str, np.ndarray], options: GalleryOptions
) -> None:
    report.add_heading("Region types")
    report.add_text(
        "Attribution of the region type that is there, summed over the window and averaged over the sites "
        f"(at most {PROFILE_SITES} with the highest scores above {options.min_score:g})."
    )
    summary = region_summary_figure(table[list(REGION_TYPES)].to_numpy(), table["task"].tolist())
    _add_picture(report, summary, pictures / "region_types", options, "Mean summed attribution of each region type.")
    along = region_profile_figure(profiles, table.set_index("task")["n_sites"].to_dict())
    caption = "Mean attribution along the window (number of sites)."
    _add_picture(report, along, pictures / "region_profiles", options, caption)


def _add_landmarks(
    report: Report, folder: Path, model: Model, entries: list[Any], tasks: Sequence[str], options: GalleryOptions
) -> None:
    seq, region = (np.stack([entry[place] for entry in entries]) for place in (0, 1))
    observed = decode_landmarks(np.stack([entry[3] for entry in entries]))
    profiles = landmark_profiles(model, seq, region, observed)
    table = profiles.table()
    table[table["task"].isin(tasks)].to_csv(folder / "landmarks.tsv", sep="\t", index=False, float_format="%.6g")
    report.add_heading("Distances to landmarks")
    report.add_text(
        f"The mean score of {len(entries)} of the sites if one landmark lay elsewhere and nothing else changed; grey: "
        "where the landmark lies for these sites."
    )
    for task in tasks:
        stem = folder / "pictures" / f"landmarks_{file_stem(task)}"
        _add_picture(report, landmark_profile_figure(profiles, task), stem, options, task)


def _add_picture(report: Report, figure: Figure, stem: Path, options: GalleryOptions, caption: str) -> None:
    save_figure(figure, stem, options.formats)
    report.add_figure(figure, caption)


def _add_sections(
    report: Report, sites: pd.DataFrame, sections: dict[str, list[tuple[Figure, str]]], options: GalleryOptions
) -> None:
    report.add_heading("Sites")
    anchors = [f"{file_stem(str(task))}-{rank}" for task, rank in zip(sites["task"], sites["rank"], strict=True)]
    table = sites.drop(columns="picture")
    report.add_table(table, caption="Drawn sites.", links={"rank": anchors, "task": anchors}, digits=3)
    for task, drawn in steps(sections.items(), "making the page"):
        report.add_heading(task)
        if not drawn:
            report.add_text(f"No site has a score above {options.min_score:g}.")
        for rank, (figure, caption) in enumerate(drawn, start=1):
            report.add_figure(figure, caption, format="png", dpi=170, anchor=f"{file_stem(task)}-{rank}")
