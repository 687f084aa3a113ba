"""What networks are given, checked at the door: one-hot windows, or codes and distances."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError, ShapeMismatchError, check_known
from ripe_lib.genome.encoding import Codes, OneHot
from ripe_lib.genome.windows import CodeWindows
from ripe_lib.network.spec import N_LANDMARKS, ModelSpec

INPUT_NAMES = ("seq", "region", "landmarks")
OUTPUTS = ("probability", "logit")

Distances = NDArray[np.floating]


class LandmarkWarning(UserWarning):
    """A model with landmarks was given arrays without them."""


def checked_windows(spec: ModelSpec, windows: Any) -> tuple[OneHot, OneHot | None, OneHot | None]:
    """Return ``(seq, region or None, landmarks or None)`` as float32 arrays that fit the model.

    Warns
    -----
    LandmarkWarning
        If bare arrays have known region types, but no landmarks where the model takes them.
    """
    given = _unpack(windows)
    shapes = spec.input_shapes
    checked = {
        name: _checked_array(spec, name, given[name], shapes[name])
        for name in shapes
        if name == "seq" or given.get(name) is not None
    }
    _check_same_number(spec, checked)
    is_bare = not hasattr(windows, "seq")  # `make_windows` leaves out what no annotation was given for
    lacking = is_bare and spec.has_landmarks and "region" in checked and "landmarks" not in checked
    if lacking and checked["region"].max(initial=0) > 0.99:
        warnings.warn(
            f"model {spec.name}: expected distances to landmarks beside the region types, got none; they count as "
            "unknown. Make windows with: ripe_lib.make_windows(..., gtf_file=...)",
            LandmarkWarning,
            stacklevel=3,
        )
    return checked["seq"], checked.get("region"), checked.get("landmarks")


def checked_codes(spec: ModelSpec, seq_codes: Any, region_codes: Any, landmarks: Any = None) -> CodeWindows:
    """Return codes, and distances if there are any, as arrays that fit the model, or say which does not.

    Parameters as :func:`ripe_lib.network.predict.predict_codes`.
    """
    checked: dict[str, NDArray[Any]] = {"seq": _checked_code_array(spec, "seq codes", seq_codes, spec.sequence_length)}
    if region_codes is not None and spec.has_region:
        checked["region"] = _checked_code_array(spec, "region codes", region_codes, spec.region_length)
    if landmarks is not None and spec.has_landmarks:
        distances = np.asarray(landmarks, dtype=np.float64)
        if distances.ndim != 2 or distances.shape[1] != N_LANDMARKS:
            raise ShapeMismatchError(
                f"model {spec.name}: landmark distances: expected shape (B, {N_LANDMARKS}), got {distances.shape}."
            )
        checked["landmarks"] = distances
    _check_same_number(spec, checked)
    return CodeWindows(**checked)


def _unpack(windows: Any) -> dict[str, Any]:
    if isinstance(windows, Mapping):
        for key in windows:
            check_known("model input", str(key), INPUT_NAMES)
        if "seq" not in windows:
            raise InputError("model inputs: expected an array 'seq', got none.")
        return dict(windows)
    if hasattr(windows, "seq"):
        return {name: getattr(windows, name, None) for name in INPUT_NAMES}
    if isinstance(windows, list | tuple) and 1 <= len(windows) <= len(INPUT_NAMES):
        return dict(zip(INPUT_NAMES, windows, strict=False))
    return {"seq": windows}


def _checked_array(spec: ModelSpec, name: str, array: Any, shape: tuple[int, int]) -> OneHot:
    try:
        converted = np.asarray(array, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"model {spec.name}: input {name!r}: expected an array of numbers ({error}).") from error
    if converted.shape[1:] != shape:
        raise ShapeMismatchError(
            f"model {spec.name}: input {name!r}: expected shape (B, {shape[0]}, {shape[1]}), got {converted.shape}. "
            "Make windows with: ripe_lib.make_windows(..., spec=model.spec)"
        )
    # One pass without a temporary array; only a bad input pays for finding out where.
    with np.errstate(all="ignore"):
        total = converted.sum(dtype=np.float64)
    if not np.isfinite(total):
        rows = np.flatnonzero(~np.isfinite(converted).all(axis=(1, 2)))
        if rows.size:
            raise InputError(
                f"model {spec.name}: input {name!r}: expected finite numbers, got NaN or infinite values in "
                f"{rows.size} of {len(converted)} windows (first: row {rows[0]}). Unknown bases are 0.25 each."
            )
    return converted


def _checked_code_array(spec: ModelSpec, name: str, array: Any, length: int) -> Codes:
    converted = np.asarray(array)
    if converted.dtype != np.uint8:
        raise InputError(f"model {spec.name}: {name}: expected uint8 codes, got {converted.dtype}.")
    if converted.ndim != 2 or converted.shape[1] != length:
        raise ShapeMismatchError(f"model {spec.name}: {name}: expected shape (B, {length}), got {converted.shape}.")
    if converted.size and converted.max() > 4:
        raise InputError(f"model {spec.name}: {name}: expected codes 0 to 4, got {converted.max()}.")
    return converted


def _check_same_number(spec: ModelSpec, arrays: dict[str, NDArray[Any]]) -> None:
    if len({len(array) for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ShapeMismatchError(f"model {spec.name}: expected as many windows of every input, got {shapes}.")
