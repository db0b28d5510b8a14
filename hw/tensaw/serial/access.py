"""Between the host link and the ports that the serial core has for the host."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.bus.axi4 import DECERR, OKAY, SLVERR, Axi4LiteSignature, Axi4ReadSignature, Axi4WriteSignature
from tensaw.spec.config import NpuConfig
from tensaw.spec.registers import ADDRESS_BITS

__all__ = ["HostAccess"]


class HostAccess(wiring.Component):
    """Answers tensaw.boards.link.bus.BusAccess, and nobody else: it takes no address or data but relies on one access
    at a time, of one beat, whose valid signals, address and data stay until the answer has been taken.

    Parameters
    ----------
    config : NpuConfig
        With a bus of 8 bytes.
    size : int
        Bytes of memory, a multiple of 8, at most 64 KiB.

    Members
    -------
    axi_read, axi_write, lite : In(AXI4 channels, AXI4-Lite)
        From the link.
    register_request, register_write, register_address, register_data, register_done, register_error, register_value,
    memory_request, memory_address, memory_data, memory_strobe, memory_taken, memory_value
        To tensaw.serial.core.SerialCore, see there.

    Timing
    ------
    A word of 64 bits is two accesses. Reset: idle.

    Corner cases
    ------------
    Beyond the memory nothing is written, and the answer is DECERR.
    """

    axi_read: Any
    axi_write: Any
    lite: Any
    register_request: Signal
    register_write: Signal
    register_address: Signal
    register_data: Signal
    register_done: Signal
    register_error: Signal
    register_value: Signal
    memory_request: Signal
    memory_address: Signal
    memory_data: Signal
    memory_strobe: Signal
    memory_taken: Signal
    memory_value: Signal

    def __init__(self, config: NpuConfig, size: int) -> None:
        self._size = size
        super().__init__(
            {
                "axi_read": In(Axi4ReadSignature(config)),
                "axi_write": In(Axi4WriteSignature(config)),
                "lite": In(Axi4LiteSignature(ADDRESS_BITS)),
                "register_request": Out(1),
                "register_write": Out(1),
                "register_address": Out(7),
                "register_data": Out(32),
                "register_done": In(1),
                "register_error": In(1),
                "register_value": In(32),
                "memory_request": Out(1),
                "memory_address": Out(14),
                "memory_data": Out(32),
                "memory_strobe": Out(4),
                "memory_taken": In(1),
                "memory_value": In(32),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        read, write, lite = self.axi_read, self.axi_write, self.lite

        # The link keeps up what asks for an access, until it has taken the answer; nothing else tells it to let go.
        access, finished = Signal(), Signal()
        held = Signal(64, reset_less=True)
        upper, first, second = Signal(), Signal(), Signal()
        outside, beyond = Signal(), Signal()
        m.d.comb += [
            access.eq(read.arvalid | write.awvalid | lite.arvalid | lite.awvalid),
            outside.eq(read.araddr >= self._size),
            beyond.eq(lite.araddr[9:] != 0),
            self.memory_request.eq((read.arvalid | write.awvalid) & ~second & ~finished),
            self.memory_address.eq(Cat(upper, read.araddr[3:16])),
            self.memory_data.eq(write.wdata.word_select(upper, 32)),
            self.memory_strobe.eq(Mux(write.awvalid & ~outside, write.wstrb.word_select(upper, 4), 0)),
            self.register_request.eq((lite.arvalid | lite.awvalid) & ~finished),
            self.register_write.eq(lite.awvalid),
            self.register_address.eq(lite.araddr[2:9]),
            self.register_data.eq(lite.wdata),
        ]
        m.d.sync += [first.eq(self.memory_taken & ~upper), second.eq(self.memory_taken & upper)]
        with m.If(~access):
            m.d.sync += [upper.eq(0), finished.eq(0)]
        with m.Elif(self.memory_taken):
            m.d.sync += upper.eq(~upper)
        with m.Elif(second | self.register_done):
            m.d.sync += finished.eq(1)
        with m.If(first):
            m.d.sync += held[:32].eq(self.memory_value)
        with m.If(second):
            m.d.sync += held[32:].eq(self.memory_value)
        with m.If(self.register_done):
            m.d.sync += held[:32].eq(Mux(beyond, 0, self.register_value))
        m.d.comb += [
            read.rdata.eq(held),
            read.rlast.eq(1),
            read.rvalid.eq(finished),
            write.bvalid.eq(finished),
            read.rresp.eq(Mux(outside, DECERR, OKAY)),
            write.bresp.eq(Mux(outside, DECERR, OKAY)),
            lite.rdata.eq(held[:32]),
            lite.rvalid.eq(finished),
            lite.bvalid.eq(finished),
            lite.rresp.eq(OKAY),
            lite.bresp.eq(Mux(self.register_error | beyond, SLVERR, OKAY)),
        ]
        return m
