"""The three ways through the house stay short, and CONTRIBUTING.md shows them as they are."""

import re

import numpy as np
import pandas as pd
import pytest

from tests.support.ways import ROOT, WAYS, files_and_returns, holds_data

MOST_FILES = {"An interval": 9, "A VCF record": 12, "A peak": 14}
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.mark.slow  # every call of a run is traced
@pytest.mark.parametrize("title", MOST_FILES)
def test_a_way_is_short_and_described(title, tmp_path, capsys):
    way = WAYS[title](tmp_path)
    files = {file for file, _ in way}
    assert files_and_returns(way)[0] == len(files) <= MOST_FILES[title]
    described = TEXT.split(f"\n{title} (")[1].split("\n\n")[1]
    assert set(re.findall(r"^\d+\. `(.+?)`", described, flags=re.MULTILINE)) == files
    assert f"\n{title} (" in TEXT
    assert re.search(rf"^{title} \(.*\): {len(files)} files", TEXT, flags=re.MULTILINE)


def test_returns_are_entries_of_a_file_that_was_left():
    way = [("a", "f"), ("a", "g"), ("b", "f"), ("a", "f"), ("c", "f"), ("b", "f")]
    assert files_and_returns(way) == (3, 2)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.ones(1), True),
        (np.ones(0), False),
        (b"x", True),
        (b"", False),
        (pd.DataFrame({"a": [1]}), True),
        (({"a": np.ones(2)}, 1), True),
        ("text", False),
        (["names"], False),
        (np.float32(1), False),
    ],
)
def test_what_the_data_are(value, expected):
    assert holds_data(value) is expected
