"""LOAD, STORE and WEIGHT: bytes between memory and scratchpad, and what the weight stream consists of."""

from __future__ import annotations

from tensaw.serial.assembler import Assembler
from tensaw.spec.config import NpuConfig

__all__ = ["SEGMENTS", "transfer", "weight_stream"]

SEGMENTS = 4
"""Pieces of memory that the weight stream may consist of at a time; what follows on another's end is one with it."""

_PIECE = 256
"""Bytes after which a transfer looks whether it shall stop, and counts what it has done."""


def transfer(asm: Assembler, config: NpuConfig, unit: str) -> None:
    """LOAD.RUN or STORE.RUN."""
    planes, rows, left, rest = asm.regs("planes", "rows", "left", "rest")
    plane_memory, plane_pad, row_memory, row_pad = asm.regs("plane_memory", "plane_pad", "row_memory", "row_pad")
    source, target, value, t, span = asm.regs("source", "target", "value", "t", "span")
    total, upper = asm.regs("total", "upper")

    def label(name: str) -> str:
        return f"{unit}_{name}"

    def part(name: str):  # noqa: ANN202
        return asm.reg(f"{unit}.{name}")

    length, count, plane_count = part("ROWS.bytes"), part("ROWS.count"), part("PLANES.count")
    asm.label(f"do_{unit}_RUN")
    for item in (length, count, plane_count):
        asm.if_equal(item, 0, "ILLEGAL_VALUE")
    # The last byte of the last row; none of the sums may go beyond what 32 bits hold.
    for side, start, beyond in (
        ("scratchpad", part("SCRATCHPAD.address"), "ILLEGAL_VALUE"), ("memory", 0, "OUTSIDE_REGION"),
    ):  # fmt: skip
        if side == "memory" and unit == "LOAD":
            asm.if_different(part("RUN.fill"), 0, label("fits"))
        asm.move(asm.reg("culprit"), part("MEMORY.offset"))
        asm.add(span, length, start)
        for number, pitch in ((count, part(f"ROW_PITCH.{side}")), (plane_count, part(f"PLANE_PITCH.{side}"))):
            asm.sub(t, number, 1)
            asm.multiply(total, t, pitch, upper)
            asm.if_different(upper, 0, beyond)
            asm.add(span, span, total)
            asm.if_below(span, total, beyond)
        if side == "scratchpad":
            asm.if_below(config.scratchpad_bytes, span, beyond)
    asm.move(asm.reg("region"), part("MEMORY.region"))
    asm.move(asm.reg("offset"), part("MEMORY.offset"))
    asm.move(asm.reg("length"), span)
    asm.move(asm.reg("need"), 1 if unit == "LOAD" else 2)
    asm.call("translate")
    asm.label(label("fits"))
    asm.move(plane_memory, asm.reg("address"))
    asm.move(plane_pad, part("SCRATCHPAD.address"))
    asm.move(planes, plane_count)

    asm.label(label("plane"))
    asm.move(row_memory, plane_memory)
    asm.move(row_pad, plane_pad)
    asm.move(rows, count)
    asm.label(label("row"))
    asm.move(rest, length)
    asm.move(source, row_memory if unit == "LOAD" else row_pad)
    asm.move(target, row_pad if unit == "LOAD" else row_memory)
    if unit == "LOAD":
        asm.move(value, part("RUN.value"))
    asm.label(label("piece"))
    asm.if_stop("stopped")
    asm.call("count_cycles")
    asm.move(left, rest)
    asm.if_below(left, asm.constant(_PIECE), label("last_piece"))
    asm.move(left, asm.constant(_PIECE))
    asm.label(label("last_piece"))
    asm.sub(rest, rest, left)
    if unit == "LOAD":
        asm.if_different(part("RUN.fill"), 0, label("fill"))
    counted = asm.reg("BYTES_READ_LO" if unit == "LOAD" else "BYTES_WRITTEN_LO")
    asm.add(counted, counted, left)
    asm.label(label("byte"))
    if unit == "LOAD":
        asm.load_byte(value, source)
        asm.keep(target, value)
    else:
        asm.fetch(value, source)
        asm.store(target, value)
    asm.add(source, source, 1)
    asm.add(target, target, 1)
    asm.sub(left, left, 1)
    asm.if_different(left, 0, label("byte"))
    if unit == "LOAD":
        asm.go(label("piece_over"))
        asm.label(label("fill"))
        asm.keep(target, value)
        asm.add(target, target, 1)
        asm.sub(left, left, 1)
        asm.if_different(left, 0, label("fill"))
    asm.label(label("piece_over"))
    asm.if_different(rest, 0, label("piece"))
    asm.add(row_memory, row_memory, part("ROW_PITCH.memory"))
    asm.add(row_pad, row_pad, part("ROW_PITCH.scratchpad"))
    asm.sub(rows, rows, 1)
    asm.if_different(rows, 0, label("row"))
    asm.add(plane_memory, plane_memory, part("PLANE_PITCH.memory"))
    asm.add(plane_pad, plane_pad, part("PLANE_PITCH.scratchpad"))
    asm.sub(planes, planes, 1)
    asm.if_different(planes, 0, label("plane"))
    asm.go("next")


def weight_stream(asm: Assembler, config: NpuConfig) -> None:
    """WEIGHT.RUN: nothing is copied. ``segments`` pieces of memory, from ``begin_n`` up to ``end_n``, are the stream,
    the first of them not empty."""
    t, address, segments, length = asm.regs("t", "address", "segments", "length")
    offset, count = asm.reg("WEIGHT.MEMORY.offset"), asm.reg("WEIGHT.RUN.bytes")
    begins = asm.regs(*(f"begin_{number}" for number in range(SEGMENTS)))
    ends = asm.regs(*(f"end_{number}" for number in range(SEGMENTS)))
    asm.label("do_WEIGHT_RUN")
    asm.if_equal(count, 0, "ILLEGAL_VALUE")
    asm.bits_or(t, offset, count)
    asm.bits_and(t, t, config.bus_bytes - 1)
    asm.if_different(t, 0, "ILLEGAL_VALUE")
    asm.if_equal(asm.reg("WEIGHT.RUN.turn"), 3, "ILLEGAL_VALUE")
    asm.move(asm.reg("region"), asm.reg("WEIGHT.MEMORY.region"))
    asm.move(asm.reg("offset"), offset)
    asm.move(length, count)
    asm.move(asm.reg("need"), 1)
    asm.call("translate")
    # What could be overwritten before it is used cannot be left where it is.
    asm.bits_and(t, asm.reg("access"), 2)
    asm.if_different(t, 0, "ILLEGAL_VALUE")
    for number in range(SEGMENTS):
        after = f"segment_not_{number}"
        asm.if_different(segments, number, after)
        if number:
            asm.if_different(ends[number - 1], address, f"new_{number}")
            asm.add(ends[number - 1], address, length)
            asm.go("next")
            asm.label(f"new_{number}")
        asm.move(begins[number], address)
        asm.add(ends[number], address, length)
        asm.add(segments, segments, 1)
        asm.go("next")
        asm.label(after)
    asm.if_different(ends[-1], address, "ILLEGAL_VALUE")
    asm.add(ends[-1], address, length)
    asm.go("next")

    # The first `need` bytes have been used.
    need = asm.reg("need")
    asm.label("free")
    asm.add(begins[0], begins[0], need)
    asm.if_different(begins[0], ends[0], "freed")
    for number in range(1, SEGMENTS):
        asm.move(begins[number - 1], begins[number])
        asm.move(ends[number - 1], ends[number])
    asm.sub(segments, segments, 1)
    asm.label("freed")
    asm.back("free")

    # Goes to an error unless the first piece has `need` bytes.
    asm.label("has")
    asm.if_equal(need, 0, "has_all")
    asm.if_equal(segments, 0, "ILLEGAL_VALUE")
    asm.sub(t, ends[0], begins[0])
    asm.if_below(t, need, "ILLEGAL_VALUE")
    asm.label("has_all")
    asm.back("has")


def stop(asm: Assembler) -> None:
    """Where the host's wish to stop is seen within an action."""
    asm.label("stopped")
    asm.move(asm.reg("unit"), 0)
    asm.move(asm.reg("tag"), 0)
    asm.go("STOPPED")
