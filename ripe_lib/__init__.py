"""DeepRiPe: which RNA-binding proteins bind a site, why, and what a variant changes.

The public names below load on first use, so that ``import ripe_lib`` needs neither NumPy nor TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ripe_lib._version import __version__
from ripe_lib.errors import RipeError

if TYPE_CHECKING:
    from ripe_lib.attribution.compute import integrated_gradients as integrated_gradients
    from ripe_lib.attribution.maps import Attributions as Attributions
    from ripe_lib.evaluation.evaluate import evaluate as evaluate
    from ripe_lib.genome.windows import Windows as Windows
    from ripe_lib.genome.windows import make_windows as make_windows
    from ripe_lib.motifs.find import Motif as Motif
    from ripe_lib.motifs.find import find_motifs as find_motifs
    from ripe_lib.network.catalogue import list_models as list_models
    from ripe_lib.network.load import Model as Model
    from ripe_lib.network.load import load_model as load_model
    from ripe_lib.network.predict import predict as predict
    from ripe_lib.network.spec import ModelSpec as ModelSpec
    from ripe_lib.variants.score import score_variants as score_variants

_HOMES = {
    "Attributions": "attribution.maps",
    "Model": "network.load",
    "ModelSpec": "network.spec",
    "Motif": "motifs.find",
    "Windows": "genome.windows",
    "evaluate": "evaluation.evaluate",
    "find_motifs": "motifs.find",
    "integrated_gradients": "attribution.compute",
    "list_models": "network.catalogue",
    "load_model": "network.load",
    "make_windows": "genome.windows",
    "predict": "network.predict",
    "score_variants": "variants.score",
}
__all__ = ["RipeError", "__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"ripe_lib.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'ripe_lib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
