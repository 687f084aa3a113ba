"""Filters of a model's first layer as motifs (paper, Supp. Figs. S8-S13)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import Codes
from ripe_lib.motifs.databases import MotifDatabase
from ripe_lib.motifs.match import NO_MATCHES, CountedMotif, matches_of
from ripe_lib.motifs.meme import iupac_consensus
from ripe_lib.network.load import Model
from ripe_lib.output.console import steps

LAYER = "left_conv1"
SHARE_OF_MAX = 0.5  # of a filter's largest activation, above which a place is counted
_SITES_PER_CALL = 512
_FEWEST = 10


@dataclass(frozen=True, kw_only=True)
class FilterMotif(CountedMotif):
    """What a filter of the first layer answers to: counts where it is active, W is its width."""

    index: int  # channel of the layer
    threshold: float  # activation above which a place was counted; 0 for a dead filter


def filter_motifs(model: Model, codes: Codes, database: MotifDatabase | None = None) -> list[FilterMotif]:
    """Turn every filter of the sequence branch's first layer into a motif, in the order of the layer.

    The paper shows filters as PWMs without saying how; this is the common way (Alipanahi et al. 2015, Supp. Notes):
    the bases below the places of high activation, counted. Places with an unknown base are left out; a filter that is
    never active has counts of 0.

    Parameters
    ----------
    model : Model
    codes : uint8 array (N, L)
        Bases of sites; a few thousand are enough.
    database : MotifDatabase, optional
        Known motifs to match filters to that were active at 10 places at least.
    """
    kernel, bias = _first_layer(model)
    width, _, n_filters = kernel.shape
    largest = np.zeros(n_filters)
    blocks = [codes[first : first + _SITES_PER_CALL] for first in range(0, len(codes), _SITES_PER_CALL)]
    for some in steps(blocks, "activations of filters", leave=False):
        largest = np.maximum(largest, _activations(some, kernel, bias).max((0, 1)))
    threshold = SHARE_OF_MAX * largest
    counts = np.zeros((n_filters, width, 4), dtype=np.int64)
    n_sites = np.zeros(n_filters, dtype=np.int64)
    for some in steps(blocks, "motifs of filters", leave=False):
        active = _activations(some, kernel, bias) > np.where(largest > 0, threshold, np.inf)
        n_sites += active.any(axis=1).sum(axis=0)
        windows_of = np.lib.stride_tricks.sliding_window_view(some, width, axis=1)
        for place in range(width):
            at_base = np.eye(5, dtype=np.int64)[windows_of[..., place]][..., :4].reshape(-1, 4)
            counts[:, place] += active.reshape(-1, n_filters).T.astype(np.int64) @ at_base
    found = [
        FilterMotif(name=f"filter{i}", pfm=pfm, consensus=iupac_consensus(pfm), n_sites=n, index=i, threshold=bound)
        for i, (pfm, n, bound) in enumerate(zip(counts, n_sites.tolist(), threshold.tolist(), strict=True))
    ]
    if database is None:
        return found
    matches = matches_of([f.matrix() for f in found if f.pfm[0].sum() >= _FEWEST], database)
    return [replace(f, matches=matches.get(f.name, NO_MATCHES)) for f in found]


def _first_layer(model: Model) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    for layer in model.keras_model.layers:
        if layer.name == LAYER:
            kernel, bias = layer.get_weights()
            return kernel.astype(np.float64), bias.astype(np.float64)
    names = ", ".join(layer.name for layer in model.keras_model.layers if layer.weights)
    raise InputError(f"model {model.name}: expected a layer {LAYER!r}, got {names}.")


def _activations(codes: Codes, kernel: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (B, P, F) activations; 0 where the filter covers an unknown base."""
    width = len(kernel)
    table = np.concatenate([kernel, np.full((width, 1, kernel.shape[2]), -np.inf)], axis=1)
    n_places = codes.shape[1] - width + 1
    total = np.broadcast_to(bias, (len(codes), n_places, kernel.shape[2])).copy()
    for place in range(width):
        total += table[place][codes[:, place : place + n_places]]
    return np.maximum(total, 0)
