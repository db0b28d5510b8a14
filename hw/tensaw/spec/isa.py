"""The instruction set: 64-bit command words, each for one unit, that set a unit's registers or start it.

A program is a sequence of little-endian 64-bit words. Bits 63..60 name the unit, bits 59..54 the register or action,
and bits 53..0 the payload, whose fields are laid out from bit 0 upwards in the order declared in
:mod:`tensaw.spec.words`. Register words change the unit's shadow registers only; a ``RUN`` takes a copy of all of them,
so that the next layer can be described while this one runs. What each field means is said beside it and, with the
arithmetic, in ``docs/isa.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tensaw.spec.errors import InputError
from tensaw.spec.words import (
    PAYLOAD_BITS,
    REGIONS,
    WORDS,
    Field,
    Follow,
    Mode,
    Operation,
    OutputKind,
    Peer,
    TableKind,
    Turn,
    Unit,
    Word,
)

__all__ = [
    "Unit",
    "Peer",
    "Mode",
    "Operation",
    "OutputKind",
    "TableKind",
    "Follow",
    "Turn",
    "Field",
    "Word",
    "Command",
    "WORDS",
    "END_WORD",
    "word_named",
    "words_of",
    "encode",
    "decode",
    "disassemble",
    "assemble",
    "IllegalWord",
    "PAYLOAD_BITS",
    "REGIONS",
]


@dataclass(frozen=True)
class Command:
    """A decoded word: its kind and the value of every field."""

    word: Word
    values: Mapping[str, int]

    def __str__(self) -> str:
        fields = " ".join(f"{name}={value}" for name, value in self.values.items())
        return f"{self.word.full_name} {fields}".rstrip()


class IllegalWord(InputError):
    """A 64-bit value that is no command."""


_BY_CODE = {(word.unit, word.code): word for word in WORDS}
_BY_NAME = {word.full_name: word for word in WORDS}


def word_named(name: str) -> Word:
    """The word kind called ``UNIT.NAME``; KeyError if there is none."""
    return _BY_NAME[name]


def words_of(unit: Unit) -> tuple[Word, ...]:
    """All word kinds of a unit, in order of their codes."""
    return tuple(sorted((word for word in WORDS if word.unit == unit), key=lambda word: word.code))


def encode(name: str, **values: int) -> int:
    """The 64-bit word ``name`` (``"ARRAY.RUN"``) with these fields; fields not named are 0.

    Raises InputError for an unknown word or field, or a value outside the field's range.
    """
    word = _BY_NAME.get(name)
    if word is None:
        raise InputError(f"There is no command {name!r}; the commands are {', '.join(sorted(_BY_NAME))}.")
    unknown = set(values) - {field.name for field in word.fields}
    if unknown:
        raise InputError(
            f"{name} has no field {sorted(unknown)[0]!r}; its fields are {', '.join(f.name for f in word.fields)}."
        )
    payload = position = 0
    for field in word.fields:
        value = int(values.get(field.name, 0))
        low, high = field.range
        if not low <= value <= high:
            raise InputError(f"{name} {field.name} must be between {low} and {high}, not {value}.")
        payload |= (value & ((1 << field.width) - 1)) << position
        position += field.width
    return int(word.unit) << 60 | word.code << PAYLOAD_BITS | payload


def decode(value: int) -> Command:
    """The command that a 64-bit value holds. Raises IllegalWord for an unknown unit or code, or for non-zero bits above
    the last field."""
    value = int(value)
    if not 0 <= value < 1 << 64:
        raise IllegalWord(f"{value} is no command: a command word has 64 bits.")
    unit, code = value >> 60 & 15, value >> PAYLOAD_BITS & 63
    word = _BY_CODE.get((unit, code))  # type: ignore[arg-type]
    if word is None:
        raise IllegalWord(
            f"0x{value:016x} is no command: unit {unit} with code {code} does not exist. The program is damaged, or "
            "it was compiled by another version."
        )
    values = {}
    rest = value & ((1 << PAYLOAD_BITS) - 1)
    for field in word.fields:
        raw = rest & ((1 << field.width) - 1)
        rest >>= field.width
        values[field.name] = raw - (1 << field.width) if field.signed and raw >> (field.width - 1) else raw
    if rest:
        raise IllegalWord(f"0x{value:016x} is no command: {word.full_name} has bits set above its last field.")
    return Command(word, values)


END_WORD = encode("CONTROL.END")


def disassemble(words: Iterable[int]) -> Iterator[str]:
    """One line of text for each word; :func:`assemble` reads it back to the same bits."""
    for value in words:
        yield str(decode(int(value)))


def assemble(text: str) -> list[int]:
    """Words from lines such as ``ARRAY.INPUT base=0x100 pitch=48``; ``#`` starts a comment. Raises InputError."""
    words = []
    for number, line in enumerate(text.splitlines(), 1):
        name, *settings = line.partition("#")[0].split() or [""]
        if not name:
            continue
        values = {}
        for setting in settings:
            key, _, value = setting.partition("=")
            if key in values:
                raise InputError(f"Line {number}: {key} is given twice.")
            try:
                values[key] = int(value, 0)
            except ValueError:
                raise InputError(f"Line {number}: {setting!r} is not of the form field=number.") from None
        try:
            words.append(encode(name, **values))
        except InputError as error:
            raise InputError(f"Line {number}: {error}") from None
    return words
