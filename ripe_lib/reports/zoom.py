"""Panels along an RNA that a reader can zoom: what a page holds of them; ``assets/zoom.js`` draws them with uPlot."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ripe_lib.genome.encoding import REGION_TYPES, Codes, decode_sequence
from ripe_lib.reports.drawing import LETTER_COLORS, MARK_COLOR, REGION_COLORS, REGION_LABELS, runs

_STEPS = 1000  # values are whole thousandths of the largest: four characters a base
TRACK_COLOR = "#3d5a80"


class Zoom:
    """Panels over the same bases, one below the other, 5' on the left.

    Parameters
    ----------
    seq : uint8 codes (n,)
        Bases, RNA sense.
    first : int
        Position of the first base, as the label counts.
    minus : bool
        Positions descend.
    label : str
        Of the x axis.
    shown : (start, stop), optional
        Indices shown at first; default: all.
    """

    def __init__(
        self, seq: Codes, *, first: int, minus: bool = False, label: str, shown: tuple[int, int] | None = None
    ) -> None:
        self._n = len(seq)
        self._panels: list[dict[str, Any]] = []
        self._data: dict[str, Any] = {
            "sequence": decode_sequence(seq, rna=True),
            "first": first,
            "direction": -1 if minus else 1,
            "label": label,
            "shown": shown and [shown[0] - 0.5, shown[1] - 0.5],
            "colors": LETTER_COLORS,
            "trackColor": TRACK_COLOR,
            "spanColor": f"{MARK_COLOR}99",
            "panels": self._panels,
        }

    def _add(self, kind: str, name: str, values: NDArray[Any], at: int = 0, **more: Any) -> None:
        start, stop = max(0, at), min(self._n, at + len(values))  # windows may reach beyond the stretch
        values = np.nan_to_num(np.asarray(values, dtype=float)[start - at : max(stop, start) - at])
        unit = float(np.abs(values).max(initial=0)) / _STEPS or 1.0
        whole = np.rint(values / unit).astype(int).tolist()
        self._panels.append({"kind": kind, "name": name, "at": start, "unit": unit, "values": whole, **more})

    def add_track(self, name: str, scores: ArrayLike, *, threshold: float, spans: Iterable[tuple[int, int]]) -> None:
        """Add probabilities (n,) with a threshold and shaded stretches, indices ``[start, stop)``.

        Parameters
        ----------
        name : str
        scores : array (n,)
        threshold : float
        spans : iterable of (start, stop)
        """
        marks = [[int(start), int(stop)] for start, stop in spans]
        self._add("track", name, np.asarray(scores), low=0, high=1, threshold=threshold, spans=marks)

    def add_letters(
        self,
        name: str,
        heights: ArrayLike,
        *,
        at: int = 0,
        codes: Codes | None = None,
        limits: tuple[float, float],
        spans: Iterable[tuple[int, int]] = (),
    ) -> None:
        """Add letters whose heights are values.

        Parameters
        ----------
        name : str
        heights : array (L,)
        at : int
            Index of the first of them.
        codes : uint8 (n,), optional
            Bases of this panel where they are not those of the stretch (another allele).
        limits : (low, high)
            Of the y axis.
        spans : iterable of (start, stop)
            Shaded indices.
        """
        marks = [[int(start), int(stop)] for start, stop in spans]
        own = {} if codes is None else {"sequence": decode_sequence(codes, rna=True)}
        self._add("letters", name, np.asarray(heights), at, low=limits[0], high=limits[1], spans=marks, **own)

    def add_regions(self, codes: Codes) -> None:
        """Add the region types (n,)."""
        names = [*REGION_TYPES, "none"]
        found = [[a, b, REGION_COLORS[names[code]], REGION_LABELS[names[code]]] for a, b, code in runs(codes)]
        self._panels.append({"kind": "regions", "name": "region type", "values": [], "runs": found})

    def to_json(self) -> str:
        """Return the data, safe inside a ``script`` element."""
        return json.dumps(self._data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
