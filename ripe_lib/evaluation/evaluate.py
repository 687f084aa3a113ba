"""Measuring a model on a prepared data set: each task's positives against negatives of a stated kind.

Axes: N windows, L sequence, R region track, T tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
DEFAULT_PREVALENCE = 0.2  # the CLIP tables have one positive in five windows
MOST_POINTS = 500  # of a curve
_BLOCK = 16_384

TaskChoice = Sequence[str] | Mapping[str, str] | None


@dataclass(frozen=True)
class Options:
    """How numbers are made from scores.

    Attributes
    ----------
    n_bootstrap : int
        Draws of the stratified bootstrap; the windows of a locus are drawn together.
    confidence : float
        Coverage of the intervals.
    prevalence : float
        Share of positives at which calibration is measured.
    seed : int
        Of the bootstrap. The same seed gives the same numbers.
    """

    n_bootstrap: int = 1000
    confidence: float = 0.95
    prevalence: float = DEFAULT_PREVALENCE
    seed: int = 0


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model on one split, with what is needed to judge them.

    Attributes
    ----------
    model, dataset, split, region : str
        Where the scores come from.
    tasks : list of str
        Outputs of the model, the columns of ``labels`` and ``scores``.
    labels : (N, T) int8
        1 bound, 0 surely not bound, -1 unknown, as in the data set.
    scores : (N, T) float32
        Predicted probabilities.
    seq_codes : (N, L) uint8
        Bases of the windows, RNA sense.
    intervals : DataFrame
        Sites, one row per window.
    cluster : (N,) int64
        Locus of every window.
    label_tasks : list of str
        The data set's name of each column (differs from ``tasks`` when a model is tested on another experiment).
    bound_elsewhere : (N, T) bool
        Sites of other proteins: positive in some task of the data set, but in none of the column's own protein.
    """

    model: str
    dataset: str
    split: str
    region: str
    tasks: list[str]
    label_tasks: list[str]
    labels: np.ndarray
    scores: np.ndarray
    bound_elsewhere: np.ndarray
    seq_codes: Codes
    intervals: pd.DataFrame
    cluster: np.ndarray
    options: Options = field(default_factory=Options)

    @property
    def negatives(self) -> tuple[str, ...]:
        """The kinds of negatives there are: sites of other proteins only where some are known."""
        return metrics.NEGATIVES if self.bound_elsewhere.any() else metrics.NEGATIVES[:1]

    def labels_with(self, negatives: str) -> np.ndarray:
        """Return labels (N, T) with ``"own"`` negatives or ``"other"`` proteins' sites as negatives."""
        return metrics.with_negatives(self.labels, negatives, bound_elsewhere=self.bound_elsewhere)

    def table_and_draws(self, negatives: str = "own") -> tuple[pd.DataFrame, metrics.Draws]:
        """Return the table of :meth:`table` and the bootstrap draws behind its intervals."""
        options = self.options
        table, draws = metrics.task_metrics_and_draws(
            self.labels_with(negatives),
            self.scores,
            tasks=self.tasks,
            n_bootstrap=options.n_bootstrap,
            rng=np.random.default_rng([options.seed, metrics.NEGATIVES.index(negatives)]),
            confidence=options.confidence,
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
        return metrics.mean_metrics(*self.table_and_draws(negatives), confidence=self.options.confidence)

    def labelled(self, task: str, negatives: str = "own") -> tuple[np.ndarray, np.ndarray]:
        """Return labels (n,) of 0 and 1 and scores (n,) of one task's known windows."""
        column = self.tasks.index(task)
        label = self.labels_with(negatives)[:, column]
        return label[label >= 0], self.scores[label >= 0, column]

    def curves(self, negatives: str = "own") -> pd.DataFrame:
        """Return ROC and PR points of all tasks: ``task negatives curve x y threshold``; undefined tasks have none.

        A curve with more than :data:`MOST_POINTS` points is thinned to so many, evenly along its ranks.
        """
        parts = []
        for task in self.tasks:
            label, score = self.labelled(task, negatives)
            if not 0 < label.sum() < len(label):
                continue
            for name, curve in (("roc", metrics.roc_curve(label, score)), ("pr", metrics.pr_curve(label, score))):
                kept = np.unique(np.linspace(0, len(curve.x) - 1, min(MOST_POINTS, len(curve.x))).round().astype(int))
                points = pd.DataFrame({"x": curve.x[kept], "y": curve.y[kept], "threshold": curve.threshold[kept]})
                parts.append(points.assign(task=task, negatives=negatives, curve=name))
        columns = ["task", "negatives", "curve", "x", "y", "threshold"]
        return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)

    def reliability(self) -> pd.DataFrame:
        """Return the reliability curve of all tasks at the stated prevalence, one row per task and bin."""
        parts = []
        for task in self.tasks:
            label, score = self.labelled(task)
            if 0 < label.sum() < len(label):
                curve = metrics.reliability_curve(label, score, prevalence=self.options.prevalence)
                curve.insert(0, "task", task)
                parts.append(curve.assign(negatives="own"))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["task", "negatives"])

    def score_histogram(self) -> pd.DataFrame:
        """Count scores of positives, own negatives and other proteins' sites: ``task group low high n``."""
        edges = np.linspace(0, 1, 21)
        parts = []
        for column, task in enumerate(self.tasks):
            groups = {
                "positive": self.labels[:, column] == 1,
                "negative": self.labels[:, column] == 0,
                "other": self.bound_elsewhere[:, column],
            }
            for group, rows in groups.items():
                n, _ = np.histogram(self.scores[rows, column], edges)
                parts.append(pd.DataFrame({"task": task, "group": group, "low": edges[:-1], "high": edges[1:], "n": n}))
        return pd.concat(parts, ignore_index=True)

    def top_and_bottom_kmers(
        self, task: str, *, k: int = 6, fraction: float = 0.1, at_most: int = 2000, span: int | None = 50
    ) -> pd.DataFrame:
        """Compare k-mers of the positives that score highest and lowest (the paper's Figs. 2 and 8).

        Parameters
        ----------
        task : str
        k : int
        fraction, at_most
            Size of both sets, see :func:`ripe_lib.genome.kmers.extremes`.
        span : int, optional
            Only the middle ``span`` nt of the windows, the site itself; ``None``: whole windows.

        Returns
        -------
        DataFrame
            :func:`ripe_lib.genome.kmers.compare_kmers` with ``n_top`` and ``n_bottom``; empty below two positives.
        """
        column = self.tasks.index(task)
        positives = np.flatnonzero(self.labels[:, column] == 1)
        top, bottom = extremes(self.scores[positives, column], fraction=fraction, at_most=at_most)
        codes = self.seq_codes
        if span is not None and span < codes.shape[1]:
            first = (codes.shape[1] - span) // 2
            codes = codes[:, first : first + span]
        table = compare_kmers(codes[positives[top]], codes[positives[bottom]], k=k)
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
        Bootstrap draws, confidence, prevalence of the calibration error, seed.

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
    model : Model, name or directory
    dataset : Dataset or path
    split : str
        ``"train"``, ``"valid"``, ``"test"`` or ``"all"``.
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
    options : Options, optional
        Kept in the result.
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
    evaluation = evaluation_of(data, rows, dict(pairs), scores, options)
    region = region if model.spec.has_region else "none"
    return replace(evaluation, model=model.name, split=split, region=region)


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
    data : Dataset
    rows : (n,) int
    tasks : mapping
        Output -> task of the data set, one per column of ``scores``.
    scores : (n, T) float
        Probabilities.
    options : Options, optional
    """
    labels = data.labels[rows][:, [data.task_index(name) for name in tasks.values()]]
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
        bound_elsewhere=_bound_elsewhere(data, rows, list(tasks.values())),
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


def _bound_elsewhere(data: Dataset, rows: np.ndarray, tasks: list[str]) -> np.ndarray:
    positive = data.labels[rows] == 1
    proteins = [proteins_of(name) for name in data.tasks]
    bound = positive.any(axis=1)
    columns = []
    for task in tasks:
        own = proteins[data.tasks.index(task)]
        kin = [index for index, others in enumerate(proteins) if own & others]
        columns.append(bound & ~positive[:, kin].any(axis=1))
    return np.stack(columns, axis=1)


def _crop(codes: Codes, length: int, data: Dataset, kind: str, model: str) -> Codes:
    # Even window lengths share their middle (the window rule), so a shorter window is a symmetric cut.
    spare = codes.shape[1] - length
    if spare < 0 or spare % 2:
        raise ShapeMismatchError(
            f"{data.path}: expected {kind} windows of at least {length} nt for {model}, got {codes.shape[1]} with "
            "margins. Prepare the data set with longer windows."
        )
    return np.ascontiguousarray(codes[:, spare // 2 : spare // 2 + length])
