"""Exceptions that a user can act on, and the wording helpers they share.

Every message reads ``where: expected ..., got .... What to do.`` The commands print it as one line and
exit with code 2; anything that is not a :class:`RipeError` is a bug and exits with code 1.
"""

import difflib
from collections.abc import Iterable

_LONGEST = 1000  # of a message: what it quotes comes from files


class RipeError(Exception):
    """Base of everything the user can fix; the message is one self-sufficient line."""

    def __str__(self) -> str:
        text = super().__str__()
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 205]} ... {text[-200:]}"


class InputError(RipeError, ValueError):
    """A file or value from the user is not what was expected."""


class MissingFileError(RipeError, FileNotFoundError):
    """A file the user named does not exist or cannot be read."""


class UnknownNameError(RipeError, LookupError):
    """A model, task, contig, gene or option name that does not exist."""


class ShapeMismatchError(InputError):
    """Arrays do not fit the model or each other; the message gives both shapes."""


class WeightsError(RipeError):
    """A weights file is missing, damaged, or of another architecture."""


class MissingPackageError(RipeError, ImportError):
    """An optional package is not installed; the message says what to install."""


class OutputError(RipeError, OSError):
    """The result could not be written (no such folder, disk full, not writable)."""


def nearest_names(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three known names that look like ``name``, best first, ignoring case."""
    by_folded: dict[str, str] = {}
    for candidate in known:
        by_folded.setdefault(candidate.casefold(), candidate)
    close = difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.4)
    return [by_folded[folded] for folded in close]


def unknown_name(kind: str, name: str, known: Iterable[str], hint: str = "") -> UnknownNameError:
    """Return the error for an unknown name, with its nearest neighbours.

    Parameters
    ----------
    kind, name : str
        What the name stands for, e.g. ``"task"``; what was asked for.
    known : iterable of str
    hint : str
        A closing sentence, e.g. ``"List them with: ripe tasks DeepRiPe/clip31"``.
    """
    known = list(known)
    close = nearest_names(name, known)
    if close:
        tail = "Did you mean " + " or ".join(repr(c) for c in close) + "?"
    else:
        shown = ", ".join(known[:8]) + (f" and {len(known) - 8} more" if len(known) > 8 else "")
        tail = f"Known: {shown}." if known else "There are none."
    return UnknownNameError(f"unknown {kind} {name!r}. {tail}{' ' + hint if hint else ''}")


def check_known(kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
    """Raise an :class:`UnknownNameError` for a name that is none of those known; parameters as :func:`unknown_name`."""
    known = list(known)
    if name not in known:
        raise unknown_name(kind, name, known, hint)
