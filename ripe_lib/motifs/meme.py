"""Motifs of RNA, matrices (W, 4) with channels A C G U and 5' first, and files of them in the MEME minimal format.

RNA has one strand: a file of DNA motifs is refused unless the caller says that T means U there, because a DNA motif
may stand for either strand.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ripe_lib.errors import InputError, MissingFileError
from ripe_lib.genome.encoding import RNA_BASES
from ripe_lib.output.atomic import atomic_file

_SUM_TOLERANCE = 0.02  # rows of published files are rounded
IUPAC = {
    **{"A": "A", "C": "C", "G": "G", "U": "U", "AG": "R", "CU": "Y", "CG": "S", "AU": "W", "GU": "K", "AC": "M"},
    **{"CGU": "B", "AGU": "D", "ACU": "H", "ACG": "V", "ACGU": "N"},
}


@dataclass(frozen=True, eq=False)
class MotifMatrix:
    """A motif as base frequencies."""

    identifier: str  # unique in its file or database; no white space
    name: str  # second name: in databases the protein
    ppm: NDArray[np.float64] = field(repr=False)  # (W, 4), probabilities of A C G U; rows add up to 1
    n_sites: float = 0.0  # behind it; 0 where unknown

    def __len__(self) -> int:
        return len(self.ppm)

    @property
    def consensus(self) -> str:
        """IUPAC letters, see :func:`iupac_consensus`."""
        return iupac_consensus(self.ppm)


def iupac_consensus(matrix: ArrayLike) -> str:
    """Return a consensus of counts or probabilities (W, 4) in IUPAC letters of RNA.

    Per position: one base that holds more than half and more than twice the next; else two bases that together hold
    more than three quarters; else three, if the fourth holds less than a tenth; else N. This is Cavener's rule (Nucleic
    Acids Res. 15:1353, 1987), with letters of three bases added.
    """
    letters = []
    for row in np.asarray(matrix, dtype=float):
        total = row.sum()
        share = row / total if total > 0 else np.full(4, 0.25)
        order = np.argsort(-share, kind="stable")
        if share[order[0]] > 0.5 and share[order[0]] > 2 * share[order[1]]:
            n_bases = 1
        elif share[order[:2]].sum() > 0.75:
            n_bases = 2
        else:
            n_bases = 3 if share[order[3]] < 0.1 else 4
        letters.append(IUPAC["".join(RNA_BASES[i] for i in sorted(order[:n_bases].tolist()))])
    return "".join(letters)


def information(ppm: ArrayLike) -> NDArray[np.float64]:
    """Return the information content of every position in bits (0 to 2), against equal base frequencies."""
    p = np.asarray(ppm, dtype=float)
    return 2 + (p * np.log2(np.where(p > 0, p, 1))).sum(axis=-1)


def frequencies(pfm: NDArray) -> NDArray[np.float64]:
    """Return counts as probabilities; a position without any base is 0.25 each."""
    total = pfm.sum(axis=1, keepdims=True)
    return np.where(total > 0, pfm / np.maximum(total, 1), 0.25)


def meme_text(motifs: Iterable[MotifMatrix]) -> str:
    """Return motifs as a MEME minimal file (alphabet ACGU); with no motif it is valid and empty."""
    parts = [
        f"MEME version 4\n\nALPHABET= {RNA_BASES}\n\n"
        "Background letter frequencies (from uniform background):\nA 0.25000 C 0.25000 G 0.25000 U 0.25000\n"
    ]
    for motif in motifs:
        identifier, name = (re.sub(r"\s+", "_", text) for text in (motif.identifier, motif.name))
        rows = "\n".join("  ".join(f"{value:.6f}" for value in row) for row in motif.ppm)
        parts.append(
            f"MOTIF {identifier} {name}".rstrip()
            + f"\n\nletter-probability matrix: alength= 4 w= {len(motif.ppm)} nsites= {motif.n_sites:g} E= 0\n{rows}\n"
        )
    return "\n".join(parts)


def write_meme(path: str | Path, motifs: Iterable[MotifMatrix]) -> Path:
    """Write motifs as a MEME minimal file; complete or not at all."""
    path = Path(path)
    with atomic_file(path) as temporary:
        temporary.write_text(meme_text(motifs), encoding="utf-8")
    return path


def read_meme(path: str | Path, *, dna_as_rna: bool = False) -> list[MotifMatrix]:
    """Read a MEME file (minimal format, or the matrices of a full one), plain or gzip, in its order.

    Rows are scaled to add up to exactly 1. ``dna_as_rna``: accept a file of DNA motifs and read T as U.

    Raises
    ------
    MissingFileError
    InputError
        With file and line, if it is not a MEME file, is damaged, or holds another alphabet than ACGU.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file. Expected motifs in the MEME format.")
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        lines = raw.decode("utf-8-sig").splitlines()
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: expected a text file in the MEME format, got something else ({error}).") from error
    return _Reader(path, lines, dna_as_rna).read()


class _Reader:
    def __init__(self, path: Path, lines: Sequence[str], dna_as_rna: bool) -> None:
        self.path, self.lines, self.dna_as_rna = path, lines, dna_as_rna
        self.at = 0

    def fail(self, message: str, line: int | None = None) -> NoReturn:
        raise InputError(f"{self.path}:{min((self.at if line is None else line) + 1, len(self.lines) or 1)}: {message}")

    def skip_to(self, *starts: str) -> None:
        while self.at < len(self.lines) and not self.lines[self.at].startswith(starts):
            self.at += 1

    def read(self) -> list[MotifMatrix]:
        self.at = next((number for number, line in enumerate(self.lines) if line.strip()), len(self.lines))
        # Full MEME output starts with a row of asterisks and a title.
        head = [number for number, line in enumerate(self.lines[:20]) if line.startswith("MEME version")]
        if not head:
            self.fail("expected a first line such as 'MEME version 4', found none. Is this a MEME motif file?")
        self.at = head[0] + 1
        found: dict[str, tuple[int, MotifMatrix]] = {}
        has_alphabet = False
        while self.at < len(self.lines):
            line, words = self.at, self.lines[self.at].split()
            if words[:1] == ["MOTIF"]:
                if not has_alphabet:
                    self.refuse_dna("no ALPHABET line, which means ACGT (DNA)")
                motif = self.motif(words)
                if motif.identifier in found:
                    first = found[motif.identifier][0] + 1
                    again = f"got {motif.identifier!r} again (first in line {first})."
                    self.fail(f"expected every motif once, {again}", line)
                found[motif.identifier] = line, motif
                continue
            if words and words[0].startswith("ALPHABET"):
                self.check_alphabet()
                has_alphabet = True
            self.at += 1
        return [motif for _, motif in found.values()]

    def check_alphabet(self) -> None:
        start = self.at
        _, equals, letters = self.lines[start].partition("=")
        if equals:
            found = "".join(letters.split()[:1]).upper()
        else:  # one line for each letter
            self.skip_to("END ALPHABET")
            if self.at >= len(self.lines):
                self.fail("expected 'END ALPHABET' after this, found none.", start)
            matches = [re.match(r'([ACGTU])\s+"', line) for line in self.lines[start : self.at]]
            found = "".join(sorted(match[1] for match in matches if match))
        if found == "ACGT":
            self.refuse_dna("ACGT (DNA)")
        elif found != RNA_BASES:
            self.fail(f"expected ALPHABET= {RNA_BASES}, got {found or 'none'!r}.")

    def refuse_dna(self, found: str) -> None:
        if not self.dna_as_rna:
            self.fail(
                f"expected motifs of RNA (ALPHABET= {RNA_BASES}), got {found}. If they are those of the transcript's "
                "strand, read T as U with dna_as_rna=True (ripe motifs --dna-as-rna)."
            )

    def motif(self, words: list[str]) -> MotifMatrix:
        """Read the block whose MOTIF line is the current one."""
        start = self.at
        if len(words) < 2:
            self.fail("expected 'MOTIF identifier [name]', got no identifier.")
        self.at += 1
        self.skip_to("letter-probability matrix", "MOTIF")
        header = self.lines[self.at] if self.at < len(self.lines) else "MOTIF"
        if header.startswith("MOTIF"):
            self.fail(f"expected a 'letter-probability matrix' for motif {words[1]!r}, found none.", start)
        values = {"alength": "4", "nsites": "0", **dict(re.findall(r"(?<!\w)(\w+)\s*=\s*([^\s]+)", header))}
        numbers = {name: _number(values[name]) for name in ("w", "alength", "nsites") if name in values}
        if any(n < 0 or (name != "nsites" and (n < 1 or n % 1)) for name, n in numbers.items()):
            self.fail(f"expected numbers in 'letter-probability matrix: alength= 4 w= W', got {header.strip()[:80]!r}.")
        if numbers["alength"] != 4:
            self.fail(f"expected alength= 4, got {values['alength']!r}.")
        width = numbers.get("w")
        self.at += 1
        rows: list[list[float]] = []
        while self.at < len(self.lines) and (width is None or len(rows) < width):
            text = self.lines[self.at].split()
            if text and re.match(r"[-+.\d]|nan|inf", text[0], re.IGNORECASE):
                rows.append(self.row(text))
            elif text or rows:
                break
            self.at += 1
        if not rows or (width is not None and len(rows) != width):
            expected = "at least one row" if width is None else f"{width:g} rows (w= {width:g})"
            self.fail(f"expected {expected} of probabilities for motif {words[1]!r}, got {len(rows)}.")
        matrix = np.array(rows)
        return MotifMatrix(words[1], "".join(words[2:3]), matrix / matrix.sum(axis=1, keepdims=True), numbers["nsites"])

    def row(self, text: list[str]) -> list[float]:
        row = [_number(value) for value in text]
        if len(row) != 4 or not np.isfinite(row).all() or min(row) < 0 or abs(sum(row) - 1) > _SUM_TOLERANCE:
            self.fail(f"expected 4 probabilities that add up to 1, got {' '.join(text)[:60]!r}.")
        return row


def _number(text: str) -> float:
    """Return a number, -1 for what is none: only others are expected."""
    try:
        return float(text)
    except ValueError:
        return -1.0
