"""Proofs of tensaw.rtl.memory.scratchpad, and of the memories that it and others are made of."""

from __future__ import annotations

from functools import reduce
from itertools import combinations
from operator import or_

from amaranth.hdl import Cat, Mux, Signal, Value

from tensaw.formal.bench import Bench, Planted, proof
from tensaw.formal.configs import CONFIG
from tensaw.rtl.interfaces import READ_LATENCY
from tensaw.rtl.memory.ram import Ram
from tensaw.rtl.memory.scratchpad import Scratchpad

_MODULE = "tensaw.rtl.memory.scratchpad"
_BITS = (CONFIG.scratchpad_bytes - 1).bit_length()


@proof(
    "memory.scratchpad",
    depth=7,
    cover_depth=11,
    planted=(
        Planted(_MODULE, "port.ready.eq(1 if taken is None else ~(span.banks & taken).any())", "port.ready.eq(1)"),
        Planted(_MODULE, "_Span(config, port.address, both=port.across)", "_Span(config, port.address)"),
        Planted(_MODULE, "Mux(first[b - 1], mask[size:], 0)", "Mux(first[b], mask[size:], 0)"),
        Planted(_MODULE, "last = word - size", "last = word - size + 1"),
        Planted(
            _MODULE,
            "beyond = lane < first_lane if",
            "beyond = lane <= first_lane if",
        ),
        Planted(_MODULE, "Mux(first[b], mask[:size], 0)", "mask[:size]"),
        Planted(_MODULE, "wrapped.eq(row + wrap)", "wrapped.eq(row)"),
        Planted(_MODULE, "read_row + next_row", "read_row"),
        Planted(
            _MODULE,
            "port.ready.eq(~(others | (span.banks & taken).any()))",
            "port.ready.eq(~(span.banks & taken).any())",
        ),
    ),
)
def scratchpad(b: Bench) -> None:
    """Every byte holds what was last written to it, whatever else is written or read beside it, and every port that
    reads it sees it in its time; no bank is written, or read, by two ports at once; the array is never
    refused; a port is refused only for one before it that uses its banks."""
    m, size = b.m, CONFIG.word_bytes
    dut = b.add(Scratchpad(CONFIG))
    array = dut.array
    slots = len(array.enable)
    for number in range(slots):
        b.drive(array.address[number], "address")
    b.drive(array.enable, "enable")
    for port in (*dut.reads, *dut.writes):
        b.drive(port.valid, "valid")
        b.drive(port.address, "address")
    written = []  # bytes of the data that are
    for port in dut.writes:
        b.drive(port.data, "data")
        lanes = Signal(size, name="lanes")
        b.drive(lanes, "lanes")
        m.d.comb += [port.mask.eq(lanes << port.address[:3]), port.across.eq(port.mask[size:].any())]
        written.append(lanes)
    for one, other in combinations(range(slots), 2):
        apart = array.address[one][:2] != array.address[other][:2]
        b.assume(apart | ~(array.enable[one] & array.enable[other]))

    # Any byte, and what it should hold.
    place = b.constant(_BITS, "place")
    b.assume(place < CONFIG.scratchpad_bytes)
    word, lane = place[3:], place[:3]
    known, value = Signal(), Signal(8)
    covered, given = [], []
    for number, port in enumerate(dut.writes):
        index = Signal(_BITS, name=f"index_{number}")
        m.d.comb += index.eq(place - port.address)
        covered.append(port.valid & port.ready & (index < size) & written[number].bit_select(index[:3], 1))
        given.append(port.data.word_select(index[:3], 8))
    b.prove("one_writer", ~(covered[0] & covered[1]), "no byte is written by two ports at once")
    coming, coming_value = Signal(), Signal(8)  # written to the memory in the next cycle
    m.d.sync += [coming.eq(covered[0] | covered[1]), coming_value.eq(Mux(covered[0], given[0], given[1]))]
    with m.If(coming):
        m.d.sync += [known.eq(1), value.eq(coming_value)]

    # Who reads it. The banks are read in the cycle after a request, for the array in the second one after it.
    touched = reduce(or_, (p.valid & p.ready & _touches(p, place) for p in dut.writes))
    settled = known & ~b.past(touched)  # what was written in the cycle before may be seen or not
    behind = READ_LATENCY - 1
    for number, (port, bytes_read) in enumerate(zip(dut.reads, dut.read_sizes, strict=True)):
        index = Signal(_BITS, name=f"read_index_{number}")
        m.d.comb += index.eq(place - port.address)
        asks = b.past(port.valid & port.ready & (index < bytes_read)) & settled
        seen = port.data.word_select(b.past(index[:3], READ_LATENCY), 8)
        right = ~b.past(asks, behind) | (seen == b.past(value, behind))
        b.prove(f"read_{number}", right, "a read shows the byte, READ_LATENCY cycles later")
        across = (index == bytes_read - 1) & (port.address[:3] > size - bytes_read)
        across_then = b.past(asks & b.past(across), behind)
        b.cover(f"reads_{number}", across_then & (seen == 0x5A), "it is read across two words")
    for number in range(slots):
        asks = b.past(array.enable[number] & (array.address[number] == word), 2) & settled
        seen = array.data[number].word_select(lane, 8)
        right = ~b.past(asks, behind) | (seen == b.past(value, behind))
        b.prove(f"array_{number}", right, "so does the array's, a cycle later still")
    b.cover("array", b.past(asks, behind) & array.enable.all(), "the array reads a word with each of its slots")

    # Who is refused.
    asked = reduce(or_, (Mux(array.enable[n], Value.cast(1) << array.address[n][:2], 0) for n in range(slots)))
    used = b.past(asked[: CONFIG.banks])
    for number, (port, bytes_read) in enumerate(zip(dut.reads, dut.read_sizes, strict=True)):
        banks = _banks(port.address, port.address[:3] > size - bytes_read)
        b.prove(f"read_ready_{number}", port.ready == ((banks & used) == 0), "a read waits for those before it only")
        used = used | port.valid.replicate(CONFIG.banks)
    first, second = dut.writes
    spans = [_banks(port.address, port.across) for port in dut.writes]
    b.prove("write_ready_0", first.ready, "the first write is never refused")
    free = ~first.valid | ((_banks(first.address, first.address[:3] != 0) & spans[1]) == 0)
    b.prove("write_ready_1", second.ready == free, "the second waits for the first only")
    b.cover("both", covered[0] & second.valid & second.ready & written[1].all(), "two writes at once")
    b.cover("refused", first.valid & second.valid & ~second.ready, "one is refused")

    # What the block's registers mean.
    rows = [b.row(f"dut.bank{bank}", word[2:]) for bank in range(CONFIG.banks)]
    content = Cat(rows).word_select(word[:2], 8 * size).word_select(lane, 8)
    b.prove("content", ~known | (content == value), "the byte is in its place")
    hits, values = [], []
    for bank in range(CONFIG.banks):
        enable, row = (
            b.inside(f"dut.bank{bank}_enable"),
            b.inside(f"dut.bank{bank}_row" if bank else "dut.bank0_wrapped"),
        )
        hits.append((word[:2] == bank) & enable.bit_select(lane, 1) & (row == word[2:]))
        values.append(b.inside(f"dut.bank{bank}_value").word_select(lane, 8))
    b.prove("coming", coming == Cat(hits).any(), "a write is on its way to it")
    same = Cat(values).word_select(word[:2], 8) == coming_value
    b.prove("coming_value", ~coming | same, "with its value")


def _banks(address: Value, both: Value) -> Value:
    first = (Value.cast(1) << address[3:5])[: CONFIG.banks]
    return first | Mux(both, first.rotate_left(1), 0)


def _touches(port, place: Value) -> Value:
    """Whether a write may enable a byte of the word of ``place``."""
    first = port.address[3:_BITS]
    second = (first + 1)[: _BITS - 3]
    return (port.mask[: CONFIG.word_bytes].any() & (place[3:] == first)) | (port.across & (place[3:] == second))


@proof(
    "memory.ram",
    depth=2,
    cover_depth=6,
    planted=(Planted("tensaw.rtl.memory.ram", "read.en.eq(self.read_enable)", "read.en.eq(1)"),),
)
def ram(b: Bench) -> None:
    """Every lane of every row holds what was last written to it; a read shows the row in the next cycle and holds it
    until the next read."""
    m = b.m
    dut = b.add(Ram(5, 8, 4))
    for name in ("write_enable", "write_address", "write_data", "read_enable", "read_address"):
        b.drive(getattr(dut, name), name)
    b.assume((dut.write_address < 5) & (dut.read_address < 5))
    row, lane = b.constant(3, "row"), b.constant(1, "lane")
    b.assume(row < 5)
    known, value, shown, shown_known = Signal(), Signal(4), Signal(4), Signal()
    with m.If(dut.write_enable.bit_select(lane, 1) & (dut.write_address == row)):
        m.d.sync += [known.eq(1), value.eq(dut.write_data.word_select(lane, 4))]
    with m.If(dut.read_enable):
        together = dut.write_enable.any() & (dut.write_address == row)
        m.d.sync += [shown.eq(value), shown_known.eq(known & (dut.read_address == row) & ~together)]
    b.prove("shown", ~shown_known | (dut.read_data.word_select(lane, 4) == shown), "a read shows what was written")
    content = b.row("dut", row).word_select(lane, 4)
    b.prove("content", ~known | (content == value), "which is in its place")
    kept = ~b.past(~dut.read_enable) | (dut.read_data == b.past(dut.read_data))
    b.prove("kept", kept, "what a read shows stays until the next one")
    b.cover("reads", shown_known & (shown == 9) & b.past(~dut.read_enable), "a row is read and held")
    b.cover("over", known & b.past(known) & (b.past(value) != value), "a row is written over")
