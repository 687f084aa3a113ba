"""Reading FASTA of RNAs (or DNA), with or without region types.

Sequences are kept as one byte per base in a scratch file, so that any amount of input needs little memory, standard
input can be read, and worker processes find the records without reading the FASTA again.

Region types of a record come from, in this order of precedence: the header tag ``region=iii333...``; a second
FASTA-like file with the same names and letters ``i c 3 5 N``; one letter for all records. Without any of these they
are unknown.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, MissingFileError, OutputError
from ripe_lib.genome.encoding import BASE_TABLE, REGION_LETTERS, REGION_TABLE, Codes, encode_region
from ripe_lib.genome.intervals import check_is_text, complete_gzip, open_binary

STDIN = "-"
_BLANKS = b" \t\r\n"
_REGION_TAG = re.compile(r"(?:^|\s)region=(\S*)")
_PROTEIN_ONLY = "EFILPQZJO*"


class RawRecord(NamedTuple):
    """One FASTA record: where it starts (1-based line), its name, the rest of its header, and its letters."""

    line: int
    name: str
    description: str
    letters: bytes


@dataclass(frozen=True)
class RnaRecords:
    """Records in a scratch file of codes."""

    scratch: Path  # one byte per base, then one byte per base of region types for records that have them
    names: list[str]
    lengths: NDArray[np.int64]
    offsets: NDArray[np.int64]  # of each record's bases
    region_offsets: NDArray[np.int64]  # of each record's region types; -1 where there are none
    digest: str  # of names, bases and region types

    def bases(self, record: int, start: int, end: int) -> Codes:
        """Return base codes of a stretch of a record.

        Parameters
        ----------
        record : int
        start, end : int
            0-based, half-open, 5' to 3'; ``0 <= start <= end <= length``.
        """
        return self._read(int(self.offsets[record]) + start, end - start)

    def regions(self, record: int, start: int, end: int) -> Codes | None:
        """Return region-type codes, None if the record has none; parameters as :meth:`bases`."""
        offset = int(self.region_offsets[record])
        return None if offset < 0 else self._read(offset + start, end - start)

    def _read(self, offset: int, n: int) -> Codes:
        with self.scratch.open("rb") as handle:
            handle.seek(offset)
            return np.frombuffer(handle.read(n), dtype=np.uint8)


def read_rna_fasta(
    source: str | Path,
    scratch: Path,
    *,
    region_file: str | Path | None = None,
    region_letter: str | None = None,
) -> RnaRecords:
    """Read a FASTA of RNAs into a scratch file; what is odd is refused with its file and line.

    Parameters
    ----------
    source : path or "-"
        FASTA, plain or gzip; ``"-"`` is standard input. U or T, upper or lower case, IUPAC letters are unknown.
    scratch : Path
        Where to put the codes; the caller removes it.
    region_file : path, optional
        FASTA-like file with the region letters of every record.
    region_letter : str, optional
        One of ``i c 3 5 N``, for all records.
    """
    where = "standard input" if str(source) == STDIN else str(source)
    regions = {} if region_file is None else _read_region_file(region_file)
    if region_letter is not None and region_letter not in REGION_LETTERS + "N":
        raise InputError(f"region type: expected one of i c 3 5 N, got {region_letter!r}.")
    seen: dict[str, int] = {}
    rows: list[tuple[int, int, int]] = []  # length, offset, region offset
    digest = hashlib.sha256()
    written = 0
    with _scratch(scratch) as out:
        for record in _records(source, where):
            if record.name in seen:
                raise InputError(
                    f"{where}:{record.line}: expected every name once, got {record.name!r} again "
                    f"(first in line {seen[record.name]}). Rename one of them."
                )
            seen[record.name] = record.line
            bases = _bases(record, where)
            region = _region_of(record, where, regions, region_file, region_letter)
            rows.append((len(bases), written, -1 if region is None else written + len(bases)))
            digest.update(f">{record.name} {len(bases)} {region is not None}\n".encode())
            for codes in (bases,) if region is None else (bases, region):
                out.write(codes.data)
                digest.update(codes.data)
                written += len(codes)
    if extra := sorted(set(regions) - set(seen)):
        raise InputError(f"{region_file}: expected only names of {where}, got {extra[0]!r}.")
    lengths, offsets, region_offsets = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return RnaRecords(scratch, list(seen), lengths, offsets, region_offsets, digest.hexdigest())


@contextmanager
def _scratch(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("wb") as out:
            yield out
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS}:
            raise
        raise OutputError(
            f"{path}: the bases could not be kept there while they are scanned ({error.strerror}). "
            "They need a byte each beside the first output; make room or choose another folder."
        ) from error


def _bases(record: RawRecord, where: str) -> Codes:
    raw = np.frombuffer(record.letters, dtype=np.uint8)
    codes = BASE_TABLE[raw]
    if codes.max() > 4:
        at = int(np.argmax(codes > 4))
        letter = chr(raw[at])
        hint = "Is this a protein?" if letter.upper() in _PROTEIN_ONLY else "Check that this is the right file."
        raise InputError(
            f"{where}:{record.line}: record {record.name!r}: expected A C G T U or an IUPAC letter, "
            f"got {letter!r} at position {at + 1}. {hint}"
        )
    return codes


def _region_of(
    record: RawRecord, where: str, regions: dict[str, RawRecord], file: str | Path | None, letter: str | None
) -> Codes | None:
    tag = _REGION_TAG.search(record.description)
    place = f"{where}:{record.line}: region types of record {record.name!r}"
    if tag is not None:
        codes = encode_region(tag.group(1), place)
    elif file is not None:
        if record.name not in regions:
            raise InputError(f"{file}: expected region types of record {record.name!r}, found none.")
        place = f"{file}:{regions[record.name].line}: region types of record {record.name!r}"
        codes = encode_region(regions[record.name].letters, place)
    elif letter is not None and letter != "N":
        return np.full(len(record.letters), REGION_TABLE[ord(letter)], dtype=np.uint8)
    else:
        return None
    if len(codes) != len(record.letters):
        raise InputError(
            f"{place}: expected as many letters as bases ({len(record.letters)}), got {len(codes)}. "
            "Give one letter of i c 3 5 N per base."
        )
    return codes


def _read_region_file(path: str | Path) -> dict[str, RawRecord]:
    found: dict[str, RawRecord] = {}
    for record in _records(path, str(path)):
        if record.name in found:
            raise InputError(f"{path}:{record.line}: expected every name once, got {record.name!r} again.")
        found[record.name] = record
    return found


def _records(source: str | Path, where: str) -> Iterator[RawRecord]:
    """Yield the records of a FASTA file; names are unchecked, empty records refused."""
    header: tuple[int, str, str] | None = None
    lines: list[bytes] = []
    with _opened(source, where) as handle:
        for number, line in enumerate(handle, start=1):
            if line.startswith(b">"):
                if header is not None:
                    yield _finished(header, lines, where)
                text = line[1:].decode("utf-8", "replace").strip()
                name, _, description = text.partition(" ") if "\t" not in text else text.partition("\t")
                if "\ufffd" in name:
                    raise InputError(f"{where}:{number}: expected a name in UTF-8, got {line[1:21]!r}. Rename it.")
                if not name:
                    raise InputError(f"{where}:{number}: expected a name after '>', got none.")
                header, lines = (number, name, description), []
            elif header is not None:
                lines.append(line)
            elif line.strip():
                shown = line.strip()[:30].decode("latin-1")
                raise InputError(
                    f"{where}:{number}: expected a FASTA header that starts with '>', got {shown!r}. "
                    "Is this a FASTA file? Genomic intervals are given as a BED file with --fasta GENOME."
                )
    if header is not None:
        yield _finished(header, lines, where)


def _finished(header: tuple[int, str, str], lines: list[bytes], where: str) -> RawRecord:
    letters = b"".join(lines).translate(None, _BLANKS)
    if not letters:
        raise InputError(f"{where}:{header[0]}: record {header[1]!r}: expected at least one letter, got none.")
    return RawRecord(*header, letters)


@contextmanager
def _opened(source: str | Path, where: str) -> Iterator[Any]:
    is_stdin = str(source) == STDIN
    if not is_stdin and Path(source).is_dir():
        raise MissingFileError(f"{source}: expected a FASTA file, got a folder.")
    opened: Any = nullcontext(sys.stdin.buffer) if is_stdin else open_binary(source)
    with opened as stream, complete_gzip(where):
        head = stream.peek(18)  # a pipe cannot be rewound
        check_is_text(source, head)
        yield gzip.GzipFile(fileobj=stream) if head[:2] == b"\x1f\x8b" else stream
