"""Letters, codes, one-hot arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import (
    BASE_TABLE,
    UNKNOWN,
    codes_from_ascii,
    codes_from_one_hot,
    decode_region,
    decode_sequence,
    encode_region,
    encode_sequence,
    one_hot,
    place,
    reverse_complement,
)

SEQUENCES = st.text("ACGTN", max_size=60)


def test_channels_are_a_c_g_t():
    np.testing.assert_array_equal(one_hot(encode_sequence("ACGT")), np.eye(4, dtype=np.float32))
    assert one_hot(encode_sequence("ACGT")).dtype == np.float32


def test_region_channels_are_intron_cds_three_five():
    np.testing.assert_array_equal(one_hot(encode_region("ic35")), np.eye(4, dtype=np.float32))


@pytest.mark.parametrize("letter", "NRYSWKMBDHVnryswkmbdhv")
def test_ambiguous_letters_are_a_quarter_each(letter):
    np.testing.assert_array_equal(one_hot(encode_sequence(letter)), np.full((1, 4), 0.25, np.float32))


def test_case_and_u():
    assert encode_sequence("acguACGT").tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert encode_sequence(b"uU").tolist() == [3, 3]


@pytest.mark.parametrize(
    ("text", "where"), [("AC*T", 3), ("é", 1), ("ACG T", 4), ("1", 1), ("AC-T", 3), (".", 1), ("AX", 2), ("AAx", 3)]
)
def test_other_characters_are_refused_by_position(text, where):
    with pytest.raises(InputError, match=rf"my RNA: expected A C G T U or an IUPAC .* at position {where}\."):
        encode_sequence(text, "my RNA")


def test_region_letters_that_are_not_known():
    with pytest.raises(InputError, match=r"region types: expected one of i c 3 5 N, got 'x' at position 2"):
        encode_region("ix")


def test_every_byte_is_a_code_or_refused():
    for value in range(256):
        byte = np.array([value], dtype=np.uint8)
        if BASE_TABLE[value] <= UNKNOWN:
            assert codes_from_ascii(byte, BASE_TABLE, "x")[0] == BASE_TABLE[value]
        else:
            with pytest.raises(InputError, match="position 1"):
                codes_from_ascii(byte, BASE_TABLE, "x")


@given(SEQUENCES)
def test_decoding_inverts_encoding(text):
    codes = encode_sequence(text)
    assert decode_sequence(codes) == text
    assert decode_sequence(codes, rna=True) == text.replace("T", "U")
    np.testing.assert_array_equal(codes_from_one_hot(one_hot(codes)), codes)


@given(SEQUENCES)
def test_reverse_complement_twice_is_nothing(text):
    codes = encode_sequence(text)
    np.testing.assert_array_equal(reverse_complement(reverse_complement(codes)), codes)
    slow = "".join({"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}[base] for base in reversed(text))
    assert decode_sequence(reverse_complement(codes)) == slow


def test_reverse_complement_is_along_the_last_axis():
    codes = np.stack([encode_sequence("AAC"), encode_sequence("GTN")])
    assert [decode_sequence(row) for row in reverse_complement(codes)] == ["GTT", "NAC"]


@given(st.text("ic35N", max_size=30))
def test_region_letters_round_trip(text):
    assert decode_region(encode_region(text)) == text


@given(n=st.integers(0, 12), length=st.integers(1, 15), offset=st.integers(-20, 20))
def test_place_equals_the_slow_way(n, length, offset):
    codes = np.arange(n, dtype=np.uint8) % 4
    slow = [codes[i - offset] if 0 <= i - offset < n else UNKNOWN for i in range(length)]
    assert place(codes, length, offset).tolist() == slow
    assert place(codes[None], length, offset).tolist() == [slow]


def test_ready_windows_go_where_the_contract_says():
    window = place(np.zeros(101, dtype=np.uint8), 150, 24)
    assert (window != UNKNOWN).sum() == 101
    assert np.flatnonzero(window != UNKNOWN)[0] == 24
