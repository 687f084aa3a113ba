"""What a model makes of the distance to each landmark: partial dependence (Friedman 2001).

The distance to one landmark is set to one value after the other in the windows of real sites, everything else is left
as it is, and the scores are averaged over the sites.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import Codes
from ripe_lib.genome.landmarks import LANDMARKS
from ripe_lib.network.load import Model
from ripe_lib.network.predict import predict_codes

DISTANCES = np.unique(np.rint(np.concatenate([s * np.logspace(0, 5.5, 12) for s in (-1, 1)] + [[0.0]])))
BIN_EDGES = np.concatenate([-np.logspace(6, 0, 13), np.logspace(0, 6, 13)])


class LandmarkProfiles(NamedTuple):
    """Partial dependence of every task on every landmark.

    ``scores`` (8, D, T): mean probability with the landmark at each of the ``distances`` (D,) in nt, positive if it
    lies downstream; ``observed`` (N, 8): distances of the sites, NaN where unknown.
    """

    scores: NDArray[np.float32]
    distances: NDArray[np.float64]
    observed: NDArray[np.float64]
    tasks: list[str]

    def table(self) -> pd.DataFrame:
        """Return ``task landmark distance score`` and ``n_sites``, the sites in the same half decade of distances."""
        place = np.digitize(self.distances, BIN_EDGES)
        rows = []
        for number, landmark in enumerate(LANDMARKS):
            known = self.observed[:, number]
            counts = np.bincount(np.digitize(known[~np.isnan(known)], BIN_EDGES), minlength=len(BIN_EDGES) + 1)
            for column, task in enumerate(self.tasks):
                values = {"distance": self.distances.astype(int), "score": self.scores[number, :, column]}
                rows.append(pd.DataFrame({"task": task, "landmark": landmark, **values, "n_sites": counts[place]}))
        return pd.concat(rows, ignore_index=True)


def landmark_profiles(
    model: Model, seq: Codes, region: Codes | None, observed: NDArray[np.floating]
) -> LandmarkProfiles:
    """Measure what each landmark's distance does to the scores of some sites, for all tasks of a model.

    Parameters
    ----------
    model : Model
        With the landmark input.
    seq, region : uint8 array (N, L), (N, R) or None
        Codes of the sites' windows, RNA sense; None: unknown.
    observed : float array (N, 8)
        Distances to landmarks in nt, NaN = unknown.
    """
    if not model.spec.has_landmarks:
        raise InputError(f"{model.name}: expected a model with the landmark input, got inputs {model.spec.inputs}.")
    scores = np.empty((len(LANDMARKS), len(DISTANCES), len(model.tasks)), dtype=np.float32)
    for number in range(len(LANDMARKS)):
        for place, distance in enumerate(DISTANCES):
            changed = np.array(observed, dtype=np.float32)
            changed[:, number] = distance
            scores[number, place] = predict_codes(model, seq, region, changed).mean(axis=0)
    return LandmarkProfiles(scores, DISTANCES, np.asarray(observed, dtype=float), model.tasks)
