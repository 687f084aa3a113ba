"""YAML and HDF5 files from elsewhere: read as plain values and arrays, and whatever is wrong with one is one line.

Nothing in them is executed or followed: no tags beyond YAML's own types, no links out of a file, no data kept in
other files. What a file declares is believed only as far as it holds: a few bytes that claim terabytes are refused.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ripe_lib.errors import InputError, MissingFileError, RipeError

if TYPE_CHECKING:
    import h5py
    import yaml

_MOST_NODES = 100_000  # of a YAML file with its aliases written out
_DEEPEST = 50  # brackets of a YAML file
_PACKING = 1032  # no stretch of data is packed better by deflate
_SLACK_BYTES = 1 << 20
_LOOKED_AT = 1 << 28  # bytes of an HDF5 file; heaps of texts stand at its head
_HEAP = b"GCOL\x01\0\0\0"  # begins a global heap of HDF5: objects, each with number, length and bytes
_ERRORS = (
    *(OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError),
    *(SystemError, ArithmeticError),  # h5py's callbacks lose their own errors on the way; an infinite number of filters
)


def load_yaml(path: str | Path, loader: type[yaml.SafeLoader] | None = None) -> Any:
    """Read a YAML file in UTF-8; ``loader``: a subclass of yaml.SafeLoader with constructors of its own."""
    import yaml

    path = Path(path)
    try:
        reader = _shallow(loader or yaml.SafeLoader)(path.read_text(encoding="utf-8-sig"))
        node = reader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > _MOST_NODES:
            raise InputError(f"{path}: expected at most {_MOST_NODES} values, got more by aliases. Write it plainly.")
        return reader.construct_document(node)
    except RipeError:
        raise
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such file.") from None
    # Besides its own errors PyYAML raises those of the types it makes: of days, numbers, and depth.
    except (yaml.YAMLError, OSError, ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f"{path}:{mark.line + 1}" if mark is not None else f"{path}"
        reason = " ".join(str(getattr(error, "problem", None) or error).split())[:120]
        raise InputError(f"{at}: not YAML of plain values ({reason}). Mend this place.") from error


def _shallow(loader: type[yaml.SafeLoader]) -> type[yaml.SafeLoader]:
    """Return a loader that refuses brackets in brackets in brackets ..., for which PyYAML takes minutes."""
    import yaml

    class Shallow(loader):  # type: ignore[misc, valid-type]
        def fetch_flow_collection_start(self, token: Any) -> None:
            if self.flow_level >= _DEEPEST:
                raise yaml.MarkedYAMLError(
                    problem=f"more than {_DEEPEST} brackets inside", problem_mark=self.get_mark()
                )
            super().fetch_flow_collection_start(token)

    return Shallow


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the values of a node, aliases written out; one inside itself is more than any number."""
    if id(node) not in known:
        known[id(node)] = _MOST_NODES + 1
        inner = node.value if isinstance(node.value, list) else []
        pairs = [part for item in inner for part in (item if isinstance(item, tuple) else (item,))]
        known[id(node)] = 1 + sum(_size(part, known) for part in pairs)
    return known[id(node)]


@contextmanager
def open_hdf5(
    path: str | Path, expected: str, *, advice: str, error: type[RipeError] = InputError
) -> Iterator[ForeignHdf5]:
    """Open an HDF5 file for reading; errors of HDF5 inside the block become one line, too.

    Parameters
    ----------
    path : path
    expected, advice : str
        For messages: what it should be, and what to do if it is not.
    error : type
        Raised for what is wrong with the file.
    """
    import h5py

    try:
        if _is_endless(path):
            raise OSError("a heap without end")
        with h5py.File(path, "r") as handle:
            yield ForeignHdf5(Path(path), handle, expected, advice, error)
    except RipeError:
        raise
    except _ERRORS as problem:
        reason = " ".join(str(problem).split())[:120] or type(problem).__name__
        raise error(f"{path}: expected {expected}, got something unreadable ({reason}). {advice}") from problem


def _is_endless(path: str | Path) -> bool:
    """Whether a heap of texts holds a free stretch of no bytes: HDF5 goes on from there to the same place, for ever."""
    with Path(path).open("rb") as handle:
        if not os.fstat(handle.fileno()).st_size:
            return False  # which cannot be mapped
        with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at = -1
            while (at := data.find(_HEAP, at + 1, _LOOKED_AT)) >= 0:
                head = data[at : at + 16].ljust(16, b"\0")
                end = min(at + struct.unpack_from("<Q", head, 8)[0], len(data))
                here = at + 16
                while here + 16 <= end:
                    number, n_bytes = struct.unpack_from("<H6xQ", data, here)
                    if number == n_bytes == 0:
                        return True
                    here += 16 + (n_bytes + 7) // 8 * 8 if number else n_bytes
    return False


class ForeignHdf5:
    """An open HDF5 file whose objects are checked before they are read.

    Links to other places and files are refused, and arrays whose values lie elsewhere.
    """

    def __init__(self, path: Path, handle: h5py.File, expected: str, advice: str, error: type[RipeError]) -> None:
        import h5py

        self.path, self.handle = path, handle
        self._expected, self._advice, self._error = expected, advice, error
        links: list[tuple[str, Any]] = []
        handle.visititems_links(lambda name, link: links.append((name, link)))
        for name, link in links:
            if not isinstance(link, h5py.HardLink):
                self.refuse(expected, f"a link to another place as {name!r}")
            item = handle[name]
            if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
                self.refuse(expected, f"an array {name!r} that is kept in another file")

    def refuse(self, expected: str, got: str) -> NoReturn:
        """Raise the error for this file."""
        raise self._error(f"{self.path}: expected {expected}, got {got}. {self._advice}")

    def check_format(self, expected: str) -> None:
        """Refuse a file whose attribute ``format`` of the root is another."""
        found = self.handle.attrs.get("format")
        if not isinstance(found, str) or found != expected:
            self.refuse(self._expected, repr(found)[:60])

    def text(self, name: str) -> str:
        """Return a text attribute of the root."""
        value = self.handle.attrs[name]
        value = value.decode("utf-8") if isinstance(value, bytes) else value
        if not isinstance(value, str):
            self.refuse(f"a text as attribute {name!r}", type(value).__name__)
        return value

    def texts(self, name: str) -> list[str]:
        """Return a JSON list of texts, or an array of them, kept as an attribute of the root."""
        value = self.handle.attrs[name]
        values = json.loads(value) if isinstance(value, str | bytes) else np.asarray(value).tolist()
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            self.refuse(f"a list of texts as attribute {name!r}", repr(values)[:60])
        return values

    def mapping(self, name: str) -> dict[str, Any]:
        """Return a JSON object kept as an attribute of the root."""
        value = json.loads(self.text(name))
        if not isinstance(value, dict):
            self.refuse(f"keys and values as attribute {name!r}", repr(value)[:60])
        return value

    def number(self, name: str, least: int = 0) -> int:
        """Return a whole number kept as an attribute of the root."""
        value = self.handle.attrs[name]
        if not isinstance(value, np.integer) or not least <= value < 1 << 31:
            self.refuse(f"a whole number from {least} as attribute {name!r}", repr(value)[:60])
        return int(value)

    def dataset(self, name: str, kinds: str = "biuf", shape: Sequence[int | None] | None = None) -> h5py.Dataset:
        """Return a data set of the file that can be read.

        Parameters
        ----------
        name, kinds : str
            Which; letters of NumPy types it may have, where ``O`` stands for texts.
        shape : sequence of int or None, optional
            What its shape must be; None for any length.
        """
        import h5py

        item = self.handle[name]
        if not isinstance(item, h5py.Dataset) or item.shape is None:
            self.refuse(f"an array {name!r}", "another object")
        is_text = h5py.check_string_dtype(item.dtype) is not None
        if item.dtype.kind not in kinds or (item.dtype.kind == "O" and not is_text):
            self.refuse(f"values of another type in {name!r}", str(item.dtype)[:60])
        wanted = item.shape if shape is None else shape
        if len(wanted) != item.ndim or any(n not in (None, m) for n, m in zip(wanted, item.shape, strict=True)):
            told = ", ".join("any" if n is None else str(n) for n in wanted)
            self.refuse(f"{name!r} of shape ({told})", f"{item.shape}")
        declared = item.size * item.dtype.itemsize
        if declared > _PACKING * item.id.get_storage_size() + _SLACK_BYTES:
            self.refuse(f"the values of {name!r}", f"{declared} bytes that are declared but not in the file")
        return item

    def array(self, name: str, kinds: str = "biuf", shape: Sequence[int | None] | None = None) -> np.ndarray:
        """Return the values of :meth:`dataset`; parameters as :meth:`dataset`."""
        return np.asarray(self.dataset(name, kinds, shape)[()])
