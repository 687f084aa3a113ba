"""Batches: every row once, the same for the same (seed, epoch), and what augmentation may change."""

import numpy as np
import pytest

from ripe_lib.errors import InputError, UnknownNameError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.genome.encoding import UNKNOWN
from tests.support.toy_datasets import write_toy_dataset
from training.fitting.batches import (
    AugmentOptions,
    EpochBatches,
    cut_windows,
    mask_flanks,
)
from training.fitting.losses import POSITIVE, label_codes
from training.fitting.sampling import SamplingOptions, row_shares


@pytest.fixture
def dataset(tmp_path, rng):
    return Dataset(write_toy_dataset(tmp_path / "toy.h5", rng, n=300, margin=30, sources=("clip31", "rbp24")))


def batches(dataset, **options):
    codes = np.arange(len(dataset), dtype=np.uint16)[:, None]  # the row's number travels with it
    return EpochBatches(dataset, dataset.indices("train"), codes, 32, AugmentOptions(**options), seed=3)


def collect(maker, epoch):
    parts = list(maker.epoch(epoch))
    assert len(parts) == len(maker)
    return [np.concatenate([getattr(part, name) for part in parts]) for name in ("seq", "region", "labels")]


def test_plain_batches_are_the_shuffled_centred_rows(dataset):
    seq, region, rows = collect(batches(dataset), 1)
    assert sorted(rows[:, 0]) == dataset.indices("train").tolist()
    assert rows[:, 0].tolist() != dataset.indices("train").tolist()
    expected_seq, expected_region = dataset.centred_codes(slice(None))
    np.testing.assert_array_equal(seq, expected_seq[rows[:, 0]])
    np.testing.assert_array_equal(region, expected_region[rows[:, 0]])


def test_epochs_differ_and_repeat(dataset):
    maker = batches(dataset, jitter=30, flank_mask=0.5, region_dropout=0.3)
    first, again, second = collect(maker, 1), collect(maker, 1), collect(maker, 2)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first[2] != second[2]).any()


def test_jitter_is_a_shift_of_both_tracks_within_the_margin(dataset):
    maker = batches(dataset, jitter=30)
    seq, region, rows = collect(maker, 4)
    shifts = []
    for s, r, row in zip(seq, region, rows[:, 0], strict=True):
        whole_seq, whole_region = dataset.seq_codes([row])[0], dataset.region_codes([row])[0]
        (first,) = [f for f in range(61) if (whole_seq[f : f + 150] == s).all()]
        np.testing.assert_array_equal(whole_region[first : first + 250], r)
        shifts.append(first - 30)
    assert min(shifts) < -24
    assert max(shifts) > 24


def with_landmarks(tmp_path, rng):
    distances = rng.integers(-5000, 5000, (300, 8)).astype(np.float32)
    distances[:, 3] = np.nan
    return Dataset(write_toy_dataset(tmp_path / "l.h5", rng, n=300, margin=30, landmarks=distances)), distances


def test_landmarks_come_nearer_as_the_window_moves_downstream(tmp_path, rng):
    dataset, distances = with_landmarks(tmp_path, rng)
    maker = batches(dataset, jitter=20, site_jitter=10)
    moved = 0
    for batch in maker.epoch(2):
        for seq, landmarks, row in zip(batch.seq, batch.landmarks, batch.labels[:, 0], strict=True):
            (first,) = [f for f in range(61) if (dataset.seq_codes([row])[0, f : f + 150] == seq).all()]
            np.testing.assert_array_equal(landmarks, distances[row] - (first - 30))
            moved += first != 30
    assert moved > 100
    np.testing.assert_array_equal(dataset.landmarks(slice(None)), distances)  # the data set's own stay


def test_without_a_gtf_region_types_and_landmarks_go_together(tmp_path, rng):
    dataset, _ = with_landmarks(tmp_path, rng)
    parts = list(batches(dataset, region_dropout=0.4).epoch(1))
    landmarks, region = (np.concatenate([getattr(p, name) for p in parts]) for name in ("landmarks", "region"))
    gone = np.isnan(landmarks).all(axis=1)
    assert 0.3 < gone.mean() < 0.5
    np.testing.assert_array_equal(gone, (region == UNKNOWN).all(axis=1))
    parts = list(batches(dataset, landmark_dropout=0.4).epoch(1))
    landmarks, region = (np.concatenate([getattr(p, name) for p in parts]) for name in ("landmarks", "region"))
    assert 0.3 < np.isnan(landmarks).all(axis=1).mean() < 0.5
    assert (region != UNKNOWN).all()


def test_site_jitter_moves_rows_with_flanks_only_and_before_masking(tmp_path, rng):
    path = write_toy_dataset(tmp_path / "toy.h5", rng, n=300, margin=30)
    dataset = Dataset(path)
    whole = dataset.seq_codes(slice(None)).copy()
    whole[::2] = mask_flanks(whole, np.ones(300, dtype=bool))[::2]  # every other row is a ready 101-nt window
    dataset._seq = whole
    seq, _, rows = collect(batches(dataset, site_jitter=30, flank_mask=1.0), 2)
    assert ((seq[:, 24:125] != UNKNOWN).all(axis=1) & (seq[:, :24] == UNKNOWN).all(axis=1)).all()
    shifts = []
    for s, row in zip(seq[:, 24:125], rows[:, 0], strict=True):
        (first,) = [f for f in range(110) if (whole[row, f : f + 101] == s).all()]
        assert row % 2 or first == 54
        shifts.append(first - 54)
    assert min(shifts) < -24
    assert max(shifts) > 24


def test_masks_are_as_frequent_in_either_source(dataset):
    maker = batches(dataset, flank_mask=0.5, region_dropout=0.25)
    masked, dropped = [], []
    for epoch in range(20):
        seq, region, rows = collect(maker, epoch)
        source = dataset.source_index[rows[:, 0]]
        cut = (seq[:, :24] == UNKNOWN).all(axis=1) & (seq[:, 125:] == UNKNOWN).all(axis=1)
        assert ((seq[:, 24:125] != UNKNOWN).all(axis=1)).all()
        gone = (region == UNKNOWN).all(axis=1)
        masked.append([cut[source == s].mean() for s in (0, 1)])
        dropped.append([gone[source == s].mean() for s in (0, 1)])
        known = ~cut & ~gone & (source == 0)
        assert (region[known] != UNKNOWN).all()
    np.testing.assert_allclose(np.mean(masked, axis=0), [0.5, 0.5], atol=0.05)
    np.testing.assert_allclose(np.mean(dropped, axis=0), [0.25, 1.0], atol=0.05)


def test_a_masked_site_with_flanks_looks_like_a_ready_window():
    codes = np.zeros((2, 230), dtype=np.uint8)
    masked = mask_flanks(codes, np.array([True, False]))
    assert (masked[0] == UNKNOWN).sum() == 230 - 101
    windows = cut_windows(masked, 150, 40, np.array([0, 5]))
    assert np.flatnonzero(windows[0] != UNKNOWN).tolist() == list(range(24, 125))
    assert (windows[1] == 0).all()


def test_region_flanks_can_be_masked_apart(dataset):
    _, region, rows = collect(batches(dataset, flank_mask=0.0, region_flank_mask=1.0), 0)
    own = dataset.source_index[rows[:, 0]] == 0
    assert ((region[own] != UNKNOWN).sum(axis=1) == 101).all()


def test_wrong_options(dataset):
    with pytest.raises(InputError, match=r"jitter 31 is larger than the margin of .*toy\.h5 \(30\)"):
        batches(dataset, jitter=31)
    with pytest.raises(InputError, match="chances from 0 to 1"):
        AugmentOptions(flank_mask=1.5)


def test_seeds_and_epochs_draw_apart(dataset):
    rows, codes = dataset.indices("train"), np.arange(len(dataset))[:, None]
    orders = set()
    for seed in range(5):
        maker = EpochBatches(dataset, rows, codes, len(rows), AugmentOptions(), seed)
        orders |= {tuple(batch.labels[:, 0]) for epoch in range(5) for batch in maker.epoch(epoch)}
    assert len(orders) == 25


def test_each_epoch_draws_all_sites_and_a_fresh_share_of_the_background(dataset):
    shares = row_shares(dataset, SamplingOptions(background=0.25))
    codes = label_codes(dataset.labels, dataset.source_index, dataset.source_has_task, soft_unknown=False)
    sites = (dataset.labels == 1).any(axis=1)
    batches = EpochBatches(dataset, np.arange(len(codes)), codes, 16, AugmentOptions(), 3, share=shares)
    for number in (1, 2):
        drawn = [labels for *_, labels in batches.epoch(number)]
        assert len(drawn) == len(batches)
        n_sites = sum(int((labels == POSITIVE).any(axis=1).sum()) for labels in drawn)
        assert n_sites == sites.sum()
        assert sum(map(len, drawn)) == n_sites + round(0.25 * (~sites).sum()) == batches.n_rows
    draws = [np.concatenate([seq for seq, *_ in batches.epoch(number)]) for number in (1, 2)]
    assert {s.tobytes() for s in draws[0]} != {s.tobytes() for s in draws[1]}


def test_a_source_can_be_drawn_less(dataset):
    name = dataset.sources[0]
    shares = row_shares(dataset, SamplingOptions(sources={name: 0.5}))
    of_source = dataset.source_index == 0
    assert (shares[of_source] == 0.5).all()
    assert (shares[~of_source] == 1).all()
    with pytest.raises(UnknownNameError, match="unknown source 'nosuch'"):
        row_shares(dataset, SamplingOptions(sources={"nosuch": 0.5}))
    with pytest.raises(InputError, match="expected a share above 0"):
        SamplingOptions(sources={name: 2.0})
