"""Entry point of ``ripe-train``."""

import sys

from ripe_lib.output.console import run_command

COMMANDS = {
    "fetch": ("training.cli.fetch", "get genomes, annotations and peaks by accession"),
    "prepare": ("training.cli.prepare", "turn CLIP peaks or tables into a data set"),
    "fit": ("training.cli.fit", "train a model on a data set"),
    "tiers": ("training.cli.tiers", "prepare, train and publish the models of a config"),
    "study": ("training.cli.study", "run the paper's comparisons"),
    "publish": ("training.cli.publish", "turn a run into a Kipoi model directory"),
    "import-published": ("training.cli.import_published", "fetch one of the authors' models"),
}


def main(argv: list[str] | None = None) -> int:
    """Run ``ripe-train``; exit codes as ``ripe``."""
    return run_command("ripe-train", "Make DeepRiPe models from CLIP peaks.", COMMANDS, argv)


if __name__ == "__main__":
    sys.exit(main())
