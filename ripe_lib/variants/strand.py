"""What scoring on the right strand changes, against taking every gene as plus-strand as pipelines do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.genome.alleles import OK
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.vcf import VcfFile
from ripe_lib.network.load import Model
from ripe_lib.variants.format import Selection
from ripe_lib.variants.options import VariantOptions
from ripe_lib.variants.rows import place_rows
from ripe_lib.variants.scorer import VariantScorer


@dataclass
class _Sums:
    """Running sums of two columns per task, enough for counts and a correlation."""

    n: NDArray[np.int64]
    sums: NDArray[np.float64]  # (5, T): x, y, xx, yy, xy

    @classmethod
    def empty(cls, n_tasks: int) -> _Sums:
        return cls(np.zeros(n_tasks, dtype=np.int64), np.zeros((5, n_tasks)))

    def add(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> None:
        x, y = x.astype(np.float64), y.astype(np.float64)
        self.n += len(x)
        self.sums += np.stack([part.sum(axis=0) for part in (x, y, x * x, y * y, x * y)])

    def correlation(self) -> NDArray[np.float64]:
        x, y, xx, yy, xy = self.sums
        with np.errstate(invalid="ignore", divide="ignore"):
            n = self.n
            return (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))


class StrandComparison:
    """Scores alleles of minus-strand genes twice, on their strand and as if they were on plus.

    Parameters
    ----------
    models : list of Model
    genome : Genome
    annotation : Annotation
    options : VariantOptions
        ``strand`` is ignored. ``region="none"`` (region types unknown for both, as pipelines do) compares strands only.
    tasks : list of str, optional
    threshold : float
        |delta| from which a change counts as one in the summary.
    """

    def __init__(
        self,
        models: Sequence[Model],
        genome: Genome,
        annotation: Annotation,
        options: VariantOptions,
        *,
        tasks: Sequence[str] | None = None,
        threshold: float = 0.1,
    ) -> None:
        self.selection = Selection(models, tasks)
        self.threshold = threshold
        self._scorer = VariantScorer(models, genome, annotation, replace(options, strand="auto", intergenic="skip"))
        self.names = self.selection.labels
        n = len(self.names)
        self._sums = _Sums.empty(n)
        self._changed = np.zeros((3, n), dtype=np.int64)  # right strand, as plus, both with the same sign
        self.n_rows = {"+": 0, "-": 0}

    def tables(self, vcf: VcfFile, chunk_size: int = 8192) -> Iterator[pd.DataFrame]:
        """Yield one row per ALT of a minus-strand gene: ``<task>.delta`` and ``<task>.delta_as_plus``."""
        for records in vcf.records(chunk_size):
            rows = self._scorer.rows(records)
            for strand in self.n_rows:
                self.n_rows[strand] += int((rows.strand == strand).sum())
            on_minus = rows.take(np.flatnonzero((rows.strand == "-") & (rows.status == OK)))
            right = self._scorer.score_rows(on_minus)
            forced = place_rows(rows.alleles, self._scorer.genes, strand="+")
            forced = forced.take(np.flatnonzero(np.isin(forced.allele, on_minus.allele) & (forced.status == OK)))
            as_plus = self._scorer.score_rows(forced)
            at = right.fields.index("delta")
            deltas = [
                np.concatenate([values[..., at] for values in self.selection.values(scored)], axis=1)
                for scored in (right, as_plus)
            ]
            self._count(*deltas)
            table = pd.DataFrame(right.rows.meta())
            both = np.stack(deltas, axis=2).reshape(len(table), 2 * len(self.names))
            names = [f"{name}.{kind}" for name in self.names for kind in ("delta", "delta_as_plus")]
            yield pd.concat([table, pd.DataFrame(both, columns=names)], axis=1)

    def _count(self, right: NDArray[np.float32], plus: NDArray[np.float32]) -> None:
        self._sums.add(right, plus)
        is_right, is_plus = np.abs(right) > self.threshold, np.abs(plus) > self.threshold
        same = is_right & is_plus & (np.sign(right) == np.sign(plus))
        self._changed += np.stack([part.sum(axis=0) for part in (is_right, is_plus, same)])

    def summary(self) -> pd.DataFrame:
        """Return per task: variants compared, correlation of the two deltas, and how many changes are found by each."""
        return pd.DataFrame(
            {
                "task": self.names,
                "n_variants": self._sums.n,
                "correlation": self._sums.correlation(),
                "changes_right_strand": self._changed[0],
                "changes_as_plus": self._changed[1],
                "changes_in_both": self._changed[2],
            }
        )
