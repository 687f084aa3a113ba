"""What a network of other proteins is worth to a lab with a few hundred sites of a new one.

``python -m training.study.warm_start CONFIG`` leaves proteins out, group by group: one network learns everything but
their experiments; then, for each of them and for several numbers of sites, a network starts from its weights, another
one from nothing, and the k-mer regression sees the same rows. All are measured on the whole test split. The config has
sections ``prepare`` (or a data set), ``fit`` and ``warm_start``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripe_lib.errors import RipeError
from ripe_lib.evaluation.dataset import NEGATIVE, POSITIVE, Dataset
from ripe_lib.evaluation.evaluate import Options, score_dataset
from ripe_lib.network.load import model_from_weights
from training.config import Note, build, merged, section
from training.data.prepare import prepared_data
from training.fitting.baseline import kmer_baseline
from training.fitting.config import FitConfig
from training.fitting.fit import fit
from training.fitting.runs import write_csv
from training.study.slices import write_rows

METHODS = ("warm", "nothing", "kmers")
TRAIN, VALID, TEST = range(3)


@dataclass(frozen=True)
class WarmStartConfig:
    """The section ``warm_start``.

    Attributes
    ----------
    directory : Path
        Gets data sets, runs and ``warm_start.csv``.
    groups : tuple of dict
        Proteins that are left out together: the experiment that is measured -> further ones (of the same protein or its
        relatives) that the network must not have seen.
    data : Path, optional
        Data set; default: the output of the section ``prepare``.
    sites : tuple of int
        Numbers of sites a lab has. One in five is kept to choose the epoch.
    negatives : float
        Negatives per site.
    warm_fit, nothing_fit : dict
        What the networks of a few sites change in the section ``fit``.
    seed : int
    """

    directory: Path
    groups: tuple[dict[str, Any], ...]
    data: Path | None = None
    sites: tuple[int, ...] = (100, 300, 1000)
    negatives: float = 4.0
    warm_fit: dict[str, Any] = field(default_factory=dict)
    nothing_fit: dict[str, Any] = field(default_factory=dict)
    seed: int = 0


def few_sites(dataset: Dataset, task: str, n: int, negatives: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows a lab with ``n`` sites has, and the test rows of the task, with their splits.

    Sites and negatives are drawn from all rows but the test ones, or are all there are; loci stay together when a fifth
    becomes validation.

    Parameters
    ----------
    dataset, task
    n, negatives, seed
        Sites of the lab, negatives per site, seed of the draw.
    """
    label = dataset.labels[:, dataset.task_index(task)]
    known = dataset.split != TEST
    rng = np.random.default_rng([seed, n, dataset.task_index(task)])
    positive, negative = (np.flatnonzero(known & (label == value)) for value in (POSITIVE, NEGATIVE))
    own = np.concatenate([rng.permutation(positive)[:n], rng.permutation(negative)[: round(n * negatives)]])
    clusters = rng.permutation(np.unique(dataset.cluster[own]))
    held = np.isin(dataset.cluster[own], clusters[: len(clusters) // 5])
    test = np.flatnonzero((dataset.split == TEST) & (label >= NEGATIVE))
    rows = np.concatenate([own, test])
    split = np.concatenate([np.where(held, VALID, TRAIN), np.full(len(test), TEST)])
    order = np.argsort(rows, kind="stable")
    return rows[order], split[order].astype(np.uint8)


def warm_start(path: str | Path, *, note: Note = lambda _: None, only: Sequence[str] = ()) -> pd.DataFrame:
    """Run the study; networks that are trained already are kept.

    Returns what is also written to ``warm_start.csv`` of the directory: ``task sites n_sites method n_pos n_neg auroc
    ap`` (sites asked for, and there).

    Parameters
    ----------
    path : path
        Config file.
    note : callable
        Is given what is done next, one line each.
    only : sequence of str
        These experiments; default all.
    """
    config = build(WarmStartConfig, section(path, "warm_start"), str(path))
    dataset = Dataset(config.data or prepared_data(path, note))
    options = section(path, "fit")

    def trained(name: str, data: Path, tasks: list[str], **changes: Any) -> Path:
        run = config.directory / "runs" / name
        changed = merged(options, {**changes, "data": data, "run": run, "tasks": tasks})
        return fit(build(FitConfig, changed, str(path)), note=note) / "weights.h5"

    tables: list[pd.DataFrame] = []
    for number, group in enumerate(config.groups, start=1):
        measured = [task for task in group if not only or task in only]
        if not measured:
            continue
        left_out = {name for task, others in group.items() for name in (task, *(others or ()))}
        for name in left_out:
            dataset.task_index(name)
        others = [task for task in dataset.tasks if task not in left_out]
        note(f"group {number}: {len(others)} experiments, without {', '.join(sorted(left_out))}")
        base = trained(f"without_{number}", dataset.path, others)
        for task, n in product(measured, config.sites):
            tables.append(_measured(config, dataset, task, n, base, trained, note))
            write_csv(config.directory / "warm_start.csv", pd.concat(tables), float_format="%.6f")
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _measured(
    config: WarmStartConfig, dataset: Dataset, task: str, n: int, base: Path, trained: Callable[..., Path], note: Note
) -> pd.DataFrame:
    """Measure the three methods on one number of sites of one experiment."""
    data = config.directory / "data" / f"{task}_{n}.h5"
    data.parent.mkdir(parents=True, exist_ok=True)
    if not data.is_file():
        rows, split = few_sites(dataset, task, n, config.negatives, config.seed)
        write_rows(dataset, data, [task], rows, {"sites": n, "seed": config.seed}, split)
    small = Dataset(data)
    found = {}
    for method, changes in (("warm", {"start": str(base), **config.warm_fit}), ("nothing", config.nothing_fit)):
        note(f"{task}, {n} sites: {method}")
        model = model_from_weights(trained(f"{task}_{n}_{method}", data, [task], **changes))
        found[method] = score_dataset(model, small, options=Options(n_bootstrap=0)).table()
    found["kmers"] = kmer_baseline(small, [task], train_on=("train", "valid"))
    n_sites = int((small.labels[small.split != TEST, 0] == POSITIVE).sum())
    told = pd.concat([table.assign(method=method) for method, table in found.items()])
    columns = ["task", "sites", "n_sites", "method", "n_pos", "n_neg", "auroc", "ap"]
    return told.assign(sites=n, n_sites=n_sites)[columns]


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Return mean AUROC and average precision per number of sites and method."""
    found = table.pivot_table(index="sites", columns="method", values=["auroc", "ap"], aggfunc="mean")
    return found[list(product(("auroc", "ap"), METHODS))]


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.study.warm_start", description=__doc__.split("\n")[0])
    parser.add_argument("config", help="YAML with fit, warm_start and prepare; see training/configs/study")
    parser.add_argument("--only", nargs="+", default=(), metavar="TASK", help="these experiments (default: all)")
    args = parser.parse_args(argv)
    try:
        table = warm_start(args.config, only=args.only, note=partial(print, file=sys.stderr))
    except RipeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(means(table).to_string(float_format="%.3f") + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
