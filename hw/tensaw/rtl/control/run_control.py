"""Start, stop and end of a run, and the first error."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.checks import check
from tensaw.rtl.interfaces import ErrorSignature
from tensaw.spec.isa import Unit
from tensaw.spec.registers import ErrorCode

__all__ = ["ERROR_SOURCES", "RunControl"]

ERROR_SOURCES: dict[str, int] = {
    "fetch_error": 0,
    **{f"{unit.name.lower()}_error": int(unit) for unit in Unit},
    "token_error": int(Unit.CONTROL),
}
"""Members that report errors, and the unit that ERROR names for each. Of simultaneous errors the earlier one counts."""

_STEADY = frozenset({"array_error", "output_error", "control_error", "token_error"})
"""Those whose address stays as it was when they reported, until they are reset."""

_RESET_CYCLES = 4
"""From the start's first cycle of reset to the run's first cycle."""
_RESET_WAY = 2
"""Those of them in which the reset has ended and is on its way to the last of the blocks."""
_HALT_CYCLES = 8
"""Cycles after ``halt`` in which a burst may still be on its way to the managers' registers."""
_LEARNING = _HALT_CYCLES - 5
"""What is left of them when it is known which error was the first, and what it says."""


class RunControl(wiring.Component):
    """Leads the core through a run: reset, start, then the end or a halt.

    Members
    -------
    start_request, stop_request : In(1)
        From CONTROL, for one cycle. Start is ignored during a run, stop outside of one.
    fetch_error, weight_error, ... : In(ErrorSignature())
        See ``ERROR_SOURCES``. The addresses of ARRAY, OUTPUT, the sequencer and Tokens must stay until the next reset.
    done : In(1)
        From the sequencer.
    bus_idle : In(1)
        Read and write manager are idle. Stays so in a halt, from the ends of the bursts that were on their way.
    core_reset : Out(1)
        Reset the whole core (all but the register port) for two cycles at the start of a run. The bus is idle then.
    start : Out(1)
        First cycle of the run, three cycles after the reset's last: on its way to the blocks it may take two registers.
    halt : Out(1)
        No unit may start anything: 1 unless a run is in progress, from three cycles after what ended it. After an error
        the core stays halted, as it was, until the next start.
    running : Out(1)
        From ``start`` to the end, a halt's waiting for the bus included.
    busy : Out(1)
        ``running`` or in reset.
    finished, failed : Out(1)
        One cycle at the end of a run: which way it ended.
    code : Out(8), unit : Out(4), tag : Out(16), address : Out(64)
        The run's first error; code 0 if none. Cleared two cycles after a start; known before ``failed``, some cycles
        after ``halt``.
    """

    start_request: Signal
    stop_request: Signal
    done: Signal
    bus_idle: Signal
    core_reset: Signal
    start: Signal
    halt: Signal
    running: Signal
    busy: Signal
    finished: Signal
    failed: Signal
    code: Signal
    unit: Signal
    tag: Signal
    address: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "start_request": In(1),
                "stop_request": In(1),
                **{name: In(ErrorSignature()) for name in ERROR_SOURCES},
                "done": In(1),
                "bus_idle": In(1),
                "core_reset": Out(1),
                "start": Out(1),
                "halt": Out(1),
                "running": Out(1),
                "busy": Out(1),
                "finished": Out(1),
                "failed": Out(1),
                "code": Out(8),
                "unit": Out(4),
                "tag": Out(16),
                "address": Out(64),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # What may end the run comes from everywhere: registered before it is looked at, errors twice. What the first
        # error of each says is kept without looking at the others. Which of them was the first of all is found out a
        # cycle later, and then what the others said is cleared, so that nothing has to choose among words so wide.
        count = len(ERROR_SOURCES)
        layout = data.StructLayout({"code": 8, "unit": 4, "tag": 16, "address": 64})
        cause = Signal(layout)
        coming = Signal(count)
        failing = Signal()
        leading = Signal(count)  # the first of them
        cleared = Signal(count)  # of those that were not the first
        following = Signal(count, init=(1 << count) - 1)  # no error yet
        resetting = Signal()
        stop = Signal()
        stopping = Signal()
        done = Signal()
        bus_idle = Signal()
        m.d.sync += [
            coming.eq(Cat(getattr(self, name).valid for name in ERROR_SOURCES)),
            failing.eq(coming.any()),
            leading.eq(Cat(bit & ~coming[:index].any() for index, bit in enumerate(coming))),
            stop.eq(self.stop_request),
            stopping.eq(stop),
            done.eq(self.done),
            bus_idle.eq(self.bus_idle),
        ]
        m.d.sync += following.eq(~coming & (following | resetting.replicate(count)))
        told = []
        steady = Signal(64, reset_less=True)  # addresses that need not be kept, a cycle later: they come from far
        m.d.sync += steady.eq(
            reduce(
                or_,
                (
                    Mux(cleared[index], 0, getattr(self, name).address)
                    for index, name in enumerate(ERROR_SOURCES)
                    if name in _STEADY
                ),
            )
        )
        for index, (name, unit) in enumerate(ERROR_SOURCES.items()):
            port = getattr(self, name)
            said = Signal(layout, name=f"said_{name}", reset_less=True)
            m.d.sync += [said.code.eq(port.code), said.unit.eq(unit), said.tag.eq(port.tag)]
            m.d.sync += said.address.eq(0 if name in _STEADY else port.address)
            kept = Signal(layout, name=f"told_{name}", reset_less=True)
            with m.If(cleared[index]):
                m.d.sync += kept.eq(0)
            with m.Elif(following[index]):
                m.d.sync += kept.eq(said)
            told.append(kept.as_value())
        m.d.comb += cause.eq(reduce(or_, told) | Cat(Const(0, layout.size - len(steady)), steady))
        timer = Signal(range(_HALT_CYCLES))
        first = Signal()
        broken = Signal()  # an error ended the run
        learning = Signal()  # what it says comes now
        clear = Signal()  # what the last error said
        core_reset = Signal()
        halt = Signal(init=1)
        with m.If(clear):
            m.d.sync += [self.code.eq(ErrorCode.NONE), self.unit.eq(0), self.tag.eq(0), self.address.eq(0)]
        with m.If(learning):
            m.d.sync += [self.code.eq(cause.code), self.unit.eq(cause.unit)]
            m.d.sync += [self.tag.eq(cause.tag), self.address.eq(cause.address)]
        m.d.sync += [clear.eq(0), learning.eq(0)]
        m.d.comb += [self.core_reset.eq(core_reset), self.halt.eq(halt)]

        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start_request):
                    m.d.sync += [core_reset.eq(1), timer.eq(_RESET_CYCLES - 1), cleared.eq(0), clear.eq(1)]
                    m.next = "RESET"
            with m.State("RESET"):
                m.d.comb += [self.busy.eq(1), resetting.eq(1)]
                m.d.sync += timer.eq(timer - 1)
                with m.If(timer == _RESET_WAY):
                    m.d.sync += core_reset.eq(0)
                with m.If(timer == 0):
                    m.d.sync += [halt.eq(0), first.eq(1)]
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += [self.busy.eq(1), self.running.eq(1), self.start.eq(first)]
                m.d.sync += [first.eq(0), timer.eq(_HALT_CYCLES - 1), broken.eq(failing)]
                with m.If(failing):
                    m.d.sync += [halt.eq(1), cleared.eq(~leading)]
                    m.next = "HALT"
                with m.Elif(stopping):
                    m.d.sync += [halt.eq(1), self.code.eq(ErrorCode.STOPPED)]
                    m.next = "HALT"
                with m.Elif(done & ~coming.any()):
                    m.d.sync += halt.eq(1)
                    m.d.comb += self.finished.eq(1)
                    m.next = "IDLE"
            with m.State("HALT"):
                m.d.comb += [self.busy.eq(1), self.running.eq(1)]
                m.d.sync += learning.eq(broken & (timer == _LEARNING))
                with m.If(timer != 0):
                    m.d.sync += timer.eq(timer - 1)
                with m.Elif(bus_idle):
                    m.d.comb += self.failed.eq(1)
                    m.next = "IDLE"
        check(m, platform, ~core_reset | self.bus_idle, "reset_idle", "the core is reset while the bus is busy")
        return m
