"""Sentences for runs that did not end well: which unit, in which layer and tile, for what reason."""

from __future__ import annotations

from collections.abc import Mapping

from tensaw.spec.isa import Peer, Unit
from tensaw.spec.program import Program
from tensaw.spec.registers import ErrorCode

__all__ = ["describe_error", "describe_hang", "STALL_UNITS"]

STALL_UNITS = ("WEIGHT", "LOAD", "ARRAY", "OUTPUT", "STORE")
"""Units with a STALL register, in the order of the command flow."""

_CAUSES = {
    ErrorCode.READ_SLVERR: "the memory answered a read with SLVERR",
    ErrorCode.READ_DECERR: "the memory answered a read with DECERR (nothing is at that address)",
    ErrorCode.WRITE_SLVERR: "the memory answered a write with SLVERR",
    ErrorCode.WRITE_DECERR: "the memory answered a write with DECERR (nothing is at that address)",
    ErrorCode.ILLEGAL_COMMAND: "a command word is illegal",
    ErrorCode.ILLEGAL_VALUE: "a command holds a value that the unit cannot carry out",
    ErrorCode.OUTSIDE_REGION: "an access lies outside its memory region or is not allowed there",
    ErrorCode.NO_END: "the program has no CONTROL.END",
    ErrorCode.STOPPED: "software stopped the run",
}
# Values of STALL.state; 0 and 1 (idle, running) wait for nothing.
_WAITS = {
    2: "tokens", 3: "weights", 4: "rows that the output stage writes", 5: "a free accumulator half",
    6: "the memory bus", 7: "room in the weight buffer", 8: "results of the array",
}  # fmt: skip


_FROM = {3: "WEIGHT", 4: "OUTPUT", 5: "OUTPUT", 7: "ARRAY", 8: "ARRAY"}
"""Whom a state waits for; tokens name their giver themselves."""


def where(program: Program, tag: int) -> str:
    """``layer 'conv_1' (rows 0..7), tag 5``, as far as the program's listing knows the tag."""
    if tag < len(program.tags):
        entry = program.tags[tag]
        if 0 <= entry.layer < len(program.layers):
            tile = f" ({entry.tile})" if entry.tile else ""
            return f"layer {program.layers[entry.layer].name!r}{tile}, tag {tag}"
    return f"tag {tag}"


def describe_error(program: Program, error: int, address: int) -> str:
    """What the ERROR registers say: ``error`` is ERROR, ``address`` ERROR_ADDRESS (bus address or command word)."""
    code, unit, tag = error & 0xFF, error >> 8 & 15, error >> 16
    cause = _CAUSES.get(ErrorCode(code)) if code in list(ErrorCode) else None
    place = f"unit {Unit(unit).name}, {where(program, tag)}" if unit in list(Unit) else "the program fetch"
    kind = "command word" if code in (ErrorCode.ILLEGAL_COMMAND, ErrorCode.ILLEGAL_VALUE) else "address"
    detail = f" ({kind} 0x{address:x})" if address else ""
    name = ErrorCode(code).name if cause else f"code {code}"
    return f"The NPU stopped with {name} in {place}: {cause or 'this code is unknown'}{detail}."


def describe_hang(program: Program, stalls: Mapping[str, int], cycles: int, watchdog: int) -> str:
    """Why nothing moves: ``stalls`` are the STALL registers by unit name."""
    waiting = []
    wanted: set[str] = set()
    for unit in STALL_UNITS:
        value = stalls[unit]
        state, mask, queued, tag = value & 15, value >> 4 & 15, value >> 8 & 255, value >> 16
        reason = _WAITS.get(state)
        if reason is None:
            continue
        if state == 2:
            givers = [peer.name for peer in Peer if mask >> peer & 1]
            reason = "a token from " + " and ".join(givers)
            wanted.update(givers)
        elif state in _FROM:
            wanted.add(_FROM[state])
        waiting.append(f"{unit} waits for {reason} in {where(program, tag)}, with {queued} command words queued")
    # State idle and nothing queued.
    without = [unit for unit in STALL_UNITS if unit in wanted and not stalls[unit] & 0xFF0F]
    if without:
        most = min(program.config.queue_depth, 255) - 1  # the queues' last place may be on its way
        full = [unit for unit in STALL_UNITS if stalls[unit] >> 8 & 255 >= most]
        cause = "the program fetch waits for the memory, or the program has none"
        if full:
            cause = f"the full queue of {' and '.join(full)} holds up the words behind"
        waiting.append(f"{' and '.join(without)} {'has' if len(without) == 1 else 'have'} no command: {cause}")
    running = [unit for unit in STALL_UNITS if stalls[unit] & 15 == 1]
    if not waiting:
        idle = "all units are idle, so that the program fetch waits for the memory"
        waiting = [f"{', '.join(running)} claims to run" if running else idle]
    return f"The NPU hangs: nothing has moved for {watchdog} cycles at cycle {cycles}; {'; '.join(waiting)}."
