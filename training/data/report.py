"""The report of a prepared data set: what is in it, and what could give labels away. One self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.evaluation.dataset import SPLITS, Dataset
from ripe_lib.genome.encoding import UNKNOWN
from ripe_lib.genome.windows import window_start
from ripe_lib.reports.figures import new_figure, style
from ripe_lib.reports.page import Report
from training.data.sites import KNOWN_BASES
from training.data.splits import equal_sequences

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLE = 4000  # rows looked at per task and label
T1_RATIO = 1.6  # G at the last base of peaks against the middle base
PADDING_DIFFERENCE = 0.03  # share of windows with unknown bases, positives against negatives
CHROMOSOME_SHARE = 0.3
COMPOSITION_AUC = 0.7


def report_path(dataset: Path) -> Path:
    """Return where the report of a data set is written."""
    return dataset.with_name(f"{dataset.stem}_report.html")


def write_report(path: Path, *, peaks: pd.DataFrame | None = None) -> Path:
    """Write the report of a data set beside it; ``peaks`` as in :class:`training.data.peak_sites.Bins`."""
    dataset = Dataset(path)
    rng = np.random.default_rng(0)
    table = task_table(dataset, rng)
    report = Report(f"Data set {path.name}", f"{len(dataset):,} sites, {len(dataset.tasks)} tasks")
    report.add_heading("Warnings")
    if warnings := data_warnings(dataset, table, peaks):
        parts = [line.split(": ", 1) if ": " in line else ["", line] for line in warnings]
        report.add_table(pd.DataFrame(parts, columns=["task", "warning"]), caption="What could mislead a network")
    else:
        report.add_text("None.")
    report.add_heading("Sites per task")
    report.add_text(
        "`composition_auroc`: how well base composition of the window alone tells positives from negatives; compare "
        "models with that. `padded`: share of windows with unknown bases. `top_chrom`: the chromosome with the most "
        "positives."
    )
    report.add_table(table, caption="Positives, sure negatives and what gives them away")
    if peaks is not None:
        report.add_heading("Peaks")
        report.add_text(
            "Share of G just before, at the first, middle and last base of peaks (RNA sense). RNase T1 cuts after G."
        )
        report.add_table(peaks, caption="Peak files")
        report.add_figure(_border_figure(peaks), "G at peak borders; equal heights are what an unbiased border gives.")
    shared = np.where(np.eye(len(dataset.tasks)), np.nan, shared_sites(dataset))
    report.add_heading("Sites shared between tasks")
    report.add_figure(
        _labelled_image(shared, dataset.tasks, dataset.tasks),
        "Share of the row's positives that are also positive for the column (paper: Supp. S1).",
    )
    report.add_figure(_multiplicity_figure(dataset), "Number of tasks a bound site is positive for.")
    report.add_heading("Base composition")
    report.add_figure(_composition_figure(table), "Bases of positives, whole window.")
    report.add_heading("Chromosomes")
    report.add_figure(_chromosome_figure(dataset), "Share of each task's positives by chromosome.")
    report.write(report_path(path))
    return report_path(path)


def _sample(rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    return rows if len(rows) <= SAMPLE else np.sort(rng.choice(rows, SAMPLE, replace=False))


def _composition(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    counts = np.stack([(codes == base).sum(axis=1) for base in range(4)], axis=1).astype(float)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _composition_auroc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    if min(len(positive), len(negative)) < 10:
        return float("nan")
    x = np.concatenate([positive, negative])[:, :3]
    y = np.repeat([1, 0], [len(positive), len(negative)])
    model = LogisticRegression(class_weight="balanced").fit(x, y)
    return float(roc_auc_score(y, model.decision_function(x)))


def task_table(dataset: Dataset, rng: np.random.Generator) -> pd.DataFrame:
    """Return one row per task: counts per split, composition, padding, chromosome skew."""
    chrom = dataset.intervals["chrom"].to_numpy()
    records = []
    for task, label in zip(dataset.tasks, dataset.labels.T, strict=True):
        positives, negatives = np.flatnonzero(label == 1), np.flatnonzero(label == 0)
        record: dict[str, object] = {"task": task}
        for code, split in enumerate(SPLITS):
            record[f"pos_{split}"] = int((dataset.split[positives] == code).sum())
        record["negatives"] = len(negatives)
        seqs = [
            dataset.centred_codes(_sample(rows, rng))[0] if len(rows) else np.zeros((0, 1), dtype=np.uint8)
            for rows in (positives, negatives)
        ]
        composition = [_composition(codes) for codes in seqs]
        for base, letter in enumerate("ACGU"):
            record[letter] = float(composition[0][:, base].mean()) if len(positives) else float("nan")
        record.update(border_bases(dataset, _sample(positives, rng)) if len(positives) else {})
        record["composition_auroc"] = _composition_auroc(*composition)
        for name, codes in zip(("pos", "neg"), seqs, strict=True):
            record[f"padded_{name}"] = float((codes == UNKNOWN).any(axis=1).mean()) if len(codes) else float("nan")
        names, counts = np.unique(chrom[positives], return_counts=True)
        if len(names):
            record["top_chrom"] = str(names[counts.argmax()])
            record["top_chrom_share"] = float(counts.max() / counts.sum())
        records.append(record)
    return pd.DataFrame(records)


def border_bases(dataset: Dataset, rows: NDArray[np.int64]) -> dict[str, float]:
    """Return the share of G at the middle and last base of sites (RNA sense), where sites have borders of their own.

    Bins and ready windows all have one length and no borders that mean anything: then the result is empty.
    """
    frame = dataset.intervals.iloc[rows]
    lengths = frame["end"] - frame["start"]
    own = ((lengths != np.median(lengths)) | (lengths < KNOWN_BASES)).to_numpy()
    if lengths[own].nunique() < 5:
        return {}
    rows, frame = rows[own], frame[own]
    start, end, minus = frame["start"].to_numpy(), frame["end"].to_numpy(), (frame["strand"] == "-").to_numpy()
    codes = dataset.seq_codes(rows)
    first, width = window_start(start, end, dataset.sequence_length) - dataset.margin, codes.shape[1]
    shares = {}
    for name, place in (("g_middle", (start + end - 1) // 2), ("g_last", np.where(minus, start, end - 1))):
        column = np.where(minus, width - 1 - (place - first), place - first)
        shares[name] = float((codes[np.arange(len(rows)), np.clip(column, 0, width - 1)] == 2).mean())
    return shares


def shared_sites(dataset: Dataset) -> NDArray[np.float64]:
    """Return (T, T): the share of the row task's positives that are positive for the column task."""
    positive = (dataset.labels == 1).astype(np.float32)
    together = positive.T @ positive
    return (together / np.maximum(np.diag(together)[:, None], 1)).astype(np.float64)


def data_warnings(dataset: Dataset, table: pd.DataFrame, peaks: pd.DataFrame | None) -> list[str]:
    """Return what could give labels away, one line each; parameters as :func:`write_report`, and its task table."""
    lines = []
    for row in (peaks if peaks is not None else table).to_dict("records"):
        if row.get("g_middle", 0) > 0 and row["g_last"] > T1_RATIO * row["g_middle"]:
            lines.append(
                f"{row['task']}: RNase T1 trace, {100 * row['g_last']:.0f} % of peaks end in G "
                f"({100 * row['g_middle']:.0f} % in the middle). Shift windows in training (augment: site_jitter)."
            )
    for row in table.to_dict("records"):
        difference = row["padded_pos"] - row["padded_neg"]
        if abs(difference) > PADDING_DIFFERENCE:
            lines.append(
                f"{row['task']}: padding gives labels away, {100 * row['padded_pos']:.1f} % of positives and "
                f"{100 * row['padded_neg']:.1f} % of negatives have unknown bases. Mask flanks in training "
                "(augment: flank_mask)."
            )
        if row.get("top_chrom_share", 0) > CHROMOSOME_SHARE:
            lines.append(
                f"{row['task']}: {100 * row['top_chrom_share']:.0f} % of the positives are on {row['top_chrom']}; mind "
                "this when splitting by chromosome."
            )
        if row["composition_auroc"] > COMPOSITION_AUC:
            lines.append(f"{row['task']}: base composition alone reaches AUROC {row['composition_auroc']:.2f}.")
        lines.extend(
            f"{row['task']}: no positive in split {split!r}."
            for split in SPLITS
            if not row[f"pos_{split}"] and (dataset.split == SPLITS.index(split)).any()
        )
    rows = np.sort(np.random.default_rng(1).permutation(len(dataset))[: 50 * SAMPLE])
    found = pd.DataFrame({"seq": equal_sequences(dataset.centred_codes(rows)[0]), "split": dataset.split[rows]})
    if n_equal := int(found.duplicated("seq", keep=False).sum()):
        lines.append(
            f"{n_equal} of {len(rows)} windows looked at have the same sequence as another one (duplicated loci)."
        )
    if n_torn := int((found.groupby("seq")["split"].transform("first") != found["split"]).sum()):
        lines.append(f"{n_torn} windows have the same sequence as one in another split: leakage.")
    return lines


# --- pictures ---------------------------------------------------------------------------------------------------


def _labelled_image(values: NDArray[np.float64], rows: list[str], columns: list[str]) -> Figure:
    with style():
        figure = new_figure(height_mm=28 + 3.6 * len(rows))
        axes = figure.subplots()
        image = axes.imshow(values, aspect="auto", cmap="viridis", vmin=0, vmax=max(float(np.nanmax(values)), 1e-9))
        axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=5)
        axes.set_yticks(range(len(rows)), rows, fontsize=5)
        axes.tick_params(length=0)
        figure.colorbar(image, ax=axes, label="share of positives", fraction=0.03, pad=0.01)
    return figure


def _chromosome_figure(dataset: Dataset) -> Figure:
    chrom = dataset.intervals["chrom"].to_numpy()
    names = sorted(set(chrom), key=lambda name: (len(name), name))[:60]
    index = pd.Index(names).get_indexer(chrom)
    values = np.zeros((len(dataset.tasks), len(names)))
    for row, label in enumerate(dataset.labels.T):
        mine = index[(label == 1) & (index >= 0)]
        values[row] = np.bincount(mine, minlength=len(names)) / max(len(mine), 1)
    return _labelled_image(values, dataset.tasks, names)


def _border_figure(peaks: pd.DataFrame) -> Figure:
    with style():
        figure = new_figure(height_mm=60)
        axes = figure.subplots()
        for offset, base in enumerate(("before", "first", "middle", "last")):
            axes.bar(np.arange(len(peaks)) + 0.2 * (offset - 1.5), peaks[f"g_{base}"], width=0.2, label=base)
        axes.set_xticks(range(len(peaks)), peaks["task"], rotation=90, fontsize=5)
        axes.set(ylabel="share of G", ylim=(0, 1))
        axes.legend(frameon=False, ncols=4, title="base of the peak")
    return figure


def _multiplicity_figure(dataset: Dataset) -> Figure:
    counts = np.bincount((dataset.labels == 1).sum(axis=1))[1:]
    with style():
        figure = new_figure(height_mm=50)
        axes = figure.subplots()
        axes.bar(np.arange(1, len(counts) + 1), counts)
        axes.set(xlabel="tasks", ylabel="sites", yscale="log")
        axes.set_xticks(np.arange(1, len(counts) + 1, max(1, len(counts) // 15)))
    return figure


def _composition_figure(table: pd.DataFrame) -> Figure:
    with style():
        figure = new_figure(height_mm=28 + 3.6 * len(table))
        axes = figure.subplots()
        left = np.zeros(len(table))
        for letter, colour in zip("ACGU", ("#4daf4a", "#377eb8", "#ff9f1c", "#e41a1c"), strict=True):
            axes.barh(np.arange(len(table)), table[letter], left=left, color=colour, label=letter)
            left = left + table[letter].to_numpy()
        axes.set_yticks(range(len(table)), table["task"], fontsize=5)
        axes.set(xlabel="share of bases", xlim=(0, 1))
        axes.invert_yaxis()
        figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return figure
