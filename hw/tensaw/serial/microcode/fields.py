"""Fields of command words."""

from __future__ import annotations

from tensaw.serial.assembler import Assembler, Reg

__all__ = ["field", "handler"]


def handler(unit: str, name: str) -> str:
    """Label of what takes a word apart."""
    return f"word_{unit}_{name}"


def field(asm: Assembler, target: Reg, position: int, width: int, signed: bool) -> None:
    """``target`` = the field of ``high:low``: shifted to the top, then down."""
    low, high = asm.regs("low", "high")
    top = position + width
    if position == 0 and width <= 8 and not signed:
        asm.bits_and(target, low, (1 << width) - 1)
        return
    source = target
    if top > 32:
        asm.funnel(target, high, low, top - 32)
    elif top < 32:
        asm.shift_left(target, low, 32 - top)
    else:
        source = low
    if width < 32:
        (asm.shift_sign if signed else asm.shift_right)(target, source, 32 - width)
    elif source is not target:
        asm.move(target, source)
