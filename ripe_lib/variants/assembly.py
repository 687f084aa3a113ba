"""Stopping early when the FASTA is of another assembly than the VCF."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ripe_lib.errors import InputError
from ripe_lib.genome.alleles import Alleles, canonical_alleles
from ripe_lib.genome.vcf import VcfFile, VcfRecords

if TYPE_CHECKING:
    from ripe_lib.genome.fasta import Genome

CHECKED_RECORDS = 10_000
MISMATCHES, MISMATCH_SHARE = 100, 0.05


class AssemblyCheck:
    """Counts records whose REF is not what the FASTA has, among the first 10,000."""

    def __init__(self) -> None:
        self.n_records = 0
        self.n_wrong = 0
        self._first = ""

    @property
    def is_complete(self) -> bool:
        """Whether 10,000 records were seen."""
        return self.n_records >= CHECKED_RECORDS

    def add(self, records: VcfRecords, alleles: Alleles) -> None:
        """Count the next records."""
        left = CHECKED_RECORDS - self.n_records
        wrong = np.unique(alleles.record[alleles.status == "ref_mismatch"])
        wrong = wrong[wrong < left]
        if len(wrong) and not self._first:
            self._first = f"{records.chrom[wrong[0]]}:{records.pos[wrong[0]]} {records.ref[wrong[0]]}"
        self.n_wrong += len(wrong)
        self.n_records += min(left, len(records))

    def finish(self, name: str, genome: Genome) -> None:
        """Raise if too many records were wrong.

        Raises
        ------
        InputError
            If at least 100 records and more than 5 % do not match.
        """
        if self.n_wrong >= MISMATCHES and self.n_wrong > MISMATCH_SHARE * self.n_records:
            raise InputError(
                f"{name}: REF of {self.n_wrong} of the first {self.n_records} records is not what {genome.path} has "
                f"there (first: {self._first}). Is the FASTA of another assembly? Use the one the variants were called "
                "on, or go on with --force (force=True)."
            )


def check_assembly(vcf: VcfFile, genome: Genome, *, force: bool = False) -> None:
    """Read the first 10,000 records and stop if the FASTA is of another assembly, unless ``force``."""
    if force:
        return
    check = AssemblyCheck()
    for records in vcf.records(CHECKED_RECORDS):
        check.add(records, canonical_alleles(records, genome))
        if check.is_complete:
            break
    check.finish(vcf.name, genome)
