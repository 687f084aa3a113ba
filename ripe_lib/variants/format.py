"""Scored variants as text: the wide table, VCF INFO, and the biobank layout.

Numbers in text are rounded to six decimals; Parquet (:mod:`ripe_lib.variants.tables`) keeps them as they are. Only CSV
has quoting: fields of a VCF hold no tabs. Missing values are empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, check_known
from ripe_lib.genome.alleles import OK
from ripe_lib.genome.vcf import InfoField, annotated_line, escape, info_key
from ripe_lib.network.load import Model
from ripe_lib.output.bgzf import bgzf
from ripe_lib.output.compiled import compiled
from ripe_lib.variants.rows import META_COLUMNS
from ripe_lib.variants.scorer import ScoredVariants
from ripe_lib.variants.summary import CLASSES, class_codes, class_names

INFO_COLUMNS = ("ALLELE", "STRAND", "GENES", "REGION_TYPE", "STATUS", "Consequence")  # the last: bcftools +split-vep
_SUFFIXES = (".vcf", ".vcf.gz", ".vcf.bgz", ".bcf", ".tsv", ".tsv.gz", ".csv", ".csv.gz", ".parquet")
_LARGEST = 1e12  # beyond, a number times a million does not fit 64 bits
_WIDEST = 22  # characters of a number: sign, 13 digits, point, decimals, separator
_MILLION = 1_000_000
_DIGITS = np.array([[ord(c) for c in f"{i:03d}"] for i in range(1000)], dtype=np.uint8)  # of 0 .. 999
_MINUS, _POINT, _ZERO = ord("-"), ord("."), ord("0")
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
        """Choose by the suffix of the output; errors list the known ones, or say which layout does not go with it.

        Parameters
        ----------
        path : path
        layout : str, optional
            ``wide``, ``long`` or ``biobank``; default: ``long`` with ``top``, else ``wide``.
        top : int
            Tasks written per allele and strand; 0: all.
        """
        name = Path(path).name.lower()
        suffix = next((s for s in sorted(_SUFFIXES, key=len, reverse=True) if name.endswith(s)), None)
        if suffix is None:
            raise InputError(
                f"{path}: expected an output name that ends in {', '.join(_SUFFIXES)}. The suffix decides the format."
            )
        kind = "vcf" if suffix == ".bcf" else suffix.split(".")[1]  # a BCF is made of the VCF when it is complete
        layout = layout or ("long" if top and kind != "vcf" else "wide")
        if layout == "biobank" and kind != "csv":
            raise InputError(f"{path}: expected an output name that ends in .csv or .csv.gz for the biobank layout.")
        if kind == "vcf" and layout != "wide":
            raise InputError(f"{path}: a VCF has no long layout. Write .tsv or .parquet.")
        if top and layout != "long" and kind != "vcf":
            raise InputError("top tasks per variant need the long layout (one row per task).")
        return cls(kind, suffix.endswith("gz"), layout, top)

    def line(self, fields: Sequence[str]) -> str:
        """Return a line of a text table; the fields are quoted where CSV needs it."""
        return ",".join(map(_csv, fields)) if self.kind == "csv" else "\t".join(fields)

    def encoded(self, lines: Sequence[str]) -> bytes:
        """Return lines as they go into the file."""
        text = ("\n".join(lines) + "\n" if lines else "").encode("utf-8", "surrogateescape")
        return bgzf(text) if self.compressed else text


class Selection:
    """Which tasks are written, as indices per model, in the order they were asked for."""

    def __init__(self, models: Sequence[Model], tasks: Sequence[str] | None = None) -> None:
        known = [task for model in models for task in model.tasks]
        for task in tasks or ():
            check_known("task", task, known, f"List them with: ripe tasks {models[0].name}")
        self.models = list(models)
        self.columns = [
            np.array([m.tasks.index(t) for t in dict.fromkeys(tasks or m.tasks) if t in m.tasks], dtype=np.intp)
            for m in models
        ]
        self.model_names = [model.name for number, model in enumerate(models) for _ in self.names(number)]  # per task
        self.tasks = [task for number in range(len(self.models)) for task in self.names(number)]
        # With the model's name before each where there are several.
        pairs = zip(self.model_names, self.tasks, strict=True)
        self.labels = [f"{name}:{task}" for name, task in pairs] if len(self.models) > 1 else self.tasks

    def names(self, number: int) -> list[str]:
        """Return the chosen tasks of a model."""
        return [self.models[number].tasks[i] for i in self.columns[number]]

    def values(self, scored: ScoredVariants) -> list[NDArray[np.float32]]:
        """Return (R, t, F) per model."""
        return [values[:, columns] for values, columns in zip(scored.values, self.columns, strict=True)]

    def deltas(self, scored: ScoredVariants) -> NDArray[np.float32]:
        """Return (R, t) of all models."""
        at = scored.fields.index("delta")
        pairs = zip(scored.values, self.columns, strict=True)
        return np.concatenate([values[:, columns, at] for values, columns in pairs], axis=1)

    def strongest(
        self, scored: ScoredVariants, number: int
    ) -> tuple[NDArray[np.float32], NDArray[np.object_], NDArray[np.object_]]:
        """Return delta, name and class of a model's task with the largest |delta| per row."""
        values, options = scored.values[number][:, self.columns[number]], scored.options
        ref, alt, at = (scored.fields.index(name) for name in ("ref", "alt", "delta"))
        largest = np.nan_to_num(np.abs(values[..., at])).argmax(axis=1)
        best = values[np.arange(len(values)), largest]
        codes = class_codes(best[:, ref], best[:, alt], options.delta_threshold, options.site_threshold)
        return best[:, at], np.array(self.names(number), dtype=object)[largest], class_names(codes)


def header(fields: Sequence[str], selection: Selection, out: OutputFormat, vcf_header: Sequence[str]) -> bytes:
    """Return the beginning of the output file (not Parquet).

    Parameters
    ----------
    fields, selection, out, vcf_header
        As of :func:`info_fields` and :func:`wide_lines`; the lines of a VCF's header.
    """
    if out.kind == "vcf":
        return out.encoded(vcf_header)
    columns = [*META_COLUMNS, *wide_names(fields, selection)]
    if out.layout == "biobank":
        # With the model's name only where tasks would be confused.
        names = selection.tasks if len(set(selection.tasks)) == len(selection.tasks) else selection.labels
        columns = ["chr", "pos", "Uploaded_variant", "ref", "alt", *names]
    elif out.layout == "long":
        model = ["model"] if len(selection.models) > 1 else []
        columns = [*META_COLUMNS, *model, "task", *long_names(fields)]
    return out.encoded([out.line(columns)])


def wide_names(fields: Sequence[str], selection: Selection) -> list[str]:
    """Return the score columns of the wide table."""
    return [f"{label}.{name}" for label in selection.labels for name in fields]


def long_names(fields: Sequence[str]) -> list[str]:
    """Return the score columns of the long table."""
    return [LONG_NAMES.get(name, name) for name in fields]


def info_fields(fields: Sequence[str], selection: Selection) -> list[InfoField]:
    """Return the INFO fields of a VCF, per model: one with everything packed, and three flat ones to filter by."""
    found = []
    for number, name in enumerate(info_names(selection)):
        model, tasks = selection.models[number].name, selection.names(number)
        if not tasks:
            continue
        packed = "|".join([*INFO_COLUMNS, *(f"{task}.{field}" for task in tasks for field in fields)])
        said = (
            f"{model}: effects on RNA-binding proteins, alt - ref. One entry per allele and strand; Consequence is "
            f"the change of its strongest task. Format: {packed}"
        )
        found += [InfoField(f"DeepRiPe_{name}", ".", "String", said), *flat_fields(f"DRP_{name}", model).values()]
    return found


def flat_fields(key: str, model: str) -> dict[str, InfoField]:
    """Return the INFO fields of the strongest task of an allele, whose keys begin with ``key``, by what they hold."""
    said = f"{model}: {{}} of the task with the largest |alt - ref| of the allele, over strands"
    return {
        "delta": InfoField(f"{key}_MAXDELTA", "A", "Float", said.format("alt - ref")),
        "task": InfoField(f"{key}_TASK", "A", "String", said.format("name")),
        "class": InfoField(f"{key}_CLASS", "A", "String", said.format("change (" + " ".join(CLASSES) + ")")),
    }


def info_names(selection: Selection) -> list[str]:
    """Return what INFO keys call the models: the last part of their names, or all of it where that is not enough."""
    names = [model.name for model in selection.models]
    short = [name.rsplit("/", 1)[-1] for name in names]
    if len(set(short)) < len(short):
        short = [name.removeprefix("DeepRiPe/") for name in names]
    return [info_key("x" + name)[1:] for name in short]


def number_texts(values: NDArray[np.float32], fields: Sequence[str], separator: str) -> list[str]:
    """Return one text per row: numbers with six decimals, classes by name, NaN empty.

    Parameters
    ----------
    values : float32 array (n, t, F)
    fields : sequence of str (F,)
    separator : str
        One character.
    """
    n, n_tasks, n_fields = values.shape
    texts = decimal_rows(values.reshape(n, n_tasks * n_fields), separator)
    if "class" not in fields:
        return texts
    at, rows = list(fields).index("class"), []
    for text, names in zip(texts, class_names(values[..., at]).tolist(), strict=True):
        row = text.split(separator)
        row[at::n_fields] = names
        rows.append(separator.join(row))
    return rows


def wide_lines(scored: ScoredVariants, selection: Selection, out: OutputFormat) -> list[str]:
    """Return the lines of the wide layout.

    Parameters
    ----------
    scored : ScoredVariants
    selection : Selection
    out : OutputFormat
    """
    columns = [column.tolist() for column in scored.rows.meta().values()]
    columns[1] = list(map(str, columns[1]))
    separator = "\t"
    if out.kind == "csv":
        separator, columns = ",", [list(map(_csv, column)) for column in columns]
    scores = [number_texts(v, scored.fields, separator) for v in selection.values(scored) if v.shape[1]]
    return [separator.join(fields) for fields in zip(*columns, *scores, strict=True)]


def vcf_lines(scored: ScoredVariants, selection: Selection, top: int) -> list[str]:
    """Return the annotated records, of the ``top`` tasks (0: all); parameters as :func:`wide_lines`."""
    rows, alleles, records = scored.rows, scored.rows.alleles, scored.rows.alleles.records
    texts = zip(rows.allele.tolist(), rows.strand, rows.genes, rows.region_type, rows.status, strict=True)
    heads = [
        f"{escape(alleles.alt[i])}|{strand}|{'&'.join(map(escape, genes.split(',')))}|{region_type}|{status}|"
        for i, strand, genes, region_type, status in texts
    ]
    is_scored, record = (rows.status == OK).tolist(), alleles.record[rows.allele].tolist()
    borders = np.searchsorted(alleles.record, np.arange(len(records) + 1)).tolist()  # of the alleles of a record
    info: list[list[tuple[str, str]]] = [[] for _ in records.lines]
    models = zip(selection.values(scored), info_names(selection), strict=True)
    for number, (values, name) in enumerate(models):
        if not values.shape[1]:
            continue
        delta, tasks, classes = selection.strongest(scored, number)
        if top:
            size = np.abs(values[..., scored.fields.index("delta")])
            np.put_along_axis(values, np.argsort(-size, axis=1, kind="stable")[:, top:, None], np.nan, axis=1)
        entries: dict[int, list[str]] = {}
        numbers = number_texts(values, scored.fields, "|")
        for i, head, change, known, text in zip(record, heads, classes, is_scored, numbers, strict=True):
            entries.setdefault(i, []).append(f"{head}{change}|{text}" if known else head)
        # Of two strands of an allele the larger |delta|.
        best = strongest_rows(rows.allele, np.nan_to_num(np.abs(delta), nan=-1))
        best = best[~np.isnan(delta[best])]
        strongest = decimal_rows(delta[best][:, None], ","), map(escape, tasks[best]), classes[best]
        flat = np.full((3, len(alleles)), ".", dtype=object)
        flat[:, rows.allele[best]] = [list(column) for column in strongest]
        flat_columns = list(zip(flat_fields(f"DRP_{name}", "").values(), flat.tolist(), strict=True))
        for i, parts in entries.items():
            info[i].append((f"DeepRiPe_{name}", ",".join(parts)))
            if records.alt[i] not in ("", "."):  # without an allele there is no value of Number=A
                of = slice(*borders[i : i + 2])
                info[i] += [(field.key, ",".join(column[of])) for field, column in flat_columns]
    keys = [field.key for field in info_fields(scored.fields, selection)]
    return [annotated_line(line, added, keys=keys) for line, added in zip(records.lines, info, strict=True)]


def strongest_rows(allele: NDArray[np.int64], size: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return, in the order of the alleles, the row of each with the largest size."""
    order = np.lexsort((-size, allele))
    return order[np.flatnonzero(np.diff(allele[order], prepend=-1))]


def biobank_lines(scored: ScoredVariants, selection: Selection) -> list[str]:
    """Return one line per ALT; where both strands are scored, the larger |delta| of each task counts."""
    deltas, allele = selection.deltas(scored), scored.rows.allele
    size = np.nan_to_num(np.abs(deltas), nan=-1)
    first = np.flatnonzero(np.diff(allele, prepend=-1))
    second = np.append(first, len(allele))[1:] - 1  # the same row, or the other strand of the allele
    best = np.where(size[second] > size[first], deltas[second], deltas[first])
    meta = scored.rows.meta()
    columns = [[_csv(str(meta[name][i])) for i in first] for name in ("chrom", "pos", "id", "ref", "alt")]
    texts = number_texts(best[:, :, None], ["delta"], ",")
    return [",".join(fields) for fields in zip(*columns, texts, strict=True)]


def _csv(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r') else text


def decimal_rows(values: NDArray[np.float32], separator: str) -> list[str]:
    """Return each row of (n, m) as one text: ``%.6f``, but ``0`` without sign and NaN empty.

    Numbers are most of the bytes of an output file, so this is compiled.
    """
    if not values.size:
        return [""] * len(values)
    if (np.abs(values) >= _LARGEST).any():
        return plain_decimal_rows(values, separator)
    room = np.empty(values.size * _WIDEST, dtype=np.uint8)
    ends = np.empty(len(values), dtype=np.int64)
    n_bytes = _write_decimals(np.ascontiguousarray(values), ord(separator), room, ends)
    text = room[:n_bytes].tobytes().decode("ascii")
    borders = [0, *ends.tolist()]  # a row ends with a separator that does not belong to it
    return [text[begin : end - 1] for begin, end in pairwise(borders)]


def plain_decimal_rows(values: NDArray[np.float32], separator: str) -> list[str]:
    """Return the same, the slow and obvious way."""
    texts = ([f"{value:.6f}" if value == value else "" for value in row] for row in values.tolist())
    return [separator.join("0.000000" if text == "-0.000000" else text for text in row) for row in texts]


@compiled
def _write_decimals(values, separator, out, ends):  # type: ignore[no-untyped-def]
    """Write numbers (n, m) with a separator after each; fill ``ends`` (n,) with where rows end, return the last."""
    at = 0
    for row in range(len(values)):
        for value in values[row]:
            if value == value:  # not NaN
                # A float32 times a million has at most 38 bits: the product is exact, and so is its rounding.
                number = np.int64(np.rint(abs(np.float64(value)) * _MILLION))
                if value < 0 and number > 0:
                    out[at] = _MINUS
                    at += 1
                whole = number // _MILLION
                small = number - whole * _MILLION
                width, rest = 1, whole // 10
                while rest:
                    width += 1
                    rest //= 10
                for place in range(at + width - 1, at - 1, -1):
                    out[place] = _ZERO + whole % 10
                    whole //= 10
                at += width
                out[at] = _POINT
                upper = small // 1000
                lower = small - upper * 1000
                for digit in range(3):
                    out[at + 1 + digit] = _DIGITS[upper, digit]
                    out[at + 4 + digit] = _DIGITS[lower, digit]
                at += 7
            out[at] = separator
            at += 1
        ends[row] = at
    return at
