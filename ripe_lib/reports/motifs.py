"""A motif search as a folder: MEME file, tables, logos, and one self-contained page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ripe_lib.motifs.databases import MotifDatabase
from ripe_lib.motifs.filters import FilterMotif
from ripe_lib.motifs.find import Motif, MotifSearch
from ripe_lib.motifs.match import NO_MATCHES
from ripe_lib.motifs.meme import MotifMatrix, information, write_meme
from ripe_lib.motifs.sites import FoundMotifs
from ripe_lib.output.atomic import atomic_directory
from ripe_lib.output.console import steps
from ripe_lib.reports.figures import save_figure
from ripe_lib.reports.motif_figures import filters_figure, logo_figure, logos_figure, match_figure
from ripe_lib.reports.page import Report

MOTIF_COLUMNS = (
    *("task", "rbp", "motif", "consensus", "n_sites", "n_used", "n_true", "fraction"),
    *("best_match", "best_protein", "best_p", "best_q", "own_match", "own_rank", "own_q"),
)
_KMERS_SHOWN = 10
FILTER_COLUMNS = ("filter", "consensus", "bits", "n_sites", "threshold", "best_match", "best_protein", "best_q")


def motif_table(searches: Sequence[MotifSearch]) -> pd.DataFrame:
    """Return one row per motif: where it comes from, its best known match, and the best one of its own protein.

    ``own_rank`` is 1 + the number of known motifs that match better than the own protein's best one.
    """
    rows = []
    for search in searches:
        for motif in search.motifs:
            best, own = motif.matches.head(1), motif.matches[motif.matches["same_protein"].astype(bool)].head(1)
            sites = (motif.n_sites, search.n_used, search.n_true, motif.fraction)
            known = (*_first(best, "match", "protein", "p_value", "q_value"), *_first(own, "match", "rank", "q_value"))
            rows.append((search.task, search.rbp, motif.name, motif.consensus, *sites, *known))
    return pd.DataFrame(rows, columns=list(MOTIF_COLUMNS)).astype({"own_rank": "Int64"})


def filter_table(filters: Sequence[FilterMotif]) -> pd.DataFrame:
    """Return one row per filter of the first layer."""
    rows = []
    for f in filters:
        bits = float(information(f.ppm).sum())
        known = _first(f.matches, "match", "protein", "q_value")
        rows.append((f.index, f.consensus, bits, f.n_sites, f.threshold, *known))
    return pd.DataFrame(rows, columns=list(FILTER_COLUMNS))


def write_motifs(
    found: FoundMotifs,
    directory: str | Path,
    *,
    database: MotifDatabase | None,
    formats: Sequence[str],
    subtitle: str,
    remark: str,
    overwrite: bool,
) -> Path:
    """Write all motifs of a search; the folder appears complete or not at all.

    Files: ``motifs.meme``, ``motifs.tsv`` (:func:`motif_table`), ``matches.tsv`` (ten best known motifs of each),
    ``kmers.tsv``, ``enriched_kmers.tsv``, ``logos/<motif>.*``, ``overview.*``, ``motifs.html``, and ``filters.meme``,
    ``filters.tsv``, ``filters.*`` where there are filters. Without any motif tables and MEME file are valid and empty.

    Parameters
    ----------
    found, directory, formats
    database : MotifDatabase or None
        Whose motifs are drawn beside those found.
    subtitle, remark : str
        For the page.
    overwrite : bool
        Replace a folder that is not empty.
    """
    motifs = [motif for search in found.searches for motif in search.motifs]
    with atomic_directory(directory, overwrite=overwrite) as folder:
        write_meme(folder / "motifs.meme", [motif.matrix() for motif in motifs])
        _write_tsv(motif_table(found.searches), folder / "motifs.tsv")
        matches = [motif.matches for motif in motifs if len(motif.matches)] or [NO_MATCHES]
        _write_tsv(pd.concat(matches, ignore_index=True), folder / "matches.tsv")
        kmers = [(motif.name, word, times) for motif in motifs for word, times in motif.kmers.items()]
        _write_tsv(pd.DataFrame(kmers, columns=["motif", "kmer", "n_places"]), folder / "kmers.tsv")
        words = pd.concat(found.enriched, names=["task"]).reset_index("task")
        _write_tsv(words, folder / "enriched_kmers.tsv")
        report = Report("Motifs", subtitle)
        report.add_text(remark)
        (folder / "logos").mkdir()
        for motif in steps(motifs, "drawing"):
            figure = logo_figure(motif, f"{motif.name}  {motif.consensus}")
            save_figure(figure, folder / "logos" / _file(motif), formats)
        if motifs:
            first = [(search.task, search.motifs[0].ppm) for search in found.searches if search.motifs]
            save_figure(logos_figure(first, columns=4), folder / "overview", formats)
        _add_sections(report, found, database)
        if found.filters:
            _add_filters(report, found.filters, folder, formats)
        report.write(folder / "motifs.html")
    return Path(directory)


def _add_filters(report: Report, filters: Sequence[FilterMotif], folder: Path, formats: Sequence[str]) -> None:
    active = [f for f in filters if f.pfm.sum()]
    table = filter_table(filters)
    write_meme(folder / "filters.meme", [f.matrix() for f in active])
    _write_tsv(table, folder / "filters.tsv")
    report.add_heading("First-layer filters")
    if not active:
        report.add_text(f"None of {len(filters)} filters is active: no site has a prediction above the bound.")
        return
    report.add_text(
        f"{len(filters)} filters, {len(filters) - len(active)} of them never active. Named: the known motif's protein "
        "where q < 0.05."
    )
    figure = filters_figure(active)
    save_figure(figure, folder / "filters", formats)
    report.add_figure(figure, "Filters as sequence logos (bits).")
    report.add_table(table)


def _add_sections(report: Report, found: FoundMotifs, database: MotifDatabase | None) -> None:
    known = {motif.identifier: motif for motif in database.motifs} if database else {}
    anchors = [f"motif-{_file(motif)}" for search in found.searches for motif in search.motifs]
    report.add_heading("Table")
    source = f"Known motifs: {database.name}, {len(database)} of them. " if database else "No known motifs were given. "
    report.add_text(
        source + "`fraction` is `n_sites` divided by all true sites; `own_rank` is 1 + the number of known motifs that "
        "match better than the best one of the same protein. p-values by Tomtom on one strand, q-values by Benjamini "
        "and Hochberg over all known motifs."
    )
    report.add_table(motif_table(found.searches), links={"motif": anchors})
    for search in steps(found.searches, "making the page"):
        report.add_heading(search.task)
        own = ", ".join(database.of_protein(search.rbp)) if database else ""
        report.add_text(
            f"{search.n_used:,} of {search.n_true:,} true sites were used. "
            + (f"Known motifs of {search.rbp}: {own}." if own else f"No known motif of {search.rbp}.")
        )
        if not search.motifs:
            report.add_text("No motif: no site has a prediction above the bound, or too few maps look alike.")
        for motif in search.motifs:
            report.add_figure(_beside(motif, known), f"{motif.name}: {_caption(motif)}", anchor=f"motif-{_file(motif)}")
        if len(words := found.enriched[search.task]):
            report.add_table(
                words.head(_KMERS_SHOWN),
                caption="k-mers of the tenth of the true sites with the highest scores against the tenth with the "
                "lowest (sites that hold them; Fisher's exact test, uncorrected).",
                filterable=False,
                digits=3,
            )


def _beside(motif: Motif, known: dict[str, MotifMatrix]) -> Any:
    if not len(motif.matches) or not known:
        return match_figure(motif)
    own = motif.matches[motif.matches["same_protein"].astype(bool)]
    # The own protein's motif is what one wants to see, if it matches at all.
    row = own.iloc[0] if len(own) and own["q_value"].iloc[0] < 0.1 else motif.matches.iloc[0]
    title = f"{row['protein']}  {row['match']}  {row['consensus']}   rank {row['rank']}, q = {row['q_value']:.2g}"
    return match_figure(motif, (known[row["match"]].ppm, int(row["offset"]), title))


def _caption(motif: Motif) -> str:
    text = f"{motif.n_sites:,} sites ({motif.fraction:.1%} of all)"
    for _, best in motif.matches.head(1).iterrows():
        text += f"; best known match {best['protein']} {best['match']} (q = {best['q_value']:.2g})"
    return f"{text}."


def _first(table: pd.DataFrame, *columns: str) -> list[Any]:
    return [table[column].iloc[0] if len(table) else None for column in columns]


def _write_tsv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, sep="\t", index=False, float_format="%.6g")


def _file(motif: Motif) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", motif.name)
