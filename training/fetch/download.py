"""One file from an address, or from a mirror: checked, and there only when it is whole.

Pooch writes to a temporary name, compares the hash and renames; what a server, a network or a disk can do meanwhile
becomes one line.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ripe_lib.errors import MissingFileError, OutputError, RipeError
from ripe_lib.output.atomic import NOT_WRITTEN

TIMEOUT = 30  # seconds without an answer
AGAIN = "Run the same command again."

Progress = Callable[[int, int | None], None]


class DownloadError(RipeError, OSError):
    """A file could not be fetched."""


class UnreachableError(DownloadError):
    """The server does not answer, or somebody else answers for it: it has no other files either."""


class _Bar:
    """What pooch takes for a progress bar."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.total, self.done = progress, 0, 0

    def update(self, n: int) -> None:
        self.done += n
        self.progress(min(self.done, self.total or self.done), self.total or None)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


def place_of(address: str, mirror: str = "", in_mirror: str = "") -> str | Path:
    """Return where a file is fetched from: an address, or a file of a folder.

    Parameters
    ----------
    address, mirror : str
        Its public address; another server, or a folder, with the same paths (empty: the public one).
    in_mirror : str
        The path there, if it is not the address's.
    """
    if not mirror:
        return address
    path = in_mirror or urlsplit(address).path.lstrip("/")
    if re.match(r"\w+://", mirror):
        return f"{mirror.rstrip('/')}/{path}"
    if not Path(mirror).is_dir():
        raise MissingFileError(f"{mirror}: expected the address or the folder of a mirror, found no such folder.")
    return Path(mirror) / path


def size_of(place: str | Path) -> int | None:
    """Return the size of a file in bytes without fetching it; None if the server does not say."""
    if isinstance(place, Path):
        return _in_folder(place).stat().st_size
    import requests

    try:
        answer = requests.head(place, timeout=TIMEOUT, allow_redirects=True, headers={"Accept-Encoding": "identity"})
        answer.raise_for_status()
    except requests.exceptions.RequestException as error:
        raise _refused(place, error, AGAIN) from error
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def download(
    place: str | Path, path: Path, *, md5: str = "", advice: str = AGAIN, progress: Progress = lambda done, total: None
) -> None:
    """Fetch one file, or raise a :class:`DownloadError` or :class:`OutputError` and leave none.

    Parameters
    ----------
    place, path : str or Path
        From :func:`place_of`; the file to make, whose folder exists.
    md5, advice : str
        Digest it must have (empty: not known); what to do when it could not be had.
    progress : callable
        Called with bytes so far and bytes in all (None if the server does not say).
    """
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")

    def fetched(_: str, output: Any, __: Any) -> None:
        if isinstance(place, Path):
            shutil.copyfile(_in_folder(place), output)
        else:
            # The bytes as they lie on the server: a digest is of these.
            headers = {"Accept-Encoding": "identity"}
            pooch.HTTPDownloader(progressbar=_Bar(progress), timeout=TIMEOUT, headers=headers)(place, output, None)
        with Path(output).open("rb") as handle:
            start = handle.read(512).lstrip().lower()
        if start.startswith((b"<!doctype html", b"<html")):
            raise UnreachableError(
                f"{place}: expected the file, got an HTML page (a network that wants a login?). {advice}"
            )

    try:
        pooch.retrieve(str(place), f"md5:{md5}" if md5 else None, fname=path.name, path=path.parent, downloader=fetched)
    except requests.exceptions.RequestException as error:
        raise _refused(str(place), error, advice) from error
    except ValueError as error:  # how pooch says that the hash is another one
        found = re.search(r"but got (\w+)", str(error))
        raise DownloadError(
            f"{place}: expected md5 {md5}, got {found[1] if found else error}. The file is damaged or was replaced. "
            f"{advice}"
        ) from error
    except OSError as error:
        if isinstance(error, RipeError) or error.errno not in NOT_WRITTEN:
            raise
        raise OutputError(f"{path}: could not be written ({error.strerror}). Make room and run it again.") from error


def _in_folder(path: Path) -> Path:
    if not path.is_file():
        raise DownloadError(f"{path}: no such file in this mirror.")
    return path


def _refused(place: str, error: Exception, advice: str) -> DownloadError:
    import requests

    answer = getattr(error, "response", None)
    if answer is not None:
        gone = " (moved or withdrawn?)" if answer.status_code in (404, 410) else ""
        return DownloadError(f"{place}: the server answered {answer.status_code} {answer.reason}{gone}. {advice}")
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return DownloadError(f"{place}: the download was cut ({_reason(error)}). {advice}")
    return UnreachableError(f"{place}: could not be fetched ({_reason(error)}). Is there a network? {advice}")


def _reason(error: BaseException) -> str:
    """Return what happened in the end, without the layers that pass it on."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
