"""Damage that knows nothing of formats: bytes changed, removed, repeated, swapped; files cut off or joined."""

from __future__ import annotations

from random import Random

__all__ = ["ODD", "damage_bytes", "odd_integer"]

ODD = (0, 1, -1, 2, 3, 7, 8, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**62)
"""Numbers at which something overflows, or nothing is left."""


def odd_integer(random: Random, size: int) -> int:
    """One of :data:`ODD`, something near the length of the file, or any number of 32 bits."""
    match random.randrange(4):
        case 0 | 1:
            return random.choice(ODD)
        case 2:
            return size - random.randrange(9)
        case _:
            return random.randrange(1 << 32)


def damage_bytes(random: Random, data: bytes, other: bytes) -> bytes:
    """One or a few changes anywhere; ``other`` is another file, to take pieces from."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        _damage_once(random, changed, other)
    return bytes(changed)


def _damage_once(random: Random, data: bytearray, other: bytes) -> None:
    start = random.randrange(len(data) + 1)
    length = min(random.choice((1, 1, 2, 4, 8, 64, 500)), len(data) - start)
    match random.randrange(8):
        case 0:
            data[start : start + length] = random.randbytes(length)
        case 1:
            if length:
                data[start] ^= 1 << random.randrange(8)
        case 2:
            width = random.choice((1, 2, 4, 4, 8))
            start &= -width
            value = odd_integer(random, len(data)) & ((1 << 8 * width) - 1)
            if start + width <= len(data):
                data[start : start + width] = value.to_bytes(width, "little")
        case 3:
            del data[start : start + length]
        case 4:
            data[start:start] = data[start : start + length] * random.choice((1, 1, 2, 50))
        case 5:
            target = random.randrange(len(data) + 1)
            data[target : target + length] = data[start : start + length]
        case 6:
            begin = random.randrange(len(other) + 1)
            data[start : start + length] = other[begin : begin + random.choice((length, 64))]
        case _:
            del data[start:]
