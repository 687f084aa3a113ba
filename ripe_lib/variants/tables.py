"""Scored variants as data frames, the long table, and Parquet."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc

from ripe_lib.genome.alleles import OK
from ripe_lib.output.tables import only_utf8
from ripe_lib.variants.format import OutputFormat, Selection, long_names, number_texts, wide_names
from ripe_lib.variants.scorer import ScoredVariants
from ripe_lib.variants.summary import class_names


def frame_of(scored: ScoredVariants, selection: Selection, out: OutputFormat) -> pd.DataFrame:
    """Return the table of a chunk, unrounded; parameters as :func:`ripe_lib.variants.format.wide_lines`."""
    return long_frame(scored, selection, out.top) if out.layout == "long" else wide_frame(scored, selection)


def wide_frame(scored: ScoredVariants, selection: Selection | None = None) -> pd.DataFrame:
    """Return the table of :func:`ripe_lib.score_variants`: one row per allele and strand, of all tasks or some."""
    selection = selection or Selection(scored.models)
    meta = pd.DataFrame(scored.rows.meta())
    names = wide_names(scored.fields, selection)
    values = np.concatenate(selection.values(scored), axis=1).reshape(len(meta), len(names))
    scores = pd.DataFrame(values, columns=names)
    for name in names:
        if name.endswith(".class"):
            scores[name] = class_names(scores[name].to_numpy())
    return pd.concat([meta, scores], axis=1)


def long_frame(scored: ScoredVariants, selection: Selection, top: int = 0) -> pd.DataFrame:
    """Return one row per allele, strand and task: all tasks, or the ``top`` with the largest |delta|, largest first.

    An allele that could not be scored has one row, without a task. Parameters as :func:`.vcf_lines`.
    """
    values, tasks = np.concatenate(selection.values(scored), axis=1), selection.tasks
    chosen = np.broadcast_to(np.arange(len(tasks)), values.shape[:2])
    if top:
        chosen = np.argsort(-np.abs(selection.deltas(scored)), axis=1, kind="stable")[:, :top]
    has_task = scored.rows.status == OK
    wanted = np.repeat(has_task[:, None], chosen.shape[1], axis=1)
    wanted[:, :1] = True
    row, place = np.nonzero(wanted)
    column, has_task = chosen[row, place], has_task[row]
    frame = pd.DataFrame(scored.rows.meta()).iloc[row].reset_index(drop=True)
    if len(selection.models) > 1:
        frame["model"] = np.where(has_task, np.array(selection.model_names, dtype=object)[column], "")
    frame["task"] = np.where(has_task, np.array(tasks, dtype=object)[column], "")
    for number, name in enumerate(long_names(scored.fields)):
        picked = values[row, column, number]
        frame[name] = class_names(picked) if name == "class" else picked
    return frame


def long_lines(table: pd.DataFrame, out: OutputFormat) -> list[str]:
    """Return the lines of a long table."""
    columns: list[list[str]] = []
    for name, column in table.items():
        if column.dtype.kind == "f":
            columns.append(number_texts(column.to_numpy(np.float32)[:, None, None], [str(name)], "\t"))
        else:
            columns.append([str(value) for value in column])
    return [out.line(fields) for fields in zip(*columns, strict=True)]


def arrow_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as a compressed Arrow stream, of which a Parquet file is made at the end."""
    # The same schema for every chunk, also where a text column has no value.
    kinds = {"f": pa.float32(), "i": pa.int64()}
    schema = pa.schema([(name, kinds.get(column.dtype.kind, pa.string())) for name, column in table.items()])
    with only_utf8("Parquet"):
        columns = pa.Table.from_pandas(table, schema=schema, preserve_index=False)
    sink = io.BytesIO()
    with ipc.new_stream(sink, columns.schema, options=ipc.IpcWriteOptions(compression="lz4")) as stream:
        stream.write_table(columns)
    return sink.getvalue()


def join_parquet(parts: Iterable[bytes], path: Path) -> None:
    """Write one Parquet file from parts, which hold Arrow streams; the first gives the columns."""
    writer = None
    try:
        for content in filter(None, parts):
            source, tables = pa.BufferReader(content), []
            while source.tell() < len(content):
                tables.append(ipc.open_stream(source).read_all())
            table = pa.concat_tables(tables).combine_chunks()  # a row group per part
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            if len(table):
                writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
