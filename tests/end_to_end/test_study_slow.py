"""The shipped studies in small, and one that is killed in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.support.planted_datasets import write_planted_dataset

CONFIGS = Path(__file__).resolve().parents[2] / "training" / "configs" / "study"
TABLES = {
    "clip31": {
        *("arms", "tasks", "differences", "tests", "protocols", "protocol_kmers", "time"),
        *("cross_experiment", "own_rank", "sites_by_output"),
    },
    "rbp24": {"arms", "tasks", "differences", "tests", "borders", "border_profiles", "time"},
}


def command(*arguments):
    return [sys.executable, "-m", "training.cli.main", *map(str, arguments)]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TABLES))
def test_quick_study_gives_the_same_tables_in_small(name, tmp_path, shared_data):
    environment = {**os.environ, "RIPE_DATA": str(shared_data)}
    done = subprocess.run(
        command("study", CONFIGS / f"{name}.yaml", "--quick"),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    out = tmp_path / f"study_{name}_quick"
    assert done.stdout == f"study_{name}_quick\n"
    assert {p.stem for p in (out / "tables").iterdir()} == TABLES[name]
    tests = pd.read_csv(out / "tables" / "tests.csv")
    assert (tests["n_tasks"] > 0).all()
    assert json.loads((out / "study.json").read_text())["study"] == name
    pictures = {p.stem for p in (out / "figures").glob("*.png")}
    assert pictures == {p.stem for p in (out / "figures").glob("*.svg")}
    assert {"arms", "multitask_vs_single_subsampled"} <= pictures
    if name == "rbp24":
        borders = pd.read_csv(out / "tables" / "borders.csv")
        assert set(borders["arm"]) == {"multitask", "single_own", "single_subsampled"}
        profiles = pd.read_csv(out / "tables" / "border_profiles.csv")
        g = profiles[(profiles["end"] == "last") & (profiles["arm"] == "multitask")].groupby("offset")["g_share"].mean()
        assert g[0] > 2 * g[[-5, -4, 4, 5]].mean()  # the enzyme's trace is where the ends are said to be
    else:
        assert "multitask_vs_gru" in pictures  # rbp24 compares no architectures
        protocols = pd.read_csv(out / "tables" / "protocols.csv")
        assert set(protocols["test"]) == {"home", "crossed", "native"}


@pytest.mark.slow
def test_a_killed_study_goes_on_and_ends_with_the_same_tables(tmp_path):
    data = write_planted_dataset(tmp_path / "planted.h5", n_per_task=60)
    sizes = {"filters": 8, "kernel": 8, "left_pool": [10, 10], "right_pool": [40, 40], "merged_filters": 8}
    sizes |= {"merged_kernel": 3, "merged_pool": [4, 4], "hidden": 8}
    study = {"data": str(data), "comparisons": ["modalities", "strategies"], "n_bootstrap": 20}
    study |= {"fit": {"epochs": 2, "sizes": sizes}, "single_tasks": ["QKI_PARCLIP"]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"study": {"directory": "unused", **study}}))

    def start(name):
        arguments = command("study", tmp_path / "study.yaml", "-o", tmp_path / name, "--quiet")
        return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    assert start("unbroken").wait(timeout=600) == 0
    broken = start("broken")
    deadline = time.monotonic() + 600
    while not (tmp_path / "broken" / "runs" / "sequence_only" / "checkpoint.h5").is_file():
        assert broken.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    broken.send_signal(signal.SIGKILL)
    broken.wait()
    assert not (tmp_path / "broken" / "tables").exists()
    assert start("broken").wait(timeout=600) == 0
    for path in (tmp_path / "unbroken" / "tables").iterdir():
        if path.name != "time.csv":
            assert path.read_bytes() == (tmp_path / "broken" / "tables" / path.name).read_bytes(), path.name
