"""Random intervals, genomes and annotations against slow, obvious versions."""

import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripe_lib.genome import intervals as intervals_module
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import COMPLEMENT, decode_region, decode_sequence
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.intervals import read_intervals
from ripe_lib.genome.windows import window_start
from tests.support.array_oracles import (
    gtf_line,
    gtf_transcript,
    read_transcripts,
    slow_region_track,
    slow_regions,
    slow_sequence,
    slow_window_start,
    write_fasta,
)

SPAN = 60


@st.composite
def transcripts(draw):
    """GTF lines of one transcript within ``SPAN`` bases: exons, perhaps a CDS on them, perhaps a stop codon."""
    chrom, strand = draw(st.sampled_from(["a", "b"])), draw(st.sampled_from("+-"))
    kind = draw(st.sampled_from(["protein_coding", "protein_coding", "lncRNA", "retained_intron"]))
    edges = sorted(draw(st.sets(st.integers(0, SPAN), min_size=2, max_size=8)))
    exons = list(zip(edges[::2], edges[1::2], strict=False))
    name = f"T{draw(st.integers(0, 10**9))}"
    cds = []
    text = ""
    if draw(st.booleans()):
        exonic = [base for start, end in exons for base in range(start, end)]
        first = draw(st.integers(0, len(exonic) - 1))
        last = draw(st.integers(first, len(exonic) - 1))
        cds = [
            (max(start, exonic[first]), min(end, exonic[last] + 1))
            for start, end in exons
            if start <= exonic[last] and end > exonic[first]
        ]
        if draw(st.booleans()):
            after = exonic[last + 1 : last + 3] if strand == "+" else exonic[max(0, first - 2) : first]
            text = "".join(gtf_line(chrom, "stop_codon", p, p + 1, strand, name, kind=kind) for p in after)
    lines = (gtf_transcript(chrom, strand, name, exons, cds, kind=kind) + text).splitlines(keepends=True)
    return draw(st.permutations(lines))


@st.composite
def annotations(draw):
    drawn = draw(st.lists(transcripts(), max_size=8))
    # Every transcript has an id of its own.
    lines = [re.sub(r"T\d+", f"T{number}", line) for number, one in enumerate(drawn) for line in one]
    # One transcript that is always there: a GTF without CDS lines is refused.
    return "".join(lines) + gtf_transcript("a", "+", "always", [(20, 30), (40, 50)], [(25, 30), (40, 45)])


def load(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.gtf"
        path.write_text(text)
        return Annotation.load(path), read_transcripts(path)


@settings(max_examples=60)
@given(
    text=annotations(), starts=st.lists(st.integers(-30, SPAN + 30), min_size=1, max_size=10), length=st.integers(1, 40)
)
def test_region_types(text, starts, length):
    annotation, read = load(text)
    chroms = [("a", "b", "nowhere")[i % 3] for i in range(len(starts))]
    minus = [i % 2 == 0 for i in range(len(starts))]
    codes = annotation.region_codes(chroms, starts, length, minus)
    for row, (chrom, start) in enumerate(zip(chroms, starts, strict=True)):
        strand = "-" if minus[row] else "+"
        track = slow_region_track(read, chrom, strand)
        assert decode_region(codes[row]) == slow_regions(track, start, length, strand)


@settings(max_examples=60)
@given(text=annotations(), edges=st.lists(st.tuples(st.integers(0, SPAN), st.integers(1, 30)), min_size=1, max_size=10))
def test_overlapping_transcripts_and_strand(text, edges):
    annotation, read = load(text)
    starts = np.array([start for start, _ in edges])
    ends = starts + [length for _, length in edges]
    chroms = [("a", "b")[i % 2] for i in range(len(edges))]
    query, found = annotation.overlapping(chroms, starts, ends)
    table = annotation.transcripts
    expected = [
        (q, t)
        for q in range(len(edges))
        for t, row in enumerate(table.itertuples())
        if row.chrom == chroms[q] and row.start < ends[q] and row.end > starts[q]
    ]
    assert list(zip(query.tolist(), found.tolist(), strict=True)) == expected
    assert annotation.strand_of(chroms, starts, ends).tolist() == [
        slow_strand(read, chrom, start, end) for chrom, start, end in zip(chroms, starts, ends, strict=True)
    ]


def slow_strand(read, chrom, start, end):
    """The rule of ``strand_of``, counted base by base."""
    ranks = []
    for strand in "+-":
        track = slow_region_track(read, chrom, strand)
        mine = [t for t in read.values() if (t["chrom"], t["strand"]) == (chrom, strand)]
        bases = range(start, end)
        ranks.append(
            (
                sum(track.get(p, "N") in "c35" for p in bases),
                sum(p in track for p in bases),
                sum(any(p in t["exons"] for t in mine) for p in bases),
                sum(any(min(t["exons"]) <= p <= max(t["exons"]) for t in mine) for p in bases),
            )
        )
    if ranks[0][3] == ranks[1][3] == 0:
        return "."
    return "-" if ranks[1] > ranks[0] else "+"


@settings(max_examples=60)
@given(
    contigs=st.lists(st.text("ACGTUNRYacgtn", min_size=1, max_size=90), min_size=1, max_size=4),
    width=st.integers(1, 30),
    crlf=st.booleans(),
    starts=st.lists(st.integers(-40, 100), min_size=1, max_size=10),
    length=st.integers(1, 50),
)
def test_sequences(contigs, width, crlf, starts, length):
    named = {f"c{i}": letters for i, letters in enumerate(contigs)}
    with tempfile.TemporaryDirectory() as folder:
        genome = Genome(write_fasta(Path(folder) / "g.fa", named, width, "\r\n" if crlf else "\n"))
        chroms = [f"c{i % len(contigs)}" for i in range(len(starts))]
        plus = genome.fetch(chroms, starts, length, False)
        minus = genome.fetch(chroms, starts, length, True)
    np.testing.assert_array_equal(minus, COMPLEMENT[plus[:, ::-1]])
    for row, (chrom, start) in enumerate(zip(chroms, starts, strict=True)):
        assert decode_sequence(plus[row]) == slow_sequence(named, chrom, start, length, "+")


@given(start=st.integers(0, 10**9), half=st.integers(1, 500), length=st.integers(1, 300).map(lambda x: 2 * x))
def test_even_intervals_are_centred_on_both_strands(start, half, length):
    end = start + 2 * half
    first = window_start(start, end, length)
    assert first == slow_window_start(start, end, length)
    assert start - first == first + length - end


LINES = st.tuples(
    st.sampled_from(["chr1", "2", "c|d"]),
    st.integers(0, 10**9),
    st.integers(1, 10**6),
    st.sampled_from(["\n", "\r\n", "\n\n", "\n# c\n", "\r\ntrack x\r\n"]),
    st.lists(st.sampled_from(["", ".", "x y", "0", "#1"]), max_size=2),
)


@settings(max_examples=60)
@given(lines=st.lists(LINES, min_size=1, max_size=20), block=st.integers(1, 200), size=st.none() | st.integers(1, 7))
def test_bed_files(lines, block, size):
    text = "".join("\t".join([c, str(s), str(s + n), *more]) + end for c, s, n, end, more in lines)
    want = [(c, s, s + n, *(field or "." for field in (*more, "", "")[:2]), ".") for c, s, n, _, more in lines]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals_module, "_BLOCK_BYTES", block)
        path = Path(folder) / "x.bed"
        path.write_bytes(text.encode())
        chunks = [read_intervals(path)] if size is None else list(read_intervals(path, chunk_size=size))
    assert [tuple(row) for chunk in chunks for row in chunk.itertuples(index=False)] == want
