"""Proof of tensaw.rtl.array.accumulators."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Mux, Signal, Value, signed
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
        Planted(_MODULE, "again(adding), again(added)", "again(adding), 0"),
        Planted(_MODULE, "Cat(again(read), again(adding)", "Cat(again(read), again(added)"),
        Planted(_MODULE, "Mux(newest, before[column], stored | recent)", "stored | recent"),
        Planted(_MODULE, "finishes.eq(adding.valid & adding.last)", "finishes.eq(read.valid & read.last)"),
        Planted(_MODULE, "take.eq(some & room)", "take.eq(some)"),
        Planted(_MODULE, "Mux(up, ~some, waiting == 2)", "Mux(up, ~some, 0)"),
        Planted(_MODULE, "bypassed = ~read_sum | ", "bypassed = "),
        Planted(_MODULE, "take_half.eq(~take_half)", "take_half.eq(take_half)"),
    ),
)
def accumulators(b: Bench) -> None:
    """Every entry holds the sum, or the largest, of what was given for it since its first, however soon one follows
    another; finished positions leave once, in the order in which they were finished, with their sums, and none before
    it is finished. What is read and used is never what is being written; a half is busy from its opening to its last
    position's leaving."""
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

    kinds, kind = Signal(2), b.free(1, "kind")  # of each half: sums, or the largest of what is given
    with m.If(dut.open):
        m.d.sync += kinds.bit_select(dut.open_half, 1).eq(kind)
    b.assume(~control.valid | (control.maximum == kinds.bit_select(filling, 1)))

    # Any entry, and what it should hold.
    place = b.constant(data.StructLayout({"half": 1, "index": range(_HALF)}), "place")
    b.assume(place.index < _HALF)
    stages = [layout(b.inside(f"dut.{name}")) for name in ("added", "adding", "read")]
    added, adding, read = stages
    given, known, tally = dut.sums[0], Signal(), Signal(signed(32))
    value = tally.as_unsigned()

    def here(stage: data.View) -> Value:
        return stage.valid & (stage.half == place.half) & (stage.index == place.index)

    with m.If(here(adding)):
        m.d.sync += known.eq(adding.first | known)
        larger = Mux(given > tally, given, tally)
        m.d.sync += tally.eq(Mux(adding.first, given, Mux(adding.maximum, larger, tally + given)))
    with m.If(dut.open & (dut.open_half == place.half)):
        m.d.sync += known.eq(0)
    maximum = kinds.bit_select(place.half, 1)
    b.prove(
        "largest", ~(known & maximum) | (tally == tally[: len(given)].as_signed()), "the largest is one of the sums"
    )

    some: Value = known
    for stage, which in zip(stages, ("added", "adding", "read"), strict=True):
        b.prove(f"{which}_kind", ~here(stage) | (stage.maximum == maximum), "all of a block is of one kind")
        b.prove(f"{which}_begun", ~here(stage) | stage.first | some, "what is added to has begun")
        some = some | (here(stage) & stage.first)
    mine = going & (filling == place.half) & begun.bit_select(place.index, 1)
    b.prove("begun", ~mine | some, "in each block")

    # The memories.
    accumulated, output = (b.part(f"dut.{name}") for name in ("accumulated", "output"))
    entry = place.index + Mux(place.half, _HALF, 0)
    content = b.row("dut.output", entry)[:32]
    b.prove("same", b.row("dut.accumulated", entry)[:32] == content, "both memories hold the same")
    before, earlier = b.inside("dut.before")[:32], b.inside("dut.earlier")[:32]
    b.prove("content", ~known | (Mux(here(added), before, content) == value), "each entry holds its sum")
    following, newest, bypassed = b.inside("dut.following"), b.inside("dut.newest0"), b.inside("dut.bypassed0")
    stored, recent = b.inside("dut.stored0"), b.inside("dut.recent0")
    further = (read.valid & ~read.first) & here(read)
    b.prove("one_before", ~further | (following[0] == here(adding)), "the one before is the same entry's")
    b.prove("two_before", ~further | (following[1] == here(added)), "so is the one before that")
    b.prove("bypassed", ~further | (bypassed == following[1:].any()), "where the memory is not looked at")
    shown = Mux(following[1], before, Mux(following[2], earlier, accumulated.read_data[:32]))
    b.prove("three_before", ~(known & further) | here(adding) | (shown == value), "what is read, or newer, is its sum")
    adds = known & here(adding) & ~adding.first
    old = b.inside("dut.old0").as_unsigned()
    b.prove("added", ~adds | (old == value), "and it is added to")
    b.prove("first", ~(here(adding) & adding.first) | (old == 0), "or to nothing")
    b.prove(
        "fresh",
        ~(adding.valid & adding.first) | ((newest == 0) & (stored == 0) & (recent == 0)),
        "where it is the first",
    )
    b.prove("fresh_before", ~(read.valid & read.first) | ((following == 0) & bypassed), "nothing is forwarded to it")
    b.prove("larger", ~here(adding) | (b.inside("dut.larger0") == (maximum & ~adding.first)), "the larger where wanted")
    take, index, half = b.inside("dut.take"), b.inside("dut.take_index"), b.inside("dut.take_half")
    writes = added.valid & (added.half == half) & (added.index == index)
    b.prove("no_collision", ~(take & writes), "what leaves is not being written")
    together = (
        accumulated.read_enable & accumulated.write_enable & (accumulated.read_address == accumulated.write_address)
    )
    b.prove("no_old", ~b.past(together) | following[2], "what is read while it is written is not used")

    # Positions in the order in which they finish.
    finishes = added.valid & added.last
    queue = b.part("dut.queue")
    order = Order(
        b,
        enters=finishes,
        entering=before,
        offers=dut.vectors.valid,
        leaves=transfer(dut.vectors),
        leaving=dut.vectors.payload[0].as_unsigned(),
        choice=here(added),
        capacity=2 * _HALF + queue.depth,
        behind=5,
    )
    b.prove_stream(dut.vectors, "vectors")

    # What the block's registers mean.
    waiting, others = b.inside("dut.waiting"), b.inside("dut.others")
    available, promised = index + waiting, b.inside("dut.promised")
    finished = [Mux(half == number, available, others) for number in range(2)]
    whole, others_whole = b.inside("dut.complete"), b.inside("dut.others_complete")
    complete = Cat(Mux(half == number, whole, others_whole) for number in range(2))
    pending, gone = b.inside("dut.pending"), b.inside("dut.gone")
    b.prove("finishes", b.inside("dut.finishes") == finishes, "what is finished is known beside it")
    b.prove("ends", b.inside("dut.ends") == (finishes & added.final), "and whether it is a block's last one")
    b.prove("mine", ~finishes | (b.inside("dut.mine") == (added.half == half)), "and whose")
    b.prove("some", b.inside("dut.some") == (waiting != 0), "whether positions wait is known beside their number")
    b.prove("one", b.inside("dut.one") == (waiting == 1), "and whether it is one")
    b.prove("bounded", promised <= queue.depth, "no more are read than the queue has room for")
    b.prove("promised", promised == queue.level + pending + gone, "positions that are read are counted")
    b.prove("room", b.inside("dut.room") == (promised != queue.depth), "whether one more would have is known")
    b.prove("offered", dut.vectors.valid == (queue.level != 0), "what is in the queue is on offer")
    b.prove("inside", order.inside + gone == promised + waiting + others, "the others are in memory")
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
        busy = dut.busy[number] == (fills | finals | complete[number])
        b.prove(f"{name}_busy", busy, "a half is busy until all its positions have left")
        once = ~(fills & (finals | complete[number])) & ~(finals & complete[number])
        b.prove(f"{name}_once", once, "a block ends once")
        b.prove(f"{name}_some", ~complete[number] | (finished[number] != 0), "a whole block has positions")
        idle = dut.busy[number] | (finished[number] == 0)
        b.prove(f"{name}_idle", idle & (finished[number] + lasts <= _HALF), "and leaves nothing")
        older = Value.cast(0)
        ended: Value = complete[number]
        for stage, one, which in zip(stages, mine, ("added", "adding", "read"), strict=True):
            next_one = finished[number] + older
            sound = (stage.index >= next_one) & (~stage.last | (stage.index == next_one)) & (stage.index < _HALF)
            marks = (~stage.final | stage.last) & dut.busy[number] & ~ended
            b.prove(f"{name}_{which}", ~one | (sound & marks), "what is on its way is not finished")
            older = older + (one & stage.last)
            ended = ended | (one & stage.final)
    left = dut.busy.bit_select(half, 1) & whole & (waiting == 0)
    b.prove("done", ~left, "and then no more")
    # The older block's positions are in front of the younger one's.
    young = Value.cast(0)
    for stage, which in zip(stages, ("added", "adding", "read"), strict=True):
        old = stage.valid & (stage.half == half)
        b.prove(f"{which}_turn", ~(old & young), "blocks do not overtake each other")
        young = young | (stage.valid & (stage.half != half))
    old_left = reduce(or_, (stage.valid & (stage.half == half) for stage in stages))
    b.prove("others", ((others == 0) & ~others_whole) | (whole & ~old_left), "nor in memory")

    # Where the picked position is.
    consume = b.inside("dut.queue.consume")
    distance = (b.inside("dut.queue.produce") - consume)[: len(consume)]
    b.prove("level", distance == queue.level[: len(consume)], "the queue's level is the distance of its ends")
    for column in range(_CONFIG.columns):
        pointer = Cat(b.inside(f"dut.queue.consume{column}_{bit}") for bit in range(len(consume)))
        b.prove(f"pointer{column}", pointer == consume, f"column {column} is read where the oldest vector is")
    put = b.inside("dut.queue.put")
    b.prove("putting", put == b.inside("dut.pending"), "a vector goes into the queue where one was read")
    for column in range(_CONFIG.columns):
        own = b.inside(f"dut.queue.put{column}")
        b.prove(f"put{column}", (own == put) | (own & (queue.level == 0)), f"column {column} of it is written too")
    where = consume + order.ahead
    queued = b.row("dut.queue.words0", Mux(where >= queue.depth, where - queue.depth, where)[:2])
    level = queue.level
    in_queue = order.ahead < level
    b.prove("queued", ~(order.picked & in_queue) | (queued[:32] == order.value), "in the queue")
    at_pending = order.picked & pending & (order.ahead == level)
    b.prove("pending", ~at_pending | (output.read_data[:32] == order.value), "or read")
    in_memory = order.picked & (order.ahead >= promised - gone)
    behind = order.ahead - (promised - gone)
    now = behind < waiting
    at_half = Mux(now, half, ~half)
    at_index = Mux(now, index + behind, behind - waiting)[:2]
    there = (place.half == at_half) & (place.index == at_index) & (content == order.value)
    b.prove("in_memory", ~in_memory | there, "or in the memory")
    b.cover("soon", here(read) & here(adding) & here(added) & known & ~adding.first, "sums follow each other at once")
    b.cover(
        "both", dut.busy.all() & transfer(dut.vectors) & b.past(transfer(dut.vectors)), "one half fills, one empties"
    )
    b.cover("again", dut.open & (dut.open_half == 0) & b.past(dut.vectors.valid, 3), "a half is opened again")
