"""A model of one protocol on the sites of another (the paper's Fig. 8)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.evaluate import Evaluation, Options, score_dataset
from ripe_lib.evaluation.metrics import NEGATIVES
from training.study.arms import load_run
from training.study.config import ProtocolPair, StudyConfig


@dataclass(frozen=True)
class ProtocolResult:
    """What a pair shows.

    Attributes
    ----------
    table : DataFrame
        Rows per test: the output on its own experiment's sites (``home``), on the other's (``crossed``), and the other
        protocol's own model on those sites (``native``, where its group was trained).
    kmers : dict
        Pair's label -> 6-mers of the best and worst of the other experiment's positives.
    crossed : dict
        Pair's label -> the crossed evaluation, for pictures.
    """

    table: pd.DataFrame
    kmers: dict[str, pd.DataFrame]
    crossed: dict[str, Evaluation]


def label_of(pair: ProtocolPair) -> str:
    """Return a pair's name in tables and pictures."""
    return f"{pair.output} on {pair.sites}"


def cross_protocols(config: StudyConfig, dataset: Dataset, weights: dict[str, Path]) -> ProtocolResult:
    """Measure every pair of the config.

    Parameters
    ----------
    config : StudyConfig
    dataset : Dataset
    weights : dict
        Group -> weights of its network.
    """
    options = Options(n_bootstrap=config.n_bootstrap, prevalence=config.prevalence, seed=config.seed)
    models = {group: load_run(path) for group, path in weights.items()}
    home_of = {task: group for group, tasks in config.protocols.groups.items() if group in weights for task in tasks}
    rows, kmers, crossed = [], {}, {}
    for pair in config.protocols.pairs:
        tests = [("home", pair.group, pair.output, pair.output), ("crossed", pair.group, pair.output, pair.sites)]
        if pair.sites in home_of:
            tests.append(("native", home_of[pair.sites], pair.sites, pair.sites))
        for kind, group, output, sites in tests:
            scored = score_dataset(models[group], dataset, split=config.split, tasks={output: sites}, options=options)
            for negatives in NEGATIVES:
                table = scored.table(negatives).drop(columns=["task", "label_task"], errors="ignore")
                names = {"pair": label_of(pair), "test": kind, "model": group, "output": output, "sites": sites}
                rows.append({**names, "negatives": negatives, **table.iloc[0].to_dict()})
            if kind == "crossed":
                crossed[label_of(pair)] = scored
                kmers[label_of(pair)] = scored.top_and_bottom_kmers(
                    output, fraction=config.protocols.kmer_fraction, at_most=config.protocols.kmer_sites
                )
    return ProtocolResult(pd.DataFrame(rows), kmers, crossed)
