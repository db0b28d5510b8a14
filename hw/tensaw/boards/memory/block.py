"""Block RAM behind an AXI4 port."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from tensaw.boards.memory.burst import hold_burst
from tensaw.rtl.bus.axi4 import DECERR, OKAY, Axi4ReadSignature, Axi4WriteSignature
from tensaw.rtl.memory.ram import Ram
from tensaw.spec.config import NpuConfig

__all__ = ["BlockMemory"]


class BlockMemory(wiring.Component):
    """A memory of block RAM.

    Parameters
    ----------
    config : NpuConfig
        For the widths.
    size : int
        Bytes, a multiple of 4096. Bursts that begin beyond it are answered with DECERR and change nothing.

    Members
    -------
    read, write : In(AXI4 channels)
        INCR bursts of whole words; IDs are given back.

    Timing
    ------
    One beat read and one written in each cycle. The first beat of a read comes three cycles after its address, a
    write's response one cycle after its last beat. One further burst of each direction waits. A read in the cycle of a
    write to the same word gives undefined data. Reset: idle; the contents are undefined at power-up and reset keeps
    them.
    """

    read: Any
    write: Any

    def __init__(self, config: NpuConfig, size: int) -> None:
        self._config = config
        self._size = size
        super().__init__({"read": In(Axi4ReadSignature(config)), "write": In(Axi4WriteSignature(config))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        width = self._config.bus_bytes
        m.submodules.ram = ram = Ram(self._size // width, 8 * width, 8)
        read, write = self.read, self.write
        fetch = Signal()
        burst = hold_burst(m, read, "ar", self._size, fetch)
        m.d.comb += [
            fetch.eq(burst.active & (~read.rvalid | read.rready)),
            ram.read_enable.eq(fetch),
            ram.read_address.eq(burst.word),
            read.rdata.eq(ram.read_data),
        ]
        with m.If(fetch):
            m.d.sync += [
                read.rvalid.eq(1),
                read.rlast.eq(burst.last),
                read.rid.eq(burst.identity),
                read.rresp.eq(Mux(burst.outside, DECERR, OKAY)),
            ]
        with m.Elif(read.rready):
            m.d.sync += read.rvalid.eq(0)

        store = Signal()
        burst = hold_burst(m, write, "aw", self._size, store)
        m.d.comb += [
            write.wready.eq(burst.active & ~(burst.last & write.bvalid)),
            store.eq(write.wvalid & write.wready),
            ram.write_address.eq(burst.word),
            ram.write_data.eq(write.wdata),
            ram.write_enable.eq(Mux(store & ~burst.outside, write.wstrb, 0)),
        ]
        with m.If(store & burst.last):
            m.d.sync += [
                write.bvalid.eq(1),
                write.bid.eq(burst.identity),
                write.bresp.eq(Mux(burst.outside, DECERR, OKAY)),
            ]
        with m.Elif(write.bready):
            m.d.sync += write.bvalid.eq(0)
        return m
