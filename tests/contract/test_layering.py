"""Imports go down the levels only; a module nobody placed fails."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEVELS = [
    {"_version", "errors", "cache", "atomic", "encoding", "spec", "metrics", "figures"},
    {
        "intervals",
        "contigs",
        "rna_fasta",
        "genome",
        "gtf",
        "annotation_index",
        "annotation",
        "vcf",
        "alleles",
        "catalogue",
        "kmers",
    },
    {"windows", "architecture", "weights", "tables", "chunked", "calibration", "html_report", "kipoi_config", "meme"},
    {"models", "dataset", "motif_databases"},
    {"predict", "incremental", "motif_match"},
    {"attribution"},
    {"plot", "site_plots", "evaluate", "evaluation_plots", "motifs"},
    {"scan", "kipoi_render"},
    {"variants", "asb", "saturation_output"},
    {"reports"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
PACKAGES = ("ripe_lib", "dataloaders", "training")


def modules(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        yield path, ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path):
    """Every absolute import of a file, including those inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module):
    """``ripe_lib.cli.predict`` -> ``cli``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


@pytest.mark.parametrize("path", [p for p, _ in modules("ripe_lib")], ids=str)
def test_ripe_lib_imports_go_down(path):
    own = path.relative_to(ROOT / "ripe_lib").with_suffix("").parts[0]
    if own == "__init__":
        return
    assert own in LEVEL, f"{path} has no level: place it in tests/contract/test_layering.py"
    for name in imports(path):
        top = name.split(".")[0]
        assert top not in {"kipoi", "kipoiseq", "dataloaders", "training"}, f"{path} imports {name}"
        if top == "ripe_lib" and (other := room(name)) and other in LEVEL and other != own:
            assert LEVEL[other] < LEVEL[own] or {own, other} <= LEVELS[LEVEL[own]], f"{path} imports upwards: {name}"


def test_no_cycles_within_a_level():
    graph = {}
    for path, module in modules("ripe_lib"):
        own = room(module)
        graph.setdefault(own, set()).update(
            room(name) for name in imports(path) if name.startswith("ripe_lib.") and room(name) in LEVEL
        )
    done = set()

    def visit(node, trail):
        assert node not in trail, f"import cycle: {' -> '.join([*trail, node])}"
        if node not in done:
            for other in graph.get(node, ()) - {node}:
                visit(other, [*trail, node])
            done.add(node)

    for node in set(graph) - {None}:
        visit(node, [])


@pytest.mark.parametrize(("package", "other"), [("dataloaders", "training"), ("training", "dataloaders")])
def test_leaf_packages_do_not_know_each_other(package, other):
    for path, _ in modules(package):
        assert not any(name.split(".")[0] == other for name in imports(path)), path
