"""What a background is made of, and what its rate means."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import UNKNOWN
from ripe_lib.network.spec import ModelSpec
from ripe_lib.scan import background as module
from ripe_lib.scan.background import Group, _scores_of_bins, background_of, groups_of, thresholds_at
from ripe_lib.scan.engine import Scanner
from ripe_lib.scan.sources import Run, stretches
from ripe_lib.scan.thresholds import ThresholdChoice, Thresholds, find_thresholds


class Rnas:
    """RNAs in memory: bases and region types by name."""

    kind = "rna"

    def __init__(self, **records):
        self.records = {
            name: record if isinstance(record, tuple) else (record, None) for name, record in records.items()
        }
        self.contigs = {name: len(bases) for name, (bases, _) in self.records.items()}

    def runs(self, step):
        return [Run(name, "+", 0, -(-length // step)) for name, length in self.contigs.items()]

    def codes(self, contig, start, length, minus):
        from ripe_lib.genome.encoding import place

        bases, regions = self.records[contig]
        return place(bases, length, -start), None if regions is None else place(regions, length, -start)

    def landmarks(self, contig, positions, minus):
        return None


class Recorder:
    """A scanner that keeps what it is asked and answers the number of known bases in each window's stretch."""

    lengths = (150, 250)
    model = SimpleNamespace(spec=ModelSpec(name="any", tasks=("a",)))

    def __init__(self, step=1, asked=None):
        self.step, self.asked = step, [] if asked is None else asked

    def at_step(self, step):
        return Recorder(step, self.asked)

    def scores(self, found):
        self.asked += found
        return [np.full((stretch.n, 1), stretch.seq_first, np.float32) for stretch in found]


def bases(rng, length):
    return rng.integers(0, 4, length).astype(np.uint8)


def test_short_rnas_are_grouped_by_length_and_long_input_is_one_group(rng):
    lengths = {"a": 42, "b": 400, "c": 50, "d": 150, "e": 149, "f": 1, "g": 53}
    source = Rnas(**{name: bases(rng, length) for name, length in lengths.items()})
    groups = groups_of(source, source.runs(1), 150)
    assert [[run.contig for run in group.runs] for group in groups] == [["b", "d"], ["f"], ["a", "c"], ["g"], ["e"]]
    assert [group.name for group in groups][:3] == ["all bins", "RNAs of 1 nt", "RNAs of 42 to 50 nt"]
    source.kind = "genome"
    assert [group.is_short for group in groups_of(source, source.runs(1), 150)] == [False]


@pytest.mark.parametrize("kind", ["human", "input"])
@pytest.mark.parametrize("step", [1, 10])
def test_short_background_has_the_lengths_unknown_bases_and_region_types_of_the_input(rng, kind, step):
    gap = bases(rng, 45)
    gap[20:25] = UNKNOWN
    source = Rnas(a=(bases(rng, 42), np.full(42, 2, np.uint8)), b=(gap, np.full(45, 3, np.uint8)))
    (group,) = groups_of(source, source.runs(step), 150)
    scanner = Recorder(step)
    background = background_of(scanner, source, group, 0.05, kind, rng)
    assert len(background) == module.LEAST_RNAS

    def looks(stretch):
        unknown = stretch.seq == UNKNOWN
        if kind == "input":  # a gap inside an RNA is shuffled like a letter
            unknown = np.append(unknown[:54], unknown.sum())
        return stretch.n, unknown.tobytes(), stretch.region.tobytes()

    real = {
        name: [looks(stretch) for stretch in stretches(source, run, scanner)]
        for name, run in zip(source.contigs, source.runs(step), strict=True)
    }
    made = [looks(stretch) for stretch in scanner.asked]
    assert set(made) == {part for parts in real.values() for part in parts}
    assert len({s.seq.tobytes() for s in scanner.asked}) > 0.9 * len(made)
    share = sum(part == real["a"][0] for part in made) / module.LEAST_RNAS
    assert share == pytest.approx(0.5, abs=0.07)  # 4.4 standard deviations


def test_stretches_of_one_rna_show_the_same_bases(rng):
    """With a step that does not divide the length, an RNA is two stretches: still one RNA."""
    source = Rnas(a=bases(rng, 45))
    scanner = Recorder(10)
    background_of(scanner, source, groups_of(source, source.runs(10), 150)[0], 0.05, "human", rng)
    pairs = list(zip(scanner.asked[::2], scanner.asked[1::2], strict=True))
    assert len(pairs) == module.LEAST_RNAS
    for one, other in pairs[:50]:
        np.testing.assert_array_equal(one.seq[one.seq != UNKNOWN], other.seq[other.seq != UNKNOWN])


def best_scores(model, source, scanner):
    return np.stack(
        [np.concatenate(scanner.scores(stretches(source, run, scanner))).max(axis=0) for run in source.runs(1)]
    )


def test_rate_of_short_rnas_is_a_rate_of_rnas(tiny_model, monkeypatch):
    """5 % of other random RNAs as short show a site, although each has 42 bins; as a rate of bins it would be less."""
    monkeypatch.setattr(module, "LEAST_RNAS", 1000)
    rng = np.random.default_rng(8)
    source = Rnas(a=bases(rng, 42))
    scanner = Scanner(tiny_model)
    background = background_of(scanner, source, groups_of(source, source.runs(1), 150)[0], 0.05, "human", rng)
    others = Rnas(**{f"r{i}": module.human_like(42, rng) for i in range(600)})
    best = best_scores(tiny_model, others, scanner)
    assert (best >= thresholds_at(background, 0.05)).mean(axis=0) == pytest.approx([0.05] * 3, abs=0.035)


def test_short_thresholds_do_not_depend_on_other_records(tiny_model, rng, monkeypatch):
    """A 42-nt RNA is compared with 42-nt RNAs, whether or not there is a long one in the same file."""
    monkeypatch.setattr(module, "LEAST_RNAS", 300)
    monkeypatch.setattr(module, "LEAST_BINS", 300)
    short = bases(rng, 42)
    scanner = Scanner(tiny_model)
    found = []
    for source in (Rnas(a=short), Rnas(long=bases(rng, 500), a=short, other=bases(rng, 100))):
        found.append(find_thresholds(scanner, source, source.runs(1), ThresholdChoice(seed=3)))
    np.testing.assert_array_equal(found[0].of("a"), found[1].of("a"))
    assert (found[1].of("a") != found[1].of("long")).all()
    assert (found[1].of("a") != found[1].of("other")).all()


def test_rate_of_long_input_is_a_rate_of_bins(tiny_model):
    """Thresholds of two seeds let the stated share of bins of other random sequence pass, within sampling error."""
    rng = np.random.default_rng(4)
    source = Rnas(a=bases(rng, 3000))
    scanner = Scanner(tiny_model)
    (group,) = groups_of(source, source.runs(1), 150)
    other = Rnas(**{f"r{i}": module.human_like(3000, rng) for i in range(10)})
    scores = np.concatenate(
        [np.concatenate(scanner.scores(stretches(other, run, scanner))) for run in other.runs(1)]
    )  # 30,000 bins, of which about 400 are independent
    for seed in (0, 1):
        background = background_of(scanner, source, group, 0.1, "human", np.random.default_rng(seed))
        assert len(background) >= module.LEAST_BINS
        assert (scores >= thresholds_at(background, 0.1)).mean(axis=0) == pytest.approx([0.1] * 3, abs=0.06)


@pytest.mark.parametrize("step", [1, 20])
def test_bins_of_a_background_are_half_a_window_apart_and_equally_likely(step, rng):
    source = Rnas(a=bases(rng, 151), b=bases(rng, 5000), c=bases(rng, 700))
    scanner = Recorder(step)
    keep = lambda codes, rng: codes  # noqa: E731
    _scores_of_bins(scanner, source, source.runs(step), 20_000, keep, rng)
    hop = 75 // step
    seen = {name: np.zeros(-(-length // step)) for name, length in source.contigs.items()}
    windows = {}
    for name, run in zip(source.contigs, source.runs(step), strict=True):
        for stretch in stretches(source, run, scanner):
            for number in range(stretch.n):
                at = stretch.seq_first + number * step
                windows[stretch.seq[at : at + 150].tobytes()] = name, len(windows)
    first = {name: min(number for other, number in windows.values() if other == name) for name in seen}
    n = 0
    for stretch in scanner.asked:
        for number in range(stretch.n):
            at = stretch.seq_first + number * hop * step
            name, place = windows[stretch.seq[at : at + 150].tobytes()]
            seen[name][place - first[name]] += 1
            n += 1
    assert n >= 20_000
    n_bins = sum(map(len, seen.values()))
    for counts in seen.values():
        assert counts.sum() / n == pytest.approx(len(counts) / n_bins, rel=0.15)
    assert (seen["b"] > 0).mean() > 0.9  # every phase comes up


def test_unknown_bases_stay_and_neighbours_do_not_cross_the_ends():
    rng = np.random.default_rng(0)
    codes = np.array([4, 4, 0, 1, 2, 3, 0, 0, 2, 4, 1, 1, 3, 4], dtype=np.uint8)
    for replace in (module._drawn, module._shuffled):
        made = replace(codes, rng)
        np.testing.assert_array_equal(made[[0, 1, 13]], UNKNOWN)
        assert (made == UNKNOWN).sum() == 4
    nothing = np.full(5, UNKNOWN, np.uint8)
    np.testing.assert_array_equal(module._shuffled(nothing, rng), nothing)


def test_rates_count_the_background_that_reaches_a_score():
    background = np.array([[0.1], [0.2], [0.2], [0.9]], dtype=np.float32)
    group = Group((Run("a", "+", 0, 9),), None)
    thresholds = Thresholds([group], ["task"], np.array([[0.5]]), "", [background])
    got = thresholds.rates("a", [0] * 5, np.array([0.05, 0.2, 0.21, 0.9, 0.95], dtype=np.float32))
    np.testing.assert_allclose(got, [5 / 5, 4 / 5, 2 / 5, 2 / 5, 1 / 5])


def test_auto_is_human_where_the_composition_is_a_signal(rng, monkeypatch):
    used = []
    monkeypatch.setattr(module, "_drawn", lambda codes, rng: used.append("human") or codes)
    monkeypatch.setattr(module, "_shuffled", lambda codes, rng: used.append("input") or codes)
    monkeypatch.setattr(module, "SHORT_INPUT", 1000)

    def kinds(*lengths):
        used.clear()
        source = Rnas(**{f"r{i}": bases(rng, length) for i, length in enumerate(lengths)})
        for group in groups_of(source, source.runs(1), 150):
            background_of(Recorder(), source, group, 0.05, "auto", rng)
        return set(used)

    assert kinds(999) == {"human"}
    assert kinds(600, 600) == {"input"}
    assert kinds(*[140] * 20) == {"human"}


def test_wrong_backgrounds_are_refused(rng):
    source = Rnas(a=bases(rng, 42))
    group = Group(tuple(source.runs(1)), (42, 42))
    with pytest.raises(InputError, match="background: expected one of auto, input, human, got 'mouse'"):
        background_of(Recorder(), source, group, 0.5, "mouse", rng)


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=10, max_size=300), st.sampled_from([0.1, 0.25, 0.5]))
def test_threshold_keeps_the_stated_rate(values, rate):
    null = np.array(values, dtype=np.float32)[:, None] / 50
    threshold = thresholds_at(np.sort(null, axis=0), rate)
    assert (null >= threshold).mean() <= rate
    lower = null[null < threshold].max()
    assert (null >= lower).mean() > rate  # the next lower score would let too many pass
