"""``ripe-train import-published NAME|--file H5``."""

from __future__ import annotations

import argparse
import sys

READS = ("file", "tasks")
REPLACES = ("out",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="published model, e.g. parclip_mid; see: ripe models")
    parser.add_argument("--file", metavar="H5", help="a file that is here already, instead of downloading")
    parser.add_argument(
        "--tasks",
        metavar="FILE_OR_NAME",
        help="what the outputs of --file mean: a file with one RBP per line, or the model whose list it shares",
    )
    parser.add_argument("--out", metavar="DIR", help="model directory to make (default: in your model folder)")
    parser.add_argument("--mirror", default="", metavar="URL|DIR", help="a server or folder with the same paths")
    parser.add_argument("--overwrite", action="store_true", help="replace what is installed already")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no notes on stderr")


def run(args: argparse.Namespace) -> None:
    """Fetch one of the authors' models and install it."""
    from ripe_lib.network.load import quiet_tensorflow
    from ripe_lib.output.console import counter
    from training.published.models import import_published

    quiet_tensorflow()
    with counter(args.name or "file", "B", unit_scale=True) as show:
        directory = import_published(
            args.name,
            file=args.file,
            tasks=args.tasks,
            out=args.out,
            mirror=args.mirror,
            progress=show,
            overwrite=args.overwrite,
        )
    sys.stdout.write(f"{directory}\n")
