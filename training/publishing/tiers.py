"""``ripe-train tiers CONFIG``: a data set, its networks, and a measured model directory of every tier.

Networks are trained on one data set (``publish: networks`` of the config; one may start from another, or learn from
others as its teachers). Each model is a choice of the outputs of one of them, the paper's CNN's with ``_paper`` behind
the name. A run that was killed goes on where it was; a finished one is not trained again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from ripe_lib.errors import InputError, unknown_name
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.network.catalogue import catalogue
from ripe_lib.network.load import load_model
from ripe_lib.variants.summary import BACKGROUND_FILE
from training.config import build, merged, plain, section
from training.data.config import read_config as read_prepare_config
from training.data.prepare import prepare
from training.fitting.config import FitConfig
from training.fitting.fit import fit
from training.publishing.publish import publish
from training.publishing.variant_background import write_background

PAPER_SUFFIX = "_paper"
BACKGROUND_VARIANTS = 20_000


@dataclass(frozen=True)
class PublishConfig:
    """The section ``publish`` of a config.

    Attributes
    ----------
    networks : dict
        Name -> what it changes in the section ``fit``; ``start`` and ``distill: teachers`` may name networks above.
    outputs : dict
        Model -> the tasks it keeps: a list, or ``{published: MODEL, suffix: TEXT}`` for those of a published model
        whose names, with the suffix, the data set has.
    default, paper : str
        The network the models are taken from, and the one that gives the ``_paper`` models (none if empty).
    tune : dict
        If given, every model gets a network of its own: it starts from that one, learns the model's tasks only, and
        this is what it changes in the section ``fit``. Layers that are not among its ``trainable`` stay the same in all
        models, which are then scored at little more than the cost of one.
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
    sources: tuple[str, ...] | None = None
    bound_only: bool = False
    backgrounds: bool = True
    seed: int = field(default=0)

    def __post_init__(self) -> None:
        for name in (self.default, *([self.paper] if self.paper else [])):
            if name not in self.networks:
                raise unknown_name("network", name, self.networks)

    def models(self) -> dict[str, str]:
        """Return the network of every model."""
        of = dict.fromkeys(self.outputs, self.default)
        return {**of, **({f"{name}{PAPER_SUFFIX}": self.paper for name in self.outputs} if self.paper else {})}

    def tasks(self, model: str, known: Collection[str]) -> list[str]:
        """Return the tasks of a model that the data set has.

        Raises
        ------
        InputError
            If it has none of them.
        """
        chosen = self.outputs[model.removesuffix(PAPER_SUFFIX)]
        if isinstance(chosen, dict):
            names = [f"{row.task}{chosen.get('suffix', '')}" for row in catalogue().tasks[chosen["published"]]]
            chosen = [name for name in names if name in known]
        if not chosen:
            raise InputError(f"publish: outputs of {model}: expected tasks of the data set, got none.")
        return list(chosen)


def networks_of(config: str | Path, work: Path, data: Path) -> dict[str, FitConfig]:
    """Return the options of every network by name, those it builds on before it."""
    made: dict[str, FitConfig] = {}
    for name, changes in build(PublishConfig, section(config, "publish"), str(config)).networks.items():
        options = merged(section(config, "fit"), changes)
        if (start := options.get("start")) in made:
            options = merged(options, {"start": str(made[start].run / "weights.h5")})
        if teachers := options.get("distill", {}).get("teachers"):
            files = [str(made[teacher].run / "weights.h5") for teacher in teachers]
            options = merged(options, {"distill": {"teachers": files}})
        made[name] = build(FitConfig, merged(options, {"data": str(data), "run": str(work / name)}), str(config))
    return made


def tuned(base: FitConfig, changes: dict[str, Any], model: str, tasks: list[str]) -> FitConfig:
    """Return the options of a model's own network, which starts from a network of several models."""
    run = base.run.parent / model.removeprefix("DeepRiPe/")
    own = {"name": model, "run": str(run), "tasks": tasks, "start": str(base.run / "weights.h5")}
    return build(FitConfig, merged(merged(plain(base), changes), own), f"publish: tune: {model}")


def make_tiers(
    config: str | Path,
    work: Path,
    *,
    models: Path,
    only: Collection[str] = (),
    note: Callable[[str], None] = lambda _: None,
    quiet: bool = True,
) -> list[Path]:
    """Prepare, train and publish.

    Parameters
    ----------
    config : path
        With sections ``prepare``, ``fit`` and ``publish``.
    work : Path
        Folder for the data set and the runs.
    models : Path
        Folder that gets ``DeepRiPe/<model>``.
    only : collection of str
        Names of the models to make; default all.
    note : callable
        Is given remarks, one line each.
    quiet : bool
        No progress bars.

    Returns
    -------
    list of Path
        The model directories.

    Raises
    ------
    UnknownNameError
        For a model that the config does not make.
    RipeError
        For wrong input anywhere on the way.
    """
    options = build(PublishConfig, section(config, "publish"), str(config))
    known = options.models()
    for model in only:
        if model not in known:
            raise unknown_name("model", model, known)
    wanted = {model: known[model] for model in only or known}
    data = work / "data.h5"
    if not data.is_file():
        prepare(replace(read_prepare_config(config), output=data), note=note)
    configs = networks_of(config, work, data)
    dataset = Dataset(data)

    @cache
    def trained(name: str) -> Path:
        changes = options.networks[name] or {}
        for other in (changes.get("start"), *changes.get("distill", {}).get("teachers", ())):
            if other in configs:
                trained(other)
        note(f"network {name}")
        return fit(configs[name], quiet=quiet, note=note)

    made = []
    for model, network in wanted.items():
        run, tasks = trained(network), options.tasks(model, dataset.tasks)
        if options.tune:
            note(f"network of {model}")
            run = fit(tuned(configs[network], options.tune, model, tasks), quiet=quiet, note=note)
        directory = publish(
            run,
            data=data,
            out=models / model,
            name=model,
            tasks=tasks,
            calibrate=True,
            sources=options.sources,
            bound_only=options.bound_only,
            overwrite=True,
            note=note,
        )
        if options.backgrounds:
            path = directory / BACKGROUND_FILE
            write_background(load_model(directory), dataset, path, n=BACKGROUND_VARIANTS, seed=options.seed)
        note(str(directory))
        made.append(directory)
    return made
