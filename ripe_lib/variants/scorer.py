"""Logits of reference and alternative alleles, with as little computing as is exact.

Reference windows that several alleles share are computed once; models with equal windows share the arrays, and those
that differ in their last two layers only are one network (:mod:`ripe_lib.network.joint`). For substitutions of one base
only what can change is recomputed (:mod:`ripe_lib.network.fast`), indels and longer substitutions get a pass of their
own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ripe_lib.genome.encoding import Codes, complement
from ripe_lib.network.joint import JointModel, joint_models
from ripe_lib.network.load import Model
from ripe_lib.network.predict import full_logits
from ripe_lib.variants.windows import (
    Sites,
    alternative_region,
    alternative_sequence,
    reference_codes,
    site_landmarks,
    substituted_position,
    window_starts,
)

if TYPE_CHECKING:
    from ripe_lib.genome.annotation import Annotation
    from ripe_lib.genome.fasta import Genome
    from ripe_lib.network.spec import ModelSpec

Logits = NDArray[np.float32]
_SITES_AT_A_TIME = 512  # reference windows whose intermediates are kept: about 15 MB with the paper's sizes
_NEAR, _MANY = 32, 32  # nt between places that share work, and how many there must be


class AlleleScorer:
    """Computes logits of both alleles at sites.

    Parameters
    ----------
    models : list of Model
    genome : Genome
    annotation : Annotation or None
        None: region types are unknown.
    fast : bool
        False runs every window through the whole network of every model: slow, obvious, and what the fast way is
        tested against.
    batch_size : int
        Windows per network call.
    """

    def __init__(
        self,
        models: Sequence[Model],
        genome: Genome,
        annotation: Annotation | None,
        *,
        fast: bool = True,
        batch_size: int = 1024,
    ) -> None:
        self.models = list(models)
        self.genome = genome
        self.annotation = annotation
        self.fast = fast
        self.batch_size = batch_size
        self.reading = threading.Lock()  # the genome's file is read by one thread at a time
        alone = [JointModel(model, [(n, slice(None))]) for n, model in enumerate(self.models)]
        self.networks = joint_models(self.models) if fast else alone
        for network in self.networks if fast else ():
            _ = network.model.network.fast  # made before threads ask for it

    def logits(
        self,
        sites: Sites,
        substituted: NDArray[np.bool_],
        identical: NDArray[np.bool_],
        shifts: Iterable[int] = (0,),
        *,
        with_region: bool = True,
    ) -> list[tuple[Logits, Logits]]:
        """Return per model the logits (K, n, T) of reference and alternative for K shifts.

        Parameters
        ----------
        sites : Sites
            n changes.
        substituted, identical : bool (n,)
            Changes of exactly one base into another, and changes of nothing.
        shifts : iterable of int
            Window starts, in nt after the normal one.
        with_region : bool
            Use region types and landmarks of the annotation, if there is one and the model takes them.
        """
        shifts = list(shifts)
        n = len(sites.start)
        results = [
            tuple(np.empty((len(shifts), n, len(network.model.tasks)), dtype=np.float32) for _ in range(2))
            for network in self.networks
        ]
        for rows, first, inverse, near in _grouped(sites):
            part = sites.take(rows)
            for k, shift in enumerate(shifts):
                windows = _Windows(self, part, first, shift, near)
                for network, (ref, alt) in zip(self.networks, results, strict=True):
                    annotated = with_region and self.annotation is not None
                    score = self._fast if self.fast else self._full
                    ref_logits, alt_logits = score(
                        network.model, windows, annotated, inverse, substituted[rows], identical[rows]
                    )
                    ref[k, rows], alt[k, rows] = ref_logits[inverse], alt_logits
        of_model: dict[int, tuple[Logits, Logits]] = {}
        for network, (ref, alt) in zip(self.networks, results, strict=True):
            of_model.update({number: (ref[..., columns], alt[..., columns]) for number, columns in network.members})
        return [of_model[number] for number in range(len(self.models))]

    def _full(
        self,
        model: Model,
        windows: _Windows,
        annotated: bool,
        inverse: NDArray[np.intp],
        substituted: NDArray[np.bool_],
        identical: NDArray[np.bool_],
    ) -> tuple[Logits, Logits]:
        """Two passes of the whole network: (unique sites, T) and (rows, T)."""
        seq = windows.reference(model.spec.sequence_length)
        ref = full_logits(model, seq, *windows.context(model.spec, annotated), batch_size=self.batch_size)
        alt = ref[inverse]
        self._pass(model, windows, annotated, inverse, np.flatnonzero(~identical), alt)
        return ref, alt

    def _fast(
        self,
        model: Model,
        windows: _Windows,
        annotated: bool,
        inverse: NDArray[np.intp],
        substituted: NDArray[np.bool_],
        identical: NDArray[np.bool_],
    ) -> tuple[Logits, Logits]:
        """Compute the same, substitutions from what they change."""
        spec = model.spec
        context = windows.context(spec, annotated)
        if windows.near:
            state = model.network.neighbours(*windows.stretch(spec.sequence_length), *context)
        else:
            state = model.network.reference(windows.reference(spec.sequence_length), *context)
        alt = state.logits[inverse]
        rows = np.flatnonzero(substituted)
        if rows.size:
            position, base = windows.substitutions(rows, spec.sequence_length)
            alt[rows] = model.network.substitutions(state, inverse[rows], position, base)
        self._pass(model, windows, annotated, inverse, np.flatnonzero(~identical & ~substituted), alt)
        return state.logits, alt

    def _pass(
        self,
        model: Model,
        windows: _Windows,
        annotated: bool,
        inverse: NDArray[np.intp],
        rows: NDArray[np.intp],
        logits: Logits,
    ) -> None:
        """Fill the logits of some alternatives by passes of the whole network."""
        if rows.size:
            spec = model.spec
            landmarks = windows.context(spec, annotated)[1]
            seq, region = windows.alternative(rows, spec.sequence_length, spec.region_length if annotated else 0)
            shared = None if landmarks is None else landmarks[inverse[rows]]
            logits[rows] = full_logits(model, seq, region, shared, batch_size=self.batch_size)


class _Windows:
    """Code windows of some sites at one shift, made once per length and shared by the models.

    ``near``: the sites lie side by side on one strand.
    """

    def __init__(self, scorer: AlleleScorer, sites: Sites, first: NDArray[np.intp], shift: int, near: bool) -> None:
        self.near = near
        self._genome, self._annotation = scorer.genome, scorer.annotation
        self._reading = scorer.reading
        self._sites, self._first, self._shift = sites, first, shift
        self._made: dict[tuple[str, int], Codes] = {}
        self._landmarks: NDArray[np.float64] | None = None

    def reference(self, length: int) -> Codes:
        key = ("seq", length)
        if key not in self._made:
            sites = self._sites.take(self._first)
            with self._reading:
                self._made[key] = reference_codes(self._genome.fetch, sites, length, self._shift)
        return self._made[key]

    def stretch(self, length: int) -> tuple[Codes, NDArray[np.int64]]:
        """Return the stretch (N,) that holds all reference windows, RNA sense, and where in it each begins."""
        sites = self._sites.take(self._first)
        starts = window_starts(sites, length, self._shift)
        low, high = int(starts.min()), int(starts.max()) + length
        minus = bool(sites.minus[0])
        with self._reading:
            codes = self._genome.fetch(sites.contig[:1], np.array([low]), high - low, sites.minus[:1])[0]
        return codes, high - (starts + length) if minus else starts - low

    def context(self, spec: ModelSpec, annotated: bool) -> tuple[Codes | None, NDArray[np.float64] | None]:
        """Return region-type codes and distances to landmarks of the reference, where the model takes them."""
        if not annotated or self._annotation is None:
            return None, None
        key = ("region", spec.region_length)
        sites = self._sites.take(self._first)
        if spec.has_region and key not in self._made:
            self._made[key] = reference_codes(self._annotation.region_codes, sites, spec.region_length, self._shift)
        if spec.has_landmarks and self._landmarks is None:
            self._landmarks = site_landmarks(self._annotation, sites, self._shift)
        return self._made.get(key), self._landmarks if spec.has_landmarks else None

    def alternative(self, rows: NDArray[np.intp], length: int, region_length: int) -> tuple[Codes, Codes | None]:
        """Return sequence and region windows of the alternative allele; no region for length 0.

        The rows are the same for every model: what has no shorter way.
        """
        sites = self._sites.take(rows)
        keys = ("alternative seq", length), ("alternative region", region_length)
        if keys[0] not in self._made:
            with self._reading:
                self._made[keys[0]] = alternative_sequence(self._genome, sites, length, self._shift)
        if not region_length or self._annotation is None:
            return self._made[keys[0]], None
        if keys[1] not in self._made:
            self._made[keys[1]] = alternative_region(self._annotation, sites, region_length, self._shift)
        return self._made[keys[0]], self._made[keys[1]]

    def substitutions(self, rows: NDArray[np.intp], length: int) -> tuple[NDArray[np.int64], Codes]:
        """Return position (in RNA sense) and new base of substitutions."""
        sites = self._sites.take(rows)
        new = sites.inserted[:, 0]
        return substituted_position(length, sites.minus, self._shift), np.where(sites.minus, complement(new), new)


class _Group(NamedTuple):
    """Some rows of the sites; ``first`` row of each unique place and each row's place, within the group."""

    rows: NDArray[np.intp]
    first: NDArray[np.intp]
    inverse: NDArray[np.intp]
    near: bool


def _grouped(sites: Sites) -> Iterator[_Group]:
    """Cut rows into groups of few unique places: (contig, start, strand).

    Places that lie side by side on one strand are groups of their own, so that their windows can share work; the
    others follow each other in order of appearance.
    """
    if not len(sites.start):
        return
    import pandas as pd

    contig = pd.factorize(sites.contig)[0]
    key = ((contig * 2 + sites.minus) << 42) + sites.start  # neighbours on a strand have neighbouring keys
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
            yield _Group(rows, first, inverse, bool(run >= 0))


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
