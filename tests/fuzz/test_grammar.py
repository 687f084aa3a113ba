"""Files that follow their format's grammar in every way it allows are read as what was written into them."""

import gzip
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import encode_sequence
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.intervals import read_intervals
from ripe_lib.genome.vcf import VcfFile
from tests.fuzz.mutate import bgzipped
from tests.support.toy_genome import rc

MANY = settings(max_examples=60, derandomize=True, database=None)
ends = st.sampled_from([b"\n", b"\r\n"])
marks = st.sampled_from([b"", b"", b"\xef\xbb\xbf"])
packings = st.sampled_from([lambda data: data, lambda data: data, gzip.compress, bgzipped])
# What may stand in a column: anything but what separates; bytes that are no UTF-8 come as lone surrogates.
letters = st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp"), max_codepoint=0x1FFFF)
odd = st.sampled_from(["\udce9", "\u2028", "\x85", "\x1c", "\u00a0", '"', "'", "#", "|", "%", "<", "&", "\\", "\ufeff"])
texts = st.text(st.one_of(letters, odd), min_size=1, max_size=8).filter(lambda text: text.strip() == text)
words = texts.filter(lambda text: not set(text) & set(" #") and text not in ("track", "browser"))
contigs = st.one_of(st.sampled_from(["chr1", "1", "MT", "HLA-A*01:01", "chrUn_KI270742v1", "0"]), words)


def encoded(text):
    return text.encode("utf-8", "surrogateescape")


@pytest.fixture(scope="module")
def path():
    with tempfile.TemporaryDirectory(prefix="ripe-grammar-") as folder:
        yield Path(folder) / "x"


def written(path, data):
    for file in path.parent.iterdir():
        file.unlink()
    path.write_bytes(data)
    return path


# ------------------------------------------------------------------ BED


@st.composite
def interval_rows(draw):
    start = draw(st.integers(0, 10**17))
    end = start + draw(st.integers(1, 10**17))
    fields = [draw(texts), draw(st.sampled_from([".", "0", "1000", "12.5", "NA"])), draw(st.sampled_from("+-."))]
    return [draw(contigs), start, end, *fields]


@given(
    rows=st.lists(interval_rows(), max_size=8),
    n_columns=st.integers(3, 6),
    more=st.sampled_from([[], ["thick", "1", "x"], ["1", "2", "3", "50"]]),
    noise=st.lists(st.sampled_from([b"", b"# chr1\t1\t2", b"track name=x", b"browser position c:1-2", b" \t"])),
    end=ends,
    mark=marks,
    pack=packings,
    has_last_end=st.booleans(),
)
@MANY
def test_bed(path, rows, n_columns, more, noise, end, mark, pack, has_last_end):
    columns = [[*row[:n_columns], *(more if n_columns == 6 else [])] for row in rows]
    lines = [encoded("\t".join(map(str, row))) for row in columns]
    for number, line in enumerate(noise):
        lines.insert(3 * number, line)
    data = mark + end.join(lines) + (end if has_last_end else b"")
    written(path, pack(data))
    expected = [(*row[:n_columns], *(".",) * (6 - n_columns)) for row in rows]
    table = read_intervals(path, summits=True)
    assert [tuple(row) for row in table.iloc[:, :6].itertuples(index=False)] == expected
    assert table["summit"].tolist() == [50 if n_columns == 6 and len(more) == 4 else -1] * len(rows)


# ------------------------------------------------------------------ FASTA


@st.composite
def sequences(draw):
    names = draw(st.lists(contigs, min_size=1, max_size=4, unique=True))
    some = st.text("ACGTUNacgtunRYKMSW", max_size=60)
    found = {name: draw(some) for name in names}
    return {**found, names[0]: found[names[0]] or "A"}


@given(
    contigs=sequences(),
    width=st.integers(1, 25),
    description=st.sampled_from(["", " about", "\tdna:chromosome >x", " caf\udce9"]),
    end=ends,
    blanks=st.integers(0, 2),
    has_last_end=st.booleans(),
    pack=st.sampled_from([lambda data: data, bgzipped]),
    start=st.integers(-5, 60),
)
@MANY
def test_fasta(path, contigs, width, description, end, blanks, has_last_end, pack, start):
    data = b""
    for name, letters in contigs.items():
        lines = [letters[at : at + width] for at in range(0, len(letters), width)]
        data += b">" + encoded(name + description) + end + b"".join(encoded(line) + end for line in lines)
        data += end * blanks
    written(path, pack(data if has_last_end else data.rstrip(b"\r\n") if lines else data))
    if any("\udce9" in name for name in contigs):
        return  # refused, tests/unit/genome
    for _ in range(2):  # the second reads the index of the first
        genome = Genome(path)
        assert genome.contigs == {name: len(letters) for name, letters in contigs.items()}
        for name, letters in contigs.items():
            text = "N" * 5 + letters + "N" * 80
            text = "".join(c if c in "ACGTUacgtu" else "N" for c in text[start + 5 : start + 18])
            got = genome.fetch([name, name], [start, start], 13, [False, True])
            assert got[0].tolist() == encode_sequence(text).tolist()
            assert got[1].tolist() == encode_sequence(rc(text.upper().replace("U", "T"))).tolist()


# ------------------------------------------------------------------ GTF


@st.composite
def transcripts(draw):
    start = draw(st.integers(0, 10**6))
    lengths = draw(st.lists(st.integers(1, 90), min_size=1, max_size=4))
    exons = []
    for length in lengths:
        exons.append((start, start + length))
        start += length + draw(st.integers(1, 50))
    names = texts.filter(lambda text: '"' not in text)
    return draw(st.sampled_from(["chr1", "2"])), draw(st.sampled_from("+-")), exons, draw(names), draw(names)


@given(
    genes=st.lists(transcripts(), min_size=1, max_size=4),
    layout=st.permutations(["transcript_id", "gene_id", "gene_name", "note"]),
    separator=st.sampled_from(["; ", ";", " ; "]),
    has_last=st.booleans(),
    is_shuffled=st.booleans(),
    end=ends,
    mark=marks,
    pack=packings,
)
@MANY
def test_gtf(path, genes, layout, separator, has_last, is_shuffled, end, mark, pack):
    lines, expected = ["#!genome x", "", "track name=x"], set()
    for number, (chrom, strand, exons, gene, name) in enumerate(genes):
        values = {"transcript_id": f"t{number}", "gene_id": gene, "gene_name": name, "note": 'gene_id ""x""; y'}
        tags = separator.join(f'{key} "{values[key]}"' for key in layout) + (";" if has_last else "")
        for first, last in exons[::-1] if is_shuffled else exons:
            lines.append(f"{chrom}\tsource\texon\t{first + 1}\t{last}\t.\t{strand}\t.\t{tags}")
            lines.append(f"{chrom}\tsource\tCDS\t{first + 1}\t{last}\t.\t{strand}\t0\t{tags}")
            lines.append(f"{chrom}\tsource\tSelenocysteine\t1\t2\t.\t{strand}\t.\t{tags}")
        expected.add((chrom, exons[0][0], exons[-1][1], strand, f"t{number}", gene, name))
    written(path, pack(mark + end.join(map(encoded, lines)) + end))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        annotation = Annotation.load(path)
    table = annotation.transcripts.drop(columns="transcript_type")
    assert {tuple(row) for row in table.itertuples(index=False)} == expected
    assert len(table) == len(genes)
    for number, (_, _, exons, *_) in enumerate(genes):
        assert annotation.exons(f"t{number}").tolist() == [list(exon) for exon in exons]


# ------------------------------------------------------------------ VCF


@st.composite
def records(draw):
    alleles = st.one_of(
        st.text("ACGTN", min_size=1, max_size=5), st.sampled_from(["*", ".", "<DEL>", "<*>", "A[chr1:5[", "]x:1]C"])
    )
    alts = ",".join(draw(st.lists(alleles, min_size=1, max_size=3)))
    fields = [draw(contigs), draw(st.integers(0, 2**31)), draw(texts), draw(st.text("ACGTN", min_size=1)), alts]
    return [*fields, draw(st.sampled_from([".", "12.5"])), "PASS", draw(st.sampled_from([".", "A=1;B", "C=caf\udce9"]))]


@given(rows=st.lists(records(), max_size=7), n_samples=st.integers(0, 2), end=ends, pack=packings, n=st.integers(1, 4))
@MANY
def test_vcf(path, rows, n_samples, end, pack, n):
    header = ["##fileformat=VCFv4.3", '##INFO=<ID=A,Number=1,Type=Integer,Description="a, ""b"" caf\udce9">']
    names = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
    samples = ["FORMAT", *(f"s{k}" for k in range(n_samples))] if n_samples else []
    more = ["GT", *["0/1"] * n_samples] if n_samples else []
    lines = ["\t".join(map(str, [*row, *more])) for row in rows]
    written(path, pack(end.join(map(encoded, [*header, "\t".join([*names, *samples]), *lines])) + end))
    with VcfFile(path) as vcf:
        assert vcf.header[:-1] == header
        parts = list(vcf.records(n))
        assert [line for part in parts for line in part.lines] == lines
        found = [row[:5] for part in parts for row in zip(*part, strict=True)]
        assert found == [tuple(row[:5]) for row in rows]
        assert [part.pos.dtype for part in parts] == [np.int64] * len(parts)
        blocks = [vcf.read(block) for block in vcf.blocks(n)[::-1]]  # in any order
        assert [line for part in blocks[::-1] for line in part.lines] == lines
