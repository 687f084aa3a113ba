"""Where models lie: bundled beside the package, or in the user's model folder."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from ripe_lib.errors import InputError, MissingFileError, UnknownNameError, unknown_name
from ripe_lib.network.catalogue.entries import catalogue

GROUP = "DeepRiPe"


def bundled_models_directory() -> Path:
    """Return ``kipoi_models``: beside ``ripe_lib`` in a source checkout and in an installed wheel alike."""
    return Path(__file__).resolve().parents[3] / "kipoi_models"


def user_models_directory() -> Path:
    """Return the folder of the user's own and fetched models (it need not exist).

    ``$RIPE_MODELS_DIR`` if set, else ``deepripe/models`` in the user's data folder (``$XDG_DATA_HOME``, or
    ``~/.local/share``). A model's name is its path below this folder, e.g. ``DeepRiPe/published/parclip_mid``.
    """
    if chosen := os.environ.get("RIPE_MODELS_DIR"):
        return Path(chosen).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "deepripe" / "models"


def is_model_directory(path: Path) -> bool:
    """Whether a folder holds a ``model.yaml``."""
    return (path / "model.yaml").is_file()


def full_name(name: str) -> str:
    """Return ``DeepRiPe/<name>`` for a name with or without the group."""
    stripped = name.strip().strip("/")
    return stripped if stripped.startswith(f"{GROUP}/") else f"{GROUP}/{stripped}"


def installed_directories() -> dict[str, Path]:
    """Return the models in the user's folder by name, sorted; hidden folders are ignored."""
    root = user_models_directory()
    if not root.is_dir():
        return {}
    found: dict[str, Path] = {}
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        if "model.yaml" in files:
            directory = Path(folder)
            if directory != root:
                found[directory.relative_to(root).as_posix()] = directory
            subfolders.clear()
    return dict(sorted(found.items()))


def find_model_directory(name_or_path: str | Path) -> Path:
    """Return the directory of a model.

    Parameters
    ----------
    name_or_path : str or Path
        A name (``"DeepRiPe/clip31"``, ``"clip31"``, the name of a model in the user's folder) or the path of a
        directory with a ``model.yaml``. A text that is both is taken as the name; write ``./clip31`` for the path.

    Raises
    ------
    UnknownNameError
        With the nearest names, or, for a known model that is not here, the command that fetches it.
    MissingFileError
        If a path is given that holds no ``model.yaml``.
    """
    path = Path(name_or_path).expanduser()
    text = str(name_or_path)
    path_like = isinstance(name_or_path, Path) or path.is_absolute() or text.startswith((".", "~"))
    if not path_like:
        name = full_name(text)
        for candidate in (
            bundled_models_directory() / name,
            user_models_directory() / name,
            user_models_directory() / text.strip("/"),
        ):
            if is_model_directory(candidate):
                return candidate
        if entry := catalogue().models.get(name):
            if entry.origin == "published":
                raise UnknownNameError(
                    f"model {name!r} is one of the authors' published models and is not installed here. "
                    f"Fetch it with: ripe-train import-published {entry.short_name}"
                )
            raise UnknownNameError(
                f"model {name!r} should be bundled but {bundled_models_directory() / name} holds no model.yaml. "
                "Reinstall the package."
            )
    if is_model_directory(path):
        return path.resolve()
    if path_like or path.is_dir():
        raise MissingFileError(
            f"{path}: expected a model directory with a model.yaml, found none. List the models with: ripe models"
        )
    known = [*catalogue().models, *installed_directories()]
    # Short names resemble short names better: compare in the spelling that was given.
    if not text.startswith(f"{GROUP}/"):
        known = [one.removeprefix(f"{GROUP}/") for one in known]
    raise unknown_name("model", text, known, "List the models with: ripe models")


def model_arguments(directory: Path) -> dict[str, Any]:
    """Return the ``args`` block of a directory's ``model.yaml``: ``weights`` (a file in it) and ``sha256``.

    Raises
    ------
    MissingFileError, InputError
        If there is no such file, or it names anything else.
    """
    path = directory / "model.yaml"
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file. Give the name or directory of a DeepRiPe model.")
    state = path.stat()
    return dict(_arguments(path, (state.st_ino, state.st_mtime_ns, state.st_size)))


@lru_cache
def _arguments(path: Path, state: tuple[int, ...]) -> dict[str, Any]:
    """Read the file; ``state`` tells a changed one from one that was read before."""
    from ripe_lib.output.foreign import load_yaml

    content = load_yaml(path)
    arguments = content.get("args") if isinstance(content, dict) else None
    if not isinstance(arguments, dict) or set(arguments) != {"weights", "sha256"}:
        raise InputError(f"{path}: expected a DeepRiPe model.yaml with args 'weights' and 'sha256'.")
    weights, sha256 = arguments["weights"], arguments["sha256"]
    is_name = isinstance(weights, str) and weights not in ("", "..") and weights.isprintable()
    if not is_name or weights != Path(weights).name:
        raise InputError(f"{path}: expected the name of a file beside it as 'weights', got {str(weights)[:80]!r}.")
    if not isinstance(sha256, str | None):
        raise InputError(f"{path}: expected hexadecimal digits as 'sha256', got {str(sha256)[:80]!r}.")
    return {"weights": weights, "sha256": sha256}
