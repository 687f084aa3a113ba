"""Training batches: shuffled, augmented codes. Everything random depends on (seed, epoch) alone.

Rows leave as bytes and become one-hot arrays inside the graph, so a batch costs 1/16 of the memory traffic and a
data set larger than memory is read through its memory map.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.genome.encoding import UNKNOWN, Codes
from training.data.sites import core

BLOCK = 4096  # rows drawn, read and augmented at once; a multiple of usual batch sizes is not needed


@dataclass(frozen=True)
class AugmentOptions:
    """What is changed at random in every epoch. All chances are independent of the row's source and labels."""

    jitter: int = 0  # windows are shifted by up to this many nt either way, at most the data set's margin
    # Chance that everything outside the central 101 nt becomes unknown, so that models work with and without real
    # flanks. Applied before the shift: a masked site with flanks looks exactly like a 101-nt window.
    flank_mask: float = 0.0
    # Rows with real flanks are shifted by up to this many nt before their flanks are masked, so that neither the site's
    # borders (RNase T1 cuts them after G) nor the edge of a mask says where the site was called. Windows of 101 nt
    # cannot be: they are centred on a cross-link, and have nothing to shift into.
    site_jitter: int = 0
    region_dropout: float = 0.0  # chance that region types and landmarks become unknown together (no GTF)
    # Chance that the region track is cut to the central 101 nt; default as flank_mask, in the same rows.
    region_flank_mask: float | None = None
    landmark_dropout: float = 0.0  # chance that landmarks alone become unknown

    def __post_init__(self) -> None:
        chances = [self.flank_mask, self.region_dropout, self.landmark_dropout, self.region_flank_mask or 0.0]
        if min(self.jitter, self.site_jitter) < 0 or min(chances) < 0 or max(chances) > 1:
            raise InputError(f"augment: expected jitters >= 0 and chances from 0 to 1, got {vars(self)}.")


def mask_flanks(codes: Codes, rows: NDArray[np.bool_]) -> Codes:
    """Return codes (n, W) where rows with ``rows`` true keep only their central 101 positions."""
    middle, masked = core(codes.shape[1]), codes.copy()
    masked[rows, : middle.start] = UNKNOWN
    masked[rows, middle.stop :] = UNKNOWN
    return masked


def cut_windows(codes: Codes, length: int, margin: int, shift: NDArray[np.int64]) -> Codes:
    """Return windows (n, length), each row moved by its shift.

    Parameters
    ----------
    codes : uint8 array (n, length + 2 margin)
        RNA sense.
    length, margin : int
        In nt.
    shift : int64 array (n,)
        To the right (towards 3'), at most ``margin`` either way.
    """
    if not shift.any():
        return codes[:, margin : margin + length]
    windows = np.lib.stride_tricks.sliding_window_view(codes, length, axis=1)
    return windows[np.arange(len(codes)), margin + shift]


class Batch(NamedTuple):
    """Augmented rows: base codes (B, L), region codes (B, R), landmark distances (B, 8), label codes (B, T)."""

    seq: Codes
    region: Codes
    landmarks: NDArray[np.float32]
    labels: NDArray[np.uint8]


def augment(rows: Batch, dataset: Dataset, options: AugmentOptions, rng: np.random.Generator) -> Batch:
    """Return augmented windows of rows with margins.

    Parameters
    ----------
    rows : Batch
        Codes with margins, distances, labels.
    dataset : Dataset
        Has the lengths of windows and margins.
    options : AugmentOptions
    rng : Generator
    """
    seq, region, landmarks, labels = rows
    n, length, region_length = len(seq), dataset.sequence_length, dataset.region_length
    jitter, margin = options.jitter, dataset.margin
    shift = rng.integers(-jitter, jitter, size=n, endpoint=True, dtype=np.int64)
    flanks, dropout = rng.random(n), rng.random(n)
    if options.site_jitter:
        site_shift = rng.integers(-options.site_jitter, options.site_jitter, size=n, endpoint=True, dtype=np.int64)
        known = seq != UNKNOWN
        known[:, core(seq.shape[1])] = False
        site_shift[~known.any(axis=1)] = 0  # a window of 101 nt
        seq = cut_windows(seq, length + 2 * jitter, margin - jitter, site_shift)
        region = cut_windows(region, region_length + 2 * jitter, margin - jitter, site_shift)
        landmarks = landmarks - site_shift[:, None]
        margin = jitter
    if options.flank_mask:
        seq = mask_flanks(seq, flanks < options.flank_mask)
    region_chance = options.flank_mask if options.region_flank_mask is None else options.region_flank_mask
    if region_chance:
        region = mask_flanks(region, flanks < region_chance)
    seq, region = cut_windows(seq, length, margin, shift), cut_windows(region, region_length, margin, shift)
    # The window's centre moves downstream; which landmark is nearest changes too rarely to matter.
    landmarks = landmarks - shift[:, None]
    if options.region_dropout:
        region = region.copy()
        region[dropout < options.region_dropout] = UNKNOWN
        landmarks[dropout < options.region_dropout] = np.nan
    if options.landmark_dropout:
        landmarks[rng.random(n) < options.landmark_dropout] = np.nan
    return Batch(seq, region, landmarks.astype(np.float32), labels)


class EpochBatches:
    """The batches of one epoch.

    Parameters
    ----------
    dataset : Dataset
    rows : int64 (n,)
        Training rows; a row given twice is drawn twice.
    codes : uint8 (N, T)
        Label codes of all rows of the data set (:func:`training.fitting.losses.label_codes`).
    batch_size : int
        The last, smaller batch is kept.
    options : AugmentOptions
    seed : int
    share : float32 (N,), optional
        Share of the rows like this one (rows with equal values) that an epoch draws, other ones in every epoch.
        Default: all rows.
    """

    def __init__(
        self,
        dataset: Dataset,
        rows: NDArray[np.int64],
        codes: NDArray[np.uint8],
        batch_size: int,
        options: AugmentOptions,
        seed: int,
        share: NDArray[np.float32] | None = None,
    ) -> None:
        jitter = options.jitter + options.site_jitter
        if jitter > dataset.margin:
            raise InputError(
                f"augment: jitter {jitter} is larger than the margin of {dataset.path} ({dataset.margin}). "
                "Prepare the data set with a larger margin."
            )
        self.dataset, self.codes = dataset, codes
        shares = np.ones(len(rows)) if share is None else share[rows]
        self.strata = [(rows[shares == value], float(value)) for value in np.unique(shares)[::-1]]
        self.batch_size, self.options, self.seed = batch_size, options, seed
        self.n_rows = sum(round(value * len(some)) for some, value in self.strata)  # of an epoch

    def __len__(self) -> int:
        return -(-self.n_rows // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of epoch number ``epoch``."""
        rng = np.random.default_rng([self.seed, epoch, 0xB47C])
        drawn_rows = [
            rows if share == 1 else rng.choice(rows, round(share * len(rows)), replace=False)
            for rows, share in self.strata
        ]
        order = rng.permutation(np.concatenate(drawn_rows))
        block = max(1, BLOCK // self.batch_size) * self.batch_size
        for first in range(0, len(order), block):
            drawn = order[first : first + block]
            # Ascending rows: a memory map on disk is read forwards.
            ascending = np.argsort(drawn, kind="stable")
            sorted_rows, back = drawn[ascending], np.argsort(ascending)
            rows = Batch(
                self.dataset.seq_codes(sorted_rows)[back],
                self.dataset.region_codes(sorted_rows)[back],
                self.dataset.landmarks(drawn),
                self.codes[drawn],
            )
            whole = augment(rows, self.dataset, self.options, rng)
            for start in range(0, len(drawn), self.batch_size):
                yield Batch._make(array[start : start + self.batch_size] for array in whole)
