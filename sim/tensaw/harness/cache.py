"""Build results kept by content: what was built once from the same sources, flags and tools is not built again.

An entry is a directory named by a digest. It appears under its name only when it is whole (built beside it, then
renamed), so an interrupted build leaves nothing that is taken for a result; a lock file makes a second process wait for
the first one's build instead of doing it twice.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tensaw.spec.errors import ToolError

__all__ = ["cache_directory", "cached", "digest"]


def cache_directory() -> Path:
    """``TENSAW_CACHE`` if set, else ``tensaw`` in the user's cache directory (``XDG_CACHE_HOME``, ``~/.cache``)."""
    chosen = os.environ.get("TENSAW_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "tensaw"


def digest(parts: Mapping[str, str | bytes]) -> str:
    """24 hexadecimal digits that stand for these named contents, whatever their order."""
    state = hashlib.sha256()
    for name in sorted(parts):
        content = parts[name]
        for piece in (name.encode(), content.encode() if isinstance(content, str) else content):
            state.update(len(piece).to_bytes(8, "little"))
            state.update(piece)
    return state.hexdigest()[:24]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield  # closing the file unlocks it, and so does the end of the process


def cached(kind: str, key: str, build: Callable[[Path], None]) -> Path:
    """The directory ``kind/key`` of the cache, made by ``build(directory)`` if it is not there yet.

    ``build`` gets an empty directory without blanks in its path (make cannot work in others) and leaves in it what
    shall be kept. If it raises, nothing is kept. Raises ToolError if the cache cannot be written.
    """
    root = cache_directory() / kind
    entry = root / key
    if entry.is_dir():
        return entry
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f"{key}.lock"):
            if entry.is_dir():
                return entry
            spaced = any(character.isspace() for character in str(root))
            place = Path(tempfile.mkdtemp(prefix="tensaw-build-")) if spaced else root / f"{key}.building"
            shutil.rmtree(place, ignore_errors=True)  # of a build that was interrupted
            place.mkdir()
            try:
                build(place)
                if spaced:  # a rename is whole at once only within the cache
                    shutil.rmtree(root / f"{key}.building", ignore_errors=True)
                    shutil.copytree(place, root / f"{key}.building", symlinks=True)
                    os.rename(root / f"{key}.building", entry)
                else:
                    os.rename(place, entry)
            finally:
                shutil.rmtree(place, ignore_errors=True)
    except OSError as error:
        raise ToolError(
            f"The cache {str(root)!r} cannot be used: {error.strerror or error}. Set TENSAW_CACHE to a directory that "
            "you may write to and that has some 100 MB of room."
        ) from None
    return entry
