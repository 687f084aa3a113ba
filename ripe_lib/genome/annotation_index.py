"""The index behind :class:`ripe_lib.genome.annotation.Annotation`: built from a GTF table, kept as ``.npz``.

Positions of all contigs and strands lie on one axis: ``track * STRIDE + position`` with ``track = 2 * contig +
strand`` (0 plus, 1 minus). ``breaks`` are the positions on it where the annotation changes, ``runs`` what holds from
each break to the next.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ripe_lib.errors import OutputError
from ripe_lib.genome.encoding import UNKNOWN
from ripe_lib.genome.gtf import CODING_PIECES, EXON, GtfTable, read_gtf
from ripe_lib.genome.landmarks import landmark_positions
from ripe_lib.output.atomic import atomic_file
from ripe_lib.output.cache import place_to_write, places

INDEX_VERSION = 4
STRIDE = 1 << 40
SMALL_FILE_BYTES = 2_000_000

# What a run is. The first five are the region-type codes of ripe_lib.genome.encoding. The others say more about
# which strand is transcribed: no region type but within a transcript, or its exon; an intron that is an exon of
# another transcript.
INTRON, CODING, THREE_UTR, FIVE_UTR, NOTHING, OTHER_INTRON, OTHER_EXON, INTRON_AND_EXON = range(8)
EXONIC = (CODING, THREE_UTR, FIVE_UTR)
# What the strand of an interval is told by, the first first.
STRAND_CLASSES = (EXONIC, (*EXONIC, INTRON, INTRON_AND_EXON), (*EXONIC, OTHER_EXON, INTRON_AND_EXON))
REGION_OF_RUN = np.array([0, 1, 2, 3, UNKNOWN, UNKNOWN, UNKNOWN, 0], dtype=np.uint8)

Ints = NDArray[np.int64]
Texts = NDArray[np.uint8]
Segments = tuple[Ints, Ints]


@dataclass
class Index:
    """Flat arrays; texts are newline-joined UTF-8 bytes, so that the file holds nothing but numbers."""

    breaks: Ints  # run-length annotation, see the module's text
    runs: NDArray[np.uint8]
    contigs: Texts
    transcript_id: Texts  # this and the next seven are those of the GtfTable
    gene_id: Texts
    gene_name: Texts
    transcript_type: Texts
    contig: NDArray[np.int32]
    strand: NDArray[np.int8]
    start: Ints
    end: Ints
    exon_offset: Ints  # exons of transcript i are rows exon_offset[i] to exon_offset[i + 1] of the next two
    exon_start: Ints  # 0-based, half-open, genomic order within a transcript, not overlapping
    exon_end: Ints
    landmark: Ints  # positions on the axis, those of kind i being landmark_offset[i] to landmark_offset[i + 1], sorted
    landmark_offset: Ints

    def texts(self, column: str) -> list[str]:
        """Return one of the text columns as a list of str."""
        joined = getattr(self, column).tobytes().decode("utf-8", "surrogateescape")
        return joined.split("\n") if joined or len(self.start) == 1 else []


def _joined(texts: Sequence[str]) -> Texts:
    return np.frombuffer("\n".join(texts).encode("utf-8", "surrogateescape"), dtype=np.uint8)


# ------------------------------------------------------------------ building


def build_index(table: GtfTable, transcript_types: Sequence[str]) -> Index:
    """Resolve the annotation of every base; region types come from transcripts of the given biotypes."""
    typed = np.isin(np.array(table.transcript_type, dtype=object), list(transcript_types))
    owner, start, end = _exons(table)
    base = (table.contig.astype(np.int64) * 2 + np.minimum(table.strand, 1)) * STRIDE
    breaks, runs = _runs(table, typed, base, owner, start, end)
    landmarks = landmark_positions(table, typed, base, owner, start, end)
    texts = ("contigs", "transcript_id", "gene_id", "gene_name", "transcript_type")
    columns: dict[str, Any] = {name: _joined(getattr(table, name)) for name in texts}
    columns |= {name: getattr(table, name) for name in ("contig", "strand", "start", "end")}
    return Index(
        breaks=breaks,
        runs=runs,
        **columns,
        exon_offset=np.searchsorted(owner, np.arange(len(table.contig) + 1)),
        exon_start=start,
        exon_end=end,
        landmark=np.concatenate(landmarks),
        landmark_offset=np.cumsum([0, *map(len, landmarks)]),
    )


def _exons(table: GtfTable) -> tuple[Ints, Ints, Ints]:
    """Return transcript, start, end of all exons, sorted; overlapping or touching ones of a transcript are joined.

    A transcript without ``exon`` lines has its coding pieces as exons.
    """
    is_exon = table.piece_kind == EXON
    is_alone = ~np.isin(table.piece_transcript, table.piece_transcript[is_exon])
    is_exon |= np.isin(table.piece_kind, CODING_PIECES) & is_alone
    owner = table.piece_transcript[is_exon].astype(np.int64)
    start, end = table.piece_start[is_exon], table.piece_end[is_exon]
    order = np.lexsort((start, owner))
    owner, start, end = owner[order], start[order], end[order]
    if not len(owner):
        return owner, start, end
    # A running maximum within each transcript: transcripts are STRIDE apart, so one pass does them all.
    reach = np.maximum.accumulate(owner * STRIDE + end)
    is_first = np.ones(len(owner), dtype=bool)
    is_first[1:] = owner[1:] * STRIDE + start[1:] > reach[:-1]
    last = np.append(np.flatnonzero(is_first)[1:], len(owner)) - 1
    return owner[is_first], start[is_first], reach[last] - owner[is_first] * STRIDE


def _runs(
    table: GtfTable, typed: NDArray[np.bool_], base: Ints, owner: Ints, start: Ints, end: Ints
) -> tuple[Ints, NDArray]:
    stranded = table.strand < 2
    coding = np.isin(table.piece_kind, CODING_PIECES)
    coding_start, coding_end = table.extent(CODING_PIECES)
    has_cds = coding_end >= 0

    def on_axis(transcripts: Ints, starts: Ints, ends: Ints, chosen: NDArray[np.bool_]) -> Segments:
        chosen = chosen & (ends > starts)
        transcripts = transcripts[chosen]
        return base[transcripts] + starts[chosen], base[transcripts] + ends[chosen]

    counts, of_pair = (typed & stranded)[owner], owner[1:]
    with_cds, is_minus = counts & has_cds[owner], table.strand[owner] == 1
    first, last = coding_start[owner], coding_end[owner]
    before = (owner, start, np.minimum(end, first))
    after = (owner, np.maximum(start, last), end)
    pieces = table.piece_transcript.astype(np.int64)
    between = on_axis(owner, np.maximum(start, first), np.minimum(end, last), with_cds)
    stated = on_axis(pieces, table.piece_start, table.piece_end, coding & (typed & stranded)[pieces])
    layers: list[tuple[int, list[Segments]]] = [  # later ones win
        (OTHER_INTRON, [on_axis(np.arange(len(base)), table.start, table.end, stranded)]),
        (OTHER_EXON, [on_axis(owner, start, end, stranded[owner])]),
        (INTRON, [on_axis(of_pair, end[:-1], start[1:], counts[1:] & (owner[:-1] == of_pair))]),
        (FIVE_UTR, [on_axis(*before, with_cds & ~is_minus), on_axis(*after, with_cds & is_minus)]),
        (THREE_UTR, [on_axis(*after, with_cds & ~is_minus), on_axis(*before, with_cds & is_minus)]),
        (CODING, [between, stated]),
    ]
    return _painted(layers)


def _painted(layers: list[tuple[int, list[Segments]]]) -> tuple[Ints, NDArray[np.uint8]]:
    """Lay segments over each other; return breakpoints and what holds from each to the next."""
    breaks = np.unique(np.concatenate([edge for _, segments in layers for segment in segments for edge in segment]))
    runs = np.full(len(breaks) + 1, NOTHING, dtype=np.uint8)  # runs[0] is what lies before the first break
    for code, segments in layers:
        depth = np.zeros(len(breaks) + 1, dtype=np.int64)
        for starts, ends in segments:
            depth[1:] += np.bincount(np.searchsorted(breaks, starts), minlength=len(breaks))
            depth[1:] -= np.bincount(np.searchsorted(breaks, ends), minlength=len(breaks))
        covered = np.cumsum(depth) > 0
        if code == INTRON:
            runs[covered & (runs == OTHER_EXON)] = INTRON_AND_EXON
            covered &= runs != INTRON_AND_EXON
        runs[covered] = code
    breaks = np.concatenate([[np.iinfo(np.int64).min // 2], breaks])
    changes = np.ones(len(runs), dtype=bool)
    changes[1:] = runs[1:] != runs[:-1]
    return breaks[changes], runs[changes]


# ------------------------------------------------------------------ keeping


def load_index(path: Path, transcript_types: Sequence[str]) -> Index:
    """Return the index of a GTF file: the kept one if it is of this very file and option, else a new one."""
    status = path.stat()
    stamp = {
        "version": INDEX_VERSION,
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "transcript_types": sorted(transcript_types),
    }
    if status.st_size < SMALL_FILE_BYTES:
        return build_index(read_gtf(path), transcript_types)
    suffix = _suffix(transcript_types)
    for place in places(path, suffix):
        # A file that is not there, of another state of the GTF, or damaged is simply made anew.
        with (
            suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile),
            np.load(place, allow_pickle=False) as archive,
        ):
            if json.loads(archive["stamp"].tobytes()) == stamp:
                return Index(**{column.name: archive[column.name] for column in fields(Index)})
    index = build_index(read_gtf(path), transcript_types)
    place_now = place_to_write(path, suffix)
    if place_now is not None:
        with suppress(OutputError, OSError), atomic_file(place_now) as temporary, temporary.open("wb") as handle:
            columns = {column.name: getattr(index, column.name) for column in fields(Index)}
            np.savez(handle, stamp=_joined([json.dumps(stamp)]), **columns)
    return index


def _suffix(transcript_types: Sequence[str]) -> str:
    kinds = "-".join(sorted(transcript_types))
    if len(kinds) > 60 or not all(character.isalnum() or character in "_-" for character in kinds):
        kinds = hashlib.sha256(kinds.encode()).hexdigest()[:16]
    return f".ripe-{kinds}.npz"
