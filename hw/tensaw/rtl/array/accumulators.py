"""Accumulators: partial sums of a block of output positions, in two halves that the output stage empties in turn."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.array.systolic_array import psum_width
from tensaw.rtl.array.vector_queue import VectorQueue
from tensaw.rtl.checks import check
from tensaw.rtl.copies import copied
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
    the sum, the same for a whole block.
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

    Two memories hold the same: accumulation reads one, the output stage the other. (Block RAMs are deeper than what
    the entries of most configurations need, so that one memory would take as many.) The output stage's reading follows
    the last kernel step position by position.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    control : In(accumulate_layout)
        Given two cycles before ``sums`` of the same position.
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
        width = 32 * config.columns
        accumulated, output = (Ram(config.acc_entries, width, width) for _ in range(2))
        m.submodules.accumulated, m.submodules.output = accumulated, output

        def entry(half: Value, index: Value) -> Value:
            places = config.acc_half
            if places & (places - 1) == 0:
                return Cat(index[: exact_log2(places)], half)
            return index + Mux(half, places, 0)

        # Accumulation: read (control); register what was read or is newer (read); add (adding); write (added).
        layout = accumulate_layout(config)
        read = Signal(layout)
        adding = Signal(layout)
        added = Signal(layout)
        m.d.sync += [read.eq(self.control), adding.eq(read), added.eq(adding)]
        read_sum = self.control.valid & ~self.control.first

        def again(before: data.View) -> Value:
            same = (self.control.half == before.half) & (self.control.index == before.index)
            return read_sum & before.valid & same

        # The positions of the three cycles before are not in the memory yet when it is read.
        following = Signal(3, reset_less=True)
        m.d.sync += following.eq(Cat(again(read), again(adding), again(added)))
        # Nothing, or nothing that counts, is in the memory.
        bypassed = ~read_sum | again(adding) | again(added)
        # Of old and new the larger is wanted; a first one is added to 0.
        larger = [
            copied(m, platform, f"larger{number}", read.maximum & ~read.first)
            for number in range(-(-config.columns // 2))
        ]
        total, before, earlier = (
            Signal(vector_layout(config), name=name, reset_less=True) for name in ("total", "before", "earlier")
        )
        m.d.sync += [before.eq(total), earlier.eq(before)]
        for column in range(config.columns):
            new = self.sums[column]
            # What the slow memory had, or else 0, and what it had not yet, or else 0.
            stored, recent, old, addend = (
                Signal(signed(32), name=f"{name}{column}", reset_less=True)
                for name in ("stored", "recent", "old", "addend")
            )
            m.d.sync += [
                stored.eq(accumulated.read_data[32 * column :][:32]),
                recent.eq(Mux(following[1], before[column], Mux(following[2], earlier[column], 0))),
            ]
            with m.If(copied(m, platform, f"bypassed{column}", bypassed)):
                m.d.sync += stored.eq(0)
            newest = copied(m, platform, f"newest{column}", following[0])
            m.d.comb += old.eq(Mux(newest, before[column], stored | recent))
            # Where the larger is wanted, the old one is one of the sums that were given, and nothing is added to it.
            wanted, low = larger[column // 2], len(new) - 1
            given, result = old[: len(new)].as_signed(), old + addend
            m.d.comb += [
                addend.eq(Mux(wanted, 0, new)),
                total[column].eq(
                    Cat(
                        Mux(wanted & (new > given), new[:low], result[:low]),
                        (Mux(wanted, new[-1] & given[-1], bit) for bit in result[low:32]),
                    )
                ),
            ]
        for memory in (accumulated, output):
            m.d.comb += [
                memory.write_enable.eq(added.valid),
                memory.write_address.eq(entry(added.half, added.index)),
                memory.write_data.eq(before),
            ]
        m.d.comb += [
            accumulated.read_enable.eq(read_sum),
            accumulated.read_address.eq(entry(self.control.half, self.control.index)),
        ]

        # Positions finished and not taken, of the half that is taken from and of the other one; whether they are all
        # that the block still has.
        waiting, others = (Signal(range(config.acc_half + 1), name=name) for name in ("waiting", "others"))
        complete = Signal()
        others_complete = Signal()
        some = Signal()  # are waiting; one is: known beside the count
        one = Signal()
        take_half = Signal()
        take_index = Signal(range(config.acc_half + 1))
        for half in range(2):
            with m.If(self.open & (self.open_half == half)):
                m.d.sync += self.busy[half].eq(1)

        # Taking: a read whenever the position is finished and the queue has room.
        m.submodules.queue = queue = VectorQueue(config.columns, _QUEUE)
        promised = Signal(range(_QUEUE + 1))  # read, and not yet taken from the queue
        still_promised = Signal.like(promised)
        room = Signal(init=1)  # for one more than what is promised
        offered = Signal()  # the queue is not empty
        pending = Signal()
        take = Signal()
        leave, gone = Signal(), Signal(name="gone")  # from the queue, in this cycle and in the one before
        done = Signal()  # the block's last position is taken
        m.d.comb += [
            take.eq(some & room),
            leave.eq(self.vectors.ready & offered),
            output.read_enable.eq(take),
            output.read_address.eq(entry(take_half, take_index)),
            queue.w_data.eq(output.read_data),
            queue.w_next.eq(take),
            queue.r_en.eq(self.vectors.ready),
            self.vectors.payload.eq(queue.r_data),
            self.vectors.valid.eq(offered),
            still_promised.eq(promised + take - gone),
            done.eq(take & one & complete),
        ]
        m.d.sync += [
            pending.eq(take),
            gone.eq(leave),
            offered.eq(pending | Mux(leave, queue.level > 1, offered)),
            promised.eq(still_promised),
            room.eq(still_promised != _QUEUE),
        ]
        with m.If(take):
            m.d.sync += take_index.eq(Mux(done, 0, take_index + 1))
        with m.If(done):
            m.d.sync += [take_half.eq(~take_half), self.busy.bit_select(take_half, 1).eq(0)]

        # One counter counts up, down, or goes on from the other half's.
        up, down = Signal(), Signal()
        # Registered: a position is finished, it is the block's last one, of the half that is taken from.
        finishes, ends, mine = Signal(name="finishes"), Signal(name="ends"), Signal(name="mine", reset_less=True)
        m.d.sync += [
            finishes.eq(adding.valid & adding.last),
            ends.eq(adding.valid & adding.last & adding.final),
            mine.eq(adding.half == take_half ^ done),
        ]
        m.d.comb += [up.eq(finishes & (mine ^ done)), down.eq(take & ~done)]
        change = Cat(up ^ down, (down & ~up).replicate(len(waiting) - 1))
        m.d.sync += [
            waiting.eq(Mux(done, others, waiting) + change),
            others.eq(Mux(done, 0, others + (finishes & ~mine))),
            complete.eq(Mux(done, others_complete, complete) | (ends & (mine ^ done))),
            others_complete.eq(~done & (others_complete | (ends & ~mine))),
            some.eq(up | Mux(done, others != 0, some & ~(take & one))),
            one.eq(Mux(done, others == ~up, Mux(take ^ up, Mux(up, ~some, waiting == 2), one))),
        ]

        free = ~self.open | ~self.busy.bit_select(self.open_half, 1)
        check(m, platform, free, "open", "a block is opened in a half that still holds one")
        opened = ~self.control.valid | self.busy.bit_select(self.control.half, 1)
        check(m, platform, opened, "opened", "a position is kept in a half without a block")
        inside = ~self.control.valid | (self.control.index < config.acc_half)
        check(m, platform, inside, "index", "a position lies beyond its half")
        fits = ~pending | (queue.level != _QUEUE)
        check(m, platform, fits, "room", "a vector was read for which the queue has no room")
        check(m, platform, some == (waiting != 0), "unfinished", "a position leaves before it is finished")
        return m
