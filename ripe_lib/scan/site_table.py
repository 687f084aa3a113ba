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
from ripe_lib.scan.kmers import best_kmers
from ripe_lib.scan.site_maps import SiteMapWriter
from ripe_lib.scan.sites import Site, SiteCaller
from ripe_lib.scan.sources import Run, Source, TranscriptSource, peak_windows
from ripe_lib.scan.thresholds import Thresholds

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
        self._step, self._scanner, self._source, self._maps = step, scanner, source, maps
        self._thresholds, self._distance, self._k = thresholds, distance, kmer_length
        self._transcripts = source if isinstance(source, TranscriptSource) else None
        self._tables, self._beds = [], []
        for path in paths:
            if Path(path).name.lower().endswith(".bed"):
                self._beds.append(stack.enter_context(stack.enter_context(atomic_file(path)).open("w")))
            else:
                attributes = {"thresholds": json.dumps(thresholds.nested())}
                self._tables.append(stack.enter_context(open_table(path, attributes=attributes)))
        self._caller: SiteCaller | None = None
        self._current = ("", "+")
        self._held: list[tuple[pd.DataFrame, pd.DataFrame]] = []  # and in coordinates of their transcripts
        self._held_contig: str | None = None
        self.n_sites = 0
        empty = self._to_genome(self._frame([]))
        self._best = [empty]
        self._write(empty)  # the header, even if there will be no site

    def add(self, run: Run, starts: Positions, ends: Positions, scores: Floats) -> None:
        """Take the next run; parameters as :meth:`ripe_lib.scan.output.Outputs.add`."""
        if self._caller is None or (run.contig, run.strand) != self._current:
            self._end_strand()
            self._current = (run.contig, run.strand)
            self._caller = SiteCaller(self._thresholds.of(run.contig), self._distance)
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
        if not sites:
            return
        held, contig = sum(len(own) for _, own in self._held), self._current[0]
        if self._transcripts is not None:
            contig = self._transcripts.place_of(contig)[0]
        if contig != self._held_contig and (self._source.kind != "rna" or held >= _FLUSH_ROWS):
            self._flush()
        self._held_contig = contig
        frame = self._frame(sites)
        self._held.append((self._to_genome(frame), frame))

    def _frame(self, sites: Sequence[Site]) -> pd.DataFrame:
        """Return the table of sites of the current strand; their maps are written on the way."""
        contig, strand = self._current
        step, k, length, n = self._scanner.step, self._k, self._source.contigs.get(contig, 0), len(sites)
        tasks, firsts, ends, peaks = np.array([site[:4] for site in sites], dtype=np.int64).reshape(-1, 4).T
        scores = np.array([site.score for site in sites], dtype=np.float32)
        thresholds = self._thresholds.of(contig)[tasks] if n else scores
        rates = self._thresholds.rates(contig, tasks.tolist(), scores) if n else scores
        letters, lows, effects = np.full(n, "", dtype=object), np.full(n, -1), np.full(n, np.nan, dtype=np.float32)
        if n and (k or self._maps is not None):
            bins, of = np.unique(peaks, return_inverse=True)
            windows, starts = peak_windows(self._source, self._scanner.model.spec, *self._current, bins.tolist(), step)
        if n and k:
            pairs = list(zip(of.tolist(), self._scanner.columns[tasks].tolist(), strict=True))
            options: dict[str, Any] = {"batch_size": self._scanner.batch_size, "step": self._step}
            kmers = best_kmers(self._scanner.model, windows, pairs, length=k, **options)
            for row, (number, (offset, effect)) in enumerate(zip(of.tolist(), kmers, strict=True)):
                if offset >= 0:
                    letters[row] = decode_sequence(windows.seq[number, offset : offset + k], rna=True)
                    before = windows.seq.shape[1] - k - offset if strand == "-" else offset
                    lows[row], effects[row] = starts[number] + before, effect
        columns: dict[str, Any] = {
            "chrom": np.full(n, contig, dtype=object),
            "start": firsts * step,
            "end": np.minimum(ends * step, length),
            "strand": np.full(n, strand, dtype=object),
            "task": np.array(self._scanner.tasks, dtype=object)[tasks],
            "score": scores,
            "threshold": thresholds.astype(np.float32),
            "fpr": rates.astype(np.float32),
            "peak_start": peaks * step,
            "peak_end": np.minimum((peaks + 1) * step, length),
            "kmer": letters,
            "kmer_start": lows,
            "kmer_end": np.where(lows >= 0, lows + k, -1),
            "kmer_effect": effects,
        }
        frame = pd.DataFrame(columns)
        if n and self._maps is not None:
            self._maps.add(frame, windows.take(of))
        return frame

    @property
    def best_sites(self) -> pd.DataFrame:
        """The :data:`KEPT_SITES` sites with the highest score, best first, in coordinates of the contigs scanned."""
        frames = [frame for frame in self._best if len(frame)] or self._best[:1]
        joined = pd.concat(frames, ignore_index=True)
        order = np.lexsort((joined["task"], joined["start"], joined["chrom"], -joined["score"]))
        return joined.iloc[order[:KEPT_SITES]].reset_index(drop=True)

    def _to_genome(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with places in the genome; of a transcript, its own coordinates are columns of their own."""
        source, transcript = self._transcripts, self._current[0]
        if source is None:
            return frame
        gene = source.gene_of(transcript)[1] if transcript else ""
        frame = frame.assign(gene=gene, transcript=transcript)
        frame["transcript_start"], frame["transcript_end"], frame["isoforms"] = frame["start"], frame["end"], transcript
        if transcript:
            frame["chrom"], frame["strand"] = source.place_of(transcript)
            positions = source.positions(transcript)
            for start, end in (("start", "end"), ("peak_start", "peak_end"), ("kmer_start", "kmer_end")):
                known = frame[start].to_numpy() >= 0
                a = positions[frame.loc[known, start].to_numpy()]
                b = positions[frame.loc[known, end].to_numpy() - 1]
                frame.loc[known, start], frame.loc[known, end] = np.minimum(a, b), np.maximum(a, b) + 1
        return frame

    def _flush(self) -> None:
        if not self._held:
            return
        frame, own = (pd.concat(frames, ignore_index=True) for frames in zip(*self._held, strict=True))
        self._held = []
        if self._transcripts is not None:
            frame, own = self._without_isoforms(self._transcripts, frame, own)
        self.n_sites += len(frame)
        self._best.append(own)
        if sum(map(len, self._best)) > 2 * KEPT_SITES:
            self._best = [self.best_sites]
        keys = ["start", "end", "task", "strand"]
        if self._source.kind == "rna":  # several in the order of the file
            frame["order"], keys = pd.factorize(frame["chrom"])[0], ["order", *keys]
        frame = frame.sort_values(keys, kind="stable", ignore_index=True)
        self._write(frame.drop(columns="order", errors="ignore"))

    def _without_isoforms(
        self, source: TranscriptSource, frame: pd.DataFrame, own: pd.DataFrame
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Merge the sites of the isoforms of genes; ``own`` are the same rows in coordinates of the transcripts."""
        nearest = self._distance * self._scanner.step
        peaks = frame["peak_start"].to_numpy()
        transcripts = frame[["transcript", "strand", "task"]].astype(str).to_numpy().tolist()
        kept: dict[tuple[str, str, str], list[int]] = {}
        names: dict[int, list[str]] = {}
        for row in np.argsort(-frame["score"].to_numpy(), kind="stable").tolist():
            transcript, strand, task = transcripts[row]
            before = kept.setdefault((source.gene_of(transcript)[0], strand, task), [])
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
            firsts, lasts = positions[np.append(0, breaks + 1)], positions[np.append(breaks, -1)]
            blocks = list(zip(firsts.tolist(), (lasts + 1).tolist(), strict=True))
        sizes = ",".join(str(end - start) for start, end in blocks)
        offsets = ",".join(str(start - row.start) for start, _ in blocks)
        fields = (
            row.chrom, row.start, row.end, row.task, round(1000 * row.score), row.strand,
            row.peak_start, row.peak_end, "0", len(blocks), sizes, offsets,
        )  # fmt: skip
        return "\t".join(map(str, fields)) + "\n"
