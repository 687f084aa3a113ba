"""Label vectors by overlap, and splits that share no locus."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripe_lib.errors import InputError, UnknownNameError
from training.data.labels import label_vectors
from training.data.splits import SplitOptions, assign_splits, equal_sequences, locus_clusters

SITES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 300), st.integers(0, 1), st.integers(0, 3), st.integers(0, 3)),
    min_size=1,
    max_size=25,
)


def slow_labels(group, position, source, positive, negative, has_task, cross_source, trusted):
    n, n_tasks = positive.shape
    labels = np.full((n, n_tasks), -1)
    for r in range(n):
        for t in range(n_tasks):
            near = [o for o in range(n) if group[o] == group[r] and abs(position[o] - position[r]) <= 100]
            seen = []
            for o in near:
                shared = cross_source == "shared" and has_task[source[r], t] and has_task[source[o], t]
                if abs(position[o] - position[r]) <= 24 and (source[o] == source[r] or cross_source == "all" or shared):
                    seen.append(o)
            if any(positive[o, t] for o in seen) and not negative[r, t]:
                labels[r, t] = 1
            elif any(positive[o, t] for o in near) and not (negative[r, t] and trusted[r]):
                continue
            elif any(negative[o, t] for o in seen):
                labels[r, t] = 0
    return labels


@pytest.mark.parametrize("cross_source", ["shared", "none", "all"])
@given(sites=SITES)
@settings(max_examples=60)
def test_labels_equal_the_loop(cross_source, sites):
    group, position, source = (np.array([s[i] for s in sites], dtype=np.int64) for i in range(3))
    positive = np.array([[s[3] == 1, s[4] == 1] for s in sites])
    negative = np.array([[s[3] == 2, s[4] == 2] for s in sites])
    has_task = np.array([[True, True], [True, False]])
    positive[source == 1, 1] = negative[source == 1, 1] = False  # a source without a table says nothing
    options = {"cross_source": cross_source, "trusted": group == 2}
    got = label_vectors(group, position, source.astype(np.uint8), positive, negative, has_task, **options)
    assert got.dtype == np.int8
    assert got.tolist() == slow_labels(group, position, source, positive, negative, has_task, **options).tolist()


PLACES = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2"]), st.sampled_from("+-"), st.integers(0, 20_000)), min_size=1
)


@given(places=PLACES, seed=st.integers(0, 5), distance=st.integers(0, 2000))
@settings(max_examples=80)
def test_no_locus_is_in_two_splits(places, seed, distance):
    chrom, strand, position = (np.array([p[i] for p in places]) for i in range(3))
    group = np.unique(np.char.add(chrom, strand), return_inverse=True)[1]
    seq = np.random.default_rng(seed).integers(0, 4, (len(places), 4), dtype=np.uint8)  # some sequences repeat
    cluster = locus_clusters(group, position, distance, equal_sequences(seq))
    split = assign_splits(chrom, position, cluster, SplitOptions(block=1000, valid=0.3, test=0.3), seed)
    for i in range(len(places)):
        for j in range(i):
            close = group[i] == group[j] and abs(position[i] - position[j]) <= distance
            if close or (seq[i] == seq[j]).all():
                assert split[i] == split[j]


def test_fractions_seed_and_other_rows(rng):
    position = np.sort(rng.integers(0, 2_000_000_000, 20_000))
    chrom, group = np.full(len(position), "chr1"), np.zeros(len(position), dtype=np.int64)
    options = SplitOptions(valid=0.2, test=0.1)

    def splits(rows, seed):
        cluster = locus_clusters(group[rows], position[rows], options.distance)
        return assign_splits(chrom[rows], position[rows], cluster, options, seed)

    every = np.arange(len(position))
    split = splits(every, 1)
    np.testing.assert_allclose(np.bincount(split) / len(split), [0.7, 0.2, 0.1], atol=0.02)
    assert (split == splits(every, 1)).all()
    assert (split != splits(every, 2)).mean() > 0.3
    half = every[::2]
    assert (splits(half, 1) == split[half]).mean() > 0.99  # another selection of sites, nearly the same splits


def test_by_chromosome_and_at_random(rng):
    chrom = np.repeat(["chr1", "chr2", "chr3"], 100)
    position, cluster = np.tile(np.arange(100) * 5000, 3), np.arange(300)
    options = SplitOptions(method="chromosome", valid_chromosomes=("chr2",), test_chromosomes=("chr3",))
    assert assign_splits(chrom, position, cluster, options, 0).tolist() == [0] * 100 + [1] * 100 + [2] * 100
    with pytest.raises(UnknownNameError, match="unknown chromosome 'chrX'"):
        assign_splits(chrom, position, cluster, SplitOptions(method="chromosome", test_chromosomes=("chrX",)), 0)
    random = assign_splits(chrom, position, cluster, SplitOptions(method="random"), 0)
    assert np.bincount(random).tolist() == [210, 60, 30]


def test_wrong_options_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'chromosome'"):
        SplitOptions(method="chromosomes")
    with pytest.raises(InputError, match=r"valid \+ test < 1"):
        SplitOptions(valid=0.6, test=0.4)
