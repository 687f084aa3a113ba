"""Command lines and Python snippets of the documents."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page, language):
    """Return the fenced blocks of a page in a language (``""`` or ``"sh"``: shell)."""
    return [text for name, text in _FENCE.findall(page.read_text(encoding="utf-8")) if name in language]


def commands(page, programs=("ripe",)):
    """Return the argument lists of the shell lines that start with one of the programs, comments left out."""
    lines = "\n".join(blocks(page, ("", "sh", "bash"))).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if line.split()[:1] and line.split()[0] in programs]
    return [line for line in words if line]
