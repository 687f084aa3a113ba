"""The study: configs, pairing, borders of sites, and a whole small study that resumes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.special import expit
from scipy.stats import wilcoxon
from sklearn.metrics import roc_auc_score

from ripe_lib.errors import InputError, UnknownNameError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.evaluate import Evaluation, Options, evaluation_of, proteins_of
from ripe_lib.evaluation.metrics import auroc
from ripe_lib.evaluation.specificity import cross_experiment, own_rank, quality, sites_by_output
from ripe_lib.genome.landmarks import LANDMARKS
from ripe_lib.genome.windows import window_start
from tests.support.planted_datasets import PLANTED, write_planted_dataset
from training.cli.main import main
from training.config import build, merged
from training.study import borders, compare
from training.study.arms import arms_of
from training.study.config import BorderOptions, StudyConfig, read_config
from training.study.slices import write_slice

TINY = {
    "filters": 8,
    "kernel": 8,
    "left_pool": [10, 10],
    "right_pool": [40, 40],
    "merged_filters": 8,
    "merged_kernel": 3,
    "merged_pool": [4, 4],
    "hidden": 8,
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return Dataset(write_planted_dataset(tmp_path_factory.mktemp("data") / "planted.h5", n_per_task=40))


def write_config(path, **study):
    path.write_text(yaml.safe_dump({"study": study}))
    return path


# --- pairing ------------------------------------------------------------------------------------------------------


def _arms(dataset, generator):
    rows = dataset.indices("test")
    tasks = dict.fromkeys(PLANTED)
    tasks = {task: task for task in tasks}
    labels = dataset.labels[rows]
    bad = generator.random(labels.shape)
    good = 0.6 * bad + 0.4 * (labels == 1)
    options = Options(n_bootstrap=100)
    return [evaluation_of(dataset, rows, tasks, scores, options) for scores in (good, bad)]


def test_differences_are_those_of_the_metrics_and_the_sign_says_who_is_better(planted, rng):
    good, bad = _arms(planted, rng)
    table = compare.paired_differences(good, bad, "own")
    for column, row in table.iterrows():
        label = good.labels[:, column]
        assert row["auroc_difference"] == pytest.approx(
            auroc(label, good.scores[:, column]) - auroc(label, bad.scores[:, column])
        )
        assert row["auroc_difference_low"] < row["auroc_difference"] < row["auroc_difference_high"]
        assert row["ap_difference"] > 0
    without = compare.paired_differences(replace(good, options=Options(n_bootstrap=0)), bad, "own")
    assert without["auroc_difference_low"].isna().all()
    turned = compare.paired_differences(bad, good, "own")
    np.testing.assert_allclose(turned["ap_difference"], -table["ap_difference"])
    same = compare.paired_differences(good, good, "other")
    assert (same[["auroc_difference", "auroc_difference_low", "auroc_difference_high"]] == 0).all(axis=None)


def test_tasks_are_matched_by_name(planted, rng):
    good, bad = _arms(planted, rng)
    order = [2, 0, 1]
    shuffled = replace(bad, tasks=[bad.tasks[i] for i in order], scores=bad.scores[:, order])
    pd.testing.assert_frame_equal(
        compare.paired_differences(good, shuffled, "own"), compare.paired_differences(good, bad, "own")
    )


def test_wilcoxon_equals_scipy_and_survives_hopeless_cases(rng):
    values = rng.normal(0.01, 0.02, 31)
    table = pd.DataFrame({"auroc_difference": values, "auroc_first": 0.9, "auroc_second": 0.9 - values, "reason": ""})
    test = compare.paired_test(table, "auroc")
    assert test["wilcoxon_p"] == pytest.approx(wilcoxon(values).pvalue)
    assert test["n_better"] == (values > 0).sum()
    assert test["mean_difference"] == pytest.approx(values.mean())
    assert np.isnan(compare.paired_test(table.assign(auroc_difference=0.0), "auroc")["wilcoxon_p"])
    assert np.isnan(compare.paired_test(table[:1], "auroc")["wilcoxon_p"])
    undefined = table.assign(reason="no positive", auroc_difference=np.nan)
    assert compare.paired_test(undefined, "auroc")["n_tasks"] == 0
    with_zeros = compare.paired_test(table.assign(auroc_difference=np.r_[0.0, 0.0, values[2:]]), "auroc")
    assert 0 < with_zeros["wilcoxon_p"] <= 1


# --- borders ------------------------------------------------------------------------------------------------------


def test_site_ends_follow_the_window_rule_on_both_strands():
    start = np.array([1000, 1000, 1001, 1001, 1000])
    end = np.array([1030, 1030, 1030, 1030, 1075])
    strand = np.array(["+", "-", "+", "-", "-"])
    first, last = borders.site_ends(start, end, strand, 150)
    for s, e, letter, f, g in zip(start, end, strand, first, last, strict=True):
        window = int(window_start(s, e, 150))
        positions = list(range(window, window + 150))  # genomic position of every window index
        if letter == "-":
            positions.reverse()
        inside = [i for i, p in enumerate(positions) if s <= p < e]
        assert (f, g) == (inside[0], inside[-1])


def test_edges_and_controls_are_as_many_and_do_not_touch():
    first, last = np.array([50, 60]), np.array([89, 79])
    edges = borders.edge_mask(first, last, 150, 3)
    np.testing.assert_array_equal(np.flatnonzero(edges[0]), [47, 48, 49, 50, 51, 52, 87, 88, 89, 90, 91, 92])
    control = borders.edge_mask(first - 8, last + 8, 150, 3)
    assert not (edges & control).any()
    assert (edges.sum(axis=1) == control.sum(axis=1)).all()


class _Toy:
    """Stands for a network: what it scores is given by ``rule(windows, seq) -> logits (n, T)``."""

    def __init__(self, tasks):
        self.tasks = list(tasks)
        self.spec = self

    def task_index(self, task):
        return self.tasks.index(task)


def _bordered(planted, rng):
    rows = np.flatnonzero(planted.split >= 0)
    seq, region = planted.centred_codes(rows)
    first, last = np.full(len(rows), 60), 60 + rng.integers(20, 40, len(rows))
    positive = planted.labels[rows, 0] == 1
    seq[np.arange(len(rows)), last] = np.where(positive, borders.G, 0)  # the enzyme's trace
    return borders.SiteWindows(rows, seq, region, first, last)


def test_a_model_that_reads_the_border_is_found_out(planted, rng, monkeypatch):
    windows = _bordered(planted, rng)
    rules = {
        "border": lambda w, seq: 3.0 * (seq[np.arange(len(seq)), w.last] == borders.G),
        "motif": lambda w, seq: 3.0 * (seq[:, 75] == 1) + (seq[:, 76] == 3),
    }
    tables = {}
    for name, rule in rules.items():
        monkeypatch.setattr(borders, "_scores", lambda m, w, seq, rule=rule: expit(rule(w, seq))[:, None])
        config = StudyConfig(planted.path.parent, borders=BorderOptions(n_repeats=3))
        tables[name] = borders.lean_on_borders(config, planted, windows, [_Toy(["QKI_PARCLIP"])]).iloc[0]
    assert tables["border"]["auroc_intact"] == 1
    assert tables["border"]["auroc_lean"] > 0.3
    assert tables["border"]["g_effect"] == pytest.approx(3)
    assert tables["border"]["g_effect_control"] == pytest.approx(0, abs=1e-9)
    assert tables["border"]["edge_shift"] < -1
    assert tables["border"]["auroc_g_lean"] == pytest.approx(0.5)
    assert tables["motif"]["auroc_g_lean"] == 0
    assert tables["motif"]["auroc_lean"] == 0
    assert tables["motif"]["g_effect"] == pytest.approx(0, abs=1e-9)
    assert tables["motif"]["edge_shift"] == pytest.approx(0)


def test_data_without_known_borders_are_refused(planted):
    with pytest.raises(InputError, match="expected sites of different lengths with known bases"):
        borders.windows_with_borders(StudyConfig(planted.path.parent), planted)


# --- specificity --------------------------------------------------------------------------------------------------


def _scored(labels, scores, tasks):
    n = len(labels)
    rbps = [proteins_of(task) for task in tasks]
    positive = labels == 1
    kin = np.array([[bool(a & b) for a in rbps] for b in rbps])
    elsewhere = np.stack([positive.any(axis=1) & ~positive[:, row].any(axis=1) for row in kin], axis=1)
    return Evaluation("m", "d", "test", "data", tasks, tasks, labels, scores, elsewhere, None, None, np.arange(n))


def test_outputs_are_compared_with_other_experiments_of_their_protein_and_with_other_proteins(rng):
    tasks = ["QKI_ONE", "QKI_TWO", "PUM2_ONE", "FUS_ONE"]
    site = rng.integers(0, 4, 400)
    labels = (site[:, None] == np.arange(4)).astype(np.int8)
    labels[site == 0, 1] = labels[site == 1, 0] = -1
    qki, pum2 = (site < 2).astype(float), (site == 2).astype(float)
    noise = rng.random((400, 4))
    # FUS' own output is noise, and PUM2's output falls for FUS sites: the best of the others there.
    scores = np.stack([qki, rng.random(400), pum2 + 0.5 * (site == 3), rng.random(400)], axis=1) + 0.01 * noise
    scored = _scored(labels, scores, tasks)
    cross = cross_experiment(scored).set_index(["output", "sites"])
    assert set(cross.index) == {("QKI_ONE", "QKI_TWO"), ("QKI_TWO", "QKI_ONE")}
    row = cross.loc[("QKI_ONE", "QKI_TWO")]
    assert row["auroc"] == 1
    label = labels[:, 1]
    assert row["auroc_own"] == pytest.approx(roc_auc_score(label[label >= 0], scores[label >= 0, 1]))
    # QKI_TWO is noise on QKI_ONE's sites; QKI_ONE knows QKI_TWO's, and the others have no second experiment.
    assert list(quality(scored)) == ["QKI_TWO"]
    noise_auroc = cross.loc[("QKI_TWO", "QKI_ONE"), "auroc"]
    assert f"(AUROC {noise_auroc:.2f}-{noise_auroc:.2f})" in quality(scored)["QKI_TWO"]
    matrix = sites_by_output(scored)
    ranks = own_rank(matrix).set_index("sites")
    assert ranks.loc["QKI_TWO", ["own_output", "rank"]].tolist() == ["QKI_ONE", 1]
    assert ranks.loc["PUM2_ONE", "rank"] == 1
    assert ranks.loc["FUS_ONE", "best_other"] == "PUM2_ONE"
    assert ranks.loc["FUS_ONE", "rank"] == 1 + (matrix.loc["FUS_ONE"][:3] > matrix.loc["FUS_ONE", "FUS_ONE"]).sum() > 1


# --- config -------------------------------------------------------------------------------------------------------


def test_shipped_configs_are_valid_and_quick_ones_too(monkeypatch, tmp_path):
    from pathlib import Path

    import training

    monkeypatch.setenv("RIPE_DATA", str(tmp_path))
    for path in sorted((Path(training.__file__).parent / "configs" / "study").glob("*.yaml")):
        if path.stem == "warm_start":
            continue  # of training.study.warm_start, with a test of its own
        config = read_config(path)
        quick = config.quickened()
        assert quick.directory.name.endswith("_quick")
        assert quick.n_bootstrap < config.n_bootstrap
        assert quick.fit_config("x", tmp_path, **quick.single_options).sizes["hidden"] < 100, path
        for group, tasks in quick.protocols.groups.items():
            assert set(tasks) <= set(config.quick.tasks), group


def test_options_are_merged_key_by_key():
    assert merged({"a": 1, "loss": {"x": 1, "y": 2}}, {"loss": {"y": 3}}) == {"a": 1, "loss": {"x": 1, "y": 3}}


def test_arms_follow_the_comparisons(planted, tmp_path):
    def names(**options):
        return list(arms_of(build(StudyConfig, {"directory": str(tmp_path), **options}), planted))

    assert names(comparisons=[]) == ["multitask", "kmers"]
    assert names(comparisons=[], baseline=False) == ["multitask"]
    assert names(comparisons=["modalities"]) == ["multitask", "kmers", "sequence_only", "region_withheld"]
    assert names(comparisons=["modalities"], fit={"inputs": "sequence"}) == ["multitask", "kmers"]
    three = {"architecture": "towers", "inputs": "sequence+region+landmarks"}
    found = names(comparisons=["modalities"], fit=three, baseline=False)
    assert found[:5] == ["multitask", "sequence_only", "region_withheld", "no_landmarks", "landmarks_withheld"]
    assert found[5:] == [f"{name}_withheld" for name in LANDMARKS]
    config = build(StudyConfig, {"directory": str(tmp_path), "comparisons": ["architectures"], "fit": three})
    changes = {name: next(iter(arm.runs.values())) for name, arm in arms_of(config, planted).items() if arm.runs}
    assert changes["gru"]["inputs"] == "sequence+region"
    assert changes["towers"]["inputs"] == "sequence+region+landmarks"
    assert names(comparisons=["architectures", "strategies"]) == [
        "multitask",
        "kmers",
        "gru",
        "towers",
        "single_oversampled",
        "single_unbound",
        "single_subsampled",
    ]
    arms = arms_of(StudyConfig(tmp_path, comparisons=("strategies",), single_tasks=("QKI_PARCLIP",)), planted)
    assert list(arms["single_unbound"].runs) == ["single_unbound/QKI_PARCLIP"]
    config = StudyConfig(tmp_path, comparisons=("strategies",), strategy_fit={"unbound": {"epochs": 7}})
    runs = {name: arm.runs for name, arm in arms_of(config, planted).items() if name.startswith("single")}
    epochs = {n: config.fit_config(n, planted.path, **next(iter(r.values()))).epochs for n, r in runs.items()}
    assert epochs == {"single_oversampled": 20, "single_unbound": 7, "single_subsampled": 20}


@pytest.mark.parametrize(
    ("study", "error", "message"),
    [
        ({"comparisons": ["modality"]}, UnknownNameError, "unknown comparison 'modality'. Did you mean 'modalities'"),
        ({"fit": {"epoch": 3}}, InputError, "unknown key 'epoch'. Did you mean 'epochs'"),
        ({"fit": {"seed": 3}}, InputError, "must not set 'seed'"),
        ({"strategies": {"x": {"balance": "up"}}}, UnknownNameError, "unknown sampling balance 'up'"),
        ({"strategy_fit": {"owm": {"epochs": 1}}}, UnknownNameError, "unknown strategy 'owm'"),
        ({"strategy_fit": {"unbound": {"seed": 1}}}, InputError, "must not set 'seed'"),
        ({"strategy_fit": {"unbound": {"epoch": 1}}}, InputError, "unknown key 'epoch'"),
        ({"split": "tset"}, UnknownNameError, "unknown split 'tset'"),
        (
            {"protocols": {"pairs": [{"group": "A", "output": "b", "sites": "c"}]}},
            UnknownNameError,
            "unknown protocol group 'A'",
        ),
    ],
)
def test_wrong_configs(tmp_path, study, error, message):
    path = write_config(tmp_path / "study.yaml", directory=str(tmp_path / "out"), **study)
    with pytest.raises(error, match=message):
        read_config(path)


def test_a_slice_keeps_labels_splits_and_bases(planted, tmp_path):
    write_slice(planted, tmp_path / "slice.h5", ["PUM2_PARCLIP", "QKI_PARCLIP"], 4, seed=0)
    part = Dataset(tmp_path / "slice.h5")
    assert part.tasks == ["PUM2_PARCLIP", "QKI_PARCLIP"]
    assert set(part.split) == {0, 1, 2}
    whole = {start: row for row, start in enumerate(planted.intervals["start"])}
    rows = np.array([whole[start] for start in part.intervals["start"]])
    np.testing.assert_array_equal(part.labels, planted.labels[rows][:, [1, 0]])
    np.testing.assert_array_equal(part.seq_codes(slice(None)), planted.seq_codes(rows))
    np.testing.assert_array_equal(part.region_codes(slice(None)), planted.region_codes(rows))
    assert len(part) < len(planted)


# --- a whole study ------------------------------------------------------------------------------------------------


def test_a_small_study_makes_its_tables_and_does_nothing_twice(planted, tmp_path, monkeypatch, capsys):
    path = write_config(
        tmp_path / "study.yaml",
        directory=str(tmp_path / "out"),
        data=str(planted.path),
        comparisons=["modalities", "specificity"],
        fit={"epochs": 1, "sizes": TINY, "augment": {"jitter": 5, "region_dropout": 0.3}},
        n_bootstrap=20,
    )
    assert main(["study", str(path), "--quiet"]) == 0
    out = tmp_path / "out"
    assert capsys.readouterr().out == f"{out}\n"
    tables = {p.name: p.read_bytes() for p in (out / "tables").iterdir()}
    assert set(tables) == {f"{n}.csv" for n in ("arms", "tasks", "differences", "tests", "time")} | {
        f"{n}.csv" for n in ("cross_experiment", "own_rank", "sites_by_output")
    }
    arms = pd.read_csv(out / "tables" / "arms.csv").query("negatives == 'own'").set_index("arm")
    assert list(arms.index) == ["multitask", "kmers", "sequence_only", "region_withheld"]
    tests = pd.read_csv(out / "tables" / "tests.csv").query("negatives == 'own' and measure == 'auroc'")
    region = tests.set_index("comparison").loc["region types"]
    assert region["mean_difference"] == pytest.approx(
        arms.loc["multitask", "auroc"] - arms.loc["sequence_only", "auroc"]
    )
    assert {p.suffix for p in (out / "figures").iterdir()} == {".png", ".svg"}
    assert "Paired comparisons" in (out / "report.html").read_text()

    def refuse(*_, **__):
        raise AssertionError("nothing should be trained or scored again")

    monkeypatch.setattr("training.study.run.fit", refuse)
    monkeypatch.setattr("training.study.arms.score_dataset", refuse)
    assert main(["study", str(path), "--quiet"]) == 0
    assert {p.name: p.read_bytes() for p in (out / "tables").iterdir()} == tables
    assert main(["study", str(path), "--quiet", "--seed", "9"]) == 2
    error = capsys.readouterr().err
    assert "holds a study with another seed (1, now 9)" in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_a_study_is_completed_part_by_part(planted, tmp_path):
    path = write_config(
        tmp_path / "study.yaml",
        data=str(planted.path),
        comparisons=["modalities", "architectures"],
        architectures={"towers": {"filters": 8, "left_filters2": 8, "right_filters": 4, "hidden": 8}},
        fit={"epochs": 1, "sizes": TINY},
        n_bootstrap=20,
        directory="unused",
    )

    def arms(name, *only):
        parts = [word for comparison in only for word in ("--only", comparison)]
        assert main(["study", str(path), "--quiet", "-o", str(tmp_path / name), *parts]) == 0
        return list(pd.read_csv(tmp_path / name / "tables" / "arms.csv").query("negatives == 'own'")["arm"])

    assert arms("parts", "modalities") == ["multitask", "kmers", "sequence_only", "region_withheld"]
    assert arms("parts", "architectures") == arms("whole")
    for table in ("arms", "tasks", "differences", "tests"):
        name = f"tables/{table}.csv"
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_missing_data_and_config_are_one_line(tmp_path, capsys):
    assert main(["study", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml: no such config file" in capsys.readouterr().err
    path = write_config(tmp_path / "study.yaml", directory=str(tmp_path / "out"))
    assert main(["study", str(path)]) == 2
    assert "expected 'data' in section 'study', or a section 'prepare'" in capsys.readouterr().err
    path = write_config(tmp_path / "study.yaml", directory=str(tmp_path / "out"), data="none.h5")
    assert main(["study", str(path)]) == 2
    assert "none.h5: no such data set" in capsys.readouterr().err
