"""Random genomes with genes on both strands, and random peaks on them."""

import numpy as np

CONTIGS = {"chr1": 6_000, "chr2": 3_030, "chrM": 260}


def write_genome(path, rng, contigs=CONTIGS):
    with path.open("w") as handle:
        for name, length in contigs.items():
            handle.write(f">{name}\n{''.join(rng.choice(list('ACGT'), length))}\n")
    return path


def write_genes(path, rng, contigs=CONTIGS, n=14):
    """Transcripts of one to three exons, half of them coding; returns (chrom, start, end, strand) of each."""
    transcripts = []
    with path.open("w") as handle:
        for number in range(n):
            chrom = "chr1" if number < n // 2 else str(rng.choice(list(contigs)))
            start = int(rng.integers(0, contigs[chrom] - 150))
            end = int(min(contigs[chrom], start + rng.integers(100, 900)))
            strand = "+-"[int(rng.integers(2))]
            kind = "protein_coding" if number % 2 == 0 else "lncRNA"
            tags = f'gene_id "g{number}"; transcript_id "t{number}"; transcript_type "{kind}"; gene_type "{kind}";'

            def line(feature, first, last, chrom=chrom, strand=strand, tags=tags):
                return f"{chrom}\ttoy\t{feature}\t{first + 1}\t{last}\t.\t{strand}\t.\t{tags}\n"

            handle.write(line("transcript", start, end))
            middle = (start + end) // 2
            exons = [(start, middle - 20), (middle + 20, end)] if number % 3 else [(start, end)]
            for first, last in exons:
                handle.write(line("exon", first, last))
            if kind == "protein_coding":
                handle.write(line("CDS", exons[0][0] + 10, exons[0][1] - 5))
            transcripts.append((chrom, start, end, strand))
    return transcripts


def random_peaks(rng, n=80, contigs=CONTIGS, longest=180):
    peaks = []
    for _ in range(n):
        chrom = str(rng.choice(list(contigs), p=[0.7, 0.25, 0.05]))
        length = int(rng.integers(1, min(longest, contigs[chrom])))
        start = int(rng.integers(0, contigs[chrom] - length + 1))
        peaks.append((chrom, start, start + length, "+-"[int(rng.integers(2))]))
    return peaks


def write_bed(path, peaks):
    lines = [f"{c}\t{s}\t{e}\tp{i}\t0\t{strand}\n" for i, (c, s, e, strand) in enumerate(peaks)]
    path.write_text("".join(lines))
    return path


def write_peak_project(folder, seed=0, n_tasks=3, n_peaks=80):
    """A genome, genes, and one peak file per task with its table; returns the paths and the transcripts."""
    rng = np.random.default_rng(seed)
    genome = write_genome(folder / "genome.fa", rng)
    transcripts = write_genes(folder / "genes.gtf", rng)
    rows = ["rbp\tfile\tprotocol\tcell_line\n"]
    peaks = {}
    for number in range(n_tasks):
        name = f"RBP{number}"
        peaks[name] = random_peaks(rng, n_peaks)
        write_bed(folder / f"{name}.bed", peaks[name])
        rows.append(f"{name}\t{name}.bed\tPAR-CLIP\tHEK293\n")
    (folder / "peaks.tsv").write_text("".join(rows))
    return {
        "fasta_file": genome,
        "gtf_file": folder / "genes.gtf",
        "table": folder / "peaks.tsv",
        "transcripts": transcripts,
        "peaks": peaks,
    }
