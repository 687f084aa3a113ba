"""Genomic intervals: BED files, data frames and tuples become one table; the owner of "0-based, half-open".

An interval ``[start, end)`` counts from 0 and leaves its end out, as BED does. The table has the columns
``chrom`` (str), ``start``, ``end`` (int64), ``name``, ``score`` (str, ``"."`` when absent) and ``strand``
(``"+"``, ``"-"`` or ``"."``), in the order of the source.

Read leniently: BED3 to BED6, anything with further columns (narrowPeak, BED12: the first six count), tabs or
blanks, gzip or bgzip, CRLF, blank lines, ``#`` comments, ``track`` and ``browser`` lines, any order. A line of exactly
ten columns whose tenth is a whole number is narrowPeak, whatever the file is called: on request that column is
returned as ``summit`` (int64, offset from ``start``, -1 for none). Refused with
file and line: text where a number belongs, negative starts, ``start >= end``, a strand that is not ``+ - .``.

Files are read in blocks of a few MB by the C parser of pandas and checked as arrays; only a block in which
something is wrong is read again line by line, to name the line.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import pandas as pd

from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.output.console import steps

PathLike: TypeAlias = str | os.PathLike[str]
IntervalSource: TypeAlias = PathLike | pd.DataFrame | Mapping[str, Any] | Iterable[tuple[Any, ...]]

COLUMNS = ["chrom", "start", "end", "name", "score", "strand"]
STRANDS = ("+", "-", ".")
NO_SUMMIT = -1
_SUMMIT_COLUMN = 9
_WITH_SUMMIT = [*COLUMNS, "signal", "p", "q", "summit", "more"]
_CODING = ("utf-8", "surrogateescape")  # any bytes come out as they went in
_BLOCK_BYTES = 1 << 22
_LONGEST_LINE = 1 << 26
_NOT_DATA = re.compile(rb"^(?:#|(?:track|browser)(?:\s|$)|[ \t\r]*$)", re.MULTILINE)
_LONE_RETURN = re.compile(rb"\r(?!\r*(?:\n|\Z))")
LONE_RETURN = (
    "expected lines that end in LF or CRLF, got a carriage return within one. Convert the file with: tr '\\r' '\\n'"
)
_NUMBER = re.compile(r"-?0*[0-9]{1,18}", re.ASCII)
_LARGEST = 10**18 - 1
_ODD_NUMBER = re.compile(rb"\+[0-9]|[\v\f]")  # what pandas takes for part of a number, and we do not
_HINT = "Intervals are 0-based, half-open."


@overload
def read_intervals(source: IntervalSource, *, chunk_size: None = None, summits: bool = False) -> pd.DataFrame: ...
@overload
def read_intervals(source: IntervalSource, *, chunk_size: int, summits: bool = False) -> Iterator[pd.DataFrame]: ...
def read_intervals(
    source: IntervalSource, *, chunk_size: int | None = None, summits: bool = False
) -> pd.DataFrame | Iterator[pd.DataFrame]:
    """Read and check intervals; one that is malformed is refused with its file and line.

    Parameters
    ----------
    source : path, DataFrame, mapping of columns, or iterable of tuples
        A BED-like file (plain, gzip or bgzip); a table with columns ``chrom start end`` and optionally
        ``name score strand``; or tuples ``(chrom, start, end[, name[, score[, strand]]])``. A fourth item that is
        ``+``, ``-`` or ``.`` in every tuple of four is taken as the strand.
    chunk_size : int, optional
        Return an iterator of DataFrames of this many rows (the last may be shorter) with flat memory.
        The file is opened and its first rows are checked at once.
    summits : bool
        Add the column ``summit`` to what a file gives: column 10 of narrowPeak lines, in nt from ``start``;
        :data:`NO_SUMMIT` for lines that have none.

    Returns
    -------
    DataFrame or iterator of DataFrame
        Columns :data:`COLUMNS`, index 0..n-1; ``attrs["source"]`` is the file name, for :func:`where`. At least one,
        though it be empty.
    """
    if isinstance(source, Mapping):
        source = pd.DataFrame(source)
    if isinstance(source, str | os.PathLike):
        blocks = _read_file(Path(source), str(source), summits)
        name: str | None = str(source)
    else:
        blocks = iter([_from_frame(source if isinstance(source, pd.DataFrame) else _from_tuples(source))])
        name = getattr(source, "attrs", {}).get("source")
    if chunk_size is not None and chunk_size < 1:
        raise InputError(f"chunk_size: expected at least 1, got {chunk_size}.")
    chunks = _rechunk(blocks, chunk_size, name)
    first = next(chunks, None)
    if first is None:
        kinds = dict.fromkeys(COLUMNS, object) | {"start": np.int64, "end": np.int64}
        kinds |= {"summit": np.int64} if summits and name is not None else {}
        first = _labelled(pd.DataFrame({column: np.zeros(0, dtype=kind) for column, kind in kinds.items()}), name)
    return first if chunk_size is None else chain([first], chunks)


def where(intervals: pd.DataFrame, row: int) -> str:
    """Say where a row came from, for messages: ``x.bed:17`` or ``interval 3 (chr1:10-60)``.

    The line is found by reading the file again up to the first line with these coordinates; that happens only
    when there is something to complain about, so nothing has to be carried along.
    """
    chrom, start, end = intervals["chrom"].iloc[row], intervals["start"].iloc[row], intervals["end"].iloc[row]
    source = intervals.attrs.get("source")
    if source is not None and Path(source).is_file():
        wanted = [chrom.encode(*_CODING), b"%d" % start, b"%d" % end]
        lines = chain.from_iterable(block.removesuffix(b"\n").split(b"\n") for block in read_blocks(Path(source)))
        with suppress(InputError, MissingFileError):
            for line, text in enumerate(lines, start=1):
                name, *ends = text.removeprefix(b"\xef\xbb\xbf").split(None, 3)[:3] or [b""]
                if [name, *(one.lstrip(b"0") or b"0" for one in ends)] == wanted:
                    return f"{source}:{line}"
    return f"interval {row + 1} ({chrom}:{start}-{end})"


def merged(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return starts and ends of intervals, ascending, joined where they overlap or touch."""
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    first = np.append(True, starts[1:] > ends[:-1])[: len(starts)]
    return starts[first], ends[np.append(first[1:], True)[: len(starts)]]


# ------------------------------------------------------------------ files


def open_binary(path: PathLike, what: str = "file") -> io.BufferedReader:
    """Open a file; what stands in the way is said in one line."""
    if Path(path).is_dir():
        raise MissingFileError(f"{path}: expected a {what}, got a folder.")
    try:
        return Path(path).open("rb")
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such {what}. Check the path.") from error
    except OSError as error:
        raise MissingFileError(f"{path}: cannot be read ({error.strerror or error}).") from error


_OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive or Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"BZh91AY&SY": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xeb\xf2\x89\x87": "bigBed",
    b"\x26\xfc\x8f\x88": "bigWig",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def check_is_text(path: PathLike, head: bytes) -> None:
    """Refuse a file that is packed otherwise than by gzip, or no UTF-8, by its first ten bytes."""
    for magic, kind in _OTHER_KINDS.items():
        if head.startswith(magic):
            raise InputError(f"{path}: expected text, plain or gzip, got {kind}. Save or unpack it as text.")


@contextmanager
def complete_gzip(where: object) -> Iterator[None]:
    """Say in one line that what is read here is damaged."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{where}: expected a complete gzip file, got a truncated or damaged one ({error}). "
            "Copy or compress it again."
        ) from error


def read_blocks(path: Path) -> Iterator[bytes]:
    """Yield a text file (plain or gzip, pipes too) in blocks of whole lines; refuse what is damaged or no text."""
    with (
        open_binary(path) as raw,
        steps(
            None, f"reading {path.name}", total=os.fstat(raw.fileno()).st_size, unit="B", unit_scale=True, leave=False
        ) as bar,
    ):
        head = raw.peek(10)
        check_is_text(path, head)
        handle = gzip.GzipFile(fileobj=raw) if head.startswith(b"\x1f\x8b") else raw
        rest, n_lines = b"", 0
        while True:
            with complete_gzip(path):
                block = handle.read(_BLOCK_BYTES)
            bar.update(raw.tell() - bar.n if raw.seekable() else 0)
            if not block:
                break
            if b"\0" in block:
                line = n_lines + 1 + block.count(b"\n", 0, block.index(b"\0"))
                raise InputError(f"{path}:{line}: expected text, got a NUL byte (UTF-16, or damage). Save it as UTF-8.")
            if b"\r" in block and (lone := _LONE_RETURN.search(block)):
                line = n_lines + 1 + block.count(b"\n", 0, lone.start())
                raise InputError(f"{path}:{line}: {LONE_RETURN}")
            n_lines += block.count(b"\n")
            cut = block.rfind(b"\n") + 1
            if cut:
                yield rest + block[:cut]
                rest = block[cut:]
            else:
                rest += block
                if len(rest) > _LONGEST_LINE:
                    raise InputError(f"{path}: expected a text file, got a line of more than {_LONGEST_LINE} bytes.")
        if rest:
            yield rest


def _read_file(path: Path, name: str, summits: bool) -> Iterator[pd.DataFrame]:
    line = 1
    separator: str | None = None
    for block in read_blocks(path):
        if line == 1:
            block = block.removeprefix(b"\xef\xbb\xbf")
        data = block
        if _NOT_DATA.search(block):
            data = b"\n".join(text for text in block.split(b"\n") if not _NOT_DATA.match(text))
        if data:
            if separator is None:
                separator = "\t" if b"\t" in data.partition(b"\n")[0] else r"\s+"
            frame = _parse_fast(data, separator, summits)
            yield _parse_slowly(block, separator, name, line, summits) if frame is None else frame
        line += block.count(b"\n")


def _parse_fast(data: bytes, separator: str, summits: bool) -> pd.DataFrame | None:
    """Parse a block without comments; None if anything in it needs a closer look."""
    if data.startswith(b"\xef\xbb\xbf"):  # which pandas takes for no part of a name
        return None
    names = _WITH_SUMMIT if summits else COLUMNS
    used = [*COLUMNS, *names[_SUMMIT_COLUMN:]]
    try:
        frame = pd.read_csv(
            io.BytesIO(data),
            sep=separator,
            header=None,
            names=names,
            usecols=[names.index(column) for column in used],
            index_col=False,
            # Start and end have no type on purpose: with one, pandas makes numbers of 1e2 and True.
            dtype={column: str for column in used if column not in ("start", "end")},
            low_memory=False,
            na_filter=False,
            quoting=3,
            encoding="utf-8",
            encoding_errors=_CODING[1],
            engine="c",
        )
    except (ValueError, OverflowError, pd.errors.ParserError):
        return None
    if frame["start"].dtype != np.int64 or frame["end"].dtype != np.int64 or _ODD_NUMBER.search(data):
        return None
    for column in ("name", "score", "strand"):
        frame[column] = frame[column].fillna(".").replace("", ".")
    if frame["end"].max() > _LARGEST or _first_bad_row(frame) is not None:
        return None
    if summits:
        codes, values = pd.factorize(frame["summit"].fillna("").to_numpy())
        summit = np.array([_summit(value) for value in values], dtype=np.int64)[codes]
        summit[frame.pop("more").fillna("").to_numpy() != ""] = NO_SUMMIT
        frame["summit"] = summit
    return frame


def _is_whole(text: str) -> bool:
    return _NUMBER.fullmatch(text.strip(" \r")) is not None


def _summit(text: str) -> int:
    return int(text) if _is_whole(text) else NO_SUMMIT


def _first_bad_row(frame: pd.DataFrame) -> int | None:
    start, end = frame["start"].to_numpy(), frame["end"].to_numpy()
    bad = (start < 0) | (end <= start)
    for column, is_good in (("strand", lambda x: x in STRANDS), ("chrom", bool)):
        codes, values = pd.factorize(frame[column].to_numpy())
        bad |= ~np.array([is_good(value) for value in values], dtype=bool)[codes]
    return int(np.argmax(bad)) if bad.any() else None


def _split(text: str, separator: str) -> list[str]:
    text = text.rstrip("\r\n")
    return text.split("\t") if separator == "\t" else re.split("[ \t]+", text.strip(" \t"))


def _parse_slowly(block: bytes, separator: str, name: str, first_line: int, summits: bool) -> pd.DataFrame:
    """Parse a block line by line; the judge of what a line may look like."""
    rows, found = [], []
    for number, raw in enumerate(block.split(b"\n"), start=first_line):
        if not _NOT_DATA.match(raw):
            fields = _split(raw.decode(*_CODING), separator)
            rows.append(_parse_line(fields, f"{name}:{number}"))
            has_ten = len(fields) > _SUMMIT_COLUMN and not any(fields[_SUMMIT_COLUMN + 1 : _SUMMIT_COLUMN + 2])
            found.append(_summit(fields[_SUMMIT_COLUMN]) if has_ten else NO_SUMMIT)
    frame = pd.DataFrame(rows, columns=COLUMNS).astype({"start": np.int64, "end": np.int64})
    return frame.assign(summit=np.array(found, dtype=np.int64)) if summits else frame


def _parse_line(fields: list[str], at: str) -> tuple[str, int, int, str, str, str]:
    if len(fields) < 3:
        raise InputError(
            f"{at}: expected at least the columns chrom, start, end, got {len(fields)} column(s): {_short(fields)}. "
            "Separate columns by tabs."
        )
    chrom, start, end = fields[0], _whole_number(fields[1], "start", at), _whole_number(fields[2], "end", at)
    name, score, strand = (field or "." for field in (*fields[3:6], ".", ".", ".")[:3])
    problem = _problem(chrom, start, end, strand)
    if problem:
        raise InputError(f"{at}: {problem}")
    return chrom, start, end, name, score, strand


def _whole_number(text: str, column: str, at: str) -> int:
    if _is_whole(text):
        return int(text)
    hint = " If this is a header line, put # before it." if at.endswith(":1") else ""
    raise InputError(f"{at}: expected a whole number as {column}, got {_short([text])}.{hint}")


def _problem(chrom: Any, start: int, end: int, strand: Any) -> str | None:
    if not chrom:
        return "expected a contig name in the first column, got nothing."
    if start < 0:
        return f"expected start >= 0, got start={start}. {_HINT}"
    if end <= start:
        return f"expected end > start, got start={start} end={end}. {_HINT}"
    if strand not in STRANDS:
        return f"expected + - or . as strand (column 6), got {_short([str(strand)])}."
    return None


def _short(fields: list[str]) -> str:
    text = " ".join(fields)
    return repr(text if len(text) <= 40 else text[:37] + "...")


# ------------------------------------------------------------------ objects


def _from_tuples(source: Iterable[Any]) -> pd.DataFrame:
    try:
        rows = [() if isinstance(row, str) else tuple(row) for row in source]
    except TypeError as error:
        raise InputError(
            f"intervals: expected a BED file, a DataFrame or a list of (chrom, start, end, ...) tuples, "
            f"got {type(source).__name__}."
        ) from error
    if rows and all(len(row) == 4 and row[3] in STRANDS for row in rows):
        rows = [(*row[:3], ".", ".", row[3]) for row in rows]
    for i, row in enumerate(rows):
        if len(row) < 3:
            raise InputError(
                f"interval {i + 1}: expected (chrom, start, end[, name, score, strand]), got {row or 'text'!r}."
            )
    filled = [(*row[:6], *(".",) * (6 - len(row))) for row in rows]
    return pd.DataFrame(filled, columns=COLUMNS, dtype=object)


def _from_frame(frame: pd.DataFrame) -> pd.DataFrame:
    if not {*COLUMNS[:3]} <= {*frame.columns}:
        raise InputError(
            "intervals: expected columns chrom, start, end [name, score, strand], "
            f"got {', '.join(map(str, frame.columns))}."
        )
    columns: dict[str, Any] = {"chrom": _text(frame["chrom"], "")}
    columns |= {column: _whole_numbers(frame[column], column) for column in ("start", "end")}
    columns |= {column: _text(frame[column], ".") if column in frame.columns else "." for column in COLUMNS[3:]}
    checked = pd.DataFrame(columns, columns=COLUMNS, index=pd.RangeIndex(len(frame)))
    row = _first_bad_row(checked) if len(checked) else None
    if row is not None:
        chrom, start, end, _, _, strand = checked.iloc[row]
        raise InputError(f"interval {row + 1} ({chrom}:{start}-{end}): {_problem(chrom, start, end, strand)}")
    return checked


def _text(column: pd.Series, missing: str) -> np.ndarray:
    codes, levels = pd.factorize(column.to_numpy(dtype=object))
    return np.array([*(str(level) or missing for level in levels), missing], dtype=object)[codes]


def _whole_numbers(column: pd.Series, name: str) -> np.ndarray:
    values = column.to_numpy()
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad = ~(np.isfinite(numbers) & (numbers == np.floor(numbers)))
    if values.dtype.kind not in "f":
        odd = [not _is_whole(v) if isinstance(v, str) else isinstance(v, bool | np.bool_) for v in values]
        bad |= np.array(odd, dtype=bool)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"interval {row + 1}: expected a whole number as {name}, got {values[row]!r}.")
    return numbers.astype(np.int64)


def _rechunk(blocks: Iterator[pd.DataFrame], size: int | None, source: str | None) -> Iterator[pd.DataFrame]:
    """Yield tables of exactly ``size`` rows (all rows in one table if None)."""
    waiting: list[pd.DataFrame] = []
    n_waiting = 0
    for block in blocks:
        waiting.append(block)
        n_waiting += len(block)
        if size is None or n_waiting < size:
            continue
        joined = pd.concat(waiting, ignore_index=True) if len(waiting) > 1 else block
        n_ready = n_waiting - n_waiting % size
        for first in range(0, n_ready, size):
            yield _labelled(joined.iloc[first : first + size], source)
        waiting, n_waiting = [joined.iloc[n_ready:]], n_waiting - n_ready
    if n_waiting:
        yield _labelled(pd.concat(waiting, ignore_index=True), source)


def _labelled(frame: pd.DataFrame, source: str | None) -> pd.DataFrame:
    frame = frame.reset_index(drop=True)
    if source is not None:
        frame.attrs["source"] = source
    return frame
