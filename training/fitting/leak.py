"""How much a model leans on the source a site comes from instead of on the site.

With several sources in one data set (windows of 101 nt and sites with real flanks) a network can learn "real flanks"
as a mark of a task that only one source has. Then taking the flanks of the other source's sites away moves that task,
though the flanks say nothing about it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ripe_lib.errors import InputError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.network.load import Model
from ripe_lib.network.predict import predict_codes
from training.fitting.batches import mask_flanks


def source_leak(
    model: Model, dataset: Dataset, *, split: str = "test", max_rows: int = 5000, rng: np.random.Generator
) -> pd.DataFrame:
    """Measure how a task's scores move when sites of a source without that task lose their flanks.

    Parameters
    ----------
    model : Model
    dataset : Dataset
        Prepared from at least two sources, of which one lacks a task.
    split : str
    max_rows : int
        Rows per source, drawn at random.
    rng : Generator

    Returns
    -------
    DataFrame
        One row per source and task it lacks: ``n``, ``plain`` and ``changed`` (mean probabilities), ``delta`` (changed
        - plain; positive = the leak), ``share_above`` (share of sites above 0.5 after the change minus before).

    Raises
    ------
    InputError
        If no source lacks a task of the model.
    """
    columns = [dataset.task_index(task) for task in model.tasks]
    records = []
    for source, name in enumerate(dataset.sources):
        rows = dataset.indices(split)
        rows = rows[dataset.source_index[rows] == source]
        lacking = [i for i, column in enumerate(columns) if not dataset.source_has_task[source, column]]
        if not lacking or not len(rows):
            continue
        rows = np.sort(rng.permutation(rows)[:max_rows])
        (seq, region), landmarks = dataset.centred_codes(rows), dataset.landmarks(rows)
        plain = predict_codes(model, seq, region, landmarks)
        scores = predict_codes(model, mask_flanks(seq, np.ones(len(rows), dtype=bool)), region, landmarks)
        for task in lacking:
            before, after = plain[:, task].astype(float), scores[:, task].astype(float)
            records.append(
                {
                    "source": name,
                    "task": model.tasks[task],
                    "n": len(rows),
                    "plain": before.mean(),
                    "changed": after.mean(),
                    "delta": (after - before).mean(),
                    "share_above": (after > 0.5).mean() - (before > 0.5).mean(),
                }
            )
    if not records:
        raise InputError(f"{dataset.path}: every source has every task of {model.name}; nothing to measure.")
    return pd.DataFrame(records)
