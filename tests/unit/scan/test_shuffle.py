from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripe_lib.scan.shuffle import HUMAN_DINUCLEOTIDES, human_like, shuffle_dinucleotides


def pairs(codes):
    return Counter(zip(codes[:-1].tolist(), codes[1:].tolist(), strict=True))


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=0, max_size=60), st.integers(0, 99))
def test_dinucleotides_and_ends_are_kept(letters, seed):
    codes = np.array(letters, dtype=np.uint8)
    shuffled = shuffle_dinucleotides(codes, np.random.default_rng(seed))
    assert shuffled.dtype == np.uint8
    assert len(shuffled) == len(codes)
    assert pairs(shuffled) == pairs(codes)
    if len(codes):
        assert (shuffled[0], shuffled[-1]) == (codes[0], codes[-1])


def test_all_arrangements_are_equally_likely():
    """ACAGATA: the loops AC, AG, AT in any order, six arrangements."""
    codes = np.array([0, 1, 0, 2, 0, 3, 0], dtype=np.uint8)
    rng = np.random.default_rng(3)
    seen = Counter(tuple(shuffle_dinucleotides(codes, rng)) for _ in range(3000))
    assert len(seen) == 6
    assert max(abs(n - 500) for n in seen.values()) < 100  # 4.9 standard deviations


def test_uniform_where_last_exits_matter():
    """Count every sequence with the dinucleotides of AABAABBA by brute force and compare frequencies."""
    from itertools import product

    codes = np.array([0, 0, 1, 0, 0, 1, 1, 0], dtype=np.uint8)
    possible = [p for p in product((0, 1), repeat=8) if p[0] == 0 and pairs(np.array(p)) == pairs(codes)]
    rng = np.random.default_rng(5)
    seen = Counter(tuple(shuffle_dinucleotides(codes, rng)) for _ in range(400 * len(possible)))
    assert set(seen) == set(possible)
    assert max(abs(n - 400) for n in seen.values()) < 100


def test_seeded():
    codes = np.random.default_rng(0).integers(0, 4, 500).astype(np.uint8)
    first = shuffle_dinucleotides(codes, np.random.default_rng(1))
    np.testing.assert_array_equal(first, shuffle_dinucleotides(codes, np.random.default_rng(1)))
    assert (first == codes).mean() == pytest.approx(0.25, abs=0.1)


def test_human_like_has_the_stated_dinucleotides():
    codes = human_like(200_000, np.random.default_rng(0))
    counts = np.bincount(4 * codes[:-1].astype(int) + codes[1:], minlength=16).reshape(4, 4)
    np.testing.assert_allclose(counts / counts.sum(), HUMAN_DINUCLEOTIDES / HUMAN_DINUCLEOTIDES.sum(), atol=0.002)
    assert len(human_like(0, np.random.default_rng(0))) == 0
