"""``ripe motifs``: the folder it writes, what it says when there is nothing, and one line for what is wrong."""

import numpy as np
import pandas as pd
import pytest

from ripe_lib.cli.main import main
from ripe_lib.genome.encoding import decode_sequence, encode_sequence
from ripe_lib.motifs.meme import MotifMatrix, read_meme, write_meme
from ripe_lib.reports.motifs import MOTIF_COLUMNS
from tests.support.toy_models import detector_model

WORD = "UGUAAAC"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A genome of 24 sites of 150 nt, 20 of them with the word; a file of 30 known motifs."""
    folder = tmp_path_factory.mktemp("motifs")
    generator = np.random.default_rng(2)
    codes = generator.integers(0, 4, (24, 150)).astype(np.uint8)
    for row, start in enumerate(generator.integers(40, 100, 20)):
        codes[row, start : start + 7] = encode_sequence(WORD)
    (folder / "g.fa").write_text(f">c\n{decode_sequence(codes.ravel())}\n")
    (folder / "s.bed").write_text("".join(f"c\t{150 * i + 50}\t{150 * i + 100}\ts{i}\t0\t+\n" for i in range(24)))
    known = [MotifMatrix(f"r{i}", f"P{i}", generator.dirichlet([0.2] * 4, 7)) for i in range(29)]
    known.append(MotifMatrix("planted", "PUM2", np.eye(4)[encode_sequence(WORD)] * 0.96 + 0.01))
    write_meme(folder / "known.meme", known)
    return folder


@pytest.fixture
def ripe(place, monkeypatch):
    """Run ``ripe motifs`` on the toy model; returns the exit code."""
    model = detector_model(WORD, tasks=("PUM2_TOY", "OTHER_TOY"))
    monkeypatch.setattr("ripe_lib.network.load.load_model", lambda name: model)
    monkeypatch.setattr("ripe_lib.cli.common.model_spec", lambda name: model.spec)
    sites = [str(place / "s.bed"), "--fasta", str(place / "g.fa"), "--database", str(place / "known.meme")]

    def run(*options, sites=sites):
        return main(["motifs", "toy", *sites, "--steps", "10", *options])

    return run


def test_the_folder_holds_motifs_matches_pictures_and_a_page(ripe, tmp_path, capsys):
    assert ripe("--task", "PUM2_TOY", "OTHER_TOY", "-o", str(tmp_path / "out"), "--filters", "--quiet") == 0
    out = tmp_path / "out"
    table = pd.read_csv(out / "motifs.tsv", sep="\t")
    assert tuple(table.columns) == MOTIF_COLUMNS
    row = table.iloc[0]
    assert (row["motif"], row["rbp"], row["best_match"], row["own_rank"]) == ("PUM2_TOY.1", "PUM2", "planted", 1)
    assert (row["n_used"], row["n_true"]) == (20, 24)
    assert row["best_q"] < 0.01
    assert WORD in row["consensus"]
    (motif,) = read_meme(out / "motifs.meme")
    assert (motif.identifier, motif.consensus) == ("PUM2_TOY.1", row["consensus"])
    assert len(pd.read_csv(out / "matches.tsv", sep="\t")) == 10
    assert pd.read_csv(out / "kmers.tsv", sep="\t")["n_places"].sum() >= 18
    enriched = pd.read_csv(out / "enriched_kmers.tsv", sep="\t")
    assert tuple(enriched.columns[:4]) == ("task", "kmer", "top_sites", "bottom_sites")
    first = enriched[enriched["task"] == "PUM2_TOY"].iloc[0]
    assert first["kmer"] in WORD
    assert (first["top_sites"], first["bottom_sites"]) == (2, 0)
    for name in ("logos/PUM2_TOY.1.png", "logos/PUM2_TOY.1.svg", "overview.png", "filters.png", "filters.meme"):
        assert (out / name).stat().st_size > 0
    page = (out / "motifs.html").read_text()
    assert "http" not in page.split("</style>")[1].split("<script>")[0].replace("http://www.w3.org", "")
    assert "OTHER_TOY" in page
    assert "PUM2_TOY.1\t" in capsys.readouterr().out


def test_a_protein_without_known_motif(ripe, place, tmp_path):
    write_meme(tmp_path / "others.meme", read_meme(place / "known.meme")[:-1])
    sites = [str(place / "s.bed"), "--fasta", str(place / "g.fa"), "--database", str(tmp_path / "others.meme")]
    assert ripe("--task", "PUM2_TOY", "-o", str(tmp_path / "out"), "--quiet", sites=sites) == 0
    row = pd.read_csv(tmp_path / "out" / "motifs.tsv", sep="\t").iloc[0]
    assert row[["own_match", "own_rank"]].isna().all()
    assert "No known motif of PUM2." in (tmp_path / "out" / "motifs.html").read_text()


def test_no_site_above_the_bound_writes_empty_valid_files(ripe, tmp_path, capsys):
    assert ripe("--task", "OTHER_TOY", "-o", str(tmp_path / "out")) == 0
    assert "none of 24 sites has a prediction above 0.5" in capsys.readouterr().err
    assert read_meme(tmp_path / "out" / "motifs.meme") == []
    table = pd.read_csv(tmp_path / "out" / "motifs.tsv", sep="\t")
    assert (len(table), tuple(table.columns)) == (0, MOTIF_COLUMNS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "PUM3_TOY"], "unknown task 'PUM3_TOY'. Did you mean 'PUM2_TOY'"),
        (["--task", "PUM2_TOY", "--min-score", "2"], "--min-score: expected a probability"),
        (["--task", "PUM2_TOY", "--database", "none"], "--database none: expected no other --database"),
        (["--task", "PUM2_TOY", "--plot-format", "gif"], "unknown picture format 'gif'"),
        (["--task", "PUM2_TOY", "--split", "tst"], "unknown split 'tst'. Did you mean 'test'"),
        (["--task", "PUM2_TOY", "--length", "2"], "motif length: expected 3 to 30 nt, got 2"),
    ],
)
def test_wrong_options_are_one_line_and_write_nothing(ripe, tmp_path, capsys, options, message):
    assert ripe(*options, "-o", str(tmp_path / "out")) == 2
    lines = capsys.readouterr().err.splitlines()
    assert message in lines[-1]
    assert lines[-1].startswith("ripe motifs: error: ")
    assert not (tmp_path / "out").exists()


def test_wrong_files_are_one_line(ripe, place, tmp_path, capsys):
    out = ["--task", "PUM2_TOY", "-o", str(tmp_path / "out")]
    assert ripe(*out, sites=[str(place / "none.bed")]) == 2
    assert ripe(*out, sites=[str(place / "s.bed"), "--database", "none"]) == 2
    (tmp_path / "dna.meme").write_text("MEME version 4\n\nALPHABET= ACGT\n")
    assert ripe(*out, "--database", str(tmp_path / "dna.meme")) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ripe motifs: error: ")]
    assert "none.bed: no such file" in errors[0]
    assert "expected --fasta F with INTERVALS" in errors[1]
    assert "dna.meme:3: expected motifs of RNA" in errors[2]
    assert "--dna-as-rna" in errors[2]


def test_a_folder_below_a_file_is_one_line_about_what_was_asked_for(ripe, place, capsys):
    assert ripe("--task", "PUM2_TOY", "-o", str(place / "s.bed" / "out")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ripe motifs: error: {place}/s.bed/out: expected a folder {place}/s.bed, got a file.")


def test_a_folder_that_is_there_is_not_replaced_unasked(ripe, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    assert ripe("--task", "OTHER_TOY", "-o", str(tmp_path / "out")) == 2
    assert "exists already and is not empty" in capsys.readouterr().err
    assert (tmp_path / "out" / "mine.txt").read_text() == "kept"
