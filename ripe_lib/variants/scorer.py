"""Scores of both alleles, one row per ALT and strand, with as little computing as is exact.

Reference windows that several alleles share are computed once; models with equal windows share the arrays, and those
that differ in their last two layers only are one network (:mod:`ripe_lib.network.joint`). For substitutions of one base
only what can change is recomputed (:mod:`ripe_lib.network.fast`), indels and longer substitutions get a pass of their
own. ``delta`` is always alt - ref.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from ripe_lib.errors import InputError
from ripe_lib.genome.alleles import OK, canonical_alleles
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import COMPLEMENT, Codes
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.vcf import VcfRecords
from ripe_lib.network.joint import joint_models
from ripe_lib.network.load import Model
from ripe_lib.network.spec import ModelSpec
from ripe_lib.output.console import steps
from ripe_lib.variants.options import VariantOptions
from ripe_lib.variants.rows import (
    Genes,
    Rows,
    alternative_region,
    alternative_sequence,
    place_rows,
    reference_codes,
    substituted_position,
    window_starts,
)
from ripe_lib.variants.summary import class_codes, load_background, percentiles

Logits = NDArray[np.float32]
Indices = NDArray[np.intp]
_SITES_AT_A_TIME = 512  # reference windows whose intermediates are kept: about 15 MB with the paper's sizes
_NEAR, _MANY = 32, 32  # nt between places that share work, and how many there must be


@dataclass
class ScoredVariants:
    """Scores of a batch of records.

    Attributes
    ----------
    rows : Rows
        What was scored, the rows of the table.
    models : list of Model
    options : VariantOptions
    values : list of float32 (R, T, F)
        Per model; NaN where nothing could be scored. ``class`` is an index into
        :data:`ripe_lib.variants.summary.CLASSES`.
    """

    rows: Rows
    models: list[Model]
    options: VariantOptions
    values: list[NDArray[np.float32]]

    @cached_property
    def fields(self) -> list[str]:
        """The F columns per task."""
        return self.options.fields

    def take(self, rows: Indices) -> ScoredVariants:
        """Return some of the rows."""
        return replace(self, rows=self.rows.take(rows), values=[values[rows] for values in self.values])


class VariantScorer:
    """Scores batches of records with models of different names.

    Without an annotation region types and landmarks are unknown.
    """

    def __init__(
        self, models: Sequence[Model], genome: Genome, annotation: Annotation | None, options: VariantOptions
    ) -> None:
        names = [model.name for model in models]
        if not names or len(set(names)) != len(names):
            raise InputError(f"models: expected at least one and each once, got {names}.")
        self.models = list(models)
        self.genome, self.annotation, self.options = genome, annotation, options
        self.genes = None if annotation is None else Genes(annotation)
        self._reading = threading.Lock()
        self._longest = max(max(m.spec.sequence_length, m.spec.region_length) for m in models)
        self.networks = joint_models(self.models)
        for network in self.networks:
            _ = network.model.network.fast  # made before threads ask for it
        wants_background = "percentile" in options.scores
        self._backgrounds = [load_background(model) if wants_background else None for model in models]

    def fetch(self, *place: Any) -> Codes:
        """Return windows of the genome (:meth:`Genome.fetch`), whose file is read by one thread at a time."""
        with self._reading:
            return self.genome.fetch(*place)

    def rows(self, records: VcfRecords, genome: Genome | None = None) -> Rows:
        """Return the rows of a batch, not scored yet; another thread gives a genome of its own."""
        alleles = canonical_alleles(records, genome or self.genome, max_inserted=self._longest)
        return place_rows(alleles, self.genes, strand=self.options.strand, intergenic=self.options.intergenic)

    def score(self, records: VcfRecords) -> ScoredVariants:
        """Score a batch of records."""
        return self.score_rows(self.rows(records))

    def score_rows(self, rows: Rows) -> ScoredVariants:
        """Score rows that were placed (and perhaps chosen) before."""
        scored = ScoredVariants(rows, self.models, self.options, [])
        usable = np.flatnonzero(rows.status == OK)
        placed = rows.take(usable)
        main = self._logits(placed, with_region=self.options.region != "none")
        bare = self._logits(placed, with_region=False) if self.options.region == "both" else None
        for number, model in enumerate(self.models):
            values = np.full((len(rows), len(model.tasks), len(scored.fields)), np.nan, dtype=np.float32)
            values[usable] = self._fields(number, *main[number], None if bare is None else bare[number])
            scored.values.append(values)
        return scored

    def _fields(
        self, number: int, ref_logits: Logits, alt_logits: Logits, bare: tuple[Logits, Logits] | None
    ) -> Logits:
        """Turn logits (K, n, T) of K shifts into the fields (n, T, F)."""
        ref, alt = expit(ref_logits).mean(axis=0), expit(alt_logits).mean(axis=0)
        delta = alt - ref
        found = {"ref": ref, "alt": alt, "delta": delta, "delta_logit": (alt_logits - ref_logits).mean(axis=0)}
        if bare is not None:
            found["delta_noregion"] = expit(bare[1]).mean(axis=0) - expit(bare[0]).mean(axis=0)
        if "class" in self.options.scores:
            found["class"] = class_codes(ref, alt, self.options.delta_threshold, self.options.site_threshold)
        if "percentile" in self.options.scores:
            found["percentile"] = percentiles(delta, self._backgrounds[number])
        return np.stack([found[name] for name in self.options.fields], axis=-1)

    def _logits(self, placed: Rows, *, with_region: bool) -> list[tuple[Logits, Logits]]:
        """Return per model the logits (K, n, T) of reference and alternative of n rows for K shifts.

        ``with_region`` uses region types and landmarks of the annotation, where the model takes them.
        """
        shifts, n = self.options.offsets, len(placed)
        results = [np.empty((2, len(shifts), n, len(one.model.tasks)), np.float32) for one in self.networks]
        for group in steps(_grouped(placed), "scoring", unit="place", leave=False):
            rows = placed.take(group.rows)
            for k, shift in enumerate(shifts):
                windows = _Windows(self, rows, group, shift, with_region)
                for network, found in zip(self.networks, results, strict=True):
                    found[:, k, group.rows] = self._alleles(network.model, windows)
        of_model: dict[int, tuple[Logits, Logits]] = {}
        for network, (ref, alt) in zip(self.networks, results, strict=True):
            of_model.update({number: (ref[..., columns], alt[..., columns]) for number, columns in network.members})
        return [of_model[number] for number in range(len(self.models))]

    def _alleles(self, model: Model, windows: _Windows) -> tuple[Logits, Logits]:
        """Return the logits (rows, T) of reference and alternative: substitutions from what they change."""
        spec, network, inverse, placed = model.spec, model.network, windows.group.inverse, windows.rows
        context = windows.context(spec)
        if windows.group.is_near:
            state = network.neighbours(*windows.stretch(spec.sequence_length), *context)
        else:
            state = network.reference(windows.reference(spec.sequence_length), *context)
        reference = state.logits[inverse]
        alternative, rows = reference.copy(), np.flatnonzero(placed.is_snv)
        if rows.size:
            position, base = windows.substitutions(rows, spec.sequence_length)
            alternative[rows] = network.substitutions(state, inverse[rows], position, base)
        rows = np.flatnonzero(
            ~placed.is_snv & (placed.n_removed + placed.n_inserted > 0)
        )  # these get a pass of their own
        if rows.size:
            landmarks = None if context[1] is None else context[1][inverse[rows]]
            given = *windows.alternative(rows, spec), landmarks
            alternative[rows] = network.logits(*given, batch_size=self.options.batch_size)
        return reference, alternative


class _Group(NamedTuple):
    """Rows of few unique places (contig, start, strand), scored together."""

    rows: Indices
    first: Indices  # of the rows, at each unique place
    inverse: Indices  # each row's place
    is_near: bool  # side by side on one strand


class _Windows:
    """Code windows of a group of rows at one shift, made once per length and shared by the models."""

    def __init__(self, scorer: VariantScorer, rows: Rows, group: _Group, shift: int, with_region: bool) -> None:
        self.group, self.rows, self._unique = group, rows, rows.take(group.first)
        self._fetch, self._shift = scorer.fetch, shift
        self._annotation = scorer.annotation if with_region else None
        self._made: dict[tuple[str, int], Any] = {}

    def _once(self, what: str, length: int, make: Callable[[], Any]) -> Any:
        if (what, length) not in self._made:
            self._made[what, length] = make()
        return self._made[what, length]

    def reference(self, length: int) -> Codes:
        return self._once("seq", length, lambda: reference_codes(self._fetch, self._unique, length, self._shift))

    def stretch(self, length: int) -> tuple[Codes, NDArray[np.int64]]:
        """Return the stretch (N,) that holds all reference windows, RNA sense, and where in it each begins."""
        unique = self._unique
        starts = window_starts(unique, length, self._shift)
        low, high = int(starts.min()), int(starts.max()) + length
        codes = self._fetch(unique.contig[:1], np.array([low]), high - low, unique.minus[:1])[0]
        return codes, high - (starts + length) if unique.minus[0] else starts - low

    def context(self, spec: ModelSpec) -> tuple[Codes | None, NDArray[np.float64] | None]:
        """Return region-type codes and distances to landmarks of the reference, where the model takes them."""
        annotation, unique, length, shift = self._annotation, self._unique, spec.region_length, self._shift
        region = landmarks = None
        if annotation is not None and spec.has_region:
            fetch = annotation.region_codes
            region = self._once("region", length, lambda: reference_codes(fetch, unique, length, shift))
        if annotation is not None and spec.has_landmarks:
            place, distances = (unique.contig, unique.start + shift, unique.minus), annotation.landmark_distances
            landmarks = self._once("landmarks", 0, lambda: distances(*place))
        return region, landmarks

    def alternative(self, rows: Indices, spec: ModelSpec) -> tuple[Codes, Codes | None]:
        """Return sequence and region windows of the alternative allele; the rows are the same for every model."""
        chosen, annotation, length, shift = self.rows.take(rows), self._annotation, spec.sequence_length, self._shift
        seq = self._once("new seq", length, lambda: alternative_sequence(self._fetch, chosen, length, shift))
        if annotation is None or not spec.has_region:
            return seq, None
        fetch, width = annotation.region_codes, spec.region_length
        return seq, self._once("new region", width, lambda: alternative_region(fetch, chosen, width, shift))

    def substitutions(self, rows: Indices, length: int) -> tuple[NDArray[np.int64], Codes]:
        """Return position (in RNA sense) and new base of substitutions."""
        minus, new = self.rows.minus[rows], self.rows.inserted[rows, 0]
        return substituted_position(length, minus, self._shift), np.where(minus, COMPLEMENT[new], new)


def _grouped(placed: Rows) -> Iterator[_Group]:
    """Cut rows into groups.

    Places side by side on one strand are groups of their own, so that their windows can share work; the others follow
    each other in order of appearance.
    """
    if not len(placed):
        return
    contig = pd.factorize(placed.contig)[0]
    key = ((contig * 2 + placed.minus) << 42) + placed.start  # neighbours on a strand have neighbouring keys
    place, keys = pd.factorize(key)
    run_of = _runs(keys)[place]
    order = np.lexsort((place, run_of))
    borders = np.flatnonzero(np.diff(run_of[order])) + 1
    for of_run in np.split(order, borders):
        ranks = pd.factorize(place[of_run])[0]
        cuts = np.searchsorted(ranks, np.arange(_SITES_AT_A_TIME, ranks[-1] + 1, _SITES_AT_A_TIME))
        for rows in np.split(of_run, cuts):
            _, first, inverse = np.unique(place[rows], return_index=True, return_inverse=True)
            yield _Group(rows, first, inverse, bool(run_of[rows[0]] >= 0))


def _runs(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of each place's run of near places, -1 for places that are in none."""
    order = np.argsort(keys)
    run = np.cumsum(np.diff(keys[order], prepend=keys[order[0]]) > _NEAR, dtype=np.int64)
    enough = np.bincount(run) >= _MANY
    found = np.empty_like(run)
    found[order] = np.where(enough[run], run, -1)
    return found
