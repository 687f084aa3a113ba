"""A small public world in a folder, made from a seed: genome, annotation, a portal's table, peaks; and its server.

Genes lie one after another on three chromosomes. Every protein has a word of eight bases, a region type it prefers, and
some stay near the 3' ends of introns; its sites are bins of 100 nt with the word three times. Both cell lines draw
from the same sites. The portal's table also lists what must not be taken: single replicates, another assembly, archived
and revoked files (with wrong digests), signals.
"""

import gzip
import hashlib
import http.server
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from training.fetch.download import place_of
from training.fetch.sources import PORTAL_COLUMNS, addresses

BIN = 100
REGIONS = ("intron", "CDS", "3'UTR", "5'UTR")
RELEASE = "45"
COPIES = (22, 46, 70)  # about where a site has its word
NEAR = 300  # nt before the end of an intron that some proteins keep to
COMPLEMENT = str.maketrans("ACGT", "TGCA")


@dataclass
class World:
    """What was planted, and where the mirror is.

    Attributes
    ----------
    words, region : dict
        Protein -> its word (DNA letters, RNA sense), its region type.
    near_splice : set of str
        Proteins whose intronic sites lie near the 3' end of the intron.
    peaks : dict
        Task -> number of peaks.
    """

    folder: Path
    words: dict[str, str] = field(default_factory=dict)
    region: dict[str, str] = field(default_factory=dict)
    near_splice: set[str] = field(default_factory=set)
    peaks: dict[str, int] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)


def gene_pieces(start, strand):
    """Exons with their region and introns of a gene of 7,400 nt: (kind, start, end), genomic order."""
    lengths = [("5'UTR", 900), ("CDS", 300)]
    for _ in range(4):
        lengths += [("intron", 800), ("CDS", 300)]
    lengths.append(("3'UTR", 1500))
    at, pieces = start, []
    for kind, length in lengths if strand == "+" else reversed(lengths):
        pieces.append((kind, at, at + length))
        at += length
    return pieces


def gtf_of(chrom, number, strand, pieces):
    tags = (
        f'gene_id "ENSG{number:011d}.1"; transcript_id "ENST{number:011d}.1"; gene_type "protein_coding"; '
        f'gene_name "GENE{number}"; transcript_type "protein_coding"; transcript_name "GENE{number}-201"; level 2;'
    )

    def line(feature, start, end):
        return f"{chrom}\tHAVANA\t{feature}\t{start + 1}\t{end}\t.\t{strand}\t.\t{tags}\n"

    first, last = pieces[0][1], pieces[-1][2]
    lines = [line("gene", first, last), line("transcript", first, last)]
    exons: list[list[int]] = []
    for kind, start, end in pieces:
        if kind == "intron":
            continue
        if exons and exons[-1][1] == start:
            exons[-1][1] = end
        else:
            exons.append([start, end])
    lines += [line("exon", *exon) for exon in exons]
    lines += [line("CDS", start, end) for kind, start, end in pieces if kind == "CDS"]
    return lines


def bins_of(pieces, strand):
    """(bin start, region type, whether near the 3' end of an intron) of the bins that lie within one piece."""
    found = []
    for kind, start, end in pieces:
        for at in range(-(-start // BIN) * BIN, end - BIN + 1, BIN):
            to_end = end - at - BIN if strand == "+" else at - start
            found.append((at, kind, kind == "intron" and to_end < NEAR))
    return found


def write_world(folder, *, seed=1, n_proteins=20, n_genes=300, sizes=(60, 600)):
    """Write a mirror.

    ``sizes``: peaks of the smallest and the largest protein; those between are spread evenly on a log scale.
    """
    rng = np.random.default_rng(seed)
    world = World(folder=Path(folder))
    chroms = {f"chr{n + 1}": [] for n in range(3)}
    pieces_of = []
    for number in range(n_genes):
        chrom = f"chr{number % 3 + 1}"
        strand = "+-"[int(rng.integers(2))]
        pieces = gene_pieces(2000 + (number // 3) * 8000, strand)
        chroms[chrom] += gtf_of(chrom, number, strand, pieces)
        pieces_of.append((chrom, strand, pieces))
    length = 2000 + (-(-n_genes // 3)) * 8000
    letters = {chrom: rng.choice(np.frombuffer(b"ACGT", np.uint8), length) for chrom in chroms}
    free = {}
    for chrom, strand, pieces in pieces_of:
        for at, kind, near in bins_of(pieces, strand):
            free.setdefault((kind, near), []).append((chrom, at, strand))
    for places in free.values():
        rng.shuffle(places)
    counts = np.geomspace(*sizes, n_proteins).round().astype(int)
    sites = {}
    for number, count in enumerate(counts.tolist()):
        name = f"RBP{number:02d}"
        world.words[name] = "".join(rng.choice(list("ACGT"), 8))
        world.region[name] = kind = REGIONS[number % 4]
        if kind == "intron" and number % 8 == 0:
            world.near_splice.add(name)
        sites[name] = [_taken(rng, free, kind, name in world.near_splice) for _ in range(round(count / 0.8))]
        for chrom, at, strand in sites[name]:
            word = world.words[name]
            word = word.translate(COMPLEMENT)[::-1] if strand == "-" else word
            for place in COPIES:
                first = at + place + int(rng.integers(-6, 7))
                letters[chrom][first : first + 8] = np.frombuffer(word.encode(), np.uint8)
    _write_genome(world, letters, [line for lines in chroms.values() for line in lines])
    _write_portal(world, rng, sites)
    return world


def _taken(rng, free, kind, near):
    """One bin that no other protein has: nine times in ten of the preferred kind."""
    kinds = [(kind, near)] if rng.random() < 0.9 else list(free)
    kinds = [k for k in kinds if free[k]] or [k for k in free if free[k]]
    return free[kinds[int(rng.integers(len(kinds)))]].pop()


def _write(world, address, content, in_mirror=""):
    path = place_of(address, str(world.folder), in_mirror)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _write_genome(world, letters, gtf):
    genome = addresses()["genome", "GRCh38"].address
    annotation = addresses()["gencode", "GRCh38"].address.format(number=RELEASE)
    text = "".join(
        f">{chrom} {chrom}\n" + "\n".join(bytes(bases[i : i + 60]).decode() for i in range(0, len(bases), 60)) + "\n"
        for chrom, bases in letters.items()
    )
    world.folder.mkdir(parents=True, exist_ok=True)
    lists = {}
    for address, content in ((genome, text), (annotation, "##description: made up\n" + "".join(gtf))):
        packed = gzip.compress(content.encode(), mtime=0)
        path = world.files[address] = _write(world, address, packed)
        lists.setdefault(address.rpartition("/")[0], []).append(f"{hashlib.md5(packed).hexdigest()}  {path.name}\n")
    for place, lines in lists.items():
        _write(world, f"{place}/MD5SUMS", "".join(lines).encode())


def _write_portal(world, rng, sites):
    columns = [*PORTAL_COLUMNS, "Size"]
    rows, number = [], 0

    def add(experiment, rbp, cell, peaks, **about):
        nonlocal number
        number += 1
        accession = f"ENCFF{number:03d}AAA"
        lines = [
            f"{chrom}\t{start}\t{end}\t{rbp}_{cell}\t1000\t{strand}\t3.5\t5.1\t-1\t-1\n"
            for chrom, start, end, strand in sorted(peaks)
        ]
        packed = gzip.compress("".join(lines).encode(), mtime=0)
        address = f"https://www.encodeproject.org/files/{accession}/@@download/{accession}.bed.gz"
        world.files[accession] = _write(world, address, packed)
        row = {
            "File accession": accession,
            "Output type": "peaks",
            "File assembly": "GRCh38",
            "Experiment accession": experiment,
            "Biosample term name": cell,
            "Experiment target": f"{rbp}-human",
            "Biological replicate(s)": "1, 2",
            "md5sum": hashlib.md5(packed).hexdigest(),
            "File download URL": address,
            "File Status": "released",
            "Size": str(len(packed)),
        }
        rows.append({**row, **about})

    for place, (rbp, places) in enumerate(sites.items()):
        for cell in ("K562", "HepG2"):
            experiment = f"ENCSR{place:02d}{cell[0]}AAA"
            mine = [places[i] for i in rng.permutation(len(places))[: round(0.8 * len(places))]]
            peaks = []
            for chrom, at, strand in mine:
                start, end = at + int(rng.integers(0, 28)), at + int(rng.integers(72, BIN))
                peaks.append((chrom, start, end, strand))
            world.peaks[f"{rbp}_{cell}"] = len(peaks)
            few = peaks[:5]
            wrong = {"md5sum": "0" * 32}
            add(experiment, rbp, cell, few, **{"File Status": "archived", **wrong})
            add(experiment, rbp, cell, peaks)
            for replicate in "12":
                add(experiment, rbp, cell, few, **{"Biological replicate(s)": replicate})
            add(experiment, rbp, cell, few, **{"File assembly": "hg19"})
            add(experiment, rbp, cell, few, **{"Output type": "signal of unique reads"})
    add("ENCSR99KAAA", "REVOKED", "K562", few, **{"File Status": "revoked"})
    text = "\n".join(["\t".join(columns), *("\t".join(row[name] for name in columns) for row in rows)]) + "\n"
    row = addresses()["encode-eclip", "GRCh38"]
    world.files["table"] = _write(world, row.address, text.encode(), row.in_mirror)


PAGE = b"<!DOCTYPE html>\n<html><body>Please sign in to this network.</body></html>\n"


class Server:
    """Serves a folder, and misbehaves where told.

    ``trouble[path ending]`` is ``"missing"``, ``"page"``, ``"cut"``, ``"moved"`` or ``"stall"``.
    """

    def __init__(self, folder):
        self.trouble: dict[str, str] = {}
        self.asked: list[str] = []
        self.stalled, self.go_on = threading.Event(), threading.Event()
        server = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_HEAD(self):
                server.answer(self, super().do_HEAD)

            def do_GET(self):
                server.asked.append(self.path)
                server.answer(self, super().do_GET)

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def answer(self, request, normally):
        kind = next((what for ending, what in self.trouble.items() if request.path.endswith(ending)), "")
        if kind == "missing":
            request.send_error(404)
        elif kind == "page":
            request.send_response(200)
            request.send_header("Content-Length", str(len(PAGE)))
            request.end_headers()
            request.wfile.write(PAGE)
        elif kind == "moved":
            request.send_response(302)
            request.send_header("Location", f"{self.url}/.{request.path}?moved=1")
            request.end_headers()
        elif kind in ("cut", "stall"):
            whole = Path(request.translate_path(request.path)).read_bytes()
            request.send_response(200)
            request.send_header("Content-Length", str(len(whole)))
            request.end_headers()
            request.wfile.write(whole[: len(whole) // 2])
            if kind == "stall":
                request.wfile.flush()
                self.stalled.set()
                self.go_on.wait(60)
            request.close_connection = True
        else:
            normally()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()
