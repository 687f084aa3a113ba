"""``ripe register``: make the models known to Kipoi."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ripe_lib.kipoi.config import Change

DEFAULT_SOURCE_NAME = "deepripe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--source-name",
        default=DEFAULT_SOURCE_NAME,
        metavar="NAME",
        help=f"name of the Kipoi source (default {DEFAULT_SOURCE_NAME}); your own models become NAME-user",
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--as-default",
        action="store_true",
        help="also point Kipoi's built-in source 'kipoi' here, so that no --source is needed",
    )
    choice.add_argument("--undo", action="store_true", help="give the built-in source 'kipoi' back what it was")
    parser.add_argument("--quiet", action="store_true", help="say nothing")


def run(args: argparse.Namespace) -> None:
    """Write Kipoi's config and say what changed."""
    from ripe_lib.kipoi import config as kipoi_config
    from ripe_lib.network.catalogue import bundled_models_directory, user_models_directory

    path = kipoi_config.config_path()
    if args.undo:
        lines = [_undone(path, kipoi_config.restore_default(path))]
    else:
        sources = {
            args.source_name: bundled_models_directory(),
            f"{args.source_name}-user": user_models_directory(),
        }
        change = kipoi_config.register(
            sources, path, as_default=bundled_models_directory() if args.as_default else None
        )
        lines = _registered(path, change, sources, as_default=args.as_default)
        if (hook := kipoi_config.mend_interpret_commands()) is not None:
            lines.append(f"{hook}: lets `kipoi interpret grad` and `ism` read their arguments; remove it to go back.")
    if not args.quiet:
        sys.stdout.write("".join(line + "\n" for line in lines))


def _undone(path: Path, restored: bool) -> str:
    if restored:
        return f"{path}: the source 'kipoi' is again what it was before `ripe register --as-default`."
    return f"{path}: the source 'kipoi' does not point to DeepRiPe; nothing to undo."


def _registered(path: Path, change: Change, sources: dict[str, Path], *, as_default: bool) -> list[str]:
    lines = [f"{path}: nothing to change."]
    if change.written:
        lines = [f"{path}: wrote the source{'s' if len(change.written) > 1 else ''} {', '.join(change.written)}."]
    if change.backup is not None:
        lines.append(f"The file as it was before: {change.backup}")
    lines += [f"  {name}: {folder}" for name, folder in sources.items()]
    if as_default:
        lines.append("  kipoi: the same models, so that `kipoi predict DeepRiPe/parclip_mid` works without --source.")
        lines.append("Other models of the Kipoi zoo are hidden until: ripe register --undo")
    else:
        lines.append(f"Try: kipoi info DeepRiPe/parclip_mid --source {next(iter(sources))}")
    return lines
