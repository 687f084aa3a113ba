"""Pictures: what is drawn where, and that N, marks and wrong shapes are handled. Looks are checked by eye."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.patches import StepPatch

from ripe_lib.attribution.maps import ism_letters, letter_scores
from ripe_lib.errors import InputError
from ripe_lib.genome.encoding import encode_region, encode_sequence, one_hot
from ripe_lib.genome.landmarks import decode_landmarks, encode_landmarks
from ripe_lib.genome.windows import window_start
from ripe_lib.reports import profile_figures
from ripe_lib.reports.drawing import (
    find_motif,
    known_span,
    mark_motif,
    mark_span,
    plot_landmarks,
    plot_logo,
    plot_mutation_map,
    plot_region_map,
    runs,
    value_limits,
)
from ripe_lib.reports.figures import figure_bytes, new_figure, put_title
from ripe_lib.reports.profile_figures import present_types, region_profile_figure, region_summary_figure
from ripe_lib.reports.site_figures import SiteMap, middle_of, mutant_figure, peak_span, site_figure


@pytest.fixture
def ax():
    return new_figure(85, 40).subplots()


def letters_on(ax):
    """The drawn letters as {(position, base): (low, high)}, read from the compound path of each base."""
    from matplotlib.patches import PathPatch

    found = {}
    for patch in ax.patches:
        if type(patch) is PathPatch:
            for polygon in patch.get_path().to_polygons(closed_only=False):
                (left, low), (right, high) = polygon.min(axis=0), polygon.max(axis=0)
                key = (round((left + right) / 2), patch.get_label()[1:])
                before = found.get(key, (low, high))
                found[key] = (min(low, before[0]), max(high, before[1]))
    return found


def test_logo_draws_the_letter_that_is_there(ax):
    seq = one_hot(encode_sequence("ANGU"))
    values = np.array([[0.5, 9, 9, 9], [9, 9, 9, 9], [9, 9, -0.25, 9], [9, 9, 9, 1.0]])
    plot_logo(ax, SiteMap("", seq, values).letters, first=-2, ylabel="attribution")
    drawn = letters_on(ax)
    assert sorted(drawn) == [(-2, "A"), (0, "G"), (1, "U")]  # N draws nothing
    assert drawn[-2, "A"] == pytest.approx((0, 0.5), abs=0.01)
    assert drawn[0, "G"] == pytest.approx((-0.25, 0), abs=0.01)
    assert drawn[1, "U"] == pytest.approx((0, 1), abs=0.01)
    assert ax.get_xlim() == (-2.5, 1.5)
    low, high = ax.get_ylim()
    assert low < -0.25 < 1 < high
    assert ax.get_ylabel() == "attribution"


def test_logo_of_a_matrix_draws_every_channel(ax):
    plot_logo(ax, np.array([[0.5, 0.25, 0.125, 0.125], [0, 0, 0, 1]]))
    assert sorted(letters_on(ax)) == [(0, "A"), (0, "C"), (0, "G"), (0, "U"), (1, "U")]


@given(arrays(float, (6, 4), elements=st.sampled_from([-1.5, -1.0, -0.25, 0.0, 0.5, 1.0, 2.0])))
def test_letters_of_a_column_stack_away_from_the_line_the_largest_last(values):
    ax = new_figure(85, 40).subplots()
    plot_logo(ax, values)
    drawn = letters_on(ax)
    assert len(drawn) == np.count_nonzero(values)
    for position, column in enumerate(values):
        for sign in (1, -1):
            here = sorted(sorted(map(abs, drawn[position, "ACGU"[i]])) for i in np.flatnonzero(column * sign > 0))
            sizes = sorted(abs(column[column * sign > 0]))
            # The outlines of polygons stay a little inside the curves of C, G and U.
            np.testing.assert_allclose(
                [edge for span in here for edge in span],
                [edge for top, size in zip(np.cumsum(sizes), sizes, strict=True) for edge in (top - size, top)],
                atol=0.02,
            )


def test_logo_of_nothing(ax):
    plot_logo(ax, SiteMap("", np.full((5, 4), 0.25), np.ones((5, 4))).letters)
    assert not letters_on(ax)
    assert ax.get_xlim() == (-0.5, 4.5)


def test_wrong_shapes(ax):
    with pytest.raises(InputError, match=r"attributions: expected an array of shape \(L, 4\), got \(4, 10\)"):
        plot_logo(ax, np.zeros((4, 10)))
    with pytest.raises(InputError, match="expected 6 positions as the region window, got 5"):
        plot_region_map(ax, np.zeros((5, 4)), np.zeros((6, 4)))
    with pytest.raises(InputError, match="at least one map"):
        site_figure([])
    with pytest.raises(InputError, match="a wild type and at least one mutant"):
        mutant_figure([SiteMap("a", np.zeros((5, 4)), np.zeros((5, 4)))])


def test_region_bars_are_sums_in_the_colour_of_the_type(ax):
    region = one_hot(encode_region("iicNN3"))
    values = np.arange(24).reshape(6, 4) / 10
    plot_region_map(ax, values, region)
    expected = {"3′UTR": "3", "CDS": "c", "intron": "i", "no information": "N"}
    bars = {patch.get_label(): patch.get_data() for patch in ax.patches if isinstance(patch, StepPatch)}
    assert sorted(bars) == sorted(expected)
    for label, (heights, edges, _) in bars.items():
        np.testing.assert_array_equal(edges, np.arange(-3.5, 3))
        here = np.array(list("iicNN3")) == expected[label]
        np.testing.assert_allclose(heights, np.where(here, values.sum(axis=1), np.nan))
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["intron", "CDS", "3′UTR", "no information"]


def test_mutation_map(ax):
    seq = one_hot(encode_sequence("ACN"))
    image = plot_mutation_map(ax, np.arange(12).reshape(3, 4), seq, first=10)
    assert image.get_clim() == (-11, 11)
    dots = ax.lines[0]
    np.testing.assert_array_equal(dots.get_xdata(), [10, 11])
    np.testing.assert_array_equal(dots.get_ydata(), [0, 1])


@pytest.mark.parametrize(
    ("seq", "motif", "starts"),
    [
        ("AACUAACUU", "ACUAAY", [1]),
        ("ACUAAU", "actaay", [0]),
        ("UUUU", "UU", [0, 1, 2]),
        ("ANAA", "AA", [2]),
        ("ANA", "ANA", []),  # an unknown base is no letter
        ("AC", "ACUAAY", []),
    ],
)
def test_motifs_are_found(seq, motif, starts):
    assert find_motif(seq, motif) == starts
    assert find_motif(one_hot(encode_sequence(seq)), motif) == starts


def test_wrong_motif(ax):
    with pytest.raises(InputError, match="motif 'AC-U': expected IUPAC letters"):
        mark_motif(ax, "ACU", "AC-U")
    with pytest.raises(InputError, match="motif ''"):
        find_motif("ACU", "")


def test_marks(ax):
    ax.set_xlim(-5, 5)
    assert mark_motif(ax, "UGUAUGUA", "UGUA", first=-4) == [0, 4]
    assert [t.get_text() for t in ax.texts] == ["UGUA"]  # the second would overlap the first's name
    mark_span(ax, -20, -10, "outside")
    assert not ax.lines
    mark_span(ax, -2, 9, "peak")
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [-2.5, 5])
    assert [line.get_marker() for line in ax.lines[1:]] == [">"]  # it goes on to the right


@pytest.mark.parametrize(("start", "end"), [(100, 150), (100, 101), (100, 201), (100, 137), (100, 500)])
def test_peak_span_is_where_the_interval_lies(start, end):
    length = 150
    window = np.arange(-1000, 1000) + window_start(start, end, length)  # far around it
    inside = (window >= start) & (window < end)
    at = np.flatnonzero(inside) - 1000
    first, stop = peak_span(start, end, "+", length)
    assert (first, stop) == (at[0], at[-1] + 1)
    assert peak_span(start, end, "-", length) == (length - stop, length - first)


def test_the_peak_of_the_region_panel_is_not_cut_to_the_sequence_window():
    seq, region = np.eye(4)[np.arange(60) % 4], np.tile([0.0, 1, 0, 0], (200, 1))
    one = SiteMap("T", seq, seq * 0.1, region, region * 0.01)
    figure = site_figure([one], peak=peak_span(1000, 1120, "+", 60))
    panel = next(ax for ax in figure.axes if ax.get_ylabel().startswith("region"))
    bar = next(line for line in panel.lines if line.get_linewidth() == 2.2)
    assert np.ptp(bar.get_xdata()) == 120


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize(("start", "end"), [(1000, 1050), (1000, 1051), (1000, 1001)])
def test_genomic_coordinates_below_the_axis(start, end, strand):
    """A base told from its surroundings in the genome is drawn above its own coordinate."""
    place = middle_of("chr7", start, end, strand)
    for length in (60, 150):
        index = np.arange(length) - length // 2
        genome = window_start(start, end, length) + np.arange(length) + 1  # positions from 1
        expected = genome[::-1] if strand == "-" else genome
        np.testing.assert_array_equal([place.at(x) for x in index], expected)
    seq, region = np.eye(4)[np.arange(60) % 4], np.tile([0.0, 1, 0, 0], (100, 1))
    maps = [SiteMap(task, seq, seq * 0.1, region, region * 0.01) for task in ("A", "B")]
    figure = site_figure(maps, place=place, peak=peak_span(start, end, strand, 60))
    figure.draw_without_rendering()
    assert {ax.get_xlim() for ax in figure.axes} == {(-50.5, 49.5)}  # all panels, the region window's positions
    lowest = figure.axes[-1]
    assert lowest.get_xlabel().endswith(f"on chr7, {'plus' if strand == '+' else 'minus'} strand")
    shown = dict(zip(lowest.get_xticks(), (t.get_text().split("\n")[1] for t in lowest.get_xticklabels()), strict=True))
    assert shown[20] == f"{place.at(20):,}"


def test_small_helpers():
    assert runs(np.array([0, 0, 4, 1, 1], np.uint8)) == [(0, 2, 0), (2, 3, 4), (3, 5, 1)]
    assert runs(np.array([], np.uint8)) == []
    window = one_hot(encode_sequence("NNACGNUNN"))
    assert known_span(window) == (2, 7)
    assert known_span(window, margin=5) == (0, 9)
    assert known_span(one_hot(encode_sequence("NNN"))) == (0, 3)
    assert value_limits([np.array([1.0, 2.0])], air=0.5) == (0, 3)
    assert value_limits([np.array([-1.0])], air=0.5) == (-1.5, 0.5)


def test_present_types_keep_the_sum_where_a_type_is_known():
    region = one_hot(encode_region("i3N"))
    found = present_types(np.ones((2, 3, 4)), np.stack([region, region]))
    np.testing.assert_array_equal(found[0], [[4, 0, 0, 0], [0, 0, 4, 0], [0, 0, 0, 0]])


def test_ism_letters_are_minus_the_mean_change(rng):
    seq = one_hot(encode_sequence("AN"))
    changes = np.array([[0, -0.3, -0.6, 0.3], [1, 1, 1, 1]])
    np.testing.assert_allclose(ism_letters(changes, seq), [0.2, 0], atol=1e-7)


def site_map(rng, label="QKI", **options):
    seq = one_hot(encode_sequence("N" * 4 + "ACUAACUGUA" + "N" * 6))
    region = one_hot(encode_region("iiiii" + "3" * 10 + "N" * 5))
    return SiteMap(label, seq, rng.normal(size=seq.shape), region, rng.normal(size=region.shape), 0.9, **options)


def test_site_picture(rng):
    maps = [site_map(rng), site_map(rng, "PUM2", method="ism")]
    figure = site_figure(maps, title="chr1:1-2", peak=(5, 12), motif="ACUAAY")
    logo, region, other, heat = figure.axes[:4]
    assert logo.get_title(loc="left") == "QKI   score 0.900"
    assert logo.get_ylim() == other.get_ylim()
    # Bases: indices 4 to 13 and two more on each side, from the middle 10; region types: 0 to 14. One axis for all.
    assert {ax.get_xlim() for ax in (logo, region, other, heat)} == {(-10.5, 5.5)}
    heights = letter_scores(maps[0].seq_map, maps[0].seq)
    assert letters_on(logo)[-6, "A"] == pytest.approx(sorted((0, heights[4])), abs=0.02)
    assert figure_bytes(figure, "svg") == figure_bytes(figure, "svg")


def test_landmarks_are_bars_with_distances_in_words(rng):
    distances = np.array([-1234, 140, 0, np.nan, -1, 1, 20_000, np.nan])
    values = np.array([-0.05, 0.12, 0.5, 0, 0.001, -2, 0.25, 0])
    known = site_map(rng, landmark_map=values, distances=decode_landmarks(encode_landmarks(distances[None]))[0])
    figure = site_figure([known, site_map(rng, landmark_map=values, distances=np.full(8, np.nan)), site_map(rng)])
    (ax,) = (ax for ax in figure.axes if ax.get_xlabel() == "attribution of the distance to a landmark")
    assert [text.get_text() for text in ax.texts] == [
        "tss, 1,234 nt upstream: -0.05",
        "polya, 140 nt downstream: +0.12",
        "exon_intron, here: +0.5",
        "intron_exon, unknown: +0",
        "start_codon, 1 nt upstream: +0.001",
        "stop_codon, 1 nt downstream: -2",
        "gene_start, 20,000 nt downstream: +0.25",
        "gene_end, unknown: +0",
    ]
    assert [bar.get_width() for bar in ax.containers[0]] == values.tolist()
    assert len(figure.axes) == 3 * 2 + 1
    # Panels of several tasks are read against each other.
    figure = site_figure([known, dataclasses.replace(known, landmark_map=values / 10)])
    first, second = (ax for ax in figure.axes if ax.get_xlabel().endswith("landmark"))
    assert first.get_xlim() == second.get_xlim()
    with pytest.raises(InputError, match=r"expected 8 values and distances, got shapes \(7,\) and \(8,\)"):
        plot_landmarks(ax, values[:7], distances, xlim=(-1, 1))


def test_the_dots_of_a_heat_map_are_explained(rng):
    _, heat, *_ = site_figure([site_map(rng, method="ism")]).axes
    assert heat.get_ylabel() == "changed to"
    assert [text.get_text() for text in heat.get_legend().get_texts()] == ["base of the site"]


def test_no_region_panel_without_a_known_type(rng):
    one = site_map(rng)
    unknown = SiteMap("QKI", one.seq, one.seq_map, np.full((20, 4), 0.25), one.region_map)
    assert len(site_figure([unknown]).axes) == 1
    assert len(site_figure([one]).axes) == 2


@pytest.mark.parametrize("width", [85, 174])
@pytest.mark.parametrize("text", ["chr1:1,001-1,050 (-) " + "a name of words " * 14, "WWWWWWWWGGGGQQQQ" * 16, "short"])
def test_titles_are_never_cut(width, text):
    figure = new_figure(width, 60)
    figure.subplots()
    put_title(figure, text)
    figure.draw_without_rendering()
    title = figure._suptitle
    box = title.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert box.y1 <= figure.bbox.y1
    assert "".join(title.get_text().split()) == "".join(text.split())


def test_the_name_of_a_motif_has_room_above_the_letters_of_every_panel(rng):
    """Also where another task's letters reach far below: the room is a share of the axis they share."""
    up, down = site_map(rng), site_map(rng, "PUM2")
    up.seq_map[...] = np.abs(up.seq_map)
    down.seq_map[...] = -9 * np.abs(down.seq_map)
    figure = site_figure([up, down], motif="ACUAAY")
    low, high = figure.axes[0].get_ylim()
    highest = letter_scores(up.seq_map, up.seq).max()
    name = next(text for text in figure.axes[0].texts if text.get_text() == "ACUAAY")
    figure.draw_without_rendering()
    bottom = figure.axes[0].transData.inverted().transform(name.get_window_extent())[0, 1]
    assert low < highest < bottom < high


def test_every_column_of_profiles_has_its_positions(rng):
    profiles = {f"T{i}": rng.normal(size=(250, 4)) for i in range(6)}
    figure = region_profile_figure(profiles, dict.fromkeys(profiles, 1))
    shown = [ax.xaxis.get_tick_params()["labelbottom"] for ax in figure.axes[:6]]
    assert shown == [False, False, True, True, True, True]


def test_mutant_picture_marks_the_changed_bases(rng):
    wild = site_map(rng, "wild type")
    changed = wild.seq.copy()
    changed[6] = [0, 0, 1, 0]
    mutant = SiteMap("mutant", changed, wild.seq_map, score=0.1)
    figure = mutant_figure([wild, mutant])
    assert not figure.axes[0].texts
    assert [t.get_text() for t in figure.axes[1].texts] == ["U\n▾"]
    assert figure.axes[1].texts[0].xy[0] == -4
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_region_profiles(rng, monkeypatch):
    monkeypatch.setattr(profile_figures, "_SMOOTH", 1)
    profiles = {f"t{i}": rng.normal(size=(40, 4)) for i in range(5)}
    counts = dict.fromkeys(profiles, 1234)
    figure = region_profile_figure(profiles, counts)
    shown = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title(loc="left") for ax in shown] == [f"t{i} (1,234)" for i in range(5)]
    np.testing.assert_array_equal(shown[2].lines[1].get_ydata(), profiles["t2"][:, 1])
    # A type that no site has is no line at 0 over the others.
    figure = region_profile_figure({task: values * [0, 1, 1, 0] for task, values in profiles.items()}, counts)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["CDS", "3′UTR"]
    assert len(figure.axes[0].lines) == 2 + 2
    summary = region_summary_figure(np.array([[0.1, -0.2, 0, np.nan]]), ["t0"])
    summary.draw_without_rendering()
    label = summary.axes[1].yaxis.label.get_window_extent()
    assert summary.bbox.y0 <= label.y0
    assert label.y1 <= summary.bbox.y1
    assert [t.get_text() for t in summary.axes[0].texts] == ["+0.100", "-0.200"]


def test_no_pyplot_figures_are_left(rng):
    import matplotlib.pyplot as plt

    site_figure([site_map(rng)])
    assert plt.get_fignums() == []
