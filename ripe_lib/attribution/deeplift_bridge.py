"""DeepLIFT through the ``deeplift`` package, kept apart from the rest of the process.

The package (0.6.13) is written for TensorFlow 1. It works in a TensorFlow 2 process if its modules see
``tensorflow.compat.v1`` under the name ``tensorflow`` while they are imported, and if everything runs inside a graph
and session of its own. Both happen here, on a private copy of its modules: nothing else in the process notices, and a
copy that others imported (kipoi-interpret does) neither disturbs this one nor is changed.

Differences from the network: activations become layers of their own, so the targets are the logits
(``preact_output_0``); layer names get ``_0`` appended; dropout passes through.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from ripe_lib.attribution.gradients import Inputs
from ripe_lib.errors import InputError, MissingPackageError
from ripe_lib.network.load import Model
from ripe_lib.network.network import Network

_BATCH_SIZE = 64
_LOCK = threading.RLock()  # the package keeps its active target in the layers
_PRIVATE: dict[str, ModuleType] = {}
_LAYERS = ("InputLayer", "Conv1D", "MaxPooling1D", "Dropout", "Concatenate", "Flatten", "Dense", "Activation")


def deeplift_contributions(model: Model, inputs: Inputs, baseline: Inputs, task_index: int) -> Inputs:
    """Return DeepLIFT contributions of all inputs to a task's logit, for a network of the ``cnn`` kind.

    Their sum is close to logit - logit of the baseline; it is not exact where the baseline's activations differ within
    a max-pooling window, as they do at the border of the two branches (exact for sequence-only networks and a constant
    baseline).

    Parameters
    ----------
    model : Model
    inputs, baseline : Inputs
        Windows, and the reference.
    task_index : int
        Output column.
    """
    arrays = inputs.present()
    maps = [np.zeros(array.shape, dtype=np.float32) for array in arrays]
    with _LOCK:
        network = converted(model)
        if len(arrays[0]):
            with _inside(network.package, network.graph, network.session):
                found = network.contributions(
                    task_idx=task_index,
                    input_data_list=arrays,
                    input_references_list=baseline.present(),
                    batch_size=_BATCH_SIZE,
                    progress_update=None,
                )
            maps = [np.asarray(one, dtype=np.float32) for one in found]
    return Inputs(**dict(zip(model.spec.input_names, maps, strict=True)))


# --- the network in the package's terms ----------------------------------------------------------------------------


class Converted(NamedTuple):
    """A network converted by the package, with the graph and session it lives in."""

    graph: Any
    session: Any
    package: ModuleType
    network: Any
    contributions: Any


@contextlib.contextmanager
def _inside(package: ModuleType, graph: Any, session: Any) -> Iterator[None]:
    """Let the package build and run in this graph and session; on its own it would make a session for good."""
    before = package.util.get_session
    package.util.get_session = lambda: session
    try:
        with graph.as_default():
            yield
    finally:
        package.util.get_session = before


_CONVERTED: WeakKeyDictionary[Network, Converted] = WeakKeyDictionary()


def converted(model: Model) -> Converted:
    """Return the network as the package has it, converted when this is first asked for a model."""
    if model.network not in _CONVERTED:
        config = functional_config(model)
        package = _package()
        import tensorflow as tf

        graph = tf.Graph()
        session = tf.compat.v1.Session(graph=graph)
        with _inside(package, graph, session):
            conversion = package.conversion.kerasapi_conversion
            network = conversion.convert_functional_model(
                model_config=config,
                nonlinear_mxts_mode=package.layers.NonlinearMxtsMode.DeepLIFT_GenomicsDefault,
                verbose=False,
            )
            contributions = network.get_target_contribs_func(
                find_scores_layer_name=[f"{name}_0" for name, _, _ in config["input_layers"]],
                pre_activation_target_layer_name=f"preact_{config['output_layers'][0][0]}_0",
            )
            session.run(tf.compat.v1.global_variables_initializer())
        _CONVERTED[model.network] = Converted(graph, session, package, network, contributions)
    return _CONVERTED[model.network]


def functional_config(model: Model) -> dict[str, Any]:
    """Describe a network as Keras 2 did, with the weights inside: what the package converts."""
    network = model.keras_model
    layers = []
    for layer in network.layers:
        kind = type(layer).__name__
        if kind not in _LAYERS:
            raise InputError(
                f"model {model.name}: DeepLIFT has no rule for layer {layer.name!r} ({kind}). "
                "Use integrated gradients (--method ig)."
            )
        config = dict(layer.get_config(), weights=layer.get_weights())
        if kind == "InputLayer":
            config["batch_input_shape"] = (None, *layer.batch_shape[1:])
        for key in ("strides", "kernel_size", "pool_size"):
            if isinstance(config.get(key), list | tuple):
                (config[key],) = config[key]
        tensors = [] if kind == "InputLayer" else layer.input if isinstance(layer.input, list) else [layer.input]
        inbound: list[Any] = [[tensor._keras_history.operation.name, 0, 0, {}] for tensor in tensors]
        # One node per layer; merging layers list several sources, others are the source itself.
        inbound = [inbound] if len(inbound) > 1 else inbound
        layers.append({"class_name": kind, "name": layer.name, "config": config, "inbound_nodes": inbound})
    return {
        "layers": layers,
        "input_layers": [[tensor._keras_history.operation.name, 0, 0] for tensor in network.inputs],
        "output_layers": [[network.layers[-1].name, 0, 0]],
    }


# --- the package ---------------------------------------------------------------------------------------------------


def _package() -> ModuleType:
    """Import a private copy of the package against ``tensorflow.compat.v1``; ``sys.modules`` is left as it was."""
    with _LOCK:
        if not _PRIVATE:
            if importlib.util.find_spec("deeplift") is None:
                raise MissingPackageError(
                    "DeepLIFT needs the package 'deeplift', which is not installed. "
                    "Install it: pip install deeplift==0.6.13.0"
                )
            import tensorflow as tf

            others = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)}
            before = sys.modules["tensorflow"]
            sys.modules["tensorflow"] = tf.compat.v1
            try:
                for name in ("deeplift.util", "deeplift.layers", "deeplift.conversion.kerasapi_conversion"):
                    importlib.import_module(name)
                _PRIVATE.update({name: sys.modules[name] for name in list(sys.modules) if _is_ours(name)})
            finally:
                sys.modules["tensorflow"] = before
                for name in [name for name in sys.modules if _is_ours(name)]:
                    del sys.modules[name]
                sys.modules.update(others)
            for module in _PRIVATE.values():
                # What they do they report on stdout.
                module.print = lambda *_args, **_options: None  # type: ignore[attr-defined]
    return _PRIVATE["deeplift"]


def _is_ours(name: str) -> bool:
    return name == "deeplift" or name.startswith("deeplift.")
