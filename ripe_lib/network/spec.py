"""What defines one model: window lengths, inputs, architecture, tasks."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from ripe_lib.errors import InputError, check_known

N_LANDMARKS = 8
_LONGEST = 100_000  # nt of a window: no network of this kind is longer
_WIDEST = 10_000  # units of a layer

INPUTS = ("sequence+region+landmarks", "sequence+region", "sequence")


def _is_size(value: Any) -> bool:
    """Whether this can be the size of a layer, or several: not so large that building it takes all memory."""
    if isinstance(value, list):
        return all(map(_is_size, value))
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _WIDEST


@dataclass(frozen=True)
class ModelSpec:
    """The definition of a network, enough to build it and to make its input windows.

    Attributes
    ----------
    name : str
        Full name, e.g. ``"DeepRiPe/parclip_mid"``.
    tasks : tuple of str
        Output columns, in order; one per data set of an RBP.
    sequence_length, region_length : int
        Window lengths in nt. ``region_length`` is 0 when the model has no region input.
    architecture : str
        A key of :data:`ripe_lib.network.architecture.ARCHITECTURES`.
    inputs : str
        One of :data:`INPUTS`.
    landmark_bases : int
        Functions of the spline basis of distances to landmarks; 0 when the model has no landmark input.
    sizes : dict
        Layer sizes that differ from the architecture's defaults.
    """

    name: str
    tasks: tuple[str, ...]
    sequence_length: int = 150
    region_length: int = 250
    architecture: str = "cnn"
    inputs: str = "sequence+region"
    landmark_bases: int = 16
    sizes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", tuple(self.tasks))
        if self.inputs not in INPUTS:
            raise InputError(f"model {self.name}: expected inputs to be one of {INPUTS}, got {self.inputs!r}.")
        if not self.has_region:
            object.__setattr__(self, "region_length", 0)
        if not self.has_landmarks:
            object.__setattr__(self, "landmark_bases", 0)
        elif self.landmark_bases < 4:
            raise InputError(f"model {self.name}: expected at least 4 landmark_bases, got {self.landmark_bases}.")
        if not self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise InputError(f"model {self.name}: expected at least one task and no name twice, got {self.tasks}.")
        lengths = (self.sequence_length, *([self.region_length] if self.has_region else []))
        if any(length < 2 or length % 2 for length in lengths):
            raise InputError(
                f"model {self.name}: expected even window lengths, got sequence {self.sequence_length} "
                f"and region {self.region_length}."
            )

    @property
    def has_region(self) -> bool:
        """Whether the model has the region-type input."""
        return "region" in self.inputs

    @property
    def has_landmarks(self) -> bool:
        """Whether the model has the input of distances to transcript landmarks."""
        return "landmarks" in self.inputs

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the network's inputs, in order."""
        return tuple(self.input_shapes)

    @property
    def input_shapes(self) -> dict[str, tuple[int, int]]:
        """Shape of one window of every input, in order."""
        shapes = {"seq": (self.sequence_length, 4)}
        if self.has_region:
            shapes["region"] = self.region_length, 4
        if self.has_landmarks:
            shapes["landmarks"] = N_LANDMARKS, self.landmark_bases
        return shapes

    def task_index(self, task: str) -> int:
        """Return the output column of a task; an unknown name is answered with its nearest neighbours."""
        check_known("task", task, self.tasks, f"List them with: ripe tasks {self.name}")
        return self.tasks.index(task)

    def to_json(self) -> str:
        """Serialise; :meth:`from_json` reads it back."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Read what :meth:`to_json` wrote; a ValueError if it is something else: the text is from files of anybody."""
        values = json.loads(text)
        spec = cls(**values)
        numbers = (spec.sequence_length, spec.region_length, spec.landmark_bases)
        if not (
            all(isinstance(one, str) for one in (spec.name, spec.architecture, *spec.tasks))
            and all(type(number) is int and 0 <= number <= _LONGEST for number in numbers)
            and isinstance(values.get("tasks"), list)
            and isinstance(spec.sizes, dict)
            and all(map(_is_size, spec.sizes.values()))
        ):
            raise InputError(
                f"model {str(spec.name)[:60]!r}: expected names and lengths of a network, got {text[:80]!r}."
            )
        return spec
