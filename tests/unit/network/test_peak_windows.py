"""Where the windows of peaks lie."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ripe_lib.errors import InputError, UnknownNameError
from ripe_lib.genome.windows import window_start
from ripe_lib.network.predict import PeakWindows


def peaks(*spans, **columns):
    frame = pd.DataFrame(spans, columns=["start", "end"]).astype(np.int64)
    return frame.assign(chrom="chr1", name=[f"p{i}" for i in range(len(frame))], score=".", strand="-", **columns)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 700)), min_size=1, max_size=6), st.sampled_from([2, 60, 150])
)
def test_tiles_cover_long_peaks_and_leave_others_alone(spans, length):
    frame = peaks(*[(start, start + size) for start, size in spans])
    placing = PeakWindows(length, tile=True)
    tiles, first = placing.split(frame)
    assert placing.n_intervals == len(frame)
    assert placing.n_long == sum(size > length for _, size in spans)
    if first is None:
        assert not placing.n_long
        pd.testing.assert_frame_equal(tiles, frame)
        return
    stops = [*first[1:], len(tiles)]
    for row, (begin, stop) in enumerate(zip(first, stops, strict=True)):
        start, end = frame.loc[row, ["start", "end"]]
        part = tiles.iloc[begin:stop]
        assert (part["name"] == f"p{row}").all()
        if end - start <= length:
            assert part[["start", "end"]].to_numpy().tolist() == [[start, end]]
            continue
        windows = window_start(part["start"].to_numpy(), part["end"].to_numpy(), length)
        np.testing.assert_array_equal(windows, part["start"])
        assert windows[0] == start
        assert windows[-1] + length == end
        assert (np.diff(windows) > 0).all()
        assert (np.diff(windows) <= max(1, length // 3)).all()


def test_summits_are_the_middle_of_their_windows():
    placing = PeakWindows(150, "summit")
    placed, first = placing.split(peaks((100, 400), (1000, 1051), summit=[30, -1]))
    assert first is None
    assert placed[["start", "end"]].to_numpy().tolist() == [[130, 131], [1000, 1051]]
    assert window_start(130, 131, 150) == 130 - 74
    assert placing.remark() == "1 intervals have no summit: centred on the middle"


def test_what_a_user_is_told():
    middle = PeakWindows(150)
    assert middle.remark() == ""
    middle.split(peaks((0, 150)))
    assert middle.remark() == ""
    middle.split(peaks((0, 151), (0, 10), summit=[3, -1]))
    assert middle.remark() == (
        "1 of 3 intervals are longer than the window of 150 nt: only their central 150 nt are seen. Best window of "
        "each: --tile; windows are centred on the middle; for the 1 summits: --centre summit"
    )
    tiled = PeakWindows(150, tile=True)
    tiled.split(peaks((0, 151), summit=[3]))
    assert tiled.remark().endswith("the scores are those of the best window, for each task by itself")


def test_wrong_input():
    with pytest.raises(UnknownNameError, match="centre 'middel'"):
        PeakWindows(150, "middel")
    with pytest.raises(InputError, match="got both"):
        PeakWindows(150, "summit", tile=True)
    for options in ({}, {"summit": [-1]}):
        with pytest.raises(InputError, match=r"expected summits \(column 10 of narrowPeak\), got none"):
            PeakWindows(150, "summit").split(peaks((0, 10), **options))
    with pytest.raises(InputError, match="chr1:0-10: expected a summit within it, got 10"):
        PeakWindows(150, "summit").split(peaks((0, 10), summit=[10]))
