"""Small prepared data sets with known content, and small tables in the formats of clip31 and rbp24."""

import gzip

import numpy as np

from ripe_lib.genome.encoding import UNKNOWN, decode_sequence, encode_sequence
from training.data.splits import SplitOptions
from training.data.store import SiteColumns, write_dataset

TINY_SIZES = {
    "filters": 12,
    "kernel": 8,
    "left_pool": (10, 10),
    "right_pool": (40, 40),
    "merged_filters": 12,
    "merged_kernel": 3,
    "merged_pool": (4, 4),
    "hidden": 16,
    "dropout": 0.1,
}
MOTIFS = {"PUM_TOY": "TGTAAATA", "QKI_TOY": "ACTAACGG"}


def random_codes(rng, n, width):
    return rng.integers(0, 4, (n, width), dtype=np.uint8)


def write_toy_dataset(
    path, rng, *, n=1200, margin=10, labels=None, tasks=tuple(MOTIFS), sources=("toy",), landmarks=None, **options
):
    """Write n random sites; a third of them carry each task's motif near the centre, and that is their label."""
    shape = {"sequence_length": 150, "region_length": 250, "margin": margin} | options
    seq = random_codes(rng, n, shape["sequence_length"] + 2 * margin)
    truth = rng.random((n, len(tasks))) < 1 / 3
    middle = seq.shape[1] // 2
    for column, task in enumerate(tasks):
        motif = encode_sequence(MOTIFS.get(task, "GGGGCCCC"))
        for row in np.flatnonzero(truth[:, column]):
            first = middle - 40 + 40 * column + int(rng.integers(0, 20))
            seq[row, first : first + len(motif)] = motif
    labels = truth.astype(np.int8) if labels is None else labels
    source = (np.arange(n) % len(sources)).astype(np.uint8)
    starts = np.arange(n, dtype=np.int64) * 5_000
    columns = SiteColumns(
        chrom=np.full(n, "chr1"),
        start=starts,
        end=starts + 101,
        strand=np.where(np.arange(n) % 2, "+", "-"),
        labels=labels,
        split=rng.choice([0, 1, 2], n, p=[0.7, 0.2, 0.1]).astype(np.uint8),
        source=source,
        cluster=np.arange(n),
        landmarks=landmarks,
    )
    region = np.full((n, shape["region_length"] + 2 * margin), UNKNOWN, dtype=np.uint8)
    region[source == 0] = rng.integers(0, 4, (int((source == 0).sum()), 1), dtype=np.uint8)
    write_dataset(
        path,
        columns,
        lambda part: (seq[part], region[part]),
        tasks=list(tasks),
        sources=list(sources),
        source_has_task=np.ones((len(sources), len(tasks)), dtype=bool),
        manifest={"seed": 0},
        **shape,
    )
    return path


def clip31_row(rng, chrom, start, strand, label, sequence=None, region="i"):
    sequence = sequence or decode_sequence(random_codes(rng, 1, 101)[0])
    return [chrom, start, start + 101, strand, label, sequence, region * 101 if len(region) == 1 else region]


def rbp24_row(rng, chrom, site_start, site_end, strand, label, flank=(150, 150)):
    left, right = flank  # genomic sides
    start, end = site_start - left, site_end + right
    return [
        chrom,
        start,
        end,
        strand,
        site_start,
        site_end,
        label,
        decode_sequence(random_codes(rng, 1, end - start)[0]),
    ]


def write_table(path, kind, rows):
    header = {
        "clip31": "chrom start end strand label sequence region",
        "rbp24": "chrom start end strand site_start site_end label sequence",
    }[kind].split()
    with gzip.open(path, "wt") as handle:
        handle.write("\t".join(header) + "\n")
        handle.writelines("\t".join(map(str, row)) + "\n" for row in rows)
    return path


NO_SPLIT = SplitOptions(valid=0.0, test=0.0)
