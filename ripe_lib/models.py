"""Loading a model: a name or a directory in, a :class:`Model` out."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ripe_lib.catalogue import find_model_directory
from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.spec import ModelSpec
from ripe_lib.weights import read_weights, set_arrays

if TYPE_CHECKING:
    import keras


@dataclass
class Model:
    """A trained network with its names.

    Attributes
    ----------
    spec : ModelSpec
        What it is.
    keras_model : keras.Model
        The network; inputs in the order sequence, region; output (B, T) probabilities.
    directory : Path or None
        Where it came from.
    """

    spec: ModelSpec
    keras_model: keras.Model
    directory: Path | None = None
    cache: dict[str, Any] = field(default_factory=dict, repr=False)  # compiled functions, by purpose

    @property
    def name(self) -> str:
        """Full name, e.g. ``DeepRiPe/parclip_mid``."""
        return self.spec.name

    @property
    def tasks(self) -> list[str]:
        """Names of the output columns, in order."""
        return list(self.spec.tasks)


def quiet_tensorflow() -> None:
    """Choose the TensorFlow backend and silence its start-up chatter; call before the first ``import keras``."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def model_from_weights(path: str | Path, *, sha256: str | None = None) -> Model:
    """Build the network a weights file describes and fill it."""
    spec, arrays = read_weights(path, sha256=sha256)
    quiet_tensorflow()
    from ripe_lib.architecture import build_model

    network = build_model(spec)
    set_arrays(network, arrays, str(path))
    return Model(spec=spec, keras_model=network, directory=Path(path).parent)


def load_model(name_or_path: str | Path) -> Model:
    """Load a model by its name in the catalogue or by its directory.

    Parameters
    ----------
    name_or_path : str or Path
        ``"DeepRiPe/clip31"``, ``"clip31"``, or the path of a directory with a ``model.yaml``.

    Raises
    ------
    UnknownNameError
        If no model has that name; known but not installed models say how to get them.
    WeightsError
        If the weights are damaged (sha256) or do not fit.
    """
    directory = find_model_directory(name_or_path)
    arguments = model_arguments(directory)
    return model_from_weights(directory / arguments["weights"], sha256=arguments["sha256"])


def model_arguments(directory: Path) -> dict[str, Any]:
    """Return the ``args`` block of a directory's ``model.yaml`` (``weights`` and ``sha256``)."""
    import yaml

    path = directory / "model.yaml"
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file. Give the name or directory of a DeepRiPe model.")
    try:
        arguments = yaml.safe_load(path.read_text(encoding="utf-8"))["args"]
        weights, sha256 = arguments["weights"], arguments["sha256"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected a DeepRiPe model.yaml with args 'weights' and 'sha256'.") from error
    return {"weights": weights, "sha256": sha256}
