"""``ripe scan`` as a user types it."""

import os
import signal
import sys
import threading
import time
import types

import numpy as np
import pandas as pd
import pyBigWig
import pytest
import yaml

from ripe_lib.cli.main import main
from ripe_lib.network.weights import arrays_of, sha256_of, write_weights
from tests.support.motif_model import motif_model
from tests.support.scan_genome import random_rna, write_fasta, write_genome


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The directory of a model that recognises ACUAAC."""
    folder = tmp_path_factory.mktemp("model")
    made = motif_model()
    write_weights(folder / "weights.h5", made.spec, arrays_of(made.keras_model))
    arguments = {"weights": "weights.h5", "sha256": sha256_of(folder / "weights.h5")}
    (folder / "model.yaml").write_text(yaml.safe_dump({"args": arguments}))
    return str(folder)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("input")
    rng = np.random.default_rng(2)
    fasta, gtf = write_genome(folder, rng)
    letters = random_rna(rng, 300, "CGU")
    rna = write_fasta(folder / "rna.fa", {"a": letters[:100] + "ACUAAC" + letters[106:], "b": letters[:30]})
    (folder / "x.bed").write_text("chr1\t400\t700\ts1\t0\t-\n1\t650\t800\ts2\t0\t-\n")
    (folder / "three.bed").write_text("chr1\t400\t460\n")
    (folder / "genes.txt").write_text("QKI\nPUM2\n")
    return {"rna": str(rna), "fasta": fasta, "gtf": gtf, "folder": folder}


def run(*arguments):
    return main(["scan", *map(str, arguments), "--quiet"])


def genome_of(files, *, gtf=True):
    return ["--fasta", files["fasta"], *(["--gtf", files["gtf"]] if gtf else [])]


def test_rna_fasta(model, files, tmp_path):
    sites, bed = tmp_path / "s.tsv", tmp_path / "s.bed"
    assert run(model, files["rna"], "-o", tmp_path / "o.tsv", "--sites", sites, "--sites", bed) == 0
    table = pd.read_csv(tmp_path / "o.tsv", sep="\t")
    assert table["chrom"].value_counts().to_dict() == {"a": 300, "b": 30}
    found = pd.read_csv(sites, sep="\t")
    assert found[["chrom", "task", "kmer", "kmer_start"]].to_numpy().tolist() == [["a", "MOTIF", "ACUAAC", 100]]
    assert len(bed.read_text().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.tsv", "s.bed", "s.tsv"]


def test_rna_from_standard_input(model, files, tmp_path, monkeypatch, capsys):
    with open(files["rna"], "rb") as handle:
        monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=handle))
        assert main(["scan", model, "-", "-o", str(tmp_path / "o.tsv"), "--task", "MOTIF"]) == 0
    captured = capsys.readouterr()
    assert "330 bins of 1 nt: " in captured.err
    assert captured.out == ""
    assert list(pd.read_csv(tmp_path / "o.tsv", sep="\t").columns[4:]) == ["MOTIF"]


def test_scan_equals_predict_on_a_bed_of_the_bins(model, files, tmp_path):
    from ripe_lib.genome.windows import make_windows
    from ripe_lib.network.load import load_model
    from ripe_lib.network.predict import predict

    out = tmp_path / "o.parquet"
    assert run(model, "--intervals", files["folder"] / "x.bed", *genome_of(files), "-o", out, "--step", 50) == 0
    table = pd.read_parquet(out)
    assert table[["chrom", "start", "end", "strand"]].drop_duplicates().shape == (8, 4)
    bins = table[["chrom", "start", "end", "strand"]]
    loaded = load_model(model)
    windows = make_windows(bins, fasta_file=files["fasta"], gtf_file=files["gtf"], spec=loaded.spec)
    np.testing.assert_allclose(table[loaded.tasks], predict(loaded, windows), rtol=0, atol=1e-6)


def spans(out):
    table = pd.read_csv(out, sep="\t")
    groups = table.groupby(["chrom", "strand"], sort=False)
    return {key: (rows["start"].min(), rows["end"].max(), len(rows)) for key, rows in groups}


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (["--genes", "QKI"], {("chr1", "+"): (300, 1400, 1100)}),
        (["--genes", "G1"], {("chr1", "+"): (300, 1400, 1100)}),
        (["--genes", "T2,QKI"], {("chr1", "+"): (300, 1400, 1100), ("chr1", "-"): (900, 1900, 1000)}),
        (["--genes", "FILE"], {("chr1", "+"): (300, 1400, 1100), ("chr1", "-"): (900, 1900, 1000)}),
        (["--genes", "all", "--chrom", "1"], {("chr1", "+"): (300, 1400, 1100), ("chr1", "-"): (900, 1900, 1000)}),
        (["--genes", "QKI", "--strand", "both"], {("chr1", s): (300, 1400, 1100) for s in "+-"}),
        (["--genes", "QKI", "--spliced"], {("chr1", "+"): (300, 1400, 600)}),
        (["--chrom", "chr2"], {("chr2", s): (0, 90, 90) for s in "+-"}),
        (["--chrom", "2", "--strand", "-"], {("chr2", "-"): (0, 90, 90)}),
        (["--intervals", "BED"], {("chr1", "-"): (400, 800, 400)}),
        (["--intervals", "BED3"], {("chr1", "+"): (400, 460, 60)}),
        (["--intervals", "BED3", "--strand", "both"], {("chr1", s): (400, 460, 60) for s in "+-"}),
    ],
)
def test_what_is_scanned(model, files, tmp_path, what, expected):
    folder = files["folder"]
    names = {"FILE": folder / "genes.txt", "BED": folder / "x.bed", "BED3": folder / "three.bed"}
    what = [names.get(word, word) for word in what]
    assert run(model, *what, *genome_of(files), "-o", tmp_path / "o.tsv") == 0
    assert spans(tmp_path / "o.tsv") == expected


def test_bed3_without_gtf_is_plus_with_one_note(model, files, tmp_path, capsys):
    arguments = ["--intervals", str(files["folder"] / "three.bed"), *genome_of(files, gtf=False)]
    assert main(["scan", model, *arguments, "-o", str(tmp_path / "o.tsv")]) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if "without strand taken as plus" in line]
    assert len(notes) == 1
    assert spans(tmp_path / "o.tsv") == {("chr1", "+"): (400, 460, 60)}


def test_bigwig_of_a_gene(model, files, tmp_path):
    assert run(model, "--genes", "PUM2", *genome_of(files), "--task", "MOTIF", "-o", tmp_path / "p.bw") == 0
    with pyBigWig.open(str(tmp_path / "p.bw")) as handle:
        assert np.isfinite(handle.values("chr1", 900, 1900)).all()
        assert np.isnan(handle.values("chr1", 0, 900)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["protein.fa"], "protein.fa:1: record 'p': expected A C G T U or an IUPAC letter, got 'L'"),
        (["empty.fa"], "empty.fa:1: record 'a': expected at least one letter, got none"),
        (["twice.fa"], "twice.fa:3: expected every name once, got 'a' again"),
        (["no.fa"], "no.fa: no such file"),
        (["RNA", "--region-file", "short.fa"], "expected as many letters as bases (300), got 3"),
        (["--intervals", "zero.bed", "GENOME"], "zero.bed:1: expected"),
        (["--intervals", "beyond.bed", "GENOME"], "beyond.bed:1: expected an interval within chr1"),
        (["--genes", "QKY", "GENOME"], "unknown gene in"),
        (["--genes", "QKY", "GENOME"], "Did you mean 'QKI'?"),
        (["--chrom", "chr9", "GENOME"], "chr9"),
        (["--genes", "QKI", "--chrom", "chr2", "GENOME"], "expected genes on chr2, found none"),
        (["RNA", "--task", "MOTIV"], "unknown task 'MOTIV'"),
        (["RNA", "--genes", "QKI"], "expected either a FASTA of RNAs, or one of --intervals, --genes, --chrom"),
        ([], "expected either a FASTA of RNAs, or one of --intervals, --genes, --chrom"),
        (["--chrom", "chr1"], "expected a genome for --intervals, --genes and --chrom, got none"),
        (["--chrom", "chr1", "--fasta", "FASTA", "--spliced"], "--spliced: expected genes or transcripts"),
        (["--genes", "QKI", "--fasta", "FASTA"], "expected a gene annotation for --genes"),
        (["RNA", "--fasta", "FASTA"], "--fasta and --gtf are for genomes"),
        (["RNA", "-o", "x.bed"], "x.bed: expected a file name that ends in"),
        (["RNA", "--dask", "processes:none"], "expected 'processes:N'"),
        (["RNA", "--report", "protein.fa"], "protein.fa: expected a folder, got a file"),
        (["RNA", "--plots", "protein.fa/x"], "protein.fa/x: expected a folder"),
        (["RNA", "--min-score", "7"], "least score: expected a probability, got 7.0"),
        (["RNA", "--kmer-length", "151"], "k-mer length: expected 0 (none) to 150 (the window), got 151"),
        (["RNA", "--threshold", "0.5", "--fpr", "0.1"], "expected one way to choose thresholds"),
        (["RNA", "--prevalence", "0.5"], "prevalence: only means something together with a precision"),
        (["RNA", "--sites", "s.bed", "--precision", "0.5"], "expected calibrated probabilities for a precision"),
    ],
)
def test_wrong_input_is_one_clear_line(model, files, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "protein.fa": ">p\nMKVLAT\n",
        "empty.fa": ">a\n>b\nACGU\n",
        "twice.fa": ">a\nAC\n>a\nAC\n",
        "short.fa": ">a\niii\n>b\niii\n",
        "zero.bed": "chr1\t50\t50\n",
        "beyond.bed": "chr1\t2000\t2200\ta\t0\t+\n",
    }.items():
        (tmp_path / name).write_text(text)
    words = {"RNA": [files["rna"]], "FASTA": [files["fasta"]], "GENOME": genome_of(files)}
    flat = [word for argument in arguments for word in words.get(argument, [argument])]
    outputs = [] if "-o" in flat else ["-o", "o.tsv"]
    assert main(["scan", model, *flat, *outputs]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"protein.fa", "empty.fa", "twice.fa", "short.fa", "zero.bed", "beyond.bed"}


def test_precision_and_prevalence_reach_the_thresholds(model, files, tmp_path, capsys):
    import shutil

    copy = tmp_path / "calibrated"
    shutil.copytree(model, copy)
    (copy / "model_card.md").write_text("fitted on the validation split (Platt) for a prevalence of 0.20 and are part")
    arguments = [str(copy), files["rna"], "--sites", str(tmp_path / "s.tsv"), "--precision", "0.5"]
    for extra, expected in (([], 0.5), (["--prevalence", "0.5"], 0.2)):
        assert main(["scan", *arguments, *extra]) == 0
        sites = pd.read_csv(tmp_path / "s.tsv", sep="\t")
        assert sites["threshold"].tolist() == [pytest.approx(expected)]
        assert sites["fpr"].isna().all()
        assert f"threshold {expected:.3f} for all tasks" in capsys.readouterr().err


def test_no_output_is_an_error(model, files, capsys):
    assert main(["scan", model, files["rna"]]) == 2
    assert "expected at least one output" in capsys.readouterr().err


@pytest.mark.slow
def test_processes_and_a_cluster_with_a_dying_worker_give_the_same(model, files, tmp_path, monkeypatch):
    """Two worker processes, one of them killed on the way: same bytes as in one process."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("ripe_lib.scan.run.PART_WINDOWS", 60)
    what = [model, "--genes", "all", *genome_of(files), "--step", 7]
    assert run(*what, "-o", tmp_path / "one.tsv") == 0
    expected = pd.read_csv(tmp_path / "one.tsv", sep="\t")
    assert run(*what, "-o", tmp_path / "two.tsv", "--dask", "processes:2") == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "two.tsv", sep="\t"), expected, rtol=0, atol=1e-6)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        victim = next(iter(cluster.workers.values()))

        def kill():
            parts = tmp_path / ".three.tsv.parts"
            deadline = time.monotonic() + 120
            while not list(parts.glob("part-*")) and time.monotonic() < deadline:
                time.sleep(0.01)
            os.kill(victim.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        assert run(*what, "-o", tmp_path / "three.tsv", "--dask", cluster.scheduler_address) == 0
        killer.join()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "three.tsv", sep="\t"), expected, rtol=0, atol=1e-6)
