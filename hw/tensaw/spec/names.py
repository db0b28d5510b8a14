"""Names of tensors and layers as people read them."""

from __future__ import annotations

__all__ = ["short_name"]


def short_name(name: str, length: int = 38) -> str:
    """A name that fits a table of ``length`` characters.

    Converters join the names of all fused operators with semicolons: the first is kept. Of a path the last parts are
    kept, of what is still too long the end.
    """
    name = name.split(";")[0]
    while len(name) > length and "/" in name[:-1]:
        name = name.split("/", 1)[1]
    return name if len(name) <= length else "…" + name[1 - length :]
