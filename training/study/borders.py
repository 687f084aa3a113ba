"""How much a model leans on the bases at the ends of sites.

RNase T1 cuts after G, so PAR-CLIP sites end with G far more often than chance: a trace of the enzyme, not of binding
(Kishore et al. 2011; the paper's Fig. 5B). Measured here in three ways, always against a control at places of the same
window that are no border:

* bases around both ends of a site are replaced at random: the loss of AUROC and AP beyond that of the control is what
  the model owes to the border;
* the last base of a site is set to each letter: the logit of G minus the mean of the others, and the loss of AUROC
  and AP when every site, bound or not, ends with G. This is about the enzyme alone; the bases around the ends may
  also belong to a motif;
* integrated gradients of positives, aligned at the ends of the sites.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
from training.study.config import BorderOptions

G = 2
PROFILE_REACH = 15  # nt on either side of a border in the attribution profile
CONTROL_SHIFT = (8, 20)  # nt from a border to its control place


@dataclass(frozen=True)
class SiteWindows:
    """Held-out windows whose site lies inside with its ends known.

    Attributes
    ----------
    rows : (n,) int
        Rows of the data set.
    seq, region : uint8 codes (n, L), (n, R)
    first, last : (n,) int
        Window index of the site's first and last base, RNA sense.
    """

    rows: np.ndarray
    seq: Codes
    region: Codes
    first: np.ndarray
    last: np.ndarray

    def take(self, chosen: np.ndarray) -> SiteWindows:
        """Return some of the windows."""
        return SiteWindows(**{name: values[chosen] for name, values in vars(self).items()})


def site_ends(start: np.ndarray, end: np.ndarray, strand: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the window indices (RNA sense) of the first and last base of sites ``[start, end)``.

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


def windows_with_borders(dataset: Dataset, split: str, n_edge: int) -> SiteWindows:
    """Return the windows of a split whose site's ends, the bases around them and the control places are known bases.

    Sites as long as most of the window, or of one fixed length in the whole data set, have no borders to look at.

    Parameters
    ----------
    dataset : Dataset
    split : str
    n_edge : int
        Bases on either side of each end that must be known.

    Raises
    ------
    InputError
        If there is none.
    """
    rows = dataset.indices(split)
    sites = dataset.intervals.iloc[rows]
    start, end = sites["start"].to_numpy(), sites["end"].to_numpy()
    length = dataset.sequence_length
    first, last = site_ends(start, end, sites["strand"].to_numpy(dtype=str), length)
    reach = n_edge + CONTROL_SHIFT[1]
    usable = (first >= reach) & (last < length - reach) & (last - first + 1 >= 2 * n_edge)
    seq, region = dataset.centred_codes(rows)
    usable &= ((seq != UNKNOWN) | ~_span(first - reach, last + reach, length)).all(axis=1)
    if not usable.any() or len(np.unique((end - start)[usable])) == 1:
        raise InputError(
            f"{dataset.path}: expected sites of different lengths with known bases around their ends, for the "
            "comparison 'borders', got none. Use tables in the format of rbp24, or leave 'borders' out."
        )
    return SiteWindows(rows[usable], seq[usable], region[usable], first[usable], last[usable])


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


def replaced(seq: Codes, mask: np.ndarray, rng: np.random.Generator) -> Codes:
    """Return codes with the masked bases drawn anew from the composition of all windows.

    Parameters
    ----------
    seq : uint8 array (n, L)
        Base codes.
    mask : bool array (n, L)
    rng : Generator
    """
    share = np.bincount(seq.ravel(), minlength=5)[:4].astype(float)
    fresh = rng.choice(4, size=seq.shape, p=share / share.sum()).astype(np.uint8)
    return np.where(mask, fresh, seq)


def _scores(model: Model, windows: SiteWindows, seq: Codes) -> np.ndarray:
    return predict_codes(model, seq, windows.region)


def lean_on_borders(
    models: list[Model], dataset: Dataset, windows: SiteWindows, options: BorderOptions, seed: int
) -> pd.DataFrame:
    """Measure how much the networks of one arm lean on the borders, task by task.

    Parameters
    ----------
    models : list of Model
        One multitask network, or one per task.
    dataset : Dataset
        Gives the labels; tasks it does not have are left out.
    windows : SiteWindows
    options : BorderOptions
    seed : int
        The same seed replaces the same bases for every model.

    Returns
    -------
    DataFrame
        One row per task: ``task n n_pos``; ``auroc`` and ``ap`` with suffixes ``_intact _edges _control`` and
        ``_lean`` (control minus edges: what replacing the borders costs more than replacing other bases),
        ``_same_g _same_g_control`` (every site, bound or not, ends with G; or has one at the control place) and
        ``_g_lean`` (control minus border: what knowing which sites end with G is worth); ``g_effect`` and
        ``g_effect_control`` (logit of G at the last base minus the mean of A, C, U, over positives), ``edge_shift``
        (mean logit of positives, edges replaced minus control).
    """
    length, place = windows.seq.shape[1], np.arange(len(windows.rows))
    rng = np.random.default_rng([seed, 0xB0D])
    # How far the control places lie from the borders, outwards.
    shift = rng.integers(*CONTROL_SHIFT, size=len(windows.rows), endpoint=True)
    edges = edge_mask(windows.first, windows.last, length, options.n_edge)
    control = edge_mask(windows.first - shift, windows.last + shift, length, options.n_edge)
    variants: dict[str, list[Codes]] = {"intact": [windows.seq], "edges": [], "control": []}
    for _ in range(options.n_repeats):
        variants["edges"].append(replaced(windows.seq, edges, rng))
        variants["control"].append(replaced(windows.seq, control, rng))
    rows = []
    for model in models:
        tasks = [task for task in model.tasks if task in dataset.tasks]
        scores = {kind: [_scores(model, windows, seq) for seq in seqs] for kind, seqs in variants.items()}
        g_effects, same_g = {}, {}
        for where, at in (("", windows.last), ("_control", windows.last + shift)):
            by_base = []
            for base in range(4):
                seq = windows.seq.copy()
                seq[place, at] = base
                by_base.append(_scores(model, windows, seq))
            others = [logit(by_base[base]) for base in range(4) if base != G]
            g_effects[f"g_effect{where}"] = logit(by_base[G]) - np.mean(others, axis=0)
            same_g[f"same_g{where}"] = by_base[G]
        for task in tasks:
            column = model.spec.task_index(task)
            label = dataset.labels[windows.rows, dataset.task_index(task)]
            row: dict[str, Any] = {"task": task, "n": int((label >= 0).sum()), "n_pos": int((label == 1).sum())}
            for measure, function in (("auroc", auroc), ("ap", average_precision)):
                for kind, repeats in scores.items():
                    row[f"{measure}_{kind}"] = float(np.mean([function(label, s[:, column]) for s in repeats]))
                row[f"{measure}_lean"] = row[f"{measure}_control"] - row[f"{measure}_edges"]
                for kind, values in same_g.items():
                    row[f"{measure}_{kind}"] = float(function(label, values[:, column]))
                row[f"{measure}_g_lean"] = row[f"{measure}_same_g_control"] - row[f"{measure}_same_g"]
            positive = label == 1
            for name, effect in g_effects.items():
                row[name] = float(effect[positive, column].mean()) if positive.any() else np.nan
            edges_mean, control_mean = (
                np.mean([logit(s[:, column]) for s in scores[kind]], axis=0) for kind in ("edges", "control")
            )
            row["edge_shift"] = float((edges_mean - control_mean)[positive].mean()) if positive.any() else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def border_profiles(
    models: list[Model], dataset: Dataset, windows: SiteWindows, options: BorderOptions, seed: int
) -> pd.DataFrame:
    """Average attribution maps of positives around the ends of their sites; parameters as :func:`lean_on_borders`.

    Returns
    -------
    DataFrame
        ``task end offset n attribution magnitude g_share``: ``end`` is ``first`` or ``last``; ``offset`` 0 is the
        site's first or last base, negative is 5'; attributions are of the base that is there, in units of the logit
        (integrated gradients); ``g_share`` is how often that base is G.
    """
    from ripe_lib.attribution.compute import integrated_gradients

    rng = np.random.default_rng([seed, 0xA77])
    offsets = np.arange(-PROFILE_REACH, PROFILE_REACH + 1)
    parts = []
    for model in models:
        for task in [task for task in model.tasks if task in dataset.tasks]:
            positive = np.flatnonzero(dataset.labels[windows.rows, dataset.task_index(task)] == 1)
            chosen = np.sort(rng.permutation(positive)[: options.max_maps])
            if not len(chosen):
                continue
            some = windows.take(chosen)
            inputs = CodeWindows(some.seq, some.region if model.spec.has_region else None).inputs(0)
            maps = integrated_gradients(model, inputs, task=task, output="logit").seq
            letters = np.take_along_axis(maps, np.minimum(some.seq, 3)[:, :, None].astype(np.intp), axis=2)[:, :, 0]
            for end, at in (("first", some.first), ("last", some.last)):
                places = at[:, None] + offsets
                values = np.take_along_axis(letters, places, axis=1)
                bases = np.take_along_axis(some.seq, places, axis=1)
                parts.append(
                    pd.DataFrame(
                        {
                            "task": task,
                            "end": end,
                            "offset": offsets,
                            "n": len(chosen),
                            "attribution": values.mean(axis=0),
                            "magnitude": np.abs(values).mean(axis=0),
                            "g_share": (bases == G).mean(axis=0),
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
