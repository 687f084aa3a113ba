"""Scored variants as data frames, the long table, and Parquet."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import ipc

from ripe_lib.genome.alleles import OK
from ripe_lib.output.tables import only_utf8
from ripe_lib.variants.format import OutputFormat, Selection, long_names, number_texts, wide_names
from ripe_lib.variants.scorer import ScoredVariants
from ripe_lib.variants.summary import class_names


def wide_or_long(
    scored: ScoredVariants, selection: Selection, keep: NDArray[np.bool_], out: OutputFormat
) -> pd.DataFrame:
    """Return the table of a chunk, unrounded; parameters as :func:`ripe_lib.variants.format.wide_lines`."""
    if out.layout == "long":
        return long_frame(scored, selection, keep, out.top)
    return wide_frame(scored, selection)[keep].reset_index(drop=True)


def wide_frame(scored: ScoredVariants, selection: Selection | None = None) -> pd.DataFrame:
    """Return the table of :func:`ripe_lib.score_variants`: one row per allele and strand, of all tasks or some."""
    selection = selection or Selection(scored.models)
    meta = pd.DataFrame(scored.rows.meta())
    names = wide_names(scored, selection)
    values = np.concatenate(selection.values(scored), axis=1).reshape(len(meta), len(names))
    scores = pd.DataFrame(values, columns=names)
    for name in names:
        if name.endswith(".class"):
            scores[name] = class_names(scores[name].to_numpy())
    return pd.concat([meta, scores], axis=1)


def long_frame(scored: ScoredVariants, selection: Selection, keep: NDArray[np.bool_], top: int = 0) -> pd.DataFrame:
    """Return one row per allele, strand and task: all tasks, or the ``top`` with the largest |delta|, largest first.

    An allele that could not be scored has one row, without a task.

    Parameters
    ----------
    scored, selection, keep
        As :func:`wide_or_long`.
    top : int
        Tasks per row of ``scored``; 0: all.
    """
    at = scored.fields.index("delta")
    values = np.concatenate(selection.values(scored), axis=1)
    tasks = selection.tasks
    models = [m.name for number, m in enumerate(selection.models) for _ in selection.names(number)]
    n_tasks = len(tasks)
    n_kept = min(top, n_tasks) if top else n_tasks
    if top:
        chosen = np.argsort(-np.abs(values[..., at]), axis=1, kind="stable")[:, :n_kept]
    else:
        chosen = np.broadcast_to(np.arange(n_tasks), values.shape[:2])
    scored_rows = scored.rows.status == OK
    wanted = np.zeros((len(values), n_kept), dtype=bool)
    wanted[keep & scored_rows] = True
    wanted[keep & ~scored_rows, :1] = True
    row, place = np.nonzero(wanted)
    column = chosen[row, place]
    frame = pd.DataFrame(scored.rows.meta()).iloc[row].reset_index(drop=True)
    has_task = scored_rows[row]
    if len(selection.models) > 1:
        frame["model"] = np.where(has_task, np.array(models, dtype=object)[column], "")
    frame["task"] = np.where(has_task, np.array(tasks, dtype=object)[column], "")
    for number, name in enumerate(long_names(scored.fields)):
        picked = values[row, column, number]
        frame[name] = class_names(picked) if name == "class" else picked
    return frame


def long_lines(table: pd.DataFrame, out: OutputFormat) -> list[str]:
    """Return the lines of a long table."""
    columns: list[list[str]] = []
    for name in table.columns:
        column = table[name]
        if column.dtype.kind == "f":
            columns.append(number_texts(column.to_numpy(np.float32)[:, None, None], [name], "\t"))
        else:
            columns.append([str(value) for value in column])
    return [out.line(fields) for fields in zip(*columns, strict=True)]


def arrow_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as an Arrow stream: parts of a Parquet file, which is encoded once, at the end."""
    with only_utf8("Parquet"):
        columns = pa.Table.from_pandas(table, schema=_schema(table), preserve_index=False)
    return stream_of(columns)


def stream_of(table: pa.Table) -> bytes:
    """Return an Arrow table as a compressed stream."""
    sink = io.BytesIO()
    with ipc.new_stream(sink, table.schema, options=ipc.IpcWriteOptions(compression="lz4")) as stream:
        stream.write_table(table)
    return sink.getvalue()


def _schema(table: pd.DataFrame) -> pa.Schema:
    """Return the same schema for every chunk, also where a text column has no value."""
    kinds = {"f": pa.float32(), "i": pa.int64()}
    return pa.schema([(name, kinds.get(table[name].dtype.kind, pa.string())) for name in table.columns])


def joined_streams(contents: Sequence[bytes]) -> bytes:
    """Return one Arrow stream of several."""
    return stream_of(pa.concat_tables([ipc.open_stream(content).read_all() for content in contents]))


def join_parquet(parts: Iterable[bytes], path: Path) -> None:
    """Write one Parquet file from Arrow streams, one at a time; the first gives the columns."""
    writer = None
    try:
        for content in filter(None, parts):
            table = ipc.open_stream(content).read_all().combine_chunks()  # a row group per part
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            if len(table):
                writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
