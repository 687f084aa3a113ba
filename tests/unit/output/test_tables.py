"""Tables written piece by piece."""

import gzip
import json
import os
import resource
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripe_lib.errors import InputError, OutputError
from ripe_lib.output.tables import SUFFIXES, open_table, table_format


def table(n=5, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "chrom": [f"chr{i}" for i in range(n)],
            "start": np.arange(n, dtype=np.int64) + 10**9,
            "QKI_PARCLIP": rng.random(n, dtype=np.float32) ** 8,
            "delta": rng.normal(size=n),
            "note": [None] * n,
        }
    )


def read(path):
    name = path.name
    if name.endswith(".parquet"):
        return pd.read_parquet(path)
    if name.endswith((".h5", ".hdf5")):
        with h5py.File(path) as handle:
            columns = {}
            for column in handle.attrs["columns"]:
                values = handle[column]
                columns[column] = values.asstr()[()] if h5py.check_string_dtype(values.dtype) else values[()]
            return pd.DataFrame(columns)
    separator = "\t" if ".tsv" in name else ","
    # pandas' default parser is off by a unit in the last place for some numbers.
    return pd.read_csv(
        path,
        sep=separator,
        float_precision="round_trip",
        keep_default_na=False,
        na_values={"delta": [""], "QKI_PARCLIP": [""]},
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_reads_back(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    pieces = [table(5, 0), table(0, 1), table(3, 2)]
    pieces[2].loc[1, "delta"] = np.nan
    with open_table(path) as writer:
        for piece in pieces:
            writer.write(piece)
    got, want = read(path), pd.concat([pieces[0], pieces[2]], ignore_index=True)
    assert list(got.columns) == list(want.columns)
    assert got["chrom"].tolist() == want["chrom"].tolist()
    assert got["start"].tolist() == want["start"].tolist()
    np.testing.assert_array_equal(got["QKI_PARCLIP"].astype("float32"), want["QKI_PARCLIP"])
    np.testing.assert_array_equal(got["delta"], want["delta"])
    assert got["note"].fillna("").tolist() == [""] * 8


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_tables_give_equal_files(tmp_path, suffix):
    written = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / f"out{suffix}"
        with open_table(path, attributes={"model": "DeepRiPe/clip31", "tasks": ["A", "B"]}) as writer:
            writer.write(table())
        written.append(path.read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_is_left_after_a_failure(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    path.write_text("what was there before")

    def fail():
        with open_table(path) as writer:
            writer.write(table())
            raise InputError("bad record")

    with pytest.raises(InputError, match="bad record"):
        fail()
    assert path.read_text() == "what was there before"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_columns_are_refused(tmp_path, suffix):
    def write():
        with open_table(tmp_path / f"out{suffix}") as writer:
            writer.write(table())
            writer.write(table().rename(columns={"delta": "Delta"}))

    with pytest.raises(InputError, match=rf"^{tmp_path}/out{suffix}: expected columns \['chrom'.*'Delta'"):
        write()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_without_rows_keeps_its_header(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    with open_table(path) as writer:
        writer.write(table(0))
    got = read(path)
    assert (len(got), list(got.columns)) == (0, list(table(0).columns))


def test_attributes(tmp_path):
    attributes = {"model": "DeepRiPe/clip31", "tasks": ["A", "B"], "n": 3}
    for suffix in (".parquet", ".h5"):
        with open_table(tmp_path / f"out{suffix}", attributes=attributes) as writer:
            writer.write(table())
    from pyarrow import parquet

    metadata = parquet.read_schema(tmp_path / "out.parquet").metadata
    assert json.loads(metadata[b"tasks"]) == ["A", "B"]
    with h5py.File(tmp_path / "out.h5") as handle:
        assert handle.attrs["model"] == "DeepRiPe/clip31"
        assert list(handle.attrs["tasks"]) == ["A", "B"]


def test_text_with_separators_is_quoted(tmp_path):
    piece = pd.DataFrame({"name": ["plain", 'a "quoted"\tname', "two\nlines"], "x": [1.5, np.nan, 2.0]})
    path = tmp_path / "out.tsv"
    with open_table(path) as writer:
        writer.write(piece)
        writer.write(piece.iloc[:1])
    got = pd.read_csv(path, sep="\t")
    assert got["name"].tolist() == [*piece["name"], "plain"]
    assert got["x"].tolist()[2:] == [2.0, 1.5]


@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
@settings(max_examples=30)
def test_float32_text_reads_back_to_the_same_number(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("floats") / "out.tsv"
    column = np.array(values, dtype=np.float32)
    with open_table(path) as writer:
        writer.write(pd.DataFrame({"x": column}))
    np.testing.assert_array_equal(pd.read_csv(path, sep="\t")["x"].astype(np.float32), column)


def test_gzip_is_one_readable_stream(tmp_path):
    path = tmp_path / "out.csv.gz"
    with open_table(path) as writer:
        for seed in range(3):
            writer.write(table(2, seed))
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert len(lines) == 7
    assert lines[0] == "chrom,start,QKI_PARCLIP,delta,note"


@pytest.mark.parametrize("name", ["out", "out.txt", "out.gz", "out.tsv.bz2"])
def test_unknown_suffix(name):
    with pytest.raises(InputError, match=r"expected a file name that ends in .tsv, .tsv.gz"):
        table_format(name)


def test_suffix_is_read_without_case():
    assert table_format("OUT.TSV.GZ") == ".tsv.gz"


def test_missing_folder(tmp_path):
    with (
        pytest.raises(OutputError, match=r"expected an existing folder .*nowhere, found none"),
        open_table(tmp_path / "nowhere" / "out.tsv"),
    ):
        pass


@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz", ".parquet"])
def test_no_room_is_one_clear_error_and_leaves_nothing(tmp_path, suffix):
    """A limit on file sizes stands for a full disk."""
    code = textwrap.dedent(
        """
        import resource, sys
        import numpy as np, pandas as pd
        from ripe_lib.errors import OutputError
        from ripe_lib.output.tables import open_table
        import pyarrow.parquet
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        rng = np.random.default_rng(0)
        try:
            with open_table(sys.argv[1]) as writer:
                for _ in range(40):
                    writer.write(pd.DataFrame(rng.random((1000, 5)), columns=list("abcde")))
        except OutputError as error:
            sys.exit(f"refused: {error}")
        """
    )
    path = tmp_path / f"out{suffix}"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.stderr.startswith("refused: "), done.stderr
    assert "could not be written" in done.stderr
    assert os.listdir(tmp_path) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 50_000


def test_hdf5_stops_before_the_disk_is_full(tmp_path, monkeypatch):
    import shutil

    def write():
        with open_table(tmp_path / "out.h5") as writer:
            writer.write(table())
            monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
            writer.write(table())

    with pytest.raises(OutputError, match=r"out.h5: could not be written \(No space left on device\)"):
        write()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bytes_that_are_no_utf8_arrive_or_are_refused(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    names = [b"caf\xe9", "café".encode(), b"\xff\xfe"]
    frame = pd.DataFrame({"name": [name.decode("utf-8", "surrogateescape") for name in names], "n": [1.5, 2.0, 3.0]})
    if suffix == ".parquet":
        with pytest.raises(InputError, match=r"t\.parquet: expected text in UTF-8.*iconv"), open_table(path) as out:
            out.write(frame)
        assert list(tmp_path.iterdir()) == []
        return
    with open_table(path) as out:
        out.write(frame[:0])
        out.write(frame)
    if suffix in (".h5", ".hdf5"):
        with h5py.File(path) as handle:
            assert handle["name"][()].tolist() == names
        return
    data = gzip.decompress(path.read_bytes()) if suffix.endswith(".gz") else path.read_bytes()
    assert [line[:-4] for line in data.splitlines()[1:]] == names
