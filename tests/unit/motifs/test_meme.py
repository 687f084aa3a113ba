"""MEME files: round trip, leniences, and one clear line for what is wrong."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.motifs.meme import MotifMatrix, information, iupac_consensus, meme_text, read_meme, write_meme

GOOD = """MEME version 4

ALPHABET= ACGU

Background letter frequencies (from uniform background):
A 0.25000 C 0.25000 G 0.25000 U 0.25000

MOTIF M1 QKI

letter-probability matrix: alength= 4 w= 2 nsites= 20 E= 0
  1.0 0.0 0.0 0.0
  0.0 0.5 0.0 0.5

URL http://example.org/M1

MOTIF M2
letter-probability matrix: alength= 4 w= 1
 0.25 0.25 0.25 0.25
"""


def written(tmp_path, text):
    path = tmp_path / "motifs.meme"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_identifiers_names_sites_and_rows(tmp_path):
    first, second = read_meme(written(tmp_path, GOOD))
    assert (first.identifier, first.name, first.n_sites) == ("M1", "QKI", 20)
    assert first.ppm.tolist() == [[1, 0, 0, 0], [0, 0.5, 0, 0.5]]
    assert (second.identifier, second.name, second.n_sites) == ("M2", "", 0)
    assert first.consensus == "AY"


def test_reads_gzip_and_windows_line_ends(tmp_path):
    path = tmp_path / "motifs.meme.gz"
    path.write_bytes(gzip.compress(GOOD.replace("\n", "\r\n").encode()))
    assert [len(m) for m in read_meme(path)] == [2, 1]


@settings(max_examples=40)
@given(data=st.data())
def test_round_trip(data, tmp_path_factory):
    n = data.draw(st.integers(0, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    motifs = [
        MotifMatrix(f"m{i}", f"P{i}", rng.dirichlet([0.3] * 4, rng.integers(1, 12)), float(rng.integers(0, 999)))
        for i in range(n)
    ]
    path = write_meme(tmp_path_factory.mktemp("meme") / "m.meme", motifs)
    again = read_meme(path)
    assert [(m.identifier, m.name, m.n_sites) for m in again] == [(m.identifier, m.name, m.n_sites) for m in motifs]
    for old, new in zip(motifs, again, strict=True):
        np.testing.assert_allclose(new.ppm, old.ppm, atol=2e-6)
        np.testing.assert_allclose(new.ppm.sum(axis=1), 1, atol=1e-12)


def test_an_empty_file_of_motifs_is_valid(tmp_path):
    assert read_meme(write_meme(tmp_path / "none.meme", [])) == []


def test_white_space_in_names_does_not_break_the_file(tmp_path):
    motif = MotifMatrix("a b", "c d", np.eye(4))
    assert [(m.identifier, m.name) for m in read_meme(written(tmp_path, meme_text([motif])))] == [("a_b", "c_d")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("MEME version 4", "hello"), r"motifs\.meme:1: expected a first line such as 'MEME version 4'"),
        (("ALPHABET= ACGU", "ALPHABET= ACGT"), r"motifs\.meme:3: expected motifs of RNA .*dna_as_rna=True"),
        (("ALPHABET= ACGU\n", "\n"), r"motifs\.meme:8: expected motifs of RNA .*no ALPHABET line"),
        (("ALPHABET= ACGU", "ALPHABET= ACDEFGH"), r"motifs\.meme:3: expected ALPHABET= ACGU, got 'ACDEFGH'"),
        (("ALPHABET= ACGU", 'ALPHABET "RNA"'), r"motifs\.meme:3: expected 'END ALPHABET'"),
        (("w= 2", "w= 3"), r"motifs\.meme:13: expected 3 rows \(w= 3\) of probabilities for motif 'M1', got 2"),
        (("w= 2", "w= two"), r"motifs\.meme:10: expected numbers in 'letter-probability matrix"),
        (("alength= 4 w= 2", "alength= 20 w= 2"), r"motifs\.meme:10: expected alength= 4, got '20'"),
        (("1.0 0.0 0.0 0.0", "1.0 0.0 0.0"), r"motifs\.meme:11: expected 4 probabilities that add up to 1, got"),
        (("1.0 0.0 0.0 0.0", "3.0 0.0 0.0 0.0"), r"motifs\.meme:11: expected 4 probabilities that add up to 1"),
        (("1.0 0.0 0.0 0.0", "nan 0.0 0.0 0.0"), r"motifs\.meme:11: expected 4 probabilities that add up to 1"),
        (("0.0 0.5 0.0 0.5", "0.0 1.5 0.0 -0.5"), r"motifs\.meme:12: expected 4 probabilities that add up to 1"),
        (("0.0 0.5 0.0 0.5", "0.0 0.5x 0.0 0.5"), r"motifs\.meme:12: expected 4 probabilities that add up to 1"),
        (("MOTIF M2", "MOTIF M1"), r"motifs\.meme:16: expected every motif once, got 'M1' again \(first in line 8\)"),
        (("MOTIF M2", "MOTIF"), r"motifs\.meme:16: expected 'MOTIF identifier \[name\]'"),
        (
            ("letter-probability matrix: alength= 4 w= 1", ""),
            r"motifs\.meme:16: expected a 'letter-probability matrix'",
        ),
    ],
)
def test_damage_is_named_by_file_and_line(tmp_path, change, message):
    text = GOOD.replace(*change)
    assert text != GOOD
    with pytest.raises(InputError, match=message) as caught:
        read_meme(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_dna_is_read_when_the_caller_says_so(tmp_path):
    path = written(tmp_path, GOOD.replace("ACGU", "ACGT"))
    assert [m.consensus for m in read_meme(path, dna_as_rna=True)] == ["AY", "N"]


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(MissingFileError, match="no such file"):
        read_meme(tmp_path / "nothing.meme")
    (tmp_path / "binary.meme").write_bytes(b"\x89HDF\r\n\x1a\n\xff\xfe")
    with pytest.raises(InputError, match="expected a text file in the MEME format"):
        read_meme(tmp_path / "binary.meme")


def test_a_custom_rna_alphabet_is_understood(tmp_path):
    custom = 'ALPHABET "RNA" RNA-LIKE\nA "Adenine" 8510A8\nC "C" A8\nG "G" B8\nU "U" C8\nN = ACGU\nEND ALPHABET'
    assert len(read_meme(written(tmp_path, GOOD.replace("ALPHABET= ACGU", custom)))) == 2


@pytest.mark.parametrize(
    ("row", "letter"),
    [
        ([10, 0, 0, 0], "A"),
        ([0, 0, 0, 3], "U"),
        ([6, 4, 0, 0], "M"),
        ([0, 5, 0, 5], "Y"),
        ([3, 3, 0, 3], "H"),
        ([1, 1, 1, 1], "N"),
        ([0, 0, 0, 0], "N"),
    ],
)
def test_consensus_letters(row, letter):
    assert iupac_consensus([row]) == letter


def test_information_of_certain_and_of_random_positions():
    np.testing.assert_allclose(information([[1, 0, 0, 0], [0.25] * 4, [0.5, 0, 0.5, 0]]), [2, 0, 1])


def test_the_motifs_of_rnacompete(shared_data):
    motifs = read_meme(shared_data / "reference" / "Ray2013_rbp_RNA.meme")
    assert len(motifs) == 102
    assert {m.identifier: m.consensus for m in motifs}["RNCMPT00047"].startswith("ACUAA")


def test_a_word_without_end_is_read_once(tmp_path):
    """Tried again from each letter, two million of them would take days."""
    path = tmp_path / "a.meme"
    motif = MotifMatrix("m", "P", np.full((2, 4), 0.25), n_sites=5)
    path.write_text(meme_text([motif]).replace("alength", f"{'x' * 2_000_000} alength"))
    assert [len(found) for found in read_meme(path)] == [2]
