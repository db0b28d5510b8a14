"""The command words: every unit's registers and actions, their fields and what they mean.

This table is the only description of the instruction set: the RTL decoder, the encoder, the disassembler, the
instruction-level simulator, the C header and the documentation are made from it. Code elsewhere imports these names
from :mod:`tensaw.spec.isa`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = [
    "Field",
    "Mode",
    "Operation",
    "OutputKind",
    "PAYLOAD_BITS",
    "Peer",
    "REGIONS",
    "TableKind",
    "Unit",
    "WORDS",
    "Word",
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


class Turn(enum.IntEnum):
    """Who reads memory first if WEIGHT and LOAD both have a burst (``WEIGHT.RUN turn``)."""

    SHARED = 0
    """LOAD, but at most three bursts in a row."""
    FIRST = 1
    """WEIGHT."""
    LAST = 2
    """LOAD."""


class Follow(enum.IntEnum):
    """Whom an ARRAY run follows row by row (``ARRAY.RUN follow``)."""

    NOBODY = 0
    OUTPUT = 1
    """OUTPUT run ``follow_run``: its output rows are the input rows."""
    LOAD = 2
    """LOAD run ``follow_run``: each of its planes is ``lines`` input rows."""


class Mode(enum.IntEnum):
    """How the array is fed (``ARRAY.RUN mode``)."""

    CONV = 0
    """One vector of ``rows`` contiguous bytes a cycle, byte r into array row r."""
    DEPTHWISE = 1
    """Up to three vectors of ``columns`` bytes a cycle (kernel rows), byte c into column c; the array makes three taps
    in x of them."""
    POOL = 2
    """One vector of ``columns`` bytes a cycle straight to the accumulators, as if multiplied by one."""
    PAIRS = 3
    """As DEPTHWISE, but a streamed position is two neighbouring pixels, whole words: for even strides in x."""


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
    """256 little-endian int32, entry d for a difference d = max - x; loaded in four parts of 64 entries."""


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


_TAG = Field("tag", 16, "copied to the trace and to error registers; names layer and tile in the program's listing")
_WAIT = Field(
    "wait", 4, "bit p: take one token given by peer p before starting (LOAD, ARRAY, OUTPUT, STORE from bit 0)"
)
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
    Field("multiplier", 32, "0 to 2**31 - 1; LiteRT normalises it to 2**30 and above, except for MEAN"),
    Field("shift", 6, "-31 to 30; positive shifts left before multiplying", signed=True),
)


def _dma(unit: Unit, verb: str, extra: tuple[Field, ...]) -> tuple[Word, ...]:
    return (
        Word(unit, 1, "MEMORY", (_REGION, _OFFSET), f"Where in memory to {verb}."),
        Word(unit, 2, "SCRATCHPAD", (Field("address", 24, "byte address"),), "First byte in the scratchpad."),
        Word(
            unit,
            3,
            "ROWS",
            (Field("bytes", 24, "contiguous bytes in a row, at least 1"), Field("count", 16, "rows, at least 1")),
            "Rows of a plane.",
        ),
        Word(
            unit,
            4,
            "ROW_PITCH",
            (
                Field("memory", 28, "bytes from row to row in memory"),
                Field("scratchpad", 24, "bytes from row to row in the scratchpad"),
            ),
            "Distance of rows.",
        ),
        Word(unit, 5, "PLANES", (Field("count", 16, "planes, at least 1"),), "Planes of rows."),
        Word(
            unit,
            6,
            "PLANE_PITCH",
            (
                Field("memory", 28, "bytes from plane to plane in memory"),
                Field("scratchpad", 24, "bytes from plane to plane in the scratchpad"),
            ),
            "Distance of planes.",
        ),
        Word(unit, 0, "RUN", (_TAG, _WAIT, _SIGNAL, *extra), f"Start to {verb.split()[0]}."),
    )


WORDS: tuple[Word, ...] = (
    Word(
        Unit.WEIGHT,
        1,
        "MEMORY",
        (_REGION, _OFFSET),
        "Where the weight stream lies; a multiple of the bus width.",
    ),
    Word(
        Unit.WEIGHT,
        0,
        "RUN",
        (
            _TAG,
            Field("bytes", 28, "bytes to append to the weight buffer, a multiple of the bus width, not 0"),
            Field("turn", 2, "when its bursts go before LOAD's: 0 after three of them, 1 always, 2 never"),
        ),
        "Stream bytes into the weight buffer, waiting whenever it is full.",
    ),
    *_dma(
        Unit.LOAD,
        "load from",
        (
            Field("fill", 1, "write `value` instead of reading memory"),
            Field("value", 8, "the byte that a fill writes"),
            Field("lines", 12, "input rows that each plane is to runs that follow"),
        ),
    ),
    *_dma(Unit.STORE, "store to", ()),
    Word(
        Unit.ARRAY,
        1,
        "INPUT",
        (
            Field("base", 24, "scratchpad byte address of input row 0, byte 0"),
            Field("pitch", 24, "bytes from input row to input row"),
        ),
        "The input image.",
    ),
    Word(
        Unit.ARRAY,
        2,
        "WINDOW",
        (
            Field("height", 16, "input rows; row y outside 0..height-1 reads as `pad_value`"),
            Field("row_bytes", 24, "bytes of a row; byte x outside 0..row_bytes-1 reads as `pad_value`"),
        ),
        "Which part of the input image exists.",
    ),
    Word(
        Unit.ARRAY,
        3,
        "ORIGIN",
        (
            Field("y", 16, "input row of output row 0 at the first kernel step", signed=True),
            Field("x", 24, "byte in the row of output column 0 at the first kernel step", signed=True),
        ),
        "Minus the padding.",
    ),
    Word(
        Unit.ARRAY,
        4,
        "STEP",
        (
            Field("position", 20, "bytes from streamed position to position; PAIRS: its second pixel lies half as far"),
            Field("row", 8, "input rows from output row to output row"),
            Field("decimation", 6, "DEPTHWISE, PAIRS: streamed positions for one output, else 1"),
            Field("join", 1, "DEPTHWISE: a row's last padding is the next row's first"),
        ),
        "Strides.",
    ),
    Word(
        Unit.ARRAY,
        5,
        "KERNEL_Y",
        (
            Field("steps", 8, "kernel steps in y, at least 1"),
            Field("rows", 8, "input rows from step to step"),
            Field("group_rows", 8, "DEPTHWISE, PAIRS: input rows between the kernel rows of a step (dilation)"),
            Field("group_pitch", 24, "DEPTHWISE, PAIRS: group_rows * pitch"),
        ),
        "Kernel loop over y.",
    ),
    Word(
        Unit.ARRAY,
        6,
        "KERNEL_X",
        (
            Field("steps", 8, "kernel steps in x, at least 1"),
            Field("bytes", 20, "bytes from step to step"),
            Field("chunks", 16, "CONV: chunks of WEIGHTS.rows bytes within a step, at least 1; else 1"),
        ),
        "Kernel loops over x and, innermost, over chunks of contiguous bytes.",
    ),
    Word(
        Unit.ARRAY,
        7,
        "OUT",
        (Field("height", 16, "output rows, at least 1"), Field("width", 16, "output columns, at least 1")),
        "Output positions.",
    ),
    Word(
        Unit.ARRAY,
        8,
        "BLOCK",
        (
            Field("height", 16, "output rows of a block"),
            Field("width", 16, "output columns of a block; height * width at most half of the accumulator entries"),
        ),
        "Positions accumulated together; blocks at the edges are cut.",
    ),
    Word(
        Unit.ARRAY,
        9,
        "TILES",
        (
            Field("count", 12, "tiles of output channels, at least 1"),
            Field("input_step", 24, "bytes added to the input base from tile to tile"),
            Field("pad_value", 8, "what lies outside the window", signed=True),
        ),
        "Outermost loop: tiles of output channels.",
    ),
    Word(
        Unit.ARRAY,
        10,
        "WEIGHTS",
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
        Unit.ARRAY,
        0,
        "RUN",
        (
            _TAG,
            _WAIT,
            _SIGNAL,
            Field("mode", 2, "0 CONV, 1 DEPTHWISE, 2 POOL, 3 PAIRS"),
            Field("maximum", 1, "accumulate by maximum instead of by sum"),
            Field("groups", 2, "DEPTHWISE, PAIRS: kernel rows taken in parallel, 1 to 3"),
            Field("follow", 2, "wait, row by row, for what a run writes: 0 none, 1 OUTPUT's, 2 LOAD's `follow_run`"),
            Field("follow_run", 8, "number of that run of OUTPUT or LOAD in the program, modulo 256"),
        ),
        "Stream a layer or a part of it through the array.",
    ),
    Word(
        Unit.ARRAY,
        32,
        "TABLE",
        (
            _TAG,
            _WAIT,
            _SIGNAL,
            Field("kind", 1, "0 LOOKUP (256 bytes), 1 EXPONENT (a quarter of its 1024 bytes)"),
            Field("part", 2, "EXPONENT: which quarter"),
        ),
        "Move 256 bytes of a table from the weight buffer into the output stage; without tokens while the run before "
        "is still under way.",
    ),
    Word(
        Unit.OUTPUT,
        1,
        "TARGET",
        (
            Field("base", 24, "scratchpad byte address of output row 0, column 0, channel 0"),
            Field("pitch", 24, "bytes from output row to output row"),
        ),
        "Where results go.",
    ),
    Word(
        Unit.OUTPUT,
        2,
        "CHANNELS",
        (
            Field("pixel_pitch", 16, "bytes from output column to output column"),
            Field("tile", 7, "channels in a tile (and bytes from tile to tile), 1 to the array's columns"),
            Field("last", 7, "channels in the last tile, 1 to tile"),
            Field("tiles", 12, "tiles, at least 1"),
        ),
        "Output channels.",
    ),
    Word(
        Unit.OUTPUT,
        3,
        "OUT",
        (Field("height", 16, "output rows"), Field("width", 16, "output columns; SOFTMAX: elements in a row")),
        "Output positions, as in ARRAY.OUT.",
    ),
    Word(
        Unit.OUTPUT,
        4,
        "BLOCK",
        (Field("height", 16, "rows of a block"), Field("width", 16, "columns of a block")),
        "As in ARRAY.BLOCK.",
    ),
    Word(
        Unit.OUTPUT,
        5,
        "QUANT",
        (
            *_QUANT,
            Field("bias", 1, "add the streamed bias of each channel first"),
            Field("scale", 1, "use the streamed multiplier and shift of each channel, not OUTPUT.SCALE"),
        ),
        "Accumulator to int8.",
    ),
    Word(Unit.OUTPUT, 6, "SCALE", _SCALE, "Multiplier for all channels."),
    Word(
        Unit.OUTPUT,
        7,
        "OPERAND",
        (
            Field("base", 24, "scratchpad address of the second operand (SOFTMAX: of the input)"),
            Field("pitch", 24, "bytes from row to row"),
        ),
        "Second operand.",
    ),
    Word(
        Unit.OUTPUT,
        8,
        "OPERAND_STEP",
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
        Unit.OUTPUT,
        0,
        "RUN",
        (
            _TAG,
            _WAIT,
            _SIGNAL,
            Field("kind", 1, "0 DRAIN (write accumulators), 1 SOFTMAX (rows of the operand)"),
            Field("table", 1, "DRAIN: pass each result through the lookup table"),
        ),
        "Turn accumulators into int8 in the scratchpad.",
    ),
    Word(Unit.CONTROL, 0, "END", (_TAG,), "Wait until every unit is idle, then raise DONE."),
)
