"""Ready tables of CLIP sites (the formats of ``clip31`` and ``rbp24``) -> rows with codes and each table's own labels.

``clip31``: one gzipped TSV per experiment with ``chrom start end strand label sequence region``; windows of 101 nt,
sequence and region letters in RNA sense; optionally ``background.train.tsv.gz`` with ``negative_in``.
``rbp24``: ``chrom start end strand site_start site_end label sequence``; the sequence is the site with real flanks.

A row is one distinct window of one source. Windows of 101 nt are put at offset L/2 - 51 (24 of 150, 74 of 250);
sites with flanks are placed by the window rule of DESIGN (``ripe_lib.genome.windows``), flanks filling the margin as
far as they go, N beyond. What the sites' borders were is not stored: they give the label away (RNase T1).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError, MissingFileError, check_known
from ripe_lib.genome.encoding import BASE_TABLE, REGION_TABLE, UNKNOWN, Codes, codes_from_ascii, place, place_ragged
from ripe_lib.genome.windows import window_start

KNOWN_BASES = 101  # bases of a ready window; also what flank masking leaves
TABLE_SUFFIX = ".train.tsv.gz"
COLUMNS = {
    "clip31": ["chrom", "start", "end", "strand", "label", "sequence", "region"],
    "rbp24": ["chrom", "start", "end", "strand", "site_start", "site_end", "label", "sequence"],
}
BACKGROUND_COLUMNS = ["chrom", "start", "end", "strand", "sequence", "region", "negative_in"]


@dataclass(frozen=True)
class WindowOptions:
    """Window lengths and the margin stored for shifts, nt."""

    sequence_length: int = 150
    region_length: int = 250
    margin: int = 40

    def __post_init__(self) -> None:
        if self.sequence_length < KNOWN_BASES or self.sequence_length % 2 or self.region_length % 2 or self.margin < 0:
            raise InputError(
                f"window: expected even lengths of at least {KNOWN_BASES} and a margin >= 0, got {vars(self)}."
            )

    @property
    def seq_width(self) -> int:
        """Stored positions of the sequence."""
        return self.sequence_length + 2 * self.margin

    @property
    def region_width(self) -> int:
        """Stored positions of the region track."""
        return self.region_length + 2 * self.margin


@dataclass(frozen=True)
class TableInput:
    """One folder of ready tables."""

    format: str  # "clip31" or "rbp24"
    directory: Path
    source: str = ""  # its name in the data set; default the format's
    # Tables to read; default all. Those that are no task only contribute rows.
    experiments: tuple[str, ...] | None = None
    # Also read background.train.tsv.gz (clip31 format): windows that are negative in their experiments.
    background: bool = False


def core(width: int) -> slice:
    """Return where the :data:`KNOWN_BASES` of a ready window lie among ``width`` positions."""
    first = width // 2 - KNOWN_BASES // 2 - 1
    return slice(first, first + KNOWN_BASES)


@dataclass
class SourceRows:
    """The distinct windows of one source."""

    chrom: NDArray[Any]  # str (N,)
    start: NDArray[np.int64]  # (N,), and end: the interval, 0-based half-open
    end: NDArray[np.int64]
    strand: NDArray[Any]  # str (N,)
    window_start: NDArray[np.int64]  # (N,), genomic start of the L-nt window; windows of one site are compared by it
    seq: Codes  # (N, width), codes with margins, RNA sense
    region: Codes
    positive: NDArray[np.bool_]  # (N, T), what the tables themselves say of exactly this window
    negative: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: Any) -> SourceRows:
        """Return some rows."""
        return SourceRows(**{name: value[rows] for name, value in vars(self).items()})

    @classmethod
    def joined(cls, parts: list[SourceRows]) -> SourceRows:
        """Return the rows of several tables or sources, one after the other."""
        return cls(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})


def experiments_in(directory: Path) -> list[str]:
    """Return the experiments a folder has tables of, in the order of ``experiments.tsv`` where there is one."""
    if not directory.is_dir():
        raise MissingFileError(f"{directory}: no such folder of tables.")
    names = {path.name.removesuffix(TABLE_SUFFIX) for path in directory.glob(f"*{TABLE_SUFFIX}")}
    names -= {"background", "sites"}
    order = {name: i for i, name in enumerate(read_listing(directory)["id"])}
    if not names:
        raise InputError(f"{directory}: expected files named EXPERIMENT{TABLE_SUFFIX}, found none.")
    return sorted(names, key=lambda name: (order.get(name, len(order)), name))


def read_listing(directory: Path) -> pd.DataFrame:
    """Return what ``experiments.tsv`` says about the experiments of a folder; without any row if it is not there."""
    path = directory / "experiments.tsv"
    if not path.is_file():
        return pd.DataFrame(columns=["id"])
    try:
        listing = pd.read_csv(path, sep="\t", dtype=str, na_filter=False, index_col=False)
    except ValueError as error:  # pandas' errors are such
        raise InputError(f"{path}: expected a tab-separated table, got something unreadable ({error}).") from error
    if "id" not in listing.columns:
        raise InputError(f"{path}:1: expected a column 'id', got none.")
    return listing


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a table, checking its columns, coordinates, strands and labels; errors name file and line."""
    if not path.is_file():
        raise MissingFileError(f"{path}: no such table.")
    try:
        frame = pd.read_csv(path, sep="\t", dtype=str, na_filter=False)
    except (EOFError, OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: expected a tab-separated table, got something unreadable ({error}).") from error
    if missing := [c for c in columns if c not in frame.columns]:
        raise InputError(f"{path}:1: expected columns {columns}, column {missing[0]!r} is missing.")
    frame = frame[columns].copy()

    def refuse(bad: pd.Series, shown: pd.Series, expected: str) -> None:
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{path}:{row + 2}: expected {expected}, got {str(shown.iloc[row])[:40]!r}. Correct the table."
            )

    for column in ("start", "end", "site_start", "site_end", "label"):
        if column in columns:
            pattern, wanted = ("[01]", "0 or 1") if column == "label" else ("[0-9]{1,15}", "whole number")
            refuse(~frame[column].str.fullmatch(pattern), frame[column], f"a {wanted} in column {column!r}")
            frame[column] = frame[column].astype(np.int64)
    refuse(~frame["strand"].isin(["+", "-"]), frame["strand"], "strand + or -")
    refuse(frame["start"] >= frame["end"], frame["end"], "start < end (0-based, half-open)")
    lengths = frame["sequence"].str.len()
    refuse(lengths != frame["end"] - frame["start"], lengths, "a sequence as long as its interval")
    if "region" in columns:
        refuse(frame["region"].str.len() != lengths, frame["region"], "as many region letters as bases")
    return frame


def _letter_codes(frame: pd.DataFrame, column: str, table: NDArray[np.uint8], path: Path) -> Codes:
    letters = np.frombuffer("".join(frame[column]).encode("latin-1", "replace"), dtype=np.uint8)
    return codes_from_ascii(letters, table, f"{path}, column {column}")


def _encode_ready(frame: pd.DataFrame, shape: WindowOptions, path: Path) -> tuple[Codes, Codes, NDArray[np.int64]]:
    """Return base codes, region codes and window starts of ready windows."""
    lengths = (frame["end"] - frame["start"]).to_numpy()
    if (other := lengths != KNOWN_BASES).any():
        row = int(np.argmax(other))
        raise InputError(f"{path}:{row + 2}: expected windows of {KNOWN_BASES} nt, got {lengths[row]}.")
    seq, region = (
        place(_letter_codes(frame, column, table, path).reshape(-1, KNOWN_BASES), width, core(width).start)
        for column, table, width in (
            ("sequence", BASE_TABLE, shape.seq_width),
            ("region", REGION_TABLE, shape.region_width),
        )
    )
    return seq, region, frame["start"].to_numpy() + 50 - (shape.sequence_length // 2 - 1)


def _encode_flanked(frame: pd.DataFrame, shape: WindowOptions, path: Path) -> tuple[Codes, Codes, NDArray[np.int64]]:
    """Return base codes, region codes (unknown) and window starts of sites with flanks."""
    start, end = frame["start"].to_numpy(), frame["end"].to_numpy()
    first = window_start(frame["site_start"].to_numpy(), frame["site_end"].to_numpy(), shape.sequence_length)
    minus = (frame["strand"] == "-").to_numpy()
    offset = shape.margin + np.where(minus, first + shape.sequence_length - end, start - first)
    letters = _letter_codes(frame, "sequence", BASE_TABLE, path)
    seq = place_ragged(letters, end - start, offset, shape.seq_width)
    return seq, np.full((len(frame), shape.region_width), UNKNOWN, dtype=np.uint8), first


def read_source(table: TableInput, experiments: list[str], tasks: list[str], shape: WindowOptions) -> SourceRows:
    """Read the tables of one source into distinct windows.

    Parameters
    ----------
    table : TableInput
    experiments : list of str
        Tables to read.
    tasks : list of str
        Label columns.
    shape : WindowOptions
    """
    check_known("table format", table.format, COLUMNS)
    is_ready = table.format == "clip31"
    encode, site = (_encode_ready, "") if is_ready else (_encode_flanked, "site_")
    parts = []
    for name in [*experiments, *(["background"] if table.background else [])]:
        path = table.directory / f"{name}{TABLE_SUFFIX}"
        frame = read_table(path, COLUMNS[table.format] if name in experiments else BACKGROUND_COLUMNS)
        seq, region, first = encode(frame, shape, path)
        positive = np.zeros((len(frame), len(tasks)), dtype=bool)
        negative = np.zeros_like(positive)
        if name not in experiments:
            listed = frame["negative_in"].str.split(",")
            for index, task in enumerate(tasks):
                negative[:, index] = [task in names for names in listed]
        elif name in tasks:
            label = frame["label"].to_numpy() == 1
            positive[:, tasks.index(name)], negative[:, tasks.index(name)] = label, ~label
        chrom, strand = (frame[column].to_numpy(dtype=str) for column in ("chrom", "strand"))
        start, end = (frame[f"{site}{column}"].to_numpy() for column in ("start", "end"))
        parts.append(SourceRows(chrom, start, end, strand, first, seq, region, positive, negative))
    rows = SourceRows.joined(parts)
    # One row of each window, sorted by place, without those that know no base.
    keys = pd.DataFrame({"chrom": rows.chrom, "window": rows.window_start, "strand": rows.strand})
    number = keys.groupby(["chrom", "window", "strand"], sort=True).ngroup().to_numpy()
    merged = rows.take(np.unique(number, return_index=True)[1])
    merged.positive, merged.negative = (
        pd.DataFrame(told).groupby(number).any().to_numpy(dtype=bool) for told in (rows.positive, rows.negative)
    )
    return merged.take((merged.seq[:, core(shape.seq_width)] != UNKNOWN).any(axis=1))
