"""Output files: refused before any work where they cannot be written, and never half-written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tensaw.spec.errors import InputError

__all__ = ["require_writable", "require_folder", "write", "write_all"]


def require_writable(*paths: Path | None) -> None:
    """Check that these files could be written now. None is skipped.

    Raises InputError if a folder does not exist or may not be written to, if a path is a folder, or if two are the same
    file.
    """
    seen: set[Path] = set()
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise _refusal(path, "it is a folder")
        if not path.absolute().parent.is_dir():
            raise _refusal(path, f"the folder {str(path.parent)!r} does not exist; create it first")
        _try_folder(path.absolute().parent, path)
        if path.resolve() in seen:
            raise InputError(f"The output file {str(path)!r} is given for two outputs; give each a path of its own.")
        seen.add(path.resolve())


def require_folder(path: Path) -> None:
    """Check that files can be written to this folder; it, but not its parents, is created where missing.

    Raises InputError.
    """
    try:
        path.mkdir(exist_ok=True)
    except FileExistsError:
        raise InputError(f"The output folder {str(path)!r} cannot be used: it is a file.") from None
    except FileNotFoundError as error:
        if path.absolute().parent.is_dir():  # a place where nothing can be created, such as /proc
            raise InputError(f"The output folder {str(path)!r} cannot be created: {error.strerror}.") from None
        raise InputError(
            f"The output folder {str(path)!r} cannot be created: the folder {str(path.parent)!r} does not exist; "
            "create it first."
        ) from None
    except OSError as error:
        raise InputError(f"The output folder {str(path)!r} cannot be created: {error.strerror or error}.") from None
    _try_folder(path, path)


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: beside its place first, then renamed. Raises InputError."""
    write_all(path.absolute().parent, {path.name: content})


def write_all(folder: Path, contents: Mapping[str, str | bytes]) -> None:
    """Write several files to a folder; the first appears under its name when all have been written to the disk.

    Raises InputError.
    """
    done: dict[str, str] = {}
    try:
        for name, content in contents.items():
            handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
            done[name] = temporary
            with os.fdopen(handle, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
            os.chmod(temporary, 0o666 & ~_umask())
        while done:
            name = next(iter(done))
            os.replace(done[name], folder / name)
            del done[name]
    except OSError as error:
        raise _refusal(folder / next(iter(done), ""), error.strerror or str(error)) from None
    finally:
        for temporary in done.values():
            Path(temporary).unlink(missing_ok=True)


def _try_folder(folder: Path, path: Path) -> None:
    # Permission bits do not tell all (read-only file systems, quotas, root): only writing does.
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _refusal(path, f"its folder cannot be written to ({error.strerror or error})") from None


def _refusal(path: Path, reason: str) -> InputError:
    return InputError(f"The output file {str(path)!r} cannot be written: {reason}. Give another path.")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
