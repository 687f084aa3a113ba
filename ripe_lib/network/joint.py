"""Models that share everything but their last two layers, run as one network.

Tiers that started from one network have the same convolutions, where nearly all of the work is, and hidden and output
layers of their own. Hidden layers side by side, each tied to its own outputs, are one wider layer. Which models share
is read from the weights, not from the names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ripe_lib.network.load import Model
from ripe_lib.network.weights import LayerArrays, arrays_of, set_arrays

HIDDEN, OUTPUT = "hidden1", "output"  # the last two layers of every architecture


class JointModel(NamedTuple):
    """One network for several models; a single member is the model itself.

    ``members`` are their places in the list of models, and the columns of each, in the order of the tasks.
    """

    model: Model
    members: list[tuple[int, slice]]


def joint_models(models: Sequence[Model]) -> list[JointModel]:
    """Put models together whose specs and weights agree in everything but tasks and the last two layers.

    In order of their first members; every model is a member of exactly one. Asked again for the same models it returns
    the same networks, also when single models were asked for in between.
    """
    if len(models) == 1:
        return [JointModel(models[0], [(0, slice(0, len(models[0].tasks)))])]
    return list(_joint_models(tuple(models)))


@lru_cache(maxsize=1)
def _joint_models(models: tuple[Model, ...]) -> list[JointModel]:
    groups: dict[object, list[int]] = {}
    arrays = [arrays_of(model.keras_model) for model in models]
    for number, model in enumerate(models):
        is_known = {HIDDEN, OUTPUT} <= set(arrays[number])
        groups.setdefault(_trunk(model, arrays[number]) if is_known else number, []).append(number)
    found = []
    for numbers in groups.values():
        ends = np.cumsum([len(models[number].tasks) for number in numbers]).tolist()
        columns = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        joined = models[numbers[0]] if len(numbers) == 1 else _joined(models, arrays, numbers)
        found.append(JointModel(joined, list(zip(numbers, columns, strict=True))))
    return found


def _trunk(model: Model, arrays: LayerArrays) -> str:
    """Return a digest of everything but tasks and the last two layers."""
    sizes = {name: size for name, size in model.spec.sizes.items() if name != "hidden"}
    digest = hashlib.sha256(replace(model.spec, name="", tasks=("",), sizes=sizes).to_json().encode())
    for layer in sorted(set(arrays) - {HIDDEN, OUTPUT}):
        digest.update(layer.encode())
        for array in arrays[layer]:
            digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _joined(models: Sequence[Model], arrays: Sequence[LayerArrays], numbers: Sequence[int]) -> Model:
    from ripe_lib.network.architecture import build_model

    chosen = [models[number] for number in numbers]
    name = f"{chosen[0].name}_and_{len(chosen) - 1}_more"
    tasks = tuple(f"{model.name}:{task}" for model in chosen for task in model.tasks)
    # A hidden layer that several models have in common is there once.
    hidden: dict[bytes, int] = {}
    own = [hidden.setdefault(b"".join(a.tobytes() for a in arrays[n][HIDDEN]), len(hidden)) for n in numbers]
    layers = [arrays[numbers[own.index(place)]][HIDDEN] for place in range(len(hidden))]
    first = np.cumsum([0, *(bias.size for _, bias in layers)])
    kernel = np.zeros((first[-1], len(tasks)), dtype=np.float32)
    column = 0
    for place, number in zip(own, numbers, strict=True):
        block = arrays[number][OUTPUT][0]
        kernel[first[place] : first[place + 1], column : column + block.shape[1]] = block
        column += block.shape[1]
    last = {
        HIDDEN: [np.concatenate(parts, axis=-1) for parts in zip(*layers, strict=True)],
        OUTPUT: [kernel, np.concatenate([arrays[number][OUTPUT][1] for number in numbers])],
    }
    sizes = {**chosen[0].spec.sizes, "hidden": int(first[-1])}
    spec = replace(chosen[0].spec, name=name, tasks=tasks, sizes=sizes)
    network = build_model(spec)
    set_arrays(network, {**arrays[numbers[0]], **last}, name)
    return Model(spec=spec, keras_model=network)
