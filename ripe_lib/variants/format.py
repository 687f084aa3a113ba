"""Scored variants as text or Parquet: the wide and the long table, VCF INFO, and the biobank layout.

Numbers in text are rounded to six decimals; Parquet keeps them as they are. Only CSV has quoting: fields of a VCF hold
no tabs. Missing values are empty.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.genome.alleles import OK
from ripe_lib.genome.vcf import InfoField, annotated_line, escape, info_key
from ripe_lib.output.bgzf import bgzf
from ripe_lib.output.decimals import decimal_rows
from ripe_lib.output.tables import only_utf8
from ripe_lib.variants.score import META_COLUMNS, ScoredVariants, prefixes
from ripe_lib.variants.summary import CLASSES, class_codes, class_names

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from ripe_lib.network.load import Model

INFO_COLUMNS = ("ALLELE", "STRAND", "GENES", "REGION_TYPE", "STATUS", "Consequence")  # the last: bcftools +split-vep
LAYOUTS = ("wide", "long", "biobank")
_SUFFIXES = {
    ".vcf": ("vcf", False),
    ".vcf.gz": ("vcf", True),
    ".vcf.bgz": ("vcf", True),
    ".bcf": ("vcf", False),  # made of the VCF when it is complete
    ".tsv": ("tsv", False),
    ".tsv.gz": ("tsv", True),
    ".csv": ("csv", False),
    ".csv.gz": ("csv", True),
    ".parquet": ("parquet", False),
}
LONG_NAMES = {"ref": "ref_probability", "alt": "alt_probability"}  # the table has the alleles as ref and alt


@dataclass(frozen=True)
class OutputFormat:
    """Kind of file (``vcf``, ``tsv``, ``csv``, ``parquet``), whether BGZF-compressed, and the layout of tables.

    The suffix decides the kind, never the numbers: a CSV is the table of a TSV.
    """

    kind: str
    compressed: bool
    layout: str = "wide"
    top: int = 0

    @classmethod
    def of(cls, path: str | Path, layout: str | None = None, top: int = 0) -> OutputFormat:
        """Choose by the suffix of the output.

        Raises
        ------
        InputError
            Listing the known suffixes, or if the layout does not go with it.
        """
        name = Path(path).name.lower()
        suffix = next((s for s in sorted(_SUFFIXES, key=len, reverse=True) if name.endswith(s)), None)
        if suffix is None:
            raise InputError(
                f"{path}: expected an output name that ends in {', '.join(_SUFFIXES)}. The suffix decides the format."
            )
        kind, compressed = _SUFFIXES[suffix]
        layout = layout or ("long" if top and kind != "vcf" else "wide")
        if layout not in LAYOUTS:
            raise InputError(f"layout: expected one of {', '.join(LAYOUTS)}, got {layout!r}.")
        if layout == "biobank" and kind != "csv":
            raise InputError(f"{path}: expected an output name that ends in .csv or .csv.gz for the biobank layout.")
        if kind == "vcf" and layout != "wide":
            raise InputError(f"{path}: a VCF has no long layout. Write .tsv or .parquet.")
        if top and layout != "long" and kind != "vcf":
            raise InputError("top tasks per variant need the long layout (one row per task).")
        return cls(kind, compressed, layout, top)

    def line(self, fields: Sequence[str]) -> str:
        """Return a line of a text table; the fields are quoted where CSV needs it."""
        return ",".join(map(_csv, fields)) if self.kind == "csv" else "\t".join(fields)


class Selection:
    """Which tasks are written, as indices per model, in the order they were asked for."""

    def __init__(self, models: Sequence[Model], tasks: Sequence[str] | None = None) -> None:
        from ripe_lib.errors import unknown_name

        known = [task for model in models for task in model.tasks]
        for task in tasks or ():
            if task not in known:
                raise unknown_name("task", task, known, f"List them with: ripe tasks {models[0].name}")
        self.models = list(models)
        self.columns = [
            np.array([m.tasks.index(t) for t in dict.fromkeys(tasks or m.tasks) if t in m.tasks], dtype=np.intp)
            for m in models
        ]

    def names(self, number: int) -> list[str]:
        """Return the chosen tasks of a model."""
        return [self.models[number].tasks[i] for i in self.columns[number]]

    def values(self, scored: ScoredVariants) -> list[NDArray[np.float32]]:
        """Return (R, t, F) per model."""
        return [values[:, columns] for values, columns in zip(scored.values, self.columns, strict=True)]


def payload(scored: ScoredVariants, selection: Selection, keep: NDArray[np.bool_], out: OutputFormat) -> bytes:
    """Return what a chunk adds to the output file, without the file's header.

    Parameters
    ----------
    keep : bool (R,)
        Rows to write; a VCF keeps its records and leaves out the other entries.
    """
    if out.kind == "parquet":
        return arrow_bytes(wide_or_long(scored, selection, keep, out))
    if out.kind == "vcf":
        lines = _vcf_lines(scored, selection, keep, out.top)
    elif out.layout == "biobank":
        lines = _biobank_lines(scored, selection, keep)
    elif out.layout == "long":
        lines = _long_lines(long_frame(scored, selection, keep, out.top), out)
    else:
        lines = _wide_lines(scored, selection, keep, out)
    text = ("\n".join(lines) + "\n" if lines else "").encode("utf-8", "surrogateescape")
    return bgzf(text) if out.compressed else text


def header(scored: ScoredVariants, selection: Selection, out: OutputFormat, vcf_header: Sequence[str]) -> bytes:
    """Return the beginning of the output file; ``scored`` may be empty."""
    if out.kind == "parquet":
        return b""
    if out.kind == "vcf":
        lines = list(vcf_header)
    elif out.layout == "biobank":
        lines = [out.line(["chr", "pos", "Uploaded_variant", "ref", "alt", *biobank_names(selection)])]
    elif out.layout == "long":
        model = ["model"] if len(selection.models) > 1 else []
        lines = [out.line([*META_COLUMNS, *model, "task", *long_names(scored.fields)])]
    else:
        lines = [out.line([*META_COLUMNS, *wide_names(scored, selection)])]
    text = "".join([line + "\n" for line in lines]).encode("utf-8", "surrogateescape")
    return bgzf(text) if out.compressed else text


def wide_names(scored: ScoredVariants, selection: Selection) -> list[str]:
    """Return the score columns of the wide table."""
    return [
        f"{prefix}{task}.{name}"
        for number, prefix in enumerate(prefixes(selection.models))
        for task in selection.names(number)
        for name in scored.fields
    ]


def long_names(fields: Sequence[str]) -> list[str]:
    """Return the score columns of the long table."""
    return [LONG_NAMES.get(name, name) for name in fields]


def biobank_names(selection: Selection) -> list[str]:
    """Return the task columns of the biobank layout; with the model's name only where tasks would be confused."""
    names = [task for number in range(len(selection.models)) for task in selection.names(number)]
    if len(set(names)) == len(names):
        return names
    return [f"{p}{task}" for n, p in enumerate(prefixes(selection.models)) for task in selection.names(n)]


def info_fields(scored_fields: Sequence[str], selection: Selection) -> list[InfoField]:
    """Return the INFO fields of a VCF, per model: one with everything packed, and three flat ones to filter by."""
    fields = []
    for number, name in enumerate(info_names(selection)):
        model = selection.models[number].name
        tasks = selection.names(number)
        if not tasks:
            continue
        packed = "|".join([*INFO_COLUMNS, *(f"{task}.{f}" for task in tasks for f in scored_fields)])
        strongest = f"{model}: {{}} of the task with the largest |alt - ref| of the allele, over strands"
        fields += [
            InfoField(
                f"DeepRiPe_{name}",
                ".",
                "String",
                f"{model}: effects on RNA-binding proteins, alt - ref. One entry per allele and strand; Consequence is "
                f"the change of its strongest task. Format: {packed}",
            ),
            InfoField(f"DRP_{name}_MAXDELTA", "A", "Float", strongest.format("alt - ref")),
            InfoField(f"DRP_{name}_TASK", "A", "String", strongest.format("name")),
            InfoField(f"DRP_{name}_CLASS", "A", "String", strongest.format("change (" + " ".join(CLASSES) + ")")),
        ]
    return fields


def info_names(selection: Selection) -> list[str]:
    """Return what INFO keys call the models: the last part of their names, or all of it where that is not enough."""
    names = [model.name for model in selection.models]
    short = [name.rsplit("/", 1)[-1] for name in names]
    if len(set(short)) < len(short):
        short = [name.removeprefix("DeepRiPe/") for name in names]
    return [info_key("x" + name)[1:] for name in short]


# --- text ----------------------------------------------------------------------------------------------------------


def _joined(values: NDArray[np.float32], fields: Sequence[str], separator: str) -> list[str]:
    """Return one text per row of (n, t, F): numbers with six decimals, classes by name, NaN empty."""
    n, n_tasks, n_fields = values.shape
    texts = decimal_rows(values.reshape(n, n_tasks * n_fields), separator)
    if "class" not in fields:
        return texts
    at = list(fields).index("class")
    rows = []
    for text, names in zip(texts, class_names(values[..., at]).tolist(), strict=True):
        row = text.split(separator)
        row[at::n_fields] = names
        rows.append(separator.join(row))
    return rows


def _all_joined(
    scored: ScoredVariants, selection: Selection, rows: NDArray[np.intp], separator: str
) -> list[list[str]]:
    return [
        _joined(values[rows], scored.fields, separator)
        for values, columns in zip(selection.values(scored), selection.columns, strict=True)
        if len(columns)
    ]


def _wide_lines(scored: ScoredVariants, selection: Selection, keep: NDArray[np.bool_], out: OutputFormat) -> list[str]:
    rows = np.flatnonzero(keep)
    columns = [np.asarray(column, dtype=object).tolist() for column in scored.meta().values()]
    if not keep.all():
        columns = [[column[i] for i in rows] for column in columns]
    columns[1] = list(map(str, columns[1]))
    separator = "\t"
    if out.kind == "csv":
        separator, columns = ",", [list(map(_csv, column)) for column in columns]
    scores = _all_joined(scored, selection, rows, separator)
    return [separator.join(fields) for fields in zip(*columns, *scores, strict=True)]


def _vcf_lines(scored: ScoredVariants, selection: Selection, keep: NDArray[np.bool_], top: int) -> list[str]:
    rows = np.flatnonzero(keep)
    table, alleles = scored.rows, scored.alleles
    allele = table.allele[rows]
    heads = [
        f"{escape(alleles.alt[i])}|{strand}|{'&'.join(map(escape, genes.split(',')))}|{region_type}|{status}|"
        for i, strand, genes, region_type, status in zip(
            allele.tolist(),
            table.strand[rows],
            table.genes[rows],
            table.region_type[rows],
            table.status[rows],
            strict=True,
        )
    ]
    is_scored = (table.status[rows] == OK).tolist()
    record = alleles.record[allele].tolist()
    ends = np.searchsorted(alleles.record, np.arange(len(scored.records)), side="right").tolist()
    info: list[list[tuple[str, str]]] = [[] for _ in scored.records.lines]
    for number, name in enumerate(info_names(selection)):
        values = selection.values(scored)[number][rows]
        if not values.shape[1]:
            continue
        delta, tasks, classes = _strongest(scored, values, selection.names(number))
        if top:
            size = np.abs(values[..., scored.fields.index("delta")])
            np.put_along_axis(values, np.argsort(-size, axis=1, kind="stable")[:, top:, None], np.nan, axis=1)
        entries: dict[int, list[str]] = {}
        for i, head, change, known, text in zip(
            record, heads, classes, is_scored, _joined(values, scored.fields, "|"), strict=True
        ):
            entries.setdefault(i, []).append(f"{head}{change}|{text}" if known else head)
        # Of two strands of an allele the larger |delta|.
        order = np.lexsort((-np.nan_to_num(np.abs(delta), nan=-1), allele))
        best = order[np.unique(allele[order], return_index=True)[1]]
        flat = np.full((3, len(alleles)), ".", dtype=object)
        best = best[~np.isnan(delta[best])]
        flat[:, allele[best]] = (
            np.array(decimal_rows(delta[best][:, None], ","), dtype=object),
            [escape(tasks[i]) for i in best],
            classes[best],
        )
        maxima, names, changes = flat.tolist()
        for i, parts in entries.items():
            info[i].append((f"DeepRiPe_{name}", ",".join(parts)))
            if scored.records.alt[i] in ("", "."):
                continue  # no allele, so no value of Number=A
            of = slice(ends[i - 1] if i else 0, ends[i])
            info[i] += [
                (f"DRP_{name}_MAXDELTA", ",".join(maxima[of])),
                (f"DRP_{name}_TASK", ",".join(names[of])),
                (f"DRP_{name}_CLASS", ",".join(changes[of])),
            ]
    keys = [field.key for field in info_fields(scored.fields, selection)]
    return [annotated_line(line, added, keys=keys) for line, added in zip(scored.records.lines, info, strict=True)]


def _strongest(
    scored: ScoredVariants, values: NDArray[np.float32], tasks: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.object_], NDArray[np.object_]]:
    """Return delta, task and class of the task with the largest |delta| per row of (n, t, F)."""
    ref, alt, at = (scored.fields.index(name) for name in ("ref", "alt", "delta"))
    strongest = np.nan_to_num(np.abs(values[..., at])).argmax(axis=1)
    best = values[np.arange(len(values)), strongest]
    names = np.array(tasks, dtype=object)[strongest]
    return best[:, at], names, class_names(class_codes(best[:, ref], best[:, alt], *scored.thresholds))


def _biobank_lines(scored: ScoredVariants, selection: Selection, keep: NDArray[np.bool_]) -> list[str]:
    """One line per ALT; where both strands are scored, the larger |delta| of each task counts."""
    at = scored.fields.index("delta")
    deltas = np.concatenate([values[..., at] for values in selection.values(scored)], axis=1)
    size = np.where(np.isnan(deltas), -1, np.abs(deltas))
    size[~keep] = -2
    allele = scored.rows.allele
    first = np.flatnonzero(np.diff(allele, prepend=-1))
    second = np.minimum(first + 1, len(allele) - 1)  # a strand of the same allele, if there is one
    has_second = (allele[second] == allele[first]) & (second != first)
    use_second = has_second[:, None] & (size[second] > size[first])
    best = np.where(use_second, deltas[second], deltas[first])
    kept = keep[first] | (has_second & keep[second])
    meta = scored.meta()
    columns = [[_csv(str(meta[name][i])) for i in first[kept]] for name in ("chrom", "pos", "id", "ref", "alt")]
    texts = _joined(best[kept][:, :, None], ["delta"], ",")
    return [",".join(fields) for fields in zip(*columns, texts, strict=True)]


def _csv(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r') else text


def _long_lines(table: pd.DataFrame, out: OutputFormat) -> list[str]:
    columns: list[list[str]] = []
    for name in table.columns:
        column = table[name]
        if column.dtype.kind == "f":
            columns.append(_joined(column.to_numpy(np.float32)[:, None, None], [name], "\t"))
        else:
            columns.append([str(value) for value in column])
    return [out.line(fields) for fields in zip(*columns, strict=True)]


# --- tables --------------------------------------------------------------------------------------------------------


def wide_or_long(
    scored: ScoredVariants, selection: Selection, keep: NDArray[np.bool_], out: OutputFormat
) -> pd.DataFrame:
    """Return the table of a chunk, unrounded."""
    if out.layout == "long":
        return long_frame(scored, selection, keep, out.top)
    import pandas as pd

    meta = scored.meta_frame()
    names = wide_names(scored, selection)
    values = np.concatenate(selection.values(scored), axis=1).reshape(len(meta), len(names))
    scores = pd.DataFrame(values, columns=names)
    for name in names:
        if name.endswith(".class"):
            scores[name] = class_names(scores[name].to_numpy())
    return pd.concat([meta, scores], axis=1)[keep].reset_index(drop=True)


def long_frame(scored: ScoredVariants, selection: Selection, keep: NDArray[np.bool_], top: int = 0) -> pd.DataFrame:
    """Return one row per allele, strand and task: all tasks, or the ``top`` with the largest |delta|, largest first.

    An allele that could not be scored has one row, without a task.
    """
    at = scored.fields.index("delta")
    values = np.concatenate(selection.values(scored), axis=1)
    tasks = [task for number in range(len(selection.models)) for task in selection.names(number)]
    models = [m.name for number, m in enumerate(selection.models) for _ in selection.names(number)]
    n_tasks = len(tasks)
    n_kept = min(top, n_tasks) if top else n_tasks
    if top:
        chosen = np.argsort(-np.abs(values[..., at]), axis=1, kind="stable")[:, :n_kept]
    else:
        chosen = np.broadcast_to(np.arange(n_tasks), values.shape[:2])
    scored_rows = scored.rows.status == "ok"
    wanted = np.zeros((len(values), n_kept), dtype=bool)
    wanted[keep & scored_rows] = True
    wanted[keep & ~scored_rows, :1] = True
    row, place = np.nonzero(wanted)
    column = chosen[row, place]
    frame = scored.meta_frame().iloc[row].reset_index(drop=True)
    has_task = scored_rows[row]
    if len(selection.models) > 1:
        frame["model"] = np.where(has_task, np.array(models, dtype=object)[column], "")
    frame["task"] = np.where(has_task, np.array(tasks, dtype=object)[column], "")
    for number, name in enumerate(long_names(scored.fields)):
        picked = values[row, column, number]
        frame[name] = class_names(picked) if name == "class" else picked
    return frame


def arrow_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as an Arrow stream: parts of a Parquet file, which is encoded once, at the end."""
    import pyarrow as pa

    with only_utf8("Parquet"):
        columns = pa.Table.from_pandas(table, schema=_schema(table), preserve_index=False)
    return stream_of(columns)


def stream_of(table: pa.Table) -> bytes:
    """Return an Arrow table as a compressed stream."""
    from pyarrow import ipc

    sink = io.BytesIO()
    with ipc.new_stream(sink, table.schema, options=ipc.IpcWriteOptions(compression="lz4")) as stream:
        stream.write_table(table)
    return sink.getvalue()


def _schema(table: pd.DataFrame) -> pa.Schema:
    """Return the same schema for every chunk, also where a text column has no value."""
    import pyarrow as pa

    kinds = {"f": pa.float32(), "i": pa.int64()}
    return pa.schema([(name, kinds.get(table[name].dtype.kind, pa.string())) for name in table.columns])
