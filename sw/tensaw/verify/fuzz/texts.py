"""Damage to configurations (TOML): values of other kinds and sizes, lines removed, repeated, moved, never closed."""

from __future__ import annotations

from random import Random

__all__ = ["damage_toml"]

_VALUES = (
    "0", "-1", "1", "2", "3", "64", "65", "1e3", "1e999", "inf", "-inf", "nan", "0x10", "true", "false", '""', '"base"',
    "'nano'", '"\\u0000"', '"\\ud800"', "[]", "[1, 2]", "{}", "{a = 1}", "1979-05-27", "07:32:00", "16.0", "1_6", "+16",
    "9223372036854775807", "-9223372036854775808", "9" * 30, "9" * 5000, "[" * 40 + "]" * 40, "[" * 20_000,
    '"' + "x" * 5000 + '"', '"""a\nb"""', '"a\\nb"', '"../../etc"', "", "\u221e",
)  # fmt: skip
_LINES = (
    "[table]", "[[tables]]", "rows = 4", "rows.a = 3", "preset = 3", 'preset = "huge"', "a.b.c.d = 1", "= 3", "[",
    '"rows" = 3', "unknown = 7", "\ufeff", "\x00", "# \x01", "name = 7", "=" * 100, "a." * 2000 + "a = 1",
)  # fmt: skip


def damage_toml(random: Random, data: bytes) -> bytes:
    """One to six lines changed."""
    lines = data.decode("utf-8").splitlines()
    for _ in range(random.choice((1, 1, 2, 3, 6))):
        place = random.randrange(len(lines) + 1)
        key, equals, value = (lines[place] if place < len(lines) else "").partition("=")
        match random.randrange(9):
            case 0 | 1 | 2 if equals:
                lines[place] = f"{key}= {random.choice(_VALUES)}"
            case 3 if equals:
                lines[place] = f"{key}= {random.choice((-1, 1)) * random.randrange(1 << random.randrange(1, 40))}"
            case 4 if equals:
                lines[place] = f"{key.strip()[: random.randrange(4)]}{random.choice(('', 'x', '-', ' '))} = {value}"
            case 5:
                del lines[place : place + 1]
            case 6 if lines:
                lines.insert(place, random.choice(lines))
            case _:
                lines.insert(place, random.choice(_LINES))
    return random.choice(("\n", "\n", "\n", "\r\n", "\r")).join(lines).encode("utf-8", "surrogatepass")
