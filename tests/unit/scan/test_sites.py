from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripe_lib.scan.sites import Site, SiteCaller


def call(scores, threshold=0.5, distance=3, first=0, cuts=()):
    scores = np.asarray(scores, dtype=np.float32)
    scores = scores[:, None] if scores.ndim == 1 else scores
    caller = SiteCaller(np.broadcast_to(threshold, scores.shape[1]), distance)
    sites = []
    edges = [0, *sorted(cuts), len(scores)]
    for start, end in pairwise(edges):
        sites += caller.push(first + start, scores[start:end])
    return sorted([*sites, *caller.finish()])


def test_one_run_one_site():
    assert call([0, 0.5, 0.7, 0.6, 0.2], first=100) == [Site(0, 101, 104, 102, pytest.approx(0.7))]


def test_small_gaps_are_bridged_and_large_ones_not():
    scores = [0.9, 0, 0, 0.8, 0, 0, 0, 0, 0.7]
    assert [site[1:4] for site in call(scores, distance=2)] == [(0, 1, 0), (3, 4, 3), (8, 9, 8)]
    assert [site[1:4] for site in call(scores, distance=4)] == [(0, 4, 0), (8, 9, 8)]
    assert [site[1:4] for site in call(scores, distance=9)] == [(0, 9, 0)]


def test_runs_are_split_at_the_lowest_bin_between_distant_peaks():
    scores = [0.9, 0.8, 0.6, 0.7, 0.95, 0.9]
    assert [site[1:4] for site in call(scores, distance=3)] == [(0, 2, 0), (2, 6, 4)]
    assert [site[1:4] for site in call(scores, distance=5)] == [(0, 6, 4)]
    scores[2] = 0.4  # a border below the threshold belongs to no site
    assert [site[1:4] for site in call(scores, distance=3)] == [(0, 2, 0), (3, 6, 4)]


def test_a_plateau_is_one_peak_at_its_middle_and_ties_take_the_first():
    assert [site.peak for site in call([0.6, 0.8, 0.8, 0.8, 0.6])] == [2]
    assert [site.peak for site in call([0.8] * 7, distance=3)] == [3]
    assert [site.peak for site in call([0.6, 0.8, 0.6, 0.8, 0.6], distance=3)] == [1]
    assert [site.peak for site in call([0.6, 0.8, 0.6, 0.8, 0.6], distance=2)] == [1, 3]


def test_threshold_is_inclusive_per_task_and_nan_calls_nothing():
    scores = np.array([[0.5, 0.5, 0.5]], dtype=np.float32)
    assert [site.task for site in call(scores, threshold=np.array([0.5, 0.51, np.nan]))] == [0]


def test_a_gap_ends_runs_and_going_back_is_refused():
    caller = SiteCaller(np.array([0.5]), 3)
    high = np.full((2, 1), 0.9, dtype=np.float32)
    assert list(caller.push(0, high)) == []
    assert [site[1:3] for site in caller.push(10, high)] == [(0, 2)]
    assert [site[1:3] for site in caller.finish()] == [(10, 12)]
    list(caller.push(5, high))
    with pytest.raises(ValueError, match="expected bin 7 or a later one, got 6"):
        list(caller.push(6, high))


def slow_sites(scores, threshold, distance):
    """Obvious version for one task: look at every bin."""
    above = [score >= threshold for score in scores]
    maxima = []
    for left in range(len(scores)):  # every plateau [left, right] whose neighbours are lower
        right = left
        while right + 1 < len(scores) and scores[right + 1] == scores[left]:
            right += 1
        before = left == 0 or scores[left - 1] < scores[left]
        after = right + 1 == len(scores) or scores[right + 1] < scores[left]
        if before and after and above[left]:
            maxima.append((left + right) // 2)
    runs = []
    for bin_ in range(len(scores)):
        if above[bin_]:
            if runs and bin_ - runs[-1][1] <= distance:
                runs[-1][1] = bin_
            else:
                runs.append([bin_, bin_])
    found = []
    for first, last in runs:
        peaks = []
        for place in sorted((m for m in maxima if first <= m <= last), key=lambda b: (-scores[b], b)):
            if all(abs(place - other) >= distance for other in peaks):
                peaks.append(place)
        start = first
        for one, following in pairwise([*sorted(peaks), None]):
            stop = last + 1 if following is None else min(range(one + 1, following + 1), key=lambda b: (scores[b], b))
            inside = [b for b in range(start, stop) if above[b]]
            found.append((inside[0], inside[-1] + 1, one))
            start = stop
    return found


tracks = st.lists(st.integers(0, 9).map(lambda v: v / 10), min_size=1, max_size=40)


@settings(deadline=None)
@given(scores=tracks, distance=st.integers(1, 6), cuts=st.sets(st.integers(1, 39), max_size=4))
def test_equals_the_slow_version_however_the_track_is_cut(scores, distance, cuts):
    values = np.array(scores, dtype=np.float32)
    cuts = [cut for cut in cuts if cut < len(scores)]
    sites = call(values, threshold=np.float32(0.5), distance=distance, cuts=cuts)
    assert [site[1:4] for site in sites] == slow_sites(values, np.float32(0.5), distance)
    for site in sites:
        assert site.first <= site.peak < site.end
        assert site.score == values[site.peak]
