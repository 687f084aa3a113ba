"""Writing sites: a table with everything known of each, and BED12 for browsers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripe_lib.genome.encoding import decode_sequence
from ripe_lib.network.network import Floats
from ripe_lib.output.atomic import atomic_file
from ripe_lib.output.tables import open_table
from ripe_lib.output.tracks import Positions
from ripe_lib.scan.engine import Scanner
from ripe_lib.scan.kmers import BestKmer, best_kmers
from ripe_lib.scan.site_maps import SiteMapWriter
from ripe_lib.scan.sites import Site, SiteCaller
from ripe_lib.scan.sources import Run, Source, TranscriptSource, peak_windows
from ripe_lib.scan.thresholds import Thresholds

COLUMNS = [
    "chrom", "start", "end", "strand", "task", "score", "threshold", "fpr", "peak_start", "peak_end",
    "kmer", "kmer_start", "kmer_end", "kmer_effect",
]  # fmt: skip
OF_TRANSCRIPTS = ["gene", "transcript", "transcript_start", "transcript_end", "isoforms"]
_FLUSH_ROWS = 5_000
KEPT_SITES = 5_000


class SiteWriter:
    """Call sites while runs arrive and write them sorted by contig, start, end and task.

    Rows of a genome contig are held back until the next one begins (both strands of it are sorted together). Sites of
    the isoforms of a gene whose peaks lie closer together than two sites of a transcript can are one site: that of the
    isoform with the highest score, and ``isoforms`` names all, that one first.
    """

    def __init__(
        self,
        scanner: Scanner,
        source: Source,
        paths: Sequence[str | Path],
        thresholds: Thresholds,
        distance: int,
        kmer_length: int,
        stack: ExitStack,
        maps: SiteMapWriter | None = None,
        step: Callable[[int], object] = lambda n: None,
    ) -> None:
        self._step = step
        self._scanner, self._source = scanner, source
        self._thresholds, self._distance, self._k = thresholds, distance, kmer_length
        self._transcripts = source if isinstance(source, TranscriptSource) else None
        self._columns = COLUMNS + (OF_TRANSCRIPTS if self._transcripts else [])
        self._tables, self._beds = [], []
        for path in paths:
            name = Path(path).name.lower()
            if name.endswith(".bed"):
                self._beds.append(stack.enter_context(stack.enter_context(atomic_file(path)).open("w")))
            else:
                attributes = {"thresholds": json.dumps(thresholds.nested())}
                self._tables.append(stack.enter_context(open_table(path, attributes=attributes)))
        self._caller: SiteCaller | None = None
        self._current: tuple[str, str] | None = None
        self._held: list[tuple[pd.DataFrame, pd.DataFrame]] = []  # and in coordinates of their transcripts
        self._held_contig: str | None = None
        self.n_sites = 0
        self._maps = maps
        empty = self._frame([], [])
        if self._transcripts is not None:
            empty = self._to_genome(empty, "")
        self._best = [empty]
        self._write(empty)  # the header, even if there will be no site

    def add(self, run: Run, starts: Positions, ends: Positions, scores: Floats) -> None:
        """Take the next run; parameters as :meth:`ripe_lib.scan.output.Outputs.add`."""
        if (run.contig, run.strand) != self._current:
            self._end_strand()
            self._current = (run.contig, run.strand)
            self._caller = SiteCaller(self._thresholds.of(run.contig), self._distance)
        if self._caller is not None:
            self._take(list(self._caller.push(run.first, scores)))

    def finish(self) -> None:
        """Write what is still open."""
        self._end_strand()
        self._flush()

    def _end_strand(self) -> None:
        if self._caller is not None:
            self._take(list(self._caller.finish()))
            self._caller = None

    def _take(self, sites: list[Site]) -> None:
        if not sites or self._current is None:
            return
        held = sum(len(own) for _, own in self._held)
        contig = self._place(self._current[0])
        if contig != self._held_contig and (self._source.kind != "rna" or held >= _FLUSH_ROWS):
            self._flush()
        self._held_contig = contig
        peaks = sorted({site.peak for site in sites})
        numbers = {peak: number for number, peak in enumerate(peaks)}
        kmers: list[BestKmer] = [BestKmer(-1, float("nan"))] * len(sites)
        model = self._scanner.model
        if self._k or self._maps is not None:
            windows, starts = peak_windows(self._source, model.spec, *self._current, peaks, self._scanner.step)
        if self._k:
            pairs = [(numbers[site.peak], int(self._scanner.columns[site.task])) for site in sites]
            options: dict[str, Any] = {"batch_size": self._scanner.batch_size, "step": self._step}
            kmers = best_kmers(model, windows, pairs, length=self._k, **options)
        rows = []
        for site, kmer in zip(sites, kmers, strict=True):
            number = numbers[site.peak]
            letters, low = "", -1
            if kmer.offset >= 0:
                letters = decode_sequence(windows.seq[number, kmer.offset : kmer.offset + self._k], rna=True)
                low = int(starts[number]) + kmer.offset
                if self._current[1] == "-":
                    low = int(starts[number]) + windows.seq.shape[1] - kmer.offset - self._k
            rows.append((letters, low, kmer.effect))
        frame = self._frame(sites, rows)
        if self._maps is not None:
            self._maps.add(frame, windows.take([numbers[site.peak] for site in sites]))
        there = frame if self._transcripts is None else self._to_genome(frame, self._current[0])
        self._held.append((there, frame))

    def _place(self, contig: str) -> str:
        return contig if self._transcripts is None else self._transcripts.place_of(contig)[0]

    def _frame(self, sites: Sequence[Site], kmers: Sequence[tuple[str, int, float]]) -> pd.DataFrame:
        contig, strand = self._current or ("", "+")
        step, k = self._scanner.step, self._k
        length = self._source.contigs.get(contig, 0)
        tasks, firsts, ends, peaks = np.array([site[:4] for site in sites], dtype=np.int64).reshape(-1, 4).T
        scores = np.array([site.score for site in sites], dtype=np.float32)
        thresholds, rates = np.zeros(0), np.zeros(0)
        if sites:
            thresholds = self._thresholds.of(contig)[tasks]
            rates = self._thresholds.rates(contig, tasks.tolist(), scores)
        lows = np.array([low for _, low, _ in kmers], dtype=np.int64)
        columns: dict[str, Any] = {
            "chrom": np.full(len(sites), contig, dtype=object),
            "start": firsts * step,
            "end": np.minimum(ends * step, length),
            "strand": np.full(len(sites), strand, dtype=object),
            "task": np.array(self._scanner.tasks, dtype=object)[tasks],
            "score": scores,
            "threshold": thresholds.astype(np.float32),
            "fpr": rates.astype(np.float32),
            "peak_start": peaks * step,
            "peak_end": np.minimum((peaks + 1) * step, length),
            "kmer": np.array([letters for letters, _, _ in kmers], dtype=object),
            "kmer_start": lows,
            "kmer_end": np.where(lows >= 0, lows + k, -1),
            "kmer_effect": np.array([effect for _, _, effect in kmers], dtype=np.float32),
        }
        return pd.DataFrame(columns)

    @property
    def best_sites(self) -> pd.DataFrame:
        """The :data:`KEPT_SITES` sites with the highest score, best first, in coordinates of the contigs scanned."""
        frames = [frame for frame in self._best if len(frame)] or self._best[:1]
        joined = pd.concat(frames, ignore_index=True)
        order = np.lexsort((joined["task"], joined["start"], joined["chrom"], -joined["score"]))
        return joined.iloc[order[:KEPT_SITES]].reset_index(drop=True)

    def _to_genome(self, frame: pd.DataFrame, transcript: str) -> pd.DataFrame:
        """Replace transcript coordinates by those of the genome, keeping them in columns of their own."""
        frame = frame.copy()  # the one with the coordinates of the transcript is kept for pictures
        frame["gene"] = "" if not transcript or self._transcripts is None else self._transcripts.gene_of(transcript)[1]
        frame["transcript"] = frame["isoforms"] = transcript
        frame["transcript_start"], frame["transcript_end"] = frame["start"], frame["end"]
        if not len(frame) or self._transcripts is None:
            return frame[self._columns]
        frame["chrom"], frame["strand"] = self._transcripts.place_of(transcript)
        positions = self._transcripts.positions(transcript)
        for start, end in (("start", "end"), ("peak_start", "peak_end"), ("kmer_start", "kmer_end")):
            known = frame[start].to_numpy() >= 0
            a = positions[frame.loc[known, start].to_numpy()]
            b = positions[frame.loc[known, end].to_numpy() - 1]
            frame.loc[known, start], frame.loc[known, end] = np.minimum(a, b), np.maximum(a, b) + 1
        return frame[self._columns]

    def _flush(self) -> None:
        if not self._held:
            return
        frame, own = (pd.concat(frames, ignore_index=True) for frames in zip(*self._held, strict=True))
        self._held = []
        if self._transcripts is not None:
            frame, own = self._without_isoforms(frame, own)
        self.n_sites += len(frame)
        self._best.append(own)
        if sum(map(len, self._best)) > 2 * KEPT_SITES:
            self._best = [self.best_sites]
        if self._source.kind == "rna":
            order = {name: number for number, name in enumerate(dict.fromkeys(frame["chrom"]))}
            frame = frame.iloc[np.lexsort((frame["task"], frame["end"], frame["start"], frame["chrom"].map(order)))]
        else:
            frame = frame.sort_values(["start", "end", "task", "strand"], kind="stable")
        self._write(frame.reset_index(drop=True))

    def _without_isoforms(self, frame: pd.DataFrame, own: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Merge the sites of the isoforms of genes; ``own`` are the same rows in coordinates of the transcripts."""
        assert self._transcripts is not None  # noqa: S101 - for the type checker
        nearest = self._distance * self._scanner.step
        peaks = frame["peak_start"].to_numpy()
        transcripts = frame[["transcript", "strand", "task"]].astype(str).to_numpy().tolist()
        kept: dict[tuple[str, str, str], list[int]] = {}
        names: dict[int, list[str]] = {}
        for row in np.argsort(-frame["score"].to_numpy(), kind="stable").tolist():
            transcript, strand, task = transcripts[row]
            group = (self._transcripts.gene_of(transcript)[0], strand, task)
            before = kept.setdefault(group, [])
            same = next((other for other in before if abs(peaks[other] - peaks[row]) < nearest), None)
            if same is None:
                before.append(row)
                names[row] = [transcript]
            elif transcript not in names[same]:
                names[same].append(transcript)
        rows = np.array(sorted(names), dtype=np.intp)
        frame, own = frame.iloc[rows].reset_index(drop=True), own.iloc[rows].reset_index(drop=True)
        frame["isoforms"] = [",".join(names[row]) for row in rows.tolist()]
        own["gene"], own["isoforms"] = frame["gene"], frame["isoforms"]
        places = frame[["chrom", "start", "end", "strand"]].itertuples(index=False)
        own["place"] = [f"{chrom}:{start + 1:,}-{end:,} ({strand})" for chrom, start, end, strand in places]
        return frame, own

    def _write(self, frame: pd.DataFrame) -> None:
        for table in self._tables:
            table.write(frame)
        for bed in self._beds:
            bed.writelines(self._bed_line(row) for row in frame.itertuples(index=False))

    def _bed_line(self, row: Any) -> str:
        """Format BED12: the thick part is the peak; spliced sites have one block per exon."""
        blocks = [(row.start, row.end)]
        if self._transcripts is not None:
            positions = np.sort(self._transcripts.positions(row.transcript)[row.transcript_start : row.transcript_end])
            breaks = np.flatnonzero(np.diff(positions) != 1)
            firsts = positions[np.concatenate([[0], breaks + 1])]
            lasts = positions[np.concatenate([breaks, [len(positions) - 1]])]
            blocks = list(zip(firsts.tolist(), (lasts + 1).tolist(), strict=True))
        sizes = ",".join(str(end - start) for start, end in blocks)
        offsets = ",".join(str(start - row.start) for start, _ in blocks)
        fields = (
            row.chrom, row.start, row.end, row.task, round(1000 * row.score), row.strand,
            row.peak_start, row.peak_end, "0", len(blocks), sizes, offsets,
        )  # fmt: skip
        return "\t".join(map(str, fields)) + "\n"
