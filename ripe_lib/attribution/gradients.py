"""Gradients of outputs with respect to all inputs, averaged along a straight path: the engine of the attributions.

One compiled call takes a few sites, all points of their paths and several tasks: the forward pass is shared by the
tasks, the points are made and averaged inside the graph, so only the finished maps leave it.

Axes: B sites, P path points, K tasks asked for, and those of each input: L or R positions of 4 channels, 8 landmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, check_known
from ripe_lib.network.inputs import OUTPUTS
from ripe_lib.network.load import Model

MOST_STEPS = 1_000_000
RULES = ("midpoint", "left", "trapezoid")
# Network evaluations per compiled call: enough to keep two cores busy, few enough to stay in their caches.
DEFAULT_POINTS = 512
# Tasks that share one forward pass; each adds its own backward pass to the graph.
_TASKS_PER_CALL = 8

Floats = NDArray[np.float32]


class Inputs(NamedTuple):
    """Ready arrays of one batch, or maps of their shapes; None for what a model has no input for.

    ``seq`` (B, L, 4), ``region`` (B, R, 4), ``landmarks`` (B, 8, landmark bases).
    """

    seq: Floats
    region: Floats | None = None
    landmarks: Floats | None = None

    def present(self) -> list[Floats]:
        """Return the arrays there are, in the order of the network's inputs."""
        return [array for array in self if array is not None]


def path_points(rule: str, n_steps: int) -> tuple[Floats, Floats]:
    """Return positions and weights (P,) of a quadrature rule on [0, 1].

    ``midpoint``: (s + 1/2) / n; ``left``: s / n (the published software); both P = n. ``trapezoid``: s / n for
    s = 0..n with half weights at the ends, P = n + 1.
    """
    check_known("integration rule", rule, RULES)
    if isinstance(n_steps, bool) or not isinstance(n_steps, int | np.integer) or not 1 <= n_steps <= MOST_STEPS:
        raise InputError(f"n_steps: expected a whole number from 1 to {MOST_STEPS:,}, got {n_steps!r}.")
    n = int(n_steps)
    if rule == "trapezoid":
        weights = np.full(n + 1, 1 / n)
        weights[[0, -1]] /= 2
        return (np.arange(n + 1) / n).astype(np.float32), weights.astype(np.float32)
    shift = 0.5 if rule == "midpoint" else 0.0
    return ((np.arange(n) + shift) / n).astype(np.float32), np.full(n, 1 / n, dtype=np.float32)


def path_gradients(
    model: Model,
    inputs: Inputs,
    baseline: Inputs,
    task_indices: Sequence[int],
    *,
    points: Floats,
    weights: Floats,
    output: str = "probability",
    batch_size: int = DEFAULT_POINTS,
) -> Inputs:
    """Return the weighted sum of gradients along the way from ``baseline`` to ``inputs``.

    These are float32 maps of every input with the tasks behind the sites, e.g. ``seq`` (B, K, L, 4), in units of the
    output per unit of input.

    Parameters
    ----------
    model : Model
    inputs, baseline : Inputs
        End of the paths, B sites, and their start, B sites or one for all.
    task_indices : sequence of int
        K output columns.
    points, weights : float32 arrays (P,)
        From :func:`path_points`; ``[1]`` and ``[1]`` give the plain gradient at ``inputs``.
    output : str
        ``"probability"`` or ``"logit"``.
    batch_size : int
        Network evaluations (sites x points) per call.
    """
    check_known("output", output, OUTPUTS)
    if batch_size < 1:
        raise InputError(f"batch size: expected at least 1, got {batch_size}.")
    n_sites, n_tasks = len(inputs.seq), len(task_indices)
    shapes = {name: (n_sites, n_tasks, *shape) for name, shape in model.spec.input_shapes.items()}
    maps = Inputs(**{name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()})
    sites_per_call = max(1, batch_size // len(points))
    for start in range(0, n_sites, sites_per_call):
        sites = slice(start, start + sites_per_call)
        ends = [array[sites] for array in inputs.present()]
        starts = [array if len(array) == 1 else array[sites] for array in baseline.present()]
        for first in range(0, n_tasks, _TASKS_PER_CALL):
            tasks = slice(first, first + _TASKS_PER_CALL)
            chosen = np.asarray(task_indices[tasks], dtype=np.int32)
            for part in range(0, len(points), batch_size):
                some = slice(part, part + batch_size)
                parts = model.network.gradients(ends, starts, points[some], weights[some], chosen, output=output)
                for whole, found in zip(maps.present(), parts, strict=True):
                    whole[sites, tasks] += found
    return maps
