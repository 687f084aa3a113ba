"""Models that share everything but their last layer, run as one network.

Tiers that were cut from one network differ in their output columns only. Which models those are is read from the
weights, not from the names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ripe_lib.network.load import Model
from ripe_lib.network.weights import LayerArrays, arrays_of, set_arrays

OUTPUT = "output"  # the last layer of every architecture


@dataclass(frozen=True)
class JointModel:
    """One network for several models.

    Attributes
    ----------
    model : Model
        Its tasks are those of the members, one after the other; a single member is the model itself.
    members : list of (int, slice)
        Index of every member in the list of models, and its columns.
    """

    model: Model
    members: list[tuple[int, slice]]


def joint_models(models: Sequence[Model]) -> list[JointModel]:
    """Put models together whose specs and weights agree in everything but tasks and the last layer.

    Parameters
    ----------
    models : sequence of Model

    Returns
    -------
    list of JointModel
        In order of their first members; every model is a member of exactly one.
    """
    groups: dict[str, list[int]] = {}
    arrays = [arrays_of(model.keras_model) for model in models]
    for number, model in enumerate(models):
        groups.setdefault(_trunk(model, arrays[number], number), []).append(number)
    found = []
    for numbers in groups.values():
        ends = np.cumsum([len(models[number].tasks) for number in numbers]).tolist()
        columns = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        joined = models[numbers[0]] if len(numbers) == 1 else _joined(models, arrays, numbers)
        found.append(JointModel(joined, list(zip(numbers, columns, strict=True))))
    return found


def _trunk(model: Model, arrays: LayerArrays, number: int) -> str:
    """Return a digest of everything but tasks and last layer; ``number`` keeps other networks apart."""
    if OUTPUT not in arrays:
        return str(number)
    digest = hashlib.sha256(replace(model.spec, name="", tasks=("",)).to_json().encode())
    for layer in sorted(set(arrays) - {OUTPUT}):
        digest.update(layer.encode())
        for array in arrays[layer]:
            digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _joined(models: Sequence[Model], arrays: Sequence[LayerArrays], numbers: Sequence[int]) -> Model:
    from ripe_lib.network.architecture import build_model

    chosen = [models[number] for number in numbers]
    name = f"{chosen[0].name}_and_{len(chosen) - 1}_more"
    tasks = tuple(f"{model.name}:{task}" for model in chosen for task in model.tasks)
    spec = replace(chosen[0].spec, name=name, tasks=tasks)
    outputs = zip(*(arrays[number][OUTPUT] for number in numbers), strict=True)
    network = build_model(spec)
    last = [np.concatenate(parts, axis=-1) for parts in outputs]
    set_arrays(network, {**arrays[numbers[0]], OUTPUT: last}, name)
    return Model(spec=spec, keras_model=network)
