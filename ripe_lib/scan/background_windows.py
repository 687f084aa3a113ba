"""Background of given intervals: windows of the same genes and region types that are none of the intervals.

The region type of an interval is that of the base in its middle, on its strand. Its gene is one with a transcript over
that base on that strand; of several, one that gives region types (a protein-coding one), then the first by name.
The middle base of a background interval lies within that gene (introns included), on its strand, and has the same
region type. Where a gene has too little of a region type left, the same region type of other genes of the intervals
serves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ripe_lib.errors import InputError
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import REGION_TYPES, UNKNOWN, Codes
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.intervals import merged
from ripe_lib.genome.windows import window_start

Positions = NDArray[np.int64]
_SPARE, _LEAST = 3, 24  # places drawn per one wanted, and at least: some lie at unknown bases, some serve other genes
_KEY = ["chrom", "strand", "gene"]


class MatchedWindows(NamedTuple):
    """Intervals that have a background, and the background.

    ``intervals``: rows of those given with ``gene`` (id) and ``region_type`` (intron, CDS, 3UTR, 5UTR, none).
    ``background``: ``chrom start end name score strand``, ``of`` (number of the row of ``intervals``), ``gene``,
    ``region_type``. ``left_out``: how many of those given have no background, by reason.
    """

    intervals: pd.DataFrame
    background: pd.DataFrame
    left_out: dict[str, int]


def matched_windows(
    intervals: pd.DataFrame,
    genome: Genome,
    annotation: Annotation,
    *,
    window: int,
    per_interval: int = 4,
    seed: int = 0,
) -> MatchedWindows:
    """Draw background windows; intervals and background have the same shares of region types.

    Parameters
    ----------
    intervals : DataFrame
        ``chrom start end strand``, 0-based, half-open, strands ``+`` or ``-``, contigs of the genome.
    genome : Genome
    annotation : Annotation
    window : int
        Length in nt of the longest sequence window of the models. Middle bases of the background are at least half of
        it away from every interval on the strand, and the window around them has no unknown base.
    per_interval : int
        Background windows of every interval.
    seed : int
    """
    table = intervals.reset_index(drop=True)
    centre = ((table["start"] + table["end"] - 1) // 2).to_numpy(dtype=np.int64)
    minus = (table["strand"] == "-").to_numpy()
    gene, spans = _genes(table, centre, annotation)
    known = ~_has_unknown(genome, table, window)
    codes = annotation.region_codes(table["chrom"].to_numpy(dtype=object), centre, 1, minus)[:, 0]
    table["gene"], table["region_type"] = gene, np.array([*REGION_TYPES, "none"], dtype=object)[codes]
    rng = np.random.default_rng(seed)
    usable = known & (gene != "")
    left_out = {"without a gene on their strand": int((gene == "").sum())}
    left_out["at unknown bases"] = int(((gene != "") & ~known).sum())
    forbidden = _near(table, window // 2)
    of: list[Positions] = [np.zeros(0, dtype=np.int64)]
    places: list[Positions] = [np.zeros(0, dtype=np.int64)]
    for key, group in table[usable].groupby(_KEY, sort=True):
        chrom, strand, _ = key
        track = _free_track(annotation, spans.loc[key], chrom, strand, *forbidden[chrom, strand])
        rows = group.index.to_numpy(dtype=np.int64)
        for code in np.unique(codes[rows]):
            same = rows[codes[rows] == code]
            n_drawn = max(_SPARE * per_interval * len(same), _LEAST)
            free = rng.permutation(np.flatnonzero(track == code))[:n_drawn]
            places.append(free + int(spans.loc[key, "start"]))
            of.append(np.resize(same, len(free)))
    drawn = _background(table, np.concatenate(of), np.concatenate(places), genome, window)
    is_own = (drawn.groupby("of").cumcount() < per_interval).to_numpy()
    spare = _given_to_others(codes, np.flatnonzero(usable), drawn[is_own], drawn[~is_own], per_interval, rng)
    background = pd.concat([drawn[is_own], spare], ignore_index=True)
    n = np.bincount(background["of"], minlength=len(table))
    left_out["whose region type has no other window"] = int((usable & (n < per_interval)).sum())
    kept = np.flatnonzero(n == per_interval)
    if not len(kept):
        said = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
        raise InputError(f"intervals: expected some with background windows in their genes, got none ({said}).")
    background = background[background["of"].isin(kept)].assign(of=lambda t: np.searchsorted(kept, t["of"]))
    background["region_type"] = table["region_type"].to_numpy()[kept][background["of"]]
    background = background.sort_values(["of", "chrom", "start"], kind="stable").reset_index(drop=True)
    return MatchedWindows(table.iloc[kept].reset_index(drop=True), background, left_out)


def _genes(table: pd.DataFrame, centre: Positions, annotation: Annotation) -> tuple[NDArray[np.object_], pd.DataFrame]:
    """Return the gene of every interval ("" without one), and the span of every gene of a contig and strand."""
    transcripts = annotation.transcripts
    query, row = annotation.overlapping(table["chrom"].to_numpy(dtype=object), centre, centre + 1)
    same_strand = transcripts["strand"].to_numpy()[row] == table["strand"].to_numpy()[query]
    query, row = query[same_strand], row[same_strand]
    found = transcripts.iloc[row][["gene_id", "transcript_type"]].assign(query=query)
    found["other"] = ~found["transcript_type"].isin(annotation.transcript_types)
    first = found.sort_values(["query", "other", "gene_id"], kind="stable").drop_duplicates("query")
    gene = np.full(len(table), "", dtype=object)
    gene[first["query"]] = first["gene_id"]
    wanted = transcripts[transcripts["gene_id"].isin(first["gene_id"])].copy()
    names = {name: table["chrom"].iloc[at] for at, name in zip(query, transcripts["chrom"].iloc[row], strict=True)}
    wanted["chrom"] = wanted["chrom"].map(names)  # as the genome calls them
    spans = wanted.rename(columns={"gene_id": "gene"}).groupby(_KEY).agg(start=("start", "min"), end=("end", "max"))
    return gene, spans


def _near(table: pd.DataFrame, distance: int) -> dict[tuple[str, str], tuple[Positions, Positions]]:
    """Return merged stretches less than ``distance`` from an interval, per contig and strand."""
    return {
        (str(chrom), str(strand)): merged(group["start"].to_numpy() - distance, group["end"].to_numpy() + distance)
        for (chrom, strand), group in table.groupby(["chrom", "strand"])
    }


def _free_track(
    annotation: Annotation, span: pd.Series, chrom: str, strand: str, near_starts: Positions, near_ends: Positions
) -> Codes:
    """Return the region-type codes of a gene's bases in genomic order, near intervals a code of no region type."""
    start, end = int(span["start"]), int(span["end"])
    track = annotation.region_codes(chrom, [start], end - start, [strand == "-"])[0]
    track = track[::-1].copy() if strand == "-" else track
    here = slice(np.searchsorted(near_ends, start, side="right"), np.searchsorted(near_starts, end))
    for a, b in zip(near_starts[here], near_ends[here], strict=True):
        track[max(0, a - start) : max(0, b - start)] = UNKNOWN + 1
    return track


def _background(table: pd.DataFrame, of: Positions, centre: Positions, genome: Genome, window: int) -> pd.DataFrame:
    """Return intervals around middle bases, each as long as the interval it was drawn for; none with unknown bases."""
    own = table.iloc[of]
    start = centre - ((own["start"] + own["end"] - 1) // 2 - own["start"]).to_numpy()
    end, gene = start + (own["end"] - own["start"]).to_numpy(), own["gene"].to_numpy()
    chrom, strand = own["chrom"].to_numpy(dtype=object), own["strand"].to_numpy(dtype=object)
    drawn = pd.DataFrame({"chrom": chrom, "start": start, "end": end, "name": gene, "score": ".", "strand": strand})
    drawn["of"], drawn["gene"] = of, gene
    within = (start >= 0) & (drawn["end"] <= drawn["chrom"].map(genome.contigs)).to_numpy()
    drawn = drawn[within]
    return drawn[~_has_unknown(genome, drawn, window)].reset_index(drop=True)


def _given_to_others(
    codes: Codes, usable: Positions, own: pd.DataFrame, spare: pd.DataFrame, wanted: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Return spare windows of the same region type for intervals that have fewer than wanted."""
    missing = wanted - np.bincount(own["of"], minlength=len(codes))
    spare_code = codes[spare["of"]]
    found = [spare[:0]]
    for code in np.unique(codes[usable]):
        rows = usable[codes[usable] == code]
        of = rng.permutation(np.repeat(rows, missing[rows]))
        left = spare[spare_code == code]
        left = left.iloc[rng.permutation(len(left))[: len(of)]]
        found.append(left.assign(of=of[: len(left)]))
    return pd.concat(found)


def _has_unknown(genome: Genome, table: pd.DataFrame, window: int) -> NDArray[np.bool_]:
    """Return which intervals have an unknown base in the window around them."""
    if not len(table):
        return np.zeros(0, dtype=bool)
    starts = window_start(table["start"].to_numpy(dtype=np.int64), table["end"].to_numpy(dtype=np.int64), window)
    return (genome.fetch(table["chrom"].to_numpy(dtype=object), starts, window) == UNKNOWN).any(axis=1)
