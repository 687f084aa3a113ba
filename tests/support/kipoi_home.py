"""A temporary HOME with our sources registered, and stock Kipoi commands run there."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "dataloaders" / "example_files"
BIN = Path(sys.executable).parent


def registered_kipoi():
    """Import Kipoi in this process with the source ``deepripe``; HOME is temporary (conftest)."""
    from ripe_lib.cli.main import main

    assert main(["register", "--quiet", "--interpret-hook"]) == 0
    import kipoi

    from ripe_lib.network.catalogue.locate import user_models_directory

    for name, folder in (("deepripe", ROOT / "kipoi_models"), ("deepripe-user", user_models_directory())):
        if name not in kipoi.config.model_sources():  # imported by another test before
            kipoi.config.add_source(name, {"type": "local", "local_path": str(folder)})
    return kipoi


def example_arguments(*, gtf=True, intervals="intervals.bed", **others):
    """Dataloader arguments for the example files."""
    arguments = {"intervals_file": str(EXAMPLES / intervals), "fasta_file": str(EXAMPLES / "genome.fa")}
    if gtf:
        arguments["gtf_file"] = str(EXAMPLES / "genes.gtf")
    return {**arguments, **{name: str(value) for name, value in others.items()}}


def as_json(arguments):
    return json.dumps(arguments)


def stock(*words, cwd=None, module=None, check=True):
    """Run a stock command in a process of its own; returns the finished process with its text."""
    program = [sys.executable, "-m", module] if module else [str(BIN / "kipoi")]
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [*program, *map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done
