"""The Kipoi loaders give exactly the arrays of ``ripe_lib.make_windows``, in Kipoi's shapes."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from ripe_lib.errors import RipeError
from ripe_lib.genome.windows import make_windows
from ripe_lib.network.spec import ModelSpec
from tests.support.kipoi_home import EXAMPLES, example_arguments, registered_kipoi

pytestmark = pytest.mark.kipoi
SPEC = ModelSpec(name="DeepRiPe/any", tasks=("a",))


@pytest.fixture(scope="module")
def kipoi():
    return registered_kipoi()


@pytest.fixture(scope="module")
def loader(kipoi):
    import dataloaders

    return dataloaders.RnaIntervals(**example_arguments())


@pytest.fixture(scope="module")
def windows():
    return make_windows(
        EXAMPLES / "intervals.bed", fasta_file=EXAMPLES / "genome.fa", gtf_file=EXAMPLES / "genes.gtf", spec=SPEC
    )


def joined(batches, name):
    return np.concatenate([batch["inputs"][name] for batch in batches])


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 7}, {"batch_size": 1000}, {}])
def test_arrays_are_those_of_make_windows_bit_for_bit(loader, windows, options):
    batches = list(loader.batch_iter(**options))
    for name, expected in windows.inputs().items():
        found = joined(batches, name)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


def test_without_gtf_the_region_types_are_unknown(kipoi):
    import dataloaders

    loader = dataloaders.RnaIntervals(**example_arguments(gtf=False))
    expected = make_windows(EXAMPLES / "intervals.bed", fasta_file=EXAMPLES / "genome.fa", spec=SPEC)
    batch = next(loader.batch_iter(batch_size=100))
    np.testing.assert_array_equal(batch["inputs"]["seq"], expected.seq)
    np.testing.assert_array_equal(batch["inputs"]["region"], np.full((len(loader), 250, 4), 0.25, np.float32))


def test_samples_are_the_rows_of_the_batches(loader, windows):
    for row in (0, 3, len(loader) - 1):
        sample = loader[row]
        assert sample["inputs"]["seq"].shape == (150, 4)
        np.testing.assert_array_equal(sample["inputs"]["region"], windows.region[row])
    np.testing.assert_array_equal(loader[-1]["inputs"]["seq"], windows.seq[-1])
    with pytest.raises(IndexError, match="of 39"):
        loader[len(loader)]


def test_ranges_are_the_sequence_windows_with_their_strands(kipoi, loader, windows):
    from kipoi.metadata import GenomicRanges

    ranges = next(loader.batch_iter(batch_size=1000))["metadata"]["ranges"]
    assert isinstance(ranges, GenomicRanges)
    frame = windows.intervals
    np.testing.assert_array_equal(ranges["strand"], frame["strand"])
    np.testing.assert_array_equal(ranges["id"], frame["name"])
    np.testing.assert_array_equal(ranges["chr"], frame["chrom"])
    # 50-nt bins get 50 nt on each side, on either strand.
    np.testing.assert_array_equal(ranges["start"], frame["start"] - 50)
    np.testing.assert_array_equal(ranges["end"], frame["end"] + 50)
    assert set(ranges["strand"]) == {"+", "-"}
    sample = loader[8]["metadata"]["ranges"]
    assert isinstance(sample, GenomicRanges)
    assert (sample.chr, sample.start, sample.strand) == ("chr1", ranges["start"][8], "-")


def test_intervals_without_names_get_their_row_number(kipoi, tmp_path):
    import dataloaders

    bed = tmp_path / "three.bed"
    bed.write_text("chr1\t700\t750\nchr1\t5300\t5350\n")
    loader = dataloaders.RnaIntervals(**example_arguments(intervals_file=bed))
    ranges = next(loader.batch_iter())["metadata"]["ranges"]
    assert list(ranges["id"]) == ["0", "1"]
    assert list(ranges["strand"]) == ["+", "-"]  # of the transcripts there


def test_kipois_own_checks_and_collations_accept_it(kipoi, loader, windows):
    from kipoi_utils.data_utils import flatten_batch

    batch = next(loader.batch_iter(batch_size=5))
    assert loader.get_output_schema().compatible_with_batch(batch)
    assert "metadata/ranges/start" in flatten_batch(batch)
    everything = loader.load_all(batch_size=16)
    np.testing.assert_array_equal(everything["inputs"]["seq"], windows.seq)
    np.testing.assert_array_equal(everything["metadata"]["ranges"]["id"], windows.intervals["name"])
    inputs = list(loader.batch_predict_iter(batch_size=30))
    assert [len(one["seq"]) for one in inputs] == [30, 9]


def test_batches_can_be_shuffled_cut_and_repeated(loader, windows):
    shuffled = joined(loader.batch_iter(batch_size=10, shuffle=True), "seq")
    assert not np.array_equal(shuffled, windows.seq)
    np.testing.assert_array_equal(
        np.sort(shuffled.reshape(len(shuffled), -1), axis=0), np.sort(windows.seq.reshape(len(shuffled), -1), axis=0)
    )
    assert [len(b["inputs"]["seq"]) for b in loader.batch_iter(batch_size=10, drop_last=True)] == [10, 10, 10]
    iterable = loader._batch_iterable(batch_size=20)
    assert len(iterable) == 2
    assert [len(b["inputs"]["seq"]) for _ in range(2) for b in iterable] == [20, 19, 20, 19]
    iterator = loader.batch_iter(batch_size=20)
    assert len(iterator) == 2  # Kipoi's progress bar


def test_worker_processes_give_the_same_batches(loader, windows):
    batches = list(loader.batch_iter(batch_size=8, num_workers=2))
    for name, expected in windows.inputs().items():
        np.testing.assert_array_equal(joined(batches, name), expected)


def test_sequence_only_loader(kipoi, windows):
    import dataloaders

    loader = dataloaders.RnaSequences(**example_arguments(gtf=False), sequence_length=200)
    batch = next(loader.batch_iter(batch_size=100))
    assert set(batch["inputs"]) == {"seq"}
    np.testing.assert_array_equal(batch["inputs"]["seq"][:, 25:175], windows.seq)
    assert loader.get_output_schema().compatible_with_batch(batch)


def test_examples_exist_and_kipoi_can_start_from_them(kipoi):
    import dataloaders

    for loader in (dataloaders.RnaIntervals, dataloaders.RnaSequences):
        assert len(loader.init_example()) == 39


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"intervals_file": "none.bed"}, "none.bed: no such file"),
        ({"fasta_file": "none.fa"}, "none.fa"),
        ({"gtf_file": "none.gtf"}, "none.gtf"),
        ({"intervals_file": "chr9\t1\t50\n"}, "chr9"),
        ({"intervals_file": "chr1\t8990\t9040\n"}, "same assembly"),
        ({"intervals_file": "chr1\t50\t50\n"}, "start"),
        ({"intervals_file": "chr1\ta\t50\n"}, ":1: "),
        ({"intervals_file": ""}, "at least one interval"),
        ({"gtf_file": "chr1\tx\tgene\t1\t500\t.\t+\t.\tgene_id \"a\";\n"}, "exon"),
    ],
    ids=lambda value: str(value).replace("\t", " ")[:30] if isinstance(value, str) else None,
)  # fmt: skip
def test_wrong_input_is_one_clear_line_before_the_first_batch(kipoi, tmp_path, monkeypatch, arguments, message):
    import dataloaders

    monkeypatch.chdir(tmp_path)
    given = {}
    for name, text in arguments.items():
        given[name] = tmp_path / text if text.startswith("none") else tmp_path / f"{name}.txt"
        if not text.startswith("none"):
            given[name].write_text(text)
    with pytest.raises(RipeError, match=message) as caught:
        dataloaders.RnaIntervals(**example_arguments(**given))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("argument", ["intervals_file", "gtf_file"])
def test_truncated_gzip_is_one_clear_line(kipoi, tmp_path, argument):
    import dataloaders

    whole = gzip.compress(Path(example_arguments()[argument]).read_bytes())
    cut = tmp_path / "cut.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RipeError, match="complete gzip file") as caught:
        dataloaders.RnaIntervals(**example_arguments(**{argument: cut}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [149, -2, "150"])
def test_odd_window_lengths_are_refused(kipoi, length):
    import dataloaders

    with pytest.raises(RipeError, match="sequence_length: expected an even number"):
        dataloaders.RnaIntervals(**example_arguments(), sequence_length=length)
