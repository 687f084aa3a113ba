"""Every substitution of given regions, scored once: a sorted, indexed file that other tools look alleles up in.

A line per allele. Where transcripts of both strands overlap it is that of the strand with the largest |delta|.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ripe_lib._version import __version__
from ripe_lib.errors import InputError
from ripe_lib.genome.alleles import OK
from ripe_lib.genome.annotation import open_genome
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.intervals import merged, read_intervals, where
from ripe_lib.genome.vcf import BGZF_END, COLUMNS, InfoField, escape, info_key
from ripe_lib.network.catalogue.locate import find_model_directory, model_arguments
from ripe_lib.network.load import Model, load_model
from ripe_lib.output.atomic import atomic_file, check_output_file
from ripe_lib.output.bgzf import bgzf, write_index
from ripe_lib.output.chunked import Chunk, Progress, cut, fingerprint_of, parts_directory, remove_parts, run_chunks
from ripe_lib.variants.format import Selection, flat_fields, strongest_rows
from ripe_lib.variants.options import VariantOptions
from ripe_lib.variants.saturation import changes_of
from ripe_lib.variants.scorer import VariantScorer

SUFFIXES = (".tsv.gz", ".vcf.gz")
CHUNK_BASES = 2048
TABLE_COLUMNS = ("#chrom", "pos", "ref", "alt", "strand", "genes", "region_type", "task", "delta", "class")
Stretch = tuple[str, int, int]  # contig, start, end: 0-based, half-open


@dataclass(frozen=True)
class Precomputed:
    """What was written: stretches and bases after merging, and the index beside the file."""

    n_stretches: int
    n_bases: int
    index: Path | None


def precompute(
    model: str | Path,
    regions: Any,
    output: str | Path,
    *,
    fasta_file: str | Path,
    gtf_file: str | Path | None = None,
    tasks: Sequence[str] = (),
    options: VariantOptions | None = None,
    chunk_bases: int = CHUNK_BASES,
    progress: Progress | None = None,
) -> Precomputed:
    """Score every substitution of regions into a bgzip file with a tabix index.

    Parameters
    ----------
    model : str or path
        Name or directory.
    regions : path, DataFrame or list of tuples
        Intervals as for :func:`ripe_lib.make_windows` (0-based, half-open); what overlaps is merged, strands are those
        of ``options``.
    output : path
        ``.tsv.gz``: columns :data:`TABLE_COLUMNS`; ``.vcf.gz``: a VCF without samples. Both in the order of the FASTA,
        ``pos`` 1-based, alleles of the plus strand; positions that are no A, C, G or T are left out, as are alleles
        that ``options`` do not score. Deltas are alt - ref of the probability, four decimals.
    fasta_file, gtf_file : path
        Genome and annotation, as for :func:`ripe_lib.score_variants`.
    tasks : list of str
        A further column with the delta of each; of two strands the larger |delta|.
    options : VariantOptions, optional
    chunk_bases : int
        Bases per part of a resumable run.
    progress : callable, optional
        Called with (parts done, parts in all).

    Raises
    ------
    InputError
        If an interval is off its contig, or no allele of the regions could be scored.
    """
    output, options = Path(output), options or VariantOptions()
    check_output_file(output)
    if not output.name.endswith(SUFFIXES):
        raise InputError(f"{output}: expected a file name that ends in {' or '.join(SUFFIXES)}.")
    directory = find_model_directory(model)
    genome, annotation = open_genome(fasta_file, gtf_file)
    stretches = regions_of(regions, genome)
    loaded = load_model(directory)
    writer = _Writer(loaded, tuple(tasks), VariantScorer([loaded], genome, annotation, options), output.name)
    described = {**asdict(options), "tasks": list(tasks), "regions": stretches, "vcf": writer.vcf, "chunk": chunk_bases}
    files = [fasta_file, gtf_file, directory / "model.yaml", directory / model_arguments(directory)["weights"]]
    parts = run_chunks(
        [Chunk(number, pieces) for number, pieces in enumerate(_chunks(stretches, chunk_bases))],
        partial(_write_part, writer),
        parts_dir=parts_directory(output),
        fingerprint=fingerprint_of(described, files),
        progress=progress,
    )
    if not any(part.stat().st_size for part in parts):
        remove_parts(parts_directory(output))
        raise InputError(
            f"{output}: expected an allele that can be scored, got none: no transcript overlaps the regions, "
            "or they hold no A, C, G, T. Choose another GTF, or score everything with --intergenic both."
        )
    with atomic_file(output) as temporary, temporary.open("wb") as out:
        out.write(bgzf(writer.header(stretches).encode()))
        for part in parts:
            out.write(part.read_bytes())
        out.write(BGZF_END)
    remove_parts(parts_directory(output))
    n_bases = sum(end - start for _, start, end in stretches)
    columns = {} if writer.vcf else {"seq_col": 0, "start_col": 1, "end_col": 1, "meta_char": "#"}
    return Precomputed(len(stretches), n_bases, write_index(output, **columns))


def regions_of(regions: Any, genome: Genome) -> list[Stretch]:
    """Return the regions in the order of the FASTA, joined where they overlap or touch."""
    table = read_intervals(regions)
    order = {name: number for number, name in enumerate(genome.contigs)}
    names = {chrom: genome.resolve(chrom) for chrom in table["chrom"].unique()}
    for row, (chrom, start, end) in enumerate(zip(table["chrom"], table["start"], table["end"], strict=True)):
        length = genome.contigs[names[chrom]]
        if start < 0 or end > length:
            raise InputError(
                f"{where(table, row)}: expected an interval within {chrom} (0-{length}), got {start}-{end}."
            )
    joined: list[Stretch] = []
    for contig, group in sorted(table.groupby(table["chrom"].map(names)), key=lambda pair: order[str(pair[0])]):
        pieces = merged(group["start"].to_numpy(), group["end"].to_numpy())
        joined += [(str(contig), *piece) for piece in zip(*(ends.tolist() for ends in pieces), strict=True)]
    return joined


def _chunks(stretches: Sequence[Stretch], n_bases: int) -> list[list[Stretch]]:
    """Return lists of pieces that hold ``n_bases`` bases together, the last fewer."""
    cuts = cut([end - start for _, start, end in stretches], n_bases)
    places = [[(*stretches[i][:2], first, n) for i, first, n in pieces] for pieces in cuts]
    return [[(contig, start + first, start + first + n) for contig, start, first, n in pieces] for pieces in places]


class _Writer:
    """Scores pieces and puts them into lines."""

    def __init__(self, model: Model, tasks: tuple[str, ...], scorer: VariantScorer, name: str) -> None:
        self.model, self.tasks, self.scorer = model, tasks, scorer
        self.columns = [model.spec.task_index(task) for task in tasks]
        self.vcf = name.endswith(".vcf.gz")
        key = f"DRP_{info_key('x' + model.name.rsplit('/', 1)[-1])[1:]}"
        flat = flat_fields(key, model.name)
        self.fields = [
            *(flat[name] for name in ("task", "delta", "class")),
            *(InfoField(f"{key}_{info_key(t)}", "A", "Float", f"{model.name}: alt - ref of {t}") for t in tasks),
        ]

    def header(self, stretches: Sequence[Stretch]) -> str:
        """Return the header: INFO lines too in the table, for ``bcftools annotate --header-lines``."""
        lines = [f"##deepripeVersion={__version__}", *map(str, self.fields)]
        if self.vcf:
            sizes = self.scorer.genome.contigs
            contigs = dict.fromkeys(contig for contig, _, _ in stretches)
            lines = ["##fileformat=VCFv4.2", *(f"##contig=<ID={c},length={sizes[c]}>" for c in contigs), *lines]
        return "\n".join([*lines, "\t".join(COLUMNS if self.vcf else (*TABLE_COLUMNS, *self.tasks))]) + "\n"

    def lines(self, pieces: Sequence[Stretch]) -> Iterator[str]:
        """Score pieces; a line per allele."""
        scored = self.scorer.score(changes_of(self.scorer.genome, pieces))
        scored = scored.take(np.flatnonzero(scored.rows.status == OK))
        delta, tasks, changes = Selection([self.model]).strongest(scored, 0)
        allele, every = scored.rows.allele, scored.values[0][..., scored.fields.index("delta")]
        first = strongest_rows(allele, np.abs(delta))
        columns = [delta, *every[:, self.columns].T]
        numbers = [map(_decimal, column[strongest_rows(allele, np.abs(column))]) for column in columns]
        strongest = zip(tasks[first], numbers[0], changes[first], *numbers[1:], strict=True)
        meta = scored.rows.take(first).meta()
        places = zip(*(map(str, meta[name]) for name in ("chrom", "pos", "ref", "alt")), strict=True)
        about = zip(*(meta[name] for name in ("strand", "genes", "region_type")), strict=True)
        for (chrom, pos, *alleles), row_about, values in zip(places, about, strongest, strict=True):
            if self.vcf:
                values_of = zip(self.fields, values, strict=True)
                info = ";".join(f"{field.key}={escape(value)}" for field, value in values_of)
                yield "\t".join([chrom, pos, ".", *alleles, ".", ".", info])
            else:
                yield "\t".join([chrom, pos, *alleles, *(text or "." for text in row_about), *values])


def _decimal(value: float) -> str:
    text = f"{value:.4f}"
    return "0.0000" if text == "-0.0000" else text


def _write_part(writer: _Writer, chunk: Chunk, path: Path) -> None:
    path.write_bytes(bgzf("".join(f"{line}\n" for line in writer.lines(chunk.payload)).encode()))
