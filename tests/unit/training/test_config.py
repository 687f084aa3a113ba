"""Values of config files."""

from dataclasses import dataclass
from pathlib import Path

from training.config import build


@dataclass(frozen=True)
class OfPath:
    path: Path


def test_the_home_of_an_unknown_user_stays_as_it_is(monkeypatch):
    monkeypatch.setenv("HOME", "/home")
    assert build(OfPath, {"path": "~/x"}, "c.yaml").path == Path("/home/x")
    assert build(OfPath, {"path": "~nobody-of-that-name/x"}, "c.yaml").path == Path("~nobody-of-that-name/x")
