"""Measuring a model on a prepared data set: each task's positives against negatives of a stated kind.

Axes: N windows, L sequence, R region track, T tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ripe_lib.errors import InputError, ShapeMismatchError, check_known
from ripe_lib.evaluation import metrics
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.genome.encoding import Codes
from ripe_lib.genome.kmers import compare_kmers, extremes
from ripe_lib.genome.landmarks import LANDMARKS
from ripe_lib.output.console import steps

if TYPE_CHECKING:
    from ripe_lib.network.load import Model

REGION_CHOICES = ("data", "none")
LANDMARK_CHOICES = (*REGION_CHOICES, *LANDMARKS)
MOST_POINTS = 500  # of a curve
_BLOCK = 16_384

TaskChoice = Sequence[str] | Mapping[str, str] | None


@dataclass(frozen=True)
class Options:
    """How numbers are made from scores: stratified bootstrap (a locus is drawn as one) and calibration."""

    n_bootstrap: int = 1000  # draws
    prevalence: float = 0.2  # at which calibration is measured: the CLIP tables have one positive in five windows
    seed: int = 0  # of the bootstrap; the same gives the same numbers


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model on one split, with what is needed to judge them.

    ``bound_elsewhere`` are sites of other proteins: positive in some task of the data set, but in none of the column's
    own protein.
    """

    model: str
    dataset: str
    split: str
    region: str
    tasks: list[str]  # outputs of the model, the columns of ``labels`` and ``scores``
    label_tasks: list[str]  # the data set's names of them; other ones when a model is tested on another experiment
    labels: np.ndarray  # (N, T) int8: 1 bound, 0 surely not bound, -1 unknown
    scores: np.ndarray  # (N, T) float32 probabilities
    bound_elsewhere: np.ndarray  # (N, T) bool
    seq_codes: Codes  # (N, L) bases, RNA sense
    intervals: pd.DataFrame  # sites, one row per window
    cluster: np.ndarray  # (N,) int64, locus of every window
    options: Options = field(default_factory=Options)

    @property
    def negatives(self) -> tuple[str, ...]:
        """The kinds of negatives there are: sites of other proteins only where some are known."""
        return metrics.NEGATIVES if self.bound_elsewhere.any() else metrics.NEGATIVES[:1]

    def labels_with(self, negatives: str) -> np.ndarray:
        """Return labels (N, T) with sure negatives (``"own"``) or the ``"other"`` proteins' sites as negatives."""
        if negatives not in metrics.NEGATIVES:
            raise InputError(f"expected negatives to be one of {metrics.NEGATIVES}, got {negatives!r}.")
        if negatives == "own":
            return self.labels
        return np.where(self.labels == 1, 1, np.where(self.bound_elsewhere, 0, -1)).astype(np.int8)

    def table_and_draws(self, negatives: str) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
        """Return the table of :meth:`table` and the bootstrap draws behind its intervals."""
        options = self.options
        table, draws = metrics.task_metrics_and_draws(
            self.labels_with(negatives),
            self.scores,
            tasks=self.tasks,
            n_bootstrap=options.n_bootstrap,
            rng=np.random.default_rng([options.seed, metrics.NEGATIVES.index(negatives)]),
            prevalence=options.prevalence,
            groups=self.cluster,
        )
        if self.label_tasks != self.tasks:
            table.insert(1, "label_task", self.label_tasks)
        return table, draws

    def table(self, negatives: str = "own") -> pd.DataFrame:
        """Measure every task against ``"own"`` or ``"other"`` negatives, as :func:`metrics.task_metrics`."""
        return self.table_and_draws(negatives)[0]

    def summary(self, negatives: str = "own") -> dict[str, float]:
        """Average over the tasks (:func:`ripe_lib.evaluation.metrics.mean_metrics`)."""
        return metrics.mean_metrics(*self.table_and_draws(negatives))

    def _defined(self, negatives: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Yield tasks that have both classes, with labels (n,) of 0 and 1 and scores (n,) of the known windows."""
        for task, label, score in zip(self.tasks, self.labels_with(negatives).T, self.scores.T, strict=True):
            known = label >= 0
            if 0 < label[known].sum() < known.sum():
                yield task, label[known], score[known]

    def curves(self, negatives: str = "own") -> pd.DataFrame:
        """Return ROC and PR points of all tasks: ``task negatives curve x y threshold``; undefined tasks have none.

        A curve with more than :data:`MOST_POINTS` points is thinned to so many, evenly along its ranks.
        """
        parts = []
        for task, label, score in self._defined(negatives):
            for name, curve in metrics.curves(label, score).items():
                kept = np.unique(np.linspace(0, len(curve) - 1, min(MOST_POINTS, len(curve))).round().astype(int))
                parts.append(curve.iloc[kept].assign(task=task, negatives=negatives, curve=name))
        columns = ["task", "negatives", "curve", "x", "y", "threshold"]
        return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)

    def reliability(self) -> pd.DataFrame:
        """Return the reliability curve of all tasks at the stated prevalence, one row per task and bin."""
        parts = []
        for task, label, score in self._defined("own"):
            curve = metrics.reliability_curve(label, score, prevalence=self.options.prevalence)
            curve.insert(0, "task", task)
            parts.append(curve.assign(negatives="own"))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["task", "negatives"])

    def score_histogram(self) -> pd.DataFrame:
        """Count scores of positives, own negatives and other proteins' sites: ``task group low high n``."""
        edges = np.linspace(0, 1, 21)
        parts = []
        for column, task in enumerate(self.tasks):
            label = self.labels[:, column]
            groups = {"positive": label == 1, "negative": label == 0, "other": self.bound_elsewhere[:, column]}
            for group, rows in groups.items():
                n, _ = np.histogram(self.scores[rows, column], edges)
                parts.append(pd.DataFrame({"task": task, "group": group, "low": edges[:-1], "high": edges[1:], "n": n}))
        return pd.concat(parts, ignore_index=True)

    def top_and_bottom_kmers(
        self, task: str, *, fraction: float = 0.1, at_most: int = 2000, span: int = 50
    ) -> pd.DataFrame:
        """Compare 6-mers of the positives that score highest and lowest (the paper's Figs. 2 and 8).

        Returns :func:`ripe_lib.genome.kmers.compare_kmers` with ``n_top`` and ``n_bottom``; empty below two positives.

        Parameters
        ----------
        task : str
        fraction, at_most
            Size of both sets, see :func:`ripe_lib.genome.kmers.extremes`.
        span : int
            Only the middle ``span`` nt of the windows, the site itself.
        """
        column = self.tasks.index(task)
        positives = np.flatnonzero(self.labels[:, column] == 1)
        top, bottom = extremes(self.scores[positives, column], fraction=fraction, at_most=at_most)
        first = max(0, (self.seq_codes.shape[1] - span) // 2)
        codes = self.seq_codes[:, first : first + span]
        table = compare_kmers(codes[positives[top]], codes[positives[bottom]])
        return table.assign(n_top=len(top), n_bottom=len(bottom))


def evaluate(
    model: Model | str | Path,
    dataset: Dataset | str | Path,
    *,
    split: str = "test",
    negatives: str = "own",
    tasks: TaskChoice = None,
    region: str = "data",
    options: Options | None = None,
    batch_size: int = 1024,
) -> pd.DataFrame:
    """Measure a model on a prepared data set.

    Parameters
    ----------
    model : Model, name or directory
    dataset : Dataset or path
        Made by ``ripe-train prepare``.
    split : str
        ``"test"``, ``"valid"``, ``"train"`` or ``"all"``.
    negatives : str
        ``"own"``: each experiment's positives against its own sure negatives. ``"other"``: against the sites of the
        other proteins. Windows whose label is unknown are never negatives of the first kind.
    tasks, region, batch_size
        See :func:`score_dataset`.
    options : Options, optional

    Returns
    -------
    DataFrame
        One row per task: ``task n n_pos n_neg auroc auroc_low auroc_high ap ap_low ap_high ece reason``. A task that
        cannot be measured has NaN and its reason.

    Raises
    ------
    InputError, UnknownNameError, ShapeMismatchError
        If tasks or windows do not match, the split is missing, or predictions are not finite.
    """
    return score_dataset(
        model, dataset, split=split, tasks=tasks, region=region, options=options, batch_size=batch_size
    ).table(negatives)


def score_dataset(
    model: Model | str | Path,
    dataset: Dataset | str | Path,
    *,
    split: str = "test",
    tasks: TaskChoice = None,
    region: str = "data",
    landmarks: str = "data",
    sources: Sequence[str] | None = None,
    bound_only: bool = False,
    options: Options | None = None,
    batch_size: int = 1024,
) -> Evaluation:
    """Predict one split of a data set and keep what is needed to judge it.

    Parameters
    ----------
    model, dataset, split, options
        As :func:`evaluate`.
    tasks : sequence or mapping, optional
        Outputs to look at; default all, and then the data set must have every one. A mapping ``output -> data set's
        task`` tests an output on another experiment (a model of one protocol on another's sites).
    region : str
        ``"data"``, or ``"none"``: region types and landmarks are withheld, as for callers without an annotation.
    landmarks : str
        ``"data"``, ``"none"`` (all landmarks withheld), or the name of the one landmark that is withheld.
    sources : sequence of str, optional
        Only rows of these sources.
    bound_only : bool
        Only rows that some task looked at has as a site: negatives are then the sites of the others, as in the paper's
        tiers.
    batch_size : int
        Windows per network call.
    """
    from ripe_lib.network.load import Model, load_model
    from ripe_lib.network.predict import predict_codes

    if not isinstance(model, Model):
        model = load_model(model)
    data = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
    check_known("region choice", region, REGION_CHOICES)
    check_known("landmark choice", landmarks, LANDMARK_CHOICES)
    pairs = _match_tasks(model, data, tasks)
    rows = np.arange(len(data)) if split == "all" else data.indices(split)
    rows = rows_to_measure(data, rows, [data.task_index(name) for _, name in pairs], sources, bound_only)
    columns = [model.spec.task_index(output) for output, _ in pairs]
    scores = np.empty((len(rows), len(pairs)), dtype=np.float32)
    blocks = [slice(first, min(first + _BLOCK, len(rows))) for first in range(0, len(rows), _BLOCK)]
    for block in steps(blocks, "predicting"):
        seq = _crop(data.seq_codes(rows[block]), model.spec.sequence_length, data, "sequence", model.spec.name)
        regions = distances = None
        if region == "data":
            withheld = [landmarks in (name, "none") for name in LANDMARKS]
            distances = np.where(withheld, np.nan, data.landmarks(rows[block])).astype(np.float32)
            if model.spec.has_region:
                codes = data.region_codes(rows[block])
                regions = _crop(codes, model.spec.region_length, data, "region", model.spec.name)
        scores[block] = predict_codes(model, seq, regions, distances, batch_size=batch_size)[:, columns]
    measured = evaluation_of(data, rows, dict(pairs), scores, options)
    return replace(measured, model=model.name, split=split, region=region if model.spec.has_region else "none")


def rows_to_measure(
    data: Dataset, rows: np.ndarray, columns: list[int], sources: Sequence[str] | None, bound_only: bool
) -> np.ndarray:
    """Return those rows that are measured on; parameters as :func:`score_dataset`, ``columns`` of its tasks."""
    for name in sources or ():
        check_known("source", name, data.sources, f"The data set is {data.path}.")
    if sources is not None:
        rows = rows[np.isin(data.source[rows], list(sources))]
    if bound_only:
        rows = rows[(data.labels[rows][:, columns] == 1).any(axis=1)]
    if not len(rows):
        raise InputError(f"{data.path}: expected rows to measure on, got none. Choose other sources or tasks.")
    return rows


def evaluation_of(
    data: Dataset, rows: np.ndarray, tasks: Mapping[str, str], scores: np.ndarray, options: Options | None = None
) -> Evaluation:
    """Put ready scores of some rows of a data set together with what is needed to judge them.

    Parameters
    ----------
    data, rows, options
    tasks : mapping
        Output -> task of the data set, one per column of ``scores``.
    scores : (n, T) float
        Probabilities, of the n rows.
    """
    columns = [data.task_index(name) for name in tasks.values()]
    labels = data.labels[rows][:, columns]
    metrics.check_labels_and_scores(labels, scores)
    return Evaluation(
        model="",
        dataset=str(data.path),
        split="",
        region="data",
        tasks=list(tasks),
        label_tasks=list(tasks.values()),
        labels=labels,
        scores=scores,
        bound_elsewhere=_bound_elsewhere(data, rows, columns),
        seq_codes=data.centred_codes(rows)[0],
        intervals=data.intervals.iloc[rows].reset_index(drop=True),
        cluster=data.cluster[rows],
        options=options or Options(),
    )


def _match_tasks(model: Model, data: Dataset, tasks: TaskChoice) -> list[tuple[str, str]]:
    """Pair outputs with label columns, or say which do not fit."""
    if tasks is None:
        missing = [task for task in model.tasks if task not in data.tasks]
        if missing:
            raise InputError(
                f"{data.path}: expected labels for every output of {model.name}, got none for {len(missing)} of "
                f"{len(model.tasks)} ({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}). "
                "Use the data set the model was made for, or choose outputs with --task OUTPUT[=DATASET_TASK]."
            )
        return [(task, task) for task in model.tasks]
    pairs = list(tasks.items()) if isinstance(tasks, Mapping) else [(task, task) for task in dict.fromkeys(tasks)]
    if not pairs:
        raise InputError("expected at least one task to evaluate, got none.")
    for output, name in pairs:
        model.spec.task_index(output)
        data.task_index(name)
    return pairs


def proteins_of(task: str) -> frozenset[str]:
    """Return the proteins of a task: the catalogue's, else the part of its name before the first underscore."""
    from ripe_lib.network.catalogue.entries import catalogue

    entries = (entry for entries in catalogue().tasks.values() for entry in entries)
    known = next((entry.rbp for entry in entries if entry.task == task and entry.rbp), task.split("_")[0])
    return frozenset(known.split(";"))


def _bound_elsewhere(data: Dataset, rows: np.ndarray, columns: list[int]) -> np.ndarray:
    positive = data.labels[rows] == 1
    proteins = [proteins_of(name) for name in data.tasks]
    kin = np.array([[bool(proteins[column] & others) for others in proteins] for column in columns])
    by_own = np.stack([positive[:, own].any(axis=1) for own in kin], axis=1)
    return positive.any(axis=1, keepdims=True) & ~by_own


def _crop(codes: Codes, length: int, data: Dataset, kind: str, model: str) -> Codes:
    # Even window lengths share their middle (the window rule), so a shorter window is a symmetric cut.
    spare = codes.shape[1] - length
    if spare < 0 or spare % 2:
        raise ShapeMismatchError(
            f"{data.path}: expected {kind} windows of at least {length} nt for {model}, got {codes.shape[1]} with "
            "margins. Prepare the data set with longer windows."
        )
    return np.ascontiguousarray(codes[:, spare // 2 : spare // 2 + length])
