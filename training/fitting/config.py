"""What a training run can be asked for: the section ``fit`` of a config file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ripe_lib.errors import InputError, check_known
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.network.spec import INPUTS, ModelSpec
from training.config import build, section
from training.fitting.batches import AugmentOptions
from training.fitting.losses import LossOptions
from training.fitting.sampling import SamplingOptions

STRATEGIES = ("none", "mirrored", "multi_worker")
BEST_BY = ("val_loss", "val_auroc")
SCHEDULES = ("constant", "cosine")
VIEWS = ("plain", "no_landmarks", "no_region", "no_flanks", "no_region_no_flanks")


@dataclass(frozen=True)
class FitConfig:
    """Everything that decides a run."""

    name: str  # of the model, e.g. "DeepRiPe/clip31"
    data: Path  # data set made by "ripe-train prepare"
    run: Path  # run directory
    tasks: tuple[str, ...] | None = None  # default: all tasks of the data set
    architecture: str = "cnn"
    inputs: str = "sequence+region"
    sizes: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    epochs: int = 20
    batch_size: int = 128
    # Which epoch's weights are kept: smallest "val_loss" (paper) or largest "val_auroc". The loss also holds the level
    # of the probabilities, which "ripe-train publish --calibrate" sets afterwards.
    best_by: str = "val_loss"
    patience: int = 5  # epochs without a better one before stopping; 0 = never stop early
    learning_rate: float = 1e-3
    schedule: str = "constant"
    weight_decay: float = 0.0
    loss: LossOptions = field(default_factory=LossOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    # Inputs the validation loss is averaged over: a model that must also work without region types can be chosen with
    # [plain, no_region].
    views: tuple[str, ...] = ("plain",)
    strategy: str = "none"  # "mirrored" for all GPUs of this host, "multi_worker" for several hosts (TF_CONFIG)
    # A model's name or directory, or the weights file of a run, whose weights the network starts from: all layers of
    # equal shape, and the outputs of tasks that both have. Default: from random weights.
    start: str = ""
    # Layers that learn; the others keep the weights of "start", and stay the same in all networks that start from it.
    # Default: all layers.
    trainable: tuple[str, ...] = ()
    # Where there is a GPU, compute in bfloat16 (weights and outputs stay float32) and, unless "deterministic", let XLA
    # compile the step. Without one nothing changes.
    fast_gpu: bool = False
    deterministic: bool = True  # use TensorFlow's deterministic kernels, which resuming with equal weights needs
    tensorboard: bool = False

    def __post_init__(self) -> None:
        check_known("strategy", self.strategy, STRATEGIES)
        check_known("schedule", self.schedule, SCHEDULES)
        check_known("best_by", self.best_by, BEST_BY)
        check_known("inputs", self.inputs, INPUTS)
        for view in self.views:
            check_known("validation view", view, VIEWS)
        if min(self.epochs, self.batch_size) < 1 or self.patience < 0 or not self.views:
            raise InputError("fit: expected epochs and batch_size of at least 1, patience >= 0 and at least one view.")
        if self.trainable and not self.start:
            raise InputError(
                "fit: 'trainable' keeps the other layers as they are in 'start'; expected 'start' with it."
            )
        if not 0 < self.learning_rate < math.inf or self.weight_decay < 0:
            raise InputError(f"fit: expected a learning_rate > 0 and weight_decay >= 0, got {self.learning_rate}.")


def read_config(path: str | Path) -> FitConfig:
    """Read the section ``fit`` of a config file; ``data`` defaults to the output of its section ``prepare``."""
    mapping = section(path, "fit")
    if "data" not in mapping:
        mapping["data"] = section(path, "prepare").get("output", "")
    return build(FitConfig, mapping, str(path))


def spec_of(config: FitConfig, dataset: Dataset) -> ModelSpec:
    """Return the spec of the network a run trains."""
    tasks = tuple(dataset.tasks) if config.tasks is None else config.tasks
    for task in tasks:
        dataset.task_index(task)
    return ModelSpec(
        name=config.name,
        tasks=tasks,
        sequence_length=dataset.sequence_length,
        region_length=dataset.region_length,
        architecture=config.architecture,
        inputs=config.inputs,
        sizes=config.sizes,
    )
