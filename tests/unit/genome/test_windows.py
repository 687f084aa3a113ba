import gzip
import pickle
import shutil
import subprocess
import warnings

import numpy as np
import pandas as pd
import pytest

from ripe_lib.errors import InputError, MissingFileError, UnknownNameError
from ripe_lib.genome.encoding import codes_from_one_hot, decode_region, decode_sequence, encode_sequence, one_hot
from ripe_lib.genome.windows import StrandWarning, WindowMaker, Windows, make_windows, window_start
from ripe_lib.network.spec import ModelSpec
from tests.support.array_oracles import (
    gtf_line,
    gtf_transcript,
    read_fasta,
    read_transcripts,
    reverse_complement,
    slow_region_track,
    slow_regions,
    slow_sequence,
    slow_window_start,
    write_fasta,
)

SPEC = ModelSpec(name="test", tasks=("a",))
SEQUENCE_ONLY = ModelSpec(name="test", tasks=("a",), inputs="sequence")
SHORT = ModelSpec(name="test", tasks=("a",), sequence_length=10, region_length=16)


def sequences(windows):
    return [decode_sequence(codes) for codes in codes_from_one_hot(windows.seq)]


def regions(windows):
    return [decode_region(codes) for codes in codes_from_one_hot(windows.region)]


@pytest.fixture
def contigs(rng):
    return {"chr1": "".join(rng.choice(list("ACGTacgtN"), 2000)), "MT": "".join(rng.choice(list("ACGT"), 300))}


@pytest.fixture
def fasta(tmp_path, contigs):
    return write_fasta(tmp_path / "g.fa", contigs)


@pytest.fixture
def gtf(tmp_path):
    path = tmp_path / "a.gtf"
    text = gtf_transcript("1", "+", "P", [(100, 400), (600, 900)], [(250, 400), (600, 700)])
    text += gtf_line("1", "stop_codon", 700, 703, "+", "P")
    text += gtf_transcript("1", "-", "M", [(800, 1000), (1500, 1950)], [(950, 1000), (1500, 1600)])
    text += gtf_transcript("chrM", "+", "C", [(0, 300)], [(30, 60)])
    path.write_text(text)
    return path


# ------------------------------------------------------------------ the window rule


@pytest.mark.parametrize(
    ("start", "end", "length", "expected"),
    [
        (1000, 1050, 150, 950),  # a 50-nt bin: 50 nt on each side
        (1000, 1050, 250, 900),
        (1000, 1001, 150, 926),  # a single base: index 74 of 150
        (1000, 1101, 150, 976),  # 101 nt at offset 24
        (1000, 1101, 250, 926),  # and 74 of 250
        (1000, 1100, 200, 950),
        (0, 1, 150, -74),
    ],
)
def test_window_start(start, end, length, expected):
    assert window_start(start, end, length) == slow_window_start(start, end, length) == expected
    assert window_start(np.array([start]), np.array([end]), length).tolist() == [expected]


def test_where_a_single_base_and_a_bin_end_up_on_either_strand(tmp_path):
    letters = "A" * 500 + "C" + "A" * 499
    fasta = write_fasta(tmp_path / "g.fa", {"c": letters})
    plus, minus = sequences(make_windows([("c", 500, 501, "+"), ("c", 500, 501, "-")], fasta_file=fasta, spec=SPEC))
    assert plus.index("C") == 74
    assert minus.index("G") == 75
    assert len(plus) == len(minus) == 150
    fasta = write_fasta(tmp_path / "h.fa", {"c": "A" * 500 + "C" * 50 + "A" * 450})
    plus, minus = sequences(make_windows([("c", 500, 550, "+"), ("c", 500, 550, "-")], fasta_file=fasta, spec=SPEC))
    assert plus == "A" * 50 + "C" * 50 + "A" * 50
    assert minus == "T" * 50 + "G" * 50 + "T" * 50


def test_region_and_sequence_windows_share_their_centre(tmp_path):
    fasta = write_fasta(tmp_path / "g.fa", {"c": "A" * 1000})
    (tmp_path / "a.gtf").write_text(gtf_transcript("c", "+", "T", [(500, 550)], [(500, 550)]))
    bins = [("c", 500, 550, "+")]
    (region,) = regions(make_windows(bins, fasta_file=fasta, gtf_file=tmp_path / "a.gtf", spec=SPEC))
    assert region == "N" * 100 + "c" * 50 + "N" * 100


# ------------------------------------------------------------------ against a slow reading


def some_intervals(contigs, rng, n=200):
    chroms = rng.choice(list(contigs), n)
    ends = np.array([int(rng.integers(1, len(contigs[c]) + 1)) for c in chroms])
    starts = np.array([int(rng.integers(max(0, end - 120), end)) for end in ends])
    return pd.DataFrame({"chrom": chroms, "start": starts, "end": ends, "strand": rng.choice(["+", "-"], n)})


@pytest.mark.parametrize("spec", [SPEC, SHORT, SEQUENCE_ONLY], ids=["150+250", "10+16", "150"])
def test_against_a_slow_reading(contigs, fasta, gtf, rng, spec):
    intervals = some_intervals(contigs, rng)
    made = make_windows(intervals, fasta_file=fasta, gtf_file=gtf, spec=spec)
    transcripts = read_transcripts(gtf)
    tracks = {
        (chrom, s): slow_region_track(transcripts, own, s)
        for chrom, own in (("chr1", "1"), ("MT", "chrM"))
        for s in "+-"
    }
    found = sequences(made)
    found_regions = regions(made) if spec.has_region else None
    for row, site in enumerate(intervals.itertuples()):
        start = slow_window_start(site.start, site.end, spec.sequence_length)
        assert found[row] == slow_sequence(contigs, site.chrom, start, spec.sequence_length, site.strand)
        if found_regions is not None:
            start = slow_window_start(site.start, site.end, spec.region_length)
            track = tracks[site.chrom, site.strand]
            assert found_regions[row] == slow_regions(track, start, spec.region_length, site.strand)
    assert made.seq.dtype == np.float32
    assert made.seq.shape == (200, spec.sequence_length, 4)
    assert (made.region is None) is (not spec.has_region)


def test_the_training_windows_of_the_slice_are_the_published_sequences(shared_data, tmp_path):
    shutil.copy(shared_data / "reference" / "chr22slice.fa", tmp_path)
    bed = shared_data / "reference" / "chr22slice.clip31_train_windows.bed"
    made = make_windows(bed, fasta_file=tmp_path / "chr22slice.fa", spec=SPEC)
    assert len(made) == 13
    published = {}
    for name in {name.split("|")[0] for name in made.intervals["name"]}:
        table = pd.read_csv(shared_data / "clip31" / f"{name}.train.tsv.gz", sep="\t")
        table = table[table["chrom"] == "chr22"]
        for site in table.itertuples():
            published[name, site.start - 32_395_987, site.strand] = site.sequence
    for letters, site in zip(sequences(made), made.intervals.itertuples(), strict=True):
        offset = 24 if site.strand == "+" else 25
        assert letters[offset : offset + 101] == published[site.name.split("|")[0], site.start, site.strand]


def test_five_thousand_bins_of_the_real_genes(shared_data, tmp_path, rng):
    folder = shared_data / "reference"
    shutil.copy(folder / "chr22slice.fa", tmp_path)
    gtf_file = folder / "chr22slice.gencode_v25.gtf.gz"
    maker = WindowMaker(SPEC, tmp_path / "chr22slice.fa", gtf_file)
    genes = maker.annotation.transcripts
    picks = genes.iloc[rng.integers(0, len(genes), 5000)]
    starts = np.minimum(rng.integers(picks["start"], picks["end"]) // 50 * 50, 299_950)
    bins = pd.DataFrame(
        {"chrom": "chr22slice", "start": starts, "end": starts + 50, "strand": picks["strand"].to_numpy()}
    )
    sequence, region, _ = maker.codes(bins)
    contigs = read_fasta(tmp_path / "chr22slice.fa")
    transcripts = read_transcripts(gtf_file)
    tracks = {strand: slow_region_track(transcripts, "chr22slice", strand) for strand in "+-"}
    for row, site in enumerate(bins.itertuples()):
        assert decode_region(region[row]) == slow_regions(tracks[site.strand], site.start - 100, 250, site.strand)
    for row in range(0, 5000, 50):
        site = bins.iloc[row]
        want = slow_sequence(contigs, "chr22slice", site["start"] - 50, 150, site["strand"])
        assert decode_sequence(sequence[row]) == want


# ------------------------------------------------------------------ identities


def test_shifting_everything_changes_nothing(contigs, fasta, gtf, rng, tmp_path):
    shift = 137
    moved = {name: "".join(rng.choice(list("ACGT"), shift)) + letters for name, letters in contigs.items()}
    intervals = some_intervals(contigs, rng)
    intervals = intervals[(intervals["start"] > 200)].reset_index(drop=True)
    lines = [line.split("\t") for line in gtf.read_text().splitlines()]
    for line in lines:
        line[3], line[4] = str(int(line[3]) + shift), str(int(line[4]) + shift)
    (tmp_path / "moved.gtf").write_text("\n".join("\t".join(line) for line in lines) + "\n")
    a = make_windows(intervals, fasta_file=fasta, gtf_file=gtf, spec=SPEC)
    b = make_windows(
        intervals.assign(start=intervals["start"] + shift, end=intervals["end"] + shift),
        fasta_file=write_fasta(tmp_path / "moved.fa", moved),
        gtf_file=tmp_path / "moved.gtf",
        spec=SPEC,
    )
    np.testing.assert_array_equal(a.seq, b.seq)
    np.testing.assert_array_equal(a.region, b.region)


def test_flipping_genome_and_strands_changes_nothing_for_even_intervals(contigs, fasta, gtf, rng, tmp_path):
    letters = contigs["chr1"].upper()
    flipped = write_fasta(tmp_path / "flipped.fa", {"chr1": reverse_complement(letters)})
    lines = [line.split("\t") for line in gtf.read_text().splitlines() if line.startswith("1\t")]
    for line in lines:
        line[3], line[4] = str(2001 - int(line[4])), str(2001 - int(line[3]))
        line[6] = {"+": "-", "-": "+"}[line[6]]
    (tmp_path / "flipped.gtf").write_text("\n".join("\t".join(line) for line in lines) + "\n")
    starts = rng.integers(0, 1940, 150)
    ends = starts + 2 * rng.integers(1, 30, 150)
    strand = rng.choice(["+", "-", "."], 150)
    there = pd.DataFrame({"chrom": "chr1", "start": starts, "end": ends, "strand": strand})
    back = there.assign(
        start=2000 - ends, end=2000 - starts, strand=pd.Series(strand).map({"+": "-", "-": "+", ".": "."})
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StrandWarning)
        a = make_windows(there, fasta_file=fasta, gtf_file=gtf, spec=SPEC)
        b = make_windows(back, fasta_file=flipped, gtf_file=tmp_path / "flipped.gtf", spec=SPEC)
    same = a.intervals["strand"].to_numpy() != b.intervals["strand"].to_numpy()  # not: unstranded ties and gaps
    assert same[strand != "."].all()
    assert same[strand == "."].sum() > 20
    np.testing.assert_array_equal(a.seq[same], b.seq[same])
    np.testing.assert_array_equal(a.region[same], b.region[same])


def test_batches_and_order_change_nothing(contigs, fasta, gtf, rng):
    intervals = some_intervals(contigs, rng, 100)
    maker = WindowMaker(SPEC, fasta, gtf)
    whole = maker.windows(intervals)
    for rows in (rng.permutation(100), np.arange(3), np.array([99])):
        part = maker.windows(intervals.iloc[rows])
        np.testing.assert_array_equal(part.seq, whole.seq[rows])
        np.testing.assert_array_equal(part.region, whole.region[rows])


def test_every_way_in_gives_the_same_arrays(contigs, fasta, gtf, tmp_path, rng):
    intervals = some_intervals(contigs, rng, 50).assign(name="n", score="0")
    columns = ["chrom", "start", "end", "name", "score", "strand"]
    bed = tmp_path / "x.bed"
    intervals[columns].to_csv(bed, sep="\t", header=False, index=False)
    packed = tmp_path / "x.bed.gz"
    packed.write_bytes(gzip.compress(bed.read_bytes().replace(b"\n", b"\r\n")))
    zipped = tmp_path / "a.gtf.gz"
    zipped.write_bytes(gzip.compress(gtf.read_bytes()))
    want = make_windows(intervals, fasta_file=fasta, gtf_file=gtf, spec=SPEC)
    for source, annotation in ((bed, gtf), (packed, zipped), ([tuple(r) for r in intervals[columns].to_numpy()], gtf)):
        made = make_windows(source, fasta_file=fasta, gtf_file=annotation, spec=SPEC)
        np.testing.assert_array_equal(made.seq, want.seq)
        np.testing.assert_array_equal(made.region, want.region)
        pd.testing.assert_frame_equal(made.intervals, want.intervals)
    maker = WindowMaker(SPEC, fasta, gtf)
    sequence, region, _ = maker.codes(maker.prepare(bed))
    np.testing.assert_array_equal(one_hot(sequence), want.seq)
    np.testing.assert_array_equal(one_hot(region), want.region)
    renamed = intervals.assign(chrom=intervals["chrom"].map({"chr1": "1", "MT": "chrM"}))
    np.testing.assert_array_equal(make_windows(renamed, fasta_file=fasta, gtf_file=gtf, spec=SPEC).seq, want.seq)


@pytest.mark.skipif(shutil.which("bgzip") is None, reason="needs the bgzip program")
def test_bgzip_gives_the_same_arrays(contigs, fasta, gtf, tmp_path, rng):
    packed = tmp_path / "packed.fa.gz"
    packed.write_bytes(subprocess.run(["bgzip", "-c", fasta], check=True, capture_output=True).stdout)
    intervals = some_intervals(contigs, rng)
    a = make_windows(intervals, fasta_file=fasta, gtf_file=gtf, spec=SPEC)
    b = make_windows(intervals, fasta_file=packed, gtf_file=gtf, spec=SPEC)
    np.testing.assert_array_equal(a.seq, b.seq)
    np.testing.assert_array_equal(a.region, b.region)


def test_windows_that_overhang_are_filled_with_a_quarter(fasta, contigs):
    made = make_windows([("MT", 0, 50, "+"), ("MT", 250, 300, "-")], fasta_file=fasta, spec=SPEC)
    assert (made.seq[0, :50] == 0.25).all()
    np.testing.assert_array_equal(made.seq[0, 50:], one_hot(encode_sequence(contigs["MT"][:100])))
    assert (made.seq[1, :50] == 0.25).all()
    assert (made.region == 0.25).all()


# ------------------------------------------------------------------ strands


def test_without_gtf_a_bed3_is_plus_with_one_warning(fasta):
    maker = WindowMaker(SPEC, fasta)
    with pytest.warns(StrandWarning, match=r"2 interval\(s\) without strand taken as plus: no GTF was given"):
        made = maker.windows([("chr1", 100, 150), ("chr1", 300, 350)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        maker.windows([("chr1", 100, 150)])
    assert made.intervals["strand"].tolist() == ["+", "+"]
    assert (made.region == 0.25).all()


def test_with_gtf_the_transcript_decides(fasta, gtf):
    maker = WindowMaker(SPEC, fasta, gtf)
    bed3 = [("chr1", 300, 350), ("chr1", 1700, 1750), ("chr1", 850, 860)]
    made = maker.windows(bed3)
    assert made.intervals["strand"].tolist() == ["+", "-", "+"]
    stranded = maker.windows([(*site, s) for site, s in zip(bed3, made.intervals["strand"], strict=True)])
    np.testing.assert_array_equal(made.seq, stranded.seq)
    np.testing.assert_array_equal(made.region, stranded.region)
    with pytest.warns(StrandWarning, match=r"1 interval\(s\) .* overlap no transcript"):
        assert maker.windows([("chr1", 10, 60), ("chr1", 1700, 1750)]).intervals["strand"].tolist() == ["+", "-"]


def test_a_gtf_settles_strands_for_sequence_only_models_too(fasta, gtf):
    made = make_windows([("chr1", 1700, 1750)], fasta_file=fasta, gtf_file=gtf, spec=SEQUENCE_ONLY)
    assert made.intervals["strand"].tolist() == ["-"]
    assert made.region is None


def test_no_warning_where_every_strand_is_given(fasta, gtf):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_windows([("chr1", 100, 150, "-")], fasta_file=fasta, gtf_file=gtf, spec=SPEC)


# ------------------------------------------------------------------ Windows


def test_windows_behave(fasta, gtf):
    made = make_windows(
        [("chr1", i, i + 50, "+") for i in range(0, 500, 50)], fasta_file=fasta, gtf_file=gtf, spec=SPEC
    )
    assert len(made) == 10
    assert set(made.inputs()) == {"seq", "region"}
    part = made[2:4]
    assert isinstance(part, Windows)
    assert len(part) == 2
    assert part.intervals["start"].tolist() == [100, 150]
    assert list(part.intervals.index) == [0, 1]
    np.testing.assert_array_equal(part.seq, made.seq[2:4])
    assert made[-1].seq.shape == (1, 150, 4)
    assert made[np.array([5, 1])].intervals["start"].tolist() == [250, 50]
    seq, region, landmarks, intervals = made
    assert landmarks is None
    assert seq is made.seq
    assert region is made.region
    assert intervals is made.intervals
    only = make_windows([("chr1", 0, 50, "+")], fasta_file=fasta, spec=SEQUENCE_ONLY)
    assert set(only[:1].inputs()) == {"seq"}


def test_a_window_maker_travels_to_another_process(fasta, gtf):
    maker = WindowMaker(SPEC, fasta, gtf)
    there = pickle.loads(pickle.dumps(maker))
    sites = [("MT", 5, 60, "+"), ("1", 300, 350)]
    for a, b in zip(maker.codes(sites), there.codes(sites), strict=True):
        np.testing.assert_array_equal(a, b)


def test_columns_are_kept(fasta):
    made = make_windows([("1", 0, 50, "site", 7, "-")], fasta_file=fasta, spec=SPEC)
    assert [tuple(row) for row in made.intervals.itertuples(index=False)] == [("1", 0, 50, "site", "7", "-")]


# ------------------------------------------------------------------ wrong input


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("chr9\t5\t9\tn\t0\t+\n", UnknownNameError, r"x\.bed:3: .*g\.fa: unknown contig 'chr9'. Did you mean 'chr1'"),
        (
            "chr1\t1990\t2001\tn\t0\t+\n",
            InputError,
            r"x\.bed:3: expected an interval within chr1 \(0-2000 in .*g\.fa\), got 1990-2001\. .*same assembly",
        ),
        ("chr1\t50\t40\tn\t0\t+\n", InputError, r"x\.bed:3: expected end > start"),
        ("chr1\tx\t40\tn\t0\t+\n", InputError, r"x\.bed:3: expected a whole number"),
    ],
)
def test_wrong_intervals_are_named_with_their_line(tmp_path, fasta, line, error, message):
    bed = tmp_path / "x.bed"
    bed.write_text("# comment\nchr1\t0\t2000\tn\t0\t+\n" + line)
    with pytest.raises(error, match=message) as caught:
        make_windows(bed, fasta_file=fasta, spec=SPEC)
    assert "\n" not in str(caught.value)


def test_wrong_files(tmp_path, fasta, gtf):
    with pytest.raises(MissingFileError, match=r"none\.fa: no such FASTA file"):
        make_windows([("chr1", 0, 5)], fasta_file=tmp_path / "none.fa", spec=SPEC)
    with pytest.raises(MissingFileError, match=r"none\.gtf: no such GTF file"):
        WindowMaker(SPEC, fasta, tmp_path / "none.gtf")
    with pytest.raises(MissingFileError, match=r"none\.bed: no such file"):
        make_windows(tmp_path / "none.bed", fasta_file=fasta, gtf_file=gtf, spec=SPEC)


@pytest.mark.parametrize(("length", "fails"), [(16_571, True), (16_569, False), (300, False)])
def test_mitochondria(tmp_path, length, fails):
    fasta = write_fasta(tmp_path / "m.fa", {"chrM": "A" * length})
    if fails:
        with pytest.raises(UnknownNameError, match=r"interval 1 \(MT:5-9\): .*expected contig 'MT', got only 'chrM'"):
            make_windows([("MT", 5, 9, "+")], fasta_file=fasta, spec=SPEC)
    else:
        assert len(make_windows([("MT", 5, 9, "+")], fasta_file=fasta, spec=SPEC)) == 1
