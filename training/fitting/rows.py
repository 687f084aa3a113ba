"""Which rows a run trains on, with what labels and weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.evaluation.dataset import Dataset
from training.fitting.config import FitConfig, spec_of
from training.fitting.losses import MASKED, ElementWeights, element_weights, label_codes
from training.fitting.sampling import labels_and_rows


@dataclass
class TrainingData:
    """Rows and label codes of a run."""

    dataset: Dataset
    codes: NDArray[np.uint8]  # (N, T), all rows of the data set, tasks of the run
    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    weights: ElementWeights


def training_data(config: FitConfig, dataset: Dataset) -> TrainingData:
    """Choose rows and weights, or refuse a task that has no positive or no negative to train on (InputError)."""
    spec = spec_of(config, dataset)
    columns = [dataset.task_index(task) for task in spec.tasks]
    labels, train, valid = labels_and_rows(dataset, columns, config.sampling, config.seed)
    soft = np.full(len(labels), config.loss.unknown_weight > 0)
    if config.loss.unknown_rows == "background":
        soft &= ~(dataset.labels == 1).any(axis=1)
    codes = label_codes(labels, dataset.source_index, dataset.source_has_task[:, columns], soft_unknown=soft)
    if config.sampling.bound_only:
        for group in config.sampling.groups or [spec.tasks]:
            own = [spec.task_index(task) for task in group]
            codes[np.ix_(~(labels[:, own] == 1).any(axis=1), own)] = MASKED
    # Rows that say nothing about any task would only cost time.
    train, valid = (rows[(codes[rows] != MASKED).any(axis=1)] for rows in (train, valid))
    for index, task in enumerate(spec.tasks):
        for value, word in ((1, "positive"), (0, "negative")):
            if not (codes[train, index] == value).any() and not (value == 0 and soft.any()):
                raise InputError(
                    f"{dataset.path}: expected a {word} of task {task} in split 'train', got none. "
                    "Leave the task out of 'tasks' or prepare another split."
                )
    return TrainingData(dataset, codes, train, valid, element_weights(codes[train], config.loss))
