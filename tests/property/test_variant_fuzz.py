"""No VCF, however odd, crashes; every ALT is accounted for."""

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ripe_lib
from ripe_lib.genome.alleles import OK, REASONS
from ripe_lib.genome.annotation import Annotation
from ripe_lib.genome.fasta import Genome
from ripe_lib.genome.vcf import VcfFile
from ripe_lib.variants.format import OutputFormat, Selection, header
from ripe_lib.variants.options import VariantOptions
from ripe_lib.variants.output import payload
from ripe_lib.variants.scorer import VariantScorer
from ripe_lib.variants.tables import wide_frame
from tests.support.toy_models import random_model
from tests.support.variant_files import FASTA, GTF, example_sequences

SEQUENCES = {name: s for name, s in example_sequences().items() if name.startswith("chr")}
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"

contigs = st.sampled_from([*SEQUENCES, "1", "2", "QKI_NUMB_WT", "chrUn", "", "M"])
positions = st.one_of(
    st.integers(0, 6),
    st.integers(580, 2700),
    st.integers(5980, 6010),
    st.integers(8970, 9010),
    st.sampled_from([10**6, 2**31, 2**33]),
)
bases = st.text("ACGTacgtNnURYu", min_size=1, max_size=6)
odd = st.sampled_from(
    ["*", ".", "<DEL>", "<*>", "A[chr1:5[", "]chr2:9]T", ".A", "T.", "", "A!", "é", "<", ">", "[", "a*"]
)
alternatives = st.lists(
    st.one_of(bases, bases, odd, st.text("ACGT", min_size=200, max_size=320)), min_size=1, max_size=3
)
info = st.sampled_from([".", "", "DP=3", "=;;=", "X;Y=1,2", "DeepRiPe_toy=old", "é=1", "A=" + "x" * 50])
identifiers = st.sampled_from([".", "rs1", "a;b", 'say "x"', "", "0", "é"])


@st.composite
def record_lines(draw):
    contig, position = draw(contigs), draw(positions)
    sequence = SEQUENCES.get(contig, "")
    right = sequence[position - 1 : position - 1 + draw(st.sampled_from([1, 1, 1, 2, 5, 40]))] if position else ""
    ref = draw(st.one_of(st.just(right or "A"), st.just(right or "A"), bases, odd))
    alts = draw(alternatives)
    fields = [
        contig,
        str(position),
        draw(identifiers),
        ref,
        ",".join(alts),
        ".",
        draw(st.sampled_from([".", "PASS", ""])),
    ]
    return "\t".join([*fields, draw(info)][: draw(st.sampled_from([5, 7, 8, 8, 8]))])


@pytest.fixture(scope="module")
def world():
    genome = Genome(FASTA)
    return random_model(), genome, Annotation.load(GTF).for_genome(genome)


OPTIONS = [
    VariantOptions(),
    VariantOptions(strand="both", region="none"),
    VariantOptions(intergenic="both", region="both", scores=("class", "percentile")),
    VariantOptions(strand="-", shifts=2),
]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(record_lines(), max_size=12),
    options=st.sampled_from(OPTIONS),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_fuzzed_vcf(tmp_path_factory, world, lines, options, ending):
    model, genome, annotation = world
    path = tmp_path_factory.mktemp("fuzz") / "x.vcf"
    path.write_bytes((HEADER.replace("\n", ending) + ending.join([*lines, ""])).encode())
    scorer = VariantScorer([model], genome, annotation, options)
    with VcfFile(path) as vcf:
        chunks = [scorer.score(records) for records in vcf.records(5)]
        vcf_header = vcf.header
    table = pd.concat([wide_frame(chunk) for chunk in chunks]) if chunks else None
    n_alts = sum(len(line.split("\t")[4].split(",")) for line in lines)
    n_rows = sum(len(chunk.rows) for chunk in chunks)
    n_scored_alts = sum(len(np.unique(chunk.rows.allele[chunk.rows.status == OK])) for chunk in chunks)
    n_skipped = sum((chunk.rows.status != OK).sum() for chunk in chunks)
    assert n_scored_alts + n_skipped == n_alts
    assert n_rows >= n_alts
    if table is None:
        return
    ok = table["status"] == OK
    assert set(table["status"]) <= {OK, *REASONS}
    assert set(table.loc[~ok, "strand"]) <= {"."}
    assert set(table.loc[ok, "strand"]) <= {"+", "-"}
    scores = table.filter(regex=r"\.(ref|alt|delta|delta_logit|delta_noregion)$").to_numpy()
    assert np.isfinite(scores[ok]).all()
    assert np.isnan(scores[~ok]).all()
    # Every record comes out of every format.
    selection = Selection([model])
    for out in (OutputFormat("vcf", False), OutputFormat("tsv", False), OutputFormat("csv", False, "biobank")):
        text = b"".join(payload(c, selection, out) for c in chunks).decode()
        n = {"vcf": len(lines), "tsv": n_rows, "csv": n_alts}[out.kind]
        assert text.count("\n") == n
        head = header(chunks[0].fields, selection, out, vcf_header).decode().split("\n")[:-1]
        if out.kind == "vcf":
            assert head == list(vcf_header)
        else:  # one line, with a name for every column
            lines_of = csv.reader if out.kind == "csv" else (lambda texts: (one.split("\t") for one in texts))
            widths = {len(fields) for fields in lines_of(text.split("\n")[:-1])}
            assert widths <= {len(next(iter(lines_of(head))))}
            assert len(head) == 1
        if out.kind == "vcf":
            for before, after in zip(lines, text.split("\n"), strict=False):
                assert after.split("\t")[:5] == before.split("\t")[:5]


def test_the_public_function_takes_it_too(world, tmp_path):
    path = tmp_path / "x.vcf"
    path.write_text(HEADER + "chr1\t700\t.\tN\tA,<X>\n")
    tables = list(ripe_lib.score_variants(world[0], path, fasta_file=FASTA, gtf_file=GTF))
    assert list(tables[0]["status"]) == ["ok", "symbolic_allele"]
