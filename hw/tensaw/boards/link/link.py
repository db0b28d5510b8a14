"""The whole host link, from the two pins of a serial line to the bus."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.boards.link.executor import RequestExecutor
from tensaw.boards.link.receiver import FrameReceiver
from tensaw.boards.link.uart import UartReceiver, UartTransmitter
from tensaw.rtl.bus.axi4 import Axi4LiteSignature, Axi4ReadSignature, Axi4WriteSignature
from tensaw.rtl.shared import place
from tensaw.spec.link import Identity
from tensaw.spec.registers import ADDRESS_BITS

__all__ = ["HostLink"]

_BUS_TICK_BITS = 16


class HostLink(wiring.Component):
    """Answers a host that speaks docs/link.md.

    Parameters
    ----------
    identity : Identity
        What the board says of itself; clock, rate, size of the buffer and widths of the bus are taken from it.

    Members
    -------
    rx : In(1), tx : Out(1)
        The pins.
    reset : Out(1), ready : In(1)
        See RequestExecutor.
    active : Out(1)
        Bytes are arriving or leaving; for a light.
    axi_read, axi_write, lite
        Managers of memory and registers, see BusAccess.

    Timing
    ------
    See docs/link.md. Reset: forgets requests and the last tag, and counts cycles from 0.
    """

    rx: Signal
    tx: Signal
    reset: Signal
    ready: Signal
    active: Signal
    axi_read: Any
    axi_write: Any
    lite: Any

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        # Silence of 5 to 10 ms ends a frame, one more tick at most.
        self._silence_bits = (identity.clock // 200 - 1).bit_length()
        super().__init__(
            {
                "rx": In(1),
                "tx": Out(1),
                "reset": Out(1),
                "ready": In(1),
                "active": Out(1),
                "axi_read": Out(Axi4ReadSignature(identity.config)),
                "axi_write": Out(Axi4WriteSignature(identity.config)),
                "lite": Out(Axi4LiteSignature(ADDRESS_BITS)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        identity = self._identity
        receive = place(m, platform, "uart_receiver", UartReceiver, identity.clock, identity.baud)
        transmit = place(m, platform, "uart_transmitter", UartTransmitter, identity.clock, identity.baud)
        frames = place(m, platform, "frames", FrameReceiver, identity.buffer_bytes)
        executor = place(m, platform, "executor", RequestExecutor, identity.config, identity.to_bytes())

        cycles = Signal(32)
        damaged, dropped = Signal(16), Signal(16)
        m.d.sync += [
            cycles.eq(cycles + 1),
            damaged.eq(damaged + frames.damaged),
            dropped.eq(dropped + frames.dropped),
        ]

        def tick(bits: int) -> Signal:
            """In one cycle of each 2^bits."""
            before, now = Signal(name=f"before_{bits}"), Signal(name=f"tick_{bits}")
            m.d.sync += [before.eq(cycles[bits - 1]), now.eq(before & ~cycles[bits - 1])]
            return now

        silence = tick(self._silence_bits)
        bus_tick = tick(_BUS_TICK_BITS)
        seen = Signal()
        with m.If(receive.valid | ~self.tx):
            m.d.sync += seen.eq(1)
        with m.Elif(silence):
            m.d.sync += seen.eq(0)
        with m.If(silence):
            m.d.sync += self.active.eq(Mux(seen, ~self.active, 0))

        wiring.connect(m, frames.o, executor.i)
        wiring.connect(m, executor.o, transmit.i)
        m.d.comb += [
            receive.rx.eq(self.rx),
            self.tx.eq(transmit.tx),
            frames.byte.eq(receive.byte),
            frames.valid.eq(receive.valid),
            frames.error.eq(receive.error),
            frames.tick.eq(silence),
            executor.counters.eq(Cat(cycles, damaged, dropped)),
            executor.tick.eq(bus_tick),
            executor.ready.eq(self.ready),
            self.reset.eq(executor.reset),
        ]
        for name in ("axi_read", "axi_write", "lite"):
            wiring.connect(m, getattr(executor, name), wiring.flipped(getattr(self, name)))
        return m
