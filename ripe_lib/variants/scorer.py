"""Scores of both alleles, one row per ALT and strand, with as little computing as is exact.

Reference windows that several alleles share are computed once; models with equal windows share the arrays, and those
that differ in their last two layers only are one network (:mod:`ripe_lib.network.joint`). For substitutions of one base
only what can change is recomputed (:mod:`ripe_lib.network.fast`), indels and longer substitutions get a pass of their
own. ``delta`` is always alt - ref.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from ripe_lib.errors import InputError
from ripe_lib.genome.alleles import IDENTICAL, OK, SNV, canonical_alleles
from ripe_lib.genome.encoding import COMPLEMENT, Codes
from ripe_lib.genome.vcf import VcfRecords
from ripe_lib.network.joint import JointModel, joint_models
from ripe_lib.network.load import Model
from ripe_lib.output.console import steps
from ripe_lib.variants.options import VariantOptions
from ripe_lib.variants.rows import (
    Genes,
    Rows,
    alternative_region,
    alternative_sequence,
    place_rows,
    reference_codes,
    site_landmarks,
    substituted_position,
    window_starts,
)
from ripe_lib.variants.summary import class_codes, load_background, percentiles

if TYPE_CHECKING:
    from ripe_lib.genome.annotation import Annotation
    from ripe_lib.genome.fasta import Genome
    from ripe_lib.network.spec import ModelSpec

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
    fields : list of str
        Columns per task.
    values : list of float32 (R, T, F)
        Per model; NaN where nothing could be scored. ``class`` is an index into
        :data:`ripe_lib.variants.summary.CLASSES`.
    thresholds : (float, float)
        ``delta_threshold`` and ``site_threshold`` of the classes.
    """

    rows: Rows
    models: list[Model]
    fields: list[str]
    values: list[NDArray[np.float32]] = field(default_factory=list)
    thresholds: tuple[float, float] = (0.1, 0.5)


def prefixes(models: Sequence[Model]) -> list[str]:
    """Return what goes before the task names: nothing for one model, else ``<model>:``."""
    return [""] if len(models) == 1 else [f"{model.name}:" for model in models]


class VariantScorer:
    """Scores batches of records with loaded models, genome and annotation.

    Parameters
    ----------
    models : list of Model
        Names must differ.
    genome : Genome
    annotation : Annotation or None
        None: region types and landmarks are unknown.
    options : VariantOptions
        ``fast=False`` runs every window through the whole network of every model: slow, obvious, and what the fast way
        is tested against.
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
        self.reading = threading.Lock()  # the genome's file is read by one thread at a time
        self._longest = max(max(m.spec.sequence_length, m.spec.region_length) for m in models)
        alone = [JointModel(model, [(n, slice(None))]) for n, model in enumerate(self.models)]
        self.networks = joint_models(self.models) if options.fast else alone
        for network in self.networks if options.fast else ():
            _ = network.model.network.fast  # made before threads ask for it
        wants_background = "percentile" in options.scores
        self._backgrounds = [load_background(model) if wants_background else None for model in models]

    def rows(self, records: VcfRecords, genome: Genome | None = None) -> Rows:
        """Return the rows of a batch, not scored yet; another thread gives a genome of its own."""
        alleles = canonical_alleles(records, genome or self.genome, max_inserted=self._longest)
        return place_rows(alleles, self.genes, strand=self.options.strand, intergenic=self.options.intergenic)

    def score(self, records: VcfRecords) -> ScoredVariants:
        """Score a batch of records."""
        return self.score_rows(self.rows(records))

    def score_rows(self, rows: Rows) -> ScoredVariants:
        """Score rows that were placed (and perhaps chosen) before."""
        options = self.options
        scored = ScoredVariants(rows, self.models, options.fields)
        scored.thresholds = (options.delta_threshold, options.site_threshold)
        usable = np.flatnonzero(rows.status == OK)
        placed = rows.take(usable)
        main = self._logits(placed, with_region=options.region != "none")
        bare = self._logits(placed, with_region=False) if options.region == "both" else None
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
        shifts = self.options.offsets
        results = [
            tuple(np.empty((len(shifts), len(placed), len(network.model.tasks)), dtype=np.float32) for _ in range(2))
            for network in self.networks
        ]
        for rows, first, inverse, near in steps(_grouped(placed), "scoring", unit="place", leave=False):
            part = placed.take(rows)
            for k, shift in enumerate(shifts):
                windows = _Windows(self, part, first, inverse, near=near, shift=shift)
                for network, (ref, alt) in zip(self.networks, results, strict=True):
                    ref[k, rows], alt[k, rows] = self._alleles(network.model, windows, with_region)
        of_model: dict[int, tuple[Logits, Logits]] = {}
        for network, (ref, alt) in zip(self.networks, results, strict=True):
            of_model.update({number: (ref[..., columns], alt[..., columns]) for number, columns in network.members})
        return [of_model[number] for number in range(len(self.models))]

    def _alleles(self, model: Model, windows: _Windows, with_region: bool) -> tuple[Logits, Logits]:
        """Return the logits (rows, T) of reference and alternative: substitutions from what they change."""
        spec, network, inverse, kind = model.spec, model.network, windows.inverse, windows.rows.kind
        context = windows.context(spec, with_region)
        whole, batch_size = kind != IDENTICAL, self.options.batch_size  # whole: what gets a pass of its own
        if self.options.fast:
            if windows.near:
                state = network.neighbours(*windows.stretch(spec.sequence_length), *context)
            else:
                state = network.reference(windows.reference(spec.sequence_length), *context)
            reference = state.logits[inverse]
            alternative, rows = reference.copy(), np.flatnonzero(kind == SNV)
            if rows.size:
                position, base = windows.substitutions(rows, spec.sequence_length)
                alternative[rows] = network.substitutions(state, inverse[rows], position, base)
            whole &= kind != SNV
        else:
            codes = windows.reference(spec.sequence_length)
            reference = network.logits(codes, *context, batch_size=batch_size)[inverse]
            alternative = reference.copy()
        rows = np.flatnonzero(whole)
        if rows.size:
            seq, region = windows.alternative(rows, spec.sequence_length, spec.region_length if with_region else 0)
            landmarks = None if context[1] is None else context[1][inverse[rows]]
            alternative[rows] = network.logits(seq, region, landmarks, batch_size=batch_size)
        return reference, alternative


class _Windows:
    """Code windows of a group of rows at one shift, made once per length and shared by the models.

    ``first`` row of each unique place, each row's place (``inverse``); ``near``: side by side on one strand.
    """

    def __init__(
        self, scorer: VariantScorer, rows: Rows, first: Indices, inverse: Indices, *, near: bool, shift: int
    ) -> None:
        self.rows, self.inverse, self.near = rows, inverse, near
        self._scorer, self._unique, self._shift = scorer, rows.take(first), shift
        self._made: dict[tuple[str, int], Codes] = {}
        self._landmarks: NDArray[np.float64] | None = None

    def reference(self, length: int) -> Codes:
        key = ("seq", length)
        if key not in self._made:
            with self._scorer.reading:
                self._made[key] = reference_codes(self._scorer.genome.fetch, self._unique, length, self._shift)
        return self._made[key]

    def stretch(self, length: int) -> tuple[Codes, NDArray[np.int64]]:
        """Return the stretch (N,) that holds all reference windows, RNA sense, and where in it each begins."""
        unique = self._unique
        starts = window_starts(unique, length, self._shift)
        low, high = int(starts.min()), int(starts.max()) + length
        with self._scorer.reading:
            codes = self._scorer.genome.fetch(unique.contig[:1], np.array([low]), high - low, unique.minus[:1])[0]
        return codes, high - (starts + length) if unique.minus[0] else starts - low

    def context(self, spec: ModelSpec, with_region: bool) -> tuple[Codes | None, NDArray[np.float64] | None]:
        """Return region-type codes and distances to landmarks of the reference, where the model takes them."""
        annotation = self._scorer.annotation
        if not with_region or annotation is None:
            return None, None
        key = ("region", spec.region_length)
        if spec.has_region and key not in self._made:
            self._made[key] = reference_codes(annotation.region_codes, self._unique, spec.region_length, self._shift)
        if spec.has_landmarks and self._landmarks is None:
            self._landmarks = site_landmarks(annotation, self._unique, self._shift)
        return self._made.get(key), self._landmarks if spec.has_landmarks else None

    def alternative(self, rows: Indices, length: int, region_length: int) -> tuple[Codes, Codes | None]:
        """Return sequence and region windows of the alternative allele; no region for length 0.

        The rows are the same for every model: what has no shorter way.
        """
        chosen, annotation = self.rows.take(rows), self._scorer.annotation
        keys = ("alternative seq", length), ("alternative region", region_length)
        if keys[0] not in self._made:
            with self._scorer.reading:
                self._made[keys[0]] = alternative_sequence(self._scorer.genome, chosen, length, self._shift)
        if not region_length or annotation is None:
            return self._made[keys[0]], None
        if keys[1] not in self._made:
            self._made[keys[1]] = alternative_region(annotation, chosen, region_length, self._shift)
        return self._made[keys[0]], self._made[keys[1]]

    def substitutions(self, rows: Indices, length: int) -> tuple[NDArray[np.int64], Codes]:
        """Return position (in RNA sense) and new base of substitutions."""
        minus, new = self.rows.minus[rows], self.rows.inserted[rows, 0]
        return substituted_position(length, minus, self._shift), np.where(minus, COMPLEMENT[new], new)


def _grouped(placed: Rows) -> Iterator[tuple[Indices, Indices, Indices, bool]]:
    """Cut rows into groups of few unique places: (contig, start, strand).

    Yields a group's rows, the first of them (within the group) at each unique place, each row's place, and whether the
    places lie side by side. Places that do, on one strand, are groups of their own, so that their windows can share
    work; the others follow each other in order of appearance.
    """
    if not len(placed.start):
        return

    contig = pd.factorize(placed.contig)[0]
    key = ((contig * 2 + placed.minus) << 42) + placed.start  # neighbours on a strand have neighbouring keys
    place, keys = pd.factorize(key)
    run_of = _runs(keys)
    order = np.lexsort((place, run_of[place]))
    ordered_place, ordered_run = place[order], run_of[place][order]
    for run in np.unique(ordered_run):
        low, high = np.searchsorted(ordered_run, [run, run + 1])
        ranks = pd.factorize(ordered_place[low:high])[0]
        cuts = np.searchsorted(ranks, np.arange(_SITES_AT_A_TIME, ranks.max() + 1, _SITES_AT_A_TIME))
        for rows in np.split(order[low:high], cuts):
            _, first, inverse = np.unique(place[rows], return_index=True, return_inverse=True)
            yield rows, first, inverse, bool(run >= 0)


def _runs(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of each place's run of near places, -1 for places that are in none."""
    order = np.argsort(keys)
    ends = np.flatnonzero(np.diff(keys[order]) > _NEAR)
    run = np.zeros(len(keys), dtype=np.int64)
    run[ends + 1] = 1
    run = run.cumsum()
    enough = np.bincount(run) >= _MANY
    found = np.empty(len(keys), dtype=np.int64)
    found[order] = np.where(enough[run], run, -1)
    return found
