"""What the host's accesses to registers mean: which registers there are, and the state of the run."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.serial.registers import VISIBLE
from tensaw.spec.config import NpuConfig
from tensaw.spec.registers import REGISTERS, Access, register

__all__ = ["NUMBER_BITS", "HostRegisters"]

NUMBER_BITS = 7
"""Of the number of a register that the host sees."""


def _number(name: str) -> int:
    return register(name).offset >> 2


class HostRegisters(wiring.Component):
    """Between the host's accesses and the register file.

    Parameters
    ----------
    config : NpuConfig
        For the bits of addresses.

    Members
    -------
    number : In(7), data : In(32), write : In(1)
        A register, and in one cycle that it is to be written. ``held``: In(32), what the file has under that number.
    value : Out(32), known : Out(1)
        What a read gives; there is such a register.
    store : Out(1), stored : Out(32)
        With ``write``: what goes into the file, if anything does.
    end : In(1), end_done : In(1), end_error : In(1)
        In one cycle: the run ends, and how.
    busy : Out(1), stop : Out(1)
        There is a run; the host wants its end.
    irq : Out(1)
        A cycle after its causes.

    Timing
    ------
    Combinational but for the state of the run and ``irq``. Reset: no run, no interrupt.
    """

    number: Signal
    data: Signal
    write: Signal
    held: Signal
    value: Signal
    known: Signal
    store: Signal
    stored: Signal
    end: Signal
    end_done: Signal
    end_error: Signal
    busy: Signal
    stop: Signal
    irq: Signal

    def __init__(self, config: NpuConfig) -> None:
        self._config = config
        super().__init__(
            {
                "number": In(NUMBER_BITS),
                "data": In(32),
                "write": In(1),
                "held": In(32),
                "value": Out(32),
                "known": Out(1),
                "store": Out(1),
                "stored": Out(32),
                "end": In(1),
                "end_done": In(1),
                "end_error": In(1),
                "busy": Out(1),
                "stop": Out(1),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        number, data = self.number, self.data
        writable = [item for item in REGISTERS if item.access is Access.READ_WRITE and item.name in VISIBLE]
        visible, settable = Signal(), Signal()
        for flag, numbers in (
            (self.known, [item.offset >> 2 for item in REGISTERS]),
            (visible, [_number(name) for name in VISIBLE]),
            (settable, [item.offset >> 2 for item in writable]),
        ):
            with m.Switch(number):
                with m.Case(*numbers):
                    m.d.comb += flag.eq(1)

        # Bits that registers have.
        bits = Signal(32)
        m.d.comb += bits.eq(0xFFFFFFFF)
        with m.Switch(number):
            for item in writable:
                if item.name.endswith("BASE_LO"):
                    with m.Case(item.offset >> 2):
                        m.d.comb += bits.eq((1 << min(32, self._config.address_width)) - 16)
                elif item.bits:
                    with m.Case(item.offset >> 2):
                        m.d.comb += bits.eq(sum((1 << bit.width) - 1 << bit.low for bit in item.bits))

        enable = number == _number("INTERRUPT_ENABLE")
        status = number == _number("STATUS")
        done, error, enabled = Signal(), Signal(), Signal()
        m.d.comb += [
            self.store.eq(self.write & settable & (~self.busy | enable)),
            self.stored.eq(data & bits),
            self.value.eq(Mux(visible, self.held, 0) | Mux(status, Cat(self.busy, done, error), 0)),
        ]
        m.d.sync += self.irq.eq(enabled & (done | error))
        with m.If(self.end):
            m.d.sync += [self.busy.eq(0), done.eq(self.end_done), error.eq(self.end_error)]
        with m.If(self.write & (number == _number("CONTROL"))):
            with m.If(data[0] & ~self.busy):
                m.d.sync += [self.busy.eq(1), done.eq(0), error.eq(0), self.stop.eq(0)]
            with m.If(data[1] & self.busy):
                m.d.sync += self.stop.eq(1)
        with m.If(self.write & enable):
            m.d.sync += enabled.eq(data[0])
        with m.If(self.write & status):
            with m.If(data[1]):
                m.d.sync += done.eq(0)
            with m.If(data[2]):
                m.d.sync += error.eq(0)
        return m
