"""Scored variants as text: the wide table, VCF INFO, and the biobank layout.

Numbers in text are rounded to six decimals; Parquet (:mod:`ripe_lib.variants.tables`) keeps them as they are. Only CSV
has quoting: fields of a VCF hold no tabs. Missing values are empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, check_known
from ripe_lib.genome.alleles import OK
from ripe_lib.genome.vcf import InfoField, annotated_line, escape, info_key
from ripe_lib.output.bgzf import bgzf
from ripe_lib.output.compiled import compiled
from ripe_lib.variants.rows import META_COLUMNS
from ripe_lib.variants.scorer import ScoredVariants, prefixes
from ripe_lib.variants.summary import CLASSES, class_codes, class_names

if TYPE_CHECKING:
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
_LARGEST = 1e12  # beyond, a number times a million does not fit 64 bits
_WIDEST = 22  # characters of a number: sign, 13 digits, point, decimals, separator
_MILLION = 1_000_000
# The digits of 0 .. 999.
_DIGITS = np.array([[ord(c) for c in f"{i:03d}"] for i in range(1000)], dtype=np.uint8)
_MINUS, _POINT, _ZERO = ord("-"), ord("."), ord("0")
_I, _N, _F = ord("i"), ord("n"), ord("f")
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

        Parameters
        ----------
        path : path
            Of the output.
        layout : str, optional
            One of :data:`LAYOUTS`; default: ``long`` with ``top``, else ``wide``.
        top : int
            Tasks written per allele and strand; 0: all.

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

    def names(self, number: int) -> list[str]:
        """Return the chosen tasks of a model."""
        return [self.models[number].tasks[i] for i in self.columns[number]]

    @property
    def tasks(self) -> list[str]:
        """The chosen tasks of all models."""
        return [task for number in range(len(self.models)) for task in self.names(number)]

    @property
    def labels(self) -> list[str]:
        """The same, with the model's name before each where there are several."""
        return [f"{prefix}{task}" for n, prefix in enumerate(prefixes(self.models)) for task in self.names(n)]

    def values(self, scored: ScoredVariants) -> list[NDArray[np.float32]]:
        """Return (R, t, F) per model."""
        return [values[:, columns] for values, columns in zip(scored.values, self.columns, strict=True)]


def header(scored: ScoredVariants, selection: Selection, out: OutputFormat, vcf_header: Sequence[str]) -> bytes:
    """Return the beginning of the output file; ``scored`` may be empty.

    Parameters
    ----------
    scored : ScoredVariants
        Has the fields; may be empty.
    selection : Selection
        The tasks that are written.
    out : OutputFormat
    vcf_header : sequence of str
        The lines of a VCF's header.
    """
    if out.kind == "parquet":
        return b""
    if out.kind == "vcf":
        lines = list(vcf_header)
    elif out.layout == "biobank":
        # With the model's name only where tasks would be confused.
        names = selection.tasks if len(set(selection.tasks)) == len(selection.tasks) else selection.labels
        lines = [out.line(["chr", "pos", "Uploaded_variant", "ref", "alt", *names])]
    elif out.layout == "long":
        model = ["model"] if len(selection.models) > 1 else []
        lines = [out.line([*META_COLUMNS, *model, "task", *long_names(scored.fields)])]
    else:
        lines = [out.line([*META_COLUMNS, *wide_names(scored, selection)])]
    return out.encoded(lines)


def wide_names(scored: ScoredVariants, selection: Selection) -> list[str]:
    """Return the score columns of the wide table."""
    return [f"{label}.{name}" for label in selection.labels for name in scored.fields]


def long_names(fields: Sequence[str]) -> list[str]:
    """Return the score columns of the long table."""
    return [LONG_NAMES.get(name, name) for name in fields]


def info_fields(scored_fields: Sequence[str], selection: Selection) -> list[InfoField]:
    """Return the INFO fields of a VCF, per model: one with everything packed, and three flat ones to filter by."""
    fields = []
    for number, name in enumerate(info_names(selection)):
        model = selection.models[number].name
        tasks = selection.names(number)
        if not tasks:
            continue
        packed = "|".join([*INFO_COLUMNS, *(f"{task}.{f}" for task in tasks for f in scored_fields)])
        fields += [
            InfoField(
                f"DeepRiPe_{name}",
                ".",
                "String",
                f"{model}: effects on RNA-binding proteins, alt - ref. One entry per allele and strand; Consequence is "
                f"the change of its strongest task. Format: {packed}",
            ),
            *flat_fields(f"DRP_{name}", model).values(),
        ]
    return fields


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


# --- text ----------------------------------------------------------------------------------------------------------


def number_texts(values: NDArray[np.float32], fields: Sequence[str], separator: str) -> list[str]:
    """Return one text per row: numbers with six decimals, classes by name, NaN empty.

    Parameters
    ----------
    values : float32 array (n, t, F)
        Of rows, tasks and fields.
    fields : sequence of str (F,)
    separator : str
        One character.
    """
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


def wide_lines(scored: ScoredVariants, selection: Selection, keep: NDArray[np.bool_], out: OutputFormat) -> list[str]:
    """Return the lines of rows in the wide layout.

    Parameters
    ----------
    scored : ScoredVariants
    selection : Selection
        The tasks that are written.
    keep : bool array (R,)
        The rows that are written.
    out : OutputFormat
    """
    rows = np.flatnonzero(keep)
    columns = [column.tolist() for column in scored.rows.meta().values()]
    if not keep.all():
        columns = [[column[i] for i in rows] for column in columns]
    columns[1] = list(map(str, columns[1]))
    separator = "\t"
    if out.kind == "csv":
        separator, columns = ",", [list(map(_csv, column)) for column in columns]
    values_of = zip(selection.values(scored), selection.columns, strict=True)
    scores = [number_texts(values[rows], scored.fields, separator) for values, tasks in values_of if len(tasks)]
    return [separator.join(fields) for fields in zip(*columns, *scores, strict=True)]


def vcf_lines(scored: ScoredVariants, selection: Selection, keep: NDArray[np.bool_], top: int) -> list[str]:
    """Return the annotated records, of the ``top`` tasks (0: all); other parameters as :func:`wide_lines`."""
    rows = np.flatnonzero(keep)
    table, alleles = scored.rows, scored.rows.alleles
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
    ends = np.searchsorted(alleles.record, np.arange(len(alleles.records)), side="right").tolist()
    info: list[list[tuple[str, str]]] = [[] for _ in alleles.records.lines]
    for number, name in enumerate(info_names(selection)):
        values = selection.values(scored)[number][rows]
        if not values.shape[1]:
            continue
        delta, tasks, classes = strongest_tasks(scored, values, selection.names(number))
        if top:
            size = np.abs(values[..., scored.fields.index("delta")])
            np.put_along_axis(values, np.argsort(-size, axis=1, kind="stable")[:, top:, None], np.nan, axis=1)
        entries: dict[int, list[str]] = {}
        for i, head, change, known, text in zip(
            record, heads, classes, is_scored, number_texts(values, scored.fields, "|"), strict=True
        ):
            entries.setdefault(i, []).append(f"{head}{change}|{text}" if known else head)
        # Of two strands of an allele the larger |delta|.
        best = strongest_rows(allele, np.nan_to_num(np.abs(delta), nan=-1))
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
            if alleles.records.alt[i] in ("", "."):
                continue  # no allele, so no value of Number=A
            of = slice(ends[i - 1] if i else 0, ends[i])
            info[i] += [
                (f"DRP_{name}_MAXDELTA", ",".join(maxima[of])),
                (f"DRP_{name}_TASK", ",".join(names[of])),
                (f"DRP_{name}_CLASS", ",".join(changes[of])),
            ]
    keys = [field.key for field in info_fields(scored.fields, selection)]
    return [annotated_line(line, added, keys=keys) for line, added in zip(alleles.records.lines, info, strict=True)]


def strongest_tasks(
    scored: ScoredVariants, values: NDArray[np.float32], tasks: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.object_], NDArray[np.object_]]:
    """Return delta, task and class of the task with the largest |delta| per row.

    Parameters
    ----------
    scored : ScoredVariants
        Has the fields and thresholds.
    values : float32 array (n, t, F)
    tasks : sequence of str
        Their names.
    """
    ref, alt, at = (scored.fields.index(name) for name in ("ref", "alt", "delta"))
    strongest = np.nan_to_num(np.abs(values[..., at])).argmax(axis=1)
    best = values[np.arange(len(values)), strongest]
    names = np.array(tasks, dtype=object)[strongest]
    return best[:, at], names, class_names(class_codes(best[:, ref], best[:, alt], *scored.thresholds))


def strongest_rows(allele: NDArray[np.int64], size: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return, in the order of the alleles, the row of each with the largest size."""
    order = np.lexsort((-size, allele))
    return order[np.flatnonzero(np.diff(allele[order], prepend=-1))]


def biobank_lines(scored: ScoredVariants, selection: Selection, keep: NDArray[np.bool_]) -> list[str]:
    """Return one line per ALT; where both strands are scored, the larger |delta| of each task counts.

    Parameters as :func:`wide_lines`.
    """
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
    meta = scored.rows.meta()
    columns = [[_csv(str(meta[name][i])) for i in first[kept]] for name in ("chrom", "pos", "id", "ref", "alt")]
    texts = number_texts(best[kept][:, :, None], ["delta"], ",")
    return [",".join(fields) for fields in zip(*columns, texts, strict=True)]


def _csv(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r') else text


# --- numbers: most of the bytes of an output file ------------------------------------------------------------------


def decimal_rows(values: NDArray[np.float32], separator: str) -> list[str]:
    """Return each row of (n, m) as one text: ``%.6f``, but ``0`` without sign and NaN empty."""
    if not values.size:
        return [""] * len(values)
    if np.abs(values, where=np.isfinite(values), out=np.zeros_like(values)).max(initial=0) >= _LARGEST:
        return plain_decimal_rows(values, separator)
    room = np.empty(values.size * _WIDEST, dtype=np.uint8)
    ends = np.empty(len(values), dtype=np.int64)
    n_bytes = _write_decimals(np.ascontiguousarray(values), ord(separator), room, ends)
    text = room[:n_bytes].tobytes().decode("ascii")
    # A row ends with a separator that does not belong to it.
    begins = [0, *ends[:-1].tolist()]
    return [text[begin : end - 1] for begin, end in zip(begins, ends.tolist(), strict=True)]


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
                scaled = np.rint(abs(np.float64(value)) * _MILLION)
                if value < 0 and scaled > 0:
                    out[at] = _MINUS
                    at += 1
                if scaled > 1e18:
                    out[at], out[at + 1], out[at + 2] = _I, _N, _F
                    at += 3
                else:
                    number = np.int64(scaled)
                    whole = number // _MILLION
                    small = number - whole * _MILLION
                    if whole >= 10:
                        width = 1
                        rest = whole // 10
                        while rest:
                            width += 1
                            rest //= 10
                        for place in range(at + width - 1, at, -1):
                            out[place] = _ZERO + whole % 10
                            whole //= 10
                        out[at] = _ZERO + whole
                        at += width
                    else:
                        out[at] = _ZERO + whole
                        at += 1
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
