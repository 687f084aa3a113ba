"""Measuring on bound and other intervals: the same as predicting both and counting pairs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ripe_lib
from ripe_lib.cli.main import main
from ripe_lib.evaluation.evaluate import Options
from ripe_lib.evaluation.intervals import loci, score_intervals
from tests.support.toy_models import random_model

EXAMPLES = Path(__file__).resolve().parents[3] / "dataloaders" / "example_files"
GENOME = {"fasta_file": EXAMPLES / "genome.fa", "gtf_file": EXAMPLES / "genes.gtf"}


@pytest.fixture
def beds(tmp_path):
    lines = (EXAMPLES / "intervals.bed").read_text().splitlines(keepends=True)
    (tmp_path / "bound.bed").write_text("".join(lines[::3]))
    (tmp_path / "other.bed").write_text("".join(line for at, line in enumerate(lines) if at % 3))
    return tmp_path / "bound.bed", tmp_path / "other.bed"


def test_scores_and_auroc(beds):
    model = random_model()
    task = model.tasks[1]
    found = score_intervals(model, *beds, **GENOME, tasks=[task], options=Options(n_bootstrap=20))
    bound, other = (
        ripe_lib.predict(model, ripe_lib.make_windows(bed, spec=model.spec, **GENOME))[:, 1] for bed in beds
    )
    np.testing.assert_allclose(found.scores[:, 0], [*bound, *other], atol=1e-6)
    pairs = (bound[:, None] > other).mean() + 0.5 * (bound[:, None] == other).mean()
    (row,) = found.table().to_dict("records")
    assert row["auroc"] == pytest.approx(pairs, abs=1e-6)
    assert (row["n_pos"], row["n_neg"]) == (len(bound), len(other))
    assert found.table("other")["reason"].tolist() == ["no negative"]


def test_overlapping_intervals_are_one_locus():
    frame = pd.DataFrame(
        [
            ("a", 50, 60, "+"),
            ("a", 0, 10, "+"),
            ("a", 9, 20, "+"),
            ("a", 9, 20, "-"),
            ("b", 0, 5, "+"),
            ("a", 20, 30, "+"),
        ],
        columns=["chrom", "start", "end", "strand"],
    )
    found = loci(frame)
    assert found[1] == found[2]
    assert len(set(found)) == 5
    nested = pd.DataFrame({"chrom": "a", "start": [0, 5, 50], "end": [100, 6, 60], "strand": "+"})
    assert len(set(loci(nested))) == 1


def test_lists_of_nothing_are_refused(beds, tmp_path, capsys):
    (tmp_path / "empty.bed").write_text("")
    words = ["--positives", beds[0], "--negatives", tmp_path / "empty.bed", "--fasta", GENOME["fasta_file"]]
    assert main(["evaluate", "clip31", *map(str, words), "-o", str(tmp_path / "evaluation")]) == 2
    assert "empty.bed: expected at least one interval to measure on, got none" in capsys.readouterr().err


def test_command(beds, tmp_path, capsys):
    out = tmp_path / "evaluation"
    words = ["--positives", beds[0], "--negatives", beds[1], "--fasta", GENOME["fasta_file"], "--task", "QKI_PARCLIP"]
    assert main(["evaluate", "clip31", *map(str, words), "--bootstrap", "20", "-o", str(out)]) == 0
    assert capsys.readouterr().out.startswith("negatives,n_tasks")
    table = pd.read_csv(out / "metrics.csv")
    assert table["negatives"].tolist() == ["own"]  # no sites of other proteins are known
    assert "bound.bed and other.bed" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected either DATASET, or --positives BED --negatives BED --fasta F"),
        (["x.h5", "--positives", "a.bed", "--negatives", "b.bed"], "expected either DATASET, or --positives"),
        (["--positives", "a.bed", "--fasta", "f.fa"], "expected either DATASET, or --positives"),
        (["--positives", "a.bed", "--negatives", "b.bed"], "expected --fasta F with --positives and --negatives"),
    ],
)
def test_wrong_input(words, message, tmp_path, capsys):
    assert main(["evaluate", "clip31", *words, "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
