"""Proofs of tensaw.rtl.memory.weight_ring, for rows shorter and longer than a bus beat, in a ring of odd length."""

from __future__ import annotations

from amaranth.hdl import Mux, Signal

from tensaw.formal.bench import Bench, Planted, proof
from tensaw.formal.configs import CONFIG
from tensaw.rtl.memory.weight_ring import WeightRing
from tensaw.spec.config import NpuConfig

_MODULE = "tensaw.rtl.memory.weight_ring"
_NARROW = CONFIG.replace(bus_bytes=16, weight_bytes=272)
_WIDE = CONFIG.replace(columns=9, weight_bytes=416)


def _prove(b: Bench, config: NpuConfig) -> None:
    m = b.m
    dut = b.add(WeightRing(config))
    row, beat = config.weight_row_bytes, config.bus_bytes
    grain = min(row, beat)
    row_grains, beat_grains, grains = row // grain, beat // grain, config.weight_bytes // grain
    for name in ("read_enable", "read_row", "release"):
        b.drive(getattr(dut, name), name)
    b.drive(dut.write.valid, "valid")
    b.drive(dut.write.payload, "payload")
    # Rules of the surroundings: rows that are there are read and freed; a beat comes only where there was room in the
    # last cycle already (the read manager hears of room a cycle late).
    b.assume(~dut.read_enable | (dut.read_row < dut.available))
    b.assume(dut.release <= dut.available)
    b.assume(~dut.write.valid | (dut.space >= 1) & (b.past(dut.space) >= 1 + b.past(dut.write.valid)))

    # Grains (the shorter of row and beat) inside, and the first one's place.
    held, first = Signal(range(grains + 1)), Signal(range(2 * grains))
    freed = dut.release * row_grains
    m.d.sync += held.eq(held + Mux(dut.write.valid, beat_grains, 0) - freed)
    m.d.sync += first.eq(Mux(first + freed >= grains, first + freed - grains, first + freed))
    b.prove("available", dut.available == held // row_grains, "whole rows inside can be read")
    b.prove("space", dut.space == (grains - held) // beat_grains, "the rest is room")
    b.prove("bounded", held <= grains, "never more inside than it holds")

    # Any beat that is written may be picked: `ahead` grains before it.
    picked, ahead, value = Signal(), Signal(range(grains + 1)), Signal(8 * beat)
    pick = b.free(1, "pick")
    with m.If(dut.write.valid & pick & ~picked):
        m.d.sync += [picked.eq(1), ahead.eq(held - freed), value.eq(dut.write.payload)]
    with m.Elif(picked):
        m.d.sync += [ahead.eq(ahead - freed), picked.eq(ahead >= freed)]
    # A row that overlaps it must show its bytes two cycles later: grain g of the beat, grain h of the row.
    beat_part, row_part = Signal(range(max(beat_grains, 2))), Signal(range(max(row_grains, 2)))
    start = dut.read_row * row_grains
    m.d.comb += [beat_part.eq(start - ahead), row_part.eq(ahead - start)]
    overlaps = dut.read_enable & picked & (start < ahead + beat_grains) & (ahead < start + row_grains)
    asked = b.past(overlaps, 2)
    wanted = b.past(value.word_select(beat_part, 8 * grain) if beat_grains > 1 else value, 2)
    part = b.past(row_part, 2)
    shown = dut.read_data.word_select(part, 8 * grain) if row_grains > 1 else dut.read_data
    b.prove("data", ~asked | (shown == wanted), "a row shows what was written, two cycles after it was asked for")
    ram = b.part("dut.ram")
    together = ram.read_enable & ram.write_enable.any() & (ram.read_address == ram.write_address)
    lanes = together & (row_grains == 1)
    b.prove("collision", ~lanes, "no row is read from the memory while it is written")

    # What the block's registers mean.
    word_grains = config.weight_word_bytes // grain
    end = Mux(first + held >= grains, first + held - grains, first + held)
    lane = b.inside("dut.lane") if config.weight_word_bytes > beat else 0
    b.prove("head", b.inside("dut.head") * word_grains + lane * beat_grains == end, "the next place to be written")
    b.prove("tail", b.inside("dut.tail") * row_grains == first, "the first row")
    b.prove("count", b.inside("dut.count") == held // row_grains, "rows")
    b.prove("free", b.inside("dut.free") == grains - held, "and what is left")
    b.prove("first", first < grains, "the first place is in the ring")
    where = Mux(first + ahead >= grains, first + ahead - grains, first + ahead)
    content = b.row("dut.ram", where // word_grains)
    inside = (
        content.word_select((where % word_grains) // beat_grains, 8 * beat) if word_grains > beat_grains else content
    )
    b.prove("aligned", ~picked | (where % beat_grains == 0), "a beat begins where beats begin")
    b.prove("kept", ~picked | (inside == value), "the picked beat is in its place")
    b.prove("ahead", ~picked | (ahead + beat_grains <= held), "and inside")
    # The read on its way: the row's place, one cycle after it was asked for.
    place = Mux(first + start >= grains, first + start - grains, first + start)
    b.prove("reading", b.inside("dut.reading") == b.past(dut.read_enable), "a row is asked for")
    at_place = b.inside("dut.wrapped") * row_grains == b.past(place)
    b.prove("wrapped", ~b.inside("dut.reading") | at_place, "at its place")
    soon, soon_value = b.past(overlaps), b.past(value)
    soon_place = b.past(where)
    soon_row = b.row("dut.ram", soon_place // word_grains)
    soon_inside = (
        soon_row.word_select((soon_place % word_grains) // beat_grains, 8 * beat)
        if word_grains > beat_grains
        else soon_row
    )
    b.prove("still", ~soon | (soon_inside == soon_value), "and what is there has not been written over yet")
    near = b.inside("dut.wrapped") // (config.weight_word_bytes // row) == soon_place // word_grains
    b.prove("near", ~soon | near, "in the word that is read")

    if beat_grains > 1:
        part_of = b.inside("dut.wrapped") % beat_grains == b.past(beat_part)
        b.prove("part_of", ~soon | part_of, "at the row's own part of it")

    if grains < 100 and beat_grains > 1:  # others take too many cycles to fill
        b.cover("wrapped_round", asked & b.past(first + start >= grains, 2), "a row behind the end of the memory")
    b.cover("freed", asked & b.past(overlaps & (freed > ahead), 2), "a row freed while it is read")
    b.cover("empty", (held == 0) & b.past(held != 0) & b.past(asked), "all is freed")


@proof(
    "memory.weight_ring.narrow",
    depth=3,
    cover_depth=24,
    planted=(
        Planted(_MODULE, "Mux(head == words - 1, 0, head + 1)", "Mux(head == 2, 0, head + 1)"),
        Planted(_MODULE, "next_tail.eq(tail + released)", "next_tail.eq(tail + released[:4])"),
        Planted(_MODULE, "part.eq(wrapped[:part_bits])", "part.eq(row[:part_bits])"),
    ),
)
def narrow(b: Bench) -> None:
    """Rows of a quarter of a beat: a row shows the bytes that were written, in order, counted from the oldest row; rows
    told to be there are there, room told is room; freed rows stay readable as promised; nothing is read while it is
    written."""
    _prove(b, _NARROW)


@proof(
    "memory.weight_ring.wide",
    depth=3,
    cover_depth=12,
    planted=(Planted(_MODULE, "whole.eq(take & lane.all())", "whole.eq(take)"),),
)
def wide(b: Bench) -> None:
    """The same with rows of two beats."""
    _prove(b, _WIDE)
