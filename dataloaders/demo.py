"""``make demo``: the stock ``kipoi predict DeepRiPe/parclip_mid`` on the example files, offline, as a table.

Kipoi keeps its config under HOME; the demo gives it a temporary one, so the user's own is neither read nor written.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

MODEL = "DeepRiPe/parclip_mid"
EXAMPLES = Path(__file__).parent / "example_files"
FILES = {"intervals_file": "intervals.bed", "fasta_file": "genome.fa", "gtf_file": "genes.gtf"}


def temporary_home(folder: Path) -> dict[str, str]:
    """Register the models as Kipoi's default source under ``folder``; returns the environment that uses it."""
    from ripe_lib.kipoi.config import register
    from ripe_lib.network.catalogue.locate import bundled_models_directory

    bundled = bundled_models_directory()
    register({"deepripe": bundled}, folder / ".kipoi" / "config.yaml", as_default=bundled)
    own = {"HOME": str(folder), "RIPE_MODELS_DIR": str(folder / "models"), "RIPE_CACHE_DIR": str(folder / "cache")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return {**kept, **own, "TF_CPP_MIN_LOG_LEVEL": "3"}


def predict(folder: Path) -> tuple[pd.DataFrame, float]:
    """Run the stock command; return its table and the seconds it took."""
    script = Path(sys.executable).parent / "kipoi"
    command = [str(script)] if script.is_file() else [sys.executable, "-m", "kipoi"]
    output = folder / "predictions.tsv"
    arguments = {name: str(EXAMPLES / file) for name, file in FILES.items()}
    command += ["predict", MODEL, f"--dataloader_args={json.dumps(arguments)}", "-o", str(output)]
    environment = temporary_home(folder)
    started = time.perf_counter()
    subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    return pd.read_csv(output, sep="\t", float_precision="round_trip"), seconds


def named_table(found: pd.DataFrame, tasks: list[str]) -> pd.DataFrame:
    """Give Kipoi's columns (``preds/0``, ``preds/1``, ``preds/10``, ... in text order) their names and intervals."""
    bed = [line.split("\t") for line in (EXAMPLES / FILES["intervals_file"]).read_text().splitlines()]
    table = pd.DataFrame([(f"{b[0]}:{b[1]}-{b[2]}", b[5], b[3]) for b in bed], columns=["interval", "strand", "site"])
    return table.assign(**{task: found[f"preds/{index}"] for index, task in enumerate(tasks)})


def main() -> int:
    """Run the demo; returns the exit code."""
    from ripe_lib.cli.common import write_table
    from ripe_lib.network.catalogue import tasks_of

    short = {name: f"example_files/{file}" for name, file in FILES.items()}
    shown = shlex.join(["kipoi", "predict", MODEL, f"--dataloader_args={json.dumps(short)}", "-o", "predictions.tsv"])
    sys.stdout.write(f"$ {shown}\n\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="deepripe-demo-") as folder:
        try:
            found, seconds = predict(Path(folder))
        except subprocess.CalledProcessError as error:
            sys.stderr.write(f"{error.stderr}\ndemo: kipoi predict failed with exit code {error.returncode}.\n")
            return 1
    tasks = tasks_of(MODEL)["task"].tolist()
    write_table(named_table(found, tasks))
    sys.stdout.write(
        f"\nProbability that each protein binds, {len(found)} made-up example sites, {len(tasks)} experiments.\n"
        f"kipoi predict took {seconds:.1f} s, most of it starting TensorFlow. Your own ~/.kipoi was not touched; "
        "to use the models from it: ripe register\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
