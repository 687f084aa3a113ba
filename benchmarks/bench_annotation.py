"""Annotation index at GENCODE scale: building, peak memory, reloading, look-ups.

Run: ``python -m benchmarks.bench_annotation`` (``--genes 3000`` for a quick look). Building and reloading run in
processes of their own, so that each peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gencode_like import CHROMOSOMES, SEED, write_gtf

RESULTS = Path(__file__).parent / "results"


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_load(path: Path, pipe) -> None:
    """Load the annotation and report seconds and peak memory of this process."""
    from ripe_lib.genome.annotation import Annotation

    before = peak_mb()
    started, started_cpu = time.perf_counter(), time.process_time()
    Annotation.load(path)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    pipe.send({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak_mb(), "imports_mb": before})


def in_new_process(measure: Callable[[Any, Any], None], case: Any) -> dict[str, float]:
    """Run ``measure(case, pipe)`` in a fresh process and return what it sends."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(case, sender))
    process.start()
    sender.close()  # so that a process that dies ends the wait
    measured = receiver.recv()
    process.join()
    return measured


def lookups_per_second(path: Path) -> dict[str, float]:
    """Batches of 1,024 random windows, a third of them within transcripts."""
    from ripe_lib.genome.annotation import Annotation

    annotation = Annotation.load(path)
    started = time.perf_counter()
    table = annotation.transcripts
    rates = {"transcripts_table_s": time.perf_counter() - started}
    rng = np.random.default_rng(SEED)
    n, n_batches = 1024, 200
    batches = []
    for _ in range(n_batches):
        picks = table.iloc[rng.integers(0, len(table), n)]
        starts = rng.integers(picks["start"], picks["end"])
        far = rng.random(n) < 2 / 3
        starts[far] = rng.integers(0, 46_000_000, int(far.sum()))
        batches.append((picks["chrom"].to_numpy(), starts, rng.random(n) < 0.5))
    calls = {
        "region_codes_250": lambda chroms, starts, minus: annotation.region_codes(chroms, starts, 250, minus),
        "strand_of": lambda chroms, starts, minus: annotation.strand_of(chroms, starts, starts + 50),
        "overlapping": lambda chroms, starts, minus: annotation.overlapping(chroms, starts, starts + 50),
    }
    for name, call in calls.items():
        call(*batches[0])
        started = time.perf_counter()
        for batch in batches:
            call(*batch)
        rates[f"{name}_per_s"] = n * n_batches / (time.perf_counter() - started)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genes", type=int, default=60_000)
    parser.add_argument("--name", default="annotation", help="name of the result file")
    options = parser.parse_args()
    figures: dict[str, object] = {"python": platform.python_version(), "seed": SEED, "load_average": os.getloadavg()}
    with tempfile.TemporaryDirectory(prefix="ripe-bench-") as folder:
        for suffix in (".gtf", ".gtf.gz"):
            path = Path(folder) / f"a{suffix}"
            figures["annotation"] = {**write_gtf(path, options.genes), "contigs": len(CHROMOSOMES)}
            figures[f"size_mb{suffix}"] = path.stat().st_size / 1e6
            figures[f"build{suffix}"] = in_new_process(measure_load, path)
            figures[f"reload{suffix}"] = in_new_process(measure_load, path)
        index = next(Path(folder).glob("a.gtf.ripe-*.npz"))
        figures["index_mb"] = index.stat().st_size / 1e6
        figures["lookups"] = lookups_per_second(path)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.name}.json").write_text(json.dumps(figures, indent=1) + "\n")
    for key, value in figures.items():
        if isinstance(value, dict):
            value = "  ".join(f"{k} {v:,.2f}" if isinstance(v, float) else f"{k} {v:,}" for k, v in value.items())
        sys.stdout.write(f"{key:16s} {value}\n")


if __name__ == "__main__":
    main()
