"""The compiled loop of :mod:`ripe_lib.output.decimals`."""

from __future__ import annotations

import numpy as np

from ripe_lib.output.compiled import compiled

_MILLION = 1_000_000
# The digits of 0 .. 999.
_DIGITS = np.array([[ord(c) for c in f"{i:03d}"] for i in range(1000)], dtype=np.uint8)
_MINUS, _POINT, _ZERO = ord("-"), ord("."), ord("0")
_I, _N, _F = ord("i"), ord("n"), ord("f")


@compiled
def write_decimals(values, separator, out, ends):  # type: ignore[no-untyped-def]
    """Write numbers (n, m) with six decimals and a separator after each; NaN is empty.

    Parameters
    ----------
    values : float array (n, m)
    separator : int
        A byte.
    out : uint8 array
        Takes the text; long enough.
    ends : int64 array (n,)
        Takes where rows end.

    Returns
    -------
    int
        Bytes written.
    """
    at = 0
    for row in range(len(values)):
        for value in values[row]:
            if value == value:  # not NaN
                # A float32 times a million has at most 38 bits: the product is exact, and so is its rounding.
                scaled = np.rint(abs(np.float64(value)) * _MILLION)
                if value < 0 and scaled > 0:
                    out[at] = _MINUS
                    at += 1
                if scaled > 1e18:
                    out[at], out[at + 1], out[at + 2] = _I, _N, _F
                    at += 3
                else:
                    number = np.int64(scaled)
                    whole = number // _MILLION
                    small = number - whole * _MILLION
                    if whole >= 10:
                        width = 1
                        rest = whole // 10
                        while rest:
                            width += 1
                            rest //= 10
                        for place in range(at + width - 1, at, -1):
                            out[place] = _ZERO + whole % 10
                            whole //= 10
                        out[at] = _ZERO + whole
                        at += width
                    else:
                        out[at] = _ZERO + whole
                        at += 1
                    out[at] = _POINT
                    upper = small // 1000
                    lower = small - upper * 1000
                    for digit in range(3):
                        out[at + 1 + digit] = _DIGITS[upper, digit]
                        out[at + 4 + digit] = _DIGITS[lower, digit]
                    at += 7
            out[at] = separator
            at += 1
        ends[row] = at
    return at
