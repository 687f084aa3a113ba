import gzip
import re

import numpy as np
import pytest

from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import decode_region
from ripe_lib.genome.gtf import CDS, EXON, AnnotationWarning, read_gtf
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
        ("", "a.gtf: expected a GTF with exon and CDS lines, got no such line"),
        (gtf_line("1", "gene", 10, 20, "+", "T"), "got no such line"),
        (gtf_line("1", "transcript", 10, 20, "+", "T"), "got no such line"),
        ("track name=x\n", "got no such line"),
        ("##gff-version 3\n", "a.gtf:1: expected GTF, got GFF3. .*gffread"),
        ("1\tx\texon\t5\t9\t.\t+\t.\tID=exon1;Parent=t1;transcript_id=t1\n", "a.gtf:1: expected GTF, got GFF3"),
        ("chr1\t5\t9\tname\t0\t+\n", "a.gtf:1: expected 9 tab-separated columns, got 6"),
        (b"\x00\xff\x00", "a.gtf:1: expected text, got a NUL byte"),
        (gzip.compress((GENE * 50).encode())[:-9], "a.gtf: expected a complete gzip file"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_gtf(gtf(tmp_path, text))
    assert "\n" not in str(caught.value)


ODD = gtf_line("chr2", "exon", 99, 199, "+", "Z")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr2\tx\texon\t1\n", "expected 9 tab-separated columns, got 4"),
        (ODD.replace("\t100\t", "\tten\t"), "expected whole numbers in columns 4 and 5, got 'ten 199'"),
        (ODD.replace("\t100\t", "\t1_00\t"), "expected whole numbers in columns 4 and 5, got '1_00 199'"),
        (ODD.replace("\t199\t", f"\t{'9' * 5000}\t"), "expected whole numbers in columns 4 and 5, got '100 999"),
        (ODD.replace("\t199\t", "\t99\t"), "expected 1 <= start <= end, got start=100 end=99"),
        (ODD.replace("\t100\t", "\t0\t"), "expected 1 <= start <= end, got start=0"),
        (ODD.replace("\t+\t", "\t?\t"), "expected .* in column 7, got '\\?'"),
        (ODD.replace('"Z"', '""'), r'expected transcript_id "..." in the exon line'),
        (ODD.replace("transcript_id", "transcript"), r'expected transcript_id "..." in the exon line'),
    ],
)
def test_odd_lines_are_left_out_and_told_once(tmp_path, line, message):
    alone = read_gtf(gtf(tmp_path, GENE))
    for text, number, n in ((GENE + line, 6, 1), (line + GENE + line * 2, 1, 3)):
        with pytest.warns(
            AnnotationWarning, match=rf"{n} line\(s\) left out, the first: .*a.gtf:{number}: {message}"
        ) as told:
            table = read_gtf(gtf(tmp_path, text))
        assert len(told) == 1
        assert (table.transcript_id, table.contigs) == (["T1"], ["chr1"])
        np.testing.assert_array_equal(table.piece_start, alone.piece_start)


@pytest.mark.parametrize(
    "head", [b"track name=genes\n", b"browser position chr1:1-9\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf#!x\n"]
)
def test_lines_of_browsers_and_text_marks_are_nothing(tmp_path, head):
    table = read_gtf(gtf(tmp_path, head + GENE.encode()))
    assert (table.transcript_id, table.contigs) == (["T1"], ["chr1"])


def test_a_file_of_cds_lines_only(tmp_path):
    table = read_gtf(gtf(tmp_path, 'c1\tRefSeq\tCDS\t51\t350\t.\t+\t0\tgene_id "S"; transcript_id "u_1"; gene "S"; \n'))
    assert (table.gene_name, table.transcript_type, table.start.tolist()) == (["S"], ["protein_coding"], [50])


def test_without_cds_lines_strands_and_genes_are_known(tmp_path):
    with pytest.warns(
        AnnotationWarning, match=r"a\.gtf: no CDS line: strands and genes are known, region types are not"
    ):
        table = read_gtf(gtf(tmp_path, OTHER))
    assert (table.transcript_id, table.strand.tolist()) == (["T2"], [1])


def refseq(feature, start, end, gene, more="", name="unknown_transcript_1"):
    attributes = f'gene_id "{gene}"; transcript_id "{name}"; gbkey "x"; gene "{gene}"; {more}'
    return f"c1\tRefSeq\t{feature}\t{start}\t{end}\t.\t+\t0\t{attributes}\n"


@pytest.mark.parametrize("gene_first", [True, False])
def test_one_name_for_several_genes_is_a_transcript_of_each(tmp_path, gene_first):
    lines = [refseq("CDS", 51, 150, "ND1"), refseq("CDS", 301, 400, "ND2"), refseq("exon", 501, 560, "TRNI")]
    lines += [refseq("CDS", 161, 170, "ND1")]
    if not gene_first:
        swap = r'(gene_id "[^"]*"); (transcript_id "[^"]*");'
        lines = [re.sub(swap, r"\2; \1;", line) for line in lines]
    path = gtf(tmp_path, "".join(lines))
    table = read_gtf(path)
    assert table.transcript_id == ["unknown_transcript_1"] * 3
    assert table.gene_name == ["ND1", "ND2", "TRNI"]
    assert table.piece_transcript.tolist() == [0, 1, 2, 0]
    assert (table.start.tolist(), table.end.tolist()) == ([50, 300, 500], [170, 400, 560])
    assert table.transcript_type == ["protein_coding", "protein_coding", "unknown"]
    annotation = Annotation.load(path)
    region = annotation.region_codes(["c1"] * 4, [99, 199, 349, 529], 1, [False] * 4)
    assert [decode_region(row) for row in region] == ["c", "N", "c", "N"]


def test_keys_are_not_looked_for_in_quoted_text(tmp_path):
    note = 'note "herpesvirus core gene UL29 family; gene \'x\'"; product "ORF6"; '
    old = 'gene_id "G1"; transcript_id "T1"; note "was transcript_type lncRNA before; transcript_id x"; '
    odd = 'note "transcript_id "T9"; gene_id "G9"; transcript_id "T3"; '
    shared = "c1\tProtein Homology\t{}\t51\t350\t.\t+\t.\t{}\n"
    text = ""
    for attributes in ('gene_id "LT_01"; transcript_id "t_1"; locus_tag "LT_01"; ' + note, old, odd):
        text += shared.format("exon", attributes) + shared.format("CDS", attributes)
    table = read_gtf(gtf(tmp_path, text))
    assert table.transcript_id == ["t_1", "T1", "T3"]
    assert table.gene_name == ["LT_01", "G1", "G9"]
    assert table.transcript_type == ["protein_coding"] * 3


def test_a_cds_counts_as_protein_coding_where_its_transcript_states_no_biotype(tmp_path):
    text = refseq("exon", 51, 350, "A", 'transcript_biotype "mRNA"; ', "NM_1.1") + refseq(
        "CDS", 101, 300, "A", "", "NM_1.1"
    )
    text += refseq("exon", 51, 350, "B", 'transcript_biotype "lnc_RNA"; ', "NR_1.1") + refseq(
        "exon", 9, 20, "C", "", "u_2"
    )
    text += refseq("CDS", 51, 350, "ND1", "", "unassigned_transcript_4785")
    assert read_gtf(gtf(tmp_path, text)).transcript_type == ["protein_coding", "lnc_RNA", "unknown", "protein_coding"]


def test_lines_of_other_features_are_not_judged(tmp_path):
    odd = "1\tx\tSelenocysteine\tx\ty\t.\t?\t.\tnothing\n"
    assert read_gtf(gtf(tmp_path, odd + GENE)).transcript_id == ["T1"]


@pytest.mark.parametrize("change", [str.upper, str.lower, str.title])
def test_features_in_any_letter_case(change, tmp_path):
    lines = [gtf_line("c1", kind, 10, 90, "+", "t1") for kind in ("transcript", "exon", "CDS", "start_codon")]
    other = [re.sub(r"test\t(\w+)", lambda found: "test\t" + change(found[1]), line) for line in lines]
    tables = [vars(read_gtf(gtf(tmp_path, "".join(text), "x.gtf"))) for text in (lines, other)]
    assert [str(value) for value in tables[0].values()] == [str(value) for value in tables[1].values()]
    assert tables[0]["piece_kind"].tolist() == [0, 1, 3]


def test_missing_file(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.gtf: no such file"):
        read_gtf(tmp_path / "none.gtf")


def test_attributes_without_semicolons(tmp_path):
    line = '1\tx\t{0}\t{1}\t{2}\t.\t+\t.\tgene_id "g 1" transcript_id "t1" gene_name X\n'
    table = read_gtf(gtf(tmp_path, line.format("exon", 1, 50) + line.format("CDS", 11, 40)))
    assert (table.transcript_id, table.gene_id, table.gene_name) == (["t1"], ["g 1"], ["X"])
    assert table.piece_transcript.tolist() == [0, 0]


@pytest.mark.parametrize("odd", [lambda t: '"' + t.replace('"', '""') + '"', lambda t: t.replace('"', "'")])
def test_quotes_of_other_programs(tmp_path, odd):
    lines = [line.split("\t") for line in (GENE + OTHER).splitlines() if line]
    text = "".join("\t".join([*fields[:8], odd(fields[8])]) + "\n" for fields in lines)
    plain, quoted = read_gtf(gtf(tmp_path, GENE + OTHER)), read_gtf(gtf(tmp_path, text, "odd.gtf"))
    assert [str(value) for value in vars(plain).values()] == [str(value) for value in vars(quoted).values()]


def test_biotypes_none_of_which_gives_region_types_are_told(tmp_path):
    path = gtf(tmp_path, GENE.replace('_type "protein_coding"', '_type "coding"'))
    with pytest.warns(AnnotationWarning, match=r"no transcript is protein_coding \(but coding\): no region type"):
        Annotation.load(path)


def test_bytes_that_are_no_utf8_come_as_they_are(tmp_path):
    text = gtf_line("c1", "exon", 10, 90, "+", "t1", gene="NAME") + gtf_line(
        "c1", "CDS", 20, 40, "+", "t1", gene="NAME"
    )
    path = gtf(tmp_path, text)
    path.write_bytes(path.read_bytes().replace(b"NAME", b"caf\xe9"))
    assert set(Annotation.load(path).transcripts["gene_id"]) == {"caf\udce9"}


def test_a_word_without_end_is_read_once(tmp_path):
    """Tried again from each letter, two million of them would take days."""
    path = tmp_path / "a.gtf"
    path.write_text(
        f"chr1\ts\texon\t101\t200\t.\t+\t.\t{'x' * 2_000_000}\n"
        + gtf_transcript("chr1", "+", "t1", [(300, 400)], [(310, 390)])
    )
    with pytest.warns(AnnotationWarning, match="1 line"):
        assert len(Annotation.load(path).transcripts) == 1


@pytest.mark.parametrize("odd", ['a "x; ', 'a "b ', 'a "x" ; a "', "; a ", f'a{" " * 30}"'])
def test_quotes_and_blanks_without_end_are_read_once(tmp_path, odd):
    """Tried again from each quote or blank, half a million of them would take hours."""
    path = tmp_path / "a.gtf"
    lines = gtf_transcript("chr1", "+", "t1", [(300, 400)], [(310, 390)]).splitlines()
    path.write_text("\n".join(f"{line} {odd * 100_000}" for line in lines) + "\n")
    assert list(Annotation.load(path).transcripts["transcript_id"]) == ["t1"]
