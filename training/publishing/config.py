"""The section ``publish`` of a config: which networks are trained, and which models are made of their outputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ripe_lib.errors import InputError, check_known
from ripe_lib.network.catalogue.entries import catalogue
from training.config import build, merged, plain, section
from training.fitting.config import FitConfig

PAPER_SUFFIX = "_paper"


@dataclass(frozen=True)
class PublishConfig:
    """The section ``publish`` of a config.

    Attributes
    ----------
    networks : dict
        Name -> what it changes in the section ``fit``; ``start`` may name one above.
    outputs : dict
        Model -> the tasks it keeps: a list; ``{published: MODEL, suffix: TEXT}`` for those of a published model whose
        names, with the suffix, the data set has; or ``{peaks: [LEAST, MOST]}`` for those with so many peaks (``null``:
        no limit), which leaves a model without tasks out. A mapping may also hold ``tune``: what this model changes in
        the option of that name.
    default, paper : str
        The network the models are taken from, and the one that gives the ``_paper`` models (none if empty).
    tune : dict
        If given, every model gets a network of its own: it starts from that one, learns the model's tasks only, and
        this is what it changes in the section ``fit``. Layers that are not among its ``trainable`` stay the same in all
        models, which are then scored together in less time than one by one. Networks other than ``default`` stay whole.
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
    seed: int = field(default=0)

    def __post_init__(self) -> None:
        for name in (self.default, *([self.paper] if self.paper else []), *self.alone):
            check_known("network", name, self.networks)

    def models(self) -> dict[str, str]:
        """Return the network of every model."""
        of = dict.fromkeys(self.outputs, self.default)
        return {**of, **({f"{name}{PAPER_SUFFIX}": self.paper for name in self.outputs} if self.paper else {})}

    def tasks(self, model: str, known: Collection[str], peaks: Sequence[Mapping[str, Any]] = ()) -> list[str]:
        """Return the tasks of a model that the data set has.

        Parameters
        ----------
        model : str
        known : collection of str
            Tasks of the data set.
        peaks : sequence of mappings
            What its manifest says of every task's ``peaks``.

        Returns
        -------
        list of str
            Empty only if tasks are chosen by their number of peaks.

        Raises
        ------
        InputError
            If a list or a published model has none of them.
        """
        chosen = self.outputs[model.removesuffix(PAPER_SUFFIX)]
        if isinstance(chosen, dict) and "peaks" in chosen:
            least, most = chosen["peaks"]
            return [
                str(row["task"])
                for row in peaks
                if row["task"] in known and row["peaks"] >= least and (most is None or row["peaks"] <= most)
            ]
        if isinstance(chosen, dict):
            names = [f"{row.task}{chosen.get('suffix', '')}" for row in catalogue().tasks[chosen["published"]]]
            chosen = [name for name in names if name in known]
        if not chosen:
            raise InputError(f"publish: outputs of {model}: expected tasks of the data set, got none.")
        return list(chosen)


def networks_of(config: str | Path, work: Path, data: Path) -> dict[str, FitConfig]:
    """Return the options of every network by name, those it builds on before it.

    Parameters
    ----------
    config, work, data : path
        Of the config, the folder of the runs, and the data set.
    """
    made: dict[str, FitConfig] = {}
    for name, changes in build(PublishConfig, section(config, "publish"), str(config)).networks.items():
        options = merged(section(config, "fit"), changes or {})
        if (start := options.get("start")) in made:
            options = merged(options, {"start": str(made[start].run / "weights.h5")})
        made[name] = build(FitConfig, merged(options, {"data": str(data), "run": str(work / name)}), str(config))
    return made


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
    if network not in options.alone and not (options.tune and network == options.default):
        return base
    own = {"name": model, "run": str(base.run.parent / model.removeprefix("DeepRiPe/")), "tasks": list(tasks)}
    chosen = options.outputs[model.removesuffix(PAPER_SUFFIX)]
    tune = merged(options.tune, chosen.get("tune", {})) if isinstance(chosen, dict) else options.tune
    changes = {} if network in options.alone else {**tune, "start": str(base.run / "weights.h5")}
    return build(FitConfig, merged(merged(plain(base), changes), own), f"publish: {model}")
