"""Public functions with three or more arguments say what each of them is."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECTION = re.compile(r"^ *Parameters\n *-{10}$|[Pp]arameters[^.]* as\s+:(func|meth|class):", re.MULTILINE)


def public_functions(tree, prefix=""):
    """Yield name and node of functions and methods without an underscore, in public classes."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not is_overload(node):
            yield f"{prefix}{node.name}", node


def is_overload(node):
    return any(isinstance(mark, ast.Name) and mark.id == "overload" for mark in node.decorator_list)


def n_arguments(node):
    names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len([name for name in names if name not in {"self", "cls"}])


def without_parameters(folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for name, node in public_functions(ast.parse(path.read_text(encoding="utf-8"))):
                if n_arguments(node) >= 3 and not SECTION.search(ast.get_docstring(node) or ""):
                    yield f"{path.relative_to(ROOT)}: {name}"


def test_functions_with_three_arguments_describe_them():
    missing = list(without_parameters(["ripe_lib", "training", "dataloaders"]))
    assert not missing, "\n".join(missing)


def test_what_counts_as_a_description():
    assert SECTION.search("Do.\n\nParameters\n----------\nx : int\n")
    assert SECTION.search("Do; parameters and errors as :func:`other`.")
    assert not SECTION.search("Do something with parameters x, y and z.")
