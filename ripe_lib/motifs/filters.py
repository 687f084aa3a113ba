"""Filters of a model's first layer as motifs (paper, Supp. Figs. S8-S13)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.attribution.inputs import network_inputs
from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import Codes, codes_from_one_hot
from ripe_lib.motifs.clusters import frequencies
from ripe_lib.motifs.databases import MotifDatabase
from ripe_lib.motifs.match import NO_MATCHES, matches_of
from ripe_lib.motifs.meme import MotifMatrix, information, iupac_consensus
from ripe_lib.network.load import Model
from ripe_lib.output.console import steps

LAYER = "left_conv1"
_SITES_PER_CALL = 512
_FEWEST = 10


@dataclass(frozen=True)
class FilterMotif:
    """What a filter of the first layer answers to.

    Attributes
    ----------
    index : int
        Channel of the layer.
    pfm : int64 array (W, 4)
        Counts of A C G U where the filter is active; W is the filter's width.
    n_sites : int
        Windows with such a place.
    threshold : float
        Activation above which a place was counted.
    largest : float
        Largest activation met; 0 for a dead filter.
    matches : DataFrame
        Known motifs, see :func:`ripe_lib.motifs.match.match_motifs`; empty without a database.
    """

    index: int
    pfm: NDArray[np.int64] = field(repr=False)
    n_sites: int
    threshold: float
    largest: float
    matches: pd.DataFrame = field(repr=False)

    @property
    def name(self) -> str:
        """``filter<index>``."""
        return f"filter{self.index}"

    @property
    def ppm(self) -> NDArray[np.float64]:
        """Probabilities (W, 4)."""
        return frequencies(self.pfm)

    @property
    def consensus(self) -> str:
        """IUPAC letters of RNA."""
        return iupac_consensus(self.pfm)

    @property
    def bits(self) -> float:
        """Information content in bits, all positions together."""
        return float(information(self.ppm).sum())

    def matrix(self) -> MotifMatrix:
        """Return it for a MEME file."""
        return MotifMatrix(self.name, self.consensus, self.ppm, float(self.n_sites))


def filter_motifs(
    model: Model, windows: Any, *, share_of_max: float = 0.5, database: MotifDatabase | None = None
) -> list[FilterMotif]:
    """Turn every filter of the sequence branch's first layer into a motif.

    Parameters
    ----------
    model : Model
    windows : Windows, dict or array
        Sites, as for :func:`ripe_lib.predict`; a few thousand are enough.
    share_of_max : float
        Places are counted where the activation is above this share of the filter's largest one.
    database : MotifDatabase, optional
        Known motifs to match filters to that were active at 10 places at least.

    Returns
    -------
    list of FilterMotif
        One per filter, in the order of the layer. A filter that is never active has counts of 0.

    Notes
    -----
    The paper shows filters as PWMs without saying how; this is the common way (Alipanahi et al. 2015, Supp. Notes):
    the bases below the places of high activation, counted. Places with an unknown base are left out.
    """
    if not 0 < share_of_max < 1:
        raise InputError(f"share_of_max: expected a number between 0 and 1, got {share_of_max}.")
    kernel, bias = _first_layer(model)
    codes = codes_from_one_hot(network_inputs(model, windows).seq)
    width, _, n_filters = kernel.shape
    largest = np.zeros(n_filters)
    for first in steps(range(0, len(codes), _SITES_PER_CALL), "activations of filters", leave=False):
        largest = np.maximum(largest, _activations(codes[first : first + _SITES_PER_CALL], kernel, bias).max((0, 1)))
    threshold = share_of_max * largest
    pfm = np.zeros((n_filters, width, 4), dtype=np.int64)
    n_sites = np.zeros(n_filters, dtype=np.int64)
    for first in steps(range(0, len(codes), _SITES_PER_CALL), "motifs of filters", leave=False):
        some = codes[first : first + _SITES_PER_CALL]
        active = _activations(some, kernel, bias) > np.where(largest > 0, threshold, np.inf)
        n_sites += active.any(axis=1).sum(axis=0)
        windows_of = np.lib.stride_tricks.sliding_window_view(some, width, axis=1)
        for place in range(width):
            at_base = np.eye(5, dtype=np.int64)[windows_of[..., place]][..., :4].reshape(-1, 4)
            pfm[:, place] += active.reshape(-1, n_filters).T.astype(np.int64) @ at_base
    numbers = zip(pfm, n_sites.tolist(), threshold.tolist(), largest.tolist(), strict=True)
    found = [FilterMotif(index, *values, NO_MATCHES) for index, values in enumerate(numbers)]
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
