"""``ripe-train prepare``: a YAML config -> data set files with their manifests and a report."""

from __future__ import annotations

from pathlib import Path

from ripe_lib.errors import InputError
from ripe_lib.output.atomic import check_apart
from training.config import Note, section
from training.data.config import PrepareConfig, read_config
from training.data.original import prepare_original
from training.data.peak_dataset import prepare_peaks
from training.data.peak_table import read_peak_table
from training.data.table_dataset import prepare_tables


def prepare(config: PrepareConfig, *, note: Note = lambda _: None) -> Path:
    """Make one data set; with tiers the first of them. See :func:`prepare_all`."""
    return prepare_all(config, note=note)[0]


def prepared_data(path: str | Path, note: Note) -> Path:
    """Return the data set of a file's section ``prepare``, made if it is missing."""
    output = Path(section(path, "prepare").get("output", ""))
    if output.is_file():  # whatever became of its inputs
        return output
    config = read_config(path)
    if not config.output.is_file():
        note(f"preparing {config.output}")
        prepare(config, note=note)
    return config.output


def prepare_all(config: PrepareConfig, *, note: Note = lambda _: None) -> list[Path]:
    """Make the data sets of a config, one per tier, and return their files; nothing half-done is left."""
    given = [name for name in ("tables", "peaks", "original") if getattr(config, name)]
    if len(given) != 1:
        raise InputError(f"prepare: expected one of 'tables', 'peaks' and 'original', got {given or 'none'}.")
    check_apart([config.output], _inputs(config))
    if config.peaks is not None:
        return prepare_peaks(config, config.peaks, note)
    if config.original is not None:
        return [prepare_original(config, config.original, note)]
    return [prepare_tables(config, note)]


def _inputs(config: PrepareConfig) -> list[Path]:
    """Return the files a config names and, of tables, those in their folders."""
    given = [config.fasta, config.gtf, None if config.original is None else config.original.file]
    if config.peaks is not None:
        given += [config.peaks.fasta_file, config.peaks.gtf_file, config.peaks.table]
        if config.peaks.table.is_file():
            given += [file for task in read_peak_table(config.peaks.table) for file in task.files]
    given += [file for table in config.tables if table.directory.is_dir() for file in table.directory.iterdir()]
    return [path for path in given if path is not None]
