"""Ports of the block as Python values: integers, dicts for structs, lists or NumPy arrays for arrays.

Layouts are those of ``tensaw.verify.ports``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Node", "Port", "make_ports", "pack", "unpack", "width_of"]


def width_of(layout: dict[str, Any]) -> int:
    """Bits of a layout."""
    if "struct" in layout:
        return sum(width_of(field) for _, field in layout["struct"])
    if "array" in layout:
        return layout["length"] * width_of(layout["array"])
    return layout["bits"]


def pack(layout: dict[str, Any], value: Any) -> int:
    """The bits of a value. Of a struct, fields that are not named are 0; names that it does not have raise KeyError."""
    if "struct" in layout:
        if isinstance(value, int):
            return value
        result = position = seen = 0
        for name, field in layout["struct"]:
            if name in value:
                seen += 1
                result |= pack(field, value[name]) << position
            position += width_of(field)
        if seen != len(value):
            raise KeyError(f"no such field among {sorted(value)}; there are {[name for name, _ in layout['struct']]}")
        return result
    if "array" in layout:
        element = layout["array"]
        width = width_of(element)
        if width in (8, 32) and isinstance(value, np.ndarray) and value.ndim == 1:
            return int.from_bytes(value.astype(f"<u{width // 8}").tobytes(), "little")
        if len(value) != layout["length"]:
            raise ValueError(f"{len(value)} elements for an array of {layout['length']}")
        return sum(pack(element, item) << (width * index) for index, item in enumerate(value))
    return int(value) & ((1 << layout["bits"]) - 1)


def unpack(layout: dict[str, Any], bits: int) -> Any:
    """The value that bits stand for; arrays of plain numbers as int64."""
    if "struct" in layout:
        result = {}
        for name, field in layout["struct"]:
            width = width_of(field)
            result[name] = unpack(field, bits & ((1 << width) - 1))
            bits >>= width
        return result
    if "array" in layout:
        element, length = layout["array"], layout["length"]
        width = width_of(element)
        if "bits" in element and width in (8, 32):
            kind = f"<{'i' if element['signed'] else 'u'}{width // 8}"
            return np.frombuffer(bits.to_bytes(length * width // 8, "little"), kind).astype(np.int64)
        mask = (1 << width) - 1
        items = [unpack(element, bits >> (width * index) & mask) for index in range(length)]
        return np.array(items, np.int64) if "bits" in element and width < 63 else items
    if layout["signed"] and bits >> (layout["bits"] - 1):
        return bits - (1 << layout["bits"])
    return bits


class Port:
    """One port. ``get`` and ``set`` use values; ``bits`` and ``set_bits`` the whole vector as an integer."""

    __slots__ = ("name", "layout", "width", "is_input", "_handle", "_plain")

    def __init__(self, handle: Any, description: dict[str, Any]) -> None:
        self.name: str = description["name"]
        self.layout: dict[str, Any] = description["layout"]
        self.width = width_of(self.layout)
        self.is_input: bool = description["input"]
        self._handle = handle
        self._plain = "bits" in self.layout and not self.layout["signed"]

    def bits(self) -> int:
        """Value as an unsigned integer. Raises ValueError if a bit is neither 0 nor 1."""
        try:
            return int(self._handle.value)
        except ValueError:
            raise ValueError(f"{self.name} is {self._handle.value}") from None

    def part(self, first: int, count: int) -> int:
        """So many bits from one on; others may have no value. Raises ValueError as :meth:`bits` does."""
        text = str(self._handle.value)[self.width - first - count : self.width - first]
        try:
            return int(text or "0", 2)
        except ValueError:
            raise ValueError(f"{self.name} is {self._handle.value}") from None

    def text(self) -> str:
        """All bits, the highest first, X where one has no value."""
        return str(self._handle.value)

    def get(self) -> Any:
        return self.bits() if self._plain else unpack(self.layout, self.bits())

    def set_bits(self, value: int) -> None:
        self._handle.value = value

    def set(self, value: Any) -> None:
        self._handle.value = pack(self.layout, value)


class Node:
    """Ports by their member names: ``ports.words.valid``, ``ports.reads[0].ready``."""

    def __init__(self) -> None:
        self._members: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_members"][name]
        except KeyError:
            raise AttributeError(f"there is no port {name!r}; there are {', '.join(self._members)}") from None

    def __getitem__(self, index: int) -> Any:
        return self._members[str(index)]

    def __iter__(self) -> Any:
        return iter(self._members.values())

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def leaves(self) -> list[Port]:
        """All ports below."""
        result = []
        for member in self._members.values():
            result += member.leaves() if isinstance(member, Node) else [member]
        return result


def make_ports(dut: Any, descriptions: list[dict[str, Any]]) -> Node:
    """The tree of a block's ports."""
    root = Node()
    for description in descriptions:
        node = root
        *path, last = map(str, description["path"])
        for name in path:
            node = node._members.setdefault(name, Node())
        node._members[last] = Port(getattr(dut, description["name"]), description)
    return root
