"""VCF and BCF: records in, annotated records out; lines are kept as they are written.

Text is read line by line, not through htslib: only the first five columns matter here, a line must come out as it
went in, and htslib prints to stderr about undeclared names. BCF goes through pysam, which turns its records into lines.

Positions are 1-based as in the file (``pos``); 0 is the telomere of the VCF specification.
"""

from __future__ import annotations

import gzip
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.genome.intervals import check_is_text

BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
_CODING = ("utf-8", "surrogateescape")  # any bytes come out as they went in
_MAX_POS = 2**40
_MAX_BYTES = 1 << 26  # of lines held at a time


class Block(NamedTuple):
    """A run of lines of a VCF, to be read alone: picklable."""

    first_line: int  # 1-based line of the file (BCF: of records)
    n_lines: int
    offset: int


class VcfRecords(NamedTuple):
    """Records as columns; ``alt`` is the whole ALT column, ``lines`` the records without line end."""

    chrom: list[str]
    pos: NDArray[np.int64]
    id: list[str]
    ref: list[str]
    alt: list[str]
    lines: list[str]

    def __len__(self) -> int:
        return len(self.chrom)

    def part(self, rows: slice) -> VcfRecords:
        """Return some of the records."""
        return VcfRecords(*[column[rows] for column in self])  # type: ignore[arg-type]


class VcfFile:
    """A VCF (plain, gzip, bgzip), a BCF, or ``-`` for standard input, which is copied to a temporary file first.

    What is in the file decides, not its name. One without a VCF header, or of bgzip without its end, is refused.
    ``header`` holds the ``##`` lines and the ``#CHROM`` line without line ends; ``name`` is for messages.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = "standard input" if str(path) == "-" else str(path)
        self._copy: IO[bytes] | None = None
        self.path = self._seekable(path)
        self._stream: Any = None
        self._at: int | None = None  # offset where the open stream stands, if known
        try:
            self.kind = self._kind()
            self.header = self._read_header()
        except BaseException:
            self.close()
            raise

    def _seekable(self, path: str | Path) -> Path:
        is_stdin, path = str(path) == "-", Path(path)
        if not is_stdin and not path.exists():
            raise MissingFileError(f"{path}: no such file. Give a VCF, VCF.gz or BCF, or - for standard input.")
        if not is_stdin and path.is_dir():
            raise InputError(f"{path}: expected a VCF or BCF file, got a folder.")
        if not is_stdin and path.is_file():
            return path
        self._copy = tempfile.NamedTemporaryFile(prefix="ripe-", suffix=".vcf")  # noqa: SIM115 (closed in close)
        with nullcontext(sys.stdin.buffer) if is_stdin else path.open("rb") as pipe:  # e.g. <(bcftools view ...)
            shutil.copyfileobj(pipe, self._copy, 1 << 20)
        self._copy.flush()
        return Path(self._copy.name)

    def _kind(self) -> str:
        with self.path.open("rb") as file:
            start = file.read(18)
            if start[:2] != b"\x1f\x8b":
                check_is_text(self.name, start)
                return "bcf" if start[:3] == b"BCF" else "text"
            if start[12:14] != b"BC":
                return "gzip"
            file.seek(max(0, self.path.stat().st_size - len(BGZF_END)))
            if file.read() != BGZF_END:
                raise InputError(
                    f"{self.name}: expected a complete bgzip file, but its end is missing (truncated download or "
                    "copy?). Get the file again."
                )
        with gzip.open(self.path) as unpacked, self._whole():
            return "bcf" if unpacked.read(3) == b"BCF" else "bgzip"

    def _open(self) -> Any:
        if self.kind == "text":
            return self.path.open("rb")
        if self.kind == "gzip":
            return gzip.open(self.path)
        return _BgzfStream(self.path) if self.kind == "bgzip" else _BcfStream(self.path, self.name)

    def _read_header(self) -> list[str]:
        self._stream = self._open()
        if self.kind == "bcf":
            header = self._stream.header
        else:
            header = []
            with self._whole():
                for raw in iter(self._stream.readline, b""):
                    raw = raw.removeprefix(b"" if header else b"\xef\xbb\xbf")
                    line = raw.rstrip(b"\r\n").decode(*_CODING)
                    if not line.startswith("#"):
                        raise self._no_header(len(header) + 1, line)
                    header.append(line)
                    if line.startswith("#CHROM"):
                        break
        if not header or tuple(header[-1].split("\t")[:5]) != COLUMNS[:5]:
            raise self._no_header(max(1, len(header)), header[-1] if header else "an empty file")
        self._at = self._body = self._stream.tell()
        return header

    def _no_header(self, line: int, got: str) -> InputError:
        shown = got if len(got) <= 60 else got[:57] + "..."
        return InputError(
            f"{self.name}:{line}: expected a VCF header that ends with a tab-separated '#CHROM POS ID REF ALT ...' "
            f"line, got {shown!r}. Is this a VCF? A lost header can be restored with: bcftools reheader"
        )

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Say in one line that the compressed file that is read here is damaged."""
        try:
            yield
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(
                f"{self.name}: the compressed file is damaged or truncated ({error or 'unexpected end'}). "
                "Get the file again."
            ) from error

    def blocks(self, n_lines: int) -> list[Block]:
        """Cut the file into runs of ``n_lines`` lines, fewer where lines are long; reads it once, to its end."""
        self._seek(self._body)
        found: list[Block] = []
        line, offset = len(self.header) + 1, self._body
        while n := sum(1 for _ in self._next_lines(n_lines)):
            found.append(Block(line, n, offset))
            line, offset = line + n, self._stream.tell()
        return found

    def _next_lines(self, n_lines: int) -> Iterator[bytes]:
        """Yield up to ``n_lines`` lines; stop early after :data:`_MAX_BYTES` (files with very many samples)."""
        n_bytes = 0
        with self._whole():
            for number, raw in enumerate(self._stream, 1):
                yield raw
                n_bytes += len(raw)
                if number == n_lines or n_bytes >= _MAX_BYTES:
                    return

    def read(self, block: Block) -> VcfRecords:
        """Read one block; blocks in the order of the file need no seeking."""
        self._seek(block.offset)
        with self._whole():
            lines = list(islice(self._stream, block.n_lines))
        self._at = self._stream.tell()
        return self._parsed(lines, block.first_line)

    def records(self, n_lines: int) -> Iterator[VcfRecords]:
        """Read the whole file, up to ``n_lines`` lines at a time; one without a record gives empty columns once."""
        first, offset, found = len(self.header) + 1, self._body, False
        while True:
            self._seek(offset)
            lines = list(self._next_lines(n_lines))
            offset = self._at = self._stream.tell()
            records = self._parsed(lines, first)
            if len(records) or not (lines or found):
                found = True
                yield records
            if not lines:
                return
            first += len(lines)

    def _seek(self, offset: int) -> None:
        if self._at != offset:
            self._stream.seek(offset)
        self._at = None

    def _parsed(self, raw_lines: list[bytes], first_line: int) -> VcfRecords:
        # pysam's lines come without their ends.
        between = b"" if raw_lines and raw_lines[0].endswith(b"\n") else b"\n"
        text = (between.join(raw_lines) + b"\n").decode(*_CODING)
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        lines = [line for line in text.split("\n") if line and line[0] != "#"]
        rows = [line.split("\t", 5) for line in lines]
        try:
            numbers = [row[1] for row in rows]
            positions = [int(number) for number in numbers]
            alt = [row[4] for row in rows]
        except (ValueError, IndexError):
            raise self._bad_line(text, first_line) from None
        # Python's own numbers include "1_0", "+1" and digits of other scripts.
        joined = "".join(numbers)
        if positions and not (joined.isascii() and joined.isdigit() and max(positions) < _MAX_POS):
            raise self._bad_line(text, first_line)
        chrom, names, ref = ([row[column] for row in rows] for column in (0, 2, 3))
        return VcfRecords(chrom, np.array(positions, dtype=np.int64), names, ref, alt, lines)

    def _bad_line(self, text: str, first_line: int) -> InputError:
        """Say which line is the first that is no record."""
        lines = enumerate(text.split("\n"), first_line)
        number, line = next((n, line) for n, line in lines if line and line[0] != "#" and not _is_record(line))
        fields = line.split("\t")
        if len(fields) < 5:
            what = f"expected at least 5 tab-separated columns (CHROM POS ID REF ALT), got {len(fields)}"
        else:
            what = f"expected a whole number as POS, got {fields[1][:40]!r}"
        return InputError(f"{self.name}:{number}: {what}. Check the file with: bcftools view")

    def close(self) -> None:
        """Close the file and remove the copy of standard input."""
        if self._stream is not None:
            with suppress(OSError):  # damage that was reported already
                self._stream.close()
        if self._copy is not None:
            self._copy.close()

    def __enter__(self) -> VcfFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _is_record(line: str) -> bool:
    fields = line.split("\t", 5)
    is_number = len(fields) >= 5 and fields[1].isascii() and fields[1].isdigit() and len(fields[1]) <= 18
    return is_number and int(fields[1]) < _MAX_POS


def _pysam() -> Any:
    import pysam

    pysam.set_verbosity(0)  # htslib would print its own lines about damage before ours
    return pysam


class _BgzfStream:
    """Lines of a bgzip file with their ends; to pysam a blank one, or an empty block within, is the end of the file."""

    def __init__(self, path: Path) -> None:
        self._file = _pysam().BGZFile(str(path), "rb")
        self._last = path.stat().st_size - len(BGZF_END)
        self.tell, self.seek, self.close = self._file.tell, self._file.seek, self._file.close

    def __iter__(self) -> _BgzfStream:
        return self

    def __next__(self) -> bytes:
        line: bytes = self._file.readline()
        if not line and self.tell() >> 16 >= self._last:
            raise StopIteration
        return line + b"\n"

    def readline(self) -> bytes:
        return next(self, b"")


class _BcfStream:
    """Lines of a BCF with the interface of a file; offsets are record numbers."""

    def __init__(self, path: Path, name: str) -> None:
        try:
            self._reader = _pysam().VariantFile(str(path))
        except (OSError, ValueError) as error:
            raise InputError(f"{name}: expected a BCF file ({error}). Get the file again.") from error
        self.header = str(self._reader.header).rstrip("\n").split("\n")
        self.close = self._reader.close
        self._name, self._number = name, 0

    def tell(self) -> int:
        return self._number

    def seek(self, number: int) -> None:
        if number < self._number:
            self._reader.reset()
            self._number = 0
        self._number += sum(1 for _ in islice(self._reader, number - self._number))

    def __iter__(self) -> _BcfStream:
        return self

    def __next__(self) -> bytes:
        try:
            record = next(self._reader)
        except (OSError, ValueError) as error:
            raise InputError(f"{self._name}: record {self._number + 1} cannot be read ({error}).") from error
        self._number += 1
        return str(record).encode(*_CODING)


def info_key(name: str) -> str:
    """Return a valid INFO key for a name: ``DeepRiPe/clip31`` -> ``DeepRiPe_clip31``."""
    key = re.sub(r"[^0-9A-Za-z_.]", "_", name)
    return key if re.match(r"[A-Za-z_]", key) else "_" + key


def escape(text: str) -> str:
    """Percent-encode what separates things in an INFO value (VCF 4.3, and the ``|`` and ``&`` used here)."""
    return re.sub(r"[%:;=,|&\s]", lambda match: f"%{ord(match[0]):02X}", text)


class InfoField(NamedTuple):
    """An INFO field as a header declares it."""

    key: str
    number: str  # ".", "A", ...
    type: str
    description: str

    def __str__(self) -> str:
        quoted = self.description.replace("\\", "\\\\").replace('"', '\\"')
        return f'##INFO=<ID={self.key},Number={self.number},Type={self.type},Description="{quoted}">'


def annotated_header(
    header: Sequence[str], infos: Sequence[InfoField], *, more: Sequence[tuple[str, str]] = ()
) -> list[str]:
    """Return a header with INFO fields and ``##`` lines added or replaced; doing it again changes nothing.

    Parameters
    ----------
    header : list of str
    infos : list of InfoField
    more : list of (start, rest)
        Further lines, put before the column names; they replace lines of the same start.
    """
    keys = "|".join(re.escape(field.key) for field in infos) or "$"
    declared = re.compile(rf'##INFO=<(?:[^"]*,)?ID=(?:{keys})[,>]')
    starts = tuple(start for start, _ in more)
    lines = [line for line in header[:-1] if not (declared.match(line) or line.startswith(starts))]
    if not lines or not lines[0].startswith("##fileformat"):
        lines.insert(0, "##fileformat=VCFv4.2")
    columns = header[-1].split("\t")
    added = [*map(str, infos), *map("".join, more)]
    return [*lines, *added, "\t".join(columns + list(COLUMNS[len(columns) :]))]


def annotated_line(line: str, values: Sequence[tuple[str, str]], *, keys: Sequence[str] = ()) -> str:
    """Return a record line with INFO keys set; all else stays as it is.

    Parameters
    ----------
    line : str
        A VCF record without its line end.
    values : sequence of (str, str)
        INFO keys and their values, already escaped.
    keys : sequence of str
        Further keys of this program; what was there under them goes, as it does under the keys of ``values``.
    """
    fields = line.split("\t", 8)
    fields += ["."] * (8 - len(fields))
    kept = fields[7]
    gone = {*keys, *(key for key, _ in values)}
    if any(key in kept for key in gone):
        kept = ";".join([entry for entry in kept.split(";") if entry.partition("=")[0] not in gone])
    if values or kept != fields[7]:
        new = [f"{key}={value}" for key, value in values]
        fields[7] = ";".join(new if kept in {".", ""} else [kept, *new]) or "."
    return "\t".join(fields)
