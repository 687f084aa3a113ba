"""Commands that are disturbed: killed, without workers, without room, in a read-only folder, twice at once, and so on.

``python -m tests.support.faults docs/reliability.md`` runs every command under every fault and writes the table.
What a cell says was seen in that run; anything else is an error.
"""

import argparse
import ctypes
import hashlib
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from importlib import import_module
from itertools import product
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "dataloaders" / "example_files"
GENOME = "--fasta IN/genome.fa --gtf IN/genes.gtf"
MAPS = f"DeepRiPe/parclip_mid IN/intervals.bed {GENOME} --task TARDBP --steps 5"
LONGEST = 400
PR_CAPBSET_DROP, MAY_WRITE_ANYWHERE = 24, (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
TOO_LARGE, TOO_LARGE_HOME = 4000, 50  # bytes that a file may have on the "full disk"
FUZZED = "\n## Damaged files\n"
DAY, YEAR = 86_400, 365 * 86_400

# command line (OUT is the folder for outputs, IN that of inputs), and the files that are compared
COMMANDS = {
    "predict": (f"ripe predict DeepRiPe/parclip_mid IN/intervals.bed {GENOME} -o OUT/o.tsv", ("o.tsv",)),
    "score-variants": (
        f"ripe score-variants DeepRiPe/parclip_mid IN/variants.vcf {GENOME} --chunk-size 20 -o OUT/o.tsv",
        ("o.tsv",),
    ),
    "scan": (
        f"ripe scan DeepRiPe/parclip_mid --intervals IN/intervals.bed {GENOME} --task TARDBP --step 5 -o OUT/o.tsv",
        ("o.tsv",),
    ),
    "attribute": (f"ripe attribute {MAPS} -o OUT/o.h5", ("o.h5",)),
    "motifs": (
        f"ripe motifs {MAPS} --min-score 0.05 --database none --method single --plot-format svg -o OUT/motifs",
        ("motifs/motifs.meme", "motifs/motifs.tsv"),
    ),
    "prepare": ("ripe-train prepare IN/lab.yaml -o OUT/lab.h5", ("lab.h5",)),
    "fit": ("ripe-train fit IN/lab.yaml --data IN/lab.h5 --run OUT/run", ("run/weights.h5",)),
    "study": (
        "ripe-train study IN/lab.yaml -o OUT/study",
        tuple(f"study/tables/{name}.csv" for name in ("arms", "differences", "tests")),
    ),
    "register": ("ripe register", (".kipoi/config.yaml",)),
}
# The sign that it is in the middle of its work; of the others, that anything is written.
MIDDLE = {
    "score-variants": "*/part-*",
    "fit": "run/checkpoint.h5",
    "study": "study/runs/sequence_only/checkpoint.h5",
}
UNFORKED = ("score-variants",)  # its scoring threads can wait for each other for ever in a forked process
WORKERS = {name: ["--dask", "processes:2"] for name in ("score-variants", "scan")}


class Lab:
    """A folder with inputs, and what every command gives when nothing disturbs it."""

    def __init__(self, folder):
        from tests.support.peak_files import write_peak_project

        self.folder = folder
        folder.chmod(0o755)
        self.inputs = folder / "in"
        self.inputs.mkdir()
        for name in ("intervals.bed", "variants.vcf", "genome.fa", "genes.gtf"):
            shutil.copy(EXAMPLES / name, self.inputs)
        lab = self.inputs / "lab"
        lab.mkdir()
        write_peak_project(lab, n_peaks=60)
        peaks = {"fasta_file": f"{lab}/genome.fa", "gtf_file": f"{lab}/genes.gtf", "table": f"{lab}/peaks.tsv"}
        peaks["background"] = {"strategy": "any_transcripts", "ratio": 1.0}
        data = str(self.inputs / "lab.h5")
        fit = {"sizes": {"filters": 4, "merged_filters": 4, "hidden": 4}, "epochs": 2}
        content = {
            "prepare": {"output": data, "peaks": peaks, "window": {"margin": 20}, "split": {"method": "random"}},
            "fit": {"name": "DeepRiPe/lab", "run": f"{lab}/run"} | fit,
            "study": {"directory": f"{lab}/study", "data": data, "fit": fit, "n_bootstrap": 5}
            | {"comparisons": ["modalities"], "baseline": False},
        }
        (self.inputs / "lab.yaml").write_text(yaml.safe_dump(content))
        self.expected = {}

    def out(self, name):
        """A fresh folder for outputs, which is also the home."""
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        path.chmod(0o777)
        return path

    def start(self, command, out, *, more=(), home=None, limit=None, ordinary=False, fresh=False):
        """Start a command; ``fresh``: in an interpreter of its own, which takes longer."""
        program, *words = COMMANDS[command][0].replace("OUT", str(out)).replace("IN/", f"{self.inputs}/").split()
        module = {"ripe": "ripe_lib.cli.main", "ripe-train": "training.cli.main"}[program]
        keep = ("PATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
        environment = {name: os.environ[name] for name in keep if name in os.environ}
        environment |= {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
        environment |= {"MPLBACKEND": "agg", "PYTHONDONTWRITEBYTECODE": "1"}
        environment["HOME"] = str(home or out)
        if not (fresh or ordinary or command in UNFORKED):
            return Forked(module, [*words, *more], str(out), environment, limit)
        return subprocess.Popen(
            [sys.executable, "-m", module, *words, *more],
            cwd=out,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: _limited(ordinary, limit),
        )

    def run(self, command, out, **options):
        """Run a command; returns its exit code and what it wrote to standard error."""
        process = self.start(command, out, **options)
        _, told = process.communicate(timeout=LONGEST)
        return process.returncode, told

    def killed(self, command, out):
        """Start a command and kill it in the middle."""
        before = set(out.iterdir())
        process = self.start(command, out)
        wait_for(lambda: process.poll() is not None or _in_the_middle(command, out, before))
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def digests(self, command, out):
        """Digests of the files that are compared; None for one that is not there."""
        files = [out / name for name in COMMANDS[command][1]]
        return [hashlib.sha256(_content(f, out)).hexdigest() if f.is_file() else None for f in files]

    def undisturbed(self, command, *more):
        """What the command gives in peace, with further options if there are any."""
        if command in ("fit", "study") and not (self.inputs / "lab.h5").exists():
            shutil.copy(self.undisturbed("prepare")[1] / "lab.h5", self.inputs / "lab.h5")
        key = (command, *more)
        if key not in self.expected:
            out = self.out(command)
            code, told = self.run(command, out, more=more, fresh=bool(more))
            assert code == 0, told
            found = self.digests(command, out)
            assert None not in found, found
            self.expected[key] = found, out
        return self.expected[key]

    def rerun(self, command, out):
        """The same command again, in peace, gives the bytes of an undisturbed run."""
        code, told = self.run(command, out)
        assert code == 0, told
        assert self.digests(command, out) == self.undisturbed(command)[0], f"{command}: other bytes after the rerun"


def _limited(ordinary, limit):
    if ordinary and not os.geteuid():
        _as_others()
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def _as_others():
    for capability in MAY_WRITE_ANYWHERE:
        assert not ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


class Forked:
    """A command in a process forked from one that has loaded everything slow; used as ``subprocess.Popen``."""

    def __init__(self, module, words, *arguments):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.support.loaded"])
        self._pipe, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_run_here, args=(theirs, module, words, *arguments))
        self._process.start()
        theirs.close()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self, timeout=LONGEST):
        self._process.join(timeout)
        assert self.poll() is not None, "hangs"
        with open(self._pipe.fileno(), "rb", closefd=False) as pipe:
            told = pipe.read().decode()
        self._pipe.close()
        return "", told


def _run_here(pipe, module, words, out, environment, limit):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(pipe.fileno(), 2)
    os.chdir(out)
    os.environ.clear()
    os.environ.update(environment)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.exit(import_module(module).main(words))


def _content(file, out):
    data = file.read_bytes()
    return data.replace(str(out).encode(), b"OUT") if file.suffix in (".yaml", ".tsv") else data


def _in_the_middle(command, out, before):
    if command in MIDDLE:
        return any(out.glob(MIDDLE[command]))
    return any(path not in before and path.name not in {".keras", ".cache", ".config"} for path in out.iterdir())


def wait_for(happened):
    """Look until something has happened."""
    until = time.monotonic() + LONGEST
    while not (found := happened()) and time.monotonic() < until:
        time.sleep(0.002)
    return found


def one_line(command, told):
    """What a command that failed says: one line that names no temporary."""
    last = told.splitlines()[-1]
    assert ": error: " in last, told
    assert "Traceback" not in told, told
    return last


def _with_older(command, out):
    """Put an older file where the command writes one; return its path, or None where it writes a folder."""
    target = out / COMMANDS[command][1][0]
    if target.parent != out:
        return None
    target.write_bytes(b"older")
    return target


def kill(lab, command):
    """Kill it in the middle of its work; what was there before is whole."""
    expected, _ = lab.undisturbed(command)
    out = lab.out(command)
    older = _with_older(command, out)
    lab.killed(command, out)
    if older:
        assert older.read_bytes() == b"older" or lab.digests(command, out) == expected, "half-written output"
    lab.rerun(command, out)
    return "rerun: same bytes, nothing older lost"


def without_a_worker(lab, command):
    """Kill one of its worker processes before it has finished anything."""
    if command not in WORKERS:
        return "no workers"
    expected, _ = lab.undisturbed(command, *WORKERS[command])
    out = lab.out(command)
    process = lab.start(command, out, more=WORKERS[command], fresh=True)
    worker = wait_for(lambda: _worker_of(process.pid) or (process.poll() is not None and -1))
    assert worker > 0, "no worker"
    os.kill(worker, signal.SIGKILL)
    _, told = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, f"exit {process.returncode}: {told}"
    assert lab.digests(command, out) == expected, f"other bytes: {told}"
    return "another takes its part: same bytes"


def _worker_of(pid):
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        words = Path(f"/proc/{child}/cmdline").read_bytes()
        if re.search(rb"spawn_main", words):
            return int(child)
    return 0


def full_disk(lab, command):
    """No file may grow beyond a few bytes."""
    expected, _ = lab.undisturbed(command)
    out = lab.out(command)
    older = _with_older(command, out)
    code, told = lab.run(command, out, limit=TOO_LARGE_HOME if command == "register" else TOO_LARGE)
    if code == 0:
        assert lab.digests(command, out) == expected
        return "fits"
    assert code == 2, told
    one_line(command, told)
    assert older is None or older.read_bytes() == b"older"
    lab.rerun(command, out)
    return "exit 2, one line; rerun: same bytes"


def read_only(lab, command):
    """A folder that others may not write to; root is bound by that, too."""
    lab.undisturbed(command)
    out = lab.out(command)
    out.chmod(0o555)
    code, told = lab.run(command, out, ordinary=True)
    assert code == 2, (code, told)
    one_line(command, told)
    assert list(out.iterdir()) == []
    out.chmod(0o777)
    return "exit 2, one line; nothing written"


def twice(lab, command):
    """Two runs with the same output."""
    expected, _ = lab.undisturbed(command)
    out = lab.out(command)
    pair = [lab.start(command, out) for _ in range(2)]
    for process in pair:
        _, told = process.communicate(timeout=LONGEST)
        assert process.returncode in (0, 2), told
        assert process.returncode == 0 or one_line(command, told)
    assert any(process.returncode == 0 for process in pair), "both refused"
    assert lab.digests(command, out) == expected
    return "same bytes"


def homeless(lab, command):
    """HOME names a folder that cannot be."""
    out = lab.out(command)
    code, told = lab.run(command, out, home="/dev/null/none", fresh=True)
    if command == "register":  # it writes there
        assert code == 2, told
        one_line(command, told)
        return "exit 2, one line"
    assert code == 0, told
    assert lab.digests(command, out) == lab.undisturbed(command)[0]
    return "same bytes"


def clock(lab, command):
    """Killed on another genome; then its files are of next year, and the inputs, the right genome too, of yesterday."""
    lab.undisturbed(command)
    out = lab.out(command)
    genomes = {path: path.read_text() for path in (lab.inputs / "genome.fa", lab.inputs / "lab" / "genome.fa")}
    try:
        for path, text in genomes.items():
            path.write_text(_another_genome(text))
        lab.killed(command, out)
    finally:
        for path, text in genomes.items():
            path.write_text(text)
    now = time.time()
    for folder, moved in ((out, YEAR), (lab.inputs, -DAY)):
        for path in (path for path in folder.rglob("*") if path.suffix != ".fai"):
            os.utime(path, (now + moved, now + moved))
    lab.rerun(command, out)
    return "rerun: same bytes"


def _another_genome(text):
    """The same contigs with other bases, in lines of another length."""
    contigs = (contig.split("\n", 1) for contig in text.split(">")[1:])
    other = str.maketrans("ACGTacgt\n", "CATGcatg\n")
    return "".join(
        f">{name}\n" + "\n".join(textwrap.wrap(letters.translate(other).replace("\n", ""), 50)) + "\n"
        for name, letters in contigs
    )


WAYS = dict(
    zip(
        ("kill -9", "worker dies", "full disk", "read-only folder", "two runs at once", "HOME missing", "clock jumps"),
        (kill, without_a_worker, full_disk, read_only, twice, homeless, clock),
        strict=True,
    )
)
FAULTS = tuple(WAYS)


def table(cells):
    """The page ``docs/reliability.md``; ``cells`` is {(command, fault): text}."""
    lines = [
        "# What happens when a run is disturbed",
        "",
        "Made by `python -m tests.support.faults docs/reliability.md`; `make test-slow` runs the same faults. Cells",
        "say what was seen. Outputs are compared byte by byte with those of a run in peace.",
        "",
        "| command | " + " | ".join(FAULTS) + " |",
        "|" + "---|" * (len(FAULTS) + 1),
    ]
    lines += [f"| `{c}` | " + " | ".join(cells.get((c, fault), "not run") for fault in FAULTS) + " |" for c in COMMANDS]
    lines += [
        "",
        "- **not run**: by the run of the script that made this page; the test looks at it all the same.",
        "- **kill -9**: the process is killed as soon as anything appears in the output folder; `score-variants` after",
        "  its first part, `fit` after its first epoch, `study` in its second network. An older file of the output's",
        "  name is whole afterwards.",
        "- **worker dies**: with `--dask processes:2`, a worker is killed before it has finished anything; the bytes",
        "  are those of that command in peace (with more threads the last digit of a score may differ).",
        f"- **full disk**: no file may grow beyond {TOO_LARGE} bytes (`register`: {TOO_LARGE_HOME}).",
        "- **read-only folder**: the output folder has no write bit for the user of the process.",
        "- **two runs at once**: the same command is started twice at the same moment; one of them may be refused.",
        "- **HOME missing**: `HOME` names a folder that cannot be made.",
        "- **clock jumps**: a run on a genome of other bases is killed; what it left is then dated next year, and the",
        "  inputs, among them the right genome, yesterday. The genome's index is newer than the genome.",
        "",
        "A killed `study` is also in `tests/end_to_end/test_study_slow.py`, a dask worker that dies in",
        "`test_variants_workers.py`.",
        "",
    ]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help="default: all")
    parser.add_argument("--rest", action="store_true", help="only what the page does not say yet")
    parser.add_argument("--seconds", type=float, default=86_400, help="begin nothing after so long")
    args = parser.parse_args()
    cells, until = cells_of(args.page), time.monotonic() + args.seconds
    with tempfile.TemporaryDirectory(prefix="ripe-faults-") as folder:
        lab = Lab(Path(folder))
        for command, fault in product(args.commands or COMMANDS, FAULTS):
            is_known = cells.get((command, fault), "not run") not in ("not run", "**wrong**")
            if (args.rest and is_known) or time.monotonic() > until:
                continue
            started = time.monotonic()
            try:
                cells[command, fault] = WAYS[fault](lab, command)
            except AssertionError as error:
                cells[command, fault] = "**wrong**"
                sys.stderr.write(f"{command}, {fault}: {str(error)[-1500:]}\n")
            seconds = time.monotonic() - started
            sys.stderr.write(f"{command}, {fault}: {cells[command, fault]} ({seconds:.0f} s)\n")
            args.page.write_text(table(cells) + fuzzed(args.page), encoding="utf-8")
    return int("**wrong**" in cells.values())


def fuzzed(page):
    """The part of a page that ``tests.fuzz.run`` writes."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return text[text.index(FUZZED) :] if FUZZED in text else ""


def cells_of(page):
    """What a page says, by command and fault; nothing of a page with other columns."""
    lines = page.read_text(encoding="utf-8").splitlines() if page.exists() else []
    if f"| command | {' | '.join(FAULTS)} |" not in lines:
        return {}
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| `")]
    return {(name, fault): text for name, *texts in rows for fault, text in zip(FAULTS, texts, strict=True)}


if __name__ == "__main__":
    sys.exit(main())
