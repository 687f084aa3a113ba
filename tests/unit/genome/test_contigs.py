import pytest

from ripe_lib.errors import UnknownNameError
from ripe_lib.genome.contigs import ContigNames, mitochondria_agree


def names(*contigs, **options):
    return ContigNames(list(contigs), "g.fa", **options)


@pytest.mark.parametrize(
    ("have", "asked", "found"),
    [
        ("chr1", "1", "chr1"),
        ("1", "chr1", "1"),
        ("chr1", "chr1", "chr1"),
        ("X", "chrX", "X"),
        ("chrM", "MT", "chrM"),
        ("MT", "chrM", "MT"),
        ("M", "chrM", "M"),
        ("chrMT", "MT", "chrMT"),
        ("chr1", "10", None),
        ("chr11", "1", None),
        ("scaffold_1", "1", None),
        ("chr", "", None),
    ],
)
def test_aliases(have, asked, found):
    assert names(have, "other").find(asked) == found


def test_the_exact_name_wins_and_two_candidates_are_none():
    both = names("1", "chr1")
    assert both.find("1") == "1"
    assert both.find("chr1") == "chr1"
    assert both.find("CHR1") is None
    assert names("M", "MT").find("chrM") == "M"


@pytest.mark.parametrize(
    ("lengths", "agree"),
    [
        ({"chr1": 248_956_422, "chrM": 16_569}, True),  # GRCh38
        ({"chr1": 249_250_621, "chrM": 16_571}, False),  # hg19
        ({"1": 249_250_621, "MT": 16_569}, False),  # GRCh37
        ({"chrM": 16_571}, False),
        ({"MT": 16_569}, True),
        ({"chr1": 1000, "chrM": 300}, True),  # test genomes
        ({"chr1": 1000}, True),
    ],
)
def test_when_chrM_and_MT_are_the_same(lengths, agree):
    assert mitochondria_agree(lengths) is agree


def test_mitochondria_that_differ_are_refused_by_name():
    apart = names("chr1", "chrM", match_mitochondria=False)
    assert apart.find("M") == "chrM"
    assert apart.find("MT") is None
    with pytest.raises(UnknownNameError, match=r"expected contig 'MT', got only 'chrM'.*16571"):
        apart.resolve("MT")


def test_an_unknown_contig_shows_the_nearest():
    with pytest.raises(UnknownNameError, match=r"g.fa: unknown contig 'chr22x'. Did you mean 'chr22'"):
        names("chr22", "chrX").resolve("chr22x")
