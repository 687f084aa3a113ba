"""Two published mutagenesis experiments, repeated with the shipped models.

Which bases does the model read in a construct, and what is left of them after the mutation? Run

    python examples/mutagenesis.py OUT_DIR

It prints one row per construct and site and writes one picture per experiment (PNG, SVG, PDF), wild type above its
mutants on one scale, changed bases shaded.

- QKI on NUMB (Zong et al. 2014): two ACUAAY-like sites; Mut1 changes the second, Mut2 both.
- ELAVL1 on the ERBB2 3'UTR (Epis et al. 2011): MUT replaces U by G throughout a U-rich element; U-rich sites upstream
  of it stay.

Both experiments are those of the DeepRiPe paper's Figure 6. Windows are as there: QKI centred (N on both sides), ELAVL1
with N on the left. Region types are unknown.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import ripe_lib
from ripe_lib.attribution.maps import letter_scores
from ripe_lib.genome.encoding import encode_sequence, one_hot, place
from ripe_lib.reports.figures import save_figure
from ripe_lib.reports.site_figures import SiteMap, mutant_figure


@dataclass(frozen=True)
class Experiment:
    """Constructs of one experiment, aligned, and the sites in them.

    Attributes
    ----------
    name, model, task : str
    constructs : dict
        Name -> sequence, the wild type first; changed bases in lower case.
    offset : int
        Index of the first base in the window of 150.
    sites : dict
        Name -> (start, stop) in the construct.
    """

    name: str
    model: str
    task: str
    constructs: dict[str, str]
    offset: int
    sites: dict[str, tuple[int, int]]


QKI = Experiment(
    name="QKI_NUMB",
    model="DeepRiPe/clip31",
    task="QKI_PARCLIP",
    constructs={
        "wild type": "GAATTAACTCCATTGATGTTGTCTGCTCCCGTTGTAGCTAAT",
        "Mut1": "GAATTAACTCCATTGATGTTGTCTGCTCCCGTTGTAGCgAgT",
        "Mut2": "GAATTgACTCCATTGATGTTGTCTGCTCCCGTTGTAGCgAgT",
    },
    offset=54,
    sites={"first site": (2, 8), "second site": (36, 42)},
)
ELAVL1 = Experiment(
    name="ELAVL1_ERBB2",
    model="DeepRiPe/clip31",
    task="ELAVL1_PARCLIP",
    constructs={
        "wild type": "GGGCGAAUUGGAGCUCCACCGCGGUGGCGGCCGCUCUAGAAGUGCUUUUCUGUUUAGUUUUUACUUUUUUUGUUUUGUUUUUUU"
        "AAAGAUGAAAUAAAGACCCAGGGGGGGCCCGGUAC",
        "mutant": "GGGCGAAUUGGAGCUCCACCGCGGUGGCGGCCGCUCUAGAAGUGCUUUUCUGUUUAGUUUUUACUgUgUgUGUggUGUgUgUgU"
        "AAAGAUGAAAUAAAGACCCAGGGGGGGCCCGGUAC",
    },
    offset=31,
    sites={"upstream sites": (42, 62), "U-rich element": (64, 84)},
)
EXPERIMENTS = (QKI, ELAVL1)


def explain(experiment: Experiment, task: str | None = None) -> tuple[pd.DataFrame, list[SiteMap]]:
    """Return the table of an experiment and its maps.

    Returns
    -------
    table : DataFrame
        One row per construct: ``construct``, ``score`` (probability), and for each site the sum of the attributions of
        its bases.
    maps : list of SiteMap
        For :func:`ripe_lib.reports.site_figures.mutant_figure`.
    """
    model = ripe_lib.load_model(experiment.model)
    task = task or experiment.task
    codes = [encode_sequence(sequence, name) for name, sequence in experiment.constructs.items()]
    seq = one_hot(np.stack([place(one, model.spec.sequence_length, experiment.offset) for one in codes]))
    scores = ripe_lib.predict(model, {"seq": seq})[:, model.tasks.index(task)]
    found = ripe_lib.integrated_gradients(model, {"seq": seq}, task=task)
    letters = letter_scores(found.seq, seq)
    rows, maps = [], []
    for row, name in enumerate(experiment.constructs):
        sums = {
            site: float(letters[row, experiment.offset + start : experiment.offset + stop].sum())
            for site, (start, stop) in experiment.sites.items()
        }
        rows.append({"construct": name, "score": float(scores[row]), **sums})
        maps.append(SiteMap(name, seq[row], found.seq[row], score=float(scores[row])))
    return pd.DataFrame(rows), maps


def main(argv: Sequence[str] | None = None) -> int:
    """Run both experiments."""
    parser = argparse.ArgumentParser(description="Repeat two published mutagenesis experiments.")
    parser.add_argument("out", metavar="OUT_DIR", type=Path, help="folder for the pictures and tables")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    for experiment in EXPERIMENTS:
        table, maps = explain(experiment)
        table.to_csv(args.out / f"{experiment.name}.tsv", sep="\t", index=False)
        figure = mutant_figure(maps, title=f"{experiment.task} on {experiment.name.split('_')[1]}")
        save_figure(figure, args.out / experiment.name, ("png", "svg", "pdf"))
        sys.stdout.write(f"{experiment.name}: {experiment.model}, {experiment.task}\n")
        sys.stdout.write(table.round(3).to_string(index=False) + "\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
