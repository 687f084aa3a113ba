"""PAR-CLIP models on eCLIP peaks (the paper's Fig. 8), on sites that neither of the two models was trained near.

    python -m benchmarks.cross_protocol PARCLIP_DATASET ECLIP_DATASET

The data sets come from ``ripe-train prepare`` with ``training/configs/paper/parclip.yaml`` and ``eclip.yaml``. Writes
``benchmarks/results/cross_protocol.json``, and from it the tables of ``docs/cross_protocol.md``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.common import RESULTS, machine, write_between, write_results
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.evaluate import Evaluation, Options, evaluation_of
from ripe_lib.network.catalogue.entries import catalogue
from ripe_lib.network.joint import joint_models
from ripe_lib.network.load import load_model
from ripe_lib.network.predict import predict_codes

DOCS = Path(__file__).parents[1] / "docs" / "cross_protocol.md"
NAME = "cross_protocol"
FAR = 1000  # nt between a site that is tested on and one that was trained on
FEWEST = 20  # sites of a task
OPTIONS = Options(n_bootstrap=200)
FIRST = ("QKI", "PUM2")  # those of the paper's figure
PAPER = ("QKI", "PUM2", "CSTF2", "CSTF2T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parclip")
    parser.add_argument("eclip")
    args = parser.parse_args()
    parclip, eclip = Dataset(args.parclip), Dataset(args.eclip)
    rows = apart(eclip, parclip)
    own_rows = np.flatnonzero(parclip.split > 0)
    outputs = {task.task: name for name in shipped("parclip") for task in catalogue().tasks[name]}
    pairs = [(output, sites) for output in outputs for sites in eclip.tasks if sites.split("_")[0] == output]
    pairs = [pair for pair in pairs if (eclip.labels[rows, eclip.task_index(pair[1])] == 1).sum() >= FEWEST]
    pairs.sort(key=lambda pair: (FIRST.index(pair[0]) if pair[0] in FIRST else len(FIRST), pair))
    results = {"rows_tested": len(rows), "held_out": int((eclip.split > 0).sum()), "pairs": [], "kmers": {}}
    results["missing"] = [name for name in PAPER if name not in outputs]
    crossed = scores_on(shipped("parclip"), eclip, rows)
    bare = scores_on(shipped("parclip"), eclip, rows, annotated=False)
    native = scores_on(shipped("eclip"), eclip, rows)
    home = scores_on(shipped("parclip"), parclip, own_rows)
    for output, sites in pairs:
        there = judged(eclip, rows, output, sites, crossed[output])
        row = {"output": output, "sites": sites, "model": outputs[output].removeprefix("DeepRiPe/")}
        row["crossed"] = measured(there)
        row["sequence_alone"] = measured(judged(eclip, rows, output, sites, bare[output]))
        row["native"] = measured(judged(eclip, rows, sites, sites, native[sites])) if sites in native else None
        row["home"] = measured(judged(parclip, own_rows, output, output, home[output]))
        results["pairs"].append(row)
        if output in FIRST:
            results["kmers"][f"{output} on {sites}"] = kmers(there)
        print(output, sites, row["crossed"], flush=True)
    write_results(NAME, {**results, **machine()})
    write_docs()


def shipped(protocol: str) -> list[str]:
    """Return the shipped tiers of a protocol; the paper's CNNs are not among them."""
    names = [name for name, entry in catalogue().models.items() if entry.origin == "shipped"]
    return [name for name in names if name.startswith(f"DeepRiPe/{protocol}_") and not name.endswith("_paper")]


def apart(data: Dataset, trained: Dataset) -> np.ndarray:
    """Return the rows that are no training rows and lie far from every training row of another data set."""
    rows = np.flatnonzero(data.split > 0)
    train = trained.intervals[trained.split == 0]
    table = data.intervals.iloc[rows]
    near = np.zeros(len(rows), dtype=bool)
    for key, group in train.groupby(["chrom", "strand"]):
        here = np.flatnonzero(((table["chrom"] == key[0]) & (table["strand"] == key[1])).to_numpy())
        starts = np.sort(group["start"].to_numpy())
        at = table["start"].to_numpy()[here]
        after = np.searchsorted(starts, at)
        before = np.abs(at - starts[np.maximum(after - 1, 0)])
        near[here] = np.minimum(before, np.abs(starts[np.minimum(after, len(starts) - 1)] - at)) < FAR
    return rows[~near]


def scores_on(models: list[str], data: Dataset, rows: np.ndarray, *, annotated: bool = True) -> dict[str, np.ndarray]:
    """Return the probabilities (n,) of every output of some models on rows of a data set, by output."""
    loaded = [load_model(name) for name in models]
    seq, region = data.centred_codes(rows)
    found = {}
    for network in joint_models(loaded):
        spec = network.model.spec
        first = (seq.shape[1] - spec.sequence_length) // 2  # windows of even length share their middle
        context = (region, data.landmarks(rows)) if annotated else (None, None)
        cut = np.ascontiguousarray(seq[:, first : first + spec.sequence_length])
        scores = predict_codes(network.model, cut, *context)
        for number, columns in network.members:
            found |= dict(zip(loaded[number].tasks, scores[:, columns].T, strict=True))
    return found


def judged(data: Dataset, rows: np.ndarray, output: str, task: str, scores: np.ndarray) -> Evaluation:
    return evaluation_of(data, rows, {output: task}, scores[:, None], OPTIONS)


def measured(scored: Evaluation) -> dict:
    """Return numbers and intervals of one output: its sites against those of other proteins."""
    row = scored.table("other").iloc[0]
    names = ("auroc", "auroc_low", "auroc_high", "ap", "ap_low", "ap_high")
    return {"positives": int(row["n_pos"]), "negatives": int(row["n_neg"])} | {name: float(row[name]) for name in names}


def kmers(scored: Evaluation) -> dict:
    """Return the 6-mers that the better half of the eCLIP bins holds more often than the worse half."""
    table = scored.top_and_bottom_kmers(scored.tasks[0], fraction=0.5, span=100)
    table = table[table["log2_ratio"] > 0].sort_values(["p_value", "kmer"]).head(10)
    return {
        "sites": int(table["n_top"].iloc[0]) if len(table) else 0,
        "kmers": table["kmer"].str.replace("T", "U").tolist(),
        "p_values": table["p_value"].tolist(),
    }


def write_docs() -> None:
    """Write the tables of the documentation from the result file."""
    results = json.loads((RESULTS / f"{NAME}.json").read_text(encoding="utf-8"))
    lines = [
        f"{results['rows_tested']} bins of the eCLIP data set (valid and test splits, at least {FAR} nt from every "
        f"training bin of the PAR-CLIP data set; {results['held_out']} before that).",
        f"No PAR-CLIP output here: {', '.join(results['missing'])}.",
        "",
        "| PAR-CLIP output on eCLIP sites | sites | AUROC | AP | sequence alone | eCLIP model there | at home |",
        "|---|---:|---|---|---|---|---|",
    ]
    for row in results["pairs"]:
        crossed = row["crossed"]
        cells = [f"{row['output']} on {row['sites']}", str(crossed["positives"])]
        cells += [with_interval(crossed, name) for name in ("auroc", "ap")]
        cells += [short(row[name]) for name in ("sequence_alone", "native", "home")]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "| better half of the sites against the worse | sites each | 6-mers, most significant first |",
        "|---|---:|---|",
    ]
    for name, found in results["kmers"].items():
        lines.append(f"| {name} | {found['sites']} | {', '.join(found['kmers'])} |")
    write_between(DOCS, "tables", lines)


def with_interval(found: dict, name: str) -> str:
    return f"{found[name]:.3f} ({found[f'{name}_low']:.3f} to {found[f'{name}_high']:.3f})"


def short(found: dict | None) -> str:
    return "–" if found is None else f"{found['auroc']:.3f} / {found['ap']:.3f}"


if __name__ == "__main__":
    main()
