"""Intervals to arrays: reading BED, cutting windows, and memory over a long run.

Run: ``python -m benchmarks.bench_windows`` (``--intervals 20000`` for a quick look). The genome is made up: 24
contigs of 10 Mb, with 20,000 genes. Every case runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import gencode_like
from benchmarks.bench_annotation import RESULTS, in_new_process, peak_mb

CONTIGS = {name: 9_999_960 for name in gencode_like.CHROMOSOMES}
BATCH = 1024


def write_bed(path: Path, n: int, *, in_order: bool) -> None:
    rng = np.random.default_rng(gencode_like.SEED)
    chroms = rng.integers(0, len(CONTIGS), n)
    starts = rng.integers(0, 9_999_960 - 50, n)
    order = np.lexsort((starts, chroms)) if in_order else np.arange(n)
    names = list(CONTIGS)
    with path.open("w") as handle:
        for i in order:
            handle.write(f"{names[chroms[i]]}\t{starts[i]}\t{starts[i] + 50}\tsite{i}\t0\t{'+-'[i % 2]}\n")


def measure(case: dict[str, str], pipe) -> None:
    """Stream a BED file through one stage; report rows per second and peak memory of this process."""
    from ripe_lib.genome.intervals import read_intervals
    from ripe_lib.genome.windows import WindowMaker
    from ripe_lib.network.spec import ModelSpec

    spec = ModelSpec(name="benchmark", tasks=("a",))
    started = time.perf_counter()
    maker = WindowMaker(spec, case["fasta"], case.get("gtf")) if "fasta" in case else None
    opened = time.perf_counter() - started
    n_rows, quarter_mb = 0, 0.0
    started, started_cpu = time.perf_counter(), time.process_time()
    for chunk in read_intervals(case["bed"], chunk_size=BATCH):
        if maker is not None:
            maker.codes(chunk) if case["stage"] == "codes" else maker.windows(chunk)
        n_rows += len(chunk)
        if n_rows <= int(case["n"]) // 4:
            quarter_mb = peak_mb()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    pipe.send(
        {
            "open_s": opened,
            "rows_per_s": n_rows / seconds,
            "rows_per_cpu_s": n_rows / cpu_seconds,
            "peak_mb": peak_mb(),
            "peak_mb_first_quarter": quarter_mb,
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--intervals", type=int, default=1_000_000)
    parser.add_argument("--name", default="windows", help="name of the result file")
    options = parser.parse_args()
    figures: dict[str, object] = {"python": platform.python_version(), "seed": gencode_like.SEED, "batch": BATCH}
    with tempfile.TemporaryDirectory(prefix="ripe-bench-") as name:
        folder = Path(name)
        fasta, gtf, shuffled, in_order = (folder / n for n in ("g.fa", "a.gtf", "shuffled.bed", "ordered.bed"))
        gencode_like.write_fasta(fasta, CONTIGS)
        gencode_like.CHROMOSOMES = CONTIGS
        gencode_like.write_gtf(gtf, 20_000)
        write_bed(shuffled, options.intervals, in_order=False)
        write_bed(in_order, options.intervals, in_order=True)
        n = str(options.intervals)
        cases = {
            "read BED": {"bed": shuffled, "stage": "read"},
            "codes, plain": {"bed": shuffled, "fasta": fasta, "stage": "codes"},
            "codes, plain + GTF": {"bed": shuffled, "fasta": fasta, "gtf": gtf, "stage": "codes"},
            "arrays, plain + GTF": {"bed": shuffled, "fasta": fasta, "gtf": gtf, "stage": "windows"},
        }
        if shutil.which("bgzip"):
            packed = folder / "g.fa.gz"
            with packed.open("wb") as handle:
                subprocess.run(["bgzip", "-c", str(fasta)], check=True, stdout=handle)
            cases["codes, bgzip + GTF, in order"] = {"bed": in_order, "fasta": packed, "gtf": gtf, "stage": "codes"}
            cases["codes, bgzip + GTF, shuffled"] = {"bed": shuffled, "fasta": packed, "gtf": gtf, "stage": "codes"}
        figures["intervals"] = options.intervals
        figures["load_average"] = os.getloadavg()
        for title, case in cases.items():
            measured = in_new_process(measure, {key: str(value) for key, value in case.items()} | {"n": n})
            figures[title] = measured
            line = "  ".join(f"{key} {value:,.1f}" for key, value in measured.items())
            sys.stdout.write(f"{title:32s} {line}\n")
            sys.stdout.flush()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.name}.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
