"""What one process needs to score chunks of a VCF: the job, and its models, genome and open files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import unknown_name
from ripe_lib.genome.alleles import OK, Alleles
from ripe_lib.genome.encoding import REGION_TYPES
from ripe_lib.genome.vcf import Block, VcfFile, VcfRecords
from ripe_lib.network.catalogue import find_model_directory
from ripe_lib.network.load import Model, load_model, model_arguments
from ripe_lib.output.chunked import fingerprint_of
from ripe_lib.variants.assembly import AssemblyCheck
from ripe_lib.variants.format import OutputFormat, Selection, long_names, payload
from ripe_lib.variants.peaks import Peaks
from ripe_lib.variants.rows import Rows
from ripe_lib.variants.score import ScoredVariants, VariantOptions, VariantScorer

REGION_FILTERS = (*REGION_TYPES, "none")
_PIECE = 2048  # records scored at a time
_SCORING_THREADS = 2  # while one waits for Python, formats or compresses, the other keeps the cores busy


@dataclass(frozen=True)
class RowFilter:
    """Which rows are written. Without any filter all are, scored or not; with one, only scored rows that pass.

    Attributes
    ----------
    tasks : tuple of str or None
        Tasks to write; None is all.
    min_delta : float
        The largest |delta| of a row's tasks must be at least this.
    region_types : tuple of str or None
        Region type of the first changed base (``intron CDS 3UTR 5UTR none``).
    peaks_file : str or None
        BED of CLIP peaks that must overlap the changed bases, on the same strand if the BED has strands.
    """

    tasks: tuple[str, ...] | None = None
    min_delta: float = 0.0
    region_types: tuple[str, ...] | None = None
    peaks_file: str | None = None

    def __post_init__(self) -> None:
        for name in self.region_types or ():
            if name not in REGION_FILTERS:
                raise unknown_name("region type", name, REGION_FILTERS)

    @property
    def active(self) -> bool:
        """Whether rows are left out."""
        return self.min_delta > 0 or self.region_types is not None or self.peaks_file is not None


@dataclass(frozen=True)
class VariantJob:
    """Everything that a worker needs to score a chunk; picklable."""

    vcf_file: str
    fasta_file: str
    gtf_file: str | None
    models: tuple[str, ...]
    options: VariantOptions
    out: OutputFormat
    rows: RowFilter = RowFilter()
    n_strongest: int = 0

    def fingerprint(self, chunk_size: int) -> str:
        """Return a digest of inputs and options."""
        weights = []
        for name in self.models:
            directory = find_model_directory(name)
            weights += [directory / "model.yaml", directory / model_arguments(directory)["weights"]]
        options = {**asdict(replace(self, vcf_file="")), "chunk_size": chunk_size}
        return fingerprint_of(options, [self.vcf_file, self.fasta_file, self.gtf_file, self.rows.peaks_file, *weights])


class Piece(NamedTuple):
    """Part of a chunk, ready to be scored."""

    records: VcfRecords
    alleles: Alleles
    rows: Rows
    counts: Counter[str]


class Worker:
    """Models, genome, annotation and the open VCF of one process."""

    def __init__(self, job: VariantJob, models: Sequence[Model] | None = None) -> None:
        from ripe_lib.genome.annotation import Annotation
        from ripe_lib.genome.fasta import Genome

        genome = Genome(job.fasta_file)
        self._readers_genome = Genome(job.fasta_file)  # open files are not shared between threads
        annotation = None if job.gtf_file is None else Annotation.load(job.gtf_file).for_genome(genome)
        models = [load_model(name) for name in job.models] if models is None else list(models)
        self.job = job
        self.scorer = VariantScorer(models, genome, annotation, job.options)
        self.selection = Selection(models, job.rows.tasks)
        self.vcf = VcfFile(job.vcf_file)
        self.blocks: list[Block] = []  # the order in which they will come, if it is known
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="ripe-read")
        n_threads = 1 if os.environ.get("TF_NUM_INTRAOP_THREADS") == "1" else _SCORING_THREADS
        self._scoring = ThreadPoolExecutor(n_threads, thread_name_prefix="ripe-score")
        self._ahead: dict[int, Future[list[Piece]]] = {}
        self.peaks = None if job.rows.peaks_file is None else Peaks(job.rows.peaks_file, genome)

    def close(self) -> None:
        """End the threads and close the VCF."""
        self._reader.shutdown(cancel_futures=True)
        self._scoring.shutdown(cancel_futures=True)
        self.vcf.close()

    def check_assembly(self, name: str, blocks: Sequence[Block]) -> None:
        """Stop if REF of the first records says that the FASTA is of another assembly; what is read is kept."""
        check = AssemblyCheck()
        for index, block in enumerate(blocks):
            self._ahead[index] = self._reader.submit(self._placed, block)
            for piece in self._ahead[index].result():
                check.add(piece.records, piece.alleles)
            if check.is_complete:
                break
        check.finish(name, self.scorer.genome)

    def pieces(self, index: int, block: Block) -> list[Piece]:
        """Return the rows of a block; those of the next one are read while these are scored."""
        for number in [number for number in self._ahead if number < index]:
            del self._ahead[number]
        coming = self._ahead.pop(index, None) or self._reader.submit(self._placed, block)
        if index + 1 < len(self.blocks) and index + 1 not in self._ahead:
            self._ahead[index + 1] = self._reader.submit(self._placed, self.blocks[index + 1])
        return coming.result()

    def _placed(self, block: Block) -> list[Piece]:
        records = self.vcf.read(block)
        cuts = range(0, len(records), _PIECE)
        return [self._place(records.part(slice(at, at + _PIECE))) for at in cuts]

    def _place(self, records: VcfRecords) -> Piece:
        alleles, rows = self.scorer.rows(records, self._readers_genome)
        counts = Counter(rows.status.tolist())
        job = self.job
        if job.rows.region_types is not None or self.peaks is not None:
            wanted = rows.status == OK
            if job.rows.region_types is not None:
                wanted &= np.isin(rows.region_type, job.rows.region_types)
            if self.peaks is not None:
                start, end = alleles.start[rows.allele], alleles.start[rows.allele] + 1
                end = np.maximum(end, start + alleles.n_removed[rows.allele])
                wanted &= self.peaks.overlap(alleles.contig[rows.allele], start, end, rows.strand == "-")
            rows = rows.take(np.flatnonzero(wanted))
        return Piece(records, alleles, rows, counts)

    def written(self, pieces: Sequence[Piece]) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Score pieces and yield, in order, what each adds to the output, and its summary."""
        return self._scoring.map(self._written, pieces)

    def _written(self, piece: Piece) -> tuple[bytes, dict[str, Any]]:
        scored = self.scorer.score_rows(piece.records, piece.alleles, piece.rows)
        keep = np.ones(len(scored.rows), dtype=bool)
        if self.job.rows.min_delta > 0:
            keep = self._largest(scored) >= self.job.rows.min_delta
        summary = {
            "n_records": len(piece.records),
            "n_rows": int(keep.sum()),
            "status": piece.counts,
            "strongest": self.strongest(scored, keep),
        }
        return payload(scored, self.selection, keep, self.job.out), summary

    def _largest(self, scored: ScoredVariants) -> NDArray[np.float32]:
        at = scored.fields.index("delta")
        deltas = np.concatenate([v[..., at] for v in self.selection.values(scored)], axis=1)
        return np.nan_to_num(np.abs(deltas), nan=-1).max(axis=1, initial=-1)

    def empty(self) -> ScoredVariants:
        """Return a chunk without records, for its column names."""
        nothing = VcfRecords([], np.zeros(0, dtype=np.int64), [], [], [], [])
        return self.scorer.score(nothing)

    def strongest(self, scored: ScoredVariants, keep: NDArray[np.bool_]) -> list[dict[str, Any]]:
        """Return the strongest changes of a chunk, one per row."""
        n = self.job.n_strongest
        if not n:
            return []
        size = np.where(keep, self._largest(scored), -1)
        meta = scored.meta()
        found = []
        at = scored.fields.index("delta")
        for row in np.argsort(-size, kind="stable")[:n]:
            if size[row] < 0:
                break
            number, task = max(
                ((n_model, t) for n_model, columns in enumerate(self.selection.columns) for t in columns),
                key=lambda place: abs(scored.values[place[0]][row, place[1], at]),
            )
            model = self.selection.models[number]
            allele = scored.rows.allele[row]
            place = {
                "contig": scored.alleles.contig[allele],
                "start": int(scored.alleles.start[allele]),
                "model": model.name,
                "task": model.tasks[task],
            }
            values = zip(long_names(scored.fields), scored.values[number][row, task].tolist(), strict=True)
            found.append({**{k: _plain(v[row]) for k, v in meta.items()}, **place, **dict(values)})
        return found


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, np.integer) else value
