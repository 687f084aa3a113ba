"""The data report names what gives labels away; the authors' HDF5 layout is converted."""

import h5py
import numpy as np
import pandas as pd
import pytest

from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.genome.encoding import one_hot
from tests.support.peak_files import write_peak_project
from tests.support.toy_datasets import write_toy_dataset
from training.data.config import OriginalInput, PrepareConfig, WindowOptions
from training.data.peak_sites import PeakInput
from training.data.prepare import prepare
from training.data.report import data_warnings, report_path, shared_sites, task_table, write_report
from training.data.splits import SplitOptions


def test_a_report_of_peaks(tmp_path):
    project = write_peak_project(tmp_path)
    config = PrepareConfig(
        output=tmp_path / "d.h5",
        peaks=PeakInput(project["fasta_file"], project["gtf_file"], project["table"]),
        window=WindowOptions(margin=5),
        split=SplitOptions(valid=0.0, test=0.0),
        report=True,
    )
    text = report_path(prepare(config)).read_text()
    for name in project["peaks"]:
        assert f"<td>{name}" in text or name in text
    assert text.count("<img") == 5
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_planted_traces_are_warned_about(tmp_path, rng):
    labels = np.zeros((600, 2), dtype=np.int8)
    labels[:200, 0] = labels[150:400, 1] = 1
    dataset = Dataset(write_toy_dataset(tmp_path / "t.h5", rng, n=600, labels=labels))
    seq = np.array(dataset._seq)
    seq[:100, :60] = 4  # every second positive of task 0 is padded
    seq[200:400][seq[200:400] == 2] = 0  # most positives of task 1 have no G
    seq[500] = seq[501]
    dataset._seq = seq
    table = task_table(dataset, rng)
    peaks = pd.DataFrame([{"task": "PUM_TOY", "g_before": 0.8, "g_first": 0.03, "g_middle": 0.25, "g_last": 0.9}])
    text = "\n".join(data_warnings(dataset, table, peaks))
    assert "PUM_TOY: RNase T1 trace, 90 % of peaks end in G (25 % in the middle)" in text
    assert "PUM_TOY: padding gives labels away, 50.0 % of positives and" in text
    assert "QKI_TOY: base composition alone reaches AUROC" in text
    assert "QKI_TOY: RNase" not in text
    assert "PUM_TOY: 100 % of the positives are on chr1" in text
    assert "windows looked at have the same sequence" in text
    shared = shared_sites(dataset)
    assert shared[0, 1] == pytest.approx(50 / 200)
    assert shared[1, 0] == pytest.approx(50 / 250)


def test_rows_without_a_class_do_not_break_it(tmp_path, rng):
    labels = np.full((40, 2), -1, dtype=np.int8)
    labels[:, 0] = 1
    path = write_toy_dataset(tmp_path / "t.h5", rng, n=40, labels=labels)
    assert write_report(path).is_file()


# --- the authors' HDF5 layout -----------------------------------------------------------------------------------


def write_original(path, rng, *, transposed=False, n=(30, 10, 5), tasks=3, length=150):
    codes = {}
    with h5py.File(path, "w") as handle:
        for split, count in zip(("train", "valid", "test"), n, strict=True):
            seq = rng.integers(0, 5, (count, length), dtype=np.uint8)
            region = rng.integers(0, 5, (count, 250), dtype=np.uint8)
            for name, array in (("in_seq", seq), ("in_region", region)):
                values = one_hot(array)
                handle[f"{split}_{name}"] = values if transposed else values.transpose(0, 2, 1)
            out = rng.integers(0, 2, (count, tasks))
            out[0] = 1
            handle[f"{split}_out"] = out
            codes[split] = (seq, region, out)
        handle["test_name"] = np.array([b"site"] * n[2])
    return codes


def original_config(folder):
    (folder / "names.txt").write_text("A\nB\nC\n")
    return PrepareConfig(output=folder / "out.h5", original=OriginalInput(folder / "o.h5", str(folder / "names.txt")))


@pytest.mark.parametrize("transposed", [False, True])
def test_original_files_are_converted(tmp_path, rng, transposed, monkeypatch):
    monkeypatch.setattr("training.data.store.ROWS_PER_WRITE", 7)  # pieces across the borders of splits
    expected = write_original(tmp_path / "o.h5", rng, transposed=transposed)
    dataset = Dataset(prepare(original_config(tmp_path)))
    assert dataset.tasks == ["A", "B", "C"]
    for split, (seq, region, out) in expected.items():
        rows = dataset.indices(split)
        got_seq, got_region = dataset.centred_codes(rows)
        np.testing.assert_array_equal(got_seq, seq)
        np.testing.assert_array_equal(got_region, region)
        np.testing.assert_array_equal(dataset.labels[rows], out)


def test_wrong_original_files(tmp_path, rng):
    config = original_config(tmp_path)
    with pytest.raises(MissingFileError, match="no such file"):
        prepare(config)
    (tmp_path / "o.h5").write_text("<html>")
    with pytest.raises(InputError, match="expected an HDF5 file"):
        prepare(config)
    write_original(tmp_path / "o.h5", rng, tasks=4)
    with pytest.raises(InputError, match="expected 3 columns in 'train_out'"):
        prepare(config)
    write_original(tmp_path / "o.h5", rng)
    with h5py.File(tmp_path / "o.h5", "a") as handle:
        del handle["valid_in_region"]
    with pytest.raises(InputError, match="expected an array 'valid_in_region'"):
        prepare(config)
    assert not (tmp_path / "out.h5").exists()
