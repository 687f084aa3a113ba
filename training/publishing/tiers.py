"""``ripe-train tiers CONFIG``: public files, a data set, its networks, and a measured model directory of every tier.

With a section ``fetch`` peaks, genome and annotation are fetched first. Networks are trained on one data set
(``publish: networks`` of the config; one may start from another, or learn from others as its teachers). Each model is a
choice of the outputs of one of them, the paper's CNN's with ``_paper`` behind the name. Every step goes on where it was
stopped: complete files are not fetched again, a finished network is not trained again, and a model that was published
from the same weights and options stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ripe_lib.errors import InputError, unknown_name
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.network.catalogue import catalogue
from ripe_lib.network.load import load_model
from ripe_lib.network.weights import sha256_of
from ripe_lib.output.atomic import atomic_file
from ripe_lib.output.chunked import Chunk, fingerprint_of, remove_parts, run_chunks
from ripe_lib.variants.summary import BACKGROUND_FILE
from training.config import build, merged, plain, read_yaml, section
from training.data.config import PrepareConfig
from training.data.prepare import prepare
from training.fetch.fetch import MANIFEST, FetchConfig, fetch_files, read_manifest
from training.fetch.sources import write_peak_table
from training.fitting.config import FitConfig
from training.fitting.fit import fit
from training.publishing.publish import publish
from training.publishing.variant_background import write_background

PAPER_SUFFIX = "_paper"
BACKGROUND_VARIANTS = 20_000

Note = Callable[[str], None]
# Called with a step ("fetch", "prepare", "fit NETWORK", "publish MODEL") and the share of it that is done.
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class PublishConfig:
    """The section ``publish`` of a config.

    Attributes
    ----------
    networks : dict
        Name -> what it changes in the section ``fit``; ``start`` and ``distill: teachers`` may name networks above.
    outputs : dict
        Model -> the tasks it keeps: a list; ``{published: MODEL, suffix: TEXT}`` for those of a published model whose
        names, with the suffix, the data set has; or ``{peaks: [LEAST, MOST]}`` for those with so many peaks (``null``:
        no limit), which leaves a model without tasks out.
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
            if name not in self.networks:
                raise unknown_name("network", name, self.networks)

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
    """Return the options of every network by name, those it builds on before it."""
    made: dict[str, FitConfig] = {}
    for name, changes in build(PublishConfig, section(config, "publish"), str(config)).networks.items():
        options = merged(section(config, "fit"), changes or {})
        if (start := options.get("start")) in made:
            options = merged(options, {"start": str(made[start].run / "weights.h5")})
        if teachers := options.get("distill", {}).get("teachers"):
            files = [str(made[teacher].run / "weights.h5") for teacher in teachers]
            options = merged(options, {"distill": {"teachers": files}})
        made[name] = build(FitConfig, merged(options, {"data": str(data), "run": str(work / name)}), str(config))
    return made


def own_network(options: PublishConfig, base: FitConfig, network: str, model: str, tasks: Sequence[str]) -> FitConfig:
    """Return the options of the network a model is published from: ``base`` itself, or one of the model's own."""
    if network not in options.alone and not (options.tune and network == options.default):
        return base
    own = {"name": model, "run": str(base.run.parent / model.removeprefix("DeepRiPe/")), "tasks": list(tasks)}
    changes = {} if network in options.alone else {**options.tune, "start": str(base.run / "weights.h5")}
    return build(FitConfig, merged(merged(plain(base), changes), own), f"publish: {model}")


@dataclass(frozen=True)
class TierOptions:
    """A config of tiers and the folders it works in.

    Attributes
    ----------
    config : Path
        With sections ``prepare``, ``fit`` and ``publish``, and ``fetch`` for public data.
    work : Path
        Folder for fetched files, the data set and the runs.
    models : Path
        Folder that gets ``DeepRiPe/<model>``.
    only : tuple of str
        Names of the models to make; default all.
    mirror : str
        Instead of ``fetch: mirror``.
    """

    config: Path
    work: Path
    models: Path
    only: tuple[str, ...] = ()
    mirror: str = ""

    @property
    def data(self) -> Path:
        """The data set."""
        return self.work / "data.h5"

    @property
    def sources(self) -> Path:
        """Folder of fetched files."""
        return self.work / "sources"

    def record(self, model: str) -> Path:
        """File that says what a model was published from."""
        return self.work / "published" / f"{model.replace('/', '_')}.json"

    def publishing(self) -> PublishConfig:
        """Return the section ``publish``."""
        return build(PublishConfig, section(self.config, "publish"), str(self.config))

    def wanted(self) -> dict[str, str]:
        """Return the network of every model to make.

        Raises
        ------
        UnknownNameError
            For a model that the config does not make.
        """
        known = self.publishing().models()
        for model in self.only:
            if model not in known:
                raise unknown_name("model", model, known)
        return {model: known[model] for model in self.only or known}

    def fetching(self) -> FetchConfig | None:
        """Return the section ``fetch``, if there is one."""
        if "fetch" not in read_yaml(self.config):
            return None
        found = build(FetchConfig, section(self.config, "fetch"), str(self.config))
        return replace(found, mirror=self.mirror) if self.mirror else found

    def preparing(self) -> PrepareConfig:
        """Return the section ``prepare``, with the fetched files where there are some."""
        mapping, fetching = section(self.config, "prepare"), self.fetching()
        if fetching is not None:
            mapping.setdefault("peaks", {}).update(fetching.inputs(self.sources))
            mapping["sources"] = str(self.sources / MANIFEST)
        return replace(build(PrepareConfig, mapping, str(self.config)), output=self.data)

    def networks(self) -> dict[str, FitConfig]:
        """Return the options of every network."""
        return networks_of(self.config, self.work, self.data)


def record_of(publishing: PublishConfig, run: Path, dataset: Dataset, tasks: Sequence[str]) -> dict[str, Any]:
    """Return what a published model depends on."""
    return {
        "run": sha256_of(run / "weights.h5"),
        "data": dataset.manifest_sha256,
        "tasks": list(tasks),
        "sources": None if publishing.sources is None else list(publishing.sources),
        **{name: getattr(publishing, name) for name in ("bound_only", "backgrounds", "seed")},
    }


def is_published(options: TierOptions, model: str, record: Mapping[str, Any]) -> bool:
    """Whether a model was published with this record and is still the same."""
    path, weights = options.record(model), options.models / model / "weights.h5"
    if not path.is_file() or not weights.is_file():
        return False
    return json.loads(path.read_text(encoding="utf-8")) == {**record, "weights": sha256_of(weights)}


def make_tiers(
    options: TierOptions,
    *,
    scheduler: str | None = None,
    note: Note = lambda _: None,
    progress: Progress = lambda step, share: None,
) -> list[Path]:
    """Fetch, prepare, train and publish.

    Parameters
    ----------
    options : TierOptions
    scheduler : str, optional
        Networks that do not need each other, and then models, side by side: ``"processes:N"`` or the address of a dask
        scheduler (:func:`ripe_lib.output.chunked.run_chunks`).
    note : callable
        Is given remarks, one line each.
    progress : callable
        See :data:`Progress`.

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
    wanted = options.wanted()
    options.work.mkdir(parents=True, exist_ok=True)
    _fetch(options, note, progress)
    if not options.data.is_file():
        note("preparing the data set")
        prepare(options.preparing(), note=note)
    dataset = Dataset(options.data)
    _check_sources(options, dataset)
    progress("prepare", 1.0)
    publishing = options.publishing()
    tasks = {model: publishing.tasks(model, dataset.tasks, dataset.manifest.get("peaks", ())) for model in wanted}
    for model in [model for model, names in tasks.items() if not names]:
        note(f"{model}: no task has so many peaks, left out")
        del tasks[model]
    for level in training_order(options, {wanted[model] for model in tasks} - set(publishing.alone)):
        _each(_Fit(options), level, "fit", options, scheduler, note, progress)
    work = _Publish(options, {model: (wanted[model], tuple(names)) for model, names in tasks.items()})
    _each(work, list(tasks), "publish", options, scheduler, note, progress)
    return [options.models / model for model in tasks]


def _fetch(options: TierOptions, note: Note, progress: Progress) -> None:
    fetching = options.fetching()
    if fetching is None:
        return
    files = fetching.wanted(note)
    note(f"fetching {len(files)} files")
    fetch_files(
        files,
        options.sources,
        mirror=fetching.mirror,
        progress=lambda done, total: progress("fetch", done / max(total, 1)),
    )
    with atomic_file(Path(fetching.inputs(options.sources)["table"])) as temporary:
        write_peak_table([file for file in files if file.task], temporary)
    progress("fetch", 1.0)


def _check_sources(options: TierOptions, dataset: Dataset) -> None:
    fetching = options.fetching()
    if fetching is None:
        return
    table = Path(fetching.inputs(options.sources)["table"])
    now = {Path(name).name: row["sha256"] for name, row in read_manifest(options.sources).items()}
    now[table.name] = sha256_of(table)
    if any(now.get(name.rpartition("/")[2]) != digest for name, digest in dataset.manifest["inputs_sha256"].items()):
        raise InputError(
            f"{options.data}: was prepared from other files than are in {options.sources} now. Remove it, or choose "
            "another folder to work in."
        )


def training_order(options: TierOptions, needed: Collection[str]) -> Iterator[list[str]]:
    """Yield the needed networks and those they build on; each needs only networks of the lists before."""
    networks = options.publishing().networks
    builds_on = {
        name: [
            other
            for other in (
                (changes or {}).get("start"),
                *(changes or {}).get("distill", {}).get("teachers", ()),
            )
            if other in networks
        ]
        for name, changes in networks.items()
    }
    wanted: set[str] = set()
    waiting = list(needed)
    while waiting:
        name = waiting.pop()
        wanted.add(name)
        waiting += [other for other in builds_on[name] if other not in wanted]
    done: set[str] = set()
    while left := [name for name in networks if name in wanted - done]:
        level = [name for name in left if done.issuperset(builds_on[name])]
        yield level
        done.update(level)


@dataclass(frozen=True)
class _Fit:
    """Train one network; a chunk of a job."""

    options: TierOptions

    def __call__(self, chunk: Chunk, path: Path) -> None:
        self.run(chunk.payload)
        path.touch()

    def run(self, name: str, note: Note = lambda _: None, progress: Progress = lambda step, share: None) -> None:
        config = self.options.networks()[name]
        note(f"network {name}")
        fit(config, note=note, after_epoch=lambda epoch: progress(f"fit {name}", epoch / config.epochs))


@dataclass(frozen=True)
class _Publish:
    """Publish one model; a chunk of a job."""

    options: TierOptions
    models: dict[str, tuple[str, tuple[str, ...]]]

    def __call__(self, chunk: Chunk, path: Path) -> None:
        self.run(chunk.payload)
        path.touch()

    def run(self, model: str, note: Note = lambda _: None, progress: Progress = lambda step, share: None) -> None:
        options, publishing = self.options, self.options.publishing()
        network, tasks = self.models[model]
        base = options.networks()[network]
        own = own_network(publishing, base, network, model, tasks)
        run = base.run
        if own is not base:
            note(f"network of {model}")
            run = fit(own, note=note, after_epoch=lambda epoch: progress(f"publish {model}", 0.9 * epoch / own.epochs))
        directory = options.models / model
        dataset = Dataset(options.data)
        record = record_of(publishing, run, dataset, tasks)
        if is_published(options, model, record):
            note(f"{directory}: published already")
            return
        publish(
            run,
            data=options.data,
            out=directory,
            name=model,
            tasks=tasks,
            calibrate=True,
            sources=publishing.sources,
            bound_only=publishing.bound_only,
            overwrite=True,
            note=note,
        )
        if publishing.backgrounds:
            background = directory / BACKGROUND_FILE
            write_background(load_model(directory), dataset, background, n=BACKGROUND_VARIANTS, seed=publishing.seed)
        path = options.record(model)
        path.parent.mkdir(exist_ok=True)
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps({**record, "weights": sha256_of(directory / "weights.h5")}))
        note(str(directory))


def _each(
    work: _Fit | _Publish,
    names: list[str],
    verb: str,
    options: TierOptions,
    scheduler: str | None,
    note: Note,
    progress: Progress,
) -> None:
    """Do one thing after the other here, or all of them side by side."""
    if scheduler is None:
        for name in names:
            work.run(name, note, progress)
            progress(f"{verb} {name}", 1.0)
        return
    note(f"{verb}: {', '.join(names)}")
    chunks = [Chunk(index, name) for index, name in enumerate(names)]
    parts = options.work / f".{verb}.parts"
    stamp = fingerprint_of({"work": repr(work), "names": names}, [options.config, options.data])

    def share(done: int, total: int) -> None:
        for name in names:
            progress(f"{verb} {name}", done / total)

    run_chunks(chunks, work, parts_dir=parts, fingerprint=stamp, scheduler=scheduler, progress=share)
    remove_parts(parts)
