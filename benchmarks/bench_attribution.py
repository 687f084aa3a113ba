"""Attributions: throughput against the bare compiled gradient call, in-silico mutagenesis, and the integration rules.

    python -m benchmarks.bench_attribution [--model DeepRiPe/clip31] [--sites 200] [--repeats 5]

Prints the tables and writes ``benchmarks/results/attribution.json``. Ratios compare runs that alternate within this
process; each figure is the median of the repeats.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import warnings
from pathlib import Path

import numpy as np

import ripe_lib
from ripe_lib.attribution import CompletenessWarning, integrated_gradients, is_gap_large, ism
from ripe_lib.encoding import one_hot
from ripe_lib.predict import logit_model, predict

RESULTS = Path(__file__).parent / "results"
STEPS = 50


def example_sites(n, model, rng):
    """Make sites of the kind real windows are: 101 known bases in the middle, region types in long runs."""
    spec = model.spec
    seq = np.full((n, spec.sequence_length), 4, np.uint8)
    seq[:, 24:125] = rng.integers(0, 4, (n, 101))
    region = np.repeat(rng.integers(0, 4, (n, spec.region_length // 50)), 50, axis=1).astype(np.uint8)
    return {"seq": one_hot(seq), "region": one_hot(region)}


def bare_gradient(model):
    """Return the compiled gradient with respect to both inputs: what any implementation has to pay."""
    import tensorflow as tf

    network = logit_model(model)

    @tf.function(input_signature=[tf.TensorSpec((None, *t.shape[1:])) for t in network.inputs])
    def gradient(*arrays):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(arrays)
            value = tf.reduce_sum(tf.sigmoid(network(list(arrays), training=False)[:, 0]))
        return tape.gradient(value, arrays)

    return lambda *arrays: [g.numpy() for g in gradient(*(tf.constant(a) for a in arrays))]


def seconds(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def alternating(ways, repeats):
    """Median seconds of each way, run in turns after one warm-up."""
    for way in ways.values():
        way()
    times = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            times[name].append(seconds(way))
    return {name: statistics.median(values) for name, values in times.items()}


def measure_throughput(model, rng, repeats):
    """Gradient evaluations per second; several tasks count each task's evaluation."""
    n_sites, batch = 40, 500
    sites = example_sites(n_sites, model, rng)
    points = example_sites(batch, model, rng)
    few = {key: array[:10] for key, array in sites.items()}
    tasks = model.tasks[:4]
    bare = bare_gradient(model)
    n_calls = n_sites * STEPS // batch
    ways = {
        "bare compiled gradient, 500 points per call": lambda: [
            bare(points["seq"], points["region"]) for _ in range(n_calls)
        ],
        "integrated gradients, 40 sites": lambda: integrated_gradients(model, sites, task=tasks[0], n_steps=STEPS),
        "integrated gradients, one site at a time": lambda: [
            integrated_gradients(model, {k: a[i : i + 1] for k, a in few.items()}, task=tasks[0], n_steps=STEPS)
            for i in range(10)
        ],
        "integrated gradients, 10 sites x 4 tasks": lambda: integrated_gradients(model, few, task=tasks, n_steps=STEPS),
    }
    evaluations = dict(zip(ways, (n_sites * STEPS, n_sites * STEPS, 10 * STEPS, 4 * 10 * STEPS), strict=True))
    times = alternating(ways, repeats)
    rates = {name: evaluations[name] / times[name] for name in ways}
    bare_rate = next(iter(rates.values()))
    return [{"what": n, "gradients_per_s": r, "ratio_to_bare": r / bare_rate} for n, r in rates.items()]


def measure_ism(model, rng, repeats):
    """All substitutions of sites of 150 known bases: incremental against mutating and predicting."""
    n_sites = 4
    seq = rng.integers(0, 4, (n_sites, model.spec.sequence_length)).astype(np.uint8)
    region = example_sites(n_sites, model, rng)["region"]
    windows = {"seq": one_hot(seq), "region": region}

    def naive():
        length = seq.shape[1]
        mutants = np.repeat(seq[:, None], 3 * length, axis=1)
        position = np.tile(np.arange(length), 3)
        for shift in range(3):
            which = slice(shift * length, (shift + 1) * length)
            rows = np.arange(3 * length)[which]
            mutants[:, rows, position[which]] = (seq + shift + 1) % 4
        flat = mutants.reshape(-1, length)
        return predict(model, {"seq": one_hot(flat), "region": np.repeat(region, 3 * length, axis=0)})

    times = alternating({"naive": naive, "incremental": lambda: ism(model, windows, task=model.tasks[0])}, repeats)
    rows = [{"what": n, "sites_per_s": n_sites / t, "speed_up": times["naive"] / t} for n, t in times.items()]
    return rows


def measure_rules(model, n_sites, rng):
    """Completeness gap of each rule at equal cost (trapezoid uses one interval less), best-scoring task per site."""
    sites = example_sites(n_sites, model, rng)
    best = predict(model, sites).argmax(axis=1)
    rows = []
    for output in ("probability", "logit"):
        for n_points in (10, 20, 50, 100):
            for rule in ("midpoint", "left", "trapezoid"):
                gaps, large = [], 0
                for task in np.unique(best):
                    chosen = {key: array[best == task] for key, array in sites.items()}
                    found = integrated_gradients(
                        model,
                        chosen,
                        task=model.tasks[task],
                        n_steps=n_points - (rule == "trapezoid"),
                        rule=rule,
                        output=output,
                    )
                    total = found.seq.sum(axis=(1, 2)) + found.region.sum(axis=(1, 2))
                    gaps.append(np.abs(found.gap))
                    large += int(is_gap_large(found.gap, total - found.gap).sum())
                gap = np.concatenate(gaps)
                rows.append(
                    {
                        "output": output,
                        "points": n_points,
                        "rule": rule,
                        "mean_gap": float(gap.mean()),
                        "p95_gap": float(np.quantile(gap, 0.95)),
                        "max_gap": float(gap.max()),
                        "past_bound": large / len(gap),
                    }
                )
    return rows


def show(title, rows):
    print(f"\n{title}")
    names = list(rows[0])
    cells = [[f"{row[n]:.4g}" if isinstance(row[n], float) else str(row[n]) for n in names] for row in rows]
    widths = [max(len(n), *(len(c[i]) for c in cells)) for i, n in enumerate(names)]
    for line in [names, *cells]:
        print("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="DeepRiPe/clip31")
    parser.add_argument("--sites", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    warnings.simplefilter("ignore", CompletenessWarning)
    model = ripe_lib.load_model(args.model)
    rng = np.random.default_rng(0)
    result = {
        "model": args.model,
        "machine": f"{platform.machine()} {platform.system()}",
        "throughput": measure_throughput(model, rng, args.repeats),
        "in_silico_mutagenesis": measure_ism(model, rng, args.repeats),
        "rules": measure_rules(model, args.sites, rng),
    }
    show("Throughput", result["throughput"])
    show("In-silico mutagenesis, 150 nt", result["in_silico_mutagenesis"])
    show(f"Completeness gap by rule at equal cost, {args.sites} sites", result["rules"])
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "attribution.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
