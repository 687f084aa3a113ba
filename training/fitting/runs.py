"""The run directory: everything needed to know and to repeat a training run.

====================  =======================================================================
``config.yaml``       the complete config, defaults filled in
``data.json``         path and manifest of the data set, with its digest; digest of the weights it started from
``environment.json``  versions of everything that computes, commit, platform
``history.csv``       one row per finished epoch
``curves.png``        the same as a picture
``metrics.tsv``       per task, on the validation split, with the best weights
``weights.h5``        the best epoch's weights (:mod:`ripe_lib.network.weights`); there when the run is finished
``checkpoint.h5``     state after the last finished epoch; gone when the run is finished
====================  =======================================================================
"""

from __future__ import annotations

import io
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import yaml

from ripe_lib._version import __version__
from ripe_lib.errors import InputError, MissingFileError, RipeError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.output.atomic import atomic_file
from ripe_lib.output.foreign import open_hdf5
from training.config import build, plain, read_yaml
from training.fitting.config import FitConfig

PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "pandas", "h5py", "scikit-learn")

Arrays = list[np.ndarray]


class TrainingFailedError(RipeError):
    """Training went wrong in a way the user can do something about, e.g. the loss is not a number."""


def write_text(path: Path, text: str) -> None:
    """Write a small file at once."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path: Path, table: pd.DataFrame, **options: Any) -> None:
    """Write a table without its index; options are those of ``DataFrame.to_csv``."""
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False, **options)


def is_chief() -> bool:
    """Whether this process writes the run: the only one, or the first worker of several hosts (``TF_CONFIG``)."""
    task = json.loads(os.environ.get("TF_CONFIG") or "{}").get("task", {})
    return task.get("type", "chief") in {"chief", "worker"} and int(task.get("index", 0)) == 0


def environment() -> dict[str, Any]:
    """Return the versions a run depends on."""
    versions: dict[str, str | None] = dict.fromkeys(PACKAGES)
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    commit, words = None, ["git", "rev-parse", "HEAD"]
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(words, cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10)
        commit = told.stdout.strip()
    return {
        "deepripe": __version__,
        "commit": commit,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
    }


def open_run(run: Path, config: dict[str, Any], dataset: Dataset, start: str) -> None:
    """Create a run directory, or check that an existing one belongs to this config, data set and first weights.

    Parameters
    ----------
    run : Path
        A folder that holds anything else is refused.
    config : dict
        Plain values; ``data``, ``run`` and ``start`` (places, not content) may differ when a run is resumed.
    dataset : Dataset
    start : str
        sha256 of the weights the run starts from; empty for none.
    """
    run.parent.mkdir(parents=True, exist_ok=True)
    path = run / "config.yaml"
    if path.is_file():
        # An option that came after the run was started had its default value then.
        before = plain(build(FitConfig, read_yaml(path), str(path)))
        for key in sorted(set(before) | set(config)):
            if key not in {"data", "run", "start"} and before.get(key) != config.get(key):
                raise InputError(
                    f"{run}: holds a run with another config ({key}: {before.get(key)!r}, now {config.get(key)!r}). "
                    "Choose another run directory or remove this one."
                )
        record = read_record(run)
        if record["manifest_sha256"] != dataset.manifest_sha256:
            raise InputError(
                f"{run}: was started on another data set than {dataset.path}. Choose another run directory."
            )
        if record.get("start", "") != start:
            raise InputError(f"{run}: was started from other weights. Choose another run directory.")
        return
    # What a run that was killed before its config was written has left is no run yet.
    left = ("data.json", "environment.json", ".*.part.*")
    if run.exists() and not (run.is_dir() and all(any(map(file.match, left)) for file in run.iterdir())):
        raise InputError(f"{run}: expected a new or empty folder or an earlier run, got something else.")
    run.mkdir(exist_ok=True)
    about = {"manifest_sha256": dataset.manifest_sha256, "manifest": dataset.manifest, "start": start}
    for name, values in (("data.json", {"path": str(dataset.path), **about}), ("environment.json", environment())):
        write_text(run / name, json.dumps(values, indent=1, sort_keys=True) + "\n")
    write_text(path, yaml.safe_dump(config, sort_keys=False))  # last: its presence means the others are there


def read_record(run: Path) -> dict[str, Any]:
    """Return what a run says of its data set: ``path``, ``manifest_sha256``, ``manifest``, ``start``."""
    path, record = run / "data.json", None
    with suppress(FileNotFoundError, ValueError):
        record = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(record, dict) and all(isinstance(record.get(key), str) for key in ("path", "manifest_sha256")):
        return record
    raise InputError(f"{path}: expected the record of a run's data set, got none or a damaged one. Train it again.")


def write_checkpoint(path: Path, *, history: list[dict[str, Any]], **groups: Arrays) -> None:
    """Write the state after an epoch; a run killed while writing keeps the previous one."""
    # In memory first: HDF5 cannot close a file in good order once a write to a full disk has failed.
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as handle:
        handle.attrs["history"] = json.dumps(history)
        for name, arrays in groups.items():
            group = handle.create_group(name)
            group.attrs["n"] = len(arrays)
            for index, value in enumerate(arrays):
                group.create_dataset(str(index), data=value)
    with atomic_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def read_checkpoint(path: Path) -> tuple[list[dict[str, Any]], dict[str, Arrays]] | None:
    """Return (history, arrays by group), or None when there is no checkpoint."""
    if not path.is_file():
        return None
    with open_hdf5(path, "the checkpoint of a run", advice="Remove it to train from the start.") as file:
        groups = {name: [group[str(i)][()] for i in range(group.attrs["n"])] for name, group in file.handle.items()}
        return json.loads(file.handle.attrs["history"]), groups


def best_epoch(history: Sequence[Mapping[Any, Any]], best_by: str) -> int:
    """Return the epoch of the smallest ``val_loss`` or largest ``val_auroc``; the last one without validation."""
    sign = -1.0 if best_by == "val_auroc" else 1.0
    losses = [sign * row[best_by] if best_by in row else -row["epoch"] for row in history]
    return int(history[int(np.argmin(losses))]["epoch"])


def is_over(history: Sequence[Mapping[Any, Any]], config: FitConfig) -> bool:
    """Return whether training stops after this history (one row per epoch)."""
    waited = len(history) - best_epoch(history, config.best_by) if history else 0
    return len(history) >= config.epochs or 0 < config.patience <= waited


def plot_curves(history: list[dict[str, Any]], config: FitConfig) -> None:
    """Draw loss, AUROC and average precision by epoch, the best epoch marked, into ``curves.png`` of the run."""
    from ripe_lib.reports.figures import new_figure, save_figure, style

    best = best_epoch(history, config.best_by)
    curves = {"loss": "training", "val_loss": "validation", "val_auroc": "AUROC", "val_ap": "average precision"}
    table = pd.DataFrame(history)
    with style():
        figure = new_figure(height_mm=60)
        left, right = figure.subplots(1, 2)
        for key, label in curves.items():
            if key in table:
                axes = left if "loss" in key else right
                axes.plot(table["epoch"], table[key], marker="o", markersize=3, label=label)
        left.set(xlabel="epoch", ylabel="loss", title=f"best epoch {best}")
        right.set(xlabel="epoch", ylabel="mean over tasks", title="validation sites")
        for axes in (left, right):
            if axes.lines:
                axes.axvline(best, color="0.7", linewidth=0.8, zorder=0)
                axes.legend(frameon=False)
            axes.xaxis.get_major_locator().set_params(integer=True)
        save_figure(figure, config.run / "curves")


def finished_weights(run: Path) -> Path:
    """Return the weights file of a finished run, or raise a MissingFileError."""
    path = run / "weights.h5"
    if not path.is_file():
        what = "is not finished; go on with: ripe-train fit" if (run / "config.yaml").is_file() else "is not a run"
        raise MissingFileError(f"{run}: {what}.")
    return path
