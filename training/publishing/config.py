"""The section ``publish`` of a config: which networks are trained, and which models are made of their outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ripe_lib.errors import InputError, check_known
from ripe_lib.network.catalogue.entries import catalogue
from training.config import build, merged, plain
from training.fitting.config import FitConfig

PAPER_SUFFIX = "_paper"


@dataclass(frozen=True)
class PublishConfig:
    """The section ``publish`` of a config.

    Attributes
    ----------
    networks : dict
        Name -> what it changes in the section ``fit``; ``start`` may name one above. ``groups`` of its ``sampling`` are
        models here, or ``outputs`` for all: each one's tasks are a group, and the network learns these only.
    outputs : dict
        Model -> the tasks it keeps: a list; ``{published: MODEL, suffix: TEXT}`` for those of a published model whose
        names, with the suffix, the data set has; or ``{peaks: [LEAST, MOST]}`` for those with so many peaks (``null``:
        no limit), which leaves a model without tasks out. A mapping may also hold ``network``: the one this model is
        taken from, and ``tune``: what it changes in the option of that name.
    default, paper : str
        The network the other models are taken from, and the one that gives the ``_paper`` models (none if empty).
    tune : dict
        If given, every model gets a network of its own: it starts from that one, learns the model's tasks only, and
        this is what it changes in the section ``fit``. Layers that are not among its ``trainable`` stay the same in all
        models, which are then scored together in less time than one by one. The paper's network stays whole.
    alone : tuple of str
        Networks that are not trained on all tasks: every model trains one of its own on its tasks, from the beginning,
        as the paper did.
    sources : tuple of str, optional
        Calibration and measurement look at rows of these sources only.
    bound_only : bool
        They look at bins that one of the model's own tasks has as a site, as the paper's tiers do.
    """

    networks: dict[str, Any]
    outputs: dict[str, Any]
    default: str
    paper: str = ""
    tune: dict[str, Any] = field(default_factory=dict)
    alone: tuple[str, ...] = ()
    sources: tuple[str, ...] | None = None
    bound_only: bool = False
    backgrounds: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (self.default, *self._taken().values(), *([self.paper] if self.paper else []), *self.alone):
            check_known("network", name, self.networks)

    def models(self) -> dict[str, str]:
        """Return the network of every model."""
        papers = {f"{name}{PAPER_SUFFIX}": self.paper for name in self.outputs} if self.paper else {}
        return self._taken() | papers

    def _taken(self) -> dict[str, str]:
        chosen = {model: tasks if isinstance(tasks, dict) else {} for model, tasks in self.outputs.items()}
        return {model: tasks.get("network", self.default) for model, tasks in chosen.items()}

    def groups(self, models: str | Sequence[str], peaks: Mapping[str, float]) -> list[list[str]]:
        """Return the tasks of some models, or of all for ``"outputs"``; ``peaks`` as for :meth:`tasks`."""
        if isinstance(models, str):
            models = list(self.outputs) if models == "outputs" else [models]
        for model in models:
            check_known("model of groups", model, self.outputs)
        return [tasks for model in models if (tasks := self.tasks(model, peaks))]

    def tasks(self, model: str, peaks: Mapping[str, float]) -> list[str]:
        """Return the tasks of a model; ``peaks``: tasks of the data set -> number of peaks, NaN where it is not known.

        None, if tasks are chosen by that number; else to have none is an ``InputError``.
        """
        chosen = self.outputs[model.removesuffix(PAPER_SUFFIX)]
        if isinstance(chosen, dict) and "peaks" in chosen:
            least, most = chosen["peaks"]
            return [task for task, n in peaks.items() if least <= n <= (math.inf if most is None else most)]
        if isinstance(chosen, dict):
            names = [f"{row.task}{chosen.get('suffix', '')}" for row in catalogue().tasks[chosen["published"]]]
            chosen = [name for name in names if name in peaks]
        if not chosen:
            raise InputError(f"publish: outputs of {model}: expected tasks of the data set, got none.")
        return list(chosen)


def own_network(options: PublishConfig, base: FitConfig, network: str, model: str, tasks: Sequence[str]) -> FitConfig:
    """Return the options of the network a model is published from: ``base`` itself, or one of the model's own.

    Parameters
    ----------
    options : PublishConfig
    base, network
        The network that is trained on all tasks, and its name.
    model, tasks
        Name and tasks of the model.
    """
    if network in options.alone:
        changes = {}
    elif options.tune and network != options.paper:
        chosen = options.outputs[model.removesuffix(PAPER_SUFFIX)]
        own_tune = chosen.get("tune", {}) if isinstance(chosen, dict) else {}
        changes = {**merged(options.tune, own_tune), "start": str(base.run / "weights.h5")}
    else:
        return base
    own: dict[str, Any] = {"name": model, "run": str(base.run.parent / model.removeprefix("DeepRiPe/"))}
    own |= {"tasks": list(tasks), "sampling": {"groups": []}}
    return build(FitConfig, merged(merged(plain(base), changes), own), f"publish: {model}")
