"""Learning from finished networks: the teachers' mean logit stands in for labels, known or not.

Hinton, Vinyals and Dean (2015), and as Beyer et al. (2022) found best: the teachers see the very input the student
sees, after all augmentation, in every epoch. A window's label says 0 or 1 for the one or two experiments that list it;
the teachers say how likely each protein is. Windows spliced of two
(:class:`training.fitting.batches.AugmentOptions`) carry what several networks agree on beyond the windows they were
trained on; without them the student learns the teachers' memory of these. The student costs what one network costs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.network.catalogue.locate import find_model_directory
from ripe_lib.network.load import Model, model_arguments, model_from_weights
from ripe_lib.network.spec import ModelSpec
from ripe_lib.network.weights import read_weights
from training.fitting.losses import EPSILON


@dataclass(frozen=True)
class DistillOptions:
    """Teachers of a run.

    Attributes
    ----------
    teachers : tuple of str
        Model names, model directories, or weights files (``.h5``) of finished runs, with the student's windows. None:
        learn from labels alone.
    share : float
        What the teachers' part is of the loss; the rest is that of the labels.
    """

    teachers: tuple[str, ...] = ()
    share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"distill: expected a share above 0 and up to 1, got {self.share}.")


def teacher_files(options: DistillOptions) -> list[Path]:
    """Return the weights files of the teachers.

    Raises
    ------
    MissingFileError, UnknownNameError
        If a file is not there, or there is no such model.
    """
    return [weights_file_of(name, "distill: teacher") for name in options.teachers]


def weights_file_of(name: str, what: str) -> Path:
    """Return the weights file a name, a model directory or a path stands for.

    Raises
    ------
    MissingFileError, UnknownNameError
        If it is not there; ``what`` says what was looked for.
    """
    if name.endswith(".h5"):
        path = Path(os.path.expandvars(name)).expanduser()
    else:
        directory = find_model_directory(name)
        path = directory / model_arguments(directory)["weights"]
    if not path.is_file():
        raise MissingFileError(f"{what} {name}: no such weights file. Train it first.")
    return path


def check_teachers(options: DistillOptions, spec: ModelSpec) -> None:
    """Refuse teachers that do not fit a student.

    Raises
    ------
    InputError
        If one has other windows or none of the tasks of the student, or a task has no teacher and learns nothing from
        labels either.
    """
    specs = [read_weights(path)[0] for path in teacher_files(options)]
    for name, theirs in zip(options.teachers, specs, strict=True):
        if theirs.sequence_length != spec.sequence_length or theirs.region_length not in (0, spec.region_length):
            raise InputError(
                f"distill: teacher {name} has windows of {theirs.sequence_length} and {theirs.region_length} nt, the "
                f"network to train {spec.sequence_length} and {spec.region_length}. Take a teacher with equal windows."
            )
        if not set(theirs.tasks) & set(spec.tasks):
            raise InputError(f"distill: teacher {name} knows none of the tasks to train ({', '.join(spec.tasks[:5])}).")
    if specs and options.share == 1:
        for task in spec.tasks:
            if not any(task in theirs.tasks for theirs in specs):
                raise InputError(
                    f"distill: no teacher knows task {task}, and with share 1 labels do not count. Add a teacher or "
                    "lower 'share'."
                )


def load_teachers(options: DistillOptions) -> list[Model]:
    """Return the teachers."""
    return [model_from_weights(path) for path in teacher_files(options)]


def task_shares(teachers: list[Model], spec: ModelSpec) -> list[NDArray[np.float32]]:
    """Return per teacher the matrix (its tasks, T) that takes its logits to its share of the mean logits.

    A task's mean is over the teachers that know it.
    """
    known = np.array([[task in teacher.tasks for task in spec.tasks] for teacher in teachers])
    weight = known / np.maximum(known.sum(axis=0), 1)
    matrices = []
    for teacher, row in zip(teachers, weight, strict=True):
        matrix = np.zeros((len(teacher.tasks), len(spec.tasks)), dtype=np.float32)
        for column, task in enumerate(spec.tasks):
            if task in teacher.tasks:
                matrix[teacher.tasks.index(task), column] = row[column]
        matrices.append(matrix)
    return matrices


def teacher_probabilities(teachers: list[Model], spec: ModelSpec, inputs: list[Any]) -> Any:
    """Return the teachers' probabilities (B, T) of one-hot inputs, their logits averaged, as a Keras tensor.

    A task that no teacher knows gets 0.5; :func:`with_teachers` leaves it out.

    Parameters
    ----------
    teachers : list of Model
    spec : ModelSpec
        Of the student, whose tasks the columns are.
    inputs : list of tensors
        ``seq`` (B, L, 4) and, where there are any, ``region`` and ``landmarks``.
    """
    from keras import ops

    logits: Any = 0.0
    for teacher, matrix in zip(teachers, task_shares(teachers, spec), strict=True):
        p = teacher.keras_model(inputs[: len(teacher.keras_model.inputs)], training=False)
        p = ops.clip(p, EPSILON, 1.0 - EPSILON)
        logits = logits + ops.matmul(ops.log(p) - ops.log(1.0 - p), matrix)
    return ops.sigmoid(logits)


def with_teachers(hard: Any, teachers: list[Model], spec: ModelSpec, share: float) -> Any:
    """Return the loss ``f(codes (B, T), [student, teacher] (B, 2T)) -> (B,)``.

    Parameters
    ----------
    hard : callable
        Loss of labels, ``f(codes, probabilities)``.
    share : float
        Weight of the teachers' cross-entropy, a mean over the tasks a teacher knows; the labels' loss has the rest.
    """
    from keras import ops

    n_tasks = len(spec.tasks)
    known = np.array([any(task in t.tasks for t in teachers) for task in spec.tasks], dtype=np.float32)
    weight = known / max(float(known.sum()), 1.0)

    def distilled_crossentropy(codes: Any, both: Any) -> Any:
        student, target = both[:, :n_tasks], both[:, n_tasks:]
        # As in the labels' loss: clipping must not hide "not a number".
        p = ops.where(ops.isnan(student), student, ops.clip(student, EPSILON, 1.0 - EPSILON))
        cross_entropy = -(target * ops.log(p) + (1.0 - target) * ops.log(1.0 - p))
        soft = ops.sum(cross_entropy * weight, axis=-1)
        return soft if share == 1 else share * soft + (1.0 - share) * hard(codes, student)

    return distilled_crossentropy
