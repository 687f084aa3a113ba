"""What a difference means: its class, and where it stands among differences of ordinary variants."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.network.catalogue.locate import model_arguments
from ripe_lib.network.load import Model

FIELDS = ("ref", "alt", "delta", "delta_logit", "delta_noregion", "class", "percentile")
CLASSES = ("none", "lost", "gained", "weakened", "strengthened")
BACKGROUND_FILE = "variant_background.tsv"
BACKGROUND_FORMAT = "deepripe-variant-background-1"
_CLASS_NAMES = np.array([*CLASSES, ""], dtype=object)


def class_codes(
    ref: NDArray[np.float32], alt: NDArray[np.float32], delta_threshold: float = 0.1, site_threshold: float = 0.5
) -> NDArray[np.float32]:
    """Return indices into :data:`CLASSES` (as float, NaN where a probability is NaN).

    ``none``: ``|alt - ref| <= delta_threshold`` (the paper looks at > 0.1). Otherwise ``lost`` or ``gained`` if only
    one of the alleles is a site (probability > ``site_threshold``), else ``weakened`` or ``strengthened``.

    Parameters
    ----------
    ref, alt : float32 array
        Probabilities of the two alleles, of one shape.
    delta_threshold, site_threshold : float
    """
    delta = alt - ref
    was, is_now = ref > site_threshold, alt > site_threshold
    codes = np.where(delta < 0, np.where(was & ~is_now, 1, 3), np.where(~was & is_now, 2, 4)).astype(np.float32)
    codes[np.abs(delta) <= delta_threshold] = 0
    codes[np.isnan(delta)] = np.nan
    return codes


def class_names(codes: NDArray[np.float32]) -> NDArray[np.object_]:
    """Return the names for :func:`class_codes`; empty where NaN."""
    return _CLASS_NAMES[np.where(np.isnan(codes), len(CLASSES), codes).astype(np.intp)]


def load_background(model: Model) -> tuple[NDArray[np.float64], NDArray[np.float32]] | None:
    """Return (percentages (Q,), quantiles of |delta| (T, Q)) shipped with a model, or None if there are none.

    The table ``variant_background.tsv`` has one comment line that names the weights, and the columns ``task`` and one
    per percentage (``0``, ``5``, ..., ``99.9``, ``100``).

    A table that is damaged, or of other weights, is refused.
    """
    import pandas as pd

    if model.directory is None or not (path := model.directory / BACKGROUND_FILE).is_file():
        return None
    again = f"Make it again with: python -m training.publishing.variant_background {model.name} DATASET"
    with path.open(encoding="utf-8", errors="replace") as file:
        said = file.readline().split()
    if said[1:2] != [BACKGROUND_FORMAT]:
        raise InputError(f"{path}: expected a table of format {BACKGROUND_FORMAT}. {again}")
    if f"weights={model_arguments(model.directory)['sha256']}" not in said:
        raise InputError(f"{path}: expected the background of these weights, got that of others. {again}")
    try:
        table = pd.read_csv(path, sep="\t", skiprows=1, dtype={"task": str}).set_index("task")
        percentages = np.array([float(name) for name in table.columns])
        quantiles = table.loc[model.tasks].to_numpy(np.float32)
    except (ValueError, KeyError) as error:
        raise InputError(
            f"{path}: expected one row per task and one column per percentage ({error}). {again}"
        ) from error
    return percentages, quantiles


def percentiles(
    delta: NDArray[np.float32], background: tuple[NDArray[np.float64], NDArray[np.float32]] | None
) -> NDArray[np.float32]:
    """Return the share (in percent) of background SNVs with a smaller |delta|, per task; NaN without a background."""
    result = np.full(delta.shape, np.nan, dtype=np.float32)
    if background is not None:
        percentages, quantiles = background
        for task in range(delta.shape[1]):
            result[:, task] = np.interp(np.abs(delta[:, task]), quantiles[task], percentages)
    return result
