"""The serial core's own instructions: 36 bits, three registers of 256, or two and a byte.

| bits | field | |
|---|---|---|
| 5..0 | op | :class:`Op` |
| 6 | immediate | B is the byte ``b``, not register ``b`` |
| 11..7 | aux | how far to shift; upper bits of a target |
| 19..12 | b | second operand B |
| 27..20 | a | first operand A |
| 35..28 | d | where the result goes; lower bits of a target |
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["ADDRESS_BITS", "BRANCHES", "INSTRUCTION_BITS", "REGISTERS", "Op", "Word"]

INSTRUCTION_BITS = 36
ADDRESS_BITS = 11
"""Of the program: at most 2,048 instructions."""
REGISTERS = 256


class Op(enum.IntEnum):
    """What an instruction does. D, A and B are registers d, a and b (or B the byte b); all of 32 bits."""

    ADD = 0
    """D = A + B."""
    SUB = 1
    """D = A - B."""
    AND = 2
    OR = 3
    XOR = 4
    MOVE = 5
    """D = B."""
    FUNNEL = 6
    """D = lower half of (B:A) >> aux."""
    SHIFT = 7
    """D = A >> aux, zeros come in."""
    SHIFT_SIGN = 8
    """D = A >> aux, copies of the sign come in."""
    SHIFT_BY = 9
    """D = A >> (B & 31), zeros come in."""
    MULTIPLY = 10
    """Begin A · B, both unsigned."""
    LOWER = 11
    """D = lower half of the product."""
    UPPER = 12
    """D = upper half of the product."""
    LOAD_WORD = 13
    """D = word of memory at A + B; its lowest two address bits are ignored."""
    LOAD_BYTE = 14
    """D = byte of memory at A + B, sign extended."""
    FETCH = 15
    """D = byte of the scratchpad at A + B, sign extended."""
    STORE = 16
    """Byte of memory at A = B."""
    KEEP = 17
    """Byte of the scratchpad at A = B."""
    PUT = 18
    """Register (A & 255) = B."""
    CALL = 19
    """D = address of the next instruction; go to aux:b."""
    RETURN = 20
    """Go to A."""
    GO = 21
    """Go to aux:d."""
    IF_EQUAL = 22
    """Go to aux:d if A = B; the following with other conditions."""
    IF_DIFFERENT = 23
    IF_LESS = 24
    IF_NOT_LESS = 25
    IF_BELOW = 26
    """As IF_LESS, both unsigned."""
    IF_NOT_BELOW = 27
    IF_START = 28
    """Go to aux:d if the host has asked for a start."""
    IF_STOP = 29
    """Go to aux:d if the host has asked for a stop."""
    WEIGHTS = 30
    """Dot products take weight rows from A (a byte address of memory) on; all sums become 0."""
    DOT = 31
    """sum[column] += byte · weight[column] for B (16 bits) bytes of the scratchpad from A on, and as many weight
    rows."""
    DOT_SAME = 32
    """As DOT, but each byte is A's lowest."""
    DOT_WORD = 36
    """sum[column] += byte[column] · weight[column] for the bytes of the scratchpad's word at A; B is 1."""
    SUM = 33
    """D = sum[B & 3]."""
    STATE = 34
    """Set the state of the run: bits of aux are busy, done, error."""
    CYCLES = 35
    """D = clock cycles, modulo 2^32."""


BRANCHES = range(Op.IF_EQUAL, Op.IF_NOT_BELOW + 1)


@dataclass(frozen=True)
class Word:
    """An instruction, its fields as in the table above."""

    op: Op
    d: int = 0
    a: int = 0
    b: int = 0
    aux: int = 0
    immediate: bool = False

    def encode(self) -> int:
        """The 36 bits. Raises ValueError for a field that is too large."""
        for name, width in (("d", 8), ("a", 8), ("b", 8), ("aux", 5)):
            if not 0 <= getattr(self, name) < 1 << width:
                raise ValueError(f"The field {name} of {self} does not fit {width} bits.")
        return self.op | self.immediate << 6 | self.aux << 7 | self.b << 12 | self.a << 20 | self.d << 28
