"""Files into a folder, with a manifest of where they came from; what is complete is not fetched again.

``sources.tsv`` names every complete file: accession, task, path, address, digests, size, date. A file counts as there
if it is listed and still has the digest. Downloads lie in ``.partial`` until they are checked and renamed.
"""

import csv
import datetime
import fcntl
import gzip
import io
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ripe_lib.errors import InputError, OutputError, check_known
from ripe_lib.genome.vcf import BGZF_END
from ripe_lib.network.weights import sha256_of
from ripe_lib.output.atomic import atomic_file
from ripe_lib.output.bgzf import bgzf
from training.fetch import sources
from training.fetch.download import AGAIN, DownloadError, UnreachableError, download, place_of, size_of
from training.fetch.download import Progress as FileProgress
from training.fetch.sources import ASSEMBLIES, CELL_LINES, Note, Wanted

MANIFEST = "sources.tsv"
COLUMNS = ("accession", "task", "file", "address", "md5", "sha256", "bytes", "date")
PARTIAL = ".partial"
_BLOCK = 1 << 26

Progress = Callable[[int, int], None]
Manifest = dict[str, dict[str, str]]  # rows by file


@dataclass(frozen=True)
class FetchConfig:
    """The section ``fetch`` of a config: eCLIP peaks, their genome and an annotation."""

    genome: str  # assembly, "GRCh38" or "GRCh37"
    gencode: str  # release, e.g. "45", or "45lift37" for GRCh37
    cell_line: tuple[str, ...]  # "K562", "HepG2"
    rbp: tuple[str, ...] | None = None  # proteins; default all
    mirror: str = ""  # address or folder with the same paths as the public servers; empty: these

    def __post_init__(self) -> None:
        check_known("assembly", self.genome, ASSEMBLIES)
        for name in self.cell_line:
            check_known("cell line", name, CELL_LINES)

    def inputs(self, folder: Path) -> dict[str, str]:
        """Return what ``prepare: peaks`` reads once everything is in ``folder``."""
        return {
            "fasta_file": str(folder / sources.GENOME_FILE.format(self.genome)),
            "gtf_file": str(folder / sources.ANNOTATION_FILE.format(self.gencode)),
            "table": str(folder / sources.peak_table_name(self.cell_line, self.genome)),
        }

    def wanted(self, note: Note = lambda _: None) -> list[Wanted]:
        """Return all files, asking the servers what there is."""
        annotation = sources.gencode(self.gencode, mirror=self.mirror)
        if sources.assembly_of_release(self.gencode) != self.genome:
            raise InputError(
                f"fetch: GENCODE {self.gencode} is not on {self.genome}. Choose a release of this assembly."
            )
        peaks = sources.encode_eclip(self.cell_line, self.genome, self.rbp, mirror=self.mirror, note=note)
        return [*sources.genome(self.genome, mirror=self.mirror), *annotation, *peaks]


def read_manifest(folder: Path) -> Manifest:
    """Return the rows of ``sources.tsv`` by file; empty if there is none."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")), delimiter="\t")
    if tuple(rows.fieldnames or ()) != COLUMNS:
        raise InputError(f"{path}: expected columns {' '.join(COLUMNS)}. Remove it; files are fetched again.")
    return {row["file"]: row for row in rows}


def _is_here(file: Wanted, folder: Path, manifest: Manifest) -> bool:
    """Whether a file was fetched and is still the same."""
    row, path = manifest.get(file.name, {}), folder / file.name
    return (
        row.get("md5") == file.md5
        and path.is_file()
        and path.stat().st_size == int(row["bytes"])
        and sha256_of(path) == row["sha256"]
    )


def sizes(files: Sequence[Wanted], folder: Path, mirror: str = "") -> list[tuple[Wanted, int | None, bool]]:
    """Return (file, bytes to fetch, whether it is here), asking the server where the size is not known.

    Parameters
    ----------
    files : sequence of Wanted
    folder, mirror : Path, str
        Where they are fetched to and from (:func:`training.fetch.download.place_of`).
    """
    manifest = read_manifest(folder)
    return [
        (f, f.n_bytes if f.n_bytes is not None else size_of(place_of(f.address, mirror)), _is_here(f, folder, manifest))
        for f in files
    ]


def fetch_files(
    files: Sequence[Wanted], folder: Path, *, mirror: str = "", progress: Progress = lambda done, total: None
) -> None:
    """Fetch what is not there yet, into a folder that is made; parameters as :func:`sizes`.

    ``progress`` is called with bytes so far and bytes expected, of the files that were missing. A
    :class:`DownloadError` names the first file that could not be had; all others are tried and kept, unless the server
    is gone.
    """
    with _locked(folder):
        manifest = read_manifest(folder)
        missing = [file for file in files if not _is_here(file, folder, manifest)]
        expected = {file.name: file.n_bytes or 0 for file in missing}
        done = dict.fromkeys(expected, 0)
        failed: list[DownloadError] = []
        for file in missing:

            def show(n: int, total: int | None, name: str = file.name) -> None:
                done[name], expected[name] = n, total or max(n, expected[name])
                progress(sum(done.values()), sum(expected.values()))

            try:
                _fetch_one(file, folder, manifest, mirror, show)
            except DownloadError as error:
                failed.append(error)
                if isinstance(error, UnreachableError):
                    break
        if failed:
            n_whole = sum(file.name in manifest for file in files)
            more = f" {len(failed) - 1} more files failed." if len(failed) > 1 else ""
            raise DownloadError(f"{failed[0]}{more} {n_whole} of {len(files)} files are complete and kept.")


def _fetch_one(file: Wanted, folder: Path, manifest: Manifest, mirror: str, show: FileProgress) -> None:
    target, partial = folder / file.name, folder / PARTIAL
    fetched = partial / "download"
    download(place_of(file.address, mirror), fetched, md5=file.md5, progress=show)
    try:
        if file.genome:
            fetched = _bgzipped(fetched, partial / target.name)
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        told = (file.accession, file.task, file.name, file.address, file.md5)
        row = dict(zip(COLUMNS, (*told, sha256_of(fetched), str(fetched.stat().st_size), today), strict=True))
        target.parent.mkdir(exist_ok=True)
        for suffix in (".fai", ".gzi") if file.genome else ():
            os.replace(f"{fetched}{suffix}", f"{target}{suffix}")
        os.replace(fetched, target)
    except OSError as error:
        if isinstance(error, DownloadError):
            raise
        raise OutputError(f"{target}: could not be written ({error.strerror}). Make room and run it again.") from error
    manifest[file.name] = row
    with atomic_file(folder / MANIFEST) as temporary:
        lines = ["\t".join(COLUMNS), *("\t".join(entry[c] for c in COLUMNS) for entry in manifest.values())]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _bgzipped(source: Path, target: Path) -> Path:
    """Make of a gzipped FASTA one in blocks, which can be read at any place, and index it."""
    import pysam

    try:
        with gzip.open(source) as text, target.open("wb") as out:
            while block := text.read(_BLOCK):
                out.write(bgzf(block))
            out.write(BGZF_END)
        pysam.faidx(str(target))
    except (gzip.BadGzipFile, EOFError, zlib.error, pysam.SamtoolsError) as error:
        raise DownloadError(
            f"{target.name}: expected a gzipped FASTA, got something else ({error}). {AGAIN}"
        ) from error
    source.unlink()
    return target


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder; nobody else may fetch into it, and what an interrupted run left is removed."""
    try:
        (folder / PARTIAL).mkdir(parents=True, exist_ok=True)
        handle = (folder / ".lock").open("w")
    except OSError as error:
        raise OutputError(f"{folder}: could not be written ({error.strerror}). Choose another folder.") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(f"{folder}: another process is fetching into it. Wait for it or end it.") from None
        for left in (folder / PARTIAL).iterdir():
            left.unlink()
        try:
            yield
        finally:
            shutil.rmtree(folder / PARTIAL, ignore_errors=True)
