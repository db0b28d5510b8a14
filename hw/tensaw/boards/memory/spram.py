"""The single-port RAM of the iCE40UP5K behind an AXI4 port."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, ClockSignal, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tensaw.boards.memory.burst import hold_burst
from tensaw.rtl.bus.axi4 import DECERR, OKAY, Axi4ReadSignature, Axi4WriteSignature
from tensaw.rtl.shared import ExportPlatform
from tensaw.spec.config import NpuConfig

__all__ = ["SPRAM_BLOCKS", "SPRAM_BYTES", "SinglePortRam", "SpramMemory"]

SPRAM_BLOCKS = 4
"""Blocks of the device, each 16,384 words of 16 bits."""
SPRAM_BYTES = SPRAM_BLOCKS * 32768
_WORDS = 16384


class SinglePortRam(wiring.Component):
    """Blocks side by side: 16,384 words, one access a cycle.

    Parameters
    ----------
    blocks : int
        Each adds 16 bits to a word; a device has four.

    Members
    -------
    enable : In(1)
        An access in this cycle.
    address : In(14), data : In(16 * blocks), strobe : In(2 * blocks)
        Writes the bytes of ``strobe``; with none of them it is a read.
    read_data : Out(16 * blocks)
        In the cycle after a read, until the next access.

    Elaboration
    -----------
    On an ExportPlatform ``SB_SPRAM256KA``, otherwise (simulation in Python) a ``lib.memory.Memory``.
    """

    enable: Signal
    address: Signal
    data: Signal
    strobe: Signal
    read_data: Signal

    def __init__(self, blocks: int) -> None:
        self._blocks = blocks
        bits, lanes = 16 * blocks, 2 * blocks
        super().__init__(
            {"enable": In(1), "address": In(14), "data": In(bits), "strobe": In(lanes), "read_data": Out(bits)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if isinstance(platform, ExportPlatform):
            for block in range(self._blocks):
                m.submodules[f"block{block}"] = Instance(
                    "SB_SPRAM256KA",
                    i_ADDRESS=self.address,
                    i_DATAIN=self.data[16 * block : 16 * block + 16],
                    i_MASKWREN=Cat(self.strobe[2 * block + half // 2] for half in range(4)),
                    i_WREN=self.strobe.any(),
                    i_CHIPSELECT=self.enable,
                    i_CLOCK=ClockSignal(),
                    i_STANDBY=0,
                    i_SLEEP=0,
                    i_POWEROFF=1,  # active low
                    o_DATAOUT=self.read_data[16 * block : 16 * block + 16],
                )
            return m
        m.submodules.memory = memory = Memory(shape=16 * self._blocks, depth=_WORDS, init=[])
        write, read = memory.write_port(granularity=8), memory.read_port()
        m.d.comb += [
            write.addr.eq(self.address),
            write.data.eq(self.data),
            write.en.eq(Mux(self.enable, self.strobe, 0)),
            read.addr.eq(self.address),
            read.en.eq(self.enable & ~self.strobe.any()),
            self.read_data.eq(read.data),
        ]
        return m


class SpramMemory(wiring.Component):
    """A memory of 128 KiB in the four single-port blocks of an iCE40UP5K.

    Parameters
    ----------
    config : NpuConfig
        With a bus of 8 bytes.

    Members
    -------
    read, write : In(AXI4 channels)
        INCR bursts of whole words; IDs are given back. Bursts beyond 128 KiB are answered with DECERR and change
        nothing.

    Timing
    ------
    One beat, read or written, in each cycle; while both are asked for, in turn. The first beat of a read comes three
    cycles after its address, a write's response one cycle after its last beat. One further burst of each direction
    waits. ``wready`` follows ``wvalid`` and ``rready`` combinationally: the manager must take what it has asked for
    whether its writes go on or not, as NPU and link do. Reset: idle; the contents are undefined at power-up and reset
    keeps them.
    """

    read: Any
    write: Any

    def __init__(self, config: NpuConfig) -> None:
        self.check(config)
        super().__init__({"read": In(Axi4ReadSignature(config)), "write": In(Axi4WriteSignature(config))})

    @staticmethod
    def check(config: NpuConfig) -> None:
        """Raise ValueError for a bus of another width."""
        if config.bus_bytes != 8:
            raise ValueError(f"The single-port RAM is 8 bytes wide, not bus_bytes={config.bus_bytes}.")

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.ram = ram = SinglePortRam(SPRAM_BLOCKS)
        read, write = self.read, self.write

        fetch, store, wrote = Signal(), Signal(), Signal()
        reads = hold_burst(m, read, "ar", SPRAM_BYTES, fetch)
        writes = hold_burst(m, write, "aw", SPRAM_BYTES, store)
        free, may_fetch, may_store = Signal(), Signal(), Signal()
        m.d.comb += [
            # A write would overwrite what was read and has not been taken.
            free.eq(~read.rvalid | read.rready),
            may_fetch.eq(reads.active & free),
            may_store.eq(writes.active & write.wvalid & free & ~(writes.last & write.bvalid)),
            fetch.eq(may_fetch & (wrote | ~may_store)),
            store.eq(may_store & ~fetch),
            write.wready.eq(store),
            ram.enable.eq(fetch | store),
            ram.address.eq(Mux(fetch, reads.word, writes.word)),
            ram.data.eq(write.wdata),
            ram.strobe.eq(Mux(store & ~writes.outside, write.wstrb, 0)),
        ]
        m.d.sync += wrote.eq(store)

        m.d.comb += read.rdata.eq(ram.read_data)
        with m.If(fetch):
            m.d.sync += [
                read.rvalid.eq(1),
                read.rlast.eq(reads.last),
                read.rid.eq(reads.identity),
                read.rresp.eq(Mux(reads.outside, DECERR, OKAY)),
            ]
        with m.Elif(read.rready):
            m.d.sync += read.rvalid.eq(0)
        with m.If(store & writes.last):
            m.d.sync += [
                write.bvalid.eq(1),
                write.bid.eq(writes.identity),
                write.bresp.eq(Mux(writes.outside, DECERR, OKAY)),
            ]
        with m.Elif(write.bready):
            m.d.sync += write.bvalid.eq(0)
        return m
