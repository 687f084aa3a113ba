"""Where derived files (FASTA index, annotation index) are kept: beside their source, else in the cache folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def cache_folder() -> Path:
    """Return ``$RIPE_CACHE_DIR``, or ``deepripe`` in the user's cache folder; it need not exist yet."""
    chosen = os.environ.get("RIPE_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "deepripe"


def is_writable_folder(folder: Path) -> bool:
    """Whether new files may be put there; a folder without any write bit is left alone even by root."""
    try:
        mode = folder.stat().st_mode
    except OSError:
        return False
    return bool(mode & 0o222) and os.access(folder, os.W_OK | os.X_OK)


def cached_name(source: Path, suffix: str) -> Path:
    """Return the path in the cache folder that belongs to ``source`` and ``suffix``."""
    digest = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:12]
    return cache_folder() / f"{source.name}-{digest}{suffix}"


def places(source: Path, suffix: str) -> list[Path]:
    """Return where a file derived from ``source`` may already be, best first."""
    return [source.with_name(source.name + suffix), cached_name(source, suffix)]


def place_to_write(source: Path, suffix: str) -> Path | None:
    """Return where to write a file derived from ``source``; None if neither place is writable."""
    beside, cached = places(source, suffix)
    if is_writable_folder(beside.parent):
        return beside
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return cached if is_writable_folder(cached.parent) else None
