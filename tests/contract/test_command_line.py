"""``ripe`` as a user meets it: help, exit codes, one line per error, tables."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ripe_lib.cli.main import COMMANDS, main
from ripe_lib.errors import InputError
from ripe_lib.network.weights import arrays_of, sha256_of, write_weights
from ripe_lib.output.console import run_command
from tests.support.toy_models import random_model

HEAVY = ("numpy", "pandas", "tensorflow", "keras", "h5py", "kipoi", "pyarrow", "yaml")


def loaded_after(code):
    """Return which heavy packages a fresh interpreter has loaded after running ``code``."""
    probe = f"import sys\n{code}\nsys.stderr.write('LOADED ' + ' '.join(n for n in {HEAVY} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return done.stderr.rsplit("LOADED", 1)[1].split()


def test_import_is_light():
    assert loaded_after("import ripe_lib") == []


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["predict", "--help"], ["models", "--help"]])
def test_help_is_light(argv):
    code = (
        "from ripe_lib.cli.main import main\n"
        f"try:\n    main({argv!r})\nexcept SystemExit as end:\n    assert end.code == 0, end.code"
    )
    assert loaded_after(code) == []


def test_catalogue_needs_no_heavy_package():
    assert (
        loaded_after("from ripe_lib.network.catalogue.entries import catalogue\nassert len(catalogue().models) >= 30")
        == []
    )


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


# --- errors --------------------------------------------------------------------------------------------------------


def one_line(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def failing_command(monkeypatch, error):
    """Return the exit code of a command whose ``run`` raises ``error``."""
    import types

    def run(args):
        raise error

    module = types.ModuleType("failing_command")
    module.add_arguments = lambda parser: None
    module.run = run
    monkeypatch.setitem(sys.modules, "failing_command", module)
    return run_command("ripe", "test", {"fail": ("failing_command", "fail")}, ["fail"])


def test_user_error_is_one_line_and_exit_code_two(monkeypatch, capsys):
    assert failing_command(monkeypatch, InputError("x.bed:3: expected a number,\n got 'a'.")) == 2
    assert one_line(capsys) == "ripe fail: error: x.bed:3: expected a number, got 'a'.\n"


@pytest.mark.parametrize("number", [2, 6, 13, 20, 27, 28, 36])
def test_file_errors_are_for_the_user(monkeypatch, capsys, number):
    assert failing_command(monkeypatch, OSError(number, os.strerror(number), "some.file")) == 2
    assert one_line(capsys) == f"ripe fail: error: some.file: {os.strerror(number)}\n"


def test_bugs_are_not_hidden(monkeypatch):
    with pytest.raises(ZeroDivisionError, match="a bug"):
        failing_command(monkeypatch, ZeroDivisionError("a bug"))


def test_interrupt(monkeypatch, capsys):
    assert failing_command(monkeypatch, KeyboardInterrupt()) == 130
    assert one_line(capsys) == "ripe fail: interrupted\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["predct"], "unknown command 'predct'. Did you mean 'predict'"),
        ([], "the following arguments are required: COMMAND"),
        (["predict", "clip31"], "the following arguments are required: INTERVALS, --fasta, -o/--output"),
        (["predict", "m", "i", "--fasta", "f", "-o", "o.tsv", "--batch-size", "0"], "whole number of at least 1"),
        (["attribute", "m", "i", "--steps", "1_0"], "whole number of at least 1"),
        (["attribute", "m", "i", "--steps", "99999999999999999999"], "whole number of at least 1"),
        (["attribute", "m", "i", "--steps", "\u0663"], "whole number of at least 1"),
        (["motifs", "m", "i", "--seed", "1e2"], "expected a whole number"),
        (["score-variants", "m", "i", "--min-delta", "nan"], "expected a number, got 'nan'"),
        (["score-variants", "m", "i", "--min-delta", "1_0"], "expected a number, got '1_0'"),
        (["score-variants", "m", "i", "--min-delta", "0,1"], "expected a number, got '0,1'"),
        (["models", "--jsn"], "unrecognized arguments: --jsn"),
    ],
)
def test_wrong_arguments_are_one_line(argv, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    shown = one_line(capsys)
    assert message in shown
    assert "--help" in shown


def test_output_that_cannot_be_written_is_found_at_the_end(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ripe_lib.cli.main", "tasks", "clip31"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    assert done.stderr == "ripe tasks: error: No space left on device\n"


def test_a_reader_that_leaves_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "ripe_lib.cli.main", "models", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


# --- models and tasks ----------------------------------------------------------------------------------------------


def test_models(capsys):
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    assert shown.split("\n")[0].split() == [
        *("model", "tier", "protocol", "cell_line", "n_tasks", "sequence_length", "region_length"),
        *("architecture", "auroc", "ap", "status"),
    ]
    assert "DeepRiPe/published/eclip_k562_mid2_seq" in shown
    assert "nan" not in shown.lower()


def test_models_as_json(capsys):
    assert main(["models", "--json"]) == 0
    records = {record["model"]: record for record in json.loads(capsys.readouterr().out)}
    assert records["DeepRiPe/published/eclip_k562_mid2"]["region_length"] is None
    assert records["DeepRiPe/clip31"]["n_tasks"] == 31


def test_tasks(capsys):
    assert main(["tasks", "published/parclip_high"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert lines[8].split()[:3] == ["7", "FMR1iso1", "FMR1"]
    assert main(["tasks", "nothing-like-it"]) == 2
    assert "List the models with: ripe models" in one_line(capsys)


# --- predict -------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path, rng):
    """A small model directory, genome and BED."""
    folder = tmp_path / "model"
    folder.mkdir()
    sizes = {"filters": 4, "merged_filters": 5, "hidden": 6}
    model = random_model(tasks=("QKI", "PUM2"), sequence_length=60, region_length=80, sizes=sizes)
    write_weights(folder / "weights.h5", model.spec, arrays_of(model.keras_model))
    digest = sha256_of(folder / "weights.h5")
    (folder / "model.yaml").write_text(f"args:\n  weights: weights.h5\n  sha256: {digest}\n")
    letters = "".join(rng.choice(list("ACGT"), 2000))
    (tmp_path / "genome.fa").write_text(f">chr1\n{letters}\n")
    (tmp_path / "sites.bed").write_text("".join(f"chr1\t{i}\t{i + 50}\tsite{i}\t0\t-\n" for i in range(0, 1500, 50)))
    (tmp_path / "bed3.bed").write_text("chr1\t10\t60\n")
    return tmp_path


def predict(files, *more, intervals="sites.bed", output="out.tsv"):
    paths = [str(files / "model"), str(files / intervals), "--fasta", str(files / "genome.fa")]
    return main(["predict", *paths, "-o", str(files / output), *more])


def test_predict_writes_named_columns_and_says_how_long(files, capsys):
    assert predict(files) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    first, last = captured.err.splitlines()
    assert first.startswith("note: no --gtf, so region types are unknown; scores can be far")
    assert last.startswith("30 intervals x 2 tasks -> ")
    assert "intervals/s" in last
    table = pd.read_csv(files / "out.tsv", sep="\t")
    assert list(table.columns) == ["chrom", "start", "end", "name", "strand", "QKI", "PUM2"]
    assert table["name"].tolist() == [f"site{i}" for i in range(0, 1500, 50)]
    assert table[["QKI", "PUM2"]].stack().between(0, 1).all()


def test_formats_hold_the_same_numbers(files, capsys):
    assert predict(files, "--batch-size", "7", "--quiet") == 0
    assert predict(files, "--quiet", output="out.parquet") == 0
    assert capsys.readouterr().err == ""
    text = pd.read_csv(files / "out.tsv", sep="\t", float_precision="round_trip")
    binary = pd.read_parquet(files / "out.parquet")
    assert (text[["QKI", "PUM2"]] - binary[["QKI", "PUM2"]]).abs().to_numpy().max() <= 1e-6


def test_predict_writes_the_tasks_asked_for_in_their_order(files):
    found = {}
    for more in ((), ("--task", "PUM2", "--task", "QKI"), ("--task", "PUM2"), ("--task", "all")):
        assert predict(files, "--quiet", *more) == 0
        found[more] = pd.read_csv(files / "out.tsv", sep="\t")
        pd.testing.assert_frame_equal(found[more], found[()][list(found[more].columns)])
    assert list(found["--task", "PUM2", "--task", "QKI"].columns[5:]) == ["PUM2", "QKI"]
    assert list(found["--task", "PUM2"].columns[5:]) == ["PUM2"]
    assert list(found["--task", "all"].columns[5:]) == ["QKI", "PUM2"]


def test_missing_strand_is_one_note(files, capsys):
    assert predict(files, intervals="bed3.bed") == 0
    first, _, second = capsys.readouterr().err.splitlines()
    assert first.startswith("note: 1 interval(s) without strand taken as plus")
    assert second.startswith("1 intervals x 2 tasks")
    assert list(pd.read_csv(files / "out.tsv", sep="\t").columns[:4]) == ["chrom", "start", "end", "strand"]


def test_centre_and_tile(files, capsys):
    (files / "long.narrowPeak").write_text(
        "chr1\t100\t400\tlong\t0\t-\t1\t1\t1\t40\nchr1\t600\t650\tp\t0\t+\t1\t1\t1\t7\n"
    )
    (files / "windows.bed").write_text("".join(f"chr1\t{s}\t{s + 60}\tx\t0\t-\n" for s in [*range(100, 340, 20), 340]))
    (files / "summits.bed").write_text("chr1\t140\t141\tx\t0\t-\nchr1\t607\t608\tx\t0\t+\n")
    (files / "middles.bed").write_text("chr1\t100\t400\tx\t0\t-\nchr1\t600\t650\tx\t0\t+\n")

    def scores(name, *more):
        assert predict(files, *more, intervals=name) == 0
        table = pd.read_csv(files / "out.tsv", sep="\t")
        return table, table[["QKI", "PUM2"]].to_numpy()

    _, tiles = scores("windows.bed")
    _, summits = scores("summits.bed")
    _, middles = scores("middles.bed")
    capsys.readouterr()
    table, found = scores("long.narrowPeak")
    np.testing.assert_allclose(found, middles, atol=1e-6)
    assert "1 of 2 intervals are longer than the window of 60 nt: only their central" in capsys.readouterr().err
    table, found = scores("long.narrowPeak", "--centre", "summit")
    np.testing.assert_allclose(found, summits, atol=1e-6)
    assert table["start"].tolist() == [100, 600]
    table, found = scores("long.narrowPeak", "--tile")
    np.testing.assert_allclose(found, [tiles.max(axis=0), middles[1]], atol=1e-6)
    assert table[["start", "end"]].to_numpy().tolist() == [[100, 400], [600, 650]]
    assert predict(files, "--centre", "summit", intervals="sites.bed", output="none.tsv") == 2
    assert "expected summits (column 10 of narrowPeak), got none" in capsys.readouterr().err
    assert not (files / "none.tsv").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\t1980\t2030\n", "expected an interval within chr1"),
        ("chr1\t90\t30\n", "expected end > start"),
        ("chr2\t10\t60\n", "chr2"),
        ("chr1\tten\t60\n", "got 'ten'"),
    ],
)
def test_a_bad_interval_leaves_no_output(files, capsys, line, message):
    (files / "bad.bed").write_text("chr1\t10\t60\n" + line)
    assert predict(files, "--quiet", intervals="bad.bed") == 2
    shown = one_line(capsys)
    assert message in shown
    assert "bad.bed:2" in shown
    assert not (files / "out.tsv").exists()
    assert not [name for name in os.listdir(files) if ".part." in name]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("out.xlsx", "expected a file name that ends in"),
        ("nowhere/out.tsv", "expected an existing folder"),
        ("model", "expected a file name that ends in"),
    ],
)
def test_a_bad_output_is_refused_before_anything_is_loaded(files, capsys, output, message, monkeypatch):
    monkeypatch.setattr("ripe_lib.network.load.load_model", None)
    assert predict(files, output=output) == 2
    assert message in one_line(capsys)


def test_damaged_weights_are_one_line(files, capsys):
    with (files / "model" / "weights.h5").open("r+b") as handle:
        handle.seek(2000)
        handle.write(b"damage")
    assert predict(files) == 2
    assert "The weights file is damaged or was changed" in one_line(capsys)


def test_startup_is_quiet(files):
    """TensorFlow writes to file descriptor 2 while it loads; the user sees our line only."""
    arguments = [str(files / "model"), str(files / "sites.bed"), "--fasta", str(files / "genome.fa")]
    done = subprocess.run(
        [sys.executable, "-m", "ripe_lib.cli.main", "predict", *arguments, "-o", str(files / "out.tsv")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 2, done.stderr
