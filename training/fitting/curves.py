"""The learning curves of a run as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ripe_lib.reports.figures import new_figure, save_figure, style
from training.fitting.runs import best_epoch


def plot_curves(history: list[dict[str, Any]], path: Path, best_by: str) -> None:
    """Draw loss, AUROC and average precision by epoch; the best epoch, chosen by a column, is marked.

    Parameters
    ----------
    history : list of dict
        One per epoch (``history.csv``).
    path : Path
        Of the picture.
    best_by : str
        The column.
    """
    best = best_epoch(history, best_by)
    curves = {"loss": "training", "val_loss": "validation", "val_auroc": "AUROC", "val_ap": "average precision"}
    with style():
        figure = new_figure(height_mm=60)
        left, right = figure.subplots(1, 2)
        for key, label in curves.items():
            if key in history[0]:
                epochs, values = [row["epoch"] for row in history], [row[key] for row in history]
                (left if "loss" in key else right).plot(epochs, values, marker="o", markersize=3, label=label)
        left.set(xlabel="epoch", ylabel="loss", title=f"best epoch {best}")
        right.set(xlabel="epoch", ylabel="mean over tasks", title="validation sites")
        for axes in (left, right):
            if axes.lines:
                axes.axvline(best, color="0.7", linewidth=0.8, zorder=0)
                axes.legend(frameon=False)
            axes.xaxis.get_major_locator().set_params(integer=True)
        save_figure(figure, path.with_suffix(""))
