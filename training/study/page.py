"""The study's page: every table and picture with what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.reports.page import Report
from training.study.config import StudyConfig


@dataclass
class Results:
    """What a study found, by name: ``tables/NAME.csv``, ``figures/NAME.png`` and ``.svg``."""

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)


def write_page(config: StudyConfig, dataset: Dataset, results: Results) -> None:
    """Write ``report.html``; sections whose table is missing are left out.

    Parameters
    ----------
    config, dataset, results
        Of the study.
    """
    tables, pictures = results.tables, results.figures
    n = len(dataset.indices(config.split))
    page = Report(f"Study {config.name}", f"{dataset.path.name}, split {config.split}: {n:,} windows")
    page.add_heading("Arms")
    page.add_text(
        "Every arm is measured on the same windows, which no arm was trained on or chosen by. `own`: each task's "
        "positives against its own sure negatives; `other`: against sites of other proteins."
    )
    page.add_table(tables["arms"], caption="Means over tasks")
    page.add_figure(pictures["arms"], "One dot per task, the mean as a bar; own negatives.")
    page.add_table(tables["time"], caption="Networks and training time", filterable=False)
    page.add_table(tables["tasks"], caption="Every arm and task", page_rows=40)
    if "tests" in tables:
        page.add_heading("Paired comparisons")
        page.add_text(
            "Differences are `first` minus `second` on the same windows; intervals: 95% of "
            f"{config.n_bootstrap} paired stratified bootstrap draws; p: Wilcoxon's signed ranks over tasks."
        )
        page.add_table(tables["tests"], caption="Tests over tasks")
        for name, figure in pictures.items():
            if "_vs_" in name:
                first, second = name.split("_vs_")
                page.add_figure(figure, f"{first} against {second}, own negatives; orange: mean difference.")
        page.add_table(tables["differences"], caption="Differences per task", page_rows=40)
    if "protocols" in tables:
        page.add_heading("One protocol's model on another's sites")
        page.add_figure(pictures["protocols"], "Own negatives of the sites' experiment; intervals: 95%.")
        page.add_figure(
            pictures["protocol_kmers"],
            "6-mers of the best- and worst-scoring positives of the other protocol (sites per side).",
        )
        page.add_table(tables["protocols"], caption="Protocol pairs")
        page.add_table(tables["protocol_kmers"], caption="6-mers", page_rows=20)
    if "own_rank" in tables:
        page.add_heading("One protein's output on another's sites")
        if "sites_by_output" in pictures:
            page.add_figure(
                pictures["sites_by_output"], "Each experiment's held-out sites (rows) against sites of other proteins."
            )
        page.add_table(tables["own_rank"], caption="Does a protein's own output rank its sites first?")
        page.add_table(tables["cross_experiment"], caption="Outputs on other experiments of their protein")
    if "borders" in tables:
        page.add_heading("Borders of sites")
        page.add_text(
            "RNase T1 cuts after G, so sites of RNase T1 libraries end with G: a trace of the enzyme. `lean`: what "
            f"replacing {config.borders.n_edge} bases on either side of both ends costs beyond replacing as many bases "
            "elsewhere in the same windows (motifs near the ends count, too). `g_lean`: what it costs when every site, "
            "bound or not, ends with G: the enzyme alone. `g_effect`: logit of G at the last base minus the other "
            "letters' mean."
        )
        page.add_figure(pictures["borders"], "Dots at zero do not lean on the borders.")
        page.add_table(tables["borders"], caption="Borders replaced")
        if "border_profiles" in pictures:
            page.add_figure(
                pictures["border_profiles"], "Integrated gradients of positives, aligned at their last base."
            )
    page.write(config.directory / "report.html")
