"""Accumulators: partial sums of a block of output positions, in two halves that the output stage empties in turn."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.array.systolic_array import psum_width
from tensaw.rtl.checks import check
from tensaw.rtl.interfaces import vector_layout
from tensaw.rtl.memory.ram import Ram
from tensaw.spec.config import NpuConfig

__all__ = ["Accumulators", "accumulate_layout"]


def accumulate_layout(config: NpuConfig) -> data.StructLayout:
    """What to do with one position's sums.

    ``valid``: keep them; ``half``, ``index``: where; ``first``: overwrite instead of accumulating; ``last``: the
    position is finished by this; ``final``: and is the last one of its block; ``maximum``: keep the larger instead of
    the sum.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "half": 1,
            "index": range(config.acc_half),
            "first": 1,
            "last": 1,
            "final": 1,
            "maximum": 1,
        }
    )


class Accumulators(wiring.Component):
    """``acc_entries`` × ``columns`` × 32 bit.

    The entries of a half are spread over two memories by the parity of their index, so that a read for accumulation and
    a read for the output stage can happen in one cycle; accumulation goes first. The output stage's reading follows the
    last kernel step position by position.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    control : In(accumulate_layout)
        Given one cycle before ``sums`` of the same position.
    sums : In(columns × signed psum_width)
    open : In(1), open_half : In(1)
        A block will be written to this half; it must be free.
    busy : Out(2)
        Bit h: half h holds a block that is not yet wholly taken.
    vectors : Out(stream of vector_layout)
        Finished positions, in the order they were finished, block after block (halves alternate, half 0 first).

    Timing
    ------
    A position a cycle in, a position a cycle out. A position can be accumulated again one cycle later (the newest value
    is forwarded). It can leave 4 cycles after its last ``control`` at the earliest.
    """

    control: data.View
    sums: data.View
    open: Signal
    open_half: Signal
    busy: Signal
    vectors: stream.Interface

    def __init__(self, config: NpuConfig) -> None:
        self._config = config
        super().__init__(
            {
                "control": In(accumulate_layout(config)),
                "sums": In(data.ArrayLayout(signed(psum_width(config)), config.columns)),
                "open": In(1),
                "open_half": In(1),
                "busy": Out(2),
                "vectors": Out(stream.Signature(vector_layout(config))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self._config
        depth, width = config.acc_entries // 2, 32 * config.columns
        memories = [Ram(depth, width, width) for _ in range(2)]
        m.submodules.even, m.submodules.odd = memories

        def entry(half: Value, index: Value) -> Value:
            """Address within the memory of the index's parity."""
            return (index >> 1) + Mux(half, config.acc_half // 2, 0)

        # Accumulation: read, then add and register, then write.
        layout = accumulate_layout(config)
        adding = Signal(layout)
        writing = Signal(layout)
        total = Signal(vector_layout(config))
        total_before = Signal(vector_layout(config))
        read_sum = self.control.valid & ~self.control.first
        m.d.sync += [adding.eq(self.control), writing.eq(adding), total_before.eq(total)]

        def same(a: data.View, b: data.View) -> Value:
            return a.valid & b.valid & (a.half == b.half) & (a.index == b.index)

        forward = Signal()
        forward_before = Signal()
        stored = Mux(adding.index[0], memories[1].read_data, memories[0].read_data)
        # Registered one cycle ahead: `control` becomes `adding`, `adding` becomes `writing`.
        m.d.sync += [
            forward.eq(same(self.control, adding)),
            forward_before.eq(same(self.control, writing)),
        ]
        for column in range(config.columns):
            old = Signal(signed(32), name=f"old{column}")
            new = self.sums[column]
            m.d.comb += old.eq(
                Mux(forward, total[column], Mux(forward_before, total_before[column], stored[32 * column :][:32]))
            )
            larger = Mux(new > old, new, old)
            m.d.sync += total[column].eq(Mux(adding.first, new, Mux(adding.maximum, larger, old + new)))
        for parity, memory in enumerate(memories):
            m.d.comb += [
                memory.write_enable.eq(writing.valid & (writing.index[0] == parity)),
                memory.write_address.eq(entry(writing.half, writing.index)),
                memory.write_data.eq(total),
            ]

        # Blocks: how many positions of each half are finished, and whether all are.
        finished = [Signal(range(config.acc_half + 1), name=f"finished{half}") for half in range(2)]
        complete = Signal(2)
        take_half = Signal()
        take_index = Signal(range(config.acc_half + 1))
        for half in range(2):
            with m.If(writing.valid & writing.last & (writing.half == half)):
                m.d.sync += finished[half].eq(finished[half] + 1)
                with m.If(writing.final):
                    m.d.sync += complete[half].eq(1)
            with m.If(self.open & (self.open_half == half)):
                m.d.sync += self.busy[half].eq(1)

        # Taking: a read whenever the position is finished, its memory is free this cycle and the queue has room.
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=width, depth=4)
        pending = Signal()
        pending_parity = Signal()
        room = Signal()
        take = Signal()
        available = Mux(take_half, finished[1], finished[0])
        busy_parity = read_sum & (self.control.index[0] == take_index[0])
        m.d.comb += [
            room.eq(queue.level + pending < 4),
            take.eq((take_index != available) & ~busy_parity & room),
            queue.w_data.eq(Mux(pending_parity, memories[1].read_data, memories[0].read_data)),
            queue.w_en.eq(pending),
            self.vectors.payload.eq(queue.r_data),
            self.vectors.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.vectors.ready & queue.r_rdy),
        ]
        m.d.sync += [pending.eq(take), pending_parity.eq(take_index[0])]
        for parity, memory in enumerate(memories):
            sum_here = read_sum & (self.control.index[0] == parity)
            m.d.comb += [
                memory.read_enable.eq(sum_here | (take & (take_index[0] == parity))),
                memory.read_address.eq(
                    Mux(sum_here, entry(self.control.half, self.control.index), entry(take_half, take_index))
                ),
            ]
        with m.If(take):
            m.d.sync += take_index.eq(take_index + 1)
        done = Signal()
        m.d.comb += done.eq(
            Mux(take_half, complete[1], complete[0]) & self.busy.bit_select(take_half, 1) & (take_index == available)
        )
        with m.If(done):
            m.d.sync += [take_index.eq(0), take_half.eq(~take_half)]
            m.d.sync += self.busy.bit_select(take_half, 1).eq(0)
            m.d.sync += complete.bit_select(take_half, 1).eq(0)
            for half in range(2):
                with m.If(take_half == half):
                    m.d.sync += finished[half].eq(0)

        free = ~self.open | ~self.busy.bit_select(self.open_half, 1)
        check(m, platform, free, "open", "a block is opened in a half that still holds one")
        opened = ~self.control.valid | self.busy.bit_select(self.control.half, 1)
        check(m, platform, opened, "opened", "a position is kept in a half without a block")
        inside = ~self.control.valid | (self.control.index < config.acc_half)
        check(m, platform, inside, "index", "a position lies beyond its half")
        check(m, platform, ~pending | queue.w_rdy, "room", "a vector was read for which the queue has no room")
        check(m, platform, take_index <= available, "unfinished", "a position leaves before it is finished")
        return m
