"""``ripe register``: make the models known to Kipoi, and take it back."""

import argparse
import sys
from pathlib import Path

from ripe_lib.output.console import options

EXAMPLES = """
examples:
  ripe register                 # then: kipoi predict DeepRiPe/parclip_mid --source deepripe ...
  ripe register --as-default    # then: kipoi predict DeepRiPe/parclip_mid ...
  ripe register --status
  ripe register --undo
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = options(parser)
    source = "name of the Kipoi source (default deepripe); your own models become NAME-user"
    add("--source-name NAME", source, default="deepripe")
    choice = options(parser.add_mutually_exclusive_group())
    default = "also point Kipoi's built-in source 'kipoi' at a copy of the models, so that no --source is needed"
    choice("--as-default", default)
    choice("--status", "say what is registered; changes nothing")
    choice("--undo", "take back everything: config file, copied models, start-up file")
    parser.add_argument(
        "--interpret-hook",
        action=argparse.BooleanOptionalAction,
        help="write a start-up file (.pth) into this Python's packages that lets `kipoi interpret grad` and `ism` read "
        "their arguments (default: ask, on a terminal)",
    )
    add("--quiet", "say nothing and ask nothing")


def run(args: argparse.Namespace) -> None:
    """Write Kipoi's config and say what changed."""
    from ripe_lib.kipoi import config as kipoi_config

    path = kipoi_config.config_path()
    if args.status:
        lines = _status(path)
    elif args.undo:
        undone = kipoi_config.undo(path)
        lines = [f"{path}: {'everything is again as it was before' if undone else 'nothing to undo'}."]
    else:
        lines = [*_registered(args, path), *_with_hook(args, path), "To take all of it back: ripe register --undo"]
    if not args.quiet:
        sys.stdout.write("".join(line + "\n" for line in lines))


def _registered(args: argparse.Namespace, path: Path) -> list[str]:
    from ripe_lib.kipoi import config as kipoi_config
    from ripe_lib.network.catalogue.locate import bundled_models_directory, user_models_directory

    shipped = bundled_models_directory()
    sources = {args.source_name: shipped, f"{args.source_name}-user": user_models_directory()}
    written = kipoi_config.register(sources, path, as_default=shipped if args.as_default else None)
    said = f"wrote the source{'s' if len(written) > 1 else ''} {', '.join(written)}" if written else "nothing to change"
    lines = [f"{path}: {said}.", *(f"  {name}: {folder}" for name, folder in sources.items())]
    if args.as_default:
        return [
            *lines,
            "  kipoi: a copy of the same models, so that `kipoi predict DeepRiPe/parclip_mid` needs no --source.",
            "Other models of the Kipoi zoo are hidden meanwhile. After an update of deepripe, register again.",
        ]
    return [*lines, f"Try: kipoi info DeepRiPe/parclip_mid --source {args.source_name}"]


def _with_hook(args: argparse.Namespace, path: Path) -> list[str]:
    """Write the start-up file if it is wanted; returns what to say."""
    from ripe_lib.kipoi import config as kipoi_config

    hook = kipoi_config.interpret_hook()
    if hook is None or args.interpret_hook is False:
        return []
    wanted = args.interpret_hook
    if wanted is None and not args.quiet and sys.stdin.isatty() and sys.stderr.isatty():
        sys.stderr.write(
            f"`kipoi interpret grad` and `ism` cannot read their arguments under Kipoi 0.8, for any model.\n"
            f"Write {hook}, which mends that and is read by every Python of this environment? [y/N] "
        )
        sys.stderr.flush()
        wanted = sys.stdin.readline().strip().lower() in {"y", "yes"}
    if not wanted:
        return ["For `kipoi interpret grad` and `ism`, which fail under Kipoi 0.8: ripe register --interpret-hook"]
    kipoi_config.write_interpret_hook(hook, path)
    return [f"{hook}: lets `kipoi interpret grad` and `ism` read their arguments; to go back, remove the file."]


def _status(path: Path) -> list[str]:
    from ripe_lib._version import __version__
    from ripe_lib.kipoi import config as kipoi_config

    lines = [f"{path}: {'' if path.is_file() else 'not there yet; '}sources"]
    for name, entry in kipoi_config.read_config(path)["model_sources"].items():
        place = entry.get("local_path", "") if isinstance(entry, dict) else ""
        is_gone = isinstance(entry, dict) and entry.get("type") == "local" and not Path(place).is_dir()
        lines.append(f"  {name}: {place}{' (not there)' if is_gone else ''}")
    record = kipoi_config.read_record(path)
    if record is None:
        return [*lines, "Nothing is registered by ripe. To register the models: ripe register"]
    lines.append(f"Registered by ripe: {', '.join([*record.sources, *(['kipoi'] if record.default else [])]) or '-'}")
    if record.version != __version__:
        lines.append(f"Registered by version {record.version}, this is {__version__}: register again.")
    if record.hook:
        lines.append(f"Start-up file: {record.hook}")
    return [*lines, "To take all of it back: ripe register --undo"]
