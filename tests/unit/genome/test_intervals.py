import bz2
import gzip
import lzma
import os
import re
import threading

import numpy as np
import pandas as pd
import pytest

from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.genome import intervals as intervals_module
from ripe_lib.genome.intervals import COLUMNS, read_intervals, where


def bed(tmp_path, text, name="x.bed"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(frame):
    return [tuple(row) for row in frame.itertuples(index=False)]


FULL = [("chr1", 10, 60, "a", "0", "+"), ("chr2", 5, 6, "b", "7.5", "-")]


def test_bed6_gives_the_six_columns_in_order(tmp_path):
    frame = read_intervals(bed(tmp_path, "chr1\t10\t60\ta\t0\t+\nchr2\t5\t6\tb\t7.5\t-\n"))
    assert list(frame.columns) == COLUMNS
    assert rows(frame) == FULL
    assert frame["start"].dtype == np.int64
    assert frame["end"].dtype == np.int64
    assert list(frame.index) == [0, 1]


@pytest.mark.parametrize(
    "text",
    [
        "chr1\t10\t60\ta\t0\t+\r\nchr2\t5\t6\tb\t7.5\t-\r\n",
        "chr1\t10\t60\ta\t0\t+\nchr2\t5\t6\tb\t7.5\t-",
        "# c\ntrack name=x description=y\nbrowser position chr1\nchr1\t10\t60\ta\t0\t+\n\n#x\nchr2\t5\t6\tb\t7.5\t-\n",
        "chr1 10 60 a 0 +\nchr2  5   6 b 7.5 -\n",
        "chr1\t10\t60\ta\t0\t+\t4.1\t-1\t-1\t25\nchr2\t5\t6\tb\t7.5\t-\t3\t2\t1\t0\n",
        b"\xef\xbb\xbfchr1\t10\t60\ta\t0\t+\nchr2\t5\t6\tb\t7.5\t-\n",
        "chr1\t10\t60\ta\t0\t+\textra\nchr2\t5\t6\tb\t7.5\t-\n",
    ],
    ids=["crlf", "no last newline", "comments", "blanks", "narrowPeak", "byte order mark", "ragged"],
)
def test_dialects_of_bed(tmp_path, text):
    assert rows(read_intervals(bed(tmp_path, text))) == FULL


def test_bed3_and_empty_fields_are_points(tmp_path):
    frame = read_intervals(bed(tmp_path, "chr1\t10\t60\nchr1\t1\t2\t\t\t\n"))
    assert rows(frame) == [("chr1", 10, 60, ".", ".", "."), ("chr1", 1, 2, ".", ".", ".")]


def test_a_name_may_hold_hash_quotes_and_blanks(tmp_path):
    frame = read_intervals(bed(tmp_path, 'chr1\t1\t2\ta "b #c\t0\t+\n'))
    assert frame["name"][0] == 'a "b #c'


@pytest.mark.parametrize("suffix", [".bed.gz", ".bed"])
def test_gzip_is_told_by_content_not_by_suffix(tmp_path, suffix):
    path = bed(
        tmp_path, gzip.compress(b"chr1\t10\t60\ta\t0\t+\n") + gzip.compress(b"chr2\t5\t6\tb\t7.5\t-\n"), f"x{suffix}"
    )
    assert rows(read_intervals(path)) == FULL


def test_order_is_kept(tmp_path):
    frame = read_intervals(bed(tmp_path, "chr2\t50\t60\nchr1\t5\t6\nchr2\t1\t2\n"))
    assert frame["start"].tolist() == [50, 5, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t5\t9\nchr1\tfive\t9\n", r"x.bed:2: expected a whole number as start, got 'five'"),
        ("chr1\t5\t9\n\n# c\nchr1\t5\t9.5\n", r"x.bed:4: expected a whole number as end, got '9.5'"),
        ("chrom\tstart\tend\nchr1\t5\t9\n", r"x.bed:1: .* got 'start'. If this is a header line, put # before it"),
        ("chr1\t5\t9\nchr1\t\t9\n", r"x.bed:2: expected a whole number as start, got ''"),
        ("chr1\t5\t9\nchr1\t9\t9\n", r"x.bed:2: expected end > start, got start=9 end=9. .*half-open"),
        ("chr1\t5\t9\r\nchr1\t9\t5\r\n", r"x.bed:2: expected end > start, got start=9 end=5"),
        ("chr1\t-5\t9\n", r"x.bed:1: expected start >= 0, got start=-5"),
        ("chr1\t5\t9\nchr1\t5\n", r"x.bed:2: expected at least the columns chrom, start, end, got 2"),
        ("chr1\t5\t9\tn\t0\tplus\n", r"x.bed:1: expected \+ - or \. as strand \(column 6\), got 'plus'"),
        ("\t5\t9\n", r"x.bed:1: expected a contig name"),
        ("chr1\t5\t99999999999999999999999\n", r"x.bed:1: expected a whole number as end"),
        ("chr1\t5\t1e3\n", r"x.bed:1: expected a whole number as end, got '1e3'"),
        (b"\x01\xff\xfe", r"x.bed:1: expected at least the columns"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_intervals(bed(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_the_line_is_right_far_into_the_file_and_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(intervals_module, "_BLOCK_BYTES", 100)
    lines = [f"chr1\t{i}\t{i + 5}\n" for i in range(1, 500)]
    lines[321] = "# not data\n"
    assert len(read_intervals(bed(tmp_path, "".join(lines)))) == 498
    lines[432] = "chr1\t7\tx\n"
    with pytest.raises(InputError, match=r"x.bed:433: "):
        read_intervals(bed(tmp_path, "".join(lines)))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.bed: no such file"):
        read_intervals(tmp_path / "none.bed")
    with pytest.raises(MissingFileError, match=r"expected a file, got a folder"):
        read_intervals(tmp_path)


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:50] + b"\xff" * 40 + data[90:]])
def test_damaged_gzip(tmp_path, damage, rng):
    text = "".join(f"chr1\t{i}\t{i + 50}\n" for i in rng.integers(0, 10**8, 2000))
    path = bed(tmp_path, damage(gzip.compress(text.encode())), "x.bed.gz")
    with pytest.raises(InputError, match=r"x\.bed\.gz: expected a complete gzip file, got a truncated or damaged one"):
        read_intervals(path)


@pytest.mark.parametrize("size", [1, 7, 64, 1000, 5000])
def test_chunks_are_the_whole_in_pieces(tmp_path, monkeypatch, size):
    monkeypatch.setattr(intervals_module, "_BLOCK_BYTES", 512)
    path = bed(tmp_path, "".join(f"chr{i % 3}\t{i}\t{i + 5}\ts{i}\n" for i in range(1000)))
    chunks = list(read_intervals(path, chunk_size=size))
    assert [len(chunk) for chunk in chunks[:-1]] == [size] * (len(chunks) - 1)
    assert all(list(chunk.index) == list(range(len(chunk))) for chunk in chunks)
    pd.testing.assert_frame_equal(pd.concat(chunks, ignore_index=True), read_intervals(path))


def test_chunks_complain_at_once(tmp_path):
    with pytest.raises(MissingFileError, match="no such file"):
        read_intervals(tmp_path / "none.bed", chunk_size=10)
    assert [len(part) for part in read_intervals(bed(tmp_path, ""), chunk_size=10)] == [0]
    with pytest.raises(InputError, match="chunk_size: expected at least 1, got 0"):
        read_intervals(bed(tmp_path, "chr1\t1\t2\n"), chunk_size=0)


def test_frames_and_tuples(tmp_path):
    want = [("chr1", 10, 60, ".", ".", "."), ("2", 5, 6, ".", ".", ".")]
    assert rows(read_intervals(pd.DataFrame({"end": [60, 6], "start": [10, 5], "chrom": ["chr1", "2"]}))) == want
    assert rows(read_intervals([("chr1", 10, 60), ("2", 5.0, 6)])) == want
    assert rows(read_intervals({"chrom": ["chr1", "2"], "start": [10, 5], "end": [60, 6]})) == want
    assert rows(read_intervals(FULL)) == FULL
    assert rows(read_intervals(read_intervals(FULL))) == FULL
    strands = read_intervals([("chr1", 10, 60, "-"), ("chr1", 10, 60, "+")])
    assert strands["strand"].tolist() == ["-", "+"]
    assert strands["name"].tolist() == [".", "."]
    nothing = pd.DataFrame({"chrom": [7], "start": [1], "end": [2], "name": [None], "score": [3.5], "strand": [np.nan]})
    assert rows(read_intervals(nothing)) == [("7", 1, 2, ".", "3.5", ".")]


def test_a_frame_is_not_changed():
    frame = pd.DataFrame({"chrom": ["chr1"], "start": [1], "end": [9]}, index=[44])
    read_intervals(frame).loc[0, "start"] = 5
    assert frame["start"].tolist() == [1]
    assert list(frame.columns) == ["chrom", "start", "end"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([("chr1", 5)], r"interval 1: expected \(chrom, start, end"),
        ([("chr1", 5, 9), ("chr1", "a", 9)], "interval 2: expected a whole number as start, got 'a'"),
        ([("chr1", 5, 9.5)], "interval 1: expected a whole number as end, got 9.5"),
        ([("chr1", 5, 9), ("chr1", 9, 9)], r"interval 2 \(chr1:9-9\): expected end > start"),
        ([("chr1", 5, 9, "n", 0, "x")], r"interval 1 .* as strand"),
        (("chr1", 5, 9), r"expected a BED file, a DataFrame or a list of"),
        (["chr1"], r"interval 1: expected \(chrom, start, end\[, name, score, strand\]\), got 'text'"),
        (17, "expected a BED file, a DataFrame or a list of"),
        (
            pd.DataFrame({"chr": ["a"], "start": [1], "end": [2]}),
            "expected columns chrom, start, end .* got chr, start",
        ),
    ],
)
def test_wrong_objects(source, message):
    with pytest.raises(InputError, match=message):
        read_intervals(source)


def test_where_finds_the_line_again(tmp_path):
    path = bed(tmp_path, "# c\nchr1\t5\t9\nchr10\t5\t9\n\nchr1 \t6\t90\nchr1\t6\t9")
    frame = read_intervals(path)
    assert [where(frame, row) for row in (0, 1, 3)] == [f"{path}:2", f"{path}:3", f"{path}:6"]
    assert where(frame.iloc[2:].reset_index(drop=True), 1) == f"{path}:6"
    assert where(read_intervals([("chr1", 5, 9)]), 0) == "interval 1 (chr1:5-9)"
    path.unlink()
    assert where(frame, 0) == "interval 1 (chr1:5-9)"


def test_a_pipe_can_be_read(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = "".join(f"chr1\t{i}\t{i + 5}\n" for i in range(1000))
    writer = threading.Thread(target=pipe.write_bytes, args=(gzip.compress(text.encode()),))
    writer.start()
    frame = read_intervals(pipe)
    writer.join()
    assert frame["start"].tolist() == list(range(1000))


def test_a_file_without_lines_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(intervals_module, "_LONGEST_LINE", 1000)
    monkeypatch.setattr(intervals_module, "_BLOCK_BYTES", 100)
    with pytest.raises(InputError, match=r"x\.bed: expected a text file, got a line of more than 1000 bytes"):
        read_intervals(bed(tmp_path, b"x" * 5000))


TEN = "c1\t110\t160\t{0}\t1000\t+\t3.4\t6.5\t-1\t10\nc1\t420\t470\t{0}\t1000\t+\t3.4\t6.5\t-1\t12\n"


@pytest.mark.parametrize("name", ["p1", "", "peak 1", "QKI peak 1", "peak#1", '"p', b"p\xe9ak".decode("latin-1")])
@pytest.mark.parametrize("file", ["a.narrowPeak", "ENCFF000AAA.bed.gz"])
def test_the_summit_is_column_ten_whatever_the_name_and_the_file(tmp_path, name, file):
    content = TEN.format(name).encode("latin-1")
    path = bed(tmp_path, gzip.compress(content) if file.endswith(".gz") else content, file)
    frame = read_intervals(path, summits=True)
    assert frame["summit"].tolist() == [10, 12]
    assert list(read_intervals(path).columns) == list(frame.columns[:-1])


def test_summits_with_track_lines_and_lines_that_have_none(tmp_path, monkeypatch):
    track = 'track type=narrowPeak name="nPk" description="ENCODE narrowPeak Example"\nbrowser position c1:1-700\n'
    others = [
        "c1\t1\t9\tbed6\t0\t-\n",
        "c1\t1\t9\ttwelve\t0\t+\t1\t9\t0\t1\t8,\t0,\n",
        "c1\t1\t9\tword\t0\t+\t1\t1\t1\tx\n",
        "c1\t1\t9\tpart\t0\t+\t1\t1\t1\t2.5\n",
        "c1\t1\t9\tnone\t0\t+\t1\t1\t1\t-1\n",
    ]
    path = bed(tmp_path, track + "".join(others) + TEN.format("p"))
    want = [-1] * 5 + [10, 12]
    assert read_intervals(path, summits=True)["summit"].tolist() == want
    assert [n for part in read_intervals(path, chunk_size=2, summits=True) for n in part["summit"]] == want
    monkeypatch.setattr("ripe_lib.genome.intervals._parse_fast", lambda *_: None)
    assert read_intervals(path, summits=True)["summit"].tolist() == want
    blanks = bed(tmp_path, TEN.format("p").replace("\t", " "), "blanks.bed")
    assert read_intervals(blanks, summits=True)["summit"].tolist() == [10, 12]


def test_blanks_are_the_same_in_the_fast_and_the_slow_way(tmp_path, monkeypatch):
    path = bed(tmp_path, "c1 1 9 a\u00a0b\u2028c 0 -\n  c1\t 2  9 d 0 + \n")
    want = read_intervals(path)
    assert want["name"].tolist() == ["a\u00a0b\u2028c", "d"]
    monkeypatch.setattr("ripe_lib.genome.intervals._parse_fast", lambda *_: None)
    assert read_intervals(path).equals(want)


ODD_NUMBERS = ["1e2", "True", "inf", "1_00", "+100", "0x10", "1.0", "100\x1d", "100\v", "\f100", "\u0661", "1" * 19]


@pytest.mark.parametrize("number", ODD_NUMBERS)
@pytest.mark.parametrize("column", ["start", "end"])
def test_a_number_is_digits_in_the_fast_and_the_slow_way(tmp_path, monkeypatch, number, column):
    text = f"c1\t{number}\t250\ta\t0\t+\n" if column == "start" else f"c1\t1\t{number}\ta\t0\t+\n"
    message = re.escape(f"x.bed:1: expected a whole number as {column}, got {number!r}")
    with pytest.raises(InputError, match=message):
        read_intervals(bed(tmp_path, text))
    with pytest.raises(InputError, match=message.replace(":1:", ":2:")):
        read_intervals(bed(tmp_path, "c1\t1\t2\n" + text))
    values = ("c1", number, 250) if column == "start" else ("c1", 1, number)
    with pytest.raises(InputError, match=f"interval 1: expected a whole number as {column}"):
        read_intervals([values])
    monkeypatch.setattr("ripe_lib.genome.intervals._parse_fast", lambda *_: None)
    with pytest.raises(InputError, match=message):
        read_intervals(bed(tmp_path, text))


def test_a_truth_value_is_no_number():
    with pytest.raises(InputError, match="interval 1: expected a whole number as start, got True"):
        read_intervals([("c1", True, 250)])


def test_bytes_that_are_no_utf8_come_as_they_are(tmp_path, monkeypatch):
    path = bed(tmp_path, b"c1\t1\t9\tcaf\xe9\t0\t+\nc1\t3\t9\t\xc3\xa9\t0\t+\n")
    want = ["caf\udce9", "é"]
    assert read_intervals(path)["name"].tolist() == want
    monkeypatch.setattr("ripe_lib.genome.intervals._parse_fast", lambda *_: None)
    assert read_intervals(path)["name"].tolist() == want


@pytest.mark.parametrize("head", ["\ufeff\ufeff", "#\n\ufeff"])
def test_a_mark_of_utf8_behind_the_head_is_a_letter(tmp_path, head):
    path = bed(tmp_path, f"{head}c1\t1\t9\nc1\t2\t9\n")
    assert read_intervals(path)["chrom"].tolist() == ["\ufeffc1", "c1"]
    assert read_intervals(path, summits=True)["chrom"].tolist() == ["\ufeffc1", "c1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"c1\t1\t9\nc1\t3\t9\t\x00\x00\n", r"x\.bed:2: expected text, got a NUL byte"),
        (
            "c1\t1\t9\n".encode("utf-16-be"),
            r"x\.bed:1: expected text, got a NUL byte .UTF-16, or damage.*Save it as UTF-8",
        ),
        ("c1\t1\t9\n".encode("utf-16"), r"x\.bed: expected text, plain or gzip, got UTF-16\. Save or unpack it"),
        (bz2.compress(b"c1\t1\t9\n"), r"x\.bed: expected text, plain or gzip, got bzip2"),
        (lzma.compress(b"c1\t1\t9\n"), r"x\.bed: expected text, plain or gzip, got xz"),
        (b"PK\x03\x04\x14\0\6\0", r"x\.bed: expected text, plain or gzip, got a zip archive or Excel workbook"),
        (b"c1\t1\t9\rc1\t2\t9\r", r"x\.bed:1: expected lines that end in LF or CRLF, got a carriage return within one"),
        (b"c1\t1\t9\r\nc1\t2\t9\tna\rme\r\n", r"x\.bed:2: expected lines that end in LF or CRLF"),
    ],
)
def test_what_is_no_line_of_text(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_intervals(bed(tmp_path, content))


@pytest.mark.parametrize("end", [b"\r\n", b"\r\r\n", b"\r"])
def test_carriage_returns_at_the_end_are_part_of_it(tmp_path, end):
    frame = read_intervals(bed(tmp_path, b"c1\t1\t9" + end if end == b"\r" else b"c1\t1\t9" + end + b"c1\t2\t9" + end))
    assert frame["end"].tolist() == [9] * len(frame)


@pytest.mark.parametrize("content", ["", "# only\ntrack\n", "\n\n"])
@pytest.mark.parametrize("summits", [False, True])
def test_files_without_an_interval_are_one_empty_table(tmp_path, content, summits):
    frame = read_intervals(bed(tmp_path, content), summits=summits)
    full = read_intervals(bed(tmp_path, "c\t1\t2\n", "y.bed"), summits=summits)
    assert len(frame) == 0
    assert frame.dtypes.to_dict() == full.dtypes.to_dict()
    assert len(read_intervals([])) == len(read_intervals(pd.DataFrame(columns=["chrom", "start", "end"]))) == 0
