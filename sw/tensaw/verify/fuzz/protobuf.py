"""Damage to protobuf messages (``.onnx``) that keeps lengths right: fields changed, removed, repeated, moved.

The wire format says of each field its number and how long it is, not whether bytes are text or a message; what can be
read as a message is taken for one. (https://protobuf.dev/programming-guides/encoding)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from tensaw.verify.fuzz.bytewise import damage_bytes, odd_integer

__all__ = ["Field", "damage_protobuf", "parse", "serialise"]

_VARINT, _I64, _BYTES, _I32 = 0, 1, 2, 5
_DEEPEST = 8


@dataclass
class Field:
    """A field of a message: ``value`` is a number, bytes, or the fields of a message."""

    number: int
    kind: int
    value: int | bytes | list[Field]

    def copy(self) -> Field:
        value = [item.copy() for item in self.value] if isinstance(self.value, list) else self.value
        return Field(self.number, self.kind, value)


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    """(value, place behind it). Raises ValueError."""
    value = 0
    for number in range(10):
        if place >= len(data):
            raise ValueError("cut off")
        value |= (data[place] & 127) << 7 * number
        place += 1
        if data[place - 1] < 128:
            return value, place
    raise ValueError("too long")


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def parse(data: bytes, depth: int = 0) -> list[Field]:
    """The fields of a message, those of messages in it as well. Raises ValueError if it is none."""
    fields, place = [], 0
    while place < len(data):
        key, place = _read_varint(data, place)
        number, kind = key >> 3, key & 7
        value: int | bytes | list[Field]
        if not 0 < number < 1 << 12:
            raise ValueError("no field has that number")
        if kind == _VARINT:
            value, place = _read_varint(data, place)
        elif kind == _BYTES:
            length, place = _read_varint(data, place)
            value = data[place : place + length]
            place += length
            if depth < _DEEPEST and value:
                value = _message_or_bytes(value, depth + 1)
        elif kind in (_I32, _I64):
            value = data[place : place + (4 if kind == _I32 else 8)]
            place += len(value)
        else:
            raise ValueError("no kind of field")
        if place > len(data):
            raise ValueError("cut off")
        fields.append(Field(number, kind, value))
    return fields


def _message_or_bytes(data: bytes, depth: int) -> bytes | list[Field]:
    """The fields, if the bytes are what a message would be written as."""
    try:
        fields = parse(data, depth)
    except ValueError:
        return data
    return fields if serialise(fields) == data else data


def serialise(fields: list[Field]) -> bytes:
    """What :func:`parse` read."""
    parts = []
    for item in fields:
        parts.append(_varint(item.number << 3 | item.kind))
        if isinstance(item.value, int):
            parts.append(_varint(item.value))
            continue
        content = serialise(item.value) if isinstance(item.value, list) else item.value
        if item.kind == _BYTES:
            parts.append(_varint(len(content)))
        parts.append(content)
    return b"".join(parts)


@lru_cache(64)
def _parsed(data: bytes) -> tuple[Field, ...]:
    return tuple(parse(data))


def _messages(fields: list[Field]) -> Iterator[list[Field]]:
    """All messages with fields, the outermost first."""
    if fields:
        yield fields
    for item in fields:
        if isinstance(item.value, list):
            yield from _messages(item.value)


def damage_protobuf(random: Random, data: bytes, other: bytes) -> bytes:
    """One to four changes; ``other`` is another message, to take fields from."""
    message = [item.copy() for item in _parsed(data)]
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        messages = list(_messages(message))
        if not messages:
            break
        _damage_once(random, random.choice(messages), messages, other)
    return serialise(message)


def _damage_once(random: Random, fields: list[Field], messages: list[list[Field]], other: bytes) -> None:
    place = random.randrange(len(fields))
    item = fields[place]
    match random.randrange(9):
        case 0:
            del fields[place]
        case 1:
            fields[place:place] = [item.copy() for _ in range(random.choice((1, 1, 2, 200)))]
        case 2:
            fields[place] = random.choice(random.choice(messages)).copy()
        case 3:
            fields[place] = random.choice(random.choice(list(_messages(list(_parsed(other)))))).copy()
        case 4:
            item.number = random.choice((random.randrange(1, 30), random.randrange(1, 4000)))
        case 5:
            donor = random.choice(random.choice(messages)).copy()
            item.kind, item.value = donor.kind, donor.value
        case _:
            _change(random, item)


def _change(random: Random, item: Field) -> None:
    """Another value of the same kind; a message becomes odd bytes now and then."""
    if isinstance(item.value, int):
        item.value = random.choice((random.randrange(32), odd_integer(random, 100), item.value ^ 1))
    elif isinstance(item.value, list):
        if random.random() < 0.3:
            item.value = damage_bytes(random, serialise(item.value), b"")
    elif item.kind == _BYTES:
        item.value = random.choice((b"", b"x", "\u00e9\n\x00".encode(), damage_bytes(random, item.value, b"name")))
    else:
        width = len(item.value)
        item.value = random.choice((bytes(width), b"\xff" * width, b"\0" * (width - 2) + b"\x80\x7f",
                                    random.randbytes(width)))  # fmt: skip
