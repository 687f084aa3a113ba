"""How large |alt - ref| is for ordinary SNVs in CLIP sites: the quantile table behind ``--scores percentile``.

Usage: ``python -m training.publishing.variant_background MODEL DATASET [--variants 20000] [--seed 0] [-o FILE]``

Takes bound sites (of any task) of the data set's validation and test rows, moves each window by up to the data set's
margin, replaces the base where a variant would sit by another one, all three equally likely, and writes quantiles of
|delta| per task to ``variant_background.tsv`` in the model's directory. The first line names the weights: with others
the table is refused.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ripe_lib.errors import InputError, RipeError, ShapeMismatchError
from ripe_lib.evaluation.dataset import POSITIVE, Dataset
from ripe_lib.genome.encoding import UNKNOWN
from ripe_lib.network.load import Model, load_model, model_arguments
from ripe_lib.variants.summary import BACKGROUND_FILE, BACKGROUND_FORMAT
from training.fitting.batches import cut_windows
from training.fitting.runs import write_text

PERCENTAGES = (*range(0, 100, 5), 96, 97, 98, 99, 99.5, 99.9, 100)


def background_deltas(model: Model, dataset: Dataset, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return |delta| (n, T) in probability of random SNVs in bound sites that were not trained on.

    Parameters
    ----------
    model : Model
    dataset : Dataset
        With such sites, and windows as the model's; else an ``InputError`` or ``ShapeMismatchError`` says so.
    n : int
        Variants to draw.
    rng : Generator
    """
    spec = model.spec
    regions = dataset.region_length if spec.has_region else 0
    if (dataset.sequence_length, regions) != (spec.sequence_length, spec.region_length):
        raise ShapeMismatchError(
            f"{dataset.path}: expected windows of {spec.sequence_length} and {spec.region_length} nt for {model.name}, "
            f"got {dataset.sequence_length} and {dataset.region_length}."
        )
    rows = np.flatnonzero((dataset.labels == POSITIVE).any(axis=1) & (dataset.split != 0))
    if not len(rows):
        raise InputError(f"{dataset.path}: expected bound sites in the validation or test rows, got none.")
    middle, margin = spec.sequence_length // 2 - 1, dataset.margin
    found: list[NDArray[np.float32]] = []
    while (left := n - sum(map(len, found))) > 0:
        picked = np.sort(rng.choice(rows, min(4096, left)))
        shift = rng.integers(-margin, margin + 1, len(picked))
        chosen, place = np.unique(picked, return_inverse=True)
        seq = cut_windows(dataset.seq_codes(chosen)[place], spec.sequence_length, margin, shift)
        known = np.flatnonzero(seq[:, middle] != UNKNOWN)
        if not len(known):
            raise InputError(f"{dataset.path}: expected known bases in the middle of the sites, got none.")
        seq, region = seq[known], None
        if spec.has_region:
            codes = dataset.region_codes(chosen)[place]
            region = cut_windows(codes, spec.region_length, margin, shift)[known]
        landmarks = dataset.landmarks(chosen)[place][known] - shift[known][:, None]
        alt = (seq[:, middle] + rng.integers(1, 4, len(seq), dtype=np.uint8)) % 4
        state = model.network.reference(seq, region, landmarks.astype(np.float64))
        changed = model.network.substitutions(state, np.arange(len(seq)), np.full(len(seq), middle), alt)
        found.append(np.abs(expit(changed) - expit(state.logits)))
    return np.concatenate(found)


def write_background(model: Model, dataset: Dataset, path: Path, *, n: int, seed: int) -> None:
    """Write the quantile table of |delta| for a model with a directory; parameters as :func:`background_deltas`."""
    if model.directory is None:
        raise InputError(f"model {model.name}: expected a model with a directory.")
    deltas = background_deltas(model, dataset, n, np.random.default_rng(seed))
    quantiles = np.percentile(deltas, PERCENTAGES, axis=0).T
    weights = model_arguments(model.directory)["sha256"]
    said = f"# {BACKGROUND_FORMAT} weights={weights} dataset={dataset.manifest_sha256[:16]} variants={n} seed={seed}"
    lines = [said, "\t".join(["task", *(f"{p:g}" for p in PERCENTAGES)])]
    lines += ["\t".join([task, *(f"{q:.6g}" for q in row)]) for task, row in zip(model.tasks, quantiles, strict=True)]
    write_text(path, "\n".join(lines) + "\n")


def main(argv: list[str] | None = None) -> int:
    """Run the command; exit codes as ``ripe``."""
    parser = argparse.ArgumentParser(
        prog="variant_background", description="Quantiles of |delta| of SNVs in CLIP sites"
    )
    parser.add_argument("model", help="name or directory of a model")
    parser.add_argument("dataset", help="prepared data set (HDF5)")
    parser.add_argument("--variants", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", help=f"default: {BACKGROUND_FILE} in the model's directory")
    args = parser.parse_args(argv)
    try:
        model = load_model(args.model)
        path = Path(args.output) if args.output else Path(str(model.directory)) / BACKGROUND_FILE
        write_background(model, Dataset(args.dataset), path, n=args.variants, seed=args.seed)
    except RipeError as error:
        sys.stderr.write(f"variant_background: error: {error}\n")
        return 2
    sys.stderr.write(f"written: {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
