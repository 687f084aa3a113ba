"""What a study does: the section ``study`` of a config file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ripe_lib.errors import InputError, check_known
from ripe_lib.evaluation.dataset import SPLITS
from ripe_lib.evaluation.evaluate import Options
from training.config import build, merged, section
from training.fitting.config import FitConfig
from training.fitting.sampling import SamplingOptions

COMPARISONS = ("modalities", "architectures", "strategies", "protocols", "borders", "specificity")
# The paper's three ways of training one network per RBP (Fig. 5, Supp. Fig. S5).
PAPER_STRATEGIES: dict[str, Any] = {
    "oversampled": {"negatives": "other_sites", "balance": "oversample_positives"},
    "unbound": {"negatives": "unbound", "balance": "none"},
    "subsampled": {"negatives": "other_sites", "balance": "subsample_negatives"},
}


@dataclass(frozen=True)
class ProtocolPair:
    """One output of a protocol's model on the sites of another experiment."""

    group: str
    output: str
    sites: str


@dataclass(frozen=True)
class ProtocolOptions:
    """Models of one protocol on the sites of another (the paper's Fig. 8).

    Attributes
    ----------
    groups : dict
        Name -> tasks; one multitask model is trained on each, without the others' labels.
    pairs : tuple of ProtocolPair
        What is tested on what.
    kmer_fraction : float
        Share of the positives that are "best" and "worst" for the 6-mers, at most ``kmer_sites`` each.
    """

    groups: dict[str, Any] = field(default_factory=dict)
    pairs: tuple[ProtocolPair, ...] = ()
    kmer_fraction: float = 0.25
    kmer_sites: int = 2000


@dataclass(frozen=True)
class BorderOptions:
    """How much trained models lean on the bases at the ends of sites (RNase T1 cuts after G).

    Attributes
    ----------
    arms : tuple of str
        Arms of the study that are looked at.
    models : dict
        Name -> model name or directory, e.g. the shipped ones.
    n_edge : int
        Bases on either side of a site's end that are replaced.
    n_repeats : int
        Random replacements that are averaged.
    max_maps : int
        Positives per task with attribution maps; 0 leaves maps out.
    """

    arms: tuple[str, ...] = ("multitask", "single_own")
    models: dict[str, Any] = field(default_factory=dict)
    n_edge: int = 3
    n_repeats: int = 3
    max_maps: int = 200


@dataclass(frozen=True)
class QuickOptions:
    """What ``--quick`` changes: a slice of the data, small networks, few epochs; the same tables.

    Attributes
    ----------
    tasks : tuple of str
        Tasks that are kept.
    rows : int
        Positives kept per task and split; twice as many of its negatives, and as many windows without any site.
    fit, architectures : dict
        Changes to the options of every run, and to the study's ``architectures``, e.g. smaller layers.
    n_bootstrap, max_maps : int
        As in the study.
    """

    tasks: tuple[str, ...] = ()
    rows: int = 150
    fit: dict[str, Any] = field(default_factory=lambda: {"epochs": 2})
    architectures: dict[str, Any] = field(default_factory=dict)
    n_bootstrap: int = 100
    max_maps: int = 5

    def kept(self, tasks: Iterable[str]) -> tuple[str, ...]:
        """Return those of some tasks that are kept."""
        return tuple(task for task in tasks if task in self.tasks)


@dataclass(frozen=True)
class StudyConfig:
    """Everything that decides a study.

    Attributes
    ----------
    directory : Path
        Where runs, tables, figures and the page go.
    data : Path, optional
        Data set; default: the output of the section ``prepare``, made when it is missing.
    comparisons : tuple of str
        Which of :data:`COMPARISONS`.
    split : str
        What is measured on.
    fit : dict
        Options of every run (:class:`training.fitting.config.FitConfig`).
    single_fit : dict
        Changes to these for single-task runs.
    single_tasks : tuple of str, optional
        Tasks of the single-task strategies; default all.
    strategies : dict
        Name -> :class:`training.fitting.sampling.SamplingOptions`; default the paper's three.
    strategy_fit : dict
        Name of a strategy -> changes to the options of its runs: an epoch of oversampled rows is many epochs of others.
    architectures : dict
        What the CNN is compared with: architecture -> its layer sizes; ``fit``'s ``sizes`` are the CNN's.
    baseline : bool
        Also an arm of k-mer logistic regressions (:mod:`training.fitting.baseline`), and every arm against it.
    n_bootstrap, prevalence
        As in :class:`ripe_lib.evaluation.evaluate.Options`.
    """

    directory: Path
    data: Path | None = None
    name: str = "study"
    seed: int = 1
    comparisons: tuple[str, ...] = COMPARISONS
    split: str = "test"
    fit: dict[str, Any] = field(default_factory=dict)
    single_fit: dict[str, Any] = field(default_factory=dict)
    single_tasks: tuple[str, ...] | None = None
    strategies: dict[str, Any] = field(default_factory=lambda: dict(PAPER_STRATEGIES))
    strategy_fit: dict[str, Any] = field(default_factory=dict)
    architectures: dict[str, Any] = field(default_factory=lambda: {"gru": {}, "towers": {}})
    protocols: ProtocolOptions = field(default_factory=ProtocolOptions)
    borders: BorderOptions = field(default_factory=BorderOptions)
    baseline: bool = True
    n_bootstrap: int = 1000
    prevalence: float = 0.2
    quick: QuickOptions = field(default_factory=QuickOptions)

    def __post_init__(self) -> None:
        for name in self.comparisons:
            check_known("comparison", name, COMPARISONS)
        check_known("split", self.split, SPLITS)
        for name in ("name", "data", "run", "tasks", "seed"):
            if any(name in options for options in (self.fit, self.single_fit, *self.strategy_fit.values())):
                raise InputError(
                    f"study: 'fit', 'single_fit' and 'strategy_fit' must not set {name!r}; the study sets it itself."
                )
        for name, options in self.strategies.items():
            build(SamplingOptions, options, f"study: strategy {name!r}")
        for name, changes in self.strategy_fit.items():
            check_known("strategy", name, self.strategies)
            self.fit_config("check", Path(), **{**self.single_options, **changes})
        for pair in self.protocols.pairs:
            check_known("protocol group", pair.group, self.protocols.groups)
        for options in ({}, self.single_options):
            self.fit_config("check", Path(), **options)

    @property
    def options(self) -> Options:
        """How scores are measured."""
        return Options(n_bootstrap=self.n_bootstrap, prevalence=self.prevalence, seed=self.seed)

    @property
    def single_options(self) -> dict[str, Any]:
        """Options of the networks of one task."""
        return merged(self.fit, self.single_fit)

    def fit_config(self, arm: str, data: Path, **changes: Any) -> FitConfig:
        """Return the options of one run with its name, data set and changes."""
        fixed = {"name": f"study/{arm}", "data": data, "run": self.directory / "runs" / arm, "seed": self.seed}
        return build(FitConfig, {**self.fit, **changes, **fixed}, "study: fit")

    def quickened(self) -> StudyConfig:
        """Return the study that ``--quick`` runs."""
        quick, protocols = self.quick, self.protocols
        return replace(
            self,
            directory=self.directory.with_name(self.directory.name + "_quick"),
            fit=merged(self.fit, quick.fit),
            single_fit=merged(self.single_fit, quick.fit),
            strategy_fit={},
            architectures=merged(self.architectures, quick.architectures),
            single_tasks=None if self.single_tasks is None else quick.kept(self.single_tasks),
            protocols=replace(
                protocols,
                groups={name: list(quick.kept(tasks)) for name, tasks in protocols.groups.items()},
                pairs=tuple(pair for pair in protocols.pairs if {pair.output, pair.sites} <= set(quick.tasks)),
            ),
            borders=replace(self.borders, max_maps=quick.max_maps, models={}),
            n_bootstrap=quick.n_bootstrap,
        )


def read_config(path: str | Path) -> StudyConfig:
    """Read the section ``study`` of a config file."""
    return build(StudyConfig, section(path, "study"), str(path))
