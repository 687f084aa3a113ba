"""The methods of attribution by name, and sites from genomes or constructs, chunk by chunk: what the commands run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from ripe_lib.attribution import compute
from ripe_lib.attribution.gradients import DEFAULT_POINTS
from ripe_lib.attribution.maps import Attributions, gaps_ignored, known_bases
from ripe_lib.attribution.store import create_attributions
from ripe_lib.errors import InputError, check_known
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import UNKNOWN, one_hot, place
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.intervals import IntervalSource, PathLike, read_intervals
from ripe_lib.genome.landmarks import unknown_landmarks
from ripe_lib.genome.rna_fasta import RnaRecords, read_rna_fasta
from ripe_lib.genome.windows import WindowMaker, Windows
from ripe_lib.network.load import Model
from ripe_lib.network.predict import predict
from ripe_lib.network.spec import ModelSpec

# What each method is, and the fields of :class:`Method` that it takes.
METHODS: dict[str, tuple[Callable[..., Attributions], tuple[str, ...]]] = {
    "ig": (compute.integrated_gradients, ("n_steps", "rule", "baseline", "output", "batch_size")),
    "saliency": (compute.saliency, ("output", "batch_size")),
    "gradxinput": (compute.gradient_x_input, ("output", "batch_size")),
    "deeplift": (compute.deeplift, ("baseline",)),
    "ism": (compute.ism, ("output",)),
}
PADS = ("both", "left", "right")


@dataclass(frozen=True)
class Method:
    """How to explain: a method (of :data:`METHODS`) and its options.

    The options are those of :func:`ripe_lib.integrated_gradients`; DeepLIFT explains the logit whatever ``output``
    (``"probability"`` or ``"logit"``) says.
    """

    name: str = "ig"
    output: str = "probability"
    n_steps: int = 50
    rule: str = compute.DEFAULT_RULE
    baseline: str = "paper"
    batch_size: int = DEFAULT_POINTS

    def __post_init__(self) -> None:
        check_known("method", self.name, METHODS)

    def options(self) -> dict[str, Any]:
        """Return what decides the numbers, for the record."""
        taken = {name: getattr(self, name) for name in METHODS[self.name][1] if name != "batch_size"}
        return {"output": "logit", **taken}

    def __call__(self, model: Model, windows: Any, tasks: Sequence[str]) -> Attributions:
        """Return the maps of several tasks (an axis of tasks after the sites)."""
        function, names = METHODS[self.name]
        return function(model, windows, task=list(tasks), **{name: getattr(self, name) for name in names})


@dataclass
class SiteCounts:
    """What was met on the way, for one remark at the end."""

    n_sites: int = 0
    n_partly_unknown: int = 0
    n_all_unknown: int = 0

    def add(self, windows: Windows) -> None:
        """Count the sites of a chunk."""
        known = known_bases(windows.seq)
        n_unknown = int((~known.any(axis=1)).sum())
        self.n_sites += len(windows)
        self.n_all_unknown += n_unknown
        self.n_partly_unknown += int((~known.all(axis=1)).sum()) - n_unknown

    def check(self, where: str) -> None:
        """Refuse input in which no site has a base."""
        if self.n_sites and self.n_all_unknown == self.n_sites:
            raise InputError(
                f"{where}: expected sites with known bases, got {self.n_sites} site(s) of N only. "
                "Is the FASTA hard-masked, or of another assembly?"
            )

    def remark(self) -> str:
        """Return a sentence about N, or nothing."""
        parts = []
        if self.n_partly_unknown:
            parts.append(f"{self.n_partly_unknown} of {self.n_sites} windows hold N (or reach over a contig's end)")
        if self.n_all_unknown:
            parts.append(f"{self.n_all_unknown} are N only")
        return "; ".join(parts) + ": unknown bases carry no letter" if parts else ""


@dataclass
class IntervalSites:
    """Windows of genomic intervals."""

    intervals: IntervalSource
    fasta_file: PathLike | Genome
    gtf_file: PathLike | Annotation | None = None
    is_genomic: ClassVar[bool] = True

    @property
    def where(self) -> str:
        """Name for messages."""
        return str(self.intervals) if isinstance(self.intervals, str | os.PathLike) else "intervals"

    def chunks(self, spec: ModelSpec, size: int) -> Iterator[Windows]:
        """Yield windows for a model, ``size`` sites at a time."""
        maker = WindowMaker(spec, self.fasta_file, self.gtf_file)
        for frame in read_intervals(self.intervals, chunk_size=size):
            yield maker.windows(frame)


@dataclass
class ConstructSites:
    """Windows of ready sequences, one per FASTA record, filled with N to the window's length.

    Records may carry region types in their header (``region=iiicc...``); otherwise these are unknown. The N go on
    ``"both"`` sides (one more on the right if odd), or on the ``"left"`` or ``"right"``.
    """

    fasta_file: str | Path
    pad: str = "both"
    is_genomic: ClassVar[bool] = False

    @property
    def where(self) -> str:
        """Name for messages."""
        return str(self.fasta_file)

    def chunks(self, spec: ModelSpec, size: int) -> Iterator[Windows]:
        """Yield windows for a model, ``size`` records at a time."""
        check_known("padding", self.pad, PADS)
        with tempfile.TemporaryDirectory(prefix="ripe-constructs-") as folder:
            records = read_rna_fasta(self.fasta_file, Path(folder) / "codes")
            for name, length in zip(records.names, records.lengths.tolist(), strict=True):
                if length > spec.sequence_length:
                    raise InputError(
                        f"{self.fasta_file}: record {name!r}: expected at most {spec.sequence_length} nt, "
                        f"got {length}. Longer RNAs are searched with: ripe scan."
                    )
            for start in range(0, len(records.names), size):
                rows = range(start, min(start + size, len(records.names)))
                yield self._windows(records, rows, spec)

    def _windows(self, records: RnaRecords, rows: range, spec: ModelSpec) -> Windows:
        seq = np.full((len(rows), spec.sequence_length), UNKNOWN, dtype=np.uint8)
        region = np.full((len(rows), spec.region_length), UNKNOWN, dtype=np.uint8)
        for place_in_chunk, row in enumerate(rows):
            length = int(records.lengths[row])
            free = spec.sequence_length - length
            offset = {"both": free // 2, "left": free, "right": 0}[self.pad]
            seq[place_in_chunk] = place(records.bases(row, 0, length), spec.sequence_length, offset)
            types = records.regions(row, 0, length)
            if types is not None and spec.has_region:
                # The middles of both windows are the same base.
                shift = spec.region_length // 2 - spec.sequence_length // 2
                region[place_in_chunk] = place(types, spec.region_length, offset + shift)
        names, lengths = [records.names[row] for row in rows], records.lengths[list(rows)].astype(np.int64)
        columns = {"chrom": names, "start": 0, "end": lengths, "name": names, "score": ".", "strand": "+"}
        frame = pd.DataFrame(columns).astype({"start": np.int64})
        landmarks = unknown_landmarks(len(rows), spec.landmark_bases) if spec.has_landmarks else None
        return Windows(one_hot(seq), one_hot(region) if spec.has_region else None, landmarks, frame)


def explain_sites(
    model: Model,
    source: IntervalSites | ConstructSites,
    tasks: Sequence[str],
    method: Method,
    path: str | Path,
    *,
    min_score: float | None = None,
    advance: Callable[[int], object] = lambda _: None,
) -> tuple[SiteCounts, int]:
    """Write the maps of all sites of a source into a file (:mod:`ripe_lib.attribution.store`).

    Returns what was met, and how many sites were written.

    Parameters
    ----------
    model : Model
    source : IntervalSites or ConstructSites
    tasks : sequence of str
    method : Method
    path : path
        HDF5 file; gaps of completeness are in it.
    min_score : float, optional
        Only sites with a score above it for one of the tasks.
    advance : callable
        Is given the number of sites of each chunk when it is written.
    """
    size = max(1, min(1024, 10_000 // len(tasks)))  # maps of one chunk: about 64 MB
    columns = [model.spec.task_index(task) for task in tasks]
    counts, n_written = SiteCounts(), 0
    about: dict[str, Any] = {"method": method.name, "options": method.options(), "is_genomic": source.is_genomic}
    about["with_context"] = method.name != "ism"
    # Gaps are counted over the whole file by who reads it.
    with gaps_ignored(), create_attributions(path, model, tasks, **about) as write:
        for windows in source.chunks(model.spec, size):
            counts.add(windows)
            scores = predict(model, windows)
            if min_score is not None:
                chosen = np.flatnonzero((scores[:, columns] > min_score).any(axis=1))
                windows, scores = windows[chosen], scores[chosen]
            if len(windows):
                write(windows, method(model, windows, tasks), scores)
            n_written += len(windows)
            advance(len(windows))
        counts.check(source.where)
    return counts, n_written
