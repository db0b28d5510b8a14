"""Proof of tensaw.rtl.array.accumulators."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import add, or_

from amaranth.hdl import Mux, Signal, Value, signed
from amaranth.lib import data

from tensaw.formal.bench import Bench, Planted, proof, transfer
from tensaw.formal.configs import CONFIG
from tensaw.formal.order import Order
from tensaw.rtl.array.accumulators import Accumulators, accumulate_layout

_MODULE = "tensaw.rtl.array.accumulators"
_CONFIG = replace(CONFIG, columns=2)
"""The first column is watched: they do the same, each with its own sums."""
_HALF = _CONFIG.acc_half


@proof(
    "array.accumulators",
    depth=2,
    cover_depth=16,
    planted=(
        Planted(_MODULE, "following[2].eq(again(adding))", "following[2].eq(0)"),
        Planted(_MODULE, "Cat(again(read), again(chosen))", "Cat(again(read), again(adding))"),
        Planted(_MODULE, "busy_parity = read_sum & (self", "busy_parity = self.control.first & (self"),
        Planted(_MODULE, "& (promised != _QUEUE)", ""),
        Planted(_MODULE, "with m.If(read.first):", "with m.If(read.last):"),
        Planted(_MODULE, "take_half.eq(~take_half)]", "take_half.eq(take_half)]"),
    ),
)
def accumulators(b: Bench) -> None:
    """Every entry holds the sum, or the largest, of what was given for it since its first, however soon one follows
    another; finished positions leave once, in the order in which they were finished, with their sums, and none before
    it is finished. A memory is read for one purpose at a time, and what is read is never what is being written; a half
    is busy from its opening to its last position's leaving."""
    m = b.m
    layout = accumulate_layout(_CONFIG)
    dut = b.add(Accumulators(_CONFIG))
    control = dut.control
    b.drive(control, "control")
    b.drive(dut.sums, "sums")
    b.drive(dut.open, "open")
    b.drive(dut.open_half, "open_half")
    b.sink(dut.vectors)

    # Blocks as the array makes them: halves take turns; a block's positions finish in the order of their index, and
    # nothing is added to a position that is finished.
    going, filling, turn, upcoming = Signal(), Signal(), Signal(), Signal(range(_HALF + 1))
    b.assume(~dut.open | (~going & ~dut.busy.bit_select(dut.open_half, 1) & (dut.open_half == turn)))
    with m.If(dut.open):
        m.d.sync += [going.eq(1), filling.eq(turn), turn.eq(~turn), upcoming.eq(0)]
    legal = going & (control.half == filling) & (control.index < _HALF) & (control.index >= upcoming)
    ordered = (~control.last | (control.index == upcoming)) & (~control.final | control.last)
    b.assume(~control.valid | (legal & ordered))
    begun = Signal(_HALF)  # positions that have had their first sum
    with m.If(dut.open):
        m.d.sync += begun.eq(0)
    with m.If(control.valid):
        m.d.sync += begun.bit_select(control.index, 1).eq(1)
    b.assume(~control.valid | control.first | begun.bit_select(control.index, 1))
    with m.If(control.valid & control.last):
        m.d.sync += upcoming.eq(upcoming + 1)
    with m.If(control.valid & control.final):
        m.d.sync += going.eq(0)

    # Any entry, and what it should hold.
    place = b.constant(data.StructLayout({"half": 1, "index": range(_HALF)}), "place")
    b.assume(place.index < _HALF)
    stages = [layout(b.inside(f"dut.{name}")) for name in ("adding", "chosen", "read")]
    adding, chosen, read = stages
    given, known, tally = dut.sums[0], Signal(), Signal(signed(32))
    value = tally.as_unsigned()

    def here(stage: data.View) -> Value:
        return stage.valid & (stage.half == place.half) & (stage.index == place.index)

    total = b.inside("dut.total")[:32]
    with m.If(here(adding)):
        m.d.sync += known.eq(adding.first | known)
        larger = Mux(given > tally, given, tally)
        m.d.sync += tally.eq(Mux(adding.first, given, Mux(adding.maximum, larger, tally + given)))

    some: Value = known
    for stage, which in zip(stages, ("adding", "chosen", "read"), strict=True):
        b.prove(f"{which}_begun", ~here(stage) | stage.first | some, "what is added to has begun")
        some = some | (here(stage) & stage.first)
    mine = going & (filling == place.half) & begun.bit_select(place.index, 1)
    b.prove("begun", ~mine | some, "in each block")

    # The memories.
    memories = [b.part(f"dut.{name}") for name in ("even", "odd")]
    entry = (place.index >> 1) + Mux(place.half, _HALF // 2, 0)
    rows = [b.row(f"dut.{name}", entry) for name in ("even", "odd")]
    content = Mux(place.index[0], rows[1], rows[0])[:32]
    shown = Mux(place.index[0], memories[1].read_data, memories[0].read_data)[:32]
    b.prove("content", ~known | (content == value), "each entry holds its sum")
    before = b.inside("dut.total_before")[:32]
    stored = b.inside("dut.stored0").as_unsigned()
    following1, following2, following3, newer = (
        b.inside(f"dut.{name}") for name in ("following1", "following2", "following3", "newer")
    )
    reads = known & here(read) & ~read.first
    arriving_sum = Mux(following3, before, shown)
    with m.If(here(read) & ~read.first):
        b.prove("one_before", following1[0] == here(chosen), "the one before is the same entry's")
        b.prove("two_before", following1[1] == here(adding), "so is the one before that")
    b.prove("three_before", ~reads | (arriving_sum == value), "what is read, or newer, is its sum")
    picks = known & here(chosen) & ~chosen.first
    chosen_sum = Mux(newer, before, stored)
    same = Mux(following2, here(adding), ~here(adding) & (chosen_sum == value))
    b.prove("chosen", ~picks | same, "a cycle later, too")
    b.prove(
        "added",
        ~(known & here(adding) & ~adding.first) | (b.inside("dut.old0").as_unsigned() == value),
        "and it is added to",
    )
    b.prove("first", ~(here(adding) & adding.first) | (b.inside("dut.old0").as_unsigned() == 0), "or to nothing")
    fresh = ~(here(chosen) & chosen.first) | (~following2 & ~newer & (stored == 0))
    b.prove("fresh", fresh, "where it is the first")
    fresh = ~(here(read) & read.first) | ((following1 == 0) & ~following3)
    b.prove("fresh_before", fresh, "nothing is forwarded to it")
    take, index, half = b.inside("dut.take"), b.inside("dut.take_index"), b.inside("dut.take_half")
    sums = control.valid & ~control.first
    b.prove("one_reader", ~(take & sums & (control.index[0] == index[0])), "a memory is read for one purpose at a time")
    writes = adding.valid & (adding.half == half) & (adding.index == index)
    b.prove("no_collision", ~(take & writes), "what leaves is not being written")
    together = [
        memory.read_enable & memory.write_enable & (memory.read_address == memory.write_address) for memory in memories
    ]
    known_newer = b.past(reduce(or_, together)) & read.valid & ~read.first
    b.prove("no_old", ~known_newer | following3 | b.past(take), "what is read while it is written is not used")
    alone = [memory.write_enable for memory in memories]
    b.prove("one_writer", reduce(add, alone) == adding.valid, "one entry is written at a time")

    # Positions in the order in which they finish.
    finishes = adding.valid & adding.last
    queue = b.part("dut.queue")
    order = Order(
        b,
        enters=finishes,
        entering=total,
        offers=dut.vectors.valid,
        leaves=transfer(dut.vectors),
        leaving=dut.vectors.payload[0].as_unsigned(),
        choice=here(adding),
        capacity=2 * _HALF + queue.depth,
        behind=5,
    )
    b.prove_stream(dut.vectors, "vectors")

    # What the block's registers mean.
    finished = [b.inside(f"dut.finished{number}") for number in range(2)]
    complete, promised = b.inside("dut.complete"), b.inside("dut.promised")
    pending, arrived, odd = (b.inside(f"dut.{name}") for name in ("pending", "arrived", "pending_odd"))
    available, others = Mux(half, finished[1], finished[0]), Mux(half, finished[0], finished[1])
    waiting = available - index
    b.prove("bounded", promised <= queue.depth, "no more are read than the queue has room for")
    b.prove("promised", promised == queue.level + pending + arrived, "positions that are read are counted")
    b.prove("inside", order.inside == promised + waiting + others, "the others are in memory")
    b.prove("index", index <= available, "none is read before it is finished")
    turned = turn == half ^ dut.busy[0] ^ dut.busy[1]
    b.prove("turn", turned & (dut.busy.bit_select(half, 1) | ~dut.busy.bit_select(~half, 1)), "halves empty in turn")
    b.prove("going", ~going | (dut.busy.bit_select(filling, 1) & (filling == ~turn)), "the last one opened is filled")
    for number in range(2):
        mine = [stage.valid & (stage.half == number) for stage in stages]
        lasts = sum((one & stage.last for one, stage in zip(mine, stages, strict=True)), start=Value.cast(0))
        finals = reduce(or_, (one & stage.final for one, stage in zip(mine, stages, strict=True)))
        fills = going & (filling == number)
        name = ("even_half", "odd_half")[number]
        b.prove(f"{name}_count", ~fills | (upcoming == finished[number] + lasts), "positions finished are counted")
        whole = dut.busy[number] == (fills | finals | complete[number])
        b.prove(f"{name}_busy", whole, "a half is busy until all its positions have left")
        once = ~(fills & (finals | complete[number])) & ~(finals & complete[number])
        b.prove(f"{name}_once", once, "a block ends once")
        idle = dut.busy[number] | (finished[number] == 0)
        b.prove(f"{name}_idle", idle & (finished[number] + lasts <= _HALF), "and leaves nothing")
        older = Value.cast(0)
        ended: Value = complete[number]
        for stage, one, which in zip(stages, mine, ("adding", "chosen", "read"), strict=True):
            next_one = finished[number] + older
            sound = (stage.index >= next_one) & (~stage.last | (stage.index == next_one)) & (stage.index < _HALF)
            marks = (~stage.final | stage.last) & dut.busy[number] & ~ended
            b.prove(f"{name}_{which}", ~one | (sound & marks), "what is on its way is not finished")
            older = older + (one & stage.last)
            ended = ended | (one & stage.final)
    # The older block's positions are in front of the younger one's.
    young = Value.cast(0)
    for stage, which in zip(stages, ("adding", "chosen", "read"), strict=True):
        old = stage.valid & (stage.half == half)
        b.prove(f"{which}_turn", ~(old & young), "blocks do not overtake each other")
        young = young | (stage.valid & (stage.half != half))
    old_left = reduce(or_, (stage.valid & (stage.half == half) for stage in stages))
    b.prove("others", (others == 0) | (complete.bit_select(half, 1) & ~old_left), "nor in memory")

    # Where the picked position is.
    where = b.inside("dut.queue.consume") + order.ahead
    queued = b.row("dut.queue", Mux(where >= queue.depth, where - queue.depth, where)[:2])
    level = queue.level
    in_queue = order.ahead < level
    b.prove("queued", ~(order.picked & in_queue) | (queued[:32] == order.value), "in the queue")
    at_arrived = order.picked & arrived & (order.ahead == level)
    b.prove("arrived", ~at_arrived | (b.inside("dut.arriving")[:32] == order.value), "or in front of it")
    at_pending = order.picked & pending & (order.ahead == level + arrived)
    taken = Mux(odd, memories[1].read_data, memories[0].read_data)
    b.prove("pending", ~at_pending | (taken[:32] == order.value), "or read")
    in_memory = order.picked & (order.ahead >= promised)
    behind = order.ahead - promised
    now = behind < waiting
    at_half = Mux(now, half, ~half)
    at_index = Mux(now, index + behind, behind - waiting)[:2]
    there = (place.half == at_half) & (place.index == at_index) & known & (value == order.value)
    b.prove("in_memory", ~in_memory | there, "or in the memory")
    b.cover("soon", here(read) & here(chosen) & here(adding) & known & ~adding.first, "sums follow each other at once")
    b.cover(
        "both", dut.busy.all() & transfer(dut.vectors) & b.past(transfer(dut.vectors)), "one half fills, one empties"
    )
    b.cover("again", dut.open & (dut.open_half == 0) & b.past(dut.vectors.valid, 3), "a half is opened again")
