"""Which models there are, what their outputs mean, how good they are, and where they lie on this machine.

The facts are two tables beside this file (``README.md`` says where each comes from); they check themselves when
loaded. Reading them needs neither pandas nor TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ripe_lib.errors import unknown_name
from ripe_lib.network.catalogue.entries import (
    CATALOGUE_DIRECTORY,
    MEASURED,
    Catalogue,
    ModelEntry,
    TaskEntry,
    catalogue,
    read_catalogue,
    read_task_table,
    write_catalogue,
)
from ripe_lib.network.catalogue.locate import (
    bundled_models_directory,
    find_model_directory,
    full_name,
    installed_directories,
    is_model_directory,
    model_arguments,
)

if TYPE_CHECKING:
    import pandas as pd

    from ripe_lib.network.spec import ModelSpec

MODEL_COLUMNS = (
    *("model", "tier", "protocol", "cell_line", "n_tasks", "sequence_length", "region_length", "architecture"),
    *("auroc", "ap", "status"),
)
TASK_COLUMNS = ("task_index", "task", "rbp", "protocol", "cell_line", "n_pos", "auroc", "ap", "ece", "quality")


def published_model(name: str) -> tuple[ModelEntry, tuple[TaskEntry, ...]]:
    """Return the rows of one of the authors' models; an unknown name is answered with the nearest ones.

    ``name`` is ``parclip_mid``, ``published/parclip_mid`` or ``DeepRiPe/published/parclip_mid``.
    """
    short = name.removeprefix("DeepRiPe/").removeprefix("published/")
    known = {entry.short_name: entry for entry in catalogue().models.values() if entry.origin == "published"}
    if short not in known:
        raise unknown_name("published model", name, known, "List them with: ripe models")
    entry = known[short]
    return entry, catalogue().tasks[entry.model]


def list_models() -> pd.DataFrame:
    """Return one row per model: the shipped ones, the user's own, and those that can be fetched.

    Returns
    -------
    DataFrame
        Columns ``model tier protocol cell_line n_tasks sequence_length region_length architecture auroc ap status``.
        ``region_length`` is 0 for sequence-only models and missing where only the weights file says; ``auroc`` and
        ``ap`` are means over tasks on held-out sites. ``status`` is ``bundled``, ``installed`` (in the user's model
        folder), ``available`` (known, to be fetched with ``ripe-train import-published``), or ``missing`` (should
        be bundled but is not there: the installation is damaged).
    """
    import pandas as pd

    installed = installed_directories()
    rows: list[dict[str, Any]] = []
    for name, entry in catalogue().models.items():
        if entry.origin == "shipped":
            status = "bundled" if is_model_directory(bundled_models_directory() / name) else "missing"
        else:
            status = "installed" if name in installed else "available"
            if status == "installed" and entry.region_length is None:
                entry = replace(entry, region_length=spec_of(installed[name]).region_length)
        rows.append({**asdict(entry), "status": status})
    for name, directory in installed.items():
        if name not in catalogue().models:
            spec = spec_of(directory)
            entry = entry_of(spec, _directory_tasks(directory, spec))
            rows.append({**asdict(entry), "model": name, "status": "installed"})
    table = pd.DataFrame(rows, columns=list(MODEL_COLUMNS))
    integers = ["n_tasks", "sequence_length", "region_length"]
    return table.astype({**dict.fromkeys(integers, "Int64"), "auroc": "float64", "ap": "float64"})


def tasks_of(model: Any) -> pd.DataFrame:
    """Return the output columns of a model (name, directory, or loaded), in order, also of one that is to be fetched.

    Columns ``task_index task rbp protocol cell_line n_pos auroc ap ece quality``; what is not known is missing.
    """
    import pandas as pd

    table = pd.DataFrame([asdict(task) for task in _task_entries(model)], columns=list(TASK_COLUMNS))
    return table.astype({"n_pos": "Int64", "auroc": "float64", "ap": "float64", "ece": "float64"})


def tasks_with_protein(rbp: str, model: str | None = None) -> pd.DataFrame:
    """Return the outputs with a protein (in any case): of every model, or of the one with this name or directory.

    Columns ``model task rbp protocol cell_line n_pos auroc ap status``, best average precision first. An unknown
    protein is answered with the nearest names.
    """
    import pandas as pd

    status = list_models().set_index("model")["status"]
    short = "" if model is None else full_name(model)
    names = list(status.index) if model is None else [short if short in status else model]
    every = pd.concat([tasks_of(name).assign(model=name) for name in names], ignore_index=True)
    found = every[every["rbp"].str.casefold() == rbp.casefold()]
    if not len(found):
        raise unknown_name("protein", rbp, sorted(set(every["rbp"]) - {""}))
    found = found.assign(status=found["model"].map(lambda name: status.get(name, "installed")))
    columns = ["model", "task", "rbp", "protocol", "cell_line", "n_pos", "auroc", "ap", "status"]
    return found.sort_values("ap", ascending=False, kind="stable", na_position="last")[columns].reset_index(drop=True)


def _task_entries(model: Any) -> tuple[TaskEntry, ...]:
    spec = getattr(model, "spec", None)
    if spec is not None:
        # A model built in memory may bear a catalogue name with other outputs: trust the tasks it has.
        known = catalogue().tasks.get(spec.name, ())
        if tuple(task.task for task in known) == tuple(spec.tasks):
            return known
        return _directory_tasks(getattr(model, "directory", None), spec)
    name = full_name(model) if isinstance(model, str) else None
    if name in catalogue().tasks:
        return catalogue().tasks[name]
    directory = find_model_directory(model)
    return _directory_tasks(directory, spec_of(directory))


def _directory_tasks(directory: Path | None, spec: ModelSpec) -> tuple[TaskEntry, ...]:
    if directory is not None and (directory / "tasks.tsv").is_file():
        tasks = read_task_table(directory / "tasks.tsv")
        if tuple(task.task for task in tasks) == tuple(spec.tasks):
            return tasks
    return tuple(
        TaskEntry(model=spec.name, task_index=index, task=task, rbp="", protocol="", cell_line="")
        for index, task in enumerate(spec.tasks)
    )


def spec_of(directory: Path) -> ModelSpec:
    """Return the spec inside a model directory's weights file, without reading its arrays."""
    from ripe_lib.errors import WeightsError
    from ripe_lib.network.spec import ModelSpec
    from ripe_lib.output.foreign import open_hdf5

    weights = directory / model_arguments(directory)["weights"]
    with open_hdf5(weights, "a weights file", advice="Install the model again.", error=WeightsError) as file:
        return ModelSpec.from_json(file.text("spec"))


def entry_of(spec: ModelSpec, tasks: Sequence[TaskEntry], *, origin: str = "user", tier: str = "") -> ModelEntry:
    """Return the row of a model, whose measurements are the means over its tasks.

    Parameters
    ----------
    spec : ModelSpec
    tasks : sequence of TaskEntry
    origin, tier : str
    """
    means: dict[str, Any] = {}
    for column in MEASURED:
        known = [value for task in tasks if (value := getattr(task, column)) is not None]
        means[column] = round(sum(known) / len(known), 4) if known else None
    return ModelEntry(
        model=spec.name,
        origin=origin,
        tier=tier,
        protocol=_common([task.protocol for task in tasks]),
        cell_line=_common([task.cell_line for task in tasks]),
        n_tasks=len(tasks),
        sequence_length=spec.sequence_length,
        region_length=spec.region_length,
        architecture=spec.architecture,
        inputs=spec.inputs,
        **means,
    )


def _common(values: list[str]) -> str:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else "mixed"


def put_model(entry: ModelEntry, tasks: tuple[TaskEntry, ...], *, folder: Path = CATALOGUE_DIRECTORY) -> None:
    """Add a model to the catalogue's tables or replace it, keeping the order of the others.

    A new shipped model comes after the last shipped one, before the published ones.

    Parameters
    ----------
    entry : ModelEntry
    tasks : tuple of TaskEntry
        One per output, in the order of the columns.
    folder : Path
        Of the two tables.
    """
    tables = read_catalogue(folder)
    models = sorted({**tables.models, entry.model: entry}.items(), key=lambda item: item[1].origin == "published")
    tasks_by_model = {**tables.tasks, entry.model: tuple(tasks)}
    write_catalogue(Catalogue(dict(models), {name: tasks_by_model[name] for name, _ in models}), folder)
    catalogue.cache_clear()
