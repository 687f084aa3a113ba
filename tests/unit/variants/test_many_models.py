"""``score-variants all`` and groups of models: one pass over the file gives what single runs give."""

import numpy as np
import pandas as pd
import pytest

from ripe_lib.cli.common import model_names
from ripe_lib.cli.main import main
from ripe_lib.errors import UnknownNameError
from ripe_lib.network.catalogue.entries import catalogue
from tests.support.variant_files import FASTA, GTF, VCF

META = ["chrom", "pos", "id", "ref", "alt", "strand", "genes", "region_type", "status"]


def score(out, models, *arguments):
    command = ["score-variants", models, VCF, "--fasta", FASTA, "--gtf", GTF, "--quiet", "-o", out, *arguments]
    assert main([str(argument) for argument in command]) == 0
    return pd.read_parquet(out)


def check_against_single_runs(folder, group, models):
    together = score(folder / "all.parquet", group)
    n_columns = len(META)
    for model in models:
        alone = score(folder / "one.parquet", model)
        pd.testing.assert_frame_equal(alone[META], together[META])
        names = [f"{model}:{name}" for name in alone.columns[len(META) :]]
        np.testing.assert_allclose(together[names], alone.iloc[:, len(META) :], atol=1e-5)
        n_columns += len(names)
    assert together.shape[1] == n_columns
    return together


def test_a_group_scores_as_its_models_alone(tmp_path):
    models = [f"DeepRiPe/parclip_{tier}" for tier in ("high", "mid", "low")]
    wide = check_against_single_runs(tmp_path, "parclip_*", models)
    deltas = wide.filter(regex=r"\.delta$").abs()
    long = score(tmp_path / "long.parquet", "parclip_*", "--top", 2, "--min-delta", 0.05)
    kept = wide[(deltas.max(axis=1) >= 0.05)]
    assert len(long) == 2 * len(kept) > 0
    assert list(long["id"]) == list(np.repeat(kept["id"].to_numpy(), 2))
    first = long.iloc[::2]
    assert list(first["model"] + ":" + first["task"] + ".delta") == list(deltas.loc[kept.index].idxmax(axis=1))
    np.testing.assert_allclose(first["delta"].abs(), deltas.loc[kept.index].max(axis=1), atol=1e-6)


@pytest.mark.slow
def test_all_models_score_as_alone(tmp_path):
    check_against_single_runs(tmp_path, "all", model_names(["all"]))


def test_names_and_groups():
    shipped = [name for name, entry in catalogue().models.items() if entry.origin == "shipped"]
    assert model_names(["all"]) == [name for name in shipped if not name.endswith("_paper")]
    assert model_names(["*_paper"]) == [name for name in shipped if name.endswith("_paper")]
    assert model_names(["eclip_hepg2_*"]) == [name for name in shipped if "eclip_hepg2" in name]
    chosen = model_names(["parclip_mid", "some/folder", "DeepRiPe/parclip_*"])
    assert chosen[:2] == ["DeepRiPe/parclip_mid", "some/folder"]
    assert sorted(chosen[2:]) == ["DeepRiPe/parclip_high", "DeepRiPe/parclip_low"]
    with pytest.raises(UnknownNameError, match=r"unknown group of models 'eclipse_\*'"):
        model_names(["eclipse_*"])
