"""The two published mutagenesis experiments, on the shipped model."""

import pandas as pd
import pytest

from ripe_lib.errors import RipeError
from ripe_lib.rna_fasta import read_rna_fasta
from ripe_lib.scan.memory import scan_sequence
from ripe_lib.scan.run import ScanOptions, scan_to_files
from ripe_lib.scan.sources import RnaSource
from tests.support.scan_genome import write_fasta

# Constructs of Epis et al. 2011 (ERBB2) and Zong et al. 2014 (NUMB), as in the paper's Fig. 6.
CONSTRUCTS = {
    "ERBB2_WT": "GGGCGAAUUGGAGCUCCACCGCGGUGGCGGCCGCUCUAGAAGUGCUUUUCUGUUUAGUUUUUACUUUUUUUGUUUUGUUUUUUUAAAGAUGAAAUAAAGA"
    "CCCAGGGGGGGCCCGGUAC",
    "ERBB2_MUT": "GGGCGAAUUGGAGCUCCACCGCGGUGGCGGCCGCUCUAGAAGUGCUUUUCUGUUUAGUUUUUACUgUgUgUGUggUGUgUgUgUAAAGAUGAAAUAAAGA"
    "CCCAGGGGGGGCCCGGUAC",
    "NUMB_WT": "GAATTAACTCCATTGATGTTGTCTGCTCCCGTTGTAGCTAAT",
    "NUMB_Mut1": "GAATTAACTCCATTGATGTTGTCTGCTCCCGTTGTAGCgAgT",
    "NUMB_Mut2": "GAATTgACTCCATTGATGTTGTCTGCTCCCGTTGTAGCgAgT",
}


@pytest.fixture(scope="module")
def clip31():
    from ripe_lib.models import load_model

    try:
        return load_model("DeepRiPe/clip31")
    except RipeError as error:
        pytest.skip(f"shipped weights are not here: {error}")


def best(model, name, task):
    return scan_sequence(model, CONSTRUCTS[name], tasks=[task])[task].max()


def test_qki_on_numb(clip31):
    wild_type, one, both = (best(clip31, name, "QKI_PARCLIP") for name in ("NUMB_WT", "NUMB_Mut1", "NUMB_Mut2"))
    assert wild_type > one > both + 0.1


def test_elavl1_on_erbb2(clip31):
    assert best(clip31, "ERBB2_WT", "ELAVL1_CLIPSEQ") > best(clip31, "ERBB2_MUT", "ELAVL1_CLIPSEQ") + 0.1


def test_constructs_show_their_sites(clip31, tmp_path):
    """At a false-positive rate of 5 %: QKI's site in NUMB goes when mutated, ELAVL1's with its U-rich element."""
    path = write_fasta(tmp_path / "c.fa", CONSTRUCTS)
    source = RnaSource(read_rna_fasta(path, tmp_path / "scratch"))
    options = ScanOptions(tasks=["QKI_PARCLIP", "ELAVL1_CLIPSEQ"], false_positive_rate=0.05)
    scan_to_files(clip31, source, sites=[tmp_path / "s.tsv"], options=options)
    sites = pd.read_csv(tmp_path / "s.tsv", sep="\t").sort_values("score", ascending=False)
    qki = sites[sites["task"] == "QKI_PARCLIP"]
    assert "NUMB_WT" in set(qki["chrom"])
    assert "NUMB_Mut2" not in set(qki["chrom"])
    elavl1 = sites[sites["task"] == "ELAVL1_CLIPSEQ"]
    assert set(elavl1["chrom"]) == {"ERBB2_WT"}
    assert elavl1["kmer"].iloc[0].count("U") >= 4  # the U-rich element


def test_shipped_model_is_scanned_with_shared_work(clip31):
    """Scanning equals predicting every window, to 1e-6."""
    import numpy as np

    from ripe_lib.predict import predict_codes
    from ripe_lib.scan.engine import Scanner, Stretch
    from tests.support.scan_oracles import all_windows

    rng = np.random.default_rng(0)
    n, spec = 300, clip31.spec
    seq = rng.integers(0, 4, spec.sequence_length + n - 1).astype(np.uint8)
    region = np.repeat(rng.integers(0, 5, 30), 20)[: spec.region_length + n - 1].astype(np.uint8)
    scanner = Scanner(clip31)
    assert scanner.is_shared
    windows = all_windows(seq, spec.sequence_length, 1, n), all_windows(region, spec.region_length, 1, n)
    got = scanner.scores([Stretch(seq, region, 0, 0, n)])[0]
    np.testing.assert_allclose(got, predict_codes(clip31, *windows), rtol=0, atol=1e-6)
