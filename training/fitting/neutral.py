"""Outputs that do not rise or fall with a source's marks.

A task that only a source without region types has (CAPRIN1, RTCB) has never been trained on what region types mean.
Through the layers it shares with the other tasks it moves with them all the same, and with real flanks against none.
Here the mean move of the hidden layer under such changes is taken out of the output's weights, so that on average
its logit stays where it is: ``w`` becomes ``w - Q Q^T w``, Q an orthonormal basis of the mean moves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ripe_lib.evaluation.dataset import SPLITS, Dataset
from ripe_lib.genome.encoding import Codes, one_hot
from ripe_lib.network.load import Model
from ripe_lib.network.weights import LayerArrays, arrays_of
from training.fitting.leak import changed_codes
from training.fitting.rows import sources_with_regions

CHANGES = ("no_region", "random_flanks", "no_region_random_flanks")
ROWS = 8000
BATCH = 1024


def hidden_values(model: Model, seq: Codes, region: Codes) -> NDArray[np.float32]:
    """Return the inputs of the output layer (n, H) for codes (n, L) and (n, R)."""
    import keras

    inputs = model.keras_model.inputs
    network = keras.Model(inputs, model.keras_model.get_layer("output").input)
    parts = []
    for start in range(0, len(seq), BATCH):
        codes = (seq[start : start + BATCH], region[start : start + BATCH])[: len(inputs)]
        parts.append(np.asarray(network([one_hot(c) for c in codes], training=False)))
    return np.concatenate(parts)


def neutral_arrays(model: Model, dataset: Dataset, *, seed: int) -> tuple[LayerArrays, list[str]]:
    """Return the network's arrays with neutral outputs, and the tasks whose outputs were changed.

    Parameters
    ----------
    model : Model
        With region types.
    dataset : Dataset
        What it was trained on; sites of the sources with region types in its training split are used.
    seed : int
        Decides the sites and their random flanks.
    """
    arrays = arrays_of(model.keras_model)
    marked = sources_with_regions(dataset)
    columns = [dataset.task_index(task) for task in model.tasks]
    known = dataset.source_has_task[:, columns][marked].any(axis=0)
    without = [task for task, with_regions in zip(model.tasks, known, strict=True) if not with_regions]
    if not without or not marked.any() or not model.spec.has_region:
        return arrays, []
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x4E7]))
    rows = np.flatnonzero((dataset.split == SPLITS.index("train")) & marked[dataset.source_index])
    rows = np.sort(rng.choice(rows, min(ROWS, len(rows)), replace=False))
    seq, region = dataset.centred_codes(rows)
    before = hidden_values(model, seq, region)
    moves = [(hidden_values(model, *changed_codes(seq, region, c, rng)) - before).mean(axis=0) for c in CHANGES]
    kernel, bias = (values.astype(np.float64) for values in arrays["output"])
    left, size, _ = np.linalg.svd(np.array(moves, dtype=np.float64).T, full_matrices=False)
    basis = left[:, size > 1e-6 * max(size[0], 1e-12)]
    mean = before.mean(axis=0, dtype=np.float64)
    for task in without:
        column = model.tasks.index(task)
        taken = basis @ (basis.T @ kernel[:, column])
        kernel[:, column] -= taken
        bias[column] += mean @ taken  # the mean logit with region types stays
    return {**arrays, "output": [kernel.astype(np.float32), bias.astype(np.float32)]}, without
