"""Model directories and small VCF sets on disk, for commands and workers."""

from pathlib import Path

import numpy as np
import yaml

from ripe_lib.network.weights import arrays_of, sha256_of, write_weights

EXAMPLES = Path(__file__).resolve().parents[2] / "dataloaders" / "example_files"
FASTA, GTF, VCF = EXAMPLES / "genome.fa", EXAMPLES / "genes.gtf", EXAMPLES / "variants.vcf"


def write_model(model, folder):
    """Write a model directory for a Model in memory; returns its path."""
    folder.mkdir()
    weights = folder / "weights.h5"
    write_weights(weights, model.spec, arrays_of(model.keras_model))
    (folder / "model.yaml").write_text(
        yaml.safe_dump({"args": {"weights": "weights.h5", "sha256": sha256_of(weights)}})
    )
    return folder


def example_sequences():
    """Contigs of the example genome as strings."""
    found, name = {}, None
    for line in FASTA.read_text().splitlines():
        if line.startswith(">"):
            name = line[1:].split()[0]
            found[name] = []
        else:
            found[name].append(line)
    return {name: "".join(lines) for name, lines in found.items()}


def random_vcf(path, n, seed=0, contigs=("chr1", "chr2")):
    """Write n sorted SNVs and indels of the example genome."""
    rng = np.random.default_rng(seed)
    sequences = example_sequences()
    rows = []
    for contig in contigs:
        s = sequences[contig].upper()
        for at in np.sort(rng.choice(len(s) - 10, n // len(contigs), replace=False)):
            size = int(rng.choice([1, 1, 1, 3]))
            alt = "".join(rng.choice(list("ACGT"), int(rng.choice([1, 1, 1, 4]))))
            rows.append(f"{contig}\t{at + 1}\t.\t{s[at : at + size]}\t{alt}\t.\tPASS\t.")
    header = ["##fileformat=VCFv4.2", *(f"##contig=<ID={c},length={len(s)}>" for c, s in sequences.items())]
    header.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    path.write_text("\n".join(header + rows) + "\n")
    return path
