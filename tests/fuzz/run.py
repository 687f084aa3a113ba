"""Feed mutated files to the readers and judge what happens: ``python -m tests.fuzz.run --n 20000``.

Accepted or refused with one line is right; any other exception, a warning of a library, more than ten seconds, more
than a gigabyte of memory, or a file left behind is a fault. The process that reads may die, or be ended because
compiled code hangs: that is a fault, its last input is kept, and another process goes on.
"""

import argparse
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ripe_lib.errors import RipeError
from tests.support.faults import FUZZED

MEMORY = 1 << 30
BATCH = 6000  # inputs per line of a tally: what is lost when it is stopped
ROOT = Path(__file__).resolve().parents[2]


class Hang(BaseException):
    """Not an ``Exception``: nothing on the way may take it for its own."""


@contextmanager
def limits(seconds):
    """Let what runs inside take at most so many seconds and :data:`MEMORY` more than the process has now."""

    left = seconds

    def give_up(*_):
        nonlocal left
        left -= 1
        if left <= 0:
            raise Hang

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 1, 1)  # ticks, of which a process that is stopped for a while gets one
    signal.setitimer(signal.ITIMER_PROF, 2 * seconds)  # ends the process: compiled code does not look at signals
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def standard_error():
    """Catch what compiled libraries write there; yields a function that returns, and forgets, what came since."""
    sys.stderr.flush()
    kept, log = os.dup(2), os.memfd_create("stderr")
    os.dup2(log, 2)

    def told():
        sys.stderr.flush()
        n = os.lseek(log, 0, os.SEEK_CUR)
        os.ftruncate(log, n)
        os.lseek(log, 0, os.SEEK_SET)
        return os.pread(log, n, 0).decode(errors="replace") if n else ""

    try:
        yield told
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(log)


def one_line(text):
    """What is wrong with a message, or nothing."""
    if not text.strip() or len(" ".join(text.split())) > 1000:
        return f"message of {len(text)} characters"
    return "stack trace in the message" if "Traceback" in text else ""


def judged(one, path):
    """Read one file; return ("accepted" or "refused", fault or nothing)."""
    try:
        with limits(one.seconds), warnings.catch_warnings():
            warnings.simplefilter("error")
            # Warnings of our own are for the user.
            warnings.filterwarnings("default", category=UserWarning)
            warnings.showwarning = lambda *_, **__: None
            one.read(path)
        return "accepted", ""
    except RipeError as error:
        return "refused", one_line(str(error))
    except Hang:
        return "fault", f"more than {one.seconds} s"
    except MemoryError:
        return "fault", f"MemoryError at {place()}"
    except Exception as error:  # noqa: BLE001 (that is what is looked for)
        return "fault", f"{type(error).__name__} at {place()}: {' '.join(str(error).split())[:150]}"


def place():
    """Where the exception at hand left this project's files."""
    frames = [
        f
        for f in traceback.extract_tb(sys.exc_info()[2])
        if f.filename.startswith(str(ROOT)) and ".venv" not in f.filename
    ]
    last = frames[-1]
    return f"{Path(last.filename).relative_to(ROOT)}:{last.lineno}"


def fuzz(one, n, seed, folder, keep=None):
    """Read ``n`` mutated files of a format.

    Returns
    -------
    Counter, dict
        How many were accepted, refused and faults; one text per fault, by what and where.
    """
    rng = np.random.default_rng([seed, zlib.crc32(one.name.encode())])
    counts, faults = Counter(), {}
    path = folder / f"x{one.suffix}"
    os.chdir(folder)
    seeds = one.seeds()
    with standard_error() as told:
        for number in range(n):
            data = one.mutate(seeds[int(rng.integers(len(seeds)))], rng)
            path.write_bytes(data)
            verdict, fault = judged(one, path)
            words = told()
            fault = fault or (f"written to standard error: {words[:100]!r}" if words else "")
            left = set(os.listdir(folder)) - {path.name, path.name + ".fai"}
            fault = fault or (f"left behind: {sorted(left)}" if left else "")
            if fault:
                verdict = "fault"
                key = re.sub(r"\d+", "0", fault.split(": ")[0]) if " at " not in fault else fault.split(": ")[0]
                if key not in faults:
                    faults[key] = f"{one.name} input {number}: {fault}"
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        name = f"{one.name.replace(' ', '_')}-{seed}-{number}{one.suffix}"
                        (keep / name).write_bytes(data)
            counts[verdict] += 1
            for file in folder.iterdir():
                shutil.rmtree(file) if file.is_dir() else file.unlink()
    return counts, faults


def run_apart(names, n, *more, temporary=None):
    """Run formats in a process of their own: compiled readers can end it. Its output says what was found."""
    words = [sys.executable, "-m", "tests.fuzz.run", "--here", "--n", str(n), *more, "--only", *names]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {"TMPDIR": temporary} if temporary else {}
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)


def in_batches(name, args):
    """Read what a tally lacks of a format, a line of it at a time; return whether anything was a fault."""
    failed = False
    while True:
        before = tallied(args.tally, name)
        n, seed = args.n - sum(sum(row[1:]) for row in before), args.seed + len(before)
        if n <= 0:
            return failed
        n = min(n, BATCH) if args.tally else n
        with tempfile.TemporaryDirectory(prefix="ripe-fuzz-") as folder:
            done = run_apart([name], n, f"--seed={seed}", *(f"--keep={args.keep}",) * bool(args.keep), temporary=folder)
            sys.stdout.write(done.stdout + done.stderr)
            found = re.match(rf"{re.escape(name)}: \d+ inputs, (\d+) read, (\d+) refused, (\d+) faults", done.stdout)
            counts = found.groups() if found else (0, 0, 1)
            if not found:
                last = next(Path(folder).glob("ripe-fuzz-*/x*"), None)
                sys.stdout.write(f"{name}: the process died ({done.returncode}), seed {seed}\n")
                if args.keep and last:
                    args.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(last, args.keep / f"{name}-{seed}-died{last.suffix}")
            sys.stdout.flush()
            failed |= done.returncode != 0
        if not args.tally:
            return failed
        with args.tally.open("a") as tally:
            tally.write("\t".join([name, *map(str, counts)]) + "\n")


def report_of(name, told):
    """Return what the output of :func:`run_apart` says about a format."""
    found = re.search(rf"^{re.escape(name)}: .*(?:\n  .*)*", told, re.MULTILINE)
    return found[0] if found else f"{name}: not reached; {told[-1000:]}"


def main():
    from tests.fuzz.commands import COMMANDS
    from tests.fuzz.readers import FORMATS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=20_000, help="inputs per format (20000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="FORMAT")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="put one input per fault there")
    parser.add_argument(
        "--tally", type=Path, metavar="TSV", help=f"add a line per {BATCH} inputs there, and do only what it lacks"
    )
    parser.add_argument("--page", type=Path, metavar="MD", help="write the tally's table there")
    parser.add_argument("--commands", action="store_true", help="every command instead of every reader; implies --here")
    parser.add_argument("--here", action="store_true", help="in this process (else one process per format)")
    args = parser.parse_args()
    args.keep = args.keep.absolute() if args.keep else None
    failed = False
    every = COMMANDS if args.commands else FORMATS
    for name in args.only or every:
        if not (args.here or args.commands):
            failed |= in_batches(name, args)
            continue
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="ripe-fuzz-") as folder:
            counts, faults = fuzz(every[name], args.n, args.seed, Path(folder), args.keep)
            os.chdir(ROOT)
        n, seconds = sum(counts.values()), time.monotonic() - started
        told = f"{counts['accepted']} read, {counts['refused']} refused, {counts['fault']} faults"
        sys.stdout.write(f"{name}: {n} inputs, {told}, {seconds:.1f} s\n")
        sys.stdout.writelines(f"  {fault}\n" for fault in faults.values())
        sys.stdout.flush()
        failed |= bool(faults)
    if args.page:
        text = args.page.read_text(encoding="utf-8").split(FUZZED)[0]
        args.page.write_text(text + FUZZED + tally_table(tallied(args.tally)), encoding="utf-8")
    return int(failed)


def tallied(tally, only=None):
    """Return (format, read, refused, faults) of every line of a tally, or those of one format."""
    lines = tally.read_text().splitlines() if tally and tally.exists() else []
    rows = [(name, *map(int, numbers)) for name, *numbers in (line.split("\t") for line in lines)]
    return [row for row in rows if only in (None, row[0])]


def tally_table(rows):
    """What ``docs/reliability.md`` says of a tally."""
    lines = [
        "",
        "Made by `python -m tests.fuzz.run --tally T --page docs/reliability.md`: small real files, damaged in bytes,",
        "lines, columns, encodings, compression or HDF5 objects, are read by every reader of their format. Read means",
        "accepted, with what it says the same in blocks and as a whole, and the same as samtools, htslib or a plain",
        "reading say. Refused means one line. A fault is anything else; those found in these runs are mended.",
        "",
        "| format | inputs | read | refused | faults found |",
        "|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row[0] for row in rows):
        numbers = [sum(column) for column in zip(*(row[1:] for row in rows if row[0] == name), strict=True)]
        lines.append(f"| {name} | " + " | ".join(f"{number:,}" for number in (sum(numbers), *numbers)) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
