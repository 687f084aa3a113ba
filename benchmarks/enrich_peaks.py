"""Which output ``ripe enrich`` puts first for real peaks, in blocks of the genome that no tier was trained in.

    python -m benchmarks.enrich_peaks COMPENDIUM GTF PARCLIP_DATASET ECLIP_DATASET [--peaks 500]

COMPENDIUM holds ``hg19.partial.fa.gz``, ``parclip/TASK.bed.gz`` and ``eclip/TASK.bed.gz``; the data sets come from
``ripe-train prepare`` with ``training/configs/paper/{parclip,eclip}.yaml`` and say what was trained on. Writes
``benchmarks/results/enrich_peaks.json``, and from it the table of ``docs/enrich.md``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common import RESULTS, machine, write_between, write_results
from ripe_lib.cli.common import model_names
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import UNKNOWN
from ripe_lib.genome.fasta import Genome
from ripe_lib.network.load import load_model
from ripe_lib.scan.enrichment import enrichment

DOCS = Path(__file__).parents[1] / "docs" / "enrich.md"
NAME = "enrich_peaks"
BLOCK = 1_000_000  # of the splits
WINDOW = 250  # the longest that a tier sees
PEAKS = (
    *("parclip/QKI", "parclip/PUM2", "parclip/TARDBP"),
    *("eclip/QKI_K562", "eclip/QKI_HepG2", "eclip/PUM2_K562", "eclip/TARDBP_K562", "eclip/RBFOX2_HepG2"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("compendium", type=Path)
    parser.add_argument("gtf")
    parser.add_argument("datasets", nargs=2)
    parser.add_argument("--peaks", type=int, default=500)
    args = parser.parse_args()
    trained = set().union(*(training_blocks(Dataset(path)) for path in args.datasets))
    genome = Genome(args.compendium / "hg19.partial.fa.gz")
    annotation = Annotation.load(args.gtf).for_genome(genome)
    models = [load_model(name) for name in model_names(["parclip_*", "eclip_*"])]
    rows = []
    for name in PEAKS:
        peaks = held_out(args.compendium / f"{name}.bed.gz", trained, genome)
        found = enrichment(models, peaks, fasta_file=genome, gtf_file=annotation, max_intervals=args.peaks)
        rows.append({"peaks": name, "held_out": len(peaks), **ranks(found.table, name.split("/")[1])})
        print(rows[-1], flush=True)
    write_results(NAME, {"tasks": len(found.table), "peaks": rows, **machine()})
    write_docs()


def training_blocks(data: Dataset) -> set[tuple[str, int]]:
    """Return chromosome and number of every block with a training row."""
    rows = data.intervals[data.split == 0]
    return set(zip(rows["chrom"], rows["start"] // BLOCK, strict=True)) | set(
        zip(rows["chrom"], rows["end"] // BLOCK, strict=True)
    )


def held_out(path: Path, trained: set[tuple[str, int]], genome: Genome) -> pd.DataFrame:
    """Return the peaks outside of some blocks whose windows are known."""
    names = ["chrom", "start", "end", "name", "score", "strand"]
    peaks = pd.read_csv(path, sep="\t", names=names)
    middle = (peaks["start"] + peaks["end"]) // 2
    apart = [block not in trained for block in zip(peaks["chrom"], middle // BLOCK, strict=True)]
    peaks, middle = peaks[apart].reset_index(drop=True), middle[apart].to_numpy()
    minus = (peaks["strand"] == "-").to_numpy()
    codes = genome.fetch(peaks["chrom"].to_numpy(), middle - WINDOW // 2, WINDOW, minus)
    return peaks[(codes != UNKNOWN).all(axis=1)].reset_index(drop=True)


def ranks(table: pd.DataFrame, task: str) -> dict:
    """Return the first outputs of an enrichment and where those of the peaks' own protein stand."""
    rank = pd.Series(np.arange(1, len(table) + 1), index=table.index)
    of_protein = table["rbp"] == task.split("_")[0]
    own = [{"task": t, "rank": int(rank[i]), "auroc": table["auroc"][i]} for i, t in table["task"][of_protein].items()]
    first = table.head(5)[["task", "auroc"]].to_dict("records")
    return {"n": int(table["n"][0]), "n_background": int(table["n_background"][0]), "first": first, "own": own}


def write_docs() -> None:
    """Write the table of the documentation from the result file."""
    result = json.loads((RESULTS / f"{NAME}.json").read_text(encoding="utf-8"))
    lines = [
        "| peaks | compared with background | first outputs (AUROC) | outputs of the same protein |",
        "|---|---|---|---|",
    ]
    for row in result["peaks"]:
        first = ", ".join(f"{one['task']} ({one['auroc']:.3f})" for one in row["first"])
        own = ", ".join(f"{one['task']}: {one['rank']} of {result['tasks']} ({one['auroc']:.3f})" for one in row["own"])
        lines.append(f"| {row['peaks']} | {row['n']} with {row['n_background']} | {first} | {own or 'none'} |")
    write_between(DOCS, "peaks", lines)


if __name__ == "__main__":
    main()
