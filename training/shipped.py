"""Make the shipped models again: ``RIPE_DATA=... python -m training.shipped WORK_FOLDER``.

Networks are trained on one data set: the default architecture (with the changes of ``publish: short`` for the models
listed there) and the paper's CNN. Each shipped name is a choice of their outputs, the CNN's with ``_paper`` behind the
name. A network without region input is only measured beside them (:mod:`training.shipped_checks`). A run that was
killed goes on where it was; a finished one is not trained again.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from ripe_lib.catalogue.locate import bundled_models_directory
from ripe_lib.cli.common import note
from ripe_lib.dataset import Dataset
from ripe_lib.errors import unknown_name
from ripe_lib.models import load_model, model_from_weights
from ripe_lib.variants.summary import BACKGROUND_FILE
from training import prepare
from training.config import build, merged, section
from training.fit import FitConfig, fit, read_config
from training.publish import publish
from training.shipped_checks import shipped_checks, write_checks
from training.variant_background import write_background

CONFIG = Path(__file__).parent / "configs" / "shipped.yaml"
PAPER_SUFFIX = "_paper"
BACKGROUND_VARIANTS = 20_000
WHOLE = "DeepRiPe/clip31"


def networks(work: Path, data: Path) -> list[tuple[FitConfig, list[str], str]]:
    """Return the networks of the shipped models: options, names of the models they give, and the names' suffix."""
    names, short = list(section(CONFIG, "publish")["outputs"]), section(CONFIG, "publish")["short"]
    joint = replace(read_config(CONFIG), data=data, run=work / "joint")
    changed = build(FitConfig, merged(section(CONFIG, "fit"), {"data": str(data), **short["fit"]}), str(CONFIG))
    return [
        (joint, [name for name in names if name not in short["models"]], ""),
        (replace(changed, run=work / "joint_short"), short["models"], ""),
        (replace(joint, run=work / "joint_paper", architecture="cnn"), names, PAPER_SUFFIX),
    ]


def make_shipped(
    work: Path, *, models: Path, only: Collection[str] = (), note_line: prepare.Note, quiet: bool = False
) -> list[Path]:
    """Prepare, train and publish.

    Parameters
    ----------
    work : Path
        Folder for the data set and the runs.
    models : Path
        Folder that holds ``DeepRiPe/``; the package's own or another.
    only : collection of str
        Names of the models to make; default all.

    Returns
    -------
    list of Path
        The model directories.
    """
    kept = section(CONFIG, "publish")["outputs"]
    data = work / "shipped.h5"
    if not data.is_file():
        prepare.prepare(replace(prepare.read_config(CONFIG), output=data), note=note_line)
    made = []
    plan = networks(work, data)
    known = [f"{name}{suffix}" for _, names, suffix in plan for name in names]
    for name in only:
        if name not in known:
            raise unknown_name("shipped model", name, known)
    for config, names, suffix in plan:
        wanted = [name for name in names if not only or f"{name}{suffix}" in only]
        if not wanted:
            continue
        run = fit(config, quiet=quiet, note=note_line)
        for name in wanted:
            directory = publish(
                run,
                data=data,
                out=models / f"{name}{suffix}",
                name=f"{name}{suffix}",
                tasks=kept[name],
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
    if not only or WHOLE in only:
        joint = plan[0][0]
        twin = replace(joint, run=work / "joint_sequence", inputs="sequence", views=("plain",))
        weights = fit(twin, quiet=quiet, note=note_line) / "weights.h5"
        write_checks(shipped_checks(load_model(models / WHOLE), model_from_weights(weights), Dataset(data)))
    return made


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="folder for the data set and the runs")
    parser.add_argument(
        "--models", type=Path, default=bundled_models_directory(), help="default: the package's kipoi_models"
    )
    parser.add_argument("--only", nargs="+", default=(), metavar="MODEL", help="make these; default: all")
    args = parser.parse_args()
    if "RIPE_DATA" not in os.environ:
        parser.error("set RIPE_DATA to the folder that holds clip31/ and rbp24/")
    args.work.mkdir(parents=True, exist_ok=True)
    make_shipped(args.work, models=args.models, only=args.only, note_line=lambda line: note(line, quiet=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
