"""Imports go down, between packages and between files; type-checking imports and those inside functions count."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Every package of a list may import those before it and itself. A new entry has to be placed here.
ORDERS = {
    "ripe_lib": [
        "_version",
        "errors",
        "output",
        "genome",
        "network",
        "attribution",
        "evaluation",
        "motifs",
        "variants",
        "scan",
        "reports",
        "kipoi",
        "cli",
    ],
    "training": ["config", "fetch", "published", "data", "fitting", "publishing", "study", "cli"],
}
# What a folder may know of the others.
KNOWS = {
    "ripe_lib": {"ripe_lib"},
    "dataloaders": {"dataloaders", "ripe_lib"},
    "training": {"training", "ripe_lib"},
}
MOST_ENTRIES = {"ripe_lib": 14, "training": 10}
LONGEST = 450


def module_files():
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in KNOWS
        for path in sorted((ROOT / package).rglob("*.py"))
    }


FILES = module_files()


def imports(path):
    """Return the dotted names a file imports: modules of ours where they are, else what is written."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in FILES else node.module)
    return found


GRAPH = {module: imports(path) for module, path in FILES.items()}


def circle(graph):
    """Return one circle of a graph as a list of its nodes, or None."""
    done, trail = set(), []

    def visit(node):
        if node in trail:
            return [*trail[trail.index(node) :], node]
        if node in done:
            return None
        trail.append(node)
        for other in sorted(graph.get(node, ())):
            if found := visit(other):
                return found
        done.add(trail.pop())
        return None

    return next((found for node in sorted(graph) if (found := visit(node))), None)


def test_the_search_finds_circles():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}}) is None


def test_no_circle_of_files():
    # The package's face names everything below it for type checkers; nothing below may need it in return.
    assert circle({module: names & set(FILES) - {module} for module, names in GRAPH.items()}) is None


@pytest.mark.parametrize("module", sorted(FILES))
def test_imports_go_down(module):
    top, *rest = module.split(".")
    for name in GRAPH[module]:
        other, *inner = name.split(".")
        if other in KNOWS or other in {"kipoi", "kipoiseq"}:
            assert other in KNOWS[top] or (top == "dataloaders" and other.startswith("kipoi")), f"{module}: {name}"
        if rest and other == top and inner and top in ORDERS:
            order = ORDERS[top]
            assert rest[0] in order, f"{module}: place {rest[0]} in this file"
            assert order.index(inner[0]) <= order.index(rest[0]), f"{module} imports upwards: {name}"


def test_training_does_not_use_the_commands_of_ripe():
    users = [m for m, names in GRAPH.items() if m.startswith("training") and any("ripe_lib.cli" in n for n in names)]
    assert users == []


@pytest.mark.parametrize(("package", "most"), MOST_ENTRIES.items())
def test_few_entries_at_the_top(package, most):
    entries = {path.name for path in (ROOT / package).iterdir() if path.name != "__pycache__"}
    assert len(entries) <= most, sorted(entries)


@pytest.mark.parametrize("module", sorted(FILES))
def test_no_module_is_long(module):
    assert len(FILES[module].read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_benchmarks_import_their_neighbours_from_the_root(path):
    # `make bench` runs each as `python -m benchmarks.NAME`, which does not see its neighbours by their bare names.
    neighbours = {other.stem for other in path.parent.glob("*.py")}
    assert not {name.split(".")[0] for name in imports(path)} & neighbours
