"""``make demo``: the stock ``kipoi predict DeepRiPe/parclip_mid`` on the example files, offline, as a table.

Kipoi keeps its config under HOME; the demo gives it a temporary one, so the user's own is neither read nor written.
"""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dataloaders.example_genome import FOLDER as EXAMPLES

if TYPE_CHECKING:
    import pandas as pd

MODEL = "DeepRiPe/parclip_mid"
FILES = {"intervals_file": "intervals.bed", "fasta_file": "genome.fa", "gtf_file": "genes.gtf"}


def kipoi_command() -> list[str]:
    """Return how to run the stock command: the script of this environment, or the module if there is none."""
    script = Path(sys.executable).parent / "kipoi"
    return [str(script)] if script.is_file() else [sys.executable, "-m", "kipoi"]


def temporary_home(folder: Path) -> dict[str, str]:
    """Register the models as Kipoi's default source under ``folder``; returns the environment that uses it."""
    from ripe_lib.kipoi.config import register
    from ripe_lib.network.catalogue.locate import bundled_models_directory

    bundled = bundled_models_directory()
    register({"deepripe": bundled}, folder / ".kipoi" / "config.yaml", as_default=bundled)
    own = {"HOME": str(folder), "RIPE_MODELS_DIR": str(folder / "models"), "RIPE_CACHE_DIR": str(folder / "cache")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return {**kept, **own, "TF_CPP_MIN_LOG_LEVEL": "3"}


def predict(folder: Path) -> tuple[list[list[str]], float]:
    """Run the stock command; returns the rows of its table (header first) and the seconds it took.

    Raises
    ------
    subprocess.CalledProcessError
        With what Kipoi printed in ``stderr``.
    """
    output = folder / "predictions.tsv"
    arguments = {name: str(EXAMPLES / file) for name, file in FILES.items()}
    words = ["predict", MODEL, f"--dataloader_args={json.dumps(arguments)}", "-o", str(output)]
    environment = temporary_home(folder)
    started = time.perf_counter()
    subprocess.run([*kipoi_command(), *words], env=environment, cwd=folder, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    with output.open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle, delimiter="\t")), seconds


def named_table(rows: list[list[str]], tasks: list[str]) -> pd.DataFrame:
    """Give Kipoi's columns (``preds/0``, ``preds/1``, ``preds/10``, ... in text order) their names and intervals."""
    import pandas as pd

    header, *values = rows
    bed = [line.split("\t") for line in (EXAMPLES / FILES["intervals_file"]).read_text().splitlines()]
    table = pd.DataFrame([(f"{b[0]}:{b[1]}-{b[2]}", b[5], b[3]) for b in bed], columns=["interval", "strand", "site"])
    for index, task in enumerate(tasks):
        table[task] = [float(row[header.index(f"preds/{index}")]) for row in values]
    return table


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
            rows, seconds = predict(Path(folder))
        except subprocess.CalledProcessError as error:
            sys.stderr.write(f"{error.stderr}\ndemo: kipoi predict failed with exit code {error.returncode}.\n")
            return 1
    tasks = tasks_of(MODEL)["task"].tolist()
    write_table(named_table(rows, tasks))
    sys.stdout.write(
        f"\nProbability that each protein binds, {len(rows) - 1} made-up example sites, {len(tasks)} experiments.\n"
        f"kipoi predict took {seconds:.1f} s, most of it starting TensorFlow. Your own ~/.kipoi was not touched; "
        "to use the models from it: ripe register\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
