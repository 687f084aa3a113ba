"""Motifs: a planted one is found and matched, its reverse complement is not; nothing depends on the order of sites."""

import numpy as np
import pytest

from ripe_lib.errors import InputError, ShapeMismatchError, UnknownNameError
from ripe_lib.genome.encoding import UNKNOWN, encode_sequence, one_hot
from ripe_lib.genome.landmarks import encode_landmarks
from ripe_lib.motifs import clusters, match
from ripe_lib.motifs.databases import MotifDatabase
from ripe_lib.motifs.filters import filter_motifs
from ripe_lib.motifs.find import MotifOptions, find_motifs, motifs_from_maps, search_motifs
from ripe_lib.motifs.match import NO_MATCHES, SMALLEST_P, matches_of, q_values
from ripe_lib.motifs.meme import MotifMatrix
from ripe_lib.motifs.seqlets import Seqlets, cut, top_windows
from ripe_lib.network.predict import predict
from tests.support.toy_models import detector_model, random_model

PLANTED = "UGUAAAC"
REVERSED = "GUUUACA"


def matrix(word, sharp=0.94):
    ppm = one_hot(encode_sequence(word)).astype(float)
    return ppm * (sharp - (1 - sharp) / 3) + (1 - sharp) / 3


@pytest.fixture(scope="module")
def database():
    generator = np.random.default_rng(11)
    others = [MotifMatrix(f"r{i}", f"P{i}", generator.dirichlet([0.2] * 4, 7)) for i in range(150)]
    planted = [MotifMatrix("planted", "PUM2", matrix(PLANTED)), MotifMatrix("reversed", "ANTI", matrix(REVERSED))]
    return MotifDatabase("synthetic", (*others[:75], *planted, *others[75:]))


@pytest.fixture(scope="module")
def sites():
    """60 windows with the planted word in the middle third, 20 without."""
    generator = np.random.default_rng(5)
    codes = generator.integers(0, 4, (80, 150)).astype(np.uint8)
    for row, start in enumerate(generator.integers(50, 90, 60)):
        codes[row, start : start + len(PLANTED)] = encode_sequence(PLANTED)
    codes[:, :5] = UNKNOWN
    return codes


@pytest.fixture(scope="module")
def model():
    return detector_model(PLANTED, tasks=("PUM2_TOY", "OTHER_TOY"))


@pytest.fixture(scope="module")
def search(model, sites, database):
    return search_motifs(model, {"seq": one_hot(sites)}, "PUM2_TOY", MotifOptions(n_steps=20), database=database)


# --- the whole way -------------------------------------------------------------------------------------------------


def all_matches(motif, database, **options):
    """Every known motif by rank, not only the best ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(match, "N_BEST", None)
        return matches_of([motif], database, **options)[motif.identifier]


def test_the_planted_motif_is_found_and_matched_and_its_reverse_complement_is_not(search):
    first = search.motifs[0]
    assert PLANTED[:6] in first.consensus or PLANTED[1:] in first.consensus
    assert (search.n_true, search.n_used) == (80, 60)
    assert first.n_sites >= 55
    assert first.fraction == first.n_sites / 80
    best = first.matches.iloc[0]
    assert (best["match"], best["same_protein"]) == ("planted", True)
    assert best["q_value"] < 0.01
    wrong = all_matches(first.matrix(), reversed_only()).set_index("match")
    assert wrong.loc["reversed", "q_value"] > 0.5


def reversed_only():
    generator = np.random.default_rng(12)
    others = [MotifMatrix(f"r{i}", f"P{i}", generator.dirichlet([0.2] * 4, 7)) for i in range(150)]
    return MotifDatabase("reversed only", (*others, MotifMatrix("reversed", "ANTI", matrix(REVERSED))))


def test_the_order_of_sites_and_the_batch_size_change_nothing(model, sites, search, database):
    order = np.random.default_rng(3).permutation(len(sites))
    options = MotifOptions(n_steps=20, batch_size=7)
    again = search_motifs(model, {"seq": one_hot(sites[order])}, "PUM2_TOY", options, database=database)
    assert_same(again.motifs, search.motifs)


def test_the_seed_is_what_is_random(model, sites, search):
    again = find_motifs(model, {"seq": one_hot(sites)}, task="PUM2_TOY", database=None, n_steps=20, seed=0)
    assert [m.pfm.tolist() for m in again] == [m.pfm.tolist() for m in search.motifs]


def assert_same(some, others):
    assert [m.consensus for m in some] == [m.consensus for m in others]
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one.pfm, other.pfm)
        assert (one.n_sites, one.fraction, one.kmers) == (other.n_sites, other.fraction, other.kmers)
        np.testing.assert_allclose(one.matches["p_value"], other.matches["p_value"], rtol=1e-9)


@pytest.mark.slow
def test_two_words_in_noisy_maps_are_two_motifs_by_embedding(rng):
    """Maps that differ from site to site go through UMAP and DBSCAN; the same seed gives the same motifs."""
    codes = rng.integers(0, 4, (120, 60)).astype(np.uint8)
    scores = rng.normal(0, 0.05, (120, 60))
    for row in range(120):
        word = "UGUAAA" if row < 70 else "GGAGCC"
        start = rng.integers(10, 40)
        codes[row, start : start + 6] = encode_sequence(word)
        scores[row, start : start + 6] = rng.uniform(0.5, 1.5, 6)
    found = motifs_from_maps(scores, codes, MotifOptions(flank=0), name="X", n_true=120)
    assert [m.consensus for m in found[:2]] == ["UGUAAA", "GGAGCC"]
    assert found[0].n_sites >= 60
    assert found[1].n_sites >= 40
    assert_same(motifs_from_maps(scores, codes, MotifOptions(flank=0), name="X", n_true=120), found)


def test_labels_leave_sites_out(model, sites):
    labels = np.zeros(len(sites), dtype=bool)
    labels[:20] = labels[60:] = True
    options = MotifOptions(method="single", n_steps=8)
    found = search_motifs(model, {"seq": one_hot(sites)}, "PUM2_TOY", options, labels=labels, database=None)
    assert (found.n_true, found.n_used) == (40, 20)
    with pytest.raises(ShapeMismatchError, match=r"labels: expected shape \(80,\), got \(3,\)"):
        find_motifs(model, {"seq": one_hot(sites)}, task="PUM2_TOY", labels=[1, 0, 1])


def test_no_site_above_the_bound_gives_no_motif(model, sites):
    found = search_motifs(model, {"seq": one_hot(sites)}, "OTHER_TOY", MotifOptions())
    assert (found.n_true, found.n_used, found.motifs) == (80, 0, [])
    assert find_motifs(model, {"seq": one_hot(sites[:0])}, task="PUM2_TOY", database=None) == []


def test_sites_of_unknown_bases_only(model):
    windows = {"seq": np.full((3, 150, 4), 0.25, dtype=np.float32)}
    assert find_motifs(model, windows, task="PUM2_TOY", min_score=0, database=None) == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"task": "PUM3_TOY"}, UnknownNameError, r"unknown task 'PUM3_TOY'. Did you mean 'PUM2_TOY'"),
        ({"method": "umap"}, UnknownNameError, r"unknown method 'umap'. Did you mean 'umap-dbscan'"),
        ({"length": 2}, InputError, r"motif length: expected 3 to 30 nt, got 2"),
        ({"min_score": 1.5}, InputError, r"min_score: expected a probability from 0 to below 1, got 1.5"),
    ],
)
def test_wrong_options(model, sites, options, error, message):
    with pytest.raises(error, match=message):
        find_motifs(model, {"seq": one_hot(sites)}, **{"task": "PUM2_TOY", **options})


# --- parts ---------------------------------------------------------------------------------------------------------


def test_top_windows_against_the_obvious_way(rng):
    scores = rng.normal(size=(30, 40))
    codes = rng.integers(0, 5, (30, 40)).astype(np.uint8)
    codes[:15] %= 4
    found = top_windows(scores, codes, 5, n_windows=3)
    expected = []
    for site in range(30):
        free = dict.fromkeys(range(36))
        best = None
        for _ in range(3):
            means = {s: scores[site, s : s + 5].mean() for s in free if (codes[site, s : s + 5] < 4).all()}
            if not means:
                break
            start = max(means, key=lambda s: (means[s], -s))
            best = means[start] if best is None else best
            if means[start] > 0 and means[start] >= 0.5 * best:
                expected.append((site, start))
            free = {s: None for s in free if abs(s - start) >= 5}
    assert list(zip(found.site.tolist(), found.start.tolist(), strict=True)) == expected


def test_cut_fills_what_lies_outside():
    array = np.arange(10).reshape(1, 10)
    seqlets = Seqlets(np.zeros(2, int), np.array([0, 8]))
    assert cut(array, seqlets, 4, before=1, fill=-1).tolist() == [[-1, 0, 1, 2], [7, 8, 9, -1]]


def test_alignment_brings_shifted_copies_together(rng):
    """Windows cut up to two positions off are moved onto one frame, so that the counts are certain."""
    codes = rng.integers(0, 4, (40, 60)).astype(np.uint8)
    scores = np.zeros((40, 60))
    word = encode_sequence("GACUAA")
    off = rng.integers(-2, 3, 40)
    for row in range(40):
        codes[row, 30:36] = word
        scores[row, 30:36] = 1
    seqlets = Seqlets(np.arange(40), 30 + off)
    aligned = clusters.align(scores, codes, seqlets, 6)
    assert (aligned.start == aligned.start[0]).all()
    assert (seqlets.start != seqlets.start[0]).any()


def test_copies_are_merged_and_others_are_not(rng):
    codes = rng.integers(0, 4, (60, 60)).astype(np.uint8)
    for row in range(60):
        codes[row, 20:28] = encode_sequence("GACUAACG" if row < 40 else "UUUUUUUU")
    rows = np.arange(60)
    shifted = [
        Seqlets(part, np.full(len(part), start))
        for part, start in ((rows[:25], 20), (rows[25:40], 22), (rows[40:], 21))
    ]
    merged = clusters.merge_copies(codes, shifted, 6)
    assert [len(group) for group in merged] == [40, 20]
    assert (merged[0].start == 20).all()


def test_flanks_without_information_are_cut():
    sharp, flat = [100, 0, 0, 0], [25, 25, 25, 25]
    assert clusters.informative(np.array([flat, sharp, sharp, flat]), 1) == (1, 3)
    assert clusters.informative(np.array([sharp, flat, sharp, flat]), 1) == (0, 3)
    assert clusters.informative(np.array([flat, flat]), 0) == (0, 2)


def test_weighted_frequencies_by_hand():
    """Two sites, AC and GC; each attribution is a share of its site."""
    codes = np.array([encode_sequence("AC"), encode_sequence("GC")])
    seqlets = Seqlets(np.arange(2), np.zeros(2, int))
    scores = np.array([[3.0, 1.0], [1.0, 3.0]])
    found = clusters.weighted_frequencies(scores, codes, seqlets, 2, 0)
    np.testing.assert_allclose(found, [[0.75, 0, 0.25, 0], [0, 1, 0, 0]], atol=1e-12)
    faint = clusters.weighted_frequencies(np.array([[4.0, 0.0], [4.0, 0.0]]), codes, seqlets, 2, 0)
    np.testing.assert_allclose(faint, [[0.5, 0, 0.5, 0], [0.25] * 4], atol=1e-12)


def test_few_sites_are_one_consensus(rng):
    codes = rng.integers(0, 4, (6, 40)).astype(np.uint8)
    scores = np.zeros((6, 40))
    codes[:, 10:16] = encode_sequence("UGUAUA")
    scores[:, 10:16] = 1
    (motif,) = motifs_from_maps(scores, codes, MotifOptions(flank=0), name="X", n_true=6)
    assert (motif.consensus, motif.n_sites, motif.kmers) == ("UGUAUA", 6, {"UGUAUA": 6})
    one = motifs_from_maps(scores[:1], codes[:1], MotifOptions(flank=0), name="X", n_true=1)
    assert [m.consensus for m in one] == ["UGUAUA"]


# --- matching ------------------------------------------------------------------------------------------------------


def test_q_values_by_definition(rng):
    p = rng.uniform(size=50)
    expected = [min(1, min(q * 50 / (p <= q).sum() for q in p if q >= value)) for value in p]
    np.testing.assert_allclose(q_values(p), expected, rtol=1e-12)


def test_matches_are_aligned_ranked_and_bounded(database):
    part = MotifMatrix("part", "", matrix(PLANTED)[2:])
    table = all_matches(part, database, rbp="PUM2")
    assert len(table) == len(database)
    best = table.iloc[0]
    assert (best["match"], best["offset"], best["overlap"], best["rank"]) == ("planted", -2, 5, 1)
    assert table["p_value"].is_monotonic_increasing
    assert table["rank"].is_monotonic_increasing
    assert table["p_value"].between(SMALLEST_P, 1).all()
    assert (table["q_value"] >= table["p_value"] - 1e-12).all()


def test_equal_known_motifs_share_a_rank_and_the_own_protein_is_always_there(database, monkeypatch):
    monkeypatch.setattr(match, "N_BEST", 3)
    copies = MotifDatabase("copies", (*database.motifs, MotifMatrix("copy", "QKI", matrix(PLANTED))))
    table = matches_of([MotifMatrix("q", "", matrix(PLANTED))], copies, rbp="ANTI")["q"]
    assert table["rank"].tolist()[:3] == [1, 1, 3]
    assert len(table) == 4
    assert (table.iloc[3]["protein"], table.iloc[3]["same_protein"]) == ("ANTI", True)


def test_copies_of_known_motifs_change_no_p_or_q_value(database):
    """A database with a matrix under forty names says no more about a motif than one that has it once."""
    query = MotifMatrix("q", "", matrix("ACUUAGC", sharp=0.7))
    copies = [MotifMatrix(f"copy{i}", "RUN", database.motifs[3].ppm) for i in range(40)]
    redundant = MotifDatabase("redundant", (*database.motifs, *copies))
    once, often = (all_matches(query, known).set_index("match") for known in (database, redundant))
    for column in ("p_value", "q_value", "score"):
        np.testing.assert_allclose(often.loc[once.index, column], once[column], rtol=1e-9)
    assert (often.loc[[m.identifier for m in copies], "q_value"] == once.loc["r3", "q_value"]).all()


def test_p_values_are_those_of_chance(rng):
    """Known motifs whose columns are drawn from those of the database: one in ten has a p-value below a tenth."""
    columns = rng.dirichlet([0.2] * 4, 12_000).reshape(1500, 8, 4)
    random = MotifDatabase("random", tuple(MotifMatrix(f"m{i}", "", ppm) for i, ppm in enumerate(columns)))
    for word in ("ACUAAC", "UUUUUUUU"):
        p = all_matches(MotifMatrix("q", "", matrix(word, sharp=0.8)), random)["p_value"]
        for bound in (0.1, 0.01):
            expected = bound * len(p)
            assert abs((p < bound).sum() - expected) < 4 * np.sqrt(expected) + 0.3 * expected


def test_nothing_to_match_gives_an_empty_table(database):
    assert matches_of([], database) == {}
    query = MotifMatrix("q", "", matrix("ACGU"))
    nothing = matches_of([query], MotifDatabase("empty", ()))["q"]
    assert len(nothing) == 0
    assert list(nothing.columns) == list(NO_MATCHES.columns) == list(matches_of([query], database)["q"].columns)


# --- filters -------------------------------------------------------------------------------------------------------


def test_the_filter_that_detects_the_word_shows_it(model, sites):
    filters = filter_motifs(model, sites)
    assert len(filters) == model.keras_model.get_layer("left_conv1").filters
    assert filters[0].consensus == PLANTED
    assert filters[0].n_sites == 60
    assert all(f.pfm.sum() == 0 and f.threshold == 0 for f in filters[1:])


def test_filter_counts_against_the_network_itself(tiny_model, rng):
    codes = rng.integers(0, 4, (12, 150)).astype(np.uint8)
    codes[3, 20:30] = UNKNOWN
    layer = tiny_model.keras_model.get_layer("left_conv1")
    activation = layer(one_hot(codes)).numpy()
    known = np.lib.stride_tricks.sliding_window_view(codes, 7, axis=1).max(axis=-1) < UNKNOWN
    activation[~known] = 0
    for found in filter_motifs(tiny_model, codes)[::17]:
        channel = activation[..., found.index]
        assert found.threshold == pytest.approx(channel.max() / 2, rel=1e-5)
        site, place = np.nonzero(channel > found.threshold)
        words = codes[site[:, np.newaxis], place[:, np.newaxis] + np.arange(7)]
        np.testing.assert_array_equal(found.pfm, [[(words[:, i] == b).sum() for b in range(4)] for i in range(7)])


@pytest.mark.filterwarnings("ignore::ripe_lib.network.inputs.LandmarkWarning")
def test_landmarks_count_for_which_sites_are_used(rng):
    sizes = {"filters": 12, "left_filters2": 16, "right_filters": 6, "hidden": 20, "landmark_hidden": 10}
    inputs = {"architecture": "towers", "inputs": "sequence+region+landmarks", "landmark_bases": 16}
    network = random_model(tasks=("A",), sizes=sizes, **inputs)
    layer = network.keras_model.get_layer("landmark_hidden")
    layer.set_weights([30 * array for array in layer.get_weights()])  # so that they matter
    arrays = {
        "seq": one_hot(rng.integers(0, 4, (60, 150)).astype(np.uint8)),
        "region": one_hot(rng.integers(0, 4, (60, 250)).astype(np.uint8)),
        "landmarks": encode_landmarks(rng.normal(0, 3000, (60, 8))),
    }
    scores = predict(network, arrays)[:, 0]
    bound = float(np.quantile(scores, 0.5))
    assert 0 < (scores > bound).sum() < 60
    options = MotifOptions(min_score=bound, method="single")
    found = search_motifs(network, arrays, "A", options, database=None)
    assert found.n_used == (scores > bound).sum()
    without = search_motifs(network, {**arrays, "landmarks": None}, "A", options, database=None)
    assert without.n_used != found.n_used
