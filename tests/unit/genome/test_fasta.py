import gzip
import os
import pickle
import re
import shutil
import subprocess

import numpy as np
import pytest

from ripe_lib.errors import InputError, MissingFileError, UnknownNameError
from ripe_lib.genome import fasta as genome_module
from ripe_lib.genome.encoding import decode_sequence
from ripe_lib.genome.fasta import Genome
from ripe_lib.output.cache import cached_name
from tests.support.array_oracles import read_fasta, reverse_complement, slow_sequence, write_fasta

NEEDS_BGZIP = pytest.mark.skipif(shutil.which("bgzip") is None, reason="needs the bgzip program")


def bgzip(path):
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(subprocess.run(["bgzip", "-c", path], check=True, capture_output=True).stdout)
    return packed


def letters(genome, chrom, start, length, minus=False):
    return decode_sequence(genome.fetch(chrom, [start], length, [minus])[0])


@pytest.fixture
def contigs(rng):
    return {
        f"chr{i}": "".join(rng.choice(list("ACGTNacgtnRYU"), size)) for i, size in enumerate([1, 60, 61, 997, 3000])
    }


def test_letters_of_every_kind(tmp_path):
    genome = Genome(write_fasta(tmp_path / "g.fa", {"a": "ACGTUacgtunNRYKMSWBDHV"}))
    assert genome.contigs == {"a": 22}
    assert letters(genome, "a", 0, 22) == "ACGTTACGTT" + "N" * 12


@pytest.mark.parametrize(("text", "line"), [(">a\rACGT\r>b\rGG\r", 1), (">a\nACGT\rACGT\n", 2)])
def test_lines_that_end_in_cr_alone(tmp_path, text, line):
    path = tmp_path / "g.fa"
    path.write_bytes(text.encode())
    with pytest.raises(InputError, match=rf"g\.fa:{line}: expected lines that end in LF or CRLF.*Convert"):
        Genome(path)


def test_both_ends_of_a_contig(tmp_path):
    genome = Genome(write_fasta(tmp_path / "g.fa", {"a": "ACGT", "b": "GGGG"}))
    assert letters(genome, "a", -3, 10) == "NNNACGTNNN"
    assert letters(genome, "a", -3, 10, minus=True) == "NNNACGTNNN"
    assert letters(genome, "a", 2, 5) == "GTNNN"
    assert letters(genome, "a", 2, 5, minus=True) == "NNNAC"
    assert letters(genome, "a", -10, 4) == "NNNN"
    assert letters(genome, "a", 4, 4) == "NNNN"
    assert letters(genome, "a", 10**12, 4) == "NNNN"
    assert letters(genome, "b", -1, 6) == "NGGGGN"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("width", [1, 7, 60, 5000])
def test_against_a_slow_reading(tmp_path, contigs, rng, newline, width):
    genome = Genome(write_fasta(tmp_path / "g.fa", contigs, width, newline))
    chroms = rng.choice(list(contigs), 300)
    starts = rng.integers(-60, 3010, 300)
    minus = rng.random(300) < 0.5
    codes = genome.fetch(chroms, starts, 50, minus)
    assert codes.shape == (300, 50)
    assert codes.dtype == np.uint8
    for row in range(300):
        strand = "-" if minus[row] else "+"
        assert decode_sequence(codes[row]) == slow_sequence(contigs, chroms[row], starts[row], 50, strand)


@NEEDS_BGZIP
def test_bgzip_is_the_same_as_plain(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(genome_module, "_CACHED_BLOCKS", 2)
    contigs = {"one": "".join(rng.choice(list("ACGT"), 200_000)), "two": "".join(rng.choice(list("ACGTn"), 70_000))}
    plain = write_fasta(tmp_path / "g.fa", contigs)
    a, b = Genome(plain), Genome(bgzip(plain))
    assert a.contigs == b.contigs == {"one": 200_000, "two": 70_000}
    for length in (1, 150, 70_000, 200_100):
        chroms = rng.choice(["one", "two"], 40)
        starts = rng.integers(-200, 200_050, 40)
        np.testing.assert_array_equal(a.fetch(chroms, starts, length), b.fetch(chroms, starts, length))
    np.testing.assert_array_equal(a.fetch("one", [100], 199_000), b.fetch("one", [100], 199_000))
    assert len(b._bytes._kept) == 2


@NEEDS_BGZIP
def test_bgzip_is_told_by_content(tmp_path):
    packed = bgzip(write_fasta(tmp_path / "g.fa", {"a": "ACGT"}))
    assert letters(Genome(packed.rename(tmp_path / "g.bgz")), "a", 0, 4) == "ACGT"


def test_pyfaidx_agrees_on_the_real_slice(shared_data, tmp_path):
    import pyfaidx

    path = tmp_path / "slice.fa"
    shutil.copy(shared_data / "reference" / "chr22slice.fa", path)
    with pyfaidx.Fasta(str(path)) as fasta:
        expected = str(fasta["chr22slice"][123_456:123_606]).upper()
    genome = Genome(path)
    assert letters(genome, "chr22slice", 123_456, 150) == expected
    assert letters(genome, "chr22slice", 123_456, 150, minus=True) == reverse_complement(expected)


def test_one_long_line_and_sixty_columns_are_the_same_sequence(shared_data, tmp_path):
    folder = shared_data / "reference"
    shutil.copy(folder / "hg38_chr22_32000000_32300000.fa", tmp_path / "long.fa")
    shutil.copy(folder / "chr22slice.fa", tmp_path / "short.fa")
    a, b = Genome(tmp_path / "long.fa"), Genome(tmp_path / "short.fa")
    np.testing.assert_array_equal(a.fetch("22", [-10], 300_020), b.fetch("chr22slice", [-10], 300_020))
    assert len(read_fasta(tmp_path / "short.fa")["chr22slice"]) == 300_000


def test_names_are_resolved(tmp_path):
    genome = Genome(write_fasta(tmp_path / "g.fa", {"chr1": "ACGT", "MT": "GG"}))
    assert genome.resolve("1") == "chr1"
    assert genome.resolve("chrM") == "MT"
    assert letters(genome, "1", 0, 4) == "ACGT"
    with pytest.raises(UnknownNameError, match=r"g.fa: unknown contig 'chr2'"):
        genome.fetch(["1", "chr2"], [0, 0], 3)


# ------------------------------------------------------------------ index


def test_the_index_is_written_beside_and_used(tmp_path):
    path = write_fasta(tmp_path / "g.fa", {"a": "ACGT"}, width=3)
    Genome(path)
    index = tmp_path / "g.fa.fai"
    assert index.read_text() == "a\t4\t19\t3\t4\n"
    os.utime(index, ns=(2 * 10**18, 2 * 10**18))
    Genome(path)
    assert index.stat().st_mtime_ns == 2 * 10**18
    assert sorted(p.name for p in tmp_path.iterdir()) == ["g.fa", "g.fa.fai"]


def test_a_stale_index_is_rebuilt(tmp_path):
    path = write_fasta(tmp_path / "g.fa", {"a": "ACGT"})
    Genome(path)
    write_fasta(path, {"b": "GGGCCC"})
    later = (tmp_path / "g.fa.fai").stat().st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))
    assert Genome(path).contigs == {"b": 6}
    assert (tmp_path / "g.fa.fai").read_text().startswith("b\t6\t")


@pytest.mark.parametrize("text", ["a\tx\ty\n", "a\t4000\t6\t60\t61\n", "", "a\t4\n"])
def test_an_index_that_cannot_be_of_this_file_is_rebuilt(tmp_path, text):
    path = write_fasta(tmp_path / "g.fa", {"a": "ACGT"})
    (tmp_path / "g.fa.fai").write_text(text)
    assert Genome(path).contigs == {"a": 4}


def test_a_read_only_folder_gets_its_index_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RIPE_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    folder.mkdir()
    path = write_fasta(folder / "g.fa", {"a": "ACGT"})
    folder.chmod(0o555)
    try:
        assert Genome(path).contigs == {"a": 4}
        assert [p.name for p in folder.iterdir()] == ["g.fa"]
        kept = cached_name(path, ".fai")
        assert kept.parent == tmp_path / "cache"
        os.utime(kept, ns=(2 * 10**18, 2 * 10**18))
        assert Genome(path).contigs == {"a": 4}
        assert kept.stat().st_mtime_ns == 2 * 10**18
    finally:
        folder.chmod(0o755)


def test_a_genome_travels_to_another_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_fasta(tmp_path / "g.fa", {"a": "ACGT"})
    packed = pickle.dumps(Genome("g.fa"))
    monkeypatch.chdir("/")
    assert letters(pickle.loads(packed), "a", 1, 2) == "CG"


def test_mapped_pages_are_handed_back(tmp_path, monkeypatch, contigs):
    genome = Genome(write_fasta(tmp_path / "g.fa", contigs))
    before = genome.fetch("chr4", np.arange(100), 150)
    monkeypatch.setattr(genome_module, "_MAPPED_BYTES", 1)
    np.testing.assert_array_equal(genome.fetch("chr4", np.arange(100), 150), before)
    assert genome._bytes._touched == 0


@pytest.mark.parametrize("blank", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "text",
    [
        ">c1\nACGT\nGGCC\n>c2\nTTTT\nAACC\n\n\n",
        ">c1\nACGT\nGGCC\n>c2\nTTTT\nAACC\n\n\n\n",
        ">c1\nACGT\nGGCC\n\n\n>c2\nTTTT\nAACC\n",
        ">c1\n\nACGT\nGGCC\n>c2\nTTTT\nAACC",
        "\n;comment\n>c1\nACGT\nGGCC\n>c2\nTTTT\nAACC\n",
    ],
)
def test_blank_lines_around_sequences_are_harmless(tmp_path, text, blank):
    path = tmp_path / "g.fa"
    path.write_bytes(text.replace("\n", blank).encode())
    for genome in (Genome(path), Genome(path)):
        assert genome.contigs == {"c1": 8, "c2": 8}
        assert (letters(genome, "c1", 0, 8), letters(genome, "c2", 0, 8)) == ("ACGTGGCC", "TTTTAACC")
    shorter = tmp_path / "short.fa"
    shorter.write_bytes(text.replace("AACC", "AA").replace("\n", blank).encode())
    assert letters(Genome(shorter), "c2", 0, 8) == "TTTTAANN"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (">c1\nACGTA\n>c2\nGGGGG\n", ">c2\nGGGGG\n>c1\nACGTA\n"),
        (">c1\nACGT\n>c2\nGGGG\n", ">c1\nAC\nGT\n>c2\nGGGG\n"),
        (">c1\nACGT\n", ">c1\nACGTGGGG\n"),
        (">c1\nACGT\n", ">c1 v2\nACGT\n"),
        (">c1\nACGT\n", ">c10\nACG\n"),
        (">c1\nAACC\nGGTT\nACG\n", ">c1\nAACCG\nGTTAC\nG\n"),  # as many bases in as many lines
    ],
)
def test_an_index_of_another_fasta_is_noticed_though_it_is_newer(tmp_path, old, new):
    path = tmp_path / "g.fa"
    path.write_text(old)
    Genome(path)
    path.write_text(new)
    os.utime(path, ns=(10**18, 10**18))
    genome = Genome(path)
    want = {part.split()[0]: "".join(part.split("\n")[1:]) for part in new.split(">")[1:]}
    assert genome.contigs == {name: len(text) for name, text in want.items()}
    assert {name: letters(genome, name, 0, len(text)) for name, text in want.items()} == want


@pytest.mark.parametrize(
    "row",
    [
        "c1\t8\t4\t4\t0",
        "c1\t8\t4\t0\t5",
        "c1\t8\t4\t5\t4",
        "c1\t-8\t4\t4\t5",
        f"c1\t{2**63 - 1}\t4\t4\t5",
        f"c1\t{'9' * 30}\t4\t4\t5",
        f"c1\t8\t{2**63 - 9}\t4\t5",
        "c1\t8\t4",
    ],
)
def test_an_index_of_odd_numbers_is_made_anew(tmp_path, row):
    path = tmp_path / "g.fa"
    path.write_text(">c1\nAACC\nGGTT\n")
    (tmp_path / "g.fa.fai").write_text(row + "\n")
    os.utime(tmp_path / "g.fa.fai", ns=(2 * 10**18, 2 * 10**18))
    genome = Genome(path)
    assert genome.contigs == {"c1": 8}
    assert letters(genome, "c1", 0, 8) == "AACCGGTT"
    assert (tmp_path / "g.fa.fai").read_text() == "c1\t8\t4\t4\t5\n"


@pytest.mark.parametrize("name", ["a\u2028b", "a\x85b", "a\x1cb", "a\u00a0b"])
def test_names_may_hold_what_only_other_programs_take_for_a_line_end(tmp_path, name):
    path = tmp_path / "g.fa"
    path.write_text(f">{name} x\nACGT\n")
    for _ in range(2):
        assert Genome(path).contigs == {name: 4}


def test_a_pipe_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "g.fa")
    with pytest.raises(MissingFileError, match="expected a FASTA file, got a pipe, which has no random access"):
        Genome(tmp_path / "g.fa")


def test_a_contig_of_no_bases_and_a_long_header_fit_their_index(tmp_path):
    path = tmp_path / "g.fa"
    path.write_text(">a " + "x" * 5000 + "\nACGT\n>none\n>b\nGG\n")
    Genome(path)
    index = tmp_path / "g.fa.fai"
    os.utime(index, ns=(2 * 10**18, 2 * 10**18))
    assert Genome(path).contigs == {"a": 4, "none": 0, "b": 2}
    assert index.stat().st_mtime_ns == 2 * 10**18


# ------------------------------------------------------------------ wrong files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "g.fa: expected a FASTA file, got an empty file"),
        (b"chr1\t5\t9\n", "g.fa: expected a FASTA file whose first line starts with '>', got b'chr1"),
        (b">a\nAC\n>a\nGG\n", "g.fa: expected every contig once, got 'a' twice"),
        (b">a\n>b\n", "g.fa: expected a FASTA file with at least one base, got none"),
        (b">a\nACGT\nA\nACGT\n", "g.fa:3: expected lines of one length in a, .* Wrap it again"),
        (b">a\nAC\n\xff\xfe\n", "g.fa:3: expected letters of bases, got b'"),
        (b">a\nACGT\nACGT\nACGTACGTA\n", "g.fa:4: expected lines of one length in a, .* got 9 bases after lines of 4"),
        (b">b\nAC\n>a\nACGT\n\nACGT\n", "g.fa:5: expected lines of one length in a"),
        (b">a\nACGT\r\nACGT\nACGT\r\n", "g.fa:3: expected lines of one length in a"),
        (b">a\xe9\nACGT\n", "g.fa:1: expected a contig name in UTF-8"),
        (b";c\nACGT\n>a\nAC\n", "g.fa:2: expected a line that starts with '>'"),
        (b">\nACGT\n", "g.fa:1: expected the name of a contig after '>', got none"),
        (b">\0\0\nACGT\n", "g.fa:1: expected the name of a contig after '>', got zero bytes"),
        (
            gzip.compress(b">a\nACGT\n", mtime=0),
            "g.fa: expected plain or bgzip-compressed FASTA, got ordinary gzip.* bgzip",
        ),
    ],
)
def test_what_is_not_fasta(tmp_path, content, message):
    path = tmp_path / "g.fa"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        Genome(path)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["g.fa"]


def test_duplicates_in_a_ready_made_index_are_refused(tmp_path):
    path = write_fasta(tmp_path / "g.fa", {"a": "ACGT"})
    path.write_text(">a\nAC\n>a\nAC\n")
    (tmp_path / "g.fa.fai").write_text("a\t2\t3\t2\t3\na\t2\t9\t2\t3\n")
    with pytest.raises(InputError, match="expected every contig once, got 'a' twice"):
        Genome(path)


def test_a_letter_that_is_no_base_is_named_with_its_place(tmp_path):
    genome = Genome(write_fasta(tmp_path / "g.fa", {"a": "ACGT", "prot": "ACGTACGTELA"}, width=4))
    assert letters(genome, "prot", 0, 8) == "ACGTACGT"
    with pytest.raises(InputError, match=r"got 'E' as base 9 of prot"):
        genome.fetch("prot", [3], 8, [True])


@pytest.mark.parametrize("letter", "-.Xx")
def test_gaps_and_x_are_no_bases(tmp_path, letter):
    genome = Genome(write_fasta(tmp_path / "g.fa", {"r": "ACGTN" + letter + "ACG"}))
    with pytest.raises(InputError, match=f"IUPAC letter, got {re.escape(repr(letter))} as base 6 of r"):
        genome.fetch("r", [0], 9)


def test_a_window_past_the_end_never_sees_the_next_contig(tmp_path):
    genome = Genome(write_fasta(tmp_path / "g.fa", {"a": "AC", "protein": "EEEE"}))
    assert letters(genome, "a", 0, 30) == "AC" + "N" * 28


@NEEDS_BGZIP
def test_truncated_bgzip(tmp_path, rng):
    packed = bgzip(write_fasta(tmp_path / "g.fa", {"a": "".join(rng.choice(list("ACGT"), 400_000))}))
    whole = packed.read_bytes()
    for end in (60_000, -28):  # within a block, and before the empty one at the end
        packed.write_bytes(whole[:end])
        with pytest.raises(InputError, match=r"g.fa.gz: expected a complete bgzip file, got a truncated or damaged"):
            Genome(packed)


@NEEDS_BGZIP
def test_damaged_bgzip_block(tmp_path, rng):
    packed = bgzip(write_fasta(tmp_path / "g.fa", {"a": "".join(rng.choice(list("ACGT"), 100_000))}))
    Genome(packed)
    stamp = packed.stat()
    data = bytearray(packed.read_bytes())
    data[5000:5100] = b"\x00" * 100
    packed.write_bytes(bytes(data))
    os.utime(packed, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(InputError, match="truncated or damaged"):
        Genome(packed).fetch("a", [0], 50_000)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.fa: no such FASTA file"):
        Genome(tmp_path / "none.fa")
    with pytest.raises(MissingFileError, match="expected a FASTA file, got a folder"):
        Genome(tmp_path)


def test_blanks_at_the_end_of_lines_are_no_bases(tmp_path):
    path = tmp_path / "x.fa"
    path.write_bytes(b">c1\nACGT \nACGT \nAC  \n>c2\nACGT\nAC \t\r\n")
    genome = Genome(path)
    assert genome.contigs == {"c1": 10, "c2": 6}
    assert decode_sequence(genome.fetch("c1", -1, 12)[0]) == "NACGTACGTACN"
    assert decode_sequence(genome.fetch("c2", 0, 6)[0]) == "ACGTAC"


@pytest.mark.parametrize("blank", [b" ", b"\t", b"\x00", b"\x7f", b"\xe9"])
def test_blanks_within_lines_are_refused_by_number(tmp_path, blank):
    path = tmp_path / "x.fa"
    path.write_bytes(b">c1\nACGT\nA" + blank + b"GT\n")
    with pytest.raises(InputError, match=r"x\.fa:3: expected letters of bases, got"):
        Genome(path)


def test_a_contig_of_no_bases_is_unknown_everywhere(tmp_path):
    path = tmp_path / "x.fa"
    path.write_bytes(b">c1\nACGT\n>c2\n>c3\nAC\n>c4\n")
    genome = Genome(path)
    assert genome.contigs == {"c1": 4, "c2": 0, "c3": 2, "c4": 0}
    for name in ("c2", "c4"):
        assert decode_sequence(genome.fetch(name, -2, 5)[0]) == "NNNNN"


def test_a_bgzip_block_that_claims_to_be_shorter_than_its_header(tmp_path):
    path = tmp_path / "x.fa.bgz"
    path.write_bytes(b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\0\0\0\0" + bytes(60))
    with pytest.raises(InputError, match="expected a complete bgzip file, got a truncated or damaged one"):
        Genome(path)
