"""Make the shipped models again: ``RIPE_DATA=... python -m training.shipped WORK_FOLDER``.

Two networks are trained on the same data set with the same settings, the default architecture and the paper's CNN.
Each shipped name is a choice of their outputs, the paper's with ``_paper`` behind the name. A third network without
region input is only measured beside them (:mod:`training.shipped_checks`). A run that was killed goes
on where it was; a finished one is not trained again.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from ripe_lib.catalogue.locate import bundled_models_directory
from ripe_lib.cli.common import note
from ripe_lib.dataset import Dataset
from ripe_lib.models import load_model, model_from_weights
from ripe_lib.variants.summary import BACKGROUND_FILE
from training import prepare
from training.config import section
from training.fit import fit, read_config
from training.publish import publish
from training.shipped_checks import shipped_checks, write_checks
from training.variant_background import write_background

CONFIG = Path(__file__).parent / "configs" / "shipped.yaml"
PAPER_SUFFIX = "_paper"
BACKGROUND_VARIANTS = 20_000
WHOLE = "DeepRiPe/clip31"


def make_shipped(work: Path, *, models: Path, note_line: prepare.Note, quiet: bool = False) -> list[Path]:
    """Prepare, train and publish.

    Parameters
    ----------
    work : Path
        Folder for the data set and the runs.
    models : Path
        Folder that holds ``DeepRiPe/``; the package's own or another.

    Returns
    -------
    list of Path
        The model directories.
    """
    kept = section(CONFIG, "publish")
    data = work / "shipped.h5"
    if not data.is_file():
        prepare.prepare(replace(prepare.read_config(CONFIG), output=data), note=note_line)
    joint = replace(read_config(CONFIG), data=data, run=work / "joint")
    paper = replace(joint, run=work / "joint_paper", architecture="cnn")
    made = []
    for config, suffix in ((joint, ""), (paper, PAPER_SUFFIX)):
        run = fit(config, quiet=quiet, note=note_line)
        for name, tasks in kept.items():
            directory = publish(
                run,
                data=data,
                out=models / f"{name}{suffix}",
                name=f"{name}{suffix}",
                tasks=tasks,
                neutral=True,
                calibrate=True,
                overwrite=True,
                note=note_line,
            )
            write_background(
                load_model(directory),
                Dataset(data),
                directory / BACKGROUND_FILE,
                n=BACKGROUND_VARIANTS,
                seed=config.seed,
            )
            note_line(str(directory))
            made.append(directory)
    twin = fit(
        replace(joint, run=work / "joint_sequence", inputs="sequence", views=("plain",)), quiet=quiet, note=note_line
    )
    whole = load_model(models / WHOLE)
    write_checks(shipped_checks(whole, model_from_weights(twin / "weights.h5"), Dataset(data)))
    return made


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="folder for the data set and the runs")
    parser.add_argument(
        "--models", type=Path, default=bundled_models_directory(), help="default: the package's kipoi_models"
    )
    args = parser.parse_args()
    if "RIPE_DATA" not in os.environ:
        parser.error("set RIPE_DATA to the folder that holds clip31/ and rbp24/")
    args.work.mkdir(parents=True, exist_ok=True)
    make_shipped(args.work, models=args.models, note_line=lambda line: note(line, quiet=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
