"""Attribution maps of many sites on disk: written as they are made, read back a few at a time.

One HDF5 file, format :data:`FORMAT`. N sites, K explained tasks, T tasks of the model, L and R window lengths.

===================================  =================  ==============================================================
data set                             shape              content
===================================  =================  ==============================================================
``seq``                              (N, K, L, 4) f4    maps of the sequence, channels A C G U, RNA sense
``region``                           (N, K, R, 4) f4    maps of the region types (absent without a region part)
``landmarks``                        (N, K, 8, B) f4    maps of the landmark bases (absent without such a part)
``gap``                              (N, K) f8          completeness gap, NaN for methods without one
``scores``                           (N, T) f4          the model's probabilities for all its tasks
``seq_codes``, ``region_codes``      (N, L), (N, R) u1  the windows (:mod:`ripe_lib.genome.encoding`)
``landmark_distances``               (N, 8) f8          nt, NaN unknown (:mod:`ripe_lib.genome.landmarks`)
``chrom start end name strand``      (N,)               the sites, 0-based half-open
===================================  =================  ==============================================================

Root attributes: ``format``, ``model``, ``tasks`` (K names), ``all_tasks`` (T names), ``method``, ``options`` (JSON),
``is_genomic``, ``version``.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib._version import __version__
from ripe_lib.attribution.maps import Attributions
from ripe_lib.errors import InputError, MissingFileError, check_known
from ripe_lib.genome.encoding import UNKNOWN, codes_from_one_hot, one_hot
from ripe_lib.genome.landmarks import N_BASES, decode_landmarks, encode_landmarks
from ripe_lib.genome.windows import Windows
from ripe_lib.network.load import Model
from ripe_lib.network.spec import N_LANDMARKS, ModelSpec
from ripe_lib.output.atomic import atomic_file, check_room
from ripe_lib.output.foreign import ForeignHdf5, open_hdf5
from ripe_lib.output.tables import append, growing

FORMAT = "deepripe-attributions-1"
PACKING = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
_SITE_COLUMNS = ("chrom", "start", "end", "name", "strand")
_CHUNK_BYTES = 1 << 18
_SLACK_BYTES = 12 * _CHUNK_BYTES


def map_columns(spec: ModelSpec, lead: tuple[int, ...], inputs: Iterable[str]) -> dict[str, tuple[Any, Any]]:
    """Return shape and type of a site's row in every data set of maps and windows.

    Parameters
    ----------
    spec : ModelSpec
    lead : tuple of int
        Axes of the maps before those of a window: one of tasks, or none.
    inputs : iterable of str
        Those that have maps.
    """
    columns: dict[str, tuple[Any, Any]] = {name: ((*lead, *spec.input_shapes[name]), np.float32) for name in inputs}
    columns |= {"gap": (lead, np.float64), "seq_codes": ((spec.sequence_length,), np.uint8)}
    if spec.has_region:
        columns["region_codes"] = (spec.region_length,), np.uint8
    if spec.has_landmarks:
        columns["landmark_distances"] = (N_LANDMARKS,), np.float64
    return columns


@contextmanager
def create_attributions(
    path: str | Path,
    model: Model,
    tasks: Sequence[str],
    *,
    method: str,
    options: Mapping[str, Any] | None = None,
    with_context: bool = True,
    is_genomic: bool = True,
) -> Iterator[Callable[[Windows, Attributions, NDArray[np.float32]], None]]:
    """Open a new file of maps; it appears under its name only when the block ends without an error.

    Yields a function that appends B sites: their windows, their maps with an axis of K tasks (``seq`` (B, K, L, 4) and
    so on), and their probabilities (B, T).

    Parameters
    ----------
    path : path
    model : Model
    tasks : sequence of str
        The K explained tasks.
    method, options, is_genomic
        Recorded, see :class:`AttributionFile`.
    with_context : bool
        Whether maps of region types and landmarks will be written, where the model has these inputs.
    """
    spec = model.spec
    with atomic_file(path) as temporary, _new_file(temporary) as handle:
        handle.attrs.update(format=FORMAT, version=__version__, model=model.name, method=method, is_genomic=is_genomic)
        handle.attrs.update(tasks=list(tasks), all_tasks=list(spec.tasks))
        handle.attrs["options"] = json.dumps(dict(options or {}), sort_keys=True)
        columns = map_columns(spec, (len(tasks),), spec.input_names if with_context else ("seq",))
        for name, (shape, dtype) in {**columns, "scores": ((len(spec.tasks),), np.float32)}.items():
            rows = max(1, _CHUNK_BYTES // max(1, int(np.prod(shape)) * np.dtype(dtype).itemsize))
            growing(handle, name, shape, dtype, rows, **(PACKING if len(shape) > 1 else {}))
        for column in _SITE_COLUMNS:
            kind = np.int64 if column in ("start", "end") else h5py.string_dtype()
            growing(handle, column, (), kind, 4096)
        yield partial(_write, handle, temporary)


def _write(handle: h5py.File, path: Path, windows: Windows, maps: Attributions, scores: NDArray[np.float32]) -> None:
    # Compression makes it less; what is kept back until the file is closed is at most a chunk per data set.
    arrays = [*maps, scores, windows.seq, windows.region]
    check_room(path, sum(array.nbytes for array in arrays if array is not None) + _SLACK_BYTES)
    columns = {**maps._asdict(), "scores": scores, "seq_codes": codes_from_one_hot(windows.seq)}
    if windows.region is not None:
        columns["region_codes"] = codes_from_one_hot(windows.region)
    if windows.landmarks is not None:
        columns["landmark_distances"] = decode_landmarks(windows.landmarks)
    for column in _SITE_COLUMNS:
        columns[column] = values = windows.intervals[column].to_numpy()
        if values.dtype.kind == "O":  # as bytes: those that are no UTF-8 stay as they came
            texts = [str(text).encode("utf-8", "surrogateescape") for text in values]
            columns[column] = np.array(texts, dtype=object)
    for name, values in columns.items():
        if values is not None:
            append(handle[name], values)


def _new_file(path: Path) -> h5py.File:
    check_room(path, _SLACK_BYTES)
    try:
        return h5py.File(path, "w", track_order=False)
    except OSError as error:
        # HDF5 reports a page of detail about the temporary name; the caller names the file that was asked for.
        raise OSError(error.errno or errno.EIO, os.strerror(error.errno or errno.EIO), str(path)) from error


class AttributionFile:
    """A file of maps, opened for reading; nothing is loaded before it is asked for.

    Attributes are those of the file: ``tasks`` that have maps, ``all_tasks`` that have scores, ``method``,
    ``model_name``, ``options``, and ``is_genomic``: whether the sites are genomic intervals (not constructs, whose
    ``chrom`` is their name).

    Raises
    ------
    MissingFileError, InputError
        If there is no such file or it is not of this format.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        advice = "Make one with: ripe attribute."
        if not self.path.is_file():
            raise MissingFileError(f"{path}: no such file. {advice}")
        with open_hdf5(self.path, f"a file of format {FORMAT!r}", advice=advice) as file:
            self._check(file)
        self._handle = h5py.File(self.path, "r")

    def _check(self, file: ForeignHdf5) -> None:
        file.check_format(FORMAT)
        self.tasks, self.all_tasks = file.texts("tasks"), file.texts("all_tasks")
        self.method, self.model_name = file.text("method"), file.text("model")
        self.is_genomic = bool(np.all(file.handle.attrs["is_genomic"]))
        self.options: dict[str, Any] = file.mapping("options")
        k = len(self.tasks)
        n = len(file.dataset("gap", "f", (None, k)))
        length = file.dataset("seq_codes", "u", (n, None)).shape[1]
        file.dataset("seq", "f", (n, k, length, 4))
        file.dataset("scores", "f", (n, len(self.all_tasks)))
        for name in _SITE_COLUMNS:
            file.dataset(name, "i" if name in ("start", "end") else "O", (n,))
        optional = {
            "region_codes": ("u", (n, None)),
            "region": ("f", (n, k, None, 4)),
            "landmarks": ("f", (n, k, N_LANDMARKS, None)),
            "landmark_distances": ("f", (n, N_LANDMARKS)),
        }
        for name, (kinds, shape) in optional.items():
            if name in file.handle:
                file.dataset(name, kinds, shape)
        for name in ("seq_codes", "region_codes"):
            for rows in file.handle[name].iter_chunks() if name in file.handle and n else ():
                if file.handle[name][rows].max(initial=0) > UNKNOWN:
                    file.refuse(f"codes from 0 to {UNKNOWN} in {name!r}", "others")

    def _values(self, name: str, rows: Any) -> NDArray:
        try:
            return self._handle[name][rows]
        except (OSError, RuntimeError) as error:
            raise InputError(f"{self.path}: {name!r} is damaged. Make it again with: ripe attribute.") from error

    def __len__(self) -> int:
        return len(self._handle["gap"])

    def __enter__(self) -> AttributionFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.close()

    def intervals(self, rows: Any = slice(None)) -> pd.DataFrame:
        """Return sites: columns ``chrom start end name strand``."""
        columns = {}
        for name in _SITE_COLUMNS:
            values = self._values(name, rows)
            columns[name] = [text.decode("utf-8", "replace") for text in values] if values.dtype == object else values
        return pd.DataFrame(columns)

    def scores(self, rows: Any = slice(None)) -> NDArray[np.float32]:
        """Return probabilities (n, T)."""
        return self._values("scores", rows)

    def gaps(self, rows: Any = slice(None)) -> NDArray[np.float64]:
        """Return completeness gaps (n, K)."""
        return self._values("gap", rows)

    def has_bases(self, rows: Any = slice(None)) -> NDArray[np.bool_]:
        """Return (n,): whether a site has any known base."""
        return (self._values("seq_codes", rows) != UNKNOWN).any(axis=1)

    def windows(self, rows: Any = slice(None)) -> Windows:
        """Return the one-hot windows of sites."""
        region = one_hot(self._values("region_codes", rows)) if "region_codes" in self._handle else None
        landmarks = None
        if "landmark_distances" in self._handle:
            n_bases = self._handle["landmarks"].shape[-1] if "landmarks" in self._handle else N_BASES
            landmarks = encode_landmarks(self._values("landmark_distances", rows), n_bases)
        return Windows(one_hot(self._values("seq_codes", rows)), region, landmarks, self.intervals(rows))

    def maps(self, task: str, rows: Any = slice(None)) -> Attributions:
        """Return the maps of one task for some sites (a slice or increasing row numbers)."""
        check_known("task", task, self.tasks, f"{self.path} has no maps of it.")
        index = self.tasks.index(task)
        region, landmarks = (
            self._values(name, (rows, index)) if name in self._handle else None for name in ("region", "landmarks")
        )
        return Attributions(self._values("seq", (rows, index)), region, landmarks, self._values("gap", (rows, index)))
