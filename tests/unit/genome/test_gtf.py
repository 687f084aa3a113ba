import gzip

import numpy as np
import pytest

from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.genome.gtf import CDS, EXON, read_gtf
from tests.support.array_oracles import gtf_line, gtf_transcript

GENE = gtf_transcript("chr1", "+", "T1", [(10, 20), (30, 40)], [(15, 20), (30, 33)])
OTHER = gtf_transcript("chr1", "-", "T2", [(100, 200)], kind="lncRNA")


def gtf(tmp_path, text, name="a.gtf"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_what_is_kept(tmp_path):
    table = read_gtf(gtf(tmp_path, "##x\n" + GENE + "\n" + OTHER))
    assert table.contigs == ["chr1"]
    assert table.transcript_id == ["T1", "T2"]
    assert table.gene_id == ["GT1", "GT2"]
    assert table.gene_name == ["GT1-name", "GT2-name"]
    assert table.transcript_type == ["protein_coding", "lncRNA"]
    assert table.strand.tolist() == [0, 1]
    assert (table.start.tolist(), table.end.tolist()) == ([10, 100], [40, 200])
    pieces = np.stack([table.piece_transcript, table.piece_kind, table.piece_start, table.piece_end], axis=1).tolist()
    assert pieces == [[0, EXON, 10, 20], [0, EXON, 30, 40], [0, CDS, 15, 20], [0, CDS, 30, 33], [1, EXON, 100, 200]]


def test_the_span_comes_from_exons_where_there_is_no_transcript_line(tmp_path):
    lines = [line for line in (GENE + OTHER).splitlines(keepends=True) if "\ttranscript\t" not in line]
    table = read_gtf(gtf(tmp_path, "".join(reversed(lines))))
    assert sorted(zip(table.transcript_id, table.start, table.end, strict=True)) == [("T1", 10, 40), ("T2", 100, 200)]


@pytest.mark.parametrize("text", [(GENE + OTHER).replace("\n", "\r\n"), (GENE + OTHER).rstrip("\n")])
def test_line_ends(tmp_path, text):
    table = read_gtf(gtf(tmp_path, text))
    assert table.transcript_type == ["protein_coding", "lncRNA"]
    assert len(table.piece_start) == 5


def test_gzip(tmp_path):
    table = read_gtf(gtf(tmp_path, gzip.compress((GENE + OTHER).encode()), "a.gtf.gz"))
    assert table.transcript_id == ["T1", "T2"]


@pytest.mark.parametrize("dialect", ["gencode", "ensembl", "old_ensembl"])
def test_biotypes_of_each_dialect(tmp_path, dialect):
    text = gtf_transcript("1", "+", "T1", [(10, 40)], [(15, 30)], dialect=dialect)
    text += gtf_transcript("1", "+", "T2", [(10, 40)], [(15, 30)], kind="nonsense_mediated_decay", dialect=dialect)
    assert read_gtf(gtf(tmp_path, text)).transcript_type == ["protein_coding", "nonsense_mediated_decay"]


def test_refseq_calls_protein_coding_mRNA(tmp_path):
    text = GENE.replace('transcript_type "protein_coding"', 'transcript_biotype "mRNA"')
    assert read_gtf(gtf(tmp_path, text)).transcript_type == ["protein_coding"]


def test_gene_biotype_alone_counts_only_with_a_cds(tmp_path):
    text = gtf_transcript("1", "+", "T1", [(10, 40)], [(15, 30)], dialect="none")
    text += gtf_transcript("1", "+", "T2", [(10, 40)], dialect="none")
    text += gtf_transcript("1", "+", "T3", [(10, 40)], dialect="none").replace("\n", ' gene_biotype "lincRNA";\n')
    text = text.replace('T1-name";\n', 'T1-name"; gene_biotype "protein_coding";\n')
    text = text.replace('T2-name";\n', 'T2-name"; gene_biotype "protein_coding";\n')
    assert read_gtf(gtf(tmp_path, text)).transcript_type == ["protein_coding", "unknown", "lincRNA"]


def test_without_any_biotype_a_cds_makes_protein_coding(tmp_path):
    text = gtf_transcript("1", "+", "T1", [(10, 40)], [(15, 30)], dialect="none")
    text += gtf_transcript("1", "+", "T2", [(10, 40)], dialect="none")
    assert read_gtf(gtf(tmp_path, text)).transcript_type == ["protein_coding", "unknown"]


def test_the_ucsc_style_file(shared_data):
    table = read_gtf(shared_data / "reference" / "kipoiseq_ENST00000319363" / "chr22_ENST00000319363.gtf")
    assert table.transcript_id == ["ENST00000319363"]
    assert table.transcript_type == ["protein_coding"]
    assert (table.start[0], table.end[0]) == (17_565_848, 17_596_583)


def test_values_without_quotes_and_odd_order(tmp_path):
    attributes = 'tag "x_transcript_id_x"; gene_name "transcript_id"; gene_id G1;transcript_id T.1 ; exon_number 1'
    lines = [f"c\ts\t{feature}\t11\t20\t.\t+\t.\t{attributes}\n" for feature in ("exon", "CDS")]
    table = read_gtf(gtf(tmp_path, "".join(lines)))
    assert (table.transcript_id, table.gene_id, table.gene_name) == (["T.1"], ["G1"], ["transcript_id"])


def test_one_name_at_two_places_is_two_transcripts(tmp_path):
    text = GENE + GENE.replace("chr1", "chrY") + GENE.replace("\t+\t", "\t-\t")
    table = read_gtf(gtf(tmp_path, text))
    assert table.transcript_id == ["T1", "T1", "T1"]
    assert table.contig.tolist() == [0, 1, 0]
    assert table.strand.tolist() == [0, 0, 1]
    assert np.bincount(table.piece_transcript).tolist() == [4, 4, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.gtf: expected a GTF with exon and CDS lines, got no exon line"),
        (gtf_line("1", "gene", 10, 20, "+", "T"), "got no exon line"),
        (gtf_line("1", "CDS", 10, 20, "+", "T"), "got no exon line"),
        (OTHER, "a.gtf: expected a GTF with exon and CDS lines, got no CDS line"),
        (GENE + "chr1\tx\texon\t1\n", "a.gtf:6: expected 9 tab-separated columns, got 4"),
        (GENE.replace("\t11\t", "\tten\t"), "a.gtf:1: expected whole numbers in columns 4 and 5, got 'ten 40'"),
        (GENE.replace("\t20\t", "\t5\t"), "a.gtf:2: expected 1 <= start <= end, got start=11 end=5"),
        (GENE.replace("\t11\t", "\t0\t"), "a.gtf:1: expected 1 <= start <= end, got start=0"),
        (GENE.replace("\t+\t", "\tplus\t"), "a.gtf:1: expected .* in column 7, got 'plus'"),
        (GENE.replace("transcript_id", "transcript"), r'a.gtf:1: expected transcript_id "..." in the transcript line'),
        ("##gff-version 3\n", "a.gtf:1: expected GTF, got GFF3. .*gffread"),
        ("1\tx\texon\t5\t9\t.\t+\t.\tID=exon1;Parent=t1;transcript_id=t1\n", "a.gtf:1: expected GTF, got GFF3"),
        ("chr1\t5\t9\tname\t0\t+\n", "a.gtf:1: expected 9 tab-separated columns, got 6"),
        (b"\x00\xff\x00", "a.gtf:1: expected 9 tab-separated columns"),
        (gzip.compress((GENE * 50).encode())[:-9], "a.gtf: expected a complete gzip file"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_gtf(gtf(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_lines_of_other_features_are_not_judged(tmp_path):
    odd = "1\tx\tSelenocysteine\tx\ty\t.\t?\t.\tnothing\n"
    assert read_gtf(gtf(tmp_path, odd + GENE)).transcript_id == ["T1"]


def test_missing_file(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.gtf: no such file"):
        read_gtf(tmp_path / "none.gtf")
