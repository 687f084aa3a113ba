"""A page of the strongest changes of a scored VCF: a table, and the attributions of both alleles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.attribution.compute import explained_codes
from ripe_lib.genome.alleles import canonical_alleles
from ripe_lib.genome.annotation import Annotation, open_genome
from ripe_lib.genome.encoding import Codes, one_hot
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.vcf import VcfRecords
from ripe_lib.network.load import Model, load_model
from ripe_lib.output.console import steps
from ripe_lib.reports.drawing import CHANGE_COLOR, Place, mark_positions, plot_logo, position_axis, value_limits
from ripe_lib.reports.figures import new_figure, put_title, style
from ripe_lib.reports.page import Report
from ripe_lib.reports.zoom import Zoom
from ripe_lib.variants.output import Summary, VariantJob
from ripe_lib.variants.rows import allele_windows, change_index, place_rows
from ripe_lib.variants.summary import class_codes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 36  # nt on each side of the change
_CLASS_TEXT = ("no change", "site lost", "site gained", "weakened", "strengthened")  # as ``CLASSES``


def write_report(job: VariantJob, summary: Summary, folder: str | Path) -> Path:
    """Write ``index.html`` with the strongest changes of a run (``job.n_strongest`` of them); returns its path.

    Parameters
    ----------
    job, summary, folder
        The run, what came out, and a folder that is made if need be.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    report = Report("Variant effects on RNA-binding proteins", f"{summary.n_records:,} records")
    report.add_heading("What was scored")
    counts = pd.DataFrame(summary.status.most_common(), columns=["status", "rows"])
    report.add_table(counts, caption="Alleles and strands by status", filterable=False)
    report.add_heading("Strongest changes")
    report.add_text(
        "One row per allele and strand: its task with the largest |delta|. `delta` is the probability of the "
        f"alternative minus that of the reference. A change is none up to |delta| {job.options.delta_threshold:g}; "
        "otherwise a site is lost or gained if only one allele has a probability above "
        f"{job.options.site_threshold:g}, else it is weakened or strengthened."
    )
    strongest = summary.strongest
    if not strongest:
        report.add_text("No allele could be scored, or none passed the filters.")
        return report.write(folder / "index.html")
    genome, annotation = open_genome(job.fasta_file, job.gtf_file)
    models = {model.name: model for model in map(load_model, job.models)}
    anchors = [f"change-{number + 1}" for number in range(len(strongest))]
    table = _table(job, strongest, several=len(models) > 1)
    report.add_table(table, caption="Strongest changes", links={"variant": anchors})
    report.add_heading("Attributions of both alleles")
    report.add_text(
        "Integrated gradients of the reference (above) and the alternative allele (below), 5' to 3' on the strand of "
        "the RNA, on one scale. Shaded: the changed bases. Letters above the line raise the prediction. "
        "Gap: by how much the attributions of a window miss the change of the prediction at most. Drag over a panel to "
        "zoom in, double click for the whole window."
    )
    for anchor, row, name in steps(list(zip(anchors, strongest, table["variant"], strict=True)), "drawing"):
        model = models[row["model"]]
        maps = _allele_maps(model, genome, annotation if job.options.region != "none" else None, row)
        caption = f"{name}, {row['task']}: delta {row['delta']:+.3f}"
        figure = allele_figure(maps, f"{name}   {row['task']}")
        report.add_figure(figure, caption, format="png", anchor=anchor, zoom=allele_zoom(maps))
    return report.write(folder / "index.html")


def _table(job: VariantJob, strongest: list[dict[str, Any]], *, several: bool) -> pd.DataFrame:
    frame = pd.DataFrame(strongest)
    variant = [f"{r['chrom']}:{r['pos']} {_short(r['ref'])}>{_short(r['alt'])} ({r['strand']})" for r in strongest]
    ref, alt = (frame[name].to_numpy(np.float32) for name in ("ref_probability", "alt_probability"))
    codes = class_codes(ref, alt, job.options.delta_threshold, job.options.site_threshold)
    change = [_CLASS_TEXT[int(code)] for code in codes]
    frame = frame.rename(columns={"region_type": "region type"})
    frame = frame.assign(variant=variant, change=change, ref=ref, alt=alt)
    # What a reader looks for comes first: it must be seen without scrolling.
    first = ["variant", "change", "delta", "task", "ref", "alt", "genes", "region type", "id"]
    return frame[[*first, *(["model"] if several else [])]]


def _short(allele: str) -> str:
    return allele if len(allele) <= 12 else f"{allele[:9]}...({len(allele)})"


@dataclass(frozen=True)
class AlleleMaps:
    """Attributions of both alleles of a change, reference first: heights (2, L, 4), RNA sense."""

    heights: NDArray[Any]
    seq: Codes
    regions: Codes | None  # (2, L)
    changed: list[list[int]]  # indices of the changed bases of each
    middle: int  # index of the first changed base
    gap: float
    scores: tuple[float, float]
    place: Place  # of index L // 2

    @property
    def shown(self) -> slice:
        """The letters around the change that a picture shows."""
        return slice(max(0, self.middle - _SHOWN), min(self.heights.shape[1], self.middle + _SHOWN + 1))

    @property
    def names(self) -> list[str]:
        """What each panel is called."""
        return [f"{kind}   score {p:.3f}" for kind, p in zip(("reference", "alternative"), self.scores, strict=True)]


def _allele_maps(model: Model, genome: Genome, annotation: Annotation | None, row: dict[str, Any]) -> AlleleMaps:
    """Compute the attributions of both alleles of a row of ``Summary.strongest`` for its task."""
    spec = model.spec
    length = spec.sequence_length
    # The change is found again from what the row says.
    nothing, position = ["."], np.array([row["pos"]], dtype=np.int64)
    records = VcfRecords([row["chrom"]], position, nothing, [row["ref"]], [row["alt"]], nothing)
    alleles = canonical_alleles(records, genome, max_inserted=max(length, spec.region_length))
    sites = place_rows(alleles, strand=row["strand"])
    windows = allele_windows(spec, genome, annotation, sites)
    maps, letters = explained_codes(model, windows, row["task"])  # the gap is said in the title
    margin = spec.region_length // 2 - length // 2  # both windows have their middles at the same base
    minus = bool(sites.minus[0])
    at = change_index(length)
    counts = [int(sites.n_removed[0]), min(int(sites.n_inserted[0]), length - at)]
    changed = [[length - 1 - i if minus else i for i in range(at, min(at + count, length))] for count in counts]
    middle = length - 1 - at if minus else at
    away = length // 2 - middle
    origin = int(sites.start[0]) + 1 + (-away if minus else away)
    return AlleleMaps(
        letters[..., None] * (one_hot(windows.seq) > 0.99),
        windows.seq,
        windows.region[:, margin : margin + length] if windows.region is not None and margin >= 0 else None,
        changed,
        middle,
        float(np.abs(maps.gap).max()),
        (float(row["ref_probability"]), float(row["alt_probability"])),
        Place(str(sites.contig[0]), origin, "-" if minus else "+"),
    )


def allele_figure(maps: AlleleMaps, title: str) -> Figure:
    """Draw both alleles around the change, one above the other on one scale."""
    first, shown = -(maps.heights.shape[1] // 2), maps.shown
    limits = value_limits([maps.heights[:, shown]])
    with style():
        figure = new_figure(height_mm=72)
        axes = figure.subplots(2, 1, sharex=True)
        put_title(figure, f"{title}   (gap {maps.gap:.3f})")
        for ax, heights, changed, name in zip(axes, maps.heights, maps.changed, maps.names, strict=True):
            plot_logo(ax, heights, first=first, ylabel="attribution", ylim=limits)
            mark_positions(ax, [first + i for i in changed], color=CHANGE_COLOR)
            ax.set_title(name, loc="left", fontweight="bold")
            ax.set_xlim(first + shown.start - 0.5, first + shown.stop - 0.5)
        position_axis(axes[-1], place=maps.place)
    return figure


def allele_zoom(maps: AlleleMaps) -> Zoom:
    """Return both alleles in their whole windows; positions and region types are those of the reference."""
    place, length, shown = maps.place, maps.heights.shape[1], maps.shown
    label = f"position on {place.contig} (nt), {place.strand} strand"
    ends = (shown.start, shown.stop)
    zoom = Zoom(maps.seq[0], first=place.at(-(length // 2)), minus=place.strand == "-", label=label, shown=ends)
    limits = value_limits([maps.heights])
    for codes, heights, changed, name in zip(maps.seq, maps.heights, maps.changed, maps.names, strict=True):
        spans = [(i, i + 1) for i in changed]
        zoom.add_letters(name, heights.sum(axis=1), codes=codes, limits=limits, spans=spans)
    if maps.regions is not None:
        zoom.add_regions(maps.regions[0])
    return zoom
