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
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
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
KINDS = ("identical", "SNV", "MNV", "insertion", "deletion", "delins")
IDENTICAL, SNV, MNV, INSERTION, DELETION, DELINS = range(6)

CHECKED_RECORDS = 10_000
MANY = (100, 0.05)  # mismatches, and more than this share of the records compared
# By chance about a quarter of the bases agree, so a wrong FASTA or a shifted file shows in few records already.
FEW = ((10, 0.25), (1, 0.5))
OF_THE_FASTA = ("unknown_contig", "off_contig", "ref_mismatch")

_SINGLE = frozenset("ACGTacgt")
_BASES = re.compile(r"[ACGTUNRYSWKMBDHVacgtunryswkmbdhv]+\Z")
_CONTEXT = 64  # bases fetched at a time to the left of an indel
_STATUS = (OK, *REASONS)
_CODE = {name: np.uint8(code) for code, name in enumerate(_STATUS)}


@dataclass
class Alleles:
    """ALT alleles as columns of length A, in the order of the file.

    Attributes
    ----------
    records : VcfRecords
        Where they come from.
    record : int64 (A,)
        Index into the records.
    alt : list of str
        ALT as written (``.`` if there is none).
    status : str array (A,)
        ``ok`` or a key of :data:`REASONS`; everything below is meaningful only where ``ok``.
    contig : str array (A,)
        Name in the FASTA.
    start, n_removed, n_inserted : int64 (A,)
        The change, see the module.
    inserted : uint8 (A, W)
        Codes of the new bases, plus strand, filled with 4; what lies beyond ``W`` is cut.
    kind : uint8 (A,)
        Index into :data:`KINDS`.
    """

    records: VcfRecords
    record: NDArray[np.int64]
    alt: list[str]
    status: NDArray[np.object_]
    contig: NDArray[np.object_]
    start: NDArray[np.int64]
    n_removed: NDArray[np.int64]
    n_inserted: NDArray[np.int64]
    inserted: Codes
    kind: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.record)


def canonical_alleles(records: VcfRecords, genome: Genome, *, max_inserted: int = 1024) -> Alleles:
    """Split multi-allelic records and bring every ALT into the canonical form.

    Parameters
    ----------
    records : VcfRecords
        From :mod:`ripe_lib.genome.vcf`.
    genome : Genome
        Gives REF and the sequence left of indels.
    max_inserted : int
        Inserted bases kept per allele; at least the longest window, so that cutting cannot matter.

    Returns
    -------
    Alleles
        One entry per ALT; one for a record without.
    """
    record: list[int] = []
    alts: list[str] = []
    for number, text in enumerate(records.alt):
        if "," in text:
            parts = text.split(",")
            alts += parts
            record += [number] * len(parts)
        else:
            alts.append(text)
            record.append(number)
    of = np.array(record, dtype=np.int64)
    n = len(of)
    refs = [records.ref[i] for i in record]
    status = np.fromiter((_written_status(r, a) for r, a in zip(refs, alts, strict=True)), np.uint8, n)
    start = records.pos[of] - 1 if n else np.zeros(0, dtype=np.int64)
    ref_length = np.fromiter(map(len, refs), np.int64, n)

    contig, contig_length = _contigs(records.chrom, genome)
    contig, contig_length = contig[of], contig_length[of]
    _mark(status, contig_length < 0, "unknown_contig")
    _mark(status, (start < 0) | (start + ref_length > contig_length), "off_contig")
    _mark(status, ~_matches_reference(genome, contig, start, refs, ref_length, status == _CODE[OK]), "ref_mismatch")

    single = (status == _CODE[OK]) & (ref_length == 1) & (np.fromiter(map(len, alts), np.int64, n) == 1)
    n_removed = single.astype(np.int64)
    n_inserted = single.astype(np.int64)
    first = _first_codes(alts)
    same = single & (first == _first_codes(refs))
    n_removed[same] = n_inserted[same] = 0

    longer = np.flatnonzero((status == _CODE[OK]) & ~single)
    changes = _canonical(genome, contig[longer], start[longer], [refs[i] for i in longer], [alts[i] for i in longer])
    width = max([1, *(min(len(new), max_inserted) for _, _, new in changes)])
    inserted = np.full((n, width), UNKNOWN, dtype=np.uint8)
    changed_single = single & ~same
    inserted[changed_single, 0] = first[changed_single]
    for i, (at, removed, new) in zip(longer, changes, strict=True):
        start[i], n_removed[i], n_inserted[i] = at, removed, len(new)
        kept = np.frombuffer(new[:width], dtype=np.uint8)
        inserted[i, : len(kept)] = kept
    return Alleles(
        records=records,
        record=of,
        alt=alts,
        status=np.array(_STATUS, dtype=object)[status],
        contig=contig,
        start=start,
        n_removed=n_removed,
        n_inserted=n_inserted,
        inserted=inserted,
        kind=_kinds(n_removed, n_inserted),
    )


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
    known: dict[str, tuple[str, int]] = {}
    for chrom in set(chroms):
        try:
            name = genome.resolve(chrom)
            known[chrom] = (name, genome.contigs[name])
        except UnknownNameError:
            known[chrom] = ("", -1)
    names = np.empty(len(chroms), dtype=object)
    names[:] = [known[chrom][0] for chrom in chroms]
    return names, np.fromiter((known[chrom][1] for chrom in chroms), np.int64, len(chroms))


def _first_codes(alleles: Sequence[str]) -> Codes:
    letters = "".join([allele[:1] or "N" for allele in alleles]).encode("latin-1", "replace")
    return BASE_TABLE[np.frombuffer(letters, dtype=np.uint8)]


def _codes(allele: str) -> bytes:
    return BASE_TABLE[np.frombuffer(allele.encode(), dtype=np.uint8)].tobytes()


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
        found = genome.fetch(contig[rows], start[rows], int(n), np.zeros(len(rows), dtype=bool))
        letters = "".join([refs[i] for i in rows]).encode()
        written = BASE_TABLE[np.frombuffer(letters, dtype=np.uint8)].reshape(len(rows), int(n))
        matches[rows] = ((written == found) | (written == UNKNOWN) | (found == UNKNOWN)).all(axis=1)
    return matches


def _canonical(
    genome: Genome, contig: NDArray[np.object_], start: NDArray[np.int64], refs: Sequence[str], alts: Sequence[str]
) -> list[tuple[int, int, bytes]]:
    """Trim and left-align; return (start, n_removed, codes of the new bases) each."""
    changes = []
    shifting = []
    for number, (at, ref, alt) in enumerate(zip(start.tolist(), refs, alts, strict=True)):
        at, old, new = trim(at, _codes(ref), _codes(alt))
        changes.append((at, old, new))
        if bool(old) != bool(new) and at > 0:
            shifting.append(number)
    if shifting:
        starts = np.array([changes[i][0] for i in shifting], dtype=np.int64)
        plus = np.zeros(len(shifting), dtype=bool)
        context = genome.fetch(contig[shifting], starts - _CONTEXT, _CONTEXT, plus)
        for row, number in enumerate(shifting):
            changes[number] = _left_aligned(genome, contig[number], *changes[number], context[row].tobytes())
    return [(at, len(old), new) for at, old, new in changes]


def trim(start: int, old: bytes, new: bytes) -> tuple[int, bytes, bytes]:
    """Remove common last, then common first bases (codes).

    Parameters
    ----------
    start : int
        0-based position of the first base.
    old, new : bytes
        Base codes, plus strand.

    Returns
    -------
    int, bytes, bytes
        The position of the first base that differs, and what differs.
    """
    n = 0
    shorter = min(len(old), len(new))
    while n < shorter and old[-1 - n] == new[-1 - n]:
        n += 1
    if n:
        old, new, shorter = old[:-n], new[:-n], shorter - n
    n = 0
    while n < shorter and old[n] == new[n]:
        n += 1
    return start + n, old[n:], new[n:]


def _left_aligned(
    genome: Genome, contig: str, at: int, old: bytes, new: bytes, left: bytes
) -> tuple[int, bytes, bytes]:
    """Move a pure insertion or deletion left as long as the result is the same sequence.

    ``left`` holds the bases that end just before ``at``.
    """
    moved = old or new
    n = len(moved)
    steps = 0  # the base that would leave on the right after `steps` moves is moved[-1 - steps % n]
    at_context = len(left)
    while at - steps > 0:
        if at_context == 0:
            left = genome.fetch(
                np.array([contig], dtype=object), np.array([at - steps - 1024]), 1024, np.zeros(1, dtype=bool)
            ).tobytes()
            at_context = len(left)
        base = left[at_context - 1]
        if base != moved[-1 - steps % n]:
            break
        at_context -= 1
        steps += 1
    turn = n - steps % n
    moved = moved[turn:] + moved[:turn]
    return (at - steps, moved, b"") if old else (at - steps, b"", moved)


def _kinds(n_removed: NDArray[np.int64], n_inserted: NDArray[np.int64]) -> NDArray[np.uint8]:
    kind = np.full(len(n_removed), DELINS, dtype=np.uint8)
    kind[n_removed == n_inserted] = MNV
    kind[(n_removed == 1) & (n_inserted == 1)] = SNV
    kind[(n_removed == 0) & (n_inserted > 0)] = INSERTION
    kind[(n_removed > 0) & (n_inserted == 0)] = DELETION
    kind[(n_removed == 0) & (n_inserted == 0)] = IDENTICAL
    return kind


# --- is the FASTA that of the VCF? -----------------------------------------------------------------------------------


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

    def add(self, alleles: Alleles) -> None:
        """Count the next records."""
        records = alleles.records
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
