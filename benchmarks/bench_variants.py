"""Variant scoring, file to file, against two passes of the compiled Keras network on ready arrays, in one run.

Usage: python -m benchmarks.bench_variants [--model DeepRiPe/clip31] [--variants 20000] [--many 200000] [--repeats 3]

A made-up genome with genes on both strands; SNVs at least 500 nt apart, each in one gene. ``two passes`` gets one-hot
arrays that were made before the clock started, in batches of 1,024; ``ripe`` reads a VCF and writes a TSV, models
loaded and compiled in both. Rows alternate within a repeat; the smallest time of each counts, in wall and in processor
seconds (the ratio of these is what a busy machine can say). The one-variant-at-a-time
way calls ``bedtools getfasta`` and the network once per allele, on few variants; stock ``kipoi-veff`` gets ``--veff``
variants of the same file, its start-up taken off. Peak memory and the time for
``--many`` variants are those of a process of its own, models loaded inside; ten million are extrapolated from it.
"""

import argparse
import importlib.util
import json
import os
import shutil
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
from ripe_lib.genome.encoding import encode_sequence, one_hot
from ripe_lib.genome.landmarks import encode_landmarks
from ripe_lib.network.spec import N_LANDMARKS
from ripe_lib.variants.format import OutputFormat
from ripe_lib.variants.options import VariantOptions
from ripe_lib.variants.output import VariantJob, Worker, write_scores

SPACING = 550
GENE = 20_000
LETTERS = np.frombuffer(b"ACGT", dtype=np.uint8)
TEN_MILLION = 10_000_000


def write_world(folder, n, rng):
    """Write genome, genes and n scattered SNVs; return the paths."""
    length = (n + 2) * SPACING
    genome = LETTERS[rng.integers(0, 4, length)]
    with (folder / "genome.fa").open("wb") as out:
        out.write(b">chr1\n")
        for at in range(0, length, 60):
            out.write(genome[at : at + 60].tobytes() + b"\n")
    with (folder / "genes.gtf").open("w") as out:
        for number, start in enumerate(range(0, length - GENE, GENE)):
            strand = "+-"[number % 2]
            kind = 'gene_type "protein_coding"; transcript_type "protein_coding";'
            names = f'gene_id "G{number}"; transcript_id "T{number}"; gene_name "GENE{number}"; {kind}'

            def line(kind, a, b, start=start, strand=strand, names=names):
                return f"chr1\tbench\t{kind}\t{start + a + 1}\t{start + b}\t.\t{strand}\t.\t{names}\n"

            out.write(line("transcript", 0, GENE))
            for exon in range(0, GENE, 2500):
                out.write(line("exon", exon, exon + 600))
                if 0 < exon < GENE - 2500:
                    out.write(line("CDS", exon, exon + 600))
    at = SPACING + np.arange(n) * SPACING + rng.integers(0, SPACING - 500, n)
    at = at[at < (length // GENE - 1) * GENE]
    ref = genome[at]
    alt = LETTERS[(np.searchsorted(LETTERS, ref) + rng.integers(1, 4, len(at))) % 4]
    with (folder / "variants.vcf").open("w") as out:
        out.write(f"##fileformat=VCFv4.2\n##contig=<ID=chr1,length={length}>\n")
        out.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for p, r, a in zip(at.tolist(), ref.tobytes().decode(), alt.tobytes().decode(), strict=True):
            out.write(f"chr1\t{p + 1}\t.\t{r}\t{a}\t.\tPASS\t.\n")
    return folder / "genome.fa", folder / "genes.gtf", folder / "variants.vcf", len(at)


def ready_arrays(model, job):
    """Return the one-hot windows of both alleles as the scorer would make them."""
    from ripe_lib.genome.vcf import VcfFile
    from ripe_lib.variants.rows import alternative_sequence, reference_codes

    worker = Worker(job, [model])
    with VcfFile(job.vcf_file) as vcf:
        records = next(vcf.records(10**9))
    rows = worker.scorer.rows(records)
    sites = rows.take(np.flatnonzero(rows.status == "ok"))
    genome = worker.scorer.genome
    seq = reference_codes(genome.fetch, sites, model.spec.sequence_length)
    alt = alternative_sequence(genome.fetch, sites, model.spec.sequence_length)
    region = np.full((len(seq), model.spec.region_length), 4, np.uint8)
    if job.options.region == "gtf":
        region = reference_codes(worker.scorer.genes.annotation.region_codes, sites, model.spec.region_length)
    return one_hot(seq), one_hot(alt), one_hot(region)


def two_passes(model, arrays, batch=1024):
    call = model.network.probabilities
    seq, alt, region = arrays
    for start in range(0, len(seq), batch):
        part = slice(start, start + batch)
        call(seq[part], region[part])
        call(alt[part], region[part])


def one_at_a_time(model, fasta, vcf, n):
    """Score n variants as pipelines do: bedtools for each window, one window per call. Returns seconds."""
    records = [line.split("\t") for line in vcf.read_text().splitlines() if line[0] != "#"][:n]
    predict = model.keras_model
    rest = [np.full((1, model.spec.region_length, 4), 0.25, np.float32)]
    if model.spec.has_landmarks:
        rest.append(encode_landmarks(np.full((1, N_LANDMARKS), np.nan), model.spec.landmark_bases))
    started = time.perf_counter()
    for chrom, pos, _, _, alt, *_ in records:
        start = int(pos) - 75
        found = subprocess.run(
            ["bedtools", "getfasta", "-fi", fasta, "-bed", "stdin", "-tab"],
            input=f"{chrom}\t{start}\t{start + 150}\n",
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        sequence = found.split("\t")[1].strip()
        for letters in (sequence, sequence[:74] + alt + sequence[75:]):
            predict.predict_on_batch([one_hot(encode_sequence(letters))[None], *rest])
    return time.perf_counter() - started


def stock_veff(name, files, folder, n):
    """Return variants per second of ``python -m kipoi_veff score_variants``, start-up taken off."""
    import pysam

    home = folder / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(["ripe", "register", "--quiet"], env=environment, check=True, capture_output=True)
    lines = files["vcf"].read_text().splitlines()
    seconds = []
    for size in (10, n):
        part = folder / f"veff{size}.vcf"
        part.write_text(
            "\n".join([*(x for x in lines if x[0] == "#"), *[x for x in lines if x[0] != "#"][:size]]) + "\n"
        )
        pysam.tabix_compress(str(part), f"{part}.gz", force=True)
        pysam.tabix_index(f"{part}.gz", preset="vcf", force=True)
        arguments = json.dumps({"fasta_file": str(files["fasta"]), "gtf_file": str(files["gtf"])})
        started = time.perf_counter()
        command = [sys.executable, "-m", "kipoi_veff", "score_variants", name, "--source", "deepripe"]
        command += ["--dataloader_args", arguments, "-i", f"{part}.gz", "-e", str(folder / "veff.tsv"), "-s", "diff"]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return (n - 10) / (seconds[1] - seconds[0])


def saturation(model, fasta, repeats):
    """Return seconds of 6,000 passes on ready arrays and of ``ripe mutate``'s scoring of a 1-kb region."""
    from ripe_lib.genome.fasta import Genome
    from ripe_lib.variants.saturation import saturate

    genome = Genome(fasta)
    region = ("chr1", 50_000, 51_000, "+")
    table = saturate([model], genome, None, region)
    n = len(table.codes) * 3
    rng = np.random.default_rng(0)
    seq = one_hot(rng.integers(0, 4, (n, model.spec.sequence_length)).astype(np.uint8))
    regions = np.full((n, model.spec.region_length, 4), 0.25, np.float32)
    (slow, slow_cpu), (fast, fast_cpu) = best_times(
        [lambda: two_passes(model, (seq, seq, regions)), lambda: saturate([model], genome, None, region)], repeats
    )
    found = {"variants": n, "passes": 2 * n, "full_s": slow, "ripe_s": fast, "ratio": slow / fast}
    return found | {"full_cpu_s": slow_cpu, "ripe_cpu_s": fast_cpu, "cpu_ratio": slow_cpu / fast_cpu}


def best_times(functions, repeats):
    """Return the smallest (wall, processor) seconds of each function."""
    for function in functions:
        function()
    times = np.full((2, repeats, len(functions)), np.inf)
    for repeat in range(repeats):
        for number, function in enumerate(functions):
            started, used = time.perf_counter(), time.process_time()
            function()
            times[:, repeat, number] = time.perf_counter() - started, time.process_time() - used
    return times.min(axis=1).T.tolist()


def in_own_process(arguments):
    """Run this file with ``--child``; returns what it measured."""
    command = [sys.executable, "-m", "benchmarks.bench_variants", "--child", json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def child(arguments):
    started = time.perf_counter()
    model = ripe_lib.load_model(arguments["model"])
    job = make_job(arguments["model"], arguments, arguments["out"], arguments["region"])
    loaded = time.perf_counter()
    summary = write_scores(job, arguments["out"], models=[model])
    done = time.perf_counter()
    print(
        json.dumps(
            {
                "records": summary.n_records,
                "load_s": loaded - started,
                "score_s": done - loaded,
                "peak_mb": peak_mb(),
            }
        )
    )


def peak_mb():
    """Return the most memory this process ever held; ``getrusage`` would count that of the process it came from."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def paper_network(folder):
    """Write a model directory with the paper's CNN, 31 tasks, untrained; returns its path."""
    import yaml

    from ripe_lib.network.architecture import build_model
    from ripe_lib.network.spec import ModelSpec
    from ripe_lib.network.weights import arrays_of, sha256_of, write_weights

    spec = ModelSpec(name="DeepRiPe/paper_cnn", tasks=tuple(f"task{i}" for i in range(31)), architecture="cnn")
    weights = folder / "paper_cnn" / "weights.h5"
    weights.parent.mkdir()
    write_weights(weights, spec, arrays_of(build_model(spec)))
    arguments = {"args": {"weights": weights.name, "sha256": sha256_of(weights)}}
    (weights.parent / "model.yaml").write_text(yaml.safe_dump(arguments))
    return str(weights.parent)


def make_job(name, files, out, region):
    return VariantJob(
        vcf_file=str(files["vcf"]),
        fasta_file=str(files["fasta"]),
        gtf_file=str(files["gtf"]) if region == "gtf" else None,
        models=(name,),
        options=VariantOptions(region=region, strand="auto" if region == "gtf" else "+"),
        out=OutputFormat.of(out),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="DeepRiPe/clip31", help="measured beside the paper's CNN with 31 tasks")
    parser.add_argument("--variants", type=int, default=20_000)
    parser.add_argument("--many", type=int, default=200_000, help="0: leave this out")
    parser.add_argument("--one-by-one", type=int, default=50, help="variants of the slow way; 0: leave it out")
    parser.add_argument("--veff", type=int, default=20_000, help="variants given to stock kipoi-veff; 0: leave it out")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-saturation", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(json.loads(args.child))
        return
    rng = np.random.default_rng(0)
    results = {"rows": [], **machine()}
    with tempfile.TemporaryDirectory(prefix="ripe-bench-") as name:
        folder = Path(name)
        fasta, gtf, vcf, n = write_world(folder, args.variants, rng)
        files = {"fasta": fasta, "gtf": gtf, "vcf": vcf}
        for which in (paper_network(folder), args.model):
            file_to_file(which, files, folder, n, args, results)
        if args.veff and importlib.util.find_spec("kipoi_veff"):
            rate = stock_veff(args.model, files, folder, args.veff)
            ours = max(row["variants_per_s"] for row in results["rows"] if row["region"] == "gtf")
            results["kipoi_veff"] = {"variants_per_s": rate, "ratio": ours / rate}
            print(f"stock kipoi-veff: {rate:.0f} variants/s, ripe with GTF is {ours / rate:.0f} x", flush=True)
        if args.many:
            write_world(folder, args.many, rng)
            for region in ("none", "gtf"):
                arguments = {key: str(path) for key, path in files.items()}
                arguments |= {"model": args.model, "region": region, "out": str(folder / "many.tsv")}
                found = in_own_process(arguments)
                rate = found["records"] / found["score_s"]
                found["ten_million_hours"] = TEN_MILLION / rate / 3600
                results[f"many_{region}"] = found
                print(
                    f"{found['records']} variants, region {region}: {found['score_s']:.0f} s, {rate:.0f}/s, peak "
                    f"{found['peak_mb']:.0f} MB; 10 million: {found['ten_million_hours']:.2f} h",
                    flush=True,
                )
    write_results("variants", results)


def file_to_file(which, files, folder, n, args, results):
    """Measure one model: VCF to file against two passes, one variant at a time, saturation of 1 kb."""
    model = ripe_lib.load_model(which)
    print(f"{model.name}, {model.spec.architecture}, {len(model.tasks)} tasks")
    print(
        f"  {'case':32s} {'variants':>9s} {'two passes s':>13s} {'ripe s':>8s} {'ratio':>7s} {'variants/s':>11s} "
        f"{'cpu ratio':>10s}"
    )
    best = 0.0
    for region in ("none", "gtf"):
        for suffix in (".tsv", ".vcf.gz"):
            out = folder / f"out{suffix}"
            job = make_job(which, files, out, region)
            arrays = ready_arrays(model, job)
            (slow, slow_cpu), (fast, fast_cpu) = best_times(
                [lambda a=arrays: two_passes(model, a), lambda j=job, o=out: write_scores(j, o, models=[model])],
                args.repeats,
            )
            row = {"model": model.name, "region": region, "output": suffix, "variants": n, "two_passes_s": slow}
            row |= {"ripe_s": fast, "ratio": slow / fast, "variants_per_s": n / fast}
            row |= {"two_passes_cpu_s": slow_cpu, "ripe_cpu_s": fast_cpu, "cpu_ratio": slow_cpu / fast_cpu}
            results["rows"].append(row)
            best = max(best, n / fast if region == "none" else 0)
            case = f"region {region}, VCF to {suffix}"
            print(
                f"  {case:32s} {n:9d} {slow:13.2f} {fast:8.2f} {slow / fast:7.2f} {n / fast:11.0f} "
                f"{slow_cpu / fast_cpu:10.2f}",
                flush=True,
            )
    if args.one_by_one and shutil.which("bedtools"):
        one_at_a_time(model, files["fasta"], files["vcf"], 3)
        rate = args.one_by_one / one_at_a_time(model, files["fasta"], files["vcf"], args.one_by_one)
        results[f"one_at_a_time {model.name}"] = {"variants_per_s": rate, "ratio": best / rate}
        print(f"  one at a time with bedtools: {rate:.1f} variants/s, ripe is {best / rate:.0f} x", flush=True)
    if not args.no_saturation:
        found = saturation(model, files["fasta"], args.repeats)
        results[f"saturation {model.name}"] = found
        print(
            f"  all {found['variants']} SNVs of 1 kb against 6,000 passes: {found['ratio']:.1f} x "
            f"(cpu {found['cpu_ratio']:.1f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
