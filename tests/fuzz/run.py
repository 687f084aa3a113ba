"""Feed mutated files to the readers and judge what happens: ``python -m tests.fuzz.run --n 20000``.

Accepted or refused with one line is right; any other exception, a warning of a library, more than ten seconds, more
than a gigabyte of memory, or a file left behind is a fault. The process that reads may die: its last input is kept.
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

SECONDS = 10
MEMORY = 1 << 30
ROOT = Path(__file__).resolve().parents[2]


class Hang(BaseException):
    """Not an ``Exception``: nothing on the way may take it for its own."""


@contextmanager
def limits():
    """Let what runs inside take at most :data:`SECONDS` and :data:`MEMORY` more than the process has now."""

    def give_up(*_):
        raise Hang

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def silence(log):
    """Send what compiled libraries write to standard error to a file."""
    sys.stderr.flush()
    kept = os.dup(2)
    os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def one_line(text):
    """What is wrong with a message, or nothing."""
    if not text.strip() or len(" ".join(text.split())) > 1000:
        return f"message of {len(text)} characters"
    return "stack trace in the message" if "Traceback" in text else ""


def judged(read, path):
    """Read one file; return ("accepted" or "refused", fault or nothing)."""
    try:
        with limits(), warnings.catch_warnings():
            warnings.simplefilter("error")
            # Warnings of our own are for the user.
            warnings.filterwarnings("default", category=UserWarning)
            warnings.showwarning = lambda *_, **__: None
            read(path)
        return "accepted", ""
    except RipeError as error:
        return "refused", one_line(str(error))
    except Hang:
        return "fault", f"more than {SECONDS} s"
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


def fuzz(one, n, seed, folder, keep=None, seconds=None):
    """Read ``n`` mutated files of a format, fewer if that takes more than ``seconds``.

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
    until = None if seconds is None else time.monotonic() + seconds
    for number in range(n):
        if until is not None and time.monotonic() > until:
            break
        data = one.mutate(seeds[int(rng.integers(len(seeds)))], rng)
        path.write_bytes(data)
        with tempfile.TemporaryFile() as log:
            with silence(log):
                verdict, fault = judged(one.read, path)
            log.seek(0)
            told = log.read().decode(errors="replace")
        fault = fault or (f"written to standard error: {told[:100]!r}" if told else "")
        left = sorted(file.name for file in folder.iterdir() if file.name not in (path.name, path.name + ".fai"))
        fault = fault or (f"left behind: {left}" if left else "")
        if fault:
            verdict = "fault"
            key = re.sub(r"\d+", "0", fault.split(": ")[0]) if " at " not in fault else fault.split(": ")[0]
            if key not in faults:
                faults[key] = f"{one.name} input {number}: {fault}"
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{one.name.replace(' ', '_')}-{number}{one.suffix}").write_bytes(data)
        counts[verdict] += 1
        for file in folder.iterdir():
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    return counts, faults


def run_apart(name, n, *, seed=0, keep=None, seconds=None, capture=True):
    """Run one format in a process of its own; its standard output says what was found."""
    words = [sys.executable, "-m", "tests.fuzz.run", "--here", "--n", str(n), "--seed", str(seed), "--only", name]
    words += ["--keep", str(keep)] if keep else []
    words += ["--seconds", str(seconds)] if seconds else []
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=capture, text=True)


def main():
    from tests.fuzz.readers import FORMATS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=20_000, help="inputs per format (20000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, help="at most so long per format")
    parser.add_argument("--only", nargs="+", metavar="FORMAT")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="put one input per fault there")
    parser.add_argument("--here", action="store_true", help="in this process (else one process per format)")
    args = parser.parse_args()
    failed = False
    for name in args.only or FORMATS:
        if args.here:
            started = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="ripe-fuzz-") as folder:
                keep = args.keep.absolute() if args.keep else None
                counts, faults = fuzz(FORMATS[name], args.n, args.seed, Path(folder), keep, args.seconds)
                os.chdir(ROOT)
            told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("accepted", "refused", "fault"))
            seconds = time.monotonic() - started
            sys.stdout.write(f"{name}: {sum(counts.values())} inputs, {told}, {seconds:.0f} s\n")
            for fault in faults.values():
                sys.stdout.write(f"  {fault}\n")
            failed |= bool(faults)
            continue
        code = run_apart(name, args.n, seed=args.seed, keep=args.keep, seconds=args.seconds, capture=False).returncode
        if code not in (0, 1):
            sys.stdout.write(f"{name}: the process died ({code})\n")
        failed |= bool(code)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
