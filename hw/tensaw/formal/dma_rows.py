"""Proofs of tensaw.rtl.dma.row_walker and row_stepper: from strided transfers to the steps of the data path."""

from __future__ import annotations

from amaranth.hdl import Mux, Signal, Value
from amaranth.lib import data

from tensaw.formal.bench import Bench, Planted, proof, transfer
from tensaw.formal.configs import CONFIG
from tensaw.rtl.dma.row_stepper import RowStepper
from tensaw.rtl.dma.row_walker import RowWalker, span_layout

_STEPPER = "tensaw.rtl.dma.row_stepper"
_WALKER = "tensaw.rtl.dma.row_walker"
_WIDE = 46
"""Bits in which no sum of offsets and pitches can overflow before the block notices."""


@proof(
    "dma.row_stepper",
    depth=2,
    cover_depth=8,
    planted=(
        Planted(_STEPPER, "lane.eq(Mux(first, span.first_lane, 0))", "lane.eq(span.first_lane)"),
        Planted(_STEPPER, "step.final.eq(last & span.final)", "step.final.eq(span.final)"),
        Planted(
            _STEPPER, "self.span.ready.eq(~working | (self.step.ready & last))", "self.span.ready.eq(~working | last)"
        ),
        Planted(_STEPPER, "with m.If(~working | last):", "with m.If(last):"),
        Planted(_STEPPER, "span.base.eq(span.base + most + 1)", "span.base.eq(span.base + most)"),
    ),
)
def row_stepper(b: Bench) -> None:
    """The steps of a row are its bytes, once and in order: each step takes what its bus word has left, or the row, and
    goes to the scratchpad bytes behind the last step's, as the place of its bus word's byte 0 says; the last step, and
    no other, says ``end`` and ``final`` as the row does. A step is offered until it is taken; rows follow each other
    without a pause."""
    m, word = b.m, CONFIG.word_bytes
    dut = b.add(RowStepper(CONFIG))
    b.source(dut.span)
    b.sink(dut.step)
    # Rows as the walker makes them: bytes first_lane to more · word + last_lane, all inside the scratchpad.
    span = dut.span.payload
    few = 1 << 11  # so that sums stay small; the scratchpad is smaller
    length = (span.more << 3) + span.last_lane + 1 - span.first_lane
    address = Signal(24)
    m.d.comb += address.eq(span.base + span.first_lane)
    b.assume((span.more < few - 1) & (span.base < few) & (length.as_signed() > 0))
    b.assume((span.base + span.first_lane >= 0) & (address + length <= CONFIG.scratchpad_bytes))
    b.assume(~span.fill | (span.first_lane == 0))

    # The row in work: the next byte's place in its bus words and in the scratchpad, and the place behind the last one.
    layout = data.StructLayout({"next": 16, "behind": 16, "address": 24, "fill": 1, "end": 1, "final": 1})
    row, working = Signal(layout), Signal()
    step, count = dut.step.payload, Signal(5)
    m.d.comb += count.eq(step.last_lane - step.lane + 1)
    with m.If(transfer(dut.step)):
        m.d.sync += [row.next.eq(row.next + count), row.address.eq(row.address + count)]
        m.d.sync += working.eq(row.next + count != row.behind)
    with m.If(transfer(dut.span)):
        m.d.sync += [
            working.eq(1),
            row.next.eq(span.first_lane),
            row.behind.eq(span.first_lane + length),
            row.address.eq(address),
            row.fill.eq(span.fill),
            row.end.eq(span.end),
            row.final.eq(span.final),
        ]
    b.prove("working", dut.step.valid == working, "a step is on offer while a row has bytes left")
    b.prove_stream(dut.step, "step")
    left = row.behind - row.next
    with m.If(dut.step.valid):
        b.prove("place", step.base + step.lane == row.address, "the scratchpad bytes behind the last step's")
        b.prove("lane", step.lane == row.next[:3], "from the next byte on")
        most = word - row.next[:3]
        b.prove("count", count == Mux(left < most, left, most), "what the bus word has, or the row")
        b.prove("ends", step.end == (row.end & (count == left)), "the last step ends the plane")
        b.prove("final", step.final == (row.final & (count == left)), "and the transfer")
        b.prove("fill", step.fill == row.fill, "a fill stays one")
    b.prove("ready", dut.span.ready == (~working | (transfer(dut.step) & (count == left))), "no pause")

    # What the block's registers mean.
    kept = span_layout(CONFIG)(b.inside("dut.span"))
    with m.If(working):
        b.prove("some", (row.next < row.behind) & (row.behind < (few << 3) + 8), "there are bytes left")
        b.prove("more", ((row.next >> 3) + kept.more + 1)[:20] == ((row.behind + 7) >> 3)[:20], "words left")
        b.prove("last", b.inside("dut.last") == (kept.more == 0), "the last one is known")
        b.prove("last_lane", kept.last_lane == (row.behind - 1)[:3], "the last byte")
        place = kept.base + row.next[:3] == row.address
        b.prove("kept_base", place & (row.address + left <= CONFIG.scratchpad_bytes), "its place")
        flags = (kept.fill == row.fill) & (kept.end == row.end) & (kept.final == row.final)
        b.prove("flags", flags & (kept.more < few - 1), "its flags")
    b.cover(
        "three", transfer(dut.step) & b.past(transfer(dut.step)) & b.past(transfer(dut.step), 2) & step.final, "a row"
    )
    b.cover("follows", transfer(dut.span) & transfer(dut.step) & (count == 3), "a row behind another")
    b.cover("inside", transfer(dut.step) & (step.lane == 2) & (count == 4), "a row inside a bus word")


@proof(
    "dma.row_walker",
    depth=2,
    cover_depth=12,
    planted=(
        Planted(_WALKER, "(last >> grain <", "(last >> grain <="),
        Planted(
            _WALKER,
            "advance(offset, plane_offset, walk.plane_pitch.memory)",
            "advance(offset, offset, walk.plane_pitch.memory)",
        ),
        Planted(_WALKER, "base[top] | total[top] | pitch[top:].any()", "base[top] | pitch[top:].any()"),
        Planted(_WALKER, "(walk.rows.bytes == 0) | (walk.rows.count == 0)", "(walk.rows.count == 0)"),
        Planted(_WALKER, "rows_left.eq(walk.rows.count), planes_left", "rows_left.eq(rows_left), planes_left"),
    ),
)
def row_walker(b: Bench) -> None:
    """The rows of a transfer are offered once each, planes outer, rows inner, each with the place in memory and in the
    scratchpad that the pitches give and the steps that its bytes take there, until it is taken; the last one ends the
    walk. A row that leaves the scratchpad, or whose offset has more than 32 bits, is never offered, nor any behind it;
    nor is any if a count is 0."""
    m = b.m
    dut = b.add(RowWalker(CONFIG))
    walk = b.constant(dut.walk.shape(), "walk")
    m.d.comb += dut.walk.eq(walk)
    b.drive(dut.start, "start")
    b.sink(dut.row)

    # The row that comes next, counted in bits enough for every sum.
    under_way = Signal()
    layout = data.StructLayout({"row": 16, "plane": 16, "memory": _WIDE, "pad": _WIDE})
    at, first = Signal(layout), Signal(layout)  # the row, and the first one of its plane
    row, count, planes = dut.row.payload, walk.rows.count, walk.planes.count
    last_row, last_plane = at.row + 1 == count, at.plane + 1 == planes
    before = Signal()  # there was a cycle before
    m.d.sync += before.eq(1)
    b.assume(~(dut.start & (~before | under_way | dut.illegal | dut.outside)))
    with m.If(dut.start):
        m.d.sync += [under_way.eq(1), at.row.eq(0), at.plane.eq(0)]
        for target in (at, first):
            m.d.sync += [target.memory.eq(walk.memory.offset), target.pad.eq(walk.scratchpad.address)]
    with m.If(transfer(dut.row)):
        with m.If(~last_row):
            m.d.sync += [at.row.eq(at.row + 1), at.memory.eq(at.memory + walk.row_pitch.memory)]
            m.d.sync += at.pad.eq(at.pad + walk.row_pitch.scratchpad)
        with m.Elif(last_plane):
            m.d.sync += under_way.eq(0)
        with m.Else():
            m.d.sync += [at.row.eq(0), at.plane.eq(at.plane + 1)]
            for target in (at, first):
                m.d.sync += target.memory.eq(first.memory + walk.plane_pitch.memory)
                m.d.sync += target.pad.eq(first.pad + walk.plane_pitch.scratchpad)
    size, some = walk.rows.bytes, (walk.rows.bytes != 0) & (count != 0) & (planes != 0)
    b.prove("nothing", ~before | (b.inside("dut.nothing") == ~some), "whether a count is 0 is known")
    inside = at.pad + size <= CONFIG.scratchpad_bytes
    reached = walk.fill | (at.memory < 1 << 32)
    b.prove_stream(dut.row, "row")
    with m.If(dut.row.valid):
        b.prove("begun", under_way & some, "rows belong to a walk that has some")
        b.prove(
            "memory", walk.fill | (row.access.offset == at.memory[:32]), "the place in memory that the pitches give"
        )
        b.prove("base", row.span.base + row.span.first_lane == at.pad, "and in the scratchpad")
        b.prove("inside", inside & reached, "a row lies inside both")
        b.prove("bytes", row.access.bytes == size, "it has its bytes")
        lane = Mux(walk.fill, 0, at.memory[:3])
        b.prove("lanes", row.span.first_lane == lane, "its first byte's lane")
        steps = (row.span.more << 3) + row.span.last_lane + 1 == lane + size
        b.prove("steps", steps, "its steps hold its bytes")
        marks = (row.span.end == last_row) & (row.span.final == (last_row & last_plane))
        b.prove("marks", marks & (row.span.fill == walk.fill), "the last row of planes and walk are marked")
    went = b.past(transfer(dut.row))
    b.prove("pause", ~went | ~dut.row.valid, "a cycle passes behind each row")
    same_span = Value.cast(row.span) == b.past(Value.cast(row.span))
    b.prove("shows", ~went | same_span, "in which it still shows")
    b.prove("finished", dut.finished == (transfer(dut.row) & last_row & last_plane), "the walk ends with its last row")
    b.prove("illegal", ~dut.illegal | (under_way & ~(some & inside)), "illegal: there is no row, or it leaves the pad")
    b.prove("outside", ~dut.outside | (under_way & inside & ~reached), "outside: its offset has no 32 bits")
    stuck = dut.illegal | dut.outside
    b.prove("stays", stuck | ~b.past(stuck), "which stays")
    b.prove("refused", ~(stuck & dut.row.valid), "and nothing more is offered")
    fresh = ~b.past(under_way) | b.past(transfer(dut.row))
    prompt = dut.row.valid | ~under_way | fresh | ~(some & inside & reached)
    b.prove("prompt", prompt, "a legal row is offered every other cycle")

    # What the block's registers mean.
    def same(name: str, value: Signal) -> None:
        """A sum of the block, whose highest bit says that it, or one before it, was too large."""
        register = b.inside(f"dut.{name}")
        top = len(register) - 1
        whole = register[top] == (value >> top).any()
        b.prove(f"same_{name}", Mux(register[top], whole, register == value), f"{name} is counted")

    # In the first cycle of a row's offer the registers go on to the next row.
    ahead = Signal()
    m.d.comb += ahead.eq(b.state("dut", "OFFER") & ~b.inside("dut.fresh"))
    after = Signal(layout)
    m.d.comb += [
        after.row.eq(Mux(last_row, 0, at.row + 1)),
        after.plane.eq(at.plane + last_row),
        after.memory.eq(Mux(last_row, first.memory + walk.plane_pitch.memory, at.memory + walk.row_pitch.memory)),
        after.pad.eq(Mux(last_row, first.pad + walk.plane_pitch.scratchpad, at.pad + walk.row_pitch.scratchpad)),
    ]
    kept = layout(Mux(ahead, after.as_value(), at.as_value()))
    idle = b.state("dut", "IDLE")
    b.prove("idle", idle == ~under_way, "idle without a walk")
    stopped = b.state("dut", "STOPPED")
    b.prove("stopped", stopped == stuck, "stopped by a refusal")
    first_row = b.inside("dut.first_row")
    measured = b.inside("dut.most") + 1 + (b.inside("dut.over") << len(b.inside("dut.most"))) == size
    with m.If(under_way & some & ~stopped):
        b.prove("measured", measured, "the bytes of rows are known")
        b.prove("first_row", first_row == (kept.row == 0), "the first row of a plane is marked")
        b.prove("plane", (at.row != 0) | ((at.memory == first.memory) & (at.pad == first.pad)), "the plane's place")
        with m.If(~walk.fill):
            same("offset", kept.memory)
        same("address", kept.pad)
        with m.If(~first_row | ~b.state("dut", "MEASURE")):
            with m.If(~walk.fill):
                same("plane_offset", first.memory)
            same("plane_address", first.pad)
        b.prove("rows_left", b.inside("dut.rows_left") + kept.row == count, "rows left")
        b.prove("planes_left", b.inside("dut.planes_left") + kept.plane == planes, "planes left")
        b.prove("counts", (at.row < count) & (at.plane < planes), "which are some")
        small = walk.fill | ((at.memory >> 34 == 0) & (first.memory <= at.memory))
        bound = small & (at.pad >> 26 == 0) & (first.pad <= at.pad)
        b.prove("bound", bound, "no sum overflows here")
    with m.If(under_way & ~some):
        b.prove("refused_at_once", stopped & dut.illegal, "a walk without rows is refused")
    b.prove("moves", b.inside("dut.moves") == (idle | b.inside("dut.fresh")), "without a walk, and with each row")
    b.prove("fresh", ~b.inside("dut.fresh") | b.state("dut", "OFFER"), "rows go on while one is offered")
    with m.If(b.state("dut", "OFFER")):
        b.prove("last", b.inside("dut.last_row") == last_row, "whether a row is the plane's last")
        b.prove("last_plane", b.inside("dut.last_plane") == last_plane, "and the plane the walk's")
        at_offset = walk.fill | ~reached | (b.inside("dut.shown_offset") == at.memory[:32])
        shown = b.inside("dut.shown_base") + Mux(walk.fill, 0, b.inside("dut.shown_offset")[:3]) == at.pad
        b.prove("shown", at_offset & (~inside | shown), "its place")
        lane = Mux(walk.fill, 0, at.memory[:3])
        span = b.inside("dut.span")
        b.prove(
            "span", ~(inside & reached) | (span == (size + lane - 1)[: len(span)]), "its bytes from the first word on"
        )
        b.prove("fits", b.inside("dut.fits") == inside, "whether it leaves the scratchpad")
        b.prove("reached", b.inside("dut.reached") == reached, "or the memory")
    b.cover("strided", dut.finished & (count == 2) & (planes == 2) & b.past(transfer(dut.row), 2), "two planes")
    b.cover("overflow", dut.outside & (at.row == 1), "an offset grows too large")
    b.cover("leaves", dut.illegal & some & (at.plane == 1), "a row leaves the scratchpad")
