"""The ways of an interval, of a VCF record and of peaks through the house, as real runs take them.

``python -m tests.support.ways`` runs three commands on the example files in this process and prints, for each, the
functions that handle the data, in order, with the number of files crossed and of returns to a file left before.

What counts is decided by what a function is given and gives back, not by its name:

- the way begins in the command's function (``run``) and ends when that returns: parsing the command line is before it;
- what loads the things that all data share is beside the way, with all it calls (:data:`LOADING`: model, genome,
  annotation and what is made of them once);
- of the rest a function is on the way if an argument or what it returns *is* the data or holds them: an array, a table,
  bytes, or a tuple, list or dataclass of those. So progress bars, threads, chunks and atomic files, which are given
  paths, numbers and functions, are not on it, and a contig's name looked up by itself is not. The network's weights
  (:data:`WEIGHTS`) and a number of rows are not the data.

Loops that numba compiles are not seen; those of these ways are in files that the ways cross anyway
(``network/fast/loops.py`` and ``variants/format.py``).
"""

import dataclasses
import os
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "dataloaders" / "example_files"
MODEL = "DeepRiPe/parclip_mid"
PACKAGES = ("ripe_lib", "training", "dataloaders")
LOADING = {
    "<module>", "load_model", "model_spec", "joint_models", "_compiled", "fast",  # code and networks
    "load", "for_genome",  # annotations
    "Genome.__init__", "VcfFile.__init__", "Genes.__init__", "Transcriptome.__init__", "Axis.__init__",
    "fingerprint", "sha256_of", "read_config",  # what a job is
}  # fmt: skip
INSIDE = {"<genexpr>", "<lambda>", "<listcomp>", "<dictcomp>", "<setcomp>", "__len__"}  # of another function
WEIGHTS = {"Wiring", "ConvPool", "LandmarkTower", "First", "Second"}
ARRAYS = {("numpy", "ndarray"), ("pandas", "DataFrame"), ("pandas", "Series"), ("pyarrow", "Table")}


def holds_data(value: object, depth: int = 3) -> bool:
    """Whether a value is, or holds, an array, a table or bytes that are not empty."""
    kind = type(value)
    if isinstance(value, bytes):
        return bool(value)
    if (kind.__module__.partition(".")[0], kind.__name__) in ARRAYS:
        return bool(len(value)) if getattr(value, "ndim", 1) else False  # type: ignore[arg-type]
    if not depth or kind.__name__ in WEIGHTS:
        return False
    if isinstance(value, tuple):
        return any(holds_data(one, depth - 1) for one in value)
    if isinstance(value, list):
        return holds_data(value[0], depth - 1) if value else False
    if isinstance(value, dict):
        return any(holds_data(one, depth - 1) for one in value.values())
    if dataclasses.is_dataclass(value):
        return any(holds_data(one, depth - 1) for one in vars(value).values())
    return False


class Trace:
    """Notes the functions of this project that handle data while a command's ``run`` is active, in all threads."""

    def __init__(self) -> None:
        self.entries: list[list] = []  # file, function, whether it handles data
        self._local = threading.local()
        self._depth = 0

    def __enter__(self) -> "Trace":
        threading.setprofile(self._event)
        sys.setprofile(self._event)
        return self

    def __exit__(self, *exc: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _event(self, frame, event, argument) -> None:
        if event not in ("call", "return"):
            return
        code = frame.f_code
        if not code.co_filename.startswith(str(ROOT)) or code.co_name in INSIDE:
            return
        file = code.co_filename[len(str(ROOT)) + 1 :]
        if not file.startswith(PACKAGES):
            return
        local = self._local
        if not hasattr(local, "open"):
            local.open, local.loading = {}, None
        if file.startswith(("ripe_lib/cli/", "training/cli/")) and code.co_name == "run":
            self._depth += 1 if event == "call" else -1
        if not self._depth:
            return
        if event == "call":
            if local.loading is None and {code.co_name, f"{_owner(frame)}.{code.co_name}"} & LOADING:
                local.loading = frame
            if local.loading is None:
                names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
                handles = any(holds_data(frame.f_locals[name]) for name in names if name in frame.f_locals)
                local.open[frame] = [file, code.co_name, handles]
                self.entries.append(local.open[frame])
        elif frame is local.loading:
            local.loading = None
        elif frame in local.open:
            entry = local.open.pop(frame)
            entry[2] = entry[2] or holds_data(argument)

    def way(self) -> list[tuple[str, str]]:
        """Return file and function of every step, the command first."""
        steps = [(file, name) for file, name, handles in self.entries if handles or name == "run"]
        return [step for at, step in enumerate(steps) if not at or steps[at - 1] != step]


def _owner(frame) -> str:
    return type(frame.f_locals["self"]).__name__ if "self" in frame.f_locals else ""


def files_and_returns(way: list[tuple[str, str]]) -> tuple[int, int]:
    """Return how many files a way crosses, and how often it enters one that it had left."""
    stays = [file for at, (file, _) in enumerate(way) if not at or way[at - 1][0] != file]
    return len(set(stays)), len(stays) - len(set(stays))


def traced(main, words: list[str]) -> list[tuple[str, str]]:
    """Run a command; returns its way."""
    with Trace() as trace:
        code = main([*words, "--quiet"])
    if code:
        raise SystemExit(f"{' '.join(words)}: exit code {code}")
    return trace.way()


def interval(folder: Path) -> list[tuple[str, str]]:
    """One interval through ``ripe predict``."""
    from ripe_lib.cli.main import main

    lines = (EXAMPLE / "intervals.bed").read_text().splitlines(keepends=True)
    (folder / "one.bed").write_text(next(line for line in lines if line.endswith("-\n") and "3UTR" in line))
    genome = ["--fasta", str(EXAMPLE / "genome.fa"), "--gtf", str(EXAMPLE / "genes.gtf")]
    return traced(main, ["predict", MODEL, str(folder / "one.bed"), *genome, "-o", str(folder / "one.tsv")])


def vcf_record(folder: Path) -> list[tuple[str, str]]:
    """One VCF record through ``ripe score-variants``."""
    from ripe_lib.cli.main import main

    lines = (EXAMPLE / "variants.vcf").read_text().splitlines(keepends=True)
    record = next(line for line in lines if "snv_3UTR" in line)
    (folder / "one.vcf").write_text("".join([*(line for line in lines if line.startswith("#")), record]))
    genome = ["--fasta", str(EXAMPLE / "genome.fa"), "--gtf", str(EXAMPLE / "genes.gtf")]
    return traced(main, ["score-variants", MODEL, str(folder / "one.vcf"), *genome, "-o", str(folder / "scores.tsv")])


def peaks(folder: Path) -> list[tuple[str, str]]:
    """A peak file through ``ripe-train prepare``."""
    from tests.support.peak_files import write_peak_project
    from training.cli.main import main

    project = write_peak_project(folder, n_tasks=1)
    files = ", ".join(f"{name}: {project[name]}" for name in ("fasta_file", "gtf_file", "table"))
    (folder / "prepare.yaml").write_text(
        f"prepare:\n  output: {folder}/data.h5\n  peaks: {{{files}, background: {{strategy: any_transcripts}}}}\n"
        "  window: {margin: 20}\n  split: {method: locus, distance: 100}\n"
    )
    return traced(main, ["prepare", str(folder / "prepare.yaml")])


WAYS = {"An interval": interval, "A VCF record": vcf_record, "A peak": peaks}


def described(title: str, about: str, way: list[tuple[str, str]]) -> str:
    """Return a way as text: a line per file in the order they are entered, with functions that others may call."""
    n_files, n_returns = files_and_returns(way)
    names: dict[str, dict[str, None]] = {}
    for file, name in way:
        names.setdefault(file, {})[name] = None
    about = about.replace("``", "`")
    lines = [f"{title} ({about}): {n_files} files, {n_returns} returns to a file left before.", ""]
    for number, (file, found) in enumerate(names.items(), start=1):
        shown = [name for name in found if not name.startswith("_")] or list(found)
        lines.append(f"{number}. `{file}`: {', '.join(shown)}")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the ways."""
    for title, take in WAYS.items():
        with tempfile.TemporaryDirectory(prefix="ways-") as folder:
            about = (take.__doc__ or "").rstrip(".").partition("through ")[2]
            sys.stdout.write(described(title, about, take(Path(folder))) + "\n")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
