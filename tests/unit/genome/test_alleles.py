"""Canonical alleles: however a change is written it comes out the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripe_lib.genome.alleles import REASONS, canonical_alleles, trim
from ripe_lib.genome.encoding import BASES
from ripe_lib.genome.vcf import VcfRecords
from tests.support.toy_genome import ToyGenome, records


def changes(found):
    """(start, removed, inserted letters) of every allele."""
    letters = np.array(list(BASES + "N"))
    return [
        (int(s), int(r), "".join(letters[codes[:n]]))
        for s, r, n, codes in zip(found.start, found.n_removed, found.n_inserted, found.inserted, strict=True)
    ]


GENOME = ToyGenome(c="ACGTTTTTGCACACACATGNNacgtRY")


@pytest.mark.parametrize(
    ("pos", "ref", "alt", "change"),
    [
        (1, "A", "G", (0, 1, "G")),
        (1, "a", "g", (0, 1, "G")),
        (1, "A", "A", (0, 0, "")),
        (1, "ACG", "ACG", (0, 0, "")),
        (1, "ACG", "AGG", (1, 1, "G")),
        (1, "ACG", "TCT", (0, 3, "TCT")),
        (2, "CG", "TA", (1, 2, "TA")),
        (3, "G", "GA", (3, 0, "A")),
        (3, "G", "GT", (3, 0, "T")),
        (8, "T", "TT", (3, 0, "T")),  # moved to the left end of the run of T
        (7, "TT", "T", (3, 1, "")),
        (4, "TTTTT", "TTT", (3, 2, "")),
        (13, "ACA", "A", (9, 2, "")),  # one unit of (CA)n: CA at 9
        (15, "ACA", "ACACA", (9, 0, "CA")),
        (1, "ACG", "A", (1, 2, "")),
        (1, "ACG", "GT", (0, 3, "GT")),
        (1, "A", "ACCC", (1, 0, "CCC")),
        (1, "A", "CCCA", (0, 0, "CCC")),  # before the first base
        (1, "AC", "C", (0, 1, "")),
        (5, "T", "N", (4, 1, "N")),
        (20, "A", "C", (19, 1, "C")),  # the genome has N there: nothing to disagree with
    ],
)
def test_forms(pos, ref, alt, change):
    found = canonical_alleles(records(("c", pos, ref, alt)), GENOME)
    assert found.status[0] == "ok"
    assert changes(found)[0] == change


@pytest.mark.parametrize(
    ("chrom", "pos", "ref", "alt", "reason"),
    [
        ("c", 1, "A", ".", "missing_alt"),
        ("c", 1, "A", "", "missing_alt"),
        ("c", 1, "A", "*", "star_allele"),
        ("c", 1, "A", "<DEL>", "symbolic_allele"),
        ("c", 1, "A", "A[c:5[", "breakend"),
        ("c", 1, "A", "]c:5]A", "breakend"),
        ("c", 1, "A", ".A", "breakend"),
        ("c", 1, "A", "A.", "breakend"),
        ("c", 1, "A", "A!", "invalid_allele"),
        ("c", 1, "A", "é", "invalid_allele"),
        ("c", 1, "", "A", "invalid_allele"),
        ("c", 1, ".", "A", "invalid_allele"),
        ("d", 1, "A", "G", "unknown_contig"),
        ("c", 0, "A", "G", "off_contig"),
        ("c", 28, "A", "G", "off_contig"),
        ("c", 27, "YA", "Y", "off_contig"),
        ("c", 2, "A", "G", "ref_mismatch"),
        ("c", 22, "U", "C", "ref_mismatch"),
        ("c", 1, "ACC", "A", "ref_mismatch"),
    ],
)
def test_reasons(chrom, pos, ref, alt, reason):
    assert reason in REASONS
    assert list(canonical_alleles(records((chrom, pos, ref, alt)), GENOME).status) == [reason]


def test_multi_allelic_records_become_one_entry_per_alt():
    found = canonical_alleles(records(("c", 1, "A", "G,*,AT"), ("c", 2, "C", "T"), ("c", 3, "G", ".")), GENOME)
    assert list(found.record) == [0, 0, 0, 1, 2]
    assert found.alt == ["G", "*", "AT", "T", "."]
    assert list(found.status) == ["ok", "star_allele", "ok", "ok", "missing_alt"]


def test_no_records():
    assert len(canonical_alleles(VcfRecords([], np.zeros(0, np.int64), [], [], [], []), GENOME)) == 0


def test_a_repeat_longer_than_the_context():
    genome = ToyGenome(c="G" + "T" * 3000 + "C")
    found = canonical_alleles(records(("c", 3000, "T", "TT"), ("c", 2999, "TTT", "T")), genome)
    assert changes(found) == [(1, 0, "T"), (1, 2, "")]
    unit = ToyGenome(c="G" + "ACT" * 900 + "ACG")
    found = canonical_alleles(records(("c", 2701, "T", "TACT")), unit)
    assert changes(found) == [(1, 0, "ACT")]


def test_long_insertions_are_cut_but_counted():
    found = canonical_alleles(records(("c", 1, "A", "A" + "CG" * 300)), GENOME, max_inserted=50)
    assert found.n_inserted[0] == 600
    assert found.inserted.shape == (1, 50)


def mutated(sequence, start, removed, new):
    return sequence[:start] + new + sequence[start + removed :]


@st.composite
def written_changes(draw):
    """A genome of repeats, a change, and another way to write the same change."""
    genome = draw(st.text("ACGT", min_size=1, max_size=4)) * draw(st.integers(1, 8))
    genome += draw(st.text("ACGT", max_size=20))
    start = draw(st.integers(0, len(genome) - 1))
    end = draw(st.integers(start, min(len(genome), start + 6)))
    new = draw(st.text("ACGT", max_size=6))
    result = genome[:start] + new + genome[end:]
    # Any stretch that holds all differences is a valid way to write it.
    left = draw(st.integers(0, start))
    right = draw(st.integers(end, len(genome)))
    return genome, (start, end), (left, right), result


@settings(max_examples=120)
@given(written_changes())
def test_all_ways_to_write_a_change_are_one(case):
    genome, (start, end), (left, right), result = case
    toy = ToyGenome(c=genome)
    forms = []
    for a, b in ((start, end), (left, right), (0, len(genome))):
        ref, alt = genome[a:b], result[a : len(result) - (len(genome) - b)]
        if ref and alt:
            forms.append(("c", a + 1, ref, alt))
    if not forms:
        return
    found = canonical_alleles(records(*forms), toy)
    assert set(found.status) == {"ok"}
    if genome == result:
        assert not found.n_removed.any()
        assert not found.n_inserted.any()
        return
    assert len(set(changes(found))) == 1
    assert mutated(genome, *changes(found)[0]) == result
    # Leftmost: no equivalent change of the same size starts before it.
    at, removed, new = changes(found)[0]
    if bool(removed) != bool(new):
        for earlier in range(at):
            size = len(new)
            assert mutated(genome, earlier, removed, result[earlier : earlier + size]) != result


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_trim_keeps_the_change(old, new):
    at, short_old, short_new = trim(10, old, new)
    before = old[: at - 10]
    after = old[at - 10 + len(short_old) :]
    assert before + short_old + after == old
    assert before + short_new + after == new
    assert not (short_old and short_new) or (short_old[0] != short_new[0] and short_old[-1] != short_new[-1])
