"""Allele-specific binding: three scores of a SNV (paper, Fig. 10).

- *model score*: difference of the predictions of the two alleles;
- *IG-score*: difference of summed attributions in a 6-nt window that contains the SNV;
- *motif score*: difference of the best log-odds of a PWM in a 10-nt window that contains the SNV.

The network sees the 30 nt centred on the SNV and N elsewhere. The paper leaves open which windows and which sign. Here:
all windows that contain the SNV are looked at and, for each allele, the one with the largest value counts; differences
are minor - major allele where the VCF gives frequencies (INFO ``AF``: alt is minor up to 0.5), else alt - ref. A PWM
longer than 10 nt is placed wherever it contains the SNV.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from ripe_lib.attribution.compute import explained_codes
from ripe_lib.attribution.maps import GapCount
from ripe_lib.errors import InputError, check_known
from ripe_lib.genome.alleles import OK, canonical_alleles
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import UNKNOWN, Codes
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.vcf import VcfFile, VcfRecords
from ripe_lib.motifs.databases import is_same_protein
from ripe_lib.motifs.meme import read_meme
from ripe_lib.network.catalogue import tasks_of
from ripe_lib.network.load import Model
from ripe_lib.variants.rows import Genes, Rows, allele_windows, place_rows, substituted_position

CONTEXT, IG_WINDOW, MOTIF_WINDOW = 30, 6, 10
PSEUDOCOUNT = 1e-3
_BACKGROUND = 0.25


@dataclass(frozen=True)
class AsbOptions:
    """How alleles are compared.

    Attributes
    ----------
    strand : str
        As for variant scores.
    region : str
        ``"none"`` (default): region types are unknown to the network, as in the paper; or ``"gtf"``.
    context : int
        Bases around the SNV that the network sees; even, 0 for the whole window.
    af_key, effect_key : str or None
        INFO keys: frequency of ALT; a measured effect that goes into the column ``effect``.
    n_steps : int
        Of integrated gradients.
    """

    strand: str = "auto"
    region: str = "none"
    context: int = CONTEXT
    af_key: str | None = "AF"
    effect_key: str | None = None
    n_steps: int = 50


@dataclass
class AsbScorer:
    """Scores of SNVs for allele-specific binding.

    Attributes
    ----------
    annotation : Annotation or None
        Gives strands and genes, and region types where the options want them.
    pwms : dict, optional
        Task -> position probability matrices (L, 4) of its protein; the best of them counts.
    gaps : GapCount
        How many attribution maps miss the change of the output.
    """

    model: Model
    genome: Genome
    annotation: Annotation | None
    tasks: Sequence[str]
    pwms: Mapping[str, Sequence[NDArray[np.floating]]] | None = None
    options: AsbOptions = field(default_factory=AsbOptions)
    gaps: GapCount = field(default_factory=GapCount)

    def __post_init__(self) -> None:
        for task in self.tasks:
            self.model.spec.task_index(task)
        context = self.options.context
        if context % 2 or not 0 <= context <= self.model.spec.sequence_length:
            raise InputError(f"context: expected an even number of nt up to the window's length, got {context}.")
        self._log_odds = {task: [log_odds(ppm) for ppm in ppms] for task, ppms in (self.pwms or {}).items() if ppms}
        self._genes = None if self.annotation is None else Genes(self.annotation)

    @property
    def columns(self) -> list[str]:
        """Names of the columns after those of the variant."""
        names = ["difference", *(["effect"] if self.options.effect_key else [])]
        for task in self.tasks:
            names += [f"{task}.{kind}" for kind in ("ref", "alt", "model_score", "ig_score")]
            if task in self._log_odds:
                names.append(f"{task}.motif_score")
        return names

    def tables(self, vcf: VcfFile, chunk_size: int = 512) -> Iterator[pd.DataFrame]:
        """Yield the scores, one row per ALT and strand; what is no SNV has the status ``not_snv``."""
        for records in vcf.records(chunk_size):
            yield self.score(records)

    def score(self, records: VcfRecords) -> pd.DataFrame:
        """Score a chunk of records."""
        alleles = canonical_alleles(records, self.genome)
        rows = place_rows(alleles, self._genes, strand=self.options.strand)
        rows.status[(rows.status == OK) & ~rows.is_snv] = "not_snv"
        usable = np.flatnonzero(rows.status == OK)
        record = alleles.record[rows.allele]
        number = rows.allele - np.searchsorted(alleles.record, record)  # which ALT of its record
        places = [(records.lines[r], n) for r, n in zip(record.tolist(), number.tolist(), strict=True)]
        ref_is_minor = np.array([_info_number(line, self.options.af_key, n) > 0.5 for line, n in places])
        difference = np.where(ref_is_minor, "ref - alt", "alt - ref").astype(object)
        difference[rows.status != OK] = ""
        found: dict[str, Any] = {"difference": difference}
        if self.options.effect_key:
            found["effect"] = [_info_number(line, self.options.effect_key, n) for line, n in places]
        scores = {name: np.full(len(rows), np.nan) for name in self.columns if name not in found}
        if len(usable):
            factor = np.where(ref_is_minor[usable], -1.0, 1.0)
            for name, values in self._scores(rows.take(usable), factor).items():
                scores[name][usable] = values
        return pd.concat([pd.DataFrame(rows.meta()), pd.DataFrame(found | scores, columns=self.columns)], axis=1)

    def _scores(self, sites: Rows, factor: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        spec, n = self.model.spec, len(sites)
        at = np.tile(substituted_position(spec.sequence_length, sites.minus), 2)
        annotation = self.annotation if self.options.region == "gtf" else None
        full = allele_windows(spec, self.genome, annotation, sites)
        windows = full._replace(seq=_centred(full.seq, self.options.context or spec.sequence_length))
        probability = expit(self.model.network.logits(*windows))
        maps, letters = explained_codes(self.model, windows, self.tasks, n_steps=self.options.n_steps)
        self.gaps.add(maps)  # over the whole file
        found: dict[str, NDArray[np.float64]] = {}
        for column, task in enumerate(self.tasks):
            ref, alt = np.split(probability[:, spec.task_index(task)].astype(np.float64), 2)
            sums = _best_window_sum(letters[:, column], at, IG_WINDOW)
            found[f"{task}.ref"], found[f"{task}.alt"] = ref, alt
            found[f"{task}.model_score"] = factor * (alt - ref)
            found[f"{task}.ig_score"] = factor * (sums[n:] - sums[:n])
            if task in self._log_odds:
                best = np.max([_best_log_odds(full.seq, at, pwm) for pwm in self._log_odds[task]], axis=0)
                found[f"{task}.motif_score"] = factor * (best[n:] - best[:n])
        return found


def motifs_of_tasks(
    path: str | Path, model: Model, tasks: Sequence[str], names: Sequence[str] = ()
) -> dict[str, list[NDArray[np.float64]]]:
    """Return the matrices (L, 4) of each task from a MEME file.

    Parameters
    ----------
    path : path
    model : Model
    tasks, names : sequence of str
        ``names``: motifs for every task; without any each task has those of its protein.
    """
    motifs = read_meme(path, dna_as_rna=True)
    if names:
        known = {motif.identifier: motif.ppm for motif in motifs}
        for name in names:
            check_known(f"motif in {path}", name, known)
        return {task: [known[name] for name in names] for task in tasks}
    proteins = tasks_of(model).set_index("task")["rbp"]
    found = {t: [m.ppm for m in motifs if is_same_protein(m.name or m.identifier, str(proteins[t]))] for t in tasks}
    for task, matrices in found.items():
        if not matrices:
            raise InputError(f"{path}: expected a motif of {proteins[task]} ({task}), got none. Name one: --motif ID")
    return found


def _centred(codes: Codes, context: int) -> Codes:
    """Keep ``context`` bases in the middle of windows (B, L), N elsewhere."""
    kept = np.full_like(codes, UNKNOWN)
    first = (codes.shape[1] - context) // 2
    kept[:, first : first + context] = codes[:, first : first + context]
    return kept


def _best_window_sum(letters: NDArray[np.floating], at: NDArray[np.int64], width: int) -> NDArray[np.float64]:
    """Return the largest sum of ``width`` values (B, L) in a row that contains position ``at`` (B,)."""
    sums = np.lib.stride_tricks.sliding_window_view(letters.astype(np.float64), width, axis=1).sum(axis=2)
    starts = at[:, None] - np.arange(width)
    inside = (starts >= 0) & (starts < sums.shape[1])
    values = np.take_along_axis(sums, starts.clip(0, sums.shape[1] - 1), axis=1)
    return np.where(inside, values, -np.inf).max(axis=1)


def log_odds(ppm: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return log2 odds (L, 4) against equal base frequencies, of probabilities with a small pseudocount."""
    ppm = np.asarray(ppm, dtype=np.float64) + PSEUDOCOUNT
    return np.log2(ppm / ppm.sum(axis=1, keepdims=True) / _BACKGROUND)


def _best_log_odds(codes: Codes, at: NDArray[np.int64], pwm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the best log-odds of a PWM (w, 4) within the 10-nt windows that contain position ``at`` of codes (B, L).

    An unknown base counts 0, as the background.
    """
    width = len(pwm)
    around = max(MOTIF_WINDOW, width) - 1
    table = np.concatenate([pwm, np.zeros((width, 1))], axis=1)
    positions = at[:, None] + np.arange(-around, around + 1)
    inside = (positions >= 0) & (positions < codes.shape[1])
    near = np.where(inside, np.take_along_axis(codes, positions.clip(0, codes.shape[1] - 1), axis=1), UNKNOWN)
    placed = np.lib.stride_tricks.sliding_window_view(near, width, axis=1)  # (B, P, w)
    return table[np.arange(width), placed].sum(axis=2).max(axis=1)


def _info_number(line: str, key: str | None, number: int) -> float:
    """Return the value of an INFO key for one ALT (the only value if there is one), NaN if there is none."""
    fields = line.split("\t", 8)
    found = re.search(rf"(?:^|;){re.escape(key)}=([^;]*)", fields[7]) if key and len(fields) > 7 else None
    values = found[1].split(",") if found else []
    try:
        return float(values[0] if len(values) == 1 else values[number])
    except (IndexError, ValueError):
        return float("nan")


def correlations(table: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    """Return Pearson and Spearman correlations of each score with the measured effect and with the model score.

    ``table`` is of :class:`AsbScorer`; rows without a value are left out.
    """
    rows = []
    for task in tasks:
        names = [f"{task}.{kind}" for kind in ("model_score", "ig_score", "motif_score")]
        scores = [name for name in names if name in table]
        pairs = [(scores[0], other) for other in scores[1:]]
        if "effect" in table:
            pairs += [("effect", score) for score in scores]
        for one, other in pairs:
            both = table[[one, other]].dropna()
            enough = len(both) > 2 and both.nunique().min() > 1
            rows.append(
                {
                    "task": task,
                    "x": one.removeprefix(f"{task}."),
                    "y": other.removeprefix(f"{task}."),
                    "n": len(both),
                    "pearson": both[one].corr(both[other]) if enough else np.nan,
                    "spearman": both[one].rank().corr(both[other].rank()) if enough else np.nan,
                }
            )
    return pd.DataFrame(rows)
