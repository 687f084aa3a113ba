"""Distances to landmarks against a slow reading of the GTF, and their spline basis against SciPy and concise."""

import gzip
import importlib.util
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.landmarks import LANDMARKS, N_BASES, decode_landmarks, encode_landmarks, unknown_landmarks
from tests.support.array_oracles import gtf_line, gtf_transcript

CONCISE = importlib.util.find_spec("concise")


def slow_landmarks(path, types=("protein_coding",)):
    """Bases of every landmark by (kind, chrom, strand), read line by line as DESIGN words it."""
    transcripts, genes, codon_lines = {}, {}, set()
    opener = gzip.open if str(path).endswith("gz") else open
    with opener(path, "rt") as handle:
        for line in handle:
            if line.startswith("#"):
                continue
            chrom, _, feature, start, end, _, strand, _, text = line.rstrip("\n").split("\t")
            if feature not in ("transcript", "exon", "CDS", "start_codon", "stop_codon"):
                continue
            name = re.search('transcript_id "(.*?)"', text).group(1)
            gene = re.search('gene_id "(.*?)"', text).group(1)
            kind = re.search('transcript_(?:bio)?type "(.*?)"', text).group(1)
            bases = set(range(int(start) - 1, int(end)))
            one = transcripts.setdefault(name, {"chrom": chrom, "strand": strand, "type": kind, "gene": gene})
            one.setdefault(feature, set()).update(bases)
            genes.setdefault(gene, set()).update((min(bases), max(bases)))
            codon_lines.add(feature)
    found = {}
    for one in transcripts.values():
        if one["type"] not in types:
            continue
        five, three = (min, max) if one["strand"] == "+" else (max, min)
        exons = one.get("exon", set())
        ends = {
            "tss": [five(exons)],
            "polya": [three(exons)],
            "gene_start": [five(genes[one["gene"]])],
            "gene_end": [three(genes[one["gene"]])],
        }
        before = [b for b in exons if b - 1 not in exons and b != min(exons)]
        after = [b for b in exons if b + 1 not in exons and b != max(exons)]
        ends["exon_intron"], ends["intron_exon"] = (after, before) if one["strand"] == "+" else (before, after)
        coding = one.get("CDS", set()) | one.get("stop_codon", set())
        start = one.get("start_codon") if "start_codon" in codon_lines else coding
        stop = one.get("stop_codon") if "stop_codon" in codon_lines else coding
        ends["start_codon"], ends["stop_codon"] = [five(start)] if start else [], [three(stop)] if stop else []
        for kind, bases in ends.items():
            found.setdefault((kind, one["chrom"], one["strand"]), set()).update(bases)
    return found


def slow_distances(landmarks, chrom, centre, strand):
    row = []
    for kind in LANDMARKS:
        signed = [(b - centre) * (1 if strand == "+" else -1) for b in landmarks.get((kind, chrom, strand), ())]
        # Of two equally near ones the downstream one.
        row.append(min(signed, key=lambda d: (abs(d), d < 0)) if signed else np.nan)
    return row


def random_gtf(rng, n_genes=12, codons=True):
    text = ""
    for gene in range(n_genes):
        chrom, strand = rng.choice(["a", "b"]), rng.choice(["+", "-"])
        for number in range(rng.integers(1, 3)):
            edges = np.sort(rng.choice(np.arange(10, 3000), 2 * rng.integers(1, 5), replace=False))
            exons = [(int(s), int(e)) for s, e in edges.reshape(-1, 2)]
            cds = [] if rng.random() < 0.3 else [(exons[0][0], min(exons[0][0] + 3, exons[0][1]))]
            kind = "protein_coding" if rng.random() < 0.8 else "lncRNA"
            name = f"T{gene}.{number}"
            options = {"gene": f"G{gene}{chrom}{strand}", "kind": kind}
            text += gtf_transcript(chrom, strand, name, exons, cds, **options)
            if codons and cds:
                start, end = cds[0]
                text += gtf_line(chrom, "start_codon", start, end, strand, name, **options)
    return text


@pytest.mark.parametrize("seed", range(6))
def test_distances_equal_a_slow_reading(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = tmp_path / "a.gtf"
    path.write_text(random_gtf(rng, codons=seed % 2 == 0))
    annotation, slow = Annotation.load(path), slow_landmarks(path)
    chroms = rng.choice(["a", "b", "nowhere"], 400)
    centres, minus = rng.integers(0, 3200, 400), rng.random(400) < 0.5
    got = annotation.landmark_distances(chroms, centres, minus)
    expected = [
        slow_distances(slow, chrom, centre, "-" if reverse else "+")
        for chrom, centre, reverse in zip(chroms, centres, minus, strict=True)
    ]
    np.testing.assert_array_equal(got, expected)
    assert np.isnan(got[chroms == "nowhere"]).all()
    assert np.isfinite(got[chroms == "a"]).any()


def test_the_real_annotation_against_a_slow_reading(shared_data, rng):
    path = shared_data / "reference" / "chr22slice.gencode_v25.gtf.gz"
    annotation, slow = Annotation.load(path), slow_landmarks(path)
    centres, minus = rng.integers(0, 300_000, 500), rng.random(500) < 0.5
    got = annotation.landmark_distances("chr22slice", centres, minus)
    expected = [slow_distances(slow, "chr22slice", c, "-" if m else "+") for c, m in zip(centres, minus, strict=True)]
    np.testing.assert_array_equal(got, expected)


def test_a_mirrored_annotation_and_shifted_coordinates_change_nothing(tmp_path):
    length = 4000
    text = random_gtf(np.random.default_rng(5))
    plain, mirrored, shifted = tmp_path / "p.gtf", tmp_path / "m.gtf", tmp_path / "s.gtf"
    rows = [line.split("\t") for line in text.splitlines()]
    plain.write_text(text)
    flipped = [
        [*r[:3], str(length + 1 - int(r[4])), str(length + 1 - int(r[3])), r[5], "-+"[r[6] == "-"], *r[7:]]
        for r in rows
    ]
    mirrored.write_text("".join("\t".join(r) + "\n" for r in flipped))
    moved = [[*r[:3], str(int(r[3]) + 77), str(int(r[4]) + 77), *r[5:]] for r in rows]
    shifted.write_text("".join("\t".join(r) + "\n" for r in moved))
    centres = np.arange(0, 3000, 37)
    for minus in (False, True):
        expected = Annotation.load(plain).landmark_distances("a", centres, minus)
        mirror = Annotation.load(mirrored).landmark_distances("a", length - 1 - centres, not minus)
        np.testing.assert_array_equal(mirror, expected)
        np.testing.assert_array_equal(Annotation.load(shifted).landmark_distances("a", centres + 77, minus), expected)


@pytest.mark.slow
def test_published_distances(shared_data):
    """Avsec et al. took all transcripts of protein-coding genes, of another release: most are equal to the base."""
    reference = shared_data / "reference"
    table = pd.read_csv(reference / "clip31_landmarks_avsec2017.tsv.gz", sep="\t")
    kinds = ("protein_coding", "processed_transcript")
    annotation = Annotation.load(reference / "gencode_v19.protein_coding.gtf.gz", transcript_types=kinds)
    got = annotation.landmark_distances(table["chrom"].to_numpy(), table["start"] + 50, (table["strand"] == "-"))
    published = table.iloc[:, 4:].to_numpy(float)
    known = ~np.isnan(published)
    assert list(table.columns[4:].str.lower()) == list(LANDMARKS)
    share = [(got[known[:, i], i] == published[known[:, i], i]).mean() for i in range(8)]
    assert min(share) > 0.8, share
    assert (np.isnan(got) == ~known).all()


# ------------------------------------------------------------------ encoding


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50), st.integers(4, 30))
def test_rows_sum_to_one_and_four_functions_carry_them(distances, n_bases):
    rows = np.tile(np.array(distances)[:, None], (1, 8))
    encoded = encode_landmarks(rows, n_bases)
    assert encoded.shape == (len(distances), 8, n_bases)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded.sum(axis=-1), 1, atol=1e-6)
    assert (encoded >= 0).all()
    assert ((encoded > 0).sum(axis=-1) <= 4).all()


def test_unknown_is_even_and_mixes_with_known_ones():
    encoded = encode_landmarks([[np.nan, 0, 5, -5, 1e7, -1e7, np.nan, 100]])
    np.testing.assert_array_equal(encoded[0, [0, 6]], np.float32(1 / N_BASES))
    np.testing.assert_allclose(encoded[0, 2], encoded[0, 3, ::-1], atol=1e-7)
    np.testing.assert_allclose(encoded[0, 4], encoded[0, 5, ::-1], atol=1e-7)
    np.testing.assert_array_equal(unknown_landmarks(3, 5), encode_landmarks(np.full((3, 8), np.nan), 5))


def test_clipped_beyond_a_megabase():
    far = encode_landmarks([[10**6 - 1] * 8, [10**6] * 8, [10**9] * 8])
    np.testing.assert_array_equal(far[1], far[2])
    np.testing.assert_allclose(far[0], far[1], atol=1e-6)


@given(st.lists(st.integers(-100_000, 100_000), min_size=8, max_size=8))
def test_decoding_gives_the_distances_back(distances):
    rows = np.array([distances, [np.nan] * 8], dtype=float)
    np.testing.assert_array_equal(decode_landmarks(encode_landmarks(rows)), rows)


@pytest.mark.skipif(CONCISE is None, reason="concise is not installed")
def test_the_basis_is_that_of_concise():
    spec = importlib.util.spec_from_file_location(
        "concise_splines", f"{CONCISE.submodule_search_locations[0]}/utils/splines.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    distances = np.array([0.0, 1, -1, 17, -400, 99_999, -999_998])
    x = np.sign(distances) * np.log10(1 + np.abs(distances))
    expected = module.BSpline(-6, 6, n_bases=N_BASES, spline_order=3).predict(x)
    got = encode_landmarks(np.tile(distances[:, None], (1, 8)))[:, 0]
    np.testing.assert_allclose(got, expected, atol=1e-5)
