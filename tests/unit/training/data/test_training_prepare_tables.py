"""Ready tables -> data set: placement, labels, noise, bytes, wrong input."""

import numpy as np
import pytest

from ripe_lib.errors import InputError, OutputError, UnknownNameError
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.genome.encoding import decode_region, decode_sequence, encode_sequence, reverse_complement
from tests.support.toy_datasets import NO_SPLIT, clip31_row, rbp24_row, write_table
from training.data.config import PrepareConfig, TableInput, WindowOptions, read_config
from training.data.prepare import prepare


@pytest.fixture
def tables(tmp_path, rng):
    """A: one source of 101-nt windows with experiments X and Y; B: sites with flanks of X and Z."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    regions = "i" * 50 + "c" * 51
    write_table(
        tmp_path / "a" / "X.train.tsv.gz",
        "clip31",
        [
            clip31_row(rng, "chr1", 1000, "+", 1, region=regions),
            clip31_row(rng, "chr1", 1060, "+", 0),  # overlaps the positive before: noise
            clip31_row(rng, "chr1", 9000, "-", 0),
            clip31_row(rng, "chr2", 500, "+", 0, sequence="N" * 101, region="N"),  # assembly gap
        ],
    )
    write_table(
        tmp_path / "a" / "Y.train.tsv.gz",
        "clip31",
        [
            clip31_row(rng, "chr1", 1020, "+", 1),
            clip31_row(rng, "chr1", 9000, "-", 1),
            clip31_row(rng, "chr3", 7, "+", 0),
        ],
    )
    write_table(
        tmp_path / "b" / "X.train.tsv.gz",
        "rbp24",
        [rbp24_row(rng, "chr5", 5000, 5030, "+", 1), rbp24_row(rng, "chr5", 8000, 8041, "-", 0, flank=(150, 20))],
    )
    write_table(
        tmp_path / "b" / "Z.train.tsv.gz",
        "rbp24",
        [rbp24_row(rng, "chr1", 1035, 1065, "+", 1), rbp24_row(rng, "chr5", 90_000, 90_030, "+", 0)],
    )
    return tmp_path


def config_for(folder, **changes):
    options = {
        "output": folder / "out.h5",
        "tables": (
            TableInput(format="clip31", directory=folder / "a"),
            TableInput(format="rbp24", directory=folder / "b"),
        ),
        "split": NO_SPLIT,
        "window": WindowOptions(margin=40),
    }
    return PrepareConfig(**(options | changes))


def find(dataset, chrom, start):
    intervals = dataset.intervals
    rows = np.flatnonzero((intervals["chrom"] == chrom) & (intervals["start"] == start))
    return rows


def test_ready_windows_are_at_offset_24_and_74(tables, rng):
    dataset = Dataset(prepare(config_for(tables)))
    (row,) = find(dataset, "chr1", 1000)
    seq, region = dataset.centred_codes([row])
    text = decode_sequence(seq[0])
    assert text[:24] == "N" * 24
    assert text[125:] == "N" * 25
    assert "N" not in text[24:125]
    assert decode_region(region[0]) == "N" * 74 + "i" * 50 + "c" * 51 + "N" * 75


def test_sites_with_flanks_follow_the_window_rule_on_both_strands(tables):
    """Base k of the plus-strand window is genome base (s + e - 1) // 2 - 74 + k; minus is its reverse complement."""
    import gzip

    dataset = Dataset(prepare(config_for(tables)))
    with gzip.open(tables / "b" / "X.train.tsv.gz", "rt") as handle:
        records = [line.rstrip("\n").split("\t") for line in handle][1:]
    for chrom, start, _, strand, site_start, site_end, _, sequence in records:
        (row,) = find(dataset, chrom, int(site_start))
        plus = encode_sequence(sequence)
        if strand == "-":
            plus = reverse_complement(plus)
        first = (int(site_start) + int(site_end) - 1) // 2 - 74 - 40 - int(start)
        expected = np.array([plus[i] if 0 <= i < len(plus) else 4 for i in range(first, first + 230)], dtype=np.uint8)
        if strand == "-":
            expected = reverse_complement(expected)
        np.testing.assert_array_equal(dataset.seq_codes([row])[0], expected)
        assert (dataset.region_codes([row]) == 4).all()


def test_labels(tables):
    dataset = Dataset(prepare(config_for(tables)))
    assert dataset.tasks == ["X", "Y", "Z"]
    by_site = {
        (i.chrom, i.start): labels.tolist()
        for i, labels in zip(dataset.intervals.itertuples(), dataset.labels, strict=True)
    }
    assert by_site == {
        # 1000 and 1020 are one site of X and Y; Z lies on it too but is known from the other source only.
        ("chr1", 1000): [1, 1, -1],
        ("chr1", 1020): [1, 1, -1],
        # X is in both sources, so its positives carry over to B; the site of Z is not called negative for Y.
        ("chr1", 1035): [1, -1, 1],
        ("chr1", 9000): [0, 1, -1],
        ("chr3", 7): [-1, 0, -1],
        ("chr5", 5000): [1, -1, -1],
        ("chr5", 8000): [0, -1, -1],
        ("chr5", 90_000): [-1, -1, 0],
    }
    assert dataset.source_has_task.tolist() == [[True, True, False], [True, False, True]]
    assert dataset.source.tolist().count("rbp24") == 4


def test_tasks_can_be_chosen_and_other_rows_go(tables):
    dataset = Dataset(prepare(config_for(tables, tasks=("Z",))))
    assert dataset.labels.tolist() == [[1], [0]]


def test_equal_seeds_give_equal_bytes(tables):
    first = prepare(config_for(tables)).read_bytes()
    (tables / "out.h5").unlink()
    assert prepare(config_for(tables)).read_bytes() == first


def test_manifest_tells_inputs_options_and_counts(tables):
    manifest = Dataset(prepare(config_for(tables, seed=5))).manifest
    tables_of = {"clip31": ["X", "Y"], "rbp24": ["X", "Z"]}
    assert set(manifest["inputs_sha256"]) == {f"{s}/{x}.train.tsv.gz" for s, names in tables_of.items() for x in names}
    assert manifest["counts"]["tasks"]["X"]["train"] == {"positive": 4, "negative": 2}
    assert manifest["seed"] == 5
    assert manifest["options"]["window"]["margin"] == 40


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (4, "2", r"X\.train\.tsv\.gz:3: expected a 0 or 1 in column 'label', got '2'"),
        (1, "abc", r":3: expected a whole number in column 'start', got 'abc'"),
        (3, ".", r":3: expected strand \+ or -"),
        (2, "1000", r":3: expected start < end"),
        (5, "ACGT", r":3: expected a sequence as long as its interval"),
        (6, "ic", r":3: expected as many region letters as bases"),
        (5, "!" * 101, r"column sequence: expected A C G T U or an IUPAC letter, got '!'"),
    ],
)
def test_damaged_rows_are_named(tables, rng, column, value, message):
    rows = [clip31_row(rng, "chr1", 1000, "+", 1), clip31_row(rng, "chr1", 2000, "+", 0)]
    rows[1][column] = value
    write_table(tables / "a" / "X.train.tsv.gz", "clip31", rows)
    with pytest.raises(InputError, match=message):
        prepare(config_for(tables))
    assert not (tables / "out.h5").exists()


def test_other_wrong_input(tables):
    with pytest.raises(UnknownNameError, match=r"unknown experiment 'XX'\. Did you mean 'X'"):
        prepare(config_for(tables, tables=(TableInput(format="clip31", directory=tables / "a", experiments=("XX",)),)))
    with pytest.raises(UnknownNameError, match="unknown task 'W'"):
        prepare(config_for(tables, tasks=("W",)))
    with pytest.raises(InputError, match="different source names"):
        prepare(config_for(tables, tables=(TableInput(format="clip31", directory=tables / "a"),) * 2))
    with pytest.raises(UnknownNameError, match=r"unknown table format 'clip13'\. Did you mean 'clip31'"):
        prepare(config_for(tables, tables=(TableInput(format="clip13", directory=tables / "a"),)))
    for listing, message in ((b"\xff\xfe", "expected a tab-separated table"), (b"name\nX\n", "expected a column 'id'")):
        (tables / "a" / "experiments.tsv").write_bytes(listing)
        with pytest.raises(InputError, match=rf"experiments\.tsv.*: {message}"):
            prepare(config_for(tables))
    (tables / "a" / "experiments.tsv").unlink()
    (tables / "a" / "Y.train.tsv.gz").write_bytes((tables / "a" / "Y.train.tsv.gz").read_bytes()[:60])
    with pytest.raises(InputError, match=r"Y\.train\.tsv\.gz: expected a tab-separated table"):
        prepare(config_for(tables))


def test_config_files_name_line_and_nearest_key(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("prepare:\n  output: x.h5\n  splitt: {method: locus}\n")
    with pytest.raises(InputError, match=r"c\.yaml:3: unknown key 'splitt'. Did you mean 'split'"):
        read_config(path)
    path.write_text("prepare:\n  output: x.h5\n  split:\n    valid: much\n")
    with pytest.raises(InputError, match=r"c\.yaml:4: valid: expected float, got 'much'"):
        read_config(path)
    path.write_text("prepare:\n  seed: 1\n")
    with pytest.raises(InputError, match="key 'output' is missing"):
        read_config(path)
    path.write_text("prepare:\n  seed: 1\n  seed: 2\n")
    with pytest.raises(InputError, match=r"c\.yaml:3: key 'seed' was given already in line 2"):
        read_config(path)
    path.write_text("prepair:\n  seed: 1\n")
    with pytest.raises(InputError, match=r"c\.yaml:1: unknown section 'prepair'. Did you mean 'prepare'"):
        read_config(path)
    path.write_text("prepare: [\n")
    with pytest.raises(InputError, match=r"c\.yaml:2: not YAML"):
        read_config(path)
    path.write_text("prepare:\n  output: ${NOT_SET_ANYWHERE}/x.h5\n")
    with pytest.raises(InputError, match=r"c\.yaml:2: output: environment variable NOT_SET_ANYWHERE is not set"):
        read_config(path)
    path.write_text('prepare:\n  output: "x\\0.h5"\n')
    with pytest.raises(InputError, match=r"c\.yaml:2: output: expected a path, got 'x\\x00\.h5'"):
        read_config(path)


def test_full_disk_leaves_nothing(tables):
    """A file size limit stands in for a full disk."""
    import resource
    import signal

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        with pytest.raises(OutputError, match=r"out\.h5: could not be written, 0\.1 MB needed"):
            prepare(config_for(tables))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert sorted(p.name for p in tables.iterdir()) == ["a", "b"]


def test_real_tables(shared_data, tmp_path):
    """Real windows: the same base at the same genome position, whichever source and strand it comes from."""
    config = PrepareConfig(
        output=tmp_path / "q.h5",
        tables=(
            TableInput(format="clip31", directory=shared_data / "clip31", experiments=("QKI_PARCLIP",)),
            TableInput(format="rbp24", directory=shared_data / "rbp24", experiments=("QKI_PARCLIP",)),
        ),
    )
    dataset = Dataset(prepare(config))
    intervals = dataset.intervals
    minus = (intervals["strand"] == "-").to_numpy()
    middle = ((intervals["start"] + intervals["end"] - 1) // 2).to_numpy()
    seq = dataset.seq_codes(slice(None))
    known = {}
    compared = 0
    for row in np.random.default_rng(1).permutation(len(dataset))[:6000]:
        codes, centre = seq[row], dataset.margin + 74
        if minus[row]:
            # A ready window has its middle base at index 74 on either strand, a site on minus at 75.
            codes, centre = reverse_complement(codes), dataset.margin + (75 if dataset.source[row] == "clip31" else 74)
        for position in np.flatnonzero(codes != 4)[::5]:
            key = (intervals["chrom"][row], middle[row] + position - centre)
            compared += key in known
            assert known.setdefault(key, codes[position]) == codes[position]
    assert compared > 300
    counts = dataset.manifest["counts"]["tasks"]["QKI_PARCLIP"]
    assert sum(c["positive"] for c in counts.values()) > 9000
