"""``ripe-train import-published NAME|--file H5``."""

import argparse
import sys

from ripe_lib.output.console import counter, options

READS = ("file", "tasks")
REPLACES = ("out",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = options(parser)
    add("name NAME", "published model, e.g. parclip_mid; see: ripe models", nargs="?")
    add("--file H5", "a file that is here already, instead of downloading")
    meaning = "a file with one RBP per line, or the model whose list it shares"
    add("--tasks FILE_OR_NAME", f"what the outputs of --file mean: {meaning}")
    add("--out DIR", "model directory to make (default: in your model folder)")
    add("--mirror URL|DIR", "a server or folder with the same paths", default="")
    add("--overwrite", "replace what is installed already")
    add("--quiet", "no progress bar and no notes on stderr")


def run(args: argparse.Namespace) -> None:
    """Fetch one of the authors' models and install it."""
    from ripe_lib.network.load import quiet_tensorflow
    from training.published.models import import_published

    quiet_tensorflow()
    with counter(args.name or "file", "B", unit_scale=True) as show:
        given = {name: getattr(args, name) for name in ("name", "file", "tasks", "out", "mirror", "overwrite")}
        directory = import_published(**given, progress=show)
    sys.stdout.write(f"{directory}\n")
