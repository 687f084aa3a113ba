"""File to file: score a VCF chunk by chunk, resumable, and put the finished chunks together.

Every chunk becomes one part file (:mod:`ripe_lib.output.chunked`): a line of JSON, which says what is in it, and the
bytes it adds to the output. An interrupted run continues where it was; the joined file is the same.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ripe_lib._version import __version__
from ripe_lib.errors import InputError
from ripe_lib.genome.alleles import OK, check_assembly, nothing_scored
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
from ripe_lib.variants.peaks import in_peaks, read_peaks
from ripe_lib.variants.rows import Rows
from ripe_lib.variants.score import DEFAULT_CHUNK_SIZE
from ripe_lib.variants.scorer import ScoredVariants, VariantScorer
from ripe_lib.variants.tables import arrow_bytes, frame_of, join_parquet, long_frame, long_lines

Placed = tuple[Rows, Counter[str]]  # rows to score, and how many of which status there were before filters
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
    n_records, n_rows : int
    status : Counter
        Rows by status, before filters.
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
        self.peaks = None if job.rows.peaks_file is None else read_peaks(job.rows.peaks_file, genome)
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

    def score_part(self, chunk: chunked.Chunk, path: Path) -> None:
        """Score one chunk and write its part."""
        contents, summary = [], Summary()
        for content, found in self._scoring.map(self.written, self.placed(*chunk)):
            contents.append(content)
            summary.add(found, self.job.n_strongest)
        _write_part(path, b"".join(contents), vars(summary))

    def placed(self, index: int, block: Block) -> list[Placed]:
        """Return the rows of a block, some records at a time; the next block is read while these are scored."""
        coming = self._ahead.pop(index, None) or self._reader.submit(self._placed, block)
        self._ahead.clear()
        if index + 1 < len(self.blocks):
            self._ahead[index + 1] = self._reader.submit(self._placed, self.blocks[index + 1])
        return coming.result()

    def _placed(self, block: Block) -> list[Placed]:
        records = self.vcf.read(block)
        cuts = range(0, len(records), _RECORDS)
        return [self._place(records.part(slice(at, at + _RECORDS))) for at in cuts]

    def _place(self, records: VcfRecords) -> Placed:
        rows, wanted_types = self.scorer.rows(records, self._readers_genome), self.job.rows.region_types
        counts = Counter(rows.status.tolist())
        if wanted_types is not None or self.peaks is not None:
            wanted = rows.status == OK
            if wanted_types is not None:
                wanted &= np.isin(rows.region_type, wanted_types)
            if self.peaks is not None:
                wanted &= in_peaks(self.peaks, rows)
            rows = rows.take(np.flatnonzero(wanted))
        return rows, counts

    def written(self, placed: Placed) -> tuple[bytes, dict[str, Any]]:
        """Score rows; return what they add to the output, and its summary."""
        rows, counts = placed
        scored = self.scorer.score_rows(rows)
        size = np.nan_to_num(np.abs(self.selection.deltas(scored)), nan=-1).max(axis=1, initial=-1)
        if self.job.rows.min_delta > 0:
            wanted = np.flatnonzero(size >= self.job.rows.min_delta)
            scored, size = scored.take(wanted), size[wanted]
        strongest = np.argsort(-size, kind="stable")[: self.job.n_strongest]
        summary = {
            "n_records": len(rows.alleles.records),
            "n_rows": len(scored.rows),
            "status": counts,
            "strongest": [self._change(scored, row) for row in strongest.tolist() if size[row] >= 0],
        }
        return payload(scored, self.selection, self.job.out), summary

    def _change(self, scored: ScoredVariants, row: int) -> dict[str, Any]:
        """Return what the table says of a row and its strongest task."""
        at, rows = scored.fields.index("delta"), scored.rows.take(np.array([row]))
        number, task = max(
            ((number, task) for number, columns in enumerate(self.selection.columns) for task in columns),
            key=lambda place: abs(scored.values[place[0]][row, place[1], at]),
        )
        model = self.selection.models[number]
        found = {name: column.tolist()[0] for name, column in rows.meta().items()}
        found |= {"contig": rows.contig[0], "start": int(rows.start[0]), "model": model.name, "task": model.tasks[task]}
        return found | dict(zip(long_names(scored.fields), scored.values[number][row, task].tolist(), strict=True))


def payload(scored: ScoredVariants, selection: Selection, out: OutputFormat) -> bytes:
    """Return what rows add to the output file; parameters as :func:`ripe_lib.variants.format.wide_lines`."""
    if out.kind == "parquet":
        return arrow_bytes(frame_of(scored, selection, out))
    if out.kind == "vcf":
        lines = formats.vcf_lines(scored, selection, out.top)
    elif out.layout == "biobank":
        lines = formats.biobank_lines(scored, selection)
    elif out.layout == "long":
        lines = long_lines(long_frame(scored, selection, out.top), out)
    else:
        lines = formats.wide_lines(scored, selection, out)
    return out.encoded(lines)


def _worker(job: VariantJob, fingerprint: str) -> Worker:  # the fingerprint: changed files are opened again
    return Worker(job)


def _score_part_remotely(job: VariantJob, fingerprint: str, chunk: chunked.Chunk, path: Path) -> None:
    """Score one chunk in a worker process, which loads models, genome and annotation once."""
    chunked.load_once(_worker, job, fingerprint).score_part(chunk, path)


def _write_part(path: Path, content: bytes, summary: dict[str, Any]) -> None:
    path.write_bytes(json.dumps(summary).encode() + b"\n" + content)


def _summary_of(part: Path) -> dict[str, Any]:
    with part.open("rb") as file:
        return json.loads(file.readline())


def _content_of(part: Path) -> bytes:
    return part.read_bytes().partition(b"\n")[2]


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
    scheduler, progress
        Of :func:`ripe_lib.output.chunked.run_chunks`.

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
            check_assembly(vcf, worker.scorer.genome, force=force)
            worker.blocks = blocks if scheduler is None else []
            fingerprint = job.fingerprint(chunk_size)
            parts_dir = chunked.parts_directory(output)
            paths = chunked.run_chunks(
                [chunked.Chunk(i, block) for i, block in enumerate(blocks)],
                worker.score_part if scheduler is None else partial(_score_part_remotely, job, fingerprint),
                parts_dir=parts_dir,
                fingerprint=fingerprint,
                scheduler=scheduler,
                progress=progress,
            )
            summary = Summary()
            for path in paths:
                summary.add(_summary_of(path), job.n_strongest)
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
    out, selection, contents = worker.job.out, worker.selection, map(_content_of, parts)  # a few MB each
    with atomic_file(output) as temporary:
        if out.kind == "parquet":
            nothing = VcfRecords([], np.zeros(0, dtype=np.int64), [], [], [], [])
            columns = payload(worker.scorer.score(nothing), selection, out)  # also where no part has rows
            join_parquet(chain([columns], contents), temporary)
            return
        is_bcf = output.suffix.lower() == ".bcf"
        text = temporary.with_name(temporary.name + ".vcf") if is_bcf else temporary
        with text.open("wb") as file:
            file.write(formats.header(worker.job.options.fields, selection, out, _vcf_header(worker)))
            file.writelines(contents)
            if out.compressed:
                file.write(BGZF_END)
        if is_bcf:
            try:
                convert_to_bcf(text, temporary, output)
            finally:
                text.unlink()


def _vcf_header(worker: Worker) -> list[str]:
    options = worker.job.options
    models = "+".join(model.name for model in worker.selection.models)
    said = f"strand {options.strand}; region {options.region}; shifts {options.shifts}; intergenic {options.intergenic}"
    more = [("##deepripeVersion=", __version__), (f"##deepripeOptions=models {models}; ", said)]
    return annotated_header(worker.vcf.header, formats.info_fields(options.fields, worker.selection), more=more)
