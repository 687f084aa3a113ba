"""Mean and maximum of a scan per transcript and region type, as models of RNA stability take them.

Every base has the score of its bin; means are over bases. A base of a transcript's exon has the region type that the
annotation gives it (5'UTR, CDS, 3'UTR, or none), a base between its exons is intron. Of a genome, the transcripts of
the annotation's own biotypes (of genes without such, all) are reported that were scanned from end to end; of RNAs, the
RNAs with the region types given for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.genome.encoding import REGION_TYPES, UNKNOWN, Codes
from ripe_lib.network.network import Floats
from ripe_lib.output.tables import open_table
from ripe_lib.scan.sources import GenomeSource, Run, Source, TranscriptSource, open_annotation
from ripe_lib.scan.spans import genes_of

INTRON = REGION_TYPES.index("intron")
ORDER = ("5UTR", "CDS", "3UTR", "intron", "none")
_NAMES = (*REGION_TYPES, "none")
Bounds = NDArray[np.int64]


class _Totals:
    """Sums, maxima and numbers of bases per region type, of one transcript."""

    def __init__(self, n_tasks: int) -> None:
        self.n = np.zeros(len(_NAMES), dtype=np.int64)
        self.total = np.zeros((len(_NAMES), n_tasks))
        self.most = np.full((len(_NAMES), n_tasks), -np.inf, dtype=np.float32)


class SummaryWriter:
    """Takes the runs of a scan in order and writes the table at the end.

    Parameters
    ----------
    path : path
        ``.tsv``, ``.csv`` (also ``.gz``), ``.parquet`` or ``.h5``.
    source : Source
    tasks : sequence of str
    long : bool
        One row per task, with columns ``task mean max``, instead of columns ``<task>.mean`` and ``<task>.max``.
    stack : ExitStack
        Closes the file.
    """

    def __init__(self, path: str | Path, source: Source, tasks: Sequence[str], long: bool, stack: ExitStack) -> None:
        self._source, self._tasks, self._long = source, list(tasks), long
        self._table = stack.enter_context(open_table(path))
        self._totals: dict[Any, _Totals] = {}
        self._annotation = None
        if isinstance(source, GenomeSource | TranscriptSource) and source.gtf_file is not None:
            self._annotation = open_annotation(source.gtf_file, source.fasta_file)
        if isinstance(source, GenomeSource) and self._annotation is not None:
            self._wanted = genes_of(self._annotation, ["all"])

    def add(self, run: Run, starts: Bounds, ends: Bounds, scores: Floats) -> None:
        """Take the bins of a run, ascending.

        Parameters as :meth:`ripe_lib.scan.output.Outputs.add`.
        """
        before = np.zeros((len(scores) + 1, scores.shape[1]))
        np.cumsum(scores * (ends - starts)[:, None], axis=0, out=before[1:], dtype=np.float64)
        bins = _Bins(starts, ends, scores, before)
        low, high = int(starts[0]), int(ends[-1])
        minus = run.strand == "-"
        codes = self._source.codes(run.contig, low, high - low, minus)[1]
        types = np.full(high - low, UNKNOWN, dtype=np.uint8) if codes is None else codes[::-1] if minus else codes
        if not isinstance(self._source, GenomeSource):
            if isinstance(self._source, TranscriptSource):
                types = np.where(types == INTRON, UNKNOWN, types)
            self._add_pieces(run.contig, _pieces(types, low, np.array([[low, high]])), bins)
            return
        if self._annotation is None:
            return
        _, rows = self._annotation.overlapping([run.contig], [low], [high])
        exonic = np.where(types == INTRON, UNKNOWN, types)
        for row in self._wanted.index.intersection(rows):
            transcript = self._wanted.loc[row]
            if transcript["strand"] != run.strand:
                continue
            exons = np.clip(self._annotation.exons(transcript["transcript_id"]), low, high)
            edges = np.clip([transcript["start"], transcript["end"]], low, high)
            introns = np.stack([np.append(edges[0], exons[:, 1]), np.append(exons[:, 0], edges[1])], axis=1)
            in_introns = introns[introns[:, 1] > introns[:, 0]]
            self._add_pieces(row, _pieces(exonic, low, exons[exons[:, 1] > exons[:, 0]]), bins)
            self._add_pieces(row, (in_introns, np.full(len(in_introns), INTRON, dtype=np.uint8)), bins)

    def _add_pieces(self, key: Any, pieces: tuple[Bounds, Codes], bins: _Bins) -> None:
        totals = self._totals.setdefault(key, _Totals(len(self._tasks)))
        bounds, codes = pieces
        if not len(bounds):
            return
        sums, most = bins.of(bounds)
        np.add.at(totals.n, codes, bounds[:, 1] - bounds[:, 0])
        np.add.at(totals.total, codes, sums)
        np.maximum.at(totals.most, codes, most)

    def finish(self) -> None:
        """Write the table."""
        keys = list(self._totals)
        if isinstance(self._source, GenomeSource):
            lengths = self._wanted["end"] - self._wanted["start"]
            keys = sorted(key for key in keys if self._totals[key].n.sum() == lengths[key])
        for key in keys:
            self._table.write(self._rows(key))
        if not keys:
            empty = _Totals(len(self._tasks))
            self._table.write(self._frame({name: [] for name in (*self._about(None), "region_type", "n")}, empty, []))
        self.n_transcripts = len(keys)

    def _about(self, key: Any) -> dict[str, Any]:
        """Return the columns that say which transcript it is."""
        if isinstance(self._source, GenomeSource):
            row = None if key is None else self._wanted.loc[key]
        elif isinstance(self._source, TranscriptSource) and self._annotation is not None:
            table = self._annotation.transcripts
            row = None if key is None else table[table["transcript_id"] == key].iloc[0]
        else:
            return {"rna": key}
        names = ("transcript_id", "gene_id", "gene_name", "chrom", "strand")
        return {name: None if row is None else row[name] for name in names}

    def _rows(self, key: Any) -> pd.DataFrame:
        totals = self._totals[key]
        codes = [code for code in map(_NAMES.index, ORDER) if totals.n[code]]
        about = {name: [value] * len(codes) for name, value in self._about(key).items()}
        about |= {"region_type": [_NAMES[code] for code in codes], "n": totals.n[codes].tolist()}
        return self._frame(about, totals, codes)

    def _frame(self, about: dict[str, Any], totals: _Totals, codes: Sequence[int]) -> pd.DataFrame:
        means = (totals.total[codes] / np.maximum(totals.n[codes], 1)[:, None]).astype(np.float32)
        most = totals.most[codes]
        left = pd.DataFrame(about)
        if self._long:
            table = left.loc[left.index.repeat(len(self._tasks))].reset_index(drop=True)
            table["task"] = np.tile(np.array(self._tasks, dtype=object), len(left))
            return table.assign(mean=means.ravel(), max=most.ravel())
        columns = {}
        for number, task in enumerate(self._tasks):
            columns[f"{task}.mean"], columns[f"{task}.max"] = means[:, number], most[:, number]
        return pd.concat([left, pd.DataFrame(columns, index=left.index)], axis=1)


class _Bins:
    """Bins that follow each other, and sums over all bases before each of them (n + 1, T)."""

    def __init__(self, starts: Bounds, ends: Bounds, scores: Floats, before: NDArray[np.float64]) -> None:
        self._starts, self._ends, self._scores, self._before = starts, ends, scores, before

    def of(self, bounds: Bounds) -> tuple[NDArray[np.float64], Floats]:
        """Return sums over bases and maxima (n, T) of stretches (n, 2), none of them empty."""
        first = np.searchsorted(self._ends, bounds[:, 0], side="right")
        last = np.searchsorted(self._starts, bounds[:, 1], side="left")
        sums = self._up_to(bounds[:, 1], last - 1) - self._up_to(bounds[:, 0], first)
        # reduceat takes first:last from every second pair of neighbours; a last row more lets it end there.
        padded = np.concatenate([self._scores, self._scores[-1:]])
        return sums, np.maximum.reduceat(padded, np.stack([first, last], axis=1).ravel(), axis=0)[::2]

    def _up_to(self, position: Bounds, number: Bounds) -> NDArray[np.float64]:
        return self._before[number] + (position - self._starts[number])[:, None] * self._scores[number]


def _pieces(types: Codes, low: int, stretches: Bounds) -> tuple[Bounds, Codes]:
    """Cut stretches (n, 2) where the region type changes; ``types[0]`` is that of base ``low``."""
    changes = np.flatnonzero(np.diff(types)) + 1 + low
    found = []
    for start, end in stretches.tolist():
        inner = changes[np.searchsorted(changes, start, side="right") : np.searchsorted(changes, end)]
        edges = np.concatenate([[start], inner, [end]])
        found.append(np.stack([edges[:-1], edges[1:]], axis=1))
    bounds = np.concatenate([np.zeros((0, 2), dtype=np.int64), *found]).astype(np.int64)
    return bounds, types[bounds[:, 0] - low]
