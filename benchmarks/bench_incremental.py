"""Exact substitution scoring against full passes of the compiled network on ready arrays, in one run.

Usage: python -m benchmarks.bench_incremental [--model NAME] [--architecture cnn] [--sites 2048] [--repeats 5]

Rows: scattered SNVs (one alternative per reference window) without and with region tracks, every substitution of
separate windows, and every substitution of a 1-kb stretch with each variant in its own window. The full passes are
given one-hot arrays that were made before the clock started. Rows alternate within a repeat; the smallest time of each
counts.
"""

import argparse
import os
import time

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from scipy.special import expit

from benchmarks.common import machine, write_results
from ripe_lib.attribution.compute import ism
from ripe_lib.genome.encoding import one_hot
from ripe_lib.network.load import Model, load_model
from ripe_lib.network.predict import predict_codes
from ripe_lib.network.spec import ModelSpec

CENTRE = 74


def untrained_model(architecture):
    from ripe_lib.network.architecture import build_model

    spec = ModelSpec(name="DeepRiPe/benchmark", tasks=tuple(f"task{i}" for i in range(31)), architecture=architecture)
    return Model(spec=spec, keras_model=build_model(spec))


def random_tracks(rng, n, length):
    """Region tracks of two or three stretches each: no two are alike."""
    borders = np.sort(rng.integers(0, length, (n, 2)), axis=1)
    types = rng.integers(0, 4, (n, 3))
    return types[np.arange(n)[:, None], (np.arange(length) >= borders[..., None]).sum(axis=1)].astype(np.uint8)


def sliding(codes, n, length):
    return np.lib.stride_tricks.sliding_window_view(codes, length)[:n].copy()


def one_region_track(rng, length):
    """Return the region types of a stretch of a transcript: a border every 400 bases or so."""
    borders = np.sort(rng.integers(0, length, max(1, length // 400)))
    return (np.searchsorted(borders, np.arange(length), side="right") % 2).astype(np.uint8)


def full_passes(model, seq, region, batch=1024):
    call = model.network.probabilities
    for start in range(0, len(seq), batch):
        part = slice(start, start + batch)
        call(seq[part], None if region is None else region[part])


def best_times(functions, repeats):
    """Run the functions in turn; return the smallest wall time of each in seconds."""
    for function in functions:
        function()
    times = np.full((repeats, len(functions)), np.inf)
    for repeat in range(repeats):
        for index, function in enumerate(functions):
            start = time.perf_counter()
            function()
            times[repeat, index] = time.perf_counter() - start
    return times.min(axis=0)


def scattered(model, scorer, rng, n, *, with_region, batch=1024):
    length = model.spec.sequence_length
    seq = rng.integers(0, 4, (n, length)).astype(np.uint8)
    region = random_tracks(rng, n, model.spec.region_length) if with_region else None
    alt_base = (seq[:, CENTRE] + rng.integers(1, 4, n)).astype(np.uint8) % 4
    alt = seq.copy()
    alt[:, CENTRE] = alt_base
    blank = np.full((n, model.spec.region_length), 4, np.uint8)
    ready = one_hot(np.concatenate([seq, alt])), one_hot(np.concatenate([blank if region is None else region] * 2))

    def incremental():
        for start in range(0, n, batch):
            part = slice(start, min(start + batch, n))
            state = scorer.reference(seq[part], None if region is None else region[part])
            size = len(state.logits)
            scorer.substitutions(state, np.arange(size), np.full(size, CENTRE), alt_base[part])

    return lambda: full_passes(model, *ready), incremental, 2 * n


def every_substitution(model, rng, n):
    length = model.spec.sequence_length
    seq = rng.integers(0, 4, (n, length)).astype(np.uint8)
    region = random_tracks(rng, n, model.spec.region_length)
    ready = []
    for site in range(n):
        windows = np.repeat(seq[site : site + 1], 3 * length + 1, axis=0)
        rows = np.arange(3 * length)
        windows[rows, rows // 3] = (seq[site, rows // 3] + rows % 3 + 1) % 4
        ready.append((one_hot(windows), one_hot(np.repeat(region[site : site + 1], 3 * length + 1, axis=0))))

    def naive():
        for windows, tracks in ready:
            full_passes(model, windows, tracks)

    windows = {"seq": one_hot(seq), "region": one_hot(region)}
    return naive, lambda: ism(model, windows, task=model.tasks), n * (3 * length + 1)


def one_stretch(model, scorer, rng, *, with_region, n=1000):
    length, region_length = model.spec.sequence_length, model.spec.region_length
    stretch = rng.integers(0, 4, n + length - 1).astype(np.uint8)
    tracks = sliding(one_region_track(rng, n + region_length), n, region_length) if with_region else None
    seq = sliding(stretch, n, length)
    alts = (seq[:, CENTRE, None] + np.arange(1, 4, dtype=np.uint8)) % 4
    changed = np.repeat(seq, 3, axis=0)
    changed[:, CENTRE] = alts.ravel()
    # Two windows per variant: 6,000 passes for 3,000 variants, as without sharing.
    windows = one_hot(np.concatenate([np.repeat(seq, 3, axis=0), changed]))
    blank = np.full((n, region_length), 4, np.uint8)
    regions = one_hot(np.tile(np.repeat(blank if tracks is None else tracks, 3, axis=0), (2, 1)))

    def incremental():
        state = scorer.neighbours(stretch, np.arange(n), tracks)
        scorer.substitutions(state, np.repeat(np.arange(n), 3), np.full(3 * n, CENTRE), alts.ravel())

    return lambda: full_passes(model, windows, regions), incremental, 6 * n


def equality(model, scorer, rng, n=200):
    """Return the largest difference in probability to full passes, over random positions and bases."""
    seq = rng.integers(0, 4, (n, model.spec.sequence_length)).astype(np.uint8)
    region = random_tracks(rng, n, model.spec.region_length)
    position, alt = rng.integers(0, model.spec.sequence_length, n), rng.integers(0, 4, n).astype(np.uint8)
    changed = seq.copy()
    changed[np.arange(n), position] = alt
    state = scorer.reference(seq, region)
    got = expit(scorer.substitutions(state, np.arange(n), position, alt))
    return float(np.abs(got - predict_codes(model, changed, region)).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a model's name; default: an untrained network with 31 tasks")
    parser.add_argument("--architecture", default="cnn")
    parser.add_argument("--sites", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    model = load_model(args.model) if args.model else untrained_model(args.architecture)
    scorer = model.network
    cases = {
        "scattered SNVs, no region types": scattered(model, scorer, rng, args.sites, with_region=False),
        "scattered SNVs, distinct region tracks": scattered(model, scorer, rng, args.sites, with_region=True),
        "all substitutions of 16 windows": every_substitution(model, rng, 16),
        "all substitutions of 1 window": every_substitution(model, rng, 1),
        "1-kb saturation, no region types": one_stretch(model, scorer, rng, with_region=False),
        "1-kb saturation, region track": one_stretch(model, scorer, rng, with_region=True),
    }
    rows = []
    check = equality(model, scorer, rng)
    print(f"largest difference to full passes: {check:.1e} in probability")
    print(f"{'case':42s} {'passes':>8s} {'full s':>8s} {'exact s':>8s} {'ratio':>7s}")
    for name, (full, incremental, passes) in cases.items():
        slow, fast = best_times([full, incremental], args.repeats)
        rows.append({"case": name, "passes": passes, "full_s": slow, "incremental_s": fast, "ratio": slow / fast})
        print(f"{name:42s} {passes:8d} {slow:8.3f} {fast:8.3f} {slow / fast:7.2f}", flush=True)
    name = f"incremental_{model.name.split('/')[-1]}_{model.spec.architecture}"
    facts = {"model": model.name, "architecture": model.spec.architecture, "largest_difference": check}
    write_results(name, {**facts, "rows": rows, **machine()})


if __name__ == "__main__":
    main()
