"""``ripe-train publish``: a finished run -> a Kipoi model directory with its measurements on the test split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from ripe_lib.errors import InputError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.evaluate import Evaluation, Options, score_dataset
from ripe_lib.evaluation.specificity import quality
from ripe_lib.network.catalogue import entry_of, put_model
from ripe_lib.network.catalogue.entries import MEASURED, ModelEntry, TaskEntry, catalogue, write_task_table
from ripe_lib.network.catalogue.locate import user_models_directory
from ripe_lib.network.load import Model, model_of
from ripe_lib.network.spec import ModelSpec
from ripe_lib.network.weights import arrays_of, read_weights, sha256_of, write_weights
from ripe_lib.output.atomic import atomic_directory
from training.config import Note, build, plain, read_yaml
from training.fitting.calibration import fit_platt, fold_calibration, logit
from training.fitting.config import FitConfig
from training.fitting.runs import best_epoch, finished_weights, read_record
from training.publishing.card import render_card


def publish(
    run: str | Path,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    name: str | None = None,
    tasks: Sequence[str] | None = None,
    calibrate: bool = False,
    sources: Sequence[str] | None = None,
    bound_only: bool = False,
    options: Options | None = None,
    overwrite: bool = False,
    note: Note = lambda _: None,
) -> Path:
    """Make a model directory of a finished run and return it.

    Parameters
    ----------
    run, data : path
        Run directory of ``ripe-train fit``, and the data set, if it is not where the run found it.
    out : path, optional
        Model directory to make; default in the user's model folder under the model's name. Inside the package's own
        ``kipoi_models`` the catalogue's rows are updated too.
    name : str, optional
        Another name than the run's.
    tasks : sequence of str, optional
        Outputs to keep, in this order: several tiers can come from one network that was trained on all of them.
    calibrate : bool
        Fit scale and offset of every output on the validation split and fold them into the output layer.
    sources, bound_only, options
        Of the measurement, the first two also of the calibration: see
        :func:`ripe_lib.evaluation.evaluate.score_dataset`.
    overwrite : bool
        Replace what is there.
    note : callable
        Is given remarks, one line each.

    Raises
    ------
    RipeError
        If the run is not finished, the data set is another one, or the directory exists. Nothing is left half-done.
    """
    from ripe_lib.kipoi.render import is_shipped, render_model

    run = Path(run)
    weights = finished_weights(run)
    record = read_record(run)
    dataset = Dataset(data if data is not None else record["path"])
    if dataset.manifest_sha256 != record["manifest_sha256"]:
        raise InputError(f"{dataset.path}: is not the data set of run {run}. Give the right one with --data.")
    spec, arrays = read_weights(weights)
    if name is not None:
        spec = replace(spec, name=name if name.startswith("DeepRiPe/") else f"DeepRiPe/{name}")
    trained = spec.tasks
    if tasks is not None:
        columns = [spec.task_index(task) for task in tasks]
        spec = replace(spec, tasks=tuple(tasks))
        arrays = {**arrays, "output": [values[..., columns] for values in arrays["output"]]}
    model, calibration = model_of(spec, arrays, spec.name), ""
    measure = partial(score_dataset, dataset=dataset, options=options, sources=sources, bound_only=bound_only)
    if calibrate:
        model, calibration = _calibrated(model, measure(model, split="valid"))
    if calibration:
        note(calibration)
    evaluation = measure(model, split="test")
    note(f"{spec.name}: measured on {len(evaluation.labels)} test sites")
    # Rounded as in metrics.tsv, so that the card and the catalogue show the same third decimal as the file.
    table = evaluation.table().round(6)
    remarks = quality(evaluation)
    rows = _task_entries(spec, dataset, table, remarks)
    card = render_card(
        **_told_of(run, model, dataset, evaluation),
        no_region=measure(model, split="test", region="none").summary() if spec.has_region else None,
        rows=table.to_dict("records"),
        left_out=[task for task in trained if task not in spec.tasks],
        calibrated=calibrate,
        calibration_note=calibration,
        sources=sources,
        bound_only=bound_only,
        remarks=remarks,
    )
    directory = user_models_directory() / spec.name if out is None else Path(out)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with atomic_directory(directory, overwrite=overwrite) as temporary:
        write_weights(temporary / "weights.h5", spec, arrays_of(model.keras_model))
        table.to_csv(temporary / "metrics.tsv", sep="\t", index=False, float_format="%.6f")
        (temporary / "model_card.md").write_text(card, encoding="utf-8")
        if is_shipped(temporary):
            put_model(_model_entry(spec, rows, sha256_of(temporary / "weights.h5")), rows)
        else:
            write_task_table(temporary / "tasks.tsv", rows)
        render_model(temporary)
    return directory


def _calibrated(model: Model, valid: Evaluation) -> tuple[Model, str]:
    """Return the model with calibrated outputs, and which are not; ``valid``: its scores on the validation split."""
    fitted = fit_platt(valid.labels, logit(valid.scores), prevalence=valid.options.prevalence)
    left = [f"{task} ({why})" for task, why in zip(valid.tasks, fitted.reason, strict=True) if why]
    arrays = fold_calibration(arrays_of(model.keras_model), fitted.scale, fitted.offset)
    return model_of(model.spec, arrays, model.name), f"Not calibrated: {'; '.join(left)}." if left else ""


def _task_entries(
    spec: ModelSpec, dataset: Dataset, table: pd.DataFrame, remarks: Mapping[str, str]
) -> tuple[TaskEntry, ...]:
    """Return the catalogue rows of a model's tasks: names from the data set's manifest, numbers from the table."""
    info = dataset.manifest.get("task_info", {})
    known = {row.task: vars(row) for row in catalogue().tasks.get(spec.name, ())}
    counts = dataset.manifest["counts"]["tasks"]
    entries = []
    for index, row in enumerate(table.to_dict("records")):
        task = str(row["task"])
        about = info.get(task) or known.get(task, {})
        told: dict[str, Any] = {key: about.get(key, "") for key in ("rbp", "protocol", "cell_line")}
        told |= {key: None if pd.isna(row[key]) else round(float(row[key]), 4) for key in MEASURED}
        n_pos = counts[task]["train"]["positive"]
        entries.append(TaskEntry(spec.name, index, task, n_pos=n_pos, quality=remarks.get(task, ""), **told))
    return tuple(entries)


def _model_entry(spec: ModelSpec, rows: tuple[TaskEntry, ...], sha256: str) -> ModelEntry:
    """Return the catalogue row of a shipped model; its tier is what it was, or the part of its name that says so."""
    models, name = catalogue().models, spec.name.removesuffix("_paper")
    parts = name.removeprefix("DeepRiPe/").split("_")
    before = models.get(spec.name) or models.get(name)
    tier = before.tier if before else parts[-1] if parts[0] in ("parclip", "eclip") else ""
    return replace(entry_of(spec, rows, origin="shipped", tier=tier), sha256=sha256)


def _told_of(run: Path, model: Model, dataset: Dataset, evaluation: Evaluation) -> dict[str, Any]:
    """Return what the card says of a run, its data and the means."""
    # Built, so that an option which came after the run has its default value.
    config = plain(build(FitConfig, read_yaml(run / "config.yaml"), str(run)))
    history = pd.read_csv(run / "history.csv")
    validated = "val_loss" in history
    best_by = config["best_by"]
    best = history.iloc[best_epoch(history.to_dict("records"), best_by) - 1]
    manifest = dataset.manifest
    return {
        "spec": model.spec,
        "dataset": dataset,
        "origin": _origin(config),
        "missing": missing_text(model.name, model.tasks, manifest),
        "parameters": f"{model.keras_model.count_params():,}",
        "files": [row for row in manifest.get("sources", ()) if not row["task"] or row["task"] in model.spec.tasks],
        "split_text": _split_text(manifest.get("options", {}).get("split", {})),
        "epochs": len(history),
        "best_epoch": int(best["epoch"]),
        "best_by": f"validation {best_by.removeprefix('val_')}" if validated else "being the last",
        "best_loss": float(best["val_loss" if validated else "loss"]),
        "config": config,
        "augment": ", ".join(f"{k} {v}" for k, v in config["augment"].items() if v) or "none",
        "options": evaluation.options,
        "mean": evaluation.summary(),
    }


def _origin(config: dict[str, Any]) -> str:
    """Say what the network of a run started from; empty if from random weights."""
    if not (start := Path(config["start"])).is_file():
        return config["start"]
    fixed = f"; of its layers {', '.join(config['trainable'])} learned on" if config["trainable"] else ""
    return f"the weights of a network of {len(read_weights(start)[0].tasks)} experiments{fixed}"


def missing_text(name: str, tasks: Sequence[str], manifest: Mapping[str, Any]) -> str:
    """Say in whole lines which outputs of the published model of the same tier a model lacks, and why, if it does.

    Parameters
    ----------
    name : str
        Of the model; ``DeepRiPe/published/...`` is looked up.
    tasks : sequence of str
        Of the model, as published or with the cell line behind the name.
    manifest : mapping
        Of the data set: its peak files, and the least number of bins.
    """
    published = catalogue().tasks.get(f"DeepRiPe/published/{name.removeprefix('DeepRiPe/').removesuffix('_paper')}", ())
    files = {key.split("/")[0] for key in manifest.get("inputs_sha256", {})}
    names = {row.task: {row.task, f"{row.task}_{row.cell_line}"} for row in published}
    lacking = [task for task, both in names.items() if both.isdisjoint(tasks)]
    too_few = [task for task in lacking if files & names[task]]
    without_peaks = [task for task in lacking if task not in too_few]
    text = "Outputs of the paper's tier that are missing"
    lines = [f"{text} for want of peaks: {', '.join(without_peaks)}.\n"] if without_peaks else []
    if too_few:
        least = manifest["options"]["peaks"]["min_bins"]
        lines.append(f"{text}, with fewer than {least} bins of known sequence: {', '.join(too_few)}.\n")
    return "".join(lines)


def _split_text(split: dict[str, Any]) -> str:
    method = split.get("method", "as given")
    if method == "locus":
        return f"by locus (windows within {split['distance']} nt of each other, and equal sequences, go together)"
    return {"chromosome": "by chromosome", "random": "at random, as in the paper"}.get(method, method)
