"""The queue of command words in front of each unit."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tensaw.rtl.checks import check

__all__ = ["CommandQueue"]


class CommandQueue(wiring.Component):
    """Words in their order, in a memory and two registers behind it.

    Parameters
    ----------
    width : int
        Bits of a word.
    depth : int
        Most words inside, 4 at least.

    Members
    -------
    w_data : In(width), w_en : In(1)
        Put a word in; only while ``level`` is less than ``depth``.
    r_data : Out(width), r_rdy : Out(1), r_en : In(1)
        The first word, if ``r_rdy``; it is taken in a cycle in which ``r_en``, too, is 1.
    level : Out(range(depth + 1))
        Words inside.

    Timing
    ------
    A word a cycle; a word put into an empty queue is on offer three cycles later. All outputs come from registers.
    Empty after reset.
    """

    w_data: Signal
    w_en: Signal
    r_data: Signal
    r_rdy: Signal
    r_en: Signal
    level: Signal

    def __init__(self, width: int, depth: int) -> None:
        self.width, self.depth = width, depth
        super().__init__(
            {
                "w_data": In(width),
                "w_en": In(1),
                "r_data": Out(width),
                "r_rdy": Out(1),
                "r_en": In(1),
                "level": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        level, depth = self.level, self.depth
        m.submodules.storage = storage = Memory(shape=self.width, depth=depth, init=[])
        write = storage.write_port()
        read = storage.read_port()
        produce = Signal(range(depth))
        consume = Signal(range(depth))
        some = Signal()  # words in the memory alone
        fetched = Signal()  # one is at the memory's output
        shown = Signal()
        coming = Signal(self.width)
        data = Signal(self.width, reset_less=True)

        def following(place: Signal) -> Any:
            return Mux(place == depth - 1, 0, place + 1) if depth & (depth - 1) else place + 1

        move = Signal()  # into the last register
        advance = Signal()  # out of the memory, if there is one
        several = Signal()  # two or more in the memory
        taken = Signal()
        m.d.comb += [
            self.r_data.eq(data),
            self.r_rdy.eq(shown),
            write.addr.eq(produce),
            write.data.eq(self.w_data),
            write.en.eq(self.w_en),
            read.addr.eq(consume),
            read.en.eq(advance),
            coming.eq(read.data),
            move.eq(~shown | self.r_en),
            advance.eq(~fetched | move),
            several.eq(level[2:].any() | level[1] & Mux(level[0], ~(fetched & shown), ~(fetched | shown))),
            taken.eq(shown & self.r_en),
        ]
        m.d.sync += some.eq(self.w_en | several | (some & ~advance))
        with m.If(self.w_en):
            m.d.sync += produce.eq(following(produce))
        with m.If(advance):
            m.d.sync += fetched.eq(some)
            with m.If(some):
                m.d.sync += consume.eq(following(consume))
        with m.If(move):
            m.d.sync += [shown.eq(fetched), data.eq(coming)]
        with m.If(self.w_en ^ taken):
            m.d.sync += level.eq(level + Cat(1, taken.replicate(len(level) - 1)))
        check(m, platform, ~self.w_en | (level != depth), "room", "a word is put in without room")
        return m
