"""Which writer an output name means, and transcripts brought back to the genome."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from ripe_lib.errors import InputError
from ripe_lib.genome.contigs import in_natural_order
from ripe_lib.network.network import Floats
from ripe_lib.output.atomic import TRACK_SUFFIXES, check_apart, check_output_file
from ripe_lib.output.tables import open_table, table_format
from ripe_lib.output.tracks import Hdf5TrackWriter, Positions, TableWriterOfBins, TrackFiles, TrackWriter
from ripe_lib.scan.sources import Run, Source, TranscriptSource, open_genome

TABLE_SUFFIXES = (".tsv", ".tsv.gz", ".csv", ".csv.gz", ".parquet")
HDF5_SUFFIXES = (".h5", ".hdf5")


def output_kind(path: str | Path) -> str:
    """Return ``"tracks"``, ``"hdf5"`` or ``"table"`` for an output name."""
    name = Path(path).name.lower()
    if name.endswith(TRACK_SUFFIXES):
        return "tracks"
    if name.endswith(HDF5_SUFFIXES):
        return "hdf5"
    if name.endswith(TABLE_SUFFIXES):
        return "table"
    hint = "Sites are written with --sites." if name.endswith(".bed") else "The suffix decides the format."
    known = ", ".join([*TABLE_SUFFIXES, *TRACK_SUFFIXES, *HDF5_SUFFIXES])
    raise InputError(f"{path}: expected a file name that ends in {known}. {hint}")


def check_outputs(
    outputs: Sequence[str | Path],
    sites: Sequence[str | Path],
    attributions: str | Path | None = None,
    summary: str | Path | None = None,
) -> None:
    """Refuse unknown suffixes, folders that do not exist, and one name twice.

    Parameters
    ----------
    outputs : sequence of path
        Of scores.
    sites : sequence of path
    attributions, summary : path, optional
        Maps of the sites; the table of the transcripts.
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
        tasks: Sequence[str],
        strands: Sequence[str],
        step: int,
        long: bool,
        min_score: float,
        stack: ExitStack,
    ) -> None:
        self._tables: list[TableWriterOfBins] = []
        self._n_tasks = len(tasks)
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
                writer = stack.enter_context(open_table(path, attributes={"step": step}))
                self._tables.append(TableWriterOfBins(writer.write, tasks, long=long, min_score=min_score))
            elif kind == "hdf5":
                self._runs.append(Hdf5TrackWriter(path, tasks, source.contigs, step, stack))
            else:
                tracks.append(TrackFiles(path, tasks, strands, contigs, stack, name_strand=source.kind != "rna"))
                made = tracks[-1].paths
            self.files += made
        self._merger = None
        if self._transcripts is not None and tracks:
            self._merger = TranscriptMerger(self._transcripts, tracks)
        else:
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
        positions = self._transcripts.positions(run.contig)
        if self._merger is not None:
            self._merger.add(run.contig, positions, starts, ends, scores)
        if self._tables:
            chrom, strand = self._transcripts.place_of(run.contig)
            first, last = positions[starts], positions[ends - 1]
            extra: dict[str, Any] = {"transcript": run.contig, "transcript_start": starts, "transcript_end": ends}
            for table in self._tables:
                table.add(chrom, strand, np.minimum(first, last), np.maximum(first, last) + 1, scores, extra)

    def finish(self) -> None:
        """Write what is still held back; a table of no bins has its columns."""
        if self._merger is not None:
            self._merger.finish()
        none, extra = np.zeros(0, dtype=np.int64), {}
        if self._transcripts is not None:
            extra = {"transcript": "", "transcript_start": none, "transcript_end": none}
        for table in self._tables:
            if not table.has_header:
                table.add("", "+", none, none, np.zeros((0, self._n_tasks), dtype=np.float32), extra)


class TranscriptMerger:
    """Bring tracks of spliced transcripts to the genome; where transcripts overlap, the higher score counts.

    Transcripts come sorted by contig, strand and start. Those that overlap are held together until one starts beyond
    them.
    """

    def __init__(self, source: TranscriptSource, writers: Sequence[TrackWriter]) -> None:
        self._source, self._writers = source, writers
        self._where: tuple[str, str] | None = None
        self._end = -1
        self._positions: list[Positions] = []
        self._scores: list[Floats] = []

    def add(self, transcript: str, positions: Positions, starts: Positions, ends: Positions, scores: Floats) -> None:
        """Take bins of a transcript.

        Parameters
        ----------
        transcript : str
        positions : int64 array (L,)
            The genomic positions of all its bases, 5' to 3'.
        starts, ends : int64 arrays (n,)
            Of the bins on the transcript, 0-based, half-open, ascending.
        scores : float32 array (n, T)
        """
        where = self._source.place_of(transcript)
        if where != self._where or positions.min() >= self._end:
            self.finish()
            self._where, self._end = where, -1
        self._end = max(self._end, int(positions.max()) + 1)
        self._positions.append(positions[starts[0] : ends[-1]])
        self._scores.append(np.repeat(scores, ends - starts, axis=0))

    def finish(self) -> None:
        """Write the transcripts held back."""
        if self._where is None or not self._positions:
            return
        places, index = np.unique(np.concatenate(self._positions), return_inverse=True)
        rows = np.concatenate(self._scores)
        merged = np.full((len(places), rows.shape[1]), -np.inf, dtype=np.float32)
        np.maximum.at(merged, index, rows)
        # Neighbouring bases of one bin are one interval again.
        breaks = np.flatnonzero((np.diff(places) != 1) | (merged[1:] != merged[:-1]).any(axis=1)) + 1
        first = np.concatenate([[0], breaks])
        last = np.concatenate([breaks, [len(places)]]) - 1
        for writer in self._writers:
            writer.add(*self._where, places[first], places[last] + 1, merged[first])
        self._positions, self._scores = [], []
