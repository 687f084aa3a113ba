import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ripe_lib.errors import InputError
from ripe_lib.genome import kmers
from ripe_lib.genome.encoding import decode_sequence, encode_sequence


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 20)), elements=st.integers(0, 4)), st.integers(1, 4)
)
@settings(max_examples=60)
def test_counts_equal_slicing_strings(codes, k):
    counts = kmers.sites_with_kmer(codes, k)
    names = kmers.kmer_names(k)
    texts = [decode_sequence(row, rna=True) for row in codes]
    held = [{t[i : i + k] for i in range(len(t) - k + 1)} for t in texts]
    for number, name in enumerate(names):
        assert counts[number] == sum(name in kmers_of_site for kmers_of_site in held)


def test_planted_word_comes_first_and_the_bottom_does_not_hold_it(rng):
    top, bottom = rng.integers(0, 4, (2, 200, 50)).astype(np.uint8)
    top[:150, 20:26] = encode_sequence("ACTAAC")
    table = kmers.compare_kmers(top, bottom)
    first = table.iloc[0]
    assert first["kmer"] == "ACUAAC"
    assert first["top_sites"] >= 150
    assert first["top_fraction"] == first["top_sites"] / 200
    assert first["p_value"] < 1e-30
    assert first["log2_ratio"] > 4
    assert table["kmer"].is_unique
    # Nothing that occurs is left out.
    assert len(table) == ((kmers.sites_with_kmer(top, 6) > 0) | (kmers.sites_with_kmer(bottom, 6) > 0)).sum()


def test_two_equal_sets_do_not_differ(rng):
    sites = rng.integers(0, 4, (50, 30)).astype(np.uint8)
    table = kmers.compare_kmers(sites, sites, k=3)
    np.testing.assert_allclose(table["log2_ratio"], 0)
    np.testing.assert_allclose(table["p_value"], 1)


def test_extremes_are_disjoint_and_in_order(rng):
    scores = rng.permutation(1000) / 1000
    top, bottom = kmers.extremes(scores)
    np.testing.assert_allclose(scores[top], np.arange(999, 899, -1) / 1000)
    np.testing.assert_allclose(scores[bottom], np.arange(100) / 1000)
    top, bottom = kmers.extremes(scores, fraction=0.5, at_most=30)
    assert (len(top), len(bottom)) == (30, 30)
    assert [len(side) for side in kmers.extremes(np.ones(3))] == [1, 1]
    assert [len(side) for side in kmers.extremes(np.ones(1))] == [0, 0]


@pytest.mark.parametrize("sizes", [(1000,), (1, 400, 0, 599), (3, 4)])
def test_extremes_of_a_stream_are_those_of_the_whole(rng, sizes, monkeypatch):
    monkeypatch.setattr(kmers, "MOST", 30)
    codes = rng.integers(0, 4, (sum(sizes), 20)).astype(np.uint8)
    scores = rng.integers(0, 40, sum(sizes)) / 40  # many are equal
    stream = kmers.Extremes()
    for part in np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]):
        stream.add(scores[part], codes[part])
    for found, rows in zip(stream.groups(), kmers.extremes(scores, at_most=30), strict=True):
        np.testing.assert_array_equal(found, codes[rows])


def test_enriched_kmers_are_those_of_the_best_sites(rng):
    codes = rng.integers(0, 4, (400, 60)).astype(np.uint8)
    codes[:40, 20:26] = encode_sequence("ACTAAC")
    codes[360:, 20:26] = encode_sequence("GGGGGG")
    sites = kmers.Extremes()
    sites.add(np.linspace(1, 0, 400), codes)
    table = kmers.enriched_kmers(sites)
    assert table["kmer"][0] == "ACUAAC"
    assert (table["log2_ratio"] > 0).all()
    assert table["p_value"].is_monotonic_increasing
    assert len(table) == 50
    nothing = kmers.enriched_kmers(kmers.Extremes())
    assert (len(nothing), list(nothing.columns)) == (0, list(table.columns))


def test_wrong_input():
    with pytest.raises(InputError, match="k-mer length of 1 to 12, got 0"):
        kmers.sites_with_kmer(np.zeros((1, 5), np.uint8), 0)
    with pytest.raises(InputError, match="fraction above 0"):
        kmers.extremes(np.ones(5), fraction=0.7)
