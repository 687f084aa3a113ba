"""The arms of a study: which networks are trained, and their scores on the held-out windows.

Every network is a run directory of :mod:`training.fitting.fit`, every arm's scores one ``.npz`` file; what is there and
belongs to the same weights is not computed again, so a study that was killed goes on where it stopped.
"""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ripe_lib.errors import UnknownNameError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.evaluate import Evaluation, evaluation_of, score_dataset
from ripe_lib.genome.landmarks import LANDMARKS
from ripe_lib.network.load import model_from_weights
from ripe_lib.network.weights import sha256_of
from ripe_lib.output.atomic import atomic_file
from training.fitting.baseline import kmer_scores
from training.study.config import StudyConfig

MULTITASK, KMERS = "multitask", "kmers"
WITH_LANDMARKS = ("towers",)  # architectures that have the third input
_WORDS = {
    "own": "own negatives",
    "other_sites": "negatives are other sites",
    "unbound": "negatives are unbound windows",
    "oversample_positives": "positives oversampled to equal numbers",
    "subsample_negatives": "negatives subsampled to equal numbers",
}


class Arm(NamedTuple):
    """One or several networks that together score every task.

    ``runs``: name -> changes to the study's options of a run. ``region``, ``landmarks``: what is withheld when
    measuring (:func:`ripe_lib.evaluation.evaluate.score_dataset`).
    """

    name: str
    runs: dict[str, dict[str, Any]]
    describe: str
    region: str = "data"
    landmarks: str = "data"

    def weights(self, config: StudyConfig) -> dict[str, Path]:
        """Return where the weights of the networks are, or will be, by name of the run."""
        return {name: config.directory / "runs" / name / "weights.h5" for name in self.runs}

    def evaluation(self, config: StudyConfig, dataset: Dataset) -> Evaluation:
        """Score the held-out windows, or read the scores if they belong to these weights and this data set."""
        asked: dict[str, Any] = {"split": config.split, "region": self.region, "landmarks": self.landmarks}
        key = "\n".join([dataset.manifest_sha256, *asked.values(), *map(sha256_of, self.weights(config).values())])
        path = config.directory / "scores" / f"{self.name}.npz"
        stored: dict[str, np.ndarray] = {}
        if path.is_file():
            with np.load(path) as file:
                stored = dict(file)
        if str(stored.get("key")) != key:
            tasks: list[str] = []
            scores = []
            if self.name == KMERS:
                found = kmer_scores(dataset, dataset.tasks, split=config.split)
                tasks, scores = list(found.columns), [found.to_numpy()]
            for weights in self.weights(config).values():
                model = model_from_weights(weights)
                scored = score_dataset(model, dataset, tasks=model.tasks, **asked)
                tasks += scored.tasks
                scores.append(scored.scores)
                del model
                forget_graphs()
            stored = {"key": np.array(key), "tasks": np.array(tasks), "scores": np.concatenate(scores, axis=1)}
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path) as temporary, temporary.open("wb") as handle:
                np.savez_compressed(handle, **stored)
        pairs = {task: task for task in stored["tasks"].tolist()}
        measured = evaluation_of(dataset, dataset.indices(config.split), pairs, stored["scores"], config.options)
        return replace(measured, model=self.name, split=config.split, region=self.region)


def _network(name: str, changes: dict[str, Any], describe: str) -> Arm:
    return Arm(name, {name: changes}, describe)


def arms_of(config: StudyConfig, dataset: Dataset) -> dict[str, Arm]:
    """Return the arms a study needs, by name."""
    fit = config.fit_config("check", Path())
    base = _network(MULTITASK, {}, f"one network for all tasks, architecture {fit.architecture!r}")
    arms = [base]
    wanted = set(config.comparisons)
    if config.baseline:
        arms.append(Arm(KMERS, {}, "a logistic regression per task on k-mers (k 1-5) and region types"))
    if "modalities" in wanted:
        arms += _modalities(fit.inputs, base)
    if "architectures" in wanted:
        for name, sizes in config.architectures.items():
            inputs = fit.inputs if name in WITH_LANDMARKS else fit.inputs.removesuffix("+landmarks")
            changes = {"architecture": name, "sizes": sizes, "inputs": inputs}
            arms.append(_network(name, changes, f"architecture {name!r}, {inputs}"))
    border_arms = config.borders.arms if "borders" in wanted else ()
    if "strategies" in wanted or any(arm.startswith("single_") for arm in border_arms):
        tasks = config.single_tasks or tuple(dataset.tasks)
        for task in tasks:
            dataset.task_index(task)
        for name, options in config.strategies.items():
            changes = {**config.single_options, **config.strategy_fit.get(name, {}), "sampling": options}
            runs = {f"single_{name}/{task}": {**changes, "tasks": [task]} for task in tasks}
            words = [_WORDS[value] for value in options.values() if value in _WORDS]
            arms.append(Arm(f"single_{name}", runs, f"one network per task, {', '.join(words)}"))
    if "protocols" in wanted:
        for group, members in config.protocols.groups.items():
            if members:
                told = f"one network for the {len(members)} tasks of {group}"
                arms.append(_network(f"protocol_{group}", {"tasks": list(members)}, told))
    named = {arm.name: arm for arm in arms}
    for name in border_arms:
        if name not in named:
            raise UnknownNameError(f"study: borders: unknown arm {name!r}. Known: {', '.join(named)}.")
    return named


def _modalities(inputs: str, base: Arm) -> list[Arm]:
    """Networks that never had an input, and the multitask network with inputs withheld when it is measured."""
    arms = []
    if "region" in inputs:
        changes = {"inputs": "sequence", "views": ["plain"]}
        arms.append(_network("sequence_only", changes, "a network that has the sequence only"))
        arms.append(Arm("region_withheld", base.runs, "the multitask network, asked with sequence only", "none"))
    if "landmarks" in inputs:
        changes = {"inputs": "sequence+region"}
        arms.append(_network("no_landmarks", changes, "a network without the landmark input"))
        for what, withheld in {"landmarks": "none", **{name: name for name in LANDMARKS}}.items():
            told = f"the multitask network, {what} unknown when measured"
            arms.append(Arm(f"{what}_withheld", base.runs, told, landmarks=withheld))
    return arms


def forget_graphs() -> None:
    """Free what Keras keeps of every network: a study trains a hundred of them in one process."""
    import keras

    keras.utils.clear_session()
    gc.collect()


def time_table(config: StudyConfig, arms: dict[str, Arm]) -> pd.DataFrame:
    """Return what training took: networks, epochs, seconds, from the runs' histories; a network counts once."""
    rows = []
    counted: set[str] = set()
    for arm in arms.values():
        runs = [name for name in arm.runs if name not in counted]
        counted.update(runs)
        took = [pd.read_csv(config.directory / "runs" / name / "history.csv")["seconds"] for name in runs]
        row: dict[str, Any] = {
            "arm": arm.name,
            "what": arm.describe,
            "networks": len(runs),
            "epochs": sum(map(len, took)),
        }
        rows.append({**row, "seconds": round(float(sum(seconds.sum() for seconds in took)), 1)})
    return pd.DataFrame(rows)
