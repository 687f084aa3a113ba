"""``build_model(spec) -> keras.Model``: the DeepRiPe networks, and nothing else.

Axes: B batch, L sequence window, R region window, 4 channels, K landmark bases, T tasks.

The layer names are those of the published weight files, so that imported files map by name.
Source of sizes and names: the paper's Methods and the published files (not their code).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from ripe_lib.errors import InputError, check_known
from ripe_lib.network.spec import ModelSpec

_COMMON: dict[str, Any] = {
    "filters": 90,
    "kernel": 7,
    "left_pool": (4, 2),  # (size, stride)
    "right_pool": (10, 5),
    "hidden": 250,
    "dropout": 0.25,
}
_DEFAULT_SIZES: dict[str, dict[str, Any]] = {
    "cnn": {**_COMMON, "merged_filters": 100, "merged_kernel": 5, "merged_pool": (10, 5)},
    "gru": {**_COMMON, "gru_units": 60},
    "towers": {
        **_COMMON,
        "left_filters2": 100,
        "left_kernel2": 5,
        "left_pool2": (10, 5),
        "right_filters": 32,
        "right_kernel": 7,
        "right_dropout": 0.1,
        "landmark_hidden": 96,
        "landmark_dropout": 0.1,
        "hidden_dropout": 0.0,
    },
}


# Registered because Bidirectional copies its layer through the layer's serialised form.
@keras.saving.register_keras_serializable(package="deepripe")
def keras1_hard_sigmoid(x: Any) -> Any:
    """``clip(0.2 x + 0.5, 0, 1)``, the recurrent activation of the published GRU files.

    Keras 3's own ``hard_sigmoid`` is ``relu6(x + 3) / 6``; loading those files with it is silently wrong.
    """
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def resolved_sizes(spec: ModelSpec) -> dict[str, Any]:
    """Return all layer sizes of a spec: the architecture's defaults overridden by ``spec.sizes``."""
    check_known("architecture", spec.architecture, _DEFAULT_SIZES)
    defaults = _DEFAULT_SIZES[spec.architecture]
    for key in spec.sizes:
        check_known(f"size of architecture {spec.architecture!r}", key, defaults)
    return {**defaults, **{k: tuple(v) if isinstance(v, list) else v for k, v in spec.sizes.items()}}


def _conv_pool_drop(x: Any, side: str, number: str, filters: int, kernel: int, pool: Any, dropout: float) -> Any:
    x = layers.Conv1D(filters, kernel, activation="relu", name=f"{side}_conv{number}")(x)
    x = layers.MaxPooling1D(*pool, name=f"{side}_pool{number}")(x)
    return layers.Dropout(dropout, name=f"{side}_drop{number}")(x)


def _joined_branches(spec: ModelSpec, sizes: dict[str, Any]) -> tuple[list[Any], Any]:
    """Return the inputs and the joined branches of the paper's networks."""
    inputs, branches = [], []
    for side, name in (("left", "seq"), ("right", "region")):
        if name in spec.input_names:
            inputs.append(keras.Input(spec.input_shapes[name], name=f"{side}_input"))
            first = sizes["filters"], sizes["kernel"], sizes[f"{side}_pool"], sizes["dropout"]
            branches.append(_conv_pool_drop(inputs[-1], side, "1", *first))
    # Along positions, not channels: the merged convolution slides over the sequence, then over the region track.
    return inputs, branches[0] if len(branches) == 1 else layers.Concatenate(axis=1, name="merge")(branches)


def _build_cnn(spec: ModelSpec, sizes: dict[str, Any]) -> tuple[list[Any], Any]:
    """Return the inputs and the last layer before the hidden one of the paper's CNN."""
    inputs, x = _joined_branches(spec, sizes)
    x = layers.Conv1D(sizes["merged_filters"], sizes["merged_kernel"], activation="relu", name="conv_merged")(x)
    x = layers.MaxPooling1D(*sizes["merged_pool"], name="max_pooling1d_1")(x)
    x = layers.Dropout(sizes["dropout"], name="dropout_1")(x)
    return inputs, layers.Flatten(name="flatten_1")(x)


def _build_gru(spec: ModelSpec, sizes: dict[str, Any]) -> tuple[list[Any], Any]:
    """Return the same of the paper's GRU variant (Supp. Fig. S2)."""
    inputs, x = _joined_branches(spec, sizes)
    gru = layers.GRU(
        sizes["gru_units"],
        activation="tanh",
        recurrent_activation=keras1_hard_sigmoid,
        reset_after=False,
        return_sequences=True,
        name="gru_1",
    )
    return inputs, layers.Flatten(name="flatten_1")(layers.Bidirectional(gru, name="gru")(x))


def _build_towers(spec: ModelSpec, sizes: dict[str, Any]) -> tuple[list[Any], Any]:
    """Return the same of separate towers that meet in the hidden layer.

    The sequence tower is the paper's with the merged convolution to itself; the region tower is one thin
    convolution, that of landmarks (Avsec et al. 2018) one dense layer over the spline basis of their distances. In the
    paper's network one convolution kernel has to serve sequence and region types, and slides over the border between
    them. Fewer multiplications than the paper's CNN.
    """
    inputs = [keras.Input(spec.input_shapes["seq"], name="left_input")]
    dropout = sizes["dropout"]
    x = _conv_pool_drop(inputs[0], "left", "1", sizes["filters"], sizes["kernel"], sizes["left_pool"], dropout)
    second = sizes["left_filters2"], sizes["left_kernel2"], sizes["left_pool2"], dropout
    towers = [layers.Flatten(name="left_flatten")(_conv_pool_drop(x, "left", "2", *second))]
    if spec.has_region:
        inputs.append(keras.Input(spec.input_shapes["region"], name="right_input"))
        only = sizes["right_filters"], sizes["right_kernel"], sizes["right_pool"], sizes["right_dropout"]
        towers.append(layers.Flatten(name="right_flatten")(_conv_pool_drop(inputs[-1], "right", "1", *only)))
    if spec.has_landmarks:
        inputs.append(keras.Input(spec.input_shapes["landmarks"], name="landmark_input"))
        z = layers.Flatten(name="landmark_flatten")(inputs[-1])
        z = layers.Dense(sizes["landmark_hidden"], activation="relu", name="landmark_hidden")(z)
        towers.append(layers.Dropout(sizes["landmark_dropout"], name="landmark_drop")(z))
    return inputs, towers[0] if len(towers) == 1 else layers.Concatenate(axis=1, name="merge")(towers)


ARCHITECTURES: dict[str, Callable[[ModelSpec, dict[str, Any]], tuple[list[Any], Any]]] = {
    "cnn": _build_cnn,
    "gru": _build_gru,
    "towers": _build_towers,
}


def build_model(spec: ModelSpec) -> keras.Model:
    """Build the untrained network of a spec.

    Inputs, as the spec has them: ``left_input`` (B, L, 4), ``right_input`` (B, R, 4), ``landmark_input`` (B, 8, K).
    Output: (B, T) probabilities.

    Raises
    ------
    UnknownNameError
        For an architecture or layer size that does not exist.
    InputError
        If the windows are too short for the layers.
    """
    sizes = resolved_sizes(spec)
    if spec.has_landmarks and spec.architecture != "towers":
        raise InputError(
            f"model {spec.name}: architecture {spec.architecture!r} has no landmark input. Use 'towers', or "
            "inputs: sequence+region."
        )
    try:
        inputs, x = ARCHITECTURES[spec.architecture](spec, sizes)
        x = layers.Dense(sizes["hidden"], activation="relu", name="hidden1")(x)
        if spec.architecture == "towers":
            x = layers.Dropout(sizes["hidden_dropout"], name="hidden_drop")(x)
        output = layers.Dense(len(spec.tasks), activation="sigmoid", name="output")(x)
        return keras.Model(inputs, output, name=spec.name.replace("/", "_"))
    except ValueError as error:
        raise InputError(
            f"model {spec.name}: windows of {spec.sequence_length} and {spec.region_length} nt do not fit "
            f"architecture {spec.architecture!r} ({str(error).splitlines()[0]})."
        ) from error
