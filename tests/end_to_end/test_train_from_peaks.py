"""A lab's way: one YAML file, prepare, fit, publish, and the stock `kipoi test` on the result."""

import os
import subprocess
import sys

import numpy as np
import pytest
import yaml

import ripe_lib
from ripe_lib.evaluation.dataset import Dataset
from tests.support.kipoi_home import ROOT, stock
from tests.support.peak_files import write_peak_project
from tests.support.toy_datasets import TINY_SIZES

pytestmark = pytest.mark.slow


def ripe_train(*words, check=True):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "training.cli.main", *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture
def config(tmp_path):
    write_peak_project(tmp_path, n_peaks=120)
    path = tmp_path / "lab.yaml"
    place = str(tmp_path)
    content = {
        "prepare": {
            "output": f"{place}/lab.h5",
            "report": True,
            "peaks": {
                "fasta_file": f"{place}/genome.fa",
                "gtf_file": f"{place}/genes.gtf",
                "table": f"{place}/peaks.tsv",
                "background": {"strategy": "any_transcripts", "ratio": 1.0},
            },
            "window": {"margin": 20},
            "split": {"method": "random"},
        },
        "fit": {
            "name": "DeepRiPe/lab",
            "run": f"{place}/run",
            "sizes": {k: list(v) if isinstance(v, tuple) else v for k, v in TINY_SIZES.items()},
            "epochs": 2,
            "augment": {"jitter": 10},
        },
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.kipoi
def test_from_peaks_to_kipoi(config, tmp_path, monkeypatch):
    monkeypatch.setenv("RIPE_MODELS_DIR", str(tmp_path / "models"))
    prepared = ripe_train("prepare", config)
    assert "3 tasks" in prepared.stdout
    assert (tmp_path / "lab_report.html").is_file()
    assert ripe_train("fit", config).stdout.strip() == str(tmp_path / "run")
    again = ripe_train("fit", config)
    assert "finished already" in again.stderr
    published = ripe_train("publish", tmp_path / "run", "--bootstrap", 20)
    directory = tmp_path / "models" / "DeepRiPe" / "lab"
    assert published.stdout.strip() == str(directory)
    done = stock("test", directory, "--source=dir")
    assert "Successfully ran test_predict" in done.stdout + done.stderr
    model = ripe_lib.load_model("DeepRiPe/lab")
    windows = Dataset(tmp_path / "lab.h5").windows(np.arange(4))
    assert ripe_lib.predict(model, windows).shape == (4, 3)


def test_errors_are_one_line_and_exit_code_2(config, tmp_path):
    text = config.read_text()
    for spoil, message in (
        (text.replace("  split:", "  splits:"), "unknown key 'splits'. Did you mean 'split'?"),
        (text.replace("peaks.tsv", "none.tsv"), "no such table of peak files"),
        (text.replace("epochs: 2", "epochs: many"), "expected int, got 'many'"),
    ):
        config.write_text(spoil)
        command = "fit" if "many" in spoil else "prepare"
        done = ripe_train(command, config, check=False)
        assert done.returncode == 2
        lines = [line for line in done.stderr.splitlines() if line.startswith("ripe-train")]
        assert len(lines) == 1
        assert message in lines[0]
    assert not (tmp_path / "lab.h5").exists()


def test_unfinished_runs_and_foreign_folders_are_not_published(tmp_path):
    done = ripe_train("publish", tmp_path, check=False)
    assert done.returncode == 2
    assert "is not a run" in done.stderr
