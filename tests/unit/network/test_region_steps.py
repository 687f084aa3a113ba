"""The stepwise sum of a region tower against multiplying every window out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripe_lib.network.fast import region_steps as module
from ripe_lib.network.fast.passes import FastNetwork
from ripe_lib.network.fast.region_steps import RegionSteps
from ripe_lib.network.fast.wiring import read_wiring
from tests.support.scan_oracles import all_windows, naive_network
from tests.support.toy_models import random_model

LETTERS, COLUMNS, FILTERS, HIDDEN = 6, 7, 3, 4


def slow_rows(codes, tables, phase):
    """A pooled row: any function of its letters in order; here a maximum over letters of a table."""
    n = (len(codes) - LETTERS) // phase + 1
    return np.stack([tables[np.arange(LETTERS), codes[j * phase : j * phase + LETTERS]].max(axis=0) for j in range(n)])


@settings(deadline=None, max_examples=150)
@given(
    runs=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 25)), min_size=1, max_size=12),
    phase_and_dilation=st.sampled_from([(1, 5), (1, 1), (5, 1), (1, 2)]),
    seed=st.integers(0, 9),
)
def test_equals_multiplying_out(runs, phase_and_dilation, seed):
    phase, dilation = phase_and_dilation
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.full(length, code, np.uint8) for code, length in runs])
    shortest = LETTERS + (COLUMNS - 1) * dilation * phase
    codes = np.concatenate([codes, np.full(max(0, shortest - len(codes)), 2, np.uint8)])
    tables = rng.normal(size=(LETTERS, 5, FILTERS)).astype(np.float32)
    weights = rng.normal(size=(COLUMNS * FILTERS, HIDDEN)).astype(np.float32)
    constants = np.stack([slow_rows(np.full(LETTERS, code, np.uint8), tables, 1)[0] for code in range(5)])
    steps = RegionSteps(weights, constants, LETTERS)
    pooled = slow_rows(codes, tables, phase)
    n = len(pooled) - (COLUMNS - 1) * dilation
    windows = np.stack([pooled[i : i + (COLUMNS - 1) * dilation + 1 : dilation].ravel() for i in range(n)])
    events = steps.events(codes, len(pooled), phase, dilation)
    got = steps.hidden(events, pooled[events.mixed], n, dilation)
    np.testing.assert_allclose(got, windows.astype(np.float64) @ weights, rtol=0, atol=2e-5)


def test_events_are_where_types_change():
    codes = np.repeat([0, 1, 1, 3], 20).astype(np.uint8)  # changes at 20 and 60
    steps = RegionSteps(np.ones((COLUMNS * FILTERS, HIDDEN), np.float32), np.ones((5, FILTERS), np.float32), 6)
    events = steps.events(codes, len(codes) - 5, 1, 5)
    np.testing.assert_array_equal(events.mixed, [*range(15, 20), *range(55, 60)])
    np.testing.assert_array_equal(events.steps, [*range(20, 25), *range(60, 65)])
    assert events.pays(20 * module.COST_OF_EVENT + 1)
    assert not events.pays(20 * module.COST_OF_EVENT)


@pytest.fixture
def tower_wiring():
    return read_wiring(random_model(architecture="towers").keras_model)


@pytest.mark.parametrize("step", [1, 5])
@pytest.mark.parametrize("every", [7, 60, 200])
def test_network_takes_either_way_and_both_are_right(tower_wiring, monkeypatch, step, every):
    rng = np.random.default_rng(every)
    n = 300
    network = FastNetwork(tower_wiring)
    n_seq, n_region = (branch.n_in + (n - 1) * step for branch in (tower_wiring.seq, tower_wiring.region))
    seq = rng.integers(0, 4, n_seq).astype(np.uint8)
    region = np.repeat(rng.choice(5, n_region // every + 1), every)[:n_region].astype(np.uint8)
    assert len(set(region.tolist())) > 1
    used = []
    original = RegionSteps.hidden
    monkeypatch.setattr(RegionSteps, "hidden", lambda self, *a: used.append(1) or original(self, *a))
    found = []
    for cost in (0, 1e9):
        monkeypatch.setattr(module, "COST_OF_EVENT", cost)
        found.append(network.along(seq, region, None, n, step))
    assert len(used) == 1
    seqs = all_windows(seq, tower_wiring.seq.n_in, step, n)
    regions = all_windows(region, tower_wiring.region.n_in, step, n)
    for number in (0, 1, n // 2, n - 1):
        expected = naive_network(tower_wiring, seqs[number], regions[number])
        for logits in found:
            np.testing.assert_allclose(logits[number], expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5)


def test_rare_changes_take_the_short_way(tower_wiring, monkeypatch):
    used = []
    original = RegionSteps.hidden
    monkeypatch.setattr(RegionSteps, "hidden", lambda self, *a: used.append(1) or original(self, *a))
    network = FastNetwork(tower_wiring)
    n_seq, n_region = (branch.n_in + 1999 for branch in (tower_wiring.seq, tower_wiring.region))
    seq = np.zeros(n_seq, np.uint8)
    for every, expected in ((200, 1), (3, 0)):
        used.clear()
        network.along(seq, np.resize(np.repeat([0, 1], every), n_region).astype(np.uint8), None, 2000, 1)
        assert len(used) == expected
