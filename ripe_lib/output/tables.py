"""Tables written chunk by chunk: TSV, CSV, Parquet, HDF5, with flat memory, complete or not there.

=======================  ==========================================================================================
suffix                   what is written
=======================  ==========================================================================================
``.tsv`` ``.csv``        text with one header line, also as ``.gz``; missing values are empty; floats in the shortest
                         form that reads back to the same number
``.parquet``             one row group per chunk or more, zstd; attributes in the schema's metadata
``.h5`` ``.hdf5``        one dataset per column (text as UTF-8), root attribute ``columns`` with their order, and the
                         attributes as root attributes
=======================  ==========================================================================================

Text files carry no attributes: a comment line would be in the way of every reader.
"""

from __future__ import annotations

import gzip
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ripe_lib.errors import InputError
from ripe_lib.output.atomic import atomic_file, check_room

if TYPE_CHECKING:
    import h5py
    import pandas as pd
    import pyarrow as pa

TEXT_SUFFIXES = {".tsv": "\t", ".csv": ","}
SUFFIXES = (".tsv", ".tsv.gz", ".csv", ".csv.gz", ".parquet", ".h5", ".hdf5")

_HDF5_CHUNK_ROWS = 16_384
_GZIP_LEVEL = 4  # level 6 takes twice as long for 3 % smaller tables of probabilities


def table_format(path: str | Path) -> str:
    """Return the suffix that decides the format."""
    name = Path(path).name.lower()
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    raise InputError(f"{path}: expected a file name that ends in {', '.join(SUFFIXES)}. The suffix decides the format.")


@contextmanager
def open_table(path: str | Path, *, attributes: Mapping[str, Any] | None = None) -> Iterator[TableWriter]:
    """Open a table for writing; it appears under its name when the block ends without an exception.

    Parameters
    ----------
    path : path
        The suffix decides the format.
    attributes : mapping, optional
        Facts about the table (text, numbers, lists of them); kept by Parquet and HDF5.

    Yields
    ------
    TableWriter
        Call ``write(DataFrame)`` as often as wanted. Memory does not grow with the number of chunks.

    Raises
    ------
    InputError
        For an unknown suffix, or a chunk with other columns than the first.
    OutputError
        If the folder is missing or not writable, or the disk is full.
    """
    suffix = table_format(path)
    attributes = dict(attributes or {})
    with atomic_file(path) as temporary, ExitStack() as stack:
        if suffix == ".parquet":
            writer: TableWriter = _ParquetWriter(temporary, attributes, stack)
        elif suffix in (".h5", ".hdf5"):
            writer = _Hdf5Writer(temporary, attributes, stack)
        else:
            separator = TEXT_SUFFIXES[suffix.removesuffix(".gz")]
            writer = _TextWriter(temporary, separator, stack)
        yield writer
        writer.finish()


def _arrow_table(table: pd.DataFrame, schema: pa.Schema | None) -> pa.Table:
    """Convert a chunk; a text column without any value stays text, NaN becomes null."""
    import pyarrow as pa

    if schema is None:
        kinds = pa.Schema.from_pandas(table, preserve_index=False)
        text = [pa.types.is_null(kind) or pa.types.is_dictionary(kind) for kind in kinds.types]
        types = [pa.string() if is_text else kind for kind, is_text in zip(kinds.types, text, strict=True)]
        schema = pa.schema(zip(kinds.names, types, strict=True))
    return pa.Table.from_pandas(table, schema=schema, preserve_index=False, safe=False)


@contextmanager
def only_utf8(name: str) -> Iterator[None]:
    """Make of text that Parquet cannot hold one line."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise InputError(
            f"{name}: expected text in UTF-8, which Parquet holds, got {error.object[:40]!r}. Write .tsv, or convert "
            "the input with: iconv -f latin1 -t utf-8"
        ) from error


def open_text(temporary: Path, path: Path, stack: ExitStack) -> IO[bytes]:
    """Open a text file for writing, compressed if ``path``, what it will be called, ends in ``.gz``.

    Parameters
    ----------
    temporary, path : Path
    stack : ExitStack
        Closes it.
    """
    handle: IO[bytes] = stack.enter_context(temporary.open("wb"))
    if not path.name.lower().endswith(".gz"):
        return handle
    # No name and no time inside: equal tables give equal files.
    return stack.enter_context(gzip.GzipFile("", "wb", compresslevel=_GZIP_LEVEL, fileobj=handle, mtime=0))  # type: ignore


def growing(file: h5py.File, name: str, shape: tuple[int, ...], kind: Any, rows: int, **packing: Any) -> h5py.Dataset:
    """Make an HDF5 data set without rows, to be filled by :func:`append`.

    Parameters
    ----------
    file : h5py.File
    name : str
    shape : tuple of int
        Of a row.
    kind : dtype
    rows : int
        Kept in one chunk of the file.
    **packing
        How they are compressed.
    """
    return file.create_dataset(
        name, (0, *shape), kind, maxshape=(None, *shape), chunks=(rows, *shape), track_times=False, **packing
    )


def append(dataset: h5py.Dataset, values: np.ndarray) -> None:
    """Add rows to a data set of :func:`growing`."""
    n = len(dataset)
    dataset.resize(n + len(values), axis=0)
    if len(values):
        dataset[n:] = values


class TableWriter(ABC):
    """What :func:`open_table` yields."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: list[str] | None = None
        self._schema: pa.Schema | None = None

    def write(self, table: pd.DataFrame) -> None:
        """Append rows; every chunk has the same columns with the same kinds of values."""
        columns, is_first = [str(name) for name in table.columns], self._columns is None
        if not is_first and columns != self._columns:
            raise InputError(f"{self._path.name}: expected columns {self._columns}, got {columns}.")
        self._columns = columns
        self._append(table, is_first)

    def finish(self) -> None:  # noqa: B027 (texts end without one)
        """Write what comes after the last chunk."""

    @abstractmethod
    def _append(self, table: pd.DataFrame, is_first: bool) -> None:
        """Write the rows of a checked chunk."""


class _TextWriter(TableWriter):
    def __init__(self, path: Path, separator: str, stack: ExitStack) -> None:
        super().__init__(path)
        self._separator = separator
        self._file = open_text(path, path, stack)

    def _append(self, table: pd.DataFrame, is_first: bool) -> None:
        import pyarrow as pa
        from pyarrow import csv

        if is_first:
            header = table.iloc[:0].to_csv(sep=self._separator, index=False, lineterminator="\n")
            self._file.write(header.encode())
        buffer = pa.BufferOutputStream()
        options = csv.WriteOptions(include_header=False, delimiter=self._separator, quoting_style="none")
        try:
            chunk = _arrow_table(table, self._schema)
            self._schema = chunk.schema
            csv.write_csv(chunk, buffer, options)
        except (pa.ArrowInvalid, UnicodeEncodeError):
            # A text holds a separator, quote or line end (pandas quotes just those), or bytes that are no UTF-8.
            text = table.to_csv(sep=self._separator, index=False, header=False, lineterminator="\n")
            self._file.write(text.encode("utf-8", "surrogateescape"))
            return
        self._file.write(memoryview(buffer.getvalue()))


class _ParquetWriter(TableWriter):
    def __init__(self, path: Path, attributes: dict[str, Any], stack: ExitStack) -> None:
        super().__init__(path)
        self._metadata = {str(key): json.dumps(value, default=str) for key, value in attributes.items()}
        self._stack = stack
        self._writer: Any = None

    def _append(self, table: pd.DataFrame, is_first: bool) -> None:
        with only_utf8(self._path.name.partition(".part.")[2]):
            chunk = _arrow_table(table, self._schema)
        self._schema = chunk.schema
        self._open(chunk.schema)
        self._writer.write_table(chunk.cast(self._writer.schema))

    def _open(self, schema: pa.Schema) -> None:
        from pyarrow import parquet

        if self._writer is None:
            schema = schema.with_metadata({**(schema.metadata or {}), **self._metadata})
            self._writer = self._stack.enter_context(parquet.ParquetWriter(self._path, schema, compression="zstd"))

    def finish(self) -> None:
        import pyarrow as pa

        self._open(pa.schema([]))


class _Hdf5Writer(TableWriter):
    def __init__(self, path: Path, attributes: dict[str, Any], stack: ExitStack) -> None:
        import h5py

        super().__init__(path)
        self._file = stack.enter_context(h5py.File(path, "w"))
        for key, value in attributes.items():
            self._file.attrs[key] = value

    def _append(self, table: pd.DataFrame, is_first: bool) -> None:
        import h5py

        wanted = 2 * int(table.memory_usage(deep=True).sum()) + len(table.columns) * _HDF5_CHUNK_ROWS * 8
        check_room(self._path, wanted)
        for name in table.columns:
            values = _hdf5_values(table[name])
            if is_first:
                kind = h5py.string_dtype() if values.dtype == object else values.dtype
                growing(self._file, str(name), (), kind, _HDF5_CHUNK_ROWS)
            append(self._file[str(name)], values)

    def finish(self) -> None:
        self._file.attrs["columns"] = self._columns or []


def _hdf5_values(column: pd.Series) -> np.ndarray:
    import pandas as pd

    if pd.api.types.is_bool_dtype(column.dtype) or (isinstance(column.dtype, np.dtype) and column.dtype != object):
        return column.to_numpy()
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype="float64", na_value=np.nan)
    texts = column.astype(object).where(column.notna(), "").astype(str)
    # As bytes: those that are no UTF-8 are kept as they came.
    return np.array([text.encode("utf-8", "surrogateescape") for text in texts], dtype=object)
