"""Weight files of Keras 2.0 to 2.2, read with h5py alone: no unpickling, no code from the file.

The network is recognised by its wiring in ``model_config`` (which layer follows which), not by layer names, since
automatic names differ between versions (``dropout_1``, ``dropout_3``). Arrays are found through each layer group's
``weight_names``. Everything that cannot be seen in an array's shape (pooling, strides, padding, activations) is
compared with what :mod:`ripe_lib.network.architecture` builds.
"""

import json
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ripe_lib.errors import MissingFileError, WeightsError
from ripe_lib.network.spec import ModelSpec
from ripe_lib.network.weights import LayerArrays
from ripe_lib.output.foreign import ForeignHdf5, open_hdf5

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
KERNEL_ORDER = {"kernel": 0, "W": 0, "recurrent_kernel": 1, "U": 1, "bias": 2, "b": 2}


def check_is_hdf5(path: Path) -> None:
    """Refuse what is not HDF5, saying what it is instead."""
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file.")
    with path.open("rb") as handle:
        head = handle.read(512)
    if head.startswith(HDF5_MAGIC):
        return
    start = head.lstrip().lower()
    if not head:
        got = "an empty file"
    elif start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        got = "an HTML page (the address leads to a web page, not to the file itself)"
    elif start.startswith(b"version https://git-lfs"):
        got = "a Git LFS pointer (a few lines of text that stand for the file)"
    else:
        got = f"something else (first bytes {head[:8]!r})"
    raise WeightsError(f"{path}: expected an HDF5 file, got {got}. Download the file again.")


def read_legacy(path: str | Path, *, name: str, tasks: tuple[str, ...] | None = None) -> tuple[ModelSpec, LayerArrays]:
    """Read a model file written by Keras 2.0 to 2.2 in one of the DeepRiPe wirings.

    Parameters
    ----------
    path : path
        HDF5 file with ``model_config`` and ``model_weights``.
    name : str
        Of the model.
    tasks : tuple of str, optional
        Output names. Default: ``task_0``, ...

    Returns
    -------
    ModelSpec, dict
        Window lengths, inputs, architecture and sizes as the file says; arrays by this library's layer names, in the
        order of Keras 3.
    """
    path = Path(path)
    check_is_hdf5(path)
    with open_hdf5(path, "a Keras model", advice="Download it again.", error=WeightsError) as file:
        handle = file.handle
        if "model_config" not in handle.attrs or "model_weights" not in handle:
            got = sorted([*handle.attrs, *handle])[:6]
            raise WeightsError(
                f"{path}: expected a whole Keras model ('model_config' and 'model_weights'), got {got}. Files with "
                "weights alone do not say what network they belong to."
            )
        try:
            config = json.loads(handle.attrs["model_config"])
            wiring = Wiring({layer["name"]: layer for layer in config["config"]["layers"]}, path)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            kind = type(error).__name__
            raise WeightsError(
                f"{path}: 'model_config' is not that of a Keras model with named layers ({kind}: {error})."
            ) from error
        arrays = {role: _layer_arrays(file, handle["model_weights"], layer) for role, layer in wiring.roles.items()}
        return wiring.spec(name, tasks), {role: values for role, values in arrays.items() if values}


class Wiring:
    """Which layer of a file plays which role (``roles``: this library's layer name -> the file's), and its settings."""

    def __init__(self, layers: dict[str, Any], path: Path) -> None:
        self.layers, self.path = layers, path
        self.followers: dict[str, list[str]] = {name: [] for name in layers}
        for name, layer in layers.items():
            for source in _sources(layer):
                self.followers[source].append(name)
        inputs = [name for name, layer in layers.items() if layer["class_name"] == "InputLayer"]
        if len(inputs) not in (1, 2):
            raise self.other(f"1 or 2 inputs, got {len(inputs)}")
        self.roles: dict[str, str] = {}
        if len(inputs) == 2:
            merged = [n for n, layer in layers.items() if layer["class_name"] in {"Concatenate", "Merge"}]
            if len(merged) != 1:
                raise self.other(f"one layer that joins the inputs, got {len(merged)}")
            # The sequence comes first in the concatenation, whatever the inputs are called.
            inputs = [self._root(source) for source in _sources(layers[merged[0]])]
        ends = [self._branch(side, start) for side, start in zip(("left", "right"), inputs, strict=False)]
        self.inputs = inputs
        self._trunk(self._merge(ends) if len(inputs) == 2 else ends[0])

    def other(self, expected: str) -> WeightsError:
        """Return the error for a network that is not one of these."""
        return WeightsError(f"{self.path}: expected a DeepRiPe network with {expected}.")

    def _root(self, name: str) -> str:
        while sources := _sources(self.layers[name]):
            name = sources[0]
        return name

    def _next(self, name: str, *kinds: str) -> str:
        followers = self.followers[name]
        if len(followers) != 1 or self.layers[followers[0]]["class_name"] not in kinds:
            got = [f"{self.layers[f]['class_name']} {f!r}" for f in followers] or ["nothing"]
            raise self.other(f"{' or '.join(kinds)} after layer {name!r}, got {', '.join(got)}")
        return followers[0]

    def _follow(self, name: str, **roles: str) -> str:
        """Give the layers after one their roles (role -> kind), in order; returns the last."""
        for role, kind in roles.items():
            name = self.roles[role] = self._next(name, kind)
        return name

    def _branch(self, side: str, start: str) -> str:
        roles = {f"{side}_conv1": "Conv1D", f"{side}_pool1": "MaxPooling1D", f"{side}_drop1": "Dropout"}
        return self._follow(start, **roles)

    def _merge(self, ends: list[str]) -> str:
        merged = [self._next(end, "Concatenate", "Merge") for end in ends]
        config = self.layers[merged[0]]["config"]
        axis = config.get("axis", config.get("concat_axis"))
        if merged[0] != merged[1] or axis not in (1, -2):
            raise self.other(f"both inputs joined along the positions (axis 1), got axis {axis}")
        return merged[0]

    def _trunk(self, name: str) -> None:
        name = self._next(name, "Conv1D", "Bidirectional")
        self.architecture = "cnn" if self.layers[name]["class_name"] == "Conv1D" else "gru"
        if self.architecture == "cnn":
            self.roles["conv_merged"] = name
            name = self._follow(name, max_pooling1d_1="MaxPooling1D", dropout_1="Dropout")
        else:
            self.roles["gru"] = name
        name = self._follow(name, flatten_1="Flatten", hidden1="Dense", output="Dense")
        if self.followers[name]:
            raise self.other(f"layer {name!r} as its only output, got more layers after it")

    def _settings(self, role: str, **expected: Any) -> dict[str, Any]:
        """Return the settings of a layer, refusing others than those expected."""
        config = self.layers[self.roles[role]]["config"]
        return self._checked(f"layer {self.roles[role]!r}", config, **expected)

    def _checked(self, where: str, config: dict[str, Any], **expected: Any) -> dict[str, Any]:
        for key, value in expected.items():
            got = config.get(key, value)
            # A custom function is saved as {"class_name": ...}; only plain names are known.
            got = got.get("class_name") if isinstance(got, dict) else got
            got = got[0] if isinstance(got, list) and len(got) == 1 else got
            if got != value:
                raise self.other(f"{key} {value!r} in {where}, got {got!r}")
        return config

    def _conv(self, role: str) -> tuple[int, int]:
        expected = {"padding": "valid", "activation": "relu", "strides": 1, "dilation_rate": 1, "use_bias": True}
        config = self._settings(role, **expected)
        return int(config["filters"]), int(_one(config["kernel_size"]))

    def _pool(self, role: str) -> tuple[int, int]:
        config = self._settings(role, padding="valid")
        size = int(_one(config["pool_size"]))
        return size, int(_one(config.get("strides") or size))

    def spec(self, name: str, tasks: tuple[str, ...] | None) -> ModelSpec:
        """Return the spec the settings amount to, which must be ones that this library builds."""
        from ripe_lib.network.architecture import resolved_sizes

        n_hidden = int(self._settings("hidden1", activation="relu", use_bias=True)["units"])
        n_outputs = int(self._settings("output", activation="sigmoid", use_bias=True)["units"])
        if tasks is None:
            tasks = tuple(f"task_{index}" for index in range(n_outputs))
        if len(tasks) != n_outputs:
            raise WeightsError(
                f"{self.path}: expected {len(tasks)} outputs (as many as RBP names), got {n_outputs}. "
                "Give the list that belongs to this file with --tasks."
            )
        lengths = [self.layers[name]["config"]["batch_input_shape"] for name in self.inputs]
        for shape in lengths:
            if len(shape) != 3 or shape[2] != 4 or not isinstance(shape[1], int):
                raise self.other(f"inputs of shape (length, 4), got {shape[1:]}")
        sizes: dict[str, Any] = {"dropout": float(self._settings("left_drop1").get("rate", 0.25))}
        sizes["filters"], sizes["kernel"] = self._conv("left_conv1")
        sizes["left_pool"] = self._pool("left_pool1")
        if len(lengths) == 2:
            if self._conv("right_conv1") != (sizes["filters"], sizes["kernel"]):
                raise self.other(f"equal first convolutions, got {self._conv('right_conv1')} on the region side")
            sizes["right_pool"] = self._pool("right_pool1")
        if self.architecture == "cnn":
            sizes["merged_filters"], sizes["merged_kernel"] = self._conv("conv_merged")
            sizes["merged_pool"] = self._pool("max_pooling1d_1")
        else:
            sizes["gru_units"] = self._gru()
        sizes["hidden"] = n_hidden
        defaults = resolved_sizes(ModelSpec(name="x", tasks=("x",), architecture=self.architecture))
        return ModelSpec(
            name=name,
            tasks=tasks,
            sequence_length=lengths[0][1],
            region_length=lengths[1][1] if len(lengths) == 2 else 0,
            architecture=self.architecture,
            inputs="sequence+region" if len(lengths) == 2 else "sequence",
            sizes={key: value for key, value in sizes.items() if defaults[key] != value},
        )

    def _gru(self) -> int:
        config = self._settings("gru")
        inner = config["layer"]
        if inner["class_name"] != "GRU" or config.get("merge_mode", "concat") != "concat":
            raise self.other(f"a bidirectional GRU whose directions are concatenated, got {inner['class_name']}")
        functions = {"activation": "tanh", "recurrent_activation": "hard_sigmoid"}
        flags = {"return_sequences": True, "reset_after": False, "use_bias": True, "go_backwards": False}
        return int(self._checked("the GRU", inner["config"], **functions, **flags)["units"])


def _sources(layer: dict[str, Any]) -> list[str]:
    nodes = layer.get("inbound_nodes") or []
    if len(nodes) > 1:
        raise IndexError(f"layer {layer['name']!r} is used more than once")
    return [entry[0] for entry in nodes[0]] if nodes else []


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) else value


def _layer_arrays(file: ForeignHdf5, weights: h5py.Group, layer: str) -> list[np.ndarray]:
    path = file.path
    if layer not in weights:
        raise WeightsError(f"{path}: layer {layer!r} is missing from 'model_weights'. The file is incomplete.")
    group = weights[layer]
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in _listed(group, "weight_names")]
    if not names:
        group.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    if missing := [name for name in names if name not in group]:
        raise WeightsError(f"{path}: layer {layer!r}: array {missing[0]!r} is missing. The file is incomplete.")
    # Keras 3 keeps forward before backward and kernel, recurrent kernel, bias in each; older versions did too, but
    # files without weight_names come in alphabetical order.
    names.sort(key=lambda name: ("backward" in name, _kind(name, layer, path)))
    return [np.asarray(file.array(f"{group.name}/{name}", "f"), dtype=np.float32) for name in names]


def _kind(name: str, layer: str, path: Path) -> int:
    last = name.split("/")[-1].split(":")[0]
    for candidate in (last, last.rsplit("_", 1)[-1]):
        if candidate in KERNEL_ORDER:
            return KERNEL_ORDER[candidate]
    raise WeightsError(f"{path}: layer {layer!r}: expected kernels and biases, got an array called {name!r}.")


def _listed(group: h5py.Group, name: str) -> list[Any]:
    """Return a list attribute; Keras cuts long ones into ``name0``, ``name1``, ..."""
    parts = [name] if name in group.attrs else takewhile(group.attrs.__contains__, (f"{name}{n}" for n in count()))
    return [item for part in parts for item in group.attrs[part]]
