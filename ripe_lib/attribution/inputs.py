"""What goes into an attribution method: checked windows, baselines, and lists of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.attribution.gradients import Inputs
from ripe_lib.errors import InputError, ShapeMismatchError, check_known
from ripe_lib.genome.landmarks import unknown_landmarks
from ripe_lib.network.inputs import checked_windows
from ripe_lib.network.load import Model

UNKNOWN_REGION = 0.25


def task_list(model: Model, task: str | Sequence[str]) -> tuple[list[str], bool]:
    """Return the tasks asked for, checked, and whether they came as a list."""
    several = not isinstance(task, str)
    tasks = list(task) if several else [str(task)]
    if not tasks:
        raise InputError(f"model {model.name}: expected at least one task, got none.")
    for name in tasks:
        model.spec.task_index(name)
    return tasks, several


def network_inputs(model: Model, windows: Any) -> Inputs:
    """Return float32 arrays that fit the model; region types and landmarks that are not given are unknown."""
    seq, region, landmarks = checked_windows(model.spec, windows)
    if region is None and model.spec.has_region:
        region = np.full((len(seq), model.spec.region_length, 4), UNKNOWN_REGION, dtype=np.float32)
    if landmarks is None and model.spec.has_landmarks:
        landmarks = unknown_landmarks(len(seq), model.spec.landmark_bases)
    return Inputs(seq, region, landmarks)


def baseline_inputs(model: Model, inputs: Inputs, baseline: str | Mapping[str, Any]) -> Inputs:
    """Return the start of the paths to ``inputs`` (1 or B, ...), one for all sites or one each.

    Parameters but ``inputs`` as :func:`ripe_lib.attribution.compute.integrated_gradients`; landmarks are unknown unless
    a dict says otherwise.
    """
    unknown_landmark = 1 / max(model.spec.landmark_bases, 1)
    paper: dict[str, Any] = {"seq": 0.0, "region": UNKNOWN_REGION, "landmarks": unknown_landmark}
    if isinstance(baseline, str):
        check_known("baseline", baseline, ("paper", "zeros"), 'Or give {"seq": ..., "region": ...}.')
        chosen = paper if baseline == "paper" else {**paper, "seq": 0.0, "region": 0.0}
    elif isinstance(baseline, Mapping):
        for key in baseline:
            check_known("baseline input", str(key), paper)
        chosen = {**paper, **baseline}
    else:
        raise InputError(f'baseline: expected "paper", "zeros" or a dict, got {type(baseline).__name__}.')
    given = {name: array for name, array in inputs._asdict().items() if array is not None}
    arrays = {name: _spread(chosen[name], array, f"baseline {name!r}") for name, array in given.items()}
    n_starts = max(len(array) for array in arrays.values())
    return Inputs(**{name: np.broadcast_to(array, (n_starts, *array.shape[1:])) for name, array in arrays.items()})


def _spread(value: Any, like: NDArray[np.float32], where: str) -> NDArray[np.float32]:
    array = np.asarray(value, dtype=np.float32)
    array = array[(np.newaxis,) * (3 - array.ndim)]
    target = (len(like) if len(array) > 1 else 1, *like.shape[1:])
    try:
        return np.ascontiguousarray(np.broadcast_to(array, target))
    except ValueError:
        raise ShapeMismatchError(
            f"{where}: expected a number or shape {like.shape[1:]} or {like.shape}, got {np.shape(value)}."
        ) from None
