"""Small prepared data sets with known content."""

import numpy as np

from ripe_lib.genome.encoding import encode_sequence

PLANTED = {"QKI_PARCLIP": "ACTAAC", "PUM2_PARCLIP": "TGTATA", "ELAVL1_PARCLIP": "TTTTTT"}


def write_planted_dataset(
    path,
    tasks=tuple(PLANTED),
    *,
    n_per_task=60,
    n_negative=4,
    splits=(0.6, 0.2, 0.2),
    margin=20,
    sequence_length=150,
    region_length=250,
    unknown=True,
    seed=3,
):
    """Write sites that hold their task's word near the middle, and negatives that do not; returns the path.

    A row belongs to one task: 1 or 0 there, elsewhere -1 (or 0 with ``unknown=False``). Every tenth site of a task is
    a site of the next task as well. Positives lie in 3'UTRs more often (60 %) than negatives (30 %); the
    rest lie in introns.
    """
    from training.data.store import SiteColumns, write_dataset

    rng = np.random.default_rng(seed)
    tasks = list(tasks)
    rows = [(t, 1) for t in range(len(tasks)) for _ in range(n_per_task)]
    rows += [(t, 0) for t in range(len(tasks)) for _ in range(n_negative * n_per_task)]
    rows = [rows[i] for i in rng.permutation(len(rows))]
    n = len(rows)
    labels = np.full((n, len(tasks)), -1 if unknown else 0, dtype=np.int8)
    seq = rng.integers(0, 4, (n, sequence_length + 2 * margin)).astype(np.uint8)
    region = np.zeros((n, region_length + 2 * margin), dtype=np.uint8)
    middle = margin + sequence_length // 2
    for row, (task, label) in enumerate(rows):
        labels[row, task] = label
        region[row] = 2 if rng.random() < (0.6 if label else 0.3) else 0
        if label:
            word = encode_sequence(PLANTED.get(tasks[task], "ACGTGC"))
            at = middle + rng.integers(-10, 5)
            seq[row, at : at + 6] = word
            if row % 10 == 0:
                labels[row, (task + 1) % len(tasks)] = 1
    split = rng.choice(3, size=n, p=splits).astype(np.uint8)
    columns = SiteColumns(
        chrom=np.array(["chr1"] * n),
        start=np.arange(n, dtype=np.int64) * 1000 + 500,
        end=np.arange(n, dtype=np.int64) * 1000 + 550,
        strand=np.where(np.arange(n) % 2, "-", "+"),
        labels=labels,
        split=split,
        source=np.zeros(n, dtype=np.uint8),
        cluster=np.arange(n, dtype=np.int64),
    )
    write_dataset(
        path,
        columns,
        lambda part: (seq[part], region[part]),
        tasks=tasks,
        sources=["toy"],
        source_has_task=np.ones((1, len(tasks)), dtype=bool),
        sequence_length=sequence_length,
        region_length=region_length,
        margin=margin,
        manifest={"seed": seed},
    )
    return path
