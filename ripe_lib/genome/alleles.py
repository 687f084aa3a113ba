"""ALT alleles in one canonical form: trimmed, left-aligned on the plus strand, checked against the genome.

However an allele is written (padded, shifted in a repeat, lower case), it comes out the same, so that its score
cannot depend on the way it is written. ``start`` is the first changed base, 0-based: ``n_removed`` bases from there
are replaced by ``n_inserted`` others; for an insertion that is the base before which the new ones come.

Where REF is too often not what the FASTA has, or no record lies on it, the FASTA is of another assembly.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError, UnknownNameError
from ripe_lib.genome.encoding import BASE_TABLE, UNKNOWN, Codes
from ripe_lib.genome.vcf import VcfFile, VcfRecords

if TYPE_CHECKING:
    from ripe_lib.genome.fasta import Genome

OK = "ok"
REASONS = {
    "missing_alt": "the record has no ALT allele ('.')",
    "star_allele": "'*': the base is deleted by another record",
    "symbolic_allele": "symbolic allele such as <DEL> or <NON_REF>",
    "breakend": "breakend notation such as N[chr2:321682[",
    "invalid_allele": "REF or ALT has characters that are not bases",
    "unknown_contig": "the contig is not in the FASTA",
    "off_contig": "POS or REF reaches past an end of the contig",
    "ref_mismatch": "REF is not what the FASTA has there",
    "intergenic": "no transcript of the GTF overlaps",
}
CHECKED_RECORDS = 10_000
# Mismatches, and more than this share of the records compared. By chance about a quarter of the bases agree, so a wrong
# FASTA or a shifted file shows in few records already.
LIMITS = ((100, 0.05), (10, 0.25), (1, 0.5))

_SINGLE = frozenset("ACGTacgt")
_BASES = re.compile(r"[ACGTUNRYSWKMBDHVacgtunryswkmbdhv]+\Z")
_CONTEXT = 64  # bases fetched at a time to the left of an indel
_STATUS = (OK, *REASONS)
_CODE = {name: np.uint8(code) for code, name in enumerate(_STATUS)}


@dataclass
class Alleles:
    """ALT alleles as columns of length A, in the order of the file."""

    records: VcfRecords
    record: NDArray[np.int64]  # index into the records
    alt: list[str]  # as written ("." if there is none)
    status: NDArray[np.object_]  # "ok" or a key of REASONS; everything below is meaningful only where "ok"
    contig: NDArray[np.object_]  # name in the FASTA
    start: NDArray[np.int64]  # the change, see the module
    n_removed: NDArray[np.int64]
    n_inserted: NDArray[np.int64]
    inserted: Codes  # (A, W), of the new bases, plus strand, filled with 4; what lies beyond W is cut

    def __len__(self) -> int:
        return len(self.record)


def canonical_alleles(records: VcfRecords, genome: Genome, *, max_inserted: int = 1024) -> Alleles:
    """Split multi-allelic records and bring every ALT into the canonical form; a record without one has one entry.

    Parameters
    ----------
    records : VcfRecords
    genome : Genome
        Gives REF and the sequence left of indels.
    max_inserted : int
        Inserted bases kept per allele; at least the longest window, so that cutting cannot matter.
    """
    split = [text.split(",") for text in records.alt]
    alts = [alt for parts in split for alt in parts]
    record = np.repeat(np.arange(len(records)), np.fromiter(map(len, split), np.int64))
    n = len(record)
    refs = [records.ref[i] for i in record.tolist()]
    status = np.fromiter(map(_written_status, refs, alts), np.uint8, n)
    start = records.pos[record] - 1
    ref_length = np.fromiter(map(len, refs), np.int64, n)

    contig, contig_length = _contigs(records.chrom, genome)
    contig, contig_length = contig[record], contig_length[record]
    _mark(status, contig_length < 0, "unknown_contig")
    _mark(status, (start < 0) | (start + ref_length > contig_length), "off_contig")
    _mark(status, ~_matches_reference(genome, contig, start, refs, ref_length, status == _CODE[OK]), "ref_mismatch")

    single = (status == _CODE[OK]) & (ref_length == 1) & (np.fromiter(map(len, alts), np.int64, n) == 1)
    first = _first_codes(alts)
    changed_single = single & (first != _first_codes(refs))
    n_removed, n_inserted = changed_single.astype(np.int64), changed_single.astype(np.int64)

    longer = np.flatnonzero((status == _CODE[OK]) & ~single)
    changes = _canonical(genome, contig[longer], start[longer], [refs[i] for i in longer], [alts[i] for i in longer])
    width = max([1, *(min(len(new), max_inserted) for _, _, new in changes)])
    inserted = np.full((n, width), UNKNOWN, dtype=np.uint8)
    inserted[changed_single, 0] = first[changed_single]
    for i, (at, removed, new) in zip(longer, changes, strict=True):
        start[i], n_removed[i], n_inserted[i] = at, removed, len(new)
        inserted[i, : len(new)] = np.frombuffer(new[:width], dtype=np.uint8)
    reasons = np.array(_STATUS, dtype=object)[status]
    return Alleles(records, record, alts, reasons, contig, start, n_removed, n_inserted, inserted)


def _written_status(ref: str, alt: str) -> np.uint8:
    """Judge an allele by its text alone."""
    if ref in _SINGLE and alt in _SINGLE:
        return _CODE[OK]
    if alt in {".", ""}:
        return _CODE["missing_alt"]
    if alt == "*":
        return _CODE["star_allele"]
    if alt[0] == "<" and alt[-1] == ">":
        return _CODE["symbolic_allele"]
    if "[" in alt or "]" in alt or alt[0] == "." or alt[-1] == ".":
        return _CODE["breakend"]
    if not _BASES.match(alt) or not _BASES.match(ref):
        return _CODE["invalid_allele"]
    return _CODE[OK]


def _mark(status: NDArray[np.uint8], where: NDArray[np.bool_], reason: str) -> None:
    status[where & (status == _CODE[OK])] = _CODE[reason]


def _contigs(chroms: Sequence[str], genome: Genome) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Return names in the FASTA and lengths (-1 if it is not there) of each record's contig."""
    which, levels = pd.factorize(np.array(chroms, dtype=object))
    names, lengths = np.full(len(levels), "", dtype=object), np.full(len(levels), -1)
    for level, chrom in enumerate(levels):
        with suppress(UnknownNameError):
            names[level] = genome.resolve(chrom)
            lengths[level] = genome.contigs[names[level]]
    return names[which], lengths[which]


def _codes(letters: str) -> Codes:
    return BASE_TABLE[np.frombuffer(letters.encode("latin-1", "replace"), dtype=np.uint8)]


def _first_codes(alleles: Sequence[str]) -> Codes:
    return _codes("".join([allele[:1] or "N" for allele in alleles]))


def _matches_reference(
    genome: Genome,
    contig: NDArray[np.object_],
    start: NDArray[np.int64],
    refs: Sequence[str],
    length: NDArray[np.int64],
    checked: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Compare REF with the FASTA where ``checked``; an unknown base on either side agrees with everything."""
    matches = np.ones(len(refs), dtype=bool)
    for n in np.unique(length[checked]):
        rows = np.flatnonzero(checked & (length == n))
        found = genome.fetch(contig[rows], start[rows], int(n))
        written = _codes("".join([refs[i] for i in rows])).reshape(found.shape)
        matches[rows] = ((written == found) | (written == UNKNOWN) | (found == UNKNOWN)).all(axis=1)
    return matches


def _canonical(
    genome: Genome, contig: NDArray[np.object_], start: NDArray[np.int64], refs: Sequence[str], alts: Sequence[str]
) -> list[tuple[int, int, bytes]]:
    """Trim and left-align; return (start, n_removed, codes of the new bases) each."""
    changes = []
    shifting = []
    for number, (at, ref, alt) in enumerate(zip(start.tolist(), refs, alts, strict=True)):
        at, old, new = trim(at, _codes(ref).tobytes(), _codes(alt).tobytes())
        changes.append((at, old, new))
        if bool(old) != bool(new) and at > 0:
            shifting.append(number)
    if shifting:
        starts = np.array([changes[i][0] for i in shifting], dtype=np.int64)
        context = genome.fetch(contig[shifting], starts - _CONTEXT, _CONTEXT)
        for row, number in enumerate(shifting):
            changes[number] = _left_aligned(genome, contig[number], *changes[number], context[row].tobytes())
    return [(at, len(old), new) for at, old, new in changes]


def trim(start: int, old: bytes, new: bytes) -> tuple[int, bytes, bytes]:
    """Remove common last, then common first bases; return the position of the first that differs, and what differs.

    Parameters
    ----------
    start : int
        0-based position of the first base.
    old, new : bytes
        Base codes, plus strand.
    """
    shorter = min(len(old), len(new))
    first = last = 0
    while last < shorter and old[-1 - last] == new[-1 - last]:
        last += 1
    while first < shorter - last and old[first] == new[first]:
        first += 1
    return start + first, old[first : len(old) - last], new[first : len(new) - last]


def _left_aligned(
    genome: Genome, contig: str, at: int, old: bytes, new: bytes, left: bytes
) -> tuple[int, bytes, bytes]:
    """Move a pure insertion or deletion left while the sequence stays; ``left`` ends just before ``at``."""
    moved = old or new
    n = len(moved)
    steps = 0  # the base that would leave on the right after `steps` moves is moved[-1 - steps % n]
    while at > steps:
        left = left or genome.fetch([contig], [at - steps - 1024], 1024).tobytes()
        if left[-1] != moved[-1 - steps % n]:
            break
        left, steps = left[:-1], steps + 1
    turn = n - steps % n
    moved = moved[turn:] + moved[:turn]
    return (at - steps, moved, b"") if old else (at - steps, b"", moved)


# --- is the FASTA that of the VCF? -----------------------------------------------------------------------------------


class AssemblyCheck:
    """Counts records whose REF is not what the FASTA has, among the first 10,000."""

    def __init__(self) -> None:
        self._n_records = self._n_compared = self._n_wrong = 0
        self._first = ""

    @property
    def is_complete(self) -> bool:
        """Whether 10,000 records were seen."""
        return self._n_records >= CHECKED_RECORDS

    def add(self, alleles: Alleles) -> None:
        """Count the next records."""
        records, left = alleles.records, CHECKED_RECORDS - self._n_records
        is_wrong = alleles.status == "ref_mismatch"
        wrong, compared = (np.unique(alleles.record[which]) for which in (is_wrong, is_wrong | (alleles.status == OK)))
        wrong = wrong[wrong < left]
        if len(wrong) and not self._first:
            self._first = f"{records.chrom[wrong[0]]}:{records.pos[wrong[0]]} {records.ref[wrong[0]]}"
        self._n_wrong += len(wrong)
        self._n_compared += int((compared < left).sum())
        self._n_records += min(left, len(records))

    def finish(self, name: str, genome: Genome, *, small_files: bool = True) -> None:
        """Raise an InputError if too many records were wrong.

        Parameters
        ----------
        name : str
            Of the VCF, for the message.
        genome : Genome
        small_files : bool
            Let the share decide where there are fewer than 100 mismatches: all :data:`LIMITS`, not the first alone.
        """
        limits = LIMITS if small_files else LIMITS[:1]
        if any(self._n_wrong >= n and self._n_wrong > share * self._n_compared for n, share in limits):
            raise InputError(
                f"{name}: REF of {self._n_wrong} of the first {self._n_compared} records compared is not what "
                f"{genome.path} has there (first: {self._first}). Is the FASTA of another assembly? Use the one the "
                "variants were called on, or go on with --force (force=True)."
            )


def check_assembly(vcf: VcfFile, genome: Genome, *, force: bool = False, small_files: bool = True) -> None:
    """Read the first 10,000 records and stop if the FASTA is of another assembly; not with ``force``.

    Parameters as :meth:`AssemblyCheck.finish`.
    """
    if force:
        return
    check = AssemblyCheck()
    for records in vcf.records(CHECKED_RECORDS):
        check.add(canonical_alleles(records, genome))
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
    """
    of_the_fasta = ("unknown_contig", "off_contig", "ref_mismatch")
    reasons = ", ".join(f"{status[code]} {code} ({REASONS[code]})" for code in of_the_fasta if status[code])
    if not reasons or status[OK] or status["intergenic"]:
        return ""
    contigs = ", ".join(list(genome.contigs)[:3])
    return (
        f"{name}: expected variants of {genome.path} (contigs such as {contigs}), but none could be scored: {reasons}. "
        "Use the FASTA the variants were called on, or keep the table of reasons with --force (force=True)."
    )
