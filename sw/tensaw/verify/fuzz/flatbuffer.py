"""Damage to flatbuffers (``.tflite``) that knows tables, vectors and offsets, though not the schema.

A flatbuffer does not say what its fields are, but a table can be told from a number: its first word leads to a vtable
whose sizes fit. (https://flatbuffers.dev/internals)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

from tensaw.verify.fuzz.bytewise import odd_integer

__all__ = ["Layout", "damage_flatbuffer", "layout_of"]

_MOST_FIELDS = 64


@dataclass
class Layout:
    """Where the parts of a file are, in bytes from its begin."""

    tables: list[int] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)
    """Places of the 16-bit entries of vtables: a field's distance from its table's begin, 0 if it is absent."""
    fields: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    """Of the fields and vector elements, those that lead to a table or a vector."""
    vectors: list[int] = field(default_factory=list)
    """Places of their lengths."""


@lru_cache(256)
def layout_of(data: bytes) -> Layout:
    """The parts of a whole flatbuffer that can be reached from its root."""
    found = Layout()
    _table(data, struct.unpack_from("<I", data)[0], found, set())
    return found


def _vtable(data: bytes, table: int) -> tuple[int, int] | None:
    """(place, number of fields) of a table's vtable; None if that is no table."""
    if table % 4 or not 4 <= table <= len(data) - 4:
        return None
    place = table - struct.unpack_from("<i", data, table)[0]
    if place % 2 or not 4 <= place <= len(data) - 4 or place == table:
        return None
    size, inline = struct.unpack_from("<HH", data, place)
    count = size // 2 - 2
    if size % 2 or not 0 <= count <= _MOST_FIELDS or place + size > len(data) or not 4 <= inline <= len(data) - table:
        return None
    entries = struct.unpack_from(f"<{count}H", data, place + 4)
    return (place, count) if all(entry < inline for entry in entries) else None


def _table(data: bytes, table: int, found: Layout, seen: set[int]) -> None:
    vtable = _vtable(data, table)
    if vtable is None or table in seen:
        return
    seen.add(table)
    found.tables.append(table)
    place, count = vtable
    for number in range(count):
        found.entries.append(entry := place + 4 + 2 * number)
        distance = struct.unpack_from("<H", data, entry)[0]
        if distance:
            found.fields.append(table + distance)
            _follow(data, table + distance, found, seen)


def _follow(data: bytes, place: int, found: Layout, seen: set[int]) -> None:
    """Look at what a word leads to, if it leads anywhere."""
    if place % 4 or place + 4 > len(data):
        return
    target = place + struct.unpack_from("<I", data, place)[0]
    if target == place or target % 4 or target + 4 > len(data):
        return
    if _vtable(data, target):
        found.offsets.append(place)
        _table(data, target, found, seen)
        return
    length = struct.unpack_from("<I", data, target)[0]
    if target in seen or not 0 < length <= len(data) - target - 4:
        return
    seen.add(target)
    found.offsets.append(place)
    found.vectors.append(target)
    elements = range(target + 4, min(target + 4 + 4 * length, len(data) - 3), 4)
    if 4 * length <= len(data) - target - 4 and all(
        _vtable(data, element + struct.unpack_from("<I", data, element)[0]) for element in elements
    ):
        for element in elements:
            found.offsets.append(element)
            _follow(data, element, found, seen)


def damage_flatbuffer(random: Random, data: bytes) -> bytes:
    """One to four changes of fields, offsets, lengths, or of which fields there are."""
    layout, changed = layout_of(data), bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        _damage_once(random, changed, layout)
    return bytes(changed)


def _damage_once(random: Random, data: bytearray, layout: Layout) -> None:
    def put(form: str, place: int, value: int) -> None:
        width = struct.calcsize(form)
        if place + width <= len(data):
            data[place : place + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")

    match random.randrange(9):
        case 0 | 1:
            place = random.choice(layout.fields)
            put(random.choice(("B", "B", "<H", "<I", "<Q")), place, odd_integer(random, len(data)))
        case 2:
            put("<I", random.choice(layout.vectors), random.choice((0, 1, 2, 3, 4, odd_integer(random, len(data)))))
        case 3:
            place = random.choice(layout.vectors)
            length = int.from_bytes(data[place : place + 4], "little")
            element = place + 4 + 4 * random.randrange(max(min(length, 1 << 16), 1))
            put("<I", element, odd_integer(random, len(data)))
        case 4:
            put("<H", random.choice(layout.entries), random.choice((0, 4, 8, random.randrange(64), 0xFFFF)))
        case 5:
            first, second = random.choice(layout.entries), random.choice(layout.entries)
            data[first : first + 2], data[second : second + 2] = data[second : second + 2], data[first : first + 2]
        case 6:
            place = random.choice(layout.offsets)  # to another table or vector, of this kind or of another
            put("<I", place, random.choice((*layout.tables, *layout.vectors)) - place)
        case 7:
            first, second = random.choice(layout.fields), random.choice(layout.fields)
            data[first : first + 4] = data[second : second + 4]
        case _:
            table = random.choice(layout.tables)  # one table's fields by another's vtable
            put("<i", table, int.from_bytes(data[table : table + 4], "little") + 2 * random.randrange(-30, 31))
