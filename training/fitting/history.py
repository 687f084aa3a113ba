"""Which epoch of a run is the best, and when a run is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def best_epoch(history: Sequence[Mapping[Any, Any]], best_by: str = "val_loss") -> int:
    """Return the epoch of the smallest ``val_loss`` or largest ``val_auroc``; the last one without validation."""
    sign = -1.0 if best_by == "val_auroc" else 1.0
    losses = [sign * row[best_by] if best_by in row else -row["epoch"] for row in history]
    return int(history[int(np.argmin(losses))]["epoch"])


def is_over(history: Sequence[Mapping[Any, Any]], epochs: int, patience: int, best_by: str = "val_loss") -> bool:
    """Return whether training stops after this history.

    Parameters
    ----------
    history : sequence of dict
        One per epoch.
    epochs, patience : int
        Epochs at most, and epochs without a better one before training stops (0: never).
    best_by : str
        Column that says which epoch is better.
    """
    if len(history) >= epochs:
        return True
    return bool(history) and patience > 0 and len(history) - best_epoch(history, best_by) >= patience
