"""DeepRiPe: which RNA-binding proteins bind a site, why, and what a variant changes.

The public names below load on first use, so that ``import ripe_lib`` needs neither NumPy nor TensorFlow.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ripe_lib._version import __version__
from ripe_lib.errors import RipeError

if TYPE_CHECKING:
    from ripe_lib.attribution import Attributions, integrated_gradients
    from ripe_lib.catalogue import list_models
    from ripe_lib.evaluate import evaluate
    from ripe_lib.models import Model, load_model
    from ripe_lib.motifs import Motif, find_motifs
    from ripe_lib.predict import predict
    from ripe_lib.spec import ModelSpec
    from ripe_lib.variants import score_variants
    from ripe_lib.windows import Windows, make_windows

_HOMES = {
    "Attributions": "attribution",
    "Model": "models",
    "ModelSpec": "spec",
    "Motif": "motifs",
    "Windows": "windows",
    "evaluate": "evaluate",
    "find_motifs": "motifs",
    "integrated_gradients": "attribution",
    "list_models": "catalogue",
    "load_model": "models",
    "make_windows": "windows",
    "predict": "predict",
    "score_variants": "variants",
}

__all__ = [
    "Attributions",
    "Model",
    "ModelSpec",
    "Motif",
    "RipeError",
    "Windows",
    "__version__",
    "evaluate",
    "find_motifs",
    "integrated_gradients",
    "list_models",
    "load_model",
    "make_windows",
    "predict",
    "score_variants",
]


class _Package(ModuleType):
    """Keeps ``ripe_lib.predict`` the function: importing the submodule of that name would bind the module instead."""

    def __setattr__(self, name: str, value: Any) -> None:
        if _HOMES.get(name) == name and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"ripe_lib.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'ripe_lib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
