"""Which writer an output name means, and transcripts brought back to the genome."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ripe_lib.errors import InputError
from ripe_lib.genome.contigs import in_natural_order
from ripe_lib.network.network import Floats
from ripe_lib.output.atomic import TRACK_SUFFIXES, check_apart, check_output_file
from ripe_lib.output.tables import open_table, table_format
from ripe_lib.output.tracks import Hdf5TrackWriter, Positions, TableWriterOfBins, TrackFiles, TrackWriter
from ripe_lib.scan.engine import Scanner
from ripe_lib.scan.sources import Run, Source, TranscriptSource, open_genome

TABLE_SUFFIXES = (".tsv", ".tsv.gz", ".csv", ".csv.gz", ".parquet")
HDF5_SUFFIXES = (".h5", ".hdf5")


def output_kind(path: str | Path) -> str:
    """Return ``"tracks"``, ``"hdf5"`` or ``"table"`` for an output name."""
    kinds = {"table": TABLE_SUFFIXES, "tracks": TRACK_SUFFIXES, "hdf5": HDF5_SUFFIXES}
    name = Path(path).name.lower()
    for kind, suffixes in kinds.items():
        if name.endswith(suffixes):
            return kind
    hint = "Sites are written with --sites." if name.endswith(".bed") else "The suffix decides the format."
    raise InputError(f"{path}: expected a file name that ends in {', '.join(chain(*kinds.values()))}. {hint}")


def check_outputs(
    outputs: Sequence[str | Path],
    sites: Sequence[str | Path],
    attributions: str | Path | None = None,
    summary: str | Path | None = None,
) -> None:
    """Refuse unknown suffixes, folders that do not exist, and one name twice.

    Parameters
    ----------
    outputs, sites, attributions, summary
        As :func:`ripe_lib.scan.run.scan_to_files`.
    """
    for path in outputs:
        output_kind(path)
    for path in sites:
        if not Path(path).name.lower().endswith((".bed", *TABLE_SUFFIXES)):
            raise InputError(f"{path}: expected a file of sites that ends in .bed, {', '.join(TABLE_SUFFIXES)}.")
    if attributions is not None and not Path(attributions).name.lower().endswith(HDF5_SUFFIXES):
        raise InputError(f"{attributions}: expected attribution maps as {' or '.join(HDF5_SUFFIXES)}.")
    if summary is not None:
        table_format(summary)
    singles = [path for path in (attributions, summary) if path is not None]
    check_apart([*outputs, *sites, *singles], ())
    for path in (*outputs, *sites, *singles):
        check_output_file(path)


class Outputs:
    """All files of a scan but the sites; takes runs in order."""

    def __init__(
        self,
        source: Source,
        paths: Sequence[str | Path],
        scanner: Scanner,
        strands: Sequence[str],
        long: bool,
        min_score: float,
        stack: ExitStack,
    ) -> None:
        self._tables: list[TableWriterOfBins] = []
        self._n_tasks = len(scanner.tasks)
        tracks: list[TrackFiles] = []
        self._runs: list[TrackWriter] = []
        self.files: list[Path] = []
        self._transcripts = source if isinstance(source, TranscriptSource) else None
        contigs = source.contigs
        if self._transcripts is not None:
            contigs = in_natural_order(open_genome(self._transcripts.fasta_file).contigs)
            strands = sorted({self._transcripts.place_of(name)[1] for name in source.contigs})
        for path in paths:
            kind, made = output_kind(path), [Path(path)]
            if kind == "table":
                write = stack.enter_context(open_table(path, attributes={"step": scanner.step})).write
                table = TableWriterOfBins(write, scanner.tasks, long=long, min_score=min_score)
                self._tables.append(table)
            elif kind == "hdf5":
                self._runs.append(Hdf5TrackWriter(path, scanner.tasks, source.contigs, scanner.step, stack))
            else:
                named = source.kind != "rna"
                tracks.append(TrackFiles(path, scanner.tasks, strands, contigs, stack, name_strand=named))
                made = tracks[-1].paths
            self.files += made
        self._merger = _TranscriptMerger(tracks) if self._transcripts is not None and tracks else None
        if self._merger is None:
            self._runs += tracks

    def add(self, run: Run, starts: Positions, ends: Positions, scores: Floats) -> None:
        """Append the bins of a run.

        Parameters
        ----------
        run : Run
        starts, ends : int64 arrays (n,)
            0-based, half-open, ascending.
        scores : float32 array (n, T)
        """
        for writer in self._runs:
            writer.add(run.contig, run.strand, starts, ends, scores)
        if self._transcripts is None:
            for table in self._tables:
                table.add(run.contig, run.strand, starts, ends, scores)
            return
        place, positions = self._transcripts.place_of(run.contig), self._transcripts.positions(run.contig)
        if self._merger is not None:
            self._merger.add(place, positions, starts, ends, scores)
        if self._tables:
            first, last = positions[starts], positions[ends - 1]
            extra: dict[str, Any] = {"transcript": run.contig, "transcript_start": starts, "transcript_end": ends}
            for table in self._tables:
                table.add(*place, np.minimum(first, last), np.maximum(first, last) + 1, scores, extra)

    def finish(self) -> None:
        """Write what is still held back; a table of no bins has its columns."""
        if self._merger is not None:
            self._merger.finish()
        none = np.zeros(0, dtype=np.int64)
        extra = {"transcript": "", "transcript_start": none, "transcript_end": none} if self._transcripts else {}
        for table in self._tables:
            if not table.has_header:
                table.add("", "+", none, none, np.zeros((0, self._n_tasks), dtype=np.float32), extra)


class _TranscriptMerger:
    """Bring tracks of spliced transcripts to the genome; where transcripts overlap, the higher score counts.

    Transcripts come sorted by contig, strand and start. Those that overlap are held together until one starts beyond
    them.
    """

    def __init__(self, writers: Sequence[TrackWriter]) -> None:
        self._writers = writers
        self._place: tuple[str, str] | None = None
        self._end = -1
        self._positions: list[Positions] = []
        self._scores: list[Floats] = []

    def add(
        self, place: tuple[str, str], positions: Positions, starts: Positions, ends: Positions, scores: Floats
    ) -> None:
        """Take bins of a transcript at a contig and strand; ``positions``: the genomic ones of all its bases."""
        if place != self._place or positions.min() >= self._end:
            self.finish()
            self._place, self._end = place, -1
        self._end = max(self._end, int(positions.max()) + 1)
        self._positions.append(positions[starts[0] : ends[-1]])
        self._scores.append(np.repeat(scores, ends - starts, axis=0))

    def finish(self) -> None:
        """Write the transcripts held back."""
        if self._place is None or not self._positions:
            return
        places, index = np.unique(np.concatenate(self._positions), return_inverse=True)
        rows = np.concatenate(self._scores)
        merged = np.full((len(places), rows.shape[1]), -np.inf, dtype=np.float32)
        np.maximum.at(merged, index, rows)
        # Neighbouring bases of one bin are one interval again.
        breaks = np.flatnonzero((np.diff(places) != 1) | (merged[1:] != merged[:-1]).any(axis=1))
        first, last = np.append(0, breaks + 1), np.append(breaks, len(places) - 1)
        for writer in self._writers:
            writer.add(*self._place, places[first], places[last] + 1, merged[first])
        self._positions, self._scores = [], []
