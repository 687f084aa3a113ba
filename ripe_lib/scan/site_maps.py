"""Attribution maps of the sites of a scan, in one HDF5 file."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ripe_lib.attribution.compute import explained_codes
from ripe_lib.attribution.store import PACKING, map_columns
from ripe_lib.genome.encoding import UNKNOWN
from ripe_lib.genome.windows import CodeWindows
from ripe_lib.network.load import Model
from ripe_lib.network.spec import N_LANDMARKS
from ripe_lib.output.atomic import atomic_file
from ripe_lib.output.tables import append, growing

FORMAT = "deepripe-site-maps-1"
_TEXT = ("chrom", "strand", "task", "kmer")
_NUMBERS = {"start": np.int64, "end": np.int64, "peak_start": np.int64, "peak_end": np.int64, "score": np.float32}


class SiteMapWriter:
    """Integrated gradients of each site's own task at its peak.

    One row per site, in the order in which sites were finished: ``chrom start end strand task score peak_start
    peak_end kmer`` (coordinates of the contig, RNA or transcript that was scanned), ``seq`` (N, L, 4) and ``region``
    (N, R, 4) maps in RNA sense and units of probability, ``gap`` (N,), ``seq_codes`` and ``region_codes`` the windows.
    """

    def __init__(self, path: str | Path, model: Model, stack: ExitStack) -> None:
        import h5py

        self._model = model
        self._file = stack.enter_context(h5py.File(stack.enter_context(atomic_file(path)), "w"))
        self._file.attrs["format"] = FORMAT
        self._file.attrs["model"] = model.name
        columns = map_columns(model.spec, (), model.spec.input_names)
        columns |= {name: ((), h5py.string_dtype()) for name in _TEXT}
        columns |= {name: ((), kind) for name, kind in _NUMBERS.items()}
        for name, (shape, kind) in columns.items():
            growing(self._file, name, shape, kind, 256, **(PACKING if shape else {}))

    def add(self, sites: pd.DataFrame, windows: CodeWindows) -> None:
        """Append rows of the table of sites with the windows of their peaks, RNA sense; what is None is unknown."""
        spec, (region, landmarks), n = self._model.spec, windows[1:], len(sites)
        if region is None:
            region = np.full((n, spec.region_length), UNKNOWN, dtype=np.uint8)
        if landmarks is None:
            landmarks = np.full((n, N_LANDMARKS), np.nan)
        windows = CodeWindows(windows.seq, region, landmarks if spec.has_landmarks else None)
        columns: dict[str, Any] = {
            **{name: np.zeros((n, *shape), np.float32) for name, shape in spec.input_shapes.items()},
            "gap": np.zeros(n),
            "seq_codes": windows.seq,
            "region_codes": region,
            "landmark_distances": landmarks,
            **{name: sites[name].to_numpy() for name in (*_TEXT, *_NUMBERS)},
        }
        for task, rows in sites.groupby("task").indices.items():
            maps, _ = explained_codes(self._model, windows.take(rows), str(task))
            columns["gap"][rows] = maps.gap
            for name in spec.input_names:
                columns[name][rows] = getattr(maps, name)
        for name, data in self._file.items():
            append(data, columns[name])
