"""Loops compiled by numba."""

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first use and keep the code on disk, where there is a place for it.

    What is kept goes by the file of the function alone: after a change here, remove ``__pycache__`` of its callers.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"nsz", "contract"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return numba.njit(**options)(function)
