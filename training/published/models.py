"""The authors' models: fetched, checked, read without running anything from the file, installed as a directory."""

import hashlib
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from ripe_lib.errors import InputError, MissingFileError, WeightsError, unknown_name
from ripe_lib.network.catalogue import published_model
from ripe_lib.network.catalogue.entries import TaskEntry, catalogue, write_task_table
from ripe_lib.network.catalogue.locate import user_models_directory
from ripe_lib.network.load import model_of
from ripe_lib.network.spec import ModelSpec
from ripe_lib.network.weights import arrays_of, write_weights
from ripe_lib.output.atomic import atomic_directory
from training.fetch.download import Progress, download, place_of
from training.fetch.sources import addresses
from training.published.legacy_keras import check_is_hdf5, read_legacy


def git_blob_id(path: str | Path) -> str:
    """Return the git blob id of a file: sha1 of ``blob <size>``, NUL, content."""
    path = Path(path)
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def import_published(
    name: str | None = None,
    *,
    file: str | Path | None = None,
    tasks: str | Path | None = None,
    out: str | Path | None = None,
    mirror: str = "",
    progress: Progress = lambda done, total: None,
    overwrite: bool = False,
) -> Path:
    """Install one of the authors' models, or another file of that kind, and return its model directory.

    Parameters
    ----------
    name : str, optional
        A published model, e.g. ``"parclip_mid"``. May be left out with ``file``: its content is recognised.
    file : path, optional
        A file that is here already, instead of downloading.
    tasks : str or path, optional
        What the outputs mean, for a file that is not in the catalogue: the name of a catalogue model whose list it
        shares, or a text file with one RBP per line (or a table with a column ``task``).
    out : path, optional
        Model directory to make; default in the user's model folder under the model's name.
    mirror, progress : str, callable
        See :func:`training.fetch.download.place_of` and :func:`training.fetch.download.download`.
    overwrite : bool
        Replace an installed one.
    """
    if name is None and file is None:
        raise InputError("import-published: expected the name of a published model or --file, got neither.")
    if file is not None:
        return _install(Path(file), name, tasks, out, overwrite=overwrite)
    entry, _ = published_model(str(name))
    with tempfile.TemporaryDirectory(prefix="deepripe-download-") as folder:
        path = Path(folder) / f"{entry.short_name}.h5"
        address = addresses()["published", "any"].address.format_map(vars(entry))
        advice = f"Download it yourself from {address} and give it with --file."
        download(place_of(address, mirror), path, advice=advice, progress=progress)
        return _install(path, str(name), tasks, out, overwrite=overwrite)


def _install(
    path: Path, name: str | None, tasks: str | Path | None, out: str | Path | None, *, overwrite: bool
) -> Path:
    check_is_hdf5(path)
    blob = git_blob_id(path)
    full_name, rows = _identity(path, blob, name, tasks)
    spec, arrays = read_legacy(path, name=full_name, tasks=tuple(row.task for row in rows))
    check_catalogue_shapes(spec, path)
    model = model_of(spec, arrays, str(path))  # which checks layers, shapes and that all values are finite
    directory = user_models_directory() / full_name if out is None else Path(out)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with atomic_directory(directory, overwrite=overwrite) as temporary:
        write_weights(temporary / "weights.h5", spec, arrays_of(model.keras_model))
        _describe(temporary, spec, rows, _source_text(full_name, path, blob))
    return directory


def _identity(path: Path, blob: str, name: str | None, tasks: str | Path | None) -> tuple[str, tuple[TaskEntry, ...]]:
    """Return the model name and task rows of a file, by what was asked for and by its content."""
    known = next((entry for entry in catalogue().models.values() if entry.git_blob_sha1 == blob), None)
    if name is not None:
        entry, rows = published_model(name)
        if blob == entry.git_blob_sha1:
            return entry.model, rows
        is_really = f", which is {known.short_name}" if known else ""
        raise WeightsError(
            f"{path}: expected git blob id {entry.git_blob_sha1} ({entry.short_name}), got {blob}{is_really}. "
            "This is not the published file; to import another one, leave the name out and give --tasks."
        )
    if tasks is None:
        if known:
            return known.model, catalogue().tasks[known.model]
        raise InputError(
            f"{path}: is none of the published files (git blob id {blob}). Say what its outputs mean with "
            "--tasks FILE_OR_NAME."
        )
    stem = re.sub(r"\W+", "_", path.stem).strip("_") or "model"
    full_name = f"DeepRiPe/imported/{stem}"
    return full_name, task_rows(tasks, full_name)


def task_rows(tasks: str | Path, model: str) -> tuple[TaskEntry, ...]:
    """Return the task rows that a file or a catalogue model's name stands for, for another model."""
    path = Path(tasks)
    if path.is_file():
        names = enumerate(_names_in(path))
        return tuple(TaskEntry(model, index, task, rbp="", protocol="", cell_line="") for index, task in names)
    text = str(tasks)
    by_short = {entry.short_name: entry.model for entry in catalogue().models.values()}
    short = text.removeprefix("DeepRiPe/").removeprefix("published/")
    full = text if text in catalogue().tasks else by_short.get(short)
    if full is None:
        if path.suffix or "/" in text.removeprefix("DeepRiPe/"):
            raise MissingFileError(f"{tasks}: no such file of task names, and no model of that name.")
        raise unknown_name("model", text, by_short, "Give a file with one RBP per line, or the name of a model.")
    rows = catalogue().tasks[full]
    return tuple(replace(row, model=model, n_pos=None, auroc=None, ap=None, ece=None) for row in rows)


def _names_in(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a text file with one RBP per line, got binary data.") from error
    lines = [line for line in lines if line and not line.startswith("#")]
    if lines and "\t" in lines[0] and "task" in lines[0].split("\t"):
        column = lines[0].split("\t").index("task")
        lines = [line.split("\t")[column] if line.count("\t") >= column else "" for line in lines[1:]]
    if not lines or "" in lines:
        raise InputError(f"{path}: expected one RBP name per line, got {'an empty name' if lines else 'no names'}.")
    if doubled := sorted({name for name in lines if lines.count(name) > 1}):
        raise InputError(f"{path}: expected different names, got {doubled[0]!r} twice.")
    return lines


def check_catalogue_shapes(spec: ModelSpec, path: Path) -> None:
    """Refuse a file whose window lengths or inputs are not those the catalogue has for this model, if it has it."""
    entry = catalogue().models.get(spec.name)
    for key in ("inputs", "sequence_length", "region_length"):
        value = getattr(entry, key, None)
        if value is not None and getattr(spec, key) != value:
            raise WeightsError(f"{path}: expected {key} {value} for {spec.name}, got {getattr(spec, key)}.")


def _describe(directory: Path, spec: ModelSpec, rows: tuple[TaskEntry, ...], source: str) -> None:
    """Write what is said of an imported model beside its weights."""
    from ripe_lib.kipoi.render import render_model

    write_task_table(directory / "tasks.tsv", rows)
    lines = [f"| {row.task_index} | {row.task} | {row.rbp} | {row.protocol} | {row.cell_line} |" for row in rows]
    region = f", region types {spec.region_length} nt" if spec.has_region else ""
    table, inputs = "\n".join(lines), f"sequence {spec.sequence_length} nt{region}"
    card = (
        f"# {spec.name}\n\n{source}\n\nInputs: {inputs}. Architecture: `{spec.architecture}`. Outputs: probabilities, "
        "not calibrated. Nothing about its accuracy was measured here.\n\n"
        f"| output | name | RBP | protocol | cell line |\n|---|---|---|---|---|\n{table}\n\n"
        "Ghanbari M, Ohler U (2020) Deep neural networks for interpreting RNA-binding protein target preferences. "
        "Genome Research 30:214-226, doi 10.1101/gr.247494.118.\n"
    )
    (directory / "model_card.md").write_text(card, encoding="utf-8")
    about = {
        "trained_on": source,
        "training_procedure": "By the authors of the paper; see there.",
        "license": "As the source repository says.",
    }
    render_model(directory, about=about)


def _source_text(name: str, path: Path, blob: str) -> str:
    entry = catalogue().models.get(name)
    if entry is not None:
        return f"Weights of the authors: {entry.download_url} (git blob {blob}), converted without change."
    return f"Converted without change from a Keras 2 file {path.name} (git blob {blob})."
