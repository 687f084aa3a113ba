"""Time and size of ``ripe precompute`` per million bases.

    python -m benchmarks.bench_precompute [--model DeepRiPe/clip31] [--bases 20000]

Scores the substitutions of the example genome's transcripts, after a warm-up on the first of them (loops are compiled
once per machine), and scales to a million bases. Writes ``benchmarks/results/precompute.json``.
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.common import machine, write_results
from ripe_lib.variants.precompute import precompute

DATA = Path(__file__).parents[1] / "examples" / "data"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="DeepRiPe/clip31")
    parser.add_argument("--bases", type=int, default=20_000)
    args = parser.parse_args()
    genes = [line.split("\t") for line in (DATA / "genes.gtf").read_text().splitlines() if "\tgene\t" in line]
    regions, left = [], args.bases
    for gene in genes:
        start = int(gene[3]) - 1
        end = min(int(gene[4]), start + left)
        regions.append(("chr1", start, end))
        left -= end - start
        if not left:
            break
    files = {"fasta_file": DATA / "genome.fa", "gtf_file": DATA / "genes.gtf"}
    results = {**machine(), "model": args.model, "bases": args.bases - left}
    with tempfile.TemporaryDirectory() as folder:
        precompute(args.model, [("chr1", regions[0][1], regions[0][1] + 50)], Path(folder) / "warm.tsv.gz", **files)
        for suffix in ("tsv.gz", "vcf.gz"):
            output = Path(folder) / f"scores.{suffix}"
            started, cpu = time.perf_counter(), time.process_time()
            precompute(args.model, regions, output, **files)
            seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
            per_mb = 1e6 / results["bases"]
            results[suffix] = {
                "seconds": round(seconds, 2),
                "minutes_per_mb": round(seconds * per_mb / 60, 1),
                "cpu_minutes_per_mb": round(cpu * per_mb / 60, 1),
                "megabytes_per_mb": round(output.stat().st_size * per_mb / 1e6, 1),
            }
            print(suffix, results[suffix], flush=True)
    write_results("precompute", results)


if __name__ == "__main__":
    main()
