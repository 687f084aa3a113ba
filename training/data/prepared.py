"""What all ways of preparing a data set share: checks and the manifest."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from ripe_lib._version import __version__
from ripe_lib.errors import InputError
from ripe_lib.evaluation.dataset import SPLITS
from training.config import Note, plain
from training.data.config import PrepareConfig
from training.data.splits import SplitOptions
from training.fetch.fetch import read_manifest


def warn_about_splits(
    labels: np.ndarray, split: np.ndarray, tasks: list[str], options: SplitOptions, note: Note
) -> None:
    """Refuse a task without positives in the training set; warn about one without in a wanted other split.

    Parameters
    ----------
    labels, split, tasks
        As in a :class:`ripe_lib.evaluation.dataset.Dataset`.
    options : SplitOptions
        Says which splits are wanted.
    note : callable
        Takes the warnings.
    """
    wanted = {
        "train": True,
        "valid": options.valid > 0 or bool(options.valid_chromosomes),
        "test": options.test > 0 or bool(options.test_chromosomes),
    }
    for index, task in enumerate(tasks):
        for code, name in enumerate(SPLITS):
            if not wanted[name] or ((labels[:, index] == 1) & (split == code)).any():
                continue
            if name == "train":
                raise InputError(
                    f"task {task}: expected positives in split 'train', got none. Leave it out of 'tasks', or change "
                    "the split's method, fractions or seed."
                )
            note(f"warning: task {task} has no positive in split {name!r}; it cannot be measured there")


def manifest_of(config: PrepareConfig, inputs: dict[str, Any], info: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Return the manifest of a data set before its counts are known: no absolute paths, dates of fetched files only.

    Parameters
    ----------
    config : PrepareConfig
    inputs : dict
        Digests of the files by name.
    info : dict of task to dict
        RBP, protocol and cell line.
    """
    # Where files lie is not part of what a data set is; their digests are.
    options = plain(config, names_only=True)
    return {
        "made_by": f"deepripe {__version__}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "options": {name: options[name] for name in options if name not in {"output", "report", "sources"}},
        "inputs_sha256": inputs,
        "task_info": info,
        "seed": config.seed,
        **({"sources": list(read_manifest(config.sources.parent).values())} if config.sources is not None else {}),
    }
