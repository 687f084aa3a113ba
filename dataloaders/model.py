"""The class that every DeepRiPe ``model.yaml`` names: :mod:`ripe_lib` behind Kipoi's model interface."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from kipoi.model import BaseModel, GradientMixin, LayerActivationMixin
from numpy.typing import NDArray

from dataloaders import interpret, veff
from dataloaders.containers import like_input
from ripe_lib.attribution.inputs import network_inputs
from ripe_lib.errors import InputError, check_known
from ripe_lib.network.inputs import checked_windows
from ripe_lib.network.load import Model, model_from_weights


class DeepRipeModel(BaseModel, GradientMixin, LayerActivationMixin):
    """A DeepRiPe network for Kipoi.

    Inputs are a dict ``{"seq": (B, L, 4), "region": (B, R, 4), "landmarks": (B, 8, K)}``, a list in this order or the
    bare ``seq`` array; what is missing is unknown. Outputs are one float32 array (B, T) in the order of
    the schema's ``column_labels``. ``ripe_model`` is for the functions of :mod:`ripe_lib`.

    Parameters
    ----------
    weights : str
        Weights file; Kipoi resolves it against the model's directory.
    sha256 : str, optional
        Its digest, checked on loading.
    named_outputs : bool, optional
        Return a dict of columns (B,) by task name instead of the array, so that ``kipoi predict`` writes headers like
        ``preds/QKI_PARCLIP``. The stock command cannot pass model arguments: unset, the environment variable
        ``RIPE_NAMED_OUTPUTS=1`` decides. Variant plugins and ``kipoi test`` need the array.
    """

    MODEL_PACKAGE = "keras"

    def __init__(self, weights: str, sha256: str | None = None, named_outputs: bool | None = None) -> None:
        self.ripe_model: Model = model_from_weights(Path(weights).resolve(), sha256=sha256)
        self.model = self.ripe_model.keras_model  # where Kipoi's own Keras models have it
        by_environment = os.environ.get("RIPE_NAMED_OUTPUTS", "").lower() in {"1", "true", "yes"}
        self.named_outputs = by_environment if named_outputs is None else named_outputs
        self._functions: dict[Any, Callable[..., Any]] = {}
        self._test: Any = None
        interpret.register_if_installed()

    @property
    def tasks(self) -> list[str]:
        """Names of the output columns."""
        return self.ripe_model.tasks

    @property
    def test(self) -> Any:
        """What Kipoi puts here from ``model.yaml``; the file of expected predictions lies beside the weights.

        ``kipoi test`` would look for it in the working directory.
        """
        return self._test

    @test.setter
    def test(self, description: Any) -> None:
        if isinstance(description.expect, str) and self.ripe_model.directory is not None:
            description.expect = str(self.ripe_model.directory / description.expect)
        self._test = description

    @property
    def postprocessing(self) -> dict[str, Any]:
        """What kipoi-veff asks a model for; asking repairs kipoi-veff if it is loaded (:mod:`dataloaders.veff`)."""
        return veff.model_postprocessing()

    def predict_on_batch(self, x: Any) -> NDArray[np.float32] | dict[str, NDArray[np.float32]]:
        """Predict binding probabilities; the whole batch is one network call."""
        parts = checked_windows(self.ripe_model.spec, x)
        predictions = self.ripe_model.network.probabilities(*parts, batch_size=max(1, len(parts[0])))
        if not self.named_outputs:
            return predictions
        return {task: np.ascontiguousarray(predictions[:, index]) for index, task in enumerate(self.tasks)}

    def predict_activation_on_batch(
        self, x: Any, layer: str | int, pre_nonlinearity: bool = False
    ) -> NDArray[np.float32]:
        """Return the output of a layer.

        Parameters
        ----------
        x
            As for :meth:`predict_on_batch`.
        layer : str or int
            Layer name (``hidden1``) or its index in the network.
        pre_nonlinearity : bool
            Before the activation function; only dense and convolution layers have one.
        """
        key = ("activation", str(layer), pre_nonlinearity)
        if key not in self._functions:
            output = self._output_of(layer, pre_nonlinearity)
            self._functions[key] = self._compiled(output, lambda part, arrays: part(arrays, training=False))
        return self._functions[key](*network_inputs(self.ripe_model, x).present()).numpy()

    def input_grad(
        self,
        x: Any,
        filter_idx: Any = None,
        avg_func: str | None = None,
        layer: str | int | None = None,
        final_layer: bool = True,
        selected_fwd_node: int | None = None,
        pre_nonlinearity: bool = False,
    ) -> Any:
        """Return the gradient of a layer's output with respect to the inputs, each window on its own.

        Parameters
        ----------
        x
            As for :meth:`predict_on_batch`; the result has the same container and shapes.
        filter_idx : int, slice, tuple or str, optional
            Which part of the layer's output: an output index, a slice or tuple of them (batch axis first), or, for
            the final layer, a task name. Default: all.
        avg_func : {"sum", "max", "min", "absmax"}, optional
            How the selected outputs of one window become one number; default the sum.
        layer : str or int, optional
            Whose output; needed if ``final_layer`` is false.
        final_layer : bool
            Use the network's output and ignore ``layer``.
        selected_fwd_node : None
            Not supported: no layer of these networks has several.
        pre_nonlinearity : bool
            Before the activation function; for the final layer that is the logit.
        """
        if selected_fwd_node is not None:
            raise InputError("selected_fwd_node: the layers of DeepRiPe networks have one node each; leave it out.")
        if not final_layer and layer is None:
            raise InputError("input_grad: expected a layer name or final_layer=True, got neither.")
        chosen = self.model.layers[-1].name if final_layer else layer
        selection = self._selection(filter_idx, final_layer=final_layer)
        key = ("gradient", str(chosen), pre_nonlinearity, str(selection), avg_func)
        if key not in self._functions:
            output = self._output_of(chosen, pre_nonlinearity)
            self._functions[key] = self._compiled(output, _gradient(selection, avg_func))
        gradients = self._functions[key](*network_inputs(self.ripe_model, x).present())
        return like_input(x, [gradient.numpy() for gradient in gradients])

    # --- inside ---------------------------------------------------------------------------------------------------

    def _selection(self, filter_idx: Any, *, final_layer: bool) -> Any:
        if filter_idx is None:
            return None
        if isinstance(filter_idx, str):
            if not final_layer:
                raise InputError(f"filter_idx: task name {filter_idx!r} needs the final layer; give an index.")
            filter_idx = self.ripe_model.spec.task_index(filter_idx)
        if isinstance(filter_idx, list | tuple):
            # As in Kipoi: one element selects filters, more start with the batch axis.
            return (slice(None), *filter_idx) if len(filter_idx) == 1 else tuple(filter_idx)
        return (slice(None), filter_idx if isinstance(filter_idx, slice) else operator.index(filter_idx))

    def _output_of(self, layer: str | int | None, pre_nonlinearity: bool) -> Any:
        import keras

        names = [one.name for one in self.model.layers]
        if isinstance(layer, int):
            if not -len(names) <= layer < len(names):
                raise InputError(f"layer: expected an index below {len(names)}, got {layer}.")
            found = self.model.layers[layer]
        else:
            check_known("layer", str(layer), names)
            found = self.model.get_layer(layer)
        has_activation = isinstance(found, keras.layers.Dense | keras.layers.Conv1D)
        if not pre_nonlinearity or not has_activation or found.activation is keras.activations.linear:
            return found.output
        linear = type(found).from_config({**found.get_config(), "activation": "linear"})
        output = linear(found.input)
        linear.set_weights(found.get_weights())
        return output

    def _compiled(self, output: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compile a function of the network up to ``output`` and the list of input arrays."""
        import keras
        import tensorflow as tf

        part = keras.Model(self.model.inputs, output)
        signature = [tf.TensorSpec((None, *one.shape[1:]), tf.float32) for one in self.model.inputs]
        return tf.function(lambda *arrays: function(part, list(arrays)), input_signature=signature)


def _gradient(selection: Any, avg_func: str | None) -> Callable[..., Any]:
    """Return the function that gives the gradient of the selected outputs of a part of the network."""
    import tensorflow as tf

    reductions = {
        "sum": tf.reduce_sum,
        "max": tf.reduce_max,
        "min": tf.reduce_min,
        "absmax": lambda values, axis: tf.reduce_max(tf.abs(values), axis=axis),
    }
    chosen = "sum" if avg_func is None else avg_func
    check_known("avg_func", chosen, reductions)

    def gradient(part: Any, arrays: list[Any]) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            values = part(arrays, training=False)
            if selection is not None:
                values = values[selection]
            per_window = reductions[chosen](values, axis=list(range(1, len(values.shape))))
        return tape.gradient(per_window, arrays, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    return gradient
