"""Files in the layout of Keras 2.0 to 2.2, written without Keras: PAPER_FACTS, "Saved files of that era"."""

import json

import h5py
import numpy as np

from ripe_lib.network.architecture import resolved_sizes


def _conv(name, filters, kernel, source):
    config = {
        "name": name,
        "filters": filters,
        "kernel_size": [kernel],
        "strides": [1],
        "padding": "valid",
        "dilation_rate": [1],
        "activation": "relu",
        "use_bias": True,
    }
    return {"name": name, "class_name": "Conv1D", "config": config, "inbound_nodes": [[[source, 0, 0, {}]]]}


def _layer(class_name, name, source, **config):
    nodes = [[[one, 0, 0, {}] for one in ([source] if isinstance(source, str) else source)]]
    return {"name": name, "class_name": class_name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def legacy_layers(spec, *, old=False):
    """Return ``model_config``'s layers and {this library's layer name: the file's}."""
    sizes = resolved_sizes(spec)
    number = 7 if old else 1  # an older session had numbered its automatic names further

    def pooled(size):
        return size if old else [size]

    def pool(name, settings, source):
        return _layer(
            "MaxPooling1D", name, source, pool_size=pooled(settings[0]), strides=pooled(settings[1]), padding="valid"
        )

    layers, ends = [], []
    for side, length in (("left", spec.sequence_length), ("right", spec.region_length))[: 1 + spec.has_region]:
        shape = [None, length, 4]
        layers += [
            {
                "name": f"{side}_input",
                "class_name": "InputLayer",
                "config": {"name": f"{side}_input", "batch_input_shape": shape, "dtype": "float32"},
                "inbound_nodes": [],
            },
            _conv(f"{side}_conv1", sizes["filters"], sizes["kernel"], f"{side}_input"),
            pool(f"{side}_pool1", sizes[f"{side}_pool"], f"{side}_conv1"),
            _layer("Dropout", f"{side}_drop1", f"{side}_pool1", rate=sizes["dropout"]),
        ]
        ends.append(f"{side}_drop1")
    last = ends[0]
    if spec.has_region:
        last = f"concatenate_{number}"
        layers.append(_layer("Concatenate", last, ends, axis=1))
    names = {"flatten_1": f"flatten_{number}"}
    if spec.architecture == "cnn":
        names |= {"max_pooling1d_1": f"max_pooling1d_{number}", "dropout_1": f"dropout_{number}"}
        layers += [
            _conv("conv_merged", sizes["merged_filters"], sizes["merged_kernel"], last),
            pool(names["max_pooling1d_1"], sizes["merged_pool"], "conv_merged"),
            _layer("Dropout", names["dropout_1"], names["max_pooling1d_1"], rate=sizes["dropout"]),
        ]
        last = names["dropout_1"]
    else:
        names["gru"] = "gru" if not old else "bidirectional_3"
        inner = {
            "name": "gru_1",
            "units": sizes["gru_units"],
            "activation": "tanh",
            "recurrent_activation": "hard_sigmoid",
            "return_sequences": True,
            "use_bias": True,
        }
        if not old:
            inner["reset_after"] = False
        wrapped = {"class_name": "GRU", "config": inner}
        layers.append(_layer("Bidirectional", names["gru"], last, merge_mode="concat", layer=wrapped))
        last = names["gru"]
    layers += [
        _layer("Flatten", names["flatten_1"], last),
        _layer("Dense", "hidden1", names["flatten_1"], units=sizes["hidden"], activation="relu", use_bias=True),
        _layer("Dense", "output", "hidden1", units=len(spec.tasks), activation="sigmoid", use_bias=True),
    ]
    return layers, names


def _weight_names(role, layer, n):
    if n == 6:
        parts = ("kernel:0", "recurrent_kernel:0", "bias:0")
        return [f"{layer}/{way}_gru_1/{part}" for way in ("forward", "backward") for part in parts]
    return [f"{layer}/kernel:0", f"{layer}/bias:0"]


def write_legacy(path, network, spec, *, old=False, named_weights=True, change=None):
    """Write a network's arrays in the old layout.

    ``old``: the habits of 2.0.x (automatic names further on, integers for pool sizes, no ``reset_after``).
    ``named_weights=False`` leaves the attribute ``weight_names`` out. ``change(layers)`` may spoil the configuration.
    """
    layers, names = legacy_layers(spec, old=old)
    if change is not None:
        change(layers)
    config = {"class_name": "Model", "config": {"name": "model_1", "layers": layers, "input_layers": []}}
    with h5py.File(path, "w") as handle:
        handle.attrs["backend"] = b"tensorflow"
        handle.attrs["keras_version"] = b"2.0.8" if old else b"2.2.4"
        handle.attrs["model_config"] = json.dumps(config).encode() if old else json.dumps(config)
        handle.attrs["training_config"] = b"{}"
        group = handle.create_group("model_weights")
        group.attrs["layer_names"] = np.array([layer["name"].encode() for layer in layers])
        roles = {names.get(layer.name, layer.name): layer for layer in network.layers}
        for layer in layers:
            values = roles[layer["name"]].get_weights() if layer["name"] in roles else []
            part = group.create_group(layer["name"])
            written = _weight_names(layer["name"], layer["name"], len(values)) if values else []
            if named_weights:
                part.attrs["weight_names"] = np.array([name.encode() for name in written])
            for name, value in zip(written, values, strict=True):
                part.create_dataset(name, data=value)
        optimizer = handle.create_group("optimizer_weights")
        optimizer.create_dataset("training/Adam/iterations:0", data=np.int64(3))
    return path
