"""Scores of variants: identities, and equality with windows built by hand."""

import numpy as np
import pytest

from ripe_lib.errors import InputError, UnknownNameError
from ripe_lib.genome.encoding import encode_region, encode_sequence
from ripe_lib.network.predict import predict_codes
from ripe_lib.variants.options import VariantOptions
from ripe_lib.variants.scorer import VariantScorer
from ripe_lib.variants.summary import CLASSES, class_codes, class_names, percentiles
from ripe_lib.variants.tables import wide_frame
from tests.support.toy_genome import ToyAnnotation, ToyGenome, cut, rc, records
from tests.support.toy_models import by_full_passes, random_model

N = 1200
TOLERANCE = 3e-6  # single precision, sums in another order; the toy network's weights are larger than trained ones
GENES = [("c", 100, 700, "+", "PLUS"), ("c", 500, 1100, "-", "MINUS"), ("c", 120, 300, "+", "ALSO")]


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(5)
    sequence = "".join(rng.choice(list("ACGT"), N))
    tracks = {("c", s): "".join(rng.choice(list("ic35N"), N // 20).repeat(20)) for s in "+-"}
    return ToyGenome(c=sequence), ToyAnnotation(tracks, GENES)


def score(model, world, rows, annotation=True, fast=True, **options):
    genome, toy_annotation = world
    models = model if isinstance(model, list) else [model]
    models = models if fast else [by_full_passes(model) for model in models]
    scorer = VariantScorer(models, genome, toy_annotation if annotation else None, VariantOptions(**options))
    return wide_frame(scorer.score(records(*rows)))


def snv(world, position, alt=None):
    """A VCF row at a 0-based position."""
    ref = world[0].sequences["c"][position]
    return ("c", position + 1, ref, alt or {"A": "G", "C": "T", "G": "A", "T": "C"}[ref])


def by_hand(model, sequence, position, strand, track=None):
    """Probability of the window by rule around a 0-based position."""
    start, region = position - 74, None
    letters = cut(sequence, start, 150)
    if track is not None:
        region_letters = cut(track, position - 124, 250)
        region = encode_region(region_letters if strand == "+" else region_letters[::-1])[None]
    seq = encode_sequence(letters if strand == "+" else rc(letters))[None]
    return predict_codes(model, seq, region)[0]


FAST = pytest.mark.parametrize("fast", [False, True], ids=["full", "fast"])


@FAST
def test_rows_and_columns(tiny_model, world, fast):
    rows = [snv(world, 200), snv(world, 600), snv(world, 800), snv(world, 20), ("c", 5, "*", "A"), ("c", 7, "A", "*")]
    table = score(tiny_model, world, rows, fast=fast)
    assert list(table.columns[:9]) == ["chrom", "pos", "id", "ref", "alt", "strand", "genes", "region_type", "status"]
    task = tiny_model.tasks[1]
    assert list(table.columns[13:17]) == [f"{task}.{x}" for x in ("ref", "alt", "delta", "delta_logit")]
    assert list(table["pos"]) == [201, 601, 601, 801, 21, 5, 7]
    assert list(table["strand"]) == ["+", "+", "-", "-", ".", ".", "."]
    assert list(table["genes"]) == ["ALSO,PLUS", "PLUS", "MINUS", "MINUS", "", "", ""]
    assert list(table["status"]) == ["ok"] * 4 + ["intergenic", "invalid_allele", "star_allele"]
    scores = table.iloc[:, 9:]
    assert scores.iloc[:4].notna().all(axis=None)
    assert scores.iloc[4:].isna().all(axis=None)
    names = {"i": "intron", "c": "CDS", "3": "3UTR", "5": "5UTR", "N": "none"}
    track = world[1].tracks
    assert list(table["region_type"][:3]) == [names[track["c", s][p]] for s, p in (("+", 200), ("+", 600), ("-", 600))]


@FAST
@pytest.mark.parametrize("region", ["gtf", "none"])
def test_scores_are_those_of_hand_made_windows(tiny_model, world, fast, region):
    sequence = world[0].sequences["c"]
    changes = [
        (210, sequence[210], "A" if sequence[210] != "A" else "C"),
        (600, sequence[600:603], rc(sequence[600:603])[::-1]),
        (650, "", "GATTACA"),
        (560, sequence[560:575], ""),
        (900, sequence[900:904], "TTTTTTT"),
        (110, sequence[110], "N"),
    ]
    rows, mutated = [], []
    for at, old, new in changes:
        rows.append(("c", at, sequence[at - 1] + old, sequence[at - 1] + new))
    table = score(tiny_model, world, rows, fast=fast, region=region)
    genome, annotation = world
    from ripe_lib.genome.alleles import canonical_alleles

    alleles = canonical_alleles(records(*rows), genome)
    for place, row in table.iterrows():
        number = [r[1] for r in rows].index(row["pos"])
        at, removed = int(alleles.start[number]), int(alleles.n_removed[number])
        new = "".join("ACGTN"[code] for code in alleles.inserted[number, : alleles.n_inserted[number]])
        mutated = sequence[:at] + new + sequence[at + removed :]
        track = annotation.tracks["c", row["strand"]] if region == "gtf" else None
        alt_track = None
        if track is not None:
            kept = min(removed, len(new))
            alt_track = track[: at + kept] + track[at + kept - 1] * (len(new) - kept) + track[at + removed :]
        ref = by_hand(tiny_model, sequence, at, row["strand"], track)
        alt = by_hand(tiny_model, mutated, at, row["strand"], alt_track)
        for task, r, a in zip(tiny_model.tasks, ref, alt, strict=True):
            assert row[f"{task}.ref"] == pytest.approx(r, abs=TOLERANCE), (place, task)
            assert row[f"{task}.alt"] == pytest.approx(a, abs=TOLERANCE), (place, task)
            assert row[f"{task}.delta"] == pytest.approx(a - r, abs=TOLERANCE)
            logit = np.log(a / (1 - a)) - np.log(r / (1 - r))
            assert row[f"{task}.delta_logit"] == pytest.approx(logit, abs=1e-4)


@FAST
def test_a_minus_strand_site_is_its_reverse_complement(tiny_model, fast):
    """The QKI construct on minus against the construct itself on plus, placed by the window rule."""
    rng = np.random.default_rng(1)
    site = "GAATTAACTCCATTGATGTTGTCTGCTCCCGTTGTAGCTAAT"
    left, right = "".join(rng.choice(list("ACGT"), 200)), "".join(rng.choice(list("ACGT"), 200))
    rna = left + site + right
    genome = ToyGenome(m=rc(rna))
    at = 200 + site.index("CTAAT")  # in the RNA
    here = len(rna) - 1 - at  # the same base in the genome
    model = tiny_model if fast else by_full_passes(tiny_model)
    scorer = VariantScorer([model], genome, None, VariantOptions(strand="-"))
    row = wide_frame(scorer.score(records(("m", here + 1, rc("C"), rc("G"))))).iloc[0]
    # On minus the rule puts a single base at index 75 of the RNA-sense window.
    start = at - 75
    windows = [encode_sequence(cut(text, start, 150)) for text in (rna, rna[:at] + "G" + rna[at + 1 :])]
    ref, alt = predict_codes(tiny_model, np.array(windows))
    for task, r, a in zip(tiny_model.tasks, ref, alt, strict=True):
        assert row[f"{task}.ref"] == pytest.approx(r, abs=TOLERANCE)
        assert row[f"{task}.alt"] == pytest.approx(a, abs=TOLERANCE)
    assert abs(row[f"{tiny_model.tasks[0]}.delta"]) > 1e-4


@FAST
@pytest.mark.parametrize("shifts", [1, 4])
def test_nothing_changed_is_exactly_zero(tiny_model, world, fast, shifts):
    sequence = world[0].sequences["c"]
    rows = [("c", 300, sequence[299], sequence[299].lower()), ("c", 900, sequence[899:903], sequence[899:903])]
    table = score(tiny_model, world, rows, fast=fast, shifts=shifts)
    assert list(table["status"]) == ["ok", "ok"]
    deltas = table.filter(regex=r"\.delta")
    assert (deltas.to_numpy() == 0).all()


@FAST
def test_reverse_variants_in_the_mutated_genome_have_opposite_deltas(tiny_model, world, fast):
    genome, annotation = world
    sequence = genome.sequences["c"]
    for at, new in ((400, 1), (620, 3), (1000, 2)):
        old = sequence[at : at + new]
        other = old.translate(str.maketrans("ACGT", "CATG"))
        there = score(tiny_model, world, [("c", at + 1, old, other)], fast=fast)
        back_world = (ToyGenome(c=sequence[:at] + other + sequence[at + new :]), annotation)
        back = score(tiny_model, back_world, [("c", at + 1, other, old)], fast=fast)
        for column in there.filter(regex=r"\.delta").columns:
            # Logits of a few hundredths are differences of float32 sums of several units.
            np.testing.assert_allclose(there[column], -back[column], atol=3e-5 if "logit" in column else TOLERANCE)


@FAST
def test_equivalent_forms_have_identical_scores(tiny_model, fast):
    rng = np.random.default_rng(3)
    sequence = "".join(rng.choice(list("ACGT"), 200)) + "CATTTTTCACACAG" + "".join(rng.choice(list("ACGT"), 200))
    world = (ToyGenome(c=sequence), None)
    s = sequence
    groups = [
        [
            ("c", 203, s[202:204], s[202]),
            ("c", 206, s[205:207], s[205]),
            ("c", 200, s[199:210], s[199:202] + s[203:210]),
        ],
        [("c", 207, "T", "TCA"), ("c", 207, "TCACACA", "TCACACACA"), ("c", 213, "A", "ACA")],
        [("c", 202, "ATT", "AGT"), ("c", 203, "T", "G"), ("c", 203, "t", "g")],
    ]
    for rows in groups:
        table = score(tiny_model, world, rows, annotation=False, strand="both", fast=fast)
        assert (table["status"] == "ok").all()
        scores = table.iloc[:, 9:].to_numpy().reshape(len(rows), 2, -1)
        # A product of matrices may sum a row in another order by its place among the others.
        np.testing.assert_allclose(
            scores, np.broadcast_to(scores[:1], scores.shape), rtol=0, atol=3e-6, err_msg=str(rows)
        )


def test_fast_and_full_agree_on_everything(tiny_model, world):
    rng = np.random.default_rng(8)
    sequence = world[0].sequences["c"]
    rows = []
    for _ in range(60):
        at = int(rng.integers(0, N - 12))
        size, new = int(rng.choice([1, 1, 1, 2, 9])), int(rng.choice([1, 1, 1, 3]))
        rows.append(("c", at + 1, sequence[at : at + size], "".join(rng.choice(list("ACGTN"), new))))
    for options in (
        {"region": "both", "strand": "auto"},
        {"region": "none", "strand": "both"},
        {"shifts": 4, "region": "gtf", "intergenic": "-"},
    ):
        full = score(tiny_model, world, rows, fast=False, **options)
        fast = score(tiny_model, world, rows, fast=True, **options)
        assert list(full.columns) == list(fast.columns)
        assert full.iloc[:, :9].equals(fast.iloc[:, :9])
        np.testing.assert_allclose(fast.iloc[:, 9:], full.iloc[:, 9:], atol=1e-5)


def test_results_do_not_depend_on_company(tiny_model, world):
    rows = [snv(world, p) for p in (150, 400, 600, 601, 900)] + [("c", 601, world[0].sequences["c"][600], "AA")]
    together = score(tiny_model, world, rows)
    alone = [score(tiny_model, world, [row]) for row in rows]
    import pandas as pd

    alone = pd.concat(alone, ignore_index=True)
    assert together.iloc[:, :9].equals(alone.iloc[:, :9])
    np.testing.assert_allclose(together.iloc[:, 9:], alone.iloc[:, 9:], atol=TOLERANCE)


def test_shifts_average_windows(tiny_model, world):
    """Four windows start 2, 1, 0 and -1 nt before the normal one."""
    at = 200
    sequence = world[0].sequences["c"]
    row = snv(world, at)
    mutated = sequence[:at] + row[3] + sequence[at + 1 :]
    found = score(tiny_model, world, [row], region="none", shifts=4)
    expected = {"ref": [], "alt": []}
    for before in (2, 1, 0, -1):
        for name, text in (("ref", sequence), ("alt", mutated)):
            window = encode_sequence(cut(text, at - 74 - before, 150))[None]
            expected[name].append(predict_codes(tiny_model, window)[0])
    ref, alt = np.mean(expected["ref"], axis=0), np.mean(expected["alt"], axis=0)
    for number, task in enumerate(tiny_model.tasks):
        assert found[f"{task}.ref"][0] == pytest.approx(ref[number], abs=TOLERANCE)
        assert found[f"{task}.delta"][0] == pytest.approx(alt[number] - ref[number], abs=TOLERANCE)
    assert list(VariantOptions(shifts=3).offsets) == [-1, 0, 1]
    assert list(VariantOptions(shifts=1).offsets) == [0]


def test_region_both_adds_the_delta_without_region_types(tiny_model, world):
    rows = [snv(world, 200), snv(world, 600)]
    both = score(tiny_model, world, rows, region="both")
    with_gtf = score(tiny_model, world, rows, region="gtf")
    without = score(tiny_model, world, rows, region="none")
    task = tiny_model.tasks[0]
    np.testing.assert_allclose(both[f"{task}.delta"], with_gtf[f"{task}.delta"], atol=TOLERANCE)
    np.testing.assert_allclose(both[f"{task}.delta_noregion"], without[f"{task}.delta"], atol=TOLERANCE)
    assert np.abs(both[f"{task}.delta"] - both[f"{task}.delta_noregion"]).max() > 1e-5


@pytest.mark.parametrize(
    ("strand", "intergenic", "expected"),
    [
        ("+", "skip", [("+", "PLUS"), ("+", "")]),
        ("-", "skip", [("-", "MINUS"), ("-", "")]),
        ("both", "skip", [("+", "PLUS"), ("-", "MINUS"), ("+", ""), ("-", "")]),
        ("auto", "skip", [("+", "PLUS"), ("-", "MINUS"), (".", "")]),
        ("auto", "+", [("+", "PLUS"), ("-", "MINUS"), ("+", "")]),
        ("auto", "both", [("+", "PLUS"), ("-", "MINUS"), ("+", ""), ("-", "")]),
    ],
)
def test_strand_options(tiny_model, world, strand, intergenic, expected):
    table = score(tiny_model, world, [snv(world, 600), snv(world, 20)], strand=strand, intergenic=intergenic)
    assert list(zip(table["strand"], table["genes"], strict=True)) == expected


def test_several_models(tiny_model, world):
    other = random_model(tasks=("A", "B"), seed=3, inputs="sequence", sequence_length=200)
    object.__setattr__(other.spec, "name", "DeepRiPe/other")
    rows = [snv(world, 200), snv(world, 600)]
    table = score([tiny_model, other], world, rows)
    assert f"{tiny_model.name}:{tiny_model.tasks[0]}.ref" in table.columns
    single = score(other, world, rows)
    np.testing.assert_allclose(table["DeepRiPe/other:B.delta"], single["B.delta"], atol=TOLERANCE)
    with pytest.raises(InputError, match="each once"):
        score([tiny_model, tiny_model], world, rows)


def test_models_with_one_trunk_score_as_alone(tiny_model, world):
    rows = [snv(world, 200), snv(world, 600), ("c", 300, world[0].sequences["c"][299:302], "T"), snv(world, 20)]
    rows += [snv(world, p) for p in range(620, 640)]  # near each other
    other = random_model(tasks=("A",), seed=3, inputs="sequence", sequence_length=200)
    object.__setattr__(other.spec, "name", "DeepRiPe/other")
    cut_off = random_model(tasks=("X", "Y"), seed=4)
    object.__setattr__(cut_off.spec, "name", "DeepRiPe/cut")
    for layer in cut_off.keras_model.layers[:-1]:
        layer.set_weights(tiny_model.keras_model.get_layer(layer.name).get_weights())
    models = [tiny_model, other, cut_off]
    options = {"strand": "both", "shifts": 2, "region": "both"}
    together = score(models, world, rows, **options)
    assert len(VariantScorer(models, *world, VariantOptions(**options)).networks) == 2
    for model in models:
        alone = score(model, world, rows, **options)
        for name in alone.columns[9:]:
            np.testing.assert_allclose(together[f"{model.name}:{name}"], alone[name], atol=1e-5)


@FAST
def test_models_share_windows_of_one_length(tiny_model, world, fast, monkeypatch):
    models = [tiny_model, random_model(tasks=("A",), seed=3), random_model(tasks=("B",), seed=4)]
    for name, model in zip("yz", models[1:], strict=True):
        object.__setattr__(model.spec, "name", f"DeepRiPe/{name}")
    sequence = world[0].sequences["c"]
    rows = [snv(world, 200), ("c", 300, sequence[299:302], "T"), ("c", 310, sequence[309], "GATTACA")]
    fetched = []

    def counted(method):
        def fetch(self, chroms, starts, length, minus=False):
            fetched.append(length)
            return method(self, chroms, starts, length, minus)

        return fetch

    monkeypatch.setattr(ToyGenome, "fetch", counted(ToyGenome.fetch))
    monkeypatch.setattr(ToyAnnotation, "region_codes", counted(ToyAnnotation.region_codes))
    score(tiny_model, world, rows, fast=fast)
    alone = sorted(fetched)
    fetched.clear()
    score(models, world, rows, fast=fast)
    assert sorted(fetched) == alone
    assert {150, 250} <= set(alone)


def test_options_are_checked():
    with pytest.raises(UnknownNameError, match=r"unknown region option 'gft'\. Did you mean 'gtf'"):
        VariantOptions(region="gft")
    with pytest.raises(UnknownNameError, match="unknown score 'detla'"):
        VariantOptions(scores=("detla",))
    with pytest.raises(InputError, match="shifts: expected a whole number from 1"):
        VariantOptions(shifts=0)


def test_unknown_strand(tiny_model, world):
    with pytest.raises(UnknownNameError, match="unknown strand 'plus'"):
        score(tiny_model, world, [snv(world, 200)], strand="plus")


def test_classes():
    ref = np.array([0.9, 0.1, 0.9, 0.55, 0.2, 0.5, np.nan, 0.58], np.float32)
    alt = np.array([0.1, 0.9, 0.6, 0.95, 0.4, 0.55, np.nan, 0.5], np.float32)
    expected = ["lost", "gained", "weakened", "strengthened", "strengthened", "none", "", "none"]
    assert list(class_names(class_codes(ref, alt))) == expected
    assert list(class_names(class_codes(ref, alt, delta_threshold=0.05)))[-1] == "lost"
    assert set(expected) - {""} <= set(CLASSES)


def test_percentiles():
    background = (np.array([0.0, 50.0, 100.0]), np.array([[0.0, 0.1, 0.5], [0.0, 0.01, 0.2]], np.float32))
    delta = np.array([[-0.1, 0.005], [0.3, 0.9]], np.float32)
    np.testing.assert_allclose(percentiles(delta, background), [[50, 25], [75, 100]], atol=1e-4)
    assert np.isnan(percentiles(delta, None)).all()


def test_class_and_percentile_columns(tiny_model, world):
    table = score(tiny_model, world, [snv(world, 200), snv(world, 20)], scores=("delta", "class", "percentile"))
    task = tiny_model.tasks[0]
    fields = ["ref", "alt", "delta", "delta_logit", "class", "percentile"]
    assert list(table.columns[9:15]) == [f"{task}.{f}" for f in fields]
    assert table[f"{task}.class"][0] in CLASSES
    assert table[f"{task}.class"][1] == ""
    assert table[f"{task}.percentile"].isna().all()  # the toy model ships no background


def test_dense_variants_share_work_and_agree(tiny_model, world):
    sequence = world[0].sequences["c"]
    rows = [("c", p + 1, sequence[p], "A,C,G,T") for p in range(420, 640)]
    rows += [("c", p + 1, sequence[p : p + 2], sequence[p]) for p in range(430, 440)]
    rows += [snv(world, p) for p in (150, 900, 1000)]
    rng = np.random.default_rng(0)
    rows = [rows[i] for i in rng.permutation(len(rows))]
    for options in ({"strand": "both"}, {"strand": "auto", "region": "none", "shifts": 2}):
        full = score(tiny_model, world, rows, fast=False, **options)
        fast = score(tiny_model, world, rows, fast=True, **options)
        assert full.iloc[:, :9].equals(fast.iloc[:, :9])
        np.testing.assert_allclose(fast.iloc[:, 9:], full.iloc[:, 9:], atol=1e-5)
        same = fast["ref"] == fast["alt"]
        assert (fast[same].filter(regex=r"\.delta") == 0).all(axis=None)
    from ripe_lib.variants.scorer import _grouped

    genome, annotation = world
    scorer = VariantScorer([tiny_model], genome, annotation, VariantOptions(strand="both"))
    placed = scorer.rows(records(*rows))
    groups = list(_grouped(placed))
    assert sorted(np.concatenate([rows for rows, *_ in groups])) == list(range(len(placed)))
    assert [near for *_, near in groups] == [False, True, True]
