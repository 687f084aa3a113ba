"""Thresholds from the calibration, and choices that contradict themselves."""

import re
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ripe_lib.errors import InputError, RipeError
from ripe_lib.evaluation.metrics import shift_prevalence
from ripe_lib.network.catalogue.locate import find_model_directory
from ripe_lib.scan.engine import Scanner
from ripe_lib.scan.memory import SequenceSource
from ripe_lib.scan.run import ScanOptions, scan_to_files
from ripe_lib.scan.thresholds import ThresholdChoice, calibration_prevalence, find_thresholds
from tests.support.motif_model import motif_model

CARD = "Scale and offset of each output were fitted on the validation split (Platt) for a prevalence of 0.20 and are\n"


@pytest.fixture
def calibrated(tmp_path):
    (tmp_path / "model_card.md").write_text(CARD)
    return motif_model(directory=tmp_path)


def test_at_the_prevalence_of_the_calibration_the_threshold_is_the_precision():
    assert shift_prevalence(0.7, source=0.2, target=0.2) == pytest.approx(0.7)


def test_at_even_odds_the_threshold_for_a_half_is_the_prevalence_of_the_calibration():
    """Probability = prevalence means the sequence says nothing either way: precision = prevalence."""
    for prevalence in (0.5, 0.1, 0.013):
        assert shift_prevalence(prevalence, source=prevalence, target=0.2) == pytest.approx(0.2)


def test_threshold_by_hand():
    """Calibrated for 1 in 5; where 1 in 100 is bound, precision 1/2 takes odds of 99 / 4 = 24.75."""
    assert shift_prevalence(0.5, source=0.01, target=0.2) == pytest.approx(24.75 / 25.75)


def test_calls_are_as_precise_as_promised():
    """Draw windows whose probabilities are right at 1 in 5, look at them where 1 in 50 is bound, count the weakest."""
    rng = np.random.default_rng(1)
    n = 2_000_000
    evidence = rng.normal(0, 2, n) - 2  # logits of windows, both kinds together
    at_fifth = 1 / (1 + np.exp(-evidence))
    bound = rng.random(n) < at_fifth
    own = bound.mean()
    weight = np.where(bound, 0.02 / own, 0.98 / (1 - own))  # what looking elsewhere does to the mixture
    threshold = shift_prevalence(0.3, source=0.02, target=own)
    weakest = np.abs(np.log(at_fifth / (1 - at_fifth)) - np.log(threshold / (1 - threshold))) < 0.05
    assert np.average(bound[weakest], weights=weight[weakest]) == pytest.approx(0.3, abs=0.03)


def test_find_thresholds_from_the_calibration(calibrated):
    scanner, source = Scanner(calibrated), SequenceSource(np.zeros(300, np.uint8), name="r")
    found = find_thresholds(scanner, source, source.runs(1), ThresholdChoice(precision=0.5, prevalence=0.01))
    np.testing.assert_allclose(found.of("r"), [24.75 / 25.75] * 2)
    assert found.backgrounds == []
    assert np.isnan(found.rates("r", [0], np.array([0.5]))).all()
    assert "where 0.01 of the places are bound" in found.explanation
    assert "shorter than the window" not in found.explanation
    short = SequenceSource(np.zeros(42, np.uint8))
    warned = find_thresholds(scanner, short, short.runs(1), ThresholdChoice(precision=0.5))
    assert "does not hold for RNAs shorter than the window" in warned.explanation
    own = find_thresholds(scanner, source, source.runs(1), ThresholdChoice(precision=0.6))
    np.testing.assert_allclose(own.of("r"), [0.6] * 2)


def test_shipped_models_state_their_calibration():
    from ripe_lib.network.catalogue import list_models

    table = list_models()
    names = table.loc[table["status"] == "bundled", "model"].tolist()
    assert "DeepRiPe/clip31" in names
    for name in names:
        try:
            directory = find_model_directory(name)
        except RipeError as error:
            pytest.skip(f"shipped models are not here: {error}")
        assert calibration_prevalence(types.SimpleNamespace(name=name, directory=directory)) == 0.2


def test_models_without_calibration_are_refused(tmp_path):
    for directory in (None, tmp_path):
        with pytest.raises(InputError, match="model DeepRiPe/motif: expected calibrated probabilities"):
            calibration_prevalence(motif_model(directory=directory))
    (tmp_path / "model_card.md").write_text("# a model\nCalibration error (ECE) at a prevalence of 0.20.\n")
    with pytest.raises(InputError, match="Choose a false-positive rate"):
        calibration_prevalence(motif_model(directory=tmp_path))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"threshold": 0.5, "false_positive_rate": 0.1}, "one way to choose thresholds, got threshold and false-posi"),
        ({"threshold": 0.5, "precision": 0.1}, "got threshold and precision"),
        ({"precision": 1.0}, "precision: expected a number between 0 and 1, got 1.0"),
        ({"precision": 0.5, "prevalence": 0}, "prevalence: expected a number between 0 and 1, got 0"),
        ({"prevalence": 0.5}, "prevalence: only means something together with a precision"),
        ({"threshold": 0}, "threshold: expected a probability above 0, at most 1, got 0"),
        ({"false_positive_rate": 1}, "false-positive rate: expected a number between 0 and 1, got 1"),
    ],
)
def test_contradictions_are_refused(choice, message):
    with pytest.raises(InputError, match=message):
        ThresholdChoice(**choice)


def test_wrong_choices_cost_no_computing(tmp_path, monkeypatch):
    monkeypatch.setattr("ripe_lib.output.chunked.run_chunks", lambda *_, **__: pytest.fail("computed"))
    options = ScanOptions(thresholds=ThresholdChoice(precision=0.5))
    source = SequenceSource(np.zeros(30, np.uint8))
    with pytest.raises(InputError, match="expected calibrated probabilities"):
        scan_to_files(motif_model(), source, sites=[tmp_path / "s.tsv"], options=options)
    assert list(tmp_path.iterdir()) == []


def test_sites_carry_their_threshold_and_rate(tmp_path, rng):
    """A planted motif in a short RNA: threshold of its own length, and the share of random RNAs as good."""
    from ripe_lib.genome.rna_fasta import read_rna_fasta
    from ripe_lib.scan.sources import RnaSource
    from tests.support.scan_genome import write_fasta

    records = {"long": "CG" * 200 + "ACUAAC" + "GC" * 100, "short": "GCGCGUUUACUAACGGCCGC"}
    source = RnaSource(read_rna_fasta(write_fasta(tmp_path / "r.fa", records), tmp_path / "scratch"))
    result = scan_to_files(motif_model(), source, sites=[tmp_path / "s.tsv"])
    sites = pd.read_csv(tmp_path / "s.tsv", sep="\t").set_index("chrom")
    assert set(sites["task"]) == {"MOTIF"}
    values = result.thresholds.set_index(["of", "task"])["threshold"]
    assert sites.loc["long", "threshold"] == pytest.approx(values["all bins", "MOTIF"])
    assert sites.loc["short", "threshold"] == pytest.approx(values["RNAs of 20 nt", "MOTIF"])
    assert (sites["score"] >= sites["threshold"]).all()
    assert sites.loc["short", "fpr"] <= 0.05
    assert sites.loc["long", "fpr"] <= 0.01
    assert sites["fpr"].min() >= 1 / 6000
    assert "of random RNAs as short as these show a site" in result.threshold_note


def test_table_of_the_documentation():
    """``docs/scan.md`` says which threshold a precision of one half takes."""
    text = (Path(__file__).parents[3] / "docs" / "scan.md").read_text()
    rows = re.findall(r"\| (0\.\d+) \| (0\.\d+) \|$", text, re.MULTILINE)
    assert len(rows) == 4
    for prevalence, threshold in rows:
        expected = shift_prevalence(0.5, source=float(prevalence), target=0.2)
        assert float(threshold) == pytest.approx(expected, abs=0.005)
