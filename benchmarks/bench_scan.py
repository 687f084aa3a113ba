"""Scanning with shared work against window-by-window prediction, in one run; peak memory and time of a chromosome.

Usage: python -m benchmarks.bench_scan [--model DeepRiPe/clip31] [--bins 20000] [--repeats 3] [--chromosome 250]

``every window`` is the compiled Keras model on ready one-hot arrays in batches of 1,024 (making them is not timed);
``scan`` starts from one byte per base. Both use the same two cores, in turn within a repeat; the smallest time of each
counts. CPU seconds are given too: on a busy machine they say more than the clock. The chromosome is made up
(genes on both strands on half of it, exons of 600 nt every 2,500 nt); a part of its genes is scanned file to file in a
process of its own, and all genes are extrapolated from it by their number of bins.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import ripe_lib
from benchmarks.common import machine, write_results
from ripe_lib.genome.encoding import one_hot
from ripe_lib.scan.engine import Scanner, Stretch

THREADS = 2
BATCH = 1024
GENE = 50_000


def timed(function):
    """Return result, wall seconds and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def region_track(kind, length, rng):
    """Region types: none, exons of 600 nt every 2,500 nt, or another type every 200 nt."""
    if kind == "none":
        return None
    if kind == "gene":
        return np.resize(np.repeat(np.array([1, 0], dtype=np.uint8), [600, 1900]), length)
    return np.repeat(rng.choice(5, length // 200 + 1), 200)[:length].astype(np.uint8)


def compare(model, n, step, kind, repeats, rng):
    """Time both ways on ``n`` bins."""
    spec = model.spec
    seq = rng.integers(0, 4, spec.sequence_length + (n - 1) * step).astype(np.uint8)
    region = region_track(kind, spec.region_length + (n - 1) * step, rng)
    scanner = Scanner(model, step=step, threads=THREADS)
    stretch = Stretch(seq, region, 0, 0, n)
    call = model.network.probabilities

    def windows(codes, length):
        return one_hot(np.lib.stride_tricks.sliding_window_view(codes, length)[::step][:n])

    seqs = windows(seq, spec.sequence_length)
    regions = None if region is None else windows(region, spec.region_length)
    constant = np.full((BATCH, spec.region_length, 4), 0.25, dtype=np.float32)

    def every_window():
        parts = []
        for i in range(0, n, BATCH):
            batch = seqs[i : i + BATCH]
            parts.append(call(batch, constant[: len(batch)] if regions is None else regions[i : i + BATCH]))
        return np.concatenate(parts)

    def scan():
        return scanner.scores([stretch])[0]

    every_window(), scan()
    best = {"every window": (np.inf, np.inf), "scan": (np.inf, np.inf)}
    for _ in range(repeats):
        for name, function in (("every window", every_window), ("scan", scan)):
            result, wall, cpu = timed(function)
            best[name] = (min(best[name][0], wall), min(best[name][1], cpu))
            if name == "scan":
                scores = result
            else:
                expected = result
    (slow, slow_cpu), (fast, fast_cpu) = best["every window"], best["scan"]
    return {
        "model": model.name,
        "architecture": spec.architecture,
        "step": step,
        "region": kind,
        "bins": n,
        "every_window_per_s": round(n / slow),
        "scan_per_s": round(n / fast),
        "ratio": round(slow / fast, 2),
        "ratio_cpu": round(slow_cpu / fast_cpu, 2),
        "largest_difference": float(np.abs(scores - expected).max()),
    }


def write_chromosome(folder, megabases, rng):
    """Write a chromosome with genes on both strands on half of it; return FASTA, GTF and the number of genes."""
    length = megabases * 1_000_000
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    with (folder / "c.fa").open("wb") as out:
        out.write(b">chr1\n")
        for _ in range(0, length, 6_000_000):
            block = letters[rng.integers(0, 4, 6_000_000)].reshape(-1, 60)
            out.write(np.concatenate([block, np.full((len(block), 1), 10, np.uint8)], axis=1).tobytes())
    n_genes = length // (2 * GENE)
    with (folder / "c.gtf").open("w") as out:
        for gene in range(n_genes):
            start, strand = gene * 2 * GENE, "+-"[gene % 2]
            names = (
                f'gene_id "G{gene}"; transcript_id "T{gene}"; gene_name "N{gene}"; gene_type "protein_coding"; '
                'transcript_type "protein_coding";'
            )

            def line(kind, a, b, start=start, strand=strand, names=names):
                return f"chr1\tbench\t{kind}\t{start + a + 1}\t{start + b}\t.\t{strand}\t.\t{names}\n"

            out.write(line("transcript", 0, GENE))
            for exon in range(0, GENE, 2_500):
                out.write(line("exon", exon, exon + 600))
                if 0 < exon < GENE - 5_000:
                    out.write(line("CDS", exon, exon + 600))
    return folder / "c.fa", folder / "c.gtf", n_genes


def chromosome_part(model, fasta, gtf, genes, step, folder):
    """Run ``ripe scan`` on some genes in a process of its own; return seconds, peak GB and files' size."""
    (folder / "genes.txt").write_text("\n".join(f"N{gene}" for gene in range(genes)) + "\n")
    command = [
        sys.executable, "-m", "ripe_lib.cli.main", "scan", model, "--genes", str(folder / "genes.txt"),
        "--fasta", str(fasta), "--gtf", str(gtf), "--step", str(step), "--threads", str(THREADS), "--quiet",
        "-o", str(folder / "o.h5"), "--sites", str(folder / "o.bed"), "--kmer-length", "0",
    ]  # fmt: skip
    before = time.perf_counter()
    code = (
        "import json, resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(json.dumps([used.ru_maxrss, used.ru_utime + used.ru_stime]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - before
    peak, cpu = json.loads(done.stdout.splitlines()[-1])
    return {
        "step": step,
        "genes": genes,
        "bins": genes * GENE // step,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_gb": round(peak / 1e6, 2),
        "h5_mb": round((folder / "o.h5").stat().st_size / 1e6, 1),
    }


def chromosome(model, megabases, rng):
    """Measure two parts per step, each twice: time per bin from the difference of the best, memory from both."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fasta, gtf, n_genes = write_chromosome(folder, megabases, rng)
        chromosome_part(model, fasta, gtf, 1, 50, folder)  # indexes are built
        for step, sizes in ((50, (20, 200)), (1, (4, 20))):
            sizes = [min(size, n_genes) for size in sizes]
            small, large = (
                min(  # other jobs only ever add time
                    (chromosome_part(model, fasta, gtf, size, step, folder) for _ in range(2)),
                    key=lambda row: row["seconds"],
                )
                for size in sizes
            )
            rows += [small, large]
            more_bins = large["bins"] - small["bins"]
            for clock, name in (("seconds", "whole_chromosome"), ("cpu_seconds", "whole_chromosome_cpu")):
                more = large[clock] - small[clock]
                if more_bins > 0 and more > 0:
                    large[f"{name}_minutes"] = round(n_genes * GENE // step * more / more_bins / 60, 1)
            print(
                *("  ".join(f"{key} {value}" for key, value in row.items()) for row in rows[-2:]), sep="\n", flush=True
            )
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="DeepRiPe/clip31")
    parser.add_argument("--bins", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--chromosome", type=int, default=250, metavar="MB", help="0: leave it out")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    model = ripe_lib.load_model(args.model)
    rows = []
    for step, kind in ((1, "none"), (1, "gene"), (1, "every 200 nt"), (50, "none"), (50, "gene")):
        n = args.bins if step == 1 else args.bins // 4
        rows.append(compare(model, n, step, kind, args.repeats, rng))
        print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    results = {**machine(), "shared": rows}
    if args.chromosome:
        results["chromosome_mb"] = args.chromosome
        results["chromosome"] = chromosome(args.model, args.chromosome, rng)
    results["own_peak_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
    write_results("scan", results)


if __name__ == "__main__":
    main()
