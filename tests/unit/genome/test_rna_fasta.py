import gzip
import io
import os
import sys
import threading
import types

import numpy as np
import pytest

from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.genome.encoding import decode_region, decode_sequence
from ripe_lib.genome.rna_fasta import read_rna_fasta


def read(tmp_path, text, **options):
    path = tmp_path / "rna.fa"
    path.write_bytes(text.encode())
    return read_rna_fasta(path, tmp_path / "scratch", **options)


def letters(records):
    return [decode_sequence(records.bases(i, 0, n), rna=True) for i, n in enumerate(records.lengths)]


def test_letters_names_and_lengths(tmp_path):
    records = read(tmp_path, ">a first\r\nACgu\r\nNR\r\n\r\n>b\nT\n")
    assert records.names == ["a", "b"]
    assert letters(records) == ["ACGUNN", "U"]
    assert decode_sequence(records.bases(0, 1, 4)) == "CGT"
    assert records.regions(0, 0, 6) is None


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_pipe_is_read_from_its_first_record(tmp_path, pack):
    pipe = tmp_path / "rna.fa"
    os.mkfifo(pipe)
    text = b"".join(b">r%d\n%s\n" % (n, b"ACGU" * 50) for n in range(200))
    writer = threading.Thread(target=pipe.write_bytes, args=(pack(text),), daemon=True)
    writer.start()
    records = read_rna_fasta(pipe, tmp_path / "scratch")
    writer.join()
    assert records.names == [f"r{n}" for n in range(200)]
    assert set(letters(records)) == {"ACGU" * 50}


def test_gzip_and_standard_input_are_the_same(tmp_path, monkeypatch):
    text = b">a\nACGU\n>b\nGG\n"
    plain = read(tmp_path, text.decode())
    packed = tmp_path / "rna.fa.gz"
    packed.write_bytes(gzip.compress(text))
    sources = [(packed, None), ("-", text), ("-", gzip.compress(text))]
    for source, piped in sources:
        if piped is not None:
            stdin = types.SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(piped)))
            monkeypatch.setattr(sys, "stdin", stdin)
        records = read_rna_fasta(source, tmp_path / "other")
        assert (records.digest, letters(records)) == (plain.digest, letters(plain))


def test_region_types_by_tag_file_and_letter(tmp_path):
    regions = tmp_path / "regions.fa"
    regions.write_text(">b\ncc\n>a\niii\n3\n")
    records = read(tmp_path, ">a region=5555 x\nACGU\n>b\nGG\n", region_file=regions, region_letter="3")
    assert decode_region(records.regions(0, 0, 4)) == "5555"
    assert decode_region(records.regions(1, 0, 2)) == "cc"
    records = read(tmp_path, ">a region=5555 x\nACGU\n>b\nGG\n", region_letter="3")
    assert decode_region(records.regions(1, 1, 2)) == "3"
    assert read(tmp_path, ">a\nACGU\n", region_letter="N").regions(0, 0, 4) is None


def test_digest_sees_names_bases_and_regions(tmp_path):
    texts = [">a\nAC\n", ">b\nAC\n", ">a\nAA\n", ">a region=ii\nAC\n", ">a region=cc\nAC\n", ">a\nA\n>c\nC\n"]
    assert len({read(tmp_path, text).digest for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t10\t20\n", r":1: expected a FASTA header .* got 'chr1\\t10\\t20'.*--fasta GENOME"),
        (">a\nAC\n>\nAC\n", ":3: expected a name after '>'"),
        (">a\n>b\nAC\n", ":1: record 'a': expected at least one letter, got none"),
        (">a\nAC\n>b\n  \n", ":3: record 'b': expected at least one letter, got none"),
        (">a\nAC\n>b\nA\n>a\nAC\n", r":5: expected every name once, got 'a' again \(first in line 1\)"),
        (">p\nMKVLAT\n", ":1: record 'p': expected A C G T U .* got 'L' at position 4. Is this a protein"),
        (">p\nAC1\n", "got '1' at position 3. Check that this is the right file"),
        (">a region=ic\nACG\n", r"region types of record 'a': expected as many letters as bases \(3\), got 2"),
        (">a region=\nACG\n", "expected as many letters as bases .3., got 0"),
        (">a region=icx\nACG\n", "expected one of i c 3 5 N, got 'x' at position 3"),
    ],
)
def test_wrong_fasta_is_one_clear_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">a\niii\n", r"regions.fa:1: region types of record 'a': expected as many letters as bases \(4\), got 3"),
        (">b\niiii\n", "regions.fa: expected region types of record 'a', found none"),
        (">a\niiii\n>b\nii\n", "regions.fa: expected only names of .*rna.fa, got 'b'"),
        (">a\niiii\n>a\niiii\n", "regions.fa:3: expected every name once, got 'a' again"),
        ("iiii\n", "regions.fa:1: expected a FASTA header"),
    ],
)
def test_wrong_region_file(tmp_path, text, message):
    regions = tmp_path / "regions.fa"
    regions.write_text(text)
    with pytest.raises(InputError, match=message):
        read(tmp_path, ">a\nACGU\n", region_file=regions)


def test_missing_damaged_and_strange_files(tmp_path):
    with pytest.raises(MissingFileError, match="no such file"):
        read_rna_fasta(tmp_path / "no.fa", tmp_path / "s")
    with pytest.raises(MissingFileError, match="got a folder"):
        read_rna_fasta(tmp_path, tmp_path / "s")
    cut = tmp_path / "cut.fa.gz"
    cut.write_bytes(gzip.compress(b">a\n" + bytes(np.random.default_rng(0).choice(list(b"ACGU"), 9000)))[:900])
    with pytest.raises(InputError, match="expected a complete gzip file"):
        read_rna_fasta(cut, tmp_path / "s")
    with pytest.raises(InputError, match="expected one of i c 3 5 N, got 'x'"):
        read(tmp_path, ">a\nA\n", region_letter="x")
