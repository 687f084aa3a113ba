"""Freeze what the commands put out, and compare after the inside of the product was rearranged.

``python -m tests.support.behaviour write GOLDEN.json`` runs every case and writes GOLDEN.json (digests) and GOLDEN.npz
(texts and numbers); ``... compare GOLDEN.json`` runs them again and prints one line per difference (case, file,
position, expected, got); its exit code is 1 if there is any. Options: ``--only predict,scan`` (cases by name),
``--root DIR`` (run another checkout), ``--model DIR`` (one model for both checkouts, with the task of the cases),
``--keep DIR`` (leave what the commands wrote in this new folder).

Only command lines and the public names of ``ripe_lib`` are used. Every file put out is split into its text (equal, but
for paths, dates, durations and versions) and its numbers (within 1e-6); of pictures only the existence counts.
"""

import argparse
import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from itertools import zip_longest
from pathlib import Path
from string import Template

import h5py
import numpy as np
import pyarrow.parquet as pq

from tests.support.peak_files import write_peak_project

HERE = Path(__file__).resolve().parents[2]
SHOWN = 20  # differences of one part
TOLERANCE = 1e-6 + 1e-10  # printed numbers may differ by one unit of the sixth decimal
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
MASKS = {
    "": re.compile(r"^WARNING:tensorflow.*\n|^[^%\n]*\d%\|.*\n?", re.MULTILINE),  # progress bars
    "<PICTURE>": re.compile(r"<svg.*?</svg>|data:image/[^\"')]*", re.DOTALL),
    "<DATE>": re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z| ?UTC|[-+]\d\d:?\d\d)?)?"),
    "<VERSION>": re.compile(r"\b\d+\.\d+\.\d+(?:\.?(?:dev|rc|post|a|b)\d+)?(?:\+[\w.]+)?\b"),
    "<TIME>": re.compile(r"\b\d[\d.,]* ?(?:ms|s|min|seconds|\w+/s)\b"),
}
PREPARE = """prepare:
  output: data.h5
  report: true
  peaks: {fasta_file: $own/genome.fa, gtf_file: $own/genes.gtf, table: $own/peaks.tsv,
    background: {strategy: any_transcripts, ratio: 1.0}}
  window: {margin: 20}
  split: {method: random}
"""
PUBLIC = """
import inspect, sys, numpy, ripe_lib
for name in sorted(ripe_lib.__all__):
    thing = getattr(ripe_lib, name)
    print(name, list(inspect.signature(thing).parameters) if inspect.isfunction(thing) else isinstance(thing, type))
model = ripe_lib.load_model(sys.argv[2])
windows = ripe_lib.make_windows(sys.argv[3], spec=model.spec, fasta_file=sys.argv[4], gtf_file=sys.argv[5])
maps = ripe_lib.integrated_gradients(model, windows[:3], task=model.tasks[0], n_steps=5)
numpy.set_printoptions(threshold=10**9, floatmode="fixed", suppress=True)
print(model.tasks, model.spec.name, ripe_lib.list_models(), ripe_lib.predict(model, windows), sep="\\n")
print(maps.seq, maps.region, maps.gap, sep="\\n")
"""
CASES = """
models ripe models
models ripe models --json
models ripe tasks $mid
models ripe tasks $mid --json
errors ripe predict DeepRiPe/parclip_mdi $bed $genome -o x.tsv
errors ripe predict $mid $own/bad.bed $genome -o x.tsv
errors ripe predict $mid $bed --fasta no.fa -o x.tsv
errors ripe score-variants $mid $vcf $genome --task QKI -o x.tsv
errors ripe scan $mid $fasta --task QKI -o x.tsv
errors ripe mutate $mid chr9:1-50 $genome -o x.tsv
errors ripe evaluate $mid $own/bad.bed -o x
errors ripe-train prepare no.yaml
predict ripe predict $mid $bed $genome -o gtf.tsv
predict ripe predict $mid $bed $genome -o gtf.h5
predict ripe predict $mid $bed $genome -o gtf.parquet
predict ripe predict $mid $bed --fasta $fasta -o none.csv
predict ripe predict $mid $example/constructs.bed --fasta $fasta -o constructs.tsv
variants ripe score-variants $vcf --model $mid $genome -o a.vcf
variants ripe score-variants $vcf --model $mid $genome -o both.tsv --strand both --region both
variants ripe score-variants $vcf --model $mid $genome -o a.parquet --format long --scores delta class percentile
variants ripe score-variants $vcf --model $mid $genome -o biobank.csv.gz --format biobank
variants ripe score-variants $vcf --model $mid $genome -o top.tsv --format long --top 9 --report page --report-changes 2
scan ripe scan $mid $fasta -o rna.tsv -o rna.h5 --sites rna_sites.tsv
scan ripe scan $mid --intervals $bed $genome -o bed.bedgraph --sites sites.bed --threshold 0.5
scan ripe scan $mid --genes DEMO1 --spliced $genome -o gene.parquet --step 5
attribute ripe attribute $mid $bed $genome $task -o ig.h5 --min-score 0.5 --steps 5
attribute ripe attribute $mid $bed $genome $task -o saliency.h5 --min-score 0.5 --method saliency
attribute ripe attribute $mid $bed $genome $task -o gradxinput.h5 --min-score 0.5 --method gradxinput --explain logit
attribute ripe attribute $mid $bed $genome $task -o deeplift.h5 --min-score 0.5 --method deeplift
attribute ripe attribute $mid $bed $genome $task -o ism.h5 --min-score 0.5 --method ism
mutate ripe mutate $mid chr1:2062-2111:+ $genome -o a.tsv
mutate ripe mutate $mid chr1:2062-2111:+ $genome -o a.bedgraph --no-deletions --region none
asb ripe asb $vcf --model $mid $task $genome -o a.tsv --steps 5
strand ripe compare-strand $vcf --model $mid $genome -o a.tsv
prepare ripe-train prepare $own/prepare.yaml
evaluate ripe-train prepare $own/prepare.yaml --quiet
evaluate ripe evaluate $mid data.h5 -o result --bootstrap 20 --predictions --split all --task QKI_PARCLIP=RBP0
motifs ripe motifs $mid $own/motif.bed $genome --task QKI_PARCLIP -o result --steps 5 --method single --min-score 0
kipoi kipoi predict $kipoi $arguments -o a.tsv a.h5
public python $public $mid $bed $fasta $gtf
slice ripe predict $mid $slice.clip31_train_windows.bed $real -o a.h5
slice ripe score-variants $slice.clinvar.vcf --model $mid $real -o a.tsv --strand both
slice ripe scan $mid --intervals $slice.exons.bed $real -o scan.h5 --sites sites.tsv --step 20
"""
HELP = "predict scan attribute motifs score-variants mutate asb compare-strand evaluate models tasks register"
# The commands of a case run in one process, each as ``python -m`` would; texts and exit codes go to files.
DRIVER = """
import json, os, pathlib, runpy, sys, traceback
modules = {"ripe": "ripe_lib.cli.main", "ripe-train": "training.cli.main"}
for number, words in enumerate(json.load(sys.stdin)):
    for stream, name in ((1, "stdout"), (2, "stderr")):
        with open(f"{number}.{name}", "wb") as handle:
            os.dup2(handle.fileno(), stream)
    sys.argv, code = words, 0
    try:
        if words[0] == "python":
            exec(words[1], {})
        elif words[0] in modules:
            runpy.run_module(modules[words[0]], run_name="__main__", alter_sys=True)
        else:
            sys.argv[0] = str(pathlib.Path(sys.executable).parent / words[0])
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        code = 1
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    pathlib.Path(f"{number}.exit").write_text(f"{code}")
"""


def prepared_cases(root: Path, folder: Path, model: str) -> dict[str, list[list[str]]]:
    """Write the inputs under ``folder`` and return the commands of every case, as lists of words."""
    own, example = folder / "inputs", HERE / "dataloaders" / "example_files"
    shared = Path(os.environ.get("RIPE_SHARED", HERE.parent / "shared")) / "data" / "reference"
    fasta, gtf, bed = (str(example / name) for name in ("genome.fa", "genes.gtf", "intervals.bed"))
    sites = Path(bed).read_text().splitlines(keepends=True)
    own.mkdir()
    write_peak_project(own, n_peaks=200)
    (own / "prepare.yaml").write_text(Template(PREPARE).substitute(own=own))
    (own / "bad.bed").write_text("chr1\t90\t20\tx\t0\t+\n")
    (own / "motif.bed").write_text("".join(x for x in sites if "UACUAA" in x))
    (folder / "home" / ".kipoi").mkdir(parents=True)
    source = {"deepripe": {"type": "local", "local_path": str(root / "kipoi_models")}}
    (folder / "home" / ".kipoi" / "config.yaml").write_text(json.dumps({"model_sources": source}))
    arguments = json.dumps({"intervals_file": bed, "fasta_file": fasta, "gtf_file": gtf})
    words = {"example": str(example), "vcf": str(example / "variants.vcf"), "own": str(own), "public": PUBLIC}
    words |= {"fasta": fasta, "gtf": gtf, "bed": bed, "mid": model, "slice": f"{shared}/chr22slice"}
    several = {"genome": ["--fasta", fasta, "--gtf", gtf], "task": ["--task", "IGF2BP123_PARCLIP"]}
    several["real"] = ["--fasta", f"{shared}/chr22slice.fa", "--gtf", f"{shared}/chr22slice.gencode_v25.gtf.gz"]
    several["kipoi"] = [model, "--source=dir"] if Path(model).is_dir() else [model, "--source=deepripe"]
    several["arguments"] = [f"--dataloader_args={arguments}"]
    found = {"help": [["ripe", "--help"], ["ripe-train", "--help"], *(["ripe", x, "--help"] for x in HELP.split())]}
    for line in CASES.strip().splitlines():
        name, *command = line.split()
        nested = [several.get(word[1:]) or [Template(word).substitute(words)] for word in command]
        found.setdefault(name, []).append([word for part in nested for word in part])
    if not (shared / "chr22slice.fa").is_file():
        sys.stderr.write(f"slice: skipped, no {shared}/chr22slice.fa (RIPE_SHARED names the folder that holds data/)\n")
        del found["slice"]
    return found


def parts_of(path: Path) -> dict[str, str | np.ndarray]:
    """Return the parts of a file: one text, or the columns, data sets and attributes of a table or HDF5 file."""
    parts: dict[str, str | np.ndarray] = {}
    arrays: dict[str, np.ndarray] = {}
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        parts["schema"] = str(table.schema)
        arrays = {name: table[name].to_numpy() for name in table.column_names}
    elif path.suffix == ".h5":

        def collect(name: str, item: h5py.Group | h5py.Dataset) -> None:
            arrays.update({f"{name}@{key}": np.asarray(value) for key, value in item.attrs.items()})
            if isinstance(item, h5py.Dataset):
                fields = item.dtype.names
                arrays.update({f"{name}.{field}": item[field] for field in fields} if fields else {name: item[()]})

        with h5py.File(path) as file:
            collect("", file)
            file.visititems(collect)
    elif path.suffix in (".png", ".svg", ".pdf", ".tbi", ".csi"):
        return {"": "exists"}
    else:
        return {"": (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()}
    for name, value in arrays.items():
        array = np.asarray(value)
        if array.dtype.kind in "OSU":
            strings = [x.decode() if isinstance(x, bytes) else str(x) for x in array.ravel()]
            parts[name] = "\n".join([f"{array.dtype} {array.shape}", *strings])
        else:
            parts[f"{name} {array.dtype} {array.shape}"] = array.astype(np.float64).ravel()
    return parts


def measure(root: Path, model: str, only: str, folder: Path) -> dict[str, tuple[str, np.ndarray]]:
    """Run the cases; returns the text (a # for each number) and the numbers of every ``case/file:part``."""
    every = prepared_cases(root, folder, model)
    home = folder / "home"
    own = {"HOME": home, "RIPE_MODELS_DIR": home / "models", "RIPE_CACHE_DIR": home / "cache", "PYTHONPATH": root}
    fixed = {"PYTHONWARNINGS": "ignore", "TF_CPP_MIN_LOG_LEVEL": "3", "MPLBACKEND": "agg", "COLUMNS": "120"}
    environment = {**os.environ, **fixed, **{key: str(value) for key, value in own.items()}}
    found = {}
    if unknown := set(filter(None, only.split(","))) - set(every):
        raise SystemExit(f"--only: unknown {', '.join(sorted(unknown))}; cases: {', '.join(every)}")
    for name in only.split(",") if only else every:
        (folder / name).mkdir()
        run = [sys.executable, "-c", DRIVER]
        subprocess.run(run, input=json.dumps(every[name]).encode(), cwd=folder / name, env=environment, check=True)
        for path in sorted(p for p in (folder / name).rglob("*") if p.is_file()):
            for part, value in parts_of(path).items():
                if isinstance(value, str):
                    text = value.replace(str(folder), "<FOLDER>").replace(str(root), "<ROOT>")
                    for mask, pattern in MASKS.items():
                        text = pattern.sub(mask, text)
                    split = NUMBER.sub("#", text), np.array(NUMBER.findall(text), dtype=np.float64)
                else:
                    split = "", value
                found[f"{path.relative_to(folder)}:{part}"] = split
    return found


def differences(expected: tuple[str, np.ndarray], got: tuple[str, np.ndarray]) -> list[str]:
    """Return position, expected and got of all that differs between two parts."""
    lines = [text.split("\n") for text in (expected[0], got[0])]
    if lines[0] != lines[1]:
        pairs = enumerate(zip_longest(*lines, fillvalue="(nothing)"), 1)
        return [f"line {i}: expected {a[:200]!r}, got {b[:200]!r}" for i, (a, b) in pairs if a != b]
    close = np.isclose(expected[1], got[1], rtol=0, atol=TOLERANCE, equal_nan=True)
    at = np.repeat(np.arange(1, len(lines[0]) + 1), [x.count("#") for x in lines[0]])
    places = [f"line {at[i]}, number {i + 1}" if len(at) else f"number {i + 1}" for i in np.flatnonzero(~close)]
    values = zip(places, expected[1][~close], got[1][~close], strict=True)
    return [f"{place}: expected {a:.9g}, got {b:.9g}" for place, a, b in values]


def main() -> int:
    """Run ``write`` or ``compare``; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["write", "compare"])
    parser.add_argument("golden", type=Path)
    parser.add_argument("--only", default="", help="cases, with commas")
    parser.add_argument("--root", type=Path, default=HERE, help="checkout to run (this one)")
    parser.add_argument("--model", default="DeepRiPe/clip31", help="one with the task IGF2BP123_PARCLIP, or its folder")
    parser.add_argument("--keep", type=Path, help="new folder for what the commands write")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="behaviour-") as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        found = measure(args.root.resolve(), args.model, args.only, folder.resolve())
    stored = args.golden.with_suffix(".npz")
    if args.action == "write":
        parts = {key: [hashlib.sha256(text.encode()).hexdigest(), len(n)] for key, (text, n) in found.items()}
        args.golden.write_text(json.dumps(parts, indent=1) + "\n")
        texts = np.frombuffer("\0".join(text for text, _ in found.values()).encode(), np.uint8)
        np.savez_compressed(stored, texts=texts, numbers=np.concatenate([n for _, n in found.values()]))
        return 0
    parts = json.loads(args.golden.read_text())
    with np.load(stored) as arrays:
        texts = arrays["texts"].tobytes().decode().split("\0")
        numbers = np.split(arrays["numbers"], np.cumsum([n for _, n in parts.values()])[:-1])
    chosen = {key.split("/")[0] for key in found}
    golden = {k: (t, n) for k, t, n in zip(parts, texts, numbers, strict=True) if k.split("/")[0] in chosen}
    total = 0
    for key in sorted(golden | found):
        if key in golden and key in found:
            lines = differences(golden[key], found[key])
        else:
            lines = ["expected, not there" if key in golden else "there, not expected"]
        total += len(lines)
        more = [f"{len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        sys.stdout.writelines(f"{key.rstrip(':')}: {line}\n" for line in lines[:SHOWN] + more)
    sys.stdout.write(f"{total} differences in {len(found)} parts of {len(chosen)} cases\n")
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main())
