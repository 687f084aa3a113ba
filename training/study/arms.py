"""The arms of a study: which networks are trained, and their scores on the held-out windows.

Every network is a run directory of :mod:`training.fitting.fit`, every arm's scores one ``.npz`` file; what is there and
belongs to the same weights is not computed again, so a study that was killed goes on where it stopped.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripe_lib.errors import UnknownNameError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.evaluate import Evaluation, evaluation_of, score_dataset
from ripe_lib.genome.landmarks import LANDMARKS
from ripe_lib.network.load import model_from_weights
from ripe_lib.network.weights import sha256_of
from ripe_lib.output.atomic import atomic_file
from training.config import Note
from training.fitting.baseline import kmer_scores
from training.fitting.fit import fit
from training.study.config import StudyConfig

MULTITASK, KMERS = "multitask", "kmers"
WITH_LANDMARKS = ("towers",)  # architectures that have the third input


@dataclass(frozen=True)
class Run:
    """One network of an arm: ``changes`` to the study's options of a run, and whether they are single-task options."""

    name: str
    changes: dict[str, Any]
    single: bool = False


@dataclass(frozen=True)
class Arm:
    """One or several networks that together score every task, and how they are asked.

    Attributes
    ----------
    name : str
    runs : tuple of Run
    region, landmarks : str
        What is withheld when measuring (:func:`ripe_lib.evaluation.evaluate.score_dataset`).
    """

    name: str
    runs: tuple[Run, ...]
    region: str = "data"
    landmarks: str = "data"
    describe: str = field(default="", compare=False)


def arms_of(config: StudyConfig, dataset: Dataset) -> dict[str, Arm]:
    """Return the arms a study needs, by name."""
    base, fit = Run(MULTITASK, {}), config.fit_config("check", Path())
    arms = [Arm(MULTITASK, (base,), describe=f"one network for all tasks, architecture {fit.architecture!r}")]
    wanted = set(config.comparisons)
    if config.baseline:
        arms.append(Arm(KMERS, (), describe="a logistic regression per task on k-mers (k 1-5) and region types"))
    if "modalities" in wanted:
        arms += _modalities(fit.inputs, base)
    if "architectures" in wanted:
        for name, sizes in config.architectures.items():
            inputs = fit.inputs if name in WITH_LANDMARKS else fit.inputs.removesuffix("+landmarks")
            run = Run(name, {"architecture": name, "sizes": sizes, "inputs": inputs})
            arms.append(Arm(name, (run,), describe=f"architecture {name!r}, {inputs}"))
    if "strategies" in wanted or any(arm.startswith("single_") for arm in _border_arms(config)):
        tasks = config.single_tasks or tuple(dataset.tasks)
        for task in tasks:
            dataset.task_index(task)
        for name, options in config.strategies.items():
            changes = {**config.strategy_fit.get(name, {}), "sampling": options}
            runs = tuple(Run(f"single_{name}/{task}", {**changes, "tasks": [task]}, single=True) for task in tasks)
            arms.append(Arm(f"single_{name}", runs, describe=f"one network per task, {_words(options)}"))
    if "protocols" in wanted:
        for group, members in config.protocols.groups.items():
            if members:
                run = Run(f"protocol_{group}", {"tasks": list(members)})
                arms.append(Arm(run.name, (run,), describe=f"one network for the {len(members)} tasks of {group}"))
    named = {arm.name: arm for arm in arms}
    for name in _border_arms(config):
        if name not in named:
            raise UnknownNameError(f"study: borders: unknown arm {name!r}. Known: {', '.join(named)}.")
    return named


def _modalities(inputs: str, base: Run) -> list[Arm]:
    """Networks that never had an input, and the multitask network with inputs withheld when it is measured."""
    arms = []
    if "region" in inputs:
        sequence = Run("sequence_only", {"inputs": "sequence", "views": ["plain"]})
        arms.append(Arm("sequence_only", (sequence,), describe="a network that has the sequence only"))
        arms.append(Arm("region_withheld", (base,), "none", describe="the multitask network, asked with sequence only"))
    if "landmarks" in inputs:
        without = Run("no_landmarks", {"inputs": "sequence+region"})
        arms.append(Arm("no_landmarks", (without,), describe="a network without the landmark input"))
        for name in ("none", *LANDMARKS):
            what = "landmarks" if name == "none" else name
            told = f"the multitask network, {what} unknown when measured"
            arms.append(Arm(f"{what}_withheld", (base,), landmarks=name, describe=told))
    return arms


def _border_arms(config: StudyConfig) -> tuple[str, ...]:
    return config.borders.arms if "borders" in config.comparisons else ()


def _words(options: Mapping[str, Any]) -> str:
    words = {
        "own": "own negatives",
        "other_sites": "negatives are other sites",
        "unbound": "negatives are unbound windows",
        "oversample_positives": "positives oversampled to equal numbers",
        "subsample_negatives": "negatives subsampled to equal numbers",
    }
    return ", ".join(words[value] for value in options.values() if value in words)


def weights_files(config: StudyConfig, arm: Arm) -> list[Path]:
    """Return where the weights of an arm's networks are, or will be."""
    return [config.directory / "runs" / run.name / "weights.h5" for run in arm.runs]


def train_arm(config: StudyConfig, arm: Arm, data: Path, *, quiet: bool, note: Note) -> None:
    """Train the networks of an arm that are not trained yet.

    Parameters
    ----------
    config, arm, data
        Of the study.
    quiet, note
        As :func:`training.fitting.fit.fit`.
    """
    for run, weights in zip(arm.runs, weights_files(config, arm), strict=True):
        if not weights.is_file():
            note(f"training {run.name}")
            fit(config.fit_config(run.name, data, single=run.single, **run.changes), quiet=quiet, note=note)
            _forget_graphs()


def _forget_graphs() -> None:
    # A study trains a hundred networks in one process; Keras keeps every graph until told otherwise.
    import keras

    keras.utils.clear_session()
    gc.collect()


def score_arm(config: StudyConfig, arm: Arm, weights: list[Path], dataset: Dataset) -> Evaluation:
    """Score the held-out windows, or read the scores if they belong to these weights and this data set.

    Parameters
    ----------
    config, arm, dataset
        Of the study.
    weights : list of Path
        Of the arm's networks.
    """
    asked = [config.split, arm.region, arm.landmarks]
    key = "\n".join([dataset.manifest_sha256, *asked, *(sha256_of(path) for path in weights)])
    path = config.directory / "scores" / f"{arm.name}.npz"
    if path.is_file():
        with np.load(path) as stored:
            if str(stored["key"]) == key:
                return _evaluation(config, arm, dataset, stored["tasks"].tolist(), stored["scores"])
    tasks: list[str] = []
    scores = []
    if arm.name == KMERS:
        found = kmer_scores(dataset, dataset.tasks, split=config.split)
        tasks, scores = list(found.columns), [found.to_numpy()]
    for file in weights:
        model = model_from_weights(file)
        scored = score_dataset(
            model, dataset, split=config.split, tasks=model.tasks, region=arm.region, landmarks=arm.landmarks
        )
        tasks += scored.tasks
        scores.append(scored.scores)
        del model
        _forget_graphs()
    together = np.concatenate(scores, axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, key=np.array(key), tasks=np.array(tasks), scores=together)
    return _evaluation(config, arm, dataset, tasks, together)


def _evaluation(config: StudyConfig, arm: Arm, dataset: Dataset, tasks: list[str], scores: np.ndarray) -> Evaluation:
    pairs = {task: task for task in tasks}
    measured = evaluation_of(dataset, dataset.indices(config.split), pairs, scores, config.options)
    return replace(measured, model=arm.name, split=config.split, region=arm.region)


def time_table(config: StudyConfig, arms: dict[str, Arm]) -> pd.DataFrame:
    """Return what training took: networks, epochs, seconds, from the runs' histories; a network counts once."""
    rows = []
    counted: set[str] = set()
    for arm in arms.values():
        runs = [run.name for run in arm.runs if run.name not in counted]
        counted.update(runs)
        took = [pd.read_csv(config.directory / "runs" / name / "history.csv")["seconds"] for name in runs]
        rows.append(
            {
                "arm": arm.name,
                "what": arm.describe,
                "networks": len(runs),
                "epochs": sum(map(len, took)),
                "seconds": round(float(sum(seconds.sum() for seconds in took)), 1),
            }
        )
    return pd.DataFrame(rows)
