"""Attributions: throughput against the bare compiled gradient call, in-silico mutagenesis, and the integration rules.

    python -m benchmarks.bench_attribution [--model DeepRiPe/clip31] [--sites 100] [--repeats 5]

Prints the tables, writes ``benchmarks/results/attribution.json`` and the tables of ``docs/explain.md``. Ratios compare
runs that alternate within this process: the best of the repeats, in wall-clock and in CPU seconds (the latter is what
counts on a busy machine).
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import warnings
from pathlib import Path

import numpy as np

import ripe_lib
from ripe_lib.attribution.compute import integrated_gradients, ism
from ripe_lib.attribution.maps import CompletenessWarning, is_gap_large
from ripe_lib.genome.encoding import one_hot
from ripe_lib.network.predict import predict

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[1] / "docs" / "explain.md"
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

    network = model.network.logit_model

    @tf.function(input_signature=[tf.TensorSpec((None, *t.shape[1:])) for t in network.inputs])
    def gradient(*arrays):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(arrays)
            value = tf.reduce_sum(tf.sigmoid(network(list(arrays), training=False)[:, 0]))
        return tape.gradient(value, arrays)

    return lambda *arrays: [g.numpy() for g in gradient(*(tf.constant(a) for a in arrays))]


def alternating(ways, repeats):
    """Return the least wall-clock and CPU seconds of each way, run in turns after one warm-up."""
    for way in ways.values():
        way()
    wall, cpu = ({name: [] for name in ways} for _ in range(2))
    for _ in range(repeats):
        for name, way in ways.items():
            started, started_cpu = time.perf_counter(), time.process_time()
            way()
            wall[name].append(time.perf_counter() - started)
            cpu[name].append(time.process_time() - started_cpu)
    return {name: min(wall[name]) for name in ways}, {name: min(cpu[name]) for name in ways}


def measure_throughput(model, rng, repeats):
    """Gradient evaluations per second; several tasks count each task's evaluation."""
    n_sites, batch = 20, 500
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
        "integrated gradients, 20 sites": lambda: integrated_gradients(model, sites, task=tasks[0], n_steps=STEPS),
        "integrated gradients, one site at a time": lambda: [
            integrated_gradients(model, {k: a[i : i + 1] for k, a in few.items()}, task=tasks[0], n_steps=STEPS)
            for i in range(5)
        ],
        "integrated gradients, 10 sites x 4 tasks": lambda: integrated_gradients(model, few, task=tasks, n_steps=STEPS),
    }
    evaluations = dict(zip(ways, (n_sites * STEPS, n_sites * STEPS, 5 * STEPS, 4 * 10 * STEPS), strict=True))
    wall, cpu = alternating(ways, repeats)
    rates, cpu_rates = ({name: evaluations[name] / times[name] for name in ways} for times in (wall, cpu))
    bare = next(iter(ways))
    return [
        {"what": name, "gradients_per_s": rates[name]}
        | {"ratio_to_bare": rates[name] / rates[bare], "cpu_ratio": cpu_rates[name] / cpu_rates[bare]}
        for name in ways
    ]


def measure_ism(model, rng, repeats):
    """All substitutions of sites of 150 known bases: incremental against mutating and predicting."""
    n_sites = 16
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

    ways = {"naive": naive, "incremental": lambda: ism(model, windows, task=model.tasks[0])}
    wall, cpu = alternating(ways, repeats)
    return [
        {"what": name, "sites_per_s": n_sites / wall[name]}
        | {"speed_up": wall["naive"] / wall[name], "cpu_speed_up": cpu["naive"] / cpu[name]}
        for name in ways
    ]


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


def write_docs(result):
    """Put the tables between their marks in the documentation."""
    text = DOCS.read_text(encoding="utf-8")
    rules = [
        {"output": row["output"], "evaluations": row["points"], "rule": row["rule"]}
        | {"mean gap": row["mean_gap"], "95 %": row["p95_gap"], "past the bound": f"{row['past_bound']:.0%}"}
        for row in result["rules"]
        if row["points"] in (20, 50, 100)
    ]
    speed = [
        {"what": row["what"], "gradients/s": round(row["gradients_per_s"]), "ratio": f"{row['ratio_to_bare']:.2f}"}
        | {"ratio of CPU seconds": f"{row['cpu_ratio']:.2f}"}
        for row in result["throughput"]
    ]
    ism_rows = [
        {"what": row["what"], "sites/s": row["sites_per_s"], "times faster": f"{row['speed_up']:.1f}"}
        | {"in CPU seconds": f"{row['cpu_speed_up']:.1f}"}
        for row in result["in_silico_mutagenesis"]
    ]
    note = f"`{result['model']}`, 2 CPU cores.\n\n"
    for name, rows in (("rules", rules), ("speed", speed), ("ism", ism_rows)):
        columns = list(rows[0])
        lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += [
            "| " + " | ".join(f"{v:.2g}" if isinstance(v, float) else str(v) for v in row.values()) + " |"
            for row in rows
        ]
        before, _, rest = text.partition(f"<!-- begin: {name} -->")
        after = rest.partition(f"<!-- end: {name} -->")[2]
        table = "\n".join(lines)
        text = f"{before}<!-- begin: {name} -->\n{note}{table}\n<!-- end: {name} -->{after}"
    DOCS.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="DeepRiPe/clip31")
    parser.add_argument("--sites", type=int, default=100)
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
    write_docs(result)


if __name__ == "__main__":
    main()
