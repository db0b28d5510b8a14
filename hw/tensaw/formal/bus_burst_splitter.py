"""Proofs of tensaw.rtl.bus.burst_splitter."""

from __future__ import annotations

from amaranth.hdl import Signal, Value
from amaranth.lib import data
from amaranth.utils import exact_log2

from tensaw.formal.axi import constant_regions
from tensaw.formal.bench import Bench, Planted, proof, transfer
from tensaw.formal.configs import CONFIG
from tensaw.rtl.bus.burst_splitter import BurstSplitter
from tensaw.spec.isa import REGIONS
from tensaw.spec.registers import ErrorCode

_MODULE = "tensaw.rtl.bus.burst_splitter"
__all__ = ["assume_splitter", "splitter_rules"]

_WIDE = 36
"""Bits in which no sum of addresses, sizes and lengths can overflow."""


def splitter_rules(b: Bench, dut: BurstSplitter, direction: str) -> list[tuple[str, Value, str]]:
    """What others rely on, as (name, condition, text): proved here of every splitter, and assumed of those inside the
    managers where the proofs of these take them out."""
    burst, valid, fire = dut.bursts.payload, dut.bursts.valid, transfer(dut.bursts)
    width, beats = dut.config.bus_bytes, burst.beats
    low = burst.address + burst.first_lane
    high = burst.address + ((beats - 1) << 3) + burst.last_lane
    inside = Value.cast(0)
    for index in range(REGIONS):
        window = dut.regions[index]
        inside = inside | (window[direction] & (low >= window.base) & (high < window.base + window.size))
    return [
        ("rule_held", b.holds_still(dut.bursts), "a burst is offered until it is taken, unchanged"),
        ("rule_pause", ~b.past(fire) | ~valid, "a cycle passes behind each burst"),
        ("rule_aligned", ~valid | (burst.address[: exact_log2(width)] == 0), "a burst begins with a whole bus word"),
        ("rule_length", ~valid | ((beats >= 1) & (beats <= dut.config.burst_beats)), "it has 1 to burst_beats beats"),
        ("rule_page", ~valid | (low[12:] == high[12:]), "it does not cross 4 KiB"),
        ("rule_bytes", ~valid | (low <= high), "it has a byte"),
        ("rule_window", ~valid | inside, "all its bytes lie in the window of a region that allows them"),
        ("rule_busy", dut.busy | ~(valid | b.past(transfer(dut.request))), "busy while a burst or an access is there"),
        ("rule_ends", dut.busy | ~b.past(dut.busy & ~fire), "and until the last burst is taken"),
        ("rule_error", dut.error.valid | ~b.past(dut.error.valid), "an error stays"),
        ("rule_code", ~dut.error.valid | (dut.error.code == ErrorCode.OUTSIDE_REGION), "and is told as what it is"),
    ]


def assume_splitter(b: Bench, path: str, direction: str) -> BurstSplitter:
    """Take a splitter out of a manager and assume its rules."""
    dut = b.cut(path)
    for _, condition, _ in splitter_rules(b, dut, direction):
        b.assume(condition)
    return dut


def _prove(b: Bench, direction: str) -> None:
    dut = b.add(BurstSplitter(CONFIG, direction))
    constant_regions(b, CONFIG, dut.regions)
    b.source(dut.request)
    b.sink(dut.bursts)
    b.assume(dut.request.payload.bytes != 0)
    for rule in splitter_rules(b, dut, direction):
        b.prove(*rule)
    _prove_exactness(b, dut, direction)
    burst, fire = dut.bursts.payload, transfer(dut.bursts)
    b.cover("three", fire & burst.last & b.past(fire & ~burst.last, 2) & b.past(fire, 4), "an access of three bursts")
    b.cover("short", fire & ~burst.last & (burst.beats < CONFIG.burst_beats), "a burst cut at 4 KiB")
    b.cover("back_to_back", fire & burst.last & b.inside("dut.asked"), "an access behind another")
    b.cover("refused", dut.error.valid & b.past(b.inside("dut.working")), "a refusal behind a legal access")


def _prove_exactness(b: Bench, dut: BurstSplitter, direction: str) -> None:
    """The bursts are the access that was asked for, byte by byte."""
    width, space = CONFIG.bus_bytes, 1 << CONFIG.address_width
    # What was asked: first and last byte, the next byte to be covered, and the window that it must stay in.
    layout = data.StructLayout(
        {
            **dict.fromkeys(("first", "end", "next", "low", "high"), _WIDE),
            **{"region": 2, "turn": 2, "legal": 1, "begun": 1},
        }
    )
    asked, working = Signal(layout), Signal(layout)
    held, busy, failed = (b.inside(f"dut.{name}") for name in ("asked", "working", "failed"))
    m, request, burst = b.m, dut.request.payload, dut.bursts.payload
    region = dut.regions[request.region[:2]]
    fire = transfer(dut.bursts)
    accept = held & ~failed & (~busy | (fire & burst.last)) & asked.legal
    with m.If(transfer(dut.request)):
        m.d.sync += [
            asked.first.eq(region.base + request.offset),
            asked.next.eq(region.base + request.offset),
            asked.end.eq(region.base + request.offset + request.bytes),
            asked.region.eq(request.region),
            asked.turn.eq(request.turn),
            asked.low.eq(region.base),
            asked.high.eq(region.base + region.size),
            asked.legal.eq(
                (request.region < REGIONS) & region[direction] & (request.offset + request.bytes <= region.size)
            ),
        ]
    with m.If(fire):
        m.d.sync += [working.next.eq(burst.address + burst.beats * width), working.begun.eq(1)]
    with m.If(accept):
        m.d.sync += [working.eq(asked), working.begun.eq(0)]

    low, high = Signal(_WIDE), Signal(_WIDE)  # first and last byte of the burst
    m.d.comb += [
        low.eq(burst.address + burst.first_lane),
        high.eq(burst.address + (burst.beats - 1) * width + burst.last_lane),
    ]
    with m.If(dut.bursts.valid):
        b.prove("asked_for", busy & working.legal, "a burst belongs to a legal access")
        b.prove("aligned", burst.address[:3] == 0, "a burst begins with a whole bus word")
        b.prove("length", (burst.beats >= 1) & (burst.beats <= CONFIG.burst_beats), "1 to burst_beats beats")
        b.prove("page", (low >> 12) == (high >> 12), "no burst crosses 4 KiB")
        b.prove("window", (low >= working.low) & (high < working.high), "no byte lies outside the region's window")
        b.prove("next", low == working.next, "the first byte is the one behind the last burst's")
        b.prove("bytes", (high < working.end) & (low <= high), "no byte lies behind the access")
        b.prove("last", burst.last == (high + 1 == working.end), "the burst with the last byte is marked")
        b.prove("turn", burst.turn == working.turn, "its turn is the access's")
        b.prove("not_after_error", ~dut.error.valid | asked.legal | busy, "what is refused is not issued")
    b.prove("error", ~dut.error.valid | (held & ~asked.legal), "only an illegal access is an error")
    b.prove("error_held", ~b.past(dut.error.valid) | dut.error.valid, "an error stays")
    refused = held & ~asked.legal & ~busy
    b.prove("error_told", ~b.past(refused) | dut.error.valid | ~refused, "an illegal access is an error")
    with m.If(dut.error.valid):
        where = dut.error.address == asked.first[: CONFIG.address_width]
        b.prove("error_address", where, "the error's address is the access's")
    b.prove("busy", dut.busy == (held | busy), "busy while an access is inside")
    b.prove("goes_on", ~(b.past(busy & ~dut.bursts.valid)) | dut.bursts.valid, "at most one cycle between bursts")

    # What the block's registers mean.
    remaining, beat_address = b.inside("dut.remaining"), b.inside("dut.beat_address")
    with m.If(busy):
        b.prove("position", (beat_address << 3) == (working.next & ~7), "the next word")
        b.prove("to_go", (working.next & ~7) + (remaining << 3) == ((working.end + 7) & ~7), "the words left")
        lanes = (b.inside("dut.first_lane") == working.next[:3]) & (b.inside("dut.end_lane") == (working.end - 1)[:3])
        b.prove("lanes", lanes, "first and last byte in their words")
        b.prove("begun", ~working.begun | (working.next[:3] == 0), "a burst ends with a whole word")
        sound = working.legal & (working.low <= working.next) & (working.end <= working.high)
        b.prove("sound", sound & (working.next < working.end), "the access in work is legal")
        window = dut.regions[working.region]
        same = (working.low == window.base) & (working.high == window.base + window.size)
        b.prove("region", same & window[direction], "the window is that of a region which allows it")
        b.prove("whole", working.high <= space, "and so is its window")
    with m.If(held):
        b.prove("address", b.inside("dut.address") == asked.first[: CONFIG.address_width], "the access's address")
        legal = b.inside("dut.allowed") & (b.inside("dut.end") <= b.inside("dut.size"))
        b.prove("legal", legal == asked.legal, "the access's legality")
        b.prove("asked_turn", b.inside("dut.asked_turn") == asked.turn, "its turn")
        b.prove("beats", (asked.first & ~7) + (b.inside("dut.beats") << 3) == ((asked.end + 7) & ~7), "its words")
        b.prove("lane", b.inside("dut.last_lane") == (asked.end - 1)[:3], "its last byte")
        inside = (asked.low <= asked.first) & (asked.end <= asked.high) & (asked.high <= space)
        b.prove("inside", ~asked.legal | inside, "a legal access lies in its window")
        window = dut.regions[asked.region]
        same = (asked.low == window.base) & (asked.high == window.base + window.size)
        b.prove("asked_region", ~asked.legal | (same & window[direction]), "and that is a region's")
        b.prove("some", (asked.next == asked.first) & (asked.first < asked.end), "an access has a byte")
    b.prove("measured", ~dut.bursts.valid | busy, "a burst belongs to an access in work")
    b.prove("failed", ~failed | held, "what failed is kept")


@proof(
    "bus.burst_splitter.read",
    depth=2,
    cover_depth=10,
    planted=(
        Planted(_MODULE, "(end <= size)", "(end <= size + 1)"),
        Planted(
            _MODULE,
            "_BOUNDARY // config.bus_bytes - beat_address[: 12 - lane_bits]",
            "_BOUNDARY // config.bus_bytes - beat_address[: 11 - lane_bits]",
        ),
        Planted(_MODULE, "first_lane.eq(0),", "first_lane.eq(first_lane),"),
    ),
)
def read(b: Bench) -> None:
    """The bursts of a read are exactly its bytes, in order: none crosses 4 KiB, none has more than burst_beats beats,
    none touches a byte outside the region's window; an illegal access is an error and nothing of it is issued."""
    _prove(b, "read")


@proof(
    "bus.burst_splitter.write",
    depth=2,
    cover_depth=10,
    planted=(
        Planted(_MODULE, "region[self.direction]", 'region["read"]'),
        Planted(_MODULE, "end.eq(request.offset + request.bytes)", "end.eq((request.offset + request.bytes)[:32])"),
    ),
)
def write(b: Bench) -> None:
    """The same for writes, whose region must allow them."""
    _prove(b, "write")
