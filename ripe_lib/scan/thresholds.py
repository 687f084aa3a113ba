"""From which probability on a bin belongs to a site: given, from the calibration, or from a false-positive rate.

Calibration. The probabilities of a calibrated model hold where a share ``c`` (0.20) of the windows is bound. Where one
looks at windows of which a share ``R`` is bound, a window with probability ``p`` is bound with the odds
``p / (1 - p) * (R / (1 - R)) / (c / (1 - c))`` (Bayes). The threshold for *precision* ``P`` is the ``p`` at which this
is ``P``: the weakest site called is real with probability ``P``, the others with more. It is the same for all tasks,
because each has its own calibration. It asks for trust in the calibration, which was fitted on windows with 101 or more
known bases; on shorter RNAs the probabilities of many tasks are far too high.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.evaluation.metrics import shift_prevalence
from ripe_lib.network.load import Model
from ripe_lib.network.network import Floats
from ripe_lib.scan.background import BIN_RATE, RNA_RATE, Group, background_of, groups_of, thresholds_at
from ripe_lib.scan.engine import Scanner
from ripe_lib.scan.sources import Run, Source

_STATED = re.compile(r"\(Platt\)\s+for\s+a\s+prevalence\s+of\s+(0\.\d+)")


@dataclass(frozen=True)
class ThresholdChoice:
    """How thresholds are found; at most one of the first three is given.

    Attributes
    ----------
    threshold : float, optional
        Probability, for all tasks.
    precision : float, optional
        From the calibration: probability that the weakest site called is real, if a share ``prevalence`` of the places
        looked at is bound (default: that of the calibration).
    false_positive_rate : float, optional
        Share of a background that may show a site: of bins (default 0.01), of RNAs if they are shorter than the window
        (default 0.05). The default way.
    background : str
        See :func:`ripe_lib.scan.background.background_of`.
    seed : int
    """

    threshold: float | None = None
    precision: float | None = None
    prevalence: float | None = None
    false_positive_rate: float | None = None
    background: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        shares = {"precision": self.precision, "false-positive rate": self.false_positive_rate}
        given = [name for name, value in {"threshold": self.threshold, **shares}.items() if value is not None]
        if len(given) > 1:
            raise InputError(f"expected one way to choose thresholds, got {' and '.join(given)}.")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise InputError(f"threshold: expected a probability above 0, at most 1, got {self.threshold}.")
        for name, value in {**shares, "prevalence": self.prevalence}.items():
            if value is not None and not 0 < value < 1:
                raise InputError(f"{name}: expected a number between 0 and 1, got {value}.")
        if self.prevalence is not None and self.precision is None:
            raise InputError("prevalence: only means something together with a precision, got it alone.")


@dataclass
class Thresholds:
    """Thresholds per group of runs and task, and the backgrounds they came from.

    ``values``: float64 (G, T); ``explanation``: one clause for people; ``backgrounds``: float32 (n, T) of each group,
    see :func:`ripe_lib.scan.background.background_of`; none unless a false-positive rate was asked for.
    """

    groups: list[Group]
    tasks: list[str]
    values: NDArray[np.float64]
    explanation: str
    backgrounds: list[Floats] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._group_of = {run.contig: number for number, group in enumerate(self.groups) for run in group.runs}

    def of(self, contig: str) -> NDArray[np.float64]:
        """Return the thresholds (T,) of a contig of the source."""
        return self.values[self._group_of[contig]]

    def rates(self, contig: str, columns: Sequence[int], scores: Floats) -> NDArray[np.float64]:
        """Return the share of the background that reaches each score (n,), NaN if there is no background.

        It is ``(1 + k) / (1 + n)`` for ``k`` of ``n``, which is what a test by random draws allows to state: never 0.

        Parameters
        ----------
        contig : str
        columns : sequence of int (n,)
            Of the tasks.
        scores : float32 array (n,)
        """
        if not self.backgrounds:
            return np.full(len(scores), np.nan)
        background = self.backgrounds[self._group_of[contig]]
        below = [np.searchsorted(background[:, column], score) for column, score in zip(columns, scores, strict=True)]
        return (1 + len(background) - np.array(below)) / (1 + len(background))

    def table(self) -> pd.DataFrame:
        """Return ``of task threshold``, one row per group and task."""
        of = np.repeat([group.name for group in self.groups], len(self.tasks))
        return pd.DataFrame({"of": of, "task": self.tasks * len(self.groups), "threshold": self.values.ravel()})

    def nested(self) -> dict[str, dict[str, float]]:
        """Return group name -> task -> threshold."""
        rows = zip(self.groups, self.values.tolist(), strict=True)
        return {group.name: dict(zip(self.tasks, values, strict=True)) for group, values in rows}


def find_thresholds(scanner: Scanner, source: Source, runs: Sequence[Run], choice: ThresholdChoice) -> Thresholds:
    """Return the thresholds of every run and task for a choice.

    Parameters
    ----------
    scanner : Scanner
    source : Source
    runs : sequence of Run
        In the order of the FASTA: what a seed draws depends on it.
    choice : ThresholdChoice
    """
    tasks, groups = scanner.tasks, groups_of(source, runs, scanner.lengths[0]) if runs else []
    fixed, explanation = choice.threshold, f"threshold {choice.threshold} for all tasks"
    if choice.precision is not None:
        own = calibration_prevalence(scanner.model)
        prevalence = own if choice.prevalence is None else choice.prevalence
        fixed = float(shift_prevalence(np.array(choice.precision), source=prevalence, target=own))
        explanation = (
            f"threshold {fixed:.3f} for all tasks: where {prevalence:g} of the places are bound, a bin with this "
            f"probability is bound with probability {choice.precision:g}"
        )
        if any(group.is_short for group in groups):
            explanation += "; the calibration does not hold for RNAs shorter than the window, compare with --fpr"
    if fixed is not None:
        return Thresholds([Group(tuple(runs), None)], tasks, np.full((1, len(tasks)), fixed), explanation)
    if not groups:
        return Thresholds([], tasks, np.zeros((0, len(tasks))), "nothing to scan, so no thresholds")
    own_rate = choice.false_positive_rate
    rates = {False: own_rate or BIN_RATE, True: own_rate or RNA_RATE}  # of long and of short input
    backgrounds, values = [], []
    for group in groups:
        rate = rates[group.is_short]
        rng = np.random.default_rng([choice.seed, *(group.lengths or ())])  # whatever else is in the input
        backgrounds.append(background_of(scanner, source, group, rate, choice.background, rng))
        values.append(thresholds_at(backgrounds[-1], rate))
    found = np.stack(values)
    said = {False: "of the bins of the background reach them", True: "of random RNAs as short as these show a site"}
    kinds = sorted({group.is_short for group in groups})
    parts = "; ".join(f"{rates[kind]:g} {said[kind]}" for kind in kinds)
    explanation = f"thresholds {found.min():.3f} to {found.max():.3f}: {parts}"
    return Thresholds(groups, tasks, found, explanation, backgrounds)


def calibration_prevalence(model: Model) -> float:
    """Return the share of bound windows for which a model's probabilities hold, as its card states.

    The weights hold scale and offset of the calibration folded into the output layer; that they were fitted, and for
    which share, is only stated in the card that is rendered when a model is published.
    """
    card = None if model.directory is None else model.directory / "model_card.md"
    stated = _STATED.search(card.read_text(encoding="utf-8")) if card is not None and card.is_file() else None
    if stated is None:
        raise InputError(
            f"model {model.name}: expected calibrated probabilities for a precision, but its model card does not state "
            "a calibration. Choose a false-positive rate or a threshold instead."
        )
    return float(stated.group(1))
