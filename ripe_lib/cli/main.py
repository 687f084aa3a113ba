"""Entry point of ``ripe``. Keep this module light: ``ripe --help`` must answer in under half a second."""

import sys

from ripe_lib.output.console import run_command, warnings_as_notes

# command -> (module with add_arguments(parser) and run(args), one-line help)
COMMANDS = {
    "models": ("ripe_lib.cli.models", "list the models"),
    "tasks": ("ripe_lib.cli.tasks", "list the RBPs a model predicts"),
    "register": ("ripe_lib.cli.register", "make the models known to Kipoi"),
    "predict": ("ripe_lib.cli.predict", "predict binding for intervals"),
    "scan": ("ripe_lib.cli.scan", "find binding sites along RNAs, genes or regions"),
    "enrich": ("ripe_lib.cli.enrich", "find the RBPs that bind given intervals, e.g. peaks"),
    "attribute": ("ripe_lib.cli.attribute", "show which bases and region types made a prediction"),
    "motifs": ("ripe_lib.cli.motifs", "collect attributions into motifs and match them to known ones"),
    "score-variants": ("ripe_lib.cli.score_variants", "score the variants of a VCF"),
    "precompute": ("ripe_lib.cli.precompute", "score every substitution of regions into an indexed table"),
    "mutate": ("ripe_lib.cli.mutate", "score every substitution of a region"),
    "asb": ("ripe_lib.cli.asb", "compare alleles at sites of allele-specific binding"),
    "compare-strand": ("ripe_lib.cli.compare_strand", "show what scoring variants on the right strand changes"),
    "evaluate": ("ripe_lib.cli.evaluate", "measure a model on a data set, or on bound and unbound intervals"),
}


def main(argv: list[str] | None = None) -> int:
    """Run ``ripe``; returns the exit code (0 done, 2 the user can fix it, 1 a bug)."""
    about = "DeepRiPe: RNA-binding protein sites, their explanation, and variants."
    with warnings_as_notes():
        return run_command("ripe", about, COMMANDS, argv)


if __name__ == "__main__":
    sys.exit(main())
