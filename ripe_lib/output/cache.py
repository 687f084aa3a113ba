"""Where derived files (FASTA index, annotation index) are kept: beside their source, else in the cache folder.

That is ``$RIPE_CACHE_DIR``, else ``deepripe`` in the user's cache folder.
"""

import hashlib
import os
from pathlib import Path


def cached_name(source: Path, suffix: str) -> Path:
    """Return the path in the cache folder, which need not exist yet, that belongs to ``source`` and ``suffix``."""
    chosen, base = (os.environ.get(name) for name in ("RIPE_CACHE_DIR", "XDG_CACHE_HOME"))
    folder = chosen or Path(base or Path.home() / ".cache", "deepripe")
    digest = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:12]
    return Path(folder) / f"{source.name}-{digest}{suffix}"


def places(source: Path, suffix: str) -> list[Path]:
    """Return where a file derived from ``source`` may already be, best first."""
    return [source.with_name(source.name + suffix), cached_name(source, suffix)]


def place_to_write(source: Path, suffix: str) -> Path | None:
    """Return where to write a file derived from ``source``; None if neither place is writable."""
    beside, cached = places(source, suffix)
    if _is_writable(beside.parent):
        return beside
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return cached if _is_writable(cached.parent) else None


def _is_writable(folder: Path) -> bool:
    """Whether new files may be put there; a folder without any write bit is left alone even by root."""
    try:
        mode = folder.stat().st_mode
    except OSError:
        return False
    return bool(mode & 0o222) and os.access(folder, os.W_OK | os.X_OK)
