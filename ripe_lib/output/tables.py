"""Tables written chunk by chunk, with flat memory, complete or not there; the suffix decides the format.

- ``.tsv``, ``.csv`` (also ``.gz``): one header line; missing values are empty; floats in the shortest form that reads
  back to the same number; no attributes, since a comment line would be in the way of every reader.
- ``.parquet``: one row group per chunk or more, zstd; the attributes in the schema's metadata, as JSON.
- ``.h5``, ``.hdf5``: one dataset per column (text as UTF-8); root attribute ``columns`` with their order, and the
  attributes.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
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

SUFFIXES = (".tsv", ".tsv.gz", ".csv", ".csv.gz", ".parquet", ".h5", ".hdf5")

Add = Callable[["pd.DataFrame", bool], None]  # a chunk, whether it is the first

_HDF5_CHUNK_ROWS = 16_384
_GZIP_LEVEL = 4  # level 6 takes twice as long for 3 % smaller tables of probabilities


def table_format(path: str | Path) -> str:
    """Return the suffix that decides the format."""
    name = Path(path).name.lower()
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return suffix
    raise InputError(f"{path}: expected a file name that ends in {', '.join(SUFFIXES)}. The suffix decides the format.")


@contextmanager
def open_table(path: str | Path, *, attributes: Mapping[str, Any] | None = None) -> Iterator[TableWriter]:
    """Open a table for writing; it appears under its name when the block ends without an exception.

    ``attributes`` are facts about the table (text, numbers, lists of them), which Parquet and HDF5 keep. Raises what
    :func:`table_format` and :func:`ripe_lib.output.atomic.atomic_file` raise.
    """
    opened = {".parquet": _parquet, ".h5": _hdf5, ".hdf5": _hdf5}.get(table_format(path), _text)
    with atomic_file(path) as temporary, opened(temporary, attributes or {}) as add:
        yield TableWriter(path, add)


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


def open_text(path: Path, stack: ExitStack) -> IO[bytes]:
    """Open a text file for writing, compressed if its name ends in ``.gz``; ``stack`` closes it."""
    handle: IO[bytes] = stack.enter_context(path.open("wb"))
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
    shape, kind : tuple of int, dtype
        Of a row.
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


class TableWriter:
    """What :func:`open_table` yields; its memory does not grow with the number of chunks."""

    def __init__(self, path: str | Path, add: Add) -> None:
        self._path, self._add = path, add
        self._columns: list[str] | None = None

    def write(self, table: pd.DataFrame) -> None:
        """Append rows; every chunk has the same columns with the same kinds of values."""
        columns, before = [str(name) for name in table.columns], self._columns
        if before not in (None, columns):
            raise InputError(f"{self._path}: expected columns {before}, got {columns}.")
        self._columns = columns
        self._add(table, before is None)


@contextmanager
def _text(path: Path, _: Mapping[str, Any]) -> Iterator[Add]:
    import pyarrow as pa
    from pyarrow import csv

    separator = "," if ".csv" in table_format(path) else "\t"
    options = csv.WriteOptions(include_header=False, delimiter=separator, quoting_style="none")
    schema = None

    def add(table: pd.DataFrame, is_first: bool) -> None:
        nonlocal schema
        if is_first:
            file.write(table.iloc[:0].to_csv(sep=separator, index=False, lineterminator="\n").encode())
        buffer = pa.BufferOutputStream()
        try:
            chunk = _arrow_table(table, schema)
            schema = chunk.schema
            csv.write_csv(chunk, buffer, options)
        except (pa.ArrowInvalid, UnicodeEncodeError):
            # A text holds a separator, quote or line end (pandas quotes just those), or bytes that are no UTF-8.
            text = table.to_csv(sep=separator, index=False, header=False, lineterminator="\n")
            file.write(text.encode("utf-8", "surrogateescape"))
        else:
            file.write(memoryview(buffer.getvalue()))

    with ExitStack() as stack:
        file = open_text(path, stack)
        yield add


@contextmanager
def _parquet(path: Path, attributes: Mapping[str, Any]) -> Iterator[Add]:
    import pyarrow as pa
    from pyarrow import parquet

    facts = {str(key): json.dumps(value, default=str) for key, value in attributes.items()}
    schema, writer = pa.schema([]), None

    def opened() -> parquet.ParquetWriter:
        full = schema.with_metadata({**(schema.metadata or {}), **facts})
        return stack.enter_context(parquet.ParquetWriter(path, full, compression="zstd"))

    def add(table: pd.DataFrame, is_first: bool) -> None:
        nonlocal schema, writer
        with only_utf8(path.name.partition(".part.")[2]):
            chunk = _arrow_table(table, None if is_first else schema)
        schema = chunk.schema
        writer = writer or opened()
        writer.write_table(chunk.cast(writer.schema))

    with ExitStack() as stack:
        yield add
        if writer is None:
            opened()


@contextmanager
def _hdf5(path: Path, attributes: Mapping[str, Any]) -> Iterator[Add]:
    import h5py

    def add(table: pd.DataFrame, is_first: bool) -> None:
        check_room(path, 2 * int(table.memory_usage(deep=True).sum()) + len(table.columns) * _HDF5_CHUNK_ROWS * 8)
        for name, column in table.items():
            values = _hdf5_values(column)
            if is_first:
                kind = h5py.string_dtype() if values.dtype == object else values.dtype
                growing(file, str(name), (), kind, _HDF5_CHUNK_ROWS)
            append(file[str(name)], values)
        if is_first:
            file.attrs["columns"] = [str(name) for name in table.columns]

    with h5py.File(path, "w") as file:
        file.attrs.update({**attributes, "columns": []})
        yield add


def _hdf5_values(column: pd.Series) -> np.ndarray:
    import pandas as pd

    if pd.api.types.is_bool_dtype(column.dtype) or (isinstance(column.dtype, np.dtype) and column.dtype != object):
        return column.to_numpy()
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype="float64", na_value=np.nan)
    texts = column.astype(object).where(column.notna(), "").astype(str)
    # As bytes: those that are no UTF-8 are kept as they came.
    return np.array([text.encode("utf-8", "surrogateescape") for text in texts], dtype=object)
