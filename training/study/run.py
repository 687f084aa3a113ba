"""Running a study from beginning to end, or from where it stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ripe_lib.errors import InputError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.evaluate import Evaluation, score_dataset
from ripe_lib.evaluation.metrics import NEGATIVES
from ripe_lib.evaluation.specificity import cross_experiment, own_rank, sites_by_output
from ripe_lib.genome.landmarks import LANDMARKS
from ripe_lib.network.load import load_model, model_from_weights
from ripe_lib.reports.evaluation_figures import plot_kmers
from ripe_lib.reports.figures import save_figure
from training.config import Note, plain, read_yaml
from training.data.prepare import prepared_data
from training.fitting.fit import fit
from training.fitting.runs import environment, write_csv, write_text
from training.study import figures
from training.study.arms import KMERS, MULTITASK, Arm, arms_of, forget_graphs, time_table
from training.study.borders import border_profiles, lean_on_borders, windows_with_borders
from training.study.compare import Comparison, arm_tables, compare_all
from training.study.config import StudyConfig, read_config
from training.study.page import Results, write_page
from training.study.slices import write_slice


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
        The same tables in small (:class:`QuickOptions`), in ``DIRECTORY_quick``.
    only : collection of str
        Comparisons whose networks are trained now; default all. The tables hold every arm of the study that is trained,
        so a study can be completed part by part.
    changes : dict, optional
        Fields of :class:`StudyConfig` to set, e.g. from the command line.
    quiet, note
        As :func:`training.fitting.fit.fit`.
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
        _train(config, arm, dataset, quiet, note)
    arms = {name: arm for name, arm in every.items() if all(path.is_file() for path in arm.weights(config).values())}
    results = Results()
    measured = {}
    for name, arm in arms.items():
        if not name.startswith("protocol_"):
            note(f"scoring {name}")
            measured[name] = arm.evaluation(config, dataset)
    _compare(config, measured, results, note)

    def is_complete(comparison: str) -> bool:
        alone = replace(config, comparisons=(comparison,))
        return comparison in config.comparisons and arms_of(alone, dataset).keys() <= arms.keys()

    if is_complete("protocols"):
        note("crossing protocols")
        _protocols(config, dataset, arms, results)
    if is_complete("borders"):
        note("looking at the borders of sites")
        _borders(config, dataset, arms, results)
    if is_complete("specificity"):
        note("comparing experiments of the same protein")
        _specificity(measured[MULTITASK], results)
    results.tables["time"] = time_table(config, arms)
    _write(config, dataset, results, time.monotonic() - began, note)
    return config.directory


def _train(config: StudyConfig, arm: Arm, dataset: Dataset, quiet: bool, note: Note) -> None:
    """Train the networks of an arm that are not trained yet."""
    for name, weights in arm.weights(config).items():
        if not weights.is_file():
            note(f"training {name}")
            fit(config.fit_config(name, dataset.path, **arm.runs[name]), quiet=quiet, note=note)
            forget_graphs()


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
            (annotation, MULTITASK, "sequence_only"),
            ("region types withheld", "region_withheld", "sequence_only"),
            ("landmarks", MULTITASK, "no_landmarks"),
            ("landmarks withheld", "landmarks_withheld", "no_landmarks"),
            *((f"without {name}", MULTITASK, f"{name}_withheld") for name in LANDMARKS),
        ]
    if "architectures" in config.comparisons:
        base = config.fit.get("architecture", "cnn")
        wanted += [(f"{base} or {name}", MULTITASK, name) for name in config.architectures]
    if "strategies" in config.comparisons:
        wanted += [(f"multitask or single ({name})", MULTITASK, f"single_{name}") for name in config.strategies]
    wanted += [(f"{name} or k-mers", name, KMERS) for name in measured if name != KMERS]
    return [Comparison(*names) for names in wanted if measured.keys() >= set(names[1:])]


def _compare(config: StudyConfig, measured: dict[str, Evaluation], results: Results, note: Note) -> None:
    note("comparing")
    results.tables["tasks"], results.tables["arms"] = arm_tables(measured)
    results.figures["arms"] = figures.plot_arms(results.tables["arms"], results.tables["tasks"])
    comparisons = comparisons_of(config, measured)
    if not comparisons:
        return
    differences, tests = compare_all(comparisons, measured)
    results.tables |= {"differences": differences, "tests": tests}
    for name, first, second in comparisons:
        if (second == KMERS and first != MULTITASK) or "_withheld" in second:
            continue  # in the tables; a picture each would bury the page
        rows, test = (table[table["comparison"] == name] for table in (differences, tests))
        results.figures[f"{first}_vs_{second}"] = figures.plot_pairs(rows, test)


def _protocols(config: StudyConfig, dataset: Dataset, arms: dict[str, Arm], results: Results) -> None:
    """Measure the model of one protocol on the sites of another (the paper's Fig. 8).

    Rows per test: an output on its own experiment's sites (``home``), on the other's (``crossed``), and the other
    protocol's own model on those sites (``native``, where its group was trained).
    """
    if not (options := config.protocols).pairs:
        return
    trained = {group: arms[f"protocol_{group}"] for group in options.groups if f"protocol_{group}" in arms}
    models = {group: model_from_weights(*arm.weights(config).values()) for group, arm in trained.items()}
    home_of = {task: group for group in models for task in options.groups[group]}
    rows, kmers = [], {}
    for pair in options.pairs:
        name = f"{pair.output} on {pair.sites}"
        tests = [("home", pair.group, pair.output, pair.output), ("crossed", pair.group, pair.output, pair.sites)]
        if pair.sites in home_of:
            tests.append(("native", home_of[pair.sites], pair.sites, pair.sites))
        for kind, group, output, sites in tests:
            tasks = {output: sites}
            scored = score_dataset(models[group], dataset, split=config.split, tasks=tasks, options=config.options)
            names = {"pair": name, "test": kind, "model": group, "output": output, "sites": sites}
            for negatives in NEGATIVES:
                table = scored.table(negatives).drop(columns=["task", "label_task"], errors="ignore")
                rows.append({**names, "negatives": negatives, **table.iloc[0]})
            if kind == "crossed":
                kmers[name] = scored.top_and_bottom_kmers(
                    output, fraction=options.kmer_fraction, at_most=options.kmer_sites
                )
    table = pd.DataFrame(rows)
    parts = [found.head(50).assign(pair=pair) for pair, found in kmers.items()]
    results.tables |= {"protocols": table, "protocol_kmers": pd.concat(parts, ignore_index=True)}
    results.figures["protocols"] = figures.plot_protocols(table)
    results.figures["protocol_kmers"] = plot_kmers({p.replace(" on ", "\non "): t for p, t in kmers.items()})


def _borders(config: StudyConfig, dataset: Dataset, arms: dict[str, Arm], results: Results) -> None:
    options, windows = config.borders, windows_with_borders(config, dataset)
    made: dict[str, list[pd.DataFrame]] = {"borders": [], "border_profiles": []}
    for name in dict.fromkeys([*options.arms, *options.models]):
        if name in options.models:
            models = [load_model(options.models[name])]
        elif name in arms:
            models = [model_from_weights(path) for path in arms[name].weights(config).values()]
        else:
            continue
        asked = config, dataset, windows, models
        made["borders"].append(lean_on_borders(*asked).assign(arm=name))
        if options.max_maps:
            made["border_profiles"].append(border_profiles(*asked).assign(arm=name))
    for kind, plot in (("borders", figures.plot_lean), ("border_profiles", figures.plot_profiles)):
        if made[kind]:
            table = pd.concat(made[kind], ignore_index=True)
            table.insert(0, "arm", table.pop("arm"))
            results.tables[kind], results.figures[kind] = table, plot(table)


def _specificity(measured: Evaluation, results: Results) -> None:
    results.tables["cross_experiment"] = cross_experiment(measured)
    matrix = sites_by_output(measured)
    results.tables["own_rank"] = own_rank(matrix)
    results.tables["sites_by_output"] = matrix.rename_axis("sites").reset_index()
    if len(matrix):  # no experiment with enough sites in a quick study
        results.figures["sites_by_output"] = figures.plot_matrix(matrix)


def _write(config: StudyConfig, dataset: Dataset, results: Results, seconds: float, note: Note) -> None:
    tables, pictures = config.directory / "tables", config.directory / "figures"
    tables.mkdir(exist_ok=True)
    pictures.mkdir(exist_ok=True)
    for name, table in results.tables.items():
        note(f"writing tables/{name}.csv")
        write_csv(tables / f"{name}.csv", table)
    for name, figure in results.figures.items():
        note(f"writing figures/{name}")
        save_figure(figure, pictures / name, ("png", "svg"))
    write_page(config, dataset, results)
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
