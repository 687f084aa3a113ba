"""Pages of the site that are made from the code: commands from their parsers, Python names, models and their cards."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
PROGRAMS = {"ripe": "ripe_lib.cli.main", "ripe-train": "training.cli.main"}


def command_page(program: str) -> str:
    """Return the help of every command of a program."""
    os.environ["COLUMNS"] = "110"  # argparse wraps to it
    commands = importlib.import_module(PROGRAMS[program]).COMMANDS
    parts = [f"# `{program}`\n\n| command | what it does |\n|---|---|"]
    parts += [f"| [`{name}`](#{program}-{name}) | {text} |" for name, (_, text) in commands.items()]
    for name, (module, text) in commands.items():
        loaded = importlib.import_module(module)
        parser = argparse.ArgumentParser(
            f"{program} {name}",
            description=text[0].upper() + text[1:] + ".",
            epilog=getattr(loaded, "EXAMPLES", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        loaded.add_arguments(parser)
        parts.append(f"\n## `{program} {name}` {{#{program}-{name}}}\n\n```text\n{parser.format_help()}```")
    return "\n".join(parts) + "\n"


def python_page() -> str:
    """Return a page of the public names, each documented where it is defined."""
    import ripe_lib

    names = sorted(ripe_lib.__all__, key=lambda name: (name[0].isupper(), name))
    parts = ["# Python", "`import ripe_lib` loads neither NumPy nor TensorFlow; the names load what they need."]
    for name in names:
        if name == "__version__":
            continue
        home = getattr(ripe_lib, name).__module__
        parts.append(f"::: {home}.{name}\n    options:\n      heading_level: 2")
    return "\n\n".join(parts) + "\n"


def model_pages() -> Iterator[tuple[str, str]]:
    """Yield the page of all models and the card of each shipped one, with its measured numbers."""
    from ripe_lib.network.catalogue import list_models

    table = list_models()
    shipped = table[table["status"] == "bundled"]
    columns = ["tier", "protocol", "cell_line", "n_tasks", "architecture", "auroc", "ap"]
    lines = ["# Models", "", f"| model | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for row in shipped.to_dict("records"):
        name = row["model"].removeprefix("DeepRiPe/")
        values = (f"{row[c]:.3f}" if isinstance(row[c], float) else str(row[c]) for c in columns)
        lines.append(f"| [`{row['model']}`](models/{name}.md) | {' | '.join(values)} |")
        card = (ROOT / "kipoi_models" / "DeepRiPe" / name / "model_card.md").read_text(encoding="utf-8")
        # What a card links to beside the site is a file of the repository, not a page.
        yield f"reference/models/{name}.md", re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", card)
    lines += ["", f"Known besides, to be fetched by `ripe-train import-published`: {len(table) - len(shipped)} models."]
    yield "reference/models.md", "\n".join(lines) + "\n"


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to those of the folder."""
    from mkdocs.structure.files import File, InclusionLevel

    pages = {f"reference/{program}.md": command_page(program) for program in PROGRAMS}
    pages["reference/python.md"] = python_page()
    pages.update(model_pages())
    for place, text in pages.items():
        listed = InclusionLevel.NOT_IN_NAV if place.startswith("reference/models/") else InclusionLevel.UNDEFINED
        files.append(File.generated(config, place, content=text, inclusion=listed))
    return files
