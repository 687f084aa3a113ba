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

from ripe_lib.errors import InputError, unknown_name
from ripe_lib.network.spec import N_LANDMARKS, ModelSpec

CNN_SIZES: dict[str, Any] = {
    "filters": 90,
    "kernel": 7,
    "left_pool": (4, 2),  # (size, stride)
    "right_pool": (10, 5),
    "merged_filters": 100,
    "merged_kernel": 5,
    "merged_pool": (10, 5),
    "hidden": 250,
    "dropout": 0.25,
}
GRU_SIZES: dict[str, Any] = {
    "filters": 90,
    "kernel": 7,
    "left_pool": (4, 2),
    "right_pool": (10, 5),
    "gru_units": 60,
    "hidden": 250,
    "dropout": 0.25,
}

TOWERS_SIZES: dict[str, Any] = {
    "filters": 90,
    "kernel": 7,
    "left_pool": (4, 2),
    "left_filters2": 100,
    "left_kernel2": 5,
    "left_pool2": (10, 5),
    "right_filters": 32,
    "right_kernel": 7,
    "right_pool": (10, 5),
    "hidden": 250,
    "dropout": 0.25,
    "right_dropout": 0.1,
    "landmark_hidden": 96,
    "landmark_dropout": 0.1,
    "hidden_dropout": 0.0,
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
    if spec.architecture not in _DEFAULT_SIZES:
        raise unknown_name("architecture", spec.architecture, _DEFAULT_SIZES)
    defaults = _DEFAULT_SIZES[spec.architecture]
    for key in spec.sizes:
        if key not in defaults:
            raise unknown_name(f"size of architecture {spec.architecture!r}", key, defaults)
    return {**defaults, **{k: tuple(v) if isinstance(v, list) else v for k, v in spec.sizes.items()}}


def _branch(side: str, length: int, pool: tuple[int, int], sizes: dict[str, Any]) -> tuple[Any, Any]:
    x_in = keras.Input((length, 4), name=f"{side}_input")
    x = layers.Conv1D(sizes["filters"], sizes["kernel"], activation="relu", name=f"{side}_conv1")(x_in)
    x = layers.MaxPooling1D(*pool, name=f"{side}_pool1")(x)
    return x_in, layers.Dropout(sizes["dropout"], name=f"{side}_drop1")(x)


def _branches(spec: ModelSpec, sizes: dict[str, Any]) -> tuple[list[Any], Any]:
    left_in, x = _branch("left", spec.sequence_length, sizes["left_pool"], sizes)
    if not spec.has_region:
        return [left_in], x
    right_in, right = _branch("right", spec.region_length, sizes["right_pool"], sizes)
    # Along positions, not channels: the merged convolution slides over the sequence, then over the region track.
    return [left_in, right_in], layers.Concatenate(axis=1, name="merge")([x, right])


def _head(x: Any, spec: ModelSpec, sizes: dict[str, Any]) -> Any:
    x = layers.Flatten(name="flatten_1")(x)
    x = layers.Dense(sizes["hidden"], activation="relu", name="hidden1")(x)
    return layers.Dense(len(spec.tasks), activation="sigmoid", name="output")(x)


def build_cnn(spec: ModelSpec) -> keras.Model:
    """Build the paper's CNN.

    Input shape
        ``left_input`` (B, L, 4); ``right_input`` (B, R, 4) unless the spec is sequence only.
    Output shape
        (B, T) probabilities.
    """
    sizes = resolved_sizes(spec)
    inputs, x = _branches(spec, sizes)
    x = layers.Conv1D(sizes["merged_filters"], sizes["merged_kernel"], activation="relu", name="conv_merged")(x)
    x = layers.MaxPooling1D(*sizes["merged_pool"], name="max_pooling1d_1")(x)
    x = layers.Dropout(sizes["dropout"], name="dropout_1")(x)
    return keras.Model(inputs, _head(x, spec, sizes), name=_keras_name(spec))


def build_gru(spec: ModelSpec) -> keras.Model:
    """Build the paper's GRU variant (Supp. Fig. S2); same inputs and output as :func:`build_cnn`."""
    sizes = resolved_sizes(spec)
    inputs, x = _branches(spec, sizes)
    gru = layers.GRU(
        sizes["gru_units"],
        activation="tanh",
        recurrent_activation=keras1_hard_sigmoid,
        reset_after=False,
        return_sequences=True,
        name="gru_1",
    )
    x = layers.Bidirectional(gru, name="gru")(x)
    return keras.Model(inputs, _head(x, spec, sizes), name=_keras_name(spec))


def build_towers(spec: ModelSpec) -> keras.Model:
    """Build separate towers that meet in the hidden layer; output as :func:`build_cnn`.

    The sequence tower is the paper's with the merged convolution to itself; the region tower is one thin
    convolution, that of landmarks (Avsec et al. 2018) one dense layer over the spline basis of their distances. In the
    paper's network one convolution kernel has to serve sequence and region types, and slides over the border between
    them. Fewer multiplications than :func:`build_cnn`.

    Input shape
        ``left_input`` (B, L, 4); by the spec also ``right_input`` (B, R, 4) and ``landmark_input`` (B, 8, K).
    """
    sizes = resolved_sizes(spec)
    left_in = keras.Input((spec.sequence_length, 4), name="left_input")
    x = layers.Conv1D(sizes["filters"], sizes["kernel"], activation="relu", name="left_conv1")(left_in)
    x = layers.MaxPooling1D(*sizes["left_pool"], name="left_pool1")(x)
    x = layers.Dropout(sizes["dropout"], name="left_drop1")(x)
    x = layers.Conv1D(sizes["left_filters2"], sizes["left_kernel2"], activation="relu", name="left_conv2")(x)
    x = layers.MaxPooling1D(*sizes["left_pool2"], name="left_pool2")(x)
    x = layers.Dropout(sizes["dropout"], name="left_drop2")(x)
    x = layers.Flatten(name="left_flatten")(x)
    inputs, towers = [left_in], [x]
    if spec.has_region:
        right_in = keras.Input((spec.region_length, 4), name="right_input")
        y = layers.Conv1D(sizes["right_filters"], sizes["right_kernel"], activation="relu", name="right_conv1")(
            right_in
        )
        y = layers.MaxPooling1D(*sizes["right_pool"], name="right_pool1")(y)
        y = layers.Dropout(sizes["right_dropout"], name="right_drop1")(y)
        y = layers.Flatten(name="right_flatten")(y)
        inputs.append(right_in)
        towers.append(y)
    if spec.has_landmarks:
        landmark_in = keras.Input((N_LANDMARKS, spec.landmark_bases), name="landmark_input")
        z = layers.Flatten(name="landmark_flatten")(landmark_in)
        z = layers.Dense(sizes["landmark_hidden"], activation="relu", name="landmark_hidden")(z)
        z = layers.Dropout(sizes["landmark_dropout"], name="landmark_drop")(z)
        inputs.append(landmark_in)
        towers.append(z)
    if len(towers) > 1:
        x = layers.Concatenate(axis=1, name="merge")(towers)
    x = layers.Dense(sizes["hidden"], activation="relu", name="hidden1")(x)
    x = layers.Dropout(sizes["hidden_dropout"], name="hidden_drop")(x)
    output = layers.Dense(len(spec.tasks), activation="sigmoid", name="output")(x)
    return keras.Model(inputs, output, name=_keras_name(spec))


def _keras_name(spec: ModelSpec) -> str:
    return spec.name.replace("/", "_")


ARCHITECTURES: dict[str, Callable[[ModelSpec], keras.Model]] = {
    "cnn": build_cnn,
    "gru": build_gru,
    "towers": build_towers,
}
_DEFAULT_SIZES: dict[str, dict[str, Any]] = {"cnn": CNN_SIZES, "gru": GRU_SIZES, "towers": TOWERS_SIZES}


def build_model(spec: ModelSpec) -> keras.Model:
    """Build the untrained network of a spec.

    Raises
    ------
    UnknownNameError
        For an architecture or layer size that does not exist.
    InputError
        If the windows are too short for the layers.
    """
    if spec.architecture not in ARCHITECTURES:
        raise unknown_name("architecture", spec.architecture, ARCHITECTURES)
    if spec.has_landmarks and spec.architecture != "towers":
        raise InputError(
            f"model {spec.name}: architecture {spec.architecture!r} has no landmark input. Use 'towers', or "
            "inputs: sequence+region."
        )
    try:
        return ARCHITECTURES[spec.architecture](spec)
    except ValueError as error:
        raise InputError(
            f"model {spec.name}: windows of {spec.sequence_length} and {spec.region_length} nt do not fit "
            f"architecture {spec.architecture!r} ({str(error).splitlines()[0]})."
        ) from error
