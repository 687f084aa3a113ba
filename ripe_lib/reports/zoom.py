"""Panels along an RNA that a reader can zoom: what a page holds of them; ``assets/zoom.js`` draws them with uPlot."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ripe_lib.genome.encoding import REGION_TYPES, Codes, decode_sequence
from ripe_lib.reports.drawing import LETTER_COLORS, MARK_COLOR, REGION_COLORS, REGION_LABELS, runs

_STEPS = 1000  # values are whole thousandths of the largest: four characters a base
TRACK_COLOR = "#3d5a80"


class Zoom:
    """Panels over the same bases ``seq`` (n,), RNA sense, one below the other, 5' on the left.

    ``first`` is the position of the first base, as the ``label`` of the x axis counts; positions descend with
    ``minus``. ``shown`` are the indices ``[start, stop)`` shown at first; default: all.
    """

    def __init__(
        self, seq: Codes, *, first: int, minus: bool, label: str, shown: tuple[int, int] | None = None
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

    def _add(self, kind: str, name: str, values: ArrayLike, at: int = 0, **more: Any) -> None:
        heights = np.asarray(values, dtype=float)
        start, stop = max(0, at), min(self._n, at + len(heights))  # windows may reach beyond the stretch
        heights = np.nan_to_num(heights[start - at : max(stop, start) - at])
        unit = float(np.abs(heights).max(initial=0)) / _STEPS or 1.0
        whole = np.rint(heights / unit).astype(int).tolist()
        more["spans"] = [[int(first), int(last)] for first, last in more["spans"]]
        self._panels.append({"kind": kind, "name": name, "at": start, "unit": unit, "values": whole, **more})

    def add_track(self, name: str, scores: ArrayLike, *, threshold: float, spans: Iterable[tuple[int, int]]) -> None:
        """Add probabilities (n,) with a threshold and shaded stretches, indices ``[start, stop)``.

        Parameters
        ----------
        name, scores, threshold, spans
        """
        self._add("track", name, scores, low=0, high=1, threshold=threshold, spans=spans)

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
        """Add letters whose heights are values (L,).

        Parameters
        ----------
        name, heights, at
            ``at`` is the index of the first of them.
        codes : uint8 (n,), optional
            Bases of this panel where they are not those of the stretch (another allele).
        limits, spans
            Ends of the y axis, and shaded indices ``[start, stop)``.
        """
        own = {} if codes is None else {"sequence": decode_sequence(codes, rna=True)}
        self._add("letters", name, heights, at, low=limits[0], high=limits[1], spans=spans, **own)

    def add_regions(self, codes: Codes) -> None:
        """Add the region types (n,)."""
        names = [*REGION_TYPES, "none"]
        found = [[a, b, REGION_COLORS[names[code]], REGION_LABELS[names[code]]] for a, b, code in runs(codes)]
        self._panels.append({"kind": "regions", "name": "region type", "values": [], "runs": found})

    def to_json(self) -> str:
        """Return the data, safe inside a ``script`` element."""
        return json.dumps(self._data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
