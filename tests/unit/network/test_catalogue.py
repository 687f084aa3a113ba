"""The catalogue: its own checks, the published facts, finding models, measurements."""

import csv
import shutil
from dataclasses import replace

import pytest

import ripe_lib
from ripe_lib.errors import InputError, MissingFileError, UnknownNameError, WeightsError
from ripe_lib.network.catalogue import MODEL_COLUMNS, entry_of, list_models, published_model, put_model, tasks_of
from ripe_lib.network.catalogue.entries import (
    CATALOGUE_DIRECTORY,
    TaskEntry,
    catalogue,
    read_catalogue,
    write_task_table,
)
from ripe_lib.network.catalogue.locate import bundled_models_directory, find_model_directory, user_models_directory
from ripe_lib.network.spec import ModelSpec
from ripe_lib.network.weights import read_weights, sha256_of, write_weights

SHIPPED = [
    "clip31",
    *(f"parclip_{tier}" for tier in ("high", "mid", "low")),
    *(f"eclip_{line}_{tier}" for line in ("k562", "hepg2") for tier in ("high1", "high2", "mid1", "mid2", "low")),
]


@pytest.fixture
def tables(tmp_path):
    """A copy of the catalogue's tables that a test may change."""
    for name in ("models.tsv", "tasks.tsv"):
        shutil.copy(CATALOGUE_DIRECTORY / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def models_folder(tmp_path, monkeypatch):
    folder = tmp_path / "own models"
    monkeypatch.setenv("RIPE_MODELS_DIR", str(folder))
    return folder


def install(folder, name, tasks=("A", "B"), arrays=None, **spec_options):
    directory = folder / name
    directory.mkdir(parents=True)
    write_weights(directory / "weights.h5", ModelSpec(name=name, tasks=tasks, **spec_options), arrays or {})
    digest = sha256_of(directory / "weights.h5")
    (directory / "model.yaml").write_text(f"args:\n  weights: weights.h5\n  sha256: {digest}\n")
    return directory


def rows_of(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


# --- the facts -----------------------------------------------------------------------------------------------------


def test_names_are_those_of_the_contract():
    names = list(catalogue().models)
    assert set(names) >= {f"DeepRiPe/{name}" for name in SHIPPED}
    tiers = ["high1", "high2", "mid1", "mid2", "low"]
    published = [f"parclip_{tier}" for tier in ("high", "mid", "low")]
    published += [f"eclip_{line}_{tier}" for line in ("k562", "hepg2") for tier in tiers]
    wanted = {f"DeepRiPe/published/{name}{suffix}" for name in published for suffix in ("", "_seq")}
    assert {name for name in names if "published" in name} == wanted
    assert len(wanted) == 26


def test_published_models_are_verbatim(shared_data):
    facts = rows_of(shared_data / "published" / "published_models.tsv")
    assert len(facts) == 26
    for fact in facts:
        entry, _ = published_model(fact["name"])
        region = {"": 0, "read from file": None}.get(fact["region_length"], fact["region_length"])
        assert (entry.repository, entry.commit, entry.path) == (fact["repository"], fact["commit"], fact["path"])
        assert entry.git_blob_sha1 == fact["git_blob_sha1"]
        assert (entry.tier, entry.inputs) == (fact["tier"], fact["inputs"])
        assert entry.sequence_length == int(fact["sequence_length"])
        assert entry.region_length == (None if region is None else int(region))
        assert entry.n_tasks == int(fact["n_tasks"])
        url = f"https://raw.githubusercontent.com/{fact['repository']}/{fact['commit']}/{fact['path']}"
        assert entry.download_url == url


def test_published_tasks_are_verbatim_and_in_output_order(shared_data):
    facts = rows_of(shared_data / "published" / "published_tasks.tsv")
    got = [
        (entry.short_name, str(task.task_index), task.task)
        for entry, tasks in ((e, catalogue().tasks[e.model]) for e in catalogue().models.values())
        if entry.origin == "published"
        for task in tasks
    ]
    assert sorted(got) == sorted((fact["name"], fact["task_index"], fact["task"]) for fact in facts)


def test_rbp_differs_from_the_published_name_only_where_it_is_no_hgnc_symbol():
    changed = {
        task.task: task.rbp
        for name, tasks in catalogue().tasks.items()
        if "published" in name
        for task in tasks
        if task.task != task.rbp
    }
    assert changed == {
        "FMR1iso1": "FMR1",
        "FMR1iso7": "FMR1",
        "P53_NONO": "NONO",
        "ORF1": "L1RE1",
        "PAPD5": "TENT4B",
        "G35": "",
        "G45": "",
    }


def test_shipped_tasks_are_the_experiments(shared_data):
    experiments = rows_of(shared_data / "clip31" / "experiments.tsv")
    known = {row["id"]: row for row in rows_of(shared_data / "rbp24" / "experiments.tsv") + experiments}
    assert [task.task for task in catalogue().tasks["DeepRiPe/clip31"]] == [row["id"] for row in experiments]
    for task in catalogue().tasks["DeepRiPe/clip31"]:
        row = known[task.task]
        assert (task.rbp, task.protocol) == (row["protein"], row["protocol"])
        assert task.cell_line == row.get("cell_line", "NA").replace("NA", "")
    compendium = [rows_of(shared_data / "compendium" / f"{name}.tsv") for name in ("parclip", "eclip")]
    peaks = {row["task"]: row for rows in compendium for row in rows}
    for name in SHIPPED:
        if name == "clip31":
            continue
        published = [task.task for task in catalogue().tasks[f"DeepRiPe/published/{name}"]]
        suffix = {"k562": "_K562", "hepg2": "_HepG2"}.get(name.split("_")[1], "")
        tasks = catalogue().tasks[f"DeepRiPe/{name}"]
        assert [task.task for task in tasks] == [p + suffix for p in published if p + suffix in {t.task for t in tasks}]
        for task in tasks:
            row = peaks[task.task]
            assert (task.rbp, task.protocol, task.cell_line) == (row["rbp"], row["protocol"], row["cell_line"])


@pytest.mark.parametrize("name", SHIPPED)
def test_bundled_weights_are_those_of_the_catalogue(name):
    entry = catalogue().models[f"DeepRiPe/{name}"]
    path = bundled_models_directory() / entry.model / "weights.h5"
    if not path.is_file():
        pytest.skip("not bundled yet")
    spec, arrays = read_weights(path)
    assert list(spec.tasks) == [task.task for task in catalogue().tasks[entry.model]]
    assert arrays["output"][0].shape[-1] == entry.n_tasks
    assert (spec.sequence_length, spec.region_length) == (entry.sequence_length, entry.region_length)
    assert spec.architecture == entry.architecture
    assert entry.sha256 == sha256_of(path)


# --- self-check ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("models.tsv", "published/parclip_mid\t", "published/parclip_high\t", "comes twice"),
        ("models.tsv", "\tmixed\tmixed\t31\t", "\tmixed\tmixed\t30\t", "expected 30 tasks, got 31"),
        ("models.tsv", "3e7f42c8ab5c", "3e7f42c8ab5", "git_blob_sha1 is not 40 hex digits"),
        ("models.tsv", "\tshipped\thigh", "\tours\thigh", "expected origin to be one of"),
        ("models.tsv", "\t31\t150\t", "\t31\tlong\t", r"models.tsv:5: column 'sequence_length': expected a number"),
        ("models.tsv", "n_tasks", "tasks", r"models.tsv:1: expected columns"),
        ("tasks.tsv", "clip31\t3\t", "clip31\t4\t", "expected task indices 0..n-1"),
        ("tasks.tsv", "clip31\t3\tAGO2_HITSCLIP_2", "clip31\t3\tAGO2_CLIPSEQ", "a task name comes twice"),
        ("tasks.tsv", "DeepRiPe/clip31\t30", "DeepRiPe/clip13\t30", "which is not listed"),
    ],
)
def test_contradictions_are_found(tables, table, old, new, message):
    path = tables / table
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_catalogue(tables)


def test_metric_outside_the_unit_interval_is_refused(tables):
    found = read_catalogue(tables)
    tasks = tuple(replace(task, auroc=1.2) for task in found.tasks["DeepRiPe/clip31"])
    with pytest.raises(InputError, match="expected auroc between 0 and 1"):
        put_model(found.models["DeepRiPe/clip31"], tasks, folder=tables)


# --- measurements --------------------------------------------------------------------------------------------------


def test_measurements_of_a_model_are_means_over_its_tasks():
    spec = ModelSpec("DeepRiPe/x", ("A", "B", "C"))
    values = ((0.91236, 0.7), (0.8, None), (0.85, 0.5))
    tasks = [TaskEntry(spec.name, i, "ABC"[i], "", "PAR-CLIP", "K562", 10, *found) for i, found in enumerate(values)]
    entry = entry_of(spec, tasks, origin="shipped", tier="low")
    assert (entry.model, entry.origin, entry.tier, entry.n_tasks) == ("DeepRiPe/x", "shipped", "low", 3)
    assert (entry.auroc, entry.ap, entry.ece) == (0.8541, 0.6, None)
    assert (entry.protocol, entry.cell_line) == ("PAR-CLIP", "K562")
    assert entry_of(spec, [tasks[0], replace(tasks[1], protocol="iCLIP")]).protocol == "mixed"


def test_writing_twice_gives_the_same_bytes(tables):
    found = read_catalogue(tables)
    name = "DeepRiPe/parclip_low"
    for _ in range(2):
        put_model(replace(found.models[name], sha256="a" * 64), found.tasks[name], folder=tables)
        bytes_now = [(tables / table).read_bytes() for table in ("models.tsv", "tasks.tsv")]
        assert read_catalogue(tables).models[name].sha256 == "a" * 64
        found = read_catalogue(tables)
    put_model(found.models[name], found.tasks[name], folder=tables)
    assert bytes_now == [(tables / table).read_bytes() for table in ("models.tsv", "tasks.tsv")]


def test_a_new_shipped_model_comes_before_the_published_ones(tables):
    before = read_catalogue(tables)
    entry = replace(before.models["DeepRiPe/clip31"], model="DeepRiPe/clip31_new")
    tasks = tuple(replace(task, model=entry.model) for task in before.tasks["DeepRiPe/clip31"])
    put_model(entry, tasks, folder=tables)
    names = list(read_catalogue(tables).models)
    position = names.index("DeepRiPe/clip31_new")
    assert all("published" in name for name in names[position + 1 :])
    assert names.count("DeepRiPe/clip31_new") == 1


# --- finding -------------------------------------------------------------------------------------------------------


def test_unknown_name_gets_neighbours(models_folder):
    with pytest.raises(UnknownNameError, match=r"unknown model 'clip13'. Did you mean 'clip31'"):
        find_model_directory("clip13")
    with pytest.raises(UnknownNameError, match="Did you mean 'DeepRiPe/clip31'"):
        find_model_directory("DeepRiPe/clip_31")


def test_known_but_not_installed_says_how_to_get_it(models_folder):
    with pytest.raises(UnknownNameError, match=r"ripe-train import-published eclip_k562_low_seq$"):
        find_model_directory("published/eclip_k562_low_seq")


def test_path_without_model_yaml(models_folder, tmp_path):
    with pytest.raises(MissingFileError, match=r"expected a model directory with a model.yaml, found none"):
        find_model_directory(tmp_path)


def test_own_models_are_found_by_name_and_listed(models_folder):
    own = install(models_folder, "lab/mine", tasks=("A", "B", "C"), inputs="sequence", sequence_length=100)
    assert find_model_directory("lab/mine") == own
    assert find_model_directory(own) == own.resolve()
    row = list_models().set_index("model").loc["lab/mine"]
    assert (row["status"], row["n_tasks"], row["sequence_length"], row["region_length"]) == ("installed", 3, 100, 0)
    assert tasks_of("lab/mine")["task"].tolist() == ["A", "B", "C"]
    with pytest.raises(UnknownNameError, match="Did you mean 'lab/mine'"):
        find_model_directory("lab/mime")


def test_own_task_table_is_used(models_folder):
    own = install(models_folder, "mine")
    entries = [TaskEntry("mine", i, t, "QKI", "PAR-CLIP", "HEK293", auroc=0.75) for i, t in enumerate("AB")]
    write_task_table(own / "tasks.tsv", entries)
    assert tasks_of("mine")["rbp"].tolist() == ["QKI", "QKI"]
    row = list_models().set_index("model").loc["mine"]
    assert (row["protocol"], row["cell_line"], row["auroc"]) == ("PAR-CLIP", "HEK293", 0.75)


def test_fetched_published_model_is_installed_and_tells_its_region_length(models_folder):
    name = "DeepRiPe/published/eclip_k562_high1"
    assert list_models().set_index("model").loc[name, "status"] == "available"
    tasks = [task.task for task in catalogue().tasks[name]]
    install(models_folder, name, tasks=tasks, sequence_length=200, region_length=300)
    row = list_models().set_index("model").loc[name]
    assert (row["status"], row["region_length"]) == ("installed", 300)


def test_damaged_own_model_is_named(models_folder):
    own = install(models_folder, "mine")
    (own / "weights.h5").write_bytes(b"not HDF5")
    with pytest.raises(WeightsError, match=r"weights.h5: expected a weights file, got something unreadable"):
        list_models()


def test_user_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("RIPE_MODELS_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert user_models_directory() == tmp_path / "deepripe" / "models"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_models_directory() == tmp_path / ".local" / "share" / "deepripe" / "models"


def test_list_models_columns(models_folder):
    table = ripe_lib.list_models()
    assert list(table.columns) == list(MODEL_COLUMNS)
    assert table["model"].is_unique
    assert set(table["status"]) <= {"bundled", "available", "missing"}


def test_tasks_of_a_loaded_model_with_other_outputs(tiny_model):
    table = tasks_of(tiny_model)
    assert table["task"].tolist() == tiny_model.tasks
    assert table["auroc"].isna().all()
