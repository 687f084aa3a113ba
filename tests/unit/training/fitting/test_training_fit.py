"""Training: learns, resumes, stops, distributes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from ripe_lib.errors import InputError, MissingFileError, UnknownNameError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.network.catalogue.entries import catalogue
from ripe_lib.network.load import model_from_weights
from ripe_lib.network.predict import predict_codes
from ripe_lib.network.weights import read_weights
from tests.support.toy_datasets import TINY_SIZES, write_toy_dataset
from training.config import plain
from training.fitting.batches import AugmentOptions
from training.fitting.config import FitConfig, read_config
from training.fitting.fit import fit, fit_members
from training.fitting.losses import MASKED, LossOptions
from training.fitting.rows import training_data
from training.fitting.runs import TrainingFailedError, finished_weights, read_checkpoint, read_record
from training.fitting.sampling import SamplingOptions, labels_and_rows

REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "toy.h5", np.random.default_rng(1), n=2400)


@pytest.fixture
def config(toy, tmp_path):
    return FitConfig(name="toy/toy", data=toy, run=tmp_path / "run", sizes=TINY_SIZES, epochs=3, batch_size=64, seed=4)


def test_two_planted_motifs_are_learnt(config):
    config = replace(
        config, epochs=12, learning_rate=5e-3, augment=AugmentOptions(jitter=5), views=("plain", "no_region")
    )
    run = fit(config)
    metrics = pd.read_csv(run / "metrics.tsv", sep="\t")
    assert (metrics["auroc"] > 0.99).all()
    # The written weights are those of the best epoch, and predict what the table says.
    history = pd.read_csv(run / "history.csv")
    best = history.loc[history["val_loss"].idxmin()]
    assert best["val_auroc"] == pytest.approx(metrics["auroc"].mean(), abs=1e-6)
    dataset = Dataset(config.data)
    model = model_from_weights(finished_weights(run))
    test_rows = dataset.indices("test")
    scores = predict_codes(model, *dataset.centred_codes(test_rows))
    labels = dataset.labels[test_rows] == 1
    for task in range(2):
        assert scores[labels[:, task], task].mean() > scores[~labels[:, task], task].mean() + 0.5
    assert {p.name for p in run.iterdir()} == {
        *("config.yaml", "data.json", "environment.json", "history.csv", "curves.png", "metrics.tsv", "weights.h5")
    }
    assert json.loads((run / "data.json").read_text())["manifest_sha256"] == dataset.manifest_sha256
    assert json.loads((run / "environment.json").read_text())["packages"]["tensorflow"]


def test_a_killed_run_ends_with_the_same_weights(config, tmp_path):
    config = replace(config, epochs=4, augment=AugmentOptions(jitter=5, flank_mask=0.3, region_dropout=0.3))
    unbroken = fit(replace(config, run=tmp_path / "unbroken"))
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"fit": plain(config)}))
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        [sys.executable, "-m", "training.cli.main", "fit", str(path), "--quiet"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while not (config.run / "checkpoint.h5").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)  # into the next epoch
    process.send_signal(signal.SIGKILL)
    _, stderr = process.communicate()
    assert process.returncode == -signal.SIGKILL, stderr.decode()
    assert not (config.run / "weights.h5").exists()
    done = len(pd.read_csv(config.run / "history.csv")) if (config.run / "history.csv").exists() else 0
    notes = []
    fit(config, note=notes.append)
    assert "going on after epoch" in notes[0]
    assert done < 4
    assert (config.run / "weights.h5").read_bytes() == (unbroken / "weights.h5").read_bytes()
    columns = ["epoch", "loss", "val_loss", "val_auroc"]
    pd.testing.assert_frame_equal(
        pd.read_csv(config.run / "history.csv")[columns], pd.read_csv(unbroken / "history.csv")[columns]
    )


def test_resuming_with_weight_decay_and_cosine_is_exact(config, tmp_path):
    """The optimizer's moments and step count come back too; an exception stands in for the kill."""
    config = replace(config, epochs=3, schedule="cosine", weight_decay=1e-3)
    unbroken = fit(replace(config, run=tmp_path / "unbroken"))

    class StopError(Exception):
        pass

    def stop(epoch):
        if epoch == 2:
            raise StopError("after epoch 2")

    with pytest.raises(StopError, match="after epoch 2"):
        fit(config, after_epoch=stop)
    fit(config)
    assert (config.run / "weights.h5").read_bytes() == (unbroken / "weights.h5").read_bytes()


def test_seeds_decide(config, tmp_path):
    config = replace(config, epochs=1)
    weights = [
        read_weights(fit(replace(config, run=tmp_path / f"r{i}", seed=seed)) / "weights.h5")[1]["output"][0]
        for i, seed in enumerate((1, 1, 2))
    ]
    assert (weights[0] == weights[1]).all()
    assert (weights[0] != weights[2]).any()


def test_members_differ_by_seed(config):
    runs = fit_members(replace(config, epochs=1), 2)
    assert [run.name for run in runs] == ["member_1", "member_2"]
    one, two = (read_weights(run / "weights.h5")[1]["output"][0] for run in runs)
    assert (one != two).any()


def test_early_stopping_keeps_the_best_epoch(config, tmp_path, rng):
    """Labels are noise: the validation loss soon rises."""
    noise = rng.integers(0, 2, (400, 2)).astype(np.int8)
    data = write_toy_dataset(tmp_path / "noise.h5", rng, n=400, labels=noise)
    run = fit(replace(config, data=data, epochs=30, patience=2, learning_rate=0.01))
    history = pd.read_csv(run / "history.csv")
    assert len(history) < 30
    assert history["val_loss"].idxmin() == len(history) - 3


def test_a_loss_that_is_not_a_number_stops_with_advice(config):
    with pytest.raises(TrainingFailedError, match=r"became (inf|nan).* in epoch 1.* Lower 'learning_rate'"):
        fit(replace(config, learning_rate=1e30))
    assert not (config.run / "weights.h5").exists()


def test_masked_and_sequence_only_and_gru(config, tmp_path, rng):
    labels = rng.choice([-1, 0, 1], (300, 2)).astype(np.int8)
    data = write_toy_dataset(tmp_path / "m.h5", rng, n=300, labels=labels)
    gru = {"filters": 8, "gru_units": 4, "hidden": 8}
    for name, changes in {
        "soft": {"loss": LossOptions(unknown_weight=0.1, weighting="per_task")},
        "legacy": {"loss": LossOptions(weighting="legacy_first_positive")},
        "seq": {"inputs": "sequence"},
        "gru": {"architecture": "gru", "sizes": gru, "inputs": "sequence"},
    }.items():
        run = fit(replace(config, data=data, run=tmp_path / name, epochs=1, **changes))
        spec, _ = read_weights(run / "weights.h5")
        assert spec.has_region == (name in {"soft", "legacy"})


def test_event_files_for_tensorboard(config):
    import tensorflow as tf

    run = fit(replace(config, epochs=2, tensorboard=True))
    history = pd.read_csv(run / "history.csv")
    (path,) = (run / "tensorboard").iterdir()
    seen = {}
    for record in tf.data.TFRecordDataset(str(path)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name in {"scalars", ""}
            seen[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    for row in history.to_dict("records"):
        assert seen["val_loss", row["epoch"]] == pytest.approx(row["val_loss"], rel=1e-5)


@pytest.mark.slow
def test_two_logical_devices_train_like_one(config):
    """In a process of its own: logical devices must be set before TensorFlow starts."""
    script = f"""
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from dataclasses import replace
from functools import partial
from pathlib import Path
from training.fitting.fit import fit
from training.fitting.config import read_config
tf.distribute.MirroredStrategy = partial(tf.distribute.MirroredStrategy, ["CPU:0", "CPU:1"])
config = read_config({str(config.run.parent / "c.yaml")!r})
fit(replace(config, strategy="mirrored", run=Path({str(config.run.parent / "two")!r})))
fit(replace(config, run=Path({str(config.run.parent / "one")!r})))
"""
    still = TINY_SIZES | {"dropout": 0.0}  # replicas draw different dropout masks; without, only rounding differs
    config = replace(config, epochs=2, sizes=still)
    (config.run.parent / "c.yaml").write_text(yaml.safe_dump({"fit": plain(config)}))
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    histories = [pd.read_csv(config.run.parent / name / "history.csv") for name in ("one", "two")]
    np.testing.assert_allclose(histories[1]["loss"], histories[0]["loss"], rtol=2e-3)
    np.testing.assert_allclose(histories[1]["val_loss"], histories[0]["val_loss"], rtol=2e-3)


@pytest.mark.slow
def test_two_hosts_train_like_one(config):
    """Two processes of this machine as two workers; the first one alone writes the run."""
    import socket

    config = replace(config, epochs=2, sizes=TINY_SIZES | {"dropout": 0.0}, strategy="multi_worker")
    path = config.run.parent / "c.yaml"
    path.write_text(yaml.safe_dump({"fit": plain(config)}))
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "training.cli.main", "fit", str(path), "--quiet"],
            env=os.environ
            | {
                "PYTHONPATH": str(REPOSITORY),
                "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    for process in processes:
        _, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr[-2000:]
    alone = fit(replace(config, strategy="none", run=config.run.parent / "alone"))
    histories = [pd.read_csv(run / "history.csv") for run in (config.run, alone)]
    np.testing.assert_allclose(histories[0]["val_loss"], histories[1]["val_loss"], rtol=1e-5)
    together, single = (read_weights(run / "weights.h5")[1] for run in (config.run, alone))
    for layer, values in single.items():
        for got, expected in zip(together[layer], values, strict=True):
            np.testing.assert_allclose(got, expected, atol=1e-5)


def test_single_task_negatives(toy):
    dataset = Dataset(toy)
    bound = dataset.labels == 1
    for negatives, expected in (("other_sites", bound[:, 1] & ~bound[:, 0]), ("unbound", ~bound.any(axis=1))):
        labels, train, _ = labels_and_rows(dataset, [0], SamplingOptions(negatives=negatives), 0)
        assert ((labels[:, 0] == 0) == expected).all()
        assert ((labels[:, 0] == 1) == bound[:, 0]).all()
    for balance in ("oversample_positives", "subsample_negatives"):
        labels, train, _ = labels_and_rows(dataset, [0], SamplingOptions(negatives="unbound", balance=balance), 0)
        known = labels[train, 0]
        assert (known == 1).sum() == (known == 0).sum()
        assert (len(set(train)) == len(train)) == (balance == "subsample_negatives")
    with pytest.raises(InputError, match="needs exactly one task"):
        labels_and_rows(dataset, [0, 1], SamplingOptions(balance="subsample_negatives"), 0)


def test_rows_that_say_nothing_are_left_out(toy, config, tmp_path, rng):
    labels = rng.choice([-1, 0, 1], (300, 2), p=[0.6, 0.2, 0.2]).astype(np.int8)
    data = Dataset(write_toy_dataset(tmp_path / "m.h5", rng, n=300, labels=labels))
    chosen = training_data(config, data)
    assert (labels[chosen.train] >= 0).any(axis=1).all()
    assert len(chosen.train) == (labels[data.indices("train")] >= 0).any(axis=1).sum()


def test_only_sites_of_the_runs_own_tasks(config, tmp_path, rng):
    labels = rng.integers(0, 2, (300, 3)).astype(np.int8)
    data = Dataset(write_toy_dataset(tmp_path / "m.h5", rng, n=300, labels=labels, tasks=["A", "B", "C"]))
    chosen = training_data(replace(config, tasks=("C", "A"), sampling=SamplingOptions(bound_only=True)), data)
    for rows, split in ((chosen.train, "train"), (chosen.valid, "valid")):
        every = data.indices(split)
        assert rows.tolist() == every[labels[every][:, [2, 0]].any(axis=1)].tolist()


def test_a_group_of_tasks_learns_from_its_own_sites_only(config, tmp_path, rng):
    """Slow oracle: an element counts if a task of its own group is bound in that row."""
    labels = rng.integers(0, 2, (200, 3)).astype(np.int8)
    labels[rng.random(200) < 0.5] = 0
    data = Dataset(write_toy_dataset(tmp_path / "g.h5", rng, n=200, labels=labels, tasks=["A", "B", "C"]))
    tasks, groups = ("C", "B", "A"), (("A", "B"),)  # C learns from every row
    sampling = SamplingOptions(bound_only=True, groups=groups)
    chosen = training_data(replace(config, tasks=tasks, sampling=sampling), data)
    for row in range(200):
        bound = {task for task, label in zip("ABC", labels[row], strict=True) if label == 1}
        expected = [int(task in bound) if task == "C" or bound & set(groups[0]) else MASKED for task in tasks]
        assert chosen.codes[row].tolist() == expected
    one = training_data(replace(config, tasks=tasks, sampling=SamplingOptions(bound_only=True)), data)
    whole = replace(sampling, groups=(tasks,))
    np.testing.assert_array_equal(one.codes, training_data(replace(config, tasks=tasks, sampling=whole), data).codes)
    with pytest.raises(InputError, match="groups say where bound_only holds"):
        SamplingOptions(groups=groups)


def test_a_models_own_network_keeps_the_layers_it_shares(config, tmp_path):
    from training.publishing.config import PublishConfig, own_network

    base = replace(config, epochs=1)
    fit(base)
    tune = {"trainable": ["hidden1", "output"], "learning_rate": 0.01, "sampling": {"bound_only": True}}
    outputs = {"DeepRiPe/one": [], "DeepRiPe/two": {"tune": {"trainable": [], "epochs": 3}}}
    options = PublishConfig({"a": {}, "b": {}, "c": {}}, outputs, "a", paper="c", tune=tune, alone=("b",))
    tasks = ["QKI_TOY", "PUM_TOY"]
    own = own_network(options, base, "a", "DeepRiPe/one", tasks)
    assert (own.run, own.tasks, own.sampling.bound_only) == (config.run.parent / "one", tuple(tasks), True)
    before, after = (read_weights(fit(options) / "weights.h5")[1] for options in (base, own))
    for layer, values in before.items():
        same = all(np.array_equal(a, b) for a, b in zip(values, after[layer], strict=True))
        assert same == (layer not in tune["trainable"]), layer
    grouped = replace(base, sampling=SamplingOptions(bound_only=True, groups=(("QKI_TOY",), ("PUM_TOY",))))
    assert own_network(options, grouped, "a", "DeepRiPe/one", tasks) == own
    free = own_network(options, base, "a", "DeepRiPe/two", tasks)
    assert (free.trainable, free.epochs, free.learning_rate, free.start) == ((), 3, 0.01, own.start)
    alone = own_network(options, base, "b", "DeepRiPe/one_paper", tasks)
    assert (alone.start, alone.trainable, alone.tasks, alone.run.name) == ("", (), tuple(tasks), "one_paper")
    assert own_network(options, base, "c", "DeepRiPe/two", tasks) is base
    with pytest.raises(InputError, match="expected 'start' with it"):
        replace(config, trainable=("output",))
    wrong = replace(own, trainable=("hiden1",), run=tmp_path / "wrong")
    with pytest.raises(UnknownNameError, match=r"unknown layer of 'trainable' 'hiden1'. Did you mean 'hidden1'"):
        fit(wrong)


def test_a_run_from_before_an_option_existed_goes_on(config):
    fit(replace(config, epochs=1))
    path = config.run / "config.yaml"
    stored = yaml.safe_load(path.read_text())
    del stored["trainable"], stored["sampling"]["bound_only"]
    path.write_text(yaml.safe_dump(stored))
    assert fit(replace(config, epochs=1)) == config.run
    with pytest.raises(InputError, match=r"another config \(trainable: \[\], now"):
        fit(replace(config, epochs=1, trainable=("output",), start=str(config.run / "weights.h5")))


def test_wrong_input(config, tmp_path, rng):
    fit(replace(config, epochs=1))
    with pytest.raises(InputError, match=r"holds a run with another config \(epochs: 1, now 2\)"):
        fit(replace(config, epochs=2))
    other = write_toy_dataset(tmp_path / "other.h5", rng, n=300)
    with pytest.raises(InputError, match=r"was started on another data set than .*other\.h5"):
        fit(replace(config, epochs=1, data=other))
    with pytest.raises(UnknownNameError, match=r"unknown task 'PUM'. Did you mean 'PUM_TOY'"):
        fit(replace(config, run=tmp_path / "x", tasks=("PUM",)))
    labels = np.zeros((300, 2), dtype=np.int8)
    labels[:, 0] = 1
    one_class = write_toy_dataset(tmp_path / "one.h5", rng, n=300, labels=labels)
    with pytest.raises(InputError, match="expected a negative of task PUM_TOY in split 'train', got none"):
        fit(replace(config, run=tmp_path / "y", data=one_class))
    with pytest.raises(MissingFileError, match="no such data set"):
        fit(replace(config, run=tmp_path / "z", data=tmp_path / "none.h5"))
    with pytest.raises(UnknownNameError, match=r"unknown strategy 'mirored'. Did you mean 'mirrored'"):
        replace(config, strategy="mirored")
    with pytest.raises(MissingFileError, match="is not a run"):
        finished_weights(tmp_path / "nowhere")


def test_config_takes_the_data_from_prepare(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("prepare: {output: d.h5}\nfit: {name: a/b, run: r, learning_rate: 1e-4}\n")
    config = read_config(path)
    assert config.data == Path("d.h5")
    assert config.learning_rate == 1e-4
    path.write_text("fit: {name: a/b, data: d.h5, run: r, loss: {weightings: none}}\n")
    with pytest.raises(InputError, match=r"c\.yaml:1: unknown key 'weightings'. Did you mean 'weighting'"):
        read_config(path)


@pytest.mark.parametrize("name", ["clip31", "parclip", "eclip"])
def test_the_shipped_configs_are_valid(name, monkeypatch):
    from training.config import build
    from training.data.config import read_config as read_prepare_config
    from training.publishing.config import PublishConfig
    from training.publishing.tiers import TierOptions

    monkeypatch.setenv("RIPE_DATA", "/data")
    path = REPOSITORY / "training" / "configs" / "paper" / f"{name}.yaml"
    assert read_config(path).architecture == "towers"
    prepared = read_prepare_config(path)
    assert bool(prepared.tables) != (prepared.peaks is not None)
    tiers = TierOptions(path, Path("work"), Path("models"))
    options, configs = tiers.publishing(), tiers.networks({})
    order = [config.run for config in configs.values()]
    for config in configs.values():
        if config.start:
            assert order.index(Path(config.start).parent) < order.index(config.run)
    for model, network in options.models().items():
        if model not in catalogue().models:  # some of the paper's CNNs are not shipped
            assert model.endswith("_paper")
            continue
        entry = catalogue().models[model]
        assert entry.architecture == configs[network].architecture == ("cnn" if model.endswith("_paper") else "towers")
        assert entry.inputs == configs[network].inputs
        tasks = [row.task for row in catalogue().tasks[model]]
        assert options.tasks(model, dict.fromkeys(tasks, 1)) == tasks
    with pytest.raises(InputError, match="expected tasks of the data set, got none"):
        options.tasks(next(iter(options.outputs)), {}) if name != "clip31" else build(
            PublishConfig, {"networks": {"a": {}}, "outputs": {"m": []}, "default": "a"}, "c"
        ).tasks("m", {})


def test_a_run_killed_at_its_very_start_is_started_again(tmp_path):
    from types import SimpleNamespace

    from training.fitting.runs import open_run

    dataset = SimpleNamespace(path=tmp_path / "d.h5", manifest={}, manifest_sha256="0")
    run = tmp_path / "run"
    run.mkdir()
    (run / "data.json").write_text("{")
    (run / ".12-ab.part.environment.json").write_text("")
    open_run(run, {"a": 1}, dataset, "")
    assert (run / "config.yaml").read_text() == "a: 1\n"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("")
    with pytest.raises(InputError, match="expected a new or empty folder or an earlier run"):
        open_run(tmp_path / "other", {"a": 1}, dataset, "")


def test_a_damaged_run_is_one_line(tmp_path):
    for damage in (bytes(50), b"{}", b"[1]", b'{"path": 3, "manifest_sha256": "x"}'):
        (tmp_path / "data.json").write_bytes(damage)
        with pytest.raises(InputError, match="expected the record of a run's data set, got none or a damaged one"):
            read_record(tmp_path)
    (tmp_path / "checkpoint.h5").write_bytes(bytes(50))
    with pytest.raises(InputError, match="expected the checkpoint of a run, got something unreadable"):
        read_checkpoint(tmp_path / "checkpoint.h5")
