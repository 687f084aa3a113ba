"""Contig names that mean the same: ``chr1`` and ``1``, ``chrM`` and ``MT``.

A name that exists is always taken as it is. Otherwise ``chr`` in front is added or dropped, which is safe. UCSC's
``chrM`` and Ensembl's ``MT`` need care: hg19's ``chrM`` is an older sequence (16,571 nt) than the rCRS (16,569 nt)
that GRCh37's ``MT`` and every GRCh38 file hold, so positions differ. They are matched only where the lengths can be
believed to agree, that is unless

- the contig at hand is 16,571 nt long (hg19's old ``chrM``), or
- the genome is GRCh37/hg19, told by the length of chromosome 1 (249,250,621 nt), where nobody can know which of
  the two a foreign name stands for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ripe_lib.errors import UnknownNameError, unknown_name

_LETTERS = ("X", "Y", "M", "MT")


def without_prefix(name: str) -> str:
    """Drop a leading ``chr`` (any case): ``chr1`` -> ``1``."""
    return name[3:] if name[:3].lower() == "chr" and len(name) > 3 else name


def in_natural_order(lengths: Mapping[str, int]) -> dict[str, int]:
    """Return contigs (name -> length) as 1, 2, ..., 22, then X, Y, M, then all others, numbers in them as numbers."""

    def key(name: str) -> tuple[int, list[tuple[str, int]]]:
        bare = without_prefix(name)
        if bare in _LETTERS:
            return 1, [("", _LETTERS.index(bare))]
        group = 0 if bare.isdecimal() else 2
        return group, [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", bare)]

    return {name: lengths[name] for name in sorted(lengths, key=key)}


def mitochondria_agree(lengths: Mapping[str, int]) -> bool:
    """Whether ``chrM`` and ``MT`` may be matched in a genome with these contig lengths (see the module's text)."""
    bare = {without_prefix(name): length for name, length in lengths.items()}
    return 16_571 not in (bare.get("M"), bare.get("MT")) and bare.get("1") != 249_250_621


class ContigNames:
    """Find the contig that a name stands for.

    Parameters
    ----------
    names : list of str
        The contigs that exist.
    where : str
        What holds them, for messages.
    match_mitochondria : bool
        Whether ``chrM`` and ``MT`` are one contig, see :func:`mitochondria_agree`.
    """

    def __init__(self, names: list[str], where: str, *, match_mitochondria: bool = True):
        self.names, self.where, self.match_mitochondria = names, where, match_mitochondria
        self._found: dict[str, str | None] = {name: name for name in names}
        self._by_bare: dict[str, list[str]] = {}
        for name in names:
            self._by_bare.setdefault(without_prefix(name), []).append(name)

    def find(self, name: str) -> str | None:
        """Return the contig for ``name``, or None if there is none."""
        if name not in self._found:
            bare = without_prefix(name)
            candidates = self._by_bare.get(bare, [])
            if not candidates and self.match_mitochondria and bare in ("M", "MT"):
                candidates = self._by_bare.get("MT" if bare == "M" else "M", [])
            self._found[name] = candidates[0] if len(candidates) == 1 else None
        return self._found[name]

    def resolve(self, name: str) -> str:
        """Return the contig for ``name``; an UnknownNameError shows names that look like it."""
        found = self.find(name)
        if found is not None:
            return found
        bare = without_prefix(name)
        if bare in ("M", "MT") and ("M" in self._by_bare or "MT" in self._by_bare):
            mine = (self._by_bare.get("M") or self._by_bare["MT"])[0]
            raise UnknownNameError(
                f"{self.where}: expected contig {name!r}, got only {mine!r}. They are not matched in this assembly "
                "(hg19's chrM has 16571 nt, MT of GRCh37 16569): rename it in one file if they are the same sequence."
            )
        error = unknown_name("contig", name, self.names, "Use the FASTA of the same assembly.")
        raise UnknownNameError(f"{self.where}: {error}")
