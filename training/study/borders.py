"""How much a model leans on the bases at the ends of sites.

RNase T1 cuts after G, so PAR-CLIP sites end with G far more often than chance: a trace of the enzyme, not of binding
(Kishore et al. 2011; the paper's Fig. 5B). The last base alone is about the enzyme; other bases around the ends may
also belong to a motif. What is changed at a border is also changed at control places of the same window.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ripe_lib.errors import InputError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.evaluation.metrics import auroc, average_precision
from ripe_lib.genome.encoding import UNKNOWN, Codes
from ripe_lib.genome.windows import CodeWindows, window_start
from ripe_lib.network.load import Model
from ripe_lib.network.predict import predict_codes
from training.fitting.calibration import logit
from training.study.config import StudyConfig

G = 2
PROFILE_REACH = 15  # nt on either side of a border in the attribution profile
CONTROL_SHIFT = (8, 20)  # nt from a border to its control place
KINDS = ("intact", "edges", "control", "lean", "same_g", "same_g_control", "g_lean")  # columns of each measure


class SiteWindows(NamedTuple):
    """Held-out windows whose site lies inside with its ends known.

    Rows (n,) of the data set, codes (n, L) and (n, R), and window indices (n,) of the first and last base of the site,
    RNA sense.
    """

    rows: np.ndarray
    seq: Codes
    region: Codes
    first: np.ndarray
    last: np.ndarray


def site_ends(start: np.ndarray, end: np.ndarray, strand: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the window indices (RNA sense) of the first and last base of sites.

    Parameters
    ----------
    start, end : int array (n,)
        Sites, 0-based, half-open.
    strand : str array (n,)
        ``+`` or ``-``.
    length : int
        Of the windows, in nt.
    """
    window = window_start(start, end, length)
    first = np.where(strand == "-", window + length - end, start - window)
    return first, first + (end - start) - 1


def windows_with_borders(config: StudyConfig, dataset: Dataset) -> SiteWindows:
    """Return the held-out windows whose site's ends, the bases around them and the control places are known bases.

    Sites as long as most of the window, or of one fixed length in the whole data set, have no borders to look at: if
    there are no others, an ``InputError`` says so.
    """
    rows, n_edge = dataset.indices(config.split), config.borders.n_edge
    sites, length = dataset.intervals.iloc[rows], dataset.sequence_length
    start, end, strand = (sites[name].to_numpy() for name in ("start", "end", "strand"))
    first, last = site_ends(start, end, strand, length)
    reach = n_edge + CONTROL_SHIFT[1]
    usable = (first >= reach) & (last < length - reach) & (last - first + 1 >= 2 * n_edge)
    seq, region = dataset.centred_codes(rows)
    usable &= ((seq != UNKNOWN) | ~_span(first - reach, last + reach, length)).all(axis=1)
    if len(np.unique((end - start)[usable])) < 2:
        raise InputError(
            f"{dataset.path}: expected sites of different lengths with known bases around their ends, for the "
            "comparison 'borders', got none. Use tables in the format of rbp24, or leave 'borders' out."
        )
    return SiteWindows(*(values[usable] for values in (rows, seq, region, first, last)))


def _span(first: np.ndarray, last: np.ndarray, length: int) -> np.ndarray:
    place = np.arange(length)
    return (place >= first[:, None]) & (place <= last[:, None])


def edge_mask(first: np.ndarray, last: np.ndarray, length: int, n_edge: int) -> np.ndarray:
    """Return (n, L) bool: the ``n_edge`` bases on either side of each end of a site.

    Parameters
    ----------
    first, last : int array (n,)
        Window indices of the sites' first and last base.
    length, n_edge : int
        In nt.
    """
    return _span(first - n_edge, first + n_edge - 1, length) | _span(last - n_edge + 1, last + n_edge, length)


def _replaced(seq: Codes, mask: np.ndarray, rng: np.random.Generator) -> Codes:
    """Return codes with the masked bases drawn anew from the composition of all windows."""
    share = np.bincount(seq.ravel(), minlength=5)[:4].astype(float)
    fresh = rng.choice(4, size=seq.shape, p=share / share.sum()).astype(np.uint8)
    return np.where(mask, fresh, seq)


def _scores(model: Model, windows: SiteWindows, seq: Codes) -> np.ndarray:
    return predict_codes(model, seq, windows.region)


def lean_on_borders(config: StudyConfig, dataset: Dataset, windows: SiteWindows, models: list[Model]) -> pd.DataFrame:
    """Measure how much the networks of one arm lean on the borders.

    A row per task: ``task n n_pos``; ``auroc`` and ``ap`` with suffixes ``_intact _edges _control`` and ``_lean``
    (control minus edges: what replacing the borders costs more than replacing other bases), ``_same_g _same_g_control``
    (every site, bound or not, ends with G; or has one at the control place) and ``_g_lean`` (control minus border: what
    knowing which sites end with G is worth); ``g_effect`` and ``g_effect_control`` (logit of G at the last base minus
    the mean of A, C, U, over positives), ``edge_shift`` (mean logit of positives, edges replaced minus control).

    Parameters
    ----------
    config, dataset, windows
        Of the study, whose seed replaces the same bases for every model.
    models : list of Model
        One multitask network, or one per task; tasks that the data set does not have are left out.
    """
    length, options = windows.seq.shape[1], config.borders
    rng = np.random.default_rng([config.seed, 0xB0D])
    # How far the control places lie from the borders, outwards.
    shift = rng.integers(*CONTROL_SHIFT, size=len(windows.rows), endpoint=True)
    edges = edge_mask(windows.first, windows.last, length, options.n_edge)
    control = edge_mask(windows.first - shift, windows.last + shift, length, options.n_edge)
    variants: dict[str, list[Codes]] = {"intact": [windows.seq], "edges": [], "control": []}
    for _ in range(options.n_repeats):
        variants["edges"].append(_replaced(windows.seq, edges, rng))
        variants["control"].append(_replaced(windows.seq, control, rng))
    places = {"": windows.last[:, None], "_control": (windows.last + shift)[:, None]}
    rows = []
    for model in models:
        scores = {kind: [_scores(model, windows, seq) for seq in seqs] for kind, seqs in variants.items()}
        effects = {}
        for where, at in places.items():
            by_base = []
            for base in range(4):
                seq = windows.seq.copy()
                np.put_along_axis(seq, at, base, axis=1)
                by_base.append(_scores(model, windows, seq))
            others = [logit(by_base[base]) for base in range(4) if base != G]
            effects[f"g_effect{where}"] = logit(by_base[G]) - np.mean(others, axis=0)
            scores[f"same_g{where}"] = [by_base[G]]
        means = {kind: np.mean([logit(one) for one in scores[kind]], axis=0) for kind in ("edges", "control")}
        effects["edge_shift"] = means["edges"] - means["control"]
        for task in [task for task in model.tasks if task in dataset.tasks]:
            column = model.spec.task_index(task)
            label = dataset.labels[windows.rows, dataset.task_index(task)]
            positive = label == 1
            row: dict[str, Any] = {"task": task, "n": int((label >= 0).sum()), "n_pos": int(positive.sum())}
            for measure, function in (("auroc", auroc), ("ap", average_precision)):
                of = {k: float(np.mean([function(label, s[:, column]) for s in some])) for k, some in scores.items()}
                of["lean"] = of["control"] - of["edges"]
                of["g_lean"] = of["same_g_control"] - of["same_g"]
                row |= {f"{measure}_{kind}": of[kind] for kind in KINDS}
            for name, effect in effects.items():
                row[name] = float(effect[positive, column].mean()) if positive.any() else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def border_profiles(config: StudyConfig, dataset: Dataset, windows: SiteWindows, models: list[Model]) -> pd.DataFrame:
    """Average attribution maps of positives around the ends of their sites; parameters as :func:`lean_on_borders`.

    ``task end offset n attribution magnitude g_share``: ``end`` is ``first`` or ``last``; ``offset`` 0 is the site's
    first or last base, negative is 5'; attributions are of the base that is there, in units of the logit (integrated
    gradients); ``g_share`` is how often that base is G.
    """
    from ripe_lib.attribution.compute import integrated_gradients

    rng = np.random.default_rng([config.seed, 0xA77])
    offsets = np.arange(-PROFILE_REACH, PROFILE_REACH + 1)
    parts = []
    for model in models:
        for task in [task for task in model.tasks if task in dataset.tasks]:
            positive = np.flatnonzero(dataset.labels[windows.rows, dataset.task_index(task)] == 1)
            chosen = np.sort(rng.permutation(positive)[: config.borders.max_maps])
            if not len(chosen):
                continue
            some = SiteWindows(*(values[chosen] for values in windows))
            inputs = CodeWindows(some.seq, some.region if model.spec.has_region else None).inputs(0)
            maps = integrated_gradients(model, inputs, task=task, output="logit").seq
            letters = np.take_along_axis(maps, np.minimum(some.seq, 3)[:, :, None].astype(np.intp), axis=2)[:, :, 0]
            for end, at in (("first", some.first), ("last", some.last)):
                places = at[:, None] + offsets
                values, bases = (np.take_along_axis(one, places, axis=1) for one in (letters, some.seq))
                table = {"task": task, "end": end, "offset": offsets, "n": len(chosen)}
                table |= {"attribution": values.mean(axis=0), "magnitude": np.abs(values).mean(axis=0)}
                parts.append(pd.DataFrame({**table, "g_share": (bases == G).mean(axis=0)}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
