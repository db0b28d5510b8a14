"""Names and texts as people read them."""

from __future__ import annotations

__all__ = ["printable", "short_name"]


def printable(text: str, length: int = 2000) -> str:
    """A text that may be shown: what a terminal would obey, or could not show, is written as Python writes it, and what
    is longer than ``length`` loses its middle. Files hold any text where names belong."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    return text if len(text) <= length else f"{text[: length * 3 // 4]} … {text[-length // 4 :]}"


def short_name(name: str, length: int = 38) -> str:
    """A name that fits a table of ``length`` characters.

    Converters join the names of all fused operators with semicolons: the first is kept. Of a path the last parts are
    kept, of what is still too long the end. Always printable.
    """
    name = printable(name.split(";")[0])
    while len(name) > length and "/" in name[:-1]:
        name = name.split("/", 1)[1]
    return name if len(name) <= length else "…" + name[1 - length :]
