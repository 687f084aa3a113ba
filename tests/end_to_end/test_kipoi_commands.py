"""The stock Kipoi commands, each in a process of its own, with a temporary HOME (conftest)."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest

import ripe_lib
from tests.support.kipoi_home import EXAMPLES, ROOT, as_json, example_arguments, registered_kipoi, stock

pytestmark = pytest.mark.kipoi
VEFF = pytest.mark.xdist_group("veff")  # one process: the plugin runs once
MID = "DeepRiPe/parclip_mid"
SHIPPED = sorted(path.parent.name for path in (ROOT / "kipoi_models" / "DeepRiPe").glob("*/weights.h5"))


@pytest.fixture(scope="module", autouse=True)
def registered():
    registered_kipoi()


def rows_of(path):
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def expected_predictions(*, gtf):
    model = ripe_lib.load_model(MID)
    arguments = example_arguments(gtf=gtf)
    bed = arguments.pop("intervals_file")
    return ripe_lib.predict(model, ripe_lib.make_windows(bed, spec=model.spec, **arguments))


def printed_columns(rows, n_tasks):
    return np.array([[float(row[f"preds/{index}"]) for index in range(n_tasks)] for row in rows])


# --- predict, test, info -------------------------------------------------------------------------------------------


def test_demo_is_the_stock_predict_as_a_named_table(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("HOME", str(tmp_path))
        done = stock(module="dataloaders.demo")
    assert os.listdir(tmp_path) == []  # the user's HOME is left alone
    lines = done.stdout.splitlines()
    tasks = ripe_lib.load_model(MID).tasks
    header = next(line for line in lines if line.startswith("interval"))
    assert header.split() == ["interval", "strand", "site", *tasks]
    body = [line.split() for line in lines if line.startswith("chr")]
    found = np.array([[float(value) for value in row[3:]] for row in body])
    np.testing.assert_allclose(found, expected_predictions(gtf=True), rtol=0, atol=5.1e-4)
    assert body[0][:3] == ["chr1:635-685", "+", "DEMO1_5UTR"]
    assert lines[-1].startswith("kipoi predict took ")


@pytest.mark.slow
@pytest.mark.parametrize("gtf", [True, False])
def test_predict_to_tsv_and_hdf5(tmp_path, gtf):
    tsv, hdf5 = tmp_path / "out.tsv", tmp_path / "out.h5"
    arguments = as_json(example_arguments(gtf=gtf))
    stock("predict", MID, "--source", "deepripe", "--dataloader_args", arguments, "-m", "-k", "-o", tsv, hdf5)
    expected = expected_predictions(gtf=gtf)
    rows = rows_of(tsv)
    np.testing.assert_allclose(printed_columns(rows, expected.shape[1]), expected, atol=1e-6)
    assert rows[8]["metadata/ranges/strand"] == "-"
    with h5py.File(hdf5) as file:
        np.testing.assert_allclose(file["preds"][()], expected, atol=1e-6)
        assert file["inputs/region"].shape == (39, 250, 4)
        assert file["metadata/ranges/chr"].asstr()[0] == "chr1"


@pytest.mark.slow
def test_predict_names_the_columns_when_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("RIPE_NAMED_OUTPUTS", "1")
    out = tmp_path / "named.tsv"
    stock("predict", MID, "--source", "deepripe", "--dataloader_args", as_json(example_arguments()), "-o", out)
    assert sorted(rows_of(out)[0]) == sorted(f"preds/{task}" for task in ripe_lib.load_model(MID).tasks)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "parclip_mid" else pytest.mark.slow) for name in SHIPPED]
)
def test_kipoi_test_passes(name, tmp_path):
    done = stock("test", f"DeepRiPe/{name}", "--source", "deepripe", cwd=tmp_path)
    assert "All predictions match" in done.stdout + done.stderr


@pytest.mark.slow
def test_kipoi_test_notices_other_predictions(tmp_path):
    copy = tmp_path / "zoo" / "parclip_mid"
    shutil.copytree(ROOT / "kipoi_models" / MID, copy)
    with h5py.File(copy / "test_expect.h5", "a") as file:
        file["preds"][0, 0] += 1e-4
    done = stock("test", copy, "--source", "dir", check=False)
    assert done.returncode == 1
    assert "don't match" in done.stdout + done.stderr


@pytest.mark.slow
def test_info_says_what_the_model_is():
    text = stock("info", MID, "--source", "deepripe").stdout
    for part in ("cite_as: https://doi.org/10.1101/gr.247494.118", "license: MIT", "intervals_file:", "trained_on:"):
        assert part in text, part
    # The paper's authors made the method, not these weights.
    assert (
        re.findall(r"^(?:authors|contributors):\n((?:- .*\n)+)", text, re.MULTILINE)
        == ["- name: DeepRiPe developers\n"] * 2
    )
    example = stock("get-example", MID, "--source", "deepripe").stdout.splitlines()
    assert example_arguments() in [json.loads(line) for line in example if line.startswith("{")]


def test_wrong_input_is_the_last_line_printed(tmp_path):
    arguments = as_json(example_arguments(fasta_file=tmp_path / "none.fa"))
    out = tmp_path / "out.tsv"
    done = stock("predict", MID, "--source", "deepripe", "--dataloader_args", arguments, "-o", out, check=False)
    assert done.returncode != 0
    last = done.stderr.rstrip("\n").splitlines()[-1]
    assert last.endswith(f"{tmp_path / 'none.fa'}: no such FASTA file. Check the path.")
    assert not out.exists()


def test_the_default_source_outlives_the_package(tmp_path, monkeypatch):
    """``pip uninstall deepripe`` of a registered default must not leave ``kipoi ls`` with a traceback."""
    monkeypatch.setenv("HOME", str(tmp_path))
    package = tmp_path / "kipoi_models" / "DeepRiPe"
    package.mkdir(parents=True)
    shutil.copytree(ROOT / "kipoi_models" / MID, package / "parclip_mid")
    from ripe_lib.kipoi.config import register

    register({"deepripe": package.parent}, tmp_path / ".kipoi" / "config.yaml", as_default=package.parent)
    shutil.rmtree(package.parent)
    # Its start-up file leads nowhere then.
    gone = (
        "import sys; sys.modules.update(dataloaders=None, ripe_lib=None)\n"
        "sys.meta_path[:] = [one for one in sys.meta_path if type(one).__name__ != '_AfterImport']\n"
        "from kipoi.__main__ import main\n"
    )
    for words in (["ls"], ["ls", "all"]):
        code = f"{gone}sys.argv = ['kipoi', *{words!r}]; main()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert "DeepRiPe" in done.stdout


# --- kipoi interpret -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_interpret_grad_and_ism(tmp_path):
    pytest.importorskip("kipoi_interpret")
    arguments = as_json(example_arguments(gtf=False, intervals="constructs.bed"))
    common = ("--source", "deepripe", "--dataloader_args", arguments)
    grad, ism = tmp_path / "grad.h5", tmp_path / "ism.h5"
    stock("interpret", "grad", MID, *common, "--final_layer", "-f", "1", "-o", grad)
    stock("interpret", "ism", MID, *common, "--model_input", "seq", "--batch_size", "600", "-o", ism)
    model = registered_kipoi().get_model(MID, source="deepripe")
    with h5py.File(grad) as file:
        inputs = {name: file[f"inputs/{name}"][()] for name in ("seq", "region")}
        expected = model.input_grad(inputs, filter_idx=1)
        for name in inputs:
            np.testing.assert_allclose(file[f"grads/{name}"][()], expected[name], atol=1e-6)
    with h5py.File(ism) as file:
        scores = file["scores"][()]
    assert scores.shape == (5, 150, 4, 1, len(model.tasks))
    kept = inputs["seq"] == 1  # putting the base that is there changes nothing
    np.testing.assert_allclose(scores[..., 0, :][kept], 0, atol=1e-6)


# --- kipoi-veff ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def veff(tmp_path_factory):
    """The bundled file as it is, scored by the plugin: (rows of the table, text of the VCF, what it said)."""
    pytest.importorskip("kipoi_veff")
    folder = tmp_path_factory.mktemp("veff")
    indexed = indexed_vcf((EXAMPLES / "variants.vcf").read_text(), folder / "all.vcf")
    done = stock(
        "score_variants", MID, "--source", "deepripe", "--dataloader_args", veff_arguments(), "-i", indexed,
        "-o", folder / "out.vcf", "-e", folder / "out.tsv", "-s", "diff", "ref", "alt", "logit", module="kipoi_veff",
    )  # fmt: skip
    return rows_of(folder / "out.tsv"), (folder / "out.vcf").read_text(), done.stderr


def indexed_vcf(text, plain):
    import pysam

    plain.write_text(text)
    pysam.tabix_compress(str(plain), f"{plain}.gz", force=True)
    pysam.tabix_index(f"{plain}.gz", preset="vcf", force=True)
    return f"{plain}.gz"


def veff_arguments():
    arguments = example_arguments()
    del arguments["intervals_file"]
    return as_json(arguments)


@VEFF
def test_veff_gives_the_deltas_of_ripe_on_both_strands(veff):
    rows, vcf, _ = veff
    assert len(rows) > 70
    assert vcf.count("KV:deepripe:DeepRiPe/parclip_mid:DIFF=") == len(rows)
    # The plugin puts a REF that is not the genome's base into its reference window.
    lines = (EXAMPLES / "variants.vcf").read_text().splitlines()
    odd = {tuple(line.split("\t")[:2]) for line in lines if "reference_mismatch" in line}
    rows = [row for row in rows if len(row["variant_ref"]) == len(row["variant_alt"]) == 1]
    rows = [row for row in rows if (row["variant_chr"], row["variant_pos"]) not in odd]
    assert len(rows) > 60
    # Ours by hand: mutate the genome's windows and predict.
    model = ripe_lib.load_model(MID)
    arguments = example_arguments()
    bed = [(row["variant_chr"], int(row["variant_pos"]) - 1, int(row["variant_pos"])) for row in rows]
    with pytest.warns(UserWarning, match="without strand"):
        windows = ripe_lib.make_windows(
            bed, fasta_file=arguments["fasta_file"], gtf_file=arguments["gtf_file"], spec=model.spec
        )
    minus = (windows.intervals["strand"] == "-").to_numpy()
    assert 10 < minus.sum() < len(rows) - 10
    alternative = windows.seq.copy()
    for index, row in enumerate(rows):
        base = "ACGT".index(row["variant_alt"])
        alternative[index, 75 if minus[index] else 74] = np.eye(4)[3 - base if minus[index] else base]
    reference = ripe_lib.predict(model, windows)
    changed = ripe_lib.predict(model, {**windows.inputs(), "seq": alternative})
    for score, expected in (("ref", reference), ("alt", changed), ("diff", changed - reference)):
        found = [[float(row[f"preds/{score}/{i}"]) for i in range(len(model.tasks))] for row in rows]
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=score)


@VEFF
def test_veff_leaves_out_records_on_an_unknown_contig_or_beyond_its_end(veff):
    rows, _, said = veff
    assert "2 record(s) left out: on no contig of" in said
    found = {(row["variant_chr"], row["variant_pos"]) for row in rows}
    assert {chrom for chrom, _ in found} == {"chr1", "chr2"}
    assert ("chr2", "6050") not in found


@VEFF
@pytest.mark.slow
def test_veff_gives_the_deltas_of_ripe_score_variants(veff):
    model = ripe_lib.load_model(MID)
    arguments = example_arguments()
    vcf, files = EXAMPLES / "variants.vcf", {key: arguments[key] for key in ("fasta_file", "gtf_file")}
    scored = ripe_lib.score_variants(model, vcf, **files, scores=("delta",))
    ours = pd.concat(list(scored))
    ours = ours[ours["status"] == "ok"]
    assert set(ours["strand"]) == {"+", "-"}
    compared = 0
    for row in veff[0]:
        theirs = np.array([float(row[f"preds/diff/{index}"]) for index in range(len(model.tasks))])
        same = ours[(ours["chrom"] == row["variant_chr"]) & (ours["pos"] == int(row["variant_pos"]))]
        if len(same):  # the plugin knows one strand, ours gives a row for each
            found = same[[f"{task}.delta" for task in model.tasks]].to_numpy(dtype=float)
            assert np.abs(found - theirs).max(axis=1).min() < 1e-5, row
            compared += 1
    assert compared > 70


@pytest.mark.slow
def test_five_thousand_bins_of_real_genes(shared_data, tmp_path):
    reference = shared_data / "reference"
    fasta, gtf = reference / "chr22slice.fa", reference / "chr22slice.gencode_v25.gtf.gz"
    genes = pd.read_csv(gtf, sep="\t", comment="#", header=None, usecols=[0, 2, 3, 4, 6])
    genes = genes[genes[2] == "gene"]
    bins = [
        (row[0], start, start + 50, f"bin{start}", 0, row[6])
        for row in genes.to_dict("records")
        for start in range(row[3] - 1, row[4] - 50, 25)
    ]
    step = len(bins) / 5000
    chosen = [bins[int(index * step)] for index in range(5000)]
    assert len(set(chosen)) == 5000
    bed, out = tmp_path / "bins.bed", tmp_path / "out.h5"
    bed.write_text("".join("\t".join(map(str, row)) + "\n" for row in chosen))
    arguments = {"intervals_file": str(bed), "fasta_file": str(fasta), "gtf_file": str(gtf)}
    words = ("--source", "deepripe", "--dataloader_args", as_json(arguments), "--batch_size", "1024")
    stock("predict", "DeepRiPe/clip31", *words, "-o", out)
    model = ripe_lib.load_model("DeepRiPe/clip31")
    windows = ripe_lib.make_windows(bed, fasta_file=fasta, gtf_file=gtf, spec=model.spec)
    assert len(np.unique(windows.region.argmax(axis=2))) == 4
    with h5py.File(out) as file:
        np.testing.assert_allclose(file["preds"][()], ripe_lib.predict(model, windows), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_veff_mutation_map(tmp_path):
    pytest.importorskip("kipoi_veff")
    lines = (EXAMPLES / "variants.vcf").read_text().splitlines()
    two = [line for line in lines if "\tex7\t" in line or "\tex21\t" in line]
    header = [line for line in lines if line.startswith("#")]
    indexed = indexed_vcf("\n".join([*header, *two]) + "\n", tmp_path / "two.vcf")
    out = tmp_path / "map.h5"
    stock(
        "create_mutation_map", MID, "--source", "deepripe", "--dataloader_args", veff_arguments(),
        "-r", indexed, "-o", out, "--batch_size", "100", module="kipoi_veff",
    )  # fmt: skip
    model = ripe_lib.load_model(MID)
    arguments = example_arguments()
    for entry, line in enumerate(two):
        chrom, position = line.split("\t")[0], int(line.split("\t")[1])
        bed = [(chrom, position - 1, position)]
        fasta_file, gtf_file = arguments["fasta_file"], arguments["gtf_file"]
        window = ripe_lib.make_windows(bed, fasta_file=fasta_file, gtf_file=gtf_file, spec=model.spec)
        minus = window.intervals["strand"][0] == "-"
        mutants = np.repeat(window.seq, 600, axis=0)
        for index, (place, base) in enumerate(np.ndindex(150, 4)):
            mutants[index, place] = np.eye(4)[base]
        region, landmarks = (np.repeat(array, 600, axis=0) for array in (window.region, window.landmarks))
        deltas = ripe_lib.predict(model, {"seq": mutants, "region": region, "landmarks": landmarks}) - ripe_lib.predict(
            model, window
        )
        # The map is of the plus strand: channels by genomic position.
        expected = deltas.reshape(150, 4, -1)
        expected = expected[::-1, ::-1] if minus else expected
        with h5py.File(out) as file:
            for index, task in enumerate(model.tasks):
                found = file[f"_list_{entry}/seq/diff/{task}/mutation_map"][()]
                np.testing.assert_allclose(found, expected[..., index].T, atol=1e-5)
