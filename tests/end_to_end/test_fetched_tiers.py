"""From an accession to a published zoo: a made-up portal, its peaks fetched, ten models whose motifs were planted."""

import csv
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml

import ripe_lib
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.genome.encoding import encode_sequence
from ripe_lib.genome.landmarks import LANDMARKS
from ripe_lib.network.predict import predict_codes
from tests.support.kipoi_home import ROOT, as_json, registered_kipoi, stock
from tests.support.mirror import BIN, COPIES, NEAR, REGIONS, Server, write_world
from training.config import merged

pytestmark = [pytest.mark.slow, pytest.mark.kipoi]

# Peaks of the smallest experiment of every tier; the real borders are 1,000 to 10,001.
BORDERS = {"high1": [500, None], "high2": [330, 499], "mid1": [225, 329], "mid2": [150, 224], "low": [100, 149]}
SMALL = {
    "prepare": {"split": {"block": 10_000, "distance": 200, "valid": 0.15, "test": 0.15}, "peaks": {"min_bins": 50}},
    "fit": {
        "epochs": 8,
        "schedule": "constant",
        "batch_size": 64,
        "learning_rate": 0.003,
        "sizes": {"filters": 48, "left_filters2": 48, "right_filters": 16, "hidden": 64},
    },
    "publish": {
        "backgrounds": False,
        "tune": {"epochs": 2},
        "networks": {"towers": {"sizes": {"hidden_dropout": 0.1}}},
    },
}


def recipe(folder, cell_line):
    """The shipped recipe, made small."""
    name = f"eclip_{cell_line.lower()}"
    shipped = yaml.safe_load((ROOT / "training" / "configs" / "encode" / f"{name}.yaml").read_text())
    outputs = {f"DeepRiPe/{name}_{tier}": {"peaks": border} for tier, border in BORDERS.items()}
    assert list(outputs) == list(shipped["publish"]["outputs"])
    path = folder / f"{name}.yaml"
    content = merged(merged(shipped, SMALL), {"publish": {"outputs": outputs}})
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def tiers(*words):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "training.cli.main", "tiers", *map(str, words)]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Both recipes on a portal that first hands out a damaged file; the world, the folder, runs and what they asked."""
    folder = tmp_path_factory.mktemp("zoo")
    world = write_world(folder / "mirror", n_proteins=20, n_genes=300, sizes=(100, 620))
    runs = {}
    damaged = world.files["ENCFF002AAA"]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with Server(world.folder) as server:
        for name in ("plan", "damaged", "K562", "again", "HepG2"):
            cell_line = "HepG2" if name == "HepG2" else "K562"
            words = [recipe(folder, cell_line), "--work", folder / cell_line, "--out", folder / "models"]
            if name == "K562":
                damaged.write_bytes(whole)
            server.asked.clear()
            done = tiers(*words, "--mirror", server.url, *(["--plan"] if name == "plan" else []))
            runs[name] = (done, [path.rpartition("/")[2] for path in server.asked])
            assert (done.returncode == 0) != (name == "damaged"), done.stderr[-3000:]
            assert "retracing" not in done.stderr
    return world, folder, runs


def models(folder):
    paths = sorted((folder / "models" / "DeepRiPe").iterdir())
    return [ripe_lib.load_model(path) for path in paths]


def test_the_plan_names_every_step_and_does_nothing(zoo):
    _, _, runs = zoo
    done, asked = runs["plan"]
    lines = done.stdout.splitlines()
    steps = [
        "step",
        "fetch",
        "prepare",
        "fit towers",
        *[f"publish DeepRiPe/eclip_k562_{tier}" for tier in BORDERS],
        "all",
    ]
    assert [line.split("  ")[0] for line in lines] == steps
    assert "22 files, 0 of them here" in lines[1]
    assert "windows/s measured here" in lines[3]
    assert not [name for name in asked if name.endswith(".gz")]
    assert "22 files, 22 of them here" in runs["again"][0].stderr
    assert len(re.findall(r"^(?:fit towers|publish \S+) .* done$", runs["again"][0].stderr, re.MULTILINE)) == 6


def test_a_damaged_file_is_one_line_and_the_rest_is_kept(zoo):
    _, _, runs = zoo
    done, asked = runs["damaged"]
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("ripe-train")]
    assert len(errors) == 1
    assert "ENCFF002AAA.bed.gz: expected md5" in errors[0]
    assert "21 of 22 files are complete and kept" in errors[0]
    assert len([name for name in asked if name.endswith(".gz")]) == 22
    assert [name for name in runs["K562"][1] if name.endswith(".gz")] == ["ENCFF002AAA.bed.gz"]


def test_the_second_time_nothing_is_done_again(zoo):
    _, folder, runs = zoo
    done, asked = runs["again"]
    assert not [name for name in asked if name.endswith(".gz")]
    assert done.stderr.count("finished already") == 6  # the shared network, and each tier's own
    assert done.stderr.count("published already") == 5
    assert done.stderr.count("is also the name of a shipped model, which commands prefer: give ") == 5
    assert done.stdout.splitlines() == [str(folder / "models" / "DeepRiPe" / f"eclip_k562_{tier}") for tier in BORDERS]


def test_ten_models_with_the_tasks_of_their_tier(zoo):
    world, folder, _ = zoo
    found = {model.name: model.tasks for model in models(folder)}
    expected = {}
    for cell_line in ("K562", "HepG2"):
        for tier, (least, most) in BORDERS.items():
            tasks = [t for t, n in world.peaks.items() if t.endswith(cell_line) and least <= n <= (most or 10**9)]
            expected[f"DeepRiPe/eclip_{cell_line.lower()}_{tier}"] = sorted(tasks)
    assert found == expected
    assert min(len(tasks) for tasks in found.values()) >= 2


def places_of(dataset, rng):
    """Held-out windows by the region type of their middle, and in introns by nearness to the 3' end; bases shuffled."""
    rows = np.flatnonzero(dataset.split != 0)
    seq, region = dataset.centred_codes(rows)
    landmarks = dataset.landmarks(rows)
    kind = region[:, region.shape[1] // 2]
    to_exon = landmarks[:, LANDMARKS.index("intron_exon")]
    close = (kind == 0) & (to_exon > 0) & (to_exon < NEAR + BIN)
    seq = rng.permuted(seq, axis=1)
    places = {}
    for code, name in enumerate(REGIONS):
        for near in (False, True) if code == 0 else (False,):
            chosen = np.flatnonzero((kind == code) & (close == near))[:60]
            places[name, near] = (seq[chosen], region[chosen], landmarks[chosen])
    return places


def scores_with(model, column, words, place):
    """The task's scores of windows of a place with words (n, 8) where sites have theirs."""
    seq, region, landmarks = place
    seq = seq.copy()
    for start, word in zip(COPIES, words, strict=True):
        first = (model.spec.sequence_length - BIN) // 2 + start
        seq[:, first : first + 8] = word
    return predict_codes(model, seq, region, landmarks)[:, column]


def auroc(higher, lower):
    return float((higher[:, None] > lower[None, :]).mean() + 0.5 * (higher[:, None] == lower[None, :]).mean())


def test_motifs_and_preferences_are_the_planted_ones(zoo):
    """Every task's words in shuffled windows: against shuffled letters, other regions, other places in introns."""
    world, folder, _ = zoo
    rng = np.random.default_rng(5)
    motif, region, near = {}, {}, {}
    places = {cell.lower(): places_of(Dataset(folder / cell / "data.h5"), rng) for cell in ("K562", "HepG2")}
    for model in models(folder):
        for column, task in enumerate(model.tasks):
            protein, cell_line = task.split("_")
            here = places[cell_line.lower()]
            word = encode_sequence(world.words[protein])
            planted = [word] * len(COPIES)
            scores = {place: scores_with(model, column, planted, windows) for place, windows in here.items()}
            own = (world.region[protein], protein in world.near_splice)
            mixed = [rng.permuted(np.tile(word, (len(here[own][0]), 1)), axis=1) for _ in COPIES]
            motif[task] = auroc(scores[own], scores_with(model, column, mixed, here[own]))
            others = [values for place, values in scores.items() if place[0] != own[0]]
            region[task] = auroc(scores[own], np.concatenate(others))
            if own[1]:
                near[task] = auroc(scores[own], scores["intron", False])
    assert len(motif) == 40
    assert np.mean(list(motif.values())) > 0.95, motif
    assert sum(value > 0.9 for value in motif.values()) >= 36, motif
    assert np.mean(list(region.values())) > 0.8, region
    assert np.mean(list(near.values())) > 0.75, near


def test_where_files_came_from_is_in_the_data_set_and_the_cards(zoo):
    world, folder, _ = zoo
    sources = Dataset(folder / "K562" / "data.h5").manifest["sources"]
    assert [row["accession"] for row in sources][:2] == ["GRCh38", "gencode.v45"]
    assert sorted(row["task"] for row in sources if row["task"]) == sorted(t for t in world.peaks if t.endswith("K562"))
    card = (folder / "models" / "DeepRiPe" / "eclip_k562_high1" / "model_card.md").read_text()
    for row in sources:
        kept = not row["task"] or world.peaks[row["task"]] >= 500
        assert (f"| {row['accession']} |" in card) == kept
        assert not kept or f"`{row['md5']}` | {row['address']} |" in card


def test_kipoi_takes_the_models(zoo, monkeypatch):
    _, folder, _ = zoo
    monkeypatch.setenv("RIPE_MODELS_DIR", str(folder / "models"))
    registered_kipoi()
    directory = folder / "models" / "DeepRiPe" / "eclip_hepg2_mid1"
    done = stock("test", directory, "--source=dir")
    assert "Successfully ran test_predict" in done.stdout + done.stderr
    sources = folder / "K562" / "sources"
    table = (sources / "eclip_K562_GRCh38.tsv").read_text().splitlines()
    bed = folder / "sites.bed"
    bed.write_text("".join(f"chr1\t{start}\t{start + 50}\t.\t0\t+\n" for start in range(3000, 4000, 100)))
    assert len(table) == 21
    arguments = {
        "intervals_file": bed,
        "fasta_file": sources / "GRCh38.fa.gz",
        "gtf_file": sources / "gencode.v45.gtf.gz",
    }
    out = folder / "out.tsv"
    words = ["--dataloader_args", as_json({k: str(v) for k, v in arguments.items()}), "-o", out]
    stock("predict", "DeepRiPe/eclip_k562_high1", "--source", "deepripe-user", *words)
    with out.open() as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert len(rows) == 10
    model = ripe_lib.load_model(folder / "models" / "DeepRiPe" / "eclip_k562_high1")
    expected = ripe_lib.predict(
        model,
        ripe_lib.make_windows(
            str(bed), spec=model.spec, fasta_file=str(arguments["fasta_file"]), gtf_file=str(arguments["gtf_file"])
        ),
    )
    found = np.array([[float(row[f"preds/{index}"]) for index in range(len(model.tasks))] for row in rows])
    np.testing.assert_allclose(found, expected, atol=1e-6)
