"""Saturation maps: equal to scoring each variant, drawn and written for the right bases."""

import numpy as np
import pandas as pd
import pyBigWig
import pytest

from ripe_lib.cli.main import main
from ripe_lib.errors import InputError, UnknownNameError
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.fasta import Genome
from ripe_lib.reports.saturation import heat_map
from ripe_lib.variants.options import VariantOptions
from ripe_lib.variants.saturation import Region, parse_region, saturate
from ripe_lib.variants.scorer import VariantScorer
from ripe_lib.variants.tables import wide_frame
from tests.support.toy_genome import records
from tests.support.toy_models import by_full_passes
from tests.support.variant_files import FASTA, GTF, example_sequences, write_model


@pytest.fixture(scope="module")
def world():
    genome = Genome(FASTA)
    return genome, Annotation.load(GTF).for_genome(genome)


@pytest.mark.parametrize("strand", ["+", "-"])
def test_every_change_scores_as_a_variant(tiny_model, world, strand):
    genome, annotation = world
    found = saturate([tiny_model], genome, annotation, ("chr1", 2540, 2600, strand), deletions=True)
    sequence = example_sequences()["chr1"].upper()
    rows = [
        ("chr1", p + 1, sequence[p], ",".join(b for b in "ACGT" if b != sequence[p]))
        for p in range(2540, 2600)
        if sequence[p] in "ACGT"
    ]
    scorer = VariantScorer([by_full_passes(tiny_model)], genome, annotation, VariantOptions(strand=strand))
    expected = wide_frame(scorer.score(records(*rows)))
    table = wide_frame(found.scored)
    single = table[table["ref"].str.len() == 1].reset_index(drop=True)
    assert single.iloc[:, :9].equals(expected.iloc[:, :9])
    np.testing.assert_allclose(single.iloc[:, 9:], expected.iloc[:, 9:], atol=1e-5)
    assert (table["ref"].str.len() == 2).sum() == len(rows)
    # The map in RNA sense.
    changes = found.changes(0)
    assert changes.shape == (60, 4, len(tiny_model.tasks))
    letters = "ACGT" if strand == "+" else "TGCA"
    for row in expected.sample(20, random_state=1).itertuples():
        at = row.pos - 2541 if strand == "+" else 2600 - row.pos
        delta = expected.loc[row.Index, f"{tiny_model.tasks[1]}.delta"]
        assert changes[at, letters.index(row.alt), 1] == pytest.approx(delta, abs=1e-5)
        assert changes[at, letters.index(row.ref), 1] == 0


def test_regions_as_users_write_them(world):
    genome, annotation = world
    assert parse_region("chr1:2,600-2,650", genome, annotation) == Region("chr1", 2599, 2650, "-")
    assert parse_region("1:700-710", genome, annotation) == Region("chr1", 699, 710, "+")
    assert parse_region("chr1:700-710:-", genome, annotation).strand == "-"
    assert parse_region("chr1:700(-)", genome) == Region("chr1", 699, 700, "-")
    assert str(parse_region("chr1:700-710", genome)) == "chr1:700-710:+"
    for text, message in (
        ("chr1", "expected contig:start-end"),
        ("chr1:0-5", "expected 1 <= start"),
        ("chr1:9-5", "expected 1 <= start"),
        ("chr1:8000-9001", "<= 9000"),
    ):
        with pytest.raises(InputError, match=message):
            parse_region(text, genome)
    with pytest.raises(UnknownNameError, match="chr7"):
        parse_region("chr7:1-5", genome)


@pytest.mark.parametrize("strand", ["+", "-"])
def test_deletions_are_those_of_every_base(tiny_model, world, strand):
    """Each base's deletion, written as it lies and not shifted to the left of its run, scores as the drawn one."""
    start, end = 2595, 2640
    found = saturate([tiny_model], world[0], None, ("chr1", start, end, strand), deletions=True)
    sequence = example_sequences()["chr1"].upper()
    assert any(sequence[p] == sequence[p + 1] for p in range(start, end - 1))  # runs are among them
    rows = [("chr1", p, sequence[p - 1 : p + 1], sequence[p - 1]) for p in range(start, end)]
    scorer = VariantScorer([by_full_passes(tiny_model)], world[0], None, VariantOptions(strand=strand))
    table = wide_frame(scorer.score(records(*rows)))
    expected = table[[f"{task}.delta" for task in tiny_model.tasks]].to_numpy()
    np.testing.assert_allclose(found.deletions(0), expected if strand == "+" else expected[::-1], atol=1e-5)
    assert saturate([tiny_model], world[0], None, ("chr1", start, end, strand)).deletions(0) is None


def test_heat_map_says_what_it_shows(tiny_model, world):
    found = saturate([tiny_model], world[0], None, ("chr1", 2600, 2740, "-"), deletions=True)
    figure = heat_map(found, 0, tiny_model.tasks[0])
    rows = [ax for ax in figure.axes if ax.get_ylabel() == "changed to"]
    assert [label.get_text() for label in rows[0].get_yticklabels()] == ["A", "C", "G", "U", "del"]
    assert rows[-1].get_xlabel() == "position on chr1, minus strand, 5' to 3'"
    ticks = [int(label.get_text().replace(",", "")) for ax in rows for label in ax.get_xticklabels()]
    assert ticks == list(range(2740, 2600, -10))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["base of the reference"]


def test_unknown_bases_have_no_changes(tiny_model, world):
    contig, sequence = next((c, s.upper()) for c, s in example_sequences().items() if "NN" in s.upper())
    at = sequence.index("NN")
    found = saturate([tiny_model], world[0], None, (contig, at - 3, at + 2, "+"))
    changes = found.changes(0)
    assert np.isfinite(changes[:3]).all()
    assert np.isnan(changes[3:]).all()
    assert heat_map(found, 0, tiny_model.tasks[0]).axes


def test_command(tmp_path, tiny_model, capsys):
    folder = write_model(tiny_model, tmp_path / "toy")
    common = ["mutate", str(folder), "chr1:2,600-2,640", "--fasta", str(FASTA), "--gtf", str(GTF), "--quiet"]
    assert main([*common, "-o", str(tmp_path / "x.tsv"), "--plots", str(tmp_path / "plots")]) == 0
    table = pd.read_csv(tmp_path / "x.tsv", sep="\t")
    assert (table["ref"].str.len() == 1).sum() == 3 * 41
    assert set(table["strand"]) == {"-"}
    assert sorted(p.name for p in (tmp_path / "plots").iterdir()) == sorted(f"{t}.png" for t in tiny_model.tasks)
    task = tiny_model.tasks[0]
    for name in ("x.bw", "x.bedgraph"):
        assert main([*common, "-o", str(tmp_path / name), "--task", task, "--no-deletions"]) == 0
    single = table[table["ref"].str.len() == 1]
    strongest = single.loc[single.groupby("pos")[f"{task}.delta"].apply(lambda d: d.abs().idxmax())]
    with pyBigWig.open(str(tmp_path / "x.bw")) as track:
        np.testing.assert_allclose(track.values("chr1", 2599, 2640), strongest[f"{task}.delta"], atol=1e-6)
    lines = [line.split("\t") for line in (tmp_path / "x.bedgraph").read_text().splitlines()]
    assert [int(start) for _, start, _, _ in lines] == list(range(2599, 2640))
    assert main([*common, "-o", str(tmp_path / "x.vcf")]) == 2
    assert "expected .tsv" in capsys.readouterr().err
