"""A long job as a list of chunks: resumable after a kill, and spread over processes or a dask cluster.

Every chunk becomes one *part file* in a parts folder, written under a temporary name and renamed when it is complete:
a file called ``part-...`` is always whole and never computed again. The folder remembers a *fingerprint* of inputs and
options: with another one its parts are thrown away and the job starts anew. The caller joins the parts, in order, and
calls :func:`remove_parts`.

The result does not depend on where the parts were computed: this process, local worker processes or a dask cluster.
Workers write the parts themselves, so they must see the same files under the same paths; the parts of workers that die
are computed again by others.
"""

import fcntl
import hashlib
import json
import multiprocessing
import os
import re
import signal
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice, pairwise
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ripe_lib._version import __version__
from ripe_lib.errors import InputError, MissingFileError, MissingPackageError, OutputError, RipeError
from ripe_lib.output.atomic import NOT_WRITTEN

FORMAT = "deepripe-parts-1"
MAX_DEATHS = 3  # of workers on the same part, before the job gives up
CONNECT_SECONDS = 30

T = TypeVar("T")
Progress = Callable[[int, int], None]


class Chunk(NamedTuple):
    """One part of a job: its place in the result, and what to compute (picklable)."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    payload: Any


Work = Callable[[Chunk, Path], None]
Job = tuple[Chunk, Path]  # and the part to be written


class WorkerError(RipeError, RuntimeError):
    """Workers died again and again, or cannot see the files."""


def parts_directory(output: str | Path) -> Path:
    """Return the folder beside ``output`` where its parts are kept until it is complete."""
    output = Path(output)
    return output.parent / f".{output.name}.parts"


def fingerprint_of(options: Mapping[str, Any], files: Iterable[str | Path | None] = ()) -> str:
    """Return a digest of options and input files (path, size, time of change) and of this package's version.

    Options are all that changes the result: values that JSON knows, or whose ``repr`` is stable. A file that is None is
    skipped.
    """
    stamps = []
    for file in files:
        if file is None:
            continue
        path = Path(file).resolve()
        try:
            status = path.stat()
        except FileNotFoundError:
            raise MissingFileError(f"{file}: no such file.") from None
        stamps.append([str(path), status.st_size, status.st_mtime_ns])
    text = json.dumps([__version__, dict(options), stamps], sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def run_chunks(
    chunks: Sequence[Chunk],
    work: Work,
    *,
    parts_dir: str | Path,
    fingerprint: str,
    scheduler: str | None = None,
    suffix: str = "",
    progress: Progress | None = None,
) -> list[Path]:
    """Compute the parts that are not there yet; return all part files in the order of the chunks.

    Parameters
    ----------
    chunks : sequence of Chunk
        The whole job; indices must be ``0 .. n-1`` in order.
    work : callable
        ``work(chunk, path)`` writes the part of one chunk to ``path``. With a scheduler it must be picklable (a
        function or an instance of a class at the top level of a module); models and open files are best fetched
        with :func:`load_once`. Finished parts stay when it raises, and are used by the next run.
    parts_dir, fingerprint : path, str
        Of :func:`parts_directory`, whose parent must exist, and :func:`fingerprint_of`. A folder of the same job is
        continued.
    scheduler : str, optional
        Default: in this process; ``"processes:N"``: N local processes; otherwise the address of a dask scheduler, e.g.
        ``"tcp://10.0.0.1:8786"``, or a path to its scheduler file (JSON).
    suffix : str
        Ending of the part files, for writers that choose a format by it.
    progress : callable, optional
        Called with (parts done, parts in all), first with what was found.

    Raises
    ------
    OutputError, WorkerError
        If the folder cannot be used or has no room, or another process works in it; if :data:`MAX_DEATHS` workers die
        on the same part, or do not see the folder.
    """
    if any(chunk.index != place for place, chunk in enumerate(chunks)):
        raise ValueError("chunk indices must be 0, 1, 2, ... in order")
    local = re.fullmatch("processes:(.*)", scheduler or "")
    if local and not re.fullmatch("0*[1-9][0-9]{,3}", local[1]):
        raise InputError(f"scheduler {scheduler!r}: expected 'processes:N' with N of at least 1, e.g. 'processes:4'.")
    folder = Path(parts_dir).absolute()  # workers may run in other folders
    parts = [folder / f"part-{chunk.index:06d}{suffix}" for chunk in chunks]
    total = len(chunks)
    state = {"format": FORMAT, "fingerprint": fingerprint, "n_chunks": total, "suffix": suffix}
    with _without_room(Path(parts_dir)), _opened(folder, state):
        jobs = [(chunk, part) for chunk, part in zip(chunks, parts, strict=True) if not part.exists()]
        if not jobs or scheduler is None:
            finished: Iterator[Path] = (_compute(work, *job) for job in jobs)
        elif local:
            finished = _in_processes(jobs, work, int(local[1]))
        else:
            finished = _on_dask(jobs, work, scheduler, fingerprint)
        show = progress or (lambda done, total: None)
        found = total - len(jobs)
        show(found, total)
        for done, _ in enumerate(finished, found + 1):
            show(done, total)
    return parts


def cut(sizes: Sequence[int], limit: int) -> list[list[tuple[int, int, int]]]:
    """Cut things of some sizes into chunks of ``limit`` together, in order: (which thing, from where on, how much)."""
    ends = np.cumsum(sizes)
    borders = np.union1d(np.arange(0, ends[-1] if len(ends) else 0, limit), np.append(0, ends)).tolist()
    chunks: list[list[tuple[int, int, int]]] = []
    for low, high in pairwise(borders):
        which = int(np.searchsorted(ends, low, side="right"))
        if low % limit == 0:
            chunks.append([])
        chunks[-1].append((which, low - int(ends[which] - sizes[which]), high - low))
    return chunks


def remove_parts(parts_dir: str | Path) -> None:
    """Remove a parts folder that :func:`run_chunks` made; other files in it are left alone."""
    folder = Path(parts_dir)
    if _read_state(folder) is None:
        return
    _clear(folder)
    (folder / "fingerprint.json").unlink(missing_ok=True)
    (folder / "lock").unlink(missing_ok=True)
    with suppress(OSError):  # somebody else's file is in it
        folder.rmdir()


_loaded: dict[Hashable, Any] = {}
_loading = threading.Lock()


def load_once(load: Callable[..., T], *arguments: Hashable) -> T:
    """Return ``load(*arguments)``, computed once per process: for models and genomes in workers."""
    key = (load, arguments)
    with _loading:
        if key not in _loaded:
            _loaded[key] = load(*arguments)
        return _loaded[key]


def _read_state(folder: Path) -> dict[str, Any] | None:
    try:
        state = json.loads((folder / "fingerprint.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return state if isinstance(state, dict) and state.get("format") == FORMAT else None


def _clear(folder: Path) -> None:
    for pattern in ("part-*", ".part-*.tmp*"):
        for file in folder.glob(pattern):
            file.unlink()


@contextmanager
def _without_room(folder: Path) -> Iterator[None]:
    """Say of parts that cannot be written which output they are of, and that others are kept."""
    try:
        yield
    except OSError as error:
        is_read = error.filename is not None and folder.name not in str(error.filename)
        if isinstance(error, RipeError) or error.errno not in NOT_WRITTEN or is_read:
            raise
        output = folder.with_name(folder.name.removeprefix(".").removesuffix(".parts"))
        raise OutputError(
            f"{output}: could not be written ({error.strerror}). Finished parts are kept: make room and run it again."
        ) from error


@contextmanager
def _opened(folder: Path, state: dict[str, Any]) -> Iterator[None]:
    if not folder.parent.is_dir():
        raise OutputError(f"{folder}: expected an existing folder {folder.parent}, found none. Create it first.")
    found = _read_state(folder)
    if found is None and folder.exists() and any(child.name != "lock" for child in folder.iterdir()):
        raise OutputError(f"{folder}: exists already and does not hold parts of a job. Remove or rename it.")
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(f"{folder}: another process is writing these parts. Wait for it or end it.") from None
        if found != state:
            _clear(folder)
            fresh = folder / ".fingerprint.json.tmp"
            fresh.write_text(json.dumps(state), encoding="utf-8")
            os.replace(fresh, folder / "fingerprint.json")
        for leftover in folder.glob(".part-*.tmp*"):
            leftover.unlink()
        try:
            yield
        finally:
            if not any(folder.glob("part-*")):  # nothing to resume from: leave nothing behind
                remove_parts(folder)


def _compute(work: Work, chunk: Chunk, part: Path) -> Path:
    """Write one part under a temporary name (same suffix) and rename it; runs in whatever process it is sent to."""
    if not part.parent.is_dir():
        raise WorkerError(
            f"{part.parent}: this worker does not see the folder of the parts. Run workers where the "
            "input and output files have the same paths."
        )
    temporary = part.with_name(f".{part.stem}.{os.getpid()}-{os.urandom(3).hex()}.tmp{part.suffix}")
    try:
        work(chunk, temporary)
        os.replace(temporary, part)
    finally:
        temporary.unlink(missing_ok=True)
    return part


def _serve(pipe: Connection, n_processes: int) -> None:
    """Compute what comes through a pipe until its other end is gone; runs in a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    share = str(max(1, len(os.sched_getaffinity(0)) // n_processes))
    for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):  # read when TensorFlow is imported
        os.environ.setdefault(variable, share)
    with suppress(EOFError):
        work = pipe.recv()
        while True:
            job = pipe.recv()
            try:
                answer: Any = _compute(work, *job)
            except Exception as error:  # noqa: BLE001 (raised where the work was given out)
                answer = error
                if not isinstance(error, RipeError | OSError):
                    traceback.print_exc()  # where it happened does not travel
            pipe.send(answer)


def _in_processes(jobs: list[Job], work: Work, n_processes: int) -> Iterator[Path]:
    """Compute parts in processes of our own.

    There is one pipe per worker: a pool of ``concurrent.futures`` can wait for ever when one dies while another starts.
    """
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    folder, waiting, deaths = jobs[0][1].parent, deque(jobs), Counter[Path]()
    idle: list[Connection] = []
    busy: dict[Connection, Job] = {}
    workers: list[BaseProcess] = []
    try:
        while waiting or busy:
            while waiting and len(busy) < n_processes:
                if not idle:
                    ours, theirs = context.Pipe()
                    worker = context.Process(target=_serve, args=(theirs, n_processes), daemon=True)
                    worker.start()
                    workers.append(worker)
                    theirs.close()
                    with suppress(OSError):  # it died already: seen below
                        ours.send(work)
                    idle.append(ours)
                pipe = idle.pop()
                busy[pipe] = waiting.popleft()
                with suppress(OSError):
                    pipe.send(busy[pipe])
            ready: list[Any] = wait(list(busy))
            for pipe in ready:
                job = busy.pop(pipe)
                try:
                    answer = pipe.recv()
                    idle.append(pipe)
                except (EOFError, OSError):
                    answer = part = job[1]
                    if not part.exists():
                        waiting.appendleft(job)
                        deaths[part] += 1
                        if deaths[part] == MAX_DEATHS:
                            raise WorkerError(
                                f"{folder}: {MAX_DEATHS} worker processes in a row died before they finished a part "
                                "(killed, or out of memory). Use fewer processes or smaller chunks; the same command "
                                "resumes."
                            ) from None
                        continue
                if isinstance(answer, Exception):
                    raise answer
                yield answer
    finally:
        for process in workers:
            process.terminate()
            process.join()
        for leftover in folder.glob(".part-*.tmp*"):
            leftover.unlink(missing_ok=True)


def _on_dask(jobs: list[Job], work: Work, address: str, fingerprint: str) -> Iterator[Path]:
    try:
        import distributed
    except ImportError as error:
        raise MissingPackageError(
            "a dask scheduler needs the package distributed: pip install 'deepripe[dask]'"
        ) from error

    target = {"scheduler_file": address} if address.endswith(".json") else {"address": address}
    try:
        client = distributed.Client(**target, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"scheduler {address!r}: expected the address of a running dask scheduler ({error}). "
            "Start one with: dask scheduler"
        ) from error
    with client, client.as_current():
        _check_workers(client, address)
        key = f"ripe-{fingerprint[:12]}-{os.urandom(4).hex()}"  # never the cached failure of another run

        def submit(chunk: Chunk, part: Path) -> Any:
            return client.submit(_compute, work, chunk, part, key=f"{key}-{chunk.index}", pure=False)

        waiting, idle = iter(jobs), 0
        running = {submit(*job) for job in islice(waiting, 2 * max(2, sum(client.nthreads().values())))}
        while running:
            try:
                done = distributed.wait(running, timeout=CONNECT_SECONDS, return_when="FIRST_COMPLETED").done
            except (TimeoutError, distributed.TimeoutError):
                idle = 0 if client.nthreads() else idle + 1
                if idle >= MAX_DEATHS:
                    raise _no_workers(address) from None
                continue
            for future in done:
                try:
                    part = future.result()
                except distributed.KilledWorker as error:
                    raise WorkerError(
                        f"scheduler {address!r}: several workers died on the same part "
                        "(killed, or out of memory). Use smaller chunks; the same command resumes."
                    ) from error
                if not part.exists():
                    raise WorkerError(
                        f"{part}: a worker wrote this file but it is not here. Run workers where the files have the "
                        "same paths."
                    )
                yield part
            running = (running - done) | {submit(*job) for job in islice(waiting, len(done))}


def _package_version() -> str:
    return __version__


def _check_workers(client: Any, address: str) -> None:
    import distributed

    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except (TimeoutError, distributed.TimeoutError):
        raise _no_workers(address) from None
    try:
        versions = client.run(_package_version)
    except (ImportError, AttributeError) as error:
        raise WorkerError(f"scheduler {address!r}: workers cannot import ripe_lib. Install deepripe there.") from error
    for worker, version in versions.items():
        if version != __version__:
            raise WorkerError(
                f"scheduler {address!r}: expected deepripe {__version__} on worker {worker}, got {version}. "
                "Install the same version everywhere."
            )


def _no_workers(address: str) -> WorkerError:
    return WorkerError(f"scheduler {address!r}: no workers are connected. Start some: dask worker {address}")
