"""Stopping when the FASTA is of another assembly than the VCF, or has none of its contigs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from ripe_lib.errors import InputError
from ripe_lib.genome.alleles import OK, REASONS, Alleles, canonical_alleles
from ripe_lib.genome.vcf import VcfFile, VcfRecords

if TYPE_CHECKING:
    from ripe_lib.genome.fasta import Genome

CHECKED_RECORDS = 10_000
MANY = (100, 0.05)  # mismatches, and more than this share of the records compared
# By chance about a quarter of the bases agree, so a wrong FASTA or a shifted file shows in few records already.
FEW = ((10, 0.25), (1, 0.5))
OF_THE_FASTA = ("unknown_contig", "off_contig", "ref_mismatch")


class AssemblyCheck:
    """Counts records whose REF is not what the FASTA has, among the first 10,000."""

    def __init__(self) -> None:
        self.n_records = 0
        self.n_compared = 0
        self.n_wrong = 0
        self._first = ""

    @property
    def is_complete(self) -> bool:
        """Whether 10,000 records were seen."""
        return self.n_records >= CHECKED_RECORDS

    def add(self, records: VcfRecords, alleles: Alleles) -> None:
        """Count the next records."""
        left = CHECKED_RECORDS - self.n_records
        compared = (alleles.status == OK) | (alleles.status == "ref_mismatch")
        wrong = np.unique(alleles.record[alleles.status == "ref_mismatch"])
        wrong = wrong[wrong < left]
        if len(wrong) and not self._first:
            self._first = f"{records.chrom[wrong[0]]}:{records.pos[wrong[0]]} {records.ref[wrong[0]]}"
        self.n_wrong += len(wrong)
        self.n_compared += int((np.unique(alleles.record[compared]) < left).sum())
        self.n_records += min(left, len(records))

    def finish(self, name: str, genome: Genome, *, small_files: bool = True) -> None:
        """Raise if too many records were wrong.

        Parameters
        ----------
        name : str
            Of the VCF, for the message.
        genome : Genome
        small_files : bool
            Let the share decide where there are fewer than 100 mismatches.

        Raises
        ------
        InputError
            If at least 100 records and more than 5 % of those compared do not match; with ``small_files`` also 10 and
            more than a quarter, or more than half.
        """
        limits = (MANY, *FEW) if small_files else (MANY,)
        if any(self.n_wrong >= n and self.n_wrong > share * self.n_compared for n, share in limits):
            raise InputError(
                f"{name}: REF of {self.n_wrong} of the first {self.n_compared} records compared is not what "
                f"{genome.path} has there (first: {self._first}). Is the FASTA of another assembly? Use the one the "
                "variants were called on, or go on with --force (force=True)."
            )


def check_assembly(vcf: VcfFile, genome: Genome, *, force: bool = False, small_files: bool = True) -> None:
    """Read the first 10,000 records and stop if the FASTA is of another assembly.

    Parameters
    ----------
    vcf : VcfFile
    genome : Genome
    force : bool
        Do not check.
    small_files : bool
        Of :meth:`AssemblyCheck.finish`.
    """
    if force:
        return
    check = AssemblyCheck()
    for records in vcf.records(CHECKED_RECORDS):
        check.add(records, canonical_alleles(records, genome))
        if check.is_complete:
            break
    check.finish(vcf.name, genome, small_files=small_files)


def nothing_scored(name: str, genome: Genome, status: Counter[str]) -> str:
    """Say why nothing could be scored if the FASTA lacks the contigs, places or REF of the VCF; else an empty text.

    Parameters
    ----------
    name : str
        Of the VCF.
    genome : Genome
    status : Counter
        Rows by status, before filters. Where a row has a place (``ok``, ``intergenic``) the FASTA fits.

    Returns
    -------
    str
        One line: the reasons with their numbers, and what to do.
    """
    reasons = ", ".join(f"{status[code]} {code} ({REASONS[code]})" for code in OF_THE_FASTA if status[code])
    if not reasons or status[OK] or status["intergenic"]:
        return ""
    contigs = ", ".join(list(genome.contigs)[:3])
    return (
        f"{name}: expected variants of {genome.path} (contigs such as {contigs}), but none could be scored: {reasons}. "
        "Use the FASTA the variants were called on, or keep the table of reasons with --force (force=True)."
    )
