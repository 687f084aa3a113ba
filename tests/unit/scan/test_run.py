"""From sources to files."""

import errno
import gzip
import json
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyBigWig
import pytest

from ripe_lib.errors import InputError, OutputError
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.rna_fasta import read_rna_fasta
from ripe_lib.output.chunked import Chunk, parts_directory
from ripe_lib.output.tracks import TableWriterOfBins, read_tracks
from ripe_lib.reports.scan import views
from ripe_lib.scan.engine import Scanner
from ripe_lib.scan.memory import scan_sequence
from ripe_lib.scan.run import ScanOptions, ScanWork, default_step, pack, scan_to_files
from ripe_lib.scan.sources import GenomeSource, RnaSource, Run, TranscriptSource, in_fasta_order
from ripe_lib.scan.thresholds import ThresholdChoice, find_thresholds
from tests.support.motif_model import motif_model
from tests.support.scan_genome import random_rna, region_letters, write_fasta, write_genome


@pytest.fixture(scope="module")
def motifs():
    return motif_model()


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return write_genome(tmp_path_factory.mktemp("genome"), np.random.default_rng(1))


@pytest.fixture
def rna(tmp_path, rng):
    """Three RNAs; the second holds the motif once."""
    letters = {"r1": random_rna(rng, 120, "CGU"), "r2": random_rna(rng, 400, "CGU"), "r3": "G"}
    letters["r2"] = letters["r2"][:250] + "ACUAAC" + letters["r2"][256:]
    regions = {name: region_letters(rng, len(text)) for name, text in letters.items()}
    path = write_fasta(tmp_path / "rna.fa", letters, region=regions)
    return RnaSource(read_rna_fasta(path, tmp_path / "scratch")), letters, regions


BOTH = (("chr1", "+", 250, 800), ("chr1", "-", 900, 1430), ("chr2", "-", 0, 90), ("chr1", "+", 2000, 2137))


def test_rna_table_equals_scanning_in_memory(tmp_path, rna, tiny_model):
    source, letters, regions = rna
    result = scan_to_files(tiny_model, source, [tmp_path / "o.tsv", tmp_path / "o.parquet"])
    assert (result.step, result.n_bins) == (1, 521)
    table = pd.read_csv(tmp_path / "o.tsv", sep="\t")
    assert list(table.columns) == ["chrom", "start", "end", "strand", *tiny_model.tasks]
    pd.testing.assert_frame_equal(table, pd.read_parquet(tmp_path / "o.parquet"), check_dtype=False)
    for name, text in letters.items():
        expected = scan_sequence(tiny_model, text, region=regions[name])
        rows = table[table["chrom"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows[expected.columns], expected, check_dtype=False, rtol=0, atol=1e-6)
    assert not parts_directory(tmp_path / "o.tsv").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.parquet", "o.tsv", "rna.fa", "scratch"]


def test_long_tables_and_least_scores(tmp_path, rna, tiny_model):
    source = rna[0]
    wide = tmp_path / "w.tsv"
    scan_to_files(tiny_model, source, [wide], options=ScanOptions(tasks=["PUM2_PARCLIP", "QKI_PARCLIP"]))
    scores = pd.read_csv(wide, sep="\t")
    assert list(scores.columns[4:]) == ["PUM2_PARCLIP", "QKI_PARCLIP"]
    limit = float(scores[["PUM2_PARCLIP", "QKI_PARCLIP"]].max(axis=1).median())
    options = ScanOptions(tasks=["PUM2_PARCLIP", "QKI_PARCLIP"], min_score=limit)
    scan_to_files(tiny_model, source, [tmp_path / "m.tsv"], options=options)
    kept = pd.read_csv(tmp_path / "m.tsv", sep="\t")
    assert len(kept) == (scores.iloc[:, 4:].max(axis=1) >= limit).sum() < len(scores)
    options.long = True
    scan_to_files(tiny_model, source, [tmp_path / "l.tsv.gz"], options=options)
    long = pd.read_csv(tmp_path / "l.tsv.gz", sep="\t")
    assert list(long.columns) == ["chrom", "start", "end", "strand", "task", "score"]
    assert len(long) == (scores.iloc[:, 4:] >= limit).to_numpy().sum()
    assert (long["score"] >= limit).all()


@pytest.mark.parametrize("step", [1, 50])
def test_bigwig_bedgraph_and_hdf5_hold_the_same_values(tmp_path, genome, tiny_model, step):
    source = GenomeSource(*genome, BOTH)
    outputs = [tmp_path / name for name in ("t.tsv", "t.bw", "t.bedgraph", "t.h5", "t.bg.gz")]
    options = ScanOptions(step=step, tasks=["QKI_PARCLIP", "ELAVL1_PARCLIP"])
    result = scan_to_files(tiny_model, source, outputs, options=options)
    table = pd.read_csv(tmp_path / "t.tsv", sep="\t")
    assert len(table) == result.n_bins
    assert {path.name for path in result.files} >= {"t.tsv", "t.h5", "t.QKI_PARCLIP.minus.bw"}
    assert all(path.is_file() for path in result.files)
    assert len(result.files) == 2 + 3 * 4
    for task in options.tasks:
        for strand, name in (("+", "plus"), ("-", "minus")):
            rows = table[table["strand"] == strand]
            text = (tmp_path / f"t.{task}.{name}.bedgraph").read_text()
            assert gzip.decompress((tmp_path / f"t.{task}.{name}.bg.gz").read_bytes()).decode() == text
            lines = [line.split("\t") for line in text.splitlines()]
            got = [(c, int(s), int(e), np.float32(v)) for c, s, e, v in lines]
            expected = list(zip(rows["chrom"], rows["start"], rows["end"], rows[task].astype(np.float32), strict=True))
            assert got == expected
            assert got == sorted(got, key=lambda row: row[:3])
            with pyBigWig.open(str(tmp_path / f"t.{task}.{name}.bw")) as handle:
                assert handle.chroms() == {"chr1": 2137, "chr2": 90}
                stored = [(chrom, *entry) for chrom in handle.chroms() for entry in handle.intervals(chrom) or ()]
            assert [row[:3] for row in stored] == [row[:3] for row in got]
            assert [np.float32(row[3]) for row in stored] == [row[3] for row in got]
    for (chrom, strand), rows in table.groupby(["chrom", "strand"]):
        starts, ends, scores = read_tracks(tmp_path / "t.h5", chrom, strand)
        np.testing.assert_array_equal(starts, rows["start"])
        np.testing.assert_array_equal(ends, rows["end"])
        np.testing.assert_allclose(scores, rows[options.tasks], rtol=0, atol=0.51 / 65535)
    starts, ends, _ = read_tracks(tmp_path / "t.h5", "chr1", "-", start=1000, end=1100)
    assert (starts[0], ends[-1]) == (1000, 1100)
    with h5py.File(tmp_path / "t.h5") as handle:
        assert len(handle["runs/n"]) == 4  # one per stretch, however it was cut


def test_one_task_of_one_strand_is_the_file_itself(tmp_path, rna, tiny_model):
    result = scan_to_files(tiny_model, rna[0], [tmp_path / "q.bw"], options=ScanOptions(tasks=["QKI_PARCLIP"]))
    assert result.files == [tmp_path / "q.bw"]
    result = scan_to_files(tiny_model, rna[0], [tmp_path / "q.bedGraph"])
    assert [path.name for path in result.files] == [f"q.{task}.bedGraph" for task in tiny_model.tasks]


def spliced(letters, exons):
    return "".join(letters[a:b] for a, b in exons)


def test_spliced_transcripts(tmp_path, genome, tiny_model):
    """The exons joined by hand give the same scores; coordinates are those of the genome."""
    fasta, gtf = genome
    source = TranscriptSource(fasta, gtf, ("T2", "T1.1"))
    scan_to_files(tiny_model, source, [tmp_path / "t.tsv", tmp_path / "t.bw"], options=ScanOptions(step=1))
    table = pd.read_csv(tmp_path / "t.tsv", sep="\t")
    codes = Genome(fasta).fetch("chr1", [0], 2137)[0]
    letters = "".join(np.array(list("ACGUN"))[codes])
    regions = "5" * 100 + "c" * 100 + "c" * 200 + "c" * 50 + "3" * 150
    exons = [(300, 500), (800, 1000), (1200, 1400)]
    expected = scan_sequence(tiny_model, spliced(letters, exons), region=regions)
    rows = table[table["transcript"] == "T1.1"]
    np.testing.assert_allclose(rows[tiny_model.tasks], expected[tiny_model.tasks], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(rows["start"], [p for a, b in exons for p in range(a, b)])
    minus = spliced(letters, [(900, 1100), (1600, 1900)])[::-1].translate(str.maketrans("ACGU", "UGCA"))
    expected = scan_sequence(tiny_model, minus, region="5" * 200 + "c" * 100 + "c" * 150 + "3" * 50)
    rows = table[table["transcript"] == "T2"]
    np.testing.assert_allclose(rows[tiny_model.tasks], expected[tiny_model.tasks], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(rows["start"], [*range(1899, 1599, -1), *range(1099, 899, -1)])
    assert set(rows["strand"]) == {"-"}
    with pyBigWig.open(str(tmp_path / "t.QKI_PARCLIP.minus.bw")) as handle:
        values = handle.values("chr1", 1600, 1900, numpy=True)
        np.testing.assert_array_equal(values, rows["QKI_PARCLIP"].to_numpy(np.float32)[:300][::-1])
        assert np.isnan(handle.values("chr1", 1100, 1600)).all()


def test_overlapping_transcripts_give_the_higher_score(tmp_path, tiny_model, rng):
    fasta, gtf = write_genome(tmp_path, rng)
    lines = (tmp_path / "a.gtf").read_text()
    extra = [line for line in lines.splitlines() if '"T1.1"' in line and "\t801\t" not in line]
    (tmp_path / "a.gtf").write_text(lines + "\n".join(extra).replace("T1.1", "T3") + "\n")
    source = TranscriptSource(fasta, gtf, ("T1.1", "T3"))
    options = ScanOptions(step=7, tasks=["QKI_PARCLIP"])
    scan_to_files(tiny_model, source, [tmp_path / "t.tsv", tmp_path / "t.bedgraph"], options=options)
    table = pd.read_csv(tmp_path / "t.tsv", sep="\t")
    best = np.full(2137, np.nan)
    for name, rows in table.groupby("transcript"):
        positions = source.positions(str(name))
        for start, end, score in rows[["transcript_start", "transcript_end", "QKI_PARCLIP"]].to_numpy():
            for place in positions[int(start) : int(end)]:
                best[place] = np.nanmax([best[place], np.float32(score)])
    got = np.full(2137, np.nan)
    for line in (tmp_path / "t.bedgraph").read_text().splitlines():
        _, start, end, value = line.split("\t")
        assert np.isnan(got[int(start) : int(end)]).all()
        got[int(start) : int(end)] = np.float32(value)
    np.testing.assert_array_equal(got, best)


def test_planted_motif_is_found_within_three_bases(tmp_path, rna, motifs):
    source = rna[0]
    options = ScanOptions(thresholds=ThresholdChoice(threshold=0.5))
    result = scan_to_files(motifs, source, sites=[tmp_path / "s.tsv", tmp_path / "s.bed"], options=options)
    sites = pd.read_csv(tmp_path / "s.tsv", sep="\t")
    assert (result.n_sites, len(sites)) == (1, 1)
    site = sites.iloc[0]
    assert (site["chrom"], site["strand"], site["task"], site["kmer"]) == ("r2", "+", "MOTIF", "ACUAAC")
    assert (site["kmer_start"], site["kmer_end"]) == (250, 256)
    assert abs(site["peak_start"] - 252.5) <= 3
    assert site["start"] < 250 < 256 < site["end"]
    fields = (tmp_path / "s.bed").read_text().split()
    assert len(fields) == 12
    assert fields[:4] == ["r2", str(site["start"]), str(site["end"]), "MOTIF"]
    assert int(fields[4]) == round(1000 * site["score"])


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("step", [1, 10])
def test_planted_motif_in_a_genome(tmp_path, motifs, rng, strand, step):
    letters = random_rna(rng, 3000, "CGT" if strand == "+" else "CGA")
    planted = "ACTAAC" if strand == "+" else "GTTAGT"
    for place in (700, 2500):
        letters = letters[:place] + planted + letters[place + 6 :]
    (tmp_path / "g.fa").write_text(f">c\n{letters}\n")
    source = GenomeSource(str(tmp_path / "g.fa"), None, (("c", "+", 0, 3000), ("c", "-", 0, 3000)))
    options = ScanOptions(thresholds=ThresholdChoice(threshold=0.5), step=step)
    scan_to_files(motifs, source, sites=[tmp_path / "s.tsv"], options=options)
    sites = pd.read_csv(tmp_path / "s.tsv", sep="\t")
    assert sites[["strand", "kmer", "kmer_start"]].to_numpy().tolist() == [
        [strand, "ACUAAC", 700],
        [strand, "ACUAAC", 2500],
    ]
    middle = (sites["peak_start"] + sites["peak_end"] - 1) / 2
    assert (abs(middle - [702.5, 2502.5]) <= (3 if step == 1 else 10)).all()


def test_site_of_a_spliced_transcript_spans_the_intron(tmp_path, motifs, rng):
    fasta, gtf = write_genome(tmp_path, rng)
    letters = list(random_rna(rng, 2137, "CGT"))
    letters[497:500], letters[800:803] = "ACT", "AAC"
    (tmp_path / "g.fa").write_text(">chr1\n" + "".join(letters) + "\n>chr2\nA\n")
    (tmp_path / "g.fa.fai").unlink(missing_ok=True)
    source = TranscriptSource(fasta, gtf, ("T1.1",))
    options = ScanOptions(thresholds=ThresholdChoice(threshold=0.5))
    scan_to_files(motifs, source, sites=[tmp_path / "s.tsv", tmp_path / "s.bed"], options=options)
    site = pd.read_csv(tmp_path / "s.tsv", sep="\t").iloc[0]
    assert (site["kmer"], site["kmer_start"], site["kmer_end"]) == ("ACUAAC", 497, 803)
    assert (site["transcript_start"], site["transcript_end"]) == (site["start"] - 300, site["end"] - 600)
    fields = (tmp_path / "s.bed").read_text().split()
    assert fields[9] == "2"
    sizes, offsets = ([int(v) for v in fields[i].split(",")] for i in (10, 11))
    assert offsets == [0, 800 - site["start"]]
    assert sizes == [500 - site["start"], site["end"] - 800]


def test_sites_of_isoforms_are_one(tmp_path, motifs, rng):
    """A second isoform with another first exon, a third without the site's exon, and a gene on top of them."""
    fasta, gtf = write_genome(tmp_path, rng)
    letters = list(random_rna(rng, 2137, "CGT"))
    letters[900:906] = letters[1300:1306] = "ACTAAC"
    (tmp_path / "g.fa").write_text(">chr1\n" + "".join(letters) + "\n>chr2\nA\n")
    (tmp_path / "g.fa.fai").unlink(missing_ok=True)
    text = (tmp_path / "a.gtf").read_text()
    one = [line for line in text.splitlines() if "T1.1" in line]
    more = [line.replace("T1.1", "T3").replace("\t301\t", "\t351\t") for line in one]
    more += [line.replace("T1.1", "T4") for line in one if "\t801\t" not in line]
    more += [line.replace("T1.1", "T5").replace("G1.2", "G9").replace("QKI", "OTHER") for line in one]
    (tmp_path / "a.gtf").write_text(text + "\n".join(more) + "\n")
    source = TranscriptSource(fasta, gtf, ("T1.1", "T3", "T4", "T5"))
    options = ScanOptions(thresholds=ThresholdChoice(threshold=0.5))
    seen = []
    result = scan_to_files(motifs, source, sites=[tmp_path / "s.tsv"], options=options, site_progress=seen.append)
    sites = pd.read_csv(tmp_path / "s.tsv", sep="\t")
    found = {(row.gene, row.kmer_start): set(row.isoforms.split(",")) for row in sites.itertuples()}
    assert found == {
        ("QKI", 900): {"T1.1", "T3"},
        ("QKI", 1300): {"T1.1", "T3", "T4"},
        ("OTHER", 900): {"T5"},
        ("OTHER", 1300): {"T5"},
    }
    assert all(row.isoforms.split(",")[0] == row.transcript for row in sites.itertuples())
    assert result.n_sites == len(sites) == len(result.best_sites)
    assert sum(seen) == 7  # each isoform's site was looked at
    best = result.best_sites.iloc[0]
    assert best["chrom"] in {"T1.1", "T3", "T4", "T5"}
    assert best["place"].startswith("chr1:")
    (view, *_) = views(source, result.best_sites, 1)
    assert view.title == f"{best['gene']}, {view.contig}:{view.start:,}-{view.end:,}, on chr1 (+)"


def test_contigs_come_in_natural_order_and_thresholds_do_not_change(tmp_path, motifs, rng):
    names = ["chr10", "chr2", "chrX", "scaffold_12", "chrM", "chr1", "scaffold_3"]
    natural = ["chr1", "chr2", "chr10", "chrX", "chrM", "scaffold_3", "scaffold_12"]
    letters = {name: random_rna(rng, 400, "ACGT") for name in names}
    (tmp_path / "g.fa").write_text("".join(f">{name}\n{letters[name]}\n" for name in names))
    source = GenomeSource(str(tmp_path / "g.fa"), None, tuple((name, "+", 0, 400) for name in sorted(names)))
    outputs = [tmp_path / "o.tsv", tmp_path / "o.bw", tmp_path / "o.bedgraph", tmp_path / "o.h5"]
    options = ScanOptions(step=50, tasks=["MOTIF"], thresholds=ThresholdChoice(background="input"), kmer_length=0)
    result = scan_to_files(motifs, source, outputs, sites=[tmp_path / "s.tsv"], options=options)
    assert list(dict.fromkeys(pd.read_csv(outputs[0], sep="\t")["chrom"])) == natural
    assert list(dict.fromkeys(line.split("\t")[0] for line in outputs[2].read_text().splitlines())) == natural
    with pyBigWig.open(str(outputs[1])) as track:
        assert list(track.chroms()) == natural
        assert all(np.isfinite(track.values(name, 0, 400)).all() for name in natural)
    runs = in_fasta_order(source, source.runs(50))
    assert [run.contig for run in runs] == names
    scanner = Scanner(motifs, step=50, tasks=["MOTIF"])
    expected = find_thresholds(scanner, source, runs, ThresholdChoice(background="input")).table()
    pd.testing.assert_frame_equal(result.thresholds, expected)


@pytest.mark.bedtools
@pytest.mark.skipif(shutil.which("bedtools") is None, reason="bedtools is not installed")
def test_bed_of_sites_passes_bedtools(tmp_path, genome, tiny_model):
    fasta, gtf = genome
    options = ScanOptions(thresholds=ThresholdChoice(threshold=0.5), kmer_length=0)
    scan_to_files(tiny_model, GenomeSource(fasta, gtf, BOTH), sites=[tmp_path / "s.bed"], options=options)
    source = TranscriptSource(fasta, gtf, ("T1.1", "T2"))
    scan_to_files(tiny_model, source, sites=[tmp_path / "t.bed"], options=options)
    for name in ("s.bed", "t.bed"):
        text = (tmp_path / name).read_text()
        assert text.count("\n") > 3
        for command in (["sort", "-i"], ["bed12tobed6", "-i"]):
            done = subprocess.run(["bedtools", *command, tmp_path / name], capture_output=True, text=True, check=True)
            assert done.stderr == ""
            if command[0] == "sort":
                assert [r.split()[:2] for r in done.stdout.splitlines()] == [r.split()[:2] for r in text.splitlines()]
        getfasta = ["bedtools", "getfasta", "-split", "-s", "-fi", fasta, "-bed", tmp_path / name]
        done = subprocess.run(getfasta, capture_output=True, text=True, check=True)
        assert done.stdout.count(">") == text.count("\n")


def test_thresholds_are_seeded_and_reported(tmp_path, rna, motifs, monkeypatch):
    for name, small in (("LEAST_BINS", 100), ("LEAST_RNAS", 100), ("NULL_HITS", 5)):
        monkeypatch.setattr(f"ripe_lib.scan.background.{name}", small)
    results = [
        scan_to_files(
            motifs, rna[0], sites=[tmp_path / "s.tsv"], options=ScanOptions(thresholds=ThresholdChoice(seed=seed))
        )
        for seed in (0, 0, 1)
    ]
    pd.testing.assert_frame_equal(results[0].thresholds, results[1].thresholds)
    assert (results[0].thresholds["threshold"] != results[2].thresholds["threshold"]).any()
    table = results[0].thresholds[["of", "task"]].to_numpy().tolist()
    groups = ("all bins", "RNAs of 1 nt", "RNAs of 120 nt")
    assert table == [[group, task] for group in groups for task in ("MOTIF", "NOTHING")]
    assert set(pd.read_csv(tmp_path / "s.tsv", sep="\t")["task"]) == {"MOTIF"}
    scan_to_files(
        motifs, rna[0], sites=[tmp_path / "s.parquet"], options=ScanOptions(thresholds=ThresholdChoice(threshold=0.25))
    )
    import pyarrow.parquet as parquet

    metadata = parquet.read_schema(tmp_path / "s.parquet").metadata
    assert json.loads(json.loads(metadata[b"thresholds"])) == {"all bins": {"MOTIF": 0.25, "NOTHING": 0.25}}


def test_no_site_gives_a_header_only(tmp_path, rna, motifs):
    result = scan_to_files(
        motifs, rna[0], sites=[tmp_path / "s.tsv"], options=ScanOptions(thresholds=ThresholdChoice(threshold=1.0))
    )
    assert result.n_sites == 0
    assert (tmp_path / "s.tsv").read_text().split("\t")[:2] == ["chrom", "start"]


def test_pack_cuts_runs_and_loses_nothing(monkeypatch):
    monkeypatch.setattr("ripe_lib.scan.run.PART_WINDOWS", 10)
    runs = [Run("a", "+", 5, 4), Run("b", "-", 0, 23), Run("c", "+", 0, 3)]
    assert pack(runs, 1) == [
        (Run("a", "+", 5, 4), Run("b", "-", 0, 6)),
        (Run("b", "-", 6, 10),),
        (Run("b", "-", 16, 7), Run("c", "+", 0, 3)),
    ]


def test_size_of_parts_changes_nothing(tmp_path, genome, motifs, monkeypatch):
    source = GenomeSource(*genome, BOTH)
    options = ScanOptions(thresholds=ThresholdChoice(threshold=0.001), step=1, kmer_length=0)
    names = ("o.tsv", "s.tsv")
    scan_to_files(motifs, source, [tmp_path / names[0]], sites=[tmp_path / names[1]], options=options)
    whole = [(tmp_path / name).read_text() for name in names]
    monkeypatch.setattr("ripe_lib.scan.run.PART_WINDOWS", 61)
    scan_to_files(motifs, source, [tmp_path / names[0]], sites=[tmp_path / names[1]], options=options)
    assert (tmp_path / "s.tsv").read_text() == whole[1]
    a, b = (pd.read_csv(path, sep="\t") for path in (tmp_path / "o.tsv", tmp_path / "o.tsv"))
    pd.testing.assert_frame_equal(a, b)


def test_interrupted_scan_resumes_to_the_same_files(tmp_path, genome, tiny_model, monkeypatch):
    monkeypatch.setattr("ripe_lib.scan.run.PART_WINDOWS", 300)
    source = GenomeSource(*genome, BOTH)
    scan_to_files(tiny_model, source, [tmp_path / "a.tsv"])
    original, calls = ScanWork.__call__, []

    def failing(self, chunk, path):
        calls.append(chunk.index)
        if len(calls) == 3:
            raise KeyboardInterrupt("stopped")
        original(self, chunk, path)

    monkeypatch.setattr(ScanWork, "__call__", failing)
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        scan_to_files(tiny_model, source, [tmp_path / "b.tsv"])
    assert not (tmp_path / "b.tsv").exists()
    (tmp_path / ".4194305-abcdef.part.b.tsv").write_text("of a killed process")  # no process has so high a number
    scan_to_files(tiny_model, source, [tmp_path / "b.tsv"])
    assert calls == [0, 1, 2, 2, 3, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tsv", "b.tsv"]
    assert (tmp_path / "b.tsv").read_bytes() == (tmp_path / "a.tsv").read_bytes()
    assert not parts_directory(tmp_path / "b.tsv").exists()


def test_default_step(tiny_model):
    assert default_step(tiny_model, 1_000_000) == 1
    assert default_step(tiny_model, 1_000_001) == 50


def test_wrong_outputs_and_options(tmp_path, rna, motifs):
    source = rna[0]
    with pytest.raises(InputError, match="at least one output"):
        scan_to_files(motifs, source)
    with pytest.raises(InputError, match=r"o\.bed: expected a file name that ends in .* written with --sites"):
        scan_to_files(motifs, source, [tmp_path / "o.bed"])
    with pytest.raises(InputError, match=r"s\.bw: expected a file of sites"):
        scan_to_files(motifs, source, sites=[tmp_path / "s.bw"])
    with pytest.raises(OutputError, match="expected every output once, got it 2 times"):
        scan_to_files(motifs, source, [tmp_path / "s.tsv"], sites=[tmp_path / "s.tsv"])
    with pytest.raises(OutputError, match="expected an existing folder"):
        scan_to_files(motifs, source, [tmp_path / "no" / "o.tsv"])
    with pytest.raises(InputError, match="threshold: expected a probability"):
        scan_to_files(
            motifs, source, sites=[tmp_path / "s.tsv"], options=ScanOptions(thresholds=ThresholdChoice(threshold=2))
        )
    with pytest.raises(InputError, match="false-positive rate: expected a number"):
        scan_to_files(
            motifs,
            source,
            sites=[tmp_path / "s.tsv"],
            options=ScanOptions(thresholds=ThresholdChoice(false_positive_rate=0)),
        )
    with pytest.raises(InputError, match="expected a model loaded from a directory"):
        scan_to_files(motifs, source, [tmp_path / "o.tsv"], options=ScanOptions(scheduler="processes:1"))


def test_scan_sequence_refuses_what_is_wrong(motifs):
    with pytest.raises(InputError, match="expected at least one base, got none"):
        scan_sequence(motifs, "")
    with pytest.raises(InputError, match="got 'Z' at position 3"):
        scan_sequence(motifs, "ACZ")
    with pytest.raises(InputError, match=r"as many letters as bases \(3\), got 2"):
        scan_sequence(motifs, "ACG", region="ii")


FULL = Path("/dev/full")  # a file whose disk is always full
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


@needs_full
def test_full_disk_while_scores_are_computed(tiny_model, rna):
    source = rna[0]
    work = ScanWork(Scanner(tiny_model), source)
    with pytest.raises(OutputError, match=r"/dev: scores could not be kept there \(No space left on device\)"):
        work(Chunk(0, tuple(source.runs(1))), FULL)


@needs_full
def test_full_disk_while_the_fasta_is_read(tmp_path):
    path = write_fasta(tmp_path / "r.fa", {"a": "ACGU" * 10_000})
    with pytest.raises(OutputError, match=r"/dev/full: the bases could not be kept there .*No space left"):
        read_rna_fasta(path, FULL)


def test_full_disk_while_outputs_are_written_keeps_the_scores(tmp_path, rna, tiny_model, monkeypatch):
    source = rna[0]
    scan_to_files(tiny_model, source, [tmp_path / "whole.tsv"])
    original = TableWriterOfBins.add

    def full(self, *arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(TableWriterOfBins, "add", full)
    expected = r"o\.tsv: could not be written \(No space left on device\)\. The scores are kept in .*\.o\.tsv\.parts"
    with pytest.raises(OutputError, match=expected):
        scan_to_files(tiny_model, source, [tmp_path / "o.tsv"])
    assert not (tmp_path / "o.tsv").exists()
    monkeypatch.setattr(TableWriterOfBins, "add", original)
    monkeypatch.setattr(ScanWork, "__call__", lambda *_: pytest.fail("computed again"))
    scan_to_files(tiny_model, source, [tmp_path / "o.tsv"])
    assert (tmp_path / "o.tsv").read_bytes() == (tmp_path / "whole.tsv").read_bytes()
