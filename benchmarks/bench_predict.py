"""``ripe predict`` (windows, network, table) against bare calls of the compiled network on ready arrays, in one run.

Usage: python -m benchmarks.bench_predict [--intervals 40000] [--memory 1000000] [--repeats 3]

Throughput: the same intervals through the command's own functions, BED file to TSV with a GTF, and the compiled network
called on one-hot arrays that were made before the clock started; the two alternate, the smallest time of each counts.
Memory: the command itself in a process of its own on ``--memory`` intervals; its resident memory is read twice a
second.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import psutil

from benchmarks import gencode_like
from benchmarks.bench_incremental import best_times, full_passes, untrained_model
from benchmarks.common import machine, write_results

CONTIGS = {name: 9_999_960 for name in gencode_like.CHROMOSOMES}


def write_bed(path, n):
    rng = np.random.default_rng(gencode_like.SEED)
    names = np.array(list(CONTIGS))[rng.integers(0, len(CONTIGS), n)]
    starts = rng.integers(0, 9_999_960 - 50, n)
    strands = np.array(["+", "-"])[rng.integers(0, 2, n)]
    with path.open("w") as handle:
        for chrom, start, strand in zip(names, starts.tolist(), strands, strict=True):
            handle.write(f"{chrom}\t{start}\t{start + 50}\t.\t0\t{strand}\n")


def genome(folder):
    fasta, gtf = folder / "genome.fa", folder / "genes.gtf"
    gencode_like.write_fasta(fasta, CONTIGS)
    sizes, gencode_like.CHROMOSOMES = gencode_like.CHROMOSOMES, CONTIGS
    gencode_like.write_gtf(gtf, 4000)
    gencode_like.CHROMOSOMES = sizes
    return fasta, gtf


def throughput(model, bed, fasta, gtf, repeats):
    from ripe_lib.genome.annotation import Annotation
    from ripe_lib.genome.fasta import Genome
    from ripe_lib.genome.windows import make_windows
    from ripe_lib.network.predict import predict_intervals
    from ripe_lib.output.tables import open_table

    opened, annotation = Genome(fasta), Annotation.load(gtf)
    windows = make_windows(bed, fasta_file=opened, gtf_file=annotation, spec=model.spec)

    def bare():
        full_passes(model, windows.seq, windows.region)

    def command(suffix):
        with open_table(bed.with_suffix(suffix)) as table:
            for piece in predict_intervals(model, bed, fasta_file=opened, gtf_file=annotation):
                table.write(piece)

    cases = [bare, lambda: command(".tsv"), lambda: command(".tsv.gz"), lambda: command(".parquet")]
    times = best_times(cases, repeats)
    rates = dict(zip(["bare", "tsv", "tsv_gz", "parquet"], (len(windows) / times).round(1).tolist(), strict=True))
    return {"windows_per_s": rates, "share_of_bare": {k: round(v / rates["bare"], 3) for k, v in rates.items()}}


def memory(bed, n, fasta, gtf, folder):
    command = [sys.executable, "-m", "ripe_lib.cli.main", "predict", "DeepRiPe/clip31", str(bed)]
    command += ["--fasta", str(fasta), "--gtf", str(gtf), "-o", str(folder / "memory.tsv")]
    started = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    samples = []

    def watch():
        while process.poll() is None:
            try:
                samples.append(psutil.Process(process.pid).memory_info().rss / 2**20)
            except psutil.NoSuchProcess:
                return
            time.sleep(0.5)

    watcher = threading.Thread(target=watch)
    watcher.start()
    said = process.communicate()[1].strip()
    watcher.join()
    assert process.returncode == 0, said
    quarter = len(samples) // 4
    return {
        "intervals": n,
        "seconds": round(time.perf_counter() - started, 1),
        "said": said.replace(str(folder), "FOLDER"),
        "peak_mb": round(max(samples)),
        "peak_mb_second_quarter": round(max(samples[quarter : 2 * quarter] or samples)),
        "peak_mb_last_quarter": round(max(samples[3 * quarter :])),
        "output_mb": round((folder / "memory.tsv").stat().st_size / 2**20),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--intervals", type=int, default=40_000)
    parser.add_argument("--memory", type=int, default=1_000_000, help="intervals of the memory run; 0: leave it out")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    results = {**machine()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fasta, gtf = genome(folder)
        write_bed(folder / "sites.bed", args.intervals)
        for architecture in ("cnn", "towers"):
            measured = throughput(untrained_model(architecture), folder / "sites.bed", fasta, gtf, args.repeats)
            results[f"throughput_{architecture}"] = {"intervals": args.intervals, "tasks": 31, **measured}
            for case, rate in measured["windows_per_s"].items():
                share = measured["share_of_bare"][case]
                print(f"{architecture:8s} {case:8s} {rate:10,.0f} windows/s  {share:6.2f} of bare")
        if args.memory:
            write_bed(folder / "many.bed", args.memory)
            results["memory"] = memory(folder / "many.bed", args.memory, fasta, gtf, folder)
            print(results["memory"])
    write_results("predict", results)


if __name__ == "__main__":
    main()
