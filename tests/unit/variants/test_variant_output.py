"""Files of scored variants: formats agree with the table, runs resume, errors are one line."""

import csv
import gzip
import os
import re
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ripe_lib
from ripe_lib.cli.main import main
from ripe_lib.errors import InputError, UnknownNameError
from ripe_lib.genome.vcf import VcfFile
from ripe_lib.output.bgzf import bgzf
from ripe_lib.variants import output as variant_output
from ripe_lib.variants.format import OutputFormat, Selection, decimal_rows, info_fields, plain_decimal_rows
from ripe_lib.variants.options import RowFilter, VariantOptions
from ripe_lib.variants.output import VariantJob
from ripe_lib.variants.output import write_scores as really_write_scores
from ripe_lib.variants.peaks import in_peaks, read_peaks
from tests.support.documents import ROOT
from tests.support.toy_genome import ToyGenome
from tests.support.toy_models import random_model
from tests.support.variant_files import FASTA, GTF, VCF, example_sequences, random_vcf, write_model

ROUNDED = 6e-7
FLAT = ("MAXDELTA", "TASK", "CLASS")
needs_bcftools = pytest.mark.skipif(shutil.which("bcftools") is None, reason="bcftools is not installed")


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return write_model(random_model(), tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module")
def model(model_dir):
    return ripe_lib.load_model(model_dir)


@pytest.fixture(scope="module")
def table(model):
    tables = ripe_lib.score_variants(model, VCF, fasta_file=FASTA, gtf_file=GTF)
    return pd.concat(tables, ignore_index=True)


def job(model_dir, out, vcf=VCF, *, options=None, rows=None, layout=None, top=0, **other):
    return VariantJob(
        vcf_file=str(vcf),
        fasta_file=str(FASTA),
        gtf_file=str(GTF),
        models=(str(model_dir),),
        options=options or VariantOptions(),
        out=OutputFormat.of(out, layout, top),
        rows=rows or RowFilter(),
        **other,
    )


@pytest.fixture(scope="module")
def write_scores(model):
    """As the function, with a model that is loaded and compiled already."""
    return lambda *arguments, **options: really_write_scores(*arguments, models=[model], **options)


def read_tsv(path):
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values={}, dtype=str)


def numbers(frame):
    return frame.replace("", "nan").astype(float).to_numpy()


def bcftools(*arguments):
    """Lines that bcftools prints."""
    done = subprocess.run(["bcftools", *map(str, arguments)], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", ["x.tsv", "x.tsv.gz"])
def test_tsv_is_the_table(tmp_path, model_dir, table, name, write_scores):
    summary = write_scores(job(model_dir, name), tmp_path / name, chunk_size=20)
    found = read_tsv(tmp_path / name)
    assert list(found.columns) == list(table.columns)
    assert found.iloc[:, :9].astype(str).equals(table.iloc[:, :9].astype(str))
    np.testing.assert_allclose(numbers(found.iloc[:, 9:]), table.iloc[:, 9:].to_numpy(), atol=4e-6)
    assert summary.n_rows == len(table)
    assert summary.status["ok"] == (table["status"] == "ok").sum()
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("layout", ["wide", "long"])
def test_csv_is_the_tsv_with_commas(tmp_path, model_dir, layout):
    """Through the command: one strand, one window, classes, quoting; the suffix decides no number."""
    lines = VCF.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line[0] != "#")
    fields = lines[at].split("\t")
    lines[at] = "\t".join([*fields[:2], 'a,"b"', *fields[3:]])
    (tmp_path / "in.vcf").write_text("\n".join(lines) + "\n")
    tables = []
    for name, separator in (("x.tsv", "\t"), ("x.csv", ","), ("x.csv.gz", ",")):
        arguments = usual(model_dir, tmp_path / name, tmp_path / "in.vcf")
        assert command(*arguments, "--scores", "class", "--format", layout, "--strand", "both", "--quiet") == 0
        quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
        tables.append(pd.read_csv(tmp_path / name, sep=separator, quoting=quoting, dtype=str, keep_default_na=False))
    assert tables[0]["id"][0] == 'a,"b"'
    assert (tables[0].filter(regex="class$") != "").any(axis=None)
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])


def test_parquet_is_the_table(tmp_path, model_dir, table, write_scores):
    write_scores(job(model_dir, "x.parquet"), tmp_path / "x.parquet", chunk_size=20)
    found = pd.read_parquet(tmp_path / "x.parquet")
    assert list(found.columns) == list(table.columns)
    assert found.iloc[:, :9].equals(table.iloc[:, :9])
    assert (found.dtypes.iloc[9:] == np.float32).all()
    np.testing.assert_allclose(found.iloc[:, 9:], table.iloc[:, 9:], atol=4e-6)


def vcf_entries(lines, key):
    """Per record: the entries of one INFO field."""
    for line in lines:
        info = dict(part.partition("=")[::2] for part in line.split("\t")[7].split(";"))
        yield [entry.split("|") for entry in info[key].split(",")] if key in info else []


@pytest.mark.parametrize("name", ["x.vcf", "x.vcf.gz"])
def test_vcf_keeps_its_records_and_gains_entries(tmp_path, model_dir, model, table, name, write_scores):
    write_scores(job(model_dir, name), tmp_path / name, chunk_size=20)
    content = (tmp_path / name).read_bytes()
    lines = (gzip.decompress(content) if name.endswith("gz") else content).decode().splitlines()
    before = VCF.read_text().splitlines()
    body = [line for line in lines if line[0] != "#"]
    original = [line for line in before if line[0] != "#"]
    assert [line.split("\t")[:7] for line in body] == [line.split("\t")[:7] for line in original]
    for line, old in zip(body, original, strict=True):
        assert line.split("\t")[7].startswith(old.split("\t")[7] + ";")
    assert [line for line in before if line[:2] == "##"] == [
        line for line in lines if line in before and line[:2] == "##"
    ]
    described = next(line for line in lines if line.startswith("##INFO=<ID=DeepRiPe_toy,Number=.,Type=String,"))
    columns = described.split("Format: ")[1].rstrip('">').split("|")
    assert columns[:6] == ["ALLELE", "STRAND", "GENES", "REGION_TYPE", "STATUS", "Consequence"]
    assert columns[6] == f"{model.tasks[0]}.ref"
    entries = [entry for record in vcf_entries(body, "DeepRiPe_toy") for entry in record]
    assert len(entries) == len(table)
    for entry, (_, row) in zip(entries, table.iterrows(), strict=True):
        named = dict(zip(columns, entry, strict=row["status"] == "ok"))
        assert named["STRAND"] == row["strand"]
        assert named["STATUS"] == row["status"]
        assert named["GENES"] == row["genes"].replace(",", "&")
        if row["status"] == "ok":
            assert named["ALLELE"] == row["alt"]
            assert float(named[f"{model.tasks[1]}.delta"]) == pytest.approx(row[f"{model.tasks[1]}.delta"], abs=4e-6)
        else:
            assert entry[5:] == [""]  # short
    # A strict reader takes it.
    with pysam.VariantFile(str(tmp_path / name)) as strict:
        assert sum(1 for _ in strict) == len(original)


def strongest_by_allele(table, tasks):
    """Per (id, ALT) in file order: delta, task and class of the largest |delta| of all strands, or None."""
    found = {}
    for row in table.to_dict("records"):
        found.setdefault((row["id"], row["alt"]), None)
        for task in tasks if row["status"] == "ok" else ():
            one = (row[f"{task}.delta"], task, row[f"{task}.class"])
            best = found[row["id"], row["alt"]]
            if best is None or abs(one[0]) > abs(best[0]):
                found[row["id"], row["alt"]] = one
    return found


@pytest.fixture(scope="module")
def annotated(tmp_path_factory, model, model_dir):
    """A VCF with both strands of every allele scored, and the same as a table."""
    folder = tmp_path_factory.mktemp("annotated")
    sequences = example_sequences()
    alts = {2010: "A,C", 2050: "<DEL>,G,TT", 2080: ".", 2087: "*", **{at: "ACGT"[at % 4] for at in range(2100, 2160)}}
    lines = ["##fileformat=VCFv4.2", *(f"##contig=<ID={name},length={len(s)}>" for name, s in sequences.items())]
    lines += ['##ALT=<ID=DEL,Description="Deletion">', "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines += [f"chr1\t{at}\tv{at}\t{sequences['chr1'][at - 1].upper()}\t{alt}\t.\tPASS\t." for at, alt in alts.items()]
    vcf = folder / "in.vcf"
    vcf.write_text("\n".join(lines) + "\n")
    options = VariantOptions(strand="both", scores=("class",), delta_threshold=1e-3)
    for name in ("x.vcf.gz", "x.parquet"):
        really_write_scores(job(model_dir, name, vcf, options=options), folder / name, models=[model])
    return folder / "x.vcf.gz", pd.read_parquet(folder / "x.parquet")


def test_flat_fields_have_the_strongest_task_of_each_allele(annotated, model):
    path, table = annotated
    expected = strongest_by_allele(table, model.tasks)
    assert sum(value is None for value in expected.values()) == 3
    assert len({value[2] for value in expected.values() if value}) > 1
    n = 0
    with pysam.VariantFile(str(path)) as strict:
        kinds = [(strict.header.info[f"DRP_toy_{x}"].number, strict.header.info[f"DRP_toy_{x}"].type) for x in FLAT]
        assert kinds == [("A", "Float"), ("A", "String"), ("A", "String")]
        for record in strict:
            for number, alt in enumerate(record.alts or ()):
                n += 1
                found = tuple(record.info[f"DRP_toy_{x}"][number] for x in FLAT)
                wanted = expected[record.id, alt]
                if wanted is None:
                    assert found in ((None, None, None), (None, ".", "."))
                else:
                    assert found[0] == pytest.approx(wanted[0], abs=4e-6)
                    assert found[1:] == wanted[1:]
    assert n == len(expected) - 1  # a record without ALT has no value


def test_bcf_is_the_vcf(tmp_path, model_dir, write_scores):
    """Sorted or not, also where the header lacks contigs and keys."""
    lines = VCF.read_text().splitlines()
    undeclared = [line for line in lines if not line.startswith(("##contig", "##INFO"))]
    for content in (lines, undeclared, [*HEAD, *reversed(BODY)]):
        (tmp_path / "in.vcf").write_text("\n".join(content) + "\n")
        found = []
        for name in ("x.vcf.gz", "x.bcf"):
            summary = write_scores(job(model_dir, name, tmp_path / "in.vcf"), tmp_path / name, chunk_size=30)
            is_sorted = content[-1] != BODY[0]
            assert summary.index == (str(tmp_path / name) + {"f": ".csi", "z": ".tbi"}[name[-1]] if is_sorted else None)
            with VcfFile(tmp_path / name) as read:
                found.append([line for records in read.records(100) for line in records.lines])
        as_vcf, as_bcf = ([_floats_rounded(line) for line in lines] for lines in found)
        assert as_bcf == as_vcf
    assert sorted(path for path in os.listdir(tmp_path) if "x." in path) == ["x.bcf", "x.vcf.gz"]


@pytest.mark.parametrize("line", [b"chr1\t8589934592\t.\tG\tC", b"chr1\t661\tx\xe9\tG\tC\t.\tPASS\tFO\xe9=1"])
def test_what_bcf_cannot_hold_is_one_line(tmp_path, model_dir, capsys, line):
    declared = [line for line in HEAD[:-1] if not line.startswith("##contig")]
    bad = "##caf\xe9=1".encode("latin-1") if b"\xe9" in line else b"##x=1"
    content = [*(text.encode() for text in declared), bad, HEAD[-1].encode(), BODY[0].encode(), line]
    (tmp_path / "in.vcf").write_bytes(b"\n".join(content) + b"\n")
    assert command(*usual(model_dir, tmp_path / "x.bcf", tmp_path / "in.vcf"), "--quiet") == 2
    assert "x.bcf: expected records that BCF can hold" in one_line(capsys)
    assert os.listdir(tmp_path) == ["in.vcf"]


def _floats_rounded(line):
    """BCF holds 32-bit numbers and prints them in its own way."""
    return re.sub(r"(?<=MAXDELTA=)[^;]+", lambda m: ",".join(_short(x) for x in m[0].split(",")), line)


def _short(text):
    return text if text == "." else f"{float(text):.5f}"


@needs_bcftools
def test_bcftools_filters_the_flat_fields(annotated, model):
    path, table = annotated
    expected = strongest_by_allele(table, model.tasks)
    limit = float(np.median([value[0] for value in expected.values() if value and value[0] < 0]))
    lost = bcftools("view", "-H", "-i", f"INFO/DRP_toy_MAXDELTA<{limit:.7f}", path)
    wanted = {name for (name, _), value in expected.items() if value and value[0] < limit}
    assert 0 < len(wanted) < len(expected) / 2
    assert {line.split("\t")[2] for line in lost} == wanted
    task = model.tasks[1]
    found = bcftools("query", "-i", f'DRP_toy_TASK="{task}" & DRP_toy_CLASS="weakened"', "-f", "%ID\\n", path)
    assert found
    assert set(found) == {name for (name, _), v in expected.items() if v and v[1:] == (task, "weakened")}


@needs_bcftools
def test_split_vep_reads_the_packed_field(annotated, model):
    path, table = annotated
    task = model.tasks[0]
    vep = ("+split-vep", path, "-a", "DeepRiPe_toy", "-d")
    found = bcftools(*vep, "-f", f"%ID|%ALLELE|%STRAND|%GENES|%REGION_TYPE|%STATUS|%Consequence|%{task}.delta\\n")
    rows = table.to_dict("records")
    assert len(found) == len(rows)
    strongest = table[[f"{t}.delta" for t in model.tasks]].abs().to_numpy()
    for line, row, sizes in zip(found, rows, strongest, strict=True):
        *said, delta = line.split("|")
        known = row["status"] == "ok"
        change = row[f"{model.tasks[sizes.argmax()]}.class"] if known else "."
        genes, region = (row[name].replace(",", "&") or "." for name in ("genes", "region_type"))
        assert said == [row["id"], row["alt"], row["strand"], genes, region, row["status"], change]
        assert float(delta) == pytest.approx(row[f"{task}.delta"], abs=4e-6) if known else delta == "."
    # The recipes: one task, one kind of region, one kind of change.
    limit = float(table[f"{task}.delta"].quantile(0.2))
    typed = bcftools(
        *vep, "-c", f"{task}.delta:Float,STRAND", "-i", f"{task}.delta<{limit:.7f}", "-f", "%ID %STRAND\\n"
    )
    chosen = table[table[f"{task}.delta"] < limit]
    assert typed == [f"{name} {strand}" for name, strand in zip(chosen["id"], chosen["strand"], strict=True)]
    region = table.loc[table["region_type"] != "", "region_type"].iloc[0]
    found = bcftools(*vep, "-c", "REGION_TYPE,STRAND", "-i", f'REGION_TYPE="{region}"', "-f", "%ID %STRAND\\n")
    chosen = table[table["region_type"] == region]
    assert found == [f"{name} {strand}" for name, strand in zip(chosen["id"], chosen["strand"], strict=True)]


@needs_bcftools
def test_the_documents_recipe_for_the_strongest_loss_of_each_gene(annotated, model):
    path, table = annotated
    text = (ROOT / "docs" / "variants.md").read_text(encoding="utf-8")
    recipe = re.search(r"bcftools \+split-vep -a DeepRiPe_clip31 -d -f '%GENES.*?-su -k1,1", text, re.DOTALL).group()
    words = {"DeepRiPe_clip31": "DeepRiPe_toy", "QKI_PARCLIP": model.tasks[0], "scored.vcf.gz": str(path)}
    for old, new in words.items():
        recipe = recipe.replace(old, new)
    done = subprocess.run(["bash", "-c", recipe], capture_output=True, text=True, check=True)
    found = {line.split("\t")[0]: float(line.split("\t")[5]) for line in done.stdout.splitlines() if line[0] != "."}
    scored = table[(table["status"] == "ok") & (table["genes"] != "")]
    expected = scored.groupby(scored["genes"].str.replace(",", "&"))[f"{model.tasks[0]}.delta"].min()
    assert len(scored) > len(expected) > 0
    assert found == pytest.approx(expected.to_dict(), abs=4e-6)


def test_models_of_one_last_name_get_their_own_fields():
    models = [SimpleNamespace(name=name, tasks=["QKI"]) for name in ("DeepRiPe/toy", "DeepRiPe/published/toy")]
    keys = [field.key for field in info_fields(["ref", "alt", "delta", "delta_logit"], Selection(models))]
    assert keys[::4] == ["DeepRiPe_toy", "DeepRiPe_published_toy"]
    assert len(set(keys)) == 8


def test_vcf_gz_is_indexed_if_sorted(tmp_path, model_dir, write_scores):
    vcf = random_vcf(tmp_path / "in.vcf", 40)
    summary = write_scores(job(model_dir, "x.vcf.gz", vcf), tmp_path / "x.vcf.gz", chunk_size=7)
    assert summary.index == str(tmp_path / "x.vcf.gz.tbi")
    with pysam.TabixFile(str(tmp_path / "x.vcf.gz")) as indexed:
        assert len(list(indexed.fetch("chr2"))) == 20
    lines = vcf.read_text().splitlines(keepends=True)
    vcf.write_text("".join([*lines[:-20], *reversed(lines[-20:])]))
    summary = write_scores(job(model_dir, "x.vcf.gz", vcf), tmp_path / "x.vcf.gz", chunk_size=7)
    assert summary.index is None
    assert not (tmp_path / "x.vcf.gz.tbi").exists()


BODY = [line for line in VCF.read_text().splitlines() if line[0] != "#"][1:3]
HEAD = [line for line in VCF.read_text().splitlines() if line[0] == "#"]
LAYOUT_FILES = [
    *(("wide", name) for name in ("x.vcf", "x.vcf.gz", "x.tsv", "x.tsv.gz", "x.csv", "x.parquet")),
    *(("long", name) for name in ("x.tsv", "x.csv.gz", "x.parquet")),
    *(("biobank", name) for name in ("x.csv", "x.csv.gz")),
]


def read_output(path):
    """Records or rows, and columns, of any output."""
    if ".vcf" in path.name:
        with pysam.VariantFile(str(path)) as strict:
            return pd.DataFrame({"id": [record.id for record in strict], "n": 0})
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, sep="\t" if ".tsv" in path.name else ",")


@pytest.mark.parametrize(("layout", "name"), LAYOUT_FILES)
def test_without_records_every_layout_is_a_valid_empty_table(tmp_path, model_dir, model, write_scores, layout, name):
    given = {"records": [*HEAD, *BODY], "header": HEAD, "blank": [*HEAD, *[""] * 9], "filtered": [*HEAD, *BODY]}
    # Two files put together: the second header is a chunk of its own.
    given["joined"] = [*HEAD, BODY[0], *(["##contig=<ID=x>"] * 9), HEAD[-1], BODY[1]]
    options = VariantOptions(scores=("class",))
    found = {}
    for case, lines in given.items():
        (tmp_path / "in.vcf").write_text("\n".join(lines) + "\n")
        rows = RowFilter(min_delta=2.0 if case == "filtered" and ".vcf" not in name else 0)
        this = job(model_dir, name, tmp_path / "in.vcf", layout=layout, options=options, rows=rows)
        write_scores(this, tmp_path / name, chunk_size=3)
        found[case] = read_output(tmp_path / name)
    # BLAS sums a row in an order that goes by its place in a batch: one unit of the sixth decimal.
    pd.testing.assert_frame_equal(found["joined"], found["records"], rtol=0, atol=2e-6)
    assert set(found["records"].get("id", found["records"].get("Uploaded_variant"))) == {"ex1", "ex2"}
    for case in ("header", "blank", *(["filtered"] if ".vcf" not in name else [])):
        assert len(found[case]) == 0
        assert list(found[case].columns) == list(found["records"].columns)
        if name.endswith("parquet"):
            assert list(found[case].dtypes) == list(found["records"].dtypes)


def test_a_region_without_rows_in_parquet_and_biobank(tmp_path, model_dir, write_scores):
    for name, layout in (("x.parquet", "wide"), ("x.parquet", "long"), ("x.csv", "biobank")):
        rows = RowFilter(peaks_file=str(tmp_path / "p.bed"))
        (tmp_path / "p.bed").write_text("chr1\t3\t4\n")
        write_scores(job(model_dir, name, layout=layout, rows=rows), tmp_path / name, chunk_size=30)
        assert len(read_output(tmp_path / name)) == 0


@pytest.mark.parametrize("command_name", ["compare-strand", "asb"])
def test_other_commands_without_records(tmp_path, model_dir, model, command_name):
    (tmp_path / "in.vcf").write_text("\n".join(HEAD) + "\n")
    for name in ("x.tsv", "x.parquet"):
        arguments = usual(model_dir, tmp_path / name, tmp_path / "in.vcf")
        extra = ["--task", model.tasks[0]] if command_name == "asb" else []
        assert main([command_name, *map(str, arguments), *extra, "--quiet"]) == 0
        found = read_output(tmp_path / name)
        assert len(found) == 0
        assert list(found.columns[:5]) == ["chrom", "pos", "id", "ref", "alt"]


def test_score_variants_without_records(tmp_path, model, table):
    for lines in (HEAD, [*HEAD, "", ""]):
        (tmp_path / "in.vcf").write_text("\n".join(lines) + "\n")
        (found,) = ripe_lib.score_variants(model, tmp_path / "in.vcf", fasta_file=FASTA, gtf_file=GTF, chunk_size=1)
        pd.testing.assert_frame_equal(found, table.iloc[:0], check_dtype=False)


def test_annotating_twice_changes_nothing(tmp_path, model_dir, model, write_scores):
    write_scores(job(model_dir, "a.vcf"), tmp_path / "a.vcf")
    write_scores(job(model_dir, "b.vcf", tmp_path / "a.vcf"), tmp_path / "b.vcf")
    assert (tmp_path / "a.vcf").read_bytes() == (tmp_path / "b.vcf").read_bytes()
    # Other options and filters replace what was said, and leave nothing of it.
    options = {"options": VariantOptions(strand="-", region="none"), "rows": RowFilter(tasks=(model.tasks[0],))}
    for source, name in ((VCF, "fresh.vcf"), (tmp_path / "a.vcf", "again.vcf")):
        write_scores(job(model_dir, name, source, **options), tmp_path / name)
    assert (tmp_path / "fresh.vcf").read_bytes() == (tmp_path / "again.vcf").read_bytes()
    write_scores(job(model_dir, "none.vcf", tmp_path / "a.vcf", rows=RowFilter(min_delta=2)), tmp_path / "none.vcf")
    body = [line for line in (tmp_path / "none.vcf").read_text().splitlines() if line[0] != "#"]
    assert body == [line for line in VCF.read_text().splitlines() if line[0] != "#"]


@pytest.mark.parametrize("name", ["x.tsv", "x.vcf.gz", "x.parquet"])
def test_an_interrupted_run_continues_and_gives_the_same_bytes(tmp_path, model_dir, monkeypatch, name, write_scores):
    vcf = random_vcf(tmp_path / "in.vcf", 60)
    write_scores(job(model_dir, name, vcf), tmp_path / f"whole-{name}", chunk_size=11)
    computed = []
    real = variant_output.Worker.score_part

    def failing(worker, chunk, path):
        if len(computed) == 3:
            raise KeyboardInterrupt("fourth part")
        computed.append(chunk.index)
        real(worker, chunk, path)

    monkeypatch.setattr(variant_output.Worker, "score_part", failing)
    with pytest.raises(KeyboardInterrupt, match="fourth part"):
        write_scores(job(model_dir, name, vcf), tmp_path / name, chunk_size=11)
    assert not (tmp_path / name).exists()

    def counting(worker, chunk, path):
        computed.append(chunk.index)
        real(worker, chunk, path)

    monkeypatch.setattr(variant_output.Worker, "score_part", counting)
    write_scores(job(model_dir, name, vcf), tmp_path / name, chunk_size=11)
    assert computed == [0, 1, 2, 3, 4, 5]
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
    # Another option is another job.
    computed.clear()
    write_scores(job(model_dir, name, vcf, options=VariantOptions(region="none")), tmp_path / name, chunk_size=11)
    assert len(computed) == 6


def test_filters(tmp_path, model_dir, model, table, write_scores):
    task = model.tasks[1]
    out = tmp_path / "x.tsv"
    write_scores(job(model_dir, out, rows=RowFilter(tasks=(task,), min_delta=1e-3)), out)
    found = read_tsv(out)
    wanted = table[table[f"{task}.delta"].abs() >= 1e-3]
    assert 0 < len(wanted) < len(table)
    assert list(found["id"]) == list(wanted["id"])
    assert list(found.columns[9:]) == [f"{task}.{f}" for f in ("ref", "alt", "delta", "delta_logit")]
    write_scores(job(model_dir, out, rows=RowFilter(region_types=("3UTR", "intron"))), out)
    assert set(read_tsv(out)["region_type"]) == {"3UTR", "intron"}
    peaks = tmp_path / "p.bed"
    peaks.write_text("chr1\t2080\t2090\tp\t0\t+\nchr1\t2400\t2410\tp\t0\t-\nchrOther\t0\t5\n")
    write_scores(job(model_dir, out, rows=RowFilter(peaks_file=str(peaks))), out)
    assert list(read_tsv(out)["pos"]) == ["2087"]
    # A VCF keeps all records.
    write_scores(job(model_dir, "x.vcf", rows=RowFilter(region_types=("CDS",))), tmp_path / "x.vcf")
    body = [line for line in (tmp_path / "x.vcf").read_text().splitlines() if line[0] != "#"]
    assert len(body) == table["id"].nunique()
    entries = [entry for record in vcf_entries(body, "DeepRiPe_toy") for entry in record]
    assert {entry[3] for entry in entries} == {"CDS"}


def test_long_layout_and_top_tasks(tmp_path, model_dir, model, table, write_scores):
    out = tmp_path / "x.tsv"
    write_scores(job(model_dir, out, layout="long"), out)
    found = read_tsv(out)
    ok = (table["status"] == "ok").sum()
    assert len(found) == ok * len(model.tasks) + (len(table) - ok)
    assert list(found.columns[9:]) == ["task", "ref_probability", "alt_probability", "delta", "delta_logit"]
    write_scores(job(model_dir, "x.parquet", top=1), tmp_path / "x.parquet")
    top = pd.read_parquet(tmp_path / "x.parquet")
    deltas = table[[f"{t}.delta" for t in model.tasks]].to_numpy()
    rows = (table["status"] == "ok").to_numpy()
    strongest = np.abs(deltas[rows]).argmax(axis=1)
    assert list(top.loc[top["status"] == "ok", "task"]) == [model.tasks[i] for i in strongest]
    np.testing.assert_allclose(
        top.loc[top["status"] == "ok", "delta"], deltas[rows][np.arange(rows.sum()), strongest], atol=4e-6
    )


def test_top_tasks_of_a_vcf(tmp_path, model_dir, model, table, write_scores):
    """The others are empty; what says which task is the strongest stays."""
    for top in (0, 1, 2, 9):
        write_scores(job(model_dir, "x.vcf", top=top), tmp_path / f"{top}.vcf")
    lines = {top: [line for line in (tmp_path / f"{top}.vcf").read_text().splitlines()] for top in (0, 1, 2, 9)}
    assert lines[9] == lines[0]
    n = len(model.tasks)
    deltas = iter(table.loc[table["status"] == "ok", [f"{t}.delta" for t in model.tasks]].abs().to_numpy())
    entries = {
        top: [e for r in vcf_entries([x for x in lines[top] if x[0] != "#"], "DeepRiPe_toy") for e in r]
        for top in (0, 1, 2)
    }
    for whole, one, two in zip(entries[0], entries[1], entries[2], strict=True):
        assert one[:6] == two[:6] == whole[:6]
        if whole[4] != "ok":
            continue
        order = np.argsort(-next(deltas), kind="stable")
        for entry, kept in ((one, order[:1]), (two, order[:2])):
            for task in range(n):
                part = slice(6 + 4 * task, 10 + 4 * task)
                assert entry[part] == (whole[part] if task in kept else [""] * 4)
    drop = lambda line: re.sub("DeepRiPe_toy=[^;]*", "", line)  # noqa: E731
    assert [drop(line) for line in lines[1]] == [drop(line) for line in lines[0]]


def test_biobank_layout(tmp_path, model_dir, model, write_scores):
    out = tmp_path / "x.csv.gz"
    write_scores(job(model_dir, out, layout="biobank", options=VariantOptions(shifts=4)), out)
    found = pd.read_csv(out)
    assert list(found.columns) == ["chr", "pos", "Uploaded_variant", "ref", "alt", *model.tasks]
    table = pd.concat(ripe_lib.score_variants(model, VCF, fasta_file=FASTA, gtf_file=GTF, shifts=4), ignore_index=True)
    one_per_alt = table.groupby(["id", "alt"], sort=False)
    assert len(found) == one_per_alt.ngroups
    for (_, group), (_, row) in zip(one_per_alt, found.iterrows(), strict=True):
        deltas = group[[f"{t}.delta" for t in model.tasks]].to_numpy()
        best = deltas[np.abs(deltas).argmax(axis=0), range(len(model.tasks))] if len(group) > 1 else deltas[0]
        np.testing.assert_allclose(row[model.tasks].to_numpy(float), best, atol=4e-6)


def test_suffix_decides_and_mistakes_are_told():
    assert OutputFormat.of("A.VCF.GZ") == OutputFormat("vcf", True)
    assert OutputFormat.of("a.csv.gz") == OutputFormat("csv", True, "wide")
    assert OutputFormat.of("a.csv.gz", "biobank") == OutputFormat("csv", True, "biobank")
    for name, layout, top, message in (
        ("x.txt", None, 0, "expected an output name that ends in"),
        ("x.tsv", "biobank", 0, "for the biobank layout"),
        ("x.csv", "biobank", 3, "need the long layout"),
        ("x.vcf", "long", 0, "a VCF has no long layout"),
        ("x.tsv", "wide", 3, "need the long layout"),
    ):
        with pytest.raises(InputError, match=message):
            OutputFormat.of(name, layout, top)
    with pytest.raises(UnknownNameError, match="unknown region type 'utr3'"):
        RowFilter(region_types=("utr3",))


@given(
    st.lists(
        st.one_of(st.floats(width=32), st.floats(-20, 20, width=32), st.integers(-50, 50).map(lambda n: n / 2**24)),
        min_size=12,
        max_size=12,
    )
)
@example([0.0, -0.0, 0.5, -5e-7, 9.9999995, 999999.9, 1e6, 123456789.0, 9.99e11, 2e12, float("inf"), float("nan")])
@settings(deadline=None)
def test_decimals_are_those_of_python(numbers_given):
    values = np.array(numbers_given, dtype=np.float32).reshape(3, 4)
    assert decimal_rows(values, "|") == plain_decimal_rows(values, "|")


def test_decimals():
    values = np.array([[0.25, np.nan, -1e-9]], dtype=np.float32)
    assert decimal_rows(values, ",") == ["0.250000,,0.000000"]
    assert decimal_rows(values[:, :0], ",") == [""]


def test_no_decimals():
    assert decimal_rows(np.zeros((2, 0), dtype=np.float32), ",") == ["", ""]
    assert decimal_rows(np.zeros((0, 2), dtype=np.float32), ",") == []


@pytest.mark.parametrize("repeated", [True, False], ids=["repeats", "digits"])
def test_compression_looks_for_repeats_where_there_are_some(repeated, rng):
    text = b"0/0:35\t" * 40_000 if repeated else b"|".join(b"%.6f" % x for x in rng.random(40_000))
    packed = bgzf(text)
    assert gzip.decompress(packed) == text
    assert len(packed) < len(text) * (0.02 if repeated else 0.6)


def test_bgzf_blocks_are_bgzf(tmp_path):
    data = np.random.default_rng(0).bytes(200_000) + b"A" * 200_000
    from ripe_lib.genome.vcf import BGZF_END

    (tmp_path / "x.gz").write_bytes(bgzf(data[:150_000]) + bgzf(data[150_000:]) + BGZF_END)
    with pysam.BGZFile(str(tmp_path / "x.gz")) as packed:
        assert packed.read() == data
    assert gzip.decompress((tmp_path / "x.gz").read_bytes()) == data


def test_peaks_merge_and_respect_strand(tmp_path, rng):
    rows = [(int(s), int(s + rng.integers(1, 40)), rng.choice(["+", "-", "."])) for s in rng.integers(0, 900, 30)]
    (tmp_path / "p.bed").write_text("".join(f"c\t{s}\t{e}\tx\t0\t{t}\n" for s, e, t in rows))
    peaks = read_peaks(tmp_path / "p.bed", ToyGenome(c="A" * 1000))
    start = rng.integers(0, 990, 300)
    end = start + rng.integers(1, 9, 300)
    minus = rng.random(300) < 0.5
    changes = SimpleNamespace(contig=np.full(300, "c", dtype=object), start=start, n_removed=end - start, minus=minus)
    found = in_peaks(peaks, changes)
    for i in range(300):
        sign = "-" if minus[i] else "+"
        assert found[i] == any(s < end[i] and start[i] < e and t in (sign, ".") for s, e, t in rows)
    changes.contig = np.full(300, "d", dtype=object)
    assert not in_peaks(peaks, changes).any()


# --- the command ---------------------------------------------------------------------------------------------------


def command(*arguments):
    return main(["score-variants", *map(str, arguments)])


def usual(model_dir, out, vcf=VCF):
    return [model_dir, vcf, "--fasta", FASTA, "--gtf", GTF, "-o", out]


def test_command(tmp_path, model_dir, table, capsys):
    out = tmp_path / "x.tsv"
    assert command(*usual(model_dir, out)) == 0
    assert len(read_tsv(out)) == len(table)
    error = capsys.readouterr().err
    assert f"{(table['status'] == 'ok').sum()} rows scored" in error
    assert "1 ref_mismatch (REF is not what the FASTA has there)" in error


def one_line(capsys):
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_tasks_come_in_the_order_asked_for(tmp_path, model_dir, model):
    asked = [model.tasks[2], model.tasks[0]]
    assert command(*usual(model_dir, tmp_path / "o.tsv"), "--task", *asked, asked[0], "--quiet") == 0
    columns = [name.removesuffix(".delta") for name in read_tsv(tmp_path / "o.tsv") if name.endswith(".delta")]
    assert columns == asked
    assert command(*usual(model_dir, tmp_path / "all.tsv"), "--task", "all", "--quiet") == 0
    every = [name.removesuffix(".delta") for name in read_tsv(tmp_path / "all.tsv") if name.endswith(".delta")]
    assert every == model.tasks


def test_wrong_inputs_are_one_line_and_exit_2(tmp_path, model_dir, capsys):
    broken = tmp_path / "broken.vcf"
    broken.write_text("chr1\t5\t.\tA\tG\n")
    assert command(*usual(model_dir, tmp_path / "o.tsv", broken)) == 2
    assert "expected a VCF header" in one_line(capsys)
    assert command(*usual(model_dir, tmp_path / "o.tsv", tmp_path / "absent.vcf")) == 2
    assert "no such file" in one_line(capsys)
    assert command(*usual(model_dir, tmp_path / "nowhere" / "o.tsv")) == 2
    assert "nowhere" in one_line(capsys)
    assert command(*usual(model_dir, tmp_path / "o.tsv"), "--task", "QKI_PARCLP") == 2
    assert "Did you mean 'QKI_PARCLIP'" in one_line(capsys)
    assert not list(tmp_path.glob("o.tsv*"))


def test_fasta_of_another_assembly_stops_unless_forced(tmp_path, model_dir, capsys):
    vcf = random_vcf(tmp_path / "in.vcf", 400)
    other = tmp_path / "other.fa"
    lines = FASTA.read_text().splitlines()
    other.write_text("\n".join(line if line[0] == ">" else line[::-1] for line in lines) + "\n")
    arguments = usual(model_dir, tmp_path / "o.tsv", vcf)
    arguments[3] = other
    assert command(*arguments) == 2
    assert "Is the FASTA of another assembly?" in one_line(capsys)
    assert not (tmp_path / "o.tsv").exists()
    assert command(*arguments, "--force", "--quiet") == 0
    assert (read_tsv(tmp_path / "o.tsv")["status"] == "ref_mismatch").sum() > 100


def test_the_share_of_mismatches_decides_for_small_files(tmp_path, model_dir, capsys):
    out = tmp_path / "o.tsv"
    lines = random_vcf(tmp_path / "in.vcf", 54).read_text().splitlines()
    fields = [line.split("\t") for line in lines if line[0] != "#" and int(line.split("\t")[1]) < 5900]
    header = [line for line in lines if line[0] == "#"]

    def exit_code(shifted, kept, *more):
        rows = [[f[0], str(int(f[1]) + 37), *f[2:]] for f in fields[:shifted]] + fields[shifted:][:kept]
        (tmp_path / "in.vcf").write_text("\n".join([*header, *map("\t".join, rows)]) + "\n")
        return command(*usual(model_dir, out, tmp_path / "in.vcf"), "--intergenic", "both", "--quiet", *more)

    assert exit_code(len(fields), 0) == 2  # all 37 nt too far
    assert "Is the FASTA of another assembly?" in one_line(capsys)
    assert os.listdir(tmp_path) == ["in.vcf"]
    assert exit_code(len(fields), 0, "--force") == 0
    assert set(read_tsv(out)["status"]) == {"ok", "ref_mismatch"}
    # A few among many are rows, not an error.
    assert exit_code(3, 40) == 0
    assert (read_tsv(out)["status"] == "ref_mismatch").any()


@pytest.mark.parametrize("name", ["o.tsv", "o.vcf.gz", "o.parquet"])
def test_nothing_scored_for_want_of_contigs_is_exit_2(tmp_path, model_dir, capsys, name):
    vcf = tmp_path / "in.vcf"
    vcf.write_text("\n".join([*HEAD, *(f"scaffold{i}\t{i + 1}\t.\tA\tC\t.\t.\t." for i in range(5))]) + "\n")
    (tmp_path / name).write_text("older")
    assert command(*usual(model_dir, tmp_path / name, vcf), "--quiet") == 2
    assert "none could be scored: 5 unknown_contig (the contig is not in the FASTA)" in one_line(capsys)
    assert (tmp_path / name).read_text() == "older"
    assert sorted(os.listdir(tmp_path)) == ["in.vcf", name]
    # Kept when it is asked for; a VCF without any allele that could be scored is no mistake.
    assert command(*usual(model_dir, tmp_path / name, vcf), "--quiet", "--force") == 0
    assert len(read_output(tmp_path / name)) == 5
    vcf.write_text("\n".join([*HEAD, "chr1\t700\t.\tA\t<DEL>\t.\t.\t."]) + "\n")
    assert command(*usual(model_dir, tmp_path / name, vcf), "--quiet") == 0


def test_one_record_whose_ref_is_wrong_is_exit_2(tmp_path, model_dir, model, capsys):
    base = example_sequences()["chr1"][699].upper()
    wrong = "ACGT"["CGTA".index(base)]
    vcf = tmp_path / "in.vcf"
    vcf.write_text("\n".join([*HEAD, f"chr1\t700\t.\t{wrong}\t{base}\t.\t.\t."]) + "\n")
    assert command(*usual(model_dir, tmp_path / "o.tsv", vcf), "--quiet") == 2
    assert f"(first: chr1:700 {wrong})" in one_line(capsys)
    # In Python the caller sees the status.
    (found,) = ripe_lib.score_variants(model, vcf, fasta_file=FASTA, gtf_file=GTF)
    assert list(found["status"]) == ["ref_mismatch"]


def test_a_full_disk_is_one_line_and_keeps_what_was_done(tmp_path, model_dir, capsys, monkeypatch):
    vcf = random_vcf(tmp_path / "in.vcf", 40)
    real = variant_output._write_part
    calls = []

    def full(path, content, summary):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device", str(path))
        real(path, content, summary)

    monkeypatch.setattr(variant_output, "_write_part", full)
    arguments = [*usual(model_dir, tmp_path / "o.tsv", vcf), "--chunk-size", "10"]
    assert command(*arguments) == 2
    assert f"{tmp_path}/o.tsv: could not be written (No space left on device). Finished" in one_line(capsys)
    monkeypatch.setattr(variant_output, "_write_part", real)
    assert command(*arguments, "--quiet") == 0
    shutil.copy(tmp_path / "o.tsv", tmp_path / "resumed.tsv")
    assert command(*arguments, "--quiet") == 0
    assert (tmp_path / "resumed.tsv").read_bytes() == (tmp_path / "o.tsv").read_bytes()


def test_no_gtf_warns_once(model):
    with pytest.warns(UserWarning, match="plus strand"):
        tables = ripe_lib.score_variants(model, VCF, fasta_file=FASTA)
    assert set(pd.concat(tables)["strand"]) == {"+", "."}
