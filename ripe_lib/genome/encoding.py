"""Letters <-> codes <-> one-hot arrays; the only owner of the channel orders.

Sequences and region types travel through the library as one byte per position ("codes") and become
float32 one-hot arrays only at the door of a network.

======  ============  =======================
code    base          region type (letter)
======  ============  =======================
0       A             intron (``i``)
1       C             CDS (``c``)
2       G             3'UTR (``3``)
3       T or U        5'UTR (``5``)
4       unknown (N)   no information (``N``)
======  ============  =======================

The unknown code is 0.25 in each of the four channels (paper: "N"). IUPAC ambiguity letters are unknown;
every other character is refused by name and position.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError

Codes = NDArray[np.uint8]
OneHot = NDArray[np.float32]

BASES = "ACGT"
RNA_BASES = "ACGU"
REGION_TYPES = ("intron", "CDS", "3UTR", "5UTR")
REGION_LETTERS = "ic35"
UNKNOWN = 4

_INVALID = 255


def _table(letters: str, unknown: str) -> NDArray[np.uint8]:
    table = np.full(256, _INVALID, dtype=np.uint8)
    for code, letter in [*enumerate(letters), *((UNKNOWN, letter) for letter in unknown)]:
        table[[ord(letter), ord(letter.lower())]] = code
    return table


BASE_TABLE = _table(BASES, "NRYSWKMBDHV")
BASE_TABLE[[ord("U"), ord("u")]] = BASES.index("T")
REGION_TABLE = _table(REGION_LETTERS, "N")

# Row 4 is what "unknown" looks like to the network.
ONE_HOT_ROWS = np.vstack([np.eye(4), np.full((1, 4), 0.25)]).astype(np.float32)
COMPLEMENT = np.array([3, 2, 1, 0, UNKNOWN], dtype=np.uint8)  # of codes


def codes_from_ascii(ascii_bytes: NDArray[np.uint8], table: NDArray[np.uint8], where: str) -> Codes:
    """Translate characters into codes; the first that the table does not know is refused with its 1-based position.

    Parameters
    ----------
    ascii_bytes : uint8 array
        Of any shape.
    table : uint8 array (256,)
        :data:`BASE_TABLE` or :data:`REGION_TABLE`.
    where : str
        What is being read, for the message.
    """
    codes = table[ascii_bytes]
    if codes.size and codes.max() == _INVALID:
        flat = int(np.argmax(codes.ravel() == _INVALID))
        character = chr(int(np.ravel(ascii_bytes)[flat]))
        allowed = "A C G T U or an IUPAC letter" if table is BASE_TABLE else "one of i c 3 5 N"
        raise InputError(
            f"{where}: expected {allowed}, got {character!r} at position {flat + 1}. Check that this is the right file."
        )
    return codes


def encode_sequence(sequence: str | bytes, where: str = "sequence") -> Codes:
    """Return base codes (L,) uint8 of one sequence; lower case, U and IUPAC letters are understood."""
    return codes_from_ascii(_ascii(sequence), BASE_TABLE, where)


def encode_region(letters: str | bytes, where: str = "region types") -> Codes:
    """Return region-type codes (L,) uint8 of letters ``i c 3 5 N``."""
    return codes_from_ascii(_ascii(letters), REGION_TABLE, where)


def _ascii(text: str | bytes) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode("latin-1", "replace") if isinstance(text, str) else text, dtype=np.uint8)


def decode_sequence(codes: Codes, *, rna: bool = False) -> str:
    """Return the letters of base codes (L,), with U instead of T when ``rna``."""
    alphabet = (RNA_BASES if rna else BASES) + "N"
    return np.frombuffer(alphabet.encode(), dtype=np.uint8)[codes].tobytes().decode()


def decode_region(codes: Codes) -> str:
    """Return the letters ``i c 3 5 N`` of region-type codes (L,)."""
    return np.frombuffer((REGION_LETTERS + "N").encode(), dtype=np.uint8)[codes].tobytes().decode()


def one_hot(codes: Codes) -> OneHot:
    """Return float32 (..., 4) for codes (...); the unknown code gives 0.25 in each channel."""
    return np.take(ONE_HOT_ROWS, codes, axis=0)


def codes_from_one_hot(array: OneHot) -> Codes:
    """Invert :func:`one_hot`: uint8 (...) for (..., 4); columns that are not one-hot are unknown."""
    codes = array.argmax(axis=-1).astype(np.uint8)
    codes[array.max(axis=-1) < 0.99] = UNKNOWN
    return codes


def reverse_complement(codes: Codes) -> Codes:
    """Reverse and complement base codes along the last axis."""
    return COMPLEMENT[codes[..., ::-1]]


def place(codes: Codes, length: int, offset: int) -> Codes:
    """Put codes into a window (..., length) of unknowns; what does not fit on either side is cut.

    Parameters
    ----------
    codes : uint8 array (..., n)
    length, offset : int
        Of the window, and of the first base in it, in nt; the offset may be negative. Ready 101-nt sequences go to
        offset 24 of 150 and 74 of 250.
    """
    window = np.full((*codes.shape[:-1], length), UNKNOWN, dtype=np.uint8)
    first = max(0, -offset)
    last = min(codes.shape[-1], length - offset)
    if last > first:
        window[..., offset + first : offset + last] = codes[..., first:last]
    return window


def place_ragged(
    letters: NDArray[np.uint8], lengths: NDArray[np.int64], offset: NDArray[np.int64], width: int
) -> Codes:
    """Put sequences of different lengths into windows (N, width) of unknowns; what does not fit on either side is cut.

    Parameters
    ----------
    letters : uint8 array
        The codes of all sequences, one after the other.
    lengths, offset : int64 array (N,)
        Of each sequence, and of its first base in its window, in nt.
    width : int
        Window length in nt.
    """
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    within = np.arange(width)[None, :] - offset[:, None]
    inside = (within >= 0) & (within < lengths[:, None])
    index = np.where(inside, within + first[:, None], 0)
    return np.where(inside, letters[index], np.uint8(UNKNOWN))
