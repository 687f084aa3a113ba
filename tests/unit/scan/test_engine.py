"""A scan says what ``predict`` says for the same windows."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from ripe_lib.errors import InputError, UnknownNameError
from ripe_lib.genome.encoding import encode_region, encode_sequence, place, reverse_complement
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.rna_fasta import read_rna_fasta
from ripe_lib.genome.windows import WindowMaker
from ripe_lib.network.load import Model
from ripe_lib.network.predict import predict_codes
from ripe_lib.scan.engine import Scanner
from ripe_lib.scan.sources import GenomeSource, RnaSource, Run, bin_bounds, stretches
from tests.support.scan_genome import random_rna, region_letters, write_fasta, write_genome
from tests.support.toy_models import random_model

TOLERANCE = 5e-6  # sums in another order; the toy's logits reach 12, shipped models stay below 1e-6


def scan(scanner, source, run):
    """Scores in genomic order."""
    scores = np.concatenate(scanner.scores(stretches(source, run, scanner)))
    return scores[::-1] if run.strand == "-" else scores


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return write_genome(tmp_path_factory.mktemp("genome"), np.random.default_rng(1))


@pytest.mark.parametrize("step", [1, 7, 50])
@pytest.mark.parametrize("with_gtf", [False, True])
@pytest.mark.parametrize("strand", ["+", "-"])
def test_genome_equals_predict_on_a_bed_of_the_bins(genome, tiny_model, step, with_gtf, strand):
    fasta, gtf = genome
    source = GenomeSource(fasta, gtf if with_gtf else None, (("chr1", strand, 0, 2137), ("chr2", strand, 3, 80)))
    scanner = Scanner(tiny_model, step=step)
    runs = source.runs(step)
    assert [run[:3] for run in runs] == [("chr1", strand, 0), ("chr2", strand, 3 // step)]
    maker = WindowMaker(tiny_model.spec, fasta, gtf if with_gtf else None)
    for run in runs:
        starts, ends = bin_bounds(run, step, source.contigs[run.contig])
        bed = pd.DataFrame({"chrom": run.contig, "start": starts, "end": ends, "strand": strand})
        expected = predict_codes(tiny_model, *maker.codes(bed))
        np.testing.assert_allclose(scan(scanner, source, run), expected, rtol=0, atol=TOLERANCE)


def rna_source(tmp_path, records, region=None):
    path = write_fasta(tmp_path / "rna.fa", records, region=region)
    return RnaSource(read_rna_fasta(path, tmp_path / "scratch"))


@pytest.mark.parametrize("length", [1, 2, 74, 149, 150, 151, 333])
def test_rna_of_any_length_is_padded_with_unknown_bases(tmp_path, tiny_model, rng, length):
    """The slow way: put the RNA into a window of N, every base in turn at index 74 (region: 124)."""
    letters, regions = random_rna(rng, length), region_letters(rng, length)
    source = rna_source(tmp_path, {"a": letters}, {"a": regions})
    scores = scan(Scanner(tiny_model), source, Run("a", "+", 0, length))
    codes, region_codes = encode_sequence(letters), encode_region(regions)
    seq = np.stack([place(codes, 150, 74 - p) for p in range(length)])
    region = np.stack([place(region_codes, 250, 124 - p) for p in range(length)])
    np.testing.assert_allclose(scores, predict_codes(tiny_model, seq, region), rtol=0, atol=TOLERANCE)


def test_short_rna_as_one_bin_is_centred(tmp_path, tiny_model, rng):
    letters = random_rna(rng, 30)
    source = rna_source(tmp_path, {"a": letters})
    scanner = Scanner(tiny_model, step=50)
    assert source.runs(50) == [Run("a", "+", 0, 1)]
    expected = predict_codes(tiny_model, place(encode_sequence(letters), 150, 60)[None])
    np.testing.assert_allclose(scan(scanner, source, Run("a", "+", 0, 1)), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("step", [1, 2, 50])
def test_reverse_complement_mirrors_the_strands(genome, tiny_model, tmp_path, step):
    """Even steps: bins mirror. Step 1: the mirror is the border between two bases, minus(g) = plus(n - 2 - g)."""
    fasta, _ = genome
    n = 1900
    codes = Genome(fasta).fetch("chr1", [0], n)[0]
    letters = np.array(list("ACGTN"))
    forward, backward = tmp_path / "f.fa", tmp_path / "r.fa"
    forward.write_text(">c\n" + "".join(letters[codes]) + "\n")
    backward.write_text(">c\n" + "".join(letters[reverse_complement(codes)]) + "\n")
    scanner = Scanner(tiny_model, step=step)
    minus = scan(scanner, GenomeSource(str(forward), None, ()), Run("c", "-", 0, n // step))
    plus = scan(scanner, GenomeSource(str(backward), None, ()), Run("c", "+", 0, n // step))
    if step == 1:
        np.testing.assert_allclose(minus[:-1], plus[-2::-1], rtol=0, atol=1e-6)
    else:
        np.testing.assert_allclose(minus, plus[::-1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("step", [1, 3, 50])
def test_overlapping_pieces_change_nothing(genome, tiny_model, step):
    fasta, gtf = genome
    scanner = Scanner(tiny_model, step=step, threads=2)
    for strand in "+-":
        source = GenomeSource(fasta, gtf, ())
        whole = scan(scanner, source, Run("chr1", strand, 0, 2137 // step))
        for first in range(0, 2137 // step - 12, 17 if step > 3 else 300):
            piece = scan(scanner, source, Run("chr1", strand, first, 12))
            np.testing.assert_allclose(piece, whole[first : first + 12], rtol=0, atol=2e-6)  # sums in another order


@pytest.mark.parametrize("step", [1, 4])
def test_long_stretches_of_one_region_type(tmp_path, tiny_model, rng, monkeypatch, step):
    """Blocks with a constant region branch, cut where the type changes, give what one general block gives."""
    region = "i" * 700 + "c" * 90 + "3" * 620 + "N" * 500 + "5" * 10
    letters = random_rna(rng, len(region))
    source = rna_source(tmp_path, {"a": letters}, {"a": region})
    run = Run("a", "+", 0, len(region) // step)
    monkeypatch.setattr("ripe_lib.scan.engine.SEGMENT_WINDOWS", 50)
    scanner = Scanner(tiny_model, step=step)
    stretch = stretches(source, run, scanner)[0]
    segments = scanner._segments(stretch)
    assert [segments[0][0], segments[-1][1]] == [0, run.n]
    assert all(a[1] == b[0] for a, b in pairwise(segments))
    codes = stretch.region[stretch.region_first :]
    is_constant = [len(set(codes[step * w : step * w + 250].tolist())) == 1 for w in range(run.n)]
    found = {w for start, end in segments if is_constant[start] for w in range(start, end)}
    assert found == {w for w in range(run.n) if is_constant[w]}
    cut = scan(scanner, source, run)
    monkeypatch.setattr("ripe_lib.scan.engine.SEGMENT_WINDOWS", 10**9)
    assert scanner._segments(stretch) == [(0, run.n)]
    np.testing.assert_allclose(cut, scan(scanner, source, run), rtol=0, atol=2e-6)


def test_overlapping_spans_are_scanned_once(genome):
    fasta, _ = genome
    spans = (("chr2", "-", 0, 5), ("chr1", "-", 90, 130), ("chr1", "+", 10, 60), ("chr1", "+", 50, 101))
    spans += (("chr1", "+", 300, 301), ("chr1", "-", 100, 110))
    source = GenomeSource(fasta, None, spans)
    assert source.runs(50) == [
        Run("chr1", "+", 0, 3),
        Run("chr1", "+", 6, 1),
        Run("chr1", "-", 1, 2),
        Run("chr2", "-", 0, 1),
    ]
    assert source.runs(1)[0] == Run("chr1", "+", 10, 91)


def test_other_networks_are_scanned_by_whole_windows(genome, tiny_model):
    fasta, gtf = genome
    source = GenomeSource(fasta, gtf, ())
    shared = Scanner(tiny_model, step=3, tasks=["PUM2_PARCLIP"])
    other = Model(tiny_model.spec, tiny_model.keras_model)
    other.network.fast = None
    whole = Scanner(other, step=3, tasks=["PUM2_PARCLIP"], batch_size=17)
    assert tiny_model.network.fast is not None
    for run in (Run("chr1", "+", 4, 60), Run("chr1", "-", 680, 33)):
        a, b = scan(shared, source, run), scan(whole, source, run)
        assert a.shape == (run.n, 1)
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE)


def test_sequence_only_models(genome):
    fasta, gtf = genome
    model = random_model(inputs="sequence")
    source, run = GenomeSource(fasta, gtf, ()), Run("chr1", "-", 500, 40)
    codes = Genome(fasta).fetch("chr1", [500 - 74], 150 + 39, [True])[0]
    expected = predict_codes(model, np.ascontiguousarray(sliding_window_view(codes, 150)))[::-1]
    np.testing.assert_allclose(scan(Scanner(model), source, run), expected, rtol=0, atol=TOLERANCE)


def test_wrong_options(tiny_model):
    with pytest.raises(InputError, match="step: expected at least 1, got 0"):
        Scanner(tiny_model, step=0)
    with pytest.raises(UnknownNameError, match="unknown task 'QKI'"):
        Scanner(tiny_model, tasks=["QKI"])
