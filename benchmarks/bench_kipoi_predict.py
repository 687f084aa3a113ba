"""The stock ``kipoi predict`` against the bare network on ready arrays, and where its time goes.

Run: ``python -m benchmarks.bench_kipoi_predict`` (``--intervals 10000`` for a quick look). Shuffled 50-nt intervals on
24 made-up contigs of 2 Mb with 960 times the genes of the example genome, batch 1024, TSV output. The bare call is
timed before and after the stock command, in the same process; TensorFlow has two threads.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import gencode_like
from benchmarks.common import machine, write_results

BATCH = 1024
EXAMPLE_GENES = Path(__file__).resolve().parents[1] / "dataloaders" / "example_files" / "genes.gtf"
TARGET = 0.5


def prepare(folder: Path, n: int) -> dict[str, str]:
    """Write genome, annotation and intervals."""
    import numpy as np

    rng = np.random.default_rng(gencode_like.SEED)
    sizes = {name: 1_999_980 for name in gencode_like.CHROMOSOMES}
    files = {"fasta_file": folder / "g.fa", "gtf_file": folder / "a.gtf", "intervals_file": folder / "i.bed"}
    gencode_like.write_fasta(files["fasta_file"], sizes)
    write_genes(files["gtf_file"], list(sizes))
    names = np.array(list(sizes))[rng.integers(0, len(sizes), n)]
    starts = rng.integers(0, 1_999_930, n)
    with files["intervals_file"].open("w") as handle:
        for i, (name, start) in enumerate(zip(names, starts, strict=True)):
            handle.write(f"{name}\t{start}\t{start + 50}\tsite{i}\t0\t{'+-'[i % 2]}\n")
    return {name: str(path) for name, path in files.items()}


def write_genes(path: Path, contigs: list[str], copies: int = 40, every: int = 50_000) -> None:
    """Repeat the example genome's chr1 genes along every contig."""
    example = EXAMPLE_GENES.read_text().splitlines()
    rows = [line.split("\t") for line in example if line.startswith("chr1\t")]
    with path.open("w") as handle:
        for contig in contigs:
            for copy in range(copies if contig != "chrM" else 0):
                for row in rows:
                    start, end = int(row[3]) + copy * every, int(row[4]) + copy * every
                    named = row[8].replace("DEMO", f"{contig}c{copy}DEMO")
                    handle.write("\t".join([contig, *row[1:3], str(start), str(end), *row[5:8], named]) + "\n")


def seconds_of(function) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def bare_rate(model, inputs, n_batches: int) -> float:
    """Windows per second of the compiled network on ready arrays."""
    call = model.network.probabilities
    call(inputs["seq"], inputs["region"])
    taken = seconds_of(lambda: [call(inputs["seq"], inputs["region"]) for _ in range(n_batches)])
    return n_batches * len(inputs["seq"]) / taken


def measure(name: str, files: dict[str, str], n: int, folder: Path) -> dict[str, float]:
    """Return windows per second of every stage for one model, all in this process."""
    import kipoi
    from kipoi.cli.main import cli_predict
    from kipoi.writers import TsvBatchWriter

    from ripe_lib.network.catalogue.locate import bundled_models_directory

    kipoi.config.add_source("here", {"type": "local", "local_path": str(bundled_models_directory())})
    model = kipoi.get_model(name, source="here")
    loader = model.default_dataloader(**files)
    batch = next(loader.batch_iter(batch_size=BATCH))
    n_batches = max(8, n // BATCH // 2)
    before = bare_rate(model.ripe_model, batch["inputs"], n_batches)
    words = [name, "--source", "here", "--dataloader_args", json.dumps(files), "--batch_size", str(BATCH)]
    stock = seconds_of(lambda: cli_predict("predict", [*words, "-o", str(folder / f"{os.urandom(3).hex()}.tsv")]))
    after = bare_rate(model.ripe_model, batch["inputs"], n_batches)
    loading = seconds_of(lambda: [None for _ in loader.batch_iter(batch_size=BATCH)])
    writer = TsvBatchWriter(str(folder / f"{os.urandom(3).hex()}.tsv"))
    predictions = model.predict_on_batch(batch["inputs"])
    writing = seconds_of(lambda: [writer.batch_write({"preds": predictions}) for _ in range(n // BATCH)])
    opening = seconds_of(lambda: model.default_dataloader(**files))
    bare = (before + after) / 2
    return {
        "bare_windows_per_s": bare,
        "bare_before": before,
        "bare_after": after,
        "stock_windows_per_s": n / stock,
        "ratio": n / stock / bare,
        "loader_windows_per_s": n / loading,
        "tsv_windows_per_s": (n // BATCH) * BATCH / writing,
        "opening_s": opening,
    }


def whole_process(name: str, files: dict[str, str], folder: Path) -> float:
    """Seconds of the command as a user starts it, Python and TensorFlow included."""
    home = folder / "home"
    environment = {**os.environ, "HOME": str(home)}
    home.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-m", "ripe_lib.cli.main", "register", "--quiet"], env=environment, check=True)
    words = [name, "--source", "deepripe", "--dataloader_args", json.dumps(files), "--batch_size", str(BATCH)]
    command = [sys.executable, "-m", "kipoi", "predict", *words, "-o", str(folder / "whole.tsv")]
    return seconds_of(lambda: subprocess.run(command, env=environment, check=True, capture_output=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--intervals", type=int, default=100_000)
    parser.add_argument("--models", nargs="+", default=["DeepRiPe/parclip_mid", "DeepRiPe/clip31"])
    args = parser.parse_args()
    os.environ.update(TF_NUM_INTRAOP_THREADS="2", TF_NUM_INTEROP_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")
    results = {**machine(), "intervals": args.intervals, "batch": BATCH, "models": {}}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["HOME"] = scratch  # Kipoi's config
        files = prepare(folder, args.intervals)
        for name in args.models:
            measured = measure(name, files, args.intervals, folder)
            measured["whole_process_s"] = whole_process(name, files, folder)
            results["models"][name] = {key: round(value, 3) for key, value in measured.items()}
    print(f"\n{'windows/s':<24}{'bare':>9}{'stock':>9}{'ratio':>8}{'loader':>10}{'TSV':>10}{'process, s':>12}")
    for name, row in results["models"].items():
        print(
            f"{name:<24}{row['bare_windows_per_s']:>9.0f}{row['stock_windows_per_s']:>9.0f}{row['ratio']:>8.2f}"
            f"{row['loader_windows_per_s']:>10.0f}{row['tsv_windows_per_s']:>10.0f}{row['whole_process_s']:>12.1f}"
        )
        print(f"  {'at least' if row['ratio'] >= TARGET else 'BELOW'} {TARGET:.0%} of the bare network")
    write_results("kipoi_predict", results)


if __name__ == "__main__":
    main()
