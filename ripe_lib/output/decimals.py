"""Many numbers as text with six decimals: most of the bytes of an output file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DECIMALS = 6
_LARGEST = 1e12  # beyond, the scaled number does not fit 64 bits
_WIDEST = 22  # characters of a number: sign, 13 digits, point, decimals, separator


def decimal_rows(values: NDArray[np.float32], separator: str) -> list[str]:
    """Return each row of (n, m) as one text: ``%.6f``, but ``0`` without sign and NaN empty."""
    n_rows = len(values)
    if not values.size:
        return [""] * n_rows
    try:
        from ripe_lib.output.decimal_loop import write_decimals
    except ImportError:  # no numba
        return plain_decimal_rows(values, separator)
    if np.abs(values, where=np.isfinite(values), out=np.zeros_like(values)).max(initial=0) >= _LARGEST:
        return plain_decimal_rows(values, separator)
    room = np.empty(values.size * _WIDEST, dtype=np.uint8)
    ends = np.empty(n_rows, dtype=np.int64)
    n_bytes = write_decimals(np.ascontiguousarray(values), ord(separator), room, ends)
    text = room[:n_bytes].tobytes().decode("ascii")
    # A row ends with a separator that does not belong to it.
    begins = [0, *ends[:-1].tolist()]
    return [text[begin : end - 1] for begin, end in zip(begins, ends.tolist(), strict=True)]


def plain_decimal_rows(values: NDArray[np.float32], separator: str) -> list[str]:
    """Return the same, the slow and obvious way."""
    return [separator.join(map(_decimal, row)) for row in values.tolist()]


def _decimal(value: float) -> str:
    if np.isnan(value):
        return ""
    text = f"{value:.{DECIMALS}f}"
    return text[1:] if text == "-0.000000" else text
