"""Ready tables -> one multitask data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, check_known
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import UNKNOWN, Codes
from ripe_lib.genome.fasta import Genome
from ripe_lib.network.weights import sha256_of
from training.config import Note
from training.data.config import PrepareConfig
from training.data.labels import label_vectors
from training.data.prepared import manifest_of, warn_about_splits
from training.data.sites import (
    TABLE_SUFFIX,
    SourceRows,
    WindowOptions,
    core,
    experiments_in,
    read_listing,
    read_source,
)
from training.data.splits import assign_splits, equal_sequences, locus_clusters
from training.data.store import SiteColumns, write_dataset


def _chosen(config: PrepareConfig) -> tuple[list[list[str]], list[str]]:
    chosen = []
    for table in config.tables:
        known = experiments_in(table.directory)
        names = known if table.experiments is None else list(table.experiments)
        for name in names:
            check_known("experiment", name, known, f"Tables are looked for in {table.directory}.")
        if len(set(names)) != len(names):
            raise InputError(f"tables {table.directory}: an experiment is named twice in {names}.")
        chosen.append(names)
    available = list(dict.fromkeys(name for names in chosen for name in names))
    tasks = available if config.tasks is None else list(config.tasks)
    for task in tasks:
        check_known("task", task, available, "Tasks are experiments of the tables that are read.")
    if len(set(tasks)) != len(tasks):
        raise InputError(f"tasks: expected different names, got one twice in {tasks}.")
    return chosen, tasks


def prepare_tables(config: PrepareConfig, note: Note) -> Path:
    """Make the data set of a config with ``tables``."""
    chosen, tasks = _chosen(config)
    shape = config.window
    sources = [table.source or table.format for table in config.tables]
    if len(set(sources)) != len(sources):
        raise InputError(f"tables: expected different source names, got {sources}. Give each a 'source'.")
    parts: list[SourceRows] = []
    for name, table, names in zip(sources, config.tables, chosen, strict=True):
        parts.append(read_source(table, names, tasks, shape))
        note(f"{name}: {len(parts[-1])} distinct windows of {len(names)} experiments")
    rows = SourceRows.joined(parts)
    source = np.repeat(np.arange(len(parts), dtype=np.uint8), [len(part) for part in parts])
    source_has_task = np.array([[task in names for task in tasks] for names in chosen])
    strands = np.char.add(np.char.add(rows.chrom, ":"), rows.strand)
    group = np.unique(strands, return_inverse=True)[1]
    labels = label_vectors(
        group,
        rows.window_start,
        source,
        rows.positive,
        rows.negative,
        source_has_task,
        cross_source=config.labels.cross_source,
        trusted=np.isin(rows.chrom, config.labels.trusted_contigs),
    )
    dropped = int((rows.negative & (labels != 0)).sum())
    note(f"{dropped} negative labels beside a positive of their own experiment were made unknown")
    if not config.labels.keep_unlabelled:
        known = (labels >= 0).any(axis=1)
        rows, labels, source, group = rows.take(known), labels[known], source[known], group[known]
    if not len(rows):
        raise InputError("prepare: expected at least one labelled site, got none. Check tables and tasks.")
    minus = rows.strand == "-"
    if config.fasta is not None:
        rows.seq, n_flanked = _with_flanks(rows, minus, config.fasta, shape)
        note(f"{config.fasta.name}: bases beside {n_flanked} of {len(rows)} windows are known")
    landmarks = None
    if config.gtf is not None:
        annotation = Annotation.load(config.gtf)
        centre = rows.window_start + shape.sequence_length // 2 - 1
        first = centre - (shape.region_width // 2 - 1)
        rows.region = annotation.region_codes(rows.chrom, first, shape.region_width, minus)
        landmarks = annotation.landmark_distances(rows.chrom, centre, minus)
    same = equal_sequences(rows.seq[:, core(shape.seq_width)])
    cluster = locus_clusters(group, rows.window_start, config.split.distance, same)
    split = assign_splits(rows.chrom, rows.window_start, cluster, config.split, config.seed)
    warn_about_splits(labels, split, tasks, config.split, note)
    inputs = {path.name: sha256_of(path) for path in (config.gtf, config.fasta) if path is not None}
    for name, table, names in zip(sources, config.tables, chosen, strict=True):
        for file in (f"{experiment}{TABLE_SUFFIX}" for experiment in names):
            inputs[f"{name}/{file}"] = sha256_of(table.directory / file)
    write_dataset(
        config.output,
        SiteColumns(rows.chrom, rows.start, rows.end, rows.strand, labels, split, source, cluster, landmarks),
        lambda part: (rows.seq[part], rows.region[part]),
        tasks=tasks,
        sources=sources,
        source_has_task=source_has_task,
        **vars(shape),
        manifest=manifest_of(config, inputs, _task_info(config, tasks)),
    )
    if config.report:
        from training.data.report import write_report

        write_report(config.output)
    return config.output


def _with_flanks(rows: SourceRows, minus: NDArray[np.bool_], fasta: Path, shape: WindowOptions) -> tuple[Codes, int]:
    """Return codes whose unknown bases are the genome's, where it knows them, and in how many rows that is some."""
    genome = Genome(fasta)
    seq = rows.seq.copy()
    for chrom in np.unique(rows.chrom):
        if genome.names.find(chrom) is None:
            continue  # an unplaced contig: the table knows its own bases
        here = np.flatnonzero(rows.chrom == chrom)
        found = genome.fetch(chrom, rows.window_start[here] - shape.margin, shape.seq_width, minus[here])
        seq[here] = np.where(rows.seq[here] == UNKNOWN, found, rows.seq[here])
    return seq, int((seq != rows.seq).any(axis=1).sum())


def _task_info(config: PrepareConfig, tasks: list[str]) -> dict[str, dict[str, str]]:
    """Return RBP, protocol and cell line of tasks, from the ``experiments.tsv`` beside their tables."""
    info: dict[str, dict[str, str]] = {}
    for table in config.tables:
        for row in read_listing(table.directory).to_dict("records"):
            if "protein" in row and row["id"] in tasks and row["id"] not in info:
                cell_line = "" if row.get("cell_line") == "NA" else row.get("cell_line", "")
                info[row["id"]] = {"rbp": row["protein"], "protocol": row.get("protocol", ""), "cell_line": cell_line}
    return info
