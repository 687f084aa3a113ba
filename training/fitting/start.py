"""What a network starts from: another network's weights, of which some layers may stay as they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ripe_lib.errors import InputError, MissingFileError, check_known
from ripe_lib.network.catalogue.locate import find_model_directory
from ripe_lib.network.load import model_arguments
from ripe_lib.network.spec import ModelSpec
from ripe_lib.network.weights import arrays_of, read_weights, set_arrays

if TYPE_CHECKING:
    import keras


def weights_file_of(name: str) -> Path:
    """Return the weights file that ``start`` of a config, a name, a model directory or a path, stands for."""
    if name.endswith(".h5"):
        path = Path(os.path.expandvars(name)).expanduser()
    else:
        directory = find_model_directory(name)
        path = directory / model_arguments(directory)["weights"]
    if not path.is_file():
        raise MissingFileError(f"fit: start {name}: no such weights file. Train it first.")
    return path


def take_over(network: keras.Model, spec: ModelSpec, weights: Path) -> None:
    """Give a network the weights of another one: layers of equal shape, and the outputs of tasks both have.

    Parameters
    ----------
    network : keras.Model
        Changed in place; ``spec`` is its own.
    spec : ModelSpec
    weights : Path
        Weights file of the other one.
    """
    theirs, arrays = read_weights(weights)
    own = arrays_of(network)
    taken = {
        name: arrays[name]
        for name, values in own.items()
        if name in arrays and [v.shape for v in values] == [v.shape for v in arrays[name]] and name != "output"
    }
    if not taken:
        raise InputError(f"{weights}: expected layers like those of architecture {spec.architecture!r}, got none.")
    output = [values.copy() for values in own["output"]]
    if len(arrays["output"][0]) == len(output[0]):
        for column, task in enumerate(spec.tasks):
            if task in theirs.tasks:
                for values, others in zip(output, arrays["output"], strict=True):
                    values[..., column] = others[..., theirs.tasks.index(task)]
    set_arrays(network, {**own, **taken, "output": output}, str(weights))


def freeze(network: keras.Model, trainable: Sequence[str]) -> None:
    """Let only the named layers learn; all do if none is named."""
    learning = [layer for layer in network.layers if layer.weights]
    for name in trainable:
        check_known("layer of 'trainable'", name, [layer.name for layer in learning])
    for layer in learning:
        layer.trainable = not trainable or layer.name in trainable
