"""A gallery of a model that knows landmarks: its maps are those of the sites with their distances."""

import numpy as np
import pandas as pd

from ripe_lib.attribution.compute import integrated_gradients
from ripe_lib.attribution.methods import Method
from ripe_lib.genome.encoding import one_hot
from ripe_lib.genome.landmarks import encode_landmarks
from ripe_lib.genome.windows import Windows
from ripe_lib.reports import attribution, gallery
from tests.support.explaining import Ready
from tests.support.toy_models import random_model


def test_maps_of_a_gallery_see_the_landmarks(tmp_path, rng, monkeypatch):
    model = random_model(
        sequence_length=60, region_length=80, inputs="sequence+region+landmarks", architecture="towers"
    )
    n = 3
    distances = rng.integers(-3000, 3000, (n, 8)).astype(float)
    distances[:, 1] = np.nan
    frame = pd.DataFrame({"chrom": "chr1", "start": range(100, 100 + n), "end": range(150, 150 + n)})
    frame["name"], frame["strand"] = [f"site{i}" for i in range(n)], "+"
    seq, region = (one_hot(rng.integers(0, 4, (n, length)).astype(np.uint8)) for length in (60, 80))
    windows = Windows(seq, region, encode_landmarks(distances, model.spec.landmark_bases), frame)
    drawn = {}

    def draw(maps, *, title, **options):
        drawn[title.split()[-1]] = maps[0]
        return original(maps, title=title, **options)

    original = attribution.site_figure
    monkeypatch.setattr(attribution, "site_figure", draw)
    task = model.tasks[0]
    options = gallery.GalleryOptions(min_score=0)
    gallery.write_gallery(model, Ready([windows]), tmp_path / "g", tasks=[task], options=options, method=Method())
    expected = integrated_gradients(model, windows, task=task)
    assert sorted(drawn) == ["site0", "site1", "site2"]
    for row in range(n):
        one = drawn[f"site{row}"]
        np.testing.assert_allclose(one.landmark_map, expected.landmarks[row].sum(axis=-1), atol=1e-6)
        np.testing.assert_array_equal(one.distances, distances[row])
        assert one.panels == ["logo", "region", "landmarks"]
