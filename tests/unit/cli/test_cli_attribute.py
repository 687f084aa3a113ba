"""``ripe attribute``: what it writes, and the one line it says when something is wrong."""

import shutil
import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from ripe_lib.attribution.compute import integrated_gradients
from ripe_lib.attribution.maps import CompletenessWarning
from ripe_lib.attribution.methods import ConstructSites, IntervalSites, Method, SiteCounts
from ripe_lib.attribution.store import FORMAT, AttributionFile, create_attributions
from ripe_lib.cli.main import main
from ripe_lib.errors import InputError, MissingFileError, UnknownNameError
from ripe_lib.genome.encoding import codes_from_one_hot, decode_region, decode_sequence
from ripe_lib.genome.windows import make_windows
from ripe_lib.network.predict import predict
from ripe_lib.reports.attribution import best_sites, chosen_sites, file_stem
from ripe_lib.reports.gallery import _BestSites
from tests.support.toy_models import random_model

TASKS = ("QKI_PARCLIP", "PUM2_PARCLIP", "ELAVL1_PARCLIP")
SMALL = {"filters": 6, "merged_filters": 6, "hidden": 8}

pytestmark = pytest.mark.filterwarnings("ignore::ripe_lib.genome.windows.StrandWarning")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a genome (one N-only stretch), sites on both strands and at both ends, and constructs."""
    folder = tmp_path_factory.mktemp("attribute")
    rng = np.random.default_rng(5)
    bases = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, 3000)]
    bases[2000:2400] = ord("N")
    (folder / "g.fa").write_text(">chr1\n" + bases.tobytes().decode() + "\n")
    rows = [(500 + 60 * i, 550 + 60 * i, f"s{i}", "+-"[i % 2]) for i in range(12)]
    rows += [(0, 50, "left", "+"), (2950, 3000, "right", "-"), (2150, 2200, "unknown", "+")]
    lines = [f"chr1\t{start}\t{end}\t{name}\t0\t{strand}\n" for start, end, name, strand in rows]
    (folder / "sites.bed").write_text("".join(lines))
    (folder / "n.bed").write_text(lines[-1])
    (folder / "c.fa").write_text(">wild type\nACGUACGUAC\n>mutant\nACGUACGAA\n")
    return folder


@pytest.fixture(scope="module")
def model_name(tmp_path_factory):
    """The directory of a small model."""
    from ripe_lib.network.weights import arrays_of, sha256_of, write_weights

    folder = tmp_path_factory.mktemp("model")
    model = random_model(TASKS, sizes=SMALL)
    write_weights(folder / "weights.h5", model.spec, arrays_of(model.keras_model))
    digest = sha256_of(folder / "weights.h5")
    (folder / "model.yaml").write_text(f"args:\n  weights: weights.h5\n  sha256: {digest}\n")
    return folder


def run(*words):
    return main(["attribute", *map(str, words), "--quiet"])


def failing(capsys, *words):
    assert run(*words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


# --- pictures -----------------------------------------------------------------------------------------------------


def test_panels_are_in_the_order_asked_for(place, model_name, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "ripe_lib.reports.attribution.site_figure", lambda maps, **_: drawn.append([one.label for one in maps])
    )
    monkeypatch.setattr("ripe_lib.reports.attribution.save_figure", lambda *_: [])
    for asked in (TASKS[::-1], (TASKS[1], TASKS[2], TASKS[0])):
        sites = (place / "sites.bed", "--fasta", place / "g.fa", "--steps", 2)
        words = (*sites, "--task", *asked, "-o", tmp_path / "m.h5", "--plots", tmp_path / "p")
        assert run(model_name, *words) == 0
        assert len(drawn) > 3
        assert {tuple(labels) for labels in drawn} == {asked}
        drawn.clear()


# --- files of maps -------------------------------------------------------------------------------------------------


def test_file_holds_the_maps_of_the_library(place, model_name, tmp_path):
    from ripe_lib.network.load import load_model

    out = tmp_path / "out.h5"
    words = [model_name, place / "sites.bed", "--fasta", place / "g.fa", "--task", *TASKS[:2], "--steps", 10]
    assert run(*words, "-o", out) == 0
    model = load_model(str(model_name))
    windows = make_windows(place / "sites.bed", fasta_file=place / "g.fa", spec=model.spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompletenessWarning)
        maps = integrated_gradients(model, windows, task=list(TASKS[:2]), n_steps=10)
    with AttributionFile(out) as file:
        assert len(file) == 15
        assert file.tasks == list(TASKS[:2])
        assert file.all_tasks == list(TASKS)
        assert file.method == "ig"
        assert file.options == {"baseline": "paper", "n_steps": 10, "output": "probability", "rule": "midpoint"}
        assert file.is_genomic
        found = file.maps(TASKS[1])
        np.testing.assert_allclose(found.seq, maps.seq[:, 1], atol=1e-6)
        np.testing.assert_allclose(found.region, maps.region[:, 1], atol=1e-6)
        np.testing.assert_allclose(found.gap, maps.gap[:, 1], atol=1e-6)
        np.testing.assert_allclose(file.scores(), predict(model, windows), atol=1e-6)
        back = file.windows([1, 4])
        np.testing.assert_array_equal(back.seq, windows.seq[[1, 4]])
        np.testing.assert_array_equal(back.region, windows.region[[1, 4]])
        pd.testing.assert_frame_equal(file.intervals(), windows.intervals.drop(columns="score"), check_dtype=False)
        best = best_sites(file, TASKS[2], 4)
        by_score = np.argsort(-predict(model, windows)[:, 2], kind="stable").tolist()
        assert best == [row for row in by_score if row != 14][:4]  # row 14 is N only
        assert len(chosen_sites(file, 3)) == len(set(chosen_sites(file, 3)))
        with pytest.raises(UnknownNameError, match="has no maps of it"):
            file.maps(TASKS[2])


def test_chunks_change_nothing(place, model_name):
    source = IntervalSites(place / "sites.bed", place / "g.fa")
    spec = random_model(TASKS, sizes=SMALL).spec
    whole = next(source.chunks(spec, 100))
    parts = list(source.chunks(spec, 4))
    assert [len(part) for part in parts] == [4, 4, 4, 3]
    np.testing.assert_array_equal(np.concatenate([part.seq for part in parts]), whole.seq)


@pytest.mark.parametrize("method", ["saliency", "gradxinput", "deeplift", "ism"])
def test_every_method_writes_its_maps(place, model_name, tmp_path, method):
    if method == "deeplift":
        pytest.importorskip("deeplift")
    out = tmp_path / "out.h5"
    words = [model_name, "--sequences", place / "c.fa", "--task", TASKS[0], "--method", method, "--explain", "logit"]
    assert run(*words, "-o", out) == 0
    with AttributionFile(out) as file:
        assert file.method == method
        assert file.options["output"] == "logit"
        assert not file.is_genomic
        assert (file.maps(TASKS[0]).region is not None) == (method != "ism")
        assert file.maps(TASKS[0]).seq.any()
        assert np.isfinite(file.gaps()).all() == (method == "deeplift")


def test_threshold_leaves_an_empty_valid_file(place, model_name, tmp_path, capsys):
    out = tmp_path / "out.h5"
    words = [model_name, place / "sites.bed", "--fasta", place / "g.fa", "--task", TASKS[0], "-o", out]
    extra = ["--min-score", "0.9999999", "--plots", tmp_path / "plots", "--report", tmp_path / "page"]
    assert main(["attribute", *map(str, [*words, *extra])]) == 0
    assert "no site has a score above 1; " in capsys.readouterr().err.replace("0.9999999", "1")
    with AttributionFile(out) as file:
        assert len(file) == 0
        assert file.maps(TASKS[0]).seq.shape == (0, 150, 4)
    assert list((tmp_path / "plots").iterdir()) == []
    assert "No site has a score above" in (tmp_path / "page" / "report.html").read_text()


def test_pictures_and_page(place, model_name, tmp_path, capsys):
    words = [model_name, place / "sites.bed", "--fasta", place / "g.fa", "--task", *TASKS[:2], "--steps", 5]
    shown = ["--plots", tmp_path / "plots", "--report", tmp_path / "page", "--plot-format", "png,svg", "--top", 1]
    assert main(["attribute", *map(str, [*words, "-o", tmp_path / "o.h5", *shown, "--motif", "ACUAAY"])]) == 0
    said = capsys.readouterr().err
    assert "15 sites x 2 tasks" in said
    assert "2 of 15 windows hold N (or reach over a contig's end); 1 are N only: unknown bases carry no letter" in said
    names = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert {Path(name).suffix for name in names} == {".png", ".svg"}
    assert names[0].startswith("001_chr1_")
    page = (tmp_path / "page" / "report.html").read_text()
    assert page.count("<img") == len(names) // 2
    assert "<td>chr1:2,151-2,200 (+)  unknown</td>" in page  # in the table, but never drawn


# --- constructs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pad", "offset"), [("both", 70), ("left", 140), ("right", 0)])
def test_constructs_are_filled_with_n(place, tmp_path, pad, offset):
    spec = random_model(TASKS, sizes=SMALL).spec
    (tmp_path / "c.fa").write_text(">a region=iiiiicc333\nACGUACGUAC\n>b\nACG\n")
    (windows,) = ConstructSites(tmp_path / "c.fa", pad).chunks(spec, 10)
    letters = decode_sequence(codes_from_one_hot(windows.seq[0]))
    assert letters == "N" * offset + "ACGTACGTAC" + "N" * (140 - offset)
    types = decode_region(codes_from_one_hot(windows.region[0]))
    assert types == "N" * (offset + 50) + "iiiiicc333" + "N" * (190 - offset)
    assert (windows.region[1] == 0.25).all()
    assert windows.intervals["name"].tolist() == ["a", "b"]


def test_too_long_construct(tmp_path, model_name, capsys):
    (tmp_path / "c.fa").write_text(">a\n" + "A" * 151 + "\n")
    line = failing(capsys, model_name, "--sequences", tmp_path / "c.fa", "--task", TASKS[0], "-o", tmp_path / "o.h5")
    assert "record 'a': expected at most 150 nt, got 151. Longer RNAs are searched with: ripe scan." in line
    assert list(tmp_path.iterdir()) == [tmp_path / "c.fa"]


# --- gallery -------------------------------------------------------------------------------------------------------


def test_best_sites_keep_the_best():
    best = _BestSites(3)
    scores = [0.5, 0.9, 0.9, 0.1, 0.7, 0.9, 0.95]
    for number, score in enumerate(scores):
        best.offer(score, number, lambda n=number: n)
    assert best.ranked() == [(0.95, 6), (0.9, 1), (0.9, 2)]


def test_gallery(place, model_name, tmp_path, capsys):
    words = [model_name, place / "sites.bed", "--fasta", place / "g.fa", "--steps", 5, "--top", 2]
    assert run(*words, "--gallery", tmp_path / "g", "--min-score", 0, "--task", *TASKS[:2]) == 0
    sites = pd.read_csv(tmp_path / "g" / "sites.tsv", sep="\t")
    assert sites["rank"].tolist() == [1, 2, 1, 2]
    model = random_model(TASKS, sizes=SMALL)
    scores = predict(model, make_windows(place / "sites.bed", fasta_file=place / "g.fa", spec=model.spec))[:14, :2]
    np.testing.assert_allclose(sites["score"], np.sort(scores, axis=0)[:-3:-1].T.ravel(), atol=1e-5)
    assert all((tmp_path / "g" / name).is_file() for name in sites["picture"])
    assert "unknown" not in sites["name"].tolist()
    types = pd.read_csv(tmp_path / "g" / "region_types.tsv", sep="\t")
    assert types["n_sites"].tolist() == [14, 14]
    page = (tmp_path / "g" / "index.html").read_text()
    assert page.count("<img") == 4  # the sites; without a GTF there are no region types to draw
    line = failing(capsys, *words, "--gallery", tmp_path / "g")
    assert "exists already and is not empty" in line


def test_gallery_without_sites(place, model_name, tmp_path):
    words = [model_name, place / "sites.bed", "--fasta", place / "g.fa", "--min-score", "0.9999999"]
    assert run(*words, "--gallery", tmp_path / "g") == 0
    assert len(pd.read_csv(tmp_path / "g" / "sites.tsv", sep="\t")) == 0
    assert pd.read_csv(tmp_path / "g" / "region_types.tsv", sep="\t")["n_sites"].tolist() == [0, 0, 0]
    assert (tmp_path / "g" / "index.html").read_text().count("No site has a score above") == 3


# --- wrong input ---------------------------------------------------------------------------------------------------


def test_wrong_calls_get_one_line(place, model_name, tmp_path, capsys):
    sites, fasta, out = place / "sites.bed", ["--fasta", place / "g.fa"], ["-o", tmp_path / "o.h5"]
    task = ["--task", TASKS[0]]
    cases = [
        ([model_name, sites, *fasta, "--task", "QKI", *out], "unknown task 'QKI'. Did you mean 'QKI_PARCLIP'?"),
        (
            [model_name, place / "n.bed", *fasta, *task, *out],
            "expected sites with known bases, got 1 site(s) of N only.",
        ),
        ([model_name, *task, *out], "expected either INTERVALS with --fasta, or --sequences FASTA."),
        ([model_name, sites, *task, *out], "expected --fasta F with INTERVALS, got none."),
        ([model_name, sites, *fasta, *task], "expected either -o OUT.h5 (with --task) or --gallery DIR."),
        ([model_name, sites, *fasta, *out], "expected --task T, got none."),
        ([model_name, sites, *fasta, *task, "-o", "o.tsv"], "expected an output name that ends in .h5"),
        ([model_name, sites, *fasta, *task, *out, "--plot-format", "gif"], "unknown picture format 'gif'"),
        ([model_name, sites, *fasta, *task, *out, "--motif", "AC?"], "motif 'AC?': expected IUPAC letters"),
        (
            [model_name, sites, *fasta, "--gallery", tmp_path / "g", "--report", "x"],
            "no --plots and no --report with it",
        ),
        ([model_name, place / "g.fa", *fasta, *task, *out], "g.fa:1: expected"),
    ]
    for words, message in cases:
        assert message in failing(capsys, *words)
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_cannot_be_written_are_refused_before_the_work(place, model_name, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    words = [model_name, place / "sites.bed", "--fasta", place / "g.fa", "--task", TASKS[0]]
    out = ["-o", tmp_path / "o.h5"]
    cases = [
        ([*out, "--plots", tmp_path / "file"], "file: expected a folder, got a file"),
        ([*out, "--report", tmp_path / "file" / "x"], "file/x: expected a folder, got a file"),
        (["-o", tmp_path / "none" / "o.h5"], "expected an existing folder"),
        (["--gallery", tmp_path / "file"], "exists already and is not empty. Choose another name, or replace it with"),
        ([*out, "--min-score", "7"], "--min-score: expected a probability from 0 to below 1, got 7."),
    ]
    for options, message in cases:
        assert message in failing(capsys, *words, *options)
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_one_line_and_leaves_nothing(place, model_name, tmp_path, monkeypatch, capfd):
    """HDF5 prints pages of tracebacks once a write has failed: it must not come to that."""
    usage = shutil.disk_usage(tmp_path)
    free = [20_000_000]

    def almost_full(path):
        free[0] -= 8_000_000
        return usage._replace(free=max(0, free[0]))

    monkeypatch.setattr(shutil, "disk_usage", almost_full)
    words = [model_name, place / "sites.bed", "--fasta", place / "g.fa", "--task", TASKS[0], "--method", "saliency"]
    monkeypatch.setattr("ripe_lib.attribution.store._SLACK_BYTES", 5_000_000)
    assert run(*words, "-o", tmp_path / "o.h5") == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert "o.h5: could not be written (No space left on device). Nothing was left behind." in line
    assert list(tmp_path.iterdir()) == []


def test_all_among_tasks_is_every_task(place, model_name, tmp_path):
    words = [model_name, "--sequences", place / "c.fa", "--method", "saliency"]
    assert run(*words, "--task", TASKS[2], "all", "-o", tmp_path / "o.h5") == 0
    with AttributionFile(tmp_path / "o.h5") as file:
        assert file.tasks == [TASKS[2], TASKS[0], TASKS[1]]


def test_a_gallery_says_which_tasks_have_no_site(place, model_name, tmp_path, capsys):
    words = [model_name, place / "sites.bed", "--fasta", place / "g.fa", "--min-score", "0.9999999"]
    assert main(["attribute", *map(str, [*words, "--gallery", tmp_path / "g", "--task", *TASKS[:2]])]) == 0
    assert "note: no site has a score above 1 for QKI_PARCLIP, PUM2_PARCLIP" in capsys.readouterr().err


def test_wrong_files(tmp_path):
    with pytest.raises(MissingFileError, match="no such file"):
        AttributionFile(tmp_path / "a.h5")
    (tmp_path / "a.h5").write_text("x")
    with pytest.raises(InputError, match="got something unreadable"):
        AttributionFile(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as handle:
        handle.attrs["format"] = "other"
    with pytest.raises(InputError, match=f"expected a file of format '{FORMAT}', got 'other'"):
        AttributionFile(tmp_path / "b.h5")


def test_nothing_is_left_of_an_unfinished_file(tmp_path, tiny_model):
    with pytest.raises(ZeroDivisionError), create_attributions(tmp_path / "a.h5", tiny_model, TASKS, method="ig"):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_small_things():
    assert file_stem("chr1:1,001-1,050 (-)  a/b") == "chr1_1001-1050_minus_a_b"
    with pytest.raises(UnknownNameError, match="unknown method 'igg'"):
        Method("igg")
    with pytest.raises(UnknownNameError, match="unknown padding 'middle'"):
        next(ConstructSites("x", "middle").chunks(random_model(TASKS, sizes=SMALL).spec, 1))
    assert SiteCounts(3).remark() == ""
