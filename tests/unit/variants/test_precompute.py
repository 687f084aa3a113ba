"""Precomputed substitutions: those of ``ripe score-variants``, found again by bcftools, resumable."""

import gzip
import shutil
import subprocess

import numpy as np
import pandas as pd
import pysam
import pytest

import ripe_lib
from ripe_lib.cli.main import main
from ripe_lib.errors import InputError, UnknownNameError
from ripe_lib.genome.fasta import Genome
from ripe_lib.variants import precompute as module
from ripe_lib.variants.precompute import precompute, regions_of
from tests.support.variant_files import FASTA, GTF, example_sequences, write_model

# Where genes of both strands overlap, a gap of N, a stretch without transcripts, and a contig after it.
REGIONS = [("chr2", 1000, 1040), ("chr1", 2540, 2600), ("chr1", 2580, 2610), ("chr1", 4890, 4970), ("chr1", 700, 705)]
MERGED = [("chr1", 700, 705), ("chr1", 2540, 2610), ("chr1", 4890, 4970), ("chr2", 1000, 1040)]
needs_bcftools = pytest.mark.skipif(shutil.which("bcftools") is None, reason="needs the bcftools program")


@pytest.fixture(scope="module")
def model(tiny_model, tmp_path_factory):
    return write_model(tiny_model, tmp_path_factory.mktemp("precompute") / "tiny")


@pytest.fixture(scope="module")
def vcf(model):
    """Every substitution of the regions as a VCF of one allele per record."""
    sequences = example_sequences()
    rows = [
        f"{contig}\t{at + 1}\t.\t{ref}\t{alt}\t.\t.\t."
        for contig, start, end in MERGED
        for at, ref in enumerate(sequences[contig][start:end].upper(), start=start)
        if ref in "ACGT"
        for alt in "ACGT"
        if alt != ref
    ]
    contigs = [f"##contig=<ID={name},length={len(text)}>" for name, text in sequences.items()]
    path = model.parent / "all.vcf"
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
    path.write_text("\n".join(["##fileformat=VCFv4.2", *contigs, columns, *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def table(model, tiny_model):
    path = model.parent / "scores.tsv.gz"
    found = precompute(model, REGIONS, path, fasta_file=FASTA, gtf_file=GTF, tasks=tiny_model.tasks[1:], chunk_bases=37)
    assert (found.n_stretches, found.n_bases) == (4, 195)
    return path


def read(path):
    with gzip.open(path, "rt") as handle:
        lines = [line for line in handle if not line.startswith("##")]
    assert lines[0].startswith("#chrom\tpos\tref\talt\t")
    rows = [line.rstrip("\n").split("\t") for line in lines]
    return pd.DataFrame(rows[1:], columns=[name.lstrip("#") for name in rows[0]])


def test_alleles_tasks_and_deltas_are_those_of_score_variants(table, model, tiny_model, vcf):
    scored = pd.concat(ripe_lib.score_variants(model, vcf, fasta_file=FASTA, gtf_file=GTF))
    scored = scored[scored["status"] == "ok"]
    names = [f"{task}.delta" for task in tiny_model.tasks]
    expected = {}
    for key, rows in scored.groupby(["chrom", "pos", "ref", "alt"], sort=False):
        deltas = rows[names].to_numpy()
        row, task = np.unravel_index(np.abs(deltas).argmax(), deltas.shape)
        largest = deltas[np.abs(deltas).argmax(axis=0), range(len(names))]
        expected[key] = (rows["strand"].iloc[row], tiny_model.tasks[task], deltas[row, task], *largest[1:])
    assert scored.duplicated(["chrom", "pos", "ref", "alt"]).any()  # both strands are there
    found = read(table)
    assert list(found.columns[4:]) == [
        "strand",
        "genes",
        "region_type",
        "task",
        "delta",
        "class",
        *tiny_model.tasks[1:],
    ]
    assert list(expected) == [(c, int(p), r, a) for c, p, r, a in found.iloc[:, :4].itertuples(index=False)]
    for row, (strand, task, *values) in zip(found.to_dict("records"), expected.values(), strict=True):
        numbers = [float(row[name]) for name in ("delta", *tiny_model.tasks[1:])]
        np.testing.assert_allclose(numbers, values, atol=6e-5)
        best = abs(values[0])
        if sum(abs(abs(value) - best) < 1e-5 for value in values) <= 2:
            assert (row["strand"], row["task"]) == (strand, task)


def test_the_index_finds_a_position(table):
    with pysam.TabixFile(str(table)) as file:
        (first, *_) = rows = [line.split("\t") for line in file.fetch("chr1", 2549, 2550)]
        assert [row[:2] for row in rows] == [["chr1", "2550"]] * 3
        assert first[2] == example_sequences()["chr1"][2549].upper()
        assert list(file.contigs) == ["chr1", "chr2"]


@needs_bcftools
def test_bcftools_annotate_reads_table_and_vcf_as_score_variants_writes_it(table, model, tiny_model, vcf, tmp_path):
    sites = tmp_path / "scores.vcf.gz"
    precompute(model, REGIONS, sites, fasta_file=FASTA, gtf_file=GTF)
    with gzip.open(table, "rt") as handle:
        (tmp_path / "header.txt").write_text("".join(line for line in handle if line.startswith("##INFO")))
    keys = [f"DRP_toy_{name}" for name in ("TASK", "MAXDELTA", "CLASS")]
    columns = ",".join(["CHROM,POS,REF,ALT,-,-,-", *keys])
    assert main(["score-variants", str(vcf), "--fasta", str(FASTA), "--gtf", str(GTF), "--model", str(model),
                 "-o", str(tmp_path / "scored.vcf"), "--quiet"]) == 0  # fmt: skip

    def queried(source, *annotation):
        if annotation:
            command = ["bcftools", "annotate", *annotation, str(source)]
            source = tmp_path / "annotated.vcf"
            source.write_text(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        text = "%CHROM %POS %REF %ALT " + " ".join(f"%{key}" for key in keys) + "\n"
        done = subprocess.run(
            ["bcftools", "query", "-f", text, str(source)], check=True, capture_output=True, text=True
        )
        rows = [line.split() for line in done.stdout.splitlines()]
        return [(*row[:5], "." if row[5] == "." else round(float(row[5]), 3), row[6]) for row in rows]

    expected = queried(tmp_path / "scored.vcf")
    from_table = queried(vcf, "-a", table, "-h", tmp_path / "header.txt", "-c", columns)
    packed = pysam.tabix_index(str(shutil.copy(vcf, tmp_path)), preset="vcf")  # bcftools wants both files indexed
    from_vcf = queried(packed, "-a", sites, "-c", ",".join(f"INFO/{key}" for key in keys))
    assert from_table == from_vcf
    assert len(expected) == len(from_table) > 300
    agree = [one[:5] == other[:5] and one[6] == other[6] for one, other in zip(expected, from_table, strict=True)]
    assert np.mean(agree) > 0.99  # of two tasks alike to the last digit either may be the first
    for one, other in zip(expected, from_table, strict=True):
        assert (one[5] == ".") == (other[5] == ".")
        assert one[5] == "." or abs(one[5]) == pytest.approx(abs(other[5]), abs=1.1e-3)


def test_an_interrupted_run_goes_on_and_the_file_is_the_same(table, model, tiny_model, tmp_path, monkeypatch):
    output, computed = tmp_path / "scores.tsv.gz", []
    written = module._write_part

    def interrupted(writer, chunk, path):
        computed.append(chunk.index)
        if len(computed) == 3:
            raise KeyboardInterrupt("Ctrl-C")
        written(writer, chunk, path)

    options = {"fasta_file": FASTA, "gtf_file": GTF, "tasks": tiny_model.tasks[1:], "chunk_bases": 37}
    monkeypatch.setattr(module, "_write_part", interrupted)
    with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
        precompute(model, REGIONS, output, **options)
    assert not output.exists()
    precompute(model, REGIONS, output, **options)
    assert computed == [0, 1, 2, 2, 3, 4, 5]
    assert output.read_bytes() == table.read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_regions_are_merged_in_the_order_of_the_fasta():
    assert regions_of(REGIONS, Genome(FASTA)) == MERGED
    assert regions_of([("2", 5, 9), ("chr2", 9, 12)], Genome(FASTA)) == [("chr2", 5, 12)]


@pytest.mark.parametrize(
    ("regions", "output", "error", "message"),
    [
        ([("chr1", 8990, 9010)], "x.tsv.gz", InputError, r"expected an interval within chr1 \(0-9000\), got 8990-9010"),
        ([("chr9", 1, 2)], "x.tsv.gz", UnknownNameError, "chr9"),
        ([("chr1", 10, 20)], "x.tsv", InputError, r"ends in \.tsv\.gz or \.vcf\.gz"),
        ([("chr2", 5000, 5010)], "x.tsv.gz", InputError, "expected an allele that can be scored, got none"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(model, tmp_path, regions, output, error, message):
    with pytest.raises(error, match=message):
        precompute(model, regions, tmp_path / output, fasta_file=FASTA, gtf_file=GTF)
    assert not list(tmp_path.iterdir())


def test_the_command_takes_a_bed_or_one_region(table, model, tmp_path, capsys):
    bed = tmp_path / "regions.bed"
    bed.write_text("".join(f"{c}\t{s}\t{e}\n" for c, s, e in REGIONS))
    files = ["--fasta", str(FASTA), "--gtf", str(GTF)]
    assert main(["precompute", str(model), str(bed), *files, "-o", str(tmp_path / "bed.tsv.gz"), "--quiet"]) == 0
    assert read(tmp_path / "bed.tsv.gz").equals(read(table).iloc[:, :10])
    assert main(["precompute", str(model), "chr1:2,541-2,610", *files, "-o", str(tmp_path / "one.tsv.gz")]) == 0
    assert "70 bases of 1 regions" in capsys.readouterr().err
    assert len(read(tmp_path / "one.tsv.gz")) == 210
