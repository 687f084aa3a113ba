"""CITATION.cff, environment.yml, Dockerfile and the conda recipe say what setup.py says."""

import ast
import re

import jinja2
import yaml

from ripe_lib._version import __version__
from tests.support.documents import ROOT

CONDA_NAMES = {"matplotlib": "matplotlib-base"}


def setup_requirements():
    """Return name -> version range of setup.py's requirements; those for old Pythons alone are left out."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    assigned = {
        n.targets[0].id: n.value for n in tree.body if isinstance(n, ast.Assign) and hasattr(n.targets[0], "id")
    }
    lines = [line for line in ast.literal_eval(assigned["REQUIRES"]) if ";" not in line]
    return dict(re.fullmatch(r"([\w.-]+)(.*)", line).groups() for line in lines)


def recipe():
    """Render the recipe as conda-build does, its functions replaced by their arguments."""
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(
        (ROOT / "recipe" / "meta.yaml").read_text(encoding="utf-8")
    )
    return yaml.safe_load(template.render(PYTHON="python", pin_subpackage=lambda name, max_pin: f"{name} {max_pin}"))


def test_the_recipe_has_the_requirements_and_commands_of_setup_py():
    found = recipe()
    assert (found["package"]["name"], str(found["package"]["version"])) == ("deepripe", __version__)
    run = dict((*line.split(maxsplit=1), "")[:2] for line in found["requirements"]["run"])
    assert run.pop("python") == ">=3.10,<3.13"
    assert run == {CONDA_NAMES.get(n, n).lower(): versions for n, versions in setup_requirements().items()}
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    for entry in found["build"]["entry_points"]:
        assert f'"{entry.replace(" ", "")}"' in setup
    assert (ROOT / "recipe" / found["source"]["path"] / found["about"]["license_file"]).is_file()
    backend = re.search(r"setuptools(>=\d+,<\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8")).group(1)
    assert f"setuptools {backend}" in found["requirements"]["host"]


def test_the_citation_names_version_licence_and_paper():
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (found["version"], found["license"]) == (__version__, "MIT")
    assert {"cff-version", "message", "title", "authors"} <= set(found)
    paper = found["preferred-citation"]
    assert paper["doi"] in (ROOT / "README.md").read_text(encoding="utf-8")
    assert [author["family-names"] for author in paper["authors"]] == ["Ghanbari", "Ohler"]


def test_the_environment_installs_this_folder_with_the_tested_versions():
    found = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *packages, pip = found["dependencies"]
    assert "python=3.11" in packages
    assert pip == {"pip": ["--constraint constraints.txt", "."]}
    assert (ROOT / "constraints.txt").is_file()


def test_the_dockerfile_copies_what_the_build_needs():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    version = re.search(r'image.version="([^"]+)"', text).group(1)
    assert version == __version__
    assert re.search(r"^FROM python:3\.1[012]-", text, re.MULTILINE)
    assert f"deepripe:{__version__}" in text
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert not {"ripe_lib", "training", "dataloaders", "kipoi_models", "README.md", "setup.py"} & set(ignored)
    instructions = {line.split()[0] for line in text.replace("\\\n", " ").splitlines() if line and line[0] != "#"}
    assert instructions <= {"FROM", "RUN", "COPY", "ENV", "LABEL", "WORKDIR", "CMD"}
