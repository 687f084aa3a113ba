"""Sequence windows from a FASTA file (plain or bgzip), as base codes in RNA sense.

The index (``.fai``, as samtools writes it) is kept beside the FASTA or, where that folder is not writable, in the
cache folder; one that does not fit its FASTA is built again. Letters are then fetched for a whole batch at once: the
index turns contig positions into file offsets, and the file is read as an array of bytes (a memory map, or
decompressed bgzip blocks). Positions before or after a contig are unknown (code 4), never an error and never left
out.
"""

from __future__ import annotations

import gzip
import mmap
import os
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ripe_lib.errors import InputError, MissingFileError, OutputError
from ripe_lib.genome.contigs import ContigNames, mitochondria_agree
from ripe_lib.genome.encoding import BASE_TABLE, COMPLEMENT, UNKNOWN, Codes
from ripe_lib.genome.intervals import LONE_RETURN, PathLike, check_is_text, open_binary
from ripe_lib.output.atomic import atomic_file
from ripe_lib.output.cache import place_to_write, places
from ripe_lib.output.console import steps

_GZIP_MAGIC = b"\x1f\x8b"
_SMALLEST_BLOCK = 26  # header and end of a bgzip block of nothing
_PRINTED = bytes(range(33, 127))
_MAPPED_BYTES = 1 << 28  # resident file pages are handed back to the system after about this much
_PAGE_BYTES = 1 << 16  # what the kernel may map in around one access
_CACHED_BLOCKS = 4096  # decompressed bgzip blocks, 64 KiB each


def numbers_of(chroms: str | Iterable[str], n: int, number_of: Callable[[str], int]) -> NDArray[np.int64]:
    """Return the numbers (n,) of contigs, each name looked up once.

    Parameters
    ----------
    chroms : str or sequence of str (n,)
    n : int
    number_of : callable
    """
    if isinstance(chroms, str):
        return np.full(n, number_of(chroms), dtype=np.int64)
    which, levels = pd.factorize(np.asarray(chroms, dtype=object))
    return np.array([number_of(name) for name in levels], dtype=np.int64)[which]


class Genome:
    """Random access to a FASTA file, plain or bgzip; LF or CRLF; upper or lower case; T or U; IUPAC letters are N.

    ``contigs`` are the lengths in nt by name, in file order. One that is empty, not FASTA, compressed with plain gzip
    or names a contig twice is refused.
    """

    def __init__(self, fasta_file: PathLike):
        self.path = Path(fasta_file)
        self._absolute_path = self.path.absolute()
        compressed = _check_file(self.path)
        self._bytes = _BgzipBytes(self.path) if compressed else _PlainBytes(self.path)
        self._index = index = _load_index(self.path, compressed, self._bytes)
        self._rows = {name: i for i, name in enumerate(index.names)}
        self.contigs: dict[str, int] = dict(zip(index.names, index.length.tolist(), strict=True))
        self.names = ContigNames(index.names, str(self.path), match_mitochondria=mitochondria_agree(self.contigs))

    def __reduce__(self) -> tuple[Any, ...]:
        # Open files do not travel to other processes; the path does.
        return (type(self), (self._absolute_path,))

    def __repr__(self) -> str:
        return f"Genome({str(self.path)!r}, {len(self.contigs)} contigs)"

    def resolve(self, chrom: str) -> str:
        """Return the contig that ``chrom`` stands for by the rules of :mod:`ripe_lib.genome.contigs`."""
        return self.names.resolve(chrom)

    def fetch(self, chroms: str | Iterable[str], starts: ArrayLike, length: int, minus: ArrayLike = False) -> Codes:
        """Return windows of one length; a character that is no base is refused with its contig and position.

        Parameters
        ----------
        chroms : str or sequence of str (B,)
            Contig names (resolved like :meth:`resolve`).
        starts : int array (B,)
            0-based, plus strand; may lie before the contig, and the window may end after it.
        length : int
            In nt.
        minus : bool or bool array (B,)
            Windows to reverse-complement.

        Returns
        -------
        uint8 array (B, length)
            Codes of :mod:`ripe_lib.genome.encoding`, 5' to 3' on the strand asked for; off the contig = 4.
        """
        starts = np.atleast_1d(np.asarray(starts, dtype=np.int64))
        rows = numbers_of(chroms, len(starts), lambda name: self._rows[self.resolve(name)])
        contig_length = self._index.length[rows]
        positions = starts[:, None] + np.arange(length, dtype=np.int64)
        overhangs = ((starts < 0) | (starts + length > contig_length)).any()
        if overhangs:
            outside = (positions < 0) | (positions >= contig_length[:, None])
            np.clip(positions, 0, np.maximum(contig_length - 1, 0)[:, None], out=positions)
        line_bases = self._index.line_bases[rows][:, None]
        gap = self._index.line_bytes[rows][:, None] - line_bases
        offsets = positions + positions // line_bases * gap + self._index.offset[rows][:, None]
        letters = self._bytes.take(offsets)
        codes = BASE_TABLE[letters]
        if overhangs:
            codes[outside] = UNKNOWN
        if codes.size and codes.max() > UNKNOWN:
            self._refuse(letters, codes, rows, positions)
        minus = np.broadcast_to(np.asarray(minus, dtype=bool), starts.shape)
        if minus.any():
            codes[minus] = COMPLEMENT[codes[minus, ::-1]]
        return codes

    def _refuse(self, letters: NDArray, codes: Codes, rows: NDArray, positions: NDArray) -> None:
        row, column = np.argwhere(codes > UNKNOWN)[0]
        contig, position = self._index.names[rows[row]], int(positions[row, column])
        raise InputError(
            f"{self.path}: expected A C G T U N or an IUPAC letter, got {chr(letters[row, column])!r} as base "
            f"{position + 1} of {contig}. Check that this is a nucleotide FASTA."
        )


# ------------------------------------------------------------------ index


class _Index(NamedTuple):
    """The columns of a ``.fai`` file."""

    names: list[str]
    length: NDArray[np.int64]
    offset: NDArray[np.int64]
    line_bases: NDArray[np.int64]
    line_bytes: NDArray[np.int64]


def _check_file(path: Path) -> bool:
    """Refuse what is not FASTA; return whether it is bgzip."""
    if path.is_fifo():
        raise MissingFileError(f"{path}: expected a FASTA file, got a pipe, which has no random access.")
    with open_binary(path, "FASTA file") as handle:
        head = handle.read(18)
    if not head:
        raise InputError(f"{path}: expected a FASTA file, got an empty file.")
    if not head.startswith(_GZIP_MAGIC):
        check_is_text(path, head)
        if head.lstrip()[:1] not in (b">", b";"):
            raise InputError(f"{path}: expected a FASTA file whose first line starts with '>', got {head[:12]!r}.")
        return False
    if head[3:4] != b"\x04" or head[12:14] != b"BC":
        raise InputError(
            f"{path}: expected plain or bgzip-compressed FASTA, got ordinary gzip, which has no random access. "
            f"Convert it with: gunzip -c {path.name} | bgzip > {path.name.removesuffix('.gz')}.bgz"
        )
    return True


def _load_index(path: Path, compressed: bool, content: _PlainBytes | _BgzipBytes) -> _Index:
    changed = path.stat().st_mtime_ns
    for place in places(path, ".fai"):
        index = None
        with suppress(OSError, InputError, UnicodeDecodeError):
            if place.stat().st_mtime_ns >= changed:
                index = _parse_index(place.read_text(encoding="utf-8"), path)
        if index is not None and _fits(index, content):
            return index
    text = _build_index(path, compressed)
    index = _parse_index(text, path)
    place_now = place_to_write(path, ".fai")
    if place_now is not None:
        with suppress(OutputError, OSError), atomic_file(place_now) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return index


def _fits(index: _Index, content: _PlainBytes | _BgzipBytes) -> bool:
    """Whether every contig has its header before it, and its first and last line end there: time stamps do not tell."""
    if any((column < 0).any() or (column > content.n_bytes).any() for column in index[1:]):
        return False
    ends = index.offset + index.length + (index.length - 1) // index.line_bases * (index.line_bytes - index.line_bases)
    if (index.offset < 1).any() or (ends > content.n_bytes).any():
        return False
    for name, length, offset, line_bases, line_bytes, end in zip(
        index.names, *(column.tolist() for column in (*index[1:], ends)), strict=True
    ):
        line = content.read(offset, offset + line_bytes) if length > line_bases else None
        if length and (
            _header_before(content, offset).split()[:1] != [b">" + name.encode()]
            or content.read(end, end + 1) not in (b"", b"\n", b"\r")
            or (line is not None and (line.find(b"\n") != line_bytes - 1 or len(line.rstrip()) != line_bases))
        ):
            return False
    return True


def _header_before(content: _PlainBytes | _BgzipBytes, offset: int) -> bytes:
    """Return the last line with text before ``offset``, or nothing if no line begins at ``offset``."""
    n_bytes = 256
    while True:
        first = max(0, offset - n_bytes)
        before = content.read(first, offset)
        at = before.rstrip().rfind(b"\n")
        if not before.endswith(b"\n"):
            return b""
        if at >= 0 or first == 0:
            return before[at + 1 :].rstrip()
        n_bytes *= 8


def _build_index(path: Path, compressed: bool) -> str:
    """Index a FASTA by samtools' rules: the lines of a contig have one length, and only its last may be shorter."""
    rows: list[str] = []
    name, length, offset, line_bases, line_bytes = "", 0, 0, 0, 0
    here = last_line = 0  # last_line: number of the shorter or blank line after which no base may come
    try:
        with gzip.open(path) if compressed else path.open("rb") as lines:
            bar = steps(lines, f"indexing {path.name}", unit="line", unit_scale=True, leave=False)
            for number, line in enumerate(bar, start=1):
                here += len(line)
                text = line.rstrip()
                bases = len(text)
                if line[:1] == b">":
                    if b"\r" in text:
                        raise InputError(f"{path}:{number}: {LONE_RETURN}")
                    if name:
                        rows.append(f"{name}\t{length}\t{offset}\t{line_bases}\t{line_bytes}\n")
                    name = _contig_name(line, f"{path}:{number}")
                    length, offset, line_bases, line_bytes, last_line = 0, here, 0, 0, 0
                elif not bases:
                    if length:
                        last_line = last_line or number
                    else:
                        offset = here
                elif not name:
                    if line[:1] != b";" and line.strip():
                        raise InputError(f"{path}:{number}: expected a line that starts with '>', got {line[:12]!r}.")
                elif text.translate(None, _PRINTED):
                    if b"\r" in text:
                        raise InputError(f"{path}:{number}: {LONE_RETURN}")
                    raise InputError(
                        f"{path}:{number}: expected letters of bases, got {line[:12]!r}. Download it again."
                    )
                else:
                    if not length:
                        line_bases, line_bytes = bases, len(line)
                    if last_line or bases > line_bases:
                        longer = f"{bases} bases after lines of {line_bases}"
                        uneven = "another length of line, and bases after it" if last_line else longer
                        raise InputError(
                            f"{path}:{last_line or number}: expected lines of one length in {name}, of which only the "
                            f"last may be shorter, got {uneven}. Wrap it again."
                        )
                    if len(line) != line_bytes or bases != line_bases:
                        last_line = number
                    length += bases
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path}: expected a complete FASTA file, got a damaged one ({error}). Download it again."
        ) from error
    rows.append(f"{name}\t{length}\t{offset}\t{line_bases}\t{line_bytes}\n")
    return "".join(rows)


def _contig_name(header: bytes, at: str) -> str:
    text = header[1:].rstrip()
    if not text or text[:1].isspace() or b"\0" in text:
        got = "zero bytes" if text[:1].strip() else "none"
        raise InputError(f"{at}: expected the name of a contig after '>', got {got}. Name it.")
    try:
        return text.split(None, 1)[0].decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{at}: expected a contig name in UTF-8, got {text[:20]!r}. Rename it.") from error


def _parse_index(text: str, path: Path) -> _Index:
    rows = [line.split("\t") for line in text.split("\n") if line]
    try:
        names = [row[0] for row in rows]
        numbers = np.array([[int(field) for field in row[1:5]] for row in rows], dtype=np.int64).reshape(-1, 4)
    except (ValueError, IndexError, OverflowError) as error:
        raise InputError(f"{path}: expected an index (.fai) of five columns. Delete it; it is rebuilt.") from error
    if len(set(names)) != len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise InputError(f"{path}: expected every contig once, got {twice!r} twice. Remove the duplicate.")
    if not numbers.size or not numbers[:, 0].any():
        raise InputError(f"{path}: expected a FASTA file with at least one base, got none.")
    length, offset, line_bases, line_bytes = numbers.T.copy()
    return _Index(names, length, offset, np.maximum(line_bases, 1), np.maximum(line_bytes, 1))


# ------------------------------------------------------------------ bytes


class _PlainBytes:
    """A file as an array of bytes, through a memory map whose resident part stays bounded.

    ``read`` gives the bytes of [first, last), ``take`` those at offsets (B, L), ascending along each row.
    """

    def __init__(self, path: Path):
        with path.open("rb") as handle:
            self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        self._array = np.frombuffer(self._map, dtype=np.uint8)
        self.n_bytes = len(self._array)
        self._touched = 0

    def read(self, first: int, last: int) -> bytes:
        return self._map[first:last]

    def take(self, offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
        self._touched += offsets.shape[0] * _PAGE_BYTES + offsets.size
        if self._touched > _MAPPED_BYTES and hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = 0
        return np.take(self._array, offsets, mode="clip")


class _BgzipBytes:
    """The same of a bgzip file's uncompressed bytes; recently used blocks are kept."""

    def __init__(self, path: Path):
        self._path = path
        self._file = os.open(path, os.O_RDONLY)
        self._at, self._starts = self._scan()
        self.n_bytes = int(self._starts[-1])
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):
            os.close(self._file)

    def _scan(self) -> tuple[list[int], NDArray[np.int64]]:
        """Walk over the block headers: compressed offset of each block, and where its content starts."""
        at, starts, here, total = [], [0], 0, 0
        n_bytes = os.fstat(self._file).st_size
        while here < n_bytes:
            header = os.pread(self._file, 18, here)
            if len(header) < 18 or header[:4] != b"\x1f\x8b\x08\x04" or header[12:14] != b"BC":
                raise self._damaged(here)
            size = int.from_bytes(header[16:], "little") + 1
            if size < _SMALLEST_BLOCK or here + size > n_bytes:
                raise self._damaged(here)
            at.append(here)
            total += int.from_bytes(os.pread(self._file, 4, here + size - 4), "little")
            starts.append(total)
            here += size
        if starts[-1] != starts[-2]:  # cut between two blocks, or without the empty one at its end
            raise self._damaged(here)
        return [*at, here], np.array(starts, dtype=np.int64)

    def _damaged(self, here: int) -> InputError:
        return InputError(
            f"{self._path}: expected a complete bgzip file, got a truncated or damaged one (byte {here}). "
            "Copy or compress it again."
        )

    def _block(self, number: int) -> NDArray[np.uint8]:
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        here, after = self._at[number], self._at[number + 1]
        try:
            content = zlib.decompress(os.pread(self._file, after - here, here), wbits=31)
        except zlib.error as error:
            raise self._damaged(here) from error
        self._kept[number] = block = np.frombuffer(content, dtype=np.uint8)
        if len(self._kept) > _CACHED_BLOCKS:
            self._kept.popitem(last=False)
        return block

    def read(self, first: int, last: int) -> bytes:
        number = int(np.searchsorted(self._starts, first, side="right")) - 1
        if last <= self.n_bytes and last <= self._starts[number + 1]:
            return self._block(number)[first - self._starts[number] : last - self._starts[number]].tobytes()
        return self.take(np.arange(first, min(last, self.n_bytes))[None]).tobytes()

    def take(self, offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
        if not offsets.size:
            return np.zeros(offsets.shape, dtype=np.uint8)
        offsets = np.clip(offsets, 0, self._starts[-1] - 1)
        first = np.searchsorted(self._starts, offsets[:, 0], side="right") - 1
        last = np.searchsorted(self._starts, offsets[:, -1], side="right") - 1
        begun, ended = (np.bincount(number, minlength=len(self._starts) + 1) for number in (first, last + 1))
        numbers = np.flatnonzero(np.cumsum(begun - ended) > 0)
        blocks = [self._block(number) for number in numbers.tolist()]
        pool_start = np.cumsum([0, *map(len, blocks)])
        shift = pool_start[np.searchsorted(numbers, first)] - self._starts[first]
        return np.concatenate(blocks)[offsets + shift[:, None]]
