"""The notebooks run from top to bottom, and what is kept of them are whole, small runs."""

import base64
import json
import os
import re
import shutil

import pytest

from tests.support.documents import ROOT

FOLDER = ROOT / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 300_000


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def code(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_there_are_four_and_the_table_names_them():
    assert len(NOTEBOOKS) == 4
    table = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(path.name in table for path in NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_kept_outputs_are_of_one_whole_run_with_pictures(path):
    assert path.stat().st_size < LARGEST
    cells = code(read(path))
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    pictures = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert pictures
    assert all(base64.b64decode("".join(picture)).startswith(b"\x89PNG") for picture in pictures)
    text = path.read_text(encoding="utf-8")
    assert f"{ROOT}/" not in text  # no path of the machine it ran on
    assert not re.findall(r"/(?:root|home|Users)/", text)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    shutil.copytree(ROOT / "examples" / "data", tmp_path / "data")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    notebook = nbformat.read(path, as_version=4)
    kept = [len(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]
    folder = {"metadata": {"path": str(tmp_path / "notebooks")}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=folder).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    said = [[output for output in cell.outputs if output.get("name") != "stderr"] for cell in cells]
    assert [bool(outputs) for outputs in said] == [n > 0 for n in kept]
