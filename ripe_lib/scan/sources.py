"""What is scanned: RNAs of a FASTA, stretches of a genome, or spliced transcripts, all behind one interface.

A source has contigs (genome contigs, RNAs, or transcripts) and *runs*: bins ``first ... first + n - 1`` of one strand
of a contig, see :mod:`ripe_lib.scan.engine`. Runs of one contig and strand never overlap. A source is picklable: it
names files, and opens them once per process.

Around an RNA or a transcript there is nothing (unknown bases and region types); around a stretch of a genome there are
its real flanks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.contigs import in_natural_order
from ripe_lib.genome.encoding import Codes, place
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.rna_fasta import RnaRecords
from ripe_lib.genome.windows import CodeWindows, window_start
from ripe_lib.network.spec import ModelSpec
from ripe_lib.output.chunked import load_once
from ripe_lib.scan.engine import Scanner, Stretch

Distances = NDArray[np.float64]


class Run(NamedTuple):
    """Consecutive bins of one strand of a contig."""

    contig: str
    strand: str
    first: int
    n: int


class Source(Protocol):
    """Where codes come from."""

    @property
    def kind(self) -> str:
        """``"rna"``, ``"genome"`` or ``"transcript"``."""

    @property
    def contigs(self) -> dict[str, int]:
        """Lengths by name."""

    def runs(self, step: int) -> list[Run]:
        """Return what is to be scanned, sorted by contig, strand and position: here all contigs from end to end."""
        return [Run(name, "+", 0, -(-length // step)) for name, length in self.contigs.items()]

    def codes(self, contig: str, start: int, length: int, minus: bool) -> tuple[Codes, Codes | None]:
        """Return base and region-type codes (length,), RNA sense, unknown off the contig.

        Parameters
        ----------
        contig : str
        start, length : int
            The range ``[start, start + length)``, 0-based on the plus strand; may overhang the contig.
        minus : bool
        """

    def landmarks(self, contig: str, positions: NDArray[np.int64], minus: bool) -> Distances | None:
        """Return distances (n, 8) in nt to transcript landmarks; None where none are known.

        Parameters
        ----------
        contig : str
        positions : int64 array (n,)
            0-based, plus strand.
        minus : bool
        """
        return None

    def fingerprint(self) -> tuple[Any, list[Path]]:
        """Return what identifies the source: options, and the files behind it."""


def bin_bounds(run: Run, step: int, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return start and end of a run's bins, ascending.

    Parameters
    ----------
    run : Run
    step, length : int
        Of a bin, and of the contig, with which the last bin ends.
    """
    starts = (run.first + np.arange(run.n, dtype=np.int64)) * step
    return starts, np.minimum(starts + step, length)


def stretches(source: Source, run: Run, scanner: Scanner) -> list[Stretch]:
    """Return the windows of a run: ascending bins on plus, descending on minus.

    Parameters as :func:`ripe_lib.scan.run.scores_of_runs`.
    """
    step, length = scanner.step, source.contigs[run.contig]
    n_whole = min(run.n, max(0, length // step - run.first))
    found = []
    # The last bin of the contig may be shorter: its window is off the grid.
    for first, n in ((run.first, n_whole), (run.first + n_whole, min(1, run.n - n_whole))):
        if n:
            end = min((first + 1) * step, length)
            found.append(_stretch(source, run, first * step, end, n, step, scanner.model.spec))
    return found[::-1] if run.strand == "-" else found


def _stretch(source: Source, run: Run, start: int, end: int, n: int, step: int, spec: ModelSpec) -> Stretch:
    """Return the windows of ``n`` bins, the first of which is ``[start, end)``."""
    lengths = (spec.sequence_length, spec.region_length)
    minus, hop = run.strand == "-", (n - 1) * step
    first = [window_start(start, end, length) for length in lengths]
    last = [begin + length + hop for begin, length in zip(first, lengths, strict=True)]
    low, high = (min(first), max(last)) if lengths[1] else (first[0], last[0])
    seq, region = source.codes(run.contig, low, high - low, minus)
    offsets = [(high - end) if minus else (begin - low) for begin, end in zip(first, last, strict=True)]
    landmarks = None
    if spec.has_landmarks:
        centres = window_start(start, end, 2) + np.arange(n, dtype=np.int64) * step
        landmarks = source.landmarks(run.contig, centres[::-1] if minus else centres, minus)
    return Stretch(seq, region if lengths[1] else None, offsets[0], offsets[1], n, landmarks)


def peak_windows(
    source: Source, spec: ModelSpec, contig: str, strand: str, bins: Sequence[int], step: int
) -> tuple[CodeWindows, NDArray[np.int64]]:
    """Return the windows of single bins, and where they start on the plus strand (B,).

    Parameters
    ----------
    source : Source
    spec : ModelSpec
    contig, strand : str
    bins : sequence of int (B,)
    step : int
        Width of a bin in nt.
    """
    seqs, regions, landmarks, starts = [], [], [], []
    length, width, contig_length = spec.sequence_length, spec.region_length, source.contigs[contig]
    for number in bins:
        begin = number * step
        end = min(begin + step, contig_length)
        stretch = _stretch(source, Run(contig, strand, number, 1), begin, end, 1, step, spec)
        seqs.append(stretch.seq[stretch.seq_first : stretch.seq_first + length])
        if stretch.region is not None:
            regions.append(stretch.region[stretch.region_first : stretch.region_first + width])
        if stretch.landmarks is not None:
            landmarks.append(stretch.landmarks)
        starts.append(window_start(begin, end, length))
    context = np.stack(regions) if regions else None, np.concatenate(landmarks) if landmarks else None
    return CodeWindows(np.stack(seqs), *context), np.array(starts, dtype=np.int64)


@dataclass(frozen=True)
class RnaSource(Source):
    """RNAs of a FASTA, scanned whole, 5' to 3'."""

    records: RnaRecords
    kind = "rna"

    @cached_property
    def contigs(self) -> dict[str, int]:
        """Lengths by name, in file order."""
        return dict(zip(self.records.names, self.records.lengths.tolist(), strict=True))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.records.names)}

    def codes(self, contig: str, start: int, length: int, minus: bool) -> tuple[Codes, Codes | None]:
        """Return bases and region types; parameters as :meth:`Source.codes`."""
        number = self._numbers[contig]
        low, high = max(0, start), min(start + length, int(self.records.lengths[number]))
        bases = place(self.records.bases(number, low, max(low, high)), length, low - start)
        region = self.records.regions(number, low, max(low, high))
        return bases, None if region is None else place(region, length, low - start)

    def fingerprint(self) -> tuple[Any, list[Path]]:
        """As :meth:`Source.fingerprint`."""
        return ["rna", self.records.digest], []


def open_genome(fasta_file: str) -> Genome:
    """Return a genome, opened once per process, and anew if the file changed."""
    return load_once(_load_genome, fasta_file, _state(fasta_file))


def open_annotation(gtf_file: str, fasta_file: str) -> Annotation:
    """Return an annotation matched to a genome, loaded once per process, and anew if one of the files changed."""
    return load_once(_load_annotation, gtf_file, fasta_file, _state(gtf_file), _state(fasta_file))


def _state(path: str) -> tuple[int, int, int] | None:
    if not Path(path).exists():
        return None
    known = Path(path).stat()
    return known.st_ino, known.st_size, known.st_mtime_ns


def _load_genome(fasta_file: str, _: object) -> Genome:
    return Genome(fasta_file)


def _load_annotation(gtf_file: str, fasta_file: str, *_: object) -> Annotation:
    return Annotation.load(gtf_file).for_genome(Genome(fasta_file))


@dataclass(frozen=True)
class GenomeSource(Source):
    """Stretches of a genome on one strand or both.

    Without a ``gtf_file`` region types are unknown. ``spans`` are (contig, strand, start, end), 0-based, half-open,
    strands ``+`` or ``-``; they may overlap and be in any order. Bins that touch one are scanned, each once.
    """

    fasta_file: str
    gtf_file: str | None
    spans: tuple[tuple[str, str, int, int], ...]
    kind = "genome"

    @cached_property
    def contigs(self) -> dict[str, int]:
        """Lengths of all contigs, in natural order (1, 2, ..., 10, ..., X)."""
        return in_natural_order(open_genome(self.fasta_file).contigs)

    def runs(self, step: int) -> list[Run]:
        """Return the bins that touch a span, merged."""
        order = {name: number for number, name in enumerate(self.contigs)}
        found: list[Run] = []
        for contig, strand, start, end in sorted(self.spans, key=lambda s: (order[s[0]], s[1] == "-", s[2], s[3])):
            first, last = start // step, -(-end // step)
            previous = found[-1] if found else None
            if previous and previous[:2] == (contig, strand) and first <= previous.first + previous.n:
                found[-1] = previous._replace(n=max(previous.n, last - previous.first))
            else:
                found.append(Run(contig, strand, first, last - first))
        return found

    def codes(self, contig: str, start: int, length: int, minus: bool) -> tuple[Codes, Codes | None]:
        """Return bases and region types; parameters as :meth:`Source.codes`."""
        bases = open_genome(self.fasta_file).fetch(contig, [start], length, [minus])[0]
        if self.gtf_file is None:
            return bases, None
        annotation = open_annotation(self.gtf_file, self.fasta_file)
        return bases, annotation.region_codes(contig, [start], length, [minus])[0]

    def landmarks(self, contig: str, positions: NDArray[np.int64], minus: bool) -> Distances | None:
        """Return distances to landmarks; parameters as :meth:`Source.landmarks`."""
        if self.gtf_file is None:
            return None
        return open_annotation(self.gtf_file, self.fasta_file).landmark_distances(contig, positions, minus)

    def fingerprint(self) -> tuple[Any, list[Path]]:
        """As :meth:`Source.fingerprint`."""
        files = [Path(file) for file in (self.fasta_file, self.gtf_file) if file is not None]
        return ["genome, natural order", self.spans], files


@dataclass(frozen=True)
class TranscriptSource(Source):
    """Spliced transcripts: exons joined, 5' to 3'; region types are those of the genome at each base."""

    fasta_file: str
    gtf_file: str
    transcript_ids: tuple[str, ...]
    kind = "transcript"

    @cached_property
    def contigs(self) -> dict[str, int]:
        """Spliced lengths by transcript, sorted by place in the genome."""
        annotation = open_annotation(self.gtf_file, self.fasta_file)
        order = {name: number for number, name in enumerate(in_natural_order(open_genome(self.fasta_file).contigs))}
        items = self._places.items()
        places = sorted((order[chrom], strand == "-", start, name) for name, (chrom, strand, start, *_) in items)
        return {name: int(np.diff(annotation.exons(name), axis=1).sum()) for *_, name in places}

    @cached_property
    def _places(self) -> dict[str, tuple[str, str, int, str, str]]:
        """Contig, strand, start, gene's id and name of every transcript."""
        table = open_annotation(self.gtf_file, self.fasta_file).transcripts.set_index("transcript_id")
        genome = open_genome(self.fasta_file)
        rows = table.loc[list(self.transcript_ids), ["chrom", "strand", "start", "gene_id", "gene_name"]]
        return {
            str(name): (genome.resolve(chrom), strand, int(start), str(gene), str(label or gene))
            for name, chrom, strand, start, gene, label in rows.itertuples(name=None)
        }

    def place_of(self, transcript: str) -> tuple[str, str]:
        """Return contig (as in the FASTA) and strand."""
        return self._places[transcript][:2]

    def gene_of(self, transcript: str) -> tuple[str, str]:
        """Return the gene's id and name (its id if it has none)."""
        return self._places[transcript][3:]

    def positions(self, transcript: str) -> NDArray[np.int64]:
        """Return the genomic position of every base of the transcript, 5' to 3'."""
        exons = open_annotation(self.gtf_file, self.fasta_file).exons(transcript)
        joined = np.concatenate([np.arange(start, end, dtype=np.int64) for start, end in exons])
        return joined[::-1] if self.place_of(transcript)[1] == "-" else joined

    def codes(self, contig: str, start: int, length: int, minus: bool) -> tuple[Codes, Codes | None]:
        """Return bases and region types; parameters as :meth:`Source.codes`."""
        chrom, strand = self.place_of(contig)
        genome, annotation = open_genome(self.fasta_file), open_annotation(self.gtf_file, self.fasta_file)
        exons = [(chrom, [begin], int(end - begin), [strand == "-"]) for begin, end in annotation.exons(contig)]
        exons = exons[::-1] if strand == "-" else exons
        bases, regions = ([fetch(*exon)[0] for exon in exons] for fetch in (genome.fetch, annotation.region_codes))
        return place(np.concatenate(bases), length, -start), place(np.concatenate(regions), length, -start)

    def landmarks(self, contig: str, positions: NDArray[np.int64], minus: bool) -> Distances | None:
        """Return the distances of the bases' places in the genome; parameters as :meth:`Source.landmarks`."""
        chrom, strand = self.place_of(contig)
        annotation = open_annotation(self.gtf_file, self.fasta_file)
        return annotation.landmark_distances(chrom, self.positions(contig)[positions], strand == "-")

    def fingerprint(self) -> tuple[Any, list[Path]]:
        """As :meth:`Source.fingerprint`."""
        return ["transcript, natural order", self.transcript_ids], [Path(self.fasta_file), Path(self.gtf_file)]


def in_fasta_order(source: Source, runs: Sequence[Run]) -> list[Run]:
    """Return runs in the order of the FASTA: what is drawn from them by a seed depends on their order."""
    if not isinstance(source, GenomeSource | TranscriptSource):
        return list(runs)
    order = {name: number for number, name in enumerate(open_genome(source.fasta_file).contigs)}
    if isinstance(source, TranscriptSource):
        return sorted(runs, key=lambda run: order[source.place_of(run.contig)[0]])
    return sorted(runs, key=lambda run: order[run.contig])
