"""``ripe-train tiers CONFIG``: public files, a data set, its networks, and a measured model directory of every tier.

With a section ``fetch`` peaks, genome and annotation are fetched first. Networks are trained on one data set
(``publish: networks`` of the config; one may start from another). Each model is a choice of the outputs of one of them,
the paper's CNN's with ``_paper`` behind the name. Every step goes on where it was stopped; a model that was published
from the same weights and options stays as it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ripe_lib.errors import InputError, check_known
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.network.load import load_model
from ripe_lib.network.weights import sha256_of
from ripe_lib.output.atomic import atomic_file
from ripe_lib.output.chunked import Chunk, fingerprint_of, remove_parts, run_chunks
from ripe_lib.variants.summary import BACKGROUND_FILE
from training.config import Note, build, merged, plain, read_yaml, section
from training.data.config import PrepareConfig
from training.data.prepare import prepare
from training.fetch.fetch import MANIFEST, FetchConfig, fetch_files, read_manifest
from training.fetch.sources import write_peak_table
from training.fitting.config import FitConfig
from training.fitting.fit import fit
from training.fitting.runs import write_text
from training.publishing.config import PublishConfig, own_network
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
        """Data set."""
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
        """Return the network of every model to make; one that the config does not make is refused."""
        known = self.publishing().models()
        for model in self.only:
            check_known("model", model, known)
        return {model: known[model] for model in self.only or known}

    def fetching(self) -> FetchConfig | None:
        """Return the section ``fetch``, if there is one."""
        if "fetch" not in read_yaml(self.config):
            return None
        found = build(FetchConfig, section(self.config, "fetch"), str(self.config))
        return replace(found, mirror=self.mirror or found.mirror)

    def preparing(self) -> PrepareConfig:
        """Return the section ``prepare``, with the fetched files where there are some."""
        mapping, fetching = section(self.config, "prepare"), self.fetching()
        if fetching is not None:
            mapping.setdefault("peaks", {}).update(fetching.inputs(self.sources))
            mapping["sources"] = str(self.sources / MANIFEST)
        return replace(build(PrepareConfig, mapping, str(self.config)), output=self.data)

    def is_published(self, model: str, record: Mapping[str, Any]) -> bool:
        """Whether a model was published with this record (:func:`record_of`) and is still the same."""
        path, weights = self.record(model), self.models / model / "weights.h5"
        if not path.is_file() or not weights.is_file():
            return False
        return json.loads(path.read_text(encoding="utf-8")) == {**record, "weights": sha256_of(weights)}

    def networks(self, peaks: Mapping[str, float]) -> dict[str, FitConfig]:
        """Return the options of every network by name, those it builds on before it; ``peaks``: :func:`peaks_of`."""
        made: dict[str, FitConfig] = {}
        publishing = self.publishing()
        for name, changes in publishing.networks.items():
            options = merged(section(self.config, "fit"), changes or {})
            sampling = options.get("sampling") or {}
            models = sampling.get("groups") if isinstance(sampling, dict) else None
            if models and all(isinstance(model, str) for model in models):  # not tasks, as "fit" has them
                groups = publishing.groups(models, peaks) if peaks else []
                options["sampling"] = {**sampling, "groups": groups}
                options["tasks"] = [task for group in groups for task in group] or None
            if (start := options.get("start")) in made:
                options["start"] = str(made[start].run / "weights.h5")
            options |= {"data": str(self.data), "run": str(self.work / name)}
            made[name] = build(FitConfig, options, str(self.config))
        return made


def record_of(publishing: PublishConfig, run: Path, dataset: Dataset, tasks: Sequence[str]) -> dict[str, Any]:
    """Return what a published model depends on; parameters as :func:`training.publishing.publish.publish`."""
    told = {name: plain(getattr(publishing, name)) for name in ("sources", "bound_only", "backgrounds", "seed")}
    return {"run": sha256_of(run / "weights.h5"), "data": dataset.manifest_sha256, "tasks": list(tasks), **told}


def peaks_of(dataset: Dataset) -> dict[str, float]:
    """Return the number of peaks of every task, NaN where the data set does not say."""
    counts = {row["task"]: row["peaks"] for row in dataset.manifest.get("peaks", ())}
    return {task: counts.get(task, math.nan) for task in dataset.tasks}


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
    """
    wanted = options.wanted()
    options.work.mkdir(parents=True, exist_ok=True)
    inputs = _fetched(options, note, progress)
    if not options.data.is_file():
        note("preparing the data set")
        prepare(options.preparing(), note=note)
    dataset = Dataset(options.data)
    if inputs is not None and any(
        inputs.get(name.rpartition("/")[2]) != digest for name, digest in dataset.manifest["inputs_sha256"].items()
    ):
        raise InputError(
            f"{options.data}: was prepared from other files than are in {options.sources} now. Remove it, or choose "
            "another folder to work in."
        )
    progress("prepare", 1.0)
    publishing, peaks = options.publishing(), peaks_of(dataset)
    models = [model for model in wanted if publishing.tasks(model, peaks)]
    for model in wanted:
        if model not in models:
            note(f"{model}: no task has so many peaks, left out")
    for level in training_order(options, {wanted[model] for model in models} - set(publishing.alone)):
        _each("fit", level, options, scheduler, note, progress)
    _each("publish", models, options, scheduler, note, progress)
    return [options.models / model for model in models]


def _fetched(options: TierOptions, note: Note, progress: Progress) -> dict[str, str] | None:
    """Fetch what the config asks for; returns the digests of all files by name, None if it asks for nothing."""
    if (fetching := options.fetching()) is None:
        return None
    files = fetching.wanted(note)
    note(f"fetching {len(files)} files")
    fetch_files(
        files,
        options.sources,
        mirror=fetching.mirror,
        progress=lambda done, total: progress("fetch", done / max(total, 1)),
    )
    table = Path(fetching.inputs(options.sources)["table"])
    with atomic_file(table) as temporary:
        write_peak_table([file for file in files if file.task], temporary)
    progress("fetch", 1.0)
    digests = {Path(name).name: row["sha256"] for name, row in read_manifest(options.sources).items()}
    return {**digests, table.name: sha256_of(table)}


def training_order(options: TierOptions, needed: Collection[str]) -> list[list[str]]:
    """Return the needed networks and those they build on; each needs only networks of the lists before."""
    starts = {name: (changes or {}).get("start") or "" for name, changes in options.publishing().networks.items()}
    wanted = set(needed)
    for name in reversed(starts):  # a network starts from one above it
        if name in wanted:
            wanted.add(starts[name])
    depth: dict[str, int] = {}
    for name, start in starts.items():
        depth[name] = depth.get(start, -1) + 1
    levels = ([n for n in starts if n in wanted and depth[n] == level] for level in range(len(starts)))
    return [level for level in levels if level]


def _fit(options: TierOptions, name: str, note: Note, progress: Progress) -> None:
    config = options.networks(peaks_of(Dataset(options.data)))[name]
    note(f"network {name}")
    fit(config, note=note, after_epoch=lambda epoch: progress(f"fit {name}", epoch / config.epochs))


def _publish(options: TierOptions, model: str, note: Note, progress: Progress) -> None:
    publishing, dataset, network = options.publishing(), Dataset(options.data), options.wanted()[model]
    peaks = peaks_of(dataset)
    tasks, base = publishing.tasks(model, peaks), options.networks(peaks)[network]
    own = own_network(publishing, base, network, model, tasks)
    if own is not base:
        note(f"network of {model}")
        fit(own, note=note, after_epoch=lambda epoch: progress(f"publish {model}", 0.9 * epoch / own.epochs))
    directory = options.models / model
    record = record_of(publishing, own.run, dataset, tasks)
    if options.is_published(model, record):
        note(f"{directory}: published already")
        return
    publish(
        own.run,
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


_VERBS = {"fit": _fit, "publish": _publish}


def _chunk(verb: str, options: TierOptions, chunk: Chunk, path: Path) -> None:
    _VERBS[verb](options, chunk.payload, lambda _: None, lambda step, share: None)
    path.touch()


def _each(
    verb: str, names: list[str], options: TierOptions, scheduler: str | None, note: Note, progress: Progress
) -> None:
    """Train networks or publish models, one after the other here, or all of them side by side."""
    if scheduler is None:
        for name in names:
            _VERBS[verb](options, name, note, progress)
            progress(f"{verb} {name}", 1.0)
        return

    def share(done: int, total: int) -> None:
        for name in names:
            progress(f"{verb} {name}", done / total)

    note(f"{verb}: {', '.join(names)}")
    run_chunks(
        [Chunk(index, name) for index, name in enumerate(names)],
        partial(_chunk, verb, options),
        parts_dir=(parts := options.work / f".{verb}.parts"),
        fingerprint=fingerprint_of({"options": repr(options), "names": names}, [options.config, options.data]),
        scheduler=scheduler,
        progress=share,
    )
    remove_parts(parts)
