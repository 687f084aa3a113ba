"""Kipoi's config file: add our model sources, keep everything else.

Kipoi reads ``~/.kipoi/config.yaml`` (``/tmp`` if HOME cannot be written, as Kipoi does) and lists there, under
``model_sources``, where models come from. Kipoi itself is not imported: it would write the file first.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import sysconfig
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

from ripe_lib.errors import InputError, OutputError
from ripe_lib.output.atomic import atomic_file
from ripe_lib.output.foreign import load_yaml

BUILT_IN = "kipoi"
PLUGIN_HOOK = "deepripe-kipoi-interpret.pth"
PROTECTED = ("dir", "py")  # names that Kipoi keeps for itself
# Where the replaced built-in source waits for --undo; Kipoi does not look at other keys than its own.
REPLACED_KEY = "deepripe_replaced_source"


class Change(NamedTuple):
    """What :func:`register` did: the names of the sources it wrote, and where the old file, if any, is kept."""

    written: list[str]
    backup: Path | None


def kipoi_directory() -> Path:
    """Return the folder of Kipoi's files, found as Kipoi finds it."""
    home = Path("~").expanduser()
    return (home if os.access(home, os.W_OK) else Path("/tmp")) / ".kipoi"


def config_path() -> Path:
    """Return the path of Kipoi's config file."""
    return kipoi_directory() / "config.yaml"


def local_source(folder: Path) -> dict[str, Any]:
    """Return the entry of a source that is a folder of models."""
    return {"type": "local", "local_path": str(folder)}


def built_in_sources(folder: Path) -> dict[str, Any]:
    """Return the sources that Kipoi 0.8 writes into a new config file."""
    return {
        "kipoi": {
            "type": "git",
            "remote_url": "https://github.com/kipoi/models.git",
            "local_path": str(folder / "models") + "/",
            "auto_update": True,
            "use_lfs": False,
        },
        "github-permalink": {"type": "github-permalink", "local_path": str(folder / "github-permalink") + "/"},
    }


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of the file, or of the one that Kipoi would write if there is none.

    Raises
    ------
    InputError
        If the file is not YAML with a mapping ``model_sources``.
    """
    if not path.is_file():
        return {"model_sources": built_in_sources(path.parent)}
    config = load_yaml(path)
    if not isinstance(config, dict) or not isinstance(config.get("model_sources"), dict):
        raise InputError(f"{path}: expected a mapping 'model_sources', found none. Mend or remove the file.")
    return config


def register(sources: dict[str, Path], path: Path, *, as_default: Path | None = None) -> Change:
    """Add local sources to the config file; what is there already is kept.

    Parameters
    ----------
    sources : dict
        Source name -> folder of models. A missing folder is created, because Kipoi lists it.
    path : Path
        The config file; created if missing, otherwise the old one is kept beside it.
    as_default : Path, optional
        Point the built-in source ``kipoi`` at this folder; :func:`restore_default` undoes it.

    Returns
    -------
    Change
        Nothing written if everything was as it should be.

    Raises
    ------
    InputError
        For a name that Kipoi keeps for itself or that belongs to a source of another kind, or a damaged file.
    """
    config = read_config(path)
    known = config["model_sources"]
    wanted = {name: local_source(folder) for name, folder in sources.items()}
    for name in wanted:
        _check_name(name, known, path)
    changed = [name for name, entry in wanted.items() if known.get(name) != entry]
    known.update(wanted)
    if as_default is not None and known.get(BUILT_IN) != local_source(as_default):
        replaced = config.get(REPLACED_KEY)
        # Where another installation is the default already, what that one replaced is still the original.
        if replaced is None or known.get(BUILT_IN) != replaced["by"]:
            replaced = {"original": known.get(BUILT_IN)}
        config[REPLACED_KEY] = {**replaced, "by": local_source(as_default)}
        known[BUILT_IN] = local_source(as_default)
        changed.append(BUILT_IN)
    for folder in sources.values():
        _make_folder(folder)
    return Change(changed, _write_config(config, path) if changed else None)


def restore_default(path: Path) -> bool:
    """Give the built-in source ``kipoi`` back what it was; returns whether there was anything to undo."""
    config = read_config(path)
    if REPLACED_KEY not in config:
        return False
    original = config.pop(REPLACED_KEY)["original"]
    if original is None:
        config["model_sources"].pop(BUILT_IN, None)
    else:
        config["model_sources"][BUILT_IN] = original
    _write_config(config, path)
    return True


def site_directory() -> Path:
    """Return the folder of installed packages of this Python."""
    return Path(sysconfig.get_paths()["purelib"])


def mend_interpret_commands(site: Path | None = None) -> Path | None:
    """Make ``kipoi interpret grad`` and ``ism`` able to read their arguments in this environment.

    kipoi-interpret 0.1.2 fails on what Kipoi 0.8 hands it before any model is loaded, so no model can help: a
    ``.pth`` file has every Python of the environment watch for that plugin (``dataloaders/startup.py`` says how).

    Returns
    -------
    Path or None
        The file, if it was written now; None if the plugin is not installed, all is well already, or the folder
        cannot be written.
    """
    try:
        if importlib.metadata.version("kipoi-interpret") != "0.1.2":
            return None
    except importlib.metadata.PackageNotFoundError:
        return None
    package = importlib.util.find_spec("dataloaders")  # found, not imported
    if package is None or not package.submodule_search_locations:
        return None
    startup = str(Path(next(iter(package.submodule_search_locations))) / "startup.py")
    # One line, because .pth files execute lines that start with "import".
    line = (
        f"import os; p = {startup!r}; os.path.isfile(p) and "
        "exec(compile((lambda f: (f.read(), f.close())[0])(open(p)), p, 'exec'), {'__name__': 'deepripe_startup'})\n"
    )
    path = (site_directory() if site is None else site) / PLUGIN_HOOK
    if _hook_works(path) or not os.access(path.parent, os.W_OK):
        return None
    with atomic_file(path) as temporary:
        temporary.write_text(line, encoding="utf-8")
    return path


def _hook_works(path: Path) -> bool:
    """Whether a hook is there and leads to a file, be it that of another copy of the package."""
    if not path.is_file():
        return False
    target = re.search(r"p = '(.+?)';", path.read_text(encoding="utf-8"))
    return target is not None and Path(target[1]).is_file()


def _check_name(name: str, known: dict[str, Any], path: Path) -> None:
    if not name or name in PROTECTED or "/" in name or name.startswith("-"):
        raise InputError(f"source name: {name!r} cannot name a Kipoi source. Choose a name like 'deepripe'.")
    if name == BUILT_IN:
        raise InputError("source name: 'kipoi' is Kipoi's built-in source. Replace it with: ripe register --as-default")
    entry = known.get(name)
    if entry is not None and (not isinstance(entry, dict) or entry.get("type") != "local"):
        raise InputError(f"{path}: the source {name!r} exists and is no local folder. Choose another --source-name.")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created ({error.strerror or error}).") from error


def _write_config(config: dict[str, Any], path: Path) -> Path | None:
    """Write the file; returns where its former content is kept."""
    import yaml

    _make_folder(path.parent)
    path = path.resolve()  # a linked file stays linked
    backup = None
    if path.is_file():
        backup = _free_name(path.with_name(path.name + ".before-deepripe"))
        with atomic_file(backup) as temporary:
            temporary.write_bytes(path.read_bytes())
    with atomic_file(path) as temporary:
        temporary.write_text(yaml.safe_dump(config, sort_keys=False, indent=4), encoding="utf-8")
    return backup


def _free_name(path: Path) -> Path:
    candidates = chain([path], (path.with_name(f"{path.name}-{number}") for number in count(2)))
    return next(candidate for candidate in candidates if not candidate.exists())
