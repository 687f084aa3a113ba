"""The learning curves of a run as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ripe_lib.reports.figures import new_figure, save_figure, style
from training.fitting.history import best_epoch


def plot_curves(history: list[dict[str, Any]], path: Path, best_by: str) -> None:
    """Draw loss, AUROC and average precision by epoch; the best epoch is marked.

    Parameters
    ----------
    history : list of dict
        One per epoch (``history.csv``).
    path : Path
        Of the picture.
    best_by : str
        Column the best epoch is chosen by.
    """
    epochs = [row["epoch"] for row in history]
    best = best_epoch(history, best_by)
    with style():
        figure = new_figure(height_mm=60)
        left, right = figure.subplots(1, 2)
        left.plot(epochs, [row["loss"] for row in history], marker="o", markersize=3, label="training")
        if "val_loss" in history[0]:
            left.plot(epochs, [row["val_loss"] for row in history], marker="o", markersize=3, label="validation")
            for key, label in (("val_auroc", "AUROC"), ("val_ap", "average precision")):
                right.plot(epochs, [row[key] for row in history], marker="o", markersize=3, label=label)
            right.axvline(best, color="0.7", linewidth=0.8, zorder=0)
            right.legend(frameon=False)
        left.axvline(best, color="0.7", linewidth=0.8, zorder=0)
        left.set(xlabel="epoch", ylabel="loss", title=f"best epoch {best}")
        right.set(xlabel="epoch", ylabel="mean over tasks", title="validation sites")
        left.legend(frameon=False)
        for axes in (left, right):
            axes.xaxis.get_major_locator().set_params(integer=True)
        save_figure(figure, path.with_suffix(""))
