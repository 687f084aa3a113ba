"""Shared fixtures. HOME is a temporary folder before anything is imported: Kipoi keeps its config there."""

import os
import tempfile
from pathlib import Path

_HOME = tempfile.mkdtemp(prefix="ripe-test-home-")
os.environ["HOME"] = _HOME
os.environ["RIPE_MODELS_DIR"] = str(Path(_HOME) / "models")
os.environ["RIPE_CACHE_DIR"] = str(Path(_HOME) / "cache")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("unhurried", deadline=None)  # no test depends on how busy the machine is
settings.load_profile("unhurried")

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("RIPE_SHARED", REPOSITORY.parent / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """``shared/data`` beside the checkout; tests that need it are skipped where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"real data not here: {folder} (set RIPE_SHARED to the folder that holds data/)")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20200214)


@pytest.fixture(scope="session")
def tiny_model():
    """A paper CNN with three tasks and seeded random weights (not trained)."""
    from tests.support.toy_models import random_model

    return random_model()
