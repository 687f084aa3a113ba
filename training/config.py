"""YAML configs: read with line numbers, unknown keys refused with the nearest name, types checked."""

from __future__ import annotations

import dataclasses
import os
import re
import types
import typing
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ripe_lib.errors import InputError, MissingFileError, nearest_names
from ripe_lib.output.foreign import load_yaml

T = TypeVar("T")
Note = Callable[[str], None]  # takes remarks for the user, one line each

SECTIONS = ("fetch", "prepare", "fit", "publish", "study", "warm_start")


class Mapping(dict[str, Any]):
    """A YAML mapping that knows the lines of its keys."""

    lines: dict[str, int]
    where: str

    def at(self, key: str | None = None) -> str:
        """Return ``file:line`` of a key."""
        line = self.lines.get(key) if key is not None else None
        return f"{self.where}:{line}" if line is not None else self.where


class _Loader(yaml.SafeLoader):
    file_name = ""


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> Mapping:
    mapping = Mapping()
    mapping.lines, mapping.where = {}, loader.file_name
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node, deep=True))
        line = key_node.start_mark.line + 1
        if key in mapping:
            raise InputError(f"{loader.file_name}:{line}: key {key!r} was given already in line {mapping.lines[key]}.")
        mapping[key] = loader.construct_object(value_node, deep=True)
        mapping.lines[key] = line
    return mapping


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)


def read_yaml(path: str | Path) -> Mapping:
    """Read a config file, a YAML mapping; errors name the line."""
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path}: no such config file.")
    data = load_yaml(path, type("_FileLoader", (_Loader,), {"file_name": str(path)}))
    if not isinstance(data, Mapping):
        raise InputError(f"{path}: expected keys and values, got {type(data).__name__}.")
    return data


def build(kind: type[T], mapping: Any, where: str = "config") -> T:
    """Fill a dataclass from a mapping, checking keys and types, nested dataclasses included.

    Parameters
    ----------
    kind : type
        The dataclass.
    mapping : object
        What was read; anything but a dict is refused.
    where : str
        The file or section, for messages.

    Raises
    ------
    InputError
        Naming file and line: an unknown key (with the nearest name), a missing one, or a value of another type.
    """
    if not isinstance(mapping, dict):
        raise InputError(f"{where}: expected keys and values, got {mapping!r}.")
    at = mapping.at if isinstance(mapping, Mapping) else lambda _=None: where
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in mapping.items():
        if key not in fields:
            raise _unknown(f"{at(key)}: unknown key", key, fields)
        values[key] = _convert(hints[key], value, f"{at(key)}: {key}")
    for name, entry in fields.items():
        if name not in values and entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING:
            raise InputError(f"{at()}: key {name!r} is missing.")
    return kind(**values)


def _unknown(what: str, name: str, known: Iterable[str]) -> InputError:
    close = nearest_names(name, known)
    tail = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."
    return InputError(f"{what} {name!r}. {tail}")


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        *others, last = (a for a in arguments if a is not type(None))
        for candidate in others:
            with suppress(InputError):
                return _convert(candidate, value, where)
        return _convert(last, value, where)
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, where)
    if origin in (tuple, list):
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list | tuple):
            raise InputError(f"{where}: expected a list, got {value!r}.")
        return origin(_convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise InputError(f"{where}: expected keys and values, got {value!r}.")
        return dict(value)
    if hint is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError):
            return float(value)  # YAML reads 1e-3 as text
    if hint is Path and isinstance(value, str):
        return _expanded(value, where)
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise InputError(f"{where}: expected {getattr(hint, '__name__', hint)}, got {value!r}.")


def _expanded(text: str, where: str) -> Path:
    if "\0" in text:
        raise InputError(f"{where}: expected a path, got {text!r}.")
    path = os.path.expandvars(os.path.expanduser(text))  # noqa: PTH111 (Path raises for an unknown user)
    if unset := re.search(r"\$\{?(\w+)", path):
        raise InputError(f"{where}: environment variable {unset[1]} is not set. Set it or write the path out.")
    return Path(path)


def section(path: str | Path, name: str) -> Mapping:
    """Return one section of a config file, which has no others than :data:`SECTIONS`, one per command."""
    sections = read_yaml(path)
    for key in sections:
        if key not in SECTIONS:
            raise _unknown(f"{sections.at(key)}: unknown section", key, SECTIONS)
    if not isinstance(sections.get(name), Mapping):
        raise InputError(f"{path}: expected a section {name!r} with keys and values, found none.")
    return sections[name]


def plain(value: Any, *, names_only: bool = False) -> Any:
    """Return a config (dataclasses, paths, tuples) as plain YAML and JSON values; of paths the last part on request."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name), names_only=names_only) for f in dataclasses.fields(value)}
    if isinstance(value, Path):
        return value.name if names_only else str(value)
    if isinstance(value, dict):
        return {str(k): plain(v, names_only=names_only) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, names_only=names_only) for v in value]
    return value


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes``, nested mappings merged key by key."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result
