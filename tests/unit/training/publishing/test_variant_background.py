"""The background table: what is written is what percentiles are read from."""

import numpy as np
import pytest

from ripe_lib.errors import InputError, ShapeMismatchError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.network.load import load_model
from ripe_lib.variants.summary import load_background, percentiles
from tests.support.toy_datasets import write_toy_dataset
from tests.support.toy_models import random_model
from tests.support.variant_files import write_model
from training.publishing import variant_background


@pytest.fixture
def model(tmp_path):
    return load_model(write_model(random_model(tasks=("PUM_TOY", "QKI_TOY")), tmp_path / "toy"))


@pytest.fixture
def dataset(tmp_path, rng):
    write_toy_dataset(tmp_path / "toy.h5", rng, n=300)
    return tmp_path / "toy.h5"


def test_table_is_seeded_and_gives_uniform_percentiles(tmp_path, model, dataset):
    assert load_background(model) is None
    arguments = [str(model.directory), str(dataset), "--variants", "2000"]
    assert variant_background.main(arguments) == 0
    path = model.directory / "variant_background.tsv"
    assert variant_background.main([*arguments, "-o", str(tmp_path / "again.tsv")]) == 0
    assert path.read_bytes() == (tmp_path / "again.tsv").read_bytes()
    background = load_background(model)
    fresh = variant_background.background_deltas(model, Dataset(dataset), 1500, np.random.default_rng(9))
    found = percentiles(fresh, background)
    # Deltas of the same kind are spread evenly over the percentages.
    counts = np.histogram(found[:, 0], bins=10, range=(0, 100))[0]
    assert counts.min() > 90
    assert counts.max() < 220


def test_table_of_other_weights_is_refused(model, dataset):
    variant_background.write_background(
        model, Dataset(dataset), model.directory / "variant_background.tsv", n=50, seed=1
    )
    path = model.directory / "variant_background.tsv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(["# deepripe-variant-background-1 weights=other", *lines[1:]]))
    with pytest.raises(InputError, match="got that of others"):
        load_background(model)
    path.write_text("\n".join([lines[0], *lines[1:-1]]) + "\n")
    with pytest.raises(InputError, match="one row per task"):
        load_background(model)
    path.write_text("\n".join(lines[1:]))
    with pytest.raises(InputError, match="expected a table of format"):
        load_background(model)


def test_mistakes(tmp_path, model, dataset, rng, capsys):
    other = random_model(tasks=("A",), sequence_length=200)
    with pytest.raises(ShapeMismatchError, match="expected windows of 200"):
        variant_background.background_deltas(other, Dataset(dataset), 5, rng)
    assert variant_background.main([str(model.directory), str(tmp_path / "absent.h5")]) == 2
    assert "no such data set" in capsys.readouterr().err
