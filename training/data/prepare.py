"""``ripe-train prepare``: a YAML config -> data set files with their manifests and a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ripe_lib.errors import InputError
from training.config import build, section
from training.data.original import OriginalInput, prepare_original
from training.data.peak_dataset import prepare_peaks
from training.data.peak_sites import PeakInput
from training.data.prepared import LabelOptions, Note, TableInput, WindowOptions
from training.data.splits import SplitOptions
from training.data.table_dataset import prepare_tables

__all__ = ["LabelOptions", "PrepareConfig", "TableInput", "WindowOptions", "prepare", "prepare_all", "read_config"]


@dataclass(frozen=True)
class PrepareConfig:
    """Everything ``prepare`` does. One of ``tables``, ``peaks`` and ``original`` says where sites come from.

    Attributes
    ----------
    output : Path
        Data set file; with tiers ``<stem>_<tier>.h5`` beside it.
    tables : tuple of TableInput
        Ready tables.
    peaks : PeakInput
        Peak files with genome and annotation.
    original : OriginalInput
        An HDF5 file in the authors' layout.
    tasks : tuple of str, optional
        Label columns, in order, for tables. Default: all experiments that are read.
    report : bool
        Write ``<stem>_report.html`` beside each data set.
    """

    output: Path
    seed: int = 0
    tasks: tuple[str, ...] | None = None
    tables: tuple[TableInput, ...] = ()
    peaks: PeakInput | None = None
    original: OriginalInput | None = None
    window: WindowOptions = field(default_factory=WindowOptions)
    labels: LabelOptions = field(default_factory=LabelOptions)
    split: SplitOptions = field(default_factory=SplitOptions)
    report: bool = False


def read_config(path: str | Path) -> PrepareConfig:
    """Read the section ``prepare`` of a config file; relative paths in it are relative to the working folder."""
    return build(PrepareConfig, section(path, "prepare"), str(path))


def prepare(config: PrepareConfig, *, note: Note = lambda _: None) -> Path:
    """Make one data set; with tiers the first of them. See :func:`prepare_all`."""
    return prepare_all(config, note=note)[0]


def prepare_all(config: PrepareConfig, *, note: Note = lambda _: None) -> list[Path]:
    """Make the data sets of a config.

    Parameters
    ----------
    config : PrepareConfig
    note : callable
        Is given remarks and warnings, one line each.

    Returns
    -------
    list of Path
        The files written, one per tier.

    Raises
    ------
    RipeError
        For wrong input; nothing half-done is left.
    """
    given = [name for name in ("tables", "peaks", "original") if getattr(config, name)]
    if len(given) != 1:
        raise InputError(f"prepare: expected one of 'tables', 'peaks' and 'original', got {given or 'none'}.")
    if config.peaks is not None:
        return prepare_peaks(config, config.peaks, note)
    if config.original is not None:
        return [prepare_original(config, config.original, note)]
    return [prepare_tables(config, note)]
