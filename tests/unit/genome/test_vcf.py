"""Reading VCF in every container, and adding INFO without touching the rest."""

import gzip
import io
import sys
from contextlib import suppress

import pytest

from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.genome.vcf import Block, InfoField, VcfFile, annotated_header, annotated_line, escape, info_key
from tests.fuzz.mutate import bgzipped

HEADER = [
    "##fileformat=VCFv4.2",
    '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">',
    "##contig=<ID=c1,length=1000>",
    "##contig=<ID=c2,length=1000>",
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
]
BODY = [f"c{1 + i // 60}\t{i % 60 + 1}\trs{i}\tA\tG\t.\tPASS\tDP={i}" for i in range(100)]
TEXT = "\n".join(HEADER + BODY) + "\n"


def write(path, kind, text=TEXT):
    if kind == "plain":
        path.write_bytes(text.encode())
    elif kind == "crlf":
        path.write_bytes(text.replace("\n", "\r\n").encode())
    elif kind == "gzip":
        path.write_bytes(gzip.compress(text.encode()))
    elif kind == "bgzip":
        import pysam

        with pysam.BGZFile(str(path), "wb") as out:
            out.write(text.encode())
    elif kind == "bcf":
        import cyvcf2

        plain = path.with_suffix(".plain.vcf")
        plain.write_text(text)
        reader = cyvcf2.VCF(str(plain))
        writer = cyvcf2.Writer(str(path), reader, mode="wb")
        for record in reader:
            writer.write_record(record)
        writer.close()
        reader.close()
    return path


@pytest.mark.parametrize("kind", ["plain", "crlf", "gzip", "bgzip", "bcf"])
def test_every_container_gives_the_same_records(tmp_path, kind):
    with VcfFile(write(tmp_path / "x", kind)) as vcf:
        assert vcf.header[-1] == HEADER[-1]
        chunks = list(vcf.records(33))
        assert [len(c) for c in chunks] == [33, 33, 33, 1]
        assert [line for c in chunks for line in c.lines] == BODY
        assert [p for c in chunks for p in c.pos] == [i % 60 + 1 for i in range(100)]
        blocks = vcf.blocks(33)
        assert [b.n_lines for b in blocks] == [33, 33, 33, 1]
        # In any order, as workers do.
        for number in (2, 0, 3, 1):
            assert vcf.read(blocks[number]).lines == chunks[number].lines
        assert next(vcf.records(5)).lines == BODY[:5]


@pytest.mark.parametrize("n", [1, 2, 3, 7, 50])
def test_blank_lines_and_empty_blocks_of_a_bgzip_file_are_not_its_end(tmp_path, n):
    head, rows = "\n".join(HEADER), [f"c1\t{k + 1}\t.\tA\tG" for k in range(9)]
    first = "\n".join([head, *rows[:3], "", "", *rows[3:6], ""])
    path = tmp_path / "x.vcf.gz"
    path.write_bytes(bgzipped(first.encode()) + bgzipped("\n".join([head, "", *rows[6:], "", ""]).encode()))
    with VcfFile(path) as vcf:
        assert [line for part in vcf.records(n) for line in part.lines] == rows
        assert [line for block in vcf.blocks(n) for line in vcf.read(block).lines] == rows


def test_a_number_of_lines_that_is_a_multiple_of_the_chunk(tmp_path):
    with VcfFile(write(tmp_path / "x.vcf", "plain")) as vcf:
        assert [len(c) for c in vcf.records(50)] == [50, 50]
        assert [b.n_lines for b in vcf.blocks(50)] == [50, 50]


def test_very_long_lines_make_short_chunks(tmp_path, monkeypatch):
    from ripe_lib.genome import vcf as module

    monkeypatch.setattr(module, "_MAX_BYTES", 100)
    with VcfFile(write(tmp_path / "x.vcf", "plain")) as vcf:
        chunks = list(vcf.records(50))
        assert {len(c) for c in chunks} <= {4, 5, 6}
        assert [line for c in chunks for line in c.lines] == BODY
        assert [vcf.read(block).lines for block in vcf.blocks(50)] == [c.lines for c in chunks]


def test_header_only(tmp_path):
    path = tmp_path / "x.vcf"
    path.write_text("\n".join(HEADER) + "\n")
    with VcfFile(path) as vcf:
        assert [len(records) for records in vcf.records(5)] == [0]
        assert vcf.blocks(5) == []


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(TEXT.encode()))))
    with VcfFile("-") as vcf:
        assert vcf.name == "standard input"
        assert next(vcf.records(1000)).lines == BODY
        copy = vcf.path
        assert copy.exists()
    assert not copy.exists()


def test_blank_lines_odd_bytes_and_missing_columns_come_through(tmp_path):
    path = tmp_path / "x.vcf"
    path.write_bytes(("\n".join(HEADER) + "\n").encode() + b"c1\t5\t.\tA\tG\t.\t.\tX=\xe9\n\nc1\t7\t.\tA\tG\n")
    with VcfFile(path) as vcf:
        records = next(vcf.records(10))
    assert list(records.pos) == [5, 7]
    assert records.lines[0].encode("utf-8", "surrogateescape").endswith(b"X=\xe9")
    assert annotated_line(records.lines[1], [("K", "v")]) == "c1\t7\t.\tA\tG\t.\t.\tK=v"


def test_a_mark_of_utf8_is_nothing(tmp_path):
    path = write(tmp_path / "x.vcf", "plain")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    with VcfFile(path) as vcf:
        assert vcf.header == HEADER
        assert next(vcf.records(200)).lines == BODY
        assert vcf.read(vcf.blocks(200)[0]).lines == BODY


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04\0\0", r"x\.vcf: expected text, plain or gzip, got a zip archive or Excel workbook"),
        (b"\xff\xfe#\0#\0", r"x\.vcf: expected text, plain or gzip, got UTF-16\. Save or unpack it as text"),
        (b"", r"x\.vcf:1: expected a VCF header .* got 'an empty file'"),
        (b"c1\t5\t.\tA\tG\n", r"x\.vcf:1: expected a VCF header .* got 'c1"),
        (b"##fileformat=VCFv4.2\nc1\t5\t.\tA\tG\n", r"x\.vcf:2: expected a VCF header"),
        (b"##fileformat=VCFv4.2\n", r"x\.vcf:1: expected a VCF header .* got '##fileformat"),
        (b"##fileformat=VCFv4.2\n#CHROM POS ID REF ALT\n", r"x\.vcf:2: expected a VCF header"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(200)), r"x\.vcf:1: expected a VCF header"),
    ],
)
def test_no_header(tmp_path, content, message):
    (tmp_path / "x.vcf").write_bytes(content)
    with pytest.raises(InputError, match=message):
        VcfFile(tmp_path / "x.vcf")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("c1\tfive\t.\tA\tG", r"x\.vcf:6: expected a whole number as POS, got 'five'"),
        ("c1\t-1\t.\tA\tG", r"x\.vcf:6: expected a whole number as POS, got '-1'"),
        ("c1\t" + "9" * 30 + "\t.\tA\tG", r"x\.vcf:6: expected a whole number as POS"),
        ("c1 5 . A G", r"x\.vcf:6: expected at least 5 tab-separated columns .* got 1"),
    ],
)
def test_lines_that_are_not_records(tmp_path, line, message):
    (tmp_path / "x.vcf").write_text("\n".join([*HEADER, line]) + "\n")
    with VcfFile(tmp_path / "x.vcf") as vcf, pytest.raises(InputError, match=message):
        list(vcf.records(10))


def test_truncated_files(tmp_path):
    text = "\n".join(HEADER + BODY * 200) + "\n"
    bgzip = write(tmp_path / "a.vcf.gz", "bgzip", text)
    bgzip.write_bytes(bgzip.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"a\.vcf\.gz: expected a complete bgzip file, but its end is missing"):
        VcfFile(bgzip)
    plain_gzip = write(tmp_path / "b.vcf.gz", "gzip", text)
    plain_gzip.write_bytes(plain_gzip.read_bytes()[:-100])
    with VcfFile(plain_gzip) as vcf, pytest.raises(InputError, match=r"b\.vcf\.gz: the compressed file is damaged"):
        list(vcf.records(1000))


def test_damage_inside_a_bgzip_file(tmp_path):
    path = write(tmp_path / "a.vcf.gz", "bgzip", "\n".join(HEADER + BODY * 2000) + "\n")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    with VcfFile(path) as vcf, pytest.raises(InputError, match=r"a\.vcf\.gz: the compressed file is damaged"):
        list(vcf.records(1000))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(MissingFileError, match="no such file"):
        VcfFile(tmp_path / "absent.vcf")
    with pytest.raises(InputError, match="got a folder"):
        VcfFile(tmp_path)


def test_blocks_travel(tmp_path):
    import pickle

    block = Block(3, 10, 77)
    assert pickle.loads(pickle.dumps(block)) == block


def test_info_is_added_and_replaced_and_nothing_else_changes():
    line = "c1\t5\trs\tA\tG\t9.5\tPASS\tDP=3;OLD=1;OLDER=2\tGT\t0/1"
    assert annotated_line(line, [("NEW", "a|b")]) == line.replace("OLDER=2", "OLDER=2;NEW=a|b")
    assert annotated_line(line, [("OLD", "x")]) == line.replace("OLD=1;OLDER=2", "OLDER=2;OLD=x")
    assert annotated_line(line, []) == line
    assert annotated_line("c1\t5\t.\tA\tG\t.\t.\t.", [("K", "v")]).endswith("\tK=v")
    # What an earlier run said goes, also where this one says nothing.
    assert annotated_line(line, [], keys=["OLD"]) == line.replace("OLD=1;", "")
    assert annotated_line("c1\t5\t.\tA\tG\t.\t.\tOLD;OLD=2", [], keys=["OLD", "LD"]).endswith("\t.\t.\t.")


def test_header_is_completed():
    header = annotated_header(
        ["#CHROM\tPOS\tID\tREF\tALT"], [InfoField("K", "A", "Float", 'says "x"')], more=[("##ripe=", "1")]
    )
    assert header == [
        "##fileformat=VCFv4.2",
        '##INFO=<ID=K,Number=A,Type=Float,Description="says \\"x\\"">',
        "##ripe=1",
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
    ]
    again = annotated_header(header, [InfoField("K", ".", "String", "other")])
    assert sum(line.startswith("##INFO=<ID=K,") for line in again) == 1
    assert "##ripe=1" in again
    turned = [header[0], '##INFO=<Number=1,ID=K,Type=Float,Description=",ID=L,">', *header[2:]]
    assert annotated_header(turned, [InfoField("L", "A", "Float", "")])[1] == turned[1]
    assert annotated_header(turned, [InfoField("K", "A", "Float", 'says "x"')], more=[("##ripe=", "1")]) == header
    assert annotated_header(header, [InfoField("K", "A", "Float", 'says "x"')], more=[("##ripe=", "1")]) == header
    assert "##ripe=1" not in annotated_header(header, [], more=[("##ripe=", "2")])


def test_names_and_values_that_need_escaping():
    assert info_key("DeepRiPe/clip31") == "DeepRiPe_clip31"
    assert info_key("1a") == "_1a"
    assert escape("a,b;c=d|e&f g%:") == "a%2Cb%3Bc%3Dd%7Ce%26f%20g%25%3A"


@pytest.mark.parametrize(
    "pos", ["1_00", "+5", " 5", "5 ", "\u0663", "\u00b2", "1e2", "0x10", "", "-1", "1.0", "9" * 5000]
)
def test_positions_are_digits(tmp_path, pos):
    path = tmp_path / "x.vcf"
    path.write_text("\n".join([*HEADER, BODY[0], f"c1\t{pos}\t.\tA\tG", BODY[1]]) + "\n", encoding="utf-8")
    with VcfFile(path) as vcf, pytest.raises(InputError, match=r"x\.vcf:7: expected a whole number as POS, got"):
        list(vcf.records(100))


def test_leading_zeros_are_digits(tmp_path):
    path = tmp_path / "x.vcf"
    path.write_text("\n".join([*HEADER, "c1\t007\t.\tA\tG"]) + "\n")
    with VcfFile(path) as vcf:
        assert [int(p) for part in vcf.records(9) for p in part.pos] == [7]


@pytest.mark.parametrize("kind", ["bgzip", "bcf"])
def test_damage_says_nothing_but_its_one_line(tmp_path, kind, capfd):
    """htslib and pysam write about damage to standard error, pysam even a traceback when a file is not closed."""
    data = bytearray(write(tmp_path / "x", kind).read_bytes())
    for at in range(20, len(data) - 30, 23):
        (tmp_path / "y").write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        with suppress(InputError), VcfFile(tmp_path / "y") as vcf:
            list(vcf.records(50))
    assert capfd.readouterr().err == ""
