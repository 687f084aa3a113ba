"""What scoring on the right strand changes, against taking every gene as plus-strand as pipelines do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

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


class StrandComparison:
    """Scores alleles of minus-strand genes twice, on their strand and as if they were on plus.

    ``options.strand`` is ignored; ``region="none"`` (region types unknown for both, as pipelines do) compares strands
    only. ``threshold``: |delta| from which a change counts as one in the summary.
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
        self.selection, self.threshold = Selection(models, tasks), threshold
        self._scorer = VariantScorer(models, genome, annotation, replace(options, strand="auto", intergenic="skip"))
        self.names = self.selection.labels
        self.n_rows = {"+": 0, "-": 0}
        self._n = 0
        self._sums = np.zeros((5, len(self.names)))  # of x, y, xx, yy, xy; x: right strand, y: as plus
        self._changed = np.zeros((3, len(self.names)), dtype=np.int64)  # right strand, as plus, both with the same sign

    def tables(self, vcf: VcfFile, chunk_size: int = 8192) -> Iterator[pd.DataFrame]:
        """Yield one row per ALT of a minus-strand gene: ``<task>.delta`` and ``<task>.delta_as_plus``."""
        for records in vcf.records(chunk_size):
            rows = self._scorer.rows(records)
            for strand in self.n_rows:
                self.n_rows[strand] += int((rows.strand == strand).sum())
            on_minus = rows.take(np.flatnonzero((rows.strand == "-") & (rows.status == OK)))
            forced = place_rows(rows.alleles, self._scorer.genes, strand="+")
            as_plus = forced.take(np.flatnonzero(np.isin(forced.allele, on_minus.allele) & (forced.status == OK)))
            deltas = [self.selection.deltas(self._scorer.score_rows(chosen)) for chosen in (on_minus, as_plus)]
            self._count(*deltas)
            both = np.stack(deltas, axis=2).reshape(len(on_minus), 2 * len(self.names))
            names = [f"{name}.{kind}" for name in self.names for kind in ("delta", "delta_as_plus")]
            yield pd.concat([pd.DataFrame(on_minus.meta()), pd.DataFrame(both, columns=names)], axis=1)

    def _count(self, right: NDArray[np.float32], plus: NDArray[np.float32]) -> None:
        x, y = right.astype(np.float64), plus.astype(np.float64)
        self._n += len(x)
        self._sums += np.stack([part.sum(axis=0) for part in (x, y, x * x, y * y, x * y)])
        is_right, is_plus = np.abs(right) > self.threshold, np.abs(plus) > self.threshold
        same = is_right & is_plus & (np.sign(right) == np.sign(plus))
        self._changed += np.stack([part.sum(axis=0) for part in (is_right, is_plus, same)])

    def summary(self) -> pd.DataFrame:
        """Return per task: variants compared, correlation of the two deltas, and how many changes are found by each."""
        n, (x, y, xx, yy, xy) = self._n, self._sums
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))
        table = pd.DataFrame({"task": self.names, "n_variants": n, "correlation": correlation})
        return table.assign(
            changes_right_strand=self._changed[0], changes_as_plus=self._changed[1], changes_in_both=self._changed[2]
        )
