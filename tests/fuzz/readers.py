"""What is read, by format: small real files, the public readers, and judges that are other programs."""

import gzip
import io
import json
import multiprocessing
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import yaml

from ripe_lib.errors import RipeError
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.encoding import encode_sequence
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.intervals import read_intervals
from ripe_lib.genome.rna_fasta import read_rna_fasta
from ripe_lib.genome.vcf import VcfFile
from tests.fuzz.mutate import bgzipped, mutated_hdf5, mutated_text
from tests.support.variant_files import EXAMPLES

CONFIGS = Path(__file__).resolve().parents[2] / "training" / "configs"
NARROW = """track name="peaks" description="q < 0.05"
chr1\t600\t701\tpeak_1\t1000\t+\t12.5\t-1\t3.2\t50
chr1\t900\t1000\tpeak 2 #x\t10\t-\t1.5\t2\t-1\t-1
# a comment
chr2\t50\t151\tpeak_3\t0\t.\t1\t1\t1\t0
"""
BED12 = "chr1\t10\t500\ttx\t0\t+\t20\t300\t0,0,0\t2\t100,50,\t0,440,\n" * 3
BLANKS = "browser position chr1:1-100\nchr1 10 20\nchr1   30 400 x\n\nchr2 5 6 name 0 -\n"
ENSEMBL = """#!genome-build toy
1\tprotein_coding\texon\t101\t200\t.\t+\t.\tgene_id "g1"; transcript_id "t1"; gene_name "A;B"; exon_number "1";
1\tprotein_coding\tCDS\t121\t180\t.\t+\t0\tgene_id "g1"; transcript_id "t1"; gene_name "A;B";
1\tlincRNA\texon\t50\t300\t.\t-\t.\tgene_id "g2"; transcript_id "t2";
MT\tprotein_coding\tCDS\t1\t90\t.\t.\t0\tgene_id g3; transcript_id t3
"""
REFSEQ = """chr1\tRefSeq\tmRNA\t100\t900\t.\t+\t.\ttranscript_id "NM_1.1"; gene_id "X"; transcript_biotype "mRNA"
chr1\tRefSeq\texon\t100\t300\t.\t+\t.\ttranscript_id "NM_1.1"; gene_id "X"; note "say ""x""; y"; gene "X";
chr1\tRefSeq\tstop_codon\t201\t203\t.\t+\t.\ttranscript_id "NM_1.1"; gene_id "X";
chr1\tRefSeq\tCDS\t120\t200\t.\t+\t0\ttranscript_id "unknown_transcript_1"; gene_id "Y";
"""
RNA = ">r1 region=iii333555ccc\nACGUACGUACGU\n>r2\tabout\nacgtnRYKM\nACGT\n\n>r3\r\nAC GT\r\n"
WRAPPED = ">c1 first\nACGTACGTAC\nACGTACGTAC\nACG\n>c2\nNNNNRYKM\nAC\n>c3\n\n>c4\nACGT"
MEME = """MEME version 4

ALPHABET= ACGU

strands: +

Background letter frequencies (from uniform background):
A 0.25000 C 0.25000 G 0.25000 U 0.25000

MOTIF M1 PUM2
letter-probability matrix: alength= 4 w= 3 nsites= 20 E= 0
0.1 0.2 0.3 0.4
1 0 0 0
0.25\t0.25 0.25 0.25

MOTIF M2
letter-probability matrix: alength= 4 w= 1
0 0 0 1
"""
PEAK_TABLE = (
    "rbp\tfile\tprotocol\treplicate\nQKI\tself.tsv\tPARCLIP\t1\nQKI\tself.tsv\tPARCLIP\t2\nPUM2\tself.tsv\t\t\n"
)
MODEL_YAML = """# rendered
defined_as: dataloaders.DeepRipeModel
args:
  weights: weights.h5
  sha256: null
default_dataloader:
  default_args: {sequence_length: 150, region_length: 250}
info: {name: "DeepRiPe/toy", tags: ["RNA binding"]}
"""
PREPARE = """prepare:
  output: data.h5
  report: true
  peaks: {fasta_file: genome.fa, gtf_file: genes.gtf, table: peaks.tsv,
    background: {strategy: any_transcripts, ratio: 1.0}}
  window: {margin: 20}
  split: {method: random}
"""


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes
    ----------
    name, suffix : str
    seeds : callable
        ``seeds() -> tuple of bytes``: small real files.
    mutate : callable
        ``mutate(data, rng) -> bytes``
    read : callable
        ``read(path)``: every public reader of the format, and what must hold where they accept the file.
    seconds : int
        Reading one takes at most so long.
    """

    name: str
    suffix: str
    seeds: Callable[[], tuple[bytes, ...]]
    read: Callable[[Path], None]
    mutate: Callable[[bytes, np.random.Generator], bytes] = mutated_text
    seconds: int = 10


def example(name):
    return (EXAMPLES / name).read_bytes()


# ------------------------------------------------------------------ intervals


def read_bed(path):
    narrow = read_intervals(path, summits=True)
    whole, parts = read_intervals(path), list(read_intervals(path, chunk_size=5))
    assert narrow.drop(columns="summit").equals(whole), "summits change the intervals"
    assert [len(part) for part in parts[:-1]] == [5] * (len(parts) - 1)
    rows = whole.to_numpy(dtype=object).tolist()
    assert [row for part in parts for row in part.to_numpy(dtype=object).tolist()] == rows, "chunks are not the whole"
    assert list(map(tuple, rows)) == plain_bed(path), "not what the columns say"
    whole.to_csv(io.StringIO())


def plain_bed(path):
    """Return the rows of a BED file, read in the most obvious way."""
    data = path.read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    rows, tabs = [], None
    for raw in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        line = raw.rstrip(b"\r").decode("utf-8", "surrogateescape")
        first = re.split(r"[ \t\n\v\f\r]", line, maxsplit=1)[0]
        if not line.strip(" \t\r") or line[0] == "#" or first in ("track", "browser"):
            continue
        tabs = "\t" in line if tabs is None else tabs
        fields = line.split("\t") if tabs else re.split("[ \t]+", line.strip(" \t"))
        fields += ["."] * 6
        rows.append((fields[0], int(fields[1]), int(fields[2]), *(field or "." for field in fields[3:6])))
    return rows


def bedtools_rows(path):
    """Return the intervals bedtools sees, or None if it refuses the file."""
    done = subprocess.run(["bedtools", "sort", "-i", path], capture_output=True, timeout=10)
    if done.returncode or done.stderr:
        return None
    fields = [line.split(b"\t")[:3] for line in done.stdout.splitlines()]
    return sorted((c.decode("utf-8", "surrogateescape"), int(s), int(e)) for c, s, e in fields)


# ------------------------------------------------------------------ sequences


def read_genome(path):
    genome = Genome(path)
    for name, length in genome.contigs.items():
        genome.fetch([name, name], [-3, length - 4], 7, [False, True])
    known = samtools_contigs(path)
    if known is None:
        return
    ours = {name: length for name, length in genome.contigs.items() if length}  # samtools leaves most empty ones out
    assert ours == {name: len(letters) for name, letters in known.items() if letters}, "not samtools' contigs"
    for name, letters in known.items():
        got = genome.fetch(name, 0, max(1, len(letters)))[0][: len(letters)]
        assert got.tolist() == encode_sequence(letters).tolist(), f"other bases in {name} than samtools"


def samtools_contigs(path):
    """Return what samtools reads of a FASTA, or None if it refuses it."""
    import pysam

    pysam.set_verbosity(0)
    copy = path.with_name("samtools" + path.suffix)
    copy.write_bytes(path.read_bytes())
    try:
        with pysam.FastaFile(str(copy)) as fasta:
            return {name: fasta.fetch(name) for name in fasta.references}
    except (OSError, ValueError, KeyError, UnicodeDecodeError, pysam.SamtoolsError):
        return None
    finally:
        for file in path.parent.glob("samtools*"):
            file.unlink()


def read_rnas(path):
    scratch = path.with_name("scratch")
    for options in ({}, {"region_letter": "3"}, {"region_file": path}):
        try:
            records = read_rna_fasta(path, scratch, **options)
            for row, length in enumerate(records.lengths.tolist()):
                assert len(records.bases(row, 0, length)) == length
                regions = records.regions(row, 0, length)
                assert regions is None or len(regions) == length
        except RipeError:
            if not options:
                raise
        finally:
            scratch.unlink(missing_ok=True)


# ------------------------------------------------------------------ annotation and variants


def read_annotation(path):
    annotation = Annotation.load(path)
    contig = annotation.contigs[0]
    codes = annotation.region_codes([contig] * 2, [-5, 90], 60, [False, True])
    assert codes.shape == (2, 60)
    table = annotation.transcripts
    table.to_csv(io.StringIO())
    assert len(table) == len(annotation.overlapping([contig], [0], [1 << 38])[0]) or len(annotation.contigs) > 1
    annotation.landmark_distances([contig], [100], [False])


def read_variants(path):
    with VcfFile(path) as vcf:
        whole = [record for part in vcf.records(7) for record in zip(*part, strict=True)]
        assert all(re.fullmatch("[0-9]+", record[5].split("\t")[1]) for record in whole), "POS that is no number"
        again = [record for block in vcf.blocks(5) for record in zip(*vcf.read(block), strict=True)]
        assert whole == again, "blocks are not the whole"
    judged = JUDGE(path)
    if judged is not None and vcf.kind != "bcf":
        got = [(c, int(p), r or ".", _alleles(a.split(","))) for c, p, _, r, a, _ in whole]
        got = [row for row in got if row[1] < 1 << 31]  # htslib's positions turn negative there
        assert got == [row for row in judged if row[1] >= 0], "other records than htslib's"


def htslib_records(path):
    """Return what htslib reads of a VCF, or None if it complains."""
    import cyvcf2

    os.ftruncate(2, 0)
    rows = [(v.CHROM, v.POS, v.REF or ".", _alleles(v.ALT)) for v in cyvcf2.VCF(str(path))]
    return None if os.fstat(2).st_size else rows


def _alleles(alts):
    return ",".join(alt or "." for alt in alts) or "."


class Judge:
    """A function in a forked process; None if it raises, or ends its process, as htslib does: then comes another."""

    def __init__(self, function):
        self._function, self._process = function, None

    def __call__(self, *arguments):
        if self._process is None:
            context = multiprocessing.get_context("fork")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=self._answer, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
        try:
            self._pipe.send(arguments)
            return self._pipe.recv()
        except (EOFError, OSError):
            self.end()
        except BaseException:  # no time is left
            self.end()
            raise

    def end(self):
        self._process.kill()
        self._process.join()
        self._pipe.close()
        self._process = None

    def _answer(self, pipe):
        self._pipe.close()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.memfd_create("complaints"), 2)
        while True:
            try:
                answer = self._function(*pipe.recv())
            except Exception:  # noqa: BLE001 (no judge, then)
                answer = None
            pipe.send(answer)


JUDGE = Judge(htslib_records)


# ------------------------------------------------------------------ HDF5


def weights_file():
    """A weights file of a small network; made without TensorFlow."""
    from ripe_lib.network.spec import ModelSpec
    from ripe_lib.network.weights import write_weights

    spec = ModelSpec(name="DeepRiPe/toy", tasks=("QKI_PARCLIP", "PUM2_PARCLIP"), sizes={"filters": 3})
    arrays = {"left_conv1": [np.ones((11, 4, 3)), np.zeros(3)], "output": [np.ones((5, 2)), np.zeros(2)]}
    return written(lambda path: write_weights(path, spec, arrays))


def written(write):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.h5"
        write(path)
        return path.read_bytes()


def dataset_file():
    from tests.support.toy_datasets import write_toy_dataset

    rng = np.random.default_rng(0)
    return written(lambda path: write_toy_dataset(path, rng, n=12, margin=2, landmarks=np.ones((12, 8), np.float32)))


def maps_file():
    from types import SimpleNamespace

    from ripe_lib.attribution.store import create_attributions
    from ripe_lib.network.spec import ModelSpec

    model = SimpleNamespace(name="DeepRiPe/toy", spec=ModelSpec(name="DeepRiPe/toy", tasks=("A", "B")))

    def write(path):
        with create_attributions(path, model, ["A"], method="ig", options={"n": 3}):
            pass
        with h5py.File(path, "r+") as handle:
            for item in handle.values():
                item.resize((3, *item.shape[1:]))
                if item.dtype == object:
                    item[:] = "chr1"

    return written(write)


def original_file():
    def write(path):
        with h5py.File(path, "w") as handle:
            for split in ("train", "valid", "test"):
                handle[f"{split}_in_seq"] = np.zeros((2, 4, 150), np.uint8)
                handle[f"{split}_in_region"] = np.zeros((2, 4, 250), np.uint8)
                handle[f"{split}_out"] = np.ones((2, 2), np.uint8)

    return written(write)


def legacy_file():
    """A file in the layout of Keras 2, without Keras: shapes of arrays do not matter to the reader of the layout."""
    from ripe_lib.network.spec import ModelSpec
    from tests.support.legacy_files import legacy_layers

    layers, names = legacy_layers(ModelSpec(name="x", tasks=("a", "b")))

    def write(path):
        with h5py.File(path, "w") as handle:
            handle.attrs["model_config"] = json.dumps({"class_name": "Model", "config": {"layers": layers}})
            assert names["max_pooling1d_1"] in {layer["name"] for layer in layers}
            for layer in layers:
                name = layer["name"]
                group = handle.create_group(f"model_weights/{name}")
                if layer["class_name"] not in ("Conv1D", "Dense"):
                    group.attrs["weight_names"] = np.zeros(0, "S1")
                    continue
                group.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
                group[f"{name}/kernel:0"] = np.zeros((2, 2))
                group[f"{name}/bias:0"] = np.zeros(2)

    return written(write)


def read_weights_file(path):
    from ripe_lib.network.weights import read_weights

    spec, arrays = read_weights(path)
    spec.to_json()
    assert all(isinstance(value, np.ndarray) for values in arrays.values() for value in values)


def read_dataset(path):
    from ripe_lib.evaluation.dataset import Dataset

    dataset = Dataset(path)
    everything = np.arange(len(dataset))
    assert len(dataset.windows(everything)) == len(dataset.intervals) == len(dataset.source)
    assert dataset.labels.shape == (len(dataset), len(dataset.tasks))
    assert isinstance(dataset.manifest_sha256, str)


def read_maps(path):
    from ripe_lib.attribution.store import AttributionFile

    with AttributionFile(path) as file:
        assert len(file.windows()) == len(file.scores()) == len(file.gaps()) == len(file)
        for task in file.tasks:
            assert len(file.maps(task).seq) == len(file)
        file.has_bases()


def read_original(path):
    from training.config import build
    from training.data.config import PrepareConfig
    from training.data.original import prepare_original

    tasks = path.with_name("tasks.txt")
    tasks.write_text("QKI\nPUM2\n")
    output = path.with_name("out.h5")
    config = build(PrepareConfig, {"output": str(output), "original": {"file": str(path), "tasks": str(tasks)}})
    try:
        prepare_original(config, config.original, lambda line: None)
        read_dataset(output)
    finally:
        tasks.unlink()
        output.unlink(missing_ok=True)


def read_keras(path):
    from training.published.legacy_keras import read_legacy

    read_legacy(path, name="DeepRiPe/x")


# ------------------------------------------------------------------ YAML and tables


def read_model_yaml(path):
    from ripe_lib.network.load import model_arguments

    folder = path.with_name("model")
    folder.mkdir(exist_ok=True)
    (folder / "weights.h5").write_bytes(b"x")
    path.replace(folder / "model.yaml")
    try:
        arguments = model_arguments(folder)
        assert (folder / arguments["weights"]).resolve().parent == folder.resolve(), "weights outside the model"
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def read_configs(path):
    from ripe_lib.kipoi.config import read_config as read_kipoi
    from training.config import plain
    from training.data.config import read_config as read_prepare
    from training.fitting.config import read_config as read_fit
    from training.study.config import read_config as read_study

    refused = []
    for read in (read_prepare, read_fit, read_study, read_kipoi):
        try:
            config = read(path)
            json.dumps(plain(config), default=str)
        except RipeError as error:
            refused.append(error)
    if len(refused) == 4:
        raise refused[0]


def read_motifs(path):
    from ripe_lib.motifs.meme import meme_text, read_meme

    for motif in read_meme(path, dna_as_rna=True):
        assert np.allclose(motif.ppm.sum(axis=1), 1)
        meme_text([motif]).encode()


def read_peaks(path):
    from training.data.peak_table import read_peak_table

    (path.with_name("self.tsv")).write_bytes(b"")
    try:
        read_peak_table(path)
    finally:
        path.with_name("self.tsv").unlink()


def read_site_table(path):
    from training.data.sites import read_table

    read_table(path, ["chrom", "start", "end", "strand", "label", "sequence", "region"])


def site_table():
    from tests.support.toy_datasets import clip31_row

    rng = np.random.default_rng(0)
    rows = [clip31_row(rng, "chr1", 100 * n, "+-"[n % 2], n % 2) for n in range(4)]
    lines = ["chrom\tstart\tend\tstrand\tlabel\tsequence\tregion", *("\t".join(map(str, row)) for row in rows)]
    return ("\n".join(lines) + "\n").encode()


def configs():
    names = ("paper/parclip.yaml", "study/rbp24.yaml")
    kipoi = yaml.safe_dump({"model_sources": {"kipoi": {"type": "local", "local_path": "/x"}}})
    return (PREPARE.encode(), kipoi.encode(), *((CONFIGS / name).read_bytes() for name in names))


def binary_vcf():
    import tempfile

    import pysam

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.bcf"
        with (
            pysam.VariantFile(str(EXAMPLES / "constructs.vcf")) as source,
            pysam.VariantFile(str(path), "wb", header=source.header) as out,
        ):
            for record in source:
                out.write(record)
        return path.read_bytes()


YAML_VALUES = (
    *(
        "!!python/object/apply:os.system ['touch escaped']",
        "!!python/name:os.system",
        "!x y",
        "!!binary aGk=",
        "!!set {a}",
    ),
    *("&a [*a]", "*nowhere", "{? [1]: 2}", "2001-13-99", "2001-01-01", "1e999", ".nan", "-.inf", "0x1F", "1_000", "~"),
    *("[]", "{}", "''", "true", "12:30:45", "[" * 5000, "{a: " * 300, '"\\ud800"', '"\\x00"', "../../etc/passwd"),
    *("/etc/passwd", "$NOWHERE/x", "~nobody/x", "{<<: 1}", "!!timestamp x", "!!int x", "!!float []", "9" * 5000),
)
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)


def mutated_yaml(data, rng):
    """Return YAML with an odd value or key, or changed as any text."""
    kind = rng.random()
    text = data.decode()
    spots = [match.span(1) for match in re.finditer(r"(?<=: )([^\n,{}]+)", text)]
    if kind < 0.45:
        first, last = spots[int(rng.integers(len(spots)))]
        return (text[:first] + YAML_VALUES[int(rng.integers(len(YAML_VALUES)))] + text[last:]).encode()
    if kind < 0.5:
        first, last = spots[int(rng.integers(len(spots)))]
        return (LAUGHS + text[:first] + "*a8" + text[last:]).encode()
    if kind < 0.6:
        keys = [match.span(1) for match in re.finditer(r"(\w+)(?=:)", text)]
        first, last = keys[int(rng.integers(len(keys)))]
        odd = ("", "1", "null", "<<", "other", "2001-01-01", "!!python/name:os.system x", '"\\n"')
        return (text[:first] + odd[int(rng.integers(len(odd)))] + text[last:]).encode()
    return mutated_text(data, rng)


def variant_files():
    plain = example("constructs.vcf")
    return plain, b"".join(example("variants.vcf").splitlines(True)[:30]), bgzipped(plain), binary_vcf()


def gtf_files():
    return b"".join(example("genes.gtf").splitlines(True)[:25]), ENSEMBL.encode(), REFSEQ.encode()


def fasta_files():
    return WRAPPED.encode(), bgzipped(WRAPPED.encode()), example("genome.fa")[:700]


def bed_files():
    return b"".join(example("intervals.bed").splitlines(True)[:12]), NARROW.encode(), BED12.encode(), BLANKS.encode()


def of(make):
    return lambda: (make() if callable(make) else make.encode(),)


FORMATS = {
    one.name: one
    for one in (
        Format("bed", ".bed", bed_files, read_bed),
        Format("fasta", ".fa", fasta_files, read_genome),
        Format("rna", ".fa", lambda: (RNA.encode(), gzip.compress(RNA.encode())), read_rnas),
        Format("gtf", ".gtf", gtf_files, read_annotation),
        Format("vcf", ".vcf", variant_files, read_variants),
        Format("weights", ".h5", of(weights_file), read_weights_file, mutated_hdf5),
        Format("dataset", ".h5", of(dataset_file), read_dataset, mutated_hdf5),
        Format("maps", ".h5", of(maps_file), read_maps, mutated_hdf5),
        Format("original", ".h5", of(original_file), read_original, mutated_hdf5),
        Format("legacy", ".h5", of(legacy_file), read_keras, mutated_hdf5),
        Format("model.yaml", ".yaml", of(MODEL_YAML), read_model_yaml, mutated_yaml),
        Format("configs", ".yaml", configs, read_configs, mutated_yaml),
        Format("meme", ".meme", of(MEME), read_motifs),
        Format("peaks", ".tsv", of(PEAK_TABLE), read_peaks),
        Format("sites", ".tsv", of(site_table), read_site_table),
    )
}
