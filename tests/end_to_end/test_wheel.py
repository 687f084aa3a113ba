"""The built wheel, unpacked into an empty folder, works from another one: models, data files, commands."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.support.kipoi_home import EXAMPLES, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.kipoi]
SOURCES = ("ripe_lib", "training", "dataloaders", "kipoi_models")
FILES = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "model-template.yaml")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build from a copy: building leaves a folder behind, and only what belongs to the project may be in it."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    copy.mkdir()
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-q", "-w", str(folder)]
    subprocess.run(command, cwd=copy, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install without dependencies into a folder; those come from this environment."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "-q", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    return target


def run(installed, folder, *words, module="ripe_lib.cli.main", check=True):
    environment = {
        **os.environ,
        "PYTHONPATH": str(installed),
        "HOME": str(folder),
        "RIPE_MODELS_DIR": str(folder / "m"),
    }
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, words)], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


def test_every_data_file_of_the_sources_is_in_it(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    ignored = (".fai", ".gzi", ".ripe-index.npz")
    for package in SOURCES:
        for path in (ROOT / package).rglob("*"):
            relative = path.relative_to(ROOT).as_posix()
            if path.is_file() and "__pycache__" not in path.parts and not relative.endswith(ignored):
                assert relative in names, relative
    assert not any(name.endswith(ignored) or "__pycache__" in name or name.startswith("tests") for name in names)


def test_code_runs_from_the_installed_copy(installed, tmp_path):
    code = "import ripe_lib, dataloaders; print(ripe_lib.__file__, dataloaders.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert all(path.startswith(str(installed)) for path in done.stdout.split())


def test_models_predict_register_and_kipoi(installed, tmp_path):
    shutil.copytree(EXAMPLES, tmp_path / "data")
    listed = run(installed, tmp_path, "models").stdout
    for name in ("parclip_high", "parclip_mid", "parclip_low", "clip31"):
        assert name in listed
    assert "missing" not in listed
    assert "CAPRIN1" in run(installed, tmp_path, "tasks", "DeepRiPe/parclip_mid").stdout
    files = ("data/intervals.bed", "--fasta", "data/genome.fa", "--gtf", "data/genes.gtf")
    run(installed, tmp_path, "predict", "DeepRiPe/parclip_mid", *files, "-o", "out.tsv", "--quiet")
    assert "CAPRIN1" in (tmp_path / "out.tsv").read_text().splitlines()[0]
    assert str(installed / "kipoi_models") in run(installed, tmp_path, "register").stdout
    words = ("test", "DeepRiPe/parclip_mid", "--source", "deepripe")
    assert "All predictions match" in "".join(
        (done := run(installed, tmp_path, *words, module="kipoi")).stdout + done.stderr
    )
