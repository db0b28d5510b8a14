"""Damage to programs: values in the description, command words, members of the archive and how they are packed."""

from __future__ import annotations

import copy
import io
import json
import struct
import warnings
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from random import Random
from typing import Any

from tensaw.verify.fuzz.bytewise import damage_bytes, odd_integer

__all__ = ["damage_program"]

_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e308, float("inf"), float("nan"), "", "x", "\u0000\n", [], [[]], {}, {"a": 1}, 2**63,
    -(2**63), 10**400, "9" * 100, [1, 2, 3, 4, 5, 6, 7, 8, 9], [-1, -1],
)  # fmt: skip
_BOMB = 1 << 22
"""Zero bytes of a member that packs well."""


@lru_cache(64)
def _parts(data: bytes) -> tuple[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read("program.json").decode(), archive.read("constants.bin")


def damage_program(random: Random, data: bytes) -> bytes:
    """Changes of the description (mostly), of the constants with their command words, or of the archive."""
    text, constants = _parts(data)
    header = json.loads(text)
    names, packing = ["program.json", "constants.bin"], zipfile.ZIP_STORED
    match random.randrange(8):
        case 0:
            constants = damage_bytes(random, constants, text.encode())
        case 1:
            constants = _with_odd_words(random, constants, header)
        case 2:
            names = random.choice((names[:1], names[1:], [], ["a", "b"], [names[0], names[0]], ["../x", names[1]]))
        case 3:
            packing = random.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
            if random.random() < 0.1:
                constants += bytes(_BOMB)
        case 4:
            text = random.choice(
                (text[: random.randrange(len(text))], "[" * 100_000, "3", "null", "[]", '{"format": 1')
            )
            return _pack(names, (text.encode(), constants), packing)
        case _:
            for _ in range(random.choice((1, 1, 2, 4))):
                _damage_value(random, header)
    return _pack(names, (json.dumps(header).encode(), constants), packing)


def _with_odd_words(random: Random, constants: bytes, header: dict[str, Any]) -> bytes:
    """Some of the command words are others."""
    changed = bytearray(constants)
    for _ in range(random.choice((1, 4, 50))):
        place = header["program_offset"] + 8 * random.randrange(header["program_bytes"] // 8)
        word = random.choice((random.getrandbits(64), odd_integer(random, len(constants)) % 2**64, 2**64 - 1))
        struct.pack_into("<Q", changed, place, word)
    return bytes(changed)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of all values in JSON."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in entries:
        yield value, key
        yield from _places(item)


def _damage_value(random: Random, header: dict[str, Any]) -> None:
    places = list(_places(header))
    if not places:
        return
    container, key = random.choice(places)
    other, there = random.choice(places)
    match random.randrange(6):
        case 0:
            del container[key]
        case 1:
            container[key] = copy.deepcopy(other[there])
        case 2 if isinstance(container, dict):
            container[random.choice(("x", "config", "name", "shape"))] = container.pop(key)
        case 3 | 4 if isinstance(container[key], int):
            container[key] = random.choice((container[key] + random.choice((-1, 1)), odd_integer(random, 4096)))
        case _:
            container[key] = copy.deepcopy(random.choice(_VALUES))


def _pack(names: list[str], contents: tuple[bytes, bytes], packing: int) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", packing) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in zip(names, contents, strict=False):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, packing)
    return buffer.getvalue()
