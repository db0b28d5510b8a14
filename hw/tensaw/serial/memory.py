"""Memories of the serial core: words of 32 bits, one access a cycle."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.boards.board import BlockRam, SinglePort
from tensaw.boards.memory.spram import SinglePortRam
from tensaw.rtl.memory.ram import Ram

__all__ = ["BYTES", "BlockWords", "word_memory"]

BYTES = 65_536
_PAIR = 2
"""Single-port blocks side by side: a word."""


class BlockWords(wiring.Component):
    """Words of block RAM, to be used as two blocks of SinglePortRam.

    Parameters
    ----------
    size : int
        Bytes, a multiple of 4, at least 8 and at most 64 KiB.

    Members
    -------
    enable, address, data, strobe, read_data
        As SinglePortRam's.

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


def word_memory(kind: BlockRam | SinglePort, size: int) -> BlockWords | SinglePortRam:
    """At least ``size`` bytes of the kind of memory that a board has. Raises ValueError for other sizes than
    BlockWords's."""
    if size % 4 or not 8 <= size <= BYTES:
        raise ValueError(f"A memory of the serial core has 8 to {BYTES} bytes, a multiple of 4, not {size!r}.")
    return BlockWords(size) if isinstance(kind, BlockRam) else SinglePortRam(_PAIR)
