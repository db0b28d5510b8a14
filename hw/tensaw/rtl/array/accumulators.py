"""Accumulators: partial sums of a block of output positions, in two halves that the output stage empties in turn."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.array.systolic_array import psum_width
from tensaw.rtl.checks import check
from tensaw.rtl.interfaces import vector_layout
from tensaw.rtl.memory.ram import Ram
from tensaw.spec.config import NpuConfig

__all__ = ["Accumulators", "accumulate_layout"]

_QUEUE = 4
"""Positions that can be on their way to the output stage: keeps up with one a cycle."""


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
        Given three cycles before ``sums`` of the same position.
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
    is forwarded). It can leave 4 cycles after its last ``sums`` at the earliest.
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
            places = config.acc_half // 2
            if places & (places - 1) == 0:
                return Cat(index[1:][: exact_log2(places)], half)
            return (index >> 1) + Mux(half, places, 0)

        # Accumulation: read (control); register what was read (read), then that or what is newer (chosen); add, write
        # (adding).
        layout = accumulate_layout(config)
        read = Signal(layout)
        chosen = Signal(layout)
        adding = Signal(layout)
        m.d.sync += [read.eq(self.control), chosen.eq(read), adding.eq(chosen)]
        read_sum = self.control.valid & ~self.control.first

        def again(before: data.View) -> Value:
            same = (self.control.half == before.half) & (self.control.index == before.index)
            return read_sum & before.valid & same

        # The positions of the three cycles before are not in the memory yet when it is read.
        following = [Signal(2, name="following1"), Signal(1, name="following2"), Signal(1, name="following3")]
        newer = Signal()
        m.d.sync += [
            following[0].eq(Cat(again(read), again(chosen))),
            following[1].eq(following[0][0]),
            following[2].eq(again(adding)),
            newer.eq(following[0][1]),
        ]
        total = Signal(vector_layout(config))
        total_before = Signal(vector_layout(config))
        m.d.sync += total_before.eq(total)
        for column in range(config.columns):
            word = slice(32 * column, 32 * column + 32)
            new = self.sums[column]
            stored, old = (Signal(signed(32), name=f"{name}{column}") for name in ("stored", "old"))
            in_memory = Mux(read.index[0], memories[1].read_data[word], memories[0].read_data[word])
            m.d.sync += [
                stored.eq(Mux(following[2], total_before[column], in_memory)),
                old.eq(Mux(following[1], total[column], Mux(newer, total_before[column], stored))),
            ]
            with m.If(read.first):
                m.d.sync += stored.eq(0)
            larger = Mux(adding.first | (new > old), new, old)
            m.d.comb += total[column].eq(Mux(adding.maximum, larger, old + new))
        for parity, memory in enumerate(memories):
            m.d.comb += [
                memory.write_enable.eq(adding.valid & (adding.index[0] == parity)),
                memory.write_address.eq(entry(adding.half, adding.index)),
                memory.write_data.eq(total),
            ]

        # Blocks: how many positions of each half are finished, and whether all are.
        finished = [Signal(range(config.acc_half + 1), name=f"finished{half}") for half in range(2)]
        complete = Signal(2)
        take_half = Signal()
        take_index = Signal(range(config.acc_half + 1))
        for half in range(2):
            with m.If(adding.valid & adding.last & (adding.half == half)):
                m.d.sync += finished[half].eq(finished[half] + 1)
                with m.If(adding.final):
                    m.d.sync += complete[half].eq(1)
            with m.If(self.open & (self.open_half == half)):
                m.d.sync += self.busy[half].eq(1)

        # Taking: a read whenever the position is finished, its memory is free this cycle and the queue has room.
        m.submodules.queue = queue = fifo.SyncFIFO(width=width, depth=_QUEUE)
        promised = Signal(range(_QUEUE + 1))  # read, and not yet taken from the queue
        pending = Signal()
        arrived = Signal()
        pending_odd = Signal()
        arriving = Signal(width)
        take = Signal()
        leave = Signal()
        available = Mux(take_half, finished[1], finished[0])
        busy_parity = read_sum & (self.control.index[0] == take_index[0])
        m.d.comb += [
            take.eq((take_index != available) & ~busy_parity & (promised != _QUEUE)),
            leave.eq(self.vectors.ready & queue.r_rdy),
            queue.w_data.eq(arriving),
            queue.w_en.eq(arrived),
            self.vectors.payload.eq(queue.r_data),
            self.vectors.valid.eq(queue.r_rdy),
            queue.r_en.eq(leave),
        ]
        m.d.sync += [
            promised.eq(promised + take - leave),
            pending.eq(take),
            pending_odd.eq(take_index[0]),
            arrived.eq(pending),
            arriving.eq(Mux(pending_odd, memories[1].read_data, memories[0].read_data)),
        ]
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
        check(m, platform, ~arrived | queue.w_rdy, "room", "a vector was read for which the queue has no room")
        check(m, platform, take_index <= available, "unfinished", "a position leaves before it is finished")
        return m
