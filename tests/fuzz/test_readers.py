"""No file, however damaged, ends a reader in anything but one line, or a result that other programs share.

Five hundred inputs per format with a fixed seed; ``make fuzz`` runs twenty thousand.
"""

import shutil

import pytest

from tests.fuzz.commands import COMMANDS
from tests.fuzz.readers import FORMATS, bed_files, bedtools_rows, plain_bed
from tests.fuzz.run import ROOT, fuzz, report_of, run_apart

pytestmark = pytest.mark.xdist_group("fuzz")
N = 500


@pytest.mark.parametrize("name", FORMATS)
def test_seeds_are_read(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, data in enumerate(FORMATS[name].seeds()):
        path = tmp_path / f"seed{number}{FORMATS[name].suffix}"
        path.write_bytes(data)
        if name == "configs":  # each is of one of the readers
            continue
        FORMATS[name].read(path)


@pytest.fixture(scope="module")
def told():
    done = run_apart(FORMATS, N)
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_one_line(name, told):
    report = report_of(name, told)
    assert report.startswith(f"{name}: {N} inputs"), report
    assert " 0 faults" in report, report


@pytest.mark.parametrize("n", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_every_command_on_a_damaged_file(n):
    done = run_apart(COMMANDS, n, "--commands")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_judge_sees_faults(tmp_path, monkeypatch):
    from dataclasses import replace

    def careless(path):
        (path.parent / "left").write_text("half")
        int(path.read_bytes())

    monkeypatch.chdir(tmp_path)
    counts, faults = fuzz(replace(FORMATS["bed"], read=careless), 20, 0, tmp_path)
    monkeypatch.chdir(ROOT)
    assert counts["fault"] == 20
    assert any("ValueError" in fault or "UnicodeDecodeError" in fault for fault in faults.values())


@pytest.mark.bedtools
@pytest.mark.skipif(shutil.which("bedtools") is None, reason="needs bedtools")
def test_bedtools_reads_the_same_intervals(tmp_path, rng):
    from ripe_lib.errors import RipeError
    from ripe_lib.genome.intervals import read_intervals

    both = 0
    seeds = bed_files()
    for _ in range(150):
        path = tmp_path / "x.bed"
        path.write_bytes(FORMATS["bed"].mutate(seeds[int(rng.integers(len(seeds)))], rng))
        try:
            read_intervals(path)
        except RipeError:
            continue
        judged = bedtools_rows(path)
        if judged is not None and not path.read_bytes().startswith(
            b"\xef\xbb\xbf"
        ):  # a name's first letter to bedtools
            both += 1
            assert sorted(row[:3] for row in plain_bed(path)) == judged
    assert both > 20
