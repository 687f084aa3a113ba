"""Means and maxima per transcript and region type, against a slow computation from the table of all bins."""

import numpy as np
import pandas as pd
import pytest

from ripe_lib.cli.main import main
from ripe_lib.genome.encoding import decode_region
from ripe_lib.scan import run as scan_run
from ripe_lib.scan.run import ScanOptions, scan_to_files
from ripe_lib.scan.sources import GenomeSource, TranscriptSource, open_annotation
from tests.support.array_oracles import gtf_transcript, write_fasta
from tests.support.toy_models import random_model
from tests.support.variant_files import write_model

NAMES = {"i": "intron", "c": "CDS", "3": "3UTR", "5": "5UTR", "N": "none"}
TASKS = ["A", "B"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("genome")
    rng = np.random.default_rng(4)
    write_fasta(folder / "g.fa", {"c": "".join(rng.choice(list("ACGT"), 3011)), "d": "ACGT" * 60})
    text = gtf_transcript("c", "+", "P1", [(120, 400), (700, 1011), (1300, 1503)], [(300, 400), (700, 1000)], gene="P")
    text += gtf_transcript("c", "+", "P2", [(350, 800), (1400, 1460)], [(360, 800)], gene="P")
    text += gtf_transcript("c", "-", "M", [(900, 1200), (2800, 3011)], [(1000, 1200), (2800, 2950)], gene="M")
    text += gtf_transcript("c", "-", "L", [(1300, 1700), (1800, 1900)], gene="L", kind="lncRNA")
    (folder / "a.gtf").write_text(text)
    return str(folder / "g.fa"), str(folder / "a.gtf")


@pytest.fixture(scope="module")
def model():
    return random_model(tasks=("A", "B"))


def slow(bins, annotation, transcript, spliced):
    """One row per region type: number of bases, mean and maximum, base by base."""
    row = annotation.transcripts.set_index("transcript_id").loc[transcript]
    exons = annotation.exons(transcript)
    groups = {}
    if spliced:
        bins = bins[bins["transcript"] == transcript]
    else:
        bins = bins[(bins["chrom"] == row.chrom) & (bins["strand"] == row.strand)]
    for position in range(row.start, row.end):
        in_exon = any(a <= position < b for a, b in exons)
        if spliced and not in_exon:
            continue
        code = annotation.region_codes(row.chrom, [position], 1, [row.strand == "-"])[0]
        name = NAMES[decode_region(code)] if in_exon else "intron"
        name = "none" if in_exon and name == "intron" else name
        if spliced:
            at = sum(min(b, position) - a for a, b in exons if a < position)
            if row.strand == "-":
                at = sum(b - a for a, b in exons) - 1 - at
            hit = bins[(bins["transcript_start"] <= at) & (bins["transcript_end"] > at)]
        else:
            hit = bins[(bins["start"] <= position) & (bins["end"] > position)]
        assert len(hit) == 1
        groups.setdefault(name, []).append(hit[TASKS].to_numpy()[0])
    return {name: (len(v), np.mean(v, axis=0, dtype=np.float64), np.max(v, axis=0)) for name, v in groups.items()}


def check(summary, expected):
    assert set(summary["region_type"]) == set(expected)
    for row in summary.to_dict("records"):
        n, mean, most = expected[row["region_type"]]
        assert row["n"] == n
        np.testing.assert_allclose([row["A.mean"], row["B.mean"]], mean, atol=1e-6)
        np.testing.assert_allclose([row["A.max"], row["B.max"]], most, atol=1e-7)


@pytest.mark.parametrize("step", [1, 7, 50])
def test_genes_of_a_genome(tmp_path, files, model, step, monkeypatch):
    monkeypatch.setattr(scan_run, "PART_WINDOWS", 401)  # pieces that end anywhere
    source = GenomeSource(*files, (("c", "+", 100, 1510), ("c", "-", 890, 3011)))
    bins, out = tmp_path / "b.parquet", tmp_path / "s.tsv"
    result = scan_to_files(model, source, [bins], summary=out, options=ScanOptions(step=step))
    summary = pd.read_csv(out, sep="\t")
    assert result.n_transcripts == summary["transcript_id"].nunique() == 4
    annotation = open_annotation(files[1], files[0])
    for name, rows in summary.groupby("transcript_id"):
        check(rows, slow(pd.read_parquet(bins), annotation, name, spliced=False))
    first = summary.iloc[0]
    assert (first["gene_id"], first["gene_name"], first["chrom"], first["strand"]) == ("P", "P-name", "c", "+")
    assert list(summary[summary["transcript_id"] == "P1"]["region_type"]) == ["5UTR", "CDS", "3UTR", "intron"]


def test_transcripts_that_were_scanned_in_part_are_left_out(tmp_path, files, model):
    source = GenomeSource(*files, (("c", "+", 340, 1510), ("c", "-", 950, 3011)))
    scan_to_files(model, source, summary=tmp_path / "s.parquet", options=ScanOptions(step=10))
    assert set(pd.read_parquet(tmp_path / "s.parquet")["transcript_id"]) == {"P2", "L"}
    source = GenomeSource(*files, (("d", "+", 0, 100),))
    scan_to_files(model, source, summary=tmp_path / "n.tsv", options=ScanOptions(step=10))
    assert (tmp_path / "n.tsv").read_text().split("\n")[0].split("\t")[-4:] == ["A.mean", "A.max", "B.mean", "B.max"]


@pytest.mark.parametrize("step", [1, 50])
def test_spliced_transcripts(tmp_path, files, model, step):
    source = TranscriptSource(*files, ("P1", "P2", "M"))
    bins, out = tmp_path / "b.parquet", tmp_path / "s.tsv"
    scan_to_files(model, source, [bins], summary=out, options=ScanOptions(step=step))
    summary = pd.read_csv(out, sep="\t")
    assert "intron" not in set(summary["region_type"])
    annotation = open_annotation(files[1], files[0])
    assert summary["transcript_id"].nunique() == 3
    for name, rows in summary.groupby("transcript_id"):
        check(rows, slow(pd.read_parquet(bins), annotation, name, spliced=True))


def test_command_on_rnas_long(tmp_path, model, capsys):
    folder = write_model(model, tmp_path / "m")
    rng = np.random.default_rng(1)
    rna = "".join(rng.choice(list("ACGU"), 300))
    (tmp_path / "r.fa").write_text(f">a region={'5' * 90}{'c' * 150}{'3' * 60}\n{rna}\n>b\n{rna[:99]}\n")
    arguments = ["scan", folder, tmp_path / "r.fa", "-o", tmp_path / "b.parquet", "--summary", tmp_path / "s.csv"]
    assert main([*map(str, arguments), "--format", "long"]) == 0
    assert ", 2 transcripts: " in capsys.readouterr().err
    summary = pd.read_csv(tmp_path / "s.csv")
    assert list(summary.columns) == ["rna", "region_type", "n", "task", "mean", "max"]
    bins = pd.read_parquet(tmp_path / "b.parquet")
    row = summary[(summary["rna"] == "a") & (summary["region_type"] == "CDS") & (summary["task"] == "B")].iloc[0]
    scores = bins[(bins["chrom"] == "a") & (bins["start"] >= 90) & (bins["end"] <= 240) & (bins["task"] == "B")]
    scores = scores.iloc[:, -1]
    assert row["n"] == len(scores) == 150
    assert row["mean"] == pytest.approx(scores.mean(), abs=1e-6)
    assert row["max"] == pytest.approx(scores.max(), abs=1e-7)
    assert summary[summary["rna"] == "b"]["region_type"].unique().tolist() == ["none"]


def test_a_genome_without_genes_is_refused(tmp_path, files, capsys):
    arguments = ["scan", "clip31", "--chrom", "c", "--fasta", files[0], "--summary", str(tmp_path / "s.tsv")]
    assert main(arguments) == 2
    assert "--summary: expected a gene annotation" in capsys.readouterr().err
