"""Reading GTF files (Ensembl, GENCODE, RefSeq, UCSC; plain or gzip) into compact arrays.

One pass, line by line, nothing kept but numbers and one set of names per transcript, so that a whole GENCODE
release stays far below 1 GB. Used are the features ``exon``, ``CDS``, ``stop_codon`` and ``start_codon``, and of
``transcript`` lines the names and the span, all in any letter case. GTF counts from 1 with both ends included;
everything returned counts from 0, half-open.

A transcript is one ``transcript_id`` of one gene on one strand of one contig: a name that several genes share (RefSeq's
``unknown_transcript_1``) stands for a transcript of each. Lines that cannot be used (numbers, strand, columns or
``transcript_id`` missing or odd) are left out, counted and told in one warning.

Biotype of a transcript, the first that it has:

1. the attribute ``transcript_type`` (GENCODE) or ``transcript_biotype`` (Ensembl; RefSeq's ``mRNA`` there means
   ``protein_coding``);
2. column 2, in files without such an attribute where ``protein_coding`` occurs there (Ensembl before release 77);
3. the attribute ``gene_type`` or ``gene_biotype`` of the transcript's lines, where ``protein_coding`` holds only
   for transcripts with a CDS;
4. nothing of the kind (UCSC tables, StringTie, CDS lines of RefSeq): ``protein_coding`` with a CDS, else ``unknown``.
"""

from __future__ import annotations

import re
import warnings
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.genome.intervals import read_blocks

EXON, CDS, STOP_CODON, START_CODON, _TRANSCRIPT = range(5)
CODING_PIECES = (CDS, STOP_CODON)
PROTEIN_CODING = "protein_coding"
_KINDS = {
    b"exon": EXON,
    b"CDS": CDS,
    b"stop_codon": STOP_CODON,
    b"start_codon": START_CODON,
    b"transcript": _TRANSCRIPT,
    b"mRNA": _TRANSCRIPT,
}
_ANY_CASE = {name.lower(): kind for name, kind in _KINDS.items()}
_LARGEST = 10**12
_STRANDS = {b"+": 0, b"-": 1, b".": 2}
_TRANSCRIPT_ID = b'transcript_id "'
# None of these tries a letter again and again, however odd the line; _ATTRIBUTE only where a quote closes each value.
_KEY = rb'(?:^|;)\s*([^\s";=]+)\s+(?=\S|$)'
_BARE = rb'([^";]*)(?=;|$)'
_ATTRIBUTE = re.compile(_KEY + rb'(?:"([^"]*(?:"(?!\s*(?:;|$))[^"]*)*)"\s*(?=;|$)|' + _BARE + rb")")
_UNQUOTED = re.compile(_KEY + rb"()" + _BARE)
_CLOSING = re.compile(rb'"(?=\s*(?:;|$))')
# Looks behind itself, so that a long word is not tried again from each of its letters.
_WITHOUT_SEMICOLON = re.compile(rb'(?<![^\s";=])([^\s";=]+)\s+(?:"([^"]*)"|([^\s";]+))')
_GFF3 = "expected GTF, got GFF3. Convert it with: gffread -T in.gff3 -o out.gtf"


class AnnotationWarning(UserWarning):
    """Part of an annotation cannot be used, or it does not seem to belong to the genome."""


@dataclass
class GtfTable:
    """What is kept of a GTF file: one row per transcript and one per exon or coding piece.

    Attributes
    ----------
    contigs : list of str
        Contig names in order of appearance.
    contig, strand, start, end : int arrays (N,)
        Of the transcripts: index into ``contigs``; 0 plus, 1 minus, 2 unknown; 0-based, half-open.
    transcript_id, gene_id, gene_name, transcript_type : lists of str (N,)
    piece_transcript, piece_kind, piece_start, piece_end : int arrays (M,)
        Exons (:data:`EXON`), coding pieces (:data:`CODING_PIECES`) and start codons, in file order.
    """

    contigs: list[str]
    contig: NDArray[np.int32]
    strand: NDArray[np.int8]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    transcript_id: list[str]
    gene_id: list[str]
    gene_name: list[str]
    transcript_type: list[str]
    piece_transcript: NDArray[np.int32]
    piece_kind: NDArray[np.int8]
    piece_start: NDArray[np.int64]
    piece_end: NDArray[np.int64]

    def extent(self, kinds: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the span of every transcript's pieces of some kinds; an empty one (to -1) where there are none."""
        chosen = np.isin(self.piece_kind, kinds)
        return span_of(
            self.piece_transcript[chosen], self.piece_start[chosen], self.piece_end[chosen], len(self.contig)
        )


def span_of(
    group: NDArray[np.integer], start: NDArray[np.int64], end: NDArray[np.int64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first start and the last end of every group; of an empty one the largest number and -1.

    Parameters
    ----------
    group : int array (N,)
        From 0 to ``n - 1``.
    start, end : int64 array (N,)
    n : int
        Groups.
    """
    low, high = np.full(n, np.iinfo(np.int64).max), np.full(n, -1, dtype=np.int64)
    np.minimum.at(low, group, start)
    np.maximum.at(high, group, end)
    return low, high


@dataclass
class _Collector:
    """Growing columns; ``array`` keeps a number in its own size."""

    contigs: dict[bytes, int] = field(default_factory=dict)
    sources: dict[bytes, int] = field(default_factory=dict)
    transcripts: dict[bytes, int] = field(default_factory=dict)
    contig: array[int] = field(default_factory=lambda: array("i"))
    strand: array[int] = field(default_factory=lambda: array("b"))
    source: array[int] = field(default_factory=lambda: array("i"))
    span_start: array[int] = field(default_factory=lambda: array("q"))
    span_end: array[int] = field(default_factory=lambda: array("q"))
    gene_id: list[bytes] = field(default_factory=list)
    gene_name: list[bytes] = field(default_factory=list)
    transcript_type: list[bytes] = field(default_factory=list)
    gene_type: list[bytes] = field(default_factory=list)
    piece_transcript: array[int] = field(default_factory=lambda: array("i"))
    piece_kind: array[int] = field(default_factory=lambda: array("b"))
    piece_start: array[int] = field(default_factory=lambda: array("q"))
    piece_end: array[int] = field(default_factory=lambda: array("q"))
    n_odd: int = 0
    first_problem: InputError | None = None

    def leave_out(self, problem: InputError) -> None:
        """Count a line that cannot be used."""
        self.n_odd += 1
        self.first_problem = self.first_problem or problem


def read_gtf(path: str | Path) -> GtfTable:
    """Read the transcripts of a GTF file.

    Parameters
    ----------
    path : str or Path
        GTF, plain or gzip; any order of lines; ``#`` comments and blank lines are skipped.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InputError
        If the gzip file is damaged, the file is GFF3, or it has no ``exon`` or ``CDS`` line that can be used (the first
        odd line is named).

    Warns
    -----
    AnnotationWarning
        Once, if lines are left out; once, if there is no ``CDS`` line, without which no region type can be told.
    """
    collected = _collect(Path(path), str(path))
    problem = collected.first_problem
    if not np.isin(collected.piece_kind, (EXON, *CODING_PIECES)).any():
        raise problem or InputError(
            f"{path}: expected a GTF with exon and CDS lines, got no such line. "
            "Use a complete annotation (GENCODE, Ensembl)."
        )
    if problem is not None:
        warnings.warn(
            f"{path}: {collected.n_odd} line(s) left out, the first: {problem}", AnnotationWarning, stacklevel=2
        )
    if not np.isin(collected.piece_kind, CODING_PIECES).any():
        message = f"{path}: no CDS line: strands and genes are known, region types are not."
        warnings.warn(message, AnnotationWarning, stacklevel=2)
    return _table(collected)


def _lines(path: Path) -> Iterator[bytes]:
    for number, block in enumerate(read_blocks(path)):
        if not number:
            block = block.removeprefix(b"\xef\xbb\xbf")
        yield from block.removesuffix(b"\n").split(b"\n")


def _collect(path: Path, name: str) -> _Collector:
    c = _Collector()
    add_piece = (c.piece_transcript.append, c.piece_kind.append, c.piece_start.append, c.piece_end.append)
    # What stands up to the end of the transcript_id, with the gene_id in it, is the same in all lines of a transcript:
    # most lines are settled by one look-up, without taking their attributes apart.
    heads: dict[bytes, int] = {}
    for number, line in enumerate(_lines(path), start=1):
        if line[:1] == b"#":
            if line.startswith(b"##gff-version") and line.split()[1:2] and line.split()[1][:1] == b"3":
                raise InputError(f"{name}:{number}: {_GFF3}")
            continue
        fields = line.split(b"\t", 8)
        if len(fields) < 9:
            if line.strip() and line.split(None, 1)[0] not in (b"track", b"browser"):
                c.leave_out(_malformed(name, number, "9 tab-separated columns", f"{len(fields)}"))
            continue
        kind = _KINDS.get(fields[2])
        if kind is None and (kind := _ANY_CASE.get(fields[2].lower())) is None:
            continue
        attributes = fields[8]
        if attributes[:1] == b'"':  # a table program quoted the whole column
            attributes = attributes.strip()[1:-1].replace(b'""', b'"')
        if not (fields[3].isdigit() and fields[4].isdigit() and len(fields[3]) < 999 > len(fields[4])):
            c.leave_out(_malformed(name, number, "whole numbers in columns 4 and 5", _show(*fields[3:5])))
            continue
        start, end = int(fields[3]) - 1, int(fields[4])
        if not 0 <= start < end <= _LARGEST:
            c.leave_out(_malformed(name, number, "1 <= start <= end", f"start={start + 1} end={end}"))
            continue
        at = attributes.find(_TRANSCRIPT_ID)
        head = attributes[: attributes.find(b'"', at + len(_TRANSCRIPT_ID)) + 1] if at > 0 else b""
        row = heads.get(head)
        if row is None or c.contig[row] != c.contigs.get(fields[0]) or c.strand[row] != _STRANDS.get(fields[6]):
            values = _attributes(attributes)
            identity, gene = values.get(b"transcript_id"), values.get(b"gene_id", b"")
            if not identity and not c.contig and (b"Parent=" in attributes or b"ID=" in attributes):
                raise InputError(f"{name}:{number}: {_GFF3}")
            if not identity:
                expected = f'transcript_id "..." in the {fields[2].decode()} line'
                c.leave_out(_malformed(name, number, expected, _show(attributes)))
                continue
            if fields[6] not in _STRANDS:
                c.leave_out(_malformed(name, number, "+ - or . in column 7", _show(fields[6])))
                continue
            row = _transcript(c, identity, gene, fields, values)
            in_head = _attributes(head)
            if gene and in_head.get(b"gene_id") == gene and in_head.get(b"transcript_id") == identity:
                heads[head] = row
        if kind == _TRANSCRIPT:
            c.span_start[row], c.span_end[row] = start, end
            if not c.gene_name[row]:
                _name_transcript(c, row, _attributes(attributes))
        else:
            for add, value in zip(add_piece, (row, kind, start, end), strict=True):
                add(value)
    return c


def _transcript(c: _Collector, identity: bytes, gene: bytes, fields: list[bytes], values: dict[bytes, bytes]) -> int:
    """Return the row of a transcript, a new one where its name has been seen of another gene or place only."""
    strand = _STRANDS[fields[6]]
    row = c.transcripts.get(identity)
    if row is None:
        return _add_transcript(c, identity, strand, fields, values)
    same_gene = not gene or not c.gene_id[row] or gene == c.gene_id[row]
    if same_gene and c.contig[row] == c.contigs.get(fields[0]) and c.strand[row] == strand:
        return row
    # A gene of its own, or another place (older PAR genes, UCSC tables).
    place = b"\t".join((identity, fields[0], fields[6], gene))
    row = c.transcripts.get(place)
    return _add_transcript(c, place, strand, fields, values) if row is None else row


def _add_transcript(c: _Collector, key: bytes, strand: int, fields: list[bytes], values: dict[bytes, bytes]) -> int:
    row = c.transcripts[key] = len(c.contig)
    c.contig.append(c.contigs.setdefault(fields[0], len(c.contigs)))
    c.source.append(c.sources.setdefault(fields[1], len(c.sources)))
    c.strand.append(strand)
    c.span_start.append(-1)
    c.span_end.append(-1)
    for column in (c.gene_id, c.gene_name, c.transcript_type, c.gene_type):
        column.append(b"")
    _name_transcript(c, row, values)
    return row


def _name_transcript(c: _Collector, row: int, values: dict[bytes, bytes]) -> None:
    get = values.get
    c.gene_id[row] = get(b"gene_id", b"")
    c.gene_name[row] = get(b"gene_name") or get(b"gene", b"")
    c.transcript_type[row] = get(b"transcript_type") or get(b"transcript_biotype", b"")
    c.gene_type[row] = get(b"gene_type") or get(b"gene_biotype", b"")


def _attributes(text: bytes) -> dict[bytes, bytes]:
    """Return the attributes of a line, the first of each key; quotes may be missing, or all semicolons."""
    if b";" not in text.rstrip(b"; \r"):
        found = _WITHOUT_SEMICOLON.findall(text)
    elif (last := text.rfind(b'"')) < 0 or _CLOSING.match(text, last):
        found = _ATTRIBUTE.findall(text)
    else:
        cut = max((quote.end() for quote in _CLOSING.finditer(text)), default=0)
        found = _ATTRIBUTE.findall(text[:cut]) + _UNQUOTED.findall(text[cut:])
    values: dict[bytes, bytes] = {}
    for key, quoted, bare in found:
        values.setdefault(key, quoted or bare.strip().strip(b"'"))
    return values


def _malformed(name: str, number: int, expected: str, got: str) -> InputError:
    return InputError(f"{name}:{number}: expected {expected}, got {got}. Check that this is a complete GTF file.")


def _show(*texts: bytes) -> str:
    shown = " ".join(text.decode("utf-8", "replace") for text in texts)
    return repr(shown if len(shown) <= 60 else shown[:57] + "...")


# ------------------------------------------------------------------ the table


def _table(c: _Collector) -> GtfTable:
    n = len(c.contig)
    piece_transcript = np.frombuffer(c.piece_transcript, dtype=np.int32)
    piece_kind = np.frombuffer(c.piece_kind, dtype=np.int8)
    piece_start = np.frombuffer(c.piece_start, dtype=np.int64)
    piece_end = np.frombuffer(c.piece_end, dtype=np.int64)
    start = np.array(c.span_start, dtype=np.int64)
    end = np.array(c.span_end, dtype=np.int64)
    pieces_start, pieces_end = span_of(piece_transcript, piece_start, piece_end, n)
    start = np.where((start < 0) | (pieces_start < start), pieces_start, start)
    end = np.maximum(end, pieces_end)
    has_cds = np.zeros(n, dtype=bool)
    has_cds[piece_transcript[np.isin(piece_kind, CODING_PIECES)]] = True
    names = [key.split(b"\t", 1)[0] for key in c.transcripts]
    return GtfTable(
        contigs=_decoded(list(c.contigs)),
        contig=np.array(c.contig, dtype=np.int32),
        strand=np.array(c.strand, dtype=np.int8),
        start=start,
        end=end,
        transcript_id=_decoded(names),
        gene_id=_decoded(c.gene_id),
        gene_name=_decoded([name or identity for name, identity in zip(c.gene_name, c.gene_id, strict=True)]),
        transcript_type=_types(c, has_cds),
        piece_transcript=piece_transcript,
        piece_kind=piece_kind,
        piece_start=piece_start,
        piece_end=piece_end,
    )


def _types(c: _Collector, has_cds: NDArray[np.bool_]) -> list[str]:
    """Settle the biotype of every transcript (rules in the module's text)."""
    coding = has_cds.tolist()
    if b"protein_coding" in c.sources and not any(c.transcript_type):
        by_number = list(c.sources)
        return _decoded([by_number[number] or b"unknown" for number in c.source])
    types = []
    for own, gene, has in zip(c.transcript_type, c.gene_type, coding, strict=True):
        name = {b"mRNA": b"protein_coding"}.get(own, own)
        if not name and (has or gene != b"protein_coding"):
            name = gene or (b"protein_coding" if has else b"")
        types.append(name)
    return _decoded([name or b"unknown" for name in types])


def _decoded(names: list[bytes]) -> list[str]:
    distinct = {name: name.decode("utf-8", "surrogateescape") for name in set(names)}
    return [distinct[name] for name in names]
