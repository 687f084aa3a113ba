"""One map of 150 nt as a PNG file: letters as one path per base, against logomaker's patch per letter.

Run: ``python -m benchmarks.bench_pictures``. Both ways draw the same heights on the same axes, in turn, in one process;
the first picture of each (fonts are read, outlines made) is not counted. logomaker comes with the extra ``dev``.
"""

from __future__ import annotations

import time
from importlib.metadata import version
from statistics import median

import numpy as np

from benchmarks.common import machine, write_results
from ripe_lib.genome.encoding import one_hot
from ripe_lib.reports.drawing import LETTER_COLORS, plot_logo, value_limits
from ripe_lib.reports.figures import figure_bytes, new_figure, style

LENGTH, ROUNDS, SEED = 150, 7, 1


def with_logomaker(ax, heights):
    import logomaker
    import pandas as pd

    frame = pd.DataFrame(heights, columns=list("ACGU"))
    logomaker.Logo(
        frame, ax=ax, color_scheme=LETTER_COLORS, font_name="DejaVu Sans", baseline_width=0, show_spines=None
    )
    ax.set_ylim(*value_limits([heights]))


def seconds(draw, heights):
    """Return how long one picture takes, file included."""
    started = time.perf_counter()
    with style():
        figure = new_figure(174, 40)
        draw(figure.subplots(), heights)
    figure_bytes(figure, "png", dpi=170)
    return time.perf_counter() - started


def main() -> None:
    rng = np.random.default_rng(SEED)
    heights = one_hot(rng.integers(0, 4, LENGTH).astype(np.uint8)) * rng.normal(size=(LENGTH, 1))
    ways = {"logomaker": with_logomaker, "one path per base": plot_logo}
    taken = {name: [] for name in ways}
    for _ in range(ROUNDS + 1):
        for name, draw in ways.items():
            taken[name].append(seconds(draw, heights))
    medians = {name: median(times[1:]) for name, times in taken.items()}
    ratio = medians["logomaker"] / medians["one path per base"]
    for name, value in medians.items():
        print(f"{name:20s} {value:.3f} s per map of {LENGTH} nt")
    print(f"ratio {ratio:.1f}")
    results = {**machine(), "length": LENGTH, "rounds": ROUNDS, "seed": SEED, "seconds": medians, "ratio": ratio}
    results["versions"] |= {name: version(name) for name in ("matplotlib", "logomaker")}
    write_results("pictures", results)


if __name__ == "__main__":
    main()
