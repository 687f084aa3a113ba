"""Every command, in this process, on one damaged file among whole ones: done, or one line and nothing written."""

import atexit
import contextlib
import io
import os
import re
import shutil
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path

import yaml

from ripe_lib.errors import InputError
from tests.fuzz.readers import FORMATS, PREPARE, Format, dataset_file, example, legacy_file, mutated_yaml
from tests.support.variant_files import write_model

GENOME = "--fasta HERE/genome.fa --gtf HERE/genes.gtf"
TASK = "--task QKI_PARCLIP"
TRAINING = ("prepare", "fit", "study", "tiers", "publish", "import-published")
# command line (MODEL, HERE: folder of whole files, OUT), and which of the files in it are damaged in turn
LINES = (
    ("predict MODEL HERE/intervals.bed GENOME -o OUT/o.tsv", "bed fasta gtf"),
    ("predict MODEL HERE/intervals.bed GENOME -o OUT/o.h5", "bed"),
    (
        "scan MODEL --intervals HERE/intervals.bed GENOME TASK --step 40 -o OUT/o.bedgraph --sites OUT/s.bed",
        "bed fasta",
    ),
    ("scan MODEL HERE/rna.fa TASK --step 5 --threshold 0.5 -o OUT/o.tsv --sites OUT/s.tsv", "rna"),
    ("scan MODEL --genes all GENOME TASK --step 90 --threshold 0.5 -o OUT/o.parquet", "gtf"),
    ("enrich MODEL HERE/intervals.bed GENOME -o OUT/o.tsv --background OUT/b.bed", "bed gtf"),
    ("attribute MODEL HERE/intervals.bed GENOME TASK --steps 2 -o OUT/o.h5", "bed"),
    ("attribute MODEL --sequences HERE/rna.fa TASK --steps 2 -o OUT/o.h5", "rna"),
    (
        "motifs MODEL HERE/intervals.bed GENOME TASK --steps 2 --method single --database HERE/m.meme "
        "--plot-format svg -o OUT/m",
        "bed meme",
    ),
    ("score-variants MODEL HERE/variants.vcf GENOME -o OUT/o.tsv --peaks HERE/peaks.bed", "vcf bed gtf fasta"),
    ("score-variants MODEL HERE/variants.vcf GENOME -o OUT/o.vcf.gz", "vcf"),
    ("score-variants MODEL HERE/variants.vcf GENOME -o OUT/o.bcf", "vcf"),
    ("precompute MODEL HERE/few.bed GENOME -o OUT/o.vcf.gz", "bed"),
    ("mutate MODEL chr1:700-720 GENOME -o OUT/o.tsv", "fasta gtf"),
    ("asb MODEL HERE/variants.vcf GENOME TASK --steps 2 --motifs HERE/m.meme -o OUT/o.tsv", "vcf meme"),
    ("compare-strand MODEL HERE/variants.vcf GENOME -o OUT/o.tsv", "vcf"),
    ("evaluate MODEL HERE/data.h5 --bootstrap 2 -o OUT/e", "dataset"),
    ("evaluate MODEL --positives HERE/intervals.bed --negatives HERE/peaks.bed GENOME --bootstrap 2 -o OUT/e", "bed"),
    ("models", "model.yaml"),
    ("register", "kipoi"),
    ("prepare HERE/prepare.yaml -o OUT/d.h5", "configs peaks bed fasta gtf"),
    ("fit HERE/fit.yaml --data HERE/nowhere.h5 --run OUT/run", "configs"),
    ("study HERE/study.yaml --data HERE/nowhere.h5 -o OUT/study", "configs"),
    ("tiers HERE/tiers.yaml --work OUT/w", "configs"),
    ("publish HERE/run --out OUT/p", "run"),
    ("import-published --file HERE/legacy.h5 --tasks HERE/tasks.txt --out OUT/m", "legacy"),
)
WHERE = {
    "bed": "intervals.bed",
    "fasta": "genome.fa",
    "gtf": "genes.gtf",
    "rna": "rna.fa",
    "vcf": "variants.vcf",
    "meme": "m.meme",
    "dataset": "data.h5",
    "legacy": "legacy.h5",
    "peaks": "peaks.tsv",
    "run": "run/config.yaml",
    "kipoi": "../home/.kipoi/config.yaml",
    "model.yaml": "../models/DeepRiPe/mine/model.yaml",
}


@cache
def stage():
    """Make a folder: ``here`` with whole files, ``out``, ``home``, ``models``; the model is loaded once for all."""
    import ripe_lib.network.load
    from tests.support.toy_models import random_model

    folder = Path(tempfile.mkdtemp(prefix="ripe-commands-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    here = folder / "here"
    for name in ("here/run", "out", "home/.kipoi", "models/DeepRiPe"):
        (folder / name).mkdir(parents=True)
    os.environ |= {"HOME": f"{folder}/home", "RIPE_MODELS_DIR": f"{folder}/models", "RIPE_CACHE_DIR": f"{folder}"}
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "MPLBACKEND": "agg"}
    model = random_model()
    write_model(model, folder / "models" / "DeepRiPe" / "mine")
    model.directory = write_model(model, folder / "toy")
    ripe_lib.network.load.load_model = lambda _: model
    fit = {"name": "DeepRiPe/x", "data": "d.h5", "run": "r"}
    study = {"directory": "s", "data": "d.h5", "n_bootstrap": 5}
    whole = {
        "genome.fa": example("genome.fa"),
        "genes.gtf": example("genes.gtf"),
        "intervals.bed": b"".join(example("intervals.bed").splitlines(True)[:12]),
        "few.bed": b"chr1\t700\t704\tx\t0\t+\n",
        "peaks.bed": b"chr1\t600\t701\tp\t1000\t+\t12.5\t-1\t3.2\t50\nchr1\t1900\t2000\tq\t10\t+\t1.5\t2\t-1\t-1\n",
        "variants.vcf": b"".join(example("variants.vcf").splitlines(True)[:18]),
        "rna.fa": b">r1 region=" + b"i" * 60 + b"\n" + b"ACGUUGCAUC" * 6 + b"\n>r2 x\n" + b"acguacgunn" * 20 + b"\n",
        "m.meme": FORMATS["meme"].seeds()[0],
        "data.h5": dataset_file(),
        "legacy.h5": legacy_file(),
        "tasks.txt": b"a\nb\n",
        "peaks.tsv": b"rbp\tfile\tprotocol\nQKI\tintervals.bed\tPARCLIP\nPUM2\tpeaks.bed\tPARCLIP\n",
        "prepare.yaml": PREPARE.encode(),
        "fit.yaml": yaml.safe_dump({"fit": fit}).encode(),
        "study.yaml": yaml.safe_dump({"study": study}).encode(),
        "tiers.yaml": PREPARE.encode() + yaml.safe_dump({"fit": fit}).encode(),
        "run/config.yaml": yaml.safe_dump(fit).encode(),
        "run/data.json": b'{"path": "d.h5", "manifest_sha256": "x", "start": ""}\n',
        "run/weights.h5": FORMATS["weights"].seeds()[0],
    }
    for name, data in whole.items():
        (here / name).write_bytes(data)
    (folder / "home" / ".kipoi" / "config.yaml").write_text("model_sources:\n  mine: {type: local, local_path: /x}\n")
    return folder


def run(line, damaged, place):
    """Run a command line with a damaged file in the place of a whole one; judge exit code, words and files."""
    folder = stage()
    here, out = folder / "here", folder / "out"
    text = line.replace("GENOME", GENOME).replace("TASK", TASK).replace("MODEL", f"{folder}/toy")
    words = text.replace("HERE", str(here)).replace("OUT", str(out)).split()
    program = "training" if words[0] in TRAINING else "ripe_lib"
    main = import_module(f"{program}.cli.main").main
    target, told = here / place, io.StringIO()
    whole = target.read_bytes()
    os.chdir(here)
    try:
        target.unlink(missing_ok=True)  # a genome that was read before is mapped into this process still
        target.write_bytes(damaged.read_bytes())
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            try:
                code = main(words)
            except SystemExit as end:
                code = end.code
        left = sorted(str(file.relative_to(out)) for file in out.rglob("*"))
        text = told.getvalue()
        errors = [part for part in text.splitlines() if ": error: " in part]
        assert code in (0, 2), f"exit {code}"
        assert "Traceback" not in text, text
        assert len(errors) == (code == 2), text
        assert not any(".part" in name for name in left), f"left behind: {left}"
        assert not (code == 2 and left), f"left behind: {left}"
        assert code == 2 or "OUT" not in line or left, "nothing written"
    finally:
        target.unlink()
        target.write_bytes(whole)
        for file in (*out.iterdir(), *here.glob("*.fai"), *here.glob(".*")):
            shutil.rmtree(file) if file.is_dir() else file.unlink()
        os.chdir(damaged.parent)
    if code == 2:
        raise InputError(errors[0])


def commands():
    """Return one :class:`Format` per command line and file that is damaged."""
    found = {}
    for line, kinds in LINES:
        for kind in kinds.split():
            name = f"{line.split()[0]} {kind}"
            while name in found:
                name += "+"
            suffix = {"bed": "bed", "configs": "yaml"}.get(kind)
            named = re.search(rf"HERE/(\w+\.{suffix})", line)
            place = WHERE[kind] if named is None else named[1]
            is_yaml = suffix == "yaml" or place.endswith(".yaml")
            found[name] = Format(
                name,
                Path(place).suffix,
                lambda place=place: ((stage() / "here" / place).read_bytes(),),
                lambda path, line=line, place=place: run(line, path, place),
                mutated_yaml if is_yaml else FORMATS[kind].mutate,
                seconds=90,  # the first loads and compiles what the others use
            )
    return found


COMMANDS = commands()
