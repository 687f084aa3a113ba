"""File to file: score a VCF chunk by chunk, resumable, and put the finished chunks together.

Every chunk becomes one part file (:mod:`ripe_lib.chunked`): the bytes it adds to the output, and a summary of what is
in it. An interrupted run continues where it was; the joined file is the same.
"""

from __future__ import annotations

import json
import os
import struct
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib._version import __version__
from ripe_lib.alleles import OK, Alleles
from ripe_lib.atomic import atomic_file
from ripe_lib.catalogue import find_model_directory
from ripe_lib.chunked import Chunk, Progress, fingerprint_of, load_once, parts_directory, remove_parts, run_chunks
from ripe_lib.encoding import REGION_TYPES
from ripe_lib.errors import OutputError, unknown_name
from ripe_lib.models import Model, load_model, model_arguments
from ripe_lib.variants.format import (
    OutputFormat,
    Selection,
    header,
    info_fields,
    join_parquet,
    joined,
    long_names,
    payload,
)
from ripe_lib.variants.peaks import Peaks
from ripe_lib.variants.rows import Rows
from ripe_lib.variants.score import (
    DEFAULT_CHUNK_SIZE,
    ScoredVariants,
    VariantOptions,
    VariantScorer,
    check_assembly,
)
from ripe_lib.vcf import BGZF_END, Block, VcfFile, VcfRecords, annotated_header

REGION_FILTERS = (*REGION_TYPES, "none")
_PIECE = 2048  # records: rows are scored while those before are written
_LENGTH = struct.Struct("<Q")
_TBI_LIMIT = 1 << 29


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


@dataclass
class Summary:
    """What was written.

    Attributes
    ----------
    n_records : int
    status : Counter
        Rows by status, before filters.
    n_rows : int
        Rows written.
    strongest : list of dict
        The changes with the largest |delta|: the first columns of the table, ``contig start`` (as scored), ``model``,
        ``task``, and the fields.
    index : str or None
        Of a bgzip VCF whose records are sorted.
    """

    n_records: int = 0
    status: Counter[str] = field(default_factory=Counter)
    n_rows: int = 0
    strongest: list[dict[str, Any]] = field(default_factory=list)
    index: str | None = None

    def add(self, other: dict[str, Any], n_strongest: int) -> None:
        """Add a chunk's."""
        self.n_records += other["n_records"]
        self.n_rows += other["n_rows"]
        self.status.update(other["status"])
        best = self.strongest + other["strongest"]
        self.strongest = sorted(best, key=lambda row: -abs(row["delta"]))[:n_strongest]


class _Piece(NamedTuple):
    """Part of a chunk, ready to be scored."""

    records: VcfRecords
    alleles: Alleles
    rows: Rows
    counts: Counter[str]


class _Worker:
    """Models, genome, annotation and the open VCF of one process."""

    def __init__(self, job: VariantJob, models: Sequence[Model] | None = None) -> None:
        from ripe_lib.annotation import Annotation
        from ripe_lib.genome import Genome

        genome = Genome(job.fasta_file)
        annotation = None if job.gtf_file is None else Annotation.load(job.gtf_file).for_genome(genome)
        models = [load_model(name) for name in job.models] if models is None else list(models)
        self.job = job
        self.scorer = VariantScorer(models, genome, annotation, job.options)
        self.selection = Selection(models, job.rows.tasks)
        self.vcf = VcfFile(job.vcf_file)
        self.blocks: list[Block] = []  # the order in which they will come, if it is known
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="ripe-read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ripe-write")
        self._ahead: dict[int, Future[list[_Piece]]] = {}
        self.peaks = None if job.rows.peaks_file is None else Peaks(job.rows.peaks_file, genome)

    def close(self) -> None:
        """End the threads and close the VCF."""
        self._reader.shutdown(cancel_futures=True)
        self._writer.shutdown(cancel_futures=True)
        self.vcf.close()

    def pieces(self, index: int, block: Block) -> list[_Piece]:
        """Return the rows of a block; those of the next one are read while these are scored."""
        coming = self._ahead.pop(index, None) or self._reader.submit(self._placed, block)
        self._ahead.clear()
        if index + 1 < len(self.blocks):
            self._ahead[index + 1] = self._reader.submit(self._placed, self.blocks[index + 1])
        return coming.result()

    def _placed(self, block: Block) -> list[_Piece]:
        records = self.vcf.read(block)
        cuts = range(0, len(records), _PIECE)
        return [self._place(records.part(slice(at, at + _PIECE))) for at in cuts]

    def _place(self, records: VcfRecords) -> _Piece:
        alleles, rows = self.scorer.rows(records)
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
        return _Piece(records, alleles, rows, counts)

    def write_in_background(self, scored: ScoredVariants, n_records: int, counts: Counter[str]) -> Future[Any]:
        """Turn scored rows into (bytes, summary) while the next ones are scored."""
        return self._writer.submit(self._written, scored, n_records, counts)

    def _written(self, scored: ScoredVariants, n_records: int, counts: Counter[str]) -> tuple[bytes, dict[str, Any]]:
        keep = np.ones(len(scored.rows), dtype=bool)
        if self.job.rows.min_delta > 0:
            keep = self._largest(scored) >= self.job.rows.min_delta
        summary = {
            "n_records": n_records,
            "n_rows": int(keep.sum()),
            "status": counts,
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


def _worker(job: VariantJob, fingerprint: str) -> _Worker:  # the fingerprint: changed files are opened again
    return _Worker(job)


def score_part_remotely(job: VariantJob, fingerprint: str, chunk: Chunk, path: Path) -> None:
    """Score one chunk in a worker process, which loads models, genome and annotation once."""
    score_part(load_once(_worker, job, fingerprint), chunk, path)


def score_part(worker: _Worker, chunk: Chunk, path: Path) -> None:
    """Score one chunk and write its part."""
    coming = [
        worker.write_in_background(worker.scorer.score_rows(*piece[:3]), len(piece.records), piece.counts)
        for piece in worker.pieces(chunk.index, Block(*chunk.payload))
    ]
    written = [future.result() for future in coming]
    summary = Summary()
    for _, found in written:
        summary.add(found, worker.job.n_strongest)
    _write_part(path, joined([content for content, _ in written], worker.job.out), vars(summary))


def _write_part(path: Path, content: bytes, summary: dict[str, Any]) -> None:
    trailer = json.dumps(summary).encode()
    with path.open("wb") as file:
        file.write(content)
        file.write(trailer)
        file.write(_LENGTH.pack(len(trailer)))


class _Part(NamedTuple):
    path: Path
    n_bytes: int
    summary: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> _Part:
        with path.open("rb") as file:
            file.seek(-_LENGTH.size, os.SEEK_END)
            (length,) = _LENGTH.unpack(file.read())
            file.seek(-_LENGTH.size - length, os.SEEK_END)
            n_bytes = file.tell()
            return cls(path, n_bytes, json.loads(file.read(length)))

    def content(self) -> bytes:
        with self.path.open("rb") as file:
            return file.read(self.n_bytes)

    def copy(self, out: IO[bytes]) -> None:
        out.write(self.content())  # a part is a few MB


def write_scores(
    job: VariantJob,
    output: str | Path,
    *,
    chunk_size: int | None = None,
    models: Sequence[Model] | None = None,
    force: bool = False,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Score a VCF into a file.

    Parameters
    ----------
    job : VariantJob
        What to do; ``vcf_file`` may be ``-``.
    output : path
        The suffix decided ``job.out`` (:meth:`OutputFormat.of`).
    chunk_size : int, optional
        Lines of the VCF per part.
    models : list of Model, optional
        ``job.models``, if they are loaded already.
    force : bool
        Go on even if the FASTA seems to be of another assembly.
    scheduler : str, optional
        Of :func:`ripe_lib.chunked.run_chunks`.
    progress : callable, optional
        Called with (parts done, parts in all).

    Returns
    -------
    Summary
    """
    output = Path(output)
    if output.is_dir():
        raise OutputError(f"{output}: expected a file name, got a folder.")
    chunk_size = chunk_size or DEFAULT_CHUNK_SIZE
    with VcfFile(job.vcf_file) as vcf:
        job = _everywhere(job, vcf.path)
        worker = _Worker(job, models)
        try:
            check_assembly(vcf, worker.scorer.genome, force=force)
            blocks = vcf.blocks(chunk_size)
            chunks = [Chunk(i, tuple(block)) for i, block in enumerate(blocks)]
            worker.blocks = blocks if scheduler is None else []
            fingerprint = job.fingerprint(chunk_size)
            parts_dir = parts_directory(output)
            paths = run_chunks(
                chunks,
                partial(score_part, worker) if scheduler is None else partial(score_part_remotely, job, fingerprint),
                parts_dir=parts_dir,
                fingerprint=fingerprint,
                scheduler=scheduler,
                progress=progress,
            )
            summary = Summary()
            parts = [_Part.open(path) for path in paths]
            for part in parts:
                summary.add(part.summary, job.n_strongest)
            _join(worker, parts, output)
            remove_parts(parts_dir)
        finally:
            worker.close()
    if job.out.kind == "vcf" and job.out.compressed:
        index = index_vcf(output)
        summary.index = None if index is None else str(index)
    return summary


def _everywhere(job: VariantJob, vcf_path: Path) -> VariantJob:
    """Return the job with paths that mean the same in workers' folders."""
    return replace(
        job,
        vcf_file=str(vcf_path.absolute()),
        fasta_file=str(Path(job.fasta_file).absolute()),
        gtf_file=None if job.gtf_file is None else str(Path(job.gtf_file).absolute()),
        models=tuple(str(find_model_directory(name).absolute()) for name in job.models),
        rows=replace(
            job.rows,
            peaks_file=None if job.rows.peaks_file is None else str(Path(job.rows.peaks_file).absolute()),
        ),
    )


def _join(worker: _Worker, parts: Sequence[_Part], output: Path) -> None:
    job, empty = worker.job, worker.empty()
    with atomic_file(output) as temporary:
        if job.out.kind == "parquet":
            nothing = partial(payload, empty, worker.selection, np.zeros(0, dtype=bool), job.out)
            join_parquet([part.content for part in parts] or [nothing], temporary)
            return
        with temporary.open("wb") as out:
            out.write(header(empty, worker.selection, job.out, vcf_header(worker, empty.fields)))
            for part in parts:
                part.copy(out)
            if job.out.compressed:
                out.write(BGZF_END)


def vcf_header(worker: _Worker, fields: Sequence[str]) -> list[str]:
    """Return the header of the annotated VCF."""
    options = worker.job.options
    models = "+".join(model.name for model in worker.selection.models)
    said = (
        f"##deepripe=<Version={__version__},Models={models},Strand={options.strand},"
        f"Region={options.region},Shifts={options.shifts},Intergenic={options.intergenic}>"
    )
    return annotated_header(worker.vcf.header, info_fields(fields, worker.selection), more=[said])


def index_vcf(path: Path) -> Path | None:
    """Write a tabix index beside a bgzip VCF; None if its records are not sorted.

    A contig beyond 512 Mb needs (and gets) a CSI index.
    """
    import pysam

    for suffix in (".tbi", ".csi"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    before = pysam.set_verbosity(0)
    try:
        for csi in (False, True):
            try:
                pysam.tabix_index(str(path), preset="vcf", force=True, keep_original=True, csi=csi)
            except OSError:
                continue
            return path.with_name(path.name + (".csi" if csi else ".tbi"))
        return None
    finally:
        pysam.set_verbosity(before)
