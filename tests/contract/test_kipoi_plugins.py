"""kipoi-interpret, kipoi-veff and kipoi-veff2 with our models, and without them."""

import sys
import types

import numpy as np
import pytest

import ripe_lib
from ripe_lib.errors import MissingPackageError, RipeError
from tests.support.kipoi_home import EXAMPLES, ROOT, example_arguments, registered_kipoi

pytestmark = pytest.mark.kipoi
MID = "DeepRiPe/parclip_mid"


@pytest.fixture(scope="module")
def model():
    return registered_kipoi().get_model(MID, source="deepripe")


def loader(model, bed="constructs.bed"):
    return model.default_dataloader(**example_arguments(gtf=False, intervals=bed))


@pytest.fixture(scope="module")
def inputs(model):
    return next(loader(model).batch_iter(batch_size=100))["inputs"]


class OtherModel:
    """A Kipoi model that is not ours."""

    type = "custom"

    def input_grad(self, x, **_):
        return x


# --- kipoi-interpret -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def importance():
    base = pytest.importorskip("kipoi_interpret.importance_scores.base")
    return base.feature_importance


def test_gradient_methods(model, inputs, importance):
    gradients = model.input_grad(inputs, filter_idx=1, avg_func="sum")
    options = {"filter_idx": 1}
    for method, expected in [
        ("grad", gradients),
        ("grad*input", {name: gradients[name] * inputs[name] for name in gradients}),
        ("saliency", {name: np.abs(gradients[name]) for name in gradients}),
    ]:
        # Two batches: the plugin joins them.
        found = importance(model, loader(model), method, options, batch_size=3)["importance_scores"]
        assert set(found) == {"seq", "region", "landmarks"}
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, atol=1e-6, err_msg=f"{method} {name}")


def test_intgrad_is_ripe_libs(model, inputs, importance):
    task = model.tasks[0]
    expected = ripe_lib.integrated_gradients(model.ripe_model, inputs, task=task, n_steps=20)
    for options in ({"task": task}, {"task": 0}, {"filter_idx": 0}, {"task_idx": 0}):
        found = importance(model, loader(model), "intgrad", {**options, "n_steps": 20}, batch_size=3)
        np.testing.assert_allclose(found["importance_scores"]["seq"], expected.seq, atol=1e-6)
        np.testing.assert_allclose(found["importance_scores"]["region"], expected.region, atol=1e-6)


def test_intgrad_takes_a_reference(model, inputs):
    from kipoi_interpret.importance_scores.base import get_importance_score

    reference = {"seq": np.full_like(inputs["seq"], 0.25), "region": np.full_like(inputs["region"], 0.25)}
    reference["landmarks"] = np.full_like(inputs["landmarks"], 1 / inputs["landmarks"].shape[-1])
    score = get_importance_score("intgrad")(model, task=0)
    expected = ripe_lib.integrated_gradients(model.ripe_model, inputs, task=model.tasks[0], baseline=reference)
    np.testing.assert_allclose(score.score(inputs, reference)["seq"], expected.seq, atol=1e-6)
    assert score.score(inputs["seq"]).shape == inputs["seq"].shape


@pytest.mark.slow
def test_deeplift_is_ripe_libs(model, inputs, importance):
    pytest.importorskip("deeplift")
    from ripe_lib.attribution.compute import deeplift

    expected = deeplift(model.ripe_model, inputs, task=model.tasks[3])
    found = importance(model, loader(model), "deeplift", {"task": 3}, batch_size=100)["importance_scores"]
    np.testing.assert_allclose(found["seq"], expected.seq, atol=1e-6)
    np.testing.assert_allclose(found["region"], expected.region, atol=1e-6)


def test_mutation_is_mutating_and_predicting(model, inputs, importance):
    found = importance(model, loader(model), "mutation", {"model_input": "seq", "batch_size": 600}, batch_size=2)
    scores = found["importance_scores"]
    assert scores.shape == (5, 150, 4, 1, len(model.tasks))
    own = np.isnan(scores[..., 0, 0])
    np.testing.assert_array_equal(own, inputs["seq"] == 1)
    mutant = inputs["seq"][3:4].copy()
    mutant[0, 60] = np.eye(4)[(mutant[0, 60].argmax() + 1) % 4]
    context = [inputs[name][3:4] for name in ("region", "landmarks")]
    delta = model.predict_on_batch([mutant, *context]) - model.predict_on_batch([inputs["seq"][3:4], *context])
    base = mutant[0, 60].argmax()
    # The plugin's "diff" is called with (reference, alternative).
    np.testing.assert_allclose(np.abs(scores[3, 60, base, 0]), np.abs(delta[0]), atol=1e-6)


def test_missing_and_unknown_tasks(model):
    from kipoi_interpret.importance_scores.base import get_importance_score

    for options, message in [({}, "expected task"), ({"task": "AGO"}, "unknown task"), ({"task": 99}, "0 to 20")]:
        with pytest.raises(RipeError, match=message):
            get_importance_score("intgrad")(model, **options)


def test_other_models_get_what_the_plugin_does(model):
    from kipoi_interpret.importance_scores import gradient, referencebased
    from kipoi_interpret.importance_scores.base import get_importance_score

    other = OtherModel()
    score = get_importance_score("intgrad")(other)
    assert type(score) is referencebased.IntegratedGradients
    with pytest.raises(NotImplementedError, match=r"^$"):  # what the plugin has today
        score.score(None, None)
    assert get_importance_score("intgrad").is_compatible(other)
    assert not get_importance_score("deeplift").is_compatible(other)
    np.testing.assert_array_equal(gradient.Saliency(other).score(np.array([-1.0, 2.0])), [1, 2])


def test_registering_again_changes_nothing(model):
    from kipoi_interpret.importance_scores import ism, referencebased

    from dataloaders import interpret

    before = {**referencebased.METHODS, **ism.METHODS}
    assert interpret.register_if_installed()
    assert before == {**referencebased.METHODS, **ism.METHODS}


# --- kipoi-veff ----------------------------------------------------------------------------------------------------


def test_veff_is_repaired_when_it_asks_and_numpy_stays_as_it_is(model):
    pytest.importorskip("kipoi_veff")
    from kipoi_veff.utils import generic, io, mutators

    mutators.np = np  # as the plugin comes
    postprocessing = model.postprocessing["variant_effects"]
    assert postprocessing.seq_input == ["seq"]
    assert postprocessing.use_rc is False
    assert [one.name for one in postprocessing.scoring_functions] == ["logit", "logit_ref", "logit_alt"]
    assert mutators.np is not np
    assert mutators.np.int is int
    assert mutators.np.zeros is np.zeros
    assert "int" not in vars(np)
    assert io.VcfWriter._generate_info_field("a", None, "String", "b", None, None).id == "a"
    assert model.default_dataloader.postprocessing["variant_effects"].bed_input == ["intervals_file"]
    first = generic.SnvCenteredRg.__call__
    _ = model.postprocessing
    assert generic.SnvCenteredRg.__call__ is first


def test_variants_of_other_models_keep_their_150_nt(model):
    pytest.importorskip("kipoi_veff")
    from kipoi_veff.utils.generic import SnvCenteredRg

    _ = model.postprocessing
    variant = types.SimpleNamespace(CHROM="chr1", POS=1000)
    extractor = types.SimpleNamespace(model=OtherModel(), get_seq_len=lambda: 150)
    assert SnvCenteredRg(extractor)(variant) == {"chrom": ["chr1"], "start": [926], "end": [1075]}
    extractor.model = model
    assert SnvCenteredRg(extractor)(variant) == {"chrom": ["chr1"], "start": [1000], "end": [1000]}


# --- kipoi-veff2 ---------------------------------------------------------------------------------------------------


@pytest.fixture
def veff2(monkeypatch):
    """What kipoi-veff2 (GitHub, 0.1) has under these names; it is not on PyPI."""
    package = types.ModuleType("kipoi_veff2")
    package.variant_centered = types.SimpleNamespace(
        MODEL_GROUPS={"Basset"},
        VARIANT_CENTERED_MODEL_GROUP_CONFIGS={"pwm_HOCOMOCO": {"required_sequence_length": 100}},
    )
    monkeypatch.setitem(sys.modules, "kipoi_veff2", package)
    import kipoi

    sources = kipoi.config.model_sources()
    monkeypatch.setitem(sources, "kipoi", sources["kipoi"])
    return package.variant_centered


def test_veff2_accepts_the_group_and_scores_a_bare_array(model, veff2):
    import kipoi

    from dataloaders.veff2 import register

    register(MID)
    assert "DeepRiPe" in veff2.MODEL_GROUPS
    config = veff2.VARIANT_CENTERED_MODEL_GROUP_CONFIGS["DeepRiPe"]
    assert config["required_sequence_length"] == 150
    sequence = "".join((EXAMPLES / "genome.fa").read_text().split("\n")[20:25])[:150]
    array = config["transform"](sequence)[np.newaxis]
    assert array.shape == (1, 150, 4)
    assert kipoi.get_model(MID).predict_on_batch(array).shape == (1, len(model.tasks))  # no source named
    labels = kipoi.get_model_descr(MID).schema.targets.column_labels
    assert list(labels) == model.tasks


def test_veff2_strand(veff2):
    from dataloaders.veff2 import sequence_transform

    plus, minus = sequence_transform("+")("ACGTTNa"), sequence_transform("-")("ACGTTNa")
    np.testing.assert_array_equal(minus, plus[::-1, ::-1])
    with pytest.raises(RipeError, match="strand"):
        sequence_transform("*")


def test_without_veff2_one_line_says_what_to_install(monkeypatch):
    from dataloaders import veff2

    monkeypatch.setitem(sys.modules, "kipoi_veff2", None)
    with pytest.raises(MissingPackageError, match="pip install git"):
        veff2.register()


def test_importing_the_packages_loads_neither_kipoi_nor_tensorflow():
    import subprocess

    code = (
        "import sys, dataloaders, ripe_lib; print([m for m in ('kipoi', 'tensorflow', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
