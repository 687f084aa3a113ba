"""Which rows a run trains on: all of them, or the paper's three ways for a single task (Fig. 5, Supp. Fig. S5)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError, check_known
from ripe_lib.evaluation.dataset import SPLITS, Dataset

NEGATIVES = ("own", "other_sites", "unbound")
LOCUS = 20_000  # nt
BALANCE = ("none", "oversample_positives", "subsample_negatives")


@dataclass(frozen=True)
class SamplingOptions:
    """Rows of a run."""

    # "own": the data set's labels as they are. For a single task also "other_sites" (rows where another task is
    # positive and this one is not) and "unbound" (rows without any positive).
    negatives: str = "own"
    # For a single task: "oversample_positives" or "subsample_negatives" to equal numbers. The paper's strategies:
    # (1) other_sites + oversample_positives, (2) unbound, (3) other_sites + subsample_negatives.
    balance: str = "none"
    background: float = 1.0  # share of the training rows without any positive that each epoch draws anew, (0 to 1]
    # The same for all rows of a source, by its name, e.g. {rbp24: 0.5}: a source with many more sites per experiment
    # would otherwise decide what the network looks at.
    sources: dict[str, float] = field(default_factory=dict)
    # Where more than this many positives of a task lie within 20 kb, an epoch draws about this many of them: one
    # crowded intron must not stand for a protein. 0: no limit.
    per_locus: int = 0
    # Only rows that one of the run's own tasks has as a site, in training and validation: a tier of the paper tells
    # its proteins apart, and is measured, on these.
    bound_only: bool = False
    # Several tiers learned by one network: groups of tasks, for each of which "bound_only" holds by itself. A row says
    # something of a group's tasks only if one of them has it as a site. Default: the run's tasks are one group; tasks
    # outside of all groups learn from every row.
    groups: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        check_known("sampling negatives", self.negatives, NEGATIVES)
        check_known("sampling balance", self.balance, BALANCE)
        if self.per_locus < 0:
            raise InputError(f"sampling: expected per_locus >= 0, got {self.per_locus}.")
        if self.groups and not self.bound_only:
            raise InputError("sampling: groups say where bound_only holds; expected it to be true with them.")
        for name, share in {"background": self.background, **self.sources}.items():
            if not isinstance(share, int | float) or not 0 < share <= 1:
                raise InputError(f"sampling: expected a share above 0 and up to 1 for {name}, got {share!r}.")


def labels_and_rows(
    dataset: Dataset, columns: list[int], options: SamplingOptions, seed: int
) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]:
    """Return labels (N, T) int8 of the chosen tasks, training rows and validation rows.

    A row that is oversampled is in the training rows more than once. Validation rows are never balanced.

    Parameters
    ----------
    dataset : Dataset
    columns : list of int
        Of the tasks.
    options : SamplingOptions
        If they want one task and there are several, that is an InputError.
    seed : int
    """
    labels = dataset.labels[:, columns]
    train, valid = (np.flatnonzero(dataset.split == SPLITS.index(name)) for name in ("train", "valid"))
    if (options.negatives, options.balance) == ("own", "none"):
        return labels, train, valid
    if len(columns) != 1:
        raise InputError(
            f"sampling: {options.negatives!r} with {options.balance!r} needs exactly one task, got {len(columns)}."
        )
    if options.negatives != "own":
        labels = labels.copy()
        bound = (dataset.labels == 1).any(axis=1)
        unlabelled = labels[:, 0] != 1
        wanted = bound if options.negatives == "other_sites" else ~bound
        labels[unlabelled, 0] = np.where(wanted[unlabelled], 0, -1)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5A3B]))
    positive, negative = train[labels[train, 0] == 1], train[labels[train, 0] == 0]
    if options.balance != "none" and 0 < len(positive) < len(negative):
        if options.balance == "oversample_positives":
            positive = np.concatenate([positive, rng.choice(positive, len(negative) - len(positive))])
        else:
            negative = rng.choice(negative, len(positive), replace=False)
        train = np.sort(np.concatenate([positive, negative]))
    return labels, train, valid


def row_shares(dataset: Dataset, options: SamplingOptions) -> NDArray[np.float32]:
    """Return the share of each row's kind (N,) that an epoch draws."""
    shares = np.where((dataset.labels == 1).any(axis=1), 1.0, options.background).astype(np.float32)
    for name, share in options.sources.items():
        check_known("source", name, dataset.sources)
        shares[dataset.source_index == dataset.sources.index(name)] = share
    if options.per_locus:
        shares *= _locus_shares(dataset, options.per_locus)
    return shares


def _locus_shares(dataset: Dataset, most: int) -> NDArray[np.float32]:
    """Return ``most`` / (positives of the row's most crowded task in its 20 kb), at most 1, of every row (N,)."""
    frame = dataset.intervals
    place = frame["chrom"] + frame["strand"] + (frame["start"] // LOCUS).astype(str)
    locus = pd.factorize(place)[0]
    positive = dataset.labels == 1
    crowd = np.zeros(len(locus), dtype=np.int64)
    for task in range(positive.shape[1]):
        counts = np.bincount(locus[positive[:, task]], minlength=locus.max() + 1)
        crowd[positive[:, task]] = np.maximum(crowd[positive[:, task]], counts[locus[positive[:, task]]])
    return np.minimum(1.0, most / np.maximum(crowd, 1)).astype(np.float32)
