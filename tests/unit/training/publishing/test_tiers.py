"""Tiers from public files: what the recipes say, what is planned, and what is not done twice."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from tqdm import tqdm

from ripe_lib.errors import InputError, UnknownNameError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.network.load import load_model
from ripe_lib.network.weights import sha256_of
from tests.support.mirror import write_world
from tests.support.toy_datasets import TINY_SIZES, write_toy_dataset
from training.cli.main import main
from training.publishing.config import PublishConfig
from training.publishing.plan import Speed, Step, make_plan, plan_table
from training.publishing.tiers import TierOptions, make_tiers, record_of, training_order

CONFIGS = Path(__file__).resolve().parents[4] / "training" / "configs"


def config(folder, **changes):
    sizes = {k: list(v) if isinstance(v, tuple) else v for k, v in TINY_SIZES.items()}
    content = {
        "fetch": {"genome": "GRCh38", "gencode": "45", "cell_line": ["K562"]},
        "prepare": {
            "output": "data.h5",
            "window": {"sequence_length": 200, "margin": 10},
            "split": {"method": "random", "valid": 0.2, "test": 0.2},
            "peaks": {"bin": 100},
        },
        "fit": {"name": "DeepRiPe/t", "run": "t", "sizes": sizes, "epochs": 1},
        "publish": {
            "networks": {"a": {}, "b": {"seed": 5}},
            "default": "a",
            "paper": "b",
            "backgrounds": False,
            "bound_only": True,
            "outputs": {
                "DeepRiPe/many": {"peaks": [50, None]},
                "DeepRiPe/few": {"peaks": [0, 49]},
                "DeepRiPe/none": {"peaks": [500, None]},
            },
        },
        **changes,
    }
    path = folder / "tiers.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world") / "mirror", n_proteins=3, n_genes=24, sizes=(30, 70))


def options(folder, world, **changes):
    return TierOptions(config(folder, **changes), folder / "work", folder / "models", mirror=str(world.folder))


@pytest.mark.parametrize("cell_line", ["K562", "HepG2"])
def test_the_shipped_recipes(cell_line, tmp_path):
    name = f"eclip_{cell_line.lower()}"
    made = TierOptions(CONFIGS / "encode" / f"{name}.yaml", tmp_path, tmp_path)
    fetching = made.fetching()
    assert (fetching.genome, fetching.gencode, fetching.cell_line) == ("GRCh38", "45", (cell_line,))
    prepare = made.preparing()
    assert prepare.peaks.table == tmp_path / "sources" / f"eclip_{cell_line}_GRCh38.tsv"
    assert prepare.sources == tmp_path / "sources" / "sources.tsv"
    assert [c.inputs for c in made.networks({}).values()] == ["sequence+region+landmarks"]
    publishing = made.publishing()
    peaks = {f"T{n}": n for n in (999, 1000, 1999, 2000, 3999, 4000, 6999, 7000, 10000, 10001, 10**6)}
    found = {model: publishing.tasks(model, peaks) for model in publishing.models()}
    assert found == {
        f"DeepRiPe/{name}_high1": ["T10001", "T1000000"],
        f"DeepRiPe/{name}_high2": ["T7000", "T10000"],
        f"DeepRiPe/{name}_mid1": ["T4000", "T6999"],
        f"DeepRiPe/{name}_mid2": ["T2000", "T3999"],
        f"DeepRiPe/{name}_low": ["T1000", "T1999"],
    }


def test_networks_come_after_those_they_build_on(tmp_path, world):
    publish = {
        "networks": {"a": {}, "b": {"start": "a"}, "c": {}, "d": {"start": "b"}, "e": None},
        "default": "d",
        "outputs": {"DeepRiPe/m": ["RBP00_K562"]},
    }
    made = options(tmp_path, world, publish=publish)
    assert training_order(made, {"d", "c"}) == [["a", "c"], ["b"], ["d"]]
    assert training_order(made, {"c"}) == [["c"]]
    with pytest.raises(UnknownNameError, match="unknown network 'x'"):
        PublishConfig(networks={"a": {}}, outputs={}, default="x")


def test_a_network_can_learn_the_tasks_of_every_model_as_a_group(tmp_path, world):
    grouped = {"start": "a", "sampling": {"bound_only": True, "groups": "outputs"}}
    some = {"start": "b", "sampling": {"bound_only": True, "groups": ["DeepRiPe/n"]}}
    outputs = {"DeepRiPe/m": ["X", "Z"], "DeepRiPe/n": {"peaks": [10, None], "network": "c"}}
    outputs["DeepRiPe/none"] = {"peaks": [99, None]}
    publish = {"networks": {"a": {}, "b": grouped, "c": some}, "default": "b", "outputs": outputs}
    made = options(tmp_path, world, publish=publish)
    assert made.publishing().models() == {"DeepRiPe/m": "b", "DeepRiPe/n": "c", "DeepRiPe/none": "b"}
    configs = made.networks({"X": 5, "Y": 10, "Z": 3})
    assert (configs["c"].tasks, configs["c"].sampling.groups) == (("Y",), (("Y",),))
    assert configs["b"].sampling.groups == (("X", "Z"), ("Y",))
    assert (configs["b"].tasks, configs["b"].sampling.bound_only) == (("X", "Z", "Y"), True)
    assert (configs["a"].tasks, configs["a"].sampling.groups) == (None, ())
    assert made.networks({})["b"].sampling.groups == ()  # a plan before anything is known of the data
    some["sampling"]["groups"] = "DeepRiPe/n"
    assert options(tmp_path, world, publish=publish).networks({"X": 5, "Y": 10, "Z": 3})["c"].tasks == ("Y",)
    some["sampling"]["groups"] = [["X"], ["Y", "Z"]]  # tasks, as in the section "fit"
    found = options(tmp_path, world, publish=publish).networks({"X": 5, "Y": 10, "Z": 3})["c"]
    assert (found.tasks, found.sampling.groups) == (None, (("X",), ("Y", "Z")))
    wrong = {"networks": {"a": {"sampling": None}}, "default": "a", "outputs": {"DeepRiPe/m": ["X"]}}
    with pytest.raises(InputError, match="sampling"):
        options(tmp_path, world, publish=wrong).networks({"X": 5})
    some["sampling"]["groups"] = ["DeepRiPe/x"]
    with pytest.raises(UnknownNameError, match="unknown model of groups 'DeepRiPe/x'"):
        options(tmp_path, world, publish=publish).networks({"X": 5, "Y": 10, "Z": 3})
    with pytest.raises(UnknownNameError, match="unknown network 'd'"):
        PublishConfig(networks={"a": {}}, outputs={"DeepRiPe/m": {"network": "d"}}, default="a")


def test_the_plan_before_anything_is_there(tmp_path, world):
    made = options(tmp_path, world)
    steps = {step.name: step for step in make_plan(made)}
    fetch = steps["fetch"]
    sizes = [p for p in world.files.values() if "primary_assembly" in p.name or "annotation" in p.name]
    wanted = made.fetching().wanted()
    expected = sum(p.stat().st_size for p in sizes) + sum(f.n_bytes for f in wanted if f.n_bytes)
    assert (fetch.disk, fetch.done, fetch.what) == (expected, False, "5 files, 0 of them here")
    assert steps["prepare"].seconds > 0
    assert steps["fit a"].seconds > 0
    assert list(steps) == [
        "fetch",
        "prepare",
        "fit a",
        "fit b",
        *(f"publish DeepRiPe/{name}{suffix}" for suffix in ("", "_paper") for name in ("many", "few", "none")),
    ]
    assert not made.work.exists()


def test_the_plan_counts_tuned_networks_by_the_windows_they_see(tmp_path, world, monkeypatch):
    """Each task is in one tier, so their windows are all windows. Peaks are guessed from bytes (14, 19, 26)."""
    monkeypatch.setattr("training.publishing.plan._measured_speed", lambda *_: Speed(100.0, 200.0, 1000))
    publish = {
        "networks": {"a": {}, "all": {"start": "a", "sampling": {"bound_only": True, "groups": "outputs"}}},
        "default": "all",
        "tune": {"epochs": 4, "sampling": {"bound_only": True}},
        "bound_only": True,
        "backgrounds": False,
        "outputs": {
            f"DeepRiPe/{n}": {"peaks": p} for n, p in (("many", [17, None]), ("few", [0, 16]), ("none", [500, None]))
        },
    }
    steps = {step.name: step for step in make_plan(options(tmp_path, world, publish=publish))}
    n_windows = {
        n: float(re.search(r"epochs of ([\d,]+) w", s.what)[1].replace(",", ""))
        for n, s in steps.items()
        if "epochs" in s.what
    }
    every = n_windows.pop("fit a")
    assert n_windows.pop("fit all") == pytest.approx(every, abs=1)  # every window is a site of one of the models
    assert list(n_windows) == ["publish DeepRiPe/many", "publish DeepRiPe/few"]
    assert sum(n_windows.values()) == pytest.approx(every, abs=1)
    assert 0 < n_windows["publish DeepRiPe/few"] < n_windows["publish DeepRiPe/many"]
    for name, windows in n_windows.items():
        held_out = windows * (0.2 + 0.2) / 0.6
        expected = 4 * (windows / 100 + held_out / 2 / 200) + 1.5 * held_out / 200
        assert steps[name].seconds == pytest.approx(expected, rel=0.05)
    none = steps["publish DeepRiPe/none"]
    assert (none.what, none.seconds, none.done) == ("no task has so many peaks", 0, True)


def test_what_is_published_is_done_until_it_changes(tmp_path, world, monkeypatch):
    monkeypatch.setattr("training.publishing.plan._measured_speed", lambda *_: Speed(100.0, 200.0, 1000))
    publish = {"networks": {"a": {}}, "default": "a", "outputs": {"DeepRiPe/m": ["A"]}}
    made = options(tmp_path, world, publish=publish)
    run, weights = made.work / "a" / "weights.h5", made.models / "DeepRiPe" / "m" / "weights.h5"
    for path in (run, weights, made.record("DeepRiPe/m")):
        path.parent.mkdir(parents=True)
        path.write_bytes(path.name.encode())
    write_toy_dataset(made.data, np.random.default_rng(2), n=60, tasks=("A", "B"))
    record = record_of(made.publishing(), run.parent, Dataset(made.data), ["A"])
    made.record("DeepRiPe/m").write_text(json.dumps({**record, "weights": sha256_of(weights)}))

    def still_to_do():
        return {step.name for step in make_plan(made) if not step.done}

    assert still_to_do() == {"fetch"}
    weights.write_bytes(b"others")
    assert still_to_do() == {"fetch", "publish DeepRiPe/m"}
    run.unlink()
    assert still_to_do() == {"fetch", "fit a", "publish DeepRiPe/m"}


def test_the_plan_as_text():
    steps = [
        Step("prepare", "ready tables", float("nan"), 2e9, float("nan"), False),
        Step("fit a", "2 epochs", 3.2e6, 1e9, 7200.0, False),
        Step("fit b", "2 epochs", 3.2e6, 1e9, 0.0, True),
    ]
    assert plan_table(steps).splitlines() == [
        "step     what                                                  disk  memory   time",
        "prepare  ready tables                                             ?  2.0 GB      ?",
        "fit a    2 epochs                                            3.2 MB  1.0 GB  2.0 h",
        "fit b    2 epochs                                            3.2 MB  1.0 GB   done",
        "all      as far as it is known before the data set is there  6.4 MB  2.0 GB  2.0 h",
    ]


def test_one_bar_over_all_steps(tmp_path, world, monkeypatch, capsys):
    """A step moves it by its planned seconds, a part of them by a part; what was not planned does not move it."""
    bars = []

    def bar(**about):
        del about["quiet"]
        bars.append(tqdm(file=io.StringIO(), **about))
        return bars[-1]

    def steps_done(options, *, note, progress, scheduler):
        at = []
        for step, share in (
            ("fetch", 0.5),
            ("fetch", 1.0),
            ("prepare", 1.0),
            ("fit a", 0.25),
            ("fit a", 1.0),
            ("x", 1.0),
        ):
            progress(step, share)
            at.append(bars[0].n)
        assert at == [5, 10, 10, 20, 50, 50]
        return [tmp_path / "model"]

    plan = [
        Step("fetch", "", 0, 0, 10.0, False),
        Step("prepare", "", 0, 0, 0.0, True),
        Step("fit a", "", 0, 0, 40.0, False),
    ]
    monkeypatch.setattr("training.publishing.plan.make_plan", lambda _: plan)
    monkeypatch.setattr("training.publishing.tiers.make_tiers", steps_done)
    monkeypatch.setattr("ripe_lib.output.console.progress", bar)
    assert main(["tiers", str(config(tmp_path)), "--work", str(tmp_path / "w"), "--mirror", str(world.folder)]) == 0
    assert (bars[0].n, bars[0].total) == (50, 50)
    assert capsys.readouterr().out == f"{tmp_path / 'model'}\n"


@pytest.mark.slow
def test_side_by_side_and_nothing_twice(tmp_path, world, capsys):
    """Two networks, then four models, in two processes; the second time everything is there."""
    made = options(tmp_path, world)
    seen, lines = {}, []
    directories = make_tiers(
        made, scheduler="processes:2", note=lines.append, progress=lambda step, share: seen.update({step: share})
    )
    names = ["many", "few", "many_paper", "few_paper"]
    assert directories == [made.models / "DeepRiPe" / name for name in names]
    assert "DeepRiPe/none: no task has so many peaks, left out" in lines
    assert set(seen.values()) == {1.0}
    assert set(seen) == {"fetch", "prepare", "fit a", "fit b", *(f"publish DeepRiPe/{name}" for name in names)}
    tasks = {path.name: load_model(path).tasks for path in directories}
    assert tasks["many"] == tasks["many_paper"] == [t for t, n in world.peaks.items() if n >= 50 and t.endswith("K562")]
    assert not list(made.work.glob(".*.parts"))
    weights = {path: path.stat().st_mtime_ns for path in made.models.rglob("weights.h5")}
    lines.clear()
    assert make_tiers(made, note=lines.append) == directories
    assert sum("published already" in line for line in lines) == 4
    assert {path: path.stat().st_mtime_ns for path in made.models.rglob("weights.h5")} == weights
    directories[1].joinpath("weights.h5").write_bytes(b"another")
    lines.clear()
    make_tiers(made, note=lines.append)
    assert sum("published already" in line for line in lines) == 3
    load_model(directories[1])
    words = ["tiers", str(made.config), "--work", str(made.work), "--out", str(made.models), "--mirror", made.mirror]
    assert main([*words, "--plan"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.rpartition(" ")[2] for line in shown[1:-1]] == ["done"] * 10
    content = yaml.safe_load(made.config.read_text())
    made.config.write_text(yaml.safe_dump({**content, "fetch": {**content["fetch"], "rbp": ["RBP00"]}}))
    with pytest.raises(InputError, match=r"data\.h5: was prepared from other files than are in .*sources now"):
        make_tiers(made)


def test_wrong_words(tmp_path, world, capsys):
    made = options(tmp_path, world)
    words = ["tiers", str(made.config), "--work", str(made.work), "--mirror", made.mirror, "--quiet"]
    assert main([*words, "--only", "DeepRiPe/manny"]) == 2
    assert "unknown model 'DeepRiPe/manny'. Did you mean 'DeepRiPe/many'" in capsys.readouterr().err
    path = config(tmp_path, fetch={"genome": "GRCh38", "gencode": "45", "cell_lines": ["K562"]})
    assert main([*words]) == 2
    assert f"{path}:4: unknown key 'cell_lines'. Did you mean 'cell_line'?" in capsys.readouterr().err
    config(tmp_path, fetch={"genome": "GRCh38", "gencode": "19", "cell_line": ["K562"]})
    assert main([*words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list((tmp_path / "work").rglob("*.h5"))
