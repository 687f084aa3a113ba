"""Reading a prepared data set (``deepripe-dataset-1``).

One HDF5 file holds everything a training or evaluation run needs. Bases and region types are stored as one byte
per position (:mod:`ripe_lib.genome.encoding`), already in RNA sense, with a margin on both sides for shifted windows.

============================  ==============================  ====================================================
name                          shape, type                     content
============================  ==============================  ====================================================
``seq``                       (N, L + 2 margin) uint8         base codes
``region``                    (N, R + 2 margin) uint8         region-type codes
``landmarks``                 (N, 8) float32                  distances from the site's centre to landmarks, NaN none
``labels``                    (N, T) int8                     1 bound, 0 surely not bound, -1 unknown (masked)
``split``                     (N,) uint8                      0 train, 1 valid, 2 test
``source``                    (N,) uint8                      index into the attribute ``sources``
``cluster``                   (N,) int64                      locus; never in two splits unless split at random
``chrom start end strand``    (N,)                            site, 0-based half-open; strand 0 ``+``, 1 ``-``, 2 ``.``
``source_has_task``           (S, T) bool                     whether a source has a table of a task
============================  ==============================  ====================================================

Root attributes: ``format``, ``tasks``, ``sources``, ``chroms``, ``manifest`` (JSON texts), ``sequence_length``,
``region_length``, ``margin``. ``landmarks`` (:mod:`ripe_lib.genome.landmarks`) may be missing. ``seq`` and ``region``
are stored in one piece, so that they are read through a memory map: a data set larger than memory costs no more than
the rows that are looked at.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError, MissingFileError, check_known
from ripe_lib.genome.encoding import UNKNOWN, Codes, one_hot
from ripe_lib.genome.landmarks import LANDMARKS, encode_landmarks
from ripe_lib.output.foreign import ForeignHdf5, open_hdf5

if TYPE_CHECKING:
    import h5py

    from ripe_lib.genome.windows import Windows

FORMAT = "deepripe-dataset-1"
SPLITS = ("train", "valid", "test")
STRANDS = ("+", "-", ".")
POSITIVE, NEGATIVE, UNKNOWN_LABEL = 1, 0, -1


class Dataset:
    """A data set written by ``ripe-train prepare``, read-only; the attributes are those of the file.

    ``split`` is an index into :data:`SPLITS`. Only where ``source_has_task`` can an unknown label mean "probably not
    bound". ``manifest`` holds inputs with sha256, versions, options, counts and seed.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InputError
        If it is not a data set of this format or is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise MissingFileError(f"{path}: no such data set. Make one with: ripe-train prepare CONFIG")
        advice = "Make it again with: ripe-train prepare"
        with open_hdf5(self.path, f"a data set of format {FORMAT!r}", advice=advice) as file:
            self._read(file)

    def _read(self, file: ForeignHdf5) -> None:
        file.check_format(FORMAT)
        self.tasks: list[str] = file.texts("tasks")
        self.sources: list[str] = file.texts("sources")
        self._chroms: list[str] = file.texts("chroms")
        self.manifest: dict[str, Any] = file.mapping("manifest")
        self.sequence_length = file.number("sequence_length", 1)
        self.region_length = file.number("region_length")
        self.margin = file.number("margin")
        self.labels: NDArray[np.int8] = file.array("labels", "i", (None, len(self.tasks)))
        n = len(self.labels)
        self.split: NDArray[np.uint8] = file.array("split", "u", (n,))
        self.source_index: NDArray[np.uint8] = file.array("source", "u", (n,))
        self.cluster: NDArray[np.int64] = file.array("cluster", "i", (n,))
        shape = (len(self.sources), len(self.tasks))
        self.source_has_task: NDArray[np.bool_] = file.array("source_has_task", "b", shape)
        self._columns = {name: file.array(name, "iu", (n,)) for name in ("chrom", "start", "end", "strand")}
        self._landmarks: NDArray[np.float32] | None = None
        if "landmarks" in file.handle:
            self._landmarks = file.array("landmarks", "f", (n, len(LANDMARKS)))
        self._seq = self._map(file.dataset("seq", "u", (n, self.sequence_length + 2 * self.margin)))
        self._region = self._map(file.dataset("region", "u", (n, self.region_length + 2 * self.margin)))
        for name, values, least, most in (
            ("labels", self.labels, UNKNOWN_LABEL, POSITIVE),
            ("split", self.split, 0, len(SPLITS) - 1),
            ("source", self.source_index, 0, len(self.sources) - 1),
            ("chrom", self._columns["chrom"], 0, len(self._chroms) - 1),
            ("strand", self._columns["strand"], 0, len(STRANDS) - 1),
        ):
            if n and not (least <= values.min() and values.max() <= most):
                file.refuse(f"values from {least} to {most} in {name!r}", f"{values.min()} to {values.max()}")

    def _map(self, array: h5py.Dataset) -> Codes:
        offset = array.id.get_offset()
        if array.dtype != np.uint8:
            raise InputError(f"{self.path}: expected codes of one byte in {array.name!r}, got {array.dtype}.")
        if offset is None:
            return array[()]
        return np.memmap(self.path, dtype=np.uint8, mode="r", offset=offset, shape=array.shape)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def source(self) -> NDArray[np.str_]:
        """Source name of every row (N,)."""
        return np.asarray(self.sources)[self.source_index]

    @property
    def manifest_sha256(self) -> str:
        """Digest of the manifest, which holds the digest of the arrays: it identifies the data set."""
        return hashlib.sha256(json.dumps(self.manifest, sort_keys=True).encode()).hexdigest()

    @property
    def intervals(self) -> pd.DataFrame:
        """Sites, one row each: chrom, start, end (0-based half-open), name, score, strand."""
        sites = pd.DataFrame(self._columns).assign(name=np.arange(len(self)).astype(str), score=0.0)
        sites["chrom"] = np.asarray(self._chroms)[self._columns["chrom"]]
        sites["strand"] = np.asarray(STRANDS)[self._columns["strand"]]
        return sites[["chrom", "start", "end", "name", "score", "strand"]]

    def indices(self, split: str) -> NDArray[np.int64]:
        """Return the rows of ``"train"``, ``"valid"`` or ``"test"``."""
        check_known("split", split, SPLITS)
        rows = np.flatnonzero(self.split == SPLITS.index(split))
        if not len(rows):
            raise InputError(f"{self.path}: expected rows in split {split!r}, got none. Prepare it with that split.")
        return rows

    def task_index(self, task: str) -> int:
        """Return the label column of a task."""
        check_known("task", task, self.tasks, f"The data set is {self.path}.")
        return self.tasks.index(task)

    def seq_codes(self, rows: Any) -> Codes:
        """Return base codes with margins, (n, L + 2 margin) uint8."""
        return self._codes(self._seq[rows])

    def region_codes(self, rows: Any) -> Codes:
        """Return region-type codes with margins, (n, R + 2 margin) uint8."""
        return self._codes(self._region[rows])

    def _codes(self, codes: Codes) -> Codes:
        if codes.size and codes.max() > UNKNOWN:
            raise InputError(f"{self.path}: expected codes from 0 to {UNKNOWN}, got {codes.max()}. Make it again.")
        return np.asarray(codes)

    @property
    def has_landmarks(self) -> bool:
        """Whether distances to landmarks are in the data set."""
        return self._landmarks is not None

    def landmarks(self, rows: Any) -> NDArray[np.float32]:
        """Return signed distances (n, 8) in nt from the sites' centres, NaN where none is known."""
        if self._landmarks is None:
            return np.full((len(self.labels[rows]), len(LANDMARKS)), np.nan, dtype=np.float32)
        return self._landmarks[rows]

    def centred_codes(self, rows: Any) -> tuple[Codes, Codes]:
        """Return (n, L) and (n, R) codes of the windows in their normal place."""
        seq = self.seq_codes(rows)[:, self.margin : self.margin + self.sequence_length]
        return seq, self.region_codes(rows)[:, self.margin : self.margin + self.region_length]

    def windows(self, rows: Any) -> Windows:
        """Return the windows in their normal place, ready for :func:`ripe_lib.predict`."""
        from ripe_lib.genome.windows import Windows

        seq, region = self.centred_codes(rows)
        intervals = self.intervals.iloc[rows].reset_index(drop=True)
        landmarks = encode_landmarks(self.landmarks(rows)) if self.has_landmarks else None
        return Windows(seq=one_hot(seq), region=one_hot(region), landmarks=landmarks, intervals=intervals)
