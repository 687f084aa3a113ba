"""Words bound in vitro: the list of words, their scores, and a whole run on sites with a planted word."""

import json
import re
import sys
from itertools import product

import numpy as np
import pandas as pd
import pytest

from benchmarks import common, in_vitro
from ripe_lib.evaluation.metrics import auroc
from ripe_lib.genome.encoding import decode_sequence
from tests.support.toy_datasets import random_codes, write_toy_dataset
from tests.support.toy_models import detector_model


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def unknown_too(rng, n, width):
    """Random codes, every 20th base unknown."""
    codes = random_codes(rng, n, width)
    codes[rng.random(codes.shape) < 0.05] = 4
    return codes


def words_of(codes):
    """(place, word) of every window, as texts."""
    for row in codes:
        text = decode_sequence(row, rna=True)
        yield [(at, text[at : at + 5]) for at in range(len(text) - 4) if "N" not in text[at : at + 5]]


def test_the_table_of_words():
    table = in_vitro.rbns_lists()
    assert table.index.is_unique
    assert table.index.is_monotonic_increasing
    assert len(table) == 94
    for words in table["words"]:
        assert len(set(words)) == len(words) == 10
        assert all(re.fullmatch("[ACGU]{5}", word) for word in words)
    assert table["encode_file"].is_unique
    assert table["encode_file"].str.fullmatch(r"ENCFF\d{3}[A-Z]{3}").all()
    assert table["best_r"].dropna().between(1, 100).all()
    assert not {"AKAP8L", "EIF3D", "NSUN2", "SAFB2", "SUCLG1", "TROVE2", "XRCC6", "IGF2BP1"} & set(table.index)
    assert table.loc["RBFOX2", "words"][0] == "GCAUG"


def test_attributions_of_words_are_those_of_the_obvious_way(rng):
    codes, letters = unknown_too(rng, 12, 40), rng.normal(size=(12, 40)).astype(np.float32)
    drawn = in_vitro.weights(np.arange(12) // 3, rng)
    found = in_vitro.mean_attributions(codes, letters, drawn)
    for times, scores in zip(drawn[:3], found, strict=False):
        sums = dict.fromkeys(map("".join, product("ACGU", repeat=5)), 0.0)
        n = dict.fromkeys(sums, in_vitro.PRIOR)
        for values, weight, words in zip(letters, times, words_of(codes), strict=True):
            places = {at: sum(float(v) for v in values[at : at + 5]) for at, _ in words}
            mean = sum(places.values()) / len(places)
            for at, word in words:
                sums[word] += weight * (places[at] - mean)
                n[word] += weight
        np.testing.assert_allclose(scores, [sums[word] / n[word] for word in in_vitro.WORDS], atol=1e-6)
    assert (found[0] == 0).sum() > 500  # words that never occur are average


def test_log_odds_are_those_of_the_obvious_way(rng):
    codes, others = unknown_too(rng, 9, 50), unknown_too(rng, 14, 50)
    drawn, drawn_others = (in_vitro.weights(np.arange(n) // 2, rng) for n in (9, 14))
    found = in_vitro.log_odds(codes, others, drawn, drawn_others)
    has, has_others = ([{word for _, word in row} for row in words_of(some)] for some in (codes, others))
    for number in (0, 7):
        for column in range(0, 1024, 5):
            odds = []
            for sets, times in ((has, drawn[number]), (has_others, drawn_others[number])):
                there = sum(w for words, w in zip(sets, times, strict=True) if in_vitro.WORDS[column] in words)
                odds.append((there + 0.5) / (times.sum() - there + 0.5))
            assert found[number, column] == pytest.approx(np.log(odds[0] / odds[1]), abs=1e-9)


def test_draws_take_whole_loci(rng):
    loci = np.array([5, 5, 9, 2, 2, 2])
    drawn = in_vitro.weights(loci, rng)
    assert (drawn[0] == 1).all()
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn[:, 3:] == drawn[:, 3:4]).all()
    np.testing.assert_array_equal(drawn[:, [0, 2, 3]].sum(axis=1), 3)


def test_aurocs_of_lists_and_the_place_of_the_own(rng):
    member = np.zeros((4, 1024), dtype=bool)
    for row, first in enumerate((0, 3, 20, 40)):  # the second shares seven words with the first
        member[row, first : first + 10] = True
    scores = np.round(rng.normal(size=(50, 1024)), 1)
    scores[:, 20:30] += 1
    found = in_vitro.aurocs(scores, member)
    assert found[4, 2] == pytest.approx(auroc(member[2], scores[4]))
    assert found[0, 3] == pytest.approx(auroc(member[3], scores[0]))
    row = in_vitro.judged(scores, member, 0)
    assert row["others"] == 2
    assert row["place"] == 1 + (found[0, 2:] > found[0, 0]).sum()
    assert row["auroc_low"] < row["auroc"] < row["auroc_high"]
    assert in_vitro.judged(scores, member, 2)["place"] == 1


def test_a_planted_word_is_read_and_stands_in_the_document(rng, tmp_path, monkeypatch):
    file = write_toy_dataset(tmp_path / "data.h5", rng)
    planted = ["UGUAA", "GUAAA", "UAAAU", "AAAUA"]
    filler = [word for word in in_vitro.WORDS if set(word) <= set("CG")]
    lists = pd.DataFrame({"best_r": [4.2, np.nan], "words": [planted + filler[:6], filler[6:16]]}, index=["PUM", "X"])
    docs = tmp_path / "docs" / "in_vitro.md"
    (docs.parent / "images").mkdir(parents=True)
    docs.write_text("before\n<!-- begin: tables -->\n<!-- end: tables -->\nafter\n")
    for module in (common, in_vitro):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(in_vitro, "DOCS", docs)
    monkeypatch.setattr(in_vitro, "rbns_lists", lambda: lists)
    monkeypatch.setattr(in_vitro, "load_model", lambda name: detector_model("UGUAAAU", tasks=("PUM_TOY", "QKI_TOY")))
    monkeypatch.setattr(sys, "argv", ["in_vitro", f"detector={file}", "--max-sites", "40"])
    in_vitro.main()
    (row,) = json.loads((tmp_path / "results" / "in_vitro.json").read_text())["tasks"]
    assert (row["task"], row["protein"], row["explained"], row["best_r"]) == ("PUM_TOY", "PUM", 40, 4.2)
    assert set(planted) <= set(row["read"])
    for source in in_vitro.SOURCES:
        assert row[source]["place"] == 1
    text = docs.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| PUM_TOY | detector | **UGUAA**, **GUAAA**, **UAAAU**, **AAAUA** | 4.20 |" in text
    assert "| all | 1 (1) |" in text
    assert (docs.parent / "images" / "in_vitro.png").stat().st_size > 10_000
