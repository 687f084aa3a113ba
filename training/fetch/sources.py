"""What there is to fetch: which files an accession, a release or a portal's table stands for.

Addresses are data: ``addresses.tsv`` beside this module.
"""

import csv
import io
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ripe_lib.errors import InputError, check_known
from training.config import Note
from training.fetch.download import DownloadError, download, place_of

ASSEMBLIES = ("GRCh38", "GRCh37")
CELL_LINES = ("K562", "HepG2")
GENOME_FILE, ANNOTATION_FILE = "{}.fa.gz", "gencode.v{}.gtf.gz"
PORTAL_ASSEMBLY = {"GRCh38": "GRCh38", "GRCh37": "hg19"}
PORTAL_COLUMNS = (
    *("File accession", "Output type", "File assembly", "Experiment accession", "Biosample term name"),
    *("Experiment target", "Biological replicate(s)", "md5sum", "File download URL", "File Status"),
)


@dataclass(frozen=True)
class Wanted:
    """One file to fetch; its address and digest are those of the public file."""

    accession: str  # its name at the source, e.g. "ENCFF001AAA"
    task: str  # that it holds peaks of; empty for a genome or an annotation
    name: str  # its path in the folder it is fetched to
    address: str
    md5: str
    n_bytes: int | None = None  # where the source says so
    experiment: str = ""  # of peaks, as the next two
    rbp: str = ""
    cell_line: str = ""
    genome: bool = False  # stored bgzipped, with indices


@dataclass(frozen=True)
class Address:
    """A row of ``addresses.tsv``: an address with fields to fill in, and the list of digests in the same folder."""

    kind: str
    name: str
    address: str
    checksums: str
    in_mirror: str


@cache
def addresses() -> dict[tuple[str, str], Address]:
    """Return the table of addresses by kind and name."""
    text = Path(__file__).with_name("addresses.tsv").read_text(encoding="utf-8")
    return {(row["kind"], row["name"]): Address(**row) for row in csv.DictReader(io.StringIO(text), delimiter="\t")}


def peak_table_name(cell_lines: Sequence[str], assembly: str) -> str:
    """Return the file name of the table of peak files."""
    return f"eclip_{'_'.join(cell_lines)}_{assembly}.tsv"


def genome(assembly: str, *, mirror: str = "") -> list[Wanted]:
    """Return the file of a genome's primary assembly."""
    check_known("assembly", assembly, ASSEMBLIES)
    row = addresses()["genome", assembly]
    return [
        Wanted(assembly, "", GENOME_FILE.format(assembly), row.address, _digest(row, row.address, mirror), genome=True)
    ]


def gencode(release: str, *, mirror: str = "") -> list[Wanted]:
    """Return the file of a GENCODE release: ``"45"`` on GRCh38 (up to 19 on GRCh37), ``"45lift37"`` on GRCh37."""
    parts = re.fullmatch(r"(\d+)(lift37)?", release)
    if parts is None:
        raise InputError(f"GENCODE release {release!r}: expected a number, e.g. 45, or 45lift37 for GRCh37.")
    row = addresses()["gencode", parts[2] or "GRCh38"]
    address = row.address.format(number=parts[1])
    return [Wanted(f"gencode.v{release}", "", ANNOTATION_FILE.format(release), address, _digest(row, address, mirror))]


def assembly_of_release(release: str) -> str:
    """Return the assembly of a GENCODE release."""
    return "GRCh37" if release.endswith("lift37") or int(release) < 20 else "GRCh38"


def encode_eclip(
    cell_lines: Sequence[str],
    assembly: str,
    rbps: Sequence[str] | None = None,
    *,
    mirror: str = "",
    note: Note = lambda _: None,
) -> list[Wanted]:
    """Return the peak files of ENCODE's eCLIP experiments: peaks found in both replicates, released, of one assembly.

    They come by task (``<protein>_<cell line>``); a task with several experiments has several files.

    Parameters
    ----------
    cell_lines, assembly : sequence of str, str
        Of :data:`CELL_LINES` and :data:`ASSEMBLIES`.
    rbps : sequence of str, optional
        Proteins; default all.
    mirror : str
        See :func:`training.fetch.download.place_of`.
    note : callable
        Is told when an experiment has several such files.
    """
    check_known("assembly", assembly, ASSEMBLIES)
    chosen: dict[str, dict[str, str]] = {}
    for cell_line in cell_lines:
        check_known("cell line", cell_line, CELL_LINES)
        row = addresses()["encode-eclip", assembly]
        place = place_of(row.address.format(cell_line=cell_line), mirror, row.in_mirror)
        described = (PORTAL_ASSEMBLY[assembly], cell_line, "released")
        for entry in _portal_table(place):
            if (
                (entry["File assembly"], entry["Biosample term name"], entry["File Status"]) == described
                and entry["Output type"].endswith("peaks")
                and "," in entry["Biological replicate(s)"]
            ):
                before = chosen.setdefault(entry["Experiment accession"], entry)
                if before is not entry:
                    note(f"{entry['Experiment accession']}: several released files of peaks; the last one is taken")
                if before["File accession"] < entry["File accession"]:
                    chosen[entry["Experiment accession"]] = entry
    wanted = sorted((_peaks(entry, place) for entry in chosen.values()), key=lambda file: (file.task, file.experiment))
    if rbps is not None:
        known = sorted({file.rbp for file in wanted})
        for name in rbps:
            check_known("protein", name, known, f"It has no eCLIP peaks in {' or '.join(cell_lines)}.")
        wanted = [file for file in wanted if file.rbp in rbps]
    if not wanted:
        raise InputError(f"{place}: expected released peaks of both replicates on {assembly}, got none.")
    return wanted


def write_peak_table(files: Sequence[Wanted], path: Path) -> None:
    """Write the table that ``prepare: peaks: table`` reads; experiments of one task are its replicates."""
    lines = ["task\trbp\tprotocol\tcell_line\treplicate\tfile\n"]
    lines += [f"{f.task}\t{f.rbp}\teCLIP\t{f.cell_line}\t{f.experiment}\t{f.name}\n" for f in files]
    path.write_text("".join(lines), encoding="utf-8")


def _peaks(entry: dict[str, str], place: str | Path) -> Wanted:
    rbp = entry["Experiment target"].removesuffix("-human")
    if not (entry["File accession"].isalnum() and entry["md5sum"].isalnum() and rbp):  # they become names of files
        raise DownloadError(
            f"{place}: expected accession, target and md5sum of every file, got {list(entry.values())}."
        )
    size = entry.get("Size") or ""
    return Wanted(
        accession=entry["File accession"],
        task=f"{rbp}_{entry['Biosample term name']}",
        name=f"eclip/{entry['File accession']}.bed.gz",
        address=entry["File download URL"],
        md5=entry["md5sum"],
        n_bytes=int(size) if size.isdecimal() else None,
        experiment=entry["Experiment accession"],
        rbp=rbp,
        cell_line=entry["Biosample term name"],
    )


def _portal_table(place: str | Path) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(_text(place)), delimiter="\t")
    if missing := [name for name in PORTAL_COLUMNS if name not in (reader.fieldnames or ())]:
        raise DownloadError(f"{place}: expected the portal's table of files, got one without column {missing[0]!r}.")
    return [{name: value or "" for name, value in row.items() if name is not None} for row in reader]


def _digest(row: Address, address: str, mirror: str) -> str:
    """Return the digest of a file from the list in its folder."""
    folder, _, name = address.rpartition("/")
    place = place_of(f"{folder}/{row.checksums}", mirror)
    for line in _text(place).splitlines():
        parts = line.split()
        if len(parts) == 2 and parts[1].lstrip("*").removeprefix("./") == name:
            return parts[0]
    raise DownloadError(f"{place}: expected the digest of {name}, got none. Is there such a release?")


def _text(place: str | Path) -> str:
    with tempfile.TemporaryDirectory(prefix="deepripe-fetch-") as folder:
        path = Path(folder) / "text"
        download(place, path)
        return path.read_text(encoding="utf-8", errors="replace")
