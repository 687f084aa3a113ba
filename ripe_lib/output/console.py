"""What ``ripe`` and ``ripe-train`` share on a terminal: parsing, exit codes, notes, progress bars."""

import argparse
import importlib
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from ripe_lib._version import __version__
from ripe_lib.errors import RipeError, unknown_name
from ripe_lib.output.atomic import check_apart

T = TypeVar("T")
EXIT_DONE, EXIT_USER = 0, 2  # 1: a bug
_speaks = False  # a command that is not told to be quiet turns it on


class _OneLineParser(argparse.ArgumentParser):
    """Answers a mistake in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        stop = "" if message.endswith(("?", ".")) else "."
        self.exit(EXIT_USER, f"{self.prog}: error: {message}{stop} See: {self.prog} --help\n")


def run_command(program: str, description: str, commands: dict[str, tuple[str, str]], argv: list[str] | None) -> int:
    """Run one subcommand of a program, importing only that subcommand's module; returns the exit code.

    Parameters
    ----------
    program, description : str
        For the help text.
    commands : dict
        Command -> (module, one-line help). The module defines ``add_arguments(parser)`` and ``run(args)``, which
        imports everything heavy inside. Optional: ``EXAMPLES``, shown below the help, ``OLD_SPELLINGS``
        (:func:`in_new_words`), and ``READS``, ``WRITES``, ``REPLACES``: arguments that name files to read, files to
        write, and folders that are replaced (:func:`ripe_lib.output.atomic.check_apart`).
    argv : list of str or None
        Default: ``sys.argv[1:]``.
    """
    argv = sys.argv[1:] if argv is None else argv
    is_completing = "_ARGCOMPLETE" in os.environ
    words = os.environ.get("COMP_LINE", "").split()[1:] if is_completing else argv
    chosen = next((word for word in words if not word.startswith("-")), None)
    notes: list[str] = []
    parser = _OneLineParser(prog=program, description=description)
    parser.add_argument("--version", action="version", version=f"{program} {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_OneLineParser)
    for name, (module, text) in commands.items():
        sub = subparsers.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        if name == chosen:
            loaded = importlib.import_module(module)
            loaded.add_arguments(sub)
            sub.set_defaults(run=loaded.run)
            if examples := getattr(loaded, "EXAMPLES", ""):
                sub.epilog, sub.formatter_class = examples, argparse.RawDescriptionHelpFormatter
            argv, notes = in_new_words(argv, getattr(loaded, "OLD_SPELLINGS", {}))
    if chosen is not None and chosen not in commands and argv[:1] == [chosen]:
        parser.error(str(unknown_name("command", chosen, commands)))
    if is_completing:
        import argcomplete

        argcomplete.autocomplete(parser)
    args = parser.parse_args(argv)
    global _speaks
    _speaks = not getattr(args, "quiet", False)
    for one in notes:
        note(one)
    try:
        check_apart(*(_named(args, getattr(loaded, kind, ())) for kind in ("WRITES", "READS", "REPLACES")))
        if threads := getattr(args, "threads", None):  # TensorFlow and BLAS read these when they are imported
            limits = {"OMP_NUM_THREADS": threads, "TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": 1}
            os.environ.update({name: str(limit) for name, limit in limits.items()})
        args.run(args)
        sys.stdout.flush()  # a full disk or a reader that left shows here, not at exit
        return EXIT_DONE
    except RipeError as error:
        return _fail(program, args.command, str(error))
    except BrokenPipeError:
        # The reader (e.g. `head`) went away: not an error, and Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except OSError as error:
        if error.errno is None:  # not of the file system
            raise
        name = f"{error.filename}: " if error.filename else ""
        return _fail(program, args.command, f"{name}{error.strerror}")
    except KeyboardInterrupt:
        sys.stderr.write(f"{program} {args.command}: interrupted\n")
        return 130


def in_new_words(argv: list[str], spellings: dict[str, str]) -> tuple[list[str], list[str]]:
    """Translate options that are called otherwise now; returns the command with its arguments, and one note per option.

    ``spellings``: option -> its new name, with a value where it had none (``--format long``), or ``MODEL``: what was an
    option is the first argument now, several values joined by commas.
    """
    words: list[str] = []
    models: list[str] = []
    used: dict[str, str] = {}
    rest = iter(argv)
    for word in rest:
        option, equals, value = word.partition("=")
        new = spellings.get(option)
        if new is None:
            words.append(word)
        elif new == "MODEL":
            used[option] = "the first argument"
            models.append(value if equals else next(rest, ""))
        else:
            used[option] = new
            words += [f"{new}={value}"] if equals else new.split()
    if models:
        words.insert(words.index(argv[0]) + 1, ",".join(models))
    return words, [
        f"note: {old} is {new} now; the old spelling goes with the next release" for old, new in used.items()
    ]


def _named(args: argparse.Namespace, names: Iterable[str]) -> list[str]:
    """Return the paths that arguments name; they may be repeated, or hold several with commas."""
    values = [value for name in names if (value := getattr(args, name, None))]
    texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return [part for text in texts for part in dict.fromkeys((text, *text.split(","))) if part and part != "-"]


def _fail(program: str, command: str, message: str) -> int:
    # One line, whatever a message from below contains.
    sys.stderr.write(f"{program} {command}: error: {' '.join(message.split())}\n")
    return EXIT_USER


def options(parser: argparse._ActionsContainer, title: str = "") -> Callable[..., argparse.Action]:
    """Return ``add(words, text, kind, default, **more)``, which adds options to a parser, or to a new group of it.

    ``words`` are as help texts show them (``--steps N``, ``-o --output OUT``, ``vcf VCF``), ``text`` is the help,
    ``kind`` what parses the value, or a tuple of choices; an option without a value is a switch; ``more`` is for
    ``add_argument``.
    """
    container = parser.add_argument_group(title) if title else parser

    def add(words: str, text: str | None = None, kind: Any = None, default: Any = None, **more: Any) -> argparse.Action:
        names = words.split()
        if not names[-1].islower():
            more["metavar"] = names.pop()
        elif kind is None:
            more["action"] = "store_true"
        if kind is not None:
            more["choices" if isinstance(kind, tuple) else "type"] = kind
        if default is not None:
            more["default"] = default
        return container.add_argument(*names, help=text, **more)

    return add


def whole_number(text: str) -> int:
    """Parse an integer of at least 0, in digits and of at most nine of them."""
    if not re.fullmatch("[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"expected a whole number below 1,000,000,000, got {text!r}")
    return int(text)


def positive_int(text: str) -> int:
    """Parse an integer of at least 1."""
    if not re.fullmatch("0*[1-9][0-9]{,8}", text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, below 1,000,000,000, got {text!r}")
    return int(text)


def number(text: str) -> float:
    """Parse a finite number, as files have them (no ``1_0``, no ``nan``)."""
    if not re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?", text) or abs(float(text)) > 1e300:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return float(text)


def progress(iterable: Iterable[T] | None = None, *, quiet: bool, **options: Any) -> Any:
    """Wrap in a tqdm bar that shows only on a terminal."""
    from tqdm import tqdm

    return tqdm(iterable, disable=quiet or not sys.stderr.isatty(), dynamic_ncols=True, **options)


def steps(items: Iterable[T] | None, what: str, **options: Any) -> Any:
    """Wrap items in a bar that a command shows when they take longer than a second; the library alone shows none."""
    return progress(items, quiet=not _speaks, desc=what, delay=1, **options)


@contextmanager
def counter(what: str, unit: str, **options: Any) -> Iterator[Callable[[int, int | None], None]]:
    """Give a function of what is done and the total, which moves such a bar; options are those of tqdm."""
    with steps(None, what, unit=unit, **options) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def note(message: str) -> None:
    """Write one remark to stderr, unless the command was told to be quiet."""
    if _speaks:
        sys.stderr.write(message + "\n")


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Say each warning in one plain line instead of with a file name and a line of source code."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: note(f"note: {message}")
        yield
