"""Start, fetch and dispatch of command words, errors, end."""

from __future__ import annotations

from tensaw.serial.assembler import Assembler
from tensaw.serial.microcode.fields import field, handler
from tensaw.serial.registers import VISIBLE
from tensaw.spec.isa import WORDS, Unit
from tensaw.spec.registers import REGISTERS, Access, ErrorCode, register

__all__ = ["control"]

_CODES = 16
"""Entries of the table of handlers for each unit: codes from 0 on; ARRAY.TABLE's is apart."""


_CLEARED = [
    name for name in VISIBLE
    if name.startswith("ERROR") or register(name).offset >= 0x100
]  # fmt: skip
"""What a start makes 0."""


def control(asm: Assembler, memory_bytes: int) -> None:
    """The main loop. The registers between the labels' uses:

    ``low``, ``high`` the word's halves without unit and code; ``unit``, ``code``, ``tag``; ``pending`` is 1 while an
    ARRAY run has not been drained, 2 while that is being done. Errors: ``go`` to the label of an ErrorCode's name, with
    ``culprit`` its address where it has one.
    """
    low, high, unit, code, tag, pending = asm.regs("low", "high", "unit", "code", "tag", "pending")
    whole, place, t, cause, culprit = asm.regs("whole", "place", "t", "cause", "culprit")
    last_cycles = asm.reg("last_cycles")
    first, end = asm.block(
        f"{word.unit.name}.{word.name}.{item.name}" for word in WORDS for item in word.fields
        if item.name not in ("tag", "wait", "signal", "lines", "follow_run")
    )  # fmt: skip

    # After reset: all that the host can set is 0.
    for item in REGISTERS:
        if item.access is Access.READ_WRITE and item.name in VISIBLE:
            asm.move(asm.reg(item.name), 0)
    asm.call("clear")
    asm.label("idle")
    asm.if_start("start")
    asm.go("idle")

    asm.label("start")
    asm.cycles(last_cycles)
    asm.call("clear")
    asm.move(t, first)
    asm.label("clear_fields")
    asm.put(t, 0)
    asm.add(t, t, 1)
    asm.if_different(t, asm.constant(end), "clear_fields")
    for name in (
        "pending",
        "place",
        "segments",
        "array_tokens",
        "lookup",
        "exponent_0",
        "exponent_1",
        "exponent_2",
        "exponent_3",
    ):
        asm.move(asm.reg(name), 0)

    asm.label("next")
    asm.call("count_cycles")
    asm.move(tag, 0)
    asm.move(unit, 0)
    asm.if_stop("STOPPED")
    asm.if_not_below(place, asm.reg("PROGRAM_BYTES"), "NO_END")
    asm.move(asm.reg("region"), 0)
    asm.add(asm.reg("offset"), place, asm.reg("PROGRAM_OFFSET"))
    asm.move(asm.reg("length"), 8)
    asm.move(asm.reg("need"), 1)
    asm.call("translate")
    asm.add(place, place, 8)
    asm.load_word(low, asm.reg("address"))
    asm.load_word(whole, asm.reg("address"), 4)
    asm.shift_right(unit, whole, 28)
    asm.shift_right(code, whole, 22)
    asm.bits_and(code, code, 63)
    asm.bits_and(high, whole, (1 << 22) - 1)
    asm.if_not_below(unit, max(Unit) + 1, "no_unit")
    asm.if_equal(pending, 0, "dispatch")
    # Between an ARRAY run and the run that drains it nothing may change what it reads.
    asm.if_equal(unit, Unit.OUTPUT, "dispatch")
    asm.if_equal(unit, Unit.WEIGHT, "dispatch")
    asm.if_equal(unit, Unit.ARRAY, "ILLEGAL_VALUE")
    asm.if_equal(unit, Unit.CONTROL, "ILLEGAL_VALUE")
    asm.if_equal(code, 0, "ILLEGAL_VALUE")
    asm.label("dispatch")
    asm.if_below(code, _CODES, "within")
    asm.if_different(code, 32, "ILLEGAL_COMMAND")
    asm.if_equal(unit, Unit.ARRAY, handler("ARRAY", "TABLE"))
    asm.go("ILLEGAL_COMMAND")
    asm.label("within")
    asm.shift_left(t, unit, 4)
    asm.add(t, t, code)
    asm.add(t, t, asm.place("handlers"))
    asm.jump(t)
    asm.label("handlers")
    words = {(word.unit, word.code): word for word in WORDS}
    for number in range(max(Unit) + 1):
        for index in range(_CODES):
            word = words.get((number, index))  # type: ignore[arg-type]
            asm.go("no_unit" if number == 0 else "ILLEGAL_COMMAND" if word is None
                   else handler(word.unit.name, word.name))  # fmt: skip
    for word in WORDS:
        asm.label(handler(word.unit.name, word.name))
        position = 0
        for item in word.fields:
            name = f"{word.unit.name}.{word.name}.{item.name}"
            if item.name == "tag":
                field(asm, tag, position, item.width, item.signed)
            elif item.name not in ("wait", "signal", "lines", "follow_run"):
                field(asm, asm.reg(name), position, item.width, item.signed)
            position += item.width
        if position < 32:
            asm.shift_right(t, low, position)
            asm.bits_or(t, t, high)
            asm.if_different(t, 0, "ILLEGAL_COMMAND")
        elif position < 54:
            asm.shift_right(t, high, position - 32)
            asm.if_different(t, 0, "ILLEGAL_COMMAND")
        asm.go(f"do_{word.unit.name}_{word.name}" if word.fields[0].name == "tag" else "next")

    asm.label("do_CONTROL_END")
    asm.call("count_cycles")
    asm.state(done=True)
    asm.go("idle")

    # Errors.
    asm.label("no_unit")
    asm.move(unit, 0)
    asm.label("ILLEGAL_COMMAND")
    asm.move(tag, 0)
    asm.move(asm.reg("ERROR_ADDRESS_HI"), whole)
    asm.move(culprit, low)
    asm.move(cause, int(ErrorCode.ILLEGAL_COMMAND))
    asm.go("fail")
    for error in (ErrorCode.NO_END, ErrorCode.STOPPED, ErrorCode.ILLEGAL_VALUE):
        asm.label(error.name)
        asm.move(culprit, 0)
        asm.move(cause, int(error))
        asm.go("fail")
    for error in (ErrorCode.OUTSIDE_REGION, ErrorCode.READ_DECERR, ErrorCode.WRITE_DECERR):
        asm.label(error.name)
        asm.move(cause, int(error))
        asm.go("fail")
    asm.label("fail")
    asm.move(asm.reg("ERROR_ADDRESS_LO"), culprit)
    asm.shift_left(t, unit, 8)
    asm.bits_or(cause, cause, t)
    asm.shift_left(t, tag, 16)
    asm.bits_or(asm.reg("ERROR"), cause, t)
    asm.call("count_cycles")
    asm.state(error=True)
    asm.go("idle")

    asm.label("clear")
    for name in _CLEARED:
        asm.move(asm.reg(name), 0)
    asm.back("clear")
    _count_cycles(asm)
    _translate(asm, memory_bytes)


def _count_cycles(asm: Assembler) -> None:
    """CYCLES += cycles since ``last_cycles``; OUTPUT_BUSY likewise where ``pending`` is 2."""
    now, before = asm.regs("now", "last_cycles")
    asm.label("count_cycles")
    asm.cycles(now)
    asm.sub(before, now, before)
    for name in ("CYCLES", "OUTPUT_BUSY"):
        low, high = asm.regs(f"{name}_LO", f"{name}_HI")
        if name == "OUTPUT_BUSY":
            asm.if_different(asm.reg("pending"), 2, "counted_output")
        asm.add(low, low, before)
        asm.if_not_below(low, before, f"counted_{name}")
        asm.add(high, high, 1)
        asm.label(f"counted_{name}")
    asm.label("counted_output")
    asm.move(before, now)
    asm.back("count_cycles")


def _translate(asm: Assembler, memory_bytes: int) -> None:
    """``address`` of byte ``offset`` of ``region``, of which ``length`` bytes are accessed; ``need`` is 1 to read them,
    2 to write them. Goes to an error if that may not be. ``access`` is what the region allows."""
    region, offset, length, need = asm.regs("region", "offset", "length", "need")
    address, access, size, t, culprit = asm.regs("address", "access", "size", "t", "culprit")
    asm.label("translate")
    asm.move(culprit, offset)
    asm.if_not_below(region, 4, "OUTSIDE_REGION")
    for index in range(4):
        after = f"not_region_{index}"
        if index < 3:
            asm.if_different(region, index, after)
        for target, part in ((address, "BASE_LO"), (size, "SIZE"), (access, "ACCESS")):
            asm.move(target, asm.reg(f"REGION{index}_{part}"))
        if index < 3:
            asm.go("translated")
            asm.label(after)
    asm.label("translated")
    asm.add(culprit, address, offset)
    asm.bits_and(t, access, need)
    asm.if_equal(t, 0, "OUTSIDE_REGION")
    asm.add(t, offset, length)
    asm.if_below(t, length, "OUTSIDE_REGION")
    asm.if_below(size, t, "OUTSIDE_REGION")
    asm.if_not_below(address, memory_bytes, "no_memory")
    asm.add(t, t, address)
    asm.if_below(memory_bytes, t, "no_memory")
    asm.move(address, culprit)
    asm.back("translate")
    asm.label("no_memory")
    asm.if_equal(need, 2, "WRITE_DECERR")
    asm.go("READ_DECERR")
