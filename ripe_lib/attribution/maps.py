"""What attribution methods return, and how maps are read: letters, known bases, completeness."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.genome.encoding import OneHot

# A completeness gap is reported when it passes both: this much of the output's change, and this much in itself.
GAP_FRACTION = 0.05
GAP_FLOOR = 0.01


class CompletenessWarning(UserWarning):
    """The attributions of some maps do not add up to the change of the output."""


@contextmanager
def gaps_ignored() -> Iterator[None]:
    """Do not warn of maps that do not add up: for those who say it otherwise, or average over many maps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompletenessWarning)
        yield


class Attributions(NamedTuple):
    """Attribution maps; with a list of K tasks every array has an axis K after the first.

    Attributes
    ----------
    seq : float32 array (B, L, 4)
        Channels A C G U. Positive values raise the output.
    region : float32 array (B, R, 4) or None
        Channels intron, CDS, 3'UTR, 5'UTR. None if the model or the method has no region part.
    landmarks : float32 array (B, 8, K) or None
        What the distance to every landmark adds, spread over its spline basis: sums over K are what is shown. None if
        the model or the method has no such part.
    gap : float64 array (B,)
        Sum of all maps minus (output - output of the baseline), in units of the output. NaN for methods that do not
        claim to add up.
    """

    seq: NDArray[np.float32]
    region: NDArray[np.float32] | None
    landmarks: NDArray[np.float32] | None
    gap: NDArray[np.float64]

    def for_task(self, index: int) -> Attributions:
        """Return the maps of one of several tasks (its place in the list that was asked for)."""
        return Attributions._make(None if one is None else one[:, index] for one in self)

    def changed(self, change: Callable[[str, NDArray[np.float32]], NDArray[np.float32]]) -> Attributions:
        """Return others: what ``change(input's name, map)`` makes of the maps there are."""
        maps = {name: one for name, one in self._asdict().items() if name != "gap" and one is not None}
        return Attributions(**{**self._asdict(), **{name: change(name, one) for name, one in maps.items()}})

    def total(self) -> NDArray[np.float64]:
        """Return the sum of all maps of every site (and task)."""
        maps = [one for one in (self.seq, self.region, self.landmarks) if one is not None]
        return np.sum([one.sum(axis=(-2, -1), dtype=np.float64) for one in maps], axis=0)


def letter_scores(seq_map: NDArray[np.floating], seq: OneHot) -> NDArray[np.float32]:
    """Return one value per position (..., L): the map at the letter that is there, 0 where the base is unknown.

    ``seq_map`` is :attr:`Attributions.seq`, ``seq`` (..., L, 4) the one-hot windows, broadcast against it.
    """
    return np.where(known_bases(seq), (seq_map * (seq > 0.99)).sum(axis=-1), 0.0).astype(np.float32)


def ism_letters(changes: NDArray[np.floating], seq: OneHot) -> NDArray[np.float32]:
    """Return one importance per position (..., L): minus the mean change of its substitutions.

    Positive where the base raises the output; 0 where it is unknown. ``changes`` (..., L, 4) are as
    :func:`ripe_lib.attribution.compute.ism` gives them, ``seq`` the one-hot windows.
    """
    return np.where(known_bases(seq), -changes.sum(axis=-1) / 3, 0.0).astype(np.float32)


def known_bases(seq: OneHot) -> NDArray[np.bool_]:
    """Return (..., L): whether a position holds a letter (not N, which is 0.25 in each channel)."""
    return seq.max(axis=-1) > 0.99


def is_gap_large(gap: NDArray[np.float64], change: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where a completeness gap passes the stated bound."""
    return np.abs(gap) > np.maximum(GAP_FRACTION * np.abs(change), GAP_FLOOR)


@dataclass
class GapCount:
    """How well maps add up: those that have a gap, those past the stated bound, the largest, in units of the output."""

    n_maps: int = 0
    n_large: int = 0
    largest: float = 0.0

    def add(self, maps: Attributions) -> None:
        """Count maps; those without a gap (NaN) are passed over."""
        gap, total = maps.gap, maps.total()
        known = np.isfinite(gap)
        self.n_maps += int(known.sum())
        self.n_large += int(is_gap_large(gap[known], (total - gap)[known]).sum())
        self.largest = max(self.largest, float(np.abs(gap[known]).max(initial=0.0)))

    def sentence(self) -> str:
        """Say it in words."""
        return (
            f"{self.n_large} of {self.n_maps} attribution maps miss the change of the output by more than "
            f"{GAP_FRACTION:.0%} of it and {GAP_FLOOR} (largest gap {self.largest:.3g})"
        )
