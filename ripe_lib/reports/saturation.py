"""Saturation mutagenesis as tables, tracks and heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import UNKNOWN, one_hot, reverse_complement
from ripe_lib.output.atomic import TRACK_SUFFIXES
from ripe_lib.output.console import steps
from ripe_lib.output.tables import open_table
from ripe_lib.output.tracks import TrackFiles, safe_name
from ripe_lib.reports.drawing import plot_mutation_map
from ripe_lib.reports.figures import new_figure, put_title, save_figure, style
from ripe_lib.variants.format import OutputFormat, Selection
from ripe_lib.variants.saturation import Saturation
from ripe_lib.variants.tables import frame_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ripe_lib.genome.fasta import Genome

_BASES_PER_ROW = 120


def write_saturation(found: Saturation, output: str | Path, genome: Genome, tasks: Sequence[str] | None) -> list[Path]:
    """Write a table (``.tsv``, ``.tsv.gz``, ``.parquet``) or tracks (``.bedgraph``, ``.bw``); return the files.

    A track holds, for each base, the delta of the substitution with the largest |delta|, in genomic order; one file
    per task (``NAME.TASK.SUFFIX`` if there are several).

    Parameters
    ----------
    found, output, tasks
        ``None``: all tasks.
    genome : Genome
        Gives the contigs of tracks.
    """
    output = Path(output)
    models = found.scored.models
    selection = Selection(models, tasks)
    if not output.name.lower().endswith(TRACK_SUFFIXES):
        out = OutputFormat.of(output)
        if out.kind not in ("tsv", "parquet"):
            raise InputError(f"{output}: expected .tsv, .tsv.gz, .parquet, .bedgraph or .bw.")
        with open_table(output) as table:
            table.write(frame_of(found.scored, selection, out))
        return [output]
    if len(models) != 1:
        raise InputError(f"{output}: tracks are of one model, got {len(models)}.")
    strand = found.region.strand
    changes = found.changes(0)[:: -1 if strand == "-" else 1, :, selection.columns[0]]
    strongest = np.take_along_axis(changes, np.abs(changes).argmax(axis=1)[:, None], axis=1)[:, 0]
    known = np.flatnonzero(found.codes != UNKNOWN)
    starts = known.astype(np.int64) + found.region.start
    with ExitStack() as stack:
        writer = TrackFiles(output, selection.names(0), [strand], genome.contigs, stack, name_strand=True)
        writer.add(found.region.contig, strand, starts, starts + 1, np.ascontiguousarray(strongest[known]))
    return writer.paths


def heat_map(found: Saturation, number: int, task: str) -> Figure:
    """Draw the deltas of every substitution and deletion for one task, 5' to 3', in rows of 120 bases.

    Parameters
    ----------
    found, number, task
        ``number`` is that of the model.
    """
    from matplotlib.lines import Line2D

    model = found.scored.models[number]
    column = model.spec.task_index(task)
    changes = np.nan_to_num(found.changes(number)[:, :, column])
    deleted = found.deletions(number)
    deletions = None if deleted is None else deleted[:, column]
    codes = reverse_complement(found.codes) if found.region.strand == "-" else found.codes
    seq = one_hot(codes)
    limit = float(max(np.abs(changes).max(), 0 if deletions is None else np.nanmax(np.abs(deletions), initial=0)))
    n_rows = -(-len(codes) // _BASES_PER_ROW)
    with style():
        figure = new_figure(height_mm=24 + (19 if deletions is None else 22) * n_rows)
        axes = figure.subplots(n_rows, 1, squeeze=False)[:, 0]
        put_title(figure, f"{task}   {found.region}")
        for row, ax in enumerate(axes):
            at = slice(row * _BASES_PER_ROW, (row + 1) * _BASES_PER_ROW)
            part = None if deletions is None else deletions[at]
            image = plot_mutation_map(ax, changes[at], seq[at], first=at.start, limit=limit or 1.0, deletions=part)
            ax.set_xlim(at.start - 0.5, at.start + min(_BASES_PER_ROW, len(codes)) - 0.5)
            ax.set_ylabel("changed to")
            _genomic_ticks(ax, found, at.start, min(at.stop, len(codes)))
        strand = "minus" if found.region.strand == "-" else "plus"
        axes[-1].set_xlabel(f"position on {found.region.contig}, {strand} strand, 5' to 3'")
        label = "score of alt - score of ref"
        figure.colorbar(image, ax=list(axes), label=label, shrink=min(1.0, 2 / n_rows), aspect=24)
        dot = Line2D([], [], color="#404040", marker="o", markersize=2.5, linestyle="", label="base of the reference")
        figure.legend(handles=[dot], loc="outside lower left", frameon=False, borderpad=0)
    return figure


def _genomic_ticks(ax: Axes, found: Saturation, first: int, last: int) -> None:
    """Put ticks at positions (from 1) that are multiples of 10."""
    region = found.region
    places = [region.end - place if region.strand == "-" else region.start + place + 1 for place in range(first, last)]
    every = 10 if last - first > 15 else 5
    ticks = [at for at, position in enumerate(places) if position % every == 0] or [0]
    ax.set_xticks([first + at for at in ticks], [f"{places[at]:,}" for at in ticks])


def write_heat_maps(
    found: Saturation, folder: str | Path, tasks: Sequence[str] | None, formats: Sequence[str]
) -> list[Path]:
    """Write one picture per model and task into a folder, made if need be; return the files.

    Parameters as :func:`write_saturation`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    selection = Selection(found.scored.models, tasks)
    written: list[Path] = []
    for number, model in enumerate(found.scored.models):
        prefix = "" if len(found.scored.models) == 1 else f"{safe_name(model.name)}."
        for task in steps(selection.names(number), "drawing"):
            written += save_figure(heat_map(found, number, task), folder / f"{prefix}{safe_name(task)}", formats)
    return written
