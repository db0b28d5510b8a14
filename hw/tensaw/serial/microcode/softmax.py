"""OUTPUT.RUN, SOFTMAX."""

from __future__ import annotations

from tensaw.serial.assembler import Assembler, Reg
from tensaw.spec.isa import Peer
from tensaw.spec.limits import LONGEST_SOFTMAX

__all__ = ["softmax"]

_48_OVER_17 = 1515870810
_MINUS_32_OVER_17 = -1010580540
"""Q2.29, of gemmlowp's reciprocal."""
_LIMIT = 1 << 29
"""What may not be shifted left by two."""


def softmax(asm: Assembler) -> None:
    """Rows of int8 to rows of int8, see docs/numerics.md."""

    def of(name: str) -> Reg:
        return asm.reg(f"OUTPUT.{name}")

    rows, left, source, target, at = asm.regs("rows", "left", "source", "target", "at")
    row_source, row_target, largest, value, t = asm.regs("row_source", "row_target", "largest", "value", "t")
    total, x, multiplier, half, y, shifts = asm.regs("total", "x", "multiplier", "half", "y", "shifts")
    turns = asm.reg("turns")
    size = asm.reg("scratchpad_bytes")
    asm.label("softmax")
    asm.if_different(asm.reg("pending"), 0, "ILLEGAL_VALUE")
    asm.if_below(asm.constant(LONGEST_SOFTMAX), of("OUT.width"), "ILLEGAL_VALUE")
    for number in range(4):
        asm.if_equal(asm.reg(f"exponent_{number}"), 0, "ILLEGAL_VALUE")
    asm.shift_right(t, asm.reg("low"), 16 + Peer.ARRAY)
    asm.bits_and(t, t, 1)
    asm.if_below(asm.reg("array_tokens"), t, "ILLEGAL_VALUE")
    asm.sub(asm.reg("array_tokens"), asm.reg("array_tokens"), t)
    asm.move(row_source, of("OPERAND.base"))
    asm.move(row_target, of("TARGET.base"))
    asm.move(rows, of("OUT.height"))
    asm.call("count_cycles")
    asm.move(asm.reg("pending"), 2)
    asm.label("softmax_row")
    asm.if_stop("stopped")
    asm.call("count_cycles")
    for start in (row_source, row_target):
        asm.add(t, start, of("OUT.width"))
        asm.if_below(size, t, "ILLEGAL_VALUE")

    asm.move(source, row_source)
    asm.move(left, of("OUT.width"))
    asm.move(largest, -128)
    asm.label("softmax_largest")
    asm.fetch(value, source)
    asm.if_not_less(largest, value, "softmax_not_larger")
    asm.move(largest, value)
    asm.label("softmax_not_larger")
    asm.add(source, source, 1)
    asm.sub(left, left, 1)
    asm.if_different(left, 0, "softmax_largest")

    asm.move(source, row_source)
    asm.move(left, of("OUT.width"))
    asm.move(total, 0)
    asm.label("softmax_total")
    asm.call("exponential")
    asm.shift_right(x, x, 11)
    asm.add(x, x, 1)
    asm.shift_right(x, x, 1)
    asm.add(total, total, x)
    asm.sub(left, left, 1)
    asm.if_different(left, 0, "softmax_total")

    # The reciprocal of what is shifted until its highest bit is set.
    asm.move(shifts, 0)
    asm.label("softmax_normalise")
    asm.if_less(total, 0, "softmax_normal")
    asm.add(total, total, total)
    asm.add(shifts, shifts, 1)
    asm.if_below(shifts, 31, "softmax_normalise")
    asm.label("softmax_normal")
    asm.shift_right(half, total, 1)
    asm.move(x, half)
    asm.move(multiplier, _MINUS_32_OVER_17)
    asm.call("high")
    asm.add(y, x, _48_OVER_17)
    asm.move(turns, 3)
    asm.label("softmax_newton")
    asm.move(x, half)
    asm.move(multiplier, y)
    asm.call("high")
    asm.sub(multiplier, asm.constant(_LIMIT), x)
    asm.move(x, y)
    asm.call("high")
    asm.move(value, 2)
    asm.call("softmax_shift")
    asm.add(y, y, x)
    asm.sub(turns, turns, 1)
    asm.if_different(turns, 0, "softmax_newton")
    asm.move(x, y)
    asm.move(value, 1)
    asm.call("softmax_shift")
    asm.move(y, x)
    # 23 and the places of the leading one above 2^19, less one: at most 31, which makes 0 of everything.
    asm.sub(shifts, asm.constant(34), shifts)
    asm.if_below(shifts, 32, "softmax_small")
    asm.move(shifts, 31)
    asm.label("softmax_small")

    asm.move(source, row_source)
    asm.move(target, row_target)
    asm.move(left, of("OUT.width"))
    asm.label("softmax_write")
    asm.call("exponential")
    asm.move(multiplier, y)
    asm.call("high")
    asm.shift_by(x, x, shifts)
    asm.add(x, x, 1)
    asm.shift_right(x, x, 1)
    asm.add(x, x, -128)
    asm.if_less(x, 128, "softmax_clamped")
    asm.move(x, 127)
    asm.label("softmax_clamped")
    asm.keep(target, x)
    asm.add(target, target, 1)
    asm.sub(left, left, 1)
    asm.if_different(left, 0, "softmax_write")
    asm.add(row_source, row_source, of("OPERAND.pitch"))
    asm.add(row_target, row_target, of("TARGET.pitch"))
    asm.sub(rows, rows, 1)
    asm.if_different(rows, 0, "softmax_row")
    asm.call("count_cycles")
    asm.move(asm.reg("pending"), 0)
    asm.go("next")

    # x = table entry of the byte at `source`, which moves on.
    asm.label("exponential")
    asm.fetch(value, source)
    asm.add(source, source, 1)
    asm.sub(value, largest, value)
    asm.shift_right(t, value, 6)
    for number in range(3):
        asm.move(at, asm.reg(f"exponent_{number}"))
        asm.if_equal(t, number, "exponential_found")
    asm.move(at, asm.reg("exponent_3"))
    asm.label("exponential_found")
    asm.bits_and(value, value, 63)
    asm.shift_left(value, value, 2)
    asm.add(at, at, value)
    asm.load_word(x, at)
    asm.back("exponential")

    # x = x << value, within 32 bits.
    asm.label("softmax_shift")
    asm.add(t, x, x)
    asm.bits_xor(at, t, x)
    asm.if_less(at, 0, "softmax_overflow")
    asm.move(x, t)
    asm.sub(value, value, 1)
    asm.if_different(value, 0, "softmax_shift")
    asm.go("softmax_shift_over")
    asm.label("softmax_overflow")
    asm.move(t, (1 << 31) - 1)
    asm.if_not_less(x, 0, "softmax_limit")
    asm.move(t, -1 << 31)
    asm.label("softmax_limit")
    asm.move(x, t)
    asm.label("softmax_shift_over")
    asm.back("softmax_shift")
