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

MOST_ROWS = 5000  # per source, drawn at random


def source_leak(model: Model, dataset: Dataset, *, split: str = "test", rng: np.random.Generator) -> pd.DataFrame:
    """Measure how a task's scores move when sites of a source without that task lose their flanks.

    Parameters
    ----------
    model : Model
    dataset : Dataset
        Prepared from at least two sources, of which one lacks a task of the model; else an InputError.
    split : str
    rng : Generator

    Returns
    -------
    DataFrame
        One row per source and task it lacks: ``n``, ``plain`` and ``changed`` (mean probabilities), ``delta`` (changed
        - plain; positive = the leak), ``share_above`` (share of sites above 0.5 after the change minus before).
    """
    columns = [dataset.task_index(task) for task in model.tasks]
    split_rows, tables = dataset.indices(split), []
    for source, name in enumerate(dataset.sources):
        rows = split_rows[dataset.source_index[split_rows] == source]
        lacking = np.flatnonzero(~dataset.source_has_task[source, columns])
        if not len(lacking) or not len(rows):
            continue
        rows = np.sort(rng.permutation(rows)[:MOST_ROWS])
        (seq, region), landmarks = dataset.centred_codes(rows), dataset.landmarks(rows)
        before, after = (
            predict_codes(model, codes, region, landmarks)[:, lacking].astype(float)
            for codes in (seq, mask_flanks(seq, np.ones(len(rows), dtype=bool)))
        )
        about = {"source": name, "task": [model.tasks[task] for task in lacking], "n": len(rows)}
        about |= {"plain": before.mean(axis=0), "changed": after.mean(axis=0), "delta": (after - before).mean(axis=0)}
        above = (after > 0.5).mean(axis=0) - (before > 0.5).mean(axis=0)
        tables.append(pd.DataFrame({**about, "share_above": above}))
    if not tables:
        raise InputError(f"{dataset.path}: every source has every task of {model.name}; nothing to measure.")
    return pd.concat(tables, ignore_index=True)
