"""Mean and maximum of a scan per transcript and region type, as models of RNA stability take them.

Every base has the score of its bin; means are over bases. A base of a transcript's exon has the region type that the
annotation gives it (5'UTR, CDS, 3'UTR, or none), a base between its exons is intron. Of a genome, the transcripts of
the annotation's own biotypes (of genes without such, all) are reported that were scanned from end to end; of RNAs, the
RNAs with the region types given for them.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

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


class _Totals(NamedTuple):
    """Numbers of bases, sums and maxima per region type (and task), of one transcript."""

    n: NDArray[np.int64]
    total: NDArray[np.float64]
    most: Floats

    @classmethod
    def empty(cls, n_tasks: int) -> _Totals:
        shape = (len(_NAMES), n_tasks)
        return cls(np.zeros(len(_NAMES), dtype=np.int64), np.zeros(shape), np.full(shape, -np.inf, dtype=np.float32))


class SummaryWriter:
    """Takes the runs of a scan in order and writes the table at the end.

    ``long``: one row per task, with columns ``task mean max``, instead of columns ``<task>.mean`` and ``<task>.max``;
    ``stack`` closes the file, a table of any format.
    """

    def __init__(self, path: str | Path, source: Source, tasks: list[str], long: bool, stack: ExitStack) -> None:
        self._source, self._tasks, self._long = source, tasks, long
        self._table = stack.enter_context(open_table(path))
        self._totals: dict[Any, _Totals] = {}
        self._annotation = None
        if isinstance(source, GenomeSource | TranscriptSource) and source.gtf_file is not None:
            self._annotation = open_annotation(source.gtf_file, source.fasta_file)
        if isinstance(source, GenomeSource) and self._annotation is not None:
            self._wanted = genes_of(self._annotation, ["all"])

    def add(self, run: Run, starts: Bounds, ends: Bounds, scores: Floats) -> None:
        """Take the bins of a run, ascending; parameters as :meth:`ripe_lib.scan.output.Outputs.add`."""
        bins = _Bins(starts, ends, scores)
        low, high = int(starts[0]), int(ends[-1])
        minus = run.strand == "-"
        codes = self._source.codes(run.contig, low, high - low, minus)[1]
        types = np.full(high - low, UNKNOWN, dtype=np.uint8) if codes is None else codes[::-1] if minus else codes
        exonic = np.where(types == INTRON, UNKNOWN, types)
        if not isinstance(self._source, GenomeSource) or self._annotation is None:
            types = types if self._annotation is None else exonic
            self._add_pieces(run.contig, _pieces(types, low, np.array([[low, high]])), bins)
            return
        _, rows = self._annotation.overlapping([run.contig], [low], [high])
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
        totals = self._totals.setdefault(key, _Totals.empty(len(self._tasks)))
        bounds, codes = pieces
        if len(bounds):
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
        self.n_transcripts = len(keys)
        found = [self._totals[key] for key in keys] or [_Totals.empty(len(self._tasks))]
        order = [_NAMES.index(name) for name in ORDER]
        n, total, most = (np.stack(arrays)[:, order] for arrays in zip(*found, strict=True))
        which, region = np.nonzero(n)
        n, most = n[which, region], most[which, region]
        means = (total[which, region] / n[:, None]).astype(np.float32)
        left = self._about(keys).iloc[which].reset_index(drop=True)
        left = left.assign(region_type=np.array(ORDER, dtype=object)[region], n=n)
        if self._long:
            table = left.loc[left.index.repeat(len(self._tasks))].reset_index(drop=True)
            table["task"] = np.tile(np.array(self._tasks, dtype=object), len(left))
            self._table.write(table.assign(mean=means.ravel(), max=most.ravel()))
            return
        scores = np.stack([means, most], axis=2).reshape(len(left), 2 * len(self._tasks))
        names = [f"{task}.{kind}" for task in self._tasks for kind in ("mean", "max")]
        self._table.write(pd.concat([left, pd.DataFrame(scores, columns=names)], axis=1))

    def _about(self, keys: list[Any]) -> pd.DataFrame:
        """Return the columns that say which transcripts they are."""
        names = ["transcript_id", "gene_id", "gene_name", "chrom", "strand"]
        if isinstance(self._source, GenomeSource):
            return self._wanted.loc[keys, names]
        if self._annotation is not None:
            table = self._annotation.transcripts.drop_duplicates("transcript_id")
            return table.set_index("transcript_id", drop=False).loc[keys, names]
        return pd.DataFrame({"rna": np.array(keys, dtype=object)})


class _Bins:
    """Bins that follow each other."""

    def __init__(self, starts: Bounds, ends: Bounds, scores: Floats) -> None:
        self._starts, self._ends, self._scores = starts, ends, scores
        self._before = np.zeros((len(scores) + 1, scores.shape[1]))  # sums over all bases before each
        np.cumsum(scores * (ends - starts)[:, None], axis=0, out=self._before[1:], dtype=np.float64)

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
    bounds = np.concatenate([np.zeros((0, 2), dtype=np.int64), *found])
    return bounds, types[bounds[:, 0] - low]
