"""Which RBPs bind given intervals: the matched background, the statistics, the command."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from ripe_lib.cli.main import main
from ripe_lib.errors import InputError
from ripe_lib.evaluation.metrics import auroc
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import REGION_TYPES
from ripe_lib.genome.fasta import Genome
from ripe_lib.scan.background_windows import matched_windows
from ripe_lib.scan.enrichment import compared, enrichment
from tests.support.array_oracles import gtf_transcript, reverse_complement, write_fasta
from tests.support.toy_models import detector_model, random_model
from tests.support.variant_files import write_model

WORD = "TGTAAAT"
N_GENES, PITCH = 40, 5000
WINDOW = 150
LENGTH = 31


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Genes of 4 kb on alternating strands: two introns, UTRs and CDS; half of the 3'UTRs hold the word, in a peak."""
    folder = tmp_path_factory.mktemp("genes")
    rng = np.random.default_rng(3)
    letters = rng.choice(list("ACGT"), N_GENES * PITCH)
    text, peaks = "", []
    for number in range(N_GENES):
        at, strand = number * PITCH + 400, "+-"[number % 2]
        exons = [(at, at + 600), (at + 1500, at + 1800), (at + 2800, at + 4000)]
        cds = [(at + 400, at + 600), (at + 1500, at + 1800), (at + 2800, at + 2900)]
        if strand == "-":
            mirror = 2 * at + 4000
            exons, cds = ([(mirror - e, mirror - s) for s, e in part[::-1]] for part in (exons, cds))
        text += gtf_transcript("c", strand, f"T{number:02d}", exons, cds, gene=f"G{number:02d}")
        for offset in (3200, 3600, 1000):  # two in the 3'UTR, one in the first intron
            start = at + offset if strand == "+" else at + 4000 - offset - LENGTH
            if offset != 1000:
                middle = start + (LENGTH - len(WORD)) // 2
                letters[middle : middle + len(WORD)] = list(WORD if strand == "+" else reverse_complement(WORD))
            peaks.append(("c", start, start + LENGTH, f"p{offset}", 0, strand))
    letters[100 : 100 + 900] = "N"  # the first gene's first exon and some intron
    write_fasta(folder / "g.fa", {"c": "".join(letters)})
    (folder / "a.gtf").write_text(text)
    table = pd.DataFrame(peaks, columns=["chrom", "start", "end", "name", "score", "strand"])
    table.to_csv(folder / "peaks.bed", sep="\t", header=False, index=False)
    return folder, table


@pytest.fixture(scope="module")
def genome(world):
    return Genome(world[0] / "g.fa")


@pytest.fixture(scope="module")
def annotation(world, genome):
    return Annotation.load(world[0] / "a.gtf").for_genome(genome)


def test_background_has_genes_and_region_types_of_the_intervals(world, genome, annotation):
    peaks = world[1]
    found = matched_windows(peaks, genome, annotation, window=WINDOW, per_interval=3, seed=1)
    assert found.left_out["without a gene on their strand"] == 0
    own, background = found.intervals, found.background
    assert list(background["of"]) == list(np.repeat(np.arange(len(own)), 3))
    assert set(own["region_type"]) == {"3UTR", "intron"}
    centre = ((background["start"] + background["end"] - 1) // 2).to_numpy()
    minus = (background["strand"] == "-").to_numpy()
    codes = annotation.region_codes(["c"] * len(background), centre, 1, minus)[:, 0]
    assert [REGION_TYPES[code] for code in codes] == list(own["region_type"].iloc[background["of"]])
    assert (background["gene"].to_numpy() == own["gene"].to_numpy()[background["of"]]).all()
    assert (background["end"] - background["start"] == LENGTH).all()
    letters = (world[0] / "g.fa").read_text().split("\n", 1)[1].replace("\n", "")
    for row, at in zip(background.itertuples(), centre.tolist(), strict=True):
        near = peaks[(peaks["strand"] == row.strand) & (peaks["end"] + 75 > at) & (peaks["start"] - 75 <= at)]
        assert not len(near)
        assert "N" not in letters[at - 74 : at + 76]
    again = matched_windows(peaks, genome, annotation, window=WINDOW, per_interval=3, seed=1)
    pd.testing.assert_frame_equal(again.background, background)
    other = matched_windows(peaks, genome, annotation, window=WINDOW, per_interval=3, seed=2)
    assert not other.background["start"].equals(background["start"])


def test_other_genes_serve_where_one_has_too_little(genome, annotation):
    # Peaks over all of one gene's first exon but some bases near its end.
    spans = annotation.transcripts
    gene = spans[spans["gene_id"] == "G02"].iloc[0]
    full = pd.DataFrame(
        [("c", gene.start + at, gene.start + at + 40, "x", 0, "+") for at in range(0, 400, 40)]
        + [("c", spans[spans["gene_id"] == f"G{n:02d}"].iloc[0].start + 100, 0, "y", 0, "+") for n in (4, 6, 8)],
        columns=["chrom", "start", "end", "name", "score", "strand"],
    )
    full.loc[full["name"] == "y", "end"] = full["start"] + 40
    found = matched_windows(full, genome, annotation, window=WINDOW, per_interval=2)
    assert len(found.intervals) == len(full)
    assert set(found.background["region_type"]) == {"5UTR"}
    assert set(found.background["gene"]) == {"G04", "G06", "G08"}


def test_intervals_without_background_are_counted(genome, annotation):
    rows = [
        ("c", 20, 60, "intergenic", 0, "+"),
        ("c", 600, 640, "unknown", 0, "+"),
        ("c", 11_000, 11_040, "ok", 0, "+"),
    ]
    rows.append(("c", 11_000, 11_040, "antisense", 0, "-"))
    table = pd.DataFrame(rows, columns=["chrom", "start", "end", "name", "score", "strand"])
    found = matched_windows(table, genome, annotation, window=WINDOW)
    assert list(found.intervals["name"]) == ["ok"]
    assert found.left_out["without a gene on their strand"] == 2
    assert found.left_out["at unknown bases"] == 1
    with pytest.raises(InputError, match=r"got none \(2 without a gene on their strand"):
        matched_windows(table[table["name"] != "ok"], genome, annotation, window=WINDOW)


def test_statistics_by_definition(rng):
    first, second = rng.normal(0.5, 1, (30, 2)).astype(np.float32), rng.normal(0, 1, (70, 2)).astype(np.float32)
    first[:, 1] = second[:30, 1] = 2.0  # ties
    table = compared(first, second)
    for task in range(2):
        labels = np.repeat([1, 0], [30, 70])
        assert table["auroc"][task] == pytest.approx(auroc(labels, np.concatenate([first[:, task], second[:, task]])))
    np.testing.assert_allclose(table["difference"], first.mean(axis=0) - second.mean(axis=0), rtol=1e-5)
    border = np.sort(second[:, 0])
    assert table["above_95"][0] == np.mean(first[:, 0] > np.quantile(border, 0.95))
    same = compared(np.ones((5, 1)), np.ones((9, 1)))
    assert (same["p_value"][0], same["auroc"][0]) == (1.0, 0.5)


@pytest.mark.parametrize(("n", "m"), [(12, 48), (60, 240), (500, 500)])
def test_p_values_are_uniform_without_a_difference(n, m):
    rng = np.random.default_rng(n)
    p = compared(rng.normal(size=(n, 500)), rng.normal(size=(m, 500)))["p_value"]
    assert kstest(p, "uniform").pvalue > 0.01


def test_background_against_background_is_like_background(world, genome, annotation):
    peaks = world[1]
    model = random_model()
    p = []
    for seed in range(12):
        drawn = matched_windows(peaks, genome, annotation, window=WINDOW, per_interval=1, seed=100 + seed)
        given = drawn.background[["chrom", "start", "end", "name", "score", "strand"]]
        found = enrichment([model], given, fasta_file=genome, gtf_file=annotation, per_interval=2, seed=seed)
        p += found.table["p_value"].tolist()
        assert found.table["q_value"].min() > 1e-3
    assert kstest(p, "uniform").pvalue > 0.01


def test_a_planted_word_is_found(world, genome, annotation):
    _, peaks = world
    models = [detector_model(WORD, tasks=("PUM2_TOY", "OTHER_TOY")), random_model()]
    found = enrichment(models, peaks[peaks["name"] != "p1000"], fasta_file=genome, gtf_file=annotation)
    first = found.table.iloc[0]
    assert (first["task"], first["model"]) == ("PUM2_TOY", "DeepRiPe/detector")
    assert first["q_value"] < 1e-20
    assert first["auroc"] > 0.95
    assert first["above_95"] > 0.9
    others = found.table.iloc[1:]
    assert (others["auroc"] - 0.5).abs().max() < 0.2
    assert list(found.table["auroc"]) == sorted(found.table["auroc"], reverse=True)
    chosen = {"fasta_file": genome, "gtf_file": annotation, "tasks": ["PUM2_TOY"]}
    alone = enrichment(models, peaks[peaks["name"] != "p1000"], **chosen).table
    pd.testing.assert_series_equal(alone.iloc[0].drop("q_value"), first.drop("q_value"))
    assert (len(alone), alone["q_value"][0]) == (1, alone["p_value"][0])  # nothing to correct for
    in_introns = enrichment(models[:1], peaks[peaks["name"] == "p1000"], fasta_file=genome, gtf_file=annotation)
    assert in_introns.table["q_value"].min() > 0.01


def test_command(world, tmp_path, capsys):
    folder, _ = world
    model = write_model(detector_model(WORD, tasks=("PUM2_TOY", "OTHER_TOY")), tmp_path / "m")
    arguments = ["--fasta", folder / "g.fa", "--gtf", folder / "a.gtf", "-o", tmp_path / "o.tsv"]
    arguments += ["--plot", tmp_path / "o.svg", "--background", tmp_path / "b.bed", "--max-intervals", 60]
    assert main(["enrich", *map(str, [model, folder / "peaks.bed", *arguments])]) == 0
    table = pd.read_csv(tmp_path / "o.tsv", sep="\t")
    assert list(table["task"]) == ["PUM2_TOY", "OTHER_TOY"]
    captured = capsys.readouterr()
    assert captured.out.split()[0] == "task"
    assert f"{table['n'][0]} intervals against {table['n_background'][0]} windows of the same genes" in captured.err
    assert table["n"][0] <= 60
    background = pd.read_csv(tmp_path / "b.bed", sep="\t", header=None)
    assert len(background) == table["n_background"][0]
    assert set(background[3]) <= {"3UTR", "intron"}
    assert (tmp_path / "o.svg").read_text().startswith("<?xml")


def test_mistakes_are_one_line(world, tmp_path, capsys):
    folder, _ = world
    bed, fasta = str(folder / "peaks.bed"), str(folder / "g.fa")
    assert main(["enrich", "clip31", bed, "--fasta", fasta]) == 2
    assert "Give it with --gtf" in capsys.readouterr().err
    assert main(["enrich", "clip_31", bed, "--fasta", fasta, "--gtf", str(folder / "a.gtf")]) == 2
    assert "Did you mean" in capsys.readouterr().err
    assert main(["enrich", "clip31", bed, "--fasta", fasta, "--gtf", str(folder / "a.gtf"), "--plot", "x.jpg"]) == 2
    assert "picture format" in capsys.readouterr().err
