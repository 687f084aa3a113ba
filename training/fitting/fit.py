"""``ripe-train fit``: a data set and a config -> a run directory with the weights of the best epoch.

The paper: Adam, batches of 128, up to 20 epochs, early stopping and best epoch by validation loss. An epoch's order,
augmentation and dropout depend on (seed, epoch) alone, and after each epoch the whole state is written, so a run that
was killed goes on from there and ends with the same weights as an unbroken one on the same machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.network.weights import sha256_of
from training.config import Note, plain
from training.fitting.config import FitConfig, spec_of
from training.fitting.rows import training_data
from training.fitting.runs import is_chief, open_run
from training.fitting.start import weights_file_of


def fit(
    config: FitConfig,
    *,
    quiet: bool = True,
    note: Note = lambda _: None,
    after_epoch: Callable[[int], None] = lambda _: None,
) -> Path:
    """Train one network and return its run directory; goes on with an unfinished run, keeps a finished one as it is.

    Parameters
    ----------
    config : FitConfig
    quiet : bool
        No progress bar.
    note : callable
        Is given one line per epoch.
    after_epoch : callable
        Called with the epoch's number (from 1) once its checkpoint is written.

    Raises
    ------
    InputError, TrainingFailedError
        For data or a run directory that do not fit the config; if the loss is not a number.
    """
    from training.fitting.loop import train

    dataset = Dataset(config.data)
    spec = spec_of(config, dataset)
    if is_chief():
        start = sha256_of(weights_file_of(config.start)) if config.start else ""
        open_run(config.run, plain(config), dataset, start)
    if (config.run / "weights.h5").is_file():
        note(f"{config.run}: finished already")
        return config.run
    data = training_data(config, dataset)
    train(config, spec, data, quiet=quiet, note=note, after_epoch=after_epoch)
    return config.run


def fit_members(config: FitConfig, members: int, **options: Any) -> list[Path]:
    """Train an ensemble: ``members`` runs ``RUN/member_1`` ... that differ in their seed only."""
    if members == 1:
        return [fit(config, **options)]
    seeds = np.random.SeedSequence([config.seed, members]).generate_state(members)
    return [
        fit(replace(config, seed=int(seed), run=config.run / f"member_{number}"), **options)
        for number, seed in enumerate(seeds, start=1)
    ]
