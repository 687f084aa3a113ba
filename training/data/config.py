"""What preparing a data set can be asked for: the section ``prepare`` of a config file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ripe_lib.errors import check_known
from training.config import build, section
from training.data.labels import CROSS_SOURCE
from training.data.peak_sites import PeakInput
from training.data.sites import TableInput, WindowOptions
from training.data.splits import SplitOptions


@dataclass(frozen=True)
class LabelOptions:
    """How label vectors are made from tables; see :mod:`training.data.labels`."""

    cross_source: str = "shared"
    keep_unlabelled: bool = False
    trusted_contigs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_known("labels cross_source", self.cross_source, CROSS_SOURCE)


@dataclass(frozen=True)
class OriginalInput:
    """A file in the authors' layout."""

    file: Path
    tasks: str  # what the columns of <split>_out mean: a file with one RBP per line, or a catalogue model's name


@dataclass(frozen=True)
class PrepareConfig:
    """Everything ``prepare`` does. One of ``tables``, ``peaks`` and ``original`` says where sites come from."""

    output: Path  # data set file; with tiers <stem>_<tier>.h5 beside it
    seed: int = 0
    tasks: tuple[str, ...] | None = None  # label columns, in order, for tables; default: all experiments that are read
    tables: tuple[TableInput, ...] = ()  # ready tables
    peaks: PeakInput | None = None  # peak files with genome and annotation
    original: OriginalInput | None = None
    window: WindowOptions = field(default_factory=WindowOptions)
    labels: LabelOptions = field(default_factory=LabelOptions)
    split: SplitOptions = field(default_factory=SplitOptions)
    # Annotation of the tables' assembly: region types of all windows and distances to landmarks come from it instead of
    # the tables' letters. With peaks, "peaks: gtf_file" is it.
    gtf: Path | None = None
    # Genome of the tables' assembly: bases beside ready windows are read from it where it knows them.
    fasta: Path | None = None
    # Where the input files came from: the sources.tsv of "ripe-train fetch"; kept in the manifest.
    sources: Path | None = None
    report: bool = False  # write <stem>_report.html beside each data set


def read_config(path: str | Path) -> PrepareConfig:
    """Read the section ``prepare`` of a config file; relative paths in it are relative to the working folder."""
    return build(PrepareConfig, section(path, "prepare"), str(path))
