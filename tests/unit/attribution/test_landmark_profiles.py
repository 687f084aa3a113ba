"""Partial dependence on distances to landmarks, against a slow computation, and its page in the gallery."""

import numpy as np
import pandas as pd
import pytest

from ripe_lib.attribution.landmark_profiles import BIN_EDGES, landmark_profiles
from ripe_lib.attribution.methods import Method
from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import one_hot
from ripe_lib.genome.landmarks import LANDMARKS, encode_landmarks
from ripe_lib.genome.windows import Windows
from ripe_lib.network.predict import predict
from ripe_lib.reports.gallery import GalleryOptions, write_gallery
from tests.support.explaining import Ready
from tests.support.toy_models import random_model


@pytest.fixture(scope="module")
def three():
    return random_model(tasks=("A", "B"), seed=4, architecture="towers", inputs="sequence+region+landmarks")


def sites(rng, n):
    seq, region = (rng.integers(0, 4, (n, length)).astype(np.uint8) for length in (150, 250))
    observed = np.rint(rng.choice([-1, 1], (n, 8)) * 10 ** rng.uniform(0, 5, (n, 8)))
    observed[rng.random((n, 8)) < 0.2] = np.nan
    return seq, region, observed


def test_profiles_are_means_over_changed_sites(three, rng, monkeypatch):
    seq, region, observed = sites(rng, 6)
    grid = np.array([-500.0, 0.0, 70.0])
    monkeypatch.setattr("ripe_lib.attribution.landmark_profiles.DISTANCES", grid)
    profiles = landmark_profiles(three, seq, region, observed)
    assert profiles.scores.shape == (8, 3, 2)
    for number in (0, 5):
        for place, distance in enumerate(grid):
            moved = observed.copy()
            moved[:, number] = distance
            windows = {"seq": one_hot(seq), "region": one_hot(region), "landmarks": encode_landmarks(moved)}
            np.testing.assert_allclose(profiles.scores[number, place], predict(three, windows).mean(axis=0), atol=1e-6)
    table = profiles.table()
    assert len(table) == 8 * 3 * 2
    row = table[(table["task"] == "B") & (table["landmark"] == LANDMARKS[5]) & (table["distance"] == 70)].iloc[0]
    assert row["score"] == profiles.scores[5, 2, 1]
    low, high = BIN_EDGES[BIN_EDGES <= 70].max(), BIN_EDGES[BIN_EDGES > 70].min()
    assert row["n_sites"] == ((observed[:, 5] >= low) & (observed[:, 5] < high)).sum()


def test_models_without_landmarks_are_refused(rng):
    with pytest.raises(InputError, match="expected a model with the landmark input"):
        landmark_profiles(random_model(tasks=("A",)), *sites(rng, 2))


def test_the_gallery_has_a_picture_for_every_task(three, rng, tmp_path):
    seq, region, observed = sites(rng, 9)
    observed[0] = np.nan  # a site without annotation takes no part
    frame = pd.DataFrame({"chrom": "chr1", "start": np.arange(9) * 500, "end": np.arange(9) * 500 + 40})
    frame = frame.assign(name=[f"s{i}" for i in range(9)], strand="+")
    windows = Windows(one_hot(seq), one_hot(region), encode_landmarks(observed), frame)
    options = {"tasks": ["B"], "method": Method(), "options": GalleryOptions(top=1, min_score=0.0)}
    gallery = write_gallery(three, Ready([windows]), tmp_path / "g", **options)
    assert sorted(p.name for p in (gallery.folder / "pictures").glob("landmarks_*")) == ["landmarks_B.png"]
    table = pd.read_csv(gallery.folder / "landmarks.tsv", sep="\t")
    assert set(table["task"]) == {"B"}
    expected = landmark_profiles(three, seq[1:], region[1:], observed[1:]).table().query("task == 'B'")
    np.testing.assert_allclose(table["score"], expected["score"], atol=1e-5)
    assert "The mean score of 8 of the sites" in (gallery.folder / "index.html").read_text()
    without = Windows(windows.seq, windows.region, encode_landmarks(np.full((9, 8), np.nan)), frame)
    folder = write_gallery(three, Ready([without]), tmp_path / "n", **options).folder
    assert not (folder / "landmarks.tsv").exists()
