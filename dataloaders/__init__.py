"""Kipoi's side of DeepRiPe: what ``model.yaml`` names, over :mod:`ripe_lib`; no biology here.

The classes load on first use, so that ``import dataloaders`` needs neither Kipoi nor TensorFlow. Kipoi imports the
part before the first dot of ``defined_as`` and walks attributes from there: everything it names is one here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataloaders.intervals import RnaIntervals, RnaSequences, RnaSites
    from dataloaders.model import DeepRipeModel

_HOMES = {"DeepRipeModel": "model", "RnaIntervals": "intervals", "RnaSequences": "intervals", "RnaSites": "intervals"}

__all__ = ["DeepRipeModel", "RnaIntervals", "RnaSequences", "RnaSites"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"dataloaders.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'dataloaders' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
