"""The HTML report: one file, nothing from outside, sortable and filterable."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ripe_lib.errors import InputError, OutputError, UnknownNameError
from ripe_lib.genome.encoding import encode_sequence
from ripe_lib.reports.figures import checked_formats, figure_bytes, new_figure, save_figure
from ripe_lib.reports.page import Report
from ripe_lib.reports.zoom import Zoom


class _Reader(HTMLParser):
    """Collects what the tests ask about, and that every tag that is opened is closed."""

    VOID = ("meta", "img", "input", "br", "link")

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.hrefs, self.sources, self.rows = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if "href" in attrs:
            self.hrefs.append(attrs["href"])
        if "src" in attrs:
            self.sources.append(attrs["src"])
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in {"td", "a"} and self.rows:
            self.rows[-1].append(data)


def read(page):
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


def small_figure():
    figure = new_figure(85, 30)
    figure.subplots().plot([0, 1], [1, 0])
    return figure


def example():
    report = Report("Sites <of> QKI & co", "model x")
    report.add_heading("Sites")
    report.add_text("one `code`\n\ntwo <script>alert(1)</script>")
    anchor = report.add_figure(small_figure(), 'a "quoted" caption')
    report.add_heading("Table")
    table = pd.DataFrame({"site": ["b", "a", "c<d"], "score": [0.25, np.nan, 0.123456789], "n": [3, 10, 2]})
    table["rank"] = pd.array([1, None, 2], dtype="Int64")
    report.add_table(table, caption="All.", links={"site": [anchor, None, anchor]})
    return report


def test_page_is_self_contained_and_well_formed(tmp_path):
    path = example().write(tmp_path / "r.html")
    page = path.read_text(encoding="utf-8")
    reader = read(page)
    assert reader.sources
    assert all(source.startswith("data:image/") for source in reader.sources)
    assert all(href.startswith("#") and href[1:] in reader.ids for href in reader.hrefs)
    assert len(reader.ids) == len(set(reader.ids))
    assert "default-src 'none'" in page
    outside = re.sub(r"data:image/[^\"]+", "", page)
    assert not re.search(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", outside.replace("// ", ""))


def test_text_is_escaped():
    page = example().to_html()
    assert "<script>alert" not in page
    assert "two &lt;script&gt;" in page
    assert "<title>Sites &lt;of&gt; QKI &amp; co</title>" in page
    assert "<code>code</code>" in page
    assert "c&lt;d" in page


def test_cells_show_rounded_and_keep_full_values():
    page = example().to_html()
    assert 'data-v="0.123456789">0.1235<' in page
    assert page.count('data-v=""></td>') == 2  # NaN and NA: empty, sorted last
    assert 'data-v="2.0">2</td>' in page


def test_same_content_gives_same_bytes():
    assert example().to_html() == example().to_html()


def test_long_table_says_what_is_missing(monkeypatch):
    report = Report("t")
    monkeypatch.setattr("ripe_lib.reports.page.MOST_ROWS", 10)
    report.add_table(pd.DataFrame({"n": range(30)}))
    page = report.to_html()
    assert "30 rows; the first 10 are shown" in page
    assert page.count("<tr>") == 1 + 10  # head (the filter row has a class) and body


def test_plain_table_has_no_filters():
    report = Report("t")
    report.add_table(pd.DataFrame({"n": [1]}), filterable=False)
    body = report.to_html().split("<body>")[1].split("<script>")[0]
    assert "<input" not in body


def test_empty_table_is_valid():
    report = Report("t")
    report.add_table(pd.DataFrame({"site": [], "score": []}))
    assert "0 rows" in report.to_html()
    read(report.to_html())


def test_anchors_do_not_clash():
    report = Report("t")
    first = report.add_figure(small_figure(), anchor="site 1")
    second = report.add_figure(small_figure(), anchor="site 1")
    assert first == "site-1"
    assert second == "site-1-2"


def test_links_must_fit():
    with pytest.raises(InputError, match="one per row of an existing column"):
        Report("t").add_table(pd.DataFrame({"a": [1, 2]}), links={"a": ["x"]})


def test_wrong_picture_format_and_folder(tmp_path):
    with pytest.raises(InputError, match="expected format 'svg' or 'png', got 'pdf'"):
        Report("t").add_figure(small_figure(), format="pdf")
    with pytest.raises(OutputError, match="expected an existing folder"):
        example().write(tmp_path / "missing" / "r.html")
    with pytest.raises(UnknownNameError, match=r"unknown picture format 'sgv'.*'svg'"):
        checked_formats("png,sgv")


def test_pictures_are_deterministic(tmp_path):
    for format, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        first, second = (figure_bytes(small_figure(), format, dpi=60) for _ in range(2))
        assert first == second
        assert first.startswith(start)
    paths = save_figure(small_figure(), tmp_path / "a.b", "png, SVG")
    assert [p.name for p in paths] == ["a.b.png", "a.b.svg"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.b.png", "a.b.svg"]


JS_CASES = [
    ("", 5, "5", True),
    ("qk", "QKI", "QKI", True),
    ("tar", "QKI", "QKI", False),
    (">0.5", 0.6, "0.6", True),
    (">0.5", 0.5, "0.5", False),
    (">=0.5", 0.5, "0.5", True),
    ("<= -1", -2, "-2", True),
    (">0.5", None, "", False),
    ("=QKI", "QKI", "QKI", True),
    ("=QK", "QKI", "QKI", False),
    ("!=3", 3, "3", False),
    ("<1e-5", 1e-9, "1e-09", True),
]


def _script(name="report"):
    return (Path(__file__).parents[3] / f"ripe_lib/reports/assets/{name}.js").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_filter_and_order_rules():
    cases = json.dumps(JS_CASES)
    script = _script() + (
        f"\nconst cases = {cases};"
        "const filtered = cases.map(([t, v, s]) => { const f = parseFilter(t); return f === true ? true : f(v, s); });"
        "const order = (values, d) => values.slice().sort((a, b) => compareValues(a, b, d));"
        "console.log(JSON.stringify([filtered, order([3, null, 1, 2], 1), order([3, null, 1, 2], -1),"
        " order(['chr10', 'chr2', ''], 1), parseFilter('>abc')]));"
    )
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True, timeout=60)
    filtered, up, down, text, wrong = json.loads(done.stdout)
    assert filtered == [case[3] for case in JS_CASES]
    assert up == [1, 2, 3, None]
    assert down == [3, 2, 1, None]
    assert text == ["chr2", "chr10", ""]
    assert wrong is None


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_zoom_stays_inside_and_ticks_are_round():
    script = _script("zoom") + (
        "console.log(JSON.stringify([insideStretch(100, 40, 60), insideStretch(100, -30, 10),"
        " insideStretch(100, 90, 130), insideStretch(100, 50, 50), insideStretch(4, 0, 2),"
        " insideStretch(100, -99, 999),"
        " roundPlaces(1003, 1, 0, 40, 400), roundPlaces(1003, -1, 0, 40, 400), roundPlaces(0, 1, 10.2, 13, 9000)]));"
    )
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True, timeout=60)
    *ranges, up, down, near = json.loads(done.stdout)
    assert ranges == [[40, 60], [-0.5, 39.5], [59.5, 99.5], [45, 55], [-0.5, 3.5], [-0.5, 99.5]]
    assert [1003 + i for i in up] == [1010, 1020, 1030, 1040]
    assert [1003 - i for i in down] == [1000, 990, 980, 970]
    assert near == [11, 12, 13]


def test_panels_are_cut_to_the_stretch_and_safe_in_a_page():
    zoom = Zoom(encode_sequence("ACGUN"), first=7, minus=True, label="</script><b>")
    zoom.add_letters("x", [1.0, -2.0, np.nan, 4.0], at=-2, limits=(-2, 4), spans=[(0, 1)])
    zoom.add_regions(np.array([1, 1, 4, 0, 0], np.uint8))
    text = zoom.to_json()
    assert "<" not in text
    data = json.loads(text)
    assert (data["sequence"], data["first"], data["direction"]) == ("ACGUN", 7, -1)
    letters, regions = data["panels"]
    assert (letters["at"], letters["values"], letters["unit"]) == (0, [0, 1000], 0.004)
    assert [run[:2] + run[3:] for run in regions["runs"]] == [
        [0, 2, "CDS"], [2, 3, "no information"], [3, 5, "intron"]
    ]  # fmt: skip


def in_chromium(page, act, path):
    """Return the title of a page after a script has acted on it in a headless Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs chromium")
    path.write_text(page.replace("</body>", f"<script>{act}</script></body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--window-size=1200,900"]
    command = [chromium, *options, "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return re.search(r"<title>(.*?)</title>", done.stdout).group(1)


@pytest.mark.browser
@pytest.mark.slow
def test_page_sorts_and_filters_in_a_browser(tmp_path):
    report = Report("t")
    report.add_table(pd.DataFrame({"site": [f"s{i}" for i in range(120)], "score": np.arange(120) % 60 / 60}))
    act = (
        "document.querySelectorAll('th button')[1].click();"
        "const field = document.querySelectorAll('.filters input')[1]; field.value = '<0.5';"
        "field.dispatchEvent(new Event('input'));"
        "const rows = Array.from(document.querySelectorAll('tbody tr')).filter(r => !r.hidden);"
        "document.title = rows.length + ' ' + rows[0].cells[0].textContent + ' '"
        " + document.querySelector('.pager span').textContent;"
    )
    title = in_chromium(report.to_html(), act, tmp_path / "r.html")
    assert title == "50 s29 rows 1–50 of 60 matching (120 in all)"


@pytest.mark.browser
@pytest.mark.slow
def test_dragging_zooms_every_panel_in_a_browser(tmp_path):
    """The middle half of a panel is dragged over; then all panels show it, and buttons go on from there."""
    zoom = Zoom(encode_sequence("ACGU" * 100), first=1000, minus=False, label="position")
    zoom.add_track("QKI", np.linspace(0, 1, 400), threshold=0.5, spans=[(10, 20)])
    zoom.add_letters("map", np.ones(150), at=100, limits=(0, 2))
    report = Report("t")
    report.add_figure(small_figure(), "caption", zoom=zoom)
    act = """
    const plots = [], said = [];
    const made = window.uPlot, sizes = () => plots.map((p) => Math.round(p.scales.x.max - p.scales.x.min)).join(",");
    window.uPlot = Object.assign(function (...a) { const plot = new made(...a); plots.push(plot); return plot; }, made);
    document.querySelector(".zoom").querySelectorAll(":scope > :not(script)").forEach((part) => part.remove());
    enableZoom(document.querySelector(".zoom"), 9);
    const wait = () => new Promise((done) => setTimeout(done, 50));
    (async () => {
      await wait(); said.push(sizes());
      const over = plots[0].over, box = over.getBoundingClientRect();
      const mouse = (type, share, on) => on.dispatchEvent(new MouseEvent(type, { bubbles: true, button: 0,
        movementX: 5, clientX: box.left + share * box.width, clientY: box.top + 20 }));
      mouse("mousemove", 0.25, over); mouse("mousedown", 0.25, over); mouse("mousemove", 0.5, over);
      mouse("mousemove", 0.75, over); mouse("mouseup", 0.75, document);
      await wait(); said.push(sizes());
      mouse("mousemove", 0.5, over);
      await wait(); said.push(document.querySelector(".readout").textContent);
      document.querySelector("[aria-label='zoom in']").click(); await wait(); said.push(sizes());
      document.querySelector("[aria-label='show all']").click(); await wait(); said.push(sizes());
      document.title = said.join("|") + "|" + document.querySelector("details").open;
    })();
    """
    said = in_chromium(report.to_html(), act, tmp_path / "z.html").split("|")
    whole, dragged, readout, further, again, is_open = said
    assert whole == again == "400,400,400"
    assert dragged == "200,200,200"
    assert further == "100,100,100"
    assert re.fullmatch(r"1,(199|200) [ACGU] · QKI 0\.(499|500|501) · map 1\.00", readout)
    assert is_open == "false"
