"""All shipped models in one pass over a VCF, against the sum of runs of one model each, in one process.

Usage: python -m benchmarks.bench_all_tiers [--variants 8000] [--repeats 2]

The genome, genes and SNVs of ``bench_variants.py``. Every way reads the VCF and the GTF and writes a file, with models
that were loaded and compiled before. One pass and single runs alternate within a repeat, after one run of each that
does not count; the smallest time of each counts, in wall and in processor seconds. ``same trunk``: the models that
differ in nothing but their last two layers. Start-up (Python, TensorFlow, loading), which a single pass also pays once
instead of once per model, is in neither.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import ripe_lib
from benchmarks.bench_variants import best_times, write_world
from benchmarks.common import machine, write_results
from ripe_lib.cli.common import model_names
from ripe_lib.network.joint import joint_models
from ripe_lib.variants.format import OutputFormat
from ripe_lib.variants.options import RowFilter, VariantOptions
from ripe_lib.variants.output import VariantJob, write_scores

# name, suffix, layout and filters
OUTPUTS = (
    ("wide table", ".tsv", {}, {}),
    ("wide table", ".parquet", {}, {}),
    ("five strongest tasks", ".parquet", {"top": 5}, {}),
    ("five strongest tasks of |delta| >= 0.1", ".tsv", {"top": 5}, {"min_delta": 0.1}),
)


def runner(models, files, folder, suffix, layout, rows, number):
    """Return a function that scores the file with some models."""
    fasta, gtf, vcf = files
    out = folder / f"out{number}{suffix}"
    job = VariantJob(
        vcf_file=str(vcf),
        fasta_file=str(fasta),
        gtf_file=str(gtf),
        models=tuple(str(model.directory) for model in models),
        options=VariantOptions(),
        out=OutputFormat.of(out, top=layout.get("top", 0)),
        rows=RowFilter(**rows),
    )
    return lambda: write_scores(job, out, models=models)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", type=int, default=8_000)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    models = [ripe_lib.load_model(name) for name in model_names(["all"])]
    networks = joint_models(models)
    groups = {"all models": models}
    for network in networks:
        if len(network.members) > 1:
            of = [models[number] for number, _ in network.members]
            groups[f"same trunk: {len(of)} {of[0].name.split('/')[1].split('_')[0]}"] = of
    results = {"models": len(models), "networks": len(networks), "tasks": sum(len(m.tasks) for m in models), "rows": []}
    with tempfile.TemporaryDirectory(prefix="ripe-bench-") as name:
        folder = Path(name)
        *files, n = write_world(folder, args.variants, np.random.default_rng(0))
        for group, chosen in groups.items():
            for title, suffix, layout, rows in OUTPUTS if group == "all models" else OUTPUTS[:1]:
                ways = [runner(chosen, files, folder, suffix, layout, rows, "all")]
                ways += [runner([m], files, folder, suffix, layout, rows, i) for i, m in enumerate(chosen)]
                (one, one_cpu), *single = best_times(ways, args.repeats)
                total, total_cpu = np.sum(single, axis=0).tolist()
                row = {"group": group, "models": len(chosen), "tasks": sum(len(m.tasks) for m in chosen)}
                row |= {"output": f"{title}, {suffix}", "variants": n, "one_pass_s": one, "single_runs_s": total}
                row |= {"saved": 1 - one / total, "one_pass_cpu_s": one_cpu, "single_runs_cpu_s": total_cpu}
                row |= {"saved_cpu": 1 - one_cpu / total_cpu}
                results["rows"].append(row)
                print(
                    f"{group:24s} {row['output']:50s} {one:7.2f} s against {total:7.2f} s: {row['saved']:.0%} saved "
                    f"(processor {row['saved_cpu']:.0%})",
                    flush=True,
                )
    write_results("all_tiers", {**results, **machine()})


if __name__ == "__main__":
    main()
