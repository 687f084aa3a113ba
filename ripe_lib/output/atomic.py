"""Outputs that are either complete or not there: write to a temporary name, then rename."""

import errno
import glob
import os
import re
import resource
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ripe_lib.errors import OutputError, RipeError

_OF_A_MODEL = ("model.yaml", "weights.h5", "variant_background.tsv", "metrics.tsv", "model_card.md", "test_expect.h5")
NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EFBIG, errno.EIO)
TRACK_SUFFIXES = (".bedgraph", ".bg", ".bedgraph.gz", ".bg.gz", ".bw", ".bigwig")


def _check_parent(path: Path) -> None:
    parent = path.parent
    if parent.exists() and not parent.is_dir():
        raise OutputError(f"{path}: expected a folder {parent}, got a file. Choose another output path.")
    if not parent.is_dir():
        raise OutputError(f"{path}: expected an existing folder {parent}, found none. Create it first.")
    if not os.access(parent, os.W_OK):
        raise OutputError(f"{path}: folder {parent} is not writable. Choose another output path.")


def check_output_file(path: str | Path) -> None:
    """Refuse early what :func:`atomic_file` would refuse: a folder as name, a folder that is missing or read-only."""
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path}: expected a file name, got a folder.")
    _check_parent(path)


def check_new_folder(
    path: str | Path, *, overwrite: bool = False, hint: str = "Remove it or choose another name."
) -> None:
    """Refuse early what :func:`atomic_directory` would refuse: a name that is taken, a parent that cannot be written.

    Parameters
    ----------
    path, overwrite : path, bool
        A folder with something in it is no error with ``overwrite``.
    hint : str
        What to do, for the message.
    """
    path = Path(path)
    if path.exists() and not overwrite and (path.is_file() or any(path.iterdir())):
        raise OutputError(f"{path}: exists already and is not empty. {hint}")
    _check_parent(path)


def check_filled_folder(path: str | Path) -> None:
    """Refuse early a folder to put files into (made with its parents if missing) that cannot be made or written."""
    path = Path(path)
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        got = "a file" if there == path else f"a file {there}"
        raise OutputError(f"{path}: expected a folder, got {got}. Choose another name.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: folder {there} is not writable. Choose another output path.")


def check_apart(writes: Iterable[str | Path], reads: Iterable[str | Path], replaces: Iterable[str | Path] = ()) -> None:
    """Refuse to write over what is read, or two things under one name, whatever links and letters call them.

    Parameters
    ----------
    writes, replaces : paths
        Files to be written, where tracks count with the names made from theirs (``x.bw``: ``x.TASK.plus.bw``), and
        folders for pages; folders that will be replaced with all that is in them.
    reads : paths
        Files that are read; a model's folder stands for the files in it. Names of other things are no matter.
    """
    targets = [Path(write) for write in writes]
    places = [target.resolve() for target in targets]
    for write, place in zip(targets, places, strict=True):
        if places.count(place) > 1:
            raise OutputError(f"{write}: expected every output once, got it {places.count(place)} times. Rename one.")
    inputs: list[Path] = []
    for read in map(Path, reads):
        is_model = (read / "model.yaml").is_file()
        inputs += [file for file in read.iterdir() if file.name in _OF_A_MODEL] if is_model else [read]
    inputs = [path for path in inputs if path.exists()]
    for write in targets:
        suffix = max((s for s in TRACK_SUFFIXES if write.name.lower().endswith(s)), key=len, default="")
        stem = write.name[: len(write.name) - len(suffix)] + "."
        for read in inputs:
            is_track = suffix and read.name.startswith(stem) and read.name.lower().endswith(suffix)
            if _is_same(write, read) or (is_track and _is_same(write.parent, read.resolve().parent)):
                raise OutputError(f"{write}: expected another file than those that are read, got {read}. Rename it.")
    for folder in map(Path, replaces):
        for read in inputs:
            if folder.is_dir() and any(_is_same(folder, place) for place in (read, *read.resolve().parents)):
                raise OutputError(
                    f"{folder}: expected a folder that can be replaced, but {read}, which is read, is in it. "
                    "Choose another name."
                )


def _is_same(path: Path, existing: Path) -> bool:
    return path.exists() and path.samefile(existing)


def check_room(path: str | Path, n_bytes: int) -> None:
    """Refuse to write so many more bytes if they will not fit: HDF5 cannot close a file once a write has failed.

    Raises OSError ("No space left on device", "File too large"); :func:`atomic_file` makes it an :class:`OutputError`.
    """
    path = Path(path)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit != resource.RLIM_INFINITY and limit < n_bytes + (path.stat().st_size if path.exists() else 0):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    usage = shutil.disk_usage(path.parent)
    # Some network file systems do not tell their size.
    if usage.total and usage.free < n_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def remove_leftovers(path: str | Path) -> None:
    """Remove what :func:`atomic_file` could not: temporaries of ``path`` whose process runs here no longer."""
    path = Path(path)
    for file in path.parent.glob(f".*.part.{glob.escape(path.name)}"):
        pid = file.name[1:].partition("-")[0]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            file.unlink(missing_ok=True)
        except (ValueError, PermissionError, OverflowError):  # no process of ours, or of another user
            pass


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` (same suffixes); rename it there on success, remove it on failure.

    Raises :class:`OutputError` if the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    check_output_file(path)
    # The suffixes are kept because writers choose their format by them.
    temporary = path.parent / f".{os.getpid()}-{os.urandom(3).hex()}.part.{path.name}"
    with _named(path):
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``path`` on success and vanishes on failure.

    What was at ``path`` is removed when the new folder is in its place; without ``overwrite`` it is an
    :class:`OutputError`.
    """
    path = Path(path)
    check_new_folder(path, overwrite=overwrite)
    with _named(path):
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    temporary.chmod(0o755)
    try:
        with _named(path, temporary):
            yield temporary
            old = temporary.with_suffix(".old")
            if path.exists():
                path.rename(old)
            try:
                temporary.rename(path)
            except OSError:
                if old.exists():
                    old.rename(path)
                raise
            if old.is_dir():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def atomic_files(folder: str | Path) -> Iterator[Path]:
    """Yield a temporary folder whose files move into ``folder`` on success and vanish on failure.

    ``folder`` and its parents are made if missing; files of the same names in it are replaced, others stay.
    """
    folder = Path(folder)
    check_filled_folder(folder)
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        with _named(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=folder) as name:
                with _named(folder, Path(name)):
                    yield Path(name)
                for path in sorted(Path(name).iterdir()):
                    os.replace(path, folder / path.name)
    except BaseException:
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise


@contextmanager
def _named(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Say of what cannot be written the name that was asked for, not the temporary one."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # HDF5 raises the second where a file cannot be closed
        if isinstance(error, OutputError) and temporary is not None:
            raise OutputError(str(error).replace(str(temporary), str(path))) from error
        told = re.search(r"errno = (\d+)", str(error))  # by HDF5
        number = getattr(error, "errno", None) or (int(told[1]) if told else None)
        if isinstance(error, RipeError) or number not in NOT_WRITTEN:
            raise
        reason = getattr(error, "strerror", None) or os.strerror(number)
        raise OutputError(f"{path}: could not be written ({reason}). Nothing was left behind.") from error
