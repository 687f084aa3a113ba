"""File to file: score a VCF chunk by chunk, resumable, and put the finished chunks together.

Every chunk becomes one part file (:mod:`ripe_lib.output.chunked`): the bytes it adds to the output, and a summary of
what is in it. An interrupted run continues where it was; the joined file is the same.
"""

from __future__ import annotations

import json
import os
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ripe_lib._version import __version__
from ripe_lib.errors import InputError
from ripe_lib.genome.vcf import BGZF_END, Block, VcfFile, annotated_header
from ripe_lib.network.catalogue import find_model_directory
from ripe_lib.network.load import Model
from ripe_lib.output.atomic import atomic_file, check_output_file
from ripe_lib.output.chunked import Chunk, Progress, load_once, parts_directory, remove_parts, run_chunks
from ripe_lib.variants.assembly import nothing_scored
from ripe_lib.variants.format import OutputFormat, header, info_fields, payload, stream_of
from ripe_lib.variants.score import DEFAULT_CHUNK_SIZE
from ripe_lib.variants.worker import VariantJob, Worker

_LENGTH = struct.Struct("<Q")


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


def _worker(job: VariantJob, fingerprint: str) -> Worker:  # the fingerprint: changed files are opened again
    return Worker(job)


def score_part_remotely(job: VariantJob, fingerprint: str, chunk: Chunk, path: Path) -> None:
    """Score one chunk in a worker process, which loads models, genome and annotation once."""
    score_part(load_once(_worker, job, fingerprint), chunk, path)


def score_part(worker: Worker, chunk: Chunk, path: Path) -> None:
    """Score one chunk and write its part."""
    contents = []
    summary = Summary()
    for content, found in worker.written(worker.pieces(chunk.index, Block(*chunk.payload))):
        contents.append(content)
        summary.add(found, worker.job.n_strongest)
    _write_part(path, joined(contents, worker.job.out), vars(summary))


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
            try:
                if not force and (problem := nothing_scored(vcf.name, worker.scorer.genome, summary.status)):
                    raise InputError(problem)
                _join(worker, parts, output)
            except InputError:  # it would be the same again
                remove_parts(parts_dir)
                raise
            remove_parts(parts_dir)
        finally:
            worker.close()
    if output.name.lower().endswith((".vcf.gz", ".vcf.bgz", ".bcf")):
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


def _join(worker: Worker, parts: Sequence[_Part], output: Path) -> None:
    job, empty = worker.job, worker.empty()
    with atomic_file(output) as temporary:
        if job.out.kind == "parquet":
            columns = payload(empty, worker.selection, np.zeros(0, dtype=bool), job.out)  # also where no part has rows
            join_parquet(chain([columns], (part.content() for part in parts)), temporary)
            return
        is_bcf = output.suffix.lower() == ".bcf"
        text = temporary.with_name(temporary.name + ".vcf") if is_bcf else temporary
        with text.open("wb") as out:
            out.write(header(empty, worker.selection, job.out, vcf_header(worker, empty.fields)))
            for part in parts:
                part.copy(out)
            if job.out.compressed:
                out.write(BGZF_END)
        if is_bcf:
            try:
                _convert_to_bcf(text, temporary, output)
            finally:
                text.unlink()


def _convert_to_bcf(vcf: Path, bcf: Path, name: Path) -> None:
    """Write the records of a VCF as BCF; contigs and keys that its header lacks are declared."""
    import pysam
    import pysam.bcftools

    before = pysam.set_verbosity(0)
    declared = vcf.with_name(vcf.name + ".declared")
    try:
        with pysam.VariantFile(str(vcf)) as records:
            for _ in records:  # htslib adds to the header what it meets; a BCF has it before the records
                pass
            complete = str(records.header)
        with vcf.open("rb") as text, declared.open("wb") as out:
            out.write(complete.encode())
            out.writelines(line for line in text if not line.startswith(b"#"))
        pysam.bcftools.view("--no-version", "-Ob", "-o", str(bcf), str(declared), catch_stdout=False)
    except (OSError, ValueError, pysam.SamtoolsError) as error:
        raise InputError(
            f"{name}: expected records that BCF can hold (positions below 2^31, UTF-8, values as the header declares "
            "them), got others. Write .vcf.gz instead, or check the input with: bcftools view -Ob"
        ) from error
    finally:
        declared.unlink(missing_ok=True)
        pysam.set_verbosity(before)


def join_parquet(parts: Iterable[bytes], path: Path) -> None:
    """Write one Parquet file from Arrow streams, one at a time; the first gives the columns."""
    import pyarrow.parquet as pq
    from pyarrow import ipc

    writer = None
    try:
        for content in filter(None, parts):
            table = ipc.open_stream(content).read_all().combine_chunks()  # a row group per part
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            if len(table):
                writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def joined(contents: Sequence[bytes], out: OutputFormat) -> bytes:
    """Put payloads of one chunk together."""
    if out.kind != "parquet" or len(contents) < 2:
        return b"".join(contents)
    import pyarrow as pa
    from pyarrow import ipc

    return stream_of(pa.concat_tables([ipc.open_stream(content).read_all() for content in contents]))


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
    return annotated_header(worker.vcf.header, info_fields(fields, worker.selection), more=said)


def index_vcf(path: Path) -> Path | None:
    """Write an index beside a bgzip VCF or BCF; None if its records are not sorted.

    A contig beyond 512 Mb needs (and gets) a CSI index, as every BCF.
    """
    import pysam
    import pysam.bcftools

    for suffix in (".tbi", ".csi"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    before = pysam.set_verbosity(0)
    try:
        if path.suffix.lower() == ".bcf":
            pysam.bcftools.index("-f", str(path))
            return path.with_name(path.name + ".csi")
        for csi in (False, True):
            try:
                pysam.tabix_index(str(path), preset="vcf", force=True, keep_original=True, csi=csi)
            except OSError:
                continue
            return path.with_name(path.name + (".csi" if csi else ".tbi"))
    except pysam.SamtoolsError:
        pass
    finally:
        pysam.set_verbosity(before)
    return None
