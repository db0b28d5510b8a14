"""From products to rounded results."""

from __future__ import annotations

from tensaw.serial.assembler import Assembler

__all__ = ["requantise"]


def requantise(asm: Assembler) -> None:
    """Routines ``scale``: x = round(x · multiplier · 2^(shift - 31)) by ``rounding``; and ``high``: x = round(x ·
    multiplier · 2^-31), ties up, both factors signed.

    Both work on magnitudes: rounding ties up is rounding ties away from zero of a magnitude that is less by one unit of
    the product if the number is negative.
    """
    x, multiplier, shift, rounding = asm.regs("x", "multiplier", "shift", "rounding")
    negative, lower, upper, part, t, right = asm.regs("negative", "lower", "upper", "part", "t", "right")
    asm.label("scale")
    asm.move(right, 0)
    asm.if_equal(shift, 0, "scale_shifted")
    asm.if_less(shift, 0, "scale_right")
    asm.label("scale_left")
    asm.add(x, x, x)
    asm.sub(shift, shift, 1)
    asm.if_different(shift, 0, "scale_left")
    asm.go("scale_shifted")
    asm.label("scale_right")
    asm.sub(right, right, shift)
    asm.label("scale_shifted")
    asm.move(negative, 0)
    asm.if_not_less(x, 0, "scale_positive")
    asm.sub(x, asm.constant(0), x)
    asm.move(negative, 1)
    asm.label("scale_positive")
    asm.multiply(lower, x, multiplier, upper)
    asm.funnel(part, upper, lower, 30)
    asm.if_equal(rounding, 2, "scale_single")
    asm.if_equal(negative, 0, "scale_less")
    _one_less(asm, "scale_less")
    asm.label("scale_less")
    asm.if_different(rounding, 0, "scale_single")
    asm.add(part, part, 1)
    asm.shift_right(x, part, 1)
    asm.if_equal(right, 0, "scale_sign")
    asm.sub(right, right, 1)
    asm.shift_by(part, x, right)
    asm.go("scale_round")
    asm.label("scale_single")
    asm.shift_by(part, part, right)
    asm.label("scale_round")
    asm.add(part, part, 1)
    asm.shift_right(x, part, 1)
    asm.label("scale_sign")
    asm.if_equal(negative, 0, "scale_done")
    asm.sub(x, asm.constant(0), x)
    asm.label("scale_done")
    asm.back("scale")

    asm.label("high")
    asm.bits_xor(negative, x, multiplier)
    asm.if_not_less(x, 0, "high_first")
    asm.sub(x, asm.constant(0), x)
    asm.label("high_first")
    asm.move(t, multiplier)
    asm.if_not_less(t, 0, "high_second")
    asm.sub(t, asm.constant(0), t)
    asm.label("high_second")
    asm.multiply(lower, x, t, upper)
    asm.funnel(part, upper, lower, 30)
    asm.if_not_less(negative, 0, "high_less")
    _one_less(asm, "high_less")
    asm.label("high_less")
    asm.add(part, part, 1)
    asm.shift_right(x, part, 1)
    asm.if_not_less(negative, 0, "high_done")
    asm.sub(x, asm.constant(0), x)
    asm.label("high_done")
    asm.back("high")


def _one_less(asm: Assembler, after: str) -> None:
    """``part`` is the product shifted right by 30; make it that of a product less by one, unless the product is 0."""
    lower, part, t = asm.regs("lower", "part", "t")
    asm.shift_left(t, lower, 2)
    asm.if_different(t, 0, after)
    asm.if_equal(part, 0, after)
    asm.sub(part, part, 1)
