"""Make the shipped models again: ``RIPE_DATA=... python -m training.publishing.shipped WORK_FOLDER``.

Networks are trained on one data set (``publish: networks`` of the config; some are teachers of others). Each shipped
name is a choice of the outputs of one of them, the paper's CNN's with ``_paper`` behind the name. A network without
region input is only measured beside them (:mod:`training.publishing.shipped_checks`). A run that was killed goes on
where it was; a finished one is not trained again.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection
from dataclasses import replace
from functools import cache
from pathlib import Path

from ripe_lib.errors import unknown_name
from ripe_lib.evaluation.dataset import Dataset
from ripe_lib.network.catalogue.locate import bundled_models_directory
from ripe_lib.network.load import load_model, model_from_weights
from ripe_lib.output.console import note
from ripe_lib.variants.summary import BACKGROUND_FILE
from training.config import build, merged, section
from training.data import prepare
from training.data.config import read_config as read_prepare_config
from training.fitting.config import FitConfig
from training.fitting.fit import fit
from training.publishing.publish import publish
from training.publishing.shipped_checks import shipped_checks, write_checks
from training.publishing.variant_background import write_background

CONFIG = Path(__file__).parents[1] / "configs" / "shipped.yaml"
PAPER_SUFFIX = "_paper"
BACKGROUND_VARIANTS = 20_000
WHOLE = "DeepRiPe/clip31"


def networks(work: Path, data: Path) -> dict[str, FitConfig]:
    """Return the options of every network by name, teachers before their students."""
    made: dict[str, FitConfig] = {}
    for name, changes in section(CONFIG, "publish")["networks"].items():
        options = merged(section(CONFIG, "fit"), changes)
        if teachers := options.get("distill", {}).get("teachers"):
            files = [str(made[teacher].run / "weights.h5") for teacher in teachers]
            options = merged(options, {"distill": {"teachers": files}})
        made[name] = build(FitConfig, merged(options, {"data": str(data), "run": str(work / name)}), str(CONFIG))
    return made


def network_of(model: str) -> str:
    """Return the name of the network a shipped model is taken from.

    Raises
    ------
    UnknownNameError
        If no model of that name is shipped.
    """
    if model not in (known := shipped_names()):
        raise unknown_name("shipped model", model, known)
    return str(section(CONFIG, "publish")["paper" if model.endswith(PAPER_SUFFIX) else "default"])


def shipped_names() -> list[str]:
    """Return the names of all shipped models."""
    names = list(section(CONFIG, "publish")["outputs"])
    return [*names, *(f"{name}{PAPER_SUFFIX}" for name in names)]


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
    wanted = {model: network_of(model) for model in only or shipped_names()}
    kept = section(CONFIG, "publish")["outputs"]
    data = work / "shipped.h5"
    if not data.is_file():
        prepare.prepare(replace(read_prepare_config(CONFIG), output=data), note=note_line)
    configs = networks(work, data)

    @cache
    def trained(name: str) -> Path:
        for teacher in section(CONFIG, "publish")["networks"][name].get("distill", {}).get("teachers", ()):
            trained(teacher)
        note_line(f"network {name}")
        return fit(configs[name], quiet=quiet, note=note_line)

    made = []
    for model, network in wanted.items():
        run = trained(network)
        directory = publish(
            run,
            data=data,
            out=models / model,
            name=model,
            tasks=kept[model.removesuffix(PAPER_SUFFIX)],
            calibrate=True,
            overwrite=True,
            note=note_line,
        )
        write_background(
            load_model(directory),
            Dataset(data),
            directory / BACKGROUND_FILE,
            n=BACKGROUND_VARIANTS,
            seed=configs[network].seed,
        )
        note_line(str(directory))
        made.append(directory)
    if WHOLE in wanted:
        twin = trained(section(CONFIG, "publish")["twin"]) / "weights.h5"
        write_checks(shipped_checks(load_model(models / WHOLE), model_from_weights(twin), Dataset(data)))
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
