"""Single accesses to memory (AXI4) and registers (AXI4-Lite), one at a time."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.bus.axi4 import OKAY, Axi4LiteSignature, Axi4ReadSignature, Axi4WriteSignature
from tensaw.spec.config import NpuConfig
from tensaw.spec.registers import ADDRESS_BITS

__all__ = ["BusAccess"]


class BusAccess(wiring.Component):
    """Reads or writes one word of the memory bus, or one register.

    Parameters
    ----------
    config : NpuConfig
        For the widths of the memory bus.

    Members
    -------
    start : In(1)
        Begin an access; only while idle. ``write``, ``registers``, ``address``, ``data`` and ``strobe`` must stay until
        ``done``.
    write : In(1), registers : In(1)
        Kind of access; memory where ``registers`` is 0.
    address : In(32)
        Of memory or register; bits below the word are ignored.
    data : In(8 * bus_bytes), strobe : In(bus_bytes)
        What to write. A register's value is the upper 32 bits; its bytes are all written.
    tick : In(1)
        An access that has not been answered from one tick to the next but one is given up.
    done : Out(1)
        In one cycle: the access is over. From a register, as ``failed`` and ``lost``.
    read_data : Out(8 * bus_bytes)
        With ``done`` of a read; a register's value in the lowest 32 bits.
    failed : Out(1), lost : Out(1)
        With ``done``: the answer was an error, or there was none. After a loss the bus must be reset.
    axi_read, axi_write : Out(AXI4 channels)
        Bursts of one beat with ID 0; protection and cache attributes 0.
    lite : Out(AXI4-Lite)

    Timing
    ------
    Four cycles and the bus's own. All valid signals come from registers. Reset: idle.
    """

    start: Signal
    write: Signal
    registers: Signal
    address: Signal
    data: Signal
    strobe: Signal
    tick: Signal
    done: Signal
    read_data: Signal
    failed: Signal
    lost: Signal
    axi_read: Any
    axi_write: Any
    lite: Any

    def __init__(self, config: NpuConfig) -> None:
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "write": In(1),
                "registers": In(1),
                "address": In(32),
                "data": In(8 * config.bus_bytes),
                "strobe": In(config.bus_bytes),
                "tick": In(1),
                "done": Out(1),
                "read_data": Out(8 * config.bus_bytes),
                "failed": Out(1),
                "lost": Out(1),
                "axi_read": Out(Axi4ReadSignature(config)),
                "axi_write": Out(Axi4WriteSignature(config)),
                "lite": Out(Axi4LiteSignature(ADDRESS_BITS)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        read, write, lite = self.axi_read, self.axi_write, self.lite
        shift = (self._config.bus_bytes - 1).bit_length()
        ar, aw, w, r, b = (Signal(name=name) for name in ("ar", "aw", "w", "r", "b"))
        memory = ~self.registers
        late = Signal()

        word = self.address >> shift << shift
        m.d.comb += [
            read.araddr.eq(word),
            read.arsize.eq(shift),
            read.arburst.eq(1),
            write.awaddr.eq(word),
            write.awsize.eq(shift),
            write.awburst.eq(1),
            write.wdata.eq(self.data),
            write.wstrb.eq(self.strobe),
            write.wlast.eq(1),
            lite.araddr.eq(self.address[:ADDRESS_BITS] & -4),
            lite.awaddr.eq(self.address[:ADDRESS_BITS] & -4),
            lite.wdata.eq(self.data[-32:]),
            lite.wstrb.eq(15),
        ]
        ready = {name: Signal(name=f"{name}_ready") for name in ("ar", "aw", "w")}
        for channel, flag in (("ar", ar), ("aw", aw), ("w", w)):
            side = read if channel == "ar" else write
            m.d.comb += [
                getattr(side, f"{channel}valid").eq(flag & memory),
                getattr(lite, f"{channel}valid").eq(flag & self.registers),
            ]
            with m.If(memory):
                m.d.comb += ready[channel].eq(getattr(side, f"{channel}ready"))
            with m.Else():
                m.d.comb += ready[channel].eq(getattr(lite, f"{channel}ready"))
            with m.If(ready[channel]):
                m.d.sync += flag.eq(0)

        response = Signal(2)
        answered = Signal()
        m.d.comb += [
            read.rready.eq(r & self.done & memory),
            lite.rready.eq(r & self.done & self.registers),
            write.bready.eq(b & self.done & memory),
            lite.bready.eq(b & self.done & self.registers),
        ]
        with m.If(memory):
            m.d.comb += [
                self.read_data.eq(read.rdata),
                answered.eq(r & read.rvalid | b & write.bvalid),
                response.eq(read.rresp),
            ]
            with m.If(b):
                m.d.comb += response.eq(write.bresp)
        with m.Else():
            m.d.comb += [
                self.read_data.eq(lite.rdata),
                answered.eq(r & lite.rvalid | b & lite.bvalid),
                response.eq(lite.rresp),
            ]
            with m.If(b):
                m.d.comb += response.eq(lite.bresp)

        # An answer stays where it is until it has been seen, and is taken with ``done``.
        given_up = Signal()
        m.d.comb += given_up.eq((r | b) & self.tick & late & ~answered & ~self.done)
        m.d.sync += [
            self.lost.eq(given_up),
            self.done.eq(answered & ~self.done | given_up),
            self.failed.eq(answered & (response != OKAY)),
        ]
        with m.If(self.tick):
            m.d.sync += late.eq(1)
        with m.If(self.done):
            m.d.sync += [r.eq(0), b.eq(0), ar.eq(0), aw.eq(0), w.eq(0)]
        with m.If(self.start):
            m.d.sync += [flag.eq(self.write) for flag in (aw, w, b)]
            m.d.sync += [ar.eq(~self.write), r.eq(~self.write), late.eq(0)]
        return m
