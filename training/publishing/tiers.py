"""``ripe-train tiers CONFIG``: public files, a data set, its networks, and a measured model directory of every tier.

With a section ``fetch`` peaks, genome and annotation are fetched first. Networks are trained on one data set
(``publish: networks`` of the config; one may start from another). Each model is a
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

from ripe_lib.errors import InputError, check_known
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.network.load import load_model
from ripe_lib.network.weights import sha256_of
from ripe_lib.output.atomic import atomic_file
from ripe_lib.output.chunked import Chunk, fingerprint_of, remove_parts, run_chunks
from ripe_lib.variants.summary import BACKGROUND_FILE
from training.config import Note, build, read_yaml, section
from training.data.config import PrepareConfig
from training.data.prepare import prepare
from training.fetch.fetch import MANIFEST, FetchConfig, fetch_files, read_manifest
from training.fetch.sources import write_peak_table
from training.fitting.config import FitConfig
from training.fitting.fit import fit
from training.fitting.runs import write_text
from training.publishing.config import PublishConfig, networks_of, own_network
from training.publishing.publish import publish
from training.publishing.variant_background import write_background

BACKGROUND_VARIANTS = 20_000
# Called with a step ("fetch", "prepare", "fit NETWORK", "publish MODEL") and the share of it that is done.
Progress = Callable[[str, float], None]


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
            check_known("model", model, known)
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
    """Return what a published model depends on; parameters as :func:`training.publishing.publish.publish`."""
    return {
        "run": sha256_of(run / "weights.h5"),
        "data": dataset.manifest_sha256,
        "tasks": list(tasks),
        "sources": None if publishing.sources is None else list(publishing.sources),
        **{name: getattr(publishing, name) for name in ("bound_only", "backgrounds", "seed")},
    }


def is_published(options: TierOptions, model: str, record: Mapping[str, Any]) -> bool:
    """Whether a model was published with this record and is still the same.

    Parameters
    ----------
    options, model
        Says where they are.
    record : mapping
        From :func:`record_of`.
    """
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
    """Fetch, prepare, train and publish; return the model directories.

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

    Raises
    ------
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
        _each(_Work("fit", options), level, scheduler, note, progress)
    work = _Work("publish", options, {model: (wanted[model], tuple(names)) for model, names in tasks.items()})
    _each(work, list(tasks), scheduler, note, progress)
    return [options.models / model for model in tasks]


def _fetch(options: TierOptions, note: Note, progress: Progress) -> None:
    if (fetching := options.fetching()) is None:
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
    if (fetching := options.fetching()) is None:
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
        name: [other for other in [(changes or {}).get("start")] if other in networks]
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
class _Work:
    """Train networks (``fit``) or publish models by name; a name is a chunk of a job."""

    verb: str
    options: TierOptions
    models: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)  # network and tasks of each

    def __call__(self, chunk: Chunk, path: Path) -> None:
        self.run(chunk.payload)
        path.touch()

    def run(self, name: str, note: Note = lambda _: None, progress: Progress = lambda step, share: None) -> None:
        (self._fit if self.verb == "fit" else self._publish)(name, note, progress)

    def _fit(self, name: str, note: Note, progress: Progress) -> None:
        config = self.options.networks()[name]
        note(f"network {name}")
        fit(config, note=note, after_epoch=lambda epoch: progress(f"fit {name}", epoch / config.epochs))

    def _publish(self, model: str, note: Note, progress: Progress) -> None:
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
        write_text(path, json.dumps({**record, "weights": sha256_of(directory / "weights.h5")}))
        note(str(directory))


def _each(work: _Work, names: list[str], scheduler: str | None, note: Note, progress: Progress) -> None:
    """Do one thing after the other here, or all of them side by side."""
    verb, options = work.verb, work.options

    def share(done: int, total: int) -> None:
        for name in names:
            progress(f"{verb} {name}", done / total)

    if scheduler is None:
        for name in names:
            work.run(name, note, progress)
            progress(f"{verb} {name}", 1.0)
        return
    note(f"{verb}: {', '.join(names)}")
    chunks = [Chunk(index, name) for index, name in enumerate(names)]
    parts = options.work / f".{verb}.parts"
    stamp = fingerprint_of({"work": repr(work), "names": names}, [options.config, options.data])
    run_chunks(chunks, work, parts_dir=parts, fingerprint=stamp, scheduler=scheduler, progress=share)
    remove_parts(parts)
