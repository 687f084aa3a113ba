"""The weights file: one HDF5 that holds a model's spec and its arrays by layer name, and nothing executable.

Layout: root attributes ``format`` (:data:`FORMAT`) and ``spec`` (JSON of :class:`~ripe_lib.network.spec.ModelSpec`);
one group per layer with variables, holding ``0``, ``1``, ... in the order of Keras' ``layer.get_weights()``. Unlike
Keras' own weight files it does not change with the Keras version and can be read without TensorFlow.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from ripe_lib.errors import MissingFileError, WeightsError
from ripe_lib.network.spec import ModelSpec
from ripe_lib.output.atomic import atomic_file
from ripe_lib.output.foreign import open_hdf5

if TYPE_CHECKING:
    import keras

FORMAT = "deepripe-weights-1"

LayerArrays = dict[str, list[np.ndarray]]


def sha256_of(path: str | Path) -> str:
    """Return the sha256 of a file as hex."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def write_weights(path: str | Path, spec: ModelSpec, arrays: LayerArrays) -> None:
    """Write a weights file; equal inputs give equal bytes.

    Parameters
    ----------
    path : path
    spec : ModelSpec
    arrays : dict of list of array
        By layer; written as float32.
    """
    # In memory first: HDF5 cannot close a file in good order once a write to a full disk has failed.
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=False) as handle:
        handle.attrs["format"] = FORMAT
        handle.attrs["spec"] = spec.to_json()
        for layer, values in arrays.items():
            group = handle.create_group(layer)
            for index, value in enumerate(values):
                group.create_dataset(str(index), data=np.asarray(value, dtype=np.float32), track_times=False)
    with atomic_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def read_weights(path: str | Path, *, sha256: str | None = None) -> tuple[ModelSpec, LayerArrays]:
    """Read a weights file.

    Raises
    ------
    MissingFileError
        If there is no such file.
    WeightsError
        If it has not the digest ``sha256`` (hex), if one is given, or is not in this format.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path}: no such weights file. Reinstall the model.")
    if sha256 is not None and (got := sha256_of(path)) != sha256:
        raise WeightsError(
            f"{path}: expected sha256 {sha256[:12]}..., got {got[:12]}.... "
            "The weights file is damaged or was changed; install the model again."
        )
    advice = "Install the model again."
    with open_hdf5(path, "a complete weights file", advice=advice, error=WeightsError) as file:
        found = file.handle.attrs.get("format")
        if not isinstance(found, str) or found != FORMAT:
            raise WeightsError(
                f"{path}: expected a weights file of format {FORMAT!r}, got {repr(found)[:60]}. "
                "Published Keras files are read by: ripe-train import-published."
            )
        spec = ModelSpec.from_json(file.text("spec"))
        arrays = {
            layer: [file.array(f"{layer}/{index}", "f") for index in range(len(group))]
            for layer, group in file.handle.items()
        }
    return spec, arrays


def arrays_of(keras_model: keras.Model) -> LayerArrays:
    """Return the arrays of a network by layer name."""
    return {layer.name: layer.get_weights() for layer in keras_model.layers if layer.weights}


def set_arrays(keras_model: keras.Model, arrays: LayerArrays, where: str) -> None:
    """Put arrays into a network, checking every layer's name, shapes and numbers.

    Parameters
    ----------
    keras_model : keras.Model
    arrays : dict of list of array
        By layer, as :func:`arrays_of` returns them.
    where : str
        The file, for messages.

    Raises
    ------
    WeightsError
        Naming the first layer that does not fit.
    """
    wanted = arrays_of(keras_model)
    if missing := sorted(set(wanted) - set(arrays)):
        raise WeightsError(f"{where}: layer {missing[0]!r} is missing. The file is of another architecture.")
    if extra := sorted(set(arrays) - set(wanted)):
        raise WeightsError(f"{where}: unexpected layer {extra[0]!r}. The file is of another architecture.")
    for name, values in arrays.items():
        expected = [w.shape for w in wanted[name]]
        got = [np.shape(v) for v in values]
        if expected != got:
            raise WeightsError(f"{where}: layer {name!r}: expected shapes {expected}, got {got}.")
        if not all(np.isfinite(v).all() for v in values):
            raise WeightsError(f"{where}: layer {name!r} holds values that are not finite.")
    for name, values in arrays.items():
        keras_model.get_layer(name).set_weights(values)
