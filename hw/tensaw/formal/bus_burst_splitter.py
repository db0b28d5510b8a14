"""Proofs of tensaw.rtl.bus.burst_splitter."""

from __future__ import annotations

from amaranth.hdl import Cat, Signal, Value
from amaranth.lib import data
from amaranth.utils import exact_log2

from tensaw.formal.axi import constant_regions
from tensaw.formal.bench import Bench, Planted, proof, transfer
from tensaw.formal.configs import CONFIG
from tensaw.rtl.bus.burst_splitter import BurstSplitter
from tensaw.spec.isa import REGIONS

_MODULE = "tensaw.rtl.bus.burst_splitter"
__all__ = ["assume_splitter", "splitter_rules"]

_WIDE = 36
"""Bits in which no sum of addresses, sizes and lengths can overflow."""


def splitter_rules(b: Bench, dut: BurstSplitter, index: int) -> list[tuple[str, Value, str]]:
    """What others rely on for one asker, as (name, condition, text): proved here of every splitter, and assumed of
    those inside the managers where the proofs of these take them out."""
    bursts, request, busy = dut.bursts[index], dut.requests[index], dut.busy[index]
    burst, valid, fire = bursts.payload, bursts.valid, transfer(bursts)
    width, beats = dut.config.bus_bytes, burst.beats
    low = burst.address + burst.first_lane
    high = burst.address + ((beats - 1) << 3) + burst.last_lane
    inside = Value.cast(0)
    for region in range(REGIONS):
        window = dut.regions[region]
        inside = inside | (window[dut.direction] & (low >= window.base) & (high < window.base + window.size))
    rules = [
        ("held", b.holds_still(bursts), "a burst is offered until it is taken, unchanged"),
        ("pause", ~b.past(fire) | ~valid, "a cycle passes behind each burst"),
        ("stays", ~b.past(fire) | (burst.as_value() == b.past(burst.as_value())), "in which it still shows"),
        ("aligned", ~valid | (burst.address[: exact_log2(width)] == 0), "a burst begins with a whole bus word"),
        ("length", ~valid | ((beats >= 1) & (beats <= dut.config.burst_beats)), "it has 1 to burst_beats beats"),
        ("page", ~valid | (low[12:] == high[12:]), "it does not cross 4 KiB"),
        ("bytes", ~valid | (low <= high), "it has a byte"),
        ("window", ~valid | inside, "all its bytes lie in the window of a region that allows them"),
        ("busy", busy | ~(valid | b.past(transfer(request))), "busy while a burst or an access is there"),
        ("ends", busy | ~b.past(busy & ~fire), "and until the last burst is taken"),
        ("refused", dut.refused[index] | ~b.past(dut.refused[index]), "a refusal stays"),
        ("one", ~dut.refused[index] | (dut.refused == 1 << index), "and is the only one"),
    ]
    return [(f"rule_{name}_{index}", condition, text) for name, condition, text in rules]


def assume_splitter(b: Bench, path: str) -> BurstSplitter:
    """Take a splitter out of a manager and assume its rules."""
    dut = b.cut(path)
    for index in range(dut.askers):
        for _, condition, _ in splitter_rules(b, dut, index):
            b.assume(condition)
    same = dut.refused_address == b.past(dut.refused_address)
    b.assume(~b.past(dut.refused).any() | same)
    return dut


def _prove(b: Bench, direction: str, askers: int, asker: int) -> None:
    """Of one asker; the others do what they like."""
    dut = b.add(BurstSplitter(CONFIG, direction, askers))
    constant_regions(b, CONFIG, dut.regions)
    for index in range(askers):
        b.source(dut.requests[index])
        b.sink(dut.bursts[index])
        b.assume(dut.requests[index].payload.bytes != 0)
    for rule in splitter_rules(b, dut, asker):
        b.prove(*rule)
    _prove_exactness(b, dut, asker)
    refused, address = dut.refused, dut.refused_address
    b.prove("refused_address", ~b.past(refused).any() | (address == b.past(address)), "a refusal's address stays")
    checking, working, refusing = b.inside("dut.checking"), b.inside("dut.working"), b.inside("dut.refusing")
    refuses = b.inside("dut.refuses")
    b.prove("one_check", (checking & (checking - 1))[:askers] == 0, "one access is checked at a time")
    b.prove("checks", b.inside("dut.checks") == checking.any(), "as is known of all")
    b.prove("check_work", (checking & working) == 0, "before it is in work")
    b.prove("refusing", refusing == refused.any(), "whether one was refused is known")
    b.prove("no_more", ~(refused.any() | refuses) | ~checking.any(), "none behind a refusal")
    judged = Cat(b.inside(f"dut.judged_{index}") for index in range(askers))
    b.prove("judged", judged == b.past(checking), "behind the check stands what it said")
    b.prove("judged_work", (judged & ~working) == 0, "of an access in work")
    b.prove("refuses", ~refuses | (judged.any() & ~refused.any()), "once")
    known = b.inside("dut.known")

    def window(number: Value) -> Value:
        region = dut.regions[number[:2]]
        return Cat(region.base, region.size, region[direction] & (number < REGIONS))

    if askers == 1:
        port = dut.requests[0]
        number = port.payload.region
        before = Signal()  # there was a cycle before
        b.m.d.sync += before.eq(1)
        b.assume(~port.valid | (before & (number == b.past(number))))
        b.prove("known", ~before | (known == window(b.past(number))), "a region's window is known a cycle later")
    else:
        looking, looked = b.inside("dut.looking"), b.inside("dut.request")
        chosen = b.inside("dut.chosen")
        b.prove("one_choice", chosen.any() & ((chosen & (chosen - 1))[:askers] == 0), "one asker is chosen")
        b.prove("known", ~looking.any() | (known == window(looked[:3])), "the window is its region's")
        b.prove("one_look", (looking & (looking - 1))[:askers] == 0, "one access is looked at at a time")
        b.prove("looks", b.inside("dut.looks") == looking.any(), "as is known of all")
        b.prove("look_check", ~looking.any() | ~checking.any(), "and not while another is checked")
        b.prove("look_work", (looking & working & ~refused) == 0, "nor while its asker has one in work")
        for index in range(askers):
            port = dut.requests[index]
            same = port.valid & (looked == port.payload.as_value())
            b.prove(f"look_{index}", ~looking[index] | same, "it is what its asker offers")
    bursts = dut.bursts[asker]
    burst, fire = bursts.payload, transfer(bursts)
    b.cover("three", fire & burst.last & b.past(fire & ~burst.last, 2) & b.past(fire, 4), "an access of three bursts")
    b.cover("short", fire & ~burst.last & (burst.beats < CONFIG.burst_beats), "a burst cut at 4 KiB")
    behind = b.past(fire & burst.last, 2 if askers == 1 else 3)
    b.cover("back_to_back", fire & burst.last & behind, "an access right behind another")
    b.cover("refused", refused.any() & b.past(fire, 2), "a refusal behind a legal access")
    b.cover("all", Cat(transfer(dut.bursts[index]) for index in range(askers)).all(), "bursts of all at once")


def _prove_exactness(b: Bench, dut: BurstSplitter, index: int) -> None:
    """The bursts of an asker are the accesses that it asked for, byte by byte."""
    width, space = CONFIG.bus_bytes, 1 << CONFIG.address_width
    direction = dut.direction

    def prove(name: str, condition: Value, text: str) -> None:
        b.prove(f"{name}_{index}", condition, text)

    # What was asked: the end, the next byte to be covered, and the window that it must stay in. One access in work
    # and, maybe, the last burst of the one before it on offer.
    layout = data.StructLayout(
        {
            **dict.fromkeys(("first", "end", "next", "low", "high"), _WIDE),
            **{"region": 2, "turn": 2, "legal": 1, "begun": 1},
        }
    )
    working, shown = Signal(layout, name=f"working_{index}"), Signal(layout, name=f"shown_{index}")
    port, bursts = dut.requests[index], dut.bursts[index]
    m, request, burst = b.m, port.payload, bursts.payload
    works, checking, valid = b.inside("dut.working")[index], b.inside("dut.checking")[index], bursts.valid
    judged, refused = b.inside(f"dut.judged_{index}"), dut.refused[index]
    busy = works | checking
    region = dut.regions[request.region[:2]]
    begins = works & ~valid & ~refused & ~(judged & ~working.legal)  # a burst is on offer in the next cycle
    remaining, beat_address = b.inside(f"dut.remaining_{index}"), b.inside(f"dut.beat_address_{index}")
    length, last = b.inside(f"dut.limit_{index}"), b.inside(f"dut.final_{index}")
    with m.If(begins):
        m.d.sync += [shown.eq(working), working.next.eq((beat_address + length) * width), working.begun.eq(1)]
    with m.If(transfer(port)):
        m.d.sync += [
            working.first.eq(region.base + request.offset),
            working.next.eq(region.base + request.offset),
            working.end.eq(region.base + request.offset + request.bytes),
            working.region.eq(request.region),
            working.turn.eq(request.turn),
            working.low.eq(region.base),
            working.high.eq(region.base + region.size),
            working.legal.eq(
                (request.region < REGIONS) & region[direction] & (request.offset + request.bytes <= region.size)
            ),
            working.begun.eq(0),
        ]
        prove("one", ~busy | (begins & last), "an access is taken when none is in work, or nothing left of it")
        prove("none_after", ~dut.refused.any(), "and none behind a refusal")

    low, high = Signal(_WIDE, name=f"low_{index}"), Signal(_WIDE, name=f"high_{index}")  # first and last byte
    m.d.comb += [
        low.eq(burst.address + burst.first_lane),
        high.eq(burst.address + (burst.beats - 1) * width + burst.last_lane),
    ]
    with m.If(valid):
        prove("asked_for", shown.legal, "a burst belongs to a legal access")
        prove("aligned", burst.address[:3] == 0, "a burst begins with a whole bus word")
        prove("length", (burst.beats >= 1) & (burst.beats <= CONFIG.burst_beats), "1 to burst_beats beats")
        prove("page", (low >> 12) == (high >> 12), "no burst crosses 4 KiB")
        prove("window", (low >= shown.low) & (high < shown.high), "no byte lies outside the region's window")
        prove("next", low == shown.next, "the first byte is the one behind the last burst's")
        prove("bytes", (high < shown.end) & (low <= high), "no byte lies behind the access")
        prove("last", burst.last == (high + 1 == shown.end), "the burst with the last byte is marked")
        prove("turn", burst.turn == shown.turn, "its turn is the access's")
        window = dut.regions[shown.region]
        same = (shown.low == window.base) & (shown.high == window.base + window.size)
        prove("shown_region", same & window[direction], "the window is that of a region which allows it")
        prove("shown_whole", shown.high <= space, "and so is its window")
        with m.If(~burst.last):
            prove("goes_on", busy & working.begun, "behind a burst that is not the last the access goes on")
            prove("behind", working.next == high + 1, "with the byte behind it")
    prove("shows", ~b.past(begins) | valid, "at most one cycle between bursts")
    illegal = busy & ~working.legal
    prove("refused", ~refused | illegal, "only an illegal access is refused")
    prove("refused_told", ~b.past(judged & illegal) | refused, "an illegal access is refused")
    prove("refuses", ~judged | (b.inside("dut.refuses") == ~working.legal), "if it was found to be so")
    with m.If(refused | checking | judged & ~working.legal):
        where = b.inside("dut.address") == working.first[: CONFIG.address_width]
        prove("refused_where", where, "the address told is the access's")
    prove("busy", dut.busy[index] == (busy | valid), "busy while an access is in work or a burst on offer")

    # What the block's registers mean.
    prove("legal", ~works | judged | refused | working.legal, "what is not checked any more is legal")
    moved = b.past(begins)  # the flags are the last burst's
    with m.If(works & ~refused):
        prove("position", ~working.legal | ((beat_address << 3) == (working.next & ~7)), "the next word")
        prove("to_go", (working.next & ~7) + (remaining << 3) == ((working.end + 7) & ~7), "the words left")
        lane, end_lane = b.inside(f"dut.first_lane_{index}"), b.inside(f"dut.end_lane_{index}")
        prove("lanes", (lane == working.next[:3]) & (end_lane == (working.end - 1)[:3]), "first and last byte")
        prove("begun", ~working.begun | (working.next[:3] == 0), "a burst ends with a whole word")
        prove("work_turn", b.inside(f"dut.turn_{index}") == working.turn, "its turn")
        prove("some", working.next < working.end, "an access in work has a byte left")
        sound = (working.low <= working.next) & (working.end <= working.high) & (working.high <= space)
        prove("sound", ~working.legal | sound, "a legal access lies in its window")
        window = dut.regions[working.region]
        same = (working.low == window.base) & (working.high == window.base + window.size)
        prove("region", ~working.legal | (same & window[direction]), "and that is a region's")
        prove(
            "whole",
            moved | ~working.legal | (last == ((length << 3) + (working.next & ~7) >= working.end)),
            "the last burst",
        )
        place = exact_log2(min(CONFIG.burst_beats, 512))
        near = b.inside(f"dut.near_{index}") == beat_address[place:9].all()
        prove("near", moved | near, "whether a boundary is near")
    with m.If(checking):
        prove("check", b.inside("dut.legal") == working.legal, "the access's legality")
        prove("fresh", ~working.begun & (working.next == working.first) & ~refused, "of an access just taken")
        beats, lane = b.inside("dut.beats"), b.inside("dut.last_lane")
        prove("check_beats", (working.first & ~7) + (beats << 3) == ((working.end + 7) & ~7), "its words")
        prove("check_lane", lane == (working.end - 1)[:3], "its last byte's lane")
        prove("check_turn", b.inside("dut.turn") == working.turn, "its turn")
        prove("check_some", working.next < working.end, "it has a byte")
        sound = (working.low <= working.next) & (working.end <= working.high) & (working.high <= space)
        prove("check_sound", ~working.legal | sound, "and lies in its window if it is legal")
        window = dut.regions[working.region]
        same = (working.low == window.base) & (working.high == window.base + window.size)
        prove("check_region", ~working.legal | (same & window[direction]), "which is a region's")


_READ = (
    (
        Planted(_MODULE, "(end <= size)", "(end <= size + 1)"),
        Planted(_MODULE, "(1 << self._low) - low, 1", "1 << self._low, 1"),
    ),
    (
        Planted(_MODULE, "first_lane.eq(0),", "first_lane.eq(first_lane),"),
        Planted(_MODULE, "(~working | (final & ~valid))", "(~working | final)"),
    ),
    (
        Planted(_MODULE, "Mux(refuses | refusing, 0, looking)", "Mux(refusing, 0, looking)"),
        Planted(_MODULE, "valid.eq(1), working.eq(~final)", "valid.eq(1), working.eq(0)"),
    ),
)


def _read(asker: int) -> None:
    @proof(f"bus.burst_splitter.read_{asker}", depth=2, cover_depth=12, planted=_READ[asker])
    def read(b: Bench) -> None:
        """The bursts of a read are exactly its bytes, in order, whatever the two other askers do: none crosses 4 KiB,
        none has more than burst_beats beats, none touches a byte outside the region's window; an illegal access is
        refused and nothing of it is issued."""
        _prove(b, "read", 3, asker)


for _asker in range(3):
    _read(_asker)


@proof(
    "bus.burst_splitter.write",
    depth=2,
    cover_depth=12,
    planted=(
        Planted(_MODULE, "region[self.direction]", 'region["read"]'),
        Planted(_MODULE, "end.eq(request.offset + request.bytes)", "end.eq((request.offset + request.bytes)[:32])"),
    ),
)
def write(b: Bench) -> None:
    """The same for writes, whose region must allow them."""
    _prove(b, "write", 1, 0)
