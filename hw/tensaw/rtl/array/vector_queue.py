"""A queue of accumulator vectors, whose reading side is near wherever a vector's parts are used."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tensaw.rtl.copies import copied

__all__ = ["VectorQueue"]

_WORD = 32


class VectorQueue(wiring.Component):
    """As :class:`amaranth.lib.fifo.SyncFIFO`, but each column's words have a read pointer and a write enable of their
    own: one for all would be a long way from most of them, in a wide array.

    Parameters
    ----------
    columns : int
        Words of 32 bits in a vector.
    depth : int
        Vectors: a power of two, at least 2.

    Members
    -------
    w_next : In(1), w_data : In(32 · columns)
        A vector goes in in the cycle after one with ``w_next``; there must be room then.
    r_data : Out(32 · columns), r_en : In(1)
        The oldest vector; it goes out with ``r_en``. Nothing happens while there is none.
    level : Out(range(depth + 1))
        Vectors in the queue.

    Timing
    ------
    One vector in and one out in each cycle; what goes in is there in the next one. Reset: empty.
    """

    w_next: Signal
    w_data: Signal
    r_data: Signal
    r_en: Signal
    level: Signal

    def __init__(self, columns: int, depth: int) -> None:
        self._columns, self.depth = columns, depth
        super().__init__(
            {
                "w_next": In(1),
                "w_data": In(_WORD * columns),
                "r_data": Out(_WORD * columns),
                "r_en": In(1),
                "level": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # Pointers begin with all ones: copies are so at power-up, and know no reset. What the write enables put in at
        # power-up is no vector of the queue.
        produce = Signal(range(self.depth), init=self.depth - 1)
        consume = Signal(range(self.depth), init=self.depth - 1)
        following = Signal.like(consume, name="following")
        put = Signal()
        get = Signal()
        m.d.comb += [
            get.eq(self.r_en & (self.level != 0)),
            following.eq(consume + get),
        ]
        m.d.sync += [
            put.eq(self.w_next),
            produce.eq(produce + put),
            consume.eq(following),
            self.level.eq(self.level + put - get),
        ]
        for column in range(self._columns):
            m.submodules[f"words{column}"] = words = Memory(shape=_WORD, depth=self.depth, init=[])
            write, read = words.write_port(), words.read_port(domain="comb")
            pointer = Cat(
                copied(m, platform, f"consume{column}_{bit}", following[bit] | ResetSignal())
                for bit in range(len(following))
            )
            own = slice(_WORD * column, _WORD * (column + 1))
            m.d.comb += [
                write.en.eq(copied(m, platform, f"put{column}", self.w_next)),
                write.addr.eq(produce),
                write.data.eq(self.w_data[own]),
                read.addr.eq(pointer),
                self.r_data[own].eq(read.data),
            ]
        return m
