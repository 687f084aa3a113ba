"""Writing tracks as they are computed: bedGraph, bigWig, a compact HDF5, and tables.

Writers take the bins of one strand of a contig in ascending order, contig by contig in the order of the header, and
keep nothing. Text and bigWig hold the same float32 values (text in the shortest form that reads back to the same).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, MissingFileError, check_known
from ripe_lib.output.atomic import TRACK_SUFFIXES, atomic_file
from ripe_lib.output.tables import append, growing, open_text

if TYPE_CHECKING:
    import pandas as pd

HDF5_FORMAT = "deepripe-tracks-1"
SCALE = 1.0 / 65535  # of the scores in HDF5: probabilities in steps of 1.5e-5

Array = NDArray[np.float32]
Positions = NDArray[np.int64]
Write = Callable[[str, Positions, Positions, Array], None]  # contig, starts, ends, values (n,)


def safe_name(text: str) -> str:
    """Return a text that can be part of a file name."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", text)


class TrackFiles:
    """BedGraph (plain or gzip) or bigWig files (``paths``), one per task and strand.

    Parameters
    ----------
    path : path
        The file of one task and one strand, else they are called ``NAME.TASK[.plus|.minus].SUFFIX``.
    tasks, strands : sequence of str
        Columns of the scores; ``+`` and ``-``.
    contigs : mapping
        Lengths by name, in the order in which contigs must come.
    stack : ExitStack
        Closes the files.
    name_strand : bool
        Whether strands mean anything (they do not for RNAs).
    """

    def __init__(
        self,
        path: str | Path,
        tasks: Sequence[str],
        strands: Sequence[str],
        contigs: Mapping[str, int],
        stack: ExitStack,
        *,
        name_strand: bool,
    ) -> None:
        path = Path(path)
        n = max(len(suffix) for suffix in TRACK_SUFFIXES if path.name.lower().endswith(suffix))
        stem, suffix = path.name[:-n], path.name[-n:]
        is_bigwig = suffix.lower() in (".bw", ".bigwig")
        self.paths: list[Path] = []
        self._files: list[tuple[str, int, Write]] = []  # strand, column, what writes
        for (column, task), strand in product(enumerate(tasks), strands):
            file = path
            if len(tasks) > 1 or len(strands) > 1:
                side = {"+": ".plus", "-": ".minus"}[strand] if name_strand else ""
                file = path.with_name(f"{stem}.{safe_name(task)}{side}{suffix}")
            self.paths.append(file)
            write = _bigwig(file, contigs, stack) if is_bigwig else _bedgraph(file, stack)
            self._files.append((strand, column, write))

    def add(self, contig: str, strand: str, starts: Positions, ends: Positions, scores: Array) -> None:
        """Append bins.

        Parameters
        ----------
        contig, strand : str
            The strand is ``+`` or ``-``.
        starts, ends : int64 arrays (n,)
            0-based, half-open, ascending.
        scores : float32 array (n, T)
        """
        for own, column, write in self._files:
            if own == strand:
                write(contig, starts, ends, np.ascontiguousarray(scores[:, column]))


def _bedgraph(path: Path, stack: ExitStack) -> Write:
    import pyarrow as pa
    from pyarrow import csv

    options = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    handle = open_text(stack.enter_context(atomic_file(path)), stack)

    def write(contig: str, starts: Positions, ends: Positions, values: Array) -> None:
        names = pa.DictionaryArray.from_arrays(np.zeros(len(starts), np.int8), [contig]).cast(pa.string())
        table = pa.table([names, pa.array(starts), pa.array(ends), pa.array(values)], names=list("csev"))
        sink = pa.BufferOutputStream()
        csv.write_csv(table, sink, options)
        handle.write(memoryview(sink.getvalue()))

    return write


def _bigwig(path: Path, contigs: Mapping[str, int], stack: ExitStack) -> Write:
    import pyBigWig

    if not contigs:
        raise InputError(f"{path}: expected at least one contig, which a bigWig needs, got none. Write .bedgraph.")
    handle = pyBigWig.open(str(stack.enter_context(atomic_file(path))), "w")
    stack.callback(handle.close)
    handle.addHeader(list(contigs.items()))

    def write(contig: str, starts: Positions, ends: Positions, values: Array) -> None:
        span = int(ends[0] - starts[0])
        irregular = (ends - starts != span) | (starts != starts[0] + span * np.arange(len(starts)))
        n = int(np.argmax(irregular)) if irregular.any() else len(starts)  # so many follow each other at one width
        if n:
            handle.addEntries(contig, int(starts[0]), values=values[:n], span=span, step=span)
        if n < len(starts):
            rest = values[n:].astype(float).tolist()
            handle.addEntries([contig] * len(rest), starts[n:].tolist(), ends=ends[n:].tolist(), values=rest)

    return write


class Hdf5TrackWriter:
    """All tasks in one compact HDF5 file; :func:`read_tracks` reads it.

    Layout: root attributes ``format``, ``tasks``, ``step``, ``scale_factor``; ``contigs/name`` and ``contigs/length``;
    ``runs/{contig,strand,start,n,offset}`` one row per run of consecutive bins; ``scores`` (N, T) uint16, to
    be multiplied by ``scale_factor`` (so exact to 7.7e-6).
    """

    def __init__(
        self, path: str | Path, tasks: Sequence[str], contigs: Mapping[str, int], step: int, stack: ExitStack
    ) -> None:
        import h5py

        self._contigs = {name: number for number, name in enumerate(contigs)}
        self._runs: list[tuple[int, int, int, int, int]] = []
        self._file = stack.enter_context(h5py.File(stack.enter_context(atomic_file(path)), "w"))
        stack.callback(self._finish)
        self._file.attrs.update({"format": HDF5_FORMAT, "tasks": list(tasks), "step": step, "scale_factor": SCALE})
        self._column("contigs/name", np.array(list(contigs), dtype=object), dtype=h5py.string_dtype())
        self._column("contigs/length", np.array(list(contigs.values()), dtype=np.int64))
        packing = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
        self._scores = growing(self._file, "scores", (len(tasks),), np.uint16, 8192, **packing)

    def add(self, contig: str, strand: str, starts: Positions, ends: Positions, scores: Array) -> None:
        """Append bins, all of one step; parameters as :meth:`TrackFiles.add`."""
        number, minus, start, n = self._contigs[contig], int(strand == "-"), int(starts[0]), len(starts)
        previous = self._runs[-1] if self._runs else None
        step = int(self._file.attrs["step"])
        if previous and previous[:2] == (number, minus) and previous[2] + previous[3] * step == start:
            self._runs[-1] = (*previous[:3], previous[3] + n, previous[4])
        else:
            self._runs.append((number, minus, start, n, len(self._scores)))
        append(self._scores, np.rint(scores / SCALE).astype(np.uint16))

    def _finish(self) -> None:
        rows = np.array(self._runs, dtype=np.int64).reshape(-1, 5)
        for column, name in enumerate(("contig", "strand", "start", "n", "offset")):
            values = np.where(rows[:, 1] == 1, b"-", b"+") if name == "strand" else rows[:, column]
            self._column(f"runs/{name}", values)

    def _column(self, name: str, values: np.ndarray, **options: Any) -> None:
        self._file.create_dataset(name, data=values, track_times=False, **options)


TrackWriter = TrackFiles | Hdf5TrackWriter


def read_tracks(
    path: str | Path, contig: str, strand: str = "+", *, start: int = 0, end: int | None = None
) -> tuple[Positions, Positions, Array]:
    """Read the bins of a strand of a contig that touch ``[start, end)`` from a file of :class:`Hdf5TrackWriter`.

    Parameters
    ----------
    path, contig, strand : path, str, str
        The strand is ``+`` or ``-``.
    start, end : int, optional
        0-based, half-open; default: the whole contig.

    Returns
    -------
    starts, ends : int64 arrays (n,)
        Ascending.
    scores : float32 array (n, T)
        Columns in the order of the file's ``tasks``.
    """
    import h5py

    if not Path(path).is_file():
        raise MissingFileError(f"{path}: no such file.")
    with h5py.File(path, "r") as handle:
        if handle.attrs.get("format") != HDF5_FORMAT:
            raise InputError(f"{path}: expected tracks written by ripe scan, got another HDF5 file.")
        names = handle["contigs/name"].asstr()[:].tolist()
        check_known(f"contig in {path}", contig, names)
        number, step = names.index(contig), int(handle.attrs["step"])
        length = int(handle["contigs/length"][number])
        runs = handle["runs"]
        chosen = np.flatnonzero((runs["contig"][:] == number) & (runs["strand"][:] == strand.encode()))
        starts, scores = [np.zeros(0, np.int64)], [np.zeros((0, handle["scores"].shape[1]), np.uint16)]
        stop = length if end is None else end
        for begin, n, offset in zip(*(runs[key][:][chosen] for key in ("start", "n", "offset")), strict=True):
            low = min(n, max(0, (start - begin) // step))
            high = max(low, min(n, -(-(stop - begin) // step)))
            starts.append(begin + np.arange(low, high, dtype=np.int64) * step)
            scores.append(handle["scores"][offset + low : offset + high])
        joined = np.concatenate(starts)
        values = (np.concatenate(scores) * handle.attrs["scale_factor"]).astype(np.float32)
        return joined, np.minimum(joined + step, length), values


@dataclass
class TableWriterOfBins:
    """Rows ``chrom start end strand``, then one column per task (wide) or ``task score`` (long)."""

    write: Callable[[pd.DataFrame], None]
    tasks: Sequence[str]
    _: KW_ONLY
    long: bool  # one row per bin and task
    min_score: float  # long: leave out rows below; wide: leave out bins whose best score is below
    has_header: bool = False

    def add(
        self,
        contig: str,
        strand: str,
        starts: Positions,
        ends: Positions,
        scores: Array,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Append bins; parameters as :meth:`TrackFiles.add`, and ``extra`` columns: arrays (n,), or one value."""
        import pandas as pd

        columns: dict[str, Any] = {"chrom": contig, "start": starts, "end": ends, "strand": strand, **(extra or {})}
        frame = pd.DataFrame(columns, index=range(len(starts)))
        if self.long:
            bins, task = np.nonzero(scores >= self.min_score)
            frame = frame.iloc[bins].reset_index(drop=True)
            frame["task"] = np.array(self.tasks, dtype=object)[task]
            frame["score"] = scores[bins, task]
        else:
            keep = scores.max(axis=1) >= self.min_score
            values = pd.DataFrame(scores[keep], columns=list(self.tasks))
            frame = pd.concat([frame[keep].reset_index(drop=True), values], axis=1)
        if len(frame) or not self.has_header:
            self.write(frame)
            self.has_header = True
