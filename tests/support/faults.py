"""Commands that are disturbed: killed, without room, in a read-only folder, twice at once, without a home.

``python -m tests.support.faults docs/reliability.md`` runs every command under every fault and writes the table.
What a cell says was seen in that run; anything else is an error.
"""

import ctypes
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "dataloaders" / "example_files"
GENOME = f"--fasta {EXAMPLES}/genome.fa --gtf {EXAMPLES}/genes.gtf"
BED, MID = EXAMPLES / "intervals.bed", "DeepRiPe/parclip_mid"
TASK = "TARDBP"
LONGEST = 400
PR_CAPBSET_DROP, MAY_WRITE_ANYWHERE = 24, (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
TOO_LARGE = 4000  # bytes that a file may have on the "full disk"

# command line (OUT is the folder for outputs), files that are compared
COMMANDS = {
    "predict": (f"ripe predict {MID} {BED} {GENOME} -o OUT/o.tsv", ("o.tsv",)),
    "score-variants": (f"ripe score-variants {MID} {EXAMPLES}/variants.vcf {GENOME} -o OUT/o.tsv", ("o.tsv",)),
    "scan": (f"ripe scan {MID} --intervals {BED} {GENOME} -o OUT/o.tsv --task {TASK} --step 5", ("o.tsv",)),
    "attribute": (f"ripe attribute {MID} {BED} {GENOME} --task {TASK} --steps 5 -o OUT/o.h5", ("o.h5",)),
    "motifs": (
        f"ripe motifs {MID} {BED} {GENOME} --task {TASK} --steps 5 --min-score 0.05 --database none --method single "
        "--plot-format svg -o OUT/motifs",
        ("motifs/motifs.meme", "motifs/motifs.tsv"),
    ),
    "prepare": ("ripe-train prepare IN/lab.yaml -o OUT/lab.h5", ("lab.h5",)),
    "fit": ("ripe-train fit IN/lab.yaml --data IN/lab.h5 --run OUT/run", ("run/weights.h5",)),
    "register": ("ripe register", (".kipoi/config.yaml",)),
}
FAULTS = ("kill -9", "full disk", "read-only folder", "two runs at once", "HOME missing")


class Lab:
    """A folder with inputs, and what every command gives when nothing disturbs it."""

    def __init__(self, folder):
        from tests.support.peak_files import write_peak_project

        self.folder = folder
        folder.chmod(0o755)
        self.inputs = folder / "in"
        self.inputs.mkdir()
        write_peak_project(self.inputs, n_peaks=60)
        place = str(self.inputs)
        peaks = {"fasta_file": f"{place}/genome.fa", "gtf_file": f"{place}/genes.gtf", "table": f"{place}/peaks.tsv"}
        peaks["background"] = {"strategy": "any_transcripts", "ratio": 1.0}
        sizes = {"filters": 4, "merged_filters": 4, "hidden": 4}
        content = {
            "prepare": {
                "output": f"{place}/lab.h5",
                "peaks": peaks,
                "window": {"margin": 20},
                "split": {"method": "random"},
            },
            "fit": {"name": "DeepRiPe/lab", "run": f"{place}/run", "sizes": sizes, "epochs": 2},
        }
        (self.inputs / "lab.yaml").write_text(yaml.safe_dump(content))
        self.expected = {}

    def out(self, name):
        """A fresh folder for outputs, which is also the home."""
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        path.chmod(0o777)
        return path

    def start(self, command, out, *, home=None, limit=None, ordinary=False):
        """Start a command."""
        program, *words = COMMANDS[command][0].replace("OUT", str(out)).replace("IN", str(self.inputs)).split()
        module = {"ripe": "ripe_lib.cli.main", "ripe-train": "training.cli.main"}[program]
        keep = ("PATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
        environment = {name: os.environ[name] for name in keep if name in os.environ}
        environment |= {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
        environment |= {"MPLBACKEND": "agg", "PYTHONDONTWRITEBYTECODE": "1"}
        environment["HOME"] = str(home or out)

        def limited():
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            for capability in MAY_WRITE_ANYWHERE if ordinary and not os.geteuid() else ():
                assert not ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)

        return subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=out,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limited,
        )

    def run(self, command, out, **options):
        """Run a command; returns its exit code and what it wrote to standard error."""
        process = self.start(command, out, **options)
        _, told = process.communicate(timeout=LONGEST)
        return process.returncode, told

    def digests(self, command, out):
        """Digests of the files that are compared; None for one that is not there."""
        files = [out / name for name in COMMANDS[command][1]]
        return [hashlib.sha256(_content(f, out)).hexdigest() if f.is_file() else None for f in files]

    def undisturbed(self, command):
        """What the command gives in peace."""
        if command == "fit" and not (self.inputs / "lab.h5").exists():
            shutil.copy(self.undisturbed("prepare")[1] / "lab.h5", self.inputs / "lab.h5")
        if command not in self.expected:
            out = self.out(command)
            code, told = self.run(command, out)
            assert code == 0, told
            found = self.digests(command, out)
            assert None not in found, found
            self.expected[command] = found, out
        return self.expected[command]

    def rerun(self, command, out):
        """The same command again, in peace, gives the bytes of an undisturbed run."""
        code, told = self.run(command, out)
        assert code == 0, told
        assert self.digests(command, out) == self.undisturbed(command)[0], f"{command}: other bytes after the rerun"


def _content(file, out):
    data = file.read_bytes()
    return data.replace(str(out).encode(), b"OUT") if file.suffix in (".yaml", ".tsv") else data


def one_line(command, told):
    """What a command that failed says: one line that names no temporary."""
    last = told.splitlines()[-1]
    assert ": error: " in last, told
    assert "Traceback" not in told, told
    return last


def kill(lab, command):
    """Kill it as soon as something appears where it writes; what was there before is whole."""
    expected, _ = lab.undisturbed(command)
    out = lab.out(command)
    target = out / COMMANDS[command][1][0]
    is_file = target.parent == out
    if is_file:
        target.write_bytes(b"older")
    before = set(out.iterdir())
    process = lab.start(command, out)
    until = time.monotonic() + LONGEST
    while process.poll() is None and not _started(out, before) and time.monotonic() < until:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if is_file:
        assert target.read_bytes() == b"older" or lab.digests(command, out) == expected, "half-written output"
    lab.rerun(command, out)
    return "rerun: same bytes, nothing older lost"


def _started(out, before):
    return any(path not in before and path.name not in {".keras", ".cache", ".config"} for path in out.iterdir())


def full_disk(lab, command):
    """No file may grow beyond a few bytes."""
    expected, _ = lab.undisturbed(command)
    out = lab.out(command)
    target = out / COMMANDS[command][1][0]
    small = command == "register"
    if target.parent == out:
        target.write_bytes(b"older")
    code, told = lab.run(command, out, limit=50 if small else TOO_LARGE)
    if code == 0:
        assert lab.digests(command, out) == expected
        return "fits"
    assert code == 2, told
    one_line(command, told)
    assert target.parent != out or target.read_bytes() == b"older"
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
    if command == "register":  # it writes there
        out = lab.out(command)
        code, told = lab.run(command, out, home="/dev/null/none")
        assert code == 2, told
        one_line(command, told)
        return "exit 2, one line"
    out = lab.out(command)
    code, told = lab.run(command, out, home="/dev/null/none")
    assert code == 0, told
    assert lab.digests(command, out) == lab.undisturbed(command)[0]
    return "same bytes"


WAYS = dict(zip(FAULTS, (kill, full_disk, read_only, twice, homeless), strict=True))


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
        "- **kill -9**: the process is killed as soon as anything appears in the output folder. An older file of that",
        "  name is whole afterwards.",
        f"- **full disk**: no file may grow beyond {TOO_LARGE} bytes (`register`: 50).",
        "- **read-only folder**: the output folder has no write bit for the user of the process.",
        "- **two runs at once**: the same command is started twice at the same moment; one of them may be refused.",
        "- **HOME missing**: `HOME` names a folder that cannot be made.",
        "",
        "A killed `study` is in `tests/end_to_end/test_study_slow.py`, workers that die in `test_variants_workers.py`.",
        "",
    ]
    return "\n".join(lines)


def main():
    page, *only = sys.argv[1:]
    cells, failed = {}, False
    with tempfile.TemporaryDirectory(prefix="ripe-faults-") as folder:
        lab = Lab(Path(folder))
        for command in only or COMMANDS:
            for fault, way in WAYS.items():
                started = time.monotonic()
                try:
                    cells[command, fault] = way(lab, command)
                except AssertionError as error:
                    failed = True
                    cells[command, fault] = "**wrong**"
                    sys.stderr.write(f"{command}, {fault}: {str(error)[-1500:]}\n")
                seconds = time.monotonic() - started
                sys.stderr.write(f"{command}, {fault}: {cells[command, fault]} ({seconds:.0f} s)\n")
                Path(page).write_text(table(cells), encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
