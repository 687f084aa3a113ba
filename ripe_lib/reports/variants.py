"""A page of the strongest changes of a scored VCF: a table, and the attributions of both alleles."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ripe_lib.attribution import CompletenessWarning, integrated_gradients, letter_scores
from ripe_lib.genome.alleles import canonical_alleles
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import Codes, one_hot
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.landmarks import encode_landmarks
from ripe_lib.genome.vcf import VcfRecords
from ripe_lib.network.load import Model, load_model
from ripe_lib.output.console import Bar, no_bar
from ripe_lib.reports.drawing import Place, mark_positions, plot_logo, position_axis, value_limits
from ripe_lib.reports.figures import new_figure, put_title, style
from ripe_lib.reports.page import Report
from ripe_lib.variants.output import Summary, VariantJob
from ripe_lib.variants.rows import (
    Rows,
    alternative_region,
    alternative_sequence,
    change_index,
    place_rows,
    reference_codes,
    site_landmarks,
)
from ripe_lib.variants.summary import CLASSES, class_codes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 36  # nt on each side of the change
_CLASS_TEXT = dict(zip(CLASSES, ("no change", "site lost", "site gained", "weakened", "strengthened"), strict=True))


def write_report(job: VariantJob, summary: Summary, folder: str | Path, *, bar: Bar[Any] = no_bar) -> Path:
    """Write ``index.html`` with the strongest changes of a run (``job.n_strongest`` of them); returns its path.

    Parameters
    ----------
    job : VariantJob
        What was run.
    summary : Summary
        Its counts and strongest changes.
    folder : path
        Made if need be.
    bar : callable
        Wraps the changes.
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
        f"alternative minus that of the reference. A change is {_classes(job)}"
    )
    strongest = summary.strongest
    if not strongest:
        report.add_text("No allele could be scored, or none passed the filters.")
        return report.write(folder / "index.html")
    genome = Genome(job.fasta_file)
    annotation = None if job.gtf_file is None else Annotation.load(job.gtf_file).for_genome(genome)
    models = {model.name: model for model in map(load_model, job.models)}
    anchors = [f"change-{number + 1}" for number in range(len(strongest))]
    table = _table(job, strongest, several=len(models) > 1)
    links = {"variant": anchors}
    report.add_table(table, caption="Strongest changes", links=links)
    report.add_heading("Attributions of both alleles")
    report.add_text(
        "Integrated gradients of the reference (above) and the alternative allele (below), 5' to 3' on the strand of "
        "the RNA, on one scale. Shaded: the changed bases. Letters above the line raise the prediction. "
        "Gap: by how much the attributions of a window miss the change of the prediction at most."
    )
    for anchor, row, name in bar(list(zip(anchors, strongest, table["variant"], strict=True)), "drawing"):
        model = models[row["model"]]
        figure = allele_figure(model, genome, annotation if job.options.region != "none" else None, row, name)
        report.add_figure(figure, f"{name}, {row['task']}: delta {row['delta']:+.3f}", format="svg", anchor=anchor)
    return report.write(folder / "index.html")


def _classes(job: VariantJob) -> str:
    options = job.options
    return (
        f"none up to |delta| {options.delta_threshold:g}; otherwise a site is lost or gained if only one allele has a "
        f"probability above {options.site_threshold:g}, else it is weakened or strengthened."
    )


def _table(job: VariantJob, strongest: list[dict[str, Any]], *, several: bool) -> pd.DataFrame:
    frame = pd.DataFrame(strongest)
    variant = [f"{r['chrom']}:{r['pos']} {_short(r['ref'])}>{_short(r['alt'])} ({r['strand']})" for r in strongest]
    ref, alt = (frame[name].to_numpy(np.float32) for name in ("ref_probability", "alt_probability"))
    codes = class_codes(ref, alt, job.options.delta_threshold, job.options.site_threshold)
    # What a reader looks for comes first: it must be seen without scrolling.
    columns: dict[str, Any] = {
        "variant": variant,
        "change": [_CLASS_TEXT[CLASSES[int(code)]] for code in codes],
        "delta": frame["delta"],
        "task": frame["task"],
        "ref": ref,
        "alt": alt,
        "genes": frame["genes"],
        "region type": frame["region_type"],
        "id": frame["id"],
        **({"model": frame["model"]} if several else {}),
    }
    return pd.DataFrame(columns)


def _short(allele: str) -> str:
    return allele if len(allele) <= 12 else f"{allele[:9]}...({len(allele)})"


def _site(genome: Genome, row: dict[str, Any], length: int) -> Rows:
    """Find the change of a row again."""
    nothing = ["."]
    position = np.array([row["pos"]], dtype=np.int64)
    records = VcfRecords([row["chrom"]], position, nothing, [row["ref"]], [row["alt"]], nothing)
    return place_rows(canonical_alleles(records, genome, max_inserted=length), strand=row["strand"])


def allele_figure(
    model: Model, genome: Genome, annotation: Annotation | None, row: dict[str, Any], title: str
) -> Figure:
    """Draw the attributions of both alleles of one change for its task, one above the other on one scale.

    Parameters
    ----------
    model : Model
    genome : Genome
    annotation : Annotation, optional
        Gives region types and landmarks.
    row : dict
        One of ``summary.strongest``.
    title : str
    """
    spec = model.spec
    length = spec.sequence_length
    sites = _site(genome, row, max(length, spec.region_length))
    seq: Codes = np.concatenate(
        [reference_codes(genome.fetch, sites, length), alternative_sequence(genome, sites, length)]
    )
    windows = {"seq": one_hot(seq)}
    if annotation is not None and spec.has_region:
        ref_region = reference_codes(annotation.region_codes, sites, spec.region_length)
        alt_region = alternative_region(annotation, sites, spec.region_length)
        windows["region"] = one_hot(np.concatenate([ref_region, alt_region]))
    if annotation is not None and spec.has_landmarks:
        distances = np.tile(site_landmarks(annotation, sites), (2, 1))
        windows["landmarks"] = encode_landmarks(distances, spec.landmark_bases)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompletenessWarning)  # said in the title instead
        maps = integrated_gradients(model, windows, task=row["task"])
    gap = float(np.abs(maps.gap).max())
    letters = letter_scores(maps.seq, windows["seq"])
    heights = letters[..., None] * (windows["seq"] > 0.99)
    minus = bool(sites.minus[0])
    at = change_index(length)
    spans = [int(sites.n_removed[0]), min(int(sites.n_inserted[0]), length - at)]
    first = -(length // 2)
    middle = length - 1 - at if minus else at
    shown = slice(max(0, middle - _SHOWN), min(length, middle + _SHOWN + 1))
    limits = value_limits([heights[:, shown]])
    with style():
        figure = new_figure(height_mm=72)
        axes = figure.subplots(2, 1, sharex=True)
        put_title(figure, f"{title}   {row['task']}   (gap {gap:.3f})")
        for ax, one, span, name, key in zip(
            axes, heights, spans, ("reference", "alternative"), ("ref_probability", "alt_probability"), strict=True
        ):
            plot_logo(ax, one, first=first, ylabel="attribution", ylim=limits)
            here = range(at, at + span)
            places = [length - 1 - i for i in here] if minus else list(here)
            if places:
                mark_positions(ax, [first + i for i in places if 0 <= i < length], color="#b9a2e8")
            ax.set_title(f"{name}   score {row[key]:.3f}", loc="left", fontweight="bold")
            ax.set_xlim(first + shown.start - 0.5, first + shown.stop - 0.5)
        # Position 0 is index L // 2; the change is at ``middle``.
        away = length // 2 - middle
        origin = int(sites.start[0]) + 1 + (-away if minus else away)
        position_axis(axes[-1], place=Place(str(sites.contig[0]), origin, "-" if minus else "+"))
    return figure
