"""Kipoi's config file: add our model sources, keep everything else.

Kipoi reads ``~/.kipoi/config.yaml`` (``/tmp`` if HOME cannot be written, as Kipoi does) and lists there, under
``model_sources``, where models come from. Kipoi itself is not imported: it would write the file first. What a
registration changes is recorded in a file beside it, so that :func:`undo` takes all of it back.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import sysconfig
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ripe_lib._version import __version__
from ripe_lib.errors import InputError, OutputError
from ripe_lib.output.atomic import atomic_file
from ripe_lib.output.foreign import load_yaml

BUILT_IN = "kipoi"
PLUGIN_HOOK = "deepripe-kipoi-interpret.pth"
PROTECTED = ("dir", "py")  # names that Kipoi keeps for itself
RECORD_FILE = "deepripe-registered.json"
COPY_FOLDER = "deepripe-models"


@dataclass
class Record:
    """What registrations changed, kept until :func:`undo`."""

    version: str = __version__  # of the package that registered last
    before: str | None = None  # the config file before the first of them; None if there was none
    after: str = ""  # sha256 of what the last of them wrote; another one means that somebody changed the file since
    sources: dict[str, Any] = field(default_factory=dict)  # name -> entry of every source that was added
    default: dict[str, Any] | None = None  # the entry that stands for Kipoi's built-in source
    replaced: dict[str, Any] | None = None  # and the one it replaced
    folders: list[str] = field(default_factory=list)  # that were made
    hook: str | None = None  # the start-up file that :func:`write_interpret_hook` wrote


def config_path() -> Path:
    """Return the path of Kipoi's config file, found as Kipoi finds it."""
    home = Path("~").expanduser()
    return (home if os.access(home, os.W_OK) else Path("/tmp")) / ".kipoi" / "config.yaml"


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
    """Return the content of the file, or of the one that Kipoi would write if there is none."""
    if not path.is_file():
        return {"model_sources": built_in_sources(path.parent)}
    config = load_yaml(path)
    if not isinstance(config, dict) or not isinstance(config.get("model_sources"), dict):
        raise InputError(f"{path}: expected a mapping 'model_sources', found none. Mend or remove the file.")
    return config


def read_record(path: Path) -> Record | None:
    """Return what registrations changed in this config file and around it; None if nothing."""
    try:
        return Record(**json.loads(path.with_name(RECORD_FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise InputError(f"{path.with_name(RECORD_FILE)}: is damaged. Remove it and register again.") from error


def register(sources: dict[str, Path], path: Path, *, as_default: Path | None = None) -> list[str]:
    """Add local sources to the config file; what is there already is kept, and :func:`undo` gives all of it back.

    Returns the names of the sources that were written: none if everything was as it should be. Names that Kipoi keeps
    for itself or that belong to a source of another kind, and damaged files, are refused.

    Parameters
    ----------
    sources : dict
        Source name -> folder of models. A missing folder is created, because Kipoi lists it.
    path : Path
        The config file; created if missing.
    as_default : Path, optional
        Point the built-in source ``kipoi`` at a copy of this folder of models, beside the config file; a copy that is
        there is replaced.
    """
    config = read_config(path)
    known = config["model_sources"]
    wanted = {name: local_source(folder) for name, folder in sources.items()}
    for name in wanted:
        _check_name(name, known, path)
    text = _text(path)
    before = {name: entry for name, entry in wanted.items() if known.get(name) == entry}
    record = read_record(path)
    if record is None or not _is_in_use(record, known):
        hook = None if record is None else record.hook
        # Sources that are there without a record can only be taken out one by one.
        record = Record(before=text, after="" if before else _digest(text), sources=before, hook=hook)
    for folder in (path.parent, *sources.values()):
        record.folders += _make_folder(folder)
    record.sources.update({name: entry for name, entry in wanted.items() if name not in before})
    if as_default is not None:
        _copy_models(as_default, path.with_name(COPY_FOLDER))
        wanted[BUILT_IN] = local_source(path.with_name(COPY_FOLDER))
        if known.get(BUILT_IN) != wanted[BUILT_IN]:
            record.replaced, record.default = known.get(BUILT_IN), wanted[BUILT_IN]
    changed = [name for name, entry in wanted.items() if known.get(name) != entry]
    known.update(wanted)
    new = _as_yaml(config)
    if changed:
        record.after = _digest(new) if _digest(text) == record.after else ""
    record.version = __version__
    _write_record(record, path)
    if changed:
        _replace(path, new)
    return changed


def undo(path: Path) -> bool:
    """Take back everything that registrations did; returns whether there was anything to take back.

    A config file that only registrations wrote gets back its bytes, or goes if there was none. From one that was
    changed otherwise since, their entries are removed and the rest is kept.
    """
    record = read_record(path)
    if record is None:
        return False
    text = _text(path)
    if text is not None and _digest(text) == record.after:
        if record.before is None:
            path.resolve().unlink()
        else:
            _replace(path, record.before)
    elif text is not None:
        config = read_config(path)
        known = config["model_sources"]
        kept = {name: entry for name, entry in known.items() if record.sources.get(name) != entry}
        if record.default is not None and known.get(BUILT_IN) == record.default:
            del kept[BUILT_IN]
            kept = kept if record.replaced is None else {BUILT_IN: record.replaced, **kept}
        if kept != known:
            _replace(path, _as_yaml({**config, "model_sources": kept}))
    if record.hook is not None:
        Path(record.hook).unlink(missing_ok=True)
    shutil.rmtree(path.with_name(COPY_FOLDER), ignore_errors=True)
    path.with_name(RECORD_FILE).unlink()
    for folder in sorted(record.folders, key=len, reverse=True):
        with suppress(OSError):  # the user's models are in it by now
            Path(folder).rmdir()
    return True


def _copy_models(models: Path, copy: Path) -> None:
    """Copy models (hard links where the disk allows it), so that a default source outlives the package.

    Kipoi stops with a traceback when its default source holds no model.
    """
    new = copy.with_name(f".{copy.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(models, new, copy_function=_link_or_copy)
    shutil.rmtree(copy, ignore_errors=True)
    new.rename(copy)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def site_directory() -> Path:
    """Return the folder of installed packages of this Python."""
    return Path(sysconfig.get_paths()["purelib"])


def interpret_hook() -> Path | None:
    """Return where the start-up file for ``kipoi interpret grad`` and ``ism`` has yet to be written; None: nowhere.

    kipoi-interpret 0.1.2 fails on what Kipoi 0.8 hands it before any model is loaded, so no model can help: a
    ``.pth`` file has every Python of the environment watch for that plugin (``dataloaders/startup.py`` says how).
    None if that plugin is not installed, the file is there, or the folder of packages cannot be written.
    """
    try:
        if importlib.metadata.version("kipoi-interpret") != "0.1.2" or dataloaders_folder() is None:
            return None
    except importlib.metadata.PackageNotFoundError:
        return None
    path = site_directory() / PLUGIN_HOOK
    return None if _hook_works(path) or not os.access(path.parent, os.W_OK) else path


def write_interpret_hook(hook: Path, path: Path) -> None:
    """Write the file :func:`interpret_hook` names; :func:`undo` of the config file ``path`` removes it."""
    startup = f"{dataloaders_folder()}/startup.py"
    # One line, because .pth files execute lines that start with "import".
    line = (
        f"import os; p = {startup!r}; os.path.isfile(p) and "
        "exec(compile((lambda f: (f.read(), f.close())[0])(open(p)), p, 'exec'), {'__name__': 'deepripe_startup'})\n"
    )
    with atomic_file(hook) as temporary:
        temporary.write_text(line, encoding="utf-8")
    record = read_record(path) or Record(before=_text(path), after=_digest(_text(path)))
    record.hook = str(hook)
    _write_record(record, path)


def dataloaders_folder() -> Path | None:
    """Return the folder of the package ``dataloaders``, which is found, not imported; None if it is not installed."""
    package = importlib.util.find_spec("dataloaders")
    if package is None or not package.submodule_search_locations:
        return None
    return Path(next(iter(package.submodule_search_locations)))


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


def _is_in_use(record: Record, known: dict[str, Any]) -> bool:
    entries = {**record.sources, **({} if record.default is None else {BUILT_IN: record.default})}
    return any(known.get(name) == entry for name, entry in entries.items())


def _text(path: Path) -> str | None:
    return path.read_bytes().decode() if path.is_file() else None


def _digest(text: str | None) -> str:
    return hashlib.sha256((text or "").encode()).hexdigest()


def _make_folder(folder: Path) -> list[str]:
    """Make a folder with its parents; returns those that were not there."""
    missing = [str(one) for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created ({error.strerror or error}).") from error
    return missing


def _as_yaml(config: dict[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(config, sort_keys=False, indent=4))


def _write_record(record: Record, path: Path) -> None:
    _replace(path.with_name(RECORD_FILE), json.dumps(asdict(record), indent=1))


def _replace(path: Path, text: str) -> None:
    with atomic_file(path.resolve()) as temporary:  # a linked file stays linked
        temporary.write_bytes(text.encode())
