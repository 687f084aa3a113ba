"""Running a study from beginning to end, or from where it stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ripe_lib.errors import InputError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.evaluate import Evaluation
from ripe_lib.evaluation.specificity import cross_experiment, own_rank, sites_by_output
from ripe_lib.genome.landmarks import LANDMARKS
from ripe_lib.network.load import load_model, model_from_weights
from ripe_lib.reports.evaluation_figures import plot_kmers
from ripe_lib.reports.figures import save_figure
from training.config import Note, plain, read_yaml
from training.data.prepare import prepared_data
from training.fitting.runs import environment, write_csv, write_text
from training.study import figures
from training.study.arms import (
    KMERS,
    MULTITASK,
    arms_of,
    score_arm,
    time_table,
    train_arm,
    weights_files,
)
from training.study.borders import border_profiles, lean_on_borders, windows_with_borders
from training.study.compare import Comparison, arm_tables, compare_all
from training.study.config import StudyConfig, read_config
from training.study.page import write_page
from training.study.protocols import cross_protocols
from training.study.slices import write_slice


@dataclass
class Results:
    """What a study found, by name: ``tables/NAME.csv``, ``figures/NAME.png`` and ``.svg``."""

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)


def run_study(
    path: str | Path,
    *,
    quick: bool = False,
    only: Collection[str] = (),
    changes: dict[str, Any] | None = None,
    quiet: bool = True,
    note: Note = lambda _: None,
) -> Path:
    """Run a study and return its directory; runs and scores that are there already are kept.

    Parameters
    ----------
    path : path
        Config file with a section ``study`` (and ``prepare``, unless the study names a data set).
    quick : bool
        A slice of the data, small networks, few epochs: the same tables in small, in ``DIRECTORY_quick``.
    only : collection of str
        Comparisons whose networks are trained now; default all. The tables hold every arm of the study that is trained,
        so a study can be completed part by part.
    changes : dict, optional
        Fields of :class:`StudyConfig` to set, e.g. from the command line.
    quiet : bool
        No progress bars.
    note : callable
        Is given what is done next, one line each.
    """
    began = time.monotonic()
    config = replace(read_config(path), **(changes or {}))
    # Also one that the config does not list, which is refused if there is no such comparison.
    config = replace(config, comparisons=tuple(dict.fromkeys([*config.comparisons, *only])))
    if config.data is None and "prepare" not in read_yaml(path):
        raise InputError(f"{path}: expected 'data' in section 'study', or a section 'prepare', found neither.")
    dataset = Dataset(config.data or prepared_data(path, note))
    if quick:
        config = config.quickened()
        config.directory.mkdir(parents=True, exist_ok=True)
        part = config.directory / "slice.h5"
        if not part.is_file():
            write_slice(dataset, part, list(config.quick.tasks) or dataset.tasks[:3], config.quick.rows, config.seed)
        dataset = Dataset(part)
    _open(config, dataset)
    every = arms_of(config, dataset)
    now = arms_of(replace(config, comparisons=tuple(only)), dataset) if only else every
    for arm in now.values():
        train_arm(config, arm, dataset.path, quiet=quiet, note=note)
    weights = {name: weights_files(config, arm) for name, arm in every.items()}
    weights = {name: files for name, files in weights.items() if all(path.is_file() for path in files)}
    arms = {name: every[name] for name in weights}
    needed = {name: arms_of(replace(config, comparisons=(name,)), dataset) for name in config.comparisons}
    complete = [name for name, those in needed.items() if those.keys() <= arms.keys()]
    results = Results()
    measured = {}
    for name, arm in arms.items():
        if not name.startswith("protocol_"):
            note(f"scoring {name}")
            measured[name] = score_arm(config, arm, weights[name], dataset)
    _compare(config, measured, results, note)
    if "protocols" in complete:
        note("crossing protocols")
        _protocols(config, dataset, weights, results)
    if "borders" in complete:
        note("looking at the borders of sites")
        _borders(config, dataset, weights, results)
    if "specificity" in complete:
        note("comparing experiments of the same protein")
        _specificity(measured[MULTITASK], results)
    results.tables["time"] = time_table(config, arms)
    _write(config, dataset, results, time.monotonic() - began, note)
    return config.directory


def _open(config: StudyConfig, dataset: Dataset) -> None:
    """Create the directory, or check that it belongs to this config and data set."""
    path = config.directory / "study.yaml"
    skipped = ("directory", "data", "quick", "comparisons")
    now = {key: value for key, value in plain(config).items() if key not in skipped}
    now["dataset_sha256"] = dataset.manifest_sha256
    if path.is_file():
        # An option that came after the study was started had its default value then.
        before = {**plain(StudyConfig(config.directory)), **read_yaml(path)}
        for key in sorted((set(before) | set(now)) - set(skipped)):
            if before.get(key) != now.get(key):
                raise InputError(
                    f"{config.directory}: holds a study with another {key} ({before.get(key)!r}, now "
                    f"{now.get(key)!r}). Choose another directory or remove this one."
                )
        return
    if config.directory.is_file():
        raise InputError(f"{config.directory}: expected a folder for the study, got a file.")
    config.directory.mkdir(parents=True, exist_ok=True)
    write_text(config.directory / "environment.json", json.dumps(environment(), indent=1, sort_keys=True) + "\n")
    write_text(path, yaml.safe_dump(now, sort_keys=False))


def comparisons_of(config: StudyConfig, measured: dict[str, Evaluation]) -> list[Comparison]:
    """Return the paired comparisons among the arms that were measured; the first is expected to be better."""
    wanted = []
    if "modalities" in config.comparisons:
        annotation = "annotation" if "landmarks" in str(config.fit.get("inputs")) else "region types"
        wanted += [
            Comparison(annotation, MULTITASK, "sequence_only"),
            Comparison("region types withheld", "region_withheld", "sequence_only"),
            Comparison("landmarks", MULTITASK, "no_landmarks"),
            Comparison("landmarks withheld", "landmarks_withheld", "no_landmarks"),
            *(Comparison(f"without {name}", MULTITASK, f"{name}_withheld") for name in LANDMARKS),
        ]
    if "architectures" in config.comparisons:
        base = config.fit.get("architecture", "cnn")
        wanted += [Comparison(f"{base} or {name}", MULTITASK, name) for name in config.architectures]
    if "strategies" in config.comparisons:
        names = config.strategies
        wanted += [Comparison(f"multitask or single ({name})", MULTITASK, f"single_{name}") for name in names]
    wanted += [Comparison(f"{name} or k-mers", name, KMERS) for name in measured if name != KMERS]
    return [c for c in wanted if c.first in measured and c.second in measured]


def _compare(config: StudyConfig, measured: dict[str, Evaluation], results: Results, note: Note) -> None:
    note("comparing")
    results.tables["tasks"], results.tables["arms"] = arm_tables(measured)
    results.figures["arms"] = figures.plot_arms(results.tables["arms"], results.tables["tasks"])
    comparisons = comparisons_of(config, measured)
    if not comparisons:
        return
    differences, tests = compare_all(comparisons, measured, config.n_bootstrap, config.seed)
    results.tables["differences"], results.tables["tests"] = differences, tests
    for comparison in comparisons:
        if (comparison.second == KMERS and comparison.first != MULTITASK) or "_withheld" in comparison.second:
            continue  # in the tables; a picture each would bury the page
        rows, test = (t[t["comparison"] == comparison.name] for t in (differences, tests))
        results.figures[f"{comparison.first}_vs_{comparison.second}"] = figures.plot_pairs(rows, test)


def _protocols(config: StudyConfig, dataset: Dataset, weights: dict[str, list[Path]], results: Results) -> None:
    if not config.protocols.pairs:
        return
    names = {group: f"protocol_{group}" for group in config.protocols.groups}
    trained = {group: weights[name][0] for group, name in names.items() if name in weights}
    table, kmers = cross_protocols(config, dataset, trained)
    results.tables["protocols"] = table
    parts = [found.head(50).assign(pair=pair) for pair, found in kmers.items()]
    results.tables["protocol_kmers"] = pd.concat(parts, ignore_index=True)
    results.figures["protocols"] = figures.plot_protocols(table)
    results.figures["protocol_kmers"] = plot_kmers({p.replace(" on ", "\non "): t for p, t in kmers.items()})


def _borders(config: StudyConfig, dataset: Dataset, weights: dict[str, list[Path]], results: Results) -> None:
    options = config.borders
    windows = windows_with_borders(dataset, config.split, options.n_edge)
    leans, profiles = [], []
    for name in dict.fromkeys([*options.arms, *options.models]):
        if name in options.models:
            models = [load_model(options.models[name])]
        elif name in weights:
            models = [model_from_weights(path) for path in weights[name]]
        else:
            continue
        leans.append(lean_on_borders(models, dataset, windows, options, config.seed))
        leans[-1].insert(0, "arm", name)
        if options.max_maps:
            profiles.append(border_profiles(models, dataset, windows, options, config.seed))
            profiles[-1].insert(0, "arm", name)
    for name, parts, plot in (
        ("borders", leans, figures.plot_lean),
        ("border_profiles", profiles, figures.plot_profiles),
    ):
        if parts:
            results.tables[name] = pd.concat(parts, ignore_index=True)
            results.figures[name] = plot(results.tables[name])


def _specificity(measured: Evaluation, results: Results) -> None:
    results.tables["cross_experiment"] = cross_experiment(measured)
    matrix = sites_by_output(measured)
    results.tables["own_rank"] = own_rank(matrix)
    results.tables["sites_by_output"] = matrix.rename_axis("sites").reset_index()
    if len(matrix):  # no experiment with enough sites in a quick study
        results.figures["sites_by_output"] = figures.plot_matrix(matrix)


def _write(config: StudyConfig, dataset: Dataset, results: Results, seconds: float, note: Note) -> None:
    for name in ("tables", "figures"):
        (config.directory / name).mkdir(exist_ok=True)
    for name, table in results.tables.items():
        note(f"writing tables/{name}.csv")
        write_csv(config.directory / "tables" / f"{name}.csv", table)
    for name, figure in results.figures.items():
        note(f"writing figures/{name}")
        save_figure(figure, config.directory / "figures" / name, ("png", "svg"))
    write_page(config, dataset, results.tables, results.figures, config.directory / "report.html")
    summary = {
        "study": config.name,
        "dataset": dataset.path.name,
        "dataset_sha256": dataset.manifest_sha256,
        "split": config.split,
        "seed": config.seed,
        "tables": sorted(results.tables),
        "seconds_training": float(results.tables["time"]["seconds"].sum()),
        "seconds_last_call": round(seconds, 1),
    }
    write_text(config.directory / "study.json", json.dumps(summary, indent=1, sort_keys=True) + "\n")
