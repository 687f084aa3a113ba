"""A weights file becomes a Kipoi model directory: ``model.yaml`` and ``test_expect.h5`` beside it.

``python -m ripe_lib.kipoi.render [MODEL_OR_DIRECTORY ...]`` renders the shipped models, or those named, anew. Whatever
was measured comes from the catalogue (``tasks.tsv`` in the directory of a model that is not shipped), shapes and tasks
from the spec inside the weights file; only the wording is in ``model-template.yaml`` and here. What a run wants to say
about itself goes to ``about.yaml`` in the directory and replaces the wording.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ripe_lib.errors import InputError, MissingFileError, RipeError, check_known
from ripe_lib.kipoi.config import dataloaders_folder
from ripe_lib.network.catalogue import put_model, tasks_of
from ripe_lib.network.catalogue.entries import catalogue
from ripe_lib.network.catalogue.locate import bundled_models_directory
from ripe_lib.network.load import model_from_weights, quiet_tensorflow
from ripe_lib.network.spec import ModelSpec
from ripe_lib.network.weights import read_weights, sha256_of
from ripe_lib.output.atomic import atomic_file
from ripe_lib.output.foreign import load_yaml

if TYPE_CHECKING:
    import pandas as pd

TEMPLATE = Path(__file__).parent / "model-template.yaml"
WEIGHTS_FILE, EXPECT_FILE, ABOUT_FILE = "weights.h5", "test_expect.h5", "about.yaml"
# Of the method, which cite_as names, and of the weights they published; not of other weights.
PAPER_AUTHORS = ({"name": "Mahsa Ghanbari"}, {"name": "Uwe Ohler"})
DEVELOPERS = ({"name": "DeepRiPe developers"},)
NOT_STATED = ({"name": "not stated; name them in about.yaml"},)
ABOUT_KEYS = (
    *("doc", "authors", "contributors", "cite_as", "trained_on", "training_procedure", "license", "version", "tags"),
)


def render_model(directory: str | Path, *, about: Mapping[str, Any] | None = None) -> None:
    """Write ``model.yaml`` and ``test_expect.h5`` of a model directory, and a shipped model's sha256 in the catalogue.

    Parameters
    ----------
    directory : path
        Holds ``weights.h5``, and for models that are not in the catalogue ideally ``tasks.tsv``
        (:func:`ripe_lib.network.catalogue.entries.write_task_table`).
    about : mapping, optional
        Words that replace the standard ones (:data:`ABOUT_KEYS`); kept in ``about.yaml``, which is read when the
        directory is rendered again.
    """
    import yaml

    directory = Path(directory)
    if about is not None:
        _check_about(about, "about")
        with atomic_file(directory / ABOUT_FILE) as temporary:
            temporary.write_text(yaml.safe_dump(dict(about), sort_keys=False, width=110), encoding="utf-8")
    spec, _ = read_weights(directory / WEIGHTS_FILE)
    entry = catalogue().models.get(spec.name) if is_shipped(directory) else None
    if entry is not None:
        now = replace(entry, sha256=sha256_of(directory / WEIGHTS_FILE), architecture=spec.architecture)
        if now != entry:
            put_model(now, catalogue().tasks[spec.name])
    text = model_yaml(directory)
    with atomic_file(directory / "model.yaml") as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_expected(directory)


def model_yaml(directory: str | Path) -> str:
    """Return the text of a directory's ``model.yaml``, from its weights file, the catalogue and ``about.yaml``."""
    import jinja2

    directory = Path(directory)
    spec, _ = read_weights(directory / WEIGHTS_FILE)
    # YAML, not HTML
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.filters["text"] = lambda value: json.dumps(str(value), ensure_ascii=False)
    environment.filters["folded"] = _folded
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    about = load_yaml(directory / ABOUT_FILE) if (directory / ABOUT_FILE).is_file() else {}
    _check_about(about, str(directory / ABOUT_FILE))
    return template.render(
        spec=spec,
        weights=WEIGHTS_FILE,
        sha256=sha256_of(directory / WEIGHTS_FILE),
        expect=EXPECT_FILE,
        **{**_standard_words(directory, spec), **about},
    )


def write_expected(directory: str | Path) -> None:
    """Write what ``kipoi test`` compares with: the example windows and the network's answer, equal bytes each time."""
    import h5py

    from ripe_lib.genome.windows import make_windows
    from ripe_lib.network.predict import predict

    directory = Path(directory)
    model = model_from_weights(directory / WEIGHTS_FILE)
    folder = dataloaders_folder()
    if folder is None:
        raise MissingFileError("dataloaders/example_files: not installed. Install the whole package deepripe.")
    examples = folder / "example_files"
    windows = make_windows(
        examples / "intervals.bed",
        fasta_file=examples / "genome.fa",
        gtf_file=examples / "genes.gtf" if model.spec.has_region else None,
        spec=model.spec,
    )
    arrays = {f"inputs/{name}": array for name, array in windows.inputs().items()}
    arrays["preds"] = predict(model, windows)
    with atomic_file(directory / EXPECT_FILE) as temporary, h5py.File(temporary, "w", track_order=False) as handle:
        for name, array in arrays.items():
            handle.create_dataset(name, data=array, compression="gzip", track_times=False)


def is_shipped(directory: Path) -> bool:
    """Whether a directory is that of a model in the package."""
    return bundled_models_directory() in directory.resolve().parents


def _check_about(about: Any, where: str) -> None:
    if not isinstance(about, Mapping):
        raise InputError(f"{where}: expected a mapping with keys like 'trained_on', got {type(about).__name__}.")
    for key, value in about.items():
        check_known(f"key in {where}", str(key), ABOUT_KEYS)
        if key in {"authors", "contributors"}:
            if not isinstance(value, list) or not all(isinstance(one, Mapping) and "name" in one for one in value):
                raise InputError(f"{where}: expected {key} to be a list of mappings with 'name', got {value!r}.")
        elif key == "tags" and not isinstance(value, list):
            raise InputError(f"{where}: expected tags to be a list, got {value!r}.")


def _folded(text: str, indent: int) -> str:
    """Wrap text for a YAML block that starts with ``>``."""
    lines = textwrap.wrap(" ".join(str(text).split()), width=112, break_long_words=False, break_on_hyphens=False)
    return ("\n" + " " * indent).join(lines)


# --- the standard words -------------------------------------------------------------------------------------------


def _standard_words(directory: Path, spec: ModelSpec) -> dict[str, Any]:
    tasks = tasks_of(SimpleNamespace(spec=spec, directory=directory))
    authors = DEVELOPERS if is_shipped(directory) else NOT_STATED
    return {
        "doc": _doc(spec, tasks),
        "authors": PAPER_AUTHORS if spec.name.startswith("DeepRiPe/published/") else authors,
        "contributors": DEVELOPERS,
        "cite_as": "https://doi.org/10.1101/gr.247494.118",
        "trained_on": _trained_on(tasks),
        "training_procedure": (
            "Adam on the binary cross-entropy of all tasks; sites whose label is not known for a task do not count for "
            "it. Sites of the same locus are kept together in all experiments, so held-out sites share no locus with "
            "training sites. Settings and per-task measurements are in model_card.md."
        ),
        "license": "MIT",
        "version": "1",
        "tags": ["RNA binding", *_distinct(tasks["protocol"])],
    }


def _doc(spec: ModelSpec, tasks: pd.DataFrame) -> str:
    rbps = _distinct(name for names in tasks["rbp"] for name in names.split(";"))
    of_rbps = f" ({', '.join(rbps)})" if rbps else ""
    inputs = f"the {spec.sequence_length}-nt RNA sequence"
    if spec.has_region:
        inputs += f" and the region types (intron, CDS, 3'UTR, 5'UTR) of the {spec.region_length} nt"
    if spec.has_landmarks:
        inputs = inputs.replace(" and ", ", ") + " and the distances to eight transcript landmarks"
    words = (
        f"DeepRiPe network {spec.name!r} ({spec.architecture}): probability that RNA-binding proteins{of_rbps} bind a "
        f"site, for {_number(len(spec.tasks), 'CLIP experiment')}, from {inputs} around it. "
        "The method is that of Ghanbari and Ohler (2020)."
    )
    measured = [
        f"{label} {tasks[column].mean():.3f} ({tasks[column].min():.3f} to {tasks[column].max():.3f})"
        for column, label in (("auroc", "AUROC"), ("ap", "average precision"))
        if tasks[column].notna().any()
    ]
    if measured:
        words += f" On held-out sites, mean over tasks (lowest to highest): {', '.join(measured)}."
    return words


def _trained_on(tasks: pd.DataFrame) -> str:
    experiments = []
    for row, n_pos in zip(tasks.to_dict("records"), tasks["n_pos"].notna(), strict=True):
        notes = [str(row[column]) for column in ("protocol", "cell_line") if row[column]]
        if n_pos:
            notes.append(f"{row['n_pos']} sites")
        experiments.append(f"{row['task']} ({', '.join(notes)})" if notes else str(row["task"]))
    return f"{_number(len(tasks), 'CLIP experiment')}, training positives in brackets: {'; '.join(experiments)}."


def _number(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _distinct(values: Any) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value))


def main(arguments: Sequence[str]) -> int:
    """Render the directories or shipped models named, or all shipped ones."""
    quiet_tensorflow()
    try:
        shipped = bundled_models_directory() / "DeepRiPe"
        names = list(arguments) or sorted(path.parent.name for path in shipped.glob(f"[!.]*/{WEIGHTS_FILE}"))
        for name in names:
            short = name.removeprefix("DeepRiPe/")
            directory = Path(name) if (Path(name) / WEIGHTS_FILE).is_file() else shipped / short
            render_model(directory)
            sys.stdout.write(f"{directory}: model.yaml and {EXPECT_FILE} written\n")
    except RipeError as error:
        sys.stderr.write(f"kipoi_render: error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
