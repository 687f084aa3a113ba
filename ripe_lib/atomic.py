"""Outputs that are either complete or not there: write to a temporary name, then rename."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ripe_lib.errors import OutputError


def _checked_parent(path: Path) -> Path:
    parent = path.parent
    if not parent.is_dir():
        raise OutputError(f"{path}: expected an existing folder {parent}, found none. Create it first.")
    if not os.access(parent, os.W_OK):
        raise OutputError(f"{path}: folder {parent} is not writable. Choose another output path.")
    return parent


def check_output_file(path: str | Path) -> None:
    """Refuse early what :func:`atomic_file` would refuse: a folder as name, a folder that is missing or read-only."""
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path}: expected a file name, got a folder.")
    _checked_parent(path)


def remove_leftovers(path: str | Path) -> None:
    """Remove what :func:`atomic_file` could not: temporaries of ``path`` whose process was killed.

    Temporaries of processes that still run on this machine are left alone.
    """
    path = Path(path)
    for file in path.parent.glob(f".*.part.{glob.escape(path.name)}"):
        pid = file.name[1:].partition("-")[0]
        if pid.isdecimal() and not _is_running(int(pid)):
            file.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` (same suffixes); rename it there on success, remove it on failure.

    Raises
    ------
    OutputError
        If the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    check_output_file(path)
    parent = path.parent
    # The suffixes are kept because writers choose their format by them.
    temporary = parent / f".{os.getpid()}-{os.urandom(3).hex()}.part.{path.name}"
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, OutputError) or not _is_write_failure(error):
            raise
        raise OutputError(
            f"{path}: could not be written ({error.strerror or error}). Nothing was left behind."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``path`` on success and vanishes on failure.

    Raises
    ------
    OutputError
        If ``path`` exists and ``overwrite`` is false, or it cannot be written.
    """
    path = Path(path)
    if path.exists() and not overwrite and (path.is_file() or any(path.iterdir())):
        raise OutputError(f"{path}: exists already and is not empty. Remove it or choose another name.")
    parent = _checked_parent(path)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=parent))
    temporary.chmod(0o755)
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)
    except OSError as error:
        if isinstance(error, OutputError) or not _is_write_failure(error):
            raise
        raise OutputError(
            f"{path}: could not be written ({error.strerror or error}). Nothing was left behind."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _not_written(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: could not be written ({error.strerror or error}). Nothing was left behind.")


def _is_write_failure(error: OSError) -> bool:
    return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EFBIG, errno.EIO}
