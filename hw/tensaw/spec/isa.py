"""The instruction set: 64-bit command words, each for one unit, that set a unit's registers or start it.

A program is a sequence of little-endian 64-bit words. Bits 63..60 name the unit, bits 59..54 the register or action, and
bits 53..0 the payload, whose fields are laid out from bit 0 upwards in the order declared here. Register words change
the unit's shadow registers only; a ``RUN`` takes a copy of all of them, so that the next layer can be described while
this one runs. What each field means is said beside it and, with the arithmetic, in ``docs/isa.md``.

This table is the only description: the RTL decoder, the encoder, the disassembler, the instruction-level simulator, the
C header and the documentation are made from it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tensaw.spec.errors import InputError

__all__ = [
    "Unit", "Peer", "Mode", "Operation", "OutputKind", "TableKind", "Field", "Word", "Command", "WORDS", "END_WORD",
    "word_named", "words_of", "encode", "decode", "disassemble", "assemble", "IllegalWord", "PAYLOAD_BITS", "REGIONS",
]

PAYLOAD_BITS = 54
REGIONS = 4
"""Memory regions (windows) that a program may address."""


class Unit(enum.IntEnum):
    """Bits 63..60 of a command word. All other values are illegal."""

    WEIGHT = 1
    LOAD = 2
    ARRAY = 3
    OUTPUT = 4
    STORE = 5
    CONTROL = 6


class Peer(enum.IntEnum):
    """Bit numbers in ``wait`` and ``signal`` masks: the units that exchange tokens."""

    LOAD = 0
    ARRAY = 1
    OUTPUT = 2
    STORE = 3


class Mode(enum.IntEnum):
    """How the array is fed (``ARRAY.RUN mode``)."""

    CONV = 0
    """One vector of ``rows`` contiguous bytes a cycle, byte r into array row r."""
    DEPTHWISE = 1
    """Up to three vectors of ``cols`` bytes a cycle (kernel rows), byte c into column c; three taps in x by the array."""
    POOL = 2
    """One vector of ``cols`` bytes a cycle straight to the accumulators, as if multiplied by one."""


class Operation(enum.IntEnum):
    """Second operand of the output stage (``OUTPUT.OPERAND_STEP operation``)."""

    NONE = 0
    ADD = 1
    SUB = 2
    MUL = 3


class OutputKind(enum.IntEnum):
    DRAIN = 0
    SOFTMAX = 1


class TableKind(enum.IntEnum):
    LOOKUP = 0
    """256 bytes, entry ``v & 255`` for int8 value ``v``."""
    EXPONENT = 1
    """256 little-endian int32, entry d for a difference d = max - x."""


@dataclass(frozen=True)
class Field:
    """One field of a word: ``width`` bits, two's complement if ``signed``."""

    name: str
    width: int
    text: str
    signed: bool = False

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest value."""
        if self.signed:
            return -(1 << (self.width - 1)), (1 << (self.width - 1)) - 1
        return 0, (1 << self.width) - 1


@dataclass(frozen=True)
class Word:
    """One kind of command word."""

    unit: Unit
    code: int
    name: str
    fields: tuple[Field, ...]
    text: str

    @property
    def full_name(self) -> str:
        return f"{self.unit.name}.{self.name}"


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


_TAG = Field("tag", 16, "copied to the trace and to error registers; names layer and tile in the program's listing")
_WAIT = Field("wait", 4, "bit p: take one token given by peer p before starting (LOAD, ARRAY, OUTPUT, STORE from bit 0)")
_SIGNAL = Field("signal", 4, "bit p: give one token to peer p when finished")
_REGION = Field("region", 3, "memory region, 0 to 3")
_OFFSET = Field("offset", 32, "byte offset in the region")
_QUANT = (
    Field("zero_point", 8, "added after rounding", signed=True),
    Field("low", 8, "lower clamp", signed=True),
    Field("high", 8, "upper clamp", signed=True),
    Field("rounding", 2, "0 DOUBLE, 1 SINGLE, 2 AWAY"),
)
_SCALE = (
    Field("multiplier", 32, "0 or 2**30 to 2**31 - 1"),
    Field("shift", 6, "-31 to 30; positive shifts left before multiplying", signed=True),
)


def _dma(unit: Unit, verb: str, extra: tuple[Field, ...]) -> tuple[Word, ...]:
    return (
        Word(unit, 1, "MEMORY", (_REGION, _OFFSET), f"Where in memory to {verb}."),
        Word(unit, 2, "SCRATCHPAD", (Field("address", 24, "byte address"),), "First byte in the scratchpad."),
        Word(
            unit, 3, "ROWS",
            (Field("bytes", 24, "contiguous bytes in a row, at least 1"), Field("count", 16, "rows, at least 1")),
            "Rows of a plane.",
        ),
        Word(
            unit, 4, "ROW_PITCH",
            (
                Field("memory", 28, "bytes from row to row in memory"),
                Field("scratchpad", 24, "bytes from row to row in the scratchpad"),
            ),
            "Distance of rows.",
        ),
        Word(unit, 5, "PLANES", (Field("count", 16, "planes, at least 1"),), "Planes of rows."),
        Word(
            unit, 6, "PLANE_PITCH",
            (
                Field("memory", 28, "bytes from plane to plane in memory"),
                Field("scratchpad", 24, "bytes from plane to plane in the scratchpad"),
            ),
            "Distance of planes.",
        ),
        Word(unit, 0, "RUN", (_TAG, _WAIT, _SIGNAL, *extra), f"Start to {verb}."),
    )


WORDS: tuple[Word, ...] = (
    Word(
        Unit.WEIGHT, 1, "MEMORY", (_REGION, _OFFSET),
        "Where the weight stream lies; a multiple of the bus width.",
    ),
    Word(
        Unit.WEIGHT, 0, "RUN",
        (_TAG, Field("bytes", 28, "bytes to append to the weight buffer, a multiple of the bus width, not 0")),
        "Stream bytes into the weight buffer, waiting whenever it is full.",
    ),
    *_dma(
        Unit.LOAD, "load from",
        (
            Field("fill", 1, "write `value` instead of reading memory"),
            Field("value", 8, "the byte that a fill writes"),
        ),
    ),
    *_dma(Unit.STORE, "store to", ()),
    Word(
        Unit.ARRAY, 1, "INPUT",
        (
            Field("base", 24, "scratchpad byte address of input row 0, byte 0"),
            Field("pitch", 24, "bytes from input row to input row"),
        ),
        "The input image.",
    ),
    Word(
        Unit.ARRAY, 2, "WINDOW",
        (
            Field("height", 16, "input rows; row y outside 0..height-1 reads as `pad_value`"),
            Field("row_bytes", 24, "bytes of a row; byte x outside 0..row_bytes-1 reads as `pad_value`"),
        ),
        "Which part of the input image exists.",
    ),
    Word(
        Unit.ARRAY, 3, "ORIGIN",
        (
            Field("y", 16, "input row of output row 0 at the first kernel step", signed=True),
            Field("x", 24, "byte in the row of output column 0 at the first kernel step", signed=True),
        ),
        "Minus the padding.",
    ),
    Word(
        Unit.ARRAY, 4, "STEP",
        (
            Field("position", 20, "bytes from streamed position to position"),
            Field("row", 8, "input rows from output row to output row"),
            Field("decimation", 6, "DEPTHWISE: streamed positions for one output, the stride in x; else 1"),
        ),
        "Strides.",
    ),
    Word(
        Unit.ARRAY, 5, "KERNEL_Y",
        (
            Field("steps", 8, "kernel steps in y, at least 1"),
            Field("rows", 8, "input rows from step to step"),
            Field("group_rows", 8, "DEPTHWISE: input rows from kernel row to kernel row within a step (dilation)"),
            Field("group_pitch", 24, "DEPTHWISE: group_rows * pitch"),
        ),
        "Kernel loop over y.",
    ),
    Word(
        Unit.ARRAY, 6, "KERNEL_X",
        (
            Field("steps", 8, "kernel steps in x, at least 1"),
            Field("bytes", 20, "bytes from step to step"),
            Field("chunks", 16, "CONV: chunks of `rows` bytes within a step, at least 1"),
        ),
        "Kernel loops over x and, innermost, over chunks of contiguous bytes.",
    ),
    Word(
        Unit.ARRAY, 7, "OUT",
        (Field("height", 16, "output rows, at least 1"), Field("width", 16, "output columns, at least 1")),
        "Output positions.",
    ),
    Word(
        Unit.ARRAY, 8, "BLOCK",
        (
            Field("height", 16, "output rows of a block"),
            Field("width", 16, "output columns of a block; height * width at most half of the accumulator entries"),
        ),
        "Positions accumulated together; blocks at the edges are cut.",
    ),
    Word(
        Unit.ARRAY, 9, "TILES",
        (
            Field("count", 12, "tiles of output channels, at least 1"),
            Field("input_step", 24, "bytes added to the input base from tile to tile"),
            Field("pad_value", 8, "what lies outside the window", signed=True),
        ),
        "Outermost loop: tiles of output channels.",
    ),
    Word(
        Unit.ARRAY, 10, "WEIGHTS",
        (
            Field("rows", 7, "weight rows of a kernel step, 1 to the array's rows; lanes beyond read as 0"),
            Field("free", 1, "free each row when it has been read for the last time (0 keeps all for the next RUN)"),
            Field("pad", 8, "rows behind the last tile's, skipped: freed at the end if `free` is set"),
            Field("bias", 1, "each tile's stream begins with its biases"),
            Field("scale", 1, "then come its multipliers and shifts"),
        ),
        "The weight stream of the run.",
    ),
    Word(
        Unit.ARRAY, 0, "RUN",
        (
            _TAG, _WAIT, _SIGNAL,
            Field("mode", 2, "0 CONV, 1 DEPTHWISE, 2 POOL"),
            Field("maximum", 1, "accumulate by maximum instead of by sum"),
            Field("groups", 2, "DEPTHWISE: kernel rows taken in parallel, 1 to 3"),
            Field("follow", 1, "wait, row by row, for what OUTPUT run number `follow_run` writes"),
            Field("follow_run", 8, "number of that OUTPUT run in the program, modulo 256"),
        ),
        "Stream a layer or a part of it through the array.",
    ),
    Word(
        Unit.ARRAY, 32, "TABLE",
        (_TAG, _WAIT, _SIGNAL, Field("kind", 1, "0 LOOKUP (256 bytes), 1 EXPONENT (1024 bytes)")),
        "Move a table from the weight buffer into the output stage.",
    ),
    Word(
        Unit.OUTPUT, 1, "TARGET",
        (
            Field("base", 24, "scratchpad byte address of output row 0, column 0, channel 0"),
            Field("pitch", 24, "bytes from output row to output row"),
        ),
        "Where results go.",
    ),
    Word(
        Unit.OUTPUT, 2, "CHANNELS",
        (
            Field("pixel_pitch", 16, "bytes from output column to output column"),
            Field("tile", 7, "channels in a tile (and bytes from tile to tile), 1 to the array's columns"),
            Field("last", 7, "channels in the last tile, 1 to tile"),
            Field("tiles", 12, "tiles, at least 1"),
        ),
        "Output channels.",
    ),
    Word(
        Unit.OUTPUT, 3, "OUT",
        (Field("height", 16, "output rows"), Field("width", 16, "output columns; SOFTMAX: elements in a row")),
        "Output positions, as in ARRAY.OUT.",
    ),
    Word(
        Unit.OUTPUT, 4, "BLOCK",
        (Field("height", 16, "rows of a block"), Field("width", 16, "columns of a block")),
        "As in ARRAY.BLOCK.",
    ),
    Word(
        Unit.OUTPUT, 5, "QUANT",
        (
            *_QUANT,
            Field("bias", 1, "add the streamed bias of each channel first"),
            Field("scale", 1, "use the streamed multiplier and shift of each channel, not OUTPUT.SCALE"),
        ),
        "Accumulator to int8.",
    ),
    Word(Unit.OUTPUT, 6, "SCALE", _SCALE, "Multiplier for all channels."),
    Word(
        Unit.OUTPUT, 7, "OPERAND",
        (
            Field("base", 24, "scratchpad address of the second operand (SOFTMAX: of the input)"),
            Field("pitch", 24, "bytes from row to row"),
        ),
        "Second operand.",
    ),
    Word(
        Unit.OUTPUT, 8, "OPERAND_STEP",
        (
            Field("pixel_pitch", 16, "bytes from column to column (0 broadcasts)"),
            Field("tile_step", 7, "bytes from channel tile to channel tile (0 broadcasts)"),
            Field("zero_a", 8, "zero point of the first operand (the requantised accumulator)", signed=True),
            Field("zero_b", 8, "zero point of the second operand", signed=True),
            Field("operation", 2, "0 NONE, 1 ADD, 2 SUB, 3 MUL"),
            Field("reverse", 1, "SUB: second minus first"),
        ),
        "What to do with the second operand.",
    ),
    Word(Unit.OUTPUT, 9, "SCALE_A", _SCALE, "ADD, SUB: multiplier of the first operand (DOUBLE rounding)."),
    Word(Unit.OUTPUT, 10, "SCALE_B", _SCALE, "ADD, SUB: multiplier of the second operand (DOUBLE rounding)."),
    Word(Unit.OUTPUT, 11, "SCALE_OUT", _SCALE, "ADD, SUB, MUL: multiplier of the result."),
    Word(Unit.OUTPUT, 12, "QUANT_OUT", _QUANT, "ADD, SUB, MUL: result to int8."),
    Word(
        Unit.OUTPUT, 0, "RUN",
        (
            _TAG, _WAIT, _SIGNAL,
            Field("kind", 1, "0 DRAIN (write accumulators), 1 SOFTMAX (rows of the operand)"),
            Field("table", 1, "DRAIN: pass each result through the lookup table"),
        ),
        "Turn accumulators into int8 in the scratchpad.",
    ),
    Word(Unit.CONTROL, 0, "END", (_TAG,), "Wait until every unit is idle, then raise DONE."),
)

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
            key, equals, value = setting.partition("=")
            try:
                values[key] = int(value, 0)
            except ValueError:
                raise InputError(f"Line {number}: {setting!r} is not of the form field=number.") from None
            if not equals:
                raise InputError(f"Line {number}: {setting!r} is not of the form field=number.")
        try:
            words.append(encode(name, **values))
        except InputError as error:
            raise InputError(f"Line {number}: {error}") from None
    return words
