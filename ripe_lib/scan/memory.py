"""Scanning one sequence that is already in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import Codes, encode_region, encode_sequence, place
from ripe_lib.network.load import Model
from ripe_lib.scan.engine import Scanner
from ripe_lib.scan.sources import Source, bin_bounds, stretches


@dataclass(frozen=True)
class SequenceSource(Source):
    """One RNA in memory, with the landmarks of the source it stands for, if any."""

    seq_codes: Codes
    region_codes: Codes | None = None
    name: str = "sequence"
    landmarks_of: Callable[..., NDArray[np.float64] | None] | None = None
    kind = "rna"

    @cached_property
    def contigs(self) -> dict[str, int]:
        """Its length."""
        return {self.name: len(self.seq_codes)}

    def codes(self, contig: str, start: int, length: int, minus: bool) -> tuple[Codes, Codes | None]:
        """Return bases and region types, unknown off the sequence; parameters as :meth:`Source.codes`."""
        region = None if self.region_codes is None else place(self.region_codes, length, -start)
        return place(self.seq_codes, length, -start), region

    def landmarks(self, contig: str, positions: NDArray[np.int64], minus: bool) -> NDArray[np.float64] | None:
        """Return distances; parameters as :meth:`Source.landmarks`."""
        return None if self.landmarks_of is None else self.landmarks_of(contig, positions, minus)

    def fingerprint(self) -> tuple[Any, list[Path]]:
        """Return the codes themselves."""
        return [self.seq_codes.tobytes(), None if self.region_codes is None else self.region_codes.tobytes()], []


def scan_sequence(
    model: Model,
    sequence: str,
    *,
    region: str | None = None,
    step: int = 1,
    tasks: Sequence[str] | None = None,
    threads: int | None = None,
) -> pd.DataFrame:
    """Score every bin of one RNA: ``start end`` (0-based, half-open) and one column of probabilities per task.

    Parameters
    ----------
    model : Model
    sequence : str
        RNA or DNA letters, 5' to 3', any length from 1 nt; windows that overhang it are filled with unknown bases.
    region : str, optional
        One letter of ``i c 3 5 N`` per base; default no information.
    step, tasks, threads
        As of :class:`ripe_lib.scan.engine.Scanner`; ``step`` is also the width of the bins.
    """
    seq, regions = encode_sequence(sequence), None if region is None else encode_region(region)
    if not len(seq):
        raise InputError("sequence: expected at least one base, got none.")
    if regions is not None and len(regions) != len(seq):
        raise InputError(f"region types: expected as many letters as bases ({len(seq)}), got {len(regions)}.")
    scanner = Scanner(model, step=step, tasks=tasks, threads=threads)
    source = SequenceSource(seq, regions)
    run = source.runs(step)[0]
    starts, ends = bin_bounds(run, step, len(seq))
    scores = np.concatenate(scanner.scores(stretches(source, run, scanner)))
    table = pd.DataFrame({"start": starts, "end": ends})
    return pd.concat([table, pd.DataFrame(scores, columns=scanner.tasks)], axis=1)
