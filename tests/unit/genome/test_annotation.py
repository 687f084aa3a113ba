import gzip
import os
import shutil
import warnings

import numpy as np
import pytest

from ripe_lib.errors import InputError, MissingFileError, UnknownNameError
from ripe_lib.genome import annotation_index
from ripe_lib.genome.annotation import Annotation, AnnotationWarning
from ripe_lib.genome.encoding import decode_region, decode_sequence
from ripe_lib.genome.fasta import Genome
from ripe_lib.output.cache import cached_name
from tests.support.array_oracles import (
    gtf_line,
    gtf_transcript,
    read_transcripts,
    slow_region_track,
    slow_regions,
    write_fasta,
)


def load(tmp_path, text, name="a.gtf", **options):
    (tmp_path / name).write_text(text)
    return Annotation.load(tmp_path / name, **options)


def letters(annotation, chrom, start, length, strand):
    return decode_region(annotation.region_codes(chrom, [start], length, [strand == "-"])[0])


# ------------------------------------------------------------------ region types


def test_one_gene_on_each_strand(tmp_path):
    text = gtf_transcript("chr1", "+", "P", [(2, 6), (9, 14)], [(4, 6), (9, 11)])
    text += gtf_line("chr1", "stop_codon", 11, 12, "+", "P")
    text += gtf_transcript("chr1", "-", "M", [(2, 6), (9, 14)], [(5, 6), (9, 12)])
    annotation = load(tmp_path, text)
    assert letters(annotation, "chr1", 0, 16, "+") == "NN55cciiiccc33NN"
    assert letters(annotation, "chr1", 0, 16, "-") == "NN333ciiiccc55NN"[::-1]


def test_precedence_where_transcripts_disagree(tmp_path):
    text = gtf_transcript("c", "+", "A", [(0, 4), (16, 20)], [(2, 4), (16, 18)])  # 55cciiiiiiiiiiiicc33
    text += gtf_transcript("c", "+", "B", [(0, 8), (14, 20)], [(0, 2)])  # cc333333iiiiii333333
    text += gtf_transcript("c", "+", "C", [(5, 12)], [(10, 12)])  # .....55555cc
    assert letters(load(tmp_path, text), "c", 0, 20, "+") == "cccc333355ccii33cc33"


def test_other_biotypes_have_no_region_type_unless_asked_for(tmp_path):
    text = gtf_transcript("c", "+", "A", [(5, 10)], [(6, 8)])
    text += gtf_transcript("c", "+", "B", [(0, 6), (12, 15)], [(0, 3)], kind="nonsense_mediated_decay")
    text += gtf_transcript("c", "+", "L", [(20, 22), (24, 26)], kind="lncRNA")
    assert letters(load(tmp_path, text), "c", 0, 28, "+") == "NNNNN5cc33NNNNNNNNNNNNNNNNNN"
    both = load(tmp_path, text, transcript_types=("protein_coding", "nonsense_mediated_decay"))
    assert letters(both, "c", 0, 28, "+") == "ccc333cc33ii333NNNNNNNNNNNNN"
    assert letters(load(tmp_path, text, transcript_types="lncRNA"), "c", 18, 10, "+") == "NNNNiiNNNN"


def test_an_exonic_gap_within_the_coding_span_is_coding(tmp_path):
    text = gtf_transcript("c", "+", "F", [(0, 12)], [(2, 5), (6, 9)])  # programmed frameshift
    assert letters(load(tmp_path, text), "c", 0, 12, "+") == "55ccccccc333"


def test_a_stop_codon_split_by_an_intron(tmp_path):
    text = gtf_transcript("c", "+", "S", [(0, 4), (6, 10)], [(1, 3)])
    text += gtf_line("c", "stop_codon", 3, 4, "+", "S") + gtf_line("c", "stop_codon", 6, 8, "+", "S")
    assert letters(load(tmp_path, text), "c", 0, 10, "+") == "5ccciicc33"


def test_exon_order_and_duplicates_do_not_matter(tmp_path):
    exons = [(30, 35), (10, 20), (12, 18), (20, 24), (10, 20)]
    annotation = load(tmp_path, gtf_transcript("c", "-", "D", exons, [(12, 20), (20, 22)]))
    assert annotation.exons("D").tolist() == [[10, 24], [30, 35]]
    assert letters(annotation, "c", 10, 25, "-") == ("33" + "c" * 10 + "55" + "i" * 6 + "5" * 5)[::-1]


def test_windows_off_the_contig_and_far_away(tmp_path):
    text = gtf_transcript("a", "+", "A", [(0, 5)], [(0, 5)]) + gtf_transcript("b", "+", "B", [(0, 5)], [(0, 5)])
    annotation = load(tmp_path, text)
    assert letters(annotation, "a", -3, 10, "+") == "NNNcccccNN"
    assert letters(annotation, "a", -3, 10, "-") == "N" * 10
    assert letters(annotation, "a", 10**15, 4, "+") == "NNNN"
    assert letters(annotation, "a", -(10**15), 4, "+") == "NNNN"
    assert letters(annotation, "nowhere", 0, 4, "+") == "NNNN"
    assert annotation.region_codes("a", [], 4).shape == (0, 4)
    assert annotation.region_codes("a", [1, 2], 0).shape == (2, 0)
    assert set(letters(annotation, "a", 0, 300_000, "+")[5:]) == {"N"}


@pytest.mark.parametrize("file", ["chr22slice.gencode_v25.gtf.gz", "chr22mini.gencode_v25.gtf"])
def test_every_base_of_the_real_annotation_against_a_slow_reading(shared_data, file):
    path = shared_data / "reference" / file
    annotation, transcripts = Annotation.load(path), read_transcripts(path)
    for contig in annotation.contigs:
        for strand in "+-":
            track = slow_region_track(transcripts, contig, strand)
            got = letters(annotation, contig, -50, 300_100, strand)
            assert got == slow_regions(track, -50, 300_100, strand)
    coding = [t for t in transcripts.values() if t["type"] == "protein_coding"]
    assert sum(len(t["cds"]) for t in coding) > 500


def test_windows_of_the_real_annotation_in_batches(shared_data, rng):
    path = shared_data / "reference" / "chr22slice.gencode_v25.gtf.gz"
    annotation, transcripts = Annotation.load(path), read_transcripts(path)
    tracks = {strand: slow_region_track(transcripts, "chr22slice", strand) for strand in "+-"}
    starts, minus = rng.integers(-100, 300_000, 2000), rng.random(2000) < 0.5
    codes = annotation.region_codes("22slice", starts, 250, minus)
    for row in range(2000):
        strand = "-" if minus[row] else "+"
        assert decode_region(codes[row]) == slow_regions(tracks[strand], starts[row], 250, strand)


@pytest.mark.parametrize(("name", "n_introns", "n_odd"), [("chr22mini", 4, 0), ("chr22slice", 88, 1)])
def test_introns_of_the_real_annotation_begin_with_gt_and_end_with_ag(shared_data, tmp_path, name, n_introns, n_odd):
    folder = shared_data / "reference"
    shutil.copy(folder / f"{name}.fa", tmp_path)
    genome = Genome(tmp_path / f"{name}.fa")
    annotation = Annotation.load(next(folder.glob(f"{name}.gencode_v25.gtf*")))
    ends = []
    for transcript in annotation.transcripts.itertuples():
        exons = annotation.exons(transcript.transcript_id)
        for start, end in zip(exons[:-1, 1], exons[1:, 0], strict=True):
            codes = genome.fetch(transcript.chrom, [start], end - start, [transcript.strand == "-"])[0]
            ends.append(decode_sequence(codes[:2]) + decode_sequence(codes[-2:]))
    assert len(ends) == n_introns
    assert sum(letters != "GTAG" for letters in ends) == n_odd


def test_gencode_and_ensembl_dialects_agree(shared_data, tmp_path):
    path = shared_data / "reference" / "chr22slice.gencode_v25.gtf.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    ensembl = text.replace("_type ", "_biotype ").replace("chr22slice", "22slice").replace("UTR", "five_prime_utr")
    (tmp_path / "ensembl.gtf").write_text(ensembl)
    a, b = Annotation.load(path), Annotation.load(tmp_path / "ensembl.gtf")
    for minus in (False, True):
        codes = a.region_codes("chr22slice", [0], 300_000, minus)
        assert len(np.unique(codes)) == 5
        np.testing.assert_array_equal(codes, b.region_codes("chr22slice", [0], 300_000, minus))


# ------------------------------------------------------------------ transcripts


def test_transcripts_and_exons(tmp_path):
    text = gtf_transcript("c", "-", "A", [(30, 40), (5, 10)], [(6, 8)], gene="G1")
    text += gtf_transcript("d", "+", "L", [(2, 4)], kind="lncRNA")
    annotation = load(tmp_path, text)
    table = annotation.transcripts
    assert list(table.columns) == [
        *("chrom", "start", "end", "strand", "transcript_id", "gene_id", "gene_name", "transcript_type")
    ]
    assert [tuple(row) for row in table.itertuples(index=False)] == [
        ("c", 5, 40, "-", "A", "G1", "G1-name", "protein_coding"),
        ("d", 2, 4, "+", "L", "GL", "GL-name", "lncRNA"),
    ]
    assert annotation.exons("A").tolist() == [[5, 10], [30, 40]]
    with pytest.raises(UnknownNameError, match=r"unknown transcript in .*a.gtf 'B'"):
        annotation.exons("B")


def test_overlapping_counts_shared_bases_only(tmp_path):
    text = gtf_transcript("c", "-", "A", [(10, 20), (100, 110)], [(12, 15)])
    text += gtf_transcript("c", "+", "B", [(20, 30)], kind="lncRNA") + gtf_transcript("d", "+", "C", [(20, 30)])
    annotation = load(tmp_path, text)
    chroms = ["c", "c", "c", "c", "chrd", "x", "c"]
    starts, ends = [0, 0, 19, 110, 0, 0, 50], [10, 11, 21, 120, 99, 99, 51]
    query, transcript = annotation.overlapping(chroms, starts, ends)
    assert list(zip(query.tolist(), transcript.tolist(), strict=True)) == [(1, 0), (2, 0), (2, 1), (4, 2), (6, 0)]


def test_strand_rule(tmp_path):
    text = gtf_transcript("c", "+", "P", [(0, 10), (90, 100)], [(2, 8)])
    text += gtf_transcript("c", "-", "M", [(5, 10), (40, 50), (95, 105)], [(6, 9), (41, 49)])
    text += gtf_transcript("c", "-", "L", [(20, 30), (200, 210), (300, 310)], kind="lncRNA")
    text += gtf_transcript("c", "+", "K", [(205, 215), (280, 299), (312, 320)], kind="lncRNA")
    annotation = load(tmp_path, text)
    cases = {
        (0, 4): "+",  # one transcript only
        (0, 10): "+",  # both exonic, more bases on plus
        (5, 10): "+",  # the same on both: plus
        (42, 46): "-",  # exon on minus, intron on plus
        (22, 26): "-",  # introns of coding genes on both, and a non-coding exon on minus
        (60, 70): "+",  # introns of coding genes on both
        (92, 104): "-",  # 8 exonic bases against 9
        (101, 104): "-",
        (107, 109): "-",  # only the intron of a non-coding transcript
        (202, 208): "-",  # non-coding exons, 6 bases against 3
        (302, 306): "-",  # non-coding exon against intron
        (330, 340): ".",
        (400, 410): ".",
    }
    got = annotation.strand_of("c", [s for s, _ in cases], [e for _, e in cases])
    assert dict(zip(cases, got, strict=True)) == cases
    assert annotation.strand_of(["x"], [0], [5]).tolist() == ["."]


# ------------------------------------------------------------------ contig names


def test_contig_aliases(tmp_path):
    text = gtf_transcript("1", "+", "A", [(0, 5)], [(0, 5)]) + gtf_transcript("MT", "+", "B", [(0, 5)], [(0, 5)])
    annotation = load(tmp_path, text)
    for name in ("1", "chr1", "MT", "chrM"):
        assert letters(annotation, name, 0, 4, "+") == "cccc"
    assert annotation.overlapping(["chr1", "chrM"], [0, 0], [1, 1])[1].tolist() == [0, 1]


@pytest.mark.parametrize(("length", "expected"), [(16_571, "NNNN"), (16_569, "cccc"), (500, "cccc")])
def test_mitochondria_are_matched_only_if_lengths_agree(tmp_path, length, expected):
    text = gtf_transcript("1", "+", "A", [(0, 5)], [(0, 5)]) + gtf_transcript("MT", "+", "B", [(0, 5)], [(0, 5)])
    annotation = load(tmp_path, text)
    genome = Genome(write_fasta(tmp_path / "g.fa", {"chr1": "ACGT" * 10, "chrM": "A" * length}))
    assert letters(annotation.for_genome(genome), "chrM", 0, 4, "+") == expected
    assert letters(annotation, "chrM", 0, 4, "+") == "cccc"


def test_annotation_of_another_genome(tmp_path):
    annotation = load(tmp_path, gtf_transcript("1", "+", "A", [(0, 50)], [(0, 5)]))
    with pytest.raises(InputError, match=r"a\.gtf: expected contigs of .*g\.fa \(x, \.\.\.\), got 1"):
        annotation.for_genome(Genome(write_fasta(tmp_path / "g.fa", {"x": "ACGT"})))
    with pytest.warns(AnnotationWarning, match=r"a transcript on 1 ends at 50, but chr1 in .* has only 4 bases"):
        annotation.for_genome(Genome(write_fasta(tmp_path / "h.fa", {"chr1": "ACGT"})))


# ------------------------------------------------------------------ the kept index


@pytest.fixture
def no_small_files(monkeypatch):
    monkeypatch.setattr(annotation_index, "SMALL_FILE_BYTES", 0)


def kept_by_reading(monkeypatch, path, **options):
    """Load, and say whether the GTF file itself was read."""
    reads = []
    monkeypatch.setattr(annotation_index, "read_gtf", lambda p: reads.append(p) or original(p))
    return Annotation.load(path, **options), not reads


original = annotation_index.read_gtf
TEXT = gtf_transcript("c", "+", "A", [(5, 10)], [(6, 8)]) + gtf_transcript("c", "-", "L", [(1, 9)], kind="lncRNA")


@pytest.mark.usefixtures("no_small_files")
def test_the_index_is_kept_beside_the_file(shared_data, tmp_path, monkeypatch):
    path = tmp_path / "a.gtf.gz"
    shutil.copy(shared_data / "reference" / "chr22slice.gencode_v25.gtf.gz", path)
    first, kept = kept_by_reading(monkeypatch, path)
    assert not kept
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gtf.gz", "a.gtf.gz.ripe-protein_coding.npz"]
    second, kept = kept_by_reading(monkeypatch, path)
    assert kept
    for minus in (False, True):
        np.testing.assert_array_equal(
            first.region_codes("chr22slice", [0], 300_000, minus),
            second.region_codes("chr22slice", [0], 300_000, minus),
        )
    assert first.transcripts.equals(second.transcripts)
    assert all((first.exons(t) == second.exons(t)).all() for t in first.transcripts["transcript_id"])


@pytest.mark.usefixtures("no_small_files")
def test_another_state_of_the_file_or_option_is_read_again(tmp_path, monkeypatch):
    load(tmp_path, TEXT)
    path = tmp_path / "a.gtf"
    assert kept_by_reading(monkeypatch, path)[1]
    _, kept = kept_by_reading(monkeypatch, path, transcript_types=("lncRNA", "protein_coding"))
    assert not kept
    assert kept_by_reading(monkeypatch, path, transcript_types=("protein_coding", "lncRNA"))[1]
    os.utime(path, ns=(1, 1))
    assert not kept_by_reading(monkeypatch, path)[1]
    assert kept_by_reading(monkeypatch, path)[1]
    path.write_text(TEXT.replace("\tCDS\t7\t", "\tCDS\t8\t"))
    os.utime(path, ns=(1, 1))
    fresh, _ = kept_by_reading(monkeypatch, path)
    assert letters(fresh, "c", 5, 5, "+") == "5cc33"  # same size, same time: nobody can tell
    os.utime(path, ns=(2, 2))
    assert letters(kept_by_reading(monkeypatch, path)[0], "c", 5, 5, "+") == "55c33"


@pytest.mark.usefixtures("no_small_files")
@pytest.mark.parametrize("content", [b"", b"not a zip", None])
def test_a_damaged_index_is_made_anew(tmp_path, monkeypatch, content):
    annotation = load(tmp_path, TEXT)
    kept_file = tmp_path / "a.gtf.ripe-protein_coding.npz"
    data = kept_file.read_bytes()
    kept_file.write_bytes(data[: len(data) // 2] if content is None else content)
    again, kept = kept_by_reading(monkeypatch, tmp_path / "a.gtf")
    assert not kept
    assert letters(again, "c", 0, 12, "+") == letters(annotation, "c", 0, 12, "+") == "NNNNN5cc33NN"
    assert kept_file.read_bytes() == data


@pytest.mark.usefixtures("no_small_files")
def test_a_read_only_folder_keeps_its_index_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RIPE_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.gtf").write_text(TEXT)
    folder.chmod(0o555)
    try:
        Annotation.load(folder / "a.gtf")
        assert [p.name for p in folder.iterdir()] == ["a.gtf"]
        assert cached_name(folder / "a.gtf", ".ripe-protein_coding.npz").is_file()
        assert kept_by_reading(monkeypatch, folder / "a.gtf")[1]
    finally:
        folder.chmod(0o755)


@pytest.mark.usefixtures("no_small_files")
def test_nowhere_to_write_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("RIPE_CACHE_DIR", str(tmp_path / "a.gtf" / "impossible"))
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.gtf").write_text(TEXT)
    (tmp_path / "a.gtf").write_text("a file where the cache folder should be")
    folder.chmod(0o555)
    try:
        assert letters(Annotation.load(folder / "a.gtf"), "c", 5, 5, "+") == "5cc33"
    finally:
        folder.chmod(0o755)


def test_small_files_leave_nothing_behind(tmp_path):
    load(tmp_path, TEXT)
    assert [p.name for p in tmp_path.iterdir()] == ["a.gtf"]


def test_wrong_requests(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.gtf: no such GTF file"):
        Annotation.load(tmp_path / "none.gtf")
    with pytest.raises(UnknownNameError, match=r"unknown transcript type in .*a\.gtf 'lncRNAs'. Did you mean 'lncRNA'"):
        load(tmp_path, TEXT, transcript_types=("lncRNAs",))


def test_loading_warns_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(tmp_path, TEXT)
