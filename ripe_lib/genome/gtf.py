"""Reading GTF files (Ensembl, GENCODE, RefSeq, UCSC; plain or gzip) into compact arrays.

One pass, line by line, nothing kept but numbers and one set of names per transcript, so that a whole GENCODE
release stays far below 1 GB. Used are the features ``exon``, ``CDS``, ``stop_codon`` and ``start_codon``, and of
``transcript`` lines the names and the span. GTF counts from 1 with both ends included; everything returned counts from
0, half-open.

Biotype of a transcript, the first that the file has:

1. the attribute ``transcript_type`` (GENCODE) or ``transcript_biotype`` (Ensembl; RefSeq's ``mRNA`` there means
   ``protein_coding``);
2. column 2, in files where ``protein_coding`` occurs there (Ensembl before release 77);
3. the attribute ``gene_type`` or ``gene_biotype`` of the transcript's lines, where ``protein_coding`` holds only
   for transcripts with a CDS;
4. nothing of the kind (UCSC tables, StringTie): ``protein_coding`` for transcripts with a CDS, else ``unknown``.
"""

from __future__ import annotations

import re
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
_STRANDS = {b"+": 0, b"-": 1, b".": 2}
_HEADER = 64 * 1024
_GFF3 = "expected GTF, got GFF3. Convert it with: gffread -T in.gff3 -o out.gtf"


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
        If a line is malformed (file and line are named), the gzip file is damaged, the file is GFF3, or it has no
        ``exon`` or no ``CDS`` lines, without which no region type can be told.
    """
    collected = _collect(Path(path), str(path))
    table = _table(collected)
    for kinds, name in (((EXON,), "exon"), (CODING_PIECES, "CDS")):
        if not np.isin(table.piece_kind, kinds).any():
            raise InputError(
                f"{path}: expected a GTF with exon and CDS lines, got no {name} line. "
                "Region types cannot be told without them: use a complete annotation (GENCODE, Ensembl)."
            )
    return table


def _lines(path: Path) -> Iterator[bytes]:
    for block in read_blocks(path):
        yield from block.removesuffix(b"\n").split(b"\n")


def _collect(path: Path, name: str) -> _Collector:
    c = _Collector()
    add_piece = (c.piece_transcript.append, c.piece_kind.append, c.piece_start.append, c.piece_end.append)
    known = c.transcripts
    for number, line in enumerate(_lines(path), start=1):
        if line[:1] == b"#":
            if line.startswith(b"##gff-version") and line.split()[1:2] and line.split()[1][:1] == b"3":
                raise InputError(f"{name}:{number}: {_GFF3}")
            continue
        fields = line.split(b"\t", 8)
        if len(fields) < 9:
            if line.strip():
                raise _malformed(name, number, "9 tab-separated columns", f"{len(fields)}")
            continue
        kind = _KINDS.get(fields[2])
        if kind is None:
            continue
        attributes = fields[8]
        try:
            start, end = int(fields[3]) - 1, int(fields[4])
        except ValueError:
            raise _malformed(name, number, "whole numbers in columns 4 and 5", _show(*fields[3:5])) from None
        if not 0 <= start < end:
            raise _malformed(name, number, "1 <= start <= end", f"start={start + 1} end={end}")
        identity = _attribute(attributes, b"transcript_id")
        if not identity:
            if b"Parent=" in attributes or b"ID=" in attributes:
                raise InputError(f"{name}:{number}: {_GFF3}")
            raise _malformed(name, number, f'transcript_id "..." in the {fields[2].decode()} line', _show(attributes))
        row = known.get(identity)
        if row is None:
            row = _add_transcript(c, identity, fields, name, number)
        elif c.contig[row] != c.contigs.get(fields[0]) or c.strand[row] != _STRANDS.get(fields[6]):
            # One name at two places (older PAR genes, UCSC tables): a transcript of its own for each place.
            place = b"\t".join((identity, fields[0], fields[6]))
            row = known.get(place)
            if row is None:
                row = _add_transcript(c, place, fields, name, number)
        if kind == _TRANSCRIPT:
            c.span_start[row], c.span_end[row] = start, end
            if not c.gene_name[row]:
                _name_transcript(c, row, attributes)
        else:
            for add, value in zip(add_piece, (row, kind, start, end), strict=True):
                add(value)
    return c


def _add_transcript(c: _Collector, key: bytes, fields: list[bytes], name: str, number: int) -> int:
    strand = _STRANDS.get(fields[6])
    if strand is None:
        raise _malformed(name, number, "+ - or . in column 7", _show(fields[6]))
    row = c.transcripts[key] = len(c.contig)
    c.contig.append(c.contigs.setdefault(fields[0], len(c.contigs)))
    c.source.append(c.sources.setdefault(fields[1], len(c.sources)))
    c.strand.append(strand)
    c.span_start.append(-1)
    c.span_end.append(-1)
    for column in (c.gene_id, c.gene_name, c.transcript_type, c.gene_type):
        column.append(b"")
    _name_transcript(c, row, fields[8])
    return row


def _name_transcript(c: _Collector, row: int, attributes: bytes) -> None:
    c.gene_id[row] = _attribute(attributes, b"gene_id")
    c.gene_name[row] = _attribute(attributes, b"gene_name") or _attribute(attributes, b"gene")
    c.transcript_type[row] = _attribute(attributes, b"transcript_type") or _attribute(attributes, b"transcript_biotype")
    c.gene_type[row] = _attribute(attributes, b"gene_type") or _attribute(attributes, b"gene_biotype")


def _attribute(attributes: bytes, key: bytes) -> bytes:
    """Return the value of ``key "value";`` (quotes may be missing), or nothing."""
    at = attributes.find(key + b' "')
    if at >= 0 and (at == 0 or attributes[at - 1] in b" ;\t"):
        begin = at + len(key) + 2
        return attributes[begin : attributes.find(b'"', begin)]
    match = re.search(rb"(?:^|[;\s])" + re.escape(key) + rb'\s+"?([^";]+?)"?\s*(?:;|$)', attributes)
    return match.group(1) if match else b""


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
    pieces_start = np.full(n, np.iinfo(np.int64).max)
    pieces_end = np.full(n, -1, dtype=np.int64)
    np.minimum.at(pieces_start, piece_transcript, piece_start)
    np.maximum.at(pieces_end, piece_transcript, piece_end)
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
    if any(c.transcript_type):
        types = [{b"mRNA": b"protein_coding"}.get(name, name) for name in c.transcript_type]
    elif b"protein_coding" in c.sources:
        by_number = list(c.sources)
        types = [by_number[number] for number in c.source]
    elif any(c.gene_type):
        types = [
            b"unknown" if name == b"protein_coding" and not coding else name
            for name, coding in zip(c.gene_type, has_cds.tolist(), strict=True)
        ]
    else:
        types = [b"protein_coding" if coding else b"unknown" for coding in has_cds.tolist()]
    return _decoded([name or b"unknown" for name in types])


def _decoded(names: list[bytes]) -> list[str]:
    distinct = {name: name.decode("utf-8", "replace") for name in set(names)}
    return [distinct[name] for name in names]
