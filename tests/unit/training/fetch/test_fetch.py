"""Fetching from a server that misbehaves in every way: one line, nothing half-written believed, whole files kept."""

import gzip
import hashlib
import resource
import subprocess
import sys

import numpy as np
import pytest

from ripe_lib.errors import InputError, MissingFileError, OutputError, UnknownNameError
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.fasta import Genome
from tests.support.mirror import Server, write_world
from training.cli.main import main
from training.data.peak_table import read_peak_table
from training.fetch import sources
from training.fetch.download import DownloadError, UnreachableError, download, place_of
from training.fetch.fetch import FetchConfig, fetch_files, read_manifest


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world") / "mirror", n_proteins=3, n_genes=9, sizes=(8, 20))


@pytest.fixture
def server(world):
    with Server(world.folder) as server:
        yield server


def wanted(mirror, cell_line="K562"):
    return FetchConfig("GRCh38", "45", (cell_line,), mirror=mirror).wanted()


def fetched(server, folder, **options):
    files = wanted(server.url, **options)
    fetch_files(files, folder, mirror=server.url)
    return files


def whole(folder):
    return {name for name in read_manifest(folder) if (folder / name).is_file()}


# --- what is fetched -------------------------------------------------------------------------------------------------


def test_the_released_peaks_of_both_replicates_are_chosen(world, server):
    files = sources.encode_eclip(["K562", "HepG2"], "GRCh38", mirror=server.url)
    assert [f.task for f in files] == sorted(world.peaks)
    text = world.files["table"].read_text().splitlines()
    header = text[0].split("\t")
    rows = {cells[0]: dict(zip(header, cells, strict=True)) for cells in (line.split("\t") for line in text[1:])}
    for file in files:
        row = rows[file.accession]
        assert (row["File Status"], row["Biological replicate(s)"], row["File assembly"]) == (
            "released",
            "1, 2",
            "GRCh38",
        )
        assert row["Output type"] == "peaks"
    assert [f.task for f in sources.encode_eclip(["K562"], "GRCh38", ["RBP01"], mirror=server.url)] == ["RBP01_K562"]
    assert len(sources.encode_eclip(["K562"], "GRCh37", mirror=server.url)) == 3


def test_everything_arrives_and_can_be_read(world, server, tmp_path):
    folder = tmp_path / "here"
    files = fetched(server, folder)
    genome = Genome(folder / "GRCh38.fa.gz")
    assert list(genome.contigs) == ["chr1", "chr2", "chr3"]
    text = gzip.decompress(next(p for p in world.files.values() if "primary_assembly" in p.name).read_bytes()).decode()
    first = "".join(text.split(">chr2")[0].splitlines()[1:])
    codes = genome.fetch("chr1", [6000], 500)[0]
    assert "".join("ACGTN"[c] for c in codes) == first[6000:6500]
    assert {p.name for p in folder.iterdir()} >= {"GRCh38.fa.gz.fai", "GRCh38.fa.gz.gzi"}
    assert len(Annotation.load(folder / "gencode.v45.gtf.gz").transcripts) == 9
    assert not (folder / ".partial").exists()
    manifest = read_manifest(folder)
    assert list(manifest) == [f.name for f in files]
    row = manifest[files[-1].name]
    assert (row["accession"], row["address"], row["md5"]) == (files[-1].accession, files[-1].address, files[-1].md5)
    assert row["address"].startswith("https://www.encodeproject.org/files/ENCFF")
    assert row["task"] == "RBP02_K562"
    np.datetime64(row["date"])


def test_the_second_time_nothing_is_fetched_but_what_is_damaged(server, tmp_path):
    files = fetched(server, tmp_path)
    server.asked.clear()
    fetched(server, tmp_path)
    assert [p for p in server.asked if "MD5SUMS" not in p and "metadata" not in p] == []
    damaged = tmp_path / files[-1].name
    damaged.write_bytes(damaged.read_bytes()[:-4] + b"oops")
    (tmp_path / files[1].name).unlink()
    server.asked.clear()
    fetched(server, tmp_path)
    assert [p.rpartition("/")[2] for p in server.asked if "MD5SUMS" not in p and "metadata" not in p] == [
        "gencode.v45.annotation.gtf.gz",
        damaged.name,
    ]


def test_a_folder_is_a_mirror_too_and_commands_list_and_fetch(world, tmp_path, capsys):
    words = ["fetch", "encode-eclip", "--cell-line", "HepG2", "--rbp", "RBP00", "RBP02", "--mirror", str(world.folder)]
    words += ["-o", str(tmp_path / "out"), "--quiet"]
    assert main([*words, "--dry-run"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert not (tmp_path / "out").exists()
    assert [line[2] for line in lines] == ["to fetch"] * 2
    for line in lines:
        assert int(line[1]) == place_of(line[3], str(world.folder)).stat().st_size
    assert main(words) == 0
    table = tmp_path / "out" / "eclip_HepG2_GRCh38.tsv"
    assert capsys.readouterr().out.splitlines()[-1] == str(table)
    tasks = read_peak_table(table)
    assert [(t.task, t.rbp, t.protocol, t.cell_line) for t in tasks] == [
        ("RBP00_HepG2", "RBP00", "eCLIP", "HepG2"),
        ("RBP02_HepG2", "RBP02", "eCLIP", "HepG2"),
    ]
    assert main([*words, "--dry-run"]) == 0
    assert [line.split("\t")[2] for line in capsys.readouterr().out.splitlines()] == ["here"] * 2
    for kind, name in (("genome", "GRCh38"), ("gencode", "45")):
        assert main(["fetch", kind, name, "-o", str(tmp_path / "out"), "--mirror", str(world.folder)]) == 0
    assert len(whole(tmp_path / "out")) == 4


# --- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (
            "missing",
            r"the server answered 404 Not Found \(moved or withdrawn\?\)\. Run the same .* 4 of 5 files are complete",
        ),
        ("cut", r"the download was cut \(IncompleteRead\(\d+ bytes read, \d+ more expected\)\)\. .* 4 of 5 files are"),
    ],
)
def test_one_file_that_cannot_be_had_costs_only_itself(server, tmp_path, trouble, message):
    files = wanted(server.url)
    bad = files[3]
    server.trouble[bad.address.rpartition("/")[2]] = trouble
    with pytest.raises(DownloadError, match=message):
        fetch_files(files, tmp_path, mirror=server.url)
    assert whole(tmp_path) == {f.name for f in files} - {bad.name}
    assert not (tmp_path / bad.name).exists()
    server.trouble.clear()
    server.asked.clear()
    fetch_files(files, tmp_path, mirror=server.url)
    assert [p.rpartition("/")[2] for p in server.asked] == [f"{bad.accession}.bed.gz"]
    assert whole(tmp_path) == {f.name for f in files}


def test_another_digest(world, server, tmp_path):
    files = wanted(server.url)
    path = world.files[files[2].accession]
    before = path.read_bytes()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    try:
        with pytest.raises(DownloadError, match=rf"expected md5 {files[2].md5}, got \w{{32}}\. .* 4 of 5 files"):
            fetch_files(files, tmp_path, mirror=server.url)
        with pytest.raises(DownloadError, match=rf"expected md5 {files[2].md5}, got \w{{32}}\."):
            fetch_files(files, tmp_path, mirror=str(world.folder))
    finally:
        path.write_bytes(before)
    assert not (tmp_path / files[2].name).exists()


def test_moved_files_are_followed_and_a_login_page_ends_the_run(server, tmp_path):
    files = wanted(server.url)
    server.trouble["GRCh38.primary_assembly.genome.fa.gz"] = "moved"
    fetch_files(files[:2], tmp_path, mirror=server.url)
    assert whole(tmp_path) == {f.name for f in files[:2]}
    server.trouble[".bed.gz"] = "page"
    server.asked.clear()
    with pytest.raises(DownloadError, match=r"expected the file, got an HTML page .a network .* 2 of 5"):
        fetch_files(files, tmp_path, mirror=server.url)
    assert len(server.asked) == 1
    server.trouble = {"eclip.tsv": "page"}
    with pytest.raises(UnreachableError, match=r"expected the file, got an HTML page"):
        wanted(server.url)
    server.trouble = {"MD5SUMS": "page"}
    with pytest.raises(UnreachableError, match=r"expected the file, got an HTML page"):
        wanted(server.url)


def test_tables_that_are_something_else(world, tmp_path):
    table = world.files["table"]
    before = table.read_text()
    try:
        table.write_text(before.replace("md5sum", "digest"))
        with pytest.raises(
            DownloadError, match=r"expected the portal's table of files, got one without column 'md5sum'"
        ):
            wanted(str(world.folder))
        table.write_text(before.replace("ENCFF002AAA\t", "../../mine\t"))
        with pytest.raises(DownloadError, match="expected accession, target and md5sum of every file, got"):
            wanted(str(world.folder))
        table.write_text(before.replace("released", "archived"))
        with pytest.raises(InputError, match=r"expected released peaks of both replicates on GRCh38, got none"):
            wanted(str(world.folder))
    finally:
        table.write_text(before)
    with pytest.raises(DownloadError, match=r"no such file in this mirror"):
        sources.gencode("46", mirror=str(world.folder))
    sums = place_of(sources.addresses()["gencode", "GRCh38"].address.format(number="44"), str(world.folder)).parent
    sums.mkdir()
    (sums / "MD5SUMS").write_text("0  other.gz\n")
    with pytest.raises(DownloadError, match=r"expected the digest of gencode.v44.annotation.gtf.gz, got none"):
        sources.gencode("44", mirror=str(world.folder))


def test_a_server_that_is_gone_is_asked_once(server, tmp_path):
    files = wanted(server.url)
    with pytest.raises(DownloadError, match=r"could not be fetched \(Connection refused\)\. .* 0 of 5 files"):
        fetch_files(files, tmp_path, mirror="http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match=r"could not be fetched"):
        wanted("http://127.0.0.1:9")


def test_two_runs_at_once_and_a_killed_one(server, tmp_path):
    """The first run is killed while a file arrives; until then a second one is refused."""
    files = wanted(server.url)
    server.trouble[files[3].address.rpartition("/")[2]] = "stall"
    words = ["fetch", "encode-eclip", "--cell-line", "K562", "-o", str(tmp_path), "--mirror", server.url, "--quiet"]
    first = subprocess.Popen([sys.executable, "-m", "training.cli.main", *words])
    try:
        assert server.stalled.wait(60)
        with pytest.raises(OutputError, match="another process is fetching into it"):
            fetch_files(files, tmp_path, mirror=server.url)
    finally:
        first.kill()
        first.wait()
        server.go_on.set()
    assert whole(tmp_path) == {files[2].name}
    server.trouble.clear()
    server.asked.clear()
    fetch_files(files, tmp_path, mirror=server.url)
    assert files[2].address.rpartition("/")[2] not in {path.rpartition("/")[2] for path in server.asked}
    assert whole(tmp_path) == {f.name for f in files}
    assert not (tmp_path / ".partial").exists()


def test_what_a_killed_run_left_is_not_believed(server, tmp_path):
    files = wanted(server.url)
    (tmp_path / ".partial").mkdir()
    (tmp_path / ".partial" / "download").write_bytes(b"half")
    (tmp_path / "eclip").mkdir()
    (tmp_path / files[2].name).write_bytes(b"not in the manifest")
    fetch_files(files, tmp_path, mirror=server.url)
    assert whole(tmp_path) == {f.name for f in files}
    assert (tmp_path / files[2].name).stat().st_size == files[2].n_bytes


def test_a_full_disk(world, tmp_path):
    """A limit on the size of files stands for it: writing fails in the same place."""
    size = next(p for p in world.files.values() if "primary_assembly" in p.name).stat().st_size
    words = ["fetch", "genome", "GRCh38", "-o", str(tmp_path / "out"), "--mirror", str(world.folder)]
    done = subprocess.run(
        [sys.executable, "-m", "training.cli.main", *words],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "could not be written (File too large). Make room and run it again." in done.stderr
    assert [p.name for p in (tmp_path / "out").iterdir()] == [".lock"]


def test_wrong_words(tmp_path, world, capsys):
    mirror = str(world.folder)
    with pytest.raises(UnknownNameError, match=r"unknown assembly 'GRCh39'. Did you mean 'GRCh38' or 'GRCh37'"):
        sources.genome("GRCh39")
    with pytest.raises(InputError, match=r"GENCODE release 'v45': expected a number, e.g. 45, or 45lift37"):
        sources.gencode("v45")
    with pytest.raises(UnknownNameError, match=r"unknown cell line 'HEK293'"):
        sources.encode_eclip(["HEK293"], "GRCh38")
    with pytest.raises(
        UnknownNameError, match=r"unknown protein 'RPB01'. Did you mean 'RBP01'.* no eCLIP peaks in K562"
    ):
        sources.encode_eclip(["K562"], "GRCh38", ["RPB01"], mirror=mirror)
    with pytest.raises(InputError, match=r"GENCODE 45 is not on GRCh37"):
        FetchConfig("GRCh37", "45", ("K562",), mirror=mirror).wanted()
    assert [sources.assembly_of_release(r) for r in ("19", "20", "45lift37")] == ["GRCh37", "GRCh38", "GRCh37"]
    with pytest.raises(MissingFileError, match=r"expected the address or the folder of a mirror"):
        place_of("https://a.b/c", str(tmp_path / "none"))
    assert main(["fetch", "genome", "GRCh39", "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    for words, message in (
        (["genom", "GRCh38"], "unknown source 'genom'. Did you mean 'genome'"),
        (["genome"], "fetch genome: expected an assembly, e.g. GRCh38. See: ripe-train fetch --help"),
        (["encode-eclip", "K562", "--cell-line", "K562"], "fetch encode-eclip: expected --cell-line alone."),
        (["encode-eclip"], "fetch encode-eclip: expected --cell-line alone."),
    ):
        assert main(["fetch", *words, "-o", str(tmp_path / "out")]) == 2
        shown = capsys.readouterr().err
        assert message in shown
        assert shown.count("\n") == 1
    assert not (tmp_path / "out").exists()
    (tmp_path / "sources.tsv").write_text("mine\n")
    with pytest.raises(InputError, match=r"sources.tsv: expected columns accession .* Remove it"):
        read_manifest(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file: could not be written"):
        fetch_files([], tmp_path / "file")


def test_a_genome_that_is_none(tmp_path, world):
    (tmp_path / "plain").write_text("hello\n")
    md5 = hashlib.md5(b"hello\n").hexdigest()
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "x.fa.gz").write_text("hello\n")
    file = sources.Wanted("X", "", "X.fa.gz", "https://a.b/x.fa.gz", md5, genome=True)
    with pytest.raises(DownloadError, match=r"X.fa.gz: expected a gzipped FASTA, got something else"):
        fetch_files([file], tmp_path / "out", mirror=str(mirror))
    assert whole(tmp_path / "out") == set()


def test_sizes_come_with_the_progress(server, tmp_path):
    seen = []
    file = wanted(server.url)[0]
    place = place_of(file.address, server.url)
    download(place, tmp_path / "x", md5=file.md5, progress=lambda *a: seen.append(a))
    size = (tmp_path / "x").stat().st_size
    assert seen[-1] == (size, size)
    assert all(0 < done <= size for done, _ in seen)
