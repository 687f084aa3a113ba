"""A model of one protocol on the sites of another (the paper's Fig. 8)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.evaluate import score_dataset
from ripe_lib.evaluation.metrics import NEGATIVES
from ripe_lib.network.load import model_from_weights
from training.study.config import StudyConfig


def cross_protocols(
    config: StudyConfig, dataset: Dataset, weights: dict[str, Path]
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Measure every pair of the config.

    Parameters
    ----------
    config : StudyConfig
    dataset : Dataset
    weights : dict
        Group -> weights of its network.

    Returns
    -------
    DataFrame
        Rows per test: the output on its own experiment's sites (``home``), on the other's (``crossed``), and the other
        protocol's own model on those sites (``native``, where its group was trained).
    dict
        Pair -> 6-mers of the best and worst of the other experiment's positives.
    """
    models = {group: model_from_weights(path) for group, path in weights.items()}
    home_of = {task: group for group, tasks in config.protocols.groups.items() if group in weights for task in tasks}
    rows, kmers = [], {}
    for pair in config.protocols.pairs:
        name = f"{pair.output} on {pair.sites}"
        tests = [("home", pair.group, pair.output, pair.output), ("crossed", pair.group, pair.output, pair.sites)]
        if pair.sites in home_of:
            tests.append(("native", home_of[pair.sites], pair.sites, pair.sites))
        for kind, group, output, sites in tests:
            asked: dict[str, Any] = {"split": config.split, "tasks": {output: sites}, "options": config.options}
            scored = score_dataset(models[group], dataset, **asked)
            for negatives in NEGATIVES:
                table = scored.table(negatives).drop(columns=["task", "label_task"], errors="ignore")
                names = {"pair": name, "test": kind, "model": group, "output": output, "sites": sites}
                rows.append({**names, "negatives": negatives, **table.iloc[0].to_dict()})
            if kind == "crossed":
                kmers[name] = scored.top_and_bottom_kmers(
                    output, fraction=config.protocols.kmer_fraction, at_most=config.protocols.kmer_sites
                )
    return pd.DataFrame(rows), kmers
