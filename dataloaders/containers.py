"""The containers Kipoi hands inputs in: a dict, a list, or one array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.network.inputs import INPUT_NAMES


def like_input(x: Any, arrays: list[NDArray[np.float32]]) -> Any:
    """Put one array per network input into the container ``x`` came in."""
    by_name = dict(zip(INPUT_NAMES, arrays, strict=False))
    if isinstance(x, Mapping):
        return {name: by_name.get(name, np.zeros(np.shape(x[name]), np.float32)) for name in x}
    if isinstance(x, list | tuple):
        names = INPUT_NAMES[: len(x)]
        return [by_name.get(name, np.zeros(np.shape(one), np.float32)) for name, one in zip(names, x, strict=True)]
    return by_name["seq"]
