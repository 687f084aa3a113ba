"""Scores of allele-specific binding against slow versions, and the command."""

import numpy as np
import pandas as pd
import pytest

from ripe_lib.attribution.compute import integrated_gradients
from ripe_lib.attribution.maps import letter_scores
from ripe_lib.cli.main import main
from ripe_lib.errors import InputError
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import encode_sequence, one_hot
from ripe_lib.genome.fasta import Genome
from ripe_lib.network.predict import predict
from ripe_lib.variants import asb
from tests.support.toy_genome import ToyGenome, rc
from tests.support.variant_files import FASTA, GTF, VCF, write_model

PPM = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.05, 0.05, 0.05, 0.85], [0.25] * 4])


def one_record(line):
    from ripe_lib.genome.vcf import VcfRecords

    chrom, pos, name, ref, alt, *_ = line.split("\t")
    return VcfRecords([chrom], np.array([int(pos)]), [name], [ref], [alt], [line])


@pytest.fixture(scope="module")
def sequence():
    return "".join(np.random.default_rng(4).choice(list("ACGT"), 400))


@pytest.mark.parametrize("strand", ["+", "-"])
def test_scores_by_hand(tiny_model, sequence, strand):
    at = 200
    alt = "A" if sequence[at] != "A" else "G"
    task = tiny_model.tasks[0]
    scorer = asb.AsbScorer(
        tiny_model, ToyGenome(c=sequence), None, [task], {task: [PPM]}, asb.AsbOptions(strand=strand, n_steps=20)
    )
    row = scorer.score(one_record(f"c\t{at + 1}\t.\t{sequence[at]}\t{alt}\t.\t.\t.")).iloc[0]
    windows, letters = [], []
    for text in (sequence, sequence[:at] + alt + sequence[at + 1 :]):
        window = text[at - 74 : at + 76]
        window = rc(window) if strand == "-" else window
        letters.append(window)
        windows.append("N" * 60 + window[60:90] + "N" * 60)
    seq = one_hot(np.array([encode_sequence(w) for w in windows]))
    middle = 75 if strand == "-" else 74
    p = predict(tiny_model, {"seq": seq})[:, 0]
    assert row[f"{task}.model_score"] == pytest.approx(p[1] - p[0], abs=3e-6)
    maps = integrated_gradients(tiny_model, {"seq": seq}, task=task, n_steps=20)
    values = letter_scores(maps.seq, seq)
    best = [max(v[s : s + 6].sum() for s in range(middle - 5, middle + 1)) for v in values]
    assert row[f"{task}.ig_score"] == pytest.approx(best[1] - best[0], abs=1e-5)
    odds = np.log2((PPM + 1e-3) / (PPM + 1e-3).sum(axis=1, keepdims=True) / 0.25)
    motif = []
    for window in letters:
        scores = []
        for start in range(middle - 9, middle + 1):  # all 10-nt windows with the SNV
            for s in range(start, start + 10 - 4 + 1):
                scores.append(sum(odds[i, "ACGT".index(window[s + i])] for i in range(4)))
        motif.append(max(scores))
    assert row[f"{task}.motif_score"] == pytest.approx(motif[1] - motif[0])


def test_minor_minus_major(tiny_model, sequence):
    at, task = 150, tiny_model.tasks[0]
    options = asb.AsbOptions(strand="+", effect_key="ASB")
    scorer = asb.AsbScorer(tiny_model, ToyGenome(c=sequence), None, [task], options=options)
    alt = "A" if sequence[at] != "A" else "G"
    rows = {}
    for info in (".", "AF=0.2", "AF=0.9;ASB=0.7", "AF=x"):
        row = scorer.score(one_record(f"c\t{at + 1}\t.\t{sequence[at]}\t{alt}\t.\t.\t{info}")).iloc[0]
        rows[info] = (row["difference"], row[f"{task}.model_score"], row[f"{task}.ig_score"], row["effect"])
    assert rows["."][:3] == rows["AF=0.2"][:3] == rows["AF=x"][:3]
    assert rows["."][0] == "alt - ref"
    difference, model_score, ig_score, effect = rows["AF=0.9;ASB=0.7"]
    assert difference == "ref - alt"
    assert effect == 0.7
    np.testing.assert_allclose([model_score, ig_score], [-rows["."][1], -rows["."][2]], atol=1e-6)


def test_context_and_tasks_are_checked(tiny_model, sequence):
    with pytest.raises(InputError, match="even number"):
        asb.AsbScorer(
            tiny_model, ToyGenome(c=sequence), None, [tiny_model.tasks[0]], options=asb.AsbOptions(context=31)
        )
    with pytest.raises(LookupError, match="unknown task"):
        asb.AsbScorer(tiny_model, ToyGenome(c=sequence), None, ["X"])


def test_only_snvs_are_scored(tiny_model):
    genome = Genome(FASTA)
    annotation, options = Annotation.load(GTF).for_genome(genome), asb.AsbOptions(n_steps=5)
    scorer = asb.AsbScorer(tiny_model, genome, annotation, tiny_model.tasks[:1], options=options)
    from ripe_lib.genome.vcf import VcfFile

    with VcfFile(VCF) as vcf:
        table = pd.concat(scorer.tables(vcf, 40), ignore_index=True)
    assert {"ok", "not_snv", "ref_mismatch"} <= set(table["status"])
    ok = table["status"] == "ok"
    assert table.loc[ok].filter(regex="score").notna().all(axis=None)
    assert table.loc[~ok].filter(regex="score").isna().all(axis=None)


def test_command(tmp_path, tiny_model, capsys):
    folder = write_model(tiny_model, tmp_path / "toy")
    meme = tmp_path / "m.meme"
    rows = "\n".join(" ".join(map(str, row)) for row in PPM)
    meme.write_text(
        "MEME version 4\n\nALPHABET= ACGU\n\nMOTIF M1 QKI\n"
        f"letter-probability matrix: alength= 4 w= 4 nsites= 20\n{rows}\n"
    )
    common = ["asb", str(folder), str(VCF), "--fasta", str(FASTA), "--gtf", str(GTF), "--quiet"]
    tasks = ["--task", *tiny_model.tasks[:2], "--steps", "5"]
    out = tmp_path / "x.tsv"
    arguments = [
        *common,
        *tasks,
        "-o",
        str(out),
        "--motifs",
        str(meme),
        "--motif",
        "M1",
        "--report",
        str(tmp_path / "r"),
    ]
    assert main(arguments) == 0
    table = pd.read_csv(out, sep="\t")
    assert f"{tiny_model.tasks[1]}.motif_score" in table
    page = (tmp_path / "r" / "index.html").read_text()
    assert "Correlations of the scores" in page
    assert main([*common, *tasks, "-o", str(out), "--motifs", str(meme), "--motif", "M2"]) == 2
    assert "unknown motif" in capsys.readouterr().err
    found = asb.correlations(table, tiny_model.tasks[:1])
    assert list(found["y"]) == ["ig_score", "motif_score"]
    assert found["pearson"].between(-1, 1).all()
