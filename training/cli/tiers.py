"""``ripe-train tiers CONFIG``."""

import argparse
import math
import sys
from pathlib import Path

from ripe_lib.output.console import options, positive_int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = options(parser)
    add("config CONFIG", "YAML with prepare, fit, publish and maybe fetch; see training/configs")
    add("--work DIR", "folder for sources, data set and runs", required=True)
    add("--out DIR", "folder that gets DeepRiPe/MODEL (default: your model folder)")
    add("--only MODEL", "make these models (default: all)", nargs="+", default=())
    add("--plan", "show disk, memory and time of every step, do nothing")
    add("--mirror URL|DIR", "a server or folder with the same paths", default="")
    add("--dask SCHEDULER", "address of a dask scheduler, or processes:N")
    add("--threads N", "CPU threads (default: all)", positive_int)
    add("--quiet", "no plan, no progress bar and no notes on stderr")


def run(args: argparse.Namespace) -> None:
    """Fetch, prepare, train and publish the models of a config; goes on where it was stopped."""
    from ripe_lib.network.catalogue.locate import bundled_models_directory, user_models_directory
    from ripe_lib.network.load import quiet_tensorflow
    from ripe_lib.output.console import progress
    from training.publishing.tiers import TierOptions, make_tiers

    quiet_tensorflow()
    what = TierOptions(
        config=Path(args.config).absolute(),
        work=Path(args.work).absolute(),  # workers may run in other folders
        models=(Path(args.out) if args.out else user_models_directory()).absolute(),
        only=tuple(args.only),
        mirror=args.mirror,
    )
    seconds: dict[str, float] = {}
    if args.plan or not args.quiet:
        from training.publishing.plan import make_plan, plan_table

        steps = make_plan(what)
        (sys.stdout if args.plan else sys.stderr).write(plan_table(steps))
        if args.plan:
            return
        seconds = {step.name: step.seconds for step in steps if not math.isnan(step.seconds)}
    done = dict.fromkeys(seconds, 0.0)
    with progress(
        total=sum(seconds.values()),
        quiet=args.quiet,
        bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed}, about {remaining} left",
    ) as bar:

        def show(step: str, share: float) -> None:
            bar.set_description_str(step, refresh=False)
            if step in done:
                bar.update((share - done[step]) * seconds[step])
                done[step] = share

        def say(line: str) -> None:
            if not args.quiet:
                bar.write(line, file=sys.stderr)

        for model in what.wanted():
            if what.models != bundled_models_directory() and (bundled_models_directory() / model).is_dir():
                say(f"{model} is also the name of a shipped model, which commands prefer: give {what.models / model}")
        made = make_tiers(what, scheduler=args.dask, note=say, progress=show)
    for directory in made:
        sys.stdout.write(f"{directory}\n")
