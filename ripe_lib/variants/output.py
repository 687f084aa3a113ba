"""File to file: score a VCF chunk by chunk, resumable, and put the finished chunks together.

Every chunk becomes one part file (:mod:`ripe_lib.output.chunked`): the bytes it adds to the output, and a summary of
what is in it. An interrupted run continues where it was; the joined file is the same. A :class:`Worker` is what one
process needs for that: models, genome, annotation and open files.
"""

from __future__ import annotations

import json
import os
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib._version import __version__
from ripe_lib.errors import InputError
from ripe_lib.genome.alleles import OK, AssemblyCheck, nothing_scored
from ripe_lib.genome.annotation import open_genome
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.vcf import BGZF_END, Block, VcfFile, VcfRecords, annotated_header
from ripe_lib.network.catalogue.locate import find_model_directory, model_arguments
from ripe_lib.network.load import Model, load_model
from ripe_lib.output import chunked
from ripe_lib.output.atomic import atomic_file, check_output_file
from ripe_lib.output.bgzf import convert_to_bcf, write_index
from ripe_lib.variants import format as formats
from ripe_lib.variants.format import OutputFormat, Selection, long_names
from ripe_lib.variants.options import RowFilter, VariantOptions
from ripe_lib.variants.peaks import Peaks
from ripe_lib.variants.rows import Rows
from ripe_lib.variants.score import DEFAULT_CHUNK_SIZE
from ripe_lib.variants.scorer import ScoredVariants, VariantScorer
from ripe_lib.variants.tables import arrow_bytes, join_parquet, joined_streams, long_frame, long_lines, wide_or_long

Placed = tuple[Rows, Counter[str]]  # rows to score, and how many of which status there were before filters
_LENGTH = struct.Struct("<Q")
_RECORDS = 2048  # records scored at a time
_SCORING_THREADS = 2  # while one waits for Python, formats or compresses, the other keeps the cores busy


@dataclass(frozen=True)
class VariantJob:
    """Everything that a worker needs to score a chunk; picklable."""

    vcf_file: str
    fasta_file: str
    gtf_file: str | None
    models: tuple[str, ...]
    options: VariantOptions
    out: OutputFormat
    rows: RowFilter = field(default_factory=RowFilter)
    n_strongest: int = 0

    def fingerprint(self, chunk_size: int) -> str:
        """Return a digest of inputs and options."""
        weights = []
        for name in self.models:
            directory = find_model_directory(name)
            weights += [directory / "model.yaml", directory / model_arguments(directory)["weights"]]
        options = {**asdict(replace(self, vcf_file="")), "chunk_size": chunk_size}
        return chunked.fingerprint_of(
            options, [self.vcf_file, self.fasta_file, self.gtf_file, self.rows.peaks_file, *weights]
        )


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
        Of a bgzip VCF or BCF whose records are sorted.
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


class Worker:
    """Models, genome, annotation and the open VCF of one process."""

    def __init__(self, job: VariantJob, models: Sequence[Model] | None = None) -> None:
        genome, annotation = open_genome(job.fasta_file, job.gtf_file)
        self._readers_genome = Genome(job.fasta_file)  # open files are not shared between threads
        models = [load_model(name) for name in job.models] if models is None else list(models)
        self.job = job
        self.scorer = VariantScorer(models, genome, annotation, job.options)
        self.selection = Selection(models, job.rows.tasks)
        self.peaks = None if job.rows.peaks_file is None else Peaks(job.rows.peaks_file, genome)
        self.vcf = VcfFile(job.vcf_file)
        self.blocks: list[Block] = []  # the order in which they will come, if it is known
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="ripe-read")
        n_threads = 1 if os.environ.get("TF_NUM_INTRAOP_THREADS") == "1" else _SCORING_THREADS
        self._scoring = ThreadPoolExecutor(n_threads, thread_name_prefix="ripe-score")
        self._ahead: dict[int, Future[list[Placed]]] = {}

    def close(self) -> None:
        """End the threads and close the VCF."""
        self._reader.shutdown(cancel_futures=True)
        self._scoring.shutdown(cancel_futures=True)
        self.vcf.close()

    def check_assembly(self, name: str, blocks: Sequence[Block]) -> None:
        """Stop if REF of the first records says that the FASTA is of another assembly; what is read is kept."""
        check = AssemblyCheck()
        for number, block in enumerate(blocks):
            self._ahead[number] = self._reader.submit(self._placed, block)
            for rows, _ in self._ahead[number].result():
                check.add(rows.alleles)
            if check.is_complete:
                break
        check.finish(name, self.scorer.genome)

    def placed(self, index: int, block: Block) -> list[Placed]:
        """Return the rows of a block, some records at a time; the next block is read while these are scored."""
        for number in [number for number in self._ahead if number < index]:
            del self._ahead[number]
        coming = self._ahead.pop(index, None) or self._reader.submit(self._placed, block)
        if index + 1 < len(self.blocks) and index + 1 not in self._ahead:
            self._ahead[index + 1] = self._reader.submit(self._placed, self.blocks[index + 1])
        return coming.result()

    def _placed(self, block: Block) -> list[Placed]:
        records = self.vcf.read(block)
        cuts = range(0, len(records), _RECORDS)
        return [self._place(records.part(slice(at, at + _RECORDS))) for at in cuts]

    def _place(self, records: VcfRecords) -> Placed:
        rows = self.scorer.rows(records, self._readers_genome)
        counts = Counter(rows.status.tolist())
        job = self.job
        if job.rows.region_types is not None or self.peaks is not None:
            wanted = rows.status == OK
            if job.rows.region_types is not None:
                wanted &= np.isin(rows.region_type, job.rows.region_types)
            if self.peaks is not None:
                end = rows.start + np.maximum(1, rows.n_removed)
                wanted &= self.peaks.overlap(rows.contig, rows.start, end, rows.minus)
            rows = rows.take(np.flatnonzero(wanted))
        return rows, counts

    def written(self, placed: Sequence[Placed]) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Score rows and yield, in order, what they add to the output, and its summary."""
        return self._scoring.map(self._written, placed)

    def _written(self, placed: Placed) -> tuple[bytes, dict[str, Any]]:
        rows, counts = placed
        scored = self.scorer.score_rows(rows)
        keep = np.ones(len(scored.rows), dtype=bool)
        if self.job.rows.min_delta > 0:
            keep = self._largest(scored) >= self.job.rows.min_delta
        summary = {
            "n_records": len(rows.alleles.records),
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
        meta, rows = scored.rows.meta(), scored.rows
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
            place = {
                "contig": rows.contig[row],
                "start": int(rows.start[row]),
                "model": model.name,
                "task": model.tasks[task],
            }
            values = zip(long_names(scored.fields), scored.values[number][row, task].tolist(), strict=True)
            found.append({**{k: _plain(v[row]) for k, v in meta.items()}, **place, **dict(values)})
        return found


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, np.integer) else value


def payload(scored: ScoredVariants, selection: Selection, keep: NDArray[np.bool_], out: OutputFormat) -> bytes:
    """Return what rows add to the output file, without the file's header.

    Parameters
    ----------
    scored : ScoredVariants
    selection : Selection
    keep : bool (R,)
        Rows to write.
    out : OutputFormat
    """
    if out.kind == "parquet":
        return arrow_bytes(wide_or_long(scored, selection, keep, out))
    if out.kind == "vcf":
        return out.encoded(formats.vcf_lines(scored, selection, keep, out.top))
    if out.layout == "biobank":
        return out.encoded(formats.biobank_lines(scored, selection, keep))
    if out.layout == "long":
        return out.encoded(long_lines(long_frame(scored, selection, keep, out.top), out))
    return out.encoded(formats.wide_lines(scored, selection, keep, out))


def _worker(job: VariantJob, fingerprint: str) -> Worker:  # the fingerprint: changed files are opened again
    return Worker(job)


def score_part_remotely(job: VariantJob, fingerprint: str, chunk: chunked.Chunk, path: Path) -> None:
    """Score one chunk in a worker process, which loads models, genome and annotation once.

    Parameters
    ----------
    job : VariantJob
    fingerprint : str
    chunk : Chunk
    path : Path
        The part that is written.
    """
    score_part(chunked.load_once(_worker, job, fingerprint), chunk, path)


def score_part(worker: Worker, chunk: chunked.Chunk, path: Path) -> None:
    """Score one chunk and write its part; parameters as :func:`score_part_remotely`."""
    contents, summary = [], Summary()
    for content, found in worker.written(worker.placed(chunk.index, chunk.payload)):
        contents.append(content)
        summary.add(found, worker.job.n_strongest)
    is_stream = worker.job.out.kind == "parquet" and len(contents) > 1
    _write_part(path, (joined_streams if is_stream else b"".join)(contents), vars(summary))


def _write_part(path: Path, content: bytes, summary: dict[str, Any]) -> None:
    trailer = json.dumps(summary).encode()
    path.write_bytes(content + trailer + _LENGTH.pack(len(trailer)))


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_trailer(path)[0])


def _trailer(path: Path) -> tuple[int, dict[str, Any]]:
    """Return how many bytes a part adds to the output, and its summary."""
    with path.open("rb") as file:
        file.seek(-_LENGTH.size, os.SEEK_END)
        (length,) = _LENGTH.unpack(file.read())
        file.seek(-_LENGTH.size - length, os.SEEK_END)
        return file.tell(), json.loads(file.read(length))


def write_scores(
    job: VariantJob,
    output: str | Path,
    *,
    chunk_size: int | None = None,
    models: Sequence[Model] | None = None,
    force: bool = False,
    scheduler: str | None = None,
    progress: chunked.Progress | None = None,
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
        Go on even if the FASTA seems to be of another assembly, and write the table if nothing could be scored.
    scheduler : str, optional
        Of :func:`ripe_lib.output.chunked.run_chunks`.
    progress : callable, optional
        Called with (parts done, parts in all).

    Returns
    -------
    Summary

    Raises
    ------
    InputError
        If the FASTA is of another assembly, or nothing could be scored for reasons of contig or REF.
    """
    output = Path(output)
    check_output_file(output)
    chunk_size = chunk_size or DEFAULT_CHUNK_SIZE
    with VcfFile(job.vcf_file) as vcf:
        job = _everywhere(job, vcf.path)
        worker = Worker(job, models)
        try:
            blocks = vcf.blocks(chunk_size)
            if not force:
                worker.check_assembly(vcf.name, blocks)
            chunks = [chunked.Chunk(i, block) for i, block in enumerate(blocks)]
            worker.blocks = blocks if scheduler is None else []
            fingerprint = job.fingerprint(chunk_size)
            parts_dir = chunked.parts_directory(output)
            paths = chunked.run_chunks(
                chunks,
                partial(score_part, worker) if scheduler is None else partial(score_part_remotely, job, fingerprint),
                parts_dir=parts_dir,
                fingerprint=fingerprint,
                scheduler=scheduler,
                progress=progress,
            )
            summary = Summary()
            for path in paths:
                summary.add(_trailer(path)[1], job.n_strongest)
            try:
                if not force and (problem := nothing_scored(vcf.name, worker.scorer.genome, summary.status)):
                    raise InputError(problem)
                _join(worker, paths, output)
            except InputError:  # it would be the same again
                chunked.remove_parts(parts_dir)
                raise
            chunked.remove_parts(parts_dir)
        finally:
            worker.close()
    if output.name.lower().endswith((".vcf.gz", ".vcf.bgz", ".bcf")):
        found = write_index(output)
        summary.index = None if found is None else str(found)
    return summary


def _everywhere(job: VariantJob, vcf_path: Path) -> VariantJob:
    """Return the job with paths that mean the same in workers' folders."""
    vcf, fasta, gtf, peaks = (
        None if path is None else str(Path(path).absolute())
        for path in (vcf_path, job.fasta_file, job.gtf_file, job.rows.peaks_file)
    )
    models = tuple(str(find_model_directory(name).absolute()) for name in job.models)
    files: dict[str, Any] = {"vcf_file": vcf, "fasta_file": fasta, "gtf_file": gtf}
    return replace(job, **files, models=models, rows=replace(job.rows, peaks_file=peaks))


def _join(worker: Worker, parts: Sequence[Path], output: Path) -> None:
    job, empty = worker.job, worker.empty()
    with atomic_file(output) as temporary:
        if job.out.kind == "parquet":
            columns = payload(empty, worker.selection, np.zeros(0, dtype=bool), job.out)  # also where no part has rows
            join_parquet(chain([columns], map(_content, parts)), temporary)
            return
        is_bcf = output.suffix.lower() == ".bcf"
        text = temporary.with_name(temporary.name + ".vcf") if is_bcf else temporary
        with text.open("wb") as out:
            out.write(formats.header(empty, worker.selection, job.out, vcf_header(worker, empty.fields)))
            for part in parts:
                out.write(_content(part))  # a few MB
            if job.out.compressed:
                out.write(BGZF_END)
        if is_bcf:
            try:
                convert_to_bcf(text, temporary, output)
            finally:
                text.unlink()


def vcf_header(worker: Worker, fields: Sequence[str]) -> list[str]:
    """Return the header of the annotated VCF."""
    options = worker.job.options
    models = "+".join(model.name for model in worker.selection.models)
    said = [
        ("##deepripeVersion=", __version__),
        (
            f"##deepripeOptions=models {models}; ",
            f"strand {options.strand}; region {options.region}; shifts {options.shifts}; "
            f"intergenic {options.intergenic}",
        ),
    ]
    return annotated_header(worker.vcf.header, formats.info_fields(fields, worker.selection), more=said)
