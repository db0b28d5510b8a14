"""The sequencer: from the program in memory to the command queues of the units, and the end of the program."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.checks import check
from tensaw.rtl.control.command import word_layout
from tensaw.rtl.control.command_queue import CommandQueue
from tensaw.rtl.control.fetch import Fetch
from tensaw.rtl.interfaces import ErrorSignature, ReadRequestSignature
from tensaw.rtl.shared import place
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import PAYLOAD_BITS, Unit, word_named
from tensaw.spec.registers import ErrorCode

__all__ = ["QUEUED_UNITS", "Sequencer"]

QUEUED_UNITS = (Unit.WEIGHT, Unit.LOAD, Unit.ARRAY, Unit.OUTPUT, Unit.STORE)
"""Units with a command queue, in the order of the STALL registers."""

_QUEUED_BITS = 60
"""Bits of a word that its queue keeps: all but the unit, which is the queue's."""
_SETTLE = 8
"""Cycles in which everything must be idle before END counts as reached: covers registers between the units."""


class Sequencer(wiring.Component):
    """Fetches the program, hands each word to its unit's queue in order, and carries out CONTROL.END.

    Parameters
    ----------
    config : NpuConfig
        ``queue_depth``, ``bus_bytes``, ``burst_beats``.

    Members
    -------
    start : In(1), program_offset : In(32), program_bytes : In(32)
        From the registers; ``start`` for one cycle, once after each reset.
    read : Out(ReadRequestSignature(config))
        To the read manager's ``fetch``.
    weight, load, array, output, store : Out(stream of 64)
        Command words for each unit.
    units_busy : In(5)
        ``busy`` of WEIGHT, LOAD, ARRAY, OUTPUT, STORE, from bit 0. A unit is busy from two cycles after it took its RUN
        word to the one in which it has had its full effect.
    bus_idle : In(1)
        Read and write manager are idle.
    halt : In(1)
        Hand out nothing more.
    queued : Out(8 × 5)
        Words in each queue, at most 255 (for the STALL registers).
    done : Out(1)
        END was reached: all queues empty, all units and the bus idle. Held until reset.
    fetch_error : Out(ErrorSignature)
        Unit 0: errors of the program fetch, ILLEGAL_COMMAND for a word that names no unit (the word is the address),
        and NO_END. Held until reset.
    error : Out(ErrorSignature)
        Unit CONTROL: ILLEGAL_COMMAND for a word of CONTROL that is not END, with the word as address. Held until reset.

    Timing
    ------
    A word a cycle, offered to its unit three cycles after the fetch has handed it on. A full queue stops the words
    behind it, whichever their unit.
    """

    start: Signal
    program_offset: Signal
    program_bytes: Signal
    read: Any
    weight: Any
    load: Any
    array: Any
    output: Any
    store: Any
    units_busy: Signal
    bus_idle: Signal
    halt: Signal
    queued: Any
    done: Signal
    fetch_error: Any
    error: Any

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "program_offset": In(32),
                "program_bytes": In(32),
                "read": Out(ReadRequestSignature(config)),
                **{unit.name.lower(): Out(stream.Signature(64)) for unit in QUEUED_UNITS},
                "units_busy": In(len(QUEUED_UNITS)),
                "bus_idle": In(1),
                "halt": In(1),
                "queued": Out(data.ArrayLayout(8, len(QUEUED_UNITS))),
                "done": Out(1),
                "fetch_error": Out(ErrorSignature()),
                "error": Out(ErrorSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        fetch = place(m, platform, "fetch", Fetch, self.config, module="tensaw_program_fetch")
        wiring.connect(m, fetch.read, wiring.flipped(self.read))
        m.d.comb += [
            fetch.start.eq(self.start),
            fetch.offset.eq(self.program_offset),
            fetch.bytes.eq(self.program_bytes),
        ]

        # The word at the head of the program. One that goes to no queue stays there.
        word = fetch.words.payload
        target_unit = word[60:64]
        looked_at = fetch.words.valid & ~self.halt
        depth = self.config.queue_depth
        queues = []
        ready = []
        for index, target in enumerate(QUEUED_UNITS):
            name = target.name.lower()
            queue = place(m, platform, f"queue_{name}", CommandQueue, _QUEUED_BITS, depth)
            queues.append(queue)
            port = getattr(self, name)
            # Known before the word, whose way into the queue and out of the fetch is long enough.
            room = Signal(name=f"room_{name}", init=1)
            mine = target_unit == int(target)
            m.d.comb += [
                queue.w_data.eq(word[:_QUEUED_BITS]),
                queue.w_en.eq(looked_at & mine & room),
                port.payload.eq(Cat(queue.r_data, Const(int(target), 64 - _QUEUED_BITS))),
                port.valid.eq(queue.r_rdy & ~self.halt),
                queue.r_en.eq(port.ready & ~self.halt),
                self.queued[index].eq(queue.level if depth < 256 else Mux(queue.level > 255, 255, queue.level)),
            ]
            m.d.sync += room.eq((queue.level != depth) & ~((queue.level == depth - 1) & queue.w_en))
            ready.append(mine & room)
        m.d.comb += fetch.words.ready.eq(Cat(ready).any() & ~self.halt)

        end = word_named("CONTROL.END")
        end_bits = word_layout(end).size
        is_end = (word[PAYLOAD_BITS:60] == end.code) & ~word[end_bits:PAYLOAD_BITS].any()
        ended = Signal()
        illegal = Signal()
        unknown = Signal()
        no_end = Signal()
        with m.If(looked_at):
            with m.Switch(target_unit):
                with m.Case(*(int(target) for target in QUEUED_UNITS)):
                    pass
                with m.Case(int(Unit.CONTROL)):
                    m.d.sync += [ended.eq(is_end), illegal.eq(~is_end)]
                with m.Default():
                    m.d.sync += unknown.eq(1)
        with m.If(fetch.exhausted & ~ended):
            m.d.sync += no_end.eq(1)

        # The end: all idle for a while.
        quiet = Signal(range(_SETTLE + 1))
        calm = Signal()  # all was idle in the cycle before
        m.d.sync += calm.eq(self.bus_idle & ~self.units_busy.any() & ~Cat(q.level != 0 for q in queues).any())
        m.d.comb += self.done.eq(quiet == _SETTLE)
        with m.If(~self.done):
            m.d.sync += quiet.eq(0)
            with m.If(ended & calm):
                m.d.sync += quiet.eq(quiet + 1)

        m.d.comb += [
            self.error.valid.eq(illegal),
            self.error.code.eq(ErrorCode.ILLEGAL_COMMAND),
            self.error.address.eq(word),
            self.fetch_error.valid.eq(fetch.error.valid | unknown | no_end),
        ]
        with m.If(fetch.error.valid):
            m.d.comb += [
                self.fetch_error.code.eq(fetch.error.code),
                self.fetch_error.address.eq(fetch.error.address),
            ]
        with m.Elif(unknown):
            m.d.comb += [self.fetch_error.code.eq(ErrorCode.ILLEGAL_COMMAND), self.fetch_error.address.eq(word)]
        with m.Else():
            m.d.comb += self.fetch_error.code.eq(ErrorCode.NO_END)
        idle = ~self.units_busy.any() & self.bus_idle
        check(m, platform, ~self.done | idle, "end", "the end is told and a unit or the bus is busy again")
        return m
