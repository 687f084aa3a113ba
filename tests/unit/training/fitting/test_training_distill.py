"""Learning from teachers: the mean logit, the loss, and a run that learns from teachers alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from ripe_lib.errors import InputError, MissingFileError, UnknownNameError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.genome.encoding import one_hot
from ripe_lib.network.load import model_from_weights
from ripe_lib.network.predict import predict_codes
from ripe_lib.network.weights import read_weights, sha256_of, write_weights
from tests.support.toy_datasets import TINY_SIZES, write_toy_dataset
from training.config import build
from training.fitting.batches import AugmentOptions
from training.fitting.config import FitConfig, spec_of
from training.fitting.distill import (
    DistillOptions,
    check_teachers,
    load_teachers,
    task_shares,
    teacher_probabilities,
    with_teachers,
)
from training.fitting.fit import fit
from training.fitting.losses import EPSILON, POSITIVE, LossOptions, element_weights, make_loss, numpy_loss
from training.publishing.publish import publish

pytestmark = pytest.mark.xdist_group("distill")  # the teachers are trained once


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "toy.h5", np.random.default_rng(1), n=2400)


@pytest.fixture(scope="module")
def teachers(toy, tmp_path_factory):
    """Two networks: one of both tasks, one of the second task alone and without region types."""
    folder = tmp_path_factory.mktemp("teachers")
    base = FitConfig(name="toy/toy", data=toy, run=folder / "both", sizes=TINY_SIZES, epochs=12, batch_size=64)
    base = replace(base, learning_rate=5e-3, seed=4, augment=AugmentOptions(jitter=5))
    second = replace(base, run=folder / "second", tasks=(Dataset(toy).tasks[1],), inputs="sequence", seed=5)
    return [fit(base) / "weights.h5", fit(second) / "weights.h5"]


@pytest.fixture
def config(toy, teachers, tmp_path):
    return FitConfig(
        name="toy/student",
        data=toy,
        run=tmp_path / "student",
        sizes=TINY_SIZES,
        epochs=12,
        batch_size=64,
        learning_rate=5e-3,
        seed=9,
        distill=DistillOptions(tuple(map(str, teachers))),
    )


def test_the_target_is_the_mean_logit_of_the_teachers_that_know_a_task(config, toy, teachers):
    dataset = Dataset(toy)
    spec = spec_of(config, dataset)
    loaded = load_teachers(config.distill)
    seq, region = dataset.centred_codes(np.arange(40))
    both = predict_codes(model_from_weights(teachers[0]), seq, region).astype(float)
    second = predict_codes(model_from_weights(teachers[1]), seq).astype(float)

    def logit(p):
        return np.log(p) - np.log1p(-p)

    expected = both.copy()
    expected[:, 1] = 1 / (1 + np.exp(-(logit(both[:, 1]) + logit(second[:, 0])) / 2))
    found = np.asarray(teacher_probabilities(loaded, spec, [one_hot(seq), one_hot(region)]))
    np.testing.assert_allclose(found, expected, atol=2e-6)
    np.testing.assert_array_equal(sum(m.sum(axis=0) for m in task_shares(loaded, spec)), 1)


def test_teachers_stay_as_they_are_in_a_training_step(config, toy):
    """Their dropout is off and none of their variables is trained, also while the student is."""
    from training.fitting.loop import build_model, training_model

    dataset = Dataset(toy)
    spec = spec_of(config, dataset)
    seq, region = dataset.centred_codes(np.arange(40))
    expected = teacher_probabilities(load_teachers(config.distill), spec, [one_hot(seq), one_hot(region)])
    student = build_model(spec)
    model = training_model(student, spec, load_teachers(config.distill))
    found = np.asarray(model([seq, region], training=True))[:, 2:]
    np.testing.assert_allclose(found, np.asarray(expected), atol=2e-6)
    assert [v.path for v in model.trainable_variables] == [v.path for v in student.trainable_variables]


def test_the_loss_is_cross_entropy_against_the_teachers_and_the_rest_that_of_labels(config, toy):
    spec = spec_of(config, Dataset(toy))
    known = load_teachers(replace(config.distill, teachers=config.distill.teachers[1:], share=0.5))
    rng = np.random.default_rng(3)
    student, target = rng.uniform(0.01, 0.99, (2, 30, 2)).astype(np.float32)
    codes = rng.integers(0, 2, (30, 2)).astype(np.uint8)
    weights = element_weights(codes, LossOptions())
    loss = with_teachers(make_loss(weights), known, spec, 0.25)
    found = float(np.mean(loss(codes, np.concatenate([student, target], axis=1))))
    # Only the second task has a teacher here.
    q, p = target[:, 1].astype(float), student[:, 1].astype(float)
    soft = -(q * np.log(p) + (1 - q) * np.log1p(-p)).mean()
    assert found == pytest.approx(0.25 * soft + 0.75 * numpy_loss(student, codes, weights), rel=1e-5)
    assert codes.max() == max(POSITIVE, 1)
    assert EPSILON < 1e-6


def test_a_student_that_never_saw_a_label_learns_the_task(config, teachers):
    config = replace(config, augment=AugmentOptions(jitter=5))
    run = fit(config)
    assert (pd.read_csv(run / "metrics.tsv", sep="\t")["auroc"] > 0.9).all()
    # The teachers are not part of what is saved.
    assert model_from_weights(run / "weights.h5").keras_model.count_params() == pytest.approx(
        model_from_weights(teachers[0]).keras_model.count_params()
    )


def test_spliced_windows_need_teachers(config):
    with pytest.raises(InputError, match="spliced windows have no labels"):
        replace(config, distill=DistillOptions(), augment=AugmentOptions(splice=0.5))
    run = fit(replace(config, augment=AugmentOptions(jitter=5, splice=0.5)))
    assert (pd.read_csv(run / "metrics.tsv", sep="\t")["auroc"] > 0.9).all()


def test_a_distilled_run_goes_on_after_an_epoch(config, tmp_path):
    config = replace(config, epochs=3)
    unbroken = fit(replace(config, run=tmp_path / "unbroken"))

    def stop(epoch):
        if epoch == 2:
            raise KeyboardInterrupt("stopped")

    with pytest.raises(KeyboardInterrupt, match="stopped"):
        fit(config, after_epoch=stop)
    assert sha256_of(fit(config) / "weights.h5") == sha256_of(unbroken / "weights.h5")


def test_the_card_names_the_number_of_teachers(config, tmp_path):
    card = (publish(fit(replace(config, epochs=1)), out=tmp_path / "model") / "model_card.md").read_text()
    assert "Distilled from the mean logits of 2 networks" in card


def test_wrong_teachers_are_one_line(config, toy, teachers, tmp_path):
    with pytest.raises(MissingFileError, match=r"teacher none\.h5: no such weights file"):
        fit(replace(config, distill=DistillOptions(("none.h5",))))
    with pytest.raises(UnknownNameError, match="parclip_middle"):
        fit(replace(config, distill=DistillOptions(("DeepRiPe/parclip_middle",))))
    with pytest.raises(InputError, match="no teacher knows task"):
        fit(replace(config, distill=DistillOptions((str(teachers[1]),))))
    with pytest.raises(InputError, match="expected a share above 0 and up to 1, got 0"):
        build(DistillOptions, {"share": 0.0})
    with pytest.raises(InputError, match="teacher DeepRiPe/parclip_mid knows none of the tasks"):
        fit(replace(config, distill=DistillOptions(("DeepRiPe/parclip_mid",), share=0.5)))
    longer = replace(spec_of(config, Dataset(toy)), sequence_length=160)
    with pytest.raises(InputError, match="has windows of 150 and 250 nt, the network to train 160 and 250"):
        check_teachers(config.distill, longer)
    assert not config.run.exists()


def test_a_run_is_not_resumed_with_other_teachers(config, teachers):
    copy = config.run.parent / "teacher.h5"
    copy.write_bytes(teachers[0].read_bytes())
    config = replace(config, epochs=2, distill=DistillOptions((str(copy),)))

    def stop(epoch):
        raise KeyboardInterrupt("stopped")

    with pytest.raises(KeyboardInterrupt, match="stopped"):
        fit(config, after_epoch=stop)
    spec, arrays = read_weights(copy)
    write_weights(copy, spec, {**arrays, "output": [1.1 * values for values in arrays["output"]]})
    with pytest.raises(InputError, match="other teachers or first weights"):
        fit(config)


def test_the_section_is_read_from_yaml():
    config = build(FitConfig, yaml.safe_load("{name: a, data: b, run: c, distill: {teachers: [x.h5], share: 0.5}}"))
    assert config.distill == DistillOptions(("x.h5",), 0.5)
