"""Loading a model: a name or a directory in, a :class:`Model` out."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ripe_lib.errors import InputError, WeightsError
from ripe_lib.network.catalogue.locate import find_model_directory, model_arguments
from ripe_lib.network.network import Network
from ripe_lib.network.spec import ModelSpec
from ripe_lib.network.weights import LayerArrays, read_weights, set_arrays

if TYPE_CHECKING:
    import keras


@dataclass(eq=False)
class Model:
    """A trained network with its names.

    Attributes
    ----------
    spec : ModelSpec
    keras_model : keras.Model
        Inputs in the order of ``spec.input_names``; output (B, T) probabilities.
    directory : Path or None
        Where it came from.
    """

    spec: ModelSpec
    keras_model: keras.Model
    directory: Path | None = None

    @cached_property
    def network(self) -> Network:
        """What runs it; compiled on first use."""
        return Network(self.spec, self.keras_model)

    @property
    def name(self) -> str:
        """Full name, e.g. ``DeepRiPe/parclip_mid``."""
        return self.spec.name

    @property
    def tasks(self) -> list[str]:
        """Names of the output columns, in order."""
        return list(self.spec.tasks)


def quiet_tensorflow() -> None:
    """Import TensorFlow as Keras' backend without its start-up chatter; call before the first ``import keras``.

    TensorFlow's compiled parts write notes to file descriptor 2 while they are loaded, whatever its log level says.
    Also asks GPUs for full float32 products: TensorFlow's default (TF32) keeps three decimal digits.

    Raises
    ------
    InputError
        If the environment chooses another Keras backend.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" not in sys.modules:
        # The network and the fast scorers are TensorFlow, whatever another project's setting says.
        os.environ["KERAS_BACKEND"] = "tensorflow"
    if "tensorflow" not in sys.modules:
        with _without_chatter():
            import tensorflow as tf

            tf.config.experimental.enable_tensor_float_32_execution(False)
    import keras

    if keras.config.backend() != "tensorflow":
        raise InputError(
            f"Keras: expected the backend 'tensorflow', but this process already uses {keras.config.backend()!r}. "
            "Set KERAS_BACKEND=tensorflow before Keras is imported."
        )


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back what is written to file descriptor 2, then write all of it but informative notes."""
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as held:
            os.dup2(held.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(kept, 2)
                held.seek(0)
                for line in held:
                    if not re.match(rb"I\d{4} |WARNING: All log messages before absl", line):
                        os.write(2, line)
    finally:
        os.close(kept)


def model_of(spec: ModelSpec, arrays: LayerArrays, where: str) -> Model:
    """Build the network of a spec and fill it.

    Parameters
    ----------
    spec : ModelSpec
    arrays : dict of list of array
        By layer.
    where : str
        The file, for messages.

    Raises
    ------
    WeightsError
        If there is no network of these sizes, or the arrays do not fit.
    """
    quiet_tensorflow()
    from ripe_lib.network.architecture import build_model

    try:
        network = build_model(spec)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(f"{where}: expected the sizes of a network ({reason}). Install the model again.") from error
    set_arrays(network, arrays, where)
    return Model(spec=spec, keras_model=network)


def model_from_weights(path: str | Path, *, sha256: str | None = None) -> Model:
    """Build the network a weights file describes and fill it."""
    model = model_of(*read_weights(path, sha256=sha256), str(path))
    model.directory = Path(path).parent
    return model


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
