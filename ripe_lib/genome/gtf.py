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
from collections.abc import Iterable, Iterator
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
    """What is kept of a GTF file: one row per transcript (N) and one per exon or coding piece (M)."""

    contigs: list[str]  # in order of appearance
    contig: NDArray[np.int32]  # (N,) index into the contigs
    strand: NDArray[np.int8]  # 0 plus, 1 minus, 2 unknown
    start: NDArray[np.int64]  # 0-based, half-open
    end: NDArray[np.int64]
    transcript_id: list[str]
    gene_id: list[str]
    gene_name: list[str]
    transcript_type: list[str]
    piece_transcript: NDArray[np.int32]  # (M,) in file order
    piece_kind: NDArray[np.int8]  # EXON, one of CODING_PIECES, or START_CODON
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
    group, start, end : int array (N,)
        Groups are numbered from 0 to ``n - 1``.
    n : int
    """
    low, high = np.full(n, np.iinfo(np.int64).max), np.full(n, -1, dtype=np.int64)
    np.minimum.at(low, group, start)
    np.maximum.at(high, group, end)
    return low, high


@dataclass
class _Transcript:
    """What the lines of a transcript say; start and end are those of its own line."""

    row: int
    name: bytes
    contig: bytes
    strand: int
    source: bytes
    start: int = -1
    end: int = -1

    def describe(self, values: dict[bytes, bytes]) -> None:
        get = values.get
        self.gene_id = get(b"gene_id", b"")
        self.gene_name = get(b"gene_name") or get(b"gene", b"")
        self.own_type = get(b"transcript_type") or get(b"transcript_biotype", b"")
        self.gene_type = get(b"gene_type") or get(b"gene_biotype", b"")


@dataclass
class _Collected:
    """What one pass over a file gives; ``array`` keeps a number in its own size."""

    transcripts: dict[bytes, _Transcript] = field(default_factory=dict)
    pieces: list[array[int]] = field(default_factory=lambda: [array(code) for code in "ibqq"])  # as in GtfTable
    n_odd: int = 0
    first_problem: InputError | None = None

    def leave_out(self, problem: InputError) -> None:
        """Count a line that cannot be used."""
        self.n_odd += 1
        self.first_problem = self.first_problem or problem


def read_gtf(path: str | Path) -> GtfTable:
    """Read the transcripts of a GTF file (plain or gzip; any order of lines; comments and blank lines are skipped).

    GFF3, and a file without an ``exon`` or ``CDS`` line that can be used, are refused (the first odd line is named).
    Lines that are left out are told in one warning, and so is that there is no ``CDS`` line, hence no region type.
    """
    collected = _collect(Path(path), str(path))
    kinds, problem = set(collected.pieces[1]), collected.first_problem
    if not kinds & {EXON, *CODING_PIECES}:
        raise problem or InputError(
            f"{path}: expected a GTF with exon and CDS lines, got no such line. "
            "Use a complete annotation (GENCODE, Ensembl)."
        )
    if problem is not None:
        warnings.warn(
            f"{path}: {collected.n_odd} line(s) left out, the first: {problem}", AnnotationWarning, stacklevel=2
        )
    if not kinds & {*CODING_PIECES}:
        message = f"{path}: no CDS line: strands and genes are known, region types are not."
        warnings.warn(message, AnnotationWarning, stacklevel=2)
    return _table(collected)


def _lines(path: Path) -> Iterator[bytes]:
    for number, block in enumerate(read_blocks(path)):
        if not number:
            block = block.removeprefix(b"\xef\xbb\xbf")
        yield from block.removesuffix(b"\n").split(b"\n")


def _collect(path: Path, name: str) -> _Collected:
    c = _Collected()
    add_piece = [column.append for column in c.pieces]
    # What stands up to the end of the transcript_id, with the gene_id in it, is the same in all lines of a transcript:
    # most lines are settled by one look-up, without taking their attributes apart.
    heads: dict[bytes, _Transcript] = {}

    def malformed(expected: str, got: str) -> InputError:
        return InputError(f"{name}:{number}: expected {expected}, got {got}. Check that this is a complete GTF file.")

    for number, line in enumerate(_lines(path), start=1):
        if line[:1] == b"#":
            if line.startswith(b"##gff-version") and line.split()[1:2] and line.split()[1][:1] == b"3":
                raise InputError(f"{name}:{number}: {_GFF3}")
            continue
        fields = line.split(b"\t", 8)
        if len(fields) < 9:
            if line.strip() and line.split(None, 1)[0] not in (b"track", b"browser"):
                c.leave_out(malformed("9 tab-separated columns", f"{len(fields)}"))
            continue
        kind = _KINDS.get(fields[2])
        if kind is None and (kind := _ANY_CASE.get(fields[2].lower())) is None:
            continue
        attributes = fields[8]
        if attributes[:1] == b'"':  # a table program quoted the whole column
            attributes = attributes.strip()[1:-1].replace(b'""', b'"')
        if not (fields[3].isdigit() and fields[4].isdigit() and len(fields[3]) < 999 > len(fields[4])):
            c.leave_out(malformed("whole numbers in columns 4 and 5", _show(*fields[3:5])))
            continue
        start, end = int(fields[3]) - 1, int(fields[4])
        if not 0 <= start < end <= _LARGEST:
            c.leave_out(malformed("1 <= start <= end", f"start={start + 1} end={end}"))
            continue
        at = attributes.find(_TRANSCRIPT_ID)
        head = attributes[: attributes.find(b'"', at + len(_TRANSCRIPT_ID)) + 1] if at > 0 else b""
        found = heads.get(head)
        if found is None or found.contig != fields[0] or found.strand != _STRANDS.get(fields[6]):
            values = _attributes(attributes)
            identity, gene = values.get(b"transcript_id"), values.get(b"gene_id", b"")
            if not identity and not c.transcripts and (b"Parent=" in attributes or b"ID=" in attributes):
                raise InputError(f"{name}:{number}: {_GFF3}")
            if not identity:
                expected = f'transcript_id "..." in the {fields[2].decode()} line'
                c.leave_out(malformed(expected, _show(attributes)))
                continue
            if fields[6] not in _STRANDS:
                c.leave_out(malformed("+ - or . in column 7", _show(fields[6])))
                continue
            found = _transcript(c.transcripts, identity, gene, fields, values)
            in_head = _attributes(head)
            if gene and in_head.get(b"gene_id") == gene and in_head.get(b"transcript_id") == identity:
                heads[head] = found
        if kind == _TRANSCRIPT:
            found.start, found.end = start, end
            if not found.gene_name:
                found.describe(_attributes(attributes))
        else:
            for add, value in zip(add_piece, (found.row, kind, start, end), strict=True):
                add(value)
    return c


def _transcript(
    known: dict[bytes, _Transcript], identity: bytes, gene: bytes, fields: list[bytes], values: dict[bytes, bytes]
) -> _Transcript:
    """Return the transcript of a line, a new one where its name has been seen of another gene or place only."""
    key, strand = identity, _STRANDS[fields[6]]
    if (found := known.get(key)) is not None:
        same_gene = not gene or not found.gene_id or gene == found.gene_id
        if same_gene and found.contig == fields[0] and found.strand == strand:
            return found
        # A gene of its own, or another place (older PAR genes, UCSC tables).
        key = b"\t".join((identity, fields[0], fields[6], gene))
    if key not in known:
        name = identity.partition(b"\t")[0]
        known[key] = _Transcript(len(known), name, fields[0], strand, fields[1])
        known[key].describe(values)
    return known[key]


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


def _show(*texts: bytes) -> str:
    shown = " ".join(text.decode("utf-8", "replace") for text in texts)
    return repr(shown if len(shown) <= 60 else shown[:57] + "...")


# ------------------------------------------------------------------ the table


def _table(c: _Collected) -> GtfTable:
    transcripts = list(c.transcripts.values())
    kinds_of_number = (np.int32, np.int8, np.int64, np.int64)
    pieces = [np.frombuffer(column, dtype=dtype) for column, dtype in zip(c.pieces, kinds_of_number, strict=True)]
    piece_transcript, piece_kind, piece_start, piece_end = pieces
    start, end = (np.array([getattr(t, side) for t in transcripts], dtype=np.int64) for side in ("start", "end"))
    pieces_start, pieces_end = span_of(piece_transcript, piece_start, piece_end, len(transcripts))
    has_cds = np.isin(np.arange(len(transcripts)), piece_transcript[np.isin(piece_kind, CODING_PIECES)])
    contigs = {name: number for number, name in enumerate(dict.fromkeys(t.contig for t in transcripts))}
    return GtfTable(
        contigs=_decoded(contigs),
        contig=np.array([contigs[t.contig] for t in transcripts], dtype=np.int32),
        strand=np.array([t.strand for t in transcripts], dtype=np.int8),
        start=np.where((start < 0) | (pieces_start < start), pieces_start, start),
        end=np.maximum(end, pieces_end),
        transcript_id=_decoded(t.name for t in transcripts),
        gene_id=_decoded(t.gene_id for t in transcripts),
        gene_name=_decoded(t.gene_name or t.gene_id for t in transcripts),
        transcript_type=_decoded(name or b"unknown" for name in _types(transcripts, has_cds)),
        piece_transcript=piece_transcript,
        piece_kind=piece_kind,
        piece_start=piece_start,
        piece_end=piece_end,
    )


def _types(transcripts: list[_Transcript], has_cds: NDArray[np.bool_]) -> Iterator[bytes]:
    """Settle the biotype of every transcript (rules in the module's text); empty where nothing is known."""
    protein_coding = PROTEIN_CODING.encode()
    by_source = protein_coding in {t.source for t in transcripts} and not any(t.own_type for t in transcripts)
    for transcript, has in zip(transcripts, has_cds.tolist(), strict=True):
        own, gene = transcript.own_type, transcript.gene_type
        if by_source:
            yield transcript.source
        elif own:
            yield protein_coding if own == b"mRNA" else own
        elif has or gene != protein_coding:
            yield gene or (protein_coding if has else b"")
        else:
            yield b""


def _decoded(names: Iterable[bytes]) -> list[str]:
    decoded: dict[bytes, str] = {}
    return [decoded.get(n) or decoded.setdefault(n, n.decode("utf-8", "surrogateescape")) for n in names]
