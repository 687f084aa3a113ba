"""Pictures, page and attribution maps of a scan."""

import json
import re

import h5py
import numpy as np
import pandas as pd
import pytest

from ripe_lib.errors import InputError, OutputError
from ripe_lib.reports.scan import computed, pictures, scan_report, view_figure, views, write_pictures
from ripe_lib.scan.memory import SequenceSource
from ripe_lib.scan.run import ScanOptions, scan_to_files
from ripe_lib.scan.sources import GenomeSource, TranscriptSource
from ripe_lib.scan.thresholds import ThresholdChoice
from tests.support.motif_model import motif_model
from tests.support.scan_genome import random_rna, write_genome


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """A genome with ACUAAC at 700 on plus and at 5000 on minus, its scan, and the maps of the sites."""
    folder = tmp_path_factory.mktemp("scanned")
    rng = np.random.default_rng(3)
    letters = random_rna(rng, 3000, "CGT") + random_rna(rng, 3000, "CG")
    letters = letters[:700] + "ACTAAC" + letters[706:5000] + "GTTAGT" + letters[5006:]
    (folder / "g.fa").write_text(f">c\n{letters}\n")
    source = GenomeSource(str(folder / "g.fa"), None, (("c", "+", 0, 6000), ("c", "-", 0, 6000)))
    model = motif_model()
    options = ScanOptions(thresholds=ThresholdChoice(threshold=0.5))
    result = scan_to_files(model, source, attributions=folder / "m.h5", options=options)
    return model, source, result, folder


def test_best_sites_and_views(scanned):
    _, source, result, _ = scanned
    assert result.best_sites[["strand", "kmer_start"]].to_numpy().tolist() == [["+", 700], ["-", 5000]]
    chosen = views(source, result.best_sites, 5)
    assert [(view.strand, view.end - view.start, len(view.sites)) for view in chosen] == [("+", 801, 1), ("-", 801, 1)]
    assert len(views(source, result.best_sites, 1)) == 1
    short = SequenceSource(np.zeros(400, np.uint8), name="c")
    assert (views(short, result.best_sites.head(1), 5)[0].start, views(short, result.best_sites, 1)[0].end) == (0, 400)


def test_figure_shows_tracks_sites_and_logos(scanned):
    model, source, result, _ = scanned
    view = views(source, result.best_sites, 2)[1]
    axes = view_figure(computed(model, source, view)).axes
    assert [ax.get_ylabel() for ax in axes] == ["MOTIF", "attribution"]
    assert axes[0].get_title(loc="left").endswith("(-), 5' end on the right")
    assert "ACUAAC" in axes[1].get_title(loc="left")


def test_pictures_and_page(scanned, tmp_path):
    model, source, result, _ = scanned
    drawn = pictures(model, source, result, max_pictures=2)
    written = write_pictures(drawn[:1], tmp_path / "p", formats=("png", "svg"))
    assert [path.suffix for path in written] == [".png", ".svg"]
    assert written[0].read_bytes().startswith(b"\x89PNG")
    page = scan_report(model.name, result, drawn).to_html()
    assert page.count('<img style="') == 2
    for anchor in re.findall(r'href="#(view-\d)"', page):
        assert f'id="{anchor}"' in page
    assert len(re.findall(r'href="#view-\d"', page)) == 2
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="expected a folder, got a file"):
        write_pictures(drawn, tmp_path / "file")


def zooms(page):
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page)]


def test_page_zooms_along_the_rna_on_either_strand(scanned):
    """Positions, scores and letters of the panels are those of the view, 5' on the left."""
    model, source, result, _ = scanned
    page = scan_report(model.name, result, pictures(model, source, result, max_pictures=2)).to_html()
    assert page.count("var uPlot=") == 1
    for view, data in zip(views(source, result.best_sites, 2), zooms(page), strict=True):
        minus = view.strand == "-"
        track, letters = data["panels"]
        site = data["sequence"].index("ACUAAC")
        assert data["first"] + data["direction"] * site == (5005 if minus else 700)
        scores = computed(model, source, view).scores[:: -1 if minus else 1, 0]
        np.testing.assert_allclose(np.array(track["values"]) * track["unit"], scores, atol=track["unit"])
        assert any(start <= site < stop for start, stop in track["spans"])
        heights = np.abs(letters["values"])
        assert heights[site - letters["at"] :][:6].sum() > 0.9 * heights.sum()
    assert "uPlot" not in scan_report(model.name, result, []).to_html()  # nothing to zoom in


def test_report_without_a_site(scanned):
    model, source, result, _ = scanned
    empty = type(result)(step=1, n_bins=5, best_sites=result.best_sites.head(0))
    assert "Pictures" not in scan_report(model.name, empty, pictures(model, source, empty)).to_html()


def test_attribution_maps_of_sites(scanned):
    model, _, result, folder = scanned
    from ripe_lib.attribution.compute import integrated_gradients
    from ripe_lib.genome.encoding import decode_sequence, one_hot

    with h5py.File(folder / "m.h5") as handle:
        table = pd.DataFrame({name: handle[name][:] for name in ("start", "end", "score")})
        codes, maps = handle["seq_codes"][:], handle["seq"][:]
        assert handle["strand"].asstr()[:].tolist() == ["+", "-"]
        assert handle.attrs["format"] == "deepripe-site-maps-1"
        assert handle["region"].shape == (2, 250, 4)
    assert sorted(table["start"]) == sorted(result.best_sites["start"])
    for row in range(2):
        place = decode_sequence(codes[row], rna=True).index("ACUAAC")
        heights = np.abs(maps[row]).sum(axis=1)
        assert heights[place : place + 6].sum() > 0.9 * heights.sum()
    expected = integrated_gradients(model, {"seq": one_hot(codes)}, task="MOTIF").seq
    np.testing.assert_allclose(maps, expected, atol=1e-6)


def test_attributions_need_an_hdf5_name(scanned, tmp_path):
    model, source, _, _ = scanned
    with pytest.raises(InputError, match=r"expected attribution maps as \.h5"):
        scan_to_files(model, source, attributions=tmp_path / "m.tsv")


def test_spliced_transcripts_are_drawn_along_the_transcript(tmp_path, rng):
    fasta, gtf = write_genome(tmp_path, rng)
    letters = list(random_rna(rng, 2137, "CGT"))
    letters[497:500], letters[800:803] = "ACT", "AAC"  # over the first intron of T1.1: at 197 of the transcript
    (tmp_path / "g.fa").write_text(">chr1\n" + "".join(letters) + "\n>chr2\nA\n")
    (tmp_path / "g.fa.fai").unlink(missing_ok=True)
    source, model = TranscriptSource(fasta, gtf, ("T1.1",)), motif_model()
    options = ScanOptions(thresholds=ThresholdChoice(threshold=0.5))
    result = scan_to_files(model, source, sites=[tmp_path / "s.tsv"], options=options)
    site = result.best_sites.iloc[0]
    assert (site["chrom"], site["kmer_start"]) == ("T1.1", 197)
    assert pd.read_csv(tmp_path / "s.tsv", sep="\t")["chrom"].tolist() == ["chr1"]
    drawn = pictures(model, source, result)
    assert [path.name for path in write_pictures(drawn, tmp_path / "p")] == ["01-T1.1-0.png"]
    scan_report(model.name, result, drawn).write(tmp_path / "r.html")
    assert "QKI, T1.1:0-600, on chr1 (+)" in (tmp_path / "r.html").read_text()
