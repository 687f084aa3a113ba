"""The k-mer that is missed most: against full passes of every window with a k-mer hidden."""

import numpy as np
import pytest

from ripe_lib.genome.encoding import UNKNOWN, encode_sequence
from ripe_lib.genome.windows import CodeWindows
from ripe_lib.scan.kmers import best_kmers
from tests.support.toy_models import random_model


def by_full_passes(model, seq, region, landmarks, window, task, length):
    """Return {offset: fall of the logit} of the k-mers of known bases, one full pass per hidden k-mer."""
    codes = seq[window]
    offsets = [i for i in range(len(codes) - length + 1) if (codes[i : i + length] != UNKNOWN).all()]
    hidden = np.tile(codes, (len(offsets) + 1, 1))
    for row, offset in enumerate(offsets, start=1):
        hidden[row, offset : offset + length] = UNKNOWN
    others = [None if one is None else np.tile(one[window], (len(hidden), 1)) for one in (region, landmarks)]
    logits = model.network.logits(hidden, *others).astype(np.float64)[:, task]
    return dict(zip(offsets, logits[0] - logits[1:], strict=True))


MODELS = {
    "paper": {"sequence_length": 60, "region_length": 80},
    "sequence": {"sequence_length": 60, "inputs": "sequence"},
    "landmarks": {
        "sequence_length": 60,
        "region_length": 80,
        "inputs": "sequence+region+landmarks",
        "architecture": "towers",
    },
    "gru": {"architecture": "gru", "sequence_length": 40, "region_length": 40, "sizes": {"hidden": 8}},
}


@pytest.mark.parametrize(("batch_size", "length"), [(1, 6), (2, 1), (1024, 6)])
@pytest.mark.parametrize("name", list(MODELS))
def test_best_kmers_are_those_of_full_passes(name, rng, batch_size, length):
    model = random_model(**MODELS[name])
    spec = model.spec
    seq = rng.integers(0, 4, (5, spec.sequence_length)).astype(np.uint8)
    seq[1, 8:20] = UNKNOWN
    seq[3] = UNKNOWN
    region = rng.integers(0, 5, (5, spec.region_length)).astype(np.uint8) if spec.has_region else None
    landmarks = rng.integers(-5000, 5000, (5, 8)).astype(float) if spec.has_landmarks else None
    sites = [(4, 0), (0, 1), (1, 0), (4, 1), (3, 0), (0, 0)]  # window 2 is not asked for
    found = best_kmers(model, CodeWindows(seq, region, landmarks), sites, length=length, batch_size=batch_size)
    assert len(found) == len(sites)
    for (window, task), one in zip(sites, found, strict=True):
        expected = by_full_passes(model, seq, region, landmarks, window, task, length)
        if window == 3:
            assert one.offset == -1
            assert np.isnan(one.effect)
            continue
        largest = max(expected.values())
        assert one.effect == pytest.approx(expected[one.offset], abs=1e-5)
        assert one.effect >= largest - 1e-3 * abs(largest) - 1e-5


def test_a_kmer_longer_than_the_window_is_not_found(tiny_model):
    seq = encode_sequence("A" * tiny_model.spec.sequence_length)[None]
    ((offset, effect),) = best_kmers(tiny_model, CodeWindows(seq), [(0, 0)], length=tiny_model.spec.sequence_length + 1)
    assert offset == -1
    assert np.isnan(effect)


def test_no_site(tiny_model):
    assert best_kmers(tiny_model, CodeWindows(np.zeros((0, tiny_model.spec.sequence_length), np.uint8)), []) == []
