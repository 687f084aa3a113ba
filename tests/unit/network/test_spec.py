"""What a spec refuses."""

import pytest

from ripe_lib.errors import InputError, UnknownNameError
from ripe_lib.network.spec import ModelSpec


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ()}, "expected at least one task"),
        ({"tasks": ("A", "A")}, "no name twice"),
        ({"sequence_length": 151}, "expected even window lengths, got sequence 151"),
        ({"sequence_length": 0}, "expected even window lengths"),
        ({"region_length": 251}, "and region 251"),
        ({"region_length": 0}, "and region 0"),
        ({"region_length": -2}, "and region -2"),
        ({"inputs": "region"}, "expected inputs to be one of"),
    ],
)
def test_refused(options, message):
    with pytest.raises(InputError, match=message):
        ModelSpec(**{"name": "DeepRiPe/x", "tasks": ("A",), **options})


def test_sequence_only_has_no_region():
    spec = ModelSpec(name="x", tasks=["A"], inputs="sequence", region_length=250)
    assert (spec.region_length, spec.has_region, spec.tasks) == (0, False, ("A",))


def test_task_index():
    spec = ModelSpec(name="DeepRiPe/x", tasks=("QKI", "PUM2"))
    assert spec.task_index("PUM2") == 1
    with pytest.raises(UnknownNameError, match=r"unknown task 'pum'. Did you mean 'PUM2'\? List them with: ripe tasks"):
        spec.task_index("pum")
