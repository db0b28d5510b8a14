"""Memories of the serial core: words of 32 bits, one access a cycle."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, ClockSignal, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tensaw.boards.board import BlockRam, SinglePort
from tensaw.rtl.memory.ram import Ram
from tensaw.rtl.shared import ExportPlatform

__all__ = ["BYTES", "WORDS", "BlockWords", "SinglePortPair", "word_memory"]

WORDS = 16384
BYTES = 4 * WORDS


class SinglePortPair(wiring.Component):
    """16,384 words of two of an iCE40UP5K's single-port blocks.

    Members
    -------
    enable : In(1)
        An access in this cycle.
    address : In(14), data : In(32), strobe : In(4)
        Writes the bytes of ``strobe``; with none of them it is a read.
    read_data : Out(32)
        In the cycle after a read.

    Elaboration
    -----------
    On an ExportPlatform two ``SB_SPRAM256KA``, otherwise (simulation in Python) a ``lib.memory.Memory``.
    """

    enable: Signal
    address: Signal
    data: Signal
    strobe: Signal
    read_data: Signal

    def __init__(self) -> None:
        super().__init__({"enable": In(1), "address": In(14), "data": In(32), "strobe": In(4), "read_data": Out(32)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if isinstance(platform, ExportPlatform):
            for block in range(2):
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
        m.submodules.memory = memory = Memory(shape=32, depth=WORDS, init=[])
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


class BlockWords(wiring.Component):
    """Words of block RAM, as SinglePortPair.

    Parameters
    ----------
    size : int
        Bytes, a multiple of 4, at least 8 and at most 64 KiB.

    Members
    -------
    enable, address, data, strobe, read_data
        As SinglePortPair's.

    Corner cases
    ------------
    Beyond ``size`` an access reaches no word, or another one.
    """

    enable: Signal
    address: Signal
    data: Signal
    strobe: Signal
    read_data: Signal

    def __init__(self, size: int) -> None:
        self._words = size // 4
        super().__init__({"enable": In(1), "address": In(14), "data": In(32), "strobe": In(4), "read_data": Out(32)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.ram = ram = Ram(self._words, 32, 8)
        m.d.comb += [
            ram.write_enable.eq(Mux(self.enable, self.strobe, 0)),
            ram.write_address.eq(self.address),
            ram.write_data.eq(self.data),
            ram.read_enable.eq(self.enable & ~self.strobe.any()),
            ram.read_address.eq(self.address),
            self.read_data.eq(ram.read_data),
        ]
        return m


def word_memory(kind: BlockRam | SinglePort, size: int) -> BlockWords | SinglePortPair:
    """At least ``size`` bytes of the kind of memory that a board has. Raises ValueError for other sizes than
    BlockWords's."""
    if size % 4 or not 8 <= size <= BYTES:
        raise ValueError(f"A memory of the serial core has 8 to {BYTES} bytes, a multiple of 4, not {size!r}.")
    return BlockWords(size) if isinstance(kind, BlockRam) else SinglePortPair()
