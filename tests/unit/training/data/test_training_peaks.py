"""Peaks -> bins -> labels: against a loop and against bedtools; backgrounds; replicates; wrong input."""

import subprocess
from collections import Counter, defaultdict
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ripe_lib.errors import InputError, MissingFileError, UnknownNameError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.intervals import merged
from ripe_lib.genome.windows import WindowMaker
from tests.support.peak_files import CONTIGS, random_peaks, write_bed, write_peak_project
from training.data.backgrounds import BackgroundOptions, background_bins
from training.data.config import PrepareConfig, WindowOptions
from training.data.peak_sites import PeakInput
from training.data.peak_table import read_peak_table
from training.data.peaks import (
    Axis,
    PeakSet,
    Transcriptome,
    bins_of_peaks,
    combine,
    intersect_all,
    read_peaks,
)
from training.data.prepare import prepare, prepare_all
from training.data.splits import SplitOptions

RULES = [
    {"rule": "majority", "long_peaks": "centre"},
    {"rule": "majority", "long_peaks": "cover"},
    {"rule": "majority", "long_peaks": "drop"},
    {"rule": "centre"},
    {"rule": "overlap", "min_overlap": 7},
]


def slow_bins(start, end, length, *, rule, long_peaks="centre", min_overlap=1):
    bins = range(start // length, (end - 1) // length + 1)
    shared = {b: min(end, (b + 1) * length) - max(start, b * length) for b in bins}
    middle = (start + end - 1) // 2 // length
    if rule == "centre":
        return {middle}
    if rule == "overlap":
        return {b for b in bins if shared[b] >= min(min_overlap, end - start)}
    major = {b for b in bins if 2 * shared[b] > end - start}
    if major or long_peaks == "drop":
        return major
    return {middle} if long_peaks == "centre" else {b for b in bins if 2 * shared[b] > length}


@pytest.mark.parametrize("options", RULES, ids=lambda o: "-".join(map(str, o.values())))
@given(peaks=st.lists(st.tuples(st.integers(0, 500), st.integers(1, 260)), min_size=1, max_size=30))
@settings(max_examples=60)
def test_bins_equal_the_loop(options, peaks):
    start = np.array([s for s, _ in peaks])
    end = start + np.array([n for _, n in peaks])
    bins = bins_of_peaks(PeakSet(start, end, start), 50, **options)
    expected = Counter()
    for number in range(len(peaks)):
        expected.update(slow_bins(int(start[number]), int(end[number]), 50, **options))
    assert Counter(bins.tolist()) == expected


INTERVALS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), min_size=1, max_size=15)


@given(sets=st.lists(INTERVALS, min_size=1, max_size=3))
@settings(max_examples=100)
def test_merging_and_intersecting_equal_sets_of_positions(sets):
    arrays = [(np.array([s for s, _ in one]), np.array([s + n for s, n in one])) for one in sets]
    covered = [{p for s, n in one for p in range(s, s + n)} for one in sets]
    for (start, end), expected in (
        (merged(*(np.concatenate(part) for part in zip(*arrays, strict=True))), set.union(*covered)),
        (intersect_all(arrays), set.intersection(*covered)),
    ):
        assert {p for s, e in zip(start.tolist(), end.tolist(), strict=True) for p in range(s, e)} == expected
        assert (start[1:] > end[:-1]).all()
        assert (end > start).all()


def test_axis_round_trip_and_contig_ends():
    axis = Axis({"a": 120, "b": 100, "c": 30}, 50)
    rows, minus, start = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 0], dtype=bool), np.array([50, 0, 50, 50, 0])
    bins = axis.at(rows, minus, start) // 50
    chrom, starts, ends, strand = axis.intervals(bins)
    assert list(chrom) == ["a", "a", "b", "b", "c"]
    assert starts.tolist() == start.tolist()
    assert (ends - starts == 50).all()
    assert list(strand) == ["+", "-", "+", "-", "+"]
    assert axis.is_complete(bins).tolist() == [True, True, True, True, False]
    assert axis.is_complete(axis.at(np.array([0]), np.array([False]), np.array([100])) // 50).tolist() == [False]


def config_for(project, folder, **changes):
    peaks = PeakInput(project["fasta_file"], project["gtf_file"], project["table"], **changes.pop("peaks", {}))
    options = {
        "output": folder / "out.h5",
        "peaks": peaks,
        "window": WindowOptions(margin=10),
        "split": SplitOptions(valid=0.0, test=0.0),
    }
    return PrepareConfig(**(options | changes))


def sites_of(dataset):
    frame = dataset.intervals
    return [(r.chrom, r.start, r.end, r.strand) for r in frame.itertuples()]


# --- bedtools as judge ------------------------------------------------------------------------------------------


def bedtools(*arguments):
    done = subprocess.run(["bedtools", *map(str, arguments)], capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.mark.bedtools
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", RULES, ids=lambda o: "-".join(map(str, o.values())))
def test_labels_equal_bedtools(tmp_path, seed, options):
    project = write_peak_project(tmp_path, seed=seed)
    length = 50 if seed % 2 else 100
    bins = [
        (chrom, start, start + length, strand)
        for chrom, size in CONTIGS.items()
        for start in range(0, size - length + 1, length)
        for strand in "+-"
    ]
    write_bed(tmp_path / "bins.bed", bins)
    write_bed(tmp_path / "transcripts.bed", project["transcripts"])
    kept = {
        (c, int(s), int(e), strand)
        for c, s, e, _, _, strand, *_ in bedtools(
            "intersect", "-u", "-s", "-a", tmp_path / "bins.bed", "-b", tmp_path / "transcripts.bed"
        )
    }
    expected = defaultdict(set)
    for name in project["peaks"]:
        per_peak = defaultdict(list)
        for row in bedtools("intersect", "-wo", "-s", "-a", tmp_path / f"{name}.bed", "-b", tmp_path / "bins.bed"):
            start, end, shared = int(row[1]), int(row[2]), int(row[12])
            per_peak[row[3], start, end].append(((row[6], int(row[7]), int(row[8]), row[11]), shared))
        for (_, start, end), pairs in per_peak.items():
            middle = (start + end - 1) // 2
            at_middle = [b for b, _ in pairs if b[1] <= middle < b[2]]
            major = [b for b, shared in pairs if 2 * shared > end - start]
            if options["rule"] == "overlap":
                chosen = [b for b, shared in pairs if shared >= min(options["min_overlap"], end - start)]
            elif options["rule"] == "centre":
                chosen = at_middle
            elif major or options["long_peaks"] == "drop":
                chosen = major
            elif options["long_peaks"] == "cover":
                chosen = [b for b, shared in pairs if 2 * shared > length]
            else:
                chosen = at_middle
            for one in chosen:
                if one in kept:
                    expected[one].add(name)
    dataset = Dataset(prepare(config_for(project, tmp_path, peaks={"bin": length, **options})))
    got = {
        site: {dataset.tasks[t] for t in np.flatnonzero(labels == 1)}
        for site, labels in zip(sites_of(dataset), dataset.labels, strict=True)
    }
    assert got == expected
    assert (dataset.labels >= 0).all()


@pytest.mark.bedtools
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("how", ["merge", "intersect"])
def test_replicates_equal_bedtools(tmp_path, seed, how):
    rng = np.random.default_rng(seed)
    files = [write_bed(tmp_path / f"{i}.bed", random_peaks(rng, 120)) for i in range(2)]
    for path in files:
        (path.with_suffix(".sorted")).write_text("".join("\t".join(row) + "\n" for row in bedtools("sort", "-i", path)))
    merged = []
    for path in files:
        rows = bedtools("merge", "-s", "-c", "4,5,6", "-o", "distinct", "-i", path.with_suffix(".sorted"))
        path.with_suffix(".merged").write_text("".join("\t".join(row) + "\n" for row in rows))
        merged.append(path.with_suffix(".merged"))
    if how == "intersect":
        rows = bedtools("intersect", "-s", "-a", merged[0], "-b", merged[1])
    else:
        (tmp_path / "all").write_text("".join(path.read_text() for path in merged))
        both = bedtools("sort", "-i", tmp_path / "all")
        (tmp_path / "all.sorted").write_text("".join("\t".join(row) + "\n" for row in both))
        rows = bedtools("merge", "-s", "-c", "4,5,6", "-o", "distinct", "-i", tmp_path / "all.sorted")
    expected = {(row[0], int(row[1]), int(row[2]), row[5]) for row in rows}
    axis = Axis(CONTIGS, 50)
    sets = []
    for path in files:
        rows = [line.split("\t") for line in path.read_text().splitlines()]
        contig = np.array([axis.contigs.get_loc(r[0]) for r in rows])
        minus = np.array([r[5] == "-" for r in rows])
        start, end = (axis.at(contig, minus, np.array([int(r[i]) for r in rows])) for i in (1, 2))
        sets.append(PeakSet(start, end, start))
    peaks = combine(sets, how)
    group = axis.group(peaks.start // 50)
    offset = axis.first_bin[group] * 50
    got = {
        (axis.contigs[g // 2], int(s), int(e), "+-"[g % 2])
        for g, s, e in zip(group.tolist(), peaks.start - offset, peaks.end - offset, strict=True)
    }
    assert got == expected


# --- the rest of the way ----------------------------------------------------------------------------------------


def test_arrays_are_those_everybody_makes(tmp_path):
    project = write_peak_project(tmp_path)
    dataset = Dataset(prepare(config_for(project, tmp_path)))
    maker = WindowMaker(
        SimpleNamespace(sequence_length=150, region_length=250, landmark_bases=16),
        project["fasta_file"],
        project["gtf_file"],
    )
    expected_seq, expected_region, expected_landmarks = maker.codes(dataset.intervals)
    np.testing.assert_array_equal(dataset.landmarks(slice(None)), expected_landmarks.astype(np.float32))
    seq, region = dataset.centred_codes(slice(None))
    np.testing.assert_array_equal(seq, expected_seq)
    np.testing.assert_array_equal(region, expected_region)
    windows = dataset.windows(np.arange(5))
    np.testing.assert_array_equal(windows.seq, maker.windows(dataset.intervals.head(5)).seq)


def test_equal_seeds_give_equal_bytes_and_other_seeds_other_background(tmp_path):
    project = write_peak_project(tmp_path)
    background = BackgroundOptions(strategy="any_transcripts", ratio=0.2)
    config = config_for(project, tmp_path, peaks={"background": background, "join_equal_sequences": False})
    first = prepare(config).read_bytes()
    assert prepare(config).read_bytes() == first
    assert prepare(replace(config, seed=1)).read_bytes() != first


@pytest.mark.parametrize("strategy", ["unbound_transcripts", "bound_transcripts", "any_transcripts"])
@pytest.mark.parametrize("ratio", [0.3, 50.0])
def test_background_bins(tmp_path, rng, strategy, ratio):
    project = write_peak_project(tmp_path, n_tasks=1, n_peaks=6)
    genome = Genome(project["fasta_file"])
    axis = Axis(genome.contigs, 10)
    annotation = Annotation.load(project["gtf_file"]).for_genome(genome)
    transcriptome = Transcriptome(axis, annotation, genome)
    start = transcriptome.start
    bound = np.unique(np.concatenate([start[::2] // 10 + 2, start[::2] // 10 + 5]))
    bins = background_bins(transcriptome, bound, BackgroundOptions(strategy=strategy, ratio=ratio), rng)
    assert len(bins)
    assert len(np.unique(bins)) == len(bins)
    assert not np.isin(bins, bound).any()
    assert transcriptome.overlaps(bins).all()
    locus = np.searchsorted(transcriptome.start, bins * 10 + 9, side="right") - 1
    has_site = {
        i
        for i, (s, e) in enumerate(zip(start, transcriptome.end, strict=True))
        if any(s < b * 10 + 10 and b * 10 < e for b in bound)
    }
    if strategy != "any_transcripts":
        assert all((i in has_site) == (strategy == "bound_transcripts") for i in locus.tolist())
    if ratio < 1:
        assert len(bins) == round(ratio * len(bound))
    # No bin is out of reach: with a big ratio all that fit are taken.
    elif strategy == "any_transcripts":
        loci = zip(start.tolist(), transcriptome.end.tolist(), strict=True)
        every = {b for s, e in loci for b in range(-(-s // 10), e // 10)}
        assert set(bins.tolist()) == every - set(bound.tolist())


def test_background_rows_are_negative_for_everybody(tmp_path):
    project = write_peak_project(tmp_path, n_peaks=10)
    background = BackgroundOptions(strategy="any_transcripts", ratio=1.0)
    dataset = Dataset(prepare(config_for(project, tmp_path, peaks={"background": background})))
    bound = (dataset.labels == 1).any(axis=1)
    assert (~bound).sum() == bound.sum()


def test_tiers_by_number_of_peaks(tmp_path):
    project = write_peak_project(tmp_path, n_tasks=3)
    write_bed(tmp_path / "RBP1.bed", project["peaks"]["RBP1"][:20])
    tiers = {"big": [50, None], "small": [10, 30]}
    notes = []
    paths = prepare_all(config_for(project, tmp_path, peaks={"tiers": tiers}), note=notes.append)
    assert [p.name for p in paths] == ["out_big.h5", "out_small.h5"]
    big, small = (Dataset(path) for path in paths)
    assert big.tasks == ["RBP0", "RBP2"]
    assert small.tasks == ["RBP1"]
    assert (big.labels == 1).any(axis=1).all()
    assert (small.labels == 1).any(axis=1).all()
    with pytest.raises(InputError, match="expected an RBP in at least one tier"):
        prepare_all(config_for(project, tmp_path, peaks={"tiers": {"huge": [10_000, None]}}))


def test_bed3_takes_the_strand_of_the_transcript_and_summits_are_cross_links(tmp_path):
    project = write_peak_project(tmp_path, n_tasks=1)
    chrom, start, end, strand = project["transcripts"][0]
    others = [t for t in project["transcripts"][1:] if t[0] == chrom and t[1] < end and start < t[2]]
    middle = (start + end) // 2
    (tmp_path / "RBP0.bed").write_text(f"{chrom}\t{middle}\t{middle + 10}\n")
    dataset = Dataset(prepare(config_for(project, tmp_path)))
    if not others:
        assert dataset.intervals["strand"].tolist() == [strand]
    peaks = tmp_path / "x.narrowPeak"
    peaks.write_text(f"{chrom}\t{start + 10}\t{start + 90}\t.\t0\t{strand}\t1\t1\t1\t75\n")
    (tmp_path / "peaks.tsv").write_text("rbp\tfile\nA\tx.narrowPeak\n")
    dataset = Dataset(prepare(config_for(project, tmp_path, peaks={"rule": "crosslink"})))
    (site,) = dataset.intervals.itertuples()
    assert site.start <= start + 10 + 75 < site.end


@pytest.mark.parametrize("file", ["x.narrowPeak", "ENCFF000AAA.bed"])
def test_peaks_take_the_summit_of_the_file_as_cross_link(tmp_path, file):
    project = write_peak_project(tmp_path, n_tasks=1)
    chrom = project["transcripts"][0][0]
    lines = [
        f"{chrom}\t{start}\t{start + 50}\tpeak 1#\t0\t-\t3.4\t6.5\t-1\t{at}\n" for start, at in ((110, 10), (420, 12))
    ]
    (tmp_path / file).write_text(f"track type=narrowPeak\nbrowser position {chrom}\n" + "".join(lines))
    genome = Genome(project["fasta_file"])
    axis = Axis(genome.contigs, 50)
    peaks, left_out = read_peaks(tmp_path / file, axis, genome, Annotation.load(project["gtf_file"]).for_genome(genome))
    assert (peaks.crosslink - peaks.start).tolist() == [10, 12]
    assert left_out == 0


def test_wrong_input(tmp_path):
    project = write_peak_project(tmp_path)
    table = tmp_path / "peaks.tsv"

    def attempt(text, message, error=InputError):
        table.write_text(text)
        with pytest.raises(error, match=message):
            prepare(config_for(project, tmp_path))
        assert not (tmp_path / "out.h5").exists()

    attempt("rbp\tfile\nA\tRBP0.bed\nA\tRBP1.bed\n", r"peaks\.tsv:3: A has a peak file already \(line 2\)")
    attempt("rbp\tfile\nA\tnone.bed\n", r"peaks\.tsv:2: no such peak file", MissingFileError)
    attempt(f"rbp\tfile\nA\t{'9' * 5000}\n", r"peaks\.tsv:2: no such peak file .{100,300}\.$", MissingFileError)
    attempt("rbp\tfil\nA\tRBP0.bed\n", r"peaks\.tsv:1: unknown column 'fil'. Did you mean 'file'")
    attempt("rbp\tfile\tzzz\nA\tRBP0.bed\t1\n", r"peaks\.tsv:1: unknown column 'zzz'. Known: rbp, file, ")
    attempt("rbp\nA\n", r"peaks\.tsv:1: .*'file' is missing")
    attempt("", r"peaks\.tsv: expected a tab-separated table")
    (tmp_path / "far.bed").write_text("chr1\t10\t90000\tx\t0\t+\n")
    attempt("rbp\tfile\nA\tfar.bed\n", r"far\.bed:1: expected a peak within chr1 \(0-6000")
    (tmp_path / "other.bed").write_text("chr9\t10\t90\tx\t0\t+\n")
    attempt("rbp\tfile\nA\tother.bed\n", r"other\.bed:1: .*chr9", UnknownNameError)
    free = next(
        p
        for p in range(0, 5900, 50)
        if not any(c == "chr1" and s < p + 50 and p < e for c, s, e, _ in project["transcripts"])
    )
    (tmp_path / "outside.bed").write_text(f"chr1\t{free}\t{free + 20}\tx\t0\t+\n")
    (tmp_path / "none.bed").write_text("# nothing\n")
    attempt("rbp\tfile\nA\tnone.bed\n", r"none\.bed: expected at least one peak to learn from, got none")
    attempt("rbp\tfile\nA\toutside.bed\n", r"outside\.bed: expected peaks of A on transcripts")
    attempt("rbp\tfile\treplicate\nA\tRBP0.bed\t1\nA\tRBP1.bed\t1\n", r"peaks\.tsv:3: A has a peak file already")
    attempt("rbp\tfile\n# comment\n\n \tRBP0.bed\n", r"peaks\.tsv:4: expected the name of an RBP, got none")
    attempt("rbp\tfile\nA\tRBP0.bed\tHEK293\n", r"peaks\.tsv:2: expected 2 columns, got 3")
    attempt("rbp\tfile\trbp\nA\tRBP0.bed\tA\n", r"peaks\.tsv:1: .*'rbp' is missing or there twice")
    attempt(f"rbp\tfile\tpeaks_in_source\nA\tRBP0.bed\t{'9' * 5000}\n", r"peaks\.tsv:2: expected a whole number")
    with pytest.raises(UnknownNameError, match=r"unknown label rule 'majorty'. Did you mean 'majority'"):
        PeakInput(tmp_path, tmp_path, tmp_path, rule="majorty")
    with pytest.raises(InputError, match="expected one of 'tables', 'peaks' and 'original'"):
        prepare(PrepareConfig(output=tmp_path / "o.h5"))


def test_a_genome_that_is_unknown_under_all_peaks(tmp_path):
    project = write_peak_project(tmp_path)
    genome = tmp_path / "genome.fa"
    genome.write_text("".join(f">{name}\n{'N' * length}\n" for name, length in CONTIGS.items()))
    with pytest.raises(
        InputError, match=r"expected a bin in known sequence, got \d+ without a known base. Is the FASTA"
    ):
        prepare(config_for(project, tmp_path))


def test_what_a_table_of_peak_files_may_hold(tmp_path):
    for name in ("a#1.bed", "b.bed"):
        (tmp_path / name).write_text("chr1\t1\t9\n")
    (tmp_path / "p.tsv").write_bytes(
        b'\xef\xbb\xbfrbp\tfile\tcell_line\tprotocol\t\r\n# all\r\nA#1\ta#1.bed\tK562 #2\t\t\r\n"B"\tb.bed\r\n'
    )
    one, two = read_peak_table(tmp_path / "p.tsv")
    assert (one.rbp, one.files, one.cell_line, one.protocol) == ("A#1", (tmp_path / "a#1.bed",), "K562 #2", "")
    assert (two.rbp, two.files, two.cell_line) == ("B", (tmp_path / "b.bed",), "")


def test_an_rbp_without_positives_in_a_split(tmp_path):
    project = write_peak_project(tmp_path)
    chrom, start, _, strand = project["transcripts"][0]
    write_bed(tmp_path / "RBP1.bed", [(chrom, start, start + 20, strand)])
    notes, messages = [], []
    for seed in range(30):
        split = SplitOptions(valid=0.3, test=0.1, distance=0, block=50)
        config = config_for(project, tmp_path, split=split, seed=seed)
        try:
            prepare(config, note=notes.append)
        except InputError as error:
            messages.append(str(error))
    assert messages
    assert all("task RBP1: expected positives in split 'train', got none" in message for message in messages)
    assert any("task RBP1 has no positive in split" in note for note in notes)


def test_replicates_are_one_task(tmp_path):
    project = write_peak_project(tmp_path, n_tasks=2)
    (tmp_path / "peaks.tsv").write_text("rbp\tfile\treplicate\nA\tRBP0.bed\t1\nA\tRBP1.bed\t2\n")
    sizes = {}
    for how in ("merge", "intersect"):
        dataset = Dataset(prepare(config_for(project, tmp_path, peaks={"replicates": how})))
        assert dataset.tasks == ["A"]
        sizes[how] = len(dataset)
    assert sizes["intersect"] < sizes["merge"]
